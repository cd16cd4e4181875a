"""Splits by lesion or patient, inside the metrics that learn from some rows and are tested on others."""

import numpy as np
import pytest
from disentanglement_cases import CODES, FACTORS, N
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.metrics.disentanglement import dci, report, sap
from medlatent.metrics.disentanglement._shared import _split


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 30), st.floats(0.2, 0.8), st.booleans())
def test_no_group_is_on_both_sides_and_no_row_is_lost(seed, groups, share, shuffle):
    random = np.random.default_rng(seed)
    whose = np.r_[np.arange(groups), random.integers(0, groups, 40)] * 7 - 3
    whose = random.permutation(whose)
    factors = random.normal(size=(len(whose), 1))
    ends = [_split(factors, share, shuffle, seed, whose)] if _possible(whose, share) else []
    for train, test in ends:
        assert not set(whose[train]) & set(whose[test])
        assert sorted([*train, *test]) == list(range(len(whose)))
        largest = np.unique(whose, return_counts=True)[1].max()
        assert share * len(whose) - 1e-6 <= len(train) < share * len(whose) + largest


def _possible(whose, share):
    """Whether some group is left to be tested on, in whatever order they come."""
    counts = np.sort(np.unique(whose, return_counts=True)[1])
    return share * len(whose) + counts[-1] < len(whose)


def test_without_groups_and_with_groups_of_one_the_split_is_the_same():
    for shuffle in (False, True):
        plain, alone = (_split(FACTORS, 2 / 3, shuffle, 4, groups) for groups in (None, np.arange(N) * 2))
        for a, b in zip(plain, alone, strict=True):
            np.testing.assert_array_equal(a, b)


def test_in_order_of_appearance_unless_shuffled():
    whose = np.array(list("bbbaaaccc"))
    factors = np.arange(9.0)[:, None]
    train, test = _split(factors, 2 / 3, False, 0, whose)
    assert (train.tolist(), test.tolist()) == ([0, 1, 2, 3, 4, 5], [6, 7, 8])


@pytest.mark.parametrize("sizes", [(111, 64, 152), (64, 111, 152), (2, 98), (98, 2), (5, 5)])
def test_a_few_large_groups_are_split_whatever_their_order(sizes):
    """Three patients with as many slices as real ones: two thirds of the rows may end inside the last of them."""
    whose = np.repeat(np.arange(len(sizes)), sizes)
    factors = np.random.default_rng(0).normal(size=(len(whose), 1))
    for seed in range(6):
        for shuffle in (False, True):
            train, test = _split(factors, 2 / 3, shuffle, seed, whose)
            assert len(train)
            assert len(test)
            assert not set(whose[train]) & set(whose[test])


def test_codes_that_name_the_patient_predict_nothing():
    """Twelve photographs of each: a tree that has seen some knows the others."""
    random = np.random.default_rng(0)
    whose = np.repeat(np.arange(50), 12)
    factors = np.repeat(random.normal(size=(50, 2)), 12, axis=0)
    codes = np.repeat(random.permutation(50), 12)[:, None] + 0.01 * random.normal(size=(600, 2))
    options = {"estimator": "random_forest", "shuffle": True, "trees": 20}
    assert dci(codes, factors, **options).informativeness > 0.9
    assert dci(codes, factors, groups=whose, **options).informativeness < 0.2


def test_the_report_passes_them_on():
    whose, logvar = np.arange(N) // 4, np.full(CODES.shape, -2.0)
    found = report(CODES, logvar, FACTORS, samples=50, shuffle=True, groups=whose)
    assert found.sap.score == sap(CODES, FACTORS, shuffle=True, groups=whose).score
    alone = dci(CODES, FACTORS, "random_forest", trees=25, shuffle=True, groups=whose)
    assert found.dci.informativeness == alone.informativeness
    assert found.sap.score != sap(CODES, FACTORS, shuffle=True).score


def test_errors():
    with pytest.raises(ValueError, match=r"groups: expected one a row, \(600,\), got \(3,\)"):
        sap(CODES, FACTORS, groups=[1, 2, 3])
    with pytest.raises(ValueError, match="leaves none to train on or to test on"):
        dci(CODES, FACTORS, "random_forest", groups=np.zeros(N))
