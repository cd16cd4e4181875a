"""Directions × factors: slopes and ranks against SciPy, the assignment against all others, and made-up codes."""

from itertools import permutations

import numpy as np
import pytest
from scipy.stats import bootstrap, linregress, spearmanr

from medlatent.metrics.direction_effects import code_effects, direction_effects

SHIFTS = np.array([-6.0, -3.0, 0.0, 3.0, 6.0])
RANDOM = np.random.default_rng(0)


def measured(matrix, n: int = 12, noise: float = 0.0, seed: int = 0) -> np.ndarray:
    """Factors that follow shifts linearly, ``(n, K, 5, F)``, from other places for each code."""
    matrix, random = np.asarray(matrix, float), np.random.default_rng(seed)
    start = random.normal(size=(n, 1, 1, matrix.shape[1]))
    follow = SHIFTS[:, None] * matrix[:, None]
    return start + follow + noise * random.normal(size=(n, len(matrix), len(SHIFTS), matrix.shape[1]))


def effects(matrix, n: int = 12, noise: float = 0.0, seed: int = 0, **options):
    return direction_effects(*code_effects(measured(matrix, n, noise, seed), SHIFTS), **options)


def test_slopes_and_ranks_against_scipy():
    values = RANDOM.normal(size=(3, 4, 5, 2))
    values[0, 0, :, 0] = 7  # a factor that does not change
    values[1, 1, :, 1] = [1, 1, 2, 2, 0]  # ties
    slopes, ranks = code_effects(values, SHIFTS)
    assert slopes.shape == ranks.shape == (3, 4, 2)
    for n, k, f in np.ndindex(3, 4, 2):
        line = values[n, k, :, f]
        assert slopes[n, k, f] == pytest.approx(linregress(SHIFTS, line).slope)
        if line.std() > 0:
            assert ranks[n, k, f] == pytest.approx(spearmanr(SHIFTS, line).statistic)
    assert slopes[0, 0, 0] == ranks[0, 0, 0] == 0


def test_directions_that_move_one_factor_each():
    result = effects([[0, 0.5], [-0.3, 0], [0.01, 0.01]])
    assert result.effect.round(6).tolist() == [[0, 0.5], [-0.3, 0], [0.01, 0.01]]
    assert result.monotonicity.round(6).tolist() == [[0, 1], [-1, 0], [1, 1]]
    assert result.selectivity.tolist() == pytest.approx([1, 1, 0.1])
    assert result.share[0].tolist() == pytest.approx([0, 1])
    assert result.matched.tolist() == [1, 0]
    assert result.is_found.tolist() == [True, True]
    assert result.found == 2
    assert result.score == pytest.approx(1)


@pytest.mark.parametrize(
    ("row", "is_found"),
    [
        ([0.3, 0.0], True),
        ([0.09, 0.0], False),  # too little
        ([0.3, 0.31], False),  # more of the other
        ([0.3, 0.29], True),
        ([-0.3, 0.0], True),  # falling is as good as rising
    ],
)
def test_what_it_takes_to_stand_for_a_factor(row, is_found):
    assert effects([row]).is_found[0] == is_found


def test_a_direction_that_rises_from_one_code_and_falls_from_another_is_not_steady():
    up = measured([[0.5]], n=10)
    down = measured([[-0.4]], n=10)
    result = direction_effects(*code_effects(np.concatenate([up, up, down]), SHIFTS))
    assert result.monotonicity[0, 0] == pytest.approx(1 / 3)
    assert result.effect[0, 0] == pytest.approx(0.2)
    assert result.found == 0
    assert direction_effects(*code_effects(np.concatenate([up, up, down]), SHIFTS), least_monotonicity=0.3).found == 1


def test_no_direction_stands_for_two_factors_and_the_assignment_is_the_best():
    random = np.random.default_rng(3)
    for k, f in ((3, 3), (5, 3), (2, 4)):
        matrix = random.normal(size=(k, f)) ** 3
        result = effects(matrix)
        assigned = result.matched[result.matched >= 0]
        assert len(set(assigned)) == len(assigned) == min(k, f)
        share = np.abs(matrix) / np.abs(matrix).sum(1, keepdims=True)
        stands = (share >= 0.5) & (np.abs(matrix) >= 0.1)

        def value(pairs, share=share, stands=stands):
            return sum(stands[p] for p in pairs), sum(share[p] for p in pairs)

        if k >= f:
            every = [list(zip(rows, range(f), strict=True)) for rows in permutations(range(k), f)]
        else:
            every = [list(zip(range(k), columns, strict=True)) for columns in permutations(range(f), k)]
        best = max(value(pairs) for pairs in every)
        own = [(row, column) for column, row in enumerate(result.matched) if row >= 0]
        assert value(own) == pytest.approx(best)
        assert result.found == best[0]
        assert result.score == pytest.approx(best[1] / f)


