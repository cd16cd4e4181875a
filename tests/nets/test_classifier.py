"""The domain classifier: what it recognises, what its features tell apart, what its training depends on."""

import numpy as np
import pandas as pd
import pytest
import torch

from medlatent.data import Card, DataError, Factor, ImageSet
from medlatent.metrics.generation import conditional_accuracy, frechet_distance
from medlatent.nets import train_domain_classifier


@pytest.fixture(scope="module")
def shapes():
    """Bright squares of three sides on noise, one channel."""
    random = np.random.default_rng(3)
    side = random.choice([2, 5, 9], 240, p=[0.6, 0.25, 0.15])
    images = random.integers(0, 60, (240, 1, 16, 16))
    for image, s in zip(images, side, strict=True):
        i, j = random.integers(0, 16 - s, 2)
        image[0, i : i + s, j : j + s] += 150
    names = {2: "small", 5: "middle", 9: "large"}
    table = pd.DataFrame({"name": [names[s] for s in side], "side": side + random.random(240), "big": side > 2})
    table["big"] = table["big"].astype(int)
    table["turn"], table["same"] = 0.5, 1.0
    table["gap"] = np.where(np.arange(240) == 7, np.nan, table["side"])
    factors = {
        "name": Factor("side", "categorical", values=("large", "absent", "middle", "small")),
        "side": Factor("side"),
        "big": Factor("more than small", "binary"),
        "turn": Factor("orientation", "angle", "rad", period=np.pi),
        "same": Factor("nothing"),
        "gap": Factor("with a gap"),
    }
    return ImageSet(images.astype(np.uint8), table, factors, Card("shapes", "drawn", "CC0", "none", "none"))


@pytest.fixture(scope="module")
def classifier(shapes):
    return train_domain_classifier(shapes.subset(range(180)), "name", 60, learning_rate=3e-3, device="cpu")


def test_the_classifier_recognises_images_it_never_saw(shapes, classifier):
    test = shapes.subset(range(180, 240))
    assert classifier.classes == ("large", "middle", "small")  # a value that never occurs is no class
    assert [classifier.classes[i] for i in classifier.labels(test)] == test.table["name"].tolist()
    result = conditional_accuracy(classifier.probabilities(test), classifier.labels(test))
    assert result.score > 0.9
    assert result.balanced > 0.8


def test_features_and_probabilities(shapes, classifier):
    features, probabilities = classifier.features(shapes), classifier.probabilities(shapes)
    assert features.shape == (240, 128)
    assert features.dtype == probabilities.dtype == np.float64
    np.testing.assert_allclose(probabilities.sum(1), 1)
    # The features are what the last layer reads, and do not depend on an image's neighbours, nor on its container.
    with torch.no_grad():
        again = classifier.head(torch.tensor(features).float()).softmax(1)
    np.testing.assert_allclose(again, probabilities, atol=1e-5)
    array = shapes.batch(slice(0, 5))
    np.testing.assert_allclose(classifier.features(array, batch_size=2), features[:5], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(classifier.features(array.numpy()), features[:5], rtol=1e-4, atol=1e-5)
    classifier.train()
    np.testing.assert_allclose(classifier.features(array), features[:5], rtol=1e-4, atol=1e-5)
    assert classifier.training
    classifier.eval()


def test_the_distance_sees_what_differs(shapes, classifier):
    large = shapes.subset(shapes.table["name"] == "large")
    small = shapes.subset(shapes.table["name"] == "small")
    features = classifier.features(small)
    half = len(small) // 2
    alike = frechet_distance(features[:half], features[half:]).score
    assert frechet_distance(features, classifier.features(large)).score > 5 * alike


def test_training_depends_on_the_seed_alone(shapes):
    state = torch.get_rng_state()
    first = train_domain_classifier(shapes, "big", 3, seed=5, device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    second = train_domain_classifier(shapes, "big", 3, seed=5, device="cpu")
    other = train_domain_classifier(shapes, "big", 3, seed=6, device="cpu")
    assert not first.training
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)
    assert first.classes == ("0", "1")
    assert first.labels(shapes).tolist() == shapes.table["big"].tolist()


def test_a_continuous_factor_is_cut_into_classes_of_equal_frequency(shapes):
    classifier = train_domain_classifier(shapes, "side", 1, bins=4, device="cpu")
    assert np.bincount(classifier.labels(shapes)).tolist() == [60, 60, 60, 60]
    # Ties: most values are equal, and no class is left empty.
    tied = shapes.table.assign(side=np.where(np.arange(240) < 200, 1.0, np.arange(240)))
    tied = ImageSet(shapes.images, tied, shapes.factors, shapes.card)
    classifier = train_domain_classifier(tied, "side", 1, bins=10, device="cpu")
    counts = np.bincount(classifier.labels(tied), minlength=len(classifier.classes))
    assert counts.tolist() == [216, 24]  # the borders at the tied value are dropped, that at nine tenths stays


@pytest.mark.parametrize(
    ("factor", "options", "error", "message"),
    [
        ("colour", {}, DataError, "unknown factor 'colour'"),
        ("turn", {}, ValueError, "is an angle"),
        ("same", {}, ValueError, "all images are of the class"),
        ("gap", {}, ValueError, "image 7 has no value"),
        ("big", {"steps": 0}, ValueError, "steps"),
        ("side", {"bins": 1}, ValueError, "bins"),
    ],
)
def test_training_errors(shapes, factor, options, error, message):
    with pytest.raises(error, match=message):
        train_domain_classifier(shapes, factor, **options)


def test_classifier_errors(shapes, classifier):
    with pytest.raises(ValueError, match=r"expected \(N, 1, H, W\)"):
        classifier.features(np.zeros((2, 3, 16, 16)))
    with pytest.raises(ValueError, match=r"floats in \[0, 1\]"):
        classifier.features(np.full((2, 1, 16, 16), 2.0))
    with pytest.raises(ValueError, match=r"floats in \[0, 1\]"):
        classifier.features(shapes.images)
    strange = shapes.table.assign(name="absent")
    with pytest.raises(ValueError, match="'absent', which the classifier never saw"):
        classifier.labels(ImageSet(shapes.images, strange, shapes.factors, shapes.card))
