"""Suites: found by their files, named by models, and what all of them have in common."""

import math
import sys

import numpy as np
import pytest
import torch
from evaluation_cases import NUMBERS, factor_set, image_set, small_generator, small_vae

from medlatent import evaluation
from medlatent.data import ImageSet, open_images
from medlatent.evaluation import agrees, evaluate, numbers_of, observe, suite, suite_names
from medlatent.evaluation.factor_meters import FactorMeter, Scale
from medlatent.models import DRAI, GAN, AttriVAE, HSICInfoGAN, InfoGAN, LatentDirections, LatentModel
from medlatent.nets import FactorRegressor
from medlatent.records import read_observed, save_observed

SUITE = '''
"""Suite ``brightness``: how bright what a model decodes is."""
from medlatent.evaluation.encoded import observe

TOLERANCES = {"brightness": 0.5}


def numbers(observed, images):
    return {NAME: float(observed["sse"].sum())}
'''


@pytest.fixture
def new_suite(tmp_path, monkeypatch):
    """Puts a module into the folder of suites."""
    monkeypatch.setattr(evaluation, "__path__", [*evaluation.__path__, str(tmp_path)])
    before = set(sys.modules)

    def add(module: str, text: str) -> None:
        (tmp_path / f"{module}.py").write_text(text)
        evaluation._tolerances.cache_clear()

    yield add
    for name in set(sys.modules) - before:
        if name.startswith("medlatent.evaluation."):
            del sys.modules[name]
            delattr(evaluation, name.rpartition(".")[2])
    evaluation._tolerances.cache_clear()


class TestFound:
    def test_every_suite_has_what_a_suite_needs(self):
        assert set(suite_names()) >= {"reconstruction", "posterior", "factors", "classes", "lesions", "generated"}
        for name in suite_names():
            module = suite(name)
            assert callable(module.observe)
            assert isinstance(module.TOLERANCES, dict)
            assert f"``{name}``" in module.__doc__

    def test_every_model_names_suites_that_there_are(self):
        for model in LatentModel.registry.values():
            if model.__module__.startswith("medlatent."):
                assert set(model.suites) <= set(suite_names())
                assert model.suites

    def test_a_new_file_is_a_new_suite(self, new_suite):
        new_suite("brightness", SUITE.replace("NAME", '"brightness"'))
        assert "brightness" in suite_names()
        images = image_set()
        found = evaluate(small_vae(), images, ["reconstruction", "brightness"])
        assert list(found) == ["sse", "psnr", "ssim", "brightness"]
        assert found["brightness"] == pytest.approx(30 * found["sse"], rel=1e-6)
        assert agrees(1.0, 1.4, "brightness")
        assert not agrees(1.0, 1.6, "brightness")

    def test_two_suites_with_one_name_for_two_numbers(self, new_suite):
        new_suite("brightness", SUITE.replace("NAME", '"sse"'))
        with pytest.raises(ValueError, match="the suite brightness computes 'sse', which another suite computes, too"):
            evaluate(small_vae(), image_set(), ["reconstruction", "brightness"])

    def test_two_suites_with_a_tolerance_of_one_name(self, new_suite):
        new_suite("zebra", SUITE.replace("NAME", '"zebra"').replace('"brightness": 0.5', '"mig": 0.5'))
        with pytest.raises(ValueError, match="the suite zebra states a tolerance of 'mig', which another suite states"):
            agrees(0.1, 0.2, "mig")

    @pytest.mark.parametrize("use", [evaluate, observe])
    def test_unknown(self, use):
        with pytest.raises(ValueError, match=r"unknown suite 'factor': there are .*factors, generated"):
            use(small_vae(), image_set(), ["factor"])
        with pytest.raises(ValueError, match="unknown suite 'encoded'"):  # a module of the folder, but no suite
            use(small_vae(), image_set(), ["encoded"])

    @pytest.mark.parametrize("use", [evaluate, observe])
    def test_a_model_that_names_none(self, use, monkeypatch):
        model = small_vae()
        monkeypatch.setattr(type(model), "suites", ())
        with pytest.raises(ValueError, match="VAE names no suite: set its attribute `suites`, or pass suites"):
            use(model, image_set())
        assert list(use(model, image_set(), ["posterior"])) in (NUMBERS[3:], ["encoded"])

    def test_what_was_not_observed_is_named(self):
        with pytest.raises(ValueError, match="the suite posterior needs what encoded observes, which is not there"):
            numbers_of({"generated": {}}, image_set(), ["posterior"])


@pytest.mark.usefixtures("quick")
class TestAModelIsLeftAsItWasFound:
    @pytest.mark.parametrize("use", [evaluate, observe])
    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize(
        ("build", "images"), [(small_vae, image_set), (small_generator, lambda: open_images("mnist.digits", 30))]
    )
    def test_mode_precision_weights_and_luck(self, use, training, build, images):
        model = build().train(training)
        parts = list(model.modules())
        parts[-1].train(not training)  # a part in another mode than the rest
        model.precision = torch.bfloat16
        modes, weights = [p.training for p in parts], {k: v.clone() for k, v in model.state_dict().items()}
        gradients = [p.requires_grad for p in model.parameters()]
        state = torch.get_rng_state()
        use(model, images())
        assert [p.training for p in parts] == modes
        assert [p.requires_grad for p in model.parameters()] == gradients
        assert model.precision == torch.bfloat16
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
        assert torch.equal(torch.get_rng_state(), state)

    def test_neither_mode_nor_precision_nor_luck_decides(self):
        for model, images in ((small_vae(), image_set()), (small_generator(), open_images("mnist.digits", 30))):
            expected = evaluate(model.eval(), images)
            model.precision = torch.bfloat16
            torch.manual_seed(5)
            np.random.seed(5)
            assert evaluate(model.train(), images) == expected


