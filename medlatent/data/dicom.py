"""CT images from DICOM files, in Hounsfield units (HU): one slice, or a series as a volume.

``read_slice`` reads one file, ``read_series`` a folder or zip archive, ``window`` maps HU to what a screen shows.
``hounsfield`` takes a data set that pydicom has read, where its other tags are wanted too.

Compressed files are read by whatever decoders are installed: pydicom itself reads uncompressed, deflated and RLE data,
Pillow 8-bit JPEG and JPEG 2000; the others need ``pylibjpeg`` with its plugins or ``python-gdcm``, and the error that
a file raises without them says which.
"""

from __future__ import annotations

import math
import os
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from . import packing
from .dicom_values import colours_of, decoded, numbers, padding_of, reason_of, significant, text, value_of
from .errors import DataError
from .optional import extra
from .packing import File, Findings, find_files
from .untrusted import check_declared

with extra("data", "reading DICOM files"):
    import pydicom
    from pydicom.filereader import read_dataset
    from pydicom.uid import (
        UID,
        CTImageStorage,
        DeflatedExplicitVRLittleEndian,
        EnhancedCTImageStorage,
        LegacyConvertedEnhancedCTImageStorage,
    )

PADDING_HU = -1024  # what scanners themselves write outside their field of view
WINDOWS = {"lung": (-600.0, 1500.0), "mediastinum": (40.0, 400.0), "bone": (400.0, 1800.0)}
INT16 = np.iinfo(np.int16)
SAME_PLACE = 1e-3  # mm: positions are written with three decimals or more
SAME_DISTANCE = 0.02  # relative: two distances between slices that differ by less are one
SAME_SPACING = 1e-3  # relative
SAME_DIRECTION = 1e-3  # of a direction cosine
SAME_COLUMN = 0.5  # pixels: slices that lie less beside each other are shown as if they lay above each other
ENDINGS = (".dcm", ".dicom", ".ima")
CT_IMAGES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
SECONDARY = "1.2.840.10008.5.1.4.1.1.7"  # of captured screens, such as dose reports; of several frames, with a suffix
FOREIGN = "file that is no CT image"
FIRST = (b"\x08\0\0\0", b"\x08\0\x01\0", b"\x08\0\x05\0", b"\x08\0\x08\0", b"\x08\0\x16\0", b"\x02\0\0\0")
"""How a data set begins where the 128 bytes and the letters DICM in front of it are missing."""


class NotCT(DataError):
    """A file that is no CT image: another kind of file, or of another modality."""


class NotDICOM(NotCT):
    """A file that is no DICOM file."""


class OtherUnit(DataError):
    """A CT image whose values are declared to be in another unit than HU."""


@dataclass(frozen=True)
class Header:
    """What a file says about its slice; lengths in mm, directions and positions in the patient's coordinates.

    The axes of the patient run towards the patient's left, back and head. What a file does not state is ``None``, or
    an empty text.

    Attributes:
        name: the file, for messages.
        patient_id, study_uid, series_uid, instance_uid: the identifiers.
        image_type: such as ``("ORIGINAL", "PRIMARY", "AXIAL")``.
        shape: rows and columns.
        spacing: the distance between rows, and between columns.
        position: the centre of the first pixel (x, y, z).
        orientation: the direction along a row (x, y, z), then that down a column.
        inverted: whether low values are to be shown bright (MONOCHROME1).
        manufacturer: of the scanner.
        model: of the scanner (ManufacturerModelName).
        kernel: of the reconstruction (ConvolutionKernel), several values with a stroke between them.
        kind: what the object is (SOPClassUID).
    """

    name: str
    patient_id: str
    study_uid: str
    series_uid: str
    instance_uid: str
    image_type: tuple[str, ...]
    shape: tuple[int, int]
    spacing: tuple[float, float] | None
    position: tuple[float, float, float] | None
    orientation: tuple[float, ...] | None
    inverted: bool
    manufacturer: str = ""
    model: str = ""
    kernel: str = ""
    kind: str = ""

    @property
    def normal(self) -> np.ndarray:
        """The unit vector along which slices are stacked, the cross product of the two directions."""
        return np.cross(self.orientation[:3], self.orientation[3:])


