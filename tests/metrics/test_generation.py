"""Fréchet distance, inception score and conditional accuracy against closed forms and other implementations."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from medlatent.metrics import generation
from medlatent.metrics.generation import conditional_accuracy, frechet_distance, inception_score, nearness

RANDOM = np.random.default_rng(2)
A = RANDOM.normal(size=(50, 6)) @ RANDOM.normal(size=(6, 6))
B = RANDOM.normal(size=(70, 6)) * [1, 2, 0.1, 1, 3, 1] + 0.5
PROBABILITIES = RANDOM.dirichlet(np.full(4, 0.3), size=37)


def white(n, d, seed=0):
    """Rows with the mean zero and the sample covariance the identity, exactly."""
    x = np.random.default_rng(seed).normal(size=(n, d))
    x -= x.mean(0)
    return x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T


def plain_frechet(a, b, ddof=1):
    covariances = [np.cov(x, rowvar=False, ddof=ddof) for x in (a, b)]
    root = sqrtm(covariances[0] @ covariances[1]).real
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)


def test_frechet_equals_the_formula_with_scipy():
    result = frechet_distance(A, B)
    assert result.score == pytest.approx(plain_frechet(A, B), rel=1e-10)
    assert result.mean_term == pytest.approx(np.square(A.mean(0) - B.mean(0)).sum())
    assert result.score == pytest.approx(result.mean_term + result.covariance_term)


def test_frechet_of_gaussians_with_known_moments():
    # One dimension: (μ_a − μ_b)² + (σ_a − σ_b)². Commuting covariances: the same in each dimension.
    deviations_a, deviations_b, shift = np.array([1, 2, 0.5]), np.array([3, 2, 0.25]), np.array([1, 0, -2])
    expected = (shift**2).sum() + ((deviations_a - deviations_b) ** 2).sum()
    assert frechet_distance(white(20, 3) * deviations_a, white(30, 3, 1) * deviations_b + shift).score == pytest.approx(
        expected, rel=1e-12
    )


def test_covariances_by_n_are_caught():
    # The published mistake is off by 1/N, and this test would see it.
    wrong = plain_frechet(A, B, ddof=0)
    assert abs(wrong / plain_frechet(A, B) - 1) > 1e-3
    assert frechet_distance(A, B).score != pytest.approx(wrong, rel=1e-3)


@pytest.mark.parametrize(
    "features",
    [A, RANDOM.normal(size=(5, 40)), np.repeat(A[:, :1], 4, 1), np.ones((9, 3)), np.c_[A, np.zeros(50)] * 1e6],
    ids=["full rank", "fewer images than features", "rank one", "constant", "dead feature, large scale"],
)
def test_a_set_has_no_distance_to_itself(features):
    assert frechet_distance(features, features).score <= 1e-13 * max(1, np.square(features).sum())
    # Shifted in each of F features, exactly F·shift² away, however singular the covariance.
    shift = max(1, np.abs(features).max())
    expected = features.shape[1] * shift**2
    assert frechet_distance(features, features + shift).score == pytest.approx(expected, rel=1e-10)


def test_frechet_with_fewer_images_than_features_equals_the_same_moments_rotated_into_few():
    few = RANDOM.normal(size=(12, 3)), RANDOM.normal(size=(15, 3)) + 1
    basis = np.linalg.qr(RANDOM.normal(size=(50, 3)))[0]
    assert frechet_distance(*(x @ basis.T for x in few)).score == pytest.approx(frechet_distance(*few).score, rel=1e-12)


@pytest.mark.parametrize("exponent", [0, 2, 4.9, 5.1, 7, 9])  # of the condition of the root
def test_frechet_keeps_its_digits_where_covariances_are_close_to_singular(exponent):
    # Of commuting covariances it is a sum of squares. Rotated, all features correlate, and eigenvalues are far apart.
    deviations = np.logspace(0, -exponent, 4)
    rotation = np.linalg.qr(RANDOM.normal(size=(4, 4)))[0]
    a, b = white(40, 4) * deviations @ rotation, white(60, 4, 1) * 1.5 * deviations @ rotation
    assert frechet_distance(a, b).score == pytest.approx(0.25 * np.square(deviations).sum(), rel=1e-11)


def test_both_ways_to_the_root_agree(monkeypatch):
    quick = frechet_distance(A, B).score
    monkeypatch.setattr(generation, "WELL_CONDITIONED", np.inf)
    assert frechet_distance(A, B).score == pytest.approx(quick, rel=1e-12)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1e-3, 1e3))
def test_frechet_is_symmetric_and_invariant(seed, scale):
    random = np.random.default_rng(seed)
    a, b = random.normal(size=(2, 12, 4))
    value = frechet_distance(a, b).score
    assert value >= 0
    assert frechet_distance(b, a).score == pytest.approx(value)
    order, rotation = random.permutation(12), np.linalg.qr(random.normal(size=(4, 4)))[0]
    assert frechet_distance(a[order] @ rotation, b @ rotation).score == pytest.approx(value)
    assert frechet_distance(scale * a + 5, scale * b + 5).score == pytest.approx(scale**2 * value)


def plain_inception(probabilities):
    marginal = probabilities.mean(0)
    terms = [sum(p * np.log(p / q) for p, q in zip(row, marginal, strict=True) if p > 0) for row in probabilities]
    return np.exp(np.mean(terms))


def test_inception_score_by_brute_force():
    assert inception_score(PROBABILITIES).score == pytest.approx(plain_inception(PROBABILITIES), rel=1e-12)
    shuffled = PROBABILITIES[np.random.RandomState(2020).permutation(37)]
    parts = [plain_inception(shuffled[i * 37 // 5 : (i + 1) * 37 // 5]) for i in range(5)]
    result = inception_score(torch.tensor(PROBABILITIES, requires_grad=True), splits=5)
    np.testing.assert_allclose(result.per_split, parts, rtol=1e-12)
    assert result.score == pytest.approx(np.mean(parts))
    np.testing.assert_allclose(result.marginal, PROBABILITIES.mean(0))


def test_inception_score_by_hand():
    # Sure and even: K. Sure of one class, or never sure, or a single class: 1. Two of four classes: 2.
    eye = np.eye(4)
    assert inception_score(np.tile(eye, (5, 1))).score == pytest.approx(4)
    assert inception_score(np.tile(eye[:2], (5, 1))).score == pytest.approx(2)
    for constant in (np.tile(eye[0], (5, 1)), np.full((5, 4), 0.25), np.ones((3, 1))):
        assert inception_score(constant).score == pytest.approx(1)


def test_images_in_the_order_of_their_classes_are_shuffled_before_splitting():
    ordered = np.repeat(np.eye(4), 50, 0)
    assert np.mean([plain_inception(ordered[i : i + 20]) for i in range(0, 200, 20)]) < 1.5
    assert inception_score(ordered, splits=10).score > 3.3


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_inception_score_is_bounded_and_invariant(seed, k):
    random = np.random.default_rng(seed)
    p = random.dirichlet(np.ones(k), size=12)
    value = inception_score(p).score
    assert 1 - 1e-12 <= value <= k + 1e-12
    assert inception_score(np.tile(p, (3, 1))[:, random.permutation(k)]).score == pytest.approx(value)


def test_reference_values(reference):
    arrays, values = reference("images")
    score = frechet_distance(arrays["f1"], arrays["f2"]).score
    assert score == pytest.approx(values["torch_fidelity_fid_features"], rel=1e-9)
    assert score == pytest.approx(values["torchmetrics_fid_features"], rel=1e-9)
    probabilities = torch.tensor(arrays["logits"]).double().softmax(1)
    ten, one = values["torch_fidelity_isc_10splits"], values["torch_fidelity_isc_1split_noshuffle"]
    result = inception_score(probabilities, splits=10)
    assert result.score == pytest.approx(ten["inception_score_mean"], rel=1e-9)
    assert result.per_split.std() == pytest.approx(ten["inception_score_std"], rel=1e-9)
    assert inception_score(probabilities).score == pytest.approx(one["inception_score_mean"], rel=1e-9)


def test_nearness_by_hand():
    training = [[0.0, 0.0], [10.0, 0.0]]
    found = nearness([[1.0, 0.0], [10.0, 3.0]], [[0.0, 2.0], [8.0, 0.0], [5.0, 12.0]], training)
    assert found.drawn.tolist() == [1, 3]
    assert found.held_out.tolist() == [2, 2, 13]
    assert found.nearer == pytest.approx((3 + 1) / 6)


def test_copies_are_nearer_and_new_images_are_not():
    rng = np.random.default_rng(0)
    training, new = rng.normal(size=(300, 5)), rng.normal(size=(200, 5))
    assert nearness(training[:100], new, training).nearer == 1
    assert nearness(rng.normal(size=(400, 5)), new, training).nearer == pytest.approx(0.5, abs=0.06)
    assert nearness(new, new, training).nearer == 0.5
    assert nearness(3 * rng.normal(size=(100, 5)), new, training).nearer < 0.1


def test_nearness_by_brute_force():
    rng = np.random.default_rng(1)
    drawn, new, training = rng.integers(0, 4, (20, 3)), rng.integers(0, 4, (15, 3)), rng.integers(0, 4, (9, 3))
    near, far = (np.array([min(np.linalg.norm(x - t) for t in training) for x in part]) for part in (drawn, new))
    found = nearness(drawn, new, training)
    assert found.drawn == pytest.approx(near)
    assert found.held_out == pytest.approx(far)
    assert found.nearer == pytest.approx(np.mean([(a < b) + (a == b) / 2 for a in near for b in far]))


def test_conditional_accuracy_by_hand():
    seen = np.eye(3)[[0, 0, 0, 1, 2, 0]]
    result = conditional_accuracy(seen, [0, 0, 0, 1, 1, 1])
    assert result.score == pytest.approx(4 / 6)
    assert result.balanced == pytest.approx((1 + 1 / 3) / 2)  # the class 2 was never asked for
    assert result.confusion.tolist() == [[3, 0, 0], [1, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frechet_distance(A, B[:, :3]), "features_b: 3 features"),
        (lambda: frechet_distance(A[:1], B), "features_a: 1 rows, at least 2"),
        (lambda: frechet_distance(A, B[0]), "features_b: expected an array"),
        (lambda: frechet_distance(A, np.where(B > 3, np.nan, B)), "features_b: row .* NaN"),
        (lambda: nearness(A, B[:, :3], B), "held_out: 3 features, training has 6"),
        (lambda: nearness(A, A, np.full((2, 6), np.nan)), "training: row 0 holds NaN"),
        (lambda: inception_score(np.log(PROBABILITIES + 1)), "not logits"),
        (lambda: inception_score([[1.5, -0.5]]), "row 0 is no distribution"),
        (lambda: inception_score(PROBABILITIES, splits=0), "splits"),
        (lambda: inception_score(PROBABILITIES, splits=38), "splits must be between 1 and the number of images 37"),
        (lambda: conditional_accuracy(PROBABILITIES, np.zeros(37)), "labels: expected integers"),
        (lambda: conditional_accuracy(PROBABILITIES, np.zeros(3, int)), "labels: expected integers"),
        (lambda: conditional_accuracy(PROBABILITIES, np.full(37, 4)), "expected 0 to 3"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
