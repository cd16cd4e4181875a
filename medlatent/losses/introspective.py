"""The soft-introspective game (Daniel and Tamar 2021): encoder and decoder of a VAE as each other's adversaries.

The encoder raises the ELBO of real images and lowers that of generated ones, through an exponential that stops pulling
once they are low enough. The decoder raises both. Equations 4 and 5 are written with an ELBO; equations 6 and 7 are
what is computed: the ELBO becomes -s (β_rec L_r + β_kl L_KL), and every term has a weight of its own.

All losses here are minimised. Equations 4 and 5 are printed as objectives to be maximised, with +γ_reg L_attr among
them: maximised so, the code would be put out of order. Here the term has the sign that equation 6 gives it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ._checks import one_shape


class JudgedImages(NamedTuple):
    """What an encoder and a decoder make of a batch of images, real or generated, one value an image, ``(B,)``.

    ``reconstruction`` is L_r, how far its reconstruction is from it; ``kl`` is L_KL, the KL of its posterior to the
    prior, in nats, summed over dimensions.
    """

    reconstruction: Tensor
    kl: Tensor


def soft_exponential(elbo: Tensor, alpha: float = 2.0) -> Tensor:
    """exp(α ELBO) / α of each generated image, what the encoder minimises of them.

    Implements :eq:`eq-attribute-vae-4`, the last term of the first line of equation 4 of Di Folco et al. (2024). Its
    derivative by the ELBO is exp(α ELBO): where the ELBO of generated images is low already there is nothing left to
    gain, and the KL of them does not run away as it would without the exponential.

    Args:
        elbo: of generated images, ``(B,)``.
        alpha: α, positive; 2 in both papers. Towards 0 the exponential becomes the ELBO itself, plus a constant.

    Returns:
        ``(B,)``, positive.

    Raises:
        ValueError: ``alpha`` is not positive.
    """
    if not alpha > 0:
        raise ValueError(f"alpha must be positive, got {alpha}")
    return torch.exp(alpha * elbo) / alpha


def soft_introspective_encoder_loss(real: Tensor, generated: Tensor, alpha: float = 2.0) -> Tensor:
    """-(ELBO(x) - exp(α ELBO(D(z))) / α), the encoder's part of the game.

    Implements :eq:`eq-attribute-vae-4`, equation 4 of Di Folco et al. (2024), first line, with its sign turned: it is
    minimised.

    Args:
        real: the ELBO of real images, ``(B,)``.
        generated: the ELBO of generated ones, ``(B,)``. The encoder takes them as images like any other: the decoder's
            graph behind them belongs to none of its gradients.
        alpha: see :func:`soft_exponential`.

    Returns:
        A scalar: the mean over the batch.

    Raises:
        ValueError: ``alpha`` is not positive, or the shapes differ.
    """
    one_shape(real=real, generated=generated)
    return (soft_exponential(generated, alpha) - real).mean()


def soft_introspective_decoder_loss(real: Tensor, generated: Tensor, eta: float = 1.0) -> Tensor:
    """-(ELBO(x) + η ELBO(D(z))), the decoder's part of the game.

    Implements :eq:`eq-attribute-vae-4`, equation 4 of Di Folco et al. (2024), second line, with its sign turned: it is
    minimised.

    Args:
        real: the ELBO of real images, ``(B,)``; only its reconstruction depends on the decoder.
        generated: the ELBO of generated ones, ``(B,)``.
        eta: η, not negative.

    Returns:
        A scalar: the mean over the batch.

    Raises:
        ValueError: ``eta`` is negative, or the shapes differ.
    """
    one_shape(real=real, generated=generated)
    if not eta >= 0:
        raise ValueError(f"eta must not be negative, got {eta}")
    return -(real + eta * generated).mean()


def ar_sivae_encoder_loss(
    real: Tensor, generated: Tensor, attribute: Tensor, gamma_reg: float = 0.05, alpha: float = 2.0
) -> Tensor:
    """γ_reg L_attr - ELBO(x) + exp(α ELBO(D(z))) / α, the encoder's loss with attribute regularisation.

    Implements :eq:`eq-attribute-vae-5`, equation 5 of Di Folco et al. (2024), minimised; on the sign of L_attr see the
    top of this module.

    Args:
        real: the ELBO of real images, ``(B,)``.
        generated: the ELBO of generated ones, ``(B,)``.
        attribute: L_{k,a} of each attribute, ``(K,)``, see :func:`medlatent.losses.attribute_loss`.
        gamma_reg: γ_reg.
        alpha: see :func:`soft_exponential`.

    Returns:
        A scalar.

    Raises:
        ValueError: ``alpha`` is not positive.
    """
    return gamma_reg * attribute.sum() + soft_introspective_encoder_loss(real, generated, alpha)


def introspective_penalty(
    generated: JudgedImages, scale: float, beta_rec: float = 0.8, beta_neg: float = 1024.0
) -> Tensor:
    """exp(-2 s (β_rec L_r + β_neg L_KL)) of each generated image: near 1 where the encoder takes it for real.

    Implements :eq:`eq-attribute-vae-6`, the exponential of equation 6 of Di Folco et al. (2024), without its ½. The
    exponent is never positive, so it cannot overflow. s makes it small; the large β_neg in place of β_kl brings it back
    to the order of 1.

    Args:
        generated: L_r and L_KL of generated images. L_r is the published code's sum over channels and pixels.
        scale: s, the published code's 1 / (height · width).
        beta_rec: the weight of L_r.
        beta_neg: the weight of L_KL.

    Returns:
        ``(B,)``, in (0, 1].

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(**generated._asdict())
    return torch.exp(-2 * scale * (beta_rec * generated.reconstruction + beta_neg * generated.kl))


