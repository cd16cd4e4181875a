"""The suites ``generated`` and ``digits``: what a model draws, against a plain computation."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from evaluation_cases import image_set, small_generator

from medlatent.data import Card, ImageSet, open_images
from medlatent.evaluation import digits, domain_classifier, evaluate, generated
from medlatent.metrics import generation, strokes
from medlatent.models import GAN, HSICInfoGAN, InfoGAN
from medlatent.nets import ShiftTolerantAlexNet

pytestmark = pytest.mark.usefixtures("quick")

OF_CLASSIFIER = ["frechet", "inception_score", "classes"]
OF_CATEGORY = ["category_purity", "category_nmi"]
OF_CODES = ["slant.c1", "thickness.c1", "slant.c2", "thickness.c2"]
SPREADS = ["slant_spread", "thickness_spread"]  # of categories
GAPS = ["slant_gap", "slant_gap.shuffled", "thickness_gap", "thickness_gap.shuffled"]  # of several codes


def test_without_a_classifier_there_are_pixels():
    torch.manual_seed(0)
    model, images = GAN(latent_dim=4, size=16, width=2).eval(), image_set()
    found = evaluate(model, images)
    assert list(found) == ["frechet_pixels"]
    with torch.inference_mode():
        drawn = model.decode(torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
    pair = [x.reshape(-1, 3, 8, 2, 8, 2).mean((3, 5)).flatten(1) for x in (images.batch(slice(None)), drawn)]
    assert found["frechet_pixels"] == pytest.approx(generation.frechet_distance(*pair).score, rel=1e-4)


def ct(n: int = 30, size: int = 64) -> ImageSet:
    """Grey slices in Hounsfield units."""
    hu = np.random.default_rng(0).normal(-300, 300, (n, 1, size, size)).clip(-1000, 2000).astype(np.int16)
    return ImageSet(hu, pd.DataFrame({"split": ["test"] * n}), {}, Card("slices", "here", "CC0-1.0", "nobody", "none"))


@pytest.mark.parametrize("size", [32, 128])
def test_of_ct_an_alexnet_looks_at_the_slices(size, monkeypatch):
    monkeypatch.setattr(generated, "GENERATED", 40)
    torch.manual_seed(0)
    model, images = GAN(latent_dim=4, channels=1, size=size, width=2).eval(), ct(size=size)
    found = evaluate(model, images)
    assert list(found) == ["frechet_pixels", "frechet_alexnet"]
    trunk = ShiftTolerantAlexNet.packaged()
    with torch.inference_mode():
        drawn = model.decode(torch.randn(40, 4, generator=torch.Generator().manual_seed(0)))
        real = (torch.from_numpy(images.images).float() + 1000) / 3000
        if size == 128:
            real, drawn = (x.reshape(-1, 1, 64, 2, 64, 2).mean((3, 5)) for x in (real, drawn))
        pair = [trunk.colour_maps(x.expand(-1, 3, -1, -1))[-1].mean((2, 3)) for x in (real, drawn)]
    assert pair[0].shape == (30, 256)
    assert found["frechet_alexnet"] == pytest.approx(generation.frechet_distance(*pair).score, rel=1e-3)


def test_slices_that_are_too_small_for_it():
    model = GAN(latent_dim=4, channels=1, size=16, width=2).eval()
    assert list(evaluate(model, ct(size=16))) == ["frechet_pixels"]


def of_patients(images: np.ndarray, patients: list[str], splits: list[str]) -> ImageSet:
    table = pd.DataFrame({"split": splits, "patient_id": patients})
    return ImageSet(images, table, {}, Card("slices", "here", "CC0-1.0", "nobody", "none"), group="patient_id")


def test_how_near_drawn_slices_lie_to_the_training_slices():
    """Two patients of two slices are trained on, the two of a third are new and look alike; grey is distance."""
    grey = np.array([10, 14, 110, 120, 60, 60], np.uint8).reshape(-1, 1, 1, 1).repeat(16, 2).repeat(16, 3)
    images = of_patients(grey, ["a", "a", "b", "b", "c", "c"], ["train"] * 4 + ["test"] * 2)
    drawn = np.array([11.0, 66.0, 120.0])[:, None].repeat(64, 1) / 255
    found = generated.numbers({"pixels": drawn}, images.split("test"))
    expected = {
        "nearest_drawn": 1 / 255,
        "nearest_new": 46 / 255,
        "nearest_left_out": (96 + 100) / 2 / 255,
        "nearest_beside": (4 + 10) / 2 / 255,
        "nearer_than_new": 1.0,
        "nearer_than_left_out": 1.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("patients", "splits"), [(["a", "b", "c"], ["train", "train", "test"]), (["a", "a", "b"], ["train"] * 2 + ["test"])]
)
def test_where_no_patient_can_be_left_out_nothing_is_said_of_nearness(patients, splits):
    images = of_patients(np.zeros((3, 1, 16, 16), np.uint8), patients, splits).split("test")
    images = images.subset([0, 0])
    assert list(generated.numbers({"pixels": np.zeros((2, 64))}, images)) == ["frechet_pixels"]


def test_equals_a_plain_computation():
    model, images = small_generator(code_range=(-1, 1)).eval(), open_images("mnist.digits", 150)
    found = evaluate(model, images)
    assert set(found) == {"frechet_pixels", *OF_CLASSIFIER, *OF_CATEGORY, *OF_CODES, *SPREADS, *GAPS}
    draw = torch.Generator().manual_seed(0)
    category = torch.randint(10, (200,), generator=draw)
    codes = 2 * torch.rand(2, 200, 1, generator=draw) - 1
    noise = torch.randn(200, 4, generator=draw)
    with torch.inference_mode():
        drawn = model.decode(torch.cat([F.one_hot(category, 10), *codes, noise], 1))
    classifier = domain_classifier("mnist.digits")
    probabilities = classifier.probabilities(drawn)
    distance = generation.frechet_distance(classifier.features(images), classifier.features(drawn))
    assert found["frechet"] == pytest.approx(distance.score, rel=1e-4)
    assert found["inception_score"] == pytest.approx(generation.inception_score(probabilities).score, rel=1e-4)
    mean = probabilities.mean(0)
    assert found["classes"] == pytest.approx(np.prod(mean**-mean), rel=1e-4)
    seen, category = probabilities.argmax(1), category.numpy()
    purity = sum(np.bincount(seen[category == c]).max() for c in range(10)) / 200
    assert found["category_purity"] == pytest.approx(purity)
    for name, measure in (("slant", strokes.slant), ("thickness", strokes.thickness)):
        measured = measure(drawn)
        for k in (0, 1):
            columns = np.stack([codes[k, :, 0].numpy(), measured])
            for c in range(10):
                columns[:, category == c] -= columns[:, category == c].mean(1, keepdims=True)
            expected = np.corrcoef(columns)[0, 1]
            assert found[f"{name}.c{k + 1}"] == pytest.approx(expected, abs=1e-4)
        first, second = (abs(found[f"{name}.c{k}"]) for k in (1, 2))
        assert found[f"{name}_gap"] == pytest.approx(abs(first - second), abs=1e-9)
        real, digit = measure(images.batch(slice(None))), images.factor_matrix(["digit"])[:, 0]
        squares = [
            sum(np.nansum((v[group == c] - np.nanmean(v[group == c])) ** 2) for c in range(10)) / np.isfinite(v).sum()
            for v, group in ((measured, category), (real, digit))
        ]
        assert found[f"{name}_spread"] == pytest.approx(np.sqrt(squares[0] / squares[1]), rel=1e-4)


@pytest.mark.parametrize(
    ("system", "options", "names"),
    [
        (HSICInfoGAN, {}, [*OF_CATEGORY, *OF_CODES, *SPREADS, *GAPS]),
        (InfoGAN, {"categories": 0, "continuous": 1}, OF_CODES[:2]),
        (InfoGAN, {"continuous": 0}, [*OF_CATEGORY, *SPREADS]),
    ],
)
def test_what_the_code_lacks_has_no_number(system, options, names):
    found = evaluate(small_generator(system, **options), open_images("mnist.digits", 30))
    assert set(found) == {"frechet_pixels", *OF_CLASSIFIER, *names}
    assert all(math.isfinite(value) for value in found.values())


def test_ten_fixed_digits_agree_and_do_not_vary():
    """What a perfect NMI may hide; and two codes that both follow the slant leave no gap."""
    images, random = open_images("mnist.digits", 150), np.random.default_rng(0)
    category = random.integers(0, 10, 400)
    code = random.uniform(size=(2, 400))
    fixed = {"seen": category, "category": category, "slant": 3.0 * category, "thickness": 1.0 + category}
    found = digits.numbers(fixed | {"code.c1": code[0], "code.c2": code[1]}, images)
    assert found["category_nmi"] == pytest.approx(1)
    assert found["slant_spread"] == found["thickness_spread"] == found["slant_gap"] == 0
    both = fixed | {"slant": 9 * code[0], "code.c1": code[0], "code.c2": code[0] + 1e-9 * code[1]}
    assert digits.numbers(both, images)["slant_gap"] < 1e-6
    own = digits.numbers(fixed | {"slant": 9 * code[0], "code.c1": code[0], "code.c2": code[1]}, images)
    assert own["slant_gap"] > 0.85
    assert own["slant_gap.shuffled"] < 0.1
    assert own["slant_spread"] > 0
