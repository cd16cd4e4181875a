# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: medlatent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   medlatent:
#     about: 'two codes for an image {cite:p}`havaei2021`: content, which goes with
#       what is known of it, and style, the rest; from a conditional GAN to DRAI one
#       term at a time, each with the failure that it is there for'
#     needs:
#     - vae
#     - gan
#     - measuring
#     sessions:
#     - class: '{ref}`style-content` up to DAI: the conditional game, two inferred codes,
#         the cycle of images'
#       homework: '{ref}`style-content-exercises` 1 to 3'
#     - class: '{ref}`style-content` from leaks on: what holds two codes apart, and
#         whether the paper''s measure sees it'
#       homework: the rest of {ref}`style-content-exercises`, quiz
# ---

# %% [markdown]
# (style-content)=
# # Style and content: Havaei et al. 2021
#
# :::{admonition} What you will be able to do
# :class: tip
# - derive what a conditional GAN with mismatched pairs learns, and why it is not quite the data;
# - infer codes from images by a game between joint distributions, and say what two separate encoders lose;
# - reverse a gradient, and say why a lower bound that is lowered proves little;
# - put together systems from named terms, and predict which failure each term prevents;
# - say when a small cross image feature consistency error is a good sign, and when it is none.
#
# **You need** the chapters {ref}`vae`, {ref}`gan` and {ref}`measuring`. **Time**: two sittings of an hour and a
# half, the second from *What leaks* on. **Device**: a laptop; the measured run time stands on the page {doc}`/book/execution_times`.
# :::

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %%
from medlatent.course import choose, publish_metrics, show_source, show_table

settings = choose(
    {
        "ci": {
            "discs": 1_500,  # images, of which four in five are trained on
            "width": 16,  # of the networks
            "steps": 500,  # updates of each system
        },
        "laptop": {"discs": 4_000, "width": 16, "steps": 2_000},
        "paper": {"discs": 20_000, "width": 32, "steps": 20_000},
    },
    profile,
)
settings

# %% tags=["hide-input"]
import math
from typing import ClassVar

import numpy as np
import pandas as pd
import torch

from medlatent import explore, losses
from medlatent.data import Card, Factor, ImageSet
from medlatent.data.phantoms import nodule
from medlatent.evaluation import evaluate
from medlatent.losses import JudgedPairs, style_content
from medlatent.metrics.style_content import cifc
from medlatent.models import (
    DAI,
    DRAI,
    CInfoGAN,
    DAIFeatureCycle,
    DAIMIReg,
    DAISelfReg,
    DAISelfRegMIReg,
    DCInfoGAN,
    StyleContentModel,
    TwoVariableModel,
    decode_all,
)
from medlatent.models.style_content_terms import (
    ConditionalGame,
    DualInferenceGame,
    content_preserving,
)
from medlatent.training import train

_ = torch.manual_seed(seed)

# %% [markdown]
# ## The question
#
# A radiologist has looked at a nodule in the lung and written down what she sees: solid, round, with a sharp margin,
# nine millimetres. A second nodule has the same form and looks different all the same: it lies near the pleura, vessels
# run past it, the scanner was another one. Call *{term}`content`* what goes with what is written, and *{term}`style`*
# whatever else is in the picture. Could one take the content of one picture and the style of another, and draw the
# nodule of the first in the lung of the second?
#
# Havaei et al. {cite:p}`havaei2021` want this for three reasons: to make images of rare findings, as many as one likes;
# to leave out what belongs to the patient and keep what belongs to the disease; and to search an archive for the same
# finding, not for the same ribs. Their model is called *DRAI*, dual regularised adversarial inference: it infers two
# codes from an image, $\hat z$ for the style and $\hat c$ for the content. It is a long sum of terms. This chapter puts
# it together term by term, and shows before each what goes wrong without it.
#
# In {numref}`fig-style-content-hybrids` you see what is wanted: {term}`phantoms <phantom>`, whose factors are known, so
# that they can be exchanged by hand.

# %% mystnb={"figure": {"caption": "What a model of style and content should be able to do, done with phantoms of nodules whose factors are known. On the diagonal, four nodules; elsewhere, size, roundness, irregularity, margin and density are the row's; where exactly lobes and spicules stand, lung, vessels, wall, position and rotation are the column's.", "name": "fig-style-content-hybrids"}} tags=["hide-input"]
CONTENT = ("size", "subtlety_rating", "sphericity_rating", "margin_rating")
CONTENT += ("texture_rating", "malignancy_rating", "calcification")
people = nodule.sample_factors(200, seed)
chosen = [3, 11, 40, 77]


rows, columns = torch.meshgrid(
    torch.tensor(chosen), torch.tensor(chosen), indexing="ij"
)
exchanged = {
    name: values[(rows if name in CONTENT else columns).flatten()]
    for name, values in people.items()
    if name in nodule.FACTORS
}
# What is random about the lung, such as where its vessels run, is the style's.
table = nodule.render(exchanged, 64, seed, nodule=columns.flatten())
grey = ((table.float() + 1000) / 1400).clamp(0, 1).unflatten(0, (4, 4))
explore.show(
    explore.image_table(
        grey,
        row_labels=[f"content {k}" for k in range(1, 5)],
        column_labels=[f"style {k}" for k in range(1, 5)],
        alt="A table of four by four lung nodules. Along a row the nodule is "
        "of one kind and the lung around it changes; down a column the lung is "
        "the same and the nodule changes.",
    )
)

# %% [markdown]
# To try an idea in seconds, and to know what is true, we take a smaller world: discs. The *condition* $t$ of a picture is
# its size, small, medium or large. What the condition does not say is where the disc lies, and how bright it is.


# %%
def discs(n, seed):
    """n pictures of discs, of which the size is the condition."""
    random = np.random.default_rng(seed)
    size = random.integers(3, size=n)
    x, y = random.uniform(-3, 3, (2, n))  # pixels from the centre
    brightness = random.uniform(0.4, 1, n)
    across = np.arange(16) - 7.5
    distance = np.hypot(
        across - x[:, None, None], across[:, None] + y[:, None, None]
    )
    radius = np.array([2.0, 3.2, 4.6])[size][:, None, None]
    disc = brightness[:, None, None] / (1 + np.exp(2 * (distance - radius)))
    grey = 25 + 215 * disc + random.normal(0, 3, disc.shape)
    table = pd.DataFrame(
        {
            "size": np.array(["small", "medium", "large"])[size],
            "x": x,
            "y": y,
            "distance": np.hypot(x, y),
            "brightness": brightness,
            "split": np.where(np.arange(n) < 0.8 * n, "train", "test"),
        }
    )
    factors = {
        "size": Factor(
            "radius of the disc",
            kind="categorical",
            values=("small", "medium", "large"),
        ),
        "x": Factor("centre to the right of the image's", unit="pixels"),
        "y": Factor("centre above the image's", unit="pixels"),
        "distance": Factor("of the two centres", unit="pixels"),
        "brightness": Factor("of the disc, 0 to 1"),
    }
    card = Card(
        "discs", "computed here", "CC0-1.0", "this chapter", "16×16 pixels"
    )
    pixels = grey.clip(0, 255).astype(np.uint8)[:, None]
    return ImageSet(pixels, table, factors, card)


images = discs(settings["discs"], seed)
training, test = images.split("train"), images.split("test")
explore.show(
    explore.image_table(
        test.batch(slice(0, 24)).unflatten(0, (2, 12)),
        alt="Two rows of twelve grey discs of three sizes, at different places "
        "and of different brightness.",
    )
)

# %% [markdown]
# Who plays in this chapter, and with what:
#
# | Symbol | What it is |
# |:--|:--|
# | $x$, $t$ | a real image and its condition; $x'$: $x$ turned or mirrored |
# | $(\bar x, t)$ | a real image beside a condition that is not its own (the package keeps the image and draws the condition) |
# | $z \sim p(z)$ | a style drawn from the prior $\mathcal{N}(0, I)$ |
# | $c \sim q(c\vert t)$ | a content drawn for a condition, by the encoder of conditions $E_\varphi$ |
# | $\tilde x = G_x(z, c)$ | the image generated from both |
# | $\hat z \sim q(z\vert x)$, $\hat c \sim q(c\vert x)$ | style and content inferred from $x$, by an encoder each, $E_z$ and $E_c$ (together the paper's $G_{c,z}$) |
# | $\hat x = G_x(\hat z, \hat c)$ | the reconstruction |
# | $z'$, $c'$ | style and content inferred from $\tilde x$ |
# | $D_x$; $D_{x,t}$; $D_{x,z}$, $D_{x,c}$; $D_{cycle}$ | discriminators of an image; of an image and a condition; of an image and a code; of two images |
# | $F_z$, $F_c$ | predictors of one code from the other |
#
# Under a minimum, $G$ stands for all that is no discriminator and no predictor: the generator and the encoders.
# {numref}`fig-style-content-networks` has all of them but the predictors. Keep it at hand: {eq}`eq-style-content-1`,
# {eq}`eq-style-content-7`, {eq}`eq-style-content-8` and {eq}`eq-style-content-9` add its dashed lines.

