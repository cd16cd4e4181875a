"""A helper that two notebooks need stands in the package: no notebook defines what another one defines."""

import ast
import difflib
import io
import itertools
import tokenize
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).resolve().parents[2]
ALIKE = 0.8  # of the words of two functions, with their own names put aside
ALIKE_IN_NAME = 0.6  # of those of one name
WORDS = 30  # a function of fewer is an expression with a name


def helpers(source: Path) -> dict[str, list[str]]:
    """The functions that a notebook defines for itself, by name, as words.

    What the reader of an exercise has to write is none: a chapter may show it, too.
    """
    cells = [c for c in jupytext.read(source).cells if c.cell_type == "code"]
    own = [
        cell
        for cell in cells
        if not cell.metadata.get("nbgrader", {}).get("solution") and "wrong-answer" not in cell.metadata.get("tags", [])
    ]
    nodes = [node for cell in own for node in ast.parse(cell.source).body]
    found = {n.name: words(n) for n in nodes if isinstance(n, ast.FunctionDef)}
    return {name: text for name, text in found.items() if len(text) >= WORDS}


def words(node: ast.FunctionDef) -> list[str]:
    """A function without its docstring, its own names numbered in the order in which they appear."""
    node = ast.parse(ast.unparse(node)).body[0]
    if ast.get_docstring(node) is not None and len(node.body) > 1:
        del node.body[0]
    names: dict[str, str] = {node.name: "itself"}
    for part in ast.walk(node):
        if isinstance(part, ast.arg):
            names.setdefault(part.arg, f"name{len(names)}")
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            names.setdefault(part.id, f"name{len(names)}")
    tokens = tokenize.generate_tokens(io.StringIO(ast.unparse(node)).readline)
    return [names.get(token.string, token.string) for token in tokens if token.string.strip()]


def shared(sources: list[Path]) -> list[str]:
    """The pairs of functions in different notebooks that say the same."""
    found = {source.stem: helpers(source) for source in sources}
    return [
        f"{a}: {x} and {b}: {y} are alike: move one to medlatent"
        for a, b in itertools.combinations(found, 2)
        for x, first in found[a].items()
        for y, second in found[b].items()
        if difflib.SequenceMatcher(None, first, second, autojunk=False).ratio() > (ALIKE_IN_NAME if x == y else ALIKE)
    ]


def test_no_two_notebooks_define_the_same_helper():
    assert shared(sorted((ROOT / "notebooks").glob("*.py"))) == []


ONE = '''
def encode(model, images):
    """Means and log-variances (N, D)."""
    with torch.inference_mode():
        parts = [model.encode(part) for part in images.split(200)]
    return [torch.cat(part) for part in zip(*parts, strict=True)]
'''
ANOTHER = """
def posteriors(network, pictures):
    with torch.no_grad():
        found = [network.encode(p) for p in pictures.split(250)]
    return [torch.cat(p) for p in zip(*found, strict=True)]
"""
UNLIKE = '''
def encode(text):
    """Another thing of the same name."""
    table = {letter: number for number, letter in enumerate(sorted(set(text)))}
    return [table[letter] for letter in text]
'''


@pytest.mark.parametrize(("second", "count"), [(ONE, 1), (ANOTHER, 1), (UNLIKE, 0)])
def test_a_helper_that_two_notebooks_define_is_found_under_any_name(tmp_path, second, count):
    sources = [tmp_path / "01_one.py", tmp_path / "02_two.py"]
    for source, text in zip(sources, (ONE, second), strict=True):
        source.write_text(f"# %%\n{text}")
    assert len(shared(sources)) == count


def test_what_an_exercise_asks_for_may_stand_in_its_chapter(tmp_path):
    sources = [tmp_path / "01_one.py", tmp_path / "01_one_exercises.py"]
    sources[0].write_text(f"# %%\n{ONE}")
    sources[1].write_text(f'# %% nbgrader={{"solution": true}}\n{ONE}')
    assert shared(sources) == []
