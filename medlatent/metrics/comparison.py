"""Comparing two systems over seeds: by Student's t where it may be used, by an exact test of signs elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import stats

from ..options import real
from ._checks import finite, to_numpy

LEAST_NORMAL = 5  # of fewer differences nobody sees whether they are normal
NORMAL = 0.05  # the p value of Shapiro and Wilk's test below which they do not look so
MOST_SIGNS = 20  # differences: the exact test goes through all 2ⁿ signs


class Interval(NamedTuple):
    """A mean and its interval.

    ``mean`` is that of the differences. ``low`` and ``high`` are the ends of the interval, ``-inf`` and ``inf`` where
    nothing can be said; ``level`` is its level, the one that was asked for or what the exact test can reach with so few
    differences. ``test`` is ``"t"``, ``"signs"``, or ``"none"`` where nothing can be said.
    """

    mean: float
    low: float
    high: float
    level: float
    test: str


def paired_interval(differences, level: float = 0.95) -> Interval:
    """The mean of paired differences, and the values of the expected one that they do not exclude.

    Two systems that met the same batches with one seed are compared by the difference of that seed.

    Where at least five differences look normal (Shapiro and Wilk's p above 0.05), it is Student's interval, d̄ ± t s /
    √n. Elsewhere, and so with three seeds, or where one run has collapsed, it is that of the exact test of signs, see
    :func:`compare`: with n differences its level cannot exceed 1 - 2/2ⁿ, 0.75 for three and 0.94 for five. Read
    ``level``: an interval of 0.75 that leaves zero out decides nothing.

    Differences that are equal have no scatter from which an interval could follow: two systems at a ceiling, or two
    runs that are one. Nothing is said of them, nor of a single one.

    Args:
        differences: one a seed, ``(n,)``, NumPy, torch or a list; at most 20 where they do not look normal.
        level: between 0 and 1.

    Raises:
        ValueError: there is no difference, one is NaN or infinite, or ``level`` is out of its range.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    d = finite("differences", differences, "(n)")
    if len(d) < 2 or _equal(d):
        return Interval(float(d.mean()), -math.inf, math.inf, level, "none")
    found = compare(d, level=level)
    return Interval(found.estimate, *found.interval, found.level, found.test)


@dataclass(frozen=True)
class Comparison:
    """What paired differences say. A greater difference speaks for the claim.

    Attributes:
        n: differences.
        estimate: their mean.
        spread: their standard deviation, n - 1 in the denominator.
        interval: of the mean; the ends are included.
        level: of the interval: the one that was asked for, or what the exact test can reach with n seeds.
        test: ``"t"`` or ``"signs"``.
        p: of the null hypothesis.
        paper_p: of the paper's effect, two-sided, or None where it is no number.
    """

    n: int
    estimate: float
    spread: float
    interval: tuple[float, float]
    level: float
    test: str
    p: float
    paper_p: float | None


def compare(
    differences: Sequence[float] | np.ndarray,
    null: float = 0.0,
    paper: float | None = None,
    one_sided: bool = False,
    level: float = 0.95,
) -> Comparison:
    """Tests the mean of paired differences, by Student's t or by the exact test of signs.

    Student's t where there are at least five differences that look normal: Shapiro and Wilk's p is above 0.05. At five
    that sees a collapsed run and not much else. Elsewhere the p values come from all 2ⁿ signs that the differences
    could have had if the two systems were exchangeable, and the interval is the same test turned round (Hartigan 1969).

    A one-sided test is one only in the direction of the claim. Where the mean lies on the other side of the null, what
    is asked is whether the claim is contradicted, which nobody planned for: that p is two-sided. The interval of a
    one-sided test at 95 % is the two-sided one at 90 %, whose lower end is the bound that the test looks at.

    Args:
        differences: one a seed, ``(n,)``, turned so that a greater one speaks for the claim; n is at least 2.
        null: 0, or minus the margin.
        paper: the paper's effect, turned likewise.
        one_sided: whether the null is "not above ``null``" rather than "equal to ``null``".
        level: of the interval, 0.95.

    Raises:
        ValueError: there are fewer than two differences, or more than 20 that do not look normal, whose signs would not
            end; one of them, ``null`` or ``paper`` is NaN or infinite; or ``level`` is not between 0 and 1.
    """
    d = finite("differences", differences, "(n)", at_least=2)
    for name, value in (("level", level), ("null", null), ("paper", 0.0 if paper is None else paper)):
        real(name, value)
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    normal = _look_normal(d)
    if not normal and len(d) > MOST_SIGNS:
        raise ValueError(f"differences: {len(d)} that do not look normal, at most {MOST_SIGNS} can be tested by signs")
    p_values = _t if normal else _signs
    above, below = p_values(d, null)
    p = above if one_sided and d.mean() >= null else min(1.0, 2 * min(above, below))
    paper_p = None if paper is None else min(1.0, 2 * min(p_values(d, paper)))
    tail = (1 - level) * (1 if one_sided else 0.5)  # of each side
    if normal:
        low, high = stats.ttest_1samp(d, 0).confidence_interval(1 - 2 * tail)
        reached = 1 - 2 * tail
    else:
        low, high, reached = _interval_of_signs(d, tail)
    return Comparison(
        n=len(d),
        estimate=float(d.mean()),
        spread=float(d.std(ddof=1)),
        interval=(float(low), float(high)),
        level=reached,
        test="t" if normal else "signs",
        p=p,
        paper_p=paper_p,
    )


def _look_normal(d: np.ndarray) -> bool:
    if len(d) < LEAST_NORMAL or _equal(d):  # rounding looks normal
        return False
    # SciPy takes very small numbers for equal.
    return bool(stats.shapiro((d - d.mean()) / np.ptp(d)).pvalue > NORMAL)


def _equal(d: np.ndarray) -> bool:
    """But for rounding."""
    return bool(np.ptp(d) <= 1e-9 * np.abs(d).max())


def _t(d: np.ndarray, at: float) -> tuple[float, float]:
    """The p values of "the mean is not above ``at``" and of "not below it"."""
    above, below = (stats.ttest_1samp(d, at, alternative=side).pvalue for side in ("greater", "less"))
    return float(above), float(below)


def _signs(d: np.ndarray, at: float) -> tuple[float, float]:
    """The same from all 2ⁿ signs of the differences to ``at``.

    Turning the signs of a subset takes twice its sum off the total. So as many of the 2ⁿ totals reach the observed one
    as there are subsets, the empty one among them, whose sum is not above 0.
    """
    sums = _sums_of_subsets(d - at)
    rounding = 1e-9 * np.abs(d - at).max()
    return float((sums <= rounding).mean()), float((sums >= -rounding).mean())


def _interval_of_signs(d: np.ndarray, tail: float) -> tuple[float, float, float]:
    """The values that the exact test does not exclude, and the level that it can reach with so many seeds.

    "Not above ``at``" is excluded at p = k/2ⁿ where fewer than k means of subsets lie below ``at``: the ends of the
    interval are the k-th lowest and the k-th highest mean of a subset (Hartigan 1969).
    """
    means = np.sort(_sums_of_subsets(d)[1:] / _sums_of_subsets(np.ones(len(d)))[1:])
    k = max(1, math.floor(tail * 2 ** len(d) + 1e-9))
    return float(means[k - 1]), float(means[-k]), 1 - 2 * k / 2 ** len(d)


def _sums_of_subsets(values: np.ndarray) -> np.ndarray:
    """``(2ⁿ,)``, the empty subset first."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums, sums + value])
    return sums


def holm(p: Sequence[float]) -> list[float]:
    """Holm's adjusted p values: whatever is at most 0.05 is false at most once in twenty chapters.

    Raises:
        ValueError: a p value is not between 0 and 1.
    """
    given = to_numpy("p", p)
    p = finite("p", given, "(n)").tolist() if given.shape != (0,) else []
    if wrong := [value for value in p if not 0 <= value <= 1]:
        raise ValueError(f"p: expected values between 0 and 1, got {wrong[0]}")
    adjusted, highest = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        highest = max(highest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = highest
    return adjusted
