"""A table is displayed as the last value of a cell; anywhere else it is made, and no reader sees it."""

import ast
from pathlib import Path

import jupytext
import pytest

ROOT = Path(__file__).resolve().parents[2]


def unseen(source: str) -> list[str]:
    """The calls of ``show_table`` whose value is dropped."""
    body = ast.parse(source).body
    dropped = [
        node
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and node is not body[-1]
    ]
    return [ast.unparse(node) for node in dropped if getattr(node.value.func, "id", "") == "show_table"]


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_every_table_is_the_last_value_of_its_cell(path):
    code = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    assert [call for source in code for call in unseen(source)] == []


def named_by_print(source: str) -> bool:
    """Whether a loop prints a heading before each table it displays: the page joins what is printed, above them all."""
    loops = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.For)]
    called = [{getattr(n.func, "id", "") for n in ast.walk(loop) if isinstance(n, ast.Call)} for loop in loops]
    return any({"print", "display", "show_table"} <= names for names in called)


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.py")), ids=lambda path: path.stem)
def test_tables_of_a_loop_have_captions(path):
    code = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    assert not [source for source in code if named_by_print(source)]


def test_a_heading_that_is_printed_is_found():
    assert named_by_print("for a in b:\n    print(a)\n    display(show_table(a))")
    assert not named_by_print("for a in b:\n    display(show_table(a).set_caption(a))\nprint(b)")


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("show_table(a)", 0),
        ("display(show_table(a))\nprint(1)", 0),
        ("show_table(a)\nassert b", 1),
        ("for a in b:\n    show_table(a)", 1),
    ],
)
def test_a_table_that_nobody_sees_is_found(source, count):
    assert len(unseen(source)) == count
