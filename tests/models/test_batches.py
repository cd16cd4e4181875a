"""Encoding, decoding and drawing many images in batches: the same as all at once, and the model left as it was."""

import pytest
import torch

from medlatent.data.phantoms import lesion
from medlatent.evaluation import evaluate
from medlatent.models import GAN, VAE, LatentModel, batches_of, decode_all, draw_images, encode_all


@pytest.fixture
def images():
    return torch.rand(11, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return VAE(latent_dim=4, size=16)


def test_in_batches_as_all_at_once(model, images):
    mean, logvar = encode_all(model, images, batch=4)
    with torch.no_grad():
        for ours, whole in zip((mean, logvar), model.encode(images), strict=True):
            torch.testing.assert_close(ours, whole)
        torch.testing.assert_close(decode_all(model, mean, batch=4), model.decode(mean))


def test_a_set_is_encoded_as_its_images():
    phantoms = lesion.generate(10, seed=0, size=16)
    assert [len(part) for part in batches_of(phantoms, 4)] == [4, 4, 2]
    model = VAE(latent_dim=4, size=16)
    for ours, whole in zip(
        encode_all(model, phantoms, 4), encode_all(model, phantoms.batch(slice(None)), 4), strict=True
    ):
        assert torch.equal(ours, whole)


def test_the_model_is_measured_in_evaluation_mode_and_32_bits_and_left_as_it_was(images):
    torch.manual_seed(0)
    model = GAN(latent_dim=4, size=16, width=2)
    model.precision = torch.bfloat16
    before = {name: value.clone() for name, value in model.state_dict().items()}
    codes = torch.randn(6, 4)
    first = decode_all(model, codes, batch=2)
    assert torch.equal(first, decode_all(model, codes, batch=2))
    torch.testing.assert_close(first[:1], decode_all(model, codes[:1]))  # no statistics of the batch
    assert model.training
    assert model.precision == torch.bfloat16
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_what_comes_back_can_be_computed_with(model, images):
    mean, _ = encode_all(model, images)
    assert not mean.requires_grad
    probe = torch.nn.Linear(4, 1)
    probe(mean).sum().backward()
    assert probe.weight.grad is not None


def test_the_same_images_are_drawn_from_the_same_seed(model):
    codes, images = draw_images(model, 5, seed=3, batch=2)
    again, _ = draw_images(model, 5, seed=3)
    assert torch.equal(codes, again)
    torch.testing.assert_close(images, decode_all(model, codes))
    assert not torch.equal(codes, draw_images(model, 5, seed=4)[0])


def test_no_images_are_refused(model, images):
    with pytest.raises(ValueError, match="there are none"):
        encode_all(model, images[:0])


def test_a_model_that_infers_no_codes_is_refused():
    with pytest.raises(ValueError, match=r"model: GAN has no encode\(images\)"):
        encode_all(GAN(latent_dim=2, channels=1, size=28, width=2), torch.rand(3, 1, 28, 28))


@pytest.mark.parametrize(
    "name", [name for name, model in LatentModel.registry.items() if callable(getattr(model, "encode", None))]
)
def test_images_of_another_shape_are_named_before_a_network_sees_them(name):
    """Most fail in a product of matrices; one took four times the pixels, for a code of four times the size."""
    model = LatentModel.registry[name]()
    channels, side, _ = model.image_shape
    for shape in ((channels, side // 2, side // 2), (channels, 2 * side, 2 * side), (channels + 1, side, side)):
        there = "×".join(map(str, shape))
        with pytest.raises(ValueError, match=f"images: they are {there}, the {name} was built for {channels}×{side}"):
            model.encode(torch.rand(2, *shape))


def test_a_set_of_another_shape_is_called_by_its_name():
    phantoms = lesion.generate(10, seed=0, size=16)
    for call in (encode_all, evaluate):
        with pytest.raises(
            ValueError, match=f"the images of {phantoms.card.name}: they are 3×16×16, the VAE was built"
        ):
            call(VAE(latent_dim=2, size=32), phantoms)


def test_a_model_that_does_not_say_its_shape_takes_what_it_can(monkeypatch):
    monkeypatch.setattr(LatentModel, "registry", dict(LatentModel.registry))

    class Means(LatentModel):
        def encode(self, images):
            return images.mean((2, 3)), images.var((2, 3))

    assert Means({}).encode(torch.rand(3, 2, 4, 4))[0].shape == (3, 2)
