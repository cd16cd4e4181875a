"""The variational bound against probabilities, and against the mutual information of channels known exactly."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.losses import (
    categorical_entropy,
    categorical_nll,
    code_distance,
    gaussian_code_nll,
    gaussian_information,
    information_bound,
    laplace_code_nll,
    laplace_information_bound,
    normal_entropy,
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


@settings(deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.1, 4))
def test_the_laplace_reader_is_a_laplace_density_and_an_l1_distance(mean, code, scale):
    given_ = [torch.tensor([[value, 0.0]]).double() for value in (mean, code)]
    laplace = torch.distributions.Laplace(given_[0], scale)
    found = laplace_code_nll(*given_, scale)
    assert found.shape == (1,)
    assert found.item() == pytest.approx(-laplace.log_prob(given_[1]).sum().item())
    constant = 2 * math.log(2 * scale)
    assert found.item() == pytest.approx(2 * code_distance(*given_).item() / scale + constant)


def test_the_entropy_of_normal_codes():
    for deviation in (0.1, 1.0, 3.0):
        expected = torch.distributions.Normal(0.0, deviation).entropy().item()
        assert normal_entropy(4, deviation**2) == pytest.approx(4 * expected, rel=1e-6)
    assert normal_entropy() == pytest.approx(1.4189385)
    assert normal_entropy(variance=0.24**2) < 0 < normal_entropy(variance=0.25**2)


@pytest.mark.parametrize("seed", range(3))
def test_the_gap_is_the_divergence_of_the_posterior_from_the_reader_and_not_the_other_one(seed):
    """The divergence below equation 10 of Havaei et al. (2021), in both of the directions in which it is printed."""
    draw = torch.Generator().manual_seed(seed)
    reader = torch.randn(4, 3, generator=draw, dtype=torch.float64)
    posterior, image = (CHANNEL / CHANNEL.sum(0)).T, CHANNEL.sum(0) / 3
    q = reader.softmax(1)
    forward = (image[:, None] * posterior * (posterior / q).log()).sum().item()
    backward = (image[:, None] * q * (q / posterior).log()).sum().item()
    bound = expected_bound(reader).item()
    assert bound + forward == pytest.approx(exact(), abs=1e-12)
    assert abs(bound + backward - exact()) > 0.01


def test_without_the_entropy_a_narrow_code_s_likelihood_exceeds_the_information():
    """c ~ N(0, s²) and x = c + noise of the same deviation: I = ½ log 2, whatever s."""
    for s in (0.01, 1.0):
        c = s * torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0)).double()
        noise = s * torch.randn(20_000, 1, generator=torch.Generator().manual_seed(1)).double()
        mean, logvar = (c + noise) / 2, torch.full_like(c, math.log(s**2 / 2))  # the true posterior
        nll = gaussian_code_nll(mean, logvar, c)
        bound = information_bound(normal_entropy(variance=s**2), nll).mean().item()
        assert bound == pytest.approx(math.log(2) / 2, abs=0.02)
        assert (-nll.mean().item() > math.log(2) / 2) == (s == 0.01)


# ------------------------------------------------------------------------- two codes: equations 12 to 14 of Havaei 2021

RHO = torch.tensor([0.0, 0.3, -0.8, 0.99]).double()


def test_the_information_of_normal_numbers_is_the_difference_of_two_entropies():
    assert gaussian_information(RHO)[0] == 0
    for rho, found in zip(RHO.tolist(), gaussian_information(RHO).tolist(), strict=True):
        for deviation in (0.1, 5.0):
            left = deviation**2 * (1 - rho**2)
            assert found == pytest.approx(normal_entropy(variance=deviation**2) - normal_entropy(variance=left))
    assert gaussian_information(torch.tensor([1.0, -1.0])).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize(("rho", "deviation", "scale"), [(0.8, 1.0, 1.0), (-0.3, 2.0, 0.5), (0.99, 0.2, 0.3)])
def test_the_laplace_bound_is_the_best_of_all_predictors(rho, deviation, scale):
    """By a sum over a grid of what is left of z, for the best predictor and for others."""
    x = torch.linspace(-12, 12, 20_001).double()
    weights = torch.distributions.Normal(0.0, 1.0).log_prob(x).exp()
    weights = weights / weights.sum()

    def bound(slope: float, shift: float) -> float:
        # z - slope c - shift is normal: c has deviation 1, and z = σ ρ c + noise.
        left = math.sqrt((deviation * rho - slope) ** 2 + deviation**2 * (1 - rho**2))
        nll = laplace_code_nll((left * x + shift)[:, None], torch.zeros_like(x)[:, None], scale)
        return (weights * information_bound(normal_entropy(variance=deviation**2), nll)).sum().item()

    found = laplace_information_bound(torch.tensor(rho).double(), deviation, scale).item()
    assert found == pytest.approx(bound(deviation * rho, 0.0), abs=1e-5)
    for slope, shift in ((0.0, 0.0), (1.5 * deviation * rho, 0.0), (deviation * rho, 0.1)):
        assert bound(slope, shift) < found


def test_the_least_gap_of_the_laplace_bound():
    for rho in RHO:
        error = 2 * math.sqrt(1 - rho.item() ** 2) * math.sqrt(2 / math.pi)
        gap = gaussian_information(rho) - laplace_information_bound(rho, 2.0, error)
        assert gap.item() == pytest.approx(0.5 - math.log(math.pi / 2))
        for other in (0.8 * error, 1.25 * error):
            assert gaussian_information(rho) - laplace_information_bound(rho, 2.0, other) > gap


def test_a_bound_that_falls_without_end_while_the_information_stays():
    deviation = torch.tensor([1.0, 10.0, 100.0, 1e4]).double().requires_grad_()
    rho = torch.tensor(0.9).double().requires_grad_()
    bound = laplace_information_bound(rho, deviation)
    assert (bound.diff() < 0).all()
    assert bound[-1] < -1000
    assert gaussian_information(rho).item() == pytest.approx(0.83, abs=0.01)
    (gradient,) = torch.autograd.grad(bound.sum(), deviation)
    assert (gradient[1:] < 0).all()  # whoever minimises the bound enlarges the code


def test_a_best_predictor_may_see_nothing_of_a_code_that_says_much():
    """c decides whether z is narrow or wide: its median is 0 either way, and so is the best guess of it."""
    z = torch.linspace(-12, 12, 120_001).double()
    step = 24 / 120_000
    narrow, wide = (torch.distributions.Normal(0.0, s).log_prob(z).exp() for s in (0.05, 2.0))
    mixture = (narrow + wide) / 2
    information = sum(0.5 * (p * (p / mixture).log()).nan_to_num() for p in (narrow, wide)).sum() * step
    assert information > 0.5  # of at most log 2, which a reader of the scale would find

    def error(first: float, second: float) -> float:
        return sum(0.5 * (p * (z - f).abs()).sum().item() * step for p, f in ((narrow, first), (wide, second)))

    knowing_nothing = (mixture * z.abs()).sum().item() * step
    assert error(0.0, 0.0) == pytest.approx(knowing_nothing)
    assert all(error(f, g) > knowing_nothing for f in (-0.1, 0.0, 0.1) for g in (-0.1, 0.0, 0.1) if f or g)


def test_arguments():
    one = torch.zeros(3, 2)
    with pytest.raises(ValueError, match="scale must be positive, got 0"):
        laplace_code_nll(one, one, 0)
    with pytest.raises(ValueError, match=r"one shape, got mean \(3, 2\), code \(3, 1\)"):
        laplace_code_nll(one, one[:, :1])
    with pytest.raises(ValueError, match="variance must be positive, got -1"):
        normal_entropy(2, -1)
    for call in (gaussian_information, laplace_information_bound):
        with pytest.raises(ValueError, match=r"correlation must be between -1 and 1, got 1\.5"):
            call(torch.tensor([0.5, -1.5]))
        with pytest.raises(ValueError, match="correlation must be between -1 and 1, got nan"):
            call(torch.tensor(math.nan))
    with pytest.raises(ValueError, match=r"deviation must be positive, got 0\.0"):
        laplace_information_bound(RHO, torch.tensor([1.0, 1.0, 0.0, 1.0]))
    with pytest.raises(ValueError, match="scale must be positive, got -1"):
        laplace_information_bound(RHO, 1.0, -1)
