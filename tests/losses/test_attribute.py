"""Attribute regularisation against a double loop, what ar-vae computes, and what an order cannot see."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.losses import attri_vae_objective, attribute_distances, attribute_loss, kl_to_standard_normal


def pairs(m: int = 7, k: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes with two dimensions more than attributes, of which one has ties."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(m, k + 2, generator=generator, dtype=torch.float64)
    attributes = torch.randn(m, k, generator=generator, dtype=torch.float64)
    attributes[:, 0] = attributes[:, 0].round()
    return z, attributes


def by_loops(z, attributes, delta) -> list[float]:
    def sign(x):
        return (x > 0) - (x < 0)

    m, totals = len(z), []
    for k in range(attributes.shape[1]):
        total = 0.0
        for i in range(m):
            for j in range(m):
                order = sign(float(attributes[i, k]) - float(attributes[j, k]))
                total += abs(math.tanh(delta * (float(z[i, k]) - float(z[j, k]))) - order)
        totals.append(total / m**2)
    return totals


def test_distances_are_antisymmetric_and_of_rows_minus_columns():
    values = torch.tensor([1.0, 4.0, 2.5])
    expected = torch.tensor([[0, -3, -1.5], [3, 0, 1.5], [1.5, -1.5, 0]])
    assert torch.equal(attribute_distances(values), expected)
    both = attribute_distances(torch.stack([values, -values], 1))
    assert torch.equal(both[..., 0], expected)
    assert torch.equal(both[..., 1], expected.T)


@pytest.mark.parametrize("delta", [0.3, 1.0, 10.0, 100.0])
def test_against_a_double_loop(delta):
    z, attributes = pairs()
    assert attribute_loss(z, attributes, delta).tolist() == pytest.approx(by_loops(z, attributes, delta), rel=1e-12)


@pytest.mark.parametrize("delta", [1, 10, 100])
def test_ar_vae_computes_the_same(reference, delta):
    arrays, numbers = reference("losses")
    z, attributes = torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["attr"])
    found = attribute_loss(z, attributes, delta)
    assert found.tolist() == pytest.approx(numbers[f"ar_loss_delta{delta}_per_attr"], rel=1e-5)
    assert found.sum().item() == pytest.approx(numbers[f"ar_loss_delta{delta}_sum"], rel=1e-5)


def test_two_images_by_hand():
    z, attribute = torch.tensor([[0.0], [0.5]]).double(), torch.tensor([[70.0], [90.0]]).double()
    # Of four pairs two count, each with the same distance: 1 - tanh(δ/2), or 1 + tanh(δ/2) in the wrong order.
    for delta in (1.0, 10.0):
        assert attribute_loss(z, attribute, delta).item() == pytest.approx((1 - math.tanh(delta / 2)) / 2)
        assert attribute_loss(-z, attribute, delta).item() == pytest.approx((1 + math.tanh(delta / 2)) / 2)
        assert attribute_loss(z, 0 * attribute, delta).item() == pytest.approx(math.tanh(delta / 2) / 2)  # a tie


def test_its_bounds():
    order = torch.arange(20.0)[:, None]
    assert attribute_loss(order, order, 100).item() == 0
    assert attribute_loss(-order, order, 100).item() == pytest.approx(2 * (1 - 1 / 20))
    collapsed = torch.zeros(20, 1)
    assert attribute_loss(collapsed, order).item() == pytest.approx(1 - 1 / 20)


def test_only_the_regularised_dimensions_have_a_gradient_and_the_attributes_none():
    z, attributes = pairs()
    z.requires_grad_(True)
    attributes.requires_grad_(True)
    attribute_loss(z, attributes, 1.0).sum().backward()
    assert (z.grad[:, :3] != 0).all()
    assert (z.grad[:, 3:] == 0).all()
    assert attributes.grad is None or not attributes.grad.any()


def test_the_gradient_by_hand_vanishes_where_the_order_is_wrong_by_far():
    def gradient(distance: float, delta: float) -> float:
        z = torch.tensor([[0.0], [-distance]], dtype=torch.float64, requires_grad=True)
        attribute_loss(z, torch.tensor([[0.0], [1.0]]).double(), delta).sum().backward()
        return z.grad[1].item()

    for distance, delta in ((0.1, 10.0), (0.3, 10.0), (0.5, 1.0)):
        expected = -delta * (1 - math.tanh(delta * distance) ** 2) / 2
        assert gradient(distance, delta) == pytest.approx(expected)
    assert abs(gradient(2.0, 10.0)) < 1e-10 < abs(gradient(2.0, 1.0))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 12), st.floats(0.1, 50))
def test_what_it_cannot_see(seed, m, delta):
    z, attributes = pairs(m, 2, seed)
    found = attribute_loss(z, attributes, delta)
    assert ((found >= 0) & (found <= 2)).all()
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    assert torch.allclose(attribute_loss(z[order], attributes[order], delta), found)  # the order of the batch
    assert torch.allclose(attribute_loss(-z, -attributes, delta), found)  # both signs
    assert torch.allclose(attribute_loss(z + 3, attributes, delta), found)  # the place of the code
    assert torch.equal(attribute_loss(z, 1000 * attributes - 7, delta), found)  # the unit of the attribute
    assert torch.equal(attribute_loss(z, attributes.exp(), delta), found)  # its scale, if the order stays
    assert torch.allclose(attribute_loss(2 * z, attributes, delta / 2), found)  # δ is an inverse length of the code


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(2, 12), st.floats(0.1, 5))
def test_right_and_wrong_order_of_one_code_add_up(seed, m, delta):
    """Without ties |t - 1| + |t + 1| = 2 for every pair of two images: an order gains what its reverse loses."""
    z, attributes = pairs(m, 2, seed)
    attributes = attributes[:, 1:]
    both = attribute_loss(z, attributes, delta) + attribute_loss(z, -attributes, delta)
    assert both.item() == pytest.approx(2 * (1 - 1 / m))


def test_attri_vae_s_total_by_hand():
    reconstruction, kl = torch.tensor([3.0, 5.0]), torch.tensor([[0.5, 1.0], [2.0, 0.5]])
    attribute = torch.tensor([0.1, 0.4])
    assert attri_vae_objective(reconstruction, kl, attribute).item() == pytest.approx(4 + 2 * 2 + 30 * 0.5)
    assert attri_vae_objective(reconstruction, kl, attribute, 0.5, 2).item() == pytest.approx(4 + 0.5 * 2 + 2 * 0.5)
    assert attri_vae_objective(reconstruction, kl, attribute, 1.0, 0.0).item() == pytest.approx(4 + 2)


def test_the_elbo_of_the_total_is_that_of_the_reference(reference):
    arrays, numbers = reference("losses")
    kl = kl_to_standard_normal(torch.from_numpy(arrays["mu"]), torch.from_numpy(arrays["logvar"]))
    attribute = attribute_loss(torch.from_numpy(arrays["z"]), torch.from_numpy(arrays["attr"]))
    found = attri_vae_objective(torch.zeros(64), kl, attribute, beta=2, gamma_reg=30).item()
    assert found == pytest.approx(2 * numbers["softintro_kl_mean"] + 30 * numbers["ar_loss_delta10_sum"], rel=1e-5)


@pytest.mark.parametrize("delta", [0, -1, float("nan")])
def test_delta_must_be_positive(delta):
    with pytest.raises(ValueError, match="delta must be positive"):
        attribute_loss(*pairs(), delta)


@pytest.mark.parametrize("shape", [(7,), (6, 3), (7, 6), (7, 3, 1)])
def test_shapes_that_do_not_fit(shape):
    z, _ = pairs()
    with pytest.raises(ValueError, match=r"attributes must be \(B, K\) for codes z \(B, D\) with K at most D, got"):
        attribute_loss(z, torch.zeros(shape))
