"""Suite ``lesions``: the handcrafted factors of Sarhan et al. (2019), measured on the outline of a skin lesion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import disentanglement
from .columns import LEAST_IMAGES, varied, whole_rows
from .encoded import observe

__all__ = ["TOLERANCES", "numbers", "observe"]

TOLERANCES = {"mig_hf": 5e-3}  # see the suite ``factors``
HANDCRAFTED = ("eccentricity", "orientation", "size")


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """Of images of lesions with the three handcrafted factors, which are cut at their medians.

    Returns:
        ``mig_hf``; nothing where the images have no such factors, or too few images have them.
    """
    if not set(HANDCRAFTED) <= set(images.factors) or observed["mean"].shape[1] < 2:
        return {}
    whole = whole_rows(images)
    if whole.sum() < LEAST_IMAGES:
        return {}
    handcrafted = images.factor_matrix(HANDCRAFTED)[whole]
    if not varied(handcrafted).all():
        return {}
    return {"mig_hf": disentanglement.mig_hf(observed["mean"][whole].astype(np.float64), handcrafted).score}
