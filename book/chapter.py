"""Writes the skeleton of a chapter: everything that the tests ask for, whole and working, for a person to replace.

    python book/chapter.py SLUG [--number NN] [--title "…"]

The files lie in ``book/skeleton`` under the names that they will have, as a chapter called ``new_chapter``: a
conditional VAE on skin-lesion phantoms, which trains, is evaluated by a suite of its own, and has its plan, its tests
and four exercises. They are written under the slug's name. Of what is there already, one line each is added to
``medlatent/models/__init__.py``, ``_toc.yml`` and the pages of the API reference that list modules by chapter; the
notebooks' pairs and the table in ``README.md`` are derived. All of it, or nothing.
"""

import argparse
import ast
import keyword
import re
import subprocess
import sys
from pathlib import Path

import chapters
import exercises
import pair
import yaml
from common import BuildError, tree, write
from generate import slug as slug_of
from generate import toc_notebooks

ROOT = Path(__file__).resolve().parents[1]
MODELS = "medlatent/models/__init__.py"
LONGEST = 30  # characters of a slug
# The packages whose modules the API reference lists one by one.
LISTED = ("medlatent.course.exercises", "medlatent.evaluation")


def class_name(slug: str) -> str:
    """``style_content`` -> ``StyleContent``."""
    return "".join(part.capitalize() for part in slug.split("_"))


def check(root: Path, slug: str, number: int, title: str) -> None:
    """Refuses what cannot become a chapter here.

    Raises:
        BuildError: the slug is no plain lower-case identifier, or too long, or something is called so already; the
            number is taken or has more than two digits; or the title is empty or would break a table.
    """
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", slug) or keyword.iskeyword(slug):
        raise BuildError(
            f"SLUG={slug}: it names modules and files, so it must be a plain lower-case identifier, as style_content"
        )
    if len(slug) > LONGEST:
        raise BuildError(f"SLUG={slug}: it stands in lines of code, so it has {LONGEST} characters at most")
    if slug.endswith(exercises.SUFFIX):
        raise BuildError(
            f"SLUG={slug}: {exercises.SUFFIX} at its end is for the exercises, which come with the chapter"
        )
    there = {slug_of(doc): doc for doc in toc_notebooks(root)}
    if slug in there:
        raise BuildError(f"SLUG={slug}: this chapter exists, {there[slug]}.py")
    exported = ast.parse((root / MODELS).read_text(encoding="utf-8"))
    names = {a.asname or a.name for n in ast.walk(exported) if isinstance(n, ast.ImportFrom) for a in n.names}
    if class_name(slug) in names:
        raise BuildError(
            f"SLUG={slug}: medlatent.models has a {class_name(slug)} already, as its model would be called"
        )
    if not 0 <= number <= 99:
        raise BuildError(f"NUMBER={number}: a chapter's number has two digits, from 00 to 99")
    for other in sorted((root / "notebooks").glob(f"{number:02}_*.py")):
        raise BuildError(f"NUMBER={number:02} is taken by {other.name}; the next free one is {free_number(root):02}")
    if not title.strip() or re.search(r"[|\n\\]", title):
        raise BuildError(f"TITLE={title!r}: write one line without | and \\, which would break the tables of chapters")


def free_number(root: Path) -> int:
    """The number after the last chapter's."""
    return 1 + max((int(Path(doc).name.split("_")[0]) for doc, _ in chapters.listed(root)), default=-1)


def skeleton(root: Path, slug: str, number: int, title: str) -> dict[str, str]:
    """The files of a new chapter by the names that they will have."""
    templates, files = root / "book/skeleton", {}
    for path in tree(root, "book/skeleton"):
        name, text = str(path.relative_to(templates)), path.read_text(encoding="utf-8")
        for old, new in (
            ("NN_new_chapter", f"{number:02}_{slug}"),
            ("new_chapter", slug),
            ("new-chapter", slug.replace("_", "-")),
            ("NewChapter", class_name(slug)),
            ("New Chapter", title.strip()),
        ):
            name, text = name.replace(old, new), text.replace(old, new)
        files[name] = tidy(root, name, text) if name.endswith(".py") else text
    return files


def edits(root: Path, slug: str, number: int) -> dict[str, str]:
    """The files that are there already, each with its line for the new chapter."""
    found = {"_toc.yml": with_contents(root, f"notebooks/{number:02}_{slug}"), MODELS: with_model(root, slug)}
    for page in tree(root, "book/api"):
        text = before = page.read_text(encoding="utf-8")
        for package in LISTED:
            entries = re.findall(rf"^\.\. automodule:: {re.escape(package)}\.\w+\n(?:[ ]+:.*\n)*", text, re.M)
            if entries:
                last = entries[-1]
                text = text.replace(last, f"{last}\n.. automodule:: {package}.{slug}\n   :members:\n")
        if text != before:
            found[str(page.relative_to(root))] = text
    return found


