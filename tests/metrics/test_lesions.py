"""Size, eccentricity and redness of ellipses that were drawn with known ones, and of phantoms."""

import numpy as np
import pytest
import torch
from scipy import stats

from medlatent.data.phantoms import lesion
from medlatent.metrics.lesions import MEASURED, measure

SKIN = (0.8, 0.6, 0.5)


def ellipse(a: float, b: float, angle: float = 0.0, skin=SKIN, side: int = 64) -> np.ndarray:
    """``(1, 3, side, side)``: an ellipse with the half axes a and b that absorbs two thirds of the light."""
    at = np.arange(side) + 0.5 - side / 2
    x, y = (
        at[None] * np.cos(angle) + at[:, None] * np.sin(angle),
        at[:, None] * np.cos(angle) - at[None] * np.sin(angle),
    )
    inside = (x / a) ** 2 + (y / b) ** 2 < 1
    return (np.array(skin)[:, None, None] * np.where(inside, 1 / 3, 1.0))[None]


@pytest.mark.parametrize(("a", "b", "angle"), [(12, 12, 0), (18, 9, 0), (18, 9, 0.8), (15, 12, 1.4)])
def test_an_ellipse(a, b, angle):
    size, eccentricity, redness = measure(ellipse(a, b, angle))[0]
    assert size == pytest.approx(np.pi * a * b / 64**2, rel=0.05)
    assert eccentricity == pytest.approx(np.sqrt(1 - (b / a) ** 2), abs=0.15 if a == b else 0.03)
    assert redness == pytest.approx(0.8 / 1.9, abs=1e-6)


def test_each_image_by_itself_and_darker_light_does_not_matter():
    images = np.concatenate([ellipse(20, 10), 0.6 * ellipse(20, 10), ellipse(8, 8, skin=(0.6, 0.6, 0.6))])
    found = measure(images)
    assert found.shape == (3, len(MEASURED))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-6)
    np.testing.assert_array_equal(found[2], measure(images[2:])[0])
    assert found[2, 2] == pytest.approx(1 / 3)
    np.testing.assert_allclose(measure(torch.from_numpy(images).float()), found, rtol=1e-6)


def test_a_small_second_piece_does_not_count():
    image = ellipse(12, 12)
    image[..., 4:8, 4:8] /= 3
    assert measure(image)[0, 0] == pytest.approx(np.pi * 144 / 64**2, rel=0.05)


def test_phantoms():
    factors = lesion.sample_factors(200, 3)
    for name in ("hair", "vignette", "white_balance"):
        factors[name] = torch.zeros(200)
    found = measure(lesion.render(factors, 32, 3).float() / 255)
    for column, name in zip(found.T, MEASURED, strict=True):
        assert stats.spearmanr(column, factors[name]).statistic > 0.6, name


def test_an_image_without_a_lesion_and_none_at_all():
    assert np.isfinite(measure(np.full((1, 3, 16, 16), 0.5))).all()
    assert np.isfinite(measure(np.zeros((1, 3, 16, 16)))).all()


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 3, 8, 32), (3, 32, 32)])
def test_shapes(shape):
    with pytest.raises(ValueError, match="images: expected"):
        measure(np.zeros(shape))


def test_values():
    with pytest.raises(ValueError, match="NaN"):
        measure(np.full((1, 3, 32, 32), np.nan))
    with pytest.raises(ValueError, match=r"images: expected .*got whole numbers; divide uint8 by 255"):
        measure(np.full((1, 3, 32, 32), 200, np.uint8))
    with pytest.raises(ValueError, match=r"images: values from 0 to 255, expected those in \[0, 1\]"):
        measure(255.0 * (np.arange(32) > 16) * np.ones((1, 3, 32, 32)))
