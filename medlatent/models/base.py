"""What every model is: networks, optimisers, one iteration of its paper's algorithm, and a code that it draws from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..files import read_tensors, save_tensors

FORMAT = "medlatent.model"
VERSION = 1


@dataclass(frozen=True)
class CodePart:
    """Dimensions of a code that belong together: what they are called, where they stand, what they are drawn from.

    Attributes:
        name: ``"z"``, ``"category"``, …
        start: the first dimension.
        stop: the one after the last.
        prior: ``"normal"``, the standard one; ``"uniform"`` between ``low`` and ``high``; or ``"category"``, one-hot,
            all equally probable. Dimensions are independent, but for those of a category.
        low: of the uniform prior.
        high: of the uniform prior.
    """

    name: str
    start: int
    stop: int
    prior: str = "normal"
    low: float = 0.0
    high: float = 1.0

    @property
    def slice(self) -> slice:
        """Its dimensions, as in ``codes[:, part.slice]``."""
        return slice(self.start, self.stop)

    def sample(self, n: int, generator: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
        """``(n, stop - start)`` from the prior, on ``device``."""
        size = self.stop - self.start
        if self.prior == "category":
            return F.one_hot(torch.randint(size, (n,), generator=generator, device=device), size).float()
        if self.prior == "uniform":
            return self.low + (self.high - self.low) * torch.rand(n, size, generator=generator, device=device)
        return torch.randn(n, size, generator=generator, device=device)


class LatentModel(nn.Module):
    """The protocol that the training loop, the metrics and the explorers rely on.

    A subclass builds its networks and optimisers in its constructor, whose defaults are the paper's values, and passes
    the constructor's arguments on as ``config``: from its class name and ``config`` a saved model is built again. Every
    model draws codes and decodes them. One that infers codes, too, has ``encode(images)``, which returns the mean and
    log-variance of the posterior, ``(B, D)`` each; a GAN has no such method, and ``hasattr(model, "encode")`` tells.

    Attributes:
        latent_dim: the dimension D of the code.
        config: the constructor's arguments.
        precision: ``torch.float32`` or ``torch.bfloat16``: what ``autocast`` casts convolutions and products to.
        memory_format: how training lays out images and weights: ``torch.channels_last``, which suits most networks, or
            ``torch.contiguous_format``.
        only_for_training: the attributes of networks that neither ``decode`` nor ``encode`` needs; a record leaves them
            out.
        left_out: those that the file it was loaded from did not have, which are None: it cannot be trained further.
    """

    memory_format: torch.memory_format = torch.channels_last
    only_for_training: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    registry: dict[str, type[LatentModel]] = {}  # noqa: RUF012

    latent_dim: int

    def __init__(self, config: dict) -> None:
        super().__init__()
        self.config = config
        self.precision = torch.float32

    def __init_subclass__(cls, **kwargs) -> None:
        super().__init_subclass__(**kwargs)
        if not cls.__name__.startswith("_"):  # what several models share is none itself
            LatentModel.registry[cls.__name__] = cls

    def prepare(self, images: int) -> None:
        """Told before training on how many images; a model whose loss depends on that number takes it from here."""

    def update(self, images: Tensor) -> dict[str, Tensor]:
        """One iteration of the algorithm on a batch ``(B, C, H, W)`` in [0, 1].

        Returns:
            The named terms of the loss, detached scalars; the first is ``loss``.
        """
        raise NotImplementedError

    def decode(self, z: Tensor) -> Tensor:
        """The images ``(B, C, H, W)`` in [0, 1] of codes ``(B, D)``."""
        raise NotImplementedError

    @property
    def code_layout(self) -> tuple[CodePart, ...]:
        """The parts of the code in their order, without gaps; by default one, ``z``, of the standard normal prior."""
        return (CodePart("z", 0, self.latent_dim),)

    def sample_codes(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Codes ``(n, D)`` from the prior that ``code_layout`` describes, on the model's device.

        Args:
            n: how many.
            generator: of the random numbers, by default PyTorch's global one. The numbers are drawn on its device: one
                on the CPU gives the same codes to a model on any device.
        """
        device = self.device if generator is None else generator.device
        return torch.cat([part.sample(n, generator, device) for part in self.code_layout], 1).to(self.device)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """The model's optimisers by the name of their attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, torch.optim.Optimizer)}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def autocast(self) -> AbstractContextManager:
        """The context for forward passes.

        An update enters it for each forward pass anew and never around an optimiser's step: autocast keeps the
        bfloat16 copies of weights until it is left, and a second pass after a step would see the old ones.
        """
        if self.precision == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, dtype=self.precision)

    def _check_networks(self, names: Sequence[str]) -> None:
        there = dict(self.named_children())
        if unknown := [name for name in names if name not in there and name not in self.left_out]:
            raise ValueError(f"without: {unknown[0]!r} is no network of {type(self).__name__}: {', '.join(there)}")

    def save(
        self, path: str | os.PathLike, dtype: torch.dtype | None = None, without: Sequence[str] | None = None
    ) -> Path:
        """Writes the weights as safetensors, with the class name and ``config`` in the header.

        Args:
            path: of the file.
            dtype: what the weights of two or more dimensions are rounded to in the file, such as ``torch.float16``,
                which halves it; by default nothing is rounded. Biases and running statistics stay as they are.
                :func:`load` gives a model in 32 bits in any case.
            without: the attributes of networks that the file leaves out; by default those that are missing already.

        Raises:
            ValueError: a weight is too large for ``dtype``, or ``without`` names no network of the model.
        """
        without = tuple(self.left_out if without is None else without)
        self._check_networks(without)
        tensors = {name: t for name, t in self.state_dict().items() if name.split(".")[0] not in without}
        if dtype is not None:
            tensors = {name: t.to(dtype) if t.ndim > 1 else t for name, t in tensors.items()}
            if wrong := [name for name, t in tensors.items() if not t.isfinite().all()]:
                raise ValueError(f"{path}: {wrong[0]} is not finite in {dtype}")
        return save_tensors(
            path, tensors, FORMAT, VERSION, model=type(self).__name__, config=self.config, without=without
        )


def load(path: str | os.PathLike, device: str | torch.device = "cpu") -> LatentModel:
    """Builds the model that ``LatentModel.save`` wrote, in evaluation mode; networks that were left out are None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no saved model, is damaged, comes from another version, or names an unknown model; the
            message names the file.
    """
    tensors, header = read_tensors(path, FORMAT, VERSION)
    name, config = header.get("model"), header.get("config")
    if name not in LatentModel.registry:
        raise ValueError(f"{path} holds a model {name!r}, which is none of {', '.join(LatentModel.registry)}")
    try:
        model = LatentModel.registry[name](**config)
        left_out = tuple(header.get("without", ()))
        model._check_networks(left_out)
        for network in left_out:
            setattr(model, network, None)
        model.left_out = left_out
        model.load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: the weights do not fit {name}({config}): {error}") from None
    return model.to(device).eval()
