"""The arguments of an explorer, checked: what does not fit is refused by the name of the argument."""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from .measuring import Scale

MOST_DIMENSIONS = 2**14  # a page holds limits and a name for each
MOST_PICTURES = 6  # side by side; more would be too small to see
LARGEST = float(np.finfo(np.float32).max)  # codes have 32 bits


def width_of(model: nn.Module, latent_dim: int | None) -> int:
    """The dimension of the code, which is known before anything of its size is made."""
    width = getattr(model, "latent_dim", None) if latent_dim is None else latent_dim
    if not isinstance(width, Integral) or isinstance(width, bool) or width < 1:
        says = "the model says" if latent_dim is None else "expected a whole number from 1, got"
        raise ValueError(f"latent_dim: {says} {width!r}; pass the dimension of its code")
    if width > MOST_DIMENSIONS:
        raise ValueError(f"latent_dim: an explorer takes at most {MOST_DIMENSIONS} dimensions, got {width}")
    return int(width)


def texts(name: str, values: Iterable[str], count: int, of: str) -> list[str]:
    """The texts that an argument gives to so many things."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise ValueError(f"{name}: expected a sequence of texts, got {values!r}")
    found = list(values)
    if wrong := [value for value in found if not isinstance(value, str)]:
        raise ValueError(f"{name}: expected texts, got {wrong[0]!r}")
    if len(found) != count:
        raise ValueError(f"{name}: {len(found)} for {count} {of}")
    return found


def whole_numbers(name: str, dimensions: Iterable[int]) -> list[int]:
    """The numbers of the dimensions that an argument names."""
    try:
        found = list(dimensions)
    except TypeError:
        raise ValueError(f"{name}: expected a sequence of dimensions, got {dimensions!r}") from None
    return [_whole(d, f"{name}: expected the numbers of dimensions, got {d!r}") for d in found]


def _whole(number: object, message: str) -> int:
    if not isinstance(number, bool):
        try:
            return operator.index(number)
        except TypeError:
            pass
    raise ValueError(message)


def distinct(name: str, dimensions: Iterable[int], width: int) -> list[int]:
    """The dimensions that an argument names, each of which must be there, once."""
    found = whole_numbers(name, dimensions)
    if wrong := [d for d in found if not 0 <= d < width]:
        raise ValueError(f"{name}: there is no dimension {wrong[0]}, the code has {width}")
    if repeated := [d for d in found if found.count(d) > 1]:
        raise ValueError(f"{name}: {repeated[0]} is named more than once")
    return found


def is_finite(number: object) -> bool:
    """Whether it is a number that a code can hold."""
    return isinstance(number, Real) and not isinstance(number, bool) and abs(number) <= LARGEST


def interval(name: str, ends: tuple[float, float]) -> tuple[float, float]:
    """The two ends that an argument names, the smaller one first."""
    pair = tuple(ends) if isinstance(ends, Iterable) and not isinstance(ends, str) else ()
    if len(pair) != 2 or not all(map(is_finite, pair)) or not pair[0] < pair[1]:
        raise ValueError(f"{name}: expected two finite numbers, the smaller one first, got {ends}")
    return float(pair[0]), float(pair[1])


def finite_code(code: Tensor | Sequence[float], width: int) -> np.ndarray:
    """A code as an array of 64 bits."""
    try:
        found = np.asarray(_plain(code), dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"code: expected {width} finite numbers, got {code!r}") from None
    if found.shape != (width,) or not (np.abs(found) <= LARGEST).all():
        raise ValueError(f"code: expected {width} finite numbers, got {found.tolist()}")
    return found


def walk_steps(walk: Iterable[tuple[int, float]], width: int) -> list[tuple[int, float]]:
    """Pairs of a dimension and a value."""
    found = []
    for step in walk if isinstance(walk, Iterable) else [walk]:
        message = f"walk: expected pairs of a dimension and a finite value, got {step}"
        if not isinstance(step, Iterable) or len(pair := tuple(step)) != 2 or not is_finite(pair[1]):
            raise ValueError(message)
        found.append((_whole(pair[0], message), float(pair[1])))
        if not 0 <= found[-1][0] < width:
            raise ValueError(f"walk: there is no dimension {found[-1][0]}, the code has {width}")
    if not found:
        raise ValueError("walk: name at least one (dimension, value); for no walk, pass views")
    return found


def direction_limit(max_shift: float) -> float:
    """The largest shift along a direction."""
    if not is_finite(max_shift) or max_shift <= 0:
        raise ValueError(f"max_shift: expected a positive number, got {max_shift!r}")
    return float(max_shift)


def view_names(views: Sequence[str], possible: Sequence[str], needs: Mapping[str, str]) -> list[str]:
    """The views that an argument names; ``needs`` says of others what they lack."""
    found = [views] if isinstance(views, str) else list(views)
    if wrong := [view for view in found if view not in possible]:
        why = f"; it needs {needs[wrong[0]]}" if wrong[0] in needs else ""
        raise ValueError(f"views: {wrong[0]!r} is none of {', '.join(possible)}{why}")
    if not found:
        raise ValueError(f"views: name at least one of {', '.join(possible)}")
    if repeated := [view for view in found if found.count(view) > 1]:
        raise ValueError(f"views: {repeated[0]!r} is named more than once")
    return found


def posteriors_of(posteriors: tuple[Tensor, Tensor] | Tensor | None, width: int) -> list[Tensor]:
    """The means, and the log-variances where they are given."""
    given = [] if posteriors is None else posteriors if isinstance(posteriors, tuple | list) else [posteriors]
    try:
        given = [torch.as_tensor(_plain(p)).float() for p in given]
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"posteriors: expected two of (N, {width}), got {type(posteriors).__name__}") from None
    if len(given) > 2 or any(p.ndim != 2 or p.shape[1] != width or p.shape != given[0].shape for p in given):
        raise ValueError(f"posteriors: expected two of (N, {width}), got {[tuple(p.shape) for p in given]}")
    if any(not len(p) or not p.isfinite().all() for p in given):
        what = "a value is not finite; leave those images out" if len(given[0]) else "there are none; pass None"
        raise ValueError(f"posteriors: {what}")
    return given


def as_images(images: Tensor | np.ndarray) -> Tensor:
    """Images as a tensor."""
    try:
        return images if isinstance(images, Tensor) else torch.as_tensor(np.asarray(images))
    except (TypeError, ValueError):
        raise ValueError(f"images: expected a tensor (M, C, H, W), got {type(images).__name__}") from None


def picture_names(names: Sequence[str]) -> list[str]:
    """What the pictures are called that stand side by side; nothing where the channels are one picture."""
    if isinstance(names, str) or not all(isinstance(name, str) and name.strip() for name in names):
        raise ValueError(f"pictures: expected a sequence of names, one for each channel, got {names!r}")
    if len(names) > MOST_PICTURES:
        raise ValueError(f"pictures: at most {MOST_PICTURES} can be shown side by side, got {len(names)}")
    return list(names)


def scales_of(scales: Mapping[int, Scale], width: int, category: Sequence[int]) -> dict[str, dict]:
    """The scales as the front end reads them, by the number of their dimension."""
    if not isinstance(scales, Mapping):
        raise ValueError(f"scales: expected a Scale for each dimension by its number, got {scales!r}")
    for d, scale in scales.items():
        if not isinstance(scale, Scale):
            raise ValueError(f"scales: expected a Scale for dimension {d}, got {scale!r}")
        if not isinstance(d, Integral) or d not in range(width):
            raise ValueError(f"scales: there is no dimension {d}, the code has {width}")
        if d in category:
            raise ValueError(f"scales: dimension {d} belongs to the category, whose values are 0 and 1")
    return {str(int(d)): dataclasses.asdict(scale) for d, scale in scales.items()}


def colouring(labels: Mapping[str, Sequence], count: int, most: int) -> list[dict]:
    """Numbers by which the points of the map are coloured, of the first ``most``; class names become their indices."""
    if not isinstance(labels, Mapping):
        raise ValueError(f"labels: expected values by name, got {type(labels).__name__}")
    return [_colour(name, values, count, most) for name, values in labels.items()]


def _colour(name: str, values: Sequence, count: int, most: int) -> dict:
    if not isinstance(name, str):
        raise ValueError(f"labels: expected a text as the name, got {name!r}")
    try:
        values = np.asarray(_plain(values))
    except ValueError:
        raise ValueError(f"labels: {name!r} must have one number or one name for each posterior") from None
    if not count or values.shape != (count,):
        raise ValueError(f"labels: {name!r} has the shape {values.shape} for {count or 'no'} posteriors")
    values = values[:most]
    if pd.isna(values).any() or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise ValueError(f"labels: {name!r} has a value that is missing or not finite; leave those images out")
    if values.dtype.kind == "f":
        return {"name": name, "kind": "continuous", "values": values.tolist(), "levels": []}
    levels, indices = np.unique(values.astype(str), return_inverse=True)
    return {"name": name, "kind": "class", "values": indices.tolist(), "levels": levels.tolist()}


def _plain(values: object) -> object:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values
