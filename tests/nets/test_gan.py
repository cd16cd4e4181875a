"""The networks of InfoGAN and of the DCGAN: parameters by hand, shapes, first weights, and what is refused."""

import pytest
import torch
from torch import nn

from medlatent.nets import (
    CodeReader,
    DCGANDiscriminator,
    DCGANGenerator,
    InfoGANDiscriminator,
    InfoGANGenerator,
    count_parameters,
)

PAIRS = ((InfoGANGenerator, InfoGANDiscriminator), (DCGANGenerator, DCGANDiscriminator))


def test_parameters_of_infogan_s_networks():
    # 74 → 1024 → 128 over 7×7 → 64 → 1 and back; two values a map where batch normalisation follows, else a bias.
    generator = 74 * 1024 + 2 * 1024 + 1024 * 128 * 49 + 2 * 128 + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 1
    trunk = 64 * 16 + 64 + 64 * 128 * 16 + 2 * 128 + 128 * 1024 * 49 + 2 * 1024
    assert count_parameters(InfoGANGenerator()) == generator == 6_632_833
    assert count_parameters(InfoGANDiscriminator()) == trunk + 1024 + 1 == 6_558_017
    assert count_parameters(CodeReader()) == 1024 * 128 + 2 * 128 + 128 * 14 + 14 == 133_134


def test_parameters_of_the_dcgan():
    generator = 5 * 64 * 16 + (64 * 32 + 32 * 16 + 16 * 8 + 8 * 3) * 16 + 2 * (64 + 32 + 16 + 8) + 3
    assert count_parameters(DCGANGenerator(5, 3, 64, width=8)) == generator
    trunk = (3 * 8 + 8 * 16 + 16 * 32 + 32 * 64) * 16 + 8 + 2 * (16 + 32 + 64)
    assert count_parameters(DCGANDiscriminator(3, 64, width=8)) == trunk + 64 * 16 + 1


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (1, 20), (3, 64)])
def test_shapes(pair, channels, size):
    generator, discriminator = pair[0](6, channels, size, width=2), pair[1](channels, size, width=2)
    assert generator(torch.randn(3, 6)).shape == (3, channels, size, size)
    images = torch.rand(3, channels, size, size)
    features = discriminator.trunk(images)
    assert features.shape == (3, discriminator.features)
    assert discriminator(images).shape == (3, 1)
    sizes = [tuple(part.shape) for part in CodeReader(discriminator.features, 4, 2, width=2)(features)]
    assert sizes == [(3, 4), (3, 2), (3, 2)]


@pytest.mark.parametrize("pair", PAIRS)
def test_first_weights(pair):
    torch.manual_seed(0)
    for network in (pair[0](64, 3, 32, width=16), pair[1](3, 32, width=16), CodeReader(256)):
        weights = [m.weight.flatten() for m in network.modules() if isinstance(m, nn.Linear | nn.modules.conv._ConvNd)]
        scales = [m.weight for m in network.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm1d)]
        biases = [m.bias for m in network.modules() if getattr(m, "bias", None) is not None]
        assert torch.cat(weights).mean().item() == pytest.approx(0, abs=1e-3)
        assert torch.cat(weights).std().item() == pytest.approx(0.02, rel=0.05)
        assert torch.cat(scales).mean().item() == pytest.approx(1, abs=0.01)
        assert torch.cat(scales).std().item() == pytest.approx(0.02, rel=0.3)
        assert not torch.cat(biases).any()


@pytest.mark.parametrize("pair", PAIRS)
def test_every_dimension_reaches_every_pixel_and_every_pixel_the_judgement(pair):
    torch.manual_seed(0)
    generator, discriminator = pair[0](4, 1, 16, width=8).eval(), pair[1](1, 16, width=8).eval()
    with torch.inference_mode():
        z = torch.randn(1, 4)
        assert (generator(z + torch.eye(4)) != generator(z)).all()
    images = torch.rand(1, 1, 16, 16, requires_grad=True)
    discriminator(images).sum().backward()
    assert (images.grad != 0).all()


@pytest.mark.parametrize(("size", "message"), [((30, 7), "at least 8"), (4, "at least 8"), (0, "at least 8")])
def test_sizes_that_infogan_refuses(size, message):
    for network in PAIRS[0]:
        with pytest.raises(ValueError, match=rf"size: .*{message}.*got {'30×7' if size == (30, 7) else size}"):
            network(size=size)


@pytest.mark.parametrize("size", [0, 7, -8])
def test_sizes_that_the_dcgan_refuses(size):
    for network in PAIRS[1]:
        with pytest.raises(ValueError, match=rf"size: the shorter side needs at least 8 pixels, got {size}"):
            network(size=size)


@pytest.mark.parametrize("size", [(30, 44), (9, 64), (36, 66), (127, 33)])
@pytest.mark.parametrize("pair", PAIRS)
def test_any_height_and_width(pair, size):
    torch.manual_seed(0)
    generator, discriminator = (network(size=size, channels=1, width=4) for network in pair)
    dimension = next(iter(generator.parameters())).shape[1]
    images = generator(torch.randn(2, dimension))
    assert images.shape == (2, 1, *size)
    given = torch.rand(2, 1, *size, requires_grad=True)
    assert discriminator(given).shape == (2, 1)
    discriminator(given).square().sum().backward()
    assert (given.grad != 0).float().mean() > 0.99
