"""Models: networks, losses and ``update(images, **columns)``, one module a chapter."""

from .adversarial_vae import AdversarialVAE, ResidualTCVAE
from .attribute_vae import ARSIVAE, SIVAE, AttriVAE
from .base import LatentModel, load, measured
from .batches import batches_of, decode_all, draw_images, encode_all
from .gan import GAN, SpectralGAN, WassersteinGAN
from .hsic_infogan import HSICInfoGAN, InfoGAN
from .inversion import Inversion, invert
from .known_directions import (
    first_activations,
    first_layer,
    principal_directions,
    random_directions,
    sefa_directions,
)
from .latent_directions import LatentDirections, ResidualVAE
from .priors import Categorical, CodePart, Conditional, Normal, Prior, Uniform, code_parts
from .style_content import (
    CAVAE,
    DAI,
    DCAVAE,
    DRAI,
    CInfoGAN,
    DAIFeatureCycle,
    DAIMIReg,
    DAISelfReg,
    DAISelfRegMIReg,
    DCInfoGAN,
    StyleContentModel,
    TwoVariableModel,
)
from .tc_vae import BetaTCVAE
from .vae import VAE, BetaVAE

__all__ = [
    "ARSIVAE",
    "CAVAE",
    "DAI",
    "DCAVAE",
    "DRAI",
    "GAN",
    "SIVAE",
    "VAE",
    "AdversarialVAE",
    "AttriVAE",
    "BetaTCVAE",
    "BetaVAE",
    "CInfoGAN",
    "Categorical",
    "CodePart",
    "Conditional",
    "DAIFeatureCycle",
    "DAIMIReg",
    "DAISelfReg",
    "DAISelfRegMIReg",
    "DCInfoGAN",
    "HSICInfoGAN",
    "InfoGAN",
    "Inversion",
    "LatentDirections",
    "LatentModel",
    "Normal",
    "Prior",
    "ResidualTCVAE",
    "ResidualVAE",
    "SpectralGAN",
    "StyleContentModel",
    "TwoVariableModel",
    "Uniform",
    "WassersteinGAN",
    "batches_of",
    "code_parts",
    "decode_all",
    "draw_images",
    "encode_all",
    "first_activations",
    "first_layer",
    "invert",
    "load",
    "measured",
    "principal_directions",
    "random_directions",
    "sefa_directions",
]
