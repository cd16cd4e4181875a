"""What the modules that pack a source share: files in archives, one message for everything wrong, many processes."""

from __future__ import annotations

import errno
import multiprocessing
import os
import re
import shutil
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..files import recover
from ..files.one import temporary_beside
from .download import open_zip, read_member
from .errors import DataError
from .untrusted import check_declared, counts, pattern

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NUMPY_FULL = re.compile("free space|requested and .* written")  # NumPy's errors have no number


class Findings:
    """Names under the kind of thing that was found about them, to be told in one line."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, kind: str, name: str) -> None:
        self.found.setdefault(kind, []).append(name)

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        parts = []
        for kind, names in self.found.items():
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{len(names)} × {kind} ({'; '.join(names[:3])}{more})")
        return "; ".join(parts)

    @property
    def counts(self) -> dict[str, int]:
        return {kind: len(names) for kind, names in self.found.items()}


class File(NamedTuple):
    """A file, or (``member`` is not ``None``) a member of a zip archive."""

    path: str
    member: str | None = None

    def __str__(self) -> str:
        return self.path if self.member is None else f"{self.path}: {self.member}"

    @property
    def pattern(self) -> tuple[str, str]:
        """What files of one series share, the archive and the path with the numbers of the name left open."""
        if self.member is None:
            return "", pattern(Path(self.path).as_posix())
        return self.path, pattern(self.member)


def find_files(source: str | os.PathLike | Iterable[str | os.PathLike]) -> Iterator[File]:
    """All files of a source, sorted by name: those in folders at any depth, and the members of zip archives.

    Hidden files in them, and what operating systems leave behind (``._*``, ``.DS_Store``, ``__MACOSX``), do not count.
    Links are followed; one that leads nowhere is a file, whose reading is an error that names it.

    Raises:
        DataError: a path does not exist, or a folder or an archive cannot be read.
    """
    for path in [source] if isinstance(source, str | os.PathLike) else source:
        path = Path(path)
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        for file in _in_folder(path) if path.is_dir() else [path]:
            if file.suffix.lower() == ".zip":
                with open_zip(file) as archive:
                    members = sorted(m.filename for m in archive.infolist() if not m.is_dir() and counts(m.filename))
                yield from (File(str(file), member) for member in members)
            else:
                yield File(str(file))


def _in_folder(path: Path) -> list[Path]:
    def unreadable(error: OSError) -> None:
        raise DataError(f"{error.filename}: the folder cannot be read ({error.strerror})")

    found: list[Path] = []
    seen: set[str] = set()
    for folder, inner, names in os.walk(path, onerror=unreadable, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # by a link that leads back
            inner.clear()
            continue
        seen.add(real)
        inner.sort(key=lambda name: (Path(folder, name).is_symlink(), name))
        found += [Path(folder, name) for name in names]
    return sorted(
        file
        for file in found
        if counts(file.relative_to(path).as_posix()) and (file.is_file() or (file.is_symlink() and not file.exists()))
    )


@contextmanager
def collecting(out: Path) -> Iterator[Path]:
    """A folder beside ``out`` for what is collected on the way to it, which vanishes at the end.

    What a killed process has left beside ``out`` is removed first; that of one that still runs stays.

    Raises:
        OSError: the folder cannot be made, or the disk is full; the message names ``out``.
    """
    recover(out.parent, out.name)
    folder = temporary_beside(out)  # by whose name recover knows it
    folder.unlink()
    folder.mkdir()
    try:
        yield folder
    except OSError as error:
        if error.errno in FULL or (error.errno is None and NUMPY_FULL.search(str(error))):
            code = error.errno or errno.ENOSPC
            why = "the disk has no room for it: make some, or choose another folder; nothing was written"
            raise OSError(code, why, str(out)) from None
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load_arrays(content: bytes, names: Sequence[str], name: str) -> dict[str, np.ndarray]:
    """Some arrays of an ``.npz`` file; those that are not in it are absent.

    Raises:
        DataError: the file is damaged, or declares far more than it holds; the message begins with ``name``.
    """
    try:
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            for member in arrays.zip.infolist():
                check_declared(member.file_size, member.compress_size, f"{name}: {member.filename}")
            return {key: arrays[key] for key in names if key in arrays.files}
    except DataError:
        raise
    except Exception as error:  # from zip, zlib and the headers of arrays, which have no closed set of them
        raise DataError(f"{name}: damaged, or no .npz file ({error}); get it again") from None


class Files:
    """Reads what :func:`find_files` found, and keeps the last archive open; a context manager."""

    def __init__(self) -> None:
        self.stack: ExitStack | None = None
        self.path: str | None = None
        self.archive: zipfile.ZipFile | None = None

    def __enter__(self) -> Files:
        return self

    def __exit__(self, *exception) -> None:
        if self.stack is not None:
            self.stack.close()
        self.stack = self.path = self.archive = None

    def read(self, file: File) -> bytes:
        """The bytes of a file or a member.

        Raises:
            DataError: the archive or the member is damaged, or unpacks to far more than it is.
            OSError: the file cannot be read.
        """
        if file.member is None:
            return Path(file.path).read_bytes()
        member = self._opened(file).getinfo(file.member)
        check_declared(member.file_size, member.compress_size, str(file))
        return read_member(self.archive, file.member)

    def beginning(self, file: File, count: int) -> bytes:
        """The first bytes of a member.

        Raises:
            DataError: the archive or the member is damaged.
        """
        try:
            with self._opened(file).open(file.member) as opened:
                return opened.read(count)
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise DataError(f"{file} is damaged ({error}): get the archive again") from None

    def _opened(self, file: File) -> zipfile.ZipFile:
        if file.path != self.path:
            self.__exit__()
            self.stack = ExitStack()
            self.archive = self.stack.enter_context(open_zip(file.path))
            self.path = file.path
        return self.archive


def parallel(function: Callable, jobs: Sequence, workers: int, chunk: int = 16) -> Iterator:
    """``map(function, jobs)`` in order, in this process or spread over several; ``function`` must pickle.

    Raises:
        DataError: a process was killed.
    """
    if workers == 1:
        yield from map(function, jobs)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads (torch has some) may hang
    with ProcessPoolExecutor(workers, context, _start, (function,)) as pool:
        try:
            yield from pool.map(_call, jobs, chunksize=chunk)
        except BrokenProcessPool:
            raise DataError(
                "a packing process was killed, perhaps for want of memory: pack with fewer workers (and in a script, "
                "call pack under `if __name__ == '__main__':`)"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)  # after an error, what is still queued would be worked through


_function: Callable | None = None


def _start(function: Callable) -> None:
    global _function
    _function = function
    # a worker of a killed parent would wait for ever
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _call(job):
    return _function(job)