# %% mystnb={"figure": {"caption": "The networks of DAI; with the two ℓ1 lines, of DAI+featureCycle. Above, from drawn codes to an image and back to codes; below, from a real image to codes and back to an image: the same generator and the same two encoders. Dashed: what is compared, by a discriminator or by the ℓ1 distance. A discriminator of two things sees each code beside its own image.", "name": "fig-style-content-networks"}} tags=["hide-input"]
PLACES = {
    "$t$": (0, 3.6),
    "$c$": (2.8, 3.6),
    "$z$": (2.8, 2.6),
    r"$\tilde{x}$": (5.6, 3.1),
    "$c'$": (8.4, 3.6),
    "$z'$": (8.4, 2.6),
    "$x$": (5.6, 0.6),
    r"$\hat{z}$": (2.8, 1.1),
    r"$\hat{c}$": (2.8, 0.1),
    r"$\hat{x}$": (0, 0.6),
}
NETWORKS = {  # where it stands: its name, what goes in, what comes out
    (1.4, 3.6): (r"$E_\varphi$", ["$t$"], "$c$"),
    (4.2, 3.1): ("$G_x$", ["$c$", "$z$"], r"$\tilde{x}$"),
    (7.0, 3.6): ("$E_c$", [r"$\tilde{x}$"], "$c'$"),
    (7.0, 2.6): ("$E_z$", [r"$\tilde{x}$"], "$z'$"),
    (4.2, 1.1): ("$E_z$", ["$x$"], r"$\hat{z}$"),
    (4.2, 0.1): ("$E_c$", ["$x$"], r"$\hat{c}$"),
    (1.4, 0.6): ("$G_x$", [r"$\hat{z}$", r"$\hat{c}$"], r"$\hat{x}$"),
}
COMPARED = (  # two things, the bend of their line, who compares, and where
    ("$z$", r"$\hat{z}$", 0.0, "$D_{x,z}$", (3.2, 1.85)),
    ("$c$", r"$\hat{c}$", 0.3, "$D_{x,c}$", (2.05, 1.85)),
    (r"$\tilde{x}$", "$x$", 0.0, "$D_x$, $D_{x,t}$", (6.15, 1.6)),
    ("$x$", r"$\hat{x}$", -0.4, "$D_{cycle}$", (2.8, -1.0)),
    ("$c$", "$c'$", -0.18, r"$\ell_1$", (5.6, 4.35)),
    ("$z$", "$z'$", 0.14, r"$\ell_1$", (7.0, 2.0)),
)
RED = "#cc4c4c"
fig, axis = explore.figure(7, 3.6)


def arrow(begin, end, kind="->", **style):
    style |= {"arrowstyle": kind, "shrinkA": 9, "shrinkB": 11}
    axis.annotate("", end, begin, arrowprops=style)


for place, (name, inputs, output) in NETWORKS.items():
    for one in inputs:
        arrow(PLACES[one], place, color="#888888")
    arrow(place, PLACES[output], color="#888888")
    box = {"boxstyle": "round,pad=0.35", "fc": "#dce6f2", "ec": "#4c6a92"}
    axis.text(*place, name, ha="center", va="center", bbox=box, color="#101010")
for begin, end, bend, who, place in COMPARED:
    line = {"ls": "--", "color": RED, "connectionstyle": f"arc3,rad={bend}"}
    arrow(PLACES[begin], PLACES[end], "<->", **line)
    axis.text(*place, who, ha="center", va="center", color=RED)
for name, place in PLACES.items():
    axis.text(*place, name, ha="center", va="center", fontsize=13)
axis.set(xlim=(-0.6, 9), ylim=(-1.3, 4.6))
axis.axis("off")
fig.alt = (
    "A diagram. Above: t goes through E phi to c; c and z through G to the "
    "generated image; that through two encoders to c prime and z prime. "
    "Below: x goes through the two encoders to inferred codes, and these "
    "through G to the reconstruction. Dashed lines join z and its inferred "
    "twin, c and its, the generated image and x, x and its reconstruction, c "
    "and c prime, z and z prime."
)
explore.show(fig)

# %% [markdown]
# ## Equation 1: the conditional game
#
# The generator $G_x$ gets a style $z$ from the prior $p(z) = \mathcal{N}(0, I)$ and a content $c$. The content is made of
# the condition: an encoder $E_\varphi$ turns $t$ into the mean and the variance of $q(c|t)$, from which $c$ is drawn: one condition has many contents. (How
# large the variances may be, a KL to the prior decides, as in a VAE. DAI and all that builds on it have one for each posterior, the
# InfoGANs below for $q(c|t)$ alone; it is part of
# {eq}`eq-style-content-16`.)
#
# Two discriminators judge the image. $D_x$ sees images alone. $D_{x,t}$ sees pairs of an image and a condition, and has
# two kinds of negative examples: a *generated* image beside the condition that it was made for, and a *real* image
# beside the wrong condition. Without the second kind the game would end at the data, too. But while generated images still look false, the
# discriminator can tell them by the image alone, and teaches the generator nothing of $t$. With it, it is {term}`matching-aware
# <matching-aware discriminator>`:
#
# $$
# \begin{aligned}
# \min_G \max_D\ & \mathbb{E}_{x}[\log D_x(x)] + \mathbb{E}_{z, c}[\log(1 - D_x(G_x(z, c)))] \\
# &+ \mathbb{E}_{(x, t)}[\log D_{x,t}(x, t)]
#   + \tfrac12 \big\{ \mathbb{E}_{(\bar x, t)}[\log(1 - D_{x,t}(\bar x, t))]
#   + \mathbb{E}_{z, c, t}[\log(1 - D_{x,t}(G_x(z, c), t))] \big\} .
# \end{aligned}
# $$ (eq-style-content-1)
#
# All games here are played with least squares, as in the paper's section III-G, see {eq}`eq-gan-5` of {ref}`gan`: $\frac12 (D - 1)^2$ stands in the
# place of $-\log D$, and $\frac12 D^2$ in that of $-\log(1 - D)$.

# %% tags=["remove-input"]
show_source(
    losses.conditional_discriminator_loss,
    losses.matching_discriminator_loss,
    losses.conditional_generator_loss,
)

# %% [markdown]
# What does the generator learn? Let $p(x, t)$ be the pairs of the data, $m(x, t)$ the mismatched ones, and $g(x, t)$ what
# the generator makes. The best $D_{x,t}$ is $p / (p + \frac12 m + \frac12 g)$. It is helpless, ½ everywhere, where
#
# $$ g(x, t) = 2\, p(x, t) - m(x, t) . $$
#
# That is *not* the data. Half of the negative examples are mismatched whatever the generator does, and it has to make up for
# them. With $m = p(x)\, p(t)$, image and condition drawn apart, $g(x|t) = 2\, p(x|t) - p(x)$: images that are more typical
# of their condition than the real ones. And since $\sum_t g(x, t) = p(x)$, the other discriminator, which sees images alone, has
# nothing against it. (The package draws a condition that *differs* from the image's own. Then the effect is larger: with three
# equally frequent conditions $g(x|t) = 2.5\, p(x|t) - 1.5\, p(x)$.)
#
# This holds where $2p \ge m$ everywhere, that is, where images of different conditions look alike, as those of most ratings do. A disc shows
# its size: no image belongs to two conditions, and beside a wrong condition $2p - m$ would be negative. There the game ends at the data:
# $D_{x,t}$ says the same of all images of a condition, so that drawing one of them more often gains nothing.
#
# The check takes three images and two conditions, finds the best discriminator by search, and looks at both generators. Read the losses so: a
# discriminator that cannot tell anything says ½, and its loss is ¼. A loss below ¼ means that the discriminator can tell.

# %% tags=["check-style-content-1"]
p = torch.tensor([[0.20, 0.10], [0.15, 0.15], [0.10, 0.30]]).double()  # p(x, t)
m = p.sum(1, keepdim=True) * p.sum(0)  # drawn apart
zero, one = torch.zeros(3, 2).double(), torch.ones(3, 2).double()


def expected(output, g):
    """The loss of D_{x,t}, weighed by how often each pair occurs."""
    d = torch.full((3, 2), output).double()
    return (
        p * losses.matching_discriminator_loss(d, zero, zero)
        + m * losses.matching_discriminator_loss(one, d, zero)
        + g * losses.matching_discriminator_loss(one, zero, d)
    )


