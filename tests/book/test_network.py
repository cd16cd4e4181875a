"""The network that runs in the page computes what the network in Python computes, in Chromium."""

import base64
import zlib
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from medlatent.explore import Explorer, trace
from medlatent.records import find_record

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

RUN = """async ({ script, spec, weights, inputs }) => {
  const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const { openNetwork } = await import(url);
  const bytes = Uint8Array.from(atob(weights), c => c.charCodeAt(0));
  const network = await openNetwork(spec, new DataView(bytes.buffer));
  const run = () => network.run(inputs.map(x => Float32Array.from(x))).map(y => Array.from(y));
  const first = run();
  const other = network.run(inputs.map(x => Float32Array.from(x, v => v + 1)));
  const again = run();
  if (JSON.stringify(first) !== JSON.stringify(again)) throw new Error("a run leaves something behind");
  return first;
}"""


@pytest.fixture(scope="module")
def compute(browser):
    """Runs a network in the page."""
    page = browser.new_page()
    page.goto("about:blank")

    def run(network, *inputs):
        values = page.evaluate(
            RUN,
            {
                "script": Explorer._esm + "\nexport { openNetwork };",
                "spec": network.spec,
                "weights": base64.b64encode(network.data).decode(),
                "inputs": [x.flatten().tolist() for x in inputs],
            },
        )
        return [torch.tensor(v) for v in values]

    yield run
    page.close()


def agree(compute, module, *shapes, tolerance=1e-5):
    network = trace(module.eval(), *(torch.zeros(1, *s) for s in shapes))
    inputs = [torch.randn(1, *s) for s in shapes]
    with torch.no_grad():
        expected = network.run(*inputs)
    for e, f in zip(expected, compute(network, *inputs), strict=True):
        assert torch.allclose(e.flatten(), f, rtol=tolerance, atol=tolerance), float((e.flatten() - f).abs().max())


class Everything(nn.Module):
    """Every operation at least once, with sizes that are no multiples of four."""

    def __init__(self):
        super().__init__()
        self.start = nn.Linear(5, 3 * 5 * 7)
        self.mix = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.InstanceNorm2d(6, affine=True)
        self.groups = nn.GroupNorm(2, 6)
        self.point = nn.Conv2d(6, 6, 1)
        self.grow = nn.ConvTranspose2d(6, 3, 3, 2, 1, output_padding=1)
        self.slope = nn.PReLU(3)
        self.late = nn.BatchNorm2d(3)
        self.end = nn.Linear(3, 2)
        self.register_buffer("constant", torch.randn(1, 3, 1, 1))

    def forward(self, z, style):
        x = F.leaky_relu(self.start(z), 0.1).view(-1, 3, 5, 7)
        x = F.silu(self.norm(F.elu(self.mix(x))))
        x = x + F.gelu(self.point(x))
        x = torch.cat([x, self.groups(x) * 0.5 - 1], 1)[:, 3:9]
        x = self.slope(self.grow(F.interpolate(x, scale_factor=2))) + self.constant
        x = self.late(F.avg_pool2d(x, 2))
        x = F.max_pool2d(x, 3, 2, 1) - F.relu6(F.max_pool2d(x, 3, 2, 1)).mean((2, 3), keepdim=True)
        x = torch.tanh(x) * torch.sigmoid(style)[:, :, None, None] + F.softplus(x).clamp(max=2) + torch.exp(-F.relu(x))
        a, b = torch.chunk(torch.softmax(F.relu(style + 1), 1), 3, 1)[:2]
        return x, self.end(F.adaptive_avg_pool2d(x, 1).flatten(1)), a * b, a / (b + 1) - b


def test_every_operation(compute):
    torch.manual_seed(0)
    module = Everything()
    module.late.running_mean.normal_()
    module.late.running_var.uniform_(0.5, 2)
    agree(compute, module, (5,), (3,))


@pytest.mark.parametrize("seed", range(8))
def test_convolutions_of_any_geometry(compute, seed):
    draw = torch.Generator().manual_seed(seed)

    def pair(low, high):
        return tuple(torch.randint(low, high + 1, (2,), generator=draw).tolist())

    torch.manual_seed(seed)
    kernel, stride, dilation, padding = pair(1, 4), pair(1, 3), pair(1, 3), pair(0, 3)
    sides = [d * (k - 1) + 1 + n for k, d, n in zip(kernel, dilation, pair(0, 9), strict=True)]
    agree(compute, nn.Conv2d(2, 5, kernel, stride, padding, dilation), (2, *sides))
    padding = tuple(min(p, k - 1) for p, k in zip(padding, kernel, strict=True))
    extra = tuple(s - 1 for s in stride)
    agree(compute, nn.ConvTranspose2d(3, 2, kernel, stride, padding, extra), (3, *sides))


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv2d(2, 3, 1, padding=(0, 1)), (2, 4, 6)),  # looks pointwise, by its height
        (nn.Conv2d(2, 3, 1, padding=(2, 0)), (2, 4, 4)),
        (nn.Conv2d(2, 3, 3, padding="same"), (2, 4, 6)),
        (nn.Conv2d(2, 3, (2, 4), padding="same", dilation=(1, 2)), (2, 4, 7)),  # more behind than before
    ],
)
def test_convolutions_that_are_padded(compute, layer, shape):
    agree(compute, layer, shape)


