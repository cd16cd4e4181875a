"""The systems of Sarhan et al.: one step against the equations, who is trained by which loss, saving and resuming."""

import copy

import pytest
import torch

from medlatent.losses import kl_decomposition
from medlatent.models import AdversarialVAE, BetaTCVAE, LatentModel, ResidualTCVAE, load
from medlatent.nets import ResidualDecoder, ResidualEncoder
from medlatent.training import train

SMALL = {"latent_dim": 3, "size": 16}
SYSTEMS = (ResidualTCVAE, AdversarialVAE)


def build(system=AdversarialVAE, seed: int = 0, **options) -> LatentModel:
    torch.manual_seed(seed)
    return system(**{**SMALL, "dataset_size": 50, **options})


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def run(model: LatentModel, images: torch.Tensor, steps: int = 2, **options):
    return train(model, images, steps, batch_size=3, device="cpu", precision="float32", progress=False, **options)


def descend(parameters, loss, rate=0.1):
    """A step of plain gradient descent, which shows the gradient; the first of Adam shows little but its sign."""
    return [p.detach() - rate * g for p, g in zip(parameters, torch.autograd.grad(loss, parameters), strict=True)]


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_defaults_are_the_paper_s(system):
    model = system()
    config = model.config
    assert (config["beta"], config["latent_dim"], config["learning_rate"]) == (6.0, 32, 1e-4)
    assert config["variance"] == 0.5  # the reconstruction term is the SSE
    assert (config["channels"], config["size"], config["estimator"]) == (3, 64, "mss")
    assert isinstance(model.encoder, ResidualEncoder)
    assert isinstance(model.decoder, ResidualDecoder)
    optimisers = model.optimisers().values()
    assert all(isinstance(o, torch.optim.Adam) and o.defaults["lr"] == 1e-4 for o in optimisers)
    slopes = {m.negative_slope for m in model.modules() if isinstance(m, torch.nn.LeakyReLU)}
    assert slopes == ({0.2} if system is AdversarialVAE else set())


def test_the_discriminator_is_the_encoder_with_one_output():
    model = AdversarialVAE()
    own, encoders = list(model.discriminator), list(model.encoder)
    assert [str(m) for m in own[:-1]] == [str(m) for m in encoders[:-1]]
    assert own[-1].out_features == 1
    assert model.discriminate(torch.rand(4, 3, 64, 64)).shape == (4,)
    trained = {id(p) for group in model.optimiser.param_groups for p in group["params"]}
    trained_too = {id(p) for group in model.discriminator_optimiser.param_groups for p in group["params"]}
    assert trained_too == {id(p) for p in model.discriminator.parameters()}
    assert not trained & trained_too
    assert len(trained) + len(trained_too) == len(list(model.parameters()))


@pytest.mark.parametrize(("weight", "beta", "variance"), [(1.0, 6.0, 0.5), (20.0, 2.0, 0.1), (0.0, 6.0, 0.5)])
def test_one_update_is_equation_3(images, weight, beta, variance):
    options = {"adversarial_weight": weight, "beta": beta, "variance": variance}
    model = build(**options).train()
    twin = copy.deepcopy(model)
    generator, judges = [*model.encoder.parameters(), *model.decoder.parameters()], [*model.discriminator.parameters()]
    model.optimiser = torch.optim.SGD(generator, lr=0.1)
    model.discriminator_optimiser = torch.optim.SGD(judges, lr=0.1)

    torch.manual_seed(7)
    found = model.update(images)

    torch.manual_seed(7)
    mean, logvar = twin.encoder(images).chunk(2, 1)
    z = mean + (0.5 * logvar).exp() * torch.randn_like(mean)
    generated = torch.sigmoid(twin.decoder(z))
    reconstruction = ((generated - images) ** 2).sum((1, 2, 3)).mean() / (2 * variance)
    information, correlation, dimension_wise = kl_decomposition(z, mean, logvar, 50, "mss")
    adversarial = -torch.sigmoid(twin.discriminator(generated)).log().mean()
    l_gen = reconstruction + information + beta * correlation + dimension_wise + weight * adversarial
    expected = descend([*twin.encoder.parameters(), *twin.decoder.parameters()], l_gen)

    real = torch.sigmoid(twin.discriminator(images))
    fake = torch.sigmoid(twin.discriminator(generated.detach()))
    l_disc = -(real.log() + (1 - fake).log()).mean()
    expected += descend([*twin.discriminator.parameters()], l_disc)

    named = {"loss": l_gen, "reconstruction": reconstruction, "adversarial": adversarial, "discriminator": l_disc}
    named |= {"mutual_information": information, "total_correlation": correlation, "dimension_wise_kl": dimension_wise}
    assert set(found) == set(named)
    assert next(iter(found)) == "loss"
    for name, value in named.items():
        assert found[name].item() == pytest.approx(value.item(), rel=1e-4, abs=1e-4), name
        assert not found[name].requires_grad
    for now, wanted in zip([*generator, *judges], expected, strict=True):
        assert torch.allclose(now, wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max()) + 1e-5)


