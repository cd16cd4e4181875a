"""The beta-TCVAE (Chen et al. 2018): a VAE whose total correlation is weighted, not its whole KL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ..losses import kl_decomposition, reparametrise
from ..losses.total_correlation import ESTIMATORS
from .vae import VAE

if TYPE_CHECKING:
    from ..data import Factor


class BetaTCVAE(VAE):
    """A VAE that weights the total correlation of its code by beta, Chen et al. (2018), equation 4.

    Implements :eq:`eq-independence-6`. The loss is reconstruction + mutual information + beta · total correlation +
    dimension-wise KL, each in nats per image; the last three are estimated from the batch by
    :func:`medlatent.losses.kl_decomposition`.

    Args:
        beta: the weight of the total correlation; what it means depends on the scale of the reconstruction term, see
            ``variance``.
        estimator: ``"mss"``, minibatch-stratified sampling, or ``"mws"``, minibatch-weighted sampling.
        dataset_size: the number of training images, which both estimators need. Where it is None,
            :func:`medlatent.training.train` fills it in.
        **options: those of :class:`VAE`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self, beta: float = 6.0, estimator: str = "mss", dataset_size: int | None = None, **options: Any
    ) -> None:
        if not beta >= 0:
            raise ValueError(f"beta must not be negative, got {beta}")
        if estimator not in ESTIMATORS:
            raise ValueError(f"estimator {estimator!r} is unknown: use one of {', '.join(ESTIMATORS)}")
        super().__init__(**options)
        self.beta, self.estimator = beta, estimator
        self.config = {"beta": beta, "estimator": estimator, "dataset_size": None, **self.config}
        if dataset_size is not None:
            self.dataset_size = dataset_size

    @property
    def dataset_size(self) -> int | None:
        """The number of training images; set it anew to train on with another set."""
        return self.config["dataset_size"]

    @dataset_size.setter
    def dataset_size(self, images: int) -> None:
        if not images >= 1:
            raise ValueError(f"dataset_size must be at least 1, got {images}")
        self.config = self.config | {"dataset_size": images}

    def prepare(self, images: int, factors: Mapping[str, Factor] | None = None) -> None:
        """Takes the number of training images as ``dataset_size``, or compares it with the one that was given.

        Raises:
            ValueError: ``dataset_size`` is another number.
        """
        if self.dataset_size is None:
            self.dataset_size = images
        elif self.dataset_size != images:
            raise ValueError(
                f"dataset_size is {self.dataset_size}, but there are {images} training images: "
                f"set the model's dataset_size to {images}, or build it without one"
            )

    def terms(self, images: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """The terms of the loss on a batch ``(B, C, H, W)`` in [0, 1], with their gradients.

        Returns:
            ``loss``, ``reconstruction``, ``mutual_information``, ``total_correlation`` and ``dimension_wise_kl``, the
            last three unweighted: means over the batch of sums over pixels and over dimensions. And the logits of the
            reconstructions, ``(B, C, H, W)``.

        Raises:
            ValueError: ``dataset_size`` is unknown or smaller than the batch.
        """
        if self.dataset_size is None:
            raise ValueError("dataset_size is unknown: pass it to the constructor, or train with medlatent.training")
        mean, logvar = self.encode(images)
        z = reparametrise(mean, logvar)
        logits = self.logits(z)
        reconstruction = self.reconstruction_loss(logits, images).mean()
        information, correlation, dimension_wise = kl_decomposition(z, mean, logvar, self.dataset_size, self.estimator)
        terms = {
            "loss": reconstruction + information + self.beta * correlation + dimension_wise,
            "reconstruction": reconstruction,
            "mutual_information": information,
            "total_correlation": correlation,
            "dimension_wise_kl": dimension_wise,
        }
        return terms, logits

    def update(self, images: Tensor) -> dict[str, Tensor]:
        """One step of Adam on a batch ``(B, C, H, W)`` in [0, 1].

        Returns:
            The terms of the loss, see :meth:`terms`, detached.

        Raises:
            ValueError: ``dataset_size`` is unknown or smaller than the batch.
        """
        terms, _ = self.terms(images)
        self.step(self.optimiser, terms["loss"])
        return {name: term.detach() for name, term in terms.items()}
