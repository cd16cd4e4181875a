"""What losses of several tensors ask of their shapes; every message names the arguments.

Without it (B,) and (B, 1) would broadcast to a table of all pairs, and its mean would look like a loss.
"""

from __future__ import annotations

from torch import Tensor


def one_shape(**given: Tensor) -> None:
    """Refuses tensors that are not all of one shape."""
    if len({value.shape for value in given.values()}) > 1:
        raise ValueError(f"expected one shape, got {_shapes(given)}")


def one_each(name: str, rows: Tensor, **given: Tensor) -> None:
    """Refuses rows that are not ``(B, D)``, and tensors that have not one value for each of them, ``(B,)``."""
    if rows.ndim != 2 or any(value.shape != rows.shape[:1] for value in given.values()):
        raise ValueError(f"expected {name} (B, D) and one value a row, (B,), got {_shapes({name: rows, **given})}")


def codes_of_one_batch(*pairs: dict[str, Tensor]) -> None:
    """Refuses codes that are not ``(B, D)`` with one B, and pairs of codes whose D differs."""
    given = {name: value for pair in pairs for name, value in pair.items()}
    if any(value.ndim != 2 for value in given.values()) or len({len(value) for value in given.values()}) > 1:
        raise ValueError(f"expected codes (B, D) of one batch, got {_shapes(given)}")
    for pair in pairs:
        one_shape(**pair)


def _shapes(given: dict[str, Tensor]) -> str:
    return ", ".join(f"{name} {tuple(value.shape)}" for name, value in given.items())
