"""The command line: train, record, evaluate, list; and one line on stderr where something is wrong."""

import errno
import json
import re
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import medlatent.__main__
import medlatent.records
import medlatent.runs
from medlatent.__main__ import main
from medlatent.cards import model_card
from medlatent.data import Card, Factor, ImageSet, open_images
from medlatent.evaluation import classifiers, generated, suite, suite_names
from medlatent.files import write_json
from medlatent.models import VAE, load
from medlatent.nets import train_domain_classifier
from medlatent.records import FORMAT, VERSION, Record
from medlatent.training import train as real_train

N = 24
MARKUP = re.compile(r"``|:\w+:`|\{py:\w+\}|(?<!\w)\*[A-Za-z]|%\(")  # of Sphinx, of Markdown, and of argparse


@pytest.fixture
def where(tmp_path, monkeypatch):
    """A working directory with a small packed set."""
    images = np.random.default_rng(0).integers(0, 256, (N, 3, 16, 16), dtype=np.uint8)
    table = pd.DataFrame({"split": ["train"] * 16 + ["test"] * 8})
    card = Card("small set", "computed here", "CC0-1.0", "nobody", "none")
    ImageSet(images, table, {}, card).save(tmp_path / "small")
    monkeypatch.chdir(tmp_path)
    list(map(suite, suite_names()))  # imported later they would take the patched function, and keep it
    for module in (medlatent.__main__, medlatent.records):
        monkeypatch.setattr(module, "results_folder", lambda: tmp_path / "results")
    monkeypatch.delenv("MEDLATENT_DATA", raising=False)
    return tmp_path


def command(*more: str, model: str = "VAE") -> list[str]:
    given = {"--data": "small", "--steps": "5", "--batch-size": "4", "--out": "results", "--device": "cpu"}
    given |= {"--precision": "float32", "--set": "latent_dim=2"}
    for name, value in zip(more[::2], more[1::2], strict=False):
        given[name] = value
    return ["train", model, *(word for pair in given.items() for word in pair)]


RECORD = "results/vae/small_vae_seed0.json"


def edit(path, change) -> None:
    """As a forger does who knows of the checksum."""
    fields = json.loads(path.read_text())
    change(fields)
    for taken in ("format", "version", "sha256"):
        del fields[taken]
    write_json(path, fields, FORMAT, VERSION, checksum=True)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


DATA = ["small/card.json", "small/images.npy", "small/table.csv"]


