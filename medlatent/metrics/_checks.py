"""What the metrics ask of their arguments; every message names the argument."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import torch
from torch import Tensor

LARGEST = 1e70  # in size: beyond, a sum of squares of squares may leave the range of float64
LARGEST_LOGVAR = 700.0  # of a variance that float64 holds, and sums of many
LARGEST_WHOLE = 2**53  # beyond, two whole numbers may be one in float64
MOST_CLASSES = 10_000  # where nobody says how many there are: more are no indices


def to_numpy(name: str, values) -> np.ndarray:
    """Arrays, lists, columns of tables, and tensors of any device and precision that may require gradients.

    Raises:
        ValueError: an entry is masked or missing, text stands beside numbers, or it is no array.
    """
    if any(np.ma.is_masked(part) for part in (values if isinstance(values, list | tuple) else [values])):
        raise ValueError(f"{name}: an entry is masked; drop its row, or fill it in")
    try:
        if isinstance(values, Tensor):
            values = values.detach().cpu()
            values = (values.float() if values.dtype == torch.bfloat16 else values).numpy()  # NumPy knows no bfloat16
        array = np.asarray(values)
        # A list that holds text is text as a whole: a missing value would be one that is called "nan".
        given = array if array.dtype.kind in "biufc" or not array.ndim else np.asarray(values, dtype=object)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name}: expected an array ({error})") from error
    if given.dtype != object or not given.ndim:
        return array
    if (missing := pd.isna(given)).any():
        raise ValueError(f"{name}{np.argwhere(missing)[0].tolist()} is missing; drop that row, or fill it in")
    if array.dtype == object:
        array = np.asarray(array.tolist())  # numbers and text may come as objects
    if array.dtype.kind == "U" and not all(isinstance(value, str) for value in given.flat):
        raise ValueError(f"{name}: text and numbers are mixed; name all by text, or number all")
    return array


def numbers(name: str, values) -> np.ndarray:
    """The values in float64, of any shape; some may be NaN or infinite.

    Raises:
        ValueError: the values are no real numbers, or whole ones that float64 cannot tell apart.
    """
    array = to_numpy(name, values)
    if array.dtype.kind in "US":
        raise ValueError(f"{name}: expected numbers, got text; number the names first")
    if array.dtype.kind not in "biuf":
        what = "complex ones; take their real part or their size" if array.dtype.kind == "c" else f"{array.dtype}"
        raise ValueError(f"{name}: expected real numbers, got {what}")
    if array.dtype.kind in "iu" and array.size and max(-int(array.min()), int(array.max())) > LARGEST_WHOLE:
        raise ValueError(
            f"{name}: holds whole numbers beyond ±2⁵³, which float64 cannot tell apart; number them from 0"
        )
    return array.astype(np.float64, copy=False)


def finite(name: str, values, shape: str, at_least: int = 1, largest: float = LARGEST) -> np.ndarray:
    """The values in float64, of a shape such as ``"(N, D)"``, with at least so many rows, none larger in size.

    Raises:
        ValueError: they are none of that, or one is NaN.
    """
    values = numbers(name, values)
    if values.ndim != shape.count(",") + 1 or not values.size:
        raise ValueError(f"{name}: expected an array {shape}, got {values.shape}")
    if len(values) < at_least:
        raise ValueError(f"{name}: {len(values)} rows, at least {at_least} are needed")
    if not np.isfinite(values).all():
        at = np.argwhere(~np.isfinite(values))[0].tolist()
        raise ValueError(
            f"{name}: row {at[0]} holds NaN or infinity, {name}{at}; drop the row, or find out where it comes from"
        )
    not_larger(name, values, largest)
    return values


def is_whole(name: str, values) -> bool:
    """Whether they are of a type of whole numbers, which have no range of their own; true and false have one."""
    return to_numpy(name, values).dtype.kind in "iu"


def not_larger(name: str, values: np.ndarray, largest: float) -> None:
    """Refuses finite values from which float64 could not compute."""
    if max(-values.min(), values.max()) > largest:
        at = np.unravel_index(np.abs(values).argmax(), values.shape)
        where = [int(i) for i in at]
        raise ValueError(f"{name}{where} is {values[at]:g}, beyond ±{largest:g}; rescale {name}")


def posterior(mean, logvar) -> tuple[np.ndarray, np.ndarray]:
    """Means and log-variances of one shape ``(N, D)``."""
    mean, logvar = finite("mean", mean, "(N, D)"), finite("logvar", logvar, "(N, D)")
    if mean.shape != logvar.shape:
        raise ValueError(f"mean and logvar must have one shape (N, D), got {mean.shape} and {logvar.shape}")
    if logvar.max() > LARGEST_LOGVAR:
        at = np.argwhere(logvar > LARGEST_LOGVAR)[0].tolist()
        raise ValueError(
            f"logvar: row {at[0]} has {logvar[tuple(at)]:g}, whose variance overflows beyond {LARGEST_LOGVAR:g}; clamp "
            "it, or find out where it comes from"
        )
    return mean, logvar


def _names(name: str, labels, rows: int) -> np.ndarray:
    labels = to_numpy(name, labels)
    if labels.shape != (rows,):
        raise ValueError(f"{name}: expected one a row, ({rows},), got {labels.shape}")
    if labels.dtype.kind == "c" or labels.dtype == object:
        raise ValueError(f"{name}: expected numbers or text, got {labels.dtype}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(
            f"{name}: that of row {int((~np.isfinite(labels)).argmax())} is NaN or infinite; drop that row"
        )
    return labels


def class_labels(name: str, labels, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The classes in order, and each row's index among them; numbers or strings, at least two classes."""
    classes, index = np.unique(_names(name, labels, rows), return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"{name}: all rows have the class {classes[0].item()!r}; at least two classes are needed")
    return classes, index


def group_labels(groups, rows: int) -> np.ndarray:
    """Whose each row is, ``(rows,)``, numbered from 0; without groups each row is its own."""
    return np.arange(rows) if groups is None else np.unique(_names("groups", groups, rows), return_inverse=True)[1]


def indices(name: str, values, rows: int | None = None, size: int | None = None) -> np.ndarray:
    """Whole numbers from 0 to ``size - 1``, ``(rows,)``."""
    values = to_numpy(name, values)
    if values.shape != (values.size if rows is None else rows,) or not values.size or values.dtype.kind not in "biu":
        shape = "(N,)" if rows is None else f"({rows},)"
        raise ValueError(f"{name}: expected integers of the shape {shape}, got {values.dtype} {values.shape}")
    most = MOST_CLASSES if size is None else size
    if values.min() < 0 or values.max() >= most:
        raise ValueError(f"{name}: from {values.min()} to {values.max()}, expected 0 to {most - 1}; number them from 0")
    return values.astype(np.intp)


def confusion(truth: np.ndarray, seen: np.ndarray, classes: int) -> np.ndarray:
    """Counts ``(K, K)`` of pairs of class indices: the row is the truth, the column what was seen."""
    return np.bincount(truth * classes + seen, minlength=classes**2).reshape(classes, classes)


def in_evaluation(name: str, function: Callable) -> None:
    """Refuses a network, or a method of one, that is in training mode: dropout and batch norm would change numbers."""
    owner = getattr(function, "__self__", function)
    if getattr(owner, "training", False) is True:
        raise ValueError(f"{name}: {type(owner).__name__} is in training mode; call its eval() first")
