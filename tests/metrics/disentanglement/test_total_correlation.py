"""The total correlation against an integral and in closed form, and what all scores from posteriors share."""

import numpy as np
import pytest
import torch
from disentanglement_cases import LOGVAR, MEAN, POSTERIOR_FACTORS
from scipy import stats
from scipy.integrate import trapezoid

from medlatent.metrics.disentanglement import mig_from_posterior, total_correlation


def test_total_correlation_equals_an_integral():
    mean, logvar = MEAN[:6, :2], LOGVAR[:6, :2]
    axes = [np.linspace(-8, 14, 1101) for _ in range(2)]
    deviation = np.exp(logvar / 2)
    q = [stats.norm.pdf(z, mean[:, j, None], deviation[:, j, None]) for j, z in enumerate(axes)]
    joint = np.einsum("na,nb->ab", *q) / 6
    product = np.outer(q[0].mean(0), q[1].mean(0))
    density = joint * (np.log(np.maximum(joint, 1e-300)) - np.log(np.maximum(product, 1e-300)))
    expected = trapezoid(trapezoid(density, axes[1]), axes[0])
    result = total_correlation(mean, logvar, samples=60_000)
    assert expected > 0.05
    assert abs(result.score - expected) < 4 * result.standard_error < 0.05
    entropies = [
        -trapezoid(m * np.log(np.maximum(m, 1e-300)), z)
        for m, z in ((p.mean(0), z) for p, z in zip(q, axes, strict=True))
    ]
    np.testing.assert_allclose(result.marginal_entropy, entropies, atol=0.02)
    assert result.score == pytest.approx(result.marginal_entropy.sum() - result.joint_entropy)


def test_total_correlation_in_closed_form():
    # Means on a grid make a product; on a diagonal, far apart, both coordinates name the image: log N.
    grid = np.indices((7, 9)).reshape(2, -1).T.astype(float)
    assert total_correlation(grid, np.full((63, 2), -1.0)).score == pytest.approx(0, abs=1e-12)
    diagonal = np.repeat(np.arange(50.0), 3).reshape(50, 3)
    result = total_correlation(diagonal, np.full((50, 3), -9.0))
    assert result.score == pytest.approx(2 * np.log(50), abs=1e-6)
    assert result.joint_entropy == pytest.approx(np.log(50) + 1.5 * (np.log(2 * np.pi) + 1 - 9), abs=0.1)
    assert total_correlation(MEAN[:, :1], LOGVAR[:, :1]).score == pytest.approx(0, abs=1e-12)
    # Gaussian means and noise of one size: q(z) is nearly a Gaussian.
    rho = 0.9
    mean = np.random.default_rng(1).multivariate_normal([0, 0], [[1, rho], [rho, 1]], 3000)
    estimate = total_correlation(mean, np.zeros((3000, 2)), samples=6000)
    assert estimate.score == pytest.approx(-0.5 * np.log(1 - (rho / 2) ** 2), abs=0.03)


def test_the_standard_error_is_that_of_repetitions():
    results = [mig_from_posterior(MEAN, LOGVAR, POSTERIOR_FACTORS, samples=400, seed=s) for s in range(40)]
    spread = np.std([r.score for r in results], ddof=1)
    # Images drawn equally often scatter less than the independent draws that the error supposes.
    assert 0.5 < spread / np.mean([r.standard_error for r in results]) < 1.3
    sums = [total_correlation(MEAN, LOGVAR, samples=400, seed=s) for s in range(40)]
    assert 0.5 < np.std([r.score for r in sums], ddof=1) / np.mean([r.standard_error for r in sums]) < 1.3


def test_posteriors_of_any_width_stay_finite():
    for width in -600.0, 600.0:
        logvar = np.full((40, 3), width)
        assert np.isfinite(total_correlation(MEAN, logvar, samples=80).score)
        assert np.isfinite(mig_from_posterior(MEAN, logvar, POSTERIOR_FACTORS, samples=80).score)


def test_the_number_of_threads_changes_nothing_and_is_left_as_it_was():
    mean, logvar = np.tile(MEAN, (200, 1)), np.tile(LOGVAR, (200, 1))  # several blocks of samples
    factors, before = np.tile(POSTERIOR_FACTORS, (200, 1)), torch.get_num_threads()
    one, two = (mig_from_posterior(mean, logvar, factors, samples=90, n_jobs=n) for n in (1, 2))
    np.testing.assert_array_equal(one.mutual_information, two.mutual_information)
    one, two = (total_correlation(mean, logvar, samples=90, n_jobs=n) for n in (1, 2))
    assert one.score == two.score
    assert torch.get_num_threads() == before


def test_torch_posteriors():
    tensors = [torch.tensor(x, requires_grad=True) for x in (MEAN, LOGVAR)]
    assert total_correlation(*tensors, samples=80).score == total_correlation(MEAN, LOGVAR, samples=80).score
    result = mig_from_posterior(*tensors, torch.tensor(POSTERIOR_FACTORS), samples=80)
    assert result.score == mig_from_posterior(MEAN, LOGVAR, POSTERIOR_FACTORS, samples=80).score
    assert result.score != mig_from_posterior(MEAN, LOGVAR, POSTERIOR_FACTORS, samples=80, seed=1).score


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: total_correlation(MEAN, LOGVAR[:, :2]), "one shape"),
        (lambda: total_correlation(MEAN, LOGVAR, samples=1), "samples must be at least 2"),
        (lambda: total_correlation(MEAN, LOGVAR - 700), "logvar: the density overflows"),
        (lambda: total_correlation(np.where(MEAN > 0, np.nan, MEAN), LOGVAR), "mean: row 0 holds NaN"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
