"""Looking into a latent space: figures for page and paper, and an explorer that lives on both sides of a kernel."""

from .explorer import Explorer
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
from .network import Network, trace
from .source import show_source, source_of

__all__ = [
    "Explorer",
    "Network",
    "figure",
    "image_table",
    "information_bars",
    "interpolation",
    "loss_curves",
    "reconstructions",
    "samples",
    "show",
    "show_source",
    "source_of",
    "trace",
    "traversal",
]