outputs = torch.linspace(0, 1, 2_001)
for name, g in (("2p - m", 2 * p - m), ("the data", p)):
    curve = torch.stack([expected(float(output), g) for output in outputs])
    best = outputs[curve.argmin(0)].double()
    by_formula = p / (p + m / 2 + g / 2)
    assert torch.allclose(best, by_formula, atol=1e-3)
    print(
        f"generator {name}: best D from {best.min():.2f} to {best.max():.2f}, "
        f"its loss {curve.amin(0).sum():.4f}"
    )
assert torch.allclose((2 * p - m).sum(1), p.sum(1))  # the images are right
print("p(x|t)      ", (p / p.sum(0))[:, 0].numpy().round(2))
print("2p(x|t) - p ", ((2 * p - m) / p.sum(0))[:, 0].numpy().round(2))

# %% [markdown]
# In the package a term is a class with the networks that it alone needs. `discriminate` is what these minimise, `forward` what generator and
# encoders minimise. `batch` holds what several terms use, such as $\tilde x$ as `batch.generated`, and makes it once; `batch.run` calls a network.

# %% tags=["remove-input"]
show_source(ConditionalGame)

# %% [markdown]
# A system is a set of such terms. Here is the conditional GAN by itself, and its training:


# %%
class ConditionalGAN(StyleContentModel):
    """Equation 1 and nothing else."""

    objective: ClassVar = {"game": ConditionalGame}
    divergences = ("content_of_condition",)


def trained(system, **options):
    """A system after its training on discs."""
    torch.manual_seed(seed)
    model = system(
        condition={"size": 3},
        style_dim=4,
        content_dim=4,
        size=16,
        width=settings["width"],
        generator_rate=1e-3,
        discriminator_rate=3e-4,
        **options,
    )
    train(
        model,
        training,
        settings["steps"],
        batch_size=32,
        seed=seed,
        progress=False,
    )
    return model.eval()


systems = {"cGAN": trained(ConditionalGAN)}
sizes = torch.arange(3).repeat_interleave(8)
generator = torch.Generator().manual_seed(seed)
codes = systems["cGAN"].sample_codes(24, generator, size=sizes)
explore.show(
    explore.image_table(
        decode_all(systems["cGAN"], codes).unflatten(0, (3, 8)),
        row_labels=["small", "medium", "large"],
        alt="Three rows of eight generated discs: small, medium and large "
        "ones, by the condition that was asked for.",
    )
)

# %% [markdown]
# It draws discs, and hardly heeds the size yet: after these few updates the KL still holds $q(c|t)$ near the prior, almost the same for all
# three sizes. And even one that heeds it has no code for an image that you bring. Nothing can be exchanged, and nothing searched.
#
# ## Equation 2: inferring a code by a game
#
# *Adversarially learned inference* (ALI) adds an encoder that plays against the discriminator, too. Look at two joint distributions
# of images and codes:
#
# - take a real image $x$ and infer its code $\hat z \sim q(z|x)$: the pair $(x, \hat z)$ has the distribution $q(x, z) = q(x)\, q(z|x)$;
# - draw a code $z$ and generate $\tilde x$: the pair $(\tilde x, z)$ has $p(x, z) = p(z)\, p(x|z)$.
#
# Let a discriminator tell them apart, and let both networks hinder it:
#
# $$
# \min_G \max_D\ \mathbb{E}_{x,\, \hat z \sim q(z|x)}[\log D(x, \hat z)]
#   + \mathbb{E}_{z,\, \tilde x \sim p(x|z)}[\log(1 - D(\tilde x, z))] .
# $$ (eq-style-content-2)
#
# The best discriminator is $q / (q + p)$. It is ½ everywhere only where the two joints are the same. Then the marginals agree,
# so the images are right; *and* the conditionals agree, so that $q(z|x)$ is the posterior of the generator. No likelihood
# and no pixel error is needed. In the generators' loss both terms stay, with exchanged targets: the generator made one pair, the encoder the other.

# %% tags=["remove-input"]
show_source(losses.ali_discriminator_loss, losses.ali_generator_loss)

# %% [markdown]
# The check sums over tables of four images and three codes, for three encoders: the posterior; one that draws codes from the right marginal without a
# look at the image; and one whose marginal is wrong as well.

# %% tags=["check-style-content-2"]
torch.manual_seed(seed)
p = torch.rand(4, 3).double()  # p(x, z)
p = p / p.sum()


def least_loss(q, p):
    """The discriminator's loss at its best, over tables q and p of pairs."""
    best = (q / (q + p)).flatten()
    inferred, generated = torch.broadcast_tensors(best[:, None], best)
    weight = q.flatten()[:, None] * p.flatten()
    return float(
        (weight * losses.ali_discriminator_loss(inferred, generated)).sum()
    )


apart = p.sum(1, keepdim=True) * p.sum(0)  # codes drawn without a look
off = p.sum(1, keepdim=True) * torch.tensor([0.6, 0.3, 0.1]).double()
for name, q in (
    ("the posterior", p),
    ("right marginals, codes drawn without a look", apart),
    ("another marginal of the code", off),
):
    print(f"{name}: {least_loss(q, p):.4f}")
assert math.isclose(least_loss(p, p), 0.25)  # ½ everywhere
assert least_loss(apart, p) < 0.25 > least_loss(off, p)

# %% [markdown]
# ## Equations 3 to 7: two codes
#
# Style and content shall be two codes, from "completely separate encoders" (III-G), so that neither gets features that the other
# learnt. Two separate networks can hold only
#
# $$ q(z, c|x) = q(z|x)\, q(c|x) , $$ (eq-style-content-3)
#
# and the paper assumes the same of the generator's posterior, "given the independence assumption of $c$ and $z$":
#
# $$ p(z, c|x) = p(z|x)\, p(c|x) . $$ (eq-style-content-4)
#
# Does the second follow? That $z$ and $c$ are independent when they are drawn does not make them independent *given the image*. Let
# an image show whether two bits differ. Seen alone, each bit is fair, whatever the image; if you know one, the other follows. In the
# check, what {eq}`eq-style-content-4` leaves out is counted: $I(z; c|x)$, what the two codes say of each other once the image is known. This world, *differ*,
# loses $\log 2$ nats by it; a world in which the image shows both bits side by side loses nothing.

# %% tags=["remove-input"]
show_source(losses.factorised_posterior, losses.posterior_dependence)

# %% tags=["check-style-content-3", "check-style-content-4"]
differ = torch.zeros(2, 2, 2).double()  # p(z, c, x)
beside = torch.zeros(2, 2, 4).double()
for z in range(2):
    for c in range(2):
        differ[z, c, z ^ c] = beside[z, c, 2 * z + c] = 1 / 4
for name, joint in (("differ", differ), ("side by side", beside)):
    codes = joint.sum(2)
    assert torch.equal(codes, codes.sum(1, keepdim=True) * codes.sum(0))
    posterior = joint / joint.sum((0, 1))
    same = torch.allclose(losses.factorised_posterior(joint), posterior)
    lost = losses.posterior_dependence(joint)
    print(f"{name}: codes independent, posterior a product: {same}, ", end="")
    print(f"{lost:.3f} nats lost")
assert math.isclose(losses.posterior_dependence(differ), math.log(2))
assert losses.posterior_dependence(beside) == 0

# %% [markdown]
# Whether it holds is a matter of how the generator uses its codes. One that reads the place from $z$ and the size from $c$ shows both side
# by side; one that adds a number of $z$ to a number of $c$ does not. So {eq}`eq-style-content-4` is a model, not a consequence. Under it
# two pairs of joints are left to be matched,
#
# $$ q(z, x) = p(z, x) , $$ (eq-style-content-5)
#
# $$ q(c, x) = p(c, x) , $$ (eq-style-content-6)
#
# by one game each, with discriminators $D_{x,z}$ and $D_{x,c}$ of their own:
#
# $$
# \begin{aligned}
# \min_G \max_D\ & \mathbb{E}_{x,\, \hat z, \hat c}[\log D_{x,z}(x, \hat z) + \log D_{x,c}(x, \hat c)] \\
# &+ \mathbb{E}_{z, c,\, \tilde x}[\log(1 - D_{x,z}(\tilde x, z)) + \log(1 - D_{x,c}(\tilde x, c))] .
# \end{aligned}
# $$ (eq-style-content-7)
#
# No discriminator sees image, style and content at once. In the world *differ* that is a gap: two
# encoders that are right about each code by itself end both games, and half of the pairs that they draw belong to another image.

# %% tags=["remove-input"]
show_source(losses.dual_ali_discriminator_loss, losses.dual_ali_generator_loss)

# %% tags=["check-style-content-5", "check-style-content-6", "check-style-content-7"]
q = differ.sum((0, 1)) * losses.factorised_posterior(differ)
for over, name in ((1, "style and image"), (0, "content and image")):
    assert torch.equal(q.sum(over), differ.sum(over))
    print(f"{name}: {least_loss(q.sum(over), differ.sum(over)):.3f}")
