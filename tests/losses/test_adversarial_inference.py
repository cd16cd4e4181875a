"""Equations 1 to 8 of Havaei et al. (2021) by hand, and on tables where every posterior can be summed."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.losses import (
    JudgedPairs,
    ali_discriminator_loss,
    ali_generator_loss,
    conditional_discriminator_loss,
    conditional_generator_loss,
    dual_ali_discriminator_loss,
    dual_ali_generator_loss,
    factorised_posterior,
    image_cycle_discriminator_loss,
    image_cycle_generator_loss,
    matching_discriminator_loss,
    matching_generator_loss,
    posterior_dependence,
)

outputs = st.lists(st.floats(-3, 3), min_size=5, max_size=5)


def double(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


# -------------------------------------------------------------------------------------------- 1: the conditional game


@settings(deadline=None)
@given(outputs)
def test_equation_1_by_hand(values):
    real, generated, real_pair, mismatched_pair, generated_pair = values
    found = conditional_discriminator_loss(*(double(value) for value in values)).item()
    images = ((real - 1) ** 2 + generated**2) / 2
    pairs = ((real_pair - 1) ** 2 + (mismatched_pair**2 + generated_pair**2) / 2) / 2
    assert found == pytest.approx(images + pairs)
    alone = matching_discriminator_loss(double(real_pair), double(mismatched_pair), double(generated_pair))
    assert alone.item() == pytest.approx(pairs)
    assert matching_generator_loss(double(generated_pair)).item() == pytest.approx((generated_pair - 1) ** 2 / 4)
    found = conditional_generator_loss(double(generated), double(generated_pair)).item()
    assert found == pytest.approx((generated - 1) ** 2 / 2 + (generated_pair - 1) ** 2 / 4)


def test_equation_1_in_one_value_an_image():
    half = torch.full((3, 1), 0.5)
    assert torch.equal(conditional_discriminator_loss(*[half] * 5), half)
    assert conditional_generator_loss(half, half).shape == (3, 1)


# p(x, t) of three images and two conditions, and what a generator makes of the conditions, G[x, t].
P = double(0.20, 0.10, 0.15, 0.15, 0.10, 0.30).reshape(3, 2)
G = double(0.10, 0.30, 0.20, 0.05, 0.15, 0.20).reshape(3, 2)
MISMATCHED = P.sum(1, keepdim=True) * P.sum(0)  # image and condition drawn apart


def best_pair_discriminator(generated: torch.Tensor) -> tuple[torch.Tensor, float]:
    """The outputs of D_{x,t} for the six pairs that minimise its expected loss, and the least loss; D_x is right.

    The expected loss is a parabola in each output: three points of it are enough.
    """
    one, zero = torch.ones(3, 2).double(), torch.zeros(3, 2).double()

    def expected(output: float) -> torch.Tensor:
        d = output * one  # for a pair of each of the three kinds; what is not meant is at its target and adds nothing
        return (
            P * conditional_discriminator_loss(one, zero, d, zero, zero)
            + MISMATCHED * conditional_discriminator_loss(one, zero, one, d, zero)
            + generated * conditional_discriminator_loss(one, zero, one, zero, d)
        )

    at_0, at_half, at_1 = (expected(output) for output in (0, 0.5, 1))
    curvature = 4 * (at_0 - 2 * at_half + at_1)
    slope = at_1 - at_0 - curvature / 2  # at 0
    return -slope / curvature, (at_0 - slope**2 / (2 * curvature)).sum().item()


def test_the_best_matching_aware_discriminator_weighs_its_two_kinds_of_negatives_alike():
    found, least = best_pair_discriminator(G)
    negative = (MISMATCHED + G) / 2
    assert torch.allclose(found, P / (P + negative), atol=1e-12)
    assert least == pytest.approx(0.5 * (P * negative / (P + negative)).sum().item(), abs=1e-12)


def test_the_generator_that_leaves_it_helpless_is_not_the_data():
    """Half of the negatives are mismatched whatever the generator does: it has to make up for them, 2p - p(x) p(t)."""
    overdone = 2 * P - MISMATCHED
    assert (overdone > 0).all()
    assert torch.allclose(overdone.sum(1), P.sum(1))  # and D_x, which sees the images alone, has nothing against it
    found, least = best_pair_discriminator(overdone)
    assert torch.allclose(found, torch.full_like(found, 0.5), atol=1e-12)
    assert least == pytest.approx(0.25)
    of_the_data, less = best_pair_discriminator(P)
    assert less < 0.249
    assert (of_the_data - 0.5).abs().max() > 0.01


# ------------------------------------------------------------------------------------------ 2, 7: adversarial inference


@settings(deadline=None)
@given(outputs)
def test_equations_2_and_7_by_hand(values):
    inferred, generated, inferred_c, generated_c = values[:4]
    pair = double(inferred), double(generated)
    assert ali_discriminator_loss(*pair).item() == pytest.approx(((inferred - 1) ** 2 + generated**2) / 2)
    assert ali_generator_loss(*pair).item() == pytest.approx((inferred**2 + (generated - 1) ** 2) / 2)
    both = JudgedPairs(*pair), JudgedPairs(double(inferred_c), double(generated_c))
    expected = (inferred - 1) ** 2 + (inferred_c - 1) ** 2 + generated**2 + generated_c**2
    assert dual_ali_discriminator_loss(*both).item() == pytest.approx(expected / 2)
    expected = inferred**2 + inferred_c**2 + (generated - 1) ** 2 + (generated_c - 1) ** 2
    assert dual_ali_generator_loss(*both).item() == pytest.approx(expected / 2)


def test_encoder_and_generator_pull_the_other_way_than_the_discriminator():
    judged = [double(0.3, 0.8).requires_grad_() for _ in range(4)]
    pairs = JudgedPairs(*judged[:2]), JudgedPairs(*judged[2:])
    ours = torch.autograd.grad(dual_ali_generator_loss(*pairs).sum(), judged)
    theirs = torch.autograd.grad(dual_ali_discriminator_loss(*pairs).sum(), judged)
    assert all((a * b < 0).all() for a, b in zip(ours, theirs, strict=True))


# --------------------------------------------------------------------- 3 to 6: what two separate encoders can hold


def exclusive_or() -> torch.Tensor:
    """p(z, c, x) of two fair bits, and an image that shows whether they differ."""
    joint = torch.zeros(2, 2, 2, dtype=torch.float64)
    for z in range(2):
        for c in range(2):
            joint[z, c, z ^ c] = 1 / 4
    return joint


def side_by_side() -> torch.Tensor:
    """The same bits, and an image with a place for each."""
    joint = torch.zeros(2, 2, 4, dtype=torch.float64)
    for z in range(2):
        for c in range(2):
            joint[z, c, 2 * z + c] = 1 / 4
    return joint


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_every_posterior_summed(seed):
    draw = torch.Generator().manual_seed(seed)
    joint = torch.rand(3, 2, 4, generator=draw, dtype=torch.float64)
    joint[0, 0, 0] = 0  # a combination that never occurs
    joint = joint / joint.sum()
    found, lost = factorised_posterior(joint), 0.0
    table = joint.tolist()
    for x in range(4):
        p_x = sum(table[z][c][x] for z in range(3) for c in range(2))
        for z in range(3):
            for c in range(2):
                p_z = sum(table[z][other][x] for other in range(2)) / p_x
                p_c = sum(table[other][c][x] for other in range(3)) / p_x
                assert found[z, c, x].item() == pytest.approx(p_z * p_c)
                if table[z][c][x]:
                    lost += table[z][c][x] * math.log(table[z][c][x] / p_x / (p_z * p_c))
    assert posterior_dependence(joint).item() == pytest.approx(lost, abs=1e-12)
    assert 0 <= lost <= math.log(2)


def test_independent_codes_may_have_a_posterior_that_does_not_factorise():
    for joint, dependence in ((exclusive_or(), math.log(2)), (side_by_side(), 0.0)):
        codes = joint.sum(2)
        assert torch.equal(codes, torch.full((2, 2), 0.25).double())  # z and c are independent in both
        assert posterior_dependence(joint).item() == pytest.approx(dependence, abs=1e-12)
    assert torch.equal(factorised_posterior(exclusive_or()), torch.full((2, 2, 2), 0.25).double())


def best_discriminator_loss(q: torch.Tensor, p: torch.Tensor) -> float:
    """The expected loss of equation 2 at its best discriminator, q / (q + p), on tables."""
    q, p = q.flatten(), p.flatten()
    best = q / (q + p)
    inferred, generated = torch.broadcast_tensors(best[:, None], best[None, :])  # drawn independently
    return (q[:, None] * p[None, :] * ali_discriminator_loss(inferred, generated)).sum().item()


def test_both_pairs_may_match_where_image_style_and_content_do_not():
    p = exclusive_or()
    p_x = p.sum((0, 1))
    q = p_x * factorised_posterior(p)  # two encoders, each of which has the true posterior of its code
    for pair in (0, 1):  # equations 6 and 5: p(c, x) and p(z, x)
        assert torch.equal(q.sum(pair), p.sum(pair))
        assert best_discriminator_loss(q.sum(pair), p.sum(pair)) == pytest.approx(0.25)
    half = JudgedPairs(torch.full((4,), 0.5), torch.full((4,), 0.5))
    assert torch.equal(dual_ali_discriminator_loss(half, half), torch.full((4,), 0.5))  # both games are over
    assert best_discriminator_loss(q, p) < 0.2  # one that saw all three would tell them apart
    # The codes that are inferred from an image give another image half of the time.
    assert (q * (p > 0)).sum().item() == pytest.approx(0.5)


# ----------------------------------------------------------------------------------------------- 8: the cycle of images


@settings(deadline=None)
@given(outputs)
def test_equation_8_by_hand(values):
    same, reconstructed = values[:2]
    found = image_cycle_discriminator_loss(double(same), double(reconstructed)).item()
    assert found == pytest.approx(((same - 1) ** 2 + reconstructed**2) / 2)
    assert image_cycle_generator_loss(double(reconstructed)).item() == pytest.approx((reconstructed - 1) ** 2 / 2)


# ---------------------------------------------------------------------------------------------------------- arguments

ONE, COLUMN = torch.zeros(4), torch.zeros(4, 1)
THIRD = torch.full((2, 2, 3), 1 / 12)
SHIFT = torch.tensor([-0.5, 0.5])[:, None, None]  # the sum stays 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: conditional_discriminator_loss(ONE, ONE, ONE, COLUMN, ONE),
            r"one shape, got real \(4,\), .*mismatched_pair \(4, 1\)",
        ),
        (lambda: conditional_generator_loss(ONE, COLUMN), r"generated \(4,\), generated_pair \(4, 1\)"),
        (lambda: ali_discriminator_loss(ONE, COLUMN), r"inferred \(4,\), generated \(4, 1\)"),
        (lambda: ali_generator_loss(COLUMN, ONE), r"inferred \(4, 1\), generated \(4,\)"),
        (
            lambda: dual_ali_discriminator_loss(JudgedPairs(ONE, ONE), JudgedPairs(ONE, COLUMN)),
            r"style\.generated \(4,\), content\.inferred \(4,\), content\.generated \(4, 1\)",
        ),
        (
            lambda: dual_ali_generator_loss(JudgedPairs(ONE, ONE), JudgedPairs(COLUMN, COLUMN)),
            r"style\.generated \(4,\), content\.inferred \(4, 1\)",
        ),
        (lambda: image_cycle_discriminator_loss(ONE, COLUMN), r"same \(4,\), reconstructed \(4, 1\)"),
        (lambda: factorised_posterior(THIRD[0]), r"joint: expected a table \(Z, C, X\), got \(2, 3\)"),
        (
            lambda: factorised_posterior(THIRD * 2),
            r"joint: expected probabilities that sum to 1, .* whose sum is (1\.999|2)",
        ),
        (lambda: factorised_posterior(THIRD * math.nan), "joint: expected probabilities that sum to 1"),
        (lambda: posterior_dependence(THIRD + SHIFT), r"sum to 1, got -0\.41\d* to 0\.58"),
        (
            lambda: posterior_dependence(THIRD * torch.tensor([1.5, 0, 1.5])),
            "joint: image 1 has probability 0 and no posterior; leave it out",
        ),
    ],
)
def test_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