@dataclass(frozen=True, eq=False)
class Slice:
    """One image: ``hu`` ``(rows, columns)``, int16, in Hounsfield units, and its header."""

    hu: np.ndarray
    header: Header


@dataclass(frozen=True, eq=False)
class Volume:
    """A series: slices in the order of their position along the normal.

    Attributes:
        hu: ``(slices, rows, columns)``, int16, in Hounsfield units.
        spacing: the distance between slices, rows and columns, in mm.
        headers: of each slice.
        skipped: what else was in the folder: the names of the files, for each kind.
        tilt: how far the line through the slices' corners leans from their normal, in degrees: 0 but for a tilted
            gantry, whose volume is sheared by that much.
    """

    hu: np.ndarray
    spacing: tuple[float, float, float]
    headers: tuple[Header, ...]
    skipped: dict[str, tuple[str, ...]]
    tilt: float = 0.0


# ---------------------------------------------------------------------------------------------------------- one image


def read_slice(file: str | os.PathLike | BinaryIO, rescale: tuple[float, float] | None = None) -> Slice:
    """Reads one CT image in Hounsfield units.

    Args:
        file: a path, or a file opened for reading bytes.
        rescale: slope and intercept to use instead of the file's own; with it, images of other modalities are read
            too, in whatever unit the two produce: ``(1, 0)`` gives the stored values.

    Raises:
        NotCT: the file is no DICOM file, or of another modality than CT.
        DataError: the file is damaged, or what :func:`hounsfield` refuses.
    """
    header, dataset = read_header(file, any_modality=rescale is not None)
    return Slice(hounsfield(dataset, rescale, header.name), header)


def read_header(
    file: str | os.PathLike | BinaryIO, name: str | None = None, any_modality: bool = False
) -> tuple[Header, pydicom.Dataset]:
    """Reads a DICOM file without decoding its pixels: the header, and the data set for :func:`hounsfield`.

    Args:
        file: a path, or a file opened for reading bytes.
        name: what messages call the file; by default its path.
        any_modality: accept other modalities than CT.

    Raises:
        NotCT: the file is no DICOM file, or of another modality than CT.
        DataError: the file is missing or damaged, unpacks to far more than it is, or a tag holds what it cannot hold.
    """
    if isinstance(file, str | os.PathLike):
        with _open(Path(file)) as opened:
            return read_header(opened, name or str(file), any_modality)
    name = name or getattr(file, "name", None) or "the DICOM file"
    first = file.read(132)
    if first[128:] != b"DICM":
        known = PurePosixPath(name).suffix.lower() in ENDINGS or first.startswith(FIRST)
        raise (DataError if known else NotDICOM)(
            f"{name} is no DICOM file: the letters DICM are missing at byte 128"
            + ("; get the file again, or convert it" if known else "")
        )
    try:
        _check_inflated(file, name)
        file.seek(0)
        dataset = pydicom.dcmread(file)
        modality, kind, other = str(dataset.get("Modality") or ""), _kind(dataset), _is_another_kind(dataset)
        whole = len(modality) > 1 or other or (any_modality and "PixelData" in dataset)
    except DataError:
        raise
    except Exception as error:  # pydicom documents no closed set of them for damaged files
        raise DataError(f"{name} is damaged ({reason_of(error)}): get the file again") from None
    if not whole:
        raise DataError(f"{name} is damaged, or cut short (it ends before Modality): get the file again")
    if modality != "CT" and not any_modality:
        raise NotCT(f"{name} is of the modality {modality or 'no modality'!r}, not CT, so it has no Hounsfield units")
    return _header(dataset, name, kind), dataset


