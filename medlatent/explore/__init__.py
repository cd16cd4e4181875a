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
    side_by_side,
    traversal,
)
from .network import Network, trace

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
    "side_by_side",
    "trace",
    "traversal",
]
