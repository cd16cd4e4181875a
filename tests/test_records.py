"""Records: written and read, evaluated again, and refused where somebody or something changed them."""

import errno
import json
import os
import shutil
import signal
import time
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from hashlib import sha256
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

import medlatent.records
from medlatent.cards import model_card
from medlatent.data import DataError, ImageSet, StandIn, ham10000, open_images
from medlatent.evaluation import agrees
from medlatent.files import read_tensors, save_tensors, write_json
from medlatent.models import VAE, LatentModel, load
from medlatent.plans import Job
from medlatent.records import (
    FORMAT,
    OBSERVED,
    OBSERVED_VERSION,
    VERSION,
    Record,
    find_record,
    read_observed,
    results_folder,
    save_observed,
)
from medlatent.runs import differences, perform

NUMBERS = ["sse", "psnr", "ssim", "kl", "active_units", "gaussian_tc"]  # of few images
SETS = ["ham10000/test", "phantoms.lesion/test"]
JOB = Job(
    slug="vae",
    name="run",
    profile="ci",
    system="VAE",
    settings={"latent_dim": 2},
    source="ham10000",
    n=None,
    data_seed=0,
    split="train",
    judged_on="test",
    seed=0,
    steps=3,
    batch_size=4,
    precision="float32",
    threads=1,
    keep="weights",
    measure_at=(2, 3),
)


JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 50)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    # A whole number that is no index, one that is no float, and what looks like something else.
    | st.sampled_from([2**63, 10**400, "../x", "a|b", "phantoms.unicorn", "phantoms.lesion", "0" * 64, "VAE"]),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=3), inside, max_size=3),
    max_leaves=5,
)


def pack(folder: Path) -> ImageSet:
    """A stand-in for a real set: phantoms, but packed, so that their pixels are compared."""
    images = open_images("phantoms.lesion", 40, 7)
    images.card = replace(images.card, name="packed", licence="CC BY-NC 4.0", preprocessing="cut to 64 pixels")
    images.save(folder, overwrite=True)
    return images


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The data, and of a record with weights and of one with what was observed: the record and its contents."""
    root = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEDLATENT_DATA", str(root / "data"))
        patch.setattr(ham10000, "SOURCES", (replace(ham10000.SOURCES[0], stand_in=StandIn(SETS[1][:-5], 40, 1)),))
        pack(root / "data" / "ham10000")
        jobs = JOB, replace(JOB, name="small", keep="observed")
        yield root / "data", {job.name: perform(job, checkpoints=root / "c", device="cpu") for job in jobs}


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    """A results folder with both records, and their data beside it."""
    shutil.copytree(made[0], tmp_path / "data")
    monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path / "data"))
    for record, contents in made[1].values():
        record.write(tmp_path / "results", contents)
    return tmp_path / "results"


@pytest.fixture(params=["run", "small"])
def record(request, folder):
    """One with weights, and one with what was observed."""
    return Record.read(folder / "vae" / f"{request.param}.json")


def alter(path: Path, change, forged: bool) -> None:
    """Changes the fields of a record, whose checksum the forger makes anew."""
    fields = json.loads(path.read_text("utf-8"))
    change(fields)
    if forged:
        for taken in ("format", "version", "sha256"):
            fields.pop(taken, None)
        write_json(path, fields, FORMAT, VERSION, checksum=True)
    else:
        path.write_text(json.dumps(fields), "utf-8")


def contents(folder: Path) -> dict[str, bytes]:
    """What lies in a folder, but for what is swept: locks, journals, files half written."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith(".")}


