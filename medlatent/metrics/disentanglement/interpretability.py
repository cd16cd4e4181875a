"""Interpretability: a line through one dimension."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...options import whole_options
from ._shared import _checked, _correlation
from .information import _mutual_information


@dataclass(frozen=True)
class InterpretabilityScore:
    """How well a line through one dimension predicts an attribute.

    Attributes:
        score: the mean over the attributes.
        per_attribute: ``(K,)``, R².
        dimension: ``(K,)``, the dimension that knows most about each attribute.
        mutual_information: ``(D, K)``, in nats.
    """

    score: float
    per_attribute: np.ndarray
    dimension: np.ndarray
    mutual_information: np.ndarray


@whole_options(seed=0)
def interpretability(codes, attributes, neighbours: int = 3, seed: int = 0) -> InterpretabilityScore:
    """How well a line through the one most informative dimension predicts each attribute (Adel et al. 2018).

    Implements :eq:`eq-measuring-9`.

    R² of the linear regression of an attribute on the dimension that has the largest mutual information with it, by
    nearest neighbours (``"knn"`` and ``"continuous"`` of :func:`mutual_information_matrix`), over all rows: the values
    of ar-vae, as Di Folco et al. (2024, table 2) report them. Information that does not lie on a line does not count.

    Args:
        codes: ``(N, D)``, NumPy or torch.
        attributes: ``(N, K)``; categories are taken as the numbers they are.
        neighbours: k, less than N.
        seed: of the noise that breaks ties.

    Returns:
        The score, in [0, 1].

    Raises:
        ValueError: an attribute is constant, N ≤ ``neighbours``, a shape is wrong, or a value is not finite.
    """
    codes, attributes = _checked(codes, attributes, name="attributes", varied=True)
    information = _mutual_information(codes, attributes, "knn", neighbours=neighbours, seed=seed).mutual_information
    return _interpretability(information, _correlation(codes, attributes))


def _interpretability(information: np.ndarray, correlation: np.ndarray) -> InterpretabilityScore:
    dimension = information.argmax(0)
    # With one predictor, R² is the squared correlation.
    per_attribute = np.square(correlation)[dimension, np.arange(information.shape[1])]
    return InterpretabilityScore(float(per_attribute.mean()), per_attribute, dimension, information)
