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
#     about: 'a short paper {cite:p}`liu2022`, taken at its word: mutual information
#       and its bound, HSIC in all its forms, digits by category and code, and what
#       of it survives five seeds'
#     needs:
#     - vae
#     - independence
#     - gan
#     sessions:
#     - class: '{ref}`hsic-infogan` up to the variants: the bound and HSIC on the board,
#         the permutation test at the keyboard'
#       homework: '{ref}`hsic-infogan-exercises` 1 to 4'
#     - class: '{ref}`hsic-infogan`: the runs and their verdicts; {ref}`hsic-infogan-search`
#         in pairs; a debate on what "similar" means'
#       homework: the rest of {ref}`hsic-infogan-exercises`, quiz
# ---

# %% [markdown]
# (hsic-infogan)=
# # HSIC-InfoGAN: Liu et al. 2022
#
# :::{admonition} What you will be able to do
# :class: tip
# - derive the bound by which InfoGAN maximises mutual information, and say when it is tight and which constant is
#   missing in print;
# - derive HSIC, compute it in five lines, and test independence with it by permutation;
# - name the variants of HSIC that are in use, and say how each of them scales with the bandwidth;
# - explain why the *size* of a dependence loss says little about dependence;
# - measure what a category and a continuous code do to generated digits, say which of these measures a collapsed
#   generator satisfies, and judge a claim by a protocol.
#
# **You need** the chapters {ref}`vae`, {ref}`independence`, {ref}`gan` and {ref}`measuring`. **Time**: an hour and three quarters of
# reading and trying. **Device**: a laptop; the measured run time stands on the page {doc}`/book/execution_times`.
# :::

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% tags=["hide-input"]
from medlatent.course import (
    choose,
    claim_points,
    code_grid,
    fit,
    part_of,
    publish_metrics,
    recorded_runs,
    seed_values,
    show_claims,
    show_source,
    show_table,
    spread,
)

settings = choose(
    {
        "ci": {
            "data": "mnist.digits",  # 5 000 real digits
            "width": 8,
            "steps": 220,
            "batch_size": 50,
            "generator_rate": 5e-3,  # higher than the paper's: few steps
            "discriminator_rate": 2e-3,
        },
        "laptop": {
            "data": "mnist.digits",
            "width": 16,
            "steps": 4_000,
            "batch_size": 100,
            "generator_rate": 1e-3,
            "discriminator_rate": 2e-4,
        },
        "paper": {  # 100 epochs of 60 000 digits: pack them first
            "data": "mnist",
            "width": 64,
            "steps": 60_000,
            "batch_size": 100,
            "generator_rate": 1e-3,
            "discriminator_rate": 2e-4,
        },
    },
    profile,
)
settings

# %% tags=["hide-input"]
import math
import statistics
from functools import partial

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import linear_sum_assignment

from medlatent import explore, losses
from medlatent.data import open_images
from medlatent.evaluation import digits as suite
from medlatent.evaluation import domain_classifier
from medlatent.metrics import categories, strokes
from medlatent.models import HSICInfoGAN, InfoGAN, draw_images
from medlatent.nets import count_parameters

_ = torch.manual_seed(seed)


# %% [markdown]
# ## The question
#
# A GAN draws images from noise ({ref}`gan`). Nothing tells it what a dimension of the noise should mean. InfoGAN
# {cite:p}`chen2016` sets some dimensions aside, the *code* $c$, and demands that the image tell them: whoever sees
# the image should be able to read the code off it. If the code is one of ten categories and two numbers, one may hope
# that the categories become the ten digits, and the numbers how a digit is written.
#
# {numref}`fig-hsic-infogan-wanted` shows the hope, with real digits: a row for each digit, sorted by how far they
# lean. Slant and {term}`stroke thickness` can be measured on an image, by its moments and by the distance of its ink
# to the border. We shall need both.

# %% mystnb={"figure": {"caption": "Real digits of MNIST in the order that one hopes for: a category in each row; along the row one way of writing changes, here the slant.", "name": "fig-hsic-infogan-wanted"}} tags=["hide-input"]
digits = open_images(settings["data"])
test = digits.split("test")
shown = torch.from_numpy(test.images[:2_000]).float() / 255
label = test.factor_matrix(["digit"])[:2_000, 0].astype(int)
lean = strokes.slant(shown)
rows = []
for digit in range(10):
    of_digit = np.flatnonzero(label == digit)
    order = of_digit[np.argsort(lean[of_digit])]
    places = np.linspace(0.04, 0.96, 10) * (len(order) - 1)
    rows.append(shown[order[places.round().astype(int)]])
explore.show(
    explore.image_table(
        torch.stack(rows),
        row_labels=[str(digit) for digit in range(10)],
        column_labels=["leans left", *[""] * 8, "leans right"],
        alt="Ten rows of ten handwritten digits, a row for each of 0 to 9. "
        "Along each row the digits lean further to the right.",
    )
)

# %% [markdown]
# How does one *demand* that the image tell the code? InfoGAN trains a second network, $Q$, which reads the code off
# the image. Liu et al. {cite:p}`liu2022` ask whether it can be done without one, by a statistic that is computed from
# a batch: the {term}`Hilbert-Schmidt independence criterion <HSIC>`. They think of medicine, where a regression of
# codes is part of many systems that separate the anatomy in an image from its style, and a network less is memory
# saved.
#
# The paper is a short exploratory one, and its results are pictures. In its own words it claims:
#
# - **H1** "HSIC-InfoGAN learns better $c_1$ and similar $c_2$ compared to InfoGAN", where "$c_1$ mostly captures
#   rotation information and $c_2$ mostly captures thickness information", without the auxiliary network.
# - **H2** "Changing $\sigma$ causes more significant changes to the HSIC loss" than changing its weight $\lambda$, and
#   "it is important to ensure the generator loss and the HSIC loss have the same order of magnitude".
#
# One thing it concedes: "InfoGAN disentangles nicely the discrete latent codes whilst HSIC-InfoGAN achieves a
# satisfactory level". What a paper concedes is shown below, and not judged.
#
# ## Equation 1: the game
#
# $$
# \min_G \max_D V(D, G) = \mathbb{E}_{x}[\log D(x)] + \mathbb{E}_{z}[\log(1 - D(G(z)))] .
# $$ (eq-hsic-infogan-1)
#
# {ref}`gan` derives what follows from it: the best discriminator $D^\star$ {eq}`eq-gan-2`, and the value that it reaches,
# $2\,\mathrm{JSD}(p, q) - 2 \log 2$ {eq}`eq-gan-3`. Here $p$ is the density of real images, $q$ that of generated ones, and JSD their
# {term}`Jensen–Shannon divergence`. So the best generator has $q = p$, and the value of the game is $-2 \log 2$.
#
# The discriminator's loss in the package is $-V$ of one real and one generated image. Its generator minimises $-\log
# D(G(z))$, the {term}`non-saturating loss`; {ref}`gan` says why {eq}`eq-gan-4`. The loss of equation 1 is there, too.

# %% tags=["remove-input"]
show_source(
    losses.discriminator_loss,
    losses.saturating_deception_loss,
    losses.deception_loss,
)

# %% [markdown]
# The check takes two densities on a line, and integrates. At $D^\star$ the value is that of the closed form; any
# other discriminator has a lower one.

# %% tags=["check-hsic-infogan-1"]
grid = torch.linspace(-10, 12, 8_001, dtype=torch.float64)
width = (grid[1] - grid[0]).item()
normal = torch.distributions.Normal


def value_of_game(logit, p, q):
    """V(D, G) by quadrature, with the package's losses."""
    found = p * -losses.deception_loss(logit)
    found = found + q * losses.saturating_deception_loss(logit)
    return found.sum().item() * width


for shift in (0.0, 1.5, 6.0):
    log_p = normal(0.0, 1.0).log_prob(grid)
    log_q = normal(shift, 1.0).log_prob(grid)
    p, q = log_p.exp(), log_q.exp()
    best = value_of_game(log_p - log_q, p, q)
    middle = ((p + q) / 2).log()
    jsd = ((p * (log_p - middle) + q * (log_q - middle)) / 2).sum().item()
    closed = 2 * jsd * width - 2 * math.log(2)
    other = value_of_game(0.7 * (log_p - log_q) + 0.3, p, q)
    print(
        f"shift {shift:g}: V at D* {best:.4f}, 2 JSD - 2 log 2 = {closed:.4f},"
        f" another discriminator {other:.4f}"
    )
    assert abs(best - closed) < 1e-6
    assert other < best
real, fake = torch.randn(5), torch.randn(5)
both = -losses.deception_loss(real) + losses.saturating_deception_loss(fake)
assert torch.allclose(losses.discriminator_loss(real, fake), -both)

# %% [markdown]
# ## Equation 2: the game with information
#
# The generator gets a code $c$ beside the noise, $x = G(z, c)$. In equation 1 it is free to ignore it: what counts is
# the distribution of its images alone. So the paper subtracts a {term}`mutual information`:
#
# $$
# \begin{aligned}
# \min_G \max_D V_I(D, G) &= V(D, G) - \lambda_I\, I(c; G(z, c)), \\
# I(c; x) &= \mathrm{KL}\!\left(p(c, x) \,\|\, p(c)\, p(x)\right) \\
# &= H(c) - H(c \mid x) .
# \end{aligned}
# $$ (eq-hsic-infogan-2)
#
# It is minimised over $G$, so the minus makes the information large. The information is $H(c)$ at most, and reaches
# it where the image determines the code.
#
# The smallest example: one bit $c$, one bit of noise $z$, and images that are one bit, too. One generator draws $x =
# z$, the other $x = c$. Their images have the same distribution, so that no discriminator sees a difference. Only the
# second term does.

# %% tags=["check-hsic-infogan-2"]


def mutual_information(joint):
    """I of a table of probabilities (C, X), in nats."""
    product = joint.sum(1, keepdim=True) * joint.sum(0)
    return torch.xlogy(joint, joint / product).nan_to_num().sum().item()


