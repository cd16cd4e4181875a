"""The variational bound on the mutual information of a code and its image (Barber and Agakov 2003; Chen et al. 2016).

I(c; x) = H(c) - H(c|x) ≥ H(c) + E[log Q(c|x)] for any distribution Q that reads codes off images; the gap is the mean
KL of the true posterior from Q, KL(p(c|x) ‖ Q(c|x)). All is in nats, one value an image. The same bound holds of two
codes; for Gaussian ones it is at the end of this module in closed form.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ..options import whole_options
from ._checks import codes_of_one_batch, one_shape


def categorical_nll(logits: Tensor, category: Tensor) -> Tensor:
    """-log Q(c|x) of each image where c is a category: the cross-entropy of its logits.

    Args:
        logits: ``(B, K)``, unnormalised.
        category: one-hot, ``(B, K)``.

    Returns:
        ``(B,)``, in nats; log K where Q knows nothing.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(logits=logits, category=category)
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

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(mean=mean, logvar=logvar, code=code)
    squared_distance = (code - mean).square() * (-logvar).exp()
    return 0.5 * (math.log(2 * math.pi) + logvar + squared_distance).sum(1)


def laplace_code_nll(mean: Tensor, code: Tensor, scale: float = 1.0) -> Tensor:
    """-log Q(c|x) of each image where Q is a Laplace distribution about ``mean``, of one scale b for all codes.

    Σ_d abs(c_d - mean_d) / b + log 2b: an ℓ1 distance is this at b = 1, without its constant. So the cycle of codes,
    equation 9 of Havaei et al. (2021), raises the bounds on I(c; x̃) and I(z; x̃) that their equation 10 leads to.

    Args:
        mean: ``(B, K)``; where Q is best it is the median of the true posterior.
        code: ``(B, K)``.
        scale: b, positive: the mean absolute deviation of Q.

    Returns:
        ``(B,)``, in nats, summed over the K codes; negative where Q is narrow and right.

    Raises:
        ValueError: ``scale`` is not positive, or the shapes differ.
    """
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    codes_of_one_batch({"mean": mean, "code": code})
    return ((code - mean).abs() / scale + math.log(2 * scale)).sum(1)


@whole_options()
def categorical_entropy(categories: int) -> float:
    """H(c) = log K of one of K equally probable categories, in nats."""
    return math.log(categories)


@whole_options()
def uniform_entropy(low: float, high: float, codes: int = 1) -> float:
    """H(c) = K log(high - low) of K independent codes, uniform between ``low`` and ``high``, in nats.

    A differential entropy: 0 on (0, 1), log 2 a code on (-1, 1).

    Raises:
        ValueError: ``high`` is not above ``low``.
    """
    if not high > low:
        raise ValueError(f"high must be above low, got {low} and {high}")
    return codes * math.log(high - low)


@whole_options()
def normal_entropy(codes: int = 1, variance: float = 1.0) -> float:
    """H(c) = K/2 log(2πe σ²) of K independent normal codes, in nats.

    A differential entropy: 1.42 for a standard normal code, negative for one whose variance is below 1/(2πe), a
    deviation of 0.24.

    Raises:
        ValueError: ``variance`` is not positive.
    """
    if not variance > 0:
        raise ValueError(f"variance must be positive, got {variance}")
    return 0.5 * codes * math.log(2 * math.pi * math.e * variance)


def information_bound(entropy: float, nll: Tensor) -> Tensor:
    """H(c) + log Q(c|x) of each image, whose mean L_I(G, Q) is at most I(c; x).

    Implements :eq:`eq-hsic-infogan-3`, equation 3 of Liu et al. (2022).

    The paper prints L_I without H(c), which is a constant where the prior of c is fixed: no gradient differs, but only
    with it is L_I a bound. For one category, 0 ≤ I ≤ log K.

    Args:
        entropy: H(c), see :func:`categorical_entropy`, :func:`uniform_entropy` and :func:`normal_entropy`.
        nll: -log Q(c|x) of each image, ``(B,)``.

    Returns:
        ``(B,)``, in nats; the mean over a batch is an estimate of the bound and, by chance, may exceed it.
    """
    return entropy - nll


def gaussian_information(correlation: Tensor) -> Tensor:
    """I(z; c) = H(z) - H(z|c) = -½ log(1 - ρ²) of two jointly normal numbers.

    Implements :eq:`eq-style-content-12`, equation 12 of Havaei et al. (2021), where it is known: H(z) = ½ log(2πe σ²),
    and given c the variance that is left is σ² (1 - ρ²). σ is in both and not in I: no scaling of a code changes what
    it says of another.

    Args:
        correlation: ρ, any shape, between -1 and 1.

    Returns:
        The shape of ``correlation``, in nats; infinite where ρ is -1 or 1.

    Raises:
        ValueError: a correlation is not between -1 and 1.
    """
    _check_correlation(correlation)
    return -0.5 * torch.log1p(-correlation.square())


def laplace_information_bound(correlation: Tensor, deviation: Tensor | float = 1.0, scale: float = 1.0) -> Tensor:
    """H(z) + max_F E[log Q(z|ĉ)] of two jointly normal numbers, where Q is a Laplace distribution about F(ĉ).

    Implements :eq:`eq-style-content-13`, equation 13 of Havaei et al. (2021), with the Q that turns it into equation
    14: log Q(z|ĉ) = -abs(z - F(ĉ)) / b - log 2b. The best F(ĉ) is the median of z given ĉ. Given ĉ, z is normal with
    deviation σ √(1 - ρ²), so that the mean of abs(z - F(ĉ)) is σ √(1 - ρ²) √(2/π).

    It is a lower bound on :func:`gaussian_information`. The gap is least, ½ - log(π/2) = 0.048 nats, where b is that
    error. It depends on σ, and I does not: a code that is multiplied by more and more pushes this bound below any
    value, and says as much of the other code as before.

    Args:
        correlation: ρ, any shape, between -1 and 1.
        deviation: σ of z, positive, a number or a shape that broadcasts with ρ.
        scale: b, positive; equation 14 has 1.

    Returns:
        The shape of ``correlation`` and ``deviation`` together, in nats.

    Raises:
        ValueError: a correlation is not between -1 and 1, or ``deviation`` or ``scale`` is not positive.
    """
    _check_correlation(correlation)
    sigma = torch.as_tensor(deviation, dtype=correlation.dtype, device=correlation.device)
    if not bool((sigma > 0).all()):
        raise ValueError(f"deviation must be positive, got {float(sigma.min())}")
    if not scale > 0:
        raise ValueError(f"scale must be positive, got {scale}")
    entropy = normal_entropy() + sigma.log()
    error = sigma * torch.sqrt(1 - correlation.square()) * math.sqrt(2 / math.pi)
    return entropy - error / scale - math.log(2 * scale)


def _check_correlation(correlation: Tensor) -> None:
    if not bool((correlation.abs() <= 1).all()):
        raise ValueError(f"correlation must be between -1 and 1, got {float(correlation.abs().max())} in size")
