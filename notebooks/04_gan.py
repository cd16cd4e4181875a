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
#     about: 'a game in place of a likelihood: the best discriminator, losses and aids,
#       collapse and what cures it, conditions, and the search for codes without an
#       encoder'
#     needs:
#     - vae
#     sessions:
#     - class: '{ref}`gan` up to instance noise: the best discriminator on the board,
#         whose slope teaches whom'
#       homework: '{ref}`gan-exercises` 1 to 4'
#     - class: '{ref}`gan` from training on: what a loss tells, collapse and cures,
#         conditions, latent search'
#       homework: '{ref}`gan-exercises` 5 and 6, quiz'
# ---

# %% [markdown]
# (gan)=
# # Generative adversarial networks
#
# :::{admonition} What you will be able to do
# :class: tip
# - derive the minimax game from the estimation of a density ratio, and compute the best discriminator of two known
#   densities;
# - say what a generator's loss, label smoothing and instance noise each change, and show it with a number;
# - read the losses of a GAN, and know what they do not tell;
# - provoke two kinds of collapse, measure them, and test cures;
# - derive the critic of a Wasserstein GAN, its gradient penalty, spectral normalisation and the conditional game, and say
#   what each is for;
# - find the code of an image in a model without an encoder, and say how far the result can be trusted.
#
# **You need** the chapter {ref}`vae`. **Time**: two and a half hours of reading and trying. **Device**: a laptop; the measured run time
# stands on the page {doc}`/book/execution_times`.
# :::

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% tags=["hide-input"]
from medlatent.course import (
    choose,
    fit,
    publish_metrics,
    recorded_runs,
    seed_values,
    show_source,
    show_table,
)
from medlatent.evaluation import domain_classifier

settings = choose(
    {
        "ci": {
            "width": 16,  # of the networks on digits
            "steps": 400,  # of the digit GAN and of the conditional one
            "ring": 350,  # steps of each run on the ring
        },
        "laptop": {
            "width": 32,
            "steps": 3_000,
            "ring": 2_000,
        },
        "paper": {
            "width": 128,  # of Radford et al. 2016
            "steps": 50_000,
            "ring": 20_000,
        },
    },
    profile,
)
settings

# %% tags=["hide-input"]
import math

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import stats
from torch import nn

from medlatent import explore, losses
from medlatent.data import open_images
from medlatent.metrics.generation import frechet_distance, inception_score
from medlatent.models import GAN, SpectralGAN, draw_images, invert
from medlatent.nets import DCGANDiscriminator, DCGANGenerator

_ = torch.manual_seed(seed)
digits = open_images("mnist.digits")
train_digits, test_digits = digits.split("train"), digits.split("test")

# %% [markdown]
# ## Where this leads
#
# Two generators, recorded with this course. Each turns a few random numbers, 16 for a digit and 32 for a lesion, into a
# picture. {numref}`fig-gan-goal-digits` shows one that was trained on 4 016 handwritten digits, and
# {numref}`fig-gan-goal-lesions` one that was trained on photographs of skin lesions, 32 pixels a side, from HAM10000
# {cite:p}`tschandl2018`. No picture in these two figures was written by a hand or belongs to a patient. In the last row of each figure
# the random numbers go in equal steps from one choice to another, and the pictures follow.

# %% tags=["hide-input"]
recorded = recorded_runs("gan")


def drawn_and_between(model, alt):
    """Twenty draws of a generator, and ten steps from one code to another."""
    codes, images = draw_images(model, 22, seed=3)
    share = torch.linspace(0, 1, 10)[:, None]
    with torch.inference_mode():
        way = model.decode(torch.lerp(codes[20], codes[21], share))
    explore.show(
        explore.image_table(
            torch.stack([images[:10], images[10:20], way]),
            row_labels=["drawn", "", "from one to another"],
            alt=alt,
        )
    )


# %% mystnb={"figure": {"caption": "What the recorded GAN of digits draws, without any choice: the first twenty codes of a fixed seed. Last row: from one code to another.", "name": "fig-gan-goal-digits"}} tags=["hide-input"]
digit_generator = recorded["digits_gan"].load_model()
drawn_and_between(
    digit_generator,
    "Three rows of ten pictures: two of drawn digits, most of which can be "
    "read, and one in which a digit turns into another.",
)

# %% mystnb={"figure": {"caption": "What the GAN draws that was recorded on patches of HAM10000, without any choice. Last row: from one code to another. None of them is a photograph.", "name": "fig-gan-goal-lesions"}} tags=["hide-input"]
lesion_generator = recorded["ham10000_gan"].load_model()
drawn_and_between(
    lesion_generator,
    "Three rows of ten pictures: two of drawn skin lesions of several colours "
    "and sizes, and one in which a lesion turns into another.",
)

# %% [markdown]
# ## The question
#
# A {ref}`VAE <vae>` is fitted by a likelihood, here that of a Gaussian around the decoded image. If an image could be a
# 4 or a 9, the best answer to a squared error is their average, which is neither. {numref}`fig-gan-blur` shows it in its
# purest form: the mean of many digits is the best single guess, and nobody has ever written it.

# %% mystnb={"figure": {"caption": "Above: eight digits. Below: for each, the mean of 400 images of the same digit, the picture with the least squared error to all of them.", "name": "fig-gan-blur"}} tags=["hide-input"]
kinds = train_digits.table["digit"].to_numpy()
means, first_ones = [], []
for digit in "02345789":
    of_this = train_digits.batch(np.flatnonzero(kinds == digit)[:400])
    first_ones.append(of_this[0])
    means.append(of_this.mean(0))
explore.show(
    explore.image_table(
        torch.stack([torch.stack(first_ones), torch.stack(means)]),
        row_labels=["a digit", "mean of its kind"],
        alt="Two rows of eight pictures: single handwritten digits above, "
        "below the mean of all digits of the same kind, which are blurred.",
    )
)

# %% [markdown]
# What if the model were not asked for the likelihood of each image, but only that *its images cannot be told from real
# ones*? A blurred digit is found out at once. This is the idea of the generative adversarial network, the GAN
# {cite:p}`goodfellow2014`. A {term}`generator` $G$ turns a code $z \sim \mathcal{N}(0, I)$ into an image. A second network,
# the {term}`discriminator`, is trained to tell these images from real ones, and the generator is trained to deceive it.
#
# The exchange has a price. A GAN draws images, but it says of no image how probable it is, and for no image which code it came
# from. In medicine there is another danger. GANs fill up rare training sets, turn one modality into another, and sharpen
# scans. Nothing in "cannot be told from real ones" says that a sharp detail is *true*. A generator may draw a lesion that is not there, or
# leave out one that is, and it looks right either way; Cohen et al. {cite:p}`cohen2018` show this for
# image-to-image translation with a biased training set. Sharpness is no evidence.
#
# ## The game
#
# **A ratio of densities from a classifier.** Let $p$ be the density of real images and $q$ that of generated ones. Toss a coin,
# and draw $x$ from $p$ or from $q$. By Bayes' rule the probability that $x$ is real is $p(x) / (p(x) + q(x))$, and its logit
# is $\log p(x) - \log q(x)$. Neither density can be computed. But a classifier can be *trained* to say whether an image
# is real, from samples alone, and if it is a good one its logit is the log-ratio of two densities that nobody can write down.
#
# A classifier $D(x)$, the probability of "real", is trained by maximising its mean log-likelihood, here up to a factor ½:
#
# $$
# \begin{gathered}
# V(D, G) = \mathbb{E}_{x \sim p}[\log D(x)] + \mathbb{E}_{z}[\log (1 - D(G(z)))] , \\
# \min_G \max_D V(D, G) .
# \end{gathered}
# $$ (eq-gan-1)
#
# $D$ raises the value, $G$ lowers it: a minimax game. The package's discriminator minimises $-V$, and takes logits
# $\ell = \log \frac{D}{1 - D}$. Then $-\log D = \log (1 + e^{-\ell})$, the softplus of $-\ell$, and no logarithm of 0 is
# ever taken. The argument `smoothing` is 0 here; {eq}`eq-gan-7` explains it.

# %% tags=["remove-input"]
show_source(losses.discriminator_loss, losses.saturating_deception_loss)

# %% [markdown]
# The check writes {eq}`eq-gan-1` with probabilities and logarithms, and then asks both for a logit of 120. That image is
# so surely real that 32 bits cannot hold $1 - D$.

# %% tags=["check-gan-1"]
real, fake = torch.randn(1_000) + 1, torch.randn(1_000) - 1
value = real.sigmoid().log().mean() + (1 - fake.sigmoid()).log().mean()
by_package = losses.discriminator_loss(real, fake).mean()
of_generator = losses.saturating_deception_loss(fake).mean()
print(
    f"V by probabilities {value:.5f}, minus the package's loss {-by_package:.5f}"
)
assert torch.isclose(value, -by_package, rtol=1e-5)
assert torch.isclose((1 - fake.sigmoid()).log().mean(), of_generator, rtol=1e-5)

sure = torch.tensor(120.0)
naive = (1 - sure.sigmoid()).log()
stable = losses.saturating_deception_loss(sure)
print(f"log(1 - D) at the logit 120: {naive:.0f} by sigmoid, {stable:.0f} here")
assert torch.isinf(naive)
assert stable == -120

# %% [markdown]
# **The best discriminator.** Let $D$ take any value at any $x$. Then
# $V = \int \bigl(p \log D + q \log (1 - D)\bigr)\,\mathrm{d}x$ is maximised at each
# $x$ by itself. The derivative of the integrand, $p / D - q / (1 - D)$, vanishes at
#
# $$
# \begin{aligned}
# D^\star(x) &= \frac{p(x)}{p(x) + q(x)}, \\
# \ell^\star(x) &= \log p(x) - \log q(x) ,
# \end{aligned}
# $$ (eq-gan-2)
#
# and the second derivative is negative, so this is the maximum. It is Bayes' rule again. The later chapters come back to it:
# {ref}`adversarial-vae` with reconstructions in the place of generated images, {ref}`hsic-infogan` with a code that the images have to show.
#
# We check it on two densities that we know, $p = \mathcal{N}(0, 1)$ and $q = \mathcal{N}(1, 0.6^2)$. Their log-ratio is a
# quadratic function of $x$. So a discriminator with the features 1, $x$ and $x^2$ has exactly the right form, and training it on samples must give
# the right three numbers.

# %% tags=["check-gan-2"]
normal = torch.distributions.Normal
p_known = normal(torch.zeros((), dtype=torch.float64), 1.0)
q_known = normal(torch.ones((), dtype=torch.float64), 0.6)


def features(x):
    """1, x and x², (N, 3)."""
    return torch.stack([torch.ones_like(x), x, x.square()], 1)


def train_quadratic(loss, n=100_000):
    """Fits the logit w · (1, x, x²) to samples of both densities."""
    torch.manual_seed(seed)
    a, b = (features(d.sample((n,))) for d in (p_known, q_known))
    w = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([w], max_iter=100)

    def closure():
        optimiser.zero_grad()
        value = loss(a @ w, b @ w).mean()
        value.backward()
        return value

    optimiser.step(closure)
    return w.detach()


trained = train_quadratic(losses.discriminator_loss)
variance = 0.6**2
exact = torch.tensor(
    [
        0.5 * math.log(variance) + 0.5 / variance,
        -1 / variance,
        0.5 / variance - 0.5,
    ],
    dtype=torch.float64,
)
print("trained logit", *(f"{v:+.3f}" for v in trained.tolist()))
print("log p - log q", *(f"{v:+.3f}" for v in exact.tolist()))
assert torch.allclose(trained, exact, atol=0.06)

