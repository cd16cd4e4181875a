"""Records: written and read, evaluated again, and refused where somebody changed them."""

import json
import math
import shutil
import subprocess
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import medlatent.results
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from medlatent.judges import digit_judge
from medlatent.results import (
    METRICS_MIME,
    TOLERANCES,
    Record,
    agrees,
    evaluate,
    evaluation_entry,
    factor_columns,
    find_record,
    publish_metrics,
    results_folder,
    surroundings,
    thin_history,
)

from medlatent.data import Card, DataError, Factor, ImageSet, open_images
from medlatent.metrics import disentanglement, downstream, generation, ssim, strokes
from medlatent.models import GAN, VAE, BetaVAE, HSICInfoGAN, InfoGAN

NUMBERS = ["sse", "psnr", "ssim", "kl", "active_units", "gaussian_tc"]  # of any set
CARD = Card("packed", "computed here", "CC0-1.0", "nobody", "cut to 16 pixels")
N = 30


def image_set() -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (N, 3, 16, 16), dtype=np.uint8)
    return ImageSet(images, pd.DataFrame({"split": ["train", "test"] * (N // 2)}), {}, CARD)


def factor_set(n: int = 150, **factors) -> ImageSet:
    """Images whose brightness, lower half and tint follow factors; class c of "kind" has 3 images."""
    random = np.random.default_rng(1)
    kind = np.array(["a", "b"])[random.integers(2, size=n)]
    kind[[3, 30, 60]] = "c"
    table = pd.DataFrame(
        {
            "size": random.random(n),
            "eccentricity": random.random(n),
            "orientation": random.uniform(-np.pi / 2, np.pi / 2, n),
            "hairy": random.integers(2, size=n),
            "kind": kind,
        }
    )
    images = random.normal(120, 10, (n, 3, 16, 16))
    images[:, :, 8:] += 100 * table["size"].to_numpy()[:, None, None, None]
    images[:, 0] -= 80 * (kind == "a")[:, None, None]
    images[:, 1, :, ::2] += 60 * table["hairy"].to_numpy()[:, None, None]
    known = {
        "size": Factor("size"),
        "eccentricity": Factor("eccentricity"),
        "orientation": Factor("axis", kind="angle", period=np.pi),
        "kind": Factor("class", kind="categorical", values=("a", "b", "c", "never")),
        "hairy": Factor("has hair", kind="binary"),
    }
    return ImageSet(images.clip(0, 255).astype(np.uint8), table, known | factors, CARD)


def build(seed: int = 0, **options) -> VAE:
    torch.manual_seed(seed)
    model = VAE(**{"latent_dim": 3, "size": 16, **options})
    with torch.no_grad():
        model.encoder[-1].weight.mul_(200)  # spread the posterior means, so that some units are active
    return model


@pytest.fixture
def packed(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path / "data"))
    return image_set().save(tmp_path / "data" / "ham10000")


@pytest.fixture
def recorded(tmp_path, packed):
    """A results folder with one record of a real set, and the record."""
    model, folder = build(), tmp_path / "results"
    weights = model.save(folder / "vae" / "run.safetensors")
    record = Record(
        slug="vae",
        name="run",
        model="VAE",
        config=model.config,
        data={
            "name": "packed",
            "source": "ham10000",
            "split": "train",
            "images": 12,
            "licence": "CC BY-NC 4.0",
            "citation": "Somebody (2018)",
        },
        run={
            "steps": 3,
            "batch_size": 4,
            "seed": 0,
            "precision": "float32",
            "device": "cpu: a processor",
            "torch": "2",
            "seconds": 1234.5,
            "finished": "2026-11-22T10:47:43+00:00",
            "commit": "0" * 40,
            "command": "é",
        },
        weights={"file": "run.safetensors", "sha256": sha256(weights.read_bytes()).hexdigest(), "bytes": 1},
        history={"step": [1, 3], "loss": [2.5, 1.25]},
        metrics={"ham10000/test": evaluation_entry(model, "ham10000")},
    )
    record.write(folder)
    return folder, record


class TestEvaluate:
    def test_equals_a_plain_computation(self):
        model, images = build(), image_set()
        result = evaluate(model, images)
        sse, ratio, kl, means, variances = [], [], [], [], []
        with torch.inference_mode():
            for stored in images.images:
                image = torch.from_numpy(stored).float()[None] / 255
                mean, logvar = model.encode(image)
                error = (model.decode(mean) - image).double()
                sse.append(error.square().sum().item())
                ratio.append(-10 * math.log10(error.square().mean().item()))
                kl.append(
                    sum(
                        0.5 * (m * m + math.exp(v) - v - 1)
                        for m, v in zip(mean[0].tolist(), logvar[0].tolist(), strict=True)
                    )
                )
                means.append(mean[0].tolist())
                variances.append(logvar[0].exp().tolist())
        assert list(result) == NUMBERS
        assert result["sse"] == pytest.approx(np.mean(sse), rel=1e-6)
        assert result["psnr"] == pytest.approx(np.mean(ratio), rel=1e-6)
        assert result["kl"] == pytest.approx(np.mean(kl), rel=1e-5)
        assert result["active_units"] == (np.var(means, axis=0, ddof=1) > 0.01).sum() > 0
        covariance = np.cov(means, rowvar=False) + np.diag(np.mean(variances, axis=0))
        expected = 0.5 * (np.log(np.diag(covariance)).sum() - np.log(np.linalg.det(covariance)))
        assert result["gaussian_tc"] == pytest.approx(expected, rel=1e-3)

    @pytest.mark.parametrize("batch_size", [1, 7, 30])
    def test_batches_do_not_matter(self, batch_size):
        model, images = build(), image_set()
        assert evaluate(model, images, batch_size) == pytest.approx(evaluate(model, images), rel=1e-5, abs=1e-6)

    def test_needs_no_luck_and_leaves_the_model_in_evaluation_mode(self):
        model, state = build().train(), torch.get_rng_state()
        evaluate(model, image_set())
        torch.set_rng_state(state)
        assert not model.training
        evaluate(model, image_set())
        assert torch.equal(torch.get_rng_state(), state)

    def test_entry(self, packed):
        entry = evaluation_entry(build(), "ham10000", "test", n=20)
        test = image_set().subset(range(20)).split("test")
        values = evaluate(build(), test)
        assert entry == {
            "source": "ham10000",
            "n": 20,
            "seed": 0,
            "split": "test",
            "images": 10,
            "fingerprint": test.fingerprint,
            "values": values,
        }


OF_ALL = ["mig", "mig_from_posterior", "sap", "total_correlation"]
OF_SEVERAL = ["modularity", "dci_disentanglement", "dci_completeness", "dci_informativeness"]
OF_ORDER = ["mig_knn", "sap_continuous", "modularity_knn", "interpretability", "scc"]
OF_CLASS = ["mig_p", "clustering_nmi", "few_label_accuracy"]


@pytest.fixture
def rows_for_few_labels(monkeypatch):
    """In place of a slow accuracy, from how many rows it would be."""
    monkeypatch.setattr(downstream, "few_label_accuracy", lambda codes, labels: SimpleNamespace(score=len(labels)))


class TestFactors:
    def codes(self, images):
        with torch.inference_mode():
            return [x.double().numpy() for x in build().encode(images.batch(slice(None)))]

    def test_the_columns(self):
        images = factor_set()
        images.table.loc[5, "orientation"] = np.nan
        columns, names, nominal = factor_columns(images)
        assert names == ["size", "eccentricity", "orientation_cos", "orientation_sin", "kind", "hairy"]
        assert nominal.tolist() == [False] * 4 + [True, False]
        angle = images.table["orientation"].to_numpy()
        expected = np.c_[images.table["size"], images.table["eccentricity"], np.cos(2 * angle), np.sin(2 * angle)]
        np.testing.assert_allclose(columns[:, :4], expected)
        assert columns[:4, 4].tolist() == ["abc".index(v) for v in images.table["kind"][:4]]
        assert np.isnan(columns).sum() == 2
        # Where the axis points, to the left or to the right, is one and the same.
        images.table["orientation"] += np.pi
        np.testing.assert_allclose(factor_columns(images)[0], columns)

    def test_are_what_the_metrics_give(self):
        images = factor_set()
        (mean, logvar), (columns, _, nominal) = self.codes(images), factor_columns(images)
        found = evaluate(build(), images, batch_size=len(images))
        assert sorted(found) == sorted([*NUMBERS, *OF_ALL, *OF_SEVERAL, *OF_ORDER, *OF_CLASS, "mig_hf"])
        expected = disentanglement.report(mean, logvar, columns, nominal, shuffle=True).values()
        kind, three = images.table["kind"].to_numpy(), images.factor_matrix(["eccentricity", "orientation", "size"])
        expected["mig_hf"] = disentanglement.mig_hf(mean, three).score
        expected["mig_p"] = disentanglement.mig_p(mean, kind).score
        expected["clustering_nmi"] = downstream.clustering_nmi(mean, kind).score
        # Class c is too rare for ten folds.
        expected["few_label_accuracy"] = downstream.few_label_accuracy(mean[kind != "c"], kind[kind != "c"]).score
        model = build().eval()
        with torch.inference_mode():
            batch = images.batch(slice(None))
            expected["ssim"] = ssim(batch, model.decode(model.encode(batch)[0])).score
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
        assert found["sap_continuous"] > 0.02
        assert list(evaluate(build(), images, factors=False)) == NUMBERS

    @pytest.mark.usefixtures("rows_for_few_labels")
    def test_images_without_a_value_do_not_count(self):
        images = factor_set()
        images.table.loc[:9, "size"] = np.nan
        rest = images.subset(range(10, len(images)))
        found, expected = evaluate(build(), images), evaluate(build(), rest)
        assert found["mig"] == pytest.approx(expected["mig"], rel=1e-6)
        assert found["few_label_accuracy"] == 140 - 2  # and two of the rare class
        assert found["sse"] != expected["sse"]

    @pytest.mark.usefixtures("rows_for_few_labels")
    def test_factors_that_hardly_vary_do_not_count(self):
        images = factor_set()
        without = evaluate(build(), ImageSet(images.images, images.table, images.factors, CARD))
        images.table["dull"] = (np.arange(150) < 9).astype(int)
        images.factors["dull"] = Factor("of nine images", kind="binary")
        images.table["same"] = "x"
        images.factors = {"same": Factor("of all", kind="categorical", values=("x", "y")), **images.factors}
        assert evaluate(build(), images) == without
        images.table["dull"] = (np.arange(150) < 10).astype(int)
        assert evaluate(build(), images)["mig"] != without["mig"]

    @pytest.mark.usefixtures("rows_for_few_labels")
    def test_a_class_alone(self):
        images = factor_set()
        images.factors = {"kind": images.factors["kind"]}
        assert sorted(evaluate(build(), images)) == sorted([*NUMBERS, *OF_ALL, *OF_CLASS])
        # In one dimension nothing can be compared.
        assert list(evaluate(build(latent_dim=1), images)) == [*NUMBERS, *OF_CLASS[1:]]

    def test_no_class(self):
        images = factor_set()
        images.factors = {name: images.factors[name] for name in ("size", "eccentricity")}
        found = set(evaluate(build(), images))
        assert found == {*NUMBERS, *OF_ALL, *OF_SEVERAL, *OF_ORDER} - {"sap"}

    @pytest.mark.usefixtures("rows_for_few_labels")
    def test_few_images_say_nothing(self):
        assert list(evaluate(build(), factor_set(99))) == NUMBERS
        assert len(evaluate(build(), factor_set(100))) > len(NUMBERS)


@pytest.fixture
def quick(monkeypatch):
    """A judge that has seen little, and few images to judge."""
    monkeypatch.setattr("medlatent.judges.STEPS", 10)
    monkeypatch.setattr(medlatent.results, "GENERATED", 200)
    digit_judge.cache_clear()
    yield
    digit_judge.cache_clear()


OF_JUDGE = ["frechet", "inception_score", "classes"]
OF_CATEGORY = ["category_purity", "category_nmi"]
OF_CODES = ["slant.c1", "thickness.c1", "slant.c2", "thickness.c2"]


def generator(system=InfoGAN, **options):
    torch.manual_seed(0)
    model = system(**{"noise_dim": 4, "width": 2, **options})
    with torch.no_grad():
        for _ in range(20):
            model.decode(model.sample_codes(64))  # running statistics that are those of its codes
        model.generator[-1].weight.mul_(100)  # black and white in place of grey
    return model


@pytest.mark.usefixtures("quick")
class TestGenerated:
    def test_without_a_judge_there_are_pixels(self):
        torch.manual_seed(0)
        model, images = GAN(latent_dim=4, size=16, width=2), image_set()
        found = evaluate(model, images, batch_size=7)
        assert list(found) == ["frechet_pixels"]
        assert not model.training
        with torch.inference_mode():
            generated = model.decode(torch.randn(200, 4, generator=torch.Generator().manual_seed(0)))
        pair = [x.reshape(-1, 3, 8, 2, 8, 2).mean((3, 5)).flatten(1) for x in (images.batch(slice(None)), generated)]
        assert found["frechet_pixels"] == pytest.approx(generation.frechet_distance(*pair).score, rel=1e-4)

    def test_equals_a_plain_computation(self):
        model, images = generator(code_range=(-1, 1)), open_images("mnist.digits", 150)
        found = evaluate(model, images)
        assert list(found) == ["frechet_pixels", *OF_JUDGE, *OF_CATEGORY, *OF_CODES]
        draw = torch.Generator().manual_seed(0)
        category = torch.randint(10, (200,), generator=draw)
        codes = 2 * torch.rand(2, 200, 1, generator=draw) - 1
        noise = torch.randn(200, 4, generator=draw)
        with torch.inference_mode():
            generated = model.decode(torch.cat([F.one_hot(category, 10), *codes, noise], 1))
        judge = digit_judge()
        probabilities = judge.probabilities(generated)
        distance = generation.frechet_distance(judge.features(images), judge.features(generated))
        assert found["frechet"] == pytest.approx(distance.score, rel=1e-4)
        assert found["inception_score"] == pytest.approx(generation.inception_score(probabilities).score, rel=1e-4)
        mean = probabilities.mean(0)
        assert found["classes"] == pytest.approx(np.prod(mean**-mean), rel=1e-4)
        seen, category = probabilities.argmax(1), category.numpy()
        purity = sum(np.bincount(seen[category == c]).max() for c in range(10)) / 200
        assert found["category_purity"] == pytest.approx(purity)
        for name, measure in (("slant", strokes.slant), ("thickness", strokes.thickness)):
            measured = measure(generated)
            for k in (0, 1):
                columns = np.stack([codes[k, :, 0].numpy(), measured])
                for c in range(10):
                    columns[:, category == c] -= columns[:, category == c].mean(1, keepdims=True)
                expected = np.corrcoef(columns)[0, 1]
                assert found[f"{name}.c{k + 1}"] == pytest.approx(expected, abs=1e-4)

    @pytest.mark.parametrize(
        ("system", "options", "names"),
        [
            (HSICInfoGAN, {}, [*OF_CATEGORY, *OF_CODES]),
            (InfoGAN, {"categories": 0, "continuous": 1}, OF_CODES[:2]),
            (InfoGAN, {"continuous": 0}, OF_CATEGORY),
        ],
    )
    def test_what_the_code_lacks_has_no_number(self, system, options, names):
        found = evaluate(generator(system, **options), open_images("mnist.digits", 30))
        assert list(found) == ["frechet_pixels", *OF_JUDGE, *names]
        assert all(math.isfinite(value) for value in found.values())

    def test_needs_no_luck(self):
        model, images, state = generator().train(), open_images("mnist.digits", 30), torch.get_rng_state()
        first = evaluate(model, images)
        assert torch.equal(torch.get_rng_state(), state)
        torch.manual_seed(5)
        assert evaluate(model, images) == first
        assert list(evaluate(model, images, factors=False)) == ["frechet_pixels"]


class TestRecord:
    def test_round_trip(self, recorded):
        folder, record = recorded
        path = folder / "vae" / "run.json"
        assert Record.read(path) == record
        assert "é" in path.read_text(encoding="utf-8")
        assert sorted(p.name for p in path.parent.iterdir()) == ["run.json", "run.md", "run.safetensors"]

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"none\.json"):
            Record.read(tmp_path / "none.json")

    @pytest.mark.parametrize(
        "content", [b"", b"{", b"\xff", b"[]", b"3", b"{}", b'{"format": "medlatent.ImageSet", "version": 1}']
    )
    def test_foreign_files(self, tmp_path, content):
        (tmp_path / "run.json").write_bytes(content)
        with pytest.raises(ValueError, match=r"run\.json (is not valid JSON|is no record: its 'format')"):
            Record.read(tmp_path / "run.json")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"version": 2}, r"run\.json has version 2, this medlatent reads version 1"),
            ({"version": None}, r"run\.json has version None"),
            ({"colour": "red"}, r"run\.json: .*colour"),
            ({"metrics": [1]}, r"run\.json: the field 'metrics' must be a dict, got \[1\]"),
            ({"slug": 3}, r"run\.json: the field 'slug' must be a str, got 3"),
            ({"weights": None}, r"run\.json: the field 'weights' must be a dict"),
        ],
    )
    def test_changed_fields(self, recorded, change, message):
        path = recorded[0] / "vae" / "run.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
        with pytest.raises(ValueError, match=message):
            Record.read(path)

    @pytest.mark.parametrize("field", ["model", "metrics", "weights"])
    def test_missing_fields(self, recorded, field):
        path = recorded[0] / "vae" / "run.json"
        fields = json.loads(path.read_text())
        del fields[field]
        path.write_text(json.dumps(fields))
        with pytest.raises(ValueError, match=rf"run\.json: .*'{field}'"):
            Record.read(path)

    def test_find_record(self, recorded, monkeypatch):
        folder, record = recorded
        monkeypatch.setattr(medlatent.results, "results_folder", lambda: folder)
        assert find_record("vae", "run") == record
        with pytest.raises(FileNotFoundError, match=r"other\.json: no such record; recorded for vae: run"):
            find_record("vae", "other")
        with pytest.raises(FileNotFoundError, match="recorded for gan: none"):
            find_record("gan", "run")

    def test_the_results_folder_of_a_checkout_lies_beside_the_package(self, root):
        assert results_folder() in (root / "results", Path("results"))