def test_one_bias_for_all_rows(compute):
    class Product(nn.Module):
        def forward(self, x):
            return torch.addmm(torch.ones(1), x, torch.ones(4, 3))

    agree(compute, Product(), (4,))


def test_a_value_that_two_steps_read_is_not_overwritten(compute):
    class Twice(nn.Module):
        def forward(self, x):
            y = x * 2
            return F.relu(y) + torch.tanh(y), F.relu(y[:, :4]) - y[:, 4:]

    agree(compute, Twice(), (8,))


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        half = width // 2
        self.inner = nn.Sequential(
            nn.Conv2d(width, half, 1),
            nn.BatchNorm2d(half),
            nn.ReLU(),
            nn.Conv2d(half, half, 3, 1, 1),
            nn.ReLU(),
            nn.Conv2d(half, width, 1),
        )

    def forward(self, x):
        return F.relu(x + self.inner(x))


def test_a_residual_decoder(compute):
    torch.manual_seed(1)
    network = nn.Sequential(
        nn.Linear(10, 32 * 16),
        nn.Unflatten(1, (32, 4, 4)),
        Residual(32),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(32, 16, 3, padding=1),
        Residual(16),
        nn.Upsample(scale_factor=2),
        nn.Conv2d(16, 1, 5, padding=2),
        nn.Sigmoid(),
    )
    agree(compute, network, (10,))


class UNet(nn.Module):
    """Two levels: convolutions with batch normalisation, pooling, nearest upsampling, concatenation."""

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList([self.block(1, 3), self.block(3, 6), self.block(6, 12)])
        self.up = nn.ModuleList([self.block(18, 6), self.block(9, 3)])
        self.pool, self.grow, self.end = nn.MaxPool2d(2), nn.Upsample(scale_factor=2), nn.Conv2d(3, 4, 1)

    @staticmethod
    def block(inside, outside):
        norm = nn.BatchNorm2d(outside)
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        return nn.Sequential(nn.Conv2d(inside, outside, 3, padding=1), norm, nn.ReLU())

    def forward(self, x):
        fine = self.down[0](x)
        middle = self.down[1](self.pool(fine))
        x = self.up[0](torch.cat([self.grow(self.down[2](self.pool(middle))), middle], 1))
        return self.end(self.up[1](torch.cat([self.grow(x), fine], 1)))


def test_a_u_net(compute):
    """Sides that are no multiples of eight: rows of pixels are then copied to and from the matrix products."""
    torch.manual_seed(3)
    agree(compute, UNet(), (1, 12, 20))


class Part(nn.Module):
    def __init__(self, model, name):
        super().__init__()
        self.model, self.name = model, name

    def forward(self, x):
        return getattr(self.model, self.name)(x)


@pytest.mark.parametrize("name", ["decode", "encode"])
def test_a_recorded_model(compute, name):
    torch.manual_seed(2)
    model = find_record("vae", "phantoms_vae").load_model()
    agree(compute, Part(model, name), (32,) if name == "decode" else (3, 64, 64))


def test_an_unknown_format_is_an_error(compute):
    network = trace(nn.Linear(2, 3), torch.zeros(1, 2))

    class Later:
        spec = network.spec | {"format": 99}
        data = network.data

    with pytest.raises(Exception, match="format 99"):
        compute(Later, torch.zeros(1, 2))


def altered(network, data: bytes, **spec):
    """The network with other weights than those that were traced."""
    return SimpleNamespace(spec=network.spec | spec, data=data)


def test_weights_that_are_not_those_that_were_traced_are_an_error(compute):
    network = trace(nn.Linear(3, 4), torch.zeros(1, 3))
    data, x = network.data, torch.zeros(1, 3)
    assert compute(network, x)
    for k, (wrong, said) in enumerate(
        [
            (altered(network, data[:-2]), "its weights are 30 bytes, not 32"),
            (altered(network, data[:-1]), "its weights are 31 bytes, not 32"),
            (altered(network, data + b"\0\0"), "its weights are 34 bytes, not 32"),
            (altered(network, data[:-1] + bytes([data[-1] ^ 1])), "its weights are not those that were saved"),
            (altered(network, data, crc32=None), "its weights are not those that were saved"),
        ]
        + [
            (altered(network, infinite, crc32=zlib.crc32(infinite)), "a weight is not finite")
            for infinite in (data[:-2] + half for half in (b"\x00\x7c", b"\x00\xfc", b"\x01\x7e"))
        ]
    ):
        wrong.spec["key"] = f"altered {k}"  # one that is open already is not opened again
        with pytest.raises(Exception, match=said):
            compute(wrong, x)
