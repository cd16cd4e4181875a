"""The systems of Sarhan et al. (2019): a beta-TCVAE of residual blocks, without and with a discriminator."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ..losses import deception_loss, discriminator_loss
from ..nets import ResidualDecoder, ResidualEncoder
from ..nets.sides import Size
from .tc_vae import BetaTCVAE

SLOPE = 0.2  # of LeakyReLU


class ResidualTCVAE(BetaTCVAE):
    """*Ours-resnet* of Sarhan et al. (2019): the beta-TCVAE with bottleneck residual blocks for convolutions.

    The loss is that of :class:`BetaTCVAE`, the paper's equation 2; at ``variance=0.5`` its reconstruction term is the
    squared pixel-wise l2 distance, summed over channels and pixels.

    Args:
        **options: those of :class:`BetaTCVAE`.

    Raises:
        ValueError: an argument is out of its range.
    """

    slope = 0.0

    def networks(self, latent_dim: int, channels: int, size: Size) -> tuple[nn.Module, nn.Module]:
        """The residual encoder, to 2 ``latent_dim`` outputs, and the residual decoder."""
        return (
            ResidualEncoder(channels, size, outputs=2 * latent_dim, slope=self.slope),
            ResidualDecoder(latent_dim, channels, size, slope=self.slope),
        )


class AdversarialVAE(ResidualTCVAE):
    """*Ours-adv* of Sarhan et al. (2019): a discriminator judges the reconstructions of the residual beta-TCVAE.

    Implements :eq:`eq-adversarial-vae-3`, the paper's equation 3. The discriminator is the encoder with one output;
    LeakyReLU everywhere. One update is a step of encoder and decoder on L_gen, then one of the discriminator on L_disc
    with the same reconstructions.

    Args:
        adversarial_weight: of the term -log D(x̂) in L_gen; 1 in the paper. What it means depends on the scale of the
            reconstruction term, see ``variance``.
        **options: those of :class:`BetaTCVAE`.

    Raises:
        ValueError: an argument is out of its range.
    """

    slope = SLOPE

    def __init__(self, adversarial_weight: float = 1.0, **options: Any) -> None:
        if not adversarial_weight >= 0:
            raise ValueError(f"adversarial_weight must not be negative, got {adversarial_weight}")
        super().__init__(**options)
        self.adversarial_weight = adversarial_weight
        self.config = {"adversarial_weight": adversarial_weight, **self.config}
        channels, size = self.config["channels"], self.config["size"]
        self.discriminator = ResidualEncoder(channels, size, outputs=1, slope=self.slope)
        self.discriminator_optimiser = torch.optim.Adam(
            self.discriminator.parameters(), lr=self.config["learning_rate"], fused=True
        )

    def discriminate(self, images: Tensor) -> Tensor:
        """The logit of D(x), ``(B,)``, that images ``(B, C, H, W)`` in [0, 1] are real."""
        with self.autocast():
            logits = self.discriminator(images)
        return logits.float().squeeze(1)

    def update(self, images: Tensor) -> dict[str, Tensor]:
        """One step of Adam on L_gen and one on L_disc, for a batch ``(B, C, H, W)`` in [0, 1].

        Returns:
            The terms of :meth:`BetaTCVAE.update`, where ``loss`` is L_gen, and ``adversarial``, the unweighted
            -log D(x̂), and ``discriminator``, L_disc: means over the batch.

        Raises:
            ValueError: ``dataset_size`` is unknown or smaller than the batch.
        """
        terms, logits = self.terms(images)
        reconstruction = torch.sigmoid(logits)
        terms["adversarial"] = deception_loss(self.discriminate(reconstruction)).mean()
        terms["loss"] = terms["loss"] + self.adversarial_weight * terms["adversarial"]
        self.step(self.optimiser, terms["loss"])

        real, fake = self.discriminate(images), self.discriminate(reconstruction.detach())
        terms["discriminator"] = discriminator_loss(real, fake).mean()
        self.step(self.discriminator_optimiser, terms["discriminator"])
        return {name: term.detach() for name, term in terms.items()}
