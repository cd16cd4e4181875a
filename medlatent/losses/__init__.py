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
from .hsic import centre, gaussian_kernel, hsic, median_squared_distance, squared_distances
from .total_correlation import KLDecomposition, gaussian_log_density, kl_decomposition, log_importance_weights

__all__ = [
    "KLDecomposition",
    "bernoulli_nll",
    "beta_vae_objective",
    "centre",
    "deception_loss",
    "discriminator_loss",
    "gaussian_kernel",
    "gaussian_log_density",
    "gaussian_nll",
    "hsic",
    "kl_decomposition",
    "kl_to_standard_normal",
    "log_importance_weights",
    "median_squared_distance",
    "reparametrise",
    "squared_distances",
    "squared_error",
]
