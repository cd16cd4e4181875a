"""The numbers that the executed notebooks publish, beside the stored ones."""

import json
from pathlib import Path

import pytest
import references
from common import BuildError
from generate import toc_chapters

ROOT = Path(__file__).resolve().parents[2]


STORED = Path(__file__).parent / "metrics"
NAMES = [Path(doc).name for doc in toc_chapters(ROOT)]


def differences(built: dict[str, float], stored: dict[str, dict[str, float]]) -> list[str]:
    """The metrics that have moved by more than their tolerance, appeared or vanished."""
    found = [f"{name} is new" for name in built.keys() - stored.keys()]
    found += [f"{name} is gone" for name in stored.keys() - built.keys()]
    for name in built.keys() & stored.keys():
        value, rtol = stored[name]["value"], stored[name]["rtol"]
        if built[name] != pytest.approx(value, rel=rtol, abs=1e-12):
            found.append(f"{name}: {built[name]} instead of {value} (within {rtol:.1%})")
    return sorted(found)


@pytest.mark.built
@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_the_stored_ones(html, name):
    built = json.loads((ROOT / f"_build/metrics/{name}.json").read_text())
    assert built, f"{name} publishes no metrics"
    stored = json.loads((STORED / f"{name}.json").read_text())
    assert not differences(built, stored), "if the change is meant: make references"


def test_no_stored_metrics_without_a_notebook():
    assert {p.stem for p in STORED.glob("*.json")} <= set(NAMES)


STORE = {"loss": {"value": 100.0, "rtol": 0.02}, "kl": {"value": -2.0, "rtol": 0.1}}


def test_values_within_their_tolerance_pass():
    assert differences({"loss": 101.9, "kl": -2.19}, STORE) == []


@pytest.mark.parametrize(
    ("built", "message"),
    [
        ({"loss": 102.1, "kl": -2.0}, "loss: 102.1 instead of 100.0 (within 2.0%)"),
        ({"loss": 100.0}, "kl is gone"),
        ({"loss": 100.0, "kl": -2.0, "mig": 0.1}, "mig is new"),
        ({"loss": float("nan"), "kl": -2.0}, "loss: nan instead of 100.0 (within 2.0%)"),
    ],
)
def test_a_change_is_seen(built, message):
    assert differences(built, STORE) == [message]


def test_storing_keeps_tolerances_set_by_hand(tmp_path):
    built, stored = tmp_path / "built.json", tmp_path / "stored.json"
    built.write_text('{"loss": 90.0, "mig": 0.1}')
    stored.write_text(json.dumps(STORE | {"loss": {"value": 100.0, "rtol": 0.5}}))
    references.store_metrics(built, stored)
    assert json.loads(stored.read_text()) == {
        "loss": {"value": 90.0, "rtol": 0.5},
        "mig": {"value": 0.1, "rtol": references.TOLERANCE},
    }


@pytest.fixture
def two(tmp_path):
    """A book of two chapters, of which the first is built."""
    (tmp_path / "_toc.yml").write_text("root: notebooks/01_one\nchapters: [{file: notebooks/02_two}]\n")
    (tmp_path / "notebooks").mkdir()
    for name in ("01_one", "02_two"):
        (tmp_path / f"notebooks/{name}.py").write_text("# %%\nx = 1\n")
    build(tmp_path, "01_one")
    return tmp_path


def build(root: Path, name: str, profile: str = "ci") -> None:
    (root / "_build/metrics").mkdir(parents=True, exist_ok=True)
    (root / "_build/executed/notebooks").mkdir(parents=True, exist_ok=True)
    (root / f"_build/metrics/{name}.json").write_text('{"loss": 1.0}')
    (root / f"_build/executed/notebooks/{name}.json").write_text(json.dumps({"profile": profile}))


def stored(root: Path) -> set[str]:
    return {path.stem for path in (root / "tests/notebooks/metrics").glob("*.json")}


@pytest.mark.parametrize("chapter", ["one", "01_one"])
def test_one_chapter_is_stored_without_the_others(two, chapter):
    references.main(two, chapter)
    assert stored(two) == {"01_one"}


def test_all_chapters_are_stored_or_none(two):
    with pytest.raises(
        BuildError, match=r"02_two.json: 02_two has not been built. Run: make references CHAPTER=02_two"
    ):
        references.main(two)
    assert stored(two) == set()
    build(two, "02_two", profile="paper")
    with pytest.raises(BuildError, match="02_two was last built at the profile 'paper'"):
        references.main(two)
    assert stored(two) == set()
    build(two, "02_two")
    references.main(two)
    assert stored(two) == {"01_one", "02_two"}


def test_an_unknown_chapter_is_refused_with_those_there_are(two):
    with pytest.raises(BuildError, match="three: there is no such notebook; there are one, two"):
        references.main(two, "three")
