"""Information and active units against direct computations."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from medlatent.metrics import active_units, gaussian_total_correlation, information

RANDOM = np.random.default_rng(1)
MEAN = RANDOM.normal(size=(40, 6)) * [2, 1, 0.5, 0.05, 0, 0.3]
LOGVAR = RANDOM.normal(size=(40, 6)) - 1


def test_information_equals_torch_distributions():
    q = Normal(torch.from_numpy(MEAN), torch.from_numpy(np.exp(0.5 * LOGVAR)))
    expected = kl_divergence(q, Normal(0.0, 1.0)).mean(0)
    result = information(MEAN, LOGVAR)
    np.testing.assert_allclose(result.per_dimension, expected)
    assert result.score == pytest.approx(expected.sum().item())
    assert result.per_dimension.dtype == np.float64


def test_information_by_hand():
    # Dimension 0: means 1 and 3 at variance 1, (1/2 + 9/2)/2 nats. Dimension 1 lies on the prior.
    result = information(np.array([[1.0, 0.0], [3.0, 0.0]]), np.zeros((2, 2)))
    assert result.per_dimension.tolist() == [2.5, 0.0]
    assert result.score == 2.5


def test_active_units_count_the_variances_above_the_threshold():
    result = active_units(MEAN)
    brute = [sum((v - column.mean()) ** 2 for v in column) / (len(column) - 1) for column in MEAN.T]
    np.testing.assert_allclose(result.per_dimension, brute)
    assert result.score == sum(v > 0.01 for v in brute) == 4
    assert active_units(MEAN, threshold=0.5).score == sum(v > 0.5 for v in brute)


def test_active_units_by_hand():
    # Means 0 and 0.2: variance 0.02. A constant mean, however large, is inactive. The threshold itself is not above.
    mean = np.array([[0.0, 5.0], [0.2, 5.0]])
    assert active_units(mean).per_dimension.tolist() == pytest.approx([0.02, 0])
    assert active_units(mean).score == 1
    assert active_units(np.array([[0.0], [2.0]]), threshold=2.0).score == 0


def test_total_correlation_of_a_gaussian_by_hand():
    # Variances 1 and 1 with covariance 0.6, of which 0.25 each is the posteriors': -½ log(1 - 0.36).
    root = np.linalg.cholesky([[0.75, 0.6], [0.6, 0.75]])
    square = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]]) * np.sqrt(3 / 4)  # its covariance is the identity
    result = gaussian_total_correlation(square @ root.T, np.full((4, 2), np.log(0.25)))
    assert result.score == pytest.approx(-0.5 * np.log(1 - 0.36))
    np.testing.assert_allclose(result.correlation, [[1, 0.6], [0.6, 1]])


def test_total_correlation_of_a_gaussian_equals_a_kl_of_torch_distributions():
    from torch.distributions import MultivariateNormal

    covariance = torch.from_numpy(np.cov(MEAN, rowvar=False) + np.diag(np.exp(LOGVAR).mean(0)))
    zero = torch.zeros(6, dtype=torch.float64)
    independent = MultivariateNormal(zero, torch.diag(covariance.diagonal()))
    expected = kl_divergence(MultivariateNormal(zero, covariance), independent).item()
    assert gaussian_total_correlation(MEAN, LOGVAR).score == pytest.approx(expected)


def test_total_correlation_does_not_depend_on_scale_or_order_and_ignores_constants():
    score = gaussian_total_correlation(MEAN, LOGVAR).score
    assert gaussian_total_correlation(3 * MEAN + 1, LOGVAR + 2 * np.log(3)).score == pytest.approx(score)
    assert gaussian_total_correlation(MEAN[:, ::-1], LOGVAR[:, ::-1]).score == pytest.approx(score)
    assert gaussian_total_correlation(MEAN[:, :1], LOGVAR[:, :1]).score == 0
    constant = gaussian_total_correlation(np.c_[MEAN, np.ones(40)], np.c_[LOGVAR, np.zeros(40)])
    assert constant.score == pytest.approx(score)


def test_a_variance_that_overflows_is_no_independence():
    equal = np.random.default_rng(0).normal(size=(100, 1)).repeat(4, 1)
    logvar = np.full((100, 4), -2.0)
    assert gaussian_total_correlation(equal, logvar).score > 2
    logvar[:, 3] = 800
    with pytest.raises(ValueError, match="logvar: row 0 has 800, whose variance overflows beyond 700"):
        gaussian_total_correlation(equal, logvar)


def test_torch_and_numpy_agree():
    tensors = torch.from_numpy(MEAN), torch.from_numpy(LOGVAR)
    np.testing.assert_array_equal(information(*tensors).per_dimension, information(MEAN, LOGVAR).per_dimension)
    np.testing.assert_array_equal(active_units(tensors[0]).per_dimension, active_units(MEAN).per_dimension)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: information(MEAN, LOGVAR[:, :1]), "one shape"),
        (lambda: information(MEAN[0], LOGVAR[0]), r"\(N, D\)"),
        (lambda: information(MEAN[:0], LOGVAR[:0]), r"\(0, 6\)"),
        (lambda: information(MEAN, np.where(LOGVAR > 0, np.nan, LOGVAR)), "NaN"),
        (lambda: active_units(MEAN[:1]), "at least two images"),
        (lambda: gaussian_total_correlation(MEAN[:1], LOGVAR[:1]), "at least two images"),
        (lambda: gaussian_total_correlation(MEAN, LOGVAR[:3]), "one shape"),
        (lambda: active_units(np.full((3, 2), np.nan)), "mean: row 0 holds NaN or infinity"),
        (lambda: gaussian_total_correlation(MEAN, np.where(LOGVAR > 0, np.inf, LOGVAR)), "logvar: row .* infinity"),
        (lambda: active_units(MEAN[:, 0]), r"\(N, D\)"),
        (lambda: active_units(MEAN, -1), "threshold must be finite and not negative"),
        (lambda: information(MEAN, LOGVAR + 800), r"logvar: row 0 has \d+.*overflows"),
        (lambda: gaussian_total_correlation(MEAN[:, :1].repeat(4, 1), np.full((40, 4), -800.0)), "mean: .* infinite"),
        (lambda: gaussian_total_correlation(np.ones((40, 2)), np.full((40, 2), -800.0)), r"logvar\[:, 0\]: .*variance"),
    ],
)
def test_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
