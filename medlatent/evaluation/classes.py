"""Suite ``classes``: what a code says about the class of an image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import disentanglement, downstream
from .columns import LEAST_OTHERS, factor_columns, groups_of, too_few, varied, whole_rows
from .encoded import observe, with_controls

__all__ = ["TOLERANCES", "left_out", "numbers", "observe"]

# See the suite ``factors``. An image may change its cluster, or its side of the perceptron's border.
TOLERANCES = {"mig_p": 5e-3, "clustering_nmi": 1e-2, "few_label_accuracy": 5e-3}


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """The class is the first categorical factor that varies.

    Returns:
        ``mig_p``, of one class against the others, also with ``.rotated`` and ``.shuffled``, see
        :func:`medlatent.evaluation.encoded.with_controls`; ``clustering_nmi``; ``few_label_accuracy``, learnt from the
        images of one tenth of the lesions or patients, for which classes of fewer than ten of them are left out; and
        ``few_label_accuracy.commonest``, that of a guess. Nothing with fewer than 100 images that have all factors, or
        without a class.
    """
    if too_few(images) or (label := _label(images)) is None:
        return {}
    whole = whole_rows(images)
    whose = groups_of(images)[whole]
    mean = observed["mean"][whole].astype(np.float64)
    values: dict[str, float] = {}
    if mean.shape[1] > 1:
        values |= with_controls("mig_p", lambda code: disentanglement.mig_p(code, label).score, mean)
    values["clustering_nmi"] = downstream.clustering_nmi(mean, label).score
    common = _common(label, whose)
    if len(np.unique(label[common])) > 1:
        few = downstream.few_label_accuracy(mean[common], label[common], groups=whose[common])
        values |= {"few_label_accuracy": few.score, "few_label_accuracy.commonest": few.majority}
    return values


def left_out(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, str]:
    """Which of the numbers these images or this code do not give, and why."""
    names, found = ("mig_p", "clustering_nmi", "few_label_accuracy"), {}
    if reason := too_few(images):
        return dict.fromkeys(names, reason)
    if (label := _label(images)) is None:
        return dict.fromkeys(names, f"no categorical factor varies in {LEAST_OTHERS} images or more")
    if observed["mean"].shape[1] < 2:
        found["mig_p"] = "the code has a single dimension, and nothing to compare it with"
    if len(np.unique(label[_common(label, groups_of(images)[whole_rows(images)])])) < 2:
        found["few_label_accuracy"] = f"fewer than two classes are of {LEAST_OTHERS} lesions or patients or more"
    return found


def _label(images: ImageSet) -> np.ndarray | None:
    """The class of each image that has all factors; None where no categorical factor varies among them."""
    columns, _, nominal = factor_columns(images)
    columns = columns[whole_rows(images)]
    classes = columns[:, varied(columns) & nominal]
    return classes[:, 0].astype(int) if classes.shape[1] else None


def _common(label: np.ndarray, whose: np.ndarray) -> np.ndarray:
    """Which images are of a class that enough lesions or patients have."""
    several = np.array([len(np.unique(whose[label == k])) for k in range(label.max() + 1)])
    return several[label] >= LEAST_OTHERS
