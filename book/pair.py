"""Derives ``notebooks/NN_slug.ipynb`` from ``notebooks/NN_slug.py``, one way; unchanged sources change nothing.

Of an exercise notebook the student's edition is derived: it is what Colab opens.

python book/pair.py [--check] [FILE.py ...]
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import exercises
import jupytext
import nbformat
from common import write

ROOT = Path(__file__).resolve().parents[1]
# The first code cell of every notebook. Restart session keeps the files and forgets the working folder, in which the
# recorded models are found: the folder is entered in each session, the rest is done once.
COLAB = """\
import sys

if "google.colab" in sys.modules:
    # Colab: fetch the course, install it, and work in its folder.
    import os
    import subprocess
    from pathlib import Path

    address = "https://github.com/medlatent/medlatent"
    course = Path("/content/medlatent")
    installed = Path("/content/.medlatent-installed")
    if not course.is_dir():
        clone = ["git", "clone", "--quiet", "--depth=1"]
        subprocess.run([*clone, address, course], check=True)
    os.chdir(course)
    if not installed.exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet"]
        subprocess.run([*pip, ".[notebooks,data]"], check=True)
        installed.touch()
    if str(course) not in sys.path:
        sys.path.insert(0, str(course))
"""


def colab_cell() -> nbformat.NotebookNode:
    """What a reader in Colab runs first. It does nothing elsewhere, and no page shows it."""
    return nbformat.v4.new_code_cell(COLAB.rstrip(), metadata={"tags": ["colab", "remove-cell"]})


def derive(source: Path, edition: Callable | None = None) -> str:
    """The text of the notebook: no outputs, and cell ids that follow from the place and the content of each cell.

    Args:
        source: the percent notebook.
        edition: of an exercise notebook, a function of :mod:`exercises`; by default the student's.
    """
    notebook = jupytext.read(source)
    if exercises.is_exercises(source):
        notebook = (edition or exercises.student)(notebook)
    first = next((i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"), len(notebook.cells))
    notebook.cells.insert(first, colab_cell())
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
    if target.read_text(encoding="utf-8") != derive(source):
        return f"{target.name} is not what {source.name} derives"
    return ""


def main() -> str | None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a pair is out of step")
    parser.add_argument("sources", nargs="*", type=Path, help="by default all of notebooks/")
    args = parser.parse_args()
    sources = args.sources or sorted((ROOT / "notebooks").glob("*.py"))
    if args.check:
        names = {s.stem for s in sources}
        folder = sources[0].parent if sources else ROOT / "notebooks"
        orphans = [f"{p.name} has no source {p.stem}.py" for p in folder.glob("*.ipynb") if p.stem not in names]
        if problems := [*filter(None, map(problem, sources)), *([] if args.sources else orphans)]:
            return "\n".join([*problems, "Edit the .py, then run: make pair"])
        return None
    for source in sources:
        if problem(source):
            write(source.with_suffix(".ipynb"), derive(source))
            print(f"wrote {source.with_suffix('.ipynb').name}")
    return None


if __name__ == "__main__":
    sys.exit(main())
