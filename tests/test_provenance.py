"""Where a run was made, and whether its code is still the same."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import medlatent.provenance
from medlatent.models import VAE, LatentModel
from medlatent.provenance import code_digest, surroundings, thin_history


class TestSurroundings:
    def test_in_a_checkout(self, root):
        found = surroundings(torch.device("cpu"))
        assert found["device"].startswith("cpu: ")
        assert len(found["device"]) > 5
        assert found["torch"] == torch.__version__
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
        if head.returncode == 0:
            assert found["commit"].removesuffix("+changes") == head.stdout.strip()

    def test_outside_git(self, tmp_path, monkeypatch):
        monkeypatch.setattr(medlatent.provenance, "__file__", str(tmp_path / "provenance.py"))
        monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
        assert surroundings(torch.device("cpu"))["commit"] == "unknown"

    def test_a_copy_without_its_history_is_told_its_commit(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        monkeypatch.setenv("MEDLATENT_COMMIT", "a" * 40)
        assert surroundings(torch.device("cpu"))["commit"] == "a" * 40

    def test_without_git(self, monkeypatch):
        monkeypatch.setenv("PATH", "")
        assert surroundings(torch.device("cpu"))["commit"] == "unknown"

    @pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
    def test_installed_inside_somebody_else_s_checkout(self, tmp_path, monkeypatch):
        def git(*arguments):
            identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
            subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True)

        (tmp_path / ".gitignore").write_text(".venv\n")
        (tmp_path / ".venv").mkdir()
        (tmp_path / ".venv" / "provenance.py").write_text("")
        git("init")
        git("add", ".gitignore")
        git("commit", "-m", "theirs")
        monkeypatch.setattr(medlatent.provenance, "__file__", str(tmp_path / ".venv" / "provenance.py"))
        assert surroundings(torch.device("cpu"))["commit"] == "unknown"
        (tmp_path / "provenance.py").write_text("")
        git("add", "provenance.py")
        git("commit", "-m", "ours")
        monkeypatch.setattr(medlatent.provenance, "__file__", str(tmp_path / "provenance.py"))
        commit = surroundings(torch.device("cpu"))["commit"]
        assert len(commit) == 40
        (tmp_path / "provenance.py").write_text("changed")
        assert surroundings(torch.device("cpu"))["commit"] == f"{commit}+changes"


class TestThinHistory:
    def test_by_hand(self):
        values = np.array([[1, 10], [3, 20], [5, 30], [7, 40]], np.float32)
        assert thin_history(("loss", "kl"), values, points=2) == {
            "step": [2, 4],
            "loss": [2.0, 6.0],
            "kl": [15.0, 35.0],
        }

    @pytest.mark.parametrize(("n", "points", "expected"), [(7, 3, [3, 5, 7]), (3, 200, [1, 2, 3]), (1, 5, [1])])
    def test_windows(self, n, points, expected):
        history = thin_history(("loss",), np.arange(n, dtype=np.float32)[:, None], points)
        assert history["step"] == expected
        starts = [0, *expected[:-1]]
        assert history["loss"] == [(a + b - 1) / 2 for a, b in zip(starts, expected, strict=True)]
        json.dumps(history)


MODULE = '''
"""A model of one's own."""
from helper import width
from medlatent.models import VAE


class Own(VAE):
    """It is wide."""

    def __init__(self, **options):
        # As wide as the helper says.
        super().__init__(latent_dim=width(), **options)
'''
HELPER = '''
def width():
    """How wide."""
    return 4
'''


class TestCodeDigest:
    @pytest.fixture
    def own(self, tmp_path, monkeypatch):
        """Puts a model and what it imports into files; returns the digest of what lies there."""
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setattr(medlatent.provenance, "ROOT", tmp_path)  # from where imports are followed
        monkeypatch.setattr(LatentModel, "registry", LatentModel.registry.copy())

        def digest(module=MODULE, helper=HELPER):
            (tmp_path / "own.py").write_text(module)
            (tmp_path / "helper.py").write_text(helper)
            import own

            return code_digest(own.Own)

        yield digest
        for name in ("own", "helper"):
            sys.modules.pop(name, None)

    def test_words_do_not_count(self, own):
        before = own()
        assert own(MODULE.replace("A model of one's own.", "Mine.").replace("It is wide.", "Wide.")) == before
        assert own(MODULE.replace("        # As wide as the helper says.\n", "# Words\n\n\n")) == before
        assert own(MODULE, HELPER.replace('    """How wide."""\n', "")) == before

    def test_types_do_not_count(self, own):
        before = own()
        typed = HELPER.replace("def width():", "def width() -> int:")
        assert typed != HELPER
        assert own(MODULE, typed) == before
        assert own("from typing import TYPE_CHECKING\n" + MODULE) != before  # an import is run
        checked = "\n\nif TYPE_CHECKING:\n    import helper as again\n"
        first = own("from typing import TYPE_CHECKING\n" + MODULE)
        assert own("from typing import TYPE_CHECKING\n" + MODULE + checked) == first

    @pytest.mark.parametrize(("was", "now"), [("width()", "width() + 1"), ("(VAE)", "(VAE, metaclass=type(VAE))")])
    def test_code_does(self, own, was, now):
        before = own()
        assert own(MODULE.replace(was, now)) != before

    def test_so_does_the_code_that_it_imports(self, own):
        before = own()
        assert own(MODULE, HELPER.replace("return 4", "return 5")) != before
        assert own() == before

    def test_the_package_s_own_models(self, root):
        digest = code_digest(VAE)
        assert len(digest) == 64
        assert digest == code_digest(VAE)
        assert digest != code_digest(LatentModel.registry["InfoGAN"])

    def test_a_model_that_stands_in_no_file(self, monkeypatch):
        monkeypatch.setattr(VAE, "__module__", "builtins")  # as a notebook's: a module without a file
        with pytest.raises(ValueError, match="VAE is defined in no file: put it into a module"):
            code_digest(VAE)
