"""Attribute regularisation (Pati and Lerch 2021): a dimension of the code is put into the order of an attribute.

Only the order counts. The attribute enters through the signs of its differences, which no strictly increasing
transformation changes: millilitres, litres, standardised volumes and ranks give the same loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ._checks import one_each


def attribute_distances(values: Tensor) -> Tensor:
    """The signed differences a(x_i) - a(x_j) of all pairs of a batch, an antisymmetric matrix.

    Implements :eq:`eq-attribute-vae-1`, equation 1 of Di Folco et al. (2024): D_a of an attribute, and D_k of a
    dimension of the code.

    Args:
        values: ``(B,)``, or ``(B, K)`` for K of them at once.

    Returns:
        ``(B, B)`` or ``(B, B, K)``, in the unit of ``values``; row i, column j. Its diagonal is exactly 0.
    """
    return values.unsqueeze(1) - values.unsqueeze(0)


def attribute_loss(z: Tensor, attributes: Tensor, delta: float = 10.0) -> Tensor:
    """How far tanh(δ (z_i - z_j)) is from sgn(a_i - a_j), the mean over all B² pairs, of attribute k and dimension k.

    Implements :eq:`eq-attribute-vae-2`, equation 2 of Di Folco et al. (2024), one value an attribute; L_attr in their
    equation 3 is the sum.

    A pair in the right order and far apart has 0, one in the wrong order up to 2, a tie of the attribute is asked to be
    a tie of the code. The B pairs of an image with itself count, with 0: a code without any order has about 1 - 1/B. δ
    sets how far apart is far: a pair in the right order still has 0.24 at δ (z_i - z_j) = 1, and 0.001 at 3.8. The
    gradient is that of tanh, δ (1 - tanh²): with a large δ it vanishes for every pair that is not close, for those in
    the wrong order too.

    Args:
        z: codes ``(B, D)``, drawn from the posteriors; dimension k is put into the order of attribute k.
        attributes: ``(B, K)``, K at most D, in any unit. They get no gradient.
        delta: δ, positive: 1 in Pati and Lerch (2021), 10 in Di Folco et al. (2024), 100 in Cetin et al. (2023).

    Returns:
        ``(K,)``, between 0 and 2; NaN where a value of the attribute is missing. The rest of the code has no gradient.

    Raises:
        ValueError: ``delta`` is not positive, or the shapes do not fit.
    """
    if not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    if z.ndim != 2 or attributes.ndim != 2 or len(z) != len(attributes) or attributes.shape[1] > z.shape[1]:
        raise ValueError(
            f"attributes must be (B, K) for codes z (B, D) with K at most D, got {tuple(attributes.shape)} for "
            f"{tuple(z.shape)}"
        )
    codes = attribute_distances(z[:, : attributes.shape[1]])
    order = attribute_distances(attributes).sign()
    # The sign of NaN is 0: a value that is missing would be a tie with all others.
    missing = (0 * attributes.detach()).sum(0)
    return (torch.tanh(delta * codes) - order).abs().mean((0, 1)) + missing


def attri_vae_objective(
    reconstruction: Tensor, kl: Tensor, attribute: Tensor, beta: float = 2.0, gamma_reg: float = 30.0
) -> Tensor:
    """L_r + β L_KL + γ_reg L_attr, the loss of Attri-VAE; at ``gamma_reg=0`` that of a beta-VAE.

    Implements :eq:`eq-attribute-vae-3`, equation 3 of Di Folco et al. (2024). L_attr is a mean over pairs and lies
    between 0 and 2 K whatever the size of the image; the ELBO's terms are sums over pixels and over dimensions. So
    γ_reg means nothing without the scale of L_r: the published code divides the squared error, summed over channels and
    pixels, by the number of channels.

    Args:
        reconstruction: L_r of each image, ``(B,)``.
        kl: the KL of each image and dimension, ``(B, D)``, in nats.
        attribute: L_{k,a} of each attribute, ``(K,)``, see :func:`attribute_loss`.
        beta: the weight of the KL.
        gamma_reg: the weight of the sum over the attributes.

    Returns:
        A scalar: the mean over the batch.

    Raises:
        ValueError: there is not one L_r for each row of ``kl``.
    """
    one_each("kl", kl, reconstruction=reconstruction)
    return (reconstruction + beta * kl.sum(1)).mean() + gamma_reg * attribute.sum()
