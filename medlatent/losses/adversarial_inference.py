"""The games of DRAI (Havaei et al. 2021): conditional generation, and inference of one code or of style and content.

The paper prints every game with log D and plays it with least squares (Mao et al. 2017): ½ (D - 1)² in place of -log D,
½ D² in place of -log(1 - D), term by term and with the printed weights. A discriminator's output is taken as it is, no
activation stands before the square. The two sides of a least-squares game do not minimise V and -V: a generator's loss
is the square of how far the output is from the other label.

The letters are the paper's: x an image, t its condition, z the style, c the content; ẑ and ĉ are inferred from an
image, x̃ is generated from codes of the prior, x̂ is the reconstruction of x. All losses here are minimised.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ._checks import one_shape
from .adversarial import least_squares_deception_loss, least_squares_discriminator_loss


def conditional_discriminator_loss(
    real: Tensor, generated: Tensor, real_pair: Tensor, mismatched_pair: Tensor, generated_pair: Tensor
) -> Tensor:
    """What D_x, which sees images, and D_{x,t}, which sees pairs of image and condition, minimise together.

    ½ (D_x(x) - 1)² + ½ D_x(x̃)² + ½ (D_{x,t}(x, t) - 1)² + ½ {½ D_{x,t}(x̄, t)² + ½ D_{x,t}(x̃, t)²}, where x̄ is a
    real image that belongs to another condition than t. D_{x,t} is matching-aware (Reed et al. 2016): a real image
    beside the wrong condition is a negative example as well, so that it cannot do with looking at the image alone. Its
    two kinds of negative examples have half a weight each.

    Implements :eq:`eq-style-content-1`, equation 1 of Havaei et al. (2021).

    Args:
        real: D_x of real images, ``(B,)`` or ``(B, 1)``, as all of these.
        generated: D_x of images generated from z of the prior and the content c of a condition t.
        real_pair: D_{x,t} of real images with their conditions.
        mismatched_pair: D_{x,t} of real images with the conditions of other ones.
        generated_pair: D_{x,t} of generated images with the conditions that they were generated from.

    Returns:
        The shape of the outputs; ½ where both discriminators say ½ to everything.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(
        real=real,
        generated=generated,
        real_pair=real_pair,
        mismatched_pair=mismatched_pair,
        generated_pair=generated_pair,
    )
    images = least_squares_discriminator_loss(real, generated)
    return images + matching_discriminator_loss(real_pair, mismatched_pair, generated_pair)


def conditional_generator_loss(generated: Tensor, generated_pair: Tensor) -> Tensor:
    """½ (D_x(x̃) - 1)² + ½ · ½ (D_{x,t}(x̃, t) - 1)², what the generator minimises.

    The other side of equation 1 of Havaei et al. (2021): the terms with a generated image, with their weights. The
    condition of a pair reaches D_{x,t} as it is; gradients reach the encoder of conditions through x̃ alone.

    Args:
        generated: D_x of generated images, ``(B,)`` or ``(B, 1)``.
        generated_pair: D_{x,t} of them with the conditions that they were generated from, the same shape.

    Returns:
        The shape of the outputs.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(generated=generated, generated_pair=generated_pair)
    return least_squares_deception_loss(generated) + matching_generator_loss(generated_pair)


def matching_discriminator_loss(real_pair: Tensor, mismatched_pair: Tensor, generated_pair: Tensor) -> Tensor:
    """½ (D_{x,t}(x, t) - 1)² + ½ {½ D_{x,t}(x̄, t)² + ½ D_{x,t}(x̃, t)²}: D_{x,t}'s part of equation 1 by itself.

    The conditional adversarial VAEs of Havaei et al. (2021), III-B2, have it without a D_x.

    Args:
        real_pair: see :func:`conditional_discriminator_loss`, as of the others.
        mismatched_pair: the same shape.
        generated_pair: the same shape.

    Returns:
        The shape of the outputs.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(real_pair=real_pair, mismatched_pair=mismatched_pair, generated_pair=generated_pair)
    # Each half holds half of the positive example.
    return 0.5 * (
        least_squares_discriminator_loss(real_pair, mismatched_pair)
        + least_squares_discriminator_loss(real_pair, generated_pair)
    )


