"""What every model has of :class:`LatentModel`: frozen networks, being measured, the shape of its images, its steps."""

import copy
import inspect
import json
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open
from torch import nn

from medlatent.data import Card, ImageSet
from medlatent.evaluation import evaluate
from medlatent.models import (
    GAN,
    VAE,
    AdversarialVAE,
    BetaTCVAE,
    BetaVAE,
    HSICInfoGAN,
    InfoGAN,
    LatentModel,
    load,
    measured,
)
from medlatent.training import train

CARD = Card("test set", "computed here", "CC0-1.0", "nobody", "none")


@pytest.fixture(autouse=True)
def unregistered(monkeypatch):
    """Models that a test defines are forgotten afterwards."""
    monkeypatch.setattr(LatentModel, "registry", dict(LatentModel.registry))


def pictures(n: int = 12, channels: int = 1, size: int = 8) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(1))


def run(model: LatentModel, images: torch.Tensor | None = None, steps: int = 3, **options):
    images = pictures() if images is None else images
    options = {"precision": "float32", "batch_size": 4, **options}
    return train(model, images, steps, device="cpu", progress=False, **options)


def modes(model: nn.Module) -> dict[str, bool]:
    return {name: part.training for name, part in model.named_modules()}


def normalised(outputs: int = 2) -> nn.Module:
    """A network with batch normalisation and dropout: both show it when it is trained."""
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.Flatten(), nn.Linear(108, outputs))


class Searching(LatentModel):
    """A generator that is given, and a trained matrix that moves its codes."""

    frozen = ("generator", "judge")
    image_shape = (1, 8, 8)

    def __init__(self, latent_dim: int = 3) -> None:
        super().__init__({"latent_dim": latent_dim})
        self.latent_dim = latent_dim
        torch.manual_seed(0)
        self.generator = GAN(latent_dim=latent_dim, channels=1, size=8, width=2)
        self.judge = normalised()
        self.moved = nn.Sequential(nn.Linear(latent_dim, latent_dim), nn.BatchNorm1d(latent_dim))
        self.optimiser = torch.optim.Adam(self.parameters(), lr=0.1, weight_decay=0.1)  # of all, the frozen included

    def decode(self, z):
        return self.generator.decode(self.moved(z))

    def update(self, images):
        drawn = self.decode(self.sample_codes(len(images)))
        loss = (drawn - images).square().mean() + self.judge(drawn).square().mean()
        self.step(self.optimiser, loss)
        return {"loss": loss.detach()}


class TestFrozen:
    @pytest.fixture
    def model(self):
        return Searching()

    def test_neither_weights_nor_running_statistics_move(self, model):
        before = copy.deepcopy(model.state_dict())
        run(model, steps=5)
        moved = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
        assert {name.partition(".")[0] for name in moved} == {"moved"}
        assert len(moved) == len([name for name in before if name.startswith("moved.")])
        assert any("running_mean" in name for name in before if not name.startswith("moved."))

    def test_they_are_in_evaluation_mode_within_an_update(self, model):
        seen, update = [], model.update
        model.update = lambda images: seen.append(modes(model)) or update(images)
        run(model, steps=1)
        for name, training in seen[0].items():
            assert training is (name.partition(".")[0] not in model.frozen), name

    @pytest.mark.parametrize("training", [True, False])
    def test_whatever_the_mode_they_keep_theirs(self, model, training):
        model.requires_grad_(True)
        model.train(training)
        assert modes(model.moved) == dict.fromkeys(modes(model.moved), training)
        for name in model.frozen:
            network = getattr(model, name)
            assert not any(modes(network).values())
            assert not any(weight.requires_grad for weight in network.parameters())
        assert all(weight.requires_grad for weight in model.moved.parameters())

    def test_no_gradient_is_computed_for_them(self, model):
        run(model, steps=2)
        frozen = [weight for name in model.frozen for weight in getattr(model, name).parameters()]
        assert frozen
        assert all(weight.grad is None for weight in frozen)
        assert all(weight.grad is not None for weight in model.moved.parameters())

    def test_one_that_comes_later_is_frozen_as_it_comes(self, model):
        model.train()
        other = GAN(latent_dim=3, channels=1, size=8, width=2)
        assert other.training
        model.generator = other
        assert not any(modes(other).values())
        assert not any(weight.requires_grad for weight in other.parameters())

    def test_saved_and_loaded_they_are_frozen(self, model, tmp_path):
        run(model, steps=2)
        again = load(model.save(tmp_path / "model.safetensors"))
        assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
        before = copy.deepcopy(again.generator.state_dict())
        run(again, steps=2)
        assert all(torch.equal(value, before[name]) for name, value in again.generator.state_dict().items())

    def test_resumed_they_are_what_they_were(self, model, tmp_path):
        whole = Searching()
        run(whole, steps=4)
        run(model, steps=2, checkpoint=tmp_path / "c")
        model = Searching()
        with torch.no_grad():
            next(model.generator.parameters()).zero_()  # comes back with the checkpoint
        run(model, steps=4, checkpoint=tmp_path / "c")
        assert all(torch.equal(value, model.state_dict()[name]) for name, value in whole.state_dict().items())

    def test_a_name_of_no_network_is_found_before_the_first_step(self, monkeypatch):
        monkeypatch.setattr(Searching, "frozen", ("generator", "jugde"))
        model = Searching()
        model.update = lambda images: pytest.fail("a step was made")
        with pytest.raises(ValueError, match="frozen: 'jugde' is no network of Searching: generator, judge, moved"):
            run(model)


