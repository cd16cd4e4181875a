"""Suite ``directions``: whether directions can be told apart, and what each does to the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from ..data import ImageSet
from ..metrics import directions as recognition
from ..metrics.direction_effects import DirectionEffects, code_effects, direction_effects
from ..models import (
    LatentDirections,
    LatentModel,
    decode_all,
    measured,
)
from ..options import whole_options
from .factor_meters import FactorMeter, meter_of

__all__ = ["TOLERANCES", "effects_of", "factor_effects", "left_out", "numbers", "observe"]

BATCHES, BATCH = 100, 128  # of fresh pairs
CODES = 16  # that are shifted along every direction
SHIFTS = (-1.0, -0.5, 0.0, 0.5, 1.0)  # of the largest shift

# A pair on the border of two directions is 1/12 800 of an accuracy. A factor may be found or not, and be matched with
# another direction, when an effect passes a limit.
TOLERANCES = {
    "rca": 2e-3,
    "shift_loss": 2e-3,
    "shift_loss_weighted": 5e-4,
    "found": 1.0,
    "matched": 2e-2,
    "selectivity": 5e-3,
    "effect": 5e-2,
    "greatest": 5e-3,
    "effect_low": 5e-2,
    "effect_high": 5e-2,
    "monotonicity": 1e-1,
}
MATCHED = ("effect", "effect_low", "effect_high", "monotonicity")
OF_FACTORS = ("found", "matched", "selectivity", "greatest", *MATCHED)
OF_DIRECTIONS = ("rca", "rca_chance", "shift_loss", "shift_loss_weighted", "overlap", "overlap_mean")

_RECOGNISED: WeakKeyDictionary[LatentModel, tuple[tuple, recognition.DirectionScore]] = WeakKeyDictionary()


def observe(model: LatentModel, images: ImageSet) -> dict[str, np.ndarray]:
    """Lets the reconstructor judge 100 batches of 128 fresh pairs, and measures pictures of shifted codes.

    Returns:
        ``accuracy``, ``(100,)``, of each batch; ``confusion``, ``(K, K)``, counts, the direction taken by the one
        recognised; ``shift_error``, ``(K,)``, the mean absolute error of each direction's shifts; ``gamma``, ``(1,)``,
        the weight of the shift in the objective; ``directions``, A, ``(d, K)``. Where there is a meter of the factors
        of such images, see :mod:`medlatent.evaluation.factor_meters`, also ``slopes`` and ``correlations``, ``(16, K,
        F)``, of 16 codes, as :func:`~medlatent.metrics.direction_effects.code_effects` gives them, in standard
        deviations of each factor. Nothing of a model that has no directions.
    """
    if not isinstance(model, LatentDirections):
        return {}
    # As it was trained: on a CPU twice as fast as in the layout of the file, and the same but for rounding. PyTorch
    # describes memory_format, and has left it out of the annotations.
    model.to(memory_format=model.memory_format)  # type: ignore[call-overload]
    law, matrix, score = model.config, model.directions.cpu(), _recognition(model)
    found = {
        "accuracy": score.per_batch,
        "confusion": score.confusion,
        "shift_error": score.per_direction_shift_loss,
        "gamma": np.array([law["gamma"]], np.float64),
        "directions": matrix.numpy(),
    }
    meter = meter_of(images)
    if meter is not None and meter.shape == model.image_shape:
        found["slopes"], found["correlations"] = factor_effects(model, matrix, meter, law["max_shift"])
    return found


def _recognition(model: LatentDirections) -> recognition.DirectionScore:
    """What the reconstructor recognises; no image has a part in it, so that several sets cost one evaluation."""
    digest = sha256()
    for tensor in model.state_dict().values():
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    state = (BATCHES, BATCH, digest.digest())
    if (known := _RECOGNISED.get(model)) and known[0] == state:
        return known[1]
    law = model.config
    with measured(model):
        score = recognition.reconstructor_accuracy(
            model.decode,
            model.directions.cpu(),
            model.reconstruct,
            batches=BATCHES,
            batch_size=BATCH,
            max_shift=law["max_shift"],
            min_shift=law["min_shift"],
            gamma=law["gamma"],
            device=model.device,
        )
    _RECOGNISED[model] = state, score
    return score


@whole_options()
def factor_effects(
    model: LatentModel, directions: Tensor, meter: FactorMeter, max_shift: float = 6.0, codes: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """How the measured factors of decoded pictures follow shifts of their codes, see ``observe``.

    Args:
        model: decodes; any with a standard normal code.
        directions: ``(d, K)``, one a column.
        meter: of the factors.
        max_shift: the largest shift; five are made, from its negative to it.
        codes: how many, always the same; by default 32.

    Returns:
        Slopes and rank correlations, ``(codes, K, F)`` each: in standard deviations of a factor for a unit of shift.
    """
    codes = CODES if codes is None else codes
    start = torch.randn(codes, len(directions), generator=torch.Generator().manual_seed(1))
    shifts = max_shift * torch.tensor(SHIFTS)
    still = meter.measure(decode_all(model, start))
    seen = np.empty((codes, directions.shape[1], len(shifts), still.shape[1]))
    for k, direction in enumerate(directions.T):
        for s, shift in enumerate(shifts):
            seen[:, k, s] = still if shift == 0 else meter.measure(decode_all(model, start + shift * direction))
    standard = meter.standard(seen)
    for f, period in enumerate(meter.periods):
        if np.isfinite(period):  # an angle may pass the place where it begins anew
            standard[..., f] = np.unwrap(standard[..., f], axis=2, period=period)
    return code_effects(standard, shifts.numpy())


def effects_of(observed: Mapping[str, np.ndarray]) -> DirectionEffects | None:
    """The matrix directions × factors of what was observed; None where no factor was measured."""
    if "slopes" not in observed:
        return None
    return direction_effects(observed["slopes"], np.clip(observed["correlations"], -1, 1))


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """How well directions are recognised, and what they do.

    Returns:
        ``rca``, the share of pairs whose direction is recognised; ``rca_chance``, 1/K; ``shift_loss``, the mean
        absolute error of the shift, and ``shift_loss_weighted``, γ times it; ``overlap``, the greatest size of a cosine
        between two columns of A, and ``overlap_mean``, the mean over columns of the greatest with another.

        Where factors were measured: ``found``, how many factors some direction stands for; ``matched``, the mean share
        of the matched directions' effects; ``selectivity``, the mean over directions of the greatest share; of each
        factor, with its name behind the dot, ``effect``, the size of its change by its matched direction for a unit of
        shift, in standard deviations; ``effect_low`` and ``effect_high``, the interval over codes; ``monotonicity``,
        the size of its rank correlation; and ``greatest``, the size of the largest effect that any direction has on it.
        See :func:`medlatent.metrics.direction_effects.direction_effects`.
    """
    if "confusion" not in observed:
        return {}
    confusion = np.rint(observed["confusion"]).astype(int)
    drawn, error = confusion.sum(1), observed["shift_error"].astype(np.float64)
    loss = float((drawn * np.where(drawn > 0, error, 0)).sum() / drawn.sum())
    values = {
        "rca": float(np.trace(confusion) / drawn.sum()),
        "rca_chance": 1 / len(confusion),
        "shift_loss": loss,
        "shift_loss_weighted": float(observed["gamma"][0]) * loss,
        **_overlaps(observed["directions"].astype(np.float64)),
    }
    meter, effects = meter_of(images), effects_of(observed)
    if meter is None or effects is None:
        return values
    values["found"] = float(effects.found)
    values["matched"] = effects.score
    values["selectivity"] = float(effects.selectivity.mean())
    for f, name in enumerate(meter.scales):
        values[f"greatest.{name}"] = float(np.abs(effects.effect[:, f]).max())
        if (k := effects.matched[f]) < 0:
            continue
        sign = 1 if effects.effect[k, f] >= 0 else -1
        low, high = sorted((sign * effects.low[k, f], sign * effects.high[k, f]))
        values[f"effect.{name}"] = float(sign * effects.effect[k, f])
        values[f"effect_low.{name}"], values[f"effect_high.{name}"] = float(low), float(high)
        values[f"monotonicity.{name}"] = float(sign * effects.monotonicity[k, f])
    return values


def left_out(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, str]:
    """Which of the numbers this model or these images do not give, and why."""
    if "confusion" not in observed:
        return dict.fromkeys((*OF_DIRECTIONS, *OF_FACTORS), "the model has no directions")
    meter, effects = meter_of(images), effects_of(observed)
    if meter is None or effects is None:
        return dict.fromkeys(OF_FACTORS, "no recorded network measures the factors of such images at this size")
    unmatched = [name for f, name in enumerate(meter.scales) if effects.matched[f] < 0]
    return {
        f"{measure}.{name}": "no direction is matched with this factor" for name in unmatched for measure in MATCHED
    }


def _overlaps(directions: np.ndarray) -> dict[str, float]:
    unit = directions / np.linalg.norm(directions, axis=0)
    cosines = np.abs(unit.T @ unit)
    np.fill_diagonal(cosines, 0)
    return {"overlap": float(cosines.max()), "overlap_mean": float(cosines.max(1).mean())}
