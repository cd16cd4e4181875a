"""Heart phantoms: short-axis cine pictures at end diastole and end systole, with volumes in millilitres known.

Each image has two channels, the basal slice at end diastole (ED) and at end systole (ES), as the balanced steady-state
sequence of cardiac MRI shows it: blood bright, muscle dark, fat bright, lung nearly black.

**Volumes and areas.** A picture shows an area, a factor is a volume. They are tied by an effective length
:math:`\\ell` for each structure and phase (:data:`LENGTHS`),

.. math:: V = A \\, \\ell ,

where :math:`A` is the area in the basal slice. The outlines are star shapes around one centre, and they are scaled so
that the areas are exact: whatever the shape of the septum or the thinning of the wall, a structure that lies whole
inside the frame has the area that its factor says. In people the length varies, too: there, area and volume of ACDC's
100 patients correlate with 0.79 to 0.94.

**The frame of reference.** ``x`` points to the right and ``y`` up, in millimetres from the centre of the image. At ED
the centre of gravity of the left ventricle lies at ``position_x``, ``position_y``, and that of the right ventricle lies
to the left of it, turned by ``orientation``, positive counter-clockwise as displayed.

**What is random.** A rendering is a function of the factors, the seed and the number of the patient. The last two
determine the nuisance detail: the waves of the outlines, what lies around the heart, the flow in the blood, the noise.
Image i is the same however many images are drawn beside it.

The distributions of :func:`sample_factors` were measured on the masks and headers of ACDC's training set (Bernard et
al. 2018, doi:10.1109/TMI.2018.2837502); grey levels and surroundings were fitted to its pictures by eye.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.special import ndtr

from ...options import whole_options
from ..errors import DataError
from ..imageset import Card, Factor, ImageSet
from ..optional import extra
from ..source import Source
from ..splits import split_by_group
from ..views import coarser
from ._common import (
    checked_count,
    checked_factors,
    checked_size,
    checked_whole,
    detail_numbers,
    new_folder,
    normal_numbers,
    tensors,
)
from ._common import noise as white_noise

DIAGNOSES = ("NOR", "DCM", "HCM", "MINF", "RV")
PHASES = ("ED", "ES")
VOLUMES = ("LVEDV", "RVEDV", "MyoEDV", "LVESV", "RVESV", "MyoESV")
LABELS = {"background": 0, "LV": 1, "Myo": 2, "RV": 3}
"""The values of a mask, as :mod:`medlatent.data.acdc` packs those of real hearts."""

FIELD = 230.4
"""Height and width of an image in millimetres, 1.8 mm a pixel at 128 × 128, UK Biobank's spacing."""

LENGTHS = {"LVEDV": 66.0, "RVEDV": 44.0, "MyoEDV": 64.0, "LVESV": 60.0, "RVESV": 33.0, "MyoESV": 61.0}
"""The effective length in millimetres of each volume, the median of volume / area over ACDC's 100 patients, the area
taken in the first slice that has more than ten pixels of each structure in both phases."""

FACTORS = {
    "LVEDV": Factor("volume of the left ventricle's cavity at end diastole", unit="ml"),
    "RVEDV": Factor("volume of the right ventricle's cavity at end diastole", unit="ml"),
    "MyoEDV": Factor("volume of the left ventricle's muscle at end diastole", unit="ml"),
    "LVESV": Factor("volume of the left ventricle's cavity at end systole", unit="ml"),
    "RVESV": Factor("volume of the right ventricle's cavity at end systole", unit="ml"),
    "MyoESV": Factor("volume of the left ventricle's muscle at end systole", unit="ml"),
    "septal_flattening": Factor("how flat the septum is: 0 (round) to 1 (the left ventricle is a D)"),
    "septal_asymmetry": Factor("thickness of the septum over that of the wall opposite, 0.6 to 2.2"),
    "wall_thinning": Factor("share of its thickness that a sector of the wall has lost, 0 to 0.8"),
    "thinning_angle": Factor(
        "where the thinned sector is: 0 at the septum's middle, positive counter-clockwise as displayed",
        kind="angle",
        unit="radians",
        period=2 * math.pi,
    ),
    "papillary": Factor("size of the papillary muscles: 0 (not in the slice) to 1"),
    "position_x": Factor("centre of gravity of the left ventricle at ED, right of the image's centre", unit="mm"),
    "position_y": Factor("centre of gravity of the left ventricle at ED, above the image's centre", unit="mm"),
    "orientation": Factor(
        "turn of the heart and all around it: 0 has the right ventricle on the left; positive is counter-clockwise as "
        "displayed",
        kind="angle",
        unit="radians",
        period=2 * math.pi,
    ),
    "fat": Factor("amount of fat around the heart: 0 (none) to 1 (about a centimetre)"),
    "lung": Factor("how much of the surroundings is lung: 0 (the diaphragm touches the heart) to 1"),
    "bias_field": Factor(
        "fall of the signal from the coil's side of the image to the other, as a logarithm of the ratio, 0 to 1.5"
    ),
    "noise": Factor("standard deviation of the receiver's noise as a share of the blood's signal, 0 to 0.15"),
    "contrast": Factor("signal of the left ventricle's blood at ED over that of muscle, 1.3 to 4.5"),
}

RANGES = {
    "LVEDV": (30.0, 400.0),
    "RVEDV": (30.0, 320.0),
    "MyoEDV": (25.0, 280.0),
    "LVESV": (8.0, 370.0),
    "RVESV": (8.0, 280.0),
    "MyoESV": (25.0, 320.0),
    "septal_flattening": (0.0, 1.0),
    "septal_asymmetry": (0.6, 2.2),
    "wall_thinning": (0.0, 0.8),
    "thinning_angle": (-math.pi, math.pi),
    "papillary": (0.0, 1.0),
    "position_x": (-40.0, 40.0),
    "position_y": (-40.0, 40.0),
    "orientation": (-math.pi, math.pi),
    "fat": (0.0, 1.0),
    "lung": (0.0, 1.0),
    "bias_field": (0.0, 1.5),
    "noise": (0.0, 0.15),
    "contrast": (1.3, 4.5),
}
"""The lowest and highest value that :func:`render` accepts of each factor, both included."""

