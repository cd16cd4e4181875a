"""Keeping files whole: written entirely or not at all, one at a time or several together, by one process at a time; and
tensors and JSON in files that say what they are and notice when they are no longer what was written."""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import platform
import re
import secrets
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import UnionType

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

JOURNAL, JOURNAL_VERSION = "medlatent.journal", 1
CHECKSUM = "sha256"
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(1, 10))}
HOST = re.sub(r"[^A-Za-z0-9_-]", "_", platform.node())[:40] or "unknown"


class Claimed(OSError):
    """Another process is writing to the place; the message names it."""


# ------------------------------------------------------------------------------------------------------------ one file


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not.

    What was written is on the disk before it takes the place: a power cut leaves the old file or the new one.

    Raises:
        OSError: the path cannot be written; the message names it.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        yield temporary
        temporary.chmod(0o644)
        _sync(temporary)
        os.replace(temporary, path)  # noqa: PTH105
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike) -> None:
    """Finds out whether a file can be written at ``path``, before hours are spent on what shall be written there.

    Missing parent folders are made; a temporary file is made beside the path and removed.

    Raises:
        OSError: it cannot; the message names the path and the reason.
    """
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, "cannot be written: it is a folder", str(path))
    _temporary(path).unlink()


def _temporary(path: Path) -> Path:
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