# %% mystnb={"figure": {"caption": "Left: the two densities. Right: the trained discriminator and the best one. Where there are samples they agree.", "name": "fig-gan-optimal"}} tags=["hide-input"]
grid = torch.linspace(-8, 8, 8_001, dtype=torch.float64)
width = (grid[1] - grid[0]).item()
p, q = p_known.log_prob(grid).exp(), q_known.log_prob(grid).exp()
shown = (grid > -3.5) & (grid < 3.5)
fig, (left, right) = explore.figure(7, 2.6, columns=2)
left.plot(grid[shown], p[shown], label="p, real")
left.plot(grid[shown], q[shown], label="q, generated")
right.plot(grid[shown], (p / (p + q))[shown], lw=4, alpha=0.4, label="D*")
right.plot(
    grid[shown], (features(grid) @ trained).sigmoid()[shown], label="trained"
)
left.set(xlabel="x", ylabel="density")
right.set(xlabel="x", ylabel="probability of real")
for axis in (left, right):
    axis.grid()
    axis.legend(fontsize=8)
fig.alt = (
    "Left: two Gaussian densities, the real one wide around 0, the generated "
    "one narrow around 1. Right: the best discriminator is low around x = 1, "
    "and high to the left and far to the right; the trained one lies on it."
)
explore.show(fig)

# %% [markdown]
# In {numref}`fig-gan-optimal`, $D^\star$ rises again on the far right. There the generated density, which is the narrower one, falls off faster. A
# discriminator does not say "large $x$ is
# fake". It says where the generator draws too much, and where too little.
#
# **What the generator minimises.** Put $D^\star$ into {eq}`eq-gan-1` and write $\log \frac{p}{p + q} = \log \frac{p}{(p + q)/2} - \log 2$, and the
# same for $q$. The integrals of $p$ and $q$ are 1, so that $\log 2$ is subtracted twice, and what is left are two
# {term}`Kullback–Leibler divergences <KL divergence>`:
#
# $$
# \begin{aligned}
# V(D^\star, G) &= 2\, \mathrm{JSD}(p, q) - 2 \log 2, \\
# \mathrm{JSD}(p, q) &= \tfrac12 \mathrm{KL}\!\left(p \,\Big\|\, \tfrac{p + q}{2}\right) \\
# &\quad + \tfrac12 \mathrm{KL}\!\left(q \,\Big\|\, \tfrac{p + q}{2}\right) .
# \end{aligned}
# $$ (eq-gan-3)
#
# The {term}`Jensen–Shannon divergence` is 0 where the densities agree, because both divergences are, and positive elsewhere. Since
# $p / \frac{p + q}{2} \le 2$, neither divergence exceeds $\log 2$. Both reach it where the densities nowhere overlap. So the value runs from $-2 \log 2$,
# nothing can be told, to 0.
#
# Programs report the *loss* $-V$, whose sign is the other one: it is at most $2 \log 2 = 1.386$ for the best discriminator. In training a loss of 1.386
# may also mean that the discriminator is a poor one. The divergence by itself, with a number by hand, stands in {ref}`mathematics`.

# %% tags=["check-gan-3"]
middle = (p + q) / 2
jsd_known = (
    0.5 * width * (p * (p / middle).log() + q * (q / middle).log()).sum().item()
)
best = p_known.log_prob(grid) - q_known.log_prob(grid)
value = -width * (  # ±1e3: a logit whose term is 0
    p * losses.discriminator_loss(best, torch.full_like(best, -1e3))
    + q * losses.discriminator_loss(torch.full_like(best, 1e3), best)
)
value = value.sum().item()
print(f"V(D*, G) by quadrature {value:.5f}")
print(f"2 JSD - 2 log 2        {2 * jsd_known - 2 * math.log(2):.5f}")
assert abs(value - 2 * jsd_known + 2 * math.log(2)) < 1e-6

# %% [markdown]
# In theory the game is thus won: $2\,\mathrm{JSD}$ has its minimum, 0, exactly at $q = p$. The rest of the chapter is about what theory leaves out. The
# discriminator is not the best one, it changes with each step, and the generator follows the slope of a moving target.
#
# ## Three losses of the generator
#
# The generator can change the second term of {eq}`eq-gan-1` alone,
# $\log (1 - D(\hat x))$ with $\hat x = G(z)$. From $D = 1 / (1 + e^{-\ell})$ follows $\partial D / \partial \ell = D (1 - D)$. So its slope
# with respect to the logit is $-D (1 - D) / (1 - D) = -D(\hat x)$. An image that is found out has $D \approx 0$, and no slope. At the
# beginning of a training *all*
# images are found out. Goodfellow et al. therefore let the generator minimise $-\log D(\hat x)$, the {term}`non-saturating loss`. Its
# slope is $-D (1 - D) / D = D - 1$, which is steepest, $-1$, where an image is found out. (All these slopes are negative: to descend is to raise the logit.)
#
# $$
# \begin{gathered}
# \mathcal{L}_G = -\mathbb{E}_z \log D(G(z)), \\
# \frac{\partial}{\partial \ell} \log(1 - D) = -D, \qquad \frac{\partial}{\partial \ell} (-\log D) = D - 1 .
# \end{gathered}
# $$ (eq-gan-4)

# %% tags=["remove-input"]
show_source(losses.deception_loss)

# %% tags=["check-gan-4"]
logits = torch.linspace(-8, 8, 161, requires_grad=True)


def slope(loss):
    """The derivative of a generator's loss with respect to D's output."""
    return torch.autograd.grad(loss(logits).sum(), logits)[0]


D = logits.detach().sigmoid()
slopes = {
    "minimax": slope(losses.saturating_deception_loss),
    "non-saturating": slope(losses.deception_loss),
    "least squares": slope(losses.least_squares_deception_loss),
}
assert torch.allclose(slopes["minimax"], -D, atol=1e-6)
assert torch.allclose(slopes["non-saturating"], D - 1, atol=1e-6)
for name, of_loss in slopes.items():
    print(f"{name:<15} slope at output -8: {of_loss[0]:+.4f}")

# %% [markdown]
# With the new loss the two networks no longer play one game {eq}`eq-gan-1`, and {eq}`eq-gan-3` does not say what the generator
# minimises. With $D^\star$ held fixed the slope of $-\mathbb{E}_q \log D^\star = \mathbb{E}_q \log \frac{p + q}{p}$ is that of
# $\mathrm{KL}(q\,\|\,p) - 2\,\mathrm{JSD}(p, q)$ {cite:p}`arjovsky2017`. That too stands still where the densities agree.
#
# The third is a game of its own, the {term}`least-squares GAN` {cite:p}`mao2017`. Its discriminator has no sigmoid. It is a regression with the
# target $b$ on real
# images and $a$ on generated ones, and the generator aims at $c$:
#
# $$
# \begin{aligned}
# \mathcal{L}_D &= \tfrac12 \mathbb{E}_p (D(x) - b)^2 + \tfrac12 \mathbb{E}_z (D(G(z)) - a)^2, \\
# \mathcal{L}_G &= \tfrac12 \mathbb{E}_z (D(G(z)) - c)^2 .
# \end{aligned}
# $$ (eq-gan-5)
#
# At each $x$ the discriminator's loss is a parabola in $D$ with its minimum at
#
# $$ D^\star = \frac{b\, p + a\, q}{p + q} , $$
#
# the mean of the two targets as the densities weight them. No quadratic function has the form of this $D^\star$. So the check sorts $x$ into 20
# bins, gives $D$ a value of its own in each,
# and trains this table with the package's loss.

# %% tags=["remove-input"]
show_source(
    losses.least_squares_discriminator_loss,
    losses.least_squares_deception_loss,
)

# %% tags=["check-gan-5"]
a, b = -0.5, 1.5  # other than the defaults, to see them at work
edges = torch.linspace(-2, 3, 21, dtype=torch.float64)
share_p, share_q = (
    (d.cdf(edges[1:]) - d.cdf(edges[:-1])) for d in (p_known, q_known)
)
D = torch.zeros(20, dtype=torch.float64, requires_grad=True)
at_a, at_b = (torch.full_like(D, target).detach() for target in (a, b))
optimiser = torch.optim.LBFGS([D], max_iter=100, tolerance_grad=1e-12)


def closure():
    """L_D with D as a table of 20 values."""
    optimiser.zero_grad()
    of_real = losses.least_squares_discriminator_loss(D, at_a, a, b)
    of_fake = losses.least_squares_discriminator_loss(at_b, D, a, b)
    value = (share_p * of_real + share_q * of_fake).sum()
    value.backward()
    return value


optimiser.step(closure)
expected = (b * share_p + a * share_q) / (share_p + share_q)
furthest = (D.detach() - expected).abs().max().item()
print(f"largest distance of the trained table from D*: {furthest:.1e}")
assert furthest < 1e-3
aim = losses.least_squares_deception_loss(D, c=0.5)
assert torch.equal(aim, 0.5 * (D - 0.5) ** 2)

# %% [markdown]
# Which divergence belongs to this game? Mao et al. add $\tfrac12 \mathbb{E}_p (D - c)^2$ to the generator's loss, which
# for a given $D$ does not depend on $G$. Then they put in $D^\star$. If the targets obey $b - c = 1$ and $b - a = 2$, then $D^\star - c =
# (p - q) / (p + q)$, and
#
# $$
# \begin{aligned}
# \tfrac12 \mathbb{E}_p (D^\star - c)^2 + \tfrac12 \mathbb{E}_q (D^\star - c)^2
# &= \tfrac12 \int \frac{(p - q)^2}{p + q} \,\mathrm{d}x \\
# &= \tfrac12\, \chi^2\!\left(p + q \,\|\, 2 q\right) ,
# \end{aligned}
# $$ (eq-gan-6)
#
# half the Pearson $\chi^2$ divergence, in the notation of Mao et al. {cite:p}`mao2017`, who divide by the first density: $\chi^2(r\,\|\,s)
# = \int (r - s)^2 / r \,\mathrm{d}x$. The usual targets, $a = 0$ and $b = c = 1$,
# break both
# conditions. Does it matter? The same sum is then $\tfrac12 \int q^2 / (p + q)\,\mathrm{d}x$. Since $(p - q)^2 = (p + q)^2 - 4pq$ and $q^2
# = q (p + q) - pq$, this
# is
# $\tfrac14 + \tfrac18 \chi^2$: another scale, and the same divergence.
#
# This is not yet what a step does. The generator holds $D$ fixed in its step, and $D^\star$ minimises $\mathcal{L}_D$, not
# this sum. So the slope of the generator's loss at $D^\star$ is in general not the slope of the divergence. In
# {eq}`eq-gan-3` the two agree, because $D^\star$ maximises the same $V$ that $G$ lowers: at a maximum, a small change of $D^\star$ changes
# $V$ only in second order. The check moves the mean of $q$ a
# little, once with $D^\star$ held fixed and once with the $D^\star$ that belongs to the moved $q$.

# %% tags=["check-gan-6"]
pearson = width * ((p - q) ** 2 / (p + q)).sum().item()


