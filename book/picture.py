"""Draws the picture of the welcome page and the README: one factor of a lesion phantom changed at a time.

python book/picture.py
"""

from pathlib import Path

import torch

from medlatent.data.phantoms.lesion import FACTORS, render
from medlatent.explore import figure

STATIC = Path(__file__).parent / "_static"
ROWS = {
    "size": (0.03, 0.28),
    "eccentricity": (0.1, 0.9),
    "border_irregularity": (0.0, 0.14),
    "lesion_colour": (0.15, 1.7),
    "skin_colour": (0.1, 0.75),
    "hair": (0.0, 1.0),
}
COLUMNS = 9
MIDDLE = {
    "size": 0.15,
    "eccentricity": 0.55,
    "orientation": 0.5,
    "border_irregularity": 0.05,
    "lesion_colour": 0.8,
    "lesion_hue": 0.14,
    "skin_colour": 0.35,
    "illumination": 0.72,
}


def draw(ink: str, target: Path) -> None:
    steps = torch.linspace(0, 1, COLUMNS)
    base = {}
    for name in FACTORS:
        base[name] = torch.full((COLUMNS,), MIDDLE.get(name, 0.0))
    base["dx"] = torch.full((COLUMNS,), FACTORS["dx"].values.index("nv"))
    fig, axes = figure(7.2, 4.2, rows=len(ROWS))
    for axis, (name, (low, high)) in zip(axes, ROWS.items(), strict=True):
        images = render(base | {name: low + (high - low) * steps}, size=96, seed=8, lesion=torch.zeros(COLUMNS).long())
        axis.imshow(torch.nn.functional.pad(images, (0, 4), value=0).permute(2, 0, 3, 1).flatten(1, 2), alpha=mask())
        axis.set_ylabel(name.replace("_", " "), rotation=0, ha="right", va="center", color=ink)
        axis.set(xticks=[], yticks=[])
        axis.spines[:].set_visible(False)
    fig.savefig(target, dpi=130, transparent=True, bbox_inches="tight")


def mask() -> torch.Tensor:
    """Opaque images with a transparent gap after each."""
    return torch.cat([torch.ones(96, 96), torch.zeros(96, 4)], 1).repeat(1, COLUMNS)


if __name__ == "__main__":
    draw("#1f2328", STATIC / "factors-light.png")
    draw("#e6e8eb", STATIC / "factors-dark.png")
