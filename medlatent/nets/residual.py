"""The convolutional networks of Chen et al. with bottleneck residual blocks in place of the convolutions.

Sarhan et al. (2019) replace "the convolutional layers with bottleneck residual blocks" of He et al. (2016) and give no
further number. Here a block keeps the 4×4 convolution of stride 2 that it replaces, and its width, between two 1×1
convolutions; a 1×1 convolution of the shortcut makes the shapes fit. The first convolution of the encoder and the last
of the decoder stay plain, as in He et al.: three channels leave nothing to narrow. Batch normalisation follows each
convolution inside a block, as it does there.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..options import whole_options
from .conv import HIDDEN, WIDTHS, feature_sides
from .sides import Sides, Size, halved, odd, sides

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
        to: where it doubles, height and width of what comes out where one is odd; by default both are doubled.
    """

    def __init__(
        self, inputs: int, width: int, outputs: int, up: bool = False, slope: float = 0.0, to: Sides | None = None
    ) -> None:
        super().__init__()

        def middle() -> nn.Module:  # built in its place: weights are drawn in the order in which layers are
            if not up:
                return nn.Conv2d(width, width, 4, stride=2, padding=1, bias=False)
            more = odd(to or (0, 0))
            return nn.ConvTranspose2d(width, width, 4, stride=2, padding=1, output_padding=more, bias=False)

        self.main = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            nn.BatchNorm2d(width),
            _activation(slope),
            middle(),
            nn.BatchNorm2d(width),
            _activation(slope),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        doubled = nn.Upsample(scale_factor=2) if to is None else nn.Upsample(to)
        resize = doubled if up else nn.AvgPool2d(2)
        self.shortcut = nn.Sequential(resize, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.activation = _activation(slope)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ⌊H/2⌋, ⌊W/2⌋)``, or twice the side."""
        return self.activation(self.shortcut(x) + self.main(x))


class ResidualEncoder(nn.Sequential):
    """Images ``(B, channels, H, W)`` in [0, 1] to ``(B, outputs)``, through three bottleneck blocks.

    Args:
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 16.
        outputs: the number of outputs; twice the latent dimension for a Gaussian posterior, 1 for a discriminator.
        slope: of LeakyReLU for negative values; 0 is ReLU.

    Raises:
        ValueError: a side is below 16 pixels.
    """

    @whole_options()
    def __init__(self, channels: int = 3, size: Size = 64, outputs: int = 64, slope: float = 0.0) -> None:
        high, wide = feature_sides(size)
        a, b, c, d = (EXPANSION * width for width in WIDTHS)
        super().__init__(
            nn.Conv2d(channels, a, 4, stride=2, padding=1),
            _activation(slope),
            Bottleneck(a, b // EXPANSION, b, slope=slope),
            Bottleneck(b, c // EXPANSION, c, slope=slope),
            Bottleneck(c, d // EXPANSION, d, slope=slope),
            nn.Flatten(),
            nn.Linear(d * high * wide, HIDDEN),
            _activation(slope),
            nn.Linear(HIDDEN, outputs),
        )


class ResidualDecoder(nn.Sequential):
    """Codes ``(B, latent_dim)`` to the logits of images ``(B, channels, H, W)``, through three bottleneck blocks.

    Args:
        latent_dim: the dimension of the code.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 16.
        slope: of LeakyReLU for negative values; 0 is ReLU.

    Raises:
        ValueError: a side is below 16 pixels.
    """

    @whole_options()
    def __init__(self, latent_dim: int = 32, channels: int = 3, size: Size = 64, slope: float = 0.0) -> None:
        (high, wide), whole = feature_sides(size), sides(size)
        a, b, c, d = (EXPANSION * width for width in WIDTHS)
        super().__init__(
            nn.Linear(latent_dim, HIDDEN),
            _activation(slope),
            nn.Linear(HIDDEN, d * high * wide),
            _activation(slope),
            nn.Unflatten(1, (d, high, wide)),
            Bottleneck(d, d // EXPANSION, c, up=True, slope=slope, to=halved(whole, 3)),
            Bottleneck(c, c // EXPANSION, b, up=True, slope=slope, to=halved(whole, 2)),
            Bottleneck(b, b // EXPANSION, a, up=True, slope=slope, to=halved(whole, 1)),
            nn.ConvTranspose2d(a, channels, 4, stride=2, padding=1, output_padding=odd(whole)),
        )
