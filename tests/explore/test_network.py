"""A traced network computes what its module computes; what a browser cannot run is refused by name."""

import base64
import json
import math
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import wasmtime
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from medlatent.explore import Network, trace
from medlatent.explore.network import ACTIVATIONS, LOWER, RUN

WEB = Path(__file__).resolve().parents[2] / "medlatent/explore/web"


def rounded(module):
    """The module with weights that 16 bits hold exactly, running statistics that are not those of a new one."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
            for parameter in layer.parameters():
                nn.init.normal_(parameter)
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            tensor.data = tensor.data.half().float()
    return module.eval()


def agree(module, *shapes, tolerance=1e-5):
    """Traces the module and compares the two on a batch of three."""
    network = trace(module, *(torch.zeros(1, *s) for s in shapes))
    inputs = [torch.randn(3, *s) for s in shapes]
    with torch.no_grad():
        expected = module(*(x.clone() for x in inputs))
    expected = expected if isinstance(expected, tuple | list) else (expected,)
    found = network.run(*inputs)
    assert [network.shapes[i] for i in network.inputs] == [list(s) for s in shapes]
    assert [network.shapes[i] for i in network.outputs] == [list(e.shape[1:]) for e in expected]
    for e, f in zip(expected, found, strict=True):
        assert torch.allclose(e, f, rtol=tolerance, atol=tolerance), float((e - f).abs().max())
    return network


class Call(nn.Module):
    """A function of tensors, and layers that it uses, as a module."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *x):
        return self.function(self, *x)


