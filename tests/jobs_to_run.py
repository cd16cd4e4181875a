"""Jobs that do what jobs do, and a script that runs them: jobs_to_run.py FOLDER ENGINE GRACE NAME=DOES ..."""

import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from medlatent.engines import run_all


@dataclass(frozen=True)
class Try:
    """A job. ``does``: a word that :func:`attempt` knows; ``folder``: where it leaves what it did."""

    name: str
    does: str = "count"
    folder: Path | None = None
    steps: int = 3

    def leave(self, what: str) -> None:
        (self.folder / f"{self.name}.{what}").write_text(str(os.getpid()))


def attempt(job, report):
    """Its name, process and number of threads after all its steps, unless its word says otherwise."""
    if job.does == "die" or (job.does == "die once" and not (job.folder / f"{job.name}.died").exists()):
        job.leave("died")
        os.kill(os.getpid(), signal.SIGKILL)
    if job.does == "fail":
        raise FloatingPointError(f"the loss of {job.name} is NaN")
    if job.does == "exit":
        sys.exit(3)
    if job.does == "hold a lock":
        return threading.Lock()
    try:
        count(job, report)
    except KeyboardInterrupt:
        job.leave("saved")
        time.sleep(0.3)  # a second interrupt would hit the saving
        job.leave("whole")
        raise
    return job.name, os.getpid(), os.environ.get("OMP_NUM_THREADS")


def count(job, report):
    if job.folder:
        job.leave("begun")
    step = 0
    while step < job.steps or job.does in ("wait", "resist"):
        try:
            time.sleep(0.02)
            step += 1
            report(step)
        except KeyboardInterrupt:
            if job.does != "resist":
                raise


def measured(form, sigma, seed):
    """A trial of a grid; with sigma 0 it fails."""
    return {"inverse": 1 / sigma + seed, "process": os.getpid()}


if __name__ == "__main__":
    folder, engine, grace, *pairs = sys.argv[1:]
    jobs = [Try(*pair.split("=", 1), Path(folder)) for pair in pairs]
    where = {"workers": int(engine)} if engine.isdigit() else {"engine": engine}
    try:
        for outcome in run_all(jobs, attempt, grace=float(grace), progress=False, **where):
            print(outcome.job.name, outcome.state, outcome.error, flush=True)
    except KeyboardInterrupt as stopped:
        print(stopped, flush=True)
        sys.exit(130)
