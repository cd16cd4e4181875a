"""What several of the metrics ask of codes and factors, and do with them."""

from __future__ import annotations

import numpy as np

from .._checks import finite, group_labels

SUMMABLE = 1e300  # in size: codes and factors are scaled before they are squared, and summed as they are
LEARNABLE = 1e30  # in size: trees compute in float32, and a support vector machine may not come to an end


def _checked(
    codes,
    factors,
    name: str = "factors",
    varied: bool = False,
    least_dimensions: int = 1,
    least_factors: int = 1,
    largest: float = SUMMABLE,
) -> tuple[np.ndarray, np.ndarray]:
    codes, factors = finite("codes", codes, "(N, D)", largest=largest), finite(name, factors, "(N, K)", largest=largest)
    if len(codes) != len(factors):
        raise ValueError(f"codes and {name} must have the same number of rows, got {len(codes)} and {len(factors)}")
    if codes.shape[1] < least_dimensions:
        raise ValueError(f"codes: dimensions are compared, at least {least_dimensions} are needed, got 1")
    if factors.shape[1] < least_factors:
        raise ValueError(f"{name}: factors are compared, at least {least_factors} are needed, got 1")
    if varied and (k := np.flatnonzero(np.ptp(factors, axis=0) == 0)).size:
        raise ValueError(f"{name}[:, {k[0]}] is constant: there is nothing to know about it, leave it out")
    return codes, factors


def _is_categorical(factor: np.ndarray, bins: int = 20) -> bool:
    return bool((factor == np.round(factor)).all()) or len(np.unique(factor)) <= bins


BINNINGS = ("width", "count")


def _binned(columns: np.ndarray, bins: int, binning: str = "width") -> np.ndarray:
    """The bin of each value, 0 to bins - 1, a value on an edge in the upper one.

    Bins of equal width from the least to the largest value, which an outlier makes as wide as it is far; or of equal
    count, between quantiles, where values that occur often make some bins empty.
    """
    if binning not in BINNINGS:
        raise ValueError(f"binning {binning!r} is unknown: use one of {', '.join(BINNINGS)}")
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")
    if len(columns) < bins:
        raise ValueError(f"bins: {len(columns)} rows cannot fill {bins} bins; give more rows or fewer bins")
    if binning == "width":
        edges = np.linspace(columns.min(0), columns.max(0), bins + 1)[1:-1]
    else:
        edges = np.quantile(columns, np.linspace(0, 1, bins + 1)[1:-1], axis=0, method="higher")
    return np.stack([np.searchsorted(*pair, side="right") for pair in zip(edges.T, columns.T, strict=True)], 1)


def _labels(factors: np.ndarray, bins: int, binning: str = "width") -> list[np.ndarray]:
    """Each factor's categories, numbered from 0."""
    labels = []
    for factor in factors.T:
        low, whole = factor.min(), bool((factor == np.round(factor)).all())
        if whole and factor.max() - low < len(factor):
            label = (factor - low).astype(np.int64)  # numbers between may be missing: no count, no harm
        elif whole or _is_categorical(factor, bins):
            label = np.unique(factor, return_inverse=True)[1]
        else:
            label = _binned(factor[:, None], bins, binning)[:, 0]
        labels.append(label)
    return labels


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's, of each column of a with each of b; 0 where one is constant."""
    unit = []
    for columns in (a, b):
        # A mean is rounded: what it leaves of a constant is not a deviation.
        centred = np.where(np.ptp(columns, axis=0) == 0, 0.0, columns - columns.mean(0))
        largest = np.abs(centred).max(0)
        centred = centred / np.where(largest > 0, largest, 1.0)  # so that squares neither overflow nor vanish
        norm = np.sqrt(np.square(centred).sum(0))
        unit.append(centred / np.where(norm > 0, norm, 1.0))
    return np.clip(unit[0].T @ unit[1], -1.0, 1.0)


def _gap(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each column, the row of the largest entry, and by how much it exceeds the second largest."""
    second, first = np.sort(matrix, axis=0)[-2:]
    return matrix.argmax(0), first - second


def _split(
    factors: np.ndarray, train_fraction: float, shuffle: bool, seed: int, groups=None
) -> tuple[np.ndarray, np.ndarray]:
    """Training rows and test rows; of a group all rows are one or the other."""
    whose = group_labels(groups, len(factors))
    count = whose.max() + 1
    if not 0 < train_fraction < 1:
        raise ValueError(f"train_fraction must be between 0 and 1, got {train_fraction}")
    if count == len(factors):
        rows = np.random.default_rng(seed).permutation(len(factors)) if shuffle else np.arange(len(factors))
        cut = int(train_fraction * len(factors) + 1e-9)  # 2/3 of 3 rows is 2, rounding apart
    else:
        first = np.unique(whose, return_index=True)[1]  # as they come, or in random order
        place = np.random.default_rng(seed).permutation(count) if shuffle else np.argsort(np.argsort(first))
        rows = np.argsort(place[whose], kind="stable")
        # Whole groups, until they have the share of the rows or more; the last one is always left to be tested on.
        ends = np.cumsum(np.bincount(place[whose]))
        enough = np.searchsorted(ends, train_fraction * len(factors) - 1e-9)
        cut = int(ends[min(enough, max(count - 2, 0))])
    train, test = np.split(rows, [cut])
    if not len(train) or not len(test):
        raise ValueError(
            f"train_fraction {train_fraction} of {len(factors)} rows leaves none to train on or to test on"
        )
    if (k := np.flatnonzero(np.ptp(factors[train], axis=0) == 0)).size:
        raise ValueError(
            f"factors[:, {k[0]}] is constant in the {len(train)} training rows; shuffle=True mixes sorted rows"
        )
    return train, test
