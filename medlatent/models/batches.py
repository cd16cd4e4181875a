"""Many images at once: encoding, decoding and drawing them a batch at a time, which memory holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..options import whole_options
from .base import LatentModel, measured

if TYPE_CHECKING:
    from ..data import ImageSet

BATCH = 256  # images a pass


@runtime_checkable
class _Encodes(Protocol):
    """What a model that infers codes has beside what all have."""

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]: ...


@whole_options()
def batches_of(images: ImageSet | Tensor, batch: int = BATCH) -> Iterator[Tensor]:
    """The images in their order, float ``(B, C, H, W)`` in [0, 1], ``batch`` at a time.

    Args:
        images: a set, or a tensor ``(N, C, H, W)`` in [0, 1].
        batch: images a pass.

    Raises:
        ValueError: there are none.
    """
    if not len(images):
        raise ValueError("images: there are none")
    for start in range(0, len(images), batch):
        part = slice(start, start + batch)
        yield images[part] if isinstance(images, Tensor) else images.batch(part)


@torch.no_grad()
@whole_options()
def encode_all(model: LatentModel, images: ImageSet | Tensor, batch: int = BATCH) -> tuple[Tensor, Tensor]:
    """The posteriors of many images, of the model as it is measured: see :func:`measured`.

    Args:
        model: with ``encode``, on any device, in any mode; it is left as it was.
        images: a set, or a tensor ``(N, C, H, W)`` in [0, 1].
        batch: images a pass.

    Returns:
        The means and the log-variances, ``(N, D)`` each, on the CPU, without gradients.

    Raises:
        ValueError: there are no images, or they are of another shape than the model's, or it infers no codes.
    """
    if not isinstance(model, _Encodes):
        raise ValueError(f"model: {type(model).__name__} has no encode(images): it infers no codes")
    if not isinstance(images, Tensor):
        model.check_images(images.images.shape[1:], f"the images of {images.card.name}")
    with measured(model):
        parts = [model.encode(part.to(model.device)) for part in batches_of(images, batch)]
    mean, logvar = (torch.cat(part).cpu() for part in zip(*parts, strict=True))
    return mean, logvar


@torch.no_grad()
@whole_options()
def decode_all(model: LatentModel, codes: Tensor, batch: int = BATCH) -> Tensor:
    """The images of many codes, of the model as it is measured: see :func:`measured`.

    Args:
        model: on any device, in any mode; it is left as it was.
        codes: ``(N, D)``, on any device.
        batch: codes a pass.

    Returns:
        ``(N, C, H, W)`` in [0, 1], on the CPU, without gradients.
    """
    with measured(model):
        return torch.cat([model.decode(part.to(model.device)).cpu() for part in codes.split(batch)])


@whole_options()
def draw_images(
    model: LatentModel, n: int, seed: int = 0, batch: int = BATCH, **columns: Tensor
) -> tuple[Tensor, Tensor]:
    """Images drawn from the prior, always from the same random numbers, whatever the device.

    Args:
        model: on any device, in any mode; it is left as it was.
        n: how many.
        seed: of the codes.
        batch: codes a pass.
        **columns: those that the prior depends on, n values each.

    Returns:
        The codes, ``(n, D)``, and the images, ``(n, C, H, W)`` in [0, 1], both on the CPU.
    """
    codes = model.sample_codes(n, torch.Generator().manual_seed(seed), **columns).cpu()
    return codes, decode_all(model, codes, batch)
