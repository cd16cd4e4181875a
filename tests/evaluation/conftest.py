"""Lets the tests of this folder import what they share."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def quick(monkeypatch):
    """A domain classifier that has seen little, and few images for it to look at."""
    from evaluation_cases import trained_little

    from medlatent.evaluation import classifiers, generated

    monkeypatch.setattr(classifiers, "train_for", trained_little)
    monkeypatch.setattr(generated, "GENERATED", 200)
