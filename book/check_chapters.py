"""Says everything that chapters lack, in words, chapter by chapter, and not only the first thing.

    python book/check_chapters.py [--to-build]

A chapter is a numbered notebook of ``_toc.yml``, and carries one slug. Each needs its exercise notebook, the checks of
these exercises, both derived notebooks, stored metrics, a header from which the tables of chapters are made, a list of
what a reader will be able to do, to which its exercises refer, and what :func:`conventions` asks of its cells. Where
its claims are judged, its words say what their file says.

A chapter of the part *Papers* also needs its module under ``medlatent/models``, that module's tests, and the plan of
its runs. A foundation chapter needs no model of its own: where it has one, its tests are asked for, and where it has
records, their plan. A suite that is called like the chapter needs its tests, too.

``--to-build`` leaves out what is made of a built book, or by ``make pair``.
"""

import argparse
import ast
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import chapters
import exercises
import jupytext
import objectives
import pair
from common import BuildError
from generate import Chapter, check_equations, implementations, slug, toc_documents

ROOT = Path(__file__).resolve().parents[1]
PAPERS = "Papers"  # the part of the table of contents
LEAST_EXERCISES = 4


def check(root: Path, to_build: bool = False) -> dict[str, list[str]]:
    """What is missing or wrong, by chapter; what belongs to none stands under ``"the course"``.

    Args:
        root: the folder with ``_toc.yml``.
        to_build: leave out what is made of a built book, or by ``make pair``.
    """
    found: dict[str, list[str]] = {}
    listed = chapters.listed(root)
    readable = []
    for doc, part in listed:
        found[doc] = []
        try:
            about = chapters.read(root, doc, part)
            readable.append(doc)
            found[doc] += conventions(root / f"{doc}.py")
            found[doc] += verdicts(root, doc)
            found[doc] += objectives.problems(root, doc)
            found[doc] += header(about, {slug(other) for other, _ in listed})
        except BuildError as error:
            found[doc].append(str(error))
        except Exception as error:  # whatever a broken source provokes in its reader
            found[doc].append(f"{doc}.py cannot be read as a notebook: {type(error).__name__}: {error}")
        found[doc] += files(root, doc, part, to_build)
    # What implements an equation of a chapter that cannot be read is not to blame.
    unread = tuple(f"eq-{slug(doc).replace('_', '-')}-" for doc, _ in listed if doc not in readable)
    claims = {label: names for label, names in implementations(root).items() if not label.startswith(unread)}
    others = list(strays(root, [doc for doc, _ in listed], to_build))
    for message in check_equations([Chapter.read(root, doc) for doc in readable], claims):
        doc, _, said = message.partition(": ")
        found.get(doc, others).append(said if doc in found else message)
    found["the course"] = others
    return {place: problems for place, problems in found.items() if problems}


def tags(cell) -> set[str]:
    """The tags of a cell."""
    return set(cell.metadata.get("tags", []))


def conventions(source: Path) -> list[str]:
    """What in a chapter's notebook does not keep to the conventions that the book, Colab and the tests rely on."""
    cells = jupytext.read(source).cells
    code = [c for c in cells if c.cell_type == "code"]
    text = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    name = slug(source.stem).replace("_", "-")
    found = []
    if not cells or not re.match(rf"\({name}\)=\n+# \S", cells[0].source):
        found.append(f"the first cell does not begin with ({name})= and the title")
    if len(re.findall(r"^# \S", text, re.M)) != 1:
        found.append("there must be exactly one first-level heading")
    if any("google.colab" in c.source for c in code):
        found.append("a cell asks for Colab: `make pair` puts that cell in")
    parameters = [c for c in code if "parameters" in tags(c)]
    if len(parameters) != 1:
        found.append("there must be exactly one cell tagged parameters")
    else:
        values = {
            t.id: s.value for s in ast.parse(parameters[0].source).body if isinstance(s, ast.Assign) for t in s.targets
        }
        for key, default in (("profile", "ci"), ("seed", 0)):
            if not isinstance(values.get(key), ast.Constant) or values[key].value != default:
                found.append(f"the parameters cell does not set {key} = {default!r}")
    if not any("quiz" in tags(c) for c in code[-3:]):
        found.append("there is no cell tagged quiz at the end")
    if not any("publish_metrics" in c.source for c in code):
        found.append("no cell publishes metrics")
    if "you will be able to" not in text.lower():
        found.append("the chapter does not say what 'you will be able to' do")
    if not re.search(r"\b(minutes?|hours?)\b", text):
        found.append("the chapter does not say how long it takes")
    for heading in ("Summary", "Quiz", "Further reading"):
        if not re.search(rf"^#+ .*{heading}", text, re.M | re.I):
            found.append(f"there is no section {heading!r}")
    if outside := re.findall(r"\]\((http://[^)]+)\)", text):
        found.append(f"a link is not https: {outside[0]}")
    for paragraph in re.split(r"\n\s*\n", text):  # each page numbers from 1: two equations (3) would be in sight
        for label, other in re.findall(r"{eq}`(eq-([\w-]+)-\d+)`", paragraph):
            if other != name and f"{{ref}}`{other}`" not in paragraph:
                found.append(f"{label} is of another chapter, which the paragraph does not name")
    return found