class TestTrain:
    def test_writes_a_record_that_evaluates_to_itself(self, where, capsys):
        assert main(command()) == 0
        said = capsys.readouterr()
        assert said.out.strip() == RECORD
        assert said.err.count("left out: ") == 2
        assert "small/test               left out: mig, mig_from_posterior, sap, modularity, " in said.err
        assert "mig_p, clustering_nmi, few_label_accuracy: the images have no factors" in said.err
        assert (
            "mig_hf, mig_hf_circle: the images have no factor eccentricity, orientation, size, as outlines" in said.err
        )
        assert sorted(p.name for p in (where / "results" / "vae").iterdir()) == [
            "small_vae_seed0.json",
            "small_vae_seed0.md",
            "small_vae_seed0.safetensors",
        ]
        assert not list((where / "_build").rglob("*.safetensors"))
        record = Record.read(where / RECORD)
        assert (record.model, record.config["latent_dim"], record.config["size"]) == ("VAE", 2, 16)
        assert (record.run["steps"], record.run["batch_size"], record.run["seed"]) == (5, 4, 0)
        words = record.run["command"].split()
        assert words[:6] == ["python", "-m", "medlatent", "train", "VAE", "--data"]
        assert "--steps" in words
        assert "--out" not in words, "the folder of one machine"
        assert "results" not in words
        assert record.data["images"] == 16
        assert record.history["step"] == [1, 2, 3, 4, 5]
        assert record.metrics["small/test"]["images"] == 8
        assert main(["evaluate", RECORD]) == 0
        out = capsys.readouterr().out
        assert out.count(" ok") == 6
        assert "DIFFERS" not in out
        left_out = [[line for line in text.splitlines() if "left out" in line] for text in (out, said.err)]
        assert left_out[0] == left_out[1]
        assert "`few_label_accuracy`: the images have no factors" in (where / RECORD).with_suffix(".md").read_text()
        (where / "results/vae/claims.json").write_text("{}")
        assert main(["evaluate"]) == 0  # all of them
        assert capsys.readouterr().out == out

    def test_evaluate_adds_what_a_record_lacks_and_changes_nothing_else(self, where, capsys):
        assert main(command()) == 0
        path = where / RECORD
        whole = path.read_text()
        record = Record.read(path)
        del record.metrics["small/test"]["values"]["gaussian_tc"]
        record.write(where / "results", overwrite=True)
        capsys.readouterr()
        assert main(["evaluate", "--add", RECORD]) == 0
        assert capsys.readouterr().out.strip() == "vae/small_vae_seed0: added small/test: gaussian_tc"
        assert path.read_text() == whole
        assert main(["evaluate", "--add", RECORD]) == 0
        assert "added nothing" in capsys.readouterr().out
        record.metrics["small/test"]["values"]["psnr"] += 1
        record.write(where / "results", overwrite=True)
        before = path.read_text()
        assert main(["evaluate", "--add", RECORD]) == 1
        assert "small/test psnr was" in capsys.readouterr().err
        assert path.read_text() == before
        assert main(["evaluate", "--replace", RECORD]) == 0
        assert "vae/small_vae_seed0: replaced small/test: psnr" in capsys.readouterr().out
        assert path.read_text() == whole

    def test_a_set_with_factors_has_their_numbers_in_its_record(self, where, capsys):
        random = np.random.default_rng(0)
        table = pd.DataFrame({"shade": random.random(120), "other": random.random(120), "split": "test"})
        table.loc[:9, "split"] = "train"
        images = np.empty((120, 3, 16, 16), np.uint8)
        images[:] = (255 * table["shade"].to_numpy()[:, None, None, None]).astype(np.uint8)
        factors = {"shade": Factor("grey"), "other": Factor("not seen")}
        ImageSet(images, table, factors, Card("grey set", "computed here", "CC0-1.0", "nobody", "none")).save("grey")
        assert main(command("--data", "grey")) == 0
        path = capsys.readouterr().out.strip()
        values = Record.read(path).metrics["grey/test"]["values"]
        assert {"mig", "dci_completeness", "scc"} < set(values)
        assert main(["evaluate", path]) == 0
        assert capsys.readouterr().out.count(" ok") == len(values)
        assert Record.read(path).reevaluate(where / "results")["grey/test"] == {k: (v, v) for k, v in values.items()}

    def test_a_generator_of_real_digits_can_be_checked_without_them(self, where, capsys, monkeypatch):
        monkeypatch.setattr(generated, "GENERATED", 200)
        classifiers._classifier.cache_clear()
        monkeypatch.setattr(
            classifiers,
            "train_domain_classifier",
            lambda images, factor, steps, dtype: train_domain_classifier(images, factor, 10, dtype=dtype),
        )
        digits = open_images("mnist.digits", 200)
        digits.save(where / "data" / "mnist")
        monkeypatch.setenv("MEDLATENT_DATA", str(where / "data"))
        arguments = command("--data", "mnist", "--steps", "2", "--set", "width=2", "--slug", "gan", model="InfoGAN")
        assert main([*arguments, "--set", "code_range=[-1, 1]", "--split", "train+validation"]) == 0
        path = where / "results" / "gan" / "mnist_infogan_seed0.json"
        record = Record.read(path)
        assert (record.config["code_range"], record.config["size"], record.config["channels"]) == ([-1.0, 1.0], 28, 1)
        assert list(record.metrics) == ["mnist/test", "mnist.digits/test"]
        assert record.metrics["mnist.digits/test"]["images"] == len(open_images("mnist.digits").split("test"))
        assert (record.data["split"], record.data["images"]) == (
            "train+validation",
            len(digits.split("train", "validation")),
        )
        assert list(record.history)[:3] == ["step", "loss", "adversarial"]
        assert record.weights["without"] == ["discriminator", "reader"]
        assert record.load_model(where / "results").left_out == ("discriminator", "reader")
        card = path.with_suffix(".md").read_text("utf-8")
        assert "Digits that employees" in card
        assert "; without discriminator and reader, which only training needs" in card
        capsys.readouterr()
        assert main(["evaluate", str(path)]) == 0
        assert capsys.readouterr().out.count(" ok") == 32
        monkeypatch.delenv("MEDLATENT_DATA")
        assert main(["evaluate", str(path)]) == 0
        out = capsys.readouterr().out
        assert out.count(" ok") == 16
        assert "mnist/test: not checked" in out
        # The numbers can be kept without the weights, too.
        assert main(["compact", "--without-weights", str(path)]) == 1
        assert "mnist/test is not packed here" in capsys.readouterr().err
        monkeypatch.setenv("MEDLATENT_DATA", str(where / "data"))
        assert main(["compact", "--without-weights", str(path)]) == 0
        assert not path.with_suffix(".safetensors").exists()
        monkeypatch.delenv("MEDLATENT_DATA")
        capsys.readouterr()
        assert main(["evaluate", str(path)]) == 0
        assert capsys.readouterr().out.count(" ok") == 16
        classifiers._classifier.cache_clear()

    def test_is_the_run_that_the_package_makes_from_the_same_seed(self, where):
        assert main(command("--seed", "3")) == 0
        torch.manual_seed(3)
        model = VAE(latent_dim=2, size=16)
        images = ImageSet.load(where / "small").split("train")
        real_train(model, images, 5, batch_size=4, seed=3, device="cpu", precision="float32", progress=False)
        written = load(where / "results/vae/small_vae_seed3.safetensors")
        for name, value in model.state_dict().items():
            stored = value.half().float() if value.ndim > 1 else value  # a record's weights have 16 bits
            assert torch.equal(stored, written.state_dict()[name])

    def test_an_existing_record_is_kept_unless_told(self, where, capsys):
        assert main(command()) == 0
        content = (where / RECORD).read_bytes()
        capsys.readouterr()
        assert main(command("--steps", "6")) == 1
        assert f"{RECORD} exists: choose another --name, or pass --overwrite" in capsys.readouterr().err
        assert (where / RECORD).read_bytes() == content
        assert main([*command("--steps", "6"), "--overwrite"]) == 0
        assert Record.read(where / RECORD).run["steps"] == 6
        assert main(command("--name", "other")) == 0
        assert (where / "results/vae/other.json").is_file()

    def test_an_interrupted_run_goes_on_where_it_stopped(self, where, monkeypatch):
        assert main(command("--name", "whole")) == 0

        def interrupted(*arguments, **options):
            broken, calls = arguments[0].update, iter(range(99))
            arguments[0].update = lambda images: stop() if next(calls) == 4 else broken(images)
            return real_train(*arguments, **options, checkpoint_every=2)

        def stop():
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(medlatent.runs, "train", interrupted)
            assert main(command()) == 130
        checkpoint = where / "_build/checkpoints/vae/small_vae_seed0.checkpoint"
        assert len(load_file(checkpoint)["history"]) == 4
        assert not (where / RECORD).exists()

        taken = []
        update = VAE.update
        monkeypatch.setattr(VAE, "update", lambda self, images: taken.append(1) or update(self, images))
        assert main(command()) == 0
        assert len(taken) == 1
        assert not checkpoint.exists()
        a, b = Record.read(where / RECORD), Record.read(where / "results/vae/whole.json")
        assert a.history == b.history
        weights = [load_file((where / RECORD).parent / record.weights["file"]) for record in (a, b)]
        assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())
        assert a.metrics == b.metrics

    def test_values_of_set_are_json_or_words(self, where):
        arguments = [*command(), "--set", "likelihood=bernoulli", "--set", "learning_rate=1e-3"]
        assert main(arguments) == 0
        config = Record.read(where / RECORD).config
        assert (config["likelihood"], config["learning_rate"], config["latent_dim"]) == ("bernoulli", 1e-3, 2)

    def test_steps_and_batches_have_defaults(self, where, monkeypatch):
        asked = {}

        def stop(model, images, steps, **options):
            asked.update(steps=steps, **options)
            raise ValueError("enough")

        monkeypatch.setattr(medlatent.runs, "train", stop)
        assert main(["train", "VAE", "--data", "small", "--out", "results", "--device", "cpu"]) == 1
        assert (asked["steps"], asked["batch_size"], asked["seed"]) == (300, 64, 0)

    @pytest.mark.parametrize("measures", [1, 2, 5])
    def test_measures_along_the_way(self, where, measures):
        assert main(command("--measures", str(measures))) == 0
        record = Record.read(where / RECORD)
        assert [row["step"] for row in record.measures] == {1: [5], 2: [2, 5], 5: [1, 2, 3, 4, 5]}[measures]
        assert record.run["measured_on"] == "8 images of the test split"  # the set has no validation split

    def test_weights_stay_where_checkpoints_lie_in_the_same_folder(self, where):
        """Both folders and both names may be one."""
        assert main(command("--out", "both", "--checkpoints", "both", "--name", "m")) == 0
        assert sorted(p.name for p in (where / "both/vae").iterdir()) == ["m.json", "m.md", "m.safetensors"]
        assert main(["evaluate", "both/vae/m.json"]) == 0

    @pytest.mark.parametrize("option", ["--name", "--slug"])
    @pytest.mark.parametrize("name", ["a/b", "..", ".", "", "con", "NUL.txt", "../evil/vae", "a b", "/tmp/x", "é"])
    def test_names_that_are_none_are_refused_before_the_training(self, where, capsys, monkeypatch, option, name):
        monkeypatch.setattr(medlatent.runs, "train", lambda *_, **__: pytest.fail("it was trained"))
        assert main(command(option, name)) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert f"{option} is {name!r}, expected a plain name" in err
        assert files(where) == DATA

    @pytest.mark.parametrize("option", ["--out", "--checkpoints"])
    def test_a_target_that_cannot_be_written_is_found_before_the_training(self, where, capsys, monkeypatch, option):
        (where / "file").write_text("")
        monkeypatch.setattr(VAE, "update", lambda *_, **__: pytest.fail("it was trained"))
        assert main(command(option, "file/x")) == 1
        assert "file is a file, not a folder" in capsys.readouterr().err

    def test_a_model_that_names_no_suite_is_found_before_the_training(self, where, capsys, monkeypatch):
        monkeypatch.setattr(VAE, "suites", ())
        monkeypatch.setattr(VAE, "update", lambda *_, **__: pytest.fail("it was trained"))
        assert main(command()) == 1
        assert "VAE names no suite: set its attribute `suites`" in capsys.readouterr().err
        monkeypatch.setattr(VAE, "suites", ("reconstruction", "beauty"))
        assert main(command()) == 1
        assert "unknown suite 'beauty': there are attributes, classes, " in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("place", "error"),
        [
            ("save_weights", OSError(errno.ENOSPC, "full")),
            ("numbers_of", OSError("x")),
            ("thin_history", KeyboardInterrupt()),
            ("Record", ValueError("x")),
        ],
    )
    def test_whatever_ends_an_overwriting_run_leaves_the_old_record(self, where, monkeypatch, place, error):
        assert main(command()) == 0
        before = {p: p.read_bytes() for p in (where / "results").rglob("*") if p.is_file()}

        def boom(*_, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(medlatent.runs, place, boom)
            status = main([*command("--seed", "7", "--name", "small_vae_seed0"), "--overwrite"])
        assert status == (130 if isinstance(error, KeyboardInterrupt) else 1)
        assert {p: p.read_bytes() for p in (where / "results").rglob("*") if p.is_file()} == before
        assert main(["evaluate", RECORD]) == 0
        # The training is not lost.
        taken = []
        monkeypatch.setattr(VAE, "update", lambda *_: taken.append(1))
        assert main([*command("--seed", "7", "--name", "small_vae_seed0"), "--overwrite"]) == 0
        assert not taken
        assert Record.read(where / RECORD).run["seed"] == 7

    @pytest.mark.executes
    def test_of_two_at_once_one_is_told(self, where, root):
        (where / "medlatent").symlink_to(root / "medlatent")
        arguments = [sys.executable, "-m", "medlatent", *command("--steps", "40")]
        both = [subprocess.Popen(arguments, cwd=where, stdout=-1, stderr=-1, text=True) for _ in range(2)]
        ends = sorted((one.communicate(), one.returncode)[::-1] for one in both)
        assert [status for status, _ in ends] == [0, 1], ends
        assert re.search(
            "is being written by (another )?process|exists: choose another --name|is not to be replaced",
            ends[1][1][1],
        )
        record = Record.read(where / RECORD)
        assert record.run["steps"] == 40
        record.load_model(where / "results")

    def test_a_record_that_came_in_the_meantime_is_kept(self, where, capsys, monkeypatch):
        """Whose checkpoints lie elsewhere is seen at the end only."""
        assert main(command("--name", "other")) == 0
        (where / "results/vae").rename(where / "elsewhere")

        def meanwhile(*arguments, **options):
            shutil.copytree(where / "elsewhere", where / "results/vae", dirs_exist_ok=True)
            return real_train(*arguments, **options)

        monkeypatch.setattr(medlatent.runs, "train", meanwhile)
        assert main(command("--name", "other", "--seed", "7")) == 1
        assert "other.json exists, and is not to be replaced" in capsys.readouterr().err
        assert Record.read(where / "results/vae/other.json").run["seed"] == 0

    def test_the_command_does_not_name_folders_and_runs_again(self, where, monkeypatch):
        given = [*command(), "--checkpoints=elsewhere"]
        assert main(given) == 0
        words = Record.read(where / RECORD).run["command"].split()
        assert not {"--out", "results", "--checkpoints=elsewhere"} & set(words)
        (where / "results").rename(where / "first")
        assert main([*words[3:], "--out", "results"]) == 0
        first, again = Record.read(where / "first/vae/small_vae_seed0.json"), Record.read(where / RECORD)
        assert (first.metrics, first.history) == (again.metrics, again.history)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (command(model="Diffusion"), "unknown model 'Diffusion': choose one of VAE, BetaVAE"),
            (command("--measures", "0"), "--measures must be at least 1, got 0"),
            (command("--measures", "6"), "--measures 6: there are only 5 steps"),
            (command("--steps", "-3"), "--steps must be at least 1, got -3"),
            (command("--set", "latent=2"), "VAE has no argument 'latent'; it has latent_dim, channels"),
            (command("--set", "latent_dim"), "--set latent_dim: write NAME=VALUE"),
            (command("--set", "latent_dim=0"), "latent_dim must be at least 1, got 0"),
            (command("--set", "latent_dim=two"), "latent_dim must be a whole number of 64 bits, got 'two'"),
            (command("--set", "latent_dim=2.5"), "latent_dim must be a whole number of 64 bits, got 2.5"),
            (command("--set", "variance=null"), "variance must be a finite number, got None"),
            (
                command("--data", "ham10001"),
                "unknown source 'ham10001': use phantoms.heart, phantoms.heart.independent, phantoms.lesion, ",
            ),
            (command("--data", "ham10000"), "ham10000 is not packed: run `python -m medlatent data ham10000 --out"),
            (command("--images", "0"), "n: at least one image is needed, got 0"),
            (command("--seed", "9" * 20), "--seed must be a whole number of 64 bits, got 9"),
            (command("--images", "16"), "small set: no image lies in the split 'test'"),
            (command("--split", "test"), "--split test: use train or train\\+validation"),
            (command("--threads", "0"), "--threads must be at least 1, got 0"),
        ],
    )
    def test_what_is_wrong_is_one_line_and_nothing_is_written(self, where, capsys, arguments, message):
        assert main(arguments) == 1
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("medlatent: ")
        assert err.count("\n") == 1
        assert re.search(message, err)
        assert files(where) == DATA

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--steps", "0", "--steps must be at least 1, got 0"),
            ("--batch-size", "0", "batch_size must be at least 1, got 0"),
            ("--batch-size", "17", "batch_size 17 is larger than the data: 16 images"),
            ("--device", "tpu", "device 'tpu' cannot be used here"),
            ("--images", "17", "small/test: one image is too few to measure the model on"),
            ("--device", "meta", "device 'meta' cannot be used here"),
            ("--set", "learning_rate=x", "learning_rate must be a finite number, got 'x'"),
            ("--precision", "float8", "precision 'float8' is unknown"),
            ("--set", "size=32", "images: they are 3×16×16, the model was built for 3×32×32"),
        ],
    )
    def test_what_the_training_refuses(self, where, capsys, option, value, message):
        assert main(command(option, value)) == 1
        assert f"medlatent: {message}" in capsys.readouterr().err.splitlines()[-1]
        assert files(where) == DATA

    def test_a_nan_is_an_error_that_names_the_step(self, where, capsys):
        assert main([*command("--steps", "60"), "--set", "learning_rate=1e6"]) == 1
        assert "medlatent: step " in capsys.readouterr().err.splitlines()[-1]
        assert not (where / RECORD).exists()

    def test_a_full_disk_is_one_line(self, where, capsys, monkeypatch):
        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("medlatent.files.tensors.save_file", full)
        assert main(command()) == 1
        last = capsys.readouterr().err.splitlines()[-1]
        assert re.match(r"medlatent: _build/checkpoints/vae/small\S*: cannot be written: No space left on device", last)
        assert not list(where.rglob("*.partial"))
        assert not list(where.rglob("*.safetensors"))


