"""Separated attribute predictability against scikit-learn."""

import numpy as np
import pytest
from disentanglement_cases import CODES, CONTINUOUS, FACTORS, N, gap, pairs
from sklearn.linear_model import LinearRegression
from sklearn.svm import LinearSVC

from medlatent.metrics.disentanglement import sap


def test_sap_equals_scikit_learn():
    rows = N * 2 // 3

    def accuracy(z, v):
        machine = LinearSVC(C=0.01, class_weight="balanced", dual=False).fit(z[:rows, None], v[:rows])
        return (machine.predict(z[rows:, None]) == v[rows:]).mean()

    expected = pairs(accuracy)
    result = sap(CODES, FACTORS)
    np.testing.assert_array_equal(result.predictability, expected)
    assert result.score == pytest.approx(gap(expected).mean())
    np.testing.assert_array_equal(result.dimension, expected.argmax(0))

    expected = pairs(lambda z, v: LinearRegression().fit(z[:, None], v).score(z[:, None], v))
    result = sap(CODES, FACTORS, "continuous")
    np.testing.assert_allclose(result.predictability, expected, rtol=1e-9)
    assert result.score == pytest.approx(gap(expected).mean())


def test_discrete_sap_of_constant_codes_is_a_guess():
    result = sap(np.c_[FACTORS[:, 0], np.full(N, 0.1)], FACTORS)
    np.testing.assert_allclose(result.predictability[1], [1 / 2, 1 / 4, 1 / 6])
    assert result.per_factor[0] == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sap(CODES[:, :1], FACTORS), "codes: dimensions are compared"),
        (lambda: sap(CODES, FACTORS, "ordinal"), "kind 'ordinal' is unknown"),
        (lambda: sap(CODES, CONTINUOUS), r"factors\[:, 0\] is continuous: use kind='continuous'"),
        (lambda: sap(CODES, FACTORS, train_fraction=1.0), "train_fraction must be between 0 and 1"),
        (lambda: sap(CODES[:2], FACTORS[:2] + np.eye(2, 3) + 1, train_fraction=0.1), "leaves none to train on"),
        (lambda: sap(CODES, np.repeat([[0.0], [1.0]], [500, 100], 0)), r"constant in the 400 training.*shuffle=True"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
