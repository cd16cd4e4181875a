"""kill -9 at random moments loses nothing: the short form of benchmarks/kill.py, whose long form is run by hand."""

import importlib.util
import os
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.executes, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]


@pytest.fixture(scope="module")
def kill(root):
    spec = importlib.util.spec_from_file_location("kill", root / "benchmarks/kill.py")
    module = sys.modules["kill"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["kill"]


@pytest.mark.parametrize("name", ["training", "packing", "set", "record", "explorer"])
def test_nothing_is_lost(kill, name):
    where, lost = kill.kill_often(kill.KINDS[name], 4, seed=int(time.time()))  # others with each run; it is in the text
    assert not lost
    assert sum(where.values()) == 4


class Careless:
    """Writes two files that belong together in their places, and one on the way that it removes."""

    name = "careless"

    def prepare(self, folder: Path) -> None:
        self.write(folder, "old", 0)

    def work(self, folder: Path) -> None:
        self.write(folder, "new", 0.03)

    def write(self, folder: Path, text: str, seconds: float) -> None:
        (unfinished := folder / f"left by {os.getpid()}").write_text("")
        for name in ("a", "b"):
            time.sleep(seconds)
            (folder / name).write_text(text)
        time.sleep(seconds)
        unfinished.unlink()

    def state(self, folder: Path) -> object:
        return (folder / "a").read_text(), (folder / "b").read_text()

    def left(self, folder: Path) -> object:
        return sorted(path.name for path in folder.iterdir())


def test_what_is_lost_is_found(kill):
    """A mixture of old and new, and a file that stays."""
    where, lost = kill.kill_often(Careless(), 8, seed=0)
    assert sum(where.values()) == 8
    assert any("a reader finds state unknown" in words for words in lost)
    assert any("after the restart: ['left by" in words for words in lost)
    assert all(words.startswith("careless, seed 0, kill ") for words in lost)
