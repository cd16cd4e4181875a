"""Modularity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...options import whole_options
from ._shared import _checked
from .information import _mutual_information


@dataclass(frozen=True)
class ModularityScore:
    """A modularity.

    Attributes:
        score: the mean over all dimensions.
        per_dimension: ``(D,)``; 0 where a dimension knows nothing about any factor.
        mutual_information: ``(D, K)``, in nats.
    """

    score: float
    per_dimension: np.ndarray
    mutual_information: np.ndarray


@whole_options(seed=0)
def modularity(
    codes,
    factors,
    estimator: str = "bins",
    bins: int = 20,
    neighbours: int = 3,
    kind: str = "continuous",
    seed: int = 0,
) -> ModularityScore:
    """The modularity of Ridgeway and Mozer (2018): whether each dimension depends on one factor only.

    Implements :eq:`eq-measuring-7`.

    1 - Σ_{k≠k*} I(z_j; v_k)² / (I(z_j; v_k*)²·(K - 1)), where k* is the factor that dimension j knows most about. A
    dimension which knows nothing at all has 0, and all dimensions count. One that knows almost nothing, about
    whatever factor chance gave it, counts in full: noise may score high. ``"bins"`` gives the values of
    disentanglement_lib, ``"knn"`` those of ar-vae, on which Di Folco et al. (2024) build.

    Args:
        codes: ``(N, D)``, NumPy or torch.
        factors: ``(N, K)``, K at least 2.
        estimator: ``"bins"`` or ``"knn"``; this and what follows as in :func:`mutual_information_matrix`.
        bins: per code, and per continuous factor.
        neighbours: k.
        kind: ``"continuous"`` or ``"discrete"``.
        seed: of the noise of ``"knn"``.

    Returns:
        The score, in [0, 1].

    Raises:
        ValueError: there is one factor, a factor is constant, N is too small for the estimator, a shape is wrong, or a
            value is not finite.
    """
    codes, factors = _checked(codes, factors, varied=True, least_factors=2)
    return _modularity(_mutual_information(codes, factors, estimator, bins, neighbours, kind, seed).mutual_information)


def _modularity(information: np.ndarray) -> ModularityScore:
    # Divided by the largest before squaring: the square of a tiny one would vanish.
    largest = information.max(1, keepdims=True)
    share = np.divide(information, largest, out=np.zeros_like(information), where=largest > 0)
    others = np.square(share).sum(1) - 1
    per_dimension = np.where(largest[:, 0] > 0, 1 - others / (information.shape[1] - 1), 0.0)
    return ModularityScore(float(per_dimension.mean()), per_dimension, information)