class TestMeasured:
    @pytest.fixture
    def model(self):
        model = Searching()
        model.moved[1].eval()  # somebody's own choice of mode inside a network that is trained
        model.precision, model.generator.precision = torch.bfloat16, torch.bfloat16
        return model

    def test_evaluation_mode_and_32_bits_in_every_part(self, model):
        with measured(model):
            assert not any(modes(model).values())
            assert (model.precision, model.generator.precision) == (torch.float32, torch.float32)

    @pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
    def test_afterwards_every_part_is_as_it_was(self, model, error):
        model.generator.precision = torch.float32
        before = modes(model)
        assert len(set(before.values())) == 2
        expected = pytest.raises(error) if error else nullcontext()
        with expected, measured(model), measured(model):  # one within the other
            if error:
                raise error
        assert modes(model) == before
        assert (model.precision, model.generator.precision) == (torch.bfloat16, torch.float32)

    def test_any_module(self):
        module = normalised().train()
        with measured(module):
            assert not any(modes(module).values())
        assert all(modes(module).values())
        assert not hasattr(module, "precision")

    def test_evaluation_leaves_a_model_as_it_was(self):
        model = VAE(latent_dim=2, channels=1, size=16).train()
        model.decoder.eval()
        model.precision = torch.bfloat16
        before, weights = modes(model), copy.deepcopy(model.state_dict())
        images = (pictures(6, size=16) * 255).byte().numpy()
        evaluate(model, ImageSet(images, pd.DataFrame({"id": range(6)}), {}, CARD), ["reconstruction"])
        assert modes(model) == before
        assert model.precision == torch.bfloat16
        assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


class TestImageShape:
    @pytest.mark.parametrize(
        ("model", "shape"),
        [
            (VAE(latent_dim=2, channels=2, size=16), (2, 16, 16)),
            (GAN(latent_dim=2, channels=1, size=8, width=2), (1, 8, 8)),
            (InfoGAN(noise_dim=2, size=8, width=2), (1, 8, 8)),
        ],
    )
    def test_is_what_the_model_decodes(self, model, shape):
        assert model.image_shape == shape
        with torch.inference_mode():
            assert model.eval().decode(model.sample_codes(2)).shape == (2, *shape)

    def test_may_be_a_model_s_own(self):
        class _Wide(Searching):
            image_shape = (1, 8, 20)

        with pytest.raises(ValueError, match="images: they are 1×8×8, the model was built for 1×8×20"):
            run(_Wide())

    def test_a_model_that_does_not_say_is_told_how(self):
        class _Silent(LatentModel):
            def __init__(self):
                super().__init__({"channels": 1})
                self.weight = nn.Parameter(torch.zeros(()))

        with pytest.raises(NotImplementedError, match=r"_Silent: config has no 'size'; .* or define image_shape"):
            run(_Silent())


class TestStep:
    def test_gradients_are_computed_of_the_optimiser_s_own_weights(self):
        first, second = nn.Linear(2, 2), nn.Linear(2, 1)
        optimiser = torch.optim.SGD(first.parameters(), lr=0.5)
        x = torch.rand(3, 2)
        expected = torch.autograd.grad(second(first(x)).sum(), [*first.parameters()])
        before = [weight.clone() for weight in first.parameters()]
        first.weight.grad = torch.full((2, 2), 7.0)  # of an earlier step: it does not pile up
        LatentModel.step(optimiser, second(first(x)).sum())
        for weight, was, gradient in zip(first.parameters(), before, expected, strict=True):
            torch.testing.assert_close(weight, was - 0.5 * gradient)
        assert all(weight.grad is None for weight in second.parameters())

    @pytest.mark.parametrize(
        ("model", "generating"),
        [
            (AdversarialVAE(latent_dim=2, size=16, dataset_size=12), {"encoder", "decoder"}),
            (GAN(latent_dim=2, channels=3, size=16, width=2), {"generator"}),
            (InfoGAN(noise_dim=2, channels=3, size=16, width=2), {"generator"}),
            (HSICInfoGAN(noise_dim=2, channels=3, size=16, width=2), {"generator"}),
        ],
    )
    def test_the_generator_s_step_costs_the_discriminator_no_gradient(self, monkeypatch, model, generating):
        taken, step = [], LatentModel.step

        def alone(optimiser, loss):
            for weight in model.parameters():
                weight.grad = None
            step(optimiser, loss)
            taken.append({name.partition(".")[0] for name, w in model.named_parameters() if w.grad is not None})

        monkeypatch.setattr(model, "step", alone)
        model.update(pictures(4, 3, 16))
        judging = {name for name, _ in model.named_children()} - generating
        assert sorted(map(sorted, taken)) == sorted([sorted(generating), sorted(judging)])


