"""InfoGAN (Chen et al. 2016) and HSIC-InfoGAN (Liu et al. 2022): GANs whose images depend on a code by force."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..losses import (
    categorical_entropy,
    categorical_nll,
    gaussian_code_nll,
    gaussian_kernel,
    hsic,
    median_squared_distance,
    uniform_entropy,
)
from ..losses.hsic import NORMALISATIONS
from ..nets import CodeReader, Discriminator, InfoGANDiscriminator, InfoGANGenerator
from ..nets.sides import Size
from .gan import GAN
from .priors import Categorical, CodePart, Normal, Uniform, code_parts

LEAST_BANDWIDTH = 1e-3  # of the median heuristic, should all images become one


class _CodedGAN(GAN):
    """What the two have in common: a code of a category, continuous codes and noise, and the networks of InfoGAN."""

    # Channels last, the transposed convolution from one place to 7×7 takes nine times as long on a CPU.
    memory_format = torch.contiguous_format
    suites = ("generated", "digits")

    def __init__(
        self,
        noise_dim: int = 62,
        categories: int = 10,
        continuous: int = 2,
        code_range: Sequence[float] = (0.0, 1.0),
        channels: int = 1,
        size: Size = 28,
        width: int = 64,
        generator_rate: float = 1e-3,
        discriminator_rate: float = 2e-4,
        **options: Any,
    ) -> None:
        if noise_dim < 0 or continuous < 0:
            raise ValueError(f"noise_dim and continuous must not be negative, got {noise_dim} and {continuous}")
        if categories < 0 or categories == 1 or not categories + continuous:
            raise ValueError(
                f"expected 2 categories or more, or 0 and a continuous code, got {categories}, {continuous}"
            )
        try:
            low, high = (float(end) for end in code_range)
        except (TypeError, ValueError):
            raise ValueError(f"code_range: expected two numbers, got {code_range!r}") from None
        if not -math.inf < low < high < math.inf:
            raise ValueError(f"code_range must rise between finite numbers, got {low:g} to {high:g}")
        super().__init__(
            noise_dim + categories + continuous,
            channels,
            size,
            width,
            generator_rate=generator_rate,
            discriminator_rate=discriminator_rate,
            **options,
        )
        own = {"noise_dim": noise_dim, "categories": categories, "continuous": continuous, "code_range": [low, high]}
        del self.config["latent_dim"]
        self.config = own | self.config

    def networks(self, latent_dim: int, channels: int, size: Size, width: int) -> tuple[nn.Module, Discriminator]:
        """InfoGAN's generator and discriminator."""
        return InfoGANGenerator(latent_dim, channels, size, width), InfoGANDiscriminator(channels, size, width)

    @property
    def code_layout(self) -> tuple[CodePart, ...]:
        """``category``, one-hot; ``c1``, ``c2``, …, uniform on ``code_range``; last ``z``, standard normal noise."""
        low, high = self.config["code_range"]
        codes = {f"c{i + 1}": Uniform(1, low, high) for i in range(self.config["continuous"])}
        return code_parts(category=Categorical(self.config["categories"]), **codes, z=Normal(self.config["noise_dim"]))

    @property
    def code_entropy(self) -> dict[str, float]:
        """The entropy of ``category`` and the differential one of all ``continuous`` codes, in nats."""
        found = {}
        if categories := self.config["categories"]:
            found["category"] = categorical_entropy(categories)
        if continuous := self.config["continuous"]:
            low, high = self.config["code_range"]
            found["continuous"] = uniform_entropy(low, high, continuous)
        return found


