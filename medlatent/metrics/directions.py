"""Whether directions of a latent space can be told apart in the images (Voynov and Babenko 2020; Schön et al. 2022)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..options import whole_options
from ._checks import confusion, finite, in_evaluation, numbers


@dataclass(frozen=True)
class DirectionScore:
    """A reconstructor's accuracy, and the error of its shifts.

    Attributes:
        score: RCA, the share of pairs whose direction is recognised.
        shift_loss: L_s, the mean absolute error of the shift, in units of the shift.
        weighted_shift_loss: γ·L_s, as it stands in the objective.
        per_batch: ``(batches,)``, the accuracy of each batch.
        confusion: ``(K, K)``, counts; the row is the direction taken, the column the one recognised.
        per_direction_shift_loss: ``(K,)``, L_s of each direction; where a direction was never drawn, the error is
            ``inf``.
    """

    score: float
    shift_loss: float
    weighted_shift_loss: float
    per_batch: np.ndarray
    confusion: np.ndarray
    per_direction_shift_loss: np.ndarray


@whole_options()
def reconstructor_accuracy(
    generate: Callable[[Tensor], Tensor],
    directions,
    reconstruct: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    *,
    batches: int = 100,
    batch_size: int = 128,
    max_shift: float = 6.0,
    min_shift: float = 0.5,
    gamma: float = 0.25,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> DirectionScore:
    """Reconstructor classification accuracy (RCA) and shift loss on fresh pairs (Schön et al. 2022, equation 3).

    For z ~ N(0, I), a direction k drawn uniformly, and a shift α drawn uniformly from [−max_shift, max_shift] whose
    size is raised to ``min_shift`` where it is smaller (the law of training), the reconstructor sees G(z) and G(z +
    A(α·e_k)) and names k and α. RCA is the share of right k, L_s the mean absolute error of α.

    By chance RCA is 1/K, so numbers at K = 32 and K = 100 differ in difficulty; a single direction gives 1. A constant
    guess of α = 0 gives L_s = 3.02 at the defaults. The published tables may hold 0.25·L_s, which is what the
    paper's code logs; both are returned. Duplicates among the columns of A cap RCA.

    Args:
        generate: G, from ``(B, d)``, float32 on ``device``, to images. Networks, and methods of networks, must be in
            evaluation mode; all run without gradients.
        directions: A, ``(d, K)``, one direction a column, as it is applied: of unit length, or orthonormal. NumPy or
            torch.
        reconstruct: R, from ``G(z)`` and ``G(z + A(α·e_k))`` to logits ``(B, K)`` and shifts ``(B,)`` or ``(B, 1)``.
        batches: how many fresh batches; 100 are the paper's code's.
        batch_size: pairs a batch.
        max_shift: the largest ``|α|``.
        min_shift: the smallest ``|α|``.
        gamma: the weight γ of the shift term in the objective.
        seed: of z, k and α, which come from a generator of the CPU's and are the same on every device.
        device: where ``generate`` wants its codes.

    Raises:
        ValueError: a shape is wrong, a network is in training mode, an argument is out of its range, or ``directions``
            or a prediction holds NaN or infinity.
    """
    matrix = finite("directions", directions, "(d, K)")
    d, k = matrix.shape
    if batches < 1 or batch_size < 1:
        raise ValueError(f"batches and batch_size must be at least 1, got {batches} and {batch_size}")
    if not 0 <= min_shift <= max_shift or not max_shift > 0 or not np.isfinite(max_shift):
        raise ValueError(f"expected 0 ≤ min_shift ≤ max_shift and max_shift > 0, got {min_shift} and {max_shift}")
    in_evaluation("generate", generate)
    in_evaluation("reconstruct", reconstruct)
    columns = torch.as_tensor(matrix.T, dtype=torch.float32).contiguous()
    if not columns.isfinite().all():
        raise ValueError(f"directions: {np.abs(matrix).max():g} is beyond float32, in which codes are; scale them")
    if not np.isfinite(gamma):
        raise ValueError(f"gamma must be a finite number, got {gamma}")
    generator = torch.Generator().manual_seed(seed)
    taken, recognised, errors = [], [], []
    with torch.no_grad():
        for _ in range(batches):
            z = torch.randn(batch_size, d, generator=generator)
            target = torch.randint(k, (batch_size,), generator=generator)
            alpha = max_shift * (2 * torch.rand(batch_size, generator=generator) - 1)
            alpha = torch.where(alpha < 0, alpha.clamp(max=-min_shift), alpha.clamp(min=min_shift))
            shifted = z + alpha[:, None] * columns[target]
            logits, shift = reconstruct(generate(z.to(device)), generate(shifted.to(device)))
            logits, shift = finite("reconstruct's logits", logits, "(B, K)"), numbers("reconstruct's shifts", shift)
            if logits.shape != (batch_size, k) or shift.shape not in ((batch_size,), (batch_size, 1)):
                raise ValueError(
                    f"reconstruct: expected logits ({batch_size}, {k}) and shifts ({batch_size},), "
                    f"got {logits.shape} and {shift.shape}"
                )
            taken.append(target.numpy())
            recognised.append(logits.argmax(1))
            errors.append(np.abs(finite("reconstruct's shifts", shift.reshape(-1), "(B)") - alpha.double().numpy()))
    taken, recognised, errors = np.stack(taken), np.stack(recognised), np.concatenate(errors)
    counts = confusion(taken.ravel(), recognised.ravel(), k)
    drawn = counts.sum(1)
    per_direction = np.full(k, np.inf)
    np.divide(np.bincount(taken.ravel(), errors, minlength=k), drawn, out=per_direction, where=drawn > 0)
    per_batch = (taken == recognised).mean(1)
    loss = float(errors.mean())
    return DirectionScore(float(per_batch.mean()), loss, gamma * loss, per_batch, counts, per_direction)
