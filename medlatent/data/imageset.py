"""``ImageSet``: images with a table of labels and factors, splits by patient or lesion, and a card.

Every source, phantom or real, yields one; every later stage takes one. On disk it is a folder::

    images.npy   the images (N, C, H, W), uint8 or int16, memory-mapped on loading
    table.csv    one row an image: labels, factors, the group, the split
    card.json    what the columns mean, where the images came from, and the checksums of the two files and of itself
"""

from __future__ import annotations

import csv
import glob
import hashlib
import json
import math
import os
import shutil
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from ..files import Claimed, claim, json_checksum, json_text, plain, recover, replacing_together
from ..files.claims import alive
from ..options import whole_options
from .errors import DataError
from .pixels import as_range
from .splits import SPLITS, group_key

if TYPE_CHECKING:
    import torch

FORMAT = "medlatent.ImageSet"
VERSION = 1
NAMELESS = "own images"  # a set that nothing gives a name to
FILES = ("images.npy", "table.csv", "card.json")
FactorKind = Literal["continuous", "angle", "binary", "categorical"]
INTEGERS = tuple(f"{kind}{bits}" for kind in ("int", "uint", "Int", "UInt") for bits in (8, 16, 32, 64))
# What a column of the table may be on disk, besides text; the capitals are pandas' own types, which know gaps.
NUMBERS = ("bool", "boolean", *INTEGERS, "float16", "float32", "float64", "Float32", "Float64")


@dataclass(frozen=True)
class Factor:
    """What one column of the table means.

    ``kind`` is ``"continuous"``; ``"angle"`` (radians, of period ``period``); ``"binary"`` (0 or 1); or
    ``"categorical"`` (the table holds one of the strings in ``values``).

    Raises:
        DataError: the kind is unknown, or the other fields do not fit it.
    """

    meaning: str
    kind: FactorKind = "continuous"
    unit: str = ""
    values: tuple[str, ...] = ()
    period: float | None = None

    def __post_init__(self) -> None:
        if self.kind not in ("continuous", "angle", "binary", "categorical"):
            raise DataError(f"factor kind {self.kind!r} is unknown: use continuous, angle, binary or categorical")
        if (self.kind == "categorical") != bool(self.values):
            raise DataError(f"factor {self.meaning!r}: values are given for a categorical factor, and only for one")
        if (self.kind == "angle") != (self.period is not None):
            raise DataError(f"factor {self.meaning!r}: a period is given for an angle, and only for one")
        values = plain(self.values)
        object.__setattr__(self, "values", tuple(values) if isinstance(values, list | tuple) else values)
        object.__setattr__(self, "period", plain(self.period))
        for name, text in (("meaning", self.meaning), ("unit", self.unit)):
            if not isinstance(text, str):
                raise DataError(f"factor {self.meaning!r}: the {name} is {text!r}, expected text")
        if not isinstance(self.values, tuple) or not all(isinstance(value, str) for value in self.values):
            raise DataError(f"factor {self.meaning!r}: the values are {self.values!r}, expected several texts")
        if twice := [value for value in self.values if self.values.count(value) > 1]:
            raise DataError(f"factor {self.meaning!r}: the value {twice[0]!r} is there twice")
        period = 1.0 if self.period is None else self.period
        if not isinstance(period, int | float) or isinstance(period, bool) or not 0 < period < math.inf:
            raise DataError(f"factor {self.meaning!r}: the period is {period!r}, expected a number above 0")


@dataclass(frozen=True)
class Card:
    """Where images come from and what was done to them; printed wherever their numbers are."""

    name: str
    source: str
    licence: str
    citation: str
    preprocessing: str
    attributes: Mapping[str, object] = field(default_factory=dict)


