"""Disentanglement, completeness and informativeness against scikit-learn."""

import numpy as np
import pytest
from disentanglement_cases import CODES, CONTINUOUS, FACTORS
from scipy import stats
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor, RandomForestClassifier

from medlatent.metrics.disentanglement import dci


def test_dci_equals_scikit_learn():
    factors = np.c_[FACTORS[:300, 0], CONTINUOUS[:300, 1]]
    codes, rows = CODES[:300], 200
    models = [GradientBoostingClassifier(random_state=0), GradientBoostingRegressor(random_state=0)]
    for model, v in zip(models, factors.T, strict=True):
        model.fit(codes[:rows], v[:rows])
    importance = np.stack([model.feature_importances_ for model in models], 1)
    informativeness = [
        (models[0].predict(codes[rows:]) == factors[rows:, 0]).mean(),
        models[1].score(codes[rows:], factors[rows:, 1]),
    ]
    per_dimension = [1 - stats.entropy(row, base=2) for row in importance]
    per_factor = [1 - stats.entropy(column, base=5) for column in importance.T]

    result = dci(codes, factors)
    np.testing.assert_allclose(result.importance, importance)
    np.testing.assert_allclose(result.per_dimension, per_dimension, atol=1e-12)
    np.testing.assert_allclose(result.per_factor, per_factor)
    np.testing.assert_allclose(result.informativeness_per_factor, informativeness)
    assert result.score == pytest.approx(np.average(per_dimension, weights=importance.sum(1)))
    assert result.completeness == pytest.approx(np.average(per_factor, weights=importance.sum(0)))
    assert result.informativeness == pytest.approx(np.mean(informativeness))

    forest = RandomForestClassifier(7, random_state=0).fit(codes[:rows], factors[:rows, 0])
    few = dci(codes, factors, "random_forest", trees=7)
    np.testing.assert_allclose(few.importance[:, 0], forest.feature_importances_)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: dci(CODES, FACTORS[:, :1]), "factors are compared, at least 2"),
        (lambda: dci(CODES[:, :1], FACTORS), "dimensions are compared, at least 2"),
        (lambda: dci(CODES, FACTORS, "lasso"), "estimator 'lasso' is unknown"),
        (lambda: dci(CODES, FACTORS, trees=0), "trees must be at least 1, got 0"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