class TestLoadModel:
    def test_gives_the_model(self, recorded):
        folder, record = recorded
        model = record.load_model(folder)
        assert not model.training
        assert torch.equal(model.encoder[-1].weight, build().encoder[-1].weight)

    def test_missing_weights(self, recorded):
        folder, record = recorded
        (folder / "vae" / "run.safetensors").unlink()
        with pytest.raises(FileNotFoundError, match=r"run\.safetensors: the weights of the record vae/run are missing"):
            record.load_model(folder)

    def test_exchanged_weights(self, recorded):
        folder, record = recorded
        build(seed=1).save(folder / "vae" / "run.safetensors")
        with pytest.raises(
            ValueError, match=r"run\.safetensors is not what vae/run was recorded with: its SHA-256 differs"
        ):
            record.load_model(folder)

    def test_another_model_than_the_record_says(self, recorded):
        folder, record = recorded
        with pytest.raises(ValueError, match=r"run\.safetensors holds VAE\(.*the record vae/run says VAE\(.*0\.9"):
            replace(record, config={**record.config, "variance": 0.9}).load_model(folder)
        with pytest.raises(ValueError, match="the record vae/run says BetaVAE"):
            replace(record, model=BetaVAE.__name__).load_model(folder)


class TestReevaluate:
    def test_agrees_with_what_was_recorded(self, recorded):
        folder, record = recorded
        pairs = record.reevaluate(folder)
        assert list(pairs) == ["ham10000/test"]
        assert list(pairs["ham10000/test"]) == NUMBERS
        assert all(agrees(*pair) for pair in pairs["ham10000/test"].values())

    @pytest.mark.parametrize("name", NUMBERS)
    def test_an_edited_number_is_found(self, recorded, name):
        folder, record = recorded
        record.metrics["ham10000/test"]["values"][name] *= 1.01
        pairs = record.reevaluate(folder)["ham10000/test"]
        assert [key for key, pair in pairs.items() if not agrees(*pair)] == [name]

    def test_a_number_that_nobody_computes(self, recorded):
        folder, record = recorded
        record.metrics["ham10000/test"]["values"]["accuracy"] = 1.0
        with pytest.raises(
            ValueError, match=r"vae/run: ham10000/test holds \['accuracy'\], which evaluate does not compute"
        ):
            record.reevaluate(folder)

    def test_data_that_are_not_here_are_left_out(self, recorded, monkeypatch):
        folder, record = recorded
        monkeypatch.delenv("MEDLATENT_DATA")
        assert record.reevaluate(folder) == {}

    def test_other_data_under_the_same_name(self, recorded, packed):
        folder, record = recorded
        images = image_set()
        images.images[1] ^= 1
        images.save(packed, overwrite=True)
        with pytest.raises(ValueError, match=r"vae/run: ham10000/test here is not the set .* cut to 16 pixels"):
            record.reevaluate(folder)

    def test_damaged_data_are_not_taken_for_absent_ones(self, recorded, packed):
        folder, record = recorded
        (packed / "table.csv").write_text("split\n")
        with pytest.raises(DataError, match=r"table\.csv is damaged"):
            record.reevaluate(folder)

    def test_a_phantom_that_does_not_exist_is_not_taken_for_absent_data(self, recorded):
        folder, record = recorded
        record.metrics["ham10000/test"]["source"] = "phantoms.unicorn"
        with pytest.raises(DataError, match=r"unknown source 'phantoms\.unicorn'"):
            record.reevaluate(folder)


