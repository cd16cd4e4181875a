"""Nodule phantoms: CT patches around a lung nodule in Hounsfield units (HU), with what is rated of it known.

A patch is what a CT scanner shows around a nodule in one axial slice: lung dark, vessels bright in it, and often the
wall of the chest or the mediastinum at one side. A patch is :data:`FIELD` mm wide, as :mod:`medlatent.data.lidc` packs
real ones.

**Content and style.** What Havaei et al. (2021) condition on is the content: the size and six characteristics, each on
the scale of the readers of LIDC-IDRI (:data:`CONTENT`). All else is the style (:data:`STYLE`): where the nodule lies,
how it is turned, what lies around it, and the scanner. The turns by a quarter and the flips of the paper's
self-supervision, which are to preserve the content, move style factors only.

========================  ==============================================================================
``size``                  the area of the nodule is that of a disc of this diameter
``subtlety_rating``       how far the nodule stands out: its contrast to the lung, from one half to all
``sphericity_rating``     the axes of the ellipse under the outline: from 1 : 2 to 1 : 1
``margin_rating``         the width of the edge, from some millimetres to none
``texture_rating``        ground glass, then a solid core in it, which grows, then solid
``malignancy_rating``     how irregular the outline is: lobes, and from 3 on spicules
``calcification``         calcium in the middle
========================  ==============================================================================

A rating of malignancy is a judgement, and no property of the image; the readers form it from size, margin and outline.
Here it drives the outline, and is correlated with the others as it is in LIDC-IDRI.

**The frame of reference.** ``x`` points to the right of the image and ``y`` up, in millimetres from its centre. The
nodule lies at ``position_x``, ``position_y``; the long axis of its ellipse is turned by ``rotation``, positive
counter-clockwise as displayed. Its outline is a star shape,

.. math::

    r(\\varphi) = s \\, e(\\varphi) \\, (1 + w(\\varphi)), \\qquad \\tfrac12 \\int r^2 \\, d\\varphi = \\pi (d/2)^2 ,

with the ellipse e, the waves w of the lobes, the size d, and s such that the area is exact. Spicules and a soft edge
lie around it and are not counted.

**What is random.** A rendering is a function of the factors, the seed and the number of the nodule. The last two
determine the nuisance detail: the phases of the lobes, the course of the vessels, the ribs, the noise. Image i is the
same however many images are drawn beside it.

The distributions of size and ratings, and their correlations, are those of the 829 nodules of LIDC-IDRI that at least
three readers outlined and whose median malignancy is not 3; looks were fitted to their pictures by eye.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.special import ndtr

from ...options import whole_options
from ..errors import DataError
from ..imageset import Card, Factor, ImageSet
from ..nodules import (
    ABSENT,
    CHARACTERISTICS,
    CLASSIFIED,
    RATINGS,
    SIZES,
    binarised,
    equivalent_diameter,
    filled,
    inner,
    size_bin,
)
from ..nodules import FACTORS as CONDITIONED
from ..source import ClassifierSpec, Source
from ..splits import split_by_group
from ..views import coarser
from ._common import (
    checked_count,
    checked_factors,
    checked_size,
    checked_whole,
    detail_numbers,
    dicom_uid,
    new_folder,
    normal_numbers,
    tensors,
    write_ct_series,
)
from ._common import noise as white_noise

LOW, HIGH = -1000, 400
"""The range of the pixels in HU, to which real patches are clipped, too."""

NAME = "nodule phantoms"
INDEPENDENT_NAME = "nodule phantoms of independent factors"

FIELD = 32.0
"""Height and width of a patch in mm, half a millimetre a pixel at 64 × 64."""

NODULES_PER_PATIENT = 2

SCALES = {
    "subtlety_rating": "how easily the nodule is found: 1 extremely subtle to 5 obvious",
    "sphericity_rating": "shape of the nodule: 1 linear, 3 ovoid, 5 round",
    "margin_rating": "definition of the margin: 1 poor to 5 sharp",
    "texture_rating": "density of the nodule: 1 ground glass, 3 part-solid, 5 solid",
    "malignancy_rating": "how irregular the outline is: 1 smooth, 5 with lobes and spicules",
}
"""The characteristics that are rated from 1 to 5."""

FACTORS = {
    "size": replace(CONDITIONED["size"], meaning="diameter of the disc of the nodule's area"),
    **{name: Factor(meaning) for name, meaning in SCALES.items()},
    "calcification": CONDITIONED["calcification"],
    "position_x": Factor("centre of the nodule to the right of that of the image, -4 to 4", unit="mm"),
    "position_y": Factor("centre of the nodule above that of the image, -4 to 4", unit="mm"),
    "rotation": Factor(
        "turn of the long axis of the nodule: 0 is horizontal, positive counter-clockwise as displayed",
        kind="angle",
        unit="radians",
        period=math.pi,
    ),
    "lung_density": Factor("density of the lung between its vessels, -930 to -740", unit="HU"),
    "vessels": Factor("amount of vessels around the nodule: 0 (none) to 1"),
    "wall_distance": Factor(
        "from the nodule to the wall of the lung: 0 it lies against it, 30 the wall is outside of the patch", unit="mm"
    ),
    "wall_angle": Factor(
        "in which direction the wall of the lung lies: 0 to the right, positive counter-clockwise as displayed",
        kind="angle",
        unit="radians",
        period=2 * math.pi,
    ),
    "noise": Factor("standard deviation of the noise, 0 to 120", unit="HU"),
    "kernel": Factor("the reconstruction's kernel: -1 (soft, blurs) to 1 (sharp, overshoots at edges)"),
}
CONTENT = ("size", *SCALES, "calcification")
"""The factors that the condition vector is made of."""
STYLE = tuple(name for name in FACTORS if name not in CONTENT)
"""All others."""

RANGES = {
    "size": (3.0, 30.0),
    **dict.fromkeys(SCALES, (1.0, 5.0)),
    "calcification": (0.0, 1.0),
    "position_x": (-4.0, 4.0),
    "position_y": (-4.0, 4.0),
    "rotation": (-math.pi / 2, math.pi / 2),
    "lung_density": (-930.0, -740.0),
    "vessels": (0.0, 1.0),
    "wall_distance": (0.0, 30.0),
    "wall_angle": (-math.pi, math.pi),
    "noise": (0.0, 120.0),
    "kernel": (-1.0, 1.0),
}
"""The lowest and highest value that :func:`render` accepts of each factor, both included."""

OF_THE_PATIENT = ("lung_density", "noise", "kernel")
"""The factors that the nodules of one patient share."""

# ------------------------------------------------------------------------------------------------ sampling

# Of the 829 nodules: how many have each median, from 1 to 5 in halves; how many are calcified; quantiles of the size.
MEDIANS = {
    "subtlety_rating": (3, 1, 17, 10, 108, 71, 180, 112, 327),
    "sphericity_rating": (0, 0, 28, 15, 205, 104, 238, 130, 109),
    "margin_rating": (14, 4, 32, 18, 70, 51, 213, 113, 314),
    "texture_rating": (22, 4, 9, 2, 19, 12, 42, 43, 676),
    "malignancy_rating": (154, 6, 156, 125, 0, 120, 132, 55, 81),
}
# A median in halves stands for what rounds to it; 3, which the condition vector counts as low, for nothing above 3.
EDGES = (1.0, 1.25, 1.75, 2.25, 2.75, 3.0, 3.75, 4.25, 4.75, 5.0)
CALCIFIED = 172 / 829
SIZE_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 1.0)
SIZE_QUANTILES = (3.6, 4.0, 4.3, 4.8, 5.4, 6.1, 6.9, 8.1, 9.5, 11.7, 14.1, 18.0, 21.6, 24.7, 30.0)
# Of the logarithm of the size, the medians and whether there is calcium, in the order of CONTENT.
CORRELATIONS = (
    (1.000, 0.566, -0.067, -0.255, -0.055, 0.734, -0.280),
    (0.566, 1.000, 0.077, 0.173, 0.270, 0.319, 0.162),
    (-0.067, 0.077, 1.000, 0.287, 0.086, -0.116, 0.124),
    (-0.255, 0.173, 0.287, 1.000, 0.663, -0.396, 0.381),
    (-0.055, 0.270, 0.086, 0.663, 1.000, -0.157, 0.185),
    (0.734, 0.319, -0.116, -0.396, -0.157, 1.000, -0.668),
    (-0.280, 0.162, 0.124, 0.381, 0.185, -0.668, 1.000),
)
AT_THE_WALL, NEAR = 0.22, 0.3  # shares of nodules that lie against the wall, and with the wall in the patch

INDEPENDENT_RANGES = {"size": (4.0, 18.0), "noise": (5.0, 60.0), "wall_distance": (0.0, 24.0)}
"""Where independent factors are uniform, if not over all of ``RANGES``."""


@whole_options(DataError)
def sample_factors(n: int, seed: int = 0, independent: bool = False) -> dict[str, torch.Tensor]:
    """Draws the factors of n nodules.

    Args:
        n: how many.
        seed: another seed, another draw. Nodule i is the same for every n.
        independent: if false, row i is a nodule of patient ``i // NODULES_PER_PATIENT``, whose nodules share
            ``OF_THE_PATIENT``; size and ratings are distributed and correlated as in LIDC-IDRI, so that no nodule is
            neither benign nor malignant. If true, each nodule is of a patient of its own, and all factors are
            independent, each uniform (``INDEPENDENT_RANGES``), half of the nodules calcified, so that a measure meets a
            known truth.

    Returns:
        One float32 tensor ``(n,)`` a factor.

    Raises:
        DataError: n is not positive, or the seed is negative.
    """
    rows = np.arange(checked_count(n))
    share = ndtr(normal := normal_numbers("factors", rows, seed, len(FACTORS)))
    columns = dict(zip(FACTORS, share.T, strict=True))
    if independent:
        drawn = {}
        for name, whole in RANGES.items():
            low, high = INDEPENDENT_RANGES.get(name, whole)
            drawn[name] = low + (high - low) * columns[name]
        drawn["calcification"] = np.rint(columns["calcification"])
        return tensors(drawn)

    of_patient = rows // NODULES_PER_PATIENT * NODULES_PER_PATIENT  # the patient's first nodule
    for name in OF_THE_PATIENT:
        columns[name] = columns[name][of_patient]
    correlated = ndtr(normal[:, : len(CONTENT)] @ np.linalg.cholesky(CORRELATIONS).T)
    columns |= dict(zip(CONTENT, correlated.T, strict=True))
    drawn = {"size": np.interp(columns["size"], SIZE_SHARES, SIZE_QUANTILES)}
    for name, counts in MEDIANS.items():
        below = np.cumsum((0, *counts)) / sum(counts)
        # Where no nodule has a median, the share does not rise, and the step is not to be landed on.
        drawn[name] = np.interp(columns[name], below + 1e-9 * np.arange(len(below)), EDGES)
    drawn["calcification"] = (columns["calcification"] > 1 - CALCIFIED).astype(float)
    drawn["position_x"], drawn["position_y"] = (
        0.6 * normal[:, list(FACTORS).index(name)].clip(-3, 3) for name in ("position_x", "position_y")
    )
    drawn["lung_density"] = -870 + 28 * _bounded(columns["lung_density"])
    drawn["vessels"] = columns["vessels"] ** 1.5
    away = columns["wall_distance"]
    drawn["wall_distance"] = np.where(
        away < AT_THE_WALL, 0, np.where(away < AT_THE_WALL + NEAR, 18 * (away - AT_THE_WALL) / NEAR, 30)
    )
    drawn["noise"] = np.exp(np.log(26) + 0.5 * _bounded(columns["noise"]))
    drawn["kernel"] = 2 * columns["kernel"] - 1
    for name in ("rotation", "wall_angle"):
        low, high = RANGES[name]
        drawn[name] = low + (high - low) * columns[name]
    return tensors({name: np.clip(drawn[name], *RANGES[name]) for name in FACTORS})


def _bounded(share: np.ndarray) -> np.ndarray:
    """Shares as numbers of about unit variance that stay within three."""
    return 6 * (share - 0.5) * (0.55 + 0.9 * (2 * share - 1) ** 2) / 1.45


# ------------------------------------------------------------------------------------------------ the outline

ANGLES = 256
LOBES = (2, 3, 4, 5, 6)
SPICULES, VESSELS, GRAINS = 8, 14, 6
DETAIL = {
    "lobes": 2 * len(LOBES),
    "spicules": 3 * SPICULES,
    "vessels": 6 * VESSELS,
    "grain": 3 * GRAINS,
    "wall": 6,
    "core": 3,
}
STEP = 2 * math.pi / ANGLES


def _outline(factors: Mapping[str, torch.Tensor], detail: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The radius r(φ) ``(n, ANGLES)`` of nodules of diameter 1, φ from -π counter-clockwise from the horizontal."""
    angle = STEP * torch.arange(ANGLES) - math.pi
    along = angle - factors["rotation"][:, None]
    ratio = (1 - 0.125 * (5 - factors["sphericity_rating"]))[:, None]
    ellipse = ((ratio.sqrt() * along.cos()).square() + (along.sin() / ratio.sqrt()).square()).rsqrt()
    order = torch.tensor(LOBES, dtype=torch.float32)
    phase = order[:, None] * along[:, None]
    cosine, sine = detail["lobes"].unflatten(1, (2, len(LOBES)))[..., None].unbind(1)
    waves = cosine * phase.cos() + sine * phase.sin()
    irregular = 0.012 + 0.08 * ((factors["malignancy_rating"] - 1) / 4) ** 1.3
    wave = 1 + irregular[:, None] * (waves * (2 / order)[:, None].sqrt()).sum(1)
    radius = ellipse * wave.clamp(0.6, 1.5)
    return radius * (math.pi / 4 / (STEP / 2 * radius.square().sum(1, keepdim=True))).sqrt()


