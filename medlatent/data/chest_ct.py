"""Chest CT: whole series, DICOM or arrays, packed into one image set of axial slices with their height in the lungs.

``pack`` takes series from any source, such as The Cancer Imaging Archive or one's own hospital, and writes an
:class:`~medlatent.data.ImageSet`, which ``ImageSet.load`` opens from then on.

Slices that were published as 8-bit pictures, such as the 1 097 of IQ-OTH/NCCD, are no such series: their window has cut
off the Hounsfield units, and nobody says which patient a slice is of, so that no split could keep patients apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from ..files import is_there
from . import dicom
from .errors import DataError
from .imageset import Card, Factor, ImageSet
from .labels import MISSING, text_table
from .lungs import lung_mask, relative_height
from .packing import File, Files, Findings, collecting, find_files, load_arrays, parallel
from .source import Source, StandIn
from .splits import split_by_group
from .views import coarser

LOW, HIGH = -1000, 2000  # HU
MIN_SLICES = 10
AXIAL = 0.9  # cosine of the largest angle (26 degrees) between the axes of an image and those of the patient
LUNG_SIZE = 128  # pixels: lungs are looked for in slices of this size, in smaller ones as they are
INDEX = "index.csv"
FEW = 30  # patients whose height is known: with fewer, they are not split by chance
TESTED = 3  # of these patients are for testing
NO_DICOM = "file that is no DICOM file"
NAMED = 5  # of each kind of thing that is left out, so many names are in the card
FACTORS = {
    "z": Factor("position of the slice along the volume: 0 the lowest slice (feet), 1 the highest (head)"),
    "height": Factor(
        "relative height in the lungs: 0 the lowest slice with lung, 1 the highest, below 0 and above 1 outside of "
        "them; missing where the series does not show both ends of the lungs"
    ),
}


def pack(
    source: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    size: int = 128,
    workers: int | None = None,
    progress: bool = True,
    licence: str = "that of the series",
    citation: str = "that of the series",
    collection: str = "",
    lenient: bool = False,
) -> ImageSet:
    """Packs the axial CT series of a source into an image set at ``out``, whole or not at all.

    A series is a number of DICOM files, or one ``.npz`` file with the arrays ``hu`` ``(S, H, W)``, int16, in Hounsfield
    units; ``z_mm`` ``(S,)``, the position of each slice, rising from feet to head; and ``pixel_spacing`` ``(2,)``, the
    distances of rows and columns in mm. Beside it lies an ``index.csv``, whose columns ``file`` and ``patient_id`` name
    the patient of each ``.npz``, and ``collection``, ``licence_of_collection``, ``source_doi``, ``manufacturer``,
    ``model`` and ``kernel`` where they are known. One source may hold both kinds.

    Each slice is clipped to [-1000, 2000] HU, resized to ``size`` × ``size`` in float32 with Pillow's LANCZOS filter
    (which antialiases), rounded, and clipped again, since the filter overshoots at edges. The whole slice is kept; the
    aspect ratio of one that is not square is not. DICOM slices are turned so that the patient's front is at the top and
    the patient's right at the left, whatever the position on the table; arrays have to be stored like that.

    The table has the columns ``patient_id``, ``series_uid`` (of an array, the name of its file), ``slice`` (0 the
    lowest), ``position`` (of the slice, in mm upwards in the scanner's coordinates), ``slice_distance``,
    ``row_spacing``, ``column_spacing`` (mm, before resizing), ``extent_down``, ``extent_across`` (of the whole image in
    mm, which resizing does not change), ``manufacturer``, ``model``, ``kernel``, ``collection`` (each empty where
    unknown), ``licence``, ``lung_area`` (cm², by :func:`~medlatent.data.lungs.lung_mask`), the factors ``z`` and
    ``height``, and ``split``. It is sorted by patient, series and slice. Identifiers are those of the files: pack
    series that were de-identified.

    The height of a slice in the lungs is that of :func:`~medlatent.data.lungs.relative_height`, linear in ``position``.
    Where the first or the last slice of a series still shows lung, where the lungs end is unknown, and the height of
    all its slices is missing: ``images.subset(images.table["height"].notna())`` leaves such series out. Lungs are
    looked for in the packed slices, or in slices of 128 pixels where those are larger. On ten patients, heights found
    in slices of 64 pixels differ by 0.03 at most; below 48 pixels the wall of the chest is lost, and with it the lungs.

    All series of a patient are kept, such as two reconstructions of one scan, of which ``kernel`` tells them apart.
    All series of a patient lie in one split. Patients are split 80 %, 10 % and 10 % by
    :func:`~medlatent.data.split_by_group`. With fewer than thirty patients whose height is known, chance would leave
    too few for testing, or only one kind of them: then three of these patients (of fewer than nine, a third), spread
    evenly over the extents of their images, are for testing, the one in the middle of the others is for validation, and
    everybody else for training. Such a small set is split anew when it is packed with other patients.

    Files that are no CT series, other modalities, localisers, captured screens and colour images, images of series that
    do not say where they lie or are in another unit than HU, series that are not axial and series with fewer than ten
    slices are left out; how many of each is in the card's attribute ``left_out``, and the first few names of each in
    ``left_out_names``. Of a tilted gantry, whose slices lean, the angle is in the attribute ``tilted``.

    One slice a process is in memory at a time; the packed slices are collected on disk, beside ``out``. What a killed
    run has left there is removed by the next one.

    Args:
        source: a folder (searched with all folders and zip archives in it), a zip archive, a file, or a list of such.
        out: the folder to write; it must not exist.
        size: height and width of the packed images in pixels.
        workers: processes that decode; by default one a core, and none beside this one for a few hundred files.
        progress: show a progress bar.
        licence, citation: of the DICOM series, for the table and the card; those of arrays are in their index.
        collection: the name of the set that the DICOM series are of, for the table and the card. The card is called by
            it, or ``chest_ct`` where the series are of several sets or of none.
        lenient: leave out files that cannot be read, and series that are no volume (slices missing or there twice,
            two distances between slices), and count them as what else is left out. In a set of a thousand patients a
            few such are to be expected; in one's own they are a mistake to be told of.

    Raises:
        DataError: the source or an argument cannot be used. Everything found wrong is in one message: the kinds, how
            many of each, and the first few names. Nothing is written.
        OSError: the disk is full, or ``out`` cannot be written; the message names it. Nothing is written.
    """
    out = Path(out)
    if is_there(out):
        raise DataError(f"{out} exists: choose another folder, or delete it first")
    if not 8 <= size <= 1024:
        raise DataError(f"size must be 8 to 1024 pixels, not {size}")
    if workers is not None and workers < 1:
        raise DataError(f"workers must be at least 1, not {workers}")
    problems, left_out = Findings(), Findings()
    paths = [source] if isinstance(source, str | os.PathLike) else list(source)
    named = ", ".join(map(str, paths))
    files, indexes = _without_indexes(list(find_files(paths)))
    if not files:
        raise DataError(f"{named}: no file")
    about = _read_indexes(indexes, problems)
    if workers is None:
        workers = 1 if len(files) < 500 else min(os.cpu_count() or 1, 16)
    with collecting(out) as folder:
        headers: dict[str, dict[dicom.Header, int]] = {}
        found: list[_Series] = []
        n = 0
        with _Reader(size) as reader, open(folder / "packed", "wb") as packed:
            results = tqdm(parallel(reader, files, workers), "packing", len(files), disable=not progress)
            refused: list[tuple[File, _Refused]] = []
            patterns = set()
            for file, result in zip(files, results, strict=True):
                if isinstance(result, _Refused):
                    refused.append((file, result))
                    continue
                patterns.add(file.pattern)
                read, images = result
                if isinstance(read, _Array):
                    if (series := _of_array(file, read, n, about, problems)) is None:
                        continue
                    found.append(series)
                else:
                    headers.setdefault(read.series_uid, {})[read] = n
                packed.write(images.tobytes())
                n += len(images)
        for file, result in refused:
            broken, kind = result.broken, result.kind
            if kind == NO_DICOM:
                broken = file.pattern in patterns
                kind = "file that cannot be read" if broken else dicom.FOREIGN
            elif result.series is not None:
                broken = not result.series or result.series in headers
            wrong = problems if broken and not lenient else left_out
            wrong.add(kind, result.reason if wrong is problems else result.name)
        found += _of_headers(headers, licence, collection, problems, left_out, lenient)
        if problems:
            raise DataError(f"the series cannot be packed: {problems}")
        if not found:
            raise DataError(f"{named}: no axial CT series" + (f"; left out: {left_out}" if left_out else ""))
        found.sort(key=lambda series: (series.patient_id, series.uid))
        packed = np.memmap(folder / "packed", np.int16, "r", shape=(n, 1, size, size))
        order = np.concatenate([series.rows for series in found])
        with open(folder / "sorted", "wb") as file:  # not through a map, which a full disk ends without an error
            for i in order:
                file.write(packed[i].tobytes())
        images = np.memmap(folder / "sorted", np.int16, "r", shape=(len(order), 1, size, size))
        tables, row = [], 0
        for series in tqdm(found, "lungs", disable=not progress):
            tables.append(series.table(images[row : row + len(series.rows), 0]))
            row += len(series.rows)
        table = pd.concat(tables, ignore_index=True)
        table["split"] = _splits(table)
        citations = list(dict.fromkeys(citation if series.doi is None else series.doi for series in found))
        card = _card(size, table, left_out, "; ".join(filter(None, citations)))
        if tilted := {series.uid: round(series.tilt, 2) for series in found if series.tilt}:
            card.attributes["tilted"] = tilted
        ImageSet(images, table, FACTORS, card, "patient_id", (LOW, HIGH)).save(out)
        del images, packed  # where a mapped file cannot be deleted, the folder could not be either
    return ImageSet.load(out, verify=False)  # its checksums were computed a moment ago


def summary(images: ImageSet) -> str:
    """What was packed and what was left out, in a few lines."""
    table, attributes = images.table, images.card.attributes
    known = table[table["height"].notna()]
    lines = [
        f"series: {attributes['series']}, of patients: {table['patient_id'].nunique()}; those in which both ends of "
        f"the lungs are seen: {known['series_uid'].nunique()}, of patients: {known['patient_id'].nunique()}"
    ]
    for kind, count in attributes["left_out"].items():
        names = attributes["left_out_names"][kind]
        more = f" and {count - len(names)} more" if count > len(names) else ""
        lines.append(f"left out: {count} × {kind} ({', '.join(names)}{more})")
    for uid, degrees in attributes.get("tilted", {}).items():
        lines.append(f"tilted gantry, {degrees:g} degrees: {uid}")
    return "\n".join(lines)


def shrink(hu: np.ndarray, size: int) -> np.ndarray:
    """A slice clipped to [-1000, 2000] HU and resized with antialiasing.

    Args:
        hu: ``(H, W)``.
        size: height and width of the result.

    Returns:
        ``(size, size)``, int16.
    """
    clipped = np.clip(hu, LOW, HIGH).astype(np.float32, order="C")
    small = np.asarray(Image.fromarray(clipped).resize((size, size), Image.Resampling.LANCZOS))
    return np.clip(np.rint(small), LOW, HIGH).astype(np.int16)


# ------------------------------------------------------------------------------------------------------ reading a file


class _Refused(NamedTuple):
    """What is left out, or (``broken``) is wrong: of which kind, its name, and in a message the reason."""

    broken: bool
    kind: str
    name: str
    reason: str
    series: str | None = None  # of an image that does not say where it lies: broken where others of its series do


class _Array(NamedTuple):
    """A series that was read from a ``.npz``."""

    shape: tuple[int, int]
    spacing: tuple[float, float]
    position: np.ndarray


class _Reader(dicom.Files):
    """Reads a file to what it says of itself and its small slices ``(S, 1, size, size)``; each process has its own."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def __call__(self, file: File) -> tuple[dicom.Header | _Array, np.ndarray] | _Refused:
        name = _name(file)
        try:
            read = self._array(file) if name.lower().endswith(".npz") else self._slice(file)
        except dicom.NotDICOM:
            return _Refused(False, NO_DICOM, name, f"{file} is no DICOM file, and is called as slices beside it are")
        except dicom.NotCT:
            return _Refused(False, dicom.FOREIGN, name, str(file))
        except dicom.OtherUnit:
            return _Refused(False, "slice in another unit than HU", name, str(file))
        except _LeftOut as error:
            return _Refused(False, str(error), name, str(file))
        except _Wrong as error:
            return _Refused(True, str(error), name, str(file))
        except DataError as error:
            return _Refused(True, "file that cannot be read", name, str(error))
        except OSError as error:
            return _Refused(True, "file that cannot be read", name, f"{file}: {error}")
        return read

    def _slice(self, file: File) -> tuple[dicom.Header, np.ndarray] | _Refused:
        header, dataset = self.read_header(file)
        if kind := dicom.no_slice(header, dataset):
            raise _LeftOut(kind)
        dicom.check_one_image(dataset, header.name)
        if header.orientation is None:
            kind = "slice without ImageOrientationPatient"
            return _Refused(False, kind, _name(file), str(file), header.series_uid)
        across, down = header.orientation[0], header.orientation[4]
        if min(abs(across), abs(down)) < AXIAL:
            raise _LeftOut("slice that is not axial")
        for keyword, value in (("PatientID", header.patient_id), ("SeriesInstanceUID", header.series_uid)):
            if not value:
                raise _Wrong(f"slice without {keyword}, which splits and sorting need")
        hu = dicom.hounsfield(dataset, name=header.name)
        turned = hu[:: 1 if down > 0 else -1, :: 1 if across > 0 else -1]
        return header, shrink(turned, self.size)[None, None]

    def _array(self, file: File) -> tuple[_Array, np.ndarray]:
        arrays = load_arrays(self.read(file), ("hu", "z_mm", "pixel_spacing"), str(file))
        if not {"hu", "z_mm"} <= set(arrays):
            raise _LeftOut("array file without hu and z_mm")
        if "pixel_spacing" not in arrays:
            raise DataError(f"{file}: there is no array pixel_spacing")
        hu, position, spacing = (arrays[name] for name in ("hu", "z_mm", "pixel_spacing"))
        if hu.dtype != np.int16 or hu.ndim != 3 or 0 in hu.shape:
            raise DataError(f"{file}: hu is {hu.dtype} {hu.shape}, expected Hounsfield units in int16, (S, H, W)")
        for name, array, shape in (("z_mm", position, hu.shape[:1]), ("pixel_spacing", spacing, (2,))):
            if array.shape != shape or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
                raise DataError(f"{file}: {name} is {array.dtype} {array.shape}, expected {shape} finite numbers")
        if min(spacing) <= 0:
            raise DataError(f"{file}: pixel_spacing is {spacing.tolist()}, expected two positive distances in mm")
        if len(hu) < MIN_SLICES:
            raise _LeftOut(f"series with fewer than {MIN_SLICES} slices")
        position = position.astype(np.float64)
        gaps = np.diff(position)
        usual = float(np.median(gaps))
        if gaps.min() <= 0:
            raise DataError(f"{file}: z_mm must rise from feet to head, and does not after slice {int(gaps.argmin())}")
        odd = abs(gaps - usual) > max(dicom.SAME_DISTANCE * usual, dicom.SAME_PLACE)
        if odd.any():
            i = int(odd.argmax())
            raise DataError(f"{file}: slices {i} and {i + 1} are {gaps[i]:g} mm apart, the others {usual:g} mm")
        small = np.stack([shrink(slice_, self.size) for slice_ in hu])
        return _Array(hu.shape[1:], (float(spacing[0]), float(spacing[1])), position), small[:, None]


class _LeftOut(Exception):
    """A file that is no slice to pack; the message is its kind."""


class _Wrong(Exception):
    """A slice that lacks what packing needs; the message is its kind."""


def _place(file: File) -> tuple[str, str]:
    """The folder of a file, or the archive and the folder in it."""
    if file.member is None:
        return "", str(Path(file.path).parent)
    return file.path, str(PurePosixPath(file.member).parent)


def _name(file: File | str) -> str:
    """The name without the folders that it lies in, which are nobody else's business."""
    return PurePosixPath(file if isinstance(file, str) else file.member or Path(file.path).as_posix()).name


# ------------------------------------------------------------------------------------------- what is known of a series


@dataclass
class _Series:
    """A series in the order of its slices; ``rows`` are its places among what was read."""

    patient_id: str
    uid: str
    rows: np.ndarray
    position: np.ndarray
    distance: float
    spacing: tuple[float, float]
    shape: tuple[int, int]
    manufacturer: str
    model: str
    kernel: str
    collection: str
    licence: str
    doi: str | None  # None: of DICOM series, whose citation is told by the caller
    tilt: float = 0.0  # degrees

    def table(self, images: np.ndarray) -> pd.DataFrame:
        """The rows of its slices; ``images`` ``(S, size, size)`` are these."""
        extent = [n * distance for n, distance in zip(self.shape, self.spacing, strict=True)]
        size = min(images.shape[-1], LUNG_SIZE)
        if images.shape[-1] > size:
            images = np.stack([shrink(slice_, size) for slice_ in images])
        pixel = extent[0] / size, extent[1] / size
        area = lung_mask(np.asarray(images), (self.distance, *pixel)).sum(axis=(1, 2)) * (pixel[0] * pixel[1] / 100)
        n = len(self.rows)
        return pd.DataFrame(
            {
                "patient_id": [self.patient_id] * n,
                "series_uid": self.uid,
                "slice": range(n),
                "position": self.position,
                "slice_distance": self.distance,
                "row_spacing": self.spacing[0],
                "column_spacing": self.spacing[1],
                "extent_down": extent[0],
                "extent_across": extent[1],
                "manufacturer": self.manufacturer,
                "model": self.model,
                "kernel": self.kernel,
                "collection": self.collection,
                "licence": self.licence,
                "lung_area": area,
                "z": np.arange(n) / (n - 1),
                "height": relative_height(area, self.position),
            }
        )


def _of_headers(
    series: dict[str, dict[dicom.Header, int]],
    licence: str,
    collection: str,
    problems: Findings,
    left_out: Findings,
    lenient: bool,
) -> list[_Series]:
    """The series that DICOM headers make up."""
    found = []
    for uid, rows in sorted(series.items()):
        if len(rows) < MIN_SLICES:
            left_out.add(f"series with fewer than {MIN_SLICES} slices", uid)
            continue
        try:
            headers = dicom.sort_slices(list(rows))
        except DataError as error:
            (left_out if lenient else problems).add("series that is no volume", uid if lenient else str(error))
            continue
        if headers[0].normal[2] < 0:
            headers.reverse()
        first = headers[0]
        found.append(
            _Series(
                patient_id=first.patient_id,
                uid=uid,
                rows=np.array([rows[header] for header in headers]),
                position=np.array([header.position[2] for header in headers]),
                distance=abs(dicom.slice_distance(headers)),
                spacing=first.spacing,
                shape=first.shape,
                manufacturer=first.manufacturer,
                model=first.model,
                kernel=first.kernel,
                collection=collection,
                licence=licence,
                doi=None,
                tilt=dicom.tilt(headers),
            )
        )
    return found


def _of_array(file: File, read: _Array, start: int, about: dict, problems: Findings) -> _Series | None:
    """The series of an array, with what its index says; what is missing there is added to the problems."""
    index, name = about.get(_place(file)), _name(file)
    if index is None:
        problems.add(f"array file without an {INDEX} beside it, which names its patient", str(file))
        return None
    if index.get(name, {}).get("patient_id", "") in MISSING:
        problems.add(f"array file whose patient {INDEX} does not name", str(file))
        return None
    said = index[name]
    doi = said.get("source_doi", "")
    return _Series(
        patient_id=said["patient_id"],
        uid=PurePosixPath(name).stem,
        rows=start + np.arange(len(read.position)),
        position=read.position,
        distance=float(read.position[-1] - read.position[0]) / (len(read.position) - 1),
        spacing=read.spacing,
        shape=read.shape,
        **{field: said.get(field, "") for field in ("manufacturer", "model", "kernel", "collection")},
        licence=said.get("licence_of_collection", ""),
        doi=f"doi:{doi}" if doi else "",
    )


def _without_indexes(files: list[File]) -> tuple[list[File], list[File]]:
    """The files to pack, and the indexes of those that are arrays."""
    places = {_place(file) for file in files if _name(file).lower().endswith(".npz")}
    indexes = [file for file in files if _name(file).lower() == INDEX and _place(file) in places]
    return [file for file in files if file not in set(indexes)], indexes


def _read_indexes(indexes: list[File], problems: Findings) -> dict[tuple[str, str], dict[str, dict[str, str]]]:
    """What each index says of each of its files, by place and name."""
    about = {}
    with Files() as reader:
        for file in indexes:
            try:
                table = text_table(reader.read(file), str(file))
            except (DataError, OSError) as error:
                problems.add("index that cannot be read", str(error))
                continue
            if missing := {"file", "patient_id"} - set(table):
                problems.add("index without a column that it needs", f"{file}: {', '.join(sorted(missing))}")
                continue
            if len(twice := table["file"][table["file"].duplicated()]):
                problems.add("index that names a file twice", f"{file}: {twice.iloc[0]}")
                continue
            about[_place(file)] = {row["file"]: row for row in table.to_dict("records")}
    return about


# ----------------------------------------------------------------------------------------------------- splits and card


def _splits(table: pd.DataFrame) -> np.ndarray:
    """The split of each row; see :func:`pack`."""
    known = table[table["height"].notna()].groupby("patient_id")["extent_across"].median()
    known = known.sort_values(kind="stable").index  # groupby has sorted by patient: equal extents stay in that order
    if not 3 <= len(known) < FEW:
        return split_by_group(table["patient_id"])
    n = min(len(known) // 3, TESTED)
    tested = known[[(2 * k + 1) * len(known) // (2 * n) for k in range(n)]]
    rest = known.difference(tested, sort=False)
    splits = dict.fromkeys(tested, "test") | {rest[len(rest) // 2]: "validation"}
    return table["patient_id"].map(splits).fillna("train").to_numpy()


def _card(size: int, table: pd.DataFrame, left_out: Findings, citation: str) -> Card:
    collections, licences = (sorted(table[column].unique()) for column in ("collection", "licence"))
    return Card(
        name=collections[0] if len(collections) == 1 and collections[0] else "chest_ct",
        source="; ".join(name or "CT series of the packer's own choice" for name in collections),
        licence="; ".join(filter(None, licences)),
        citation=citation,
        preprocessing=f"axial slices in Hounsfield units clipped to [{LOW}, {HIGH}], resized to {size}×{size} in "
        "float32 with Pillow's LANCZOS filter, rounded and clipped again; the patient's front at the top, the "
        "patient's right at the left; height from the lowest to the highest slice with lung; split by patient",
        attributes={
            "size": size,
            "series": int(table["series_uid"].nunique()),
            "left_out": left_out.counts,
            "left_out_names": {kind: names[:NAMED] for kind, names in left_out.found.items()},
        },
    )


CHEST_CT = Source(
    name="chest_ct",
    kind="packed",
    summary="axial slices of CT series on your disk, in Hounsfield units, with their height in the lungs",
    limits=(
        "Slices of the patients and scanners of the series that were packed, and of no others. Neighbouring slices of "
        "one patient are much alike, so that a thousand slices of a dozen patients say little about other patients."
    ),
    options="--from YOUR_SERIES",
    stand_in=StandIn("phantoms.thorax", 1000, 1),
)
SOURCES = (CHEST_CT, *coarser(CHEST_CT))
