"""The domain classifier of digits: how far to trust it, what it looks at, and that all have the same."""

import numpy as np
import pandas as pd
import pytest
import torch

from medlatent.data import Card, DataError, Factor, ImageSet, find_source, open_images
from medlatent.evaluation import classifier_of, classifiers, domain_classifier
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
    spec = find_source("mnist.digits").classifier
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
    with pytest.raises(DataError, match=f"{source}: no domain classifier; there is one for mnist.digits, mnist"):
        domain_classifier(source)


@pytest.mark.usefixtures("quick")
def test_it_looks_at_tensors():
    generated = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    probabilities = domain_classifier("mnist.digits").probabilities(generated)
    assert probabilities.shape == (3, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1)
