"""The beta-TCVAE: one step of Adam against a bare re-implementation, the data set's size, and the command line."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from medlatent.__main__ import main
from medlatent.data import Card, ImageSet
from medlatent.losses import kl_to_standard_normal
from medlatent.models import VAE, BetaTCVAE, LatentModel, load
from medlatent.records import Record
from medlatent.training import train

SMALL = {"latent_dim": 3, "size": 16}


def build(seed: int = 0, **options) -> BetaTCVAE:
    torch.manual_seed(seed)
    return BetaTCVAE(**{**SMALL, "dataset_size": 50, **options})


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def run(model: LatentModel, images: torch.Tensor, steps: int = 2, **options):
    return train(model, images, steps, batch_size=3, device="cpu", precision="float32", progress=False, **options)


def bare_step(state: dict, images: torch.Tensor, *, beta: float, estimator: str, n: int, variance: float, rate: float):
    """The terms and one step of Adam, from the equations alone."""
    w = {name: value.clone().requires_grad_() for name, value in state.items()}
    h = images
    for i in (0, 2, 4, 6):
        h = F.relu(F.conv2d(h, w[f"encoder.{i}.weight"], w[f"encoder.{i}.bias"], 2, 1))
    h = F.relu(h.flatten(1) @ w["encoder.9.weight"].T + w["encoder.9.bias"])
    h = h @ w["encoder.11.weight"].T + w["encoder.11.bias"]
    mean, logvar = h[:, :3], h[:, 3:]
    z = mean + torch.randn_like(mean) * logvar.exp().sqrt()
    h = F.relu(z @ w["decoder.0.weight"].T + w["decoder.0.bias"])
    h = F.relu(h @ w["decoder.2.weight"].T + w["decoder.2.bias"]).reshape(len(images), 64, 1, 1)
    for i in (5, 7, 9):
        h = F.relu(F.conv_transpose2d(h, w[f"decoder.{i}.weight"], w[f"decoder.{i}.bias"], 2, 1))
    p = torch.sigmoid(F.conv_transpose2d(h, w["decoder.11.weight"], w["decoder.11.bias"], 2, 1))
    reconstruction = ((images - p) ** 2).sum((1, 2, 3)).mean() / (2 * variance)

    def density(z, mean, logvar):
        return torch.exp(-0.5 * (z - mean) ** 2 / logvar.exp()) / torch.sqrt(2 * math.pi * logvar.exp())

    b = len(images)
    information, correlation, dimension_wise = [], [], []
    for m in range(b):
        if estimator == "mws":
            weights = [1 / (b * n)] * b
        else:
            weights = [1 / (b - 1)] * b
            weights[m], weights[(m + 1) % b] = 1 / n, (n - b + 1) / (n * (b - 1))
        each = [density(z[m], mean[i], logvar[i]) for i in range(b)]
        aggregate = sum(q.prod() * a for q, a in zip(each, weights, strict=True)).log()
        marginals = sum(q * a for q, a in zip(each, weights, strict=True)).log().sum()
        information.append(each[m].prod().log() - aggregate)
        correlation.append(aggregate - marginals)
        dimension_wise.append(marginals - density(z[m], torch.zeros(3), torch.zeros(3)).prod().log())
    terms = [sum(t) / b for t in (information, correlation, dimension_wise)]
    loss = reconstruction + terms[0] + beta * terms[1] + terms[2]
    gradients = torch.autograd.grad(loss, list(w.values()))
    # The first step of Adam: both moments corrected are the gradient and its square.
    after = {
        name: v.detach() - rate * g / (g.square().sqrt() + 1e-8)
        for (name, v), g in zip(w.items(), gradients, strict=True)
    }
    return [t.item() for t in (loss, reconstruction, *terms)], after


class TestUpdate:
    @pytest.mark.parametrize(
        "options",
        [{}, {"beta": 2.5, "variance": 0.1}, {"estimator": "mws"}, {"beta": 0.0, "dataset_size": 6}],
        ids=["defaults", "beta", "mws", "whole set"],
    )
    def test_is_one_step_of_adam_on_the_equations(self, images, options):
        model = build(**options)
        setting = {"beta": 6.0, "estimator": "mss", "dataset_size": 50, "variance": 0.5} | options
        torch.manual_seed(7)
        expected, after = bare_step(model.state_dict(), images, rate=1e-4, n=setting.pop("dataset_size"), **setting)
        torch.manual_seed(7)
        terms = model.update(images)
        assert list(terms) == [
            "loss",
            "reconstruction",
            "mutual_information",
            "total_correlation",
            "dimension_wise_kl",
        ]
        assert all(t.shape == () and not t.requires_grad and t.dtype == torch.float32 for t in terms.values())
        assert [t.item() for t in terms.values()] == pytest.approx(expected, rel=1e-5, abs=1e-4)
        # A step has the length of the rate wherever there is a gradient: 5 % of that is what rounding may move.
        state = model.state_dict()
        for name, value in after.items():
            torch.testing.assert_close(state[name], value, rtol=1e-6, atol=0.05e-4)

    def test_at_beta_one_it_is_the_vae_with_a_sampled_kl(self, images):
        model = build(beta=1.0, learning_rate=0.0)
        with torch.no_grad():
            expected = kl_to_standard_normal(*model.encode(images)).sum(1).mean()
        sums = []
        for seed in range(200):
            torch.manual_seed(seed)
            terms = model.update(images)
            torch.testing.assert_close(terms["loss"], sum(list(terms.values())[1:]))
            sums.append(sum(list(terms.values())[2:]).item())
        sums = torch.tensor(sums)
        assert abs(sums.mean() - expected) < 4 * sums.std() / math.sqrt(len(sums))

    def test_beta_changes_the_step(self, images):
        models = build(beta=0.0), build(beta=50.0)
        for model in models:
            torch.manual_seed(2)
            model.update(images)
        assert not torch.equal(models[0].encoder[-1].weight, models[1].encoder[-1].weight)

    def test_bfloat16_is_close(self, images):
        exact, rounded = build(), build()
        rounded.precision = torch.bfloat16
        losses = []
        for model in (exact, rounded):
            torch.manual_seed(2)
            losses.append(model.update(images)["loss"].item())
        assert losses[0] != losses[1]
        assert losses[1] == pytest.approx(losses[0], rel=0.01)


class TestDatasetSize:
    def test_training_fills_it_in(self, images):
        model = build(dataset_size=None)
        history = run(model, images)
        assert model.dataset_size == model.config["dataset_size"] == 6
        assert "total_correlation" in history.terms

    def test_without_it_an_update_is_an_error(self, images):
        with pytest.raises(ValueError, match="dataset_size is unknown: pass it to the constructor, or train with"):
            build(dataset_size=None).update(images)

    def test_another_set_than_the_stated_is_an_error_until_it_is_set_anew(self, images):
        model = build(dataset_size=7)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with pytest.raises(ValueError, match=r"dataset_size is 7, but there are 6 training images: set .* to 6"):
            run(model, images)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        model.dataset_size = 6
        run(model, images)
        assert model.config["dataset_size"] == 6

    def test_it_weighs_the_estimate(self, images):
        terms = []
        for images_in_all in (6, 6000):
            torch.manual_seed(4)
            terms.append(build(dataset_size=images_in_all, estimator="mws").update(images)["total_correlation"].item())
        assert terms[1] - terms[0] == pytest.approx(2 * math.log(1000), rel=1e-4)  # (D - 1) log N

    def test_a_batch_larger_than_the_set(self, images):
        with pytest.raises(ValueError, match="dataset_size must be at least the batch's 6, got 5"):
            build(dataset_size=5).update(images)

    def test_resuming_is_exact(self, images, tmp_path):
        whole, halves = build(dataset_size=None), build(dataset_size=None)
        run(whole, images, 4)
        run(halves, images, 2, checkpoint=tmp_path / "run")
        again = build(seed=9, dataset_size=None)
        run(again, images, 4, checkpoint=tmp_path / "run")
        assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


def test_defaults_are_those_of_sarhan():
    assert BetaTCVAE().config == {"beta": 6.0, "estimator": "mss", "dataset_size": None, **VAE().config}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": -0.1}, "beta must not be negative, got -0.1"),
        ({"beta": float("nan")}, "beta must be a finite number, got nan"),
        ({"estimator": "mc"}, "estimator 'mc' is unknown: use one of mss, mws"),
        ({"dataset_size": 0}, "dataset_size must be at least 1, got 0"),
        ({"dataset_size": float("nan")}, "dataset_size must be a whole number of 64 bits, got nan"),
        ({"variance": -1}, "variance must be positive, got -1"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_round_trip_to_disk(tmp_path, images):
    model = build(estimator="mws", beta=3.0)
    model.update(images)
    again = load(model.save(tmp_path / "model.safetensors"))
    assert type(again) is BetaTCVAE
    assert again.config == model.config
    assert (again.beta, again.estimator, again.dataset_size) == (3.0, "mws", 50)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    again.update(images)


def test_the_command_line_takes_the_size_of_the_training_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pictures = np.random.default_rng(0).integers(0, 256, (14, 3, 16, 16), dtype=np.uint8)
    table = pd.DataFrame({"split": ["train"] * 10 + ["test"] * 4})
    ImageSet(pictures, table, {}, Card("small set", "computed here", "CC0-1.0", "nobody", "none")).save("small")
    arguments = ["--data", "small", "--steps", "3", "--batch-size", "4", "--device", "cpu", "--out", "results"]
    settings = ["--set", "latent_dim=2", "--set", "estimator=mws", "--slug", "independence"]
    assert main(["train", "BetaTCVAE", *arguments, *settings]) == 0
    record = Record.read(tmp_path / "results/independence/small_betatcvae_seed0.json")
    assert record.config["dataset_size"] == 10
    assert {"mutual_information", "total_correlation", "dimension_wise_kl"} < record.history.keys()
    assert record.load_model("results").dataset_size == 10
