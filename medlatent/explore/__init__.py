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
from .source import show_source, source_of

__all__ = [
    "figure",
    "image_table",
    "information_bars",
    "interpolation",
    "loss_curves",
    "reconstructions",
    "samples",
    "show",
    "show_source",
    "sliders",
    "source_of",
    "traversal",
]
