"""Lung nodules: the radiologists' nine ratings, how several readers are merged, and the condition vector.

The readers of LIDC-IDRI outlined each nodule of 3 mm or more in every slice, and rated it (:data:`RATINGS`). Havaei et
al. (2021) condition on seventeen numbers (:data:`CONDITION`): six of the ratings, each made binary and written as a
one-hot pair, and the size in five bins.

**What the paper leaves open.** It makes ratings binary "following the same procedure of Shen et al." and prints no
threshold. Here a characteristic is present (1) where the median of the readers lies above 3, the middle of the scale;
calcification, whose scale names patterns and ends with 6 for "absent", where the median lies below 6: where half of the
readers or more saw some. The five bins of size are "from 2 to 12 with an interval of 2", the unit of which is that of
volumes resized to 256 × 256 × 256. A slice of 512 pixels has 0.70 mm a pixel at the median of LIDC-IDRI, one of 256 has
1.4 mm; the bins are taken in this unit, so that their edges are 5.6, 8.4, 11.2 and 14.0 mm (:data:`SIZE_EDGES`). Taken
in millimetres, the first of the paper's bins would hold 18 of the 829 nodules, and the last, open one 308.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from .errors import DataError
from .imageset import Factor

if TYPE_CHECKING:
    import torch

RATINGS = {
    "subtlety": 5,
    "internalStructure": 5,
    "calcification": 6,
    "sphericity": 5,
    "margin": 5,
    "lobulation": 5,
    "spiculation": 5,
    "texture": 5,
    "malignancy": 5,
}
"""The nine ratings in the order of the readers' forms, each a whole number from 1 to the one that stands here. The form
names four kinds of internal structure, from soft tissue to air; LIDC-IDRI holds a 5, too."""

CHARACTERISTICS = ("subtlety", "calcification", "sphericity", "margin", "texture", "malignancy")
"""The six that Havaei et al. condition on."""

MEANINGS = {
    "subtlety": "how easily the nodule is found: 0 subtle, 1 obvious",
    "calcification": "whether there is calcium in the nodule: 0 absent, 1 present",
    "sphericity": "shape of the nodule: 0 linear to ovoid, 1 round",
    "margin": "how well the margin is defined: 0 poorly, 1 sharply",
    "texture": "density of the nodule: 0 ground glass to part-solid, 1 solid",
    "malignancy": "how likely the nodule is malignant in the eyes of the readers: 0 unlikely, 1 suspicious",
}
MIDDLE = 3
"""Of a scale from 1 to 5; a nodule of this median malignancy is neither benign nor malignant, and is left out."""
ABSENT = 6
"""The rating of calcification that says that there is none."""

PAPER_PIXEL = 1.4  # mm: of a slice of 256 × 256, at the median spacing 0.70 mm of those of 512 × 512
SIZE_EDGES = tuple(round(edge * PAPER_PIXEL, 1) for edge in (4, 6, 8, 10))
"""Where one bin of size ends and the next begins, in mm; the first and the last are open."""
SIZES = (
    f"below {SIZE_EDGES[0]} mm",
    *(f"{low} to {high} mm" for low, high in pairwise(SIZE_EDGES)),
    f"from {SIZE_EDGES[-1]} mm",
)

CONDITIONED = (*CHARACTERISTICS, "size_bin")
"""The columns of a table that make up the condition vector; a model that takes it names them as its ``columns``."""
CLASSIFIED = ("malignancy", "size_bin")
"""What classifiers recognise that judge drawn nodules, benign or malignant in section III-C of the paper, and one of
five sizes in III-G."""
CONDITION = (
    *(f"{name} {value}" for name in CHARACTERISTICS for value in (0, 1)),
    *(f"size {value}" for value in SIZES),
)
"""What each of the seventeen entries of :func:`condition` stands for."""

FACTORS = {
    "size": Factor("diameter of the disc of the nodule's area in the slice where that is largest", unit="mm"),
    **{name: Factor(meaning, kind="binary") for name, meaning in MEANINGS.items()},
    "size_bin": Factor("size in the five bins of the condition vector", kind="categorical", values=SIZES),
}


# ------------------------------------------------------------------------------------------------ the condition vector


def binarised(name: str, median: np.ndarray) -> np.ndarray:
    """One of the six characteristics as 0 or 1, int64, from the medians of the readers, of any shape.

    Above 3 is 1; of calcification, below 6 is.

    Raises:
        DataError: the name is none of the six, or a median lies outside of the scale, as one that is missing does.
    """
    if name not in CHARACTERISTICS:
        raise DataError(f"characteristic {name!r} is none of {', '.join(CHARACTERISTICS)}")
    median = np.asarray(median, dtype=np.float64)
    if (wrong := median[~((median >= 1) & (median <= RATINGS[name]))]).size:
        raise DataError(f"{name}: a median of {wrong[0]:g}, where ratings go from 1 to {RATINGS[name]}")
    return (median < ABSENT if name == "calcification" else median > MIDDLE).astype(np.int64)


def size_bin(size: np.ndarray) -> np.ndarray:
    """The bin of each size in mm, as an index into ``SIZES``; a size on an edge is in the bin above.

    Raises:
        DataError: a size is missing, negative or infinite.
    """
    size = np.asarray(size, dtype=np.float64)
    if (wrong := size[~((size >= 0) & (size < np.inf))]).size:
        raise DataError(f"size: {wrong[0]:g} is no size in mm")
    return np.searchsorted(SIZE_EDGES, size, side="right")


def equivalent_diameter(pixels: int, spacing: tuple[float, float]) -> float:
    """The diameter in mm of the disc with the area of so many pixels, whose distances are ``spacing`` in mm."""
    return float(np.sqrt(4 * pixels * spacing[0] * spacing[1] / np.pi))


def condition(columns: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The condition vector t of Havaei et al. (2021), section III-A, from the columns of an image set.

    Args:
        columns: of each name of ``CONDITIONED`` the values ``(B,)``, as :meth:`medlatent.data.ImageSet.columns` gives
            them: 0 or 1 of a characteristic, the index into ``SIZES`` of ``size_bin``. Others are left alone.

    Returns:
        ``(B, 17)``, float32: six one-hot pairs and a one-hot of five, in the order of ``CONDITION``, so that each row
        sums to 7.

    Raises:
        DataError: a column is missing, of another shape, or holds another value.
    """
    import torch  # here: the processes that pack images start faster without it

    parts = []
    for name in CONDITIONED:
        if name not in columns:
            raise DataError(f"condition: the column {name!r} is missing; it needs {', '.join(CONDITIONED)}")
        values = torch.as_tensor(columns[name])
        count = len(SIZES) if name == "size_bin" else 2
        if values.ndim != 1 or (parts and len(values) != len(parts[0])):
            raise DataError(f"condition: column {name!r} has the shape {tuple(values.shape)}, expected one value a row")
        strange = (values != values.long()) | (values < 0) | (values >= count)
        if strange.any():
            row = int(strange.nonzero()[0])
            raise DataError(f"condition: column {name!r} holds {values[row]:g} in row {row}, not 0 to {count - 1}")
        parts.append(torch.nn.functional.one_hot(values.long(), count))
    return torch.cat(parts, dim=1).float()


