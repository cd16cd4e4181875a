"""Looking for the code of an image in a model that has no encoder: latent search."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..losses import squared_error
from ..options import whole_options
from .base import LatentModel, measured
from .priors import Normal


@dataclass(frozen=True)
class Inversion:
    """The codes that a latent search found.

    Attributes:
        codes: ``(B, D)``, of each image the code of the start that ended lowest.
        errors: ``(B, starts)``, the squared error, summed over channels and pixels, at the end of each start.
        objectives: ``(B, starts)``, the same with the penalty, which decides between the starts.
        ends: ``(B, starts, D)``, the code that each start ended at.
    """

    codes: Tensor
    errors: Tensor
    objectives: Tensor
    ends: Tensor


@whole_options()
def invert(
    model: LatentModel,
    images: Tensor,
    steps: int = 200,
    *,
    starts: int = 4,
    prior_weight: float = 0.0,
    rate: float = 0.1,
    seed: int = 0,
) -> Inversion:
    """Searches the latent space for the codes whose images are closest to those given.

    Implements :eq:`eq-gan-13`: for each image, Adam minimises ‖x - G(z)‖² + λ‖z‖² over z, from several draws of the
    prior. The problem is not convex: another start may end elsewhere. With a Gaussian likelihood of variance σ² and the
    standard normal prior, λ = σ² gives the mode of the posterior.

    The weights stay as they are. The model is put in evaluation mode, so that an image's code does not depend on the
    other images, computes in 32 bits, and is then left as it was found.

    Args:
        model: with ``decode``, and a code of the standard normal prior.
        images: ``(B, C, H, W)`` in [0, 1].
        steps: of Adam; its rate falls linearly to 0.
        starts: searches an image, all at once: the memory is that of decoding ``B * starts`` images.
        prior_weight: λ, not negative.
        rate: of Adam, in standard deviations of the prior.
        seed: of the starts. The first of them are the same for any larger number of starts.

    Raises:
        ValueError: an argument is out of its range, the images do not fit what the model makes, or a part of its code
            has another prior.
    """
    if other := [part for part in model.code_layout if not isinstance(part.prior, Normal)]:
        raise ValueError(
            f"model: its code has the part {other[0].name!r} with the prior {other[0].prior}; the search needs a "
            "code that is normal throughout"
        )
    if steps < 1 or starts < 1:
        raise ValueError(f"steps and starts must be at least 1, got {steps} and {starts}")
    if not prior_weight >= 0 or not rate > 0:
        raise ValueError(f"expected prior_weight ≥ 0 and rate > 0, got {prior_weight} and {rate}")
    if images.ndim != 4 or not len(images) or not images.is_floating_point():
        raise ValueError(f"images: expected floats (B, C, H, W), got {images.dtype} {tuple(images.shape)}")
    # The comparison is false for NaN, too.
    if not ((images >= 0) & (images <= 1)).all():
        raise ValueError("images: a value is NaN or outside [0, 1]")

    count = len(images)
    generator = torch.Generator().manual_seed(seed)
    draws = [model.sample_codes(count, generator) for _ in range(starts)]
    codes = torch.stack(draws, 1).flatten(0, 1).requires_grad_()
    wanted = images.to(model.device).repeat_interleave(starts, 0)
    optimiser = torch.optim.Adam([codes], lr=rate)

    with measured(model):
        for step in range(steps + 1):
            decoded = model.decode(codes)
            if decoded.shape != wanted.shape:
                raise ValueError(f"images: {tuple(images.shape[1:])}, the model makes {tuple(decoded.shape[1:])}")
            errors = squared_error(decoded, wanted)
            objectives = errors + prior_weight * codes.square().sum(1)
            if step == steps:
                break
            optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
            (codes.grad,) = torch.autograd.grad(objectives.sum(), codes)
            optimiser.step()

    shape = (count, starts)
    found = (codes, errors, objectives)
    ends, errors, objectives = (t.detach().unflatten(0, shape) for t in found)
    best = objectives.argmin(1)
    chosen = ends[torch.arange(count, device=ends.device), best]
    return Inversion(chosen, errors, objectives, ends)