print(f"image, style and content at once: {least_loss(q, differ):.3f}")
print(f"codes that give back their image: {q[differ > 0].sum():.2f}")
assert math.isclose(q[differ > 0].sum(), 0.5)

style = JudgedPairs(torch.tensor([0.9, 0.4]), torch.tensor([0.2, 0.5]))
content = JudgedPairs(torch.tensor([0.6, 0.7]), torch.tensor([0.1, 0.3]))
by_hand = sum(
    (pair.inferred - 1) ** 2 / 2 + pair.generated**2 / 2
    for pair in (style, content)
)
by_package = losses.dual_ali_discriminator_loss(style, content)
assert torch.allclose(by_hand, by_package)


# %%
class Inferring(TwoVariableModel):
    """The conditional game, and the two that infer style and content."""

    objective = ConditionalGAN.objective | {"inference": DualInferenceGame}
    divergences = ("style", "content", "content_of_condition")


systems["+ inference"] = trained(Inferring)


def reconstruct(model, pictures, drawn=False):
    """G(ẑ, ĉ) with posterior means, or with codes drawn from posteriors."""
    with torch.no_grad():
        codes, logvar = model.encode(pictures)
        if drawn:
            codes = losses.reparametrise(codes, logvar)
    return decode_all(model, codes)


pictures = test.batch(slice(0, 10))
torch.manual_seed(seed)
again = reconstruct(systems["+ inference"], pictures, drawn=True)
explore.show(
    explore.image_table(
        torch.stack([pictures, again]),
        row_labels=["image", "G(ẑ, ĉ)"],
        alt="A row of ten discs, and below each what the model makes of two "
        "codes that are drawn from its posteriors.",
    )
)

# %% [markdown]
# ## Equation 8: the cycle of images
#
# Does the lower row belong to the images above it? Not by far. There are discs, and none is that of its image: the posteriors have stayed the
# prior, and the codes say almost nothing. (Their means all lie near 0, where this generator draws no disc; so codes are drawn here.)
#
# Would it help to play to the end? Not for certain. Joints that match leave open *which* codes belong to which image; Li et al. {cite:p}`li2017` call
# this the non-identifiability of ALI. And *differ* can happen here, too: a generator that puts the disc at $z_1 + c_1$ has a posterior that is no product,
# although a disc shows its place plainly. So a further discriminator looks at an image beside its reconstruction $\hat x = G_x(\hat z, \hat c)$, and should not
# be able to tell that from an image beside itself:
#
# $$
# \min_G \max_D\ \mathbb{E}_x[\log D_{cycle}(x, x)]
#   + \mathbb{E}_{x,\, \hat z, \hat c}[\log(1 - D_{cycle}(x, G_x(\hat z, \hat c)))] .
# $$ (eq-style-content-8)

# %% tags=["remove-input"]
show_source(
    losses.image_cycle_discriminator_loss, losses.image_cycle_generator_loss
)

# %% tags=["check-style-content-8"]
same, reconstructed = torch.tensor([0.9, 0.6]), torch.tensor([0.2, 0.4])
by_hand = ((0.1**2 + 0.2**2) / 2 + (0.4**2 + 0.4**2) / 2) / 2
by_package = losses.image_cycle_discriminator_loss(same, reconstructed).mean()
print(f"discriminator: by hand {by_hand:.3f}, by package {by_package:.3f}")
assert math.isclose(by_hand, by_package, rel_tol=1e-6)
reconstructed.requires_grad_()
losses.image_cycle_generator_loss(reconstructed).sum().backward()
assert torch.allclose(reconstructed.grad, torch.tensor([-0.8, -0.6]))

# %% [markdown]
# These three games together, and the KL of the three posteriors, are *DAI*, dual adversarial inference (Lao et al. {cite:p}`lao2019`), from
# which Havaei et al. set out.

# %%
systems["DAI"] = trained(DAI)
explore.show(
    explore.image_table(
        torch.stack([pictures, reconstruct(systems["DAI"], pictures)]),
        row_labels=["image", "G(ẑ, ĉ)"],
        alt="A row of ten discs, and below each its reconstruction by DAI.",
    )
)

# %% [markdown]
# ## What leaks
#
# Now images have two codes, and hybrids can be made. {numref}`fig-style-content-leak` has $G(\hat z_j, \hat c_i)$ for four discs: the
# size should be that of the row, the place that of the column.

# %% mystnb={"figure": {"caption": "Hybrids of DAI: content of the row, style of the column. On the diagonal, reconstructions.", "name": "fig-style-content-leak"}} tags=["hide-input"]
QUARTET = [0, 1, 2, 3]


def hybrids(model, pictures):
    """G(ẑ of the column, ĉ of the row), (N, N, C, H, W)."""
    with torch.no_grad():
        style = model.infer_style(pictures).mean
        content = model.infer_content(pictures).mean
        n = len(pictures)
        made = model.generate(
            style.repeat(n, 1), content.repeat_interleave(n, 0)
        )
    return made.unflatten(0, (n, n))


four = test.batch(QUARTET)
explore.show(
    explore.image_table(
        torch.cat([four[:, None], hybrids(systems["DAI"], four)], 1),
        row_labels=[f"image {k}" for k in range(1, 5)],
        column_labels=["content", *(f"style {k}" for k in range(1, 5))],
        alt="Four rows of five discs: an image, and its content with the "
        "styles of four images.",
    )
)

# %% [markdown]
# Along a row the disc should go from place to place with the style. Where one is drawn at all, it stays where it was in the image that gave
# the content; and small or dim discs are lost. Down a column it should stay in its place and change its size alone.
#
# How much does either code know? Let us ask for a number: fit a line that predicts a factor from the code, and test it on other
# images. $R^2$ is 1 if the code holds the factor, and 0 if it says nothing, or less than the mean would. For the size, which is a class, a linear classifier
# takes the place of the line; the number is how far its balanced accuracy has come from chance, 0, to 1. Of the place we ask three things: how far right,
# how far up, and how far from the centre.


# %%
def look(model):
    """What the codes of a model know, and what it makes of them."""
    found = evaluate(model, test)
    row = {"PSNR": found["psnr"]}
    for code in ("content", "style"):
        know = {
            name: found[f"{code}_knows.{name}"]
            for name in ("size", "x", "y", "distance", "brightness")
        }
        know["place"] = (know.pop("x") + know.pop("y")) / 2
        row |= {f"{code}: {name}": value for name, value in know.items()}
    return row | {
        "CIFC": found["cifc"],
        "relative": found["cifc_relative"],
        "kept by content": found["content_kept.centre"],
        "kept by style": found["style_kept.centre"],
    }


KNOWS = [
    f"{code}: {name}"
    for code in ("content", "style")
    for name in ("size", "place", "distance", "brightness")
]
rows = {name: look(systems[name]) for name in ("+ inference", "DAI")}
show_table(pd.DataFrame(rows).T[["PSNR", *KNOWS]], 2)

# %% [markdown]
# The content knows where the disc is, and the style knows its size. Why? Nothing in the three games forbids it:
#
# - The *generator* may take the size from the style as well as from the content. Its discs are as right, as long as both agree; and in a
#   reconstruction both come from one image, and agree.
# - One condition has many contents, and nothing says what their noise is for. Here the generator reads the place from it. Then an image
#   shows its content's noise by its place, and $D_{x,c}$ asks
#   the encoder to write the place down.
#
# A line is a weak reader: a style that knows right and up knows the distance, but that is no line in them. So a leak may be larger than
# this table says. And it reads means: those of *+ inference* are tiny beside the noise of its posteriors, which a line does not see.
#
# Havaei et al. add three terms. What should one expect of each?
#
# | Term | Asks | Works against |
# |:--|:--|:--|
# | cycle of codes, {eq}`eq-style-content-9` | $c'$ is to be $c$, whatever $z$ was drawn beside it, and $z'$ is to be $z$ | a generator that mixes: a content read off an image must not change with the style |
# | reversed gradients, {eq}`eq-style-content-11` | neither code can be predicted from the other | the same thing written down twice: the size in the style |
# | transformed images, {eq}`eq-style-content-15` | a turned disc has the same content and another style | the place in the content |
#
# ## Equation 9: the cycle of codes
#
# The first term asks the encoders to find in a generated image the codes that it was made of:
#
# $$
# \min_G\ \mathbb{E}_{z, c,\ (z', c') \sim q(z, c|\tilde x)}\big[ \lVert z' - z \rVert + \lVert c' - c \rVert \big] ,
# \qquad \tilde x = G_x(z, c) .
# $$ (eq-style-content-9)
#
# The norm is an $\ell_1$ norm; we take the mean over a code's dimensions. The paper gives no weights, since "other than the KL terms, they
# were all relatively on the same scale": that holds for a mean, beside games of the order of 1, and not for a sum over dimensions.

