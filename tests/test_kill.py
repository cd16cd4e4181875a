"""kill -9 at random moments loses nothing: the short form of benchmarks/kill.py, whose long form is run by hand."""

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from tqdm import tqdm

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


def test_a_restart_that_hangs_is_a_loss(kill, tmp_path, monkeypatch):
    monkeypatch.setattr(kill, "LIMIT", 0.2)
    (tmp_path / "work").mkdir()
    with pytest.raises(kill.Failed, match=r"no end after 0\.2 s"):
        kill.done(lambda: time.sleep(60), tmp_path / "work")


def test_a_killed_fork_takes_no_lock_with_it(kill, tmp_path):
    """As that of tqdm, which a process shares with all its forks."""

    def hold() -> None:
        tqdm.get_lock().acquire()
        (tmp_path / "work/held").touch()
        time.sleep(60)

    (tmp_path / "work").mkdir()
    kill.warm_up(Careless(), tmp_path / "warm")
    process, receive = kill.begin(hold, tmp_path / "work")
    while not (tmp_path / "work/held").exists():
        time.sleep(0.01)
    os.killpg(process, signal.SIGKILL)
    os.waitpid(process, 0)
    os.close(receive)
    assert tqdm.get_lock().acquire(False)
    tqdm.get_lock().release()
