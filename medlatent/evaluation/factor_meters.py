"""What is in a picture whose factors are known of others: a network that measures them, and how far it can be trusted.

Of a direction one can say that it turns the patient. Whether the picture at its end is turned is for somebody else to
say: a network that was trained on images with known factors, and knows no latent space. It never saw the test images,
whose patients are others, and states its error on them.

.. code-block:: bash

    python -m medlatent.evaluation.factor_meters chest_ct.64 --measured \\
        --factors height body_width body_height centroid_y lung_area wall_thickness \\
        --out results/latent_directions/meter_chest_ct.safetensors

trains such a network again. A suite finds it by its name, ``meter_*.safetensors`` in the results folder of a chapter,
and uses it for images of the data that it was trained on.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data import DataError, Factor, ImageSet, open_images
from ..files import project_files, read_tensors, save_tensors
from ..metrics import thorax
from ..nets import FactorRegressor, train_factor_regressor
from ..options import whole_options

FORMAT, VERSION = "medlatent.meter", 1
FILES = "results/*/meter_*.safetensors"
STEPS = 3000
HEADER = {"config": dict, "factors": dict, "shape": list, "error": dict, "data": dict}
MEASURABLE = ("continuous", "angle")


@dataclass(frozen=True)
class Scale:
    """How a factor and the outputs of the network go together.

    Attributes:
        centre: the mean over the training images; of an angle its circular mean.
        deviation: the standard deviation over them, of an angle about that mean; the unit that it is measured in.
        period: of an angle, whose two outputs are the cosine and the sine of 2π/period times it; else 0.
    """

    centre: float
    deviation: float
    period: float = 0.0


@dataclass(frozen=True)
class MeterError:
    """How well a factor is measured on images of the test split.

    Attributes:
        rmse: the root of the mean squared error, in the factor's unit.
        r2: the share of the factor's variance that is explained; 0 says no more than the mean.
        by_group: the root of the mean squared error of each patient, or whatever the group is, by name; empty where
            there is a group for each image.
    """

    rmse: float
    r2: float
    by_group: dict[str, float]


@dataclass(frozen=True)
class FactorMeter:
    """Measures factors in pictures.

    Attributes:
        network: a :class:`~medlatent.nets.FactorRegressor`.
        scales: of each factor, by its name, in the order of ``measure``.
        shape: C, H, W of the images that it was trained on, and takes.
        error: of each factor, on test images.
        data: what it was trained on: ``name``, the card's; ``images``, ``licence``, ``citation`` and so on.
    """

    network: FactorRegressor
    scales: dict[str, Scale]
    shape: tuple[int, int, int]
    error: dict[str, MeterError]
    data: dict

    def measure(self, images: Tensor) -> np.ndarray:
        """The factors of images ``(N, C, H, W)`` in [0, 1]: ``(N, F)``, in their units; an angle about its centre.

        Raises:
            ValueError: the images have another shape than those it was trained on.
        """
        if tuple(images.shape[1:]) != self.shape:
            raise ValueError(f"images: the meter was trained on {self.shape}, got {tuple(images.shape[1:])}")
        return _factors(self.network.predict(images).double().numpy(), self.scales)

    def standard(self, measured: np.ndarray) -> np.ndarray:
        """What was measured, ``(…, F)``, in standard deviations of each factor from its centre."""
        centre, deviation = (
            np.array([getattr(s, name) for s in self.scales.values()]) for name in ("centre", "deviation")
        )
        return (measured - centre) / deviation

    @property
    def periods(self) -> np.ndarray:
        """The period of each factor in its standard deviations, ``(F,)``; infinite for one that is no angle."""
        return np.array([s.period / s.deviation if s.period else np.inf for s in self.scales.values()])


# What image analysis finds on a slice of the chest; lengths and areas are those of the picture.
MEASURED = {
    "body_width": Factor("width of the body, as a share of the image's"),
    "body_height": Factor("depth of the body from front to back, as a share of the image's height"),
    "centroid_y": Factor("height of the body's centroid above the centre of the image, as a share of its height"),
    "lung_area": Factor("area of the lungs, as a share of the image's"),
    "wall_thickness": Factor("thickness of the chest wall at the sides, as a share of the image's width"),
    "rotation": Factor("turn of the body, positive counter-clockwise", unit="radians"),
    "breast": Factor("how far the skin stands out at the sides, as a share of the image's height"),
}


def with_measured(images: ImageSet) -> ImageSet:
    """Slices of the chest with what can be measured on them as further factors, see ``MEASURED``.

    :func:`medlatent.metrics.thorax.measure` measures, with the image's width as the unit of length. A wall without a
    lung has no thickness.

    Raises:
        DataError: the images are no slices in Hounsfield units.
    """
    if images.value_range is None or images.images.shape[1] != 1 or images.value_range[0] >= 0:
        raise DataError(f"{images.card.name}: slices of one channel in Hounsfield units can be measured")
    found = thorax.measure(images.images, 1 / images.images.shape[-1])
    columns = {name: found[:, thorax.MEASURED.index(name)] for name in MEASURED}
    table = images.table.assign(**columns)
    return ImageSet(images.images, table, {**images.factors, **MEASURED}, images.card, images.group, images.value_range)


def _outputs(values: np.ndarray, scales: dict[str, Scale]) -> np.ndarray:
    """What the network is to say for factors ``(N, F)``."""
    columns = []
    for column, scale in zip(values.T, scales.values(), strict=True):
        if scale.period:
            turned = 2 * np.pi / scale.period * column
            columns += [np.cos(turned), np.sin(turned)]
        else:
            columns.append((column - scale.centre) / scale.deviation)
    return np.stack(columns, 1)


def _factors(outputs: np.ndarray, scales: dict[str, Scale]) -> np.ndarray:
    """Factors ``(N, F)`` from what the network says."""
    columns, rest = [], list(outputs.T)
    for scale in scales.values():
        if scale.period:
            turned = np.arctan2(rest[1], rest[0]) * scale.period / (2 * np.pi)
            columns.append(scale.centre + _about(turned - scale.centre, scale.period))
        else:
            columns.append(scale.centre + scale.deviation * rest[0])
        rest = rest[2 if scale.period else 1 :]
    return np.stack(columns, 1)


def _about(difference: np.ndarray, period: float) -> np.ndarray:
    """A difference of angles, between minus and plus half a period."""
    return difference - period * np.round(difference / period)


def _scale(factor: Factor, values: np.ndarray) -> Scale:
    if factor.period is None:
        return Scale(float(values.mean()), float(values.std()))
    turned = 2 * np.pi / factor.period * values
    centre = float(np.arctan2(np.sin(turned).mean(), np.cos(turned).mean()) * factor.period / (2 * np.pi))
    deviation = float(np.sqrt(np.square(_about(values - centre, factor.period)).mean()))
    return Scale(centre, deviation, float(factor.period))


@whole_options()
def train_factor_meter(
    images: ImageSet, factors: Sequence[str] | None = None, steps: int = STEPS, seed: int = 0
) -> FactorMeter:
    """Trains a network to measure factors of images, on their training split, and tests it on their test split.

    Images without a value of one of the factors do not count.

    Args:
        images: with both splits; a patient lies in one of them.
        factors: continuous ones and angles; by default all of those.
        steps: see :func:`~medlatent.nets.train_factor_regressor`.
        seed: of weights, batches and noise.

    Raises:
        DataError: a factor is unknown, a split is missing, or nothing can be measured.
        ValueError: a factor is of another kind, or never changes.
    """
    chosen = [n for n, f in images.factors.items() if f.kind in MEASURABLE] if factors is None else list(factors)
    if not chosen:
        raise DataError(f"{images.card.name}: no factor is continuous, or an angle")
    training, test = images.split("train"), images.split("test")
    values = training.factor_matrix(chosen)
    for name in chosen:
        if (kind := images.factors[name].kind) not in MEASURABLE:
            raise ValueError(f"factors: {name!r} is {kind}; continuous factors and angles can be measured")
    known = np.isfinite(values).all(1)  # of a slice without lung, for instance, nobody can say how high in it it lies
    if known.sum() < 2:
        raise DataError(f"{images.card.name}: {known.sum()} training images have a value of {', '.join(chosen)}")
    training, values = training.subset(known), values[known]
    for name, column in zip(chosen, values.T, strict=True):
        if column.std() == 0:
            raise ValueError(f"factors: {name!r} is {column[0]:g} in all training images")
    scales = {name: _scale(images.factors[name], column) for name, column in zip(chosen, values.T, strict=True)}
    network = train_factor_regressor(
        training.batch(slice(None)), torch.from_numpy(_outputs(values, scales)).float(), steps, seed=seed
    )
    # As the file holds them, in 16 bits: the error is that of what others will use.
    network.load_state_dict({name: value.half().to(value.dtype) for name, value in network.state_dict().items()})
    network.requires_grad_(False)
    data = {
        "name": images.card.name,
        "images": len(training),
        "licence": images.card.licence,
        "citation": images.card.citation,
        "steps": steps,
        "seed": seed,
    }
    meter = FactorMeter(network, scales, images.images.shape[1:], {}, data)
    meter.error.update(meter_error(meter, test))
    return meter


def meter_error(meter: FactorMeter, images: ImageSet) -> dict[str, MeterError]:
    """How far a meter is from the factors of images that have them, by factor.

    Raises:
        DataError: the images lack a factor.
    """
    truth = images.factor_matrix(list(meter.scales))
    found = meter.measure(images.batch(slice(None)))
    errors = {}
    for k, (name, scale) in enumerate(meter.scales.items()):
        known = np.isfinite(truth[:, k])
        if not known.any():
            raise DataError(f"{images.card.name}: no image has a value of {name!r}")
        difference, spread = found[known, k] - truth[known, k], truth[known, k] - scale.centre
        if scale.period:
            difference, spread = _about(difference, scale.period), _about(spread, scale.period)
        else:
            spread = truth[known, k] - truth[known, k].mean()
        squared, variance = np.square(difference), np.square(spread).mean()
        errors[name] = MeterError(
            float(np.sqrt(squared.mean())),
            float(1 - squared.mean() / variance) if variance > 0 else 0.0,
            _by_group(images, known, squared),
        )
    return errors


def _by_group(images: ImageSet, known: np.ndarray, squared: np.ndarray) -> dict[str, float]:
    if images.group is None:
        return {}
    groups, index = np.unique(images.table[images.group].to_numpy()[known].astype(str), return_inverse=True)
    if len(groups) == len(squared):
        return {}
    means = np.bincount(index, squared) / np.bincount(index)
    return {str(group): float(np.sqrt(mean)) for group, mean in zip(groups, means, strict=True)}


def save_meter(meter: FactorMeter, path: str | os.PathLike) -> Path:
    """Writes a meter, its weights in 16 bits.

    Raises:
        OSError: the path cannot be written.
    """
    state = meter.network.state_dict()
    tensors = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    return save_tensors(
        path,
        tensors,
        FORMAT,
        VERSION,
        config=meter.network.config,
        factors={name: vars(scale) for name, scale in meter.scales.items()},
        shape=list(meter.shape),
        error={name: vars(error) for name, error in meter.error.items()},
        data=meter.data,
    )


def load_meter(path: str | os.PathLike) -> FactorMeter:
    """Reads what :func:`save_meter` wrote. PyTorch's global generator is left as it was.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or no meter; the message names the file.
    """
    tensors, header = read_tensors(path, FORMAT, VERSION, HEADER)
    try:
        with torch.random.fork_rng(devices=[]):  # a network draws the weights that are about to be replaced
            network = FactorRegressor(**header["config"])
        network.load_state_dict({name: value.to(network.state_dict()[name].dtype) for name, value in tensors.items()})
        scales = {name: Scale(**scale) for name, scale in header["factors"].items()}
        error = {name: MeterError(**error) for name, error in header["error"].items()}
        channels, height, width = header["shape"]
    except (KeyError, TypeError, ValueError, RuntimeError) as problem:
        raise ValueError(f"{path}: it does not hold a meter as this medlatent writes it: {problem}") from None
    return FactorMeter(network.eval().requires_grad_(False), scales, (channels, height, width), error, header["data"])


def meter_of(images: ImageSet) -> FactorMeter | None:
    """The recorded meter for images of these data, at this size; None where there is none.

    Raises:
        ValueError: two files hold one.
    """
    files = project_files(FILES)
    wanted = images.card.name, tuple(images.images.shape[1:])
    stamps = [(str(file), file.stat().st_mtime_ns) for file in files]
    found = {file: meter for file, stamp in stamps if (meter := _loaded(file, stamp)) and _fits(meter, wanted)}
    if len(found) > 1:
        raise ValueError(f"{' and '.join(found)} both measure {wanted[0]} at {wanted[1]}: remove one")
    return next(iter(found.values()), None)


def _fits(meter: FactorMeter, wanted: tuple) -> bool:
    return (meter.data.get("name"), meter.shape) == wanted


@lru_cache(maxsize=8)
def _loaded(path: str, stamp: int) -> FactorMeter:
    return load_meter(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains and writes a meter, and prints its errors."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("source", help="of the images, as medlatent.data.open_images takes it")
    parser.add_argument("--images", type=int, help="how many (default: the source's own number)")
    parser.add_argument(
        "--data-seed", type=int, default=77, help="of phantoms: none that a model is trained or judged on"
    )
    parser.add_argument("--factors", nargs="+", help="which (default: all that are continuous, or angles)")
    parser.add_argument("--measured", action="store_true", help="of CT: also what image analysis finds on each slice")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0, help="of the network")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, meter_NAME.safetensors")
    options = parser.parse_args(arguments)
    if not options.out.match("meter_*.safetensors"):
        parser.error(f"--out: a meter is found by its name, meter_NAME.safetensors, not {options.out.name}")
    try:
        images = open_images(options.source, options.images, options.data_seed)
        if options.measured:
            images = with_measured(images)
        meter = train_factor_meter(images, options.factors, options.steps, options.seed)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    meter.data.update(source=options.source, data_seed=options.data_seed)
    save_meter(meter, options.out)
    for name, known in meter.error.items():
        worst = f", worst group {max(known.by_group.values()):.3g}" if known.by_group else ""
        print(f"{name}: error {known.rmse:.3g}, R² {known.r2:.3f}{worst}")


if __name__ == "__main__":
    main()
