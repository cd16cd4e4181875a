"""Perceptual backbones: networks whose feature maps stand for what people see, for metrics and for losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional


class FeatureMaps(nn.Module):
    """The feature maps of a network that knows colour images, for images of any number of channels.

    With three channels an image is one; with any other number each channel is a grey image of its own, repeated three
    times, and a mean over positions is then one over the channels, too. A subclass defines ``colour_maps``.

    Args:
        name: what numbers that are computed from them are called.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def colour_maps(self, images: Tensor) -> list[Tensor]:
        """Colour images ``(B, 3, H, W)`` in [0, 1] to the feature maps of each layer."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images ``(B, C, H, W)`` in [0, 1] to a list of feature maps ``(B, C_l, H_l, W_l)``, with gradients.

        With C other than 3 the maps of the channels lie below one another, ``(B, C_l, C·H_l, W_l)``.
        """
        b, c, h, w = images.shape
        if c != 3:
            images = images.reshape(b * c, 1, h, w).expand(-1, 3, -1, -1)
        maps = self.colour_maps(images)
        if c != 3:
            # The channels' maps below one another: the mean over positions is then also one over channels.
            maps = [m.unflatten(0, (b, c)).transpose(1, 2).flatten(2, 3) for m in maps]
        return list(maps)


class PerceptualBackbone(FeatureMaps):
    """A network of the LPIPS family, as :func:`~medlatent.metrics.lpips_like` wants it.

    Args:
        metric: an ``LPIPS`` module of ``lpips`` or ``stlpips_pytorch``.
        name: what its numbers are called.
    """

    def __init__(self, metric: nn.Module, name: str) -> None:
        super().__init__(name)
        self.metric = metric

    @property
    def weights(self) -> list[Tensor]:
        """The learned weights of each layer's channels."""
        return [head.model[-1].weight.detach().flatten() for head in self.metric.lins]

    def colour_maps(self, images: Tensor) -> list[Tensor]:
        """Colour images ``(B, 3, H, W)`` in [0, 1] to the feature maps of each layer, not normalised."""
        return list(self.metric.net(self.metric.scaling_layer(2 * images - 1)))


class _Blur(nn.Module):
    """Zhang's (2019) anti-aliasing of a stride of two: a 3×3 binomial filter, the border mirrored by two pixels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        binomial = torch.tensor([1.0, 2.0, 1.0]) / 4
        self.register_buffer("kernel", torch.outer(binomial, binomial).repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        return functional.conv2d(functional.pad(maps, (2,) * 4, "reflect"), self.kernel, stride=2, groups=maps.shape[1])


class ShiftTolerantAlexNet(FeatureMaps):
    """The trunk and the heads of shift-tolerant LPIPS (Ghildyal and Liu 2022): an AlexNet whose strides are blurred.

    The maps after each of the five ReLUs: at half the side of the image, an eighth, and three times a sixteenth of it.

    Args:
        weights: the state of the package ``stlpips_pytorch``'s own module.

    Raises:
        KeyError: a weight is missing.
    """

    SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)  # of intensities in [-1, 1], as LPIPS has them
    # By layer: where it is in the package's state, its channels in and out, the side of its kernel, its padding.
    LAYERS = (
        ("slice1.0", 3, 64, 11, 2),
        ("slice2.5", 64, 192, 5, 2),
        ("slice3.9", 192, 384, 3, 1),
        ("slice4.11", 384, 256, 3, 1),
        ("slice5.13", 256, 256, 3, 1),
    )

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        super().__init__("ST-LPIPS (alex)")
        convolutions = []
        for name, inputs, outputs, side, padding in self.LAYERS:
            convolution = nn.Conv2d(inputs, outputs, side, padding=padding)
            convolution.load_state_dict({key: weights[f"net.{name}.{key}"] for key in ("weight", "bias")})
            convolutions.append(convolution)
        first, second, third, fourth, fifth = convolutions
        self.parts = nn.ModuleList(
            [
                nn.Sequential(first, _Blur(64), nn.ReLU()),
                nn.Sequential(nn.MaxPool2d(3, 1), _Blur(64), second, nn.ReLU()),
                nn.Sequential(nn.MaxPool2d(3, 1), _Blur(192), third, nn.ReLU()),
                nn.Sequential(fourth, nn.ReLU()),
                nn.Sequential(fifth, nn.ReLU()),
            ]
        )
        for k in range(len(self.LAYERS)):
            self.register_buffer(f"head{k}", weights[f"lin{k}.model.1.weight"].flatten(), persistent=False)
        for name, values in (("shift", self.SHIFT), ("scale", self.SCALE)):
            self.register_buffer(name, torch.tensor(values).view(3, 1, 1), persistent=False)

    @classmethod
    def packaged(cls) -> ShiftTolerantAlexNet:
        """With the weights of the package ``stlpips_pytorch``, frozen and in evaluation mode.

        Raises:
            ImportError: the package is missing.
        """
        return cls(_shift_tolerant_weights()).requires_grad_(False).eval()

    @property
    def weights(self) -> list[Tensor]:
        """The learned weights of each layer's channels."""
        return [getattr(self, f"head{k}") for k in range(len(self.LAYERS))]

    def colour_maps(self, images: Tensor) -> list[Tensor]:
        """Colour images ``(B, 3, H, W)`` in [0, 1] to the feature maps of each layer, not normalised."""
        images = (2 * images - 1 - self.shift) / self.scale
        maps = []
        for part in self.parts:
            images = part(images)
            maps.append(images)
        return maps


