"""Runs programs that end when the process that started them does, however that ended.

    python -P book/lifeline.py MODULE:FUNCTION [ARGUMENT ...]

Who is killed with ``kill -9`` tells nobody, and papermill would go on and write where the next build writes. So a
program's standard input is a pipe whose other end the starting process alone holds: the system closes it with that
process. A kernel notices by itself, within a second, that its papermill is gone.
"""

import functools
import os
import pkgutil
import subprocess
import sys
import threading
from pathlib import Path


@functools.cache
def ends() -> tuple[int, int]:
    """The pipe of this process: what its programs read, and what it alone holds."""
    return os.pipe()


def run(program: str, *arguments: str, **options) -> subprocess.CompletedProcess:
    """Runs a program of Python, waits for it and returns what it printed.

    Args:
        program: the function of its command line, as ``papermill.cli:papermill``.
        arguments: of the command line.
        options: of :func:`subprocess.run`.
    """
    # -P: the scripts beside this one are no modules of that program
    command = [sys.executable, "-P", str(Path(__file__).resolve()), program, *arguments]
    return subprocess.run(
        command, stdin=ends()[0], capture_output=True, text=True, encoding="utf-8", errors="replace", **options
    )


def cut() -> None:
    """Ends every program that runs; no further one can be started."""
    os.close(ends()[1])


def _watch() -> None:
    os.read(0, 1)  # nobody writes: it returns when the other end is closed
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_watch, daemon=True).start()
    main = pkgutil.resolve_name(sys.argv.pop(1))
    sys.exit(main())
