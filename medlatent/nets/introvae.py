"""The residual encoder and decoder of IntroVAE (Huang et al. 2018), as Soft-IntroVAE (Daniel and Tamar 2021) has them.

An image is halved until its shorter side has 4 to 7 pixels, with 64, 128, 256, 512, 512, … channels. With 2 channels,
128×128 pixels and a code of 128 dimensions, the network of Di Folco et al. (2024), the encoder holds 16 362 496
parameters and the decoder 13 071 490.
"""

from __future__ import annotations

from torch import Tensor, nn

from ..options import whole_options
from .sides import Size, halved, halvings_to, sides

SLOPE = 0.2  # of LeakyReLU
SIDE = 4  # of the smallest feature map
WIDEST = 8  # of a feature map to the first one


@whole_options()
def stage_widths(size: Size, width: int) -> list[int]:
    """The channels of each resolution from the image's half down to 4 pixels: doubled up to eight times ``width``.

    Raises:
        ValueError: a side is below 8 pixels, or ``width`` is not positive.
    """
    stages = halvings_to(size, SIDE)
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    return [width * min(2**stage, WIDEST) for stage in range(stages)]


class IntroBlock(nn.Module):
    """A residual block of two 3×3 convolutions: LeakyReLU(shortcut(x) + main(x)).

    Normalised are the two convolutions, not the sum. Where the channels change, the shortcut is a 1×1 convolution; else
    it is x itself. (The published code compares the channels with ``is not``, which takes equal numbers above 256 for
    different ones when they were read from a file: 512 to 512 then gets a 1×1 convolution, too.)

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1, bias=False)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H, W)``."""
        return self.activation(self.shortcut(x) + self.main(x))


class IntroVAEEncoder(nn.Sequential):
    """Images ``(B, channels, H, W)`` in [0, 1] to ``(B, outputs)``.

    Args:
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        outputs: the number of outputs; twice the latent dimension for a Gaussian posterior (mean and log-variance).
        width: channels of the first feature map; 64 in the paper.

    Raises:
        ValueError: an argument is out of its range.
    """

    @whole_options()
    def __init__(self, channels: int = 2, size: Size = 128, outputs: int = 256, width: int = 64) -> None:
        first, *others = widths = stage_widths(size, width)
        high, wide = halved(sides(size), len(widths))
        layers: list[nn.Module] = [
            nn.Conv2d(channels, first, 5, padding=2, bias=False),
            nn.BatchNorm2d(first),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.AvgPool2d(2),
        ]
        for inputs, wider in zip(widths, others, strict=False):
            layers += [IntroBlock(inputs, wider), nn.AvgPool2d(2)]
        super().__init__(
            *layers,
            IntroBlock(widths[-1], widths[-1]),
            nn.Flatten(),
            nn.Linear(widths[-1] * high * wide, outputs),
        )
        _initialise(self)


class IntroVAEDecoder(nn.Sequential):
    """Codes ``(B, latent_dim)`` to images ``(B, channels, H, W)``, without a sigmoid: they may leave [0, 1].

    Args:
        latent_dim: the dimension of the code.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: channels of the last feature map; 64 in the paper.

    Raises:
        ValueError: an argument is out of its range.
    """

    @whole_options()
    def __init__(self, latent_dim: int = 128, channels: int = 2, size: Size = 128, width: int = 64) -> None:
        widths = stage_widths(size, width)[::-1]
        high, wide = halved(sides(size), len(widths))
        layers: list[nn.Module] = []
        for left, (inputs, narrower) in enumerate(zip([widths[0], *widths], widths, strict=False), 1):
            layers += [IntroBlock(inputs, narrower), nn.Upsample(halved(sides(size), len(widths) - left))]
        super().__init__(
            nn.Linear(latent_dim, widths[0] * high * wide),
            nn.ReLU(inplace=True),
            nn.Unflatten(1, (widths[0], high, wide)),
            *layers,
            IntroBlock(widths[-1], widths[-1]),
            nn.Conv2d(widths[-1], channels, 5, padding=2),
        )
        _initialise(self)


def _initialise(network: nn.Module) -> None:
    """Weights of Glorot and Bengio's (2010) normal distribution, as the published code draws them."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.xavier_normal_(layer.weight)
