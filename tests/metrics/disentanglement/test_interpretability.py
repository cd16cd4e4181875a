"""Interpretability against scikit-learn."""

import numpy as np
import pytest
from disentanglement_cases import CODES, CONTINUOUS
from sklearn.feature_selection import mutual_info_regression
from sklearn.linear_model import LinearRegression

from medlatent.metrics.disentanglement import interpretability


def test_interpretability_equals_scikit_learn():
    random = np.random.RandomState(0)
    expected, dimensions = [], []
    for v in CONTINUOUS.T:
        j = mutual_info_regression(CODES, v, random_state=random).argmax()
        expected.append(LinearRegression().fit(CODES[:, [j]], v).score(CODES[:, [j]], v))
        dimensions.append(j)
    result = interpretability(CODES, CONTINUOUS)
    np.testing.assert_allclose(result.per_attribute, expected)
    assert result.dimension.tolist() == dimensions
    assert result.score == pytest.approx(np.mean(expected))
