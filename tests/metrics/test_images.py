"""PSNR against scikit-image and by hand."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from medlatent.metrics import psnr

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((5, 3, 8, 8))
NOISY = IMAGES + RANDOM.normal(0, 0.1, IMAGES.shape)


def test_equals_scikit_image():
    result = psnr(IMAGES, NOISY)
    expected = [peak_signal_noise_ratio(a, b, data_range=1) for a, b in zip(IMAGES, NOISY, strict=True)]
    np.testing.assert_allclose(result.per_image, expected, rtol=1e-12)
    assert result.score == pytest.approx(np.mean(expected))
    assert result.per_image.dtype == np.float64


def test_by_hand():
    # Off by 0.1 everywhere: 20 dB. Off by 0.01: 40 dB. The mean of the ratios is 30, that of the errors gives 22.97.
    images = np.zeros((2, 1, 4, 4))
    result = psnr(images, images + np.array([0.1, 0.01]).reshape(2, 1, 1, 1))
    assert result.per_image.tolist() == pytest.approx([20, 40])
    assert result.score == pytest.approx(30)


def test_identical_images_are_infinite():
    result = psnr(IMAGES, IMAGES)
    assert np.isposinf(result.per_image).all()
    assert result.score == np.inf


def test_uint8_does_not_wrap_around():
    a, b = np.full((1, 1, 2, 2), 5, np.uint8), np.full((1, 1, 2, 2), 10, np.uint8)
    forwards, backwards = psnr(a, b, data_range=255), psnr(b, a, data_range=255)
    assert forwards.score == backwards.score == pytest.approx(20 * np.log10(255 / 5))


def test_torch_and_numpy_agree():
    a, b = torch.from_numpy(IMAGES).float(), torch.from_numpy(NOISY).float()
    np.testing.assert_array_equal(psnr(a, b).per_image, psnr(a.numpy(), b.numpy()).per_image)


def test_scaling_images_and_range_together_changes_nothing():
    np.testing.assert_allclose(psnr(7 * IMAGES, 7 * NOISY, data_range=7).per_image, psnr(IMAGES, NOISY).per_image)


@pytest.mark.parametrize(
    ("a", "b", "data_range", "message"),
    [
        (IMAGES, IMAGES[:, :1], 1.0, "same shape"),  # would broadcast
        (IMAGES[0], IMAGES[0], 1.0, r"\(N, C, H, W\)"),
        (IMAGES[:0], IMAGES[:0], 1.0, r"\(0, 3, 8, 8\)"),
        (IMAGES, NOISY, 0.0, "data_range must be positive, got 0"),
        (IMAGES, NOISY, float("nan"), "data_range"),
        (IMAGES, np.where(np.arange(5).reshape(5, 1, 1, 1) == 3, np.nan, NOISY), 1.0, "image 3 .*NaN"),
    ],
)
def test_errors(a, b, data_range, message):
    with pytest.raises(ValueError, match=message):
        psnr(a, b, data_range)


def test_tensors_that_require_gradients_are_taken():
    images, noisy = torch.tensor(IMAGES), torch.tensor(NOISY, requires_grad=True)
    assert psnr(images, noisy).score == psnr(IMAGES, NOISY).score
