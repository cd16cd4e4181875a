"""The systems of Di Folco et al.: one step against the equations, batch norm that learns, attributes that count."""

import copy
import math
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from medlatent.data import Card, Factor, ImageSet
from medlatent.evaluation import evaluate
from medlatent.explore.network import trace
from medlatent.models import ARSIVAE, SIVAE, AttriVAE, BetaVAE, LatentModel, attribute_vae, load
from medlatent.nets import ConvEncoder, IntroVAEDecoder, IntroVAEEncoder, perceptual
from medlatent.training import train

VOLUMES = ["LVEDV", "RVEDV", "MyoEDV", "LVESV", "RVESV", "MyoESV"]
SMALL = {"latent_dim": 3, "size": 8}
INTRO = {"width": 4, "perceptual": "none", "reduction": "sum", "squared_weight": 1.0}
NAMES = ("volume", "mass")
SYSTEMS = ("beta", "attri", "sivae", "arsivae")
RATE = 0.5  # of plain gradient descent, which shows the gradient


def build(system: str, seed: int = 0, **options) -> LatentModel:
    torch.manual_seed(seed)
    if system in ("beta", "attri"):
        return AttriVAE(**{**SMALL, "attributes": NAMES if system == "attri" else (), "width": 4, **options})
    if system == "sivae":
        return SIVAE(**{**SMALL, **INTRO, **options})
    return ARSIVAE(**{**SMALL, **INTRO, "attributes": NAMES, **options})


def columns_for(model: LatentModel, n: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    return {name: 100 * torch.rand(n, generator=generator) for name in model.columns}


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 2, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def trunks(monkeypatch):
    """A network for the perceptual term, by the name of ``tiny``."""

    def tiny():
        torch.manual_seed(3)
        first, second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 3, stride=2)

        class Tiny(perceptual.FeatureMaps):
            def __init__(self):
                super().__init__("tiny")
                self.first, self.second = first, second

            def colour_maps(self, images):
                maps = self.first(images).tanh()
                return [maps, self.second(maps)]

        return Tiny()

    monkeypatch.setitem(perceptual.FEATURES, "tiny", tiny)
    attribute_vae._trunk.cache_clear()
    yield
    attribute_vae._trunk.cache_clear()


def run(model: LatentModel, images: torch.Tensor, steps: int = 2, columns=None, **options):
    columns = columns_for(model, len(images)) if columns is None else columns
    options = {"batch_size": 3, "device": "cpu", "precision": "float32", "progress": False} | options
    return train(model, images, steps, columns=columns, **options)


def kl_of(mean, logvar):
    return -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(1)


def order_loss(z, columns, delta):
    total = 0.0
    for k, values in enumerate(columns.values()):
        codes, order = z[:, k][:, None] - z[:, k][None], (values[:, None] - values[None]).sign()
        total = total + ((delta * codes).tanh() - order).abs().mean()
    return total


def assert_moved_down(network, before, gradients):
    """What plain gradient descent did to a network, against gradients worked out by hand."""
    assert len(before) == len(gradients)
    for (name, now), was, gradient in zip(network.named_parameters(), before, gradients, strict=True):
        found = (was - now.detach()) / RATE
        assert torch.allclose(found, gradient, rtol=2e-3, atol=2e-3 * float(gradient.abs().max()) + 2e-6), name


