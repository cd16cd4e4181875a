"""What a page without a kernel keeps of a notebook's widgets."""

import base64
import json
import re

import nbformat
from widgets import STATE, VIEW, host_widgets

LARGE = "export default {};" + " " * 3000
WEIGHTS = bytes(range(256)) * 20


def notebook(*outputs: dict, states: dict) -> nbformat.NotebookNode:
    cell = nbformat.v4.new_code_cell("x", outputs=[nbformat.v4.new_output("display_data", o) for o in outputs])
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("text"), cell])
    book.metadata.widgets = {STATE: {"state": states, "version_major": 2}}
    return book


def living(**state: object) -> dict:
    data = base64.b64encode(WEIGHTS).decode()
    buffers = [{"path": ["weights"], "data": data, "encoding": "base64"}, {"path": ["none"], "data": ""}]
    return {"model_module": "anywidget", "state": {"_esm": LARGE, "small": "text", **state}, "buffers": buffers}


def value(static, asset: dict) -> object:
    text = (static / f"widgets/{asset['file']}.js").read_text()
    return json.loads(re.fullmatch(rf'medlatentAsset\("{asset["file"]}", (.*)\);\n', text, re.S)[1])


def test_large_parts_move_to_files_that_widgets_share(tmp_path):
    book = notebook(states={"a": living(), "b": living(small="other")})
    host_widgets(book, tmp_path)
    first, second = book.metadata.widgets[STATE]["state"].values()
    assert first["state"] == {"small": "text"}
    assert "buffers" not in first
    assert first["assets"] == second["assets"]
    script, weights, empty = first["assets"]
    assert (script["path"], script["kind"], value(tmp_path, script)) == (["_esm"], "text", LARGE)
    assert (weights["path"], weights["kind"]) == (["weights"], "bytes")
    assert base64.b64decode(value(tmp_path, weights)) == WEIGHTS
    assert (empty["path"], empty["file"]) == (["none"], None)
    assert len(list((tmp_path / "widgets").iterdir())) == 2


def test_what_needs_a_kernel_is_left_without_a_state(tmp_path):
    kernel = {"model_module": "@jupyter-widgets/controls", "state": {"value": 1}}
    book = notebook(states={"a": kernel, "b": living()})
    host_widgets(book, tmp_path)
    assert list(book.metadata.widgets[STATE]["state"]) == ["b"]


def test_the_still_comes_before_the_place_of_the_widget(tmp_path):
    both = {"image/png": "aGk=", "text/plain": "Explorer", VIEW: {"model_id": "a"}}
    book = notebook(both, {"text/plain": "text"}, {VIEW: {"model_id": "b"}}, states={})
    host_widgets(book, tmp_path)
    kinds = [sorted(o.data) for o in book.cells[1].outputs]
    assert kinds == [["image/png", "text/plain"], [VIEW], ["text/plain"], [VIEW]]
    assert "outputs" not in book.cells[0]


def test_a_notebook_without_widgets_stays_as_it_is(tmp_path):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x")])
    before = nbformat.writes(book)
    host_widgets(book, tmp_path)
    assert nbformat.writes(book) == before
