"""Heights and widths of feature maps, for images of any shape.

A convolution of 4×4 pixels and stride 2, with one pixel of padding, makes ⌊n/2⌋ pixels of n; its transpose makes 2n or,
with one more pixel of output padding, 2n + 1. So a decoder that is told which sides were odd mirrors an encoder at any
size, and where all sides are even both are what they are without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..options import whole

Sides = tuple[int, int]
Size = int | Sequence[int]
"""The side of a square image in pixels, or height and width."""


def sides(size: Any) -> Sides:
    """Height and width from the side of a square, or from both.

    Raises:
        ValueError: it is neither one nor two whole numbers.
    """
    pair = list(size) if isinstance(size, Sequence) and not isinstance(size, str) else [size, size]
    try:
        high, wide = (whole("size", side) for side in pair)
    except ValueError:
        raise ValueError(f"size: expected a whole number of pixels, or height and width, got {size!r}") from None
    return high, wide


def halved(size: Sides, times: int) -> Sides:
    """Height and width after so many halvings, each rounded down."""
    return size[0] >> times, size[1] >> times


def odd(size: Sides) -> Sides:
    """1 for each side that is odd, else 0: the output padding with which a transposed convolution leads to it."""
    return size[0] % 2, size[1] % 2


def written(size: Any) -> str:
    """A size as messages have it: 64, or 64×96."""
    high, wide = sides(size)
    return f"{high}" if high == wide else f"{high}×{wide}"


def halvings_to(size: Size, least: int = 4) -> int:
    """How often an image can be halved until its shorter side has ``least`` to 2 ``least`` - 1 pixels.

    Raises:
        ValueError: the shorter side is below 2 ``least``.
    """
    shorter = min(sides(size))
    if shorter < 2 * least:
        raise ValueError(f"size: the shorter side needs at least {2 * least} pixels, got {written(size)}")
    return (shorter // least).bit_length() - 1
