"""What the system offers to keep a submission away from the network, the gradebook and the other submissions."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ...files import places

LIMITS_SCRIPT = Path(__file__).with_name("limits.py")
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
BUBBLEWRAP = (
    *("bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"),
)
UNSHARE = ("unshare", "--map-root-user", "--net", "--")


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes:
        cell: seconds a cell.
        whole: seconds in all, without those that a kernel takes to start.
        memory: bytes of address space.
        output: bytes of output that are kept, and so come into the feedback.
        file_size: bytes a file that it writes or hands in.
    """

    cell: int = 300
    whole: int = 1200
    memory: int = 16 * 10**9
    output: int = 5 * 10**6
    file_size: int = 100 * 10**6

    def __str__(self) -> str:
        return (
            f"{self.cell} s a cell, {self.whole} s in all, {self.memory / 1e9:g} GB of memory, "
            f"{self.output / 1e6:g} MB of output, {self.file_size / 1e6:g} MB a file"
        )


@functools.cache
def offered() -> str:
    """What can keep submissions apart here: ``bubblewrap``, which hides files too, ``unshare``, or nothing."""
    if _works([*BUBBLEWRAP, "--tmpfs", tempfile.gettempdir(), "true"]):
        return "bubblewrap"
    return "unshare" if _works([*UNSHARE, "true"]) else ""


def statement(isolation: str) -> str:
    """What this keeps from a submission, and what not, in a sentence."""
    if isolation == "bubblewrap":
        return "Submissions run without network and see neither this course nor your home folder (bubblewrap)."
    files = "they CAN READ AND CHANGE your files, the gradebook too: install bubblewrap, or grade in a container"
    if isolation == "unshare":
        return f"Submissions run without network (unshare), but {files}."
    return f"Submissions run WITH NETWORK, since neither bubblewrap nor unshare works here, and {files}."


def prefix(isolation: str, box: Path, hidden: list[Path], limits: Limits) -> list[str]:
    """What stands before the command of a submission's kernel.

    Args:
        isolation: what ``offered`` found.
        box: the submission's own folder, the only one that it can write to.
        hidden: folders that it must not see.
        limits: of memory and of files.
    """
    command = {"bubblewrap": list(BUBBLEWRAP), "unshare": list(UNSHARE), "": []}[isolation]
    if isolation == "bubblewrap":
        covered, bound = _covered(), []
        for folder in covered:
            command += ["--tmpfs", str(folder)]
        for path in _needed():
            if _inside(path, covered) and not _inside(path, bound):
                command += ["--ro-bind", str(path), str(path)]
                bound.append(path)
        for folder in [*hidden, places.PROJECT / "notebooks"]:
            if folder.is_dir():
                command += ["--tmpfs", str(folder.resolve())]
        command += ["--bind", str(box), str(box), "--chdir", str(box / "work"), "--"]
    return [*command, sys.executable, "-I", str(LIMITS_SCRIPT), str(limits.memory), str(limits.file_size)]


def environment(box: Path) -> dict[str, str]:
    """The variables of a submission's process: none of the keys and tokens that yours may hold."""
    kept = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("MEDLATENT_")}
    return kept | {
        "HOME": str(box),
        "TMPDIR": str(box / "tmp"),
        "MPLCONFIGDIR": str(box / "matplotlib"),
        "NBGRADER_EXECUTION": "autograde",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _covered() -> list[Path]:
    """Folders of which a submission sees only what it needs: yours, and those of other programs.

    Services of the machine listen on sockets in ``/run``, which no network of its own keeps away.
    """
    folders = {Path(tempfile.gettempdir()).resolve(), Path("/tmp"), Path("/run"), Path.home().resolve()}
    return sorted(folder for folder in folders if folder.is_dir() and folder != Path("/"))


def _inside(path: Path, folders: list[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)


@functools.cache
def _needed() -> tuple[Path, ...]:
    """Where Python, the packages and the data lie; a parent before what lies in it."""
    asked = subprocess.run(
        [sys.executable, "-P", "-c", "import json, sys; print(json.dumps(sys.path))"],
        capture_output=True,
        text=True,
        check=True,
    )
    data = [value for name, value in os.environ.items() if name.startswith("MEDLATENT_")]
    there = [sys.prefix, sys.base_prefix, Path(sys.executable).resolve().parents[1], *json.loads(asked.stdout)]
    there += [places.PROJECT / "medlatent", places.PROJECT / "results", *data]
    found = {Path(path) for path in there if str(path) and Path(path).is_absolute()}
    found = {path for path in found | {path.resolve() for path in found} if path.exists() and path != Path("/")}
    return tuple(sorted(found))


def _works(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
