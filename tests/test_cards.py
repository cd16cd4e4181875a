"""A model card says what the record says, and for what the model is not."""

import dataclasses

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from medlatent.cards import collapsed, model_card
from medlatent.records import Record

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
    observed={},
    history={},
    measures=[],
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
    assert 'model = find_record("vae", "run").load_model()' in card


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


def test_a_record_without_weights_says_what_is_kept():
    observed = {"file": "run.observed.safetensors", "sha256": "0", "bytes": 270_000}
    card = model_card(dataclasses.replace(RECORD, weights={}, observed=observed))
    assert row(card, "weights") == ["not kept, but 0.3 MB of what the numbers are computed from"]
    assert "computes it again from what was observed" in card
    assert "load_model" not in card


@pytest.mark.parametrize("active", [0.0, 3.0])
def test_a_code_that_the_decoder_ignores_is_said(active):
    """A collapsed model has numbers like any other; nothing else in the card would say it."""
    metrics = {"mine/test": {"images": 60, "values": {"psnr": 17.2, "active_units": active}}}
    record = dataclasses.replace(RECORD, metrics=metrics)
    assert ("**Collapsed**: no dimension of the code is active on mine/test" in model_card(record)) == (active == 0)
    assert bool(collapsed(record)) == (active == 0)


def test_what_is_left_out_is_said_with_the_reason():
    left_out = {"mig": "66 of 66 images", "sap": "66 of 66 images", "mig_hf": "no factor <i>size</i>\nhere"}
    metrics = {"mine/test": {"images": 66, "values": {"psnr": 17.2}, "left_out": left_out}}
    card = model_card(dataclasses.replace(RECORD, metrics=metrics))
    line = "**Left out** of mine/test. `mig`, `sap`: 66 of 66 images; `mig_hf`: no factor &lt;i>size&lt;/i> here."
    assert line in card.splitlines()
    assert "Left out" not in model_card(RECORD)


def test_what_the_run_has_seen_is_not_called_held_out():
    """The carried digits are 5 000 of MNIST's training images."""
    data = RECORD.data | {"source": "mnist", "split": "train+validation", "licence": "CC BY-SA 3.0"}
    numbers = {"images": 488, "values": {"frechet": 1.0}}
    metrics = {"mnist/test": numbers | {"images": 10_000}, "mnist.digits/test": numbers}
    card = model_card(dataclasses.replace(RECORD, data=data, metrics=metrics))
    assert "Of held-out images, but for mnist.digits/test. The suites" in card
    assert "| mnist/test, 10,000 images | mnist.digits/test, 488 images, seen in training |" in card
    assert "Of held-out images. The suites" in model_card(RECORD)
    assert "seen in training" not in model_card(RECORD)


def test_images_of_ones_own_have_the_licence_of_their_card():
    data = RECORD.data | {"source": "a/folder", "licence": "CC BY 4.0"}
    card = model_card(dataclasses.replace(RECORD, data=data))
    assert card.startswith("---\nlicense: other\n")
    assert "Of the weights: CC BY 4.0, that of the data" in card
    assert "See the card of the data." in card


@pytest.mark.parametrize("name", ["HAM\nlicense: mit", 'say "a": b', "--- # |\x85x", "- [x", "Ärzte"])
def test_the_name_of_the_data_cannot_change_the_header(name):
    card = model_card(dataclasses.replace(RECORD, data=RECORD.data | {"name": name}))
    header = yaml.safe_load(card.split("---\n")[1])
    assert header == {"license": "cc-by-nc-4.0", "library_name": "medlatent", "datasets": [name]}


def test_no_text_of_a_record_is_markup():
    mark = "<img src=x onerror=alert(1)> | \n\n```\n# heading"
    card = model_card(
        dataclasses.replace(
            RECORD,
            data=RECORD.data | {"name": mark, "citation": mark, "source": "a/folder", "licence": mark},
            run=RECORD.run | {"command": mark, "device": mark, "commit": mark},
            config={"loss": mark},
        )
    )
    shown, fence = [], ""
    for line in card.split("---\n", 2)[2].splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif line.startswith("```"):
            fence = line.removesuffix("python")
        else:
            shown.append(line)
    assert not fence
    assert "<" not in "\n".join(shown)
    headings = [line for line in shown if line.startswith("#")]
    assert headings == ["# vae/run", "## Training", "## Numbers", "## Limits", "## Licence and source"]
    assert f"\n{mark}\n" in card  # the command, which a reader copies, is as it was


def record_of(text: str):
    """A record that says the same wherever somebody may have chosen the words."""
    reasons = {text: text, "beside": text}
    metrics = {f"{text}/test": {"images": 60, "values": {text: 17.2, "active_units": 0}, "left_out": reasons}}
    return dataclasses.replace(
        RECORD,
        slug=text,
        name=text,
        data=RECORD.data | dict.fromkeys(("name", "citation", "source", "licence", "split"), text),
        run=RECORD.run | dict.fromkeys(("command", "device", "torch", "commit", "precision", "finished"), text),
        config={text: text},
        weights=RECORD.weights | {"without": [text], "dtype": text},
        metrics=metrics,
    )


def read(card: str) -> tuple[list[str], str]:
    """The elements of a card in their order, as a reader of GitHub's Markdown and of formulas finds them; and its text.

    Of code, blocks are no text, which may hold what they please.
    """
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).use(dollarmath_plugin)
    kinds, text = [], []
    for token in reader.parse(card.split("---\n", 2)[2]):
        for part in token.children or [token]:
            if part.type in ("text", "code_inline"):
                text.append(part.content)
            if part.type != "text":
                kinds.append(part.type)
        text.append("\n")
    return kinds, "".join(text)


MARKUP = [
    "a | b",
    "\\| \\\\| \\",
    "`a` ``b` ```",
    "<script>alert(1)</script> <!-- <? <a@b.c> <http://x>",
    "two\nlines\r\n\r\n# heading\n---\n| - |",
    "one\x85two\u2028three\x0bfour",
    "[a](javascript:alert(1)) ![b](http://x/y.png) [c][d] [e]: http://x [f]{.g} [^h]",
    "*a* **b** _c_ __d__ ___e___ a_b_c a__b ~~f~~ ~g~ $h$ $$i$$",
    "&lt;i&gt; &#60; &amp;lt; a & b &c",
    "# - + 1. > = ~~~",
]


@pytest.mark.parametrize("mark", MARKUP)
def test_every_string_is_text(mark):
    """Wherever it stands, it adds no element, and is read as it was written, on one line."""
    kinds, text = read(model_card(record_of(mark)))
    assert kinds == read(model_card(record_of("harmless")))[0]
    line = " ".join(mark.split())
    assert text.count(line) >= 15
    if mark.split() != [mark]:
        assert mark not in text or line == mark


@settings(max_examples=40, deadline=None)
@given(st.text("ab \n\r|`\\<>&#;!*_~$[](){}:-=+.'\"/x1é", min_size=1, max_size=12).filter(str.strip))
def test_any_string_is_text(mark):
    kinds, text = read(model_card(record_of(mark)))
    assert kinds == read(model_card(record_of("harmless")))[0]
    assert text.count(" ".join(mark.split())) >= 15


def test_a_field_that_is_not_there_is_named():
    run = {name: value for name, value in RECORD.run.items() if name != "commit"}
    with pytest.raises(ValueError, match="vae/run: there is no 'commit' in the record"):
        model_card(dataclasses.replace(RECORD, run=run))
