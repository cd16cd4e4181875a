"""The soft-introspective losses against the printed equations, the published code's numbers, and each other."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.losses import (
    JudgedImages,
    ar_sivae_encoder_loss,
    feature_error,
    introspective_penalty,
    kl_to_standard_normal,
    sivae_decoder_loss,
    sivae_encoder_loss,
    soft_exponential,
    soft_introspective_decoder_loss,
    soft_introspective_encoder_loss,
    squared_error,
)

S = 1 / 128**2
REAL = JudgedImages(torch.tensor([100.0, 250.0]).double(), torch.tensor([20.0, 40.0]).double())
DRAWN = JudgedImages(torch.tensor([60.0, 90.0]).double(), torch.tensor([3.0, 8.0]).double())
RECONSTRUCTED = JudgedImages(torch.tensor([40.0, 10.0]).double(), torch.tensor([5.0, 1.0]).double())


def penalty(kind: JudgedImages, i: int, beta_rec: float = 0.8, beta_neg: float = 1024.0) -> float:
    return math.exp(-2 * S * (beta_rec * float(kind.reconstruction[i]) + beta_neg * float(kind.kl[i])))


def test_equation_4_by_hand():
    real, generated = torch.tensor([-3.0, -1.0]).double(), torch.tensor([-0.5, -2.0]).double()
    for alpha in (0.5, 2.0):
        soft = [math.exp(alpha * -0.5) / alpha, math.exp(alpha * -2.0) / alpha]
        assert soft_exponential(generated, alpha).tolist() == pytest.approx(soft)
        found = soft_introspective_encoder_loss(real, generated, alpha).item()
        assert found == pytest.approx(-((-3 - soft[0]) + (-1 - soft[1])) / 2)
    for eta in (0.0, 1.0, 0.3):
        found = soft_introspective_decoder_loss(real, generated, eta).item()
        assert found == pytest.approx(-((-3 + eta * -0.5) + (-1 + eta * -2.0)) / 2)


def test_equation_5_adds_the_attributes_so_that_minimising_orders_them():
    real, generated, attribute = torch.tensor([-3.0, -1.0]), torch.tensor([-0.5, -2.0]), torch.tensor([0.4, 0.8])
    without = soft_introspective_encoder_loss(real, generated)
    found = ar_sivae_encoder_loss(real, generated, attribute, gamma_reg=0.5)
    assert (found - without).item() == pytest.approx(0.5 * 1.2, rel=1e-6)
    assert ar_sivae_encoder_loss(real, generated, attribute, gamma_reg=0.0).item() == pytest.approx(without.item())


def test_equation_6_as_printed_and_as_computed():
    elbo = S * (0.8 * 175 + 1.0 * 30)
    drawn, reconstructed = ((penalty(kind, 0) + penalty(kind, 1)) / 2 for kind in (DRAWN, RECONSTRUCTED))
    assert sivae_encoder_loss(REAL, [DRAWN], S).item() == pytest.approx(elbo + drawn / 2)
    two = sivae_encoder_loss(REAL, [RECONSTRUCTED, DRAWN], S)
    assert two.item() == pytest.approx(elbo + (drawn + reconstructed) / 4)
    attribute = torch.tensor([0.5, 1.0]).double()
    with_attributes = sivae_encoder_loss(REAL, [DRAWN], S, attribute=attribute, gamma_reg=0.05)
    assert with_attributes.item() == pytest.approx(0.05 * 1.5 + elbo + drawn / 2)  # not scaled by s
    other = sivae_encoder_loss(REAL, [DRAWN], S, beta_rec=2.0, beta_kl=3.0, beta_neg=100.0)
    drawn = (penalty(DRAWN, 0, 2.0, 100.0) + penalty(DRAWN, 1, 2.0, 100.0)) / 2
    assert other.item() == pytest.approx(S * (2 * 175 + 3 * 30) + drawn / 2)


def test_equation_7_as_printed_and_as_computed():
    for eta in (1e-8, 0.5):
        drawn, reconstructed = eta * 0.8 * 75 + 5.5, eta * 0.8 * 25 + 3.0
        one = sivae_decoder_loss(REAL.reconstruction, [DRAWN], S, eta=eta)
        assert one.item() == pytest.approx(S * (0.8 * 175 + drawn))
        two = sivae_decoder_loss(REAL.reconstruction, [RECONSTRUCTED, DRAWN], S, eta=eta)
        assert two.item() == pytest.approx(S * (0.8 * 175 + (drawn + reconstructed) / 2))
    heavier = sivae_decoder_loss(REAL.reconstruction, [DRAWN], S, beta_rec=2.0, beta_kl=3.0)
    assert heavier.item() == pytest.approx(S * (2 * 175 + 3 * 5.5), rel=1e-6)


def test_equation_6_is_equation_4_at_alpha_2_with_the_scaled_elbo():
    """With one weight of the KL, ELBO = -s (β_rec L_r + β_kl L_KL) makes them the same: ½ is 1 / α."""

    def elbo(kind):
        return -S * (0.8 * kind.reconstruction + 3.0 * kind.kl)

    found = sivae_encoder_loss(REAL, [DRAWN], S, beta_kl=3.0, beta_neg=3.0)
    assert found.item() == pytest.approx(soft_introspective_encoder_loss(elbo(REAL), elbo(DRAWN)).item())
    attribute = torch.tensor([0.2, 1.1]).double()
    found = sivae_encoder_loss(REAL, [DRAWN], S, attribute=attribute, gamma_reg=0.7, beta_kl=3.0, beta_neg=3.0)
    assert found.item() == pytest.approx(ar_sivae_encoder_loss(elbo(REAL), elbo(DRAWN), attribute, 0.7).item())


def test_terms_of_the_published_code_on_its_batch(reference):
    arrays, numbers = reference("losses")
    mean, logvar, x, xr = (torch.from_numpy(arrays[name]) for name in ("mu", "logvar", "x", "xr"))
    kl, errors = kl_to_standard_normal(mean, logvar).sum(1), squared_error(xr, x)
    assert kl.mean().item() == pytest.approx(numbers["softintro_kl_mean"], rel=1e-5)
    # Inside the exponential a sum over pixels, outside a mean over them.
    assert errors[:3].tolist() == pytest.approx(numbers["compai_softintro_rec_none_first3"], rel=1e-5)
    per_pixel = errors / x[0].numel()
    assert per_pixel.mean().item() == pytest.approx(numbers["compai_softintro_rec_mean"], rel=1e-5)
    real, generated = JudgedImages(per_pixel, kl), JudgedImages(errors, kl)
    found = sivae_encoder_loss(real, [generated, generated], S).item()
    expected = S * (0.8 * numbers["compai_softintro_rec_mean"] + numbers["softintro_kl_mean"])
    pulled = sum(math.exp(-2 * S * (0.8 * e + 1024 * k)) for e, k in zip(errors.tolist(), kl.tolist(), strict=True))
    assert found == pytest.approx(expected + 0.5 * pulled / 64, rel=1e-5)


def test_the_exponential_stops_pulling_and_never_overflows():
    kl = torch.tensor([0.0, 10.0, 1e4, 1e30], requires_grad=True)
    found = introspective_penalty(JudgedImages(torch.zeros(4), kl), S)
    assert found[0] == 1
    assert found[3] == 0
    found.sum().backward()
    assert kl.grad[0].item() == pytest.approx(-2 * S * 1024)
    assert kl.grad[1].item() == pytest.approx(-2 * S * 1024 * math.exp(-2 * S * 1024 * 10))
    assert (kl.grad[2:].abs() < 1e-30).all()  # a plain -KL would pull as hard as ever


def test_a_small_alpha_is_the_plain_elbo():
    elbo = torch.tensor([-3.0, -0.5, -7.0], dtype=torch.float64)
    alpha = 1e-6
    assert torch.allclose(soft_exponential(elbo, alpha) - 1 / alpha, elbo, atol=1e-4)


def test_who_gets_which_gradient():
    parts = [t.clone().requires_grad_(True) for kind in (REAL, RECONSTRUCTED, DRAWN) for t in kind]
    real, reconstructed, drawn = (JudgedImages(*parts[i : i + 2]) for i in (0, 2, 4))
    attribute = torch.ones(2, dtype=torch.float64, requires_grad=True)
    sivae_encoder_loss(real, [reconstructed, drawn], S, attribute=attribute, gamma_reg=0.05).backward()
    assert all((t.grad > 0).all() for t in real)
    assert all((t.grad < 0).all() for kind in (reconstructed, drawn) for t in kind)  # asked to be judged worse
    assert attribute.grad.tolist() == pytest.approx([0.05, 0.05])
    for t in parts:
        t.grad = None
    sivae_decoder_loss(real.reconstruction, [reconstructed, drawn], S).backward()
    assert real.kl.grad is None
    assert all((t.grad > 0).all() for kind in (reconstructed, drawn) for t in kind)  # and better


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9))
def test_the_order_of_the_batch_and_of_the_kinds_is_free(seed, m):
    generator = torch.Generator().manual_seed(seed)
    values = 50 * torch.rand(6, m, generator=generator, dtype=torch.float64)
    real, a, b = (JudgedImages(*values[i : i + 2]) for i in (0, 2, 4))
    found = sivae_encoder_loss(real, [a, b], S), sivae_decoder_loss(real.reconstruction, [a, b], S)
    order = torch.randperm(m, generator=generator)
    real, a, b = (JudgedImages(kind.reconstruction[order], kind.kl[order]) for kind in (real, a, b))
    again = sivae_encoder_loss(real, [b, a], S), sivae_decoder_loss(real.reconstruction, [b, a], S)
    assert torch.allclose(torch.stack(again), torch.stack(found))
    everywhere = introspective_penalty(a, S)
    assert ((everywhere > 0) & (everywhere <= 1)).all()


def test_arguments():
    one = torch.zeros(1)
    with pytest.raises(ValueError, match="alpha must be positive, got 0"):
        soft_introspective_encoder_loss(one, one, 0)
    with pytest.raises(ValueError, match="alpha must be positive, got -1"):
        ar_sivae_encoder_loss(one, one, one, alpha=-1)
    with pytest.raises(ValueError, match=r"eta must not be negative, got -0\.1"):
        soft_introspective_decoder_loss(one, one, -0.1)


def test_feature_error_by_hand():
    ours = [torch.full((2, 3, 4, 4), 1.0), torch.zeros(2, 1, 2, 2)]
    theirs = [torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 2, 2)]
    theirs[1][1, 0, 0, 0] = 2.0
    assert feature_error(ours, theirs).tolist() == pytest.approx([1.0, 1.0 + 4 / 4])
    for maps in ([], ours[:1]):
        with pytest.raises(ValueError, match=r"maps: expected those of the same layers, at least one, got"):
            feature_error(maps, [] if not maps else theirs)
