"""The instructor's course in nbgrader's own hands: released, handed in, graded, given back and exported.

Every assignment is released. One is graded here, the quickest, in four ways; ``MEDLATENT_GRADE=all make test`` grades a
perfect submission of each. That a solution passes its own check, hidden tests and all, ``test_exercises.py`` tests for
every exercise.
"""

import copy
import csv
import json
import os
import re
import subprocess
from pathlib import Path

import exercises
import pytest
from pair import derive

pytestmark = [pytest.mark.nbgrader, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
NBGRADER = ROOT / ".venv-nbgrader/bin/nbgrader"
SOURCES = exercises.sources(ROOT)
CHOSEN = next(s for s in SOURCES if s.stem == "01_images_exercises")  # the one that is handed in in four ways
GRADED = SOURCES if os.environ.get("MEDLATENT_GRADE") == "all" else [CHOSEN]

# `nbgrader generate_assignment` for each name: nbgrader takes five seconds to start, and a fraction of one to release.
RELEASE = """
import sys
from nbgrader.apps import NbGraderAPI
from nbgrader.apps.baseapp import NbGrader

app = NbGrader()
app.initialize([])
api = NbGraderAPI(config=app.config)
for name in sys.argv[1:]:
    done = api.generate_assignment(name)
    if not done["success"]:
        sys.exit(name + ": " + done.get("error", "") + done.get("log", ""))
"""


class Course:
    """A folder of nbgrader, with the course in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        exercises.write_assignments(ROOT, folder)

    def run(
        self,
        *command: str,
        program: tuple[str | Path, ...] = (NBGRADER,),
        folder: Path | None = None,
        settings: dict[str, str] | None = None,
    ) -> str:
        """Runs a command in the course, or in another folder with other settings; what it says."""
        environment = os.environ | {"OMP_NUM_THREADS": "1", "PATH": f"{NBGRADER.parent}:{os.environ['PATH']}"}
        done = subprocess.run(
            [*program, *command],
            cwd=folder or self.folder,
            env=environment | (settings or {}),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert " ERROR" not in done.stderr, done.stderr
        return done.stdout + done.stderr

    def released(self, source: Path) -> dict:
        return json.loads((self.folder / "release" / name(source) / f"{source.stem}.ipynb").read_text())

    def submit(self, student: str, source: Path, notebook: dict) -> None:
        target = self.folder / "submitted" / student / name(source) / f"{source.stem}.ipynb"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(json.dumps(notebook))


def name(source: Path) -> str:
    return source.stem.removesuffix(exercises.SUFFIX)


def grade_id(cell: dict) -> str:
    return cell["metadata"].get("nbgrader", {}).get("grade_id", "")


def exercise_of(cell: dict) -> str:
    return "-".join(grade_id(cell).split("-")[:2])


def answered(notebook: dict, source: Path, only: set[str] | None = None) -> dict:
    """The released notebook with the answers of some exercises, or of all, filled in."""
    notebook = copy.deepcopy(notebook)
    solutions = {grade_id(cell): cell for cell in json.loads(derive(source, exercises.instructor))["cells"]}
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("solution") and (only is None or exercise_of(cell) in only):
            cell["source"] = solutions[grade_id(cell)]["source"]
    return notebook


def points(source: Path, only: set[str] | None = None) -> float:
    """What nbgrader gives by itself for these exercises: the texts wait for a person."""
    cells = json.loads(derive(source, exercises.instructor))["cells"]
    return sum(
        cell["metadata"]["nbgrader"].get("points", 0)
        for cell in cells
        if grade_id(cell)
        and not cell["metadata"]["nbgrader"]["solution"]
        and (only is None or exercise_of(cell) in only)
    )


@pytest.fixture(scope="module")
def course(tmp_path_factory) -> Course:
    """The course with every assignment released, and one of them graded in four ways."""
    if not NBGRADER.exists():
        pytest.fail("no nbgrader in .venv-nbgrader: run make test, which installs it")
    course = Course(tmp_path_factory.mktemp("course"))
    course.run(*map(name, SOURCES), program=(NBGRADER.with_name("python"), "-c", RELEASE))
    for source in GRADED:
        course.submit("perfect", source, answered(course.released(source), source))
    released = course.released(CHOSEN)
    course.submit("empty", CHOSEN, released)
    course.submit("half", CHOSEN, answered(released, CHOSEN, HALF))
    broken = answered(released, CHOSEN)
    first = next(c for c in broken["cells"] if grade_id(c) == "images-1")
    first["source"] = "def hounsfield(raw, :\n    return"
    course.submit("broken", CHOSEN, broken)
    for source in GRADED:
        course.run("autograde", name(source))
    course.run("generate_feedback", name(CHOSEN))
    course.run("export", "--to=grades.csv")
    return course


HALF = {e.name for e in exercises.read(CHOSEN)[1][:3]}


@pytest.fixture(scope="module")
def grades(course) -> dict[tuple[str, str], tuple[float, float]]:
    """Score and maximum by assignment and student, from the exported table."""
    with open(course.folder / "grades.csv", newline="") as file:
        return {
            (row["assignment"], row["student_id"]): (float(row["score"]), float(row["max_score"]))
            for row in csv.DictReader(file)
        }


@pytest.mark.parametrize("source", SOURCES, ids=name)
def test_what_nbgrader_releases_is_the_students_edition(course, source):
    ours = [c["source"] for c in json.loads(derive(source))["cells"]]
    theirs = ["".join(c["source"]) for c in course.released(source)["cells"]]
    assert [text.rstrip() for text in theirs] == [text.rstrip() for text in ours]


@pytest.mark.parametrize("source", GRADED, ids=name)
def test_a_perfect_submission_gets_every_point_that_needs_no_person(grades, source):
    score, most = grades[name(source), "perfect"]
    assert score == points(source)
    assert most == sum(e.points for e in exercises.read(source)[1])


def test_an_empty_submission_gets_nothing(grades):
    assert grades[name(CHOSEN), "empty"][0] == 0


def test_half_the_answers_get_their_points_and_no_others(grades):
    score, _ = grades[name(CHOSEN), "half"]
    assert score == points(CHOSEN, HALF)
    assert 0 < score < points(CHOSEN)


def test_a_syntax_error_costs_its_own_exercise_alone(grades):
    score, _ = grades[name(CHOSEN), "broken"]
    assert score == points(CHOSEN) - points(CHOSEN, {"images-1"})


def test_the_feedback_says_in_a_sentence_what_is_wrong(course):
    feedback = course.folder / "feedback"
    page = (feedback / "empty" / name(CHOSEN) / f"{CHOSEN.stem}.html").read_text()
    assert "hounsfield(…) is still the empty stub" in page
    assert "answers.py" not in page, "a traceback through the check"
    assert "Correct. " in (feedback / "perfect" / name(CHOSEN) / f"{CHOSEN.stem}.html").read_text()


# ------------------------------------------------------------------------------------------- the exchange of a hub


def test_the_exchange_of_a_hub_takes_an_assignment_there_and_its_feedback_back(course, tmp_path):
    """With the lines of the page for instructors in the place of /etc/jupyter/nbgrader_config.py."""
    page = (ROOT / "book/instructors.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(c = get_config\(\)\n.+?)```", page, re.S)
    assert '"/srv/nbgrader/exchange"' in lines
    assert '# c.Exchange.root = "/srv/nbgrader/exchange"' in exercises.CONFIG
    exchange, home = tmp_path / "exchange", tmp_path / "ada"
    exchange.mkdir()
    home.mkdir()
    (tmp_path / "nbgrader_config.py").write_text(lines.replace("/srv/nbgrader/exchange", str(exchange)))
    settings = {"JUPYTER_CONFIG_PATH": str(tmp_path)}
    own = settings | {"HOME": str(home)}
    assignment, file = name(CHOSEN), f"{CHOSEN.stem}.ipynb"

    course.run("release_assignment", assignment, settings=settings)
    assert oct((exchange / "medlatent/inbound").stat().st_mode)[-3:] == "733", "others could list what was handed in"
    assert f"medlatent {assignment}" in course.run("list", folder=home, settings=own)
    course.run("fetch_assignment", assignment, folder=home, settings=own)
    fetched = home / assignment / file
    notebook = json.loads(fetched.read_text())
    assert notebook == course.released(CHOSEN)
    fetched.write_text(json.dumps(answered(notebook, CHOSEN, HALF)))
    course.run("submit", assignment, "--student=ada", folder=home, settings=own)
    course.run("collect", assignment, "--update", settings=settings)
    assert (course.folder / "submitted/ada" / assignment / file).read_text() == fetched.read_text()

    course.run("autograde", assignment, "--student=ada", settings=settings)
    course.run("generate_feedback", assignment, "--student=ada", settings=settings)
    course.run("release_feedback", assignment, "--student=ada", settings=settings)
    course.run("fetch_feedback", assignment, folder=home, settings=own)
    (feedback,) = (home / assignment / "feedback").rglob(f"{CHOSEN.stem}.html")
    assert "Correct. " in feedback.read_text()
