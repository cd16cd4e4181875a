"""Suite ``posterior``: how much a code holds, and how dependent its dimensions are."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import active_units, gaussian_total_correlation
from .encoded import observe

__all__ = ["TOLERANCES", "left_out", "numbers", "observe"]

TOLERANCES: dict[str, float] = {}


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """What the posteriors say without any label.

    Returns:
        ``kl``, the mean KL of the posterior to the prior, in nats; ``active_units``, the dimensions whose posterior
        mean has a variance above 0.01; ``gaussian_tc``, the total correlation, in nats, of the Gaussian with the
        covariance of the codes, unless that is infinite.
    """
    found = {
        "kl": float(observed["kl"].astype(np.float64).mean()),
        "active_units": active_units(observed["mean"]).score,
    }
    if not left_out(observed, images):
        found["gaussian_tc"] = gaussian_total_correlation(observed["mean"], observed["logvar"]).score
    return found


def left_out(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, str]:
    """Which of the numbers this code does not give, and why."""
    try:
        gaussian_total_correlation(observed["mean"], observed["logvar"])
    except ValueError as error:
        return {"gaussian_tc": str(error)}
    return {}
