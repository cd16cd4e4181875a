"""What the parts of a code are drawn from: normal, uniform, categorical, or a normal that depends on columns."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

LOG_2PI = math.log(2 * math.pi)
REACH = 3.0  # standard deviations of a normal that a slider spans


class Prior:
    """The distribution of ``size`` dimensions of a code.

    Attributes:
        size: how many dimensions.
        limits: the lowest and highest value that a walk along one of them takes.
        columns: the names of the columns that it depends on; each is passed to ``sample`` and ``log_density`` by name,
            one value a code.
    """

    size: int
    limits: tuple[float, float]
    columns: tuple[str, ...] = ()

    @property
    def centre(self) -> tuple[float, ...]:
        """Where a walk starts, a value of each dimension."""
        return (sum(self.limits) / 2,) * self.size

    def sample(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None, **columns: Tensor
    ) -> Tensor:
        """``(n, size)``, float32, on ``device``; the random numbers are drawn there."""
        raise NotImplementedError

    def log_density(self, codes: Tensor, **columns: Tensor) -> Tensor:
        """The logarithm of the density, or probability, of codes ``(B, size)``: ``(B,)``, in nats."""
        raise NotImplementedError

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError(f"a prior has no {self.size} dimensions")


def _constant(inside: Tensor, codes: Tensor, value: float) -> Tensor:
    """``value`` where ``inside``, else minus infinity; a float also for one-hot codes of whole numbers."""
    return torch.where(
        inside, torch.tensor(value, dtype=torch.result_type(codes, 1.0), device=codes.device), -torch.inf
    )


@dataclass(frozen=True)
class Normal(Prior):
    """Independent standard normal dimensions."""

    size: int
    limits = (-REACH, REACH)

    def sample(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None, **columns: Tensor
    ) -> Tensor:
        return torch.randn(n, self.size, generator=generator, device=device)

    def log_density(self, codes: Tensor, **columns: Tensor) -> Tensor:
        return -0.5 * (codes.square() + LOG_2PI).sum(1)


@dataclass(frozen=True)
class Uniform(Prior):
    """Independent dimensions, uniform between ``low`` and ``high``."""

    size: int
    low: float = 0.0
    high: float = 1.0
    limits: tuple[float, float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"a uniform prior must rise between finite limits, got {self.low:g} to {self.high:g}")
        object.__setattr__(self, "limits", (self.low, self.high))  # self is frozen

    def sample(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None, **columns: Tensor
    ) -> Tensor:
        return self.low + (self.high - self.low) * torch.rand(n, self.size, generator=generator, device=device)

    def log_density(self, codes: Tensor, **columns: Tensor) -> Tensor:
        inside = ((codes >= self.low) & (codes <= self.high)).all(1)
        return _constant(inside, codes, -self.size * math.log(self.high - self.low))


@dataclass(frozen=True)
class Categorical(Prior):
    """One category of ``size``, one-hot, all equally probable."""

    size: int
    limits = (0.0, 1.0)

    @property
    def centre(self) -> tuple[float, ...]:
        """The first category."""
        return (1.0,) + (0.0,) * (self.size - 1)

    def sample(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None, **columns: Tensor
    ) -> Tensor:
        return F.one_hot(torch.randint(self.size, (n,), generator=generator, device=device), self.size).float()

    def log_density(self, codes: Tensor, **columns: Tensor) -> Tensor:
        one_hot = ((codes == 0) | (codes == 1)).all(1) & (codes.sum(1) == 1)
        return _constant(one_hot, codes, -math.log(self.size))


@dataclass(frozen=True)
class Conditional(Prior):
    """Independent normal dimensions whose mean and log-variance depend on columns, such as a condition vector.

    Attributes:
        given: ``given(**columns)`` returns the mean and the log-variance, ``(B, size)`` each. With a log-variance of
            None the dimensions *are* the mean, a function of the columns, and have no density.
        columns: the names of the columns.
    """

    size: int
    given: Callable[..., tuple[Tensor, Tensor | None]]
    columns: tuple[str, ...]
    limits = (-REACH, REACH)

    def sample(
        self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None, **columns: Tensor
    ) -> Tensor:
        mean, logvar = self._parameters(n, columns)
        if logvar is None:
            return mean.to(device or mean.device)
        noise = torch.randn(n, self.size, generator=generator, device=device)
        return mean.to(noise.device) + (0.5 * logvar).exp().to(noise.device) * noise

    def log_density(self, codes: Tensor, **columns: Tensor) -> Tensor:
        mean, logvar = self._parameters(len(codes), columns)
        if logvar is None:
            raise ValueError(f"what is a function of {', '.join(self.columns)} has no density")
        return -0.5 * ((codes - mean).square() / logvar.exp() + logvar + LOG_2PI).sum(1)

    def _parameters(self, n: int, columns: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        if missing := [name for name in self.columns if name not in columns]:
            raise ValueError(f"a code that depends on {', '.join(self.columns)} needs the column {missing[0]!r}")
        if wrong := [name for name in self.columns if len(columns[name]) != n]:
            raise ValueError(f"{wrong[0]}: {len(columns[wrong[0]])} values for {n} codes")
        mean, logvar = self.given(**{name: columns[name] for name in self.columns})
        for name, value in (("mean", mean), ("log-variance", logvar)):
            if value is not None and value.shape != (n, self.size):
                raise ValueError(f"given: its {name} is {tuple(value.shape)}, expected {(n, self.size)}")
        return mean, logvar


@dataclass(frozen=True)
class CodePart:
    """Dimensions of a code that belong together: what they are called, where they stand, what they are drawn from.

    Attributes:
        name: ``"z"``, ``"category"``, …
        start: the first dimension.
        prior: of all its dimensions. Parts are independent of each other.
    """

    name: str
    start: int
    prior: Prior

    @property
    def stop(self) -> int:
        """The dimension after the last."""
        return self.start + self.prior.size

    @property
    def slice(self) -> slice:
        """Its dimensions, as in ``codes[:, part.slice]``."""
        return slice(self.start, self.stop)


def code_parts(**priors: Prior) -> tuple[CodePart, ...]:
    """The layout of a code whose parts stand one after the other; a prior of no dimension makes no part."""
    parts, start = [], 0
    for name, prior in priors.items():
        if prior.size:
            parts.append(CodePart(name, start, prior))
            start += prior.size
    return tuple(parts)
