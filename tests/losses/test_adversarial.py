"""The losses of a discriminator against probabilities, their limits, and the optimum that theory gives."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.losses import (
    deception_loss,
    discriminator_loss,
    gradient_penalty,
    least_squares_deception_loss,
    least_squares_discriminator_loss,
    saturating_deception_loss,
    wasserstein_critic_loss,
    wasserstein_deception_loss,
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
        total = (P[:, None] * Q[None, :] * loss(*torch.meshgrid(free, free, indexing="ij"))).sum()
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


class TestWasserstein:
    def test_the_best_critic_of_two_points_says_how_far_they_lie_apart(self):
        """Kantorovich and Rubinstein in one dimension: of all slopes up to 1, that towards the real ones."""
        real, fake = torch.tensor([3.0, 5.0]), torch.tensor([0.0, 2.0])
        distances = [-wasserstein_critic_loss(slope * real, slope * fake).mean().item() for slope in (-1, 0, 0.5, 1)]
        assert distances == [-3, 0, 1.5, 3]
        assert wasserstein_deception_loss(fake).tolist() == [0, -2]

    def test_a_linear_critic_has_the_penalty_of_its_slope(self):
        slope = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]])
        real, fake = torch.rand(6, 1, 2, 2), torch.rand(6, 1, 2, 2)
        found = gradient_penalty(lambda x: (x * slope).sum((1, 2, 3)), real, fake)
        torch.testing.assert_close(found, torch.full((6,), 16.0))  # (5 - 1)²

    def test_it_is_asked_on_the_way_from_one_to_the_other(self):
        real, fake = torch.full((500, 3), 2.0), torch.zeros(500, 3)
        seen = []

        def critic(x):
            seen.append(x)
            return x.square().sum(1, keepdim=True) / 2

        found = gradient_penalty(critic, real, fake)
        torch.testing.assert_close(found, (seen[0].norm(dim=1) - 1).square())
        assert (seen[0] - seen[0][:, :1]).abs().max() < 1e-6  # one share for all values of an image
        assert 0 <= seen[0].min() < 0.1
        assert 1.9 < seen[0].max() <= 2

    def test_its_gradient_reaches_the_weights_and_is_that_of_finite_differences(self):
        weight = torch.randn(4, dtype=torch.float64, requires_grad=True)
        real, fake = torch.randn(2, 3, 4, dtype=torch.float64)

        def penalty(w):
            torch.manual_seed(0)
            return gradient_penalty(lambda x: torch.tanh(x @ w), real, fake)

        assert torch.autograd.gradcheck(penalty, (weight,))

    def test_a_flat_critic_has_a_penalty_of_one_and_no_nan(self):
        weight = torch.zeros(4, requires_grad=True)
        found = gradient_penalty(lambda x: x @ weight, torch.rand(3, 4), torch.rand(3, 4))
        torch.testing.assert_close(found.detach(), torch.ones(3), atol=1e-5, rtol=0)
        found.sum().backward()
        assert weight.grad.isfinite().all()
