"""Losses: one function per numbered equation, nothing hidden in a reduction."""

from .adversarial import (
    deception_loss,
    discriminator_loss,
    least_squares_deception_loss,
    least_squares_discriminator_loss,
    saturating_deception_loss,
)
from .elbo import (
    bernoulli_nll,
    beta_vae_objective,
    gaussian_nll,
    kl_to_standard_normal,
    reparametrise,
    squared_error,
)
from .hsic import centre, gaussian_kernel, hsic, median_squared_distance, squared_distances
from .information import (
    categorical_entropy,
    categorical_nll,
    gaussian_code_nll,
    information_bound,
    uniform_entropy,
)
from .total_correlation import KLDecomposition, gaussian_log_density, kl_decomposition, log_importance_weights

__all__ = [
    "KLDecomposition",
    "bernoulli_nll",
    "beta_vae_objective",
    "categorical_entropy",
    "categorical_nll",
    "centre",
    "deception_loss",
    "discriminator_loss",
    "gaussian_code_nll",
    "gaussian_kernel",
    "gaussian_log_density",
    "gaussian_nll",
    "hsic",
    "information_bound",
    "kl_decomposition",
    "kl_to_standard_normal",
    "least_squares_deception_loss",
    "least_squares_discriminator_loss",
    "log_importance_weights",
    "median_squared_distance",
    "reparametrise",
    "saturating_deception_loss",
    "squared_distances",
    "squared_error",
    "uniform_entropy",
]
