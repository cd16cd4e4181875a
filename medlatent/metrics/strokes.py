"""What can be measured on an image of a handwritten digit: how far it leans, and how thick its strokes are."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt

from ._checks import finite

ENLARGED = 4  # times, before an image is cut at half intensity, so that grey pixels shift the border by less than one
AT_ONCE = 256  # images


def slant(images) -> np.ndarray:
    """How far each digit leans to the right, in degrees, from its second central moments.

    A digit that is sheared so that each row shifts right by t pixels for each pixel upwards has the slant arctan t. Of
    the moments μ_xy and μ_yy about the ink's centroid, y downwards, t is -μ_xy / μ_yy: the slope of the regression of x
    on y. An upright stroke has 0, one that leans like a slash a positive slant, one like a backslash a negative one.
    The shape of a digit has a part in it: an upright 7 does not have 0. Images of one digit can be compared.

    Args:
        images: ``(N, 1, H, W)``, the intensities the amount of ink, none negative; NumPy or torch.

    Returns:
        ``(N,)``, float64, between -90 and 90; NaN where there is no ink, or all of it in one row.

    Raises:
        ValueError: the shape is wrong, or a value is negative, NaN or infinite.
    """
    ink = _ink(images)
    rows, columns = np.arange(ink.shape[1])[:, None], np.arange(ink.shape[2])[None]
    with np.errstate(invalid="ignore", divide="ignore"):
        weight = ink / ink.sum((1, 2), keepdims=True)
        y = rows - (weight * rows).sum((1, 2), keepdims=True)
        x = columns - (weight * columns).sum((1, 2), keepdims=True)
        covariance, variance = (weight * x * y).sum((1, 2)), (weight * y * y).sum((1, 2))
        return np.where(variance > 1e-9, np.degrees(np.arctan(-covariance / variance)), np.nan)


def thickness(images) -> np.ndarray:
    """The mean thickness of each digit's strokes, in pixels, from the distance of its ink to the border.

    Across a stroke of thickness w the distance to the nearer border rises from 0 to w / 2 and falls again: its mean
    over the ink is w / 4, and the thickness is four times the mean. It needs no skeleton, whose branches come and go
    with single pixels. Where strokes cross or end, the value errs by a little: a disc of diameter d has 2 d / 3.

    The image is enlarged four times by linear interpolation and cut at half its largest intensity, so that thin or
    faint strokes count, too.

    Args:
        images: ``(N, 1, H, W)``, the intensities the amount of ink, none negative; NumPy or torch.

    Returns:
        ``(N,)``, float64; NaN where there is no ink.

    Raises:
        ValueError: the shape is wrong, or a value is negative, NaN or infinite.
    """
    ink = _ink(images)
    return np.concatenate([_thickness(ink[start : start + AT_ONCE]) for start in range(0, len(ink), AT_ONCE)])


def _thickness(ink: np.ndarray) -> np.ndarray:
    framed = F.pad(torch.from_numpy(ink)[:, None], (1, 1, 1, 1))
    large = F.interpolate(framed, scale_factor=ENLARGED, mode="bilinear")[:, 0].numpy()
    inside = large > 0.5 * ink.max((1, 2), initial=0)[:, None, None]
    # One transform for all images, one below the other: the frame of each keeps it apart from the next.
    distance = distance_transform_edt(inside.reshape(-1, inside.shape[2])).reshape(inside.shape)
    with np.errstate(invalid="ignore"):
        # A pixel's distance is to the centre of the first one outside; the border lies half a pixel before it.
        mean = (distance - 0.5 * inside).sum((1, 2)) / inside.sum((1, 2))
    return 4 * mean / ENLARGED


def _ink(images) -> np.ndarray:
    ink = finite("images", images, "(N, 1, H, W)")
    if ink.shape[1] != 1:
        raise ValueError(f"images: strokes are measured on one channel, got {ink.shape}")
    if (ink < 0).any():
        raise ValueError(f"images: image {int((ink < 0).any((1, 2, 3)).argmax())} holds a negative value")
    return ink[:, 0]