def against_best(a, b, c):
    """The sum of both terms at D*, by quadrature."""
    best = (b * p + a * q) / (p + q)
    loss = losses.least_squares_deception_loss(best, c)
    return width * ((p + q) * loss).sum().item()


print(
    f"targets -1, 1, 0: {against_best(-1, 1, 0):.5f} = χ²/2 {pearson / 2:.5f}"
)
print(
    f"targets  0, 1, 1: {against_best(0, 1, 1):.5f} = 1/4 + χ²/8"
    f" {0.25 + pearson / 8:.5f}"
)
assert abs(against_best(-1, 1, 0) - pearson / 2) < 1e-6
assert abs(against_best(0, 1, 1) - 0.25 - pearson / 8) < 1e-6


def moved(mean):
    """Logarithm of the generated density with another mean."""
    return normal(torch.tensor(mean, dtype=torch.float64), 0.6).log_prob(grid)


def minimax(log_q, log_q_best):
    """V, with the discriminator that is best for another density."""
    logit = p_known.log_prob(grid) - log_q_best
    terms = p * F.logsigmoid(logit) + log_q.exp() * F.logsigmoid(-logit)
    return width * terms.sum().item()


def least_squares(log_q, log_q_best):
    """The sum of both squares for the targets -1, 1 and 0, likewise."""
    logit = p_known.log_prob(grid) - log_q_best
    best = (logit / 2).tanh()  # (p - q) / (p + q)
    return width * 0.5 * ((p + log_q.exp()) * best.square()).sum().item()


step, here = 1e-4, moved(1.0)
up, down = moved(1 + step), moved(1 - step)
for name, game in (("minimax", minimax), ("least squares", least_squares)):
    held = (game(up, here) - game(down, here)) / (2 * step)
    following = (game(up, up) - game(down, down)) / (2 * step)
    print(f"{name:<13} slope, D* held {held:.3f}, D* following {following:.3f}")
    assert (abs(held - following) < 1e-6) == (name == "minimax")

# %% mystnb={"figure": {"caption": "The slope of each generator's loss with respect to what the discriminator says. For the first two this is the logit; for least squares, here with c = 1, it is D itself; its line goes on beyond the frame.", "name": "fig-gan-slopes"}} tags=["hide-input"]
fig, axis = explore.figure(6, 2.8)
for name, of_loss in slopes.items():
    axis.plot(logits.detach(), of_loss, label=name)
axis.axvline(0, color=explore.figures.INK, lw=0.5)
axis.set(
    xlabel="found out  ←  output of the discriminator  →  taken for real",
    ylabel="slope",
    ylim=(-2.2, 2.2),
)
axis.grid()
axis.legend(fontsize=8)
fig.alt = (
    "Three curves over the discriminator's output from -8 to 8. Minimax: 0 on "
    "the left, -1 on the right. Non-saturating: -1 on the left, 0 on the right. "
    "Least squares: a straight line through 0 at output 1."
)
explore.show(fig)

# %% [markdown]
# {numref}`fig-gan-slopes` shows who learns from whom. Under the minimax loss, images that already pass teach the generator, and those that are found
# out do not. Under
# the non-saturating loss it is the other way round. Under least squares the slope grows with the distance from $c$, on both sides: an image that is
# "too real" is pulled
# back. What the figure does not show is that the outputs of two discriminators have different scales. It says nothing about which loss ends up better.
#
# ## Two aids for the discriminator's excesses
#
# **One-sided {term}`label smoothing`** {cite:p}`salimans2016` sets the target of real images to $1 - s$ in place of 1. The same derivative as above
# gives
#
# $$
# D^\star = \frac{(1 - s)\, p}{p + q} .
# $$ (eq-gan-7)
#
# It never exceeds $1 - s$: the discriminator's confidence in real images is
# bounded, and its logit never exceeds $\log \frac{1 - s}{s}$. Why one-sided? Were the target of
# generated images raised to
# $t$, the best discriminator would be $((1 - s) p + t q) / (p + q)$. Where there are only generated images, $p \approx 0$, it says $t$ and not 0. The
# generator would be less
# clearly told to leave. And where $p$ is small and $q$ is large, the term $t q$ alone gives this $D^\star$ its shape, so that images at a
# wrong mode have no reason to move towards the data {cite:p}`salimans2016`.

# %% tags=["check-gan-7"]
s, t = 0.1, 0.1
best = (1 - s) * p / (p + q)
at_best = torch.logit(best).requires_grad_()
nothing = torch.full_like(at_best, -1e3)  # a logit that costs nothing as fake
of_real = losses.discriminator_loss(at_best, nothing, s)
of_fake = losses.deception_loss(-at_best)  # -log(1 - D)
(steepest,) = torch.autograd.grad((p * of_real + q * of_fake).sum(), at_best)
print(f"largest slope of the loss at D*: {steepest.abs().max():.0e}")
print(f"largest D*: {best.max():.4f}, never above 1 - s = {1 - s}")
alone = torch.tensor([0.001, 1.0])  # p and q where there are only generated
one_sided = (1 - s) * alone[0] / alone.sum()
two_sided = ((1 - s) * alone[0] + t * alone[1]) / alone.sum()
print(f"where p = q/1000: one-sided {one_sided:.4f}, two-sided {two_sided:.4f}")
assert steepest.abs().max() < 1e-12
assert best.max() < 1 - s + 1e-9
assert two_sided > 50 * one_sided

# %% [markdown]
# **Instance noise.** Images fill a thin sheet in the space of all pixels, and so do those of a generator. Two thin sheets hardly overlap
# {cite:p}`arjovsky2017`. Then some discriminator is always right, $\mathrm{JSD} = \log 2$, and it stays $\log 2$ when the sheets come closer: the
# best discriminator has
# no slope to offer. Noise makes the sheets thick. If the discriminator sees all images, real and generated, with noise of standard deviation $\sigma$
# {cite:p}`sonderby2017`, which is called {term}`instance noise`,
# the minimax game becomes that of
#
# $$
# \begin{aligned}
# \mathrm{JSD}_\sigma(p, q) = \mathrm{JSD}\bigl(& p * \mathcal{N}(0, \sigma^2 I), \\
# & q * \mathcal{N}(0, \sigma^2 I)\bigr) ,
# \end{aligned}
# $$ (eq-gan-8)
#
# where $*$ is the convolution. It still is 0 exactly where $p = q$. The noise has to reach the real images too, and it falls to 0 in the
# course of the training. The package calls it `noise`.

# %% tags=["remove-input"]
show_source(GAN.add_noise)

# %% [markdown]
# The smallest example: two uniform densities of width 0.2, one shifted by $\theta$. The check asks the package for its noise at the beginning, in the
# middle
# and at the end of its course, and adds variances by hand. Then it computes {eq}`eq-gan-8` by quadrature.

# %% tags=["check-gan-8"]
half = 0.1  # of the width of each uniform density


def noisy(x, centre, sigma):
    """A uniform density with Gaussian noise, in closed form."""
    if sigma == 0:
        return (abs(x - centre) <= half) / (2 * half)
    low, high = centre - half, centre + half
    inside = stats.norm.cdf(x, low, sigma) - stats.norm.cdf(x, high, sigma)
    return inside / (2 * half)


def jsd(p, q, width):
    """The Jensen-Shannon divergence of two tables, which are normalised."""
    p, q = (d / (d.sum() * width) for d in (p, q))
    middle = np.maximum((p + q) / 2, 1e-300)
    terms = [
        np.where(d > 0, d * np.log(np.maximum(d, 1e-300) / middle), 0)
        for d in (p, q)
    ]
    return 0.5 * width * sum(terms).sum()


model = GAN(
    latent_dim=2, channels=1, size=8, width=2, noise=0.4, noise_steps=10
)
torch.manual_seed(seed)
uniform = half * (2 * torch.rand(20_000, 1, 1, 1) - 1)
for step in (0, 5, 10):
    model.updates.fill_(step)
    sigma = 0.4 * (1 - step / 10)
    seen = model.add_noise(uniform).flatten().numpy()
    expected = math.sqrt(half**2 / 3 + sigma**2)
    print(
        f"update {step:>2}: deviation {seen.std():.4f}, by hand {expected:.4f}"
    )
    assert abs(seen.std() - expected) < 0.005

line = np.linspace(-4, 4, 16_001)
thin = line[1] - line[0]
shifts = np.linspace(-1, 1, 81)
curves = {
    sigma: np.array(
        [
            jsd(noisy(line, 0, sigma), noisy(line, theta, sigma), thin)
            for theta in shifts
        ]
    )
    for sigma in (0, 0.1, 0.3)
}
apart = np.isclose(shifts, 0.5)
for sigma, curve in curves.items():
    steepness = np.gradient(curve, shifts)[apart].item()
    print(
        f"sigma {sigma}: JSD {curve[apart].item():.4f},"
        f" slope {abs(steepness):.4f}"
    )
assert np.isclose(curves[0][apart], math.log(2), atol=1e-3)
assert abs(np.gradient(curves[0], shifts)[apart].item()) < 1e-6

# %% mystnb={"figure": {"caption": "The Jensen–Shannon divergence of two uniform densities of width 0.2 against their shift, without and with instance noise. Dashed: log 2.", "name": "fig-gan-noise"}} tags=["hide-input"]
fig, axis = explore.figure(6, 2.6)
for sigma, curve in curves.items():
    axis.plot(shifts, curve, label=f"σ = {sigma:g}")
axis.axhline(math.log(2), color=explore.figures.INK, lw=0.5, ls="--")
axis.set(xlabel="shift θ", ylabel="JSD (nats)")
axis.grid()
axis.legend(fontsize=8)
fig.alt = (
    "Three curves of the divergence over the shift from -1 to 1, all 0 at no "
    "shift. Without noise it reaches log 2, the dashed line, at a shift of 0.2 "
    "and stays there. With noise of 0.1 it levels off near 0.7; with 0.3 it "
    "still rises at 1."
)
explore.show(fig)

# %% [markdown]
# Without noise, {numref}`fig-gan-noise` is flat as soon as the shift exceeds 0.2: a generator in the wrong place is not told in which direction to
# go. With noise
# there is a slope from as far away as a few $\sigma$, and with more noise a weaker one close by, which is why the noise
# has to fall. The figure is about the *best* discriminator. A network that is
# trained for a few
# steps is smoother than that, and gives slopes between separate sheets without any noise. Whether the aid is needed is a question for an
# experiment.
#
# ## Training on digits
#
# The generator and the discriminator are those of the DCGAN {cite:p}`radford2016`, narrow enough for a laptop: transposed convolutions with
# {term}`batch normalisation` and ReLU on one side,
# convolutions with LeakyReLU, and batch normalisation after all but the
# first, on the other, Adam with $\beta_1 = 0.5$. One update takes a step
# of the discriminator, then one of the generator. `features` makes the discriminator's features of an image, `discriminate` its
# logit from them. The two `…_terms` are empty here; InfoGAN ({ref}`hsic-infogan`) fills them. Both steps use the same
# generated images, and `detach` keeps the first from reaching the generator. The second goes through the discriminator, which
# must not move: `step`, shown in {ref}`vae`, computes gradients for the weights of its own optimiser alone.

# %% tags=["remove-input"]
show_source(GAN.update)

# %% [markdown]
# The generator's loss is the non-saturating one. The generator learns four times as fast as the discriminator; both rates were chosen on
# other seeds than those of this page. (On digits this does no harm. In the plane, below, five times as fast does.) Codes have 16
# dimensions. The images are 4 016 real digits.
# {py:func}`fit <medlatent.course.fit>` is the course's training loop without a progress bar, in 32 bits. It leaves the model in
# evaluation mode: from then on batch normalisation uses its running statistics.