def matching_generator_loss(generated_pair: Tensor) -> Tensor:
    """½ · ½ (D_{x,t}(x̃, t) - 1)²: what the generator minimises of it.

    Args:
        generated_pair: see :func:`conditional_generator_loss`.

    Returns:
        The shape of ``generated_pair``.
    """
    return 0.5 * least_squares_deception_loss(generated_pair)


def ali_discriminator_loss(inferred: Tensor, generated: Tensor) -> Tensor:
    """½ (D(x, ẑ) - 1)² + ½ D(x̃, z)², telling an image with its inferred code from a code with its generated image.

    Implements :eq:`eq-style-content-2`, equation 2 of Havaei et al. (2021), adversarially learned inference (ALI;
    Donahue et al. 2017, Dumoulin et al. 2017). Where q(x, z) is the joint distribution of images and inferred codes and
    p(x, z) that of drawn codes and generated images, the best discriminator is q / (q + p): it says ½ everywhere only
    if the joints are the same.

    Args:
        inferred: D of real images x and the codes ẑ inferred from them, ``(B,)`` or ``(B, 1)``.
        generated: D of generated images x̃ and the codes z that they were generated from, the same shape.

    Returns:
        The shape of the outputs.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(inferred=inferred, generated=generated)
    return least_squares_discriminator_loss(inferred, generated)


def ali_generator_loss(inferred: Tensor, generated: Tensor) -> Tensor:
    """½ (D(x̃, z) - 1)² + ½ D(x, ẑ)², what generator and encoder minimise: each pair is to be taken for the other.

    The other side of equation 2 of Havaei et al. (2021). Here the real image is no fixed example: its code comes from
    the encoder, which plays against D as the generator does. So both terms stay.

    Args:
        inferred: see :func:`ali_discriminator_loss`.
        generated: the same shape.

    Returns:
        The shape of the outputs.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(inferred=inferred, generated=generated)
    return least_squares_discriminator_loss(generated, inferred)


def factorised_posterior(joint: Tensor) -> Tensor:
    """p(z|x) p(c|x) of a table p(z, c, x): what two separate encoders can hold of the posterior p(z, c|x).

    Implements :eq:`eq-style-content-3` and :eq:`eq-style-content-4`: equations 3 and 4 of Havaei et al. (2021) say that
    this product is the posterior. Its two factors are what equations 5 and 6 match: the joint of an image with either
    code, p(z, x) or p(c, x), divided by p(x).

    Args:
        joint: the probability of each style, content and image, ``(Z, C, X)``; every image has a positive one.

    Returns:
        ``(Z, C, X)``; the sum over z and c is 1 for each image.

    Raises:
        ValueError: the table has another number of dimensions, holds a negative or no finite number, does not sum to 1,
            or has an image of probability 0.
    """
    _check_joint(joint)
    p_x = joint.sum((0, 1))
    p_z_x, p_c_x = joint.sum(1), joint.sum(0)  # (Z, X) and (C, X)
    return (p_z_x / p_x).unsqueeze(1) * (p_c_x / p_x).unsqueeze(0)


def posterior_dependence(joint: Tensor) -> Tensor:
    """I(z; c|x) of a table p(z, c, x): what is lost by equations 3 and 4 of Havaei et al. (2021), in nats.

    The mean over images of KL(p(z, c|x) ‖ p(z|x) p(c|x)): 0 if, and only if, the posterior factorises. That z and c are
    independent does not make them independent given the image: where an image shows z + c, either one tells the other.

    Args:
        joint: see :func:`factorised_posterior`.

    Returns:
        A scalar, nowhere negative up to rounding, at most the logarithm of the smaller number of values of z and c.

    Raises:
        ValueError: see :func:`factorised_posterior`.
    """
    factorised = factorised_posterior(joint) * joint.sum((0, 1))
    return (torch.xlogy(joint, joint) - torch.xlogy(joint, factorised)).sum()  # 0 log 0 is 0


