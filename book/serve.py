"""Shows the built book at an address that only this machine has.

    python book/serve.py [PORT]

With --check it only says whether the port is free: building the book first and then finding that it is not costs most
of an hour.
"""

import argparse
import errno
import sys
from collections.abc import Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from common import BuildError

HOST, PORT, LAST = "127.0.0.1", 8000, 65535
PAGES = Path(__file__).resolve().parents[1] / "_build/html"


def server(port: int, folder: Path) -> ThreadingHTTPServer:
    """A server of the files in this folder, bound to the port of this machine alone; it answers once it is asked to.

    Raises:
        BuildError: there is no such port, or it cannot be had; the message names it, and what to type instead.
    """
    other = f"make serve PORT={port + 1 if PORT <= port < LAST else PORT}"
    if not 0 <= port <= LAST:
        raise BuildError(f"there is no port {port}, the last is {LAST}: {other}")
    try:
        return ThreadingHTTPServer((HOST, port), partial(SimpleHTTPRequestHandler, directory=folder))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BuildError(f"port {port} of {HOST} is in use, perhaps by another make serve: {other}") from None
        raise BuildError(f"port {port} of {HOST} cannot be had ({error.strerror}): {other}") from None


def main(arguments: Sequence[str] | None = None, folder: Path = PAGES) -> None:
    """Serves until interrupted, or checks the port.

    Raises:
        BuildError: the port cannot be had, or the book is not built.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", nargs="?", type=int, default=PORT, metavar="PORT", help="(default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="only say whether the port is free")
    options = parser.parse_args(arguments)
    with server(options.port, folder) as serving:
        if options.check:
            return
        if not (folder / "index.html").is_file():
            raise BuildError(f"{folder} holds no book: make book")
        print(f"the book: http://{HOST}:{serving.server_port}/ (Ctrl-C ends it)", flush=True)
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        sys.exit(str(error))
