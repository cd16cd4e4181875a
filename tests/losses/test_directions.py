"""Equation 3 of Schön et al. (2022) by hand."""

import math

import pytest
import torch

from medlatent.losses import direction_loss, directions_objective, shift_loss

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
K = torch.tensor([0, 2])
ALPHA, PREDICTED = torch.tensor([-6.0, 0.5]), torch.tensor([-4.0, 1.25])


def test_the_terms_of_three_directions_by_hand():
    sum_of_exponentials = math.exp(2) + 1 + math.exp(-1)
    expected = [math.log(sum_of_exponentials) - 2, math.log(3)]
    assert direction_loss(LOGITS, K).tolist() == pytest.approx(expected, rel=1e-6)
    assert shift_loss(PREDICTED, ALPHA).tolist() == [2, 0.75]
    total = directions_objective(direction_loss(LOGITS, K), shift_loss(PREDICTED, ALPHA), 0.25)
    assert total.item() == pytest.approx(((expected[0] + 0.5) + (expected[1] + 0.1875)) / 2, rel=1e-6)


def test_gamma_weighs_the_shift_alone():
    terms = torch.tensor([1.0, 3.0]), torch.tensor([10.0, 20.0])
    assert [directions_objective(*terms, gamma).item() for gamma in (0, 0.25, 1)] == [2, 5.75, 17]
    assert directions_objective(*terms).item() == 5.75  # the paper's


def test_a_reconstructor_that_knows_nothing():
    """log K, and the mean size of a shift: what training begins with."""
    draw = torch.Generator().manual_seed(0)
    k = torch.randint(100, (20_000,), generator=draw)
    alpha = 6 * (2 * torch.rand(20_000, generator=draw) - 1)
    alpha = alpha.sign() * alpha.abs().clamp(min=0.5)
    assert direction_loss(torch.zeros(20_000, 100), k).mean().item() == pytest.approx(math.log(100), rel=1e-5)
    assert shift_loss(torch.zeros(20_000), alpha).mean().item() == pytest.approx(3.02, abs=0.05)


def test_gradients():
    logits = LOGITS.clone().requires_grad_()
    predicted = PREDICTED.clone().requires_grad_()
    directions_objective(direction_loss(logits, K), shift_loss(predicted, ALPHA)).backward()
    hit = torch.nn.functional.one_hot(K, 3)
    assert torch.allclose(logits.grad, (LOGITS.softmax(1) - hit) / 2, atol=1e-6)
    assert predicted.grad.tolist() == [0.25 / 2, 0.25 / 2]
