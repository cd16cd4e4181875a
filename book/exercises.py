"""The editions of an exercise notebook, all from ``notebooks/NN_slug_exercises.py``.

    python book/exercises.py student|assignments [--course FOLDER]

The source holds solutions between ``### BEGIN SOLUTION`` and ``### END SOLUTION``, tests between ``### BEGIN HIDDEN
TESTS`` and ``### END HIDDEN TESTS``, nbgrader's metadata, and cells tagged ``wrong-answer``. These are plausible wrong
answers; each begins with a comment that says in a sentence what is wrong. The tests try them on the check before them,
and the page for instructors lists them. The cell with an exercise's heading names in its metadata the ``objectives`` of
the chapter that the exercise asks for, by their numbers. After a text that a person grades stands a cell tagged
``rubric``, a list of ``- POINTS: what they are for``, which the page for instructors shows.

- the book's edition shows the stub, and the solution behind a click;
- the student's edition has stubs, the checks and no outputs: ``notebooks/NN_slug_exercises.ipynb``, which Colab opens,
  is this one, and ``_build/student`` collects them;
- the instructor's edition is an nbgrader course in ``assignments``, outside ``_build``: it holds grades.
"""

import argparse
import copy
import math
import re
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import jupytext
import nbformat
from common import BuildError, write
from nbformat import NotebookNode

SUFFIX = "_exercises"
STUB = "# YOUR CODE HERE\nraise NotImplementedError"
TEXT_STUB = "YOUR ANSWER HERE"
WRONG = "wrong-answer"
RUBRIC = "rubric"
CHECKS = re.compile(r"^from medlatent\.course\.exercises import (\w+) as check$", re.M)
FRESH = """\
### BEGIN HIDDEN TESTS
import importlib, sys
[sys.modules.pop(m) for m in [*sys.modules] if m.startswith("medlatent.course.exercises")]
check = importlib.import_module("medlatent.course.exercises.{module}")
### END HIDDEN TESTS
"""
HEADING = re.compile(r"^\((?P<label>exercise-[a-z0-9-]+)\)=\n+## Exercise (?P<number>\d+): (?P<title>.+)$", re.M)


@dataclass
class Wrong:
    """A plausible wrong answer: what is wrong with it, its code, and a word that the check's message must contain."""

    mistake: str
    code: str
    says: str


@dataclass
class Text:
    """An answer in words: its points, and what they are given for, ``(points, reason)``; 0 for what earns nothing."""

    points: float
    rubric: list[tuple[float, str]] = field(default_factory=list)


@dataclass
class Exercise:
    """One exercise of a notebook.

    Attributes:
        name: what its cells' ids begin with, ``vae-1``.
        title: from its heading.
        solution: the source of its answer cells, markers included.
        checks: the source of its check cells, markers included.
        minutes: from the line below its heading.
        points: what it is worth in all.
        objectives: the numbers of what it asks for, among the objectives of its chapter; None where it does not say.
        texts: the answers that a person grades.
        wrong: plausible wrong answers.
    """

    name: str
    title: str
    solution: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    minutes: int = 0
    points: int = 0
    objectives: list[int] | None = None
    texts: list[Text] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)

    @property
    def points_by_hand(self) -> float:
        """Of the points, those for texts that a person grades."""
        return sum(text.points for text in self.texts)


def is_exercises(doc: str | Path) -> bool:
    """Whether a document is an exercise notebook."""
    return Path(doc).stem.endswith(SUFFIX)


