"""What the metrics ask of their arguments; every message names the argument."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor


def to_numpy(values) -> np.ndarray:
    """NumPy arrays, lists, and tensors of any device that may require gradients."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def finite(name: str, values, shape: str, at_least: int = 1) -> np.ndarray:
    """The values in float64, of a shape such as ``"(N, D)"``, with at least so many rows."""
    if isinstance(values, Tensor):
        values = values.detach().cpu().double()  # NumPy knows no bfloat16
    try:
        values = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers ({error}); number the names first") from error
    if values.ndim != shape.count(",") + 1 or not values.size:
        raise ValueError(f"{name}: expected an array {shape}, got {values.shape}")
    if len(values) < at_least:
        raise ValueError(f"{name}: {len(values)} rows, at least {at_least} are needed")
    if not np.isfinite(values).all():
        at = np.argwhere(~np.isfinite(values))[0].tolist()
        raise ValueError(
            f"{name}: row {at[0]} holds NaN or infinity, {name}{at}; drop the row, or find out where it comes from"
        )
    return values


def posterior(mean, logvar) -> tuple[np.ndarray, np.ndarray]:
    """Means and log-variances of one shape ``(N, D)``."""
    mean, logvar = finite("mean", mean, "(N, D)"), finite("logvar", logvar, "(N, D)")
    if mean.shape != logvar.shape:
        raise ValueError(f"mean and logvar must have one shape (N, D), got {mean.shape} and {logvar.shape}")
    return mean, logvar


def class_labels(name: str, labels, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes in order, and each row's index among them; numbers or strings, at least two classes."""
    labels = to_numpy(labels)
    if labels.shape != (rows,):
        raise ValueError(f"{name}: expected one label a row, ({rows},), got {labels.shape}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"{name}: label {int((~np.isfinite(labels)).argmax())} is NaN or infinite; drop that row")
    classes, index = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"{name}: all rows have the class {classes[0].item()!r}; at least two classes are needed")
    return classes, index


def group_labels(groups, rows: int) -> np.ndarray:
    """Whose each row is, ``(rows,)``, numbered from 0; without groups each row is its own."""
    if groups is None:
        return np.arange(rows)
    groups = to_numpy(groups)
    if groups.shape != (rows,):
        raise ValueError(f"groups: expected one a row, ({rows},), got {groups.shape}")
    if groups.dtype.kind == "f" and not np.isfinite(groups).all():
        raise ValueError(f"groups: that of row {int((~np.isfinite(groups)).argmax())} is NaN or infinite")
    return np.unique(groups, return_inverse=True)[1]


def confusion(truth: np.ndarray, seen: np.ndarray, classes: int) -> np.ndarray:
    """Counts ``(K, K)`` of pairs of class indices: the row is the truth, the column what was seen."""
    return np.bincount(truth * classes + seen, minlength=classes**2).reshape(classes, classes)


def in_evaluation(name: str, function: Callable) -> None:
    """Refuses a network, or a method of one, that is in training mode: dropout and batch norm would change numbers."""
    owner = getattr(function, "__self__", function)
    if getattr(owner, "training", False) is True:
        raise ValueError(f"{name}: {type(owner).__name__} is in training mode; call its eval() first")
