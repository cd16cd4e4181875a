"""The decomposition of the KL against closed forms, double loops, every batch there is, and numbers of public code."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import logsumexp

from medlatent.losses import gaussian_log_density, kl_decomposition, log_importance_weights

ESTIMATORS = ("mss", "mws")


def posteriors(batch: int, dim: int, seed: int = 0, dtype=torch.float64) -> tuple[torch.Tensor, ...]:
    """A sample of each posterior, the means and the log-variances."""
    generator = torch.Generator().manual_seed(seed)
    mean, logvar, noise = (torch.randn(batch, dim, generator=generator, dtype=torch.float64) for _ in range(3))
    logvar = 0.7 * logvar - 1
    return tuple(t.to(dtype) for t in (mean + (0.5 * logvar).exp() * noise, mean, logvar))


def by_loops(z, mean, logvar, weights: np.ndarray) -> tuple[float, float, float]:
    """The three terms from the definitions, one pair and one dimension at a time."""
    batch, dim = z.shape
    density = np.empty((batch, batch, dim))
    for m, i, j in itertools.product(range(batch), range(batch), range(dim)):
        density[m, i, j] = stats.norm(float(mean[i, j]), math.exp(0.5 * float(logvar[i, j]))).pdf(float(z[m, j]))
    information, correlation, dimension_wise = [], [], []
    for m in range(batch):
        posterior = math.prod(density[m, m])
        aggregate = sum(weights[m, i] * math.prod(density[m, i]) for i in range(batch))
        marginals = [sum(weights[m, i] * density[m, i, j] for i in range(batch)) for j in range(dim)]
        prior = math.prod(stats.norm.pdf(z[m].numpy()))
        information.append(math.log(posterior / aggregate))
        correlation.append(math.log(aggregate / math.prod(marginals)))
        dimension_wise.append(math.log(math.prod(marginals) / prior))
    return tuple(float(np.mean(term)) for term in (information, correlation, dimension_wise))


def by_log_weights(z, mean, logvar, log_weights: np.ndarray) -> tuple[float, float, float]:
    """The three terms from the tensor of all pairs; ``log_weights`` is ``(B, B)``."""
    z, mean, logvar = (t.double().numpy() for t in (z, mean, logvar))
    pairs = stats.norm(mean, np.exp(0.5 * logvar)).logpdf(z[:, None])
    posterior = np.einsum("mmj->m", pairs)
    aggregate = logsumexp(log_weights + pairs.sum(2), axis=1)
    marginals = logsumexp(log_weights[..., None] + pairs, axis=1).sum(1)
    prior = stats.norm.logpdf(z).sum(1)
    return tuple(float(t.mean()) for t in (posterior - aggregate, aggregate - marginals, marginals - prior))


def published_mss_weights(batch: int, images: int) -> np.ndarray:
    """The weights of the published code: stride M + 1 in the flattened matrix is a column, not the diagonal."""
    others = batch - 1
    weights = np.full((batch, batch), 1 / others)
    flat = weights.reshape(-1)
    flat[:: others + 1] = 1 / images
    flat[1 :: others + 1] = (images - others) / (images * others)
    weights[others - 1, 0] = (images - others) / (images * others)
    return weights


class TestGaussianLogDensity:
    def test_equals_torch_distributions_element_by_element(self):
        z, mean, logvar = posteriors(6, 4)
        expected = torch.distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(z)
        torch.testing.assert_close(gaussian_log_density(z, mean, logvar), expected)

    def test_by_hand(self):
        # One standard deviation off at variance 4: -log(2 sqrt(2 pi)) - 1/2.
        value = gaussian_log_density(torch.tensor(3.0), torch.tensor(1.0), torch.tensor(math.log(4)))
        assert value.item() == pytest.approx(-math.log(2 * math.sqrt(2 * math.pi)) - 0.5)

    def test_broadcasts(self):
        z, mean, logvar = posteriors(5, 3)
        pairs = gaussian_log_density(z[:, None], mean, logvar)
        assert pairs.shape == (5, 5, 3)
        torch.testing.assert_close(pairs[1, 4], gaussian_log_density(z[1], mean[4], logvar[4]))


class TestWeights:
    @pytest.mark.parametrize(("batch", "images"), [(2, 2), (2, 9), (3, 3), (5, 40), (64, 5000), (256, 202599)])
    def test_mss_has_its_three_weights_in_each_row_and_their_sum_is_one(self, batch, images):
        weights = log_importance_weights(batch, images, "mss", dtype=torch.float64).exp()
        torch.testing.assert_close(weights.sum(1), torch.ones(batch, dtype=torch.float64))
        torch.testing.assert_close(weights.diagonal(), torch.full((batch,), 1 / images, dtype=torch.float64))
        others = batch - 1
        expected = torch.full((batch, others), 1 / others, dtype=torch.float64)
        expected[:, 0] = (images - others) / (images * others)
        rest = weights[~torch.eye(batch, dtype=torch.bool)].view(batch, others)
        torch.testing.assert_close(rest.sort(1).values, expected)

    def test_mss_by_hand(self):
        # B = 3, N = 12, M = 2: 1/12, (12 - 2)/(12 * 2) = 5/12, 1/2.
        expected = torch.tensor([[1, 5, 6], [6, 1, 5], [5, 6, 1]]) / 12
        torch.testing.assert_close(log_importance_weights(3, 12, "mss").exp(), expected)

    @pytest.mark.parametrize(("batch", "images"), [(1, 1), (4, 4), (64, 5000)])
    def test_mws_is_constant(self, batch, images):
        weights = log_importance_weights(batch, images, "mws")
        torch.testing.assert_close(weights, torch.full((batch, batch), -math.log(batch * images)))

    def test_device_and_type(self):
        weights = log_importance_weights(4, 9, "mss", device="meta", dtype=torch.float64)
        assert (weights.device.type, weights.dtype) == ("meta", torch.float64)

    def test_mss_is_unbiased_over_every_batch_there_is(self):
        # Five images, a sample of the third posterior, and all batches of three that begin with it.
        z, mean, logvar = posteriors(5, 2, seed=1)
        density = gaussian_log_density(z[2], mean, logvar).sum(1).exp()
        row = log_importance_weights(3, 5, "mss", dtype=torch.float64).exp()[0]
        estimates = [(row * density[[2, *rest]]).sum() for rest in itertools.permutations([0, 1, 3, 4], 2)]
        torch.testing.assert_close(torch.stack(estimates).mean(), density.mean())

    def test_the_published_mss_weights_are_in_the_wrong_places(self):
        ours = log_importance_weights(64, 5000, "mss", dtype=torch.float64).exp().numpy()
        published = published_mss_weights(64, 5000)
        # A sample's own posterior counts 1/M instead of 1/N, 79 times too much; one row does not even sum to 1.
        assert published.diagonal()[2:] == pytest.approx(1 / 63)
        assert ours.diagonal() == pytest.approx(1 / 5000)
        assert np.flatnonzero(np.abs(published.sum(1) - 1) > 1e-9).tolist() == [62]
        assert published.sum(1)[62] == pytest.approx(1 + 1 / 63 - 2 / 5000)

    @pytest.mark.parametrize(
        ("batch", "images", "estimator", "message"),
        [
            (4, 9, "mc", "estimator 'mc' is unknown: use one of mss, mws"),
            (1, 9, "mss", "batch_size must be at least 2 for the estimator 'mss', got 1"),
            (0, 9, "mws", "batch_size must be at least 1 for the estimator 'mws', got 0"),
            (4, 3, "mss", "dataset_size must be at least the batch's 4, got 3"),
            (4, 3, "mws", "dataset_size must be at least the batch's 4, got 3"),
        ],
    )
    def test_arguments_out_of_range(self, batch, images, estimator, message):
        with pytest.raises(ValueError, match=message):
            log_importance_weights(batch, images, estimator)


class TestDecomposition:
    @pytest.mark.parametrize("estimator", ESTIMATORS)
    @pytest.mark.parametrize(("batch", "dim", "images"), [(2, 1, 2), (5, 3, 5), (6, 2, 100)])
    def test_equals_the_definitions_term_by_term(self, estimator, batch, dim, images):
        sample = posteriors(batch, dim)
        weights = log_importance_weights(batch, images, estimator, dtype=torch.float64).exp().numpy()
        assert [t.item() for t in kl_decomposition(*sample, images, estimator)] == pytest.approx(
            by_loops(*sample, weights), rel=1e-9, abs=1e-9
        )

    @pytest.mark.parametrize("estimator", ESTIMATORS)
    def test_the_sum_is_the_monte_carlo_kl(self, estimator):
        z, mean, logvar = posteriors(40, 6)
        posterior = torch.distributions.Normal(mean, (0.5 * logvar).exp()).log_prob(z).sum(1)
        prior = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(1)
        terms = kl_decomposition(z, mean, logvar, 1000, estimator)
        assert all(t.shape == () for t in terms)
        torch.testing.assert_close(sum(terms), (posterior - prior).mean(), rtol=1e-12, atol=1e-12)

    def test_whole_data_set_by_mws(self):
        # With B = N the weights are 1/N² where the mixture's are 1/N: log q(z) and each log q(z_j) lack log N.
        n, dim = 30, 4
        sample = posteriors(n, dim)
        information, correlation, dimension_wise = by_log_weights(*sample, np.full((n, n), -math.log(n)))
        lack = math.log(n)
        assert [t.item() for t in kl_decomposition(*sample, n, "mws")] == pytest.approx(
            [information + lack, correlation + (dim - 1) * lack, dimension_wise - dim * lack]
        )

    def test_whole_data_set_by_mss(self):
        # With B = N one posterior of each row has 1/(N·M) where the mixture has 1/N, the other M - 1 have 1/M: the
        # larger N, the closer.
        def gap(n: int) -> float:
            sample = posteriors(n, 3)
            exact = by_log_weights(*sample, np.full((n, n), -math.log(n)))
            return max(abs(t.item() - e) for t, e in zip(kl_decomposition(*sample, n, "mss"), exact, strict=True))

        assert gap(20) < 0.2
        assert gap(600) < 0.005

    def test_total_correlation_of_gaussians_is_the_closed_form(self):
        # Means from N(0, S), posteriors N(mean, s² I): the aggregate posterior is N(0, S + s² I).
        n, variance = 3000, 0.3
        scatter = np.array([[1.0, 0.75], [0.75, 0.9]])
        mean = torch.from_numpy(np.random.default_rng(0).multivariate_normal(np.zeros(2), scatter, n))
        noise = torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        logvar = torch.full_like(mean, math.log(variance))
        terms = kl_decomposition(mean + math.sqrt(variance) * noise, mean, logvar, n)

        aggregate = scatter + variance * np.eye(2)
        correlation = aggregate / np.sqrt(np.outer(np.diag(aggregate), np.diag(aggregate)))
        expected = {
            "mutual_information": 0.5 * np.log(np.linalg.det(aggregate) / variance**2),
            "total_correlation": -0.5 * np.log(np.linalg.det(correlation)),
            "dimension_wise_kl": 0.5 * (np.diag(aggregate) - 1 - np.log(np.diag(aggregate))).sum(),
        }
        assert expected["total_correlation"] > 0.2
        for name, value in expected.items():
            assert getattr(terms, name).item() == pytest.approx(value, abs=0.05), name

    def test_small_batches_by_mss_are_biased_less_than_by_mws(self):
        # The same aggregate, in batches of 32 of 20 000 images.
        n, batch, variance, correlation = 20_000, 32, 0.3, 0.75
        truth = -0.5 * math.log(1 - (correlation / (1 + variance)) ** 2)
        generator = torch.Generator().manual_seed(3)
        root = torch.linalg.cholesky(torch.tensor([[1, correlation], [correlation, 1]]))
        found = {e: [] for e in ESTIMATORS}
        for _ in range(200):
            mean = torch.randn(batch, 2, generator=generator) @ root.T
            z = mean + math.sqrt(variance) * torch.randn(batch, 2, generator=generator)
            logvar = torch.full_like(mean, math.log(variance))
            for estimator, values in found.items():
                values.append(kl_decomposition(z, mean, logvar, n, estimator).total_correlation.item())
        bias = {e: np.mean(v) - truth for e, v in found.items()}
        # MWS lacks log N in log q(z) and in each log q(z_j); that its sample's own posterior is in every batch makes up
        # for a part.
        assert abs(bias["mss"]) < 0.25
        assert bias["mws"] > 0.5 * math.log(n)

    @pytest.mark.parametrize("estimator", ESTIMATORS)
    def test_gradients_are_those_of_finite_differences(self, estimator):
        sample = tuple(t.requires_grad_() for t in posteriors(4, 3))
        assert torch.autograd.gradcheck(lambda *s: tuple(kl_decomposition(*s, 11, estimator)), sample)
        for term in kl_decomposition(*sample, 11, estimator):
            for gradient in torch.autograd.grad(term, sample, retain_graph=True):
                assert (gradient != 0).any(1).all()

    @pytest.mark.parametrize("estimator", ESTIMATORS)
    def test_dimensions_may_change_places(self, estimator):
        sample, order = posteriors(8, 5), [3, 0, 4, 1, 2]
        for a, b in zip(
            kl_decomposition(*sample, 20, estimator),
            kl_decomposition(*(t[:, order] for t in sample), 20, estimator),
            strict=True,
        ):
            torch.testing.assert_close(a, b)

    def test_one_dimension_has_no_total_correlation(self):
        assert kl_decomposition(*posteriors(20, 1), 50).total_correlation.abs() < 1e-12

    @pytest.mark.parametrize("logarithm", [0.0, -4.0, -9.0, -14.0, -18.0])
    def test_float32_loses_nothing_where_posteriors_are_narrow(self, logarithm):
        generator = torch.Generator().manual_seed(0)
        mean, noise = (torch.randn(128, 32, generator=generator) for _ in range(2))
        logvar = torch.full_like(mean, logarithm)
        single = [t.requires_grad_() for t in (mean + noise * math.exp(0.5 * logarithm), mean, logvar)]
        double = [t.detach().double().requires_grad_() for t in single]
        terms = kl_decomposition(*single, 5000), kl_decomposition(*double, 5000)
        for ours, exact in zip(*terms, strict=True):
            assert ours.item() == pytest.approx(exact.item(), abs=1e-3, rel=1e-6)
        for term in terms:
            term.total_correlation.backward()
        for ours, exact in zip(single, double, strict=True):
            assert (ours.grad - exact.grad).norm() < 1e-3 * exact.grad.norm().clamp(min=0.1)

    def test_shapes_that_differ(self):
        z, mean, logvar = posteriors(4, 3)
        with pytest.raises(ValueError, match=r"one shape \(B, D\), got \(4, 3\), \(4, 3\), \(4, 2\)"):
            kl_decomposition(z, mean, logvar[:, :2], 10)
        with pytest.raises(ValueError, match=r"one shape \(B, D\)"):
            kl_decomposition(z[0], mean[0], logvar[0], 10)


class TestPublicNumbers:
    """One batch of 64 posteriors, 5 000 images, and what pythae 0.1.2 computes for it."""

    IMAGES = 5000
    TERMS = ("mi", "tc", "dwkl")

    @pytest.fixture
    def sample(self, reference) -> list[torch.Tensor]:
        arrays, _ = reference("losses")
        return [torch.from_numpy(arrays[name]) for name in ("z", "mu", "logvar")]

    @pytest.fixture
    def values(self, reference) -> dict:
        return reference("losses")[1]

    def test_mws(self, sample, values):
        terms = [t.item() for t in kl_decomposition(*sample, self.IMAGES, "mws")]
        assert terms == pytest.approx([values[f"pythae_mws_{term}"] for term in self.TERMS], rel=1e-5)

    def test_mss(self, sample, values):
        correct = values["_formula_not_a_peer"]
        terms = [t.item() for t in kl_decomposition(*sample, self.IMAGES, "mss")]
        assert terms == pytest.approx([correct[f"corrected_mss_{term}"] for term in self.TERMS], abs=2e-5)
        assert sum(terms) == pytest.approx(correct["kl_mc"], rel=1e-5)

    def test_the_published_mistake_in_mss_moves_every_term(self, sample, values):
        published = by_log_weights(*sample, np.log(published_mss_weights(64, self.IMAGES)))
        assert published == pytest.approx([values[f"pythae_mss_{term}"] for term in self.TERMS], abs=1e-4)
        ours = kl_decomposition(*sample, self.IMAGES)
        assert abs(ours.mutual_information.item() - published[0]) > 3
        assert abs(ours.total_correlation.item() - published[1]) > 3
        assert abs(ours.dimension_wise_kl.item() - published[2]) > 0.3
