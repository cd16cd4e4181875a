"""Suite ``classes``: what a code says about the class of an image."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import disentanglement, downstream
from .columns import LEAST_IMAGES, LEAST_OTHERS, factor_columns, groups_of, varied, whole_rows
from .encoded import observe, with_controls

__all__ = ["TOLERANCES", "numbers", "observe"]

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
    columns, _, nominal = factor_columns(images)
    whole = whole_rows(images)
    if whole.sum() < LEAST_IMAGES:
        return {}
    mean, columns = observed["mean"][whole].astype(np.float64), columns[whole]
    classes = columns[:, varied(columns) & nominal]
    if not classes.shape[1]:
        return {}
    label, whose = classes[:, 0].astype(int), groups_of(images)[whole]
    values: dict[str, float] = {}
    if mean.shape[1] > 1:
        values |= with_controls("mig_p", lambda code: disentanglement.mig_p(code, label).score, mean)
    values["clustering_nmi"] = downstream.clustering_nmi(mean, label).score
    several = np.array([len(np.unique(whose[label == k])) for k in range(label.max() + 1)])
    common = several[label] >= LEAST_OTHERS
    if len(np.unique(label[common])) > 1:
        few = downstream.few_label_accuracy(mean[common], label[common], groups=whose[common])
        values |= {"few_label_accuracy": few.score, "few_label_accuracy.commonest": few.majority}
    return values