class TestDefaults:
    def test_attri_vae(self):
        model = AttriVAE()
        assert model.config == {
            "attributes": VOLUMES,
            "gamma_reg": 30.0,
            "delta": 10.0,
            "l1_weight": 0.0,
            "width": 32,
            "beta": 2.0,
            "latent_dim": 128,
            "channels": 2,
            "size": 128,
            "likelihood": "gaussian",
            "variance": 1.0,  # SSE / 2, the sum over pixels divided by the two channels
            "learning_rate": 5e-5,
        }
        assert AttriVAE(channels=1).config["variance"] == 0.5
        widths = [m.out_channels for m in model.encoder if isinstance(m, nn.Conv2d)]
        assert isinstance(model.encoder, ConvEncoder)
        assert widths == [32] * 5
        assert model.encoder[-3].in_features == 32 * 4 * 4

    @pytest.mark.parametrize("system", [SIVAE, ARSIVAE])
    def test_sivae(self, system):
        model = system()
        named = {
            "latent_dim": 128,
            "channels": 2,
            "size": 128,
            "width": 64,
            "beta_rec": 0.8,
            "beta_kl": 1.0,
            "beta_neg": 1024.0,
            "eta": 1e-8,
            "scale": None,
            "perceptual": "vgg19",
            "perceptual_weight": 100.0,
            "squared_weight": 0.1,
            "reduction": "mean",
            "vae_steps": 0,
            "learning_rate": 2e-4,
        }
        if system is ARSIVAE:
            named |= {"attributes": VOLUMES, "gamma_reg": 0.05, "delta": 10.0}
        assert model.config == named
        assert model.scale == 1 / 128**2
        assert isinstance(model.encoder, IntroVAEEncoder)
        assert isinstance(model.decoder, IntroVAEDecoder)
        optimisers = model.optimisers()
        assert set(optimisers) == {"encoder_optimiser", "decoder_optimiser"}
        assert all(type(o) is torch.optim.Adam and o.defaults["lr"] == 2e-4 for o in optimisers.values())
        for part in ("encoder", "decoder"):
            held = {id(p) for g in optimisers[f"{part}_optimiser"].param_groups for p in g["params"]}
            assert held == {id(p) for p in getattr(model, part).parameters()}

    def test_what_the_course_is_told(self):
        for system in SYSTEMS:
            model = build(system)
            assert model.columns == (NAMES if "a" in system[:2] else ())
            assert model.suites == ("reconstruction", "posterior", "factors", "attributes")
            assert model.pictures == ("ED", "ES")
            assert build(system, channels=1).pictures == build(system, channels=3).pictures == ()
        assert issubclass(AttriVAE, BetaVAE)


@pytest.mark.parametrize("l1_weight", [0.0, 0.01])
def test_one_update_of_attri_vae_is_equation_3(images, l1_weight):
    model = build("attri", gamma_reg=3.0, delta=2.0, beta=0.5, l1_weight=l1_weight).train()
    columns, twin = columns_for(model), copy.deepcopy(model)
    before = [p.detach().clone() for p in model.parameters()]
    model.optimiser = torch.optim.SGD(model.parameters(), lr=RATE)
    torch.manual_seed(7)
    found = model.update(images, **columns)

    torch.manual_seed(7)
    mean, logvar = twin.encoder(images).chunk(2, 1)
    z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    reconstruction = ((torch.sigmoid(twin.decoder(z)) - images) ** 2).sum() / (6 * 2)
    kl, attribute = kl_of(mean, logvar).mean(), order_loss(z, columns, 2.0)
    loss = reconstruction + 0.5 * kl + 3.0 * attribute + l1_weight * sum(p.abs().sum() for p in twin.parameters())
    assert_moved_down(model, before, torch.autograd.grad(loss, [*twin.parameters()]))
    named = {"loss": loss, "reconstruction": reconstruction, "kl": kl, "attribute": attribute}
    assert list(found) == list(named)
    for name, value in named.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-4), name
        assert not found[name].requires_grad