class TestWrite:
    def test_round_trip(self, folder, made):
        for name, (record, _) in made[1].items():
            assert Record.read(folder / "vae" / f"{name}.json") == record
            assert (folder / "vae" / f"{name}.md").read_text("utf-8") == model_card(record)
        assert sorted(contents(folder / "vae")) == [
            *("run.json", "run.md", "run.safetensors"),
            *("small.json", "small.md", "small.observed.safetensors"),
        ]
        assert not [p for p in (folder / "vae").iterdir() if p.name.startswith(".")]

    def test_measures_along_the_way_are_in_it(self, record):
        assert [row["step"] for row in record.measures] == [2, 3]
        assert all(list(row) == ["step", *NUMBERS] for row in record.measures)
        assert record.run["measured_on"].endswith("images of the validation split")

    def test_a_record_is_not_replaced_unless_told(self, folder, made):
        record, files = made[1]["run"]
        before = contents(folder / "vae")
        with pytest.raises(FileExistsError, match=r"run\.json exists, and is not to be replaced"):
            record.write(folder, files)
        assert contents(folder / "vae") == before
        changed = replace(record, run=record.run | {"seconds": 5.0})
        changed.write(folder, files, overwrite=True)
        assert Record.read(folder / "vae" / "run.json") == changed

    def test_a_file_that_is_no_longer_named_vanishes(self, folder, made):
        record, files = made[1]["small"]
        file = "run.observed.safetensors"
        other = replace(record, name="run", observed=record.observed | {"file": file})
        other.write(folder, {file: files["small.observed.safetensors"]}, overwrite=True)
        assert "run.safetensors" not in contents(folder / "vae")
        assert Record.read(folder / "vae" / "run.json") == other

    @pytest.mark.parametrize(
        ("files", "message"),
        [
            ({"run.safetensors": b"other"}, r"run\.safetensors is not what vae/run names: its SHA-256 differs"),
            ({}, r"run\.safetensors is not what vae/run names: its SHA-256 differs"),
            ({"../pwn": b""}, "vae/run names no file '../pwn'"),
        ],
    )
    def test_files_that_are_not_the_record_s(self, tmp_path, made, files, message):
        record, right = made[1]["run"]
        with pytest.raises(ValueError, match=message):
            record.write(tmp_path / "new", files if not files or "../pwn" not in files else right | files)
        assert not [p for p in tmp_path.rglob("*") if p.is_file()]

    def test_weights_of_another_size_than_it_states(self, tmp_path, made):
        record, files = made[1]["run"]
        with pytest.raises(ValueError, match="SHA-256 differs"):
            replace(record, weights=record.weights | {"bytes": 1}).write(tmp_path, files)

    @pytest.mark.parametrize("name", ["..", "a/b", "", "con", "../evil/vae", "x" * 101, "a b", ".hidden"])
    @pytest.mark.parametrize("field", ["slug", "name"])
    def test_names_that_lead_elsewhere(self, tmp_path, made, field, name):
        record, files = made[1]["run"]
        with pytest.raises(ValueError, match=r"slug and name is .*, expected a plain name"):
            replace(record, **{field: name}).write(tmp_path / "results", files)
        assert not list(tmp_path.rglob("*"))


# Where a disk may be full, or a process end: what changes a file or a folder.
WRITING = [
    *((os, name) for name in ("replace", "link", "fsync", "write")),
    *((Path, name) for name in ("write_text", "write_bytes", "unlink", "chmod")),
]


class Failing:
    """A function that does ``event`` in place of its call number ``call``."""

    def __init__(self, real, call: int, event) -> None:
        self.real, self.left, self.event = real, call, event

    def __call__(self, *arguments, **options):
        self.left -= 1
        return self.event() if self.left == -1 else self.real(*arguments, **options)

    def __get__(self, instance, owner=None):
        return self if instance is None else lambda *arguments, **options: self(instance, *arguments, **options)


def full_disk():
    raise OSError(errno.ENOSPC, "No space left on device")


def ctrl_c():
    raise KeyboardInterrupt


def put_back(folder: Path, files: dict[str, bytes]) -> None:
    for file, content in files.items():
        (folder / "vae" / file).write_bytes(content)


