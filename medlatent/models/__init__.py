"""Models: networks, losses and ``update(batch)``, one module a chapter."""

from .adversarial_vae import AdversarialVAE, ResidualTCVAE
from .base import CodePart, LatentModel, load
from .gan import GAN
from .infogan import HSICInfoGAN, InfoGAN
from .inversion import Inversion, invert
from .tc_vae import BetaTCVAE
from .vae import VAE, BetaVAE

__all__ = [
    "GAN",
    "VAE",
    "AdversarialVAE",
    "BetaTCVAE",
    "BetaVAE",
    "CodePart",
    "HSICInfoGAN",
    "InfoGAN",
    "Inversion",
    "LatentModel",
    "ResidualTCVAE",
    "invert",
    "load",
]
