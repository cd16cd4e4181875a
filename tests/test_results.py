"""The records in ``results``: every number can be computed again from what lies beside it."""

import functools
import inspect
import os
from pathlib import Path

import pytest

from medlatent.cards import model_card
from medlatent.data import at_hand, find_source, open_images
from medlatent.evaluation import agrees, classifiers, domain_classifier, factor_meters, hearts
from medlatent.evaluation.classifiers import load_classifier, recorded_classifiers
from medlatent.evaluation.record_classifier import accuracy
from medlatent.files import project_files, read_tensors
from medlatent.plans import FILE, Plan
from medlatent.records import Record, record_paths, results_folder
from medlatent.runs import differences

PATHS = record_paths()
read = functools.cache(Record.read)
plan = functools.cache(Plan.read)
NAMES = [f"{p.parent.name}/{p.stem}" for p in PATHS]


def traits(path: Path) -> set[tuple[object, ...]]:
    """What decides by which code a record's numbers are computed: in its chapter the model, each set, what was kept."""
    record = read(path)
    has = [("model", record.model), ("weights", record.weights is None), *(("set", key) for key in record.metrics)]
    return {(record.slug, *trait) for trait in has}


def computed_again() -> list[Path]:
    """A few records that have all traits between them; all where MEDLATENT_RECORDS is "all", as once a week.

    All would take the better part of an hour each time.
    """
    if os.environ.get("MEDLATENT_RECORDS") == "all":
        return PATHS
    left = {path: traits(path) for path in sorted(PATHS, key=lambda path: (read(path).run["seed"], path))}
    chosen = []
    while any(left.values()):
        chosen.append(max(left, key=lambda path: len(left[path])))  # of equal ones the first
        seen = left[chosen[-1]].copy()
        for path in left:
            left[path] -= seen
    return sorted(chosen)


def test_there_are_records_and_each_file_of_tensors_belongs_to_one():
    assert PATHS
    records = [(path, read(path)) for path in PATHS]
    files = {p.parent / part["file"] for p, record in records for part in (record.weights, record.observed) if part}
    # The networks that decoded images are measured by.
    measuring = {file for of in (hearts.FILE, factor_meters.FILES, classifiers.FILES) for file in project_files(of)}
    assert files | measuring == set(results_folder().glob("*/*.safetensors"))
    assert {p.with_suffix(".json") for p in results_folder().glob("*/*.md")} == set(PATHS)


def test_each_meter_of_factors_can_be_read_and_says_how_far_it_errs():
    for path in project_files(factor_meters.FILES):
        meter = factor_meters.load_meter(path)
        assert list(meter.error) == list(meter.scales)
        assert meter.data["licence"]
        assert meter.data["citation"]


def test_each_classifier_that_judges_a_record_is_recorded():
    """Trained anew on another kind of processor, it would be another one."""
    judged_on = {entry["source"] for path in PATHS for entry in read(path).metrics.values()}
    specs = {spec for name in judged_on if (source := find_source(name)) for spec in source.classifiers}
    assert {spec.source for spec in specs} >= {"mnist.digits", "lidc.32", "phantoms.nodule.32"}
    assert specs <= set(recorded_classifiers())


@pytest.mark.parametrize("spec", recorded_classifiers(), ids=lambda spec: f"{spec.source}-{spec.factor}")
def test_each_classifier_can_be_read_and_says_how_far_to_trust_it(spec):
    path = recorded_classifiers()[spec]
    header = read_tensors(path, classifiers.FORMAT, classifiers.VERSION)[1]
    assert header["data"]["licence"]
    assert header["data"]["citation"]
    unseen = header["unseen"]
    rows = [line.replace(" ", "") for line in inspect.getdoc(domain_classifier).splitlines()]
    (row,) = [row for row in rows if row.startswith(f"``{spec.source}````{spec.factor}``")]
    assert row.endswith(f"{unseen['images']}{100 * unseen['accuracy']:.0f}%{100 * unseen['balanced']:.0f}%")
    if at_hand(spec.source):
        assert accuracy(load_classifier(path), open_images(spec.source)) == pytest.approx(unseen)


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_record_says_where_it_comes_from(path: Path):
    record = read(path)
    if record.weights:
        assert record.load_model().config == record.config
    else:
        assert list(record.load_observed()) == list(record.metrics)
    assert record.data["licence"]
    assert record.data["citation"]
    assert record.run["command"].startswith(f"python -m medlatent run results/{record.slug}/plan.toml")
    assert len(record.run["commit"]) == 40, "record a run from a checkout without changes"


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_record_is_a_run_of_its_chapter_s_plan(path: Path):
    record = read(path)
    (job,) = [job for job in plan(path.with_name(FILE)).runs if job.name == record.name]
    assert differences(record, job) == []


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_record_can_be_checked_without_any_download(path: Path):
    sources = [find_source(entry["source"]) for entry in read(path).metrics.values()]
    assert any(source.kind != "packed" for source in sources)


@pytest.mark.parametrize("path", PATHS, ids=NAMES)
def test_a_record_has_its_model_card(path: Path):
    """What a card says of the model is what the record says."""
    record = read(path)
    card = path.with_suffix(".md").read_text("utf-8")
    assert card == model_card(record), "write it anew: Record.read(path).write(results_folder(), overwrite=True)"
    assert "Not for.** Diagnosis" in card
    assert find_source(record.data["source"]).kind == "rendered" or record.data["licence"] in card


def test_every_model_and_every_set_of_each_chapter_is_among_those_that_are_computed_again(monkeypatch):
    monkeypatch.delenv("MEDLATENT_RECORDS", raising=False)
    chosen = computed_again()
    assert set().union(*map(traits, chosen)) == set().union(*map(traits, PATHS))
    assert len(chosen) < len(PATHS) / 4
    monkeypatch.setenv("MEDLATENT_RECORDS", "all")
    assert computed_again() == PATHS


@pytest.mark.recorded
@pytest.mark.parametrize("path", computed_again(), ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_recorded_numbers_are_computed_again(path: Path, monkeypatch):
    """On phantoms always; on real data where they are packed, for the seed 0.

    All seeds on the real images would take ten minutes; ``python -m medlatent evaluate`` does it.
    """
    record = read(path)
    if record.run["seed"] > 0:
        monkeypatch.delenv("MEDLATENT_DATA", raising=False)
    found = record.reevaluate()
    there = [key for key, entry in record.metrics.items() if at_hand(entry["source"])]
    assert there
    assert list(found) == there
    for key, values in found.items():
        for name, (was, now) in values.items():
            assert agrees(was, now, name), f"{key}: {name} was recorded as {was} and is {now}"
