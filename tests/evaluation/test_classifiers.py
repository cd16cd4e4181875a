"""The domain classifier of digits: how far to trust it, what it looks at, and that all have the same."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from medlatent.data import Card, DataError, Factor, ImageSet, find_source, open_images
from medlatent.evaluation import classifier_of, classifiers, classifiers_of, domain_classifier
from medlatent.metrics.generation import conditional_accuracy, frechet_distance


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("mnist.digits")


def test_it_recognises_digits_it_never_saw(digits):
    classifier, test = domain_classifier("mnist.digits"), digits.split("test")
    assert classifier.classes == tuple("0123456789")
    found = conditional_accuracy(classifier.probabilities(test), classifier.labels(test))
    assert found.score > 0.95
    assert found.balanced > 0.95
    # Its features tell other digits from the same ones.
    features, labels = classifier.features(test), classifier.labels(test)
    assert features.shape == (len(test), 128)
    half = frechet_distance(features[::2], features[1::2]).score
    assert frechet_distance(features[labels < 5], features[labels >= 5]).score > 5 * half


def test_it_is_trained_once(digits):
    classifier = domain_classifier("mnist.digits")
    assert classifier is domain_classifier("mnist") is classifier_of(digits)
    assert not classifier.training


def test_rounding_does_not_grow(digits, monkeypatch):
    """A disturbance of the size of a rounding error is still one after training."""
    train = classifiers.train_domain_classifier
    monkeypatch.setattr(classifiers, "train_domain_classifier", lambda *args, **kw: train(*args[:2], 20, **kw))
    (spec,) = find_source("mnist.digits").classifiers
    images = digits.subset(range(40)).batch(slice(None))
    plain, batch = classifiers._trained.__wrapped__(spec).features(images), ImageSet.batch
    monkeypatch.setattr(ImageSet, "batch", lambda self, index: batch(self, index).double() + 1e-15)
    difference = np.abs(classifiers._trained.__wrapped__(spec).features(images) - plain).max()
    assert 0 < difference < 1e-9


def test_images_that_nothing_classifies():
    card = Card("small", "drawn", "CC0", "none", "none")
    table = {"digit": ["1", "2"]}
    factors = {"digit": Factor("the digit", kind="categorical", values=("1", "2"))}

    def pictures(*shape, factors=factors):
        return ImageSet(np.zeros((2, *shape), np.uint8), pd.DataFrame(table), factors, card)

    assert classifier_of(pictures(1, 32, 32)) is None
    assert classifier_of(pictures(3, 28, 28)) is None
    assert classifier_of(pictures(1, 28, 28, factors={})) is None


@pytest.mark.parametrize("source", ["phantoms.lesion", "ham10000", "nothing", ""])
def test_sources_without_one(source):
    with pytest.raises(DataError, match=f"{source}: no domain classifier; there is one for .*, mnist.digits, .*mnist"):
        domain_classifier(source)


@pytest.mark.usefixtures("quick")
def test_it_looks_at_tensors():
    generated = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    probabilities = domain_classifier("mnist.digits").probabilities(generated)
    assert probabilities.shape == (3, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1)


def nodules(name: str, side: int = 32, factors: tuple[str, ...] = ("size_bin", "malignancy")) -> ImageSet:
    """Two patches with the name of a source on their card."""
    known = {
        "malignancy": Factor("of the readers", kind="binary"),
        "size_bin": Factor("size", kind="categorical", values=("small", "large")),
    }
    table = pd.DataFrame({"malignancy": [0, 1], "size_bin": ["small", "large"]})
    card = Card(name, "here", "CC0-1.0", "nobody", "none")
    images = np.zeros((2, 1, side, side), np.int16)
    return ImageSet(images, table, {factor: known[factor] for factor in factors}, card)


class TestSeveral:
    """Nodules have two: benign or malignant, and size."""

    @pytest.fixture(autouse=True)
    def named(self, monkeypatch):
        """In the place of a classifier, what it would be trained for and on."""
        monkeypatch.setattr(classifiers, "_trained", lambda spec: (spec.factor, spec.source, spec.steps))

    def test_by_factor(self):
        assert domain_classifier("phantoms.nodule.32") == ("malignancy", "phantoms.nodule.32", 300)
        assert domain_classifier("phantoms.nodule.32", "size_bin") == ("size_bin", "phantoms.nodule.32", 300)
        assert domain_classifier("phantoms.nodule", "size_bin") == ("size_bin", "phantoms.nodule", 300)
        with pytest.raises(DataError, match=r"phantoms\.nodule: no domain classifier of 'dx'; there is one of malig"):
            domain_classifier("phantoms.nodule", "dx")

    def test_rendered_images_are_judged_by_what_saw_rendered_ones(self):
        for side, part in ((32, ".32"), (64, "")):
            source = f"phantoms.nodule{part}"
            expected = (("malignancy", source, 300), ("size_bin", source, 300))
            assert classifiers_of(nodules("nodule phantoms", side)) == expected
            independent = nodules("nodule phantoms of independent factors", side)
            assert classifiers_of(independent) == (("size_bin", f"phantoms.nodule.independent{part}", 300),)
        assert classifiers_of(nodules("nodule phantoms", factors=("size_bin",))) == (
            ("size_bin", "phantoms.nodule.32", 300),
        )
        assert classifiers_of(nodules("nodule phantoms", side=16)) == classifiers_of(nodules("others")) == ()

    def test_real_ones_where_they_are_at_hand(self, tmp_path, monkeypatch):
        monkeypatch.delenv("MEDLATENT_DATA", raising=False)
        assert classifier_of(nodules("LIDC-IDRI nodules")) is None
        (tmp_path / "lidc").mkdir()
        monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
        images = nodules("LIDC-IDRI nodules")
        assert classifiers_of(images) == (("malignancy", "lidc.32", 300), ("size_bin", "lidc.32", 300))
        assert classifier_of(images) == classifiers_of(images)[0]

    def test_whole_photographs_of_lesions_have_none(self):
        assert classifiers_of(open_images("phantoms.lesion", 8)) == ()
        part = "phantoms.lesion.patches.balanced.32"
        assert classifiers_of(open_images(part, 8)) == (("dx", part, 300),)


def test_what_its_classifiers_are_trained_on_is_opened_once(monkeypatch):
    opened = []

    def few(source):
        opened.append(source)
        return open_images(source, 16)

    monkeypatch.setattr(classifiers, "open_images", few)
    classifiers._training.cache_clear()
    specs = find_source("phantoms.nodule.32").classifiers
    found = [classifiers._trained.__wrapped__(replace(spec, steps=2)) for spec in specs]
    assert [classifier.factor for classifier in found] == ["malignancy", "size_bin"]
    assert opened == ["phantoms.nodule.32"]
    classifiers._training.cache_clear()