class TestInterrupted:
    """Record, card and weights change together or not at all, wherever the writing ends."""

    @pytest.fixture
    def change(self, folder, made):
        """What is there; what comes there; and the writing of it."""
        record, _ = made[1]["run"]
        model = record.load_model(folder)
        with torch.no_grad():
            next(model.parameters()).add_(1)
        weights, content = medlatent.records.save_weights(model, "run")
        new = replace(record, weights=weights, run=record.run | {"seed": 7})
        files = {weights["file"]: content}
        (folder / "vae" / "small.json").rename(folder / "small.json")  # out of the way
        for name in contents(folder / "vae"):
            if name.startswith("small"):
                (folder / "vae" / name).unlink()
        old = contents(folder / "vae")
        new.write(folder.parent / "expected", files)
        return old, contents(folder.parent / "expected" / "vae"), lambda: new.write(folder, files, overwrite=True)

    @pytest.mark.parametrize("event", [full_disk, ctrl_c])
    def test_by_an_error(self, folder, change, event):
        old, new, write = change
        happened = 0
        for target, name in WRITING:
            for call in count():
                failing = Failing(getattr(target, name), call, event)
                with pytest.MonkeyPatch.context() as patch, suppress(OSError, KeyboardInterrupt):
                    patch.setattr(target, name, failing)
                    write()
                Record.read(folder / "vae" / "run.json").load_model(folder)
                found = contents(folder / "vae")
                assert found in (old, new), f"{name}, call {call}"
                put_back(folder, old)
                if failing.left >= 0:
                    break
                happened += 1
        assert happened > 20

    @pytest.mark.parametrize(("name", "most"), [("run.json", 1000), ("run.md", 40_000), ("run.safetensors", 100_000)])
    def test_a_full_disk_is_told_by_the_file(self, folder, change, monkeypatch, name, most):
        """The limit is that of the system: whatever writes meets it as it meets a full disk."""
        resource = pytest.importorskip("resource")
        old, _, write = change
        monkeypatch.setattr(medlatent.records, "model_card", lambda record: "x" * 50_000)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            with pytest.raises(OSError, match=r"cannot be written: File too large") as caught:
                write()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert caught.value.filename == str(folder / "vae" / name)
        assert contents(folder / "vae") == old

    @pytest.mark.executes
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_by_a_kill(self, folder, change):
        old, new, write = change
        seen = []
        for target, name in WRITING:
            for call in count():
                if (child := os.fork()) == 0:
                    kill = partial(os.kill, os.getpid(), signal.SIGKILL)
                    setattr(target, name, Failing(getattr(target, name), call, kill))
                    write()
                    os._exit(0)
                killed = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
                Record.read(folder / "vae" / "run.json").load_model(folder)
                found = contents(folder / "vae")
                assert found in (old, new), f"{name}, call {call}"
                left = [p for p in (folder / "vae").iterdir() if p.suffix in (".partial", ".old", ".journal")]
                assert not left
                put_back(folder, old)
                if not killed:
                    break
                seen.append(found == new)
        assert {True, False} == set(seen)  # before the journal was written, and after

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_two_at_once(self, tmp_path, made):
        """Of two processes one writes, and the other is told."""
        record, files = made[1]["run"]
        for attempt in range(10):
            folder, start, children = tmp_path / str(attempt), time.time() + 0.05, []
            for seconds in (1.0, 2.0):
                if (child := os.fork()) == 0:
                    status = 3
                    try:
                        time.sleep(max(0.0, start - time.time()))
                        replace(record, run=record.run | {"seconds": seconds}).write(folder, files)
                        status = 0
                    except OSError as error:
                        status = 1 if "exists" in str(error) or "is being written" in str(error) else 2
                    finally:
                        os._exit(status)
                children.append((seconds, child))
            ends = {seconds: os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for seconds, child in children}
            assert sorted(ends.values()) == [0, 1]
            winner = next(seconds for seconds, status in ends.items() if status == 0)
            assert Record.read(folder / "vae" / "run.json").run["seconds"] == winner


class TestRead:
    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"none\.json"):
            Record.read(tmp_path / "none.json")

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"\xff", b"[]", b"3", b"{}", b'{"format": "medlatent.ImageSet", "version": 1}']
    )
    def test_foreign_files(self, tmp_path, content):
        (tmp_path / "run.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"run\.json (is not valid JSON|is no medlatent\.Record)"):
            Record.read(tmp_path / "run.json")

    @pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"a": ' + "[" * 900 + "]" * 900 + "}"])
    def test_nested_without_end(self, tmp_path, text):
        (tmp_path / "run.json").write_text(text)
        with pytest.raises(ValueError, match=r"run\.json"):
            Record.read(tmp_path / "run.json")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"version": 1}, r"run\.json has version 1, this medlatent reads version 2"),
            ({"version": None}, r"run\.json has version None"),
            ({"colour": "red"}, r"run\.json: the field 'colour' is unknown"),
            ({"metrics": [1]}, r"run\.json: the field 'metrics' must be dict, got \[1\]"),
            ({"slug": 3}, r"run\.json: the field 'slug' must be str, got 3"),
            ({"weights": None}, r"run\.json: the field 'weights' must be dict"),
            ({"weights": {}}, r"run\.json: neither weights nor what was observed are named"),
            ({"metrics": {}}, r"run\.json: there are no metrics"),
            ({"history": {}}, r"run\.json: history\.step must rise to 3"),
            ({"config": {"a": json.loads("[" * 50 + "]" * 50)}}, r"run\.json: the field 'config' is nested too deeply"),
        ],
    )
    def test_changed_fields(self, folder, change, message):
        path = folder / "vae" / "run.json"
        fields = json.loads(path.read_text("utf-8")) | change
        if "version" not in change:
            alter(path, lambda f: f.update(change), forged=True)
        else:
            path.write_text(json.dumps(fields))
        with pytest.raises(ValueError, match=message):
            Record.read(path)

    @pytest.mark.parametrize("field", [*Record.__annotations__, "sha256"])
    def test_missing_fields(self, folder, field):
        path = folder / "vae" / "run.json"
        alter(path, lambda f: f.pop(field), forged=field != "sha256")
        message = "its checksum is missing" if field == "sha256" else f"the field '{field}' is missing"
        with pytest.raises(ValueError, match=rf"run\.json.*{message}"):
            Record.read(path)

    def test_what_a_crash_left_is_put_right_first(self, folder, made):
        """A journal that a killed process left is completed by whoever reads next."""
        if (child := os.fork()) == 0:
            real, calls = os.replace, iter(range(9))
            os.replace = lambda *a: os._exit(9) if next(calls) == 2 else real(*a)
            record, files = made[1]["run"]
            replace(record, run=record.run | {"seed": 7}).write(folder, files, overwrite=True)
        os.waitpid(child, 0)
        assert Record.read(folder / "vae" / "run.json").run["seed"] == 7
        assert not [p for p in (folder / "vae").iterdir() if p.name.startswith(".") and not p.name.endswith(".lock")]

    def test_find_record(self, folder, made, monkeypatch):
        monkeypatch.setattr(medlatent.records, "results_folder", lambda: folder)
        assert find_record("vae", "run") == made[1]["run"][0]
        with pytest.raises(FileNotFoundError, match=r"other\.json: no such record; recorded for vae: run, small"):
            find_record("vae", "other")
        with pytest.raises(FileNotFoundError, match="recorded for gan: none"):
            find_record("gan", "run")

    def test_the_results_folder_of_a_checkout_lies_beside_the_package(self, root):
        assert results_folder() in (root / "results", Path("results"))


