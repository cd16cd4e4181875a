"""Derives ``notebooks/NN_slug.ipynb`` from ``notebooks/NN_slug.py``, one way; unchanged sources change nothing.

Of an exercise notebook the student's edition is derived: it is what Colab opens. What Jupyter does not know, as the
roles of MyST, is written in a way that it can show (:mod:`roles`). A derived notebook carries a digest of its cells.
One whose cells are others was edited by hand, and is not overwritten: what was changed is shown.

python book/pair.py [--check | --force] [FILE.py ...]
python book/pair.py --take FILE.ipynb           write such an edit into the .py
"""

import argparse
import difflib
import hashlib
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import exercises
import jupytext
import nbformat
import session
from common import BuildError, write
from roles import Translation
from targets import Targets

ROOT = Path(__file__).resolve().parents[1]
SHOWN = 60  # lines of a diff


def root_of(source: Path) -> Path:
    """The folder of the book that a notebook belongs to: the one around it with a ``_toc.yml``, or this repository."""
    return next((folder for folder in source.resolve().parents if (folder / "_toc.yml").is_file()), ROOT)


def derive(source: Path, edition: Callable | None = None, for_sphinx: bool = False) -> str:
    """The text of the notebook: no outputs, and cell ids that follow from the place and the content of each cell.

    Args:
        source: the percent notebook.
        edition: of an exercise notebook, a function of :mod:`exercises`; by default the student's.
        for_sphinx: leave the MyST in the cells as it is. Every other edition is opened by people in Jupyter, the
            instructor's too: nbgrader copies its texts into what it releases to students.

    Raises:
        BuildError: a role leads nowhere.
    """
    home = root_of(source)
    notebook = jupytext.read(source)
    of_source = digest(notebook.cells)
    if exercises.is_exercises(source):
        notebook = (edition or exercises.student)(notebook)
    if not for_sphinx:
        translation = Translation(source, Targets(home, source))
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = translation.readable(cell.source)
        notebook.cells = translation.with_captions(notebook.cells)
    first = next((i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"), len(notebook.cells))
    notebook.cells.insert(first, session.cell(source, home))
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        content = hashlib.sha256(f"{cell.cell_type}\0{cell.source}".encode()).hexdigest()[:12]
        seen[content] = seen.get(content, 0) + 1
        cell.id = content if seen[content] == 1 else f"{content}-{seen[content]}"
    # jupytext's own entry names its version and would change with it; Colab wants to know the language
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "medlatent": {"cells": digest(notebook.cells), "source": of_source},
        }
    )
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def problem(source: Path) -> str:
    """Why the pair is out of step; empty if it is not."""
    target = source.with_suffix(".ipynb")
    if not target.exists():
        return f"{target.name} is missing"
    try:
        in_step = target.read_text(encoding="utf-8") == derive(source)
    except BuildError as error:
        return str(error)
    return "" if in_step else f"{target.name} is not what {source.name} derives"


def text_of(cells: list[nbformat.NotebookNode]) -> list[str]:
    """What a person writes of cells, line by line: kind, tags and source. The cell for Colab is not among them."""
    lines = []
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        if "colab" not in tags:
            lines += [f"# %% [{cell.cell_type}] {' '.join(tags)}".rstrip(), *cell.source.splitlines()]
    return lines


def digest(cells: list[nbformat.NotebookNode]) -> str:
    """By which a derived notebook knows whether its cells are still those that were derived; outputs do not count."""
    return hashlib.sha256("\n".join(text_of(cells)).encode()).hexdigest()[:16]


def read(target: Path) -> nbformat.NotebookNode:
    """A derived notebook as it stands.

    Raises:
        BuildError: it is none, as a file with the marks of a conflict in it.
    """
    try:
        return nbformat.read(target, as_version=4)
    except Exception as error:  # nbformat's own, and whatever else a damaged file provokes
        raise BuildError(
            f"{target.name} cannot be read as a notebook ({type(error).__name__}). "
            f"To derive it anew: python book/pair.py --force {target.with_suffix('.py')}"
        ) from error


def edit(target: Path, derived: str) -> str:
    """What a person has changed in a derived notebook, as a diff from what would be written now; empty if nothing."""
    if not edited(target):
        return ""
    now, ours = text_of(read(target).cells), text_of(nbformat.reads(derived, as_version=4).cells)
    if now == ours:
        return ""
    lines = list(difflib.unified_diff(ours, now, "what is derived now", target.name, lineterm="", n=2))
    return "\n".join(lines[:SHOWN] + ([f"… and {len(lines) - SHOWN} lines more"] if len(lines) > SHOWN else []))


