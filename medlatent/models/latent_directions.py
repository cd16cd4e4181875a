"""The models of Schön et al. (2022): a residual VAE, and directions of a latent space that are found without labels.

Their GAN is :class:`~medlatent.models.GAN` at 128×128 pixels with a code of 32 dimensions, ``width=128``, one-sided
label smoothing between 0 and 0.1, and instance noise that ends at the middle of the training.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..losses import (
    direction_loss,
    directions_objective,
    kl_to_standard_normal,
    log_mse,
    log_mse_objective,
    reparametrise,
    shift_loss,
)
from ..nets import FixedDirections, OrthonormalDirections, ResidualVAEDecoder, ResidualVAEEncoder, UnitDirections
from ..nets.directions import RECONSTRUCTORS
from ..nets.sides import Size, sides
from .base import LatentModel
from .known_directions import first_activations, first_layer, principal_directions, random_directions, sefa_directions
from .priors import Normal

CODES = 5000  # of which principal directions are computed


class ResidualVAE(LatentModel):
    """The variational autoencoder of Schön et al. (2022): residual networks, log MSE + 0.01 KL.

    Implements :eq:`eq-latent-directions-2` as computed, see :func:`medlatent.losses.log_mse_objective`. The weight of
    the KL is that of their text.

    Args:
        latent_dim: the dimension D of the code.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: of the networks, a multiple of 4, see :class:`medlatent.nets.ResidualVAEEncoder`.
        beta: the weight of the KL.
        learning_rate: of Adam.

    Raises:
        ValueError: an argument is out of its range.
    """

    capturable = True
    suites: tuple[str, ...] = ("reconstruction", "posterior", "factors", "generated")

    def __init__(
        self,
        latent_dim: int = 32,
        channels: int = 1,
        size: Size = 128,
        width: int = 64,
        beta: float = 0.01,
        learning_rate: float = 1e-4,
    ) -> None:
        config = {
            "latent_dim": latent_dim,
            "channels": channels,
            "size": size,
            "width": width,
            "beta": beta,
            "learning_rate": learning_rate,
        }
        super().__init__(config)
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
        if not beta >= 0:
            raise ValueError(f"beta must not be negative, got {beta}")
        self.latent_dim = self.config["latent_dim"]
        self.encoder = ResidualVAEEncoder(channels, size, 2 * latent_dim, width)
        self.decoder = ResidualVAEDecoder(latent_dim, channels, size, width)
        self.optimiser = torch.optim.Adam(self.parameters(), lr=learning_rate, fused=True)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, ``(B, D)`` each, of q(z|x) for images ``(B, C, H, W)`` in [0, 1]."""
        with self.autocast():
            mean, logvar = self.encoder(images).chunk(2, dim=1)
        return mean.float(), logvar.float()

    def decode(self, z: Tensor) -> Tensor:
        """The mean image ``(B, C, H, W)`` in [0, 1] of p(x|z) for codes ``(B, D)``."""
        with self.autocast():
            logits = self.decoder(z)
        return torch.sigmoid(logits.float())

    def update(self, images: Tensor) -> dict[str, Tensor]:
        """One step of Adam on a batch ``(B, C, H, W)`` in [0, 1].

        Returns:
            ``loss``; ``reconstruction``, the logarithm of the mean squared error; and ``kl``, summed over dimensions,
            the mean over the batch.
        """
        mean, logvar = self.encode(images)
        z = reparametrise(mean, logvar)
        reconstruction = log_mse(self.decode(z), images)
        kl = kl_to_standard_normal(mean, logvar)
        loss = log_mse_objective(reconstruction, kl, self.config["beta"])

        self.step(self.optimiser, loss)
        return {
            "loss": loss.detach(),
            "reconstruction": reconstruction.detach(),
            "kl": kl.detach().sum(1).mean(),
        }


LEARNT = {"unit": UnitDirections, "orthonormal": OrthonormalDirections}
KNOWN = ("random", "principal", "sefa")


