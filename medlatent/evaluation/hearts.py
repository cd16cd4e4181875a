"""What is in a short-axis picture of a heart: its regions, found by a network, and their volumes.

A model can say of a dimension that it is a volume. Whether the picture that it decodes has that volume is for somebody
else to say: a U-Net that was trained on pictures and outlines of hearts, and knows no latent space. A picture is one
slice, and a volume is one of the whole heart; between the two stands, for each region and phase, V = a·Aᵇ of the area A
in the slice, fitted to the training hearts.

    python -m medlatent.evaluation.hearts --out results/attribute_vae/hearts.safetensors

trains the network again.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data import DataError, ImageSet, open_images
from ..data.phantoms import heart
from ..files import project_files, read_tensors, save_tensors
from ..nets.segmentation import UNet, dice, train_unet
from ..options import whole_options

FORMAT, VERSION = "medlatent.hearts", 1
REGIONS = ("LV", "Myo", "RV")  # the labels 1, 2, 3
PHASES = heart.PHASES
VOLUMES = heart.VOLUMES
SIDE = 64  # pixels of 3.6 mm
FILE = "results/attribute_vae/hearts.safetensors"
PHANTOMS, PHANTOM_SEED = 1000, 77  # none of the seeds that a model is trained or judged on
STEPS = 3000


@dataclass(frozen=True)
class HeartMeter:
    """Measures the volumes of hearts in pictures.

    Attributes:
        network: finds the regions.
        calibration: for each volume, such as ``"LVEDV"``, a and b of V = a·Aᵇ, V in ml and A in pixels of 64×64.
        error: for each volume, the standard deviation of log V about that line over the hearts it was fitted to: what
            one slice does not say of a heart.
        dice: of each region and phase, such as ``"LVED"``: the Dice coefficient of each test heart.
    """

    network: UNet
    calibration: dict[str, tuple[float, float]]
    error: dict[str, float]
    dice: dict[str, list[float]]

    def areas(self, images: Tensor, phases: Sequence[str] = PHASES) -> dict[str, np.ndarray]:
        """The areas of the regions, in pixels of 64×64.

        Args:
            images: ``(N, C, H, W)`` in [0, 1]; each channel is a picture.
            phases: what each channel shows, of ``"ED"`` and ``"ES"``.

        Returns:
            ``(N,)`` by the name of the volume, such as ``"LVEDV"``.

        Raises:
            ValueError: the number of channels is not that of the phases.
        """
        return areas(self.network.labels(_sized(images, phases)).numpy(), phases)

    def volumes(self, images: Tensor, phases: Sequence[str] = PHASES) -> dict[str, np.ndarray]:
        """The volumes in ml of the hearts in pictures: arguments, results and errors as of :meth:`areas`.

        A region without a pixel has 0 ml.
        """
        found = self.areas(images, phases)
        return {name: self.calibration[name][0] * area ** self.calibration[name][1] for name, area in found.items()}


def _sized(images: Tensor, phases: Sequence[str]) -> Tensor:
    if images.ndim != 4 or images.shape[1] != len(phases) or not set(phases) <= set(PHASES):
        raise ValueError(
            f"images: expected (N, {len(phases)}, H, W), the phases {', '.join(phases)}, got {images.shape}"
        )
    if images.shape[2:] == (SIDE, SIDE):
        return images
    return torch.nn.functional.interpolate(images, (SIDE, SIDE), mode="area")


def areas(labels: np.ndarray, phases: Sequence[str] = PHASES) -> dict[str, np.ndarray]:
    """The areas of the regions in label maps ``(N, C, H, W)``, in pixels of 64×64, by the name of the volume."""
    pixel = (SIDE / labels.shape[-1]) ** 2
    return {
        f"{region}{phase}V": pixel * (labels[:, c] == label).sum((1, 2)).astype(np.float64)
        for c, phase in enumerate(phases)
        for label, region in enumerate(REGIONS, 1)
    }


def phases_of(images: ImageSet) -> tuple[str, ...]:
    """What the channels of a set of hearts show; nothing where the set is none."""
    channels = images.card.attributes.get("channels")
    named = tuple(map(str, channels)) if isinstance(channels, list | tuple) else ()
    is_heart = set(VOLUMES) <= set(images.factors) and named and set(named) <= set(PHASES)
    return named if is_heart else ()


def kind_of(images: ImageSet) -> str:
    """``"phantoms"`` or ``"acdc"``: whose calibration is right for a set of hearts."""
    return "phantoms" if "lengths_mm" in images.card.attributes else "acdc"


@cache
def heart_meter(kind: str, path: str | os.PathLike | None = None) -> HeartMeter:
    """The recorded network with the calibration for phantoms or for patients.

    Args:
        kind: ``"phantoms"``, whose volumes are proportional to the areas, or ``"acdc"``.
        path: of the file; by default the recorded one of the results folder.

    Raises:
        FileNotFoundError: it is not there; the message says which command makes it.
        ValueError: the file is damaged, or there is no such kind.
    """
    path = next(iter(project_files(FILE)), Path(FILE)) if path is None else Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; `python -m {__spec__.name} --out {path}` makes it")
    expected = {"config": dict, "hearts": dict, "data": dict}
    tensors, header = read_tensors(path, FORMAT, VERSION, expected)
    if kind not in header["hearts"]:
        raise ValueError(f"no calibration for {kind!r}: {path} has {', '.join(header['hearts'])}")
    with torch.random.fork_rng(devices=[]):  # a network draws the weights that are about to be replaced
        network = UNet(**header["config"])
    network.load_state_dict({name: value.to(network.state_dict()[name].dtype) for name, value in tensors.items()})
    known = header["hearts"][kind]
    calibration = {name: tuple(pair) for name, pair in known["calibration"].items()}
    return HeartMeter(network.eval().requires_grad_(False), calibration, known["error"], known["dice"])


# ------------------------------------------------------------------------------------------- its training


def outlines(images: ImageSet) -> np.ndarray:
    """The labels of the pictures of a set, as it was packed or rendered, ``(N, 2, 128, 128)`` uint8.

    Args:
        images: of ACDC, whose masks lie beside the pictures, or heart phantoms.

    Raises:
        DataError: the masks are missing, or do not belong to the pictures.
    """
    table = images.table
    if kind_of(images) == "phantoms":
        factors = {name: torch.tensor(table[name].to_numpy(np.float32)) for name in heart.FACTORS}
        patient = torch.tensor([int(name.rpartition("_")[2]) for name in table["patient_id"]])
        return heart.render_masks(factors, 128, int(str(images.card.attributes["seed"])), patient).numpy()
    from ..data.acdc import masks_beside  # here: it needs nibabel
    from ..data.sources import packed_folder

    folder = packed_folder("acdc")
    if folder is None:
        raise DataError("acdc is not packed: python -m medlatent data acdc packs it")
    masks = ImageSet.load(masks_beside(folder))
    keys = ["patient_id", "slice_ed", "slice_es"]
    rows = {tuple(row): i for i, row in enumerate(masks.table[keys].itertuples(index=False, name=None))}
    try:
        index = [rows[tuple(row)] for row in table[keys].itertuples(index=False, name=None)]
    except KeyError as error:
        raise DataError(f"{masks_beside(folder)}: no mask of the heart {error}; pack acdc again") from None
    return masks.images[index]


def halved(labels: np.ndarray) -> np.ndarray:
    """Labels at half the resolution: of every 2×2 pixels the most frequent one, of equals the highest."""
    *shape, h, w = labels.shape
    blocks = np.stack([(labels == k).reshape(*shape, h // 2, 2, w // 2, 2).sum((-3, -1)) for k in range(4)])
    return (3 - blocks[::-1].argmax(0)).astype(np.uint8)


def calibrate(labels: np.ndarray, volumes: Mapping[str, np.ndarray]) -> tuple[dict, dict]:
    """a and b of V = a·Aᵇ by least squares of log V on log A, and the standard deviation of what is left.

    Args:
        labels: ``(N, 2, H, W)``.
        volumes: in ml, ``(N,)`` by name.

    Returns:
        By the name of the volume: (a, b), and the deviation.
    """
    line, error = {}, {}
    for name, area in areas(labels).items():
        there = area > 0
        x, y = np.log(area[there]), np.log(volumes[name][there])
        b, log_a = np.polyfit(x, y, 1)
        line[name] = (float(np.exp(log_a)), float(b))
        error[name] = float(np.std(y - log_a - b * x, ddof=2))
    return line, error


@whole_options()
def train_heart_meter(steps: int = STEPS, phantoms: int = PHANTOMS, seed: int = 0) -> tuple[UNet, dict, dict]:
    """Trains the network on phantoms and on the training hearts of ACDC, in equal shares.

    Returns:
        The network; by kind of heart its calibration, error and Dice coefficients on the test hearts, as
        :class:`HeartMeter` has them; and what it was trained on.

    Raises:
        DataError: ACDC is not packed.
    """
    sets = {"phantoms": open_images("phantoms.heart", phantoms, PHANTOM_SEED), "acdc": open_images("acdc")}
    pictures, labels, weights = [], [], []
    for images in sets.values():
        training = images.split("train")
        pictures.append(_sized(training.batch(slice(None)), PHASES).reshape(-1, 1, SIDE, SIDE))
        labels.append(torch.from_numpy(halved(outlines(training))).reshape(-1, SIDE, SIDE).long())
        weights.append(torch.full((len(pictures[-1]),), 1 / len(pictures[-1])))
    network = train_unet(torch.cat(pictures), torch.cat(labels), steps=steps, weights=torch.cat(weights), seed=seed)
    network.load_state_dict({name: value.half().to(value.dtype) for name, value in network.state_dict().items()})
    hearts = {}
    for kind, images in sets.items():
        training, test = images.split("train"), images.split("test")
        volumes = {name: training.table[name].to_numpy(np.float64) for name in VOLUMES}
        line, error = calibrate(outlines(training), volumes)
        found = network.labels(_sized(test.batch(slice(None)), PHASES)).numpy()
        truth = halved(outlines(test))
        scores = {
            f"{region}{phase}": [round(float(v), 4) for v in dice(found[:, c], truth[:, c], 4)[:, k]]
            for c, phase in enumerate(PHASES)
            for k, region in enumerate(REGIONS)
        }
        hearts[kind] = {"calibration": line, "error": error, "dice": scores}
    data = {
        kind: {"images": len(images.split("train")), "licence": images.card.licence, "citation": images.card.citation}
        for kind, images in sets.items()
    }
    return network, hearts, data | {"steps": steps, "seed": seed, "phantom_seed": PHANTOM_SEED}


def main() -> None:
    """Trains and writes the network."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    try:
        network, hearts, data = train_heart_meter(args.steps)
    except (DataError, ValueError) as error:
        parser.error(str(error))
    tensors = {
        name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()
    }
    save_tensors(args.out, tensors, FORMAT, VERSION, config=network.config, hearts=hearts, data=data)
    for kind, known in hearts.items():
        for region, scores in known["dice"].items():
            print(f"{kind} {region}: Dice {np.nanmean(scores):.3f}, worst heart {np.nanmin(scores):.3f}")
        print(kind, {name: (round(a, 3), round(b, 2)) for name, (a, b) in known["calibration"].items()}, known["error"])


if __name__ == "__main__":
    main()