def _check_inflated(file: BinaryIO, name: str) -> None:
    """Refuses a deflated data set that unpacks to far more than it is, before pydicom unpacks it whole."""
    for implicit in (False, True):  # as pydicom reads it: some write it as if it were part of what follows
        file.seek(132)
        meta = read_dataset(file, implicit, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        try:
            syntax = meta.get("TransferSyntaxUID")
            break
        except NotImplementedError:
            continue
    else:
        return
    if syntax != DeflatedExplicitVRLittleEndian:
        return
    packed = file.read()
    inflating, rest, declared = zlib.decompressobj(-zlib.MAX_WBITS), packed, 0
    while rest and not inflating.eof:  # behind the end there may be a byte that makes the length even
        declared += len(inflating.decompress(rest, 2**20))
        check_declared(declared, len(packed), name)
        rest = inflating.unconsumed_tail


def _is_another_kind(dataset: pydicom.Dataset) -> bool:
    """Whether a data set says that it is no CT image: its kind is known, or a manufacturer's own."""
    meta = getattr(dataset, "file_meta", {})
    kind = UID(str(meta.get("MediaStorageSOPClassUID") or dataset.get("SOPClassUID") or ""))
    if not len(dataset):
        return False  # cut within the file meta information, perhaps within this very tag
    return kind not in (*CT_IMAGES, "") and (kind.name != kind or not kind.startswith("1.2.840.10008."))


def holds_no_image(dataset: pydicom.Dataset) -> bool:
    """Whether an object is of a kind without pixels, such as a report; not one whose pixels are cut off."""
    pixels = any(keyword in dataset for keyword in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))
    return not pixels and _is_another_kind(dataset) and "Image Storage" not in UID(_kind(dataset)).name


def _kind(dataset: pydicom.Dataset) -> str:
    return str(dataset.get("SOPClassUID") or getattr(dataset, "file_meta", {}).get("MediaStorageSOPClassUID") or "")


