"""What every table of chapters is made of: the notebooks' own headers, and the order of ``_toc.yml``.

    python book/chapters.py [--check]

A chapter's notebook says in the header of its ``.py``, under ``medlatent``, what stands about it elsewhere:

- ``about``: what a reader will meet in it, one line of the table in ``book/index.md``;
- ``needs``: the slugs of the chapters to read before it;
- ``sessions``: the weeks of a term that it takes, each with what is done in ``class`` and as ``homework``.

The pages of the book take their tables when they are built. The one in ``README.md``, which is read without a build,
stands between two markers and is written by this script.
"""

import argparse
import re
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import exercises
import generate
import jupytext
import objectives
import yaml
from common import BuildError, write

ROOT = Path(__file__).resolve().parents[1]
MARKERS = "<!-- chapters: written by make pair -->", "<!-- end of chapters -->"


@dataclass(frozen=True)
class About:
    """What a chapter says of itself.

    Attributes:
        doc: ``notebooks/02_vae``.
        part: of the table of contents, ``"Foundations"``.
        title: the notebook's heading; the slug where it has none.
        about: one line.
        needs: the slugs of the chapters before it.
        sessions: the weeks that it takes, as ``{"class": …, "homework": …}``.
        exercises: whether it has an exercise notebook.
    """

    doc: str
    part: str
    title: str = ""
    about: str = ""
    needs: tuple[str, ...] = ()
    sessions: tuple[dict[str, str], ...] = field(default=())
    exercises: bool = False

    @property
    def slug(self) -> str:
        """``vae``."""
        return generate.slug(self.doc)

    @property
    def label(self) -> str:
        """``vae``; underscores of a slug are hyphens in labels."""
        return self.slug.replace("_", "-")


def listed(root: Path) -> list[tuple[str, str]]:
    """The chapters that ``_toc.yml`` names, numbered notebooks without exercises: each document, and its part."""

    def walk(entry: dict) -> list[str]:
        below = [doc for key in ("chapters", "sections") for e in entry.get(key, []) for doc in walk(e)]
        return [entry["file"], *below] if "file" in entry else below

    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = toc.get("parts") or [{"caption": "", "chapters": toc.get("chapters", [])}]
    docs = [(doc, part.get("caption", "")) for part in parts for doc in walk(part)]
    return [(d, part) for d, part in docs if re.match(r"notebooks/\d+_", d) and not exercises.is_exercises(d)]


def read(root: Path, doc: str, part: str = "") -> About:
    """A chapter by the header and the heading of its notebook; what the header does not say is empty.

    Raises:
        BuildError: there is no such notebook.
    """
    source = root / f"{doc}.py"
    if not source.is_file():
        raise BuildError(f"_toc.yml names it, but there is no {doc}.py")
    notebook = jupytext.read(source)
    heading = (re.search(r"^# (.+)$", c.source, re.M) for c in notebook.cells if c.cell_type == "markdown")
    header = notebook.metadata.get("medlatent", {})
    return About(
        doc,
        part,
        title=next((found[1] for found in heading if found), generate.slug(doc)),
        about=header.get("about", ""),
        needs=tuple(header.get("needs") or ()),
        sessions=tuple(dict(session) for session in header.get("sessions") or ()),
        exercises=(root / f"{doc}{exercises.SUFFIX}.py").is_file(),
    )


def chapters(root: Path) -> list[About]:
    """The chapters in reading order."""
    return [read(root, doc, part) for doc, part in listed(root)]


# --------------------------------------------------------------------------------------- what the book shows


def pages(root: Path) -> dict[str, str]:
    """The pieces of pages that list chapters, by the name under which a page includes them."""
    there = chapters(root)
    return {
        "chapters_included": contents(there),
        "papers_included": papers(root, there),
        "needs_included": needs(there),
        "term_included": term(there),
        "objectives_included": objectives.table(root, [(c.doc, c.label) for c in there]),
    }


def contents(there: list[About]) -> str:
    """The chapters and what a reader will meet in them."""
    lines = ["| Chapter | What you will meet |", "|:--|:--|"]
    return "\n".join(lines + [f"| {{ref}}`{c.label}` | {c.about} |" for c in there]) + "\n"


def papers(root: Path, there: list[About]) -> str:
    """The papers of ``book/papers.toml``, their questions, and the chapters on them, as far as they are there."""
    source = root / "book/papers.toml"
    known = tomllib.loads(source.read_text(encoding="utf-8"))["papers"] if source.is_file() else []
    labels = {c.slug: f"{{ref}}`{c.label}`" for c in there}
    lines = ["| Paper | Its question | Chapter |", "|:--|:--|:--|"]
    for paper in known:
        lines.append(f"| {{cite:t}}`{paper['cite']}` | {paper['question']} | {labels.get(paper['slug'], 'to come')} |")
    return "\n".join(lines) + "\n"


def needs(there: list[About]) -> str:
    """Which chapters to read before which."""
    labels = {c.slug: f"{{ref}}`{c.label}`" for c in there}
    lines = ["| Chapter | Read before it |", "|:--|:--|"]
    for c in there:
        before = ", ".join(labels.get(slug, slug) for slug in c.needs) or "none"
        lines.append(f"| {labels[c.slug]} | {before} |")
    return "\n".join(lines) + "\n"


def term(there: list[About]) -> str:
    """A term that covers every chapter, week by week."""
    weeks = [session for c in there for session in c.sessions]
    lines = [
        f"{len(weeks)} weekly sessions of 90 minutes, with about as much homework, cover what there is now.\n",
        "| Week | In class (90 minutes) | Homework |",
        "|--:|:--|:--|",
    ]
    lines += [f"| {n} | {week['class']} | {week['homework']} |" for n, week in enumerate(weeks, 1)]
    return "\n".join(lines) + "\n"


# ------------------------------------------------------------------------------------------ what README.md shows


def readme_table(root: Path, there: list[About]) -> str:
    """The chapters with their notebooks, here and in Colab."""
    url = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["repository"]["url"].rstrip("/")
    colab = url.replace("https://github.com/", "https://colab.research.google.com/github/") + "/blob/main"
    lines = ["| Chapter | | | | |", "|:--|:--|:--|:--|:--|"]
    for c in there:
        row = [c.title, f"[notebook]({c.doc}.ipynb)", f"[open in Colab]({colab}/{c.doc}.ipynb)"]
        more = f"{c.doc}{exercises.SUFFIX}.ipynb"
        row += [f"[exercises]({more})", f"[in Colab]({colab}/{more})"] if c.exercises else ["", ""]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def update(root: Path, check: bool = False) -> bool:
    """Writes the table of ``README.md``, or with ``check`` only says whether it is out of step.

    Returns:
        Whether it was.

    Raises:
        BuildError: README.md lacks the markers between which the table stands, or a notebook is missing.
    """
    path = root / "README.md"
    text = path.read_text(encoding="utf-8")
    begin, end = MARKERS
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise BuildError(f"README.md: the table of chapters belongs between the lines {begin} and {end}")
    new = f"{before}{begin}\n\n{readme_table(root, chapters(root))}\n\n{end}{after}"
    if new != text and not check:
        write(path, new)
    return new != text


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if README.md is out of step")
    parser.add_argument("--root", type=Path, default=ROOT)
    args = parser.parse_args()
    try:
        changed = update(args.root, args.check)
    except BuildError as error:
        return str(error)
    if changed and args.check:
        return "README.md: the table of chapters is out of step with the notebooks. Run: make pair"
    if changed:
        print("wrote README.md")
    return None


if __name__ == "__main__":
    sys.exit(main())
