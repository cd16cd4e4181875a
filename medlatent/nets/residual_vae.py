"""The residual encoder and decoder of the VAE of Schön et al. (2022), as their published code has them.

The encoder halves the image until its shorter side has 4 to 7 pixels, the decoder doubles a single pixel, the code, up
to the image. Each
block has half as many channels in its middle as at its end; pooling and repeating stand between its two convolutions,
so that the first sees the larger image on the way down and the smaller one on the way up. With 1 channel, 128×128
pixels and a code of 32 dimensions the encoder holds 9 141 056 parameters and the decoder 20 893 041.

The activation is the published code's ``rrelu``, called as a function, which without ``training=True`` draws nothing:
it is a LeakyReLU whose slope is the mean of 1/8 and 1/3.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..options import whole_options
from .introvae import stage_widths
from .sides import Sides, Size, halved, sides

SLOPE = (1 / 8 + 1 / 3) / 2  # 11/48


class ResidualBlock(nn.Module):
    """A residual block of two 3×3 convolutions that resizes: LeakyReLU(shortcut(x) + main(x)).

    The main way is convolution, batch normalisation, LeakyReLU, resizing, convolution, batch normalisation; the
    shortcut resizes and has a 3×3 convolution.

    Args:
        inputs: channels that come in.
        outputs: channels that go out, twice those of the middle.
        up: whether it doubles the side, repeating pixels; else it halves it, averaging them.
        to: where it doubles, height and width of what comes out; by default twice those of what comes in.
    """

    def __init__(self, inputs: int, outputs: int, up: bool = False, to: Sides | None = None) -> None:
        super().__init__()

        def resize() -> nn.Module:
            if not up:
                return nn.AvgPool2d(2)
            return nn.Upsample(scale_factor=2) if to is None else nn.Upsample(to)

        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs // 2, 3, padding=1),
            nn.BatchNorm2d(outputs // 2),
            nn.LeakyReLU(SLOPE, inplace=True),
            resize(),
            nn.Conv2d(outputs // 2, outputs, 3, padding=1),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Sequential(resize(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, ⌊H/2⌋, ⌊W/2⌋)``, or twice the side."""
        return self.activation(self.shortcut(x) + self.main(x))


def _widths(size: Size, width: int) -> list[int]:
    if width < 4 or width % 4:
        raise ValueError(f"width: blocks are halved in their middle, so a multiple of 4, at least 4, got {width}")
    return stage_widths(size, width)


class ResidualVAEEncoder(nn.Sequential):
    """Images ``(B, channels, H, W)`` in [0, 1] to ``(B, outputs)``.

    At 128 pixels five blocks of 64, 128, 256, 512 and 512 channels, at 64 the first four of them; and a 4×4 convolution
    over what is left.

    Args:
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        outputs: the number of outputs; twice the latent dimension for a Gaussian posterior (mean and log-variance).
        width: channels of the first block, a multiple of 4; 64 in the paper.

    Raises:
        ValueError: an argument is out of its range.
    """

    @whole_options()
    def __init__(self, channels: int = 1, size: Size = 128, outputs: int = 64, width: int = 64) -> None:
        widths = _widths(size, width)
        blocks = [ResidualBlock(i, o) for i, o in zip([channels, *widths], widths, strict=False)]
        super().__init__(*blocks, nn.Conv2d(widths[-1], outputs, halved(sides(size), len(widths))), nn.Flatten())


class ResidualVAEDecoder(nn.Sequential):
    """Codes ``(B, latent_dim)`` to the logits of images ``(B, channels, H, W)``; their sigmoid is the image.

    The published code ends in tanh, for images in [-1, 1]: (tanh(x) + 1) / 2 is the sigmoid of 2x. At 128 pixels seven
    blocks of 1024, 512, 512, 256, 128, 64 and 32 channels, at 64 six: one of 512 less.

    Args:
        latent_dim: the dimension of the code.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: twice the channels of the last block, a multiple of 4; 64 in the paper.

    Raises:
        ValueError: an argument is out of its range.
    """

    @whole_options()
    def __init__(self, latent_dim: int = 32, channels: int = 1, size: Size = 128, width: int = 64) -> None:
        narrowing = _widths(size, width)[::-1]
        widths = [2 * narrowing[0], *narrowing, width // 2]
        blocks = [
            ResidualBlock(i, o, up=True, to=halved(sides(size), len(widths) - left))
            for left, (i, o) in enumerate(zip([latent_dim, *widths], widths, strict=False), 1)
        ]
        super().__init__(nn.Unflatten(1, (latent_dim, 1, 1)), *blocks, nn.Conv2d(widths[-1], channels, 3, padding=1))
