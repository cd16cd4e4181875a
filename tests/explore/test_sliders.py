"""The sliders move the code, the code moves the picture, and reset brings both back."""

import io

import numpy as np
import pytest
import torch
from ipywidgets import Button, FloatSlider, Image
from PIL import Image as Picture

from medlatent.explore import sliders
from medlatent.models import VAE


@pytest.fixture
def model():
    torch.manual_seed(0)
    return VAE(latent_dim=5, size=16).eval()


def parts(widget) -> tuple[Image, list[FloatSlider], Button]:
    picture, column = widget.children
    *controls, reset = column.children
    return picture, controls, reset


def decoded(model, code) -> np.ndarray:
    with torch.inference_mode():
        image = model.decode(torch.as_tensor(code, dtype=torch.float32)[None])[0]
    return image.permute(1, 2, 0).numpy()


def drawn(picture) -> np.ndarray:
    """The picture, reduced to one value a decoded pixel."""
    pixels = np.asarray(Picture.open(io.BytesIO(picture.value)).convert("RGB"))
    assert pixels.shape == (256, 256, 3)
    return pixels[8::16, 8::16] / 255


def test_a_slider_moves_its_dimension_and_the_picture(model):
    widget = sliders(model)
    picture, controls, _ = parts(widget)
    assert [c.description for c in controls] == ["z0", "z1", "z2", "z3", "z4"]
    assert widget.code.tolist() == [0] * 5
    np.testing.assert_allclose(drawn(picture), decoded(model, [0] * 5), atol=1 / 255)
    before = picture.value
    controls[3].value = 2.5
    assert widget.code.tolist() == [0, 0, 0, 2.5, 0]
    assert picture.value != before
    np.testing.assert_allclose(drawn(picture), decoded(model, [0, 0, 0, 2.5, 0]), atol=1 / 255)
    controls[0].value = -1.0
    assert widget.code.tolist() == [-1, 0, 0, 2.5, 0]


def test_reset_brings_code_and_picture_back(model):
    code = torch.tensor([0.5, -0.25, 1.0, 0.0, 2.0])
    widget = sliders(model, code, count=3)
    picture, controls, reset = parts(widget)
    before = picture.value
    assert [c.value for c in controls] == [0.5, -0.25, 1.0]
    controls[0].value, controls[2].value = 3.0, -3.0
    assert picture.value != before
    reset.click()
    assert picture.value == before
    assert widget.code.tolist() == code.tolist()
    assert [c.value for c in controls] == [0.5, -0.25, 1.0]
    assert code.tolist() == [0.5, -0.25, 1.0, 0.0, 2.0]  # the caller's is left alone


def test_a_code_beyond_the_limits_is_within_reach(model):
    code = torch.tensor([3.5, -4.0, 0.0, 0.0, 0.0])
    widget = sliders(model, code)
    picture, controls, reset = parts(widget)
    before = picture.value
    assert [(c.min, c.value, c.max) for c in controls[:3]] == [(-3, 3.5, 3.5), (-4, -4, 3), (-3, 0, 3)]
    controls[0].value = 0.0
    reset.click()
    assert widget.code.tolist() == code.tolist()
    assert picture.value == before


def test_order_limits_and_names(model):
    mean = torch.tensor([[0.0, 2.0, 0.0, 1.0, 0.1], [0.0, -2.0, 0.0, -1.0, 0.1]])
    widget = sliders(model, posteriors=(mean, torch.zeros(2, 5)), count=3, limits=(-1, 1), names=list("abcde"))
    _, controls, _ = parts(widget)
    assert [c.description for c in controls] == ["b", "d", "e"]
    assert {(c.min, c.max) for c in controls} == {(-1.0, 1.0)}
    controls[1].value = 0.75
    assert widget.code.tolist() == [0, 0, 0, 0.75, 0]


def test_grey_images():
    torch.manual_seed(0)
    grey = VAE(latent_dim=2, size=16, channels=1)
    picture, _, _ = parts(sliders(grey))
    np.testing.assert_allclose(drawn(picture), np.repeat(decoded(grey, [0, 0]), 3, 2), atol=1 / 255)


def test_names_must_be_as_many_as_dimensions(model):
    with pytest.raises(ValueError, match="names: 1 for 5 dimensions"):
        sliders(model, names=["a"])
