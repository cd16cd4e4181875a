"""The suite ``new_chapter``: its numbers by hand, and those of a decoder that does not listen."""

import pytest
import torch

from medlatent.data.phantoms import lesion
from medlatent.evaluation import evaluate, observe
from medlatent.models import NewChapter


@pytest.fixture(scope="module")
def phantoms():
    return lesion.generate(12, seed=3, size=16)


@pytest.fixture
def model() -> NewChapter:
    torch.manual_seed(0)
    return NewChapter(z_dim=3, size=16)


def test_the_numbers_are_means_over_the_images(model, phantoms):
    values = evaluate(model, phantoms)
    assert list(values) == ["sse", "kl", "effect.skin_colour", "effect.dx"]
    columns = phantoms.columns(model.columns)
    condition = model.condition(columns["skin_colour"], columns["dx"])
    images = phantoms.batch(range(len(phantoms)))
    with torch.inference_mode():
        mean, logvar = model.infer(images, condition)
        drawn = model.decode(torch.cat([mean, condition], 1))
    assert values["sse"] == pytest.approx((drawn - images).square().sum().item() / len(images), rel=1e-4)
    kl = 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum(1).mean()
    assert values["kl"] == pytest.approx(kl.item(), rel=1e-4)
    assert all(array.shape == (12,) for array in observe(model, phantoms)["new_chapter"].values())


def test_a_condition_that_is_not_heard_has_no_effect(model, phantoms):
    heard = evaluate(model, phantoms)
    with torch.no_grad():
        model.decoder[0].weight[:, 3:] = 0
    silent = evaluate(model, phantoms)
    for name in ("effect.skin_colour", "effect.dx"):
        assert heard[name] > 0
        assert silent[name] == 0
