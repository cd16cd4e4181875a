"""The residual VAE and the search for directions: an update by hand, who learns, what is frozen, saving and loading."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medlatent.losses import reparametrise
from medlatent.metrics.directions import reconstructor_accuracy
from medlatent.models import GAN, VAE, InfoGAN, LatentDirections, ResidualVAE, draw_images, load, measured
from medlatent.nets.directions import RECONSTRUCTORS
from medlatent.training import train


class Flat(nn.Module):
    """A reconstructor of small images: a hidden layer over all pixels of both."""

    def __init__(self, K, channels, size, width=64):
        super().__init__()
        self.hidden = nn.Sequential(nn.Flatten(), nn.Linear(2 * channels * size * size, width), nn.ReLU())
        self.direction, self.shift = nn.Linear(width, K), nn.Linear(width, 1)

    def forward(self, images, shifted):
        hidden = self.hidden(torch.cat([images, shifted], 1))
        return self.direction(hidden), self.shift(hidden).squeeze(1)


@pytest.fixture(autouse=True)
def flat(monkeypatch):
    monkeypatch.setitem(RECONSTRUCTORS, "flat", Flat)


def gan(**options) -> GAN:
    torch.manual_seed(0)
    model = GAN(**{"latent_dim": 4, "channels": 1, "size": 8, "width": 2, **options}).eval()
    with torch.no_grad():  # a trained one draws different images of different codes
        for parameter in model.generator.parameters():
            parameter.mul_(20 if parameter.ndim > 1 else 1)
    return model


def build(generator=None, **options) -> LatentDirections:
    generator = gan() if generator is None else generator
    torch.manual_seed(1)
    return LatentDirections(generator, **{"K": 3, "reconstructor": "flat", **options})


def run(model: LatentDirections, steps: int, batch: int = 16, **options):
    images = torch.zeros(batch, *model.image_shape)
    return train(model, images, steps, batch_size=batch, device="cpu", precision="float32", progress=False, **options)


class Pixels(nn.Module):
    """Each dimension of the code is the brightness of a pixel: directions are told apart at a glance."""

    def __init__(self, dimensions: int = 4, scale: float = 0.1) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.dimensions = dimensions

    def forward(self, z):
        return (0.5 + self.scale * z).view(-1, 1, 2, self.dimensions // 2)


class TestUpdate:
    @pytest.mark.parametrize("directions", ["unit", "orthonormal", "random"])
    def test_against_a_plain_loop(self, directions):
        model = build(directions=directions, gamma=0.7, max_shift=4.0, min_shift=1.0).train()
        twin = copy.deepcopy(model)
        learnt = [*model.matrix.parameters(), *model.reconstructor.parameters()]
        model.optimiser = torch.optim.SGD(learnt, lr=0.1)
        torch.manual_seed(7)
        found = model.update(torch.zeros(16, 1, 8, 8))

        torch.manual_seed(7)
        z = torch.randn(16, 4)
        k = torch.randint(3, (16,))
        alpha = 4 * (2 * torch.rand(16) - 1)
        alpha = torch.tensor([math.copysign(max(abs(a), 1.0), a) for a in alpha.tolist()])
        one_hot = F.one_hot(k, 3).float()
        a = twin.matrix()
        shift = torch.stack([a @ (alpha[i] * one_hot[i]) for i in range(16)])  # A(α e_k)
        images, shifted = (torch.sigmoid(twin.generator.generator(code)) for code in (z, z + shift))
        logits, predicted = twin.reconstructor(images, shifted)
        classification = F.cross_entropy(logits, k)
        error = (predicted - alpha).abs().mean()
        loss = classification + 0.7 * error
        expected = {
            "loss": loss.item(),
            "classification": classification.item(),
            "shift": error.item(),
            "accuracy": (logits.argmax(1) == k).float().mean().item(),
        }
        assert {name: term.item() for name, term in found.items()} == pytest.approx(expected, rel=1e-5)
        assert not any(term.requires_grad for term in found.values())

        own = [*twin.matrix.parameters(), *twin.reconstructor.parameters()]
        for parameter, gradient in zip(own, torch.autograd.grad(loss, own), strict=True):
            with torch.no_grad():
                parameter -= 0.1 * gradient
        for one, other in zip(learnt, own, strict=True):
            assert torch.allclose(one, other, atol=1e-6)

    def test_the_law_of_the_shifts(self):
        model = build(K=5, max_shift=2.0, min_shift=0.5)
        torch.manual_seed(0)
        k, alpha = model.sample_shifts(20_000)
        assert torch.allclose(torch.bincount(k) / 20_000, torch.full((5,), 0.2), atol=0.02)
        assert alpha.abs().min() == 0.5
        assert 1.99 < alpha.abs().max() <= 2
        assert (alpha > 0).float().mean().item() == pytest.approx(0.5, abs=0.02)
        assert (alpha.abs() == 0.5).float().mean().item() == pytest.approx(0.25, abs=0.02)
        inner = alpha.abs()[alpha.abs() > 0.5]  # uniform beyond
        assert inner.mean().item() == pytest.approx(1.25, abs=0.02)

    def test_a_shift_is_along_one_column(self):
        model, z = build(), torch.randn(5, 4)
        a = model.directions
        assert torch.allclose(model.shift(z, 1, 2.5), z + 2.5 * a[:, 1])
        k, alpha = torch.tensor([0, 2, 2, 1, 0]), torch.arange(5.0)
        moved = model.shift(z, k, alpha) - z
        assert torch.allclose(moved, alpha[:, None] * a.T[k], atol=1e-6)
        assert torch.allclose(moved.norm(dim=1), alpha, atol=1e-5)

    @pytest.mark.parametrize("directions", ["unit", "orthonormal"])
    def test_only_directions_and_reconstructor_learn(self, directions):
        model = build(directions=directions)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        run(model, 3)
        after = model.state_dict()
        moved = {name.split(".")[0] for name, value in after.items() if not torch.equal(value, before[name])}
        assert moved == {"matrix", "reconstructor"}
        asking = {name.split(".")[0] for name, parameter in model.named_parameters() if parameter.requires_grad}
        assert asking == {"matrix", "reconstructor"}
        owned = {id(p) for group in model.optimiser.param_groups for p in group["params"]}
        assert owned == {id(p) for p in model.parameters() if p.requires_grad}

    def test_the_generator_is_in_evaluation_mode_while_the_reconstructor_trains(self):
        model = build(reconstructor="lenet", generator=gan(size=32), width=1).train()
        assert not any(module.training for module in model.generator.modules())
        assert all(module.training for module in model.reconstructor.modules())
        model.update(torch.zeros(8, 1, 32, 32))
        assert all(parameter.grad is None for parameter in model.generator.parameters())
        assert all(p.grad is not None for p in (*model.matrix.parameters(), *model.reconstructor.parameters()))

    @pytest.mark.parametrize("directions", ["random", "sefa", "principal", torch.eye(4)[:, :3]])
    def test_directions_that_are_given_stay(self, directions):
        model = build(directions=directions)
        before = model.directions
        run(model, 3)
        assert torch.equal(model.directions, before)
        assert torch.allclose(before.norm(dim=0), torch.ones(3), atol=1e-6)


def learnt(generator: nn.Module, directions: str):
    """RCA after a short training, and A."""
    model = build(generator, latent_dim=4, K=4, directions=directions, learning_rate=3e-3)
    run(model, 250, batch=32)
    with measured(model):
        score = reconstructor_accuracy(model.decode, model.directions, model.reconstruct, batches=20)
    return score, model.directions


class TestLearning:
    @pytest.mark.parametrize("directions", ["unit", "orthonormal"])
    def test_directions_that_are_told_apart_at_a_glance(self, directions):
        score, _ = learnt(Pixels(scale=1.0), directions)
        assert score.score > 0.95
        assert score.shift_loss < 0.5

    def test_unit_columns_can_collapse_onto_each_other_and_orthonormal_ones_cannot(self):
        """Of faint images the shift is learnt before the direction, and is easiest to read where all columns agree."""
        unit, a = learnt(Pixels(scale=0.1), "unit")
        assert (a.T @ a).min() > 0.9
        assert unit.score < 0.4
        orthonormal, _ = learnt(Pixels(scale=0.1), "orthonormal")
        assert orthonormal.score > unit.score + 0.2

    def test_a_generator_that_ignores_its_code_leaves_chance(self):
        model = build(lambda z: torch.full((len(z), 1, 8, 8), 0.5), latent_dim=4, K=4)
        history = run(model, 30)
        with measured(model):
            score = reconstructor_accuracy(model.decode, model.directions, model.reconstruct, batches=60)
        assert score.score == pytest.approx(1 / 4, abs=0.02)
        assert history["classification"][-10:].mean() == pytest.approx(math.log(4), abs=0.15)

    def test_any_generator_in_five_lines(self):
        network = nn.Sequential(nn.ConvTranspose2d(6, 3, 8), nn.Tanh())
        model = LatentDirections(
            lambda z: (network(z[:, :, None, None]) + 1) / 2, latent_dim=6, K=9, reconstructor="flat"
        )
        history = train(model, draw_images(model, 8)[1], 2, batch_size=8, device="cpu", progress=False)
        assert model.directions.shape == (6, 9)
        assert model.image_shape == (3, 8, 8)
        assert len(history) == 2


class TestSaving:
    @pytest.mark.parametrize("directions", ["unit", "orthonormal", "random", "sefa", torch.ones(4, 3)])
    @pytest.mark.parametrize("generator", [gan, lambda: VAE(latent_dim=4, channels=1, size=16)])
    def test_the_file_holds_the_generator(self, directions, generator, tmp_path):
        model = build(generator(), directions=directions)
        run(model, 2)
        again = load(model.save(tmp_path / "model.safetensors"))
        assert again.config == model.config
        assert again.config["generator"]["model"] == type(model.generator).__name__
        assert not again.left_out
        z = torch.randn(5, 4)
        with torch.no_grad(), measured(model):
            assert torch.equal(again.decode(z), model.decode(z))
            pair = model.decode(z), model.decode(model.shift(z, 2, 3.0))
            assert torch.equal(again.reconstruct(*pair)[0], model.reconstruct(*pair)[0])
        assert torch.equal(again.directions, model.directions)
        run(again, 1)  # and can go on

    def test_what_only_the_training_of_the_generator_needs_is_left_behind(self, tmp_path):
        source = gan().train()
        state = {name: value.clone() for name, value in source.state_dict().items()}
        model = build(source)
        assert not any("discriminator" in name for name in model.state_dict())
        run(model, 1)
        assert source.training  # a copy was taken
        assert source.discriminator is not None
        assert all(parameter.requires_grad for parameter in source.parameters())
        assert all(torch.equal(value, state[name]) for name, value in source.state_dict().items())
        source.update(torch.rand(4, 1, 8, 8))

    def test_a_generator_of_your_own_is_given_back(self, tmp_path):
        own = Pixels()
        model = build(own, latent_dim=4)
        run(model, 2)
        assert own.scale.item() == pytest.approx(0.1)
        path = model.save(tmp_path / "model.safetensors")
        again = load(path)
        assert again.left_out == ("generator",)
        assert {name.split(".")[0] for name in again.state_dict()} == {"matrix", "reconstructor"}
        z = torch.randn(3, 4)
        with pytest.raises(ValueError, match="generator: the file of these directions does not hold it"):
            again.decode(z)
        with pytest.raises(ValueError, match="loaded without its generator"):
            run(again, 1)
        with pytest.raises(
            ValueError, match=r"generator: it makes images \(1, 2, 4\), the one before made \(1, 2, 2\)"
        ):
            again.attach_generator(lambda z: z.repeat(1, 2).view(-1, 1, 2, 4))
        again.attach_generator(own)
        assert torch.equal(again.decode(z), model.decode(z))
        assert torch.equal(again.directions, model.directions)
        run(again, 1)

    def test_resumed_it_goes_on_as_if_never_stopped(self, tmp_path):
        whole, halves = build(), build()
        run(whole, 4)
        run(halves, 2, checkpoint=tmp_path / "c.safetensors")
        halves = build(gan(width=2), learning_rate=1e-4)
        run(halves, 4, checkpoint=tmp_path / "c.safetensors")
        for (name, a), b in zip(whole.state_dict().items(), halves.state_dict().values(), strict=True):
            assert torch.equal(a, b), name

    def test_images_that_are_not_square(self, tmp_path):
        model = build(lambda z: z.repeat(1, 2).sigmoid().view(-1, 1, 2, 4), latent_dim=4, reconstructor="wide")
        assert model.image_shape == (1, 2, 4)
        assert load(model.save(tmp_path / "m.safetensors")).image_shape == (1, 2, 4)

    @pytest.fixture(autouse=True)
    def wide(self, monkeypatch):
        monkeypatch.setitem(RECONSTRUCTORS, "wide", lambda K, channels, size: Flat(K, 2 * channels, size))


def test_in_bfloat16_weights_and_terms_stay_in_float32():
    model = build(directions="orthonormal")
    images = torch.zeros(8, 1, 8, 8)
    history = train(model, images, 2, batch_size=8, device="cpu", precision="bfloat16", progress=False)
    assert all(math.isfinite(value) for value in history.mean().values())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert torch.allclose(model.directions.T @ model.directions, torch.eye(3), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": "linear"}, "directions 'linear' is unknown: use unit, orthonormal, random, principal, sefa or"),
        ({"directions": "orthonormal", "K": 5}, "K: in 4 dimensions at most as many directions are orthonormal, got 5"),
        ({"directions": "sefa", "K": 5}, "K must be between 1 and the dimension 4 of the code, got 5"),
        ({"directions": torch.eye(3)}, "directions: 3 rows, the code has 4 dimensions"),
        ({"K": 0}, "K ≥ 1, got 4 and 0"),
        ({"reconstructor": "vgg"}, "reconstructor 'vgg' is unknown: use one of lenet, resnet18"),
        ({"reconstructor": "lenet"}, "the LeNet reconstructor needs images of 32 pixels or more, got 8"),
        ({"gamma": -1.0}, "gamma must not be negative, got -1"),
        ({"min_shift": 7.0}, "0 ≤ min_shift ≤ max_shift and max_shift > 0, got 7.0 and 6.0"),
        ({"max_shift": math.nan}, "max_shift must be a finite number, got nan"),
        ({"reconstructor": []}, r"reconstructor \[\] is unknown: use one of lenet"),
        ({"channels": 3, "size": 8}, r"channels, size: the generator makes images \(1, 8, 8\), not \(3, 8, 8\)"),
        ({"generator": {"model": "Gan"}}, "generator: expected the model, one of .*GAN.*, and its config"),
        ({"generator": Pixels()}, "latent_dim: a generator of your own needs the dimension of its codes, got None"),
        ({"generator": Pixels(), "latent_dim": 3}, r"generator: it does not take codes \(2, 3\)"),
        ({"generator": lambda z: z, "latent_dim": 3}, r"must make images \(2, C, H, W\), got \(2, 3\)"),
        ({"generator": 7, "latent_dim": 3}, "generator: expected a model, a module or a function, got int"),
        (
            {"generator": InfoGAN(noise_dim=3, categories=3, size=8, width=2)},
            "generator: the part 'category' of its code is not standard normal",
        ),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_without_a_generator():
    with pytest.raises(ValueError, match=r"latent_dim: a generator of your own"):
        LatentDirections()
    with pytest.raises(ValueError, match=r"generator: there is none; .*find_record\(slug, name\).load_model\(\)"):
        LatentDirections(latent_dim=4)


class TestResidualVAE:
    def test_one_update_against_a_plain_loop(self):
        torch.manual_seed(0)
        model = ResidualVAE(latent_dim=3, size=16, width=4, beta=0.5).train()
        twin = copy.deepcopy(model)
        images = torch.rand(6, 1, 16, 16)
        model.optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        torch.manual_seed(7)
        found = model.update(images)

        torch.manual_seed(7)
        mean, logvar = twin.encoder(images).split(3, 1)
        decoded = torch.sigmoid(twin.decoder(reparametrise(mean, logvar)))
        posterior = torch.distributions.Normal(mean, (0.5 * logvar).exp())
        prior = torch.distributions.Normal(0.0, 1.0)
        kl = torch.distributions.kl_divergence(posterior, prior).sum(1).mean()
        reconstruction = F.mse_loss(decoded, images).log()
        loss = reconstruction + 0.5 * kl
        expected = {"loss": loss.item(), "reconstruction": reconstruction.item(), "kl": kl.item()}
        assert {name: term.item() for name, term in found.items()} == pytest.approx(expected, rel=1e-4)
        parameters = list(twin.parameters())
        for parameter, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
            with torch.no_grad():
                parameter -= 0.1 * gradient
        for (name, value), other in zip(model.state_dict().items(), twin.state_dict().values(), strict=True):
            assert torch.allclose(value, other, rtol=1e-3, atol=1e-5), name

    def test_saved_and_loaded_it_is_the_same(self, tmp_path):
        torch.manual_seed(0)
        model = ResidualVAE(latent_dim=3, size=16, width=4).eval()
        again = load(model.save(tmp_path / "model.safetensors"))
        images = torch.rand(2, 1, 16, 16)
        with torch.no_grad():
            assert torch.equal(again.encode(images)[0], model.encode(images)[0])
            decoded = model.decode(torch.randn(2, 3))
        assert decoded.shape == (2, 1, 16, 16)
        assert 0 <= decoded.min() <= decoded.max() <= 1

    def test_the_defaults_are_the_papers(self):
        config = {"latent_dim": 32, "channels": 1, "size": 128, "width": 64, "beta": 0.01, "learning_rate": 1e-4}
        with torch.device("meta"):
            assert ResidualVAE().config == config

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
            ({"beta": -1}, "beta must not be negative, got -1"),
        ],
    )
    def test_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            ResidualVAE(size=16, width=4, **options)


def test_the_gan_of_the_paper_has_its_widths():
    """32 → 2048 maps of 4×4, then 1024, 512, 256, 128 and the image: five transposed convolutions, and their mirror."""
    with torch.device("meta"):
        model = GAN(latent_dim=32, channels=1, size=128, width=128, smoothing=(0.0, 0.1), noise=0.05, noise_steps=10)
    up = [m.out_channels for m in model.generator if isinstance(m, nn.ConvTranspose2d)]
    down = [m.out_channels for m in model.discriminator.trunk if isinstance(m, nn.Conv2d)]
    assert model.generator[0].out_features == 2048 * 16
    assert up == [1024, 512, 256, 128, 1]
    assert down == [128, 256, 512, 1024, 2048]
