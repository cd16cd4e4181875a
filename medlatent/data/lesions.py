"""Skin lesions as Havaei et al. (2021) use them: three diagnoses, of which the two rarer ones are shown three times.

Section III-A1 of the paper takes the three largest of the seven classes of HAM10000, cuts out a patch around each
lesion (:func:`medlatent.data.ham10000.pack`, with ``patch=48``), and augments melanomas and benign keratoses "three
times with random flipping", of the training data only. The condition of an image is its class.

**What the paper leaves open.** Of which resolution the patch has 48 × 48 pixels. Here it is three quarters of the
photograph's shorter side, the same for all lesions and not fitted to them, since the paper finds their size in the
content: half of the lesions of the three diagnoses cover 55 % of their patch or more (naevi 47 %, melanomas 67 %,
keratoses 65 %), one in twenty less than 10 %, one in twenty all but 2 %.

Whether "three times" counts the image itself, which it does here: 1 113 melanomas and 1 099 keratoses become about half
as many each as the 6 705 naevi. The split, which here is by lesion, since photographs of one lesion are alike: of the
10 015 images themselves none is published.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np
import pandas as pd

from .errors import DataError
from .imageset import ImageSet

TIMES = {"nv": 1, "mel": 3, "bkl": 3}
"""How many times each training image of a naevus, a melanoma and a benign keratosis is shown."""

FLIPS = {"none": (False, False), "horizontal": (True, False), "vertical": (False, True), "both": (True, True)}
"""Whether left and right change places, and whether above and below do."""

NAME = ": nv, mel, bkl"
"""What :func:`balanced` adds to the name of a set."""


def balanced(images: ImageSet) -> ImageSet:
    """The images of the three diagnoses, those of melanomas and keratoses three times in the training split.

    The first is the image as it is; the others are flipped in two of the three ways, so that no picture is there twice.
    Which two depends on the image's identifier alone. Validation and test images are each there once. What turns with a
    picture is turned in the table: ``orientation``, ``position_x`` and ``position_y``, where it has them.

    Args:
        images: with the columns ``image_id``, ``dx`` and ``split``.

    Returns:
        A set whose factor ``dx`` has three values, and whose column ``flip`` is one of ``FLIPS``. The copies of an
        image follow it.

    Raises:
        DataError: a column is missing, the diagnosis is not known of every image, or there is none of the three.
    """
    table = images.table
    for name in ("image_id", "dx", "split"):
        if name not in table:
            raise DataError(f"{images.card.name}: the column {name!r} is missing; it has {', '.join(map(str, table))}")
    if "dx" not in images.factors:
        raise DataError(f"{images.card.name}: 'dx' is no factor, as the diagnosis is not known of every image")
    rows, flips = [], []
    for row, (image_id, dx, split) in enumerate(zip(table["image_id"], table["dx"], table["split"], strict=True)):
        if dx in TIMES:
            shown = ["none", *_flips(image_id)][: TIMES[dx] if split == "train" else 1]
            rows += [row] * len(shown)
            flips += shown
    if not rows:
        raise DataError(f"{images.card.name}: of its {len(images)} images none is of {', '.join(TIMES)}")
    pixels, seen = images.images[rows], table.iloc[rows].reset_index(drop=True)
    for way, (across, upright) in FLIPS.items():
        flipped = np.array(flips) == way
        axes = [axis for axis, mirrored in ((3, across), (2, upright)) if mirrored]
        pixels[flipped] = np.flip(pixels[flipped], axes)
        _turn(seen, flipped, across, upright)
    seen["flip"] = flips
    card = replace(
        images.card,
        name=f"{images.card.name}{NAME}",
        preprocessing=f"{images.card.preprocessing}; images of {', '.join(TIMES)} only, in the training split those of "
        "mel and bkl three times, as they are and flipped in two of three ways (horizontally, vertically, both)",
        attributes={**images.card.attributes, "times": TIMES},
    )
    factors = images.factors | {"dx": replace(images.factors["dx"], values=tuple(TIMES))}
    return ImageSet(pixels, seen, factors, card, images.group, images.value_range)


def _flips(image_id: object) -> list[str]:
    """Two of the three ways to flip, by the image's identifier."""
    ways = [way for way in FLIPS if way != "none"]
    del ways[hashlib.sha256(str(image_id).encode()).digest()[0] % len(ways)]
    return ways


def _turn(table: pd.DataFrame, rows: np.ndarray, across: bool, upright: bool) -> None:
    """Turns in some rows of a table what a flipped image shows turned."""
    for name, mirrored in (("position_x", across), ("position_y", upright)):
        if mirrored and name in table:
            table.loc[rows, name] *= -1
    if across != upright and "orientation" in table:  # half a turn is none: the period is π
        table.loc[rows, "orientation"] = np.remainder(np.pi / 2 - table.loc[rows, "orientation"], np.pi) - np.pi / 2