class ImageSet:
    """Images with their table, the meaning of their factors, their splits and their card.

    Args:
        images: ``(N, C, H, W)``, uint8 (0 to 255) or int16 (Hounsfield units); an array or a memory map.
        table: N rows. A column ``split`` (``train``, ``validation`` or ``test``) is optional.
        factors: the columns of the table that describe what generated the image, and what each means.
        card: where the images come from.
        group: the column (patient, lesion) that must not lie in two splits.
        value_range: the two stored values that stand for 0 and 1 when a network reads the images; by default
            (0, 255) for uint8 and (-1000, 2000) for int16.

    Attributes:
        whole: the set that this one was taken from, by :meth:`subset` or :meth:`split`, in one step or several; else
            itself.

    Raises:
        DataError: where shapes, types, columns or splits do not fit together; the message names the field.
    """

    def __init__(
        self,
        images: np.ndarray,
        table: pd.DataFrame,
        factors: Mapping[str, Factor],
        card: Card,
        group: str | None = None,
        value_range: tuple[float, float] | None = None,
    ) -> None:
        if images.ndim != 4:
            raise DataError(f"images: expected the shape (N, C, H, W), got {images.shape}")
        if images.dtype not in (np.uint8, np.int16):
            raise DataError(f"images: expected uint8, or int16 in Hounsfield units, got {images.dtype}")
        if len(images) == 0:
            raise DataError("images: the set is empty")
        if len(table) != len(images):
            raise DataError(f"table: {len(table)} rows for {len(images)} images; there must be one row an image")
        self.images = images
        self.table = table.reset_index(drop=True)
        self.factors = dict(factors)
        self.card = card
        self.group = group
        self.value_range = as_range(value_range) or ((0.0, 255.0) if images.dtype == np.uint8 else (-1000.0, 2000.0))
        self.whole = self
        self._check_columns()

    def _check_columns(self) -> None:
        table = self.table
        for name in dict.fromkeys([*self.factors, "split", self.group]):
            if list(table.columns).count(name) > 1:
                raise DataError(f"table: two columns are called {name!r}")
        for name, factor in self.factors.items():
            if name not in table:
                raise DataError(f"table: no column for the factor {name!r}; it has {', '.join(table.columns)}")
            if factor.kind == "categorical":
                if strange := sorted(set(table[name]) - set(factor.values), key=str):
                    raise DataError(
                        f"table: column {name!r} holds {strange[0]!r}, which is none of {', '.join(factor.values)}"
                    )
            elif not pd.api.types.is_numeric_dtype(table[name]):
                raise DataError(f"table: column {name!r} must be numeric for a {factor.kind} factor")
            elif factor.kind == "binary":
                values = table[name].to_numpy(np.float64, na_value=np.nan)
                if len(wrong := np.flatnonzero(~np.isin(values, (0, 1)) & ~np.isnan(values))):
                    raise DataError(f"table: column {name!r} is binary, and row {wrong[0]} holds {values[wrong[0]]:g}")
        if "split" in table and (strange := sorted(set(table["split"]) - set(SPLITS), key=str)):
            raise DataError(f"table: column 'split' holds {strange[0]!r}, which is none of {', '.join(SPLITS)}")
        if self.group is not None:
            if self.group not in table:
                raise DataError(f"table: no column for the group {self.group!r}")
            keys = {value: "" if pd.isna(value) else group_key(value) for value in table[self.group].unique()}
            if "" in keys.values():
                row = int(table[self.group].isin([value for value, key in keys.items() if not key]).argmax())
                raise DataError(f"table: row {row} has no {self.group}, so its split cannot be told")
            if "split" in table:
                pairs = table[[self.group, "split"]].drop_duplicates()
                where: dict[str, str] = {}
                for value, split in zip(pairs[self.group], pairs["split"], strict=True):
                    if where.setdefault(keys[value], split) != split:
                        raise DataError(
                            f"table: {self.group} {value!r} lies in two splits; assign splits with split_by_group"
                        )

    # ------------------------------------------------------------------------------------ of images of one's own

    @classmethod
    @whole_options(DataError)
    def from_arrays(
        cls,
        images: np.ndarray | Sequence[np.ndarray],
        table: str | os.PathLike | pd.DataFrame | None = None,
        factors: Mapping[str, Factor | str] | None = None,
        *,
        channels: Literal["first", "last", "none"] | None = None,
        value_range: tuple[float, float] | None = None,
        clip: bool = False,
        size: int | tuple[int, int] | None = None,
        fit: Literal["keep", "crop", "stretch"] | None = None,
        fill: float | None = None,
        group: str | None = None,
        fractions: Mapping[str, float] | None = None,
        seed: int = 0,
        name: str = NAMELESS,
        source: str = "not stated",
        licence: str = "not stated",
        citation: str = "not stated",
    ) -> ImageSet:
        """A set of arrays of one's own.

        Bytes and whole numbers of 16 bits are kept as they are (uint16 that int16 does not hold, less 32768). Floats
        become bytes where 256 steps of their range hold them all, else whole numbers as they are where they are whole,
        else 32 768 steps of their range. The card says which, and by how much values were rounded.

        Args:
            images: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``; or a list of N such arrays without the first
                axis, whose shapes may differ where ``size`` is given. Whole numbers, floats or Booleans.
            table: N rows of labels, in the order of the images: a data frame, or a CSV file.
            factors: of columns of the table their kind, ``"continuous"``, ``"binary"``, ``"categorical"`` or
                ``"plain"`` (no factor), or a :class:`Factor`; by default guessed from the values, see
                :func:`medlatent.data.describe_columns`.
            channels: where the axis of channels is; by default an axis of 1, 3 or 4, where only one can be it.
            value_range: the two values that stand for black and white, in the images' unit. By default 0 and 255 for
                bytes, and 0 and 1 for Booleans and for floats that do not leave them; others must state it.
            clip: count values outside of the range as its ends, instead of refusing them.
            size: pixels a side, or height and width; by default as they are.
            fit: how an image of another shape comes to ``size``: ``"keep"`` all of it and fill what is left, ``"crop"``
                the largest part from the centre, or ``"stretch"``.
            fill: for ``"keep"``, the value of what is left, in the images' unit.
            group: the column (patient, lesion) that must not lie in two splits.
            fractions: the share of each split, see :func:`split_by_group`; not with a column ``split``, which decides.
            seed: of the splits.
            name, source, licence, citation: for the card.

        Raises:
            DataError: an argument is missing or does not fit; an image holds NaN, infinite or masked values, or some
                outside of the range. The message names the image by its index, or the argument.
            ImportError: resizing needs Pillow, which is not installed.

        Warns:
            UserWarning: for what the reader should know: no group was named, a split is empty, labels are missing.
        """
        from . import own
        from .pixels import Fitting, as_size

        made = own.of_arrays(
            images,
            table,
            factors,
            channels,
            (value_range, clip),
            Fitting(as_size(size), fit, fill),
            own.Splitting(group, fractions, seed),
            own.About(name, source, licence, citation),
        )
        for remark in made.remarks:
            warnings.warn(remark, stacklevel=2)
        return made.image_set(cls)

    @classmethod
    @whole_options(DataError)
    def from_folder(
        cls,
        folder: str | os.PathLike,
        table: str | os.PathLike | pd.DataFrame | None = None,
        factors: Mapping[str, Factor | str] | None = None,
        *,
        file_column: str | None = None,
        tags: Sequence[str] = (),
        value_range: tuple[float, float] | None = None,
        percentiles: tuple[float, float] | None = None,
        clip: bool = False,
        size: int | tuple[int, int] | None = None,
        fit: Literal["keep", "crop", "stretch"] | None = None,
        fill: float | None = None,
        colour: Literal["grey", "rgb"] | None = None,
        alpha: Literal["drop", "black", "white"] | None = None,
        plane: Literal["axial", "coronal", "sagittal"] | None = None,
        slices: slice | None = None,
        group: str | None = None,
        fractions: Mapping[str, float] | None = None,
        seed: int = 0,
        name: str | None = None,
        source: str | None = None,
        licence: str = "not stated",
        citation: str = "not stated",
        progress: bool = False,
    ) -> ImageSet:
        """A set of the images in a folder: PNG, JPEG, TIFF, DICOM and NIfTI, at any depth, in natural order.

        Volumes and files of several frames give their slices. The table has the columns ``file`` (the path within the
        folder); ``slice`` and ``frame``, from 0, where files hold several; ``folder``, where all files lie in
        subfolders (``folder_1``, ``folder_2``, … where these have some); the ``tags``; the columns of ``table``; and
        ``split``.

        CT in DICOM is in Hounsfield units, other modalities in the unit of their slope and intercept. Slices of NIfTI
        are those of the third axis as it is stored, turned as radiologists look at them: rows lead to the patient's
        left or back, columns to the back or the feet. What is stored, and when it is rounded, is as in
        :meth:`from_arrays`.

        Args:
            folder: hidden files and those of operating systems do not count.
            table: labels, a data frame or a CSV file, which may lie in the folder; a row for each file, see
                ``file_column``. With a column ``slice``, a row for each slice.
            factors: as in :meth:`from_arrays`; without a table, of the columns of folders and tags.
            file_column: which column of ``table`` names the files, by their path within the folder or their name, with
                or without its ending; by default the one that does.
            tags: keywords of DICOM that become columns, such as ``"PatientID"``.
            value_range, clip, size, fit, fill: as in :meth:`from_arrays`; the unit of the range is that of the files.
            percentiles: in the place of a range, for values without a unit, as those of MR, which differ from scanner
                to scanner and from scan to scan: of each series (a volume; of other files each file) the percentiles
                whose values stand for black and white, such as ``(1, 99)``. What lies beyond counts as these, and
                ``fill`` is between 0, black, and 1.
            colour: make all images ``"grey"`` or ``"rgb"``; by default they are as they are, and must be alike.
            alpha: what becomes of transparent pixels: ``"black"`` or ``"white"`` shines through, ``"drop"`` shows their
                own colour. Without it they are refused.
            plane: of NIfTI, the slices of this plane in the place of those that are stored.
            slices: which slices of each volume, such as ``slice(20, 80, 5)``; by default all.
            group: the column (patient, lesion) that must not lie in two splits; where files hold several slices, by
                default ``file``.
            fractions, seed: as in :meth:`from_arrays`.
            name, source: for the card; by default the folder's name, without its path.
            licence, citation: for the card.
            progress: show a progress bar.

        Raises:
            DataError: a file cannot be read, files are not alike, labels and files do not belong together, or an
                argument is missing or does not fit. The message names files, or the argument that decides.
            ImportError: a package that such files need is not installed; the message says how to install it.

        Warns:
            UserWarning: as in :meth:`from_arrays`; and for files that are no images.
        """
        from . import own
        from .picture_files import Reading
        from .pixels import Fitting, as_size

        here = Path(folder).resolve().name or NAMELESS
        made = own.of_folder(
            folder,
            table,
            factors,
            file_column,
            Reading(colour, alpha, plane, slices, tuple(tags)),
            (value_range, clip, percentiles),
            Fitting(as_size(size), fit, fill),
            own.Splitting(group, fractions, seed),
            own.About(name or here, source or f"the folder {here}", licence, citation),
            progress,
        )
        for remark in made.remarks:
            warnings.warn(remark, stacklevel=2)
        return made.image_set(cls)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        n, c, h, w = self.images.shape
        splits = self.table["split"].value_counts() if "split" in self.table else {}
        shares = ", ".join(f"{splits[s]} {s}" for s in SPLITS if s in splits)
        return f"ImageSet({self.card.name!r}, {n} images {c}×{h}×{w} {self.images.dtype}" + (
            f", {shares})" if shares else ")"
        )

    def subset(self, index: Iterable) -> ImageSet:
        """The images at these positions, or where a boolean mask of length N is true."""
        index = np.asarray(index if isinstance(index, (np.ndarray, pd.Series)) else list(index))
        if index.dtype == bool:
            if len(index) != len(self):
                raise DataError(f"index: a mask of {len(index)} values for {len(self)} images")
            index = np.flatnonzero(index)
        if index.size == 0:
            raise DataError("index: it selects no image")
        if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
            raise DataError(f"index: expected positions or a boolean mask, got {index.dtype} of shape {index.shape}")
        if index.min() < -len(self) or index.max() >= len(self):
            raise DataError(f"index: positions from {index.min()} to {index.max()} in a set of {len(self)} images")
        part = ImageSet(
            self.images[index], self.table.iloc[index], self.factors, self.card, self.group, self.value_range
        )
        part.whole = self.whole
        return part

    def split(self, *names: str) -> ImageSet:
        """The images of these splits, in the order of the set: ``"train"``, ``"validation"``, ``"test"``."""
        if "split" not in self.table:
            raise DataError(f"{self.card.name}: the table has no column 'split'")
        for name in names:
            if name not in SPLITS:
                raise DataError(f"unknown split {name!r}: the splits are {', '.join(SPLITS)}")
            if not (self.table["split"] == name).any():
                raise DataError(f"{self.card.name}: no image lies in the split {name!r}")
        return self.subset(self.table["split"].isin(names).to_numpy())

    def factor_matrix(self, names: Sequence[str] | None = None) -> np.ndarray:
        """The factors as numbers ``(N, K)``, float64; a categorical factor becomes the index of its value.

        Args:
            names: which factors, in this order; by default all.
        """
        columns = [np.empty((len(self), 0))]
        for name in self.factors if names is None else names:
            if name not in self.factors:
                raise DataError(f"unknown factor {name!r}: {self.card.name} has {', '.join(self.factors)}")
            factor, column = self.factors[name], self.table[name]
            if factor.kind == "categorical":
                column = column.map({value: i for i, value in enumerate(factor.values)})
            columns.append(column.to_numpy(dtype=np.float64, na_value=np.nan)[:, None])
        return np.concatenate(columns, axis=1)

    def columns(self, names: Sequence[str]) -> dict[str, torch.Tensor]:
        """These factors as tensors, row by row with the images, as a model takes them.

        Args:
            names: which factors.

        Returns:
            By name, ``(N,)``: float32 for a continuous factor (in its unit), an angle (in radians) or a binary one
            (0 or 1); int64, the index in ``factors[name].values``, for a categorical one.

        Raises:
            DataError: the set has no such factor, or a value is missing or no number that float32 holds; the message
                names the column and the row.
        """
        import torch  # here: the processes that pack images start faster without it

        found = {}
        for name in dict.fromkeys(names):
            values = self.factor_matrix([name])[:, 0]
            with np.errstate(over="ignore"):
                small = values.astype(np.float32)
            if len(wrong := np.flatnonzero(~np.isfinite(small))):
                row = int(wrong[0])
                what = "is missing" if np.isnan(values[row]) else f"is {values[row]:g}, which float32 does not hold"
                raise DataError(f"table: column {name!r}: the value of row {row} {what}; leave such rows out")
            kind = self.factors[name].kind
            if kind == "binary" and len(wrong := np.flatnonzero((values != 0) & (values != 1))):
                raise DataError(f"table: column {name!r} is binary, and row {wrong[0]} holds {values[wrong[0]]:g}")
            found[name] = torch.from_numpy(values.astype(np.int64) if kind == "categorical" else small)
        return found

    def fingerprint_of(self, columns: Sequence[str]) -> str:
        """The SHA-256 of columns of the table, which says in a record what a model was told about the images.

        It follows the values, row by row, and for a factor what they mean: its kind, its ``values``, its period. It
        does not follow the type that holds them: 1 as int32, as int64 or as 1.0 is the same.

        Args:
            columns: their names; another order is another fingerprint.

        Raises:
            DataError: there is no such column, or a value is missing or neither a number nor text; the message names
                the column and the row.
        """
        for name in columns:
            if name not in self.table:
                raise DataError(f"unknown column {name!r}: {self.card.name} has {', '.join(map(str, self.table))}")
        meanings = [self.factors.get(name) for name in columns]
        meanings = [meaning and [meaning.kind, list(meaning.values), meaning.period] for meaning in meanings]
        digest = hashlib.sha256(json.dumps([list(columns), meanings]).encode())
        for row, values in enumerate(zip(*(self.table[name] for name in columns), strict=True)):
            cells = [_canonical(value, name, row) for name, value in zip(columns, values, strict=True)]
            digest.update(json.dumps(cells).encode() + b"\n")
        return digest.hexdigest()

    def to_unit(self, stored: torch.Tensor) -> torch.Tensor:
        """Stored values, of any shape, as float32 in [0, 1] over ``value_range``; values outside are clipped."""
        low, high = self.value_range
        return (stored.float() - low).div_(high - low).clamp_(0, 1)

    def batch(self, index: slice | Sequence[int]) -> torch.Tensor:
        """The images at these positions as a float32 tensor ``(B, C, H, W)`` in [0, 1]."""
        import torch  # here: the processes that pack images start faster without it

        return self.to_unit(torch.from_numpy(np.array(self.images[index])))

    @property
    def fingerprint(self) -> str:
        """The SHA-256 of the images, which says in a record exactly which ones were used."""
        digest = hashlib.sha256()
        digest.update(repr((self.images.shape, str(self.images.dtype), self.value_range)).encode())
        for start in range(0, len(self), 1024):
            digest.update(np.ascontiguousarray(self.images[start : start + 1024]).data)
        return digest.hexdigest()

    # ------------------------------------------------------------------------------------------- on disk

    def save(self, folder: str | os.PathLike, overwrite: bool = False) -> Path:
        """Writes the set to a folder, whole or not at all: it is written under a temporary name and renamed.

        What is saved is what :meth:`load` gives back: numbers of the same type, text as text (categories, too), gaps
        as gaps. A process that is killed leaves the old set or the new one, at the latest after the next ``save`` or
        ``load``.

        Raises:
            DataError: the folder exists and ``overwrite`` is false; another process is saving to it; or a column of the
                table or a field of the card cannot be kept, and the message names it.
            OSError: the folder cannot be written.
        """
        folder = Path(folder)
        if folder.exists() and not overwrite:
            raise DataError(f"{folder} exists: choose another folder, or pass overwrite=True")
        kinds, table, gaps = self._text_table()
        about = self._card_fields() | {"columns": kinds, "gaps": gaps}
        try:
            place = Path(os.path.abspath(folder))  # noqa: PTH100 - "." has no name, and a link shall stay one
            with claim(place):
                _restore(place)
                if folder.exists() and not overwrite:
                    raise DataError(f"{folder} exists: choose another folder, or pass overwrite=True")
                with replacing_together(place) as (partial,):
                    partial.mkdir()
                    np.save(partial / "images.npy", self.images)
                    # Text in quotes: a lone carriage return in it would otherwise end the row.
                    table.to_csv(partial / "table.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
                    about["sha256"] = {name: _sha256(partial / name) for name in FILES[:2]}
                    written = json.loads(json_text(about, FORMAT, VERSION))
                    about["sha256"]["card.json"] = _card_checksum(written)
                    (partial / "card.json").write_text(json_text(about, FORMAT, VERSION), encoding="utf-8")
                for aside in _set_aside(place):
                    shutil.rmtree(aside.parent)
        except Claimed as busy:
            raise DataError(str(busy)) from None
        return folder

    def _card_fields(self) -> dict:
        """What ``card.json`` says but for the table; without anything that could not be read back."""
        about = asdict(self.card)
        for name, value in about.items():
            if not isinstance(value, Mapping if name == "attributes" else str):
                raise DataError(
                    f"the card's {name} is {value!r}, expected {'a dict' if name == 'attributes' else 'text'}"
                )
        about |= {
            "group": self.group,
            "value_range": list(self.value_range),
            "shape": list(self.images.shape),
            "dtype": str(self.images.dtype),
            "factors": {name: asdict(factor) for name, factor in self.factors.items()},
        }
        try:
            json_text(about, FORMAT, VERSION)
        except ValueError as error:
            raise DataError(f"the card of {self.card.name!r} cannot be saved: {error}") from None
        return about

    def _text_table(self) -> tuple[dict[str, str], pd.DataFrame, dict[str, list[int]]]:
        """The kind of each column, the table as it is written, and of text the rows without a value."""
        kinds, gaps, columns = {}, {}, {}
        for position, name in enumerate(self.table):
            column = self.table.iloc[:, position]
            if not isinstance(name, str) or not name or name in kinds or not _is_plain_text(name):
                why = "it is there twice" if name in kinds else "a name is text that is not empty"
                raise DataError(f"table: the column {name!r} cannot be saved: {why}")
            if isinstance(column.dtype, pd.CategoricalDtype):
                column = pd.Series(np.asarray(column))
            if str(column.dtype) in NUMBERS:
                kinds[name], columns[name] = str(column.dtype), column
                continue
            missing = column.isna()
            values = column.astype(object).where(~missing, "")
            if wrong := [
                i for i, value in enumerate(values) if not isinstance(value, str) or not _is_plain_text(value)
            ]:
                value = values[wrong[0]]
                raise DataError(
                    f"table: column {name!r} of type {column.dtype} cannot be saved: row {wrong[0]} holds {value!r} "
                    f"({type(value).__name__}); turn the column into text or numbers"
                )
            kinds[name], columns[name] = "text", values.astype(str)
            if missing.any():
                gaps[name] = np.flatnonzero(missing).tolist()
        return kinds, pd.DataFrame(columns, index=self.table.index), gaps

    @classmethod
    def load(cls, folder: str | os.PathLike, verify: bool = True) -> ImageSet:
        """Opens a saved folder; the images are memory-mapped, not read.

        Args:
            folder: what ``save`` wrote.
            verify: compare the checksums of both files with the card (about half a second a gigabyte). That of the card
                itself is compared in any case.

        Raises:
            DataError: the folder is missing, foreign, damaged, changed, or of a newer version; the message names the
                file.
        """
        folder = Path(folder)
        _restore(Path(os.path.abspath(folder)))  # noqa: PTH100 - as in save
        if not folder.is_dir():
            if folder.exists():
                raise DataError(f"{folder} is a file, not the folder of a packed set: choose another path")
            raise DataError(
                f"{folder}: no such folder; pack a data set first with python -m medlatent data, or images of "
                "your own with python -m medlatent pack"
            )
        for name in FILES:
            if not (folder / name).is_file():
                raise DataError(f"{folder}: {name} is missing, so this is no image set (it needs {', '.join(FILES)})")
        path = folder / "card.json"
        try:
            card = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path} is not valid JSON ({error}): pack the data set again") from None
        if not isinstance(card, dict) or card.get("format") != FORMAT:
            raise DataError(f"{path} does not describe an image set: its 'format' is not {FORMAT!r}")
        if card.get("version") != VERSION:
            raise DataError(
                f"{path} has version {card.get('version')!r}, this medlatent reads version {VERSION}: "
                "update medlatent, or pack the data set again"
            )
        try:
            images = cls._read(folder, card, verify)
            # last, as what is wrong with a field says more; sets of earlier versions state none
            if card.get("sha256", {}).get("card.json", true := _card_checksum(card)) != true:
                raise DataError(f"{path} was changed or damaged (it is not what its checksum says): pack the set again")
            return images
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: a field is missing or of the wrong type ({error}): pack it again") from None

    @classmethod
    def _read(cls, folder: Path, card: dict, verify: bool) -> ImageSet:
        if verify:
            for name in FILES[:2]:
                if _sha256(folder / name) != card["sha256"][name]:
                    raise DataError(
                        f"{folder / name} is damaged (its SHA-256 is not the card's): pack the data set again"
                    )
        path = folder / "images.npy"
        try:
            images = np.lib.format.open_memmap(path, mode="r")  # refuses objects, which would have to be unpickled
        except (ValueError, OSError, EOFError) as error:
            raise DataError(f"{path} cannot be read ({error}): pack the data set again") from None
        if list(images.shape) != card["shape"] or str(images.dtype) != card["dtype"]:
            raise DataError(
                f"{path} holds {images.shape} {images.dtype}, the card says {card['shape']} {card['dtype']}"
            )
        path = folder / "table.csv"
        try:  # text first: pandas would read the words "NA" and "None" as missing, and round some numbers
            table = pd.DataFrame(index=range(len(images)))
            if card["columns"]:
                table = pd.read_csv(path, dtype=str, keep_default_na=False, skip_blank_lines=False)
            if list(table.columns) != list(card["columns"]):
                raise DataError(f"{path} has the columns {list(table.columns)}, the card says {list(card['columns'])}")
            for name, kind in card["columns"].items():
                if kind != "text":
                    table[name] = _numbers(name, table[name], kind)
                elif rows := card.get("gaps", {}).get(name):
                    gap = table.index.isin(rows)
                    if gap.sum() != len(rows) or (table.loc[gap, name] != "").any():
                        raise ValueError(f"column {name!r} has other rows without a value than the card says")
                    table[name] = table[name].mask(gap)
        except DataError:
            raise
        except (ValueError, UnicodeDecodeError, pd.errors.ParserError, OverflowError) as error:
            raise DataError(f"{path} cannot be read ({error}): pack the data set again") from None
        try:
            return cls._from_card(images, table, card)
        except ValueError as error:
            raise DataError(
                f"{folder}: card and table do not fit together ({error}): pack the data set again"
            ) from None

    @classmethod
    def _from_card(cls, images: np.ndarray, table: pd.DataFrame, card: dict) -> ImageSet:
        factors = {name: Factor(**values) for name, values in card["factors"].items()}
        about = Card(**{name: card[name] for name in Card.__dataclass_fields__})
        for name, value in asdict(about).items():
            if not isinstance(value, dict if name == "attributes" else str):
                raise DataError(f"the card's {name} is {value!r}")
        if not isinstance(card["value_range"], list):
            raise DataError(f"the card's value_range is {card['value_range']!r}, expected two numbers")
        return cls(images, table, factors, about, card["group"], tuple(card["value_range"]))


