"""Training as the pages do it."""

from __future__ import annotations

from torch import Tensor

from ..data import ImageSet
from ..models import LatentModel
from ..training import History, train


def fit(
    model: LatentModel, images: ImageSet | Tensor, steps: int, batch_size: int, seed: int, device: str = "auto"
) -> History:
    """Trains a small model as a notebook does it, and leaves it in evaluation mode.

    It calls :func:`medlatent.training.train` in 32 bits, since narrow networks gain nothing from 16, and without a
    progress bar, which a page would keep for good. In evaluation mode batch normalisation uses its running statistics,
    so that what is measured afterwards does not depend on which images share a batch.

    Args:
        model: what to train.
        images: a set, or a tensor ``(N, C, H, W)`` in [0, 1].
        steps: how many.
        batch_size: images a step.
        seed: of the batches.
        device: as of ``train``.

    Returns:
        The terms of the loss at every step.
    """
    history = train(
        model, images, steps, batch_size=batch_size, seed=seed, device=device, precision="float32", progress=False
    )
    model.eval()
    return history
