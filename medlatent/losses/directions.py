"""The terms of the search for directions (Voynov and Babenko 2020; Schön et al. 2022), one value a pair of images."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ._checks import one_each, one_shape


def direction_loss(logits: Tensor, k: Tensor) -> Tensor:
    """L_cl(k, k̂) = -log p(k) of each pair: the cross-entropy of the reconstructor's guess at the direction.

    Equation 3 of Schön et al. (2022). A reconstructor that cannot tell K directions apart has log K nats.

    Args:
        logits: the reconstructor's, ``(B, K)``.
        k: the direction that was taken, ``(B,)``, int64 from 0.

    Returns:
        ``(B,)``, in nats.

    Raises:
        ValueError: there is not one direction for each row of logits.
    """
    one_each("logits", logits, k=k)
    return F.cross_entropy(logits, k, reduction="none")


def shift_loss(predicted: Tensor, alpha: Tensor) -> Tensor:
    """L_s(α, α̂) = abs(α - α̂) of each pair: the absolute error of the reconstructor's guess at the shift.

    Equation 3 of Schön et al. (2022), where its mean over pairs is L_s; here without the weight γ.

    Args:
        predicted: the reconstructor's α̂, ``(B,)``.
        alpha: the shift that was made, α, ``(B,)``.

    Returns:
        ``(B,)``, in units of the shift: lengths in the latent space, of which a standard normal dimension has deviation
        1.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(predicted=predicted, alpha=alpha)
    return (alpha - predicted).abs()


def directions_objective(classification: Tensor, shift: Tensor, gamma: float = 0.25) -> Tensor:
    """E[L_cl + γ L_s] over a batch: what the directions A and the reconstructor R minimise together.

    Implements :eq:`eq-latent-directions-3`. At the shifts of the paper a reconstructor that knows nothing has log K +
    0.25 · 3.02: the two terms are of one order, and the first one is what makes directions differ.

    Args:
        classification: L_cl of each pair, ``(B,)``.
        shift: L_s of each pair, ``(B,)``.
        gamma: the weight γ.

    Returns:
        A scalar.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(classification=classification, shift=shift)
    return (classification + gamma * shift).mean()
