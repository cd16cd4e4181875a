"""Networks as the papers draw them."""

from .conv import ConvDecoder, ConvEncoder, count_parameters
from .residual import Bottleneck, ResidualDecoder, ResidualEncoder

__all__ = ["Bottleneck", "ConvDecoder", "ConvEncoder", "ResidualDecoder", "ResidualEncoder", "count_parameters"]
