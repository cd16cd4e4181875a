"""What the explorer's view *label* asks for: the names of directions, which the reader has to find blind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral

import numpy as np

from ..metrics.direction_effects import LEAST_EFFECT, LEAST_SHARE
from .directions import Directions

ASKED = 6  # directions, unless the author says which
SEVERAL, NOTHING = -1, -2  # the labels beside the factors, which are counted from 0: several at once, nothing


def directions_to_label(sets: Mapping[str, Directions], columns: Sequence[int] | None = None) -> dict[str, object]:
    """The directions of the first set that a reader labels, as the front end reads them, in a shuffled order.

    With the effects e of a direction on the factors, the share of factor f is \\|e_f\\| / Σ \\|e\\|; a sum below 0.1 sd
    counts as 0.1 sd, as in :func:`medlatent.metrics.direction_effects.direction_effects`. The shuffling is always the
    same, so that a page can be made again.

    Args:
        sets: the explorer's sets of directions, by name.
        columns: which columns of the first set's A; by default six: those with the greatest share of one factor, no two
            of the same factor as long as there are others; all of them where there are fewer.

    Returns:
        ``asked``: of each direction its ``column``; the ``factor`` of the largest share, by its number; that ``share``;
        and the labels that ``agree`` with it. Where some factor changes by 0.1 sd or more per unit of shift, those are
        the factor and, if it has less than half, -1 for several at once; elsewhere -2 alone, for nothing. ``effect``
        and ``share`` are these two limits.

    Raises:
        ValueError: there are no directions or fewer than two; the first set has no effects, fewer than two factors, or
            effects in other units than their standard deviations; a column is named twice or is not there.
    """
    if not sets:
        raise ValueError("label: there are no directions to label; pass directions with effects and factors")
    name, first = next(iter(sets.items()))
    of = f" {name!r}" if name else ""
    if first.effects is None:
        raise ValueError(
            f"label: the first set{of} has no effects to compare the labels with; put one that was measured first"
        )
    if len(first.factors) < 2:
        raise ValueError(f"label: the first set{of} has the factor {first.factors[0]!r} alone; two or more are needed")
    if other := [pair for pair in zip(first.factors, first.units, strict=True) if pair[1] != "sd"]:
        factor, unit = other[0]
        raise ValueError(
            f"label: effects are compared between factors, so they need one unit, 'sd', but {factor!r} is in {unit!r}; "
            "divide each effect by the factor's standard deviation"
        )
    size = np.abs(first.effects.astype(float))
    share = size / np.maximum(size.sum(1, keepdims=True), LEAST_EFFECT)
    columns = _clearest(share) if columns is None else _columns(columns, len(size), of)
    if len(columns) < 2:
        raise ValueError(f"label: at least two directions are needed, got {columns}")
    shuffled = np.random.default_rng(0).permutation(columns).tolist()
    asked = [_measured(k, size[k], share[k]) for k in shuffled]
    return {"asked": asked, "effect": LEAST_EFFECT, "share": LEAST_SHARE}


def _measured(column: int, size: np.ndarray, share: np.ndarray) -> dict[str, object]:
    factor = int(share.argmax())
    several = [SEVERAL] if share[factor] < LEAST_SHARE else []
    agree = [factor, *several] if size[factor] >= LEAST_EFFECT else [NOTHING]
    return {"column": column, "factor": factor, "share": float(share[factor]), "agree": agree}


def _clearest(share: np.ndarray) -> list[int]:
    """By the greatest share; whose factor nobody has had yet, before the rest."""
    by_share = np.argsort(-share.max(1), kind="stable").tolist()
    factors: set[int] = set()
    clear, rest = [], []
    for k in by_share:
        factor = int(share[k].argmax())
        (rest if factor in factors else clear).append(k)
        factors.add(factor)
    return (clear + rest)[:ASKED]


def _columns(columns: Sequence[int], count: int, of: str) -> list[int]:
    fits = isinstance(columns, Sequence | np.ndarray) and not isinstance(columns, str)
    if not fits or not all(isinstance(k, Integral) and not isinstance(k, bool) for k in columns):
        raise ValueError(f"label: expected the numbers of columns of A, got {columns!r}")
    found = [int(k) for k in columns]
    if unknown := [k for k in found if not 0 <= k < count]:
        raise ValueError(f"label: there is no column {unknown[0]}, the first set{of} has {count}, counted from 0")
    if repeated := [k for k in found if found.count(k) > 1]:
        raise ValueError(f"label: column {repeated[0]} is named more than once")
    return found
