"""Plans are run: what is missing is made, what is there is left alone, and nothing is lost on the way."""

import json
import os
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from safetensors.torch import load_file

import medlatent.runs
import medlatent.training
from medlatent.__main__ import main
from medlatent.data import Card, ImageSet
from medlatent.evaluation import agrees
from medlatent.files import claim, read_tensors, save_tensors
from medlatent.models import VAE
from medlatent.plans import Plan
from medlatent.records import Record, results_folder
from medlatent.runs import build, differences, in_order, perform, run_plan, standing

ENTRY = {
    "profile": "ci",
    "name": "{system}_{seed}",
    "systems": ["VAE"],
    "seeds": [0, 1],
    "steps": 6,
    "batch_size": 4,
    "set": {"latent_dim": 2},
    "measures": 2,
}


class Chapter:
    """A folder of results with a plan of two small runs, the data beside it, and the command that runs it."""

    def __init__(self, root: Path) -> None:
        self.root, self.results, self.checkpoints = root, root / "results", root / "checkpoints"
        self.folder = self.results / "scratch"
        self.plan = self.folder / "plan.toml"
        images = np.random.default_rng(0).integers(0, 256, (24, 3, 16, 16), dtype=np.uint8)
        table = pd.DataFrame({"split": ["train"] * 12 + ["validation"] * 4 + ["test"] * 8})
        card = Card("small set", "computed here", "CC0-1.0", "nobody", "none")
        ImageSet(images, table, {}, card).save(root / "small")
        self.write()

    def write(self, **change) -> None:
        entry = ENTRY | {"data": str(self.root / "small")} | change
        settings = ", ".join(f"{name} = {json.dumps(value)}" for name, value in entry.pop("set").items())
        lines = [f"{name} = {json.dumps(value)}" for name, value in entry.items()]
        self.folder.mkdir(parents=True, exist_ok=True)
        self.plan.write_text("\n".join(["[[runs]]", *lines, f"set = {{ {settings} }}", ""]))

    def arguments(self, *more: str) -> list[str]:
        given = ["run", str(self.plan), "--device", "cpu", "--out", str(self.results)]
        return [*given, "--checkpoints", str(self.checkpoints), *more]

    def run(self, *more: str) -> int:
        return main(self.arguments(*more))

    def record(self, name: str) -> Record:
        return Record.read(self.folder / f"{name}.json")

    def names(self) -> list[str]:
        return sorted(path.stem for path in self.folder.glob("*.json"))

    def state(self) -> dict[str, tuple]:
        found = (p for p in self.root.rglob("*") if p.is_file())
        return {str(p.relative_to(self.root)): (p.stat().st_mtime_ns, p.read_bytes()) for p in found}

    def stands(self) -> dict[str, tuple[str, str]]:
        jobs = Plan.read(self.plan).jobs()
        return {job.name: standing(job, self.results, self.checkpoints) for job in jobs}


@pytest.fixture
def chapter(tmp_path) -> Chapter:
    return Chapter(tmp_path)


TWO = """
[defaults]
profile = "ci"
data = "DATA"
batch_size = 4
measures = 1
seeds = [0]

[[runs]]
name = "directions_{directions}"
systems = ["LatentDirections"]
steps = 30
set = { generator_record = "scratch/vae_{seed}", K = 3, directions = "unit", reconstructor = "resnet18", width = 2 }

[[runs]]
name = "vae_{seed}"
systems = ["VAE"]
steps = 3
set = { latent_dim = 4 }
"""


