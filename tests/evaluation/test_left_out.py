"""What an evaluation leaves out is named, with the reason: nothing is missing in silence."""

from collections.abc import Mapping

import numpy as np
import pytest
from evaluation_cases import CARD, factor_set, image_set, small_generator, small_vae

from medlatent.data import Factor, ImageSet, open_images
from medlatent.evaluation import (
    Numbers,
    attributes,
    by_reason,
    digits,
    evaluate,
    numbers_of,
    style_content,
    suite,
    suite_names,
)
from medlatent.evaluation.factor_meters import FactorMeter, Scale
from medlatent.models import CAVAE, DAI, AttriVAE, LatentDirections
from medlatent.nets import FactorRegressor


def missing_in_silence(whole: Numbers, found: Numbers) -> list[str]:
    """The numbers of a whole evaluation that are not found, and of which nothing says why."""
    named = set(found.left_out)
    # `mig_p` speaks for `mig_p.shuffled`, and `cgacc` for `cgacc.dx`.
    return [n for n in whole if n not in found and not named & {n, n.partition(".")[0]}]


def with_factors(images: ImageSet, *names: str) -> ImageSet:
    """The images with some of their factors."""
    return ImageSet(images.images, images.table, {name: images.factors[name] for name in names}, images.card)


def rare(n: int) -> ImageSet:
    """No class but the commonest has ten images."""
    images = factor_set(n)
    images.table["kind"] = np.where(np.arange(n) < 9, "b", "a")
    return with_factors(images, "kind", "size")


def without_a_whole_image() -> ImageSet:
    """Each image lacks a factor."""
    images = factor_set()
    images.table["size"] = np.nan
    return images


SETS = {
    "no image that has all factors": (
        without_a_whole_image,
        {"mig", "mig_p", "mig_hf"},
        "0 of 150 images have a value of every factor, at least 100",
    ),
    "too few images": (
        lambda: factor_set(66),
        {"mig", "sap", "mig_p", "mig_hf"},
        "66 of 66 images have a value of every factor, at least 100",
    ),
    "no factors": (lambda: image_set(150), {"mig", "few_label_accuracy"}, "the images have no factors"),
    "one factor": (
        lambda: with_factors(factor_set(), "size"),
        {"modularity", "dci_completeness"},
        "there is a single factor, and nothing to compare it with",
    ),
    "names alone": (
        lambda: with_factors(factor_set(), "kind"),
        {"scc", "mig_knn"},
        "no factor has values with an order",
    ),
    "numbers alone": (
        lambda: with_factors(factor_set(), "size", "eccentricity"),
        {"sap"},
        "no factor has names or whole numbers for values",
    ),
    "a class of nine": (
        lambda: rare(150),
        {"factor kind"},
        "does not count: fewer than 10 images differ from its most frequent value",
    ),
    "an orientation that is a number": (
        lambda: ImageSet(
            (images := factor_set()).images, images.table, images.factors | {"orientation": Factor("x")}, CARD
        ),
        {"mig_hf_circle"},
        "the orientation is no angle",
    ),
}


@pytest.fixture(scope="module")
def whole() -> Numbers:
    return evaluate(small_vae(), factor_set())


class TestOfACode:
    def test_nothing_where_all_is_there(self, whole):
        assert whole.left_out == {}

    @pytest.mark.parametrize("case", SETS)
    def test_each_with_its_reason(self, case, whole):
        make, names, reason = SETS[case]
        found = evaluate(small_vae(), make())
        assert not missing_in_silence(whole, found)
        assert not set(found) & set(found.left_out)
        assert names <= set(found.left_out)
        assert any(reason in found.left_out[name] for name in names)

    def test_a_code_of_one_dimension(self, whole):
        found = evaluate(small_vae(latent_dim=1), factor_set())
        assert not missing_in_silence(whole, found)
        assert {found.left_out[name] for name in ("mig", "mig_p", "mig_hf")} == {
            "the code has a single dimension, and nothing to compare it with"
        }

    def test_classes_of_too_few_patients(self, whole):
        images = factor_set()
        images.table["lesion"] = np.arange(len(images)) // 15
        found = evaluate(small_vae(), ImageSet(images.images, images.table, images.factors, CARD, group="lesion"))
        assert not missing_in_silence(whole, found)
        assert "few_label_accuracy" in found
        images.table["lesion"] = np.arange(len(images)) // 30
        found = evaluate(small_vae(), ImageSet(images.images, images.table, images.factors, CARD, group="lesion"))
        assert "fewer than two classes" in found.left_out["few_label_accuracy"]
        assert not missing_in_silence(whole, found)


@pytest.mark.usefixtures("quick")
def test_of_a_generator_without_a_classifier():
    whole = evaluate(small_generator(), digits := open_images("mnist.digits", 300).split("test"))
    assert whole.left_out.keys() == {
        *("frechet_alexnet", "nearer_than_new", "nearer_than_left_out"),
        *("nearest_drawn", "nearest_new", "nearest_left_out", "nearest_beside"),
    }
    plain = ImageSet(digits.images, digits.table, {}, digits.card)
    found = evaluate(small_generator(), plain)
    assert not missing_in_silence(whole, found)
    assert {"frechet", "inception_score", "slant", "category_nmi"} <= set(found.left_out)
    assert "no domain classifier" in found.left_out["frechet"]


