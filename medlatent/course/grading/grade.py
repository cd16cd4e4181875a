"""Grades the submissions of an assignment, each by itself, and enters the points into nbgrader's gradebook."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import logging
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbgrader.api import Gradebook
from nbgrader.apps.baseapp import NbGrader
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from nbgrader.preprocessors import Execute
from traitlets.config import Config

from ...files.places import PROJECT
from .isolated import Found, execute
from .sandbox import Limits, offered
from .submissions import NotGradable, files, find, mend, place

STRUCTURE = "{nbgrader_step}/{student_id}/{assignment_id}"


@dataclass
class Outcome:
    """What became of one submission.

    Attributes:
        student: nbgrader's id.
        graded: whether points were entered.
        score: of the points that are there, 0 if it was not graded.
        most: the points of the assignment.
        by_hand: points of answers that wait for a person.
        notes: what happened, in sentences.
        needs_person: whether somebody has to look at it before the points count; texts to be read are none of this.
    """

    student: str
    graded: bool = False
    score: float = 0.0
    most: float = 0.0
    by_hand: float = 0.0
    notes: list[str] = field(default_factory=list)
    needs_person: bool = False

    def __str__(self) -> str:
        said = f"graded {self.score:g}/{self.most:g}" if self.graded else "NOT GRADED"
        waits = [f"{self.by_hand:g} more for texts to be read"] if self.by_hand else []
        line = "; ".join([said, *waits, *self.notes]) + (" [look at it]" if self.needs_person and self.graded else "")
        # Names of files come from students: a line break in one would make a line about somebody else.
        return "".join(letter if letter.isprintable() else "?" for letter in line)


class Course:
    """A course folder of nbgrader, with its configuration.

    Args:
        folder: with ``nbgrader_config.py`` in it.

    Raises:
        FileNotFoundError: there is no such folder, or it is none of nbgrader.
        ValueError: its configuration names another structure of folders than nbgrader's own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        if not (self.folder / "nbgrader_config.py").is_file():
            raise FileNotFoundError(f"{folder} holds no nbgrader_config.py: name the course, --course FOLDER")
        app = NbGrader()
        with contextlib.chdir(self.folder):
            app.initialize([])
        self.config = app.config
        self.config.CourseDirectory.root = str(self.folder)
        self.directory = CourseDirectory(config=self.config)
        if self.directory.directory_structure.replace("\\", "/") != STRUCTURE:
            raise ValueError(
                f"{self.folder}/nbgrader_config.py: c.CourseDirectory.directory_structure must be {STRUCTURE!r}"
            )

    def gradebook(self) -> Gradebook:
        """The gradebook, to be used in a ``with``."""
        return Gradebook(self.directory.db_url, self.directory.course_id)

    def seconds_a_cell(self) -> int:
        """``c.Execute.timeout`` of the configuration."""
        return Execute(config=self.config).timeout or Limits.cell

    def path(self, step: str, student: str, assignment: str) -> Path:
        """A folder of one student, or of all for ``"."``; the step is ``submitted``, ``release``, …"""
        return Path(self.directory.format_path(getattr(self.directory, f"{step}_directory"), student, assignment))

    def released(self, assignment: str) -> dict[str, NotebookNode]:
        """The notebooks of an assignment as students got them, by the names of their files.

        Raises:
            FileNotFoundError: it was not released, or the gradebook does not know it.
        """
        folder = self.path("release", ".", assignment)
        notebooks = {path.name: nbformat.read(path, as_version=4) for path in sorted(folder.glob("*.ipynb"))}
        known = []
        if notebooks:  # else to look would make a gradebook
            with self.gradebook() as gradebook:
                known = [found.name for found in gradebook.assignments]
        if assignment not in known:
            raise FileNotFoundError(
                f"{assignment} was not released in {self.folder}: run nbgrader generate_assignment {assignment} there"
            )
        return notebooks

    def students(self, assignment: str) -> list[str]:
        """Who handed something in."""
        return sorted(
            path.parent.name for path in self.path("submitted", "*", "x").parent.parent.glob(f"*/{assignment}")
        )

    def without(self, assignment: str) -> list[str]:
        """Who is in the gradebook and handed nothing in."""
        with self.gradebook() as gradebook:
            known = {student.id for student in gradebook.students}
        return sorted(known - set(self.students(assignment)))


