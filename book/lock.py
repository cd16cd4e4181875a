"""Writes ``requirements.lock``: the packages of ``requirements.txt`` and all that these need, with their hashes.

    make lock

It holds for every system and every Python that the package admits. PyTorch and its libraries for GPUs are left out:
each system has another build of it, which make installs as pinned. A version that stands in the lock stays while the
requirements admit it; where the file is missing, all are the newest.
"""

import argparse
import re
import shutil
import subprocess
import sys
from pathlib import Path

from common import BuildError, write

ROOT = Path(__file__).resolve().parents[1]
HEADER = "# What make installs for the book: all packages, with the hashes of their files. Written by: make lock\n"
OWN_BUILDS = re.compile(r"torch|triton|nvidia-.*|cuda-.*")
PACKAGE = re.compile(r"(?m)^(?=[\w.-]+==)")


def plain(requirement: str) -> str:
    """A pinned requirement with the name as packages compare it."""
    name, _, version = requirement.partition("==")
    return f"{re.sub(r'[-_.]+', '-', name).lower()}=={version}"


def out_of_step(requirements: str, lock: str) -> list[str]:
    """The packages, as ``NAME==VERSION``, that a lock does not have as the requirements do, or the other way round.

    Args:
        requirements: the text of ``requirements.txt``.
        lock: the text of ``requirements.lock``.
    """
    asked = {plain(line) for line in requirements.splitlines() if re.match(r"[\w.-]+==", line)}
    asked = {line for line in asked if not OWN_BUILDS.fullmatch(line.partition("==")[0])}
    locked = {
        plain(p.split()[0]) for p in PACKAGE.split(lock)[1:] if re.search(r"# +(via )?-r requirements\.txt$", p, re.M)
    }
    return sorted(asked ^ locked)


def lock(root: Path, uv: str) -> None:
    """Writes the lock of a folder.

    Args:
        root: the folder with ``requirements.txt``.
        uv: the program.

    Raises:
        BuildError: the packages do not fit together, or cannot be had; the message is uv's.
    """
    target, resolved = root / "requirements.lock", root / "_build/requirements.lock"
    resolved.parent.mkdir(exist_ok=True)
    if target.is_file():
        shutil.copy2(target, resolved)
    command = [uv, "pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header"]
    command += ["--quiet", "--system-certs", "--output-file", str(resolved), "requirements.txt"]
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, encoding="utf-8", check=False)
    if run.returncode:
        raise BuildError(f"requirements.lock stays as it is: uv did not resolve requirements.txt\n\n{run.stderr}")
    _, *packages = PACKAGE.split(resolved.read_text(encoding="utf-8"))
    write(target, HEADER + "".join(p for p in packages if not OWN_BUILDS.fullmatch(p.partition("==")[0])))
    resolved.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; fail if it is out of step")
    parser.add_argument("--uv", default="uv", help="the program that resolves (default: uv)")
    args = parser.parse_args()
    if not args.check:
        return lock(ROOT, args.uv)
    texts = [(ROOT / f"requirements.{end}").read_text(encoding="utf-8") for end in ("txt", "lock")]
    if found := out_of_step(*texts):
        raise BuildError(f"requirements.lock and requirements.txt differ in {', '.join(found)}: make lock")
    return None


if __name__ == "__main__":
    try:
        main()
    except BuildError as error:
        sys.exit(str(error))