@pytest.mark.usefixtures("rows_for_few_labels", "quick")
def test_numbers_that_rounding_makes_jump_have_a_tolerance_of_their_own():
    known = {*evaluate(build(), factor_set(100)), *evaluate(generator(), open_images("mnist.digits", 30))}
    assert set(TOLERANCES) < {name.partition(".")[0] for name in known}
    for name, tolerance in TOLERANCES.items():
        for sign in -1, 1:
            assert agrees(0.3, 0.3 + 0.9 * sign * tolerance, name)
            assert not agrees(0.3, 0.3 + 1.1 * sign * tolerance, name)
        assert not agrees(math.nan, math.nan, name)
    assert agrees(0.03, 0.0308, "mig")
    assert agrees(0.03, 0.0315, "slant.c1")
    assert not agrees(0.03, 0.0308)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (100.0, 100.05, True),
        (100.0, 100.2, False),
        (0.0, 0.0, True),
        (0.0, 1e-6, False),
        (math.inf, math.inf, True),
        (math.nan, math.nan, False),
        (5, 6, False),
    ],
)
def test_agrees(a, b, expected):
    assert agrees(a, b) is expected


class TestSurroundings:
    def test_in_a_checkout(self, root):
        found = surroundings(torch.device("cpu"))
        assert found["device"].startswith("cpu: ")
        assert len(found["device"]) > 5
        assert found["torch"] == torch.__version__
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
        if head.returncode == 0:
            assert found["commit"].removesuffix("+changes") == head.stdout.strip()

    def test_outside_git(self, tmp_path, monkeypatch):
        monkeypatch.setattr(medlatent.results, "__file__", str(tmp_path / "results.py"))
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert surroundings(torch.device("cpu"))["commit"] == "unknown"

    def test_without_git(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        assert surroundings(torch.device("cpu"))["commit"] == "unknown"

    @pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
    def test_installed_inside_somebody_else_s_checkout(self, tmp_path, monkeypatch):
        def git(*arguments):
            identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
            subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

        (tmp_path / ".gitignore").write_text(".venv\n")
        (tmp_path / ".venv").mkdir()
        (tmp_path / ".venv" / "results.py").write_text("")
        git("init")
        git("add", ".gitignore")
        git("commit", "-m", "theirs")
        monkeypatch.setattr(medlatent.results, "__file__", str(tmp_path / ".venv" / "results.py"))
        assert surroundings(torch.device("cpu"))["commit"] == "unknown"
        (tmp_path / "results.py").write_text("")
        git("add", "results.py")
        git("commit", "-m", "ours")
        monkeypatch.setattr(medlatent.results, "__file__", str(tmp_path / "results.py"))
        commit = surroundings(torch.device("cpu"))["commit"]
        assert len(commit) == 40
        (tmp_path / "results.py").write_text("changed")
        assert surroundings(torch.device("cpu"))["commit"] == f"{commit}+changes"


class TestThinHistory:
    def test_by_hand(self):
        values = np.array([[1, 10], [3, 20], [5, 30], [7, 40]], np.float32)
        assert thin_history(("loss", "kl"), values, points=2) == {
            "step": [2, 4],
            "loss": [2.0, 6.0],
            "kl": [15.0, 35.0],
        }

    @pytest.mark.parametrize(("n", "points", "expected"), [(7, 3, [3, 5, 7]), (3, 200, [1, 2, 3]), (1, 5, [1])])
    def test_windows(self, n, points, expected):
        history = thin_history(("loss",), np.arange(n, dtype=np.float32)[:, None], points)
        assert history["step"] == expected
        starts = [0, *expected[:-1]]
        assert history["loss"] == [(a + b - 1) / 2 for a, b in zip(starts, expected, strict=True)]
        json.dumps(history)


class TestPublishMetrics:
    @pytest.fixture
    def bundles(self, monkeypatch):
        shown = []
        monkeypatch.setattr("IPython.display.display", lambda thing: shown.append(thing._repr_mimebundle_()))
        return shown

    def test_a_table_for_the_reader_and_json_for_the_machine(self, bundles):
        publish_metrics("vae", {"sse": torch.tensor(12.5), "kl": np.float32(0.25), "active_units": 3})
        (bundle,) = bundles
        assert bundle[METRICS_MIME] == {"vae.sse": 12.5, "vae.kl": 0.25, "vae.active_units": 3.0}
        json.dumps(bundle)
        assert bundle["text/plain"].splitlines() == [
            "vae.sse           12.5",
            "vae.kl            0.25",
            "vae.active_units  3",
        ]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (math.nan, "the metric 'kl' of vae is nan"),
            (math.inf, "the metric 'kl' of vae is inf"),
            (np.float32("-inf"), "the metric 'kl' of vae is -inf"),
            ("many", "the metric 'kl' of vae is no number: 'many'"),
            (None, "the metric 'kl' of vae is no number: None"),
            (torch.zeros(2), "the metric 'kl' of vae is no number"),
        ],
    )
    def test_what_is_no_finite_number_is_named_and_nothing_is_shown(self, bundles, value, message):
        with pytest.raises(ValueError, match=message):
            publish_metrics("vae", {"sse": 1.0, "kl": value})
        assert bundles == []

    def test_nothing_to_publish(self, bundles):
        with pytest.raises(ValueError, match="no metrics of vae to publish"):
            publish_metrics("vae", {})
