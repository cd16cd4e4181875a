"""Lungs in a series whose geometry is known: found, measured, and told from all other air."""

import numpy as np
import pytest

from medlatent.data import DataError
from medlatent.data.lungs import lung_ends, lung_mask, relative_height

SIDE, PIXEL, DISTANCE = 64, 6.0, 5.0  # pixels, mm, mm
N = 40
LOW, HIGH = 10, 29  # the first and the last slice with lung
Y, X = (np.indices((SIDE, SIDE)) - (SIDE - 1) / 2) * PIXEL


def ellipse(x, y, across, down):
    """Pixels in an ellipse; its centre and half its axes in mm."""
    return ((X - x) / across) ** 2 + ((Y - y) / down) ** 2 <= 1


def thorax(lung=-850.0, seed=0):
    """A body with two lungs, each the largest in the middle, a trachea above them, and the air around; ``(N, 64, 64)``.

    Returns:
        Hounsfield units, and the lungs as they were drawn.
    """
    hu, drawn = np.full((N, SIDE, SIDE), -1000.0), np.zeros((N, SIDE, SIDE), bool)
    for k in range(N):
        hu[k, ellipse(0, 0, 160, 105)] = 40
        if LOW <= k <= HIGH:
            size = 0.4 + 0.6 * np.sin(np.pi * (k - LOW) / (HIGH - LOW))
            drawn[k] = ellipse(-70, 0, 50 * size, 75 * size) | ellipse(70, 0, 50 * size, 75 * size)
        hu[k, drawn[k]] = lung
        if k >= (LOW + HIGH) // 2:
            hu[k, ellipse(0, -40, 10, 10)] = -1000
    return hu + np.random.default_rng(seed).normal(0, 15, hu.shape), drawn


def found(hu, spacing=(DISTANCE, PIXEL, PIXEL)):
    mask = lung_mask(hu, spacing)
    assert (mask.shape, mask.dtype) == (hu.shape, bool)
    return mask


@pytest.mark.parametrize("lung", [-950.0, -850.0, -700.0])
def test_lungs_are_what_was_drawn(lung):
    hu, drawn = thorax(lung)
    np.testing.assert_array_equal(found(hu), drawn)


def test_the_rim_of_partial_volume_belongs_to_them():
    hu, drawn = thorax()
    middle = (LOW + HIGH) // 2
    row = drawn[middle, SIDE // 2]
    rim = np.flatnonzero(row)[0] - 1
    for value, expected in ((-500, True), (-300, False)):
        hu[middle, SIDE // 2, rim] = value
        assert found(hu)[middle, SIDE // 2, rim] == expected


class TestOtherAir:
    """Changes of the air that leave the lungs as they are."""

    def test_gas_in_the_bowel_even_beside_a_lung(self):
        hu, drawn = thorax()
        for k in range(LOW + 3):  # up to where it lies beside a lung that has begun, with a wall between them
            hu[k, ellipse(70, -60, 40, 25) & ~ellipse(70, 0, 30, 55)] = -1000
        np.testing.assert_array_equal(found(hu), drawn)

    def test_a_table_filled_with_foam(self):
        hu, drawn = thorax()
        hu[:, 54:62] = -600
        hu[:, 55:61, 1:-1] = -950
        np.testing.assert_array_equal(found(hu), drawn)

    def test_a_table_with_a_mattress_that_the_patient_lies_on_by_a_thread(self):
        hu, drawn = thorax()
        hu[:, 54:62] = -500
        hu[:, 55:61, 1:-1] = -850  # as dense as lung, and of more volume
        hu[:, 48:54, 31] = 40
        np.testing.assert_array_equal(found(hu), drawn)

    def test_stool_as_dense_as_lung(self):
        hu, drawn = thorax()
        hu[2:5, ellipse(0, 0, 25, 25)] = -850
        np.testing.assert_array_equal(found(hu), drawn)

    def test_arms_at_the_sides(self):
        hu, drawn = thorax()
        for side in (-1, 1):
            hu[:, ellipse(side * 175, 0, 12, 60)] = 40  # they touch the chest, and enclose air before and behind it
        np.testing.assert_array_equal(found(hu), drawn)

    def test_blankets_between_raised_arms(self):
        hu, drawn = thorax()
        above = np.full((20, SIDE, SIDE), -1000.0)
        above[:, abs(Y) < 80] = -900
        above[:, ellipse(0, 40, 150, 40) | ellipse(-120, -20, 20, 60) | ellipse(120, -20, 20, 60)] = 40
        mask = found(np.concatenate([hu, above]))
        np.testing.assert_array_equal(mask[:N], drawn)
        assert not mask[N:].any()

    def test_none_at_all(self):
        hu, _ = thorax()
        assert not found(hu[:LOW]).any()
        assert not found(hu[HIGH + 1 :]).any(), "a trachea alone is no lung"
        assert not found(np.full((3, 20, 20), -1000)).any()
        assert not found(np.full((3, 20, 20), 40)).any()


def test_a_wall_that_the_field_of_view_cuts():
    hu, drawn = thorax()
    cut = (SIDE - 1) // 2 - int(115 / PIXEL)  # through the middle of the patient's right chest wall
    narrow = hu[:, :, cut:]
    assert (narrow[(LOW + HIGH) // 2, :, 0] < -600).any(), "the lung is open to the edge"
    mask = found(narrow)
    assert (mask & drawn[:, :, cut:]).sum() > 0.98 * drawn[:, :, cut:].sum()
    assert lung_ends(mask.sum((1, 2))) == (LOW, HIGH)


def test_lungs_of_different_density():
    hu, drawn = thorax()
    right = drawn & (X < 0)
    hu[right] = np.random.default_rng(1).normal(-720, 15, right.sum())
    np.testing.assert_array_equal(found(hu), drawn)


@pytest.mark.parametrize(
    ("hu", "spacing", "words"),
    [
        (np.zeros((5, 5)), (1, 1, 1), r"hu: expected a series \(S, H, W\), got the shape \(5, 5\)"),
        (np.zeros((5, 5, 5)), (1, 1), "spacing: expected three positive distances"),
        (np.zeros((5, 5, 5)), (1, 0, 1), "spacing: expected three positive distances"),
    ],
)
def test_what_is_refused(hu, spacing, words):
    with pytest.raises(DataError, match=words):
        lung_mask(hu, spacing)


@pytest.mark.parametrize(
    ("area", "ends"),
    [
        ([0, 3, 5, 2, 0], (1, 3)),
        ([0, 9, 9, 0, 0, 3, 5, 4, 3, 0], (1, 2)),
        ([0, 2, 2, 0, 0, 3, 5, 4, 3, 0], (5, 8)),
        ([1, 3, 5, 0], None),
        ([0, 3, 5, 1], None),
        ([0, 0, 0], None),
        ([0, 4, 0], None),
    ],
)
def test_ends(area, ends):
    assert lung_ends(np.array(area)) == ends


def test_height_is_linear_in_mm():
    area = np.array([0, 0, 4, 9, 4, 0])
    np.testing.assert_allclose(relative_height(area, 100 + 2.5 * np.arange(6)), [-1, -0.5, 0, 0.5, 1, 1.5])
    assert np.isnan(relative_height(area[:5], np.arange(5))).all()
