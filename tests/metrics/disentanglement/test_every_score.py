"""What holds for every score of codes and factors: bounds, invariances, limiting cases, and what is refused."""

import dataclasses

import numpy as np
import pytest
import torch
from disentanglement_cases import CODES, FACTORS, GRID, N
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.metrics.disentanglement import (
    beta_vae_metric,
    dci,
    factor_vae_metric,
    interpretability,
    mig,
    mig_hf,
    mig_knn,
    modularity,
    mutual_information_matrix,
    sap,
    scc,
)

# Every score of codes and factors that is fast, by name.
SCORES = {
    "mig": mig,
    "mig_knn": mig_knn,
    "sap discrete": sap,
    "sap continuous": lambda z, v: sap(z, v, "continuous"),
    "modularity": modularity,
    "modularity knn": lambda z, v: modularity(z, v, "knn"),
    "interpretability": interpretability,
    "scc": scc,
    "mutual information": mutual_information_matrix,
    "mig_hf": mig_hf,
    "dci": lambda z, v: dci(z, v, "random_forest"),
    "beta_vae_metric": lambda z, v: beta_vae_metric(z, v, train=300, test=200),
    "factor_vae_metric": lambda z, v: factor_vae_metric(z, v, train=300, test=200),
}


def test_aligned_codes_have_a_gap_of_one_and_duplicated_codes_of_zero():
    assert mig(GRID, GRID, bins=2).score == pytest.approx(1)
    assert mig(np.c_[GRID, GRID], GRID, bins=2).score == 0
    assert mig(-3 * GRID[:, ::-1] + 1, GRID, bins=7).dimension.tolist() == [1, 0]
    assert sap(GRID, GRID, "continuous").score == pytest.approx(1)
    assert sap(np.c_[GRID, GRID], GRID, "continuous").score == 0
    for estimator, error in ("boosted_trees", 1e-9), ("random_forest", 0.2):
        aligned = dci(GRID, GRID, estimator, shuffle=True)
        assert (aligned.score, aligned.completeness) == pytest.approx((1, 1), abs=error)
        assert aligned.informativeness == 1
    duplicated = dci(np.c_[GRID, GRID], GRID, "random_forest", shuffle=True)
    assert duplicated.score > 0.9
    assert duplicated.completeness < 0.6


def test_gap_by_hand():
    # Of 8 rows, v is balanced; z_0 tells 3 of 4 right on either side; z_1 is independent of v.
    v = np.array([0, 0, 0, 0, 1, 1, 1, 1])[:, None]
    z = np.array([[0, 0], [0, 1], [0, 0], [1, 1], [1, 0], [1, 1], [1, 0], [0, 1]])
    information = np.log(2) + 0.75 * np.log(0.75) + 0.25 * np.log(0.25)
    result = mig(z, v, bins=2)
    np.testing.assert_allclose(result.mutual_information[:, 0], [information, 0], atol=1e-15)
    assert result.score == pytest.approx(information / np.log(2))
    assert sap(z, v, "continuous").score == pytest.approx(0.25)  # correlations 1/2 and 0
    assert scc(z, v, significance=None).score == pytest.approx(0.5)


def test_interpretability_and_sap_do_not_see_what_is_not_on_a_line():
    v = np.linspace(-1, 1, 201)[:, None]
    curve = interpretability(np.c_[v**2, np.random.default_rng(1).normal(size=201)], v)
    assert curve.dimension[0] == 0
    assert curve.score < 1e-10
    assert interpretability(np.exp(3 * v), v).score < 0.9
    assert scc(np.exp(3 * v), v).score == pytest.approx(1)  # monotonic is enough


