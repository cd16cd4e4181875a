"""Generators and discriminators: the networks of InfoGAN (Chen et al. 2016) and of the DCGAN (Radford et al. 2016).

All weights of convolutions and linear layers are drawn from N(0, 0.02), the scales of batch normalisation from N(1,
0.02), and biases are 0. A layer before batch normalisation has no bias, which the next would take away again. A
generator returns logits, whose sigmoid is the image. A discriminator is a trunk, which gives features ``(B, F)``, and a
head, which makes one logit of them, so that other heads may read the same features.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..options import whole_options
from .sides import Sides, Size, halved, halvings_to, odd, sides, written

DEVIATION = 0.02  # of the initial weights


def initialise(network: nn.Module) -> None:
    """Draws all weights anew: N(0, 0.02), scales of batch normalisation N(1, 0.02), biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, DEVIATION)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, DEVIATION)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Discriminator(nn.Module):
    """A trunk and the head that says whether an image is real.

    Args:
        trunk: images ``(B, channels, H, W)`` to features ``(B, F)``.
        features: F.
    """

    def __init__(self, trunk: nn.Module, features: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.head = nn.Linear(features, 1)
        self.features = features
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """The logits ``(B, 1)`` of images ``(B, channels, H, W)``."""
        return self.head(self.trunk(images))


def _quarter(size: Size) -> Sides:
    if min(sides(size)) < 8:
        raise ValueError(f"size: two halvings need at least 8 pixels a side, got {written(size)}")
    return halved(sides(size), 2)


class InfoGANGenerator(nn.Sequential):
    """Codes ``(B, code_dim)`` to the logits of images ``(B, channels, H, W)``, as InfoGAN draws digits.

    A linear layer to 16 ``width`` values, a transposed convolution to 2 ``width`` maps of a quarter of the image's
    side, and two that double it, to ``width`` maps and to the image; batch normalisation and ReLU between them. At the
    defaults 74 → 1024 → 128 → 64 → 1 with 6 632 833 parameters.

    Args:
        code_dim: the dimension of the code, noise included.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: 64 in InfoGAN.

    Raises:
        ValueError: a side is below 8 pixels.
    """

    @whole_options()
    def __init__(self, code_dim: int = 74, channels: int = 1, size: Size = 28, width: int = 64) -> None:
        quarter, whole = _quarter(size), sides(size)
        super().__init__(
            nn.Linear(code_dim, 16 * width, bias=False),
            nn.Unflatten(1, (16 * width, 1, 1)),
            nn.BatchNorm2d(16 * width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(16 * width, 2 * width, quarter, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(
                2 * width, width, 4, stride=2, padding=1, output_padding=odd(halved(whole, 1)), bias=False
            ),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(width, channels, 4, stride=2, padding=1, output_padding=odd(whole)),
        )
        initialise(self)


class InfoGANDiscriminator(Discriminator):
    """The trunk and the head of InfoGAN's discriminator; Q reads the same trunk, see :class:`CodeReader`.

    Two convolutions that halve the image, to ``width`` and 2 ``width`` maps, and one over all that is left, to 16
    ``width`` features; batch normalisation after all but the first, LeakyReLU of slope 0.1. At the defaults
    1 → 64 → 128 → 1024 → 1 with 6 558 017 parameters.

    Args:
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: 64 in InfoGAN.

    Raises:
        ValueError: a side is below 8 pixels.
    """

    @whole_options()
    def __init__(self, channels: int = 1, size: Size = 28, width: int = 64) -> None:
        trunk = nn.Sequential(
            nn.Conv2d(channels, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Conv2d(2 * width, 16 * width, _quarter(size), bias=False),
            nn.BatchNorm2d(16 * width),
            nn.LeakyReLU(0.1, inplace=True),
            nn.Flatten(),
        )
        super().__init__(trunk, 16 * width)


class CodeReader(nn.Module):
    """InfoGAN's Q head: from the trunk's features to the distribution of the code.

    A linear layer to 2 ``width`` units with batch normalisation and LeakyReLU of slope 0.1, then one each to the logits
    of the category and to mean and log-variance of the continuous codes. At the defaults 133 134 parameters.

    Args:
        features: of the trunk.
        categories: K, the number of categories; 0 for none.
        continuous: the number of continuous codes; 0 for none.
        width: 64 in InfoGAN.
    """

    @whole_options()
    def __init__(self, features: int = 1024, categories: int = 10, continuous: int = 2, width: int = 64) -> None:
        super().__init__()
        self.hidden = nn.Sequential(
            nn.Linear(features, 2 * width, bias=False), nn.BatchNorm1d(2 * width), nn.LeakyReLU(0.1, inplace=True)
        )
        self.outputs = nn.Linear(2 * width, categories + 2 * continuous)
        self.sizes = (categories, continuous, continuous)
        initialise(self)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features ``(B, F)`` to the category's logits ``(B, K)`` and the codes' means and log-variances ``(B, L)``."""
        return self.outputs(self.hidden(features)).split(self.sizes, 1)


def halvings(size: Size) -> int:
    """How often an image must be halved, sides rounded down, until 4 to 7 pixels of its shorter side are left.

    Raises:
        ValueError: the shorter side has fewer than 8 pixels.
    """
    return halvings_to(size)


class DCGANGenerator(nn.Sequential):
    """Codes ``(B, latent_dim)`` to the logits of images ``(B, channels, H, W)``, as the DCGAN draws them.

    A linear layer to maps of 4 to 7 pixels' side, then transposed convolutions, 4×4 of stride 2, that double the side
    and halve the number of maps, the last but one of which are ``width``; batch normalisation and ReLU between them. At
    64 pixels that is 8w → 4w → 2w → w → image, at 28 pixels (from 7) 2w → w → image.

    Args:
        latent_dim: the dimension of the code.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: 128 in Radford et al. (2016).

    Raises:
        ValueError: a side is below 8 pixels.
    """

    @whole_options()
    def __init__(self, latent_dim: int = 64, channels: int = 3, size: Size = 64, width: int = 32) -> None:
        count = halvings(size)
        (high, wide), maps = halved(sides(size), count), width << (count - 1)
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, maps * high * wide, bias=False),
            nn.Unflatten(1, (maps, high, wide)),
        ]
        for left in range(count - 1, 0, -1):
            more = odd(halved(sides(size), left))
            layers += [
                nn.BatchNorm2d(maps),
                nn.ReLU(inplace=True),
                nn.ConvTranspose2d(maps, maps // 2, 4, stride=2, padding=1, output_padding=more, bias=False),
            ]
            maps //= 2
        layers += [nn.BatchNorm2d(maps), nn.ReLU(inplace=True)]
        last = nn.ConvTranspose2d(maps, channels, 4, stride=2, padding=1, output_padding=odd(sides(size)))
        super().__init__(*layers, last)
        initialise(self)


class DCGANDiscriminator(Discriminator):
    """The DCGAN's discriminator: convolutions, 4×4 of stride 2, until 4 to 7 pixels' side are left, and a linear head.

    The generator's mirror, with LeakyReLU of slope 0.2 and, after all but the first convolution, batch normalisation.
    Two others judge each image by itself.

    Args:
        channels: image channels.
        size: the side of the image in pixels, see :class:`DCGANGenerator`.
        width: maps after the first convolution; they double with each.
        normalisation: ``"batch"``; ``"none"``; or ``"spectral"``, which divides the weights of every layer by their
            largest singular value (Miyato et al. 2018), the head's, too. By power iteration, a step of it with each
            pass in training. A convolution's is that of its kernel as a matrix, as they have it.

    Raises:
        ValueError: a side is below 8 pixels, or ``normalisation`` is unknown.
    """

    @whole_options()
    def __init__(self, channels: int = 3, size: Size = 64, width: int = 32, normalisation: str = "batch") -> None:
        if normalisation not in ("batch", "none", "spectral"):
            raise ValueError(f"normalisation {normalisation!r} is unknown: use batch, none or spectral")
        count, batch = halvings(size), normalisation == "batch"
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
        maps = width
        for _ in range(count - 1):
            layers.append(nn.Conv2d(maps, 2 * maps, 4, stride=2, padding=1, bias=not batch))
            if batch:
                layers.append(nn.BatchNorm2d(2 * maps))
            layers.append(nn.LeakyReLU(0.2, inplace=True))
            maps *= 2
        high, wide = halved(sides(size), count)
        super().__init__(nn.Sequential(*layers, nn.Flatten()), maps * high * wide)
        if normalisation == "spectral":
            for module in [*self.modules()]:
                if isinstance(module, nn.Conv2d | nn.Linear):
                    spectral_norm(module)
