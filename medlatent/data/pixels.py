"""From pictures of any kind to what an image set stores: layout, size, and the values that stand for black and white.

Pictures come as a list of arrays or as one array. Nothing is guessed where two readings are possible: the message says
which argument decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from .errors import DataError

COLOURS = (1, 3, 4)  # what an axis of channels may hold where nobody says which axis it is
FITS = ("keep", "crop", "stretch")
INT16 = np.iinfo(np.int16)
FEWEST, MOST = 2, 4096  # pixels a side

Channels = Literal["first", "last", "none"]
Fit = Literal["keep", "crop", "stretch"]


# --------------------------------------------------------------------------------------------------------------- layout


def channels_second(images: object, channels: str | None = None) -> np.ndarray | list[np.ndarray]:
    """Images in any layout as ``(N, C, H, W)``, or as a list of ``(C, H, W)`` where they came as a list.

    Args:
        images: ``(N, H, W)``, ``(N, H, W, C)`` or ``(N, C, H, W)``; or a list of N arrays without the first axis, whose
            shapes may differ.
        channels: where the axis of channels is: ``"first"``, ``"last"``, or ``"none"`` where there is none. By default
            an axis of 1, 3 or 4 in one of the two places is it.

    Raises:
        DataError: the layout is ambiguous, or is none of these, or an image has a kind of value that none has; the
            message says which argument decides, or which image it is.
    """
    if channels not in (None, "first", "last", "none"):
        raise DataError(f"channels: {channels!r} is unknown: use first, last or none")
    if isinstance(images, np.ma.MaskedArray) and np.ma.is_masked(images):
        row = int(np.argmax(np.ma.getmaskarray(images).reshape(len(images), -1).any(1))) if images.ndim > 1 else 0
        raise DataError(f"image {row} is masked: fill the masked pixels (images.filled(value)) first")
    if isinstance(images, list | tuple):
        if not images:
            raise DataError("images: there are none")
        return [_channels_first(one, channels, f"image {row}", 0) for row, one in enumerate(images)]
    return _channels_first(images, channels, "images", 1)


def _channels_first(image: object, channels: str | None, what: str, batch: int) -> np.ndarray:
    """One picture, or with ``batch`` = 1 an array of them, with the axis of channels before the last two."""
    if np.ma.is_masked(image):
        raise DataError(f"{what} is masked: fill the masked pixels first")
    array = np.asarray(image)
    check_kind(array, what)
    axes, before = array.ndim - batch, "N, " * batch
    if axes not in (2, 3) or 0 in array.shape:
        raise DataError(f"{what}: expected the shape ({before}H, W), ({before}H, W, C) or ({before}C, H, W), "
                        f"got {array.shape}")  # fmt: skip
    first, last = (array.shape[batch] in COLOURS, array.shape[-1] in COLOURS)
    if axes == 2:
        if channels in ("first", "last"):
            raise DataError(f"{what}: channels={channels!r}, and the shape {array.shape} has no axis for them")
        if channels is None and last and batch:
            raise DataError(
                f"{what}: {array.shape} may be one colour image, or {array.shape[0]} of {array.shape[2]} pixels a row; "
                "pass images[None] for the one, channels='none' for the other"
            )
        return np.expand_dims(array, batch)
    if channels == "none":
        raise DataError(f"{what}: channels='none', and the shape {array.shape} has an axis more than that")
    if channels is None:
        if first == last:
            why = "both may hold the channels" if first else "neither is 1, 3 or 4"
            raise DataError(
                f"{what}: of the shape {array.shape}, the axes of {array.shape[batch]} and {array.shape[-1]}: {why}; "
                "pass channels='first' or channels='last'"
            )
        channels = "first" if first else "last"
    return array if channels == "first" else np.moveaxis(array, -1, batch)


def check_kind(array: np.ndarray, what: str) -> None:
    """Refuses arrays whose values are no grey values.

    Raises:
        DataError: it holds complex numbers, objects or text.
    """
    if array.dtype.kind == "c":
        raise DataError(f"{what}: complex numbers ({array.dtype}); pass their magnitude, np.abs(images)")
    if array.dtype.kind not in "buif":
        raise DataError(
            f"{what}: {array.dtype} is no kind of grey value: pass whole numbers or floats, all images of one shape, "
            "or a list of arrays"
        )


# ----------------------------------------------------------------------------------------------------------------- size


def as_size(size: object) -> tuple[int, int] | None:
    """Height and width from ``64``, ``(64, 96)``, or None.

    Raises:
        DataError: it is neither one nor two whole numbers, or out of range.
    """
    if size is None:
        return None
    pair = (size, size) if isinstance(size, int | np.integer) and not isinstance(size, bool) else size
    try:
        height, width = (int(side) for side in pair if side == int(side) and not isinstance(side, bool))
    except (TypeError, ValueError):
        raise DataError(f"size: expected a number of pixels or (height, width), got {size!r}") from None
    if not (FEWEST <= height <= MOST and FEWEST <= width <= MOST):
        raise DataError(f"size: sides are {FEWEST} to {MOST} pixels, got {height}×{width}")
    return height, width


@dataclass(frozen=True)
class Fitting:
    """How pictures come to one size.

    Attributes:
        size: height and width, or None: they stay as they are.
        fit: ``"keep"`` shows all of a picture and fills what is left beside it; ``"crop"`` shows the largest part of
            the right shape, from the centre; ``"stretch"`` shows all and does not keep the shape. None asks, where a
            picture is of another shape.
        fill: the value of what is left beside a picture, as the picture has it before the range of values is taken.
    """

    size: tuple[int, int] | None = None
    fit: str | None = None
    fill: float | None = None

    def __post_init__(self) -> None:
        if self.fit is not None and self.fit not in FITS:
            raise DataError(f"fit: {self.fit!r} is unknown: use {', '.join(FITS)}")
        if self.size is None and (self.fit is not None or self.fill is not None):
            raise DataError(f"{'fit' if self.fit else 'fill'}: it is given with size, and size is not")
        if self.fill is not None and self.fit != "keep":
            raise DataError(f"fill: only fit='keep' fills, and fit is {self.fit!r}")
        if self.fill is not None and not np.isfinite(self.fill):
            raise DataError(f"fill: {self.fill!r} is no value of a pixel")

    def __call__(self, picture: np.ndarray, what: str) -> np.ndarray:
        """A picture ``(C, H, W)`` at the size; of its own kind of values, whole ones rounded once, at the end.

        Pillow's triangle filter, as wide as a pixel of the result where that is coarser, so that nothing is aliased:
        it does not leave the range of the values, as Lanczos and cubic filters do.

        Raises:
            DataError: its shape is another one and ``fit`` is None, or ``fill`` is needed and not given.
            ImportError: Pillow is not installed.
        """
        if self.size is None or picture.shape[1:] == self.size:
            return picture
        (high, wide), (height, width) = picture.shape[1:], self.size
        same = high * width == wide * height
        if self.fit is None and not same:
            raise DataError(
                f"{what}: {high}×{wide} pixels have another shape than size, {height}×{width}: pass fit='crop', "
                "fit='stretch', or fit='keep' with the fill of what is left"
            )
        if same or self.fit == "stretch":
            return _resized(picture, self.size, (0, 0, wide, high))
        if self.fit == "crop":
            scale = min(high / height, wide / width)
            top, left = (high - scale * height) / 2, (wide - scale * width) / 2
            return _resized(picture, self.size, (left, top, wide - left, high - top))
        if self.fill is None:
            raise DataError(
                f"{what}: {high}×{wide} pixels do not fill {height}×{width}: pass the fill of what is left, such as "
                "the value of black"
            )
        scale = min(height / high, width / wide)
        inner = max(1, round(high * scale)), max(1, round(wide * scale))
        if picture.dtype.kind in "biu" and not _holds(picture.dtype, self.fill):
            raise DataError(f"fill: {self.fill:g} is no value of {what}, which holds {picture.dtype}")
        whole = np.full((len(picture), height, width), self.fill, picture.dtype)
        top, left = (height - inner[0]) // 2, (width - inner[1]) // 2
        whole[:, top : top + inner[0], left : left + inner[1]] = _resized(picture, inner, (0, 0, wide, high))
        return whole

    @property
    def said(self) -> str:
        """What was done, in words; empty where pictures stay as they are."""
        if self.size is None:
            return ""
        way = {
            None: "",
            "keep": f", whole, what is left filled with {self.fill:g}" if self.fill is not None else ", whole",
            "crop": ", the largest part of that shape from the centre",
            "stretch": ", stretched to that shape",
        }[self.fit]
        return f"resized to {self.size[0]}×{self.size[1]} (antialiased, linear{way})"


def _holds(dtype: np.dtype, value: float) -> bool:
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    return low <= value <= high and value == int(value)


def _resized(picture: np.ndarray, size: tuple[int, int], box: tuple[float, float, float, float]) -> np.ndarray:
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise missing("resizing", error) from None
    planes = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(plane, np.float32)).resize(
                size[::-1], Image.Resampling.BILINEAR, box=box
            )
        )
        for plane in picture
    ]
    result = np.stack(planes)
    if picture.dtype.kind == "b":
        return result >= 0.5
    if picture.dtype.kind in "iu":
        return np.rint(result).astype(picture.dtype)  # a mean of values stays between them
    return result.astype(picture.dtype)


def missing(what: str, error: ModuleNotFoundError) -> ImportError:
    """The error of a package that is not installed, with the extra that brings it."""
    return ModuleNotFoundError(f'{what} needs the package {error.name}: pip install "medlatent[data]"', name=error.name)


# --------------------------------------------------------------------------------------------------------------- values


@dataclass
class Stored:
    """What an image set keeps.

    Attributes:
        images: ``(N, C, H, W)``, uint8 or int16.
        value_range: the stored values that stand for 0 and 1.
        given: the same two in the images' own unit.
        said: what was done to the values, sentences for the card.
    """

    images: np.ndarray
    value_range: tuple[float, float]
    given: tuple[float, float]
    said: list[str] = field(default_factory=list)


def as_range(value_range: object) -> tuple[float, float] | None:
    """The two ends of a range.

    Raises:
        DataError: they are not two finite numbers, the first below the second.
    """
    if value_range is None:
        return None
    try:
        if isinstance(value_range, str | Mapping):
            raise TypeError("one value")
        low, high = map(float, value_range)
    except (TypeError, ValueError) as error:
        raise DataError(f"value_range: expected two numbers (low, high), got {value_range!r} ({error})") from None
    if not low < high:
        raise DataError(f"value_range: the first value must be below the second, got {value_range!r}")
    for place, end in enumerate((low, high)):
        if not np.isfinite(end):
            raise DataError(f"value_range: both values must be finite, and value_range[{place}] is {end}")
    return low, high


def as_percentiles(percentiles: object, value_range: object) -> tuple[float, float] | None:
    """The two percentiles that stand for black and white.

    Raises:
        DataError: they are not two numbers from 0 to 100, the first below the second, or a range is given, too.
    """
    if percentiles is None:
        return None
    if value_range is not None:
        raise DataError("percentiles: they take the place of value_range; pass one of the two")
    try:
        low, high = map(float, percentiles)
    except (TypeError, ValueError):
        raise DataError(f"percentiles: expected two numbers (low, high), got {percentiles!r}") from None
    if not 0 <= low < high <= 100:
        raise DataError(f"percentiles: expected 0 <= low < high <= 100, got {percentiles!r}")
    return low, high


def between_percentiles(series: Sequence[np.ndarray], percentiles: tuple[float, float], what: str) -> list[np.ndarray]:
    """The slices of a series as float32 from 0 to 1, the values at two percentiles of all its pixels.

    Raises:
        DataError: these two are the same value.
    """
    low, high = np.percentile(np.concatenate([one.ravel() for one in series]), percentiles)
    if not low < high:
        raise DataError(
            f"{what}: {low:g} is its value at both percentiles, {percentiles[0]:g} and {percentiles[1]:g}: move them "
            "apart, or leave it out"
        )
    return [((one.astype(np.float64) - low) / (high - low)).clip(0, 1).astype(np.float32) for one in series]


def stored(
    pictures: Sequence[np.ndarray | None],
    name: Callable[[int], str],
    value_range: tuple[float, float] | None,
    clip: bool = False,
    unit: str = "",
) -> Stored:
    """Pictures of one shape as an image set stores them, without a loss where there is a way without one.

    Bytes stay bytes, whole numbers are kept as they are where 16 bits hold them (or hold them shifted by a constant).
    Floats become bytes where 256 steps of the range hold them all, else whole numbers as they are where they are whole,
    else 32 768 steps of the range.

    Args:
        pictures: ``(C, H, W)`` each; an array ``(N, C, H, W)``, or a list, which is emptied on the way, so that no
            picture is in memory twice.
        name: what messages call the picture of a row.
        value_range: the two values that stand for black and white. By default 0 and 255 for bytes, 0 and 1 for
            Booleans and for floats that do not leave them; others ask.
        clip: whether values may lie outside of the range; they count as its ends.
        unit: of the values, for messages.

    Raises:
        DataError: shapes differ, a value is none (NaN, infinite) or lies outside of the range, or the range is not
            stated; the message names the picture.
    """
    check_shapes(pictures, name)
    dtype = np.result_type(*{picture.dtype for picture in pictures})
    ends = [_ends(picture, name(row)) for row, picture in enumerate(pictures)]
    lows, highs = (np.array(side) for side in zip(*ends, strict=True))
    low, high = lows.min(), highs.max()
    given = value_range or _usual(dtype, low, high, unit)
    said = []
    if outside := np.flatnonzero((lows < given[0]) | (highs > given[1])).tolist():
        row = outside[0]
        if not clip:
            others = f" ({len(outside)} of {len(pictures)} images leave it)" if len(outside) > 1 else ""
            raise DataError(
                f"{name(row)}: values from {lows[row]:g} to {highs[row]:g}, outside of the value_range {given[0]:g} to "
                f"{given[1]:g}{others}: widen it, or pass clip=True to count them as its ends"
            )
        said.append(
            f"values outside of the range count as its ends ({len(outside)} of {len(pictures)} images have some)"
        )
    how = _storage(pictures, dtype, (low, high), given)
    images = how.fill(pictures)
    shown = f"{unit or 'values'} from {given[0]:g} (black) to {given[1]:g} (white)"
    return Stored(images, (how.at(given[0]), how.at(given[1])), given, [f"{shown}, {how.said}", *said])


def check_shapes(pictures: Sequence[np.ndarray], name: Callable[[int], str]) -> None:
    """Compares the shapes of pictures ``(C, H, W)``.

    Raises:
        DataError: they differ; the message lists up to five shapes, and which picture has it.
    """
    if isinstance(pictures, np.ndarray):
        return
    shapes: dict[tuple, list[int]] = {}
    for row, picture in enumerate(pictures):
        shapes.setdefault(picture.shape, []).append(row)
    if len(shapes) == 1:
        return
    colours = {shape[0] for shape in shapes}
    listed = "; ".join(
        f"{'×'.join(map(str, shape if len(colours) > 1 else shape[1:]))}: {name(rows[0])}"
        + (f" and {len(rows) - 1} more" if len(rows) > 1 else "")
        for shape, rows in list(shapes.items())[:5]
    )
    what, do = ("channels", "make them the same") if len(colours) > 1 else ("sizes", "pass size=64 or (height, width)")
    raise DataError(f"images have {len(shapes)} different {what} ({listed}): {do}")


def _ends(picture: np.ndarray, what: str) -> tuple[float, float]:
    check_numbers(picture, what)
    return float(picture.min()), float(picture.max())


def check_numbers(picture: np.ndarray, what: str) -> None:
    """Refuses a picture with a value that is none.

    Raises:
        DataError: it holds NaN or an infinite value; the message names the pixel.
    """
    low, high = picture.min(), picture.max()
    if not (np.isfinite(low) and np.isfinite(high)):  # a NaN is the least and the greatest
        wrong = np.argwhere(~np.isfinite(picture))[0].tolist()
        kind = "NaN, no number" if np.isnan(picture[tuple(wrong)]) else "infinite"
        raise DataError(f"{what}: the pixel {tuple(wrong[1:])} is {kind}; give it a value, or leave the image out")


def _usual(dtype: np.dtype, low: float, high: float, unit: str) -> tuple[float, float]:
    """The range that a kind of values has by itself.

    Raises:
        DataError: it has none.
    """
    if dtype == np.uint8:
        return 0.0, 255.0
    if dtype.kind == "b" or (dtype.kind == "f" and low >= 0 and high <= 1):
        return 0.0, 1.0
    if unit == "HU":
        such = ", such as (-1000, 2000) for all that CT shows, or (-160, 240) for soft tissue"
    elif unit.split(" ")[0] in ("MR", "NIfTI"):  # which may be MR
        such = "; or percentiles=(1, 99) of each series, where values differ from scan to scan"
    elif dtype.kind == "f" and low >= -1 and high <= 1:
        such = "; (-1, 1) where black is -1"
    elif dtype == np.uint16:
        such = "; (0, 65535) where all 16 bits are used"
    else:
        such = ""
    raise DataError(
        f"images: {unit or str(dtype)} from {low:g} to {high:g}: pass value_range=(low, high), the values that stand "
        f"for black and white{such}"
    )


@dataclass(frozen=True)
class _Storage:
    """The stored value is (value - offset) · scale, rounded."""

    dtype: type
    offset: float = 0.0
    scale: float = 1.0
    limits: tuple[float, float] | None = None  # values beyond are cut before they are stored
    said: str = "stored as they are"

    def at(self, value: float) -> float:
        return round((value - self.offset) * self.scale, 9)  # 255, not 254.99999999999997

    def fill(self, pictures: Sequence[np.ndarray | None]) -> np.ndarray:
        if isinstance(pictures, np.ndarray) and pictures.dtype == self.dtype and self.offset == 0 and self.scale == 1:
            return np.ascontiguousarray(pictures)
        images = np.empty((len(pictures), *pictures[0].shape), self.dtype)
        for row, picture in enumerate(pictures):
            images[row] = self._one(picture)
            if isinstance(pictures, list):
                pictures[row] = None  # what is copied is let go, or all would be in memory twice
        return images

    def _one(self, picture: np.ndarray) -> np.ndarray:
        if picture.dtype.kind != "f" and self.scale == 1:
            return picture if not self.offset else picture.astype(np.int64) - int(self.offset)
        values = picture.astype(np.float64)
        if self.limits is not None:
            values = values.clip(*self.limits)
        return np.rint((values - self.offset) * self.scale)


def _storage(
    pictures: Sequence[np.ndarray], dtype: np.dtype, ends: tuple[float, float], given: tuple[float, float]
) -> _Storage:
    low, high = given
    span = high - low
    if dtype == np.uint8 or dtype.kind == "b":
        return _Storage(np.uint8)
    whole = dtype.kind in "iu"
    if dtype.kind == "f":
        scale, tolerance = 255 / span, min(4 * np.finfo(dtype).eps, 1e-3) * max(abs(low), abs(high))
        if all(_steps(picture, low, high, scale, tolerance) for picture in pictures):
            return _Storage(np.uint8, low, scale, given, "stored as bytes, which hold them all")
        whole = all((picture == np.rint(picture)).all() for picture in pictures)
    if whole and ends[0] >= INT16.min and ends[1] <= INT16.max:
        return _Storage(np.int16)
    if whole and ends[0] >= 0 and ends[1] <= 65535:
        return _Storage(np.int16, 32768.0, said="stored less 32768, without rounding")
    scale = INT16.max / span
    return _Storage(np.int16, low, scale, given, f"stored in steps of {1 / scale:.3g}: rounded by half of one at most")


def _steps(picture: np.ndarray, low: float, high: float, scale: float, tolerance: float) -> bool:
    """Whether 256 steps of the range hold all values of a picture."""
    values = picture.astype(np.float64).clip(low, high)
    return bool((np.abs(np.rint((values - low) * scale) / scale + low - values) <= tolerance).all())
