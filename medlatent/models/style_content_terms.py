"""The terms that the objectives of DRAI and its rivals are made of (Havaei et al. 2021): one class an equation.

A system is a set of these, see :class:`medlatent.models.StyleContentModel`. A term brings the networks that it alone
needs, a discriminator or a predictor, and says what either side of its game minimises.

The letters are those of the losses: x an image, t its condition, z the style, c the
content; ẑ and ĉ inferred from x, x̂ the reconstruction from both; x̃ generated from a drawn z and the content c of t, and
z' and c' inferred from x̃.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from ..losses import (
    JudgedPairs,
    ali_discriminator_loss,
    ali_generator_loss,
    code_cycle_loss,
    code_distance,
    conditional_discriminator_loss,
    conditional_generator_loss,
    dual_ali_discriminator_loss,
    dual_ali_generator_loss,
    gaussian_code_nll,
    image_cycle_discriminator_loss,
    image_cycle_generator_loss,
    information_bound,
    matching_discriminator_loss,
    matching_generator_loss,
    normal_entropy,
    reparametrise,
    reversed_prediction_loss,
    self_supervision_loss,
)
from ..nets import CodePredictor, ImageDiscriminator, JointDiscriminator
from ..nets.sides import Size

if TYPE_CHECKING:
    from .style_content import StyleContentModel


class Gaussian(NamedTuple):
    """The mean and the log-variance, ``(B, D)`` each, of a posterior with independent dimensions."""

    mean: Tensor
    logvar: Tensor

    def sample(self) -> Tensor:
        """A code of each image, ``(B, D)``, through which gradients reach both."""
        return reparametrise(self.mean, self.logvar)


class Batch:
    """A batch, as it is and transformed, and what a system makes of it: each thing once, when a term first asks for it.

    Both steps of an update use it: what is generated in the discriminators' step is what the generator is judged by in
    its own. All tensors have 2B rows, the batch and after it the transformed batch.

    Args:
        model: the system.
        images: ``(B, C, H, W)`` in [0, 1], H = W.
        t: their conditions, ``(B, T)``.
    """

    def __init__(self, model: StyleContentModel, images: Tensor, t: Tensor) -> None:
        self.model = model
        self.images = torch.cat([images, content_preserving(images)])
        self.t = torch.cat([t, t])

    def run(self, network: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """What a network says, in the model's precision, as 32 bits."""
        with self.model.autocast():
            outputs = network(*inputs)
        return outputs.float()

    @cached_property
    def z(self) -> Tensor:
        """z, style from the prior."""
        return torch.randn(len(self.images), self.model.config["style_dim"], device=self.images.device)

    @cached_property
    def content_of_condition(self) -> Gaussian:
        """q(c|t)."""
        return self.model.content_of(self.t)

    @cached_property
    def c(self) -> Tensor:
        """c, drawn from q(c|t)."""
        return self.content_of_condition.sample()

    @cached_property
    def generated(self) -> Tensor:
        """x̃ = G_x(z, c)."""
        return self.model.generate(self.z, self.c)

    @cached_property
    def style(self) -> Gaussian:
        """q(z|x)."""
        return self.model.infer_style(self.images)

    @cached_property
    def content(self) -> Gaussian:
        """q(c|x)."""
        return self.model.infer_content(self.images)

    @cached_property
    def z_inferred(self) -> Tensor:
        """ẑ, drawn from q(z|x)."""
        return self.style.sample()

    @cached_property
    def c_inferred(self) -> Tensor:
        """ĉ, drawn from q(c|x)."""
        return self.content.sample()

    @cached_property
    def reconstruction(self) -> Tensor:
        """x̂ = G_x(ẑ, ĉ)."""
        return self.model.generate(self.z_inferred, self.c_inferred)

    @cached_property
    def conditional_reconstruction(self) -> Tensor:
        """G_x(ẑ, c), of the style inferred from the image and the content of its condition."""
        return self.model.generate(self.z_inferred, self.c)

    @cached_property
    def style_again(self) -> Gaussian:
        """q(z|x̃)."""
        return self.model.infer_style(self.generated)

    @cached_property
    def content_again(self) -> Gaussian:
        """q(c|x̃)."""
        return self.model.infer_content(self.generated)

    @cached_property
    def mismatched(self) -> tuple[Tensor, Tensor]:
        """Of each image another one's condition, which differs from its own, ``(2B, T)``; and whether there is one.

        One that differs: with a few classes the condition of the next image is often the same, and a matched pair
        called mismatched teaches a discriminator the opposite of what it is to learn.
        """
        differs = (self.t.unsqueeze(1) != self.t).any(2)
        chosen = torch.rand_like(differs, dtype=torch.float32).masked_fill(~differs, -1.0).argmax(1)
        return self.t[chosen], differs.any(1)


