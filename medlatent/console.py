"""Printing on consoles that cannot show every character."""

from __future__ import annotations

import codecs
import io
import sys
from unicodedata import normalize

# What has a counterpart in ASCII that Unicode does not name; what it does name, such as "..." for "…", needs no entry.
SPELT = str.maketrans({"–": "-", "—": "-", "−": "-", "×": "x", "‘": "'", "’": "'", "“": '"', "”": '"', "→": "->"})


def spell_out() -> None:
    """Lets stdout and stderr of this process print any text, whatever their encoding.

    What the encoding lacks is spelt in ASCII: ``…`` as ``...``, ``é`` as ``e``, and what has no such spelling as ``?``.
    Without it, Python ends with a UnicodeEncodeError in the middle of a line on a console of Windows (cp437, cp1252),
    or in the locale C. Streams in UTF-8, and those that a notebook or a test has put in their place, stay as they are.
    """
    codecs.register_error("medlatent.spelt", _spelt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="medlatent.spelt")


def said(error: Exception) -> str:
    """What an error says; where the system says it, the file first, and without the number of the error."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def _spelt(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end].translate(SPELT)
    plain = (normalize("NFKD", character).encode("ascii", "ignore").decode() for character in characters)
    return "".join(letters or "?" for letters in plain), error.end
