"""DRAI and the systems that it is compared with (Havaei et al. 2021): ten sets of terms over the same networks.

Style z is what an image has beside its condition t; content c is what goes with the condition. All ten systems have one
generator G_x(z, c), an encoder of conditions E_φ for q(c|t), an encoder of images for q(z|x), and those of two
variables another one for q(c|x), alike in all of them. What differs is the set of terms that they minimise, and the
discriminators that these need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..losses import drai_objective, kl_to_standard_normal
from ..nets import CodeEncoder, ConditionEncoder, DCGANGenerator
from ..nets.sides import Size
from ..options import whole
from .base import LatentModel
from .priors import CodePart, Conditional, Normal, code_parts
from .style_content_terms import (
    Batch,
    CodeCycle,
    ConditionalCycleGame,
    ConditionalGame,
    ContentCycle,
    ContentTripleGame,
    DualInferenceGame,
    Gaussian,
    ImageCycleGame,
    MatchingGame,
    ReversedPrediction,
    SelfSupervision,
    Sizes,
    StyleInformation,
    StyleTripleGame,
    Term,
)

if TYPE_CHECKING:
    from ..data import Factor

BETAS = (0.5, 0.999)  # of Adam, as in the DCGAN and in ALI
NODULE = {
    "subtlety": 2,
    "calcification": 2,
    "sphericity": 2,
    "margin": 2,
    "texture": 2,
    "malignancy": 2,
    "size_bin": 5,
}
"""The paper's condition of a lung nodule, 17 numbers: six characteristics as one-hot pairs and five bins of size."""


def _counts(condition: Mapping[str, int]) -> dict[str, int]:
    """How many values each column of a condition has."""
    try:
        counts = {name: whole(name, count, least=2) for name, count in condition.items()}
    except (AttributeError, ValueError):
        counts = {}
    if not counts or not all(isinstance(name, str) for name in counts):
        raise ValueError(f"condition: expected columns with at least two values each, got {condition!r}")
    return counts