weight = 0.5
data = torch.tensor([0.3, 0.7], dtype=torch.float64)  # of real bits
ignores, shows = torch.zeros(2, 2), torch.zeros(2, 2)
for c in (0, 1):
    for z in (0, 1):
        ignores[c, z] += 0.25  # x = z
        shows[c, c] += 0.25  # x = c
values = {}
for name, joint in (("x = z", ignores.double()), ("x = c", shows.double())):
    q = joint.sum(0)
    logit = data.log() - q.log()
    game = (data * F.logsigmoid(logit) + q * F.logsigmoid(-logit)).sum().item()
    information = mutual_information(joint)
    values[name] = game - weight * information
    print(f"{name}: V {game:.4f}, I {information:.4f}, V_I {values[name]:.4f}")
assert math.isclose(values["x = z"] - values["x = c"], weight * math.log(2))

# %% [markdown]
# ## Equation 3: a bound that can be trained
#
# $I(c; x)$ needs $p(c \mid x)$, which code belongs to an image, and the generator does not know it. Take any
# distribution $Q(c \mid x)$ in its place {cite:p}`barber2003`. In the mean over images
#
# $$
# \begin{aligned}
# -H(c \mid x) &= \mathbb{E}\!\left[\log p(c \mid x)\right] \\
# &= \mathbb{E}\!\left[\log Q(c \mid x)\right] \\
# &\quad + \mathbb{E}_x\, \mathrm{KL}\!\left(p(c \mid x) \,\|\, Q(c \mid x)\right) \\
# &\ge \mathbb{E}\!\left[\log Q(c \mid x)\right] ,
# \end{aligned}
# $$
#
# because a KL is never negative. Adding $H(c)$ gives the bound
#
# $$
# \begin{aligned}
# I(c; G(z, c)) &\ge L_I(G, Q) \\
# &= \mathbb{E}_{x}\!\left[\mathbb{E}_{c'}[\log Q(c' \mid x)]\right] + H(c) .
# \end{aligned}
# $$ (eq-hsic-infogan-3)
#
# Three remarks. The gap is the mean KL of the true posterior from $Q$, so the bound is tight exactly at $Q(c \mid x)
# = p(c \mid x)$. The inner expectation is over $c' \sim p(c \mid x)$, from which nobody can sample; but a pair "image
# from its marginal, then code from the posterior" has the same distribution as "code from the prior, then image from
# the generator", and that pair is what training has at hand. And the paper prints $L_I$ *without* $H(c)$. For a fixed
# prior of the code this is a constant, so no gradient changes. But without it the line is still a bound for a category, and an empty one:
# its right side can never exceed 0, and the information is never below 0.

# %% tags=["remove-input"]
show_source(
    losses.categorical_nll,
    losses.gaussian_code_nll,
    losses.uniform_entropy,
    losses.information_bound,
)

# %% [markdown]
# A channel small enough for exact sums: three categories, five images, random probabilities. The exact information,
# the bound for many random $Q$, the gap, and the bound from samples with the package's functions.

# %% tags=["check-hsic-infogan-3"]
torch.manual_seed(seed)
entropy = losses.categorical_entropy(3)
channel = (1.5 * torch.randn(3, 5).double()).softmax(1)  # p(x | c)
joint = channel / 3
exact = mutual_information(joint)
posterior = joint / joint.sum(0)  # p(c | x), a column for each image


def bound(q):
    """L_I of a table Q(c | x), exactly."""
    return entropy + (joint * q.log()).sum().item()


def gap(q):
    """The mean KL of the posterior from Q."""
    return (joint * (posterior / q).log()).sum().item()


guesses = [torch.randn(3, 5).double().softmax(0) for _ in range(500)]
print(f"I {exact:.4f}, best of 500 random Q {max(map(bound, guesses)):.4f}")
print(f"at the posterior {bound(posterior):.4f}")
print(f"there, as printed without H(c): {bound(posterior) - entropy:.4f}")
assert max(map(bound, guesses)) <= exact
assert math.isclose(bound(posterior), exact, rel_tol=1e-9)
assert all(math.isclose(exact - bound(q), gap(q)) for q in guesses)

count = 100_000  # codes from the prior, images from the generator
code = torch.randint(3, (count,))
image = torch.multinomial(channel, count, replacement=True)
image = image[code, torch.arange(count)]
logits = guesses[0].log().T[image].float()  # an unnormalised row is fine
nll = losses.categorical_nll(logits + 3, F.one_hot(code, 3))
sampled = losses.information_bound(entropy, nll).mean().item()
print(f"one Q: exactly {bound(guesses[0]):.4f}, from samples {sampled:.4f}")
assert abs(sampled - bound(guesses[0])) < 0.02

# %% [markdown]
# For a continuous code InfoGAN's $Q$ is a Gaussian, whose mean and variance the network gives, and $H(c)$ is the
# *differential* entropy of the prior: $0$ on $U(0, 1)$, $\log 2$ a code on $U(-1, 1)$. A Gaussian leaves a gap where the true posterior is
# not Gaussian. An example with one code: $c \sim U(0, 1)$ and an "image" $x = c$ plus noise. Near the
# ends of the interval the posterior is cut off.

# %% tags=["hide-input"]
noise = 0.2


def density(x):
    """p(x) of x = c + noise, c uniform on (0, 1)."""
    return stats.norm.cdf(x / noise) - stats.norm.cdf((x - 1) / noise)


surprise = quad(lambda x: -density(x) * np.log(density(x)), -1, 2)[0]
exact_here = surprise - 0.5 * math.log(2 * math.pi * math.e * noise**2)
code = torch.rand(200_000, 1, dtype=torch.float64)
image = code + noise * torch.randn_like(code)
slope = torch.cov(torch.cat([code, image], 1).T)[0, 1] / image.var()
mean = 0.5 + slope * (image - 0.5)  # the best line
logvar = (code - mean).var().log().expand_as(mean)
nll = losses.gaussian_code_nll(mean, logvar, code)
at_best = losses.information_bound(losses.uniform_entropy(0, 1), nll)
print(f"I {exact_here:.4f}, bound of a linear Q {at_best.mean():.4f}")
assert 0 < exact_here - at_best.mean() < 0.3

# %% [markdown]
# ## Equation 4: InfoGAN
#
# $$
# \begin{gathered}
# \min_{G, Q} \max_D V_{\text{InfoGAN}}(D, G, Q), \\
# V_{\text{InfoGAN}} = V(D, G) - \lambda_{\text{InfoGAN}}\, L_I(G, Q) .
# \end{gathered}
# $$ (eq-hsic-infogan-4)
#
# Generator and $Q$ both want $L_I$ large: $Q$ learns to read the code, the generator learns to write it legibly. For
# a category $-\log Q$ is the cross-entropy, for continuous codes the negative log-density of a Gaussian. $Q$ is one
# more head on the discriminator's trunk. Who owns the trunk in the step of $Q$? As in Chen et al. {cite:p}`chen2016`,
# the package gives trunk and both heads to the discriminator's optimiser; other code leaves $Q$'s head to the
# generator's.

# %% tags=["remove-input"]
show_source(InfoGAN.discriminator_terms, InfoGAN.generator_terms)

# %% [markdown]
# We take one step and look at its terms. The loss of the generator must be the adversarial term plus the weighted
# $-\log Q$, and the information bound follows from them by adding the entropies. At the start it is near 0 or below:
# $Q$ knows nothing.

# %% tags=["check-hsic-infogan-4"]
torch.manual_seed(seed)
model = InfoGAN(width=8)
batch = torch.rand(64, 1, 28, 28)
terms = {k: v.item() for k, v in model.update(batch).items()}
print({name: round(value, 3) for name, value in terms.items()})
weighed = sum(w * terms[name] for name, w in model.weights.items())
assert math.isclose(terms["loss"], terms["adversarial"] + weighed, rel_tol=1e-5)
for name, at_most in model.code_entropy.items():
    print(f"bound on I({name}; x): {at_most - terms[name]:+.3f} nats")
assert model.code_entropy["category"] - terms["category"] < math.log(10)

code = model.sample_codes(64)
images = model.decode(code)
found = model.generator_terms(images, model.features(images), code)
lambda_bound = -sum(w * found[name] for name, w in model.weights.items())
into_generator = torch.autograd.grad(
    lambda_bound, [*model.generator.parameters()], retain_graph=True
)
into_trunk = torch.autograd.grad(
    lambda_bound, [*model.discriminator.trunk.parameters()]
)
assert any(g.abs().max() > 0 for g in into_generator)
assert any(g.abs().max() > 0 for g in into_trunk)

# %% [markdown]
# ## Equation 5: HSIC
#
# When are two random variables independent? If every function of the one is uncorrelated with every function of the
# other. "Every function" is too much to try. But if functions are taken from two spaces that are given by kernels $k$
# and $l$, the largest covariance, and also the *sum of all squared ones*, can be computed from similarities alone.
# The latter is HSIC {cite:p}`gretton2005`.
#
# Let $\phi(x)$ be the features of an image and $\psi(z)$ those of a code, with $\phi(x)^\top \phi(x') = k(x, x')$ and
# $\psi(z)^\top \psi(z') = l(z, z')$. Their cross-covariance is a matrix, perhaps with infinitely many entries, $C =
# \mathbb{E}[(\phi - \bar\phi)(\psi - \bar\psi)^\top]$, and HSIC is its squared Frobenius norm. From a batch of $m$ pairs, write the
# features of the images as the rows of $\Phi$, of the codes as rows of $\Psi$. Subtracting the mean of the rows
# is multiplying by the *centring matrix* $H = \mathbb{1}_m - \tfrac1m \mathbf{1}\mathbf{1}^\top$, with $H H = H$. (Here $H$ is no entropy;
# and $z$, as the paper prints it, is the code, not the noise.) With $m - 1$ in the covariance's
# denominator
#
# $$
# \begin{aligned}
# \|C\|_F^2 &= \frac{\mathrm{trace}\!\left((H\Phi)^\top H\Psi\, (H\Psi)^\top H\Phi\right)}{(m - 1)^2} \\
# &= \frac{\mathrm{trace}\!\left(\Phi\Phi^\top H\, \Psi\Psi^\top H\right)}{(m - 1)^2} .
# \end{aligned}
# $$
#
# Only the similarities $K_x = \Phi\Phi^\top$ and $K_z = \Psi\Psi^\top$ are left:
#
# $$
# \begin{gathered}
# \mathrm{HSIC}(X, Z) = (m - 1)^{-2}\, \mathrm{trace}(K_x H K_z H), \\
# K_{ij} = \exp\!\left(-\tfrac12 \|x_i - x_j\|^2 / \sigma^2\right) .
# \end{gathered}
# $$ (eq-hsic-infogan-5)
#
# The features of the Gaussian kernel are so many that HSIC is 0 for independent variables and for no others, in the
# limit of large batches. Image and code may have different dimensions: only their matrices of similarities meet.

