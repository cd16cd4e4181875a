"""Suite ``reconstruction``: how close what a model decodes is to what it encoded."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from .encoded import observe

__all__ = ["TOLERANCES", "numbers", "observe"]

TOLERANCES: dict[str, float] = {}


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """Means over the images.

    Returns:
        ``sse``, the squared error summed over channels and pixels, intensities in [0, 1]; ``psnr`` in dB; ``ssim``,
        11×11 Gaussian window, mirrored border.
    """
    return {name: float(observed[name].astype(np.float64).mean()) for name in ("sse", "psnr", "ssim")}