class TestRunsThatNeedOthers:
    @pytest.fixture
    def two(self, chapter, monkeypatch) -> Chapter:
        chapter.plan.write_text(TWO.replace("DATA", str(chapter.root / "small")))
        monkeypatch.setattr("medlatent.evaluation.directions.BATCHES", 2)
        return chapter

    def test_come_after_them(self, two, capsys):
        """Though it is the longer run, and the first of the plan."""
        assert two.run() == 0
        assert two.names() == ["directions_unit", "vae_0"]
        record, generator = two.record("directions_unit"), two.record("vae_0")
        assert record.config["generator_record"] == "scratch/vae_0"  # of its own seed
        assert record.config["generator"] == {"model": "VAE", "config": generator.config}
        model, vae = record.load_model(two.results), generator.load_model(two.results)
        for name, value in vae.state_dict().items():
            assert (model.state_dict()[f"generator.{name}"] == value).all(), name
        assert 0 <= record.metrics[record.own_set]["values"]["rca"] <= 1
        assert two.stands()["directions_unit"] == ("recorded", "")
        for pairs in record.reevaluate(two.results).values():
            assert all(agrees(*pair, name) for name, pair in pairs.items())
        assert two.run() == 0  # all is there

    def test_alone_say_which_command_makes_them(self, two, capsys):
        assert two.run("--only", "directions_unit") != 0
        said = capsys.readouterr().err
        assert "generator_record: there is no record scratch/vae_0 in" in said
        assert "`python -m medlatent run results/scratch/plan.toml --only vae_0` makes it" in said
        assert two.names() == []

    def test_that_need_each_other_are_refused(self, two):
        jobs = Plan.read(two.plan).jobs()
        circle = [
            replace(job, settings={"x_record": f"scratch/{other.name}"})
            for job, other in zip(jobs, jobs[::-1], strict=True)
        ]
        with pytest.raises(ValueError, match="directions_unit: the records that it needs need it in turn"):
            in_order(circle)
        assert [[job.name for job in group] for group in in_order(jobs)] == [["vae_0"], ["directions_unit"]]

    def test_a_record_is_no_path(self, two):
        with pytest.raises(ValueError, match="generator_record: expected the name of a record, slug/name, got "):
            build("LatentDirections", {"generator_record": "../../etc/x"}, 0, two.results)