def _open(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder: read it with read_series") from None


def _header(dataset: pydicom.Dataset, name: str, kind: str) -> Header:
    image_type = value_of(dataset, "ImageType", name) or ()
    image_type = (image_type,) if isinstance(image_type, str) else tuple(map(str, image_type))
    try:
        spacing, orientation, position = _geometry(dataset, name)
    except DataError:
        if "LOCALIZER" not in image_type and not kind.startswith(SECONDARY):
            raise
        spacing = orientation = position = None  # no slices, which have zeros here
    shape = numbers(dataset, "Rows", 1, name), numbers(dataset, "Columns", 1, name)
    return Header(
        name=name,
        **{
            field: text(dataset, keyword, name)
            for field, keyword in (
                ("patient_id", "PatientID"),
                ("study_uid", "StudyInstanceUID"),
                ("series_uid", "SeriesInstanceUID"),
                ("instance_uid", "SOPInstanceUID"),
                ("manufacturer", "Manufacturer"),
                ("model", "ManufacturerModelName"),
                ("kernel", "ConvolutionKernel"),
            )
        },
        image_type=image_type,
        shape=tuple(int(n[0]) if n else 0 for n in shape),
        spacing=spacing,
        position=position,
        orientation=orientation,
        inverted=value_of(dataset, "PhotometricInterpretation", name) == "MONOCHROME1",
        kind=kind,
    )


def _geometry(dataset: pydicom.Dataset, name: str) -> tuple[tuple[float, ...] | None, ...]:
    """PixelSpacing, ImageOrientationPatient and ImagePositionPatient."""
    spacing = _unless_zeros(numbers(dataset, "PixelSpacing", 2, name))
    if spacing is not None and min(spacing) <= 0:
        raise DataError(f"{name}: PixelSpacing is {list(spacing)}, where two positive lengths are expected")
    orientation = _unless_zeros(numbers(dataset, "ImageOrientationPatient", 6, name))
    if orientation is not None:
        row, column = orientation[:3], orientation[3:]
        lengths = math.hypot(*row), math.hypot(*column)
        if abs(sum(a * b for a, b in zip(row, column, strict=True))) > 1e-2 or max(abs(n - 1) for n in lengths) > 1e-2:
            raise DataError(
                f"{name}: ImageOrientationPatient is {list(orientation)}, not two unit vectors at right angles"
            )
    return spacing, orientation, numbers(dataset, "ImagePositionPatient", 3, name)


def _unless_zeros(found: tuple[float, ...] | None) -> tuple[float, ...] | None:
    """What a tag holds, but for the zeros that scouts and captured screens have, which do not say where they lie."""
    return found if found is not None and any(found) else None


def no_slice(header: Header, dataset: pydicom.Dataset) -> str:
    """What an object of a CT examination is that is no slice of a volume, such as ``"localiser"``; empty for a slice.

    Empty, too, for a slice that is damaged, or that cannot be read for another reason.
    """
    if "LOCALIZER" in header.image_type:
        return "localiser"
    if holds_no_image(dataset) or (header.kind.startswith(SECONDARY) and missing_place(header)):
        return "object that is no slice"
    if colours_of(dataset, header.name):
        return "colour image"
    return ""


def missing_place(header: Header) -> str:
    """The keyword without which nobody knows where a slice lies, where it is missing; else empty."""
    if header.orientation is None:
        return "ImageOrientationPatient"
    return "ImagePositionPatient" if header.position is None else ""


# ---------------------------------------------------------------------------------------------------- Hounsfield units


def hounsfield(
    dataset: pydicom.Dataset, rescale: tuple[float, float] | None = None, name: str = "the DICOM file"
) -> np.ndarray:
    r"""The image of a data set in Hounsfield units: slope · stored value + intercept, rounded.

    Implements :eq:`eq-images-1`.

    - Bits above ``BitsStored`` are not part of a value (old files keep overlays there) and are cleared, or filled with
      the sign.
    - Pixels of ``PixelPaddingValue``, or from it to ``PixelPaddingRangeLimit``, lie outside what was measured. They
      become -1024 HU (``PADDING_HU``), whatever the rescale would make of them. Lossy compression changes the padding
      value itself: what no longer equals it is rescaled.
    - MONOCHROME1 says how an image is *shown*, after the rescale: it leaves Hounsfield units as they are, and
      :func:`window` inverts on demand.
    - A slope and intercept of 1 and 0 are not assumed where the tags are absent: stored values of a CT image are
      usually shifted by 1024, and air at 0 would go unnoticed.

    Args:
        dataset: what pydicom has read.
        rescale: slope and intercept to use instead of the data set's own.
        name: what messages call the file.

    Returns:
        ``(rows, columns)``, int16.

    Raises:
        DataError: no pixel data, no rescale tags or other units, no decoder (the message names the package to
            install), truncated or damaged pixel data, colour, several frames, or values beyond int16.
    """
    check_one_image(dataset, name, rescale is not None)
    if rescale is None:
        rescale = _rescale(dataset, name)
    slope, intercept = rescale
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope != 0):
        raise DataError(f"{name}: a rescale slope of {slope} and intercept of {intercept} cannot be used")
    stored = _decode(dataset, name)
    padding = padding_of(dataset, stored, name)
    stored = significant(dataset, stored, name)
    measured = stored if padding is None else stored[~padding]
    if measured.size == 0:
        return np.full(stored.shape, PADDING_HU, np.int16)
    low, high = sorted(slope * int(value) + intercept for value in (measured.min(), measured.max()))
    if low < INT16.min or high > INT16.max:
        raise DataError(f"{name}: values from {low:.0f} to {high:.0f} HU; the rescale tags cannot be right")
    if slope == 1 and intercept == int(intercept) and abs(intercept) <= INT16.max and stored.itemsize == 2:
        hu = stored.view(np.int16)
        hu += np.int16(intercept)  # modulo 2^16, which the sums are known to lie within
    else:
        hu = np.clip(np.rint(stored * np.float64(slope) + intercept), INT16.min, INT16.max).astype(np.int16)
    if padding is not None:
        hu[padding] = PADDING_HU
    return hu


def _rescale(dataset: pydicom.Dataset, name: str) -> tuple[float, float]:
    slope, intercept = (numbers(dataset, f"Rescale{k}", 1, name) for k in ("Slope", "Intercept"))
    if slope is None or intercept is None:
        missing = "RescaleSlope" if slope is None else "RescaleIntercept"
        raise DataError(
            f"{name}: {missing} is missing, so its Hounsfield units are unknown; where you know them, pass "
            "rescale=(slope, intercept) to read_slice or read_series"
        )
    unit = value_of(dataset, "RescaleType", name)
    if unit not in (None, "", "HU"):
        raise OtherUnit(
            f"{name}: RescaleType is {unit!r}, not HU; to read it all the same, pass rescale=(slope, intercept) to "
            "read_slice or read_series"
        )
    return slope[0], intercept[0]