# ------------------------------------------------------------------------------------------------ the picture

SOLID, GROUND_GLASS, BLOOD, MUSCLE, FAT, BONE = 35.0, -640.0, 40.0, 50.0, -95.0, 480.0  # HU
BLURS = (0.34, 0.8)  # mm: of the sharpest and the softest kernel, the Gaussian by which a point is spread
REACH = 20.0  # mm: vessels run within this distance of the nodule


def _edge(depth: torch.Tensor, width: float | torch.Tensor) -> torch.Tensor:
    """The share that lies inside, from the depth below a surface and the width of its edge, both in mm."""
    return torch.sigmoid(depth / width)


@dataclass
class _Scene:
    """Columns ``(n, 1, 1)`` of what is drawn, in mm and HU; ``radius`` ``(n, ANGLES)`` and ``detail`` beside them.

    ``share`` is how large the nodule is in the slice: 1 in the slice through its middle, 0 beside it.
    """

    factors: dict[str, torch.Tensor]
    detail: dict[str, torch.Tensor]
    radius: torch.Tensor
    share: torch.Tensor

    def rows(self, rows: torch.Tensor) -> _Scene:
        return _Scene(
            {name: values[rows] for name, values in self.factors.items()},
            {name: values[rows] for name, values in self.detail.items()},
            self.radius[rows],
            self.share[rows],
        )


