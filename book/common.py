"""What the scripts of the book share."""

import glob
import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path
from threading import get_ident

PINS = ("requirements.txt", "requirements.lock")  # what a notebook is executed with
HOUR = 3600  # seconds


class BuildError(Exception):
    """The book cannot be built as it stands; the message says where and what to do."""


def write(path: Path, text: str | bytes) -> None:
    """Writes a file whole or not at all, whoever else is writing it.

    What was half written by those who were killed, for it takes nobody an hour, is removed.

    Raises:
        BuildError: it cannot be written; the message names it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
        with suppress(OSError):  # somebody else has removed it
            if time.time() - left.stat().st_mtime > HOUR:
                left.unlink()
    partial = path.with_name(f".{path.name}.{os.getpid()}-{get_ident()}.partial")
    try:
        partial.write_bytes(text.encode() if isinstance(text, str) else text)
        partial.replace(path)
    except OSError as error:  # that of a full disk names no file
        raise BuildError(f"{path} cannot be written: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def tree(root: Path, *names: str) -> list[Path]:
    """The files of these folders or files, sorted; what Python or an editor leaves behind is not among them."""
    found = []
    for name in names:
        path = root / name
        found += [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sorted(p for p in found if "__pycache__" not in p.parts and not p.name.startswith("."))


def digest(root: Path, files: list[Path], *more: object) -> str:
    """SHA-256 over names and contents of files, and anything else that prints."""
    total = hashlib.sha256(repr(more).encode())
    for path in files:
        total.update(f"{path.relative_to(root)}\0{path.stat().st_size}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()
