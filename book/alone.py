"""One at a time: what writes _build, reads all of it, or removes it.

python book/alone.py    # fails while a build is at work, and says which
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from common import BuildError, write
from filelock import FileLock, Timeout


@contextmanager
def alone(root: Path) -> Iterator[None]:
    """Keeps others out of this checkout; the system lets them in when this process ends, however it ends.

    Raises:
        BuildError: another one is at work; the message says which and since when.
    """
    holder, lock = root / "_build/build.holder", FileLock(root / "_build/build.lock")
    holder.parent.mkdir(parents=True, exist_ok=True)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        who = os.fsdecode(holder.read_bytes()) if holder.is_file() else "it has only just begun"
        raise BuildError(
            f"Another build is at work in {root}: {who}.\nTwo would write the same files: wait for it, or end it."
        ) from None
    try:
        about = f"process {os.getpid()}, since {datetime.now():%Y-%m-%d %H:%M:%S}: {' '.join(sys.argv)}"
        write(holder, os.fsencode(about))
        yield
    finally:
        lock.release()


if __name__ == "__main__":
    try:
        with alone(Path(__file__).resolve().parents[1]):
            pass
    except BuildError as error:
        sys.exit(str(error))
