"""What an axial slice of a thorax shows, measured on the pixels: for slices of which no factor is known."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ._checks import finite

BODY, AIR = -350.0, -500.0  # HU: fat lies at -100, lung below -600
MEASURES = ("body_width", "body_depth", "body_turn", "body_y", "lung_area", "wall_thickness")


def thorax_measures(hu) -> dict[str, np.ndarray]:
    """Measures of axial slices, by two thresholds.

    The body is the greatest connected region above -350 HU with all that it encloses: arms that touch it belong to it,
    the table mostly does not. Lungs are what it encloses below -500 HU, the airways and gas in the bowel among it.
    Width, depth and turn are those of the ellipse with the body's second moments, which follow parts of a pixel.

    Args:
        hu: ``(N, H, W)`` in Hounsfield units, the front of the patient at the top.

    Returns:
        ``(N,)`` each, by name; lengths in shares of the image's height, all 0 where there is no body. ``body_width``
        and ``body_depth``, the ellipse's extent from side to side and from front to back; ``body_turn``, how far its
        wider axis is turned from the horizontal, in radians, positive clockwise, in (-π/4, π/4]; ``body_y``, the
        height of the body's centre, downwards from the top; ``lung_area``, the share of the body that is lung;
        ``wall_thickness``, from the skin to the outermost lung, the mean of both sides over all rows with lung, or
        half the body's mean width where no row has any.

    Raises:
        ValueError: the shape is wrong, or a value is NaN or infinite.
    """
    hu = finite("hu", hu, "(N, H, W)")
    rows = [_measure(slice_) for slice_ in hu]
    return {name: np.array([row[name] for row in rows]) for name in MEASURES}


def _measure(hu: np.ndarray) -> dict[str, float]:
    labels, count = ndimage.label(hu > BODY)
    if not count:
        return dict.fromkeys(MEASURES, 0.0)
    greatest = 1 + np.bincount(labels.ravel())[1:].argmax()
    body = ndimage.binary_fill_holes(labels == greatest)
    lung = body & (hu < AIR)
    height = len(hu)
    y, x = np.nonzero(body)
    across, down, both = x.var(), y.var(), ((x - x.mean()) * (y - y.mean())).mean()
    turn = np.arctan2(2 * both, across - down) / 2
    if abs(turn) > np.pi / 4:  # deeper than wide: its width is still what lies from side to side
        turn -= np.sign(turn) * np.pi / 2
    cos, sin = np.cos(turn), np.sin(turn)
    width = across * cos**2 + down * sin**2 + 2 * both * sin * cos
    depth = across * sin**2 + down * cos**2 - 2 * both * sin * cos
    return {
        "body_width": float(4 * np.sqrt(width) / height),
        "body_depth": float(4 * np.sqrt(depth) / height),
        "body_turn": float(turn),
        "body_y": float((y.mean() + 0.5) / height),
        "lung_area": float(lung.sum() / body.sum()),
        "wall_thickness": float(_wall(body, lung) / height),
    }


def _wall(body: np.ndarray, lung: np.ndarray) -> float:
    """Pixels from the skin to the outermost lung, row by row."""
    rows = lung.any(1)
    if not rows.any():
        return body.sum(1)[body.any(1)].mean() / 2
    body, lung = body[rows], lung[rows]
    left = lung.argmax(1) - body.argmax(1)
    right = lung[:, ::-1].argmax(1) - body[:, ::-1].argmax(1)
    return (left + right).mean() / 2
