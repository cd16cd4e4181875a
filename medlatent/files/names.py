"""Names that can become a file's on every system."""

from __future__ import annotations

import re
from typing import TypeGuard

from .fields import short

RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{i}" for port in ("COM", "LPT") for i in range(1, 10))}


def is_name(text: object) -> TypeGuard[str]:
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
            f"{what} is {short(text)}, expected a plain name: letters from a to z, digits, '_', '-' and, inside, '.'; "
            "100 at most, and no device's name such as 'con'"
        )
    return text