@pytest.mark.parametrize(
    ("kind", "arguments"),
    [
        (VAE, {"latent_dim": np.int64(2), "channels": np.int32(1), "size": np.int64(16), "variance": np.float32(0.5)}),
        (BetaVAE, {"beta": np.float32(2), "latent_dim": np.int16(2), "channels": 1, "size": 16}),
        (BetaTCVAE, {"dataset_size": np.int64(12), "latent_dim": 2, "channels": 1, "size": 16}),
        (AdversarialVAE, {"adversarial_weight": np.float64(1), "channels": 1, "size": 16}),
        (GAN, {"latent_dim": np.int64(2), "channels": 1, "size": np.int64(16), "width": np.int64(2)}),
        (InfoGAN, {"noise_dim": np.int64(2), "code_range": np.array([-1, 1]), "size": 16, "width": np.int64(2)}),
        (HSICInfoGAN, {"hsic_weight": np.float32(2), "categories": np.int64(3), "size": 16, "width": 2}),
    ],
)
def test_numbers_of_numpy_become_plain_ones(kind, arguments, tmp_path):
    model = kind(**arguments)

    def check(value):
        assert type(value) in (int, float, str, bool, type(None), list, tuple), value
        for item in value if isinstance(value, list | tuple) else ():
            check(item)

    check(list(model.config.values()))
    check(model.latent_dim)
    model.prepare(np.int64(12))
    run(model, pictures(size=16), np.int64(1), batch_size=np.int32(4), seed=np.uint8(3), checkpoint=tmp_path / "c")
    path = model.save(tmp_path / "model.safetensors")
    with safe_open(path, framework="pt") as file:
        assert json.loads(file.metadata()["config"]) == json.loads(json.dumps(model.config))
    assert load(path).config == json.loads(json.dumps(model.config))


class TestOnesOwn:
    """What the book shows: a plain module is trained and evaluated after twenty lines."""

    def test_a_plain_module(self, tmp_path):
        class Own(LatentModel):
            suites = ("reconstruction",)

            def __init__(self, latent_dim=2, channels=1, size=16):
                super().__init__({"latent_dim": latent_dim, "channels": channels, "size": size})
                self.latent_dim, pixels = latent_dim, channels * size**2
                self.network = nn.Sequential(nn.Flatten(), nn.Linear(pixels, 2 * latent_dim))
                self.back = nn.Sequential(nn.Linear(latent_dim, pixels), nn.Sigmoid())
                self.optimiser = torch.optim.SGD(self.parameters(), lr=1.0, momentum=0.9)

            def encode(self, images):
                return self.network(images).chunk(2, 1)

            def decode(self, z):
                return self.back(z).unflatten(1, self.image_shape)

            def update(self, images):
                loss = (self.decode(self.encode(images)[0]) - images).square().mean()
                self.step(self.optimiser, loss)
                return {"loss": loss.detach()}

        assert len([line for line in inspect.getsource(Own).splitlines() if line.strip()]) <= 20
        images = pictures(1, size=16).repeat(12, 1, 1, 1)
        whole, model = (torch.manual_seed(0) and Own() for _ in range(2))
        history = run(whole, images, 40)
        assert history["loss"][-4:].mean() < 0.9 * history["loss"][:4].mean()
        run(model, images, 15, checkpoint=tmp_path / "c")
        run(model := Own(), images, 40, checkpoint=tmp_path / "c")
        assert all(torch.equal(value, model.state_dict()[name]) for name, value in whole.state_dict().items())
        again = load(model.save(tmp_path / "own.safetensors"))
        stored = (images * 255).round().byte().numpy()
        held = ImageSet(stored, pd.DataFrame({"id": range(len(stored))}), {}, CARD)
        numbers = evaluate(again, held)
        with torch.inference_mode():
            x = held.batch(slice(None))
            sse = (again.decode(again.encode(x)[0]) - x).square().sum((1, 2, 3)).mean()
        assert numbers["sse"] == pytest.approx(sse.item(), rel=1e-5)

    @pytest.mark.parametrize(
        ("terms", "message"),
        [
            ({}, "update: it returned no term of the loss"),
            ({"loss": 1.0}, "update: its term 'loss' must be a detached tensor without dimensions, got 1.0"),
            ({"loss": torch.zeros(3)}, "its term 'loss' must be a detached tensor without dimensions"),
            ({"loss": torch.zeros(()), "kl": torch.zeros((), requires_grad=True)}, "its term 'kl' must be a detached"),
        ],
    )
    def test_terms_that_are_none_are_named_at_the_first_step(self, terms, message):
        model = Searching()
        model.update = lambda images: terms
        with pytest.raises(ValueError, match=message):
            run(model)

    def test_terms_that_change_are_named(self):
        model, names = Searching(), iter(["loss", "loss", "kl"])
        model.update = lambda images: {next(names): torch.zeros(())}
        with pytest.raises(ValueError, match="update: it returned the terms kl; before they were loss"):
            run(model)
