"""Image sets of images of one's own, from arrays or from a folder of files, with a table of labels.

:meth:`medlatent.data.ImageSet.from_arrays` and :meth:`medlatent.data.ImageSet.from_folder` are how to call it, and
``python -m medlatent pack``. What is done to the images, and what the reader should know of them, is said in remarks
and on the set's card.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from .errors import DataError
from .imageset import Card, Factor, ImageSet
from .labels import OWNER, as_name, described, joined, read_table, with_known_splits
from .picture_files import NoPicture, Picture, Reading, find_pictures, read_pictures
from .pixels import (
    Fitting,
    Stored,
    as_percentiles,
    as_range,
    between_percentiles,
    channels_second,
    check_numbers,
    stored,
)
from .splits import SPLITS, split_by_group

NOT_STATED = "not stated"
LISTED = 5
SEEDS_TRIED = 50  # for one that leaves no split empty


class About(NamedTuple):
    """What the card says that no file tells: the set's name, where it comes from, its licence, how it is cited."""

    name: str
    source: str = NOT_STATED
    licence: str = NOT_STATED
    citation: str = NOT_STATED


class Splitting(NamedTuple):
    """The column of the table that must not lie in two splits, the share of each split, and a seed."""

    group: str | None = None
    fractions: Mapping[str, float] | None = None
    seed: int = 0


class Made(NamedTuple):
    """The arguments of an :class:`~medlatent.data.ImageSet`, and what is to be said to whoever made it."""

    images: np.ndarray
    table: pd.DataFrame
    factors: dict[str, Factor]
    card: Card
    group: str | None
    value_range: tuple[float, float]
    remarks: list[str]

    def image_set(self, kind: type[ImageSet] = ImageSet) -> ImageSet:
        """The set.

        Raises:
            DataError: its parts do not fit together.
        """
        return kind(*self[:-1])


# -------------------------------------------------------------------------------------------------------------- arrays


def of_arrays(
    images: object,
    table: str | os.PathLike | pd.DataFrame | None,
    factors: Mapping[str, object] | None,
    channels: str | None,
    values: tuple[object, bool],
    fitting: Fitting,
    splitting: Splitting,
    about: About,
) -> Made:
    """See :meth:`medlatent.data.ImageSet.from_arrays`; ``values`` is the range and whether to clip."""
    value_range = as_range(values[0])
    factors, splitting = _by_name(factors, splitting)
    pictures = channels_second(images, channels)
    if not len(pictures):
        raise DataError("images: there are none")
    labels, called = (pd.DataFrame(index=range(len(pictures))), "") if table is None else read_table(table)
    if len(labels) != len(pictures):
        raise DataError(f"{called}: {len(labels)} rows for {len(pictures)} images; there must be one row an image")
    if isinstance(pictures, list) or fitting.size is not None:
        for row, picture in enumerate(pictures):
            check_numbers(picture, f"image {row}")
        pictures = [fitting(picture, f"image {row}") for row, picture in enumerate(pictures)]
    labels, found, said = _labelled(labels, factors, called, [splitting.group])
    kept = stored(pictures, lambda row: f"image {row}", value_range, values[1])
    return _made(kept, labels, found, "", fitting.said, said, [], splitting, about, np.arange(len(labels)), "image")


# -------------------------------------------------------------------------------------------------------------- folder


