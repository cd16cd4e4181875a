"""The search for bandwidth and weight, on dependences whose balance is known in closed form; grids kept on disk."""

import math

import pytest

from medlatent.tuning import SIGMAS, WEIGHTS, balance, grid


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


POINTS = ({"form": "plain", "sigma": 2.0}, {"form": "cca", "sigma": 0.1 + 0.2})


class Asked:
    """A trial that remembers what it was asked for, and may be interrupted."""

    def __init__(self, interrupt_after: int = 10**9) -> None:
        self.calls, self.interrupt_after = [], interrupt_after

    def __call__(self, form, sigma, seed):
        if len(self.calls) == self.interrupt_after:
            raise KeyboardInterrupt
        self.calls.append((form, sigma, seed))
        return {"loss": sigma / 3 + seed, "share": math.nan if form == "cca" else 1 / 7}


def test_a_grid_is_tried_once_and_read_back_exactly(tmp_path):
    path = tmp_path / "results/grid.csv"
    trial = Asked()
    first = grid(trial, POINTS, (4, 5), path)
    assert trial.calls == [(p["form"], p["sigma"], s) for s in (4, 5) for p in POINTS]
    assert list(first[0]) == ["form", "sigma", "seed", "loss", "share"]
    assert first[3]["loss"] == (0.1 + 0.2) / 3 + 5
    again = Asked()
    second = grid(again, POINTS, (4, 5), path)
    assert again.calls == []
    assert repr(second) == repr(first)  # the same floats, NaN too


def test_an_interrupted_grid_goes_on(tmp_path):
    path = tmp_path / "grid.csv"
    with pytest.raises(KeyboardInterrupt):
        grid(Asked(3), POINTS, (0, 1), path)
    assert len(path.read_text().splitlines()) == 4
    rest = Asked()
    grid(rest, POINTS, (0, 1), path)
    assert rest.calls == [("cca", 0.1 + 0.2, 1)]
    assert [p.name for p in tmp_path.iterdir()] == ["grid.csv"]


def test_points_and_seeds_are_added_and_parts_read(tmp_path):
    path = tmp_path / "grid.csv"
    grid(Asked(), POINTS[:1], (0,), path)
    more = Asked()
    assert len(grid(more, POINTS, (0, 1), path)) == 4
    assert len(more.calls) == 3
    assert [(r["form"], r["seed"]) for r in grid(Asked(0), POINTS[1:], (1,), path)] == [("cca", 1)]


def test_whole_numbers_and_floats_are_one_point(tmp_path):
    grid(Asked(), [{"form": "plain", "sigma": 2}], (0,), tmp_path / "grid.csv")
    assert grid(Asked(0), [{"form": "plain", "sigma": 2.0}], (0,), tmp_path / "grid.csv")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"points": []}, "points: expected one or more"),
        ({"seeds": []}, "seeds: expected one or more"),
        ({"seeds": [1, 1]}, "seeds: 1 is given twice"),
        ({"points": [POINTS[0], POINTS[0]]}, "is given twice"),
        ({"points": [POINTS[0], {"form": "cca"}]}, r"points: \{'form': 'cca'\} has other names"),
    ],
)
def test_a_grid_that_cannot_be_tried_is_refused(tmp_path, change, said):
    with pytest.raises(ValueError, match=said):
        grid(**{"trial": Asked(), "points": POINTS, "seeds": [0], "path": tmp_path / "grid.csv"} | change)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected the columns form, sigma, seed first, found"),
        ("form,seed,loss,share\n", "expected the columns form, sigma, seed first, found form, seed"),
        ("form,sigma,seed,loss,share\nplain,2.0,0,0.5\n", "line 2: 4 fields under 5 columns"),
        ("form,sigma,seed,loss,share\nplain,2.0,0,0.5,much\n", "line 2: .*'much'"),
        ("form,sigma,seed,loss,share\nplain,2.0,one,0.5,1\n", "line 2: .*'one'"),
        ("form,sigma,seed,loss\nplain,2.0,7,0.5\n", "trial: .* measured loss, share; .*grid.csv holds loss"),
    ],
)
def test_a_table_that_does_not_fit_is_named_and_left_as_it_was(tmp_path, text, said):
    path = tmp_path / "grid.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        grid(Asked(), POINTS, (0,), path)
    assert path.read_text() == text
