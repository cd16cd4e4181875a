"""How alike two sets of images are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ImageScore:
    """A mean over images, and the value of each image.

    Attributes:
        score: the mean over the images.
        per_image: ``(N,)``, float64.
    """

    score: float
    per_image: np.ndarray


def psnr(images, reconstructions, data_range: float = 1.0) -> ImageScore:
    """The peak signal-to-noise ratio in dB of each image, 10·log10(data_range² / MSE), and its mean over the images.

    Implements :eq:`eq-start-2`. The mean of the images' values in dB, not the value of
    their mean error: a single bad image cannot hide the good ones.

    Args:
        images: ``(N, C, H, W)``, NumPy or torch.
        reconstructions: the same shape.
        data_range: the largest possible value minus the smallest: 1 for images in [0, 1], 255 for uint8.

    Returns:
        The score in dB; infinite for an image that is reproduced exactly.

    Raises:
        ValueError: the shapes differ, there is no image, ``data_range`` is not positive, or a value is NaN.
    """
    a, b = (np.asarray(getattr(x, "detach", lambda x=x: x)(), dtype=np.float64) for x in (images, reconstructions))
    if a.shape != b.shape or a.ndim != 4 or not a.size:
        raise ValueError(f"expected two arrays of the same shape (N, C, H, W), got {a.shape} and {b.shape}")
    if not data_range > 0:
        raise ValueError(f"data_range must be positive, got {data_range}")
    mse = np.square(a - b).reshape(len(a), -1).mean(1)
    if np.isnan(mse).any():
        raise ValueError(f"image {int(np.isnan(mse).argmax())} or its reconstruction holds NaN")
    with np.errstate(divide="ignore"):
        values = 10 * np.log10(data_range**2 / mse)
    return ImageScore(float(values.mean()), values)