def _canonical(value: object, name: str, row: int) -> str | int:
    """A value of a table as it is hashed: text, a whole number, or the digits of another one."""
    if isinstance(value, str):
        return str(value)
    value = plain(value)
    if not isinstance(value, int | float) or math.isnan(value):
        missing = pd.api.types.is_scalar(value) and pd.isna(value)
        what = "is missing" if missing else f"is {value!r}, neither a number nor text"
        raise DataError(f"table: column {name!r}: the value of row {row} {what}")
    return int(value) if float(value).is_integer() else value


def _numbers(name: str, column: pd.Series, kind: str) -> pd.Series:
    """A column of text as numbers of the kind that the card states."""
    if kind not in NUMBERS:
        raise ValueError(f"column {name!r} is of the unknown type {kind!r}")
    if kind in ("bool", "boolean"):
        known = {"True": True, "False": False} | ({"": pd.NA} if kind == "boolean" else {})
        if strange := sorted(set(column) - set(known)):
            raise ValueError(f"column {name!r} holds {strange[0]!r}, which is neither True nor False")
        return pd.Series([known[text] for text in column], dtype=kind)
    if kind[0] in "IUF":
        number = float if kind.startswith("F") else int
        return pd.Series([pd.NA if text == "" else number(text) for text in column], dtype=kind)
    return column.replace("", "nan").astype(kind)


