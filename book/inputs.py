"""The files that the result of a notebook depends on: what it imports, the records that it opens, what it names."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from common import PINS, tree

from medlatent.closure import called, import_closure, last, nodes_of

PACKAGE = "medlatent"
RECORDS = "results"
FOLDER = "results_folder"  # the function of the package through which all records are found
NAMED = re.compile(rf"{RECORDS}/[\w*]+/[\w*.]+")  # files that modules read by a path or a pattern
# A stored model names its class, which the package looks for among its models: whoever loads one may need any of them.
LOADERS = {"load", "load_model"}


def inputs(root: Path, source: Path) -> list[Path]:
    """All files of the project that take part when a notebook is executed, itself among them, sorted."""
    try:
        nodes = nodes_of(source)
    except SyntaxError:  # nothing can be read from it; its execution will say what is wrong
        return sorted({source, *tree(root, PACKAGE, RECORDS, *PINS)})
    modules = import_closure(root, [source])
    doors = record_doors(modules - {source})
    used = {last(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
    used |= {node.name for node in nodes if isinstance(node, ast.alias)}
    if used & (doors | LOADERS):
        modules |= import_closure(root, (root / PACKAGE / "models").rglob("*.py"))
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    if any(text == PACKAGE or f"-m {PACKAGE}" in text for text in texts):  # its command line, which may run anything
        modules |= import_closure(root, (root / PACKAGE).rglob("*.py"))
    files = modules | companions(root, modules) | {root / name for name in named_by(root, source)}
    files |= named_files(root, modules - {source})
    return sorted(files | set(tree(root, *PINS, *record_folders(root, source, doors))))


def companions(root: Path, modules: Iterable[Path]) -> set[Path]:
    """What lies in the packages of these modules and is no Python: scripts of the page, carried data."""
    packages = {module.parent for module in modules if (module.parent / "__init__.py").is_file()}
    found = set()
    for package in packages:
        inner = [init.parent for init in package.rglob("*/__init__.py")]
        for file in tree(root, str(package.relative_to(root))):
            if file.suffix != ".py" and not any(file.is_relative_to(folder) for folder in inner):
                found.add(file)
    return found


def named_by(root: Path, source: Path) -> set[str]:
    """The files outside the package and the records that a notebook names."""
    named = re.findall(r"""["']((?:book|tests|data_scripts|benchmarks)/[\w./-]+)["']""", source.read_text("utf-8"))
    return {name for name in named if (root / name).is_file()}


def named_files(root: Path, modules: Iterable[Path]) -> set[Path]:
    """The files below ``results`` that modules read by a path or a pattern, and not as records of a chapter."""
    constants = [node for module in modules for node in nodes_of(module) if isinstance(node, ast.Constant)]
    texts = {node.value for node in constants if isinstance(node.value, str)}
    patterns = {text for text in texts if NAMED.fullmatch(text)}
    return {file for pattern in patterns for file in root.glob(pattern)}


def record_doors(modules: Iterable[Path]) -> set[str]:
    """The functions and class methods that lead to records: whose code comes to ``results_folder``, by whatever way."""
    mentions: dict[str, set[str]] = {}
    for module in modules:
        for name, names in _mentions(module.read_text(encoding="utf-8")).items():
            mentions.setdefault(name, set()).update(names)
    doors = {FOLDER}
    while new := {name for name, names in mentions.items() if names & doors} - doors:
        doors |= new
    return doors


@cache
def _mentions(text: str) -> dict[str, set[str]]:
    """Of a module: what its functions and class methods mention, by their names."""
    mentions: dict[str, set[str]] = {}
    for node in ast.walk(ast.parse(text)):
        functions = []
        if isinstance(node, ast.Module):
            functions = [f for f in node.body if isinstance(f, ast.FunctionDef)]
        elif isinstance(node, ast.ClassDef):  # an object has been found already: its own methods are no way in
            functions = [f for f in node.body if isinstance(f, ast.FunctionDef) and f.decorator_list]
        for function in functions:
            mentions.setdefault(function.name, set()).update(mentioned(function))
    return mentions


def mentioned(function: ast.FunctionDef) -> set[str]:
    """The names that a function takes from elsewhere: a variable of its own may be called as some other function is."""
    nodes = list(ast.walk(function))
    own = {n.arg for n in nodes if isinstance(n, ast.arg)}
    own |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    attributes = {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    return attributes | {n.id for n in nodes if isinstance(n, ast.Name)} - own


def record_folders(root: Path, source: Path, doors: set[str]) -> list[str]:
    """The folders of records that a notebook opens: those that it names, or all if it opens one it does not name.

    Named is a folder by ``find_record("vae", …)``, ``results_folder() / "vae"``, or any other text that says it.
    """
    known = {path.name for path in (root / RECORDS).glob("*") if path.is_dir()}
    nodes = nodes_of(source)
    texts = [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]
    named = {name for text in texts for name in known if name == text or f"{RECORDS}/{name}" in text}
    readable = set()
    for node in nodes:
        if isinstance(node, ast.Call) and called(node) in doors and _says(node, known):
            readable.add(node.func)
        elif isinstance(node, ast.BinOp) and isinstance(node.left, ast.Call) and _says(node.right, known):
            readable.add(node.left.func)
    opened = [n for n in nodes if isinstance(n, ast.Name | ast.Attribute) and last(n) in doors]
    renamed = any(isinstance(n, ast.alias) and n.asname and n.name in doors for n in nodes)
    if renamed or any(n not in readable for n in opened) or any(text.rstrip("/") == RECORDS for text in texts):
        return [RECORDS]
    return [f"{RECORDS}/{name}" for name in sorted(named)]


def _says(node: ast.AST, known: set[str]) -> bool:
    """Whether the text of a folder's name stands in an expression."""
    return any(isinstance(n, ast.Constant) and n.value in known for n in ast.walk(node))