def edits(root: Path, docs: list[str]) -> list[str]:
    """For whoever builds the book and has edited a derived notebook: a sentence on each, as the book shows the source.

    Args:
        root: the folder with ``_toc.yml``.
        docs: the notebooks, as it names them.
    """
    found = []
    for doc in docs:
        try:
            if edited(root / f"{doc}.ipynb"):
                found.append(
                    f"{doc}.ipynb was edited by hand; the book shows {doc}.py, without that edit. "
                    "make pair shows the edit and says how to take it over"
                )
        except BuildError as error:
            found.append(str(error))
    return found


def edited(target: Path) -> bool:
    """Whether the cells of a derived notebook are others than those that were derived."""
    if not target.exists():
        return False
    there = read(target)
    return there.metadata.get("medlatent", {}).get("cells") != digest(there.cells)


def update(source: Path, force: bool = False) -> bool:
    """Derives one notebook where it is out of step; whether it was.

    Raises:
        BuildError: it was edited by hand; the message shows how, and what can be done.
    """
    target = source.with_suffix(".ipynb")
    if not problem(source):
        return False
    if not force and (difference := edit(target, derive(source))):
        take = (
            "an exercise notebook is the student's edition, which lacks the solutions: "
            f"repeat the change in {source.name}, then"
            if exercises.is_exercises(source)
            else f"to take this over: python book/pair.py --take {target}"
        )
        raise BuildError(
            f"{target.name} was edited by hand and is left as it is.\n\n{difference}\n\n"
            f"{take}\nto discard it: python book/pair.py --force {source}"
        )
    write(target, derive(source))
    return True


def take(target: Path, force: bool = False) -> None:
    """Writes the edit of a derived notebook into its source, and derives the notebook again.

    Raises:
        BuildError: it is an exercise notebook; or was not derived from the source as it stands: then both have changed;
            or the text of a link was changed that the source cannot hold.
    """
    source = target.with_suffix(".py")
    if exercises.is_exercises(source):
        raise BuildError(
            f"{target.name} is the student's edition, which lacks solutions and hidden tests: change {source.name}"
        )
    there, notebook = read(target), jupytext.read(source)
    if not force and there.metadata.get("medlatent", {}).get("source") != digest(notebook.cells):
        raise BuildError(
            f"{target.name} was not derived from {source.name} as it is now: what changed there would be lost.\n\n"
            f"{edit(target, derive(source))}\n\n"
            f"to take over the notebook all the same: python book/pair.py --take {target} --force"
        )
    notebook.cells = original(source, there.cells)
    write(source, percent(notebook))
    write(target, derive(source))


def original(source: Path, cells: list[nbformat.NotebookNode]) -> list[nbformat.NotebookNode]:
    """The cells of a derived notebook as its source has them.

    Raises:
        BuildError: what was edited has no form in the source.
    """
    translation = Translation(source, Targets(root_of(source), source))
    cells = translation.without_captions([cell for cell in cells if "colab" not in cell.metadata.get("tags", [])])
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = translation.written(cell.source)
    return cells


def percent(notebook: nbformat.NotebookNode) -> str:
    """A notebook in percent format as the sources have it: without jupytext's version, with characters as they are."""

    def characters(line: re.Match) -> str:
        return re.sub(r"(?:\\u[0-9a-f]{4})+", lambda found: json.loads(f'"{found[0]}"'), line[0])

    text = re.sub(r"^#\s+jupytext_version: .*\n", "", jupytext.writes(notebook, fmt="py:percent"), count=1, flags=re.M)
    return re.sub(r"^# %%.*$", characters, text, flags=re.M)


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a pair is out of step")
    parser.add_argument("--force", action="store_true", help="overwrite what was edited by hand")
    parser.add_argument("--take", type=Path, metavar="FILE.ipynb", help="write the edit of this notebook into its .py")
    parser.add_argument("sources", nargs="*", type=Path, help="by default all of notebooks/")
    args = parser.parse_args()
    if args.take:
        try:
            take(args.take, args.force)
        except BuildError as error:
            return str(error)
        print(f"wrote {args.take.with_suffix('.py').name} and {args.take.name}")
        return None
    sources = args.sources or sorted((ROOT / "notebooks").glob("*.py"))
    if args.check:
        names = {s.stem for s in sources}
        folder = sources[0].parent if sources else ROOT / "notebooks"
        orphans = [f"{p.name} has no source {p.stem}.py" for p in folder.glob("*.ipynb") if p.stem not in names]
        if problems := [*filter(None, map(problem, sources)), *([] if args.sources else orphans)]:
            return "\n".join([*problems, "Edit the .py, then run: make pair"])
        return None
    edited = []
    for source in sources:
        try:
            if update(source, args.force):
                print(f"wrote {source.with_suffix('.ipynb').name}")
        except BuildError as error:
            edited.append(str(error))
    return "\n\n\n".join(edited) or None


if __name__ == "__main__":
    sys.exit(main())
