"""Generative adversarial networks (Goodfellow et al. 2014): a generator, a discriminator, and no encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..losses import (
    deception_loss,
    discriminator_loss,
    least_squares_deception_loss,
    least_squares_discriminator_loss,
    saturating_deception_loss,
)
from ..nets import DCGANDiscriminator, DCGANGenerator, Discriminator
from .base import LatentModel

DECEPTION = {  # the generator's loss
    "non_saturating": deception_loss,
    "minimax": saturating_deception_loss,
    "least_squares": least_squares_deception_loss,
}
BETAS = (0.5, 0.999)  # of Adam, as Radford et al. (2016) and Chen et al. (2016) have them


class GAN(LatentModel):
    """A generative adversarial network on the convolutional networks of Radford et al. (2016).

    One update draws codes and generates images from them once. The discriminator takes a step on the real batch and on
    the generated one, whose graph it does not see; then the generator takes one on the same images, judged by the
    discriminator after its step. In training, batch normalisation uses each batch's own statistics: the discriminator
    meets real and generated images in separate passes and never mixes the two. An update thus moves the generator's
    running statistics once, the discriminator's three times. :meth:`decode` uses the running ones in evaluation mode.

    It draws images and infers no code: there is no ``encode``.

    Args:
        latent_dim: the dimension D of the code, standard normal.
        channels: image channels.
        size: the side of the image in pixels: 28, 32, 64, 128, or another that halving leads to 4, 5, 6 or 7.
        width: of the networks, see :class:`medlatent.nets.DCGANGenerator`.
        loss: ``"non_saturating"``; ``"minimax"``, whose generator minimises log(1 - D(x̂)) as the game is written down;
            or ``"least_squares"`` with the targets 0 and 1.
        smoothing: one-sided label smoothing: the target of real images is 1 - ``smoothing``. Of two numbers, low and
            high, it is drawn uniformly between them for each image: (0, 0.1) draws targets in [0.9, 1].
        noise: the standard deviation of Gaussian noise added to all images that the discriminator sees, drawn anew each
            time, intensities in [0, 1].
        noise_steps: in how many updates the noise falls linearly to 0, where it stays.
        generator_rate: of the generator's Adam.
        discriminator_rate: of the discriminator's Adam.

    Raises:
        ValueError: an argument is out of its range.
    """

    only_for_training: tuple[str, ...] = ("discriminator",)
    capturable = True
    suites: tuple[str, ...] = ("generated",)
    weights: dict[str, float] = {}  # noqa: RUF012  # of the terms that a subclass adds
    updates: Tensor  # how many there were

    def __init__(
        self,
        latent_dim: int = 64,
        channels: int = 3,
        size: int = 64,
        width: int = 32,
        loss: str = "non_saturating",
        smoothing: float | Sequence[float] = 0.0,
        noise: float = 0.0,
        noise_steps: int = 0,
        generator_rate: float = 2e-4,
        discriminator_rate: float = 2e-4,
    ) -> None:
        config = {
            "latent_dim": latent_dim,
            "channels": channels,
            "size": size,
            "width": width,
            "loss": loss,
            "smoothing": smoothing,
            "noise": noise,
            "noise_steps": noise_steps,
            "generator_rate": generator_rate,
            "discriminator_rate": discriminator_rate,
        }
        super().__init__(config)
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
        if loss not in DECEPTION:
            raise ValueError(f"loss {loss!r} is unknown: use one of {', '.join(DECEPTION)}")
        ends = tuple(smoothing) if isinstance(smoothing, Sequence) else (smoothing, smoothing)
        if len(ends) != 2 or not 0 <= ends[0] <= ends[1] < 1:
            raise ValueError(f"smoothing must be in [0, 1), or two such numbers that do not fall, got {smoothing}")
        self.smoothing = ends
        if not noise >= 0:
            raise ValueError(f"noise must not be negative, got {noise}")
        if noise and noise_steps < 1:
            raise ValueError(f"noise_steps: in how many updates the noise falls to 0, at least 1, got {noise_steps}")
        self.latent_dim = self.config["latent_dim"]
        sizes = (self.config[name] for name in ("latent_dim", "channels", "size", "width"))
        self.generator, self.discriminator = self.networks(*sizes)
        self.register_buffer("updates", torch.zeros((), dtype=torch.long))  # a checkpoint goes on with the same noise
        self.generator_optimiser, self.discriminator_optimiser = (
            torch.optim.Adam(network.parameters(), lr=rate, betas=BETAS, fused=True)
            for network, rate in ((self.generator, generator_rate), (self.discriminator, discriminator_rate))
        )

    def networks(self, latent_dim: int, channels: int, size: int, width: int) -> tuple[nn.Module, Discriminator]:
        """The generator, to logits, and the discriminator; a subclass may take others."""
        return DCGANGenerator(latent_dim, channels, size, width), DCGANDiscriminator(channels, size, width)

    def decode(self, z: Tensor) -> Tensor:
        """The images ``(B, C, H, W)`` in [0, 1] of codes ``(B, D)``."""
        with self.autocast():
            logits = self.generator(z)
        return torch.sigmoid(logits.float())

    def features(self, images: Tensor) -> Tensor:
        """The discriminator's features ``(B, F)`` of images ``(B, C, H, W)`` in [0, 1], as they are."""
        with self.autocast():
            return self.discriminator.trunk(images)

    def discriminate(self, features: Tensor) -> Tensor:
        """What the discriminator says of images with these features, ``(B,)``: D(x), or its logit."""
        with self.autocast():
            logits = self.discriminator.head(features)
        return logits.float().squeeze(1)

    def add_noise(self, images: Tensor) -> Tensor:
        """The images with this update's instance noise. Implements :eq:`eq-gan-8`."""
        if not self.config["noise"]:
            return images
        left = (1 - self.updates / self.config["noise_steps"]).clamp(min=0)
        deviation = self.config["noise"] * left
        return images + deviation * torch.randn_like(images)

    def discrimination(self, real: Tensor, fake: Tensor) -> Tensor:
        """The discriminator's loss of each pair of outputs, ``(B,)``."""
        low, high = self.smoothing
        smoothing = low if low == high else low + (high - low) * torch.rand_like(real)
        if self.config["loss"] == "least_squares":
            return least_squares_discriminator_loss(real, fake, b=1 - smoothing)
        return discriminator_loss(real, fake, smoothing)

    def discriminator_terms(self, features: Tensor, code: Tensor) -> dict[str, Tensor]:
        """What is minimised in the discriminator's step beside its loss, by name; weighed by ``weights``."""
        return {}

    def generator_terms(self, images: Tensor, features: Tensor, code: Tensor) -> dict[str, Tensor]:
        """What is minimised in the generator's step beside its loss, by name; weighed by ``weights``."""
        return {}

    def _weighed(self, terms: dict[str, Tensor]) -> Tensor | float:
        return sum(self.weights[name] * term for name, term in terms.items())

    def update(self, images: Tensor) -> dict[str, Tensor]:
        """One step of the discriminator, then one of the generator, for a batch ``(B, C, H, W)`` in [0, 1].

        Returns:
            ``loss``, what the generator's step minimises; ``adversarial``, the part of it that the discriminator gives;
            ``discriminator``, the discriminator's loss before its step; and the terms of a subclass, unweighted, as the
            generator's step found them: means over the batch.
        """
        code = self.sample_codes(len(images))
        fake = self.decode(code)

        real = self.discriminate(self.features(self.add_noise(images)))
        features = self.features(self.add_noise(fake.detach()))
        discriminator = self.discrimination(real, self.discriminate(features)).mean()
        total = discriminator + self._weighed(self.discriminator_terms(features, code))
        self.step(self.discriminator_optimiser, total)

        features = self.features(self.add_noise(fake))
        adversarial = DECEPTION[self.config["loss"]](self.discriminate(features)).mean()
        terms = self.generator_terms(fake, features, code)
        loss = adversarial + self._weighed(terms)
        self.step(self.generator_optimiser, loss)

        self.updates += 1
        named = {"loss": loss, "adversarial": adversarial, "discriminator": discriminator, **terms}
        return {name: term.detach() for name, term in named.items()}