def test_one_factor_more_that_is_found_outweighs_all_shares():
    """The second direction has the greatest share of the first factor, and is not steady enough to stand for it."""
    slopes = (
        np.array([[[0.6, 0.4], [0.5, 0.005], [0.59, 0.41]]]).repeat(5, 0) * np.linspace(0.99, 1.01, 5)[:, None, None]
    )
    ranks = np.ones_like(slopes)
    ranks[:, 1] = 0.5
    result = direction_effects(slopes, ranks, least_share=0.4)
    assert result.share[1, 0] > 0.98
    assert result.matched.tolist() == [0, 2]
    assert result.found == 2


def test_the_interval_covers_as_often_as_it_says():
    covered = [
        (result.low <= truth) & (truth <= result.high)
        for seed in range(300)
        for truth in [0.2]
        for result in [effects([[truth]], n=8, noise=2.0, seed=seed)]
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.04)


def test_the_interval_is_near_the_bootstraps():
    slopes, ranks = code_effects(measured([[0.2, 0.0]], n=60, noise=1.0), SHIFTS)
    result = direction_effects(slopes, ranks)
    found = bootstrap((slopes[:, 0, 0],), np.mean, rng=np.random.default_rng(0)).confidence_interval
    assert (result.low[0, 0], result.high[0, 0]) == pytest.approx(tuple(found), abs=0.01)
    narrow = direction_effects(slopes, ranks, confidence=0.5)
    assert result.low[0, 0] < narrow.low[0, 0] < result.effect[0, 0] < narrow.high[0, 0] < result.high[0, 0]


def test_a_direction_that_moves_nothing():
    result = effects([[0, 0], [1, 0]])
    assert result.share[0].tolist() == [0, 0]
    assert result.found == 1
    assert result.matched.tolist() == [1, 0]
    assert result.score == pytest.approx(0.5)


def test_directions_that_the_generator_does_not_use_are_not_selective():
    """What is left of a direction without effect is one rounding error or another, and all of it in one factor."""
    used, unused = [[0.3, 0.2], [0.2, 0.3]], [[1e-6, 0], [0, -1e-6]]
    alone, beside = effects(used), effects([*used, *unused])
    assert beside.selectivity[2:] == pytest.approx([1e-5, 1e-5], rel=1e-3)
    assert beside.matched.tolist() == alone.matched.tolist()
    assert effects(unused).score < 1e-4 < 0.5 < alone.score


def test_a_share_has_no_step_where_effects_become_small():
    sizes = np.linspace(0.09, 0.11, 9)
    shares = [effects([[size, 0.0]]).share[0, 0] for size in sizes]
    assert shares == pytest.approx(np.minimum(sizes / 0.1, 1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"measured": np.zeros((2, 3, 5))}, r"measured: expected an array \(N, K, S, F\), got \(2, 3, 5\)"),
        ({"measured": np.full((2, 3, 5, 1), np.nan)}, "measured: row 0 holds NaN"),
        ({"shifts": [0, 1]}, "shifts: 2 rows, at least 3 are needed"),
        ({"shifts": [0, 1, 2]}, "measured: 5 shifts in its third dimension, shifts has 3"),
        ({"shifts": [0, 2, 1, 3, 4]}, "shifts must rise"),
    ],
)
def test_arguments_of_code_effects(change, message):
    with pytest.raises(ValueError, match=message):
        code_effects(**{"measured": np.zeros((2, 3, 5, 1)), "shifts": SHIFTS} | change)


def test_arguments_of_direction_effects():
    with pytest.raises(ValueError, match="slopes: 1 rows, at least 2 are needed"):
        direction_effects(np.zeros((1, 2, 3)), np.zeros((1, 2, 3)))
    with pytest.raises(ValueError, match="slopes and correlations must have one shape"):
        direction_effects(np.zeros((2, 2, 3)), np.zeros((2, 2, 2)))
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, got 95"):
        direction_effects(np.zeros((2, 2, 3)), np.zeros((2, 2, 3)), confidence=95)