# %% tags=["remove-input"]
show_source(
    losses.squared_distances, losses.gaussian_kernel, losses.centre, losses.hsic
)

# %% [markdown]
# The trace against a double loop over pairs, with row means subtracted by hand; and against the squared norm of the
# cross-covariance where the features are known, that is for the linear kernel.

# %% tags=["check-hsic-infogan-5"]
torch.manual_seed(seed)
x = torch.randn(12, 5, dtype=torch.float64)
z = torch.randn(12, 3, dtype=torch.float64) + x[:, :3]
sigma = 1.7


def similarities(rows):
    """The Gaussian kernel, entry by entry."""
    m = len(rows)
    return [
        [
            math.exp(-0.5 * sum((rows[i] - rows[j]) ** 2) / sigma**2)
            for j in range(m)
        ]
        for i in range(m)
    ]


a, b = similarities(x.numpy()), similarities(z.numpy())
m, total = len(a), 0.0
for i in range(m):
    for j in range(m):
        centred = (
            b[i][j] - sum(b[i]) / m - sum(b[j]) / m + sum(map(sum, b)) / m**2
        )
        total += a[i][j] * centred
by_loops = total / (m - 1) ** 2
ours = losses.hsic(
    losses.gaussian_kernel(x, sigma), losses.gaussian_kernel(z, sigma)
).item()
print(f"trace {ours:.8f}, double loop {by_loops:.8f}")
assert math.isclose(ours, by_loops, rel_tol=1e-9)

cross = torch.cov(torch.cat([x, z], 1).T)[:5, 5:]
linear = losses.hsic(x @ x.T, z @ z.T).item()
print(f"linear kernel {linear:.6f}, ‖C‖² {cross.square().sum():.6f}")
assert math.isclose(linear, cross.square().sum().item(), rel_tol=1e-9)

# %% [markdown]
# ### Is it more than chance? A permutation test
#
# HSIC of a batch is never negative, so for independent variables it is not 0 but a small positive number: the printed
# estimator, with $(m - 1)^{-2}$, is biased. How small depends on the batch and the bandwidth. A permutation gives the
# scale: shuffle the codes, so that each image meets the code of another, and compute HSIC again. If image and code were
# independent, the original pairing would be one of many alike. The p-value is the share of pairings, the original one
# included, with an HSIC at least as large.
#
# Three cases with 100 pairs each. In the last one the dependence is on a circle: the correlation of the two
# coordinates is 0.


# %%
def permutations(kernel_x, kernel_z, count, form="empirical", seed=0):
    """HSIC of shuffled pairs, (count,)."""
    generator = torch.Generator().manual_seed(seed)
    m = len(kernel_x)
    orders = [torch.randperm(m, generator=generator) for _ in range(count)]
    return torch.stack(
        [losses.hsic(kernel_x, kernel_z[o][:, o], form) for o in orders]
    )


torch.manual_seed(seed)
first, angle = torch.randn(100, 1), 2 * math.pi * torch.rand(100, 1)
jitter = 0.1 * torch.randn(100, 2)
cases = {
    "independent": (first, torch.randn(100, 1)),
    "linear": (first, first + torch.randn(100, 1)),
    "circle": (angle.cos() + jitter[:, :1], angle.sin() + jitter[:, 1:]),
}
null = {}
for name, pair in cases.items():
    kernels = [losses.gaussian_kernel(v, 0.5) for v in pair]
    here = losses.hsic(*kernels)
    null[name] = (here.item(), permutations(*kernels, 499).numpy())
    p_value = (1 + (null[name][1] >= here.item()).sum()) / 500
    r = np.corrcoef(*(v[:, 0].numpy() for v in pair))[0, 1]
    print(
        f"{name:<12} correlation {r:+.2f}, HSIC {here:.5f}, p-value {p_value:.3f}"
    )
    assert (p_value < 0.05) == (name != "independent")

# %% mystnb={"figure": {"caption": "HSIC of 499 shuffled pairings (bars), and of the true pairing (line), for three pairs of variables.", "name": "fig-hsic-infogan-permutations"}} tags=["hide-input"]
fig, axes = explore.figure(7.4, 2.4, columns=3)
for axis, (name, (here, shuffled)) in zip(axes, null.items(), strict=True):
    axis.hist(1e3 * shuffled, bins=25, color="C0", alpha=0.7)
    axis.axvline(1e3 * here, color="C1", lw=2)
    axis.set(title=name, xlabel="1 000 · HSIC", yticks=[])
fig.alt = "Three histograms of HSIC over shuffled pairings. " + "; ".join(
    f"{name}: shuffled {1e3 * s.min():.1f} to {1e3 * s.max():.1f}, "
    f"true {1e3 * h:.1f}, in thousandths"
    for name, (h, s) in null.items()
)
explore.show(fig)

# %% [markdown]
# For the linear and the circular dependence the line stands to the right of all but a few bars; for independent
# variables it stands among them. Note where the bars themselves stand: not at 0. That offset comes back below.
#
# ### Its relation to CKA
#
# HSIC has the unit of the product of two squared features, and there is no upper end to read it against. Divide by
# its values of each variable with itself:
#
# $$
# \begin{gathered}
# \mathrm{CKA}(X, Z) = \frac{t(X, Z)}{\sqrt{t(X, X)\; t(Z, Z)}} , \\
# t(X, Z) = \mathrm{trace}(K_x H K_z H) .
# \end{gathered}
# $$
#
# It is the cosine between two centred matrices, and neither has a negative eigenvalue, so it lies in $[0, 1]$ and is 1 for a variable and itself. With
# linear kernels it is the {term}`centred kernel alignment <CKA>` by which the layers of two networks are compared
# {cite:p}`kornblith2019`, and for two single numbers it is the squared correlation. Whoever says "normalised HSIC"
# may mean this, or the normalised-CCA form of the next section.

# %% tags=["hide-input"]
features = torch.randn(200, 6, dtype=torch.float64)
other = features[:, :3] @ torch.randn(3, 4, dtype=torch.float64)
other = other + 0.5 * torch.randn(200, 4, dtype=torch.float64)
centred = [v - v.mean(0) for v in (features, other)]
feature_form = torch.linalg.matrix_norm(centred[0].T @ centred[1]) ** 2 / (
    torch.linalg.matrix_norm(centred[0].T @ centred[0])
    * torch.linalg.matrix_norm(centred[1].T @ centred[1])
)
linear_kernels = [v @ v.T for v in (features, other)]
aligned = losses.hsic(*linear_kernels, "cka")
print(f"from features {feature_form:.6f}, normalised HSIC {aligned:.6f}")
assert torch.isclose(feature_form, aligned)

u, v = (cases["linear"][k].double() for k in (0, 1))
squared = np.corrcoef(u[:, 0], v[:, 0])[0, 1] ** 2
assert math.isclose(losses.hsic(u @ u.T, v @ v.T, "cka"), squared)
kernels = [losses.gaussian_kernel(w, 0.5).double() for w in (u, v)]
own = [losses.hsic(k, k) for k in kernels]
by_hand = losses.hsic(*kernels) / (own[0] * own[1]).sqrt()
assert torch.isclose(losses.hsic(*kernels, "cka"), by_hand)

# %% [markdown]
# ### Is HSIC an approximation of mutual information?
#
# The paper's title says so, and refers to an "informal discussion". Take two jointly Gaussian numbers with unit
# variance and correlation $\rho$. With linear kernels HSIC is $\rho^2$, and the mutual information is $-\tfrac12
# \log(1 - \rho^2)$. Both grow with the dependence, and both are 0 without. But HSIC ends at 1 where the information
# is infinite.

# %% tags=["hide-input"]
table = pd.DataFrame({"correlation": [0.1, 0.3, 0.6, 0.9, 0.99]})
squared = table["correlation"] ** 2
table["HSIC, linear"] = squared
table["mutual information (nats)"] = -0.5 * np.log(1 - squared)
table["slope of HSIC in ρ"] = 2 * table["correlation"]
table["slope of MI in ρ"] = table["correlation"] / (1 - squared)
table["correlation"] = table["correlation"].map("{:g}".format)
show_table(table.set_index("correlation"), 3)

# %% [markdown]
# So HSIC orders such pairs as the information does, and it is no approximation of its value. What matters for
# training is the gradient, the last two columns: up to a correlation of about 0.7 the slope of HSIC is the larger one; beyond it the
# information pushes harder without end towards a code that can be read without any doubt, while the slope of HSIC never exceeds 2.
#

# %% [markdown]
# ## The variants, and their sizes
#
# "HSIC" is printed as equation 5, but the paper refers for its code to that of the HSIC bottleneck {cite:p}`ma2020`,
# which offers several forms:
#
# | Name here | Form | In that code |
# |:--|:--|:--|
# | `empirical` | $\mathrm{trace}(K_x H K_z H) / (m - 1)^2$, as printed | – |
# | `mean` | the same over $m^2$ | plain |
# | `cka` | divided by the values of each with itself | normalised |
# | `cca` | $\mathrm{trace}(R_x R_z)$ with $R = \bar K (\bar K + \epsilon m I)^{-1}$, $\bar K = H K H$ | normalised-CCA |
#
# And two kernels: there, the squared distance is divided by $2 \sigma^2 d$, with $d$ the number of dimensions of
# image or code; in print, by $2 \sigma^2$. Without a $\sigma$ that code takes a median of squared distances. The
# package has the {term}`median heuristic` as `sigma=None`.
#
# The normalised-CCA form needs a word. $R$ has the eigenvalues $\kappa / (\kappa + \epsilon m)$, where $\kappa$ are
# those of the centred kernel. With $\epsilon = 10^{-5}$ all but the tiniest become 1: every direction counts as much
# as any other, whatever variance it has. $\mathrm{trace}(R_x R_z)$ counts how many directions two such sets have in
# common.
#
# How large are they? The same code gives on one batch of 64 images of 28×28 and 12-dimensional codes, at $\sigma$ 2,
# 5 and 10: normalised-CCA 8.0, 2.45 and 1.28, plain 5.4e-5, 1.5e-6 and 9.2e-8. The tests of the package reproduce
# these numbers where that batch is at hand. Here is a batch of the same making, with other random numbers: dark
# noise, and a bright image where the category is the first one.

