"""Metrics: functions from plain arrays to numbers; none of them knows a network, a model or a data set of this course.

What every chapter needs is here. The others are imported by their module: ``from medlatent.metrics import
disentanglement``, ``downstream``, ``generation``, ``categories``, ``strokes``, ``lesions``, ``thorax``,
``style_content``, ``directions``, ``comparison``.
"""

from .images import ImageScore, PerceptualScore, SSIMScore, lpips_like, psnr, ssim
from .latent import DimensionScore, GaussianScore, active_units, gaussian_total_correlation, information

__all__ = [
    "DimensionScore",
    "GaussianScore",
    "ImageScore",
    "PerceptualScore",
    "SSIMScore",
    "active_units",
    "gaussian_total_correlation",
    "information",
    "lpips_like",
    "psnr",
    "ssim",
]
