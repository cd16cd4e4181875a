"""How alike two sets of images are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.ndimage import correlate1d
from torch import Tensor

from ..options import whole_options
from ._checks import LARGEST, finite, in_evaluation, is_whole, numbers


@dataclass(frozen=True)
class ImageScore:
    """A mean over images, and the value of each image.

    Attributes:
        score: the mean over the images.
        per_image: ``(N,)``, float64.
    """

    score: float
    per_image: np.ndarray


def psnr(images, reconstructions, data_range: float | None = None) -> ImageScore:
    """The peak signal-to-noise ratio in dB of each image, 10·log10(data_range² / MSE), and its mean over the images.

    Implements :eq:`eq-start-2`. The mean of the images' values in dB, not the value of
    their mean error: a single bad image cannot hide the good ones.

    Args:
        images: ``(N, C, H, W)``, NumPy or torch.
        reconstructions: the same shape.
        data_range: the largest possible value minus the smallest: 255 for uint8. By default 1, for images in [0, 1];
            whole numbers have no default.

    Returns:
        The score in dB; infinite for an image that is reproduced exactly.

    Raises:
        ValueError: the shapes differ, there is no image, a value is NaN or infinite, an error vanishes when it is
            squared, or ``data_range`` is not positive, less than what the images span, or not given for whole numbers.
    """
    (a, b), data_range = _pair(images, reconstructions), _range(images, reconstructions, data_range)
    mse = np.square(a - b).reshape(len(a), -1).mean(1)
    if not mse.all() and (near := (mse == 0) & (a != b).any((1, 2, 3))).any():
        raise ValueError(f"images: image {near.argmax()} differs from its reconstruction by too little to be squared")
    with np.errstate(divide="ignore"):
        values = 10 * np.log10(data_range**2 / mse)
    return ImageScore(float(values.mean()), values)


@dataclass(frozen=True)
class SSIMScore:
    """A mean over images, the value of each image, and the variant that they are.

    Attributes:
        score: the mean over the images.
        per_image: ``(N,)``, float64.
        variant: window and border in words, to be printed beside the number.
    """

    score: float
    per_image: np.ndarray
    variant: str


# Side, standard deviation, and the border of the implementation that made the window common.
_WINDOWS = {"gaussian": (11, 1.5, "mirror"), "uniform": (7, None, "valid")}


def ssim(
    images,
    reconstructions,
    data_range: float | None = None,
    window: Literal["gaussian", "uniform"] = "gaussian",
    border: Literal["mirror", "valid"] | None = None,
) -> SSIMScore:
    """The structural similarity index of each image, and its mean over the images (Wang et al. 2004, equation 13).

    (2·μ_x·μ_y + C₁)(2·σ_xy + C₂) / ((μ_x² + μ_y² + C₁)(σ_x² + σ_y² + C₂)) in every window, C₁ = (0.01·data_range)²,
    C₂ = (0.03·data_range)², averaged over positions and channels. Four conventions are in use, and they differ more
    than most models do; ``variant`` says which one a number is.

    * ``window="gaussian"``: 11×11, standard deviation 1.5, covariances with the window's weights. Its default border
      is mirrored without repeating the edge and counts: torchmetrics 1.9. With ``border="valid"`` only windows that lie
      inside the image count: Wang et al., and scikit-image with ``gaussian_weights=True,
      use_sample_covariance=False``.
    * ``window="uniform"``: 7×7 equal weights, sample covariances (divided by 48, not 49), and by default windows
      inside the image: scikit-image as it comes, and Di Folco et al. (2024).

    Args:
        images: ``(N, C, H, W)``, NumPy or torch.
        reconstructions: the same shape.
        data_range: the largest possible value minus the smallest: 255 for uint8. By default 1, for images in [0, 1];
            whole numbers have no default. It is not taken from the images: the same error would then weigh differently
            from image to image.
        window: ``"gaussian"`` or ``"uniform"``.
        border: ``"mirror"``, ``"valid"``, or ``None`` for the window's default.

    Returns:
        The score in [-1, 1]; 1 for identical images. Two different constant images score by their means alone.

    Raises:
        ValueError: the shapes differ, there is no image, the images are smaller than the window, window or border is
            unknown, a value is NaN or infinite, or ``data_range`` is not positive, less than what the images span, or
            not given for whole numbers.
    """
    if window not in _WINDOWS:
        raise ValueError(f"window {window!r} is unknown: use {' or '.join(_WINDOWS)}")
    side, sigma, usual = _WINDOWS[window]
    border = usual if border is None else border
    if border not in ("mirror", "valid"):
        raise ValueError(f"border {border!r} is unknown: use mirror or valid")
    (a, b), data_range = _pair(images, reconstructions), _range(images, reconstructions, data_range)
    if min(a.shape[2:]) < side:
        raise ValueError(f"images: {a.shape[2]}×{a.shape[3]} pixels are fewer than the window of {side}×{side}")
    offset = np.arange(side) - side // 2
    weights = np.ones(side) if sigma is None else np.exp(-0.5 * (offset / sigma) ** 2)
    weights /= weights.sum()
    sample = side**2 / (side**2 - 1) if window == "uniform" else 1.0
    inside = slice(side // 2, -(side // 2)) if border == "valid" else slice(None)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2

    def mean(x: np.ndarray) -> np.ndarray:
        for axis in (2, 3):
            x = correlate1d(x, weights, axis=axis, mode="mirror")
        return x[..., inside, inside]

    def index(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        mean_x, mean_y = mean(x), mean(y)
        variances = sample * (mean(x * x) - mean_x**2 + mean(y * y) - mean_y**2)
        covariance = sample * (mean(x * y) - mean_x * mean_y)
        luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
        structure = (2 * covariance + c2) / (variances + c2)
        return (luminance * structure).mean((1, 2, 3))

    # In parts: the five filtered maps of a large set would not fit into memory.
    values = np.concatenate([index(a[i : i + 64], b[i : i + 64]) for i in range(0, len(a), 64)])
    kind = f"Gaussian {side}×{side}, σ {sigma}" if sigma else f"uniform {side}×{side}, sample covariance"
    return SSIMScore(float(values.mean()), values, f"{kind}, border {border}")


@dataclass(frozen=True)
class PerceptualScore:
    """A mean over images, what it consists of, and which network measured it.

    Attributes:
        score: the mean over the images.
        per_image: ``(N,)``, float64, the sum over the layers.
        per_layer: ``(N, L)``, float64.
        backbone: the network's name, to be printed beside the number.
    """

    score: float
    per_image: np.ndarray
    per_layer: np.ndarray
    backbone: str


@whole_options()
def lpips_like(
    images,
    reconstructions,
    backbone: Callable[[Tensor], Sequence[Tensor]],
    weights: Sequence | None = None,
    name: str | None = None,
    batch_size: int = 64,
) -> PerceptualScore:
    """The distance between the feature maps of two images, as in LPIPS (Zhang et al. 2018, equation 1).

    d(x, x₀) = Σ_l 1/(H_l·W_l) Σ_hw ‖w_l ⊙ (ŷ_l − ŷ₀_l)‖²: at each position of each layer the features are scaled to
    unit length over the channels, subtracted, squared, weighted and summed; then comes the mean over positions and the
    sum over layers. A position without features (all zero) stays zero.

    It is LPIPS only with the networks and weights of that paper: :func:`~medlatent.nets.perceptual_backbone` loads them
    where they are installed. With any other network it is a distance of the same form, on a scale of its own: compare
    numbers of one ``backbone`` alone.

    Args:
        images: ``(N, C, H, W)`` in [0, 1], NumPy or torch.
        reconstructions: the same shape.
        backbone: from a float32 tensor ``(B, C, H, W)`` in [0, 1] to a list of L feature maps ``(B, C_l, H_l, W_l)``. A
            module must be in evaluation mode and is called where its parameters are.
        weights: L non-negative vectors ``(C_l,)`` that multiply the squared differences (the w_l² above, which the
            public code stores); by default those of ``backbone.weights``, else ones.
        name: of the network; by default ``backbone.name``, else the name of the function or class.
        batch_size: images a call.

    Raises:
        ValueError: the shapes differ, there is no image, a value is outside [0, 1] or NaN, the backbone is in training
            mode, its feature maps are no such list, or they hold NaN, or the weights do not fit them.
    """
    a, b = _pair(images, reconstructions)
    for argument, x in (("images", a), ("reconstructions", b)):
        if x.min() < 0 or x.max() > 1:
            raise ValueError(f"{argument}: values from {x.min():g} to {x.max():g}; the backbone is told of [0, 1]")
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
    in_evaluation("backbone", backbone)
    if weights is None:
        weights = getattr(backbone, "weights", None)
    if name is None:
        name = getattr(backbone, "name", None) or getattr(backbone, "__name__", type(backbone).__name__)
    parameter = next(backbone.parameters(), None) if hasattr(backbone, "parameters") else None
    device = parameter.device if parameter is not None else torch.device("cpu")

    def features(x: np.ndarray) -> list[Tensor]:
        maps = backbone(torch.from_numpy(x).float().to(device))
        if not isinstance(maps, (list, tuple)) or not maps or any(m.ndim != 4 or len(m) != len(x) for m in maps):
            raise ValueError(f"backbone: {name} must return a list of feature maps (B, C, H, W)")
        return [m.double() for m in maps]

    rows = []
    with torch.no_grad():
        for i in range(0, len(a), batch_size):
            maps = features(a[i : i + batch_size])
            others = features(b[i : i + batch_size])
            squared = [(_unit(y) - _unit(y0)).square() for y, y0 in zip(maps, others, strict=True)]
            factors = _layer_weights(weights, squared)
            rows.append(torch.stack([(d * w).sum(1).mean((1, 2)) for d, w in zip(squared, factors, strict=True)], 1))
    per_layer = torch.cat(rows).cpu().numpy()
    if not np.isfinite(per_layer).all():
        layer = int(np.argwhere(~np.isfinite(per_layer))[0][1])
        raise ValueError(f"backbone: the feature maps of layer {layer} of {name} hold NaN or infinity")
    per_image = per_layer.sum(1)
    return PerceptualScore(float(per_image.mean()), per_image, per_layer, name)


def _unit(features: Tensor) -> Tensor:
    norm = features.norm(dim=1, keepdim=True)
    return features / norm.clamp_min(torch.finfo(features.dtype).tiny)


def _layer_weights(weights: Sequence | None, maps: list[Tensor]) -> list[Tensor]:
    if weights is None:
        return [m.new_ones(()) for m in maps]
    vectors = [torch.as_tensor(numbers("weights", w), device=maps[0].device) for w in weights]
    expected = [(m.shape[1],) for m in maps]
    if [tuple(w.shape) for w in vectors] != expected:
        raise ValueError(f"weights: expected one vector a layer, {expected}, got {[tuple(w.shape) for w in vectors]}")
    if any(not (w.isfinite() & (w >= 0)).all() for w in vectors):
        raise ValueError("weights: a weight is negative, NaN or infinite; then this is no distance")
    return [w.reshape(1, -1, 1, 1) for w in vectors]


def _pair(images, reconstructions) -> tuple[np.ndarray, np.ndarray]:
    a, b = finite("images", images, "(N, C, H, W)"), finite("reconstructions", reconstructions, "(N, C, H, W)")
    if a.shape != b.shape:
        raise ValueError(
            f"images and reconstructions must have the same shape (N, C, H, W), got {a.shape} and {b.shape}"
        )
    return a, b


def _range(images, reconstructions, data_range: float | None) -> float:
    """The range of the values, which is the one that is given, or 1."""
    if data_range is None:
        for name, values in (("images", images), ("reconstructions", reconstructions)):
            if is_whole(name, values):
                raise ValueError(f"data_range: {name} are whole numbers, whose range is not known; 255 for uint8")
        data_range = 1.0
    if not 0 < data_range <= LARGEST:
        raise ValueError(f"data_range must be positive and finite, got {data_range}")
    # A reconstruction may go beyond the range; an image does not, but for rounding.
    low, high = (float(bound(numbers("images", images))) for bound in (np.min, np.max))
    if high - low > data_range * (1 + 1e-6):
        raise ValueError(f"data_range: the images go from {low:g} to {high:g}, which is more than {data_range:g}")
    return data_range
