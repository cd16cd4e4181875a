"""The systems of Di Folco et al. (2024): a VAE and a soft-introspective VAE, without and with attribute regularisation.

An attribute is a number that is known of each training image, such as the volume of a ventricle in ml. Attribute k is
put on dimension k of the code: the dimension takes on the attribute's order over the images of a batch. Nothing but the
order enters, so that attributes come in their own units and need no mean and no deviation: whoever wants to read ml off
a code fits that line to the training set afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..losses import (
    JudgedImages,
    attri_vae_objective,
    attribute_loss,
    feature_error,
    introspective_penalty,
    kl_to_standard_normal,
    reparametrise,
    sivae_decoder_loss,
    sivae_encoder_loss,
    squared_error,
)
from ..nets import ConvDecoder, ConvEncoder, IntroVAEDecoder, IntroVAEEncoder, feature_maps
from ..nets.sides import Size, halvings_to, sides
from .base import LatentModel
from .vae import BetaVAE

if TYPE_CHECKING:
    from ..data import Factor

VOLUMES = ("LVEDV", "RVEDV", "MyoEDV", "LVESV", "RVESV", "MyoESV")  # in ml
PHASES = ("ED", "ES")
SUITES = ("reconstruction", "posterior", "factors", "attributes")


def _check_attributes(attributes: Sequence[str], latent_dim: int, gamma_reg: float, delta: float) -> tuple[str, ...]:
    several = isinstance(attributes, Iterable) and not isinstance(attributes, str)
    names: tuple = tuple(attributes) if several else (None,)
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError(f"attributes must be different names of factors, got {attributes!r}")
    if len(names) > latent_dim:
        raise ValueError(f"attributes: {len(names)} of them need as many dimensions, and latent_dim is {latent_dim}")
    if not gamma_reg >= 0:
        raise ValueError(f"gamma_reg must not be negative, got {gamma_reg}")
    if not delta > 0:
        raise ValueError(f"delta must be positive, got {delta}")
    return names


def _check_order(factors: Mapping[str, Factor] | None) -> None:
    """Refuses attributes that have no order, as a category and an angle."""
    for name, factor in (factors or {}).items():
        if factor.kind == "categorical" or factor.period is not None:
            what = "categorical" if factor.kind == "categorical" else "an angle"
            raise ValueError(f"attributes: {name!r} is {what} and has no order that a dimension could follow")


def _attribute_losses(z: Tensor, columns: Mapping[str, Tensor], names: Sequence[str], delta: float) -> Tensor:
    """L_{k,a} of each attribute, ``(K,)``; of none, an empty one."""
    values = [columns[name].to(z.dtype).reshape(len(z)) for name in names]
    return attribute_loss(z, torch.stack(values, 1) if values else z.new_zeros(len(z), 0), delta)


class AttriVAE(BetaVAE):
    """*Attri-VAE* (Cetin et al. 2023) as Di Folco et al. (2024) train it: a beta-VAE with attribute regularisation.

    Implements :eq:`eq-attribute-vae-3`, equation 3 of Di Folco et al. (2024). Without attributes, ``attributes=()``, it
    is their beta-VAE.

    Scales, of the published code: the reconstruction term is the squared error summed over channels and pixels and
    divided by the number of channels; the KL is summed over dimensions; the attribute term is a mean over pairs, summed
    over attributes. The network is that of :class:`VAE` with convolutions of 32 channels down to 4 pixels.

    Args:
        attributes: the factors of the data that dimensions 0, 1, … of the code are put into the order of.
        gamma_reg: γ_reg, the weight of the attribute term.
        delta: δ of :func:`medlatent.losses.attribute_loss`.
        l1_weight: of the sum of the absolute values of all weights; the published code adds it with 5e-4, the paper
            does not mention it.
        beta: the weight of the KL.
        width: channels of each convolution.
        latent_dim: the dimension D of the code, at least the number of attributes.
        channels: image channels; two of them are the two phases of a heart, end-diastole and end-systole.
        size: the side of a square image in pixels, or height and width; at least 8.
        likelihood: see :class:`VAE`.
        variance: of the Gaussian likelihood; by default half the number of channels, which makes the reconstruction
            term the published code's.
        learning_rate: of Adam.

    Raises:
        ValueError: an argument is out of its range.
    """

    suites = SUITES

    def __init__(
        self,
        attributes: Sequence[str] = VOLUMES,
        gamma_reg: float = 30.0,
        delta: float = 10.0,
        l1_weight: float = 0.0,
        beta: float = 2.0,
        width: int = 32,
        latent_dim: int = 128,
        channels: int = 2,
        size: Size = 128,
        likelihood: str = "gaussian",
        variance: float | None = None,
        learning_rate: float = 5e-5,
    ) -> None:
        names = _check_attributes(attributes, latent_dim, gamma_reg, delta)
        if not l1_weight >= 0:
            raise ValueError(f"l1_weight must not be negative, got {l1_weight}")
        self.width = width  # before the networks are built
        super().__init__(
            beta=beta,
            latent_dim=latent_dim,
            channels=channels,
            size=size,
            likelihood=likelihood,
            variance=channels / 2 if variance is None else variance,
            learning_rate=learning_rate,
        )
        own = {
            "attributes": list(names),
            "gamma_reg": gamma_reg,
            "delta": delta,
            "l1_weight": l1_weight,
            "width": width,
        }
        self.config = own | self.config
        self.columns = names
        self.pictures = PHASES if channels == len(PHASES) else ()

    def networks(self, latent_dim: int, channels: int, size: Size) -> tuple[nn.Module, nn.Module]:
        """An encoder, to 2 ``latent_dim`` outputs, and its mirror, to logits.

        The image is halved until its shorter side has 4 to 7 pixels.
        """
        widths = (self.width,) * halvings_to(size)
        return ConvEncoder(channels, size, 2 * latent_dim, widths), ConvDecoder(latent_dim, channels, size, widths)

    def prepare(self, images: int, factors: Mapping[str, Factor] | None = None) -> None:
        """Compares the attributes with what the data say of them.

        Raises:
            ValueError: one of them has no order.
        """
        _check_order(factors)

    def update(self, images: Tensor, **columns: Tensor) -> dict[str, Tensor]:
        """One step of Adam on a batch ``(B, C, H, W)`` in [0, 1].

        Args:
            images: the batch.
            **columns: the attributes of these images, ``(B,)`` each, in any unit.

        Returns:
            ``loss``; ``reconstruction``, as in the loss; ``kl``, summed over dimensions, in nats: means over the batch;
            and with attributes ``attribute``, the unweighted sum over them.
        """
        mean, logvar = self.encode(images)
        z = reparametrise(mean, logvar)
        reconstruction = self.reconstruction_loss(self.logits(z), images)
        kl = kl_to_standard_normal(mean, logvar)
        attribute = _attribute_losses(z, columns, self.columns, self.config["delta"])
        loss = attri_vae_objective(reconstruction, kl, attribute, self.beta, self.config["gamma_reg"])
        if self.config["l1_weight"]:
            loss = loss + self.config["l1_weight"] * torch.stack([p.abs().sum() for p in self.parameters()]).sum()
        self.step(self.optimiser, loss)

        terms = {"loss": loss, "reconstruction": reconstruction.mean(), "kl": kl.sum(1).mean()}
        if self.columns:
            terms["attribute"] = attribute.sum()
        return {name: term.detach() for name, term in terms.items()}


@cache
def _trunk(name: str, device: torch.device) -> nn.Module:
    with torch.random.fork_rng(devices=[]):  # it draws weights before it reads them: no number of a run depends on that
        return feature_maps(name).to(device)


class SIVAE(LatentModel):
    """The soft-introspective VAE (Daniel and Tamar 2021) as Di Folco et al. (2024) train it.

    Equations 6 and 7 of Di Folco et al. (2024) without attributes. One update is a step of the encoder, then one of the
    decoder, on the same codes. Generated images are of two kinds: drawn from the prior, and reconstructions of the
    batch. Where they are judged they are images like any other: the encoder's step sees neither the codes that they
    come from nor, as targets of a second reconstruction, the decoder behind them. (The published code leaves the first
    reconstruction's gradient in that target.)

    Scales, of the published code: L_r is ``squared_weight`` · squared error + ``perceptual_weight`` · perceptual error.
    The squared error is a sum over channels and pixels inside the exponential; outside it is their mean, which Daniel
    and Tamar have as a sum, too: beside s that mean is almost nothing, and what reconstructs is the perceptual term.
    So without that term take ``reduction="sum"`` and ``squared_weight=1``. The perceptual error of an image is the
    squared error of feature maps, a mean over each layer, summed over layers and over the pictures in its channels.

    In training, batch normalisation uses each batch's own statistics: real, reconstructed and drawn images pass in
    batches of their own, and all of them move the running statistics, which decide what :meth:`encode` and
    :meth:`decode` compute in evaluation mode.

    Args:
        latent_dim: the dimension D of the code.
        channels: image channels; two of them are the two phases of a heart, end-diastole and end-systole.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: channels of the first feature map, see :class:`medlatent.nets.IntroVAEEncoder`.
        beta_rec: the weight of L_r.
        beta_kl: the weight of the KL of real images in the encoder's loss, of generated ones in the decoder's.
        beta_neg: the weight of the KL of generated images in the encoder's loss. What counts is s · β_neg, 1/16 in the
            paper: with images of another size take size² / 16, or give ``scale``. At 32 pixels, 1024 would make the
            exponential exp(-2 KL), which is 0 for any KL that a model has, and there would be no game.
        eta: the weight of the reconstruction of generated images in the decoder's loss; at 0 it is not computed.
        scale: s; by default 1 / (height · width), whatever the number of channels.
        perceptual: whose feature maps are compared, a name of :func:`medlatent.nets.feature_maps`: ``"vgg19"`` in the
            paper; or ``"none"``. That network is no part of the model: it is fetched when training begins, and a saved
            model can be loaded, drawn from and trained further wherever it is at hand.
        perceptual_weight: of the perceptual error in L_r, α_pl.
        squared_weight: of the squared error in L_r.
        reduction: of the squared error outside of the exponential, ``"mean"`` or ``"sum"``.
        vae_steps: so many updates come first in which nothing generated is judged: one step of both Adams on the real
            images' part of equation 6, as of a VAE. 0 in the paper; Daniel and Tamar's code calls it ``num_vae``. Such
            an update costs a quarter of the others, and when the game begins there are pictures to judge.
        learning_rate: of the two Adams.

    Raises:
        ValueError: an argument is out of its range.
    """

    suites = SUITES
    updates: Tensor  # done so far

    def __init__(
        self,
        latent_dim: int = 128,
        channels: int = 2,
        size: Size = 128,
        width: int = 64,
        beta_rec: float = 0.8,
        beta_kl: float = 1.0,
        beta_neg: float = 1024.0,
        eta: float = 1e-8,
        scale: float | None = None,
        perceptual: str = "vgg19",
        perceptual_weight: float = 100.0,
        squared_weight: float = 0.1,
        reduction: str = "mean",
        vae_steps: int = 0,
        learning_rate: float = 2e-4,
    ) -> None:
        weights = {
            "beta_rec": beta_rec,
            "beta_kl": beta_kl,
            "beta_neg": beta_neg,
            "eta": eta,
            "perceptual_weight": perceptual_weight,
            "squared_weight": squared_weight,
        }
        config = {
            "latent_dim": latent_dim,
            "channels": channels,
            "size": size,
            "width": width,
            **weights,
            "scale": scale,
            "perceptual": perceptual,
            "reduction": reduction,
            "vae_steps": vae_steps,
            "learning_rate": learning_rate,
        }
        super().__init__(config)
        if latent_dim < 1:
            raise ValueError(f"latent_dim must be at least 1, got {latent_dim}")
        for name, weight in weights.items():
            if not weight >= 0:
                raise ValueError(f"{name} must not be negative, got {weight}")
        if scale is not None and not scale > 0:
            raise ValueError(f"scale must be positive, got {scale}")
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction {reduction!r} is unknown: use mean or sum")
        if vae_steps < 0:
            raise ValueError(f"vae_steps must not be negative, got {vae_steps}")
        self.latent_dim = self.config["latent_dim"]
        self.scale = 1 / math.prod(sides(size)) if scale is None else scale
        self.pictures = PHASES if channels == len(PHASES) else ()
        self.encoder = IntroVAEEncoder(channels, size, 2 * latent_dim, width)
        self.decoder = IntroVAEDecoder(latent_dim, channels, size, width)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.encoder_optimiser, self.decoder_optimiser = (
            torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
            for network in (self.encoder, self.decoder)
        )

    def prepare(self, images: int, factors: Mapping[str, Factor] | None = None) -> None:
        """Gets the network of the perceptual term before the first step.

        Raises:
            ImportError: the package that carries it is missing.
            ValueError: ``perceptual`` names none.
        """
        if self.config["perceptual"] != "none":
            _trunk(self.config["perceptual"], self.device)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, ``(B, D)`` each, of q(z|x) for images ``(B, C, H, W)`` in [0, 1]."""
        with self.autocast():
            mean, logvar = self.encoder(images).chunk(2, dim=1)
        return mean.float(), logvar.float()

    def generate(self, z: Tensor) -> Tensor:
        """What the decoder makes of codes ``(B, D)``, ``(B, C, H, W)``: images that may leave [0, 1], as they train."""
        with self.autocast():
            images = self.decoder(z)
        return images.float()

    def decode(self, z: Tensor) -> Tensor:
        """The images ``(B, C, H, W)`` of codes ``(B, D)``, cut off at 0 and 1."""
        return self.generate(z).clamp(0, 1)

    def feature_maps(self, images: Tensor) -> list[Tensor]:
        """What the perceptual term compares of images ``(B, C, H, W)``; an empty list without that term."""
        if self.config["perceptual"] == "none":
            return []
        with self.autocast():
            maps = _trunk(self.config["perceptual"], images.device)(images)
        return [layer.float() for layer in maps]

    def reconstruction_loss(self, reconstruction: Tensor, images: Tensor, reduction: str) -> Tensor:
        """L_r of each image, ``(B,)``, its squared error summed over channels and pixels or averaged over them."""
        error = squared_error(reconstruction, images)
        if reduction == "mean":
            error = error / images[0].numel()
        loss = self.config["squared_weight"] * error
        if targets := self.feature_maps(images):
            pictures = len(self.pictures) or 1
            perceptual = pictures * feature_error(self.feature_maps(reconstruction), targets)
            loss = loss + self.config["perceptual_weight"] * perceptual
        return loss

    def attribute_losses(self, z: Tensor, columns: Mapping[str, Tensor]) -> Tensor | None:
        """L_{k,a} of each attribute, ``(K,)``; None in a model without attributes."""
        return None

    def judge(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """A code ``(B, D)`` drawn from the posterior of each image, and the KL of that posterior, ``(B,)``, in nats."""
        mean, logvar = self.encode(images)
        return reparametrise(mean, logvar), kl_to_standard_normal(mean, logvar).sum(1)

    def encoder_terms(
        self, images: Tensor, noise: Tensor, columns: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Equation 6 for a batch and as many codes from the prior: :meth:`update`'s terms, and the batch's codes."""
        weights = {name: self.config[name] for name in ("beta_rec", "beta_neg")}
        with torch.no_grad():
            drawn = self.generate(noise)
        z, kl = self.judge(images)
        reconstruction = self.generate(z)
        error = self.reconstruction_loss(reconstruction, images, self.config["reduction"])
        judged = {}
        for name, fake in (("reconstructed", reconstruction.detach()), ("drawn", drawn)):
            code, divergence = self.judge(fake)
            judged[name] = JudgedImages(self.reconstruction_loss(self.generate(code), fake, "sum"), divergence)
        attribute = self.attribute_losses(z, columns)
        loss = sivae_encoder_loss(
            JudgedImages(error, kl),
            list(judged.values()),
            self.scale,
            attribute=attribute,
            gamma_reg=self.config.get("gamma_reg", 0.0),
            beta_kl=self.config["beta_kl"],
            **weights,
        )
        terms = {
            "loss": loss,
            "reconstruction": error.mean(),
            "squared_error": squared_error(reconstruction, images).mean(),
            "kl": kl.mean(),
        }
        for name, kind in judged.items():
            terms[f"kl_{name}"] = kind.kl.mean()
            terms[f"penalty_{name}"] = introspective_penalty(kind, self.scale, **weights).mean()
        if attribute is not None:
            terms["attribute"] = attribute.sum()
        return terms, z

    def decoder_loss(self, images: Tensor, noise: Tensor, z: Tensor) -> Tensor:
        """Equation 7 for a batch, as many codes from the prior, and the codes of the batch, ``(B, D)``."""
        drawn, reconstruction = self.generate(noise), self.generate(z)
        judged = []
        for fake in (reconstruction, drawn):
            code, kl = self.judge(fake)
            error = torch.zeros_like(kl)
            if self.config["eta"]:
                again = self.generate(code.detach())
                error = self.reconstruction_loss(again, fake.detach(), self.config["reduction"])
            judged.append(JudgedImages(error, kl))
        return sivae_decoder_loss(
            self.reconstruction_loss(reconstruction, images, self.config["reduction"]),
            judged,
            self.scale,
            beta_rec=self.config["beta_rec"],
            beta_kl=self.config["beta_kl"],
            eta=self.config["eta"],
        )

    def vae_update(self, images: Tensor, columns: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """One step of both Adams on equation 6 without its exponential, with the terms of :meth:`update`."""
        z, kl = self.judge(images)
        reconstruction = self.generate(z)
        error = self.reconstruction_loss(reconstruction, images, self.config["reduction"])
        attribute = self.attribute_losses(z, columns)
        loss = sivae_encoder_loss(
            JudgedImages(error, kl),
            [],
            self.scale,
            attribute=attribute,
            gamma_reg=self.config.get("gamma_reg", 0.0),
            **{name: self.config[name] for name in ("beta_rec", "beta_kl", "beta_neg")},
        )
        for optimiser in (self.encoder_optimiser, self.decoder_optimiser):
            optimiser.zero_grad(set_to_none=True)
        loss.backward()
        for optimiser in (self.encoder_optimiser, self.decoder_optimiser):
            optimiser.step()
        terms = {
            "loss": loss,
            "reconstruction": error.mean(),
            "squared_error": squared_error(reconstruction, images).mean(),
            "kl": kl.mean(),
        }
        absent = ("kl_reconstructed", "penalty_reconstructed", "kl_drawn", "penalty_drawn")
        terms |= dict.fromkeys(absent, loss.new_zeros(()))
        if attribute is not None:
            terms["attribute"] = attribute.sum()
        return {name: term.detach() for name, term in (terms | {"decoder": loss}).items()}

    def update(self, images: Tensor, **columns: Tensor) -> dict[str, Tensor]:
        """One step of the encoder's Adam, then one of the decoder's, for a batch ``(B, C, H, W)`` in [0, 1].

        Args:
            images: the batch.
            **columns: in a model with attributes, those of these images, ``(B,)`` each, in any unit.

        Returns:
            ``loss``, the encoder's, and ``decoder``, the decoder's. Of the encoder's step: ``reconstruction``, L_r of
            the real images as in the loss; ``squared_error``, theirs, summed over channels and pixels; ``kl``,
            ``kl_reconstructed`` and ``kl_drawn``, of the posteriors of real, reconstructed and drawn images, in nats;
            ``penalty_reconstructed`` and ``penalty_drawn``, the exponential of either, 1 where the encoder takes them
            for real: means over the batch. With attributes ``attribute``, the unweighted sum over them. In the first
            ``vae_steps`` updates both losses are the VAE's, and what is said of generated images is 0.

        Raises:
            RuntimeError: the model is in evaluation mode, in which batch normalisation would never learn its
                statistics. The published code trains so: it copies the model that is being trained in evaluation mode,
                and leaves it there.
        """
        if not self.training:
            raise RuntimeError(
                f"{type(self).__name__} is in evaluation mode, in which batch normalisation learns no statistics: "
                "call model.train() before update"
            )
        self.updates += 1
        if self.updates <= self.config["vae_steps"]:
            return self.vae_update(images, columns)
        noise = torch.randn(len(images), self.latent_dim, device=images.device)
        terms, z = self.encoder_terms(images, noise, columns)
        self.step(self.encoder_optimiser, terms["loss"])
        decoder = self.decoder_loss(images, noise, z.detach())
        self.step(self.decoder_optimiser, decoder)
        return {name: term.detach() for name, term in (terms | {"decoder": decoder}).items()}


class ARSIVAE(SIVAE):
    """*AR-SIVAE* of Di Folco et al. (2024): the soft-introspective VAE with attribute regularisation.

    Implements :eq:`eq-attribute-vae-6` and :eq:`eq-attribute-vae-7`, equations 6 and 7 of Di Folco et al. (2024), of
    which the first has the attribute term: the encoder's loss alone, on the codes of real images.

    Args:
        attributes: the factors of the data that dimensions 0, 1, … of the code are put into the order of.
        gamma_reg: γ_reg, the weight of the attribute term, which s does not scale.
        delta: δ of :func:`medlatent.losses.attribute_loss`.
        **options: those of :class:`SIVAE`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self, attributes: Sequence[str] = VOLUMES, gamma_reg: float = 0.05, delta: float = 10.0, **options: Any
    ) -> None:
        super().__init__(**options)
        self.columns = _check_attributes(attributes, self.latent_dim, gamma_reg, delta)
        if not self.columns:
            raise ValueError("attributes must be at least one; without any it is SIVAE")
        self.config = {"attributes": list(self.columns), "gamma_reg": gamma_reg, "delta": delta, **self.config}

    def prepare(self, images: int, factors: Mapping[str, Factor] | None = None) -> None:
        """Compares the attributes with what the data say of them, and gets the network of the perceptual term.

        Raises:
            ImportError: the package that carries it is missing.
            ValueError: ``perceptual`` names none, or an attribute has no order.
        """
        _check_order(factors)
        super().prepare(images, factors)

    def attribute_losses(self, z: Tensor, columns: Mapping[str, Tensor]) -> Tensor:
        """L_{k,a} of each attribute, ``(K,)``, for codes ``(B, D)`` and columns ``(B,)``."""
        return _attribute_losses(z, columns, self.columns, self.config["delta"])
