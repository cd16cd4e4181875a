"""The variational autoencoder (Kingma and Welling 2014; Rezende et al. 2014) and the beta-VAE (Higgins et al. 2017)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..losses import bernoulli_nll, beta_vae_objective, kl_to_standard_normal, reparametrise, squared_error
from ..nets import ConvDecoder, ConvEncoder
from ..nets.sides import Size
from .base import LatentModel

LIKELIHOODS = ("gaussian", "bernoulli")


class VAE(LatentModel):
    """A variational autoencoder on the convolutional network of Chen et al.

    The defaults are those of Sarhan et al. (2019). The loss is :eq:`eq-vae-9` with beta = 1.

    Args:
        latent_dim: the dimension D of the code.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 16.
        likelihood: ``"gaussian"``, whose reconstruction term is SSE / (2 · variance), the constant left out; or
            ``"bernoulli"``.
        variance: of the Gaussian likelihood, for each pixel and channel; at 0.5 the reconstruction term is the SSE.
        learning_rate: of Adam.

    Raises:
        ValueError: an argument is out of its range.
    """

    beta = 1.0
    capturable = True
    suites: tuple[str, ...] = ("reconstruction", "posterior", "factors", "classes", "lesions")

    def __init__(
        self,
        latent_dim: int = 32,
        channels: int = 3,
        size: Size = 64,
        likelihood: str = "gaussian",
        variance: float = 0.5,
        learning_rate: float = 1e-4,
    ) -> None:
        config = {
            "latent_dim": latent_dim,
            "channels": channels,
            "size": size,
            "likelihood": likelihood,
            "variance": variance,
            "learning_rate": learning_rate,
        }
        super().__init__(config)
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
        if likelihood not in LIKELIHOODS:
            raise ValueError(f"likelihood {likelihood!r} is unknown: use one of {', '.join(LIKELIHOODS)}")
        if not variance > 0:
            raise ValueError(f"variance must be positive, got {variance}")
        self.latent_dim = self.config["latent_dim"]
        self.encoder, self.decoder = self.networks(self.latent_dim, self.config["channels"], self.config["size"])
        self.optimiser = torch.optim.Adam(self.parameters(), lr=learning_rate, fused=True)

    def networks(self, latent_dim: int, channels: int, size: Size) -> tuple[nn.Module, nn.Module]:
        """The encoder, to 2 ``latent_dim`` outputs, and the decoder, to logits; a subclass may take others."""
        return ConvEncoder(channels, size, outputs=2 * latent_dim), ConvDecoder(latent_dim, channels, size)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, ``(B, D)`` each, of q(z|x) for images ``(B, C, H, W)`` in [0, 1]."""
        with self.autocast():
            mean, logvar = self.encoder(images).chunk(2, dim=1)
        return mean.float(), logvar.float()

    def logits(self, z: Tensor) -> Tensor:
        """What the decoder says before the sigmoid, ``(B, C, H, W)``, for codes ``(B, D)``."""
        with self.autocast():
            logits = self.decoder(z)
        return logits.float()

    def decode(self, z: Tensor) -> Tensor:
        """The mean image ``(B, C, H, W)`` in [0, 1] of p(x|z) for codes ``(B, D)``."""
        return torch.sigmoid(self.logits(z))

    def reconstruction_loss(self, logits: Tensor, images: Tensor) -> Tensor:
        """-log p(x|z) of each image, ``(B,)``; for the Gaussian without its constant."""
        if self.config["likelihood"] == "bernoulli":
            return bernoulli_nll(logits, images)
        return squared_error(torch.sigmoid(logits), images) / (2 * self.config["variance"])

    def update(self, images: Tensor) -> dict[str, Tensor]:
        """One step of Adam on a batch ``(B, C, H, W)`` in [0, 1].

        Returns:
            ``loss``, ``reconstruction`` and ``kl``: means over the batch of sums over pixels and over dimensions.
        """
        mean, logvar = self.encode(images)
        z = reparametrise(mean, logvar)
        reconstruction = self.reconstruction_loss(self.logits(z), images)
        kl = kl_to_standard_normal(mean, logvar)
        loss = beta_vae_objective(reconstruction, kl, self.beta)

        self.step(self.optimiser, loss)
        return {
            "loss": loss.detach(),
            "reconstruction": reconstruction.detach().mean(),
            "kl": kl.detach().sum(1).mean(),
        }


class BetaVAE(VAE):
    """A VAE whose KL is weighted by beta, :eq:`eq-vae-9`.

    Args:
        beta: the weight of the KL; what it means depends on the scale of the reconstruction term, see ``variance``.
        **options: those of :class:`VAE`.

    Raises:
        ValueError: ``beta`` is negative, or another argument is out of its range.
    """

    def __init__(self, beta: float = 6.0, **options: Any) -> None:
        if not beta >= 0:
            raise ValueError(f"beta must not be negative, got {beta}")
        super().__init__(**options)
        self.beta = beta
        self.config = {"beta": beta, **self.config}