DERIVED = {
    "ejection_fraction": Factor("share of the left ventricle's blood that a beat ejects: 1 - LVESV / LVEDV"),
    "wall_thickness": Factor("mean thickness of the left ventricle's wall in the slice at end diastole", unit="mm"),
}
"""What follows from the factors and is measured on hearts all the same; :func:`generate` has it in its table."""

DIAGNOSIS = Factor(
    "group of the patient: normal, dilated cardiomyopathy, hypertrophic cardiomyopathy, infarction, abnormal right "
    "ventricle",
    kind="categorical",
    values=DIAGNOSES,
)

# ------------------------------------------------------------------------------------------------ sampling

# Volumes are log-normal within a group. VOLUMES across: medians (ml) and standard deviations of the logarithm, over the
# 20 patients of each group of ACDC's training set (its masks times its spacings), and the correlations of the
# logarithms within the groups, pooled over the five.
MEDIANS = {
    "NOR": (127.3, 148.5, 94.4, 50.0, 65.5, 110.3),
    "DCM": (280.6, 165.9, 159.0, 228.1, 108.9, 171.0),
    "HCM": (123.7, 113.1, 160.3, 38.9, 43.4, 187.4),
    "MINF": (167.0, 113.2, 115.8, 114.4, 48.9, 131.5),
    "RV": (100.2, 189.7, 69.5, 45.0, 127.3, 79.5),
}
SPREADS = {
    "NOR": (0.221, 0.264, 0.270, 0.269, 0.337, 0.264),
    "DCM": (0.176, 0.390, 0.208, 0.217, 0.579, 0.225),
    "HCM": (0.316, 0.319, 0.337, 0.414, 0.407, 0.312),
    "MINF": (0.260, 0.341, 0.160, 0.297, 0.524, 0.173),
    "RV": (0.386, 0.280, 0.354, 0.430, 0.334, 0.352),
}
CORRELATIONS = (
    (1.000, 0.587, 0.734, 0.877, 0.388, 0.680),
    (0.587, 1.000, 0.468, 0.492, 0.817, 0.438),
    (0.734, 0.468, 1.000, 0.643, 0.323, 0.946),
    (0.877, 0.492, 0.643, 1.000, 0.398, 0.589),
    (0.388, 0.817, 0.323, 0.398, 1.000, 0.288),
    (0.680, 0.438, 0.946, 0.589, 0.288, 1.000),
)
LEAST_EJECTION = 0.07  # no ventricle of ACDC ejects less

# The shape of the heart by group, in the order of DIAGNOSES: the median, and the spread of the logit over the range.
SHAPES = {
    "septal_flattening": ((0.06, 0.04, 0.05, 0.06, 0.42), 0.8),
    "septal_asymmetry": ((1.0, 0.95, 1.4, 1.0, 1.05), 0.45),
    "wall_thinning": ((0.03, 0.06, 0.02, 0.42, 0.03), 0.7),
}
# All else: the median over all patients, and that spread.
SURROUNDINGS = {
    "papillary": (0.3, 1.4),
    "fat": (0.3, 1.0),
    "lung": (0.55, 1.0),
    "bias_field": (0.5, 0.8),
    "noise": (0.018, 0.55),
    "contrast": (2.55, 0.6),
}
JITTER = {"position_x": 1.5, "position_y": 1.5, "orientation": 0.08}  # what aligning a heart by its mask leaves

INDEPENDENT_RANGES = {
    "LVEDV": (100.0, 220.0),
    "RVEDV": (90.0, 220.0),
    "MyoEDV": (70.0, 170.0),
    "LVESV": (25.0, 95.0),
    "RVESV": (25.0, 85.0),
    "MyoESV": (70.0, 170.0),
    "position_x": (-4.0, 4.0),
    "position_y": (-4.0, 4.0),
    "orientation": (-0.3, 0.3),
    "noise": (0.005, 0.06),
    "contrast": (1.6, 3.5),
}
"""Where independent factors are uniform, if not over all of ``RANGES``: each combination is a heart that beats."""


@whole_options(DataError)
def sample_factors(n: int, seed: int = 0, independent: bool = False) -> dict[str, torch.Tensor]:
    """Draws the factors of n patients.

    Args:
        n: how many.
        seed: another seed, another draw. Patient i is the same for every n.
        independent: if false, the five groups of ACDC are equally likely, and volumes and shape depend on the group and
            on each other as they do there. If true, all factors are independent, each uniform (``INDEPENDENT_RANGES``),
            which no hospital can offer, so that a measure of disentanglement meets a known truth.

    Returns:
        One float32 tensor ``(n,)`` a factor; and, unless they are independent, ``diagnosis``, int64 indices into
        ``DIAGNOSES``.

    Raises:
        DataError: n is not positive, or the seed is negative.
    """
    normal = normal_numbers("factors", np.arange(checked_count(n)), seed, 1 + len(FACTORS))
    share = ndtr(normal)
    if independent:
        drawn = {}
        for column, (name, whole) in enumerate(RANGES.items()):
            low, high = INDEPENDENT_RANGES.get(name, whole)
            drawn[name] = low + (high - low) * share[:, 1 + column]
        return tensors(drawn)

    group = np.minimum((len(DIAGNOSES) * share[:, 0]).astype(int), len(DIAGNOSES) - 1)
    columns = dict(zip(FACTORS, normal[:, 1:].T, strict=True))
    correlated = np.stack([columns[name] for name in VOLUMES], axis=1) @ np.linalg.cholesky(CORRELATIONS).T
    median, spread = (np.array([table[name] for name in DIAGNOSES])[group] for table in (MEDIANS, SPREADS))
    drawn = dict(zip(VOLUMES, (median * np.exp(spread * correlated)).T, strict=True))
    for ventricle in ("LV", "RV"):
        diastole = np.clip(drawn[f"{ventricle}EDV"], *RANGES[f"{ventricle}EDV"])
        drawn[f"{ventricle}ESV"] = np.minimum(drawn[f"{ventricle}ESV"], (1 - LEAST_EJECTION) * diastole)
    by_group = {name: (np.array(medians)[group], spread) for name, (medians, spread) in SHAPES.items()}
    for name, (median, spread) in {**by_group, **SURROUNDINGS}.items():
        low, high = RANGES[name]
        middle = np.log((median - low) / (high - median))
        drawn[name] = low + (high - low) / (1 + np.exp(-middle - spread * columns[name]))
    for name, spread in JITTER.items():
        drawn[name] = spread * columns[name]
    drawn["thinning_angle"] = math.pi * (2 * ndtr(columns["thinning_angle"]) - 1)
    drawn = {name: np.clip(drawn[name], *RANGES[name]) for name in FACTORS}
    return tensors(drawn) | {"diagnosis": torch.from_numpy(group)}