# %% tags=["hide-input"]
generator = torch.Generator().manual_seed(seed)


def random_codes(count):
    """A category and two codes from U(0, 1), (count, 12)."""
    category = torch.randint(10, (count,), generator=generator)
    uniform = torch.rand(count, 2, generator=generator)
    return torch.cat([F.one_hot(category, 10).float(), uniform], 1)


codes = random_codes(64)
noisy = 0.2 * torch.rand(64, 1, 28, 28, generator=generator)
noisy = noisy + codes[:, :1, None, None]


def forms(images, codes, sigma, scaled):
    """All four forms by name."""
    kernels = []
    for values in (images, codes):
        width = sigma
        if sigma is None:  # the median heuristic
            width = losses.median_squared_distance(values).sqrt()
            width = width / math.sqrt(values[0].numel()) if scaled else width
        kernels.append(losses.gaussian_kernel(values, width, scaled))
    names = ("empirical", "mean", "cka", "cca")
    return {name: losses.hsic(*kernels, name).item() for name in names}


rows = {}
for scaled in (True, False):
    kernel = "over the dimension" if scaled else "as printed"
    for sigma in (2, 5, 10, None):
        if sigma is None and scaled:
            continue  # the heuristic undoes the division
        rows[kernel, str(sigma or "median")] = forms(
            noisy, codes, sigma, scaled
        )
sizes = pd.DataFrame(rows).T
sizes.index.names = ["kernel", "σ"]
reproduced = sizes.loc["over the dimension"]
for name, values in (
    ("cca", (8.0, 2.45, 1.28)),
    ("mean", (5.4e-5, 1.5e-6, 9.2e-8)),
):
    for sigma, value in zip(("2", "5", "10"), values, strict=True):
        assert abs(math.log10(reproduced.loc[sigma, name] / value)) < 0.5
show_table(sizes.map("{:.3g}".format))

# %% [markdown]
# From one form to another, at one $\sigma$, the size changes by five to seven orders of magnitude with the scaled kernel, and by four to
# five with the printed one. A generator's
# adversarial loss $-\log D$ is of the order of 1; it is $\log 2$ where the discriminator cannot tell. The paper
# searches $\sigma$ from 2 to 10 and asks for HSIC and generator loss of one order. In the scaled kernel of the code that
# it cites, only normalised-CCA is there with a $\lambda$ near 1; the normalised form is a little below, and does not
# react to $\sigma$ at all. The plain form needs a $\lambda$ of $10^4$ to $10^7$, with the printed kernel one of some
# hundreds to some thousands.
#
# An *inference* follows, and no more: if the paper's $\lambda$ was an ordinary number, its experiments used the
# normalised-CCA form and not the printed equation 5. It gives neither form, $\sigma$ nor $\lambda$. One thing speaks against the inference:
# the paper saw $\sigma$ change its loss more than $\lambda$, and normalised-CCA reacts to $\sigma$ *less* than to $\lambda$, as the next
# section measures. That observation fits the plain forms. If its $\lambda$
# was in the hundreds, the printed equation will do. Which of them *trains* a generator whose code one can see is
# another question, and can be tried: {ref}`hsic-infogan-search`.
#
# ### How much of the size is dependence?
#
# Now a batch of real digits. The code is first the *true* one, the digit as a one-hot vector beside two random
# numbers, and then the same with the rows shuffled: independent.

# %% tags=["hide-input"]
real_digits = shown[:64]
truth = random_codes(64)
truth[:, :10] = F.one_hot(torch.from_numpy(label[:64]), 10).float()
rows = {}
for scaled in (True, False):
    kernel = "over the dimension" if scaled else "as printed"
    for sigma in (2, 5, 10):
        here = forms(real_digits, truth, sigma, scaled)
        chance = [
            forms(
                real_digits,
                truth[torch.randperm(64, generator=generator)],
                sigma,
                scaled,
            )
            for _ in range(20)
        ]
        rows[kernel, sigma] = {
            f"{name}, {what}": value
            for name in ("empirical", "cka", "cca")
            for what, value in (
                ("true", here[name]),
                ("shuffled", statistics.mean(c[name] for c in chance)),
            )
        }
shares = pd.DataFrame(rows).T
shares.index.names = ["kernel", "σ"]
by_chance = {
    name: shares[f"{name}, shuffled"] / shares[f"{name}, true"]
    for name in ("empirical", "cka", "cca")
}
for name, share in by_chance.items():
    print(
        f"{name:<15} shuffled over true: {share.min():.2f} to {share.max():.2f}"
    )
assert by_chance["cca"].min() > 0.5
show_table(shares.map("{:.3g}".format))

# %% [markdown]
# Shuffled codes have nothing to do with the images, and yet keep most of the normalised-CCA value. With 64 images the
# centred kernels have 63 directions at most. Where nearly all of them count fully, two sets of directions have many
# in common whatever the pairing: $R$ comes close to $H$, and $\mathrm{trace}(R_x R_z)$ to $\mathrm{trace}(R_z)$, in
# which the pairing does not enter.
#
# The plain form and CKA keep a good part of theirs, too, and with the printed kernel at $\sigma = 2$ nearly all. So
# *the size of HSIC does not say how much dependence there is*. A rule that asks for "the same order of magnitude" can
# be met by the offset alone. The mean over shufflings is $\mathrm{tr}(H K_x H)\,\mathrm{tr}(H K_z H) / (m - 1)^3$. It does not see the
# pairing, but it does see the images: its gradient moves the images of a batch apart, whatever their codes. Only the rest of the gradient
# has to do with the code.
#
# There is a second catch, for both normalised forms. They hardly see how *large* a change of the image is. Take
# grey images, to which each category adds a fixed pattern so faint that nobody sees it, with the printed kernel:

# %% tags=["hide-input"]
patterns = torch.randn(10, 784, generator=torch.Generator().manual_seed(seed))
faint = 0.5 + 0.01 * truth[:, :10] @ patterns
invisible = forms(faint.reshape(64, 1, 28, 28), truth, 5, False)
visible = forms(real_digits, truth, 5, False)
for name in ("empirical", "cka", "cca"):
    print(
        f"{name:<15} faint patterns {invisible[name]:9.3g}"
        f"   digits {visible[name]:9.3g}"
    )
assert invisible["empirical"] < visible["empirical"]
assert invisible["cka"] > visible["cka"]

# %% [markdown]
# A change of one part in a hundred has a larger CKA than the digits themselves, and of its normalised-CCA nearly a half is left. Only the
# plain form weighs a change by its size. A generator that is rewarded by a normalised form may write
# its code where no eye finds it; the discriminator alone can keep it from doing so.
#
# ### What the bandwidth does to the size
#
# "Changing $\sigma$ causes more significant changes to the HSIC loss", says the paper, "roughly, we can consider that
# HSIC $\sim \exp(-1/\sigma^2)$", and it says that a decreasing $\sigma$ increases HSIC. The two do not go together:
# $\exp(-1/\sigma^2)$ *grows* with $\sigma$. What is true? For a large $\sigma$ the kernel is nearly $1 - \|x - x'\|^2
# / (2 \sigma^2)$. Centring removes the 1, and leaves the centred linear kernel over $\sigma^2$. So
#
# $$ \mathrm{HSIC}_\sigma \approx \sigma^{-4}\, \mathrm{HSIC}_{\text{linear}} \qquad (\sigma \to \infty) . $$
#
# On a logarithmic scale the slope in $\sigma$ is $-4$, where that in $\lambda$ is exactly 1. That is what "first" can
# mean for the plain form: from 2 to 10, $\sigma$ changes it by a factor of up to 625, and $\lambda$ by 5. CKA divides
# by the same power, and does not change. For normalised-CCA there is no such law, so we measure.

# %% mystnb={"figure": {"caption": "HSIC of a batch of real digits and their true codes against the bandwidth, by form and kernel. Dashed: the power −4. Dotted: normalised-CCA with shuffled codes.", "name": "fig-hsic-infogan-sensitivity"}} tags=["hide-input"]
sigmas = np.array([1.0, 1.5, 2, 3, 4, 5, 6, 8, 10])
KINDS = {
    "plain, as printed": ("empirical", False),
    "plain, over the dimension": ("mean", True),
    "CKA, over the dimension": ("cka", True),
    "normalised-CCA, over the dimension": ("cca", True),
}
curves = {
    name: np.array(
        [forms(real_digits, truth, s, scaled)[form] for s in sigmas.tolist()]
    )
    for name, (form, scaled) in KINDS.items()
}
shuffled_codes = truth[torch.randperm(64, generator=generator)]
shuffled_curve = [
    forms(real_digits, shuffled_codes, s, True)["cca"] for s in sigmas.tolist()
]
fig, axis = explore.figure(7, 3.4)
for colour, (name, curve) in enumerate(curves.items()):
    axis.plot(sigmas, curve, "o-", color=f"C{colour}", label=name)
