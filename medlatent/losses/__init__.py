"""Losses: one function per numbered equation, nothing hidden in a reduction."""

from .adversarial import (
    deception_loss,
    discriminator_loss,
    least_squares_deception_loss,
    least_squares_discriminator_loss,
    saturating_deception_loss,
)
from .adversarial_inference import (
    JudgedPairs,
    ali_discriminator_loss,
    ali_generator_loss,
    conditional_discriminator_loss,
    conditional_generator_loss,
    dual_ali_discriminator_loss,
    dual_ali_generator_loss,
    factorised_posterior,
    image_cycle_discriminator_loss,
    image_cycle_generator_loss,
    posterior_dependence,
)
from .attribute import attri_vae_objective, attribute_distances, attribute_loss
from .directions import direction_loss, directions_objective, shift_loss
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
from .introspective import (
    JudgedImages,
    ar_sivae_encoder_loss,
    introspective_penalty,
    sivae_decoder_loss,
    sivae_encoder_loss,
    soft_exponential,
    soft_introspective_decoder_loss,
    soft_introspective_encoder_loss,
)
from .log_mse import log_mse, log_mse_objective
from .perceptual import feature_error
from .total_correlation import KLDecomposition, gaussian_log_density, kl_decomposition, log_importance_weights

__all__ = [
    "JudgedImages",
    "JudgedPairs",
    "KLDecomposition",
    "ali_discriminator_loss",
    "ali_generator_loss",
    "ar_sivae_encoder_loss",
    "attri_vae_objective",
    "attribute_distances",
    "attribute_loss",
    "bernoulli_nll",
    "beta_vae_objective",
    "categorical_entropy",
    "categorical_nll",
    "centre",
    "conditional_discriminator_loss",
    "conditional_generator_loss",
    "deception_loss",
    "direction_loss",
    "directions_objective",
    "discriminator_loss",
    "dual_ali_discriminator_loss",
    "dual_ali_generator_loss",
    "factorised_posterior",
    "feature_error",
    "gaussian_code_nll",
    "gaussian_kernel",
    "gaussian_log_density",
    "gaussian_nll",
    "hsic",
    "image_cycle_discriminator_loss",
    "image_cycle_generator_loss",
    "information_bound",
    "introspective_penalty",
    "kl_decomposition",
    "kl_to_standard_normal",
    "least_squares_deception_loss",
    "least_squares_discriminator_loss",
    "log_importance_weights",
    "log_mse",
    "log_mse_objective",
    "median_squared_distance",
    "posterior_dependence",
    "reparametrise",
    "saturating_deception_loss",
    "shift_loss",
    "sivae_decoder_loss",
    "sivae_encoder_loss",
    "soft_exponential",
    "soft_introspective_decoder_loss",
    "soft_introspective_encoder_loss",
    "squared_distances",
    "squared_error",
    "uniform_entropy",
]
