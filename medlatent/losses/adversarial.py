"""The losses of a discriminator and of what tries to deceive it, one value an image.

A discriminator returns a logit, the logarithm of D / (1 - D), so that no probability rounds to 0 or 1.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def deception_loss(fake: Tensor) -> Tensor:
    """-log D(x̂) of each image: small where the discriminator takes it for real. The non-saturating form.

    Implements :eq:`eq-adversarial-vae-3`: the last term of L_gen in equation 3 of Sarhan et al. (2019).

    Args:
        fake: the discriminator's logits of generated images, ``(B,)`` or ``(B, 1)``.

    Returns:
        The shape of ``fake``, in nats.
    """
    return F.softplus(-fake)


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """-log D(x) - log(1 - D(x̂)), the cross-entropy of telling real images from generated ones.

    Implements :eq:`eq-adversarial-vae-3`: L_disc in equation 3 of Sarhan et al. (2019). A discriminator that cannot
    tell has 2 log 2 nats.

    Args:
        real: its logits of real images, ``(B,)`` or ``(B, 1)``.
        fake: its logits of generated images, the same shape.

    Returns:
        The shape of the logits, in nats.
    """
    return F.softplus(-real) + F.softplus(fake)
