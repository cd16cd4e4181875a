"""HSIC against double loops, permutations, exact independence, and the mistakes that are made with it."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.losses import gaussian_kernel, hsic, median_squared_distance

NORMALISATIONS = ("empirical", "mean", "cka", "cca")


def samples(m: int = 12, seed: int = 0, dependence: float = 1.0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(m, 2, 3, generator=generator, dtype=torch.float64)
    noise = torch.randn(m, 4, generator=generator, dtype=torch.float64)
    return x, dependence * torch.sin(x.flatten(1)[:, :4]) + (1 - dependence) * noise


def by_loops(x: np.ndarray, z: np.ndarray, sigma: float, centred: bool = True) -> float:
    """trace(K_x H K_z H), one entry at a time."""
    m = len(x)

    def kernel(v):
        return np.array([[math.exp(-((a - b) ** 2).sum() / (2 * sigma**2)) for b in v] for a in v])

    h = np.eye(m) - (np.ones((m, m)) / m if centred else 0)
    kx, kz = kernel(x.reshape(m, -1)), kernel(z.reshape(m, -1))
    total = 0.0
    for i, j, k, n in itertools.product(range(m), repeat=4):
        total += kx[i, j] * h[j, k] * kz[k, n] * h[n, i]
    return total


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_the_trace_against_a_loop_over_all_entries(sigma):
    x, z = samples(8)
    trace = by_loops(x.numpy(), z.numpy(), sigma)
    kernels = gaussian_kernel(x, sigma), gaussian_kernel(z, sigma)
    assert hsic(*kernels).item() == pytest.approx(trace / 49, rel=1e-10)
    assert hsic(*kernels, "mean").item() == pytest.approx(trace / 64, rel=1e-10)
    own = by_loops(x.numpy(), x.numpy(), sigma) * by_loops(z.numpy(), z.numpy(), sigma)
    assert hsic(*kernels, "cka").item() == pytest.approx(trace / math.sqrt(own), rel=1e-10)


def test_the_form_without_centring_is_another_number():
    """The trap: uncentred, exactly independent samples have the product of their mean similarities, not 0."""
    x = np.repeat([0.0, 1.0, 2.0], 3)[:, None]
    z = np.tile([0.0, 1.0, 5.0], 3)[:, None]
    kernels = [gaussian_kernel(torch.from_numpy(v), 2.0) for v in (x, z)]
    uncentred = by_loops(x, z, 2.0, centred=False)
    assert uncentred == pytest.approx(81 * (kernels[0].mean() * kernels[1].mean()).item())
    assert uncentred > 10
    assert abs(by_loops(x, z, 2.0)) < 1e-12
    assert abs(hsic(*kernels).item()) < 1e-12


def test_cca_is_the_trace_of_the_normalised_operators():
    x, z = samples(10)
    m, h = 10, np.eye(10) - 0.1
    both = []
    for v in (x, z):
        centred = h @ gaussian_kernel(v, 2.0).numpy() @ h
        values, vectors = np.linalg.eigh(centred)
        both.append((vectors * (values / (values + 1e-5 * m))) @ vectors.T)
    expected = np.trace(both[0] @ both[1])
    assert hsic(gaussian_kernel(x, 2.0), gaussian_kernel(z, 2.0), "cca").item() == pytest.approx(expected, rel=1e-8)
    assert 0 < expected < m


def test_two_points_by_hand():
    # Two points at distance d: K = [[1, k], [k, 1]], centred ±(1 - k)/2, so the trace is (1 - k_x)(1 - k_z).
    x, z = torch.tensor([[0.0], [2.0]]).double(), torch.tensor([[1.0], [0.0]]).double()
    kx, kz = math.exp(-4 / 2), math.exp(-1 / 2)
    kernels = gaussian_kernel(x, 1.0), gaussian_kernel(z, 1.0)
    assert hsic(*kernels).item() == pytest.approx((1 - kx) * (1 - kz))
    assert hsic(*kernels, "mean").item() == pytest.approx((1 - kx) * (1 - kz) / 4)
    assert hsic(*kernels, "cka").item() == pytest.approx(1)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("height", [1.0, 0.3])
def test_constants_depend_on_nothing(normalisation, dtype, height):
    """A generator that draws one image has no HSIC, in any form, and a gradient that can be followed."""
    images = torch.full((64, 5), 0.1, dtype=dtype, requires_grad=True)
    constant, other = height * gaussian_kernel(images, 2.0), gaussian_kernel(samples(64)[1].to(dtype), 2.0)
    for pair in ((constant, other), (other, constant), (constant, constant)):
        images.grad = None
        found = hsic(*pair, normalisation)
        assert abs(found.item()) < 1e-5
        found.backward(retain_graph=True)
        assert images.grad.isfinite().all()


def test_permutations_tell_dependence_from_independence():
    """The share of shuffled pairs with a larger HSIC: small where the samples depend, large where they do not."""

    def p_value(dependence: float) -> float:
        x, z = samples(60, seed=5, dependence=dependence)
        kx, kz = gaussian_kernel(x, 2.0), gaussian_kernel(z, 2.0)
        generator = torch.Generator().manual_seed(1)
        orders = [torch.randperm(60, generator=generator) for _ in range(200)]
        shuffled = [hsic(kx, kz[order][:, order]).item() for order in orders]
        return (1 + sum(s >= hsic(kx, kz).item() for s in shuffled)) / 201

    assert p_value(0.8) < 0.01
    assert p_value(0.0) > 0.05


def test_zero_on_a_full_grid_of_independent_values():
    x = torch.tensor([0.0, 1.0, 2.0]).double().repeat_interleave(4)[:, None]
    z = torch.tensor([0.0, 1.0, 5.0, 6.0]).double().repeat(3)[:, None]
    kernels = gaussian_kernel(x, 1.0), gaussian_kernel(z, 1.0)
    for normalisation in NORMALISATIONS:
        assert abs(hsic(*kernels, normalisation).item()) < 1e-12


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 15), st.floats(0.3, 5), st.sampled_from(NORMALISATIONS))
def test_symmetric_not_negative_and_blind_to_order_and_place(seed, m, sigma, normalisation):
    x, z = samples(m, seed, dependence=0.5)

    def value(a, b):
        return hsic(gaussian_kernel(a, sigma), gaussian_kernel(b, sigma), normalisation).item()

    found = value(x, z)
    assert found >= -1e-12
    assert value(z, x) == pytest.approx(found, rel=1e-6, abs=1e-12)
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    assert value(x[order], z[order]) == pytest.approx(found, rel=1e-6, abs=1e-12)
    assert value(x + 3, z - 1) == pytest.approx(found, rel=1e-5, abs=1e-10)
    if normalisation == "cka":
        assert found <= 1 + 1e-9
        assert value(x, x) == pytest.approx(1)
    if normalisation == "cca":
        assert found <= m - 1 + 1e-9


def test_the_bandwidth():
    x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]).double()
    assert median_squared_distance(x).item() == pytest.approx(18)  # of 25, 1 and 18
    assert gaussian_kernel(x, 5.0)[0, 1].item() == pytest.approx(math.exp(-0.5))
    assert gaussian_kernel(x, 5.0, scale_by_dimension=True)[0, 1].item() == pytest.approx(math.exp(-0.25))
    assert torch.equal(gaussian_kernel(x, 1e-3).diagonal(), torch.ones(3).double())


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_gradients_are_those_of_the_loss(normalisation):
    x, z = samples(6)
    x.requires_grad_()

    def value(x):
        return hsic(gaussian_kernel(x, 1.5), gaussian_kernel(z, 1.5), normalisation)

    assert torch.autograd.gradcheck(value, (x,), atol=1e-5)


def test_the_gradient_is_finite_where_two_images_are_equal():
    x = torch.zeros(4, 3, requires_grad=True)
    hsic(gaussian_kernel(x, 1.0), gaussian_kernel(torch.randn(4, 2), 1.0)).backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("sigma", ["median", 1, 2, 5, 10])
def test_the_values_of_the_hsic_bottleneck(reference, sigma):
    """As its own code computes them on one batch of images and codes.

    In float32, as there: rounding moves the plain and the normalised form by up to 3e-4 of their size, the normalised
    operators, which all but invert singular matrices, by up to 4e-3.
    """
    arrays, values = reference("losses")
    kernels = []
    for name, key in (("img", "img"), ("codes12", "codes")):
        x = torch.from_numpy(arrays[name])
        if sigma == "median":
            # Among the distances there are those of each row to its copy; the median of their squares, no root of it,
            # is sigma; and nothing is divided by the dimension. Of the two values in the middle we take the lower.
            width = median_squared_distance(torch.cat([x, x]))
            assert width.item() == pytest.approx(values["hsic_sigma_estimation"][key], rel=1e-4)
            kernels.append(gaussian_kernel(x, width))
        else:
            kernels.append(gaussian_kernel(x, sigma, scale_by_dimension=True))
    for ours, theirs, tolerance in (
        ("mean", "regular", 1e-3),
        ("cka", "normalized", 1e-3),
        ("cca", "normalized_cca", 1e-2),
    ):
        assert hsic(*kernels, ours).item() == pytest.approx(values[f"hsic_{theirs}_sigma_{sigma}"], rel=tolerance)


def test_arguments():
    x = torch.rand(3, 2)
    with pytest.raises(ValueError, match="sigma must be positive, got 0"):
        gaussian_kernel(x, 0.0)
    kernel = gaussian_kernel(x, 1.0)
    with pytest.raises(ValueError, match="normalisation 'biased' is unknown: use one of empirical"):
        hsic(kernel, kernel, "biased")
    with pytest.raises(ValueError, match=r"expected two of \(m, m\), got \(3, 3\) and \(2, 2\)"):
        hsic(kernel, kernel[:2, :2])
    with pytest.raises(ValueError, match="expected two of"):
        hsic(kernel[:1, :1], kernel[:1, :1])
