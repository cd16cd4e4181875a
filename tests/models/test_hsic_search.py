"""The search for bandwidth and weight, on dependences whose balance is known in closed form."""

import math

import pytest

from medlatent.models.hsic_search import SIGMAS, WEIGHTS, balance


def test_sigma_first_then_the_weight():
    """Dependence 36/σ² beside a loss of 1: balanced at σ = 6; at half of the target the weight makes up for it."""
    asked = []

    def trial(sigma, weight):
        asked.append((sigma, weight))
        return 36 / sigma**2, 1.0

    found = balance(trial)
    assert asked == [(s, 1.0) for s in SIGMAS] + [(6.0, w) for w in WEIGHTS if w != 1]
    assert (found.chosen.sigma, found.chosen.weight, found.chosen.orders) == (6.0, 1.0, 0.0)
    assert [(t.sigma, t.weight) for t in found.trials] == asked
    assert found.same_order

    tenth = balance(trial, target=0.1)
    assert (tenth.chosen.sigma, tenth.chosen.weight) == (10.0, 0.3)  # 0.36 · 0.3 = 0.108
    assert tenth.chosen.weighted == pytest.approx(0.108)
    assert tenth.chosen.orders == pytest.approx(math.log10(0.108))
    assert tenth.target == 0.1


def test_the_weight_mends_what_no_sigma_can():
    found = balance(lambda sigma, weight: (1e-3 * math.exp(-1 / sigma**2), 0.8), weights=(1, 10, 100, 1000, 10000))
    assert found.chosen.sigma == 10.0
    assert found.chosen.weight == 1000
    assert found.same_order


def test_where_the_trial_depends_on_the_weight():
    """A trained dependence grows with its weight: the second search sees that, a division would not."""
    found = balance(lambda sigma, weight: (0.1 * weight, 1.0), sigmas=(2.0,), weights=(1.0, 3.0, 10.0))
    assert found.chosen.weight == 3.0  # 0.9; 10 would give 10, and 1 gives 0.1


def test_out_of_reach_is_said():
    found = balance(lambda sigma, weight: (1e-9, 1.0), weights=(0.1, 10))
    assert found.chosen.weight == 10
    assert found.chosen.orders == pytest.approx(-8)
    assert not found.same_order


def test_equally_near_ones_and_weights_without_one():
    assert balance(lambda s, w: (1.0, 1.0)).chosen.sigma == 2.0
    assert balance(lambda s, w: (1.0, 1.0), weights=(10, 0.1)).chosen.weight == 10
    assert balance(lambda s, w: (1.0, 1.0), weights=[1.0]).chosen.weight == 1.0


def test_a_trial_without_dependence_is_passed_over():
    found = balance(lambda s, w: (0.0 if s < 4 else 1.0, 1.0))
    assert found.chosen.sigma == 4.0
    assert found.trials[0].orders == -math.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigmas": []}, "sigmas: expected one value or more"),
        ({"sigmas": [2, 0]}, "sigmas: expected positive numbers, got 0"),
        ({"weights": [-1.0]}, "weights: expected positive numbers, got -1"),
        ({"weights": [math.nan]}, "weights: expected positive numbers, got nan"),
        ({"target": 0}, "target: expected positive numbers, got 0"),
    ],
)
def test_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        balance(lambda s, w: (1.0, 1.0), **options)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (3.0, r"trial\(sigma=2, weight=1\): expected two numbers"),
        ((1.0,), "expected two numbers"),
        (("a", 1.0), "expected two numbers"),
        ((-1.0, 1.0), "the dependence must be finite and not negative, got -1"),
        ((math.nan, 1.0), "the dependence must be finite and not negative, got nan"),
        ((1.0, 0.0), "the adversarial loss must be finite and positive, got 0"),
        ((0.0, 1.0), "the dependence is 0 at all sigmas, 2 to 10"),
    ],
)
def test_what_a_trial_returns(result, message):
    with pytest.raises(ValueError, match=message):
        balance(lambda s, w: result)
