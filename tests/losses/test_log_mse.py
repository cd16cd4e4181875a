"""The likelihood that chooses its own variance: its optimum by search, its scale, and the KL beside it."""

import math

import pytest
import torch

from medlatent.losses import gaussian_nll, log_mse, log_mse_objective

IMAGES = torch.rand(4, 1, 6, 6, generator=torch.Generator().manual_seed(0))
DECODED = (IMAGES + 0.1 * torch.randn(IMAGES.shape, generator=torch.Generator().manual_seed(1))).requires_grad_()


def test_it_is_the_gaussian_likelihood_at_its_best_variance():
    """Of all variances the mean squared error has the least -log p; there it is P/2 log MSE and a constant."""
    values = IMAGES[0].numel()
    mse = (DECODED - IMAGES).square().mean().item()
    grid = [mse * factor for factor in torch.logspace(-1, 1, 201).tolist()]
    nll = [gaussian_nll(DECODED, IMAGES, variance).mean().item() for variance in grid]
    best = min(range(len(grid)), key=nll.__getitem__)
    assert grid[best] == pytest.approx(mse, rel=1e-3)
    constant = values / 2 * (1 + math.log(2 * math.pi))
    assert nll[best] == pytest.approx(values / 2 * log_mse(DECODED, IMAGES).item() + constant, rel=1e-5)


def test_the_range_of_the_intensities_changes_no_gradient():
    """[-1, 1], as in the published code, in place of [0, 1]."""
    plain = log_mse(DECODED, IMAGES)
    wide = log_mse(2 * DECODED - 1, 2 * IMAGES - 1)
    assert (wide - plain).item() == pytest.approx(math.log(4), rel=1e-5)
    gradients = [torch.autograd.grad(loss, DECODED)[0] for loss in (plain, wide)]
    assert torch.allclose(*gradients, rtol=1e-5)


def test_the_objective_by_hand():
    kl = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert log_mse_objective(torch.tensor(-7.0), kl).item() == pytest.approx(-7 + 0.01 * 5)
    assert log_mse_objective(torch.tensor(-7.0), kl, beta=2.0).item() == pytest.approx(3)


def test_their_beta_in_nats_an_image():
    """Scaled by P/2 it is the objective of a beta-VAE whose beta is 0.01 P/2: 82 at 128×128 pixels, 20 at 64×64."""
    kl = torch.tensor([[0.5], [1.5]])
    for side, beta in ((128, 82), (64, 20)):
        half = side**2 / 2
        reconstruction = torch.tensor(-6.0)
        expected = half * reconstruction.item() + 0.01 * half * kl.sum(1).mean().item()
        assert half * log_mse_objective(reconstruction, kl).item() == pytest.approx(expected)
        assert round(0.01 * half) == beta