# %% tags=["remove-input"]
show_source(losses.code_distance, losses.code_cycle_loss)

# %% tags=["check-style-content-9"]
z, c = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.0, 1.0, 2.0]])
z_again, c_again = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.0, 1.0, -1.0]])
by_hand = (abs(1 - 0) + abs(-2 - 1)) / 2 + (0 + 0 + abs(2 + 1)) / 3
by_package = losses.code_cycle_loss(z, c, z_again, c_again)
print(f"by hand {by_hand:.3f}, by package {by_package.item():.3f}")
assert math.isclose(by_hand, by_package.item())

torch.manual_seed(seed)
blind = losses.code_distance(torch.randn(50_000, 8), torch.zeros(50_000, 8))
print(f"an encoder that always says 0: {blind.mean():.3f} a code")
assert math.isclose(blind.mean(), math.sqrt(2 / math.pi), rel_tol=5e-3)

# %% [markdown]
# ### Equation 10: what the cycle bounds
#
# Why does it help? The mutual information of a content and the image is
#
# $$ I(c; \tilde x) = H(c) - H(c|\tilde x) . $$ (eq-style-content-10)
#
# With any $q(c|\tilde x)$ in the place of the unknown posterior $p(c|\tilde x)$,
#
# $$
# -H(c|\tilde x) = \mathbb{E}[\log p(c|\tilde x)]
#   = \mathbb{E}\big[\log q(c|\tilde x)\big] + \mathbb{E}\, D_{KL}\big(p(c|\tilde x) \,\|\, q(c|\tilde x)\big) ,
# $$
#
# and since the KL is not negative, $I(c; \tilde x) \ge H(c) + \mathbb{E}[\log q(c|\tilde x)]$. For a Laplace distribution about $c'$ whose scale is the
# number of dimensions, $-\log q$ is the mean absolute difference and a constant: a smaller cycle is a larger bound.
#
# The $H(c)$ must stay. The paper drops it, "using the non-negativity of $H(c)$", but the entropy of a density may be negative: that of a
# normal distribution is, where its
# deviation is below 0.24. And here it is not even a constant. The encoder of conditions could make the cycle small by drawing contents from an ever narrower
# $q(c|t)$, which says nothing more of the image; what hinders it is the KL to the prior. The check sums over a table, where everything is known.

# %% tags=["check-style-content-10"]
torch.manual_seed(seed)
joint = torch.rand(4, 5).double()  # p(c, x)
joint = joint / joint.sum()
p_c, p_x = joint.sum(1), joint.sum(0)
true_posterior = joint / p_x
information = (joint * (joint / (p_c[:, None] * p_x)).log()).sum()
entropy = -(p_c * p_c.log()).sum()
guess = torch.rand(4, 5).double()
guess = guess / guess.sum(0)  # q(c|x)
bound = entropy + (joint * guess.log()).sum()
forward = (joint * (true_posterior / guess).log()).sum()
backward = (p_x * guess * (guess / true_posterior).log()).sum()
print(f"I {information:.4f}, bound {bound:.4f}")
print(
    f"bound + KL(p‖q) {bound + forward:.4f}, + KL(q‖p) {bound + backward:.4f}"
)
assert torch.isclose(bound + forward, information)
assert not torch.isclose(bound + backward, information)
narrow = losses.normal_entropy(1, 0.1**2)
print(f"H of a content with deviation 0.1: {narrow:.2f} nats")
assert narrow < 0

# %% [markdown]
# ## Equations 11 to 14: gradients in reverse
#
# The second term goes at the leak itself. If the style can be predicted from the content, they share something. So let two predictors learn,
# $F_z$ the style from the content and $F_c$ the content from the style, and let the encoders make it hard for them:
#
# $$
# \min_G \max_F\ -\mathbb{E}_{x,\, \hat z, \hat c}\big[ \lVert \hat z - F_z(\hat c) \rVert + \lVert \hat c - F_c(\hat z) \rVert \big] .
# $$ (eq-style-content-11)
#
# Two players, but no second optimiser: a {term}`gradient reversal` layer stands between encoders and predictors. Forwards it does nothing;
# on the way back from the predictors to the encoders it turns the sign of the gradient. The predictors descend, the encoders ascend, in one step.

# %% tags=["remove-input"]
show_source(
    style_content._ReverseGradient,
    losses.gradient_reversal,
    losses.reversed_prediction_loss,
)

# %% [markdown]
# The code has the plain error, with a plus where the equation has a minus: the predictors descend it, and the reversal turns it into the encoders'
# minus. So the `loss` that training reports is no number that the encoders lower.
#
# The check has one image with one style $a = 2$, one content $b = 3$, and the predictors $F_z(b) = \frac12 b$ and $F_c(a) = 4 a$: the loss is
# $(a - \frac12 b) + (4 a - b)$.

# %% tags=["check-style-content-11"]
a, b = (torch.tensor([[value]], requires_grad=True) for value in (2.0, 3.0))
u, v = (torch.tensor(value, requires_grad=True) for value in (0.5, 4.0))
loss = losses.reversed_prediction_loss(a, b, lambda c: u * c, lambda z: v * z)
loss.sum().backward()
print(f"loss {loss.item()}: by hand {abs(2 - 1.5) + abs(3 - 8)}")
print(f"gradients of the predictors: {u.grad.item()}, {v.grad.item()}")
print(f"gradients of the encoder, reversed: {a.grad.item()}, {b.grad.item()}")
assert (u.grad.item(), v.grad.item()) == (-3, 2)
assert (a.grad.item(), b.grad.item()) == (-(1 + 4), -(-0.5 - 1))

# %% [markdown]
# ### A lower bound that is lowered
#
# What does it reach? The paper argues as before. The information that the two codes share is
#
# $$ I(z; c) = H(z) - H(z|c) , $$ (eq-style-content-12)
#
# and if $q(z|\hat c)$, a distribution about $F_z(\hat c)$, can become the true conditional,
#
# $$ I(z; c) = H(z) + \max_{F_z}\ \mathbb{E}[\log q(z|\hat c)] . $$ (eq-style-content-13)
#
# Since $\lVert \hat z - F_z(\hat c) \rVert$ "corresponds to" $-\log q(z|\hat c)$, and $H(z)$ "is non-negative" and left out, one plays
#
# $$ \min_G \max_{F_z}\ -\mathbb{E}\big[\lVert \hat z - F_z(\hat c) \rVert\big] . $$ (eq-style-content-14)
#
# Before you read on: where $q$ *cannot* become the true conditional, the right side of {eq}`eq-style-content-13` is a *lower*
# bound on $I$. We want $I$ small. What does it prove if a lower bound becomes small?
#
# Nothing, by itself: $I$ may be anything above it. Where everything is known, one can look. Let $z$ and $c$ be jointly normal with
# correlation $\rho$, so that $I = -\frac12 \log(1 - \rho^2)$; $q$ is a Laplace distribution of scale 1, as an absolute error says.
#
# 1. *Scale.* Make $z$ larger. $I$ is as before, and the error that {eq}`eq-style-content-14` plays for grows with it. (The bound with its
# $H(z)$ falls, too, from some scale on; at $\rho = 0.9$ from 2.9.) An encoder that is asked to raise the *error* of the
#    prediction can do so by scale alone, since the code that is predicted passes through the reversal, too.
# 2. *Signs.* Take a style whose sign is random and whose size is that of the content, $z = \pm c$. It shares with $c$ all but one bit. But
# $z$ is $+c$ or $-c$, each with probability ½: any prediction between the two has the same mean error, as large as if nothing were shared.

# %% tags=["check-style-content-12", "check-style-content-13", "check-style-content-14"]
rho = torch.tensor([0.0, 0.5, 0.9]).double()
known = losses.gaussian_information(rho)
for deviation in (1.0, 10.0):
    bound = losses.laplace_information_bound(rho, deviation)
    for r, i, low in zip(rho, known, bound, strict=True):
        print(f"ρ {r:.1f}, σ {deviation:4.1f}: I {i:.2f}, bound {low:6.2f}")
    assert (bound < known).all()

torch.manual_seed(seed)
z = torch.randn(400_000).double()
c = 0.9 * z + math.sqrt(1 - 0.81) * torch.randn(400_000).double()
error = (z - 0.9 * c).abs().mean()  # F_z(c) = ρ c is the best
nats = losses.normal_entropy() - error - math.log(2)
print(f"by 400 000 draws at ρ 0.9: {nats:.3f}")
assert math.isclose(
    nats, losses.laplace_information_bound(rho[2:]).item(), abs_tol=0.01
)
signs = torch.randint(2, (400_000,)) * 2.0 - 1
for share in (-1.5, -1.0, 0.0, 0.5, 1.0, 1.5):
    error = (signs * c - share * c).abs().mean()
    print(f"z = ±c predicted by {share:4.1f} c: error {error:.3f}")
    assert error > 0.79  # that of an independent normal, √(2/π), or more