def test_without_attributes_it_is_the_beta_vae(images):
    model = build("beta")
    plain = BetaVAE(beta=2.0, latent_dim=3, channels=2, size=16, variance=1.0, learning_rate=5e-5)
    plain.encoder, plain.decoder = model.encoder, model.decoder
    plain.config["size"] = model.config["size"]  # these are of 8 pixels, its own need 16
    terms = []
    for one in (copy.deepcopy(model), copy.deepcopy(plain)):
        one.optimiser = torch.optim.SGD(one.parameters(), lr=0.0)
        torch.manual_seed(5)
        terms.append(one.update(images))
    ours, theirs = ({name: value.item() for name, value in one.items()} for one in terms)
    assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(
    ("system", "options"),
    [
        ("sivae", {"eta": 0.5}),
        ("sivae", {"eta": 0.0, "reduction": "mean"}),
        ("sivae", {"eta": 0.5, "perceptual": "tiny", "perceptual_weight": 3.0, "reduction": "mean"}),
        ("sivae", {"eta": 0.5, "perceptual": "tiny", "channels": 1, "scale": 0.01}),
        ("arsivae", {"eta": 0.5, "gamma_reg": 0.3, "delta": 2.0}),
    ],
)
def test_one_update_is_equations_6_and_7(images, system, options):
    weights = {"beta_rec": 0.7, "beta_kl": 1.3, "beta_neg": 4.0, "squared_weight": 0.6}
    model = build(system, **weights, **options).train()
    config, columns = model.config, columns_for(model)
    x = images[:, : config["channels"]]
    twin = copy.deepcopy(model)
    encoder, decoder = [*model.encoder.parameters()], [*model.decoder.parameters()]
    before = [[p.detach().clone() for p in weights] for weights in (encoder, decoder)]
    model.encoder_optimiser = torch.optim.SGD(encoder, lr=RATE)
    model.decoder_optimiser = torch.optim.SGD(decoder, lr=RATE)
    torch.manual_seed(7)
    found = model.update(x, **columns)

    s = config["scale"] or 1 / 64
    trunk = perceptual.feature_maps("tiny") if config["perceptual"] == "tiny" else None

    def error(made, wanted, reduction):
        difference = ((made - wanted) ** 2).sum((1, 2, 3))
        total = 0.6 * (difference if reduction == "sum" else difference / wanted[0].numel())
        for c in range(wanted.shape[1] if trunk else 0):  # each channel is a grey picture
            ours, theirs = (trunk(v[:, [c, c, c]]) for v in (made, wanted))
            layers = sum(((a - b) ** 2).mean((1, 2, 3)) for a, b in zip(ours, theirs, strict=True))
            total = total + config["perceptual_weight"] * layers
        return total

    def judge(pictures):
        mean, logvar = twin.encoder(pictures).chunk(2, 1)
        return mean + (0.5 * logvar).exp() * torch.randn_like(mean), kl_of(mean, logvar)

    torch.manual_seed(7)
    noise = torch.randn(6, 3)
    drawn = twin.decoder(noise).detach()
    z, kl = judge(x)
    reconstruction = twin.decoder(z)
    rec_code, rec_kl = judge(reconstruction.detach())
    rec_error = error(twin.decoder(rec_code), reconstruction.detach(), "sum")
    drawn_code, drawn_kl = judge(drawn)
    drawn_error = error(twin.decoder(drawn_code), drawn, "sum")
    real = error(reconstruction, x, config["reduction"]).mean()
    penalties = [(-2 * s * (0.7 * e + 4.0 * k)).exp().mean() for e, k in ((rec_error, rec_kl), (drawn_error, drawn_kl))]
    loss = s * (0.7 * real + 1.3 * kl.mean()) + 0.25 * sum(penalties)
    attribute = order_loss(z, columns, config.get("delta"))
    if columns:
        loss = loss + 0.3 * attribute
    gradients = torch.autograd.grad(loss, [*twin.encoder.parameters()], retain_graph=True)
    assert_moved_down(model.encoder, before[0], gradients)
    named = {
        "loss": loss,
        "reconstruction": real,
        "squared_error": ((reconstruction - x) ** 2).sum() / 6,
        "kl": kl.mean(),
        "kl_reconstructed": rec_kl.mean(),
        "penalty_reconstructed": penalties[0],
        "kl_drawn": drawn_kl.mean(),
        "penalty_drawn": penalties[1],
    } | ({"attribute": attribute} if columns else {})

    twin.encoder.load_state_dict({**twin.encoder.state_dict(), **dict(model.encoder.named_parameters())})  # it stepped
    drawn, reconstruction = twin.decoder(noise), twin.decoder(z.detach())
    (rec_code, rec_kl), (drawn_code, drawn_kl) = judge(reconstruction), judge(drawn)
    loss = 0.7 * error(reconstruction, x, config["reduction"]).mean() + 1.3 * (rec_kl + drawn_kl).mean() / 2
    if config["eta"]:
        again = error(twin.decoder(rec_code.detach()), reconstruction.detach(), config["reduction"])
        again = again + error(twin.decoder(drawn_code.detach()), drawn.detach(), config["reduction"])
        loss = loss + config["eta"] * 0.7 * again.mean() / 2
    named["decoder"] = loss = s * loss
    assert_moved_down(model.decoder, before[1], torch.autograd.grad(loss, [*twin.decoder.parameters()]))

    assert list(found) == list(named)
    for name, value in named.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-3, abs=1e-6), name
        assert not found[name].requires_grad
    for part in ("encoder", "decoder"):
        ours, theirs = (dict(getattr(m, part).named_buffers()) for m in (model, twin))
        assert all(torch.allclose(value, theirs[name], rtol=1e-3, atol=1e-5) for name, value in ours.items())


