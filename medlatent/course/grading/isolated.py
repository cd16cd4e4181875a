"""Executes the sanitised notebook of one submission, apart from everything that it has no business with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib
import nbformat
from nbformat import NotebookNode

from .sandbox import Limits, environment, prefix

RUNNER = Path(__file__).with_name("runner.py")
STARTS = 600  # seconds for the kernels of one submission to start and to be stopped, on a busy machine


@dataclass
class Found:
    """What happened while a notebook ran; cells are given by their places.

    Attributes:
        cut: whether output was left out.
        timeouts: cells that ran out of time.
        unfinished: cells for which no time was left.
        died: cells in which a kernel ended, and how.
        gave_up: whether it ended in so many cells that the rest was not run.
        changed: what a submission had put in the place of functions that checks use.
    """

    cut: bool = False
    timeouts: list[int] = field(default_factory=list)
    unfinished: list[int] = field(default_factory=list)
    died: dict[int, str] = field(default_factory=dict)
    gave_up: bool = False
    changed: list[str] = field(default_factory=list)


def execute(
    notebook: NotebookNode, folder: Path, *, isolation: str, hidden: list[Path], limits: Limits
) -> tuple[NotebookNode, Found]:
    """Executes a notebook in a copy of its folder.

    Args:
        notebook: with nbgrader's metadata; it is left as it is.
        folder: with the files beside it; notebooks in it are not copied.
        isolation: what ``offered`` found.
        hidden: folders that it must not see.
        limits: what it may use.

    Raises:
        RuntimeError: the process that runs the kernel did not end, or has no result; the message says why.
    """
    # Of a short name: sockets lie in the box, and the system allows their paths a hundred characters.
    with tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as outer:
        box, own = Path(outer).resolve() / "box", Path(outer).resolve() / "own"
        own.mkdir()
        shutil.copytree(folder, box / "work", ignore=shutil.ignore_patterns("*.ipynb"))
        (box / "tmp").mkdir()
        if (fonts := Path(matplotlib.get_cachedir())).is_dir():  # to look for them takes many seconds
            shutil.copytree(fonts, box / "matplotlib")
        nbformat.write(notebook, own / "notebook.ipynb")
        job = {
            "notebook": str(own / "notebook.ipynb"),
            "result": str(own / "result.json"),
            "box": str(box),
            "folder": str(box / "work"),
            "words": prefix(isolation, box, hidden, limits),
            "environment": environment(box),
            "cell": limits.cell,
            "whole": limits.whole,
            "output": limits.output,
        }
        (own / "job.json").write_text(json.dumps(job), encoding="utf-8")
        said = _run([sys.executable, "-P", str(RUNNER), str(own / "job.json")], limits.whole + STARTS)
        try:
            result = json.loads((own / "result.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            last = (said.strip().splitlines() or ["nothing was said"])[-1]
            raise RuntimeError(f"the process that runs it ended without a result ({last[:300]})") from error
    found = result["found"]
    found["died"] = {int(index): what for index, what in found["died"].items()}
    return nbformat.from_dict(result["notebook"]), Found(**found)


def _run(command: list[str], seconds: float) -> str:
    """Runs a command in a group of processes of its own; returns what it says on stderr.

    Raises:
        RuntimeError: it did not end in time.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said, start_new_session=True
        )
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"it did not end within {seconds:g} seconds") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        said.seek(0)
        return said.read(10_000_000).decode(errors="replace")
