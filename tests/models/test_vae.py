"""The VAE: one step of Adam against a bare re-implementation, the terms, and the way to disk and back."""

import copy
import json
import pickle

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from medlatent.models import VAE, BetaVAE, LatentModel, load

SMALL = {"latent_dim": 3, "size": 16}


def build(kind: type[LatentModel] = VAE, seed: int = 0, **options) -> LatentModel:
    torch.manual_seed(seed)
    return kind(**{**SMALL, **options})


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def bare_step(state: dict, images: torch.Tensor, *, likelihood: str, variance: float, beta: float, rate: float):
    """The loss and one step of Adam, from the equations alone: explicit sums, a hand-written Adam."""
    w = {name: value.clone().requires_grad_() for name, value in state.items()}
    h = images
    for i in (0, 2, 4, 6):
        h = F.relu(F.conv2d(h, w[f"encoder.{i}.weight"], w[f"encoder.{i}.bias"], 2, 1))
    h = F.relu(h.flatten(1) @ w["encoder.9.weight"].T + w["encoder.9.bias"])
    h = h @ w["encoder.11.weight"].T + w["encoder.11.bias"]
    d = h.shape[1] // 2
    mean, logvar = h[:, :d], h[:, d:]
    z = mean + torch.randn_like(mean) * logvar.exp().sqrt()
    h = F.relu(z @ w["decoder.0.weight"].T + w["decoder.0.bias"])
    h = F.relu(h @ w["decoder.2.weight"].T + w["decoder.2.bias"])
    h = h.reshape(len(images), 64, images.shape[-1] // 16, -1)
    for i in (5, 7, 9):
        h = F.relu(F.conv_transpose2d(h, w[f"decoder.{i}.weight"], w[f"decoder.{i}.bias"], 2, 1))
    p = torch.sigmoid(F.conv_transpose2d(h, w["decoder.11.weight"], w["decoder.11.bias"], 2, 1))
    if likelihood == "bernoulli":
        reconstruction = -(images * p.log() + (1 - images) * (1 - p).log()).sum((1, 2, 3))
    else:
        reconstruction = ((images - p) ** 2).sum((1, 2, 3)) / (2 * variance)
    kl = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum(1)
    loss = (reconstruction + beta * kl).mean()
    gradients = torch.autograd.grad(loss, list(w.values()))
    # The first step of Adam: both moments corrected are the gradient and its square.
    after = {
        name: v.detach() - rate * g / (g.square().sqrt() + 1e-8)
        for (name, v), g in zip(w.items(), gradients, strict=True)
    }
    return {"loss": loss, "reconstruction": reconstruction.mean(), "kl": kl.mean()}, after


class TestUpdate:
    @pytest.mark.parametrize(
        ("kind", "options"),
        [
            (VAE, {}),
            (VAE, {"variance": 0.1, "learning_rate": 3e-3}),
            (VAE, {"likelihood": "bernoulli"}),
            (BetaVAE, {}),
            (BetaVAE, {"beta": 2.5, "likelihood": "bernoulli"}),
        ],
    )
    def test_is_one_step_of_adam_on_the_equations(self, images, kind, options):
        model = build(kind, **options)
        setting = {"likelihood": "gaussian", "variance": 0.5}
        setting |= {k: v for k, v in options.items() if k in setting}
        beta, rate = options.get("beta", 6.0 if kind is BetaVAE else 1.0), options.get("learning_rate", 1e-4)
        torch.manual_seed(7)
        expected, after = bare_step(model.state_dict(), images, beta=beta, rate=rate, **setting)
        torch.manual_seed(7)
        terms = model.update(images)
        assert list(terms) == ["loss", "reconstruction", "kl"]
        for name, value in terms.items():
            torch.testing.assert_close(value, expected[name].detach(), rtol=1e-5, atol=1e-5)
        # A step has the length of the rate wherever there is a gradient: 2 % of that is what rounding may move.
        before = model.state_dict()
        for name, value in after.items():
            torch.testing.assert_close(before[name], value, rtol=1e-6, atol=0.02 * rate)

    @pytest.mark.parametrize(("kind", "beta"), [(VAE, 1.0), (BetaVAE, 6.0)])
    def test_terms_are_named_detached_scalars_that_add_up(self, images, kind, beta):
        terms = build(kind).update(images)
        assert next(iter(terms)) == "loss"
        assert all(t.shape == () and not t.requires_grad and t.dtype == torch.float32 for t in terms.values())
        torch.testing.assert_close(terms["loss"], terms["reconstruction"] + beta * terms["kl"])

    def test_a_vae_is_a_beta_vae_at_beta_one(self, images):
        models = build(VAE), build(BetaVAE, beta=1.0)
        for model in models:
            torch.manual_seed(2)
            for _ in range(3):
                model.update(images)
        a, b = (m.state_dict() for m in models)
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)

    def test_beta_changes_the_step(self, images):
        models = build(BetaVAE, beta=0.0), build(BetaVAE, beta=50.0)
        for model in models:
            torch.manual_seed(2)
            model.update(images)
        assert not torch.equal(models[0].encoder[-1].weight, models[1].encoder[-1].weight)
        assert not torch.equal(models[0].encoder[-1].bias, models[1].encoder[-1].bias)

    def test_gradients_do_not_pile_up(self, images):
        model = build(learning_rate=0.0)
        gradients = []
        for _ in range(2):
            torch.manual_seed(2)
            model.update(images)
            gradients.append(model.encoder[0].weight.grad.clone())
        torch.testing.assert_close(*gradients)

    def test_bfloat16_is_close_and_leaves_weights_and_terms_in_float32(self, images):
        exact, rounded = build(), build()
        rounded.precision = torch.bfloat16
        terms = []
        for model in (exact, rounded):
            torch.manual_seed(2)
            terms.append(model.update(images))
        assert terms[1]["loss"].dtype == torch.float32
        assert {p.dtype for p in rounded.parameters()} == {torch.float32}
        assert terms[1]["loss"] != terms[0]["loss"]
        assert terms[1]["loss"].item() == pytest.approx(terms[0]["loss"].item(), rel=0.01)


