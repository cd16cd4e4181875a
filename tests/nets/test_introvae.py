"""IntroVAE's networks: their sizes against the published code's, their blocks against the formula."""

import pytest
import torch
from torch import nn

from medlatent.explore.network import trace
from medlatent.nets import IntroBlock, IntroVAEDecoder, IntroVAEEncoder, count_parameters


def test_parameters_of_the_published_code(reference):
    counted = reference("losses")[1]["compai_softintro_params_nc2"]
    assert count_parameters(IntroVAEEncoder(2, 128, 256)) == counted["encoder"] == 16_362_496
    assert count_parameters(IntroVAEDecoder(128, 2, 128)) == counted["decoder"] == 13_071_490


def test_what_is_not_adds_to_it_is_a_shortcut_from_512_to_512(reference):
    """Equal numbers read from a file are different objects: each network gets one 1×1 convolution too many."""
    counted = reference("losses")[1]
    plain, from_file = counted["compai_softintro_params_nc2"], counted["compai_softintro_params_nc2_yaml_ints"]
    assert {name: from_file[name] - plain[name] for name in plain} == dict.fromkeys(plain, 512 * 512)
    for network in (IntroVAEEncoder(), IntroVAEDecoder()):
        blocks = [m for m in network if isinstance(m, IntroBlock)]
        same = [block for block in blocks if block.main[0].in_channels == block.main[0].out_channels]
        assert len(same) > 1
        assert all(isinstance(block.shortcut, nn.Identity) for block in same)
        assert all(isinstance(block.shortcut, nn.Conv2d) for block in blocks if block not in same)


@pytest.mark.parametrize(
    ("size", "widths"), [(8, [3]), (16, [3, 6]), (64, [3, 6, 12, 24]), (256, [3, 6, 12, 24, 24, 24])]
)
def test_widths_and_shapes(size, widths):
    encoder, decoder = IntroVAEEncoder(1, size, 10, width=3), IntroVAEDecoder(5, 1, size, width=3)
    outputs = [m.main[0].out_channels for m in encoder if isinstance(m, IntroBlock)]
    assert outputs == [*widths[1:], widths[-1]]
    outputs = [m.main[0].out_channels for m in decoder if isinstance(m, IntroBlock)]
    assert outputs == [*widths[::-1], widths[0]]
    assert encoder(torch.rand(2, 1, size, size)).shape == (2, 10)
    assert decoder(torch.randn(2, 5)).shape == (2, 1, size, size)


@pytest.mark.parametrize("net", [IntroVAEEncoder, IntroVAEDecoder])
def test_arguments(net):
    for size in (0, 4, 7, -8):
        with pytest.raises(ValueError, match=rf"size: the shorter side needs at least 8 pixels, got {size}"):
            net(size=size)
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        net(width=0)


@pytest.mark.parametrize("size", [(12, 96), (33, 21), (8, 9)])
def test_any_height_and_width(size):
    torch.manual_seed(0)
    images = torch.rand(2, 1, *size, requires_grad=True)
    IntroVAEEncoder(1, size, outputs=6, width=4)(images).square().sum().backward()
    assert (images.grad != 0).all()
    assert IntroVAEDecoder(3, 1, size, width=4)(torch.randn(2, 3)).shape == (2, 1, *size)


@pytest.mark.parametrize(("inputs", "outputs"), [(3, 5), (4, 4)])
def test_a_block_normalises_the_convolutions_and_not_the_sum(inputs, outputs):
    torch.manual_seed(0)
    block = IntroBlock(inputs, outputs).eval()
    for layer in block.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    x = torch.randn(2, inputs, 6, 6)
    first, norm, _, second, last = block.main
    hidden = norm(nn.functional.conv2d(x, first.weight, padding=1))
    hidden = last(nn.functional.conv2d(torch.where(hidden > 0, hidden, 0.2 * hidden), second.weight, padding=1))
    total = hidden + (x if inputs == outputs else nn.functional.conv2d(x, block.shortcut.weight))
    assert torch.allclose(block(x), torch.where(total > 0, total, 0.2 * total), atol=1e-6)


def test_an_explorer_can_run_the_decoder():
    torch.manual_seed(0)
    decoder = IntroVAEDecoder(3, 2, 16, width=4).eval()
    z = torch.randn(2, 3)
    (found,) = trace(decoder, z).run(z)
    with torch.inference_mode():
        assert torch.allclose(found, decoder(z), atol=1e-2)


def test_every_pixel_reaches_the_code_and_every_dimension_every_pixel():
    torch.manual_seed(0)
    images = torch.rand(2, 2, 16, 16, requires_grad=True)
    IntroVAEEncoder(2, 16, 6, width=4)(images).square().sum().backward()
    assert (images.grad != 0).all()
    decoder = IntroVAEDecoder(4, 2, 16, width=4).eval()
    with torch.inference_mode():
        z = torch.randn(1, 4)
        assert (decoder(z + torch.eye(4)) != decoder(z)).all()
