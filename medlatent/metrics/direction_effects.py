"""What directions of a latent space do to the known factors of images: how much, to how many, and how steadily.

That directions can be told apart says nothing of what they mean. Here codes are shifted along each direction, the
factors of the pictures are measured, and every direction meets every factor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata, t

from ._checks import finite

LEAST_EFFECT = 0.1  # standard deviations of the factor for a unit of shift: 1.2 from a shift of -6 to one of 6
LEAST_SHARE = 0.5
LEAST_MONOTONICITY = 0.8
ROUNDING = 1e-12  # of the greatest effect: what is smaller is none


@dataclass(frozen=True)
class DirectionEffects:
    """A matrix of directions × factors, and which direction stands for which factor.

    Attributes:
        effect: ``(K, F)``, the mean over codes of a factor's slope: its change for a unit of shift, in the unit that it
            was measured in, such as its standard deviation.
        low, high: ``(K, F)``, the confidence interval of ``effect`` over codes.
        monotonicity: ``(K, F)``, the mean over codes of the rank correlation of factor and shift: 1 where it rises with
            every step from every code, -1 where it falls, about 0 where it goes up from one code and down from another.
        share: ``(K, F)``, the size of an effect over the sum of the sizes of all, or over ``least_effect`` where that
            sum is less: what a direction hardly moves has no large share in it.
        selectivity: ``(K,)``, the greatest share of each direction: 1 where it moves one factor alone, 1/F where it
            moves all alike, near 0 where it hardly moves any.
        matched: ``(F,)``, for each factor the direction that the assignment gives it, or -1 where there are fewer
            directions than factors. No direction stands for two.
        is_found: ``(F,)``, whether that direction moves the factor enough, steadily, and more than the others together.
        found: how many factors are found, the greatest number that any assignment can reach.
        score: the mean over factors of the share of the matched direction, 0 for a factor without one.
    """

    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    monotonicity: np.ndarray
    share: np.ndarray
    selectivity: np.ndarray
    matched: np.ndarray
    is_found: np.ndarray
    found: int
    score: float


def code_effects(measured, shifts) -> tuple[np.ndarray, np.ndarray]:
    """Slope and rank correlation of each factor along each direction, for each code.

    Args:
        measured: the factors of the pictures of shifted codes, ``(N, K, S, F)``: codes, directions, shifts, factors.
        shifts: α, ``(S,)``, rising, at least three; the same for all directions.

    Returns:
        The least-squares slopes of a factor on the shift, ``(N, K, F)``, in its unit for a unit of shift; and
        Spearman's rank correlations of both, ``(N, K, F)``, in [-1, 1], 0 where the factor does not change at all.

    Raises:
        ValueError: a shape is wrong, the shifts do not rise, or a value is NaN or infinite.
    """
    measured, shifts = finite("measured", measured, "(N, K, S, F)"), finite("shifts", shifts, "(S)", at_least=3)
    if measured.shape[2] != len(shifts):
        raise ValueError(f"measured: {measured.shape[2]} shifts in its third dimension, shifts has {len(shifts)}")
    if not (np.diff(shifts) > 0).all():
        raise ValueError(f"shifts must rise, got {shifts.tolist()}")
    along = shifts - shifts.mean()
    if not (reach := np.square(along).sum()) > 0:
        raise ValueError(f"shifts differ by too little to be squared, got {shifts.tolist()}")
    slopes = np.einsum("s,nksf->nkf", along, measured) / reach
    places, ranks = np.arange(len(shifts)) - (len(shifts) - 1) / 2, rankdata(measured, axis=2)
    ranks -= ranks.mean(2, keepdims=True)
    size = np.sqrt(np.square(places).sum() * np.square(ranks).sum(2))
    correlation = np.zeros_like(slopes)
    np.divide(np.einsum("s,nksf->nkf", places, ranks), size, out=correlation, where=size > 0)
    return slopes, correlation


def direction_effects(
    slopes,
    correlations,
    *,
    confidence: float = 0.95,
    least_effect: float = LEAST_EFFECT,
    least_share: float = LEAST_SHARE,
    least_monotonicity: float = LEAST_MONOTONICITY,
) -> DirectionEffects:
    """The matrix directions × factors, and an assignment of directions to factors.

    A direction may stand for a factor if it moves it by ``least_effect`` a unit of shift or more, with the interval on
    one side of 0; if that is ``least_share`` of all that it moves; and if it does so steadily, with a monotonicity of
    ``least_monotonicity`` or more, up or down. Directions are assigned to factors, one each at most, by the Hungarian
    method (Kuhn 1955): so that as many factors as possible are found, and then so that the shares add up to the most.

    The share of a direction that moves nothing to speak of would be that of rounding errors, and often near 1: a code
    dimension that the generator does not use would be the most selective of all. So no share is of less than
    ``least_effect``.

    Effects are compared between factors, so they need one unit: measure each factor in its standard deviations over the
    data. More directions find more factors by chance: compare with as many random ones.

    Args:
        slopes: of each code, ``(N, K, F)``, as :func:`code_effects` gives them, N at least 2.
        correlations: of each code, the same shape.
        confidence: of the intervals, from Student's t over codes.
        least_effect, least_share, least_monotonicity: what it takes to stand for a factor.

    Raises:
        ValueError: a shape is wrong, a value is NaN or infinite, or an argument is out of its range.
    """
    slopes = finite("slopes", slopes, "(N, K, F)", at_least=2)
    correlations = finite("correlations", correlations, "(N, K, F)", at_least=2)
    if slopes.shape != correlations.shape:
        raise ValueError(f"slopes and correlations must have one shape, got {slopes.shape} and {correlations.shape}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    for name, least in (
        ("least_effect", least_effect),
        ("least_share", least_share),
        ("least_monotonicity", least_monotonicity),
    ):
        if not 0 <= least < np.inf:
            raise ValueError(f"{name} must not be negative nor infinite, got {least}")
    n = len(slopes)
    effect, monotonicity = slopes.mean(0), correlations.mean(0)
    reach = t.ppf((1 + confidence) / 2, n - 1) * slopes.std(0, ddof=1) / np.sqrt(n)
    low, high = effect - reach, effect + reach
    size = np.abs(effect)
    size[size <= ROUNDING * size.max()] = 0
    total = size.sum(1, keepdims=True)
    whole = np.maximum(total, least_effect)
    share = np.divide(size, whole, out=np.zeros_like(size), where=whole > 0)
    stands = (size >= least_effect) & (low * high > 0) & (share >= least_share)
    stands &= np.abs(monotonicity) >= least_monotonicity
    # A factor more that is found outweighs all shares together.
    rows, columns = linear_sum_assignment(stands * (size.shape[1] + 1.0) + share, maximize=True)
    matched = np.full(size.shape[1], -1)
    matched[columns] = rows
    assigned = matched >= 0
    is_found, shares = np.zeros(len(matched), bool), np.zeros(len(matched))
    is_found[assigned] = stands[matched[assigned], np.flatnonzero(assigned)]
    shares[assigned] = share[matched[assigned], np.flatnonzero(assigned)]
    return DirectionEffects(
        effect,
        low,
        high,
        monotonicity,
        share,
        share.max(1),
        matched,
        is_found,
        int(is_found.sum()),
        float(shares.mean()),
    )
