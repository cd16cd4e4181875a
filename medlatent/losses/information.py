"""The variational bound on the mutual information of a code and its image (Barber and Agakov 2003; Chen et al. 2016).

I(c; x) = H(c) - H(c|x) ≥ H(c) + E[log Q(c|x)] for any distribution Q that reads codes off images; the gap is the mean
KL of the true posterior from Q. All is in nats, one value an image.
"""

from __future__ import annotations

import math

from torch import Tensor


def categorical_nll(logits: Tensor, category: Tensor) -> Tensor:
    """-log Q(c|x) of each image where c is a category: the cross-entropy of its logits.

    Args:
        logits: ``(B, K)``, unnormalised.
        category: one-hot, ``(B, K)``.

    Returns:
        ``(B,)``, in nats; log K where Q knows nothing.
    """
    return -(category * logits.log_softmax(1)).sum(1)


def gaussian_code_nll(mean: Tensor, logvar: Tensor, code: Tensor) -> Tensor:
    """-log Q(c|x) of each image where Q is the Gaussian N(mean, exp(logvar)) of each continuous code.

    A density's logarithm may be positive, so this may be negative. The constant ½ log 2π of each code is included.

    Args:
        mean: ``(B, K)``.
        logvar: ``(B, K)``, the logarithm of the variance.
        code: ``(B, K)``.

    Returns:
        ``(B,)``, in nats, summed over the K codes.
    """
    squared_distance = (code - mean).square() * (-logvar).exp()
    return 0.5 * (math.log(2 * math.pi) + logvar + squared_distance).sum(1)


def categorical_entropy(categories: int) -> float:
    """H(c) = log K of one of K equally probable categories, in nats."""
    return math.log(categories)


def uniform_entropy(low: float, high: float, codes: int = 1) -> float:
    """H(c) = K log(high - low) of K independent codes, uniform between ``low`` and ``high``, in nats.

    A differential entropy: 0 on (0, 1), log 2 a code on (-1, 1).

    Raises:
        ValueError: ``high`` is not above ``low``.
    """
    if not high > low:
        raise ValueError(f"high must be above low, got {low} and {high}")
    return codes * math.log(high - low)


def information_bound(entropy: float, nll: Tensor) -> Tensor:
    """H(c) + log Q(c|x) of each image, whose mean L_I(G, Q) is at most I(c; x).

    Implements :eq:`eq-hsic-infogan-3`, equation 3 of Liu et al. (2022).

    The paper prints L_I without H(c), which is a constant where the prior of c is fixed: no gradient differs, but only
    with it is L_I a bound. For one category, 0 ≤ I ≤ log K.

    Args:
        entropy: H(c), see :func:`categorical_entropy` and :func:`uniform_entropy`.
        nll: -log Q(c|x) of each image, ``(B,)``.

    Returns:
        ``(B,)``, in nats; the mean over a batch is an estimate of the bound and, by chance, may exceed it.
    """
    return entropy - nll