class TestRunPlan:
    def test_what_is_missing_is_made_and_holds(self, chapter, capsys):
        assert chapter.stands() == {"vae_0": ("missing", ""), "vae_1": ("missing", "")}
        assert chapter.run() == 0
        assert chapter.names() == ["vae_0", "vae_1"]
        assert chapter.stands() == {"vae_0": ("recorded", ""), "vae_1": ("recorded", "")}
        assert not list(chapter.checkpoints.rglob("*.checkpoint"))
        for seed in (0, 1):
            record = chapter.record(f"vae_{seed}")
            assert (record.slug, record.run["seed"], record.run["steps"]) == ("scratch", seed, 6)
            assert record.run["profile"] == "ci"
            assert record.run["command"] == (
                f"python -m medlatent run results/scratch/plan.toml --profile ci --only vae_{seed}"
            )
            assert record.run["measured_on"] == "4 images of the validation split"
            assert [row["step"] for row in record.measures] == [3, 6]
            assert record.measures[0]["sse"] != record.measures[1]["sse"]
            for pairs in record.reevaluate(chapter.results).values():
                assert all(agrees(*pair, name) for name, pair in pairs.items())

    def test_what_is_there_is_left_alone(self, chapter, capsys):
        assert chapter.run("--only", "vae_1") == 0
        assert chapter.names() == ["vae_1"]
        before = chapter.state()
        assert chapter.run() == 0
        after = chapter.state()
        assert {name: after[name] for name in before} == before
        assert chapter.names() == ["vae_0", "vae_1"]
        assert re.search("vae_1 +recorded", capsys.readouterr().err)
        assert chapter.run() == 0
        assert chapter.state() == after

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_what_a_kill_left_between_a_record_s_files_is_known_before_it_is_made_again(self, chapter):
        """It was said to be missing, made again, and then not written, since it was there by then."""
        chapter.run("--only", "vae_0")
        record, folder = chapter.record("vae_0"), chapter.results / "scratch"
        weights = {"vae_0.safetensors": (folder / "vae_0.safetensors").read_bytes()}
        for path in folder.glob("vae_0.*"):
            path.unlink()
        if (child := os.fork()) == 0:
            real, calls = os.replace, iter(range(9))
            os.replace = lambda *names: os._exit(9) if next(calls) == 2 else real(*names)  # after the journal
            record.write(chapter.results, weights)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert not list(folder.glob("vae_0.*"))
        assert chapter.stands()["vae_0"] == ("recorded", "")
        assert chapter.record("vae_0") == record

    def test_a_dry_run_writes_nothing(self, chapter, capsys):
        before = sorted(chapter.root.rglob("*"))
        assert chapter.run("--dry-run") == 0
        out, err = capsys.readouterr()
        assert re.findall(r"(\S+) +missing", out) == ["vae_0", "vae_1"]
        assert err == ""
        assert sorted(chapter.root.rglob("*")) == before

    def test_only_some(self, chapter, capsys):
        assert chapter.run("--only", "*_1", "--profile", "ci", "--dry-run") == 0
        assert capsys.readouterr().out.split() == ["vae_1", "missing"]
        assert chapter.run("--profile", "laptop") == 1
        assert "has no runs of the profile 'laptop': choose one of ci" in capsys.readouterr().err
        assert chapter.run("--only", "gan*") == 1
        assert "no run is called 'gan*'; there are vae_0, vae_1" in capsys.readouterr().err

    def test_no_plan(self, chapter, capsys):
        chapter.plan.unlink()
        assert chapter.run() == 1
        assert "plan.toml: no such plan" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"steps": 7}, "recorded with steps 6, the plan says 7"),
            ({"batch_size": 3}, "batch size 4, the plan says 3"),
            ({"set": {"latent_dim": 3}}, "argument latent_dim 2, the plan says 3"),
            ({"set": {}}, "argument latent_dim 2, the plan says 32"),
            ({"set": {"latent_dim": 2, "learning_rate": 1e-3}}, "argument learning_rate .*, the plan says 0.001"),
            ({"systems": ["BetaVAE"], "name": "vae_{seed}"}, "model 'VAE', the plan says 'BetaVAE'"),
            ({"split": "train+validation"}, r"split 'train', the plan says 'train\+validation'"),
            ({"images": 20}, "images None, the plan says 20"),
            ({"data_seed": 1}, "data seed 0, the plan says 1"),
            ({"precision": "bfloat16"}, "precision 'float32', the plan says 'bfloat16'"),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_what_is_recorded_differently_is_refused(self, trained, capsys, change, words):
        trained.write(**change)
        before = trained.state()
        assert trained.run() == 1
        err = capsys.readouterr().err
        assert re.search(words, err)
        assert "Change the plan or the name, leave it out with --only, or make it anew with --overwrite" in err
        assert trained.state() == before

    def test_what_is_recorded_differently_is_made_anew_if_told(self, chapter):
        assert chapter.run() == 0
        chapter.write(steps=7, weights=[0])
        assert chapter.run("--overwrite") == 0
        assert [chapter.record(f"vae_{seed}").run["steps"] for seed in (0, 1)] == [7, 7]
        assert [bool(chapter.record(f"vae_{seed}").weights) for seed in (0, 1)] == [True, False]
        assert sorted(p.name for p in chapter.folder.glob("*.safetensors")) == [
            "vae_0.safetensors",
            "vae_1.observed.safetensors",
        ]

    def test_a_record_that_cannot_be_read_is_different(self, chapter, capsys):
        chapter.folder.joinpath("vae_0.json").write_text("{}")
        assert chapter.run() == 1
        assert "vae_0.json is no medlatent.Record" in capsys.readouterr().err
        assert chapter.run("--overwrite") == 0
        assert chapter.stands()["vae_0"] == ("recorded", "")

    def test_weights_that_the_plan_keeps(self, chapter):
        chapter.write(weights=[])
        assert chapter.run() == 0
        assert chapter.stands()["vae_0"] == ("recorded", "")
        chapter.write()
        assert chapter.stands()["vae_0"] == ("different", "recorded without its weights, which the plan keeps")

    def test_a_failing_run_does_not_stop_the_others(self, chapter, capsys, monkeypatch):
        real = medlatent.runs.train

        def train(model, images, steps, **options):
            if options["seed"] == 0:
                raise FloatingPointError("step 3: the term 'kl' is nan")
            return real(model, images, steps, **options)

        monkeypatch.setattr(medlatent.runs, "train", train)
        assert chapter.run() == 1
        err = capsys.readouterr().err
        assert "vae_0 failed: FloatingPointError: step 3: the term 'kl' is nan" in err
        assert chapter.names() == ["vae_1"]

    def test_a_record_that_cannot_be_written_is_a_failure_that_loses_nothing(self, chapter, capsys, monkeypatch):
        with monkeypatch.context() as patch:
            patch.setattr(Record, "write", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
            assert chapter.run("--only", "vae_0") == 1
        assert "vae_0 failed: OSError: [Errno 28] No space left" in capsys.readouterr().err
        assert chapter.stands()["vae_0"][0] == "unfinished"
        monkeypatch.setattr(VAE, "update", lambda *_: pytest.fail("it was trained again"))
        assert chapter.run("--only", "vae_0") == 0
        assert chapter.names() == ["vae_0"]

    def test_what_comes_while_it_runs_is_not_replaced(self, chapter, capsys, monkeypatch):
        real = medlatent.runs.train

        def meanwhile(*arguments, **options):
            (chapter.folder / "vae_0.json").write_text("somebody else's")
            return real(*arguments, **options)

        monkeypatch.setattr(medlatent.runs, "train", meanwhile)
        assert chapter.run("--only", "vae_0") == 1
        assert "vae_0.json exists, and is not to be replaced" in capsys.readouterr().err
        assert (chapter.folder / "vae_0.json").read_text() == "somebody else's"

    def test_two_at_once(self, chapter, capsys):
        checkpoint = chapter.checkpoints / "scratch" / "vae_1.checkpoint"
        checkpoint.parent.mkdir(parents=True)
        with claim(checkpoint):
            assert chapter.run() == 1
            assert "vae_1.checkpoint is being written by process" in capsys.readouterr().err
            assert chapter.names() == []
            assert chapter.run("--only", "vae_0") == 0
        assert chapter.run() == 0

    def test_a_target_that_cannot_be_written_is_found_first(self, chapter, capsys, monkeypatch):
        monkeypatch.setattr(medlatent.runs, "train", lambda *_, **__: pytest.fail("it was trained"))
        (chapter.root / "file").write_text("")
        assert chapter.run("--out", str(chapter.root / "file")) == 1
        assert "file is a file, not a folder" in capsys.readouterr().err

    def test_the_checkpoint_of_a_recorded_run_goes_with_the_next_start(self, chapter, monkeypatch):
        """A kill right after the record was written leaves it; one that has not come to its end is somebody else's."""

        def killed_after_it(job, made, folder, checkpoints, overwrite):
            return made[0].write(folder, made[1], overwrite)

        with monkeypatch.context() as patch:
            patch.setattr("medlatent.runs.write", killed_after_it)
            assert chapter.run() == 0
        left = sorted(chapter.checkpoints.rglob("*.checkpoint"))
        assert [path.stem for path in left] == ["vae_0", "vae_1"]
        tensors, header = read_tensors(left[1], medlatent.training.FORMAT, medlatent.training.VERSION)
        save_tensors(left[1], tensors, medlatent.training.FORMAT, medlatent.training.VERSION, **header | {"step": 5})
        before = {name: content for name, content in chapter.state().items() if not name.endswith("vae_0.checkpoint")}
        assert chapter.run() == 0
        assert chapter.state() == before

    def test_interrupted_it_goes_on_from_the_checkpoint(self, chapter, capsys, monkeypatch):
        real, update, taken = medlatent.runs.train, VAE.update, []

        def stop_at_five(model, images):
            taken.append(1)
            if len(taken) == 5:
                raise KeyboardInterrupt
            return update(model, images)

        with monkeypatch.context() as patch:
            patch.setattr(VAE, "update", stop_at_five)
            patch.setattr(medlatent.runs, "train", lambda *a, **o: real(*a, **o, checkpoint_every=2))
            assert chapter.run() == 130
        err = capsys.readouterr().err
        assert "interrupted: 0 of 2 runs are done; unfinished: vae_0, vae_1. Start the same again to go on" in err
        state, remark = chapter.stands()["vae_0"]
        assert (state, remark) == ("unfinished", f"goes on from {chapter.checkpoints / 'scratch/vae_0.checkpoint'}")
        assert len(load_file(chapter.checkpoints / "scratch/vae_0.checkpoint")["history"]) == 4
        taken.clear()
        monkeypatch.setattr(VAE, "update", lambda model, images: taken.append(1) or update(model, images))
        assert chapter.run() == 0
        assert len(taken) == 2 + 6
        whole = Chapter(chapter.root / "whole")
        assert whole.run() == 0
        one, other = chapter.record("vae_0"), whole.record("vae_0")
        assert one.history == other.history
        assert one.measures == other.measures
        assert [e["values"] for e in one.metrics.values()] == [e["values"] for e in other.metrics.values()]


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory) -> Chapter:
    chapter = Chapter(tmp_path_factory.mktemp("trained"))
    assert chapter.run() == 0
    return chapter


