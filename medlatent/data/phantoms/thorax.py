"""Thorax phantoms: axial CT slices of the chest in Hounsfield units (HU), with every factor of the body known.

A slice is what a CT scanner shows of a body at one height: lung dark with bright vessels, fat dark grey, muscle and
blood grey, bone bright, air black. The patient's front is at the top and the patient's right at the left, as
:mod:`medlatent.data.chest_ct` packs real slices.

**The height.** ``z_position`` is the height of the slice in the lungs: 0 at the lowest slice that shows lung, 1 at the
highest; below 0 lies the abdomen, above 1 the neck. The anatomy is a body in three dimensions, cut there: kidneys and
liver, the domes of the diaphragm, the heart, the great vessels, the aortic arch, the tips of the lungs between the
collar bones. Vessels of the lungs run through neighbouring slices of one patient.

**The frame of reference.** ``x`` points to the right of the image and ``y`` up, in millimetres from its centre. The
body lies at ``x_position``, ``y_position`` and is turned by ``rotation``, positive counter-clockwise as displayed. In
the body's own frame a point lies at

.. math:: u = R_{-\\text{rotation}} \\, (p - p_0) \\, / \\, (\\text{size} \\cdot (\\text{width}, \\text{height})) ,

so a body of ``width`` 1.1 is one tenth wider, whatever lies in it. The wall of the chest is in millimetres and does not
grow with the body. A picture is ``field_of_view`` wide.

**What is random.** A rendering is a function of the factors, the seed and the numbers of patient and slice. The last
three determine the nuisance detail: the waves of the outlines, the course of the vessels, the strength of the muscles,
the look of the table, the noise. Image i is the same however many images are drawn beside it.

The eight factors that come first are the directions that Schön, Selvan and Petersen (2022) found. Distributions and
looks were fitted by eye to the series of twelve patients from eight collections of The Cancer Imaging Archive.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy.special import expit, logit, ndtr

from ...options import whole_options
from ..errors import DataError
from ..imageset import Card, Factor, ImageSet
from ..source import Source
from ..splits import split_by_group
from ..views import coarser
from ._common import (
    checked_count,
    checked_factors,
    checked_size,
    checked_whole,
    dicom_uid,
    new_folder,
    normal_numbers,
    tensors,
    write_ct_series,
)
from ._common import noise as white_noise

LOW, HIGH = -1000, 2000
"""The range of the pixels in HU, to which real slices are clipped, too."""

SEXES = ("female", "male")
SLICES_PER_PATIENT = 5
LUNG_HEIGHT = 270.0
"""Height of the lungs in mm in a body of size 1; a step of 0.1 in ``z_position`` is 27 mm."""

FACTORS = {
    "width": Factor("how wide the body is for its size, 0.85 to 1.2: 1 is the mean"),
    "height": Factor("how deep the body is from front to back, the height in the picture, for its size, 0.85 to 1.2"),
    "size": Factor("scale of the body with all that lies in it, 0.8 to 1.2: 1 is the mean of women and men"),
    "rotation": Factor("turn of the body on the table, -0.35 to 0.35: positive is counter-clockwise", unit="radians"),
    "y_position": Factor("the body's centre above that of the image, -60 to 60", unit="mm"),
    "wall_thickness": Factor(
        "thickness of the chest wall at the sides, from the lung to the skin, 20 to 85", unit="mm"
    ),
    "breast_size": Factor("how far the breasts stand out from the chest, 0 to 80", unit="mm"),
    "z_position": Factor(
        "height of the slice in the lungs: 0 the lowest slice with lung (feet), 1 the highest (head); -0.2 to 1.15"
    ),
    "x_position": Factor("the body's centre to the right of that of the image, -40 to 40", unit="mm"),
    "arms": Factor("0: raised, out of the picture but for the shoulders; 1: beside the body", kind="binary"),
    "table": Factor("how far the top of the table bows: 0 (flat) to 1 (a trough)"),
    "heart_size": Factor("size of the heart for that of the body, 0.8 to 1.35: 1 is the mean"),
    "diaphragm": Factor("height of the right dome of the diaphragm, as a share of that of the lungs, 0.15 to 0.5"),
    "lung_density": Factor("density of the lung between its vessels, -930 to -740", unit="HU"),
    "vessels": Factor("amount of vessels seen in the lungs: 0 (none) to 1"),
    "contrast": Factor("what contrast medium adds to the density of the blood, 0 (none was given) to 320", unit="HU"),
    "field_of_view": Factor("width and height of the image, 280 to 600", unit="mm"),
    "noise": Factor("standard deviation of the noise deep in the body at 128 × 128 pixels, 0 to 60", unit="HU"),
    "kernel": Factor("the reconstruction's kernel: -1 (soft, blurs) to 1 (sharp, overshoots at edges)"),
}

RANGES = {
    "width": (0.85, 1.2),
    "height": (0.85, 1.2),
    "size": (0.8, 1.2),
    "rotation": (-0.35, 0.35),
    "y_position": (-60.0, 60.0),
    "wall_thickness": (20.0, 85.0),
    "breast_size": (0.0, 80.0),
    "z_position": (-0.2, 1.15),
    "x_position": (-40.0, 40.0),
    "arms": (0.0, 1.0),
    "table": (0.0, 1.0),
    "heart_size": (0.8, 1.35),
    "diaphragm": (0.15, 0.5),
    "lung_density": (-930.0, -740.0),
    "vessels": (0.0, 1.0),
    "contrast": (0.0, 320.0),
    "field_of_view": (280.0, 600.0),
    "noise": (0.0, 60.0),
    "kernel": (-1.0, 1.0),
}
"""The lowest and highest value that :func:`render` accepts of each factor, both included."""

OF_THE_SLICE = ("z_position",)
"""The factors in which slices of one patient differ."""

SEX = Factor("sex of the patient, which shows in size, wall and breasts", kind="categorical", values=SEXES)

# ------------------------------------------------------------------------------------------------ sampling

# The median of each factor for women and for men, and the spread of the logit over its range.
BODIES = {
    "width": ((1.0, 1.0), 0.55),
    "height": ((1.0, 1.0), 0.6),
    "size": ((0.95, 1.04), 0.55),
    "wall_thickness": ((41.0, 39.0), 0.75),
    "breast_size": ((34.0, 2.0), 0.8),
    "heart_size": ((1.0, 1.0), 0.6),
    "diaphragm": ((0.3, 0.3), 0.6),
    "lung_density": ((-875.0, -880.0), 0.6),
    "vessels": ((0.5, 0.5), 0.8),
    "noise": ((9.0, 9.0), 0.8),
    "kernel": ((0.0, 0.0), 1.0),
}
LYING = {"x_position": (0.0, 8.0), "y_position": (-8.0, 14.0), "rotation": (0.0, 0.05)}  # mean, standard deviation
ARMS_BESIDE, ENHANCED, FLAT_TABLE, WHOLE_TABLE = 0.12, 0.5, 0.25, 0.2  # shares of patients

INDEPENDENT_RANGES = {
    "width": (0.9, 1.12),
    "height": (0.9, 1.12),
    "size": (0.88, 1.12),
    "rotation": (-0.2, 0.2),
    "y_position": (-30.0, 30.0),
    "x_position": (-20.0, 20.0),
    "wall_thickness": (25.0, 60.0),
    "breast_size": (0.0, 60.0),
    "z_position": (0.0, 1.0),
    "field_of_view": (400.0, 500.0),
    "noise": (2.0, 20.0),
}
"""Where independent factors are uniform, if not over all of ``RANGES``: each combination is a body in the picture."""


@whole_options(DataError)
def sample_factors(n: int, seed: int = 0, independent: bool = False) -> dict[str, torch.Tensor]:
    """Draws the factors of n slices.

    Args:
        n: how many.
        seed: another seed, another draw. Slice i is the same for every n.
        independent: if false, row i is a slice of patient ``i // SLICES_PER_PATIENT``, whose slices differ in
            ``OF_THE_SLICE`` alone; women and men are equally likely, and the body depends on the sex, the field of view
            and the noise on the body. If true, each slice is of a patient of its own, and all factors are independent,
            each uniform (``INDEPENDENT_RANGES``), so that a measure meets a known truth.

    Returns:
        One float32 tensor ``(n,)`` a factor; and, unless they are independent, ``sex``, int64 indices into ``SEXES``.

    Raises:
        DataError: n is not positive, or the seed is negative.
    """
    rows = np.arange(checked_count(n))
    if independent:
        share = ndtr(normal_numbers("factors", rows, seed, len(FACTORS)))
        drawn = {}
        for (name, whole), column in zip(RANGES.items(), share.T, strict=True):
            low, high = INDEPENDENT_RANGES.get(name, whole)
            drawn[name] = np.rint(column) if name == "arms" else low + (high - low) * column
        return tensors(drawn)

    patient, level = np.divmod(rows, SLICES_PER_PATIENT)
    drawn, sex = _bodies(int(patient[-1]) + 1, seed)
    drawn = {name: values[patient] for name, values in drawn.items()}
    # Steps of the golden ratio from a random start: uniform, and spread over the lungs however many slices there are.
    drawn["z_position"] = (drawn["z_position"] + level * (math.sqrt(5) - 1) / 2) % 1
    return tensors(drawn) | {"sex": torch.from_numpy(sex[patient])}


def _bodies(patients: int, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """The factors of patients, one row each; ``z_position`` is uniform."""
    normal = normal_numbers("factors", np.arange(patients), seed, len(FACTORS) + 1)
    share = ndtr(normal)
    columns = dict(zip(FACTORS, normal.T, strict=False))
    shares = dict(zip(FACTORS, share.T, strict=False))
    sex = (share[:, -1] < 0.5).astype(int)
    # Who has a thick wall is wide and deep, too.
    columns["width"] = 0.85 * columns["width"] + 0.53 * columns["wall_thickness"]
    columns["height"] = 0.8 * columns["height"] + 0.6 * columns["wall_thickness"]
    columns["breast_size"] = 0.85 * columns["breast_size"] + 0.53 * columns["wall_thickness"]
    drawn = {}
    for name, (medians, spread) in BODIES.items():
        low, high = RANGES[name]
        middle = logit((np.array(medians)[sex] - low) / (high - low))
        drawn[name] = low + (high - low) * expit(middle + spread * columns[name])
    for name, (mean, deviation) in LYING.items():
        drawn[name] = mean + deviation * columns[name].clip(-3, 3)
    drawn["z_position"] = shares["z_position"]
    drawn["arms"] = (shares["arms"] < ARMS_BESIDE).astype(float)
    drawn["table"] = ((shares["table"] - FLAT_TABLE) / (1 - FLAT_TABLE)).clip(0)
    given = (shares["contrast"] - (1 - ENHANCED)) / ENHANCED
    drawn["contrast"] = np.where(given > 0, 50 + 220 * given, 0)
    # The field of view is set to fit the body, or left at the scanner's largest.
    across = 2 * (drawn["size"] * drawn["width"] * WIDEST + drawn["wall_thickness"])
    fitted = across * (1.0 + 0.3 * shares["field_of_view"] ** 1.5 + 0.3 * drawn["arms"])
    whole = shares["field_of_view"] > 1 - WHOLE_TABLE
    low, high = RANGES["field_of_view"]
    drawn["field_of_view"] = np.where(whole, 500.0, fitted.clip(low, high))
    drawn["noise"] = (drawn["noise"] * np.exp(1.2 * (across / 360 - 1) + 0.3 * drawn["kernel"])).clip(0, 60)
    return {name: drawn[name] for name in FACTORS}, sex


# -------------------------------------------------------------------------------- the body, height by height

# Lengths in mm in a body of size 1, at the heights z_position of the first line, linear between.
HEIGHTS = (-0.20, 0.00, 0.15, 0.30, 0.45, 0.60, 0.75, 0.88, 0.95, 1.00, 1.15)
PROFILES = {
    # Each lung fills an ellipse whose centre lies that far from the midline, with these half axes.
    "lung_x": (55, 55, 55, 55, 55, 55, 52, 47, 44, 42, 42),
    "lung_a": (70, 74, 78, 79, 76, 69, 56, 38, 25, 8, 8),
    "lung_b": (74, 82, 90, 93, 91, 85, 71, 50, 33, 10, 10),
    "lung_y": (2, 0, 0, 0, 0, -2, -8, -14, -18, -22, -22),
    # Where the chest wall begins at the sides, in front and behind.
    "body_a": (115, 119, 123, 124, 121, 114, 104, 90, 80, 74, 58),
    "body_front": (88, 94, 102, 106, 106, 101, 91, 74, 62, 54, 48),
    "body_back": (94, 98, 102, 104, 104, 104, 101, 95, 90, 86, 80),
    # Muscles outside the ribs: at the back beside the spine, at the sides, in front.
    "muscle_back": (18, 17, 15, 14, 14, 14, 15, 18, 20, 21, 21),
    "muscle_side": (6, 6, 6, 7, 10, 13, 14, 11, 8, 8, 7),
    "muscle_front": (6, 6, 5, 5, 7, 10, 17, 25, 31, 32, 32),
    # Heart: half axes, and its centre.
    "heart_a": (2, 2, 36, 57, 53, 39, 2, 2, 2, 2, 2),
    "heart_b": (2, 2, 25, 43, 41, 31, 2, 2, 2, 2, 2),
    "heart_x": (22, 22, 24, 24, 20, 8, 0, 0, 0, 0, 0),
    "heart_y": (34, 34, 32, 24, 20, 20, 20, 20, 20, 20, 20),
    # Half the width of the mediastinum, the fat and vessels between the lungs.
    "middle": (21, 21, 20, 17, 17, 21, 28, 27, 24, 23, 23),
    "spine_y": (-52, -54, -56, -58, -60, -60, -58, -52, -48, -46, -40),
    "spine_a": (23, 21, 19, 18, 17, 16, 15, 15, 15, 15, 13),
    "spine_b": (17, 16, 15, 14, 14, 13, 12, 11, 10, 10, 9),
    # How far the shoulders reach: 0 inside the chest, 1 where the arms join.
    "shoulder": (0, 0, 0, 0, 0.10, 0.22, 0.45, 0.75, 0.9, 1, 0.95),
}
WIDEST = max(PROFILES["body_a"])
NOWHERE = -60.0  # a radius, or a depth, of what is not in the slice


def _at(name: str, z: torch.Tensor) -> torch.Tensor:
    """A line of ``PROFILES`` at heights ``(n,)``."""
    return torch.from_numpy(np.interp(z.numpy(), HEIGHTS, PROFILES[name]).astype(np.float32))


# Tubes of the mediastinum: capsules between two points with a radius, (height, x0, y0, x1, y1, radius) in mm, linear
# between. Outside of its heights a tube ends.
TUBES = {
    "descending aorta": (
        (-0.20, 10, -28, 10, -28, 11),
        (0.10, 14, -36, 14, -36, 11.5),
        (0.35, 20, -46, 20, -46, 12),
        (0.66, 24, -44, 24, -44, 12.5),
        (0.69, 24, -42, 24, -42, 12),
    ),
    "aortic arch": (
        (0.655, -8, 22, -4, 18, 15),
        (0.67, -8, 22, 22, -32, 12.5),
        (0.71, -2, 14, 22, -28, 12.5),
        (0.73, 6, 4, 18, -20, 10),
    ),
    "ascending aorta": (
        (0.42, 0, 14, 0, 14, 15),
        (0.52, -8, 18, -8, 18, 16),
        (0.66, -12, 20, -12, 20, 15.5),
    ),
    "pulmonary trunk": (
        (0.46, 18, 34, 18, 34, 13),
        (0.53, 20, 26, 26, 8, 13.5),
        (0.57, 22, 18, 36, -12, 12.5),
        (0.60, 30, 2, 42, -18, 9),
    ),
    "right pulmonary artery": (
        (0.49, -36, -14, -44, -18, 8),
        (0.52, 14, -2, -42, -12, 10),
        (0.56, 14, 2, -44, -8, 10),
        (0.59, -34, -4, -46, -10, 8),
    ),
    "pulmonary veins": (
        (0.37, -24, -16, 24, -16, 8),
        (0.42, -40, -20, 42, -24, 8.5),
        (0.48, -44, -6, 46, -10, 6),
    ),
    "lower hilum": (
        (0.30, -38, -26, -38, -26, 4),
        (0.40, -38, -24, -38, -24, 7),
        (0.49, -40, -18, -44, -20, 8),
    ),
    "left hilum": (
        (0.30, 40, -34, 40, -34, 4),
        (0.40, 40, -32, 42, -32, 7),
        (0.57, 40, -22, 44, -24, 9),
    ),
    "superior vena cava": (
        (0.44, -30, 8, -30, 8, 9),
        (0.60, -30, 10, -30, 10, 9.5),
        (0.76, -26, 12, -26, 12, 9),
        (0.86, -26, 10, -26, 10, 8),
    ),
    "left brachiocephalic vein": (
        (0.75, -24, 16, -4, 22, 7),
        (0.79, -22, 16, 24, 18, 7),
        (0.86, 22, 14, 30, 8, 7),
    ),
    "brachiocephalic trunk": ((0.71, -4, 8, -4, 8, 7), (0.85, -18, -2, -18, -2, 7), (1.15, -32, -2, -32, -2, 4)),
    "left carotid artery": ((0.72, 8, 2, 8, 2, 5), (0.88, 16, -4, 16, -4, 4.5), (1.15, 32, -2, 32, -2, 4)),
    "left subclavian artery": ((0.70, 18, -20, 18, -20, 6), (0.88, 24, -22, 24, -22, 6), (0.98, 36, -8, 46, -6, 5)),
    "inferior vena cava": ((-0.20, -18, -22, -18, -22, 11), (0.12, -26, -8, -26, -8, 12), (0.20, -26, 2, -26, 2, 12)),
}
AIRWAYS = {
    "trachea": (
        (0.605, -4, -16, 4, -16, 9),
        (0.65, -6, -17, -2, -17, 8.5),
        (0.75, -4, -16, 0, -16, 8.5),
        (1.15, 0, 6, 0, 6, 9),
    ),
    "right bronchus": ((0.50, -34, -24, -36, -25, 4.5), (0.57, -22, -20, -34, -22, 6.5), (0.61, -8, -17, -14, -18, 7)),
    "left bronchus": ((0.50, 32, -26, 36, -27, 4.5), (0.56, 20, -23, 36, -25, 6), (0.61, 8, -18, 14, -19, 6.5)),
}
# Half the width of the breastbone in mm at a height; where it is negative, there is none.
STERNUM = ((0.14, -9), (0.2, 1), (0.34, 9), (0.6, 13), (0.7, 15), (0.76, 25), (0.86, 22), (0.89, -9))
# Of the heart: the centre along and beside its axis, the half axes, all as shares of its own; how much contrast
# medium it gets. Left ventricle, right ventricle, right atrium, left atrium.
CHAMBERS = (
    (0.36, -0.12, 0.46, 0.52, 1.0),
    (0.10, 0.52, 0.60, 0.28, 0.85),
    (-0.55, 0.10, 0.34, 0.50, 0.8),
    (-0.20, -0.58, 0.50, 0.30, 1.0),
)


def _tube(rows: tuple[tuple[float, ...], ...], z: torch.Tensor) -> torch.Tensor:
    """x0, y0, x1, y1 and radius ``(n, 5)`` of a tube at heights ``(n,)``; beyond its ends the radius is negative."""
    table = np.array(rows)
    columns = [np.interp(z.numpy(), table[:, 0], column) for column in table[:, 1:].T]
    outside = (z.numpy() < table[0, 0]) | (z.numpy() > table[-1, 0])
    columns[-1] = np.where(outside, NOWHERE, columns[-1])
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))


# --------------------------------------------------------------------------------------------- the textures

BOX = (170.0, 135.0)  # half the width and depth in mm of the part of the body in which textures are laid
GRID = 112  # textures have GRID × GRID pixels
LEVELS = 44  # of a tree of vessels, from height 0 to 1
TREES, GRAINS = 5, 8
GRAIN_LEVELS = 12


@lru_cache
def _trees() -> torch.Tensor:
    """The vessels of both lungs ``(TREES, LEVELS, GRID, GRID)``: the share of each cell that they fill.

    A tree grows from the root of the lung to points all over it: the nearest points come first, and each is joined to
    the nearest that has been joined. The cube of a vessel's radius is the sum of those of its branches (Murray's law).
    """
    rng = np.random.default_rng(20221018)
    stacks = np.zeros((TREES, LEVELS, GRID, GRID), dtype=np.float32)
    for stack in stacks:
        for side in (-1, 1):
            points, parent = _tree(side, rng)
            flow = np.ones(len(points))
            for i in range(len(points) - 1, 0, -1):
                flow[parent[i]] += flow[i]
            _lay(stack, points, parent, np.minimum(0.85 * flow ** (1 / 3), 5))
    blurred = torch.from_numpy(stacks).view(-1, 1, GRID, GRID)
    kernel = torch.tensor([0.08, 0.84, 0.08])
    blurred = F.conv2d(blurred, (kernel[:, None] * kernel)[None, None], padding=1)
    return blurred.view(TREES, LEVELS, GRID, GRID).clamp_(0, 1)


def _tree(side: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Points ``(m, 3)`` of a lung in mm, x, y and height, and the index of each one's parent; the first is the root."""
    count = 800
    height = rng.uniform(0.03, 0.97, count)
    angle, share = rng.uniform(0, 2 * math.pi, count), 0.97 * np.sqrt(rng.uniform(0, 1, count))
    centre_x, a, b, centre_y = (np.interp(height, HEIGHTS, PROFILES[f"lung_{name}"]) for name in ("x", "a", "b", "y"))
    x = side * np.abs(centre_x + share * a * np.cos(angle))
    points = np.stack([x, centre_y + share * b * np.sin(angle), LUNG_HEIGHT * height], axis=1)
    root = np.array([side * 38.0, -20.0, 0.47 * LUNG_HEIGHT])
    distance = np.linalg.norm(points - root, axis=1)
    points = np.concatenate([root[None], points[np.argsort(distance)]])
    parent = np.zeros(len(points), dtype=int)
    for i in range(1, len(points)):
        parent[i] = np.linalg.norm(points[:i] - points[i], axis=1).argmin()
    for _ in range(3):  # straighter: each point halfway to the middle of those that it is joined to
        total, joined = points[parent], np.ones(len(points))
        np.add.at(total, parent[1:], points[1:])
        np.add.at(joined, parent[1:], 1)
        points[1:] = (points[1:] + total[1:] / joined[1:, None]) / 2
    return points, parent


