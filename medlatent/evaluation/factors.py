"""Suite ``factors``: how the dimensions of a code and the known factors of the images go together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import disentanglement
from .encoded import observe

__all__ = ["TOLERANCES", "factor_columns", "numbers", "observe", "varied", "whole_rows"]

# Numbers that jump when a code crosses the edge of a bin, or a tree splits elsewhere: the absolute difference allowed.
# At least three times the most that they moved when codes were rounded otherwise (by 3e-6 of their range), or phantoms
# (one value in 10 000 by one level), on 195 and on 1 084 images; computing without AVX moved them by less than a third.
TOLERANCES = {
    "mig": 1e-3,
    "mig_knn": 1e-3,
    "mig_from_posterior": 5e-4,
    "sap": 2e-2,  # one prediction is 1/65 of an accuracy
    "modularity": 3e-3,
    "modularity_knn": 3e-3,
    "dci_disentanglement": 3e-3,
    "dci_completeness": 3e-3,
    "dci_informativeness": 1e-2,  # R² can fall far below 0
    "interpretability": 2e-3,
}
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


def varied(columns: np.ndarray) -> np.ndarray:
    """Which columns have enough rows that differ from the most frequent value, ``(K,)``."""
    most = [np.unique(column, return_counts=True)[1].max() for column in columns.T]
    return len(columns) - np.array(most, int) >= LEAST_OTHERS


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """The scores of :func:`~medlatent.metrics.disentanglement.report` on :func:`medlatent.evaluation.factor_columns`.

    All dimensions count, inactive ones too. DCI is from random forests of 25 trees; they and the machines of ``sap``
    learn from two thirds of the images, drawn at random, and are tested on the others. Images without a value of some
    factor do not count; nor do factors in which fewer than ten images differ from the most frequent value.

    Returns:
        ``mig``, ``mig_knn``, ``mig_from_posterior``, ``sap``, ``sap_continuous``, ``modularity``, ``modularity_knn``,
        ``dci_disentanglement``, ``dci_completeness``, ``dci_informativeness``, ``interpretability``, ``scc``,
        ``total_correlation``; nothing with fewer than 100 images, without a factor, or with a single dimension.
    """
    columns, _, nominal = factor_columns(images)
    whole = whole_rows(images)
    if whole.sum() < LEAST_IMAGES or observed["mean"].shape[1] < 2:  # most of them compare dimensions
        return {}
    mean, logvar = (observed[name][whole].astype(np.float64) for name in ("mean", "logvar"))
    columns = columns[whole]
    kept = varied(columns)
    if not kept.any():
        return {}
    return disentanglement.report(mean, logvar, columns[:, kept], nominal[kept], shuffle=True, n_jobs=1).values()
