"""What may be believed of files from elsewhere: which of them count, and how much memory what they declare may take."""

from __future__ import annotations

import re

from .errors import DataError

OF_SYSTEMS = {
    *("thumbs.db", "desktop.ini", "__macosx", "dicomdir", "ehthumbs.db", "icon\r"),
    *("@eadir", "$recycle.bin", "system volume information", "lost+found"),
}
NUMBERED = re.compile(r"[0-9a-fA-F]{4,}|[a-fA-F]*[0-9][0-9a-fA-F]*")
FREE = 64 * 2**20  # bytes that a file may declare whatever its size: a slice that is blank compresses a thousandfold
RATIO = 200  # and beyond, the most that it may declare for each byte that is there


def counts(name: str) -> bool:
    """Whether a path with ``/`` is neither hidden nor what an operating system leaves behind (``._*``, ``__MACOSX``).

    Such are ``.DS_Store`` and ``Thumbs.db``, too, and the table of contents of a DICOM disc.
    """
    return not any(part.startswith(".") or part.lower() in OF_SYSTEMS for part in name.split("/"))


def pattern(path: str) -> str:
    """A path with ``/``, the numbers of its last name left open: files of one series differ in these.

    Hexadecimal numbers are some, too, with which discs and exports call their files.
    """
    folder, bar, name = path.rpartition("/")
    return f"{folder}{bar}{NUMBERED.sub('#', name)}"


def check_declared(declared: int, there: int, name: str, free: int = FREE) -> None:
    """Refuses a file that declares far more than it holds, before memory is taken for it.

    Args:
        declared: bytes that would be taken.
        there: bytes that the file has for them.
        name: what the message calls the file.
        free: bytes that any file may declare.

    Raises:
        DataError: it is more than ``free``, and more than 200 times what is there.
    """
    if declared > max(free, RATIO * there):
        raise DataError(
            f"{name} declares {declared} bytes and holds {there}, where up to {RATIO} times that are read: it is "
            "damaged, or made to fill the memory; get it again, or leave it out"
        )
