"""What figures of trainings and of codes share: running means, where curves end, the strongest dimensions."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from medlatent.explore import describe_curves, figure, running_mean, strongest_dimensions


def test_running_mean_is_the_mean_of_the_last_steps():
    values = np.random.default_rng(0).normal(size=50).astype(np.float32)
    steps, means = running_mean(values, 7)
    assert (steps[0], steps[-1], len(means)) == (7, 50, 44)
    for step, mean in zip(steps, means, strict=True):
        assert mean == pytest.approx(values[step - 7 : step].mean(), abs=1e-6)
    np.testing.assert_array_equal(running_mean(values, 1)[1], values)


@pytest.mark.parametrize("window", [0, 4])
def test_running_mean_refuses_a_window_that_does_not_fit(window):
    with pytest.raises(ValueError, match=f"between 1 and the 3 values, got {window}"):
        running_mean([1.0, 2.0, 3.0], window)


def test_describe_curves_names_panel_label_and_last_value_of_what_has_a_label():
    fig, (left, right) = figure(columns=2)
    left.plot([1, 2], [0.5, 0.25], label="SSE")
    left.axhline(1.0)
    right.plot([1, 2], [3.0, 4.0], label="one")
    right.plot([1, 2], [3.0, -5.0], label="two")
    left.set_title("error")
    right.set_title("code")
    assert describe_curves(fig) == "error, SSE 0.25; code, one 4.00; code, two -5.00"
    plt.close(fig)


def test_strongest_dimensions_are_ordered_by_what_they_change():
    class Stripes(nn.Module):
        latent_dim, device = 4, torch.device("cpu")

        def decode(self, z):
            return (z * torch.tensor([0.1, 0.4, 0.0, 0.2]))[:, None, None, :]

    assert strongest_dimensions(Stripes()) == [1, 3, 0, 2]
    assert strongest_dimensions(Stripes(), 2) == [1, 3]
