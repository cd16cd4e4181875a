"""What every model is: networks, optimisers, one iteration of its paper's algorithm, and a code that it draws from."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..files import plain, read_tensors, save_tensors
from ..nets.sides import sides
from ..options import real_options, whole_options
from .priors import CodePart, Normal, code_parts

if TYPE_CHECKING:
    from ..data import Factor

FORMAT = "medlatent.model"
VERSION = 1
LEAST_RATE = dict.fromkeys(("learning_rate", "generator_rate", "discriminator_rate", "critic_rate"), 0.0)


class LatentModel(nn.Module):
    """The protocol that the training loop, the evaluation and the explorers rely on.

    A subclass builds its networks and optimisers in its constructor, whose defaults are the paper's values, and passes
    the constructor's arguments on as ``config``: from its class name and ``config`` a saved model is built again. Every
    model draws codes and decodes them. One that infers codes, too, has ``encode(images)``, which returns the mean and
    log-variance of the posterior, ``(B, D)`` each.

    Attributes:
        latent_dim: the dimension D of the code.
        config: the constructor's arguments; NumPy's numbers have become Python's, which a network can be built of.
        columns: the factors of the data that ``update`` takes beside the images, by name.
        frozen: the attributes of networks that are never trained: they stay in evaluation mode and without gradients.
        pictures: where each channel is a picture of its own, such as one of two phases of the heart, what each is
            called; empty where the channels are one picture, grey or RGB.
        capturable: whether ``update`` computes the same operations every time, none of which waits for a value on the
            CPU: on a GPU it is then recorded once and replayed, see :class:`medlatent.capture.Captured`.
        suites: what the model is judged by, modules of :mod:`medlatent.evaluation`.
        precision: ``torch.float32`` or ``torch.bfloat16``: what ``autocast`` casts convolutions and products to.
        memory_format: how training lays out images and weights: ``torch.channels_last``, which suits most networks, or
            ``torch.contiguous_format``.
        only_for_training: the attributes of networks that neither ``decode`` nor ``encode`` needs; a record leaves them
            out.
        left_out: those that the file it was loaded from did not have, which are None: it cannot be trained further.
    """

    columns: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()
    pictures: tuple[str, ...] = ()
    capturable: bool = False
    suites: tuple[str, ...] = ()
    memory_format: torch.memory_format = torch.channels_last
    only_for_training: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    registry: dict[str, type[LatentModel]] = {}  # noqa: RUF012

    latent_dim: int

    def __init__(self, config: dict) -> None:
        super().__init__()
        self.config = config
        self.precision = torch.float32

    def __init_subclass__(cls, shared: bool = False, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "encode" in vars(cls):
            cls.encode = _of_its_shape(vars(cls)["encode"])  # type: ignore[attr-defined]
        if "__init__" in vars(cls):
            checked = whole_options(channels=1, width=1)(vars(cls)["__init__"])
            cls.__init__ = real_options(**LEAST_RATE)(checked)  # type: ignore[method-assign]
        if not (shared or cls.__name__.startswith("_")):  # what several models share is none itself
            LatentModel.registry[cls.__name__] = cls

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images that it takes and makes.

        By default of the ``channels`` and the ``size`` of ``config``, the side of a square or height and width.

        Raises:
            NotImplementedError: ``config`` does not say; a subclass then defines the property itself.
        """
        if missing := [name for name in ("channels", "size") if name not in self.config]:
            raise NotImplementedError(
                f"{type(self).__name__}: config has no {missing[0]!r}; let the constructor pass it on, or define "
                "image_shape"
            )
        return self.config["channels"], *sides(self.config["size"])

    def check_images(self, shape: Sequence[int], what: str = "images") -> None:
        """Compares the shape of images, ``(C, H, W)``, with that which the model takes; ``encode`` does so each time.

        A network would refuse another one in terms of its layers, or take it and return something.

        Raises:
            ValueError: they differ; the message begins with ``what``.
        """
        try:
            built_for = tuple(self.image_shape)
        except NotImplementedError:
            return
        if tuple(shape) != built_for:
            name, their, own = type(self).__name__, *("×".join(map(str, sides)) for sides in (shape, built_for))
            raise ValueError(
                f"{what}: they are {their}, the {name} was built for {own}; pack or render them at that size"
            )

    def prepare(self, images: int, factors: Mapping[str, Factor] | None = None) -> None:
        """Told before training what the data are; a model that depends on it takes it from here.

        Args:
            images: how many there are.
            factors: of each of the model's ``columns`` what it means: its kind, values, unit, period. Empty where the
                data are plain tensors, which do not say.
        """

    # *args and Any: a subclass has the columns that it names for parameters, or none.
    def update(self, images: Tensor, *args: Any, **columns: Any) -> dict[str, Tensor]:
        """One iteration of the algorithm on a batch ``(B, C, H, W)`` in [0, 1].

        Args:
            images: the batch.
            **columns: of each of the model's ``columns`` the values of these images, ``(B, ...)``: float32, or int64
                for a categorical one.

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
        return code_parts(z=Normal(self.latent_dim))

    def sample_codes(self, n: int, generator: torch.Generator | None = None, **columns: Tensor) -> Tensor:
        """Codes ``(n, D)`` from the prior that ``code_layout`` describes, on the model's device.

        Args:
            n: how many.
            generator: of the random numbers, by default PyTorch's global one. The numbers are drawn on its device: one
                on the CPU gives the same codes to a model on any device.
            **columns: those that a part of the code depends on, n values each.

        Raises:
            ValueError: a column is missing, or has not n values.
        """
        device = self.device if generator is None else generator.device
        drawn = [
            part.prior.sample(
                n, generator, device, **{name: columns[name] for name in part.prior.columns if name in columns}
            )
            for part in self.code_layout
        ]
        return torch.cat([codes.to(self.device) for codes in drawn], 1)

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """The model's optimisers by the name of their attribute."""
        return {name: value for name, value in vars(self).items() if isinstance(value, torch.optim.Optimizer)}

    @staticmethod
    def step(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
        """One step of an optimiser down the gradient of a loss.

        The gradient is computed for the optimiser's own weights alone: a network that the loss passes through on the
        way to them, such as a discriminator in the generator's step, costs no gradients of its own and gets none.
        """
        weights = [weight for group in optimiser.param_groups for weight in group["params"] if weight.requires_grad]
        optimiser.zero_grad(set_to_none=True)
        loss.backward(inputs=weights)
        optimiser.step()

    def train(self, mode: bool = True) -> LatentModel:
        """Training or evaluation mode; frozen networks stay in the latter, and without gradients."""
        super().train(mode)
        for name in self.frozen:
            _freeze(getattr(self, name, None))
        return self

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "config":
            value = plain(value)
            if isinstance(size := value.get("size"), tuple | list):  # as a file gives it back
                value["size"] = size[0] if len(set(size)) == 1 else list(size)
        super().__setattr__(name, value)
        if name in self.frozen:
            _freeze(value)

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

    def check_networks(self, names: Sequence[str], what: str) -> None:
        """Compares names with those of the model's networks, those that are left out included.

        Raises:
            ValueError: one of them is none; the message begins with ``what``.
        """
        there = dict(self.named_children())
        if unknown := [name for name in names if name not in there and name not in self.left_out]:
            raise ValueError(f"{what}: {unknown[0]!r} is no network of {type(self).__name__}: {', '.join(there)}")

    def save(
        self, path: str | os.PathLike, dtype: torch.dtype | None = None, without: Sequence[str] | None = None
    ) -> Path:
        """Writes the weights as safetensors, with the class name and ``config`` in the header.

        Args:
            path: of the file.
            dtype: what the weights of two or more dimensions are rounded to in the file, such as ``torch.float16``,
                which halves it; by default nothing is rounded. Biases and running statistics stay as they are, and so
                do weights with values beyond the range of ``dtype``. :func:`load` gives a model in 32 bits in any case.
            without: the attributes of networks that the file leaves out; by default those that are missing already.

        Raises:
            ValueError: a weight is NaN or infinite, or ``without`` names no network of the model.
        """
        without = tuple(self.left_out if without is None else without)
        self.check_networks(without, "without")
        tensors = {name: t for name, t in self.state_dict().items() if name.split(".")[0] not in without}
        if wrong := [name for name, t in tensors.items() if not t.isfinite().all()]:
            raise ValueError(f"{path}: {wrong[0]} is NaN or infinite")
        if dtype is not None:
            rounded = {name: t.to(dtype) for name, t in tensors.items() if t.ndim > 1 and t.is_floating_point()}
            tensors |= {name: t for name, t in rounded.items() if t.isfinite().all()}
        return save_tensors(
            path, tensors, FORMAT, VERSION, model=type(self).__name__, config=self.config, without=without
        )


def _of_its_shape(encode: Callable[..., Any]) -> Callable[..., Any]:
    """A method ``encode`` that first looks whether images are of the model's shape."""

    @wraps(encode)
    def encode_checked(self: LatentModel, images: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.check_images(images.shape[1:])
        return encode(self, images, *args, **kwargs)

    return encode_checked


def _freeze(network: object) -> None:
    if isinstance(network, nn.Module):
        network.eval().requires_grad_(False)


@contextmanager
def measured(model: nn.Module) -> Iterator[None]:
    """A model as it is measured, drawn and traced: in evaluation mode and in 32 bits; afterwards as it was before.

    Args:
        model: any module. Each of its parts gets back its own mode, and each :class:`LatentModel` among them its
            precision.
    """
    modes = [(module, module.training) for module in model.modules()]
    precisions = [(part, part.precision) for part in model.modules() if isinstance(part, LatentModel)]
    model.eval()
    for part, _ in precisions:
        part.precision = torch.float32
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
        for part, precision in precisions:
            part.precision = precision


def load(path: str | os.PathLike, device: str | torch.device = "cpu") -> LatentModel:
    """Builds the model that ``LatentModel.save`` wrote, in evaluation mode; networks that were left out are None.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is no saved model, is damaged, comes from another version, or names an unknown model; the
            message names the file.
    """
    tensors, header = read_tensors(path, FORMAT, VERSION, {"model": str, "config": dict}, {"without": list})
    name, config = header["model"], header["config"]
    if name not in LatentModel.registry:
        raise ValueError(f"{path} holds a model {name!r}, which is none of {', '.join(LatentModel.registry)}")
    left_out = header.get("without", [])
    if not all(isinstance(network, str) for network in left_out):
        raise ValueError(f"{path}: the field 'without' must be a list of names, got {left_out!r}")
    try:
        model = LatentModel.registry[name](**config)
        model.check_networks(left_out, "without")
        for network in left_out:
            setattr(model, network, None)
        model.left_out = tuple(left_out)
        model.load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{path}: the weights do not fit {name}({config}): {error}") from None
    return model.to(device).eval()