def of_folder(
    folder: str | os.PathLike,
    table: str | os.PathLike | pd.DataFrame | None,
    factors: Mapping[str, object] | None,
    file_column: str | None,
    reading: Reading,
    values: tuple[object, bool, object],
    fitting: Fitting,
    splitting: Splitting,
    about: About,
    progress: bool,
) -> Made:
    """See :meth:`medlatent.data.ImageSet.from_folder`; ``values``: the range, whether to clip, and the percentiles."""
    value_range, percentiles = as_range(values[0]), as_percentiles(values[2], values[0])
    reading.check()
    factors, splitting = _by_name(factors, splitting)
    file_column = None if file_column is None else as_name(file_column)
    if table is None and file_column is not None:
        raise DataError("file_column: it is a column of the table, and there is no table")
    found = find_pictures(folder)
    table, others = _within(folder, table, found.others)
    labels, called = (None, "the table of the files") if table is None else read_table(table)
    if labels is not None:
        _check_early(found.files, labels, called, file_column, splitting.group, reading.tags)
    # Percentiles are those of what was there, not of what fills up a shape.
    pictures, rows = _read(folder, found.files, reading, Fitting() if percentiles else fitting, progress, others)
    _check_alike(pictures, rows)
    scaled = _scale(pictures, rows, percentiles, fitting) if percentiles else []
    files = [(row["file"], row["slice"]) for row in rows]
    about_files = _about_files(rows, reading.tags)
    marks = ["file", "slice", "frame", splitting.group]
    remarks = []
    if labels is None:
        whole, factors_found, said = _labelled(about_files, factors, called, [*marks, *reading.tags])
    else:
        at, column = joined(files, labels, called, file_column)
        # kinds are guessed before a row is repeated for each slice of its file
        labels, factors_found, said = _labelled(labels, factors, called, [*marks, column], about_files)
        labels = labels.iloc[at].reset_index(drop=True).drop(columns=["file"] if column == "file" else [])
        if column in labels and labels[column].equals(about_files["file"].astype(object)):
            del labels[column]  # it says what the column file says
        if "file" in labels:
            raise DataError(f"{called}: the column 'file' is not the one that names the files ({column}): rename it")
        own = [name for name in about_files if name == "file" or name not in labels]
        whole = pd.concat([about_files[own], labels], axis=1)
    if others:
        more = f" and {len(others) - LISTED} more" if len(others) > LISTED else ""
        remarks.append(f"no images, and left out: {', '.join(others[:LISTED])}{more}")
    unit = "" if percentiles else pictures[0].unit
    kept = stored(
        [picture.pixels for picture in _let_go(pictures)],
        lambda row: _called(rows[row]),
        value_range,
        values[1],
        unit,
    )
    several = about_files["file"].duplicated().any()
    if several and splitting.group is None:  # slices of a volume belong together
        splitting = splitting._replace(group="file")
    done = [f"{len(found.files)} files", *_what_was_done(rows), *scaled, *filter(None, [fitting.said])]
    if reading.plane or reading.slices:
        done.insert(1, " ".join(filter(None, [reading.plane, "slices", _numbers(reading.slices)])))
    return _made(
        kept, whole, factors_found, unit, "; ".join(done), said, remarks, splitting, about,
        about_files["file"].to_numpy(), "file",
    )  # fmt: skip


def _within(
    folder: str | os.PathLike, table: str | os.PathLike | pd.DataFrame | None, others: list[str]
) -> tuple[Path | pd.DataFrame | None, list[str]]:
    """Where the table is, which may lie in the folder, and the other files that are no pictures."""
    if table is None or isinstance(table, pd.DataFrame):
        return table, others
    path, inside = Path(table), Path(folder) / table
    path = inside if inside.is_file() and not path.is_file() else path
    return path, [name for name in others if (Path(folder) / name).resolve() != path.resolve()]


def _check_early(
    files: Sequence[str],
    labels: pd.DataFrame,
    called: str,
    file_column: str | None,
    group: str | None,
    tags: Sequence[str],
) -> None:
    """Refuses before many files are read what can be refused without reading them.

    Raises:
        DataError: labels and files do not belong together, or there is no such group.
    """
    if "slice" not in labels:
        joined([(file, None) for file in files], labels, called, file_column)
    known = [*labels, *tags]
    if group is not None and group not in (*known, "file", "slice", "frame") and not group.startswith("folder"):
        raise DataError(
            f"group: there is no column {group!r}; there are {', '.join(dict.fromkeys(['file', *map(str, known)]))}"
        )


def _read(
    folder: str | os.PathLike,
    files: Sequence[str],
    reading: Reading,
    fitting: Fitting,
    progress: bool,
    others: list[str],
) -> tuple[list[Picture], list[dict]]:
    """All slices of all files at their size, and of each what the table says; files without one join the ``others``.

    Raises:
        DataError: files cannot be read or fitted; the message has the first one's reason and counts the others.
    """
    pictures, rows, wrong = [], [], []
    for file in tqdm(files, "reading", disable=not progress):
        try:
            for picture in read_pictures(folder, file, reading):
                row = {"file": file, "slice": picture.slice, "frame": picture.frame, "said": picture.said}
                row |= dict(zip(reading.tags, picture.tags, strict=True))
                check_numbers(picture.pixels, _called(row))
                pixels = fitting(picture.pixels, _called(row))
                pictures.append(picture._replace(pixels=pixels))
                rows.append(row)
        except NoPicture:
            others.append(file)
        except DataError as error:
            wrong.append((file, error))
            pictures.clear()  # nothing will come of them; the others are looked at for the message
    if wrong:
        others = [file for file, _ in wrong[1:]]
        more = f" and {len(others) - LISTED} more" if len(others) > LISTED else ""
        also = f" (and of {len(others)} others: {', '.join(others[:LISTED])}{more})" if others else ""
        raise DataError(f"{wrong[0][1]}{also}")
    if not pictures:
        raise DataError(f"{folder}: no image in it; DICOM objects that hold none: {', '.join(others[:LISTED])}")
    return pictures, rows


