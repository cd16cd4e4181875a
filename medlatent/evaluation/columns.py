"""The factors of an image set, as columns that metrics can take."""

from __future__ import annotations

import numpy as np

from ..data import ImageSet

LEAST_IMAGES = 100  # that have all factors; fewer say nothing about 20 bins
LEAST_OTHERS = 10  # images with another than a factor's most frequent value


def factor_columns(images: ImageSet) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The factors of an image set as the metrics of disentanglement take them.

    Continuous and binary factors enter as they are. Of an angle of period p, which has no order and no place where it
    may be cut, enter the cosine and the sine of 2π/p times the angle: of 2θ for the axis of a lesion. A categorical
    factor enters as the number of its value, which is a name.

    Returns:
        The columns ``(N, K)``, float64; their names; and ``(K,)``, which of them are names. A missing value is NaN.
    """
    columns, names, nominal = [], [], []
    for name, factor in images.factors.items():
        column = images.factor_matrix([name])[:, 0]
        if factor.period is not None:  # an angle
            turned = 2 * np.pi / factor.period * column
            columns += [np.cos(turned), np.sin(turned)]
            names += [f"{name}_cos", f"{name}_sin"]
            nominal += [False, False]
        else:
            columns.append(column)
            names.append(name)
            nominal.append(factor.kind == "categorical")
    return np.stack(columns, 1) if columns else np.empty((len(images), 0)), names, np.array(nominal, bool)


def whole_rows(images: ImageSet) -> np.ndarray:
    """Which images have a value of every factor, ``(N,)``."""
    return np.isfinite(factor_columns(images)[0]).all(1)


def too_few(images: ImageSet) -> str:
    """Why numbers that need every factor of many images cannot be computed; empty where they can."""
    if not images.factors:
        return "the images have no factors"
    count = int(whole_rows(images).sum())
    if count >= LEAST_IMAGES:
        return ""
    return f"{count} of {len(images)} images have a value of every factor, at least {LEAST_IMAGES} are needed"


def groups_of(images: ImageSet) -> np.ndarray:
    """Whose each image is, ``(N,)``, numbered from 0; each its own where the set does not say."""
    if images.group is None:
        return np.arange(len(images))
    return np.unique(images.table[images.group].to_numpy(), return_inverse=True)[1]


def varied(columns: np.ndarray) -> np.ndarray:
    """Which columns have enough rows that differ from the most frequent value, ``(K,)``."""
    most = [np.unique(column, return_counts=True)[1].max() for column in columns.T]
    return len(columns) - np.array(most, int) >= LEAST_OTHERS