LAYERS = {
    "linear": (nn.Linear(5, 7), (5,)),
    "linear without bias": (nn.Linear(5, 7, bias=False), (5,)),
    "conv": (nn.Conv2d(2, 5, 3, padding=1), (2, 6, 5)),
    "conv, strided and dilated": (nn.Conv2d(2, 5, (3, 2), stride=(2, 1), padding=(2, 1), dilation=(2, 1)), (2, 9, 6)),
    "conv, same": (nn.Conv2d(2, 5, 3, padding="same", dilation=2), (2, 6, 5)),
    "conv, same, even": (nn.Conv2d(2, 5, (2, 4), padding="same"), (2, 6, 5)),
    "conv, valid": (nn.Conv2d(2, 5, 3, padding="valid"), (2, 6, 5)),
    "transposed conv": (nn.ConvTranspose2d(3, 2, 4, stride=2, padding=1), (3, 4, 5)),
    "transposed conv, padded": (nn.ConvTranspose2d(3, 2, (3, 4), (2, 3), (1, 0), output_padding=(1, 2)), (3, 4, 5)),
    "instance norm": (nn.InstanceNorm2d(4, affine=True), (4, 5, 5)),
    "instance norm, tracked": (nn.InstanceNorm2d(4, affine=True, track_running_stats=True), (4, 5, 5)),
    "group norm": (nn.GroupNorm(2, 4), (4, 5, 5)),
    "nearest upsampling": (nn.Upsample(scale_factor=(2, 3), mode="nearest"), (2, 3, 4)),
    "upsampling to a size": (nn.Upsample(size=(6, 8)), (2, 3, 4)),
    "average pooling": (nn.AvgPool2d(2), (2, 6, 5)),
    "average pooling, overlapping": (nn.AvgPool2d(3, stride=1), (2, 6, 5)),
    "adaptive pooling": (nn.AdaptiveAvgPool2d((2, 1)), (2, 6, 5)),
    "max pooling": (nn.MaxPool2d(3, 2, 1), (2, 6, 5)),
    "unflatten": (nn.Unflatten(1, (2, 3)), (6,)),
    "prelu": (nn.PReLU(3), (3, 4, 4)),
    "in place": (nn.ReLU(inplace=True), (4,)),
    "dropout": (nn.Dropout(), (6,)),
    "softmax": (nn.Softmax(1), (6,)),
    **{
        type(layer).__name__: (layer, (4, 3, 3))
        for layer in (
            nn.ReLU(),
            nn.ReLU6(),
            nn.LeakyReLU(0.2),
            nn.ELU(0.7),
            nn.GELU(),
            nn.SiLU(),
            nn.Softplus(beta=2),
            nn.Sigmoid(),
            nn.Tanh(),
            nn.Hardtanh(-0.5, 0.25),
            nn.Identity(),
        )
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer(name):
    layer, shape = LAYERS[name]
    torch.manual_seed(0)
    agree(rounded(layer), shape)


FUNCTIONS = {
    "a residual sum": lambda m, x: F.relu(x + m.conv(x)),
    "in place": lambda m, x: F.elu(m.conv(x), inplace=True).add_(x),
    "a concatenation": lambda m, x: torch.cat([x, m.conv(x)], 1),
    "chunks": lambda m, x: torch.chunk(m.conv(x), 2, 1)[1],
    "a slice": lambda m, x: m.conv(x)[:, 1:3],
    "slices from the end": lambda m, x: m.conv(x)[:, -3:-1],
    "a scale by channel": lambda m, x: x * torch.sigmoid(m.conv(x).mean((2, 3), keepdim=True)),
    "numbers": lambda m, x: (1 - 2 * x) / 3 + 0.5,
    "a negative exponential": lambda m, x: torch.exp(-x.clamp(min=-2)),
    "a constant": lambda m, x: x - torch.ones(1, 4, 1, 1) * 0.25,
    "a product with a matrix": lambda m, x: (x.flatten(1) - 0.5) @ torch.ones(144, 3) * 0.1,
    "the same with one bias": lambda m, x: torch.addmm(torch.ones(1), x.flatten(1), torch.ones(144, 3)),
    "the same with a bias": lambda m, x: torch.addmm(torch.arange(3.0), x.flatten(1), torch.ones(144, 3)),
    "a list": lambda m, x: [m.conv(x), x],
    "a number of the weights": lambda m, x: x * m.conv.weight[0, 0, 0, 0].item(),
    "a row of a table": lambda m, x: (
        x + F.embedding(torch.tensor([1]), m.conv.bias[:, None] * torch.ones(4))[..., None, None]
    ),
    "two results": lambda m, x: (m.conv(x).flatten(1), x.mean((2, 3))),
    "weights made of weights": lambda m, x: F.conv2d(x, m.conv.weight * 0.5, padding=1),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_a_forward_pass_computes_between_layers(name):
    torch.manual_seed(1)
    agree(rounded(Call(FUNCTIONS[name], conv=nn.Conv2d(4, 4, 3, padding=1))), (4, 6, 6))


def test_several_inputs():
    torch.manual_seed(2)
    module = Call(lambda m, image, style: m.norm(image) * style[:, :, None, None] + image, norm=nn.InstanceNorm2d(3))
    network = agree(rounded(module), (3, 4, 4), (3,))
    assert len(network.inputs) == 2


@pytest.mark.parametrize(
    ("before", "norm", "shape"),
    [
        (nn.Linear(6, 4), nn.BatchNorm1d(4), (6,)),
        (nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), (2, 5, 5)),
        (nn.ConvTranspose2d(2, 4, 3, bias=False), nn.BatchNorm2d(4), (2, 5, 5)),
    ],
)
def test_batch_normalisation_is_folded(before, norm, shape):
    torch.manual_seed(3)
    network = agree(rounded(nn.Sequential(before, norm)), shape, tolerance=5e-3)  # the product is rounded once more
    assert len(network.steps) == 1


def test_batch_normalisation_is_not_folded_into_what_others_read():
    torch.manual_seed(4)
    module = Call(lambda m, x: (y := m.conv(x)) + m.norm(y), conv=nn.Conv2d(2, 4, 3), norm=nn.BatchNorm2d(4))
    network = agree(rounded(module), (2, 5, 5), tolerance=2e-3)
    assert [s["op"] for s in network.steps] == ["conv", "affine", "binary"]


def test_batch_normalisation_without_a_layer_before_it():
    torch.manual_seed(5)
    agree(rounded(nn.Sequential(nn.AvgPool2d(2), nn.BatchNorm2d(3, affine=False))), (3, 4, 4), tolerance=2e-3)


class UNet(nn.Module):
    """Two levels: convolutions with batch normalisation, pooling, nearest upsampling, concatenation."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList([self.block(1, 3, in_place), self.block(3, 6, in_place), self.block(6, 12, in_place)])
        self.up = nn.ModuleList([self.block(18, 6, in_place), self.block(9, 3, in_place)])
        self.grow, self.end = nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 1)

    @staticmethod
    def block(inside: int, outside: int, in_place: bool) -> nn.Sequential:
        first, second = nn.Conv2d(inside, outside, 3, padding=1, bias=False), nn.Conv2d(outside, outside, 3, padding=1)
        parts = [part for conv in (first, second) for part in (conv, nn.BatchNorm2d(outside), nn.ReLU(in_place))]
        return nn.Sequential(*parts)

    def forward(self, x):
        fine = self.down[0](x)
        middle = self.down[1](self.pool(fine))
        x = self.down[2](self.pool(middle))
        x = self.up[0](torch.cat([self.grow(x), middle], 1))
        return self.end(self.up[1](torch.cat([self.grow(x), fine], 1)))


@pytest.mark.parametrize("in_place", [True, False])
def test_a_u_net(in_place):
    torch.manual_seed(9)
    network = agree(rounded(UNet(in_place)), (1, 12, 20), tolerance=2e-2)
    known = {"conv", "activation", "max_pool", "upsample", "concatenate"}  # the normalisation is folded
    assert {step["op"] for step in network.steps} == known


def test_a_u_net_of_odd_sides_is_refused():
    with pytest.raises(ValueError, match=r"UNet: torch\.export cannot follow it: .*match"):
        trace(UNet(in_place=True), torch.zeros(1, 1, 10, 12))


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_convolutions_of_any_geometry(data):
    def draw(low, high):
        return data.draw(st.integers(low, high))

    kernel, stride, dilation = [(draw(1, 4), draw(1, 4)) for _ in range(3)]
    padding = (draw(0, 3), draw(0, 3))
    sides = [draw(d * (k - 1) + 1, d * (k - 1) + 6) for k, d in zip(kernel, dilation, strict=True)]
    torch.manual_seed(6)
    if data.draw(st.booleans()):
        layer = nn.Conv2d(2, 3, kernel, stride, padding, dilation)
    else:
        padding = tuple(min(p, k - 1) for p, k in zip(padding, kernel, strict=True))
        layer = nn.ConvTranspose2d(2, 3, kernel, stride, padding, output_padding=tuple(s - 1 for s in stride))
    agree(rounded(layer), (2, *sides))


def test_weights_are_rounded_to_16_bits():
    torch.manual_seed(7)
    module = nn.Linear(50, 50)
    network = trace(module, torch.zeros(1, 50))
    assert network.weights.dtype == np.float16
    assert len(network.data) == 2 * (50 * 50 + 50)
    x = torch.randn(4, 50)
    half = F.linear(x, module.weight.half().float(), module.bias.half().float())
    assert torch.allclose(network.run(x)[0], half, atol=1e-6)


def test_a_specification_is_json_and_its_key_changes_with_every_part():
    module = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.1))
    network = trace(module, torch.zeros(1, 3))
    spec = json.loads(json.dumps(network.spec))
    assert spec == network.spec
    assert re.fullmatch("[0-9a-f]{16}", spec["key"])
    assert spec["crc32"] == zlib.crc32(network.data)
    assert trace(module, torch.zeros(1, 3)).spec["key"] == spec["key"]
    module[0].weight.data[0, 0] += 1
    assert trace(module, torch.zeros(1, 3)).spec["key"] != spec["key"]
    module[0].weight.data[0, 0] -= 1
    module[1].negative_slope = 0.2
    assert trace(module, torch.zeros(1, 3)).spec["key"] != spec["key"]


def test_the_module_stays_as_it_was():
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4)).train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    trace(module, torch.zeros(1, 3))
    assert module.training
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


REFUSED = {
    "groups": (nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3, groups=2)), (4, 5, 5), "'1' (Conv2d) convolves in 2 groups"),
    "bilinear": (nn.Upsample(scale_factor=2, mode="bilinear"), (2, 3, 3), "upsample_bilinear2d"),
    "3D": (nn.Sequential(nn.Conv3d(1, 1, 3)), (1, 5, 5, 5), "'0' (Conv3d) computes 'conv3d'"),
    "a sort": (Call(lambda m, x: x.sort(1)[0]), (4,), "the module itself computes 'sort'"),
    "a concatenation of rows": (Call(lambda m, x: torch.cat([x, x], 2)), (2, 3, 3), "along dimension 2"),
    "uneven upsampling": (nn.Upsample(size=5), (2, 3, 3), "enlarges 3×3 to 5×5"),
    "a mean of everything": (Call(lambda m, x: x.mean((1, 2, 3))[:, None]), (2, 3, 3), "averages"),
    "upsampling by a factor of its own": (
        nn.Upsample(scale_factor=3.2),
        (2, 3, 3),
        "3×3 to 9×9 by a factor of its own",
    ),
    "padded average": (nn.AvgPool2d(3, 1, 1), (2, 5, 5), "pools with padding [1, 1]"),
    "average to the edge": (nn.AvgPool2d(2, ceil_mode=True), (2, 5, 5), "pools with ceil_mode True"),
    "average by a number": (nn.AvgPool2d(2, divisor_override=3), (2, 4, 4), "pools with divisor_override 3"),
    "max to the edge": (nn.MaxPool2d(2, ceil_mode=True), (2, 5, 5), "pools with ceil_mode True"),
    "dilated max": (nn.MaxPool2d(2, dilation=2), (2, 5, 5), "pools with dilation [2, 2]"),
    "transposed groups": (nn.ConvTranspose2d(4, 4, 3, groups=2), (4, 5, 5), "convolves with groups 2"),
    "padding by reflection": (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), (2, 5, 5), "computes 'pad'"),
    "statistics of the batch": (nn.BatchNorm2d(2, track_running_stats=False), (2, 3, 3), "normalises by the batch"),
    "layer norm": (nn.Sequential(nn.LayerNorm(4)), (4,), "'0' (LayerNorm) computes 'layer_norm'"),
    "a softmax of pixels": (nn.Softmax2d(), (2, 3, 3), "softmax"),
    "a softmax over the batch": (
        nn.Sequential(nn.Softmax(0)),
        (4,),
        "'0' (Softmax) takes the softmax over dimension 0",
    ),
    "a softmax over the batch, from behind": (
        nn.Softmax(-2),
        (4,),
        "the softmax over dimension -2, which is the batch",
    ),
    "noise": (Call(lambda m, x: x + torch.randn(1, 4)), (4,), "the module itself draws random numbers by 'randn'"),
    "noise of the size of a value": (Call(lambda m, x: x + torch.randn_like(x)), (4,), "computes 'randn_like'"),
    "a value where a number is needed": (
        Call(lambda m, x: torch.rsub(x, x.relu())),
        (4,),
        "with a value where a number",
    ),
    "numbers where one is needed": (
        Call(lambda m, x: torch.rsub(x, torch.ones(4))),
        (4,),
        "with a tensor where a number",
    ),
    "a bias that is computed": (
        Call(lambda m, x: torch.addmm(x[:, :3], x, torch.ones(4, 3))),
        (4,),
        "computes 'addmm' with a bias that depends on the input",
    ),
    "weights that are computed": (
        Call(lambda m, x: F.conv2d(x, x)),
        (4, 3, 3),
        "computes 'conv2d' with a weight that depends on the input",
    ),
    "infinity": (Call(lambda m, x: x * math.inf), (4,), "computes with the number inf"),
    "NaN": (Call(lambda m, x: x + math.nan), (4,), "computes with the number nan"),
    "a scaled product": (
        Call(lambda m, x: torch.addmm(torch.ones(3), x, torch.ones(4, 3), beta=2)),
        (4,),
        "computes 'addmm' with a value, a tensor, 2",
    ),
    "gelu by tanh": (nn.GELU("tanh"), (4,), "gelu by 'tanh'"),
    "a product of matrices": (Call(lambda m, x: m.layer(x), layer=nn.Linear(3, 2)), (4, 3), "more than one vector"),
    "double": (Call(lambda m, x: x.double() + 1), (4,), "'_to_copy'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_browser_cannot_run_is_refused_by_name(name):
    module, shape, message = REFUSED[name]
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        trace(module.eval(), torch.zeros(1, *shape))
    assert "cannot run in a browser" in str(caught.value)


class Fails(nn.Module):
    def forward(self, x):
        raise KeyError("no such layer")


ELSE = {
    "nothing beside": (
        Call(lambda m, x: (x, None)),
        "the module returns None; an explorer can run what returns tensors",
    ),
    "a number beside": (Call(lambda m, x: (x, 3)), "the module returns 3; an explorer can run what returns tensors"),
    "one of a batch": (Call(lambda m, x: x * 2 - x[:1]), "something else, by up to .* on 2 random inputs"),
    "the batch elsewhere": (Call(lambda m, x: x.unsqueeze(0)), "something else, by up to inf on 2 random inputs"),
    "a complex number": (Call(lambda m, x: x + 1j), "uses 1j, which an explorer cannot run in a browser"),
    "all of a batch": (Call(lambda m, x: torch.ones(4, 4)), "something else, by up to inf on 2 random inputs"),
    "a batch of one": (Call(lambda m, x: x.view(1, 2, 2)), "Call: cannot take a batch of 2 inputs: shape"),
    "16 bits": (nn.Linear(4, 3).half(), "Linear: cannot take a batch of 2 inputs: .* must have the same dtype"),
    "64 bits": (nn.Linear(4, 3).double(), r"makes torch\.float64"),
    "no size yet": (nn.LazyLinear(3), r"LazyLinear: torch\.export cannot follow it: Attempted to use an uninitialized"),
    "an error of its own": (Fails(), r"Fails: torch\.export cannot follow it: 'no such layer'"),
}


@pytest.mark.parametrize("name", ELSE)
def test_a_module_that_is_no_function_of_one_input_is_refused(name):
    module, message = ELSE[name]
    with pytest.raises(ValueError, match=message):
        trace(module.eval(), torch.zeros(1, 4))


def test_whatever_the_rules_overlook_is_found_by_comparing(monkeypatch):
    """Such as a rule that ignores an option."""
    monkeypatch.setitem(LOWER, "leaky_relu", lambda tracer, node, x, *ignored: tracer.activation(node, x, "relu"))
    with pytest.raises(ValueError, match=r"Sequential: a browser would compute something else, by up to [\d.]+"):
        trace(nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(0.3)), torch.zeros(1, 4))


def test_a_layer_inside_others_is_named_with_its_place():
    module = nn.Sequential(nn.Sequential(nn.Identity(), nn.LSTM(3, 3)))
    with pytest.raises(ValueError, match=r"'inner\.0\.1' \(LSTM\) computes 'lstm'"):
        trace(Call(lambda m, x: m.inner(x)[0], inner=module), torch.zeros(1, 3))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e5])
def test_weights_that_16_bits_do_not_hold(value):
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight.data[0, 0] = value
    with pytest.raises(ValueError, match=r"'1' \(Linear\) has the weight (nan|inf|100000): .* 65 504"):
        trace(module, torch.zeros(1, 2))


def test_inputs_of_another_shape():
    network = trace(nn.Linear(2, 3), torch.zeros(1, 2))
    with pytest.raises(ValueError, match=r"batches of \[\[2\]\]"):
        network.run(torch.zeros(1, 3))


def test_the_kernel_is_its_source_assembled():
    source = (WEB / "kernel.wat").read_text(encoding="utf-8")
    assert (WEB / "kernel.wasm").read_bytes() == bytes(wasmtime.wat2wasm(source))


def test_python_and_javascript_know_the_same_operations():
    script = (WEB / "network.js").read_text(encoding="utf-8")
    table = script[script.index("const ACTIVATIONS = {") :]
    assert set(re.findall(r"^  (\w+): \(", table[: table.index("};")], re.M)) == set(ACTIVATIONS)
    compiled = script[script.index("switch (step.op)") : script.index("default:")]
    assert set(re.findall(r'case "(\w+)"', compiled)) == set(RUN)
    assert LOWER


def test_a_network_is_what_its_bytes_say():
    network = trace(nn.Linear(2, 3), torch.zeros(1, 2))
    again = Network(
        network.inputs,
        network.outputs,
        network.shapes,
        network.steps,
        np.frombuffer(base64.b64decode(base64.b64encode(network.data)), "<f2"),
    )
    x = torch.randn(2, 2)
    assert torch.equal(again.run(x)[0], network.run(x)[0])


def test_a_model_whose_weights_lie_channels_last():
    torch.manual_seed(8)
    module = nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.Flatten(),
        nn.Linear(36, 8),
        nn.Unflatten(1, (2, 2, 2)),
        nn.ConvTranspose2d(2, 3, 3),
    )
    agree(rounded(module.to(memory_format=torch.channels_last)), (3, 5, 5), tolerance=5e-3)
