"""The total correlation of the aggregate posterior."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...options import whole_options
from ._posterior import _checked_posterior, _log_densities


@dataclass(frozen=True)
class TotalCorrelationScore:
    """A total correlation, and the entropies that it is the difference of.

    Attributes:
        score: the sum of ``marginal_entropy`` minus ``joint_entropy``, in nats.
        standard_error: of the score, from Monte Carlo sampling.
        joint_entropy: of q(z), in nats.
        marginal_entropy: ``(D,)``, of each q(z_j), in nats.
    """

    score: float
    standard_error: float
    joint_entropy: float
    marginal_entropy: np.ndarray


@whole_options(seed=0)
def total_correlation(mean, logvar, samples: int = 2000, seed: int = 0, n_jobs: int = -1) -> TotalCorrelationScore:
    """The total correlation KL(q(z) || Π_j q(z_j)) of the aggregate posterior q(z) = 1/N Σ_n q(z|x_n), by Monte Carlo.

    The third term of equation 2 of Sarhan et al. (2019; in Chen et al. 2018, the second of equation 2), but with all N
    posteriors in place of a batch, so that no estimate of q(z) is weighted: Σ_j H(z_j) - H(z), each entropy the mean of
    -log q over the same samples. The values of the evaluation code of Chen et al. With posteriors much narrower than
    their distances, each sample is told by its own posterior, and the result approaches (D - 1)·log N at most,
    whatever the data; :func:`~medlatent.metrics.gaussian_total_correlation` has no such bound, but sees linear
    dependence only.

    Args:
        mean: of the posteriors, ``(N, D)``, NumPy or torch.
        logvar: the logarithm of their variances, ``(N, D)``, between -600 and 600.
        samples: of q(z). With a multiple of N each image is drawn equally often; with fewer, a random part of them.
            Time goes with ``samples``·N·D.
        seed: of the samples.
        n_jobs: threads; -1 for one per processor. Their number does not change the result.

    Returns:
        The score and its standard error. Near 0, the score may be negative by some standard errors.

    Raises:
        ValueError: ``samples`` < 2, the shapes differ, or a value is not finite.
    """
    mean, logvar = _checked_posterior(mean, logvar)
    return _total_correlation(*_log_densities(mean, logvar, [], samples, seed, n_jobs)[1:])


def _total_correlation(log_joint: np.ndarray, log_marginal: np.ndarray) -> TotalCorrelationScore:
    difference = log_joint - log_marginal.sum(1)
    return TotalCorrelationScore(
        float(difference.mean()),
        float(difference.std(ddof=1) / np.sqrt(len(difference))),
        float(-log_joint.mean()),
        -log_marginal.mean(0),
    )
