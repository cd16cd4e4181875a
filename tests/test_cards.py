"""A model card says what the record says, and for what the model is not."""

import dataclasses

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from medlatent.cards import model_card
from medlatent.results import Record

RECORD = Record(
    slug="vae",
    name="run",
    model="BetaVAE",
    config={"beta": 6.0, "latent_dim": 3},
    data={
        "name": "HAM10000",
        "source": "ham10000",
        "split": "train",
        "images": 7885,
        "licence": "CC BY-NC 4.0",
        "citation": "Tschandl (2018)",
    },
    run={
        "steps": 2000,
        "batch_size": 64,
        "seed": 4,
        "precision": "float32",
        "device": "cpu: a processor",
        "torch": "2.13.0",
        "seconds": 1234.5,
        "finished": "2026-11-22T10:47:43+00:00",
        "commit": "abc",
        "command": "python -m medlatent train BetaVAE",
    },
    weights={"file": "run.safetensors", "sha256": "0", "bytes": 1_570_000, "dtype": "float16"},
    history={},
    metrics={
        "ham10000/test": {"images": 1084, "values": {"psnr": 24.56789, "mig": 0.01}},
        "phantoms.lesion/test": {"images": 195, "values": {"psnr": 20.0}},
    },
)


def row(card: str, name: str) -> list[str]:
    (line,) = [line for line in card.splitlines() if line.startswith(f"| {name} |")]
    return [cell.strip() for cell in line.strip("|").split("|")][1:]


def test_what_the_record_says():
    card = model_card(RECORD)
    assert card.startswith("---\nlicense: cc-by-nc-4.0\n")
    assert "# vae/run" in card
    assert "`BetaVAE`: A VAE whose KL is weighted by beta.\n" in card
    assert row(card, "trained on") == ["HAM10000, train split, 7,885 images"]
    assert row(card, "settings") == ["beta 6.0, latent_dim 3"]
    assert row(card, "steps") == ["2,000 of 64 images"]
    assert row(card, "seed") == ["4"]
    assert row(card, "finished") == ["2026-11-22"]
    assert row(card, "weights")[0].startswith("1.6 MB, float16")
    assert row(card, "psnr") == ["24.57", "20"]
    assert row(card, "mig") == ["0.01", "–"]
    assert "ham10000/test, 1,084 images" in card
    assert "```\npython -m medlatent train BetaVAE\n```" in card


def test_what_it_is_for_and_not():
    card = model_card(RECORD)
    assert "**Not for.** Diagnosis" in card
    assert "dark skin is all but absent" in card
    assert "Of the weights: CC BY-NC 4.0, that of the data. Tschandl (2018)" in card


def test_models_of_phantoms_are_under_the_licence_of_the_package():
    data = RECORD.data | {"source": "phantoms.lesion", "licence": "CC0-1.0: computed"}
    card = model_card(dataclasses.replace(RECORD, data=data))
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "Of the weights: Apache-2.0, that of the package" in card
    assert "no patient was seen" in card


def test_a_field_that_is_not_there_is_named():
    run = {name: value for name, value in RECORD.run.items() if name != "commit"}
    with pytest.raises(ValueError, match="vae/run: there is no 'commit' in the record"):
        model_card(dataclasses.replace(RECORD, run=run))


TEXT = st.text(st.characters(codec="utf-8"))
HOSTILE = (
    "</SCRIPT><img src=x onerror=alert(1)> | a \\| b &lt; [x](javascript:y)\n---\nlicense: mit\n# Title\n```\n````"
)


@given(TEXT)
@example("HAM\nlicense: mit")
@example("yes")
@example("2026-01-01")
@example("a: b")
@example("a #b")
@example("\u2028\x85\x7f")
@example("skin-lesion phantoms")
def test_the_header_is_what_was_written_whatever_the_data_are_called(name):
    card = model_card(dataclasses.replace(RECORD, data=RECORD.data | {"name": name}))
    header = yaml.safe_load(card.split("\n---\n")[0])
    assert header == {"license": "cc-by-nc-4.0", "library_name": "medlatent", "datasets": [name]}


def everywhere(text: str) -> Record:
    data = RECORD.data | dict.fromkeys(("name", "split", "licence", "citation"), text)
    run = RECORD.run | dict.fromkeys(("seed", "device", "torch", "precision", "commit", "command"), text)
    metrics = {text: {"images": 3, "values": {text: 1.0}}}
    config = {text: text}
    return dataclasses.replace(RECORD, slug=text, name=text, data=data, run=run, metrics=metrics, config=config)


def structure(card: str) -> list[tuple]:
    """The blocks of a card and the elements in them, without their text."""
    tokens = MarkdownIt().enable("table").parse(card.partition("\n---\n\n")[2])
    inner = [
        [c.type for c in t.children if c.type not in ("text", "softbreak")] for t in tokens if t.children is not None
    ]
    return [(t.type, t.tag) for t in tokens], inner


@given(TEXT.filter(lambda text: text.strip()))
@example(HOSTILE)
def test_text_of_a_record_stays_text_in_its_place(text):
    blocks, _ = structure(model_card(everywhere(text)))
    assert blocks == structure(model_card(everywhere("text")))[0]


def test_nothing_in_a_record_becomes_an_element():
    card = model_card(everywhere(HOSTILE))
    assert structure(card) == structure(model_card(everywhere("text")))
    html = MarkdownIt().enable("table").render(card.partition("\n---\n\n")[2])
    assert "<img" not in html
    assert "<script" not in html.lower()
    assert "<a " not in html
    assert "&lt;/SCRIPT&gt;&lt;img src=x onerror=alert(1)&gt; | a \\| b &amp;lt; [x](javascript:y) --- " in html
