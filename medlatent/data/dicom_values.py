"""What the tags and the pixel data of a DICOM data set hold, checked: every error names the file and the tag."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from .errors import DataError
from .optional import extra
from .untrusted import check_declared

with extra("data", "reading DICOM files"):
    import pydicom
    from pydicom.multival import MultiValue
    from pydicom.pixels import get_decoder
    from pydicom.uid import UID

GREY = ("MONOCHROME1", "MONOCHROME2")
COLOURED = (
    *("PALETTE COLOR", "RGB", "ARGB", "HSV", "CMYK", "XYB", "YBR_FULL", "YBR_FULL_422"),
    *("YBR_PARTIAL_422", "YBR_PARTIAL_420", "YBR_ICT", "YBR_RCT"),
)


def value_of(dataset: pydicom.Dataset, keyword: str, name: str) -> object:
    try:
        return dataset.get(keyword)
    except Exception as error:  # values are parsed when they are asked for
        raise DataError(f"{name}: {keyword} cannot be read ({reason_of(error)})") from None


def text(dataset: pydicom.Dataset, keyword: str, name: str) -> str:
    """The text of a tag, several values with a stroke between them; empty where the tag is absent."""
    value = value_of(dataset, keyword, name) or ""
    return "/".join(map(str, value)) if isinstance(value, MultiValue) else str(value).strip()


def numbers(dataset: pydicom.Dataset, keyword: str, count: int, name: str) -> tuple[float, ...] | None:
    """The finite numbers of a tag; ``None`` where the tag is absent or empty."""
    value = value_of(dataset, keyword, name)
    if value is None or value == "" or (isinstance(value, Sequence) and not len(value)):
        return None
    try:
        found = tuple(map(float, value if count > 1 else [value]))
    except (TypeError, ValueError):
        found = ()
    if len(found) != count or not all(map(math.isfinite, found)):
        raise DataError(f"{name}: {keyword} is {value!r}, where {count} number{'s' * (count > 1)} are expected")
    return found


def reason_of(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def colours_of(dataset: pydicom.Dataset, name: str) -> str:
    """In words, how the pixels of a data set are colours; empty where they are grey.

    Raises:
        DataError: the tags hold what DICOM does not know.
    """
    samples = (numbers(dataset, "SamplesPerPixel", 1, name) or (1.0,))[0]
    shown = text(dataset, "PhotometricInterpretation", name)
    for keyword, value, known in (
        ("SamplesPerPixel", f"{samples:g}", ("1", "3", "4")),
        ("PhotometricInterpretation", shown, (*GREY, *COLOURED, "")),
    ):
        if value not in known:  # damaged, or a slice would be left out as a picture in colours
            raise DataError(
                f"{name}: {keyword} is {value!r}, where one of {', '.join(filter(None, known))} is expected"
            )
    if samples != 1:
        return f"{samples:.0f} samples a pixel"
    return "" if shown in (*GREY, "") else f"PhotometricInterpretation {shown}"


def decoded(dataset: pydicom.Dataset, name: str, raw: bool = True) -> np.ndarray:
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
    sides = ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated")
    declared = math.prod((numbers(dataset, keyword, 1, name) or (1.0,))[0] for keyword in sides) / 8
    check_declared(int(declared), len(value_of(dataset, "PixelData", name) or b""), f"{name} ({', '.join(sides)})")
    install = _install(decoder.missing_dependencies)
    if not decoder.is_available:
        raise DataError(f"{name} is compressed as {UID(syntax).name}, for which no decoder is installed: {install}")
    try:
        stored, _ = decoder.as_array(dataset, raw=raw)  # dataset.pixel_array keeps a second copy
    except Exception as error:  # each plugin has its own
        other = f"; if the file is whole, another decoder may read it: {install}" if install else ""
        raise DataError(f"{name}: the pixel data cannot be decoded ({reason_of(error)}){other}") from None
    if stored.size == 0 or stored.dtype.kind not in "iu":
        raise DataError(f"{name}: the pixel data are {stored.dtype} of shape {stored.shape}, not one image")
    return stored.astype(stored.dtype.newbyteorder("="), copy=False)


def _install(missing: list[str]) -> str:
    """How to install what pydicom says is missing (``"pylibjpeg - requires pylibjpeg>=2.0 and ..."``)."""
    ways = []
    for line in missing:
        packages = re.findall(r"[\w-]+>=[\d.]+", line.partition("requires")[2])
        if packages:
            quoted = " ".join(f'"{p.replace("gdcm", "python-gdcm")}"' for p in packages)
            ways.append(f"`pip install {quoted}`")
    return " or ".join(sorted(ways, key=len))


def padding_of(dataset: pydicom.Dataset, stored: np.ndarray, name: str) -> np.ndarray | None:
    """Where the padding lies; ``None`` where the data set declares none."""
    value = numbers(dataset, "PixelPaddingValue", 1, name)
    if value is None:
        return None
    limit = numbers(dataset, "PixelPaddingRangeLimit", 1, name) or value
    # Some files write the value of signed pixels as unsigned, or the other way: taken modulo 2^16, they are the same.
    low, high = sorted(int(np.array(int(v[0])).astype(stored.dtype)) for v in (value, limit))
    return stored == low if low == high else (stored >= low) & (stored <= high)


def significant(dataset: pydicom.Dataset, stored: np.ndarray, name: str) -> np.ndarray:
    bits, high = (numbers(dataset, k, 1, name) for k in ("BitsStored", "HighBit"))
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
