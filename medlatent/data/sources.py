"""Image sets by the name of their source."""

from __future__ import annotations

from pathlib import Path

from .errors import DataError
from .imageset import ImageSet
from .source import all_sources, find_source


def packed_folder(name: str) -> Path | None:
    """Where a real data set is packed, ``$MEDLATENT_DATA/<name>``, or None where it is not."""
    source = find_source(name)
    return source.folder if source else None


def at_hand(name: str) -> bool:
    """Whether a source of a record is to be opened here: false for a real data set that is not packed.

    Raises:
        DataError: a phantom that is unknown, which is no absent data.
    """
    source = find_source(name)
    if source is None and name.startswith("phantoms."):
        raise _unknown(name)
    return source.at_hand if source else _is_folder(name)


def open_images(name: str, n: int | None = None, seed: int = 0) -> ImageSet:
    """An image set by the name of its source.

    Args:
        name: of a source, see ``python -m medlatent list``: one that is rendered, such as ``"phantoms.lesion"``; one
            that an installed package carries, such as ``"mnist.digits"``, 5 000 real digits; one that was packed into
            ``$MEDLATENT_DATA/<name>`` by the script of its name in ``data_scripts/``, such as ``"ham10000"``; or the
            path of any folder that ``ImageSet.save`` wrote.
        n: how many phantoms; of a real set, its first n images; of what a view shows, which may leave some out. By
            default 5 000 lesions, 2 000 hearts, and the whole real set.
        seed: of the phantoms.

    Raises:
        DataError: the source is unknown, or not packed, or n is below 1; the message says what to do.
    """
    if n is not None and n < 1:
        raise DataError(f"n: at least one image is needed, got {n}")
    if source := find_source(name):
        return source.images(n, seed)
    if not _is_folder(name):
        raise _unknown(name)
    images = ImageSet.load(Path(name))
    return images if n is None else images.subset(range(min(n, len(images))))


def _is_folder(name: str) -> bool:
    return bool(name) and Path(name).is_dir()  # the path of no name is the working directory


def _unknown(name: str) -> DataError:
    known = ", ".join(source.name for source in all_sources())
    return DataError(f"unknown source {name!r}: use {known} or the path of a folder")
