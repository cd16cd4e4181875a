"""Skin-lesion phantoms: dermatoscopic images with every generative factor known.

The picture is built as light passes through skin. A map of *pigment* (the lesion, the mottling of the skin, hair) and
a map of *blood* become the optical depth :math:`\\tau_c` of each colour channel, and by the Beer-Lambert law the image
is

.. math:: I_c(p) = L(p) \\, s_c \\, e^{-\\tau_c(p)}

with the light :math:`L` on the skin and the colour :math:`s` of bare skin. So a lesion is seen over its skin: a redder
skin makes a redder picture of the same lesion, as it does in real photographs.

**The frame of reference.** ``x`` points to the right and ``y`` up, both from the centre of the image. Angles are in
radians, 0 for a horizontal axis, positive counter-clockwise as displayed. Size, eccentricity and orientation are those
that image moments of the lesion's mask give (scikit-image's ``regionprops``, whose orientation is this one plus π/2),
in the square pixels of the image as rendered. They hold exactly for a lesion that lies whole inside the frame; what
the frame cuts off counts in the factor and not in the mask.

**What is random.** A rendering is a function of the factors, the seed and the number of the lesion. The last two
determine the nuisance detail: the course of the border, the texture, the paths of the hairs, the tilt of the light.

The distributions of :func:`sample_factors` were fitted by eye and by medians to HAM10000 (Tschandl, Rosendahl, Kittler
2018, doi:10.1038/sdata.2018.161).
"""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from ...options import whole_options
from ..errors import DataError
from ..imageset import Card, Factor, ImageSet
from ..lesions import NAME as CHOSEN
from ..lesions import balanced
from ..source import ClassifierSpec, Source
from ..splits import split_by_group
from ..views import coarser
from ._common import new_folder

DX = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
CLASS_COUNTS = (327, 514, 1099, 115, 1113, 6705, 142)
"""How often each class of ``DX`` occurs among the 10 015 images of HAM10000."""

IMAGES_PER_LESION = 10015 / 7470

FACTORS = {
    "size": Factor("area of the lesion as a share of the image's area, 0.01 to 0.6", unit="share"),
    "eccentricity": Factor("eccentricity of the ellipse with the lesion's second moments, 0 (circle) to 0.95"),
    "orientation": Factor(
        "angle of the lesion's major axis, -π/2 to π/2: 0 is horizontal, positive is counter-clockwise as displayed",
        kind="angle",
        unit="radians",
        period=math.pi,
    ),
    "position_x": Factor("centroid of the lesion right of the image's centre, -0.25 to 0.25", unit="image widths"),
    "position_y": Factor("centroid of the lesion above the image's centre, -0.25 to 0.25", unit="image heights"),
    "border_irregularity": Factor(
        "root mean square deviation of the border from an ellipse, relative to its radius, 0 to 0.25"
    ),
    "lesion_colour": Factor(
        "optical depth of the lesion's pigment, mean of the three channels: 0.05 (hardly seen) over light brown (0.5) "
        "to black-brown (2.5)",
        unit="optical depth",
    ),
    "lesion_hue": Factor("share of blood in the lesion's absorption: 0 (brown melanin) to 1 (red-purple blood)"),
    "skin_colour": Factor("colour of the bare skin: 0 (pale) over pink to 1 (salmon-red tan)"),
    "hair": Factor("amount of hair: 0 (none) to 1 (16 strands)"),
    "illumination": Factor("mean brightness of the bare skin, 0.4 to 0.95 of the sensor's maximum"),
    "white_balance": Factor("tint of the light: -1 (bluish) to 1 (yellowish)"),
    "vignette": Factor(
        "how far the dark rim of the dermatoscope reaches in: 0 (not seen) to 1 (wide, the image a disc)"
    ),
    "dx": Factor(
        "diagnosis: actinic keratosis or intraepithelial carcinoma, basal cell carcinoma, benign keratosis, "
        "dermatofibroma, melanoma, melanocytic naevus, vascular lesion; sets the pattern inside the lesion",
        kind="categorical",
        values=DX,
    ),
}

RANGES = {
    "size": (0.01, 0.6),
    "eccentricity": (0.0, 0.95),
    "orientation": (-math.pi / 2, math.pi / 2),
    "position_x": (-0.25, 0.25),
    "position_y": (-0.25, 0.25),
    "border_irregularity": (0.0, 0.25),
    "lesion_colour": (0.05, 2.5),
    "lesion_hue": (0.0, 1.0),
    "skin_colour": (0.0, 1.0),
    "hair": (0.0, 1.0),
    "illumination": (0.4, 0.95),
    "white_balance": (-1.0, 1.0),
    "vignette": (0.0, 1.0),
}
"""The lowest and highest value that :func:`render` accepts of each numeric factor, both included."""

# ------------------------------------------------------------------------------------------------ sampling

