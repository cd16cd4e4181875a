"""The variational bound against probabilities, and against the mutual information of channels known exactly."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.losses import (
    categorical_entropy,
    categorical_nll,
    gaussian_code_nll,
    information_bound,
    uniform_entropy,
)

# p(x|c): three categories, equally probable, four images.
CHANNEL = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.2, 0.5, 0.2, 0.1], [0.05, 0.05, 0.2, 0.7]]).double()


def expected_bound(logits: torch.Tensor) -> torch.Tensor:
    """The mean of the bound over all pairs of category and image; row x of the logits is Q's for image x."""
    bound = torch.stack(
        [
            information_bound(categorical_entropy(3), categorical_nll(logits, c.expand(4, 3)))
            for c in torch.eye(3).double()
        ]
    )
    return (CHANNEL / 3 * bound).sum()


def exact() -> float:
    joint = CHANNEL / 3
    return (joint * (joint / (joint.sum(0) / 3)).log()).sum().item()


def test_the_bound_is_tight_at_the_posterior():
    posterior = (CHANNEL / CHANNEL.sum(0)).T
    assert expected_bound(posterior.log()).item() == pytest.approx(exact(), abs=1e-12)
    assert expected_bound(posterior.log() + 5).item() == pytest.approx(exact(), abs=1e-12)  # logits have no zero


@settings(deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=12, max_size=12))
def test_any_other_reader_falls_short_by_its_divergence(values):
    logits = torch.tensor(values).double().reshape(4, 3)
    posterior, image = (CHANNEL / CHANNEL.sum(0)).T, CHANNEL.sum(0) / 3
    gap = (image[:, None] * posterior * (posterior.log() - logits.log_softmax(1))).sum().item()
    assert gap >= 0
    assert expected_bound(logits).item() == pytest.approx(exact() - gap, abs=1e-9)


def test_a_reader_that_knows_nothing_has_the_entropy():
    category = torch.eye(10)[[3, 9]]
    assert categorical_nll(torch.zeros(2, 10), category).tolist() == pytest.approx([math.log(10)] * 2)
    assert categorical_entropy(10) == pytest.approx(math.log(10))
    nll = categorical_nll(torch.zeros(2, 10), category)
    assert information_bound(categorical_entropy(10), nll).tolist() == pytest.approx([0, 0], abs=1e-6)


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-4, 4))
def test_the_gaussian_reader_is_a_normal_density(mean, code, logvar):
    given_ = [torch.tensor([[value, 0.0]]).double() for value in (mean, logvar, code)]
    normal = torch.distributions.Normal(given_[0], (0.5 * given_[1]).exp())
    found = gaussian_code_nll(*given_)
    assert found.shape == (1,)
    assert found.item() == pytest.approx(-normal.log_prob(given_[2]).sum().item())


def test_the_gaussian_bound_on_a_uniform_code_stays_below_the_information():
    # x = c + noise with c uniform on (-1, 1): I = h(x) - h(noise), by a sum over a fine grid.
    deviation, x = 0.2, torch.linspace(-3, 3, 60_001).double()
    normal = torch.distributions.Normal(0.0, deviation)
    density = (normal.cdf(x + 1) - normal.cdf(x - 1)) / 2
    information = -(torch.special.xlogy(density, density)).sum() * 1e-4 - normal.entropy()
    # The best Gaussian reader with mean x: E(c - x)² is the variance of the noise.
    logvar = torch.full((1, 1), 2 * math.log(deviation)).double()
    nll = gaussian_code_nll(torch.zeros(1, 1), logvar, torch.full((1, 1), deviation).double())
    bound = information_bound(uniform_entropy(-1, 1), nll).item()
    assert 0 < bound < information.item()
    assert bound == pytest.approx(information.item(), abs=0.2)


def test_the_entropy_of_uniform_codes():
    assert uniform_entropy(0, 1, 2) == 0
    assert uniform_entropy(-1, 1, 2) == pytest.approx(2 * math.log(2))
    with pytest.raises(ValueError, match="high must be above low, got 1 and 1"):
        uniform_entropy(1, 1)
