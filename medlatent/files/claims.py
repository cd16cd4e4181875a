"""One process at a time: a place is claimed by a lock that names its owner."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from .one import HOST, alive, beside, naming, temporary_beside

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None


class Claimed(OSError):
    """Another process is writing to the place; the message names it."""


@contextmanager
def claim(path: str | os.PathLike) -> Iterator[None]:
    """Keeps every other process from claiming ``path`` while the block runs.

    A lock file beside it, ``.NAME.lock``, names the owner: host, process, command and since when. The system's own lock
    on that file ends with the process, so that the place of a dead process is free, and only one can take it over.

    Raises:
        Claimed: another process has it; the message names the owner, and what to do if that is on another machine.
        OSError: the lock file cannot be written; the message names the path.
    """
    path = Path(path)
    lock = beside(path, "lock")
    handle = _acquire(path, lock)
    try:
        command, since = " ".join(sys.argv)[:200], datetime.now(UTC).isoformat(" ", "seconds")
        owner = {"host": HOST, "pid": os.getpid(), "command": command, "since": since}
        with naming(path):
            os.ftruncate(handle, 0)
            os.write(handle, json.dumps(owner).encode())
            os.fsync(handle)
        yield
    finally:
        if os.name == "posix":
            lock.unlink(missing_ok=True)  # before it is let go: whoever waits for this very file sees that it is gone
            os.close(handle)
        else:
            os.close(handle)
            lock.unlink(missing_ok=True)


def remove_if_dead(lock: Path) -> None:
    """Removes the lock file of a process of this machine that is dead; one that is held stays."""
    with suppress(OSError):
        handle = os.open(lock, os.O_RDWR)
        try:
            locked, owner = _lock(handle), _owner(handle)
            dead = locked if locked is not None else "pid" in owner and not alive(owner["pid"])
            if dead and owner.get("host", HOST) == HOST and os.path.samestat(os.fstat(handle), lock.stat()):
                lock.unlink()
        finally:
            os.close(handle)


def _acquire(path: Path, lock: Path) -> int:
    patience = 100  # times of 2 ms
    while True:
        try:
            handle, created = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644), True
        except FileExistsError:
            try:
                handle, created = os.open(lock, os.O_RDWR), False
            except FileNotFoundError:
                continue  # let go in between
        except FileNotFoundError:
            temporary_beside(path).unlink()  # makes the folder, or says why not
            continue
        except OSError:
            temporary_beside(path).unlink()
            raise
        try:
            locked = _lock(handle)
            owner = _owner(handle)
            if locked is None:  # no locks here: the one who made the file has it, until it is dead
                taken = not created and (owner.get("host") != HOST or alive(owner.get("pid")))
            else:
                taken = not locked or owner.get("host", HOST) != HOST
                if taken and patience and (not owner or (owner["host"] == HOST and not alive(owner["pid"]))):
                    patience -= 1  # whoever has it writes its name in a moment, or is only about to remove it
                    time.sleep(0.002)
                    os.close(handle)
                    continue
            if taken:
                who = (
                    "process {pid} on {host} ({command}) since {since}".format(**owner) if owner else "another process"
                )
                hint = "" if locked is False else f"; if that process no longer runs, delete {lock}"
                raise Claimed(f"{path} is being written by {who}{hint}")
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), lock.stat()):
                    return handle
            os.close(handle)  # the lock of a file that its owner has removed by now
        except BaseException:
            os.close(handle)
            raise


def _lock(handle: int) -> bool | None:
    """Whether the file is ours now; None where the system or the file system has no such locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _owner(handle: int) -> dict:
    try:
        owner = json.loads(os.pread(handle, 10_000, 0) if hasattr(os, "pread") else os.read(handle, 10_000))
        return owner if {"host", "pid", "since", "command"} <= owner.keys() else {}
    except (ValueError, AttributeError):
        return {}  # not written yet, or killed before
