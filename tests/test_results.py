"""Every recorded number can be computed again from the recorded weights."""

import hashlib
from pathlib import Path

import pytest
from medlatent.results import Record, agrees, results_folder

from medlatent.cards import model_card
from medlatent.data import packed_folder
from medlatent.data.sources import REAL

PATHS = sorted(results_folder().glob("*/*.json"))
NAMES = [f"{p.parent.name}/{p.stem}" for p in PATHS]


def test_there_are_records_and_each_weights_file_belongs_to_one():
    assert PATHS
    files = {p.parent / Record.read(p).weights["file"] for p in PATHS}
    assert files == set(results_folder().glob("*/*.safetensors"))


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_record_says_where_it_comes_from(path: Path):
    record = Record.read(path)
    assert (record.slug, record.name) == (path.parent.name, path.stem)
    weights = path.parent / record.weights["file"]
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == record.weights["sha256"]
    assert record.data["licence"]
    assert record.data["citation"]
    assert record.run["command"].startswith("python -m medlatent train")
    assert len(record.run["commit"]) == 40, "record a run from a checkout without changes"
    assert record.history["step"][-1] == record.run["steps"]


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_record_can_be_checked_without_any_download(path: Path):
    record = Record.read(path)
    assert any(entry["source"] not in REAL for entry in record.metrics.values())


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_record_has_its_model_card(path: Path):
    """What a card says of the model is what the record says."""
    record = Record.read(path)
    card = path.with_suffix(".md").read_text("utf-8")
    assert card == model_card(record), "write it anew: Record.read(path).write(results_folder())"
    assert "Not for.** Diagnosis" in card
    assert record.data["source"].startswith("phantoms.") or record.data["licence"] in card


@pytest.mark.recorded
@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_recorded_numbers_are_computed_again(path: Path, monkeypatch):
    """On phantoms always; on real data where they are packed, of each system for the first seed.

    All seeds on the real images would take ten minutes; ``python -m medlatent evaluate`` does it.
    """
    record = Record.read(path)
    if record.run["seed"] > 0:
        monkeypatch.delenv("MEDLATENT_DATA", raising=False)
    found = record.reevaluate()
    at_hand = [
        k for k, entry in record.metrics.items() if entry["source"] not in REAL or packed_folder(entry["source"])
    ]
    assert at_hand
    assert list(found) == at_hand
    for key, values in found.items():
        for name, (was, now) in values.items():
            assert agrees(was, now, name), f"{key}: {name} was recorded as {was} and is {now}"
