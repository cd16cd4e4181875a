"""Body, lungs, wall, turn and breasts of slices that were drawn with known ones, and of phantoms."""

import math

import numpy as np
import pytest
import torch
from scipy import stats

from medlatent.data.phantoms import thorax as phantoms
from medlatent.metrics.thorax import MEASURED, measure

SIDE = 96
A, B, WALL = 36.0, 26.0, 7.0  # half axes of the body, and the thickness of its wall at the sides


def ellipse(a, b, at=(0.0, 0.0), turn=0.0, side=SIDE):
    """The share of each pixel ``(side, side)`` in an ellipse; x to the right, y up, in pixels from the centre."""
    fine = (np.arange(4 * side) + 0.5) / 4 - side / 2
    x, y = fine[None] - at[0], -fine[:, None] - at[1]
    x, y = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    inside = (x / a) ** 2 + (y / b) ** 2 < 1
    return inside.reshape(side, 4, side, 4).mean((1, 3))


def laid(picture, hu, share):
    return picture + share * (hu - picture)


def chest(at=(0.0, 0.0), turn=0.0, lungs=-880.0, wall=WALL, breasts=0.0):
    """A slice ``(1, 1, SIDE, SIDE)``: fat, two lungs, and the spine at the back, which says where the front is."""

    def there(x, y):
        return at[0] + x * math.cos(turn) - y * math.sin(turn), at[1] + x * math.sin(turn) + y * math.cos(turn)

    picture = np.full((SIDE, SIDE), -1000.0)
    for x in (-18, 18):
        picture = laid(picture, -100, ellipse(10, 8 + breasts, there(x, B - 13), turn))
    picture = laid(picture, -100, ellipse(A, B, at, turn))
    a = (A - wall) / 2 - 1
    for x in (-(A - wall - a), A - wall - a):
        picture = laid(picture, lungs, ellipse(a, 16, there(x, 0), turn))
    return laid(picture, 700, ellipse(4, 4, there(0, -18), turn))[None, None]


def found(images, pixel=1.0):
    return dict(zip(MEASURED, measure(images, pixel)[0], strict=True))


def test_an_ellipse_with_two_lungs():
    one = found(chest())
    assert one["body_width"] == pytest.approx(2 * A, rel=0.02)
    assert one["body_height"] == pytest.approx(2 * B, rel=0.03)
    assert one["body_area"] == pytest.approx(math.pi * A * B, rel=0.01)
    a = (A - WALL) / 2 - 1
    assert one["lung_area"] == pytest.approx(2 * math.pi * a * 16, rel=0.03)
    assert one["centroid_y"] == pytest.approx(0, abs=0.1)
    assert one["rotation"] == pytest.approx(0, abs=1e-3)
    assert one["breast"] < 0


@pytest.mark.parametrize("turn", [-0.4, -0.15, 0.02, 0.3])
def test_a_turn_is_positive_counter_clockwise(turn):
    one, straight = found(chest(turn=turn)), found(chest())
    assert one["rotation"] == pytest.approx(turn, abs=0.01)
    assert one["body_area"] == pytest.approx(straight["body_area"], rel=0.01)
    assert one["lung_area"] == pytest.approx(straight["lung_area"], rel=0.04)


@pytest.mark.parametrize("up", [-6.5, 0.25, 4.0])
def test_the_centroid_is_above_the_centre_and_to_the_part_of_a_pixel(up):
    assert found(chest(at=(3.0, up)))["centroid_y"] == pytest.approx(up, abs=0.1)


@pytest.mark.parametrize("wall", [4.0, 7.0, 10.0, 15.0])
def test_the_wall_is_that_between_lung_and_skin(wall):
    angle = np.linspace(-math.pi, math.pi, 2000)
    skin = np.stack([A * np.cos(angle), B * np.sin(angle)])
    y = np.arange(-7.5, 8)  # the middle half of the lungs' rows
    a = (A - wall) / 2 - 1
    lung = np.stack([A - wall - a + a * np.sqrt(1 - (y / 16) ** 2), y])
    expected = np.hypot(*(skin[:, None] - lung[..., None])).min(1).mean()
    assert found(chest(wall=wall))["wall_thickness"] == pytest.approx(expected, abs=0.5)


def test_breasts_stand_out_before_the_midline():
    flat, small, large = (found(chest(breasts=size))["breast"] for size in (0, 6, 10))
    assert flat < 0 < small < large
    assert large - small == pytest.approx(4, abs=1)
    turned = found(chest(breasts=10, turn=0.3))["breast"]
    assert turned == pytest.approx(large, abs=1.5)


