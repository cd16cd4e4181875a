"""The command line: train, record, evaluate, list; and one line on stderr where something is wrong."""

import json
import re
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pandas as pd
import pytest
import torch
from medlatent.judges import digit_judge
from medlatent.results import Record
from safetensors.torch import load_file

import medlatent.__main__
import medlatent.training
from medlatent.__main__ import main
from medlatent.cards import model_card
from medlatent.data import Card, Factor, ImageSet, open_images
from medlatent.models import VAE, load
from medlatent.training import train as real_train

N = 24


@pytest.fixture
def where(tmp_path, monkeypatch):
    """A working directory with a small packed set."""
    images = np.random.default_rng(0).integers(0, 256, (N, 3, 16, 16), dtype=np.uint8)
    table = pd.DataFrame({"split": ["train"] * 16 + ["test"] * 8})
    card = Card("small set", "computed here", "CC0-1.0", "nobody", "none")
    ImageSet(images, table, {}, card).save(tmp_path / "small")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(medlatent.__main__, "results_folder", lambda: tmp_path / "results")
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
    fields = json.loads(path.read_text())
    change(fields)
    path.write_text(json.dumps(fields))


class TestTrain:
    def test_writes_a_record_that_evaluates_to_itself(self, where, capsys):
        assert main(command()) == 0
        assert capsys.readouterr().out.strip() == RECORD
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
        assert main(["evaluate"]) == 0  # all of them
        assert capsys.readouterr().out == out

    def test_evaluate_adds_what_a_record_lacks_and_changes_nothing_else(self, where, capsys):
        assert main(command()) == 0
        path = where / RECORD
        whole = path.read_text()
        record = Record.read(path)
        del record.metrics["small/test"]["values"]["gaussian_tc"]
        record.write(where / "results")
        capsys.readouterr()
        assert main(["evaluate", "--add", RECORD]) == 0
        assert capsys.readouterr().out.strip() == "vae/small_vae_seed0: added small/test: gaussian_tc"
        assert path.read_text() == whole
        assert main(["evaluate", "--add", RECORD]) == 0
        assert "added nothing" in capsys.readouterr().out
        record.metrics["small/test"]["values"]["psnr"] += 1
        record.write(where / "results")
        before = path.read_text()
        assert main(["evaluate", "--add", RECORD]) == 1
        assert "small/test psnr was" in capsys.readouterr().err
        assert path.read_text() == before

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
        monkeypatch.setattr("medlatent.judges.STEPS", 10)
        monkeypatch.setattr("medlatent.results.GENERATED", 200)
        digit_judge.cache_clear()
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
        assert capsys.readouterr().out.count(" ok") == 20
        monkeypatch.delenv("MEDLATENT_DATA")
        assert main(["evaluate", str(path)]) == 0
        out = capsys.readouterr().out
        assert out.count(" ok") == 10
        assert "mnist/test: not checked" in out
        digit_judge.cache_clear()

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
            patch.setattr(medlatent.__main__, "train", interrupted)
            with pytest.raises(KeyboardInterrupt):
                main(command())
        checkpoint = where / "_build/checkpoints/vae/small_vae_seed0.safetensors"
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

    def test_a_number_of_the_profile_can_be_replaced_alone(self, where, monkeypatch):
        monkeypatch.setitem(medlatent.__main__.TRAINING, "ci", {"steps": 3, "batch_size": 8})
        arguments = command()
        at = arguments.index("--steps")
        del arguments[at : at + 2]
        assert main(arguments) == 0
        run = Record.read(where / RECORD).run
        assert (run["steps"], run["batch_size"], run["profile"]) == (3, 4, "ci")

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (command(model="Diffusion"), "unknown model 'Diffusion': choose one of VAE, BetaVAE"),
            (command("--profile", "huge"), "unknown profile 'huge': choose one of ci, laptop, paper"),
            (command("--set", "latent=2"), "VAE has no argument 'latent'; it has latent_dim, channels"),
            (command("--set", "latent_dim"), "--set latent_dim: write NAME=VALUE"),
            (command("--set", "latent_dim=0"), "latent_dim must be at least 1, got 0"),
            (command("--set", "latent_dim=two"), "VAE cannot be built with {.*'two'"),
            (command("--set", "latent_dim=2.5"), "VAE cannot be built with {.*2.5"),
            (command("--set", "variance=null"), "VAE cannot be built with {.*None"),
            (command("--data", "ham10001"), "unknown source 'ham10001': use phantoms.lesion, "),
            (command("--data", "ham10000"), "ham10000 is not packed: run `python data_scripts/ham10000.py"),
            (command("--images", "0"), "n: at least one image is needed, got 0"),
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
        assert [p.name for p in where.iterdir()] == ["small"]

    @pytest.mark.parametrize(
        ("option", "value", "message"),
        [
            ("--steps", "0", "steps must be at least 1, got 0"),
            ("--steps", "-3", "steps must be at least 1, got -3"),
            ("--batch-size", "0", "batch_size must be at least 1, got 0"),
            ("--batch-size", "17", "batch_size 17 is larger than the data: 16 images"),
            ("--device", "tpu", "device 'tpu' cannot be used here"),
            ("--precision", "float8", "precision 'float8' is unknown"),
            ("--set", "size=32", "images: they are 3×16×16, the model was built for 3×32×32"),
        ],
    )
    def test_what_the_training_refuses(self, where, capsys, option, value, message):
        assert main(command(option, value)) == 1
        assert f"medlatent: {message}" in capsys.readouterr().err.splitlines()[-1]
        assert [p.name for p in where.iterdir()] == ["small"]

    def test_a_nan_is_an_error_that_names_the_step(self, where, capsys):
        assert main([*command("--steps", "60"), "--set", "learning_rate=1e6"]) == 1
        assert "medlatent: step " in capsys.readouterr().err.splitlines()[-1]
        assert not (where / "results").exists()

    def test_a_full_disk_is_one_line(self, where, capsys, monkeypatch):
        def full(*_, **__):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("medlatent.files.save_file", full)
        assert main(command()) == 1
        assert "medlatent: [Errno 28] No space left on device" in capsys.readouterr().err
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
        edit(record, lambda f: f["metrics"]["small/test"].update(source=str(record.parents[2] / "small")))
        monkeypatch.chdir(record.parent)
        assert main(["evaluate", record.name]) == 0
        assert capsys.readouterr().out.count(" ok") == 6

    def test_data_that_are_not_here_are_named(self, record, capsys, monkeypatch, tmp_path_factory):
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        assert main(["evaluate", str(record)]) == 0
        assert "small/test: not checked, the data are not packed here" in capsys.readouterr().out

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

        def in_32_bits(model, path):
            model.save(path)
            content = path.read_bytes()
            return {"file": path.name, "sha256": sha256(content).hexdigest(), "bytes": len(content)}

        with monkeypatch.context() as context:
            context.setattr(medlatent.__main__, "save_weights", in_32_bits)
            assert main(command()) == 0
        capsys.readouterr()
        return where / RECORD

    def test_halves_the_weights_and_computes_the_numbers_from_them(self, record, capsys):
        weights, before = record.with_suffix(".safetensors"), Record.read(record)
        was = load(weights).state_dict()
        assert main(["compact", str(record)]) == 0
        assert "no number moved by more than its tolerance" in capsys.readouterr().out
        after = Record.read(record)
        assert after.weights["dtype"] == "float16"
        assert weights.stat().st_size == after.weights["bytes"] < 0.6 * before.weights["bytes"]
        for name, value in load(weights).state_dict().items():
            assert torch.equal(value, was[name].half().float() if value.ndim > 1 else was[name])
        assert main(["evaluate", str(record)]) == 0
        assert record.with_suffix(".md").read_text() == model_card(after)
        content = weights.read_bytes()
        assert main(["compact", str(record)]) == 0
        assert "has 16 bits" in capsys.readouterr().out
        assert weights.read_bytes() == content

    def test_without_the_data_nothing_changes(self, record, capsys, monkeypatch, tmp_path_factory):
        contents = {path: path.read_bytes() for path in record.parent.iterdir()}
        monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
        assert main(["compact", str(record)]) == 1
        assert "vae/small_vae_seed0: small/test is not packed here" in capsys.readouterr().err
        assert {path: path.read_bytes() for path in record.parent.iterdir()} == contents


class TestList:
    def test_names_models_data_and_records(self, where, capsys):
        assert main(command()) == 0
        capsys.readouterr()
        assert main(["list"]) == 0
        out = capsys.readouterr().out
        assert "  VAE " in out
        assert "  BetaVAE " in out
        assert "phantoms.lesion  rendered on demand" in out
        assert "ham10000         not packed: see data_scripts/ham10000.py" in out
        assert "vae/small_vae_seed0: VAE, 5 steps on small set" in out

    def test_as_a_module(self, tmp_path):
        done = subprocess.run([sys.executable, "-m", "medlatent", "list"], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "phantoms.lesion" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["paint"], ["train"], ["train", "VAE", "--steps", "many"]])
def test_what_the_parser_refuses(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: python -m medlatent" in capsys.readouterr().err
