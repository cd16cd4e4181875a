"""One file, written whole or not at all."""

from __future__ import annotations

import errno
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = re.sub(r"[^A-Za-z0-9_-]", "_", platform.node())[:40] or "unknown"


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not.

    What was written is on the disk before it takes the place: a power cut leaves the old file or the new one.

    Raises:
        OSError: the path cannot be written; the message names it.
    """
    path = Path(path)
    temporary = temporary_beside(path)
    try:
        with naming(path, temporary):
            yield temporary
            temporary.chmod(0o644)
            sync(temporary)
            os.replace(temporary, path)  # noqa: PTH105
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: str | os.PathLike, temporary: Path | None = None) -> Iterator[None]:
    """Lets an error of writing within it say which file cannot be written.

    That of a full disk names none, whoever wrote; others name what they wrote under a temporary name.

    Args:
        path: of the file, or of the folder that files are written to.
        temporary: where they are written meanwhile, if not there.
    """
    try:
        yield
    except OSError as error:
        # The errors of a full disk have no type of their own; those of other libraries, such as connections, have one.
        unnamed = type(error) is OSError and error.filename is None
        if not unnamed and not (temporary and str(error.filename).startswith(str(temporary))):
            raise
        # NumPy says how many values it could write, and not why no more.
        why = error.strerror or f"{error}; perhaps the disk is full"
        raise type(error)(error.errno or errno.EIO, f"cannot be written: {why}", str(path)) from error


def check_writable(path: str | os.PathLike) -> None:
    """Finds out whether a file can be written at ``path``, before hours are spent on what shall be written there.

    Missing parent folders are made; a temporary file is made beside the path and removed.

    Raises:
        OSError: it cannot; the message names the path and the reason.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "cannot be written: it is a folder", str(path))
    temporary_beside(path).unlink()


def temporary_beside(path: Path) -> Path:
    """An empty file beside ``path``, whose name says which process made it: :func:`recover` removes those of the dead.

    Half of the name suffices: together with what is added it must stay below the 255 bytes of a file system.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(".partial", f".{path.name[:50]}.{HOST}-{os.getpid()}-", path.parent)
    except OSError as error:
        file = next((p for p in path.parents if p.exists() and not p.is_dir()), None)
        reason = f"{file} is a file, not a folder" if file else error.strerror
        raise type(error)(error.errno, f"cannot be written: {reason}", str(path)) from None
    os.close(handle)
    return Path(name)


def sync(path: Path) -> None:
    """Waits until a file, or a folder with all that is in it, is on the disk."""
    for file in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
        handle = os.open(file, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    if path.is_dir():
        for folder in [path, *(p for p in path.rglob("*") if p.is_dir())]:
            sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, where the system offers it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{kind}")