class TestCode:
    def test_shapes_and_range(self, images):
        model = build(latent_dim=5)
        mean, logvar = model.encode(images)
        assert mean.shape == logvar.shape == (6, 5)
        decoded = model.decode(10 * mean)
        assert decoded.shape == images.shape
        assert ((decoded >= 0) & (decoded <= 1)).all()
        torch.testing.assert_close(decoded, torch.sigmoid(model.logits(10 * mean)))

    def test_mean_comes_first(self, images):
        model = build()
        mean, logvar = model.encode(images)
        torch.testing.assert_close(torch.cat([mean, logvar], 1), model.encoder(images))

    def test_codes_do_not_depend_on_the_rest_of_the_batch(self, images):
        model = build().eval()
        together = model.encode(images)[0]
        alone = torch.cat([model.encode(image[None])[0] for image in images])
        torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)

    @pytest.mark.parametrize(("channels", "size"), [(1, 32), (3, 16)])
    def test_other_sizes_and_channels(self, channels, size):
        model = build(channels=channels, size=size)
        model.update(torch.rand(4, channels, size, size))
        assert model.decode(torch.zeros(2, 3)).shape == (2, channels, size, size)

    def test_defaults_are_those_of_sarhan(self):
        assert VAE().config == {
            "latent_dim": 32,
            "channels": 3,
            "size": 64,
            "likelihood": "gaussian",
            "variance": 0.5,
            "learning_rate": 1e-4,
        }
        assert BetaVAE(latent_dim=2, size=16).config["beta"] == 6.0


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (VAE, {"latent_dim": 0}, "latent_dim must be at least 1, got 0"),
        (VAE, {"likelihood": "laplace"}, "likelihood 'laplace' is unknown: use one of gaussian, bernoulli"),
        (VAE, {"variance": 0}, "variance must be positive, got 0"),
        (VAE, {"variance": float("nan")}, "variance must be a finite number, got nan"),
        (VAE, {"size": (40, 15)}, "size: .*at least 16 pixels a side, got 40×15"),
        (BetaVAE, {"beta": -0.1}, "beta must not be negative, got -0.1"),
        (BetaVAE, {"beta": float("nan")}, "beta must be a finite number, got nan"),
        (BetaVAE, {"variance": -1}, "variance must be positive, got -1"),
    ],
)
def test_arguments_out_of_range(kind, options, message):
    with pytest.raises(ValueError, match=message):
        kind(**{**SMALL, **options})


