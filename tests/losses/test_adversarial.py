"""The losses of a discriminator against probabilities, their limits, and the optimum that theory gives."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from medlatent.losses import deception_loss, discriminator_loss

logits = st.floats(-20, 20)


@given(logits, logits)
def test_against_probabilities(real, fake):
    d, e = 1 / (1 + math.exp(-real)), 1 / (1 + math.exp(-fake))
    # 1 - e would round to 0 before the logit does
    expected = -math.log(d) - math.log(1 / (1 + math.exp(fake)))
    found = discriminator_loss(torch.tensor([real]).double(), torch.tensor([fake]).double())
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert deception_loss(torch.tensor([fake]).double()).item() == pytest.approx(-math.log(e), rel=1e-6, abs=1e-9)


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
    (-torch.nn.functional.softplus(saturating)).backward()  # log(1 - D(x̂)), the minimax form
    assert abs(saturating.grad.item()) < 1e-4


def test_the_optimal_discriminator_is_the_density_ratio():
    # Two discrete distributions over four images: the logit that minimises the expected loss is log p - log q.
    p, q = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.tensor([0.4, 0.3, 0.2, 0.1])
    free = torch.zeros(4, requires_grad=True)
    optimiser = torch.optim.LBFGS([free], max_iter=200, tolerance_grad=1e-10)

    def loss():
        optimiser.zero_grad()
        # of real images x ~ p and generated ones x̂ ~ q, drawn independently
        total = (p[:, None] * q[None, :] * discriminator_loss(free[:, None], free[None, :])).sum()
        total.backward()
        return total

    optimiser.step(loss)
    assert torch.allclose(free.detach(), (p / q).log(), atol=1e-3)
    divergence = 0.5 * ((p * (2 * p / (p + q)).log()).sum() + (q * (2 * q / (p + q)).log()).sum())
    assert loss().item() == pytest.approx(2 * math.log(2) - 2 * divergence.item(), abs=1e-5)