def _scale(
    pictures: list[Picture], rows: Sequence[Mapping], percentiles: tuple[float, float], fitting: Fitting
) -> list[str]:
    """Scales every series between its percentiles, then fits its slices; in place. What the card says of it.

    Raises:
        DataError: a series has one value at both, or a picture cannot be fitted.
    """
    series: dict[str, list[int]] = {}
    for k, (picture, row) in enumerate(zip(pictures, rows, strict=True)):
        series.setdefault(picture.series or row["file"], []).append(k)
    for members in series.values():
        several = f" and the other {len(members) - 1} slices of its series" if len(members) > 1 else ""
        what = f"{rows[members[0]]['file']}{several}"
        made = between_percentiles([pictures[k].pixels for k in members], percentiles, what)
        for k, pixels in zip(members, made, strict=True):
            pictures[k] = pictures[k]._replace(pixels=fitting(pixels, _called(rows[k])), unit="")
    low, high = (f"{percentile:g}" for percentile in percentiles)
    of = "image" if len(series) == len(pictures) else "series"
    return [f"the values at the percentiles {low} and {high} of each {of} stand for black (0) and white (1)"]


def _let_go(pictures: list[Picture]):
    """The pictures, each of which is forgotten by the list."""
    for row, picture in enumerate(pictures):
        pictures[row] = picture._replace(pixels=None)
        yield picture


def _called(row: Mapping[str, object]) -> str:
    number = "" if row["slice"] is None else f" slice {row['slice']}"
    return f"{row['file']}{number}" + ("" if row["frame"] is None else f" frame {row['frame']}")


def _check_alike(pictures: Sequence[Picture], rows: Sequence[Mapping]) -> None:
    """Refuses files whose values, or whose colours, are of different kinds.

    Raises:
        DataError: the message says which there are, how many of each, and what to do.
    """
    for what, kinds, do in (
        (
            "kinds of values",
            [picture.unit for picture in pictures],
            "black and white would mean something else in each; pack them apart, or convert the files to one kind",
        ),
        (
            "numbers of channels",
            [{1: "grey", 3: "colour"}.get(len(picture.pixels), "other") for picture in pictures],
            "pass colour='grey' or colour='rgb' to make them the same",
        ),
    ):
        first: dict[str, int] = {}
        for row, kind in enumerate(kinds):
            first.setdefault(kind, row)
        if len(first) > 1:
            listed = "; ".join(
                f"{kinds.count(kind)} × {kind}, such as {rows[row]['file']}" for kind, row in first.items()
            )
            raise DataError(f"images have {len(first)} {what} ({listed}): {do}")


def _about_files(rows: Sequence[Mapping], tags: Sequence[str]) -> pd.DataFrame:
    """What the files themselves say: their path, their folders, the numbers of slice and frame, the tags asked for."""
    table = pd.DataFrame({"file": [row["file"] for row in rows]})
    for name in ("slice", "frame"):
        if any(row[name] is not None for row in rows):
            table[name] = [0 if row[name] is None else row[name] for row in rows]
    folders = [row["file"].split("/")[:-1] for row in rows]
    levels = min(map(len, folders))
    for level in range(levels):
        table["folder" if levels == 1 else f"folder_{level + 1}"] = [parts[level] for parts in folders]
    for tag in tags:
        table[tag] = pd.Series([row[tag] for row in rows], dtype=object)
    return table


def _what_was_done(rows: Sequence[Mapping]) -> list[str]:
    counts: dict[str, int] = {}
    for row in rows:
        for words in row["said"]:
            counts[words] = counts.get(words, 0) + 1
    return [
        words if count == len(rows) else f"{words} ({count} of {len(rows)} images)" for words, count in counts.items()
    ]


def _numbers(part: slice | None) -> str:
    return "" if part is None else ":".join("" if n is None else str(n) for n in (part.start, part.stop, part.step))