@pytest.fixture
def trained(trained_once) -> Chapter:
    """A chapter whose runs are recorded; a test may change its plan alone."""
    trained_once.write()
    yield trained_once
    trained_once.write()


class TestStanding:
    def test_code_that_has_changed_since(self, trained, monkeypatch, capsys):
        monkeypatch.setattr(medlatent.runs, "code_digest", lambda model: "0" * 64)
        commit = trained.record("vae_0").run["commit"][:12]
        expected = ("recorded", f"the code that trained it, at {commit}, has changed since")
        assert trained.stands() == {"vae_0": expected, "vae_1": expected}
        assert trained.run("--dry-run") == 0
        assert capsys.readouterr().out.count(expected[1]) == 2

    def test_code_that_is_not_stated(self, trained, monkeypatch):
        record = trained.record("vae_0")
        run = {name: value for name, value in record.run.items() if name != "code"}
        older = replace(record, run=run)
        monkeypatch.setattr(Record, "read", lambda path: older)
        words = f"the code that trained it, at {record.run['commit'][:12]}, has changed since"
        assert trained.stands()["vae_0"] == ("recorded", words)

    def test_the_code_is_that_at_the_start(self, chapter, monkeypatch):
        """What is edited while a run is under way did not make it."""
        digests = iter("ab")
        monkeypatch.setattr(medlatent.runs, "code_digest", lambda model: next(digests) * 64)
        real = medlatent.runs.train

        def train(*arguments, **options):
            assert next(digests) == "b"
            return real(*arguments, **options)

        monkeypatch.setattr(medlatent.runs, "train", train)
        (job,) = Plan.read(chapter.plan).jobs(only="vae_0")
        assert perform(job, checkpoints=chapter.checkpoints, device="cpu")[0].run["code"] == "a" * 64

    def test_every_recorded_run_is_what_its_plan_says(self, trained):
        for job in Plan.read(trained.plan).jobs():
            record = trained.record(job.name)
            assert differences(record, job) == []
            assert differences(record, replace(job, seed=5)) == [f"seed {job.seed}, the plan says 5"]