# %%
ADAM = {"generator_rate": 2e-3, "discriminator_rate": 5e-4}
ONE = {"channels": 1, "size": 28, "latent_dim": 16, "width": settings["width"]}


fixed = torch.randn(10, 16, generator=torch.Generator().manual_seed(seed))
torch.manual_seed(seed)
gan = GAN(**ONE, **ADAM)
marks = [settings["steps"] * i // 8 for i in (1, 2, 4, 8)]
pictures, done, parts = [], 0, []
with torch.inference_mode():
    pictures.append(gan.eval().decode(fixed))
for mark in marks:
    parts.append(fit(gan, train_digits, mark - done, 32, seed + done))
    done = mark
    with torch.inference_mode():
        pictures.append(gan.decode(fixed))
history = {
    term: np.concatenate([part[term] for part in parts])
    for term in ("discriminator", "adversarial")
}
print(f"{settings['steps']} steps in {sum(p.seconds for p in parts):.0f} s")

# %% mystnb={"figure": {"caption": "The same ten codes in the course of the training.", "name": "fig-gan-course"}} tags=["hide-input"]
explore.show(
    explore.image_table(
        torch.stack(pictures),
        row_labels=[f"step {n}" for n in (0, *marks)],
        alt="Five rows of ten pictures, one row for each stage of the training: "
        "grey squares at first, then strokes, at last shapes that resemble "
        "handwritten digits.",
    )
)

# %% mystnb={"figure": {"caption": "The two losses, running means over 25 steps. Dashed: 2 log 2 on the left and log 2 on the right, where a discriminator would stand that says ½ to everything.", "name": "fig-gan-losses"}} tags=["hide-input"]
fig, axes = explore.figure(7, 2.5, columns=2)
names = {
    "discriminator": "discriminator, −V",
    "adversarial": "generator, −log D",
}
for axis, (term, level) in zip(
    axes, (("discriminator", 2), ("adversarial", 1)), strict=True
):
    axis.plot(*explore.running_mean(history[term], 25))
    axis.axhline(
        level * math.log(2), color=explore.figures.INK, lw=0.8, ls="--"
    )
    axis.set(title=names[term], xlabel="step", ylabel="nats")
    axis.grid()
ends = {term: values[-50:].mean() for term, values in history.items()}
fig.alt = (
    "Two curves over the steps. The discriminator's loss ends at "
    f"{ends['discriminator']:.2f}, below the dashed line at 1.39; the "
    f"generator's ends at {ends['adversarial']:.2f}, above its line at 0.69."
)
explore.show(fig)

# %%
print(f"discriminator {ends['discriminator']:.2f} (2 log 2 = 1.39)")
print(f"generator     {ends['adversarial']:.2f} (log 2 = 0.69)")

# %% [markdown]
# Compare {numref}`fig-gan-losses` with the loss of a VAE. After a first victory of the discriminator its loss *rises*, while {numref}`fig-gan-course`
# gets better from
# row to row. Each loss is measured by an opponent who learns. At the end of this run
# the discriminator's loss has come near $2 \log 2$, as if little could be told; a reader tells
# most of the last row from digits at a glance. A loss near $2 \log 2$ means that *this* discriminator cannot tell at *this* moment: the images may be
# perfect, or the discriminator poor.
#
# One conclusion is allowed. The loss of any discriminator is, on average over new images, at least $2 \log 2 - 2\,\mathrm{JSD}$. One below $2 \log 2$
# thus proves that the images can be told apart. One that is at or above
# $2 \log 2$ proves nothing. The loss at the end of this run is no such proof yet, although it is smaller: it is a mean
# over training images, of a discriminator that changes with each step.
#
# ## How good are the images?
#
# What is needed is a measure from outside. The {term}`Fréchet distance` compares the features that a network of its own extracts from real
# and from generated images:
# it fits a Gaussian to each set, and is $\|\mu_1 - \mu_2\|^2 + \mathrm{tr}(\Sigma_1 + \Sigma_2 - 2 (\Sigma_1
# \Sigma_2)^{1/2})$. Here the network is a
# classifier of digits, the {py:func}`domain classifier <medlatent.evaluation.domain_classifier>`. It is recorded, and so
# the same one for everybody: trained anew on another kind of processor it would come out otherwise, and so would the
# distances. We compare with the *test* digits, and give the distance of as many training digits from them as a floor.

# %%
classifier = domain_classifier("mnist.digits")
of_test = classifier.features(test_digits)
of_train = classifier.features(train_digits)


def generated(model, n=1_000):
    """n images from codes that are the same for each model."""
    return draw_images(model, n, seed=1_000)[1]


@torch.inference_mode()
def classes_of(features):
    """The classifier's class probabilities, (N, 10), from its own features."""
    return classifier.head(torch.from_numpy(features)).softmax(1).numpy()


def effective(probabilities):
    """The exponential of the entropy of the mean probabilities."""
    return math.exp(stats.entropy(probabilities.mean(0)))


def judged(images):
    """Fréchet distance to the test digits, and the effective classes."""
    found = classifier.features(images)
    return {
        "Fréchet distance": frechet_distance(found, of_test).score,
        "classes": effective(classes_of(found)),
    }


floor = frechet_distance(of_train[:1_000], of_test).score  # as many images
own_drawings = generated(gan)
judgements = {
    "this GAN": judged(own_drawings),
    "the recorded GAN": judged(generated(digit_generator)),
}
ours = judgements["this GAN"]
print(f"training digits  Fréchet distance {floor:.2f}")
for name, found in judgements.items():
    print(
        f"{name:<16} Fréchet distance {found['Fréchet distance']:.2f},"
        f" effective classes {found['classes']:.2f} of 10"
    )

# %% [markdown]
# The *effective number of classes* is the exponential of the entropy of the mean class probabilities: 10 where all digits are drawn equally often, 1
# where all images
# are the same digit.
# The recorded GAN is one and a half times as wide, and had ten times as many steps.
#
# Which loss, which aid is the better one? One run each does not tell: in {numref}`fig-gan-recovery`, below, two seeds of one game
# end ten units apart. Lucic et al. {cite:p}`lucic2018` gave seven GANs the same budget for choosing their rates, and repeated
# each: they found none that was consistently better than the non-saturating one of Goodfellow et al.
#
# ## When modes collapse
#
# The generator is never told to draw *everything*. It is told to draw what passes. If it finds one image that deceives the discriminator of the
# moment, all codes may
# move there; the discriminator learns that this place is fake, and they move on together. This is {term}`mode collapse`. It is seen most clearly in
# the plane.
#
# Real points lie on a ring of eight narrow Gaussians. Generator and discriminator are small networks, written out below. A mode counts as *covered*
# if at least
# 2 % of the generated points lie within four standard deviations of its centre. We provoke the collapse by letting the generator learn five times as
# fast.

# %%
angle = torch.arange(8) * math.pi / 4
centres = torch.stack([angle.cos(), angle.sin()], 1)


def on_the_ring(n):
    """n real points."""
    return centres[torch.randint(8, (n,))] + 0.05 * torch.randn(n, 2)


def network(inputs, outputs, hidden=64):
    """Two hidden layers."""
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(0.2),
        nn.Linear(hidden, outputs),
    )


def ring_gan(steps, seed, generator_rate=1e-3, noise=0.0, together=1, ahead=1):
    """2 000 points of a GAN; its discriminator sees several points at once."""
    torch.manual_seed(seed)
    G, D = network(2, 2), network(2 * together, 1)
    descend, discriminator_step = (
        torch.optim.Adam(
            net.parameters(), lr=rate, betas=(0.5, 0.999), fused=True
        )
        for net, rate in ((G, generator_rate), (D, 1e-3))
    )

    def see(points, step):
        deviation = noise * (1 - step / steps)
        points = points + deviation * torch.randn_like(points)
        return D(points.view(-1, 2 * together))

    for step in range(steps):
        for _ in range(ahead):  # steps of the discriminator
            real = on_the_ring(128)
            fake = G(torch.randn(128, 2))
            found = losses.discriminator_loss(
                see(real, step), see(fake.detach(), step)
            )
            discriminator_step.zero_grad()
            found.mean().backward()
            discriminator_step.step()
        descend.zero_grad()
        losses.deception_loss(see(fake, step)).mean().backward()
        descend.step()
    with torch.no_grad():
        return G(torch.randn(2_000, 2))


# %% [markdown]
# How coverage is counted is your {ref}`exercise 5 <exercise-gan-5>`; look into the next cell only afterwards.


# %% tags=["hide-input"]
def coverage(points, radius=0.2, share=0.02):
    """Modes that are covered, and the share of points close to some mode."""
    distance, mode = torch.cdist(points, centres).min(1)
    close = distance < radius
    counts = torch.bincount(mode[close], minlength=8)
    return (counts >= share * len(points)).sum().item(), close.float().mean()


# %%
RINGS = {
    "equal rates": {},
    "fast generator": {"generator_rate": 5e-3},
    "… and instance noise": {"generator_rate": 5e-3, "noise": 0.5},
    "… and four points at once": {"generator_rate": 5e-3, "together": 4},
}
clouds, covered = {}, {}


def three_seeds(name, play, **options):
    """Plays a game with three seeds, and reports what is covered."""
    for run in range(3):
        points = play(settings["ring"], seed + run, **options)
        clouds.setdefault(name, points)
        covered.setdefault(name, []).append(coverage(points))
    modes, close = zip(*covered[name], strict=True)
    print(
        f"{name:<27} modes {' '.join(map(str, modes))}"
        f"   close to a mode {' '.join(f'{c:.0%}' for c in close)}"
    )


for name, options in RINGS.items():
    three_seeds(name, ring_gan, **options)

# %% mystnb={"figure": {"caption": "2 000 generated points of the first seed of each setting; crosses are the centres of the eight real modes. Points beyond the frame are not shown.", "name": "fig-gan-ring"}} tags=["hide-input"]
fig, axes = explore.figure(
    5.4, 5.6, columns=2, rows=2, sharex=True, sharey=True
)
for axis, (name, points) in zip(axes.flat, clouds.items(), strict=True):
    axis.scatter(*points.T, s=2, alpha=0.3)
    axis.scatter(*centres.T, s=18, marker="x", color=explore.figures.COLOURS[5])
    axis.set_title(name, fontsize=9)
    axis.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
fig.alt = (
    "Four scatter plots of generated points over a ring of eight modes. "
    + (
        "; ".join(
            f"{name}: {runs_[0][0]} of 8 modes covered"
            for name, runs_ in covered.items()
        )
    )
)
explore.show(fig)

# %% [markdown]
# With equal rates the GAN finds all eight modes with each seed, although in this short run about half of its points or more still lie between them. A
# generator that learns five times as fast finds one mode at most, and
# {numref}`fig-gan-ring` shows why one speaks of a collapse: 2 000 different codes, and one thin streak in place of a ring.
#
# Instance noise is no cure here. It mends a lack of overlap, and that is not what is wrong. The other aid is, in part. If the discriminator judges
# four points at once {cite:p}`lin2018`, it can see that
# they are alike, and the generator has to spread them. It covers more modes in two of three seeds, and never all.
# {numref}`fig-gan-ring` shows the third: the points are spread widely, and no mode is covered. More points lie close to a
# mode than without the aid, and still fewer than with equal rates. Coverage alone would have hidden this, and a share of
# good points alone would not show a collapse onto one mode. Report both.
#
# What does cure it is a matter of the section on the Wasserstein distance, below.
#
# ## When the discriminator wins
#
# The opposite provocation, on digits: a discriminator that learns *four times as fast* as the generator, and the loss of the
# minimax game. The runs have 800 steps and are recorded, with three seeds each. (A generator up to forty times as fast as the
# discriminator, which ruins the ring, did not ruin the digits: we tried it on another seed.)