class TestLoad:
    def test_gives_the_model(self, folder):
        record = Record.read(folder / "vae" / "run.json")
        model = record.load_model(folder)
        assert not model.training
        stored = load_file(folder / "vae" / "run.safetensors")
        assert all(torch.equal(value, stored[name].float()) for name, value in model.state_dict().items())

    def test_missing_weights(self, folder):
        (folder / "vae" / "run.safetensors").unlink()
        with pytest.raises(FileNotFoundError, match=r"run\.safetensors: the weights of the record vae/run are missing"):
            Record.read(folder / "vae" / "run.json").load_model(folder)

    def test_exchanged_files(self, folder, record):
        file = folder / "vae" / (record.weights or record.observed)["file"]
        VAE(latent_dim=2).save(file)
        read = record.load_model if record.weights else record.load_observed
        with pytest.raises(ValueError, match=rf"{file.name} is not what vae/{record.name} was recorded with"):
            read(folder)

    def test_without_weights_it_says_how_they_are_made_again(self, folder):
        record = Record.read(folder / "vae" / "small.json")
        with pytest.raises(
            FileNotFoundError,
            match=r"vae/small was recorded without its weights, .*made again with them: python -m medlatent run "
            r"results/vae/plan\.toml --profile ci --only small",
        ):
            record.load_model(folder)
        with pytest.raises(FileNotFoundError, match="vae/run holds its weights, and not what was observed: use load_"):
            Record.read(folder / "vae" / "run.json").load_observed(folder)

    def test_another_model_than_the_record_says(self, folder):
        record = Record.read(folder / "vae" / "run.json")
        with pytest.raises(ValueError, match=r"run\.safetensors holds VAE\(.*the record vae/run says VAE\(.*0\.9"):
            replace(record, config={**record.config, "variance": 0.9}).load_model(folder)
        with pytest.raises(ValueError, match="the record vae/run says BetaVAE"):
            replace(record, model="BetaVAE").load_model(folder)
        with pytest.raises(ValueError, match=r"vae/run: model is 'Unicorn', which is none of VAE"):
            replace(record, model="Unicorn").reevaluate(folder)
        without = replace(record, weights=record.weights | {"without": ["decoder"]})
        with pytest.raises(ValueError, match=r"run\.safetensors lacks \[\], weights\.without of vae/run says"):
            without.load_model(folder)

    def test_what_was_observed_of_another_record(self, folder):
        path = folder / "vae" / "small.observed.safetensors"
        path.rename(folder / "vae" / "other.observed.safetensors")
        with pytest.raises(ValueError, match=r"other\.observed\.safetensors belongs to the record 'small'"):
            read_observed(folder / "vae" / "other.observed.safetensors")

    @settings(max_examples=30, deadline=None)
    @given(data=st.data())
    def test_damaged_but_well_formed_observations_end_in_words(self, tmp_path_factory, data):
        folder = tmp_path_factory.mktemp("observed")
        arrays = {"a": np.arange(6.0).reshape(3, 2), "b": np.arange(3), "c": np.arange(6.0).reshape(3, 2)}
        whole, content = save_observed({"set/test": {"encoded": arrays}}, "run")
        (path := folder / whole["file"]).write_bytes(content)
        tensors, header = read_tensors(path, OBSERVED, OBSERVED_VERSION)
        assert header["same"]
        if data.draw(st.booleans()):
            field = data.draw(st.sampled_from(["record", "same"]))
            junk = data.draw(
                st.dictionaries(st.sampled_from([*tensors, *header["same"], "x"]), JUNK, max_size=2) | JUNK
            )
            header[field] = junk
        else:
            name = data.draw(st.sampled_from(list(tensors)))
            if data.draw(st.booleans()):
                tensors[data.draw(st.sampled_from(["", "a", "a|b", "a|b|c|d", "a|b|c|low", "a|b|c|low|x"]))] = tensors[
                    name
                ]
            tensors[name] = torch.zeros(data.draw(st.sampled_from([(), (0,), (1,), (3,), (2, 3), (3, 2, 1)])))
        save_tensors(path, tensors, OBSERVED, OBSERVED_VERSION, **header)
        try:
            read_observed(path)
        except ValueError as error:
            assert "run.observed" in str(error)  # noqa: PT017