def check_one_image(dataset: pydicom.Dataset, name: str, scaled: bool = False) -> None:
    """Compares a data set with what :func:`hounsfield` reads: one image, in grey.

    Args:
        dataset: what pydicom has read.
        name: what messages call the file.
        scaled: whether slope and intercept come from elsewhere.

    Raises:
        DataError: it has no pixel data, several frames, or colours.
    """
    if "PixelData" not in dataset:
        raise DataError(f"{name} has no pixel data")
    frames = (numbers(dataset, "NumberOfFrames", 1, name) or (1.0,))[0]
    enhanced = "SharedFunctionalGroupsSequence" in dataset and "RescaleSlope" not in dataset and not scaled
    if frames != 1 or enhanced:
        raise DataError(
            f"{name} holds {frames:.0f} frame{'s' * (frames != 1)}{' of enhanced CT' * enhanced}: convert it to files "
            "of one frame each, or read it with ImageSet.from_folder"
        )
    if colours := colours_of(dataset, name):
        raise DataError(f"{name} is a colour image ({colours}), not one of a CT scanner")


def _decode(dataset: pydicom.Dataset, name: str) -> np.ndarray:
    """The stored values ``(rows, columns)``."""
    stored = decoded(dataset, name)
    if stored.ndim != 2:
        raise DataError(f"{name}: the pixel data are {stored.dtype} of shape {stored.shape}, not one image")
    return stored


def window(hu: np.ndarray, centre: float, width: float, invert: bool = False) -> np.ndarray:
    """Shows a range of Hounsfield units: 0 up to ``centre - width / 2``, 1 from ``centre + width / 2``, linear between.

    Implements :eq:`eq-images-3`, the function that DICOM calls LINEAR_EXACT. ``WINDOWS`` has the usual centres and
    widths of a thorax.

    Args:
        hu: any shape.
        centre, width: in HU; the width is positive.
        invert: 1 for the lowest values, as MONOCHROME1 (``header.inverted``) asks for.

    Returns:
        float32 in [0, 1], of the shape of ``hu``.

    Raises:
        DataError: the width is not positive.
    """
    if not width > 0:
        raise DataError(f"width: a window needs a positive width, got {width}")
    shown = np.clip((np.asarray(hu, np.float32) - np.float32(centre)) / np.float32(width) + np.float32(0.5), 0, 1)
    return 1 - shown if invert else shown


# ------------------------------------------------------------------------------------------------------------- series


