"""What the explorer's view *hybrid* exchanges: style and content of images, and the condition that a content has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..models import CodePart, Conditional
from .network import Network, trace

if TYPE_CHECKING:
    from ..data import Factor

LEAST_IMAGES = 2  # one for the content, one for the style
BINARY_NAMES = re.compile(r"\b0:? (.+)[,;] 1:? (.+)$")  # "shape of the nodule: 0 linear to ovoid, 1 round"


class Exchange(NamedTuple):
    """Where in a code the style stands, and where the content."""

    style: CodePart
    content: CodePart

    def names(self) -> dict[int, str]:
        """Of all dimensions: z0, z1, … of the style and c0, c1, … of the content."""
        parts = {"z": self.style, "c": self.content}
        return {part.start + k: f"{name}{k}" for name, part in parts.items() for k in range(part.prior.size)}

    def places(self) -> dict[str, list[int]]:
        """Of both by name: the first dimension, and the one after the last."""
        return {part.name: [part.start, part.stop] for part in self}

    def hybrids(self, codes: Tensor, contents: Sequence[int], styles: Sequence[int]) -> Tensor:
        """Codes ``(R, S, D)`` with the content of an image in each row and the style of an image in each column.

        Args:
            codes: of the images, ``(M, D)``.
            contents: the R images whose contents are taken.
            styles: the S images whose styles are.
        """
        mixed = codes[list(styles)].repeat(len(contents), 1, 1)
        mixed[..., self.content.slice] = codes[list(contents), None, self.content.slice]
        return mixed


def exchange_of(model: nn.Module, width: int) -> Exchange | None:
    """The parts ``style`` and ``content`` of a code that consists of them, in whatever order; None for another code."""
    parts = {part.name: part for part in getattr(model, "code_layout", ())}
    if set(parts) != {"style", "content"} or sum(part.prior.size for part in parts.values()) != width:
        return None
    return Exchange(parts["style"], parts["content"])


def what_is_missing(model: nn.Module, width: int, images: Tensor | None) -> str:
    """What the view would need and has not; empty where it has everything."""
    name = type(model).__name__
    if exchange_of(model, width) is None:
        has = ", ".join(part.name for part in getattr(model, "code_layout", ())) or "no parts with names"
        return f"a code with the parts style and content and no others, and that of {name} has {has}"
    if not hasattr(model, "encode"):
        return (
            f"the content of images, and {name} has no encode that infers it: in a system of one variable the content "
            "comes from the condition alone"
        )
    if images is None or len(images) < LEAST_IMAGES:
        return f"images to exchange, {LEAST_IMAGES} or more, got {0 if images is None else len(images)}"
    return ""


def condition_sizes(model: nn.Module, exchange: Exchange) -> dict[str, int]:
    """The columns of the condition that the content depends on, and how many values each has; none where nothing says.

    A model says it as :class:`medlatent.models.StyleContentModel` does: the prior of the content is a
    :class:`~medlatent.models.Conditional`, ``config["condition"]`` has the numbers of values, and ``content_of(t)`` is
    q(c|t) of the columns' one-hot vectors, one after the other.
    """
    prior = exchange.content.prior
    sizes = getattr(model, "config", {}).get("condition", {})
    says = isinstance(prior, Conditional) and hasattr(model, "content_of") and set(sizes) == set(prior.columns)
    return dict(sizes) if says else {}


class _ContentMean(nn.Module):
    """The mean of q(c|t) as a module's forward pass."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, t: Tensor) -> Tensor:
        return self.model.content_of(t)[0]


def trace_condition(model: nn.Module, exchange: Exchange, sizes: Mapping[str, int], device: torch.device) -> Network:
    """The network from a condition t, ``(T,)``, to the mean of q(c|t).

    Args:
        model: in evaluation mode.
        exchange: the parts of its code.
        sizes: the columns of the condition, and how many values each has.
        device: the model's.

    Raises:
        ValueError: of one-hot vectors in the order of ``sizes``, ``content_of`` does not make what the prior of the
            content gives; or the network computes something that cannot run in a browser.
    """
    # Each value of each column, where the other columns have their first.
    rows = [(name, value) for name, size in sizes.items() for value in range(size)]
    columns = {
        name: torch.tensor([value if name == row else 0 for row, value in rows], device=device) for name in sizes
    }
    t = torch.cat([F.one_hot(values, sizes[name]) for name, values in columns.items()], 1).float()
    mean = _ContentMean(model)
    with torch.no_grad():
        given = exchange.content.prior.given(**columns)[0]
        if not torch.allclose(mean(t), given.to(device), rtol=1e-4, atol=1e-5):
            raise ValueError(
                f"model: {type(model).__name__}.content_of(t) of the one-hot vectors of {', '.join(sizes)}, one after "
                "the other, is not the mean that its code_layout gives the content of these columns"
            )
    return trace(mean, t)


def said_of_condition(
    sizes: Mapping[str, int],
    factors: Mapping[str, Factor] | None,
    columns: Mapping[str, Tensor] | None,
    count: int,
) -> dict[str, list]:
    """The condition as the front end reads it.

    Args:
        sizes: its columns, and how many values each has.
        factors: what they mean, as far as anybody says.
        columns: their values for the images.
        count: of the images.

    Returns:
        ``columns``: of each its ``name``, its ``meaning`` and the names of its ``values``; ``conditions``: of each
        image the numbers of its values, or nothing.

    Raises:
        ValueError: a factor has another number of values, or a column is missing, of another length or out of range.
    """
    said = [{"name": name, **_meaning(name, size, (factors or {}).get(name))} for name, size in sizes.items()]
    if columns is None:
        return {"columns": said, "conditions": []}
    if missing := [name for name in sizes if name not in columns]:
        raise ValueError(f"columns: {missing[0]!r} is missing; the condition consists of {', '.join(sizes)}")
    found = [_values(name, columns[name], size, count) for name, size in sizes.items()]
    return {"columns": said, "conditions": [list(row) for row in zip(*found, strict=True)]}


def _meaning(name: str, size: int, factor: Factor | None) -> dict[str, object]:
    """Names of values: those of a categorical factor, or what the meaning of a binary one says of 0 and of 1."""
    values = [str(k) for k in range(size)]
    if factor is None:
        return {"meaning": "", "values": values}
    has = {"binary": 2, "categorical": len(factor.values)}.get(factor.kind)
    if has != size:
        says = f"{has} values" if has else f"no values to choose from ({factor.kind})"
        raise ValueError(f"factors: {name!r} has {says}, and in the model's condition it has {size}")
    if factor.kind == "categorical":
        values = [str(value) for value in factor.values]
    elif said := BINARY_NAMES.search(factor.meaning):
        values = list(said.groups())
    return {"meaning": factor.meaning, "values": values}


def _values(name: str, column: Tensor, size: int, count: int) -> list[int]:
    column = torch.as_tensor(column).double().cpu()
    if column.shape != (count,):
        raise ValueError(
            f"columns: {name!r} has the shape {tuple(column.shape)}, expected one value for {count} images"
        )
    if (wrong := ~torch.isin(column, torch.arange(size).double())).any():
        row = int(wrong.nonzero()[0])
        raise ValueError(f"columns: {name!r} holds {float(column[row]):g} for image {row + 1}, not 0 to {size - 1}")
    return [int(value) for value in column]
