"""The convolutional networks of Chen et al. with bottleneck residual blocks in place of the convolutions.

Sarhan et al. (2019) replace "the convolutional layers with bottleneck residual blocks" of He et al. (2016) and give no
further number. Here a block keeps the 4×4 convolution of stride 2 that it replaces, and its width, between two 1×1
convolutions; a 1×1 convolution of the shortcut makes the shapes fit. The first convolution of the encoder and the last
of the decoder stay plain, as in He et al.: three channels leave nothing to narrow. Batch normalisation follows each
convolution inside a block, as it does there.
"""

from __future__ import annotations

from torch import Tensor, nn

from .conv import HIDDEN, WIDTHS, feature_side

EXPANSION = 2  # of the width inside a block to the width between blocks


def _activation(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope, inplace=True) if slope else nn.ReLU(inplace=True)


class Bottleneck(nn.Module):
    """A residual block that halves or doubles the side of its input: activation(shortcut(x) + main(x)).

    Args:
        inputs: channels that come in.
        width: channels of the 4×4 convolution.
        outputs: channels that go out.
        up: whether it doubles the side; else it halves it.
        slope: of LeakyReLU for negative values; 0 is ReLU.
    """

    def __init__(self, inputs: int, width: int, outputs: int, up: bool = False, slope: float = 0.0) -> None:
        super().__init__()
        middle = nn.ConvTranspose2d if up else nn.Conv2d
        self.main = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            _activation(slope),
            middle(width, width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(width),
            _activation(slope),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        resize = nn.Upsample(scale_factor=2) if up else nn.AvgPool2d(2)
        self.shortcut = nn.Sequential(resize, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.activation = _activation(slope)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H/2, W/2)``, or twice the side."""
        return self.activation(self.shortcut(x) + self.main(x))


class ResidualEncoder(nn.Sequential):
    """Images ``(B, channels, size, size)`` in [0, 1] to ``(B, outputs)``, through three bottleneck blocks.

    Args:
        channels: image channels.
        size: the side of the image in pixels, a multiple of 16.
        outputs: the number of outputs; twice the latent dimension for a Gaussian posterior, 1 for a discriminator.
        slope: of LeakyReLU for negative values; 0 is ReLU.

    Raises:
        ValueError: ``size`` is no multiple of 16.
    """

    def __init__(self, channels: int = 3, size: int = 64, outputs: int = 64, slope: float = 0.0) -> None:
        side = feature_side(size)
        a, b, c, d = (EXPANSION * width for width in WIDTHS)
        super().__init__(
            nn.Conv2d(channels, a, 4, stride=2, padding=1),
            _activation(slope),
            Bottleneck(a, b // EXPANSION, b, slope=slope),
            Bottleneck(b, c // EXPANSION, c, slope=slope),
            Bottleneck(c, d // EXPANSION, d, slope=slope),
            nn.Flatten(),
            nn.Linear(d * side * side, HIDDEN),
            _activation(slope),
            nn.Linear(HIDDEN, outputs),
        )


class ResidualDecoder(nn.Sequential):
    """Codes ``(B, latent_dim)`` to the logits of images ``(B, channels, size, size)``, through three bottleneck blocks.

    Args:
        latent_dim: the dimension of the code.
        channels: image channels.
        size: the side of the image in pixels, a multiple of 16.
        slope: of LeakyReLU for negative values; 0 is ReLU.

    Raises:
        ValueError: ``size`` is no multiple of 16.
    """

    def __init__(self, latent_dim: int = 32, channels: int = 3, size: int = 64, slope: float = 0.0) -> None:
        side = feature_side(size)
        a, b, c, d = (EXPANSION * width for width in WIDTHS)
        super().__init__(
            nn.Linear(latent_dim, HIDDEN),
            _activation(slope),
            nn.Linear(HIDDEN, d * side * side),
            _activation(slope),
            nn.Unflatten(1, (d, side, side)),
            Bottleneck(d, d // EXPANSION, c, up=True, slope=slope),
            Bottleneck(c, c // EXPANSION, b, up=True, slope=slope),
            Bottleneck(b, b // EXPANSION, a, up=True, slope=slope),
            nn.ConvTranspose2d(a, channels, 4, stride=2, padding=1),
        )
