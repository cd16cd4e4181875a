"""Suite ``new_chapter``: how well images are reproduced, and what the condition does to them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from ..data import ImageSet
from ..losses import kl_to_standard_normal, squared_error
from ..models import LatentModel, measured

TOLERANCES: dict[str, float] = {}
BATCH = 256  # images a pass


def observe(model: LatentModel, images: ImageSet) -> dict[str, np.ndarray]:
    """Infers z of every image, and decodes it with the image's condition and with others.

    Returns:
        Of each image, ``(N,)``: ``sse``, the squared error summed over channels and pixels, intensities in [0, 1];
        ``kl``, of z's posterior to its prior, in nats; and how far the pixels move, in the mean of their absolute
        differences, when the ``skin_colour`` goes from 0 to 1, and when the ``dx`` becomes the next class.
    """
    columns = images.columns(model.columns)
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ("sse", "kl", "skin_colour", "dx")}
    with torch.inference_mode(), measured(model):
        for start in range(0, len(images), BATCH):
            chosen = slice(start, start + BATCH)
            batch = images.batch(chosen).to(model.device)
            colour, dx = (columns[name][chosen].to(model.device) for name in model.columns)
            own = model.condition(colour, dx)
            mean, logvar = model.infer(batch, own)
            pale, dark, own, other = (
                model.decode(torch.cat([mean, condition], 1))
                for condition in (
                    model.condition(torch.zeros_like(colour), dx),
                    model.condition(torch.ones_like(colour), dx),
                    own,
                    model.condition(colour, (dx + 1) % model.config["classes"]),
                )
            )
            found = {
                "sse": squared_error(own, batch),
                "kl": kl_to_standard_normal(mean, logvar).sum(1),
                "skin_colour": (dark - pale).abs().mean((1, 2, 3)),
                "dx": (other - own).abs().mean((1, 2, 3)),
            }
            for name, values in found.items():
                rows[name].append(values.cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in rows.items()}


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """Means over the images.

    Returns:
        ``sse``, ``kl``, ``effect.skin_colour`` and ``effect.dx``, as ``observe`` describes them.
    """
    names = {"sse": "sse", "kl": "kl", "effect.skin_colour": "skin_colour", "effect.dx": "dx"}
    return {name: float(observed[key].astype(np.float64).mean()) for name, key in names.items()}
