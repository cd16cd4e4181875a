"""Networks as the papers draw them; also the classifiers and perceptual backbones that metrics and losses take."""

from .classifier import DomainClassifier, train_domain_classifier
from .conv import ConvDecoder, ConvEncoder, count_parameters
from .directions import (
    BasicBlock,
    FixedDirections,
    LeNetReconstructor,
    OrthonormalDirections,
    ResNetReconstructor,
    UnitDirections,
)
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
from .regressor import FactorRegressor, train_factor_regressor
from .residual import Bottleneck, ResidualDecoder, ResidualEncoder
from .residual_vae import ResidualBlock, ResidualVAEDecoder, ResidualVAEEncoder
from .segmentation import UNet, dice, train_unet
from .style_content import CodeEncoder, CodePredictor, ConditionEncoder, ImageDiscriminator, JointDiscriminator

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "CodeEncoder",
    "CodePredictor",
    "CodeReader",
    "ConditionEncoder",
    "ConvDecoder",
    "ConvEncoder",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Discriminator",
    "DomainClassifier",
    "FactorRegressor",
    "FeatureMaps",
    "FixedDirections",
    "ImageDiscriminator",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "IntroBlock",
    "IntroVAEDecoder",
    "IntroVAEEncoder",
    "JointDiscriminator",
    "LeNetReconstructor",
    "OrthonormalDirections",
    "PerceptualBackbone",
    "ResNetReconstructor",
    "ResidualBlock",
    "ResidualDecoder",
    "ResidualEncoder",
    "ResidualVAEDecoder",
    "ResidualVAEEncoder",
    "ShiftTolerantAlexNet",
    "UNet",
    "UnitDirections",
    "VGGFeatures",
    "count_parameters",
    "dice",
    "feature_maps",
    "perceptual_backbone",
    "train_domain_classifier",
    "train_factor_regressor",
    "train_unet",
]