def _lay(stack: np.ndarray, points: np.ndarray, parent: np.ndarray, radius: np.ndarray) -> None:
    """Adds the branches of a tree to the cells ``(LEVELS, GRID, GRID)`` that they run through."""
    cell = np.array([2 * BOX[0] / GRID, 2 * BOX[1] / GRID, LUNG_HEIGHT / LEVELS])
    start, step = points[parent], points - points[parent]
    count = np.maximum(2, (np.linalg.norm(step, axis=1) / 1.2).astype(int))
    volume = math.pi * radius**2 * np.linalg.norm(step, axis=1) / count / cell.prod()
    which = np.repeat(np.arange(len(points)), count)
    along = (np.arange(len(which)) - np.repeat(count.cumsum() - count, count) + 0.5) / count[which]
    at = (start[which] + along[:, None] * step[which]) / cell + [GRID / 2, GRID / 2, 0] - 0.5
    low = np.floor(at).astype(int)
    part = at - low
    corners = np.array(list(np.ndindex(2, 2, 2)))[:, None]
    amount = volume[which] * np.abs(1 - corners - part).prod(-1)
    x, y, z = np.moveaxis((low + corners).clip(0, [GRID - 1, GRID - 1, LEVELS - 1]), -1, 0)
    np.add.at(stack, (z, y, x), amount)


