"""The judge of digits: how far it can be trusted, whom it judges, and that it is the same for everyone."""

import medlatent.judges
import numpy as np
import pandas as pd
import pytest
import torch
from medlatent.judges import digit_judge, judge_of

from medlatent.data import Card, Factor, ImageSet, open_images
from medlatent.metrics.generation import conditional_accuracy, frechet_distance


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("mnist.digits")


def test_it_recognises_digits_it_never_saw(digits):
    judge, test = digit_judge(), digits.split("test")
    assert judge.classes == tuple("0123456789")
    found = conditional_accuracy(judge.probabilities(test), judge.labels(test))
    assert found.score > 0.95
    assert found.balanced > 0.95
    # Its features tell other digits from the same ones.
    features, labels = judge.features(test), judge.labels(test)
    assert features.shape == (len(test), 128)
    half = frechet_distance(features[::2], features[1::2]).score
    assert frechet_distance(features[labels < 5], features[labels >= 5]).score > 5 * half


def test_it_is_trained_once(digits):
    assert digit_judge() is digit_judge() is judge_of(digits)
    assert not digit_judge().training


def test_rounding_does_not_grow(digits, monkeypatch):
    """A disturbance of the size of a rounding error is still one after training."""
    monkeypatch.setattr(medlatent.judges, "STEPS", 20)
    images = digits.subset(range(40)).batch(slice(None))
    plain, batch = digit_judge.__wrapped__().features(images), ImageSet.batch
    monkeypatch.setattr(ImageSet, "batch", lambda self, index: batch(self, index).double() + 1e-15)
    difference = np.abs(digit_judge.__wrapped__().features(images) - plain).max()
    assert 0 < difference < 1e-9


def test_whom_nobody_judges():
    card = Card("small", "drawn", "CC0", "none", "none")
    table = {"digit": ["1", "2"]}
    factors = {"digit": Factor("the digit", kind="categorical", values=("1", "2"))}

    def pictures(*shape, factors=factors):
        return ImageSet(np.zeros((2, *shape), np.uint8), pd.DataFrame(table), factors, card)

    assert judge_of(pictures(1, 32, 32)) is None
    assert judge_of(pictures(3, 28, 28)) is None
    assert judge_of(pictures(1, 28, 28, factors={})) is None


def test_it_judges_tensors(digits):
    generated = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    probabilities = digit_judge().probabilities(generated)
    assert probabilities.shape == (3, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1)
