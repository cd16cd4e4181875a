"""Perceptual backbones: networks whose feature maps stand for what people see, for metrics and for losses."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn


class PerceptualBackbone(nn.Module):
    """A network of the LPIPS family, as :func:`~medlatent.metrics.lpips_like` wants it.

    The network knows colour images. With three channels an image is one; with any other number each channel is a grey
    image of its own, repeated three times, and the distance is the mean over the channels.

    Args:
        metric: an ``LPIPS`` module of ``lpips`` or ``stlpips_pytorch``.
        name: what its numbers are called.
    """

    def __init__(self, metric: nn.Module, name: str) -> None:
        super().__init__()
        self.metric, self.name = metric, name

    @property
    def weights(self) -> list[Tensor]:
        """The learned weights of each layer's channels."""
        return [head.model[-1].weight.detach().flatten() for head in self.metric.lins]

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images ``(B, C, H, W)`` in [0, 1] to a list of feature maps ``(B, C_l, H_l, W_l)``, with gradients.

        With C other than 3 the maps of the channels lie below one another, ``(B, C_l, C·H_l, W_l)``.
        """
        b, c, h, w = images.shape
        if c != 3:
            images = images.reshape(b * c, 1, h, w).expand(-1, 3, -1, -1)
        maps = self.metric.net(self.metric.scaling_layer(2 * images - 1))
        if c != 3:
            # The channels' maps below one another: the mean over positions is then also one over channels.
            maps = [m.unflatten(0, (b, c)).transpose(1, 2).flatten(2, 3) for m in maps]
        return list(maps)


def perceptual_backbone(
    kind: Literal["lpips", "st_lpips"] = "lpips", network: Literal["alex", "vgg"] = "alex"
) -> PerceptualBackbone:
    """A published perceptual metric's network and weights, from the package that carries them.

    It is in evaluation mode and its parameters are frozen: a loss that is computed from its maps has gradients for the
    images alone.

    * ``"lpips"``: LPIPS 0.1 itself (Zhang et al. 2018), from the package ``lpips`` and torchvision's ImageNet weights,
      which torchvision fetches on first use.
    * ``"st_lpips"``: shift-tolerant LPIPS (Ghildyal and Liu 2022), from the package ``stlpips_pytorch``, which carries
      all weights. Its numbers are no LPIPS: it is another network trained on the same judgements.

    Args:
        kind: ``"lpips"`` or ``"st_lpips"``.
        network: ``"alex"`` or ``"vgg"``.

    Raises:
        ImportError: a package is missing; the message names it.
        ValueError: kind or network is unknown.
    """
    if kind not in ("lpips", "st_lpips") or network not in ("alex", "vgg"):
        raise ValueError(f"no backbone {kind!r} with {network!r}: use lpips or st_lpips, with alex or vgg")
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
