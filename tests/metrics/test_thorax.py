"""Measures of a thorax on ellipses that are known, and what they refuse."""

import numpy as np
import pytest

from medlatent.metrics.thorax import MEASURES, thorax_measures


def ellipse(side, x, y, width, depth, turn=0.0):
    """Which pixels of a square lie in an ellipse; lengths in shares of its side, turned clockwise."""
    down, across = (np.mgrid[:side, :side] + 0.5) / side
    a, b = across - x, down - y
    along = a * np.cos(turn) + b * np.sin(turn)
    beside = b * np.cos(turn) - a * np.sin(turn)
    return np.square(2 * along / width) + np.square(2 * beside / depth) <= 1


def thorax(side=128, width=0.8, depth=0.5, turn=0.0, y=0.5, lung=0.25, at=0.2):
    hu = np.full((side, side), -1000.0)
    hu[ellipse(side, 0.5, y, width, depth, turn)] = 40
    for sign in (-1, 1):
        middle = 0.5 + sign * at * np.cos(turn), y + sign * at * np.sin(turn)
        hu[ellipse(side, *middle, lung, 0.3, turn)] = -850
    return hu


def measure(hu):
    found = thorax_measures(hu[None])
    assert list(found) == list(MEASURES)
    return {name: value[0] for name, value in found.items()}


@pytest.mark.parametrize("side", [64, 128])
@pytest.mark.parametrize("turn", [0.0, 0.2, -0.35])
@pytest.mark.parametrize(("width", "depth"), [(0.8, 0.5), (0.6, 0.55), (0.5, 0.7)])
def test_the_ellipse_of_the_body(side, turn, width, depth):
    found = measure(thorax(side, width, depth, turn, y=0.45, lung=0.15, at=0.1))
    assert found["body_width"] == pytest.approx(width, rel=0.02)
    assert found["body_depth"] == pytest.approx(depth, rel=0.02)
    assert found["body_turn"] == pytest.approx(turn, abs=0.04)
    assert found["body_y"] == pytest.approx(0.45, abs=0.005)


def test_lungs_and_the_wall_about_them():
    found = measure(thorax(at=0.2, lung=0.25))
    assert found["lung_area"] == pytest.approx(2 * 0.25 * 0.3 / (0.8 * 0.5), rel=0.02)
    rows = (np.arange(128) + 0.5) / 128 - 0.5
    rows = rows[np.abs(rows) < 0.15]
    skin = 0.4 * np.sqrt(1 - np.square(rows / 0.25))
    outermost = 0.2 + 0.125 * np.sqrt(1 - np.square(rows / 0.15))
    assert found["wall_thickness"] == pytest.approx((skin - outermost).mean(), abs=0.006)


def test_each_measure_follows_its_own():
    plain = measure(thorax())
    assert measure(thorax(width=0.9))["body_width"] > plain["body_width"] + 0.08
    assert measure(thorax(depth=0.6))["body_depth"] > plain["body_depth"] + 0.08
    assert measure(thorax(turn=0.1))["body_turn"] > plain["body_turn"] + 0.08
    assert measure(thorax(y=0.6))["body_y"] > plain["body_y"] + 0.08
    assert measure(thorax(lung=0.3))["lung_area"] > plain["lung_area"]
    assert measure(thorax(at=0.15))["wall_thickness"] > plain["wall_thickness"] + 0.03


def test_what_lies_beside_the_body_does_not_count():
    hu = thorax()
    hu[120:123, 10:110] = 200  # a table
    assert measure(hu) == measure(thorax())


def test_without_lung_and_without_body():
    full = np.where(ellipse(128, 0.5, 0.5, 0.8, 0.5), 40.0, -1000.0)
    found = measure(full)
    assert found["lung_area"] == 0
    assert found["wall_thickness"] == pytest.approx(0.8 / 2 * np.pi / 4, rel=0.02)
    assert set(measure(np.full((32, 32), -1000.0)).values()) == {0.0}


def test_arguments():
    with pytest.raises(ValueError, match=r"hu: expected an array \(N, H, W\), got \(4, 4\)"):
        thorax_measures(np.zeros((4, 4)))
    with pytest.raises(ValueError, match="hu: row 1 holds NaN"):
        thorax_measures(np.stack([np.zeros((4, 4)), np.full((4, 4), np.nan)]))
