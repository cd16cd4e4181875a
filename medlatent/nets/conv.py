"""The convolutional encoder and decoder of the CelebA experiments of Chen et al. (2018).

Four 4×4 convolutions of stride 2 halve the image to 1/16 of its side; two linear layers lead to the code. The decoder
mirrors it. ReLU everywhere, no normalisation. With 3 channels, 64×64 pixels and a code of 32 dimensions the two hold
783 235 parameters.
"""

from __future__ import annotations

from torch import nn

WIDTHS = (32, 32, 64, 64)
HIDDEN = 256


def feature_side(size: int) -> int:
    """The side of the last feature map, 1/16 of the image's."""
    if size < 16 or size % 16:
        raise ValueError(f"size: four halvings need a multiple of 16 pixels, got {size}")
    return size // 16


class ConvEncoder(nn.Sequential):
    """Images ``(B, channels, size, size)`` in [0, 1] to ``(B, outputs)``.

    Args:
        channels: image channels.
        size: the side of the image in pixels, a multiple of 16.
        outputs: the number of outputs; twice the latent dimension for a Gaussian posterior (mean and log-variance).

    Raises:
        ValueError: ``size`` is no multiple of 16.
    """

    def __init__(self, channels: int = 3, size: int = 64, outputs: int = 64) -> None:
        side = feature_side(size)
        a, b, c, d = WIDTHS
        super().__init__(
            nn.Conv2d(channels, a, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(a, b, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(b, c, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c, d, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(d * side * side, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, outputs),
        )


class ConvDecoder(nn.Sequential):
    """Codes ``(B, latent_dim)`` to the logits of images ``(B, channels, size, size)``; their sigmoid is the image.

    Args:
        latent_dim: the dimension of the code.
        channels: image channels.
        size: the side of the image in pixels, a multiple of 16.

    Raises:
        ValueError: ``size`` is no multiple of 16.
    """

    def __init__(self, latent_dim: int = 32, channels: int = 3, size: int = 64) -> None:
        side = feature_side(size)
        a, b, c, d = WIDTHS
        super().__init__(
            nn.Linear(latent_dim, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, d * side * side),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (d, side, side)),
            nn.ConvTranspose2d(d, c, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(c, b, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(b, a, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(a, channels, 4, stride=2, padding=1),
        )


def count_parameters(module: nn.Module) -> int:
    """The number of trainable values in a network."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
