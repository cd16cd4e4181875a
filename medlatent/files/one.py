"""One file, written whole or not at all."""

from __future__ import annotations

import errno
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

HOST = re.sub(r"[^A-Za-z0-9_-]", "_", platform.node())[:40] or "unknown"
# Tells this process from an earlier one of the same number: in a container that is started again, each has number 1.
THIS = secrets.token_hex(4)


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not.

    What was written is on the disk before it takes the place: a power cut leaves the old file or the new one. What
    killed processes of this machine left half written for this path is removed.

    Raises:
        OSError: the path cannot be written; the message names it.
    """
    path = Path(path)
    temporary = temporary_beside(path)
    sweep(path.parent, path.name)
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

    Missing parent folders are made; a temporary file is made beside the path and removed, and so is what killed
    processes of this machine left half written for it.

    Raises:
        OSError: it cannot; the message names the path and the reason.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "cannot be written: it is a folder", str(path))
    temporary_beside(path).unlink()
    sweep(path.parent, path.name)


def temporary_beside(path: Path) -> Path:
    """An empty file beside ``path``, whose name says which process made it: :func:`sweep` removes those of the dead.

    Half of the name suffices: together with what is added it must stay below the 255 bytes of a file system.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        made_by = f"{HOST}-{os.getpid()}-{THIS}_"
        handle, name = tempfile.mkstemp(".partial", f".{path.name[:50]}.{made_by}", path.parent)
    except OSError as error:
        file = next((p for p in path.parents if p.exists() and not p.is_dir()), None)
        reason = f"{file} is a file, not a folder" if file else error.strerror
        raise type(error)(error.errno, f"cannot be written: {reason}", str(path)) from None
    os.close(handle)
    return Path(name)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """A folder beside ``path`` that vanishes with all that is in it, at the latest with what :func:`sweep` removes."""
    folder = temporary_beside(path)
    try:
        folder.unlink()
        folder.mkdir()
        yield folder
    finally:
        discard(folder)


def sweep(folder: Path, *names: str) -> list[str]:
    """Removes what dead processes of this machine left half written, and what was set aside for a change that is done.

    What a journal names is needed yet, and stays.

    Args:
        folder: where to look.
        names: only what was made for these files or folders in it.

    Returns:
        What was done, or could not be, one sentence each.
    """
    made_for = "|".join(re.escape(name[:50]) for name in names) or ".+"
    pattern = re.compile(rf"\.(?:{made_for})\.([\w-]+)-(\d+)-(\w+)\.(partial|old)")
    there = sorted(path for path in folder.iterdir() if pattern.fullmatch(path.name))
    if not there:
        return []
    # Listed before the journals: of all that is in it, the journal is there or gone.
    needed = "".join(text_of(path) for path in folder.iterdir() if path.name.endswith(".journal"))
    said = []
    for path in there:
        made_by = pattern.fullmatch(path.name)
        if made_by is None or path.name in needed:  # somebody else is at it
            continue
        host, process, which, kind = made_by.groups()
        namesake = int(process) == os.getpid() and not which.startswith(f"{THIS}_")
        if kind == "old" or (host == HOST and (namesake or not alive(int(process)))):
            try:
                discard(path)
                said.append(f"{path} was left by an interrupted change; removed")
            except FileNotFoundError:
                pass  # somebody else is sweeping, too
            except OSError as error:
                said.append(f"{path} was left by an interrupted change; it cannot be removed: {error}")
    return said


def alive(pid: object) -> bool:
    """Whether a process of this machine lives, as far as can be known."""
    if os.name != "posix" or not isinstance(pid, int):
        return True  # elsewhere signal 0 is no question
    try:
        os.kill(pid, 0)  # asks whether it lives
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def text_of(path: Path) -> str:
    """The text of a file, empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""


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