# %%
GAMES = {  # names of the recorded runs
    "minimax": "minimax",
    "non-saturating": "non_saturating",
    "minimax, spectral": "minimax_spectral",
    "WGAN-GP": "wasserstein",
}
lost = recorded["minimax_seed0"]
of_step = pd.DataFrame(lost.measures).set_index("step").loc[[100, 400, 800]]
of_step = of_step.rename(
    columns={
        "frechet": "Fréchet distance",
        "classes": "effective classes",
        "inception_score": "inception score",
    }
)
print(
    f"discriminator's loss in the end {lost.history['discriminator'][-1]:.1e},"
    f" generator's {lost.history['adversarial'][-1]:.1e}"
)
show_table(of_step[list(of_step)[1:]])

# %% [markdown]
# The distance does not move. The discriminator's loss is 0 to four digits and more: it is right about every image, and sure of it. The slope of
# $\log (1 - D)$ is $-D$ {eq}`eq-gan-4`, and $D$ of a generated image is 0, so that the generator is told nothing. Does Adam not divide by
# the size of the gradients, whatever it is? By a running size, with $\beta_2 = 0.999$, which remembers some thousand steps: the large
# gradients of the first ones stay in it, and each later step is a small fraction of the rate. The upper row of {numref}`fig-gan-cures`,
# below, shows what is drawn: grey squares with a faint pattern, far from any digit.
#
# This table has a trap. Nearly five *effective classes* seem to say that half of the digits are there. The classifier must name a
# digit even where none is shown; it hesitates, and the mean of many equal hesitations has an entropy as well. The
# {term}`inception score` {cite:p}`salimans2016` subtracts it:
#
# $$ \exp\bigl( H(\bar p) - \overline{H(p)} \bigr) , $$
#
# with the class probabilities $p$ of one image, their mean $\bar p$ over all images, and the entropy $H$. It is 1 where the
# classifier says the same of every image, and 10 where each digit is drawn equally often and recognised without doubt. Here
# it is 1.00. The Fréchet distance is not deceived either.
#
# ## A distance with a slope: WGAN-GP
#
# **The problem.** Where two densities do not overlap, the divergence {eq}`eq-gan-3` is $\log 2$ however far apart they are; the
# flat curve of {numref}`fig-gan-noise` is the same fact. What is wanted is a distance that says *how far*.
#
# **The distance.** Think of $q$ as a heap of sand that has to be moved until it is $p$. A plan says how much sand goes from each
# $\hat x$ to each $x$, and costs the mean of $\|x - \hat x\|$. The {term}`Wasserstein distance` $W(p, q)$ is the cost of the
# cheapest plan. Plans of images cannot be listed. But let $D$ be any function that changes by no more than the distance,
# $|D(x) - D(\hat x)| \le \|x - \hat x\|$, called 1-Lipschitz. The mean of $D(x) - D(\hat x)$ over a plan is at most its cost, and since the plan
# starts at $q$ and ends at $p$, this mean is $\mathbb{E}_p D - \mathbb{E}_q D$, whatever the plan. So it is at most the
# cheapest cost. That some $D$ reaches it is the duality of Kantorovich and Rubinstein, which we take for granted:
#
# $$
# \begin{gathered}
# W(p, q) = \max_{D\ \text{1-Lipschitz}}\ \mathbb{E}_p[D(x)] - \mathbb{E}_z[D(G(z))] , \\
# \mathcal{L}_D = \mathbb{E}_z[D(G(z))] - \mathbb{E}_p[D(x)], \qquad
# \mathcal{L}_G = -\mathbb{E}_z[D(G(z))] .
# \end{gathered}
# $$ (eq-gan-9)
#
# $D$ is no probability any more, and has no sigmoid. It is called the {term}`critic`. Between a generated image and the place that it is
# moved to, the best critic rises with a slope of 1 in $x$, however far apart the two are. A discriminator that is sure has no such slope.

# %% tags=["remove-input"]
show_source(
    losses.wasserstein_critic_loss,
    losses.wasserstein_deception_loss,
)

# %% [markdown]
# The check takes the two uniform densities of {numref}`fig-gan-noise`. If $q$ is $p$ shifted by $\theta$, moving each point by
# $\theta$ costs $|\theta|$, and $D(x) = -x$ or $x$ earns as much: so this is the distance, with a slope of 1 wherever $q$ is.

# %% tags=["check-gan-9"]
points = half * torch.linspace(-1, 1, 1_001, dtype=torch.float64)
for theta in (-0.9, 0.05, 0.5):
    critic = [points, points + theta]  # D(x) = x
    if theta > 0:
        critic = [-points, -points - theta]  # D(x) = -x
    earned = -losses.wasserstein_critic_loss(*critic).mean().item()
    cost = stats.wasserstein_distance(points, points + theta)
    print(f"shift {theta:+.2f}: W {cost:.3f}, by the critic {earned:.3f}")
    assert abs(earned - cost) < 1e-9
    assert abs(cost - abs(theta)) < 1e-9

# %% [markdown]
# **The penalty.** How is a network kept 1-Lipschitz? Where the best $D$ earns all of a plan's cost,
# $D(x) - D(\hat x) = \|x - \hat x\|$ for each pair of the plan. It may not rise faster anywhere, so on the line between the two its
# slope is 1 throughout. Gulrajani et al. {cite:p}`gulrajani2017` ask for that: on random lines, as the plan is unknown, and by a
# penalty, which is why this is WGAN-GP, with *gradient penalty*:
#
# $$
# \begin{aligned}
# \mathcal{L}_D &= \mathbb{E}_z[D(\hat x)] - \mathbb{E}_p[D(x)]
#   + \lambda\, \mathbb{E}\bigl[(\|\nabla D(\tilde x)\| - 1)^2\bigr], \\
# \tilde x &= u\, x + (1 - u)\, \hat x, \qquad u \sim U(0, 1) .
# \end{aligned}
# $$ (eq-gan-10)

# %% tags=["remove-input"]
show_source(losses.gradient_penalty)

# %% [markdown]
# The slope is that of *one* image's output. With batch normalisation an output would depend on the other images, too, so a critic has none.
#
# A penalty is no constraint. Take a critic $D(x) = w x$ in one dimension, and $q$ shifted by $-\theta$. Its loss is
# $-w \theta + \lambda (w - 1)^2$, whose derivative vanishes at $w = 1 + \theta / (2 \lambda)$. So the slope exceeds 1, and the
# reported distance $w \theta$ exceeds $W = \theta$ by $\theta^2 / (2 \lambda)$: the larger λ, the less.

# %% tags=["check-gan-10"]
theta, real = 0.5, points[:, None]
for weight in (0.1, 1.0, 10.0):
    critic = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    optimiser = torch.optim.LBFGS(critic.parameters(), max_iter=50)

    def critic_loss(critic=critic, optimiser=optimiser, weight=weight):
        """The loss of a linear critic, and its gradient."""
        optimiser.zero_grad()
        fake = real - theta
        earned = losses.wasserstein_critic_loss(critic(real), critic(fake))
        penalty = losses.gradient_penalty(critic, real, fake)
        loss = earned.mean() + weight * penalty.mean()
        loss.backward()
        return loss

    nn.init.constant_(critic.weight, 0.5)
    optimiser.step(critic_loss)
    w, expected = critic.weight.item(), 1 + theta / (2 * weight)
    print(
        f"λ = {weight:<4g} slope {w:.3f}, by hand {expected:.3f};"
        f" distance {w * theta:.3f} for {theta}"
    )
    assert abs(w - expected) < 1e-3

# %% [markdown]
# **A cure of the ring.** The same fast generator, and a critic of the same size. It takes five steps before each of the
# generator's, because only a critic that is ahead knows the distance. For a fair comparison the ordinary discriminator gets
# five steps as well, and the critic is tried with one. λ is 0.1, as in the program that Gulrajani et al. published for points in the plane.


# %%
def ring_wgan(steps, seed, generator_rate=5e-3, ahead=5, weight=0.1):
    """2 000 points of a WGAN-GP."""
    torch.manual_seed(seed)
    G, D = network(2, 2), network(2, 1)
    descend, critic_step = (
        torch.optim.Adam(
            net.parameters(), lr=rate, betas=(0.0, 0.9), fused=True
        )
        for net, rate in ((G, generator_rate), (D, 1e-3))
    )
    for _ in range(steps):
        for _ in range(ahead):
            x, x_hat = on_the_ring(128), G(torch.randn(128, 2)).detach()
            earned = losses.wasserstein_critic_loss(D(x), D(x_hat)).mean()
            penalty = losses.gradient_penalty(D, x, x_hat).mean()
            critic_step.zero_grad()
            (earned + weight * penalty).backward()
            critic_step.step()
        descend.zero_grad()
        x_hat = G(torch.randn(128, 2))
        losses.wasserstein_deception_loss(D(x_hat)).mean().backward()
        descend.step()
    with torch.no_grad():
        return G(torch.randn(2_000, 2))


three_seeds("… five steps of D", ring_gan, generator_rate=5e-3, ahead=5)
three_seeds("… WGAN-GP, one step", ring_wgan, ahead=1)
three_seeds("… WGAN-GP", ring_wgan)

# %% mystnb={"figure": {"caption": "The ring once more, with a generator that learns five times as fast: collapsed, with five steps of the discriminator, and as WGAN-GP. First seed of each.", "name": "fig-gan-ring-cured"}} tags=["hide-input"]
fig, axes = explore.figure(7, 2.7, columns=3, sharex=True, sharey=True)
chosen = ["fast generator", "… five steps of D", "… WGAN-GP"]
for axis, name in zip(axes, chosen, strict=True):
    axis.scatter(*clouds[name].T, s=2, alpha=0.3)
    axis.scatter(*centres.T, s=18, marker="x", color=explore.figures.COLOURS[5])
    axis.set_title(name, fontsize=9)
    axis.set(xlim=(-2.5, 2.5), ylim=(-2.5, 2.5), aspect="equal")
fig.alt = "Three scatter plots of generated points over a ring of eight modes. "
fig.alt += "; ".join(
    f"{name}: {covered[name][0][0]} of 8 modes covered" for name in chosen
)
explore.show(fig)

