"""The first code cell of every notebook: in Colab it fetches of the course what the notebook needs, and installs it.

What a notebook needs is read from its source: the package, the notebooks, the folders of records that it opens, the
files that models are measured by, and what it names of other folders. Everything together would be ten times as much.
"""

import ast
from functools import cache
from pathlib import Path

import inputs
import nbformat

from medlatent.closure import import_closure, last, nodes_of

ALWAYS = ("medlatent", "notebooks")
# Restart session keeps the files and forgets the working folder, in which the recorded models are found: the folder is
# entered in each session. Another notebook of the session adds what it needs besides. The clone brings the files of the
# topmost folder; git 2.34, which Colab has, takes patterns of single files only after `init --no-cone`.
COLAB = """\
import sys

if "google.colab" in sys.modules:
    # Colab: fetch what this notebook needs of the course, install it, and work in its folder.
    import os
    import subprocess
    from pathlib import Path

    address = "https://github.com/medlatent/medlatent"
    course = Path("/content/medlatent")
    installed = Path("/content/.medlatent-installed")
    needs = [
        NEEDS
    ]
    if not course.is_dir():
        clone = ["git", "clone", "--quiet", "--depth=1", "--filter=blob:none", "--sparse"]
        subprocess.run([*clone, address, course], check=True)
    os.chdir(course)
    there = Path(".git/info/sparse-checkout").read_text().splitlines()
    if lacking := [path for path in needs if path not in there]:
        subprocess.run(["git", "sparse-checkout", "init", "--no-cone"], check=True)
        subprocess.run(["git", "sparse-checkout", "add", *lacking], check=True)
    if not installed.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, ".[notebooks,data]"], check=True)
        installed.touch()
    if str(course) not in sys.path:
        sys.path.insert(0, str(course))
"""


def code(needs: list[str]) -> str:
    """The source of the cell, for a notebook that needs these paths."""
    return COLAB.replace("NEEDS", "\n        ".join(f'"{path}",' for path in needs)).rstrip()


def cell(source: Path, root: Path) -> nbformat.NotebookNode:
    """What a reader in Colab runs first. It does nothing elsewhere, and no page shows it."""
    return nbformat.v4.new_code_cell(code(needed(source, root)), metadata={"tags": ["colab", "remove-cell"]})


def needed(source: Path, root: Path) -> list[str]:
    """The files that a notebook needs of the repository, as patterns of a sparse checkout.

    It is quicker than :func:`inputs.inputs`, which follows every import, and the tests hold the two together: the doors
    to records are those of the whole package, but for names that the notebook gives to something of its own.
    """
    folders = {f"/{name}/" for name in ALWAYS}
    try:
        nodes = nodes_of(source)
    except SyntaxError:  # nothing can be read from it
        return sorted(folders | {f"/{inputs.RECORDS}/"})
    own = {n.name for n in nodes if isinstance(n, ast.FunctionDef)}
    own |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    modules = sorted((root / inputs.PACKAGE).rglob("*.py"))
    doors, shared = _package(root, tuple((m, m.stat().st_mtime_ns) for m in modules))
    records = inputs.record_folders(root, source, doors - own)
    if (
        inputs.RECORDS in records
    ):  # all of them, perhaps because of a name that is a door in another module: look closer
        doors = inputs.record_doors(import_closure(root, [source]) - {source})
        records = inputs.record_folders(root, source, doors - own)
    used = {last(n) for n in nodes if isinstance(n, ast.Name | ast.Attribute)}
    used |= {n.name for n in nodes if isinstance(n, ast.alias)}
    folders |= {f"/{name}/" for name in records}
    measures = f"{inputs.PACKAGE}.evaluation" in source.read_text("utf-8")
    if measures or records or used & ((doors - own) | inputs.LOADERS):
        folders |= {f"/{pattern}" for pattern in shared}
    folders |= {f"/{name}" for name in inputs.named_by(root, source)}
    return sorted(path for path in folders if not any(path != f and path.startswith(f) for f in folders))


@cache
def _package(root: Path, modules: tuple[tuple[Path, int], ...]) -> tuple[frozenset[str], frozenset[str]]:
    """The doors of the package to records, and the patterns of other results that it reads; read once a change."""
    files = [file for file, _ in modules]
    constants = (n.value for f in files for n in nodes_of(f) if isinstance(n, ast.Constant))
    texts = {text for text in constants if isinstance(text, str)}
    patterns = {text for text in texts if inputs.NAMED.fullmatch(text) and text.islower()}  # SLUG is none
    return frozenset(inputs.record_doors(files)), frozenset(patterns)
