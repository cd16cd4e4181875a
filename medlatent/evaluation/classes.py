"""Suite ``classes``: what a code says about the class of an image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import disentanglement, downstream
from .columns import LEAST_IMAGES, LEAST_OTHERS, factor_columns, varied, whole_rows
from .encoded import observe

__all__ = ["TOLERANCES", "numbers", "observe"]

# See the suite ``factors``. An image may change its cluster, or its side of the perceptron's border.
TOLERANCES = {"mig_p": 5e-3, "clustering_nmi": 1e-2, "few_label_accuracy": 5e-3}


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """The class is the first categorical factor that varies.

    Returns:
        ``mig_p``, of one class against the others; ``clustering_nmi``; ``few_label_accuracy``, for which classes of
        fewer than ten images are left out, since each of the ten folds needs one. Nothing with fewer than 100 images
        that have all factors, or without a class.
    """
    columns, _, nominal = factor_columns(images)
    whole = whole_rows(images)
    if whole.sum() < LEAST_IMAGES:
        return {}
    mean, columns = observed["mean"][whole].astype(np.float64), columns[whole]
    classes = columns[:, varied(columns) & nominal]
    if not classes.shape[1]:
        return {}
    label, values = classes[:, 0].astype(int), {}
    if mean.shape[1] > 1:
        values["mig_p"] = disentanglement.mig_p(mean, classes[:, 0]).score
    values["clustering_nmi"] = downstream.clustering_nmi(mean, label).score
    common = np.bincount(label)[label] >= LEAST_OTHERS
    if len(np.unique(label[common])) > 1:
        values["few_label_accuracy"] = downstream.few_label_accuracy(mean[common], label[common]).score
    return values
