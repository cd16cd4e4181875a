"""The recorded runs that a page shows."""

from __future__ import annotations

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
