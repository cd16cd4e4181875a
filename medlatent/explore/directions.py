"""What the explorer's view *directions* shows: directions of a latent space, and what each was measured to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

UNNAMED = ""  # the set of an explorer that has only one


@dataclass(frozen=True, eq=False)
class Directions:
    """Directions of a latent space, one in each column of A, and what shifting along them was measured to do.

    A code z is shifted by α along direction k to z + A(α e_k), the shift of Equation 3 of Schön et al. (2022).
    Directions of the same length are shifted alike by the same α; the searches for directions give unit length.

    Attributes:
        matrix: A, ``(d, K)``, as it is applied to codes: NumPy or torch. It becomes float32.
        effects: by how much each factor changes for one unit of α, ``(K, F)``, in the factor's unit; None where nobody
            has measured it.
        factors: what the F factors are called.
        units: of the factors: one for all of them, or F; by default none.
        low: where an interval of each effect begins, ``(K, F)``; given together with ``high``.
        high: where it ends.
        interval: what that interval is, such as ``"95 % interval over codes"``.
        names: of the K directions; by default a0, a1, …, as the columns of A are counted in code.

    Raises:
        ValueError: a shape does not fit, a value is NaN or infinite, a column is 0, the ends of an interval are
            exchanged, or a name is no text; the message says which.
    """

    matrix: np.ndarray
    effects: np.ndarray | None = None
    factors: tuple[str, ...] = ()
    units: tuple[str, ...] | str = ""
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    interval: str = "95 % interval"
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        matrix = _numbers("matrix", self.matrix)
        if matrix.ndim != 2 or not matrix.size:
            raise ValueError(f"Directions: matrix must be A, (d, K), got {matrix.shape}")
        names = [f"a{k}" for k in range(matrix.shape[1])] if self.names is None else _texts("names", self.names)
        if len(names) != matrix.shape[1]:
            raise ValueError(f"Directions: {len(names)} names for the {matrix.shape[1]} columns of the matrix")
        if not (used := matrix.any(0)).all():
            raise ValueError(f"Directions: column {int(used.argmin())} of the matrix is 0, no direction")
        factors = _texts("factors", self.factors)
        if repeated := [name for name in factors if factors.count(name) > 1]:
            raise ValueError(f"Directions: the factor {repeated[0]!r} is named more than once")
        units = self.units if isinstance(self.units, str) else _texts("units", self.units, blank=True)
        units = [units] * len(factors) if isinstance(units, str) else units
        if len(units) != len(factors):
            raise ValueError(f"Directions: {len(units)} units for {len(factors)} factors")
        if (self.effects is None) != (not factors):
            raise ValueError("Directions: effects and factors belong together; give both, or neither of them")
        if (self.low is None) != (self.high is None) or (self.effects is None and self.low is not None):
            raise ValueError("Directions: low and high are the ends of the effects' intervals; give both, and effects")
        if not isinstance(self.interval, str) or not self.interval.strip():
            raise ValueError(f"Directions: interval must say what lies from low to high, got {self.interval!r}")
        tables = {name: self._table(name, names, factors) for name in ("effects", "low", "high")}
        if tables["low"] is not None and (exchanged := np.argwhere(tables["low"] > tables["high"])).size:
            k, f = exchanged[0]
            ends = f"from {tables['low'][k, f]:g} to {tables['high'][k, f]:g}"
            raise ValueError(f"Directions: the interval of {names[k]} on {factors[f]!r} goes {ends}: low is above high")
        given = {"matrix": matrix, **tables, "factors": tuple(factors), "units": tuple(units), "names": tuple(names)}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def _table(self, name: str, names: Sequence[str], factors: Sequence[str]) -> np.ndarray | None:
        if getattr(self, name) is None:
            return None
        expected = (len(names), len(factors))
        table = _numbers(name, getattr(self, name), names, factors)
        if table.shape != expected:
            raise ValueError(
                f"Directions: {name} must be (K, F) = {expected}, {expected[0]} directions and {expected[1]} factors, "
                f"got {table.shape}"
            )
        return table


def direction_sets(directions: Directions | Mapping[str, Directions] | None, width: int) -> dict[str, Directions]:
    """The sets of directions by their names, checked against each other and the code.

    Args:
        directions: one set, or several by their names.
        width: the dimension d of the code.

    Raises:
        ValueError: one is no :class:`Directions`, has another d, or measures other factors than the rest.
    """
    if directions is None:
        return {}
    sets = {UNNAMED: directions} if isinstance(directions, Directions) else directions
    if not isinstance(sets, Mapping):
        raise ValueError(f"directions: expected Directions, or several by name, got {type(sets).__name__}")
    if not sets:
        raise ValueError("directions: there are none; pass None")
    for name, each in sets.items():
        if not isinstance(name, str) or (not name.strip() and len(sets) > 1):
            raise ValueError(f"directions: a set must have a name to be chosen by, got {name!r}")
        if not isinstance(each, Directions):
            raise ValueError(f"directions: expected Directions{_of(name)}, got {type(each).__name__}")
        if each.matrix.shape[0] != width:
            raise ValueError(
                f"directions: the matrix{_of(name)} is {each.matrix.shape}, but the code has {width} dimensions, one "
                "for each row of A"
            )
    measured = {name: (each.factors, each.units) for name, each in sets.items() if each.factors}
    if len(set(measured.values())) > 1:
        said = "; ".join(
            f"{name}: {', '.join(' in '.join(filter(None, pair)) for pair in zip(*of, strict=True))}"
            for name, of in measured.items()
        )
        raise ValueError(f"directions: sets are compared by the same factors in the same units, got {said}")
    return dict(sets)


def strongest(directions: Directions, factor: str) -> int:
    """The direction with the largest effect on a factor, of either sign.

    Raises:
        ValueError: the factor was not measured.
    """
    if factor not in directions.factors:
        known = ", ".join(directions.factors) or "none"
        raise ValueError(f"factor {factor!r} was not measured; these were: {known}")
    return int(np.abs(directions.effects[:, directions.factors.index(factor)]).argmax())


def as_state(sets: Mapping[str, Directions]) -> dict[str, object]:
    """The sets as the front end reads them: words, and the numbers of all of them one after the other.

    ``directions`` has the words of each set. ``direction_matrices`` holds each A direction after direction, ``(K, d)``;
    ``direction_effects`` the effects ``(K, F)``, and after them, where there are intervals, their ends; both float32.
    """
    said, matrices, effects = [], [], []
    for name, each in sets.items():
        tables = [table for table in (each.effects, each.low, each.high) if table is not None]
        said.append(
            {
                "name": name,
                "names": list(each.names),
                "factors": list(each.factors),
                "units": list(each.units),
                "interval": each.interval if each.low is not None else "",
            }
        )
        matrices.append(each.matrix.T)
        effects += tables
    return {
        "directions": said,
        "direction_matrices": b"".join(m.astype("<f4").tobytes() for m in matrices),
        "direction_effects": b"".join(e.astype("<f4").tobytes() for e in effects),
    }


def _of(name: str) -> str:
    return f" of {name!r}" if name else ""


def _numbers(
    what: str, values: object, rows: Sequence[str] | None = None, columns: Sequence[str] | None = None
) -> np.ndarray:
    """float32; of rows and columns with names the message names the value that is not finite."""
    values = values.detach().cpu().numpy() if isinstance(values, Tensor) else values
    try:
        array = np.asarray(values, dtype=np.float32)
    except (TypeError, ValueError):
        raise ValueError(f"Directions: {what} must be numbers, got {type(values).__name__}") from None
    if (wrong := np.argwhere(~np.isfinite(array))).size:
        at = tuple(map(int, wrong[0]))
        named = rows is not None and array.shape == (len(rows), len(columns))
        where = f"of {rows[at[0]]} on {columns[at[1]]!r}" if named else f"at {at}"
        raise ValueError(f"Directions: {what} {where} is {array[at]:g}; leave out what could not be computed")
    return array


def _texts(what: str, names: object, blank: bool = False) -> list[str]:
    fits = isinstance(names, Sequence) and not isinstance(names, str)
    if not fits or not all(isinstance(name, str) and (blank or name.strip()) for name in names):
        raise ValueError(f"Directions: {what} must be a sequence of texts, got {names!r}")
    return list(names)
