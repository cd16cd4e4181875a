"""Suite ``factors``: how the dimensions of a code and the known factors of the images go together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import disentanglement
from .columns import LEAST_OTHERS, factor_columns, groups_of, too_few, varied, whole_rows
from .encoded import observe

__all__ = ["TOLERANCES", "left_out", "numbers", "observe", "standard_errors"]

HALVES = 40
# Of the numbers, those that need a factor whose values have an order, and those that need several factors.
ORDERED = ("mig_knn", "sap_continuous", "modularity_knn", "interpretability", "scc")
SEVERAL = ("modularity", "dci_disentanglement", "dci_completeness", "dci_informativeness")
ALL = ("mig", "mig_from_posterior", "sap", *SEVERAL, *ORDERED, "total_correlation")

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
    if _reason(observed, images):
        return {}
    columns, _, nominal = _that_vary(images)
    whole = whole_rows(images)
    mean, logvar = (observed[name][whole].astype(np.float64) for name in ("mean", "logvar"))
    whose = groups_of(images)[whole]
    options = {"shuffle": True, "n_jobs": 1, "groups": whose}
    values = disentanglement.report(mean, logvar, columns, nominal, **options).values()
    return values | standard_errors(mean, columns, nominal, whose)


def left_out(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, str]:
    """Which of the numbers these images or this code do not give, and which factors do not count, and why."""
    if reason := _reason(observed, images):
        return dict.fromkeys(ALL, reason)
    columns, names, nominal = _that_vary(images)
    same = f"does not count: fewer than {LEAST_OTHERS} images differ from its most frequent value"
    found = {f"factor {name}": same for name in factor_columns(images)[1] if name not in names}
    if len(names) == 1:
        found |= dict.fromkeys(SEVERAL, "there is a single factor, and nothing to compare it with")
    if (~nominal).sum() == 1:
        found["modularity_knn"] = "a single factor has values with an order, and nothing to compare it with"
    if nominal.all():
        found |= dict.fromkeys(ORDERED, "no factor has values with an order")
    if not any(disentanglement._is_categorical(column) for column in columns.T):
        found["sap"] = "no factor has names or whole numbers for values; sap_continuous is of the others"
    if not _halves(columns, groups_of(images)[whole_rows(images)]):
        errors = ["mig.error", *(["sap_continuous.error", "scc.error"] if not nominal.all() else [])]
        found |= dict.fromkeys(errors, "a factor does not vary in half of the lesions or patients")
    return found


def _that_vary(images: ImageSet) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The factors that vary among the images that have all, as :func:`medlatent.evaluation.factor_columns`."""
    columns, names, nominal = factor_columns(images)
    columns = columns[whole_rows(images)]
    kept = varied(columns)
    return columns[:, kept], [name for name, is_kept in zip(names, kept, strict=True) if is_kept], nominal[kept]


def _reason(observed: Mapping[str, np.ndarray], images: ImageSet) -> str:
    """Why there are no numbers; empty where there are."""
    if reason := too_few(images):
        return reason
    if observed["mean"].shape[1] < 2:  # most of them compare dimensions
        return "the code has a single dimension, and nothing to compare it with"
    if not _that_vary(images)[1]:
        return f"no factor varies: fewer than {LEAST_OTHERS} images differ from the most frequent value of any"
    return ""


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
    found = []
    for half in _halves(columns, whose):
        scores = {"mig": disentanglement.mig(mean[half], columns[half]).score}
        if not nominal.all():
            ordered = columns[half][:, ~nominal]
            scores["sap_continuous"] = disentanglement.sap(mean[half], ordered, kind="continuous").score
            scores["scc"] = disentanglement.scc(mean[half], ordered).score
        found.append(scores)
    if not found:
        return {}
    return {f"{name}.error": float(np.std([one[name] for one in found], ddof=1)) for name in found[0]}


def _halves(columns: np.ndarray, whose: np.ndarray) -> list[np.ndarray]:
    """Random halves of the lesions or patients in which all factors vary, as masks ``(N,)``; none if too few do."""
    random, groups = np.random.default_rng(0), np.unique(whose)
    halves = [np.isin(whose, random.permutation(groups)[::2]) for _ in range(HALVES)]
    halves = [half for half in halves if varied(columns[half]).all()]
    return halves if len(halves) >= HALVES / 2 else []