# %% [markdown]
# The KL of {eq}`eq-style-content-16` bounds the first escape, since it holds codes near to the scale of the prior. The second stays open. So the term
# takes away what a network can predict; it is a help, no proof.
#
# ## Equation 15: attract and repel
#
# The third term uses what one knows of the images: a nodule that is turned or mirrored is the same nodule. Let $x'$ be the image
# $x$ turned by 90°, 180° or 270° or mirrored. Then the contents should be the same, and the styles should not:
#
# $$
# \min_G\ \mathbb{E}_x\big[ \lVert \hat c - \hat c' \rVert - \lVert \hat z - \hat z' \rVert \big] .
# $$ (eq-style-content-15)

# %% tags=["remove-input"]
show_source(losses.self_supervision_loss, content_preserving)

# %% [markdown]
# Where is its minimum? The contents attract each other, down to 0. The styles repel each other with the same force at any distance: the term
# has no minimum. What keeps it finite is again the KL to the prior. Let an image and its copy have the styles $m$ and $-m$ in all
# dimensions, and let the KL be a mean over dimensions: $-2 m + \lambda\, m^2/2$ is least at $m = 2/\lambda$. So $\lambda$ decides how large the styles become;
# with $\lambda = 1$ they go *beyond* the prior, whose deviation is 1. Codes are drawn from their posteriors, though, and two draws lie
# apart without any help: where
# the noise is larger than $m$, the force fades. With deviations of 1 the means repel each other up to $\lambda \approx 2.3$, and beyond that not at all.
#
# And what does it call content? Everything that turning does not change: the size, but also the brightness, of which the condition says nothing.
# (In the paper the content of skin lesions holds the colour, "the result of inductive biases" and of this term.) Of the place it rules out
# what turns with the image, how far right and how
# far up. Not all: the *distance* from the centre is the same in all eight positions that turning and mirroring lead to, and the content may keep it.

# %% tags=["check-style-content-15"]
c, c_turned = torch.tensor([[0.0, 1.0]]), torch.tensor([[0.5, 1.0]])
z, z_turned = torch.tensor([[2.0, 0.0]]), torch.tensor([[-1.0, 0.0]])
by_package = losses.self_supervision_loss(z, c, z_turned, c_turned)
print(f"by hand {0.5 / 2 - 3 / 2}, by package {by_package.item()}")
assert by_package.item() == 0.5 / 2 - 3 / 2

for lam in (0.25, 1.0, 2.0):  # of codes without noise
    m = torch.linspace(0, 10, 2_001)[:, None].expand(-1, 4)
    flat = torch.zeros_like(m)
    repel = losses.self_supervision_loss(m, flat, -m, flat)
    kl = losses.kl_to_standard_normal(m, flat).mean(1)  # of either image
    least = m[(repel + lam * kl).argmin(), 0]
    print(f"λ {lam}: least at m = {least:.2f}")
    assert math.isclose(least, 2 / lam, abs_tol=0.01)

turned = content_preserving(pictures)
assert (turned != pictures).flatten(1).any(1).all()  # none is left as it is

# %% [markdown]
# ## Equation 16: the whole
#
# $$
# \begin{aligned}
# \min_G \max_{D, F}\ & V_{I2I} + V_{dALI} + V_{image\text{-}cycle} + V_{code\text{-}cycle} + V_{GRL} + V_{self} \\
# &+ \lambda D_{KL}(q(z|x) \,\|\, \mathcal{N}(0, I)) + \lambda D_{KL}(q(c|x) \,\|\, \mathcal{N}(0, I)) \\
# &+ \lambda D_{KL}(q(c|t) \,\|\, \mathcal{N}(0, I)) .
# \end{aligned}
# $$ (eq-style-content-16)
#
# from {eq}`eq-style-content-1`, {eq}`eq-style-content-7`, {eq}`eq-style-content-8`, {eq}`eq-style-content-9`, {eq}`eq-style-content-11` and
# {eq}`eq-style-content-15`, in this order. All weights are 1, $\lambda$ as well. The KL holds each *posterior* to the prior, not their
# mixture: its mean over images is $I(x; z)$ and the KL of the mixture, see {eq}`eq-independence-5` of {ref}`independence`. So it charges every nat that a code
# says of its image, and works against {eq}`eq-style-content-5` and {eq}`eq-style-content-6`. But of what is the KL a sum? It is not said. A
# sum over the $D$ dimensions of a code, as in an ELBO, or a mean over them, as of the norms: between the two lies a factor $D$. Of λ the
# paper says that the model "was not overly sensitive" to it; on discs a factor of 4 decides, as the last table shows. We take the mean.

# %% tags=["remove-input"]
show_source(losses.drai_objective)

# %% tags=["check-style-content-16"]
terms = {"game": torch.tensor([1.0, 3.0]), "cycle": torch.tensor([0.5, 0.5])}
kl = {"kl": torch.tensor([[1.0, 2.0], [0.0, 1.0]])}
by_hand = 2 + 0.5 + 0.3 * (1 + 2 + 0 + 1) / 4
assert math.isclose(
    losses.drai_objective(terms, kl, 0.3), by_hand, rel_tol=1e-6
)

torch.manual_seed(seed)
small = DRAI({"size": 3}, style_dim=4, content_dim=4, size=16, width=4)
step = small.update(
    training.batch(slice(0, 16)), **{"size": torch.arange(16) % 3}
)
total = sum(step[name] for name in DRAI.objective)
# KL terms are reported as sums over the four dimensions of a code.
total += sum(value / 4 for name, value in step.items() if name[:3] == "kl_")
print(f"loss {step['loss']:.4f}, its terms together {total:.4f}")
assert math.isclose(step["loss"], total, rel_tol=1e-5)

# %% [markdown]
# Here are the systems, as the package has them; *featureCycle*, *MIReg* and *selfReg* are the paper's names for the three terms.

# %% tags=["remove-input"]
show_source(DAI, DAIFeatureCycle, DAIMIReg, DAISelfReg, DAISelfRegMIReg, DRAI)

# %%
for name, system in {
    "DAI+featureCycle": DAIFeatureCycle,
    "DAI+MIReg": DAIMIReg,
    "DAI+selfReg": DAISelfReg,
    "DRAI": DRAI,
}.items():
    systems[name] = trained(system)
    rows[name] = look(systems[name])
show_table(pd.DataFrame(rows).T[["PSNR", *KNOWS]], 2)

# %% mystnb={"figure": {"caption": "Hybrids by DRAI of the same four discs: content of the row, style of the column.", "name": "fig-style-content-drai"}} tags=["hide-input"]
explore.show(
    explore.image_table(
        torch.cat([four[:, None], hybrids(systems["DRAI"], four)], 1),
        row_labels=[f"image {k}" for k in range(1, 5)],
        column_labels=["content", *(f"style {k}" for k in range(1, 5))],
        alt="Four rows of five discs: an image, and its content with the "
        "styles of four images, by DRAI.",
    )
)

# %% [markdown]
# In {numref}`fig-style-content-drai` the place goes with the column. A dim image still dims its column: some of the brightness and of the
# size comes with the style.
#
# Read the table by its columns, with the three expectations in mind. What the content knows of the place, and what the style knows of the
# size, are leaks. One expectation is met: with MIReg the style knows less of the size. selfReg alone leaves the place in the content, and
# takes the size out of the style. With featureCycle the content loses its *own* factor, the size; a smaller leak is no merit then. All
# three together have the least of both leaks. Terms do not add up, and one run does not say which of this repeats. It is one seed of
# small networks, trained for less than a minute each: a mechanism, and no verdict.
#
# ## The rivals: equations 17 and 18
#
# Four systems of the paper come from other families.
#
# *cInfoGAN* is the conditional game, and an encoder $Q$ that reads the style off a *generated* image, in which it is known:
#
# $$
# \min_{G, Q} \max_D\ V_{GAN}(D, G) - \lambda \big( \mathbb{E}_{\tilde x, c}[\log Q(c|\tilde x)] + H(c) \big) .
# $$ (eq-style-content-17)
#
# What stands in the brackets is again a lower bound of a mutual information, here of code and image; the letter $c$ of the equation is the
# style, in this model's letters $z$. $Q$ has never seen
# a real image when it is asked for the style of one. *D-cInfoGAN* reads off the content, too, "through cycle consistency using the $\ell_1$ norm".
#
# *cAVAE*, a conditional adversarial VAE, starts from the bound that a VAE maximises,
#
# $$
# \max_G\ \mathbb{E}_{z \sim q(z|x)}[\log p(x|z)] - D_{KL}(q(z|x) \,\|\, p(z)) ,
# $$ (eq-style-content-18)
#
# and puts the game of {eq}`eq-style-content-8` in the place of the likelihood. A second discriminator, $D_{x,t}$, sees the reconstruction
# and the condition; a third one image, condition and style.
# *D-cAVAE* also infers the content. These two have no game for images of drawn styles: that such images look right rests on the KL alone.