class InfoGAN(_CodedGAN):
    """A GAN whose auxiliary network Q reads the code off the image.

    Implements :eq:`eq-hsic-infogan-4`, equation 4 of Liu et al. (2022).

    Generator, discriminator and Q minimise or maximise V(D, G) - λ L_I(G, Q), where L_I bounds the mutual information
    of code and image, see :func:`medlatent.losses.information_bound`. Q is a head on the discriminator's trunk. As in
    Chen et al. (2016), the discriminator's optimiser owns the trunk and both heads, and its step minimises the
    discriminator's loss and Q's on generated images; the generator's step minimises its adversarial loss and Q's. Some
    implementations leave the head of Q to the generator's optimiser and train the trunk on the adversarial loss alone.

    The code has the category first, then the continuous codes, the noise last: see ``code_layout``. The defaults are
    the numbers of Liu et al.; what they leave open (betas of Adam, weights) is Chen et al.'s.

    Args:
        noise_dim: the dimension of the noise z; the paper's code c has ``categories + continuous``, 12.
        categories: K, the number of categories; 0 for none.
        continuous: the number of continuous codes.
        code_range: they are uniform between these two: (0, 1) as Liu et al. print, (-1, 1) as they traverse.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: of the networks, 64 in the paper.
        generator_rate: of the generator's Adam.
        discriminator_rate: of the Adam of the discriminator and Q.
        category_weight: of -log Q(category|x) in nats.
        continuous_weight: of -log Q(continuous codes|x) in nats, summed over the codes.
        **options: ``loss``, ``smoothing``, ``noise`` and ``noise_steps`` of :class:`GAN`.

    Raises:
        ValueError: an argument is out of its range.
    """

    only_for_training = ("discriminator", "reader")

    def __init__(self, category_weight: float = 1.0, continuous_weight: float = 0.1, **options: Any) -> None:
        given = {"category": category_weight, "continuous": continuous_weight}
        for name, weight in given.items():
            if not weight >= 0:
                raise ValueError(f"{name}_weight must not be negative, got {weight}")
        super().__init__(**options)
        self.config = {f"{name}_weight": weight for name, weight in given.items()} | self.config
        self.weights = {name: given[name] for name in self.code_entropy}
        self.reader = CodeReader(
            self.discriminator.features, self.config["categories"], self.config["continuous"], self.config["width"]
        )
        self.discriminator_optimiser.add_param_group({"params": [*self.reader.parameters()]})

    def read_code(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Q(c|x) by the features: the category's logits ``(B, K)``, the codes' means and log-variances ``(B, L)``."""
        with self.autocast():
            category, mean, logvar = self.reader(features)
        return category.float(), mean.float(), logvar.float()

    def discriminator_terms(self, features: Tensor, code: Tensor) -> dict[str, Tensor]:
        """-log Q(c|x) of ``category`` and of ``continuous``, means over the batch, in nats."""
        category, mean, logvar = self.read_code(features)
        k = self.config["categories"]
        nll = {
            "category": categorical_nll(category, code[:, :k]),
            "continuous": gaussian_code_nll(mean, logvar, code[:, k : k + self.config["continuous"]]),
        }
        return {name: nll[name].mean() for name in self.weights}

    def generator_terms(self, images: Tensor, features: Tensor, code: Tensor) -> dict[str, Tensor]:
        """The same for the generator's step."""
        return self.discriminator_terms(features, code)


class HSICInfoGAN(_CodedGAN):
    """An InfoGAN without Q: HSIC of code and image in place of the bound.

    Implements :eq:`eq-hsic-infogan-6`, equation 6 of Liu et al. (2022).

    The generator minimises its adversarial loss - λ HSIC(G(z, c), c): the minus of the paper's equation 6, as of the
    information in its equations 2 and 4. HSIC is small where code and image are independent, so the generator is to
    make it large; with a plus it would learn to ignore the code. What the paper plots as the HSIC loss is the
    magnitude. The discriminator's step is a plain GAN's. The kernels are taken over the batch, of the whole image and
    of category and continuous codes together; noise does not enter, nor does instance noise.

    The defaults are the paper's as far as it states them, and equation 5 as printed. Which form of HSIC its experiments
    used, it does not say, nor its σ and λ: it finds σ between 2 and 10 first, then λ, so that λ HSIC is of the order of
    the adversarial loss.

    The code has the category first, then the continuous codes, the noise last: see ``code_layout``.

    Args:
        hsic_weight: λ, not negative.
        sigma: of both Gaussian kernels, in units of image intensity and of the code; None takes, for each batch and
            each of the two kernels, the root of the median squared distance, through which no gradient passes.
        normalisation: which HSIC, see :func:`medlatent.losses.hsic`.
        scale_by_dimension: divide squared distances by the number of dimensions, as the code of the HSIC bottleneck
            does.
        **options: those of :class:`InfoGAN` but its two weights.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        hsic_weight: float = 1.0,
        sigma: float | None = 5.0,
        normalisation: str = "empirical",
        scale_by_dimension: bool = False,
        **options: Any,
    ) -> None:
        if not hsic_weight >= 0:
            raise ValueError(f"hsic_weight must not be negative, got {hsic_weight}")
        if sigma is not None and not sigma > 0:
            raise ValueError(f"sigma must be positive, or None for the median heuristic, got {sigma}")
        if normalisation not in NORMALISATIONS:
            raise ValueError(f"normalisation {normalisation!r} is unknown: use one of {', '.join(NORMALISATIONS)}")
        if scale_by_dimension not in (True, False):
            raise ValueError(f"scale_by_dimension must be True or False, got {scale_by_dimension!r}")
        super().__init__(**options)
        own = {
            "hsic_weight": hsic_weight,
            "sigma": sigma,
            "normalisation": normalisation,
            "scale_by_dimension": scale_by_dimension,
        }
        self.config = own | self.config
        self.weights = {"hsic": -hsic_weight}

    def kernel(self, x: Tensor) -> Tensor:
        """The Gaussian kernel ``(B, B)`` of images or codes ``(B, ...)``."""
        scaled, sigma = self.config["scale_by_dimension"], self.config["sigma"]
        if sigma is None:
            scale = math.sqrt(x[0].numel()) if scaled else 1.0  # so that the median pair has the same similarity
            sigma = median_squared_distance(x.detach()).sqrt().clamp(min=LEAST_BANDWIDTH) / scale
        return gaussian_kernel(x, sigma, scaled)

    def dependence(self, images: Tensor, code: Tensor) -> Tensor:
        """HSIC of images ``(B, C, H, W)`` and the codes ``(B, D)`` that they were generated from, without the noise."""
        informative = code[:, : self.latent_dim - self.config["noise_dim"]]
        return hsic(self.kernel(images), self.kernel(informative), self.config["normalisation"])

    def generator_terms(self, images: Tensor, features: Tensor, code: Tensor) -> dict[str, Tensor]:
        """``hsic``, in float32 whatever the precision."""
        return {"hsic": self.dependence(images, code)}
