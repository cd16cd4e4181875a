"""Image sets by the name of their source."""

from __future__ import annotations

import warnings
from pathlib import Path

from ..options import whole_options
from .errors import DataError
from .imageset import ImageSet
from .source import all_sources, data_folder, find_source, wrong_data_folder


def packed_folder(name: str) -> Path | None:
    """Where a real data set is packed, ``$MEDLATENT_DATA/<name>``, or None where it is not.

    Warns:
        UserWarning: ``MEDLATENT_DATA`` is set, and names no folder: whoever set it thinks that the data are there.
    """
    if wrong := wrong_data_folder():
        warnings.warn(wrong, stacklevel=2)
    source = find_source(name)
    return source.folder if source else own_folder(name)


def own_folder(name: str) -> Path | None:
    """The folder of an image set of one's own: of that path, or ``$MEDLATENT_DATA/<name>``; None where there is none.

    A set in the latter is called the same on every machine, and so are the records of runs on it.
    """
    if not name:
        return None  # the path of no name is the working directory
    if Path(name).is_dir():
        return Path(name)
    root = data_folder()
    return root / name if root and (root / name).is_dir() else None


def own_sets() -> list[Path]:
    """The folders in ``$MEDLATENT_DATA`` that hold an image set and are no source's of this package."""
    if (root := data_folder()) is None:
        return []
    known = {source.name for source in all_sources()}
    return sorted(
        folder
        for folder in root.iterdir()
        if folder.name not in known and not folder.name.startswith(".") and (folder / "card.json").is_file()
    )


def at_hand(name: str) -> bool:
    """Whether a source of a record is to be opened here: false for a real data set that is not packed.

    Raises:
        DataError: a phantom that is unknown, which is no absent data.
    """
    source = find_source(name)
    if source is None and name.startswith("phantoms."):
        raise _unknown(name)
    return source.at_hand if source else own_folder(name) is not None


@whole_options(DataError)
def open_images(name: str, n: int | None = None, seed: int = 0) -> ImageSet:
    """An image set by the name of its source.

    Args:
        name: of a source, see ``python -m medlatent list``: one that is rendered, such as ``"phantoms.lesion"``; one
            that an installed package carries, such as ``"mnist.digits"``, 5 000 real digits; one that was packed into
            ``$MEDLATENT_DATA/<name>`` by ``python -m medlatent data``, such as ``"ham10000"``; or the path of any
            folder that ``ImageSet.save`` wrote, or its name in ``$MEDLATENT_DATA``.
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
    if (folder := own_folder(name)) is None:
        raise _unknown(name)
    images = ImageSet.load(folder)
    return images if n is None else images.subset(range(min(n, len(images))))


def _unknown(name: str) -> DataError:
    known = ", ".join(source.name for source in all_sources())
    wrong = wrong_data_folder()
    return DataError(
        f"unknown source {name!r}: use {known} or the path of a packed folder" + (wrong and f". Besides, {wrong}")
    )