# %% tags=["remove-input"]
show_source(CInfoGAN, losses.infogan_objective)

# %% tags=["check-style-content-17"]
torch.manual_seed(seed)
z = torch.randn(100_000, 4)
read = z + 0.1 * torch.randn_like(z)  # a Q that is right, but for noise
readers = {
    "reads it, but for noise of 0.1": (
        read,
        torch.full_like(z, math.log(0.01)),
    ),
    "knows the prior and nothing else": (0 * z, 0 * z),
}
for name, (mean, logvar) in readers.items():
    nll = losses.gaussian_code_nll(mean, logvar, z)
    bound = losses.information_bound(losses.normal_entropy(4), nll)
    print(f"Q {name}: {bound.mean():.2f} nats")
    game = torch.ones(len(z))
    objective = losses.infogan_objective(game, bound, 0.25)
    assert torch.isclose(objective, 1 - 0.25 * bound.mean(), rtol=1e-4)
assert abs(bound.mean()) < 0.02  # the prior alone: no information

# %% tags=["check-style-content-18"]
mean, logvar = torch.tensor([[0.5, -1.0]]), torch.tensor([[0.0, -1.0]])
kl = losses.kl_to_standard_normal(mean, logvar)
by_hand = (0.25 / 2, (1 + math.exp(-1) - 1 + 1) / 2)
print(f"KL by hand {by_hand[0]:.3f}, {by_hand[1]:.3f}; by package {kl.numpy()}")
assert torch.allclose(kl, torch.tensor([by_hand]))
sse = torch.tensor([3.0])
elbo = losses.beta_vae_objective(sse / 2, kl, beta=1.0)
assert math.isclose(elbo, 1.5 + sum(by_hand), rel_tol=1e-6)

# %% [markdown]
# ## Equation 19: does the measure see it?
#
# The paper measures the separation of style and content by a *{term}`cross image feature consistency`* error (CIFC). Take two images $I_a$
# and $I_b$ and exchange their codes: $I_{ab} = G_x(\hat z_b, \hat c_a)$ and $I_{ba} = G_x(\hat z_a, \hat c_b)$. Infer codes from these two
# and exchange again, $I_{aa} = G_x(\hat z_{ba}, \hat c_{ab})$ and
# $I_{bb} = G_x(\hat z_{ab}, \hat c_{ba})$, and you should be back at the beginning:
#
# $$
# CIFC = \mathbb{E}_{(I_a, I_b)}\big[ \lVert \hat z_a - \hat z_{aa} \rVert + \lVert \hat c_a - \hat c_{aa} \rVert
#   + \lVert \hat z_b - \hat z_{bb} \rVert + \lVert \hat c_b - \hat c_{bb} \rVert \big] .
# $$ (eq-style-content-19)
#
# Its authors ask of it that information be encoded "the same way for all images", and that it be "handled by only one of the two
# variables". In their tables it falls from 1.1 to 0.5 from DAI to DRAI on nodules, and from 0.26 to 0.21 on lesions; D-cInfoGAN and D-cAVAE
# have 1.2 to 1.9. On two images it can be computed by hand. In the check an
# image *is* its style and its content, two numbers side by side; the generator is right, or lets a tenth of the style into the content.

# %% tags=["check-style-content-19"]
pair = torch.tensor([[1.0, 3.0], [-2.0, 0.5]]).reshape(2, 1, 1, 2)


def encode(x):
    return x[:, 0, :, 0], x[:, 0, :, 1]


def leaky(amount):
    return lambda z, c: torch.stack([z, c + amount * z], 2)[:, None]


for amount in (0.0, 0.1):
    score = cifc(encode, leaky(amount), pair)
    # Exchanged once, c_ab = c_a + amount z_b; again, c_aa = c_ab + amount z_a.
    z_a, z_b = 1.0, -2.0
    by_hand = 2 * amount * abs(z_a + z_b)
    print(f"leak {amount}: CIFC {score.score:.3f}, by hand {by_hand:.3f}")
    assert math.isclose(score.score, by_hand, abs_tol=1e-6)

# %% [markdown]
# Does it see what it should? Think of four systems that do not separate anything better, or at all:
#
# - **nothing**: all images get the same codes. There is nothing to get wrong, and CIFC is 0;
# - **small**: a good system, with codes a tenth as large: a tenth of the error;
# - **all in one**: the style holds the whole image, and the generator ignores the content, which is constant. What is exchanged is the image: 0;
# - **another image**: the encoders find in a real image the codes of some *other* picture, and are right about all generated ones. From the
#   first exchange on everything is right, and nobody has looked whether
#   the pictures have to do with $I_a$ and $I_b$. CIFC compares codes with codes, never a picture with a picture.
#
# Against the first two there is a remedy: divide CIFC by what it would be if the codes that come back were those of another image of the
# set. Then the scale does not matter, and for constant codes, where both
# are 0, we call the ratio 1, since they say nothing. A perfect system has 0 and one without memory 1; it may exceed 1, if codes come back
# worse than those of another image. Against the other two it does not help. *All in one*
# is seen by *resampling*: keep one code, draw the other anew, and measure what stayed: {py:func}`medlatent.metrics.style_content.kept`.
# *Another image* is seen by a look at reconstructions.
#
# And a leak may be missed: in the check the leaks of the two exchanges add up with their signs, $z_a + z_b$, so that two images of opposite
# styles show nothing of it.

# %%
summed = {"DAI, KL summed": trained(DAI, lambda_kl=4.0)}
for name, model in ({"D-cInfoGAN": trained(DCInfoGAN)} | summed).items():
    systems[name] = model
    rows[name] = look(model)
frame = pd.DataFrame(rows).T
frame["leak"] = frame["content: place"] + frame["style: size"]
KEPT = ["kept by content", "kept by style"]
show_table(frame[["leak", "PSNR", "CIFC", "relative", *KEPT]], 2)

# %% [markdown]
# In this table the leak is the sum of what the content knows of the place and what the style knows of the size. If CIFC saw it, the column
# would fall and rise with that of the leak. The last two columns resample: one code of an image is kept, the other is drawn anew eight
# times, and the number is the share of the variance of the brightness in the middle that the kept code decides. Look at three rows:
#
# - *DRAI* has the least leak, and the *largest* CIFC: its codes spread most. Another image's codes would be off by CIFC divided by
#   *relative*, and that is nearly five times what it is in DAI. Against this scale it stands well.
# - *DAI, KL summed* over the four dimensions of a code in place of averaged: a CIFC of a third of DAI's, because its codes have drawn
#   together at the centre of the prior. Beside chance it is the worst.
# - *D-cInfoGAN* has the best ratio to chance, and a leak of several times DRAI's. It is near to *all in one*: a kept style decides much of
#   what is in the middle, and a kept content nothing.
#
# A comparison by CIFC needs codes of one scale, and a look at the images. {ref}`style-content-results` asks the same of eight systems on real
# images.
#
# ## What to know before you rebuild it
#
# **Where the text stumbles.** In the text that we worked from, a transcript, so that some of it may be the transcript's:
#
# - {eq}`eq-style-content-1`: the mismatched real image is printed as $\tilde x$, which is the generated one ("where $\tilde x = G_x(z, c)$
#   is the generated image and $(\tilde x, t)$ designates a mis-matched pair"). Read so, no mismatched pair would be left.
# - {eq}`eq-style-content-7` has $c \sim p(c)$, and {eq}`eq-style-content-1` $c \sim q(c)$, which abbreviates $q_\varphi(c|t)$. One content
#   is drawn and used in both.
# - {eq}`eq-style-content-8`: $D_{cycle}(x, \hat x)$ in the first term, too, and pairs "$(x, \hat x)$ and $(x, \hat x)$" in the text. The
#   positive pair is $(x, x)$, as in Li et al., whom it follows.
# - Below {eq}`eq-style-content-10` the KL stands once as $D_{KL}(p \| q)$ and once as $D_{KL}(q \| p)$. Only the first is true, since the
#   expectation is over $p$.
# - {eq}`eq-style-content-16` begins with "$V_{DRAI}$", which is $V_{I2I}$, the conditional game.
#
# **What is left open.** There is no public program. What the paper does not state, and what was chosen here, for all systems alike:
#
# - **Layers, dimensions, batch, epochs.** Not stated. All encoders, all discriminators are of one kind and width; see {py:mod}`medlatent.nets.style_content`.
# - **The reduction of norms and KL.** Not stated. Means over dimensions.
# - **The mismatched pairs.** "A mis-matched pair": here the condition is drawn from those in the batch that *differ*. With three classes of
#   which one has half of
#   the images, the next image's condition is the same in three of eight cases, and a matched pair would be called mismatched.
# - **"Each batch is trained twice"**, as it is and transformed. Here both passes are one update, since {eq}`eq-style-content-15` compares
#   them; systems without that term get
#   them as well, so that all have seen the same images.
# - **$D_{x,t,z}$** of cAVAE "also takes advantage of the latent code $\hat z$": here an image or its reconstruction beside the same
#   condition and the same code.
# - **The rivals.** The paper gives cInfoGAN $G_x(z, t)$ and no mismatched pairs; here all systems draw $c$ from $q(c|t)$ and have them, so
#   that only the terms differ. λ of {eq}`eq-style-content-17` is not stated: $1/D_z$ here.
# - **Rates.** The paper has 1e-5 throughout. Discs are trained with 1e-3, and their discriminators with 3e-4, to be done in a minute.
# - **The reversal's strength**, and whether the code that is predicted is reversed, too. {eq}`eq-style-content-11` is minimised over both, and so it is here.
# - **Two notions of content.** By definition it is what goes with the condition. What the paper calls content of a skin lesion, its colour,
#   is in no condition: it is what
#   turning leaves as it is. On nodules the two agree on the size, and differ on the lung's density, the noise and whether a wall is near:
#   no condition says these, and no turn changes them.

