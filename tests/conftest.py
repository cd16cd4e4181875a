"""Fixtures that several folders of tests share."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "book"))  # the scripts of the book are no package

# Before anything imports torch: the tests run side by side, one thread each.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def reference(root) -> Callable[[str], tuple[dict, dict]]:
    """From a name in ``tests/reference`` to its arrays and what public implementations compute from them."""

    def read(name: str) -> tuple[dict, dict]:
        import numpy as np  # only after the number of threads is set

        folder = root / "tests/reference"
        with np.load(folder / f"{name}.npz") as arrays:
            return dict(arrays), json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    return read


@pytest.fixture(scope="session")
def html() -> Path:
    """The built book; a test that needs it fails plainly without it."""
    folder = ROOT / "_build/html"
    if not (folder / "index.html").is_file():
        pytest.fail("the book is not built: run make book")
    return folder