class TestReevaluate:
    def test_agrees_with_what_was_recorded(self, folder, record):
        pairs = record.reevaluate(folder)
        assert list(pairs) == SETS
        for values in pairs.values():
            assert list(values) == NUMBERS
            assert all(agrees(*pair, name) for name, pair in values.items())

    def test_both_records_have_the_same_numbers(self, made):
        weights, observed = (made[1][name][0].metrics for name in ("run", "small"))
        for key in SETS:
            for name, value in weights[key]["values"].items():
                assert agrees(value, observed[key]["values"][name], name)

    @pytest.mark.parametrize("name", NUMBERS)
    def test_an_edited_number_is_found(self, folder, record, name):
        metrics = deepcopy(record.metrics)
        metrics[SETS[0]]["values"][name] = 1.01 * metrics[SETS[0]]["values"][name] + 0.01
        pairs = replace(record, metrics=metrics).reevaluate(folder)[SETS[0]]
        assert [key for key, pair in pairs.items() if not agrees(*pair, key)] == [name]

    def test_data_that_are_not_here_are_left_out(self, folder, record, monkeypatch):
        monkeypatch.delenv("MEDLATENT_DATA")
        assert list(record.reevaluate(folder)) == SETS[1:]

    def test_other_data_under_the_same_name(self, folder, record):
        images = pack(folder.parent / "data" / "ham10000")
        test = np.flatnonzero(images.table["split"] == "test")
        images.images[test[0], 0, 0, 0] ^= 1
        images.save(folder.parent / "data" / "ham10000", overwrite=True)
        with pytest.raises(ValueError, match=rf"vae/{record.name}: ham10000/test here is not the set") as caught:
            record.reevaluate(folder)
        assert "cut to 64 pixels" not in str(caught.value)  # which this one is, and the recorded one may not be
        assert "pack it as for the records: `python -m medlatent data ham10000 --out" in str(caught.value)

    def test_data_of_another_size(self, folder, record):
        images = pack(folder.parent / "data" / "ham10000")
        images.images = images.images[:, :, ::2, ::2]
        images.save(folder.parent / "data" / "ham10000", overwrite=True)
        with pytest.raises(
            ValueError,
            match=rf"vae/{record.name}: the images of packed here: they are 3×32×32, the VAE was built for 3×64×64; .* "
            "`python -m medlatent data ham10000 --out",
        ):
            record.reevaluate(folder)

    def test_other_training_images(self, folder, record):
        images = pack(folder.parent / "data" / "ham10000")
        images.images[np.flatnonzero(images.table["split"] == "train")[0], 0, 0, 0] ^= 1
        images.save(folder.parent / "data" / "ham10000", overwrite=True)
        with pytest.raises(ValueError, match=rf"vae/{record.name}: the training images here are not those of data"):
            record.reevaluate(folder)

    def test_damaged_data_are_not_taken_for_absent_ones(self, folder, record):
        (folder.parent / "data" / "ham10000" / "table.csv").write_text("split\n")
        with pytest.raises(DataError, match=rf"vae/{record.name}: .*table\.csv is damaged"):
            record.reevaluate(folder)


class Shaded(VAE):
    """A VAE whose training sees two columns."""

    columns = ("size", "dx")

    def update(self, images, **columns):
        assert {name: column.dtype for name, column in columns.items()} == {
            "size": torch.float32,
            "dx": torch.int64,
        }
        return super().update(images)


def test_columns_are_part_of_a_record(folder, tmp_path, monkeypatch):
    """Other labels are another run: with two of them exchanged the record does not hold any more."""
    monkeypatch.setitem(LatentModel.registry, "Shaded", Shaded)
    job = replace(JOB, name="shaded", system="Shaded")
    record, files = perform(job, checkpoints=tmp_path / "c", device="cpu")
    record.write(folder, files)
    record.reevaluate(folder)
    images = pack(folder.parent / "data" / "ham10000")
    assert record.data["columns"] == images.split("train").fingerprint_of(Shaded.columns) != ""
    train = np.flatnonzero(images.table["split"] == "train")
    images.table.loc[train[:2], "size"] = images.table.loc[train[1::-1], "size"].to_numpy()
    images.save(folder.parent / "data" / "ham10000", overwrite=True)
    with pytest.raises(ValueError, match="vae/shaded: the columns size, dx here are not those that were recorded"):
        record.reevaluate(folder)
    Record.read(folder / "vae" / "run.json").reevaluate(folder)  # which saw none


