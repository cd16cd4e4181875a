import pytest
import torch

from medlatent.course import code_grid, part_of
from medlatent.models import VAE, InfoGAN

VALUES = [-1.0, 0.0, 0.5]


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return InfoGAN(width=4, noise_dim=3, categories=4, code_range=(0, 1))


def test_a_part_by_its_name(model):
    part = part_of(model, "c2")
    assert (part.start, part.stop) == (5, 6)
    with pytest.raises(ValueError, match=r"no part 'c3'; it has category, c1, c2, z"):
        part_of(model, "c3")


def test_a_row_for_each_category_and_a_column_for_each_value(model, monkeypatch):
    met = []
    monkeypatch.setattr(type(model), "decode", lambda self, z: met.append(z) or z[:, :4].reshape(-1, 1, 2, 2))
    images = code_grid(model, "c1", VALUES, seed=7)
    assert images.shape == (4, 3, 1, 2, 2)
    codes = torch.cat(met).unflatten(0, (4, 3))
    torch.testing.assert_close(codes[:, :, :4], torch.eye(4)[:, None].expand(4, 3, 4))
    torch.testing.assert_close(codes[:, :, 4], torch.tensor(VALUES).expand(4, 3))
    assert (codes[:, :, 5] == 0.5).all(), "the other code stands in the middle of its range"
    noise = torch.randn(1, 3, generator=torch.Generator().manual_seed(7))
    torch.testing.assert_close(codes[:, :, 6:], noise.expand(4, 3, 3))


def test_the_images_are_the_model_s_own(model):
    images = code_grid(model, "c2", VALUES)
    assert images.shape == (4, 3, 1, 28, 28)
    assert images.min() >= 0
    assert images.max() <= 1
    assert not torch.equal(images[0, 0], images[1, 0])


def test_a_model_without_categories():
    with pytest.raises(ValueError, match="no part 'category'"):
        code_grid(VAE(latent_dim=3), "z", VALUES)