def content_preserving(images: Tensor) -> Tensor:
    """Each image ``(B, C, S, S)`` turned by 90°, 180° or 270° or mirrored, horizontally or vertically, at random.

    The transformations of Havaei et al. (2021), III-G, one drawn for each image; none of them leaves an image as it is.
    """
    transformed = torch.stack(
        [*(images.rot90(k, (2, 3)) for k in (1, 2, 3)), images.flip(3), images.flip(2)]  # (5, B, C, S, S)
    )
    drawn = torch.randint(len(transformed), (len(images),), device=images.device)
    return transformed[drawn, torch.arange(len(images), device=images.device)]


class Sizes(NamedTuple):
    """What the networks of a term are built from."""

    channels: int
    size: Size
    width: int
    style: int
    content: int
    condition: int


class Term(nn.Module):
    """A term of an objective: the networks that it alone needs, and what either side minimises.

    Attributes:
        plays: whether it is a game, whose networks are discriminators and have a step of their own. The networks of
            other terms learn in the generator's step.
    """

    plays = True

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()

    def discriminate(self, batch: Batch) -> Tensor:
        """What the discriminators of a game minimise, of each image, ``(2B,)``."""
        raise NotImplementedError

    def forward(self, batch: Batch) -> Tensor:
        """What generator and encoders minimise, of each image or each pair of images, ``(2B,)`` or ``(B,)``."""
        raise NotImplementedError


class ConditionalGame(Term):
    """Equation 1: images are real, and belong to their condition."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.images = ImageDiscriminator(sizes.channels, sizes.size, sizes.width)
        self.pairs = JointDiscriminator(sizes.channels, sizes.size, sizes.condition, sizes.width)

    def discriminate(self, batch: Batch) -> Tensor:
        generated = batch.generated.detach()
        features = batch.run(self.pairs.features, batch.images)
        other, exists = batch.mismatched
        generated_pair = batch.run(self.pairs, generated, batch.t)
        mismatched_pair = batch.run(self.pairs.judge, features, other)
        return conditional_discriminator_loss(
            real=batch.run(self.images, batch.images),
            generated=batch.run(self.images, generated),
            real_pair=batch.run(self.pairs.judge, features, batch.t),
            mismatched_pair=torch.where(exists, mismatched_pair, generated_pair),  # a batch of one condition
            generated_pair=generated_pair,
        )

    def forward(self, batch: Batch) -> Tensor:
        return conditional_generator_loss(
            generated=batch.run(self.images, batch.generated),
            generated_pair=batch.run(self.pairs, batch.generated, batch.t),
        )


class DualInferenceGame(Term):
    """Equation 7: an inferred style and content are to their image what drawn ones are to the image made of them."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.style = JointDiscriminator(sizes.channels, sizes.size, sizes.style, sizes.width)
        self.content = JointDiscriminator(sizes.channels, sizes.size, sizes.content, sizes.width)

    def _judge(self, batch: Batch, generated: Tensor, *codes: Tensor) -> tuple[JudgedPairs, JudgedPairs]:
        z, c, z_inferred, c_inferred = codes
        style = JudgedPairs(
            inferred=batch.run(self.style, batch.images, z_inferred), generated=batch.run(self.style, generated, z)
        )
        content = JudgedPairs(
            inferred=batch.run(self.content, batch.images, c_inferred), generated=batch.run(self.content, generated, c)
        )
        return style, content

    def discriminate(self, batch: Batch) -> Tensor:
        given = batch.generated, batch.z, batch.c, batch.z_inferred, batch.c_inferred
        return dual_ali_discriminator_loss(*self._judge(batch, *(tensor.detach() for tensor in given)))

    def forward(self, batch: Batch) -> Tensor:
        given = batch.generated, batch.z, batch.c, batch.z_inferred, batch.c_inferred
        return dual_ali_generator_loss(*self._judge(batch, *given))


