"""Sliders over a latent space, for a reader with a kernel."""

from __future__ import annotations

import io
from collections.abc import Sequence

import ipywidgets as widgets
import numpy as np
import torch
from matplotlib.image import imsave
from torch import Tensor

from ..metrics import information


def sliders(
    model,
    code: Tensor | None = None,
    posteriors: tuple[Tensor, Tensor] | None = None,
    count: int = 8,
    limits: tuple[float, float] = (-3.0, 3.0),
    names: Sequence[str] | None = None,
) -> widgets.Widget:
    """One slider a latent dimension beside the decoded picture.

    Args:
        model: with ``decode`` and ``latent_dim``.
        code: where the sliders start, ``(D,)``; by default 0.
        posteriors: the means and log-variances of many images, ``(N, D)`` each: the sliders then stand in the order of
            the information in each dimension.
        count: how many sliders.
        limits: of each slider; where ``code`` lies outside, the slider reaches as far as it.
        names: of all D dimensions; by default z0, z1, …

    Returns:
        A widget; ``widget.code`` is the present code, a NumPy array ``(D,)``.

    Raises:
        ValueError: the names are not D.
    """
    if names is not None and len(names) != model.latent_dim:
        raise ValueError(f"names: {len(names)} for {model.latent_dim} dimensions")
    start = np.zeros(model.latent_dim, np.float32) if code is None else code.detach().cpu().numpy().astype(np.float32)
    order = range(model.latent_dim)
    if posteriors is not None:
        order = np.argsort(-information(*(p.cpu() for p in posteriors)).per_dimension, kind="stable").tolist()
    picture = widgets.Image(format="png", width=256, height=256, layout={"margin": "0 1em 0 0"})
    box = widgets.HBox()
    box.code = start.copy()

    def redraw() -> None:
        with torch.inference_mode():
            image = model.decode(torch.from_numpy(box.code)[None].to(model.device))[0].cpu()
        picture.value = _png(image)

    controls = []
    for dimension in list(order)[:count]:
        value = float(start[dimension])
        control = widgets.FloatSlider(
            value=value,
            min=min(limits[0], value),
            max=max(limits[1], value),
            step=0.05,
            description=f"z{dimension}" if names is None else names[dimension],
            readout_format="+.2f",
        )

        def moved(change: dict, dimension: int = dimension) -> None:
            box.code[dimension] = change["new"]
            redraw()

        control.observe(moved, "value")
        controls.append(control)
    reset = widgets.Button(description="Reset", tooltip="Back to where the sliders started")

    def back(_) -> None:
        for control, dimension in zip(controls, list(order)[:count], strict=True):
            control.value = float(start[dimension])

    reset.on_click(back)
    box.children = (picture, widgets.VBox([*controls, reset]))
    redraw()
    return box


def _png(image: Tensor) -> bytes:
    """An image ``(C, H, W)`` in [0, 1] as PNG, enlarged so that its pixels stay crisp."""
    scale = max(1, 256 // image.shape[-1])
    pixels = image.clamp(0, 1).expand(3, -1, -1).repeat_interleave(scale, 1).repeat_interleave(scale, 2)
    buffer = io.BytesIO()
    imsave(buffer, pixels.permute(1, 2, 0).contiguous().numpy(), format="png")
    return buffer.getvalue()
