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


SLOW = frozenset((ROOT / "tests/slow.txt").read_text(encoding="utf-8").split())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What took long when it was last timed, by book/slow.py, is marked."""
    for item in items:
        if item.nodeid.partition("[")[0] in SLOW:
            item.add_marker(pytest.mark.slow)


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


JUDGED = """
written = "before the judged runs"

[regime]
data = "made up"
images_seen = 32_000

[seeds]
judged = [0, 1, 2, 3, 4]
used_for_choosing = [100]
tuned = "nothing"

[method]
unit = "a seed"
interval = 0.95

[[claims]]
id = "A1a"
quote = "it *works* for <all> | at $0"
place = "Table 2"

[[claims.parts]]
name = "SCC"
runs = ["acdc_new_seed{seed}", "acdc_old_seed{seed}"]
set = "data/test"
measure = "scc"
direction = "greater"
paper = 0.2
rows = { chance = "chance" }

[[claims.parts]]
name = "SSIM"
runs = ["acdc_new_seed{seed}", "acdc_old_seed{seed}"]
set = "data/test"
measure = "ssim"
direction = "not less"
paper = "by eye"
margin = 0.05
margin_because = "nobody sees it"

[[claims]]
id = "A2"
quote = "and faster"
place = "section 1"

[[claims.parts]]
name = "time"
runs = ["acdc_new_seed{seed}", "acdc_gone_seed{seed}"]
set = "data/test"
measure = "chance"
direction = "less"
paper = -1

[[claims]]
id = "B9"
quote = "everywhere"
place = "abstract"
verdict = "not testable here: one place is all there is"
"""


@pytest.fixture
def judged(tmp_path) -> Path:
    """A results folder with the verdicts of a chapter, ``attribute_vae``, that no record stands behind."""
    from medlatent.claims import FORMAT, PROTOCOL, VERDICTS, VERSION, Protocol, judge
    from medlatent.files import write_json

    folder = tmp_path / "results/attribute_vae"
    folder.mkdir(parents=True)
    (folder / PROTOCOL).write_text(JUDGED, encoding="utf-8")
    protocol = Protocol.read(folder / PROTOCOL)
    values = {}
    for seed, more in enumerate([0.10, 0.12, 0.13, 0.15, 0.18]):
        values[f"acdc_new_seed{seed}"] = {"data/test": {"scc": 0.5 + more, "ssim": 0.4 + more / 5, "chance": 0.1}}
        values[f"acdc_old_seed{seed}"] = {"data/test": {"scc": 0.5, "ssim": 0.4, "chance": 0.2}}
    claims = judge(protocol, values)
    for part in (part for claim in claims for part in claim["parts"]):
        part["command"] = f"python -m medlatent run results/attribute_vae/plan.toml --only '{part['runs'][0]}'"
    seeds = {"judged": [0, 1, 2, 3, 4], "used_for_choosing": [100], "tuned": protocol.tuned}
    fields = {"slug": "attribute_vae", "written": protocol.written, "regime": protocol.regime, "seeds": seeds}
    fields |= {"method": {"unit": protocol.unit, "interval": protocol.interval}, "claims": claims}
    write_json(folder / VERDICTS, fields, FORMAT, VERSION, checksum=True)
    return tmp_path / "results"
