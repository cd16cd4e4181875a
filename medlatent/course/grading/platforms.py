"""Archives of submissions from Moodle and Canvas, and tables of grades that these two import."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.plugins import FileNameCollectorPlugin

# What stands in an archive before the student's file.
# Moodle: `Lovelace Ada_1234567_assignsubmission_file_`, a folder or, if the teacher asked for none, a part of the name.
# Canvas: `lovelaceada_12345_67890_`, with `LATE_` before the first number of a late one; the second is the file's.
MOODLE = re.compile(r"/(?P<name>[^/]+)_(?P<number>\d+)_assignsubmission_file(?:_?/|_)(?P<file>.+)$")
CANVAS = re.compile(r"/(?P<name>[^/_]+)_(?:LATE_)?(?P<number>\d+)_\d+_(?P<file>.+)$")
FORMATS = ("moodle", "canvas")


class Archive(FileNameCollectorPlugin):
    """Tells nbgrader's ``zip_collect`` whose file it is; the student's id is name and number, ``Lovelace Ada_1234567``.

    The files keep the names that they have in the archive: which one is the exercise, grading finds out.
    """

    def collect(self, submitted_file: str) -> dict[str, str] | None:
        """The student and the file of a path in the unpacked archive, or ``None`` for one of another kind."""
        path = submitted_file.replace("\\", "/")
        if Path(path).suffix.lower() not in self.valid_ext:
            return None
        inside = "/" + path.rsplit("/extracted/", 1)[-1]
        if not (found := MOODLE.search(inside) or CANVAS.search(inside)):
            self.log.warning("%s is named neither as Moodle nor as Canvas does, and is skipped", inside[1:])
            return None
        return {"student_id": f"{found['name'].strip()}_{found['number']}", "file_id": found["file"]}


def table(gradebook: Gradebook, assignment: str, format: str, column: str = "") -> tuple[str, list[str]]:
    """The points of an assignment as a table in CSV that a platform imports.

    Args:
        gradebook: of the course.
        assignment: its name.
        format: ``moodle``, its grading worksheet, or ``canvas``, its gradebook.
        column: Canvas's name of the assignment, with its number: ``Exercises 2 (4711)``; by default nbgrader's name.

    Returns:
        The table, and in sentences what it lacks: texts that are not graded yet, and students whose id has no number,
        by which Moodle knows them.

    Raises:
        ValueError: there is no such assignment or format.
    """
    if format not in FORMATS:
        raise ValueError(f"--to {format}: use one of {', '.join(FORMATS)}")
    try:
        submissions = sorted(gradebook.find_assignment(assignment).submissions, key=lambda found: found.student.id)
    except MissingEntry:
        raise ValueError(f"the gradebook has no assignment {assignment}") from None
    rows = [(found.student.id, found.score, found.max_score) for found in submissions]
    notes = []
    if waiting := [found.student.id for found in submissions if found.needs_manual_grade]:
        notes.append(f"something of these waits for a person, and counts as 0: {', '.join(waiting)}")
    if format == "moodle" and (unknown := [student for student, _, _ in rows if not _parts(student)[1]]):
        notes.append(f"not in the table, since Moodle goes by the number in its archive: {', '.join(unknown)}")
    with io.StringIO(newline="") as file:
        csv.writer(file).writerows(_moodle(rows) if format == "moodle" else _canvas(rows, column or assignment))
        return file.getvalue(), notes


def _moodle(rows: Sequence[tuple[str, float, float]]) -> list[list[str]]:
    lines = [["Identifier", "Full name", "Grade", "Maximum Grade", "Last modified (grade)"]]
    for student, score, most in rows:
        name, number = _parts(student)
        if number:
            lines.append([f"Participant {number}", name, f"{score:g}", f"{most:g}", ""])
    return lines


def _canvas(rows: Sequence[tuple[str, float, float]], column: str) -> list[list[str]]:
    most = f"{max((most for _, _, most in rows), default=0):g}"
    lines = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", column],
        ["Points Possible", "", "", "", "", most],
    ]
    for student, score, _ in rows:
        name, number = _parts(student)
        lines.append([name, number, "", "" if number else student, "", f"{score:g}"])
    return lines


def _parts(student: str) -> tuple[str, str]:
    """The name and the number that ``Archive`` made an id of; without number, the whole id is the name."""
    found = re.fullmatch(r"(.+)_(\d+)", student)
    return (found[1], found[2]) if found else (student, "")