# %% [markdown]
# Read the settings as a table of two by two. With one step of the opponent either game collapses. With five steps neither does
# ({numref}`fig-gan-ring-cured`), although one seed of the ordinary game leaves modes out. (The games also differ in Adam's moments, and in
# whether the generator's step draws codes of its own.) What cures this collapse is a discriminator that keeps up with its generator. The
# critic then covers all eight modes with each seed, the
# ordinary discriminator with two of three; that difference three seeds do not decide.
#
# So what is the new distance good for? For being ahead. An ordinary discriminator that is too far ahead is sure of everything, and
# teaches nothing, as on the digits above. A better critic only knows the distance better.
#
# ## A bound in each layer: spectral normalisation
#
# **The problem.** The penalty bounds the slope only where it looks, needs the derivative of a derivative, and a λ. Miyato et
# al. {cite:p}`miyato2018` bound the slope of every layer, everywhere, by its weights.
#
# A linear layer takes $h$ to $W h$. By how much can it enlarge a difference? By its largest singular value σ(W), the largest
# $\|W h\|$ of a vector of length 1. So divide by it:
#
# $$
# \bar W = \frac{W}{\sigma(W)}, \qquad
# \sigma(W) = \max_{\|h\| = 1} \|W h\| .
# $$ (eq-gan-11)
#
# Then $\|\bar W h - \bar W h'\| \le \|h - h'\|$. LeakyReLU enlarges no difference either, and the bounds of layers that
# follow each other multiply, so that $|D(x) - D(x')| \le \|x - x'\|$ for the output of a network of such layers, here the logit. A new
# decomposition at each step would be dear.
# But the weights change little in a step, so one step of the power iteration is enough, $v \leftarrow W^\top u / \|W^\top u\|$
# and $u \leftarrow W v / \|W v\|$: the vectors are kept from step to step, and $\sigma \approx u^\top W v$.
#
# A convolution is normalised as a matrix that acts on patches. With kernels of 4×4 and a stride of 2 each pixel lies in four
# patches. So the squared length of what comes out is at most four times that of what goes in, and a layer may double a difference. The
# discriminator of digits has two convolutions and a linear layer: its slope is at most $2 \cdot 2 \cdot 1 = 4$. Only
# `normalisation` differs from the DCGAN's, and there is no batch normalisation.

# %% tags=["remove-input"]
show_source(SpectralGAN)

# %% tags=["check-gan-11"]
torch.manual_seed(seed)
bounded = SpectralGAN(**ONE).discriminator
free = DCGANDiscriminator(1, 28, settings["width"], normalisation="none")
pairs = train_digits.batch(range(200)).split(100)
with torch.no_grad():
    for net in (bounded, free):
        for weights in net.parameters():
            weights.mul_(20)  # as if a training had enlarged them
    for _ in range(100):  # of power iteration, one with each pass in training
        bounded.train()(pairs[0])
    bounded.eval()
    for module in bounded.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            largest = torch.linalg.matrix_norm(module.weight.flatten(1), 2)
            print(f"largest singular value of W/σ: {largest:.4f}")
            assert abs(largest - 1) < 1e-2
    distance = (pairs[0] - pairs[1]).flatten(1).norm(dim=1)
    for name, net in (("not normalised", free), ("spectral", bounded)):
        change = (net(pairs[0]) - net(pairs[1])).squeeze(1).abs()
        print(f"{name}: largest slope {(change / distance).max():.2f}")
    assert (change / distance).max() <= 4

# %% [markdown]
# All weights were made twenty times as large. In the normalised network that changes nothing. Its slope is far below the bound of 4, since
# no image meets the largest singular value of every layer at once: the bound is safe, not tight.
#
# **Who recovers?** Back to the digits, and to the discriminator that won. One thing is changed at a time, the rates stay:
# the loss of the generator; the normalisation of the discriminator; or the whole game, to WGAN-GP with λ = 10. Its critic takes five steps of 32
# images for each step of the generator, where the others take one. The table is on test digits, the figure below it on validation digits.

# %%
NUMBERS = {
    "frechet": "Fréchet distance",
    "inception_score": "inception score",
    "classes": "effective classes",
}
rows = {}
for game, prefix in GAMES.items():
    rows[game] = {}
    for measure, title in NUMBERS.items():
        values = seed_values(recorded, prefix, measure, "mnist.digits/test")
        rows[game][title] = (
            f"{values.mean():.1f} ({values.min():.1f} to {values.max():.1f})"
        )
of_real = inception_score(classifier.probabilities(test_digits)).score
print(
    f"inception score of the {len(test_digits)} real test digits {of_real:.1f}"
)
show_table(pd.DataFrame(rows).T)

# %% mystnb={"figure": {"caption": "The Fréchet distance to validation digits in the course of the recorded trainings, three seeds of each game; logarithmic.", "name": "fig-gan-recovery"}} tags=["hide-input"]
fig, axis = explore.figure(6.4, 3)
for number, (game, prefix) in enumerate(GAMES.items()):
    for run in range(3):
        measures = pd.DataFrame(recorded[f"{prefix}_seed{run}"].measures)
        axis.plot(
            measures["step"],
            measures["frechet"],
            "o-",
            markersize=3,
            color=explore.figures.COLOURS[number],
            label=game if run == 0 else None,
        )
axis.set(
    xlabel="step of the generator", ylabel="Fréchet distance", yscale="log"
)
axis.set_yticks([5, 10, 20, 50, 100], ["5", "10", "20", "50", "100"])
axis.minorticks_off()
axis.grid()
axis.legend(fontsize=8)
fig.alt = "The Fréchet distance over the steps, three seeds each. At the end: "
fig.alt += "; ".join(
    f"{game} {rows[game]['Fréchet distance']}" for game in GAMES
)
explore.show(fig)

# %% mystnb={"figure": {"caption": "Ten codes, decoded by the first seed of each recorded game.", "name": "fig-gan-cures"}} tags=["hide-input"]
with torch.inference_mode():
    pictures = torch.stack(
        [
            recorded[f"{prefix}_seed0"].load_model().decode(fixed)
            for prefix in GAMES.values()
        ]
    )
explore.show(
    explore.image_table(
        pictures,
        row_labels=list(GAMES),
        alt="Four rows of ten pictures. Minimax: ten grey squares with faint "
        "patterns of bars. The other three rows: shapes like digits, which differ from "
        "code to code.",
    )
)

# %% [markdown]
# In {numref}`fig-gan-recovery` each of the three changes brings the generator back, with each seed. Back means on its way: real test digits
# have an inception score of about 8, and some of these strokes are grey still. The smallest change is the loss: the non-saturating
# loss is steepest where an image is found out {eq}`eq-gan-4`, and after some hundred steps at the same bad distance the generator gets hold of
# it. Spectral normalisation leaves the minimax loss as it is and keeps the discriminator from being sure: where its slope is
# bounded, near images have near logits, and none is beyond reach. WGAN-GP has a slope everywhere: it leaves the bad distance first, and its
# seeds differ least. In the end it is behind the other two, but for one seed.
#
# Without a change two seeds stay where they were. The third begins to move in the last 200 steps: what is lost for 600 steps need not be lost for ever,
# and a longer training might tell another story. Nor is this a ranking of the cures. All have the rates that ruined the first one; a
# step of WGAN-GP sees five times as many images; and two seeds of one game may differ by as much as the games do.
#
# ## Conditional GANs
#
# **The problem.** A GAN draws what is frequent. Whoever wants to fill up a rare class has to *ask* for it. In a conditional
# GAN {cite:p}`mirza2014` generator and discriminator both get the class $y$, drawn as often as in the data:
#
# $$
# \begin{aligned}
# \min_G \max_D\ & \mathbb{E}_{(x, y) \sim p}[\log D(x, y)] \\
# &+ \mathbb{E}_{y \sim p,\, z}[\log (1 - D(G(z, y), y))] .
# \end{aligned}
# $$ (eq-gan-12)
#
# The discriminator judges *pairs*. Those of the data have the density $p(y)\, p(x|y)$, generated ones $p(y)\, q(x|y)$. In their ratio
# $p(y)$ cancels, and what led to {eq}`eq-gan-2` and {eq}`eq-gan-3` gives, class by class,
#
# $$
# \begin{aligned}
# D^\star(x, y) &= \frac{p(x|y)}{p(x|y) + q(x|y)}, \\
# V(D^\star, G) &= 2 \sum_y p(y)\, \mathrm{JSD}\bigl(p(\cdot|y), q(\cdot|y)\bigr) - 2 \log 2 .
# \end{aligned}
# $$
#
# So *each* class must be right, not only all images together. The check has three images, two equally frequent classes, and a
# generator that exchanges them. Its images as a whole are those of the data.

# %% tags=["check-gan-12"]
of_class = np.array([[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]])  # p(x|y), a row per y
exchanged = of_class[::-1]  # q(x|y)


def value_of(p, q):
    """V at the best discriminator, of tables of probabilities."""
    best = torch.from_numpy(np.log(p) - np.log(q))
    sure = torch.full_like(best, 1e3)  # a logit whose term is 0
    loss = torch.from_numpy(p) * losses.discriminator_loss(best, -sure)
    loss += torch.from_numpy(q) * losses.discriminator_loss(sure, best)
    return -loss.sum().item()


by_class = np.mean([2 * jsd(of_class[y], exchanged[y], 1) for y in (0, 1)])
of_pairs = value_of(of_class / 2, exchanged / 2)
of_images = value_of(of_class.mean(0), exchanged.mean(0))
print(f"images alone: V {of_images:.4f}, -2 log 2 = {-2 * math.log(2):.4f}")
print(f"pairs:        V {of_pairs:.4f}, {by_class - 2 * math.log(2):.4f}")
assert abs(of_images + 2 * math.log(2)) < 1e-12
assert abs(of_pairs - by_class + 2 * math.log(2)) < 1e-12

# %% [markdown]
# Now digits, with the digit as the class. The generator gets ten more numbers beside its code, one of them 1. The discriminator gets
# ten more channels beside its image, one of them 1 everywhere. The loop below is all there is; its rates, and the number of its steps, are
# those of the GAN above.


# %%
def one_hot(y):
    """(N, 10), a 1 at the digit."""
    return F.one_hot(y, 10).float()


def with_class(x, y):
    """Images and ten planes, (N, 11, 28, 28)."""
    planes = one_hot(y)[:, :, None, None].expand(-1, -1, 28, 28)
    return torch.cat([x, planes], 1)


torch.manual_seed(seed)
G = DCGANGenerator(16 + 10, 1, 28, settings["width"])
D = DCGANDiscriminator(1 + 10, 28, settings["width"])
descend = torch.optim.Adam(
    G.parameters(), lr=ADAM["generator_rate"], betas=(0.5, 0.999)
)
discriminator_step = torch.optim.Adam(
    D.parameters(), lr=ADAM["discriminator_rate"], betas=(0.5, 0.999)
)
every_digit = train_digits.batch(range(len(train_digits)))
every_class = torch.from_numpy(kinds.astype(int))
for _ in range(settings["steps"]):
    chosen = torch.randint(len(every_digit), (32,))
    x, y = every_digit[chosen], every_class[chosen]
    x_hat = G(torch.cat([torch.randn(32, 16), one_hot(y)], 1)).sigmoid()
    found = losses.discriminator_loss(
        D(with_class(x, y)), D(with_class(x_hat.detach(), y))
    )
    discriminator_step.zero_grad()
    found.mean().backward()
    discriminator_step.step()
    descend.zero_grad()
    losses.deception_loss(D(with_class(x_hat, y))).mean().backward()
    descend.step()
_ = G.eval()

# %%
asked = torch.arange(10).repeat(100)
styles = torch.randn(1_000, 16, generator=torch.Generator().manual_seed(seed))
with torch.inference_mode():
    made = G(torch.cat([styles, one_hot(asked)], 1)).sigmoid()


def agreement(images, digits):
    """How often the classifier sees the digit."""
    seen = classifier.probabilities(images).argmax(1)
    return (seen == np.asarray(digits, dtype=int)).mean()


