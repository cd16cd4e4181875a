"""Perceptual backbones against the distance of the packages that they come from, and as a loss takes them."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from medlatent.metrics import lpips_like
from medlatent.nets import perceptual_backbone

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.random((5, 3, 8, 8))
NOISY = IMAGES + RANDOM.normal(0, 0.1, IMAGES.shape)


class PublicForm(nn.Module):
    """An LPIPS module as the public packages build it: a trunk, a scaling of its input, one head a layer."""

    def __init__(self, net="alex", variant="", verbose=True):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 3, stride=2)
        heads = [nn.Conv2d(width, 1, 1, bias=False) for width in (4, 5)]
        self.lins = [SimpleNamespace(model=nn.Sequential(nn.Dropout(), head)) for head in heads]
        for head in heads:
            head.weight.data.abs_()

    def scaling_layer(self, images):
        return (images + 0.1) / 0.5

    def net(self, images):
        first = self.first(images).relu()
        return [first, self.second(first)]

    def forward(self, a, b):
        total = 0
        for x, y, head in zip(self.net(self.scaling_layer(a)), self.net(self.scaling_layer(b)), self.lins, strict=True):
            x, y = (v / (v.square().sum(1, keepdim=True).sqrt() + 1e-10) for v in (x, y))
            total = total + head.model[-1]((x - y) ** 2).mean((1, 2, 3))
        return total


@pytest.fixture(autouse=True)
def packages(monkeypatch):
    """The two packages, which need not be installed."""
    for name in ("lpips", "stlpips_pytorch", "stlpips_pytorch.stlpips"):
        package = ModuleType(name)
        package.LPIPS = PublicForm
        monkeypatch.setitem(sys.modules, name, package)


@pytest.mark.parametrize(("kind", "name"), [("lpips", "LPIPS 0.1 (alex)"), ("st_lpips", "ST-LPIPS (alex)")])
def test_backbones_of_packages_give_the_packages_distance(kind, name):
    backbone = perceptual_backbone(kind)
    a, b = torch.tensor(IMAGES).float(), torch.tensor(NOISY).float().clamp(0, 1)
    with torch.no_grad():
        colour = PublicForm()(2 * a - 1, 2 * b - 1)
        grey = [PublicForm()(*(2 * x[:, [c, c, c]] - 1 for x in (a, b))) for c in (0, 1)]
    result = lpips_like(a, b, backbone)
    np.testing.assert_allclose(result.per_image, colour, rtol=1e-5)
    assert result.backbone == name
    # Two channels, such as two phases of a heart: each a grey image, and the mean over both.
    np.testing.assert_allclose(lpips_like(a[:, :2], b[:, :2], backbone).per_image, torch.stack(grey).mean(0), rtol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_gradients_reach_the_images_and_no_parameter(channels):
    backbone = perceptual_backbone().double()
    images = torch.tensor(IMAGES[:2, :channels], requires_grad=True)
    with torch.no_grad():
        target = backbone(torch.tensor(NOISY[:2, :channels]))

    def loss(x):
        return sum((ours - theirs).square().mean() for ours, theirs in zip(backbone(x), target, strict=True))

    assert torch.autograd.gradcheck(loss, (images,))
    (gradient,) = torch.autograd.grad(loss(images), images)
    assert (gradient.abs().sum((2, 3)) > 0).all()
    assert not backbone.training
    assert not any(p.requires_grad for p in backbone.parameters())


def test_unknown_networks_are_refused():
    with pytest.raises(ValueError, match="no backbone 'vgg' with 'alex': use lpips or st_lpips"):
        perceptual_backbone("vgg")


@pytest.mark.parametrize("kind", ["lpips", "st_lpips"])
def test_a_missing_package_is_named(monkeypatch, kind):
    for module in ("lpips", "stlpips_pytorch", "stlpips_pytorch.stlpips"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"install .*torchvision"):
        perceptual_backbone(kind)
