"""InfoGAN and HSIC-InfoGAN: the paper's values, codes without a part, what is learned, and the kernel's bandwidth.

One update of either against a plain loop, and what they share with any GAN, is in ``test_gan.py``.
"""

import math

import pytest
import torch

from medlatent.models import Categorical, HSICInfoGAN, InfoGAN, Normal, Uniform
from medlatent.training import train


def build(system=HSICInfoGAN, **options) -> InfoGAN | HSICInfoGAN:
    torch.manual_seed(0)
    return system(**{"noise_dim": 3, "categories": 3, "size": 8, "width": 2} | options)


def run(model, steps: int):
    images = torch.rand(64, 1, 8, 8)
    return train(model, images, steps, batch_size=32, precision="float32", device="cpu", progress=False)


def test_the_defaults_are_the_paper_s():
    for system in (InfoGAN, HSICInfoGAN):
        model = system()
        assert (model.latent_dim, model.config["noise_dim"], model.config["code_range"]) == (74, 62, [0.0, 1.0])
        assert [(p.name, p.start, p.stop, p.prior) for p in model.code_layout] == [
            ("category", 0, 10, Categorical(10)),
            ("c1", 10, 11, Uniform(1, 0, 1)),
            ("c2", 11, 12, Uniform(1, 0, 1)),
            ("z", 12, 74, Normal(62)),
        ]
        assert model.generator_optimiser.defaults["lr"] == 1e-3
        assert model.discriminator_optimiser.defaults["lr"] == 2e-4
        assert (model.config["channels"], model.config["size"], model.config["loss"]) == (1, 28, "non_saturating")
        assert model.code_entropy == {"category": pytest.approx(math.log(10)), "continuous": 0.0}
    assert model.config["normalisation"] == "empirical"  # equation 5 as printed
    assert model.config["scale_by_dimension"] is False
    assert model.weights["hsic"] == -model.config["hsic_weight"] < 0
    assert build(InfoGAN, code_range=(-1, 1)).code_entropy["continuous"] == pytest.approx(2 * math.log(2))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"categories": 0, "continuous": 1}, ["c1", "z"]),
        ({"continuous": 0}, ["category", "z"]),
        ({"noise_dim": 0}, ["category", "c1", "c2"]),
    ],
)
def test_parts_may_be_absent(options, names):
    images = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    for system in (InfoGAN, HSICInfoGAN):
        model = build(system, **options).train()
        assert [part.name for part in model.code_layout] == names
        terms = model.update(images)
        assert all(term.isfinite() for term in terms.values())
        if system is InfoGAN:
            assert set(terms) - {"loss", "adversarial", "discriminator"} == set(model.code_entropy)


def test_the_reader_learns_the_code_and_the_generator_to_show_it():
    model = build(InfoGAN, width=4, discriminator_rate=2e-3, generator_rate=2e-3)
    history = run(model, 120)
    assert history["category"][:5].mean() > 0.8 * math.log(3)
    assert history["category"][-5:].mean() < 0.5 * math.log(3)


@pytest.mark.parametrize("options", [{"sigma": None, "normalisation": "cka"}, {"sigma": 2.0, "hsic_weight": 1000.0}])
def test_hsic_rises(options):
    model = build(width=4, **{"hsic_weight": 20.0, **options})
    history = run(model, 60)
    assert history["hsic"][-5:].mean() > 1.2 * history["hsic"][:5].mean()


def test_the_median_heuristic_gives_the_median_pair_the_same_similarity():
    x = torch.rand(9, 1, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    for scaled in (False, True):
        kernel = build(sigma=None, scale_by_dimension=scaled).kernel(x)
        above = kernel[torch.ones(9, 9).triu(1).bool()]
        assert above.sort(descending=True).values[17].item() == pytest.approx(math.exp(-0.5), rel=1e-4)  # of 36
    assert build(sigma=None).kernel(torch.zeros(3, 2)).tolist() == [[1.0] * 3] * 3


@pytest.mark.parametrize(
    ("system", "options", "message"),
    [
        (InfoGAN, {"categories": 1}, "expected 2 categories or more"),
        (InfoGAN, {"categories": 0, "continuous": 0}, "expected 2 categories or more"),
        (InfoGAN, {"continuous": -1}, "must not be negative"),
        (InfoGAN, {"code_range": (1, 0)}, "code_range must rise between finite numbers, got 1 to 0"),
        (InfoGAN, {"code_range": (0, float("inf"))}, "code_range must rise between finite numbers, got 0 to inf"),
        (HSICInfoGAN, {"scale_by_dimension": "no"}, "scale_by_dimension must be True or False, got 'no'"),
        (InfoGAN, {"code_range": 3}, "code_range: expected two numbers, got 3"),
        (InfoGAN, {"category_weight": -1}, "category_weight must not be negative, got -1"),
        (HSICInfoGAN, {"hsic_weight": -1}, "hsic_weight must not be negative, got -1"),
        (HSICInfoGAN, {"sigma": 0}, "sigma must be positive, or None"),
        (HSICInfoGAN, {"normalisation": "biased"}, "normalisation 'biased' is unknown: use one of empirical"),
    ],
)
def test_arguments(system, options, message):
    with pytest.raises(ValueError, match=message):
        build(system, **options)
