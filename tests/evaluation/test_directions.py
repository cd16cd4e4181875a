"""The suite ``directions``: recognition against the metric, and effects of directions whose effects are known."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from medlatent.data import Card, Factor, ImageSet
from medlatent.evaluation import directions, evaluate, factor_meters
from medlatent.metrics.direction_effects import code_effects, direction_effects
from medlatent.metrics.directions import reconstructor_accuracy
from medlatent.models import VAE, LatentDirections, measured
from medlatent.nets.directions import RECONSTRUCTORS
from medlatent.records import read_observed, save_observed


class Reader(nn.Module):
    """A reconstructor that reads the code off the pixels, and knows the directions; learns nothing worth having."""

    def __init__(self, K, channels, size):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1))
        self.K = K

    def forward(self, images, shifted):
        along = 20 * (shifted - images).flatten(1)[:, : self.K]
        return along.abs() - 0.001 * torch.arange(self.K), along.sum(1) + self.unused


class Pixels(nn.Module):
    """Each dimension of the code is the brightness of a pixel."""

    def forward(self, z):
        return (0.5 + 0.05 * z).view(-1, 1, 2, 2)


class KnowsPixels:
    """A meter whose factors are the first two pixels, and their mean."""

    shape = (1, 2, 2)
    scales = dict.fromkeys(("left", "right", "mean"), factor_meters.Scale(0.5, 0.1))
    periods = np.full(3, np.inf)

    def measure(self, images):
        pixels = images.flatten(1).double().numpy()
        return np.stack([pixels[:, 0], pixels[:, 1], pixels[:, :2].mean(1)], 1)

    def standard(self, values):
        return (values - 0.5) / 0.1


def image_set() -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (20, 1, 2, 2), dtype=np.uint8)
    table = pd.DataFrame({"left": np.random.default_rng(1).random(20)})
    return ImageSet(images, table, {"left": Factor("left")}, Card("pixels", "here", "CC0-1.0", "nobody", "none"))


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setitem(RECONSTRUCTORS, "reader", Reader)
    monkeypatch.setattr(directions, "BATCHES", 5)
    monkeypatch.setattr(directions, "CODES", 6)


@pytest.fixture
def meter(monkeypatch):
    monkeypatch.setattr(directions, "meter_of", lambda images: KnowsPixels())


def build(matrix, generator=None) -> LatentDirections:
    generator = generator or Pixels()
    return LatentDirections(generator, K=4, latent_dim=4, directions=matrix, reconstructor="reader", gamma=0.5)


def test_recognition_is_that_of_the_metric():
    model = build(torch.tensor([[1.0, 0.6, 0.8], [0.0, 0.8, 0.6], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])).train()
    found = evaluate(model, image_set())
    assert model.training
    with measured(model):
        score = reconstructor_accuracy(model.decode, model.directions, model.reconstruct, batches=5, gamma=0.5)
    assert list(found) == ["rca", "rca_chance", "shift_loss", "shift_loss_weighted", "overlap", "overlap_mean"]
    assert found["rca"] == pytest.approx(score.score)
    assert 0.5 < found["rca"] < 1
    assert found["rca_chance"] == 1 / 3
    assert found["shift_loss"] == pytest.approx(score.shift_loss, rel=1e-6)
    assert found["shift_loss_weighted"] == pytest.approx(score.shift_loss / 2, rel=1e-6)
    assert found["overlap"] == pytest.approx(0.96)
    assert found["overlap_mean"] == pytest.approx((0.8 + 0.96 + 0.96) / 3)


def test_what_no_image_has_a_part_in_is_computed_once_and_again_when_the_model_has_changed(monkeypatch):
    asked = []

    def score(*arguments, **options):
        asked.append(options)
        return reconstructor_accuracy(*arguments, **options)

    monkeypatch.setattr(directions.recognition, "reconstructor_accuracy", score)
    model = build("unit")
    first = directions.observe(model, image_set())
    second = directions.observe(model, image_set())
    assert len(asked) == 1
    assert np.array_equal(first["confusion"], second["confusion"])
    model.update(torch.zeros(8, 1, 2, 2))
    assert not np.array_equal(directions.observe(model, image_set())["directions"], first["directions"])
    assert len(asked) == 2


def test_overlaps_by_hand():
    matrix = np.array([[2.0, 0.0, 0.6], [0.0, 1.0, 0.8]])
    assert directions._overlaps(matrix) == pytest.approx({"overlap": 0.8, "overlap_mean": (0.6 + 0.8 + 0.8) / 3})
    assert directions._overlaps(matrix[:, :1]) == {"overlap": 0, "overlap_mean": 0}


def test_effects_of_directions_whose_effects_are_known(meter):
    """A unit of shift along the first axis is 0.05 of the left pixel: half its deviation, a quarter of the mean's."""
    model = build(torch.eye(4)[:, [0, 1, 3]])
    observed = directions.observe(model, image_set())
    effects = directions.effects_of(observed)
    expected = [[0.5, 0, 0.25], [0, 0.5, 0.25], [0, 0, 0]]
    assert effects.effect == pytest.approx(np.array(expected), abs=1e-5)
    assert effects.monotonicity == pytest.approx(np.sign(expected), abs=1e-9)
    assert effects.found == 2
    found = directions.numbers(observed, image_set())
    assert found["found"] == 2
    assert found["matched"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3, abs=1e-5)
    assert found["selectivity"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3, abs=1e-3)
    for name in ("left", "right"):
        assert found[f"effect.{name}"] == pytest.approx(0.5, abs=1e-5)
        assert found[f"effect_low.{name}"] <= found[f"effect.{name}"] <= found[f"effect_high.{name}"]
        assert found[f"monotonicity.{name}"] == 1
    assert found["greatest.left"] == pytest.approx(0.5, abs=1e-5)


