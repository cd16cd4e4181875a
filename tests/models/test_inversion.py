"""Latent search: against a closed form, on images whose code is known, and what it leaves alone."""

import pytest
import torch
from torch import nn

from medlatent.models import GAN, VAE, InfoGAN, Inversion, LatentModel, invert


class _Linear(LatentModel):
    """Images that are 0.5 plus a linear map of the code: the search then has a closed form."""

    def __init__(self, latent_dim: int = 3, pixels: int = 16) -> None:
        super().__init__({"latent_dim": latent_dim})
        self.latent_dim = latent_dim
        self.map = nn.Linear(latent_dim, pixels, bias=False)

    def decode(self, z):
        return (0.5 + self.map(z)).unflatten(1, (1, 4, 4))


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return _Linear()


@pytest.fixture
def gan():
    torch.manual_seed(0)
    return GAN(latent_dim=3, channels=1, size=8, width=4)


@pytest.mark.parametrize("weight", [0.0, 0.5, 4.0])
def test_the_codes_of_a_linear_model_are_those_of_ridge_regression(linear, weight):
    images = torch.rand(5, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    found = invert(linear, images, 400, starts=2, prior_weight=weight)
    w = linear.map.weight.detach()
    ridge = torch.linalg.solve(w.T @ w + weight * torch.eye(3), w.T @ (images.flatten(1) - 0.5).T).T
    assert torch.allclose(found.codes, ridge, atol=1e-3)
    assert torch.allclose(found.ends, ridge[:, None].expand(-1, 2, -1), atol=1e-3)  # convex: every start ends there
    error = (linear.decode(ridge).detach() - images).square().flatten(1).sum(1)
    assert torch.allclose(found.errors, error[:, None].expand(-1, 2), atol=1e-4)
    penalty = weight * ridge.square().sum(1)
    assert torch.allclose(found.objectives, (error + penalty)[:, None].expand(-1, 2), atol=1e-4)


def test_the_best_start_is_the_one_that_is_returned(gan):
    nn.init.normal_(gan.generator[-1].weight, 0, 1)  # rugged enough that starts end differently
    images = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(2))
    found = invert(gan, images, 10, starts=5, prior_weight=0.1)
    assert isinstance(found, Inversion)
    assert (found.objectives.max(1).values > found.objectives.min(1).values).all()
    for row, best in enumerate(found.objectives.argmin(1)):
        assert torch.equal(found.codes[row], found.ends[row, best])
    gan.eval()
    with torch.no_grad():
        errors = (gan.decode(found.codes) - images).square().flatten(1).sum(1)
    assert torch.allclose(errors, found.errors[range(4), found.objectives.argmin(1)], rtol=1e-4)


def test_more_steps_bring_generated_images_closer(gan):
    with torch.no_grad():
        images = gan.eval().decode(gan.sample_codes(3, torch.Generator().manual_seed(3)))
    few, many = (invert(gan, images, steps).errors.min(1).values for steps in (1, 100))
    assert (many < 0.1 * few).all()


def test_the_first_starts_do_not_depend_on_how_many_there_are(gan):
    images = torch.rand(2, 1, 8, 8)
    two, three = (invert(gan, images, 3, starts=n).ends for n in (2, 3))
    assert torch.allclose(two, three[:, :2], atol=1e-6)
    assert not torch.equal(two, invert(gan, images, 3, starts=2, seed=1).ends)


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_as_it_was(gan, training):
    gan.train(training)
    gan.precision = torch.bfloat16
    before = {name: value.clone() for name, value in gan.state_dict().items()}
    invert(gan, torch.rand(2, 1, 8, 8), 3)
    assert gan.training == training
    assert gan.precision == torch.bfloat16
    assert all(torch.equal(value, before[name]) for name, value in gan.state_dict().items())
    assert all(p.grad is None for p in gan.parameters())


def test_a_model_that_encodes_can_be_searched_too():
    torch.manual_seed(0)
    model = VAE(latent_dim=2, channels=1, size=32)
    assert invert(model, torch.rand(1, 1, 32, 32), 2, starts=1).codes.shape == (1, 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 0}, "steps and starts must be at least 1, got 0 and 4"),
        ({"starts": 0}, "steps and starts"),
        ({"prior_weight": -1.0}, "prior_weight"),
        ({"rate": 0.0}, "rate"),
        ({"images": torch.rand(1, 8, 8)}, r"expected floats \(B, C, H, W\)"),
        ({"images": torch.zeros(0, 1, 8, 8)}, r"expected floats"),
        ({"images": torch.full((1, 1, 8, 8), 2.0)}, "outside"),
        ({"images": torch.full((1, 1, 8, 8), torch.nan)}, "NaN"),
        ({"images": torch.rand(1, 1, 4, 4)}, "the model makes"),
    ],
)
def test_bad_arguments_are_named(gan, options, message):
    with pytest.raises(ValueError, match=message):
        invert(gan, **{"images": torch.rand(1, 1, 8, 8), "steps": 1, **options})


def test_a_code_with_categories_is_refused():
    model = InfoGAN(noise_dim=3, categories=3, size=8, width=2)
    with pytest.raises(ValueError, match=r"'category' with the prior Categorical\(size=3\); the search needs"):
        invert(model, torch.rand(1, 1, 8, 8))
