"""The metrics of Higgins et al. and of Kim and Mnih: by hand, by loops, and what each is blind to."""

import numpy as np
import pytest
from disentanglement_cases import CODES, FACTORS
from sklearn.linear_model import LogisticRegression

from medlatent.metrics.disentanglement import beta_vae_metric, factor_vae_metric
from medlatent.metrics.disentanglement.fixed_factor import _Shared

RANDOM = np.random.default_rng(2)
TWO = RANDOM.integers(0, 8, (3000, 2)).astype(float)
TURN = np.array([[1, -1], [1, 1]]) / np.sqrt(2)


def test_an_axis_for_each_factor_is_guessed_always():
    for metric in (beta_vae_metric, factor_vae_metric):
        found = metric(TWO[:, ::-1] * [3, -0.1], TWO)
        assert found.score == 1
        assert found.per_factor.tolist() == [1, 1]
    assert factor_vae_metric(TWO[:, ::-1], TWO).votes.tolist()[0][0] == 0
    assert factor_vae_metric(TWO[:, ::-1], TWO).votes.sum() == 2000


def test_mixed_axes_are_seen_by_the_newer_one_only():
    """What Kim and Mnih (2018) hold against the older one, on codes that are turned by 30°."""
    angle = np.pi / 6
    turned = TWO @ [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    assert beta_vae_metric(turned, TWO).score > 0.99
    even = TWO @ TURN
    assert factor_vae_metric(even, TWO).score == pytest.approx(0.5, abs=0.08)


def test_two_axes_for_one_factor_cost_nothing():
    twice = np.c_[TWO, -2 * TWO]
    assert beta_vae_metric(twice, TWO).score == 1
    assert factor_vae_metric(twice, TWO).score == 1


def test_an_axis_that_holds_a_second_factor_faintly_costs_nothing():
    """Neither asks what else a dimension holds."""
    leaky = TWO + 0.2 * TWO[:, ::-1]
    assert factor_vae_metric(leaky, TWO).score == 1


def test_the_newer_one_by_hand():
    # Fix the first factor, and dimension 0 stands still; fix the second, and none does, but 1 varies less than 0.
    factors = np.indices((2, 2)).reshape(2, -1).T.repeat(50, 0).astype(float)
    noise = np.random.default_rng(0).normal(size=200)
    codes = np.c_[factors[:, 0], factors[:, 1] + 0.1 * noise, noise]
    found = factor_vae_metric(codes, factors)
    assert found.score == 1
    assert found.votes[0, 1] == found.votes[1, 0] == 0
    assert found.votes[2].tolist() == [0, 0]
    assert found.votes.sum(0).sum() == 2000


def by_loops(codes, factors, metric, batches=1500, size=64, seed=5):
    """One batch and one image at a time."""
    random = np.random.default_rng(seed)
    fixed = random.integers(factors.shape[1], size=batches)
    found = []
    for k in fixed:
        values, counts = np.unique(factors[:, k], return_counts=True)
        eligible = np.flatnonzero(np.isin(factors[:, k], values[counts > 1]))
        if metric == "beta":
            differences = []
            for first in random.choice(eligible, size):
                others = np.flatnonzero(factors[:, k] == factors[first, k])
                second = random.choice(others[others != first])
                differences.append(np.abs(codes[first] - codes[second]))
            found.append(np.mean(differences, 0))
        else:
            value = factors[random.choice(eligible), k]
            rows = random.choice(np.flatnonzero(factors[:, k] == value), size)
            found.append((codes[rows] / codes.std(0)).var(0).argmin())
    found, learnt = np.array(found), batches * 2 // 3
    if metric == "beta":
        found = (found - found[:learnt].min(0)) / np.ptp(found[:learnt], axis=0)
        learner = LogisticRegression(C=1e3, max_iter=2000).fit(found[:learnt], fixed[:learnt])
        return learner.score(found[learnt:], fixed[learnt:])
    stands_for = [np.bincount(fixed[:learnt][found[:learnt] == d], minlength=3).argmax() for d in range(codes.shape[1])]
    return np.mean(np.array(stands_for)[found[learnt:]] == fixed[learnt:])


@pytest.mark.parametrize(("metric", "function"), [("beta", beta_vae_metric), ("factor", factor_vae_metric)])
def test_against_loops(metric, function):
    """Batches are drawn anew: a share of 500 has a standard error of 0.02 at most."""
    blurred = CODES[:, 2:] + np.random.default_rng(1).normal(size=(len(CODES), 3))
    ours = np.mean([function(blurred, FACTORS, size, seed=s).score for s in range(3) for size in [16]])
    theirs = by_loops(blurred, FACTORS, metric, size=16)
    assert 0.4 < ours < 0.97
    assert ours == pytest.approx(theirs, abs=0.07)


def test_batches_share_one_value_and_pairs_are_two_images():
    labels = np.array([0, 3, 1, 1, 3, 2, 1, 3])  # 0 and 2 occur once
    shared, random = _Shared(labels, "factors[:, 0]"), np.random.default_rng(0)
    first, second = shared.pairs(random, (500, 3))
    assert (labels[first] == labels[second]).all()
    assert (first != second).all()
    assert set(first.ravel()) == set(second.ravel()) == {1, 2, 3, 4, 6, 7}
    batches = shared.batches(random, (500, 4))
    assert (labels[batches] == labels[batches[:, :1]]).all()
    assert set(batches.ravel()) == {1, 2, 3, 4, 6, 7}
    assert np.unique(labels[batches[:, 0]], return_counts=True)[1] == pytest.approx([250, 250], abs=60)


def test_a_factor_without_a_test_batch_has_no_share():
    found = factor_vae_metric(TWO, TWO, train=50, test=1)
    assert np.isnan(found.per_factor).sum() == 1
    assert found.score == 1


@pytest.mark.parametrize("metric", [beta_vae_metric, factor_vae_metric])
def test_continuous_factors_are_cut_into_bins(metric):
    values = RANDOM.normal(size=(2000, 2))
    assert metric(values, values, bins=10).score > 0.97
    assert metric(RANDOM.normal(size=(2000, 2)), values, bins=10).score == pytest.approx(0.5, abs=0.08)


@pytest.mark.parametrize("metric", [beta_vae_metric, factor_vae_metric])
@pytest.mark.parametrize(
    ("codes", "factors", "options", "message"),
    [
        (TWO, TWO[:, :1], {}, "at least 2 are needed, got 1"),
        (TWO, TWO, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
        (TWO, TWO, {"train": 0}, "train must be at least 1, got 0"),
        (TWO, TWO, {"test": -1}, "test must be at least 1, got -1"),
        (TWO[:6], np.c_[np.arange(6), TWO[:6, 1]], {}, r"factors\[:, 0\]: no two rows share a value"),
    ],
)
def test_errors(metric, codes, factors, options, message):
    with pytest.raises(ValueError, match=message):
        metric(codes, factors, **options)


def test_errors_of_one_of_them():
    with pytest.raises(ValueError, match="batch_size must be at least 2, of one image nothing varies"):
        factor_vae_metric(TWO, TWO, batch_size=1)
    with pytest.raises(ValueError, match="among 1 batches there is one factor only; draw more"):
        beta_vae_metric(TWO, TWO, train=1)