class TestEvaluate:
    @pytest.fixture
    def record(self, where, capsys):
        assert main(command()) == 0
        capsys.readouterr()
        return where / RECORD

    def test_an_edited_number_is_found(self, record, capsys):
        edit(
            record,
            lambda f: f["metrics"]["small/test"]["values"].update(kl=f["metrics"]["small/test"]["values"]["kl"] * 0.9),
        )
        assert main(["evaluate", str(record)]) == 1
        lines = [line for line in capsys.readouterr().out.splitlines() if "DIFFERS" in line]
        assert len(lines) == 1
        assert " kl " in lines[0]

    def test_exchanged_weights_are_found(self, record, capsys):
        VAE(latent_dim=2, size=16).save(record.with_suffix(".safetensors"))
        assert main(["evaluate", str(record)]) == 1
        err = capsys.readouterr().err
        assert "its SHA-256 differs" in err
        assert err.count("\n") == 1

    def test_from_the_record_s_own_folder(self, record, monkeypatch, capsys):
        folder = str(record.parents[2] / "small")

        def move(fields):
            fields["data"]["source"] = folder
            fields["metrics"] = {f"{folder}/test": fields["metrics"]["small/test"] | {"source": folder}}

        edit(record, move)
        monkeypatch.chdir(record.parent)
        assert main(["evaluate", record.name]) == 0
        assert capsys.readouterr().out.count(" ok") == 6

    def test_data_that_are_not_here_are_named(self, record, capsys, monkeypatch, tmp_path_factory):
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        assert main(["evaluate", str(record)]) == 0
        assert "small/test: not checked, the data are not packed here" in capsys.readouterr().out

    def test_one_that_is_damaged_does_not_keep_the_others_from_being_looked_at(self, record, capsys):
        content = record.read_text().replace('"loss"', '"lost"')
        record.with_name("damaged.json").write_text(content)
        assert main(["evaluate", str(record.with_name("damaged.json")), str(record)]) == 1
        out, err = capsys.readouterr()
        assert "damaged.json was changed or damaged: its content is not what its checksum says" in err
        assert out.count(" ok") == 6
        assert main(["list"]) == 1
        out, err = capsys.readouterr()
        assert "damaged.json was changed" in err
        assert "vae/small_vae_seed0: VAE, 5 steps" in out

    def test_a_record_that_is_not_what_its_plan_says(self, record, capsys):
        entry = {"profile": "ci", "name": "small_vae_seed{seed}", "systems": ["VAE"], "seeds": [0], "data": "small"}
        entry |= {"steps": 5, "batch_size": 4}
        settings = "\nset = { latent_dim = 2 }\n"
        lines = "[[runs]]\n" + "\n".join(f"{k} = {json.dumps(v)}" for k, v in entry.items()) + settings
        plan = record.with_name("plan.toml")
        plan.write_text(lines)
        assert main(["evaluate", str(record)]) == 0
        edit(record, lambda f: f["run"].update(seed=3))
        assert main(["evaluate", str(record)]) == 1
        assert "vae/small_vae_seed0: recorded with seed 3, the plan says 0" in capsys.readouterr().err
        edit(record, lambda f: f["run"].update(seed=0))
        plan.write_text(lines.replace(settings, "\n"))
        assert main(["evaluate", str(record)]) == 1
        assert "argument latent_dim 2, the plan says 32" in capsys.readouterr().err

    @pytest.mark.parametrize("name", ["results/vae/none.json", "results/vae", "small/card.json"])
    @pytest.mark.usefixtures("record")
    def test_what_is_no_record(self, capsys, name):
        assert main(["evaluate", name]) == 1
        err = capsys.readouterr().err
        assert name in err
        assert err.count("\n") == 1

    def test_no_records(self, where, capsys):
        assert main(["evaluate"]) == 1
        assert "results: no records" in capsys.readouterr().err


