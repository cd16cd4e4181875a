"""Phantoms: images rendered with every generative factor known, one module a data set."""

from . import heart, lesion

__all__ = ["heart", "lesion"]
