"""Tensors in safetensors files that say what they are, and notice when they are no longer what was written."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from types import UnionType

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from .fields import CHECKSUM, check_fields, check_json, plain
from .one import folder_beside, replacing


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
        fields = plain(header)
        check_json(fields, "")
        metadata = {name: json.dumps(value) for name, value in fields.items()}
    except RecursionError:
        raise ValueError(f"{path} cannot be written: its header is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{path} cannot be written: {error}") from None
    metadata |= {"format": format, "version": str(version)}
    alone, seen = {}, set()
    for name, tensor in tensors.items():
        value = tensor.detach().cpu().contiguous()
        memory = value.untyped_storage().data_ptr()
        alone[name] = value.clone() if memory in seen else value
        seen.add(memory)
    metadata[CHECKSUM] = _tensors_checksum(alone, metadata)
    with replacing(path) as temporary, folder_beside(path) as folder:
        # It writes to a name of its own choosing first, which nobody could tell as ours after a kill.
        try:
            save_file(alone, folder / path.name, metadata)
        except SafetensorError as error:  # of a full disk, too, whose number it only tells
            if found := re.search(r"\(os error (\d+)\)", str(error)):
                raise OSError(int(found[1]), os.strerror(int(found[1]))) from None
            raise OSError(str(error)) from None
        os.replace(folder / path.name, temporary)  # noqa: PTH105
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