# -------------------------------------------------------------------------------------------- the outlines

ANGLES = 720
SHAPE_WAVES = 3  # of an outline: orders 2, 3 and 4
DETAIL = {
    "lv": 2 * SHAPE_WAVES,
    "wall": 2 * SHAPE_WAVES,
    "rv": 3,
    "bulge": 2 * SHAPE_WAVES,
    "rim": 2 * SHAPE_WAVES,
    "scene": 14,
    "textures": 3,
}
STEP = 2 * math.pi / ANGLES


def _angle() -> torch.Tensor:
    """Around the centre of the heart from the middle of the septum, -π to π, counter-clockwise as displayed."""
    return STEP * (torch.arange(ANGLES) - ANGLES // 2)


def _wave(detail: torch.Tensor, strength: float) -> torch.Tensor:
    """A smooth random function of the angle ``(n, 1, ANGLES)`` around 1; higher orders are weaker."""
    order = torch.arange(2.0, 2 + SHAPE_WAVES)
    phase = order[:, None] * _angle()
    weight = strength / order.repeat(2)
    return (1 + (weight * detail) @ torch.cat([phase.cos(), phase.sin()]))[:, None].clamp_min(0.3)


def _smooth(around: torch.Tensor, half_width: int) -> torch.Tensor:
    """A moving average over the angle."""
    flat = around.flatten(0, 1)[:, None]
    padded = F.pad(flat, (half_width, half_width), mode="circular")
    return F.avg_pool1d(padded, 2 * half_width + 1, 1).view_as(around)


def _outlines(areas: torch.Tensor, factors: Mapping[str, torch.Tensor], detail: dict) -> dict[str, torch.Tensor]:
    """The outlines as radii around one centre, scaled to the areas, and where the centre lies.

    Args:
        areas: ``(n, 2, 3)`` in mm²: of phase and of LV, RV and muscle.

    Returns:
        ``lv``, ``epi`` and ``rv``, the outer radius of each ``(n, 2, ANGLES)`` in mm; ``thickness`` ``(n, 2)``;
        ``centre`` ``(n, 2)`` and ``turn`` ``(n,)``, which places the outlines in the image.
    """
    angle = _angle()
    column = {name: values[:, None, None] for name, values in factors.items()}
    area_lv, area_rv, area_wall = areas[..., None].unbind(2)

    # The cavity: a circle that a chord flattens on the septal side.
    chord = (1 - 0.55 * column["septal_flattening"]) / angle.cos().clamp_min(1e-3)
    lv = _smooth(chord.clamp_max(1), 24) * _wave(detail["lv"], 0.03)
    lv = lv * (2 * area_lv / (STEP * lv.square().sum(-1, keepdim=True))).sqrt()

    # The wall: t(φ) = t·w(φ), and t solves ½∫((r + t w)² - r²) dφ = A.
    away = torch.remainder(angle - column["thinning_angle"] + math.pi, 2 * math.pi) - math.pi
    thin = 1 - column["wall_thinning"] * (-((away / 0.7) ** 4)).exp()
    wall = (0.5 * column["septal_asymmetry"].log() * angle.cos()).exp() * thin * _wave(detail["wall"], 0.10)
    across = STEP * (lv * wall).sum(-1, keepdim=True)
    square = STEP * wall.square().sum(-1, keepdim=True)
    wall = wall * (((across.square() + 2 * square * area_wall).sqrt() - across) / square)
    epi = lv + wall

    # The right ventricle: what lies between the muscle and r² = epi² + 2 A g(φ) / ∫g.
    wide, skew, blunt = detail["rv"].T[:, :, None, None]
    span = 1.25 + 0.10 * wide.clamp(-2, 2) + 0.22 * (area_rv / (math.pi * epi.square().mean(-1, keepdim=True)))
    away = (angle - 0.10 * skew.clamp(-2, 2) + 0.12) / span.clamp_max(1.75)
    bump = (1 - away.abs().pow(2.1)).clamp_min(0).pow(0.85 + 0.08 * blunt.clamp(-2, 2))
    bump = bump * _wave(detail["bulge"], 0.3)
    rv = (epi.square() + 2 * area_rv * bump / (STEP * bump.sum(-1, keepdim=True))).sqrt()

    # The centres of gravity at ED, which the position and the orientation are about.
    unit = torch.stack([angle.cos(), angle.sin()], dim=1)
    mean_lv = (STEP / 3) * lv[:, 0].pow(3) @ unit / areas[:, 0, :1]
    mean_rv = (STEP / 3) * (rv[:, 0].pow(3) - epi[:, 0].pow(3)) @ unit / areas[:, 0, 1:2]
    towards = mean_rv - mean_lv
    turn = math.pi + factors["orientation"] - torch.atan2(towards[:, 1], towards[:, 0])
    cos, sin = turn.cos(), turn.sin()
    shift = torch.stack([cos * mean_lv[:, 0] - sin * mean_lv[:, 1], sin * mean_lv[:, 0] + cos * mean_lv[:, 1]], dim=1)
    centre = torch.stack([factors["position_x"], factors["position_y"]], dim=1) - shift
    return {"lv": lv, "epi": epi, "rv": rv, "thickness": wall.mean(-1), "centre": centre, "turn": turn}


def _areas(factors: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """In the basal slice ``(n, 2, 3)``, in mm²."""
    areas = [1000 * factors[name] / LENGTHS[name] for name in VOLUMES]
    return torch.stack(areas, dim=1).view(-1, 2, 3)


def _grid(shape: tuple[int, int], pixel: float) -> tuple[torch.Tensor, torch.Tensor]:
    """x ``(1, w)`` and y ``(h, 1)`` of the pixels' centres, in mm from the middle of the image, y upwards."""
    height, width = shape
    return (
        (pixel * (torch.arange(width) + 0.5 - width / 2))[None, :],
        (pixel * (height / 2 - 0.5 - torch.arange(height)))[:, None],
    )


def _polar(heart: dict[str, torch.Tensor], shape: tuple[int, int], pixel: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The radius ``(n, 1, h, w)`` of each pixel, and the index of its angle."""
    x, y = _grid(shape, pixel)
    across = x - heart["centre"][:, 0, None, None]
    up = y - heart["centre"][:, 1, None, None]
    radius = (across.square() + up.square()).sqrt()
    angle = torch.atan2(up, across) - heart["turn"][:, None, None]
    index = torch.remainder((angle / STEP).round().long() + ANGLES // 2, ANGLES)
    return radius[:, None], index[:, None]


def _around(table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """The values ``(n, c, h, w)`` of a table ``(n, c, ANGLES)`` at each pixel's angle."""
    index = index.expand(-1, table.shape[1], -1, -1)
    return table.gather(2, index.flatten(2)).view(index.shape)


def _labels(image: dict[str, torch.Tensor], shape: tuple[int, int], pixel: float) -> torch.Tensor:
    radius, index = _polar(image, shape, pixel)
    in_rv, in_epi, in_lv = (radius < _around(image[name], index) for name in ("rv", "epi", "lv"))
    labels = LABELS["RV"] * in_rv.to(torch.uint8)
    return labels.masked_fill_(in_epi, LABELS["Myo"]).masked_fill_(in_lv, LABELS["LV"])


# ------------------------------------------------------------------------------------------- the picture

# Signals as a share of the full scale; muscle is blood over the contrast.
BLOOD, FAT = 0.74, 0.86
GRID = 64  # textures are drawn on GRID × GRID pixels, and enlarged
TEXTURES = 128
WAVELENGTHS = {"coarse": 20, "medium": 7, "fine": 2}


@lru_cache
def _textures() -> dict[str, torch.Tensor]:
    """Smooth noise of unit variance, coarse to fine: ``TEXTURES`` fixed fields ``(GRID, GRID)`` of each kind."""
    generator = torch.Generator().manual_seed(20181101)
    textures = {}
    for name, wavelength in WAVELENGTHS.items():
        cells = GRID // wavelength + 1
        noise = torch.randn(TEXTURES, 1, cells, cells, generator=generator)
        noise = F.interpolate(noise, (GRID, GRID), mode="bicubic", align_corners=True)
        textures[name] = noise / noise.std()
    return textures


def _texture(name: str, detail: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The texture ``(n, 1, h, w)`` of each image that a normal number ``(n,)`` picks."""
    pick = (TEXTURES * torch.special.ndtr(detail)).long().clamp_max(TEXTURES - 1)
    return F.interpolate(_textures()[name][pick], shape, mode="bilinear")


def _cover(depth: torch.Tensor, width: torch.Tensor | float) -> torch.Tensor:
    """How much of a pixel lies inside a border, 0 to 1, from the depth in mm; in place, over that width in mm."""
    return depth.div_(width).add_(0.5).clamp_(0, 1)


def _surroundings(
    image: dict[str, torch.Tensor], textures: dict[str, torch.Tensor], shape: tuple[int, int], pixel: float
) -> torch.Tensor:
    """The picture without the heart ``(n, 1, h, w)``: lung with its vessels, diaphragm, aorta, chest wall, air."""
    x, y = _grid(shape, pixel)
    column = {name: image[name][:, None, None, None] for name in ("cos", "sin", "position_x", "position_y")}
    x, y = x - column["position_x"], y - column["position_y"]
    # As the heart lies: the right ventricle to the left.
    x, y = column["cos"] * x + column["sin"] * y, column["cos"] * y - column["sin"] * x
    fat, lung, reach, below = (image[name][:, None, None, None] for name in ("fat", "lung", "reach", "below"))
    scene = image["scene"].clamp(-2, 2).T[:, :, None, None, None]
    coarse, medium, fine = (textures[name] for name in WAVELENGTHS)

    # Lung: nearly black, with bright vessels.
    vessels = (fine + 0.35 * coarse - 1.4).clamp_(0, 1.2).mul_(0.36 + 0.14 * scene[0])
    picture = vessels.add_(0.085 * (0.45 * scene[1]).exp())
    # The dome of the diaphragm: liver below the right ventricle, stomach, spleen and fat further to the right.
    dome = -below - 4 - 30 * lung.square() - 0.0035 * (x - 10 * scene[2]).square() + (0.10 + 0.10 * scene[3]) * x
    deep = dome - y + 3 * medium
    bowel = (1.8 * medium + 1.2 * coarse + (x - 10) / 40).clamp_(0, 1).mul_(0.32 + 0.16 * scene[4])
    abdomen = bowel.add_(0.24 + 0.05 * scene[5]).mul_(1 + 0.10 * fine)
    line = (1 - (deep - 2).abs() / 3).clamp_(0, 1).mul_(0.75 * fat.sqrt())
    abdomen.add_(line)
    picture.lerp_(abdomen, _cover(deep, 3.0))
    # The descending aorta.
    aorta_x, aorta_y = 26 + 11 * scene[6], -below - 20 - 5 * scene[7]
    radius = torch.where(scene[9] > -0.6, 11 + 1.8 * scene[8], -20.0)  # else it lies elsewhere
    across, up = x - aorta_x, y - aorta_y
    depth = radius - (across.square() + (up - (0.3 + 0.4 * scene[10]) * across).square()).sqrt_()
    picture.lerp_((BLOOD * (1.15 + 0.1 * scene[7])).expand_as(picture), _cover(depth, 3.0))
    # The chest wall follows the right ventricle: pleura and muscle, fat, muscle with ribs, fat, air.
    across, down = 140 + 10 * scene[11], 118 + 10 * scene[12]
    middle_x = across - reach - 5 - 4 * (scene[13] + 2)
    outside = ((x - middle_x) / across).square() + ((y + 30) / down).square()
    outside = outside.sqrt_().sub_(1).mul_(105).add_(2.5 * coarse + 1.2 * medium)
    thick = 2 + 9 * fat
    wall = (medium + 0.5 * fine).mul_(0.06).add_(0.2)
    ribbon = (1 - (outside - 3 - thick / 2).abs() / (thick / 2)).clamp_(0, 0.5)
    wall.add_(ribbon.mul_((0.9 + 0.4 * medium).clamp_(0.2, 1.4)))
    wall.add_(_cover(outside - 30 - 7 * coarse, 5.0).mul_(0.5))
    wall.mul_(1 - _cover(outside - 38 - 25 * fat, 4.0))
    return picture.lerp_(wall, _cover(outside, 2.5))


def _paint(image: dict[str, torch.Tensor], shape: tuple[int, int], pixel: float) -> torch.Tensor:
    """The signal of one chunk, float32 ``(n, 2, h, w)`` before the noise, from what :func:`_prepared` gives."""
    textures = {name: _texture(name, image["textures"][:, i], shape) for i, name in enumerate(WAVELENGTHS)}
    medium, fine = textures["medium"], textures["fine"]
    radius, index = _polar(image, shape, pixel)
    lv, epi, rv, rim, slope = (_around(image[name], index) for name in ("lv", "epi", "rv", "rim", "slope"))
    column = {name: image[name][:, None, None, None] for name in ("muscle", "papillary", "gain", "bias_field")}
    soft = pixel + 1.1  # a slice is thick, and its borders are slanted
    phase = torch.tensor([1.0, 0.93])[None, :, None, None]  # blood that flows in is fresher at ED
    flow = torch.cat([medium, medium.flip(2, 3)], dim=1)

    picture = _surroundings(image, textures, shape, pixel).repeat(1, 2, 1, 1)
    outer = rv - radius
    # Fat in the grooves, and the dark line of the chemical shift and the thin wall inside it.
    lumps = 0.62 + 0.14 * flow
    picture.lerp_(lumps.mul_(FAT / 0.74), _cover((outer + 2 + rim) * slope, soft))
    muscle = column["muscle"] * (1 + 0.07 * fine + 0.05 * flow)
    picture.lerp_(muscle, _cover((outer + 2) * slope, soft))
    # The right ventricle: trabeculae along its free wall.
    blood = BLOOD * phase * (1 + 0.07 * flow + 0.05 * fine)
    near = (1 - (outer - 4).abs() / 7).clamp_(0, 1)
    trabeculae = (flow + 0.5 * fine - 0.3).clamp_(0, 1).mul_(near).mul_(0.75)
    picture.lerp_((0.86 * blood).lerp_(muscle, trabeculae), _cover(outer.mul_(slope), soft))
    picture.lerp_(muscle, _cover(epi - radius, soft))
    # The left ventricle with its papillary muscles, which a mask counts as blood.
    depth = lv - radius
    rough = (flow + 0.4 * fine - 0.4).clamp_(0, 1).mul_((1 - (depth - 2).abs() / 4).clamp_(0, 1)).mul_(0.55)
    blood = blood.lerp_(muscle, rough)
    x, y = _grid(shape, pixel)
    for side in range(2):
        from_x = x - image["papillae"][:, :, side, 0, None, None]
        from_y = y - image["papillae"][:, :, side, 1, None, None]
        size = image["papillae"][:, :, side, 2, None, None]
        inside = (1 + 0.22 * flow + 0.12 * fine) * size - (from_x.square() + from_y.square()).sqrt_()
        blood.lerp_(0.95 * muscle, _cover(inside, soft).mul_((3 * column["papillary"]).clamp_max(1)))
    picture.lerp_(blood, _cover(depth, soft))

    # The coil lies on the chest, up and to the left; the field has a gentle unevenness of its own.
    towards_x, towards_y = image["coil"].T[:, :, None, None, None]
    along = (x * towards_x + y * towards_y) / (FIELD / 2)
    field = column["bias_field"] * (0.5 * along + 0.08 * textures["coarse"])
    return picture.mul_(field.exp_()).mul_(column["gain"])


def _noisy(picture: torch.Tensor, noise: torch.Tensor, scans: torch.Tensor, seed: int) -> torch.Tensor:
    """The magnitude of a complex signal (Rician), each part with Gaussian noise of that standard deviation ``(n,)``.

    ``scans`` ``(n, 2)`` are the numbers of patient and slice, which with the seed determine the noise. It is a little
    smooth, as that of a scanner is, which fills the outer rows of k-space with zeros.
    """
    _, phases, height, width = picture.shape
    shape = (2, phases, height + 1, width + 1)
    white = white_noise(shape, scans, seed).transpose(0, 1)
    smooth = white[..., 1:] + 0.5 * white[..., :-1]
    smooth = smooth[..., 1:, :] + 0.5 * smooth[..., :-1, :]
    real, imaginary = smooth.mul_((noise * (BLOOD / 1.25))[:, None, None, None])
    return picture.add_(real).square_().addcmul_(imaginary, imaginary).sqrt_()


def _prepared(areas: torch.Tensor, factors: dict[str, torch.Tensor], detail: dict) -> dict[str, torch.Tensor]:
    """All that is the same for every pixel of an image; the first dimension of each tensor is the image."""
    heart = _outlines(areas, factors, detail)
    n = len(areas)
    rv = heart["rv"]
    change = (rv.roll(-1, 2) - rv.roll(1, 2)) / (2 * STEP * rv)
    grooves = 0.35 + 0.65 * (1 + _angle().cos()).div(2).pow(0.5)  # most fat lies around the right ventricle
    scene = detail["scene"]

    # The papillary muscles stand opposite the septum, above and below, at a share of the cavity's radius.
    lean, apart = 0.12 * scene[:, 0].clamp(-2, 2), 0.12 * scene[:, 1].clamp(-2, 2)
    angles = torch.stack([math.pi - 0.85 + lean + apart, math.pi + 0.95 + lean - apart], dim=1)
    which = torch.remainder((angles / STEP).round().long() + ANGLES // 2, ANGLES)
    border = heart["lv"].gather(2, which[:, None].expand(-1, 2, -1))
    towards = angles + heart["turn"][:, None]
    cavity = heart["lv"].mean(-1, keepdim=True)
    size = (0.10 + 0.17 * factors["papillary"])[:, None, None] * cavity * torch.tensor([1.1, 0.9])
    away = border - 1.25 * size
    centre = heart["centre"][:, None, None]
    place = torch.stack([towards.cos(), towards.sin()], dim=-1)[:, None] * away[..., None] + centre
    papillae = torch.cat([place, size[..., None]], dim=-1)

    # What lies around stays where it is from slice to slice, so it is placed by the basal one, which the volumes give.
    area_lv, area_rv, area_wall = _areas(factors)[:, 0].unbind(1)
    epi = (area_lv + area_wall) / math.pi
    reach = (epi + area_rv / (0.95 + 0.05 * area_rv / epi)).sqrt()
    coil = factors["orientation"] + 2.4 + 0.4 * scene[:, 3]
    return (
        heart
        | {
            "slope": (1 + change.square()).rsqrt(),
            "rim": 9 * factors["fat"][:, None, None] * (_wave(detail["rim"], 0.6) * grooves),
            "papillae": papillae,
            "papillary": factors["papillary"],
            "muscle": BLOOD / factors["contrast"],
            "gain": (0.12 * scene[:, 4]).exp(),
            "bias_field": factors["bias_field"],
            "coil": torch.stack([coil.cos(), coil.sin()], dim=1),
            "cos": factors["orientation"].cos(),
            "sin": factors["orientation"].sin(),
            "reach": reach,
            "below": epi.sqrt(),
            "scene": scene,
            "textures": detail["textures"],
        }
        | {name: factors[name].view(n) for name in ("position_x", "position_y", "fat", "lung")}
    )


BLOCK = 1024  # pairs prepared at a time
CHUNK_PIXELS = 4 * 128 * 128  # fewer cost more calls, more leave the cache; measured with benchmarks/phantoms.py
Draw = Callable[[dict[str, torch.Tensor], tuple[int, int], float], torch.Tensor]


@whole_options(DataError)
def render(
    factors: Mapping[str, torch.Tensor],
    size: int = 128,
    seed: int = 0,
    patient: torch.Tensor | None = None,
) -> torch.Tensor:
    """Renders one pair of pictures for each row of the factors.

    Args:
        factors: a tensor or array ``(n,)`` for each name of ``FACTORS``, as :func:`sample_factors` gives them. A
            ``diagnosis`` beside them is left alone: it shows in the other factors only.
        size: height and width in pixels, a multiple of 16; the field of view is always ``FIELD``.
        seed: drives the nuisance detail and the noise.
        patient: ``(n,)`` whole numbers; rows of the same number share their detail and noise, so they show one patient
            under other factors (a traversal). By default row i shows patient i.

    Returns:
        uint8 ``(n, 2, size, size)``: the basal slice at ED and at ES.

    Raises:
        DataError: a factor is missing, unknown, of a wrong shape or out of its range; the message names factor and row.
            Or size, seed or patient is not as described.
    """
    picture = _in_chunks(_signal(seed), *_basal(factors, size, patient), seed)
    return picture.clamp_max_(1).mul_(255).add_(0.5).to(torch.uint8)


@whole_options(DataError)
def render_masks(
    factors: Mapping[str, torch.Tensor],
    size: int = 128,
    seed: int = 0,
    patient: torch.Tensor | None = None,
) -> torch.Tensor:
    """The labels of each picture that :func:`render` gives for the same arguments.

    Returns:
        uint8 ``(n, 2, size, size)``, of the values in ``LABELS``; papillary muscles count as blood, as in ACDC.

    Raises:
        DataError: as :func:`render` does.
    """
    return _in_chunks(_labels, *_basal(factors, size, patient), seed)


Task = tuple[torch.Tensor, dict[str, torch.Tensor], torch.Tensor, tuple[int, int], float]


def _basal(factors: Mapping[str, torch.Tensor], size: int, patient: torch.Tensor | None) -> Task:
    """What :func:`_in_chunks` needs for the basal slice of each row, checked."""
    checked_size(size)
    checked = checked_factors(factors, RANGES, beside="diagnosis")
    n = len(checked["LVEDV"])
    patients = torch.arange(n) if patient is None else checked_whole("patient", patient, n)
    scans = torch.stack([patients, torch.zeros(n, dtype=torch.long)], dim=1)
    return _areas(checked), checked, scans, (size, size), FIELD / size


def _signal(seed: int) -> Draw:
    def draw(image: dict[str, torch.Tensor], shape: tuple[int, int], pixel: float) -> torch.Tensor:
        return _noisy(_paint(image, shape, pixel), image["noise"], image["scans"], seed)

    return draw


def _in_chunks(
    draw: Draw,
    areas: torch.Tensor,
    factors: dict[str, torch.Tensor],
    scans: torch.Tensor,
    shape: tuple[int, int],
    pixel: float,
    seed: int,
) -> torch.Tensor:
    """Pictures or labels of rows: the areas ``(n, 2, 3)`` in mm² are drawn, whatever volumes the factors hold.

    ``scans`` ``(n, 2)`` are the numbers of patient and slice.
    """
    step = max(1, CHUNK_PIXELS // (shape[0] * shape[1]))
    chunks = []
    for start in range(0, len(areas), BLOCK):
        rows = slice(start, start + BLOCK)
        part = {name: values[rows] for name, values in factors.items()}
        prepared = _prepared(areas[rows], part, detail_numbers(scans[rows, 0], seed, DETAIL))
        prepared |= {"noise": part["noise"], "scans": scans[rows]}
        columns = {name: values.split(step) for name, values in prepared.items()}
        for chunk in zip(*columns.values(), strict=True):
            chunks.append(draw(dict(zip(columns, chunk, strict=True)), shape, pixel))
    return torch.cat(chunks)


# ---------------------------------------------------------------------------------------------- data sets


@whole_options(DataError)
def generate(n: int = 2000, size: int = 128, seed: int = 0, independent: bool = False) -> ImageSet:
    """A set of n phantom hearts, one pair of pictures a patient.

    Args:
        n: how many patients.
        size: height and width in pixels, a multiple of 16.
        seed: drives the factors, the nuisance detail, the noise and the splits.
        independent: whether the factors are drawn independently, see :func:`sample_factors`.

    Returns:
        An image set of two channels, ED and ES, whose table holds ``FACTORS``, ``DERIVED``, ``patient_id`` (its group)
        and ``split``; and ``diagnosis``, unless the factors are independent. Its ``factors`` are ``FACTORS`` if they
        are independent, as what is ``DERIVED`` would not be; else all of them.

    Raises:
        DataError: n or size is too small, or the seed negative.
    """
    factors = sample_factors(n, seed, independent)
    images = render(factors, size, seed)
    table = _table(factors, seed)
    table["patient_id"] = [f"phantom_{i:07d}" for i in range(n)]
    table["split"] = split_by_group(table["patient_id"], seed=seed)
    meanings = FACTORS if independent else FACTORS | DERIVED | {"diagnosis": DIAGNOSIS}
    card = Card(
        name="heart phantoms",
        source="rendered by medlatent.data.phantoms.heart",
        licence="CC0-1.0: computed, no picture of anybody",
        citation="medlatent; volumes and looks follow ACDC, doi:10.1109/TMI.2018.2837502",
        preprocessing="none",
        attributes={
            "seed": seed,
            "size": size,
            "independent": independent,
            "channels": list(PHASES),
            "pixel_mm": FIELD / size,
            "lengths_mm": LENGTHS,
        },
    )
    return ImageSet(images.numpy(), table, meanings, card, group="patient_id")


def _table(factors: dict[str, torch.Tensor], seed: int) -> pd.DataFrame:
    table = pd.DataFrame({name: factors[name].numpy() for name in FACTORS})
    table["ejection_fraction"] = 1 - table["LVESV"] / table["LVEDV"]
    detail = detail_numbers(torch.arange(len(table)), seed, DETAIL)
    table["wall_thickness"] = _outlines(_areas(factors), factors, detail)["thickness"][:, 0].numpy()
    if "diagnosis" in factors:
        table["diagnosis"] = [DIAGNOSES[i] for i in factors["diagnosis"]]
    return table


# --------------------------------------------------------------- in the layouts of ACDC and of ukbb_cardiac

SPACING = 10.0  # between slices, in mm
# From the base down, the area of a slice is that of the basal one times 1 - (z / Z)ᵏ. Z is such that the slices times
# their spacing sum up to the effective length, so the masks of a volume hold the volume that the factor says.
TAPERS = {"LV": 2.5, "RV": 0.8, "Myo": 2.5}
SLICES = 9
SCALE = 400.0  # of the stored signal

ACDC_SHAPE, ACDC_PIXEL = (256, 216), 1.5625  # height and width as displayed
UKBB_SHAPE, UKBB_PIXEL = (208, 208), 1.8
ACDC_LABELS = {"background": 0, "RV": 1, "Myo": 2, "LV": 3}
UKBB_LABELS = {"background": 0, "LV": 1, "Myo": 2, "RV": 3}
FRAMES = 30
SCANNED = {"position_x": 12.0, "position_y": 14.0, "orientation": 0.45}  # spreads; ACDC's are 14 mm, 16 mm and 0.54


@lru_cache
def _taper(name: str) -> torch.Tensor:
    """The share of the basal area ``(SLICES,)`` in each slice of a structure at a phase."""
    power = TAPERS[name.removesuffix("EDV").removesuffix("ESV")]
    below = SPACING * np.arange(SLICES)

    def shares(reach: float) -> np.ndarray:
        return (1 - (below / reach) ** power).clip(0)

    low, high = SPACING, 10 * SPACING * SLICES
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if SPACING * shares(middle).sum() < LENGTHS[name] else (low, middle)
    return torch.from_numpy(shares(low).astype(np.float32))


def _scanned(n: int, seed: int) -> dict[str, torch.Tensor]:
    """Factors of n patients who lie in the scanner as patients do: not centred, and turned."""
    factors = sample_factors(n, seed)
    for name, spread in SCANNED.items():
        factors[name] = (factors[name] / JITTER[name] * spread).clamp(-2 * spread, 2 * spread)
    return factors


def _volume(
    factors: dict[str, torch.Tensor],
    patient: int,
    shape: tuple[int, int],
    pixel: float,
    values: Mapping[str, int],
    seed: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Signals, int16, and labels, uint8 of these values, ``(2, width, height, SLICES)`` as NIfTI files index them."""
    row = {name: factors[name][patient].expand(SLICES) for name in FACTORS}
    tapers = torch.stack([_taper(name) for name in VOLUMES], dim=1).view(SLICES, 2, 3)
    areas = (_areas(row) * tapers).clamp_min(1e-2)  # mm², far below a pixel
    scans = torch.stack([torch.full((SLICES,), patient), torch.arange(SLICES)], dim=1)
    signal = _in_chunks(_signal(seed), areas, row, scans, shape, pixel, seed).mul_(SCALE).round_()
    labels = _in_chunks(_labels, areas, row, scans, shape, pixel, seed)
    signal, labels = (volume.permute(1, 3, 2, 0).numpy() for volume in (signal, labels))
    relabelled = np.zeros(len(LABELS), dtype=np.uint8)
    for name, label in LABELS.items():
        relabelled[label] = values[name]
    return signal.astype(np.int16), relabelled[labels]


def _write_nifti(path: Path, volume: np.ndarray, pixel: float, affine: np.ndarray) -> None:
    with extra("data", "writing hearts"):
        import nibabel

    image = nibabel.Nifti1Image(volume, affine)
    image.header.set_zooms((pixel, pixel, SPACING))
    image.to_filename(path)


@whole_options(DataError)
def write_acdc(folder: str | os.PathLike, n: int = 10, seed: int = 0) -> pd.DataFrame:
    """Writes phantoms as ACDC's training set lies on disk: ``training/patientNNN`` with ``Info.cfg`` and NIfTI files.

    A volume has ``SLICES`` slices from base to apex, the basal one first. As in ACDC's files, the spacing stands in the
    header's zooms and not in the affine map. Needs nibabel (``pip install medlatent[data]``).

    Args:
        folder: where to; it must not exist. It is written under a temporary name and renamed.
        n: how many patients.
        seed: drives everything.

    Returns:
        The true factors: one row a patient, with ``patient_id``, the number of each frame (``ED``, ``ES``), ``Height``
        and ``Weight``. The volumes are those of the masks, but for what the pixels round.

    Raises:
        DataError: the folder exists, n is not positive, or the seed is negative.
    """
    factors = _scanned(n, seed)
    table = _table(factors, seed)
    table.insert(0, "patient_id", [f"patient{1 + i:03d}" for i in range(n)])
    body = detail_numbers(torch.arange(n), seed, DETAIL)["scene"][:, :3].numpy().astype(np.float64)
    table["ED"] = 1
    table["ES"] = 11 + (1.2 * body[:, 0]).round().astype(int).clip(-4, 4)
    table["Height"] = (170 + 9 * body[:, 1]).round()
    table["Weight"] = (75 + 10 * body[:, 1] + 9 * body[:, 2]).round().clip(35)
    with new_folder(folder) as partial:
        for i, row in enumerate(table.to_dict("records")):
            place = partial / "training" / row["patient_id"]
            place.mkdir(parents=True)
            info = {"ED": row["ED"], "ES": row["ES"], "Group": row["diagnosis"], "Height": row["Height"]}
            info |= {"NbFrame": FRAMES, "Weight": row["Weight"]}
            (place / "Info.cfg").write_text("".join(f"{name}: {value}\n" for name, value in info.items()))
            volumes = _volume(factors, i, ACDC_SHAPE, ACDC_PIXEL, ACDC_LABELS, seed)
            for phase, signal, labels in zip(PHASES, *volumes, strict=True):
                name = f"{row['patient_id']}_frame{row[phase]:02d}"
                affine = np.diag([-1.0, -1.0, 1.0, 1.0])
                _write_nifti(place / f"{name}.nii.gz", signal, ACDC_PIXEL, affine)
                _write_nifti(place / f"{name}_gt.nii.gz", labels, ACDC_PIXEL, affine)
    return table


@whole_options(DataError)
def write_ukbb(folder: str | os.PathLike, n: int = 10, seed: int = 0) -> pd.DataFrame:
    """Writes phantoms as the pipeline ukbb_cardiac leaves the short-axis pictures of UK Biobank's participants.

    A folder a participant, with ``sa_ED.nii.gz``, ``sa_ES.nii.gz``, ``label_sa_ED.nii.gz`` and ``label_sa_ES.nii.gz``,
    whose labels are 1 LV, 2 muscle, 3 RV. Needs nibabel (``pip install medlatent[data]``).

    Args:
        folder: where to; it must not exist. It is written under a temporary name and renamed.
        n: how many participants.
        seed: drives everything.

    Returns:
        The true factors: one row a participant, with ``patient_id``, the name of the folder.

    Raises:
        DataError: the folder exists, n is not positive, or the seed is negative.
    """
    factors = _scanned(n, seed)
    table = _table(factors, seed)
    table.insert(0, "patient_id", [f"{1000001 + i}" for i in range(n)])
    with new_folder(folder) as partial:
        for i, name in enumerate(table["patient_id"]):
            (partial / name).mkdir()
            volumes = _volume(factors, i, UKBB_SHAPE, UKBB_PIXEL, UKBB_LABELS, seed)
            for phase, signal, labels in zip(PHASES, *volumes, strict=True):
                affine = np.diag([-UKBB_PIXEL, -UKBB_PIXEL, SPACING, 1.0])
                _write_nifti(partial / name / f"sa_{phase}.nii.gz", signal, UKBB_PIXEL, affine)
                _write_nifti(partial / name / f"label_sa_{phase}.nii.gz", labels, UKBB_PIXEL, affine)
    return table


HEARTS = Source(
    name="phantoms.heart",
    kind="rendered",
    summary="short-axis hearts at end diastole and end systole, with volumes known",
    open=lambda n, seed: generate(2000 if n is None else n, seed=seed),
    limits="Rendered images, fitted to the volumes and looks of ACDC; no patient was seen.",
    licence="Apache-2.0",  # computed by this package, and under its licence
    exact=False,
)
INDEPENDENT = replace(
    HEARTS,
    name="phantoms.heart.independent",
    summary="the same with volumes that are drawn independently of one another, as in no people",
    open=lambda n, seed: generate(2000 if n is None else n, seed=seed, independent=True),
)
SOURCES = (HEARTS, *coarser(HEARTS, PHASES), INDEPENDENT, *coarser(INDEPENDENT))
