"""What the modules that pack a source share: one message for everything wrong, and jobs spread over processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from .errors import DataError


class Findings:
    """Names under the kind of thing that was found about them, to be told in one line."""

    def __init__(self) -> None:
        self.found: dict[str, list[str]] = {}

    def add(self, kind: str, name: str) -> None:
        self.found.setdefault(kind, []).append(name)

    def __bool__(self) -> bool:
        return bool(self.found)

    def __str__(self) -> str:
        parts = []
        for kind, names in self.found.items():
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            parts.append(f"{len(names)} × {kind} ({'; '.join(names[:3])}{more})")
        return "; ".join(parts)

    @property
    def counts(self) -> dict[str, int]:
        return {kind: len(names) for kind, names in self.found.items()}


def parallel(function: Callable, jobs: Sequence, workers: int, chunk: int = 16) -> Iterator:
    """``map(function, jobs)`` in order, in this process or spread over several; ``function`` must pickle.

    Raises:
        DataError: a process was killed.
    """
    if workers == 1:
        yield from map(function, jobs)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads (torch has some) may hang
    with ProcessPoolExecutor(workers, context, _start, (function,)) as pool:
        try:
            yield from pool.map(_call, jobs, chunksize=chunk)
        except BrokenProcessPool:
            raise DataError(
                "a packing process was killed, perhaps for want of memory: pack with fewer workers (and in a script, "
                "call pack under `if __name__ == '__main__':`)"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)  # after an error, what is still queued would be worked through


_function: Callable | None = None


def _start(function: Callable) -> None:
    global _function
    _function = function
    # a worker of a killed parent would wait for ever
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _call(job):
    return _function(job)
