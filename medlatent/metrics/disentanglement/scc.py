"""Spearman's correlation of attributes and dimensions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from ._shared import _checked, _correlation


@dataclass(frozen=True)
class SCCScore:
    """How monotonically a dimension follows an attribute.

    Attributes:
        score: the mean over the attributes.
        per_attribute: ``(K,)``, the largest correlation of each attribute with a dimension.
        dimension: ``(K,)``, the dimension that has it.
        correlation: ``(D, K)``, absolute values; 0 where insignificant.
    """

    score: float
    per_attribute: np.ndarray
    dimension: np.ndarray
    correlation: np.ndarray


def scc(codes, attributes, significance: float | None = 0.05, corrected: bool = False) -> SCCScore:
    """The largest absolute Spearman correlation of an attribute with a dimension, mean over the attributes.

    Implements :eq:`eq-measuring-10`.

    As Di Folco et al. (2024, table 2) describe it. The code of ar-vae, whose values these are, also sets correlations
    with p > 0.05 to 0, which the paper does not say; ``significance=None`` leaves them.

    That rule looks at one dimension at a time, and the score at the best of D. Of D dimensions of pure noise the best
    passes with a probability of 1 - 0.95^D: 0.40 for ten, 0.81 for 32. ``corrected=True`` holds p against 0.05 / D
    (Bonferroni), which noise passes in at most one of twenty attributes, whatever D.

    Args:
        codes: ``(N, D)``, NumPy or torch, N at least 3.
        attributes: ``(N, K)``; categories are taken as the numbers they are. Equal values share their mean rank.
        significance: correlations with a larger p-value, two-sided by Student's t, are set to 0; ``None`` for all to
            stay.
        corrected: whether ``significance`` is shared among the dimensions. ar-vae does not.

    Returns:
        The score, in [0, 1].

    Raises:
        ValueError: an attribute is constant, N < 3, ``significance`` is outside of [0, 1], a shape is wrong, or a
            value is not finite.
    """
    return _scc(*_checked(codes, attributes, name="attributes", varied=True), significance, corrected)


def _scc(codes: np.ndarray, attributes: np.ndarray, significance: float | None, corrected: bool = False) -> SCCScore:
    if len(codes) < 3:
        raise ValueError(f"codes: a correlation's significance needs at least 3 rows, got {len(codes)}")
    correlation = np.abs(_correlation(stats.rankdata(codes, axis=0), stats.rankdata(attributes, axis=0)))
    if significance is not None:
        if not 0 <= significance <= 1:
            raise ValueError(f"significance must be between 0 and 1, or None, got {significance}")
        significance /= codes.shape[1] if corrected else 1
        freedom = len(codes) - 2
        with np.errstate(divide="ignore"):  # of a perfect correlation, whose p-value is 0
            t = correlation * np.sqrt(freedom / ((1 - correlation) * (1 + correlation)))
        correlation = np.where(2 * stats.t.sf(t, freedom) > significance, 0.0, correlation)
    largest = correlation.max(0)
    return SCCScore(float(largest.mean()), largest, correlation.argmax(0), correlation)
