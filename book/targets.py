"""What the roles of the notebooks can lead to: its address in the published book, and the words that its page shows.

All is read from the sources, since notebooks are derived before anything is built. The tests compare it with the pages.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from types import SimpleNamespace

import yaml
from address import forms
from common import BuildError
from generate import GENERATED, toc_documents

LABEL = re.compile(r"^\((?P<label>[\w-]+)\)=\n+(?:#+ (?P<title>.+))?", re.M)
EQUATION = re.compile(r"\$\$\s*\((eq-[a-z0-9-]+-(\d+))\)")
FIGURE = re.compile(r'^%% .*"name": "(fig-[\w-]+)"', re.M)
CHECK = re.compile(r'"(check-[\w-]+)"')
AUTOMATIC = re.compile(r"^\.\. automodule:: (?P<module>[\w.]+)\n(?P<options>(?:[ ]+:.*\n)*)", re.M)
# The glossary explains a term in indented lines below it.
TERM = re.compile(r"^(?!```)(\S.*)\n(?=[ ]+\S)", re.M)


class NoTarget(LookupError):
    """There is nothing of this name in the book."""


@dataclass(frozen=True)
class Target:
    """Where something stands, relative to the address of the book, and the words of a link to it; or none."""

    place: str
    words: str


@dataclass(frozen=True)
class Page:
    """What one document of the book can be called by."""

    title: str
    labels: dict[str, str]  # the titles of the sections behind labels; empty where something else follows
    equations: dict[str, str]
    figures: tuple[str, ...]


class Targets:
    """The targets of a book.

    Args:
        root: the folder with ``_toc.yml``.
        more: sources that are not in ``_toc.yml``, or not yet.
    """

    def __init__(self, root: Path, *more: Path) -> None:
        self.root = root
        documents = toc_documents(root)
        texts = {doc: text for doc in documents if (text := self._text(doc)) is not None}
        texts |= {f"notebooks/{path.stem}": _prose(path) for path in more}
        self.pages = {doc: read_page(text) for doc, text in texts.items()}

    def _text(self, doc: str) -> str | None:
        """The Markdown of a document; of a page that a build writes, its heading."""
        if doc.startswith("notebooks/") and (path := self.root / f"{doc}.py").is_file():
            return _prose(path)
        if (path := self.root / f"{doc}.md").is_file():
            return path.read_text(encoding="utf-8")
        return GENERATED.get(Path(doc).name)

    @cached_property
    def address(self) -> str:
        """Of the published book."""
        config = yaml.safe_load((self.root / "_config.yml").read_text(encoding="utf-8"))
        return forms(config["repository"]["url"].rstrip("/"))[2]

    def find(self, role: str, name: str, doc: str) -> Target:
        """What a role leads to.

        Args:
            role: as ``eq`` or ``py:func``.
            name: what it names, without a text of its own.
            doc: the document in which the role stands.

        Raises:
            NoTarget: there is nothing of this name.
        """
        name = " ".join(name.split())
        kind, _, what = role.partition(":")
        if kind == "py":
            return self._object(name, what)
        if kind == "cite":
            return self._work(name, textual=what == "t")
        return {"eq": self._equation, "ref": self._section, "numref": self._figure, "term": self._term}.get(
            role, lambda name: self._document(name, doc)
        )(name)

    def _equation(self, label: str) -> Target:
        for doc, page in self.pages.items():
            if label in page.equations:
                return Target(f"{doc}.html#equation-{label}", f"({page.equations[label]})")
        raise NoTarget

    def _section(self, label: str) -> Target:
        for doc, page in self.pages.items():
            if label in page.labels:
                return Target(f"{doc}.html#{label}", page.labels[label])
        raise NoTarget

    @cached_property
    def _figures(self) -> dict[str, Target]:
        named = ((doc, name) for doc, page in self.pages.items() for name in page.figures)
        return {
            name: Target(f"{doc}.html#{name}", f"Fig. {number}") for number, (doc, name) in enumerate(named, start=1)
        }

    def _figure(self, name: str) -> Target:
        if name not in self._figures:
            raise NoTarget
        return self._figures[name]

    def _document(self, name: str, doc: str) -> Target:
        path = name.removeprefix("/") if name.startswith("/") else f"{Path(doc).parent}/{name}"
        if path not in self.pages:
            raise NoTarget
        return Target(f"{path}.html", self.pages[path].title)

    @cached_property
    def _terms(self) -> dict[str, Target]:
        from sphinx.util.nodes import make_id

        path = self.root / "book/glossary.md"
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        page, serial, found = SimpleNamespace(ids={}), SimpleNamespace(number=-1), {}

        def next_number(_: str) -> int:
            serial.number += 1
            return serial.number

        for term in TERM.findall(text.partition("```{glossary}")[2]):
            anchor = make_id(SimpleNamespace(new_serialno=next_number), page, "term", term)
            page.ids[anchor] = term
            found[term] = Target(f"book/glossary.html#{anchor}", term)
        return found

    def _term(self, name: str) -> Target:
        if name in self._terms:
            return Target(self._terms[name].place, name)
        alike = [target for term, target in self._terms.items() if term.lower() == name.lower()]
        if not alike:
            raise NoTarget
        return Target(alike[0].place, name)

    def _work(self, key: str, textual: bool) -> Target:
        works = _works(self.root / "book/references.bib")
        if key not in works:
            raise NoTarget
        people, year = works[key]
        return Target(f"book/references.html#cite-{key}", f"{people} ({year})" if textual else f"{people}, {year}")

    # ----------------------------------------------------------------------------------------- what the package holds

    @cached_property
    def _modules(self) -> dict[str, tuple[str, str]]:
        """The documents that describe modules, and the options with which they do."""
        found = {}
        for path in sorted((self.root / "book/api").glob("*.md")):
            for match in AUTOMATIC.finditer(path.read_text(encoding="utf-8")):
                found[match["module"]] = (f"book/api/{path.stem}", match["options"])
        return found

    def _object(self, name: str, kind: str) -> Target:
        name, short = name.removeprefix("~"), name.startswith("~")
        words = name.rpartition(".")[2] if short else name
        words += "()" if kind in ("func", "meth") else ""
        if kind == "mod" and name in self._modules:
            return Target(f"{self._modules[name][0]}.html#module-{name}", words)
        for candidate in _public_names(name):
            parts = candidate.split(".")
            for length in range(len(parts) - 1, 0, -1):
                module = ".".join(parts[:length])
                if module in self._modules and self._describes(module, parts[length:]):
                    return Target(f"{self._modules[module][0]}.html#{candidate}", words)
        raise NoTarget

    def _describes(self, module: str, path: list[str]) -> bool:
        """Whether the page of a module describes one of its classes, functions or methods."""
        options = self._modules[module][1]
        only = re.search(r":members:[ ]*(\S.*)$", options, re.M)
        without = re.search(r":exclude-members:[ ]*(\S.*)$", options, re.M)
        if ":no-members:" in options or (only and path[0] not in re.split(r",\s*", only[1])):
            return False
        if without and path[0] in re.split(r",\s*", without[1]):
            return False
        node = definition(self.root, module, path[0])
        for name in path[1:]:
            members = {n.name: n for n in getattr(node, "body", []) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
            node = members.get(name)
        return node is not None and bool(ast.get_docstring(node))


def _public_names(name: str) -> Iterator[str]:
    """The name, and the same one in the packages around its module: ``a.b.c.Name``, ``a.b.Name``."""
    yield name
    *modules, last = name.split(".")
    while len(modules) > 2:
        modules.pop()
        yield ".".join([*modules, last])


def definition(root: Path, module: str, name: str) -> ast.FunctionDef | ast.ClassDef | None:
    """Where a name is defined that can be imported from a module."""
    folder = root.joinpath(*module.split("."))
    file = next((f for f in (folder / "__init__.py", folder.with_suffix(".py")) if f.is_file()), None)
    if file is None:
        return None
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    for node in _parsed(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and file.name == "__init__.py":
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
                    return definition(root, ".".join(filter(None, [*parents, node.module])), alias.name)
    return None


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


def _prose(source: Path) -> str:
    """The comments of a percent notebook without their marks: its Markdown, and the heads of its cells."""
    lines = source.read_text(encoding="utf-8").splitlines()
    return "\n".join(line[2:] for line in lines if line.startswith("#"))


@cache
def read_page(text: str) -> Page:
    """Reads the Markdown of a document."""
    labels = {match["label"]: _words(match["title"] or "") for match in LABEL.finditer(text)}
    labels |= dict.fromkeys(CHECK.findall(text), "")
    title = re.search(r"^# (.+)$", text, re.M)
    return Page(_words(title[1]) if title else "", labels, dict(EQUATION.findall(text)), tuple(FIGURE.findall(text)))


def _words(title: str) -> str:
    """A heading as the page shows it: without marks of emphasis and code."""
    return re.sub(r"(\*\*|\*|`)(.+?)\1", r"\2", title).strip()


@cache
def _works(bibliography: Path) -> dict[str, tuple[str, str]]:
    """The authors and the year of each entry, written as the pages write them."""
    from sphinxcontrib.bibtex.bibfile import parse_bibdata
    from sphinxcontrib.bibtex.style.referencing import PersonStyle

    if not bibliography.is_file():
        return {}
    person = PersonStyle()
    names, style = person.names("author", full=False), SimpleNamespace(person=person)
    found = {}
    for key, entry in parse_bibdata([bibliography], "utf-8").data.entries.items():
        if not entry.persons.get("author") or "year" not in entry.fields:
            raise BuildError(f"{bibliography.name}: {key} has no author or no year, which a citation shows")
        people = names.format_data({"entry": entry, "style": style, "formatted_entry": None}).render_as("text")
        found[key] = (people, entry.fields["year"])
    return found
