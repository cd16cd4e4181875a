"""What is observed of a model that encodes: the posterior and the reconstruction of every image."""

from __future__ import annotations

import numpy as np
import torch

from ..data import ImageSet
from ..losses import kl_to_standard_normal, squared_error
from ..metrics import psnr, ssim
from ..models import LatentModel, measured

BATCH = 256  # images a pass


def observe(model: LatentModel, images: ImageSet) -> dict[str, np.ndarray]:
    """Encodes every image and decodes its posterior mean.

    Returns:
        ``mean`` and ``logvar``, ``(N, D)``; and of each image, ``(N,)``: ``sse``, the squared error summed over
        channels and pixels, intensities in [0, 1]; ``psnr`` in dB; ``ssim``, 11×11 Gaussian window, mirrored border;
        ``kl``, of the posterior to the prior, in nats.
    """
    rows: dict[str, list] = {name: [] for name in ("mean", "logvar", "sse", "psnr", "ssim", "kl")}
    with torch.inference_mode(), measured(model):
        for start in range(0, len(images), BATCH):
            batch = images.batch(slice(start, start + BATCH)).to(model.device)
            mean, logvar = model.encode(batch)
            reconstruction = model.decode(mean)
            pair = batch.cpu(), reconstruction.cpu()
            found = {
                "mean": mean,
                "logvar": logvar,
                "sse": squared_error(reconstruction, batch),
                "psnr": psnr(*pair).per_image,
                "ssim": ssim(*pair).per_image,
                "kl": kl_to_standard_normal(mean, logvar).sum(1),
            }
            for name, values in found.items():
                rows[name].append(values.cpu().numpy() if isinstance(values, torch.Tensor) else values)
    return {name: np.concatenate(parts) for name, parts in rows.items()}