class VGGFeatures(FeatureMaps):
    """The maps after the first ReLU of each of the first four resolutions of VGG19 (Simonyan and Zisserman 2015).

    Layers 1, 6, 11 and 20 of its ``features``, at the side of the image, 1/2, 1/4 and 1/8 of it, as Di Folco et al.
    (2024) take them. The images enter in [0, 1] as they are, as in that paper's code: without the mean and deviation of
    ImageNet, which the weights were trained with.

    Args:
        features: the module of that name of torchvision's VGG19.
        name: what its numbers are called.
    """

    LAYERS = (1, 6, 11, 20)

    def __init__(self, features: nn.Sequential, name: str) -> None:
        super().__init__(name)
        starts = (0, *(layer + 1 for layer in self.LAYERS))
        self.parts = nn.ModuleList(features[start:end] for start, end in pairwise(starts))

    def colour_maps(self, images: Tensor) -> list[Tensor]:
        """Colour images ``(B, 3, H, W)`` in [0, 1] to the four feature maps."""
        maps = []
        for part in self.parts:
            images = part(images)
            maps.append(images)
        return maps


def perceptual_backbone(
    kind: Literal["lpips", "st_lpips"] = "lpips", network: Literal["alex", "vgg"] = "alex"
) -> FeatureMaps:
    """A published perceptual metric's network and weights, from the package that carries them.

    It is in evaluation mode and its parameters are frozen: a loss that is computed from its maps has gradients for the
    images alone.

    * ``"lpips"``: LPIPS 0.1 itself (Zhang et al. 2018), from the package ``lpips`` and torchvision's ImageNet weights,
      which torchvision fetches on first use.
    * ``"st_lpips"``: shift-tolerant LPIPS (Ghildyal and Liu 2022), from the package ``stlpips_pytorch``, which carries
      all weights. Its numbers are no LPIPS: it is another network trained on the same judgements. With AlexNet only
      the package's file of weights is read, :class:`ShiftTolerantAlexNet`; with VGG its code runs, which needs
      torchvision.

    Args:
        kind: ``"lpips"`` or ``"st_lpips"``.
        network: ``"alex"`` or ``"vgg"``.

    Raises:
        ImportError: a package is missing; the message names it.
        ValueError: kind or network is unknown.
    """
    if kind not in ("lpips", "st_lpips") or network not in ("alex", "vgg"):
        raise ValueError(f"no backbone {kind!r} with {network!r}: use lpips or st_lpips, with alex or vgg")
    if (kind, network) == ("st_lpips", "alex"):
        return ShiftTolerantAlexNet.packaged()
    try:
        if kind == "lpips":
            from lpips import LPIPS
        else:
            from stlpips_pytorch.stlpips import LPIPS
    except ImportError as error:
        package = "lpips" if kind == "lpips" else "stlpips_pytorch torchsummary"
        raise ImportError(
            f"{error}; install {package} and torchvision, or pass another network to lpips_like"
        ) from error
    if kind == "lpips":
        metric, name = LPIPS(net=network, verbose=False), f"LPIPS 0.1 ({network})"
    else:
        metric = LPIPS(net=network, variant="shift_tolerant", verbose=False)
        name = f"ST-LPIPS ({network})"
    return PerceptualBackbone(metric, name).requires_grad_(False).eval()


def _shift_tolerant_weights() -> Mapping[str, Tensor]:
    """The package's file, which holds tensors alone: PyTorch's reader of those runs no code that a file brings."""
    package = find_spec("stlpips_pytorch")  # not imported: its code would need torchvision
    places = package.submodule_search_locations if package else None
    if not places:
        raise ImportError(
            "no package stlpips_pytorch: `pip install --no-deps stlpips-pytorch`, or pass another network to lpips_like"
        )
    path = Path(next(iter(places))) / "weights" / "vST0.0" / "alex_shift_tolerant.pth"
    if not path.is_file():
        raise ImportError(f"{path} is missing: reinstall stlpips-pytorch, 0.0.2 or later")
    return torch.load(path, map_location="cpu", weights_only=True)


def _vgg19() -> FeatureMaps:
    try:
        from torchvision.models import VGG19_Weights, vgg19
    except ImportError as error:
        raise ImportError(f"{error}; install torchvision, or choose another network") from error
    return VGGFeatures(vgg19(weights=VGG19_Weights.IMAGENET1K_V1).features, "VGG19")


FEATURES: dict[str, Callable[[], nn.Module]] = {
    "vgg19": _vgg19,
    "lpips": lambda: perceptual_backbone("lpips"),
    "st_lpips": lambda: perceptual_backbone("st_lpips"),
}


def feature_maps(name: str) -> nn.Module:
    """A network whose feature maps a loss compares, by the name that a model's argument gives it.

    It takes images ``(B, C, H, W)`` in [0, 1] to a list of maps ``(B, C_l, H_l, W_l)``, is in evaluation mode, and its
    parameters are frozen. Another is put into ``medlatent.nets.perceptual.FEATURES`` under a name of its own.

    * ``"vgg19"``: :class:`VGGFeatures` with torchvision's ImageNet weights, which torchvision fetches on first use.
    * ``"lpips"`` and ``"st_lpips"``: the AlexNet of :func:`perceptual_backbone`, another network and a far
      cheaper one.

    Raises:
        ImportError: a package is missing; the message names it.
        ValueError: the name is unknown.
    """
    if name not in FEATURES:
        raise ValueError(f"no feature maps {name!r}: use one of {', '.join(FEATURES)}")
    return FEATURES[name]().requires_grad_(False).eval()
