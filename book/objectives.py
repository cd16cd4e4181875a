"""What a student will be able to do after each chapter, and which exercises ask for it.

The objectives are the list in a chapter's box *What you will be able to do*. An exercise names those that it asks for
by their numbers, in the metadata of the cell with its heading: ``# %% [markdown] objectives=[1, 3]``, or
``objectives=[]`` if it asks for none of them.
"""

import re
from collections.abc import Iterable
from pathlib import Path

import exercises
import jupytext
from common import BuildError

BOX = re.compile(r"^:::+\{admonition\} What you will be able to do\n(?P<inside>.+?)^:::+$", re.M | re.S)
ITEM = re.compile(r"^- (.+(?:\n  .+)*)", re.M)


def read(source: Path) -> list[str]:
    """The objectives of a chapter, without the stops at their ends; none where it has no such box."""
    cells = jupytext.read(source).cells
    boxes = (BOX.search(cell.source) for cell in cells if cell.cell_type == "markdown")
    box = next((found for found in boxes if found), None)
    return [" ".join(item.split()).rstrip(";.") for item in ITEM.findall(box["inside"])] if box else []


def problems(root: Path, doc: str) -> list[str]:
    """What keeps the objectives of a chapter and its exercises from being shown together; empty if nothing does."""
    there, more = read(root / f"{doc}.py"), root / f"{doc}{exercises.SUFFIX}.py"
    if not there:
        return ["its box 'What you will be able to do' is missing, or has no list in it"]
    try:
        asked = exercises.read(more)[1] if more.is_file() else []
    except BuildError:  # said elsewhere
        return []
    found = []
    for exercise in asked:
        numbers = exercise.objectives
        if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
            found.append(
                f"{more.name}: exercise {exercise.name} does not say which objectives of the chapter it asks for: "
                f"give the cell of its heading the metadata objectives=[…], numbers from 1 to {len(there)}"
            )
        elif wrong := [number for number in numbers if not 1 <= number <= len(there)]:
            found.append(
                f"{more.name}: exercise {exercise.name} asks for objective {wrong[0]}, the chapter has {len(there)}"
            )
    return found


def table(root: Path, labels: Iterable[tuple[str, str]]) -> str:
    """The objectives of all chapters, each with the exercises that ask for it.

    Args:
        root: the folder with ``notebooks``.
        labels: of each chapter its document and its label, in reading order.
    """
    lines = ["| Chapter | After it a student can | Exercises |", "|:--|:--|:--|"]
    for doc, label in labels:
        more = root / f"{doc}{exercises.SUFFIX}.py"
        asked = exercises.read(more)[1] if more.is_file() else []
        for number, objective in enumerate(read(root / f"{doc}.py"), 1):
            links = [
                f"{{ref}}`{exercise.name.rpartition('-')[2]} <exercise-{exercise.name}>`"
                for exercise in asked
                if number in (exercise.objectives or [])
            ]
            chapter = f"{{ref}}`{label}`" if number == 1 else ""
            lines.append(f"| {chapter} | {objective.replace('|', chr(92) + '|')} | {', '.join(links) or '–'} |")
    return "\n".join(lines) + "\n"
