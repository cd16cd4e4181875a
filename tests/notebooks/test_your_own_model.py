"""The page on a model of one's own: its twenty lines are twenty, and open training, evaluation, files and sliders."""

from pathlib import Path

import jupytext
import pytest
import torch

from medlatent.data.phantoms import lesion
from medlatent.evaluation import evaluate, suite_names
from medlatent.explore import Explorer
from medlatent.models import LatentModel, load
from medlatent.training import train

ROOT = Path(__file__).resolve().parents[2]
CELLS = [c for c in jupytext.read(ROOT / "notebooks/your_own_model.py").cells if c.cell_type == "code"]


@pytest.fixture(scope="module")
def model() -> LatentModel:
    """The model of the page, made by its own two cells."""
    scope: dict = {"__name__": "__main__"}
    lines = next(i for i, cell in enumerate(CELLS) if "twenty-lines" in cell.metadata.get("tags", []))
    for cell in CELLS[lines - 1 : lines + 1]:
        exec(compile(cell.source, "cell", "exec"), scope)
    torch.manual_seed(0)
    return scope["TonedVAE"]()


@pytest.fixture(scope="module")
def phantoms():
    return lesion.generate(60, seed=0, size=32)


def test_the_lines_are_about_twenty():
    (cell,) = (c for c in CELLS if "twenty-lines" in c.metadata.get("tags", []))
    body = cell.source.partition("class ")[2].splitlines()
    assert 15 <= len([line for line in body if line.strip()]) <= 24


def test_the_page_trains_evaluates_keeps_and_explores():
    text = "\n".join(cell.source for cell in CELLS)
    for call in ("train(", "evaluate(model", "model.save(", "load(path)", "Explorer("):
        assert call in text


def test_it_trains_on_a_plain_tensor_with_its_column(model, phantoms):
    images = phantoms.batch(range(len(phantoms)))
    columns = {"skin_colour": torch.tensor(phantoms.table["skin_colour"].to_numpy())}
    history = train(model, images, 12, columns=columns, batch_size=20, device="cpu", progress=False)
    assert history.terms == ("loss", "error", "kl", "tone")
    assert history["loss"][-1] < history["loss"][0]


def test_the_column_reaches_the_loss(model, phantoms):
    """Without a step: the same images and noise under other colours."""
    images, tones = phantoms.batch(range(8)), []
    model.optimiser.param_groups[0]["lr"] = 0.0
    for colour in (torch.zeros(8), torch.ones(8)):
        torch.manual_seed(0)
        tones.append(model.update(images, skin_colour=colour))
    model.optimiser.param_groups[0]["lr"] = 2e-3
    assert tones[0]["tone"] != tones[1]["tone"]
    assert tones[0]["error"] == tones[1]["error"]


def test_it_is_judged_by_the_suites_that_it_names(model, phantoms):
    assert set(model.suites) <= set(suite_names())
    values = evaluate(model, phantoms)
    assert {"sse", "psnr", "kl", "active_units"} <= set(values)


def test_it_goes_to_disk_and_comes_back(model, tmp_path):
    again = load(model.save(tmp_path / "toned.safetensors"))
    codes = again.sample_codes(3)
    torch.testing.assert_close(again.decode(codes), model.eval().decode(codes))


def test_it_is_explored(model, phantoms):
    explorer = Explorer(model, images=phantoms.batch(range(2)))
    assert explorer.error < 1 / 255
