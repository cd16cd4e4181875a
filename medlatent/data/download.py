"""Fetching published files and opening archives that come from elsewhere.

``fetch`` downloads one file: it resumes, retries, and checks what was published about it. ``get`` reads a small answer.
Both take a server for what it may be: one that answers amiss, cuts off, or does not end. ``open_zip`` and ``extract``
refuse an archive whose members would leave the folder or fill the disk.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from ..files import check_writable, claim, naming
from .errors import DataError
from .optional import extra

with extra("data", "fetching data"):
    import requests

TIMEOUT = (10, 60)  # seconds to connect, seconds without a byte
CHUNK = 1 << 16  # of a dropped connection, the last incomplete chunk is lost
MOST = 2**34  # bytes of a file whose size neither its publisher nor the server states
MOST_IN_MEMORY = 2**26  # bytes of an answer that is kept there
AS_IT_IS = {"Accept-Encoding": "identity"}  # compressed on the way, neither lengths nor ranges would be the file's
LENGTH = re.compile(r"[0-9]{1,18}")
RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
VALIDATOR = re.compile(r'"[!#-~\x80-\xff]*"|\w{3}, [\w :]{20,30} GMT', re.ASCII)  # a strong ETag, or a date


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
        DataError: the server refuses (4xx), keeps failing, or sends something other than what was published; or
            nothing was published, and its answer does not show where the file ends.
        OSError: the disk cannot take the file, which the message names; what came in so far is kept for the next run.
            Or another process is fetching it, which the message names (``medlatent.files.Claimed``).
    """
    path = Path(path)
    if path.is_file() and not _mismatch(path, size, md5, sha256):
        return path
    check_writable(path)
    with claim(path):  # or two processes would append to one .part
        if path.is_file() and not _mismatch(path, size, md5, sha256):
            return path  # the other one has fetched it meanwhile
        part, tag = _beside(path, ".part"), _beside(path, ".part.tag")
        verified = bool(md5 or sha256)
        if size and _length(part) >= size and (not verified or _mismatch(part, size, md5, sha256)):
            part.unlink()  # of the right size at best, which does not make it the file
        furthest, failures = _length(part), 0
        while not size or _length(part) != size:
            try:
                with naming(path):
                    _attempt(url, part, tag, size, verified, progress, session)
                break
            except _Retry as error:
                reached = _length(part)
                failures = 0 if reached > furthest else failures + 1
                furthest = max(furthest, reached)
                if failures > retries:
                    raise DataError(
                        f"{url}: {error}; given up after {failures} attempts, run again to resume"
                    ) from None
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
        DataError: the server refuses (4xx), keeps failing, or sends more than 64 MiB.
    """
    for failures in range(retries + 1):
        try:
            with _answer(url, session, AS_IT_IS) as response:
                _check_status(url, response, 200)
                if _is_encoded(response):
                    raise _Retry("the answer is compressed, which was not asked for: it could be cut off unnoticed")
                content = bytearray()
                for chunk in response.iter_content(CHUNK):
                    content += chunk
                    if len(content) > MOST_IN_MEMORY:
                        raise DataError(f"{url}: the answer is longer than {MOST_IN_MEMORY} bytes, or does not end")
                return bytes(content)
        except _Retry as error:
            problem = str(error)
        if failures < retries:
            time.sleep(min(backoff * 2**failures, 60))
    raise DataError(f"{url}: {problem}; given up after {retries + 1} attempts, try again later")


@contextmanager
def _answer(
    url: str, session: requests.Session | None, headers: Mapping[str, str] | None = None
) -> Iterator[requests.Response]:
    """What the server answers; its body is still to be read.

    Raises:
        DataError: the address is none, or leads to none or nowhere.
        _Retry: the connection failed, then or while the body was read.
    """
    try:
        try:
            response = (session or requests).get(url, headers=headers, stream=True, timeout=TIMEOUT)
        except requests.exceptions.InvalidHeader as error:  # two lengths at a time
            raise _Retry(f"the server's answer cannot be understood ({error})") from None
        except requests.exceptions.TooManyRedirects as error:
            raise DataError(f"{url} leads from address to address and to no file: {error}") from None
        except ValueError as error:  # not only of requests: a redirect may name anything
            raise DataError(f"{url} is no address that can be fetched, or leads to none: {error}") from None
        with response:
            yield response
    except DataError:
        raise
    except (requests.RequestException, ValueError) as error:  # ValueError: of a piece of -3 bytes
        raise _Retry(f"the connection failed ({error})") from None


def _check_status(url: str, response: requests.Response, *fine: int) -> None:
    code = response.status_code
    if code in (408, 429) or code >= 500:
        raise _Retry(f"the server answers {code} {response.reason}")
    if code not in fine:
        raise DataError(f"{url}: the server answers {code} {response.reason}")


def _attempt(
    url: str, part: Path, tag: Path, size: int | None, verified: bool, progress: bool, session: requests.Session | None
) -> None:
    """One request: appends to ``part`` what the server sends, and returns when the file is complete."""
    known = _read_tag(tag)
    offset = _length(part) if known else 0
    headers = AS_IT_IS | ({"Range": f"bytes={offset}-", "If-Range": known} if offset else {})
    with _answer(url, session, headers) as response:
        if response.status_code == 416:
            part.unlink(missing_ok=True)
            raise _Retry("the server has no bytes beyond those of the interrupted download")
        _check_status(url, response, 200, 206)
        if response.status_code == 200:
            offset = 0
        try:
            total = _total(response, offset, known)
        except _Retry:
            part.unlink(missing_ok=True)  # to ask for the whole file
            raise
        encoded = _is_encoded(response)
        if total is None and size is None and not verified and (encoded or not _is_chunked(response)):
            raise DataError(
                f"{url}: the server does not say how long the file is, and neither its size nor a checksum was "
                "published: it could be cut off unnoticed. Download it in a browser, and look whether it is whole"
            )
        if size is not None and total not in (None, size):
            raise _Retry(f"the server offers {total} bytes, {size} were published")
        most = _most(part, size if total is None else total)
        if not offset:
            part.write_bytes(b"")
            _write_tag(tag, response, encoded)  # after the bytes of another version are gone
        with (
            open(part, "ab") as file,
            tqdm(
                total=total,
                initial=offset,
                unit="B",
                unit_scale=True,
                desc=part.name.removesuffix(".part"),
                disable=not progress,
            ) as bar,
        ):
            length = offset
            for chunk in response.iter_content(CHUNK):
                length += len(chunk)
                if length > most:
                    break
                file.write(chunk)
                bar.update(len(chunk))
    if length > most:
        part.unlink()
        tag.unlink(missing_ok=True)
        raise DataError(f"{url}: the server sends more than {most} bytes, or does not end; the download was deleted")
    if total is not None and length != total:
        raise _Retry(f"the connection ended after {length} of {total} bytes")


def _total(response: requests.Response, offset: int, known: str) -> int | None:
    """The length of the whole file as an answer states it, of which it sends the bytes from ``offset`` on.

    Raises:
        _Retry: it states nonsense, sends another part, or one of a file that is no longer ``known``.
    """
    if response.status_code == 206:
        stated = response.headers.get("Content-Range", "").strip()
        found = RANGE.fullmatch(stated)
        first, last, total = map(int, found.groups()) if found else (-1, -1, -1)
        if first != offset or not first <= last < total or _is_encoded(response):
            raise _Retry(f"the server sends the range {stated!r}, not the one asked for")
        name = "ETag" if known.startswith('"') else "Last-Modified"
        if offset and (now := response.headers.get(name, known)) != known:
            raise _Retry(f"the file on the server has changed: its {name} is {now}, and was {known}")
        return total
    length = response.headers.get("Content-Length")
    if length is None or _is_encoded(response) or _is_chunked(response):
        return None
    if not LENGTH.fullmatch(length.strip()):  # blanks around it are none of it
        raise _Retry(f"the server states the length {length!r}, which is no number of bytes")
    return int(length)


def _is_encoded(response: requests.Response) -> bool:
    return response.headers.get("Content-Encoding", "identity").lower() != "identity"


def _is_chunked(response: requests.Response) -> bool:
    """Whether it is sent in pieces, the last of which says that it is the last."""
    return response.headers.get("Transfer-Encoding", "").lower() == "chunked"


def _most(part: Path, stated: int | None) -> int:
    """How many bytes the file may have: those that are stated, if the disk takes them, or else what it can spare.

    Raises:
        OSError: the disk has less room.
    """
    free = shutil.disk_usage(part.parent).free + _length(part)
    if stated is not None and stated > free:
        raise OSError(errno.ENOSPC, f"{stated} bytes are needed, {free} are free")
    return min(MOST, free * 9 // 10) if stated is None else stated


def _read_tag(tag: Path) -> str:
    """What :func:`_write_tag` kept; empty where it is nothing that a server can be asked with."""
    kept = tag.read_text(encoding="latin-1") if tag.is_file() else ""
    return kept if VALIDATOR.fullmatch(kept) else ""


def _write_tag(tag: Path, response: requests.Response, encoded: bool) -> None:
    """Keeps what names this version of the file on the server; without one, an interrupted download starts again."""
    stated = [response.headers.get(name, "") for name in ("ETag", "Last-Modified")]
    strong = [validator for validator in stated if VALIDATOR.fullmatch(validator)]
    if strong and not encoded:
        tag.write_text(strong[0], encoding="latin-1")
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
