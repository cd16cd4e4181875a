"""Scales and segmentations: what an explorer carries of them, what is measured, and what is refused."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from medlatent.explore import Explorer, Network, Scale, Segmentation
from medlatent.models import VAE

D = 5
CLASSES = ("LV", "myocardium", "RV")
NUMBERS = {"LV": (2.0, 1.0), "myocardium": (0.5, 1.5), "RV": (1, 1)}


class UNet(nn.Module):
    """One level of a U-Net, with batch normalisation that has seen pictures."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down, self.inner, self.up = self.block(1, 4), self.block(4, 8), self.block(12, 4)
        self.end = nn.Conv2d(4, classes + 1, 1)
        pictures = torch.rand(64, 1, 16, 16)
        for _ in range(30):
            logits = self(pictures)
        with torch.no_grad():
            self.end.bias -= logits.mean((0, 2, 3))  # no class is left without a pixel
        self.eval()

    @staticmethod
    def block(inside: int, outside: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(inplace=True)
        )

    def forward(self, pictures):
        fine = self.down(pictures)
        coarse = self.inner(nn.functional.max_pool2d(fine, 2))
        return self.end(self.up(torch.cat([nn.functional.interpolate(coarse, scale_factor=2), fine], 1)))


class Thresholds(nn.Module):
    """Class 1 above a half, class 2 above three quarters, class 3 nowhere."""

    def forward(self, pictures):
        return torch.cat([0.5 - pictures, 0 * pictures, 3 * (pictures - 0.75), pictures - 9], 1)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return VAE(latent_dim=D, channels=1, size=16)


@pytest.fixture(scope="module")
def segmentation():
    return Segmentation(UNet(), CLASSES, NUMBERS)


class Phases(nn.Module):
    latent_dim, pictures = 3, ("ED", "ES")

    def decode(self, codes):
        return nn.functional.interpolate(codes.sigmoid()[:, :2, None, None], (8, 6))


def test_an_explorer_without_them_carries_nothing_of_them(model):
    explorer = Explorer(model)
    assert (explorer.scales, explorer.segmentation, explorer.segmentation_weights) == ({}, {}, b"")
    assert list(explorer.networks) == ["decoder"]


def test_scales_travel_by_the_number_of_their_dimension(model):
    explorer = Explorer(model, scales={0: Scale(142, 38.5, "ml"), np.int64(3): Scale(np.float32(0.5), -0.25)})
    assert explorer.scales == {
        "0": {"offset": 142.0, "factor": 38.5, "unit": "ml"},
        "3": {"offset": 0.5, "factor": -0.25, "unit": ""},
    }
    assert explorer.start == [0.0] * D  # the code stays z
    assert explorer.limits == [[-3.0, 3.0]] * D


def test_the_network_of_a_segmentation_travels_as_a_decoder_does(model, segmentation):
    explorer = Explorer(model, segmentation=segmentation)
    assert explorer.segmentation["classes"] == list(CLASSES)
    assert explorer.segmentation["unit"] == "ml"
    assert explorer.segmentation["calibration"] == [[(2.0, 1.0), (0.5, 1.5), (1.0, 1.0)]]
    spec = explorer.networks["segmentation"]
    weights = np.frombuffer(explorer.segmentation_weights, "<f2")
    network = Network(spec["inputs"], spec["outputs"], spec["shapes"], spec["steps"], weights)
    pictures = torch.rand(6, 1, 16, 16)
    with torch.inference_mode():
        assert torch.allclose(network.run(pictures)[0], segmentation.network(pictures), atol=0.02)


def test_what_rounding_the_weights_does_to_the_classes_is_counted(model):
    class Halves(nn.Module):
        """With weights of 32 bits all is background, with 1 + 1e-5 rounded to 1 nothing is."""

        def __init__(self, much: float) -> None:
            super().__init__()
            self.much = nn.Parameter(torch.full((1, 1, 1, 1), much))

        def forward(self, pictures):
            constant = 0 * pictures + 1
            return torch.cat([constant * self.much, constant + 5e-6], 1)

    for much, pixels in ((1 + 1e-5, 256), (1.5, 0)):
        measured = Segmentation(Halves(much), ["all"], {"all": (1, 1)})
        assert Explorer(model, segmentation=measured).segmentation["changed"] == pixels


