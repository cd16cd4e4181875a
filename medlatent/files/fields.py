"""JSON files that say what they are, and notice when they are no longer what was written."""

from __future__ import annotations

import hashlib
import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np

from .one import replacing

CHECKSUM = "sha256"


def plain(value: Any) -> Any:
    """NumPy's and PyTorch's scalars and arrays as Python's own numbers and lists; everything else as it is.

    Inside of dicts, lists and tuples, too.
    """
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if (torch := sys.modules.get("torch")) and isinstance(value, torch.Tensor):  # else there can be none
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
    try:
        content = {"format": format, "version": version, **plain(fields)}
        check_json(content, "")
        if checksum:
            content[CHECKSUM] = json_checksum(content)
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    except RecursionError:
        raise ValueError("the fields are nested too deeply") from None


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
        raise FileNotFoundError(f"{path} is a folder, not a file" if path.is_dir() else f"{path}: no such file")
    try:
        content = json.loads(
            path.read_text(encoding="utf-8"),
            object_pairs_hook=_once,
            parse_constant=_finite,
            parse_float=_finite,
        )
        stated = content.pop(CHECKSUM, None) if isinstance(content, dict) else None
        true = json_checksum(content) if checksum or stated is not None else None
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
    if stated != true:
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
            raise ValueError(f"{path}: the field {name!r} must be {kind}, got {short(value)}")


def _is(value: object, kind: type | UnionType) -> bool:
    kinds = kind.__args__ if isinstance(kind, UnionType) else (kind,)
    if isinstance(value, bool):  # which Python takes for an int
        return bool in kinds or object in kinds
    return isinstance(value, kinds) or (isinstance(value, int) and float in kinds)


def short(value: object) -> str:
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


def check_json(value: object, path: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"{path or 'a field'}: the key {key!r} is no text")
            check_json(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            check_json(item, f"{path}[{i}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{path} is {value}, and JSON has no such number")
    elif isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{path} is {value!r}, which is no text in UTF-8") from None
    elif value is not None and not isinstance(value, int):
        raise ValueError(f"{path} is {short(value)} ({type(value).__name__}), which is no JSON")


def json_checksum(content: Mapping) -> str:
    """The SHA-256 of JSON fields, whatever their order and the layout of the file."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
