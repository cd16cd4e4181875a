"""A deck of slides for each chapter, derived from its executed notebook; an instructor may edit it.

    python book/slides.py [--to FOLDER] [CHAPTER | DECK.ipynb ...]

``FOLDER/SLUG.ipynb`` is the deck: Markdown cells with the slide types that Jupyter knows, the pictures attached, and
after each slide a cell of notes for the speaker. ``FOLDER/SLUG.html`` is the presentation, one file that opens without
a network: reveal.js, MathJax and all pictures are in it.

A deck that was edited is kept, and converted as it is. A derived file carries a digest, by which it is known. Neither
the decks nor the presentations are below ``_build``, which ``make clean`` empties.
"""

import argparse
import re
import sys
from pathlib import Path

import nbformat
from alone import alone
from common import BuildError, write
from deck import deck, digest, fingerprint
from generate import named, slug, toc_chapters
from nbformat import NotebookNode

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
MARK = re.compile(r"\n<!-- medlatent ([0-9a-f]{16}) -->\n\Z")


def read(path: Path) -> NotebookNode:
    """A deck.

    Raises:
        BuildError: it is none, or damaged.
    """
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise BuildError(f"{path}: there is no such deck") from None
    except Exception as error:  # nbformat's own, and whatever else a damaged file provokes
        raise BuildError(
            f"{path} cannot be read as a notebook ({type(error).__name__}) and is left as it is. "
            "To derive this deck anew, move the file away"
        ) from error


def is_edited(notebook: NotebookNode) -> bool:
    """Whether a person has changed a derived deck, or made it."""
    return notebook.metadata.get("medlatent", {}).get("cells") != digest(notebook.cells)


def update(path: Path, derived: NotebookNode) -> tuple[NotebookNode, str]:
    """Writes a deck where nobody has edited it.

    Returns:
        The deck that lies there now, and what to tell: empty unless an edited one was kept.

    Raises:
        BuildError: what lies there is no notebook; it is left as it is.
    """
    if path.exists():
        there = read(path)
        if is_edited(there):
            said = f"{path} was edited: it is kept, and converted as it is."
            if there.metadata.get("medlatent", {}).get("cells") != derived.metadata.medlatent.cells:
                said += (
                    " The chapter has changed since. For its new deck beside yours: make slides SLIDES=ANOTHER_FOLDER"
                )
            return there, said
    write(path, nbformat.writes(derived) + "\n")
    return derived, ""


def present(notebook: NotebookNode, path: Path, folder: Path) -> None:
    """Writes the presentation of a deck: one file of HTML.

    Args:
        notebook: the deck.
        path: of the HTML.
        folder: in which pictures lie that the deck names by a relative path.

    Raises:
        BuildError: what lies at ``path`` was not written by this function, or was changed since.
    """
    if path.exists():
        text = path.read_text(encoding="utf-8", errors="replace")
        mark = MARK.search(text)
        if not mark or mark[1] != fingerprint(text[: mark.start()]):
            raise BuildError(
                f"{path} was edited by hand and is left as it is. Changes belong into "
                f"{path.with_suffix('.ipynb').name}, from which it is made. Give this file another name, and repeat"
            )
    from nbconvert import SlidesExporter
    from traitlets.config import Config

    assets = HERE / "_slides"
    exporter = SlidesExporter(
        config=Config({"CSSHTMLHeaderPreprocessor": {"style": "friendly"}}),
        template_name="deck",
        extra_template_basedirs=[str(assets)],
        extra_template_paths=[str(assets / "reveal"), str(HERE / "_static/mathjax")],
        embed_images=True,
        exclude_anchor_links=True,
        exclude_input_prompt=True,
        exclude_output_prompt=True,
    )
    resources = {"metadata": {"name": path.stem, "path": str(folder)}}
    text, _ = exporter.from_notebook_node(notebook, resources)
    text = text.rstrip("\n")
    write(path, f"{text}\n<!-- medlatent {fingerprint(text)} -->\n")


def make(root: Path, folder: Path, doc: str) -> None:
    """Derives the deck of a chapter, and converts it, or the one that an instructor has made of it.

    Raises:
        BuildError: the chapter is not executed, or a file that a person changed is in the way.
    """
    executed = root / f"_build/executed/{doc}.ipynb"
    if not executed.is_file():
        raise BuildError(f"{doc} is not executed yet: make slides does so, or make book")
    path = folder / f"{slug(doc)}.ipynb"
    notebook, said = update(path, deck(root, doc, nbformat.read(executed, as_version=4)))
    present(notebook, path.with_suffix(".html"), folder)
    print("\n".join(filter(None, [said, f"wrote {path.with_suffix('.html')}"])))


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="of the decks (default: slides)")
    parser.add_argument("--root", type=Path, default=ROOT, help="the folder with _toc.yml")
    parser.add_argument("names", nargs="*", metavar="CHAPTER | DECK.ipynb", help="by default all chapters")
    args = parser.parse_args()
    root = args.root.resolve()
    folder = args.to or root / "slides"
    chapters = toc_chapters(root)
    failures = []
    with alone(root):
        for name in args.names or chapters:
            try:
                if name.endswith(".ipynb"):
                    own = Path(name)
                    present(read(own), own.with_suffix(".html"), own.parent)
                    print(f"wrote {own.with_suffix('.html')}")
                else:
                    make(root, folder, name if name in chapters else named(chapters, name))
            except BuildError as error:
                failures.append(str(error))
    return "\n\n".join(failures) or None


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BuildError as error:
        sys.exit(str(error))
