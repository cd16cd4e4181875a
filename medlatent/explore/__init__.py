"""Looking into a latent space: figures for page and paper, sliders for a reader with a kernel."""

from .figures import (
    figure,
    image_table,
    information_bars,
    interpolation,
    loss_curves,
    reconstructions,
    samples,
    show,
    traversal,
)
from .sliders import sliders

__all__ = [
    "figure",
    "image_table",
    "information_bars",
    "interpolation",
    "loss_curves",
    "reconstructions",
    "samples",
    "show",
    "sliders",
    "traversal",
]
