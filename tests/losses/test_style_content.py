"""Equations 9, 11 and 14 to 17 of Havaei et al. (2021) by hand, and 19 on two images."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medlatent.losses import (
    code_cycle_loss,
    code_distance,
    drai_objective,
    gaussian_code_nll,
    gradient_reversal,
    infogan_objective,
    information_bound,
    kl_to_standard_normal,
    normal_entropy,
    reversed_prediction_loss,
    self_supervision_loss,
)
from medlatent.metrics.style_content import cifc

Z = torch.tensor([[1.0, -2.0], [0.5, 0.0]]).double()
C = torch.tensor([[0.0, 1.0, 2.0], [-1.0, 3.0, 1.0]]).double()
Z_OTHER = torch.tensor([[0.0, 1.0], [0.5, -1.0]]).double()
C_OTHER = torch.tensor([[0.0, 1.0, -1.0], [2.0, 3.0, 1.0]]).double()
STYLES, CONTENTS = [(1 + 3) / 2, (0 + 1) / 2], [3 / 3, 3 / 3]  # the mean absolute differences


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ------------------------------------------------------------------------------------------------------ 9: code cycle


def test_equation_9_by_hand():
    assert code_distance(Z, Z_OTHER).tolist() == STYLES
    assert code_distance(C, C_OTHER).tolist() == CONTENTS
    assert code_cycle_loss(Z, C, Z_OTHER, C_OTHER).tolist() == [2 + 1, 0.5 + 1]
    assert code_cycle_loss(Z, C, Z, C).tolist() == [0, 0]


def test_what_a_cycle_of_codes_begins_with():
    prior, other = normal(20_000, 8), normal(20_000, 8, seed=1)
    assert code_distance(prior, other).mean().item() == pytest.approx(2 / math.sqrt(math.pi), rel=0.01)
    assert code_distance(prior, torch.zeros_like(prior)).mean().item() == pytest.approx(
        math.sqrt(2 / math.pi), rel=0.01
    )


# ----------------------------------------------------------------------------------------------- 11: reversed gradients


@pytest.mark.parametrize("strength", [0.0, 0.3, 1.0, 2.0])
def test_a_gradient_is_reversed_and_scaled_and_the_value_is_not(strength):
    x, w = Z.clone().requires_grad_(), C[:, :2]
    y = gradient_reversal(x, strength)
    assert torch.equal(y, x)
    (w * y.square()).sum().backward()  # its gradient would be 2 w x
    assert torch.equal(x.grad, -strength * 2 * w * Z)


def test_reversed_twice_is_a_gradient_again():
    x = Z.clone().requires_grad_()
    gradient_reversal(gradient_reversal(x, 0.5), 4.0).pow(3).sum().backward()
    assert torch.equal(x.grad, 0.5 * 4 * 3 * Z.square())


def test_equation_11_by_hand():
    """One image, one style a, one content b, F_z(b) = u b and F_c(a) = v a, at a = 2, b = 3, u = ½ and v = 4."""
    a, b, u, v = (torch.tensor([[value]]).double().requires_grad_() for value in (2.0, 3.0, 0.5, 4.0))
    found = reversed_prediction_loss(a, b, lambda code: u * code, lambda code: v * code, strength=0.1)
    assert found.item() == abs(2 - 0.5 * 3) + abs(3 - 4 * 2)
    found.sum().backward()
    # The loss is (a - u b) + (v a - b). The predictors go down, the encoder goes a tenth as steeply up.
    assert (u.grad.item(), v.grad.item()) == (-3, 2)
    assert a.grad.item() == pytest.approx(-0.1 * (1 + 4))
    assert b.grad.item() == pytest.approx(-0.1 * (-0.5 - 1))
    for value in (a, b, u, v):
        value.grad = None
    reversed_prediction_loss(a, b, lambda code: u * code, lambda code: v * code, reverse_targets=False).backward()
    assert (u.grad.item(), v.grad.item()) == (-3, 2)
    # What is predicted is a constant: of the first term u alone is left of b, of the second v of a.
    assert (a.grad.item(), b.grad.item()) == (-4, 0.5)


def test_the_encoder_s_gradient_is_that_of_the_negative_loss_and_the_predictors_is_not():
    torch.manual_seed(0)
    encoder = nn.Linear(4, 5).double()
    predict_z, predict_c = (nn.Sequential(nn.Linear(i, 6), nn.Tanh(), nn.Linear(6, 5 - i)).double() for i in (3, 2))
    codes = encoder(normal(7, 4))
    z, c = codes[:, :2], codes[:, 2:]
    parameters = [*encoder.parameters()], [*predict_z.parameters(), *predict_c.parameters()]
    plain = code_distance(z, predict_z(c)) + code_distance(c, predict_c(z))
    theirs = [torch.autograd.grad(plain.mean(), part, retain_graph=True) for part in parameters]
    loss = reversed_prediction_loss(z, c, predict_z, predict_c, strength=0.7)
    assert torch.equal(loss, plain)
    ours = [torch.autograd.grad(loss.mean(), part, retain_graph=True) for part in parameters]
    for sign, mine, other in zip((-0.7, 1), ours, theirs, strict=True):
        assert all(torch.allclose(m, sign * o) for m, o in zip(mine, other, strict=True))
        assert all(m.abs().sum() > 0 for m in mine)


@pytest.mark.parametrize("reverse_targets", [True, False])
def test_the_game_can_be_won_by_scale_alone(reverse_targets):
    """The style is k (0.8 c + 0.6 noise), and the encoder can change nothing but k, which says nothing of c.

    The predictor is u c. What it cannot predict grows with k, and so does k where the target's gradient is reversed.
    """
    c, noise = normal(500, 1), normal(500, 1, seed=1)
    k, u = (torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (1.0, 0.8))
    losses = []
    for _ in range(100):
        z = k * (0.8 * c + 0.6 * noise)
        loss = reversed_prediction_loss(
            z, c, lambda code: u * code, torch.zeros_like, reverse_targets=reverse_targets
        ).mean()
        for parameter, rate in ((k, 0.1), (u, 1.0)):  # the predictor is the quicker one
            (gradient,) = torch.autograd.grad(loss, parameter, retain_graph=True, materialize_grads=True)
            parameter.data -= rate * gradient
        losses.append(loss.item())
    if reverse_targets:
        assert k.item() > 4
        assert u.item() == pytest.approx(0.8 * k.item(), rel=0.1)  # the predictor keeps up
        assert losses[-1] > losses[0] + 1
    else:
        assert k.item() == 1
        assert losses[-1] == pytest.approx(losses[0], abs=0.02)


# ----------------------------------------------------------------------------------------------- 15: attract and repel


def test_equation_15_by_hand():
    found = self_supervision_loss(Z, C, Z_OTHER, C_OTHER)
    assert found.tolist() == [1 - 2, 1 - 0.5]
    assert self_supervision_loss(Z, C, Z, C).tolist() == [0, 0]


def test_attraction_ends_and_repulsion_does_not():
    styles = [self_supervision_loss(k * Z, C, -k * Z, C).sum().item() for k in (1, 10, 1000)]
    assert styles == pytest.approx([-3.5, -35, -3500])
    z = (1000 * Z).requires_grad_()
    self_supervision_loss(z, C, -z.detach(), C).sum().backward()
    assert z.grad.abs().sum().item() == pytest.approx(
        1.5
    )  # ½ of each dimension that is not 0, as hard as near the centre


def test_the_kl_gives_the_repelling_term_a_minimum():
    """An image and its copy with posteriors at m and -m in every dimension: -2m + λ m² / 2, least at m = 2/λ."""
    m = torch.linspace(0, 25, 5001, dtype=torch.float64)[:, None].expand(-1, 4)
    flat = torch.zeros_like(m)
    repel = self_supervision_loss(m, flat, -m, flat)
    assert repel.argmin() == 5000  # alone: as far as the grid goes
    kl = kl_to_standard_normal(torch.stack([m, -m], 1), torch.stack([flat, flat], 1))
    for lambda_kl in (0.1, 1.0):
        loss = [drai_objective({"self": repel[i : i + 1]}, {"z": kl[i]}, lambda_kl).item() for i in range(0, 5001, 10)]
        assert m[10 * min(range(501), key=loss.__getitem__), 0].item() == pytest.approx(2 / lambda_kl)


# --------------------------------------------------------------------------------------- 16 to 18: whole objectives


def test_equation_16_by_hand():
    terms = {"game": torch.tensor([[1.0], [3.0]]), "cycle": torch.tensor([0.5, 0.5])}
    divergences = {"z": torch.tensor([[1.0, 2.0], [0.0, 1.0]]), "c": torch.tensor([[4.0], [0.0]])}
    assert drai_objective(terms, divergences).item() == (2 + 0.5) + (4 / 4 + 4 / 2)
    assert drai_objective(terms, divergences, lambda_kl=0.25).item() == 2.5 + 0.75
    assert drai_objective(terms, {}).item() == 2.5


def test_equation_17_by_hand_and_with_a_style_that_is_read_exactly():
    assert infogan_objective(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 0.0]), 3.0).item() == 3 - 3 / 2
    assert infogan_objective(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 0.0])).item() == 3 - 1 / 2
    z = normal(5000, 3)
    reader = torch.zeros_like(z), torch.zeros_like(z)  # knows the prior and nothing else: the bound is 0
    bound = information_bound(normal_entropy(3), gaussian_code_nll(*reader, z))
    assert infogan_objective(torch.zeros(5000).double(), bound).item() == pytest.approx(0, abs=0.05)


# --------------------------------------------------------------------------- 19: cross image feature consistency error


def encode(images):
    """The style is the first of two pixels, the content the second."""
    return images[:, 0, 0, :1], images[:, 0, 0, 1:]


def leak(z, c):
    """An image whose content has taken in half of the style."""
    return torch.stack([z, c + 0.5 * z], 2)[:, None]


TWO = torch.tensor([[1.0, 2.0], [3.0, 5.0]]).double()[:, None, None]


def test_equation_19_on_two_images_by_hand():
    """I_ab = (3, 2 + 3/2) and I_ba = (1, 5 + 1/2); so I_aa = (1, 3½ + ½) and I_bb = (3, 5½ + 3/2)."""
    result = cifc(encode, leak, TWO)
    assert result.style == 0
    assert result.content == result.score == abs(2 - 4) + abs(5 - 7)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_codes_that_are_constant_have_no_error_whatever_is_generated(value):
    def constant(images):
        return tuple(torch.full_like(code, value) for code in encode(images))

    for generate in (leak, lambda z, c: 100 * leak(c, z) - 3):
        assert cifc(constant, generate, TWO).score == 0


# ---------------------------------------------------------------------------------------------------------- arguments


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 9))
def test_the_order_of_the_batch_is_free(seed, m):
    z, c, z_other, c_other = (normal(m, d, seed=seed + 5000 * k) for k, d in enumerate((2, 3, 2, 3)))
    order = torch.randperm(m, generator=torch.Generator().manual_seed(seed))
    for loss in (code_cycle_loss, self_supervision_loss):
        found = loss(z, c, z_other, c_other)
        assert found.shape == (m,)
        assert torch.allclose(loss(z[order], c[order], z_other[order], c_other[order]), found[order])


def short(code):
    return code[:, :1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: code_distance(Z, C), r"one shape, got code \(2, 2\), other \(2, 3\)"),
        (lambda: code_distance(Z[0], Z[0]), r"codes \(B, D\) of one batch, got code \(2,\)"),
        (lambda: code_cycle_loss(Z, C, Z_OTHER, Z), r"one shape, got c \(2, 3\), c_again \(2, 2\)"),
        (lambda: code_cycle_loss(Z, C[:1], Z, C[:1]), r"one batch, got z \(2, 2\), z_again \(2, 2\), c \(1, 3\)"),
        (lambda: self_supervision_loss(Z, C, C, C), r"one shape, got z \(2, 2\), z_transformed \(2, 3\)"),
        (lambda: gradient_reversal(Z, -1.0), r"strength must not be negative, got -1\.0"),
        (lambda: reversed_prediction_loss(Z, C, short, short, -2.0), r"strength must not be negative, got -2\.0"),
        (lambda: reversed_prediction_loss(Z, C[:1], short, short), r"one batch, got z \(2, 2\), c \(1, 3\)"),
        (lambda: reversed_prediction_loss(Z, C, short, short), r"one shape, got z \(2, 2\), predict_z \(2, 1\)"),
        (
            lambda: reversed_prediction_loss(Z, C, lambda c: c[:, :2], short),
            r"one shape, got c \(2, 3\), predict_c \(2, 1\)",
        ),
        (lambda: drai_objective({}, {"z": Z}), "terms: expected at least one"),
        (lambda: drai_objective({"a": Z[:, 0], "b": Z}, {}), r"terms\['b'\]: expected one value an image.*\(2, 2\)"),
        (lambda: drai_objective({"a": Z.mean()}, {}), r"terms\['a'\]: expected one value an image"),
        (lambda: drai_objective({"a": Z[:, 0]}, {"c": Z[:, 0]}), r"divergences\['c'\]: expected \(B, D\), got \(2,\)"),
        (lambda: drai_objective({"a": Z[:, 0]}, {}, -0.5), r"lambda_kl must not be negative, got -0\.5"),
        (lambda: infogan_objective(Z[:, 0], Z[:, :1]), r"one shape, got game \(2,\), bound \(2, 1\)"),
        (lambda: infogan_objective(Z[:, 0], Z[:, 0], -1), "lambda_information must not be negative, got -1"),
    ],
)
def test_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