class LatentDirections(LatentModel):
    """Directions of the latent space of a frozen generator that can be told apart in its images.

    Implements :eq:`eq-latent-directions-3`, the method of Voynov and Babenko (2020): min over A and R of the
    expectation of L_cl(k, k̂) + γ L_s(α, α̂). For a code z ~ N(0, I), a direction k and a shift α, the reconstructor R
    sees the pair G(z) and G(z + A(α e_k)), and says k̂ and α̂. The columns of A, one direction each, and R learn
    together; G does not.

    It works on any generator that makes images of standard normal codes:

    .. code-block:: python

        from medlatent.models import LatentDirections, draw_images
        from medlatent.training import train

        model = LatentDirections(generator, latent_dim=128, K=100)  # codes (B, 128) to images (B, C, H, W) in [0, 1]
        train(model, draw_images(model, 128)[1], steps=25_000, batch_size=128)
        model.directions  # (128, 100)

    Of the images that it is trained with, only the number in a batch counts: the pairs are drawn anew each time.

    Args:
        generator: G: a model of this package, of which a copy is kept; or a module or function of your own, which is
            kept as it is. A module is put into evaluation mode, and its weights stop asking for gradients; a function
            must see to that itself, and takes codes on the device that is trained on. ``{"model": …, "config": …}``, as
            ``config`` has it, builds an untrained one, whose weights a file brings.
        K: how many directions; orthonormal and known ones can be d at most.
        directions: ``"unit"``, learnt, of unit length; ``"orthonormal"``, learnt, a rotation's first K columns. Not
            learnt, so that R alone is trained: ``"random"``; ``"principal"`` and ``"sefa"``, of the generator's first
            layers, see :func:`medlatent.models.principal_directions`; or a matrix ``(d, K)`` of your own, which counts
            as ``"fixed"`` from then on.
        reconstructor: ``"lenet"``, ``"resnet18"``, or a name that you gave a network in
            ``medlatent.nets.directions.RECONSTRUCTORS``.
        width: of the reconstructor; None is its own, the paper's.
        gamma: γ, the weight of the shift.
        max_shift: the largest size of a shift α, which is drawn uniformly from [-max_shift, max_shift].
        min_shift: the least size: smaller shifts are raised to it, keeping their sign.
        learning_rate: of Adam, for A and R.
        latent_dim: d, of a generator of your own; a model knows it.
        channels, size: of the images, the height and width where they differ; by default the generator is asked.
        generator_record: ``slug/name`` of the record that the generator is from, for whoever reads the record of this
            one; a plan gives it in the generator's place.

    Raises:
        ValueError: an argument is out of its range, the generator's codes are not standard normal, or it does not make
            images ``(B, C, H, W)`` of codes ``(B, d)``.
    """

    frozen = ("generator",)
    suites: tuple[str, ...] = ("directions",)

    def __init__(
        self,
        generator: LatentModel | nn.Module | Callable[[Tensor], Tensor] | Mapping | None = None,
        K: int = 100,
        directions: str | Tensor = "unit",
        reconstructor: str = "lenet",
        width: int | None = None,
        gamma: float = 0.25,
        max_shift: float = 6.0,
        min_shift: float = 0.5,
        learning_rate: float = 1e-4,
        latent_dim: int | None = None,
        channels: int | None = None,
        size: int | Sequence[int] | None = None,
        generator_record: str = "",
    ) -> None:
        given, directions = directions, directions if isinstance(directions, str) else "fixed"
        config = {
            "generator": None,
            "K": K,
            "directions": directions,
            "reconstructor": reconstructor,
            "width": width,
            "gamma": gamma,
            "max_shift": max_shift,
            "min_shift": min_shift,
            "learning_rate": learning_rate,
            "generator_record": generator_record,
        }
        super().__init__(config)
        if directions not in (*LEARNT, *KNOWN, "fixed"):
            raise ValueError(f"directions {directions!r} is unknown: use {', '.join((*LEARNT, *KNOWN))} or a matrix")
        if reconstructor not in tuple(RECONSTRUCTORS):
            raise ValueError(f"reconstructor {reconstructor!r} is unknown: use one of {', '.join(RECONSTRUCTORS)}")
        if not gamma >= 0:
            raise ValueError(f"gamma must not be negative, got {gamma}")
        if not 0 <= min_shift <= max_shift or not 0 < max_shift < float("inf"):
            raise ValueError(f"expected 0 ≤ min_shift ≤ max_shift and max_shift > 0, got {min_shift} and {max_shift}")
        self._take(generator, latent_dim, channels, size)
        # What a file brings need not be computed: it stands in for any matrix that is not learnt.
        from_file = generator is None or isinstance(generator, Mapping)
        self.matrix = self._directions("random" if from_file and directions not in LEARNT else given, K)
        self.config["K"] = K = self.matrix().shape[1]
        options = {} if width is None else {"width": width}
        self.reconstructor = RECONSTRUCTORS[reconstructor](K, self.image_shape[0], min(self.image_shape[1:]), **options)
        learnt = [*self.matrix.parameters(), *self.reconstructor.parameters()]
        self.optimiser = torch.optim.Adam(learnt, lr=learning_rate, fused=True)
        self.capturable = directions != "orthonormal"  # its exponential waits for a norm on the CPU

    def _take(self, generator: Any, latent_dim: int | None, channels: int | None, size: Any) -> None:
        """The generator, and what is to be known of it."""
        stated = None if channels is None or size is None else _shape(channels, size)
        if isinstance(generator, Mapping):
            generator = _built(generator)
        if isinstance(generator, LatentModel):
            generator = _copied(generator)
            self.config["generator"] = {"model": type(generator).__name__, "config": generator.config}
            latent_dim, shape = generator.latent_dim, generator.image_shape
        elif latent_dim is None or latent_dim < 1:
            raise ValueError(f"latent_dim: a generator of your own needs the dimension of its codes, got {latent_dim}")
        elif generator is None:
            if stated is None:
                raise ValueError(
                    "generator: there is none; pass a model, a module or a function, such as "
                    "find_record(slug, name).load_model()"
                )
            self.left_out, shape = ("generator",), stated  # from a file that does not have it
        else:
            if not callable(generator):
                raise ValueError(f"generator: expected a model, a module or a function, got {type(generator).__name__}")
            generator = _Own(generator)
            shape = _image_shape(generator, latent_dim)
        if stated is not None and stated != shape:
            raise ValueError(f"channels, size: the generator makes images {shape}, not {stated}")
        self.latent_dim, self.generator = latent_dim, generator
        self.config |= {"latent_dim": latent_dim, "channels": shape[0]}
        self.config["size"] = shape[1] if shape[1] == shape[2] else list(shape[1:])

    def _directions(self, given: str | Tensor, K: int) -> nn.Module:
        if isinstance(given, str) and given in LEARNT:
            return LEARNT[given](self.latent_dim, K)
        if not isinstance(given, str):
            matrix = torch.as_tensor(given)
            if matrix.ndim == 2 and len(matrix) != self.latent_dim:
                raise ValueError(f"directions: {len(matrix)} rows, the code has {self.latent_dim} dimensions")
            return FixedDirections(matrix)
        if given in ("random", "fixed"):
            return FixedDirections(random_directions(self.latent_dim, K))
        if given == "sefa":
            return FixedDirections(sefa_directions(first_layer(self.generator, self.latent_dim), K))
        codes = torch.randn(CODES, self.latent_dim, generator=torch.Generator().manual_seed(0))
        return FixedDirections(principal_directions(first_activations(self.generator, codes), codes, K))

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the generator's images."""
        return _shape(self.config["channels"], self.config["size"])

    @property
    def directions(self) -> Tensor:
        """A, ``(d, K)``, detached: one direction a column, as it is applied."""
        with torch.no_grad():
            return self.matrix().clone()

    def attach_generator(self, generator: nn.Module | Callable[[Tensor], Tensor]) -> None:
        """Gives a model back the generator of your own that its file does not have.

        Raises:
            ValueError: it makes other images than the one before.
        """
        generator = _Own(generator)
        if (shape := _image_shape(generator, self.latent_dim)) != self.image_shape:
            raise ValueError(f"generator: it makes images {shape}, the one before made {self.image_shape}")
        self.generator = generator
        self.left_out = tuple(name for name in self.left_out if name != "generator")

    def decode(self, z: Tensor) -> Tensor:
        """The generator's images ``(B, C, H, W)`` in [0, 1] of codes ``(B, d)``, G(z).

        Raises:
            ValueError: it was loaded from a file without its generator.
        """
        if self.generator is None:
            raise ValueError(
                "generator: the file of these directions does not hold it, since it is none of this package; give it "
                "back with attach_generator(yours)"
            )
        with self.autocast():
            images = self.generator.decode(z) if isinstance(self.generator, LatentModel) else self.generator(z)
        return images.float()

    def shift(self, z: Tensor, k: Tensor | int, alpha: Tensor | float) -> Tensor:
        """z + A(α e_k), ``(B, d)``: codes ``(B, d)`` shifted by α along direction k, a number or one for each code."""
        columns = self.matrix().T[k]  # A e_k
        return z + torch.as_tensor(alpha, device=z.device, dtype=z.dtype).unsqueeze(-1) * columns

    def reconstruct(self, images: Tensor, shifted: Tensor) -> tuple[Tensor, Tensor]:
        """What R says of pairs of images ``(B, C, H, W)``: the logits ``(B, K)`` of k, and α̂, ``(B,)``."""
        with self.autocast():
            logits, predicted = self.reconstructor(images, shifted)
        return logits.float(), predicted.float()

    def sample_shifts(self, n: int) -> tuple[Tensor, Tensor]:
        """Directions k, ``(n,)`` int64, and shifts α, ``(n,)``, by the law that A and R are trained with."""
        k = torch.randint(self.config["K"], (n,), device=self.device)
        low, high = self.config["min_shift"], self.config["max_shift"]
        alpha = high * (2 * torch.rand(n, device=self.device) - 1)
        return k, torch.where(alpha < 0, alpha.clamp(max=-low), alpha.clamp(min=low))

    def update(self, images: Tensor) -> dict[str, Tensor]:
        """One step of Adam for A and R on as many fresh pairs as the batch has images.

        Returns:
            ``loss``; ``classification``, L_cl; ``shift``, L_s without its weight; and ``accuracy``, the share of
            directions that were recognised: means over the pairs.
        """
        z = self.sample_codes(len(images))
        k, alpha = self.sample_shifts(len(images))
        with torch.no_grad():  # it depends on nothing that is learnt: no graph, no backward pass
            original = self.decode(z)
        shifted = self.decode(self.shift(z, k, alpha))
        logits, predicted = self.reconstruct(original, shifted)
        classification, shift = direction_loss(logits, k), shift_loss(predicted, alpha)
        loss = directions_objective(classification, shift, self.config["gamma"])

        self.step(self.optimiser, loss)
        return {
            "loss": loss.detach(),
            "classification": classification.detach().mean(),
            "shift": shift.detach().mean(),
            "accuracy": (logits.detach().argmax(1) == k).float().mean(),
        }

    def save(
        self, path: str | os.PathLike, dtype: torch.dtype | None = None, without: Sequence[str] | None = None
    ) -> Path:
        """As :meth:`LatentModel.save`; a generator of your own is left out, since no file could build it again."""
        without = tuple(self.left_out if without is None else without)
        if isinstance(self.generator, _Own) and "generator" not in without:
            without = (*without, "generator")
        return super().save(path, dtype, without)


