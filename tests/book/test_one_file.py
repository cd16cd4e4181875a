"""A widget that was saved as one file, opened from disk with the network off: it lives, and it asks nobody."""

import re
import zlib
from html import escape

import numpy as np
import pytest
import torch
from torch import nn

from medlatent.data import Card, Factor
from medlatent.explore import Directions, Explorer, Scale, Segmentation, WindowExplorer
from medlatent.models import VAE, Normal, code_parts

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PATIENCE = 30_000  # ms; a machine may have much else to do
SIZE = 16
PIXELS = """canvas => Array.from(canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data)"""
HU = (10 * np.arange(12 * 20) - 1000).reshape(12, 20)
ATTACK = "</SCRIPT><img src=x onerror=window.PWN=1></title></style>--><!--<script> \u2028\u2029 & &lt; \\ '\" é"


class Parts(nn.Module):
    """Linear, from a code of content and style to a picture and back."""

    latent_dim, code_layout = 6, code_parts(content=Normal(2), style=Normal(4))

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.decoder, self.encoder = nn.Linear(6, SIZE * SIZE), nn.Linear(SIZE * SIZE, 6)

    def decode(self, codes):
        return (3 * self.decoder(codes)).sigmoid().unflatten(1, (1, SIZE, SIZE))

    def encode(self, images):
        return 3 * self.encoder(images.flatten(1))


class Bright(nn.Module):
    """Says of a pixel that it is bright, or that it is dark."""

    def __init__(self) -> None:
        super().__init__()
        self.end = nn.Conv2d(1, 2, 1)
        self.end.weight.data = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
        self.end.bias.data = torch.tensor([0.5, -0.5])

    def forward(self, pictures):
        return self.end(pictures)


