"""Every recorded number can be computed again from the recorded weights."""

import hashlib
from pathlib import Path

import pytest

from medlatent.data import packed_folder
from medlatent.data.sources import REAL
from medlatent.results import Record, agrees, results_folder

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


@pytest.mark.recorded
@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_recorded_numbers_are_computed_again(path: Path):
    for key, values in Record.read(path).reevaluate().items():
        for name, (was, now) in values.items():
            assert agrees(was, now, name), f"{key}: {name} was recorded as {was} and is {now}"


@pytest.mark.real_data
@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_recorded_numbers_on_real_data_are_computed_again(path: Path):
    record = Record.read(path)
    wanted = {key for key, entry in record.metrics.items() if entry["source"] in REAL}
    if not wanted:
        pytest.skip("this record has no numbers on real data")
    missing = [entry["source"] for entry in record.metrics.values() if entry["source"] in REAL]
    if not all(packed_folder(source) for source in missing):
        pytest.skip(f"{missing[0]} is not packed in $MEDLATENT_DATA")
    assert wanted <= set(record.reevaluate())
