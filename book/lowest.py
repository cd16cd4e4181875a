"""Writes the requirements with the lowest versions that pyproject.toml admits, for a run of the tests with them.

    python book/lowest.py > lowest.txt && make check SLOW=1 REQUIREMENTS=lowest.txt

What the package does not declare (the tools of the book and of the tests) stays as requirements.txt pins it.
"""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GROUPS = ("notebooks", "data")  # the optional dependencies that the tests need


def plain(name: str) -> str:
    """A package's name as pip compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def lowest(declared: list[str], pinned: list[str]) -> list[str]:
    """The pinned requirements, those that are declared at their lower bound.

    Args:
        declared: requirements like ``numpy>=1.26``.
        pinned: requirements like ``numpy==2.4.6``.

    Raises:
        ValueError: a declared one has no lower bound, or more than that, or is not pinned.
    """
    bounds = {}
    for requirement in declared:
        if not (found := re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)):
            raise ValueError(f"pyproject.toml: {requirement!r} should read NAME>=VERSION, so that it can be tried")
        bounds[plain(found[1])] = f"{found[1]}=={found[2]}"
    names = [plain(line.partition("==")[0]) for line in pinned]
    if missing := sorted(bounds.keys() - set(names)):
        raise ValueError(f"requirements.txt does not pin {', '.join(missing)}")
    return [bounds.get(name, line) for name, line in zip(names, pinned, strict=True)]


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = project["dependencies"] + [r for group in GROUPS for r in project["optional-dependencies"][group]]
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    print("\n".join(lowest(wanted, [line for line in lines if line and not line.startswith("#")])))
