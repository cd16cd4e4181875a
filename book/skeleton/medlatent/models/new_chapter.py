"""A conditional variational autoencoder (Sohn et al. 2015): images drawn from noise and from what is known of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..losses import beta_vae_objective, kl_to_standard_normal, reparametrise, squared_error
from ..nets import ConvDecoder, ConvEncoder
from ..nets.sides import Size
from .base import LatentModel
from .priors import Categorical, CodePart, Normal, Uniform, code_parts

if TYPE_CHECKING:
    from ..data import Factor


class NewChapter(LatentModel):
    """A VAE whose encoder and decoder are both told two columns of an image.

    The code is ``z``, then the condition c: the skin colour, and the diagnosis one-hot. Only ``z`` is inferred; the
    condition is given, so that what it says need not be in ``z``.

    Args:
        z_dim: the dimension of ``z``.
        classes: of the column ``dx``.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 16.
        variance: of the Gaussian likelihood, for each pixel and channel.
        learning_rate: of Adam.

    Raises:
        ValueError: an argument is out of its range.
    """

    columns = ("skin_colour", "dx")
    suites = ("new_chapter",)

    def __init__(
        self,
        z_dim: int = 8,
        classes: int = 7,
        channels: int = 3,
        size: Size = 64,
        variance: float = 0.1,
        learning_rate: float = 1e-3,
    ) -> None:
        config = {
            "z_dim": z_dim,
            "classes": classes,
            "channels": channels,
            "size": size,
            "variance": variance,
            "learning_rate": learning_rate,
        }
        super().__init__(config)
        for name, least in (("z_dim", 1), ("classes", 2)):
            if config[name] < least:
                raise ValueError(f"{name} must be at least {least}, got {config[name]}")
        if not variance > 0:
            raise ValueError(f"variance must be positive, got {variance}")
        condition = 1 + classes
        self.latent_dim = z_dim + condition
        self.encoder = ConvEncoder(channels + condition, size, outputs=2 * z_dim)
        self.decoder = ConvDecoder(self.latent_dim, channels, size)
        self.optimiser = torch.optim.Adam(self.parameters(), lr=learning_rate, fused=True)

    def prepare(self, images: int, factors: Mapping[str, Factor] | None = None) -> None:
        """Compares the diagnoses of the data with ``classes``.

        Raises:
            ValueError: there are more or fewer.
        """
        if factors and (found := len(factors["dx"].values)) != self.config["classes"]:
            raise ValueError(f"classes is {self.config['classes']}, but the column 'dx' has {found} values")

    @property
    def code_layout(self) -> tuple[CodePart, ...]:
        """``z``, standard normal; ``skin_colour``, uniform; ``dx``, every class as often as any other."""
        config = self.config
        return code_parts(z=Normal(config["z_dim"]), skin_colour=Uniform(1), dx=Categorical(config["classes"]))

    def condition(self, skin_colour: Tensor, dx: Tensor) -> Tensor:
        """The part c of a code, ``(B, 1 + classes)``.

        Args:
            skin_colour: ``(B,)``, from 0 to 1.
            dx: ``(B,)``, the index of the class.
        """
        return torch.cat([skin_colour[:, None].float(), F.one_hot(dx, self.config["classes"]).float()], 1)

    def infer(self, images: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, ``(B, z_dim)`` each, of q(z|x, c).

        Args:
            images: ``(B, C, H, W)`` in [0, 1].
            condition: c, ``(B, 1 + classes)``; each of its numbers becomes a constant channel beside the image.
        """
        maps = condition[:, :, None, None].expand(-1, -1, *images.shape[2:])
        with self.autocast():
            mean, logvar = self.encoder(torch.cat([images, maps], 1)).chunk(2, 1)
        return mean.float(), logvar.float()

    def decode(self, z: Tensor) -> Tensor:
        """The images ``(B, C, H, W)`` in [0, 1] of whole codes ``(B, D)``: z and c."""
        with self.autocast():
            logits = self.decoder(z)
        return torch.sigmoid(logits.float())

    def objective(self, images: Tensor, condition: Tensor) -> dict[str, Tensor]:
        """The negative conditional ELBO, with one sample of z an image.

        Implements :eq:`eq-new-chapter-1`, without the constant of the Gaussian.

        Args:
            images: ``(B, C, H, W)`` in [0, 1].
            condition: c, ``(B, 1 + classes)``.

        Returns:
            ``loss``, ``reconstruction`` and ``kl``: means over the batch of sums over pixels and over dimensions, in
            nats.
        """
        mean, logvar = self.infer(images, condition)
        drawn = self.decode(torch.cat([reparametrise(mean, logvar), condition], 1))
        reconstruction = squared_error(drawn, images) / (2 * self.config["variance"])
        kl = kl_to_standard_normal(mean, logvar)
        return {
            "loss": beta_vae_objective(reconstruction, kl),
            "reconstruction": reconstruction.mean(),
            "kl": kl.sum(1).mean(),
        }

    def update(self, images: Tensor, skin_colour: Tensor, dx: Tensor) -> dict[str, Tensor]:
        """One step of Adam on a batch ``(B, C, H, W)`` in [0, 1] and its two columns, ``(B,)`` each.

        Returns:
            The terms of ``objective``.
        """
        terms = self.objective(images, self.condition(skin_colour, dx))
        self.step(self.optimiser, terms["loss"])
        return {name: term.detach() for name, term in terms.items()}
