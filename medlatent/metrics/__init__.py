"""Metrics: functions from plain arrays to numbers; none of them knows a model."""

from .images import ImageScore, psnr
from .latent import DimensionScore, active_units, information

__all__ = ["DimensionScore", "ImageScore", "active_units", "information", "psnr"]
