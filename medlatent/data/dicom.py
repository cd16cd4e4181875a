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
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from . import packing
from .errors import DataError
from .optional import extra
from .packing import File, Findings, find_files

with extra("data", "reading DICOM files"):
    import pydicom
    from pydicom.multival import MultiValue
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

PADDING_HU = -1024  # what scanners themselves write outside their field of view
WINDOWS = {"lung": (-600.0, 1500.0), "mediastinum": (40.0, 400.0), "bone": (400.0, 1800.0)}
INT16 = np.iinfo(np.int16)
SAME_PLACE = 1e-3  # mm: positions are written with three decimals or more
SAME_DISTANCE = 0.02  # relative: two distances between slices that differ by less are one
SAME_SPACING = 1e-3  # relative
SAME_DIRECTION = 1e-3  # of a direction cosine


class NotCT(DataError):
    """A file that is no CT image: another kind of file, or of another modality."""


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
        skipped: what else was in the folder, as a count for each kind.
    """

    hu: np.ndarray
    spacing: tuple[float, float, float]
    headers: tuple[Header, ...]
    skipped: dict[str, int]


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
        DataError: the file is missing or damaged, or a tag holds what it cannot hold.
    """
    if isinstance(file, str | os.PathLike):
        with _open(Path(file)) as opened:
            return read_header(opened, name or str(file), any_modality)
    name = name or getattr(file, "name", None) or "the DICOM file"
    if file.read(132)[128:] != b"DICM":
        error = DataError if PurePosixPath(name).suffix.lower() == ".dcm" else NotCT
        raise error(f"{name} is no DICOM file: the letters DICM are missing at byte 128")
    file.seek(0)
    try:
        dataset = pydicom.dcmread(file)
        modality = dataset.get("Modality") or "no modality"
    except Exception as error:  # pydicom documents no closed set of them for damaged files
        raise DataError(f"{name} is damaged ({_reason(error)}): get the file again") from None
    if modality != "CT" and not any_modality:
        raise NotCT(f"{name} is of the modality {modality!r}, not CT, so it has no Hounsfield units")
    return _header(dataset, name), dataset


