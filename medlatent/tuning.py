"""Choosing hyperparameters: grids of runs over seeds kept on disk, the search of Liu et al. (2022, section 3.3)."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .files import replacing

SIGMAS = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)  # what Liu et al. search
WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
SAME_ORDER = 0.5  # two numbers are of one order where they differ by less than a factor of √10


@dataclass(frozen=True)
class Trial:
    """What one trial of a search found.

    Attributes:
        sigma: the bandwidth.
        weight: λ.
        dependence: the magnitude of the term that λ weighs, unweighted, such as HSIC.
        adversarial: the magnitude of the loss that it stands beside.
    """

    sigma: float
    weight: float
    dependence: float
    adversarial: float

    @property
    def weighted(self) -> float:
        """λ times the dependence."""
        return self.weight * self.dependence

    @property
    def orders(self) -> float:
        """The decimal logarithm of their ratio, weighted dependence over the other loss; -inf where there is none."""
        return math.log10(self.weighted / self.adversarial) if self.dependence else -math.inf


@dataclass(frozen=True)
class Balance:
    """The outcome of :func:`balance`.

    Attributes:
        chosen: the trial that was chosen.
        trials: all trials in the order in which they were run: first those of the bandwidth, then those of the weight.
        target: what the ratio of the two losses was to be.
    """

    chosen: Trial
    trials: tuple[Trial, ...]
    target: float

    @property
    def same_order(self) -> bool:
        """Whether the chosen ratio is within a factor of √10 of the target."""
        return _distance(self.chosen, self.target) < SAME_ORDER


def balance(
    trial: Callable[[float, float], tuple[float, float]],
    sigmas: Sequence[float] = SIGMAS,
    weights: Sequence[float] = WEIGHTS,
    target: float = 1.0,
) -> Balance:
    """Searches σ first, then λ, until λ times a dependence is of the order of the loss beside it.

    Liu et al. find a good bandwidth first, "and then fine tune by finding the optimal λ"; what matters, they say, is
    that "the generator loss and the HSIC loss have the same order of magnitude". So: with λ = 1 every bandwidth is
    tried, and the one is kept whose ratio of dependence to adversarial loss is nearest to ``target`` on a logarithmic
    scale. With this bandwidth every weight is tried, and the nearest one kept. Of equally near ones the first.

    What a trial does is the caller's: train a model for some steps, or look at a single batch. The search looks at
    magnitudes alone and neither knows nor asks whether the trained model is a good one.

    Args:
        trial: ``trial(sigma, weight)`` returns the magnitudes of the dependence, unweighted and not negative, and of
            the adversarial loss, positive: two numbers.
        sigmas: the bandwidths, positive.
        weights: the values of λ, positive; 1 is not tried a second time.
        target: the ratio of λ times dependence to the adversarial loss.

    Returns:
        All trials, and the one that was chosen.

    Raises:
        ValueError: ``sigmas`` or ``weights`` is empty or holds a number that is not positive, ``target`` is not
            positive, a trial returns no such two numbers, or no bandwidth gives a dependence above 0; the message names
            the argument, or σ and λ of the trial.
    """
    for name, values in (("sigmas", sigmas), ("weights", weights), ("target", (target,))):
        if not len(values):
            raise ValueError(f"{name}: expected one value or more")
        if wrong := [v for v in values if not (v > 0 and math.isfinite(v))]:
            raise ValueError(f"{name}: expected positive numbers, got {wrong[0]}")

    def nearest(found: Sequence[Trial]) -> Trial:
        return min(found, key=lambda one: _distance(one, target))

    first = [_run(trial, sigma, 1.0) for sigma in sigmas]
    best = nearest(first)
    if not best.dependence:
        raise ValueError(f"trial: the dependence is 0 at all sigmas, {min(sigmas):g} to {max(sigmas):g}")
    second = [_run(trial, best.sigma, weight) for weight in weights if weight != 1]
    return Balance(nearest([best, *second] if 1 in weights else second), (*first, *second), target)


def _distance(trial: Trial, target: float) -> float:
    return abs(trial.orders - math.log10(target))


def _run(trial: Callable, sigma: float, weight: float) -> Trial:
    at, found = f"trial(sigma={sigma:g}, weight={weight:g})", trial(sigma, weight)
    try:
        dependence, adversarial = (float(value) for value in found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{at}: expected two numbers, dependence and adversarial loss: {error}") from error
    if not (dependence >= 0 and math.isfinite(dependence)):
        raise ValueError(f"{at}: the dependence must be finite and not negative, got {dependence}")
    if not (adversarial > 0 and math.isfinite(adversarial)):
        raise ValueError(f"{at}: the adversarial loss must be finite and positive, got {adversarial}")
    return Trial(float(sigma), float(weight), dependence, adversarial)


def grid(
    trial: Callable[..., Mapping[str, float]],
    points: Sequence[Mapping[str, str | float]],
    seeds: Sequence[int],
    path: str | os.PathLike,
) -> list[dict[str, str | float]]:
    """Tries every point with every seed, and keeps what was found in a table on disk.

    The table is written after each trial. Where it is there already, only what is missing is tried: a grid that was
    interrupted goes on, one that is whole is read, and further points or seeds are added to it.

    Args:
        trial: ``trial(seed=seed, **point)`` returns what was measured, numbers by name; the same names every time.
        points: the hyperparameters of each point, text or numbers by name; the same names in each.
        seeds: whole numbers; with each of them every point is tried.
        path: the table, a CSV file with a row for each trial: the point's columns, ``seed``, and what was measured.
            Numbers are written so that they are read back as they were.

    Returns:
        The rows of these points and seeds, all points of the first seed first. Numbers are ``float``, seeds ``int``.

    Raises:
        ValueError: there is no point or no seed; points have different names, or one of them is given twice; the table
            on disk has other columns or a row that is damaged; or a trial measures something else than those before
            it. The message names the argument, or file and line.
    """
    path, points, seeds = Path(path), [dict(p) for p in points], list(seeds)
    for name, values in (("points", points), ("seeds", seeds)):
        if not values:
            raise ValueError(f"{name}: expected one or more")
        if twice := [v for i, v in enumerate(values) if v in values[:i]]:
            raise ValueError(f"{name}: {twice[0]} is given twice")
    names = list(points[0])
    if other := [p for p in points if list(p) != names]:
        raise ValueError(f"points: {other[0]} has other names than {points[0]}")
    table = _read(path, names) if path.exists() else {}
    wanted = [(tuple(map(_text, p.values())), seed, p) for seed in seeds for p in points]
    for key, seed, point in wanted:
        if (key, seed) in table:
            continue
        found = {name: float(value) for name, value in trial(seed=seed, **point).items()}
        measured = next(iter(table.values()), found)
        if list(found) != list(measured):
            raise ValueError(
                f"trial: {point}, seed {seed} measured {', '.join(found)}; {path} holds {', '.join(measured)}"
            )
        table[key, seed] = found
        with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow([*names, "seed", *found])
            rows.writerows([*key, seed, *map(_text, values.values())] for (key, seed), values in table.items())
    return [point | {"seed": seed} | table[key, seed] for key, seed, point in wanted]


def _text(value: str | float) -> str:
    return value if isinstance(value, str) else repr(float(value))


def _read(path: Path, names: list[str]) -> dict[tuple[tuple[str, ...], int], dict[str, float]]:
    """The rows of a grid's table by point and seed."""
    with open(path, newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        head = next(rows, [])
        if head[: len(names) + 1] != [*names, "seed"]:
            raise ValueError(
                f"{path}: expected the columns {', '.join([*names, 'seed'])} first, found {', '.join(head)}"
            )
        table = {}
        for row in rows:
            try:
                if len(row) != len(head):
                    raise ValueError(f"{len(row)} fields under {len(head)} columns")
                numbers = map(float, row[len(names) + 1 :])
                found = dict(zip(head[len(names) + 1 :], numbers, strict=True))
                table[tuple(row[: len(names)]), int(row[len(names)])] = found
            except ValueError as error:
                raise ValueError(f"{path}, line {rows.line_num}: {error}") from None
    return table
