"""A notebook's numbers: what a reader sees, and what a machine compares."""

import json
import math

import numpy as np
import pytest
import torch

from medlatent.course import publish_metrics
from medlatent.course.published import METRICS_MIME


class TestPublishMetrics:
    @pytest.fixture
    def bundles(self, monkeypatch):
        shown = []
        monkeypatch.setattr("IPython.display.display", lambda thing: shown.append(thing._repr_mimebundle_()))
        return shown

    def test_a_table_for_the_reader_and_json_for_the_machine(self, bundles):
        publish_metrics("vae", {"sse": torch.tensor(12.5), "kl": np.float32(0.25), "active_units": 3})
        (bundle,) = bundles
        assert bundle[METRICS_MIME] == {"vae.sse": 12.5, "vae.kl": 0.25, "vae.active_units": 3.0}
        json.dumps(bundle)
        assert bundle["text/plain"].splitlines() == [
            "vae.sse           12.5",
            "vae.kl            0.25",
            "vae.active_units  3",
        ]

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (math.nan, "the metric 'kl' of vae is nan"),
            (math.inf, "the metric 'kl' of vae is inf"),
            (np.float32("-inf"), "the metric 'kl' of vae is -inf"),
            ("many", "the metric 'kl' of vae is no number: 'many'"),
            (None, "the metric 'kl' of vae is no number: None"),
            (torch.zeros(2), "the metric 'kl' of vae is no number"),
        ],
    )
    def test_what_is_no_finite_number_is_named_and_nothing_is_shown(self, bundles, value, message):
        with pytest.raises(ValueError, match=message):
            publish_metrics("vae", {"sse": 1.0, "kl": value})
        assert bundles == []

    def test_nothing_to_publish(self, bundles):
        with pytest.raises(ValueError, match="no metrics of vae to publish"):
            publish_metrics("vae", {})