def _check_joint(joint: Tensor) -> None:
    if joint.ndim != 3:
        raise ValueError(f"joint: expected a table (Z, C, X), got {tuple(joint.shape)}")
    if not bool((joint >= 0).all()) or abs(float(joint.sum()) - 1) > 1e-5:
        raise ValueError(
            f"joint: expected probabilities that sum to 1, got {float(joint.min())} to {float(joint.max())}, whose sum "
            f"is {float(joint.sum())}"
        )
    if bool((never := joint.sum((0, 1)) == 0).any()):
        raise ValueError(f"joint: image {int(never.nonzero()[0])} has probability 0 and no posterior; leave it out")


class JudgedPairs(NamedTuple):
    """What a discriminator of images and codes says, ``(B,)`` or ``(B, 1)``.

    ``inferred`` is of real images and the codes inferred from them; ``generated`` of generated images and the codes
    that they were generated from.
    """

    inferred: Tensor
    generated: Tensor


def dual_ali_discriminator_loss(style: JudgedPairs, content: JudgedPairs) -> Tensor:
    """What D_{x,z} and D_{x,c} minimise together: :func:`ali_discriminator_loss` of style and of content.

    ½ (D_{x,z}(x, ẑ) - 1)² + ½ (D_{x,c}(x, ĉ) - 1)² + ½ D_{x,z}(x̃, z)² + ½ D_{x,c}(x̃, c)². No discriminator sees
    image, style and content at once: the game is over where q(z, x) = p(z, x) and q(c, x) = p(c, x), equations 5 and 6.

    Implements :eq:`eq-style-content-7`, equation 7 of Havaei et al. (2021).

    Args:
        style: what D_{x,z} says.
        content: what D_{x,c} says of the same images, real and generated, the same shape.

    Returns:
        The shape of the outputs; ½ where both discriminators say ½ to everything.

    Raises:
        ValueError: the shapes differ.
    """
    _check_pairs(style, content)
    return ali_discriminator_loss(*style) + ali_discriminator_loss(*content)


def dual_ali_generator_loss(style: JudgedPairs, content: JudgedPairs) -> Tensor:
    """What the generator G_x and the encoder G_{c,z} minimise: :func:`ali_generator_loss` of style and of content.

    The other side of equation 7 of Havaei et al. (2021).

    Args:
        style: what D_{x,z} says.
        content: what D_{x,c} says of the same images, the same shape.

    Returns:
        The shape of the outputs.

    Raises:
        ValueError: the shapes differ.
    """
    _check_pairs(style, content)
    return ali_generator_loss(*style) + ali_generator_loss(*content)


def _check_pairs(style: JudgedPairs, content: JudgedPairs) -> None:
    kinds = {"style": style, "content": content}
    one_shape(**{f"{kind}.{name}": output for kind, pair in kinds.items() for name, output in pair._asdict().items()})


def image_cycle_discriminator_loss(same: Tensor, reconstructed: Tensor) -> Tensor:
    """½ (D_cycle(x, x) - 1)² + ½ D_cycle(x, x̂)², telling an image beside itself from one beside its reconstruction.

    Implements :eq:`eq-style-content-8`, equation 8 of Havaei et al. (2021), after ALICE (Li et al. 2017). The positive
    example is the pair (x, x).

    Args:
        same: D_cycle of real images beside themselves, ``(B,)`` or ``(B, 1)``.
        reconstructed: D_cycle of the same images beside their reconstructions x̂ = G_x(ẑ, ĉ), the same shape.

    Returns:
        The shape of the outputs.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(same=same, reconstructed=reconstructed)
    return least_squares_discriminator_loss(same, reconstructed)


def image_cycle_generator_loss(reconstructed: Tensor) -> Tensor:
    """½ (D_cycle(x, x̂) - 1)², what generator and encoder minimise.

    The other side of equation 8 of Havaei et al. (2021); the pair (x, x) has no part of theirs.

    Args:
        reconstructed: see :func:`image_cycle_discriminator_loss`.

    Returns:
        The shape of ``reconstructed``.
    """
    return least_squares_deception_loss(reconstructed)
