"""A perceptual error: the squared error of feature maps in place of pixels (Johnson et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ._checks import one_shape


def feature_error(maps: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """The mean squared error of each layer's feature maps, summed over the layers, of each image.

    Args:
        maps: of each layer those of a batch, ``(B, C_l, H_l, W_l)``, see :mod:`medlatent.nets`.
        targets: the same of what the batch is compared with.

    Returns:
        ``(B,)``, in the square of the unit that the network's features have.

    Raises:
        ValueError: the numbers of layers differ, or there is none, or the shapes of a layer differ.
    """
    if not maps or len(maps) != len(targets):
        raise ValueError(f"maps: expected those of the same layers, at least one, got {len(maps)} and {len(targets)}")
    for ours, theirs in zip(maps, targets, strict=True):
        one_shape(maps=ours, targets=theirs)
    layers = [(ours - theirs).square().mean((1, 2, 3)) for ours, theirs in zip(maps, targets, strict=True)]
    return torch.stack(layers).sum(0)
