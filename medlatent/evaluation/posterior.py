"""Suite ``posterior``: how much a code holds, and how dependent its dimensions are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import active_units, gaussian_total_correlation
from .encoded import observe

__all__ = ["TOLERANCES", "numbers", "observe"]

TOLERANCES: dict[str, float] = {}


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """What the posteriors say without any label.

    Returns:
        ``kl``, the mean KL of the posterior to the prior, in nats; ``active_units``, the dimensions whose posterior
        mean has a variance above 0.01; ``gaussian_tc``, the total correlation, in nats, of the Gaussian with the
        covariance of the codes.
    """
    return {
        "kl": float(observed["kl"].astype(np.float64).mean()),
        "active_units": active_units(observed["mean"]).score,
        "gaussian_tc": gaussian_total_correlation(observed["mean"], observed["logvar"]).score,
    }
