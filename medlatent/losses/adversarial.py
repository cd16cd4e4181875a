"""The losses of a discriminator and of what tries to deceive it, one value an image.

A discriminator returns a logit, the logarithm of D / (1 - D), so that no probability rounds to 0 or 1; in the
least-squares losses its output has no such meaning and is taken as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ._checks import one_shape


def deception_loss(fake: Tensor) -> Tensor:
    """-log D(x̂) of each image: small where the discriminator takes it for real. The non-saturating form.

    Implements :eq:`eq-gan-4` and :eq:`eq-adversarial-vae-3`: the last term of L_gen in equation 3 of Sarhan et al.
    (2019).

    Args:
        fake: the discriminator's logits of generated images, ``(B,)`` or ``(B, 1)``.

    Returns:
        The shape of ``fake``, in nats.
    """
    return F.softplus(-fake)


def saturating_deception_loss(fake: Tensor) -> Tensor:
    """log(1 - D(x̂)) of each image, what the generator of the minimax game minimises.

    Implements :eq:`eq-gan-1`, :eq:`eq-hsic-infogan-1` and :eq:`eq-latent-directions-1`: the part of the value that the
    generator can change.

    Its gradient with respect to the logit is -D(x̂): it vanishes where the discriminator is sure, which is where the
    generator has most to learn. :func:`deception_loss` has the same fixed point and the gradient D(x̂) - 1.

    Args:
        fake: the discriminator's logits of generated images, ``(B,)`` or ``(B, 1)``.

    Returns:
        The shape of ``fake``, in nats, at most 0.
    """
    return -F.softplus(fake)


def discriminator_loss(real: Tensor, fake: Tensor, smoothing: float | Tensor = 0.0) -> Tensor:
    """-log D(x) - log(1 - D(x̂)), the cross-entropy of telling real images from generated ones.

    Implements :eq:`eq-gan-1`, :eq:`eq-adversarial-vae-3`, :eq:`eq-hsic-infogan-1` and :eq:`eq-latent-directions-1`: the
    negative of the value in equation 1 of Liu et al. (2022) and of Schön et al. (2022), and L_disc in equation 3 of
    Sarhan et al. (2019). A discriminator that cannot tell has 2 log 2 nats.

    With one-sided label smoothing (Salimans et al. 2016) the target of real images is 1 - s in place of 1: the first
    term becomes -(1 - s) log D(x) - s log(1 - D(x)). Where p is the density of real images and q that of generated
    ones, the best discriminator is D*(x) = (1 - s) p(x) / (p(x) + q(x)), which never exceeds 1 - s. Were the target of
    generated images raised to t as well, it would be ((1 - s) p + t q) / (p + q): where p is 0 and q is not, D* = t
    would no longer tell the generator to leave.

    Args:
        real: its logits of real images, ``(B,)`` or ``(B, 1)``.
        fake: its logits of generated images, the same shape.
        smoothing: s, in [0, 1), a number or one for each image.

    Returns:
        The shape of the logits, in nats.

    Raises:
        ValueError: the shapes differ.
    """
    _as_one(real, fake, smoothing=smoothing)
    is_real, is_fake = F.softplus(-real), F.softplus(real)  # -log D(x), -log(1 - D(x))
    return (1 - smoothing) * is_real + smoothing * is_fake + F.softplus(fake)


def least_squares_discriminator_loss(real: Tensor, fake: Tensor, a: float = 0.0, b: float | Tensor = 1.0) -> Tensor:
    """½ (D(x) - b)² + ½ (D(x̂) - a)², the discriminator's loss of a least-squares GAN (Mao et al. 2017, equation 2).

    Implements :eq:`eq-gan-5`. Here D is the output itself: no activation stands before the square. Where p is the
    density of real images and q that of generated ones, the best discriminator is (b p + a q) / (p + q).

    Args:
        real: its outputs for real images, ``(B,)`` or ``(B, 1)``.
        fake: its outputs for generated images, the same shape.
        a: the target of generated images.
        b: the target of real ones, a number or one for each image; below 1 is the one-sided label smoothing of this
            loss.

    Returns:
        The shape of the outputs.

    Raises:
        ValueError: the shapes differ.
    """
    _as_one(real, fake, b=b)
    return 0.5 * (real - b).square() + 0.5 * (fake - a).square()


def least_squares_deception_loss(fake: Tensor, c: float = 1.0) -> Tensor:
    """½ (D(x̂) - c)², the generator's loss of a least-squares GAN (Mao et al. 2017, equation 2).

    Implements :eq:`eq-gan-5`. With b - c = 1 and b - a = 2, generator and best discriminator minimise a Pearson χ²
    divergence; with a = 0 and b = c = 1, the defaults, a generated image is to look real. Both perform alike according
    to the paper.

    Args:
        fake: the discriminator's outputs for generated images, ``(B,)`` or ``(B, 1)``.
        c: what the generator wants the discriminator to say.

    Returns:
        The shape of ``fake``.
    """
    return 0.5 * (fake - c).square()


def wasserstein_critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """D(x̂) - D(x), what the critic of a Wasserstein GAN minimises (Arjovsky et al. 2017).

    Implements :eq:`eq-gan-9`. Where D changes by no more than the distance between two images, its mean is at least
    minus the distance that the generated images would have to be moved to become the real ones, and the best critic
    reaches it. Whether D is such a function is not this loss's business, but that of :func:`gradient_penalty` or of
    spectral normalisation.

    Args:
        real: the critic's outputs for real images, ``(B,)`` or ``(B, 1)``: any numbers, no logits.
        fake: its outputs for generated images, the same shape.

    Returns:
        The shape of the outputs, in units of the images' distance.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(real=real, fake=fake)
    return fake - real


def wasserstein_deception_loss(fake: Tensor) -> Tensor:
    """-D(x̂), what the generator of a Wasserstein GAN minimises (Arjovsky et al. 2017).

    Implements :eq:`eq-gan-9`: the part of the distance that the generator can change.

    Args:
        fake: the critic's outputs for generated images, ``(B,)`` or ``(B, 1)``.

    Returns:
        The shape of ``fake``. Its slope is -1 everywhere: it never vanishes, however bad the image.
    """
    return -fake


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor) -> Tensor:
    """(‖∇D(x̃)‖ - 1)² on the way from each generated image to a real one (Gulrajani et al. 2017, equation 3).

    Implements :eq:`eq-gan-10`. x̃ = u x + (1 - u) x̂ with u from U(0, 1), one for each pair: the best critic has a
    slope of 1 on such lines. The norm is that of all values of an image. The critic must judge each image by itself:
    with batch normalisation the gradient of one image's output would go through the others.

    Args:
        critic: images ``(B, ...)`` to outputs ``(B,)`` or ``(B, 1)``, differentiable twice.
        real: ``(B, ...)``.
        fake: the same shape, without a graph.

    Returns:
        ``(B,)``, from which gradients reach the critic's weights.

    Raises:
        ValueError: the shapes differ.
    """
    one_shape(real=real, fake=fake)
    share = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
    between = torch.lerp(fake.detach(), real, share).requires_grad_()
    (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    # The root's own slope at 0 is infinite.
    return (slope.flatten(1).square().sum(1).clamp(min=1e-12).sqrt() - 1).square()


def _as_one(real: Tensor, fake: Tensor, **target: float | Tensor) -> None:
    """Refuses outputs of two shapes, and targets that are neither one number nor one for each output."""
    one_shape(real=real, fake=fake, **{k: v for k, v in target.items() if isinstance(v, Tensor) and v.ndim})
