"""The model of ``new_chapter``: its terms, its columns, its code, and the way to disk and back."""

import pytest
import torch

from medlatent.data.phantoms import lesion
from medlatent.models import NewChapter, load
from medlatent.training import train

SMALL = {"z_dim": 3, "classes": 7, "size": 16}


def build(**options) -> NewChapter:
    torch.manual_seed(0)
    return NewChapter(**SMALL | options)


@pytest.fixture(scope="module")
def phantoms():
    return lesion.generate(80, seed=0, size=16)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    images, colour = torch.rand(6, 3, 16, 16, generator=generator), torch.rand(6, generator=generator)
    return images, colour, torch.tensor([0, 1, 2, 3, 4, 6])


def test_it_learns_from_phantoms_and_their_columns(phantoms):
    history = train(build(), phantoms, 30, batch_size=16, device="cpu", progress=False)
    assert history.terms == ("loss", "reconstruction", "kl")
    assert history["loss"][-5:].mean() < 0.7 * history["loss"][:5].mean()


def test_it_learns_from_a_tensor_with_columns(batch):
    images, colour, dx = batch
    columns = {"skin_colour": colour, "dx": dx}
    history = train(build(), images, 3, columns=columns, batch_size=6, device="cpu", progress=False)
    assert len(history) == 3


def test_terms_are_detached_scalars_that_add_up(batch):
    terms = build().update(*batch)
    assert all(term.shape == () and not term.requires_grad for term in terms.values())
    torch.testing.assert_close(terms["loss"], terms["reconstruction"] + terms["kl"])


def test_both_columns_reach_encoder_and_decoder(batch):
    images, colour, dx = batch
    model = build()
    z = torch.zeros(6, 3)
    own = model.condition(colour, dx)
    for other in (model.condition(1 - colour, dx), model.condition(colour, (dx + 1) % 7)):
        assert not torch.equal(model.infer(images, own)[0], model.infer(images, other)[0])
        assert not torch.equal(model.decode(torch.cat([z, own], 1)), model.decode(torch.cat([z, other], 1)))


def test_the_code_is_noise_colour_and_class(batch):
    model = build()
    assert [(part.name, part.start, part.stop) for part in model.code_layout] == [
        ("z", 0, 3),
        ("skin_colour", 3, 4),
        ("dx", 4, 11),
    ]
    codes = model.sample_codes(50, torch.Generator().manual_seed(0))
    assert codes.shape == (50, model.latent_dim)
    assert (codes[:, 4:].sum(1) == 1).all()
    assert model.decode(codes).shape == (50, 3, 16, 16)


def test_the_way_to_disk_and_back(tmp_path, batch):
    model = build()
    model.update(*batch)
    again = load(model.save(tmp_path / "model.safetensors"))
    assert again.config == model.config
    codes = model.sample_codes(4)
    torch.testing.assert_close(again.decode(codes), model.eval().decode(codes))


def test_other_data_are_refused_before_the_first_step(phantoms):
    with pytest.raises(ValueError, match="classes is 5, but the column 'dx' has 7 values"):
        train(build(classes=5), phantoms, 1, batch_size=16, device="cpu", progress=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"z_dim": 0}, "z_dim must be at least 1, got 0"),
        ({"classes": 1}, "classes must be at least 2, got 1"),
        ({"variance": 0}, "variance must be positive, got 0"),
        ({"size": 12}, "at least 16 pixels"),
    ],
)
def test_arguments_out_of_range(options, message):
    with pytest.raises(ValueError, match=message):
        build(**options)