def test_lengths_in_mm():
    pixels, mm = found(chest()), found(chest(), 2.5)
    for name in MEASURED:
        power = {"body_area": 2, "lung_area": 2, "rotation": 0}.get(name, 1)
        assert mm[name] == pytest.approx(pixels[name] * 2.5**power)
    two = np.concatenate([chest(), chest()])
    np.testing.assert_allclose(measure(two, [1.0, 2.5]), measure(np.concatenate([two, two]), [1, 2.5, 1, 1])[:2])


def test_table_arms_and_gas_are_no_body_and_no_lung():
    plain, more = chest(), chest()
    more[0, 0, 78:80, 5:90] = 200  # a table
    more[0, 0] = laid(more[0, 0], 40, ellipse(5, 6, (43, 0)))  # an arm
    more[0, 0] = laid(more[0, 0], -1000, ellipse(2.5, 3, (0, 20)))  # gas
    np.testing.assert_allclose(measure(more), measure(plain), atol=0.02, rtol=2e-3)
    more[0, 0] = laid(more[0, 0], 50, ellipse(3, 3, (17, 0)))  # a vessel in the lung is lung
    assert measure(more)[0, 4] == pytest.approx(measure(plain)[0, 4])


def test_noise_changes_little():
    noisy = chest() + np.random.default_rng(0).normal(0, 30, (1, 1, SIDE, SIDE))
    np.testing.assert_allclose(measure(noisy), measure(chest()), atol=0.4, rtol=0.02)


def test_each_image_by_itself_of_any_kind():
    images = np.concatenate([chest(), chest(turn=0.2), chest(breasts=8)])
    all_at_once = measure(images)
    assert all_at_once.shape == (3, len(MEASURED))
    np.testing.assert_array_equal(all_at_once[1:2], measure(images[1:2]))
    np.testing.assert_allclose(
        measure(torch.from_numpy(images).round().to(torch.int16)), all_at_once, rtol=5e-3, atol=1e-6
    )


def test_where_nothing_is():
    assert np.isnan(measure(np.full((1, 1, 32, 32), -1000))).all()
    solid = found(chest(lungs=50))
    assert solid["lung_area"] == 0
    assert math.isnan(solid["wall_thickness"])
    assert solid["body_area"] == pytest.approx(found(chest())["body_area"])
    full = found(np.full((1, 1, 32, 32), 40.0))
    assert (full["body_width"], full["body_height"], full["body_area"]) == (32, 32, 32**2)


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize(
    ("factor", "name"),
    [
        ("width", "body_width"),
        ("height", "body_height"),
        ("size", "body_area"),
        ("rotation", "rotation"),
        ("y_position", "centroid_y"),
        ("wall_thickness", "wall_thickness"),
        ("breast_size", "breast"),
    ],
)
def test_phantoms_under_one_factor(size, factor, name):
    values = torch.linspace(*phantoms.INDEPENDENT_RANGES[factor], 6)
    for patient in range(2):
        one = {key: column[patient].repeat(6) for key, column in phantoms.sample_factors(2, 7, True).items()}
        one |= {"z_position": torch.full((6,), 0.36), "arms": torch.zeros(6), factor: values}
        images = phantoms.render(one, size, 7, torch.full((6,), patient))
        column = measure(images, one["field_of_view"] / size)[:, MEASURED.index(name)]
        assert stats.spearmanr(column, values).statistic > 0.9


def test_phantoms_under_all_factors():
    factors = phantoms.sample_factors(120, 3, independent=True)
    factors["z_position"] = 0.2 + 0.4 * factors["z_position"]
    factors["arms"] = torch.zeros(120)
    columns = dict(
        zip(MEASURED, measure(phantoms.render(factors, 64, 3), factors["field_of_view"] / 64).T, strict=True)
    )
    for name, factor, least in (("rotation", "rotation", 0.95), ("centroid_y", "y_position", 0.9)):
        assert stats.spearmanr(columns[name], factors[factor]).statistic > least
    assert np.abs(columns["rotation"] - factors["rotation"].numpy()).max() < 0.08
    assert stats.spearmanr(columns["wall_thickness"], factors["wall_thickness"]).statistic > 0.8


@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (2, 1, 16, 64), (64, 64)])
def test_shapes(shape):
    with pytest.raises(ValueError, match="images: expected"):
        measure(np.zeros(shape))


def test_values():
    with pytest.raises(ValueError, match="NaN"):
        measure(np.full((1, 1, 32, 32), np.nan))
    for pixel in (0, -1.0, math.nan, math.inf, [1.0, 2.0], [[1.0]]):
        with pytest.raises(ValueError, match="pixel: expected a positive number"):
            measure(chest(), pixel)
