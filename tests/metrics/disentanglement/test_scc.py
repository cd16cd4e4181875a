"""Spearman's correlation against SciPy."""

import numpy as np
import pytest
from disentanglement_cases import CODES, FACTORS
from scipy import stats

from medlatent.metrics.disentanglement import scc


def test_scc_equals_scipy():
    found = [[stats.spearmanr(z, v) for v in FACTORS.T] for z in CODES.T]
    rho, p = (np.array([[abs(cell[i]) for cell in row] for row in found]) for i in (0, 1))
    assert ((p > 0.05) & (rho > 0.01)).any()  # the rule has something to strike out
    np.testing.assert_allclose(scc(CODES, FACTORS, significance=None).correlation, rho)
    result = scc(CODES, FACTORS)
    np.testing.assert_allclose(result.correlation, np.where(p > 0.05, 0, rho))
    assert result.score == pytest.approx(rho.max(0).mean())
    borderline = p[4, 0]
    assert scc(CODES[:, 4:], FACTORS[:, :1], significance=borderline * 1.001).score == pytest.approx(rho[4, 0])
    assert scc(CODES[:, 4:], FACTORS[:, :1], significance=borderline * 0.999).score == 0


def test_the_best_of_many_dimensions_of_noise():
    """What passes where each dimension is tested for itself, and where the number of them counts."""
    random = np.random.default_rng(4)
    draws = [(random.normal(size=(200, 32)), random.normal(size=(200, 4))) for _ in range(60)]
    passed = {
        corrected: np.mean([scc(*pair, corrected=corrected).per_attribute > 0 for pair in draws])
        for corrected in (False, True)
    }
    assert passed[False] == pytest.approx(1 - 0.95**32, abs=0.08)
    assert passed[True] <= 0.1
    found = [stats.spearmanr(z, FACTORS[:, 0]) for z in CODES.T]
    expected = [abs(one.statistic) if one.pvalue <= 0.05 / 5 else 0 for one in found]
    np.testing.assert_allclose(scc(CODES, FACTORS[:, :1], corrected=True).correlation[:, 0], expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: scc(CODES[:2], np.eye(2)), "at least 3 rows, got 2"),
        (lambda: scc(CODES, FACTORS, significance=5), "significance must be between 0 and 1"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