@settings(max_examples=5, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(-30, 30))
def test_order_scale_and_repetition_change_nothing(random, exponent):
    dimensions, factors = random.sample(range(5), 5), random.sample(range(3), 3)
    codes = CODES.copy()
    codes[:, random.randrange(5)] *= 2.0**exponent
    repeated = [np.tile(x, (3, 1)) for x in (codes, FACTORS)]
    for name in "mig", "sap continuous", "modularity", "mutual information":
        score = SCORES[name](CODES, FACTORS).score
        assert SCORES[name](CODES[:, dimensions], FACTORS[:, factors]).score == pytest.approx(score)
        assert SCORES[name](codes, FACTORS).score == pytest.approx(score)
        assert SCORES[name](*repeated).score == pytest.approx(score)
    score = scc(CODES, FACTORS, significance=None).score
    assert scc(repeated[0][:, dimensions], repeated[1][:, factors], significance=None).score == pytest.approx(score)
    # Nearest neighbours have noise of their own for each arrangement.
    assert mig_knn(codes[:, dimensions], FACTORS[:, factors]).score == pytest.approx(
        mig_knn(CODES, FACTORS).score, abs=0.05
    )
    # A category's number is a name.
    names = np.array([40.0, -3.0, 7.0, 1000.0])[FACTORS[:, 1].astype(int)]
    assert mig(CODES, names[:, None]).score == pytest.approx(mig(CODES, FACTORS[:, 1:2]).score)


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), st.integers(25, 60), st.integers(2, 4), st.integers(2, 3))
def test_scores_lie_between_zero_and_one(seed, rows, dimensions, count):
    random = np.random.default_rng(seed)
    factors = random.integers(0, 3, (rows, count)).astype(float)
    factors[:4] = np.array([0, 1, 0, 1])[:, None]  # none is constant, nor in the training rows
    factors[-2:] = [[0], [1]]
    codes = random.normal(size=(rows, dimensions)).round(1)
    codes[:, 0] = factors[:, 0]
    halved = (np.median(factors, 0) < factors.max(0)).all()  # or mig_hf refuses to cut there
    for name in SCORES.keys() - {"mutual information", "mig_knn", "dci"} - (set() if halved else {"mig_hf"}):
        assert -1e-12 <= SCORES[name](codes, factors).score <= 1 + 1e-12, name
    result = mutual_information_matrix(codes, factors)
    assert (result.mutual_information >= 0).all()
    assert (result.mutual_information <= result.factor_entropy + 1e-12).all()


@pytest.mark.parametrize("name", SCORES)
def test_constant_codes_know_nothing(name):
    constant = np.full((N, 4), 0.1) * [1, 2, 0, -7]
    # Those that guess a factor are right in a third of the cases.
    expected = pytest.approx(1 / 3, abs=0.06) if name.endswith("vae_metric") else 0
    assert SCORES[name](constant, FACTORS).score == expected
    if name != "dci":  # one dead dimension beside others
        assert np.isfinite(SCORES[name](np.c_[CODES, constant[:, :1]], FACTORS).score)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_scales(scale):
    for name in "mig", "sap continuous", "modularity", "scc", "beta_vae_metric", "factor_vae_metric":
        assert SCORES[name](CODES * scale, FACTORS).score == pytest.approx(SCORES[name](CODES, FACTORS).score)


@pytest.mark.parametrize("name", [name for name in SCORES if name != "dci"])
def test_torch_and_numpy_agree(name):
    codes, factors = torch.tensor(CODES, requires_grad=True), torch.tensor(FACTORS).long()
    expected = SCORES[name](CODES, FACTORS)
    result = SCORES[name](codes, factors)
    assert result.score == expected.score
    assert isinstance(result.score, float)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.score = 0.0


def test_single_columns_where_they_make_sense():
    assert scc(CODES[:, :1], FACTORS[:, :1]).score > 0.2
    assert interpretability(CODES[:, :1], FACTORS[:, :1]).score > 0.05
    assert mutual_information_matrix(CODES[:, :1], FACTORS[:, :1]).mutual_information.shape == (1, 1)
    assert mig(CODES, FACTORS[:, :1]).per_factor.shape == (1,)


@pytest.mark.parametrize(
    "name",
    sorted(SCORES.keys() - {"modularity knn", "mutual information"}),
)
def test_constant_factors_and_bad_values_are_refused(name):
    score = SCORES[name]
    with pytest.raises(ValueError, match=r"\[:, 2\] is constant.*leave it out"):
        score(CODES, FACTORS * [1, 1, 0])
    for bad in np.nan, np.inf:
        broken = CODES.copy()
        broken[7, 3] = bad
        with pytest.raises(ValueError, match=r"codes: row 7 holds NaN or infinity, codes\[7, 3\]"):
            score(broken, FACTORS)
        with pytest.raises(ValueError, match=r"(factors|attributes): row 7 holds NaN or infinity, .*\[7, 3\]"):
            score(CODES, broken)
    with pytest.raises(ValueError, match="same number of rows, got 600 and 599"):
        score(CODES, FACTORS[1:])
    with pytest.raises(ValueError, match=r"an array \(N, K\), got \(600,\)"):
        score(CODES, FACTORS[:, 0])
    with pytest.raises(ValueError, match=r"codes: expected an array \(N, D\), got \(0, 5\)"):
        score(CODES[:0], FACTORS[:0])
    with pytest.raises(ValueError, match="expected numbers"):
        score(CODES, np.full((N, 1), "naevus"))
    with pytest.raises(ValueError, match=r"codes\[0, 0\] is .*1.7e\+308, beyond"):
        score(np.where(CODES > 0, 1.7e308, -1.7e308), FACTORS)