# The median of each factor given the class, in the order of DX.
MEDIANS = {
    "size": (0.34, 0.22, 0.27, 0.26, 0.30, 0.19, 0.10),
    "eccentricity": (0.66, 0.66, 0.65, 0.62, 0.65, 0.67, 0.55),
    "border_irregularity": (0.09, 0.05, 0.08, 0.045, 0.075, 0.055, 0.03),
    "lesion_colour": (0.26, 0.28, 0.42, 0.28, 0.85, 0.92, 0.85),
    "lesion_hue": (0.28, 0.44, 0.06, 0.37, 0.08, 0.14, 0.93),
    "skin_colour": (0.32, 0.28, 0.20, 0.33, 0.20, 0.50, 0.33),
    "illumination": (0.72, 0.74, 0.69, 0.73, 0.71, 0.73, 0.74),
}
# Its spread given the class: the standard deviation of logit((value - low) / (high - low)).
SPREADS = {
    "size": 1.1,
    "eccentricity": 0.8,
    "border_irregularity": 0.5,
    "lesion_colour": 0.75,
    "lesion_hue": 0.7,
    "skin_colour": 1.2,
    "illumination": 0.55,
}
HAIRY_SHARE = 0.2
RIMMED_SHARE = 0.13


@whole_options(DataError)
def sample_factors(n: int, seed: int = 0, correlated: bool = True) -> dict[str, torch.Tensor]:
    """Draws the factors of n images.

    Args:
        n: how many.
        seed: another seed, another draw.
        correlated: if true, classes occur as often as in HAM10000 and the factors depend on the class as they do
            there (melanomas are large and irregular, naevi regular, vascular lesions small and red-purple).
            If false, all factors are independent, each uniform over most of its range, so that a measure of
            disentanglement meets a known truth; lesions are then small enough to lie inside the frame anywhere.

    Returns:
        One tensor ``(n,)`` a factor, float32; ``dx`` holds int64 indices into ``FACTORS["dx"].values``.

    Raises:
        DataError: n is not positive.
    """
    if n < 1:
        raise DataError(f"n: at least one image is needed, got {n}")
    generator = torch.Generator().manual_seed(seed)
    factors = _correlated_factors(n, generator) if correlated else _independent_factors(n, generator)
    return {name: factors[name] for name in FACTORS}


