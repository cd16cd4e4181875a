"""Fetching published files and opening archives that come from elsewhere.

``fetch`` downloads one file: it resumes, retries, and checks what was published about it. ``get`` reads a small answer.
``open_zip`` and ``extract``
refuse an archive whose members would leave the folder or fill the disk.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from ..files import naming
from .errors import DataError
from .optional import extra

with extra("data", "fetching data"):
    import requests

TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
NO_ADDRESS = (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema, requests.exceptions.InvalidSchema)
CHUNK = 1 << 16  # of a dropped connection, the last incomplete chunk is lost


class _Retry(Exception):
    """The transfer failed in a way that another attempt may mend."""


def fetch(
    url: str,
    path: str | os.PathLike,
    *,
    size: int | None = None,
    md5: str | None = None,
    sha256: str | None = None,
    progress: bool = True,
    retries: int = 5,
    backoff: float = 1.0,
    session: requests.Session | None = None,
) -> Path:
    """Downloads a file, whole and verified or not at all.

    The bytes are collected in ``path`` + ``.part`` and renamed at the end. A ``.part`` left by an interrupted run is
    continued by an HTTP range request, on the condition (``If-Range``) that the file on the server is still the same;
    where the server cannot promise that, or ignores ranges, the download starts again. A file which is already there
    and agrees with ``size`` and the checksums is left alone.

    Args:
        url: an ``http`` or ``https`` address.
        path: where the file goes; its folder is made.
        size: the published number of bytes.
        md5, sha256: the published checksums, hexadecimal.
        progress: show a progress bar.
        retries: how many attempts may fail one after the other without a new byte.
        backoff: seconds before the first retry; doubled at each further one, up to a minute.
        session: keeps connections open from one file to the next, which many small files need; of one thread.

    Returns:
        ``path``.

    Raises:
        DataError: the server refuses (4xx), keeps failing, or sends something other than what was published.
        OSError: the disk cannot take the file; what came in so far is kept for the next run.
    """
    path = Path(path)
    part, tag = _beside(path, ".part"), _beside(path, ".part.tag")
    if path.exists() and not _mismatch(path, size, md5, sha256):
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    furthest, failures = _length(part), 0
    while size is None or _length(part) != size:
        try:
            _attempt(url, part, tag, size, progress, session)
            break
        except _Retry as error:
            reached = _length(part)
            failures = 0 if reached > furthest else failures + 1
            furthest = max(furthest, reached)
            if failures > retries:
                raise DataError(f"{url}: {error}; given up after {failures} attempts, run again to resume") from None
            time.sleep(min(backoff * 2 ** max(failures - 1, 0), 60))
    if problem := _mismatch(part, size, md5, sha256):
        part.unlink()
        tag.unlink(missing_ok=True)
        raise DataError(f"{url}: {problem}; the download was deleted, run again to fetch it anew")
    part.replace(path)
    tag.unlink(missing_ok=True)
    return path


def get(url: str, *, retries: int = 5, backoff: float = 1.0, session: requests.Session | None = None) -> bytes:
    """The content of an address that is small enough to be kept in memory, such as a list of files.

    Args:
        url: an ``http`` or ``https`` address.
        retries, backoff, session: as of :func:`fetch`.

    Raises:
        DataError: the server refuses (4xx), or keeps failing.
    """
    for failures in range(retries + 1):
        try:
            with (session or requests).get(url, timeout=TIMEOUT) as response:
                _check_status(url, response)
                return response.content
        except NO_ADDRESS as error:
            raise DataError(f"{url} is no address that can be fetched: {error}") from None
        except requests.RequestException as error:
            problem = f"the connection failed ({error})"
        except _Retry as error:
            problem = str(error)
        if failures < retries:
            time.sleep(min(backoff * 2**failures, 60))
    raise DataError(f"{url}: {problem}; given up after {retries + 1} attempts, try again later")


def _check_status(url: str, response: requests.Response) -> None:
    code = response.status_code
    if code in (408, 429) or code >= 500:
        raise _Retry(f"the server answers {code} {response.reason}")
    if code not in (200, 206):
        raise DataError(f"{url}: the server answers {code} {response.reason}")


def _attempt(
    url: str, part: Path, tag: Path, size: int | None, progress: bool, session: requests.Session | None
) -> None:
    """One request: appends to ``part`` what the server sends, and returns when the file is complete."""
    offset = _length(part)
    headers = {"Accept-Encoding": "identity"}  # compressed on the way, neither lengths nor ranges would be the file's
    if offset and tag.exists():
        headers |= {"Range": f"bytes={offset}-", "If-Range": tag.read_text(encoding="latin-1")}
    try:
        with (session or requests).get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            code = response.status_code
            content_range = response.headers.get("Content-Range", "")
            if code == 416:
                part.unlink(missing_ok=True)
                raise _Retry("the server has no bytes beyond those of the interrupted download")
            _check_status(url, response)
            if code == 206 and not content_range.startswith(f"bytes {offset}-"):
                part.unlink(missing_ok=True)
                raise _Retry(f"the server sends the range {content_range!r}, not the one asked for")
            if code == 200:
                offset = 0
            encoded = response.headers.get("Content-Encoding", "identity") != "identity"
            length = response.headers.get("Content-Length")
            total = None if encoded or length is None else offset + int(length)
            if size is not None and total not in (None, size):
                raise _Retry(f"the server offers {total} bytes, {size} were published")
            with (
                open(part, "ab" if offset else "wb") as file,
                tqdm(
                    total=total,
                    initial=offset,
                    unit="B",
                    unit_scale=True,
                    desc=part.name.removesuffix(".part"),
                    disable=not progress,
                ) as bar,
            ):
                _write_tag(tag, response, encoded)  # after the bytes of another version are gone
                for chunk in response.iter_content(CHUNK):
                    file.write(chunk)
                    bar.update(len(chunk))
    except NO_ADDRESS as error:
        raise DataError(f"{url} is no address that can be fetched: {error}") from None
    except requests.RequestException as error:
        raise _Retry(f"the connection failed ({error})") from None
    if total is not None and _length(part) != total:
        raise _Retry(f"the connection ended after {_length(part)} of {total} bytes")


def _write_tag(tag: Path, response: requests.Response, encoded: bool) -> None:
    """Keeps what names this version of the file on the server; without one, an interrupted download starts again."""
    validator = response.headers.get("ETag", "")
    if validator.startswith("W/") or not validator:
        validator = response.headers.get("Last-Modified", "")
    if validator and not encoded:
        tag.write_text(validator, encoding="latin-1")
    else:
        tag.unlink(missing_ok=True)


def _mismatch(path: Path, size: int | None, md5: str | None, sha256: str | None) -> str | None:
    """What about this file differs from what was published, in words; ``None`` where nothing does."""
    if size is not None and _length(path) != size:
        return f"{path.name} has {_length(path)} bytes, {size} were published"
    for name, expected in (("md5", md5), ("sha256", sha256)):
        if expected is not None:
            with open(path, "rb") as file:
                found = hashlib.file_digest(file, name).hexdigest()
            if found != expected.lower():
                return f"{path.name} has the {name} {found}, {expected} was published"
    return None


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


# --------------------------------------------------------------------------------------------------------- archives


@contextmanager
def open_zip(
    path: str | os.PathLike, *, max_bytes: int = 100 * 2**30, max_ratio: float = 200.0
) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive for reading after looking at what it declares.

    The declared sizes are binding: Python's reader stops at them and compares the checksum.

    Args:
        path: the archive.
        max_bytes: the most that all members together may unpack to.
        max_ratio: the most that all members together may unpack to, as a multiple of the archive's own size.

    Raises:
        DataError: the archive is missing, cut off or damaged, is encrypted, holds a link or a name that leads out of
            the folder, or would unpack to more than is allowed.
    """
    path = Path(path)
    try:
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (zipfile.BadZipFile, NotImplementedError, EOFError) as error:
        raise DataError(f"{path} is no zip archive, or is cut off ({error}): download it again") from None
    with archive:
        members = archive.infolist()
        for member in members:
            name = PurePosixPath(member.filename.replace("\\", "/"))
            if name.is_absolute() or ".." in name.parts or ":" in member.filename:
                raise DataError(f"{path}: the member {member.filename!r} leads out of the archive's folder")
            if stat.S_ISLNK(member.external_attr >> 16):
                raise DataError(f"{path}: the member {member.filename!r} is a symbolic link")
            if member.flag_bits & 1:
                raise DataError(f"{path}: the member {member.filename!r} is encrypted")
        total, stored = sum(m.file_size for m in members), path.stat().st_size
        if total > max_bytes:
            raise DataError(f"{path} would unpack to {total} bytes, more than the {max_bytes} allowed")
        if total > max_ratio * stored:
            raise DataError(
                f"{path} would unpack to {total / stored:.0f} times its size, more than the {max_ratio:g} allowed"
            )
        yield archive


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """The bytes of one member, checked against its checksum.

    Raises:
        DataError: the member is damaged; the message names the archive and the member.
    """
    try:
        return archive.read(name)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise DataError(f"{archive.filename}: {name} is damaged ({error}): download the archive again") from None


def extract(
    archive: str | os.PathLike,
    folder: str | os.PathLike,
    *,
    max_bytes: int = 100 * 2**30,
    max_ratio: float = 200.0,
) -> Path:
    """Unpacks a zip archive into a new folder, whole or not at all.

    Args:
        archive: the zip file.
        folder: the folder to make; it must not exist.
        max_bytes, max_ratio: the limits of :func:`open_zip`.

    Raises:
        DataError: what :func:`open_zip` and :func:`read_member` refuse, or the folder exists.
    """
    folder = Path(folder)
    if folder.exists():
        raise DataError(f"{folder} exists: choose another folder, or delete it first")
    with open_zip(archive, max_bytes=max_bytes, max_ratio=max_ratio) as opened:
        folder.parent.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f".{folder.name}.partial-", dir=folder.parent))
        try:
            for member in opened.infolist():
                try:
                    with naming(folder / member.filename, partial):
                        opened.extract(member, partial)
                except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                    raise DataError(
                        f"{archive}: {member.filename} is damaged ({error}): download the archive again"
                    ) from None
            partial.chmod(0o755)
            partial.rename(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise
    return folder
