"""The convolutional encoder and decoder of the CelebA experiments of Chen et al. (2018).

Four 4×4 convolutions of stride 2 halve the image to 1/16 of its side; two linear layers lead to the code. The decoder
mirrors it, at any height and width (:mod:`medlatent.nets.sides`). ReLU everywhere, no normalisation. With 3 channels,
64×64 pixels and a code of 32 dimensions the two hold 783 235 parameters. Other ``widths`` make it the network of
others: five of 32 channels that of Di Folco et al. (2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from ..options import whole_options
from .sides import Sides, Size, halved, odd, sides, written

WIDTHS = (32, 32, 64, 64)
HIDDEN = 256


@whole_options()
def feature_sides(size: Size, halvings: int = len(WIDTHS)) -> Sides:
    """Height and width of the last feature map, after four halvings 1/16 of the image's, rounded down.

    Raises:
        ValueError: nothing is left of a side.
    """
    least = 2**halvings
    if min(sides(size)) < least:
        raise ValueError(f"size: {halvings} halvings need at least {least} pixels a side, got {written(size)}")
    return halved(sides(size), halvings)


def _last_sides(size: Size, widths: Sequence[int]) -> Sides:
    if not widths or min(widths) < 1:
        raise ValueError(f"widths: expected at least one convolution of at least one channel, got {list(widths)}")
    return feature_sides(size, len(widths))


class ConvEncoder(nn.Sequential):
    """Images ``(B, channels, H, W)`` in [0, 1] to ``(B, outputs)``.

    Args:
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 16.
        outputs: the number of outputs; twice the latent dimension for a Gaussian posterior (mean and log-variance).
        widths: the channels of each convolution. n of them halve n times, a side has then at least 2ⁿ pixels.

    Raises:
        ValueError: a side is too short, or ``widths`` is empty.
    """

    @whole_options()
    def __init__(self, channels: int = 3, size: Size = 64, outputs: int = 64, widths: Sequence[int] = WIDTHS) -> None:
        high, wide = _last_sides(size, widths)
        layers: list[nn.Module] = []
        for inputs, width in pairwise([channels, *widths]):
            layers += [nn.Conv2d(inputs, width, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
        super().__init__(
            *layers,
            nn.Flatten(),
            nn.Linear(widths[-1] * high * wide, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, outputs),
        )


class ConvDecoder(nn.Sequential):
    """Codes ``(B, latent_dim)`` to the logits of images ``(B, channels, H, W)``; their sigmoid is the image.

    Args:
        latent_dim: the dimension of the code.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 16.
        widths: those of the encoder that it mirrors.

    Raises:
        ValueError: a side is too short, or ``widths`` is empty.
    """

    @whole_options()
    def __init__(
        self, latent_dim: int = 32, channels: int = 3, size: Size = 64, widths: Sequence[int] = WIDTHS
    ) -> None:
        high, wide = _last_sides(size, widths)
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, widths[-1] * high * wide),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (widths[-1], high, wide)),
        ]
        for left, (inputs, outputs) in enumerate(pairwise([*widths[::-1], channels]), 1):
            more = odd(halved(sides(size), len(widths) - left))
            layers += [
                nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, output_padding=more),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers[:-1])


def count_parameters(module: nn.Module) -> int:
    """The number of trainable values in a network."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