# ------------------------------------------------------------------------------------------------------------ together


def _by_name(
    factors: Mapping[str, object] | None, splitting: Splitting
) -> tuple[Mapping[str, object] | None, Splitting]:
    """The same, with columns called as tables of labels call them."""
    if splitting.group is not None:
        splitting = splitting._replace(group=as_name(splitting.group))
    return factors and {as_name(column): kind for column, kind in factors.items()}, splitting


def _labelled(
    table: pd.DataFrame,
    factors: Mapping[str, object] | None,
    called: str,
    plain: Sequence[str | None],
    beside: pd.DataFrame | None = None,
) -> tuple[pd.DataFrame, dict[str, Factor], list[str]]:
    """The table with its factors; ``beside`` are columns that it gets later, which are none."""
    if beside is not None and (wrong := [name for name in factors or {} if name in beside and name not in table]):
        raise DataError(f"factors: {wrong[0]!r} is no column of {called}, which has {', '.join(map(str, table))}")
    table, renamed = with_known_splits(table, called)
    table, found, said = described(table, factors, [*plain, "split"], called)
    return table, found, [*renamed, *said]


def _made(
    kept: Stored,
    table: pd.DataFrame,
    factors: dict[str, Factor],
    unit: str,
    read: str,
    said: list[str],
    remarks: list[str],
    splitting: Splitting,
    about: About,
    alone: np.ndarray,
    whose: str,
) -> Made:
    """The set's parts; without a group, ``alone`` says which rows belong to one ``whose``."""
    table, how, empty = _split(table, splitting, alone, whose)
    preprocessing = "; ".join(filter(None, [read, *kept.said, how, *said]))
    attributes = {"unit": unit, "range": list(kept.given)}
    for name, text in zip(("name", "source", "licence", "citation"), about, strict=True):
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{name}: expected text, got {text!r}")
    card = Card(about.name, about.source, about.licence, about.citation, preprocessing, attributes)
    told = [*remarks, *said, *([how] if splitting.group in (None, "file") and "may lie" in how else []), *empty]
    return Made(kept.images, table, factors, card, splitting.group, kept.value_range, told)


def _split(
    table: pd.DataFrame, splitting: Splitting, alone: np.ndarray, whose: str
) -> tuple[pd.DataFrame, str, list[str]]:
    group, fractions = splitting.group, splitting.fractions
    owners = [repr(name) for name in table if OWNER.fullmatch(str(name))]
    perhaps = f" (perhaps the column {' or '.join(owners)} says it: name it as the group)" if owners else ""
    if group is not None and group not in table:
        raise DataError(f"group: there is no column {group!r}; there are {', '.join(map(str, table)) or 'none'}")
    names = None
    if "split" in table:
        if fractions is not None:
            raise DataError("fractions: the table has a column split, which says where each image lies")
        how = "split as the table says"
        if group is None or group == "file":
            how += f"; whose images they are was not said{perhaps}: those of one patient may lie in two splits"
    else:
        names = list(alone if group is None else table[group])
        try:
            table = table.assign(split=split_by_group(names, fractions, splitting.seed))
        except DataError as error:
            about_rows = group and str(error).startswith("groups: ")
            raise DataError(f"column {group!r}: {error}" if about_rows else str(error)) from None
        how = f"split by {whose if group is None else group} (seed {splitting.seed})"
        if group is None or group == "file":
            how += f"; whose images they are was not said{perhaps}: those of one patient may lie in two splits"
    empty = _empty(table["split"])
    remarks = []
    if empty & {"train", "test"}:
        words = " or ".join(name for name in SPLITS if name in empty)
        remarks.append(
            f"no image lies in the split {words}: a run needs images in train and test; {_instead(names, fractions)}"
        )
    return table, how, remarks


def _empty(splits: Sequence[str]) -> set[str]:
    return set(SPLITS) - set(splits)


def _instead(names: list | None, fractions: Mapping[str, float] | None) -> str:
    """What to do where a split is empty; with few groups, chance may leave one so."""
    if names is None:
        return "correct the column split"
    wanted = {name for name, share in (fractions or dict.fromkeys(SPLITS, 1)).items() if share > 0}
    seeds = range(SEEDS_TRIED) if {"train", "test"} <= wanted else ()
    seed = next((seed for seed in seeds if not _empty(split_by_group(names, fractions, seed)) & wanted), None)
    return "give the table a column split" if seed is None else f"seed {seed} leaves none empty"