@lru_cache
def _grains() -> torch.Tensor:
    """Smooth noise of unit variance ``(GRAINS, 2, GRAIN_LEVELS, GRID, GRID)``, coarse and fine."""
    generator = torch.Generator().manual_seed(20220728)
    grains = []
    for cells in (9, 34):
        noise = torch.randn(GRAINS, GRAIN_LEVELS, cells, cells, generator=generator)
        noise = F.interpolate(noise, (GRID, GRID), mode="bicubic", align_corners=True)
        grains.append(noise / noise.std())
    return torch.stack(grains, dim=1)


def _textures(image: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The share of vessels, coarse and fine grain ``(n, h, w)`` at points of the body."""
    z = image["z"]
    pick = image["pick"]
    height = (z.clamp(0, 1) * LEVELS - 0.5).clamp(0, LEVELS - 1.001)
    level, part = height.long(), height.frac()[:, None, None]
    trees = _trees()[pick % TREES, level].lerp(_trees()[pick % TREES, level + 1], part)
    height = ((z + 0.25) / 1.45 * (GRAIN_LEVELS - 1)).clamp(0, GRAIN_LEVELS - 1.001)
    level, part = height.long(), height.frac()[:, None, None, None]
    grains = _grains()[pick % GRAINS, :, level].lerp(_grains()[pick % GRAINS, :, level + 1], part)
    # In between two levels the noise would be weaker.
    grains = grains / (part.square() + (1 - part).square()).sqrt()
    stacked = torch.cat([trees[:, None], grains], dim=1)
    where = torch.stack([x / BOX[0], y / BOX[1]], dim=-1)
    return F.grid_sample(stacked, where, padding_mode="border", align_corners=False).unbind(1)


# ------------------------------------------------------------------------------------------ what is measured out

ANGLES = 360
STEP = 2 * math.pi / ANGLES
SKIN_WAVES = 4  # of orders 2 to 5
SCENE = 25  # numbers of a patient, each behind one detail
CIRCLE = 22  # that which says whether the scanner shows a circle
RIB_SPACING = 0.092  # in z_position
BEHIND = 0.45  # the wall in front and behind is that share of the one at the sides
BOXY = 2.5  # exponent of the chest's outline, a superellipse: 2 is an ellipse


def _detail(patients: torch.Tensor, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The normal numbers behind all nuisance detail but the noise: of the outline's waves and of all else."""
    table = torch.from_numpy(
        normal_numbers("detail", patients.numpy(), seed, 2 * SKIN_WAVES + SCENE).astype(np.float32)
    )
    waves, scene = table.split([2 * SKIN_WAVES, SCENE], dim=1)
    return waves, scene.clamp(-2.5, 2.5)


def _angle() -> torch.Tensor:
    """Around the body, -π to π: 0 is the patient's left, π/2 the front."""
    return STEP * (torch.arange(ANGLES) + 0.5) - math.pi


def _around(factors: Mapping[str, torch.Tensor], waves: torch.Tensor, scene: torch.Tensor) -> dict[str, torch.Tensor]:
    """What depends on the angle ``(n, ANGLES)``: the skin's radius and slope, the muscles' thickness, the ribs."""
    angle = _angle()
    cos, sin = angle.cos().abs(), angle.sin()
    z = factors["z_position"]
    wide, front, back = (_at(f"body_{name}", z)[:, None] for name in ("a", "front", "back"))
    wall = factors["wall_thickness"][:, None] / factors["size"][:, None]
    wide = wide + wall / factors["width"][:, None]
    deep = wall * (BEHIND - 0.2 * _at("shoulder", z)[:, None]) / factors["height"][:, None]
    half = torch.where(sin > 0, front + deep, back + deep)
    radius = ((cos / wide).pow(BOXY) + (sin.abs() / half).pow(BOXY)).pow(-1 / BOXY)
    order = torch.arange(2.0, 2 + SKIN_WAVES)
    phase = order[:, None] * angle
    wave = (waves * (0.016 / order).repeat(2)) @ torch.cat([phase.cos(), phase.sin()])
    groove = (-((cos / 0.16) ** 2)).exp() * torch.where(sin > 0, 0.04, 0.03)
    radius = radius * (1 + wave - groove)
    change = (radius.roll(-1, 1) - radius.roll(1, 1)) / (2 * STEP * radius)

    strong = (0.2 * scene[:, :1]).exp()
    side, ahead, behind = (_at(f"muscle_{name}", z)[:, None] for name in ("side", "front", "back"))
    muscle = side + (ahead - side) * sin.clamp(0, 1) ** 2 + (behind - side) * (-sin).clamp(0, 1) ** 6
    muscle = muscle - 3.5 * (-((cos / 0.10) ** 2)).exp()

    # Ribs descend from the spine forwards, so a slice cuts several; in front they are cartilage.
    backwards = torch.atan2(cos, -sin) / math.pi  # 0 at the spine, 1 in front
    turns = z[:, None] / RIB_SPACING + 4.4 * backwards + 0.3 * scene[:, 1:2]
    uneven = torch.where(angle.cos() > 0, 0.08, -0.08) * scene[:, 2:3]
    ribs = ((2 * math.pi * (turns + uneven)).cos() - 0.15).mul(2.2).clamp(0, 1)
    bony = (1.1 * (0.84 - backwards) / 0.1).clamp(0, 1)
    return {
        "skin": radius,
        "slope": (1 + change.square()).rsqrt(),
        "muscle": muscle * strong,
        "ribs": ribs * (0.25 + 0.75 * bony),
    }


def _prepared(factors: dict[str, torch.Tensor], waves: torch.Tensor, scene: torch.Tensor) -> dict[str, torch.Tensor]:
    """All that is the same for every pixel of an image; the first dimension of each tensor is the image."""
    z = factors["z_position"]
    around = _around(factors, waves, scene)
    prepared = dict(factors) | around | {"z": z, "scene": scene}
    prepared |= {name: _at(name, z) for name in PROFILES}
    prepared["tubes"] = torch.stack([_tube(rows, z) for rows in TUBES.values()], dim=1)
    prepared["airways"] = torch.stack([_tube(rows, z) for rows in AIRWAYS.values()], dim=1)
    # Which of the fixed textures, by a number in [997, 1994).
    prepared["pick"] = (997 * (1 + torch.special.ndtr(scene[:, 3].double()))).long()
    prepared["cos"], prepared["sin"] = factors["rotation"].cos(), factors["rotation"].sin()
    prepared["across"] = factors["size"] * factors["width"]
    prepared["deep"] = factors["size"] * factors["height"]
    # The lowest point of the back, where the table is: of the chest, whatever the height of the slice.
    level = {**factors, "z_position": torch.full_like(z, 0.3)}
    skin = _around(level, waves, scene)["skin"]
    cos, sin, across, deep = (prepared[name][:, None] for name in ("cos", "sin", "across", "deep"))
    x, y = skin * _angle().cos() * across, skin * _angle().sin() * deep
    x, y = cos * x - sin * y + factors["x_position"][:, None], sin * x + cos * y
    prepared["bow"] = 0.0011 * factors["table"]
    lowest = (y - prepared["bow"][:, None] * x.square()).amin(1)
    prepared["table_y"] = factors["y_position"] + lowest - 2 - 7 * (0.6 * scene[:, 4]).exp()
    return prepared


# ------------------------------------------------------------------------------------------- the picture

AIR, FAT, MUSCLE, FLUID, BONE, MARROW = -1000.0, -105.0, 50.0, 15.0, 620.0, 220.0  # HU
Columns = dict[str, torch.Tensor]
Number = float | torch.Tensor  # one, or one an image or a pixel


def _cover(depth: torch.Tensor, soft: torch.Tensor | float) -> torch.Tensor:
    """How much of a pixel lies inside a border, 0 to 1, from the depth in mm, over that width in mm."""
    return (depth / soft).add_(0.5).clamp_(0, 1)


def _ellipse(x: torch.Tensor, y: torch.Tensor, a: Number, b: Number) -> torch.Tensor:
    """The depth in mm inside an ellipse around 0 with half axes a and b, to first order."""
    u, v = x * (1 / a), y * (1 / b)
    slope = (u * (1 / a)).square_().addcmul_(v * (1 / b), v * (1 / b)).sqrt_().mul_(2).add_(1e-4)
    return u.square_().addcmul_(v, v).neg_().add_(1).div_(slope)


def _disc(x: torch.Tensor, y: torch.Tensor, radius: Number) -> torch.Tensor:
    """The depth in mm inside a disc around 0."""
    return x.square().addcmul_(y, y).sqrt_().neg_().add_(radius)


def _capsule(
    x: torch.Tensor, y: torch.Tensor, x0: Number, y0: Number, x1: Number, y1: Number, radius: Number
) -> torch.Tensor:
    """The depth in mm inside all points within a radius of the segment from (x0, y0) to (x1, y1)."""
    x, y, dx, dy = x - x0, y - y0, x1 - x0, y1 - y0
    square = torch.as_tensor(dx * dx + dy * dy)
    if bool((square > 0).any()):
        along = (x * dx).add_(y * dy).mul_(1 / square.clamp_min(1e-6)).clamp_(0, 1)
        x, y = x.sub_(along * dx), y.sub_(along * dy)
    return _disc(x, y, radius)


def _union(depth: torch.Tensor, other: torch.Tensor, round_off: float) -> torch.Tensor:
    """The depth inside either of two shapes; where they meet, the crease is filled over that length in mm."""
    filled = (round_off - (depth - other).abs_()).clamp_min_(0).square_().div_(4 * round_off)
    return torch.maximum(depth, other).add_(filled)


def _bump(z: torch.Tensor, middle: float, width: float) -> torch.Tensor:
    return (-(((z - middle) / width) ** 2)).exp()


class _Layer:
    """Pixels ``(n, h, w)`` in HU, on which shapes are laid."""

    def __init__(self, hu: torch.Tensor, soft: torch.Tensor) -> None:
        self.hu, self.soft = hu, soft

    def lay(self, value: Number, depth: torch.Tensor, share: Number = 1.0, blur: float = 0.0) -> None:
        """Lays a value, or a share of it, on the pixels inside a shape; its border is as soft as a pixel."""
        cover = _cover(depth, self.soft + blur).mul_(share)
        self.hu.lerp_(torch.as_tensor(value, dtype=torch.float32), cover)


def _paint(image: dict[str, torch.Tensor], size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The slice of one chunk without noise, float32 ``(n, size, size)`` in HU, and how deep each pixel lies, in mm."""
    c = {name: values[:, None, None] for name, values in image.items() if values.ndim == 1}
    c["scene"] = image["scene"].T[:, :, None, None]
    pixel = c["field_of_view"] / size
    right = pixel * (torch.arange(size) + 0.5 - size / 2)
    up = (pixel * (size / 2 - 0.5 - torch.arange(size))).transpose(1, 2)
    x, y = right - c["x_position"], up - c["y_position"]
    x, y = (c["cos"] * x + c["sin"] * y) * (1 / c["across"]), (c["cos"] * y - c["sin"] * x) * (1 / c["deep"])
    c |= {"x": x, "y": y, "side": x.abs()}
    c["vessels_seen"], c["coarse"], c["fine"] = _textures(image, x, y)
    c["soft"] = pixel / (c["across"] * c["deep"]).sqrt() + 0.8  # a slice is thick, and its borders are slanted
    index = torch.atan2(y, x).add_(math.pi).mul_(1 / STEP).long().clamp_(0, ANGLES - 1).flatten(1)
    for name in ("skin", "slope", "muscle", "ribs"):
        c[name] = image[name].gather(1, index).view_as(x)

    _outlines(c)
    _mediastinum(c, image)
    body = _Layer(_wall(c), c["soft"])
    _inside(c, body)
    _bones(c, body)
    picture = _Layer(_table_top(c, right, up, pixel), c["soft"])
    # A gown or a blanket: a thin line outside of the skin.
    cloth = (c["skin"] + (9 + 5 * c["coarse"])).abs_().neg_().add_(1.5).masked_fill_(y < -60, NOWHERE)
    picture.lay(AIR + 130 * (c["scene"][24] + 0.3).clamp_min(0), cloth)
    picture.lay(body.hu, c["skin"])
    return picture.hu, c["skin"]


def _outlines(c: Columns) -> None:
    """Adds the depth inside the skin, the limbs, a breast, the pleura and the domes of the diaphragm, in mm."""
    x, y, side, z, scene, beside = (c[name] for name in ("x", "y", "side", "z", "scene", "arms"))
    wall = c["wall_thickness"] / c["size"]
    wide = c["body_a"] + wall / c["width"]
    chest = (c["skin"] - _disc(x, y, 0.0).neg_()).mul_(c["slope"])

    # A breast stands on the skin; in depth it is an ellipse whose front is that far before it.
    breast = c["breast_size"] / c["size"] * _bump(z, 0.36, 0.16)
    at_x = 80 + 0.3 * breast + 3 * scene[5]
    front = (c["body_front"] + BEHIND * wall / c["height"]) * (1 - (at_x / wide).clamp_max(0.95) ** BOXY) ** (1 / BOXY)
    c["breast"] = _ellipse(side - at_x, y - (front - 44), 60 + 0.3 * breast, 40 + breast)
    c["gland"] = breast
    skin = _union(chest, c["breast"], 10.0)

    # Shoulders grow out of the chest, and lead to the arms.
    shoulder = c["shoulder"]
    reach = 60 + (150 - 48 * beside) * shoulder
    lift = (40 - 25 * beside) * shoulder - 35
    limbs = _capsule(side, y, 50, -40, reach, lift, 40 + 0.3 * wall)
    if bool((beside > 0).any()):
        arm_x = (wide.clamp_min(150) + 44 + 4 * scene[6]).lerp(reach, ((z - 0.7) / 0.16).clamp(0, 1))
        radius = torch.where((beside > 0) & (z < 0.86), 36 + 0.3 * wall, NOWHERE)
        c["arm"] = _disc(side - arm_x, 0.9 * (y + 14 - 8 * scene[7]), radius).add_(c["coarse"], alpha=1.5)
        limbs = torch.maximum(limbs, c["arm"])
    c["limbs"], c["skin"], c["wall"] = limbs, _union(skin, limbs, 14.0), wall

    c["v"] = ((y - c["lung_y"]) / c["lung_b"]).clamp_(-1, 1)
    lean = (0.82 - 0.18 * c["v"]).mul_(c["lung_x"])
    c["pleura"] = _ellipse(side - lean, y - c["lung_y"], c["lung_a"], c["lung_b"]).add_(c["coarse"], alpha=1.2)
    top = c["diaphragm"] * (1 - (0.12 + 0.05 * scene[8]) * (x / 40 + 0.5).clamp_(0, 1))
    share = 1 - z / top
    share = share.sign() * share.abs().sqrt_()
    inward = side - 55
    inward = torch.where(inward > 0, inward * (1 / 92), inward * (1 / 120))
    c["dome"] = (share + _disc(inward, (y - 24) * (1 / 106), 0.0)).mul_(95).add_(c["coarse"], alpha=2.5)


def _mediastinum(c: Columns, image: dict[str, torch.Tensor]) -> None:
    """Adds the depth inside the heart, the spine, vessels, airways, all between the lungs, and the lungs, in mm."""
    x, y, z, scene, coarse = (c[name] for name in ("x", "y", "z", "scene", "coarse"))
    turn = 0.5 + 0.08 * scene[9]
    heart_x, heart_y = x - c["heart_x"] - 3 * scene[10], y - c["heart_y"]
    heart_x, heart_y = turn.cos() * heart_x + turn.sin() * heart_y, turn.cos() * heart_y - turn.sin() * heart_x
    a, b = c["heart_a"] * c["heart_size"], c["heart_b"] * c["heart_size"]
    c["heart"] = _ellipse(heart_x, heart_y, a, b).add_(coarse, alpha=1.5)
    c |= {"along": heart_x / a, "beside": heart_y / b, "heart_a": a, "heart_b": b}
    c["spine"] = _ellipse(x, y - c["spine_y"], c["spine_a"], c["spine_b"])
    for name, tubes in (("blood", image["tubes"]), ("airway", image["airways"])):
        depth = torch.full_like(x, NOWHERE)
        for ends in tubes[..., None, None].unbind(1):
            if bool((ends[:, 4] > 0).any()):
                depth = torch.maximum(depth, _capsule(x, y, *ends.unbind(1)))
        c[name] = depth
    between = _ellipse(x, y - c["lung_y"] + 4, c["middle"] + 2 * scene[11], c["lung_b"])
    between = torch.maximum(between, 7 - c["side"])
    between = torch.maximum(between, c["heart"] + 4).add_(coarse, alpha=2.5)
    for name, rim in (("spine", 5), ("blood", 2.5), ("airway", 3)):
        between = torch.maximum(between, c[name] + rim)
    lung = torch.minimum(c["pleura"], torch.maximum(between, c["dome"]).neg_())
    c["lung"] = lung.masked_fill_(~((z > 0) & (z < 1)), NOWHERE)


def _wall(c: Columns) -> torch.Tensor:
    """The chest wall in HU: fat, muscles, breasts and skin."""
    coarse, fine, outside = c["coarse"], c["fine"], -c["pleura"]
    fat = FAT + 7 * coarse + 6 * fine
    layer = _Layer(fat, c["soft"])
    thick = (c["muscle"] + 11).add_(coarse, alpha=2)
    deep = torch.minimum(thick - outside, c["skin"] - (3 + 0.15 * c["wall"]))
    deep = torch.maximum(deep, c["limbs"] - (6 + 0.25 * c["wall"]) - 2 * fine)
    # Planes of fat lie between the muscles.
    planes = (1 - (coarse + 0.35 * fine).abs_().mul_(5)).clamp_(0, 0.5)
    layer.lay((MUSCLE + 6 * fine).lerp_(fat, planes), deep)
    if bool((c["gland"] > 6).any()):
        deep = torch.minimum(c["breast"] - 9, outside - thick + 2).minimum(c["gland"] - 6)
        amount = (fine + 0.7 * coarse).add_(0.2 + 0.5 * c["scene"][12]).clamp_(0, 1)
        layer.lay(FLUID, deep, amount, blur=10)
    layer.lay(FLUID, 2.2 - c["skin"], 0.75)
    return layer.hu


def _inside(c: Columns, body: _Layer) -> None:
    """Lays what is inside the cage of the ribs: fat, belly, lungs, heart, blood, airways."""
    z, coarse, fine, contrast = (c[name] for name in ("z", "coarse", "fine", "contrast"))
    inner = FAT + 12 * fine + (fine + coarse - 0.9).clamp_(0, 1).mul_(110)
    if bool((c["dome"] > 0).any()):
        inner = torch.where(c["dome"] > 0, _belly(c), inner)
    body.lay(inner, c["pleura"].masked_fill(z > 1, NOWHERE))

    # The lung is denser at the back, where blood pools.
    density = (c["lung_density"] - 28 * c["v"]).add_(fine, alpha=9).add_(coarse, alpha=8)
    seen = (c["vessels_seen"] * (4 * c["vessels"])).clamp_(0, 1)
    body.lay(density.lerp_(30 + 0.6 * contrast, seen), c["lung"])

    if bool((c["heart"] > 0).any()):
        body.lay(45 + 0.3 * contrast + 4 * fine, c["heart"])
        for along, beside, a, b, filled in CHAMBERS:
            x, y = (c["along"] - along) * c["heart_a"], (c["beside"] - beside) * c["heart_b"]
            chamber = _ellipse(x, y, a * c["heart_a"], b * c["heart_b"])
            body.lay(42 + filled * contrast, torch.minimum(chamber, c["heart"] - 4), blur=2)
    body.lay(42 + contrast, c["blood"])
    body.lay(FLUID, c["airway"] + 2)
    body.lay(AIR, c["airway"])


def _belly(c: Columns) -> torch.Tensor:
    """What lies below the diaphragm in HU: liver, stomach, spleen, kidneys, bowels in fat."""
    x, y, z, scene, coarse, fine, dome, contrast = (
        c[name] for name in ("x", "y", "z", "scene", "coarse", "fine", "dome", "contrast")
    )
    bowels = (1.6 * coarse + 0.9 * fine + (y - 5) / 60).add_(0.4 * scene[13]).clamp_(0, 1)
    belly = _Layer(bowels.mul_(135).add_(FAT), c["soft"])
    # The spleen is at the back on the left, the stomach in front of it.
    wide = 3 * scene[14]
    belly.lay(48 + 0.45 * contrast, _ellipse(x - 96, y + 38, 30 + wide, 40 + wide).minimum(dome))
    across, up = x - 62 - 6 * scene[15], y - 34
    stomach = _ellipse(across, up, 44 + 6 * scene[16], 34 + 5 * scene[15]).minimum(dome - 2)
    belly.lay(35 + 25 * fine, stomach)
    belly.lay(AIR, torch.minimum(stomach - 3, up - 12 - 14 * scene[17]))
    if bool((z < -0.04).any()):
        kidney = _ellipse(c["side"] - 58, y + 46, 24.0, 28.0).add_(coarse, alpha=1.5).masked_fill_(z > -0.04, NOWHERE)
        belly.lay(35 + 0.7 * contrast, kidney)
        belly.lay(FAT + 40, kidney - 15)
    # The liver fills the right, and its left lobe reaches over the midline in front.
    border = (y + 10).clamp_(-60, 60).mul_(0.62).add_(coarse, alpha=7) + 4 + 8 * scene[18]
    liver = torch.minimum(border - x, dome - 1.5)
    liver = torch.minimum(liver, _ellipse(x + 58, y - 8, 118.0, 96 + 45 * (5 * z).clamp(-1, 0)).add_(2 * coarse))
    veins = (fine - 1.5).clamp_(0, 0.6)
    belly.lay((0.25 * contrast - 12) * veins + (55 + 0.35 * contrast), liver)
    return belly.hu


def _bones(c: Columns, body: _Layer) -> None:
    """Lays the bones: ribs, spine, breastbone, shoulder blades, collar bones, upper arms."""
    x, y, side, z, scene = (c[name] for name in ("x", "y", "side", "z", "scene"))
    hard = 1 + 0.12 * scene[23]
    rib = (3.6 - (-c["pleura"] - 6).abs_()).masked_fill_(z > 0.985, NOWHERE)
    body.lay(560 * hard, rib, c["ribs"] * (_disc(x, y, 0.0) < -40))

    # A vertebra: its body has a shell, or is cut through a disc; around the canal an arch with its processes.
    phase = (2 * math.pi * (z / RIB_SPACING + 0.3 * scene[1])).cos()
    disc = ((phase - 0.75) / 0.15).clamp(0, 1)
    canal = y - (c["spine_y"] - c["spine_b"] - 9)
    body.lay(430 * hard, _capsule(x, canal, 0.0, -11.0, 0.0, -31 - 8 * phase, 4.0))
    body.lay(460 * hard, _capsule(side, canal, 11.0, -4.0, 26 + 7 * phase, -8.0, 3.5 + 1.5 * phase))
    arch = _disc(x, canal, 13.5)
    body.lay(560 * hard, arch)
    shell = (1 - (c["spine"] - 2).abs_().mul_(1 / 3)).clamp_(0, 1)
    bone = shell.mul_(BONE - MARROW).add_(MARROW).mul_(hard * (1 - disc)).add_(85 * disc)
    body.lay(bone.add_(c["fine"], alpha=40), c["spine"])
    body.lay(FLUID + 10, arch - 5.5)

    half = torch.from_numpy(np.interp(z.numpy(), *zip(*STERNUM, strict=True)).astype(np.float32))
    if bool((half > 0).any()):
        plate_y = c["lung_y"] + 0.86 * c["lung_b"] + 8
        plate = _capsule(side, y, 0.0, plate_y, half.clamp_min(0), plate_y, 6 + 5 * half.clamp_max(0))
        body.lay(430 * hard, plate)
        body.lay(180 * hard, plate - 3)

    shoulder, beside = c["shoulder"], c["arms"]
    if bool(((z > 0.5) & (z < 1.04)).any()):
        seen = torch.where((z > 0.5) & (z < 1.04), 3.5 + 1.5 * shoulder, NOWHERE)
        start = (0.75 * c["body_a"] + 2, -0.88 * c["body_back"])
        end = (c["body_a"] + 14 + 28 * shoulder, -0.45 * c["body_back"] + 14 * shoulder)
        body.lay(470 * hard, _capsule(side, y, *start, *end, seen))
    if bool((z > 0.86).any()):
        along = ((z - 0.86) / 0.14).clamp(0, 1)
        seen = torch.where((z > 0.86) & (z < 1.03), 6.0, NOWHERE)
        front = c["lung_y"] + c["lung_b"] + 14
        body.lay(
            540 * hard, _capsule(side, y, 18 + 60 * along, front - 4 * along, 52 + 84 * along, front - 8 * along, seen)
        )
        seen = torch.where((z > 0.86) & (z < 1.1), 23.0, NOWHERE)
        head = _disc(side - (166 - 14 * beside), y + 12 + 8 * beside, seen)
        body.lay(480 * hard, head)
        body.lay(260 * hard, head - 5)
    if "arm" in c:
        shaft = c["arm"] - (25 + 0.3 * c["wall"])
        body.lay(950 * hard, shaft)
        body.lay(60, shaft - 6)


def _table_top(c: Columns, right: torch.Tensor, up: torch.Tensor, pixel: torch.Tensor) -> torch.Tensor:
    """Air in HU, with the top of the table: two thin shells with foam between them."""
    scene, bow, top = c["scene"], c["bow"], c["table_y"]
    thick = 34 + 12 * scene[20]
    outer = bow + thick / (215 + 10 * scene[19]).square()
    upper = up - top - bow * right.square()
    lower = up - (top - thick) - outer * right.square()
    inside = torch.minimum(-upper, lower)
    table = _Layer(torch.full_like(inside, AIR), pixel + 0.5)
    table.lay(-945, inside)
    # Where a shell is steep, its height is more than its thickness.
    upper = upper.abs_() * (1 + (2 * bow * right).square()).rsqrt()
    lower = lower.abs_() * (1 + (2 * outer * right).square()).rsqrt()
    table.lay(20 + 170 * scene[21], torch.minimum(1.6 - torch.minimum(upper, lower), inside + 3))
    return table.hu


def _reconstructed(
    picture: torch.Tensor, depth: torch.Tensor, image: dict[str, torch.Tensor], seed: int
) -> torch.Tensor:
    """The slice as the scanner shows it: blurred or sharpened, with noise, in its circle.

    ``scans`` ``(n, 2)`` are the numbers of patient and slice, which with the seed determine the noise. It is coarse
    with a soft kernel and fine with a sharp one, and strongest in the middle of the body, where least comes through.
    """
    _, height, width = picture.shape
    pixel = image["field_of_view"][:, None, None] / width
    kernel = image["kernel"][:, None, None]
    soft = (2 * (1.3 / pixel).square() * (-kernel).clamp_min(0)).clamp_max(0.8)
    sharp = 0.22 * kernel.clamp_min(0)
    picture = picture + (soft - sharp) * (_neighbours(picture) - picture)

    white = white_noise((height, width), image["scans"], seed)
    mix = 0.5 - 0.7 * kernel
    white = (white + mix * _neighbours(white)) / (1 + mix.square() / 4).sqrt()
    strength = (depth * (1 / 60)).clamp_(0, 1).mul_(0.5).add_(0.5) * (image["noise"] * (width / 128))[:, None, None]
    picture = picture.addcmul_(white, strength)

    out = 2 * (torch.arange(width) + 0.5) / width - 1
    circle = image["scene"][:, CIRCLE, None, None] > -0.5
    return picture.masked_fill_(circle & (out.square() + out.square()[:, None] > 1), AIR)


def _neighbours(picture: torch.Tensor) -> torch.Tensor:
    """The mean of the four neighbours of each pixel."""
    framed = F.pad(picture[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    total = framed[:, 2:, 1:-1] + framed[:, :-2, 1:-1]
    return total.add_(framed[:, 1:-1, 2:]).add_(framed[:, 1:-1, :-2]).mul_(0.25)


BLOCK = 1024  # slices prepared at a time
CHUNK_PIXELS = 4 * 128 * 128  # fewer cost more calls, more leave the cache; measured with benchmarks/phantoms.py


@whole_options(DataError)
def render(
    factors: Mapping[str, torch.Tensor],
    size: int = 128,
    seed: int = 0,
    patient: torch.Tensor | None = None,
    level: torch.Tensor | None = None,
) -> torch.Tensor:
    """Renders one slice for each row of the factors.

    Args:
        factors: a tensor or array ``(n,)`` for each name of ``FACTORS``, as :func:`sample_factors` gives them. A
            ``sex`` beside them is left alone: it shows in the other factors only.
        size: height and width in pixels, a multiple of 16.
        seed: drives the nuisance detail and the noise.
        patient: ``(n,)`` whole numbers; rows of the same number share their detail, so they show one patient under
            other factors (a traversal). By default row i shows patient i.
        level: ``(n,)`` whole numbers; rows of the same patient and number share their noise. By default all are 0.

    Returns:
        int16 ``(n, 1, size, size)`` in HU, from ``LOW`` to ``HIGH``.

    Raises:
        DataError: a factor is missing, unknown, of a wrong shape or out of its range; the message names factor and row.
            Or size, seed, patient or level is not as described.
    """
    checked_size(size)
    checked = checked_factors(factors, RANGES, beside="sex")
    if (between := (checked["arms"] != 0) & (checked["arms"] != 1)).any():
        row = int(between.nonzero()[0])
        raise DataError(f"factor 'arms': {checked['arms'][row]:.6g} in row {row} is neither 0 nor 1")
    n = len(checked["size"])
    patients = torch.arange(n) if patient is None else checked_whole("patient", patient, n)
    levels = torch.zeros(n, dtype=torch.long) if level is None else checked_whole("level", level, n)
    scans = torch.stack([patients, levels], dim=1)
    step = max(1, CHUNK_PIXELS // size**2)
    slices = torch.empty(n, 1, size, size, dtype=torch.int16)
    for start in range(0, n, BLOCK):
        rows = slice(start, start + BLOCK)
        part = {name: values[rows] for name, values in checked.items()}
        waves, scene = _detail(scans[rows, 0], seed)
        prepared = _prepared(part, waves, scene) | {"scans": scans[rows]}
        # Neighbours in height go together, so that what none of them shows is left out.
        for chunk in prepared["z"].argsort().split(step):
            image = {name: values[chunk] for name, values in prepared.items()}
            picture = _reconstructed(*_paint(image, size), image, seed)
            slices[start + chunk, 0] = picture.round_().clamp_(LOW, HIGH).to(torch.int16)
    return slices


# ---------------------------------------------------------------------------------------------- data sets


@whole_options(DataError)
def generate(n: int = 2000, size: int = 128, seed: int = 0, independent: bool = False) -> ImageSet:
    """A set of n phantom slices, ``SLICES_PER_PATIENT`` of each patient.

    Args:
        n: how many slices.
        size: height and width in pixels, a multiple of 16.
        seed: drives the factors, the nuisance detail, the noise and the splits.
        independent: whether the factors are drawn independently, each slice of another patient, see
            :func:`sample_factors`.

    Returns:
        An image set in HU, of the range from ``LOW`` to ``HIGH``, whose table holds ``FACTORS``, ``patient_id`` (its
        group), ``slice`` (counted within the patient, in no order of height) and ``split`` (by patient); and ``sex``,
        unless the factors are independent. Its ``factors`` are ``FACTORS``, with ``sex`` if it is there.

    Raises:
        DataError: n or size is too small, or the seed negative.
    """
    factors = sample_factors(n, seed, independent)
    patient, level = np.divmod(np.arange(n), 1 if independent else SLICES_PER_PATIENT)
    images = render(factors, size, seed, torch.from_numpy(patient), torch.from_numpy(level))
    table = _table(factors)
    table["patient_id"] = [f"phantom_{i:07d}" for i in patient]
    table["slice"] = level
    table["split"] = split_by_group(table["patient_id"], seed=seed)
    card = Card(
        name="thorax phantoms",
        source="rendered by medlatent.data.phantoms.thorax",
        licence="CC0-1.0: computed, no picture of anybody",
        citation="medlatent; the first eight factors are the directions of Schön et al. (2022)",
        preprocessing="none; Hounsfield units, the patient's front at the top, the patient's right at the left",
        attributes={"seed": seed, "size": size, "independent": independent},
    )
    meanings = FACTORS if independent else FACTORS | {"sex": SEX}
    return ImageSet(images.numpy(), table, meanings, card, "patient_id", (LOW, HIGH))


def _table(factors: dict[str, torch.Tensor]) -> pd.DataFrame:
    table = pd.DataFrame({name: factors[name].numpy() for name in FACTORS})
    if "sex" in factors:
        table["sex"] = [SEXES[i] for i in factors["sex"]]
    return table


# ------------------------------------------------------------------------------------ in the layout of DICOM

SERIES = (-0.12, 1.06)
"""The lowest and highest ``z_position`` that a series reaches: from the upper abdomen to the neck."""
PADDING = -2000  # the stored value outside of the scanner's circle


@whole_options(DataError)
def write_dicom(
    folder: str | os.PathLike, patients: int = 3, seed: int = 0, size: int = 512, distance: float = 5.0
) -> pd.DataFrame:
    """Writes whole series of phantoms as CT images in DICOM files, in the folders of The Cancer Imaging Archive.

    A patient has one series, ``PATIENT/STUDY/SERIES/1-001.dcm`` and so on from head to feet, axial, 16 bits,
    uncompressed. Scanners that show a circle write the padding value around it. Patients are those of
    :func:`sample_factors` for this seed, the first one first. Needs pydicom (``pip install medlatent[data]``).

    Args:
        folder: where to; it must not exist. It is written under a temporary name and renamed.
        patients: how many.
        seed: drives everything.
        size: rows and columns of an image, a multiple of 16; 512 is what scanners give.
        distance: between slices, in mm, at most 20.

    Returns:
        The truth, one row a slice, by patient and from feet to head: ``FACTORS``, ``sex``, ``patient_id``,
        ``series_uid``, ``slice`` (0 the lowest) and ``position`` (mm upwards).

    Raises:
        DataError: the folder exists, or a number is not as described.
    """
    if patients < 1:
        raise DataError(f"patients: at least one is needed, got {patients}")
    if not 0 < distance <= 20:
        raise DataError(f"distance: expected at most 20 mm between slices, and more than 0, got {distance}")
    every = sample_factors(patients * SLICES_PER_PATIENT, seed)
    tables = []
    with new_folder(folder) as partial:
        for i in range(patients):
            one = {name: values[i * SLICES_PER_PATIENT] for name, values in every.items()}
            tall = LUNG_HEIGHT * float(one["size"])
            position = np.arange(SERIES[0] * tall, SERIES[1] * tall, distance)
            factors = {name: value.expand(len(position)) for name, value in one.items()}
            factors["z_position"] = torch.from_numpy((position / tall).astype(np.float32))
            table = _table(factors)
            table["patient_id"] = f"THORAX-{i + 1:04d}"
            table["series_uid"] = _uid(seed, i, "series")
            table["slice"] = np.arange(len(position))
            table["position"] = position
            patient, level = torch.full((len(position),), i), torch.arange(len(position))
            images = render(factors, size, seed, patient, level)[:, 0].numpy()
            circle = float(_detail(patient[:1], seed)[1][0, CIRCLE]) > -0.5
            _write_series(partial, table, images, circle, seed, i, distance)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _uid(*parts: object) -> str:
    return dicom_uid("thorax", *parts)


def _write_series(
    folder: Path, table: pd.DataFrame, images: np.ndarray, circle: bool, seed: int, patient: int, distance: float
) -> None:
    first, study = table.iloc[0], _uid(seed, patient, "study")
    size = images.shape[1]
    out = 2 * (np.arange(size) + 0.5) / size - 1
    outside = circle & (out**2 + out[:, None] ** 2 > 1)
    tags = {
        "StudyInstanceUID": study,
        "SeriesInstanceUID": first["series_uid"],
        "FrameOfReferenceUID": _uid(seed, patient, "frame"),
        "PatientID": first["patient_id"],
        "PatientName": first["patient_id"],
        "PatientSex": first["sex"][0].upper(),
        "PixelPaddingValue": PADDING,
    }
    write_ct_series(
        folder / first["patient_id"] / study / first["series_uid"],
        np.where(outside, PADDING, images.astype(int) + 1024),
        table["position"].to_numpy(),
        first["field_of_view"] / size,
        distance,
        [_uid(seed, patient, "slice", k) for k in range(len(table))],
        tags,
    )


THORAX = Source(
    name="phantoms.thorax",
    kind="rendered",
    summary="axial CT slices of the chest in Hounsfield units, with every factor of the body known",
    open=lambda n, seed: generate(2000 if n is None else n, seed=seed),
    limits="Rendered images, fitted by eye to the slices of twelve patients; no patient was seen.",
    licence="Apache-2.0",  # computed by this package, and under its licence
    exact=False,
)
INDEPENDENT = replace(
    THORAX,
    name="phantoms.thorax.independent",
    summary="the same with factors that are drawn independently of one another, as in no people",
    open=lambda n, seed: generate(2000 if n is None else n, seed=seed, independent=True),
)
SOURCES = (THORAX, *coarser(THORAX), INDEPENDENT, *coarser(INDEPENDENT))
