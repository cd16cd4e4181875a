"""The notebooks that nbval runs: they hold outputs, and are what the chapters say today."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import references
from common import BuildError
from generate import toc_chapters

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.executes


REFERENCES = sorted((Path(__file__).parent / "references").glob("*.ipynb"))


def faults(reference: nbformat.NotebookNode, excerpt: nbformat.NotebookNode) -> list[str]:
    """Why a reference would compare nothing, or not what the chapter does."""
    found = []
    if [c.source for c in reference.cells] != [c.source for c in excerpt.cells]:
        found.append("its cells are not the chapter's")
    compared = [c for c in reference.cells if references.is_checked(c)]
    if not compared:
        found.append("no cell is compared")
    found += [f"a compared cell holds no output: {c.source[:60]!r}" for c in compared if not c.outputs]
    return found


def test_at_least_one_notebook_has_a_reference():
    assert REFERENCES


@pytest.mark.parametrize("doc", toc_chapters(ROOT))
def test_every_notebook_with_compared_cells_has_its_reference(doc):
    wanted = any(map(references.is_checked, references.excerpt(ROOT / f"{doc}.py").cells))
    assert wanted == (Path(doc).name in {p.stem for p in REFERENCES}), "run make references"


@pytest.mark.parametrize("path", REFERENCES, ids=lambda p: p.stem)
def test_reference_holds_outputs_and_is_in_step(path):
    excerpt = references.excerpt(ROOT / f"notebooks/{path.stem}.py")
    assert faults(nbformat.read(path, as_version=4), excerpt) == [], "run make references"


SOURCE = """
# %% tags=["parameters"]
profile = "ci"

# %% tags=["reference"]
x = 2

# %%
raise SystemExit("not part of the reference")

# %% tags=["nbval-check-output"]
print(x**2)
"""


@pytest.fixture
def stored(tmp_path):
    """A reference made from a chapter, and the chapter's source."""
    source, target = tmp_path / "notebooks/01_x.py", tmp_path / "references/01_x.ipynb"
    source.parent.mkdir()

    def make(text: str = SOURCE) -> tuple[Path, Path]:
        source.write_text(text)
        references.store_reference(tmp_path, "notebooks/01_x", target)
        return source, target

    return make


def nbval(path: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "--rootdir", path.parent]
    return subprocess.run([*command, "-c", "/dev/null", path], capture_output=True, text=True, check=False)


def test_a_reference_passes_and_a_changed_output_or_an_emptied_one_is_seen(stored):
    source, target = stored()
    notebook = nbformat.read(target, as_version=4)
    assert [c.source for c in notebook.cells] == ['profile = "ci"', "x = 2", "print(x**2)"]
    assert faults(notebook, references.excerpt(source)) == []
    passed = nbval(target)
    assert passed.returncode == 0, passed.stdout + passed.stderr

    target.write_text(target.read_text().replace('"4\\n"', '"5\\n"'))
    failed = nbval(target)
    assert failed.returncode != 0
    assert "1 failed" in failed.stdout

    notebook.cells[2].outputs = []
    assert faults(notebook, references.excerpt(source)) == ["a compared cell holds no output: 'print(x**2)'"]
    source.write_text(SOURCE.replace("x = 2", "x = 3"))
    assert "its cells are not the chapter's" in faults(notebook, references.excerpt(source))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("print(x**2)", "x**3;", "has no output"),
        ("print(x**2)", "print(object())", "prints an address"),
        ("print(x**2)", "print(y)", "NameError"),
        ("print(x**2)", "exit()", "calls for an exit"),
    ],
)
def test_what_cannot_be_compared_is_refused(stored, before, after, message):
    with pytest.raises(BuildError, match=message):
        stored(SOURCE.replace(before, after))


def test_references_are_valid_notebooks():
    for path in REFERENCES:
        nbformat.validate(json.loads(path.read_text()))