def test_each_loss_trains_its_own_network(images):
    model = build().train()
    before = {name: p.clone() for name, p in model.named_parameters()}
    model.optimiser.param_groups[0]["lr"] = 0.0
    model.update(images)
    moved = {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"discriminator"}
    assert all(p.requires_grad for p in model.parameters())


def test_without_its_weight_the_discriminator_does_not_reach_the_generator(images):
    plain, judged = build(ResidualTCVAE).train(), build(AdversarialVAE, adversarial_weight=0.0).train()
    judged.load_state_dict(plain.state_dict(), strict=False)
    for layer in [m for m in judged.modules() if isinstance(m, torch.nn.LeakyReLU)]:
        layer.negative_slope = 0.0
    for model in (plain, judged):
        torch.manual_seed(3)
        model.update(images)
    for name, p in plain.named_parameters():
        assert torch.allclose(p, judged.get_parameter(name), atol=1e-6), name


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_loss_falls(system):
    images = torch.rand(1, 3, 16, 16).expand(12, -1, -1, -1).clone()
    model = build(system, dataset_size=None, learning_rate=2e-3)
    history = run(model, images, 40)
    assert history["reconstruction"][-5:].mean() < 0.7 * history["reconstruction"][:5].mean()


@pytest.mark.parametrize("system", SYSTEMS)
def test_saved_and_loaded_it_is_the_same(system, images, tmp_path):
    model = build(system).train()
    model.update(images)
    again = load(model.save(tmp_path / "model.safetensors"))
    model.eval()
    assert type(again) is system
    assert again.config == model.config
    with torch.inference_mode():
        assert torch.equal(again.encode(images)[0], model.encode(images)[0])
        assert torch.equal(again.decode(torch.ones(1, 3)), model.decode(torch.ones(1, 3)))


@pytest.mark.parametrize("system", SYSTEMS)
def test_resumed_it_goes_on_as_if_never_stopped(system, images, tmp_path):
    whole, halves = build(system, dataset_size=None), build(system, dataset_size=None)
    run(whole, images, 4)
    run(halves, images, 2, checkpoint=tmp_path / "c.safetensors")
    halves = build(system, seed=9, dataset_size=None)
    run(halves, images, 4, checkpoint=tmp_path / "c.safetensors")
    for (name, a), b in zip(whole.state_dict().items(), halves.state_dict().values(), strict=True):
        assert torch.equal(a, b), name


def test_arguments():
    with pytest.raises(ValueError, match="adversarial_weight must not be negative, got -1"):
        AdversarialVAE(adversarial_weight=-1, **SMALL)
    with pytest.raises(ValueError, match="dataset_size is unknown"):
        build(dataset_size=None).update(torch.rand(2, 3, 16, 16))
    assert issubclass(ResidualTCVAE, BetaTCVAE)


def test_codes_and_images_do_without_the_discriminator(images, tmp_path):
    """Of records that a page only walks through it is left out."""
    model = build().eval()
    smaller = load(model.save(tmp_path / "smaller.safetensors", without=["discriminator"]))
    assert smaller.discriminator is None
    assert torch.equal(smaller.encode(images)[0], model.encode(images)[0])
    assert torch.equal(smaller.decode(torch.zeros(1, 3)), model.decode(torch.zeros(1, 3)))