class StyleContentModel(LatentModel, shared=True):
    """What the ten systems share: networks, codes, and an update of two steps. The systems are its subclasses.

    A system is a subclass that names its terms and whose KL its objective has:

    .. code-block:: python

        class ConditionalGAN(StyleContentModel):
            objective = {"game": ConditionalGame}
            divergences = ("content_of_condition",)

    **What the paper leaves open**, chosen here and held equal for all systems: layers (those of
    :mod:`medlatent.nets.style_content`), dimensions, batch, epochs; that every D_{x,t} is matching-aware; that the
    content of a condition is drawn from q(c|t) in systems of one variable, too; that norms and KL terms are means over
    dimensions.

    Each batch is trained "twice", as it is and with every image turned or mirrored; here both passes are in one update,
    since equation 15 compares them, and for all systems, which see the same images. An update is one step of all
    discriminators together, then one of everything else. Both have an Adam.

    The code has the style first, then the content, see ``code_layout``: the style is standard normal, the content is
    drawn from q(c|t), so that ``sample_codes`` needs the columns of the condition.

    Args:
        condition: the columns of the data that make up the condition t, and how many values each has; each becomes a
            one-hot vector. The default is the paper's for lung nodules.
        style_dim: the dimension of z.
        content_dim: the dimension of c.
        channels: image channels.
        size: the side of a square image in pixels, or height and width; at least 8.
        width: maps after the first convolution of encoders and discriminators; those before the generator's last.
        lambda_kl: λ of equation 16, see :func:`medlatent.losses.drai_objective`.
        lambda_information: λ of equation 17; by default 1 / ``style_dim``, with which the bound is a mean over
            dimensions, as the KL terms are.
        generator_rate: of the Adam of generator, encoders and predictors.
        discriminator_rate: of the Adam of the discriminators.

    Attributes:
        objective: the terms by name, classes of :mod:`medlatent.models.style_content_terms`.
        divergences: the posteriors whose KL to the standard normal is minimised, attributes of a
            :class:`~medlatent.models.style_content_terms.Batch`: of ``style``, ``content`` and
            ``content_of_condition``.
        infers_content: whether there is an encoder of the content of images.

    Raises:
        ValueError: an argument is out of its range.
    """

    objective: ClassVar[Mapping[str, type[Term]]] = {}
    divergences: tuple[str, ...] = ()
    infers_content = False
    suites = ("style_content",)
    only_for_training = ("terms",)

    def __init__(
        self,
        condition: Mapping[str, int] = NODULE,
        style_dim: int = 32,
        content_dim: int = 32,
        channels: int = 1,
        size: Size = 64,
        width: int = 32,
        lambda_kl: float = 1.0,
        lambda_information: float | None = None,
        generator_rate: float = 1e-5,
        discriminator_rate: float = 1e-5,
    ) -> None:
        condition = _counts(condition)
        super().__init__(
            {
                "condition": condition,
                "style_dim": style_dim,
                "content_dim": content_dim,
                "channels": channels,
                "size": size,
                "width": width,
                "lambda_kl": lambda_kl,
                "lambda_information": lambda_information,
                "generator_rate": generator_rate,
                "discriminator_rate": discriminator_rate,
            }
        )
        for name, value in (("style_dim", style_dim), ("content_dim", content_dim), ("width", width)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name, weight in (("lambda_kl", lambda_kl), ("lambda_information", lambda_information)):
            if weight is not None and not weight >= 0:
                raise ValueError(f"{name} must not be negative, got {weight}")
        self.columns = tuple(condition)
        self.latent_dim = style_dim + content_dim
        sizes = Sizes(channels, size, width, style_dim, content_dim, sum(condition.values()))
        self.lambda_information = 1 / style_dim if lambda_information is None else lambda_information

        self.generator = DCGANGenerator(self.latent_dim, channels, size, width)
        self.condition_encoder = ConditionEncoder(sizes.condition, content_dim, width)
        self.style_encoder = CodeEncoder(channels, size, style_dim, width)
        self.content_encoder = CodeEncoder(channels, size, content_dim, width) if self.infers_content else None
        self.terms = nn.ModuleDict({name: term(sizes) for name, term in self.objective.items()})

        discriminators = [w for term in self.games.values() for w in term.parameters()]
        theirs = {id(weight) for weight in discriminators}
        others = [weight for weight in self.parameters() if id(weight) not in theirs]
        self.generator_optimiser = torch.optim.Adam(others, lr=generator_rate, betas=BETAS, fused=True)
        self.discriminator_optimiser = torch.optim.Adam(discriminators, lr=discriminator_rate, betas=BETAS, fused=True)

    @property
    def games(self) -> dict[str, Term]:
        """The terms that have discriminators."""
        return {name: term for name, term in self.terms.items() if isinstance(term, Term) and term.plays}

    def prepare(self, images: int, factors: Mapping[str, Factor] | None = None) -> None:
        """Compares the condition with what the data say of its columns.

        Raises:
            ValueError: a column is not categorical or binary, or has another number of values.
        """
        for name, factor in (factors or {}).items():
            count = {"binary": 2, "categorical": len(factor.values or ())}.get(factor.kind)
            if count != self.config["condition"][name]:
                has = f"{count} values" if count else f"no values to count ({factor.kind})"
                raise ValueError(f"condition: {name!r} has {has}, not {self.config['condition'][name]}")

    def condition(self, **columns: Tensor) -> Tensor:
        """t, ``(B, T)`` of zeros and ones: the one-hot vectors of the columns, ``(B,)`` each, one after the other."""
        return torch.cat(
            [F.one_hot(columns[name].long(), count) for name, count in self.config["condition"].items()], 1
        ).float()

    def content_of(self, t: Tensor) -> Gaussian:
        """q(c|t) of conditions ``(B, T)``."""
        with self.autocast():
            mean, logvar = self.condition_encoder(t)
        return Gaussian(mean.float(), logvar.float())

    def infer_style(self, images: Tensor) -> Gaussian:
        """q(z|x) of images ``(B, C, H, W)`` in [0, 1]."""
        with self.autocast():
            mean, logvar = self.style_encoder(images)
        return Gaussian(mean.float(), logvar.float())

    def infer_content(self, images: Tensor) -> Gaussian:
        """q(c|x) of images ``(B, C, H, W)`` in [0, 1].

        Raises:
            ValueError: the system has one variable, and takes the content from the condition alone.
        """
        if self.content_encoder is None:
            raise ValueError(f"{type(self).__name__} infers the style alone: its content comes from a condition")
        with self.autocast():
            mean, logvar = self.content_encoder(images)
        return Gaussian(mean.float(), logvar.float())

    def generate(self, z: Tensor, c: Tensor) -> Tensor:
        """G_x, the images ``(B, C, H, W)`` in [0, 1] of styles ``(B, D_z)`` and contents ``(B, D_c)``."""
        return self.decode(torch.cat([z, c], 1))

    def decode(self, z: Tensor) -> Tensor:
        """The images ``(B, C, H, W)`` in [0, 1] of codes ``(B, D)``: style and content, one after the other."""
        with self.autocast():
            logits = self.generator(z)
        return torch.sigmoid(logits.float())

    @property
    def code_layout(self) -> tuple[CodePart, ...]:
        """``style``, standard normal; then ``content``, q(c|t), which depends on the columns of the condition."""

        def given(**columns: Tensor) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                return self.content_of(self.condition(**columns).to(self.device))

        content = Conditional(self.config["content_dim"], given, self.columns)
        return code_parts(style=Normal(self.config["style_dim"]), content=content)

    def update(self, images: Tensor, **columns: Tensor) -> dict[str, Tensor]:
        """One step of all discriminators, then one of generator, encoders and predictors, on both passes of a batch.

        Args:
            images: ``(B, C, H, W)`` in [0, 1].
            **columns: those of the condition, ``(B,)`` each.

        Returns:
            ``loss``, what the second step minimises; ``discriminators``, what the first does; each term's part of the
            loss by its name; and ``kl_…``, the KL of each posterior to the standard normal, summed over its dimensions,
            in nats: means over the images.
        """
        batch = Batch(self, images, self.condition(**columns))
        discriminators = torch.stack([term.discriminate(batch).mean() for term in self.games.values()]).sum()
        self.step(self.discriminator_optimiser, discriminators)

        terms = {name: term(batch) for name, term in self.terms.items()}
        kls = {f"kl_{name}": kl_to_standard_normal(*getattr(batch, name)) for name in self.divergences}
        loss = drai_objective(terms, kls, self.config["lambda_kl"])
        self.step(self.generator_optimiser, loss)

        named = {"loss": loss, "discriminators": discriminators}
        named |= {name: term.mean() for name, term in terms.items()}
        named |= {name: kl.sum(1).mean() for name, kl in kls.items()}
        return {name: term.detach() for name, term in named.items()}


class TwoVariableModel(StyleContentModel, shared=True):
    """What the systems share that infer style and content: they have codes for images."""

    infers_content = True

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The mean and log-variance, ``(B, D)`` each, of style and content, one after the other."""
        style, content = self.infer_style(images), self.infer_content(images)
        return torch.cat([style.mean, content.mean], 1), torch.cat([style.logvar, content.logvar], 1)


# ---------------------------------------------------------------------------------------------- systems of one variable


class CInfoGAN(StyleContentModel):
    """*cInfoGAN*: a conditional GAN whose style can be read off its images. Equations 1 and 17."""

    objective: ClassVar = {"game": ConditionalGame, "style_information": StyleInformation}
    divergences = ("content_of_condition",)


class CAVAE(StyleContentModel):
    """*cAVAE*: a conditional VAE whose likelihood is a discriminator of images beside their reconstructions.

    The three discriminators of III-B2, and the KL of equation 18.
    """

    objective: ClassVar = {
        "image_cycle": ConditionalCycleGame,
        "matching": MatchingGame,
        "style_triples": StyleTripleGame,
    }
    divergences = ("style", "content_of_condition")


# --------------------------------------------------------------------------------------------- systems of two variables


class DCInfoGAN(TwoVariableModel):
    """*D-cInfoGAN*: cInfoGAN, from whose images the content, too, is inferred again."""

    objective: ClassVar = CInfoGAN.objective | {"content_cycle": ContentCycle}
    divergences = CInfoGAN.divergences


class DCAVAE(TwoVariableModel):
    """*D-cAVAE*: cAVAE, which also reconstructs an image from the content that it infers from it."""

    objective: ClassVar = CAVAE.objective | {
        "content_image_cycle": ImageCycleGame,
        "content_triples": ContentTripleGame,
    }
    divergences = (*CAVAE.divergences, "content")


class DAI(TwoVariableModel):
    """*DAI* (Lao et al. 2019): conditional generation, inference of style and content, and the cycle of images."""

    objective: ClassVar = {"game": ConditionalGame, "inference": DualInferenceGame, "image_cycle": ImageCycleGame}
    divergences = ("style", "content", "content_of_condition")


class DAIFeatureCycle(DAI):
    """*DAI+featureCycle*."""

    objective: ClassVar = DAI.objective | {"code_cycle": CodeCycle}


class DAIMIReg(DAI):
    """*DAI+MIReg*."""

    objective: ClassVar = DAI.objective | {"reversed_prediction": ReversedPrediction}


class DAISelfReg(DAI):
    """*DAI+selfReg*."""

    objective: ClassVar = DAI.objective | {"self_supervision": SelfSupervision}


class DAISelfRegMIReg(DAI):
    """*DAI+selfReg+MIReg*."""

    objective: ClassVar = DAISelfReg.objective | DAIMIReg.objective


class DRAI(DAI):
    """*DRAI*, dual regularised adversarial inference: DAI with all three. Equation 16."""

    objective: ClassVar = DAIFeatureCycle.objective | DAISelfRegMIReg.objective
