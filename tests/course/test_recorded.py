"""A page shows the recorded runs of its chapter's plan, and no others that lie beside them."""

import json
import shutil

import pytest

from medlatent.course import recorded, recorded_runs
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