def digits() -> ImageSet:
    return open_images("mnist.digits").split("test")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("build", "images"),
    [
        (small_vae, factor_set),
        (lambda: GAN(latent_dim=4, size=16, width=2), image_set),
        (small_generator, digits),
        (lambda: small_generator(HSICInfoGAN), digits),
        (lambda: small_generator(InfoGAN, categories=0), digits),
        (small_generator, lambda: ImageSet(digits().images, digits().table, {}, digits().card)),
    ],
    ids=["VAE", "GAN", "InfoGAN", "HSICInfoGAN", "InfoGAN without categories", "digits that have no class"],
)
def test_numbers_from_16_bits_are_those_of_the_model(build, images, tmp_path):
    model, images = build(), images()
    seen = observe(model, images)
    entry, content = save_observed({"set/test": seen}, "run")
    (path := tmp_path / entry["file"]).write_bytes(content)
    kept = read_observed(path)["set/test"]
    assert {m: sorted(arrays) for m, arrays in kept.items()} == {m: sorted(arrays) for m, arrays in seen.items()}
    assert len(content) < 2.1 * sum(a.size for arrays in seen.values() for a in arrays.values()) + 4000
    expected = evaluate(model, images)
    found = numbers_of(kept, images, model.suites)
    assert list(found) == list(expected)
    assert found.left_out == expected.left_out
    wrong = {n: (was, found[n]) for n, was in expected.items() if not agrees(was, found[n], n)}
    assert not wrong


def in_16_bits(values: np.ndarray, folder) -> np.ndarray:
    entry, content = save_observed({"set/test": {"encoded": {"values": values}}}, "run")
    (path := folder / entry["file"]).write_bytes(content)
    return read_observed(path)["set/test"]["encoded"]["values"]


@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("shape", [(1000,), (1000, 3)])
def test_16_bits_round_by_half_a_step_of_a_column_s_range(shape, offset, tmp_path):
    values = offset + np.random.default_rng(0).normal(size=shape) * [1e-6, 1.0, 1e3][: shape[-1] if shape[1:] else 1]
    gaps = np.random.default_rng(1).random(shape) < 0.1
    values[gaps] = np.nan
    found = in_16_bits(values, tmp_path)
    np.testing.assert_array_equal(np.isnan(found), gaps)
    half = (np.nanmax(values, 0) - np.nanmin(values, 0)) / 65534 / 2
    assert (np.nanmax(np.abs(found - values), 0) <= 1.001 * half + 1e-15 * abs(offset)).all()
    np.testing.assert_array_equal(np.nanmin(found, 0), np.nanmin(values, 0))


@pytest.mark.parametrize(
    "values",
    [
        np.full((5, 2), 0.1),
        np.full(5, np.nan),
        np.array([1.0, -np.inf]),
        np.array([3, -7]),
        np.array([40_000, 1]),
        np.array([True, False]),
    ],
    ids=str,
)
def test_what_has_no_range_or_no_levels_is_kept_as_it_is(values, tmp_path):
    np.testing.assert_array_equal(in_16_bits(values, tmp_path), values)


@pytest.mark.usefixtures("quick")
def test_numbers_that_rounding_makes_jump_have_a_tolerance_of_their_own(monkeypatch):
    known = {*evaluate(small_vae(), factor_set(100)), *evaluate(small_generator(), open_images("mnist.digits", 30))}
    hearts = AttriVAE(latent_dim=6, channels=2, size=64, width=4)
    known |= set(evaluate(hearts, open_images("phantoms.heart.64", 40, 4), ["attributes"]))
    meter = FactorMeter(FactorRegressor(1, 3), {"size": Scale(0.0, 1.0)}, (3, 16, 16), {}, {})
    monkeypatch.setattr(suite("directions"), "meter_of", lambda images: meter)
    monkeypatch.setattr(suite("directions"), "BATCHES", 1)
    directions = LatentDirections(small_vae(), K=3, directions="random", reconstructor="resnet18", width=1)
    known |= set(evaluate(directions, image_set()))
    monkeypatch.setattr(suite("style_content"), "GENERATED", 50)
    drai = DRAI(style_dim=4, content_dim=4, size=32, width=2)
    known |= set(evaluate(drai, open_images("phantoms.nodule.32", 300).split("test")))
    tolerances = {name: t for module in map(suite, suite_names()) for name, t in module.TOLERANCES.items()}
    assert set(tolerances) < {name.partition(".")[0] for name in known}
    for name, tolerance in tolerances.items():
        for sign in -1, 1:
            assert agrees(0.3, 0.3 + 0.9 * sign * tolerance, name)
            assert not agrees(0.3, 0.3 + 1.1 * sign * tolerance, name)
        assert not agrees(math.nan, math.nan, name)
    assert agrees(0.03, 0.0308, "mig")
    assert agrees(0.03, 0.0315, "slant.c1")
    assert not agrees(0.03, 0.0308)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (100.0, 100.05, True),
        (100.0, 100.2, False),
        (0.0, 0.0, True),
        (0.0, 1e-6, False),
        (math.inf, math.inf, True),
        (math.nan, math.nan, False),
        (5, 6, False),
    ],
)
def test_agrees(a, b, expected):
    assert agrees(a, b) is expected


def test_images_without_factors_have_no_column():
    columns, names, nominal = evaluation.factor_columns(image_set())
    assert (columns.shape, names, nominal.shape) == ((30, 0), [], (0,))
