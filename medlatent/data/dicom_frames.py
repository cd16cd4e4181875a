"""The images of a DICOM file of any modality, colours and several frames included, in their own unit."""

from __future__ import annotations

import numpy as np

from .dicom import PADDING_HU, OtherUnit, hounsfield
from .dicom_values import colours_of, decoded, numbers, padding_of, reason_of, significant, text, value_of
from .errors import DataError
from .optional import extra

with extra("data", "reading DICOM files"):
    import pydicom
    from pydicom.pixels import apply_color_lut


def read_frames(dataset: pydicom.Dataset, name: str = "the DICOM file") -> tuple[np.ndarray, str]:
    """The images of a data set of any modality in their own unit, and what that is.

    - CT is in Hounsfield units, as ``hounsfield`` has it.
    - Of others, slope and intercept are applied where there are some, those of a frame to the frame. Pixels of the
      padding value become the least measured one. Where low values are to be shown bright (MONOCHROME1) and there is no
      slope and intercept, values are turned round, the greatest that can be stored less the value.
    - Colours come as RGB of 8 bits, those of a palette looked up in it.

    Args:
        dataset: what pydicom has read, see ``dicom.read_header``.
        name: what messages call the file.

    Returns:
        ``(F, rows, columns)`` or ``(F, rows, columns, 3)``, uint8, int16, int32 or float32; and the unit: ``"HU"``,
        ``"8-bit values"``, or such as ``"MR values"``.

    Raises:
        DataError: what ``hounsfield`` refuses, colours of more than 8 bits, or a table (ModalityLUTSequence) in the
            place of slope and intercept.
    """
    modality = text(dataset, "Modality", name) or "DICOM"
    frames = int((numbers(dataset, "NumberOfFrames", 1, name) or (1.0,))[0])
    if colours_of(dataset, name):
        colours = _looked_up(dataset, decoded(dataset, name, raw=False), name)
        if colours.dtype != np.uint8 or colours.shape[-1] != 3:
            raise DataError(
                f"{name}: colours of {colours.dtype} and {colours.shape[-1]} samples; RGB of 8 bits is read"
            )
        return colours.reshape(-1, *colours.shape[-3:]), "8-bit values"
    if modality == "CT" and frames == 1 and "SharedFunctionalGroupsSequence" not in dataset:
        return hounsfield(dataset, name=name)[None], "HU"
    if value_of(dataset, "ModalityLUTSequence", name):
        raise DataError(
            f"{name}: its unit is given by a table (ModalityLUTSequence); convert it with slope and intercept"
        )
    stored = decoded(dataset, name)
    padding = padding_of(dataset, stored, name)
    stored = significant(dataset, stored, name)
    stored, padding = (a if a is None else a.reshape(-1, *a.shape[-2:]) for a in (stored, padding))
    scales = [_scale_of_frame(dataset, k, name) for k in range(len(stored))]
    if modality == "CT" and None in scales:
        raise DataError(f"{name}: frame {scales.index(None)} has no RescaleSlope, so its Hounsfield units are unknown")
    values = _rescaled(stored, [scale or (1.0, 0.0) for scale in scales])
    if not any(scales) and value_of(dataset, "PhotometricInterpretation", name) == "MONOCHROME1":
        values = _greatest(dataset, stored, name) - values
        values = values.astype(np.uint8) if stored.dtype == np.uint8 else values
    if padding is not None and padding.any() and not padding.all():
        values[padding] = PADDING_HU if modality == "CT" else values[~padding].min()
    if modality == "CT":
        return values, "HU"
    return values, "8-bit values" if values.dtype == np.uint8 else f"{modality} values"


def _looked_up(dataset: pydicom.Dataset, colours: np.ndarray, name: str) -> np.ndarray:
    """Colours as they are, or those of a palette, of which 16 bits are cut to the upper 8."""
    if text(dataset, "PhotometricInterpretation", name) != "PALETTE COLOR":
        return colours
    try:
        found = apply_color_lut(colours, dataset)[..., :3]
    except Exception as error:  # tables that are missing, too short, or of another kind
        raise DataError(f"{name}: its palette of colours cannot be used ({reason_of(error)})") from None
    return found if found.dtype == np.uint8 else (found >> 8).astype(np.uint8)


def _scale_of_frame(dataset: pydicom.Dataset, frame: int, name: str) -> tuple[float, float] | None:
    """Slope and intercept: of the data set, of all frames, or of one; None where there are none."""
    groups = [dataset]
    for keyword, position in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", frame)):
        sequence = value_of(dataset, keyword, name) or []
        if position < len(sequence):
            groups += value_of(sequence[position], "PixelValueTransformationSequence", name) or []
    for group in reversed(groups):
        slope, intercept = (numbers(group, f"Rescale{k}", 1, name) for k in ("Slope", "Intercept"))
        if slope is not None and intercept is not None:
            if text(dataset, "Modality", name) == "CT" and (unit := text(group, "RescaleType", name)) not in (
                "",
                "HU",
            ):
                raise OtherUnit(f"{name}: RescaleType of frame {frame} is {unit!r}, not HU")
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
    bits = int((numbers(dataset, "BitsStored", 1, name) or (8.0 * stored.itemsize,))[0])
    return 2**bits - 1 if stored.dtype.kind == "u" else -1  # of signed values, -1 - x turns the range round