def read(source: Path) -> tuple[str, list[Exercise]]:
    """The title of an exercise notebook and its exercises.

    Raises:
        BuildError: a cell belongs to no exercise, an exercise is incomplete, a wrong answer says nothing, or the points
            of a rubric are not those of its text; the message names the file and the cell.
    """
    title, exercises = "", []
    for index, cell in enumerate(jupytext.read(source).cells):
        place = f"{source.name}, cell {index}"
        if cell.cell_type == "markdown":
            title = title or next(iter(re.findall(r"^# (.+)$", cell.source, re.M)), "")
            for found in HEADING.finditer(cell.source):
                exercise = Exercise(found["label"].removeprefix("exercise-"), found["title"])
                stated = re.search(r"\*[^*]+, (\d+) minutes?, \d+ points?\.\*", cell.source)
                exercise.minutes = int(stated[1]) if stated else 0
                exercise.objectives = cell.metadata.get("objectives")
                exercises.append(exercise)
        meta = cell.metadata.get("nbgrader", {})
        graded, tags = bool(meta.get("grade") or meta.get("solution")), cell.metadata.get("tags", [])
        if not graded and not {WRONG, RUBRIC} & set(tags):
            continue
        if not exercises:
            raise BuildError(f"{place} stands before the first heading of an exercise")
        exercise = exercises[-1]
        if WRONG in tags:
            comment = re.match(r"# (.+(?:\n# .+)*)\n", cell.source)
            says = cell.metadata.get("says", "")
            if not comment or not says:
                raise BuildError(f'{place}: a wrong answer begins with a comment and has the metadata says="…"')
            code = cell.source[comment.end() :]
            exercise.wrong.append(Wrong(comment[1].replace("\n# ", " "), code, says))
            continue
        if RUBRIC in tags:
            if not exercise.texts or exercise.texts[-1].rubric:
                raise BuildError(f"{place}: a rubric stands after the text that it is for, one after each")
            exercise.texts[-1].rubric = _rubric(cell.source, exercise.texts[-1].points, place)
            continue
        if not re.fullmatch(rf"{re.escape(exercise.name)}(-[a-z0-9-]+)?", meta["grade_id"]):
            raise BuildError(f"{place}: the id {meta['grade_id']!r} does not begin with {exercise.name!r}")
        exercise.points += meta.get("points", 0)
        if meta["solution"] and meta.get("points"):
            exercise.texts.append(Text(meta["points"]))
        if cell.cell_type == "code":
            (exercise.solution if meta["solution"] else exercise.checks).append(cell.source)
    for exercise in exercises:
        for what in ("minutes", "solution", "checks", "wrong"):
            if not getattr(exercise, what):
                raise BuildError(f"{source.name}: exercise {exercise.name} has no {what}")
        if any(not text.rubric for text in exercise.texts):
            raise BuildError(f"{source.name}: exercise {exercise.name} has no rubric after its text")
    return title, exercises


def _rubric(source: str, points: float, place: str) -> list[tuple[float, str]]:
    """The lines of a rubric, whose points have to add up to those of the text."""
    items = re.split(r"^- ", source.strip(), flags=re.M)
    found = [re.fullmatch(r"(\d+(?:\.\d+)?): (.+)", " ".join(item.split())) for item in items[1:]]
    if items[0] or not found or not all(found):
        raise BuildError(f"{place}: a rubric is a list of lines `- POINTS: what they are for`, as `- 0.5: names both`")
    rubric = [(float(match[1]), match[2]) for match in found]
    if not math.isclose(there := sum(worth for worth, _ in rubric), points):
        raise BuildError(f"{place}: the rubric gives {there:g} points, its text has {points:g}")
    return rubric


def stub(text: str, markdown: bool = False) -> str:
    """The text with every solution replaced by a stub of its indentation."""

    def replace(block: re.Match) -> str:
        if markdown:
            return TEXT_STUB
        return "\n".join(block[1] + line for line in STUB.splitlines())

    return _blocks("SOLUTION").sub(replace, text)


def solved(text: str) -> str:
    """The text without the markers of solutions."""
    return re.sub(r"^[ \t]*### (BEGIN|END) SOLUTION\n?", "", text, flags=re.M)


def shown(text: str) -> str:
    """The text without hidden tests."""
    return _blocks("HIDDEN TESTS").sub("", text).rstrip()


def everything(text: str) -> str:
    """The text with hidden tests, without their markers."""
    return re.sub(r"^[ \t]*### (BEGIN|END) HIDDEN TESTS\n?", "", text, flags=re.M)


def _blocks(what: str) -> re.Pattern:
    return re.compile(rf"^([ \t]*)### BEGIN {what}\n.*?^[ \t]*### END {what}[ \t]*$", re.M | re.S)


def student(notebook: NotebookNode) -> NotebookNode:
    """Stubs for solutions, no hidden tests, no wrong answers, no outputs."""
    notebook = _for_students(notebook)
    for cell in notebook.cells:
        cell.source = shown(stub(cell.source, cell.cell_type == "markdown"))
    return notebook


