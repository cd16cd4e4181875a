"""What the dimensions of a code hold, from the posteriors of a data set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._checks import finite, posterior


@dataclass(frozen=True)
class DimensionScore:
    """A number for the whole code, and the value of each dimension.

    Attributes:
        score: the number for the whole code.
        per_dimension: ``(D,)``, float64.
    """

    score: float
    per_dimension: np.ndarray


def information(mean, logvar) -> DimensionScore:
    """How many nats each dimension transmits about an image: its KL to the prior, averaged over the images.

    The average bounds the mutual information between image and dimension from above (Hoffman and Johnson 2016). A
    dimension at zero has collapsed onto the prior.

    Args:
        mean: ``(N, D)``, NumPy or torch.
        logvar: ``(N, D)``.

    Returns:
        ``score``: the sum over dimensions, the KL term of the ELBO.

    Raises:
        ValueError: the shapes differ, there is no image, or a value is NaN or infinite.
    """
    mean, logvar = posterior(mean, logvar)
    kl = 0.5 * (np.square(mean) + np.exp(logvar) - logvar - 1).mean(0)
    return DimensionScore(float(kl.sum()), kl)


def active_units(mean, threshold: float = 0.01) -> DimensionScore:
    """The number of dimensions whose posterior mean varies over the images (Burda et al. 2016).

    Args:
        mean: the posterior means ``(N, D)``, NumPy or torch, N at least 2.
        threshold: of the variance over the images, not negative; a dimension above it is active.

    Returns:
        ``score``: the count; ``per_dimension``: the variances.

    Raises:
        ValueError: there are fewer than two images, a value is NaN or infinite, or ``threshold`` is
            negative or one of these.
    """
    mean = finite("mean", mean, "(N, D)")
    if len(mean) < 2:
        raise ValueError("mean: a variance needs at least two images")
    if not 0 <= threshold < np.inf:
        raise ValueError(f"threshold must be finite and not negative, got {threshold}")
    variance = mean.var(0, ddof=1)
    return DimensionScore(float((variance > threshold).sum()), variance)


@dataclass(frozen=True)
class GaussianScore:
    """The total correlation of a Gaussian, and where it comes from.

    Attributes:
        score: in nats.
        correlation: of the dimensions, ``(D, D)``.
    """

    score: float
    correlation: np.ndarray


def gaussian_total_correlation(mean, logvar) -> GaussianScore:
    """The total correlation of the Gaussian that has the covariance of the codes, in nats.

    Implements :eq:`eq-independence-4`. The covariance of z ~ q(z|x) over images and noise is that of the posterior
    means plus the mean posterior variances on the diagonal; R holds the correlations that follow from it. Locatello et
    al. (2019) report it so. It sees linear dependence alone: the total correlation of codes that are not jointly
    Gaussian differs. It needs no density of q(z), whose estimate from N images cannot tell codes apart beyond log N.

    Args:
        mean: of the posteriors, ``(N, D)``, NumPy or torch, N at least 2.
        logvar: the logarithm of their variances, ``(N, D)``.

    Raises:
        ValueError: the shapes differ, there are fewer than two images, a value is NaN or infinite, or the codes depend
            on each other so much that the total correlation is infinite but for rounding.
    """
    mean, logvar = posterior(mean, logvar)
    if len(mean) < 2:
        raise ValueError("mean: a covariance needs at least two images")
    covariance = np.atleast_2d(np.cov(mean, rowvar=False)) + np.diag(np.exp(logvar).mean(0))
    deviation = np.sqrt(np.diag(covariance))
    if (still := np.flatnonzero(deviation == 0)).size:
        raise ValueError(
            f"logvar[:, {still[0]}]: this dimension has no variance at all, and no correlation; leave it out"
        )
    correlation = covariance / np.outer(deviation, deviation)
    if np.linalg.matrix_rank(correlation, hermitian=True) < len(correlation):
        raise ValueError(
            "mean: a dimension is a linear function of others, and the total correlation infinite; leave it out"
        )
    _, log_determinant = np.linalg.slogdet(correlation)
    # Rounding alone can bring it below zero.
    return GaussianScore(float(max(0.0, -0.5 * log_determinant)), correlation)
