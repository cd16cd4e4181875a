"""What can be measured on an image of a skin lesion without its factors: its size, its shape, and the skin's colour."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy import ndimage

from ._checks import finite, is_whole

MEASURED = ("size", "eccentricity", "skin_colour")
ROUNDING = 1e-3
DARKEST = 0.02  # intensities below are taken for this one, whose logarithm is finite


def measure(images) -> np.ndarray:
    """Size and eccentricity of the lesion, and the redness of the skin, from the image alone.

    Skin is the median colour of a frame, an eighth of the image wide. The lesion is the largest piece of what absorbs
    at least half of what its darkest part absorbs, smoothed over 3×3 pixels; absorbed is the logarithm of skin over
    image, a mean over the channels. Its share of the image is the size; its second moments give the eccentricity
    √(1 - b²/a²) of the ellipse with the same ones. Redness is the share of red in the colour of the skin. On phantoms,
    whose factors are known, each has a rank correlation above 0.6 with its factor.

    Args:
        images: ``(N, 3, H, W)`` in [0, 1], sides of 16 pixels or more; NumPy or torch.

    Returns:
        ``(N, 3)``, float64, in the order of ``MEASURED``. There is always a largest piece: where an image shows no
        lesion, its size and shape are those of noise.

    Raises:
        ValueError: the shape is wrong, or a value is outside of [0, 1], NaN or infinite.
    """
    if is_whole("images", images):
        raise ValueError("images: expected values in [0, 1], got whole numbers; divide uint8 by 255")
    images = torch.from_numpy(finite("images", images, "(N, 3, H, W)")).float()
    if images.min() < -ROUNDING or images.max() > 1 + ROUNDING:
        raise ValueError(f"images: values from {images.min():g} to {images.max():g}, expected those in [0, 1]")
    *_, channels, height, width = images.shape
    if channels != 3 or min(height, width) < 16:
        raise ValueError(f"images: expected (N, 3, H, W) with sides of 16 pixels or more, got {tuple(images.shape)}")
    edge = torch.ones(height, width, dtype=torch.bool)
    edge[height // 8 : -(height // 8), width // 8 : -(width // 8)] = False
    skin = images[:, :, edge].median(2).values.clamp(min=DARKEST)
    absorbed = skin[:, :, None, None].log() - images.clamp(min=DARKEST).log()
    absorbed = ndimage.uniform_filter(absorbed.mean(1).numpy(), (0, 3, 3))
    strongest = np.quantile(absorbed, 0.98, axis=(1, 2), keepdims=True)
    most = absorbed.max((1, 2), keepdims=True)  # at least one pixel stays
    shapes = []
    for mask in absorbed >= np.minimum(strongest / 2, most):
        pieces, _ = ndimage.label(mask)
        areas = np.bincount(pieces.ravel())[1:]
        y, x = np.nonzero(pieces == 1 + areas.argmax())
        short, long = np.linalg.eigvalsh(np.cov(x, y, bias=True) + np.eye(2) / 12)
        shapes.append((len(x) / mask.size, math.sqrt(1 - short / long)))
    return np.c_[shapes, skin[:, 0] / skin.sum(1)]
