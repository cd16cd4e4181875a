"""Networks as the papers draw them."""

from .conv import ConvDecoder, ConvEncoder, count_parameters
from .gan import CodeReader, DCGANDiscriminator, DCGANGenerator, Discriminator, InfoGANDiscriminator, InfoGANGenerator
from .residual import Bottleneck, ResidualDecoder, ResidualEncoder

__all__ = [
    "Bottleneck",
    "CodeReader",
    "ConvDecoder",
    "ConvEncoder",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Discriminator",
    "InfoGANDiscriminator",
    "InfoGANGenerator",
    "ResidualDecoder",
    "ResidualEncoder",
    "count_parameters",
]