every_test = test_digits.batch(range(len(test_digits)))
recognised = agreement(every_test, test_digits.table["digit"])
obeyed = agreement(made, asked)
conditional = judged(made)["Fréchet distance"]
print(f"the classifier sees the digit asked for in {obeyed:.0%} of 1 000")
print(f"  and the true one in {recognised:.0%} of the test digits")
print(
    f"Fréchet distance {conditional:.2f}; without classes, after as many"
    f" steps, {ours['Fréchet distance']:.2f}"
)

# %% mystnb={"figure": {"caption": "Asked for: the digit of the column. Each row has one code z.", "name": "fig-gan-conditional"}} tags=["hide-input"]
with torch.inference_mode():
    rows_of_z = styles[:5].repeat_interleave(10, 0)
    table_of_digits = G(
        torch.cat([rows_of_z, one_hot(torch.arange(10).repeat(5))], 1)
    ).sigmoid()
explore.show(
    explore.image_table(
        table_of_digits.unflatten(0, (5, 10)),
        column_labels=list("0123456789"),
        alt="Five rows of ten pictures: in each column mostly the digit that "
        "was asked for, in each row one manner of writing.",
    )
)

# %% [markdown]
# Most pictures are what was asked for. In a row of {numref}`fig-gan-conditional` the code stays and the class changes: slant and thickness
# tend to stay with the code, because the class says nothing of them. The distance is less than half of that without classes. This is one run
# of each, so not a verdict, but there is a reason: the class tells the discriminator what to compare with.
#
# A class that is drawn on demand is not yet a class that can be *learnt* from. The generator knows of a rare disease what its few
# images show, and a classifier that agrees sees what it looks at, no more. {ref}`style-content` needs conditional games: there the
# condition is a rating or a diagnosis, the losses are least squares {eq}`eq-gan-5`,
# and the discriminator is also shown *real* images beside a wrong condition.
#
# ## Lesions
#
# The same class of model, three colour channels, 32 pixels, recorded twice: 6 000 steps on patches of HAM10000, whose drawings
# {numref}`fig-gan-goal-lesions` shows, and 3 000 steps on lesions that the package renders. Both were measured along the way.

# %%
for name in ("ham10000_gan", "phantoms_gan"):
    run = recorded[name]
    print(f"{name}, Fréchet distance to images of the validation split")
    for row in run.measures:
        print(f"  step {row['step']:>5}: {row['frechet']:5.1f}")

# %% [markdown]
# Both distances go up and down by a factor of four, long after the pictures have become lesions. The domain
# classifiers tell three diagnoses apart, the one of real lesions with an accuracy of 68 %, and each swing of colour or contrast moves their features.
# A training of a GAN does not converge to a point, it circles; whoever reports the best step has made a choice on the images
# that judge it. The weights that are recorded here are those of the last step, decided before.

# %% mystnb={"figure": {"caption": "Above: rendered lesions of the test split. Below: images that the recorded GAN drew.", "name": "fig-gan-lesions"}} tags=["hide-input"]
rendered_set = open_images("phantoms.lesion.patches.balanced.32", 1_500)
test_lesions = rendered_set.split("test", "validation")
rendered = test_lesions.batch(range(len(test_lesions)))
once = ~test_lesions.table["lesion_id"].duplicated().to_numpy()
shown = rendered[np.flatnonzero(once)[:20]]
phantom_generator = recorded["phantoms_gan"].load_model()
drawn = generated(phantom_generator)
explore.show(
    explore.image_table(
        torch.stack([shown[:10], shown[10:], drawn[:10], drawn[10:20]]),
        row_labels=["rendered", "", "generated", ""],
        alt="Four rows of ten pictures of skin lesions: two rows of rendered "
        "ones, and two rows that the GAN drew.",
    )
)

# %% [markdown]
# Do they only look alike? One quantity can be measured on any of these pictures: which share of the image is darker than halfway between its
# brightest and its darkest parts. On rendered lesions we can first ask whether that is the size that they were drawn with.


# %%
def measured_size(images):
    """The share of pixels darker than halfway between skin and darkest."""
    grey = images.mean(1).flatten(1)
    skin, darkest = grey.quantile(0.95, 1), grey.quantile(0.01, 1)
    return (grey < ((skin + darkest) / 2)[:, None]).float().mean(1).numpy()


sizes = {"rendered": measured_size(rendered), "generated": measured_size(drawn)}
true_size = test_lesions.table["size"].to_numpy()
trust = stats.spearmanr(sizes["rendered"], true_size).statistic
print(f"rank correlation of measured and true size {trust:.2f}")
for name, values in sizes.items():
    low, median, high = np.quantile(values, [0.1, 0.5, 0.9])
    print(f"{name:<10} 10 % {low:.2f}  median {median:.2f}  90 % {high:.2f}")

# %% [markdown]
# Look closely at {numref}`fig-gan-lesions`. Skin, lesion and the jagged borders are there, and most pictures show one lesion near the middle. But
# the contrast is often too strong, hairs are missing, some lesions dissolve, and a fine grid lies over all of them. Transposed convolutions
# leave such a grid where the training has not removed it. Nobody would take these for rendered lesions.
#
# The sizes tell something else. The median of the generated lesions is close to that of the rendered ones, and their range is narrower: the smallest
# lesions are rarer. A data set that is filled up with such images would hold a *smaller* share of unusual cases than before. The measurement is trustworthy
# on rendered lesions, as its rank correlation with the true size says; on a blotched picture it may measure blotches.
#
# ## No encoder: latent search
#
# Which code gives *this* image? A VAE answers with its {term}`encoder`. A GAN has none, and nothing in its training ever went from an image to a
# code. There are three ways
# out: train an encoder afterwards on generated pairs, train one within the game, or search. The search needs nothing but the generator. It descends
# on the code, as training
# descends on the weights:
#
# $$
# \hat z = \arg\min_z\ \| x - G(z) \|^2 + \lambda \|z\|^2 .
# $$ (eq-gan-13)
#
# The first term is the squared error, summed over pixels. The second keeps the code where the {term}`prior` has its mass. Divide by $2\lambda$: with
# $x \mid z \sim \mathcal{N}(G(z), \lambda I)$ and the
# standard normal prior this is $-\log p(x, z)$ up to a constant, so $\hat z$ is the mode of the {term}`posterior` if the noise has the variance
# $\lambda$.

# %% tags=["remove-input"]
show_source(invert)

# %% [markdown]
# The problem is convex where $G$ is linear, and then ridge regression solves it. The check gives the package's function a linear generator.


# %% tags=["check-gan-13"]
class Flat(GAN):
    """A generator that is a linear map, to compare with a closed form."""

    def decode(self, z):
        return 0.5 + (z @ plane.T).unflatten(1, (1, 8, 8))


torch.manual_seed(seed)
plane = torch.randn(64, 3) / 8
flat = Flat(latent_dim=3, channels=1, size=8, width=2)
wanted = torch.rand(5, 1, 8, 8)
for weight in (0.0, 1.0):
    found = invert(flat, wanted, 400, starts=2, prior_weight=weight).codes
    inner = plane.T @ plane + weight * torch.eye(3)
    ridge = torch.linalg.solve(inner, plane.T @ (wanted.flatten(1) - 0.5).T).T
    furthest = (found - ridge).abs().max().item()
    print(
        f"λ = {weight:g}: largest distance from ridge regression {furthest:.1e}"
    )
    assert furthest < 1e-3

# %% [markdown]
# Now the trained GAN. First on images that it drew itself, whose codes we know; then on digits of
# the test split, for which no code need exist. The first search has $\lambda = 0$, the second $\lambda = 0.05$.

# %%
STARTS, LAMBDA = 6, 0.05
truth = gan.sample_codes(16, torch.Generator().manual_seed(seed + 7))
with torch.inference_mode():
    own = gan.decode(truth)
held_out = test_digits.batch(range(16))
search_own = invert(gan, own, starts=STARTS)
search_real = invert(gan, held_out, starts=STARTS, prior_weight=LAMBDA)


def by_starts(search):
    """The mean error over images if the first k starts had been all."""
    chosen = search.objectives.cummin(1).indices  # by what is minimised
    return search.errors.gather(1, chosen).mean(0)


apart = (search_own.codes - truth).norm(dim=1)
chance = (truth[1:] - truth[:-1]).norm(dim=1).mean()
solved = (apart < 0.1).float().mean().item()
mean_digit = train_digits.batch(range(len(train_digits))).mean(0)
baseline = losses.squared_error(mean_digit.expand_as(held_out), held_out).mean()
print("starts                ", *(f"{k:>6}" for k in range(1, STARTS + 1)))
for name, search in (("own images", search_own), ("test digits", search_real)):
    print(f"SSE, {name:<17}", *(f"{e:6.2f}" for e in by_starts(search)))
print(f"SSE of the mean digit on test digits: {baseline:.1f}")
print(f"true code found (within 0.1) for {solved:.0%} of its own images")
print(
    f"distance of codes: median {apart.median():.2f}, largest"
    f" {apart.max():.2f}; of two random codes {chance:.2f}"
)
print(
    f"largest error on its own images {search_own.errors.min(1).values.max():.2f}"
)

# %% mystnb={"figure": {"caption": "Latent search with six starts: images that the GAN drew above, digits of the test split below, each with what was found.", "name": "fig-gan-search"}} tags=["hide-input"]
with torch.inference_mode():
    found_own = gan.decode(search_own.codes)
    found_real = gan.decode(search_real.codes)
explore.show(
    explore.image_table(
        torch.stack([own[:10], found_own[:10], held_out[:10], found_real[:10]]),
        row_labels=["drawn", "found", "test digit", "found"],
        alt="Four rows of ten pictures: images that the GAN drew, what the "
        "search found for them, digits of the test split, and what the search "
        "found for those.",
    )
)

# %% [markdown]
# On its own images the search works, and the number of starts decides how well: a single start may end in a poor local minimum, and a few more leave
# hardly any error. The pictures in the
# first two rows of {numref}`fig-gan-search` are the same to the eye. For most of them the true code is found as well, within a distance of
# 0.1. The others have a small error and a code some way off: the picture
# is found before the code is. Where the truth is unknown, nobody can tell the two cases apart.
#
# On digits of the test split the error is about half of that of the mean digit, and more starts help little. Some are met well, and others become a
# different digit or none. Most likely the generator cannot draw them: no
# code exists, and the search returns the nearest thing that it finds. In a clinic this would be a reconstruction that looks like an image of the
# kind, and may lack what is special about the patient. Look at the
# residual, $x - G(\hat z)$, before you interpret $\hat z$.
#
# ## Explore
#
# The digit GAN, live in your browser. It starts at the code that was found for the first test digit, and the walk leads from there, dimension by
# dimension, to
# the code of another. There is no strip of images and no map: both need an encoder.

# %%
start, goal = search_real.codes[0], search_real.codes[1]
explore.Explorer(
    gan,
    code=start,
    walk=[(d, float(goal[d].clamp(-3, 3))) for d in range(16)],
    title="A GAN of digits, trained on this page",
)

# %% mystnb={"figure": {"caption": "From one found code to another along a straight line.", "name": "fig-gan-walk"}} tags=["hide-input"]
with torch.inference_mode():
    path = gan.decode(torch.lerp(start, goal, torch.linspace(0, 1, 8)[:, None]))
