"""Generative adversarial networks (Goodfellow et al. 2014): a generator, a discriminator, and no encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..losses import (
    deception_loss,
    discriminator_loss,
    gradient_penalty,
    least_squares_deception_loss,
    least_squares_discriminator_loss,
    saturating_deception_loss,
    wasserstein_critic_loss,
    wasserstein_deception_loss,
)
from ..nets import DCGANDiscriminator, DCGANGenerator, Discriminator
from ..nets.sides import Size
from ..options import is_real
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
        size: the side of a square image in pixels, or height and width; at least 8.
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
        size: Size = 64,
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
        if loss not in tuple(DECEPTION):
            raise ValueError(f"loss {loss!r} is unknown: use one of {', '.join(DECEPTION)}")
        ends = tuple(smoothing) if isinstance(smoothing, Sequence) else (smoothing, smoothing)
        if len(ends) != 2 or not all(map(is_real, ends)) or not 0 <= ends[0] <= ends[1] < 1:
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

    def networks(self, latent_dim: int, channels: int, size: Size, width: int) -> tuple[nn.Module, Discriminator]:
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


class SpectralGAN(GAN):
    """A GAN whose discriminator is spectrally normalised (Miyato et al. 2018).

    Implements :eq:`eq-gan-11`. A linear layer cannot make a difference between two inputs larger. A convolution, whose
    kernel is normalised as a matrix on patches, can at most double it, since each pixel lies in four patches. So the
    discriminator's slope is bounded, and with it what the generator is told. It has no batch normalisation: it judges
    each image by itself.

    Args:
        **options: those of :class:`GAN`.
    """

    def networks(self, latent_dim: int, channels: int, size: Size, width: int) -> tuple[nn.Module, Discriminator]:
        """The generator, to logits, and the discriminator."""
        discriminator = DCGANDiscriminator(channels, size, width, normalisation="spectral")
        return DCGANGenerator(latent_dim, channels, size, width), discriminator


class WassersteinGAN(LatentModel):
    """A Wasserstein GAN with a gradient penalty, WGAN-GP (Gulrajani et al. 2017).

    The critic's loss is minus an estimate of the distance between real and generated images, which only a critic that
    is ahead of the generator knows. So it takes several steps before the generator takes one. A batch is dealt out to
    them: with 160 images and five steps each sees 32, and no image twice.

    Args:
        latent_dim: the dimension D of the code, standard normal.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: of the networks.
        penalty: λ, the weight of the gradient penalty.
        critic_steps: of the critic, before each of the generator.
        generator_rate: of the generator's Adam.
        critic_rate: of the critic's Adam.

    Raises:
        ValueError: an argument is out of its range.
    """

    only_for_training: tuple[str, ...] = ("critic",)
    suites: tuple[str, ...] = ("generated",)

    def __init__(
        self,
        latent_dim: int = 64,
        channels: int = 3,
        size: Size = 64,
        width: int = 32,
        penalty: float = 10.0,
        critic_steps: int = 5,
        generator_rate: float = 1e-4,
        critic_rate: float = 1e-4,
    ) -> None:
        super().__init__(
            {
                "latent_dim": latent_dim,
                "channels": channels,
                "size": size,
                "width": width,
                "penalty": penalty,
                "critic_steps": critic_steps,
                "generator_rate": generator_rate,
                "critic_rate": critic_rate,
            }
        )
        for name, value in (("latent_dim", latent_dim), ("critic_steps", critic_steps)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not penalty >= 0:
            raise ValueError(f"penalty must not be negative, got {penalty}")
        self.latent_dim = latent_dim
        self.generator = DCGANGenerator(latent_dim, channels, size, width)
        self.critic = DCGANDiscriminator(channels, size, width, normalisation="none")
        self.generator_optimiser, self.critic_optimiser = (
            torch.optim.Adam(network.parameters(), lr=rate, betas=(0.0, 0.9), fused=True)  # as they have them
            for network, rate in ((self.generator, generator_rate), (self.critic, critic_rate))
        )

    def decode(self, z: Tensor) -> Tensor:
        """The images ``(B, C, H, W)`` in [0, 1] of codes ``(B, D)``."""
        with self.autocast():
            logits = self.generator(z)
        return torch.sigmoid(logits.float())

    def criticise(self, images: Tensor) -> Tensor:
        """What the critic says of images ``(B, C, H, W)``, ``(B,)``: any numbers."""
        with self.autocast():
            outputs = self.critic(images)
        return outputs.float().squeeze(1)

    def update(self, images: Tensor) -> dict[str, Tensor]:
        """Steps of the critic on the parts of a batch ``(B, C, H, W)`` in [0, 1], then one of the generator.

        Returns:
            ``loss``, what the generator's step minimises; ``distance``, the critic's estimate of how far real and
            generated images lie apart, before its last step; and ``penalty``, unweighted: means over images.

        Raises:
            ValueError: there are fewer images than steps of the critic.
        """
        steps = self.config["critic_steps"]
        if len(images) < steps:
            raise ValueError(f"{len(images)} images cannot be dealt out to {steps} steps of the critic")
        for real in images.tensor_split(steps):
            with torch.no_grad():
                fake = self.decode(self.sample_codes(len(real)))
            distance = -wasserstein_critic_loss(self.criticise(real), self.criticise(fake)).mean()
            penalty = gradient_penalty(self.criticise, real, fake).mean()
            self.step(self.critic_optimiser, self.config["penalty"] * penalty - distance)

        fake = self.decode(self.sample_codes(len(real)))
        loss = wasserstein_deception_loss(self.criticise(fake)).mean()
        self.step(self.generator_optimiser, loss)
        return {"loss": loss.detach(), "distance": distance.detach(), "penalty": penalty.detach()}