axis.plot(sigmas, shuffled_curve, ":", color="C3", label="… shuffled")
law = curves["plain, over the dimension"][-1] * (sigmas / sigmas[-1]) ** -4.0
axis.plot(sigmas, law, "--", color="C1", alpha=0.6, lw=3)
axis.axvspan(2, 10, alpha=0.08, color="grey")
axis.set(xscale="log", yscale="log", xlabel="σ", ylabel="HSIC")
axis.set_xticks([1, 2, 5, 10], ["1", "2", "5", "10"])
axis.grid()
axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
slope_of = {
    name: float(np.polyfit(np.log(sigmas[2:]), np.log(curve[2:]), 1)[0])
    for name, curve in curves.items()
}
fig.alt = "HSIC against sigma from 1 to 10, both axes logarithmic. Slopes " + (
    "from 2 to 10: "
    + ", ".join(f"{name} {value:.2f}" for name, value in slope_of.items())
)
explore.show(fig)

# %% tags=["hide-input"]
print("slope of log HSIC in log σ, from 2 to 10; in log λ it is 1")
for name, value in slope_of.items():
    print(f"{name:<35} {value:+.2f}")
assert abs(slope_of["plain, over the dimension"] + 4) < 0.1
assert abs(slope_of["CKA, over the dimension"]) < 0.1

# %% [markdown]
# So the first half of H2 depends on the form. With the scaled kernel, the plain form has a slope of $-4$ in $\sigma$,
# four times that in $\lambda$. The printed one is not there yet at these $\sigma$, since images of 784 pixels are far
# apart: its slope is smaller but still steeper than that of $\lambda$. CKA over the dimension does not react to $\sigma$ at all (with the
# printed kernel it does, by up to 1.6 times), and normalised-CCA less than to $\lambda$. "First $\sigma$" is right for the plain forms, in
# size.
#
# The law says one thing more. The kernel of the code is one Gaussian over category and continuous codes together, and
# where it is nearly linear HSIC is a sum over the directions of the code, *each weighted by its variance*. A one-hot
# category has nine directions with a variance of 0.1 each. A code from $U(0, 1)$ has $1/12$, one from $U(-1, 1)$ has
# $1/3$. So for HSIC-InfoGAN the range of $c$ is a *weight* ({ref}`hsic-infogan-beyond` shows the directions). InfoGAN
# has no such weight: its $Q$ has a term for each part of the code, and the variance of each code is learnt.
#
# ## Equation 6: HSIC-InfoGAN
#
# $$
# \begin{aligned}
# \min_G \max_D V_{\text{HSIC}}(D, G) ={}& \mathbb{E}_{x}[\log D(x)] \\
# & + \mathbb{E}_{z, c}[\log(1 - D(G(z, c)))] \\
# & - \lambda\, \mathrm{HSIC}(G(z, c), c) .
# \end{aligned}
# $$ (eq-hsic-infogan-6)
#
# It is equation 2 with HSIC in the place of the information. The sign is that of equations 2 and 4: the generator
# minimises, so that HSIC is made large, and image and code dependent. Whoever reads "HSIC loss" in the text and
# *adds* it trains a generator to ignore its code. $Q$ is gone, and the discriminator is that of a plain GAN.

# %% tags=["remove-input"]
show_source(
    HSICInfoGAN.kernel, HSICInfoGAN.dependence, HSICInfoGAN.generator_terms
)

# %% [markdown]
# One update, and the sign: a small step of the generator against the gradient of the term, $-\lambda\,\mathrm{HSIC}$,
# must raise HSIC on the same codes.

# %% tags=["check-hsic-infogan-6"]
torch.manual_seed(seed)
model = HSICInfoGAN(
    width=8,
    sigma=5.0,
    hsic_weight=0.1,
    normalisation="cca",
    scale_by_dimension=True,
)
terms = {k: v.item() for k, v in model.update(batch).items()}
print({name: round(value, 4) for name, value in terms.items()})
expected = terms["adversarial"] - 0.1 * terms["hsic"]
assert math.isclose(terms["loss"], expected, rel_tol=1e-4)

code = model.sample_codes(64)


def dependence():
    """HSIC of the generator's images and these codes."""
    return model.dependence(model.decode(code), code)


before = dependence()
weights = [*model.generator.parameters()]
slopes = torch.autograd.grad(-0.1 * before, weights)
size = math.sqrt(sum(g.square().sum().item() for g in slopes))
with torch.no_grad():
    for weight, slope in zip(weights, slopes, strict=True):
        weight -= 0.02 * slope / size
    after = dependence()
print(f"HSIC before {before:.5f}, after one step {after:.5f}")
assert after > before

# %% [markdown]
# ### How σ and λ are found
#
# The paper's strategy is to find a good $\sigma$ first and then to tune $\lambda$, until both losses are of one order.
# The page {ref}`hsic-infogan-search` follows it in 130 short trainings. It finds such a point for both forms that it searches, at one end
# or the other of the range of $\sigma$. In that grid the best category of each form lies where the ratio of $\lambda$ HSIC to the
# adversarial loss ends near 1, though not every point there is good. The judged runs below end at a ratio of about 0.2, with better
# categories than any of the grid. But that ratio is measured *after* a training, and a category that has come out is what makes HSIC large:
# the rule describes success and does not predict it.
#
# ## Training both systems
#
# The same digits, batches, seed and number of steps for both; for HSIC-InfoGAN the $\lambda$ and $\sigma$ of the runs
# that are judged below. The profile at the top of the page says how far this is from the paper's 100 epochs.

# %% tags=["hide-input"]
judged = {
    name: record
    for name, record in recorded_runs("hsic_infogan", "paper").items()
    if name.startswith("mnist_h100_")
}
RUNS = {
    "InfoGAN": "mnist_h100_infogan",
    "HSIC-InfoGAN": "mnist_h100_hsicinfogan",
}
CHOSEN = {
    "InfoGAN": ("category_weight", "continuous_weight"),
    "HSIC-InfoGAN": (
        "sigma",
        "hsic_weight",
        "normalisation",
        "scale_by_dimension",
    ),
}
CHOSEN = {
    name: {key: judged[f"{RUNS[name]}_seed0"].config[key] for key in keys}
    for name, keys in CHOSEN.items()
}
print(CHOSEN)

# %%
training = digits.split("train")
models, histories = {}, {}
for name, system in (("InfoGAN", InfoGAN), ("HSIC-InfoGAN", HSICInfoGAN)):
    torch.manual_seed(seed)
    models[name] = system(
        width=settings["width"],
        generator_rate=settings["generator_rate"],
        discriminator_rate=settings["discriminator_rate"],
        **CHOSEN[name],
    )
    histories[name] = fit(
        models[name],
        training,
        settings["steps"],
        settings["batch_size"],
        seed,
    )

# %% mystnb={"figure": {"caption": "The terms of both systems over the steps, running means. Left: the discriminator's loss, 2 log 2 where it cannot tell (dashed), and the generator's adversarial one. Middle: the bounds on the information of InfoGAN, with the largest value that the category's can have (dotted). Right: λ HSIC and the adversarial loss of HSIC-InfoGAN.", "name": "fig-hsic-infogan-loss"}} tags=["hide-input"]
fig, axes = explore.figure(7.4, 2.8, columns=3)