def pictures(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


def traversing(text: str = "z") -> Explorer:
    torch.manual_seed(0)
    model = VAE(latent_dim=4, channels=1, size=SIZE)
    for weights in model.parameters():  # a new network makes grey of every code
        weights.data.mul_(2)
    return Explorer(
        model,
        posteriors=(torch.randn(20, 4), torch.zeros(20, 4)),
        labels={text: np.linspace(1, 2, 20), f"kind {text}": [text, "other"] * 10},
        images=pictures(),
        image_names=[f"{k} {text}" for k in range(3)],
        names=[f"{text}{d}" for d in range(4)],
        scales={1: Scale(142.0, 38.5, text)},
        title=text,
    )


def choosing(text: str = "kind") -> Explorer:
    torch.manual_seed(0)
    layers = [nn.Linear(6, SIZE * SIZE), nn.Sigmoid(), nn.Unflatten(1, (1, SIZE, SIZE))]
    names = [f"{text} {k}" for k in range(3)]
    return Explorer(nn.Sequential(*layers), 6, category=range(3), category_names=names, pad=(3, 4), title=text)


def found(text: str) -> Directions:
    torch.manual_seed(2)
    effects = np.array([[0.9, 0.05], [0.1, 0.5], [0.4, 0.4]])
    factors = [f"size {text}", f"shape {text}"]
    names = [f"{k} {text}" for k in range(3)]
    return Directions(torch.randn(6, 3), names=names, effects=effects, factors=factors, units="sd")


def shifting(text: str = "found") -> Explorer:
    sets = {text: found(text), "random": Directions(torch.randn(6, 3))}
    return Explorer(Parts(), directions=sets, views=["directions"], title=text)


def labelling(text: str = "found") -> Explorer:
    return Explorer(Parts(), directions={text: found(text)}, views=["label"], label=[0, 1], title=text)


def mixing(text: str = "image") -> Explorer:
    return Explorer(
        Parts(), images=pictures(), image_names=[f"{k} {text}" for k in range(3)], views=["hybrid"], title=text
    )


def measuring(text: str = "bright") -> Explorer:
    segmentation = Segmentation(Bright(), [text], {text: {text: (1, 1)}}, unit=text)
    return Explorer(Parts(), segmentation=segmentation, pictures=[text], title=text)


def windowing(text: str = "lung") -> WindowExplorer:
    return WindowExplorer(HU, presets={text: (-600, 1500)}, description=text, title=text)


KINDS = {f.__name__: f for f in (traversing, choosing, shifting, labelling, mixing, measuring, windowing)}


@pytest.fixture
def open_file(browser):
    """Opens files in contexts of their own, without a network, and collects what is asked and what goes wrong."""
    contexts = []

    def visit(path, **options):
        context = browser.new_context(offline=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.problems, page.asked = [], []
        page.on("console", lambda m: m.type == "error" and page.problems.append(m.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(path.as_uri())
        return page

    yield visit
    for context in contexts:
        context.close()


def alive(page):
    box = page.locator("#live .medlatent-explorer[data-ready=true]")
    box.wait_for(timeout=PATIENCE)
    return box


def picture(box) -> np.ndarray:
    """The grey levels of the picture, as many as it has pixels."""
    return np.array(box.locator("canvas.picture").evaluate(PIXELS), np.float64)[::4]


def expected(widget, slider) -> np.ndarray:
    """What PyTorch makes of the code, or NumPy of the window, that the slider stands at; grey levels, not rounded."""
    value = float(slider.input_value())
    if isinstance(widget, WindowExplorer):
        return 255 * np.clip((HU - value) / widget.width + 0.5, 0, 1).ravel()
    code, model = torch.tensor(widget.start), widget._model
    scale = widget.scales.get(slider.get_attribute("data-dimension") or "", {"offset": 0, "factor": 1})
    if dimension := slider.get_attribute("data-dimension"):
        code[int(dimension)] = (value - scale["offset"]) / scale["factor"]
    elif slider.get_attribute("data-way"):
        first, second = model.encode(torch.from_numpy(strip(widget)))[:2, 2:]
        code[2:] = (1 - value) * first + value * second
    else:
        column = widget.label["asked"][0]["column"] if widget.views == ["label"] else 0
        code = code + value * torch.from_numpy(found("").matrix[:, column])
    with torch.inference_mode():
        decoded = (model.decode if hasattr(model, "decode") else model)(code[None])
    return 255 * decoded.flatten().double().numpy()


def strip(widget) -> np.ndarray:
    return np.frombuffer(widget.images, np.uint8).reshape(widget.image_shape).astype(np.float32) / 255


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_lives_in_its_file_and_asks_nobody(open_file, tmp_path, kind):
    widget = KINDS[kind]()
    path = widget.save(tmp_path / "x.html")
    page = open_file(path)
    box = alive(page)
    assert not page.locator("#still, #notice").filter(visible=True).count()
    if getattr(widget, "views", [""])[0] == "codes":
        box.get_by_role("tab", name="Traverse").click()
    mark = {"shifting": "[data-shift]", "labelling": "[data-shift]", "mixing": "[data-way='style']"}.get(kind, "")
    slider = box.locator(f"input[type=range]{mark}").first
    before = picture(box)
    slider.focus()
    for _ in range(3):
        page.keyboard.press("PageDown" if kind == "mixing" else "PageUp")
    page.wait_for_timeout(300)
    after = picture(box)
    assert np.abs(after - before).max() > 2
    stated = 255 * getattr(widget, "error", 0)
    # Half a grey level by rounding. The codes that are mixed are those of the encoder's weights in 16 bits.
    assert np.abs(after - expected(widget, slider)).max() <= stated + (1.5 if kind == "mixing" else 0.51)
    if kind == "measuring":
        share = int((picture(box) > 127.5).sum())
        assert re.search(rf"bright\s+{share}", box.locator(".quantities").inner_text().replace("\u202f", ""))
    assert page.asked == [path.as_uri()]
    assert page.problems == []


def test_an_image_in_the_file_is_encoded_as_pytorch_does(open_file, tmp_path):
    explorer = traversing()
    page = open_file(explorer.save(tmp_path / "x.html"))
    box = alive(page)
    box.locator("button[data-image='1']").click()
    page.wait_for_timeout(300)
    model = explorer._model.eval()
    with torch.inference_mode():
        mean = model.encode(torch.from_numpy(strip(explorer)))[0][1:2]
        rebuilt = 255 * model.decode(mean).flatten().double().numpy()
    assert np.abs(picture(box) - rebuilt).max() <= 255 * explorer.error + 1
    assert page.problems == []


def test_it_opens_where_it_was_saved(open_file, tmp_path):
    explorer = traversing()
    explorer.code = [1.5, -1.0, 0.5, 2.0]
    page = open_file(explorer.save(tmp_path / "x.html"))
    with torch.inference_mode():
        decoded = 255 * explorer._model.eval().decode(torch.tensor([explorer.code])).flatten().double().numpy()
    assert np.abs(picture(alive(page)) - decoded).max() <= 255 * explorer.error + 0.51


# ------------------------------------------------------------------------------------------------------ hostile text


@pytest.mark.parametrize("kind", KINDS)
def test_text_stays_text_whatever_it_is(open_file, tmp_path, kind):
    """With the page's policy, and without it: the policy is the second lock, not the first."""
    widget = KINDS[kind](ATTACK)
    path = widget.save(tmp_path / "x.html", data=Card(ATTACK, ATTACK, ATTACK, ATTACK, ATTACK), about=ATTACK)
    text = path.read_text("utf-8")
    unlocked, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    assert count == 1
    (tmp_path / "unlocked.html").write_text(unlocked, "utf-8")
    assert "&lt;/SCRIPT&gt;" in escape(ATTACK)
    for name in ("x.html", "unlocked.html"):
        page = open_file(tmp_path / name)
        box = alive(page)
        assert page.title().startswith("</SCRIPT><img")
        assert page.locator("h1").text_content() == ATTACK
        assert page.locator("dd", has_text=ATTACK).count() >= 3
        tabs = box.get_by_role("tab").all()
        for tab in tabs or [box]:
            if tabs:
                tab.click()
            assert page.locator("main img:not(#still img), main script").count() == 0
        assert page.evaluate("[window.PWN, document.scripts.length]") == [None, 2]
        assert len(page.asked) == 1
        assert page.problems == []


def test_the_meaning_of_a_factor_stays_text(open_file, tmp_path):
    """Of a model with a condition: the reader chooses its values by what the factors are called."""
    from medlatent.models import DRAI

    torch.manual_seed(0)
    model = DRAI(condition={"kind": 2, "edge": 2}, size=8, width=2, style_dim=3, content_dim=2)
    factors = {
        "kind": Factor(f"kind {ATTACK}", kind="categorical", values=(ATTACK, "b")),
        "edge": Factor(f"how sharp: 0 {ATTACK}, 1 sharply", kind="binary"),
    }
    columns = {"kind": torch.tensor([0, 1]), "edge": torch.tensor([0.0, 1.0])}
    images = torch.rand(2, 1, 8, 8)
    explorer = Explorer(model, images=images, factors=factors, columns=columns, views=["hybrid"])
    page = open_file(explorer.save(tmp_path / "x.html"))
    box = alive(page)
    for tick in box.locator("input[type=radio]:visible, input[type=checkbox]:visible").all():
        tick.check(force=True)
    assert page.evaluate("[window.PWN, document.querySelectorAll('#live img, #live script').length]") == [None, 0]
    assert page.problems == []


# ---------------------------------------------------------------------------------- what is not as it was saved


def changed(path, before: str, after: str):
    text = path.read_text("utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, after), "utf-8")


def refused(page, said: str):
    """The sentence stands there, and of pictures the still one alone."""
    page.get_by_role("alert").filter(has_text=said).wait_for(timeout=PATIENCE)
    assert not page.locator("canvas").count()
    assert page.locator("#still img").is_visible()


@pytest.mark.parametrize("kind", ["traversing", "windowing"])
def test_a_file_that_was_altered_says_so(open_file, tmp_path, kind):
    path = KINDS[kind]().save(tmp_path / "x.html")
    text = path.read_text("utf-8")
    field = "decoder_weights" if kind == "traversing" else "hu"
    place = text.index(f'"{field}":"') + len(field) + 4 + 50
    path.write_text(text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :], "utf-8")
    refused(open_file(path), "What was saved here cannot run: the file is not as it was saved")


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.9, 0.999])
def test_a_file_that_was_cut_says_so(open_file, tmp_path, share):
    path = traversing().save(tmp_path / "x.html")
    content = path.read_bytes()
    start = content.index(b'<p id="notice">') + 500
    path.write_bytes(content[: start + int(share * (len(content) - start))])
    page = open_file(path)
    assert page.locator("h1").text_content() == "z"
    assert "the file is not complete: ask for it again" in page.locator("#notice").inner_text()
    assert not page.locator("canvas").count()


@pytest.mark.parametrize(
    ("alter", "said"),
    [
        (lambda data: data[:-2], r"This explorer cannot run here: its weights are \d+ bytes, not \d+"),
        (lambda data: bytes([data[0] ^ 1]) + data[1:], "cannot run here: its weights are not those that were saved"),
        (lambda data: data[:-2] + b"\x00\x7c", "cannot run here: a weight is not finite"),
    ],
)
def test_weights_that_are_not_those_of_the_model_make_no_picture(open_file, tmp_path, alter, said):
    explorer = traversing()
    explorer.decoder_weights = alter(explorer.decoder_weights)
    if "finite" in said:
        decoder = explorer.networks["decoder"] | {"crc32": zlib.crc32(explorer.decoder_weights)}
        explorer.networks = explorer.networks | {"decoder": decoder}
    page = open_file(explorer.save(tmp_path / "x.html"))
    failure = page.locator(".failure")
    failure.wait_for(timeout=PATIENCE)
    assert re.search(said, failure.inner_text())
    assert not page.locator("canvas").count()


def test_a_script_that_was_altered_does_not_run(open_file, tmp_path):
    path = traversing().save(tmp_path / "x.html")
    changed(path, "\nopenSaved();\n", "\nwindow.PWN = 1; openSaved();\n")
    page = open_file(path)
    page.locator("#notice").wait_for()
    assert page.evaluate("window.PWN") is None
    assert page.locator("#still img").is_visible()


# ------------------------------------------------------------------------------------------------------- how it looks


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_sticks_out_in_the_light_and_in_the_dark(open_file, tmp_path, kind):
    path = KINDS[kind]().save(tmp_path / "x.html", about="A word. " * 30)
    inks = set()
    for scheme in ("light", "dark"):
        page = open_file(path, color_scheme=scheme, viewport={"width": 360, "height": 800})
        box = alive(page)
        for width in (360, 1300):
            page.set_viewport_size({"width": width, "height": 800})
            for tab in box.get_by_role("tab").all() or [box]:
                if tab is not box:
                    tab.click()
                assert page.evaluate("document.documentElement.scrollWidth") <= width
        inks.add(box.evaluate("e => getComputedStyle(e).color + getComputedStyle(document.body).color"))
    assert len(inks) == 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_without_scripts_a_described_still_stands_there(open_file, tmp_path, scheme):
    path = traversing().save(tmp_path / "x.html")
    page = open_file(path, java_script_enabled=False, color_scheme=scheme, viewport={"width": 360, "height": 800})
    still = page.locator("#still img")
    assert still.is_visible()
    assert still.get_attribute("alt").startswith("A traversal")
    assert still.bounding_box()["width"] <= 360
    assert "open the file there, not in the preview of a mail program" in page.locator("#notice").inner_text()
    assert page.asked == [path.as_uri()]