def _sync(path: Path) -> None:
    """Waits until a file, or a folder with all that is in it, is on the disk."""
    for file in [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]:
        handle = os.open(file, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    if path.is_dir():
        for folder in [path, *(p for p in path.rglob("*") if p.is_dir())]:
            _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    """Waits until the names in a folder are on the disk, where the system offers it."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


# ----------------------------------------------------------------------------------------- several files, or a folder


@contextmanager
def replacing_together(
    *paths: str | os.PathLike, remove: Sequence[str | os.PathLike] = ()
) -> Iterator[tuple[Path, ...]]:
    """Temporary paths beside ``paths`` that take their places together when the block ends well, or not at all.

    Write a file or a folder at each temporary path; nothing is there yet. An error, Ctrl-C included, leaves everything
    as it was. A process that is killed between two renames leaves a journal, ``.NAME.journal`` of the first path: with
    it :func:`recover`, or the next call with the same first path, completes what was begun.

    Args:
        paths: of files or folders, all in one folder.
        remove: what vanishes at the same moment, in the same folder.

    Raises:
        ValueError: the paths do not lie in one folder, or one is named twice.
        FileNotFoundError: nothing was written at one of the temporary paths.
        Claimed: another process is at the same change.
        OSError: a path cannot be written; the message names it.
    """
    places, vanishing = [Path(path) for path in paths], [Path(path) for path in remove]
    _check_together([*places, *vanishing])
    folder, journal = places[0].parent, _beside(places[0], "journal")
    temporaries: list[Path] = []
    try:
        for place in places:
            temporaries.append(_temporary(place))
            temporaries[-1].unlink()  # what comes there may be a folder
        yield tuple(temporaries)
        with claim(journal):
            _complete(journal)
            steps = [_step(place, new) for place, new in zip(places, temporaries, strict=True)]
            _carry_out(journal, steps + [_step(place, None) for place in vanishing])
    finally:
        needed = _text(journal)
        for temporary in temporaries:
            if temporary.name not in needed:  # else they are all that is left of the change
                with suppress(OSError):
                    _discard(temporary)
    _sync_folder(folder)


def recover(folder: str | os.PathLike, name: str | None = None) -> list[str]:
    """Completes in a folder what killed processes began and swept no more.

    Changes that :func:`replacing_together` had begun to make are completed, and temporary files of processes of this
    machine that are dead are removed. What a living process is at is left alone.

    Args:
        folder: where to look; what lies deeper is left alone.
        name: only what belongs to this file or folder in it.

    Returns:
        What was done or found, one sentence each; none if everything is as it should be.

    Raises:
        ValueError: a journal is damaged; the message names it.
    """
    folder, said = Path(folder), []
    if not folder.is_dir():
        return said
    for journal in sorted(p for p in folder.iterdir() if re.fullmatch(r"\..+\.journal", p.name)):
        if name is None or journal == _beside(folder / name, "journal"):
            try:
                with claim(journal):
                    said += _complete(journal)
            except Claimed as busy:
                said.append(str(busy))
    needed = "".join(_text(p) for p in folder.iterdir() if p.name.endswith(".journal"))  # that somebody completes now
    start = re.escape(f".{name[:50]}.") if name else r"\..+\."
    for path in sorted(folder.iterdir()):
        made_by = re.fullmatch(rf"{start}{HOST}-(\d+)-\w+\.partial", path.name)
        if made_by and not _alive(int(made_by[1])) and path.name not in needed:
            with suppress(FileNotFoundError):  # somebody else is sweeping, too
                _discard(path)
                said.append(f"{path} was left half written by a process that is gone; removed")
    return said


def _check_together(paths: list[Path]) -> None:
    if len({path.parent.absolute() for path in paths}) != 1:
        raise ValueError(f"what changes together must lie in one folder, not {', '.join(map(str, paths))}")
    if twice := [path for path in paths if paths.count(path) > 1]:
        raise ValueError(f"{twice[0]} is named twice in one change")


def _step(place: Path, new: Path | None) -> dict:
    """One line of a journal: the name of the place, of what comes there, and under which the old is set aside."""
    old = f".{place.name[:50]}.{secrets.token_hex(4)}.old"
    if new is None:
        return {"place": place.name, "new": None, "old": old, "stamp": None}
    if not new.exists():
        raise FileNotFoundError(errno.ENOENT, "nothing was written that could take its place", str(place))
    if place.exists() and place.is_dir() != new.is_dir():
        kinds = ("file", "folder") if place.is_dir() else ("folder", "file")
        raise ValueError(f"{place}: a {kinds[0]} cannot take the place of a {kinds[1]}")
    new.chmod(0o755 if new.is_dir() else 0o644)
    _sync(new)
    return {"place": place.name, "new": new.name, "old": old, "stamp": _stamp(new)}


def _stamp(path: Path) -> list[int]:
    """By what a file or folder is known again after it was renamed."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns]


def _carry_out(journal: Path, steps: list[dict]) -> None:
    folder = journal.parent
    try:
        write_json(journal, {"steps": steps}, JOURNAL, JOURNAL_VERSION)
        for step in steps:
            place, old = folder / step["place"], folder / step["old"]
            if step["new"] is None:
                if place.exists():
                    os.replace(place, old)  # noqa: PTH105
            else:
                _set_aside(place, old)
                os.replace(folder / step["new"], place)  # noqa: PTH105
    except BaseException:
        if journal.exists():
            for step in reversed(steps):
                _undo(folder, step)
            journal.unlink()
        raise
    _finish(journal, steps)


def _set_aside(place: Path, old: Path) -> None:
    if place.is_file():
        with suppress(OSError):  # a file system without links
            os.link(place, old)
            return  # it stays in its place, too, until the new one takes it: no reader finds nothing there
    if place.exists():
        os.replace(place, old)  # noqa: PTH105


def _undo(folder: Path, step: dict) -> None:
    place, old = folder / step["place"], folder / step["old"]
    new = folder / step["new"] if step["new"] else None
    if new and not new.exists():
        os.replace(place, new)  # noqa: PTH105
    if old.exists():
        if place.exists():  # the same file under two names
            old.unlink()
        else:
            os.replace(old, place)  # noqa: PTH105


def _finish(journal: Path, steps: list[dict]) -> None:
    """Removes what was set aside, and the journal last: what does not succeed here is left to the next one."""
    _sync_folder(journal.parent)
    with suppress(OSError):
        for step in steps:
            _discard(journal.parent / step["old"])
        journal.unlink()


def _complete(journal: Path) -> list[str]:
    """Carries out what is left of a journal, and says so; the caller has claimed it."""
    if not journal.exists():
        return []
    folder, kinds = journal.parent, {"place": str, "new": str | None, "old": str, "stamp": list | None}
    steps, said = read_json(journal, JOURNAL, JOURNAL_VERSION, {"steps": list})["steps"], []
    for step in steps:
        if not isinstance(step, dict):
            raise ValueError(f"{journal}: the field 'steps' holds {step!r}, which is no step")
        check_fields(journal, step, kinds)
        names = {step["place"]: "", step["new"]: ".partial", step["old"]: ".old"}
        if wrong := [n for n, end in names.items() if n is not None and not (_is_beside(n) and n.endswith(end))]:
            raise ValueError(f"{journal}: {wrong[0]!r} is no name of a file beside it; look at it, and delete it")
    for step in steps:
        place, old = folder / step["place"], folder / step["old"]
        if step["new"] is None:
            if place.exists() and not old.exists():
                os.replace(place, old)  # noqa: PTH105
        elif (new := folder / step["new"]).exists():
            if place.is_dir():
                os.replace(place, old)  # noqa: PTH105
            os.replace(new, place)  # noqa: PTH105
        elif not place.exists() or _stamp(place) != step["stamp"]:
            said.append(f"{place}: a change was interrupted, and what should have come there is gone")
    _finish(journal, steps)
    names = ", ".join(step["place"] for step in steps)
    return said or [f"{folder}: an interrupted change of {names} was completed"]


# ------------------------------------------------------------------------------------------------ one process at a time


@contextmanager
def claim(path: str | os.PathLike) -> Iterator[None]:
    """Keeps every other process from claiming ``path`` while the block runs.

    A lock file beside it, ``.NAME.lock``, names the owner: host, process, command and since when. The system's own lock
    on that file ends with the process, so that the place of a dead process is free, and only one can take it over.

    Raises:
        Claimed: another process has it; the message names the owner, and what to do if that is on another machine.
        OSError: the lock file cannot be written; the message names the path.
    """
    path = Path(path)
    lock = _beside(path, "lock")
    handle = _acquire(path, lock)
    try:
        command, since = " ".join(sys.argv)[:200], datetime.now(UTC).isoformat(" ", "seconds")
        owner = {"host": HOST, "pid": os.getpid(), "command": command, "since": since}
        os.ftruncate(handle, 0)
        os.write(handle, json.dumps(owner).encode())
        os.fsync(handle)
        yield
    finally:
        if os.name == "posix":
            lock.unlink(missing_ok=True)  # before it is let go: whoever waits for this very file sees that it is gone
            os.close(handle)
        else:
            os.close(handle)
            lock.unlink(missing_ok=True)


def _acquire(path: Path, lock: Path) -> int:
    while True:
        try:
            handle, created = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), True
        except FileExistsError:
            try:
                handle, created = os.open(lock, os.O_RDWR), False
            except FileNotFoundError:
                continue  # let go in between
        except OSError:
            check_writable(path)  # says why not
            raise
        try:
            locked = _lock(handle)
            owner = _owner(handle)
            if locked is None:  # no locks here: the one who made the file has it, until it is dead
                taken = not created and (owner.get("host") != HOST or _alive(owner.get("pid")))
            else:
                taken = not locked or owner.get("host", HOST) != HOST
            if taken:
                who = (
                    "process {pid} on {host} ({command}) since {since}".format(**owner) if owner else "another process"
                )
                hint = "" if locked is False else f"; if that process no longer runs, delete {lock}"
                raise Claimed(f"{path} is being written by {who}{hint}")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), lock.stat()):
                    return handle
            os.close(handle)  # the lock of a file that its owner has removed by now
        except BaseException:
            os.close(handle)
            raise