def instructor(notebook: NotebookNode) -> NotebookNode:
    """Solutions and hidden tests between nbgrader's markers, no wrong answers, no outputs.

    Each check begins with a hidden test that loads the checks anew from their files: what a submission has put in their
    place does not grade it.
    """
    notebook = _for_students(notebook)
    found = [CHECKS.search(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    module = next((match[1] for match in found if match), None)
    for cell in notebook.cells:
        meta = cell.metadata.get("nbgrader", {})
        if module and cell.cell_type == "code" and meta.get("grade") and not meta.get("solution"):
            cell.source = FRESH.format(module=module) + cell.source
    return notebook


def book(notebook: NotebookNode) -> NotebookNode:
    """The page of the book: a stub as text; the solution, and what the check says of it, each behind a click."""
    notebook = _for_students(notebook)
    cells = []
    for cell in notebook.cells:
        meta = cell.metadata.pop("nbgrader", {})
        if not meta.get("solution"):
            cell.source = shown(cell.source)
            if meta.get("grade"):  # "Correct. …" says what is correct
                cell.metadata["tags"] = [*cell.metadata.get("tags", []), "hide-output"]
                cell.metadata["mystnb"] = {
                    "code_prompt_show": "Show what the check says of the solution",
                    "code_prompt_hide": "Hide what the check says",
                }
            cells.append(cell)
        elif cell.cell_type == "markdown":
            answer = solved(cell.source).strip()
            cells.append(_markdown(f":::{{dropdown}} Show an answer\n{answer}\n:::", cell))
        else:
            cells.append(_markdown(f"```python\n{stub(cell.source)}\n```", cell))
            cell.source = solved(cell.source)
            cell.metadata["tags"] = ["hide-cell"]
            cell.metadata["mystnb"] = {
                "code_prompt_show": "Show the solution",
                "code_prompt_hide": "Hide the solution",
            }
            cells.append(cell)
    notebook.cells = cells
    return notebook


def _markdown(text: str, like: NotebookNode) -> NotebookNode:
    cell = nbformat.v4.new_markdown_cell(text)
    cell.id = f"{like.id}-stub"
    return cell


def _for_students(notebook: NotebookNode) -> NotebookNode:
    """Without wrong answers, rubrics and objectives, which the page for instructors shows."""
    notebook = copy.deepcopy(notebook)
    notebook.cells = [c for c in notebook.cells if not {WRONG, RUBRIC} & set(c.metadata.get("tags", []))]
    for cell in notebook.cells:
        cell.metadata.pop("objectives", None)
    return notebook


CONFIG = """\
# nbgrader reads this file; it is yours to change, and `make assignments` writes it only where there is none.
c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "medlatent"
c.ClearSolutions.code_stub = {"python": "# YOUR CODE HERE\\nraise NotImplementedError"}
c.Execute.timeout = 300  # seconds a cell

# `nbgrader zip_collect` reads whose file it is from the names in an archive of Moodle or Canvas. For another platform,
# remove the first line and give a pattern of your own, such as the second.
c.ZipCollectApp.collector_plugin = "medlatent.course.grading.platforms.Archive"
# c.FileNameCollectorPlugin.named_regexp = r".*/(?P<student_id>\\w+)_(?P<file_id>.+)"

# On a JupyterHub assignments go out and come back through a folder that all accounts share. Students need the same
# line, in /etc/jupyter/nbgrader_config.py: where it stands there, it is not needed here.
# c.Exchange.root = "/srv/nbgrader/exchange"
"""


def write_student(root: Path) -> Path:
    """Collects the student's editions in ``_build/student``."""
    from pair import derive

    target = root / "_build/student"
    shutil.rmtree(target, ignore_errors=True)
    for source in sources(root):
        write(target / f"{source.stem}.ipynb", derive(source))
    return target


def write_assignments(root: Path, course: Path) -> Path:
    """Writes the sources of an nbgrader course.

    Releases, submissions, the gradebook, a changed configuration and assignments of one's own stay as they are.

    Raises:
        BuildError: the course is new, and an earlier one still lies in ``_build``, where it was written before; or a
            notebook of the course was edited by hand. Then nothing is written.
    """
    from pair import derive, edit

    earlier = root / "_build/assignments"
    if earlier.is_dir() and not course.exists():
        raise BuildError(
            f"{earlier} holds a course, with the grades if it was used; courses live outside _build now. "
            f"Take it over with: mv {earlier} {course}"
        )
    notebooks = {}
    for source in sources(root):
        target = course / f"source/{source.stem.removesuffix(SUFFIX)}/{source.stem}.ipynb"
        notebooks[target] = derive(source, instructor)
        if difference := edit(target, notebooks[target]):
            raise BuildError(
                f"{target} was edited by hand and is left as it is.\n\n{difference}\n\n"
                f"Repeat the change in {source}, or keep this one under another name; then remove it"
            )
    if not (config := course / "nbgrader_config.py").exists():
        write(config, CONFIG)
    for target, text in notebooks.items():
        write(target, text)
    return course


def sources(root: Path) -> list[Path]:
    """The exercise notebooks, in the order of their numbers."""
    return sorted((root / "notebooks").glob(f"*{SUFFIX}.py"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("edition", choices=("student", "assignments"))
    parser.add_argument("--course", type=Path, metavar="FOLDER", help="of the assignments (default: assignments)")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    args = parser.parse_args()
    root = args.root.resolve()
    for source in sources(root):
        read(source)  # refuses an incomplete exercise before anything is written
    if args.edition == "student":
        written = write_student(root)
    else:
        written = write_assignments(root, (args.course or root / "assignments").resolve())
    print(f"wrote {written}")


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        sys.exit(str(error))
