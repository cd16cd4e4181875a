"""Suite ``lesions``: the handcrafted factors of Sarhan et al. (2019), measured on the outline of a skin lesion."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import disentanglement
from .columns import LEAST_OTHERS, too_few, varied, whole_rows
from .encoded import observe, with_controls

__all__ = ["TOLERANCES", "left_out", "numbers", "observe"]

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
    if _reason(observed, images):
        return {}
    whole = whole_rows(images)
    handcrafted = images.factor_matrix(HANDCRAFTED)[whole]
    mean = observed["mean"][whole].astype(np.float64)
    if (period := images.factors["orientation"].period) is None:
        return {"mig_hf": disentanglement.mig_hf(mean, handcrafted).score}  # no angle: it has a zero

    def circle(code: np.ndarray) -> float:
        eccentricity, size = disentanglement.mig_hf(code, handcrafted[:, [0, 2]]).per_factor
        orientation = disentanglement.mig_of_angle(code, handcrafted[:, 1], period).score
        return float(np.mean([eccentricity, orientation, size]))

    plain = {"mig_hf": disentanglement.mig_hf(mean, handcrafted).score}
    return plain | with_controls("mig_hf_circle", circle, mean)


def left_out(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, str]:
    """Which of the numbers these images or this code do not give, and why."""
    if reason := _reason(observed, images):
        return dict.fromkeys(("mig_hf", "mig_hf_circle"), reason)
    if images.factors["orientation"].period is None:
        return {"mig_hf_circle": "the orientation is no angle: its factor states no period"}
    return {}


def _reason(observed: Mapping[str, np.ndarray], images: ImageSet) -> str:
    """Why there are no numbers; empty where there are."""
    if missing := [name for name in HANDCRAFTED if name not in images.factors]:
        return f"the images have no factor {', '.join(missing)}, as outlines of lesions do"
    if observed["mean"].shape[1] < 2:
        return "the code has a single dimension, and nothing to compare it with"
    if reason := too_few(images):
        return reason
    same = ~varied(images.factor_matrix(HANDCRAFTED)[whole_rows(images)])
    names = ", ".join(name for name, is_same in zip(HANDCRAFTED, same, strict=True) if is_same)
    return f"{names}: fewer than {LEAST_OTHERS} images differ from the most frequent value" if names else ""
