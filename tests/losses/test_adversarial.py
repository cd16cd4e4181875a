"""The losses of a discriminator against probabilities, their limits, and the optimum that theory gives."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.losses import (
    deception_loss,
    discriminator_loss,
    least_squares_deception_loss,
    least_squares_discriminator_loss,
    saturating_deception_loss,
)

logits = st.floats(-20, 20)


@settings(deadline=None)
@given(logits, logits)
def test_against_probabilities(real, fake):
    d, e = 1 / (1 + math.exp(-real)), 1 / (1 + math.exp(-fake))
    # 1 - e would round to 0 before the logit does
    expected = -math.log(d) - math.log(1 / (1 + math.exp(fake)))
    found = discriminator_loss(torch.tensor([real], dtype=torch.float64), torch.tensor([fake], dtype=torch.float64))
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert deception_loss(torch.tensor([fake], dtype=torch.float64)).item() == pytest.approx(
        -math.log(e), rel=1e-6, abs=1e-9
    )


def test_one_value_an_image_and_no_overflow():
    extreme = torch.tensor([-1e4, 0.0, 1e4])
    assert torch.equal(deception_loss(extreme), torch.tensor([1e4, math.log(2), 0.0]))
    assert torch.equal(discriminator_loss(extreme, -extreme), torch.tensor([2e4, 2 * math.log(2), 0.0]))
    assert discriminator_loss(extreme[:, None], extreme[:, None]).shape == (3, 1)


def test_a_discriminator_that_cannot_tell_has_two_log_two():
    assert discriminator_loss(torch.zeros(1), torch.zeros(1)).item() == pytest.approx(2 * math.log(2))


def test_the_gradient_of_deception_does_not_vanish_where_the_discriminator_is_sure():
    fake = torch.tensor([-10.0], requires_grad=True)
    deception_loss(fake).backward()
    assert fake.grad.item() == pytest.approx(-1, abs=1e-4)
    saturating = torch.tensor([-10.0], requires_grad=True)
    saturating_deception_loss(saturating).backward()
    assert saturating.grad.item() == pytest.approx(-1 / (1 + math.exp(10)))


@settings(deadline=None)
@given(logits)
def test_the_minimax_generator_lowers_what_the_discriminator_raises(fake):
    found = saturating_deception_loss(torch.tensor([fake], dtype=torch.float64)).item()
    assert found == pytest.approx(math.log(1 / (1 + math.exp(fake))), rel=1e-6, abs=1e-9)
    fakes = torch.tensor([fake], dtype=torch.float64)
    assert (discriminator_loss(torch.zeros(1), fakes) + found).item() == pytest.approx(math.log(2))


@settings(deadline=None)
@given(logits, logits, st.floats(0, 0.99))
def test_one_sided_smoothing_moves_the_target_of_real_images_alone(real, fake, smoothing):
    d, not_d = 1 / (1 + math.exp(-real)), 1 / (1 + math.exp(real))
    expected = -(1 - smoothing) * math.log(d) - smoothing * math.log(not_d) - math.log(1 / (1 + math.exp(fake)))
    pair = torch.tensor([real], dtype=torch.float64), torch.tensor([fake], dtype=torch.float64)
    assert discriminator_loss(*pair, smoothing).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    each = torch.tensor([smoothing], dtype=torch.float64)
    assert discriminator_loss(*pair, each).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


@settings(deadline=None)
@given(logits, logits, st.floats(-2, 2), st.floats(-2, 2), st.floats(-2, 2))
def test_least_squares_by_hand(real, fake, a, b, c):
    pair = torch.tensor([real], dtype=torch.float64), torch.tensor([fake], dtype=torch.float64)
    found = least_squares_discriminator_loss(*pair, a, b).item()
    assert found == pytest.approx(((real - b) ** 2 + (fake - a) ** 2) / 2)
    assert least_squares_deception_loss(pair[1], c).item() == pytest.approx((fake - c) ** 2 / 2)
    assert least_squares_deception_loss(pair[1]).item() == pytest.approx((fake - 1) ** 2 / 2)


# Two discrete distributions over four images, of real and of generated ones.
P, Q = torch.tensor([0.1, 0.2, 0.3, 0.4]).double(), torch.tensor([0.4, 0.3, 0.2, 0.1]).double()


def optimum(loss) -> tuple[torch.Tensor, float]:
    """The outputs for the four images that minimise the expected loss, and the least loss."""
    free = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([free], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14)

    def expected():
        optimiser.zero_grad()
        # real images x ~ P and generated ones x̂ ~ Q are drawn independently
        total = (P[:, None] * Q[None, :] * loss(free[:, None], free[None, :])).sum()
        total.backward()
        return total

    optimiser.step(expected)
    return free.detach(), expected().item()


def test_the_optimal_discriminator_is_the_density_ratio():
    found, least = optimum(discriminator_loss)
    assert torch.allclose(found, (P / Q).log(), atol=1e-3)
    divergence = 0.5 * ((P * (2 * P / (P + Q)).log()).sum() + (Q * (2 * Q / (P + Q)).log()).sum())
    assert least == pytest.approx(2 * math.log(2) - 2 * divergence.item(), abs=1e-5)


def test_the_optimal_discriminator_of_smoothed_labels():
    found, _ = optimum(lambda real, fake: discriminator_loss(real, fake, 0.1))
    assert torch.allclose(torch.sigmoid(found), 0.9 * P / (P + Q), atol=1e-4)


def test_the_optimal_discriminator_of_least_squares_and_the_divergence_it_leads_to():
    found, _ = optimum(lambda real, fake: least_squares_discriminator_loss(real, fake, a=-1, b=1))
    assert torch.allclose(found, (P - Q) / (P + Q), atol=1e-5)
    # b - c = 1 and b - a = 2, with the term of the real images that the generator cannot change
    game = (P * least_squares_deception_loss(found, 0)).sum() + (Q * least_squares_deception_loss(found, 0)).sum()
    pearson = ((2 * Q - (P + Q)) ** 2 / (P + Q)).sum()
    assert 2 * game.item() == pytest.approx(pearson.item(), abs=1e-6)
