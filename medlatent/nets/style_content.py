"""The networks of DRAI and of the systems that it is compared with (Havaei et al. 2021).

The paper states no layers. What is chosen here is one for all systems: images are halved by convolutions, 4×4 of stride
2 with twice the maps each time, until 4 to 7 pixels a side are left, as in the DCGAN, and each network that looks at
images has a trunk of this kind of its own. Encoders and the generator normalise batches; discriminators do not, because
real and generated images, or an image beside a right and a wrong condition, would reach them in batches of their own,
which the statistics of a batch tell apart. The generator is :class:`medlatent.nets.DCGANGenerator`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..options import whole_options
from .gan import halvings
from .sides import Size, halved, sides

HIDDEN = 8  # times the width: units of a hidden layer
SLOPE = 0.2  # of LeakyReLU


@whole_options()
def image_trunk(channels: int, size: Size, width: int, normalised: bool) -> tuple[nn.Sequential, int]:
    """Convolutions from images ``(B, channels, H, W)`` to features ``(B, F)``; and F.

    Args:
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: maps after the first convolution; they double with each.
        normalised: whether batch normalisation follows each convolution but the first.

    Raises:
        ValueError: a side is below 8 pixels.
    """
    layers: list[nn.Module] = []
    maps = width
    for k in range(halvings(size)):
        maps = width << k
        normalises = normalised and k > 0
        layers.append(nn.Conv2d(maps // 2 if k else channels, maps, 4, stride=2, padding=1, bias=not normalises))
        if normalises:
            layers.append(nn.BatchNorm2d(maps))
        layers.append(nn.LeakyReLU(SLOPE, inplace=True))
    high, wide = halved(sides(size), halvings(size))
    return nn.Sequential(*layers, nn.Flatten()), maps * high * wide


class CodeEncoder(nn.Module):
    """Images to the mean and the log-variance of one code: G_z, or G_c.

    Style and content have one each: completely separate encoders, so that neither gets features that the other learnt.

    Args:
        channels: image channels.
        size: the side of a square image in pixels, or height and width.
        code_dim: D.
        width: maps after the first convolution.
    """

    @whole_options()
    def __init__(self, channels: int, size: Size, code_dim: int, width: int) -> None:
        super().__init__()
        self.trunk, features = image_trunk(channels, size, width, normalised=True)
        self.outputs = nn.Linear(features, 2 * code_dim)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(B, channels, H, W)`` to mean and log-variance, ``(B, D)`` each."""
        mean, logvar = self.outputs(self.trunk(images)).chunk(2, 1)
        return mean, logvar


class ConditionEncoder(nn.Module):
    """E_φ, conditions to the mean and the log-variance of the content: q(c|t).

    Args:
        condition_dim: of the condition vector t.
        content_dim: of the content c.
        width: of the other networks; one hidden layer has 8 times as many units.
    """

    @whole_options()
    def __init__(self, condition_dim: int, content_dim: int, width: int) -> None:
        super().__init__()
        self.layers = _perceptron(condition_dim, HIDDEN * width, 2 * content_dim)

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Conditions ``(B, condition_dim)`` to mean and log-variance, ``(B, content_dim)`` each."""
        mean, logvar = self.layers(t).chunk(2, 1)
        return mean, logvar


class JointDiscriminator(nn.Module):
    """A discriminator of an image and a vector that belongs, or does not belong, to it: a code, a condition, or both.

    As in ALI, the image passes a trunk and the vector a layer of its own, and hidden layers see both. Its output is
    taken as it is, by least squares.

    Args:
        channels: image channels.
        size: the side of a square image in pixels, or height and width.
        vector_dim: of the vector, at least 1.
        width: maps after the first convolution; each of the two branches ends in 8 times as many units.
    """

    @whole_options()
    def __init__(self, channels: int, size: Size, vector_dim: int, width: int) -> None:
        super().__init__()
        units = HIDDEN * width
        self.trunk, features = image_trunk(channels, size, width, normalised=False)
        self.image_branch = nn.Sequential(nn.Linear(features, units), nn.LeakyReLU(SLOPE, inplace=True))
        self.vector_branch = nn.Sequential(nn.Linear(vector_dim, units), nn.LeakyReLU(SLOPE, inplace=True))
        self.joint = _perceptron(2 * units, units, 1)

    def features(self, images: Tensor) -> Tensor:
        """What the image's branch makes of images: computed once where an image stands beside several vectors."""
        return self.image_branch(self.trunk(images))

    def judge(self, features: Tensor, vector: Tensor) -> Tensor:
        """D of images with these features and of vectors ``(B, vector_dim)``: ``(B,)``."""
        return self.joint(torch.cat([features, self.vector_branch(vector)], 1)).squeeze(1)

    def forward(self, images: Tensor, *vectors: Tensor) -> Tensor:
        """D of images ``(B, channels, H, W)`` and of vectors, joined into one: ``(B,)``."""
        return self.judge(self.features(images), torch.cat(vectors, 1))


class ImageDiscriminator(nn.Module):
    """A discriminator of images alone: D_x, and with both images of a pair in its channels D_cycle.

    Args:
        channels: image channels, of both images together.
        size: the side of a square image in pixels, or height and width.
        width: maps after the first convolution.
    """

    @whole_options()
    def __init__(self, channels: int, size: Size, width: int) -> None:
        super().__init__()
        self.trunk, features = image_trunk(channels, size, width, normalised=False)
        self.head = _perceptron(features, HIDDEN * width, 1)

    def forward(self, *images: Tensor) -> Tensor:
        """D of images ``(B, …, H, W)``, joined along the channels: ``(B,)``."""
        return self.head(self.trunk(torch.cat(images, 1))).squeeze(1)


class CodePredictor(nn.Sequential):
    """F_z, from content to style, or F_c, from style to content: one hidden layer of 8 times the width."""

    @whole_options()
    def __init__(self, inputs: int, outputs: int, width: int) -> None:
        super().__init__(*_perceptron(inputs, HIDDEN * width, outputs))


def _perceptron(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LeakyReLU(SLOPE, inplace=True), nn.Linear(hidden, outputs))
