"""The decomposition of the KL term by Chen et al. (2018), estimated from one batch.

Averaged over the data, the KL of the posterior to the prior is the sum of the mutual information of image and code, the
total correlation of the code, and the KL of each dimension to its prior (Chen et al. 2018, equation 2). All three need
the aggregate posterior q(z) = 1/N Σ q(z|x_i) over the N training images. A batch of B of them gives an estimate, by
minibatch-weighted sampling (appendix C.1) or by minibatch-stratified sampling (appendix C.2).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from ..options import whole_options

ESTIMATORS = ("mss", "mws")
LOG_2PI = math.log(2 * math.pi)


class KLDecomposition(NamedTuple):
    """The three terms, scalars in nats: averages over the batch. Their sum is the Monte Carlo estimate of the KL."""

    mutual_information: Tensor
    total_correlation: Tensor
    dimension_wise_kl: Tensor


def gaussian_log_density(z: Tensor, mean: Tensor, logvar: Tensor) -> Tensor:
    """log N(z; mean, exp(logvar)), element by element, in nats.

    Args:
        z: any shape.
        mean: a shape that broadcasts with it.
        logvar: the logarithm of the variance, likewise.

    Returns:
        The shape that the three broadcast to; nothing is summed.
    """
    return -0.5 * (LOG_2PI + logvar + ((z - mean) * torch.exp(-0.5 * logvar)).square())


@whole_options()
def log_importance_weights(
    batch_size: int,
    dataset_size: int,
    estimator: str,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The logarithm of the weight that posterior i of a batch has in the estimate of q(z) at sample m.

    Implements :eq:`eq-independence-7` and :eq:`eq-independence-8`. With B images a batch, N in the data and M = B - 1:

    - ``"mws"``, Chen et al. (2018), appendix C.1: 1/(B·N) everywhere. The rows sum to 1/N only: log q(z) is
      estimated from below.
    - ``"mss"``, appendix C.2: 1/N for the posterior that z was drawn from, (N - M)/(N·M) for one other, 1/M for the
      rest. Each row sums to 1. If the batch is drawn without replacement and in random order, the estimate of q(z) is
      unbiased; that of log q(z) is not, since the logarithm is concave.

    Args:
        batch_size: B; at least 2 for ``"mss"``.
        dataset_size: N, at least B.
        estimator: ``"mss"`` or ``"mws"``.
        device: of the result.
        dtype: of the result.

    Returns:
        ``(B, B)``: a row for each sample, a column for each posterior.

    Raises:
        ValueError: the estimator is unknown, or a size is out of its range.
    """
    if estimator not in ESTIMATORS:
        raise ValueError(f"estimator {estimator!r} is unknown: use one of {', '.join(ESTIMATORS)}")
    fewest = 2 if estimator == "mss" else 1
    if batch_size < fewest:
        raise ValueError(f"batch_size must be at least {fewest} for the estimator {estimator!r}, got {batch_size}")
    if dataset_size < batch_size:
        raise ValueError(f"dataset_size must be at least the batch's {batch_size}, got {dataset_size}")
    shape = (batch_size, batch_size)
    if estimator == "mws":
        return torch.full(shape, -math.log(batch_size * dataset_size), device=device, dtype=dtype)
    others = batch_size - 1
    weights = torch.full(shape, -math.log(others), device=device, dtype=dtype)
    weights.fill_diagonal_(-math.log(dataset_size))
    stratum = math.log((dataset_size - others) / (dataset_size * others))
    weights.diagonal(1).fill_(stratum)  # the column after the diagonal's,
    weights[-1, 0].fill_(stratum)  # in the last row the first
    return weights


@whole_options()
def kl_decomposition(
    z: Tensor, mean: Tensor, logvar: Tensor, dataset_size: int, estimator: str = "mss"
) -> KLDecomposition:
    """Mutual information, total correlation and dimension-wise KL, Chen et al. (2018), equation 2, from one batch.

    Implements :eq:`eq-independence-5` and :eq:`eq-adversarial-vae-2`. With log q(z) and log q(z_j) estimated under the
    weights of :func:`log_importance_weights`, the terms are the averages over the batch of log q(z|x) - log q(z), log
    q(z) - Σ_j log q(z_j) and Σ_j log q(z_j) - log p(z). The estimates of q(z) cancel in the sum. Each term alone is a
    biased estimate, so that the total correlation of a small batch may be negative.

    Every argument receives gradients, through all three terms. Call it outside of autocast, with float32 or float64.

    Args:
        z: one sample of each posterior, ``(B, D)``.
        mean: of the posteriors, ``(B, D)``.
        logvar: the logarithm of their variances, ``(B, D)``.
        dataset_size: the number N of training images.
        estimator: ``"mss"`` or ``"mws"``.

    Returns:
        Three scalars in nats per image. Three arrays of ``(B, B, D)`` are held for the gradient.

    Raises:
        ValueError: the shapes differ, the estimator is unknown, or a size is out of its range.
    """
    if z.ndim != 2 or not z.shape == mean.shape == logvar.shape:
        shapes = ", ".join(str(tuple(t.shape)) for t in (z, mean, logvar))
        raise ValueError(f"z, mean and logvar must have one shape (B, D), got {shapes}")
    weights = log_importance_weights(len(z), dataset_size, estimator, device=z.device, dtype=z.dtype)

    # Differences of all pairs. Sufficient statistics times natural parameters, a product of matrices, would subtract
    # numbers as large as 1/variance from each other: in float32 a nat is lost where posteriors are narrow.
    pairs = gaussian_log_density(z.unsqueeze(1), mean, logvar)  # (B, B, D): of sample m under posterior i, dimension j

    log_posterior = gaussian_log_density(z, mean, logvar).sum(1).mean()
    log_aggregate = torch.logsumexp(weights + pairs.sum(2), 1).mean()
    log_marginals = torch.logsumexp(weights.unsqueeze(2) + pairs, 1).sum(1).mean()
    log_prior = -0.5 * (z.square() + LOG_2PI).sum(1).mean()
    return KLDecomposition(log_posterior - log_aggregate, log_aggregate - log_marginals, log_marginals - log_prior)