# %% tags=["remove-cell"]
publish_metrics(
    "style_content",
    {
        "dai_style_knows_size": rows["DAI"]["style: size"],
        "dai_content_knows_place": rows["DAI"]["content: place"],
        "drai_style_knows_size": rows["DRAI"]["style: size"],
        "drai_content_knows_place": rows["DRAI"]["content: place"],
        "drai_psnr": rows["DRAI"]["PSNR"],
        "summed_cifc": rows["DAI, KL summed"]["CIFC"],
        "summed_relative": rows["DAI, KL summed"]["relative"],
    },
)

# %% [markdown]
# ## Quiz

# %% tags=["quiz", "hide-input"]
from jupyterquiz import display_quiz

display_quiz(
    [
        {
            "question": "A conditional GAN with mismatched pairs has come to the end of its game. What does it draw for a condition?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "where conditions share images, images more typical of the condition than real ones",
                    "correct": True,
                    "feedback": "Yes: 2 p(x|t) - p(x). It makes up for the mismatched pairs.",
                },
                {
                    "answer": "images distributed as those of the condition",
                    "correct": False,
                    "feedback": "That holds without mismatched pairs. With them half of the negatives are not its own.",
                },
                {
                    "answer": "the average image of the condition",
                    "correct": False,
                    "feedback": "No term rewards an average; the discriminator would recognise it.",
                },
            ],
        },
        {
            "question": "Style and content are drawn independently. Are they independent given the image?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "not in general",
                    "correct": True,
                    "feedback": "Yes. Where an image shows how the two differ, either one tells the other.",
                },
                {
                    "answer": "always",
                    "correct": False,
                    "feedback": "Look at the two bits of which the image shows whether they differ.",
                },
                {
                    "answer": "if the encoders are separate networks",
                    "correct": False,
                    "feedback": "That decides what the encoders can hold, not what is true.",
                },
            ],
        },
        {
            "question": "The error with which the style is predicted from the content has risen in training. What follows?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "nothing for certain about their mutual information",
                    "correct": True,
                    "feedback": "Yes: a lower bound has fallen. The style may have become larger, or hide what it shares in its sign.",
                },
                {
                    "answer": "they share less",
                    "correct": False,
                    "feedback": "A lower bound has fallen. What they share is only known to lie above it.",
                },
                {
                    "answer": "they are independent",
                    "correct": False,
                    "feedback": "Even an error as large as that of the best constant does not say so: z = ±c.",
                },
            ],
        },
        {
            "question": "λ = 0.5 in -2m + λ m²/2, for styles m and -m of an image and its mirror image. At which m is it least?",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "value",
                    "value": 4,
                    "correct": True,
                    "feedback": "Yes: m = 2/λ, four standard deviations of the prior.",
                },
                {
                    "type": "value",
                    "value": 2,
                    "correct": False,
                    "feedback": "The KL is that of each of two images, whose mean counts: λ m²/2.",
                },
                {
                    "type": "default",
                    "feedback": "Set the derivative -2 + λ m to 0.",
                },
            ],
        },
        {
            "question": "Two systems have CIFC 0.4 and 0.9. Which separates style and content better?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "One cannot say.",
                    "correct": True,
                    "feedback": "Yes. The codes of the first may be small, or one of them idle. Compare with what chance gives, and resample one code.",
                },
                {
                    "answer": "the first",
                    "correct": False,
                    "feedback": "Constant codes would have 0.",
                },
                {
                    "answer": "the second",
                    "correct": False,
                    "feedback": "Its codes may be larger; that alone is no merit.",
                },
            ],
        },
        {
            "question": "A property is named in no condition and is not changed by turning the image. In which code does DRAI put it?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "in the content, if in any",
                    "correct": True,
                    "feedback": "Yes: the self-supervised term calls content what turning leaves as it is.",
                },
                {
                    "answer": "in the style, since the condition does not say it",
                    "correct": False,
                    "feedback": "By the paper's definition it would belong there. The loss goes by turning, not by the definition.",
                },
                {
                    "answer": "in both",
                    "correct": False,
                    "feedback": "Reversed gradients work against it.",
                },
            ],
        },
    ]
)

# %% [markdown]
# ## Limits, summary, further reading
#
# **Limits.** Discs of one seed show mechanisms and prove nothing about images of patients: {ref}`style-content-results` has the ten systems
# on nodules and on lesions, over five seeds, and the verdicts on the paper's claims. What a code "knows" was asked of a line; a leak
# that no line finds stays unseen.
#
# **Summary.**
# - A matching-aware conditional GAN {eq}`eq-style-content-1` draws images that are more typical of their condition than real ones, where
#   conditions share images.
# - A game between joint distributions {eq}`eq-style-content-2` infers codes without a likelihood. Two separate encoders
#   {eq}`eq-style-content-3` hold a product of posteriors, and
#   two games {eq}`eq-style-content-7` may be over while image, style and content do not belong together; the cycle of images
#   {eq}`eq-style-content-8` asks for that.
# - Nothing in these games keeps the size out of the style. Cycles of codes {eq}`eq-style-content-9` are meant to work against generators
#   that mix, reversed gradients {eq}`eq-style-content-11` against
#   what is written down twice, transformed images {eq}`eq-style-content-15` against what turns with the image.
# - Lowering a lower bound of the mutual information {eq}`eq-style-content-13` proves little; and the repelling term has no minimum but for the KL.
# - CIFC {eq}`eq-style-content-19` is small for small codes and for idle ones. Read it beside chance.
#
# **Exercises.** {ref}`style-content-exercises`: each checks your answer and says what is wrong with it.
#
# **Further reading.** Havaei et al. {cite:p}`havaei2021`; Lao et al. {cite:p}`lao2019`, whose system DAI is; Dumoulin et al.
# {cite:p}`dumoulin2017` and Donahue et al.
# {cite:p}`donahue2017` on inferring codes by a game, and Li et al. {cite:p}`li2017` on what it leaves open; Reed et al. {cite:p}`reed2016`
# on mismatched pairs; Ganin and
# Lempitsky {cite:p}`ganin2015` on reversed gradients.
#
# **The functions of this chapter** in the API reference: {py:func}`medlatent.losses.conditional_discriminator_loss` {eq}`eq-style-content-1`,
# {py:func}`medlatent.losses.ali_discriminator_loss` {eq}`eq-style-content-2`, {py:func}`medlatent.losses.factorised_posterior` {eq}`eq-style-content-3`,
# {py:func}`medlatent.losses.dual_ali_discriminator_loss` {eq}`eq-style-content-7`,
# {py:func}`medlatent.losses.image_cycle_discriminator_loss` {eq}`eq-style-content-8`,
# {py:func}`medlatent.losses.code_cycle_loss` {eq}`eq-style-content-9`, {py:func}`medlatent.losses.reversed_prediction_loss` {eq}`eq-style-content-11`,
# {py:func}`medlatent.losses.gaussian_information` {eq}`eq-style-content-12`, {py:func}`medlatent.losses.laplace_information_bound` {eq}`eq-style-content-13`,
# {py:func}`medlatent.losses.self_supervision_loss` {eq}`eq-style-content-15`, {py:func}`medlatent.losses.drai_objective` {eq}`eq-style-content-16`,
# {py:func}`medlatent.losses.infogan_objective` {eq}`eq-style-content-17`, {py:func}`medlatent.metrics.style_content.cifc`
# {eq}`eq-style-content-19`; the systems,
# {py:class}`medlatent.models.DRAI` and others, are made of the terms in {py:mod}`medlatent.models.style_content_terms`.