def _scene(factors: dict[str, torch.Tensor], nodules: torch.Tensor, seed: int, share: torch.Tensor) -> _Scene:
    detail = detail_numbers(nodules, seed, DETAIL)
    return _Scene(factors, detail, _outline(factors, detail), share)


def _paint(scene: _Scene, size: int, field: float) -> torch.Tensor:
    """The patches ``(n, size, size)`` in HU, before the scanner adds its own."""
    c = {name: values[:, None, None] for name, values in scene.factors.items()}
    place = (torch.arange(size) + 0.5) / size - 0.5
    x = field * place[None, None, :] - c["position_x"]
    y = -field * place[None, :, None] - c["position_y"]
    picture = _lung(scene, c, x, y)
    picture = _with_vessels(picture, scene, c, x, y)
    picture = _with_nodule(picture, scene, c, x, y)
    return _with_wall(picture, scene, c, x, y)


def _lung(scene: _Scene, c: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Lung between its vessels, with a grain of a few millimetres."""
    picture = (c["lung_density"] + 0 * x + 0 * y).contiguous()
    for along, across, phase in _columns(scene.detail["grain"]):
        picture += 11 * torch.sin(0.55 * along * x + 0.55 * across * y + 3 * phase)
    return picture


def _columns(detail: torch.Tensor, count: int = 3) -> Iterator[tuple[torch.Tensor, ...]]:
    """Columns ``(n, 1, 1)`` of a detail, so many at a time."""
    for part in detail.split(count, dim=1):
        yield tuple(column[:, None, None] for column in part.T)


def _with_vessels(
    picture: torch.Tensor, scene: _Scene, c: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """Bright tubes, some of which run through the slice and show as discs; the first one leads to the nodule."""
    for k, (right, up, turn, thick, long, bend) in enumerate(_columns(scene.detail["vessels"], 6)):
        here = (VESSELS * c["vessels"] - k).clamp(0, 1)
        if not bool((here > 0).any()):
            break
        radius = here.sqrt() * (0.55 * (0.45 * thick).exp()).clamp(0.3, 2.0)
        reach = 6 + 3 * long if k == 0 else torch.where(long > 0.3, torch.zeros(()), 4 + 3 * long.abs())
        reach = reach.clamp_min(0)
        angle = math.pi * turn
        cos, sin = angle.cos(), angle.sin()
        # Centres all over the patch; that of the first so far out that the vessel begins in the nodule.
        centre_x = reach * cos if k == 0 else REACH * (2 * torch.special.ndtr(right) - 1)
        centre_y = reach * sin if k == 0 else REACH * (2 * torch.special.ndtr(up) - 1)
        along = (x - centre_x) * cos + (y - centre_y) * sin
        across = (y - centre_y) * cos - (x - centre_x) * sin - 0.012 * bend * along.square()
        beyond = (along.abs() - reach).clamp_min(0)
        distance = (across.square() + beyond.square()).sqrt()
        # A vessel enters and leaves the slice: it is whole where it lies in it, and fades to its ends.
        within = 1 - 0.75 * (along / (reach + 2.5)).square().clamp_max(1)
        share = _edge(radius - distance, 0.2) * here * within
        picture = torch.maximum(picture, picture + share * (BLOOD - picture))
    return picture


def _with_nodule(
    picture: torch.Tensor, scene: _Scene, c: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    diameter = c["size"] * scene.share[:, None, None]
    away = (x.square() + y.square()).sqrt()
    turn = (torch.atan2(y, x) + math.pi) / STEP
    low = turn.floor()
    rows = scene.radius[:, None, None, :].expand(*turn.shape[:2], 1, ANGLES).squeeze(2)
    first = rows.gather(2, low.long() % ANGLES)
    second = rows.gather(2, (low.long() + 1) % ANGLES)
    unit = first + (turn - low) * (second - first)
    depth = diameter * unit - away  # along the ray
    # Across the edge of a long nodule less than along the ray: the slope of r(φ) says how much.
    slope = (second - first) / STEP / unit
    depth = depth / (1 + slope.square()).sqrt()

    margin = (5 - c["margin_rating"]) / 4
    width = 0.1 + margin * (0.25 + 0.055 * diameter)
    body = _edge(depth, width)
    spiky = ((c["malignancy_rating"] - 3) / 2).clamp(0, 1)
    for turned, thick, far in _columns(scene.detail["spicules"]):
        angle = math.pi * turned
        cos, sin = angle.cos(), angle.sin()
        along = x * cos + y * sin - 0.42 * diameter
        across = (y * cos - x * sin).abs()
        length = spiky * (1.5 + 0.22 * diameter) * (0.7 + 0.4 * far).clamp(0.2, 1.6) + 1e-3
        radius = spiky.sqrt() * (0.75 + 0.15 * thick).clamp(0.4, 1.1) * (1 - along / length)
        spike = _edge(radius.clamp_max(1.2) - across, 0.15) * (along > -0.25 * diameter) * (along < length)
        body = torch.maximum(body, 0.85 * spike * (spiky > 0))

    texture = c["texture_rating"]
    core = ((texture - 1.6) / 2.4).clamp(0, 1)  # its radius as a share of the nodule's
    off = 0.25 * (1 - core) * diameter / 2
    moved_x, moved_y = (off * column.clamp(-1, 1) for column in next(_columns(scene.detail["core"]))[:2])
    core_away = ((x - moved_x).square() + (y - moved_y).square()).sqrt()
    solid = _edge(core * diameter * unit - core_away, width + 0.35) * (core > 0)
    solid = torch.where(core >= 1, torch.ones(()), solid)
    halo = GROUND_GLASS + (SOLID - GROUND_GLASS) * ((texture - 3.4) / 1.6).clamp(0, 1)
    density = halo + solid * (SOLID - halo)
    calcium = _edge(0.75 * diameter * unit - away, 0.3) * c["calcification"]
    density = density + calcium * (420 + 120 * next(_columns(scene.detail["core"]))[2].clamp(-2, 2))

    contrast = 0.45 + 0.55 * ((c["subtlety_rating"] - 1) / 4)
    there = (diameter > 0.5).to(body)
    return torch.lerp(picture, picture + (density - picture) * contrast, body * there)


def _with_wall(
    picture: torch.Tensor, scene: _Scene, c: Mapping[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor
) -> torch.Tensor:
    """The wall of the chest with muscle, ribs and fat, or the mediastinum, on one side."""
    cos, sin = c["wall_angle"].cos(), c["wall_angle"].sin()
    rib, slide, kind, thick, wave, bend = next(_columns(scene.detail["wall"], 6))
    across = y * cos - x * sin
    nearest = c["wall_distance"] + c["size"] / 2
    depth = x * cos + y * sin - nearest + across.square() / (130 + 30 * bend.clamp(-2, 2))
    depth = depth + 0.5 * torch.sin(0.35 * across + 3 * wave) - 0.5
    chest = (kind < 0.4).to(depth)  # else the mediastinum
    tissue = MUSCLE + 0 * depth
    outside = 14 + 3 * thick.clamp(-2, 2)
    tissue = torch.lerp(tissue, torch.full_like(tissue, FAT), chest * _edge(depth - outside, 0.8))
    tissue = torch.lerp(tissue, torch.full_like(tissue, FAT), chest * _edge(1.1 - (depth - 1.6).abs(), 0.3) * 0.6)
    beside = across - 9 * slide
    oval = 1 - ((beside / 15).square() + ((depth - 7.5) / 4.2).square()).sqrt()
    bone = chest * (rib > -0.6)
    tissue = torch.lerp(tissue, torch.full_like(tissue, BONE), bone * _edge(oval, 0.06))
    tissue = torch.lerp(tissue, torch.full_like(tissue, 190.0), bone * _edge(oval - 0.28, 0.06))
    share = _edge(depth, 0.2) * (c["wall_distance"] < RANGES["wall_distance"][1])
    return torch.lerp(picture, tissue, share)


def _reconstructed(picture: torch.Tensor, scene: _Scene, white: torch.Tensor, field: float) -> torch.Tensor:
    """The patch as the scanner shows it: blurred, with overshoot where the kernel is sharp, and with noise.

    A kernel between the sharpest and the softest mixes the two; the noise has passed through the same mixture, and is
    scaled to its standard deviation.
    """
    pixel = field / picture.shape[-1]
    kernel = scene.factors["kernel"][:, None, None]
    soft = 0.5 - 0.6 * kernel  # above 0.8 kernel it is negative: the difference of two Gaussians overshoots
    lines = [_gaussian(sigma / pixel) for sigma in BLURS]
    fine, coarse = (_blurred(picture, line) for line in lines)
    fine_noise, coarse_noise = (_blurred(white, line) for line in lines)
    between = torch.nn.functional.conv1d(lines[0].view(1, 1, -1), lines[1].view(1, 1, -1), padding=len(lines[1]) // 2)
    energies = [line.square().sum().square() for line in lines]
    shared = between[..., between.shape[-1] // 2].square().squeeze()  # both are symmetric: the middle is the product
    energy = (1 - soft).square() * energies[0] + soft.square() * energies[1] + 2 * soft * (1 - soft) * shared
    grain = torch.lerp(fine_noise, coarse_noise, soft) / energy.sqrt()
    return torch.lerp(fine, coarse, soft) + scene.factors["noise"][:, None, None] * grain


def _gaussian(sigma: float) -> torch.Tensor:
    """A line of weights that sum to 1, for a standard deviation in pixels."""
    half = max(1, math.ceil(3 * sigma))
    line = torch.exp(-0.5 * (torch.arange(-half, half + 1) / sigma).square())
    return line / line.sum()


def _blurred(picture: torch.Tensor, line: torch.Tensor) -> torch.Tensor:
    half = len(line) // 2
    framed = F.pad(picture[:, None], (half,) * 4, mode="replicate")
    return F.conv2d(F.conv2d(framed, line.view(1, 1, 1, -1)), line.view(1, 1, -1, 1))[:, 0]


BLOCK = 1024  # nodules prepared at a time
CHUNK_PIXELS = 8 * 64 * 64  # fewer cost more calls, more leave the cache


@whole_options(DataError)
def render(
    factors: Mapping[str, torch.Tensor], size: int = 64, seed: int = 0, nodule: torch.Tensor | None = None
) -> torch.Tensor:
    """Renders one patch for each row of the factors.

    Args:
        factors: a tensor or array ``(n,)`` for each name of ``FACTORS``, as :func:`sample_factors` gives them.
        size: height and width in pixels, a multiple of 16.
        seed: drives the nuisance detail and the noise.
        nodule: ``(n,)`` whole numbers; rows of the same number share their detail and noise, so they show one nodule
            under other factors (a traversal). By default row i shows nodule i.

    Returns:
        int16 ``(n, 1, size, size)`` in HU, from ``LOW`` to ``HIGH``.

    Raises:
        DataError: a factor is missing, unknown, of a wrong shape or out of its range; the message names factor and row.
            Or size, seed or nodule is not as described.
    """
    checked_size(size)
    checked = checked_factors(factors, RANGES, beside="")
    calcified = checked["calcification"]
    if (between := (calcified != 0) & (calcified != 1)).any():
        row = int(between.nonzero()[0])
        raise DataError(f"factor 'calcification': {calcified[row]:.6g} in row {row} is neither 0 nor 1")
    n = len(calcified)
    nodules = torch.arange(n) if nodule is None else checked_whole("nodule", nodule, n)
    return _rendered(checked, nodules, torch.zeros(n, dtype=torch.long), torch.ones(n), size, FIELD, seed)[:, None]


def _rendered(
    factors: dict[str, torch.Tensor],
    nodules: torch.Tensor,
    levels: torch.Tensor,
    share: torch.Tensor,
    size: int,
    field: float,
    seed: int,
) -> torch.Tensor:
    """Patches ``(n, size, size)``, int16; nodule and level determine the noise, see :class:`_Scene` for the share."""
    n, step = len(nodules), max(1, CHUNK_PIXELS // size**2)
    patches = torch.empty(n, size, size, dtype=torch.int16)
    for start in range(0, n, BLOCK):
        rows = slice(start, min(start + BLOCK, n))
        scene = _scene({name: values[rows] for name, values in factors.items()}, nodules[rows], seed, share[rows])
        scans = torch.stack([nodules[rows], levels[rows]], dim=1)
        # Those with few vessels go together, so that no more of them are drawn than one shows.
        for chunk in scene.factors["vessels"].argsort().split(step):
            part = scene.rows(chunk)
            white = white_noise((size, size), scans[chunk], seed)
            picture = _reconstructed(_paint(part, size, field), part, white, field)
            patches[start + chunk] = picture.round_().clamp_(LOW, HIGH).to(torch.int16)
    return patches


# ---------------------------------------------------------------------------------------------- data sets


@whole_options(DataError)
def generate(n: int = 2000, size: int = 64, seed: int = 0, independent: bool = False) -> ImageSet:
    """A set of n phantom nodules, ``NODULES_PER_PATIENT`` of each patient.

    Args:
        n: how many nodules.
        size: height and width in pixels, a multiple of 16.
        seed: drives the factors, the nuisance detail, the noise and the splits.
        independent: whether the factors are drawn independently, each nodule of another patient, see
            :func:`sample_factors`.

    Returns:
        An image set in HU, of the range from ``LOW`` to ``HIGH``, whose table holds ``FACTORS``; the columns of the
        condition vector that follow from them, as the table of :mod:`medlatent.data.lidc` does: the six
        characteristics as 0 or 1, and ``size_bin``; ``patient_id`` (its group), ``nodule`` (counted within the
        patient) and ``split`` (by patient). Its ``factors`` are ``FACTORS`` and the columns of the condition vector.

    Raises:
        DataError: n or size is too small, or the seed negative.
    """
    factors = sample_factors(n, seed, independent)
    images = render(factors, size, seed)
    patient, nodule = np.divmod(np.arange(n), 1 if independent else NODULES_PER_PATIENT)
    table = _table(factors)
    table["patient_id"] = [f"phantom_{i:07d}" for i in patient]
    table["nodule"] = nodule
    table["split"] = split_by_group(table["patient_id"], seed=seed)
    card = Card(
        name=INDEPENDENT_NAME if independent else NAME,
        source="rendered by medlatent.data.phantoms.nodule",
        licence="CC0-1.0: computed, no picture of anybody",
        citation="medlatent; size and ratings follow LIDC-IDRI, doi:10.7937/K9/TCIA.2015.LO9QL9SX",
        preprocessing="none; Hounsfield units",
        attributes={
            "seed": seed,
            "size": size,
            "independent": independent,
            "field": FIELD,
            "pixel_mm": FIELD / size,
        },
    )
    return ImageSet(images.numpy(), table, FACTORS | _CONDITION, card, "patient_id", (LOW, HIGH))


_CONDITION = {name: meaning for name, meaning in CONDITIONED.items() if name not in FACTORS}


def _table(factors: dict[str, torch.Tensor]) -> pd.DataFrame:
    table = pd.DataFrame({name: factors[name].numpy() for name in FACTORS})
    for name in CHARACTERISTICS:
        if name == "calcification":
            table[name] = table[name].astype(int)
        else:
            table[name] = binarised(name, table[f"{name}_rating"])
    table["size_bin"] = [SIZES[i] for i in size_bin(table["size"])]
    return table


# ------------------------------------------------------------------------------------ in the layouts of LIDC-IDRI

SIDE, PIXEL, DISTANCE = 96, 0.7, 2.5  # of a slice: pixels, and mm between pixels and between slices
PATCH = 71  # pixels of an extracted patch
CASES = 1012  # of LIDC-IDRI; those from 899 on are for testing
MARKED = (0.3, 0.5, 0.7)  # shares: of nodules that one reader outlined, one or two, one to three
DISAGREEMENT, SHAKE = 0.45, 0.05  # spread of a rating around the truth, and of an outline's radius around 1


@dataclass
class _Read:
    """What a reader says of a nodule: ratings, and of each slice the outline ``(K, 2)``, column and row."""

    reader: int
    ratings: dict[str, int]
    outlines: dict[int, list[tuple[int, int]]]


@dataclass
class _Scan:
    """A series: ``hu`` ``(S, SIDE, SIDE)`` from feet to head, its identifiers, and what was read of each nodule."""

    patient_id: str
    series_uid: str
    study_uid: str
    frame_uid: str
    slice_uids: list[str]
    hu: np.ndarray
    position: np.ndarray
    nodules: list[list[_Read]]
    truth: pd.DataFrame


def _scans(patients: int, seed: int) -> Iterator[_Scan]:
    """The series of patients; a nodule is a ball, cut in slices, and the nodules of a patient lie above each other."""
    factors = sample_factors(patients * NODULES_PER_PATIENT, seed)
    cases = np.linspace(1, CASES, patients).round().astype(int)
    for patient, case in enumerate(cases):
        rows = np.arange(NODULES_PER_PATIENT) + patient * NODULES_PER_PATIENT
        rng = np.random.default_rng([seed, 3, patient])  # the first three streams are those of _common
        parts, nodules, start = [], [], 0
        for i in rows:
            half = float(factors["size"][i]) / 2
            count = 2 * math.ceil(half / DISTANCE) + 3
            height = DISTANCE * (np.arange(count) - count // 2)
            share = torch.from_numpy(np.sqrt((1 - (height / half) ** 2).clip(0)).astype(np.float32))
            one = {name: values[i].expand(count) for name, values in factors.items()}
            which = torch.full((count,), int(i))
            parts.append(_rendered(one, which, torch.arange(count), share, SIDE, SIDE * PIXEL, seed).numpy())
            nodules.append(_readings(one, which, share, start, rng, seed))
            start += count
        truth = _table({name: values[rows] for name, values in factors.items()})
        truth.insert(0, "patient_id", f"LIDC-IDRI-{case:04d}")
        truth.insert(1, "readers", [len(readings) for readings in nodules])
        yield _Scan(
            patient_id=f"LIDC-IDRI-{case:04d}",
            series_uid=_uid(seed, patient, "series"),
            study_uid=_uid(seed, patient, "study"),
            frame_uid=_uid(seed, patient, "frame"),
            slice_uids=[_uid(seed, patient, "slice", k) for k in range(start)],
            hu=np.concatenate(parts),
            position=DISTANCE * np.arange(start) - 300.0,
            nodules=nodules,
            truth=truth,
        )


def _uid(*parts: object) -> str:
    return dicom_uid("nodule", *parts)


def _readings(
    one: dict[str, torch.Tensor],
    which: torch.Tensor,
    share: torch.Tensor,
    start: int,
    rng: np.random.Generator,
    seed: int,
) -> list[_Read]:
    """What up to four readers say of a nodule whose first slice is number ``start``."""
    readers = 1 + int(np.searchsorted(MARKED, rng.random()))
    first = {name: float(values[0]) for name, values in one.items()}
    detail = detail_numbers(which[:1], seed, DETAIL)
    radius = _outline({name: values[:1] for name, values in one.items()}, detail)[0].numpy()
    angle = STEP * np.arange(ANGLES) - math.pi
    middle = SIDE / 2 + np.array([first["position_x"], -first["position_y"]]) / PIXEL - 0.5
    found = []
    for reader in sorted(rng.permutation(4)[:readers].tolist()):
        shaken = (1 + SHAKE * rng.standard_normal()) * first["size"] * radius / PIXEL
        outlines = {}
        for k, part in enumerate(share.tolist()):
            # The outline runs on the first pixels outside, whose middle lies half a pixel beyond in the mean.
            far = part * shaken + 0.5
            points = np.rint(middle + far[:, None] * np.stack([np.cos(angle), -np.sin(angle)], axis=1)).astype(int)
            chain = [tuple(point) for point in points.tolist()]
            chain = [point for point, before in zip(chain, [chain[-1], *chain], strict=False) if point != before]
            if part > 0 and len(inner(filled(chain))):
                outlines[start + k] = chain
        ratings = {}
        for name, most in RATINGS.items():
            drawn = rng.standard_normal()
            if name == "calcification":
                ratings[name] = 3 if first["calcification"] and drawn < 1.5 else ABSENT
            elif name == "internalStructure":
                ratings[name] = 1
            else:
                # The two that nobody conditions on follow the outline.
                true = first.get(f"{name}_rating", first["malignancy_rating"])
                ratings[name] = int(np.clip(round(true + DISAGREEMENT * drawn), 1, most))
        found.append(_Read(reader, ratings, outlines))
    return found


@whole_options(DataError)
def write_dicom(folder: str | os.PathLike, patients: int = 5, seed: int = 0) -> pd.DataFrame:
    """Writes phantoms as LIDC-IDRI lies on disk: CT series in DICOM files, with the radiologists' XML beside each.

    A patient has one series, ``PATIENT/STUDY/SERIES/1-001.dcm`` and so on from head to feet, and ``069.xml``, with the
    marks of four readers in the schema ``LidcReadMessage``. Not every reader outlines every nodule, and they differ in
    outlines and ratings; each patient has, too, a nodule below 3 mm and something that is no nodule, which are marked
    by points. Slices are ``SIDE`` pixels wide. The case numbers of the patients are spread from 1 to 1012, so that the
    last ones are for testing. Needs pydicom (``pip install medlatent[data]``).

    Args:
        folder: where to; it must not exist. It is written under a temporary name and renamed.
        patients: how many, at most 1 012.
        seed: drives everything.

    Returns:
        The truth, one row a nodule: ``patient_id``, ``readers``, ``FACTORS`` and the columns of the condition vector.
        The medians of the readers differ from it, as those of people would.

    Raises:
        DataError: the folder exists, or a number is not as described.
    """
    tables = []
    with new_folder(folder) as partial:
        for scan in _scans(_checked_patients(patients), seed):
            place = partial / scan.patient_id / scan.study_uid / scan.series_uid
            tags = {
                "StudyInstanceUID": scan.study_uid,
                "SeriesInstanceUID": scan.series_uid,
                "FrameOfReferenceUID": scan.frame_uid,
                "PatientID": scan.patient_id,
                "PatientName": scan.patient_id,
            }
            stored = scan.hu.astype(int) + 1024
            write_ct_series(place, stored, scan.position, PIXEL, DISTANCE, scan.slice_uids, tags)
            ElementTree.indent(message := _message(scan))
            (place / "069.xml").write_bytes(ElementTree.tostring(message, encoding="utf-8", xml_declaration=True))
            tables.append(scan.truth)
    return pd.concat(tables, ignore_index=True)


def _checked_patients(patients: int) -> int:
    if not 1 <= patients <= CASES:
        raise DataError(f"patients: 1 to {CASES} are possible, got {patients}")
    return patients


def _message(scan: _Scan) -> ElementTree.Element:
    """The marks of four readers, as the radiologists' own files hold them."""
    root = ElementTree.Element("LidcReadMessage", {"xmlns": "http://www.nih.gov", "uid": scan.series_uid})
    header = ElementTree.SubElement(root, "ResponseHeader")
    _add(header, Version="1.8.1", TaskDescription="Second unblinded read", SeriesInstanceUid=scan.series_uid)
    _add(header, ResponseDescription="1 - Reading complete", StudyInstanceUID=scan.study_uid)
    for reader in range(4):
        session = ElementTree.SubElement(root, "readingSession")
        _add(session, annotationVersion="3.12", servicingRadiologistID=f"anon-{reader}")
        for number, readings in enumerate(scan.nodules):
            for read in readings:
                if read.reader == reader:
                    _add_nodule(session, scan, f"Nodule {number + 1:03d}", read)
        if reader < 2:
            small = ElementTree.SubElement(session, "unblindedReadNodule")
            _add(small, noduleID=f"Nodule {90 + reader:03d}")
            _add_outline(small, scan, 0, [(20, 20)])
        if reader == 3:
            other = ElementTree.SubElement(session, "nonNodule")
            _add(other, nonNoduleID="Non 001", imageZposition=f"{scan.position[1]:.4f}")
            _add(other, imageSOP_UID=scan.slice_uids[1])
            _add(ElementTree.SubElement(other, "locus"), xCoord="30", yCoord="31")
    return root


def _add_nodule(session: ElementTree.Element, scan: _Scan, name: str, read: _Read) -> None:
    marked = ElementTree.SubElement(session, "unblindedReadNodule")
    _add(marked, noduleID=name)
    form = ElementTree.SubElement(marked, "characteristics")
    _add(form, **{rating: str(value) for rating, value in read.ratings.items()})
    for k, outline in read.outlines.items():
        _add_outline(marked, scan, k, [*outline, outline[0]])


def _add_outline(marked: ElementTree.Element, scan: _Scan, k: int, outline: list[tuple[int, int]]) -> None:
    roi = ElementTree.SubElement(marked, "roi")
    _add(roi, imageZposition=f"{scan.position[k]:.4f}", imageSOP_UID=scan.slice_uids[k], inclusion="TRUE")
    for column, row in outline:
        _add(ElementTree.SubElement(roi, "edgeMap"), xCoord=str(column), yCoord=str(row))


def _add(parent: ElementTree.Element, **texts: str) -> None:
    for tag, text in texts.items():
        ElementTree.SubElement(parent, tag).text = text


@whole_options(DataError)
def write_patches(folder: str | os.PathLike, patients: int = 5, seed: int = 0) -> pd.DataFrame:
    """Writes the nodules of :func:`write_dicom` as extracted patches: ``nodules_71px_hu.npz`` and ``nodules_71px.csv``.

    A patch is 71 × 71 pixels of the slice in which one of the readers outlined the most, around the middle of this
    outline; its mask is the filled outline, sampled half a pixel beside along a side of even length, as that of the
    real patches is, see :func:`medlatent.data.lidc.pack`. A row of the table has the mean and the median of each
    rating.

    Args:
        folder: where to; it must not exist. It is written under a temporary name and renamed.
        patients: how many, at most 1 012.
        seed: drives everything.

    Returns:
        The truth, as :func:`write_dicom` returns it.

    Raises:
        DataError: the folder exists, or a number is not as described.
    """
    rows, patches, masks, tables = [], [], [], []
    with new_folder(folder) as partial:
        for scan in _scans(_checked_patients(patients), seed):
            tables.append(scan.truth)
            for readings in scan.nodules:
                row, patch, mask = _extracted(scan, readings)
                rows.append({"noduleID": len(rows) + 1} | row)
                patches.append(patch)
                masks.append(mask)
        arrays = {"hu": np.stack(patches), "mask": np.stack(masks), "noduleID": np.arange(1, len(rows) + 1)}
        np.savez_compressed(partial / f"nodules_{PATCH}px_hu.npz", **arrays)
        pd.DataFrame(rows).to_csv(partial / f"nodules_{PATCH}px.csv", index=False)
    return pd.concat(tables, ignore_index=True)


def _extracted(scan: _Scan, readings: list[_Read]) -> tuple[dict[str, object], np.ndarray, np.ndarray]:
    """The row of a nodule, its patch and its mask ``(PATCH, PATCH)``."""
    drawn = [(filled(outline), k) for read in readings for k, outline in read.outlines.items()]
    outlined, k = max(drawn, key=lambda one: (len(one[0]), one[1]))
    mask = np.zeros(scan.hu.shape[1:], dtype=np.uint8)
    mask[tuple(outlined.T)] = 1
    middle = (outlined.min(axis=0) + outlined.max(axis=0)) / 2
    top, left = (math.floor(place) - PATCH // 2 for place in middle)
    window = slice(top, top + PATCH), slice(left, left + PATCH)
    row = {
        "SeriesInstanceUid": scan.series_uid,
        "offset": -1024,
        "imageZposition": scan.position[k],
        "imageSOP_UID": scan.slice_uids[k],
        "PixelSpacing": PIXEL,
        "Area": len(outlined),
        "EquivDiameter": equivalent_diameter(len(outlined), (1, 1)),
        "patient_id": scan.patient_id,
        "n_readers": len(readings),
    }
    for name in RATINGS:
        given = [read.ratings[name] for read in readings]
        row |= {f"{name}_mean": np.mean(given), f"{name}_median": np.median(given)}
    return row, scan.hu[k][window], mask[np.ix_(*map(_sampled, middle))]


def _sampled(middle: float) -> np.ndarray:
    """Which ``PATCH`` rows a mask shows, around a middle that lies on a row or between two.

    Of an even number of rows every other one is there twice: those of even places above the middle, and of odd ones
    below it.
    """
    first, half, i = math.floor(middle) - PATCH // 2, PATCH // 2, np.arange(PATCH)
    if middle == math.floor(middle):
        return first + i
    return first + np.where(i < half, (i + 1) // 2 * 2, i // 2 * 2 + 1)


NODULES = Source(
    name="phantoms.nodule",
    kind="rendered",
    summary="CT patches around a lung nodule in Hounsfield units, with what the condition vector is made of known",
    open=lambda n, seed: generate(2000 if n is None else n, seed=seed),
    limits="Rendered images, with the sizes and ratings of LIDC-IDRI and looks fitted by eye; no patient was seen.",
    licence="Apache-2.0",  # computed by this package, and under its licence
    exact=False,
    classifiers=tuple(ClassifierSpec(factor, "phantoms.nodule", (1, 64, 64), card=NAME) for factor in CLASSIFIED),
)
INDEPENDENT = replace(
    NODULES,
    name="phantoms.nodule.independent",
    # None of malignancy: where size and margin say nothing of it, the outline alone does not let a classifier see it.
    classifiers=(ClassifierSpec("size_bin", "phantoms.nodule.independent", (1, 64, 64), card=INDEPENDENT_NAME),),
    summary="the same with factors that are drawn independently of one another, as in no people",
    open=lambda n, seed: generate(2000 if n is None else n, seed=seed, independent=True),
)
SOURCES = (NODULES, *coarser(NODULES, size=64), INDEPENDENT, *coarser(INDEPENDENT, size=64))
