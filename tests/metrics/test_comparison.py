"""Paired intervals against SciPy and by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from medlatent.metrics.comparison import paired_interval


def test_by_hand():
    # 1 to 5: the standard deviation is √2.5, and t with four degrees of freedom 2.776.
    mean, low, high, level, test = paired_interval([1, 2, 3, 4, 5])
    assert (mean, level, test) == (3, 0.95, "t")
    assert high - mean == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-6)
    assert mean - low == pytest.approx(high - mean)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_against_scipy(level):
    first, second = np.random.default_rng(0).normal(size=(2, 7))
    expected = stats.ttest_rel(first, second).confidence_interval(level)
    found = paired_interval(first - second, level)
    assert (found.low, found.high) == pytest.approx(tuple(expected))
    assert (found.level, found.test) == (pytest.approx(level), "t")


def test_of_three_nobody_sees_whether_they_are_normal():
    found = paired_interval([1, 2, 3])
    assert found == (2, 1, 3, 0.75, "signs")


def test_a_collapsed_run_is_no_normal_difference():
    """By t one outlier of five would widen the interval over zero, though all five say the same."""
    found = paired_interval([0.10, 0.11, 0.12, 0.13, 4.0])
    assert found.test == "signs"
    assert found.level == pytest.approx(1 - 2 / 32)
    assert 0.1 <= found.low < found.mean < found.high == 4.0
    assert stats.ttest_1samp([0.10, 0.11, 0.12, 0.13, 4.0], 0).pvalue > 0.2


@pytest.mark.parametrize("differences", [[0.3], [0.2] * 5, [0.0] * 5, [0.1 + 0.2, 0.3, 0.3]])
def test_without_scatter_nothing_is_said(differences):
    mean, low, high, level, test = paired_interval(differences)
    assert mean == pytest.approx(differences[0])
    assert (low, high, level, test) == (-math.inf, math.inf, 0.95, "none")


def test_it_covers_as_often_as_it_says():
    draws = np.random.default_rng(1).normal(0.4, 1, (1000, 5))
    found = [paired_interval(draw) for draw in draws]
    covered = np.mean([one.low < 0.4 < one.high for one in found])
    assert covered == pytest.approx(0.95, abs=0.02)


def test_signs_cover_as_often_as_they_say_whatever_the_distribution():
    draws = np.random.default_rng(2).standard_cauchy((600, 6)) + 0.4
    found = [paired_interval(draw) for draw in draws]
    by_signs = [one for one in found if one.test == "signs"]
    assert len(by_signs) > 100
    assert np.mean([one.low <= 0.4 <= one.high for one in by_signs]) > 0.93


def test_arguments():
    with pytest.raises(ValueError, match="differences: expected an array"):
        paired_interval([])
    with pytest.raises(ValueError, match="NaN"):
        paired_interval([0.1, math.nan])
    with pytest.raises(ValueError, match="level must be between 0 and 1, got 95"):
        paired_interval([1, 2], 95)
    with pytest.raises(ValueError, match="25 that do not look normal, at most 20 can be tested by signs"):
        paired_interval([0.0] * 24 + [1.0])
