"""The mutual information gap: of classes, of handcrafted factors, and from posteriors against integrals."""

import numpy as np
import pytest
import torch
from disentanglement_cases import (
    CODES,
    CONTINUOUS,
    EXPECTED,
    FACTORS,
    LOGVAR,
    MEAN,
    POSTERIOR_FACTORS,
    N,
    entropy,
    gap,
    integrated_information,
    plug_in,
)
from scipy import stats
from scipy.integrate import trapezoid

from medlatent.metrics.disentanglement import (
    mig,
    mig_from_posterior,
    mig_hf,
    mig_knn,
    mig_of_angle,
    mig_p,
    mutual_information_matrix,
)


class TestBinsOfEqualCount:
    def test_each_bin_has_as_many_rows(self):
        codes = np.random.default_rng(0).normal(size=(200, 2))
        labels = np.repeat(np.arange(4), 50)[:, None]
        in_order = np.sort(codes, axis=0)
        assert mig(in_order, labels, 4, binning="count").mutual_information.ravel() == pytest.approx([np.log(4)] * 2)
        ranks = stats.rankdata(CODES, axis=0) - 1
        expected = [[plug_in(np.floor(20 * z / N), v, 20) for v in FACTORS.T] for z in ranks.T]
        found = mutual_information_matrix(CODES, FACTORS, binning="count")
        np.testing.assert_allclose(found.mutual_information, expected)

    def test_neither_an_outlier_nor_a_monotone_map_is_seen(self):
        """One row in 1 500, far away, leaves nothing of a gap that rests on bins of equal width."""
        random = np.random.default_rng(0)
        values = random.integers(0, 4, (1500, 2)).astype(float)
        codes = values + random.normal(size=(1500, 2))
        far = codes.copy()
        far[7] = 1e4
        assert mig(far, values).score < 0.01 < 0.15 < mig(codes, values).score
        gaps = [mig(z, values, binning="count").score for z in (codes, far, np.exp(codes), -codes[:, ::-1])]
        assert gaps == pytest.approx([gaps[0]] * 4, abs=0.01)
        assert gaps[0] > 0.15

    def test_continuous_factors_are_cut_likewise(self):
        heavy = np.random.default_rng(1).standard_cauchy((3000, 2))
        assert mig(heavy, heavy, binning="count").score > 0.9
        assert mig(heavy, heavy).factor_entropy.max() < 0.5

    def test_values_that_occur_often_share_a_bin(self):
        codes = np.zeros((100, 2))
        codes[90:] = 1
        found = mig(codes, codes[:, :1], 10, binning="count")
        assert found.mutual_information[0, 0] == pytest.approx(entropy(codes[:, 0]))

    def test_unknown(self):
        with pytest.raises(ValueError, match="binning 'rank' is unknown: use one of width, count"):
            mig(CODES, FACTORS, binning="rank")


