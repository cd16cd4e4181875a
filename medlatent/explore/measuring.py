"""How an explorer speaks in units: of a dimension of the code, and of what is seen in a decoded picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import torch
from torch import Tensor, nn

from ..models import measured
from .network import Network, trace

MOST_CLASSES = 6  # as many colours as web/measure.js has for their outlines
UNNAMED = ""  # the picture of a model that gives it no name


@dataclass(frozen=True)
class Scale:
    """The unit of a dimension of the code: an explorer shows its value z as ``offset + factor * z``.

    Attributes:
        offset: what z = 0 stands for, in the unit.
        factor: by how much 1 more of z is more, in the unit. Where it is negative, z falls as the quantity rises.
        unit: such as ``"ml"``; nothing for a quantity without one.

    Raises:
        ValueError: a number is not finite, the factor is 0, or the unit is no text.
    """

    offset: float
    factor: float
    unit: str = ""

    def __post_init__(self) -> None:
        for name in ("offset", "factor"):
            if not _finite(getattr(self, name)):
                raise ValueError(f"Scale: {name} must be a finite number, got {getattr(self, name)!r}")
            object.__setattr__(self, name, float(getattr(self, name)))
        if not self.factor:
            raise ValueError("Scale: factor must not be 0, which would show every z as the same value")
        if not isinstance(self.unit, str):
            raise ValueError(f"Scale: unit must be a text such as 'ml', got {self.unit!r}")


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What measures a picture: a network that finds structures in it, and what so many pixels of each stand for.

    A pixel belongs to the class with the largest logit. With n pixels of a class in a picture, its quantity is::

        q = a * n**b

    A volume that is read off one slice has b = 1 where a structure grows in the plane of the slice alone, and b = 3 / 2
    where it grows alike in all directions.

    Attributes:
        network: grey pictures ``(B, 1, H, W)`` in [0, 1] to logits ``(B, K, H, W)``, such as a U-Net.
        classes: what the classes 1 to K - 1 are called, six at most; class 0 is the background.
        calibration: (a, b) of each class by the name of the picture, ``{"ED": {"LV": (0.8, 1.1), ...}, ...}``. For a
            model that makes one picture without a name, (a, b) of each class, ``{"LV": (0.8, 1.1), ...}``. Both are
            positive.
        unit: of the quantities.

    Raises:
        ValueError: a name or a number does not fit; the message says which.
    """

    network: nn.Module
    classes: tuple[str, ...]
    calibration: Mapping[str, Mapping[str, tuple[float, float]]]
    unit: str = "ml"

    def __post_init__(self) -> None:
        if not isinstance(self.network, nn.Module):
            raise ValueError(f"Segmentation: network must be a torch.nn.Module, got {type(self.network).__name__}")
        object.__setattr__(self, "classes", _class_names(self.classes))
        if not isinstance(self.unit, str):
            raise ValueError(f"Segmentation: unit must be a text such as 'ml', got {self.unit!r}")
        if not isinstance(self.calibration, Mapping):
            raise ValueError(f"Segmentation: calibration must be (a, b) by picture and class, got {self.calibration!r}")
        named = any(isinstance(of_picture, Mapping) for of_picture in self.calibration.values())
        pictures = self.calibration if named else {UNNAMED: self.calibration}
        object.__setattr__(self, "calibration", {name: self._numbers(name, of) for name, of in pictures.items()})

    def _numbers(self, picture: str, of_picture: object) -> dict[str, tuple[float, float]]:
        """(a, b) of every class in the order of the classes."""
        where = f" of the picture {picture!r}" if picture else ""
        if not isinstance(of_picture, Mapping):
            raise ValueError(f"Segmentation: calibration{where} must be (a, b) by class, got {of_picture!r}")
        for name in of_picture:
            if name not in self.classes:
                known = ", ".join(self.classes)
                raise ValueError(f"Segmentation: calibration{where} names a class {name!r}, which is none of {known}")
        for name in self.classes:
            if name not in of_picture:
                raise ValueError(f"Segmentation: calibration{where} lacks the class {name!r}")
            pair = of_picture[name]
            if not isinstance(pair, tuple | list) or len(pair) != 2 or not all(_finite(n) and n > 0 for n in pair):
                raise ValueError(
                    f"Segmentation: calibration{where} of the class {name!r} must be two positive numbers (a, b), "
                    f"got {pair!r}"
                )
        return {name: (float(of_picture[name][0]), float(of_picture[name][1])) for name in self.classes}

    def pixels(self, images: Tensor) -> Tensor:
        """How many pixels of each picture belong to each class.

        Args:
            images: ``(B, P, H, W)`` in [0, 1]; each channel is a picture.

        Returns:
            ``(B, P, K - 1)``, whole numbers.
        """
        batch, count = images.shape[:2]
        labels = self._labels(images.flatten(0, 1)[:, None]).unflatten(0, (batch, count))
        return torch.stack([(labels == k + 1).sum((-2, -1)) for k in range(len(self.classes))], -1)

    def measure(self, images: Tensor, pictures: Sequence[str] = ()) -> Tensor:
        """The quantity ``a * n**b`` of each class in each picture, as the explorer shows it.

        Args:
            images: ``(B, P, H, W)`` in [0, 1]; each channel is a picture.
            pictures: what the P pictures are called; nothing for one without a name.

        Returns:
            ``(B, P, K - 1)``, in ``unit``; NaN where a picture has no pixel of a class.

        Raises:
            ValueError: the calibration is of other pictures.
        """
        numbers = torch.tensor(calibration_of(self, pictures), dtype=torch.float64)
        if images.ndim != 4 or images.shape[1] != len(numbers):
            raise ValueError(f"images: expected (B, {len(numbers)}, H, W), got {tuple(images.shape)}")
        n = self.pixels(images).double().cpu()
        return torch.where(n > 0, numbers[..., 0] * n ** numbers[..., 1], torch.nan)

    def _labels(self, pictures: Tensor) -> Tensor:
        """The class of each pixel, (B, H, W), of pictures (B, 1, H, W)."""
        with measured(self.network), torch.inference_mode():
            return self.network(pictures.to(device_of(self.network))).argmax(1)