def test_pixels_and_quantities():
    values = torch.tensor([0.1, 0.6, 0.6, 0.9])
    images = values.view(1, 1, 2, 2).repeat(2, 2, 1, 1)
    images[1, 1] = 0.0
    calibration = {"ED": NUMBERS, "ES": {"LV": (3, 2), "myocardium": (7, 1), "RV": (1, 1)}}
    segmentation = Segmentation(Thresholds(), CLASSES, calibration, unit="cm³")
    assert segmentation.pixels(images).tolist() == [[[2, 1, 0], [2, 1, 0]], [[2, 1, 0], [0, 0, 0]]]
    measured = segmentation.measure(images, ("ES", "ED"))  # in the order that is said
    nan = math.nan
    expected = [[[12, 7, nan], [4, 0.5, nan]], [[12, 7, nan], [nan, nan, nan]]]
    assert np.allclose(measured, expected, equal_nan=True)
    assert np.allclose(
        Segmentation(Thresholds(), CLASSES, NUMBERS).measure(images[:, :1]), [[[4, 0.5, nan]]] * 2, equal_nan=True
    )
    with pytest.raises(ValueError, match=re.escape("images: expected (B, 2, H, W), got (2, 1, 2, 2)")):
        segmentation.measure(images[:, :1], ("ES", "ED"))


def test_each_channel_is_measured_as_its_picture():
    calibration = {"ES": NUMBERS, "ED": {"RV": (9, 1), "myocardium": (8, 1), "LV": (7, 1)}}
    explorer = Explorer(Phases(), segmentation=Segmentation(UNet(), CLASSES, calibration))
    assert explorer.segmentation["calibration"] == [[(7, 1), (8, 1), (9, 1)], [(2, 1), (0.5, 1.5), (1, 1)]]
    spec = explorer.networks["segmentation"]
    assert [spec["shapes"][i] for i in (*spec["inputs"], *spec["outputs"])] == [[1, 8, 6], [4, 8, 6]]