def verdicts(root: Path, doc: str) -> list[str]:
    """Where a chapter's words differ from its verdicts: it states each, in bold, as ``**A1a: undecided**``.

    The words may stand on a page of the chapter: a notebook of ``_toc.yml`` without a number, whose name begins with
    the chapter's.
    """
    source = f"results/{slug(doc)}/claims.json"
    if not (root / source).is_file():
        return []
    judged = {c["id"]: c["verdict"] for c in json.loads((root / source).read_text(encoding="utf-8"))["claims"]}
    pages = [page for page in toc_documents(root) if page.startswith(f"notebooks/{slug(doc)}_")]
    text = " ".join(" ".join(Chapter.read(root, page).text.split()) for page in [doc, *pages])
    said = re.findall(r"\*\*([A-Z]\d+[a-z]?): ([^*]+)\*\*", text)
    found = [f"it says {id}: {words}, {source} has no such claim" for id, words in said if id not in judged]
    found += [
        f"it says {id}: {words}, {source} says {judged[id]}" for id, words in said if words != judged.get(id, words)
    ]
    unsaid = [id for id in judged if id not in dict(said)]
    return found + [f"it does not state the verdict **{id}: {judged[id]}** of {source}" for id in unsaid]


def header(about: chapters.About, known: set[str]) -> list[str]:
    """What the header of a notebook does not say, of all that the tables of chapters are made of."""
    place = f"the header of {about.doc}.py, under 'medlatent',"
    found = []
    if not about.about.strip():
        found.append(f"{place} has no 'about': one line on what a reader will meet")
    found += [f"{place} needs {other!r}, which is no chapter" for other in about.needs if other not in known]
    if not about.sessions:
        found.append(f"{place} has no 'sessions': the weeks of a term that the chapter takes")
    for number, session in enumerate(about.sessions, 1):
        if missing := [key for key in ("class", "homework") if not session.get(key)]:
            found.append(f"{place} says nothing of {missing[0]!r} in session {number}")
    return found


def files(root: Path, doc: str, part: str, to_build: bool) -> Iterator[str]:
    """The files of a chapter that are not there, or that say something else than their source."""
    name = slug(doc)

    def lacks(path: str, what: str) -> Iterator[str]:
        if not (root / path).is_file():
            yield f"{path} is missing: {what}"

    more = f"{doc}{exercises.SUFFIX}"
    yield from lacks(f"{more}.py", "its exercises")
    if more not in toc_documents(root):
        yield f"_toc.yml does not name {more} below it"
    if (source := root / f"{more}.py").is_file():
        try:
            there = exercises.read(source)[1]
            if len(there) < LEAST_EXERCISES:
                yield f"{more}.py has {len(there)} exercises, {LEAST_EXERCISES} are the least"
        except BuildError as error:
            yield str(error)
    yield from lacks(f"medlatent/course/exercises/{name}.py", "the checks of its exercises")

    module, records = f"medlatent/models/{name}.py", list((root / f"results/{name}").glob("*.json"))
    if part == PAPERS:
        yield from lacks(module, "its model")
    if (root / module).is_file():
        package = root / "medlatent/models/__init__.py"
        if not re.search(rf"^from \.{name} import ", package.read_text(encoding="utf-8"), re.M):
            yield f"medlatent/models/__init__.py imports nothing from .{name}, so no record of it can be loaded"
    if part == PAPERS or (root / module).is_file():
        yield from lacks(f"tests/models/test_{name}.py", "the tests of its model")
    if part == PAPERS or records:
        yield from lacks(f"results/{name}/plan.toml", "the plan of its runs")
    if (root / f"medlatent/evaluation/{name}.py").is_file():
        yield from lacks(f"tests/evaluation/test_{name}.py", "the tests of its suite")

    if to_build:
        return
    for source in (root / f"{doc}.py", root / f"{more}.py"):
        if source.is_file() and (problem := pair.problem(source)):
            yield f"{problem}: run make pair"
    metrics = f"tests/notebooks/metrics/{Path(doc).name}.json"
    yield from lacks(metrics, f"its stored metrics: run make references CHAPTER={name}")


def strays(root: Path, docs: list[str], to_build: bool) -> Iterator[str]:
    """What belongs to no chapter, or to two; and the table of chapters in README.md."""
    documents = set(toc_documents(root))
    for source in sorted((root / "notebooks").glob("*.py")):
        if f"notebooks/{source.stem}" not in documents:
            yield f"notebooks/{source.name} is not in _toc.yml"
    for what, of in (("number", lambda doc: Path(doc).name.partition("_")[0]), ("slug", slug)):
        seen: dict[str, str] = {}
        for doc in docs:
            if (first := seen.setdefault(of(doc), doc)) != doc:
                yield f"{first} and {doc} have one {what}, {of(doc)}"
    known = {slug(doc) for doc in docs} | {"__init__", "answers"}
    for path in sorted((root / "medlatent/course/exercises").glob("*.py")):
        if path.stem not in known:
            yield f"medlatent/course/exercises/{path.name} checks the exercises of no chapter"
    if not to_build and all((root / f"{doc}.py").is_file() for doc in docs):
        try:
            if chapters.update(root, check=True):
                yield "README.md: the table of chapters is out of step with the notebooks: run make pair"
        except BuildError as error:
            yield str(error)


def report(found: dict[str, list[str]]) -> str:
    """All of it, chapter by chapter."""
    return "\n".join("\n".join([place, *(f"  - {problem}" for problem in found[place])]) for place in found)


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--to-build", action="store_true", help="leave out what is made of a built book, or make pair")
    parser.add_argument("--root", type=Path, default=ROOT)
    args = parser.parse_args()
    found = check(args.root.resolve(), args.to_build)
    return f"Chapters are not whole:\n\n{report(found)}" if found else None


if __name__ == "__main__":
    sys.exit(main())
