"""Files that are written whole or not at all, and tensors in safetensors files that say what they are."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its place when the block ends well, and vanishes when it does not."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def save_tensors(
    path: str | os.PathLike, tensors: Mapping[str, Tensor], format: str, version: int, **header: object
) -> Path:
    """Writes tensors as safetensors, with ``format``, ``version`` and the JSON values of ``header`` in the header."""
    path = Path(path)
    metadata = {"format": format, "version": str(version)}
    metadata |= {name: json.dumps(value) for name, value in header.items()}
    with replacing(path) as temporary:
        save_file({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, temporary, metadata)
    return path


def read_tensors(path: str | os.PathLike, format: str, version: int) -> tuple[dict[str, Tensor], dict]:
    """Reads what ``save_tensors`` wrote: the tensors (on the CPU) and the header.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, of another format or of another version; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or not a safetensors file: {error}") from None
    if metadata.get("format") != format:
        raise ValueError(f"{path} is of the format {metadata.get('format')!r}, expected {format!r}")
    if metadata.get("version") != str(version):
        raise ValueError(
            f"{path} has version {metadata.get('version')} of {format}, this medlatent reads version {version}"
        )
    try:
        header = {name: json.loads(value) for name, value in metadata.items() if name not in ("format", "version")}
    except ValueError as error:
        raise ValueError(f"{path} is damaged: its header is not valid JSON: {error}") from None
    return tensors, header