def test_columns_may_be_an_argument_of_the_model(folder, tmp_path):
    settings = {"attributes": ["size", "dx"], "latent_dim": 2, "width": 2}
    with pytest.raises(ValueError, match="'dx' is categorical"):
        perform(replace(JOB, name="named", system="AttriVAE", settings=settings), checkpoints=tmp_path / "c")
    settings["attributes"] = ["size", "eccentricity"]
    job = replace(JOB, name="named", system="AttriVAE", settings=settings)
    record, files = perform(job, checkpoints=tmp_path / "c", device="cpu")
    record.write(folder, files)
    images = open_images("ham10000").split("train")
    assert record.data["columns"] == images.fingerprint_of(settings["attributes"])
    record.reevaluate(folder)
    images = pack(folder.parent / "data" / "ham10000")
    images.table["eccentricity"] = images.table["eccentricity"].to_numpy()[::-1].copy()
    images.save(folder.parent / "data" / "ham10000", overwrite=True)
    with pytest.raises(ValueError, match="vae/named: the columns size, eccentricity here are not those"):
        record.reevaluate(folder)


def test_a_run_may_be_judged_on_validation_and_test(folder, tmp_path):
    """Where images are few: the numbers are those of both splits, and the plan is compared with it."""
    job = replace(JOB, name="few", judged_on="validation+test")
    record, files = perform(job, checkpoints=tmp_path / "c", device="cpu")
    Record.read(record.write(folder, files)).reevaluate(folder)
    assert record.own_set == "ham10000/validation+test"
    assert list(record.metrics) == ["ham10000/validation+test", SETS[1]]
    images = open_images("ham10000")
    assert record.metrics[record.own_set]["images"] == len(images) - len(images.split("train"))
    assert differences(record, job) == []
    assert differences(record, JOB) == ["judged on 'validation+test', the plan says 'test'"]
    alter(folder / "vae" / "few.json", lambda fields: fields["metrics"].pop("ham10000/validation+test"), forged=True)
    with pytest.raises(ValueError, match=r"few\.json: there are no metrics of ham10000/test"):
        Record.read(folder / "vae" / "few.json")


def entry(fields):
    return fields["metrics"][SETS[0]]


def set_to(*path):
    """A change of the field at the path, the last of the arguments being its new value."""
    *path, last, value = path

    def change(fields):
        for name in path:
            fields = fields[name]
        assert not isinstance(fields, dict) or fields.get(last) != value
        fields[last] = value

    change.__name__ = ".".join(map(str, [*path, last]))
    return change


def exchanged(fields):
    metrics = fields["metrics"]
    metrics[SETS[0]], metrics[SETS[1]] = metrics[SETS[1]], metrics[SETS[0]]


def exchanged_numbers(fields):
    one, other = (fields["metrics"][key] for key in SETS)
    one["values"], other["values"] = other["values"], one["values"]


def without_a_number(fields):
    del entry(fields)["values"]["kl"]


def without_the_stand_in(fields):
    del fields["metrics"][SETS[1]]


def without_the_own_set(fields):
    del fields["metrics"][SETS[0]]


def on_training_images(fields):
    entry(fields)["split"] = "train"


def shorter(fields):
    for values in fields["history"].values():
        del values[-1]


def with_a_number_of_its_own(fields):
    entry(fields)["values"]["accuracy"] = 1.0


LIES = [
    set_to("data", "images", 99999),
    set_to("data", "fingerprint", ""),
    set_to("data", "fingerprint", "0" * 64),
    set_to("data", "licence", "MIT"),
    set_to("data", "citation", "Nobody (1900)"),
    set_to("data", "name", "HAM"),
    set_to("data", "split", "train+validation"),
    set_to("data", "source", "phantoms.lesion"),
    set_to("data", "n", 30),
    set_to("data", "seed", 3),
    set_to("data", "columns", "0" * 64),
    set_to("metrics", {}),
    set_to("metrics", SETS[0], "values", {}),
    set_to("metrics", SETS[0], "images", 99999),
    set_to("metrics", SETS[0], "fingerprint", ""),
    set_to("metrics", SETS[1], "images", 99999),
    set_to("metrics", SETS[1], "fingerprint", "0" * 64),
    set_to("metrics", SETS[1], "n", 41),
    set_to("metrics", SETS[1], "seed", 2),
    set_to("run", "steps", 2000),
    exchanged,
    exchanged_numbers,
    without_a_number,
    with_a_number_of_its_own,
    without_the_stand_in,
    without_the_own_set,
    on_training_images,
    shorter,
]
OF_WEIGHTS = [
    set_to("model", "BetaVAE"),
    set_to("config", "latent_dim", 3),
    set_to("config", "learning_rate", 0.5),
    set_to("weights", "sha256", "0" * 64),
    set_to("weights", "bytes", 1),
    set_to("weights", "without", ["encoder"]),
]
# What nobody can compute again: of these the checksum alone speaks.
UNKNOWABLE = [
    set_to("history", "loss", 2, 1.0),
    set_to("measures", 1, "sse", 1.0),
    set_to("run", "seed", 7),
    set_to("run", "seconds", 1.0),
    set_to("run", "commit", "0" * 40),
    set_to("run", "finished", "2000-01-01"),
]