@pytest.mark.parametrize("system", ["sivae", "arsivae"])
def test_it_may_begin_as_a_vae(images, system):
    """The first ``vae_steps`` updates are a VAE's, with one loss for both networks; then the game begins."""
    model = build(system, vae_steps=2, beta_rec=0.7, beta_kl=1.3).train()
    columns, twin = columns_for(model), copy.deepcopy(model)
    before = [p.detach().clone() for p in model.parameters()]
    for name, part in (("encoder_optimiser", model.encoder), ("decoder_optimiser", model.decoder)):
        setattr(model, name, torch.optim.SGD(part.parameters(), lr=RATE))
    torch.manual_seed(7)
    found = model.update(images, **columns)

    torch.manual_seed(7)
    mean, logvar = twin.encoder(images).chunk(2, 1)
    z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    error = ((twin.decoder(z) - images) ** 2).sum() / 6
    loss = (0.7 * error + 1.3 * kl_of(mean, logvar).mean()) / 64
    if columns:
        loss = loss + 0.05 * order_loss(z, columns, 10.0)
    assert_moved_down(model, before, torch.autograd.grad(loss, [*twin.parameters()]))
    assert found["loss"].item() == found["decoder"].item() == pytest.approx(loss.item(), rel=1e-4)
    absent = ("kl_reconstructed", "penalty_reconstructed", "kl_drawn", "penalty_drawn")
    assert [found[name].item() for name in absent] == [0] * 4
    second, third = model.update(images, **columns), model.update(images, **columns)
    assert list(found) == list(second) == list(third)
    assert second["kl_drawn"] == 0 < third["kl_drawn"]
    assert int(model.updates) == 3


def test_where_the_game_begins_survives_a_checkpoint(images, tmp_path):
    """In one go or stopped before the game begins, the same weights come out."""
    path = tmp_path / "run.checkpoint"
    whole, stopped, resumed = (build("sivae", vae_steps=2) for _ in range(3))
    run(whole, images, 4)
    run(stopped, images, 1, checkpoint=path)
    run(resumed, images, 4, checkpoint=path)
    assert int(resumed.updates) == 4
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


@pytest.mark.parametrize("system", ["sivae", "arsivae"])
def test_each_optimiser_moves_its_own_network(system, images):
    model = build(system).train()
    for part in ("encoder", "decoder"):
        one = copy.deepcopy(model)
        before = {name: p.clone() for name, p in one.named_parameters()}
        one.optimisers()[f"{part}_optimiser"].param_groups[0]["lr"] = 0.0
        one.update(images, **columns_for(one))
        moved = {name.split(".")[0] for name, p in one.named_parameters() if not torch.equal(p, before[name])}
        assert moved == {"encoder", "decoder"} - {part}
        assert all(p.requires_grad for p in one.parameters())