class ImageCycleGame(Term):
    """Equation 8: an image beside its reconstruction from inferred style and content is like an image beside itself."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.cycle = ImageDiscriminator(2 * sizes.channels, sizes.size, sizes.width)

    def reconstruction(self, batch: Batch) -> Tensor:
        """x̂."""
        return batch.reconstruction

    def discriminate(self, batch: Batch) -> Tensor:
        return image_cycle_discriminator_loss(
            same=batch.run(self.cycle, batch.images, batch.images),
            reconstructed=batch.run(self.cycle, batch.images, self.reconstruction(batch).detach()),
        )

    def forward(self, batch: Batch) -> Tensor:
        return image_cycle_generator_loss(batch.run(self.cycle, batch.images, self.reconstruction(batch)))


class CodeCycle(Term):
    """Equation 9: from a generated image the style and the content that it was made of are inferred again."""

    plays = False

    def forward(self, batch: Batch) -> Tensor:
        return code_cycle_loss(batch.z, batch.c, batch.style_again.sample(), batch.content_again.sample())


class ReversedPrediction(Term):
    """Equation 11: style cannot be predicted from content, nor content from style."""

    plays = False

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.style = CodePredictor(sizes.content, sizes.style, sizes.width)
        self.content = CodePredictor(sizes.style, sizes.content, sizes.width)

    def forward(self, batch: Batch) -> Tensor:
        def predict_z(c: Tensor) -> Tensor:
            return batch.run(self.style, c)

        def predict_c(z: Tensor) -> Tensor:
            return batch.run(self.content, z)

        return reversed_prediction_loss(batch.z_inferred, batch.c_inferred, predict_z, predict_c)


class SelfSupervision(Term):
    """Equation 15: an image and its transformed copy have one content, and different styles."""

    plays = False

    def forward(self, batch: Batch) -> Tensor:
        (z, z_transformed), (c, c_transformed) = batch.z_inferred.chunk(2), batch.c_inferred.chunk(2)
        return self_supervision_loss(z, c, z_transformed, c_transformed)


class StyleInformation(Term):
    """The second term of equation 17: the style of a generated image can be read off it."""

    plays = False

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.entropy = normal_entropy(sizes.style)

    def forward(self, batch: Batch) -> Tensor:
        nll = gaussian_code_nll(*batch.style_again, batch.z)
        return -batch.model.lambda_information * information_bound(self.entropy, nll)


class ContentCycle(Term):
    """‖c' - c‖, the content's part of equation 9: what makes a double-variable model of cInfoGAN."""

    plays = False

    def forward(self, batch: Batch) -> Tensor:
        return code_distance(batch.content_again.sample(), batch.c)


class ConditionalCycleGame(ImageCycleGame):
    """D_cycle of a conditional adversarial VAE: the style is inferred, the content is that of the condition."""

    def reconstruction(self, batch: Batch) -> Tensor:
        return batch.conditional_reconstruction


class MatchingGame(Term):
    """D_{x,t} of a conditional adversarial VAE: a reconstruction belongs to the condition that it was made with."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        self.pairs = JointDiscriminator(sizes.channels, sizes.size, sizes.condition, sizes.width)

    def discriminate(self, batch: Batch) -> Tensor:
        features = batch.run(self.pairs.features, batch.images)
        other, exists = batch.mismatched
        generated_pair = batch.run(self.pairs, batch.conditional_reconstruction.detach(), batch.t)
        mismatched_pair = batch.run(self.pairs.judge, features, other)
        return matching_discriminator_loss(
            real_pair=batch.run(self.pairs.judge, features, batch.t),
            mismatched_pair=torch.where(exists, mismatched_pair, generated_pair),
            generated_pair=generated_pair,
        )

    def forward(self, batch: Batch) -> Tensor:
        return matching_generator_loss(batch.run(self.pairs, batch.conditional_reconstruction, batch.t))


class StyleTripleGame(Term):
    """D_{x,t,z} of a conditional adversarial VAE: a reconstruction fits its condition and the style that it is made of.

    The text says no more than that it "also takes advantage of the latent code ẑ": here an image, or its
    reconstruction, stands beside the same condition and the same ẑ.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes)
        vector = sizes.condition + self.code_size(sizes)
        self.triples = JointDiscriminator(sizes.channels, sizes.size, vector, sizes.width)

    def code_size(self, sizes: Sizes) -> int:
        """The dimension of the code beside the image."""
        return sizes.style

    def made(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The reconstruction, and the code beside it."""
        return batch.conditional_reconstruction, batch.z_inferred

    def discriminate(self, batch: Batch) -> Tensor:
        reconstruction, code = (tensor.detach() for tensor in self.made(batch))
        return ali_discriminator_loss(
            inferred=batch.run(self.triples, batch.images, batch.t, code),
            generated=batch.run(self.triples, reconstruction, batch.t, code),
        )

    def forward(self, batch: Batch) -> Tensor:
        reconstruction, code = self.made(batch)
        return ali_generator_loss(
            inferred=batch.run(self.triples, batch.images, batch.t, code),
            generated=batch.run(self.triples, reconstruction, batch.t, code),
        )


class ContentTripleGame(StyleTripleGame):
    """D_{x,t,c} of the double-variable model: the same with the content that is inferred from the image."""

    def code_size(self, sizes: Sizes) -> int:
        return sizes.content

    def made(self, batch: Batch) -> tuple[Tensor, Tensor]:
        return batch.reconstruction, batch.c_inferred
