"""The terms of the evidence lower bound, one function an equation of the chapter on the variational autoencoder.

Every term is in nats and is returned unreduced: one value an image, ``(B,)``, or one an image and latent dimension,
``(B, D)``. A model sums over dimensions and averages over the batch, in the open.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ._checks import one_each, one_shape


def reparametrise(mean: Tensor, logvar: Tensor) -> Tensor:
    """A sample of N(mean, exp(logvar)) through which gradients reach ``mean`` and ``logvar``.

    Implements :eq:`eq-vae-6`, z = μ + σ ⊙ ε with ε ~ N(0, I) from PyTorch's global generator.

    Args:
        mean: ``(B, D)``.
        logvar: ``(B, D)``, the logarithm of the variance.

    Returns:
        ``(B, D)``.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(mean=mean, logvar=logvar)
    return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)


def kl_to_standard_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mean, exp(logvar)) ‖ N(0, 1)) of each latent dimension, in nats, in closed form.

    Implements :eq:`eq-vae-3`. The KL of a whole code is the sum over its dimensions, since both distributions
    factorise.

    Args:
        mean: ``(B, D)``.
        logvar: ``(B, D)``, the logarithm of the variance.

    Returns:
        ``(B, D)``, nowhere negative up to rounding.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(mean=mean, logvar=logvar)
    return 0.5 * (mean.square() + logvar.exp() - logvar - 1)


def squared_error(reconstruction: Tensor, images: Tensor) -> Tensor:
    """The sum of squared errors (SSE) over channels and pixels of each image, intensities in [0, 1].

    Args:
        reconstruction: ``(B, C, H, W)``.
        images: the same shape.

    Returns:
        ``(B,)``.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(reconstruction=reconstruction, images=images)
    return (reconstruction - images).square().sum((1, 2, 3))


def gaussian_nll(reconstruction: Tensor, images: Tensor, variance: float = 0.5) -> Tensor:
    """-log N(images; reconstruction, variance·I) of each image, in nats, the constant included.

    Implements :eq:`eq-vae-7`. At ``variance=0.5`` this is the SSE plus a constant; at ``variance=1`` half of it. The
    variance thus sets what "beta = 6" weighs the KL against.

    Args:
        reconstruction: the mean ``(B, C, H, W)``.
        images: the same shape, intensities in [0, 1].
        variance: of each pixel and channel, positive.

    Returns:
        ``(B,)``.

    Raises:
        ValueError: ``variance`` is not positive, or the shapes differ.
    """
    if not variance > 0:
        raise ValueError(f"variance must be positive, got {variance}")
    values = images[0].numel()
    return squared_error(reconstruction, images) / (2 * variance) + 0.5 * values * math.log(2 * math.pi * variance)


def bernoulli_nll(logits: Tensor, images: Tensor) -> Tensor:
    """-log Bernoulli(images; sigmoid(logits)) of each image, summed over channels and pixels, in nats.

    Implements :eq:`eq-vae-8`, from logits so that no probability rounds to 0 or 1. For grey values between 0 and 1 it
    is a cross-entropy and not the likelihood of a distribution, yet it is widely used.

    Args:
        logits: ``(B, C, H, W)``, unbounded.
        images: the same shape, in [0, 1].

    Returns:
        ``(B,)``.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(logits=logits, images=images)
    return F.binary_cross_entropy_with_logits(logits, images, reduction="none").sum((1, 2, 3))


def beta_vae_objective(reconstruction: Tensor, kl: Tensor, beta: float = 1.0) -> Tensor:
    """An estimate of the negative ELBO, averaged over the batch, with the KL weighted by beta.

    Implements :eq:`eq-vae-9`, :eq:`eq-independence-1` and :eq:`eq-adversarial-vae-1`; at ``beta=1`` it is the negative
    of :eq:`eq-vae-5`, and of Equation 18 of Havaei et al. (2021).

    Args:
        reconstruction: the negative log-likelihood of each image, ``(B,)``.
        kl: the KL of each image and dimension, ``(B, D)``.
        beta: the weight of the KL.

    Returns:
        A scalar in nats per image.

    Raises:
        ValueError: there is not one reconstruction term for each row of ``kl``.
    """
    one_each("kl", kl, reconstruction=reconstruction)
    return (reconstruction + beta * kl.sum(1)).mean()
