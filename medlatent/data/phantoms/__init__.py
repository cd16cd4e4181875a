"""Phantoms: images rendered with every generative factor known, one module a data set."""

from . import heart, lesion, nodule, thorax

__all__ = ["heart", "lesion", "nodule", "thorax"]
