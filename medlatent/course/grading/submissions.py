"""Finds the notebook that a student handed in, whatever its name has become, and mends what would stop nbgrader."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

LARGEST = 500 * 10**6  # bytes of a notebook, outputs included
LARGEST_TEXT = 20 * 10**6  # characters of its cells, pictures in texts included


class NotGradable(Exception):
    """A submission that a person has to look at; the message says why in a sentence."""


@dataclass
class Mended:
    """A notebook that nbgrader can grade, and what was done to it.

    Attributes:
        notebook: without outputs.
        notes: what a teacher may want to know, in sentences.
        questions: what a teacher has to decide, in sentences.
    """

    notebook: NotebookNode
    notes: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


def exercise_of(grade_id: str) -> str:
    """The exercise that a cell belongs to: ``vae-1`` of ``vae-1-choice-check``, or the id itself."""
    found = re.match(r"(.+?-\d+)(-.+)?$", grade_id)
    return found[1] if found else grade_id


def ids_of(notebook: NotebookNode) -> list[str]:
    """nbgrader's ids, in the order of the cells."""
    return [found for cell in notebook.cells if (found := _id(cell))]


def read(path: Path) -> NotebookNode:
    """A notebook that somebody handed in, without its outputs.

    Raises:
        NotGradable: it is too large, or cannot be read as a notebook; the message names the file.
    """
    if (size := path.stat().st_size) > LARGEST:
        raise NotGradable(f"{path.name} has {size / 1e6:.0f} MB; ask for it without outputs")
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise NotGradable(f"{path.name} cannot be read as JSON ({error}); ask for the file again") from error
    try:
        notebook = nbformat.convert(nbformat.from_dict(content), 4)
        cells = [_clean(cell) for cell in notebook["cells"]]
    except Exception as error:  # whatever a damaged file provokes in nbformat
        raise NotGradable(f"{path.name} is JSON, and no notebook; ask for the file again") from error
    if (size := sum(len(json.dumps(cell)) for cell in cells)) > LARGEST_TEXT:
        raise NotGradable(f"{path.name} has {size / 1e6:.0f} MB in its cells; ask for it without them")
    return nbformat.v4.new_notebook(cells=cells)


def find(folder: Path, name: str, released: NotebookNode) -> tuple[Path, NotebookNode, list[str]]:
    """The notebook of a submission that belongs to a released one.

    One of the right name is taken. Else it is told by nbgrader's ids in it, if it is the only one that has them.

    Args:
        folder: of the submission.
        name: of the file that was released.
        released: its notebook.

    Returns:
        Its path, the notebook, and notes on how it was found.

    Raises:
        NotGradable: there is none, there are two, or it cannot be read.
    """
    there = [path for path in files(folder) if path.suffix.lower() == ".ipynb"]
    wanted, candidates, unreadable = set(ids_of(released)), {}, []
    for path in there:
        try:
            notebook = read(path)
        except NotGradable as error:
            unreadable.append(error)
            if path == folder / name:
                raise
            continue
        if path == folder / name or 2 * len(wanted & set(ids_of(notebook))) >= len(wanted):
            candidates[path] = notebook
    if folder / name in candidates:
        others = [str(path.relative_to(folder)) for path in candidates if path != folder / name]
        return folder / name, candidates[folder / name], [f"{_listed(others)} left aside"] if others else []
    if len(candidates) == 1:
        [(path, notebook)] = candidates.items()
        return path, notebook, [f"{path.relative_to(folder)} taken for {name}"]
    if candidates:
        names = _listed(str(path.relative_to(folder)) for path in candidates)
        raise NotGradable(f"{len(candidates)} notebooks fit, {names}: give the right one the name {name}")
    if unreadable:
        raise unreadable[0]
    lies = f" among {_listed(str(path.relative_to(folder)) for path in files(folder))}" if files(folder) else ""
    raise NotGradable(f"no notebook of this assignment found{lies}")


def files(folder: Path) -> list[Path]:
    """The files of a submission; links, which may lead out of it, are none, and neither are checkpoints."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file()
        and not any(part.is_symlink() for part in [path, *path.parents][: len(path.relative_to(folder).parts)])
        and ".ipynb_checkpoints" not in path.parts
    )


def mend(notebook: NotebookNode, released: NotebookNode) -> Mended:
    """Undoes what a student did to nbgrader's marks, and keeps what was written.

    Of cells that carry one id the last is graded, since that is where the work ended; the others stay where they are
    and run as plain code. Cells that were deleted come back as they were released.
    """
    mended = Mended(nbformat.v4.new_notebook(cells=copy.deepcopy(notebook.cells)))
    cells, masters = mended.notebook.cells, {_id(cell): cell for cell in released.cells if _id(cell)}
    copies: dict[str, list[str]] = {}
    for cell in reversed(cells):
        marks = cell.metadata.pop("nbgrader", None)
        name = marks.get("grade_id") if isinstance(marks, dict) else None
        if not isinstance(name, str) or name not in masters:
            continue
        copies.setdefault(name, []).append(cell.source.strip())
        if len(copies[name]) > 1:
            continue
        master = masters[name]
        graded = copy.deepcopy(master)  # a tag, too, may keep a cell from being run
        graded.source = cell.source
        cell.clear()
        cell.update(graded)
    several = {name: texts for name, texts in copies.items() if len(texts) > 1}
    if several:
        mended.notes.append(f"copied cells in {_exercises(several)}, the last of each is graded")
    unlike = [
        name
        for name, texts in several.items()
        if masters[name].metadata["nbgrader"].get("solution") and len(set(texts)) > 1
    ]
    if unlike:
        mended.questions.append(f"two different answers to {_exercises(unlike)}: see whether the right one was graded")
    missing, before = [], None
    for name, master in masters.items():
        if name not in copies:
            missing.append(name)
            places = [index for index, cell in enumerate(cells) if _id(cell) == before]
            cells.insert(places[0] + 1 if places else 0, copy.deepcopy(master))
        before = name
    if missing:
        mended.notes.append(f"deleted cells of {_exercises(missing)} put back")
    return mended


def place(notebook: NotebookNode, index: int) -> str:
    """Where a cell stands, for a sentence: its exercise, or that of the last cell before it that has an id."""
    for cell in reversed(notebook.cells[: index + 1]):
        if name := _id(cell):
            return exercise_of(name)
    return "the cells before the first exercise"


def _clean(cell: NotebookNode) -> NotebookNode:
    """A cell with what was written and its metadata, and with nothing else that may be damaged."""
    source = cell.get("source", "")
    source = source if isinstance(source, str) else "".join(source)
    metadata = cell.get("metadata")
    if cell["cell_type"] == "code":
        clean = nbformat.v4.new_code_cell(source)
    elif cell["cell_type"] == "markdown":
        clean = nbformat.v4.new_markdown_cell(source)
        if isinstance(cell.get("attachments"), dict):
            clean["attachments"] = cell["attachments"]
    else:
        clean = nbformat.v4.new_raw_cell(source)
    clean.metadata = nbformat.from_dict(metadata if isinstance(metadata, dict) else {})
    return clean


def _id(cell: NotebookNode) -> str:
    marks = cell.metadata.get("nbgrader")
    found = marks.get("grade_id") if isinstance(marks, dict) else None
    return found if isinstance(found, str) else ""


def _exercises(names: Iterable[str]) -> str:
    return _listed(dict.fromkeys(sorted(map(exercise_of, names))))


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
