"""A class hands in: some did well, some did not, some did harm. Each gets what is due, and nobody is in another's way.

The assignment is a small one, of two exercises whose checks are those of *Start here*; it goes through the archives of
Moodle and Canvas, nbgrader and ``python -m medlatent grade`` as one of the course does.
"""

import copy
import csv
import json
import os
import re
import socket
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import exercises
import pytest

pytestmark = [pytest.mark.nbgrader, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
BIN = ROOT / ".venv-nbgrader/bin"
NAME = "90_small_exercises.ipynb"
SECONDS = 30  # a cell, on a busy machine
SOURCE = """\
# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
# ---

# %% [markdown]
# # Exercises: small

# %% nbgrader={"grade": false, "grade_id": "small-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch

from medlatent.course.exercises import start as check

# %% nbgrader={"grade": false, "grade_id": "small-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def walk(code, dimension, values):
    ### BEGIN SOLUTION
    walked = code.repeat(len(values), 1)
    walked[:, dimension] = values
    return walked
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "small-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.walk(walk)
### BEGIN HIDDEN TESTS
check.walk(walk, seed=73)
### END HIDDEN TESTS

# %% nbgrader={"grade": false, "grade_id": "small-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lazy_loss(images, variance):
    ### BEGIN SOLUTION
    sse = (images - images.mean(0)).square().flatten(1).sum(1)
    return sse.mean() / (2 * variance)
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "small-2-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.lazy_loss(lazy_loss)
"""  # noqa: E501
WALK = "def walk(code, dimension, values):\n    walked = code.repeat(len(values), 1)\n"
WALK += "    walked[:, dimension] = values\n    return walked\n"
LOSS = "def lazy_loss(images, variance):\n"
LOSS += "    return (images - images.mean(0)).square().flatten(1).sum(1).mean() / (2 * variance)\n"
WRONG = {"small-1": "def walk(*_):\n    return torch.zeros(1)\n", "small-2": "def lazy_loss(*_):\n    return 0.0\n"}


def grade_id(cell: dict) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


class Class:
    """The course's folder, and what its students hand in."""

    def __init__(self, folder: Path) -> None:
        root = folder / "root"
        (root / "notebooks").mkdir(parents=True)
        (root / f"notebooks/{Path(NAME).stem}.py").write_text(SOURCE)
        self.folder = exercises.write_assignments(root, folder / "course")
        self.run("nbgrader", "generate_assignment", "90_small")
        self.released = json.loads((self.folder / "release/90_small" / NAME).read_text())

    def run(self, *command: str, status: int = 0) -> str:
        paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        environment["PATH"] = f"{BIN}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [BIN / command[0], *command[1:]],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def answered(self, **answers: str) -> dict:
        """The released notebook with answers, by default the right ones; ``small_2="…"`` is another."""
        notebook, right = copy.deepcopy(self.released), {"small_1": WALK, "small_2": LOSS}
        for cell in notebook["cells"]:
            if (name := grade_id(cell).replace("-", "_")) in right:
                cell["source"] = answers.get(name, right[name])
        return notebook

    def first(self, code: str, **answers: str) -> dict:
        """A notebook in which a student's own cell stands before the answers."""
        notebook = self.answered(**answers)
        place = next(i for i, cell in enumerate(notebook["cells"]) if grade_id(cell) == "small-1")
        cell = {
            "cell_type": "code",
            "metadata": {},
            "source": code,
            "outputs": [],
            "execution_count": None,
            "id": "own",
        }
        notebook["cells"].insert(place, cell)
        return notebook

    def submit(self, student: str, notebook: dict | str, name: str = NAME) -> None:
        target = self.folder / "submitted" / student / "90_small" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(notebook if isinstance(notebook, str) else json.dumps(notebook))

    def outputs(self, student: str) -> str:
        """What a notebook printed, all cells together."""
        cells = json.loads((self.folder / "autograded" / student / "90_small" / NAME).read_text())["cells"]
        printed = [output.get("text", "") for cell in cells for output in cell.get("outputs", [])]
        return "".join("".join(text) for text in printed)


def copied(notebook: dict, grade: str, source: str | None = None) -> dict:
    """With a copy of a cell at the end, nbgrader's marks included, as *Copy cell* makes one."""
    cell = copy.deepcopy(next(cell for cell in notebook["cells"] if grade_id(cell) == grade))
    cell["id"], cell["source"] = "copied", cell["source"] if source is None else source
    return notebook | {"cells": [*notebook["cells"], cell]}


FAKE = "class check:\n    def __getattr__(self, name):\n        return lambda *_, **__: print('Correct.')\n\n\n"
FAKE += "check = check()\n"
PATCH = "import numpy as np\nfor name in dir(check):\n    if callable(getattr(check, name)):\n"
PATCH += "        setattr(check, name, lambda *_, **__: print('Correct.'))\n"
PATCH += "torch.equal = np.allclose = lambda *_, **__: True\n"
SPY = """\
from pathlib import Path
import os
names = ("gradebook.db", "90_small_exercises.ipynb", "90_small_exercises.py", "job.json")
seen = [str(p) for up in ("..", "../..", "../../..") for name in names for p in Path(up).glob("**/" + name)]
for folder in {folders}:
    try:
        seen += [str(p) for p in Path(folder).glob("**/*") if p.is_file()]
    except OSError:
        pass
print("seen", seen)
print("tokens", [name for name in os.environ if "TOKEN" in name])
"""
CALL = """\
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), timeout=3)
    print("connected")
except OSError:
    print("no network")
"""


@pytest.fixture(scope="module")
def isolation() -> str:
    code = "from medlatent.course.grading.sandbox import offered; print(offered())"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [BIN / "python", "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def graded(tmp_path_factory, isolation) -> tuple[Class, dict[str, str]]:
    """The class, and the line that was said of each student."""
    if not (BIN / "nbgrader").exists():
        pytest.fail("no nbgrader in .venv-nbgrader: run make test, which installs it")
    pupils = Class(tmp_path_factory.mktemp("class"))
    archives(pupils)
    pupils.run("nbgrader", "zip_collect", "90_small")
    with socket.create_server(("127.0.0.1", 0)) as server:
        hand_in(pupils, server.getsockname()[1])
        os.environ["A_TOKEN"] = "secret"
        try:
            said = pupils.run(
                *("python", "-m", "medlatent", "grade", "90_small", "--timeout", str(SECONDS), "--output", "0.5"),
                status=1,
            )
        finally:
            del os.environ["A_TOKEN"]
        server.settimeout(0)
        if isolation:
            with pytest.raises(BlockingIOError):
                server.accept()
    print(said)
    return pupils, dict(re.findall(r"^(\S+(?: \S+)*)  +((?:graded|NOT GRADED).*)$", said, re.M))


def archives(pupils: Class) -> None:
    """What Moodle and Canvas give to a teacher: Moodle's folders, its flat variant, and Canvas's with a late one."""
    folder = pupils.folder / "downloaded/90_small/archive"
    folder.mkdir(parents=True)
    perfect, half = json.dumps(pupils.answered()), json.dumps(pupils.answered(small_2=WRONG["small-2"]))
    held = {
        "moodle.zip": {f"Lovelace Ada_1234567_assignsubmission_file_/{NAME}": perfect},
        "flat.zip": {f"Müller-Lüdenscheidt Bo_1234568_assignsubmission_file_{NAME}": half},
        "canvas.zip": {
            "turingalan_12345_67890_90_small_exercises-1.ipynb": perfect,
            f"hoppergrace_LATE_12346_67891_{NAME}": half,
        },
    }
    for name, contents in held.items():
        with zipfile.ZipFile(folder / name, "w") as archive:
            for path, text in contents.items():
                archive.writestr(path, text)


def hand_in(pupils: Class, port: int) -> None:
    """What did not come in an archive."""
    answered, first = pupils.answered, pupils.first
    pupils.submit("empty", pupils.released)
    pupils.submit("broken", json.dumps(answered())[:-200])
    pupils.submit("copied", copied(answered(), "small-1-check"))
    pupils.submit("undecided", copied(answered(small_2=WRONG["small-2"]), "small-2", LOSS))
    deleted = answered()
    deleted["cells"] = [c for c in deleted["cells"] if grade_id(c) not in ("small-setup", "small-2-check")]
    pupils.submit("deleted", deleted)
    pupils.submit("exits", answered(small_2="import os\nos._exit(0)\n" + LOSS))
    pupils.submit("endless", answered(small_1="def walk(*_):\n    while True:\n        pass\n"))
    pupils.submit("floods", first('for _ in range(50):\n    print("x" * 1_000_000)'))
    pupils.submit("renamed", answered(), "90_Small_Exercises (1) Curie Marie.ipynb")
    pupils.submit("twice", answered(), "a.ipynb")
    pupils.submit("twice", answered(), "b.ipynb")
    pupils.submit("nothing", "my answers are right", "answers.txt")
    pupils.submit("fakes", first(FAKE, small_1=WRONG["small-1"], small_2=WRONG["small-2"]))
    pupils.submit("patches", first(PATCH, small_1=WRONG["small-1"], small_2=WRONG["small-2"]))
    folders = [str(pupils.folder), str(Path.home() / ".ssh"), str(ROOT / "notebooks")]
    pupils.submit("spies", first(SPY.format(folders=folders) + CALL.format(port=port)))


SAID: dict[str, Callable[[str], bool] | str] = {
    "Lovelace Ada_1234567": r"graded 3/3",
    "Müller-Lüdenscheidt Bo_1234568": r"graded 2/3",
    "turingalan_12345": r"graded 3/3; 90_small_exercises-1.ipynb taken for 90_small_exercises.ipynb",
    "hoppergrace_12346": r"graded 2/3",
    "empty": r"graded 0/3",
    "broken": r"NOT GRADED; 90_small_exercises.ipynb cannot be read as JSON \(.*line.*\); ask for the file again",
    "copied": r"graded 3/3; copied cells in small-1, the last of each is graded",
    "undecided": r"graded 2/3; copied cells in small-2, .*; two different answers to small-2: see .* \[look at it\]",
    "deleted": r"graded 3/3; deleted cells of small-2, small-setup put back",
    "exits": r"graded 2/3; the kernel died in small-2, graded without that cell \[look at it\]",
    "endless": rf"graded 1/3; time limit \({SECONDS} s\) in small-1 \[look at it\]",
    "floods": r"graded 3/3; output cut at 0.5 MB",
    "renamed": r"graded 3/3; 90_Small_Exercises \(1\) Curie Marie.ipynb taken for 90_small_exercises.ipynb",
    "twice": r"NOT GRADED; 2 notebooks fit, a.ipynb, b.ipynb: give the right one the name 90_small_exercises.ipynb",
    "nothing": r"NOT GRADED; no notebook of this assignment found among answers.txt",
    "fakes": r"graded 0/3",
    "patches": r"graded 0/3; replaced numpy.allclose, torch.equal, which was undone before each check \[look at it\]",
    "spies": r"graded 3/3",
}


@pytest.mark.parametrize("student", SAID)
def test_each_gets_the_right_points_and_a_line_that_says_why(graded, student):
    _, lines = graded
    assert re.fullmatch(SAID[student], lines.get(student, "not mentioned")), lines.get(student, lines)


def test_nobody_is_left_out(graded):
    assert set(graded[1]) == set(SAID)


def test_a_submission_sees_no_gradebook_no_solutions_no_other_submissions_and_no_keys(graded, isolation):
    printed = graded[0].outputs("spies")
    assert "tokens []" in printed
    if isolation != "bubblewrap":
        pytest.skip("without bubblewrap files can be read by their whole paths, as the command says")
    assert "seen []" in printed


def test_a_submission_has_no_network(graded, isolation):
    if not isolation:
        pytest.skip("neither bubblewrap nor unshare works here, as the command says")
    assert "no network" in graded[0].outputs("spies")


def test_feedback_is_small_however_much_was_printed(graded):
    pupils, _ = graded
    pupils.run("nbgrader", "generate_feedback", "90_small", "--student=floods")
    page = pupils.folder / f"feedback/floods/90_small/{Path(NAME).stem}.html"
    assert "output was cut here" in page.read_text()
    assert page.stat().st_size < 2e6


def test_one_student_can_be_graded_again(graded):
    pupils, _ = graded
    (pupils.folder / "submitted/twice/90_small/b.ipynb").unlink()
    said = pupils.run("python", "-m", "medlatent", "grade", "90_small", "--student", "twice")
    assert "graded 3/3; a.ipynb taken for 90_small_exercises.ipynb" in said
    assert "1 of 1 graded\n" in said


def test_the_points_leave_in_the_form_that_each_platform_imports(graded):
    pupils, _ = graded
    pupils.run("python", "-m", "medlatent", "export", "90_small", "--to", "canvas", "--column", "Small (4711)")
    rows = list(csv.reader((pupils.folder / "90_small_canvas.csv").read_text().splitlines()))
    assert rows[0] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Small (4711)"]
    assert rows[1] == ["Points Possible", "", "", "", "", "3"]
    assert ["hoppergrace", "12346", "", "", "", "2"] in rows
    assert ["empty", "", "", "empty", "", "0"] in rows
    said = pupils.run("python", "-m", "medlatent", "export", "90_small", "--to", "moodle", "--out", "points.csv")
    assert re.search(r"not in the table, .*: .*\bempty\b", said)
    rows = list(csv.reader((pupils.folder / "points.csv").read_text().splitlines()))
    assert rows[0] == ["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)"]
    assert ["Participant 1234568", "Müller-Lüdenscheidt Bo", "2", "3", ""] in rows


def test_where_files_cannot_be_hidden_a_submission_that_changes_others_stops_the_grading(graded):
    pupils, _ = graded
    other = pupils.folder / "submitted/empty/90_small/added.txt"
    pupils.submit("writes", pupils.first(f"from pathlib import Path\nPath({str(other)!r}).write_text('mine')"))
    code = (
        "import sys\nfrom medlatent.__main__ import main\nfrom medlatent.course.grading import grade\n"
        "grade.offered = lambda: ''\nsys.exit(main(['grade', '90_small', '--student', sys.argv[1]]))"
    )
    assert "graded 3/3" in pupils.run("python", "-c", code, "renamed")
    assert "graded" not in pupils.run("python", "-c", code, "writes", status=1).partition("Limits")[2]
    assert other.exists()
