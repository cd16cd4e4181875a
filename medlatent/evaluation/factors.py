"""Suite ``factors``: how the dimensions of a code and the known factors of the images go together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import disentanglement
from .columns import LEAST_IMAGES, factor_columns, groups_of, varied, whole_rows
from .encoded import observe

__all__ = ["TOLERANCES", "numbers", "observe", "standard_errors"]

HALVES = 40

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


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """The scores of :func:`~medlatent.metrics.disentanglement.report` on :func:`medlatent.evaluation.factor_columns`.

    All dimensions count, inactive ones too. DCI is from random forests of 25 trees; they and the machines of ``sap``
    learn from two thirds of the images, drawn by lesion or patient, and are tested on the others. Images without a
    value of some factor do not count; nor do factors in which fewer than ten images differ from the most frequent
    value.

    Returns:
        ``mig``, ``mig_knn``, ``mig_from_posterior``, ``sap``, ``sap_continuous``, ``modularity``, ``modularity_knn``,
        ``dci_disentanglement``, ``dci_completeness``, ``dci_informativeness``, ``interpretability``, ``scc``,
        ``total_correlation``; and three of them with ``.error``, see ``standard_errors``. Nothing with fewer than
        100 images, without a factor, or with a single dimension.
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
    columns, nominal, whose = columns[:, kept], nominal[kept], groups_of(images)[whole]
    options = {"shuffle": True, "n_jobs": 1, "groups": whose}
    values = disentanglement.report(mean, logvar, columns, nominal, **options).values()
    return values | standard_errors(mean, columns, nominal, whose)


def standard_errors(mean: np.ndarray, columns: np.ndarray, nominal: np.ndarray, whose: np.ndarray) -> dict[str, float]:
    """How far scores would move with other lesions or patients: their standard deviation over random halves of them.

    A half has twice the variance of the whole, but shares half of its images with it, which takes that factor back.
    Drawing with repetition would not do: a row that occurs twice carries information about itself.

    Args:
        mean: of the posteriors, ``(N, D)``.
        columns: the factors, ``(N, K)``.
        nominal: which of them are names, ``(K,)``.
        whose: the lesion or patient of each image, ``(N,)``.

    Returns:
        ``mig.error``; and, with a factor that has an order, ``sap_continuous.error`` and ``scc.error``. A half in which
        a factor does not vary does not count; nothing where fewer than half of the draws do.
    """
    random, found = np.random.default_rng(0), []
    groups = np.unique(whose)
    for _ in range(HALVES):
        half = np.isin(whose, random.permutation(groups)[::2])
        if not varied(columns[half]).all():
            continue
        scores = {"mig": disentanglement.mig(mean[half], columns[half]).score}
        if not nominal.all():
            ordered = columns[half][:, ~nominal]
            scores["sap_continuous"] = disentanglement.sap(mean[half], ordered, kind="continuous").score
            scores["scc"] = disentanglement.scc(mean[half], ordered).score
        found.append(scores)
    if len(found) < HALVES / 2:
        return {}
    return {f"{name}.error": float(np.std([one[name] for one in found], ddof=1)) for name in found[0]}
