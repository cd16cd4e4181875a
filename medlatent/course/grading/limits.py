"""Sets the limits of a submission's process and becomes it; run by its path, before anything else is imported.

python limits.py BYTES_OF_MEMORY BYTES_A_FILE COMMAND [ARGUMENT ...]
"""

import os
import resource
import sys


def main() -> None:
    memory, file_size, *command = sys.argv[1:]
    for what, limit in ((resource.RLIMIT_AS, int(memory)), (resource.RLIMIT_FSIZE, int(file_size))):
        _, most = resource.getrlimit(what)
        limit = limit if most == resource.RLIM_INFINITY else min(limit, most)
        resource.setrlimit(what, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A kernel ends when this is no longer its parent's number, and inside a sandbox processes have other numbers.
    os.environ.pop("JPY_PARENT_PID", None)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