# ------------------------------------------------------------------------------------------------- one reader, several


@dataclass(frozen=True, eq=False)
class Reading:
    """What one reader says of a nodule.

    Attributes:
        reader: the number of the reader within the scan.
        ratings: of each name of ``RATINGS`` the whole number.
        pixels: by the UID of a slice, the pixels of the outline there and those in it ``(K, 2)``, row and column, each
            once, see :func:`filled`.
        position: by the UID of a slice, its place in mm along the patient, upwards.
    """

    reader: int
    ratings: Mapping[str, int]
    pixels: Mapping[str, np.ndarray]
    position: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class Nodule:
    """A nodule of several readers, in the slice where one of them outlined the most.

    Attributes:
        readers: how many outlined it.
        median: of each name of ``RATINGS`` the median of the readers, in halves.
        slice_uid: of the slice.
        position: of the slice, in mm upwards.
        pixels: of that outline and those in it ``(K, 2)``, row and column; those of the nodule are their :func:`inner`.
    """

    readers: int
    median: Mapping[str, float]
    slice_uid: str
    position: float
    pixels: np.ndarray


def filled(outline: Sequence[tuple[int, int]]) -> np.ndarray:
    """The pixels of an outline and those that it encloses.

    Args:
        outline: corners (column, row) of a closed polygon, in order.

    Returns:
        ``(K, 2)``, int64, row and column.
    """
    points = np.asarray(outline, dtype=np.int64)
    corner = points.min(axis=0)
    shifted = [tuple(point) for point in (points - corner).tolist()]
    picture = Image.new("L", tuple((np.ptp(points, axis=0) + 1).tolist()))
    draw = ImageDraw.Draw(picture)
    if len(shifted) > 2:
        draw.polygon(shifted, fill=1)
    draw.line([*shifted, shifted[0]], fill=1)
    return np.argwhere(np.asarray(picture)) + corner[::-1]


