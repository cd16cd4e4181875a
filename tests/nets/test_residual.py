"""The residual networks: their sizes, their blocks against the equation, and what reaches what."""

import pytest
import torch
from torch import nn

from medlatent.nets import Bottleneck, ConvEncoder, ResidualDecoder, ResidualEncoder, count_parameters


def block(inputs: int, width: int, outputs: int) -> int:
    """Parameters of a bottleneck: two 1×1 convolutions, a 4×4 one, the shortcut, a scale and a shift after each."""
    convolutions = inputs * width + 16 * width * width + width * outputs + inputs * outputs
    return convolutions + 2 * (width + width + outputs + outputs)


def test_parameters_worked_out_by_hand():
    ends = 3 * 64 * 16
    blocks = block(64, 32, 64), block(64, 64, 128), block(128, 64, 128)
    linear = (2048 * 256 + 256) + (256 * 64 + 64)
    assert count_parameters(ResidualEncoder(3, 64, outputs=64)) == ends + 64 + sum(blocks) + linear
    blocks = block(128, 64, 128), block(128, 64, 64), block(64, 32, 64)
    linear = (32 * 256 + 256) + (256 * 2048 + 2048)
    assert count_parameters(ResidualDecoder(32, 3, 64)) == ends + 3 + sum(blocks) + linear


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 32, 64])
def test_shapes(size, channels):
    images = torch.rand(2, channels, size, size)
    assert ResidualEncoder(channels, size, outputs=10)(images).shape == (2, 10)
    assert ResidualDecoder(5, channels, size)(torch.randn(2, 5)).shape == (2, channels, size, size)


@pytest.mark.parametrize("net", [ResidualEncoder, ResidualDecoder])
@pytest.mark.parametrize("size", [0, 8, 15, -16])
def test_a_side_that_is_too_short_is_refused(net, size):
    with pytest.raises(ValueError, match=rf"size: 4 halvings need at least 16 pixels a side, got {size}"):
        net(size=size)


@pytest.mark.parametrize("size", [(50, 70), (17, 64), (33, 47)])
def test_any_height_and_width(size):
    torch.manual_seed(0)
    images = torch.rand(2, 1, *size, requires_grad=True)
    ResidualEncoder(1, size, outputs=6)(images).square().sum().backward()
    assert (images.grad != 0).all()
    assert ResidualDecoder(3, 1, size)(torch.randn(2, 3)).shape == (2, 1, *size)


@pytest.mark.parametrize("up", [False, True])
def test_a_block_is_the_sum_of_its_two_ways(up):
    torch.manual_seed(0)
    net = Bottleneck(6, 3, 8, up=up, slope=0.2).eval()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 6, 8, 8)
    total = net.shortcut(x) + net.main(x)
    assert torch.allclose(net(x), torch.where(total > 0, total, 0.2 * total))
    assert net(x).shape == (2, 8, 16, 16) if up else (2, 8, 4, 4)


def test_a_block_can_do_nothing_but_pass_on():
    net = Bottleneck(4, 2, 4).eval()
    nn.init.zeros_(net.main[-1].weight)  # the last normalisation's scale
    net.shortcut[1].weight.data = torch.eye(4)[:, :, None, None]
    x = torch.rand(1, 4, 8, 8)
    assert torch.allclose(net(x), nn.functional.avg_pool2d(x, 2), atol=1e-4)


@pytest.mark.parametrize(("slope", "kind"), [(0.0, nn.ReLU), (0.2, nn.LeakyReLU)])
def test_one_kind_of_activation(slope, kind):
    for net in (ResidualEncoder(slope=slope), ResidualDecoder(slope=slope)):
        found = {type(m) for m in net.modules() if isinstance(m, nn.ReLU | nn.LeakyReLU)}
        assert found == {kind}


def test_the_widths_are_those_of_the_plain_network():
    plain = [m.out_channels for m in ConvEncoder() if isinstance(m, nn.Conv2d)][1:]
    blocks = [m for m in ResidualEncoder() if isinstance(m, Bottleneck)]
    assert [b.main[3].out_channels for b in blocks] == plain
    assert all((b.main[3].kernel_size, b.main[3].stride) == ((4, 4), (2, 2)) for b in blocks)


def test_every_pixel_reaches_the_code_and_every_dimension_every_pixel():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 32, 32, requires_grad=True)
    ResidualEncoder(3, 32, outputs=4, slope=0.2)(images).square().sum().backward()
    assert (images.grad != 0).all()
    decoder = ResidualDecoder(4, 3, 32, slope=0.2).eval()
    with torch.inference_mode():
        z = torch.randn(1, 4)
        moved = decoder(z + torch.eye(4)) - decoder(z)
    assert (moved != 0).all()
