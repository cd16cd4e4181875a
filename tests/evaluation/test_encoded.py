"""The suites ``reconstruction`` and ``posterior``: what a model makes of every image, against a plain computation."""

import math

import numpy as np
import pytest
import torch
from evaluation_cases import NUMBERS, image_set, small_vae

from medlatent.evaluation import evaluate, observe
from medlatent.metrics import ssim


def test_equals_a_plain_computation():
    model, images = small_vae().eval(), image_set()
    result = evaluate(model, images)
    sse, ratio, similarity, kl, means, variances = [], [], [], [], [], []
    with torch.inference_mode():
        for stored in images.images:
            image = torch.from_numpy(stored).float()[None] / 255
            mean, logvar = model.encode(image)
            error = (model.decode(mean) - image).double()
            sse.append(error.square().sum().item())
            ratio.append(-10 * math.log10(error.square().mean().item()))
            similarity.append(ssim(image, model.decode(mean)).score)
            pairs = zip(mean[0].tolist(), logvar[0].tolist(), strict=True)
            kl.append(sum(0.5 * (m * m + math.exp(v) - v - 1) for m, v in pairs))
            means.append(mean[0].tolist())
            variances.append(logvar[0].exp().tolist())
    assert list(result) == NUMBERS
    assert result["sse"] == pytest.approx(np.mean(sse), rel=1e-6)
    assert result["psnr"] == pytest.approx(np.mean(ratio), rel=1e-6)
    assert result["ssim"] == pytest.approx(np.mean(similarity), rel=1e-6)
    assert result["kl"] == pytest.approx(np.mean(kl), rel=1e-5)
    assert result["active_units"] == (np.var(means, axis=0, ddof=1) > 0.01).sum() > 0
    covariance = np.cov(means, rowvar=False) + np.diag(np.mean(variances, axis=0))
    expected = 0.5 * (np.log(np.diag(covariance)).sum() - np.log(np.linalg.det(covariance)))
    assert result["gaussian_tc"] == pytest.approx(expected, rel=1e-3)


def test_an_image_s_company_does_not_matter():
    """More images than a batch, and the same ones a few at a time."""
    model, images = small_vae(), image_set(300)
    whole = observe(model, images)["encoded"]
    parts = [observe(model, images.subset(range(*ends)))["encoded"] for ends in ((0, 1), (1, 8), (8, 300))]
    for name, values in whole.items():
        assert len(values) == 300
        np.testing.assert_allclose(np.concatenate([part[name] for part in parts]), values, rtol=1e-5, atol=1e-5)