def inner(pixels: np.ndarray) -> np.ndarray:
    """The pixels of a nodule: those of a filled outline but for the outline itself.

    The readers' outlines run on the first pixels *outside* of the nodule. So the outermost ring is taken off once:
    every pixel that has one outside of the outline above, below, left or right of it. A hole is not outside: the ring
    around it stays.

    Args:
        pixels: ``(K, 2)``, int64, row and column, of :func:`filled` outlines less holes.

    Returns:
        ``(L, 2)`` of them, in order; none where nothing is enclosed.
    """
    if not len(pixels):
        return pixels
    corner = pixels.min(axis=0) - 1
    within = np.zeros(np.ptp(pixels, axis=0) + 3, dtype=bool)
    within[tuple((pixels - corner).T)] = True
    return np.argwhere(ndimage.binary_erosion(ndimage.binary_fill_holes(within)) & within) + corner


def group(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Which readings are of one nodule: the identifiers of different readers are not the same.

    Two readings of different readers may be of one nodule where they share pixels. Of all such pairs the one that
    agrees best, by intersection over union of the pixels in all slices, is put together first, then the next, unless a
    reader would have two readings in one nodule; so it is decided, too, where one reader outlined as two nodules what
    another took for one.

    Returns:
        The readings of each nodule, by reader; nodules in the order of their first readings.
    """
    pairs = []
    for i, one in enumerate(readings):
        for j in range(i + 1, len(readings)):
            if one.reader != readings[j].reader and (agreement := _agreement(one, readings[j])):
                pairs.append((-agreement, i, j))
    members = {i: [i] for i in range(len(readings))}  # lists are shared by those that are together
    for _, i, j in sorted(pairs):
        together = members[i] + members[j]
        if members[i] is not members[j] and len({readings[k].reader for k in together}) == len(together):
            members |= dict.fromkeys(together, together)
    nodules = {id(found): sorted(found) for found in members.values()}
    return [sorted((readings[k] for k in found), key=lambda r: r.reader) for found in sorted(nodules.values())]


def _agreement(one: Reading, other: Reading) -> float:
    """Intersection over union of the pixels of two readings."""
    both = sum(
        len(np.intersect1d(_codes(pixels), _codes(other.pixels[uid])))
        for uid, pixels in one.pixels.items()
        if uid in other.pixels
    )
    each = sum(len(pixels) for reading in (one, other) for pixels in reading.pixels.values())
    return both / (each - both)


def _codes(pixels: np.ndarray) -> np.ndarray:
    """One number a pixel."""
    return (pixels[:, 0] << 32) | pixels[:, 1]


def merge(readings: Sequence[Reading]) -> Nodule:
    """The readings of one nodule as one.

    - Its pixels are those of the reader who outlined the most in any slice, in that slice; of equals, those of the
      highest slice, and in it of the first reader.
    - A rating is the median of the readers; of an even number, the mean of the middle two.

    Pixels that half of the readers agree on would be another choice, but one that extracted patches do not hold, see
    :func:`medlatent.data.lidc.pack`. Of the 1 268 nodules of three readers or more whose outlines could be compared,
    the diameter of the largest outline is 9.6 % above that of the pixels which at least half enclosed (the mean), and
    80 % are in the same bin of size.
    """
    reading, uid = max(
        ((reading, uid) for reading in readings for uid in reading.pixels),
        key=lambda one: (len(one[0].pixels[one[1]]), one[0].position[one[1]]),
    )
    return Nodule(
        readers=len(readings),
        median={name: float(np.median([r.ratings[name] for r in readings])) for name in RATINGS},
        slice_uid=uid,
        position=reading.position[uid],
        pixels=reading.pixels[uid],
    )