def read_series(
    source: str | os.PathLike | Iterable[str | os.PathLike],
    series_uid: str | None = None,
    rescale: tuple[float, float] | None = None,
) -> Volume:
    """Reads a series of CT images as a volume, sorted by position along the slices' normal.

    What is no slice is left out and named in ``skipped``: files that are no CT images, localisers, captured screens and
    colour images, and series whose images do not say where they lie. Slices must be parallel, of one shape and pixel
    spacing, equally far apart (within 2 %), and above each other; the shear of a tilted gantry is said (``tilt``), and
    not corrected.

    Args:
        source: a folder (searched with all folders and zip archives in it), a zip archive, or a list of files.
        series_uid: which series, where the source holds several; with it, a series of localisers is read, too.
        rescale: see :func:`read_slice`.

    Raises:
        DataError: no CT slice, several series, a file that cannot be read (one that is named as the slices beside it
            are, and is no DICOM file, counts as one), or a geometry that is none: what :func:`sort_slices` refuses.
    """
    skipped, wrong = Findings(), Findings()
    series: dict[str, dict[str, Header]] = {}
    slices: dict[str, np.ndarray] = {}  # of the series asked for, or of the first
    placed: dict[str, None] = {}  # series whose slices say where they lie
    foreign, patterns = [], set()
    with Files() as files:
        for file in find_files(source):
            try:
                header, dataset = files.read_header(file, any_modality=rescale is not None)
                uid = header.series_uid
                kind = no_slice(header, dataset) if uid != series_uid else ""
            except NotDICOM:
                foreign.append(file)
                continue
            except NotCT:
                skipped.add(FOREIGN, str(file))
                continue
            except DataError as error:
                wrong.add("file that cannot be read", str(error))
                continue
            patterns.add(file.pattern)
            if kind:
                skipped.add(kind, header.name)
                continue
            if "PixelData" not in dataset:  # cut short, perhaps within the very tags that say where it belongs
                wrong.add("file that cannot be read", f"{header.name} has no pixel data")
                continue
            series.setdefault(uid, {})[header.name] = header
            if uid == series_uid or not missing_place(header) or "SharedFunctionalGroupsSequence" in dataset:
                placed[uid] = None
            if uid != series_uid and (series_uid is not None or next(iter(placed), None) != uid):
                continue
            try:
                slices[header.name] = hounsfield(dataset, rescale, header.name)
            except DataError as error:
                wrong.add("file that cannot be read", str(error))
    for file in foreign:
        found, kind = (wrong, "file that cannot be read") if file.pattern in patterns else (skipped, FOREIGN)
        found.add(kind, f"{file} is no DICOM file" if found is wrong else str(file))
    for uid in [uid for uid in series if uid and uid not in placed]:
        for name, header in series.pop(uid).items():
            skipped.add(f"slice without {missing_place(header)}", name)
    if series_uid and "" in series:
        wrong.add("slice without SeriesInstanceUID, which may be one of it", "; ".join(series.pop("")))
    words = ", ".join(f"{uid or '(no SeriesInstanceUID)'} ({len(found)} slices)" for uid, found in series.items())
    if series_uid is None and len(series) > 1:
        raise DataError(f"{_words(source)} holds {len(series)} series: choose one by series_uid from {words}")
    if wrong:
        raise DataError(f"{_words(source)}: {wrong}")
    if not series:
        raise DataError(f"{_words(source)}: no CT image in DICOM format" + (f"; {skipped}" if skipped else ""))
    chosen = next(iter(series)) if series_uid is None else series_uid
    if chosen not in series:
        raise DataError(f"{_words(source)}: no series {series_uid}; it holds {words}")
    headers = sort_slices(list(series[chosen].values()))
    spacing = (slice_distance(headers), *headers[0].spacing)
    named = {kind: tuple(names) for kind, names in skipped.found.items()}
    return Volume(np.stack([slices[h.name] for h in headers]), spacing, tuple(headers), named, tilt(headers))


def sort_slices(headers: Sequence[Header]) -> list[Header]:
    """The headers of one series in the order of their position along the normal.

    Raises:
        DataError: a slice without position, orientation or spacing; two shapes, pixel spacings, orientations or
            patients; two slices at one place; missing slices, or two distances between slices; slices shifted sideways.
            The message names the files.
    """
    first = headers[0]
    for header in headers:
        for keyword, value in (
            ("ImagePositionPatient", header.position),
            ("ImageOrientationPatient", header.orientation),
            ("PixelSpacing", header.spacing),
        ):
            if value is None:
                raise DataError(f"{header.name}: {keyword} is missing, so its place in the series is unknown")
    for what, field, tolerance in (
        ("orientations", "orientation", SAME_DIRECTION),
        ("pixel spacings", "spacing", SAME_SPACING * first.spacing[0]),
        ("shapes", "shape", 0),
        ("patients", "patient_id", None),
    ):
        values = np.array([getattr(h, field) for h in headers])
        differs = values != values[0] if tolerance is None else (abs(values - values[0]) > tolerance).any(axis=1)
        for i in np.flatnonzero(differs)[:1]:
            raise DataError(
                f"two {what} in one series: {first.name} has {getattr(first, field)}, "
                f"{headers[i].name} {getattr(headers[i], field)}"
            )
    # the normal of one slice for all: tiny differences between directions would be multiplied by the position
    ordered = sorted(headers, key=lambda h: float(np.dot(h.position, first.normal)))
    depths = np.dot([h.position for h in ordered], first.normal)
    gaps = np.diff(depths)
    for i in np.flatnonzero(gaps < SAME_PLACE):
        raise DataError(
            f"duplicate slices: {ordered[i].name} and {ordered[i + 1].name} lie at the same place "
            f"({depths[i]:g} mm); {int((gaps < SAME_PLACE).sum())} in all"
        )
    if len(gaps):
        _check_gaps(gaps, depths, ordered)
        _check_column(ordered)
    return ordered


