"""Looking into a latent space: figures for page and paper, and an explorer that lives on both sides of a kernel."""

from .directions import Directions
from .explorer import Explorer
from .figures import (
    describe_curves,
    figure,
    image_table,
    information_bars,
    interpolation,
    loss_curves,
    reconstructions,
    running_mean,
    samples,
    show,
    side_by_side,
    strongest_dimensions,
    traversal,
)
from .measuring import Scale, Segmentation
from .network import Network, trace
from .windows import WindowExplorer

__all__ = [
    "Directions",
    "Explorer",
    "Network",
    "Scale",
    "Segmentation",
    "WindowExplorer",
    "describe_curves",
    "figure",
    "image_table",
    "information_bars",
    "interpolation",
    "loss_curves",
    "reconstructions",
    "running_mean",
    "samples",
    "show",
    "side_by_side",
    "strongest_dimensions",
    "trace",
    "traversal",
]
