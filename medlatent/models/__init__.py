"""Models: networks, losses and ``update(batch)``, one module a chapter."""

from .base import LatentModel, load
from .vae import VAE, BetaVAE

__all__ = ["VAE", "BetaVAE", "LatentModel", "load"]
