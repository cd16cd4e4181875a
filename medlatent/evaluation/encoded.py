"""What is observed of a model that encodes: the posterior and the reconstruction of every image."""

from __future__ import annotations

import numpy as np

from ..data import ImageSet
from ..losses import kl_to_standard_normal, squared_error
from ..metrics import psnr, ssim
from ..models import LatentModel, batches_of, decode_all, encode_all
from ..models.batches import BATCH


def observe(model: LatentModel, images: ImageSet) -> dict[str, np.ndarray]:
    """Encodes every image and decodes its posterior mean.

    Returns:
        ``mean`` and ``logvar``, ``(N, D)``; and of each image, ``(N,)``: ``sse``, the squared error summed over
        channels and pixels, intensities in [0, 1]; ``psnr`` in dB; ``ssim``, 11×11 Gaussian window, mirrored border;
        ``kl``, of the posterior to the prior, in nats.
    """
    mean, logvar = encode_all(model, images)
    found: dict[str, list[np.ndarray]] = {"sse": [], "psnr": [], "ssim": []}
    for batch, code in zip(batches_of(images), mean.split(BATCH), strict=True):
        reconstruction = decode_all(model, code)
        found["sse"].append(squared_error(reconstruction, batch).numpy())
        found["psnr"].append(psnr(batch, reconstruction).per_image)
        found["ssim"].append(ssim(batch, reconstruction).per_image)
    kl = kl_to_standard_normal(mean, logvar).sum(1)
    posteriors = {"mean": mean.numpy(), "logvar": logvar.numpy(), "kl": kl.numpy()}
    return posteriors | {name: np.concatenate(parts) for name, parts in found.items()}