class TestCompact:
    @pytest.fixture
    def record(self, where, capsys, monkeypatch):
        """A record of the time when weights had 32 bits."""

        def in_32_bits(model, name):
            path = model.save(where / f"{name}.safetensors")
            content = path.read_bytes()
            path.unlink()
            return {"file": path.name, "sha256": sha256(content).hexdigest(), "bytes": len(content)}, content

        with monkeypatch.context() as context:
            context.setattr(medlatent.runs, "save_weights", in_32_bits)
            assert main(command()) == 0
        capsys.readouterr()
        return where / RECORD

    def test_halves_the_weights_and_computes_the_numbers_from_them(self, record, capsys):
        weights, before = record.with_suffix(".safetensors"), Record.read(record)
        was = load(weights).state_dict()
        assert main(["compact", str(record)]) == 0
        assert "every number agrees" in capsys.readouterr().out
        after = Record.read(record)
        assert after.weights["dtype"] == "float16"
        assert weights.stat().st_size == after.weights["bytes"] < 0.6 * before.weights["bytes"]
        for name, value in load(weights).state_dict().items():
            assert torch.equal(value, was[name].half().float() if value.ndim > 1 else was[name])
        assert main(["evaluate", str(record)]) == 0
        assert record.with_suffix(".md").read_text() == model_card(after)
        content = weights.read_bytes()
        capsys.readouterr()
        assert main(["compact", str(record)]) == 0
        assert "is as small as it gets" in capsys.readouterr().out
        assert weights.read_bytes() == content

    def test_leaves_the_weights_out(self, record, capsys):
        assert main(["compact", "--without-weights", str(record)]) == 0
        assert not record.with_suffix(".safetensors").exists()
        assert Record.read(record).weights == {}
        assert main(["evaluate", str(record)]) == 0
        assert record.with_suffix(".md").read_text() == model_card(Record.read(record))
        capsys.readouterr()
        assert main(["compact", "--without-weights", str(record)]) == 0
        assert "is as small as it gets" in capsys.readouterr().out

    def unchanged(self, record, status, *more):
        before = {path: path.read_bytes() for path in record.parent.iterdir()}
        assert main(["compact", *more, str(record)]) == status
        assert {path: path.read_bytes() for path in record.parent.iterdir()} == before

    @pytest.mark.parametrize("more", [(), ("--without-weights",)])
    def test_without_the_data_nothing_changes(self, record, capsys, monkeypatch, tmp_path_factory, more):
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        self.unchanged(record, 1, *more)
        assert "vae/small_vae_seed0: small/test is not packed here" in capsys.readouterr().err

    @pytest.mark.parametrize("more", [(), ("--without-weights",)])
    def test_where_a_number_would_move_nothing_changes(self, record, capsys, more):
        edit(record, lambda f: f["metrics"]["small/test"]["values"].update(kl=1.0))
        self.unchanged(record, 1, *more)
        assert "small/test kl would move from 1 to" in capsys.readouterr().err

    @pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
    @pytest.mark.parametrize("place", ["observe", "model_card", "write_json", "numbers_of"])
    def test_interrupted_nothing_changes(self, record, monkeypatch, error, place):
        def boom(*_, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(medlatent.records, place, boom)
            self.unchanged(record, 130 if isinstance(error, KeyboardInterrupt) else 1)
        assert main(["evaluate", str(record)]) == 0

    def test_a_record_that_somebody_changed_in_the_meantime(self, record, capsys, monkeypatch):
        compact = Record.compact

        def meanwhile(self, *arguments, **options):
            found = compact(self, *arguments, **options)
            edit(record, lambda f: f["run"].update(seconds=1.0))
            return found

        monkeypatch.setattr(Record, "compact", meanwhile)
        assert main(["compact", str(record)]) == 1
        assert "was changed by somebody else in the meantime" in capsys.readouterr().err
        assert Record.read(record).run["seconds"] == 1.0


class TestList:
    def test_names_models_data_and_records(self, where, capsys):
        assert main(command()) == 0
        capsys.readouterr()
        assert main(["list"]) == 0
        out = capsys.readouterr().out
        assert "  VAE " in out
        assert "  BetaVAE " in out
        assert "  phantoms.lesion  skin lesions with every factor known (rendered)" in out
        assert "(packed: not packed, see python -m medlatent data ham10000 --help)" in out
        assert "vae/small_vae_seed0: VAE, 5 steps on small set" in out

    def test_a_record_that_is_not_there_does_not_keep_the_others_from_being_listed(self, where, capsys):
        assert main(command()) == 0
        (where / "results/vae/a_link.json").symlink_to(where / "nowhere")
        assert main(["list"]) == 1
        out, err = capsys.readouterr()
        assert "vae/small_vae_seed0: VAE" in out
        assert "no such file" in err

    def test_without_the_markup_of_docstrings(self, where, capsys):
        """A role such as :eq:`eq-vae-9` is a link in the book, and noise in a terminal."""
        assert main(["list"]) == 0
        out = capsys.readouterr().out
        assert "  BetaVAE          A VAE whose KL is weighted by beta.\n" in out
        assert "  ResidualTCVAE    Ours-resnet of Sarhan et al. (2019)" in out
        assert not re.findall(MARKUP, out)

    def test_as_a_module(self, tmp_path):
        done = subprocess.run([sys.executable, "-m", "medlatent", "list"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "phantoms.lesion" in done.stdout


COMMANDS = ("data", "pack", "run", "train", "evaluate", "compact", "claims", "grade", "export", "list")


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert tuple(re.findall(r"^    (\w+) ", out, re.M)) == COMMANDS
    assert not re.findall(MARKUP, out)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_says_no_default_that_is_none_and_no_markup(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: python -m medlatent {command} ")
    assert "None" not in out
    assert not re.findall(MARKUP, out)


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["paint"],
        ["run"],
        ["compact"],
        ["train"],
        ["train", "VAE", "--steps", "many"],
        ["train", "VAE", "--step", "3"],
    ],
)
def test_what_the_parser_refuses(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m medlatent" in capsys.readouterr().err


@pytest.fixture
def scans(where):
    """Thirty pictures of fifteen patients, wider than high, and a table of labels."""
    random = np.random.default_rng(0)
    lines = ["image,patient,size_mm,finding,smoker"]
    for patient in range(15):
        for k in range(2):
            path = where / "scans" / f"p{patient}" / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.full((18, 26), 8 * patient, np.uint8) + random.integers(0, 100, (18, 26)).astype(np.uint8)
            Image.fromarray(pixels).save(path)
            smoker = ("yes", "no", "")[patient % 3]
            lines.append(f"p{patient}/{k},{patient:02d},{4 + patient / 10},{('a', 'b')[patient % 2]},{smoker}")
    (where / "scans" / "labels.csv").write_text("\n".join(lines))
    return where / "scans"


class TestPack:
    def test_from_a_folder_to_a_record_and_its_check(self, scans, where, capsys):
        """Nothing is square, and no side a multiple of 16."""
        options = ["--table", "labels.csv", "--group", "patient", "--licence", "CC0-1.0", "--size", "18x26"]
        assert main(["pack", "scans", "--out", "first", *options]) == 0
        said = re.search("no image lies in the split test: a run needs .*; seed ([0-9]+) leaves none empty",
                         capsys.readouterr().out)  # fmt: skip
        options += ["--seed", said[1]]
        assert main(["pack", "scans", "--out", "mine", *options]) == 0
        out = capsys.readouterr().out.splitlines()
        assert re.match(r"ImageSet\('scans', 30 images 1×18×26 uint8, \d+ train, \d+ validation, \d+ test\)", out[0])
        in_training = re.search(r"(\d+) train", out[0])[1]
        assert f"split by patient (seed {said[1]})" in out[1]
        assert out[2] == "  source: the folder scans; licence: CC0-1.0; citation: not stated"
        assert [line.split()[:2] for line in out[3:12]] == [
            ["column", "kind"],
            ["file", "plain"],
            ["folder", "plain"],
            ["image", "plain"],
            ["patient", "group"],
            ["size_mm", "continuous"],
            ["finding", "categorical"],
            ["smoker", "binary"],
            ["split", "split"],
        ]
        assert out[12:] == [
            "note: smoker lacks a value in 10 of 30 rows",
            f"mine: packed. Next: python -m medlatent train VAE --data mine --batch-size {in_training}",
        ]
        assert main(command("--data", "mine/", "--split", "train")) == 0
        path = capsys.readouterr().out.strip()
        assert path == "results/vae/mine_vae_seed0.json"
        record = Record.read(where / path)
        assert (record.config["channels"], record.config["size"]) == (1, [18, 26])
        assert (record.data["name"], record.data["licence"], record.data["source"]) == ("scans", "CC0-1.0", "mine")
        assert main(["evaluate", path]) == 0
        out = capsys.readouterr().out
        assert "DIFFERS" not in out
        assert out.count(" ok") == len(record.metrics["mine/test"]["values"])
        assert "scans, train split" in (where / path).with_suffix(".md").read_text("utf-8")
        assert main(["list", "mine"]) == 0
        assert "finding  categorical  a: 16, b: 14" in capsys.readouterr().out

    def test_a_set_among_the_data_is_called_by_its_name(self, scans, where, capsys, monkeypatch):
        monkeypatch.setenv("MEDLATENT_DATA", str(where / "data"))
        assert main(["list"]) == 0
        (where / "data").mkdir()
        assert main(["pack", "scans", "--out", "data/mine", "--table", "labels.csv", "--group", "folder"]) == 0
        capsys.readouterr()
        assert main(["list"]) == 0
        assert re.search(r"\n  mine +ImageSet\('scans', 30 images .*\) \(packed: .*mine\)\n", capsys.readouterr().out)
        assert len(open_images("mine", 7)) == 7
        assert main(command("--data", "mine")) == 0
        path = capsys.readouterr().out.strip()
        assert str(where) not in (where / path).read_text()
        assert main(["evaluate", path]) == 0
        assert "DIFFERS" not in capsys.readouterr().out
        monkeypatch.delenv("MEDLATENT_DATA")
        assert main(["evaluate", path]) == 0
        assert "mine/test: not checked" in capsys.readouterr().out
        monkeypatch.setenv("MEDLATENT_DATA", str(where / "data"))
        (where / "data/mine/card.json").write_text("{}")
        assert main(["list"]) == 1
        assert "does not describe an image set" in capsys.readouterr().err

    def test_without_a_group_it_says_so(self, scans, capsys):
        assert main(["pack", "scans", "--out", "mine", "--table", "labels.csv", "--factor", "smoker=plain"]) == 0
        out = capsys.readouterr().out
        assert "note: split by file (seed 0); whose images they are was not said (perhaps the column 'patient'" in out
        assert re.search("smoker +plain", out)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                ["--size", "16"],
                "p0/0.png: 18×26 pixels have another shape than size, 16×16: pass --fit crop, --fit str",
            ),
            (["--size", "16", "--fit", "keep"], "pass the fill of what is left"),
            (["--size", "big"], "--size big: write a number of pixels, or HEIGHTxWIDTH"),
            (["--slices", "5"], "--slices 5: write FROM:TO or FROM:TO:STEP"),
            (["--factor", "smoker"], "--factor smoker: write NAME=KIND"),
            (["--factor", "age=binary"], "--factor: labels.csv has no column 'age'; it has image, patient"),
            (["--factor", "finding=binary"], "--factor: 'finding' is to be binary"),
            (["--group", "person"], "--group: there is no column 'person'; there are file, image, patient"),
            (["--fill", "3"], "--fill: it is given with size, and size is not"),
            (["--fractions", "0.8", "0.1", "0.2"], "fractions must be non-negative and sum to 1"),
            (["--value-range", "10", "0"], "value_range: the first value must be below the second"),
            (["--percentiles", "9", "1"], "--percentiles: expected 0 <= low < high <= 100, got "),
            (["--value-range", "0", "50"], "outside of the value_range 0 to 50 .*pass --clip to count"),
            (["--file-column", "scan"], "--file-column: labels.csv has no column 'scan'"),
            (["--tag", "Patient"], "--tag: 'Patient' is no keyword of DICOM"),
            (["--table", "none.csv"], "none.csv: no such file"),
            (["--name", " "], "name: expected text"),
        ],
    )
    def test_an_error_is_one_line_in_the_words_of_the_command(self, scans, where, capsys, options, message):
        assert main(["pack", "scans", "--out", "mine", "--table", "labels.csv", *options]) == 1
        lines = capsys.readouterr().err.splitlines()
        first, *others = message.split(".*")
        assert lines[-1].startswith("medlatent: ")
        assert first in lines[-1]
        assert all(part in lines[-1] for part in others)
        assert not (where / "mine").exists()

    def test_a_range_of_negative_numbers_and_floats(self, where, capsys):
        (where / "floats").mkdir()
        Image.fromarray(np.array([[-1000, 0], [40, 2000.5]], np.float32)).save(where / "floats/a.tif")
        assert main(["pack", "floats", "--out", "mine"]) == 1
        assert "pass --value-range LOW HIGH, the values that stand for black and white" in capsys.readouterr().err
        assert main(["pack", "floats", "--out", "mine", "--value-range", "-1000", "2000", "--clip"]) == 0
        assert "values outside of the range count as its ends (1 of 1 images have some)" in capsys.readouterr().out

    def test_a_folder_that_exists_is_kept(self, scans, where, capsys):
        before = files(where / "small")
        assert main(["pack", "scans", "--out", "small"]) == 1
        assert "medlatent: small exists: choose another folder, or delete it first" in capsys.readouterr().err
        assert files(where / "small") == before


def test_an_interrupt_without_words_says_what_it_is(monkeypatch, capsys):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(medlatent.__main__, "all_sources", interrupted)
    assert main(["list"]) == 130
    assert capsys.readouterr().err == "medlatent: interrupted\n"