def test_attributes_do_not_reach_the_decoder(images):
    """Only the encoder has the term: with no step of the encoder the decoder goes where it would go without."""
    model = build("arsivae", gamma_reg=5.0).train()
    other = build("arsivae", gamma_reg=0.0).train()
    for one in (model, other):
        one.encoder_optimiser.param_groups[0]["lr"] = 0.0
        torch.manual_seed(4)
        one.update(images, **columns_for(one))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))


class TestBatchNorm:
    def test_evaluation_along_the_way_leaves_it_learning(self, images):
        """The published trap: ``copy.deepcopy(model.eval())`` leaves the model that is trained in evaluation mode."""
        model = build("sivae")

        def measure(trained):
            copied = copy.deepcopy(trained.eval())
            return {"mean": copied.decode(torch.zeros(1, 3)).mean().item()}

        run(model, images, 4, measure=measure, measure_at=[1, 2])
        passes = {"encoder": 5, "decoder": 8}  # of each update
        for part, count in passes.items():
            layers = [m for m in getattr(model, part).modules() if isinstance(m, nn.BatchNorm2d)]
            assert layers
            assert all(int(layer.num_batches_tracked) == 4 * count for layer in layers)
            assert all(layer.running_mean.abs().max() > 0 for layer in layers)

    @pytest.mark.parametrize("system", ["sivae", "arsivae"])
    def test_an_update_in_evaluation_mode_is_refused(self, system, images):
        model = build(system)
        before = copy.deepcopy(model.state_dict())
        copy.deepcopy(model.eval())
        with pytest.raises(RuntimeError, match=r"is in evaluation mode, .* call model\.train\(\) before update"):
            model.update(images, **columns_for(model))
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        model.train()
        model.update(images, **columns_for(model))

    def test_what_the_trap_costs(self, images):
        """Frozen, its statistics stay 0 and 1, and what it was trained as is nothing that a batch would give."""
        frozen, learning = build("sivae", learning_rate=1e-3), build("sivae", learning_rate=1e-3)
        frozen.eval()
        frozen.training = True  # past the refusal: the layers are still in evaluation mode
        learning.train()
        for model in (frozen, learning):
            torch.manual_seed(2)
            for _ in range(60):
                model.update(images)
        z = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
        for model, learns in ((frozen, False), (learning, True)):
            layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
            assert all(bool(layer.running_mean.any()) is learns for layer in layers)
            with torch.no_grad():
                as_measured = model.eval().decode(z)
                as_trained = model.train().decode(z)
            model.gap = (as_measured - as_trained).abs().mean().item()
        assert learning.gap < 0.5 * frozen.gap


