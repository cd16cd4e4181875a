"""A widget that is saved as one file: where it may lie, what it says of itself, and what it carries."""

import base64
import html
import json
import os
import re
import zlib
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from anywidget import AnyWidget
from bs4 import BeautifulSoup
from ipywidgets.embed import dependency_state, embed_data, embed_minimal_html
from torch import nn

import medlatent
from medlatent.data import Card
from medlatent.explore import Explorer, WindowExplorer
from medlatent.explore.one_file import json_in_html
from medlatent.models import VAE

CARD = Card("lesions & more", "rendered", "CC BY-NC 4.0", "Somebody, Lesions, 2024", "none")


@pytest.fixture(scope="module")
def explorer():
    torch.manual_seed(0)
    return Explorer(
        VAE(latent_dim=3, channels=1, size=16),
        posteriors=(torch.randn(9, 3), torch.zeros(9, 3)),
        labels={"size": np.linspace(1, 2, 9)},
        images=torch.rand(2, 1, 16, 16),
        title="Lesions in <three> numbers",
    )


@pytest.fixture(scope="module")
def window():
    return WindowExplorer(np.arange(240).reshape(12, 20), description="A slice")


def parsed(path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def facts(path) -> dict[str, str]:
    soup = parsed(path)
    return {name.text: text.text for name, text in zip(soup("dt"), soup("dd"), strict=True)}


def carried(path) -> dict:
    (script,) = parsed(path)("script", id="saved")
    assert int(script["data-crc32"]) == zlib.crc32(script.string.encode())
    return json.loads(script.string)


def test_what_the_file_is(explorer, tmp_path, capsys):
    path = explorer.save(tmp_path / "x.html", data=CARD, about="A first <try>.")
    assert path == tmp_path / "x.html"
    assert re.fullmatch(rf"{re.escape(str(path))}: \d+ kB\n", capsys.readouterr().out)
    assert [p.name for p in tmp_path.iterdir()] == ["x.html"]  # no temporary file, no lock
    soup = parsed(path)
    assert soup.title.text == soup.h1.text == "Lesions in <three> numbers"
    assert soup.h1.find_next("p").text == "A first <try>."
    said = facts(path)
    assert said["Model"] == "VAE: a code of 3 numbers, decoded to pictures of 1 × 16 × 16 (channels, height, width)"
    assert said["Weights"].startswith("16 bits, at most ")
    assert said["In this file"] == (
        "the weights of decoder and encoder; 2 images of a set, each pixel, and what they are called; codes of 9 "
        "images of a set; their labels (size)"
    )
    assert said["Data"] == "lesions & more"
    assert said["Licence of the data"] == "CC BY-NC 4.0"
    assert said["Citation"] == "Somebody, Lesions, 2024"
    assert said["Made with"] == f"medlatent {medlatent.__version__}"
    assert explorer.save(str(path), SimpleNamespace(card=CARD), overwrite=True) == path
    assert facts(path)["Data"] == "lesions & more"


def test_what_is_not_known_is_said_to_be_not_known(explorer, window, tmp_path):
    said = facts(explorer.save(tmp_path / "x.html"))
    assert said["Data"] == said["Licence of the data"] == "not stated"
    path = window.save(tmp_path / "w.html", data=Card("CT", "", "", "", ""))
    said = facts(path)
    assert said["In this file"] == "one picture of 12 × 20, each pixel in Hounsfield units: A slice"
    assert (said["Data"], said["Licence of the data"], said["Citation"]) == ("CT", "not stated", "not stated")
    assert parsed(path).h1.text == "A window in Hounsfield units"


def test_all_that_a_widget_carries_is_in_it_as_it_is_now(explorer, window, tmp_path):
    explorer.code = [0.5, -1.0, 2.0]
    for widget, fields in ((explorer, {"networks", "names", "title", "views"}), (window, {"presets", "limits"})):
        content = carried(widget.save(tmp_path / f"{type(widget).__name__}.html"))
        own = {
            name
            for name in type(widget).class_traits(sync=True)
            if name not in AnyWidget.class_traits() and name[0] != "_"
        }
        assert fields < own == {*content["state"], *content["bytes"]}
        for name, value in content["bytes"].items():
            assert base64.b64decode(value) == getattr(widget, name)
        for name, value in content["state"].items():
            assert value == json.loads(json.dumps(getattr(widget, name)))
    explorer.code = explorer.start


def test_the_same_widget_makes_the_same_file(explorer, tmp_path):
    first, second = (explorer.save(tmp_path / name) for name in ("a.html", "b.html"))
    assert first.read_bytes() == second.read_bytes()


def test_it_names_no_other_place(explorer, window, tmp_path):
    for path in (explorer.save(tmp_path / "x.html"), window.save(tmp_path / "w.html")):
        addresses = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text("utf-8")))
        assert addresses <= {"http://www.w3.org/2000/svg"}  # the name of a language, asked by nobody
        for tag in parsed(path).find_all(["script", "img", "link", "source", "iframe", "a"]):
            for name in ("src", "href", "srcset"):
                assert tag.get(name, "data:").startswith("data:")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("x.htm", ValueError, "x.htm must end in .html"),
        ("x", ValueError, "x must end in .html"),
        ("there.html/", FileExistsError, "there.html is a folder: choose another path"),
        ("gone/x.html", FileNotFoundError, "gone: there is no such folder"),
        ("old.html", FileExistsError, r"old.html exists: choose another path, or pass overwrite=True"),
    ],
)
def test_where_a_file_cannot_lie(window, tmp_path, name, error, message):
    (tmp_path / "there.html").mkdir()
    (tmp_path / "old.html").write_text("mine")
    with pytest.raises(error, match=message):
        window.save(f"{tmp_path}/{name}")
    assert (tmp_path / "old.html").read_text() == "mine"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["old.html", "there.html"]