def _lock(handle: int) -> bool | None:
    """Whether the file is ours now; None where the system or the file system has no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _owner(handle: int) -> dict:
    try:
        owner = json.loads(os.pread(handle, 10_000, 0) if hasattr(os, "pread") else os.read(handle, 10_000))
        return owner if {"host", "pid", "since", "command"} <= owner.keys() else {}
    except (ValueError, AttributeError):
        return {}  # not written yet, or killed before


def _alive(pid: object) -> bool:
    if os.name != "posix" or not isinstance(pid, int):
        return True  # elsewhere signal 0 is no question
    try:
        os.kill(pid, 0)  # asks whether it lives
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _is_beside(name: str) -> bool:
    return name not in ("", "..") and Path(name).name == name


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{kind}")


# ---------------------------------------------------------------------------------------------------------------- JSON


def plain(value: object) -> object:
    """NumPy's and PyTorch's scalars and arrays as Python's own numbers and lists; everything else as it is.

    Inside of dicts, lists and tuples, too.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Tensor):
        return value.tolist()
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(plain(item) for item in value)
    return value


def json_text(fields: Mapping[str, object], format: str, version: int, checksum: bool = False) -> str:
    """What :func:`write_json` writes: the same text for the same fields.

    Raises:
        ValueError: a field is no JSON, or not finite; the message names its path, such as ``config.latent_dim``.
    """
    content = {"format": format, "version": version, **_plain(fields, "the fields")}
    _check_json(content, "")
    if checksum:
        content[CHECKSUM] = _checksum(content)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def write_json(
    path: str | os.PathLike, fields: Mapping[str, object], format: str, version: int, checksum: bool = False
) -> Path:
    """Writes fields as a JSON file that says what it is, whole or not at all.

    NumPy's and PyTorch's numbers become Python's.

    Args:
        path: of the file.
        fields: the content; ``format``, ``version`` and ``sha256`` are taken.
        format: what kind of file it is.
        version: of the format.
        checksum: store the SHA-256 of the content, too.

    Raises:
        ValueError: a field is no JSON, or not finite; the message names its path, such as ``config.latent_dim``.
        OSError: the path cannot be written.
    """
    path = Path(path)
    try:
        text = json_text(fields, format, version, checksum)
    except ValueError as error:
        raise ValueError(f"{path} cannot be written: {error}") from None
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def read_json(
    path: str | os.PathLike,
    format: str,
    version: int | tuple[int, ...],
    fields: Mapping[str, type | UnionType],
    optional: Mapping[str, type | UnionType] | None = None,
    checksum: bool = False,
) -> dict:
    """Reads what :func:`write_json` wrote.

    Args:
        path: of the file.
        format: what kind of file it must be.
        version: which version, or versions, it may have; ask for ``version`` as a field to know.
        fields: the fields that it must have, and their types; ``float`` admits whole numbers, ``int`` no booleans.
        optional: those that it may have besides.
        checksum: whether it must hold its checksum; one that is there is always compared.

    Returns:
        The fields that were asked for.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, of another format or version, or a field is missing, unknown or of the wrong
            type; the message names file and field.
    """
    path, optional = Path(path), optional or {}
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        content = json.loads(
            path.read_text(encoding="utf-8"),
            object_pairs_hook=_once,
            parse_constant=_finite,
            parse_float=_finite,
        )
    except RecursionError:
        raise ValueError(f"{path} is not valid JSON: it is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(content, dict) or content.get("format") != format:
        raise ValueError(f"{path} is no {format}: its 'format' is not {format!r}")
    versions = version if isinstance(version, tuple) else (version,)
    if not _is(content.get("version"), int) or content["version"] not in versions:
        known = " or ".join(map(str, versions))
        raise ValueError(f"{path} has version {content.get('version')!r}, this medlatent reads version {known}")
    stated = content.pop(CHECKSUM, None)
    if (checksum or stated is not None) and stated != _checksum(content):
        was = "its checksum is missing" if stated is None else "its content is not what its checksum says"
        raise ValueError(f"{path} was changed or damaged: {was}")
    check_fields(path, content, {"format": str, "version": int, **fields}, optional)
    return {name: value for name, value in content.items() if name in fields or name in optional}


def check_fields(
    path: str | os.PathLike,
    content: Mapping[str, object],
    fields: Mapping[str, type | UnionType],
    optional: Mapping[str, type | UnionType] | None = None,
) -> None:
    """Compares what a file holds with the fields that it must and may have, and their types.

    Raises:
        ValueError: a field is missing, unknown or of the wrong type; the message names file and field.
    """
    kinds = {**fields, **(optional or {})}
    for name in fields:
        if name not in content:
            raise ValueError(f"{path}: the field {name!r} is missing")
    for name, value in content.items():
        if name not in kinds:
            raise ValueError(f"{path}: the field {name!r} is unknown; known are {', '.join(kinds)}")
        if not _is(value, kinds[name]):
            kind = getattr(kinds[name], "__name__", str(kinds[name]))
            raise ValueError(f"{path}: the field {name!r} must be {kind}, got {_short(value)}")


def _is(value: object, kind: type | UnionType) -> bool:
    kinds = kind.__args__ if isinstance(kind, UnionType) else (kind,)
    if isinstance(value, bool):  # which Python takes for an int
        return bool in kinds or object in kinds
    return isinstance(value, kinds) or (isinstance(value, int) and float in kinds)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _once(pairs: list[tuple[str, object]]) -> dict:
    content = dict(pairs)
    if len(content) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the field {next(n for n in names if names.count(n) > 1)!r} stands there twice")
    return content


def _finite(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text} is no finite number")
    return number


def _plain(fields: Mapping, what: str) -> dict:
    try:
        return plain(fields)
    except RecursionError:
        raise ValueError(f"{what} are nested too deeply") from None


def _check_json(value: object, path: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{path or 'a field'}: the key {key!r} is no text")
            _check_json(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check_json(item, f"{path}[{i}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{path} is {value}, and JSON has no such number")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{path} is {value!r}, which is no text in UTF-8") from None
    elif value is not None and not isinstance(value, int):
        raise ValueError(f"{path} is {_short(value)} ({type(value).__name__}), which is no JSON")


def _checksum(content: Mapping) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------------------- tensors


def check_saveable(tensors: Mapping[str, object]) -> None:
    """Finds out whether :func:`save_tensors` can write tensors of these kinds, before a model is trained.

    Tensors that share their memory, such as tied weights, can be written: each stands in the file by itself.

    Raises:
        ValueError: a value is no dense tensor, or of a type that safetensors files do not hold; the message names it.
    """
    for name, value in tensors.items():
        if not isinstance(value, Tensor) or value.layout != torch.strided or value.is_quantized:
            kind = f"a {value.layout} tensor" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise ValueError(f"{name} is {kind} and cannot be saved: a file holds dense tensors only")
        if value.dtype not in SAVEABLE:
            raise ValueError(f"{name} is of the type {value.dtype}, which a safetensors file cannot hold")


SAVEABLE = {
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.complex64),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool),
}


def save_tensors(
    path: str | os.PathLike, tensors: Mapping[str, Tensor], format: str, version: int, **header: object
) -> Path:
    """Writes tensors as safetensors, with ``format``, ``version`` and the JSON values of ``header`` in the header.

    A checksum over all of it goes into the header, too. Tensors that share their memory are written one by one.

    Raises:
        ValueError: a tensor or a field of the header cannot be written; the message names it.
        OSError: the path cannot be written.
    """
    path = Path(path)
    try:
        check_saveable(tensors)
        fields = _plain(header, "the fields of the header")
        _check_json(fields, "")
    except ValueError as error:
        raise ValueError(f"{path} cannot be written: {error}") from None
    metadata = {"format": format, "version": str(version)}
    metadata |= {name: json.dumps(value) for name, value in fields.items()}
    alone, seen = {}, set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        memory = value.untyped_storage().data_ptr()
        alone[name] = value.clone() if memory in seen else value
        seen.add(memory)
    metadata[CHECKSUM] = _tensors_checksum(alone, metadata)
    with replacing(path) as temporary:
        save_file(alone, temporary, metadata)
    return path


def read_tensors(
    path: str | os.PathLike,
    format: str,
    version: int,
    expected: Mapping[str, type | UnionType] | None = None,
    optional: Mapping[str, type | UnionType] | None = None,
) -> tuple[dict[str, Tensor], dict]:
    """Reads what ``save_tensors`` wrote: the tensors (on the CPU) and the header.

    Args:
        path: of the file.
        format: what kind of file it must be.
        version: of the format.
        expected: the fields that the header must have, and their types, as for :func:`read_json`; by default any.
        optional: those that it may have besides.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, of another format or of another version, or its header is not as expected; the
            message names file and field.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, AttributeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is damaged or not a safetensors file: {error}") from None
    if metadata.get("format") != format:
        raise ValueError(f"{path} is of the format {metadata.get('format')!r}, expected {format!r}")
    if metadata.get("version") != str(version):
        raise ValueError(
            f"{path} has version {metadata.get('version')} of {format}, this medlatent reads version {version}"
        )
    stated = metadata.pop(CHECKSUM, None)  # files of earlier days have none
    if stated is not None and stated != _tensors_checksum(tensors, metadata):
        raise ValueError(f"{path} is damaged: its content is not what its checksum says")
    try:
        header = {name: json.loads(value) for name, value in metadata.items() if name not in ("format", "version")}
    except RecursionError:
        raise ValueError(f"{path} is damaged: its header is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path} is damaged: its header is not valid JSON: {error}") from None
    if expected is not None:
        check_fields(path, header, expected, optional)
    return tensors, header


def _tensors_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """Over the header, and names, types, shapes and bytes of the tensors.

    The prefix makes it no JSON, as all other fields are: should the very name of the field be damaged, that shows.
    """
    digest = hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode())
    for name in sorted(tensors):
        value = tensors[name]
        digest.update(json.dumps([name, str(value.dtype), list(value.shape)]).encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return f"{CHECKSUM}:{digest.hexdigest()}"


# --------------------------------------------------------------------------------------------------------------- names


def is_name(text: object) -> bool:
    """Whether a text is one plain component of a path on every system: see :func:`check_name`."""
    return (
        isinstance(text, str)
        and re.fullmatch(r"[A-Za-z0-9_-](?:[A-Za-z0-9_.-]{0,98}[A-Za-z0-9_-])?", text) is not None
        and text.partition(".")[0].upper() not in RESERVED
    )


def check_name(text: object, what: str) -> str:
    """The text, if it is a plain name that can become a file's.

    Args:
        text: what somebody chose, or a file states.
        what: how the message calls it, such as ``--name`` or ``the record's slug``.

    Raises:
        ValueError: it is none; the message says what is allowed.
    """
    if not is_name(text):
        raise ValueError(
            f"{what} is {_short(text)}, expected a plain name: letters from a to z, digits, '_', '-' and, inside, '.'; "
            "100 at most, and no device's name such as 'con'"
        )
    return text
