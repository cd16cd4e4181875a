"""Densities of the aggregate posterior q(z), by Monte Carlo."""

from __future__ import annotations

import math
from contextlib import contextmanager

import numpy as np
import torch
from joblib import Parallel, delayed

from .._checks import not_larger, posterior
from ._shared import SUMMABLE, _checked

ELEMENTS = 2**18  # of a sample-by-posterior matrix that a thread holds: 2 MiB
LARGEST_LOGVAR = 600.0  # beyond it, the density of a sample leaves the range of float64
LOG_2PI = math.log(2 * math.pi)


def _checked_posterior(mean, logvar) -> tuple[np.ndarray, np.ndarray]:
    mean, logvar = posterior(mean, logvar)
    if np.abs(logvar).max() > LARGEST_LOGVAR:
        raise ValueError(f"logvar: the density overflows beyond ±{LARGEST_LOGVAR:g}; clamp it")
    return mean, logvar


def _checked_with_factors(
    mean, logvar, factors, largest: float = SUMMABLE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    mean, logvar = _checked_posterior(mean, logvar)
    not_larger("mean", mean, largest)
    if mean.shape[1] < 2:
        raise ValueError("mean: dimensions are compared, at least 2 are needed, got 1")
    return mean, logvar, _checked(mean, factors, varied=True, largest=largest)[1]


def _log_densities(
    mean: np.ndarray, logvar: np.ndarray, labels: list[np.ndarray], samples: int, seed: int, n_jobs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of samples z of q(z), with the categories of their images: log q(z_j | v_k) / q(z_j); log q(z); log q(z_j).

    Of the shapes ``(S, D, K)``, ``(S,)`` and ``(S, D)``.
    """
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples}")
    count, dimensions = mean.shape
    random = np.random.default_rng(seed)
    image = torch.from_numpy(np.resize(random.permutation(count), samples))
    noise = torch.from_numpy(random.standard_normal((samples, dimensions)))
    mean, logvar = torch.tensor(mean), torch.tensor(logvar)
    z = mean[image] + torch.exp(0.5 * logvar[image]) * noise
    centre, scale, constant = (x.T.contiguous() for x in (mean, torch.exp(-0.5 * logvar), -0.5 * (LOG_2PI + logvar)))

    # One product with these columns averages densities over all images, and over those of each category.
    values = [label.max() + 1 for label in labels]
    first = 1 + np.cumsum([0, *values])  # the column of a factor's first category
    category = torch.from_numpy(np.stack(labels, 1) + first[:-1] if labels else np.empty((count, 0), np.int64))
    weights = torch.zeros(count, first[-1], dtype=torch.float64)
    weights[:, 0] = 1.0
    weights.scatter_(1, category, 1.0)
    weights /= weights.sum(0).clamp_min_(1.0)  # whole numbers between a factor's values may be missing

    information = torch.empty(samples, dimensions, len(labels), dtype=torch.float64)
    log_joint = torch.empty(samples, dtype=torch.float64)
    log_marginal = torch.empty(samples, dimensions, dtype=torch.float64)

    def fill(rows: slice) -> None:
        joint = torch.zeros(len(z[rows]), count, dtype=torch.float64)
        density = torch.empty_like(joint)
        for j in range(dimensions):
            torch.sub(z[rows, j, None], centre[j], out=density).mul_(scale[j])
            torch.addcmul(constant[j], density, density, value=-0.5, out=density)
            joint += density
            # A sample's own posterior is in every sum, so that none underflows.
            averages = density.exp_() @ weights
            log_marginal[rows, j] = averages[:, 0].log()
            information[rows, j] = torch.log(averages.gather(1, category[image[rows]]) / averages[:, :1])
        log_joint[rows] = torch.logsumexp(joint, 1) - np.log(count)

    step = max(1, ELEMENTS // count)
    with _one_torch_thread():
        Parallel(n_jobs=n_jobs, prefer="threads")(
            delayed(fill)(slice(start, start + step)) for start in range(0, samples, step)
        )
    return information.numpy(), log_joint.numpy(), log_marginal.numpy()


@contextmanager
def _one_torch_thread():
    """For threads that call PyTorch: those that it would begin on its own would wait for each other at every step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
