"""Comparing two systems over seeds."""

from __future__ import annotations

import math
from typing import NamedTuple

from scipy import stats

from ._checks import finite


class Interval(NamedTuple):
    """A mean and its interval; ``low`` and ``high`` are infinite where there is a single value."""

    mean: float
    low: float
    high: float


def paired_interval(differences, level: float = 0.95) -> Interval:
    """The mean of paired differences and its t interval, d̄ ± t s / √n.

    Two systems that met the same batches with one seed are compared by the difference of that seed. If differences are
    roughly normal, the interval covers the expected one in ``level`` of such experiments.

    Args:
        differences: one a seed, ``(n,)``, NumPy, torch or a list.
        level: between 0 and 1.

    Raises:
        ValueError: there is no difference, one is NaN or infinite, or ``level`` is out of its range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    d = finite("differences", differences, "(n)")
    if len(d) < 2:
        return Interval(float(d[0]), -math.inf, math.inf)
    half = stats.t.ppf(0.5 + level / 2, len(d) - 1) * d.std(ddof=1) / math.sqrt(len(d))
    return Interval(float(d.mean()), float(d.mean() - half), float(d.mean() + half))