def draw(axis, values, label, **options):
    """A running mean over a twentieth of the steps."""
    mean = explore.running_mean(values, max(1, settings["steps"] // 20))
    axis.plot(*mean, label=label, **options)


for axis, title in zip(axes, ("the game", "bounds", "magnitudes"), strict=True):
    axis.set(title=title, xlabel="step")
    axis.grid()
for colour, (name, history) in enumerate(histories.items()):
    short = name.replace("InfoGAN", "Info")
    draw(axes[0], history["discriminator"], f"D, {short}", color=f"C{colour}")
    draw(
        axes[0],
        history["adversarial"],
        f"G, {short}",
        color=f"C{colour}",
        ls=":",
    )
axes[0].axhline(2 * math.log(2), ls="--", color="grey")
for part, at_most in models["InfoGAN"].code_entropy.items():
    draw(axes[1], at_most - histories["InfoGAN"][part], part)
axes[1].axhline(math.log(10), ls=":", color="grey")
of_both = histories["HSIC-InfoGAN"]
draw(axes[2], CHOSEN["HSIC-InfoGAN"]["hsic_weight"] * of_both["hsic"], "λ HSIC")
draw(axes[2], of_both["adversarial"], "adversarial")
for axis in axes:
    axis.legend(fontsize=6)
fig.alt = "Three panels of curves. At the end: " + explore.describe_curves(fig)
explore.show(fig)

# %% [markdown]
# InfoGAN's bound of the category rises, that of its continuous codes is still below 0 and says nothing yet, and $\lambda$ HSIC ends small
# beside the adversarial loss. There are no digits worth a look yet; for those there are recorded runs.
#
# ## What is judged
#
# The paper's claims are judged by recorded runs, five seeds of each system, by the protocol in
# `results/hsic_infogan/claims.toml`. They have the paper's batch and rates, the width of a public InfoGAN (the paper gives none), and a
# tenth of its epochs. They were
# made on a GPU, and keep no weights, but what their numbers are computed from. One command makes them again where MNIST
# is packed.

# %% tags=["hide-input"]
classifier = domain_classifier("mnist.digits")
JUDGED = "mnist/test"
# A number of all judged seeds of a system, (seeds,)
values_of = partial(seed_values, judged, judged_on=JUDGED)
about = {}
for name, prefix in RUNS.items():
    own = [r for n, r in judged.items() if n.startswith(prefix)]
    run = own[0].run
    about[name] = {
        "runs": str(len(own)),
        "width": str(own[0].config["width"]),
        "batch": str(run["batch_size"]),
        "updates": str(run["steps"]),
        "epochs": f"{run['steps'] * run['batch_size'] / 60_000:g}",
        **{key: str(value) for key, value in CHOSEN[name].items()},
    }
    print(run["device"], run["precision"])
    print(run["command"])
show_table(pd.DataFrame(about).fillna("–"))

# %% [markdown]
# (hsic-infogan-budget)=
# ### The same budget of tuning for both
#
# The paper gives no weights, for neither system. So both were tuned, with six points each, five epochs a point, on a
# seed that is not judged. The score is the mean of three numbers: the NMI of category and digit, and the *gaps* of
# slant and thickness, of which below. A search for one system alone would compare a tuned system with an untuned one.
#
# HSIC-InfoGAN's grid follows the law of $\sigma^{-4}$: $\lambda$ is $300\,(\sigma / 5)^4$ times ⅓, 1 or 3, so that the
# term has one size for each $\sigma$. The last column tries that, on the batch of real digits with their true codes
# from above.

# %% tags=["hide-input"]
SCORES = {  # of benchmarks/on_a_gpu.py tune, which computes them
    "InfoGAN": {
        (0.3, 0.03): 0.580,
        (0.3, 0.1): 0.312,
        (0.3, 0.3): 0.298,
        (1, 0.03): 0.360,
        (1, 0.1): 0.527,
        (1, 0.3): 0.418,
    },
    "HSIC-InfoGAN": {
        (2, 2.56): 0.012,
        (2, 7.68): 0.014,
        (2, 23.04): 0.013,
        (5, 100): 0.007,
        (5, 300): 0.318,
        (5, 900): 0.308,
    },
}
best = {name: max(scores, key=scores.get) for name, scores in SCORES.items()}
for name, point in best.items():
    assert point == tuple(CHOSEN[name].values())[:2]
sized = {
    (s, w): w * forms(real_digits, truth, s, False)["empirical"]
    for s, w in SCORES["HSIC-InfoGAN"]
}
tuned = pd.DataFrame(
    {
        "InfoGAN: category, continuous": [
            f"{a:g}, {b:g}" for a, b in SCORES["InfoGAN"]
        ],
        "score": SCORES["InfoGAN"].values(),
        "HSIC-InfoGAN: σ, λ": [
            f"{s:g}, {w:g}" for s, w in SCORES["HSIC-InfoGAN"]
        ],
        "score ": SCORES["HSIC-InfoGAN"].values(),
        "λ HSIC, real digits": sized.values(),
    }
)
learnt = [SCORES["HSIC-InfoGAN"][point] > 0.1 for point in sized]
strong = [size > 0.2 for size in sized.values()]
assert learnt == strong
assert sum(strong) == 2
show_table(tuned, 3, index=False)

# %% [markdown]
# The budgets are equal in number, and not in worth. The law does not hold for the printed kernel at $\sigma = 2$, as
# its slope above says, so that the three points there have a term far weaker than meant. Only two of HSIC-InfoGAN's six
# points have a term of the size of the chosen one or more, and just these two score above 0.1. All six of InfoGAN's learnt something. Keep
# that in mind with the verdicts: a better $\sigma$ may exist that nobody has tried. (Nine points each were planned. The time on the GPU
# ended before HSIC-InfoGAN's $\sigma = 10$; InfoGAN's last three, with a weight of 3 for the category, were run, scored 0.300, 0.539 and
# 0.286, and are left out here. The choice is the same with them.)
#
# ### Gaps, and the variety of what is drawn
#
# The paper calls $c_1$ better because it "mostly captures rotation". We measure slant in its place, since a rotated digit leans. That is
# two things: one code has the slant, and no other has. So we correlate each continuous code with the measured slant, within a category, so
# that the shape of the
# digit plays no part; and take the **gap**, by how much the larger of the two absolute correlations exceeds the other.
# Which of the two codes it is does not matter: a training may exchange them. The largest correlation alone would reward
# a system whose codes both change the slant, and the larger of two absolute correlations is above 0 even by chance. So is the gap;
# therefore it is also computed with shuffled codes.
#
# The category is measured by {term}`NMI <normalised mutual information>` with the digits that a classifier sees. That
# has a trap. A generator that draws one fixed picture for each category has the best NMI there is:


# %%
def as_judged(pictures, category):
    """What the suite says of pictures with these categories."""
    return suite.numbers(
        {
            "seen": classifier.probabilities(pictures).argmax(1),
            "slant": strokes.slant(pictures),
            "thickness": strokes.thickness(pictures),
            "category": category,
        },
        test,
    )


seen = classifier.probabilities(shown).argmax(1)
right = [np.flatnonzero((label == k) & (seen == k))[0] for k in range(10)]
fixed = as_judged(shown[np.repeat(right, 100)], np.repeat(range(10), 100))
real = as_judged(shown, label)
print(f"NMI: ten fixed digits {fixed['category_nmi']:.2f}, ", end="")
print(f"real digits and their true labels {real['category_nmi']:.2f}")
assert math.isclose(fixed["category_nmi"], 1)
assert real["category_nmi"] < 0.97
assert fixed["slant_spread"] < 1e-3 > fixed["thickness_spread"]

# %% [markdown]
# Real digits score less, since the classifier errs. So beside NMI stands the **variety**: how far slant and thickness
# vary within a category, as a share of how far they vary within the classes of real digits. For the ten pictures it is 0, and 1 for real
# digits. {term}`Purity <purity>` is the share of images that show the commonest digit of their category; *digits drawn* is the effective
# number of classes of {ref}`gan`. The systems' variety refers to 2 000 test images of MNIST, that of the last two columns to the digits of this
# course.

# %% tags=["hide-input"]
MEASURES = {
    "NMI": "category_nmi",
    "purity": "category_purity",
    "digits drawn": "classes",
    "variety of slant": "slant_spread",
    "variety of thickness": "thickness_spread",
    "Fréchet distance": "frechet",
    "gap of slant": "slant_gap",
    "… shuffled": "slant_gap.shuffled",
    "gap of thickness": "thickness_gap",
    "… shuffled ": "thickness_gap.shuffled",
}
table = {
    name: {
        head: spread(values_of(prefix, key)) for head, key in MEASURES.items()
    }
    for name, prefix in RUNS.items()
}
for name, one in (("ten fixed digits", fixed), ("real digits", real)):
    table[name] = {
        head: f"{one[key]:.2f}" for head, key in MEASURES.items() if key in one
    }
variety = {
    name: [
        values_of(prefix, f"{m}_spread").mean() for m in ("slant", "thickness")
    ]
    for name, prefix in RUNS.items()
}
nmi = {name: values_of(prefix, "category_nmi") for name, prefix in RUNS.items()}
means = [found.mean() for found in nmi.values()]
assert abs(means[0] - means[1]) < min(
    found.std(ddof=1) for found in nmi.values()
)
assert np.abs(np.subtract(*variety.values())).max() < 0.1
assert min(min(found) for found in variety.values()) > 0.5
show_table(pd.DataFrame(table).fillna("–"))

# %% [markdown]
# **The category, which the paper concedes.** It says that InfoGAN's is the better one. Here both systems have a category for nearly every
# digit, and their means of NMI differ by less than the seeds of one system do. Nor does one of
# them pay for it with variety: within a category both vary about as much as the other.


# %% mystnb={"figure": {"caption": "Measures along the judged runs; a line for each seed. The Fréchet distance is that from 500 real images, and so larger than in the table.", "name": "fig-hsic-infogan-along"}} tags=["hide-input"]
def gap_along(one, measure):
    """The gap of a measure from what was measured at one point of a run."""
    low, high = sorted(abs(one[f"{measure}.{code}"]) for code in ("c1", "c2"))
    return high - low


ALONG = {
    "NMI": lambda one: one["category_nmi"],
    "Fréchet distance": lambda one: one["frechet"],
    "gap of slant": partial(gap_along, measure="slant"),
    "gap of thickness": partial(gap_along, measure="thickness"),
}
fig, axes = explore.figure(7.2, 4.6, columns=2, rows=2)
ends = {}
for axis, (head, found) in zip(axes.flat, ALONG.items(), strict=True):
    for colour, (name, prefix) in enumerate(RUNS.items()):
        lines = []
        for record in (r for n, r in judged.items() if n.startswith(prefix)):
            at = np.array([one["step"] for one in record.measures])
            lines.append([found(one) for one in record.measures])
            axis.plot(
                at * record.run["batch_size"] / 1_000,
                lines[-1],
                "o-",
                ms=3,
                lw=1,
                color=f"C{colour}",
                label=name if len(lines) == 1 else None,
            )
        ends[head, name] = np.mean(lines, 0)[[0, -1]]
    axis.set(xlabel="thousand images seen", ylabel=head)
    axis.grid()
axes[0][1].set_yscale("log")
axes[0][1].minorticks_off()
axes[0][1].set_yticks([1, 2, 5], ["1", "2", "5"])
axes[0][0].legend(fontsize=7)
fig.alt = (
    "Four panels over the images seen. Means over seeds, first and last: "
    + "; ".join(
        f"{head}, {name} {first:.2f}, {last:.2f}"
        for (head, name), (first, last) in ends.items()
    )
    + "."
)
for head, factor in (("NMI", 0.9), ("gap of thickness", 0.7)):
    assert ends[head, "HSIC-InfoGAN"][0] < factor * ends[head, "InfoGAN"][0]
first, last = (
    ends["Fréchet distance", "HSIC-InfoGAN"]
    / ends["Fréchet distance", "InfoGAN"]
)
assert first > 2 > 1.1 > last
explore.show(fig)

# %% [markdown]
# {numref}`fig-hsic-infogan-along` shows what the last numbers hide. HSIC-InfoGAN is late in the mean, not in every seed. After 120 000
# images its NMI is behind in the mean, and its Fréchet distance more than twice as large; at the end the two systems have met. InfoGAN's
# gap of thickness opens in the middle of the run and stays in three seeds of five. That of HSIC-InfoGAN ends below 0.1: at chance in two
# seeds, three to nine times the shuffled gap in the others. An order that changes along the way says little about an end that is ten times
# as far.
#
# ### Figure 1 of the paper: category × c1 and category × c2
#
# The judged runs keep no weights. Those that are drawn here are one of each system with half the width, trained for as
# many epochs on a processor; InfoGAN has the package's default weights, HSIC-InfoGAN the same $\sigma$ and $\lambda$.
# The categories stand in the order of the digits, by the assignment that makes the most images agree; the number in
# brackets is the category. $c_1$ and $c_2$ run from $-1$ to $1$, as in the paper, which prints $U(0, 1)$ for their
# prior: only the right half of each was seen in training. {ref}`hsic-infogan-beyond` shows what that does.

# %% tags=["hide-input"]
drawn_runs = {
    name: record
    for name, record in recorded_runs("hsic_infogan").items()
    if name.endswith("ten_epochs")
}
networks = {
    name: drawn_runs[f"mnist_{system}_ten_epochs"].load_model()
    for name, system in (
        ("InfoGAN", "infogan"),
        ("HSIC-InfoGAN", "hsicinfogan"),
    )
}


WALK = np.linspace(-1, 1, 5)
COLUMNS = [f"{v:+.1f}" for v in WALK]


def paper_figure(name):
    """Categories in rows; along each, c1 in the left half and c2 in the right."""
    codes, pictures = draw_images(networks[name], 2_000, seed)
    seen = classifier.probabilities(pictures).argmax(1)
    agreed = categories.category_agreement(
        codes[:, :10].argmax(1), seen, 10, 10
    )
    rows = linear_sum_assignment(-agreed.counts.T)[1]
    images = torch.cat(
        [code_grid(networks[name], code, WALK, seed) for code in ("c1", "c2")],
        1,
    )
    fig = explore.image_table(
        images[rows],
        row_labels=[f"{d} ({k})" for d, k in enumerate(rows)],
        column_labels=[f"{code} {v}" for code in ("c1", "c2") for v in COLUMNS],
        alt=f"Ten rows of ten digits drawn by {name}: the rows are the "
        "categories; in the left half c1 runs from -1 to 1, in the right half "
        f"c2. The classifier sees {agreed.classes_found} different digits as "
        f"the most frequent one of a category; purity {agreed.purity:.2f}.",
    )
    explore.show(fig)


# %% mystnb={"figure": {"caption": "InfoGAN, category × c1 (left half) and × c2 (right half).", "name": "fig-hsic-infogan-info"}} tags=["hide-input"]
paper_figure("InfoGAN")

# %% mystnb={"figure": {"caption": "HSIC-InfoGAN, category × c1 (left half) and × c2 (right half).", "name": "fig-hsic-infogan-hsic"}} tags=["hide-input"]
paper_figure("HSIC-InfoGAN")

# %% [markdown]
# In a good grid each row keeps its digit from left to right, and no two rows have the same one. InfoGAN's codes change the thickness of the
# strokes, and $c_1$ turns one digit into another: in most rows on the half that it never met, and in three (3, 5 and 7) between 0 and 0.5,
# where it was trained; from 0.5 on the rows 3 and 5 both show a 3. Those of HSIC-InfoGAN change little but the thickness, most of all in
# the row of the 2. {ref}`hsic-infogan-beyond` measures by how much each
# part of the code moves the picture.
#
# ### Which digits does a category mix?
#
# The paper says: "When varying $c_2$, HSIC-InfoGAN mixes digit 0 and 8 as well as digit 3 and 5". It varies $c_2$ from −1 to 1; here the
# codes are from the prior. With a classifier the mixing
# is a table: for each category the shares of the digits that it sees in the 2 000 images of a judged run. Two digits
# are mixed only if both are frequent in one category: so take the share of the rarer of the two, in the category where
# it is largest.

# %% tags=["hide-input"]
PAIRS = ((0, 8), (3, 5), (4, 9), (7, 9))
rows = {}
for name, prefix in RUNS.items():
    for record in (r for n, r in judged.items() if n.startswith(prefix)):
        observed = record.load_observed()[JUDGED]["digits"]
        shares = categories.category_agreement(
            observed["category"].astype(int),
            observed["seen"].astype(int),
            10,
            10,
        ).shares
        rows[name, record.run["seed"]] = {
            f"{a} and {b}": 100 * shares[:, [a, b]].min(1).max()
            for a, b in PAIRS
        }
mixed = pd.DataFrame(rows).T
mixed.index.names = ["system", "seed"]
on_real = (
    100
    * (
        classifier.probabilities(test).argmax(1) == classifier.labels(test)
    ).mean()
)
print(f"the classifier on real test digits: {on_real:.1f} % right")
assert mixed[["0 and 8", "3 and 5"]].to_numpy().max() < 5
often = (mixed > 20).groupby("system").sum()
assert often.loc["HSIC-InfoGAN", "7 and 9"] == 2
assert often.loc["InfoGAN", "4 and 9"] == 2
print("percent of the rarer digit in the category that mixes most:")
show_table(mixed, 0)

# %% [markdown]
# In no judged run does a category mix 0 with 8 or 3 with 5 to speak of. Other pairs are mixed: 7 and 9 in two of the
# five runs of HSIC-InfoGAN, 4 and 9 in two of InfoGAN. Whether a pair is mixed changes with the seed, so that one run does not show it for the system.
#
# ### What each code changes
#
# The correlations that the gaps are made of, of every judged seed:

# %% tags=["hide-input"]
WRITING = [f"{m}.{c}" for m in ("slant", "thickness") for c in ("c1", "c2")]
WRITING += ["slant_gap", "thickness_gap"]
rows = {}
for name, prefix in RUNS.items():
    for record in (r for n, r in judged.items() if n.startswith(prefix)):
        values = record.metrics[JUDGED]["values"]
        rows[name, record.run["seed"]] = {key: values[key] for key in WRITING}
writing = pd.DataFrame(rows).T
writing.index.names = ["system", "seed"]
largest = {
    (name, m): writing.loc[name][[f"{m}.c1", f"{m}.c2"]].abs().max(axis=1)
    for name in RUNS
    for m in ("slant", "thickness")
}
both = writing[["thickness.c1", "thickness.c2"]].abs().min(axis=1) > 0.4
assert (largest["InfoGAN", "thickness"] > 0.25).all()
assert list(both["InfoGAN"]) == [False, True, False, False, True]
assert largest["InfoGAN", "slant"].max() < 0.25
assert largest["HSIC-InfoGAN", "slant"].max() < 0.15
assert largest["HSIC-InfoGAN", "thickness"].max() < 0.15
show_table(writing)

# %% [markdown]
# InfoGAN's codes move the thickness of the strokes in every run. In two of them, the seeds 1 and 4, *both* codes do,
# and the gap is far smaller than the larger correlation: that is what a gap is for. Neither system has much of a code
# for the slant. The two codes of HSIC-InfoGAN move neither, to speak of.
#
# (hsic-infogan-verdicts)=
# ### The verdicts
#
# How a claim gets a verdict, and what the two marks mean, is on the page {doc}`/book/claims`. "Better" asks for a gap
# of slant that is larger. "Similar" is one-sided, since more than InfoGAN's would not be held against the paper: a gap of thickness that is
# not smaller by more than 0.1. A correlation of 0.1 explains one per cent of a variance: in the panels of the paper's figure one would not
# see it.

# %% tags=["hide-input"]
show_claims("hsic_infogan")

# %% mystnb={"figure": {"caption": "Every seed of both parts of H1.", "name": "fig-hsic-infogan-points"}} tags=["hide-input"]
gaps = {
    name: values_of(prefix, "thickness_gap") for name, prefix in RUNS.items()
}
assert gaps["HSIC-InfoGAN"].max() < 0.1
assert gaps["InfoGAN"].mean() - gaps["HSIC-InfoGAN"].mean() > 0.1
slants = values_of(RUNS["HSIC-InfoGAN"], "slant_gap")
slants = slants - values_of(RUNS["InfoGAN"], "slant_gap")
assert slants.min() < 0 < slants.max()
explore.show(claim_points("hsic_infogan"))

# %% [markdown]
# **H1a: undecided**. Neither system has learnt a code for the slant within a tenth of the paper's epochs. The gaps are
# small in both, and the differences of the seeds have either sign. The claim compares two things that these runs hardly
# have.
#
# **H1b: undecided**. In the mean HSIC-InfoGAN's gap of thickness is smaller than InfoGAN's by more than the margin,
# which speaks against the claim. But InfoGAN has a code of its own for the thickness in some seeds and not in others,
# and against that scatter five seeds do not decide. What can be said of these five: no gap of HSIC-InfoGAN reaches 0.1.
#
# **H2a: not testable here**. Whether $\sigma$ changes the loss more than $\lambda$ does depends on the form, which the paper does not name.
# On one batch the slope in $\sigma$ is steeper for the plain forms (−4 and −2) and flatter for normalised-CCA (−0.6) and for CKA over the
# dimension (0).
#
# **H2b: not testable here**. A rule for choosing $\lambda$ must go by what is known before a training. The recorded grid
# of {ref}`hsic-infogan-search` has the ratio of the two losses after it, which describes success. The table of tuning
# above has a number that is known before: the size of the term on real digits with their true codes. It tells the two
# of six points that learnt from the four that did not. But it needs the true classes, which the method is not supposed to have, and its
# threshold was chosen after the fact. To test it one would write the threshold down first, and try other points and other seeds.
#
# Two things limit the verdicts on H1. The runs have a tenth of the paper's epochs, and HSIC-InfoGAN is the late one.
# And four of its six points of tuning were too weak to learn anything.
#
# ## What the auxiliary network costs
#
# H1 adds: "without the auxiliary network". It gets no verdict; this is what the network costs, at width 64:

# %% tags=["hide-input"]
sizes_of = {
    name: count_parameters(system(width=64))
    for name, system in (("InfoGAN", InfoGAN), ("HSIC-InfoGAN", HSICInfoGAN))
}
saved = 100 * (1 - sizes_of["HSIC-InfoGAN"] / sizes_of["InfoGAN"])
print({name: f"{size / 1e6:.2f} million" for name, size in sizes_of.items()})
print(f"saved by dropping Q: {saved:.1f} % of the parameters")
assert 0 < saved < 2

# %% [markdown]
# $Q$ is a head on a trunk that the discriminator needs anyway. So dropping it saves a hundredth of the weights, and a
# few percent of the time. {ref}`hsic-infogan-beyond` has both at full width, from the judged runs, which shared one
# H100, and counts memory as well. A process that has such a card for itself gains 3 to 4 % where its step is replayed as a CUDA graph, and
# 14 to 18 % where it is not; one thread of a processor gains 4 % (`benchmarks/README.md`).
#
# ## Explore
#
# HSIC-InfoGAN after ten epochs, live: the model of {numref}`fig-hsic-infogan-hsic`. Choose a category by its picture,
# move $c_1$ and $c_2$ in the square, and draw new noise.


# %%
def codes_explorer(name):
    """The explorer of a recorded model's code."""
    network = networks[name]
    category = part_of(network, "category")
    codes = [part_of(network, code).start for code in ("c1", "c2")]
    return explore.Explorer(
        network,
        category=range(category.start, category.stop),
        pad=tuple(codes),
        pad_limits=(-1, 1),
        title=f"{name}, trained on MNIST",
    )


codes_explorer("HSIC-InfoGAN")

# %% [markdown]
# And InfoGAN, after as many epochs:

# %%
codes_explorer("InfoGAN")

# %% [markdown]
# ## One step past the paper
#
# The authors suggest medical use and do not try it. {ref}`hsic-infogan-beyond` does, on {term}`phantoms <phantom>` of
# skin lesions. In the one short run shown there two of three codes are related to what is measured, and neither has a property to itself:
# nothing in a dependence asks that one code move one property.
#
# ## What the paper does not say
#
# - **Which network.** Neither widths nor layers are given.
# - **Which HSIC**, with which kernel, $\sigma$ and $\lambda$. The table of sizes shows what is at stake: four to seven orders of magnitude.
# - **That the size of HSIC is mostly an offset** in the normalised-CCA form. Compare with shuffled codes, always.
# - **That $\exp(-1/\sigma^2)$ grows with $\sigma$**, against the sentence before it. For the plain form the law is
#   $\sigma^{-4}$.
# - **Which range of $c$** the traversals left. It prints $U(0, 1)$ and draws $-1$ to $1$.
# - **$H(c)$ in the bound.** Without it the printed inequality holds, and says nothing: for a category its right side
#   is never positive.
# - **How much is saved.** $Q$ is a head. What it costs is printed under *What the auxiliary network costs*.
# - **How the weights were chosen**, and for which of the two systems.
# - **The loss of the generator.** Equation 1 is the minimax game; the code that the field uses has $-\log D$. The
#   order of magnitude of "the generator loss" depends on which: $\log(1 - D)$ is negative, and near 0 where the
#   discriminator is sure.
# - **That the range of $c$ is a weight** for HSIC, and none for $Q$.

# %%
publish_metrics(
    "hsic_infogan",
    {
        "exact_information": exact,
        "cca_sigma_5": reproduced.loc["5", "cca"],
        "cca_shuffled_share_least": by_chance["cca"].min(),
        "slope_plain": slope_of["plain, over the dimension"],
        "slope_cca": slope_of["normalised-CCA, over the dimension"],
        "nmi_of_real_digits": real["category_nmi"],
        "parameters_saved_percent": saved,
    },
)

# %% [markdown]
# ## Quiz

# %% tags=["quiz", "hide-input"]
from jupyterquiz import display_quiz

display_quiz(
    [
        {
            "question": "Ten equally probable categories, and a Q that reads each without a doubt. How large is the bound with H(c), in nats? (two decimals)",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "range",
                    "range": [2.3, 2.31],
                    "correct": True,
                    "feedback": "Yes: log 10 = 2.30, all there is to know.",
                },
                {
                    "type": "default",
                    "feedback": "E[log Q] is 0 for a perfect reader; add the entropy of the code.",
                },
            ],
        },
        {
            "question": "When is the variational bound tight?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "where Q(c|x) is the true posterior of the code",
                    "correct": True,
                    "feedback": "Yes: the gap is the mean KL of the posterior from Q.",
                },
                {
                    "answer": "where Q is uniform",
                    "correct": False,
                    "feedback": "Then the bound is 0 for a category, whatever the information.",
                },
                {
                    "answer": "where the discriminator is optimal",
                    "correct": False,
                    "feedback": "The discriminator does not enter the bound.",
                },
            ],
        },
        {
            "question": "Normalised-CCA HSIC of a batch of images and codes is 7.9. Do the images depend on the codes?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "That cannot be said before it is compared with shuffled codes.",
                    "correct": True,
                    "feedback": "Yes. In this chapter shuffled codes kept most of that value.",
                },
                {
                    "answer": "Yes: HSIC of independent variables is 0.",
                    "correct": False,
                    "feedback": "Only in the limit of large batches.",
                },
                {
                    "answer": "No: it would have to be larger than 10.",
                    "correct": False,
                    "feedback": "There is no such threshold; it depends on σ, the ridge and the batch.",
                },
            ],
        },
        {
            "question": "In the plain form with large σ, σ goes from 5 to 10. By which factor does HSIC fall?",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "range",
                    "range": [15.9, 16.1],
                    "correct": True,
                    "feedback": "Yes: two kernels, each with σ² in the denominator.",
                },
                {
                    "type": "default",
                    "feedback": "HSIC is a product of two kernels, each proportional to σ to the power −2.",
                },
            ],
        },
        {
            "question": "Purity is 1.00 and NMI is 0.00. What do the images look like?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "all like one and the same digit, to the classifier",
                    "correct": True,
                    "feedback": "Yes. Each category is pure, and tells nothing.",
                },
                {
                    "answer": "each category like a digit of its own",
                    "correct": False,
                    "feedback": "NMI would be 1.",
                },
                {
                    "answer": "each category like all digits",
                    "correct": False,
                    "feedback": "Purity would be about 0.1.",
                },
            ],
        },
        {
            "question": "The gap of thickness, HSIC-InfoGAN − InfoGAN, has the 90 % interval −0.75 to +0.05, and the margin of 'not worse' is 0.1. Is c2 similar?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "undecided",
                    "correct": True,
                    "feedback": "Yes: the interval has values on both sides of −0.1.",
                },
                {
                    "answer": "yes, since the interval contains 0",
                    "correct": False,
                    "feedback": "It also contains a loss of 0.7. Few seeds make long intervals, and a long one contains 0 easily.",
                },
                {
                    "answer": "no, since its middle is far below −0.1",
                    "correct": False,
                    "feedback": "For that it would have to lie below −0.1 as a whole.",
                },
            ],
        },
        {
            "question": "NMI of category and digit is 0.99. Which number tells whether the generator draws one picture for each category?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "how far slant and thickness vary within a category",
                    "correct": True,
                    "feedback": "Yes: with one picture for each, both are 0, and NMI is at its best.",
                },
                {
                    "answer": "purity",
                    "correct": False,
                    "feedback": "Ten fixed digits have a purity of 1.",
                },
                {
                    "answer": "the number of digits drawn",
                    "correct": False,
                    "feedback": "Ten fixed digits are ten digits.",
                },
            ],
        },
        {
            "question": "For HSIC-InfoGAN with one kernel over the whole code, what happens if c is drawn from U(−1, 1) in place of U(0, 1)?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "The continuous codes weigh four times as much beside the category.",
                    "correct": True,
                    "feedback": "Yes: HSIC weighs a direction by its variance, 1/3 in place of 1/12.",
                },
                {
                    "answer": "Nothing, since HSIC is invariant to scale.",
                    "correct": False,
                    "feedback": "CKA is invariant to the scale of all of z, and no form to that of a part of it.",
                },
            ],
        },
    ]
)

