"""Stores what later builds are compared with; run it only when a change of the numbers is meant.

    python book/references.py [CHAPTER]

Of one chapter, called ``02_vae`` or ``vae``, or of all: writes ``tests/notebooks/metrics/NN_slug.json`` from the
metrics of the built book; and, where a notebook tags cells ``nbval-check-output``, a short one
``tests/notebooks/references/NN_slug.ipynb``: its parameters, the cells tagged ``reference`` that lead there, and those
cells with their outputs.
"""

import argparse
import json
import re
import sys
import tempfile
from pathlib import Path

import nbformat
from alone import alone
from common import BuildError, write
from execute import run
from generate import named, toc_chapters
from pair import derive

ROOT = Path(__file__).resolve().parents[1]
TOLERANCE = 0.02  # another processor or thread count moves a loss by up to 0.1 % after 300 steps, and more after more
TAGS = {"parameters", "reference", "nbval-check-output"}


def excerpt(source: Path) -> nbformat.NotebookNode:
    """The cells of a notebook that its reference holds, without outputs."""
    notebook = nbformat.reads(derive(source), as_version=4)
    del notebook.metadata["medlatent"]  # the digest of all cells, which would change with every one of them
    notebook.cells = [c for c in notebook.cells if TAGS & set(c.metadata.get("tags", []))]
    return notebook


def is_checked(cell: nbformat.NotebookNode) -> bool:
    return "nbval-check-output" in cell.metadata.get("tags", [])


def store_metrics(built: Path, stored: Path) -> None:
    """Takes over the built values; a tolerance that was set by hand stays."""
    before = json.loads(stored.read_text(encoding="utf-8")) if stored.exists() else {}
    after = {
        name: {"value": value, "rtol": before.get(name, {}).get("rtol", TOLERANCE)}
        for name, value in json.loads(built.read_text(encoding="utf-8")).items()
    }
    write(stored, json.dumps(after, indent=2, sort_keys=True) + "\n")


def store_reference(root: Path, doc: str, target: Path) -> None:
    """Executes the excerpt and keeps it with its outputs.

    Raises:
        BuildError: a cell failed, or a cell to be compared prints nothing, or the address of an object.
    """
    notebook = excerpt(root / f"{doc}.py")
    if not any(map(is_checked, notebook.cells)):
        return
    with tempfile.TemporaryDirectory() as folder:
        result = run(root, doc, nbformat.writes(notebook), Path(folder))
    for old, new in zip(notebook.cells, result.cells, strict=True):
        new.metadata, new.id = old.metadata, old.id
        if is_checked(new):
            if not new.outputs:
                raise BuildError(f"{doc}: the cell {new.source[:60]!r} is to be compared, but has no output")
            if re.search(r"at 0x[0-9a-f]{6,}", str(new.outputs)):
                raise BuildError(f"{doc}: the cell {new.source[:60]!r} prints an address, another one each time")
        else:
            new.outputs = []
    result.metadata = notebook.metadata
    write(target, json.dumps(result, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def built_metrics(root: Path, doc: str) -> Path:
    """The metrics that the last build of a chapter published.

    Raises:
        BuildError: it was not built, or at another profile than ci, which later builds are compared at.
    """
    name = Path(doc).name
    metrics, about = root / f"_build/metrics/{name}.json", root / f"_build/executed/{doc}.json"
    if not metrics.is_file() or not about.is_file():
        raise BuildError(f"{metrics}: {name} has not been built. Run: make references CHAPTER={name}")
    if (profile := json.loads(about.read_text(encoding="utf-8"))["profile"]) != "ci":
        raise BuildError(f"{name} was last built at the profile {profile!r}; references are numbers of the profile ci")
    return metrics


def main(root: Path, chapter: str = "") -> None:
    docs = toc_chapters(root)
    docs = [named(docs, chapter)] if chapter else docs
    metrics = [built_metrics(root, doc) for doc in docs]  # all of them, before the first is written
    for doc, built in zip(docs, metrics, strict=True):
        name = Path(doc).name
        store_metrics(built, root / f"tests/notebooks/metrics/{name}.json")
        store_reference(root, doc, root / f"tests/notebooks/references/{name}.ipynb")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("chapter", nargs="?", default="", help="02_vae or vae; by default all chapters")
    try:
        chapter = parser.parse_args().chapter
        with alone(ROOT):
            main(ROOT, chapter)
    except BuildError as error:
        sys.exit(str(error))
