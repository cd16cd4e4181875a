"""What is observed of a model that encodes: the posterior and the reconstruction of every image."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..data import ImageSet
from ..losses import kl_to_standard_normal, squared_error
from ..metrics import psnr, ssim
from ..models import LatentModel, batches_of, decode_all, encode_all


def observe(model: LatentModel, images: ImageSet) -> dict[str, np.ndarray]:
    """Encodes every image and decodes its posterior mean.

    Returns:
        ``mean`` and ``logvar``, ``(N, D)``; and of each image, ``(N,)``: ``sse``, the squared error summed over
        channels and pixels, intensities in [0, 1]; ``psnr`` in dB; ``ssim``, 11×11 Gaussian window, mirrored border;
        ``kl``, of the posterior to the prior, in nats.
    """
    mean, logvar = encode_all(model, images)
    found: dict[str, list[np.ndarray]] = {"sse": [], "psnr": [], "ssim": []}
    for batch, code in zip(batches_of(images), batches_of(mean), strict=True):
        reconstruction = decode_all(model, code)
        found["sse"].append(squared_error(reconstruction, batch).numpy())
        found["psnr"].append(psnr(batch, reconstruction).per_image)
        found["ssim"].append(ssim(batch, reconstruction).per_image)
    kl = kl_to_standard_normal(mean, logvar).sum(1)
    posteriors = {"mean": mean.numpy(), "logvar": logvar.numpy(), "kl": kl.numpy()}
    return posteriors | {name: np.concatenate(parts) for name, parts in found.items()}


SHUFFLES = 10


def with_controls(name: str, score: Callable[[np.ndarray], float], mean: np.ndarray) -> dict[str, float]:
    """A score of codes ``(N, D)``, and what it gives where there is nothing to find.

    Returns:
        ``name``; ``name.rotated``, of the codes turned at random, which hold as much, along no axis; and
        ``name.shuffled``, the mean over ten permutations of the codes among the images: chance.
    """
    random = np.random.default_rng(0)
    shuffled = [score(mean[random.permutation(len(mean))]) for _ in range(SHUFFLES)]
    return {
        name: score(mean),
        f"{name}.rotated": score(turned(mean, random)),
        f"{name}.shuffled": float(np.mean(shuffled)),
    }


def turned(mean: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The codes ``(N, D)`` in units of their deviations, turned at random: they hold as much, along no axis."""
    turn, _ = np.linalg.qr(random.standard_normal((mean.shape[1], mean.shape[1])))
    deviation = mean.std(0)
    return (mean - mean.mean(0)) / np.where(deviation > 0, deviation, 1) @ turn
