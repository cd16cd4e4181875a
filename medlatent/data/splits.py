"""Splits by patient or lesion: which row belongs to whom, and that nobody lies in two splits."""

from __future__ import annotations

import hashlib
import operator
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence, Set

import numpy as np
import pandas as pd

from ..options import whole
from .errors import DataError

SPLITS = ("train", "validation", "test")
# What is left of a missing identifier once it is made text; of nobody's these are the names.
NOBODY = ("", "nan", "NaN", "NaT", "None", "<NA>")
SURROGATE = re.compile("[\ud800-\udfff]")
WAS_FLOAT = re.compile(r"(-?[0-9]+)\.0")


def split_by_group(groups: Sequence[object], fractions: Mapping[str, float] | None = None, seed: int = 0) -> np.ndarray:
    """Assigns each row the split of its group (patient, lesion), so that no group lies in two splits.

    The split of a group depends on its name and the seed alone: adding or removing other groups moves nobody.

    Args:
        groups: the group of each row, N values: strings, or whole numbers. 7 and 7.0 are the same patient, as pandas
            turns whole numbers into floats where a row is added that has none.
        fractions: the expected share of the *groups* in each split, summing to 1; by default 80 % train,
            10 % validation, 10 % test.
        seed: another seed, another assignment.

    Returns:
        An array of N strings.

    Raises:
        DataError: ``groups`` holds no rows; a group is missing (text that stands for that included, such as ``""`` and
            ``"nan"``), is neither a string nor a whole number, or is ``"7.0"``; strings and numbers are mixed; or two
            names are one but for blanks around them or zeros before them. The message names the row.
    """
    shares, names, seed = _shares(fractions), _names(groups), whole("seed", seed, error=DataError)
    edges = np.cumsum(list(shares.values()))
    chosen = {}
    for name in set(names):
        digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
        position = int.from_bytes(digest[:8], "big") / 2**64
        chosen[name] = list(shares)[np.searchsorted(edges[:-1], position, side="right")]
    return np.asarray([chosen[name] for name in names], dtype=np.asarray(list(shares)).dtype)


def _shares(fractions: Mapping[str, float] | None) -> dict[str, float]:
    if fractions is None:
        return {"train": 0.8, "validation": 0.1, "test": 0.1}
    try:
        shares = {name: operator.add(share, 0.0) for name, share in dict(fractions).items()}
    except (TypeError, ValueError):
        raise DataError(f"fractions: expected a share of each split, such as train: 0.8, got {fractions!r}") from None
    if unknown := set(shares) - set(SPLITS):
        raise DataError(f"fractions: unknown split {sorted(unknown, key=str)}; the splits are {', '.join(SPLITS)}")
    if not (abs(sum(shares.values()) - 1) <= 1e-9 and min(shares.values()) >= 0):
        raise DataError(f"fractions must be non-negative and sum to 1, not {fractions}")
    return shares


def _names(groups: Sequence[object]) -> list[str | int]:
    """The groups as they are hashed; two that may be one are refused, so that it does not come into two splits."""
    if isinstance(groups, str | bytes | Mapping | Set | pd.DataFrame) or not isinstance(groups, Iterable):
        raise DataError(
            f"groups: expected the group of each row, such as a column of a table, got {type(groups).__name__}"
        )
    names = [_group(row, value) for row, value in enumerate(groups)]
    if mixed := [row for row, name in enumerate(names) if type(name) is not type(names[0])]:
        raise DataError(
            f"groups: row 0 holds {names[0]!r} and row {mixed[0]} {names[mixed[0]]!r}; make all strings, or all numbers"
        )
    first: dict[str, str | int] = {}
    for name in dict.fromkeys(names):
        if (other := first.setdefault(group_key(name), name)) != name:
            raise DataError(
                f"groups: row {names.index(other)} holds {other!r} and row {names.index(name)} {name!r}; if they are "
                "the same, write them alike, else give one another name"
            )
    return names


def _group(row: int, value: object) -> str | int:
    """The name of a group as it is hashed: a float that is whole is the integer that it was."""
    if isinstance(value, str):
        if value.strip() in NOBODY:
            raise DataError(f"groups: row {row} has none ({value!r}); leave such rows out, or name their groups")
        if SURROGATE.search(value):
            raise DataError(f"groups: row {row} holds {value!r}, which is no text in UTF-8; write it anew")
        if WAS_FLOAT.fullmatch(value.strip()):
            raise DataError(f"groups: row {row} holds {value!r}, a whole number that became a float and then text; "
                            "make whole numbers of the column, which have other splits as text")  # fmt: skip
        return str(value)
    if pd.api.types.is_scalar(value) and pd.isna(value):
        raise DataError(f"groups: row {row} has none; leave such rows out, or name their groups")
    if pd.api.types.is_integer(value):  # no boolean
        return int(value)
    if pd.api.types.is_float(value) and float(value).is_integer() and abs(value) <= 2**53:
        return int(value)
    raise DataError(
        f"groups: row {row} holds {value!r}; a group is a string or a whole number (below 2**53, if a float)"
    )


def group_key(name: object) -> str:
    """What is the same for names of one group: 7, 7.0, "7", "007" and " 7 " have one key. "" where it names nobody.

    So have letters with an accent of their own, and the letter followed by the accent, as macOS writes names of files.
    """
    text = unicodedata.normalize("NFC", str(name)).strip()
    if text in NOBODY:
        return ""
    if whole := WAS_FLOAT.fullmatch(text):
        text = whole[1]
    return text.lstrip("0") or "0" if text.isdecimal() else text
