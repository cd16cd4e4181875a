"""Grids of runs over hyperparameters and seeds, kept on disk."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .engines import run_all
from .files import replacing


def grid(
    trial: Callable[..., Mapping[str, float]],
    points: Sequence[Mapping[str, str | float]],
    seeds: Sequence[int],
    path: str | os.PathLike,
    *,
    engine: Executor | str | None = None,
    workers: int = 1,
    progress: bool = False,
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
        engine: where trials run, see :func:`medlatent.engines.run_all`; a trial that runs elsewhere than in this
            process is a function of a module.
        workers: how many processes of this machine they run in; with 1, they run in this one, one after the other.
        progress: show a bar.

    Returns:
        The rows of these points and seeds, all points of the first seed first. Numbers are ``float``, seeds ``int``.

    Raises:
        ValueError: there is no point or no seed; points have different names, or one of them is given twice; or the
            table on disk has other columns or a row that is damaged. The message names the argument, or file and line.
        RuntimeError: trials failed, or measured something else than those before them. The others were tried, and what
            they found is kept. The message has the first of the failures.
        medlatent.engines.Stopped: it was interrupted, a ``KeyboardInterrupt``.
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
    wanted = [_Trial(point, seed) for seed in seeds for point in points]

    def keep(trial: _Trial, found: dict[str, float]) -> None:
        measured = next(iter(table.values()), found)
        if list(found) != list(measured):
            raise ValueError(f"it measured {', '.join(found)}; {path} holds {', '.join(measured)}")
        table[trial.key] = found
        with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow([*names, "seed", *found])
            rows.writerows([*key, seed, *map(_text, values.values())] for (key, seed), values in table.items())

    missing = [one for one in wanted if one.key not in table]
    outcomes = run_all(missing, partial(_try, trial), engine=engine, workers=workers, done=keep, progress=progress)
    if failed := [outcome for outcome in outcomes if outcome.state != "done"]:
        first = failed[0]
        error = RuntimeError(
            f"{len(failed)} of {len(missing)} trials failed; the first: {first.job.name}: {first.error or first.state}"
        )
        error.add_note(first.traceback)
        raise error
    return [one.point | {"seed": one.seed} | table[one.key] for one in wanted]


@dataclass(frozen=True)
class _Trial:
    """A point and a seed, as a job of :func:`medlatent.engines.run_all`."""

    point: dict[str, str | float]
    seed: int
    steps: int = 1

    @property
    def key(self) -> tuple[tuple[str, ...], int]:
        return tuple(map(_text, self.point.values())), self.seed

    @property
    def name(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in (self.point | {"seed": self.seed}).items())


def _try(trial: Callable, job: _Trial, report: Callable) -> dict[str, float]:
    return {name: float(value) for name, value in trial(seed=job.seed, **job.point).items()}


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
