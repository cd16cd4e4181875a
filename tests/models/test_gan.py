"""GANs: one update against a plain loop, who learns from what, codes, noise, saving and resuming."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from medlatent.losses import gaussian_kernel, gradient_penalty, hsic
from medlatent.models import (
    GAN,
    VAE,
    Categorical,
    HSICInfoGAN,
    InfoGAN,
    LatentModel,
    SpectralGAN,
    Uniform,
    WassersteinGAN,
    load,
)
from medlatent.training import train

B = 6
SMALL = {
    GAN: {"latent_dim": 3, "channels": 1, "size": 8, "width": 4},
    InfoGAN: {"noise_dim": 3, "categories": 3, "size": 8, "width": 2},
    HSICInfoGAN: {"noise_dim": 3, "categories": 3, "size": 8, "width": 2},
}
SYSTEMS = tuple(SMALL)
NOISY = {"noise": 0.3, "noise_steps": 4}


def build(system=GAN, seed: int = 0, **options) -> LatentModel:
    torch.manual_seed(seed)
    return system(**SMALL[system] | options)


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(B, 1, 8, 8, generator=torch.Generator().manual_seed(1))


def run(model: LatentModel, images: torch.Tensor, steps: int, **options):
    options = {"batch_size": 3, "precision": "float32", **options}
    return train(model, images, steps, device="cpu", progress=False, **options)


def judges(model) -> list[torch.nn.Parameter]:
    return [*model.discriminator.parameters(), *(model.reader.parameters() if isinstance(model, InfoGAN) else ())]


def descend(parameters, loss, rate=0.1) -> None:
    """A step of plain gradient descent, in place."""
    gradients = torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter -= rate * gradient


def by_hand(model, images) -> dict[str, float]:
    """One update as the equations have it, with probabilities for logits, by plain gradient descent."""
    c, trunk, head = model.config, model.discriminator.trunk, model.discriminator.head
    parts = []
    if "categories" in c:
        parts.append(F.one_hot(torch.randint(3, (B,)), 3).float())
        low, high = c["code_range"]
        parts += [low + (high - low) * torch.rand(B, 1) for _ in range(2)]
    code = torch.cat([*parts, torch.randn(B, 3)], 1)
    fake = torch.sigmoid(model.generator(code))
    left = 1 - model.updates.item() / c["noise_steps"] if c["noise"] else 0
    target = 1 - (0 if isinstance(c["smoothing"], list | tuple) else c["smoothing"])

    def seen(x):
        return x + c["noise"] * left * torch.randn_like(x) if c["noise"] else x

    def reading(features):
        category, mean, logvar = model.reader(features)
        density = torch.distributions.Normal(mean, (0.5 * logvar).exp())
        return F.cross_entropy(category, code[:, :3].argmax(1)), -density.log_prob(code[:, 3:5]).sum(1).mean()

    real, features = head(trunk(seen(images))), trunk(seen(fake.detach()))
    if isinstance(c["smoothing"], list | tuple):
        low, high = c["smoothing"]
        target = 1 - (low + (high - low) * torch.rand(B, 1))
    if c["loss"] == "least_squares":
        discriminator = 0.5 * ((real - target) ** 2 + head(features) ** 2).mean()
    else:
        d, e = torch.sigmoid(real), torch.sigmoid(head(features))
        discriminator = -(target * d.log() + (1 - target) * (1 - d).log() + (1 - e).log()).mean()
    total = discriminator
    if isinstance(model, InfoGAN):
        category, continuous = reading(features)
        total = total + c["category_weight"] * category + c["continuous_weight"] * continuous
    descend(judges(model), total)

    features = trunk(seen(fake))
    output = head(features)
    adversarial = {
        "non_saturating": lambda: -torch.sigmoid(output).log(),
        "minimax": lambda: (1 - torch.sigmoid(output)).log(),
        "least_squares": lambda: 0.5 * (output - 1) ** 2,
    }[c["loss"]]().mean()
    named = {"loss": adversarial, "adversarial": adversarial, "discriminator": discriminator}
    if isinstance(model, InfoGAN):
        named["category"], named["continuous"] = reading(features)
        named["loss"] = (
            adversarial + c["category_weight"] * named["category"] + c["continuous_weight"] * named["continuous"]
        )
    if isinstance(model, HSICInfoGAN):
        kernels = [gaussian_kernel(x, c["sigma"], c["scale_by_dimension"]) for x in (fake, code[:, :5])]
        named["hsic"] = hsic(*kernels, c["normalisation"])
        named["loss"] = adversarial - c["hsic_weight"] * named["hsic"]
    descend([*model.generator.parameters()], named["loss"])
    return {name: value.item() for name, value in named.items()}


@pytest.mark.parametrize(
    ("system", "options"),
    [
        (GAN, {}),
        (GAN, {"loss": "minimax", "smoothing": 0.1}),
        (GAN, {"loss": "least_squares", "smoothing": 0.2}),
        (GAN, NOISY),
        (GAN, {"smoothing": (0.0, 0.3), **NOISY}),
        (GAN, {"smoothing": (0.1, 0.3), "loss": "least_squares"}),
        (InfoGAN, {"code_range": (-1, 1)}),
        (InfoGAN, {"category_weight": 3.0, "continuous_weight": 2.0, "loss": "least_squares", **NOISY}),
        (HSICInfoGAN, {"hsic_weight": 50.0, "sigma": 2.0}),
        (HSICInfoGAN, {"hsic_weight": 2.0, "normalisation": "cca", "scale_by_dimension": True, **NOISY}),
    ],
)
def test_one_update_against_a_plain_loop(images, system, options):
    """Terms, weights and the running statistics of batch normalisation: their order says which pass saw what."""
    model = build(system, **options).train()
    model.updates += 1
    twin = copy.deepcopy(model)
    model.generator_optimiser = torch.optim.SGD(model.generator.parameters(), lr=0.1)
    model.discriminator_optimiser = torch.optim.SGD(judges(model), lr=0.1)
    torch.manual_seed(7)
    found = model.update(images)
    torch.manual_seed(7)
    expected = by_hand(twin, images)

    assert next(iter(found)) == "loss"
    assert {name: term.item() for name, term in found.items()} == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert not any(term.requires_grad for term in found.values())
    assert model.updates == 2
    twin.updates += 1
    for name, value in twin.state_dict().items():
        assert torch.allclose(model.state_dict()[name], value, rtol=1e-3, atol=1e-5), name


@pytest.mark.parametrize("system", SYSTEMS)
def test_each_step_trains_its_own_networks(images, system):
    for still, moving in (("generator", {"discriminator", "reader"}), ("discriminator", {"generator"})):
        model = build(system).train()
        for group in getattr(model, f"{still}_optimiser").param_groups:
            group["lr"] = 0.0
        before = {name: p.clone() for name, p in model.named_parameters()}
        model.update(images)
        moved = {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(p, before[name])}
        assert moved == moving & {name.split(".")[0] for name in before}
        assert all(p.requires_grad for p in model.parameters())
    owned = [id(p) for o in model.optimisers().values() for group in o.param_groups for p in group["params"]]
    assert sorted(owned) == sorted(id(p) for p in model.parameters())


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_an_update_moves_of_running_statistics(images, system):
    model = build(system).train()
    model.update(images)
    counts = {name: int(v) for name, v in model.state_dict().items() if "num_batches" in name}
    expected = {"generator": 1, "discriminator": 3, "reader": 2}
    assert counts
    assert counts == {name: expected[name.split(".")[0]] for name in counts}


class TestCodes:
    @pytest.mark.parametrize("system", SYSTEMS)
    def test_are_what_the_layout_says(self, system):
        model = build(system, **({"code_range": (-1, 3)} if system is not GAN else {}))
        codes = model.sample_codes(4000, torch.Generator().manual_seed(0))
        assert codes.shape == (4000, model.latent_dim)
        edge = 0
        for part in model.code_layout:
            assert part.start == edge
            edge, values = part.stop, codes[:, part.slice]
            if isinstance(part.prior, Categorical):
                assert torch.equal(values.sum(1), torch.ones(4000))
                assert set(values.unique().tolist()) == {0.0, 1.0}
                assert values.mean(0).tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
            elif isinstance(part.prior, Uniform):
                assert -1 <= values.min() < -0.9
                assert 2.9 < values.max() < 3
                assert values.mean().item() == pytest.approx(1, abs=0.07)
            else:
                assert values.mean().item() == pytest.approx(0, abs=0.05)
                assert values.std().item() == pytest.approx(1, abs=0.05)
        assert edge == model.latent_dim
        assert torch.equal(codes, model.sample_codes(4000, torch.Generator().manual_seed(0)))
        assert not torch.equal(codes, model.sample_codes(4000))

    def test_of_any_model(self):
        model = VAE(latent_dim=3, size=16)
        assert [(p.name, p.slice) for p in model.code_layout] == [("z", slice(0, 3))]
        torch.manual_seed(1)
        codes = model.sample_codes(5)
        torch.manual_seed(1)
        assert torch.equal(codes, torch.randn(5, 3))

    def test_a_gan_has_no_encoder(self):
        assert not any(hasattr(build(system), "encode") for system in SYSTEMS)
        assert hasattr(VAE(latent_dim=3, size=16), "encode")


def test_instance_noise_falls_to_nothing(images):
    model = build(noise=0.5, noise_steps=4)
    deviations = []
    for _ in range(6):
        deviations.append((model.add_noise(torch.zeros(1, 1, 100, 100))).std().item())
        model.updates += 1
    assert deviations == pytest.approx([0.5, 0.375, 0.25, 0.125, 0, 0], rel=0.05)
    assert build().add_noise(images) is images


def test_smoothed_targets_are_drawn_for_each_image():
    """In [0.9, 1] at (0, 0.1): the loss at the logit 50 is 50 times what is missing to 1."""
    model, real = build(smoothing=(0.0, 0.1)), torch.full((10_000,), 50.0)
    loss = model.discrimination(real, torch.full_like(real, -50.0))
    targets = 1 - loss / 50
    assert 0.9 <= targets.min() < 0.901
    assert 0.999 < targets.max() <= 1
    assert targets.mean().item() == pytest.approx(0.95, abs=0.002)
    assert len(targets.unique()) > 5_000
    constant = build(smoothing=0.1).discrimination(real, torch.full_like(real, -50.0))
    assert (1 - constant / 50).tolist() == pytest.approx([0.9] * 10_000)


@pytest.mark.parametrize("system", SYSTEMS)
def test_saved_and_loaded_it_is_the_same(system, images, tmp_path):
    model = build(system).train()
    model.update(images)
    again = load(model.save(tmp_path / "model.safetensors"))
    model.eval()
    assert type(again) is system
    assert again.config == model.config
    codes = model.sample_codes(4)
    with torch.inference_mode():
        assert torch.equal(again.decode(codes), model.decode(codes))
        assert 0 <= model.decode(codes).min() <= model.decode(codes).max() <= 1
    assert again.code_layout == model.code_layout


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_file_may_leave_out_what_only_training_needs(system, images, tmp_path):
    model = build(system).train()
    model.update(images)
    model.eval()
    half = load(model.save(tmp_path / "half.safetensors", without=system.only_for_training))
    assert half.left_out == system.only_for_training
    assert {name.split(".")[0] for name in half.state_dict()} == {"generator", "updates"}
    codes = model.sample_codes(4)
    with torch.inference_mode():
        assert torch.equal(half.decode(codes), model.decode(codes))
    with pytest.raises(ValueError, match=r"loaded without its discriminator.* cannot be trained"):
        run(half, images, 1)
    again = load(half.save(tmp_path / "again.safetensors", torch.float16))
    assert again.left_out == half.left_out
    with pytest.raises(ValueError, match=r"without: 'critic' is no network of .*: generator"):
        model.save(tmp_path / "none.safetensors", without=["critic"])
    assert not (tmp_path / "none.safetensors").exists()


@pytest.mark.parametrize("system", SYSTEMS)
def test_resumed_it_goes_on_as_if_never_stopped(system, images, tmp_path):
    whole, halves = build(system, **NOISY), build(system, **NOISY)
    run(whole, images, 4)
    run(halves, images, 2, checkpoint=tmp_path / "c.safetensors")
    halves = build(system, seed=9, **NOISY)
    run(halves, images, 4, checkpoint=tmp_path / "c.safetensors")
    for (name, a), b in zip(whole.state_dict().items(), halves.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("system", SYSTEMS)
def test_in_bfloat16_weights_and_terms_stay_in_float32(system, images):
    model = build(system)
    history = run(model, images, 2, precision="bfloat16")
    assert all(math.isfinite(value) for value in history.mean().values())
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    with torch.inference_mode():
        assert model.decode(model.sample_codes(2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        ({"loss": "hinge"}, "loss 'hinge' is unknown: use one of non_saturating, minimax, least_squares"),
        ({"smoothing": 1.0}, r"smoothing must be in \[0, 1\), or two such numbers that do not fall, got 1"),
        ({"smoothing": (0.2, 0.1)}, r"two such numbers that do not fall, got \(0.2, 0.1\)"),
        ({"smoothing": (0.0, 0.1, 0.2)}, "two such numbers that do not fall"),
        ({"noise": -0.1}, "noise must not be negative, got -0.1"),
        ({"noise": 0.1}, "noise_steps: in how many updates"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)


def test_what_several_models_share_is_no_model_of_its_own():
    assert {"GAN", "InfoGAN", "HSICInfoGAN"} < set(LatentModel.registry)
    assert not any(name.startswith("_") for name in LatentModel.registry)


class TestSpectral:
    def small(self):
        torch.manual_seed(0)
        return SpectralGAN(**SMALL[GAN])

    def test_no_layer_enlarges_a_difference(self):
        model = self.small().train()
        for _ in range(200):  # of power iteration
            model.discriminator(torch.rand(2, 1, 8, 8))
        layers = [m for m in model.discriminator.modules() if isinstance(m, torch.nn.Conv2d | torch.nn.Linear)]
        assert len(layers) == 2
        for layer in layers:
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)
        assert not [m for m in model.discriminator.modules() if isinstance(m, torch.nn.BatchNorm2d)]

    def test_each_image_is_judged_by_itself(self, images):
        model = self.small().eval()
        alone = torch.cat([model.discriminate(model.features(image[None])) for image in images])
        torch.testing.assert_close(model.discriminate(model.features(images)), alone)

    def test_it_trains_and_its_generator_is_saved(self, images, tmp_path):
        model = self.small()
        before = copy.deepcopy(model.generator.state_dict())
        run(model, images, 3)
        assert any(not torch.equal(before[k], v) for k, v in model.generator.state_dict().items())
        codes = torch.randn(4, 3)
        again = load(model.eval().save(tmp_path / "m.safetensors"))
        torch.testing.assert_close(again.eval().decode(codes), model.decode(codes))


class TestWasserstein:
    def small(self, **options):
        torch.manual_seed(0)
        return WassersteinGAN(latent_dim=3, channels=1, size=8, width=4, critic_steps=2, **options)

    def test_one_update_by_hand(self, images):
        model = self.small()
        plain = copy.deepcopy(model)
        torch.manual_seed(3)
        found = model.update(images)
        torch.manual_seed(3)
        for real in images.split(3):
            with torch.no_grad():
                fake = plain.decode(torch.randn(3, 3))
            distance = plain.critic(real).mean() - plain.critic(fake).mean()
            penalty = gradient_penalty(plain.critic, real, fake).mean()
            plain.critic_optimiser.zero_grad()
            (10 * penalty - distance).backward()
            plain.critic_optimiser.step()
        loss = -plain.critic(plain.decode(torch.randn(3, 3))).mean()
        plain.generator_optimiser.zero_grad()
        loss.backward()
        plain.generator_optimiser.step()
        assert found["loss"].item() == pytest.approx(loss.item(), rel=1e-4)
        assert found["distance"].item() == pytest.approx(distance.item(), rel=1e-4)
        assert found["penalty"].item() == pytest.approx(penalty.item(), rel=1e-4)
        for ours, theirs in zip(model.parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)

    def test_the_generator_is_moved_once_and_no_image_is_seen_twice(self, images, monkeypatch):
        model, seen = self.small(), []
        monkeypatch.setattr(model, "criticise", lambda x, say=model.criticise: (seen.append(x), say(x))[1])
        statistics = model.generator[2].num_batches_tracked.item()
        model.update(images)
        assert model.generator[2].num_batches_tracked.item() == statistics + 3
        shown = [x for x in seen if any(torch.equal(x, part) for part in images.split(3))]
        torch.testing.assert_close(torch.cat(shown), images)

    def test_the_penalty_holds_the_slope_near_one(self, images):
        torch.manual_seed(1)
        slopes = {}
        for penalty in (0.0, 10.0):
            model = self.small(penalty=penalty, critic_rate=1e-2, generator_rate=0.0)
            for _ in range(60):
                model.update(images)
            between = images.clone().requires_grad_()
            (slope,) = torch.autograd.grad(model.critic(between).sum(), between)
            slopes[penalty] = slope.flatten(1).norm(dim=1).mean().item()
        assert slopes[10.0] < 2 < slopes[0.0]

    def test_trained_saved_and_opened(self, images, tmp_path):
        model = self.small()
        run(model, images, 2, batch_size=4)
        again = load(model.eval().save(tmp_path / "m.safetensors"))
        codes = torch.randn(4, 3)
        torch.testing.assert_close(again.eval().decode(codes), model.decode(codes))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"critic_steps": 0}, "critic_steps must be at least 1, got 0"),
            ({"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
            ({"penalty": -1}, "penalty must not be negative, got -1"),
        ],
    )
    def test_arguments(self, options, message):
        with pytest.raises(ValueError, match=message):
            WassersteinGAN(**{"size": 8, "width": 2} | options)

    def test_too_few_images(self, images):
        with pytest.raises(ValueError, match="1 images cannot be dealt out to 2 steps"):
            self.small().update(images[:1])
