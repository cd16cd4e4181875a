"""Keeping files whole: written entirely or not at all, one at a time or several together, by one process at a time; and
tensors and JSON in files that say what they are and notice when they are no longer what was written."""

from typing import TYPE_CHECKING

from .claims import Claimed, claim
from .fields import check_fields, json_checksum, json_text, plain, read_json, write_json
from .names import check_name, is_name
from .one import check_writable, naming, replacing
from .places import check_home_is_written_out, project_files, project_folder
from .together import is_there, recover, replacing_together

if TYPE_CHECKING:
    from .tensors import check_saveable, read_tensors, save_tensors

__all__ = [
    "Claimed",
    "check_fields",
    "check_home_is_written_out",
    "check_name",
    "check_saveable",
    "check_writable",
    "claim",
    "is_name",
    "is_there",
    "json_checksum",
    "json_text",
    "naming",
    "plain",
    "project_files",
    "project_folder",
    "read_json",
    "read_tensors",
    "recover",
    "replacing",
    "replacing_together",
    "save_tensors",
    "write_json",
]


def __getattr__(name: str) -> object:
    if name in ("check_saveable", "read_tensors", "save_tensors"):
        from . import tensors  # here: what packs images starts faster without PyTorch

        return getattr(tensors, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
