"""Turns Colab's published list of packages into constraints for the packages that the course imports.

python book/colab.py pip-freeze.txt > constraints.txt
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def constraints(freeze: str, dependencies: list[str]) -> list[str]:
    """``name==version`` for each dependency, without the local part of a version (``+cu126``).

    Raises:
        SystemExit: the list lacks a dependency, so a notebook would not run in Colab as it is.
    """

    def plain(name: str) -> str:
        return re.sub(r"[-_.]+", "-", name).lower()

    pinned = re.findall(r"^([\w.-]+)\s*==\s*([\w.!]+)", freeze, re.M)
    versions = {plain(name): version for name, version in pinned}
    names = [plain(re.match(r"[\w.-]+", d)[0]) for d in dependencies]
    if missing := [name for name in names if name not in versions]:
        raise SystemExit(f"Colab's list has no {', '.join(missing)}: the notebooks' first cell must install it")
    return [f"{name}=={versions[name]}" for name in names]


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    print("\n".join(constraints(Path(sys.argv[1]).read_text(encoding="utf-8"), project["dependencies"])))