class TestCopies:
    def test_a_deep_copy_trains_by_itself_and_alike(self, images):
        model = build()
        model.update(images)
        twin = copy.deepcopy(model)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        torch.manual_seed(4)
        twin.update(images)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
        assert not torch.equal(twin.encoder[0].weight, model.encoder[0].weight)
        torch.manual_seed(4)
        model.update(images)
        assert all(torch.equal(value, twin.state_dict()[name]) for name, value in model.state_dict().items())

    def test_optimisers_are_found_by_name(self):
        model = build()
        assert model.optimisers() == {"optimiser": model.optimiser}
        assert sum(len(g["params"]) for g in model.optimiser.param_groups) == len(list(model.parameters()))


class TestDisk:
    @pytest.mark.parametrize("kind", [VAE, BetaVAE])
    def test_round_trip_is_bitwise(self, tmp_path, images, kind):
        model = build(kind, latent_dim=4, likelihood="bernoulli", learning_rate=1e-3).to(
            memory_format=torch.channels_last
        )
        model.update(images)
        state = torch.get_rng_state()
        path = model.save(tmp_path / "deep" / "model.safetensors")
        assert torch.equal(torch.get_rng_state(), state)
        again = load(path)
        assert type(again) is kind
        assert again.config == model.config
        assert again.beta == model.beta
        assert model.training
        assert not again.training
        a, b = model.state_dict(), again.state_dict()
        assert a.keys() == b.keys()
        assert all(torch.equal(a[name], b[name]) for name in a)
        again.update(images)  # and it can be trained on

    def test_sixteen_bits_halve_the_file(self, tmp_path):
        model = build(latent_dim=4)
        whole = model.save(tmp_path / "whole.safetensors")
        half = model.save(tmp_path / "half.safetensors", dtype=torch.float16)
        assert half.stat().st_size < 0.55 * whole.stat().st_size
        for name, value in load(half).state_dict().items():
            exact = model.state_dict()[name]
            assert value.dtype == torch.float32
            assert torch.equal(value, exact.half().float() if exact.ndim > 1 else exact)

    def test_weights_beyond_sixteen_bits_stay_in_thirty_two(self, tmp_path):
        model = build()
        with torch.no_grad():
            model.encoder[0].weight[0, 0, 0, 0] = 1e5
        path = model.save(tmp_path / "model.safetensors", dtype=torch.float16)
        kept = load_file(path)
        assert torch.equal(kept["encoder.0.weight"], model.encoder[0].weight)
        assert kept["encoder.2.weight"].dtype == torch.float16
        assert torch.equal(load(path).encoder[0].weight, model.encoder[0].weight)

    def test_whole_numbers_are_never_rounded(self, tmp_path, monkeypatch):
        monkeypatch.setattr(LatentModel, "registry", dict(LatentModel.registry))

        class Indexed(VAE):
            def __init__(self, **options):
                super().__init__(**options)
                self.register_buffer("order", torch.tensor([[2049, 100_001]]))  # float16 has neither

        again = load(Indexed(**SMALL).save(tmp_path / "model.safetensors", dtype=torch.float16))
        assert again.order.tolist() == [[2049, 100_001]]

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    @pytest.mark.parametrize("dtype", [None, torch.float16])
    def test_a_weight_that_is_no_number_is_named(self, tmp_path, value, dtype):
        model = build()
        with torch.no_grad():
            model.decoder[0].bias[1] = value
        with pytest.raises(ValueError, match=r"model\.safetensors: decoder\.0\.bias is NaN or infinite"):
            model.save(tmp_path / "model.safetensors", dtype=dtype)
        assert not list(tmp_path.iterdir())

    def test_nothing_is_pickled(self, tmp_path, monkeypatch, images):
        path = build().save(tmp_path / "model.safetensors")

        def refuse(*_, **__):
            raise AssertionError("unpickled")

        monkeypatch.setattr(pickle, "load", refuse)
        monkeypatch.setattr(pickle, "loads", refuse)
        monkeypatch.setattr(pickle, "Unpickler", refuse)
        monkeypatch.setattr(torch, "load", refuse)
        load(path)
        content = path.read_bytes()
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
        assert header["format"] == "medlatent.model"
        assert header["model"] == '"VAE"'

    @pytest.fixture
    def path(self, tmp_path):
        return build().save(tmp_path / "model.safetensors")

    @staticmethod
    def rewrite(path, tensors=None, **header):
        metadata = {"format": "medlatent.model", "version": "1", "model": '"VAE"', "config": json.dumps(SMALL)}
        metadata |= header
        save_file(
            load_file(path) if tensors is None else tensors, path, {k: v for k, v in metadata.items() if v is not None}
        )

    def test_the_rewriting_of_these_tests_does_no_harm_by_itself(self, path):
        self.rewrite(path)
        load(path)

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"none\.safetensors: no such file"):
            load(tmp_path / "none.safetensors")

    def test_truncated(self, path):
        path.write_bytes(path.read_bytes()[:-10])
        with pytest.raises(ValueError, match=r"model\.safetensors is damaged"):
            load(path)

    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ({"format": None}, "of the format None, expected 'medlatent.model'"),
            ({"format": "medlatent.checkpoint"}, "of the format 'medlatent.checkpoint'"),
            ({"version": "2"}, "has version 2 of medlatent.model, this medlatent reads version 1"),
            ({"model": '"Diffusion"'}, "holds a model 'Diffusion', which is none of VAE, BetaVAE"),
            ({"model": None}, "the field 'model' is missing"),
            ({"model": "7"}, "the field 'model' must be str, got 7"),
            ({"without": '["encoder", 3]'}, "the field 'without' must be a list of names"),
            ({"without": '["critic"]'}, "without: 'critic' is no network of VAE: encoder, decoder"),
            ({"colour": '"red"'}, "the field 'colour' is unknown"),
            ({"model": "half {"}, "damaged: its header"),
            ({"config": '{"latent_dim": 4, "size": 16}'}, "the weights do not fit VAE"),
            ({"config": '{"latent_dim": 3, "size": 32}'}, "the weights do not fit VAE"),
            ({"config": '{"latent_dim": 3, "size": 15}'}, "at least 16 pixels a side"),
            ({"config": '{"latent_width": 3}'}, "latent_width"),
            ({"config": None}, "the field 'config' is missing"),
            ({"config": "[3]"}, r"the field 'config' must be dict, got \[3\]"),
            ({"config": '{"latent_dim": null}'}, "the weights do not fit VAE"),
            ({"config": '{"latent_dim": 3, "size": 0}'}, "the weights do not fit VAE"),
            ({"config": '{"latent_dim": 3, "size": 16, "channels": -1}'}, "the weights do not fit VAE"),
            ({"config": '{"latent_dim": 3, "size": 1e400}'}, "header"),
        ],
    )
    def test_foreign_headers(self, path, header, message):
        self.rewrite(path, **header)
        with pytest.raises(ValueError, match=message) as caught:
            load(path)
        assert str(path) in str(caught.value)

    @pytest.mark.parametrize("change", ["missing", "added", "shape"])
    def test_weights_that_do_not_fit(self, path, change):
        tensors = load_file(path)
        if change == "missing":
            del tensors["encoder.0.bias"]
        elif change == "added":
            tensors["discriminator.weight"] = torch.zeros(2)
        else:
            tensors["encoder.0.bias"] = torch.zeros(33)
        self.rewrite(path, tensors)
        with pytest.raises(ValueError, match=r"model\.safetensors: the weights do not fit VAE"):
            load(path)


@pytest.mark.parametrize("size", [(18, 41), (16, 32)])
def test_images_that_are_not_square(tmp_path, size):
    """They train, and the file gives the same model back."""
    torch.manual_seed(0)
    model = VAE(latent_dim=3, channels=1, size=size)
    assert (model.image_shape, model.config["size"]) == ((1, *size), list(size))
    images = torch.rand(8, 1, *size)
    losses = [float(model.update(images)["loss"]) for _ in range(20)]
    assert losses[-1] < losses[0]
    again = load(model.save(tmp_path / "model.safetensors"))
    assert again.config == model.config
    z = torch.randn(2, 3)
    assert torch.equal(again.decode(z), model.decode(z))
    assert VAE(latent_dim=3, channels=1, size=(16, 16)).config["size"] == 16
