"""The same images seen otherwise: at half the resolution, or one picture of several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from ..options import whole_options
from .errors import DataError
from .imageset import ImageSet
from .source import ClassifierSpec, Source, StandIn


def halved(images: ImageSet) -> ImageSet:
    """The images at half the resolution: each pixel is the mean of 2×2, rounded to a whole number.

    Raises:
        DataError: a side is odd.
    """
    n, c, h, w = images.images.shape
    if h % 2 or w % 2:
        raise DataError(f"images: {h}×{w} pixels cannot be halved, a side is odd")
    blocks = images.images.reshape(n, c, h // 2, 2, w // 2, 2).mean((3, 5), dtype=np.float32)
    coarser = {"size": lambda side: side // 2, "spacing": lambda mm: 2 * mm, "pixel_mm": lambda mm: 2 * mm}
    return _seen(images, np.rint(blocks).astype(images.images.dtype), "every 2×2 pixels averaged", coarser)


def picture(images: ImageSet, channel: int, name: str) -> ImageSet:
    """One of the pictures in an image's channels, as images of one channel.

    Args:
        images: the set.
        channel: its position.
        name: what it shows, for the card.

    Raises:
        DataError: there is no such channel.
    """
    channels = images.images.shape[1]
    if not 0 <= channel < channels:
        raise DataError(f"channel: {channel} is none of the {channels} of {images.card.name}")
    return _seen(images, images.images[:, channel : channel + 1], f"{name} alone", {"channels": lambda _: [name]})


def _seen(images: ImageSet, pixels: np.ndarray, how: str, changed: Mapping[str, Callable]) -> ImageSet:
    attributes = {name: changed.get(name, lambda same: same)(value) for name, value in images.card.attributes.items()}
    card = replace(images.card, preprocessing=f"{images.card.preprocessing}; {how}", attributes=attributes)
    return ImageSet(pixels, images.table, images.factors, card, images.group, images.value_range)


@whole_options(DataError)
def coarser(source: Source, pictures: Sequence[str] = (), size: int = 128) -> tuple[Source, ...]:
    """Sources that show images at half the resolution: all of their channels, and each alone.

    What stands in for them is the same view of what stands in for the source, and their classifiers are trained on the
    same view of what the source's are.

    Args:
        source: of images of ``size`` pixels a side.
        pictures: what its channels show, in their order; without any there is no source of one channel.
        size: an even number, 128 unless the source has other images.

    Returns:
        ``NAME.64``, and ``NAME.64.PICTURE`` for each picture, where 64 is half of the size.
    """
    half = size // 2

    def seen(images: ImageSet) -> ImageSet:
        if images.images.shape[2:] != (size, size):
            height, width = images.images.shape[2:]
            raise DataError(
                f"{source.name}: {source.name}.{half} shows images of {size}×{size}, and these have {height}×{width}"
            )
        return halved(images)

    def beside(part: str) -> StandIn | None:
        other = source.stand_in
        return other and replace(other, source=f"{other.source}.{part}")

    def classifiers(part: str, channels: int | None = None) -> tuple[ClassifierSpec, ...]:
        return tuple(
            replace(spec, source=f"{spec.source}.{part}", shape=(channels or spec.shape[0], half, half))
            for spec in source.classifiers
        )

    part = f"{half}"
    views = [source.seen(part, f"{source.name} at {half} pixels", seen, beside(part), classifiers(part))]
    for k, name in enumerate(pictures):
        part = f"{half}.{name}"
        alone = partial(lambda images, k, name: picture(seen(images), k, name), k=k, name=name)
        summary = f"{source.name} at {half} pixels, {name} alone"
        views.append(source.seen(part, summary, alone, beside(part), classifiers(part, 1)))
    return tuple(views)
