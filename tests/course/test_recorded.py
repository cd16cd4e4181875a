"""A page shows the recorded runs of its chapter's plan, and no others that lie beside them."""

import json
import shutil

import numpy as np
import pytest

from medlatent.course import recorded, recorded_runs, seed_values
from medlatent.records import results_folder


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """The plan of a chapter of which two runs are recorded."""
    there = results_folder() / "vae"
    (tmp_path / "vae").mkdir()
    for path in (there / "plan.toml", *there.glob("*.json")):
        shutil.copy(path, tmp_path / "vae")
    monkeypatch.setattr(recorded, "results_folder", lambda: tmp_path)
    return tmp_path / "vae"


def test_the_runs_of_the_plan_by_name(chapter):
    found = recorded_runs("vae")
    assert list(found) == ["ham10000_vae", "phantoms_vae"]
    assert found["phantoms_vae"].model == "VAE"


def test_what_else_lies_there_is_not_read(chapter):
    (chapter / "claims.json").write_text(json.dumps({"claims": []}))
    (chapter / "ham10000_vae.json").unlink()
    assert list(recorded_runs("vae")) == ["phantoms_vae"]


def test_none_recorded_says_what_makes_them(chapter):
    for path in chapter.glob("*.json"):
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"python -m medlatent run .*plan.toml --profile laptop"):
        recorded_runs("vae")


class Seed:
    """What a record has that a number is read from."""

    def __init__(self, value: float) -> None:
        self.metrics = {"phantoms/test": {"values": {"psnr": value}}}


RUNS = {
    "vae_seed0": Seed(20),
    "vae_seed1": Seed(22),
    "vae_seed100": Seed(9),
    "vae_wide_seed0": Seed(1),
    "v.e_seed0": Seed(2),
}


@pytest.mark.parametrize(
    ("prefix", "seeds", "expected"),
    [
        ("vae", None, [20, 22, 9]),
        ("vae", range(5), [20, 22]),  # seed 100 is for tuning
        ("vae_wide", None, [1]),
        ("v.e", None, [2]),  # a name and no pattern
        ("gan", None, []),
    ],
)
def test_a_number_of_all_seeds(prefix, seeds, expected):
    found = seed_values(RUNS, prefix, "psnr", "phantoms/test", seeds)
    assert found.dtype == float
    np.testing.assert_array_equal(found, expected)


def test_a_number_that_a_run_has_not():
    with pytest.raises(KeyError, match="ssim"):
        seed_values(RUNS, "vae", "ssim", "phantoms/test")
