"""The residual encoder and decoder of Schön et al.: their sizes, their blocks against the formula, and in a page."""

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medlatent.explore.network import trace
from medlatent.nets import ResidualBlock, ResidualVAEDecoder, ResidualVAEEncoder, count_parameters
from medlatent.nets.residual_vae import SLOPE


def block(inputs: int, outputs: int) -> int:
    """Three 3×3 convolutions with biases, and a scale and a shift after two of them."""
    half = outputs // 2
    return 9 * (inputs * half + half * outputs + inputs * outputs) + 2 * outputs + half + 2 * (half + outputs)


def test_parameters_worked_out_by_hand():
    ends = zip([1, 64, 128, 256, 512], [64, 128, 256, 512, 512], strict=True)
    expected = sum(block(*pair) for pair in ends) + 512 * 16 * 64 + 64
    assert count_parameters(ResidualVAEEncoder()) == expected == 9_141_056
    widths = [32, 1024, 512, 512, 256, 128, 64, 32]
    expected = sum(block(*pair) for pair in pairwise(widths)) + 9 * 32 + 1
    assert count_parameters(ResidualVAEDecoder()) == expected == 20_893_041


@pytest.mark.parametrize(
    ("size", "down", "up"),
    [
        (8, [8], [16, 8, 4]),
        (64, [8, 16, 32, 64], [128, 64, 32, 16, 8, 4]),
        (128, [8, 16, 32, 64, 64], [128, 64, 64, 32, 16, 8, 4]),
    ],
)
def test_widths_and_shapes(size, down, up):
    encoder, decoder = ResidualVAEEncoder(3, size, 10, width=8), ResidualVAEDecoder(5, 3, size, width=8)
    for network, widths in ((encoder, down), (decoder, up)):
        assert [m.shortcut[1].out_channels for m in network if isinstance(m, ResidualBlock)] == widths
    assert encoder(torch.rand(2, 3, size, size)).shape == (2, 10)
    assert decoder(torch.randn(2, 5)).shape == (2, 3, size, size)


@pytest.mark.parametrize("up", [False, True])
def test_a_block_as_one_writes_it_down(up):
    torch.manual_seed(0)
    net = ResidualBlock(6, 8, up=up).eval()
    for layer in net.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    x = torch.randn(2, 6, 8, 8)

    def resize(x):
        return F.interpolate(x, scale_factor=2, mode="nearest") if up else F.avg_pool2d(x, 2)

    first, norm, _, _, second, last = net.main
    # rrelu as the published code calls it: without training=True it draws nothing
    main = last(second(resize(F.rrelu(norm(first(x))))))
    assert torch.allclose(net(x), F.rrelu(main + net.shortcut[1](resize(x))), atol=1e-6)
    assert first.out_channels == 4
    assert F.rrelu(torch.tensor(-1.0)).item() == pytest.approx(-SLOPE)


@pytest.mark.parametrize("network", [ResidualVAEEncoder, ResidualVAEDecoder])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": (7, 48)}, "size: the shorter side needs at least 8 pixels, got 7×48"),
        ({"width": 6}, "width: .*a multiple of 4.*, got 6"),
    ],
)
def test_arguments(network, options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)


@pytest.mark.parametrize("size", [(12, 96), (33, 21), (8, 9)])
def test_any_height_and_width(size):
    images = torch.rand(2, 1, *size)
    assert ResidualVAEEncoder(1, size, outputs=6, width=4)(images).shape == (2, 6)
    assert ResidualVAEDecoder(3, 1, size, width=4)(torch.randn(2, 3)).shape == (2, 1, *size)


def test_a_page_can_run_the_decoder():
    torch.manual_seed(0)
    decoder = ResidualVAEDecoder(4, 1, 16, width=4).eval()
    codes = torch.randn(3, 4)
    with torch.no_grad():
        expected = decoder(codes)
    (found,) = trace(decoder, codes[:1]).run(codes)
    assert torch.allclose(found, expected, atol=2e-3)
