"""The terms of the ELBO against integration, Monte Carlo, torch.distributions and numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from medlatent.losses import (
    bernoulli_nll,
    beta_vae_objective,
    gaussian_nll,
    kl_to_standard_normal,
    reparametrise,
    squared_error,
)

GAUSSIANS = [(0.0, 0.0), (1.5, 0.0), (-0.7, 1.2), (2.0, -3.0), (0.0, -1.0), (0.3, 2.0)]  # mean, log-variance
POSTERIORS = st.lists(st.tuples(st.floats(-20, 20), st.floats(-15, 15)), min_size=1, max_size=5)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class TestKL:
    @pytest.mark.parametrize(("mean", "logvar"), GAUSSIANS)
    def test_equals_the_integral_of_the_definition(self, mean, logvar):
        q, p = stats.norm(mean, math.exp(0.5 * logvar)), stats.norm()
        expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), *q.interval(1 - 1e-14))
        computed = kl_to_standard_normal(torch.tensor([[mean]]), torch.tensor([[logvar]]))
        assert computed.item() == pytest.approx(expected, rel=1e-5, abs=1e-6)

    def test_equals_torch_distributions(self):
        mean, logvar = 3 * draw(7, 5), 2 * draw(7, 5, seed=1)
        expected = kl_divergence(Normal(mean, (0.5 * logvar).exp()), Normal(torch.zeros(()), torch.ones(())))
        torch.testing.assert_close(kl_to_standard_normal(mean, logvar), expected)

    def test_is_what_reparametrised_samples_estimate(self):
        mean, logvar = torch.tensor([[0.8, -0.3]]).double(), torch.tensor([[-1.0, 0.6]]).double()
        torch.manual_seed(0)
        z = reparametrise(mean.expand(200_000, 2), logvar.expand(200_000, 2))
        log_ratio = Normal(mean, (0.5 * logvar).exp()).log_prob(z) - Normal(0.0, 1.0).log_prob(z)
        error = log_ratio.std(0) / math.sqrt(len(z))
        assert ((log_ratio.mean(0) - kl_to_standard_normal(mean, logvar)[0]).abs() < 4 * error).all()

    def test_by_hand(self):
        # mean 1, variance 1: 1/2. mean 0, variance e: (e - 2)/2. Nothing is reduced.
        computed = kl_to_standard_normal(torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        torch.testing.assert_close(computed, torch.tensor([[0.5, (math.e - 2) / 2], [0.0, 2.0]]))

    @given(POSTERIORS)
    def test_is_never_negative(self, posteriors):
        mean, logvar = torch.tensor(posteriors, dtype=torch.float64).T[:, None]
        assert (kl_to_standard_normal(mean, logvar) >= -1e-12).all()

    @given(st.floats(-20, 20), st.floats(-15, 15))
    def test_is_zero_only_at_the_prior(self, mean, logvar):
        value = kl_to_standard_normal(*torch.tensor([[[mean]], [[logvar]]], dtype=torch.float64)).item()
        if max(abs(mean), abs(logvar)) > 1e-3:
            assert value > 1e-8
        assert kl_to_standard_normal(torch.zeros(1, 1), torch.zeros(1, 1)).item() == 0

    @given(POSTERIORS)
    @settings(max_examples=30)
    def test_of_a_code_is_the_sum_over_its_dimensions(self, posteriors):
        mean, logvar = torch.tensor(posteriors, dtype=torch.float64).T[:, None]
        whole = kl_divergence(
            Independent(Normal(mean, (0.5 * logvar).exp()), 1),
            Independent(Normal(torch.zeros_like(mean), torch.ones_like(mean)), 1),
        )
        torch.testing.assert_close(kl_to_standard_normal(mean, logvar).sum(1), whole, rtol=1e-7, atol=1e-9)


class TestReparametrise:
    MEAN, LOGVAR = torch.tensor([[1.0, -2.0, 0.0]]), torch.tensor([[0.0, -2.0, 1.5]])

    def samples(self, n: int = 100_000) -> torch.Tensor:
        torch.manual_seed(3)
        return reparametrise(self.MEAN.expand(n, 3), self.LOGVAR.expand(n, 3))

    def test_moments(self):
        z = self.samples()
        deviation = (0.5 * self.LOGVAR).exp()
        assert ((z.mean(0) - self.MEAN).abs() < 4 * deviation / math.sqrt(len(z))).all()
        assert ((z.var(0) / self.LOGVAR.exp() - 1).abs() < 4 * math.sqrt(2 / len(z))).all()
        off_diagonal = torch.corrcoef(z.T) - torch.eye(3)
        assert off_diagonal.abs().max() < 4 / math.sqrt(len(z))

    def test_shape_is_normal(self):
        z = (self.samples(5000) - self.MEAN) / (0.5 * self.LOGVAR).exp()
        assert stats.kstest(z[:, 2].numpy(), "norm").pvalue > 0.001

    def test_gradients_are_the_analytic_ones(self):
        mean, logvar = (x.repeat(4, 1).requires_grad_() for x in (self.MEAN, self.LOGVAR))
        torch.manual_seed(5)
        z = reparametrise(mean, logvar)
        weights = draw(4, 3).float()
        (weights * z).sum().backward()
        torch.testing.assert_close(mean.grad, weights)  # dz/dmean = 1
        torch.testing.assert_close(logvar.grad, weights * 0.5 * (z - mean).detach())  # dz/dlogvar = (z - mean)/2

    def test_noise_comes_from_the_global_generator(self):
        torch.manual_seed(9)
        first = reparametrise(self.MEAN, self.LOGVAR)
        second = reparametrise(self.MEAN, self.LOGVAR)
        torch.manual_seed(9)
        torch.testing.assert_close(reparametrise(self.MEAN, self.LOGVAR), first, rtol=0, atol=0)
        torch.manual_seed(9)
        torch.testing.assert_close(self.MEAN + (0.5 * self.LOGVAR).exp() * torch.randn(1, 3), first)
        assert not torch.equal(first, second)


class TestReconstruction:
    def test_squared_error_by_hand(self):
        images = torch.tensor([[[[0.0, 1.0]], [[0.5, 0.5]]], [[[1.0, 1.0]], [[0.0, 0.0]]]])  # (2, 2, 1, 2)
        computed = squared_error(torch.full_like(images, 0.5), images)
        torch.testing.assert_close(computed, torch.tensor([0.5, 1.0]))

    def test_squared_error_is_one_sum_an_image(self):
        a, b = draw(4, 3, 5, 6), draw(4, 3, 5, 6, seed=1)
        brute = [
            sum((x - y) ** 2 for x, y in zip(p.flatten(), q.flatten(), strict=True)) for p, q in zip(a, b, strict=True)
        ]
        assert squared_error(a, b).tolist() == pytest.approx([float(v) for v in brute])

    @pytest.mark.parametrize("variance", [0.01, 0.5, 1.0, 3.0])
    def test_gaussian_equals_torch_distributions(self, variance):
        mean, images = draw(4, 3, 5, 6), draw(4, 3, 5, 6, seed=1)
        expected = -Independent(Normal(mean, math.sqrt(variance)), 3).log_prob(images)
        torch.testing.assert_close(gaussian_nll(mean, images, variance), expected)

    def test_gaussian_by_hand(self):
        # One pixel off by 2 at variance 4: 4/8 + log(8 pi)/2. The default variance, 1/2: SSE + log(pi)/2 a pixel.
        one, three = torch.full((1, 1, 1, 1), 1.0), torch.full((1, 1, 1, 1), 3.0)
        assert gaussian_nll(one, three, 4.0).item() == pytest.approx(0.5 + 0.5 * math.log(8 * math.pi))
        assert gaussian_nll(one, three).item() == pytest.approx(4 + 0.5 * math.log(math.pi))

    @pytest.mark.parametrize("variance", [0.0, -1.0, float("nan")])
    def test_gaussian_refuses_a_variance(self, variance):
        with pytest.raises(ValueError, match="variance must be positive"):
            gaussian_nll(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2), variance)

    def test_bernoulli_equals_torch_distributions_on_binary_images(self):
        logits, images = 3 * draw(4, 3, 5, 6), (draw(4, 3, 5, 6, seed=1) > 0).double()
        expected = -Independent(Bernoulli(logits=logits), 3).log_prob(images)
        torch.testing.assert_close(bernoulli_nll(logits, images), expected)

    def test_bernoulli_by_hand_on_grey_values(self):
        # p = sigmoid(log 3) = 3/4 against 0.2: -0.2 log(3/4) - 0.8 log(1/4).
        computed = bernoulli_nll(torch.full((1, 1, 1, 2), math.log(3)), torch.tensor([[[[0.2, 1.0]]]]))
        expected = -0.2 * math.log(0.75) - 0.8 * math.log(0.25) - math.log(0.75)
        assert computed.item() == pytest.approx(expected, rel=1e-6)

    def test_bernoulli_is_finite_at_huge_logits(self):
        logits = torch.tensor([1e4, -1e4, 1e30]).reshape(3, 1, 1, 1).requires_grad_()
        value = bernoulli_nll(logits, torch.tensor([0.0, 1.0, 1.0]).reshape(3, 1, 1, 1))
        assert value.tolist() == [1e4, 1e4, 0.0]
        value.sum().backward()
        assert logits.grad.flatten().tolist() == [1.0, -1.0, 0.0]

    @pytest.mark.parametrize("term", [squared_error, gaussian_nll, bernoulli_nll])
    def test_one_value_an_image(self, term):
        assert term(torch.rand(5, 3, 4, 4), torch.rand(5, 3, 4, 4)).shape == (5,)


class TestObjective:
    RECONSTRUCTION = torch.tensor([10.0, 20.0])
    KL = torch.tensor([[1.0, 2.0], [3.0, 4.0]])

    @pytest.mark.parametrize(("beta", "expected"), [(1.0, 20.0), (0.0, 15.0), (4.0, 35.0)])
    def test_by_hand(self, beta, expected):
        # ((10 + beta * 3) + (20 + beta * 7)) / 2
        value = beta_vae_objective(self.RECONSTRUCTION, self.KL, beta)
        assert value.shape == ()
        assert value.item() == expected

    def test_beta_is_one_by_default(self):
        assert beta_vae_objective(self.RECONSTRUCTION, self.KL).item() == 20

    def test_is_a_bound_on_the_evidence_and_tight_at_the_true_posterior(self):
        # A linear Gaussian model in one pixel: x = w z + noise, z ~ N(0, 1), so that x ~ N(0, w² + variance).
        w, variance, x = 0.7, 0.3, 1.1
        evidence = -stats.norm(0, math.sqrt(w**2 + variance)).logpdf(x)
        posterior_variance = 1 / (1 + w**2 / variance)
        best = posterior_variance * w * x / variance

        def negative_elbo(mean: float, var: float) -> float:
            # The expectation of the reconstruction term by Gauss-Hermite quadrature, exact for a parabola.
            nodes, weights = np.polynomial.hermite_e.hermegauss(5)
            z = torch.tensor(mean + math.sqrt(var) * nodes)
            terms = gaussian_nll((w * z).reshape(-1, 1, 1, 1), torch.full((5, 1, 1, 1), x, dtype=z.dtype), variance)
            expected = (terms * torch.tensor(weights / weights.sum())).sum()[None]
            kl = kl_to_standard_normal(*torch.tensor([[[mean]], [[math.log(var)]]], dtype=torch.float64))
            return beta_vae_objective(expected, kl).item()

        assert negative_elbo(best, posterior_variance) == pytest.approx(evidence, rel=1e-9)
        for mean, var in [(best + 0.3, posterior_variance), (best, 2 * posterior_variance), (0.0, 1.0)]:
            assert negative_elbo(mean, var) > evidence + 1e-3
