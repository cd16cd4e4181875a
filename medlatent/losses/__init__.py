"""Losses: one function per numbered equation, nothing hidden in a reduction."""

from .adversarial import deception_loss, discriminator_loss
from .elbo import (
    bernoulli_nll,
    beta_vae_objective,
    gaussian_nll,
    kl_to_standard_normal,
    reparametrise,
    squared_error,
)
from .total_correlation import KLDecomposition, gaussian_log_density, kl_decomposition, log_importance_weights

__all__ = [
    "KLDecomposition",
    "bernoulli_nll",
    "beta_vae_objective",
    "deception_loss",
    "discriminator_loss",
    "gaussian_log_density",
    "gaussian_nll",
    "kl_decomposition",
    "kl_to_standard_normal",
    "log_importance_weights",
    "reparametrise",
    "squared_error",
]