def holds(path: Path) -> bool:
    """Whether a record is what it says, as far as the command ``evaluate`` knows."""
    pairs = Record.read(path).reevaluate(path.parent.parent)
    return all(agrees(*pair, name) for values in pairs.values() for name, pair in values.items())


def names(change) -> str:
    return change.__name__


class TestAlteredRecordsDoNotPass:
    @pytest.mark.parametrize("change", [*LIES, *OF_WEIGHTS, *UNKNOWABLE], ids=names)
    def test_whose_checksum_is_the_old_one(self, folder, change):
        path = folder / "vae" / "run.json"
        assert Record.read(path)
        alter(path, change, forged=False)
        with pytest.raises(ValueError, match=r"run\.json was changed or damaged"):
            holds(path)

    @pytest.mark.parametrize("name", ["run", "small"])
    @pytest.mark.parametrize("change", LIES, ids=names)
    def test_whose_checksum_was_made_anew(self, folder, name, change):
        path = folder / "vae" / f"{name}.json"
        alter(path, change, forged=True)
        try:
            passes = holds(path)
        except ValueError as error:
            assert f"{name}.json" in str(error) or f"vae/{name}" in str(error)  # noqa: PT017
            passes = False
        assert not passes

    @pytest.mark.parametrize("change", OF_WEIGHTS, ids=names)
    def test_whose_weights_say_otherwise(self, folder, change):
        path = folder / "vae" / "run.json"
        alter(path, change, forged=True)
        with pytest.raises(ValueError, match=r"vae/run|run\.json"):
            holds(path)

    def test_what_licence_the_data_have_is_known_without_them(self, folder, record, monkeypatch):
        monkeypatch.delenv("MEDLATENT_DATA")
        with pytest.raises(
            ValueError, match=f"vae/{record.name}: data.licence says 'MIT', ham10000 is under 'CC BY-NC 4.0'"
        ):
            replace(record, data=record.data | {"licence": "MIT"}).reevaluate(folder)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (set_to("slug", "../evil/vae"), r"run\.json: the field 'slug' says '\.\./evil/vae', but the file lies in"),
            (set_to("name", "pwn"), r"run\.json: the field 'name' says 'pwn', but the file lies in 'run'"),
            (set_to("weights", "file", "../evil/vae/run.safetensors"), r"weights\.file must be run\.safetensors"),
            (set_to("weights", "file", "small.safetensors"), r"weights\.file must be run\.safetensors"),
            (set_to("observed", {"file": "pwn", "sha256": "0", "bytes": 1}), r"observed\.file must be run\.observed"),
        ],
        ids=["slug", "name", "weights", "weights of another", "observed"],
    )
    def test_that_say_where_they_belong(self, folder, change, message):
        alter(path := folder / "vae" / "run.json", change, forged=True)
        before = sorted(p for p in folder.parent.rglob("*"))
        with pytest.raises(ValueError, match=message):
            Record.read(path)
        assert sorted(p for p in folder.parent.rglob("*")) == before


def paths_in(value, path=()):
    """The path of every field, of lists only the first."""
    items = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for key, inside in items:
        yield (*path, key)
        yield from paths_in(inside, (*path, key))


