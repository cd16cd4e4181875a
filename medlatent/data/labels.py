"""Tables of labels: read, their kinds guessed and shown, and joined with the files that they tell of."""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .errors import DataError

if TYPE_CHECKING:
    from .imageset import Factor, ImageSet

KINDS = ("continuous", "binary", "categorical", "plain")
MISSING = (
    "",
    "NA",
    "N/A",
    "n/a",
    "NaN",
    "nan",
    "null",
    "NULL",
    "#N/A",
    "<NA>",
)  # how tables write that there is no value
WHOLE = re.compile(r"[+-]?\d+")
EXACT = 2**53  # a float holds each whole number up to it
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
LEADING_ZERO = re.compile(r"[+-]?0\d+")  # 007 is a name, not a number
COMMA = re.compile(r"[+-]?\d+(,\d+)?")  # 3,5 between semicolons
TWO_WORDS = ({"false": 0, "true": 1}, {"no": 0, "yes": 1})
NAMES_OF_FILES = ("file", "filename", "file_name", "path", "image", "image_id", "image_name", "name", "id")
IDENTIFIER = re.compile(r"(^|[_\W])(id|uid|nr|no|number|index|key)$|(ID|Id|UID)$")
OWNER = re.compile(  # whose images are, perhaps
    r"(patient|subject|participant|lesion|case|study)([_\W]?(id|uid|nr|no|number|name))?", re.IGNORECASE
)
SPLIT_NAMES = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}
MOST_CATEGORIES = 20
LISTED = 5


# ------------------------------------------------------------------------------------------------------------- reading


