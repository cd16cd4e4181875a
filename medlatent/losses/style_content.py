"""What keeps style and content apart in DRAI (Havaei et al. 2021): code cycles, reversed gradients, transformations.

The paper writes ‖·‖ for an ℓ1 norm and leaves its reduction open. Here it is the mean over a code's dimensions, see
:func:`code_distance`: the paper weighs all its terms alike because "they were all relatively on the same scale", and
next to least-squares games, which are of the order of 1, that holds for a mean and not for a sum.

The letters are those of :mod:`medlatent.losses.adversarial_inference`. All losses here are minimised.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from ._checks import codes_of_one_batch, one_shape


def code_distance(code: Tensor, other: Tensor) -> Tensor:
    """‖a - b‖ of each image: the mean absolute difference of two codes over their D dimensions.

    The norm of equations 9, 11, 14 and 15 of Havaei et al. (2021). D times as much is the sum, the ℓ1 norm itself. Of
    two independent draws from a standard normal prior it is 2/√π, about 1.13, on average; of a draw and the prior's
    centre √(2/π), about 0.80.

    Args:
        code: ``(B, D)``.
        other: the same shape.

    Returns:
        ``(B,)``, in units of the code.

    Raises:
        ValueError: the shapes differ, or are not ``(B, D)``.
    """
    codes_of_one_batch({"code": code, "other": other})
    return (code - other).abs().mean(1)


def code_cycle_loss(z: Tensor, c: Tensor, z_again: Tensor, c_again: Tensor) -> Tensor:
    """‖z' - z‖ + ‖c' - c‖: codes that are inferred from a generated image are to be those it was generated from.

    Implements :eq:`eq-style-content-9`, equation 9 of Havaei et al. (2021). Gradients reach the encoder of images
    through z' and c', the generator through the image between, and, since c is a sample of q(c|t), the encoder of
    conditions.

    Args:
        z: style, drawn from the prior, ``(B, D_z)``.
        c: content, drawn from q(c|t), ``(B, D_c)``.
        z_again: z', inferred from the image generated from z and c.
        c_again: c', likewise.

    Returns:
        ``(B,)``, in units of the code.

    Raises:
        ValueError: the shapes do not fit.
    """
    codes_of_one_batch({"z": z, "z_again": z_again}, {"c": c, "c_again": c_again})
    return code_distance(z_again, z) + code_distance(c_again, c)


class _ReverseGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)  # a tensor of its own, or autograd would not see the step

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,) = gradients
        return -ctx.strength * gradient, None  # the strength has none


def gradient_reversal(x: Tensor, strength: float = 1.0) -> Tensor:
    """The identity forwards; backwards, the gradient times -``strength`` (Ganin and Lempitsky 2015).

    What stands behind it minimises the loss, and what stands before it maximises the same loss, in one backward pass
    and with one optimiser: a game in which the two sides differ by no more than a sign.

    Args:
        x: any shape.
        strength: not negative; 1 is the game itself, 0 lets no gradient through. Ganin and Lempitsky raise it from 0 to
            1 while they train; Havaei et al. (2021) state none.

    Returns:
        ``x``, value by value.

    Raises:
        ValueError: ``strength`` is negative, with which nothing would be reversed.
    """
    if not strength >= 0:
        raise ValueError(f"strength must not be negative, got {strength}")
    reversed_: Tensor = _ReverseGradient.apply(x, strength)
    return reversed_


def reversed_prediction_loss(
    z: Tensor,
    c: Tensor,
    predict_z: Callable[[Tensor], Tensor],
    predict_c: Callable[[Tensor], Tensor],
    strength: float = 1.0,
    *,
    reverse_targets: bool = True,
) -> Tensor:
    """‖ẑ - F_z(ĉ)‖ + ‖ĉ - F_c(ẑ)‖, which the predictors F lower and, through reversed gradients, the encoder raises.

    Implements :eq:`eq-style-content-11`, equation 11 of Havaei et al. (2021) with its sign turned: it prints min over G
    and max over F of the negative of this. Equation 14 is the first of the two terms.

    An inferred code enters twice, as what is predicted from and as what is predicted, and equation 11 is minimised over
    the encoder through both: so both are reversed. The second way has a price. The error may be raised by a code that
    is larger in place of one that is harder to predict, without end; see
    :func:`medlatent.losses.laplace_information_bound`, and the KL terms of equation 16 that hold codes to the prior's
    scale. With ``reverse_targets=False`` a code that is predicted is a constant, as a label would be.

    Args:
        z: ẑ, style inferred from images, ``(B, D_z)``.
        c: ĉ, content inferred from the same images, ``(B, D_c)``.
        predict_z: F_z, from content to style.
        predict_c: F_c, from style to content.
        strength: of the reversal: the encoder's gradient is that of minus ``strength`` times this loss, the predictors'
            is that of the loss.
        reverse_targets: whether the encoder's gradient passes through the codes that are predicted, too.

    Returns:
        ``(B,)``, in units of the code.

    Raises:
        ValueError: ``strength`` is negative, or a shape does not fit.
    """
    codes_of_one_batch({"z": z}, {"c": c})
    z, c = gradient_reversal(z, strength), gradient_reversal(c, strength)
    z_target, c_target = (z, c) if reverse_targets else (z.detach(), c.detach())
    z_predicted, c_predicted = predict_z(c), predict_c(z)
    one_shape(z=z, predict_z=z_predicted)
    one_shape(c=c, predict_c=c_predicted)
    return code_distance(z_target, z_predicted) + code_distance(c_target, c_predicted)


def self_supervision_loss(z: Tensor, c: Tensor, z_transformed: Tensor, c_transformed: Tensor) -> Tensor:
    """‖ĉ - ĉ'‖ - ‖ẑ - ẑ'‖: a transformation that keeps the content moves the style and nothing else.

    Implements :eq:`eq-style-content-15`, equation 15 of Havaei et al. (2021). The contents of an image and its
    transformed copy attract each other, with a least value of 0. Their styles repel each other at any distance, with a
    force that does not fade (of points; of codes drawn from posteriors it does, below their noise): the loss has no
    lower bound, and alone no minimum. What keeps it finite is the KL of the style's posterior in equation 16, which
    grows with the square of the codes where this falls with their size.

    Args:
        z: ẑ, style inferred from images, ``(B, D_z)``.
        c: ĉ, content inferred from them, ``(B, D_c)``.
        z_transformed: ẑ', style inferred from the images turned or mirrored.
        c_transformed: ĉ', likewise.

    Returns:
        ``(B,)``, in units of the code, of either sign.

    Raises:
        ValueError: the shapes do not fit.
    """
    codes_of_one_batch({"z": z, "z_transformed": z_transformed}, {"c": c, "c_transformed": c_transformed})
    attract, repel = code_distance(c, c_transformed), code_distance(z, z_transformed)
    return attract - repel


def drai_objective(terms: Mapping[str, Tensor], divergences: Mapping[str, Tensor], lambda_kl: float = 1.0) -> Tensor:
    """The sum of the terms, each with weight 1, and of λ times the KL terms: what generator and encoders minimise.

    Implements :eq:`eq-style-content-16`, equation 16 of Havaei et al. (2021). DRAI's terms are, in the paper's order,
    :func:`conditional_generator_loss`, :func:`dual_ali_generator_loss`, :func:`image_cycle_generator_loss`,
    :func:`code_cycle_loss`, :func:`reversed_prediction_loss`, with which the predictors are trained, too, and
    :func:`self_supervision_loss`; its KL terms are those of q(z|x), q(c|x) and q(c|t) to the standard normal. A system
    with fewer of them is that system's objective.

    Its value is not that of the paper's V: a least-squares loss stands in the place of each game, and the term with
    reversed gradients enters with its plain sign.

    The reduction of the KL is not stated. It is a mean over the code's dimensions here, like the norms of the other
    terms. Summed over them, as in an ELBO, it has D times the weight: beside least-squares games, which are of the
    order of 1, λ = 1 then costs more nats than an encoder gains by them, and the posteriors become the prior. With
    ``lambda_kl`` = D that is what is minimised.

    Args:
        terms: of each name its loss, one value an image, ``(B,)`` or ``(B, 1)``, at least one.
        divergences: of each name a KL of each image and dimension, ``(B, D)``, in nats, as from
            :func:`medlatent.losses.kl_to_standard_normal`.
        lambda_kl: λ, the weight of the KL terms, not negative; the paper's is 1.

    Returns:
        A scalar: means over the batch, of KL terms over dimensions, too.

    Raises:
        ValueError: there is no term, a shape is another one, or ``lambda_kl`` is negative.
    """
    if not lambda_kl >= 0:
        raise ValueError(f"lambda_kl must not be negative, got {lambda_kl}")
    if not terms:
        raise ValueError("terms: expected at least one")
    for name, term in terms.items():
        if term.ndim not in (1, 2) or term.shape[1:].numel() != 1:
            raise ValueError(f"terms[{name!r}]: expected one value an image, (B,) or (B, 1), got {tuple(term.shape)}")
    for name, kl in divergences.items():
        if kl.ndim != 2:
            raise ValueError(f"divergences[{name!r}]: expected (B, D), got {tuple(kl.shape)}")
    losses = [term.mean() for term in terms.values()]
    losses += [lambda_kl * kl.mean() for kl in divergences.values()]
    return torch.stack(losses).sum()


def infogan_objective(game: Tensor, bound: Tensor, lambda_information: float = 1.0) -> Tensor:
    """V_GAN - λ (log Q(c|x̃) + H(c)), what the generator and the auxiliary encoder Q of an InfoGAN minimise.

    Implements :eq:`eq-style-content-17`, equation 17 of Havaei et al. (2021). In cInfoGAN the code that Q reads off the
    image is the style z, and the game is the conditional one; Q and the generator share the second term, the
    discriminator has no part in it.

    Args:
        game: the generator's loss, one value an image, ``(B,)``, as from :func:`conditional_generator_loss`.
        bound: log Q(c|x̃) + H(c) of each image, ``(B,)``, in nats, see :func:`medlatent.losses.information_bound`.
        lambda_information: λ, not negative; the paper states none.

    Returns:
        A scalar: the mean over the batch.

    Raises:
        ValueError: the shapes differ, or ``lambda_information`` is negative.
    """
    if not lambda_information >= 0:
        raise ValueError(f"lambda_information must not be negative, got {lambda_information}")
    one_shape(game=game, bound=bound)
    return (game - lambda_information * bound).mean()
