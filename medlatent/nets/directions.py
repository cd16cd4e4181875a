"""The two networks of the search for directions (Voynov and Babenko 2020): the matrix A, and the reconstructor R.

A holds one direction a column, and each kind of it says what its columns may be. R sees an image and the same image
after a shift along one direction, and says which direction it was and how far the shift went.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..options import whole_options

DEVIATION = 0.1  # of the initial weights of unit columns, as the published code draws them


class UnitDirections(nn.Module):
    """A with columns of unit length, whatever their angles: column k is w_k / ‖w_k‖.

    With K > d, or with two columns that drift together, directions repeat each other: nothing here forbids it. In the
    published code A has a bias, which is added before the result gets the length of the shift; the direction then
    depends on the shift's size and sign. Here, as in the paper, there is none.

    Args:
        latent_dim: d, the dimension of the code.
        K: how many directions.

    Raises:
        ValueError: an argument is below 1.
    """

    @whole_options()
    def __init__(self, latent_dim: int = 32, K: int = 100) -> None:
        super().__init__()
        _check_shape(latent_dim, K)
        self.weight = nn.Parameter(DEVIATION * torch.randn(latent_dim, K))

    def forward(self) -> Tensor:
        """A, ``(d, K)``."""
        return self.weight / self.weight.norm(dim=0, keepdim=True)


class OrthonormalDirections(nn.Module):
    """A with orthonormal columns: the first K of the rotation exp(S) with S = W - Wᵀ.

    S is skew-symmetric, Sᵀ = -S, so that exp(S)ᵀ exp(S) = exp(-S) exp(S) = I, whatever W is: gradient descent on W
    never leaves the rotations.

    Args:
        latent_dim: d, the dimension of the code.
        K: how many directions, at most d.

    Raises:
        ValueError: an argument is below 1, or K is above d.
    """

    @whole_options()
    def __init__(self, latent_dim: int = 32, K: int = 32) -> None:
        super().__init__()
        _check_shape(latent_dim, K)
        if latent_dim < K:
            raise ValueError(f"K: in {latent_dim} dimensions at most as many directions are orthonormal, got {K}")
        self.K = K
        self.weight = nn.Parameter(torch.randn(latent_dim, latent_dim))

    def forward(self) -> Tensor:
        """A, ``(d, K)``."""
        skew = (self.weight - self.weight.T).float()  # autocast would round it, and A would be no rotation
        with torch.autocast(skew.device.type, enabled=False):
            return torch.linalg.matrix_exp(skew)[:, : self.K]


class FixedDirections(nn.Module):
    """A as it is given, never trained: random directions, principal ones, or one's own.

    Args:
        directions: A, ``(d, K)``, of any length of the columns.

    Raises:
        ValueError: it is no matrix of numbers, or a column is 0, NaN or infinite.
    """

    directions: Tensor

    def __init__(self, directions: Tensor) -> None:
        super().__init__()
        directions = torch.as_tensor(directions).detach().float().clone()
        if directions.ndim != 2 or not directions.numel():
            raise ValueError(f"directions: expected a matrix (d, K), got {tuple(directions.shape)}")
        length = directions.norm(dim=0)
        if (wrong := ~(length.isfinite() & (length > 0))).any():
            raise ValueError(f"directions: column {int(wrong.nonzero()[0])} has the length {length[wrong][0]:g}")
        self.register_buffer("directions", directions)

    def forward(self) -> Tensor:
        """A, ``(d, K)``."""
        return self.directions


def _check_shape(latent_dim: int, K: int) -> None:
    if latent_dim < 1 or K < 1:
        raise ValueError(f"expected latent_dim ≥ 1 and K ≥ 1, got {latent_dim} and {K}")


class _Reconstructor(nn.Module):
    """Features of the stacked pair, and one head each for the direction and for the shift."""

    features: nn.Module
    direction: nn.Module
    shift: nn.Module

    def forward(self, images: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        """Images ``(B, C, H, W)`` and shifted ones, in [0, 1], to logits ``(B, K)`` of k and shifts ``(B,)``, α̂."""
        features = self.features(torch.cat([images, shifted], 1))
        return self.direction(features), self.shift(features).squeeze(1)


class LeNetReconstructor(_Reconstructor):
    """The reconstructor in the manner of LeNet (LeCun et al. 1998), with which Schön et al. (2022) prefer to work.

    The two images enter as channels of one. Three 5×5 convolutions without padding, to 3, 8 and 60 times ``width``
    channels, each with batch normalisation and ReLU, maxima over 2×2 after the first two, and the mean over positions.
    Each head has a hidden layer of 42 ``width`` units with batch normalisation and ReLU.

    Args:
        K: how many directions.
        channels: of one image.
        width: 4 makes the convolutions 12, 32 and 240 channels wide.
        size: the side of the images, at least 32 pixels: of fewer the third convolution would leave nothing.

    Raises:
        ValueError: an argument is out of its range.
    """

    LEAST = 32

    @whole_options()
    def __init__(self, K: int = 32, channels: int = 1, width: int = 4, size: int = 128) -> None:
        super().__init__()
        _check_reconstructor(K, channels, width)
        if size < self.LEAST:
            raise ValueError(f"size: the LeNet reconstructor needs images of {self.LEAST} pixels or more, got {size}")
        first, second, third = 3 * width, 8 * width, 60 * width
        self.features = nn.Sequential(
            *_convolution(2 * channels, first, 5),
            nn.MaxPool2d(2),
            *_convolution(first, second, 5),
            nn.MaxPool2d(2),
            *_convolution(second, third, 5),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        self.direction, self.shift = (_head(third, 42 * width, outputs) for outputs in (K, 1))


def _convolution(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _head(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, outputs)
    )


class BasicBlock(nn.Module):
    """A residual block of two 3×3 convolutions (He et al. 2016): ReLU(shortcut(x) + main(x)).

    Args:
        inputs: channels that come in.
        outputs: channels that go out.
        stride: 2 halves the side. Where it does, or where the channels change, the shortcut is a 1×1 convolution with
            batch normalisation; else it is x itself.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, H, W)`` to ``(B, outputs, H/stride, W/stride)``."""
        return nn.functional.relu(self.shortcut(x) + self.main(x))


class ResNetReconstructor(_Reconstructor):
    """A ResNet-18 (He et al. 2016) whose first convolution takes the two images as channels, trained from scratch.

    A 7×7 convolution of stride 2 to ``width`` channels, maxima over 3×3 of stride 2, four stages of two
    :class:`BasicBlock` with 1, 2, 4 and 8 ``width`` channels, of which all but the first halve the side, the mean over
    positions, and a linear head each for direction and shift. At ``width=64`` it is torchvision's ``resnet18`` up to
    its ends.

    Args:
        K: how many directions.
        channels: of one image.
        width: 64 in the paper; 16 takes a fifth of the time on a CPU.

    Raises:
        ValueError: an argument is below 1.
    """

    @whole_options()
    def __init__(self, K: int = 32, channels: int = 1, width: int = 64) -> None:
        super().__init__()
        _check_reconstructor(K, channels, width)
        layers: list[nn.Module] = [
            nn.Conv2d(2 * channels, width, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, stride=2, padding=1),
        ]
        inputs = width
        for stage, outputs in enumerate((width, 2 * width, 4 * width, 8 * width)):
            layers += [BasicBlock(inputs, outputs, stride=2 if stage else 1), BasicBlock(outputs, outputs)]
            inputs = outputs
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.direction, self.shift = nn.Linear(inputs, K), nn.Linear(inputs, 1)
        for layer in self.features.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")


def _check_reconstructor(K: int, channels: int, width: int) -> None:
    if min(K, channels, width) < 1:
        raise ValueError(f"expected K ≥ 1, channels ≥ 1 and width ≥ 1, got {K}, {channels} and {width}")


# By the name that a model's argument gives them: K, channels of an image, its side, and perhaps a width.
RECONSTRUCTORS: dict[str, Callable[..., nn.Module]] = {
    "lenet": lambda K, channels, size, **width: LeNetReconstructor(K, channels, size=size, **width),
    "resnet18": lambda K, channels, size, **width: ResNetReconstructor(K, channels, **width),
}