def test_measuring_leaves_the_network_as_it_was(model):
    network = UNet().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    segmentation = Segmentation(network, CLASSES, NUMBERS)
    Explorer(model, segmentation=segmentation)
    segmentation.measure(torch.rand(2, 1, 16, 16))
    assert all(part.training for part in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((math.nan, 1.0), "Scale: offset must be a finite number, got nan"),
        ((0.0, "2"), "Scale: factor must be a finite number, got '2'"),
        ((0.0, True), "Scale: factor must be a finite number, got True"),
        ((0.0, 0.0), "Scale: factor must not be 0"),
        ((0.0, 1.0, None), "Scale: unit must be a text such as 'ml', got None"),
    ],
)
def test_scales_that_are_none(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Scale(*arguments)


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({5: Scale(0, 1)}, "scales: there is no dimension 5, the code has 5"),
        ({-1: Scale(0, 1)}, "scales: there is no dimension -1"),
        ({"LVEDV": Scale(0, 1)}, "scales: there is no dimension LVEDV"),
        ({0: (142, 38.5)}, "scales: expected a Scale for dimension 0, got (142, 38.5)"),
        ([Scale(0, 1)], "scales: expected a Scale for each dimension by its number"),
        ({1: Scale(0, 1)}, "scales: dimension 1 belongs to the category"),
    ],
)
def test_scales_that_do_not_fit(model, scales, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(model, category=(1, 2), scales=scales)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((None, CLASSES, NUMBERS), "Segmentation: network must be a torch.nn.Module, got NoneType"),
        ((UNet(), "LV", {"LV": (1, 1)}), "Segmentation: classes must be a sequence of names"),
        ((UNet(), ["LV", ""], NUMBERS), "Segmentation: classes must be a sequence of names"),
        ((UNet(), ["LV", "LV"], NUMBERS), "Segmentation: the class 'LV' is named more than once"),
        ((UNet(), [], {}), "Segmentation: classes must be one to 6 beside the background, got 0"),
        ((UNet(), "ABCDEFG", {}), "Segmentation: classes must be a sequence"),
        ((UNet(), list("ABCDEFG"), {}), "Segmentation: classes must be one to 6 beside the background, got 7"),
        ((UNet(), CLASSES, [1, 1]), "Segmentation: calibration must be (a, b) by picture and class, got [1, 1]"),
        ((UNet(), CLASSES, {**NUMBERS, "LA": (1, 1)}), "calibration names a class 'LA', which is none of LV, myo"),
        ((UNet(), CLASSES, {"LV": (1, 1)}), "Segmentation: calibration lacks the class 'myocardium'"),
        (
            (UNet(), CLASSES, {"ED": NUMBERS, "ES": {"LV": (1, 1)}}),
            "calibration of the picture 'ES' lacks the class 'myocardium'",
        ),
        ((UNet(), CLASSES, {"ED": NUMBERS, "ES": 1}), "calibration of the picture 'ES' must be (a, b) by class, got 1"),
        ((UNet(), CLASSES, {**NUMBERS, "LV": (1, -1)}), "class 'LV' must be two positive numbers (a, b), got (1, -1)"),
        ((UNet(), CLASSES, {**NUMBERS, "LV": (1, math.inf)}), "must be two positive numbers (a, b), got (1, inf)"),
        ((UNet(), CLASSES, {**NUMBERS, "LV": 2.0}), "must be two positive numbers (a, b), got 2.0"),
        ((UNet(), CLASSES, NUMBERS, 3), "Segmentation: unit must be a text such as 'ml', got 3"),
    ],
)
def test_segmentations_that_are_none(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Segmentation(*arguments)


def test_a_network_that_does_not_fit_the_pictures(model):
    with pytest.raises(
        ValueError, match=re.escape("its network makes (1, 3, 16, 16) of a grey picture (1, 1, 16, 16)")
    ):
        Explorer(model, segmentation=Segmentation(UNet(2), CLASSES, NUMBERS))
    halving = nn.Sequential(nn.Conv2d(1, 4, 1), nn.MaxPool2d(2))
    with pytest.raises(ValueError, match=re.escape("and 3 classes (LV, myocardium, RV) need (1, 4, 16, 16)")):
        Explorer(model, segmentation=Segmentation(halving, CLASSES, NUMBERS))
    grouped = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1, groups=2))
    with pytest.raises(ValueError, match=r"segmentation: .*'1' \(Conv2d\) convolves in 2 groups"):
        Explorer(model, segmentation=Segmentation(grouped, CLASSES, NUMBERS))
    with pytest.raises(ValueError, match="segmentation: expected a Segmentation, got UNet"):
        Explorer(model, segmentation=UNet())


def test_pictures_whose_sides_the_network_cannot_halve(segmentation):
    odd = nn.Sequential(nn.Linear(2, 15 * 16), nn.Sigmoid(), nn.Unflatten(1, (1, 15, 16)))
    with pytest.raises(ValueError, match=r"cannot take a picture of 15 × 16 pixels: .* sides that 2 to the power of k"):
        Explorer(odd, latent_dim=2, segmentation=segmentation)


def test_pictures_in_colour_are_not_measured(segmentation):
    coloured = nn.Sequential(nn.Linear(2, 48), nn.Sigmoid(), nn.Unflatten(1, (3, 4, 4)))
    with pytest.raises(ValueError, match=r"takes grey pictures \(1, H, W\), but the model makes one in 3 colours"):
        Explorer(coloured, latent_dim=2, segmentation=segmentation)


@pytest.mark.parametrize(
    ("pictures", "calibration", "message"),
    [
        (("ED", "ES"), NUMBERS, "its calibration names no picture, but there are ED, ES"),
        (("ED", "ES"), {"ED": NUMBERS}, "its calibration lacks the picture 'ES'"),
        (("ED", "ES"), dict.fromkeys(("ED", "ES", "mid"), NUMBERS), "names a picture 'mid', which is none of ED, ES"),
        ((), {"ED": NUMBERS}, "is of the pictures ED, but the model's only picture has no name"),
    ],
)
def test_a_calibration_of_other_pictures(model, pictures, calibration, message):
    shown = Phases() if pictures else model
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(shown, segmentation=Segmentation(UNet(), CLASSES, calibration))
