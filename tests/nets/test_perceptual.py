"""Perceptual backbones against the distance of the packages that they come from, and as a loss takes them."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from medlatent.metrics import lpips_like
from medlatent.nets import feature_maps, perceptual, perceptual_backbone

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
    """The code of the two packages, which need not run here."""
    for name in ("lpips", "stlpips_pytorch.stlpips"):
        package = ModuleType(name)
        package.LPIPS = PublicForm
        monkeypatch.setitem(sys.modules, name, package)


@pytest.mark.parametrize(
    ("kind", "network", "name"), [("lpips", "alex", "LPIPS 0.1 (alex)"), ("st_lpips", "vgg", "ST-LPIPS (vgg)")]
)
def test_backbones_of_packages_give_the_packages_distance(kind, network, name):
    backbone = perceptual_backbone(kind, network)
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


@pytest.mark.parametrize(("kind", "network"), [("lpips", "alex"), ("st_lpips", "vgg")])
def test_a_missing_package_is_named(monkeypatch, kind, network):
    for module in ("lpips", "stlpips_pytorch", "stlpips_pytorch.stlpips"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r"install .*torchvision"):
        perceptual_backbone(kind, network)


class TestShiftTolerantAlexNet:
    def test_its_distance_is_the_packages_own(self, reference):
        arrays, values = reference("images")
        a, b = (torch.tensor(arrays[name]).float() for name in "ab")
        backbone = perceptual_backbone("st_lpips")
        found = lpips_like(a, b, backbone, backbone.weights).per_image
        np.testing.assert_allclose(found, values["stlpips_alex_shift_tolerant"], rtol=1e-4)

    def test_it_asks_for_a_package_without_the_weights(self, monkeypatch, tmp_path):
        monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
        with pytest.raises(ImportError, match="no package stlpips_pytorch: `pip install --no-deps stlpips-pytorch`"):
            feature_maps("st_lpips")
        monkeypatch.setattr(
            perceptual, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[tmp_path])
        )
        with pytest.raises(ImportError, match=r"alex_shift_tolerant\.pth is missing: reinstall stlpips-pytorch"):
            feature_maps("st_lpips")


class TestFeatureMaps:
    @pytest.fixture
    def vgg(self, monkeypatch):
        """torchvision's VGG19 by form: a ``features`` of convolutions and ReLUs in place, and weights by name."""
        torch.manual_seed(0)
        relus = (1, 3, 6, 8, 11, 13, 15, 17, 20, 22)
        features = nn.Sequential(
            *(nn.ReLU(inplace=True) if i in relus else nn.Conv2d(3, 3, 3, padding=1) for i in range(24))
        )
        package = ModuleType("torchvision.models")
        package.VGG19_Weights = SimpleNamespace(IMAGENET1K_V1="ImageNet")
        package.vgg19 = lambda weights: SimpleNamespace(features=features if weights == "ImageNet" else None)
        monkeypatch.setitem(sys.modules, "torchvision", ModuleType("torchvision"))
        monkeypatch.setitem(sys.modules, "torchvision.models", package)
        return features

    def test_the_layers_of_vgg19_are_those_of_the_paper(self, vgg):
        images = torch.tensor(IMAGES).float()
        maps = feature_maps("vgg19")(images)
        assert len(maps) == 4
        with torch.no_grad():
            for layer, found in zip((1, 6, 11, 20), maps, strict=True):
                assert torch.equal(found, vgg[: layer + 1](images.clone()))  # each pixel as it is

    def test_a_channel_is_a_grey_image(self, vgg):
        images = torch.tensor(IMAGES[:, :2]).float()
        network = feature_maps("vgg19")
        grey = [network(images[:, [c, c, c]]) for c in (0, 1)]
        for found, *each in zip(network(images), *grey, strict=True):
            assert torch.allclose(found, torch.cat(each, 2))

    @pytest.mark.parametrize("name", ["vgg19", "lpips", "st_lpips"])
    def test_they_are_frozen_and_let_gradients_through(self, vgg, name):
        network = feature_maps(name)
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())
        images = torch.tensor(IMAGES[:2, :2]).float().repeat(1, 1, 4, 4).requires_grad_(True)
        sum(m.square().mean() for m in network(images)).backward()
        assert images.grad.abs().sum() > 0

    def test_unknown_names_and_missing_packages(self, monkeypatch):
        with pytest.raises(ValueError, match="no feature maps 'vgg': use one of vgg19, lpips, st_lpips"):
            feature_maps("vgg")
        monkeypatch.setitem(sys.modules, "torchvision", None)
        monkeypatch.setitem(sys.modules, "torchvision.models", None)
        with pytest.raises(ImportError, match="install torchvision, or choose another network"):
            feature_maps("vgg19")
