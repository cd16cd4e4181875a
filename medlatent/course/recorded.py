"""The recorded runs that a page shows."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import numpy as np

from ..plans import FILE, Plan
from ..records import Record, results_folder


def recorded_runs(slug: str, profile: str = "laptop") -> dict[str, Record]:
    """The records of the runs that a chapter's plan lists for a profile, in the order of their names.

    What else lies in the chapter's folder, such as the runs of another profile, is no part of the page's comparison.

    Args:
        slug: of the chapter.
        profile: ``"laptop"``, as which the runs that the pages show were made, ``"ci"`` or ``"paper"``.

    Raises:
        FileNotFoundError: none of them is recorded; the message says which command makes them.
    """
    folder = results_folder() / slug
    names = sorted(job.name for job in Plan.read(folder / FILE).jobs(profile))
    found = {name: Record.read(path) for name in names if (path := folder / f"{name}.json").is_file()}
    if not found:
        raise FileNotFoundError(
            f"no run of the profile {profile} is recorded in {folder}: "
            f"`python -m medlatent run {folder / FILE} --profile {profile}` makes them"
        )
    return found


def seed_values(
    runs: Mapping[str, Record], prefix: str, measure: str, judged_on: str, seeds: Collection[int] | None = None
) -> np.ndarray:
    """A number of all recorded seeds of a run.

    Args:
        runs: as :func:`recorded_runs` gives them.
        prefix: of the names, ``prefix_seed0`` and so on.
        measure: the number's name.
        judged_on: source and split that it was computed on, such as ``"acdc.64/test"``.
        seeds: those that count; by default all.

    Returns:
        ``(S,)``, in the order of ``runs``; ``(0,)`` where no seed is recorded.

    Raises:
        KeyError: a run has no such number.
    """
    name = re.compile(re.escape(prefix) + r"_seed(\d+)")
    found = {run: int(match[1]) for run in runs if (match := name.fullmatch(run))}
    chosen = [run for run, seed in found.items() if seeds is None or seed in seeds]
    return np.array([runs[run].metrics[judged_on]["values"][measure] for run in chosen], dtype=float)