def read_table(table: str | Path | pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """A table of labels, and what messages call it.

    Of a CSV file, text in UTF-8 with a line of names; commas, semicolons or tabs between values, whichever the line of
    names has most of. Empty values and the words NA, N/A, NaN and null are missing ones. Whole columns of numbers
    become numbers, but not where one begins with a needless 0, as identifiers do, or is whole and too large to be kept
    exactly; between semicolons 3,5 is one. Blanks around text do not count, in a data frame, too.

    Raises:
        DataError: the file is missing, is no such table, names a column twice, or has lines of different lengths.
    """
    if isinstance(table, pd.DataFrame):
        names = [as_name(name) for name in table.columns]
        if twice := [name for name in names if names.count(name) > 1]:
            raise DataError(f"table: two columns are called {twice[0]!r}")
        if "" in names:
            raise DataError(f"table: column {names.index('') + 1} has no name")
        columns = {name: _from_pandas(name, table.iloc[:, place]) for place, name in enumerate(names)}
        return pd.DataFrame(columns, index=range(len(table))), "the table"
    path = Path(table)
    if path.suffix.lower() not in (".csv", ".tsv", ".txt"):
        raise DataError(f"{path}: labels are read from .csv, .tsv and .txt; save the table as CSV, in UTF-8")
    try:
        lines, separator = table_lines(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder: name the table in it") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not in UTF-8 (byte {error.start}): save it as CSV in UTF-8") from None
    except csv.Error as error:
        raise DataError(f"{path} cannot be read as a table ({error})") from None
    if len(lines) < 2:
        raise DataError(f"{path}: a table has a line of names and a line for each file, this has {len(lines)} lines")
    names = [as_name(name) for name in lines[0]]
    if twice := [name for name in names if names.count(name) > 1]:
        raise DataError(f"{path}: two columns are called {twice[0]!r}")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(names):
            raise DataError(f"{path}: row {number} has {len(line)} values, the line of names has {len(names)}")
    columns = dict(zip(names, zip(*lines[1:], strict=True), strict=True))
    if "" in columns:
        if list(columns[""]) != [str(i) for i in range(len(lines) - 1)]:
            raise DataError(f"{path}: column {names.index('') + 1} has no name")
        del columns[""]  # the row numbers that pandas writes
    return pd.DataFrame({name: _from_text(values, separator) for name, values in columns.items()}), path.name


def as_name(column: object) -> str:
    """What a column is called in a set, whatever it is called in a data frame."""
    return str(column).strip()


def table_lines(content: bytes) -> tuple[list[list[str]], str]:
    """The lines of a table as text, without the empty ones, and what stands between values.

    Commas, semicolons or tabs, whichever the first line has most of; a line ``sep=;`` before it, as Excel writes, says.

    Raises:
        UnicodeDecodeError: it is not in UTF-8.
        csv.Error: it is no table.
    """
    text = content.decode("utf-8-sig")
    if "\0" in text:
        raise csv.Error("it holds a zero byte; save it in UTF-8")
    stated = re.match(r"sep=([,;\t])\r?\n", text, re.IGNORECASE)
    text = text[stated.end() :] if stated else text
    separator = stated[1] if stated else max(",;\t", key=re.split(r"[\r\n]", text, maxsplit=1)[0].count)
    return [
        line for line in csv.reader(StringIO(text, newline=""), delimiter=separator, strict=True) if line
    ], separator


def text_table(content: bytes, name: str) -> pd.DataFrame:
    """A table as text, without blanks around its values.

    Not pandas' reader, which fills the row where a file is cut off, and takes the first column for an index where rows
    end in a comma.

    Raises:
        DataError: it is no table, names a column twice, or has rows of different lengths; the message begins with
            ``name``.
    """
    try:
        lines, _ = table_lines(content)
        header, *rows = [[field.strip() for field in line] for line in lines]
    except (ValueError, csv.Error) as error:  # not in UTF-8, no line at all, or no table
        raise DataError(f"{name} cannot be read as a table ({error}): get it again, in UTF-8") from None
    for number, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise DataError(f"{name}: row {number} has {len(row)} fields where the header has {len(header)}")
    if twice := [column for column in header if header.count(column) > 1]:
        raise DataError(f"{name}: two columns are called {twice[0]!r}")
    return pd.DataFrame(rows, columns=header, dtype=object)


def _from_text(values: Sequence[str], separator: str) -> pd.Series:
    words = [value.strip() for value in values]
    known = [word for word in words if word not in MISSING]
    if separator == ";" and all(map(COMMA.fullmatch, known)) and any("," in word for word in known):
        words = [word.replace(",", ".") for word in words]
        known = [word.replace(",", ".") for word in known]
    if not known or not all(NUMBER.fullmatch(word) and not LEADING_ZERO.fullmatch(word) for word in known):
        return pd.Series([None if word in MISSING else word for word in words], dtype=object)
    if all(map(WHOLE.fullmatch, known)):
        largest = max(abs(int(word)) for word in known)
        if len(known) == len(words) and largest < 2**63:
            return pd.Series([int(word) for word in words], dtype=np.int64)
        if largest > EXACT:  # as a float, two identifiers might become one
            return pd.Series([None if word in MISSING else word for word in words], dtype=object)
    return pd.Series([np.nan if word in MISSING else float(word) for word in words], dtype=np.float64)


def _from_pandas(name: str, column: pd.Series) -> pd.Series:
    column = column.reset_index(drop=True)
    if pd.api.types.is_bool_dtype(column) and not column.isna().any():
        return column.astype(np.int64)
    if pd.api.types.is_numeric_dtype(column):
        if pd.api.types.is_complex_dtype(column):
            raise DataError(f"table: column {name!r} holds complex numbers")
        if not pd.api.types.is_integer_dtype(column):
            return pd.Series(column.to_numpy(np.float64, na_value=np.nan))
        known = [abs(int(value)) for value in column.dropna()]
        if len(known) == len(column) and max(known, default=0) < 2**63:
            return column.astype(np.int64)
        if max(known, default=0) <= EXACT:
            return pd.Series(column.to_numpy(np.float64, na_value=np.nan))
    words = [None if pd.isna(value) else _word(value).strip() for value in column]
    return pd.Series([word or None for word in words], dtype=object)


# --------------------------------------------------------------------------------------------------------------- kinds


def described(
    table: pd.DataFrame, factors: Mapping[str, object] | None, plain: Sequence[str | None], source: str
) -> tuple[pd.DataFrame, dict[str, Factor], list[str]]:
    """The table with its columns in the form of their kinds, what each factor means, and what is to be said of them.

    Guessed are: 0 and 1, true and false, yes and no as binary; text of at most 20 different values, half of the rows at
    most, as categorical; other numbers as continuous. What is left is plain: text, columns of one value, and text or
    whole numbers in a column whose name is that of an identifier (``patient``, ``scan_nr``, ``StudyUID``).

    Args:
        table: as :func:`read_table` returns it.
        factors: of columns, one of ``KINDS`` or a :class:`~medlatent.data.Factor`, instead of the guess.
        plain: columns that are no factors: of files, groups, splits.
        source: what the table is called.

    Raises:
        DataError: ``factors`` names a column that is not there, an unknown kind, or one that the values have not.
    """
    from .imageset import Factor

    table, given, found, said = table.copy(), dict(factors or {}), {}, []
    if unknown := [name for name in given if name not in table]:
        raise DataError(f"factors: {source} has no column {unknown[0]!r}; it has {', '.join(map(str, table))}")
    for name in table:
        wanted = given.get(name)
        if isinstance(wanted, str) and wanted not in KINDS:
            raise DataError(f"factors: {name!r} is to be {wanted!r}: use {', '.join(KINDS)}, or a Factor")
        if wanted is None and name in plain:
            continue
        kind = wanted.kind if isinstance(wanted, Factor) else wanted or _guessed(str(name), table[name])
        if kind == "plain":
            continue
        lacking = int(table[name].isna().sum())
        if kind == "categorical" and lacking:
            if wanted is not None:
                raise DataError(f"factors: {name!r} lacks a value in {lacking} rows: a categorical factor has one in "
                                "each; write a word such as unknown there")  # fmt: skip
            said.append(f"{name} lacks a value in {lacking} rows, so it is no categorical factor: write a word such as "
                        "unknown there to make it one")  # fmt: skip
            continue
        table[name], values = _formed(str(name), table[name], kind)
        if isinstance(wanted, Factor):
            found[name] = wanted
        else:
            found[name] = Factor(f"column {name} of {source}", kind, values=values if kind == "categorical" else ())
        if lacking:
            said.append(f"{name} lacks a value in {lacking} of {len(table)} rows")
    return table, found, said


def _guessed(name: str, column: pd.Series) -> str:
    known = column.dropna()
    different = known.unique()
    if len(different) < 2:
        return "plain"
    if not pd.api.types.is_numeric_dtype(column):
        words = {str(value).lower() for value in different}
        if any(words <= set(pair) for pair in TWO_WORDS):
            return "binary"
        if is_identifier(name):
            return "plain"
        few = len(different) <= min(MOST_CATEGORIES, max(2, len(known) // 2)) and len(different) < len(known)
        return "categorical" if few else "plain"
    if set(different) <= {0, 1}:
        return "binary"
    whole = bool((known == np.rint(known)).all())
    return "plain" if whole and is_identifier(name) else "continuous"


def is_identifier(name: str) -> bool:
    """Whether a column is called as one that numbers patients or files."""
    return bool(IDENTIFIER.search(name) or OWNER.fullmatch(name))


def _formed(name: str, column: pd.Series, kind: str) -> tuple[pd.Series, tuple[str, ...]]:
    """A column as a factor of its kind has it; of a categorical one with its values, in natural order."""
    known = column.dropna()
    if kind == "categorical":
        words = column.map(_word)
        return words, tuple(sorted(words.unique(), key=natural))
    if not pd.api.types.is_numeric_dtype(column):
        lower = known.map(lambda value: str(value).lower())
        pair = next((pair for pair in TWO_WORDS if set(lower) <= set(pair)), None)
        if kind != "binary" or pair is None:
            row = known.index[0]
            expected = "0 and 1, true and false, yes and no" if kind == "binary" else "numbers"
            raise DataError(f"factors: {name!r} is to be {kind}, {expected}, and row {row} holds {known.iloc[0]!r}")
        column = column.map(lambda value: np.nan if pd.isna(value) else pair[str(value).lower()])
        return column.astype(np.float64 if column.isna().any() else np.int64), ()
    if (wrong := known[~np.isfinite(known)]).size:
        raise DataError(f"factors: {name!r} is to be {kind}, and row {wrong.index[0]} holds {wrong.iloc[0]:g}; leave "
                        "it empty where there is no value")  # fmt: skip
    if kind == "binary" and (wrong := known[~known.isin([0, 1])]).size:
        raise DataError(f"factors: {name!r} is to be binary, 0 and 1, and row {wrong.index[0]} holds {wrong.iloc[0]:g}")
    return column, ()


def _word(value: object) -> str:
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else str(float(value))
    return str(value)


def natural(text: str) -> tuple:
    """A key that sorts ``slice2`` before ``slice10``, the same on every system."""
    parts = re.split(r"([0-9]+)", text)
    return tuple((int(part), "") if i % 2 else (0, part.casefold()) for i, part in enumerate(parts)), text


def with_known_splits(table: pd.DataFrame, source: str) -> tuple[pd.DataFrame, list[str]]:
    """The table with splits called as image sets call them: ``val`` is ``validation``, upper and lower case are one.

    So it is with the name of the column: ``Split`` is ``split``.

    Raises:
        DataError: two columns may be meant, or a row has no split.
    """
    if not (names := [name for name in table if name.lower() == "split"]):
        return table, []
    if len(names) > 1:
        raise DataError(f"{source}: the columns {' and '.join(names)} may both be the split: rename one")
    table = table.rename(columns={names[0]: "split"})
    if table["split"].isna().any():
        raise DataError(f"{source}: row {int(table['split'].isna().argmax())} has no split: give it one")
    words = table["split"].map(lambda value: str(value).strip().lower()).map(lambda word: SPLIT_NAMES.get(word, word))
    changed = {f"{was} is {now}" for was, now in zip(table["split"], words, strict=True) if was != now}
    return table.assign(split=words), [f"of the column split, {', '.join(sorted(changed))}"] if changed else []


# ------------------------------------------------------------------------------------------------------------- joining


def joined(
    files: Sequence[tuple[str, int | None]], table: pd.DataFrame, source: str, column: str | None = None
) -> tuple[np.ndarray, str]:
    """Which row of a table tells of each picture, and the column that names the files.

    A row names its file by the path within the folder, or by its name where no other file has it; with or without the
    ending. Where files hold several slices and the table has a column ``slice``, a row tells of one slice.

    Args:
        files: of each picture the path within the folder, with ``/``, and the number of its slice or None.
        table: of labels.
        source: what the table is called.
        column: the name of the column; by default the one whose values are names of files.

    Returns:
        Positions ``(N,)`` of rows, and the name of the column.

    Raises:
        DataError: no column names the files, or several do; a file without a row, a row without a file, or two rows of
            one file. The message lists up to five.
    """
    paths = list(dict.fromkeys(path for path, _ in files))
    known = _names(paths)
    if column is None:
        column = _column(table, known, paths[0], source)
    elif column not in table:
        raise DataError(f"file_column: {source} has no column {column!r}; it has {', '.join(map(str, table))}")
    named = [_key(value) for value in table[column]]
    if two := [name for name in named if len(known.get(name, ())) > 1]:
        which = " and ".join(known[two[0]][:2])
        raise DataError(f"{source}: {two[0]!r} is the name of {which}: write the path within the folder")
    if strange := [(row, name) for row, name in enumerate(named) if name not in known]:
        listed = ", ".join(repr(name) if name else f"row {row}, which is empty" for row, name in strange[:LISTED])
        raise DataError(f"{source}: {_count(strange, 'row')} without a file: {listed}{_more(strange)}; take them out")
    slices = "slice" in table and any(number is not None for _, number in files)
    numbers = [None] * len(table)
    if slices:
        wrong = [row for row, value in enumerate(table["slice"]) if not _whole(value)]
        if wrong:
            raise DataError(f"{source}: row {wrong[0]} has {table['slice'].iloc[wrong[0]]!r} for its slice, no number")
        numbers = [int(value) for value in table["slice"]]
    rows: dict[tuple, int] = {}
    for row, (name, number) in enumerate(zip(named, numbers, strict=True)):
        key = known[name][0], number
        if key in rows:
            raise DataError(f"{source}: rows {rows[key]} and {row} are both of {_called(key)}: keep one")
        rows[key] = row
    wanted = [(path, number if slices else None) for path, number in files]
    if lacking := list(dict.fromkeys(key for key in wanted if key not in rows)):
        listed = ", ".join(map(_called, lacking[:LISTED]))
        raise DataError(f"{source}: {_count(lacking, 'file')} without a row: {listed}{_more(lacking)}; add them, or "
                        "take the files out")  # fmt: skip
    if spare := [key for key in rows if key not in set(wanted)]:
        listed = ", ".join(map(_called, spare[:LISTED]))
        raise DataError(f"{source}: {_count(spare, 'row')} without a picture: {listed}{_more(spare)}; take them out")
    return np.array([rows[key] for key in wanted]), column


def _names(paths: Sequence[str]) -> dict[str, list[str]]:
    """The files that a name may stand for: a path within the folder is one file's alone, and comes first."""
    exact: dict[str, list[str]] = {}
    for path in paths:
        exact.setdefault(_composed(path), []).append(path)
    for shorten in (stem, lambda path: PurePosixPath(path).name, lambda path: stem(PurePosixPath(path).name)):
        found: dict[str, list[str]] = {}
        for path in paths:
            found.setdefault(_composed(shorten(path)), []).append(path)
        exact = found | exact
    return exact


def stem(path: str) -> str:
    """A path without the ending of a picture's file."""
    lower = path.lower()
    ending = ".nii.gz" if lower.endswith(".nii.gz") else PurePosixPath(path).suffix
    return path[: len(path) - len(ending)] if re.fullmatch(r"(\.nii)?\.[A-Za-z]\w{0,4}", ending) else path


def _key(value: object) -> str:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return ""
    text = _word(value).strip().replace("\\", "/")
    return _composed(text.removeprefix("./"))


def _composed(text: str) -> str:
    """The same text for the same letters: macOS writes ü in the name of a file as u and two dots."""
    return unicodedata.normalize("NFC", text)


def _column(table: pd.DataFrame, known: Mapping[str, object], such: str, source: str) -> str:
    shares = {name: sum(_key(value) in known for value in table[name]) for name in table}
    most = max(shares.values(), default=0)
    best = [name for name, share in shares.items() if share == most]
    if most == 0:
        raise DataError(
            f"{source}: no column names the files, such as {such!r}; its columns are "
            f"{', '.join(map(str, table))}; name the right one with file_column"
        )
    if len(best) > 1:
        best = [name for name in best if str(name).lower() in NAMES_OF_FILES] or best
    if len(best) > 1:
        raise DataError(f"{source}: {' and '.join(map(str, best))} may both name the files; choose with file_column")
    return best[0]


def _whole(value: object) -> bool:
    return re.fullmatch(r"-?\d+", str(value)) is not None or (isinstance(value, float) and value.is_integer())


def _called(key: tuple[str, int | None]) -> str:
    path, number = key
    return repr(path) if number is None else f"{path!r} slice {number}"


def _count(things: Sequence, word: str) -> str:
    return f"{len(things)} {word}{'s' * (len(things) != 1)}"


def _more(things: Sequence) -> str:
    return f" and {len(things) - LISTED} more" if len(things) > LISTED else ""


# ------------------------------------------------------------------------------------------------------------- showing


def describe_columns(images: ImageSet) -> str:
    """The columns of an image set's table, a line each: the kind, the values, and how many are missing.

    A column that is no factor is the ``group``, the ``split``, or ``plain``.
    """
    rows = [("column", "kind", "values", "missing")]
    for name in images.table:
        column, factor = images.table[name], images.factors.get(name)
        kind = factor.kind if factor else "group" if name == images.group else "split" if name == "split" else "plain"
        rows.append((str(name), kind, _values(column, kind, factor), str(int(column.isna().sum()))))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)  # fmt: skip


def _values(column: pd.Series, kind: str, factor: Factor | None) -> str:
    known = column.dropna()
    if known.empty:
        return "none"
    different = known.nunique()
    if kind in ("continuous", "angle") or (kind == "plain" and pd.api.types.is_numeric_dtype(column)):
        unit = f" {factor.unit}" if factor and factor.unit else ""
        return f"{known.min():g} to {known.max():g}{unit}" if different > 1 else f"{known.iloc[0]:g}{unit}"
    if kind in ("binary", "categorical", "split") or different == 1:
        counts = known.map(_word).value_counts()
        order = sorted(counts.index, key=natural)
        shown = ", ".join(f"{_short(word)}: {counts[word]}" for word in order[:4])
        return shown + (f" and {len(order) - 4} more" if len(order) > 4 else "")
    return f"{different} different, such as {_short(_word(known.iloc[0]))}"


def _short(text: str) -> str:
    return text if len(text) <= 30 else f"{text[:29]}…"