def calibration_of(segmentation: Segmentation, pictures: Sequence[str]) -> list[list[tuple[float, float]]]:
    """(a, b) by picture and class.

    Args:
        segmentation: whose calibration.
        pictures: what the pictures are called; nothing for one without a name.

    Raises:
        ValueError: the calibration is of other pictures.
    """
    wanted, given = list(pictures) or [UNNAMED], list(segmentation.calibration)
    if given == [UNNAMED] and wanted != given:
        raise ValueError(
            f"segmentation: its calibration names no picture, but there are {', '.join(wanted)}: give (a, b) of each "
            "class for each of them"
        )
    if wanted == [UNNAMED] and given != wanted:
        raise ValueError(
            f"segmentation: its calibration is of the pictures {', '.join(given)}, but the model's only picture has no "
            "name: give (a, b) of each class directly, or say in pictures what it is called"
        )
    if unknown := [name for name in given if name not in wanted]:
        raise ValueError(
            f"segmentation: its calibration names a picture {unknown[0]!r}, which is none of {', '.join(wanted)}"
        )
    if missing := [name for name in wanted if name not in given]:
        raise ValueError(f"segmentation: its calibration lacks the picture {missing[0]!r}")
    return [list(segmentation.calibration[name].values()) for name in wanted]


def trace_segmentation(segmentation: Segmentation, shape: Sequence[int], pictures: Sequence[str]) -> Network:
    """The network as a browser runs it.

    Args:
        segmentation: whose network.
        shape: of what the model decodes, ``(C, H, W)``.
        pictures: what its channels are called, if each is a picture.

    Raises:
        ValueError: the network or the calibration does not fit; or the network computes something that cannot run
            in a browser.
    """
    network, classes = segmentation.network, segmentation.classes
    calibration_of(segmentation, pictures)
    channels, high, wide = shape
    if not pictures and channels != 1:
        raise ValueError(
            f"segmentation: its network takes grey pictures (1, H, W), but the model makes one in {channels} "
            "colours. Where each channel is a picture of its own, say in pictures what each is called"
        )
    example = torch.zeros(1, 1, high, wide)
    try:
        with measured(network), torch.no_grad():
            made = network(example.to(device_of(network)))
    except RuntimeError as error:  # of the first layer that the picture does not fit
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"segmentation: its network cannot take a picture of {high} × {wide} pixels: {reason}. One that halves "
            "the sides k times and doubles them again needs sides that 2 to the power of k divides"
        ) from None
    expected = (1, 1 + len(classes), high, wide)
    if not isinstance(made, Tensor) or tuple(made.shape) != expected:
        found = tuple(made.shape) if isinstance(made, Tensor) else f"a {type(made).__name__}"
        raise ValueError(
            f"segmentation: its network makes {found} of a grey picture {tuple(example.shape)}; the background and "
            f"{len(classes)} classes ({', '.join(classes)}) need {expected}"
        )
    try:
        return trace(network, example)
    except ValueError as error:
        raise ValueError(f"segmentation: {error}") from error


def changed_pixels(segmentation: Segmentation, network: Network, pictures: Tensor) -> int:
    """The largest number of pixels in one of the pictures that rounded weights put into another class.

    Args:
        segmentation: with the weights as they are.
        network: the one with the rounded weights.
        pictures: ``(B, 1, H, W)`` in [0, 1].
    """
    with torch.inference_mode():
        rounded = network.run(pictures.cpu())[0].argmax(1)
    return int((segmentation._labels(pictures).cpu() != rounded).sum((-2, -1)).max())


def _class_names(names: Sequence[str]) -> tuple[str, ...]:
    if isinstance(names, str) or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f"Segmentation: classes must be a sequence of names, background left out, got {names!r}")
    if not 1 <= len(names) <= MOST_CLASSES:
        raise ValueError(f"Segmentation: classes must be one to {MOST_CLASSES} beside the background, got {len(names)}")
    if repeated := [name for name in names if list(names).count(name) > 1]:
        raise ValueError(f"Segmentation: the class {repeated[0]!r} is named more than once")
    return tuple(names)


def _finite(number: object) -> bool:
    return not isinstance(number, bool) and isinstance(number, Real) and math.isfinite(number)


def device_of(module: nn.Module) -> torch.device:
    """Where a module's parameters lie; the CPU for one without any."""
    return next(iter(module.parameters()), torch.zeros(0)).device
