"""Image sets by name: phantoms are rendered, real sets are read from the folder in ``MEDLATENT_DATA``."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from .errors import DataError
from .imageset import ImageSet

PHANTOMS = ("phantoms.lesion",)
REAL = ("ham10000",)


def packed_folder(name: str) -> Path | None:
    """Where a real data set is packed, ``$MEDLATENT_DATA/<name>``, or None where it is not."""
    root = os.environ.get("MEDLATENT_DATA")
    folder = Path(root) / name if root else None
    return folder if folder is not None and folder.is_dir() else None


def open_images(source: str, n: int | None = None, seed: int = 0) -> ImageSet:
    """An image set by the name of its source.

    Args:
        source: ``"phantoms.lesion"``; ``"ham10000"``, which must have been packed into ``$MEDLATENT_DATA/ham10000`` by
            ``data_scripts/ham10000.py``; or the path of any folder that ``ImageSet.save`` wrote.
        n: how many phantoms; for a packed set, its first n images. By default 5 000 phantoms, and the whole packed set.
        seed: of the phantoms.

    Raises:
        DataError: the source is unknown, or not packed, or n is below 1; the message says what to do.
    """
    if n is not None and n < 1:
        raise DataError(f"n: at least one image is needed, got {n}")
    if source in PHANTOMS:
        module = importlib.import_module(f".{source}", __package__)
        return module.generate(5000 if n is None else n, seed=seed)
    if source in REAL:
        folder = packed_folder(source)
        if folder is None:
            raise DataError(
                f"{source} is not packed: run `python data_scripts/{source}.py --out FOLDER/{source}` "
                "and set the environment variable MEDLATENT_DATA to FOLDER"
            )
    else:
        folder = Path(source)
        if not folder.is_dir():
            raise DataError(f"unknown source {source!r}: use {', '.join([*PHANTOMS, *REAL])} or the path of a folder")
    images = ImageSet.load(folder)
    return images if n is None else images.subset(range(min(n, len(images))))
