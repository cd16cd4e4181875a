"""RCA and shift loss: reconstructors that know the answer, half of it, or nothing."""

import numpy as np
import pytest
import torch
from torch import nn

from medlatent.metrics.directions import reconstructor_accuracy

DIRECTIONS = torch.linalg.qr(torch.randn(6, 4, generator=torch.Generator().manual_seed(0)))[0]


def generate(z):
    return z  # an image that shows its code


def oracle(images, shifted):
    """Reads direction and shift off the difference: the columns are orthonormal."""
    along = (shifted - images) @ DIRECTIONS
    k = along.abs().argmax(1)
    return nn.functional.one_hot(k, 4).float(), along.gather(1, k[:, None])[:, 0]


def blind(images, shifted):
    return torch.eye(4)[[0]].expand(len(images), -1), torch.zeros(len(images))


def test_a_reconstructor_that_knows_is_right():
    result = reconstructor_accuracy(generate, DIRECTIONS, oracle, batches=5)
    assert result.score == 1
    assert result.shift_loss < 1e-5
    assert np.trace(result.confusion) == result.confusion.sum() == 5 * 128
    assert result.per_batch.tolist() == [1] * 5


def test_a_reconstructor_that_guesses_has_chance_and_the_mean_size_of_a_shift():
    result = reconstructor_accuracy(generate, DIRECTIONS, blind)
    # 12 800 pairs: the standard error of the accuracy is 0.0038, that of |α| is 0.015.
    assert result.score == pytest.approx(1 / 4, abs=0.015)
    expected = (0.5**2 + (6**2 - 0.5**2) / 2) / 6
    assert result.shift_loss == pytest.approx(expected, abs=0.06)
    assert result.weighted_shift_loss == 0.25 * result.shift_loss
    np.testing.assert_allclose(result.per_direction_shift_loss, expected, atol=0.12)
    assert result.confusion[:, 0].sum() == result.confusion.sum()


def test_duplicated_directions_cap_the_accuracy():
    doubled = DIRECTIONS[:, [0, 1, 2, 2]]

    def reconstruct(images, shifted):
        along = (shifted - images) @ doubled
        return along.abs(), along[:, 0]

    assert reconstructor_accuracy(generate, doubled, reconstruct, batches=30).score == pytest.approx(0.75, abs=0.03)


def test_the_law_of_the_shifts():
    seen = []

    def reconstruct(images, shifted):
        logits, shift = oracle(images, shifted)
        seen.append(torch.stack([logits.argmax(1).float(), shift, images.mean(1), images.std(1)]))
        return logits, shift[:, None]

    reconstructor_accuracy(generate, DIRECTIONS, reconstruct, batches=40, max_shift=2.0, min_shift=0.5)
    k, alpha, _, _ = torch.cat(seen, 1)
    assert alpha.abs().min() == pytest.approx(0.5, abs=1e-5)
    assert alpha.abs().max() == pytest.approx(2, abs=0.01)
    # A quarter of the shifts was raised to the smallest size; signs and directions are even.
    assert ((alpha.abs() - 0.5).abs() < 1e-5).float().mean() == pytest.approx(0.25, abs=0.03)
    assert (alpha > 0).float().mean() == pytest.approx(0.5, abs=0.03)
    np.testing.assert_allclose(torch.bincount(k.long()) / len(k), 0.25, atol=0.03)


def test_errors_by_brute_force():
    pairs = []

    def noisy(images, shifted):
        pairs.append((images, shifted))
        logits = (shifted - images) @ DIRECTIONS + torch.sin(50 * images[:, :4])
        return logits, shifted[:, 0]

    result = reconstructor_accuracy(generate, DIRECTIONS, noisy, batches=3, batch_size=10, gamma=0.5)
    right, errors = [], []
    for images, shifted in pairs:
        logits, alpha = oracle(images, shifted)
        right += (noisy(images, shifted)[0].argmax(1) == logits.argmax(1)).tolist()
        errors += (shifted[:, 0] - alpha).abs().tolist()
        if len(right) == 30:
            break
    assert result.score == pytest.approx(np.mean(right))
    assert 0 < result.score < 1
    assert result.shift_loss == pytest.approx(np.mean(errors), rel=1e-5)
    assert result.weighted_shift_loss == pytest.approx(0.5 * np.mean(errors), rel=1e-5)
    weights = result.confusion.sum(1) / 30
    assert weights @ result.per_direction_shift_loss == pytest.approx(result.shift_loss)


def test_batches_are_fresh_and_follow_the_seed():
    codes = []

    def recording(z):
        codes.append(z)
        return z

    state = torch.get_rng_state()
    first = reconstructor_accuracy(recording, DIRECTIONS.numpy(), blind, batches=3, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(codes[0], codes[2])
    second = reconstructor_accuracy(recording, DIRECTIONS.clone().requires_grad_(), blind, batches=3, seed=1)
    assert torch.equal(codes[0], codes[6])
    assert first.shift_loss == second.shift_loss
    assert reconstructor_accuracy(generate, DIRECTIONS, blind, batches=3, seed=2).shift_loss != first.shift_loss


def test_more_directions_than_dimensions_and_a_single_one():
    many = torch.randn(2, 50, generator=torch.Generator().manual_seed(1))
    guess = reconstructor_accuracy(generate, many, lambda a, b: (torch.zeros(len(a), 50), b[:, 0]), batches=2)
    assert guess.confusion.shape == (50, 50)
    # With 20 pairs some of 50 directions are never drawn: that is said, and is no NaN.
    few = reconstructor_accuracy(
        generate, many, lambda a, b: (torch.zeros(len(a), 50), b[:, 0]), batches=1, batch_size=20
    )
    never = few.confusion.sum(1) == 0
    assert never.any()
    assert np.isposinf(few.per_direction_shift_loss[never]).all()
    assert np.isfinite(few.per_direction_shift_loss[~never]).all()
    single = reconstructor_accuracy(generate, many[:, :1], lambda a, b: (torch.zeros(len(a), 1), b[:, 0]), batches=1)
    assert single.score == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"directions": DIRECTIONS[0]}, r"directions: expected an array \(d, K\)"),
        ({"directions": DIRECTIONS * torch.nan}, "directions: row 0 holds NaN"),
        ({"batches": 0}, "batches"),
        ({"min_shift": 7.0}, "min_shift"),
        ({"max_shift": 0.0, "min_shift": 0.0}, "max_shift"),
        ({"reconstruct": lambda a, b: (torch.zeros(len(a), 3), a[:, 0])}, r"expected logits \(128, 4\)"),
        ({"reconstruct": lambda a, b: (torch.zeros(len(a), 4), a[:5, 0])}, r"shifts \(128,\)"),
        ({"reconstruct": lambda a, b: (torch.zeros(len(a), 4) * torch.nan, a[:, 0])}, "logits: row 0 holds NaN"),
        ({"reconstruct": lambda a, b: (torch.zeros(len(a), 4), a[:, 0] / 0)}, "shifts: row 0 holds NaN"),
        ({"generate": nn.Identity()}, "generate: Identity is in training mode"),
        ({"reconstruct": nn.Bilinear(6, 6, 4)}, "reconstruct: Bilinear is in training mode"),
    ],
)
def test_errors(options, message):
    arguments = {"generate": generate, "directions": DIRECTIONS, "reconstruct": oracle, "batches": 1} | options
    with pytest.raises(ValueError, match=message):
        reconstructor_accuracy(**arguments)
