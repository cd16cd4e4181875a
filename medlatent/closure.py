"""What a Python file may execute of this project: itself, and what it imports, directly or through other files.

The imports are read, not run. A name that a package only re-exports leads to the file that defines it, and to the
package's ``__init__``, but to no other file that the ``__init__`` names: importing those changes nothing for the reader
of this name. What cannot be read (a module that does not exist, a name that is computed) leads to the whole package.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path


def import_closure(root: Path, entry_sources: Iterable[Path]) -> set[Path]:
    """The Python files of the project that executing these sources may run, with the sources themselves.

    Imports inside functions count, and so do ``importlib.import_module("name")`` and strings that spell the dotted name
    of a module of the project. Packages from elsewhere do not: their versions are pinned.

    Args:
        root: the folder from which the project's packages are imported.
        entry_sources: Python files, modules of a package or others.
    """
    walk = _Walk(root.resolve())
    for source in entry_sources:
        walk.whole(source.resolve())
    return walk.found


class _Walk:
    """The files found so far. ``root``: where packages are imported from."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: set[Path] = set()
        self._followed: set[Path] = set()  # files all of whose imports are followed
        self._asked: set[tuple[str, str]] = set()  # names whose origin is known

    # ------------------------------------------------------------------------------------- what a file needs

    def whole(self, file: Path) -> None:
        """A file and everything that it imports."""
        if file in self._followed:
            return
        self._followed.add(file)
        self.found.add(file)
        self._parents(file)
        try:
            leads = _leads(file.read_text(encoding="utf-8"))
        except SyntaxError:  # a notebook's magic, for instance: it may import anything
            self._all_of(self.root / top for top in self._packages())
            return
        for node in leads:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    self._module(alias.name)
            elif isinstance(node, ast.ImportFrom):
                module = self._absolute(file, node)
                for alias in node.names:
                    self._name(module, alias.name)
            elif isinstance(node, ast.Call):
                self._dynamic(file, node)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if self._is_ours(node.value) and (target := self._file(node.value)):
                    self.whole(target)
            else:
                self._all_of([file.parent])

    def _module(self, module: str) -> None:
        """``import a.b``: all of ``a`` and of ``a.b``, since any of their names can be reached."""
        if self._is_ours(module):
            parts = module.split(".")
            for length in range(1, len(parts) + 1):
                file = self._file(".".join(parts[:length]))
                self.whole(file) if file else self._all_of([self.root / parts[0]])

    def _name(self, module: str, name: str) -> None:
        """``from module import name``."""
        if not self._is_ours(module) or (module, name) in self._asked:
            return
        self._asked.add((module, name))
        file, submodule = self._file(module), self._file(f"{module}.{name}")
        if submodule:
            self.whole(submodule)
        if file is None:
            if not submodule:
                self._all_of([self.root / module.split(".")[0]])
        elif file.name != "__init__.py" or not _only_reexports(file):
            self.whole(file)
        else:
            self.found.add(file)
            self._parents(file)
            if origins := [(node, alias) for node, alias in _imported(file) if (alias.asname or alias.name) == name]:
                for node, alias in origins:
                    self._name(self._absolute(file, node), alias.name)
            elif not submodule:
                self.whole(file)

    def _dynamic(self, file: Path, call: ast.Call) -> None:
        """``import_module``: what its text names; everything that it might where that is computed."""
        name = call.args[0] if call.args else None
        package = self._dotted(file.parent)
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            dots = len(name.value) - len(name.value.lstrip("."))
            base = package.split(".")[: len(package.split(".")) - dots + 1] if dots else []
            self._module(".".join([*base, name.value[dots:]]))
        elif (
            isinstance(name, ast.JoinedStr)
            and isinstance(name.values[0], ast.Constant)
            and re.fullmatch(r"\.(?!\.).*", str(name.values[0].value))
        ):
            self._all_of([file.parent])  # a module beside this one
        else:
            self._all_of(self.root / top for top in self._packages())

    def _parents(self, file: Path) -> None:
        """The ``__init__`` of each package that the file lies in: importing the file runs them first."""
        for folder in file.parents:
            init = folder / "__init__.py"
            if folder == self.root or not init.is_file():
                return
            if init not in self.found:
                self.found.add(init)
                if not _only_reexports(init):
                    self.whole(init)

    def _all_of(self, folders: Iterable[Path]) -> None:
        for folder in folders:
            for file in sorted(folder.rglob("*.py")):
                self.whole(file)

    # ---------------------------------------------------------------------------------- what a name stands for

    def _packages(self) -> Iterator[str]:
        """The project's packages: folders of the root with an ``__init__``."""
        return (init.parent.name for init in sorted(self.root.glob("*/__init__.py")))

    def _is_ours(self, module: str) -> bool:
        top = module.split(".")[0]
        return bool(top) and ((self.root / top / "__init__.py").is_file() or (self.root / f"{top}.py").is_file())

    def _file(self, module: str) -> Path | None:
        path = self.root.joinpath(*module.split("."))
        return next((f for f in (path / "__init__.py", path.with_name(f"{path.name}.py")) if f.is_file()), None)

    def _dotted(self, folder: Path) -> str:
        return ".".join(folder.relative_to(self.root).parts) if folder.is_relative_to(self.root) else ""

    def _absolute(self, file: Path, node: ast.ImportFrom) -> str:
        """The module of ``from module import …``, with leading dots resolved."""
        if not node.level:
            return node.module or ""
        folder = file.parents[node.level - 1]
        return ".".join(filter(None, [self._dotted(folder), node.module]))


