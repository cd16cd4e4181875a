"""PSNR, SSIM and perceptual distance against other implementations and by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from medlatent.metrics import psnr
from medlatent.metrics.images import lpips_like, ssim

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


def test_an_error_that_vanishes_when_it_is_squared_is_not_taken_for_none():
    with pytest.raises(ValueError, match="images: image 0 differs from its reconstruction by too little"):
        psnr(np.zeros((1, 1, 2, 2)), np.full((1, 1, 2, 2), 1e-200))


def test_identical_images_are_infinite():
    result = psnr(IMAGES, IMAGES)
    assert np.isposinf(result.per_image).all()
    assert result.score == np.inf


def test_uint8_does_not_wrap_around():
    a, b = np.full((1, 1, 2, 2), 5, np.uint8), np.full((1, 1, 2, 2), 10, np.uint8)
    forwards, backwards = psnr(a, b, data_range=255), psnr(b, a, data_range=255)
    assert forwards.score == backwards.score == pytest.approx(20 * np.log10(255 / 5))


@pytest.mark.parametrize("score", [psnr, ssim])
def test_the_range_of_whole_numbers_has_to_be_said(score):
    images = RANDOM.integers(0, 256, (2, 1, 12, 12), dtype=np.uint8)
    for pair in ((images, images[::-1]), (images / 255, images), (torch.from_numpy(images).int(), images)):
        with pytest.raises(ValueError, match=r"data_range: (images|reconstructions) are whole numbers.*255 for uint8"):
            score(*pair)
    assert score(images, images[::-1], 255).score == pytest.approx(score(images / 255, images[::-1] / 255).score)
    assert np.isfinite(score(images > 100, images > 120).score)  # true and false go from 0 to 1


@pytest.mark.parametrize("score", [psnr, ssim])
def test_images_beyond_the_range_are_refused_and_reconstructions_are_not(score):
    images, noisy = np.repeat(np.repeat(IMAGES, 2, 2), 2, 3), np.repeat(np.repeat(NOISY, 2, 2), 2, 3)
    assert np.ptp(noisy) > 1
    assert np.isfinite(score(images, noisy).score)
    for wrong, span in ((255 * images, "0.*to 25."), (2 * images - 1, "-0.9.* to 0.9")):
        with pytest.raises(ValueError, match=f"data_range: the images go from {span}.*, which is more than 1"):
            score(wrong, noisy)


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
        (IMAGES, NOISY, 0.0, "data_range must be positive and finite, got 0"),
        (IMAGES, NOISY, float("nan"), "data_range"),
        (
            IMAGES,
            np.where(np.arange(5).reshape(5, 1, 1, 1) == 3, np.nan, NOISY),
            1.0,
            "row 3 holds NaN",
        ),
        (
            IMAGES,
            np.where(np.arange(5).reshape(5, 1, 1, 1) == 2, np.inf, NOISY),
            1.0,
            "row 2 holds NaN or inf",
        ),
    ],
)
def test_errors(a, b, data_range, message):
    with pytest.raises(ValueError, match=message):
        psnr(a, b, data_range)


def test_tensors_that_require_gradients_are_taken():
    images, noisy = torch.tensor(IMAGES), torch.tensor(NOISY, requires_grad=True)
    assert psnr(images, noisy).score == psnr(IMAGES, NOISY).score


# ------------------------------------------------------------------------------------------------------------- SSIM

LARGE = RANDOM.random((3, 2, 24, 20))
BLURRED = gaussian_filter(LARGE, 1, axes=(2, 3)) + RANDOM.normal(0, 0.02, LARGE.shape)


def by_scikit_image(images, reconstructions, data_range=1.0, **options):
    return [
        structural_similarity(a, b, data_range=data_range, channel_axis=0, **options)
        for a, b in zip(images, reconstructions, strict=True)
    ]


def test_uniform_ssim_equals_scikit_image():
    result = ssim(LARGE, BLURRED, window="uniform")
    np.testing.assert_allclose(result.per_image, by_scikit_image(LARGE, BLURRED), rtol=1e-12)
    assert result.score == pytest.approx(result.per_image.mean())
    assert result.variant == "uniform 7×7, sample covariance, border valid"


def test_gaussian_ssim_inside_the_image_equals_scikit_image():
    options = {"gaussian_weights": True, "use_sample_covariance": False}
    result = ssim(LARGE, BLURRED, border="valid")
    np.testing.assert_allclose(result.per_image, by_scikit_image(LARGE, BLURRED, **options), rtol=1e-12)


def test_gaussian_ssim_with_its_border_by_brute_force():
    # Every window spelt out: mirrored without the edge, weights of a Gaussian cut off at five pixels.
    offset = np.arange(-5, 6)
    weights = np.exp(-(offset[:, None] ** 2 + offset[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    a, b = (np.pad(x[0, 0, :12, :11], 5, mode="reflect") for x in (LARGE, BLURRED))
    values = []
    for i in range(12):
        for j in range(11):
            x, y = a[i : i + 11, j : j + 11], b[i : i + 11, j : j + 11]
            mx, my = (weights * x).sum(), (weights * y).sum()
            vx, vy = (weights * (x - mx) ** 2).sum(), (weights * (y - my) ** 2).sum()
            c = (weights * (x - mx) * (y - my)).sum()
            values.append((2 * mx * my + 1e-4) * (2 * c + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    result = ssim(LARGE[:1, :1, :12, :11], BLURRED[:1, :1, :12, :11])
    assert result.score == pytest.approx(np.mean(values), rel=1e-12)


def test_ssim_by_hand():
    # Constant images: variances vanish, and the means alone count.
    a, b = np.full((1, 1, 11, 11), 0.2), np.full((1, 1, 11, 11), 0.6)
    for window in ("gaussian", "uniform"):
        assert ssim(a, b, window=window).score == pytest.approx((2 * 0.12 + 1e-4) / (0.04 + 0.36 + 1e-4))
        assert ssim(LARGE, LARGE, window=window).per_image.tolist() == pytest.approx([1, 1, 1])


def test_the_four_variants_differ():
    pairs = [(w, b) for w in ("gaussian", "uniform") for b in ("mirror", "valid")]
    results = [ssim(LARGE, BLURRED, window=w, border=b) for w, b in pairs]
    assert len({round(r.score, 4) for r in results}) == len({r.variant for r in results}) == 4


def test_parts_of_a_large_set_are_joined_in_order():
    images, others = RANDOM.random((130, 1, 11, 11)), RANDOM.random((130, 1, 11, 11))
    whole = ssim(images, others).per_image
    np.testing.assert_allclose(
        whole[[0, 63, 64, 129]], ssim(images[[0, 63, 64, 129]], others[[0, 63, 64, 129]]).per_image
    )


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["gaussian", "uniform"]), st.floats(0.5, 4000))
def test_ssim_is_symmetric_bounded_and_knows_no_unit(seed, window, scale):
    a, b = np.random.default_rng(seed).random((2, 1, 1, 12, 13))
    value = ssim(a, b, window=window).score
    assert -1 <= value <= 1
    assert ssim(b, a, window=window).score == pytest.approx(value)
    assert ssim(scale * a, scale * b, scale, window).score == pytest.approx(value)
    assert ssim(a[..., ::-1], b[..., ::-1], window=window).score == pytest.approx(value)


def test_reference_values(reference):
    arrays, values = reference("images")
    a, b = arrays["a"], arrays["b"]
    # Those implementations computed SSIM in float32: seven digits are what they have.
    assert ssim(a, b).score == pytest.approx(values["torchmetrics_ssim_gauss11_range1"], rel=3e-6)
    assert ssim(a, b, window="uniform").score == pytest.approx(
        values["skimage_ssim_win7_uniform_range1_mean"], rel=3e-6
    )
    assert psnr(a, b).score == pytest.approx(values["skimage_psnr_range1_mean"], rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ssim(LARGE, BLURRED, window="box"), "window 'box'"),
        (lambda: ssim(LARGE, BLURRED, border="zero"), "border 'zero'"),
        (lambda: ssim(LARGE, BLURRED[:, :1]), "same shape"),
        (lambda: ssim(IMAGES, NOISY), "8×8 pixels"),
        (lambda: ssim(LARGE, BLURRED, data_range=-1), "data_range"),
        (lambda: ssim(LARGE, BLURRED * np.nan), "reconstructions: row 0 holds NaN"),
    ],
)
def test_ssim_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# -------------------------------------------------------------------------------------------- perceptual distance


def two_layers(images):
    """Pixels with their squares, and means over 2×2 blocks with a constant."""
    pooled = nn.functional.avg_pool2d(images, 2)
    return [torch.cat([images, images**2], 1), torch.cat([pooled, torch.ones_like(pooled)], 1)]


def test_perceptual_distance_by_brute_force():
    weights = [RANDOM.random(6), RANDOM.random(6)]
    result = lpips_like(IMAGES, IMAGES[::-1].copy(), two_layers, weights, batch_size=2)
    assert result.backbone == "two_layers"
    pairs = zip(two_layers(torch.tensor(IMAGES)), two_layers(torch.tensor(IMAGES[::-1].copy())), strict=True)
    for layer, (a, b) in enumerate(pairs):
        for n in range(5):
            total = 0.0
            for i in range(a.shape[2]):
                for j in range(a.shape[3]):
                    u, v = a[n, :, i, j].numpy(), b[n, :, i, j].numpy()
                    total += weights[layer] @ (u / np.linalg.norm(u) - v / np.linalg.norm(v)) ** 2
            assert result.per_layer[n, layer] == pytest.approx(total / (a.shape[2] * a.shape[3]), rel=1e-5)
    np.testing.assert_allclose(result.per_image, result.per_layer.sum(1))
    assert result.score == pytest.approx(result.per_image.mean())


def test_perceptual_distance_by_hand():
    # Orthogonal features: squared distance 2. The same direction at another length, or no features at all: 0.
    def backbone(images):
        return [images]

    a, b = np.zeros((3, 2, 4, 4)), np.zeros((3, 2, 4, 4))
    a[0, 0] = b[0, 1] = 1
    a[1, 0], b[1, 0] = 0.2, 0.9
    result = lpips_like(a, b, backbone, name="the pixels")
    assert result.per_image.tolist() == pytest.approx([2, 0, 0])
    assert result.backbone == "the pixels"
    assert lpips_like(b, a, backbone, [[1, 3]]).per_image.tolist() == pytest.approx([4, 0, 0])


def test_a_network_in_training_mode_is_refused():
    class Network(nn.Sequential):
        def forward(self, images):
            return [super().forward(images)]

    network = Network(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    with pytest.raises(ValueError, match=r"Network is in training mode; call its eval"):
        lpips_like(IMAGES, IMAGES, network)
    result = lpips_like(IMAGES, torch.tensor(IMAGES, requires_grad=True), network.eval())
    assert result.score == 0
    assert result.backbone == "Network"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lpips_like(IMAGES, IMAGES, lambda x: x), "list of feature maps"),
        (lambda: lpips_like(IMAGES, IMAGES, lambda x: []), "list of feature maps"),
        (lambda: lpips_like(IMAGES, IMAGES, lambda x: [x / 0]), "layer 0 .*NaN"),
        (lambda: lpips_like(IMAGES, IMAGES + 1, two_layers), "reconstructions: values from"),
        (lambda: lpips_like(IMAGES, IMAGES, two_layers, [[1.0]]), "weights: expected"),
        (lambda: lpips_like(IMAGES, IMAGES, lambda x: [x], [[1, -1, 1]]), "weights: a weight is negative"),
        (lambda: lpips_like(IMAGES, IMAGES, two_layers, batch_size=0), "batch_size"),
    ],
)
def test_perceptual_errors(call, message):
    with pytest.raises(ValueError, match=message):
        call()