def _open(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder: read it with read_series") from None


def _header(dataset: pydicom.Dataset, name: str) -> Header:
    spacing = _numbers(dataset, "PixelSpacing", 2, name)
    if spacing is not None and min(spacing) <= 0:
        raise DataError(f"{name}: PixelSpacing is {list(spacing)}, where two positive lengths are expected")
    orientation = _numbers(dataset, "ImageOrientationPatient", 6, name)
    if orientation is not None:
        row, column = orientation[:3], orientation[3:]
        lengths = math.hypot(*row), math.hypot(*column)
        if abs(sum(a * b for a, b in zip(row, column, strict=True))) > 1e-2 or max(abs(n - 1) for n in lengths) > 1e-2:
            raise DataError(
                f"{name}: ImageOrientationPatient is {list(orientation)}, not two unit vectors at right angles"
            )
    shape = _numbers(dataset, "Rows", 1, name), _numbers(dataset, "Columns", 1, name)
    image_type = _value(dataset, "ImageType", name) or ()
    return Header(
        name=name,
        **{
            field: _text(dataset, keyword, name)
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
        image_type=(image_type,) if isinstance(image_type, str) else tuple(map(str, image_type)),
        shape=tuple(int(n[0]) if n else 0 for n in shape),
        spacing=spacing,
        position=_numbers(dataset, "ImagePositionPatient", 3, name),
        orientation=orientation,
        inverted=_value(dataset, "PhotometricInterpretation", name) == "MONOCHROME1",
    )


def _value(dataset: pydicom.Dataset, keyword: str, name: str) -> object:
    try:
        return dataset.get(keyword)
    except Exception as error:  # values are parsed when they are asked for
        raise DataError(f"{name}: {keyword} cannot be read ({_reason(error)})") from None


def _text(dataset: pydicom.Dataset, keyword: str, name: str) -> str:
    """The text of a tag, several values with a stroke between them; empty where the tag is absent."""
    value = _value(dataset, keyword, name) or ""
    return "/".join(map(str, value)) if isinstance(value, MultiValue) else str(value).strip()


def _numbers(dataset: pydicom.Dataset, keyword: str, count: int, name: str) -> tuple[float, ...] | None:
    """The finite numbers of a tag; ``None`` where the tag is absent or empty."""
    value = _value(dataset, keyword, name)
    if value is None or value == "" or (isinstance(value, Sequence) and not len(value)):
        return None
    try:
        numbers = tuple(map(float, value if count > 1 else [value]))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise DataError(f"{name}: {keyword} is {value!r}, where {count} number{'s' * (count > 1)} are expected")
    return numbers


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


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
    if rescale is None:
        rescale = _rescale(dataset, name)
    slope, intercept = rescale
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope != 0):
        raise DataError(f"{name}: a rescale slope of {slope} and intercept of {intercept} cannot be used")
    stored = _decode(dataset, name)
    padding = _padding(dataset, stored, name)
    stored = _significant(dataset, stored, name)
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
    slope, intercept = (_numbers(dataset, f"Rescale{k}", 1, name) for k in ("Slope", "Intercept"))
    if slope is None or intercept is None:
        missing = "RescaleSlope" if slope is None else "RescaleIntercept"
        raise DataError(
            f"{name}: {missing} is missing, so its Hounsfield units are unknown; pass rescale=(slope, intercept) where "
            "you know them"
        )
    unit = _value(dataset, "RescaleType", name)
    if unit not in (None, "", "HU"):
        raise DataError(
            f"{name}: RescaleType is {unit!r}, not HU; pass rescale=(slope, intercept) to read it all the same"
        )
    return slope[0], intercept[0]


def _decode(dataset: pydicom.Dataset, name: str) -> np.ndarray:
    """The stored values ``(rows, columns)``."""
    if "PixelData" not in dataset:
        raise DataError(f"{name} has no pixel data")
    samples, frames = (_numbers(dataset, k, 1, name) for k in ("SamplesPerPixel", "NumberOfFrames"))
    if samples is not None and samples != (1,):
        raise DataError(f"{name} is a colour image ({samples[0]:.0f} samples a pixel), not one of a CT scanner")
    if frames is not None and frames != (1,):
        raise DataError(f"{name} holds {frames[0]:.0f} frames: convert it to files of one frame each")
    stored = _decoded(dataset, name)
    if stored.ndim != 2:
        raise DataError(f"{name}: the pixel data are {stored.dtype} of shape {stored.shape}, not one image")
    return stored


def _decoded(dataset: pydicom.Dataset, name: str, raw: bool = True) -> np.ndarray:
    """All that a data set stores; unless ``raw``, colours as RGB."""
    if "PixelData" not in dataset:
        raise DataError(f"{name} has no pixel data")
    syntax = getattr(dataset, "file_meta", {}).get("TransferSyntaxUID")
    if syntax is None:
        raise DataError(f"{name}: TransferSyntaxUID is missing from its file meta information")
    try:
        decoder = get_decoder(UID(syntax))
    except NotImplementedError:
        raise DataError(f"{name}: pydicom reads no images in the transfer syntax {UID(syntax).name!r}") from None
    install = _install(decoder.missing_dependencies)
    if not decoder.is_available:
        raise DataError(f"{name} is compressed as {UID(syntax).name}, for which no decoder is installed: {install}")
    try:
        stored, _ = decoder.as_array(dataset, raw=raw)  # dataset.pixel_array keeps a second copy
    except Exception as error:  # each plugin has its own
        other = f"; if the file is whole, another decoder may read it: {install}" if install else ""
        raise DataError(f"{name}: the pixel data cannot be decoded ({_reason(error)}){other}") from None
    if stored.size == 0 or stored.dtype.kind not in "iu":
        raise DataError(f"{name}: the pixel data are {stored.dtype} of shape {stored.shape}, not one image")
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def read_frames(dataset: pydicom.Dataset, name: str = "the DICOM file") -> tuple[np.ndarray, str]:
    """The images of a data set of any modality in their own unit, and what that is.

    - CT is in Hounsfield units, as :func:`hounsfield` has it.
    - Of others, slope and intercept are applied where there are some, those of a frame to the frame. Pixels of the
      padding value become the least measured one. Where low values are to be shown bright (MONOCHROME1) and there is no
      slope and intercept, values are turned round, the greatest that can be stored less the value.
    - Colours come as RGB of 8 bits.

    Args:
        dataset: what pydicom has read, see :func:`read_header`.
        name: what messages call the file.

    Returns:
        ``(F, rows, columns)`` or ``(F, rows, columns, 3)``, uint8, int16, int32 or float32; and the unit: ``"HU"``,
        ``"8-bit values"``, or such as ``"MR values"``.

    Raises:
        DataError: what :func:`hounsfield` refuses, colours of more than 8 bits, or a table (ModalityLUTSequence) in the
            place of slope and intercept.
    """
    modality = _text(dataset, "Modality", name) or "DICOM"
    samples = (_numbers(dataset, "SamplesPerPixel", 1, name) or (1.0,))[0]
    frames = int((_numbers(dataset, "NumberOfFrames", 1, name) or (1.0,))[0])
    if samples != 1:
        colours = _decoded(dataset, name, raw=False)
        if colours.dtype != np.uint8 or colours.shape[-1] != 3:
            raise DataError(
                f"{name}: colours of {colours.dtype} and {colours.shape[-1]} samples; RGB of 8 bits is read"
            )
        return colours.reshape(-1, *colours.shape[-3:]), "8-bit values"
    if modality == "CT" and frames == 1 and "SharedFunctionalGroupsSequence" not in dataset:
        return hounsfield(dataset, name=name)[None], "HU"
    if _value(dataset, "ModalityLUTSequence", name):
        raise DataError(
            f"{name}: its unit is given by a table (ModalityLUTSequence); convert it with slope and intercept"
        )
    stored = _decoded(dataset, name)
    padding = _padding(dataset, stored, name)
    stored = _significant(dataset, stored, name)
    stored, padding = (a if a is None else a.reshape(-1, *a.shape[-2:]) for a in (stored, padding))
    scales = [_scale_of_frame(dataset, k, name) for k in range(len(stored))]
    if modality == "CT" and None in scales:
        raise DataError(f"{name}: frame {scales.index(None)} has no RescaleSlope, so its Hounsfield units are unknown")
    values = _rescaled(stored, [scale or (1.0, 0.0) for scale in scales])
    if not any(scales) and _value(dataset, "PhotometricInterpretation", name) == "MONOCHROME1":
        values = _greatest(dataset, stored, name) - values
        values = values.astype(np.uint8) if stored.dtype == np.uint8 else values
    if padding is not None and padding.any() and not padding.all():
        values[padding] = PADDING_HU if modality == "CT" else values[~padding].min()
    if modality == "CT":
        return values, "HU"
    return values, "8-bit values" if values.dtype == np.uint8 else f"{modality} values"


def _scale_of_frame(dataset: pydicom.Dataset, frame: int, name: str) -> tuple[float, float] | None:
    """Slope and intercept: of the data set, of all frames, or of one; None where there are none."""
    groups = [dataset]
    for keyword, position in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        sequence = _value(dataset, keyword, name) or []
        if position < len(sequence):
            groups += _value(sequence[position], "PixelValueTransformationSequence", name) or []
    for group in reversed(groups):
        slope, intercept = (_numbers(group, f"Rescale{k}", 1, name) for k in ("Slope", "Intercept"))
        if slope is not None and intercept is not None:
            if slope[0] == 0:
                raise DataError(f"{name}: a rescale slope of 0 cannot be used")
            return slope[0], intercept[0]
    return None


def _rescaled(stored: np.ndarray, scales: list[tuple[float, float]]) -> np.ndarray:
    if all(scale == (1, 0) for scale in scales):
        return stored if stored.dtype == np.uint8 else stored.astype(np.int32)
    if all(float(number).is_integer() for scale in scales for number in scale):
        steps = np.array(scales, np.int64)[:, :, None, None]
        return (stored * steps[:, 0] + steps[:, 1]).astype(np.int32)
    steps = np.array(scales, np.float64)[:, :, None, None]
    return (stored * steps[:, 0] + steps[:, 1]).astype(np.float32)


def _greatest(dataset: pydicom.Dataset, stored: np.ndarray, name: str) -> int:
    bits = int((_numbers(dataset, "BitsStored", 1, name) or (8.0 * stored.itemsize,))[0])
    return 2**bits - 1 if stored.dtype.kind == "u" else -1  # of signed values, -1 - x turns the range round


def _install(missing: list[str]) -> str:
    """How to install what pydicom says is missing (``"pylibjpeg - requires pylibjpeg>=2.0 and ..."``)."""
    ways = []
    for line in missing:
        packages = re.findall(r"[\w-]+>=[\d.]+", line.partition("requires")[2])
        if packages:
            quoted = " ".join(f'"{p.replace("gdcm", "python-gdcm")}"' for p in packages)
            ways.append(f"`pip install {quoted}`")
    return " or ".join(sorted(ways, key=len))


def _padding(dataset: pydicom.Dataset, stored: np.ndarray, name: str) -> np.ndarray | None:
    """Where the padding lies; ``None`` where the data set declares none."""
    value = _numbers(dataset, "PixelPaddingValue", 1, name)
    if value is None:
        return None
    limit = _numbers(dataset, "PixelPaddingRangeLimit", 1, name) or value
    # Some files write the value of signed pixels as unsigned, or the other way: taken modulo 2^16, they are the same.
    low, high = sorted(int(np.array(int(v[0])).astype(stored.dtype)) for v in (value, limit))
    return stored == low if low == high else (stored >= low) & (stored <= high)


def _significant(dataset: pydicom.Dataset, stored: np.ndarray, name: str) -> np.ndarray:
    bits, high = (_numbers(dataset, k, 1, name) for k in ("BitsStored", "HighBit"))
    allocated = 8 * stored.itemsize
    if bits is None or not 1 <= bits[0] <= allocated:
        raise DataError(f"{name}: BitsStored is {bits and bits[0]:.0f}, where 1 to {allocated} are expected")
    if high is not None and high[0] != bits[0] - 1:
        raise DataError(f"{name}: HighBit is {high[0]:.0f} with {bits[0]:.0f} bits stored; it must be one less")
    unused = allocated - int(bits[0])
    if unused:
        stored <<= unused
        stored >>= unused
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

    Files that are no CT images are left out and counted. Slices must be parallel, of one shape and pixel spacing, and
    equally far apart (within 2 %); the shear of a tilted gantry is not corrected.

    Args:
        source: a folder (searched with all folders and zip archives in it), a zip archive, or a list of files.
        series_uid: which series, where the source holds several.
        rescale: see :func:`read_slice`.

    Raises:
        DataError: no CT image, several series, a file that cannot be read, or a geometry that is none: what
            :func:`sort_slices` refuses.
    """
    skipped, counts = Findings(), {}
    slices: dict[str, Slice] = {}
    with Files() as files:
        for file in find_files(source):
            try:
                header, dataset = files.read_header(file, any_modality=rescale is not None)
            except NotCT as error:
                skipped.add("file that is no CT image", str(error))
                continue
            counts[header.series_uid] = counts.get(header.series_uid, 0) + 1
            if header.series_uid == (series_uid or next(iter(counts))):
                slices[header.name] = Slice(hounsfield(dataset, rescale, header.name), header)
    if not counts:
        raise DataError(f"{_words(source)}: no CT image in DICOM format" + (f"; {skipped}" if skipped else ""))
    found = ", ".join(f"{uid or '(no SeriesInstanceUID)'} ({n} slices)" for uid, n in counts.items())
    if series_uid is None and len(counts) > 1:
        raise DataError(f"{_words(source)} holds {len(counts)} series: choose one by series_uid from {found}")
    if not slices:
        raise DataError(f"{_words(source)}: no series {series_uid}; it holds {found}")
    headers = sort_slices([s.header for s in slices.values()])
    spacing = (slice_distance(headers), *headers[0].spacing)
    return Volume(np.stack([slices[h.name].hu for h in headers]), spacing, tuple(headers), skipped.counts)


def sort_slices(headers: Sequence[Header]) -> list[Header]:
    """The headers of one series in the order of their position along the normal.

    Raises:
        DataError: a slice without position, orientation or spacing; two shapes, pixel spacings, orientations or
            patients; two slices at one place; missing slices, or two distances between slices. The message names the
            files.
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
        return read_header(BytesIO(self.read(file)), str(file), any_modality)


def _words(source: str | os.PathLike | Iterable[str | os.PathLike]) -> str:
    return str(source) if isinstance(source, str | os.PathLike) else ", ".join(map(str, source)) or "the list of files"