# %% [markdown]
# ## Limits, summary, further reading
#
# **Limits.** The training in this notebook lasts seconds; its models show mechanisms, not what the systems can do. The
# judged runs have a tenth of the paper's epochs, one set of weights each from a search of six points, and a form of
# HSIC and a $\lambda$ that the paper may not have used. Digits have ten classes of equal size and two obvious ways of
# varying; lesions have neither. Purity and NMI are a classifier's opinion.
#
# **Summary.**
# - The game {eq}`eq-hsic-infogan-1` does not see the code; a mutual information {eq}`eq-hsic-infogan-2` does.
# - The bound {eq}`eq-hsic-infogan-3` is tight at the true posterior, and an information only with $H(c)$. InfoGAN
#   {eq}`eq-hsic-infogan-4` trains it with a head on the discriminator.
# - HSIC {eq}`eq-hsic-infogan-5` is the squared norm of a cross-covariance, computed from similarities. Its size
#   depends on form, bandwidth and batch; compare it with shuffled codes.
# - HSIC-InfoGAN {eq}`eq-hsic-infogan-6` maximises it, in which each part of the code has the weight of its variance.
# - "Better $c_1$ and similar $c_2$" are two claims. A gap judges each; variety stands beside NMI, since ten fixed
#   digits have the best NMI; and both systems get the same budget of tuning. After a tenth of the paper's epochs both
#   claims are undecided.
#
# **Exercises.** {ref}`hsic-infogan-exercises`: each checks your answer and says what is wrong with it.
#
# **More on this chapter.** {ref}`hsic-infogan-search` and {ref}`hsic-infogan-beyond`.
#
# **Further reading.** Liu et al. {cite:p}`liu2022`; Chen et al. {cite:p}`chen2016` on InfoGAN; Barber and Agakov
# {cite:p}`barber2003` on the bound; Gretton et al. {cite:p}`gretton2005` on HSIC; Ma et al. {cite:p}`ma2020`, who
# train networks with it; Fukumizu et al. {cite:p}`fukumizu2007` on its normalised form; Kornblith et al.
# {cite:p}`kornblith2019` on CKA; Locatello et al. {cite:p}`locatello2019` on what no unsupervised method can do. The
# digits are those of LeCun et al. {cite:p}`lecun1998`.
#
# **The functions of this chapter** in the API reference: {py:func}`medlatent.losses.discriminator_loss` and
# {py:func}`medlatent.losses.saturating_deception_loss` {eq}`eq-hsic-infogan-1`,
# {py:func}`medlatent.losses.information_bound` {eq}`eq-hsic-infogan-3`, {py:class}`medlatent.models.InfoGAN`
# {eq}`eq-hsic-infogan-4`, {py:func}`medlatent.losses.hsic` {eq}`eq-hsic-infogan-5`,
# {py:class}`medlatent.models.HSICInfoGAN` {eq}`eq-hsic-infogan-6`,
# {py:func}`medlatent.metrics.categories.category_agreement`, {py:func}`medlatent.metrics.strokes.slant`,
# {py:func}`medlatent.metrics.strokes.thickness`, {py:func}`medlatent.claims.judge`.