class TestPerform:
    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"system": "Unicorn"}, "unknown model 'Unicorn': choose one of VAE"),
            ({"settings": {"latent": 2}}, "VAE has no argument 'latent'; it has latent_dim, channels"),
            ({"settings": {"latent_dim": 0}}, "latent_dim must be at least 1, got 0"),
            ({"source": "nothing"}, "unknown source 'nothing'"),
            ({"name": "a/b"}, "the name of the record is 'a/b', expected a plain name"),
            ({"slug": ".."}, r"the name of the chapter is '\.\.', expected a plain name"),
            ({"batch_size": 13}, "batch_size 13 is larger than the data: 12 images"),
        ],
    )
    def test_what_is_wrong_is_found_before_the_first_step(self, chapter, monkeypatch, change, message):
        monkeypatch.setattr(VAE, "update", lambda *_: pytest.fail("it was trained"))
        (job,) = Plan.read(chapter.plan).jobs(only="vae_0")
        with pytest.raises(ValueError, match=message):
            perform(replace(job, **change), checkpoints=chapter.checkpoints, device="cpu")
        assert not list(chapter.root.rglob("*.checkpoint"))

    def test_reports_and_writes_no_record(self, chapter, monkeypatch):
        (job,) = Plan.read(chapter.plan).jobs(only="vae_0")
        monkeypatch.setattr(medlatent.training.time, "perf_counter", iter(range(10_000)).__next__)
        steps = []
        record, contents = perform(job, steps.append, checkpoints=chapter.checkpoints, device="cpu")
        assert steps == [1, 2, 3, 4, 5, 6]
        assert list(contents) == [record.weights["file"]]
        assert chapter.names() == []