def grade(
    course: Course,
    assignment: str,
    students: Sequence[str] = (),
    *,
    limits: Limits | None = None,
    only_new: bool = False,
) -> Iterator[Outcome]:
    """Grades submissions one after the other; what happens to one says nothing about the next.

    Args:
        course: the course.
        assignment: its name, as ``02_vae``.
        students: whose submissions; by default all.
        limits: what a submission may use.
        only_new: leave those alone that were graded after they had been handed in.

    Yields:
        What became of each.

    Raises:
        FileNotFoundError: the assignment was not released, or nobody, or one of the students, handed it in.
        RuntimeError: where submissions cannot be kept from the gradebook, one changed it or the package.
    """
    released, isolation = course.released(assignment), offered()
    there = course.students(assignment)
    if not there:
        raise FileNotFoundError(f"nobody handed in: nothing is at {course.path('submitted', 'STUDENT', assignment)}")
    if unknown := sorted(set(students) - set(there)):
        raise FileNotFoundError(f"nothing is at {course.path('submitted', unknown[0], assignment)}")
    for student in students or there:
        if only_new and _is_graded(course, assignment, student):
            continue
        outcome = Outcome(student)
        run = _Run(course, limits or Limits(cell=course.seconds_a_cell()), isolation)
        try:
            _grade_one(run, assignment, student, released, outcome)
        except NotGradable as error:
            outcome.notes.append(str(error))
        except _Tampered:
            raise RuntimeError(
                f"while the submission of {student} ran, the gradebook, a submission or the package was changed: "
                "restore them from a backup, and look at this submission before any other"
            ) from None
        except (Exception, SystemExit) as error:  # nbgrader's own, and those of a damaged submission
            outcome.notes.append(f"{type(error).__name__}: {_in_short(error)}")
        outcome.needs_person |= not outcome.graded
        yield outcome


class _Tampered(Exception):
    pass


@dataclass
class _Run:
    """One notebook's way through nbgrader, with ``execute`` in the place of nbgrader's own execution."""

    course: Course
    limits: Limits
    isolation: str
    error: Exception | None = None
    found: list[tuple[NotebookNode, Found]] = field(default_factory=list)

    def __call__(self, notebook: NotebookNode, resources: dict) -> tuple[NotebookNode, dict]:
        exposed = self.isolation != "bubblewrap"
        try:
            before = _stamp(self.course) if exposed else ""
            executed, found = execute(
                notebook,
                Path(resources["metadata"]["path"]),
                isolation=self.isolation,
                hidden=[self.course.folder],
                limits=self.limits,
            )
            if exposed and _stamp(self.course) != before:
                raise _Tampered
        except Exception as error:  # nbgrader logs it, and goes on with an error of its own
            self.error = error
            raise
        self.found.append((executed, found))
        return executed, resources


def _grade_one(run: _Run, assignment: str, student: str, released: dict[str, NotebookNode], outcome: Outcome) -> None:
    course, folder = run.course, run.course.path("submitted", student, assignment)
    with tempfile.TemporaryDirectory(prefix="prepared-") as prepared:
        target = Path(prepared) / student / assignment
        target.mkdir(parents=True)
        for name, notebook in released.items():
            _, handed_in, notes = find(folder, name, notebook)
            mended = mend(handed_in, notebook)
            outcome.notes += [*notes, *mended.notes, *mended.questions]
            outcome.needs_person |= bool(mended.questions)
            nbformat.write(mended.notebook, target / name)
        outcome.notes += _copy_others(folder, target, run.limits.file_size)
        with _log() as log:
            try:
                _autograde(run, assignment, student, Path(prepared))
            except (Exception, SystemExit) as error:
                if run.error:
                    raise run.error from error
                causes = [said for said in log if said.startswith("Traceback")]
                raise NotGradable(f"nbgrader stops: {_in_short(causes[-1] if causes else error)}") from error
    for executed, found in run.found:
        outcome.notes += _happened(executed, found, run.limits)
        outcome.needs_person |= bool(found.died or found.timeouts or found.changed or found.unfinished or found.gave_up)
    with course.gradebook() as gradebook:
        submission = gradebook.find_submission(assignment, student)
        waiting = [g for notebook in submission.notebooks for g in notebook.grades if g.needs_manual_grade]
        outcome.graded, outcome.score, outcome.most = True, submission.score, submission.max_score
        outcome.by_hand = sum(grade.max_score for grade in waiting)