class _Own(nn.Module):
    """A generator that is none of this package."""

    def __init__(self, generator: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor) -> Tensor:
        return self.generator(z)


def _built(described: Mapping) -> LatentModel:
    name, config = described.get("model"), described.get("config")
    if name not in tuple(LatentModel.registry) or not isinstance(config, Mapping):
        known = ", ".join(LatentModel.registry)
        raise ValueError(f"generator: expected the model, one of {known}, and its config, got {dict(described)}")
    return LatentModel.registry[name](**config)


def _copied(generator: LatentModel) -> LatentModel:
    """A copy that draws images and cannot be trained."""
    if strange := [part.name for part in generator.code_layout if not isinstance(part.prior, Normal)]:
        raise ValueError(
            f"generator: the part {strange[0]!r} of its code is not standard normal, and what lies behind a shift by "
            "several units is no code of it"
        )
    generator = copy.deepcopy(generator)
    for name in generator.optimisers():
        delattr(generator, name)
    for name in generator.only_for_training:
        setattr(generator, name, None)
    generator.left_out = generator.only_for_training
    return generator


def _image_shape(generator: nn.Module, latent_dim: int) -> tuple[int, int, int]:
    generator.eval().requires_grad_(False)
    weights = next(generator.parameters(), None)
    try:
        with torch.no_grad():
            images = generator(torch.zeros(2, latent_dim, device=None if weights is None else weights.device))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"generator: it does not take codes (2, {latent_dim}): {error}") from error
    if not isinstance(images, Tensor) or images.ndim != 4 or len(images) != 2:
        found = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"generator: of codes (2, {latent_dim}) it must make images (2, C, H, W), got {found}")
    channels, height, width = images.shape[1:]
    return channels, height, width


def _shape(channels: int, size: Any) -> tuple[int, int, int]:
    return channels, *sides(size)