class TestAngles:
    def test_the_zero_does_not_matter(self):
        """Where it is put, the gap of one cut depends on it; that of all cuts does not."""
        random = np.random.default_rng(0)
        angles = random.uniform(-np.pi / 2, np.pi / 2, 2000)
        code = np.c_[np.cos(2 * angles) + 0.5 * random.normal(size=2000), random.normal(size=2000)]
        shifts = np.pi / 8 * np.arange(4)
        one = [mig_hf(code, ((angles + s + np.pi / 2) % np.pi)[:, None]).score for s in shifts]
        assert max(one) > 2 * min(one)
        every = [mig_of_angle(code, angles + s, np.pi).score for s in shifts]
        assert every == pytest.approx([every[0]] * 4, abs=1e-3)
        assert mig_of_angle(code, np.degrees(angles), 180).score == pytest.approx(every[0])

    def test_the_mean_over_cuts_by_hand(self):
        random = np.random.default_rng(1)
        angles, codes = random.uniform(0, 2 * np.pi, 500), random.normal(size=(500, 3))
        codes[:, 0] += 2 * np.cos(angles)
        cuts = [np.cos(angles - k * np.pi / 4) for k in range(4)]
        expected = [mig(codes, (cut > np.median(cut))[:, None]).score for cut in cuts]
        found = mig_of_angle(codes, angles, 2 * np.pi, cuts=4)
        np.testing.assert_allclose(found.per_factor, expected)
        assert found.score == pytest.approx(np.mean(expected))

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: mig_of_angle(CODES, CODES[:, 0], 0), "period must be positive, got 0"),
            (lambda: mig_of_angle(CODES, CODES[:, 0], 1, cuts=0), "cuts must be at least 1, got 0"),
            (lambda: mig_of_angle(CODES, np.zeros(N), 1), "angles: at cut 0 of 8 none is above"),
            (lambda: mig_of_angle(CODES, 1e12 * CODES[:, 0], 1), r"angles\[\d+\] is .*, beyond ±1e\+09"),
        ],
    )
    def test_errors(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


def test_mig_p_takes_each_class_against_the_others():
    expected = mig(CODES, np.stack([FACTORS[:, 1] == c for c in range(4)], 1))
    for labels in FACTORS[:, 1], torch.tensor(FACTORS[:, 1]).long(), np.array(list("abcd"))[FACTORS[:, 1].astype(int)]:
        result = mig_p(CODES, labels)
        assert result.score == expected.score
        np.testing.assert_array_equal(result.per_factor, expected.per_factor)
    assert expected.score != pytest.approx(mig(CODES, FACTORS[:, 1:2]).score, rel=0.03)


def test_mig_hf_cuts_at_the_median_unless_told_otherwise():
    expected = mig(CODES, np.median(CONTINUOUS, axis=0) < CONTINUOUS)
    assert mig_hf(CODES, CONTINUOUS).score == expected.score
    np.testing.assert_allclose(expected.factor_entropy, np.log(2))
    assert mig_hf(CODES, CONTINUOUS, [1.0, 0.5]).score == mig(CODES, CONTINUOUS > [1.0, 0.5]).score
    # Two values stay as they are, where the median would be one of them.
    for v in FACTORS[:, :1], 1 - FACTORS[:, :1]:
        assert mig_hf(CODES, v).score == pytest.approx(mig(CODES, v).score)


def test_information_from_the_posterior_equals_an_integral():
    result = mig_from_posterior(MEAN, LOGVAR, POSTERIOR_FACTORS, samples=40_000)
    np.testing.assert_allclose(result.mutual_information, EXPECTED, atol=0.012)
    entropies = np.array([entropy(v) for v in POSTERIOR_FACTORS.T])
    expected = (gap(EXPECTED) / entropies).mean()
    assert 0 < result.standard_error < 0.01
    assert abs(result.score - expected) < 4 * result.standard_error


def test_conditionals_weighted_alike_are_noticed():
    # The code of Chen et al. gives every value the weight 1/values and divides by log(values).
    v = POSTERIOR_FACTORS[:, :1]
    result = mig_from_posterior(MEAN, LOGVAR, v, samples=40_000)
    assert result.factor_entropy[0] < 0.9 * np.log(2)
    balanced = []
    for m, s in zip(MEAN.T, np.exp(LOGVAR / 2).T, strict=True):
        z = np.linspace(-10, 15, 20001)
        q = stats.norm.pdf(z, m[:, None], s[:, None])
        h = [
            -trapezoid(p * np.log(np.maximum(p, 1e-300)), z) for p in (q[v[:, 0] == 0].mean(0), q[v[:, 0] == 1].mean(0))
        ]
        total = q.mean(0)
        balanced.append(-trapezoid(total * np.log(np.maximum(total, 1e-300)), z) - np.mean(h))
    wrong = (np.sort(balanced)[-1] - np.sort(balanced)[-2]) / np.log(2)
    right = (gap(EXPECTED)[0] / entropy(v[:, 0])).item()
    assert abs(result.score - right) < 4 * result.standard_error < 0.5 * abs(wrong - right)


def test_a_reshape_in_place_of_a_transpose_is_noticed():
    # disentangling-vae turns (N, D) into (D, N) by a view: its rows are then mixtures of dimensions.
    reshaped = [x.reshape(3, 40).T for x in (MEAN, LOGVAR)]
    wrong = np.array(
        [
            [integrated_information(m, s, v, 4001) for v in POSTERIOR_FACTORS.T]
            for m, s in zip(reshaped[0].T, np.exp(reshaped[1] / 2).T, strict=True)
        ]
    )
    right = mig_from_posterior(MEAN, LOGVAR, POSTERIOR_FACTORS, samples=8000).mutual_information
    assert np.abs(right - EXPECTED).max() < 0.03
    assert np.abs(wrong - EXPECTED).max() > 0.1
    assert mig(CODES, FACTORS).score - mig(CODES.reshape(5, N).T, FACTORS).score > 0.05


def test_a_factor_s_numbers_are_names_for_the_posterior_too():
    names = np.array([40.0, -3.0, 7.0, 12.0])[POSTERIOR_FACTORS[:, 1].astype(int)]  # 12 to 40 does not occur
    result = mig_from_posterior(MEAN, LOGVAR, names[:, None], samples=80)
    expected = mig_from_posterior(MEAN, LOGVAR, POSTERIOR_FACTORS[:, 1:2], samples=80)
    np.testing.assert_allclose(result.mutual_information, expected.mutual_information, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mig(CODES[:19], FACTORS[:19]), "19 rows cannot fill 20 bins"),
        (lambda: mig(CODES, FACTORS, bins=1), "bins must be at least 2, got 1"),
        (lambda: mig(CODES[:, :1], FACTORS), "codes: dimensions are compared, at least 2"),
        (lambda: mig_knn(CODES[:, :1], FACTORS), "codes: dimensions are compared"),
        (lambda: mig_knn(CODES[:3], FACTORS[:3] + np.arange(3)[:, None]), "between 1 and N - 1 = 2, got 3"),
        (lambda: mig_knn(CODES, FACTORS, neighbours=0), "neighbours must be"),
        (lambda: mig_knn(CODES, FACTORS, kind="nominal"), "kind 'nominal' is unknown"),
        (lambda: mig_knn(CODES, CONTINUOUS, kind="discrete"), "no value occurs twice, use kind='continuous'"),
        (lambda: mig_p(CODES, FACTORS[:, :1]), r"labels: expected one a row, \(600,\), got \(600, 1\)"),
        (lambda: mig_p(CODES, np.zeros(N)), "all rows have the class 0.0"),
        (lambda: mig_p(CODES, np.where(np.arange(N) == 3, np.nan, 0)), "labels: that of row 3 is NaN"),
        (lambda: mig_hf(CODES, CONTINUOUS, [0.0]), "one for each of 2 factors"),
        (lambda: mig_hf(CODES, CONTINUOUS, [0.0, 1e9]), r"all of factors\[:, 1\] on one side"),
        (
            lambda: mig_hf(CODES, np.minimum(FACTORS[:, 2:], 5)),
            r"thresholds: 5.0 has all of factors\[:, 0\] on one side",
        ),
        (lambda: mig_from_posterior(MEAN[:, :1], LOGVAR[:, :1], POSTERIOR_FACTORS), "mean: dimensions are compared"),
        (lambda: mig_from_posterior(MEAN, LOGVAR, np.ones((40, 1))), r"factors\[:, 0\] is constant"),
        (lambda: mig_from_posterior(MEAN, LOGVAR, FACTORS), "same number of rows"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