def with_contents(root: Path, doc: str) -> str:
    """``_toc.yml`` with a chapter and its exercises, after the chapter of the number before it."""
    text = (root / "_toc.yml").read_text(encoding="utf-8")
    earlier = [other for other, _ in chapters.listed(root) if Path(other).name < Path(doc).name]
    if not earlier:
        raise BuildError(f"_toc.yml: there is no chapter before {doc} that it could follow; add it by hand")
    after = max(earlier, key=lambda other: Path(other).name)
    # The chapter's own line, and what is indented below it.
    entry = re.search(rf"^( *)- file: {re.escape(after)}\n(?:\1 +.*\n)*", text, re.M)
    if not entry:
        raise BuildError(f"_toc.yml: the line '- file: {after}' is not found; add the new chapter by hand")
    space = entry[1]
    lines = (f"- file: {doc}", "  sections:", f"  - file: {doc}{exercises.SUFFIX}")
    new = text[: entry.end()] + "".join(f"{space}{line}\n" for line in lines) + text[entry.end() :]
    yaml.safe_load(new)
    return new


def with_model(root: Path, slug: str) -> str:
    """``medlatent/models/__init__.py`` with the model of a new chapter."""
    text = (root / MODELS).read_text(encoding="utf-8")
    imports = re.findall(r"^from \.\w+ import .*\n", text, re.M)
    if not imports or "__all__ = [\n" not in text:
        raise BuildError(f"{MODELS}: expected lines 'from .module import name' and a list __all__")
    text = text.replace(imports[-1], f"{imports[-1]}from .{slug} import {class_name(slug)}\n", 1)
    return tidy(root, MODELS, text.replace("__all__ = [\n", f'__all__ = [\n    "{class_name(slug)}",\n', 1))


def tidy(root: Path, name: str, text: str) -> str:
    """A source with its imports and names in order, and formatted, as the repository's rules have it."""
    for command in (["check", "--quiet", "--fix", "--select", "I,RUF022"], ["format", "--quiet"]):
        run = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--stdin-filename", name, "-"],
            cwd=root, input=text, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if run.returncode:
            raise BuildError(f"{name}: ruff {command[0]} says {run.stderr.strip() or run.stdout.strip()}")
        text = run.stdout
    return text


def make(root: Path, slug: str, number: int | None = None, title: str = "") -> list[str]:
    """Writes a chapter, or nothing.

    Args:
        root: the repository.
        slug: what its notebook, module, tests, suite, exercises and records are called.
        number: of its notebook; by default the one after the last.
        title: by default the slug in words.

    Returns:
        The names of the files that were written or changed.

    Raises:
        BuildError: it cannot become a chapter, or one of its files exists.
    """
    number = free_number(root) if number is None else number
    title = title or slug.replace("_", " ").capitalize()
    check(root, slug, number, title)
    chapters.update(root, check=True)  # refuses a README.md without the place for its table
    new, changed = skeleton(root, slug, number, title), edits(root, slug, number)
    sources = [name for name in new if name.startswith("notebooks/")]
    written = [*new, *(name.removesuffix(".py") + ".ipynb" for name in sources)]
    if existing := [name for name in written if (root / name).exists()]:
        raise BuildError(f"SLUG={slug}: {existing[0]} exists; choose another slug, or move it away")
    before = {name: (root / name).read_bytes() for name in (*changed, "README.md")}
    try:
        for name, text in (new | changed).items():
            write(root / name, text)
        for name in sources:  # last: their roles lead to what was written before
            pair.update(root / name)
        chapters.update(root)
    except BaseException:
        for name in written:
            (root / name).unlink(missing_ok=True)
        for name, content in before.items():
            write(root / name, content)
        raise
    return [*written, *(name for name, content in before.items() if (root / name).read_bytes() != content)]


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("slug", help="what all of the chapter's files are called, as style_content")
    parser.add_argument("--number", type=int, help="of its notebook, two digits (default: the one after the last)")
    parser.add_argument("--title", default="", help="its heading (default: the slug in words)")
    parser.add_argument("--root", type=Path, default=ROOT)
    args = parser.parse_args()
    try:
        written = make(args.root.resolve(), args.slug, args.number, args.title)
    except BuildError as error:
        return f"No chapter was written. {error}"
    print("\n".join(f"wrote {name}" for name in written))
    print(f"""
It is a chapter that works; replace it part by part. Then:
  python book/build.py --only {args.slug}            executes the notebook
  python -m medlatent run results/{args.slug}/plan.toml --profile ci   makes and records its runs
  make references CHAPTER={args.slug}                stores the numbers that later builds are compared with
  python book/check_chapters.py                      says what is missing""")
    return None


if __name__ == "__main__":
    sys.exit(main())