def test_the_greatest_effect_need_not_be_the_matched_directions(meter):
    strong = torch.tensor([[1.0, 0.0, 2.0], [0.0, 1.0, 2.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    found = directions.numbers(directions.observe(build(strong), image_set()), image_set())
    assert found["effect.left"] < 0.6 < 0.9 < found["greatest.left"]


def test_a_falling_factor_has_a_positive_size(meter):
    observed = directions.observe(build(-torch.eye(4)[:, :2]), image_set())
    found = directions.numbers(observed, image_set())
    assert found["effect.left"] == pytest.approx(0.5, abs=1e-5)
    assert found["effect_low.left"] == pytest.approx(0.5, abs=1e-5)
    assert found["monotonicity.left"] == 1


def test_directions_of_the_closed_form_are_measured_like_others(meter):
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4), nn.Sigmoid(), nn.Unflatten(1, (1, 2, 2)))
    with torch.no_grad():
        layers[0].weight.mul_(5)
    model = build("sefa", layers)
    matrix = model.directions
    _, _, rows = np.linalg.svd(layers[0].weight.detach().numpy())
    assert np.abs((rows * matrix.T.numpy()).sum(1)) == pytest.approx(np.ones(4), abs=1e-5)
    observed = directions.observe(model, image_set())
    start = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    shifts = 6 * torch.tensor(directions.SHIFTS)
    seen = np.stack(
        [[KnowsPixels().measure(layers(start + s * direction).detach()) for s in shifts] for direction in matrix.T]
    ).transpose(2, 0, 1, 3)
    expected = direction_effects(*code_effects((seen - 0.5) / 0.1, shifts))
    assert directions.effects_of(observed).effect == pytest.approx(expected.effect, abs=1e-4)
    assert directions.numbers(observed, image_set())["found"] == expected.found


def test_an_angle_that_passes_its_end_is_one_line(monkeypatch):
    class KnowsAngle(KnowsPixels):
        scales = {"turn": factor_meters.Scale(0.0, 1.0, period=1.0)}  # noqa: RUF012
        periods = np.array([1.0])

        def measure(self, images):
            turned = 6 * (images.flatten(1)[:, :1].double().numpy() - 0.5)
            return (turned + 0.5) % 1 - 0.5

        def standard(self, values):
            return values.copy()

    slopes, ranks = directions.factor_effects(build(torch.eye(4)[:, :1]), torch.eye(4)[:, :1], KnowsAngle(), 1.5)
    assert slopes == pytest.approx(np.full((6, 1, 1), 0.3), abs=1e-5)
    assert ranks == pytest.approx(np.ones((6, 1, 1)))


def test_in_16_bits_the_numbers_are_the_same(meter, tmp_path):
    model = build(torch.eye(4)[:, :3])
    observed = directions.observe(model, image_set())
    path = tmp_path / "name.observed.safetensors"
    path.write_bytes(save_observed({"set": {"directions": observed}}, "name")[1])
    rounded = read_observed(path)["set"]["directions"]
    before, after = (directions.numbers(o, image_set()) for o in (observed, rounded))
    assert after == pytest.approx(before, abs=1e-4)


def test_a_model_without_directions_has_no_numbers():
    torch.manual_seed(0)
    assert directions.observe(VAE(latent_dim=3, channels=1, size=16), image_set()) == {}
    assert directions.numbers({}, image_set()) == {}
