"""Metrics: functions from plain arrays to numbers; none of them knows a model."""

from .images import ImageScore, psnr
from .latent import DimensionScore, GaussianScore, active_units, gaussian_total_correlation, information

__all__ = [
    "DimensionScore",
    "GaussianScore",
    "ImageScore",
    "active_units",
    "gaussian_total_correlation",
    "information",
    "psnr",
]