explore.show(
    explore.image_table(
        torch.cat([held_out[:1], path, held_out[1:2]])[None],
        column_labels=[
            "image",
            *(f"{t:.2f}" for t in np.linspace(0, 1, 8)),
            "image",
        ],
        alt="A test digit, eight decoded steps between the codes found for it "
        "and for another, and that other digit.",
    )
)

# %% [markdown]
# In the explorer's traversal each dimension redraws the digit: its shape, its slant and its thickness change together. The prior is round, and
# nothing distinguishes one direction from
# another. On the way of {numref}`fig-gan-walk` the pictures between the ends are strokes as sharp as the ends, and not every one is a digit. Its ends
# are what the search found, not the
# two images. Directions that mean something have to be looked for, or asked for in training. InfoGAN does the latter ({ref}`hsic-infogan`).
#
# ## What the papers do not say
#
# **Mixed batches.** Batch normalisation in training mode makes an image's logit depend on its neighbours. Real and generated images in separate
# batches are each normalised
# by their own statistics, which hides from the discriminator that the two differ in mean and spread. In one mixed batch it is seen. Some programs do
# one, some the other; the package keeps them separate. A paper that does not say which cannot be repeated.
#
# **How many images, and compared with which.** A Fréchet distance is biased upwards by small samples, and it is a distance *from* something. The same
# generator, judged by fewer of its images, and against another split:

# %%
pool = classifier.features(own_drawings)
for n in (150, 500, 1_000):
    to_test = frechet_distance(pool[:n], of_test).score
    to_train = frechet_distance(pool[:n], of_train).score
    print(
        f"{n:>5} images: to test digits {to_test:6.2f}, to training {to_train:6.2f}"
    )

# %% [markdown]
# With 150 images the distance is larger than with 500 or more; beyond that it hardly changes here. The two
# columns have reference sets of different sizes, so that their small difference says little. In particular it does not
# tell whether images were learnt by heart; for that, look at the training image nearest to each generated one. Two
# distances are comparable if the classifier, the number of images and
# the reference set are the same. A paper that does not name all three has not given a
# result.
#

# %% tags=["hide-input"]
publish_metrics(
    "gan",
    {
        "jsd_known": jsd_known,
        "trained_slope": trained[1].item(),
        "discriminator_end": float(ends["discriminator"]),
        "frechet": ours["Fréchet distance"],
        "frechet_floor": floor,
        "frechet_recorded": judgements["the recorded GAN"]["Fréchet distance"],
        "frechet_lost": seed_values(
            recorded, "minimax", "frechet", "mnist.digits/test"
        ).mean(),
        "frechet_spectral": seed_values(
            recorded, "minimax_spectral", "frechet", "mnist.digits/test"
        ).mean(),
        "frechet_wasserstein": seed_values(
            recorded, "wasserstein", "frechet", "mnist.digits/test"
        ).mean(),
        "conditional_agreement": obeyed,
        "frechet_conditional": conditional,
        "ring_equal_modes": np.mean([n for n, _ in covered["equal rates"]]),
        "ring_wasserstein_modes": np.mean([n for n, _ in covered["… WGAN-GP"]]),
        "search_real_sse": search_real.errors.min(1).values.mean().item(),
        "lesion_trust": trust,
    },
)

# %% [markdown]
# ## Quiz

# %% tags=["quiz", "hide-input"]
from jupyterquiz import display_quiz

display_quiz(
    [
        {
            "question": "At some image the real density is four times the generated one. What does the best discriminator say? (two decimals)",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "range",
                    "range": [0.795, 0.805],
                    "correct": True,
                    "feedback": "Yes: 4/(4 + 1).",
                },
                {
                    "type": "default",
                    "feedback": "D* = p/(p + q) with p = 4q.",
                },
            ],
        },
        {
            "question": "The discriminator's loss stays at 1.386 nats. What follows?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "This discriminator cannot tell the images apart; perhaps another could.",
                    "correct": True,
                    "feedback": "Yes. Only a loss below 2 log 2 proves something: that the images can be told apart.",
                },
                {
                    "answer": "The generated images are perfect.",
                    "correct": False,
                    "feedback": "A discriminator that has learnt nothing has the same loss.",
                },
                {
                    "answer": "The generator has collapsed.",
                    "correct": False,
                    "feedback": "Nothing in this number says so.",
                },
            ],
        },
        {
            "question": "Which images teach a generator with the non-saturating loss most?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "those that are found out",
                    "correct": True,
                    "feedback": "Yes: the slope is D − 1, close to −1 where D is close to 0.",
                },
                {
                    "answer": "those that already pass",
                    "correct": False,
                    "feedback": "That is the minimax loss.",
                },
                {
                    "answer": "all equally",
                    "correct": False,
                    "feedback": "The slope depends on D.",
                },
            ],
        },
        {
            "question": "With one-sided label smoothing of 0.2, how large is the best discriminator's D where p = q? (two decimals)",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "range",
                    "range": [0.395, 0.405],
                    "correct": True,
                    "feedback": "Yes: 0.8 · ½.",
                },
                {
                    "type": "default",
                    "feedback": "D* = (1 − s) p/(p + q).",
                },
            ],
        },
        {
            "question": "Why is instance noise added to the real images, too?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "Else the noise itself would tell generated images from real ones.",
                    "correct": True,
                    "feedback": "Yes. With the same noise on both, the divergence is 0 exactly where the densities agree.",
                },
                {
                    "answer": "To have more training images.",
                    "correct": False,
                    "feedback": "It may do that as well, but the game would be another one without it.",
                },
                {
                    "answer": "It need not be.",
                    "correct": False,
                    "feedback": "Noise on one side only is the easiest thing to detect.",
                },
            ],
        },
        {
            "question": "Two densities do not overlap. The generated one is moved closer, and still does not overlap. What happens to the Jensen–Shannon divergence, and what to the Wasserstein distance?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "The first stays log 2, the second falls.",
                    "correct": True,
                    "feedback": "Yes. That slope is what WGAN-GP is about.",
                },
                {
                    "answer": "Both fall.",
                    "correct": False,
                    "feedback": "Without overlap some discriminator is always right: the first is log 2 at any distance.",
                },
                {
                    "answer": "The first falls, the second stays.",
                    "correct": False,
                    "feedback": "It is the other way round.",
                },
            ],
        },
        {
            "question": "A conditional generator draws perfect images of class A when asked for B, and the reverse; both are equally frequent. Who finds out?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "A discriminator that sees the image and the class.",
                    "correct": True,
                    "feedback": "Yes: it judges each class by itself.",
                },
                {
                    "answer": "A discriminator that sees the image alone.",
                    "correct": False,
                    "feedback": "All images together are distributed as the data are.",
                },
                {
                    "answer": "The Fréchet distance of all images.",
                    "correct": False,
                    "feedback": "It does not look at the classes that were asked for.",
                },
            ],
        },
        {
            "question": "Latent search ends with a large error on a new image. What may be the reason?",
            "type": "many_choice",
            "answers": [
                {
                    "answer": "The generator cannot draw this image.",
                    "correct": True,
                    "feedback": "Yes: no code need exist for it.",
                },
                {
                    "answer": "All starts ended in poor local minima.",
                    "correct": True,
                    "feedback": "Yes: more starts may help.",
                },
                {
                    "answer": "The weight of the prior is large.",
                    "correct": True,
                    "feedback": "Yes: the penalty holds the code near 0.",
                },
                {
                    "answer": "The discriminator is too weak.",
                    "correct": False,
                    "feedback": "It takes no part in the search.",
                },
            ],
        },
    ]
)

# %% [markdown]
# ## Limits, summary, further reading
#
# **Limits.** Small networks and few images; trainings of seconds on this page, of minutes in the records. Three seeds show who recovers
# and who does not, and do not rank those that do: each game has best rates of its own, and here all have the same. The
# classifier knows digits, and nothing else about images. GANs of today are larger, and have residual networks, attention, or a discriminator that looks at
# several resolutions.
#
# **Summary.**
# - A classifier of real and generated images estimates a ratio of densities {eq}`eq-gan-2`. The game {eq}`eq-gan-1` lets the generator minimise the
# divergence that follows from it {eq}`eq-gan-3`, as long
#   as the discriminator is the best one.
# - The losses {eq}`eq-gan-4` {eq}`eq-gan-5` differ in who teaches the generator; with the best discriminator, the
#   least-squares losses add up to a Pearson divergence {eq}`eq-gan-6`.
# - Smoothing bounds the discriminator from above {eq}`eq-gan-7`, instance noise makes separate distributions overlap {eq}`eq-gan-8`. Whether either helps is a
#   question for several seeds.
# - The Wasserstein distance {eq}`eq-gan-9` has a slope where the divergence has none; its critic is held by a penalty
#   {eq}`eq-gan-10`. Spectral normalisation bounds the slope of any discriminator, layer by layer {eq}`eq-gan-11`.
# - A conditional game compares class by class {eq}`eq-gan-12`.
# - The losses of a GAN say little about its images. Judge from outside, and count what is missing.
# - A GAN has no encoder. Latent search {eq}`eq-gan-13` finds a picture; whether it finds *the* code has to be checked where the code is known.
#
# **Exercises.** {ref}`gan-exercises`: each checks your answer and says what is wrong with it.
#
# **Further reading.** Goodfellow et al. {cite:p}`goodfellow2014` for the game and its theory; Radford et al. {cite:p}`radford2016` for the networks;
# Salimans et al.
# {cite:p}`salimans2016` for smoothing and other aids; Mao et al. {cite:p}`mao2017` for least squares; Sønderby et al. {cite:p}`sonderby2017` and
# Arjovsky and Bottou
# {cite:p}`arjovsky2017` for instance noise, and for what goes wrong without overlap; Arjovsky et al. {cite:p}`arjovsky2017wasserstein` and Gulrajani et al.
# {cite:p}`gulrajani2017` for the Wasserstein GAN; Miyato et al. {cite:p}`miyato2018` for spectral normalisation; Mirza and Osindero {cite:p}`mirza2014` for
# conditions; Lucic et al. {cite:p}`lucic2018` for a comparison with equal budgets; Lin et al. {cite:p}`lin2018` for discriminators that see several
# images at once.
#
# **The functions of this chapter** in the API reference: {py:func}`medlatent.losses.discriminator_loss` and
# {py:func}`medlatent.losses.saturating_deception_loss` {eq}`eq-gan-1`,
# {py:func}`medlatent.losses.deception_loss` {eq}`eq-gan-4`, {py:func}`medlatent.losses.least_squares_discriminator_loss` and
# {py:func}`medlatent.losses.least_squares_deception_loss` {eq}`eq-gan-5`, {py:meth}`medlatent.models.GAN.add_noise` {eq}`eq-gan-8`,
# {py:func}`medlatent.losses.wasserstein_critic_loss` and {py:func}`medlatent.losses.wasserstein_deception_loss` {eq}`eq-gan-9`,
# {py:func}`medlatent.losses.gradient_penalty` {eq}`eq-gan-10`, {py:class}`medlatent.models.SpectralGAN` {eq}`eq-gan-11`,
# {py:class}`medlatent.models.WassersteinGAN`,
# {py:func}`medlatent.models.invert` {eq}`eq-gan-13`, {py:class}`medlatent.models.GAN`, {py:func}`medlatent.evaluation.domain_classifier`,
# {py:func}`medlatent.metrics.generation.frechet_distance`.
