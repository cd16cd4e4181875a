"""The networks of Chen et al.: sizes, shapes, and decoder and encoder as each other's mirror."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from medlatent.nets import ConvDecoder, ConvEncoder, count_parameters
from medlatent.nets.sides import halved, halvings_to, odd


def test_parameters_of_the_paper_s_network():
    # Worked out by hand: 4x4 kernels 3-32-32-64-64 with biases, then 1024-256-64; back 32-256-1024 and 64-64-32-32-3.
    encoder = (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64) * 16 + 192 + (1024 * 256 + 256) + (256 * 64 + 64)
    decoder = (32 * 256 + 256) + (256 * 1024 + 1024) + (64 * 64 + 64 * 32 + 32 * 32 + 32 * 3) * 16 + 131
    assert count_parameters(ConvEncoder(3, 64, outputs=64)) == encoder
    assert count_parameters(ConvDecoder(32, 3, 64)) == decoder
    assert encoder + decoder == 783_235


def test_five_of_32_channels_are_the_network_of_di_folco_et_al():
    # Worked out by hand: 128 pixels halved to 4, a layer of 256, and back; their first transposed convolution, from one
    # pixel, has 32 biases where a linear layer has 512.
    encoder = (2 * 32 + 4 * 32 * 32) * 16 + 160 + (512 * 256 + 256) + (256 * 256 + 256)
    decoder = (128 * 256 + 256) + (256 * 512 + 512) + (4 * 32 * 32 + 32 * 2) * 16 + 4 * 32 + 2
    assert count_parameters(ConvEncoder(2, 128, 256, widths=(32,) * 5)) == encoder
    assert count_parameters(ConvDecoder(128, 2, 128, widths=(32,) * 5)) == decoder
    assert ConvDecoder(5, 2, 32, widths=(3, 4))(torch.zeros(1, 5)).shape == (1, 2, 32, 32)


@pytest.mark.parametrize("net", [ConvEncoder, ConvDecoder])
def test_widths_say_how_often_it_halves(net):
    assert net(size=4, widths=(2, 3))
    with pytest.raises(ValueError, match=r"size: 5 halvings need at least 32 pixels a side, got 48×31"):
        net(size=(48, 31), widths=(32,) * 5)
    for widths in ((), (3, 0)):
        with pytest.raises(ValueError, match="widths: expected at least one convolution of at least one channel"):
            net(widths=widths)


def test_frozen_weights_are_not_counted():
    layer = nn.Linear(3, 2)
    layer.bias.requires_grad_(False)
    assert count_parameters(layer) == 6


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [16, 32, 64, 128])
def test_shapes(size, channels):
    images = torch.rand(2, channels, size, size)
    assert ConvEncoder(channels, size, outputs=10)(images).shape == (2, 10)
    assert ConvDecoder(5, channels, size)(torch.randn(2, 5)).shape == (2, channels, size, size)


@pytest.mark.parametrize("net", [ConvEncoder, ConvDecoder])
@pytest.mark.parametrize("size", [0, 8, 15, (64, 15), -16])
def test_a_side_that_is_too_short_is_refused(net, size):
    said = "64×15" if size == (64, 15) else size
    with pytest.raises(ValueError, match=rf"size: 4 halvings need at least 16 pixels a side, got {said}"):
        net(size=size)


@pytest.mark.parametrize("size", ["64", 64.0, None, True, (64,), (64, 64, 64), (64, 64.5)])
def test_what_is_no_size_is_refused(size):
    with pytest.raises(ValueError, match="size: expected a whole number of pixels, or height and width"):
        ConvEncoder(size=size)


def test_decoder_mirrors_encoder():
    def layers(net: nn.Module, kind: type) -> list[nn.Module]:
        return [m for m in net if isinstance(m, kind)]

    encoder, decoder = ConvEncoder(3, 64, outputs=32), ConvDecoder(32, 3, 64)
    down, up = layers(encoder, nn.Conv2d), layers(decoder, nn.ConvTranspose2d)
    assert [(m.in_channels, m.out_channels) for m in down] == [(3, 32), (32, 32), (32, 64), (64, 64)]
    assert [(m.out_channels, m.in_channels) for m in reversed(up)] == [(m.in_channels, m.out_channels) for m in down]
    assert {(m.kernel_size, m.stride, m.padding) for m in [*down, *up]} == {((4, 4), (2, 2), (1, 1))}
    linear = layers(encoder, nn.Linear), layers(decoder, nn.Linear)
    assert [(m.out_features, m.in_features) for m in reversed(linear[1])] == [
        (m.in_features, m.out_features) for m in linear[0]
    ]
    # The code and the logits are unbounded: no activation comes last, and one follows every other layer.
    for net, hidden in ((encoder, 5), (decoder, 5)):
        assert len(layers(net, nn.ReLU)) == hidden
        assert not isinstance(net[-1], nn.ReLU)


def test_every_pixel_reaches_the_code_and_every_dimension_every_pixel():
    torch.manual_seed(0)
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    ConvEncoder(3, 32, outputs=4)(images).square().sum().backward()
    assert (images.grad != 0).all()
    decoder = ConvDecoder(4, 3, 32)
    with torch.inference_mode():
        z = torch.randn(1, 4)
        moved = decoder(z + torch.eye(4)) - decoder(z)
    assert (moved != 0).all()


@pytest.mark.parametrize("size", [(50, 70), (17, 64), (33, 47), (127, 16)])
def test_any_height_and_width(size):
    """Each pixel counts and is drawn, those of the last odd row and column, too."""
    torch.manual_seed(0)
    images = torch.rand(1, 2, *size, requires_grad=True)
    ConvEncoder(2, size, outputs=4)(images).square().sum().backward()
    assert (images.grad != 0).all()
    decoder = ConvDecoder(4, 2, size)
    with torch.inference_mode():
        z = torch.randn(1, 4)
        drawn = decoder(z)
        assert drawn.shape == (1, 2, *size)
        assert (decoder(z + torch.eye(4)) != drawn).any(0).all()


def test_a_pair_of_equal_sides_is_a_square():
    for net in (ConvEncoder, ConvDecoder):
        torch.manual_seed(0)
        one = net(size=32).state_dict()
        torch.manual_seed(0)
        other = net(size=[32, 32]).state_dict()
        assert all(torch.equal(one[name], other[name]) for name in one)
        assert list(one) == list(other)


@given(st.integers(1, 600), st.integers(0, 5))
def test_doubling_with_the_odd_pixels_undoes_halving(side, times):
    """⌊n/2⌋ pixels and back: 2 ⌊n/2⌋ + n mod 2 = n, at each of several halvings."""
    now = halved((side, side), times)
    for left in range(times - 1, -1, -1):
        more = odd(halved((side, side), left))
        now = (2 * now[0] + more[0], 2 * now[1] + more[1])
    assert now == (side, side)
    if side >= 8:
        assert 4 <= halved((side, 2 * side), halvings_to((side, 2 * side)))[0] <= 7
