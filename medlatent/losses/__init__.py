"""Losses: one function per numbered equation, nothing hidden in a reduction."""

from .elbo import (
    bernoulli_nll,
    beta_vae_objective,
    gaussian_nll,
    kl_to_standard_normal,
    reparametrise,
    squared_error,
)

__all__ = [
    "bernoulli_nll",
    "beta_vae_objective",
    "gaussian_nll",
    "kl_to_standard_normal",
    "reparametrise",
    "squared_error",
]
