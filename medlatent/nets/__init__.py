"""Networks as the papers draw them."""

from .conv import ConvDecoder, ConvEncoder, count_parameters

__all__ = ["ConvDecoder", "ConvEncoder", "count_parameters"]