def test_an_existing_file_is_replaced_when_that_is_meant_and_whole(window, tmp_path, monkeypatch):
    path = tmp_path / "x.html"
    path.write_text("mine")

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            window.save(path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["x.html"]
    assert path.read_text() == "mine"
    window.save(path, overwrite=True)
    assert carried(path)["state"]["shape"] == [12, 20]


def test_what_is_refused(explorer, window, tmp_path):
    with pytest.raises(TypeError, match="data: expected an ImageSet or its card, got str"):
        window.save(tmp_path / "x.html", data="lesions")
    explorer.nats = [1.0, float("nan"), 0.0]
    with pytest.raises(ValueError, match="nats: a number is not finite"):
        explorer.save(tmp_path / "x.html")
    assert not [*tmp_path.iterdir()]


def test_json_in_a_page_has_nothing_that_html_or_javascript_would_take_for_its_own():
    value = {"</script><!--": ["&amp;", "\u2028\u2029", "é", "\ud800", "\\u003c"]}
    text = json_in_html(value)
    assert text.isascii()
    assert not set("<>&") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="not JSON compliant"):
        json_in_html(float("inf"))


def test_text_that_is_no_utf_8_is_no_reason_to_fail(tmp_path):
    window = WindowExplorer(np.zeros((2, 2)), title="half \ud800", description="\x00 é")
    assert carried(window.save(tmp_path / "x.html"))["state"]["title"] == "half \ud800"


def test_a_dollar_sign_begins_no_formula(tmp_path):
    model = nn.Sequential(nn.Linear(2, 16), nn.Sigmoid(), nn.Unflatten(1, (1, 4, 4)))
    names = ["$\\nothing$", "b"]
    for widget in (Explorer(model, 2, names=names), WindowExplorer(np.zeros((2, 2)), presets={names[0]: (0, 100)})):
        assert names[0] in parsed(widget.save(tmp_path / "x.html", overwrite=True)).select_one("#still img")["alt"]


def test_the_still_is_described(window, tmp_path):
    still = parsed(window.save(tmp_path / "x.html")).select_one("#still")
    assert still.img["alt"].startswith("A slice, through ")
    light, dark = (base64.b64decode(tag.partition(",")[2]) for tag in (still.img["src"], still.source["srcset"]))
    assert light != dark
    assert light[:4] == dark[:4] == b"\x89PNG"


def test_the_embedding_of_ipywidgets_has_all_it_needs_and_its_limit_is_said(explorer, window, tmp_path):
    with pytest.warns(UserWarning, match=r"blank where it cannot; Explorer\.save writes one file"):
        entries = embed_data([explorer, window])["manager_state"]["state"]
    for widget in (explorer, window):
        state, buffers = entries[widget.model_id]["state"], entries[widget.model_id]["buffers"]
        assert state["_esm"] == widget._esm
        assert state["_view_name"] == "AnyView"
        assert {*state, *(buffer["path"][0] for buffer in buffers)} == set(widget.keys)
    with pytest.warns(UserWarning, match="save writes one file"):
        embed_minimal_html(tmp_path / "x.html", [window], state=dependency_state([window]))
    assert html.escape(window.description) in (tmp_path / "x.html").read_text()