def sivae_encoder_loss(
    real: JudgedImages,
    generated: Sequence[JudgedImages],
    scale: float,
    *,
    attribute: Tensor | None = None,
    gamma_reg: float = 0.05,
    beta_rec: float = 0.8,
    beta_kl: float = 1.0,
    beta_neg: float = 1024.0,
) -> Tensor:
    """γ_reg L_attr + s (β_rec L_r + β_kl L_KL) + ½ exp(-2 s (β_rec L_r + β_neg L_KL)), the last of generated images.

    Implements :eq:`eq-attribute-vae-6`, equation 6 of Di Folco et al. (2024). With one kind of generated images it is
    what the paper prints: those that are drawn from the prior. Its code has two, reconstructions of the batch being
    generated images, too, and the mean over the kinds: ½ becomes two quarters.

    Scales: L_attr is not multiplied by s; everything else is. In the published code L_r is a sum over channels and
    pixels inside the exponential, and a mean over them outside; the caller brings both as it wants them.

    Args:
        real: L_r and L_KL of real images.
        generated: the same of each kind of generated images; with none of them the loss is that of a VAE.
        scale: s.
        attribute: L_{k,a} of each attribute, ``(K,)``; None for a model without attributes.
        gamma_reg: γ_reg.
        beta_rec: the weight of L_r.
        beta_kl: the weight of L_KL of real images.
        beta_neg: the weight of L_KL of generated ones.

    Returns:
        A scalar: means over the batch.

    Raises:
        ValueError: the shapes of L_r and L_KL differ.
    """
    one_shape(**real._asdict())
    elbo = scale * (beta_rec * real.reconstruction + beta_kl * real.kl).mean()
    penalties = [introspective_penalty(kind, scale, beta_rec, beta_neg).mean() for kind in generated]
    loss = elbo + 0.5 * torch.stack(penalties).mean() if penalties else elbo
    return loss if attribute is None else loss + gamma_reg * attribute.sum()


def sivae_decoder_loss(
    reconstruction: Tensor,
    generated: Sequence[JudgedImages],
    scale: float,
    *,
    beta_rec: float = 0.8,
    beta_kl: float = 1.0,
    eta: float = 1e-8,
) -> Tensor:
    """s β_rec L_r(x) + s (η β_rec L_r(D(z)) + β_kl L_KL(D(z))), what the decoder minimises.

    Implements :eq:`eq-attribute-vae-7`, equation 7 of Di Folco et al. (2024). As in :func:`sivae_encoder_loss`, it is
    the printed one with one kind of generated images; with the two of the published code, the mean over the kinds.
    Other than η ELBO(D(z)) in equation 4, η weighs the reconstruction alone.

    L_r(D(z)) asks a reconstruction to be like D(z): in the published code D(z) is a target without gradient, and so is
    the code that it is reconstructed from.

    Args:
        reconstruction: L_r of real images, ``(B,)``.
        generated: L_r and L_KL of each kind of generated images, at least one.
        scale: s.
        beta_rec: the weight of L_r.
        beta_kl: the weight of L_KL.
        eta: η, the weight of the reconstruction of generated images; γ_r in the code.

    Returns:
        A scalar: means over the batch.

    Raises:
        ValueError: there are no generated images, or the shapes of their L_r and L_KL differ.
    """
    if not generated:
        raise ValueError("generated: expected at least one kind of generated images")
    for kind in generated:
        one_shape(**kind._asdict())
    kinds = [(eta * beta_rec * kind.reconstruction + beta_kl * kind.kl).mean() for kind in generated]
    return scale * (beta_rec * reconstruction.mean() + torch.stack(kinds).mean())