def _is_plain_text(text: str) -> bool:
    """Whether a CSV file in UTF-8 gives it back."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def _restore(folder: Path) -> None:
    """Completes what a killed process began to save there, and removes what it left half written; each is said."""
    said = recover(folder.parent, folder.name)
    for aside in _set_aside(folder):
        if not folder.exists():
            aside.rename(folder)
            said.append(f"{folder}: an interrupted save had left the old set in {aside}; moved back")
    for partial in _earlier(folder, "partial-*-"):
        process = partial.name.split("-")[-2]
        if process.isdecimal() and not alive(int(process)):
            shutil.rmtree(partial, ignore_errors=True)
            said.append(f"{partial} was left half written by a process that is gone; removed")
    for words in said:
        warnings.warn(words, stacklevel=3)


def _set_aside(folder: Path) -> list[Path]:
    """Where earlier versions of this package put the old set while a new one took its place."""
    return [aside / folder.name for aside in _earlier(folder, "old-") if (aside / folder.name).is_dir()]


def _earlier(folder: Path, kind: str) -> list[Path]:
    """Folders that earlier versions made beside the set."""
    return sorted(folder.parent.glob(f"{glob.escape(f'.{folder.name}.')}{kind}*"))


def _card_checksum(card: Mapping) -> str:
    """The checksum of a card but for itself; a note on gaps that is not there is one of none."""
    files = {name: digest for name, digest in card["sha256"].items() if name != "card.json"}
    return json_checksum({"gaps": {}, **card, "sha256": files})


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