class TestAttributes:
    @pytest.mark.parametrize(("system", "gamma_reg"), [("attri", 30.0), ("arsivae", 1.0)])
    def test_a_dimension_takes_on_the_order_of_its_attribute(self, system, gamma_reg):
        generator = torch.Generator().manual_seed(0)
        brightness = torch.rand(24, generator=generator)
        slope = torch.rand(24, generator=generator)
        ramp = torch.linspace(-0.2, 0.2, 8)
        images = (0.2 + 0.6 * brightness)[:, None, None, None] + slope[:, None, None, None] * ramp
        images = images.expand(-1, 2, 8, 8).clone()
        columns = {"volume": 50 + 100 * brightness, "mass": -slope}  # in units of their own
        options = {"eta": 0.0} if system == "arsivae" else {}
        model = build(system, gamma_reg=gamma_reg, learning_rate=3e-3, **options)
        history = run(model, images, 150, columns, batch_size=24)
        assert history["attribute"][-20:].mean() < 0.35 * history["attribute"][0]
        mean, _ = model.eval().encode(images)
        for k, values in enumerate(columns.values()):
            ranks = np.corrcoef(mean[:, k].detach().argsort().argsort(), values.argsort().argsort())[0, 1]
            assert ranks > 0.9

    def test_the_unit_does_not_matter(self, images):
        losses = []
        for scale in (1.0, 1e-3):
            model = build("arsivae").train()
            torch.manual_seed(1)
            losses.append(model.update(images, **{n: scale * v for n, v in columns_for(model).items()}))
        assert losses[0] == losses[1]

    def test_whole_numbers_are_attributes_too(self, images):
        model = build("attri").train()
        columns = {"volume": torch.arange(6), "mass": torch.arange(6) % 2}
        assert math.isfinite(model.update(images, **columns)["attribute"])
        run(model, images, 1, columns)

    @pytest.mark.parametrize("system", ["attri", "arsivae"])
    def test_one_without_order_is_refused(self, system):
        model = build(system)
        kinds = {"volume": Factor("a volume", unit="ml"), "mass": Factor("a sign", "binary")}
        model.prepare(10, kinds)
        with pytest.raises(ValueError, match="'mass' is categorical and has no order"):
            model.prepare(10, kinds | {"mass": Factor("a disease", "categorical", values=("none", "some"))})
        with pytest.raises(ValueError, match="'volume' is an angle and has no order"):
            model.prepare(10, kinds | {"volume": Factor("an axis", "angle", period=math.pi)})

    def test_a_missing_one_is_named_before_the_first_step(self, images):
        with pytest.raises(ValueError, match="ARSIVAE asks for 'mass', which is not given"):
            run(build("arsivae"), images, columns={"volume": torch.arange(6.0)})
        gap = {"volume": torch.arange(6.0), "mass": torch.tensor([0, 1, float("nan"), 3, 4, 5])}
        with pytest.raises(ValueError, match="'mass' is NaN or infinite in row 2"):
            run(build("attri"), images, columns=gap)


class TestPerceptualTerm:
    def test_fetching_its_network_draws_no_number_of_the_run(self, images):
        losses = []
        for _ in range(2):  # in the first update it is built, in the second it is there
            torch.manual_seed(5)
            losses.append(build("sivae", perceptual="tiny").update(images))
        assert losses[0] == losses[1]

    def test_its_network_is_no_part_of_the_model(self, images, tmp_path):
        model = build("sivae", perceptual="tiny")
        names = list(model.state_dict())
        run(model, images)
        assert list(model.state_dict()) == names
        assert not any("trunk" in name or "metric" in name for name, _ in model.named_modules())
        assert load(model.save(tmp_path / "model.safetensors")).config == model.config

    def test_a_model_is_loaded_where_the_network_is_not(self, images, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "torchvision", None)
        monkeypatch.setitem(sys.modules, "torchvision.models", None)
        model = build("sivae", perceptual="vgg19")
        again = load(model.save(tmp_path / "model.safetensors"))
        with torch.inference_mode():
            assert again.decode(again.encode(images)[0]).shape == images.shape
        with pytest.raises(ImportError, match="install torchvision, or choose another network"):
            run(again, images)

    def test_an_unknown_one_is_found_before_the_first_step(self, images):
        with pytest.raises(ValueError, match="no feature maps 'vgg': use one of vgg19, lpips, st_lpips"):
            run(build("sivae", perceptual="vgg"), images)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_reconstruction_gets_better(system):
    images = torch.rand(1, 2, 8, 8, generator=torch.Generator().manual_seed(1)).expand(12, -1, -1, -1).clone()
    model = build(system, learning_rate=3e-3)
    history = run(model, images, 60)
    term = history["squared_error" if "sivae" in system else "reconstruction"]
    assert term[-5:].mean() < 0.7 * term[:5].mean()


@pytest.mark.parametrize("system", SYSTEMS)
def test_saved_and_loaded_it_is_the_same(system, images, tmp_path):
    model = build(system)
    run(model, images)
    again = load(model.save(tmp_path / "model.safetensors"))
    model.eval()
    assert type(again) is type(model)
    assert (again.config, again.columns, again.pictures) == (model.config, model.columns, model.pictures)
    with torch.inference_mode():
        for ours, theirs in zip(again.encode(images), model.encode(images), strict=True):
            assert torch.allclose(ours, theirs, atol=1e-6)  # trained with its channels last, it adds in another order
        assert torch.allclose(again.decode(torch.ones(1, 3)), model.decode(torch.ones(1, 3)), atol=1e-6)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in model.state_dict().items())
    run(again, images)  # and trains on


