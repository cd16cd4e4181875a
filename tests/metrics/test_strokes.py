"""Slant and thickness of strokes that were rendered with known ones."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from medlatent.metrics.strokes import slant, thickness

FINE = 8  # samples a pixel and direction


def render(inside, side: int = 28) -> np.ndarray:
    """``(1, 1, side, side)``: the share of each pixel that lies inside; x to the right, y upwards, 0 in the middle."""
    at = (np.arange(side * FINE) + 0.5) / FINE - side / 2
    shape = inside(at[None], -at[:, None]).astype(float)
    return shape.reshape(side, FINE, side, FINE).mean((1, 3))[None, None]


def ring(width: float, radius: float = 8) -> np.ndarray:
    return render(lambda x, y: np.abs(np.hypot(x, y) - radius) < width / 2)


def sheared_bar(shear: float, shift: float, width: float, side: int = 28) -> np.ndarray:
    """16 pixels high; along a row of samples the share of each pixel is exact, however little the bar leans."""
    y = side / 2 - (np.arange(side * FINE) + 0.5) / FINE
    left, columns = shift + shear * y - width / 2, np.arange(side + 1)[:, None] - side / 2
    shape = np.clip(left + width, columns[:-1], columns[1:]) - np.clip(left, columns[:-1], columns[1:])
    shape[:, np.abs(y) > 8] = 0
    return shape.T.reshape(side, FINE, side).mean(1)[None, None]


@settings(max_examples=20, deadline=None)
@given(st.floats(-0.8, 0.8), st.floats(-2, 2), st.floats(1.5, 5))
@example(1 / 16, 0.0, 1.5)
@example(0.04, 0.5, 4.5)
@example(1 / 256, 0.0, 2.625)
def test_the_slant_of_a_sheared_bar(shear, shift, width):
    # A parallelogram: the bar's own moments are those of an upright one, so that the shear is all there is.
    bar = sheared_bar(shear, shift, width)
    # A pixel does not say where in it the ink lies: while the edges of a nearly upright bar stay within their columns,
    # it seems to lean too little, or too much.
    assert slant(bar)[0] == pytest.approx(np.degrees(np.arctan(shear)), abs=1 / width)
    assert slant(0.3 * bar)[0] == pytest.approx(slant(bar)[0])  # faint ink leans as much
    assert slant(bar[:, :, :, ::-1])[0] == pytest.approx(-slant(bar)[0], abs=1e-9)
    assert slant(bar[:, :, ::-1])[0] == pytest.approx(-slant(bar)[0], abs=1e-9)


def test_the_slant_by_hand():
    # Three pixels on a diagonal: a slash leans by 45° to the right.
    slash = np.eye(3)[::-1][None, None]
    assert slant(slash) == pytest.approx([45])
    # Ink 1 at (0, 0), 3 at (1, 2): the covariance of row and column is twice the rows' variance.
    two = np.array([[[[1.0, 0, 0], [0, 0, 3]]]])
    assert slant(two) == pytest.approx([-np.degrees(np.arctan(2))])


@pytest.mark.parametrize("width", [1.5, 2, 3, 4.3, 6])
def test_the_thickness_of_a_ring(width):
    assert thickness(ring(width))[0] == pytest.approx(width, rel=0.07)


@pytest.mark.parametrize("angle", [0, 20, 45, 90])
@pytest.mark.parametrize("width", [2, 4])
def test_the_thickness_of_a_bar_whichever_way_it_lies(width, angle):
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    bar = render(lambda x, y: (np.abs(c * x + s * y) < width / 2) & (np.abs(c * y - s * x) < 10))
    # Its ends are nearer to the border: a rectangle w × l has the mean distance w/4 · (1 - w/(3 l)).
    assert thickness(bar)[0] == pytest.approx(width * (1 - width / 60), rel=0.08)


def test_the_thickness_of_a_disc_is_two_thirds_of_its_diameter():
    assert thickness(render(lambda x, y: np.hypot(x, y) < 9))[0] == pytest.approx(12, rel=0.04)


def test_each_image_by_itself():
    """Neighbours in the batch, the image's own brightness, and ink at its edge do not matter."""
    full = np.ones((1, 1, 28, 28))
    images = np.concatenate([full, ring(3), full, 0.4 * ring(3), 0 * full, ring(5)])
    found = thickness(images)
    assert found[1] == found[3] == thickness(ring(3))[0]
    assert found[5] == thickness(ring(5))[0] > found[1]
    assert np.isnan(found[4])
    assert np.isnan(slant(images)[4])
    many = np.repeat(images, 50, 0)  # more than go through at once
    np.testing.assert_array_equal(thickness(many), np.repeat(found, 50))
    np.testing.assert_allclose(slant(many), np.repeat(slant(images), 50))
    np.testing.assert_allclose(thickness(torch.from_numpy(images).float()), found, rtol=1e-6)


def test_one_row_of_ink_has_no_slant():
    row = np.zeros((1, 1, 5, 5))
    row[..., 2, 1:4] = 1
    assert np.isnan(slant(row)).all()


@pytest.mark.parametrize("measure", [slant, thickness])
def test_arguments(measure):
    with pytest.raises(ValueError, match=r"images: strokes are measured on one channel, got \(2, 3, 8, 8\)"):
        measure(np.ones((2, 3, 8, 8)))
    with pytest.raises(ValueError, match=r"images: expected an array \(N, 1, H, W\)"):
        measure(np.ones((2, 8, 8)))
    with pytest.raises(ValueError, match="image 1 holds a negative value"):
        measure(np.stack([np.ones((1, 4, 4)), -np.ones((1, 4, 4))]))
    with pytest.raises(ValueError, match="NaN"):
        measure(np.full((1, 1, 4, 4), np.nan))