def test_of_hearts():
    model = AttriVAE(latent_dim=6, channels=2, size=64, width=4)
    hearts = open_images("phantoms.heart.64", 60, 4)
    whole = evaluate(model, hearts, ["attributes"])
    one = np.flatnonzero(hearts.table["diagnosis"] == hearts.table["diagnosis"][0])
    for images, name, reason in (
        (hearts.subset(range(8)), "ssim7", "8 patients, at least 10 are needed"),
        (hearts.subset(one[:12]), "diagnosis.code", "all patients have one diagnosis"),
        (image_set(), "moved_own", "the images are no hearts with six volumes"),
    ):
        found = evaluate(model if images.images.shape[1] == 2 else small_vae(), images, ["attributes"])
        assert not missing_in_silence(whole, found)
        assert found.left_out[name] == reason


@pytest.mark.usefixtures("quick")
def test_of_style_and_content(monkeypatch):
    monkeypatch.setattr(suite("style_content"), "GENERATED", 50)
    nodules = open_images("phantoms.nodule.32", 500).split("test")
    shape = {"style_dim": 4, "content_dim": 4, "size": 32, "width": 2}
    whole = evaluate(DAI(**shape), nodules)
    found = evaluate(CAVAE(**shape), nodules)
    assert not missing_in_silence(whole, found)
    assert found.left_out["cifc"] == "the model infers no content from an image"
    few = nodules.subset(range(35))
    found = evaluate(DAI(**shape), few)
    assert not missing_in_silence(whole, found)
    assert found.left_out["style_knows.size"] == "35 images have a value, at least 40 are needed"
    found = evaluate(small_vae(), image_set(), ["style_content"])
    assert not missing_in_silence(whole, found)
    assert found.left_out["cifc"] == "the model has no style and content"


def test_of_directions(monkeypatch):
    meter = FactorMeter(FactorRegressor(1, 3), {"size": Scale(0.0, 1.0)}, (3, 16, 16), {}, {})
    monkeypatch.setattr(suite("directions"), "BATCHES", 1)
    directions = LatentDirections(small_vae(), K=3, directions="random", reconstructor="resnet18", width=1)
    with monkeypatch.context() as measured:
        measured.setattr(suite("directions"), "meter_of", lambda images: meter)
        whole = evaluate(directions, image_set())
        assert not whole.left_out or "no direction is matched" in str(whole.left_out)
    found = evaluate(directions, image_set())
    assert not missing_in_silence(whole, found)
    assert "no recorded network measures" in found.left_out["matched"]
    found = evaluate(small_vae(), image_set(), ["directions"])
    assert not missing_in_silence(whole, found)
    assert found.left_out["rca"] == "the model has no directions"


def test_every_suite_that_can_give_less_says_what():
    """Those without are of numbers that any image and any code of the model give."""
    assert {name for name in suite_names() if not hasattr(suite(name), "left_out")} == {"reconstruction"}


class TestWhatIsNoNumber:
    def test_a_class_that_is_missing_is_no_class(self):
        images = factor_set(66)
        images.table["kind"] = images.table["kind"].astype(object).where(np.arange(66) != 3)
        labels = style_content._labels(images)
        assert np.isnan(labels[3]).any()
        assert np.isfinite(np.delete(labels, 3, 0)).all()
        assert style_content._not_retrieved(labels, np.arange(66)) == "1 of 66 images lack a label"
        assert np.flatnonzero(np.isnan(digits._classes(images))).tolist() == [3]
        measured = np.r_[[0.0, 2.0, 1.0], np.full(63, 100.0)]
        assert digits._spread(measured, np.r_[[0.0, 0.0, 1.0], np.full(63, np.nan)]) == pytest.approx((2 / 3) ** 0.5)
        diagnosed = ImageSet(images.images, images.table.rename(columns={"kind": "diagnosis"}), {}, CARD)
        diagnosed.factors["diagnosis"] = images.factors["kind"]
        assert attributes._no_diagnosis(diagnosed) == "1 of 66 patients have no diagnosis"

    def test_of_what_is_infinite_the_reason_stands_in_its_place(self):
        columns = {name: np.ones(3) for name in ("sse", "psnr", "ssim")}
        columns["psnr"][1] = np.inf  # reproduced exactly
        found = numbers_of({"encoded": columns}, image_set(), ["reconstruction"])
        assert found == {"sse": 1, "ssim": 1}
        assert found.left_out == {"psnr": "it is inf"}

    def test_codes_that_are_functions_of_each_other_have_no_total_correlation(self):
        code = np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
        columns = {"mean": code.repeat(3, 1), "logvar": np.full((50, 3), -90.0, np.float32), "kl": code[:, 0]}
        found = numbers_of({"encoded": columns}, image_set(), ["posterior"])
        assert found.keys() == {"kl", "active_units"}
        assert "is a linear function of others" in found.left_out["gaussian_tc"]

    @pytest.mark.parametrize(("score", "is_name"), [("r2_score", False), ("balanced_accuracy_score", True)])
    def test_what_a_code_knows_is_not_0_where_it_is_nan(self, monkeypatch, score, is_name):
        monkeypatch.setattr(style_content, score, lambda *_: np.nan)
        codes, column = np.random.default_rng(0).normal(size=(40, 2)), np.arange(40) % 2
        assert np.isnan(style_content._predicted(codes, column, np.arange(40), is_name))


def test_by_reason():
    left_out: Mapping[str, str] = {"a": "few", "b": "none", "c": "few"}
    assert by_reason(left_out) == [(["a", "c"], "few"), (["b"], "none")]


def test_numbers_are_a_dict_like_any_other():
    numbers = Numbers({"a": 1.0}, {"b": "no b"})
    assert numbers == {"a": 1.0}
    assert numbers.left_out == {"b": "no b"}
    assert Numbers().left_out == {}
