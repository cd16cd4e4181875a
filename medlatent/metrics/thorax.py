"""What can be measured on an axial CT slice of the chest without its factors: body, lungs, wall, turn, breasts."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ._checks import finite, numbers

MEASURED = (
    "body_width",
    "body_height",
    "body_area",
    "centroid_y",
    "lung_area",
    "wall_thickness",
    "rotation",
    "breast",
)
AIR, SKIN = -1000.0, -100.0  # HU: outside, and of the fat under the skin
BODY = -350.0  # denser is body, if it is thicker than a table
LUNG, GAS = -480.0, -960.0  # thinner is lung or gas; of gas, a quarter is thinner than the latter
SMALLEST = 1 / 600  # of the image: smaller pieces of lung are bowel, oesophagus or noise
RADII, RAYS, WAVES = 32, 256, 25
MOST = 0.5  # rad: the axis of the body is sought within


def measure(images, pixel=1.0) -> np.ndarray:
    r"""Width, height and area of the body, its centroid and turn; area of the lungs; thickness of wall and breasts.

    **Body** is the largest piece that is denser than -350 HU after an opening, which removes what is thin (the table,
    blankets), with all that it encloses; arms that do not touch it are no part of it. Pixels at its border count by
    their density, as a share, so that lengths change by less than a pixel, too. ``body_width`` is the mean length of
    its longest rows (a tenth of them), ``body_height`` that of the columns in the middle fifth of this width,
    ``body_area`` its area and ``centroid_y`` the height of its centroid above the centre of the image.

    **Lungs** are the pieces inside that are thinner than -480 HU, with their vessels, unless they are small or gas: of
    a piece of windpipe, stomach or bowel, more than a quarter is below -960 HU. ``lung_area`` is their area, and
    ``wall_thickness`` the mean distance to the nearest point of the skin from the outermost pixel of lung in each row,
    left and right, over the middle half of their rows.

    ``rotation`` is the turn of the axis about which the picture is most symmetric, in radians from -0.5 to 0.5,
    positive counter-clockwise. Around the centroid the picture is a Fourier series with the coefficients
    :math:`c_k(r)` in each radius r, reflected about an axis at the angle φ it has the coefficients
    :math:`\bar c_k e^{-2ik\varphi}`, and the inner product of both is to be as large as possible:

    .. math:: \int r \sum_{k \ge 1} \mathrm{Re} \left( c_k(r)^2 e^{2ik\varphi} \right) dr .

    ``breast`` is how far the skin stands out at the sides before the skin at the midline, in the direction of the axis,
    where it does most; a mean of left and right. It is negative where the chest falls off to both sides.

    What the field of view cuts off is not measured, and where it cuts through the chest wall into a lung, that lung is
    lost. Raised arms that lie on the body, and shoulders, are body.

    On phantoms, whose factors are known, each follows its factor, all else equal, with a rank correlation above 0.9
    where lung is in the slice: width, height, size, y-position, wall thickness, rotation and, at the level of the
    breasts, breast size.

    Args:
        images: ``(N, 1, H, W)`` in HU, the patient's front at the top, sides of 32 pixels or more; NumPy or torch.
        pixel: the size of a pixel, a number or ``(N,)``. In mm, lengths are in mm and areas in mm²; by default they are
            in pixels.

    Returns:
        ``(N, 8)``, float64, in the order of ``MEASURED``. Where there is no body all are NaN, where there is no lung
        ``wall_thickness`` is NaN and ``lung_area`` 0.

    Raises:
        ValueError: the shape is wrong, a value is NaN or infinite, or a pixel's size is not positive.
    """
    images = finite("images", images, "(N, 1, H, W)")
    if images.shape[1] != 1 or min(images.shape[2:]) < 32:
        raise ValueError(f"images: expected (N, 1, H, W) with sides of 32 pixels or more, got {images.shape}")
    pixel = numbers("pixel", pixel)
    if pixel.shape not in ((), (len(images),)) or not (pixel > 0).all() or not np.isfinite(pixel).all():
        raise ValueError(f"pixel: expected a positive number, or one for each of the {len(images)} images, got {pixel}")
    found = np.array([_measure(image) for image in images[:, 0].clip(AIR, None)])
    unit = np.broadcast_to(pixel, len(images))[:, None]
    powers = np.array([1, 1, 2, 1, 2, 1, 0, 1])
    return found * unit**powers


def _measure(hu: np.ndarray) -> list[float]:
    body = _body(hu)
    if body is None:
        return [np.nan] * len(MEASURED)
    rim = ndimage.binary_dilation(body) & ~ndimage.binary_erosion(body)
    cover = np.where(rim, ((hu - AIR) / (SKIN - AIR)).clip(0, 1), body)
    area = cover.sum()
    down, right = np.arange(len(hu)), np.arange(hu.shape[1])
    rows, columns = cover.sum(1), cover.sum(0)
    centre = (rows @ down) / area, (columns @ right) / area
    longest = np.sort(rows)[-max(1, int(0.1 * (rows > 0.5).sum())) :].mean()
    middle = np.abs(right - centre[1]) <= max(1, 0.1 * longest)
    height = columns[middle].mean()
    turn = _rotation(hu, body, centre)
    lung = _lung(hu, body)
    wall = _wall(body, lung)
    return [
        longest,
        height,
        area,
        (len(hu) - 1) / 2 - centre[0],
        float(lung.sum()),
        wall,
        turn,
        _breast(cover, centre, longest, turn),
    ]


def _body(hu: np.ndarray) -> np.ndarray | None:
    """The pixels of the body with all that it encloses, or None."""
    radius = max(1, round(len(hu) / 64))
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    disc = x * x + y * y <= radius * (radius + 0.5)
    dense = ndimage.binary_fill_holes(hu > BODY)
    framed = np.pad(dense, radius, mode="edge")  # a body that the frame cuts off is not opened there
    opened = ndimage.binary_opening(framed, disc)[radius:-radius, radius:-radius]
    pieces, count = ndimage.label(opened)
    if not count:
        return None
    return ndimage.binary_fill_holes(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())


def _lung(hu: np.ndarray, body: np.ndarray) -> np.ndarray:
    """The pixels of the lungs with their vessels."""
    # What touches the skin is a fold of it, or where the frame cuts the body off.
    inside = ndimage.binary_erosion(body, iterations=max(1, round(len(hu) / 64)))
    thin = inside & (hu < LUNG)
    pieces, count = ndimage.label(thin)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    gas = np.bincount(pieces[hu < GAS], minlength=count + 1)[1:]
    kept = (sizes >= SMALLEST * hu.size) & (gas <= sizes / 4)
    return ndimage.binary_fill_holes(np.r_[False, kept][pieces])


def _wall(body: np.ndarray, lung: np.ndarray) -> float:
    rows = np.flatnonzero(lung.any(1))
    if not len(rows):
        return float("nan")
    quarter = (rows[-1] - rows[0] + 1) // 4
    rows = rows[(rows >= rows[0] + quarter) & (rows <= rows[-1] - quarter)]
    rows = rows if len(rows) else np.flatnonzero(lung.any(1))
    # From the centre of the last pixel of lung to that of the nearest outside: between the first and the lung's border
    # lies half a pixel; the skin's border is as good as at the second, as pixels that are half body count as outside.
    depth = ndimage.distance_transform_edt(np.pad(body, 1))[1:-1, 1:-1] - 0.5
    first, last = lung[rows].argmax(1), lung.shape[1] - 1 - lung[rows, ::-1].argmax(1)
    return float((depth[rows, first].mean() + depth[rows, last].mean()) / 2)


def _rotation(hu: np.ndarray, body: np.ndarray, centre: tuple[float, float]) -> float:
    angle = 2 * np.pi * np.arange(RAYS) / RAYS
    farthest = np.hypot(*(np.argwhere(body) - centre).T).max()
    radius = farthest * (np.arange(RADII) + 0.5)[:, None] / RADII
    at = centre[0] - radius * np.sin(angle), centre[1] + radius * np.cos(angle)
    shown = np.where(body, hu, AIR).clip(AIR, 300)
    around = ndimage.map_coordinates(shown, at, order=1, mode="constant", cval=AIR)
    waves = np.fft.rfft(around, axis=1)[:, 1:WAVES] / RAYS
    strength = (radius * waves**2).sum(0)
    axis = np.linspace(-MOST, MOST, 201)
    symmetry = (strength[:, None] * np.exp(2j * np.arange(1, WAVES)[:, None] * (axis + np.pi / 2))).real.sum(0)
    best = symmetry.argmax()
    if not 0 < best < len(axis) - 1:
        return float(axis[best])
    before, here, after = symmetry[best - 1 : best + 2]
    curved = before - 2 * here + after
    return float(axis[best] + (0.5 * (before - after) / curved if curved < 0 else 0) * (axis[1] - axis[0]))


def _breast(cover: np.ndarray, centre: tuple[float, float], width: float, turn: float) -> float:
    # The skin's height at each column, along the axis: the body below it, and what the turn adds.
    top = (
        len(cover)
        - (np.cumsum(cover, 0) > 0).argmax(0)
        - 1
        + np.take_along_axis(cover, (cover > 0).argmax(0)[None], 0)[0]
    )
    away = np.arange(cover.shape[1]) - centre[1]
    height = top * np.cos(turn) - away * np.sin(turn)
    seen = cover.any(0)
    share = away * np.cos(turn) / width
    middle = height[seen & (np.abs(share) <= 0.05)].mean()
    sides = [height[seen & (sign * share > 0.12) & (sign * share < 0.42)].max() for sign in (-1, 1)]
    return float(np.mean(sides) - middle)
