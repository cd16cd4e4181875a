"""Models: networks, losses and ``update(batch)``, one module a chapter."""

from .base import LatentModel, load
from .tc_vae import BetaTCVAE
from .vae import VAE, BetaVAE

__all__ = ["VAE", "BetaTCVAE", "BetaVAE", "LatentModel", "load"]
