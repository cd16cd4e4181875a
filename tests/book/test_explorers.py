"""Every explorer of the built book, moved as a reader moves it, and compared with PyTorch."""

import base64
import functools
import io
import json
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from generate import toc_notebooks
from ipywidgets.embed import embed_data
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError
from torch import nn
from widgets import without_assets

from medlatent.data import Factor, dicom
from medlatent.explore import Directions, Explorer, Network, Scale, Segmentation, WindowExplorer, trace
from medlatent.explore.explorer import _Function
from medlatent.explore.one_file import json_in_html
from medlatent.models import Conditional, Normal, code_parts
from medlatent.records import Record, record_paths

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build/html"
VIEW = "script[type='application/vnd.jupyter.widget-view+json']"

pytestmark = [pytest.mark.built, pytest.mark.browser, pytest.mark.timeout(180)]

PATIENCE = 60_000  # ms; a machine may have much else to do

PIXELS = """canvas => ({
  width: canvas.width, height: canvas.height,
  data: Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data),
})"""

STATE_OF = """root => ({
  frames: root.dataset.frames,
  status: root.querySelector("[role=status]")?.textContent,
  failure: root.querySelector(".failure")?.textContent,
  page: document.visibilityState,
})"""

TOO_WIDE = """() => document.documentElement.scrollWidth <= document.documentElement.clientWidth + 1"""


def scripts(page: str, kind: str) -> list[str]:
    """What stands in a page of a state of widgets, or of their views."""
    return re.findall(rf'<script type="application/vnd\.jupyter\.widget-{kind}\+json">(.*?)</script>', page, re.S)


@functools.cache
def explorers(doc: str) -> list[dict]:
    """The states of a page's explorers in the order of the page, complete with what lies in files."""
    page = (HTML / f"{doc}.html").read_text()  # searched, not parsed: every collection of the tests does so
    saved = scripts(page, "state")
    entries = json.loads(saved[0])["state"] if saved else {}
    found = []
    for view in scripts(page, "view"):
        entry = entries.get(json.loads(view)["model_id"])
        if entry is None or "networks" not in entry["state"]:  # of a control that needs a kernel, or of another widget
            continue
        state = dict(entry["state"])
        for asset in entry["assets"]:
            if asset["file"] is None:
                value = b""
            else:
                script = (HTML / f"_static/widgets/{asset['file']}.js").read_text()
                value = json.loads(re.fullmatch(r'medlatentAsset\("\w+", (.*)\);\n', script, re.S)[1])
                value = base64.b64decode(value) if asset["kind"] == "bytes" else value
            state[asset["path"][0]] = value
        found.append(state)
    return found


# A book that is older than a page leaves the fast tests alone, which collect this file, too.
DOCS = [doc for doc in toc_notebooks(ROOT) if (HTML / f"{doc}.html").is_file() and explorers(doc)]


def test_the_built_book_has_every_page():
    missing = [doc for doc in toc_notebooks(ROOT) if not (HTML / f"{doc}.html").is_file()]
    assert not missing, "the book is older than these pages: run make book"


def network(state: dict, name: str) -> Network:
    spec = state["networks"][name]
    weights = np.frombuffer(state[f"{name}_weights"], "<f2")
    return Network(spec["inputs"], spec["outputs"], spec["shapes"], spec["steps"], weights)


@functools.cache
def recorded_decoders() -> dict[str, torch.nn.Module]:
    """The recorded models of the first seed, which are the ones that pages show, by the key of their traced decoder."""
    found = {}
    for record in map(Record.read, record_paths()):
        if record.run["seed"] > 0 or not record.weights:
            continue
        model = record.load_model()
        found[trace(_Function(model, "decode"), torch.zeros(1, model.latent_dim)).spec["key"]] = model
    return found


def levels(image: torch.Tensor) -> np.ndarray:
    """(C, H, W) in [0, 1] as the canvas has it, (H, W, 3) in 0 to 255, not yet rounded."""
    return (255 * image.expand(3, -1, -1).permute(1, 2, 0)).double().numpy()


def sheet(state: dict, image: torch.Tensor) -> np.ndarray:
    """(C, H, W) as an explorer's canvas has it: one picture, or one of each channel with nothing between them."""
    if not state["pictures"]:
        return levels(image)
    return np.concatenate([np.pad(levels(channel[None]), ((0, 0), (0, GAP), (0, 0))) for channel in image], 1)[:, :-GAP]