@pytest.mark.parametrize("name", ["run", "small"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_but_well_formed_records_end_in_words(folder, name, data):
    """Whatever stands in whatever field: the record is read and used, or refused by the name of file or record."""
    path = folder / "vae" / f"{name}.json"
    whole = path.read_bytes()
    fields = json.loads(whole)
    field = data.draw(st.sampled_from([p for p in paths_in(fields) if p[0] not in ("format", "version", "sha256")]))
    junk = data.draw(JUNK)

    def change(fields):
        for key in field[:-1]:
            fields = fields[key]
        fields[field[-1]] = junk

    try:
        alter(path, change, forged=True)
        try:
            record = Record.read(path)
        except ValueError as error:
            assert f"{name}.json" in str(error)  # noqa: PT017
            assert str(field[0]) in str(error) or field[0] in ("weights", "observed")  # noqa: PT017
            return
        for use in (
            record.load_model if record.weights else record.load_observed,
            record.reevaluate,
            record.supplement,
            lambda folder: model_card(record),
        ):
            try:
                use(folder)
            except (ValueError, FileNotFoundError) as error:
                assert f"vae/{name}" in str(error) or f"{name}." in str(error)  # noqa: PT017
    finally:
        path.write_bytes(whole)


class TestCompact:
    @pytest.fixture
    def large(self, folder):
        """A record of the time when weights had 32 bits."""
        record = Record.read(folder / "vae" / "run.json")
        torch.manual_seed(0)
        model = VAE(**record.config)
        path = model.save(folder / "vae" / "run.safetensors")
        content = path.read_bytes()
        weights = {"file": path.name, "sha256": sha256(content).hexdigest(), "bytes": len(content)}
        large = replace(record, weights=weights)
        computed = large.evaluate(folder)
        metrics = {key: entry | {"values": computed[key]} for key, entry in record.metrics.items()}
        large = replace(large, metrics=metrics)
        large.write(folder, overwrite=True)
        return large

    def test_halves_the_weights_and_keeps_the_numbers(self, folder, large):
        was = large.load_model(folder).state_dict()
        before = contents(folder / "vae")
        smaller, files = large.compact(folder)
        assert contents(folder / "vae") == before  # nothing is written yet
        smaller.write(folder, files, overwrite=True)
        assert smaller.weights["dtype"] == "float16"
        assert smaller.weights["bytes"] < 0.6 * large.weights["bytes"]
        assert smaller.metrics == large.metrics
        for name, value in load(folder / "vae" / "run.safetensors").state_dict().items():
            assert torch.equal(value, was[name].half().float() if value.ndim > 1 else was[name])
        assert holds(folder / "vae" / "run.json")

    def test_leaves_the_weights_out(self, folder, large):
        smaller, files = large.compact(folder, keep_weights=False)
        assert smaller.weights == {}
        assert list(files) == ["run.observed.safetensors"]
        smaller.write(folder, files, overwrite=True)
        assert not (folder / "vae" / "run.safetensors").exists()
        assert holds(folder / "vae" / "run.json")

    @pytest.mark.parametrize("keep_weights", [True, False])
    def test_a_number_that_would_move(self, folder, large, keep_weights):
        metrics = deepcopy(large.metrics)
        metrics[SETS[1]]["values"]["kl"] *= 1.01
        before = contents(folder / "vae")
        with pytest.raises(ValueError, match=r"vae/run: phantoms\.lesion/test kl would move from"):
            replace(large, metrics=metrics).compact(folder, keep_weights)
        assert contents(folder / "vae") == before

    def test_without_the_data(self, folder, large, monkeypatch):
        monkeypatch.delenv("MEDLATENT_DATA")
        with pytest.raises(ValueError, match="vae/run: ham10000/test is not packed here"):
            large.compact(folder)


class TestSupplement:
    def test_adds_what_a_record_lacks_and_nothing_else(self, folder, record):
        metrics = deepcopy(record.metrics)
        del metrics[SETS[0]]["values"]["gaussian_tc"]
        whole, added, changed = replace(record, metrics=metrics).supplement(folder)
        assert (added, changed) == (["ham10000/test: gaussian_tc"], [])
        assert {key: e["values"].keys() for key, e in whole.metrics.items()} == dict.fromkeys(
            SETS, record.metrics[SETS[0]]["values"].keys()
        )
        assert record.supplement(folder) == (record, [], [])

    def test_a_number_that_is_no_longer_so(self, folder, record):
        metrics = deepcopy(record.metrics)
        metrics[SETS[0]]["values"]["psnr"] += 1
        with pytest.raises(ValueError, match=rf"vae/{record.name}: ham10000/test psnr was .* and is .* now"):
            replace(record, metrics=metrics).supplement(folder)

    def test_anew_takes_what_is_computed_today(self, folder, record):
        metrics = deepcopy(record.metrics)
        values = metrics[SETS[0]]["values"]
        values["psnr"] += 1
        values["kl"] *= 1 + 1e-9  # rounding is no change
        values["of_old"] = 1.0
        del values["gaussian_tc"]
        whole, added, changed = replace(record, metrics=metrics).supplement(folder, anew=True)
        assert (added, changed) == (["ham10000/test: gaussian_tc"], ["ham10000/test: psnr", "ham10000/test: of_old"])
        expected = record.metrics[SETS[0]]["values"] | {"kl": values["kl"]}
        assert whole.metrics[SETS[0]]["values"] == pytest.approx(expected, rel=1e-4)
        assert whole.metrics[SETS[0]]["values"]["kl"] == values["kl"]
        assert whole.metrics[SETS[1]] == record.metrics[SETS[1]]

    def test_anew_leaves_alone_what_cannot_be_computed_here(self, folder, record, monkeypatch):
        monkeypatch.delenv("MEDLATENT_DATA")
        metrics = deepcopy(record.metrics)
        metrics[SETS[0]]["values"]["psnr"] += 1
        changed = replace(record, metrics=metrics)
        assert changed.supplement(folder, anew=True) == (changed, [], [])