@pytest.mark.parametrize("system", SYSTEMS)
def test_resumed_it_goes_on_as_if_never_stopped(system, images, tmp_path):
    whole, halves = build(system), build(system)
    run(whole, images, 4)
    run(halves, images, 2, checkpoint=tmp_path / "c.safetensors")
    halves = build(system, seed=9)
    run(halves, images, 4, checkpoint=tmp_path / "c.safetensors")
    for (name, a), b in zip(whole.state_dict().items(), halves.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_run_that_breaks_stops_and_says_what_broke(system, images):
    with pytest.raises(FloatingPointError, match=r"step \d+: the (term|weight) .* (nan|inf|NaN or infinite)"):
        run(build(system, learning_rate=1e20), images, 20)


@pytest.mark.parametrize("system", SYSTEMS)
def test_codes_make_images_and_an_explorer_can_run_it(system):
    model = build(system).eval()
    z = 20 * torch.randn(5, 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        images = model.decode(z)
    assert images.shape == (5, 2, 8, 8)
    assert ((images >= 0) & (images <= 1)).all()

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, codes):
            return self.model.decode(codes)

    (found,) = trace(Decoder(), z).run(z)
    assert torch.allclose(found, images, atol=2e-2)


@pytest.mark.parametrize("system", ["attri", "arsivae"])
def test_its_suites_judge_it(system):
    random = np.random.default_rng(0)
    factors = {"volume": Factor("a volume", unit="ml"), "mass": Factor("a mass", unit="g")}
    table = pd.DataFrame({"id": range(120), "volume": random.random(120), "mass": random.random(120)})
    pixels = random.integers(0, 256, (120, 2, 16, 16)).astype(np.uint8)
    images = ImageSet(pixels, table, factors, Card("test set", "computed here", "CC0-1.0", "nobody", "none"))
    model = build(system, size=16)
    train(model, images, 2, batch_size=8, device="cpu", precision="float32", progress=False)
    found = evaluate(model, images)
    assert {"sse", "psnr", "ssim", "kl", "active_units", "scc", "interpretability"} <= set(found)


def test_arguments():
    for wrong in ("volume", ["volume", "volume"], [1, 2]):
        for system in ("attri", "arsivae"):
            with pytest.raises(ValueError, match="attributes must be different names of factors"):
                build(system, attributes=wrong)
    for system in ("attri", "arsivae"):
        with pytest.raises(ValueError, match="attributes: 4 of them need as many dimensions, and latent_dim is 3"):
            build(system, attributes=["a", "b", "c", "d"])
        with pytest.raises(ValueError, match="gamma_reg must not be negative, got -1"):
            build(system, gamma_reg=-1)
        with pytest.raises(ValueError, match="delta must be positive, got 0"):
            build(system, delta=0)
    with pytest.raises(ValueError, match="attributes must be at least one; without any it is SIVAE"):
        build("arsivae", attributes=())
    with pytest.raises(ValueError, match="l1_weight must not be negative"):
        build("attri", l1_weight=-1)
    for name in ("beta_rec", "beta_kl", "beta_neg", "eta", "perceptual_weight", "squared_weight"):
        with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
            build("sivae", **{name: -1})
    with pytest.raises(ValueError, match="scale must be positive, got 0"):
        build("sivae", scale=0)
    with pytest.raises(ValueError, match="reduction 'none' is unknown: use mean or sum"):
        build("sivae", reduction="none")
    with pytest.raises(ValueError, match="vae_steps must not be negative, got -1"):
        build("sivae", vae_steps=-1)
    with pytest.raises(ValueError, match="latent_dim must be at least 1"):
        build("sivae", latent_dim=0)
