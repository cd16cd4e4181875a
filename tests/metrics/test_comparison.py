"""Paired intervals against SciPy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from medlatent.metrics.comparison import paired_interval


def test_by_hand():
    # 1, 2, 3: the standard deviation is 1, and t with two degrees of freedom 4.303.
    mean, low, high = paired_interval([1, 2, 3])
    assert mean == 2
    assert high - mean == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)
    assert mean - low == pytest.approx(high - mean)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_against_scipy(level):
    first, second = np.random.default_rng(0).normal(size=(2, 7))
    expected = stats.ttest_rel(first, second).confidence_interval(level)
    assert paired_interval(first - second, level)[1:] == pytest.approx(tuple(expected))


def test_a_single_difference_has_no_interval():
    assert paired_interval([0.3]) == (0.3, -math.inf, math.inf)


def test_it_covers_as_often_as_it_says():
    draws = np.random.default_rng(1).normal(0.4, 1, (1000, 5))
    covered = np.mean([low < 0.4 < high for _, low, high in map(paired_interval, draws)])
    assert covered == pytest.approx(0.95, abs=0.02)


def test_arguments():
    with pytest.raises(ValueError, match="differences: expected an array"):
        paired_interval([])
    with pytest.raises(ValueError, match="NaN"):
        paired_interval([0.1, math.nan])
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 95"):
        paired_interval([1, 2], 95)
