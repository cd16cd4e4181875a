"""The loss of a VAE whose likelihood chooses its own variance, as Schön et al. (2022) train theirs."""

from __future__ import annotations

from torch import Tensor

from ._checks import one_shape


def log_mse(reconstruction: Tensor, images: Tensor) -> Tensor:
    """log MSE, the logarithm of the mean squared error over all images, channels and pixels of a batch.

    It is what is left of a Gaussian likelihood when its variance, one for all pixels, is the best one (Yu 2020). For P
    values an image -log p(x|z) is P/2 (log 2πσ² + MSE/σ²) on average; σ² = MSE minimises it, and makes it P/2 (log MSE
    + log 2π + 1). Images in [-1, 1], as in the published code, in place of [0, 1] add log 4, which has no gradient.

    Args:
        reconstruction: ``(B, C, H, W)``.
        images: the same shape.

    Returns:
        A scalar; it falls without bound as the reconstruction becomes exact.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(reconstruction=reconstruction, images=images)
    return (reconstruction - images).square().mean().log()


def log_mse_objective(reconstruction: Tensor, kl: Tensor, beta: float = 0.01) -> Tensor:
    """log MSE + β KL, what the VAE of Schön et al. (2022) minimises.

    Implements :eq:`eq-latent-directions-2` as their code computes it: the reconstruction term is divided by P/2, half
    the number of values an image, and the KL is not. In the objective of a beta-VAE, in nats an image, their β = 0.01
    is 0.01 · P/2: 82 for images of 128×128 pixels, 20 for 64×64.

    Args:
        reconstruction: the logarithm of the mean squared error, a scalar.
        kl: the KL of each image and dimension, ``(B, D)``.
        beta: the weight of the KL.

    Returns:
        A scalar.
    """
    return reconstruction + beta * kl.sum(1).mean()
