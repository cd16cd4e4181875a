"""Interpretable latent spaces of medical images, rebuilt from five papers."""

__version__ = "0.1.0"