@pytest.mark.executes
def test_two_processes_make_two_records(chapter, trained_once):
    """They are those that one process makes."""
    outcomes = run_plan(
        chapter.plan, folder=chapter.results, checkpoints=chapter.checkpoints, device="cpu", workers=2, progress=False
    )
    assert [(outcome.job.name, outcome.state) for outcome in outcomes] == [("vae_0", "done"), ("vae_1", "done")]
    for name in ("vae_0", "vae_1"):
        one, other = chapter.record(name), trained_once.record(name)
        assert one.history == other.history
        assert one.measures == other.measures
        assert one.metrics.popitem()[1]["values"] == other.metrics.copy().popitem()[1]["values"]
    assert chapter.stands() == {"vae_0": ("recorded", ""), "vae_1": ("recorded", "")}


@pytest.mark.executes
def test_a_dask_cluster_of_two_processes_makes_two_records(chapter, root, trained_once):
    """The command line, with a scheduler and two workers as processes of their own."""
    distributed = pytest.importorskip("distributed")
    environment = os.environ | {"PYTHONPATH": str(root)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(root))
        patch.chdir(chapter.root)
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None)
    with cluster:
        arguments = chapter.arguments("--engine", f"dask:{cluster.scheduler_address}")
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-m", "medlatent", *arguments],
            cwd=chapter.root,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stderr
    assert chapter.names() == ["vae_0", "vae_1"]
    for name in chapter.names():
        record = chapter.record(name)
        assert (chapter.folder / f"{name}.json").stat().st_mtime > began
        assert record.history == trained_once.record(name).history
        for pairs in record.reevaluate(chapter.results).values():
            assert all(agrees(*pair, number) for number, pair in pairs.items())
    assert chapter.stands() == {"vae_0": ("recorded", ""), "vae_1": ("recorded", "")}


def test_a_plan_of_several_profiles_is_not_run_whole_by_accident(tmp_path, capsys):
    plan = results_folder() / "vae" / "plan.toml"
    with pytest.raises(ValueError, match="--profile"):
        run_plan(plan, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
    run_plan(plan, folder=tmp_path, dry_run=True)
    assert capsys.readouterr().out.count("missing") == len(Plan.read(plan).runs)
