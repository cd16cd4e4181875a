"""Grids of trials kept on disk: in this process and in others, interrupted, failing, and read back."""

import math
import os
import sys
from pathlib import Path

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))  # where other processes import the trial from, too

from jobs_to_run import measured

from medlatent.tuning import grid

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
    ],
)
def test_a_table_that_does_not_fit_is_named_and_left_as_it_was(tmp_path, text, said):
    path = tmp_path / "grid.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        grid(Asked(), POINTS, (0,), path)
    assert path.read_text() == text


def test_a_trial_that_measures_something_else_is_told(tmp_path):
    path, text = tmp_path / "grid.csv", "form,sigma,seed,loss\nplain,2.0,7,0.5\n"
    path.write_text(text)
    with pytest.raises(
        RuntimeError, match=r"form plain, sigma 2\.0, seed 0: .* measured loss, share; .*grid\.csv holds loss"
    ):
        grid(Asked(), POINTS[:1], (0,), path)
    assert path.read_text() == text


def test_a_grid_in_several_processes(tmp_path):
    points = [{"form": "plain", "sigma": sigma} for sigma in (1.0, 2.0, 4.0)]
    found = grid(measured, points, (0, 1), tmp_path / "grid.csv", workers=2)
    assert [(row["sigma"], row["seed"], row["inverse"]) for row in found] == [
        (sigma, seed, 1 / sigma + seed) for seed in (0, 1) for sigma in (1.0, 2.0, 4.0)
    ]
    assert os.getpid() not in {row["process"] for row in found}
    assert grid(Asked(0), points, (0, 1), tmp_path / "grid.csv") == found


@pytest.mark.parametrize("workers", [1, 2])
def test_a_trial_that_fails_is_told_and_the_others_are_kept(tmp_path, workers):
    points = [{"form": "plain", "sigma": sigma} for sigma in (0.0, 1.0, 2.0)]
    with pytest.raises(
        RuntimeError, match=r"1 of 3 trials failed; the first: form plain, sigma 0\.0, seed 0: ZeroDiv"
    ) as error:
        grid(measured, points, (0,), tmp_path / "grid.csv", workers=workers)
    assert "in measured" in error.value.__notes__[0]
    assert list(pd.read_csv(tmp_path / "grid.csv")["sigma"].sort_values()) == [1.0, 2.0]


def test_the_grid_of_the_chapter_is_read(root):
    path = root / "results/hsic_infogan/grid.csv"
    table = pd.read_csv(path)
    columns = ["form", "sigma", "weight", "steps"]
    points = table[columns].drop_duplicates().to_dict("records")
    before = path.read_bytes()
    rows = grid(Asked(0), points, range(5), path)
    assert len(rows) == len(table) == 130
    assert [row["HSIC"] for row in rows[:26]] == list(table["HSIC"][table["seed"] == 0])
    assert path.read_bytes() == before
