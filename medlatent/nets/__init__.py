"""Networks as the papers draw them; also the classifiers and perceptual backbones that metrics and losses take."""

from .classifier import DomainClassifier, train_domain_classifier
from .conv import ConvDecoder, ConvEncoder, count_parameters
from .gan import CodeReader, DCGANDiscriminator, DCGANGenerator, Discriminator, InfoGANDiscriminator, InfoGANGenerator
from .introvae import IntroBlock, IntroVAEDecoder, IntroVAEEncoder
from .perceptual import (
    FeatureMaps,
    PerceptualBackbone,
    ShiftTolerantAlexNet,
    VGGFeatures,
    feature_maps,
    perceptual_backbone,
)
from .residual import Bottleneck, ResidualDecoder, ResidualEncoder
from .segmentation import UNet, dice, train_unet

__all__ = [
    "Bottleneck",
    "CodeReader",
    "ConvDecoder",
    "ConvEncoder",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Discriminator",
    "DomainClassifier",
    "FeatureMaps",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "IntroBlock",
    "IntroVAEDecoder",
    "IntroVAEEncoder",
    "PerceptualBackbone",
    "ResidualDecoder",
    "ResidualEncoder",
    "ShiftTolerantAlexNet",
    "UNet",
    "VGGFeatures",
    "count_parameters",
    "dice",
    "feature_maps",
    "perceptual_backbone",
    "train_domain_classifier",
    "train_unet",
]