def _correlated_factors(n: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    def normal() -> torch.Tensor:
        return torch.randn(n, generator=generator)

    def uniform() -> torch.Tensor:
        return torch.rand(n, generator=generator)

    dx = torch.multinomial(torch.tensor(CLASS_COUNTS, dtype=torch.float), n, replacement=True, generator=generator)
    factors = {"dx": dx}
    for name, medians in MEDIANS.items():
        low, high = RANGES[name]
        middle = torch.logit((torch.tensor(medians)[dx] - low) / (high - low))
        factors[name] = low + (high - low) * torch.sigmoid(middle + SPREADS[name] * normal())
    factors["size"] = torch.minimum(factors["size"], _largest_size(factors["eccentricity"]))
    factors["orientation"] = math.pi * (uniform() - 0.5)
    room = 1 - factors["size"] / 0.7
    for name in ("position_x", "position_y"):
        factors[name] = (0.055 * room * normal()).clamp(*RANGES[name])
    factors["white_balance"] = (0.4 * normal()).clamp(-1, 1)
    factors["hair"] = torch.where(uniform() < HAIRY_SHARE, uniform() ** 2, 0.0)
    factors["vignette"] = torch.where(uniform() < RIMMED_SHARE, uniform(), 0.0)
    return factors


def _largest_size(eccentricity: torch.Tensor) -> torch.Tensor:
    """The size at which the ends of the major axis just touch the frame."""
    return math.pi / 4 * (1 - eccentricity**2).sqrt() * 0.98


def _independent_factors(n: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
    narrower = {
        "size": (0.03, 0.25),
        "eccentricity": (0.3, 0.85),
        "position_x": (-0.1, 0.1),
        "position_y": (-0.1, 0.1),
        "lesion_colour": (0.2, 1.5),
        "illumination": (0.5, 0.85),
    }
    factors = {}
    for name, whole in RANGES.items():
        low, high = narrower.get(name, whole)
        factors[name] = low + (high - low) * torch.rand(n, generator=generator)
    factors["dx"] = torch.randint(len(DX), (n,), generator=generator)
    return factors


# ---------------------------------------------------------------------------------------- nuisance detail

WAVES = torch.arange(3.0, 17.0)  # of the border: lower orders would only move, turn or stretch it
STRANDS = 16
DETAIL = {"waves": 2 * len(WAVES), "textures": 3, "strength": 6, "light": 4, "strands": 6 * STRANDS}


def _detail(lesion: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    """The uniform numbers ``(n, k)`` behind all nuisance detail; row i of a table drawn from the seed is lesion i's."""
    generator = torch.Generator().manual_seed(seed)
    table = torch.rand(int(lesion.max()) + 1, sum(DETAIL.values()), generator=generator)
    return dict(zip(DETAIL, table[lesion].split(list(DETAIL.values()), dim=1), strict=True))


GRID = 64  # textures and hairs are drawn on GRID × GRID pixels, and enlarged for larger images
TEXTURES = 256
WAVELENGTHS = {"coarse": 16, "medium": 6, "fine": 2}


@lru_cache
def _textures(device: str) -> dict[str, torch.Tensor]:
    """Smooth noise of unit variance, coarse to fine: ``TEXTURES`` fixed fields ``(GRID, GRID)`` of each kind."""
    generator = torch.Generator().manual_seed(20180814)
    textures = {}
    for name, wavelength in WAVELENGTHS.items():
        noise = torch.zeros(TEXTURES, 1, GRID, GRID)
        for octave, weight in ((1, 1.0), (2, 0.6)):
            cells = GRID * octave // wavelength + 1
            grid = torch.randn(TEXTURES, 1, cells, cells, generator=generator)
            noise += weight * F.interpolate(grid, (GRID, GRID), mode="bicubic", align_corners=True)
        textures[name] = (noise / noise.std())[:, 0].to(device)
    return textures


def _texture(name: str, detail: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The texture ``(n, h, w)`` of each image that a number ``(n,)`` in [0, 1) picks."""
    return _enlarged(_textures(str(detail.device))[name].index_select(0, (detail * TEXTURES).long()), shape)


def _enlarged(maps: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    if maps.shape[1:] == shape:
        return maps
    return F.interpolate(maps[:, None], shape, mode="bilinear")[:, 0]


# -------------------------------------------------------------------------------------------- the border

ANGLES = 512


def _border(factors: dict, waves: torch.Tensor, shape: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The border as a star shape, and the affine map from the image onto it.

    The star shape's radius is 1 plus random waves whose root mean square is ``border_irregularity``. Its own moments
    are then undone by the affine map, so that area, centroid and second moments come out as the factors say, however
    irregular the border is.

    Returns:
        The radius at ``ANGLES + 1`` angles from -π to π, and the map ``(n, 2, 3)`` from pixels ``(x, y, 1)``.
    """
    height, width = shape
    angle = torch.linspace(-math.pi, math.pi, ANGLES + 1, device=waves.device)
    cos, sin = angle.cos(), angle.sin()

    order = WAVES.to(waves.device)
    strength, phase = waves.chunk(2, dim=1)
    amplitude = strength.sqrt() / order**1.3
    amplitude = amplitude * math.sqrt(2) / amplitude.norm(dim=1, keepdim=True).clamp_min(1e-6)
    phase = 2 * math.pi * phase
    basis = torch.cat([(order[:, None] * angle).cos(), (order[:, None] * angle).sin()])
    wave = torch.cat([amplitude * phase.cos(), -amplitude * phase.sin()], dim=1) @ basis
    radius = (1 + factors["border_irregularity"][:, None] * wave).clamp_min(0.2)

    # Moments of the star shape in polar coordinates; the last angle repeats the first.
    step = 2 * math.pi / ANGLES
    around = torch.stack([torch.ones_like(cos), cos, sin, cos * cos, cos * sin, sin * sin], dim=1)[:-1]
    square = radius[:, :-1] ** 2
    area = square.sum(1) * step / 2
    mean_x, mean_y = ((square * radius[:, :-1]) @ around[:, 1:3] * step / 3 / area[:, None]).unbind(1)
    xx, xy, yy = ((square * square) @ around[:, 3:] * step / 4 / area[:, None]).unbind(1)
    xx, xy, yy = xx - mean_x**2, xy - mean_x * mean_y, yy - mean_y**2

    # Square root of the 2×2 covariance: (C + √det C · 1) / √(tr C + 2 √det C).
    root = (xx * yy - xy * xy).sqrt()
    scale = (xx + yy + 2 * root).sqrt()
    spread = torch.stack([xx + root, xy, xy, yy + root], dim=1).view(-1, 2, 2) / scale[:, None, None]

    # From image to star shape: shift to the centroid, turn the major axis to x, make the ellipse round, spread it.
    axis_ratio = (1 - factors["eccentricity"] ** 2) ** 0.25
    unit = (factors["size"] * height * width * root / area).sqrt()
    cos, sin = factors["orientation"].cos(), factors["orientation"].sin()
    turn = torch.stack([axis_ratio * cos, axis_ratio * sin, -sin / axis_ratio, cos / axis_ratio], dim=1).view(-1, 2, 2)
    linear = spread @ turn / unit[:, None, None]
    centre = torch.stack([factors["position_x"] * width, factors["position_y"] * height], dim=1)
    shift = torch.stack([mean_x, mean_y], dim=1) - (linear @ centre[:, :, None])[:, :, 0]
    return radius, torch.cat([linear, shift[:, :, None]], dim=2)


def _inside(radius: torch.Tensor, to_star: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """How deep each pixel lies inside the lesion ``(n, h, w)``, in mean radii: 0 on the border, negative outside."""
    x, y = _pixels(shape, radius.device)
    from_x, from_y, shift = to_star[:, :, :, None, None].unbind(2)
    star_x, star_y = (from_x * x + (from_y * y + shift)).unbind(1)
    angle = torch.atan2(star_y, star_x).add_(math.pi + math.pi / ANGLES).mul_(ANGLES / (2 * math.pi))
    border = radius.gather(1, angle.flatten(1).long()).view_as(angle)
    distance = torch.mul(star_x, star_x, out=angle).addcmul_(star_y, star_y).sqrt_()
    return border.sub_(distance)


def _pixels(shape: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """x ``(1, w)`` and y ``(h, 1)`` of the pixels' centres, in pixels from the middle of the image, y upwards."""
    height, width = shape
    x = torch.arange(width, device=device) + 0.5 - width / 2
    y = height / 2 - 0.5 - torch.arange(height, device=device)
    return x[None, :], y[:, None]


# ------------------------------------------------------------------------------------------- the picture

# What the classes look like inside, in the order of DX.
PATTERNS = {
    "softness": (0.5, 0.45, 0.28, 0.6, 0.36, 0.42, 0.25),  # width of the fading border, in mean radii
    "patchiness": (0.5, 0.4, 0.22, 0.15, 0.3, 0.14, 0.1),  # blotches
    "network": (0.2, 0.12, 0.12, 0.05, 0.09, 0.05, 0.04),  # the fine texture of the pigment network, or scale
    "core": (0.0, -0.2, -0.1, -1.2, 0.15, 0.2, 0.1),  # a darker centre (positive) or a paler one
    "variegation": (0.25, 0.25, 0.15, 0.15, 0.25, 0.1, 0.12),  # patches of another hue
    "damage": (0.10, 0.06, 0.06, 0.015, 0.05, 0.015, 0.02),  # blotches on the skin around, from sun and age
}
# Optical depth of red, green and blue for one unit of: pigment, pigment × share of blood, pigment squared (dark
# pigment swallows red light too).
ABSORPTION = ((0.30, 0.0, 0.22), (1.20, 0.36, 0.0), (1.42, -0.55, 0.0))


def _skin(factors: dict) -> torch.Tensor:
    """Colour of bare skin ``(n, 3)``, 0 to 255; the mean of its channels is the illumination."""
    red = 1.02 + 0.38 * factors["skin_colour"]
    yellow = -0.045 + 0.15 * factors["white_balance"]
    shares = torch.stack([red, (3 - red + yellow) / 2, (3 - red - yellow) / 2], dim=1)
    return 255 * factors["illumination"][:, None] * shares


NO_RIM = 1.7  # radius of a rim that lies outside the corners of the image


def _light(tilt: torch.Tensor, falloff: torch.Tensor, rim: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The light on each pixel ``(n, h, w)``: it is tilted, falls off towards the edges, and ends at a dark rim."""
    x, y = _pixels(shape, rim.device)
    x, y = x * (2 / shape[1]), y * (2 / shape[0])
    # The camera's image is 4:3: its round rim stays round there, and is narrowed where the image is made square.
    across, down = (4 / 3 * x) ** 2, y**2
    tilt_x, tilt_y = tilt.T[:, :, None, None]
    falloff = falloff[:, None, None]
    light = (1 + tilt_x * x - falloff * across) + (tilt_y * y - falloff * down)
    radius, softness = rim.T[:, :, None, None]
    rimmed = torch.nonzero(rim[:, 0] < NO_RIM).squeeze(1)
    if len(rimmed):
        distance = (across + down).sqrt()
        light[rimmed] *= ((radius[rimmed] - distance) / softness[rimmed]).clamp_(0.03, 1)
    return light


POINTS = 64  # along a strand: as close as the pixels of the grid


def _hair(amount: torch.Tensor, strands: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """How much hair covers each pixel ``(n, h, w)``, 0 to 1; each strand is a piece of a parabola, drawn in points."""
    opacity = (amount[:, None] * STRANDS - torch.arange(STRANDS, device=amount.device)).clamp_(0, 1)
    image, strand = torch.nonzero(opacity, as_tuple=True)
    strands = strands.view(-1, STRANDS, 6)
    growth = 2 * math.pi * strands[image, :1, 0]  # hairs of one skin grow in much the same direction
    angle, offset, bend, length, along, strength = strands[image, strand].T[:, :, None]
    angle = growth + 2.2 * (angle - 0.5)
    cos, sin = angle.cos(), angle.sin()
    u = torch.linspace(-1, 1, POINTS, device=amount.device) * (0.25 + 0.75 * length) + 1.6 * (along - 0.5)
    v = 1.2 * (bend - 0.5) * u**2 + 2.4 * (offset - 0.5)
    x = ((cos * u - sin * v + 1) * GRID / 2).clamp_(0, GRID + 1)
    y = ((sin * u + cos * v + 1) * GRID / 2).clamp_(0, GRID + 1)
    strength = opacity[image, strand, None] * (0.6 + 0.4 * strength)

    # Each point covers the four pixels around it by its distance to them; the margin of the canvas is cut off.
    side = GRID + 3
    left, top = x.floor(), y.floor()
    right_share, bottom_share = x - left, y - top
    corner = (image[:, None] * side + top.long()) * side + left.long()
    canvas = torch.zeros(len(amount) * side * side, device=amount.device)
    for down, y_share in ((0, 1 - bottom_share), (1, bottom_share)):
        for right, x_share in ((0, 1 - right_share), (1, right_share)):
            pixel = corner + (down * side + right)
            canvas.scatter_reduce_(0, pixel.flatten(), (strength * y_share * x_share).flatten(), "amax")
    canvas = canvas.view(-1, side, side)[:, 1 : GRID + 1, 1 : GRID + 1]
    return _enlarged(canvas, shape)


def _prepared(factors: dict, detail: dict, shape: tuple[int, int]) -> dict[str, torch.Tensor]:
    """All that is the same for every pixel of an image; the first dimension of each tensor is the image."""
    radius, to_star = _border(factors, detail["waves"], shape)
    pattern = torch.tensor(list(PATTERNS.values()), device=radius.device).T[factors["dx"]]
    light = detail["light"]
    return {
        "radius": radius,
        "to_star": to_star,
        "pattern": pattern * (detail["strength"] + 0.5),
        "skin": _skin(factors),
        "tilt": 0.16 * (light[:, :2] - 0.5),
        "falloff": 0.12 * light[:, 2] ** 2,
        "rim": torch.stack([NO_RIM - 0.5 * factors["vignette"], 0.06 + 0.3 * light[:, 3] ** 2], dim=1),
        "lesion_colour": factors["lesion_colour"],
        "lesion_hue": factors["lesion_hue"],
        "hair": factors["hair"],
        "strands": detail["strands"],
        "textures": detail["textures"],
    }


def _paint(image: dict[str, torch.Tensor], shape: tuple[int, int]) -> torch.Tensor:
    """The images of one chunk, uint8 ``(n, 3, h, w)``, from what :func:`_prepared` gives."""
    softness, patchiness, network, core, variegation, damage = image["pattern"].T[:, :, None, None]
    coarse, medium, fine = (_texture(name, image["textures"][:, i], shape) for i, name in enumerate(WAVELENGTHS))
    n, device = len(coarse), coarse.device

    inside = _inside(image["radius"], image["to_star"], shape).clamp_min_(0)
    # The lesion fades in from its border, sooner or later as the texture has it ...
    edge = torch.mul(medium, 0.25).add_(1).clamp_min_(0.1).mul_(inside).div_(softness).clamp_max_(1)
    coverage = torch.mul(edge, -2).add_(3).mul_(edge).mul_(edge)
    # ... and is uneven: blotches, network, a darker or paler core.
    pattern = inside.mul_(core).add_(1 - core / 2).addcmul_(medium, patchiness).addcmul_(fine, network)
    lesion = coverage.mul_(pattern.clamp_min_(0.05))

    maps = torch.empty(n, 3, *shape, device=device)
    pigment, blood, dark = maps.unbind(1)
    torch.mul(lesion, image["lesion_colour"][:, None, None], out=pigment)
    torch.mul(coarse, variegation, out=blood).add_(image["lesion_hue"][:, None, None]).clamp_min_(-0.1).mul_(pigment)
    torch.mul(pigment, pigment, out=dark)
    # The mottling of the skin, under the lesion too.
    pigment.addcmul_(coarse, 0.012 + damage / 2).addcmul_(fine, 0.008 + damage / 5)
    pigment.addcmul_(medium.sub_(0.6).clamp_min_(0), damage)
    hairy = torch.nonzero(image["hair"]).squeeze(1)
    if len(hairy):
        hair = _hair(image["hair"][hairy], image["strands"][hairy], shape)
        pigment[hairy] += 0.8 * hair
        dark[hairy] += 1.6 * hair

    absorption = -torch.tensor(ABSORPTION, device=device).expand(n, 3, 3)
    colours = torch.bmm(absorption, maps.flatten(2)).exp_().mul_(image["skin"][:, :, None]).view(n, 3, *shape)
    colours.mul_(_light(image["tilt"], image["falloff"], image["rim"], shape)[:, None]).clamp_max_(255)
    return colours.to(torch.int16).to(torch.uint8)  # the detour is faster


@whole_options(DataError)
def render(
    factors: Mapping[str, torch.Tensor],
    size: int | tuple[int, int] = 64,
    seed: int = 0,
    device: str | torch.device = "cpu",
    lesion: torch.Tensor | None = None,
) -> torch.Tensor:
    """Renders one image for each row of the factors.

    Args:
        factors: a tensor or array ``(n,)`` for each name of ``FACTORS``, as :func:`sample_factors` gives them.
        size: height and width in pixels, or one number for both.
        seed: drives the nuisance detail: the course of the border, the texture, the hairs' paths, the light's tilt.
        device: where to render; the images stay there.
        lesion: ``(n,)`` whole numbers; rows of the same number share their nuisance detail, so they show one lesion
            under other factors (a traversal). By default row i shows lesion i.

    Returns:
        uint8 ``(n, 3, height, width)``, RGB.

    Raises:
        DataError: a factor is missing, unknown, not finite, outside ``RANGES``, or of another length; it is named.
    """
    return _in_chunks(_paint, factors, size, seed, device, lesion)


@whole_options(DataError)
def render_masks(
    factors: Mapping[str, torch.Tensor],
    size: int | tuple[int, int] = 64,
    seed: int = 0,
    device: str | torch.device = "cpu",
    lesion: torch.Tensor | None = None,
) -> torch.Tensor:
    """The support of the lesion in each image that :func:`render` gives for the same arguments.

    Returns:
        uint8 ``(n, height, width)``, 1 inside the lesion and 0 outside.

    Raises:
        DataError: as :func:`render` does.
    """

    return _in_chunks(_mask, factors, size, seed, device, lesion)


def _mask(image: dict[str, torch.Tensor], shape: tuple[int, int]) -> torch.Tensor:
    return (_inside(image["radius"], image["to_star"], shape) > 0).to(torch.uint8)


BLOCK = 1024  # images prepared at a time
CHUNK_PIXELS = 128 * 64 * 64  # fewer cost more calls, more leave the cache; measured with benchmarks/phantoms.py


def _in_chunks(draw, factors, size, seed, device, lesion) -> torch.Tensor:
    shape = _checked_shape(size)
    factors = _checked_factors(factors)
    n = len(factors["dx"])
    detail = _detail(torch.arange(n) if lesion is None else _checked_lesion(lesion, n), seed)
    step = max(1, CHUNK_PIXELS // (shape[0] * shape[1])) if torch.device(device).type == "cpu" else BLOCK
    chunks = []
    for start in range(0, n, BLOCK):
        part, part_detail = (
            {name: values[start : start + BLOCK].to(device) for name, values in one.items()}
            for one in (factors, detail)
        )
        prepared = {name: values.split(step) for name, values in _prepared(part, part_detail, shape).items()}
        for columns in zip(*prepared.values(), strict=True):
            chunks.append(draw(dict(zip(prepared, columns, strict=True)), shape))
    return torch.cat(chunks)


def _checked_shape(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    if min(height, width) < 8:
        raise DataError(f"size: at least 8 pixels are needed each way, got {height} × {width}")
    return height, width


def _checked_lesion(lesion: torch.Tensor, n: int) -> torch.Tensor:
    lesion = torch.as_tensor(lesion)
    if lesion.shape != (n,) or lesion.is_floating_point() or int(lesion.min()) < 0:
        raise DataError(f"lesion: expected {n} whole numbers from 0, got {tuple(lesion.shape)} {lesion.dtype}")
    return lesion.long().cpu()


def _checked_factors(factors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    if missing := [name for name in FACTORS if name not in factors]:
        raise DataError(f"factors: {missing[0]!r} is missing; all of these are needed: {', '.join(FACTORS)}")
    if unknown := [name for name in factors if name not in FACTORS]:
        raise DataError(f"factors: {unknown[0]!r} is unknown; known are {', '.join(FACTORS)}")
    checked = {name: torch.as_tensor(factors[name]).detach().cpu() for name in FACTORS}
    n = checked["size"].numel()
    if n == 0:
        raise DataError("factors: there are no rows to render")
    for name, values in checked.items():
        if values.shape != (n,):
            raise DataError(f"factor {name!r}: expected the shape ({n},), got {tuple(values.shape)}")
    if checked["dx"].is_floating_point():
        raise DataError(f"factor 'dx': expected whole numbers, indices into {', '.join(DX)}")
    for name, (low, high) in {**RANGES, "dx": (0, len(DX) - 1)}.items():
        values = checked[name] = checked[name].long() if name == "dx" else checked[name].float()
        # Written so that NaN fails too; the margin forgives the rounding of a bound to float32.
        outside = ~((values >= low - 1e-6) & (values <= high + 1e-6))
        if outside.any():
            row = int(outside.nonzero()[0])
            raise DataError(f"factor {name!r}: {values[row]:.6g} in row {row} is not between {low:.6g} and {high:.6g}")
    return checked


# ---------------------------------------------------------------------------------------------- data sets


def _photographs(n: int, seed: int, correlated: bool) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Factors of n photographs of fewer lesions, differing in the view only, and the lesion that each shows."""
    generator = torch.Generator().manual_seed(seed + 1)

    def normal() -> torch.Tensor:
        return torch.randn(n, generator=generator)

    new = torch.rand(n, generator=generator) < 1 / IMAGES_PER_LESION
    new[0] = True
    lesion = new.cumsum(0) - 1
    factors = {name: v[lesion] for name, v in sample_factors(int(lesion[-1]) + 1, seed, correlated).items()}
    view = {
        "size": factors["size"] * (0.12 * normal()).exp(),
        "position_x": factors["position_x"] + 0.02 * normal(),
        "position_y": factors["position_y"] + 0.02 * normal(),
        "orientation": factors["orientation"] + 0.4 * normal(),
        "illumination": factors["illumination"] + 0.02 * normal(),
        "hair": factors["hair"] * (1 + 0.3 * normal()),
    }
    view["size"] = torch.minimum(view["size"], _largest_size(factors["eccentricity"]))
    view["orientation"] = torch.remainder(view["orientation"] + math.pi / 2, math.pi) - math.pi / 2
    for name, values in view.items():
        factors[name] = torch.where(new, factors[name], values.clamp(*RANGES[name]))
    return factors, lesion


def _table(factors: dict[str, torch.Tensor]) -> pd.DataFrame:
    table = pd.DataFrame({name: values.numpy() for name, values in factors.items()})
    table["dx"] = [DX[i] for i in factors["dx"]]
    return table


@whole_options(DataError)
def generate(
    n: int = 2000, seed: int = 0, size: int = 64, correlated: bool = True, device: str | torch.device = "cpu"
) -> ImageSet:
    """A set of n phantom photographs, some of which show the same lesion, as in HAM10000.

    Photographs of one lesion differ in size, position, orientation, illumination and hair. All photographs of a
    lesion lie in one split.

    Args:
        n: how many images.
        seed: drives the factors, the nuisance detail and the splits.
        size: height and width in pixels.
        correlated: whether the factors depend on the class, see :func:`sample_factors`.
        device: where to render; the set itself is in memory.

    Returns:
        An image set whose table holds ``FACTORS``, ``lesion_id`` (its group), ``image_id`` and ``split``.

    Raises:
        DataError: n or size is too small.
    """
    factors, lesion = _photographs(_checked_count(n), seed, correlated)
    images = render(factors, size, seed, device, lesion)
    table = _table(factors)
    table["lesion_id"] = [f"lesion_{i:07d}" for i in lesion.tolist()]
    table["image_id"] = [f"phantom_{i:07d}" for i in range(n)]
    table["split"] = split_by_group(table["lesion_id"], seed=seed)
    card = Card(
        name="skin-lesion phantoms",
        source="rendered by medlatent.data.phantoms.lesion",
        licence="CC0-1.0: computed, no photograph of anybody",
        citation="medlatent; looks and class frequencies follow HAM10000, doi:10.1038/sdata.2018.161",
        preprocessing="none",
        attributes={"seed": seed, "size": size, "correlated": correlated},
    )
    return ImageSet(images.cpu().numpy(), table, FACTORS, card, group="lesion_id")


PATCHES_NAME = "patches of skin-lesion phantoms"
PATCH, WHOLE = 64, 85  # pixels of a patch, and of the photograph that it is cut from


@whole_options(DataError)
def patches(n: int = 2000, seed: int = 0) -> ImageSet:
    """Patches of 64×64 pixels around the lesions of :func:`generate`, as Havaei et al. (2021) cut them out.

    A patch is 64/85 of a photograph wide, as near to the 48/64 of real ones as whole pixels get. The middle of the
    lesion is that of the patch, which is moved inwards where it would leave the photograph; how large a lesion is stays
    to be seen.

    Args:
        n: how many.
        seed: as that of :func:`generate`.

    Returns:
        An image set as that of :func:`generate`, whose ``size`` is the share of the patch that the lesion covers, and
        whose ``position_x`` and ``position_y`` are within the patch.

    Raises:
        DataError: n is too small.
    """
    whole = generate(n, seed, WHOLE)
    factors, lesion = _photographs(n, seed, correlated=True)
    masks = render_masks(factors, WHOLE, seed, lesion=lesion).numpy()
    place = {"position_x": 0.5 + whole.table["position_x"], "position_y": 0.5 - whole.table["position_y"]}
    corners = {
        name: np.rint(WHOLE * share - PATCH / 2).clip(0, WHOLE - PATCH).to_numpy(int) for name, share in place.items()
    }
    rows, columns = (corners[name][:, None] + np.arange(PATCH) for name in ("position_y", "position_x"))
    index = np.arange(n)[:, None, None]
    images = whole.images.transpose(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None]].transpose(0, 3, 1, 2)
    table = whole.table.copy()
    table["size"] = masks[index, rows[:, :, None], columns[:, None]].mean((1, 2))
    for name, up in (("position_x", 1), ("position_y", -1)):
        table[name] = up * ((WHOLE * place[name] - corners[name]) / PATCH - 0.5)
    described = {
        "size": replace(FACTORS["size"], meaning="share of the patch that the lesion covers"),
        "position_x": Factor("centroid of the lesion right of the patch's centre", unit="patch widths"),
        "position_y": Factor("centroid of the lesion above the patch's centre", unit="patch heights"),
    }
    card = replace(
        whole.card,
        name=PATCHES_NAME,
        preprocessing=f"{PATCH}×{PATCH} pixels of {WHOLE}×{WHOLE} around the lesion's middle",
        attributes={**whole.card.attributes, "size": PATCH},
    )
    return ImageSet(np.ascontiguousarray(images), table, FACTORS | described, card, "lesion_id")


def _checked_count(n: int) -> int:
    if n < 1:
        raise DataError(f"n: at least one image is needed, got {n}")
    return n


# ----------------------------------------------------------------------------- in the layout of HAM10000

PHOTOGRAPH = (450, 600)
FIRST_NUMBER = 24306  # HAM10000 numbers its images from ISIC_0024306
PALETTE_SHARE = 402 / 10015


@whole_options(DataError)
def write_ham10000(folder: str | os.PathLike, n: int = 100, seed: int = 0) -> pd.DataFrame:
    """Writes phantoms as the official HAM10000 files: two image archives, the metadata table, the mask archive.

    Images are JPEG and masks PNG of 600 × 450 pixels. About 4 % of the masks are palette images in which index 0 is
    white, as 402 of the official ones are. Needs Pillow (``pip install medlatent[data]``).

    Args:
        folder: where to; it must not exist. It is written under a temporary name and renamed.
        n: how many images.
        seed: drives everything.

    Returns:
        The true factors: one row an image, with ``lesion_id`` and ``image_id``.

    Raises:
        DataError: the folder exists, or n is not positive.
    """
    if Path(folder).exists():
        raise DataError(f"{folder} exists: choose another folder")
    factors, lesion = _photographs(_checked_count(n), seed, correlated=True)
    table = _table(factors)
    table.insert(0, "lesion_id", [f"HAM_{i:07d}" for i in lesion.tolist()])
    table.insert(1, "image_id", [f"ISIC_{FIRST_NUMBER + i:07d}" for i in range(n)])
    with new_folder(folder) as partial:
        half = (n + 1) // 2
        _write_archive(partial / "HAM10000_images_part_1.zip", _jpegs(table[:half], factors, lesion, seed))
        _write_archive(partial / "HAM10000_images_part_2.zip", _jpegs(table[half:], factors, lesion, seed))
        masks = _mask_pngs(table, factors, lesion, seed)
        _write_archive(partial / "HAM10000_segmentations_lesion_tschandl.zip", masks)
        _metadata(table, lesion, seed).to_csv(partial / "HAM10000_metadata.csv", index=False)
    return table


def _write_archive(path: Path, files: Iterator[tuple[str, bytes]]) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # JPEG and PNG are compressed already
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name, date_time=(2018, 8, 14, 0, 0, 0)), content)


def _rows(factors: dict[str, torch.Tensor], row: int) -> dict[str, torch.Tensor]:
    return {name: values[row : row + 1] for name, values in factors.items()}


def _jpegs(table: pd.DataFrame, factors: dict, lesion: torch.Tensor, seed: int) -> Iterator[tuple[str, bytes]]:
    from PIL import Image

    for row, image_id in table["image_id"].items():
        image = render(_rows(factors, row), PHOTOGRAPH, seed, lesion=lesion[row : row + 1])[0]
        content = BytesIO()
        Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()).save(content, "JPEG", quality=92)
        yield f"{image_id}.jpg", content.getvalue()


def _mask_pngs(table: pd.DataFrame, factors: dict, lesion: torch.Tensor, seed: int) -> Iterator[tuple[str, bytes]]:
    from PIL import Image

    palette = np.random.default_rng(seed).permutation(len(table)) < PALETTE_SHARE * len(table)
    for row, image_id in table["image_id"].items():
        mask = 255 * render_masks(_rows(factors, row), PHOTOGRAPH, seed, lesion=lesion[row : row + 1])[0].numpy()
        image = Image.fromarray(255 - mask if palette[row] else mask)
        if palette[row]:
            image.putpalette([level for index in range(256) for level in 3 * [255 - index]])
        content = BytesIO()
        image.save(content, "PNG")
        yield f"{image_id}_segmentation.png", content.getvalue()


def _metadata(table: pd.DataFrame, lesion: torch.Tensor, seed: int) -> pd.DataFrame:
    """The official table: facts about the patient, the same in all photographs of a lesion, some of them missing."""
    rng = np.random.default_rng(seed)
    lesions = int(lesion.max()) + 1
    first = table.groupby(lesion.numpy())["dx"].first()
    age = 5 * np.round(rng.normal(np.where(first == "nv", 46, 63), 14) / 5).clip(0, 17)
    age[rng.random(lesions) < 0.01] = np.nan
    confirmed = np.where(rng.random(lesions) < 0.35, "histo", "follow_up")
    others = rng.choice(["histo", "consensus", "confocal"], lesions, p=[0.85, 0.13, 0.02])
    malignant = first.isin(["mel", "bcc", "akiec"])
    sites = (
        "back,lower extremity,trunk,upper extremity,abdomen,face,chest,foot,unknown,neck,scalp,hand,ear,genital,acral"
    )
    site_counts = np.array([2192, 2077, 1404, 1118, 1022, 745, 407, 319, 234, 168, 128, 90, 56, 48, 7])
    patient = pd.DataFrame(
        {
            "dx": first,
            "dx_type": np.where(malignant, "histo", np.where(first == "nv", confirmed, others)),
            "age": age,
            "sex": rng.choice(["male", "female", "unknown"], lesions, p=[0.54, 0.45, 0.01]),
            "localization": rng.choice(sites.split(","), lesions, p=site_counts / site_counts.sum()),
        }
    )
    ids = table[["lesion_id", "image_id"]].reset_index(drop=True)
    return pd.concat([ids, patient.iloc[lesion.numpy()].reset_index(drop=True)], axis=1)


LESIONS = Source(
    name="phantoms.lesion",
    kind="rendered",
    summary="skin lesions with every factor known",
    open=lambda n, seed: generate(5000 if n is None else n, seed=seed),
    limits="Rendered images, fitted to the statistics of HAM10000; no patient was seen.",
    licence="Apache-2.0",  # computed by this package, and under its licence
    exact=False,
)
PATCHES = replace(
    LESIONS,
    name="phantoms.lesion.patches",
    summary="skin lesions with every factor known, a patch around each, as in Havaei et al. (2021)",
    open=lambda n, seed: patches(5000 if n is None else n, seed=seed),
)
BALANCED = PATCHES.seen(
    "balanced",
    "patches of naevi, melanomas and keratoses, the latter two three times in training, as in Havaei et al. (2021)",
    balanced,
    None,
    (ClassifierSpec("dx", "phantoms.lesion.patches.balanced", (3, 64, 64), card=f"{PATCHES_NAME}{CHOSEN}"),),
)
SOURCES = (LESIONS, PATCHES, BALANCED, *coarser(BALANCED, size=PATCH))
