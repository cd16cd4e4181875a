"""Phantoms: images rendered with every generative factor known, one module a data set."""

from . import lesion

__all__ = ["lesion"]
