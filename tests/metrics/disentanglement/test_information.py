"""Mutual information against scikit-learn pair by pair, and in closed form."""

import numpy as np
import pytest
from disentanglement_cases import CODES, CONTINUOUS, ENTROPY, FACTORS, N, entropy, gap, pairs, plug_in
from sklearn.feature_selection import mutual_info_classif, mutual_info_regression

from medlatent.metrics.disentanglement import mig, mig_knn, mutual_information_matrix


@pytest.mark.parametrize("bins", [5, 20])
def test_plug_in_information_equals_scikit_learn(bins):
    expected = pairs(lambda z, v: plug_in(z, v, bins))
    result = mutual_information_matrix(CODES, FACTORS, bins=bins)
    np.testing.assert_allclose(result.mutual_information, expected, rtol=1e-10)
    np.testing.assert_allclose(result.factor_entropy, ENTROPY, rtol=1e-12)
    assert result.score == pytest.approx(expected.max(0).mean())
    assert mig(CODES, FACTORS, bins).score == pytest.approx((gap(expected) / ENTROPY).mean(), rel=1e-10)


def test_continuous_factors_are_cut_as_codes_are():
    binned = np.stack([np.digitize(v, np.histogram(v, 20)[1][:-1]) for v in CONTINUOUS.T], 1)
    expected = pairs(plug_in, factors=binned)
    result = mig(CODES, CONTINUOUS)
    np.testing.assert_allclose(result.mutual_information, expected, rtol=1e-10)
    np.testing.assert_allclose(result.factor_entropy, [entropy(v) for v in binned.T])
    # Few distinct values are categories, whole numbers however many are too.
    halves = mig(CODES, FACTORS / 2)
    assert halves.score == mig(CODES, FACTORS).score
    many = np.arange(N) % 300 * 1e6
    assert mig(CODES, many[:, None]).factor_entropy[0] == pytest.approx(np.log(300))


@pytest.mark.parametrize("decimals", [12, 0])  # with ties or without
@pytest.mark.parametrize("factors", [FACTORS, CONTINUOUS])
def test_nearest_neighbour_information_equals_scikit_learn(factors, decimals):
    codes = CODES.round(decimals)
    random = np.random.RandomState(3)
    expected = np.stack([mutual_info_regression(codes, v, random_state=random) for v in factors.T], 1)
    entropies = [mutual_info_regression(v[:, None], v, random_state=random)[0] for v in factors.T]
    result = mutual_information_matrix(codes, factors, "knn", seed=3)
    np.testing.assert_allclose(result.mutual_information, expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(result.factor_entropy, entropies, rtol=1e-9)
    assert mig_knn(codes, factors, seed=3).score == pytest.approx((gap(expected) / entropies).mean(), rel=1e-9)


def test_nearest_neighbour_information_of_classes_equals_scikit_learn():
    random = np.random.RandomState(5)
    expected = np.stack([mutual_info_classif(CODES, v, random_state=random, n_neighbors=4) for v in FACTORS.T], 1)
    result = mig_knn(CODES, FACTORS, neighbours=4, kind="discrete", seed=5)
    np.testing.assert_allclose(result.mutual_information, expected)
    assert result.score == pytest.approx((gap(expected) / ENTROPY).mean())


def test_information_of_a_gaussian():
    rho, random = np.array([0.0, 0.5, 0.9]), np.random.default_rng(1)
    v = random.normal(size=(5000, 1))
    z = rho * v + np.sqrt(1 - rho**2) * random.normal(size=(5000, 3))
    expected = -0.5 * np.log(1 - rho**2)
    knn = mutual_information_matrix(z, v, "knn").mutual_information[:, 0]
    np.testing.assert_allclose(knn, expected, atol=0.04)
    # Counting sees less than there is between bins, and chance adds (bins - 1)²/2N.
    binned = mutual_information_matrix(z, v).mutual_information[:, 0]
    np.testing.assert_allclose(binned, expected, atol=0.08)
    assert 0.005 < binned[0] < 19**2 / 10_000


def test_a_constant_factor_has_no_information():
    for options in {}, {"estimator": "knn"}, {"estimator": "knn", "kind": "discrete"}:
        result = mutual_information_matrix(CODES, np.c_[FACTORS, np.full(N, 0.1)], **options)
        assert result.mutual_information[:, 3].tolist() == [0] * 5
        assert result.factor_entropy[3] == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mutual_information_matrix(CODES, FACTORS, "kde"), "estimator 'kde' is unknown"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
