"""What a page without a kernel keeps of a notebook's widgets."""

import base64
import json
import re
import zlib
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from widgets import STATE, VIEW, host_widgets, without_assets

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
    assert script["crc32"] == zlib.crc32(LARGE.encode())
    assert weights["crc32"] == zlib.crc32(base64.b64encode(WEIGHTS))
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


HOST = (Path(__file__).parents[2] / "book/_static/widget_host.js").read_text()
ALIVE = """export default { render({ model, el }) {
  model.views = (model.views ?? 0) + 1;
  el.append(`alive, ${model.get("weights").byteLength} bytes, view ${model.views}`);
} };"""


@pytest.fixture
def hosted(tmp_path):
    """A page of two views of one widget, which lies in two files; and those files, of text and of bytes."""
    entry = without_assets(living(_esm=ALIVE + " " * 3000), tmp_path / "_static")
    view = f'<div class="cell_output"><img><script type="{VIEW}">{{"model_id": "a"}}</script></div>'
    state = json.dumps({"state": {"a": entry}})
    page = tmp_path / "page.html"
    scripts = f'<script type="{STATE}">{state}</script><script src="_static/widget_host.js"></script>'
    page.write_text(f"<!doctype html>{view * 2}{scripts}")
    # What is slow is slow sooner here.
    assert HOST.count("15_000") == 1
    (tmp_path / "_static/widget_host.js").write_text(HOST.replace("15_000", "500"))
    files = {each["kind"]: tmp_path / f"_static/widgets/{each['file']}.js" for each in entry["assets"] if each["file"]}
    return page, files


WRONG = {
    "cut": (lambda content: content[: len(content) // 2], "is not complete, or something else came in its place"),
    "empty": (lambda content: "", "is not complete, or something else came in its place"),
    "a page": (lambda content: "<!doctype html><title>404</title>", "is not complete, or something else came in"),
    "another": (lambda content: 'medlatentAsset("0", "");', "is not complete, or something else came in its place"),
    "altered": (
        lambda content: content.replace("AAEC", "AAED", 1).replace("alive", "alove"),
        "is not as it was published",
    ),
    "shorter": (lambda content: content.replace("AAEC", "", 1).replace("  ", ""), "is not as it was published"),
    "gone": (None, "could not be loaded"),
}


@pytest.mark.browser
@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["text", "bytes"])
@pytest.mark.parametrize("fault", WRONG)
def test_of_a_file_that_came_wrong_it_is_said_and_it_can_be_asked_for_again(hosted, browser, fault, kind):
    (address, files), (change, said) = hosted, WRONG[fault]
    content = files[kind].read_text()
    files[kind].unlink() if change is None else files[kind].write_text(change(content))
    page = browser.new_page()
    page.goto(address.as_uri())
    first, second = (page.locator(".live-widget").nth(i) for i in range(2))
    for box in (first, second):
        box.get_by_text(f"This control could not be started: the file {files[kind].name} {said}").wait_for(
            timeout=10_000
        )
    assert page.locator(".has-live-widget").count() == 0
    files[kind].write_text(content)
    for view, box in enumerate((first, second), 1):
        box.get_by_role("button", name="Try again").click()
        box.get_by_text(f"alive, {len(WEIGHTS)} bytes, view {view}", exact=True).wait_for(timeout=10_000)
        assert box.get_attribute("data-live") == "true"
    assert page.locator(".has-live-widget").count() == 2
    page.close()


@pytest.mark.browser
@pytest.mark.timeout(60)
@pytest.mark.parametrize("late", [True, False])
def test_of_a_file_that_is_slow_it_is_said_and_it_can_be_asked_for_again(hosted, browser, late):
    address, files = hosted
    held = []
    page = browser.new_page()
    page.route(f"**/{files['bytes'].name}", lambda route: held.append(route))
    page.goto(address.as_uri())
    box = page.locator(".live-widget").first
    box.get_by_text("This control is still being loaded.").wait_for(timeout=10_000)
    assert page.locator(".has-live-widget").count() == 0
    if late:
        held[0].continue_()
    else:
        box.get_by_role("button", name="Try again").click()  # by another address
    box.get_by_text(f"alive, {len(WEIGHTS)} bytes, view 1", exact=True).wait_for(timeout=10_000)
    assert box.get_by_role("button").count() == 0
    page.close()


FOREIGN = set("<>&\u2028\u2029")  # what JSON in a page has only as escapes
ATTACK = "</SCRIPT><img src=x onerror=window.PWN=1><!--<script> \u2028 & \\ '\" é </script >"
EXPLORER = f"""
# %%
import sys

sys.path.insert(0, {str(Path(__file__).parents[2])!r})
import torch
from medlatent.explore import Explorer

attack = {ATTACK!r}
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Sigmoid(), torch.nn.Unflatten(1, (1, 4, 4)))
Explorer(
    model,
    latent_dim=2,
    posteriors=(torch.randn(8, 2), torch.zeros(8, 2)),
    labels={{attack: [attack] * 4 + ["other"] * 4}},
    names=[attack, "z1"],
    title=attack,
)
"""


class Scripts(HTMLParser):
    """The contents of the script elements of a page by their types, as a browser finds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found, self.type = {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.type = dict(attributes).get("type", "") if tag == "script" else None

    def handle_data(self, data):
        if self.type is not None:
            self.found.setdefault(self.type, []).append(data)

    def handle_endtag(self, tag):
        self.type = None


@pytest.mark.executes
@pytest.mark.browser
@pytest.mark.timeout(300)
def test_text_of_a_widget_stays_text_in_the_page(small_book, browser):
    """Whatever a title, a name or a class is called: it is shown, and nothing of it runs."""
    small_book.notebook.write_text(small_book.notebook.read_text() + EXPLORER)
    built = small_book.build()
    assert built.returncode == 0, built.stdout + built.stderr
    scripts = Scripts(small_book.html("notebooks/01_small.html")).found
    (state,) = scripts[STATE]
    assert not FOREIGN & set(state)
    (entry,) = (e for e in json.loads(state)["state"].values() if "title" in e["state"])
    assert entry["state"]["title"] == ATTACK
    assert not any(FOREIGN & set(view) for view in scripts[VIEW])

    page = browser.new_page()
    page.goto((small_book.root / "_build/html/notebooks/01_small.html").as_uri())
    page.locator(".cell_output:has(.live-widget)").scroll_into_view_if_needed()
    page.wait_for_selector(".live-widget[data-live]")
    assert page.locator(".live-widget").get_attribute("data-live") == "true"
    assert page.locator(".live-widget .title").text_content() == ATTACK
    for tab in page.locator(".live-widget [role=tab]").all():
        tab.click()
        assert page.locator(".live-widget img, .live-widget script").count() == 0
    assert page.evaluate("window.PWN") is None
    page.close()