def _autograde(run: _Run, assignment: str, student: str, prepared: Path) -> None:
    config = Config()
    config.merge(run.course.config)
    config.CourseDirectory.update(
        submitted_directory=str(prepared), assignment_id=assignment, student_id=glob.escape(student), notebook_id="*"
    )
    converter = Autograde(coursedir=CourseDirectory(config=config), config=config)
    converter.force = True
    converter.autograde_preprocessors = [run if step is Execute else step for step in converter.autograde_preprocessors]
    converter.start()


def _happened(notebook: NotebookNode, found: Found, limits: Limits) -> list[str]:
    """What to tell a teacher of a run, in sentences."""

    def where(indices: Sequence[int]) -> str:
        return ", ".join(dict.fromkeys(place(notebook, index) for index in indices))

    notes = []
    if found.timeouts:
        notes.append(f"time limit ({limits.cell} s) in {where(found.timeouts)}")
    for index, what in found.died.items():
        how = "the kernel died" if "died" in what else "the kernel could not be stopped"
        notes.append(f"{how} in {where([index])}, graded without that cell")
    if found.gave_up:
        notes.append("the cells after these were not run")
    if found.unfinished:
        notes.append(f"after {limits.whole} s the rest was not run, from {where(found.unfinished[:1])} on")
    if found.cut:
        notes.append(f"output cut at {limits.output / 1e6:g} MB")
    if found.changed:
        names = ", ".join(list(dict.fromkeys(map(str, found.changed)))[:5])[:200]
        notes.append(f"replaced {names}, which was undone before each check")
    return notes


def _copy_others(folder: Path, target: Path, largest: int) -> list[str]:
    """Copies what lies beside the notebook; returns notes on what was left out."""
    left_out = []
    for path in files(folder):
        if path.suffix.lower() == ".ipynb":
            continue
        if path.stat().st_size > largest:
            left_out.append(path.name)
            continue
        there = target / path.relative_to(folder)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
    return [f"left out {', '.join(left_out)}, larger than {largest / 1e6:g} MB"] if left_out else []


def _is_graded(course: Course, assignment: str, student: str) -> bool:
    graded = list(course.path("autograded", student, assignment).glob("*.ipynb"))
    handed_in = [path.stat().st_mtime for path in files(course.path("submitted", student, assignment))]
    return bool(graded) and min(path.stat().st_mtime for path in graded) > max(handed_in, default=0)


def _stamp(course: Course) -> str:
    """Of what a submission could change where nothing hides it: gradebook, submissions, sources, and this package."""
    stamp = hashlib.sha256()
    watched = [*(PROJECT / "medlatent").rglob("*.py"), *course.folder.glob("*.db")]
    for step in ("source", "submitted", "release"):
        watched += (course.folder / getattr(course.directory, f"{step}_directory")).rglob("*")
    for path in sorted(watched):
        if path.is_file():
            stamp.update(f"{path}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return stamp.hexdigest()


@contextlib.contextmanager
def _log() -> Iterator[list[str]]:
    """What nbgrader logs, kept instead of shown."""
    said: list[str] = []
    handler, logger = logging.Handler(), logging.getLogger("traitlets")
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of nbgrader about itself
            yield said
    finally:
        logger.removeHandler(handler)


def _in_short(said: BaseException | str) -> str:
    """The last line, which of a traceback is the error."""
    lines = str(said).strip().splitlines()
    return lines[-1][:300] if lines else "it does not say why"
