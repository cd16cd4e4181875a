"""A torch module as a list of steps that a browser can run.

``trace`` follows a module with ``torch.export`` and writes down what it computes: the graph comes from the module
itself, whatever classes it is made of. Batch normalisation is folded into the layer before it. The weights are rounded
to 16 bits. ``web/network.js`` runs the same steps; ``Network.run`` runs them here, which says what the rounding costs.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import operator
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from numbers import Real

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from ..models import measured

FORMAT = 1
LARGEST = torch.finfo(torch.float16).max
COMPARED, TOLERANCE = (
    2,
    1e-3,
)  # random inputs on which the steps are compared with the module, and by how much they agree
# One value in, one value out, by element. web/network.js has the same names.
ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu,
    "leaky_relu": F.leaky_relu,
    "elu": F.elu,
    "gelu": F.gelu,
    "silu": F.silu,
    "softplus": F.softplus,
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "exp": torch.exp,
    "clamp": lambda x, low, high: x.clamp(low, high),
    "linear": lambda x, scale, shift: scale * x + shift,
}


@dataclass(frozen=True)
class Network:
    """What :func:`trace` makes of a module; every value is one tensor without its batch dimension.

    Attributes:
        inputs: the numbers of the values that the module takes.
        outputs: the numbers of the values that it returns.
        shapes: of every value, by its number.
        steps: what is computed, in order: ``op``, the values ``x`` it reads and the value ``y`` it writes, and what
            belongs to the operation. ``weight``, ``bias`` and the like are ``[start, length]`` in ``weights``.
        weights: all weights one after the other, float16.
    """

    inputs: list[int]
    outputs: list[int]
    shapes: list[list[int]]
    steps: list[dict]
    weights: np.ndarray

    @property
    def spec(self) -> dict:
        """Everything but the weights, as JSON has it, with a ``key`` that changes with any part of the network.

        ``crc32`` is the checksum of the weights, by which a page finds out whether they are these.
        """
        spec = {
            "format": FORMAT,
            "inputs": self.inputs,
            "outputs": self.outputs,
            "shapes": self.shapes,
            "steps": self.steps,
        }
        text = json.dumps(spec, sort_keys=True).encode()
        data = self.data
        return spec | {"key": hashlib.sha256(text + data).hexdigest()[:16], "crc32": zlib.crc32(data)}

    @property
    def data(self) -> bytes:
        """The weights as little-endian bytes."""
        return self.weights.astype("<f2").tobytes()

    def run(self, *inputs: Tensor) -> list[Tensor]:
        """The outputs for a batch, computed from the steps and the rounded weights.

        Args:
            *inputs: one tensor with a batch dimension for each input.

        Raises:
            ValueError: their number or their shapes are not those of the inputs.
        """
        if [list(x.shape[1:]) for x in inputs] != [self.shapes[i] for i in self.inputs]:
            raise ValueError(f"inputs: expected batches of {[self.shapes[i] for i in self.inputs]}")
        rounded = torch.from_numpy(self.weights.astype(np.float32))
        values = dict(zip(self.inputs, inputs, strict=True))
        for step in self.steps:
            step = dict(step)
            op, x, y = step.pop("op"), [values.get(i) for i in step.pop("x")], step.pop("y")
            named = {k: rounded[v[0] : v[0] + v[1]] for k, v in step.items() if k in ("weight", "bias")}
            result = RUN[op](x, self.shapes[y], **(step | named))
            if op == "constant":
                result = result.expand(len(inputs[0]), -1)
            values[y] = result.reshape(len(inputs[0]), *self.shapes[y])
        return [values[i] for i in self.outputs]


def _conv(x, shape, weight, bias, kernel, stride, padding, dilation):
    weight = weight.view(shape[0], -1, *kernel)
    sides = zip(shape[1:], x[0].shape[2:], kernel, stride, padding, dilation, strict=True)
    # Of an even kernel "same" pads more behind than before.
    high, wide = [max(0, (n - 1) * s + d * (k - 1) + 1 - (m + 2 * p)) for n, m, k, s, p, d in sides]
    return F.conv2d(F.pad(x[0], (0, wide, 0, high)) if high or wide else x[0], weight, bias, stride, padding, dilation)


def _conv_transpose(x, shape, weight, bias, kernel, stride, padding):
    weight = weight.view(shape[0], *kernel, -1).permute(3, 0, 1, 2)
    extra = [
        n - ((m - 1) * s - 2 * p + k)
        for n, m, s, p, k in zip(shape[1:], x[0].shape[2:], stride, padding, kernel, strict=True)
    ]
    return F.conv_transpose2d(x[0], weight, bias, stride, padding, extra)


def _norm(x, shape, groups, eps, weight, bias):
    return F.group_norm(x[0], groups, weight, bias, eps)


def _binary(x, shape, kind):
    a, b = x
    b = b.flatten(1)
    b = b.view(-1, *shape) if b[0].numel() == math.prod(shape) else b.view(-1, shape[0], *[1] * (len(shape) - 1))
    return {"add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div}[kind](a, b)


RUN: dict[str, Callable[..., Tensor]] = {
    "constant": lambda x, shape, weight: weight,
    "linear": lambda x, shape, weight, bias: F.linear(x[0], weight.view(shape[0], -1), bias),
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "affine": lambda x, shape, weight, bias: (
        x[0] * weight.view(-1, *[1] * (len(shape) - 1)) + bias.view(-1, *[1] * (len(shape) - 1))
    ),
    "norm": _norm,
    "activation": lambda x, shape, kind, arguments: ACTIVATIONS[kind](x[0], *arguments),
    "binary": _binary,
    "softmax": lambda x, shape: x[0].softmax(1),
    "concatenate": lambda x, shape: torch.cat([v.flatten(1) for v in x], 1),
    "view": lambda x, shape, start: x[0].flatten(1)[:, start : start + math.prod(shape)],
    "upsample": lambda x, shape: F.interpolate(x[0], size=shape[1:]),
    "average_pool": lambda x, shape, kernel, stride: F.avg_pool2d(x[0], kernel, stride),
    "max_pool": lambda x, shape, kernel, stride, padding: F.max_pool2d(x[0], kernel, stride, padding),
}


def trace(module: nn.Module, *examples: Tensor) -> Network:
    """Follows a module in evaluation mode, and leaves it as it was.

    Args:
        module: takes tensors with a batch dimension and returns one or several of them.
        *examples: one batch of one for each input.

    Raises:
        ValueError: the module computes something that the steps do not have; the message names the operation and the
            layer. Or torch.export cannot follow it. Or a weight is not finite, or beyond what 16 bits hold. Or the
            steps make something else of random inputs than the module, such as one that draws random numbers.
    """
    name = module._get_name()
    with measured(module), warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # what torch.export says of itself
        try:
            program = torch.export.export(module, tuple(e[:1].cpu() for e in examples), strict=False)
        except Exception as error:  # of torch.export, or any that a forward pass may raise
            raise ValueError(f"{name}: torch.export cannot follow it: {_reason(error)}") from error
        if not all(map(_known, program.graph.nodes)):
            # Takes a second: functions in place of what changes its input, and larger operations in parts.
            program = program.run_decompositions({})
        network, exact = _Tracer(program).network()
        _compare(name, module, replace(network, weights=exact))
    return network


def _compare(name: str, module: nn.Module, exact: Network) -> None:
    """That a module makes what its steps make, before any rounding, of several inputs at once: an option that no rule
    knows of, or a result that depends on the batch or on chance, would else be a wrong picture."""
    device = next(iter(module.parameters()), torch.zeros(0)).device
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(COMPARED, *exact.shapes[i], generator=generator) for i in exact.inputs]
    try:
        made = [m.float().cpu() for m in tree_leaves(module(*(x.to(device, copy=True) for x in inputs)))]
    except RuntimeError as error:
        raise ValueError(f"{name}: cannot take a batch of {COMPARED} inputs: {_reason(error)}") from error
    for module_made, steps_made in zip(made, exact.run(*inputs), strict=True):
        difference = torch.inf
        if module_made.shape in (steps_made.shape, steps_made[:1].shape):  # of a constant there is one
            module_made = module_made.expand_as(steps_made)
            size = max(1.0, float(module_made.nan_to_num(0, 0, 0).abs().max())) if module_made.numel() else 1.0
            if torch.allclose(steps_made, module_made, TOLERANCE, TOLERANCE * size, equal_nan=True):
                continue
            difference = float((steps_made - module_made).abs().max())
        raise ValueError(
            f"{name}: a browser would compute something else, by up to {difference:.3g} on {COMPARED} random inputs. "
            "A page needs a module that makes the same of an input each time, whatever else is in the batch"
        )


def _reason(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__


WEIGHTS = (
    "weight",
    "bias",
    "mean",
    "variance",
    "slope",
)  # what rules call the arguments that must be the same for all inputs


class _Value(int):
    """The number of a value, to be told from a number that the module computes with."""


@dataclass
class _Tracer:
    """Turns the graph of ``torch.export`` into steps."""

    program: torch.export.ExportedProgram
    shapes: list[list[int]] = field(default_factory=list)
    steps: list[dict] = field(default_factory=list)
    tensors: list[Tensor] = field(default_factory=list)
    owners: list[torch.fx.Node] = field(default_factory=list)  # of the tensors
    length: int = 0

    def network(self) -> tuple[Network, np.ndarray]:
        """The network, and its weights before they are rounded."""
        signature = self.program.graph_signature
        lifted = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
        lifted |= signature.inputs_to_lifted_tensor_constants
        held = {**self.program.state_dict, **self.program.constants}
        inputs, outputs = [], []
        self.found: dict[torch.fx.Node, object] = {}  # of a node: the number of a value, a tensor, or a tuple of them
        for node in self.program.graph.nodes:
            self.node = node
            if node.op == "placeholder" and node.name in lifted:
                tensor = held[lifted[node.name]].detach().cpu()
                self.found[node] = tensor.float() if tensor.is_floating_point() else tensor
            elif node.op == "placeholder":
                inputs.append(self.value(node))
                self.found[node] = inputs[-1]
            elif node.op == "output":
                # Others are what an operation in place has made of an input.
                made = zip(signature.output_specs, node.args[0], strict=True)
                kept = [n for spec, n in made if spec.kind is torch.export.graph_signature.OutputKind.USER_OUTPUT]
                if odd := [n for n in kept if not isinstance(n, torch.fx.Node)]:
                    raise ValueError(f"the module returns {odd[0]!r}; an explorer can run what returns tensors alone")
                outputs = [self.as_value(self.found[n], node) for n in kept]
            elif "assert" not in str(node.target):
                self.lower(node)
        for tensor, node in zip(self.tensors, self.owners, strict=True):
            if (wrong := ~(tensor.abs() <= LARGEST)).any():
                raise ValueError(
                    f"{_place(node)} has the weight {tensor[wrong][0]:g}: weights must be finite, and no larger than "
                    "65 504, the largest number of 16 bits"
                )
        weights = torch.cat([t.flatten() for t in self.tensors]) if self.tensors else torch.zeros(0)
        return Network(inputs, outputs, self.shapes, self.steps, weights.half().numpy()), weights.numpy()

    def lower(self, node: torch.fx.Node) -> None:
        name = _name(node)
        arguments = torch.fx.node.map_arg(node.args, self.found.get)
        named = torch.fx.node.map_arg(node.kwargs, self.found.get)
        if not _holds_value((*arguments, *named.values())):
            if torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ()):
                raise self.refusal(node, f"draws random numbers by {name!r}")
            self.found[node] = node.target(*arguments, **named)  # made of weights alone
            return
        if name not in LOWER:
            raise self.refusal(node, f"computes {name!r}")
        rule = LOWER[name]
        try:
            call = inspect.signature(rule).bind(self, node, *arguments, **named)
        except TypeError:
            raise self.refusal(node, f"computes {name!r} with {_said([*arguments[1:], *named.values()])}") from None
        if odd := [k for k in WEIGHTS if isinstance(call.arguments.get(k), _Value)]:
            raise self.refusal(node, f"computes {name!r} with a {odd[0]} that depends on the input")
        self.found[node] = rule(*call.args, **call.kwargs)

    def refusal(self, node: torch.fx.Node, what: str) -> ValueError:
        known = ", ".join(sorted(name for name in LOWER if not name.startswith("_")))
        return ValueError(f"{_place(node)} {what}, which an explorer cannot run in a browser; it knows {known}")

    def refuse_options(self, node: torch.fx.Node, what: str, **options: object) -> None:
        """Refuses those of an operation's options that are set."""
        if said := [f"{name} {value}" for name, value in options.items() if value]:
            raise self.refusal(node, f"{what} with {', '.join(said)}")

    # ------------------------------------------------------------------------------------------ values and weights

    def value(self, node: torch.fx.Node) -> _Value:
        """The number of a new value with the shape of the node."""
        if node.meta["val"].dtype != torch.float32:
            raise self.refusal(node, f"makes {node.meta['val'].dtype}")
        return self.new(list(node.meta["val"].shape)[1:])

    def new(self, shape: list[int]) -> _Value:
        self.shapes.append([int(n) for n in shape])
        return _Value(len(self.shapes) - 1)

    def weight(self, tensor: Tensor) -> list[int]:
        """Stores weights and returns where they are."""
        self.tensors.append(tensor.float().contiguous())
        self.owners.append(self.node)
        start, self.length = self.length, self.length + tensor.numel()
        return [start, tensor.numel()]

    def as_value(self, found: object, node: torch.fx.Node) -> _Value:
        """The number of a value; a constant becomes one."""
        if isinstance(found, Tensor):
            shape = list(found.shape)
            y = self.new(shape[1:] if len(shape) > 1 and shape[0] == 1 else shape)
            self.steps.append({"op": "constant", "x": [], "y": y, "weight": self.weight(found)})
            return y
        if not isinstance(found, _Value):
            raise self.refusal(node, f"uses {found!r}")
        return found

    def step(self, op: str, node: torch.fx.Node, *x: object, **parameters: object) -> int:
        """Adds a step that writes a new value."""
        numbers = [*parameters.get("arguments", ()), parameters.get("eps", 0.0)]
        if odd := [n for n in numbers if not math.isfinite(n)]:
            raise self.refusal(node, f"computes with the number {odd[0]}")
        read = [self.as_value(v, node) for v in x]
        y = self.value(node)
        self.steps.append({"op": op, "x": read, "y": y, **parameters})
        return y

    # ------------------------------------------------------------------------------- operations, by their ATen names

    def linear(self, node, x, weight, bias=None):
        bias = torch.zeros(len(weight)) if bias is None else bias
        if node.meta["val"].ndim != 2:
            raise self.refusal(node, f"multiplies {list(node.meta['val'].shape)}, more than one vector")
        bias = bias.expand(1, len(weight))  # of addmm it may be one number
        return self.step("linear", node, x, weight=self.weight(weight), bias=self.weight(bias))

    def product(self, node, x, matrix):
        if not isinstance(matrix, Tensor) or matrix.ndim != 2:
            raise self.refusal(node, "multiplies by a matrix that is no weight")
        return self.linear(node, x, matrix.T)

    def conv2d(self, node, x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
        if groups != 1:
            raise self.refusal(node, f"convolves in {groups} groups")
        if isinstance(padding, str):
            sides = zip(weight.shape[2:], _pair(dilation), strict=True)
            padding = [d * (k - 1) // 2 if padding == "same" else 0 for k, d in sides]
        bias = torch.zeros(len(weight)) if bias is None else bias
        return self.step(
            "conv",
            node,
            x,
            weight=self.weight(weight),
            bias=self.weight(bias),
            kernel=list(weight.shape[2:]),
            stride=_pair(stride),
            padding=_pair(padding),
            dilation=_pair(dilation),
        )

    def conv_transpose2d(
        self, node, x, weight, bias=None, stride=(1, 1), padding=(0, 0), extra=(0, 0), groups=1, dilation=(1, 1)
    ):
        self.refuse_options(
            node, "convolves", groups=groups != 1 and groups, dilation=_pair(dilation) != [1, 1] and dilation
        )
        bias = torch.zeros(weight.shape[1]) if bias is None else bias
        return self.step(
            "conv_transpose",
            node,
            x,
            weight=self.weight(weight.permute(1, 2, 3, 0)),  # (O, k, k, I): rows of the matrix product
            bias=self.weight(bias),
            kernel=list(weight.shape[2:]),
            stride=_pair(stride),
            padding=_pair(padding),
        )

    def batch_norm(self, node, x, weight, bias, mean, variance, momentum, eps):
        scale = (variance + eps).rsqrt() * (1 if weight is None else weight)
        shift = -mean * scale + (0 if bias is None else bias)
        before = self.steps[-1] if self.steps else None
        foldable = before and before["y"] == x and before["op"] in ("linear", "conv", "conv_transpose")
        if foldable and len(node.args[0].users) == 1:
            # Its weights and its bias were the last to be stored.
            rows, old = self.tensors[-2], self.tensors[-1]
            self.tensors[-2] = rows * scale.view(-1, *[1] * (rows.ndim - 1))
            self.tensors[-1] = old * scale + shift
            return (x,)
        return (self._affine(node, x, scale, shift),)

    def eval_batch_norm(self, node, x, weight, bias, mean, variance, training, momentum, eps, cudnn=False):
        if training:
            raise self.refusal(node, "normalises by the batch")
        return self.batch_norm(node, x, weight, bias, mean, variance, momentum, eps)[0]

    def _affine(self, node, x, scale, shift):
        y = self.new(self.shapes[x])
        self.steps.append({"op": "affine", "x": [x], "y": y, "weight": self.weight(scale), "bias": self.weight(shift)})
        return y

    def instance_norm(self, node, x, weight, bias, mean, variance, use_input_stats, momentum, eps, cudnn=False):
        if not use_input_stats:
            return self.batch_norm(node, x, weight, bias, mean, variance, momentum, eps)[0]
        return self.group_norm(node, x, self.shapes[x][0], weight, bias, eps)

    def group_norm(self, node, x, groups, weight=None, bias=None, eps=1e-5, cudnn=False):
        channels = self.shapes[x][0]
        weight = torch.ones(channels) if weight is None else weight
        bias = torch.zeros(channels) if bias is None else bias
        return self.step("norm", node, x, groups=groups, eps=eps, weight=self.weight(weight), bias=self.weight(bias))

    def activation(self, node, x, kind, *arguments):
        if odd := [a for a in arguments if not _is_number(a)]:
            raise self.refusal(node, f"computes {kind!r} with {_said(odd)} where a number is needed")
        return self.step("activation", node, x, kind=kind, arguments=[float(a) for a in arguments])

    def clamp(self, node, x, low=None, high=None):
        # JSON has no infinity; no weight, and so no sum of a network, comes near this one.
        low, high = (-3e38 if low is None else low), (3e38 if high is None else high)
        return self.activation(node, x, "clamp", low, high)

    def prelu(self, node, x, slope):
        # max(x, 0) + slope · min(x, 0)
        positive = self.activation(node, x, "relu")
        negative = self.clamp(node, x, None, 0.0)
        scaled = self._affine(node, negative, slope.expand(self.shapes[x][0]), torch.zeros(self.shapes[x][0]))
        return self.step("binary", node, positive, scaled, kind="add")

    def binary(self, node, a, b, kind, alpha=1):
        if isinstance(b, int | float) and not isinstance(b, _Value):
            scale, shift = {"add": (1, b * alpha), "sub": (1, -b * alpha), "mul": (b, 0), "div": (1 / (b or 1), 0)}[
                kind
            ]
            if kind == "div" and not b:
                raise self.refusal(node, "divides by 0")
            return self.activation(node, a, "linear", scale, shift)
        if alpha != 1:
            raise self.refusal(node, f"adds {alpha} times a tensor")
        shape = list(node.meta["val"].shape)[1:]
        if kind in ("add", "mul") and self._shape(a) != shape:
            a, b = b, a
        other = self._shape(b)
        by_channel = [shape[0], *[1] * (len(shape) - 1)]
        if self._shape(a) != shape or other not in (shape, by_channel):
            raise self.refusal(node, f"combines {self._shape(a)} with {other}")
        return self.step("binary", node, a, b, kind=kind)

    def _shape(self, found: object) -> list[int]:
        if isinstance(found, Tensor):
            return list(found.shape)[1:] if found.ndim > 1 and found.shape[0] == 1 else list(found.shape)
        return self.shapes[self.as_value(found, self.node)]

    def softmax(self, node, x, dim, dtype=None):
        if len(self.shapes[x]) != 1:
            raise self.refusal(node, f"takes the softmax of {self.shapes[x]}")
        if dim not in (1, -1):
            raise self.refusal(node, f"takes the softmax over dimension {dim}, which is the batch")
        return self.step("softmax", node, x)

    def concatenate(self, node, parts, dim=0):
        if dim not in (1, 1 - node.meta["val"].ndim):
            raise self.refusal(node, f"concatenates along dimension {dim}, not along the channels")
        return self.step("concatenate", node, *parts)

    def view(self, node, x, *ignored):
        """What leaves the order of the values alone."""
        if isinstance(x, Tensor):
            return x.reshape(node.meta["val"].shape)
        if node.meta["val"].shape[0] != 1 or node.meta["val"].numel() != math.prod(self.shapes[x]):
            raise self.refusal(node, f"makes {list(node.meta['val'].shape)} of {self.shapes[x]}")
        return self.step("view", node, x, start=0)

    def same(self, node, x, *ignored, **named):
        return x

    def slice(self, node, x, dim=0, start=0, end=None, step=1):
        shape = self.shapes[x]
        if dim not in (1, -len(shape)) or step != 1:
            if dim == 0 and not start and node.meta["val"].shape[0] == 1:
                return x
            raise self.refusal(node, f"slices dimension {dim} by {step}")
        start = (start or 0) % shape[0]
        return self.step("view", node, x, start=start * math.prod(shape[1:]))

    def split(self, node, x, sizes, dim=0):
        shape = self.shapes[x]
        if dim not in (1, -len(shape)):
            raise self.refusal(node, f"splits dimension {dim}, not the channels")
        sizes = [sizes] * math.ceil(shape[0] / sizes) if isinstance(sizes, int) else sizes
        parts, start = [], 0
        for size in sizes:
            size = min(size, shape[0] - start)
            parts.append(self.new([size, *shape[1:]]))
            self.steps.append({"op": "view", "x": [x], "y": parts[-1], "start": start * math.prod(shape[1:])})
            start += size
        return tuple(parts)

    def getitem(self, node, parts, index):
        return parts[index]

    def upsample(self, node, x, *ignored):
        (high, wide), (h, w) = self._sides(node.meta["val"]), self.shapes[x][1:]
        if high % h or wide % w:
            raise self.refusal(node, f"enlarges {h}×{w} to {high}×{wide}, no whole multiple")
        pixels = torch.arange(float(h * w)).view(1, 1, h, w)
        if not torch.equal(node.target(pixels, *ignored), F.interpolate(pixels, size=(high, wide))):
            raise self.refusal(node, f"enlarges {h}×{w} to {high}×{wide} by a factor of its own")
        return self.step("upsample", node, x)

    def average_pool(self, node, x, kernel, stride=(), padding=(0, 0), ceil_mode=False, include=True, divisor=None):
        kernel = _pair(kernel)
        padded = _pair(padding) != [0, 0] and padding
        self.refuse_options(node, "pools", padding=padded, ceil_mode=ceil_mode, divisor_override=divisor)
        return self.step("average_pool", node, x, kernel=kernel, stride=_pair(stride) if len(stride) else kernel)

    def adaptive_average_pool(self, node, x, size):
        (high, wide), (h, w) = self._sides(node.meta["val"]), self.shapes[x][1:]
        if h % high or w % wide:
            raise self.refusal(node, f"averages {h}×{w} to {high}×{wide}, no whole part")
        kernel = [h // high, w // wide]
        return self.step("average_pool", node, x, kernel=kernel, stride=kernel)

    def mean(self, node, x, dims=None, keepdim=False, dtype=None):
        shape = self.shapes[x]
        if len(shape) != 3 or dims is None or sorted(d % 4 for d in dims) != [2, 3]:
            raise self.refusal(node, f"averages {shape} over {dims}; over height and width it can")
        return self.step("average_pool", node, x, kernel=shape[1:], stride=shape[1:])

    def max_pool(self, node, x, kernel, stride=(), padding=(0, 0), dilation=(1, 1), ceil_mode=False):
        self.refuse_options(node, "pools", dilation=_pair(dilation) != [1, 1] and dilation, ceil_mode=ceil_mode)
        kernel = _pair(kernel)
        stride = _pair(stride) if len(stride) else kernel
        return self.step("max_pool", node, x, kernel=kernel, stride=stride, padding=_pair(padding))

    @staticmethod
    def _sides(value: Tensor) -> tuple[int, int]:
        return int(value.shape[-2]), int(value.shape[-1])


def _place(node: torch.fx.Node) -> str:
    """The layer that an operation belongs to."""
    stack = list((node.meta.get("nn_module_stack") or {"": ("", "")}).values())
    layer, kind = stack[-1]
    kind = (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]
    return f"the layer {layer!r} ({kind})" if layer else "the module itself"


def _said(arguments: Sequence[object]) -> str:
    """Arguments of an operation in few words."""
    words = {_Value: "a value", Tensor: "a tensor", nn.Parameter: "a tensor"}
    return ", ".join(words.get(type(a), repr(a)) for a in arguments)


def _is_number(argument: object) -> bool:
    if isinstance(argument, Tensor):
        return argument.numel() == 1
    return isinstance(argument, Real) and not isinstance(argument, _Value)


def _name(node: torch.fx.Node) -> str:
    """Of the operation, without its overload."""
    return "getitem" if node.target is operator.getitem else str(node.target).split(".")[1]


def _known(node: torch.fx.Node) -> bool:
    """Whether the operation has a rule and changes none of its inputs."""
    if node.op != "call_function" or "assert" in str(node.target):
        return True
    return _name(node) in LOWER and not getattr(getattr(node.target, "_schema", None), "is_mutable", False)


def _holds_value(arguments: object) -> bool:
    if isinstance(arguments, tuple | list):
        return any(map(_holds_value, arguments))
    return isinstance(arguments, _Value)


def _pair(numbers: object) -> list[int]:
    numbers = [numbers] if isinstance(numbers, int) else list(numbers)
    return [int(n) for n in (numbers * 2 if len(numbers) == 1 else numbers)]


def _activation(kind: str, *defaults: float) -> Callable:
    """The rule of an activation with as many arguments as it has defaults."""

    def rule(tracer, node, x, *arguments, **named):
        given = [*arguments, *named.values()]
        if len(given) > len(defaults):
            raise tracer.refusal(node, f"computes {kind!r} with {given}")
        return tracer.activation(node, x, kind, *given, *defaults[len(given) :])

    return rule


def _gelu(tracer, node, x, approximate="none"):
    if approximate != "none":
        raise tracer.refusal(node, f"computes gelu by {approximate!r}")
    return tracer.activation(node, x, "gelu")


def _softplus(tracer, node, x, beta=1, threshold=20):
    return tracer.activation(node, x, "softplus", beta, threshold)


# The rule for each operation of ATen, which is what every torch module comes down to.
LOWER: dict[str, Callable] = {
    "linear": _Tracer.linear,
    "matmul": _Tracer.product,
    "mm": _Tracer.product,
    "addmm": lambda tracer, node, bias, x, matrix: tracer.linear(node, x, matrix.T, bias),
    "conv2d": _Tracer.conv2d,
    "conv_transpose2d": _Tracer.conv_transpose2d,
    "batch_norm": _Tracer.eval_batch_norm,
    "_native_batch_norm_legit_no_training": _Tracer.batch_norm,
    "instance_norm": _Tracer.instance_norm,
    "group_norm": _Tracer.group_norm,
    "relu": _activation("relu"),
    "leaky_relu": _activation("leaky_relu", 0.01),
    "prelu": _Tracer.prelu,
    "elu": _activation("elu", 1.0),
    "gelu": _gelu,
    "silu": _activation("silu"),
    "softplus": _softplus,
    "sigmoid": _activation("sigmoid"),
    "tanh": _activation("tanh"),
    "exp": _activation("exp"),
    "rsub": lambda tracer, node, x, other, alpha=1: tracer.activation(node, x, "linear", -alpha, other),
    "neg": lambda tracer, node, x: tracer.activation(node, x, "linear", -1, 0),
    "hardtanh": _activation("clamp", -1.0, 1.0),
    "relu6": lambda tracer, node, x: tracer.activation(node, x, "clamp", 0, 6),
    "clamp": _Tracer.clamp,
    "softmax": _Tracer.softmax,
    "add": lambda tracer, node, a, b, alpha=1: tracer.binary(node, a, b, "add", alpha),
    "sub": lambda tracer, node, a, b, alpha=1: tracer.binary(node, a, b, "sub", alpha),
    "mul": lambda tracer, node, a, b: tracer.binary(node, a, b, "mul"),
    "div": lambda tracer, node, a, b: tracer.binary(node, a, b, "div"),
    "cat": _Tracer.concatenate,
    "view": _Tracer.view,
    "_unsafe_view": _Tracer.view,
    "reshape": _Tracer.view,
    "flatten": _Tracer.view,
    "unsqueeze": _Tracer.view,
    "squeeze": _Tracer.view,
    "clone": _Tracer.same,
    "contiguous": _Tracer.same,
    "alias": _Tracer.same,
    "detach": _Tracer.same,
    "slice": _Tracer.slice,
    "split": _Tracer.split,
    "split_with_sizes": _Tracer.split,
    "getitem": _Tracer.getitem,
    "upsample_nearest2d": _Tracer.upsample,
    "avg_pool2d": _Tracer.average_pool,
    "adaptive_avg_pool2d": _Tracer.adaptive_average_pool,
    "mean": _Tracer.mean,
    "max_pool2d": _Tracer.max_pool,
}
