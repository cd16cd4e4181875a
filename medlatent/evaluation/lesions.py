"""Suite ``lesions``: the handcrafted factors of Sarhan et al. (2019), measured on the outline of a skin lesion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import disentanglement
from .columns import LEAST_IMAGES, varied, whole_rows
from .encoded import observe, with_controls

__all__ = ["TOLERANCES", "numbers", "observe"]

TOLERANCES = {"mig_hf": 5e-3, "mig_hf_circle": 5e-3}  # see the suite ``factors``
HANDCRAFTED = ("eccentricity", "orientation", "size")


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """Of images of lesions with the three handcrafted factors.

    Returns:
        ``mig_hf``, with all three cut at their medians, as the paper has it, and the orientation's circle at the
        vertical; ``mig_hf_circle``, with the orientation cut in each of eight directions, see
        :func:`medlatent.metrics.disentanglement.mig_of_angle`, the mean over the three factors, and the same with
        ``.rotated`` and ``.shuffled``, see :func:`medlatent.evaluation.encoded.with_controls`. Nothing where the images
        have no such factors, or too few images have them.
    """
    if not set(HANDCRAFTED) <= set(images.factors) or observed["mean"].shape[1] < 2:
        return {}
    whole = whole_rows(images)
    if whole.sum() < LEAST_IMAGES:
        return {}
    handcrafted = images.factor_matrix(HANDCRAFTED)[whole]
    if not varied(handcrafted).all():
        return {}
    mean = observed["mean"][whole].astype(np.float64)
    if (period := images.factors["orientation"].period) is None:
        return {"mig_hf": disentanglement.mig_hf(mean, handcrafted).score}  # no angle: it has a zero

    def circle(code: np.ndarray) -> float:
        eccentricity, size = disentanglement.mig_hf(code, handcrafted[:, [0, 2]]).per_factor
        orientation = disentanglement.mig_of_angle(code, handcrafted[:, 1], period).score
        return float(np.mean([eccentricity, orientation, size]))

    plain = {"mig_hf": disentanglement.mig_hf(mean, handcrafted).score}
    return plain | with_controls("mig_hf_circle", circle, mean)