@pytest.fixture
def open_page(browser):
    """Opens pages in contexts of their own and collects what went wrong."""
    contexts = []

    def visit(url, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.problems, page.asked = [], []
        home = urlsplit(url)
        page.on("console", lambda m: m.type == "error" and page.problems.append(m.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))

        def check(route):
            address = urlsplit(route.request.url)
            page.asked.append(route.request.url)
            if address.scheme not in ("data", "blob") and (address.scheme, address.netloc) != home[:2]:
                page.problems.append(f"asks another host: {route.request.url}")
                route.abort()
            else:
                route.continue_()

        page.route("**/*", check)
        page.goto(url)
        return page

    yield visit
    for context in contexts:
        context.close()


def wake(page, index=0):
    """Scrolls to an explorer and waits until it has drawn."""
    page.locator(VIEW).nth(0).wait_for(state="attached")
    boxes = page.locator(".cell_output:has(.live-widget)")
    boxes.nth(index).scroll_into_view_if_needed()
    box = boxes.nth(index).locator(".medlatent-explorer")
    box.wait_for(timeout=PATIENCE)
    wait(page, box, "root => root.dataset.ready === 'true'")
    # Formulas and fonts that come late move what is below them, also from under a pointer that is about to click.
    page.evaluate("async () => { await window.MathJax?.startup?.promise; await document.fonts.ready; }")
    return box


def wait(page, box, condition: str, value=None):
    """Waits until ``condition(root, value)``, in JavaScript, holds for an explorer; if it never does, says how it is.

    It asks by a timer: animation frames may be what is missing.
    """
    try:
        page.wait_for_function(
            f"([root, value]) => ({condition})(root, value)",
            arg=[box.element_handle(), value],
            polling=50,
            timeout=PATIENCE,
        )
    except PlaywrightTimeoutError:
        state = box.evaluate(STATE_OF)
        pytest.fail(f"never came, with {value}: {condition}; it has {state}; problems: {page.problems}")


def picture(box) -> np.ndarray:
    found = box.locator("canvas.picture").evaluate(PIXELS)
    return np.array(found["data"], np.uint8).reshape(found["height"], found["width"], 4)[..., :3]


def settle(page, box, frames: int):
    """Waits until the picture has been drawn anew since ``frames``, and for what else is on its way."""
    wait(page, box, "(root, frames) => Number(root.dataset.frames) > frames", frames)
    page.evaluate(
        """() => new Promise(done => {
          requestAnimationFrame(() => requestAnimationFrame(done));
          setTimeout(done, 5000);
        })"""
    )


def turn_to(page, box, name: str):
    """Turns to a view, and waits until it shows the present code."""
    count = frames(box)
    box.get_by_role("tab", name=name, exact=True).click()
    settle(page, box, count)


def position(state: dict, dimension: int, slider) -> float:
    """The value z of a dimension by its slider, which may speak in a unit."""
    scale = state["scales"].get(str(dimension), {"offset": 0, "factor": 1})
    return (float(slider.input_value()) - scale["offset"]) / scale["factor"]


def frames(box) -> int:
    return int(box.get_attribute("data-frames"))


# ------------------------------------------------------------------------------------------------ every explorer


def test_the_chapters_that_promise_explorers_have_them():
    slugs = {Path(doc).name for doc in DOCS}
    generators = {"04_gan", "50_hsic_infogan"}  # which have no encoder
    encoders = {"00_start", "02_vae", "03_independence", "10_adversarial_vae"}
    assert generators | encoders <= slugs
    models = {state["networks"]["decoder"]["key"] for doc in DOCS for state in explorers(doc)}
    names = {type(m).__name__ for key, m in recorded_decoders().items() if key in models}
    assert names >= {"VAE", "BetaTCVAE", "AdversarialVAE", "InfoGAN", "HSICInfoGAN"}
    for doc in DOCS:
        for state in explorers(doc):
            assert Path(doc).name not in encoders or state["image_shape"][0]
            assert Path(doc).name != "50_hsic_infogan" or state["views"][0] == "codes"


@pytest.mark.parametrize("place", ["server", "disk"])
@pytest.mark.parametrize("doc", DOCS)
def test_every_explorer_decodes_as_pytorch_does(open_page, site, html, doc, place):
    page = open_page(f"{site if place == 'server' else html.as_uri()}/{doc}.html")
    for index, state in enumerate(explorers(doc)):
        box = wake(page, index)
        assert not page.locator(".cell_output:has(.live-widget)").nth(index).locator("img:visible").count()
        if len(state["views"]) > 1:  # the view with the sliders need not be the first
            turn_to(page, box, "Traverse")
        start, dimension = torch.tensor(state["start"], dtype=torch.float32), state["order"][0]
        alone = state["views"][0] if len(state["views"]) == 1 else ""
        # Alone, these have no slider of a dimension.
        shifts, mixes = alone in ("directions", "label"), alone == "hybrid"
        mark = "data-shift" if shifts else "data-way='style'" if mixes else f"data-dimension='{dimension}'"
        slider = box.locator(f"input[type=range][{mark}]").first
        count = frames(box)
        box.get_by_role("button", name="Reset", exact=True).click()  # where something played by itself
        settle(page, box, count)
        before = picture(box)
        count = frames(box)
        slider.focus()
        for _ in range(3):
            page.keyboard.press("PageDown" if mixes else "PageUp")
        settle(page, box, count)
        page.wait_for_timeout(100)
        if mixes:  # from the style of the second image towards that of the first
            images = np.frombuffer(state["images"], np.uint8).reshape(state["image_shape"])[:2]
            codes = network(state, "encoder").run(torch.from_numpy(images.astype(np.float32) / 255))[0]
            part, way = slice(*state["hybrid"]["style"]), float(slider.input_value())
            code = start.clone()
            code[part] = (1 - way) * codes[0, part] + way * codes[1, part]
        elif shifts:
            columns = np.frombuffer(state["direction_matrices"], "<f4").reshape(-1, len(start))
            k = state["label"]["asked"][0]["column"] if state["views"] == ["label"] else 0
            code = start + float(slider.input_value()) * torch.from_numpy(columns[k].copy())
        else:
            code = start.clone()
            code[dimension] = position(state, dimension, slider)
        assert (code - start).norm() > 0.9
        found = picture(box).astype(float)
        assert np.abs(found - before).max() > 2
        assert np.abs(found - sheet(state, network(state, "decoder").run(code[None])[0][0])).max() <= 0.51
        assert state["error"] < 2 / 255  # of the weights in 16 bits, and stated on the page
        model = recorded_decoders().get(state["networks"]["decoder"]["key"])
        if model is not None:
            with torch.inference_mode():
                exact = model.decode(code[None])[0]
            assert np.abs(found - sheet(state, exact)).max() <= 1
    assert page.problems == []


@pytest.mark.parametrize("doc", DOCS)
def test_an_image_of_the_strip_is_encoded_as_pytorch_does(open_page, site, doc):
    page = open_page(f"{site}/{doc}.html")
    for index, state in enumerate(explorers(doc)):
        if not state["image_shape"][0] or state["views"] == ["hybrid"]:  # which chooses images in its own way
            continue
        box = wake(page, index)
        if state["views"][0] == "hybrid":
            turn_to(page, box, "Traverse")
        count = frames(box)
        box.locator("button[data-image='1']").click()
        settle(page, box, count)
        images = np.frombuffer(state["images"], np.uint8).reshape(state["image_shape"])
        image = torch.from_numpy(images[1:2].astype(np.float32) / 255)
        code = network(state, "encoder").run(image)[0]
        rebuilt = network(state, "decoder").run(code)[0][0]
        assert np.abs(picture(box).astype(float) - sheet(state, rebuilt)).max() <= 0.6
        decibels = -10 * np.log10(float((rebuilt - image[0]).square().mean()))
        assert f"{decibels:.1f} dB" in box.inner_text()
        if len(state["views"]) > 1:
            turn_to(page, box, "Traverse")
        for dimension in [] if state["views"] in (["directions"], ["label"]) else state["order"][:3]:
            shown = position(state, dimension, box.locator(f"input[data-dimension='{dimension}']").first)
            assert abs(shown - float(code[0, dimension])) < 0.06
    assert page.problems == []


@pytest.mark.parametrize("doc", DOCS)
def test_nothing_sticks_out(open_page, site, doc):
    """On a phone, and in the dark on the same page made wide."""
    page = open_page(f"{site}/{doc}.html", viewport={"width": 360, "height": 740})
    for width, scheme in ((360, "light"), (1280, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        for index, state in enumerate(explorers(doc)):
            box = wake(page, index)
            for view in state["views"]:
                if len(state["views"]) > 1:  # one alone has no tab
                    box.locator(f"[role=tab][data-view='{view}']").click()
                assert page.evaluate(TOO_WIDE), (scheme, view)
            edges = box.evaluate("e => [e.getBoundingClientRect().left, e.getBoundingClientRect().right]")
            assert edges[0] >= 0
            assert edges[1] <= width
    assert page.problems == []


@pytest.mark.parametrize("doc", DOCS)
def test_without_javascript_a_described_still_stands_there(open_page, site, doc):
    page = open_page(f"{site}/{doc}.html", java_script_enabled=False)
    cells = page.locator(f".cell_output:has({VIEW})")
    stills = [cell for cell in cells.all() if cell.locator("img").count()]
    assert len(stills) == len(explorers(doc))
    for cell in stills:
        image = cell.locator("img:visible")
        assert image.count() == 1
        assert image.get_attribute("alt").startswith("A traversal: ")


# ---------------------------------------------------------------------------------------------- one, in all detail


@pytest.fixture
def start(open_page, site):
    page = open_page(f"{site}/notebooks/00_start.html", viewport={"width": 1280, "height": 1000})
    return page, wake(page), explorers("notebooks/00_start")[0]


def test_nothing_is_loaded_before_it_is_scrolled_to(open_page, site):
    page = open_page(f"{site}/notebooks/02_vae.html", viewport={"width": 1280, "height": 800})
    page.wait_for_timeout(300)
    assert not [url for url in page.asked if "/widgets/" in url]
    wake(page, 0)
    assert [url for url in page.asked if "/widgets/" in url]


def test_explorers_share_what_they_load(open_page, site):
    page = open_page(f"{site}/notebooks/03_independence.html")
    for index in range(len(explorers("notebooks/03_independence"))):
        wake(page, index)
    asked = [url for url in page.asked if "/widgets/" in url]
    assert len(asked) == len(set(asked))


def test_the_length_of_a_code_is_judged_by_the_prior(open_page, site):
    """‖z‖² of a draw is chi-squared: its central 95 per cent are typical, with eight dimensions 2.2 to 17.5."""
    page = open_page(f"{site}/notebooks/your_own_explorer.html")
    box = wake(page)
    said = box.locator(".norm .note")
    slider = box.locator("input[type=range][data-dimension='0']").first
    for value, verdict in ((0.0, "nearer"), (1.3, "nearer"), (1.7, "typical"), (3.0, "typical")):
        now = frames(box)
        slider.evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', { bubbles: true })); }", str(value + 0.01)
        )
        settle(page, box, now)
        assert verdict in said.inner_text(), value
    assert said.inner_text().startswith("‖z‖², the squared length of the code, is")


def test_buttons(start):
    page, box, state = start
    first = picture(box)
    box.get_by_role("button", name="Random", exact=True).click()
    page.wait_for_timeout(100)
    drawn = picture(box)
    assert (drawn != first).any()
    values = [float(i.input_value()) for i in box.locator("input[data-dimension]").all()]
    assert sum(abs(v - state["start"][d]) > 0.01 for d, v in zip(state["order"], values, strict=False)) > 4
    difference = box.get_by_role("button", name="Difference to the start", exact=True)
    difference.click()
    page.wait_for_timeout(100)
    assert difference.get_attribute("aria-pressed") == "true"
    assert (picture(box) != drawn).any()
    difference.click()
    box.get_by_role("button", name="Reset", exact=True).click()
    page.wait_for_timeout(100)
    assert (picture(box) == first).all()
    box.locator("button[data-step]").nth(0).wait_for(timeout=10_000)
    box.locator("button[data-step]").nth(0).click()
    page.wait_for_timeout(100)
    assert (picture(box) != first).any()
    assert page.problems == []


def test_copy(start, open_page):
    page, box, _ = start
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    box.get_by_role("button", name="Copy PNG", exact=True).click()
    box.locator("[role=status]", has_text="Copied to the clipboard").wait_for(timeout=30_000)
    kinds = page.evaluate("async () => (await navigator.clipboard.read()).flatMap(item => [...item.types])")
    assert kinds == ["image/png"]


def test_map(start):
    page, box, state = start
    turn_to(page, box, "Map")
    canvas = box.locator("canvas.map")
    canvas.scroll_into_view_if_needed()
    first = picture(box)
    # By keyboard: to the nearest point on the right, and load it.
    canvas.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.wait_for_timeout(200)
    loaded = picture(box)
    assert (loaded != first).any()
    points = np.frombuffer(state["points"], "<f4").reshape(-1, len(state["names"]))
    decoded = network(state, "decoder").run(torch.from_numpy(points.copy()))[0]
    distance = [np.abs(levels(image) - loaded).max() for image in decoded]
    assert min(distance) <= 0.6
    # By pointer: somewhere a point is hit.
    area = canvas.bounding_box()
    before = loaded
    for fraction in np.linspace(0.3, 0.7, 9):
        page.mouse.click(area["x"] + area["width"] * fraction, area["y"] + area["height"] * 0.45)
        page.wait_for_timeout(60)
    assert (picture(box) != before).any()
    # Every pixel of the map changes colour with the label.
    drawing = canvas.evaluate(PIXELS)["data"]
    choices = box.locator("select")
    texts = [choices.nth(i).evaluate("s => [...s.options].map(o => o.textContent)") for i in range(choices.count())]
    colour = next(i for i, options in enumerate(texts) if any("diagnosis" in o for o in options))
    choices.nth(colour).select_option(index=len(texts[colour]) - 1)
    page.wait_for_timeout(100)
    assert canvas.evaluate(PIXELS)["data"] != drawing
    assert page.problems == []


def test_walk(start):
    page, box, _ = start
    turn_to(page, box, "Walk")
    first = picture(box)
    scrub = box.locator("input.scrub")
    scrub.focus()
    for _ in range(5):
        page.keyboard.press("PageUp")
    page.wait_for_timeout(150)
    assert (picture(box) != first).any()
    assert re.search(r"\w at [+−-]?\d", scrub.get_attribute("aria-valuetext"))
    box.get_by_role("button", name="Play", exact=True).click()
    count = frames(box)
    page.wait_for_timeout(600)
    assert frames(box) > count + 3
    box.get_by_role("button", name="Pause", exact=True).click()
    page.wait_for_timeout(200)
    count = frames(box)
    page.wait_for_timeout(400)
    assert frames(box) == count
    assert page.problems == []


def test_a_reader_who_hears_the_page(start):
    page, box, _ = start
    assert box.get_by_role("tablist").count() == 1
    tabs = box.get_by_role("tab")
    tabs.first.focus()
    for name in ("Traverse", "Map", "Walk"):
        tab = box.get_by_role("tab", name=name)
        assert tab.get_attribute("aria-selected") == "true"
        assert box.get_by_role("tabpanel", name=name).count() == 1
        unnamed = box.evaluate(
            """root => [...root.querySelectorAll("input, select, button, canvas[tabindex], [role=img]")]
              .filter(e => e.checkVisibility({ visibilityProperty: true }))
              .filter(e => !(e.ariaLabel || e.labels?.length || e.getAttribute("aria-labelledby")
                             || e.textContent.trim()))
              .map(e => e.outerHTML.slice(0, 100))"""
        )
        assert unnamed == []
        page.keyboard.press("ArrowRight")
    slider = box.locator("input[data-dimension]").first
    assert slider.get_attribute("aria-valuetext")
    assert slider.get_attribute("data-lm-suppress-shortcuts") == "true"
    box.get_by_role("button", name="Random", exact=True).click()
    assert box.locator("[role=status]").inner_text().strip()
    slider.focus()
    for _ in range(3):
        page.keyboard.press("Tab")
        assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"


def test_touch(open_page, site):
    page = open_page(
        f"{site}/notebooks/00_start.html", viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True
    )
    box = wake(page)
    first = picture(box)
    tile = box.locator("button[data-image='2']")
    tile.scroll_into_view_if_needed()
    tile.tap()
    page.wait_for_timeout(200)
    assert (picture(box) != first).any()
    low = box.evaluate(
        """root => [...root.querySelectorAll("button, input, select")]
          .filter(e => e.checkVisibility({ visibilityProperty: true }))
          .map(e => e.getBoundingClientRect().height).filter(h => h < 31.5)"""
    )
    assert low == []


def assert_no_memory_is_left(page, box, move, times):
    """After some moves, by which all is loaded, further ones draw pictures and keep nothing."""
    session = page.context.new_cdp_session(page)

    def used() -> float:
        session.send("HeapProfiler.collectGarbage")
        return session.send("Runtime.getHeapUsage")["usedSize"]

    move(40)
    before, count = used(), frames(box)
    move(times)
    assert frames(box) > count
    assert used() - before < 500_000


def test_two_hundred_moves_leave_no_memory_behind(start):
    page, box, _ = start
    slider = box.locator("input[data-dimension]").first
    slider.focus()

    def move(times):
        for i in range(times):
            page.keyboard.press("ArrowRight" if i % 40 < 20 else "ArrowLeft")
        page.wait_for_timeout(800)

    assert_no_memory_is_left(page, box, move, 200)


def test_ten_explorers_on_one_page_stay_responsive(open_page, html, tmp_path):
    saved = json.loads(scripts((html / "notebooks/00_start.html").read_text(), "state")[0])
    (name, entry), *_ = saved["state"].items()
    (tmp_path / "ten.html").write_text(page_of({f"{name[:-2]}{i:02}": entry for i in range(10)}))
    (tmp_path / "_static").symlink_to(html / "_static")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = open_page(f"http://127.0.0.1:{server.server_address[1]}/ten.html")
        boxes = [wake(page, i) for i in range(10)]
        page.wait_for_timeout(1000)
        counts = [frames(box) for box in boxes]
        slider = boxes[5].locator("input[data-dimension]").first
        slider.focus()
        page.keyboard.press("PageUp")
        settle(page, boxes[5], counts[5])
        page.wait_for_timeout(300)
        assert [i for i, box in enumerate(boxes) if frames(box) != counts[i]] == [5]
        asked = [url for url in page.asked if "/widgets/" in url]
        assert len(asked) == len(set(asked))
        assert page.problems == []
        server.shutdown()


def page_of(entries: dict[str, dict]) -> str:
    """A page of nothing but explorers, by their ids."""
    kind = "application/vnd.jupyter.widget-{}+json"
    views = "".join(
        f'<div class="cell_output"><script type="{kind.format("view")}">{json_in_html({"model_id": id})}</script></div>'
        for id in entries
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Explorers</title>'
        f'<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">{views}'
        f'<script type="{kind.format("state")}">{json_in_html({"state": entries})}</script>'
        '<script src="_static/widget_host.js"></script>'
    )


def test_a_widget_that_cannot_start_says_so_and_keeps_its_still(open_page, site):
    page = open_page("about:blank")
    page.unroute("**/*")
    page.route("**/widgets/*.js", lambda route: route.abort())
    page.goto(f"{site}/notebooks/00_start.html")
    cell = page.locator(".cell_output:has(.live-widget)").first
    cell.scroll_into_view_if_needed()
    cell.get_by_text("could not be started").wait_for(timeout=20_000)
    assert cell.locator("img:visible").count() == 1


# ---------------------------------------------------------------------------------- a code with a structure: codes

KINDS, PAD = (5, 2, 0, 3), (1, 6)  # of the dimensions below; 4, 7 and 8 are noise
RADIO = "input[type=radio]"


@pytest.fixture(scope="module")
def generator(tmp_path_factory):
    """An untrained generator of categories, two codes and noise: its explorer, and a page that shows it."""
    torch.manual_seed(0)
    layers = [nn.Linear(9, 32), nn.Tanh(), nn.Linear(32, 3 * 12 * 12), nn.Sigmoid(), nn.Unflatten(1, (3, 12, 12))]
    names = ["nevus", "melanoma", "squamous cell carcinoma", "none"]
    explorer = Explorer(nn.Sequential(*layers), latent_dim=9, category=KINDS, category_names=names, pad=PAD)
    yield explorer, published(explorer, folder=tmp_path_factory.mktemp("codes"))
    explorer.close()


def published(*explorers: Explorer | WindowExplorer, folder: Path, budget: float | None = None) -> str:
    """The address of a page that shows explorers; ``budget`` replaces that of measure.js, in milliseconds."""
    with pytest.warns(UserWarning, match="save writes one file"):
        states = embed_data(explorers, drop_defaults=False)["manager_state"]["state"]
    entries = {explorer.model_id: states[explorer.model_id] for explorer in explorers}
    if budget is not None:
        for entry in entries.values():
            script, count = re.subn(r"const BUDGET = \d+;", f"const BUDGET = {budget};", entry["state"]["_esm"])
            assert count == 1
            entry["state"]["_esm"] = script
    entries = {name: without_assets(entry, folder / "_static") for name, entry in entries.items()}
    (folder / "explorer.html").write_text(page_of(entries))
    (folder / "_static/widget_host.js").write_text((ROOT / "book/_static/widget_host.js").read_text())
    return (folder / "explorer.html").as_uri()


@pytest.fixture
def codes(open_page, generator):
    page = open_page(generator[1], viewport={"width": 1000, "height": 900})
    return page, wake(page), generator[0]


def decoded(explorer, code) -> np.ndarray:
    spec = explorer.networks["decoder"]
    weights = np.frombuffer(explorer.decoder_weights, "<f2")
    network = Network(spec["inputs"], spec["outputs"], spec["shapes"], spec["steps"], weights)
    return levels(network.run(torch.as_tensor(code).float()[None])[0][0])


def with_values(explorer, kind: int, *pad: float) -> np.ndarray:
    """The start in another category and elsewhere on the pad."""
    code = np.array(explorer.start)
    code[list(KINDS)] = np.eye(len(KINDS))[kind]
    code[list(PAD)] = pad
    return code


def at_rest(page, box):
    """Waits until the pictures of the categories fit the code again."""
    wait(page, box, "root => !root.querySelector('.stale')")


def test_a_category_by_keyboard(codes):
    page, box, explorer = codes
    radios = box.get_by_role("radiogroup", name="Category").get_by_role("radio")
    assert [radio.is_checked() for radio in radios.all()] == [True, False, False, False]
    assert box.get_by_role("radio", name="squamous cell carcinoma").get_attribute("data-category") == "2"
    at_rest(page, box)
    height = box.bounding_box()["height"]
    radios.first.focus()
    for key, chosen in (("ArrowRight", 1), ("ArrowDown", 2), ("ArrowLeft", 1), ("ArrowRight", 2)):
        count = frames(box)
        page.keyboard.press(key)
        settle(page, box, count)
        assert [radio.is_checked() for radio in radios.all()] == [k == chosen for k in range(4)]
        assert np.abs(picture(box) - decoded(explorer, with_values(explorer, chosen, 0, 0))).max() <= 0.51
    assert page.evaluate("() => document.activeElement.dataset.category") == "2"
    assert box.bounding_box()["height"] == height
    assert page.problems == []


def test_the_pictures_of_the_categories_follow(codes):
    page, box, explorer = codes
    tiles = box.locator(".categories canvas")

    def shown() -> list[np.ndarray]:
        at_rest(page, box)
        found = [tile.evaluate(PIXELS) for tile in tiles.all()]
        return [np.array(f["data"]).reshape(f["height"], f["width"], 4)[..., :3] for f in found]

    for k, tile in enumerate(shown()):
        assert np.abs(tile - decoded(explorer, with_values(explorer, k, 0, 0))).max() <= 0.51
    count = frames(box)
    box.get_by_label("c2", exact=True).focus()
    page.keyboard.press("PageUp")
    settle(page, box, count)
    for k, tile in enumerate(shown()):
        assert np.abs(tile - decoded(explorer, with_values(explorer, k, 0, 0.5))).max() <= 0.51
    # A category that is chosen changes none of them.
    count = frames(box)
    box.locator(".categories .tile").nth(3).click()
    settle(page, box, count)
    assert box.locator(RADIO).nth(3).is_checked()
    assert not box.locator(".stale").count()


def test_a_code_of_nothing_but_a_category(open_page, tmp_path):
    torch.manual_seed(0)
    decoder = nn.Sequential(nn.Linear(3, 48), nn.Sigmoid(), nn.Unflatten(1, (3, 4, 4)))
    explorer = Explorer(decoder, latent_dim=3, category=range(3))
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    at_rest(page, box)
    assert not box.get_by_role("button", name="New noise").count()
    for k, tile in enumerate(box.locator(".categories canvas").all()):
        pixels = np.array(tile.evaluate(PIXELS)["data"]).reshape(4, 4, 4)[..., :3]
        assert np.abs(pixels - decoded(explorer, np.eye(3)[k])).max() <= 0.51
    explorer.close()


def test_the_pad(codes):
    page, box, explorer = codes
    pad = box.locator(".pad")
    sliders = [box.locator(f"input[type=range][data-dimension='{d}']") for d in PAD]

    def values() -> list[float]:
        return [round(float(slider.input_value()), 2) for slider in sliders]

    area = pad.bounding_box()
    count = frames(box)
    page.mouse.move(area["x"] + 0.1 * area["width"], area["y"] + 0.5 * area["height"])
    page.mouse.down()
    page.mouse.move(area["x"] + 0.75 * area["width"], area["y"] + 0.4 * area["height"], steps=5)
    settle(page, box, count)
    assert values() == pytest.approx([0.5, 0.2], abs=0.02)
    count = frames(box)
    page.mouse.move(area["x"] + 2 * area["width"], area["y"] - 30)  # held fast, and inside
    settle(page, box, count)
    page.mouse.up()
    assert values() == [1, 1]
    assert np.abs(picture(box) - decoded(explorer, with_values(explorer, 0, 1, 1))).max() <= 0.51
    page.mouse.move(area["x"] + 20, area["y"] + 20)
    pad.focus()
    for key, expected in (
        ("ArrowLeft", [0.9, 1]),
        ("ArrowDown", [0.9, 0.9]),
        ("ArrowRight", [1, 0.9]),
        ("ArrowRight", [1, 0.9]),
        ("ArrowUp", [1, 1]),
        ("Delete", [0, 0]),
    ):
        count = frames(box)
        page.keyboard.press(key)
        settle(page, box, count)
        assert values() == expected
    assert box.locator("[role=status]").inner_text() == "c1 0.00, c2 0.00"
    count = frames(box)
    sliders[0].focus()
    page.keyboard.press("PageDown")
    settle(page, box, count)
    assert sliders[0].get_attribute("aria-valuetext") == "−0.50"
    place, point = pad.bounding_box(), box.locator(".pad .point").bounding_box()
    assert point["x"] + point["width"] / 2 == pytest.approx(place["x"] + 0.25 * place["width"], abs=1)
    assert point["y"] + point["height"] / 2 == pytest.approx(place["y"] + 0.5 * place["height"], abs=1)
    assert page.problems == []


def test_new_noise_is_noise_alone_and_the_same_again(codes, open_page, generator):
    page, box, explorer = codes
    still = [*KINDS, *PAD]

    def draws(page, box) -> list[np.ndarray]:
        found = []
        for number in (1, 2):
            count = frames(box)
            box.get_by_role("button", name="New noise", exact=True).click()
            settle(page, box, count)
            assert f"Draw {number} of the noise" in box.locator("[role=status]").inner_text()
            found.append(picture(box))
        return found

    first = picture(box)
    one, two = draws(page, box)
    assert (one != first).any()
    assert (one != two).any()
    assert box.locator(RADIO).first.is_checked()
    assert [float(box.locator(f"input[data-dimension='{d}']").input_value()) for d in PAD] == [0, 0]
    turn_to(page, box, "Traverse")
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )  # sliders follow
    noise = [float(box.locator(f"input[data-dimension='{d}']").input_value()) for d in explorer.noise]
    code = np.array(explorer.start)
    code[explorer.noise] = noise
    assert np.abs(picture(box) - decoded(explorer, code)).max() <= 0.51
    assert len({round(z, 3) for z in noise}) == len(noise) == 9 - len(still)
    count = frames(box)
    box.get_by_role("button", name="Reset", exact=True).click()
    settle(page, box, count)
    assert (picture(box) == first).all()
    other = open_page(generator[1])
    for before, again in zip((one, two), draws(other, wake(other)), strict=True):
        assert (before == again).all()


def test_the_draws_are_standard_normal(open_page, generator):
    page = open_page("about:blank")
    numbers = page.evaluate(
        """async (script) => {
          const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
          const draw = (await import(url)).normalDraws();
          return Array.from({ length: 20000 }, draw);
        }""",
        generator[0]._esm + "\nexport { normalDraws };",
    )
    numbers = np.array(numbers)
    assert abs(numbers.mean()) < 0.03
    assert abs(numbers.std() - 1) < 0.03
    assert abs((np.abs(numbers) < 1).mean() - 0.6827) < 0.015
    assert np.abs(np.corrcoef(numbers[:-1], numbers[1:])[0, 1]) < 0.03


def test_the_views_share_a_code(codes):
    page, box, explorer = codes
    count = frames(box)
    box.get_by_label("c1", exact=True).focus()
    page.keyboard.press("ArrowRight")
    settle(page, box, count)
    turn_to(page, box, "Traverse")
    assert float(box.get_by_label("c1", exact=True).input_value()) == pytest.approx(0.1)
    assert not box.locator(".gauge:visible").count()
    # Half of one category, which only a slider can make: none is chosen, until one is.
    box.get_by_role("button", name="All dimensions").click()
    slider = box.get_by_label("category nevus", exact=True)
    slider.focus()
    count = frames(box)
    page.keyboard.press("PageDown")
    settle(page, box, count)
    turn_to(page, box, "Codes")
    group = box.get_by_role("radiogroup")
    wait(page, box, "root => root.querySelector('.codes .words').textContent.includes('none')")
    assert not group.locator(":checked").count()
    count = frames(box)
    group.locator(".tile").nth(1).click()
    settle(page, box, count)
    assert np.abs(picture(box) - decoded(explorer, with_values(explorer, 1, 0.1, 0))).max() <= 0.51


# What a widget's script knows of a model that has a kernel; here the test says when the kernel answers.
KERNEL = """async ([state, buffers]) => {
  for (const [name, text] of Object.entries(buffers)) {
    state[name] = new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  }
  const listeners = [];
  window.kernel = {
    sent: [],
    get: (name) => state[name],
    set(name, value) {
      state[name] = value;
      for (const listener of listeners) listener();
    },
    on: (name, listener) => listeners.push(listener),
    save_changes() { this.sent.push(state.code); },
  };
  const url = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
  (await import(url)).default.render({ model: window.kernel, el: document.body });
}"""


def test_what_a_kernel_answers_to_an_older_move_takes_no_newer_one_back(open_page, generator):
    explorer, _ = generator
    page = open_page("about:blank")
    state = explorer.get_state()
    buffers = {name: base64.b64encode(state.pop(name)).decode() for name, v in [*state.items()] if type(v) is bytes}
    page.evaluate(KERNEL, [state, buffers])
    box = page.locator(".medlatent-explorer")
    wait(page, box, "root => root.dataset.ready === 'true'")
    count = frames(box)
    kept = page.evaluate(
        """async ([dimension]) => {
          const { kernel } = window;
          const slider = document.querySelector(`input[data-dimension='${dimension}']`);
          const move = (value) => {
            slider.value = value;
            slider.dispatchEvent(new Event("input"));
          };
          move(0.25);
          while (!kernel.sent.length) await new Promise((done) => { setTimeout(done, 20); });
          move(0.5); // which is sent in a tenth of a second
          kernel.set("code", kernel.sent[0]);
          return kernel.get("code")[dimension];
        }""",
        PAD,
    )
    assert kept == 0.5
    settle(page, box, count)
    assert np.abs(picture(box) - decoded(explorer, with_values(explorer, 0, 0.5, 0))).max() <= 0.51
    wait(page, box, "() => window.kernel.sent.length === 2")
    assert page.evaluate("window.kernel.sent.map(code => code[1])") == [0.25, 0.5]
    # Nothing is unsent now: what comes is Python's, and is followed.
    count = frames(box)
    page.evaluate("code => window.kernel.set('code', code)", with_values(explorer, 2, -1, 1).tolist())
    settle(page, box, count)
    assert np.abs(picture(box) - decoded(explorer, with_values(explorer, 2, -1, 1))).max() <= 0.51
    assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_codes_on_a_phone(open_page, generator, scheme):
    size = {"width": 360, "height": 740}
    page = open_page(generator[1], viewport=size, has_touch=True, is_mobile=True, color_scheme=scheme)
    box = wake(page)
    height = box.bounding_box()["height"]
    at_rest(page, box)
    assert box.bounding_box()["height"] == height  # the pictures had their place before they came
    assert page.evaluate(TOO_WIDE)
    pad = box.locator(".pad")
    pad.scroll_into_view_if_needed()
    area, count = pad.bounding_box(), frames(box)
    pad.tap(position={"x": 0.25 * area["width"], "y": 0.25 * area["height"]})
    settle(page, box, count)
    assert [float(box.get_by_label(name, exact=True).input_value()) for name in ("c1", "c2")] == [-0.5, 0.5]
    tile = box.locator(".categories .tile").nth(2)
    tile.scroll_into_view_if_needed()
    count = frames(box)
    tile.tap()
    settle(page, box, count)
    assert box.locator(RADIO).nth(2).is_checked()
    small = box.evaluate(
        """root => [...root.querySelectorAll("button, input, .tile")].filter(e => e.checkVisibility())
          .map(e => e.getBoundingClientRect().height).filter(h => h < 31.5)"""
    )
    assert small == []
    outside = box.evaluate(
        """root => [...root.querySelectorAll("*")].filter(e => e.checkVisibility())
          .filter(e => e.getBoundingClientRect().right > root.getBoundingClientRect().right + 0.5)
          .map(e => e.outerHTML.slice(0, 100))"""
    )
    assert outside == []
    assert page.problems == []


def test_two_hundred_moves_of_the_pad_leave_no_memory_behind(codes):
    page, box, _ = codes
    box.locator(".pad").focus()

    def move(times):
        for i in range(times):
            page.keyboard.press(["ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown"][i // 5 % 4])
        at_rest(page, box)

    assert_no_memory_is_left(page, box, move, 200)


# ------------------------------------------------------------------------------- channels that are pictures: phases

NAMES = ("end-diastole", "end-systole")
HIGH, WIDE, GAP = 10, 14, 2  # of each picture; GAP as in explorer.js
MOVES_THE_SECOND = 3  # a dimension of the code below, which leaves the first picture alone


class Phases(nn.Module):
    """Linear, from a code to P pictures and back."""

    latent_dim = 6

    def __init__(self, *pictures: str) -> None:
        super().__init__()
        self.pictures, size = pictures, len(pictures) * HIGH * WIDE
        torch.manual_seed(0)
        self.decoder, self.encoder = nn.Linear(6, size), nn.Linear(size, 6)
        self.decoder.weight.data.normal_(0, 0.8)
        self.decoder.weight.data[: HIGH * WIDE, MOVES_THE_SECOND] = 0

    def decode(self, codes):
        return self.decoder(codes).sigmoid().unflatten(1, (-1, HIGH, WIDE))

    def encode(self, images):
        return self.encoder(images.flatten(1))


def explorer_of_phases(*pictures: str) -> Explorer:
    images = torch.rand(3, len(pictures), HIGH, WIDE, generator=torch.Generator().manual_seed(1))
    means = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))
    return Explorer(
        Phases(*pictures),
        posteriors=(means, torch.zeros(40, 6)),
        images=images,
        image_names=["first heart", "second heart", "third heart"],
        dimensions=range(6),
        category=(4, 5),
        category_names=["healthy", "dilated"],
        pad=(0, 1),
        title="A heart",
    )


@pytest.fixture(scope="module")
def two_phases(tmp_path_factory):
    explorer = explorer_of_phases(*NAMES)
    yield explorer, published(explorer, folder=tmp_path_factory.mktemp("phases"))
    explorer.close()


@pytest.fixture
def phases(open_page, two_phases):
    page = open_page(two_phases[1], viewport={"width": 1000, "height": 900})
    return page, wake(page), two_phases[0]


def side_by_side(canvas, count: int = 2) -> np.ndarray:
    """The pictures of a canvas, (P, H, W, 3)."""
    found = canvas.evaluate(PIXELS)
    assert (found["height"], found["width"]) == (HIGH, count * (WIDE + GAP) - GAP)
    pixels = np.array(found["data"], np.uint8).reshape(HIGH, -1, 4)
    starts = [k * (WIDE + GAP) for k in range(count)]
    for start in starts[1:]:
        assert not pixels[:, start - GAP : start, 3].any()  # the page is seen between them
    return np.stack([pixels[:, start : start + WIDE, :3] for start in starts])


def exact(explorer, code) -> np.ndarray:
    """What PyTorch makes of a code, (P, H, W, 3), in 0 to 255."""
    with torch.inference_mode():
        images = explorer._model.decode(torch.as_tensor(code).float()[None])[0]
    return np.stack([levels(image[None]) for image in images])


def code_shown(box, explorer) -> np.ndarray:
    return np.array([float(box.locator(f"input[data-dimension='{d}']").input_value()) for d in range(6)])


def test_both_pictures_are_what_pytorch_decodes(phases):
    page, box, explorer = phases
    canvas = box.locator("canvas.picture")
    assert box.locator(".pictures .names").first.inner_text().split("\n") == list(NAMES)
    assert np.abs(side_by_side(canvas) - exact(explorer, explorer.start)).max() <= 1
    turn_to(page, box, "Traverse")
    for dimension, key in ((0, "PageUp"), (MOVES_THE_SECOND, "PageDown"), (2, "ArrowLeft")):
        before, count = side_by_side(canvas), frames(box)
        box.locator(f"input[data-dimension='{dimension}']").focus()
        page.keyboard.press(key)
        settle(page, box, count)
        pictures, code = side_by_side(canvas), code_shown(box, explorer)
        assert np.abs(pictures - exact(explorer, code)).max() <= 1
        assert (pictures[1] != before[1]).any()
        assert (pictures[0] == before[0]).all() == (dimension == MOVES_THE_SECOND)
    count = frames(box)
    box.get_by_role("button", name="New noise").click()
    settle(page, box, count)
    drawn = code_shown(box, explorer)
    assert (drawn[explorer.noise] != code[explorer.noise]).all()
    assert np.abs(side_by_side(canvas) - exact(explorer, drawn)).max() <= 1
    assert page.problems == []


def test_the_small_pictures_are_both_too(phases):
    page, box, explorer = phases

    def expect(canvases: str, codes: list[np.ndarray]) -> None:
        wait(page, box, "root => !root.querySelector('.stale, .empty')")
        shown = box.locator(canvases).all()
        assert len(shown) == len(codes)
        for canvas, code in zip(shown, codes, strict=True):
            assert np.abs(side_by_side(canvas) - exact(explorer, code)).max() <= 1

    start = np.array(explorer.start)
    expect(".categories canvas", [np.r_[start[:4], choice] for choice in np.eye(2)])
    turn_to(page, box, "Traverse")
    expect("button[data-step] canvas", [np.r_[z, start[1:]] for z in np.linspace(-1, 1, 9)])
    assert box.locator(".multiples .words").inner_text().endswith(f"; in each, from left to right, {', '.join(NAMES)}")
    turn_to(page, box, "Walk")
    drawn = (
        "[...root.querySelectorAll('.steps canvas')].every(c => c.getContext('2d').getImageData(0, 0, 1, 1).data[3])"
    )
    wait(page, box, f"root => {drawn}")
    codes, code = [], start
    for dimension, value in explorer.walk:
        code = code.copy()
        code[dimension] = value
        codes.append(code)
    expect(".steps canvas", codes)
    images = np.frombuffer(explorer.images, np.uint8).reshape(explorer.image_shape)
    for canvas, image in zip(box.locator(".strip canvas").all(), images, strict=True):
        assert (side_by_side(canvas)[..., 0] == image).all()
    assert page.problems == []


def test_an_image_of_two_pictures_is_encoded(phases):
    page, box, explorer = phases
    count = frames(box)
    box.get_by_role("button", name="Encode this image: second heart").click()
    settle(page, box, count)
    images = np.frombuffer(explorer.images, np.uint8).reshape(explorer.image_shape)
    image = torch.from_numpy(images[1:2].astype(np.float32) / 255)
    with torch.inference_mode():
        rebuilt = explorer._model.decode(explorer._model.encode(image))
    shown = side_by_side(box.locator("canvas.picture"))
    assert np.abs(shown[..., 0] - 255 * rebuilt[0].numpy()).max() <= 1
    assert (side_by_side(box.locator("canvas.original"))[..., 0] == images[1]).all()
    decibels = -10 * np.log10(float((rebuilt - image).square().mean()))
    assert f"PSNR {decibels:.1f} dB" in box.inner_text()
    said = ", from left to right, end-diastole, end-systole"
    original = box.get_by_role("img", name=f"Original: second heart{said}", exact=True)
    assert original.is_visible()
    assert "The pictures are decoded" in box.locator("[role=status]").inner_text()
    assert page.problems == []


def test_the_difference_is_each_pictures_own(phases):
    page, box, explorer = phases
    turn_to(page, box, "Traverse")
    box.get_by_role("button", name="Difference to the start").click()
    count = frames(box)
    box.locator(f"input[data-dimension='{MOVES_THE_SECOND}']").focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    settle(page, box, count)
    first, second = side_by_side(box.locator("canvas.picture"))
    assert (first == 255).all()  # nothing has changed there
    code = np.array(explorer.start)
    code[MOVES_THE_SECOND] = 1.5
    change = (exact(explorer, code) - exact(explorer, explorer.start))[1, ..., 0]
    brighter, darker = second[change > 26].astype(int), second[change < -26].astype(int)
    assert len(brighter) > 9
    assert len(darker) > 9
    assert (brighter[:, 0] > brighter[:, 2]).all()
    assert (darker[:, 2] > darker[:, 0]).all()
    label = box.locator("canvas.picture").get_attribute("aria-label")
    assert label == "Difference to the start, from left to right, end-diastole, end-systole; moved: z3 +1.50."
    assert page.problems == []


def test_a_saved_picture_names_what_it_shows(phases):
    page, box, _ = phases
    page.evaluate("() => { delete window.ClipboardItem; }")  # as where a browser refuses
    with page.expect_download() as download:
        box.get_by_role("button", name="Copy PNG").click()
    scale = 10  # of pictures that are 14 pixels wide
    drawn = plt.imread(download.value.path())
    assert drawn.shape[:2] == (scale * HIGH + 24, scale * (2 * WIDE + GAP))
    drawn = np.round(255 * drawn[..., :3]).astype(int)
    for k, expected in enumerate(side_by_side(box.locator("canvas.picture"))):
        left = k * scale * (WIDE + GAP)
        block = drawn[: scale * HIGH, left : left + scale * WIDE]
        assert (block == expected.repeat(scale, 0).repeat(scale, 1)).all()
        assert (drawn[scale * HIGH :, left : left + scale * WIDE] < 128).any()  # its name
    words = box.locator("[role=status]").inner_text()
    assert "decoded.png: 300 × 124 pixels, from left to right, end-diastole, end-systole" in words
    assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("count", [2, 3, 6])
def test_several_pictures_on_a_phone_and_beside_it(open_page, tmp_path, count, scheme):
    names = ("T1", "T1 with contrast", "T2", "FLAIR", "diffusion-weighted", "ADC")[:count]
    explorer = explorer_of_phases(*names)
    page = open_page(published(explorer, folder=tmp_path), viewport={"width": 360, "height": 740}, color_scheme=scheme)
    box = wake(page)
    for width in (360, 700, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        for encoded in (False, True):
            if encoded:
                box.locator("button[data-image='2']").click()
            for view in explorer.views:
                box.locator(f"[role=tab][data-view='{view}']").click()
                wait(page, box, "root => !root.querySelector('.stale, .empty')")
                assert page.evaluate(TOO_WIDE), (width, view)
                outside = box.evaluate(
                    """root => [...root.querySelectorAll("*")].filter(e => e.checkVisibility())
                      .filter(e => e.getBoundingClientRect().right > root.getBoundingClientRect().right + 0.5)
                      .map(e => e.outerHTML.slice(0, 100))"""
                )
                assert outside == [], (width, view)
        # Each name stands below its picture.
        picture = box.locator("canvas.picture").bounding_box()
        for k, name in enumerate(box.locator(".pictures .names").first.locator("span").all()):
            place = name.bounding_box()
            middle = picture["x"] + picture["width"] * (k + 0.5) / count
            assert place["x"] + place["width"] / 2 == pytest.approx(middle, abs=4)
            assert place["y"] >= picture["y"] + picture["height"]
        box.get_by_role("button", name="Reset").click()
    small = box.evaluate(
        """root => [...root.querySelectorAll("canvas")].filter(e => e.checkVisibility())
          .map(e => e.getBoundingClientRect().height).filter(h => h < 15)"""
    )
    assert small == []
    assert np.abs(side_by_side(box.locator("canvas.picture"), count) - exact(explorer, explorer.start)).max() <= 1
    assert page.problems == []
    explorer.close()


def test_noise_is_drawn_around_the_centre_of_its_prior(open_page, tmp_path):
    class Shifted(Conditional):
        limits = (1.0, 7.0)

    class Conditioned(nn.Sequential):
        latent_dim, code_layout = 8, code_parts(z=Shifted(8, lambda age: (age, None), ("age",)))

    explorer = Explorer(Conditioned(nn.Linear(8, 16), nn.Sigmoid(), nn.Unflatten(1, (1, 4, 4))))
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    assert "‖z‖², the squared length of the code, is 0.0;" in box.inner_text()  # from the centre
    dot = box.locator(".dot").first
    assert dot.evaluate("e => [e.style.getPropertyValue('--at'), e.style.getPropertyValue('--density')]") == [
        "0.5",
        "1",
    ]
    count = frames(box)
    box.get_by_role("button", name="Random").click()
    settle(page, box, count)
    values = np.array([float(slider.input_value()) for slider in box.locator("input[data-dimension]").all()])
    assert abs(values.mean() - 4) < 1
    assert np.ptp(values) > 1
    norm = re.search(r"‖z‖²[a-z, ]+ is ([\d.]+)", box.inner_text())[1]
    assert float(norm) == pytest.approx(((values - 4) ** 2).sum(), abs=0.06)
    # The dimension just moved is judged by itself, too: its ‖z‖² may be typical of eight.
    said = box.locator(".norm .note")
    assert "by itself" not in said.inner_text()
    for value, told in ((6.5, ""), (6.9, "z0 by itself is 2.9 standard deviations out: 99 draws in 100 are nearer.")):
        count = frames(box)
        box.locator("input[data-dimension='0']").evaluate(
            "(e, v) => { e.value = v; e.dispatchEvent(new Event('input', { bubbles: true })); }", str(value)
        )
        settle(page, box, count)
        assert said.inner_text().endswith(told or "."), value
        assert ("by itself" in said.inner_text()) == bool(told)
    explorer.close()


# --------------------------------------------------------------------- units, and what is measured in the pictures

CLASSES = ("LV", "myocardium", "RV")
AREAS = dict.fromkeys(CLASSES, (1, 1))  # the quantity is the number of pixels
CALIBRATION = {NAMES[0]: AREAS, NAMES[1]: {"LV": (0.5, 1.5), "myocardium": (20, 0.5), "RV": (3, 1)}}
SCALES = {0: Scale(142, 38.5, "ml"), 1: Scale(55, -10, "%"), 2: Scale(0.5, 0.05)}
RISING, FALLING = 0, 1


class UNet(nn.Module):
    """One level of a U-Net with random weights, and about as many pixels of each class."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down, self.inner, self.up = self.block(1, 6), self.block(6, 8), self.block(14, 6)
        self.end = nn.Conv2d(6, 1 + len(CLASSES), 1)
        pictures = Phases("any").decode(torch.randn(64, 6)).detach()
        for _ in range(30):  # the normalisation learns what pictures are like
            logits = self(pictures)
        for _ in range(100):
            shares = torch.stack([(logits.argmax(1) == k).float().mean() for k in range(1 + len(CLASSES))])
            bias = self.end.bias.detach() - 0.05 * (shares * len(shares) + 0.05).log()
            logits = logits + (bias - self.end.bias).detach()[:, None, None]
            self.end.bias.data = bias
        self.eval()

    @staticmethod
    def block(inside: int, outside: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)
        )

    def forward(self, pictures):
        fine = self.down(pictures)
        coarse = self.inner(nn.functional.max_pool2d(fine, 2))
        return self.end(self.up(torch.cat([nn.functional.interpolate(coarse, scale_factor=2), fine], 1)))


def explorer_that_measures(*pictures: str, network: nn.Module | None = None, **options) -> Explorer:
    calibration = {name: CALIBRATION.get(name, AREAS) for name in pictures}
    return Explorer(
        Phases(*pictures),
        dimensions=range(6),
        scales=SCALES,
        segmentation=Segmentation(network or UNet(), CLASSES, calibration),
        **options,
    )


@pytest.fixture(scope="module")
def measuring(tmp_path_factory):
    """An explorer that measures, and its page: as it is, with no time for it in a frame, and with any."""
    explorer = explorer_that_measures(*NAMES)
    pages = {
        budget: published(explorer, folder=tmp_path_factory.mktemp("measures"), budget=budget)
        for budget in (None, 0, 100_000)
    }
    yield explorer, pages
    explorer.close()


@pytest.fixture
def measures(open_page, measuring):
    page = open_page(measuring[1][None], viewport={"width": 1000, "height": 900})
    box = wake(page)
    once_measured(page, box)
    return page, box, measuring[0]


def once_measured(page, box):
    """Waits until what stands below the picture belongs to it."""
    said = "root.querySelector('canvas.picture').ariaLabel.includes('Measured: ')"
    wait(page, box, f"root => {said} && !root.querySelector('.quantities.stale')")


def press(page, box, dimension: int, *keys: str):
    """Moves a slider by keys, and waits until that was drawn and measured."""
    count = frames(box)
    box.locator(f"input[type=range][data-dimension='{dimension}']").focus()
    for key in keys:
        page.keyboard.press(key)
    settle(page, box, count)
    once_measured(page, box)


def quantities_shown(box) -> list[list[str]]:
    """The lines below each picture."""
    pictures = box.locator(".quantities ul").all()
    return [[" ".join(line.split()) for line in picture.locator("li").all_text_contents()] for picture in pictures]


def number(text: str) -> float:
    return float(text.replace("−", "-").replace("±", ""))


def code_said(box) -> np.ndarray:
    """The code by its sliders, which speak in units."""
    values = np.array([float(box.locator(f"input[data-dimension='{d}']").input_value()) for d in range(6)])
    for d, scale in SCALES.items():
        values[d] = (values[d] - scale.offset) / scale.factor
    return values


def pixels_of(explorer, code) -> np.ndarray:
    """How many pixels PyTorch puts into each class, (P, 3)."""
    with torch.inference_mode():
        images = explorer._model.decode(torch.as_tensor(code).float()[None])
        labels = UNet()(images[0][:, None]).argmax(1)
    return np.array([[int((picture == k + 1).sum()) for k in range(3)] for picture in labels])


def quantity(picture: str, name: str, pixels: float) -> float:
    a, b = CALIBRATION[picture][name]
    return a * pixels**b


@pytest.mark.parametrize("budget", [0, 100_000])
def test_what_is_measured_is_what_pytorch_measures(open_page, measuring, budget):
    """In the frame of the picture and in slices between frames: within two pixels, and so is the change."""
    explorer, pages = measuring
    page = open_page(pages[budget], viewport={"width": 1000, "height": 900})
    box = wake(page)
    once_measured(page, box)
    start = pixels_of(explorer, explorer.start)
    assert start.min() > 0
    for number_of_moves, keys in enumerate(((), ("PageUp",), ("PageUp", "ArrowRight"))):
        if keys:
            press(page, box, 3 * (number_of_moves - 1), *keys)
        found = pixels_of(explorer, code_said(box))
        assert keys == () or np.abs(found - start).max() > 3
        for p, lines in enumerate(quantities_shown(box)):
            assert len(lines) == len(CLASSES)
            for k, (name, line) in enumerate(zip(CLASSES, lines, strict=True)):
                words = re.fullmatch(rf"{name} ([\d.]+) ml(?: \((.+)\))?", line)
                low, high = (quantity(NAMES[p], name, max(found[p, k] + by, 0)) for by in (-2, 2))
                assert low - 0.5 <= number(words[1]) <= high + 0.5, line
                assert bool(words[2]) == bool(keys)
                if keys:
                    change = quantity(NAMES[p], name, found[p, k]) - quantity(NAMES[p], name, start[p, k])
                    assert abs(number(words[2]) - change) <= (high - low) + 1, line
                    assert words[2][0] in "+−±"
    assert page.problems == []


def test_the_change_is_from_the_start_or_from_an_encoded_image(open_page, tmp_path):
    images = torch.rand(2, 2, HIGH, WIDE, generator=torch.Generator().manual_seed(1))
    explorer = explorer_that_measures(*NAMES, images=images)
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    once_measured(page, box)
    first = quantities_shown(box)
    press(page, box, 0, "PageUp", "PageUp")
    assert all("(" in line for lines in quantities_shown(box) for line in lines)
    count = frames(box)
    box.locator("button[data-image='1']").click()
    settle(page, box, count)
    once_measured(page, box)
    encoded = quantities_shown(box)
    assert not any("(" in line for lines in encoded for line in lines)
    assert "since the reconstruction" in box.locator(".tools").inner_text()
    press(page, box, 0, "ArrowRight")
    assert all("(" in line for lines in quantities_shown(box) for line in lines)
    press(page, box, 0, "Delete")
    assert quantities_shown(box) == encoded
    count = frames(box)
    box.get_by_role("button", name="Reset").click()
    settle(page, box, count)
    once_measured(page, box)
    assert quantities_shown(box) == first
    assert page.problems == []
    explorer.close()


def test_those_who_do_not_see_the_picture_hear_what_was_measured(measures):
    page, box, _ = measures
    press(page, box, 0, "PageUp")
    said = "; ".join(f"{name}: {', '.join(lines)}" for name, lines in zip(NAMES, quantities_shown(box), strict=True))
    label = box.locator("canvas.picture").get_attribute("aria-label")
    assert label.endswith(f"moved: z0 167 ml. Measured: {said}.")
    live = box.locator("[aria-live=polite]")
    heard = "(root, said) => root.querySelector('[aria-live=polite]').textContent === said"
    wait(page, box, heard, f"Measured: {said}.")
    assert live.evaluate("e => e.getBoundingClientRect().width") <= 1  # heard, not seen
    assert box.locator(".quantities").get_attribute("aria-hidden") == "true"  # once is enough
    assert box.get_by_role("checkbox", name="Outlines").count() == 1
    assert page.problems == []


def test_sliders_speak_in_the_unit_and_rise_to_the_right(measures):
    page, box, explorer = measures
    expected = {RISING: (142, 5, "ml"), FALLING: (55, 1, "%")}  # at the start, and by an arrow key
    for dimension, (start, step, unit) in expected.items():
        slider = box.locator(f"input[data-dimension='{dimension}']")
        shown = box.locator(".slider").nth(dimension).locator(".number")
        assert shown.inner_text() == f"{start} {unit}"
        press(page, box, dimension, "ArrowRight")
        assert shown.inner_text() == f"{start + step} {unit}"
        assert slider.get_attribute("aria-valuetext") == f"{start + step} {unit}, prior density 0.40"
        assert float(slider.input_value()) == pytest.approx(start + step)
        low, high = (float(slider.get_attribute(end)) for end in ("min", "max"))
        assert sorted((z * SCALES[dimension].factor + start) for z in (-3, 3)) == pytest.approx([low, high])
    code = np.array(explorer.start)
    code[RISING], code[FALLING] = 5 / 38.5, 1 / -10
    assert np.abs(side_by_side(box.locator("canvas.picture")) - exact(explorer, code)).max() <= 1
    # By pointer: two thirds to the right is more, also where z falls.
    area = box.locator(f"input[data-dimension='{FALLING}']").bounding_box()
    count = frames(box)
    page.mouse.click(area["x"] + area["width"] * 2 / 3, area["y"] + area["height"] / 2)
    settle(page, box, count)
    value = number(box.locator(".slider").nth(FALLING).locator(".number").inner_text().split()[0])
    assert 62 <= value <= 68
    assert code_said(box)[FALLING] == pytest.approx((value - 55) / -10)
    wait(page, box, "root => !root.querySelector('.stale, .empty')")
    values = [number(text) for text in box.locator("button[data-step] .number").all_text_contents()]
    assert values == sorted(values)
    assert (values[0], values[-1]) == (25, 85)
    assert box.locator(".multiples .words").inner_text().startswith("z1 from 25 % to 85 %, all else as it is")
    box.locator("button[data-step='0']").click()
    page.wait_for_timeout(100)
    assert code_said(box)[FALLING] == pytest.approx(3)
    assert box.locator(".slider").nth(2).locator(".number").inner_text() == "0.500"
    assert box.locator(".slider").nth(3).locator(".number").inner_text() == "0.00"  # has no scale
    assert page.problems == []


def test_a_walk_and_a_map_in_units(open_page, tmp_path):
    means = torch.randn(40, 6, generator=torch.Generator().manual_seed(2))
    explorer = explorer_that_measures(*NAMES, posteriors=means, walk=[(0, 2), (1, 2)])
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    turn_to(page, box, "Walk")
    assert box.locator(".steps .number").all_text_contents() == ["z0 to 219 ml", "z1 to 35 %"]
    box.get_by_role("button", name="Step 2: z1 to 35 %").click()
    page.wait_for_timeout(100)
    assert box.locator("input.scrub").get_attribute("aria-valuetext") == "z1 at 35 %"
    once_measured(page, box)
    turn_to(page, box, "Map")
    wait(page, box, "root => root.querySelector('.cross').ariaValueText === 'z0 219 ml, z1 35 %'")
    box.locator("canvas.map").focus()
    page.keyboard.press("ArrowLeft")
    assert re.search(r"z0 \d+ ml, z1 −?\d+ %", box.locator(".named").inner_text())
    assert page.problems == []
    explorer.close()


def test_a_pad_in_units(open_page, tmp_path):
    explorer = explorer_that_measures(*NAMES, pad=(0, 1), pad_limits=(-2, 2))
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    assert box.locator(".scale.across").inner_text().split("\n") == ["65 ml", "c1", "219 ml"]
    assert box.locator(".scale.up").text_content() == "35 %c275 %"
    pad = box.locator(".pad")
    pad.focus()
    count = frames(box)
    page.keyboard.press("ArrowUp")
    settle(page, box, count)
    assert box.locator("[role=status]").inner_text() == "c1 142 ml, c2 56 %"
    point, area = box.locator(".point").bounding_box(), pad.bounding_box()
    assert point["y"] + point["height"] / 2 < area["y"] + area["height"] / 2  # more is up
    assert page.problems == []
    explorer.close()


OVERLAY = "canvas.outlines"


def test_outlines(measures):
    page, box, explorer = measures
    overlay = box.locator(OVERLAY)

    def drawn() -> np.ndarray:
        address = overlay.evaluate("canvas => canvas.toDataURL()")
        return np.round(255 * plt.imread(io.BytesIO(base64.b64decode(address.partition(",")[2])))).astype(int)

    picture = side_by_side(box.locator("canvas.picture"))
    assert not drawn().any()
    assert not box.locator(".stroke:visible").count()
    box.get_by_role("checkbox", name="Outlines").check()
    assert box.locator(".stroke:visible").count() == 6  # the legend
    lines = drawn()
    scale = lines.shape[0] // HIGH
    labels = UNet()(explorer._model.decode(torch.tensor([explorer.start]))[0][:, None]).argmax(1).numpy()
    for p in range(2):
        left = p * scale * (WIDE + GAP)
        inside = lines[:, left : left + scale * WIDE, 3].reshape(HIGH, scale, WIDE, scale) > 0
        near = inside.any((1, 3))  # pixels that a line touches
        padded = np.pad(labels[p], 1)
        around = [padded[y : y + HIGH, x : x + WIDE] for y in range(3) for x in range(3)]
        edge = np.any([a != labels[p] for a in around], axis=0)
        assert not (near & ~edge).any()  # none inside a region
        for one, other in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
            parted = labels[p][one] != labels[p][other]
            assert (near[one] | near[other])[parted].all()
    colours = {tuple(c) for c in lines[lines[..., 3] == 255][:, :3].tolist()}
    assert {(240, 228, 66), (86, 180, 233), (213, 94, 0)} <= colours
    assert (side_by_side(box.locator("canvas.picture")) == picture).all()
    press(page, box, 0, "PageUp", "PageUp")
    assert (drawn() != lines).any()  # they follow
    box.get_by_role("checkbox", name="Outlines").uncheck()
    assert not drawn().any()
    assert page.problems == []


def test_a_saved_picture_has_its_outlines(measures):
    page, box, _ = measures
    page.evaluate("() => { delete window.ClipboardItem; }")
    pictures = []
    for outlined in (False, True):
        box.get_by_role("checkbox", name="Outlines").set_checked(outlined)
        with page.expect_download() as download:
            box.get_by_role("button", name="Copy PNG").click()
        pictures.append(plt.imread(download.value.path()))
    without, outlined = ([tuple(c) for c in np.round(255 * p[..., :3]).astype(int).reshape(-1, 3)] for p in pictures)
    assert pictures[1].shape[1] > 512  # so that lines are seen
    assert (86, 180, 233) in set(outlined) - set(without)


class NoRV(nn.Module):
    """Finds no RV anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.end = nn.Conv2d(1, 1 + len(CLASSES), 1)
        self.end.weight.data = torch.tensor([0.0, 1, -1, 0]).view(4, 1, 1, 1)
        self.end.bias.data = torch.tensor([0.1, -0.4, 0.4, -9])

    def forward(self, pictures):
        return self.end(pictures)


def test_of_what_is_not_there_nothing_is_measured(open_page, tmp_path):
    explorer = explorer_that_measures(*NAMES, network=NoRV())
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    once_measured(page, box)
    press(page, box, 0, "PageUp")
    assert [lines[2] for lines in quantities_shown(box)] == ["RV –", "RV –"]
    assert "RV none" in box.locator("canvas.picture").get_attribute("aria-label")
    box.get_by_role("checkbox", name="Outlines").check()
    assert page.problems == []
    explorer.close()


def test_one_picture_is_measured_too(open_page, tmp_path):
    class One(Phases):
        def __init__(self):
            super().__init__("only")
            self.pictures = ()

    explorer = Explorer(One(), segmentation=Segmentation(UNet(), CLASSES, AREAS, unit="pixels"))
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    once_measured(page, box)
    press(page, box, 2, "PageDown", "PageDown")
    code = np.array(explorer.start)
    code[2] = -1
    (found,), (before,) = pixels_of(explorer, code), pixels_of(explorer, explorer.start)
    (lines,) = quantities_shown(box)
    for name, n, was, line in zip(CLASSES, found, before, lines, strict=True):
        words = re.fullmatch(rf"{name} (\d+) pixels \((.+)\)", line)
        assert abs(int(words[1]) - n) <= 2
        assert abs(number(words[2]) - (n - was)) <= 3
    assert page.problems == []
    explorer.close()


def test_two_explorers_share_a_network_and_disturb_each_other_not(open_page, tmp_path):
    explorers = [explorer_that_measures(*NAMES) for _ in range(2)]
    page = open_page(published(*explorers, folder=tmp_path, budget=0), viewport={"width": 1000, "height": 2400})
    boxes = [wake(page, i) for i in range(2)]
    for box in boxes:
        once_measured(page, box)
    assert quantities_shown(boxes[0]) == quantities_shown(boxes[1])
    page.evaluate(
        """() => document.querySelectorAll("input[data-dimension='0']").forEach((slider, i) => {
          slider.value = [50, 250][i];
          slider.dispatchEvent(new Event("input"));
        })"""
    )
    for box, value in zip(boxes, (50, 250), strict=True):
        wait(page, box, "root => root.querySelector('canvas.picture').ariaLabel.includes('moved')")
        once_measured(page, box)
        code = np.array(explorers[0].start)
        code[0] = (value - 142) / 38.5
        shown = [int(line.split()[1]) for line in quantities_shown(box)[0]]
        assert np.abs(np.array(shown) - pixels_of(explorers[0], code)[0]).max() <= 2
    assert page.problems == []
    for explorer in explorers:
        explorer.close()


def test_a_network_that_is_missing_leaves_the_sliders_alive(open_page, tmp_path):
    explorer = explorer_that_measures(*NAMES)
    explorer.segmentation_weights = b""
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    said = box.locator("[role=status]").inner_text()
    assert "cannot be measured: the weights of its segmentation are missing" in said
    count = frames(box)
    box.locator("input[data-dimension='0']").focus()
    page.keyboard.press("PageUp")
    settle(page, box, count)
    assert not box.locator(".quantities").count()
    explorer.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("count", [1, 2, 6])
def test_measures_on_a_phone_and_beside_it(open_page, tmp_path, count, scheme):
    names = ("end-diastole", "end-systole", "T1", "T1 with contrast", "FLAIR", "ADC")[:count]
    explorer = explorer_that_measures(*names)
    page = open_page(published(explorer, folder=tmp_path), viewport={"width": 360, "height": 740}, color_scheme=scheme)
    box = wake(page)
    once_measured(page, box)
    box.get_by_role("checkbox", name="Outlines").check()
    press(page, box, 0, "PageUp", "PageUp")
    for width in (360, 700, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(TOO_WIDE), width
        outside = box.evaluate(
            """root => [...root.querySelectorAll("*:not(.unseen)")].filter(e => e.checkVisibility())
              .filter(e => e.getBoundingClientRect().right > root.getBoundingClientRect().right + 0.5)
              .map(e => e.outerHTML.slice(0, 100))"""
        )
        assert outside == [], width
        picture, overlay = (box.locator(name).bounding_box() for name in ("canvas.picture", OVERLAY))
        assert overlay == pytest.approx(picture, abs=1)
        for k, lines in enumerate(box.locator(".quantities ul").all()):
            place = lines.bounding_box()
            assert place["y"] >= picture["y"] + picture["height"]
            middle = picture["x"] + picture["width"] * (k + 0.5) / count
            assert place["x"] + place["width"] / 2 == pytest.approx(middle, abs=8)
    assert box.locator(".check").bounding_box()["height"] >= 31.5
    assert page.problems == []
    explorer.close()


# --------------------------------------------------------------- directions of the latent space, and what they change

FACTORS, UNITS = ("width", "breast size", "rotation"), ("mm", "mm", "°")
A, B = (np.random.default_rng(seed).normal(size=(6, count)).astype("<f4") for seed, count in ((0, 5), (1, 3)))
A, B = A / np.linalg.norm(A, axis=0), B / np.linalg.norm(B, axis=0)
FOUND = np.array([[0.5, 0.1, 3], [-2, 0.25, -1], [1.5, -4, 0.2], [0, 0, 10], [-0.25, 1, 2.5]])  # (5, 3)
CHANCE = np.array([[0.1, 0.3, -0.5], [0.4, 0, 1.5], [-0.2, -0.5, 0]])
SHIFT = "input[data-shift]"


class OnePicture(Phases):
    """In grey, and it has no name."""

    def __init__(self) -> None:
        super().__init__("only")
        self.pictures = ()


def directed(*pictures: str, **options) -> Explorer:
    """A VAE's explorer with three sets of directions; the last was not measured."""
    sets = {
        "discovered": Directions(A, FOUND, FACTORS, UNITS, FOUND - 0.3, FOUND + 0.6, "95 % interval over codes"),
        "random": Directions(B, CHANCE, FACTORS, UNITS, names=["r0", "r1", "r2"]),
        "PCA": Directions(A[:, :1]),
    }
    images = torch.rand(2, max(len(pictures), 1), HIGH, WIDE, generator=torch.Generator().manual_seed(1))
    model = Phases(*pictures) if pictures else OnePicture()
    return Explorer(model, directions=sets, images=images, dimensions=range(6), title="Directions", **options)


@pytest.fixture(scope="module")
def directing(tmp_path_factory):
    """Explorers of one picture and of two, and their pages: as they are, and with time for one code a frame."""
    found = {}
    for pictures, budget in (((), None), (NAMES, 0)):
        explorer = directed(*pictures)
        url = published(explorer, folder=tmp_path_factory.mktemp("directions"), budget=budget)
        found[len(pictures), budget] = explorer, url
    yield found
    for explorer, _ in found.values():
        explorer.close()


@pytest.fixture
def directions(open_page, directing):
    explorer, url = directing[0, None]
    page = open_page(url, viewport={"width": 1000, "height": 1100})
    box = wake(page)
    rested(page, box)
    return page, box, explorer


def rested(page, box):
    """Waits until all eight codes are shifted as the picture is."""
    wait(page, box, "root => !root.querySelector('.stale, .empty')")


def shift(page, box, *keys: str) -> float:
    """Shifts by keys; returns α."""
    count = frames(box)
    box.locator(SHIFT).focus()
    for key in keys:
        page.keyboard.press(key)
    settle(page, box, count)
    rested(page, box)
    return float(box.locator(SHIFT).input_value())


def pick(page, box, label: str, choice: str):
    count = frames(box)
    box.get_by_role("combobox", name=label, exact=True).select_option(label=choice)
    settle(page, box, count)
    rested(page, box)


def press_button(page, box, name: str):
    count = frames(box)
    box.get_by_role("button", name=name, exact=True).click()
    settle(page, box, count)
    rested(page, box)


def by_sliders(page, box) -> np.ndarray:
    """The present code, as the view with the sliders has it."""
    turn_to(page, box, "Traverse")
    rested(page, box)
    code = code_shown(box, None)
    turn_to(page, box, "Directions")
    rested(page, box)
    return code


def options(box, label: str) -> list[str]:
    return box.get_by_role("combobox", name=label, exact=True).locator("option").all_text_contents()


def effects_shown(box) -> dict[str, str]:
    rows = box.locator(".effects tr").all()
    return {row.locator("th").inner_text(): row.locator(".value").inner_text() for row in rows}


@pytest.mark.parametrize(("count", "budget"), [(0, None), (2, 0)])
def test_a_shift_is_what_pytorch_decodes(open_page, directing, count, budget):
    """The picture and those of the eight codes, drawn in the picture's frame or in the frames after it."""
    explorer, url = directing[count, budget]
    page = open_page(url, viewport={"width": 1000, "height": 1100})
    box = wake(page)
    rested(page, box)
    codes = []
    for tile in box.locator("button[data-code]").all():
        before = frames(box)
        tile.click()
        settle(page, box, before)
        codes.append(by_sliders(page, box))
    assert len(codes) == 8
    assert np.abs(np.diff(codes, axis=0)).max(1).min() > 0.3  # no two are the same
    z = codes[7]
    for name, keys, alpha in (("a3", ["PageUp"] * 5, 2.5), ("a3", ["End"], 6), ("a1", ["ArrowLeft"], 5.9)):
        pick(page, box, "Direction", name)
        assert shift(page, box, *keys) == pytest.approx(alpha)
        by = alpha * A[:, int(name[1])]
        picture = side_by_side(box.locator("canvas.picture"), max(count, 1))
        assert np.abs(picture - exact(explorer, z + by)).max() <= 1
        for canvas, code in zip(box.locator(".others canvas").all(), codes, strict=True):
            assert np.abs(side_by_side(canvas, max(count, 1)) - exact(explorer, code + by)).max() <= 1
        said = box.locator(".others .words").inner_text()
        assert said.startswith(f"8 codes drawn from the prior, each shifted by +{alpha:.2f} along {name} of discovered")
        assert said.endswith(", ".join(NAMES) if count else "discovered")
    assert page.problems == []


def test_directions_sorted_by_a_factor(directions):
    page, box, _ = directions
    assert options(box, "Direction") == ["a0", "a1", "a2", "a3", "a4"]
    assert options(box, "Sort by") == ["columns of A", *FACTORS]
    pick(page, box, "Sort by", "breast size")
    assert options(box, "Direction") == [
        "1. a2: −4.00 mm",
        "2. a4: +1.00 mm",
        "3. a1: +0.25 mm",
        "4. a0: +0.10 mm",
        "5. a3: 0.00 mm",
    ]
    assert box.get_by_role("combobox", name="Direction", exact=True).input_value() == "0"  # the strongest
    assert effects_shown(box) == {"width": "+1.50 mm", "breast size": "−4.00 mm", "rotation": "+0.2°"}
    assert box.locator(".effects .interval").all_text_contents() == ["+1.20 to +2.10", "−4.30 to −3.40", "−0.1 to +0.8"]
    assert box.locator(".effects tr.sorting th").all_text_contents() == ["breast size"]
    assert box.locator(".effects tr.unclear th").all_text_contents() == ["rotation"]
    press_button(page, box, "Next direction")
    assert "a4 of discovered, 2 of 5" in box.locator("[role=status]").inner_text()
    shift(page, box, "PageUp")
    # The second best by chance, by the same shift.
    press_button(page, box, "random")
    assert options(box, "Direction") == ["1. r2: −0.50 mm", "2. r0: +0.30 mm", "3. r1: 0.00 mm"]
    assert box.get_by_role("combobox", name="Direction", exact=True).input_value() == "1"
    assert "random. r0, 2 of 3 by breast size" in box.locator("[role=status]").inner_text()
    assert np.abs(picture(box) - exact(directions[2], 0.5 * B[:, 0])).max() <= 1
    assert box.locator(".effects .interval").all_text_contents() == [""] * 3  # it has no intervals
    press_button(page, box, "Previous direction")
    press_button(page, box, "Previous direction")
    assert box.get_by_role("combobox", name="Direction", exact=True).input_value() == "2"  # round and round
    press_button(page, box, "PCA")
    assert options(box, "Direction") == ["a0"]
    assert not box.get_by_role("combobox", name="Sort by", exact=True).is_visible()
    assert "was not measured" in box.locator(".effects").inner_text()
    assert not box.get_by_role("button", name="Next direction").is_visible()
    press_button(page, box, "discovered")
    assert options(box, "Direction")[0] == "1. a2: −4.00 mm"  # sorted as it was
    pick(page, box, "Sort by", "rotation")
    assert [text.split()[1] for text in options(box, "Direction")] == ["a3:", "a0:", "a4:", "a1:", "a2:"]
    pick(page, box, "Sort by", "columns of A")
    assert options(box, "Direction") == ["a0", "a1", "a2", "a3", "a4"]
    assert page.problems == []


def test_bars_in_one_unit_have_one_scale(directions):
    """Across directions and sets: that of the largest effect, intervals included."""
    page, box, _ = directions
    full = {"mm": 4.3, "°": 10.6}
    for set_name, table, names in (("discovered", FOUND, "a0 a1 a2 a3 a4"), ("random", CHANCE, "r0 r1 r2")):
        press_button(page, box, set_name)
        for k, name in enumerate(names.split()):
            pick(page, box, "Direction", name)
            for f, row in enumerate(box.locator(".effects tr").all()):
                track, bar = (row.locator(part).bounding_box() for part in (".effect", ".effect .fill"))
                middle, half = track["x"] + track["width"] / 2, track["width"] / 2
                place = half * table[k, f] / full[UNITS[f]]
                ends = sorted([middle, middle + place])
                assert [bar["x"], bar["x"] + bar["width"]] == pytest.approx(ends, abs=0.6)
                whisker = row.locator(".whisker")
                assert whisker.is_visible() == (set_name == "discovered")
                if set_name == "discovered":
                    low = whisker.bounding_box()["x"]
                    assert low == pytest.approx(middle + half * (table[k, f] - 0.3) / full[UNITS[f]], abs=0.6)
    assert page.problems == []


def test_play_goes_to_both_ends_and_stops(directions):
    page, box, _ = directions
    slider = box.locator(SHIFT)
    box.get_by_role("button", name="Play", exact=True).click()
    wait(page, box, "root => Number(root.querySelector('[data-shift]').value) > 5.5")
    # Another direction is watched on.
    box.get_by_role("button", name="Next direction").click()
    box.get_by_role("button", name="Pause", exact=True).wait_for(timeout=PATIENCE)
    wait(page, box, "root => Number(root.querySelector('[data-shift]').value) < -5.5")
    wait(page, box, "root => Number(root.querySelector('[data-shift]').value) > -1")
    box.get_by_role("button", name="Pause", exact=True).click()
    rested(page, box)
    alpha, count = float(slider.input_value()), frames(box)
    page.wait_for_timeout(400)
    assert (float(slider.input_value()), frames(box)) == (alpha, count)
    assert -1 <= alpha <= 6
    # On from there, and no further in another view.
    box.get_by_role("button", name="Play", exact=True).click()
    wait(page, box, "(root, alpha) => Number(root.querySelector('[data-shift]').value) !== alpha", alpha)
    turn_to(page, box, "Traverse")
    rested(page, box)
    page.wait_for_timeout(100)
    count = frames(box)
    page.wait_for_timeout(400)
    assert frames(box) == count
    turn_to(page, box, "Directions")
    # A hand on the slider stops it.
    box.get_by_role("button", name="Play", exact=True).click()
    shift(page, box, "Home")
    page.wait_for_timeout(200)
    assert float(slider.input_value()) == -6
    assert page.problems == []


def test_play_without_motion_goes_from_station_to_station(open_page, directing):
    page = open_page(directing[0, None][1], reduced_motion="reduce")
    box = wake(page)
    slider = box.locator(SHIFT)
    box.get_by_role("button", name="Play", exact=True).click()
    seen = [0.0]
    for _ in range(200):
        value = float(slider.input_value())
        if value != seen[-1]:
            seen.append(value)
        if len(seen) == 4:
            break
        page.wait_for_timeout(50)
    assert seen[:3] == pytest.approx([0, 3, 6])
    assert set(seen) <= {0, 3, 6, -3, -6}
    assert page.problems == []


def test_whatever_else_moves_the_code_is_shifted_from_there(directions):
    page, box, explorer = directions
    pick(page, box, "Direction", "a2")
    shift(page, box, "PageUp", "PageUp", "ArrowRight")
    shifted = 1.1 * A[:, 2]
    assert by_sliders(page, box) == pytest.approx(shifted, abs=1e-6)
    # A look at another view changes nothing.
    assert float(box.locator(SHIFT).input_value()) == 1.1
    assert box.get_by_role("combobox", name="Direction", exact=True).input_value() == "2"
    turn_to(page, box, "Traverse")
    count = frames(box)
    box.locator("input[data-dimension='0']").focus()
    page.keyboard.press("PageUp")
    settle(page, box, count)
    turn_to(page, box, "Directions")
    rested(page, box)
    assert float(box.locator(SHIFT).input_value()) == 0
    z = by_sliders(page, box)
    assert z[0] == pytest.approx(round(shifted[0] + 0.5, 2), abs=0.006)
    shift(page, box, "PageDown")
    assert np.abs(picture(box) - exact(explorer, z - 0.5 * A[:, 2])).max() <= 1
    shift(page, box, "Delete")
    assert np.abs(picture(box) - exact(explorer, z)).max() <= 1
    shift(page, box, "PageDown")
    for name in ("Random", "Encode this image: image 2", "Reset"):
        press_button(page, box, name)
        assert float(box.locator(SHIFT).input_value()) == 0
        z = by_sliders(page, box)
        assert np.abs(picture(box) - exact(explorer, z)).max() <= 1
        shift(page, box, "PageUp", "PageUp")
        assert np.abs(picture(box) - exact(explorer, z + A[:, 2])).max() <= 1
    assert z == pytest.approx(np.zeros(6))
    assert page.problems == []


def test_other_codes_are_drawn_and_taken(directions):
    page, box, _ = directions

    def tiles() -> list[bytes]:
        return [tile.evaluate("canvas => canvas.toDataURL()") for tile in box.locator(".others canvas").all()]

    shift(page, box, "PageUp", "PageUp")
    first = tiles()
    press_button(page, box, "New codes")
    second = tiles()
    assert not set(first) & set(second)
    assert float(box.locator(SHIFT).input_value()) == 1  # the shift stays
    press_button(page, box, "Take code 4 of 8")
    assert box.locator("canvas.picture").evaluate("canvas => canvas.toDataURL()") == second[3]
    assert tiles() == second
    assert float(box.locator(SHIFT).input_value()) == 1
    count = frames(box)
    box.get_by_role("button", name="Random", exact=True).click()
    settle(page, box, count)
    rested(page, box)
    assert len({*tiles(), *second}) == 16  # without a shift now
    assert page.problems == []


def test_directions_for_those_who_hear_the_page_and_have_no_mouse(directions):
    page, box, _ = directions
    slider = box.get_by_role("slider", name="Shift α")
    assert slider.get_attribute("aria-valuetext") == "0.00 along a0 of discovered"
    label = box.locator("canvas.picture")
    assert label.get_attribute("aria-label") == "Decoded picture; not shifted."
    shift(page, box, "ArrowUp")
    assert slider.get_attribute("aria-valuetext") == "+0.10 along a0 of discovered"
    assert label.get_attribute("aria-label") == "Decoded picture; shifted by +0.10 along a0 of discovered."
    assert box.get_by_role("group", name="Set of directions").get_by_role("button").count() == 3
    assert box.get_by_role("button", name="discovered").get_attribute("aria-pressed") == "true"
    assert box.get_by_role("table", name="Measured effect of one unit of shift along a0 of discovered").count() == 1
    assert box.get_by_role("rowheader").all_text_contents() == list(FACTORS)
    unnamed = box.evaluate(
        """root => [...root.querySelectorAll("input, select, button, canvas[tabindex], [role=img]")]
          .filter(e => e.checkVisibility({ visibilityProperty: true }))
          .filter(e => !(e.ariaLabel || e.labels?.length || e.getAttribute("aria-labelledby") || e.textContent.trim()))
          .map(e => e.outerHTML.slice(0, 100))"""
    )
    assert unnamed == []
    # By keyboard alone: from the sets to the pictures.
    box.get_by_role("button", name="discovered").focus()
    met = []
    for _ in range(10):
        page.keyboard.press("Tab")
        met.append(page.evaluate("() => document.activeElement.title || document.activeElement.textContent.trim()"))
        assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert met[:2] == ["random", "PCA"]
    assert met[3:5] == ["Previous direction", "Next direction"]
    assert met[7:] == ["Play", "New codes", "Take this code"]
    count = frames(box)
    page.keyboard.press("Enter")
    settle(page, box, count)
    assert float(slider.input_value()) == pytest.approx(0.1)
    assert page.problems == []


def test_changes_are_counted_from_where_there_is_no_shift(directions):
    page, box, explorer = directions
    press_button(page, box, "Take code 2 of 8")
    box.get_by_role("button", name="Difference to the picture at α = 0", exact=True).click()
    shift(page, box, "Delete")
    assert (picture(box) == 255).all()  # nothing has changed
    z = by_sliders(page, box)
    shift(page, box, "End")
    change = (exact(explorer, z + 6 * A[:, 0]) - exact(explorer, z))[0, ..., 0]
    shown = picture(box).astype(int)
    brighter, darker = shown[change > 26], shown[change < -26]
    assert min(len(brighter), len(darker)) > 9
    assert (brighter[:, 0] > brighter[:, 2]).all()
    assert (darker[:, 2] > darker[:, 0]).all()
    label = box.locator("canvas.picture")
    said = "Difference to the picture at α = 0; shifted by +6.00 along a0 of discovered."
    assert label.get_attribute("aria-label") == said
    assert "darker than the picture at α = 0" in box.locator(".difference").inner_text()
    # In the other views they are counted from the start.
    turn_to(page, box, "Traverse")
    button = box.get_by_role("button", name="Difference to the start", exact=True)
    assert button.get_attribute("aria-pressed") == "true"
    wait(
        page, box, "root => root.querySelector('canvas.picture').ariaLabel.startsWith('Difference to the start; moved')"
    )
    press_button(page, box, "Reset")
    assert (picture(box) == 255).all()
    box.locator("button[data-image='1']").click()
    assert box.get_by_role("button", name="Difference to the reconstruction", exact=True).count() == 1
    assert page.problems == []


def test_what_a_shift_changes_is_measured(open_page, tmp_path):
    sets = {"discovered": Directions(A)}
    explorer = explorer_that_measures(*NAMES, directions=sets)
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    once_measured(page, box)
    press_button(page, box, "Take code 3 of 8")
    once_measured(page, box)
    assert not any("(" in line for lines in quantities_shown(box) for line in lines)
    z = by_sliders(page, box)
    assert "since the picture at α = 0" in box.locator(".tools").inner_text()
    shift(page, box, "PageUp", "PageUp")
    once_measured(page, box)
    z = np.array([(value - SCALES[d].offset) / SCALES[d].factor if d in SCALES else value for d, value in enumerate(z)])
    found, before = pixels_of(explorer, z + A[:, 0]), pixels_of(explorer, z)
    assert np.abs(found - before).max() > 3
    for k, line in enumerate(quantities_shown(box)[0]):  # of which one pixel is 1 ml
        assert abs(number(re.search(r"\((.+)\)", line)[1]) - (found - before)[0, k]) <= 3
    assert page.problems == []
    explorer.close()


def test_directions_with_a_kernel(open_page, directing):
    explorer, _ = directing[0, None]
    page = open_page("about:blank")
    state = explorer.get_state()
    buffers = {name: base64.b64encode(state.pop(name)).decode() for name, v in [*state.items()] if type(v) is bytes}
    page.evaluate(KERNEL, [state, buffers])
    box = page.locator(".medlatent-explorer")
    wait(page, box, "root => root.dataset.ready === 'true'")
    shift(page, box, "PageUp", "PageUp")
    wait(page, box, "() => window.kernel.sent.length > 0")
    page.wait_for_timeout(200)
    assert page.evaluate("window.kernel.sent.at(-1)") == pytest.approx(A[:, 0].tolist(), abs=1e-6)
    z = np.linspace(-1, 1, 6)  # and now Python sets it
    count = frames(box)
    page.evaluate("code => window.kernel.set('code', code)", z.tolist())
    settle(page, box, count)
    assert float(box.locator(SHIFT).input_value()) == 0
    shift(page, box, "PageUp", "PageUp")
    assert np.abs(picture(box) - exact(explorer, z + A[:, 0])).max() <= 1
    assert page.problems == []


def test_one_direction_that_nobody_measured(open_page, tmp_path):
    explorer = Explorer(OnePicture(), directions=Directions(A[:, :1]), max_shift=2, category=(4, 5))
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    turn_to(page, box, "Directions")
    rested(page, box)
    for gone in (".sets", ".effects", "button[title='Next direction']"):
        assert not box.locator(f"{gone}:visible").count()
    assert not box.get_by_role("combobox", name="Sort by", exact=True).is_visible()
    assert shift(page, box, "End") == 2
    code = np.array(explorer.start) + 2 * A[:, 0]
    assert np.abs(picture(box) - exact(explorer, code)).max() <= 1
    assert "along a0" in box.locator(".others .words").inner_text()
    # Of a code with a category the others have one, too.
    shift(page, box, "Delete")
    for tile in box.locator("button[data-code]").all():
        count = frames(box)
        tile.click()
        settle(page, box, count)
        turn_to(page, box, "Codes")
        wait(page, box, "root => root.querySelector('input[type=radio]:checked')")
        turn_to(page, box, "Directions")
    assert page.problems == []
    explorer.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("count", [0, 2, 6])
def test_directions_on_a_phone_and_beside_it(open_page, tmp_path, count, scheme):
    names = ("T1", "T1 with contrast", "T2", "FLAIR", "diffusion-weighted", "ADC")[:count]
    explorer = directed(*names)
    page = open_page(
        published(explorer, folder=tmp_path),
        viewport={"width": 360, "height": 740},
        color_scheme=scheme,
        has_touch=True,
    )
    box = wake(page)
    height = box.bounding_box()["height"]
    rested(page, box)
    assert box.bounding_box()["height"] == pytest.approx(height, abs=60)  # but for the words above the codes
    pick(page, box, "Sort by", "breast size")
    shift(page, box, "End")
    for width in (360, 700, 1000, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        for set_name in ("random", "PCA", "discovered"):
            press_button(page, box, set_name)
            assert page.evaluate(TOO_WIDE), width
            outside = box.evaluate(
                """root => [...root.querySelectorAll("*")].filter(e => e.checkVisibility())
                  .filter(e => e.getBoundingClientRect().right > root.getBoundingClientRect().right + 0.5)
                  .map(e => e.outerHTML.slice(0, 100))"""
            )
            assert outside == [], (width, set_name)
        low = box.evaluate(
            """root => [...root.querySelectorAll(".views :is(button, input, select)")]
              .filter(e => e.checkVisibility({ visibilityProperty: true }))
              .filter(e => e.getBoundingClientRect().height < 31.5).map(e => e.outerHTML.slice(0, 100))"""
        )
        assert low == [] or count, (width, low)  # of several pictures a tile may be lower
    page.set_viewport_size({"width": 360, "height": 740})
    button = box.get_by_role("button", name="Take code 8 of 8", exact=True)
    button.scroll_into_view_if_needed()
    before = frames(box)
    button.tap()
    settle(page, box, before)
    assert "shifted by +6.00" in box.locator("canvas.picture").get_attribute("aria-label")
    assert page.problems == []
    explorer.close()


def test_shifts_leave_no_memory_behind(directions):
    page, box, _ = directions
    box.locator(SHIFT).focus()

    def move(times):
        for i in range(times):
            page.keyboard.press("ArrowRight" if i % 40 < 20 else "ArrowLeft")
        rested(page, box)

    assert_no_memory_is_left(page, box, move, 200)


# ---------------------------------------------------------------------------------- directions labelled by the reader

C = np.random.default_rng(2).normal(size=(6, 7)).astype("<f4")
C = C / np.linalg.norm(C, axis=0)
MOVED = np.array(  # by one unit of shift, in standard deviations of FACTORS
    [
        [0.9, 0, 0.1],
        [0.1, -0.7, 0],
        [0.3, 0.3, 0.31],
        [0.01, 0, -0.02],
        [0, 0.2, 0.6],
        [-0.5, 0.2, 0.2],
        [0.4, 0.1, 0.1],
    ]
)
AGREE = {0: ["width"], 1: ["breast size"], 2: ["rotation", "several at once"], 3: ["nothing that I can name"]}
AGREE |= {4: ["rotation"], 5: ["width"]}
CHOICES = [*FACTORS, "several at once", "nothing that I can name"]
SECRET = [f"secret{k}" for k in range(7)]


def to_be_labelled(*pictures: str) -> Explorer:
    sets = {
        "discovered": Directions(C, MOVED, FACTORS, "sd", MOVED - 0.05, MOVED + 0.05, names=SECRET),
        "random": Directions(B, names=[f"secret r{k}" for k in range(3)]),
    }
    model = Phases(*pictures) if pictures else OnePicture()
    return Explorer(model, directions=sets, label=range(6), views=["label", "traverse"], dimensions=range(6))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    explorer = to_be_labelled()
    yield explorer, published(explorer, folder=tmp_path_factory.mktemp("label"))
    explorer.close()


@pytest.fixture
def label(open_page, labelled):
    page = open_page(labelled[1], viewport={"width": 1000, "height": 1100}, reduced_motion="reduce")
    return page, wake(page), labelled[0]


def columns_asked(explorer) -> list[int]:
    return [each["column"] for each in explorer.label["asked"]]


def heading(box) -> str:
    return box.get_by_role("heading").inner_text()


def give(box, first: str, final: str | None = None):
    """Labels the direction that is asked for; another label after the stills, or the same."""
    box.get_by_role("radio", name=first, exact=True).check()
    box.get_by_role("button", name="Check it on stills").click()
    if final is not None:
        box.get_by_role("radio", name=final, exact=True).check()
        box.get_by_role("button", name=f"Change to “{final}”").click()
    else:
        box.get_by_role("button", name=f"Keep “{first}”").click()


def assert_blind(box):
    """No name of a direction is anywhere in the explorer's elements, nor a number that was measured."""
    inside = box.inner_html()
    assert "secret" not in inside
    assert "sd" not in box.inner_text()
    assert not box.locator(".effects").count()
    assert box.locator("td").count() == 0


@pytest.mark.parametrize("reader", ["right", "wrong"])
def test_a_reader_who_labels_blind(label, reader):
    page, box, explorer = label
    columns = columns_asked(explorer)
    assert sorted(columns) == list(range(6))
    for i, k in enumerate(columns):
        assert heading(box) == f"Direction {i + 1} of 6"
        assert not box.get_by_role("button", name="Check it on stills").is_enabled()
        assert_blind(box)
        if i < 2:  # what is shown is the direction that will be compared
            shift(page, box, "End")
            assert np.abs(picture(box) - exact(explorer, 6 * C[:, k])).max() <= 1
        wrong = next(name for name in CHOICES if name not in AGREE[k])
        box.get_by_role("radio", name=AGREE[k][-1] if reader == "right" else wrong, exact=True).check()
        box.get_by_role("button", name="Check it on stills").click()
        assert_blind(box)
        assert "step 2 of 2" in box.locator("[role=status]").inner_text().lower()
        box.get_by_role("button", name="Keep").click()
    agreed = 6 if reader == "right" else 0
    said = box.locator(".verdict").inner_text()
    # Five of the six move some factor, and a guess is right in one of three.
    always = sum("several at once" in right for right in AGREE.values())
    assert 0 < always < 6
    assert said == (
        f"You and the measurement agree on {agreed} of 6 directions; a reader who guesses among the 3 factors would "
        f"agree on about 2, one who always answers “several at once” on {always}. On the stills you kept every label."
    )
    assert f"agree on {agreed} of 6" in box.locator("[role=status]").inner_text()
    assert box.locator(".agreement").all_inner_texts() == ["✓ yes" if reader == "right" else "✗ no"] * 6
    rows = {row.locator("th").inner_text(): row for row in box.locator(".result tbody tr").all()}
    assert list(rows) == [f"{i + 1}: secret{k}" for i, k in enumerate(columns)]
    shown = rows[f"{columns.index(4) + 1}: secret4"].locator("td").nth(1).inner_text().split("\n")
    assert [" ".join(line.split()) for line in shown] == ["rotation", "75 %, +0.600 sd"]
    assert "Neither of the two is the truth" in box.locator(".result").inner_text()
    # Each can be looked at again, beside what was measured.
    press_button(page, box, f"{columns.index(1) + 1}: secret1")
    assert effects_shown(box) == {"width": "+0.100 sd", "breast size": "−0.700 sd", "rotation": "0.000 sd"}
    shift(page, box, "Home")
    assert np.abs(picture(box) - exact(explorer, -6 * C[:, 1])).max() <= 1
    assert box.locator("canvas.picture").get_attribute("aria-label").endswith("along secret1.")
    assert page.problems == []


def test_labels_are_changed_on_stills_and_given_again(label):
    page, box, explorer = label
    columns = columns_asked(explorer)
    names = [AGREE[k][0] for k in columns]
    before = box.locator(".others canvas").first.evaluate("canvas => canvas.toDataURL()")
    others = [next(name for name in CHOICES if name not in AGREE[k]) for k in columns]
    give(box, names[0], others[0])  # right, and then wrong
    give(box, others[1], names[1])
    give(box, others[2])
    for name in names[3:]:
        give(box, name)
    assert box.locator(".verdict").inner_text().startswith("You and the measurement agree on 4 of 6 directions;")
    assert box.locator(".verdict").inner_text().endswith("On the stills you changed 2 of your 6 labels.")
    assert [text.split()[1] for text in box.locator(".agreement").all_inner_texts()] == [
        "no",
        "yes",
        "no",
        *["yes"] * 3,
    ]
    smalls = box.locator(".result td:nth-child(2) small:visible").all_inner_texts()
    assert smalls == [f"first: {names[0]}", f"first: {others[1]}"]
    # The first one on which they differ is looked at.
    assert box.locator(".result [aria-pressed=true]").inner_text() == f"1: secret{columns[0]}"
    press_button(page, box, "Start again")
    assert heading(box) == "Direction 1 of 6"
    assert_blind(box)
    assert not box.locator("input:checked").count()
    assert box.locator(".others canvas").first.evaluate("canvas => canvas.toDataURL()") != before
    for _ in range(6):
        give(box, "width")
    again = [int(text.rpartition("secret")[2]) for text in box.locator(".result th button").all_inner_texts()]
    assert sorted(again) == sorted(columns)
    assert again != columns
    assert "agree on 2 of 6" in box.locator(".verdict").inner_text()
    assert page.problems == []


def test_stills_are_the_codes_that_were_watched(label):
    page, box, explorer = label
    a = C[:, columns_asked(explorer)[0]]
    rested(page, box)
    watched = [c.evaluate("canvas => canvas.toDataURL()") for c in box.locator(".others canvas").all()]
    box.get_by_role("radio", name="several at once").check()
    box.get_by_role("button", name="Check it on stills").click()
    rested(page, box)
    stills = box.locator("button[data-still]")
    assert stills.count() == 24
    assert [stills.nth(i).locator("canvas").evaluate("c => c.toDataURL()") for i in range(1, 24, 3)] == watched
    count = frames(box)
    stills.nth(10).click()
    settle(page, box, count)
    turn_to(page, box, "Traverse")
    wait(page, box, "root => root.querySelector('[data-dimension]')")
    z = code_shown(box, None)
    # A look at another view takes nothing back.
    turn_to(page, box, "Label")
    assert box.get_by_role("radio", name="several at once").is_checked()
    for i, alpha in ((9, -6), (10, 0), (11, 6)):
        canvas = stills.nth(i).locator("canvas")
        assert np.abs(side_by_side(canvas, 1) - exact(explorer, z + alpha * a)).max() <= 1
        count = frames(box)
        stills.nth(i).click()
        settle(page, box, count)
        assert np.abs(picture(box) - exact(explorer, z + alpha * a)).max() <= 1
    assert (
        box.locator("canvas.picture").get_attribute("aria-label").endswith("shifted by +6.00 along direction 1 of 6.")
    )
    assert page.problems == []


def test_labels_by_keyboard(label):
    page, box, _ = label
    focused = "() => document.activeElement.title || document.activeElement.textContent.trim()"
    box.get_by_role("radio", name="width", exact=True).focus()
    page.keyboard.press("ArrowDown")
    assert box.get_by_role("radio", name="breast size").is_checked()
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Check it on stills"
    # The keys lead to the stills whether or not they are drawn: here none is, until they were reached.
    page.evaluate(
        """() => {
          window.held = { draws: [], request: requestAnimationFrame };
          window.requestAnimationFrame = (draw) => held.draws.push(draw);
        }"""
    )
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "Direction 1 of 6"  # from where the reader goes on
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Show code 1 of 8 at α = −6 large"
    assert box.locator(".stills.empty").count()
    page.evaluate(
        "() => { window.requestAnimationFrame = held.request; held.draws.forEach((d) => requestAnimationFrame(d)); }"
    )
    rested(page, box)
    for key, found in (("ArrowRight", "code 1 of 8 at α = 0"), ("ArrowDown", "code 2 of 8 at α = 0")):
        page.keyboard.press(key)
        assert page.evaluate(focused) == f"Show {found} large"
    page.keyboard.press("Tab")  # past all the others
    assert page.evaluate("() => document.activeElement.checked")
    page.keyboard.press("Tab")
    assert page.evaluate(focused) == "Keep “breast size”"
    page.keyboard.press("Enter")
    assert heading(box) == "Direction 2 of 6"
    unnamed = box.evaluate(
        """root => [...root.querySelectorAll("input, select, button, [role=img]")]
          .filter(e => e.checkVisibility({ visibilityProperty: true }))
          .filter(e => !(e.ariaLabel || e.labels?.length || e.textContent.trim()))
          .map(e => e.outerHTML.slice(0, 100))"""
    )
    assert unnamed == []
    assert page.problems == []


def test_it_plays_by_itself_where_motion_is_welcome(open_page, labelled):
    url = labelled[1]
    page = open_page(url, viewport={"width": 1000, "height": 1100})
    box = wake(page)
    wait(page, box, "root => Number(root.querySelector('[data-shift]').value) > 2")
    box.get_by_role("button", name="Pause", exact=True).click()
    give(box, "width")
    wait(page, box, "root => Number(root.querySelector('[data-shift]').value) > 1")  # the next one, too
    assert page.problems == []
    page = open_page(url, reduced_motion="reduce")
    box = wake(page)
    page.wait_for_timeout(600)
    assert float(box.locator(SHIFT).input_value()) == 0
    assert box.get_by_role("button", name="Play", exact=True).is_visible()
    assert shift(page, box, "PageUp") == 0.5
    assert page.problems == []


def test_labels_with_a_kernel(open_page, labelled):
    explorer, _ = labelled
    page = open_page("about:blank", reduced_motion="reduce")
    state = explorer.get_state()
    buffers = {name: base64.b64encode(state.pop(name)).decode() for name, v in [*state.items()] if type(v) is bytes}
    page.evaluate(KERNEL, [state, buffers])
    box = page.locator(".medlatent-explorer")
    wait(page, box, "root => root.dataset.ready === 'true'")
    for k in columns_asked(explorer):
        give(box, AGREE[k][0])
    assert "agree on 6 of 6" in box.locator(".verdict").inner_text()
    shift(page, box, "PageUp", "PageUp")
    wait(page, box, "() => window.kernel.sent.length > 0")
    page.wait_for_timeout(200)
    assert page.evaluate("window.kernel.sent.at(-1)") == pytest.approx(C[:, columns_asked(explorer)[0]], abs=1e-6)
    assert page.problems == []


@pytest.mark.parametrize(("count", "scheme"), [(0, "light"), (2, "dark")])
def test_labels_on_a_phone_and_beside_it(open_page, tmp_path, count, scheme):
    explorer = to_be_labelled(*NAMES[:count])
    url = published(explorer, folder=tmp_path)
    page = open_page(url, viewport={"width": 360, "height": 740}, color_scheme=scheme, reduced_motion="reduce")
    box = wake(page)

    def assert_fits():
        for width in (360, 700, 1000, 1300):
            page.set_viewport_size({"width": width, "height": 740})
            assert page.evaluate(TOO_WIDE), width
            outside = box.evaluate(
                """root => [...root.querySelectorAll("*")].filter(e => e.checkVisibility())
                  .filter(e => e.getBoundingClientRect().right > root.getBoundingClientRect().right + 0.5)
                  .map(e => e.outerHTML.slice(0, 100))"""
            )
            assert outside == [], (width, heading(box))

    assert_fits()
    box.get_by_role("radio", name="width", exact=True).check()
    box.get_by_role("button", name="Check it on stills").click()
    rested(page, box)
    assert_fits()
    box.get_by_role("button", name="Keep").click()
    for _ in range(5):
        give(box, "nothing that I can name")
    assert_fits()
    ink, ground = box.locator(".result td").first.evaluate(
        """e => [getComputedStyle(e).color, getComputedStyle(e.closest(".medlatent-explorer")).backgroundColor]
          .map(colour => colour.match(/[\\d.]+/g).slice(0, 3).reduce((sum, c) => sum + Number(c), 0))"""
    )
    assert (ink > ground) == (scheme == "dark")
    assert abs(ink - ground) > 400
    assert page.problems == []
    explorer.close()


# ------------------------------------------------------------------------ hybrids of the styles and contents of images

MIXED_IMAGES, KEPT, TURNED = 5, slice(0, 2), slice(2, 6)  # of the code below: the content first, then the style
OF_CONDITION = {"size_bin": 3, "margin": 2}
MEANT = {
    "size_bin": Factor("size", kind="categorical", values=("small", "medium", "large")),
    "margin": Factor("how well the margin is defined: 0 poorly, 1 sharply", kind="binary"),
}
RATED = {"size_bin": [2, 0, 1, 1, 2], "margin": [0, 1, 1, 0, 0]}
WAY = "input[data-way='{}']"
FROM_CONDITION = "Content from the condition instead"


class Mixed(Phases):
    """Content, of which a condition says something, and style."""

    def __init__(self, *pictures: str) -> None:
        super().__init__(*pictures or ("only",))
        self.pictures = pictures
        self.config = {"condition": OF_CONDITION}
        self.content_layer = nn.Linear(5, 2)
        self.encoder.weight.data.mul_(8)

    def content_of(self, t):
        mean = 3 * self.content_layer(t)
        return mean, torch.zeros_like(mean)

    @property
    def code_layout(self):
        def given(size_bin, margin):
            hots = [nn.functional.one_hot(v.long(), n) for v, n in ((size_bin, 3), (margin, 2))]
            return self.content_of(torch.cat(hots, 1).float())

        return code_parts(content=Conditional(2, given, tuple(OF_CONDITION)), style=Normal(4))


def mixed(*pictures: str, **options) -> Explorer:
    shape = (MIXED_IMAGES, max(len(pictures), 1), HIGH, WIDE)
    images = torch.rand(shape, generator=torch.Generator().manual_seed(1))
    rated = {name: torch.tensor(values) for name, values in RATED.items()}
    options = {"factors": MEANT, "columns": rated, "views": ["hybrid", "traverse"], "dimensions": range(6)} | options
    return Explorer(Mixed(*pictures), images=images, **options)


@pytest.fixture(scope="module")
def mixing(tmp_path_factory):
    explorer = mixed()
    yield explorer, published(explorer, folder=tmp_path_factory.mktemp("hybrid"))
    explorer.close()


@pytest.fixture
def hybrid(open_page, mixing):
    page = open_page(mixing[1], viewport={"width": 1000, "height": 1100})
    box = wake(page)
    rested(page, box)
    return page, box, mixing[0]


def parts_of(explorer) -> tuple[np.ndarray, np.ndarray]:
    """Of each image what PyTorch infers: the content and the style."""
    pixels = np.frombuffer(explorer.images, np.uint8).reshape(explorer.image_shape).astype(np.float32) / 255
    with torch.inference_mode():
        codes = explorer._model.encode(torch.from_numpy(pixels)).numpy()
    return codes[:, KEPT], codes[:, TURNED]


def content_given(explorer, *condition: int) -> np.ndarray:
    columns = {name: torch.tensor([value]) for name, value in zip(OF_CONDITION, condition, strict=True)}
    with torch.inference_mode():
        return explorer._model.code_layout[0].prior.given(**columns)[0][0].numpy()


def assert_shows(canvas, explorer, content: np.ndarray, style: np.ndarray, count: int = 1):
    """A canvas has what PyTorch decodes; the codes, of the weights in 16 bits, may move it by a grey level."""
    found = side_by_side(canvas, count)
    assert np.abs(found - exact(explorer, np.concatenate([content, style]))).max() <= 2


def take_image(page, box, role: str, i: int):
    count = frames(box)
    box.locator(f"input[data-{role}='{i}']").check()
    settle(page, box, count)
    rested(page, box)


def go(page, box, axis: str, *keys: str) -> float:
    """Moves along a way by keys; returns how far it then is."""
    count = frames(box)
    box.locator(WAY.format(axis)).focus()
    for key in keys:
        page.keyboard.press(key)
    settle(page, box, count)
    return float(box.locator(WAY.format(axis)).input_value())


def caption(box) -> str:
    return box.locator(".pictures .words:visible").inner_text()


def switch(page, box, name: str):
    count = frames(box)
    box.get_by_role("switch", name=name).click()
    settle(page, box, count)
    rested(page, box)


def test_hybrids_are_what_pytorch_decodes(hybrid):
    """The picture, the ends of both ways, and the table, for the first pair, for others, and exchanged."""
    page, box, explorer = hybrid
    contents, styles = parts_of(explorer)
    assert (np.ptp(contents, 0) > 0.3).all()
    assert (np.ptp(styles, 0) > 0.3).all()
    picture = box.locator("canvas.picture")
    corners, table = (box.locator(".grid").nth(k).locator("button canvas") for k in range(2))

    def assert_pair(content: int, style: int, rows: list[int], columns: list[int]):
        assert_shows(picture, explorer, contents[content], styles[style])
        both = [content, style]
        for k, canvas in enumerate(corners.all()):
            assert_shows(canvas, explorer, contents[both[k // 2]], styles[both[k % 2]])
        for k, canvas in enumerate(table.all()):
            assert_shows(canvas, explorer, contents[rows[k // 3]], styles[columns[k % 3]])
        heads = box.locator(".grid").nth(1).locator(".head").all_inner_texts()
        assert heads == [f"image {i + 1}" for i in [*columns, *rows]]
        pressed = box.locator(".grid [aria-pressed=true]")
        label = f"ontent of image {content + 1}, style of image {style + 1}"
        assert [tile.get_attribute("aria-label") for tile in pressed.all()] == [f"C{label}"] * 2
        assert caption(box) == f"C{label}"
        assert picture.get_attribute("aria-label") == f"Decoded picture; c{label}."

    assert_pair(0, 1, [0, 1, 2], [0, 1, 2])
    take_image(page, box, "content", 3)  # in the place of the one that was not chosen
    assert_pair(3, 1, [0, 1, 3], [0, 1, 2])
    take_image(page, box, "style", 4)
    assert_pair(3, 4, [0, 1, 3], [0, 1, 4])
    press_button(page, box, "Exchange content and style")
    assert_pair(4, 3, [0, 4, 3], [3, 1, 4])
    cell = box.locator(".grid").nth(1).get_by_role("button", name="Content of image 1, style of image 4")
    count = frames(box)
    cell.click()
    settle(page, box, count)
    rested(page, box)
    assert_pair(0, 3, [0, 4, 3], [3, 1, 4])
    assert box.locator("[aria-live]").first.inner_text() == "Content of image 1, style of image 4."
    assert page.problems == []


def test_what_the_model_loses_is_said_in_decibels(hybrid):
    page, box, explorer = hybrid
    contents, styles = parts_of(explorer)
    take_image(page, box, "style", 2)
    images = np.frombuffer(explorer.images, np.uint8).reshape(explorer.image_shape)
    expected = []
    for i in (0, 2):
        with torch.inference_mode():
            rebuilt = explorer._model.decode(torch.from_numpy(np.concatenate([contents[i], styles[i]]))[None])[0]
        expected.append(-10 * np.log10(float((rebuilt - torch.from_numpy(images[i] / 255)).square().mean())))
    notes = box.locator(".grid").first.locator("button").all_inner_texts()
    assert notes[1:3] == ["hybrid", "hybrid"]
    for note, decibels in zip(notes[::3], expected, strict=True):
        assert float(re.fullmatch(r"reconstruction, ([\d.]+) dB", note)[1]) == pytest.approx(decibels, abs=0.06)
    take_image(page, box, "style", 0)  # of one image with itself all are reconstructions
    assert box.locator(".grid").first.locator("button").all_inner_texts() == [notes[0]] * 4


def test_both_ways_between_two_images(hybrid):
    page, box, explorer = hybrid
    contents, styles = parts_of(explorer)
    take_image(page, box, "content", 2)
    picture = box.locator("canvas.picture")

    def assert_at(style: float, content: float, words: str):
        found = [(1 - way) * part[2] + way * part[1] for part, way in ((contents, content), (styles, style))]
        assert_shows(picture, explorer, *found)
        assert caption(box) == words
        values = [float(box.locator(WAY.format(axis)).input_value()) for axis in ("style", "content")]
        assert values == pytest.approx([style, content])

    assert_at(1, 0, "Content of image 3, style of image 2")
    assert go(page, box, "style", "PageDown", "ArrowLeft", "ArrowLeft") == pytest.approx(0.65)
    assert go(page, box, "content", "PageUp", "ArrowRight") == pytest.approx(0.3)
    assert_at(0.65, 0.3, "Style 0.65, content 0.30 of the way")
    assert picture.get_attribute("aria-label") == (
        "Decoded picture; style 0.65 of the way from image 3 to image 2, content 0.30 of the way from image 3 to "
        "image 2."
    )
    assert box.locator(".grid [aria-pressed=true]").count() == 0
    go(page, box, "style", "Home")
    go(page, box, "content", "Home")
    assert_at(0, 0, "Reconstruction of image 3")
    go(page, box, "style", "End")
    go(page, box, "content", "End")
    assert_at(1, 1, "Reconstruction of image 2")
    go(page, box, "style", "Home")
    assert_at(0, 1, "Content of image 2, style of image 3")
    assert box.locator(".grid").first.locator("[aria-pressed=true]").get_attribute("title") == caption(box)
    go(page, box, "style", "Delete")
    go(page, box, "content", "Delete")
    assert_at(1, 0, "Content of image 3, style of image 2")
    count = frames(box)
    box.get_by_role("button", name="Reconstruction of image 2").first.click()
    settle(page, box, count)
    assert_at(1, 1, "Reconstruction of image 2")
    assert page.problems == []


def test_each_way_plays_and_both(hybrid):
    page, box, _ = hybrid
    style, content = (box.locator(WAY.format(axis)) for axis in ("style", "content"))
    moved = "(root, [axis, low, high]) => {{ const way = Number(root.querySelector(`[data-way=${axis}]`).value); "
    moved = moved.replace("{{", "{") + "return low < way && way < high; }"
    box.get_by_role("button", name="Play content", exact=True).click()
    wait(page, box, moved, ["content", 0.1, 0.9])
    box.get_by_role("button", name="Pause content", exact=True).click()
    assert float(style.input_value()) == 1
    rested(page, box)
    before, count = float(content.input_value()), frames(box)
    page.wait_for_timeout(300)
    assert (float(content.input_value()), frames(box)) == (before, count)
    assert 0 < before < 1
    # Both go on from where they are: the style, which is at its end, turns back.
    box.get_by_role("button", name="Play both", exact=True).click()
    wait(page, box, moved, ["style", 0.5, 0.9])
    assert float(content.input_value()) == pytest.approx(before + 1 - float(style.input_value()), abs=0.1)
    # A hand on a slider stops it.
    go(page, box, "style", "Home")
    assert box.get_by_role("button", name="Play both", exact=True).is_visible()
    count = frames(box)
    page.wait_for_timeout(200)
    assert frames(box) == count
    # And so does another view.
    box.get_by_role("button", name="Play style", exact=True).click()
    wait(page, box, moved, ["style", 0, 0.9])
    turn_to(page, box, "Traverse")
    rested(page, box)
    count = frames(box)
    page.wait_for_timeout(300)
    assert frames(box) == count
    assert page.problems == []


def test_a_way_without_motion_goes_from_station_to_station(open_page, mixing):
    page = open_page(mixing[1], reduced_motion="reduce")
    box = wake(page)
    rested(page, box)
    go(page, box, "content", "ArrowRight", "ArrowRight", "ArrowRight", "ArrowRight")
    box.get_by_role("button", name="Play content", exact=True).click()
    wait(page, box, "root => Number(root.querySelector('[data-way=content]').value) > 0.21")
    assert float(box.locator(WAY.format("content")).input_value()) == 0.25
    assert page.problems == []


def test_the_content_of_a_condition(hybrid):
    page, box, explorer = hybrid
    contents, styles = parts_of(explorer)
    picture = box.locator("canvas.picture")
    assert not box.get_by_role("group", name="Condition").is_visible()
    switch(page, box, FROM_CONDITION)
    # That of the image to begin with, by the names of its values.
    size = box.get_by_role("combobox", name="size bin")
    assert size.locator("option").all_text_contents() == ["small", "medium", "large"]
    assert size.locator("option:checked").text_content() == "large"
    assert not box.get_by_role("switch", name="margin: poorly").is_checked()
    own = content_given(explorer, 2, 0)
    assert np.abs(own - contents[0]).max() > 0.3
    assert_shows(picture, explorer, own, styles[1])
    assert caption(box) == "Content of the condition of image 1, style of image 2"
    notes = box.locator(".grid").first.locator("button").all_inner_texts()
    assert notes[0].startswith("from the condition, ")
    assert notes[3].startswith("reconstruction, ")
    # Another value.
    switch(page, box, "margin: poorly")
    assert box.get_by_role("switch", name="margin: sharply").is_checked()
    assert_shows(picture, explorer, content_given(explorer, 2, 1), styles[1])
    count = frames(box)
    size.select_option(label="medium")
    settle(page, box, count)
    rested(page, box)
    chosen = content_given(explorer, 1, 1)
    assert_shows(picture, explorer, chosen, styles[1])
    assert caption(box) == "Content of the chosen condition, style of image 2"
    # It is the content of its row, from which a way leads to the other image's.
    grids = [box.locator(".grid").nth(k) for k in range(2)]
    assert_shows(grids[0].locator("button canvas").nth(0), explorer, chosen, styles[0])
    assert_shows(grids[0].locator("button canvas").nth(2), explorer, contents[1], styles[0])
    assert_shows(grids[1].locator("button canvas").nth(2), explorer, chosen, styles[2])
    assert_shows(grids[1].locator("button canvas").nth(3), explorer, contents[1], styles[0])
    go(page, box, "content", "PageUp")
    assert_shows(picture, explorer, 0.75 * chosen + 0.25 * contents[1], styles[1])
    assert box.locator(WAY.format("content")).get_attribute("aria-valuetext") == (
        "0.25 of the way from condition to image 2"
    )
    press_button(page, box, "As of image 1")
    assert_shows(picture, explorer, own, styles[1])
    assert not box.get_by_role("button", name="As of image 1").is_enabled()
    # An image brings its condition with it; a row of the table what is seen in it.
    take_image(page, box, "content", 3)
    assert_shows(picture, explorer, content_given(explorer, 1, 0), styles[1])
    count = frames(box)
    grids[1].get_by_role("button", name="Content of image 2, style of image 3").click()
    settle(page, box, count)
    rested(page, box)
    assert_shows(picture, explorer, contents[1], styles[2])
    assert not box.get_by_role("switch", name=FROM_CONDITION).is_checked()
    assert page.problems == []


def test_a_condition_that_no_image_is_known_to_have(open_page, tmp_path):
    explorer = mixed(columns=None, factors=None)
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    rested(page, box)
    contents, styles = parts_of(explorer)
    switch(page, box, FROM_CONDITION)
    assert box.get_by_role("switch", name="margin: 0").is_visible()
    assert not box.get_by_role("button", name="As of").is_visible()
    assert_shows(box.locator("canvas.picture"), explorer, content_given(explorer, 0, 0), styles[1])
    assert caption(box) == "Content of the chosen condition, style of image 2"
    take_image(page, box, "content", 2)  # of which only its own content is known
    assert_shows(box.locator("canvas.picture"), explorer, contents[2], styles[1])
    assert not box.get_by_role("switch", name=FROM_CONDITION).is_checked()
    assert page.problems == []
    explorer.close()


def test_whatever_else_moves_the_code_leads_away_from_the_images(hybrid):
    page, box, explorer = hybrid
    contents, styles = parts_of(explorer)
    away = box.get_by_text("The picture shows another code now.")
    strip = box.locator(".strip")
    take_image(page, box, "content", 2)
    assert not away.is_visible()
    assert not strip.is_visible()  # the images are chosen above
    # A look at another view changes nothing.
    turn_to(page, box, "Traverse")
    wait(page, box, "root => root.querySelector('[data-dimension]')")
    assert strip.is_visible()
    assert code_shown(box, None) == pytest.approx(np.concatenate([contents[2], styles[1]]), abs=5e-3)
    turn_to(page, box, "Hybrid")
    rested(page, box)
    assert not away.is_visible()
    # A new style leaves the content alone.
    press_button(page, box, "New style")
    assert away.is_visible()
    assert box.locator("[aria-pressed=true]").count() == 0
    turn_to(page, box, "Traverse")
    wait(page, box, "root => root.querySelector('[data-dimension]')")
    drawn = code_shown(box, None)
    assert drawn[KEPT] == pytest.approx(contents[2], abs=5e-3)
    assert np.abs(drawn[TURNED] - styles[1]).max() > 0.3
    box.locator("button[data-image='4']").click()
    box.get_by_text("Original: image 5").wait_for()
    turn_to(page, box, "Hybrid")
    away.wait_for()
    go(page, box, "style", "PageDown")  # and back from there
    assert not away.is_visible()
    assert not box.locator("canvas.original").is_visible()
    assert_shows(box.locator("canvas.picture"), explorer, contents[2], 0.25 * styles[2] + 0.75 * styles[1])
    # Reset leads to the first pair.
    press_button(page, box, "Reset")
    assert not away.is_visible()
    assert caption(box) == "Content of image 1, style of image 2"
    assert box.locator("input[data-content='0']").is_checked()
    assert np.abs(picture(box) - exact(explorer, explorer.start)[0]).max() <= 1
    assert page.problems == []


def test_changes_are_counted_from_the_image_in_its_own_style(hybrid):
    page, box, _ = hybrid
    take_image(page, box, "content", 3)
    press_button(page, box, "Difference to the reconstruction of image 4")
    assert (picture(box) != 255).any()
    go(page, box, "style", "Home")
    assert (picture(box) == 255).all()
    switch(page, box, FROM_CONDITION)
    button = box.get_by_role("button", name="Difference to the picture in the style of image 4", exact=True)
    assert button.get_attribute("aria-pressed") == "true"
    go(page, box, "style", "Home")
    assert (picture(box) == 255).all()
    assert page.problems == []


def test_hybrids_by_keyboard_and_for_those_who_hear_the_page(hybrid):
    page, box, _ = hybrid
    switch(page, box, FROM_CONDITION)
    unnamed = box.evaluate(
        """root => [...root.querySelectorAll("input, select, button, [role=img], [role=group], [role=radiogroup]")]
          .filter(e => e.checkVisibility({ visibilityProperty: true }))
          .filter(e => !(e.ariaLabel || e.labels?.length || e.getAttribute("aria-labelledby") || e.textContent.trim()))
          .map(e => e.outerHTML.slice(0, 100))"""
    )
    assert unnamed == []
    switch(page, box, FROM_CONDITION)
    contents = box.get_by_role("radiogroup", name="Content of").get_by_role("radio")
    assert [radio.get_attribute("aria-label") for radio in contents.all()] == [f"image {i + 1}" for i in range(5)]
    contents.first.focus()
    count = frames(box)
    page.keyboard.press("ArrowRight")
    settle(page, box, count)
    rested(page, box)
    assert caption(box) == "Reconstruction of image 2"  # its own content in its own style
    page.keyboard.press("ArrowRight")
    rested(page, box)
    focused = "() => document.activeElement.ariaLabel || document.activeElement.textContent.trim()"
    met = []
    for _ in range(9):
        page.keyboard.press("Tab")
        met.append(page.evaluate(focused))
        assert page.evaluate(
            """() => [document.activeElement, document.activeElement.closest("label")]
              .some(e => e && getComputedStyle(e).outlineStyle === "solid")"""
        )
    assert met[1:3] == ["image 2", "Exchange content and style"]
    assert met[4] == "Play style"
    assert met[6:] == ["Play content", "Play both", "Reconstruction of image 3"]
    page.keyboard.press("ArrowDown")
    assert page.evaluate(focused) == "Content of image 2, style of image 3"
    page.keyboard.press("ArrowLeft")  # from the first column there is none
    assert page.evaluate(focused) == "Content of image 2, style of image 3"
    count = frames(box)
    page.keyboard.press("Enter")
    settle(page, box, count)
    assert caption(box) == "Content of image 2, style of image 3"
    assert (
        box.locator(WAY.format("content")).get_attribute("aria-valuetext") == "1.00 of the way from image 3 to image 2"
    )
    page.keyboard.press("Tab")
    assert page.evaluate(focused).startswith("Content of image 1, style of image 1")
    assert page.problems == []


def test_hybrids_with_a_kernel(open_page, mixing):
    explorer, _ = mixing
    contents, styles = parts_of(explorer)
    page = open_page("about:blank")
    state = explorer.get_state()
    buffers = {name: base64.b64encode(state.pop(name)).decode() for name, v in [*state.items()] if type(v) is bytes}
    page.evaluate(KERNEL, [state, buffers])
    box = page.locator(".medlatent-explorer")
    wait(page, box, "root => root.dataset.ready === 'true'")
    rested(page, box)
    assert page.evaluate("window.kernel.sent") == []  # the code is Python's until the reader moves it
    take_image(page, box, "style", 3)
    wait(page, box, "() => window.kernel.sent.length > 0")
    page.wait_for_timeout(200)
    expected = np.concatenate([contents[0], styles[3]])
    assert page.evaluate("window.kernel.sent.at(-1)") == pytest.approx(expected, abs=5e-3)
    count = frames(box)
    page.evaluate("code => window.kernel.set('code', code)", np.linspace(-1, 1, 6).tolist())
    settle(page, box, count)
    assert box.get_by_text("The picture shows another code now.").is_visible()
    assert page.problems == []


def test_an_encoder_that_is_missing_leaves_the_other_views_alive(open_page, tmp_path):
    explorer = mixed()
    explorer.encoder_weights = b""
    page = open_page(published(explorer, folder=tmp_path))
    box = wake(page)
    box.get_by_text("The images cannot be mixed: the weights of its encoder are missing").wait_for(timeout=PATIENCE)
    turn_to(page, box, "Traverse")
    wait(page, box, "root => root.querySelector('[data-dimension]')")
    count = frames(box)
    box.locator("input[data-dimension='0']").focus()
    page.keyboard.press("PageUp")
    settle(page, box, count)
    assert page.problems == []
    explorer.close()


@pytest.mark.parametrize(("count", "scheme"), [(0, "dark"), (2, "light")])
def test_hybrids_on_a_phone_and_beside_it(open_page, tmp_path, count, scheme):
    names = [f"patient LIDC-IDRI-{i:04d}, slice {40 + i}" for i in range(MIXED_IMAGES)]
    explorer = mixed(*NAMES[:count], image_names=names)
    contents, styles = parts_of(explorer)
    page = open_page(
        published(explorer, folder=tmp_path),
        viewport={"width": 360, "height": 740},
        color_scheme=scheme,
        has_touch=True,
    )
    box = wake(page)
    rested(page, box)
    switch(page, box, FROM_CONDITION)
    for width in (360, 600, 700, 1000, 1300):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(TOO_WIDE), width
        outside = box.evaluate(
            """root => [...root.querySelectorAll("*")].filter(e => e.checkVisibility())
              .filter(e => e.getBoundingClientRect().right > root.getBoundingClientRect().right + 0.5)
              .map(e => e.outerHTML.slice(0, 100))"""
        )
        assert outside == [], width
        low = box.evaluate(
            """root => [...root.querySelectorAll(".views :is(button, .check, select, input[type=range])")]
              .filter(e => e.checkVisibility({ visibilityProperty: true }))
              .filter(e => e.getBoundingClientRect().height < 31.5).map(e => e.outerHTML.slice(0, 100))"""
        )
        assert low == [], width
    page.set_viewport_size({"width": 360, "height": 740})
    tile = box.locator(".grid").nth(1).locator("button").nth(5)
    tile.scroll_into_view_if_needed()
    before = frames(box)
    tile.tap()
    settle(page, box, before)
    assert_shows(box.locator("canvas.picture"), explorer, contents[1], styles[2], max(count, 1))
    ink, ground = box.locator(".head .number").first.evaluate(
        """e => [getComputedStyle(e).color, getComputedStyle(e.closest(".medlatent-explorer")).backgroundColor]
          .map(colour => colour.match(/[\\d.]+/g).slice(0, 3).reduce((sum, c) => sum + Number(c), 0))"""
    )
    assert (ink > ground) == (scheme == "dark")
    assert page.problems == []
    explorer.close()


def test_moves_between_images_leave_no_memory_behind(hybrid):
    page, box, _ = hybrid
    box.locator(WAY.format("content")).focus()

    def move(times):
        for i in range(times):
            page.keyboard.press("ArrowRight" if i % 40 < 20 else "ArrowLeft")
        rested(page, box)

    assert_no_memory_is_left(page, box, move, 160)


# ------------------------------------------------------------------------------------- a window on Hounsfield units

HU = np.random.default_rng(0).integers(-1024, 2000, (48, 64))
USUAL = {"lung": (-600, 1500), "soft tissue": (40, 400), "bone": (400, 1800)}


@pytest.fixture(scope="module")
def windowed(tmp_path_factory):
    explorer = WindowExplorer(HU, presets=USUAL, title="A slice", description="Random numbers")
    yield explorer, published(explorer, folder=tmp_path_factory.mktemp("window"))
    explorer.close()


@pytest.fixture
def window(open_page, windowed):
    page = open_page(windowed[1], viewport={"width": 1000, "height": 900})
    return page, wake(page)


def window_said(box) -> tuple[float, float]:
    """Centre and width as the sliders say them; what is read aloud is what stands beside."""
    sliders = [box.get_by_label(name, exact=True) for name in ("centre", "width")]
    values = [float(slider.input_value()) for slider in sliders]
    words = [f"{value:g} HU".replace("-", "−") for value in values]
    assert [slider.get_attribute("aria-valuetext") for slider in sliders] == words
    assert box.locator(".slider > .number").all_inner_texts() == words
    return tuple(values)


def assert_shows_window(box, centre: float, width: float, hu: np.ndarray = HU):
    """The picture is what the package computes; and the words count what is clipped."""
    assert window_said(box) == (centre, width)
    grey = dicom.window(hu, centre, width)
    assert np.abs(picture(box).astype(float) - 255 * grey[..., None]).max() <= 0.51
    low, high = (f"{centre + side * width:g} HU".replace("-", "−") for side in (-0.5, 0.5))
    black, white = (round(100 * float(np.mean(side))) for side in (hu < centre - width / 2, hu > centre + width / 2))
    words = f"Black below {low}: {black} % of the pixels. White above {high}: {white} %."
    assert words in box.inner_text()
    assert box.locator("canvas.picture").get_attribute("aria-label").endswith(words)


def test_a_window_by_keyboard(window):
    page, box = window
    assert_shows_window(box, 40, 400)
    assert box.get_attribute("aria-label") == "A slice"
    assert (
        box.locator("canvas[role=img]").get_attribute("aria-label").startswith("Random numbers, through the window of")
    )
    centre, width = (box.get_by_label(name, exact=True) for name in ("centre", "width"))
    centre.focus()
    for key in ("PageDown", "PageDown", "ArrowRight"):
        page.keyboard.press(key)
    assert_shows_window(box, -150, 400)
    page.keyboard.press("Tab")
    assert width.evaluate("node => node === document.activeElement")
    for key in ("ArrowLeft", "PageUp"):
        page.keyboard.press(key)
    assert_shows_window(box, -150, 490)
    page.keyboard.press("Delete")
    assert_shows_window(box, -150, 400)
    page.keyboard.press("Home")
    assert_shows_window(box, -150, 10)
    page.keyboard.press("PageDown")  # no width is 0 or less
    assert_shows_window(box, -150, 10)
    page.keyboard.press("End")
    assert_shows_window(box, -150, 3000)
    assert page.problems == []


def test_the_usual_windows_are_buttons(window):
    page, box = window
    assert box.locator(".buttons button").all_inner_texts() == list(USUAL)
    for name, ends in USUAL.items():
        choice = box.get_by_role("group", name="Usual windows").get_by_role("button", name=name, exact=True)
        choice.focus()
        page.keyboard.press("Enter")
        assert_shows_window(box, *ends)
        pressed = {b.inner_text() for b in box.locator("button[aria-pressed=true]").all()}
        assert pressed == {name}
    box.get_by_label("width", exact=True).focus()
    page.keyboard.press("ArrowRight")
    assert box.locator("button[aria-pressed=true]").count() == 0
    assert page.problems == []


def test_a_window_by_mouse(window):
    page, box = window
    edges = box.get_by_label("centre", exact=True).bounding_box()
    page.mouse.click(edges["x"] + 0.75 * edges["width"], edges["y"] + edges["height"] / 2)
    centre, width = window_said(box)
    assert width == 400
    assert 400 < centre < 600
    assert centre % 10 == 0
    assert_shows_window(box, centre, 400)
    page.mouse.dblclick(edges["x"] + 0.75 * edges["width"], edges["y"] + edges["height"] / 2)
    assert_shows_window(box, 40, 400)
    assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_window_on_a_phone_and_beside_it(open_page, windowed, scheme):
    page = open_page(windowed[1], viewport={"width": 360, "height": 740}, color_scheme=scheme)
    box = wake(page)
    for width in (360, 700, 1280):
        page.set_viewport_size({"width": width, "height": 740})
        assert page.evaluate(TOO_WIDE)
        for part in box.locator("button, input, .number, p, canvas").all():
            edges = part.bounding_box()
            assert edges["x"] >= 0
            assert edges["x"] + edges["width"] <= width
        heights = [part.bounding_box()["height"] for part in box.locator("button, input").all()]
        assert min(heights) >= 32
    ink, surface = box.evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
    light = [sum(map(float, re.findall(r"[\d.]+", colour)[:3])) / 765 for colour in (ink, surface)]
    assert light[0] < 0.3 < 0.7 < light[1] if scheme == "light" else light[0] > 0.7 > 0.3 > light[1]
    assert_shows_window(box, 40, 400)
    assert page.problems == []


def test_the_window_of_the_chapter_needs_no_kernel(open_page, site):
    page = open_page(f"{site}/notebooks/01_images.html")
    box = wake(page)
    box.get_by_role("button", name="lung", exact=True).click()
    assert window_said(box) == (-600, 1500)
    assert page.locator(".needs-kernel").count() == 0
    assert page.problems == []


def test_without_javascript_the_usual_windows_stand_there(open_page, site):
    page = open_page(f"{site}/notebooks/01_images.html", java_script_enabled=False)
    image = page.locator(f".cell_output:has({VIEW}) img:visible")
    assert image.count() == 1
    assert "through 3 windows" in image.get_attribute("alt")