def parse(file: Path) -> ast.Module:
    """The syntax tree of a file."""
    return _parsed(file.read_text(encoding="utf-8"))


def nodes_of(file: Path) -> tuple[ast.AST, ...]:
    """All nodes of the syntax tree of a file."""
    return _nodes(file.read_text(encoding="utf-8"))


@cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


@cache  # the walk takes as long as the parsing, and the same modules are read for notebook after notebook
def _nodes(text: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(_parsed(text)))


@cache
def _leads(text: str) -> list[ast.AST]:
    """The few nodes of a file that may lead to another: imports, texts that spell a dotted name, ``pkgutil``."""

    def leads(node: ast.AST) -> bool:
        if isinstance(node, ast.Call):
            return called(node) in ("import_module", "__import__")
        if isinstance(node, ast.Constant):
            return isinstance(node.value, str) and bool(re.fullmatch(r"[a-z]\w*(\.\w+)+", node.value))
        if isinstance(node, ast.Name | ast.Attribute):
            return last(node) == "pkgutil"
        return isinstance(node, ast.Import | ast.ImportFrom)

    return list(filter(leads, _nodes(text)))


def last(node: ast.Name | ast.Attribute) -> str:
    """The last part of a dotted name."""
    return node.id if isinstance(node, ast.Name) else node.attr


def called(node: ast.Call) -> str:
    """The last part of the name that is called; empty where an expression is."""
    return last(node.func) if isinstance(node.func, ast.Name | ast.Attribute) else ""


def _imported(file: Path) -> Iterator[tuple[ast.ImportFrom, ast.alias]]:
    for node in parse(file).body:
        if isinstance(node, ast.ImportFrom):
            yield from ((node, alias) for alias in node.names)


def _only_reexports(init: Path) -> bool:
    """Whether a package's ``__init__`` holds imports of names, a docstring and dunder constants, and nothing else."""

    def harmless(node: ast.stmt) -> bool:
        if isinstance(node, ast.ImportFrom):
            return all(alias.name != "*" for alias in node.names)
        if isinstance(node, ast.Assign):
            return all(isinstance(t, ast.Name) and t.id.startswith("__") for t in node.targets)
        return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)

    return all(map(harmless, parse(init).body))
