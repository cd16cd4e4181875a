"""Models: networks, losses and ``update(batch)``, one module a chapter."""

from .adversarial_vae import AdversarialVAE, ResidualTCVAE
from .base import LatentModel, load
from .tc_vae import BetaTCVAE
from .vae import VAE, BetaVAE

__all__ = ["VAE", "AdversarialVAE", "BetaTCVAE", "BetaVAE", "LatentModel", "ResidualTCVAE", "load"]