def _check_gaps(gaps: np.ndarray, depths: np.ndarray, ordered: list[Header]) -> None:
    usual = float(np.median(gaps))
    tolerance = max(SAME_DISTANCE * usual, SAME_PLACE)
    odd = np.flatnonzero(abs(gaps - usual) > tolerance)
    if not len(odd):
        return
    i = int(odd[0])
    places = f"between {ordered[i].name} ({depths[i]:g} mm) and {ordered[i + 1].name} ({depths[i + 1]:g} mm)"
    steps = np.rint(gaps[odd] / usual)
    # whole steps, here and there: slices are missing; otherwise the series changes its distance
    if (abs(gaps[odd] - steps * usual) <= steps * tolerance).all() and (steps > 1).all() and 3 * len(odd) <= len(gaps):
        raise DataError(
            f"missing slices: {int(steps[0]) - 1} {places}, where the others are {usual:g} mm apart"
            + (f"; {int(steps.sum()) - len(odd)} in all, at {len(odd)} places" if len(odd) > 1 else "")
        )
    raise DataError(f"two distances between slices in one series: {gaps[i]:g} mm {places}, {usual:g} mm elsewhere")


def _beside(ordered: Sequence[Header]) -> tuple[np.ndarray, np.ndarray]:
    """How far slices lie above the first along the normal, in mm, and how far beside it, ``(S, 3)``."""
    away = np.subtract([header.position for header in ordered], ordered[0].position)
    depths = away @ ordered[0].normal
    return depths, away - depths[:, None] * ordered[0].normal


def _check_column(ordered: list[Header]) -> None:
    """Refuses slices that lie neither above each other nor along a line, as those of a tilted gantry do."""
    depths, beside = _beside(ordered)
    off = np.linalg.norm(beside - depths[:, None] / depths[-1] * beside[-1], axis=1)
    steps = np.linalg.norm(np.diff(beside, axis=0), axis=1)
    if off.max() > SAME_COLUMN * min(ordered[0].spacing) or steps.sum() > depths[-1]:
        i = int(steps.argmax())
        raise DataError(
            f"slices shifted sideways: {ordered[i + 1].name} lies {steps[i]:g} mm beside {ordered[i].name}, so that "
            "they make no volume; if it is a stack of several scans, read each by its files"
        )


def tilt(ordered: Sequence[Header]) -> float:
    """How far a sorted series leans: the angle between the line through the first pixels and the normal, in degrees.

    0 where the last slice lies less than half a pixel beside the first, as all do but those of a tilted gantry.
    """
    depths, beside = _beside(ordered)
    across = float(np.linalg.norm(beside[-1]))
    return math.degrees(math.atan2(across, abs(depths[-1]))) if across > SAME_COLUMN * min(ordered[0].spacing) else 0.0


def slice_distance(ordered: Sequence[Header]) -> float:
    """The distance between the slices of a sorted series in mm; not a number for a single slice."""
    if len(ordered) < 2:
        return float("nan")
    normal = ordered[0].normal
    return float(np.dot(np.subtract(ordered[-1].position, ordered[0].position), normal) / (len(ordered) - 1))


# -------------------------------------------------------------------------------------------------- files and archives


class Files(packing.Files):
    """Reads headers of what :func:`~medlatent.data.packing.find_files` found; a context manager."""

    def read_header(self, file: File, any_modality: bool = False) -> tuple[Header, pydicom.Dataset]:
        """:func:`read_header` of a file or a member."""
        if file.member is None:
            return read_header(file.path, any_modality=any_modality)
        if (first := self.beginning(file, 132))[128:] != b"DICM":  # or all of it would be read to find that out
            return read_header(BytesIO(first), str(file), any_modality)
        return read_header(BytesIO(self.read(file)), str(file), any_modality)


def _words(source: str | os.PathLike | Iterable[str | os.PathLike]) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else ", ".join(map(str, source)) or "the list of files"
