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
#     about: 'from latent-variable models to the evidence lower bound: derived, checked,
#       trained, traversed, and made to fail'
#     needs: []
#     sessions:
#     - class: '{ref}`vae`: the KL divergence, the bound, the reparametrisation'
#       homework: '{ref}`vae-exercises` 1 to 3'
#     - class: '{ref}`vae`: likelihoods, the objective, a VAE in twenty lines, training'
#       homework: '{ref}`vae-exercises` 4, quiz'
#     - class: '{ref}`vae`: evaluation, axes, collapse'
#       homework: '{ref}`vae-exercises` 5 and 6'
# ---

# %% [markdown]
# (vae)=
# # The variational autoencoder
#
# :::{admonition} What you will be able to do
# :class: tip
# - read a Kullback–Leibler divergence in nats, say why it is never negative, and compute that of a Gaussian by hand, in code,
#   and by simulation;
# - derive the evidence lower bound (ELBO) from a latent-variable model, and say what each of its two terms does;
# - explain why the reparametrisation is needed, and check its gradient;
# - write a variational autoencoder (VAE) in some twenty lines, train one on skin lesions, read its loss in nats, and walk
#   through its latent space;
# - provoke posterior collapse, predict how many dimensions survive, and recognise a common bug that causes it.
#
# **You need** PyTorch, expectations and the Gaussian density. You do not need to have met a KL divergence, a VAE or a
# dermoscopic image.
# **Time**: two hours of reading and trying. **Device**: a laptop; the measured run time stands on the page
# {doc}`/book/execution_times`.
# :::

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% tags=["hide-input"]
from medlatent.course import (
    choose,
    publish_metrics,
    show_source,
    show_table,
)
from medlatent.evaluation import evaluate
from medlatent.records import find_record

settings = choose(
    {
        "ci": {
            "images": 3_000,
            "steps": 300,
            "collapse_steps": 100,
            "batch_size": 64,
        },
        "laptop": {
            "images": 10_000,
            "steps": 5_000,
            "collapse_steps": 1_000,
            "batch_size": 64,
        },
        "paper": {
            "images": 10_000,
            "steps": 100_000,
            "collapse_steps": 20_000,
            "batch_size": 256,
        },
    },
    profile,
)
settings

# %% tags=["hide-input", "reference"]
import math

import numpy as np
import pandas as pd
import torch
from scipy.integrate import quad
from scipy.stats import norm, spearmanr

from medlatent import explore, losses
from medlatent.data import open_images
from medlatent.metrics import information, psnr
from medlatent.nets import count_parameters
from medlatent.training import train

_ = torch.manual_seed(seed)
# %% [markdown]
# ## The question
#
# A dermatologist who looks at thousands of pigmented lesions learns how they *vary*: small or large, round or
# elongated, brown or red, on pale or tanned skin, with a smooth or a ragged border. Textbooks name some of these, as in the
# ABCD rule: asymmetry, border, colour, diameter. Can a network find such a list by itself, from the pictures alone?
#
# The pictures of this chapter are {term}`phantoms <phantom>`: lesions rendered by a program, so that every
# {term}`factor of variation` behind each picture is known and we can check what a network has found. They follow the
# seven classes of the {term}`dermoscopic <dermoscopy>` data set HAM10000 {cite:p}`tschandl2018`. Towards the end, a recorded run on the real
# images stands beside them.

# %%
images = open_images("phantoms.lesion", settings["images"], seed=seed)
training, test = images.split("train"), images.split("test")
images

# %% mystnb={"figure": {"caption": "Skin-lesion phantoms, three of each class of HAM10000. Akiec: actinic keratosis or intraepithelial carcinoma; bcc: basal cell carcinoma; bkl: benign keratosis-like lesion; df: dermatofibroma; mel: melanoma; nv: melanocytic naevus; vasc: vascular lesion.", "name": "fig-vae-phantoms"}} tags=["hide-input"]
classes = images.factors["dx"].values
fresh = ~images.table["lesion_id"].duplicated()  # one picture of each lesion
rows = [
    np.flatnonzero((images.table["dx"] == name) & fresh)[:3] for name in classes
]
grid = torch.stack([images.batch(row) for row in rows], dim=1)
explore.show(
    explore.image_table(
        grid,
        column_labels=list(classes),
        alt="Three rows of seven rendered skin lesions, one column for each "
        "diagnosis: red-brown or dark patches of different size, shape and "
        "colour on pink skin, some crossed by hairs, some in a dark round "
        "field of view.",
    )
)

# %% [markdown]
# A picture here has 3 × 64 × 64 = 12 288 numbers. The list of factors has about a dozen entries. If the factors explain
# the pictures, then the pictures lie near a surface of about a dozen dimensions inside a space of 12 288. A
# {term}`latent space` gives each point of that surface a few coordinates.
#
# {numref}`fig-vae-goal` shows where the chapter goes. The upper row holds phantoms that a network had not seen in training. It
# wrote each of them down as 32 numbers, its *code*. From the code alone a second network drew the lower row. Both were trained
# for 6 000 steps, and their weights are recorded with this course. What such a code is, and how it is learnt, is the
# subject of the next sections.

# %% mystnb={"figure": {"caption": "Above, phantoms that the recorded model has not seen in training; below, what it draws from the 32 numbers of each.", "name": "fig-vae-goal"}} tags=["hide-input"]
goal = find_record("vae", "phantoms_vae")
studied = goal.load_model()
assert (goal.run["steps"], studied.latent_dim) == (6_000, 32)
ten = np.flatnonzero(~test.table["lesion_id"].duplicated())[:10]
fig = explore.reconstructions(studied, test.batch(ten))
fig.alt = (
    "Ten phantoms above smoother pictures of lesions of like place, size and "
    "colour. " + fig.alt
)
explore.show(fig)

# %% [markdown]
# ## A model with latent variables
#
# We imagine that each image $x$ was made in two steps. First nature draws a code $z \in \mathbb{R}^D$ from a
# {term}`prior`, here the standard normal distribution $p(z) = \mathcal{N}(0, I)$. Then the image is drawn from a
# distribution $p_\theta(x \mid z)$ whose mean a network, the {term}`decoder`, computes from $z$. We would like to choose
# the decoder's weights $\theta$ so that the images we have are probable. The probability of an image is
#
# $$
# p_\theta(x) = \int p_\theta(x \mid z)\, p(z)\, \mathrm{d}z .
# $$ (eq-vae-1)
#
# The integral runs over all codes. It has no closed form when the decoder is a network, and drawing codes at random is
# hopeless: almost no code fits a given image.
#
# To see each quantity of this chapter in numbers, we use a model so small that its integral *is* known: one latent
# dimension, a linear decoder, two "pixels".
#
# $$
# \begin{gathered}
# z \sim \mathcal{N}(0, 1), \qquad x \mid z \sim \mathcal{N}(w z, \sigma^2 I), \\
# w = (2, 1), \qquad \sigma = 0.5 .
# \end{gathered}
# $$
#
# Then $x$ is Gaussian with mean 0 and covariance $w w^\top + \sigma^2 I$, and {eq}`eq-vae-1` can be checked by drawing a
# million codes.

# %% tags=["check-vae-1", "hide-input", "nbval-check-output"]
w, sigma = torch.tensor([2.0, 1.0]), 0.5
x = torch.tensor([1.2, 0.1])


def log_likelihood(x, z):
    """log p(x|z) for codes z of any shape."""
    return (
        torch.distributions.Normal(z[..., None] * w, sigma).log_prob(x).sum(-1)
    )


covariance = torch.outer(w, w) + sigma**2 * torch.eye(2)
exact = (
    torch.distributions.MultivariateNormal(torch.zeros(2), covariance)
    .log_prob(x)
    .item()
)
codes = torch.randn(1_000_000)
simulated = (
    torch.logsumexp(log_likelihood(x, codes), 0) - math.log(len(codes))
).item()
print(f"log p(x)   exact {exact:.3f}   from a million codes {simulated:.3f}")
assert abs(exact - simulated) < 0.01

# %% [markdown]
# (vae-kl)=
# ## How far one distribution is from another
#
# The integral {eq}`eq-vae-1` cannot be computed, and the way out will be to draw codes from another distribution than the right one. What does
# such an exchange cost? The answer of this chapter, and of most of the course, is a {term}`KL divergence`: that of $q$ from $p$ is
#
# $$
# \mathrm{KL}(q \,\|\, p) = \mathbb{E}_{z \sim q}\!\left[\log \frac{q(z)}{p(z)}\right].
# $$ (eq-vae-2)
#
# In words: draw $z$ from $q$, ask how many times more probable it is under $q$ than under $p$, take the logarithm, and average over
# the draws. With the natural logarithm the unit is the {term}`nat`. A KL of one nat says that a draw from $q$ is $e \approx 2.7$ times
# more probable under $q$ than under $p$, in the geometric mean. One {term}`nat` is $1/\log 2 \approx 1.44$ bits.
#
# **It is never negative.** A single draw may well be more probable under $p$, and then its logarithm is negative. The average is
# not, because $\log u \le u - 1$ for every $u > 0$: the logarithm lies below its tangent at 1. Put $u = p(z)/q(z)$:
#
# $$
# \begin{aligned}
# -\mathrm{KL}(q \,\|\, p) &= \mathbb{E}_q\!\left[\log \frac{p(z)}{q(z)}\right]
# \le \mathbb{E}_q\!\left[\frac{p(z)}{q(z)} - 1\right] \\
# &= \int_{q > 0} p(z)\, \mathrm{d}z - 1 \le 0 .
# \end{aligned}
# $$
#
# Since $\log u = u - 1$ only at $u = 1$, the KL is zero only if the two distributions agree. The same inequality, applied to $u /
# \mathbb{E}[u]$, says $\mathbb{E}[\log u] - \log \mathbb{E}[u] \le 1 - 1 = 0$, that is $\mathbb{E}[\log u] \le \log \mathbb{E}[u]$ for any
# positive random $u$. This is Jensen's inequality for the logarithm: the
# mean of logarithms is at most the logarithm of the mean. {ref}`independence` will need it.
#
# **It is not symmetric.** $\mathrm{KL}(p \,\|\, q)$ averages over draws from the other distribution, so it is another number. A KL is no
# distance.
#
# **It can be infinite.** That happens where $q$ puts probability on values that $p$ calls impossible: some draws from $q$ have $p(z) = 0$. Let $p$ be
# uniform on $[0, 1]$ and $q$ uniform on $[0, 2]$. Half of the draws from $q$ lie beyond 1, so $\mathrm{KL}(q \,\|\, p) = \infty$. All draws from
# $p$ lie inside $[0, 2]$, where $p$ has twice the density, so $\mathrm{KL}(p \,\|\, q) = \log 2$.
#
# We compute both directions for two Gaussians by numerical integration, and for the two uniform distributions.

# %% tags=["check-vae-2"]
q, p = norm(1.3, 0.7), norm(0, 1)


def divergence(q, p):
    """KL(q || p) in nats, by numerical integration."""
    return quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), -9, 9)[0]


forward, backward = divergence(q, p), divergence(p, q)
print(f"Gaussians   KL(q‖p) = {forward:.3f}   KL(p‖q) = {backward:.3f} nats")
narrow = torch.distributions.Uniform(0.0, 1.0)
broad = torch.distributions.Uniform(0.0, 2.0)
into, out_of = (
    torch.distributions.kl_divergence(a, b).item()
    for a, b in ((broad, narrow), (narrow, broad))
)
print(f"uniform     KL(q‖p) = {into:.3f}     KL(p‖q) = {out_of:.3f} nats")
likelier = quad(lambda z: q.pdf(z) * (q.pdf(z) < p.pdf(z)), -9, 9, limit=400)[0]
print(f"{likelier:.0%} of the draws from the Gaussian q are likelier under p")
assert 0 < forward < backward
assert math.isinf(into)
assert math.isclose(out_of, math.log(2), rel_tol=1e-6)
assert 0 < likelier < 0.5

# %% mystnb={"figure": {"caption": "Two Gaussians (left), and the density of each times the logarithm of the ratio (right). The area under a curve, what lies below zero counted as negative, is the KL.", "name": "fig-vae-kl"}} tags=["hide-input"]
fig, (left, right) = explore.figure(7, 2.6, columns=2)
line = np.linspace(-4, 4, 401)
left.plot(line, q.pdf(line), label="q")
left.plot(line, p.pdf(line), label="p")
left.set(xlabel="z", ylabel="density")
for first, second, value, name in (
    (q, p, forward, "KL(q‖p)"),
    (p, q, backward, "KL(p‖q)"),
):
    curve = first.pdf(line) * (first.logpdf(line) - second.logpdf(line))
    (drawn,) = right.plot(line, curve, label=f"{name} = {value:.2f}")
    right.fill_between(line, curve, color=drawn.get_color(), alpha=0.2)
right.axhline(0, color="grey", lw=0.8)
right.set(xlabel="z", ylabel="density × log ratio")
for axis in (left, right):
    axis.legend(fontsize=8)
fig.alt = (
    "Left, a narrow Gaussian q around 1.3 and a broad one p around 0. Right, "
    f"two curves that fall below zero in places; their areas are {forward:.2f} "
    f"and {backward:.2f} nats."
)
explore.show(fig)

# %% [markdown]
# ### The closed form for a Gaussian code
#
# For two Gaussians the KL is an integral that can be done on paper. We shall need it for $q = \mathcal{N}(\mu, \sigma^2)$ and $p = \mathcal{N}(0, 1)$. Each
# logarithm is a constant and a square, so its expectation needs only $\mathbb{E}_q[(z-\mu)^2] = \sigma^2$ and $\mathbb{E}_q[z^2] = \mu^2 + \sigma^2$:
#
# $$
# \begin{aligned}
# \mathbb{E}_q[\log q(z)] &= -\tfrac12\left(\log 2\pi + \log \sigma^2 + 1\right), \\
# \mathbb{E}_q[\log p(z)] &= -\tfrac12\left(\log 2\pi + \mu^2 + \sigma^2\right).
# \end{aligned}
# $$
#
# The KL is their difference. In $D$ dimensions, if both distributions factorise over them, the logarithm of the ratio is a sum, and so is its
# expectation:
#
# $$
# \begin{aligned}
# & \mathrm{KL}\!\left(\mathcal{N}(\mu, \mathrm{diag}\,\sigma^2) \,\|\, \mathcal{N}(0, I)\right) \\
# & \qquad = \sum_{j=1}^{D} \tfrac12 \left( \mu_j^2 + \sigma_j^2 - \log \sigma_j^2 - 1 \right).
# \end{aligned}
# $$ (eq-vae-3)
#
# Read it off: a mean away from zero costs half its square, a variance other than one costs in either direction, and
# $\mu = 0$, $\sigma = 1$ costs nothing. The package keeps the terms of the sum apart. Their averages over many images will say how much each dimension
# carries.

# %% tags=["remove-input"]
show_source(losses.kl_to_standard_normal)

# %% [markdown]
# Three ways to the same number: the formula, numerical integration of the definition, and a simulation.

# %% tags=["check-vae-3", "hide-input", "nbval-check-output"]
mu, logvar = 1.3, -0.7
std = math.exp(0.5 * logvar)
formula = losses.kl_to_standard_normal(
    torch.tensor(mu), torch.tensor(logvar)
).item()
integral, _ = quad(
    lambda t: norm.pdf(t, mu, std) * (norm.logpdf(t, mu, std) - norm.logpdf(t)),
    mu - 12 * std,
    mu + 12 * std,
)
draws = norm.rvs(mu, std, size=400_000, random_state=seed)
simulation = (norm.logpdf(draws, mu, std) - norm.logpdf(draws)).mean()
print(
    f"formula {formula:.4f}   integral {integral:.4f}"
    f"   simulation {simulation:.3f} nats"
)
assert abs(formula - integral) < 1e-5
assert abs(formula - simulation) < 0.02

# %% [markdown]
# ## A bound that can be computed
#
# If we knew the {term}`posterior` $p_\theta(z \mid x)$, the codes that could have made this image, we would draw from
# there. We do not. So we *guess* it: an {term}`encoder` with weights $\phi$ maps each image to a Gaussian
# $q_\phi(z \mid x)$. Take any such guess. (We drop $\theta$ and $\phi$ where nothing depends on them, and write $\mathbb{E}_q$ for the
# expectation over $z \sim q(z \mid x)$.) Bayes' rule says $p(x) = p(x \mid z)\,p(z) / p(z \mid x)$. So
#
# $$
# \begin{aligned}
# \log p(x)
# &= \mathbb{E}_q\!\left[\log \frac{p(x \mid z)\, p(z)}{p(z \mid x)}\right] \\
# &= \mathbb{E}_q\!\left[\log \frac{p(x \mid z)\, p(z)}{q(z \mid x)}\right]
# + \mathbb{E}_q\!\left[\log \frac{q(z \mid x)}{p(z \mid x)}\right].
# \end{aligned}
# $$
#
# The first line is allowed since $\log p(x)$ does not depend on $z$: its expectation under anything is itself. The second multiplies
# and divides by $q(z \mid x)$. Its last term is a KL divergence {eq}`eq-vae-2`, from the guess to the posterior. What is left is called the
# {term}`evidence lower bound <ELBO>` $\mathcal{L}$:
#
# $$
# \begin{aligned}
# \log p_\theta(x) = {} & \mathcal{L}(x; \theta, \phi) \\
# & + \mathrm{KL}\!\left(q_\phi(z \mid x) \,\|\, p_\theta(z \mid x)\right).
# \end{aligned}
# $$ (eq-vae-4)
#
# Since a KL divergence is never negative, $\mathcal{L} \le \log p(x)$: a lower bound on the evidence, as its name says. The
# gap is exactly how wrong the guess is. Over $\phi$, pushing $\mathcal{L}$ up can only make the guess better, since
# $\log p(x)$ does not depend on $\phi$. Over $\theta$ it raises a floor under $\log p(x)$.
#
# In the small model everything is known. For a guess $q = \mathcal{N}(m, s^2)$ we compute both terms and add them.


# %% tags=["check-vae-4", "hide-input"]
def elbo_by_simulation(m, s, n=1_000_000):
    """E_q[log p(x|z) + log p(z) - log q(z|x)] over n draws of z from q."""
    q = torch.distributions.Normal(m, s)
    z = q.sample((n,))
    return (
        (
            log_likelihood(x, z)
            + torch.distributions.Normal(0.0, 1.0).log_prob(z)
            - q.log_prob(z)
        )
        .mean()
        .item()
    )


precision = 1 + (w @ w) / sigma**2
posterior = torch.distributions.Normal(
    (w @ x) / sigma**2 / precision, precision.rsqrt()
)
print(
    f"the true posterior: mean {posterior.mean:.3f}, "
    f"standard deviation {posterior.stddev:.3f}"
)
for m, s in (
    (0.0, 1.0),
    (0.4, 0.4),
    (posterior.mean.item(), posterior.stddev.item()),
):
    elbo = elbo_by_simulation(m, s)
    gap = torch.distributions.kl_divergence(
        torch.distributions.Normal(m, s), posterior
    ).item()
    print(
        f"guess N({m:.2f}, {s:.2f}²)  ELBO {elbo:8.3f}  + KL {gap:7.3f}"
        f"  = {elbo + gap:.3f}  log p(x) {exact:.3f}"
    )
    assert abs(elbo + gap - exact) < 0.05
    assert elbo <= exact + 0.05

# %% [markdown]
# Up to the error of the simulation, the sum is the same every time. The guess that equals the true posterior leaves no gap.
#
# Splitting the logarithm in $\mathcal{L}$ gives the form that is trained {cite:p}`kingma2014,rezende2014`:
#
# $$
# \begin{aligned}
# \mathcal{L}(x; \theta, \phi) = {} & \underbrace{\mathbb{E}_{q_\phi(z \mid x)}\!\left[\log p_\theta(x \mid z)\right]}_{\text{reconstruction}} \\
# & - \underbrace{\mathrm{KL}\!\left(q_\phi(z \mid x) \,\|\, p(z)\right)}_{\text{rate}} .
# \end{aligned}
# $$ (eq-vae-5)
#
# - The **reconstruction** term asks that codes drawn from the guess decode to this image.
# - The **rate**, `kl` in the code, is the KL from the guess to the prior, in nats; {eq}`eq-vae-3` is its closed form.
#   Averaged over images it is at least the information that the code carries about the image, so information has a price.
#   A guess that equals the prior says nothing and costs nothing.
#
# A KL to the *posterior* stood in {eq}`eq-vae-4`, and here stands a KL to the *prior*. Do not confuse the two.

# %% tags=["check-vae-5", "hide-input"]
m, s = 0.4, 0.4
z = m + s * torch.randn(1_000_000)
reconstruction = log_likelihood(x, z).mean()
rate = losses.kl_to_standard_normal(
    torch.tensor(m), torch.tensor(2 * math.log(s))
)
print(
    f"reconstruction {reconstruction:.3f} - rate {rate:.3f}"
    f" = {reconstruction - rate:.3f}"
)
print(f"the ELBO as it was defined   {elbo_by_simulation(m, s):.3f}")
assert abs(reconstruction - rate - elbo_by_simulation(m, s)) < 0.02

# %% [markdown]
# ## Gradients through a random draw
#
# The reconstruction term is an expectation over $q_\phi$, and $\phi$ is what we want to train. A sample has no gradient
# with respect to the parameters of the distribution that it was drawn from. The way out is to draw the randomness from
# somewhere fixed and to move it afterwards. This is the {term}`reparametrisation`:
#
# $$
# z = \mu_\phi(x) + \sigma_\phi(x) \odot \varepsilon, \qquad \varepsilon \sim \mathcal{N}(0, I) .
# $$ (eq-vae-6)
#
# Now $z$ is a differentiable function of $\mu$ and $\sigma$. The encoder returns $\log \sigma^2$, which may be any real
# number, instead of $\sigma$, which may not.

# %% tags=["remove-input"]
show_source(losses.reparametrise)

# %% [markdown]
# Is the gradient right? Take $f(z) = z^2$. Its expectation is $\mu^2 + \sigma^2$, so the gradient with respect to $\mu$ is
# $2\mu$, and with respect to $\log\sigma^2$ it is $\sigma^2$. There is an older way to estimate such gradients, the score
# function $f(z)\,\nabla \log q(z)$, which needs no reparametrisation. It is right as well, but look at its spread.

# %% tags=["check-vae-6", "hide-input"]
n, mu0, logvar0 = 200_000, 1.5, math.log(0.25)
mean = torch.full((n, 1), mu0, requires_grad=True)
logvar = torch.full((n, 1), logvar0, requires_grad=True)
z = losses.reparametrise(mean, logvar)
z.square().sum().backward()
score = (z.square() * (z - mu0) / math.exp(logvar0)).detach()
print(f"d/dμ      exact          {2 * mu0:.3f}")
for name, found in (("reparametrised", mean.grad), ("score function", score)):
    print(f"          {name} {found.mean():.3f} ± {found.std():.2f} per sample")
print(f"d/dlogσ²  exact          {math.exp(logvar0):.3f}")
print(f"          reparametrised {logvar.grad.mean():.3f}")
assert abs(mean.grad.mean() - 2 * mu0) < 0.02
assert abs(logvar.grad.mean() - math.exp(logvar0)) < 0.02
assert abs(score.mean() - 2 * mu0) < 0.2

# %% [markdown]
# ## What "reconstruction" means
#
# The decoder computes the mean $\hat x$ of $p_\theta(x \mid z)$; a sigmoid keeps it between 0 and 1. The distribution around this mean is our choice, and it
# decides what the loss is.
#
# **Gaussian.** With the same variance $\sigma^2$ for each of the $P$ values (pixels times channels; this $\sigma$ is a constant of the
# likelihood, not the encoder's $\sigma_\phi(x)$ of {eq}`eq-vae-6`),
#
# $$
# -\log p(x \mid z) = \frac{1}{2\sigma^2}\sum_{i=1}^{P} (x_i - \hat x_i)^2 + \frac{P}{2} \log 2\pi\sigma^2 .
# $$ (eq-vae-7)
#
# The sum is the {term}`SSE`. With $\sigma^2 = \tfrac12$ its factor is one; with $\sigma^2 = 1$ it is one half. While
# $\sigma^2$ is fixed, the constant at the end moves no weight, and it is usually left out of the loss.

# %% tags=["remove-input"]
show_source(losses.squared_error, losses.gaussian_nll)

# %% tags=["check-vae-7", "hide-input"]
picture, guess = training.batch([0, 1]), training.batch([2, 3])
ours = losses.gaussian_nll(guess, picture, variance=0.1)
reference = (
    -torch.distributions.Normal(guess, math.sqrt(0.1))
    .log_prob(picture)
    .flatten(1)
    .sum(1)
)
print(
    "ours     ",
    [round(v, 2) for v in ours.tolist()],
    "\nreference",
    [round(v, 2) for v in reference.tolist()],
)
assert torch.allclose(ours, reference, rtol=1e-4)
difference = losses.gaussian_nll(guess, picture, 0.5) - losses.squared_error(
    guess, picture
)
assert torch.allclose(
    difference, torch.full((2,), 12_288 / 2 * math.log(math.pi)), rtol=1e-4
)

# %% [markdown]
# A value above is negative: a density, unlike a probability, may exceed one.
#
# **Bernoulli.** Each value is a coin that falls on 1 with the probability $\hat x_i = 1 / (1 + e^{-\ell_i})$, where the
# logit $\ell_i$ is what the decoder puts out:
#
# $$
# \begin{aligned}
# & -\log p(x \mid z) \\
# & \quad = -\sum_{i=1}^{P} \left[ x_i \log \hat x_i + (1 - x_i) \log (1 - \hat x_i) \right].
# \end{aligned}
# $$ (eq-vae-8)
#
# This is right for black-and-white images. For grey values it is no longer the likelihood of any distribution, yet it
# trains well and is widely used.

# %% tags=["remove-input"]
show_source(losses.bernoulli_nll)

# %% tags=["check-vae-8", "hide-input"]
binary = (picture > 0.5).float()
logits = torch.randn(
    binary.shape, generator=torch.Generator().manual_seed(seed)
)
ours = losses.bernoulli_nll(logits, binary)
reference = (
    -torch.distributions.Bernoulli(logits=logits)
    .log_prob(binary)
    .flatten(1)
    .sum(1)
)
print(
    "ours     ",
    [round(v, 2) for v in ours.tolist()],
    "\nreference",
    [round(v, 2) for v in reference.tolist()],
)
assert torch.allclose(ours, reference, rtol=1e-5)

# %% [markdown]
# ## The objective, and the weight of its two terms
#
# Averaged over a batch, with a weight $\beta$ on the rate {cite:p}`higgins2017`, the objective that is minimised is
#
# $$
# \begin{aligned}
# \mathcal{J} = \frac1B \sum_{b=1}^{B} \Big[ & -\log p_\theta(x_b \mid z_b) \\
# & + \beta \sum_{j=1}^{D} \mathrm{KL}\!\left(q_\phi(z_j \mid x_b) \,\|\, p(z_j)\right) \Big],
# \end{aligned}
# $$ (eq-vae-9)
#
# with $z_b$ drawn from $q_\phi(z \mid x_b)$.
# At $\beta = 1$ it is an unbiased estimate of the negative ELBO, with one draw of $z$ for each image; the code leaves the
# constant of {eq}`eq-vae-7` out. **The number $\beta$ means nothing without the scale of the first term.** With
# the Gaussian of {eq}`eq-vae-7`, multiplying the objective by $2\sigma^2$ turns it into $\text{SSE} + 2\sigma^2\beta \cdot
# \text{KL}$: a VAE with variance $\sigma^2$ *is* a {term}`beta-VAE <beta>`, a VAE with such a weight on the plain SSE with $\beta =
# 2\sigma^2$. Two programs that
# both say "beta = 6" can differ by a factor of two, or of 12 288.
#
# ## A VAE in twenty lines
#
# Everything is now at hand, and nothing of it needs a package. The function below is a whole VAE on phantoms of
# 16 × 16 pixels: an encoder and a decoder of two layers each, the draw {eq}`eq-vae-6`, the SSE of {eq}`eq-vae-7` with
# $\sigma^2 = \tfrac12$, the rate {eq}`eq-vae-3`, and the objective {eq}`eq-vae-9` with $\beta = 1$. Read it line by line.

# %%
from torch import nn

from medlatent.data.phantoms import lesion

tiny = lesion.generate(1_000, seed=seed, size=16)
known, unseen = (
    part.batch(range(len(part))).flatten(1)  # 3 · 16 · 16 = 768 columns
    for part in (tiny.split("train"), tiny.split("test"))
)


def fit_tiny(pictures, noise=1.0, dims=8, steps=1_000):
    """Trains a VAE on rows of pixels; returns its encoder and decoder."""
    torch.manual_seed(seed)
    width = pictures.shape[1]
    encoder = nn.Sequential(
        nn.Linear(width, 128), nn.ReLU(), nn.Linear(128, 2 * dims)
    )
    decoder = nn.Sequential(
        nn.Linear(dims, 128), nn.ReLU(), nn.Linear(128, width), nn.Sigmoid()
    )
    weights = [*encoder.parameters(), *decoder.parameters()]
    optimiser = torch.optim.Adam(weights, lr=2e-3)
    for _ in range(steps):
        x = pictures[torch.randint(len(pictures), (64,))]
        mean, logvar = encoder(x).chunk(2, dim=1)
        epsilon = noise * torch.randn_like(mean)
        z = mean + torch.exp(0.5 * logvar) * epsilon
        sse = (decoder(z) - x).square().sum(1)
        kl = 0.5 * (mean**2 + logvar.exp() - logvar - 1).sum(1)
        loss = (sse + kl).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return encoder, decoder


# %% [markdown]
# What has it learnt? We ask on phantoms of lesions that it has not seen, for the SSE from the mean of the code and from a draw, for the
# rate, and for the average variance of the posterior. Beside it stands the SSE of the mean picture, which needs no code at all.


# %% tags=["hide-input"]
@torch.no_grad()
def judge_tiny(encoder, decoder):
    """SSE from the mean and from a draw, rate, variance; unseen phantoms."""
    mean, logvar = encoder(unseen).chunk(2, dim=1)
    kl = losses.kl_to_standard_normal(mean, logvar).sum(1).mean()
    codes = (mean, losses.reparametrise(mean, logvar))
    sse = [(decoder(z) - unseen).square().sum(1).mean() for z in codes]
    return {
        "SSE from the mean": sse[0].item(),
        "SSE from a draw": sse[1].item(),
        "KL (nats)": kl.item(),
        "variance": logvar.exp().mean().item(),
    }


tiny_vae = fit_tiny(known)
with_noise = judge_tiny(*tiny_vae)
by_mean_picture = (unseen - known.mean(0)).square().sum(1).mean().item()
saved = by_mean_picture - with_noise["SSE from a draw"]
assert saved > with_noise["KL (nats)"]
beside = {"SSE from the mean": by_mean_picture}
show_table(pd.DataFrame({"mean picture": beside, "VAE": with_noise}).T)

# %% [markdown]
# Beside the mean picture the code saves more SSE than it costs in nats. Otherwise the optimiser would not have spent them.
#
# :::{admonition} Exercise: the draw left out
# :class: note
# Call `fit_tiny(known, noise=0.0)`. The code is then the mean itself, $z = \mu$; the loss is the same, KL and all. Before you run it, write
# down what you expect. Does the SSE from the mean rise or fall? What happens to the encoder's $\sigma$, which the SSE no longer sees? What
# happens to the KL, and
# does it still say how much the code carries?
# :::

# %% mystnb={"code_prompt_show": "Show the solution", "code_prompt_hide": "Hide the solution"} tags=["hide-cell"]
without = judge_tiny(*fit_tiny(known, noise=0.0))
assert without["SSE from the mean"] < with_noise["SSE from the mean"]
assert without["KL (nats)"] < with_noise["KL (nats)"]
assert without["variance"] > 0.9
assert without["SSE from a draw"] > by_mean_picture
both = {"with the draw": with_noise, "without it": without}
show_table(pd.DataFrame(both).T)

# %% [markdown]
# :::{dropdown} Show the answer in words
# The SSE from the mean falls, since no noise blurs the code. Only the KL still sees $\sigma$, and it is least at $\sigma = 1$, so the variance goes to
# one. The KL falls, too, and that is the trap. It charges for the size of the means, and nothing else does: the encoder makes them small, and the decoder
# multiplies them again. Without noise a small mean is as good as a large one.
#
# So the KL is no longer a price. The code carries more than before, and the number called KL, almost zero, does not say how much. Draw from
# $q(z \mid x)$, as a VAE does, and the small means drown in noise: the SSE is worse than that of the mean picture. A program with this mistake reports
# better reconstructions *and* a smaller KL than a correct one.
# :::

# %% [markdown]
# ## What the package adds
#
# The class `VAE` of the package is the same algorithm. It adds what a longer study needs:
#
# - convolutional networks, and images of any height and width from 16 pixels on;
# - both likelihoods, {eq}`eq-vae-7` with any $\sigma^2$ and {eq}`eq-vae-8`, and in `BetaVAE` any $\beta$;
# - arguments that are checked, and kept, so that a recorded model can be loaded and its numbers computed again;
# - a decoder that returns logits: from them the logarithms of {eq}`eq-vae-8` are finite even where a probability has rounded to 0 or 1;
# - 16-bit arithmetic where a processor has it.

# %%
from medlatent.models import VAE, BetaVAE

# %% tags=["remove-input"]
show_source(
    losses.beta_vae_objective, VAE.reconstruction_loss, VAE.update, VAE.step
)

# %% [markdown]
# You will recognise each line: encode, draw, decode, two terms, one step of Adam. The last function is that step: it forgets
# the old gradients, computes those of the loss, and moves the weights. It asks for the gradients of its optimiser's *own*
# weights. Here these are all there are. Later models have two players, each with an optimiser, and the loss of one passes
# through the network of the other: that network must not learn from it, so its gradients need not even be computed.
#
# We check that one update reports the terms of {eq}`eq-vae-9`, and that variance 3 and $\beta = 6$ are the same thing.


# %% tags=["check-vae-9", "hide-input"]
def gradient(model):
    """The gradient of the objective for a fixed batch and fixed noise."""
    torch.manual_seed(seed)
    batch = training.batch(range(8))
    mean, logvar = model.encode(batch)
    logits = model.logits(losses.reparametrise(mean, logvar))
    kl = losses.kl_to_standard_normal(mean, logvar)
    losses.beta_vae_objective(
        model.reconstruction_loss(logits, batch), kl, model.beta
    ).backward()
    return torch.cat([p.grad.flatten() for p in model.parameters()])


torch.manual_seed(seed)
wide = VAE(latent_dim=8, variance=3.0)
weighted = BetaVAE(latent_dim=8, beta=6.0)
weighted.load_state_dict(wide.state_dict())
a, b = 2 * 3.0 * gradient(wide), gradient(weighted)
difference = (a - b).abs().max() / b.abs().max()
print("largest difference of the two gradients,")
print(f"relative to the largest entry: {difference:.1e}")
assert torch.allclose(a, b, rtol=1e-3, atol=1e-4 * b.abs().max())

terms = weighted.update(training.batch(range(8)))
print({name: round(value.item(), 3) for name, value in terms.items()})
assert torch.isclose(
    terms["loss"], terms["reconstruction"] + 6 * terms["kl"], rtol=1e-5
)

# %% [markdown]
# ## Training
#
# The network is the one that Chen et al. used for photographs of faces {cite:p}`chen2018`, and that the chapter on
# adversarial VAEs will start from: four convolutions that halve the image, and their mirror image. The learning rate is
# ten times that of Sarhan et al. {cite:p}`sarhan2019`, since this run is short.

# %%
torch.manual_seed(seed)
model = VAE(latent_dim=16, learning_rate=1e-3)
for name in ("encoder", "decoder"):
    number = count_parameters(getattr(model, name))
    print(f"{number:,} parameters in the {name}")
history = train(
    model,
    training,
    settings["steps"],
    batch_size=settings["batch_size"],
    seed=seed,
    precision="float32",  # 16 bits, where a processor has them, give others
    progress=False,
)
print(f"{len(history)} steps on {history.device}, {history.precision}")

# %% mystnb={"figure": {"caption": "The terms of the objective over the steps of this run, as running means.", "name": "fig-vae-loss"}} tags=["hide-input"]
explore.show(explore.loss_curves(history))

# %% [markdown]
# Begin with the rate (`kl`), on the right of {numref}`fig-vae-loss`. It falls to almost nothing at first: the untrained code is
# noise, and noise is not worth its price. Then it *rises*, because each nat spent saves more than a nat of reconstruction.
# (`reconstruction` is the first term of {eq}`eq-vae-9`, the negative log-likelihood without its constant, so it falls.)
#
# ## Evaluation
#
# We look first, and count afterwards. The test images come from lesions of which the network has seen no picture: the
# data are split by lesion, not by image. {numref}`fig-vae-reconstructions` has the phantoms of {numref}`fig-vae-goal`, so that you can
# compare a run of a minute with the recorded one, which had twenty times as many steps.

# %% mystnb={"figure": {"caption": "Test phantoms, and what the network of this run makes of them.", "name": "fig-vae-reconstructions"}} tags=["hide-input"]
fig = explore.reconstructions(model, test.batch(ten))
fig.alt = (
    "Ten phantoms above soft round blobs of like size and darkness. " + fig.alt
)
explore.show(fig)

# %% [markdown]
# After a minute size, darkness and the dark rim are there; place, shape and most of the colour are not yet, and hairs and texture are gone. Longer
# training brings back place and colour, as {numref}`fig-vae-goal` shows, but not the hairs. A hair is thin: leaving it out costs
# little squared error, and describing where it runs would cost many nats.
#
# How good is that? We use the {term}`PSNR`, $10 \log_{10}(1/\text{MSE})$ decibels for intensities in [0, 1], where MSE is the squared error
# averaged over the values of an image: higher is better, and 3 dB more is half the squared error. A number needs something to stand beside.
# Two baselines need no network: every image replaced by the
# mean image, and principal component analysis (PCA) with 12, 16 and 32 components; our code has 16 dimensions.

# %% tags=["hide-input"]
from sklearn.decomposition import PCA

flat_training = (
    training.batch(range(min(len(training), 2_000))).flatten(1).numpy()
)
test_images = test.batch(range(len(test)))
pca = PCA(32, svd_solver="randomized", random_state=seed).fit(flat_training)
flat_test = test_images.flatten(1).numpy()


def by_pca(components):
    """The test images, rebuilt from their first principal components."""
    kept = pca.transform(flat_test)
    kept[:, components:] = 0
    return pca.inverse_transform(kept).reshape(test_images.shape)


by_mean = np.broadcast_to(
    flat_training.mean(0).reshape(test_images.shape[1:]), test_images.shape
)

# %% tags=["hide-input"]
ours = evaluate(model, test, ["reconstruction", "posterior"])
with torch.inference_mode():
    posteriors = model.encode(test_images)
    rebuilt = model.decode(posteriors[0])
    longer = studied.decode(studied.encode(test_images)[0])
scores = {
    "mean image": psnr(test_images, by_mean),
    **{
        f"PCA, {k} components": psnr(test_images, by_pca(k))
        for k in (12, 16, 32)
    },
    "this VAE": psnr(test_images, rebuilt),
    "recorded VAE": psnr(test_images, longer),
}
print(f"PSNR in dB, mean ± standard error over {len(test)} test phantoms")
for name, result in scores.items():
    error = result.per_image.std(ddof=1) / math.sqrt(len(test))
    print(f"{name:<20} {result.score:.2f} ± {error:.2f}")
print(f"this VAE's rate: {ours['kl']:.1f} nats")

# %% [markdown]
# In the short `ci` profile PCA wins, and by decibels: squared error is exactly what it minimises, it needs no gradient descent, and
# nobody charges it for its rate. What it cannot do is bend, or draw a new lesion from a prior. The line "recorded VAE" is a model with 32 dimensions, trained
# for 6 000 steps on more images. PCA with 32 components is still ahead of it. But this VAE uses only about twelve of its dimensions, as we
# shall see, and against twelve components it wins: what it gains is a curved surface, what it pays is the rate.
#
# The next table says more of it, and of a run on the real images. (Its PSNR is of the 1 010 test phantoms of the recorded run, the one
# above of the 291 of this one.) Their weights are in the repository. The tests compute
# the numbers on phantoms again, and those on HAM10000 where it is packed. The third line, the model of real skin on
# phantoms it never saw, is there so that its weights can be checked without the real data.

# %% tags=["hide-input"]
recorded = {
    name: find_record("vae", name) for name in ("phantoms_vae", "ham10000_vae")
}
rows = [
    {
        "run": record.name,
        "test images of": entry["source"],
        "steps": record.run["steps"],
        "PSNR (dB)": entry["values"]["psnr"],
        "SSE": entry["values"]["sse"],
        "KL (nats)": entry["values"]["kl"],
        "active units": f"{entry['values']['active_units']:.0f} of "
        f"{record.config['latent_dim']}",
    }
    for record in recorded.values()
    for entry in record.metrics.values()
]
rows.append(
    {
        "run": "Sarhan et al. 2019",
        "test images of": "ISIC 2018",
        "steps": 100_000,
        "PSNR (dB)": 22.91,
    }
)
show_table(pd.DataFrame(rows), 1, index=False, thousands=" ")

# %% [markdown]
# Where the two runs of ours come from:

# %% tags=["hide-input"]
for record in recorded.values():
    run = record.run
    data = record.data
    print(f"{record.name}: {data['images']} images of {data['name']}")
    print(f"  seed {run['seed']}, licence of the data: {data['licence']}")
    minutes = run["seconds"] / 60
    print(f"  {run['device']}, {run['threads']} thread, {minutes:.0f} minutes")
    print(f"  {run['command']}\n")

# %% [markdown]
# Our number on real lesions and the 22.9 dB of Sarhan et al. {cite:p}`sarhan2019` (their Table 1, VAE) cannot be set against each other. The paper does
# not say on which images it computed its PSNR, nor how it averaged; ours is the mean over the images of a test split that
# shares no lesion with the training split. It trained for 100 000 steps with 256 images a step and a learning rate of 1e-4,
# we for 12 000 with 64 and 5e-4. It does not state the scale of its reconstruction term. And each of our records is one run,
# without a spread over seeds; the chapter on adversarial VAEs compares systems over several.
#
# ## Which dimension holds what?
#
# The average KL of each dimension bounds from above how much it transmits {cite:p}`hoffman2016`.

# %% mystnb={"figure": {"caption": "The average KL of each dimension of the recorded phantom model to the prior, in nats: an upper bound on what it transmits.", "name": "fig-vae-information"}} tags=["hide-input"]
check_set = open_images("phantoms.lesion", 2_000, seed=seed + 1).split("test")
with torch.inference_mode():
    studied_posteriors = studied.encode(check_set.batch(range(len(check_set))))
explore.show(explore.information_bars(studied_posteriors))

# %% [markdown]
# About a dozen dimensions carry nearly everything. The {term}`active units <active unit>` of the table are more, since their
# threshold, a variance of the posterior mean above 0.01 {cite:p}`burda2016`, corresponds to about 0.005 nats. Dimensions that carry
# nothing are the subject of the section on collapse.

# %% mystnb={"figure": {"caption": "A traversal of the recorded phantom model: its eight most informative dimensions, each walked from −3 to 3 while the others stay at 0.", "name": "fig-vae-traversal"}} tags=["hide-input"]
explore.show(explore.traversal(studied, posteriors=studied_posteriors))

# %% [markdown]
# Look down {numref}`fig-vae-traversal` and try to name each row. Most rows move several things at once. Since the factors of
# a phantom are known, we need not trust our eyes: {numref}`fig-vae-factors` holds the rank correlation of the dimensions
# with every factor but the orientation, since an angle has no rank. So z22, which turns the lesion, has a dark row.

# %% mystnb={"figure": {"caption": "Absolute rank correlation (Spearman) between the posterior means of the recorded phantom model and the factors that generated the images. Illumination: brightness of the skin; white balance: tint of the light; vignette: the dark rim of the dermatoscope; lesion hue: blood rather than melanin.", "name": "fig-vae-factors"}} tags=["hide-input"]
factors = [
    name
    for name, f in images.factors.items()
    if f.kind in ("continuous", "binary")
]
nats = information(*studied_posteriors).per_dimension
order = np.argsort(-nats)[:12]
correlation = np.abs(
    [
        [
            spearmanr(
                studied_posteriors[0][:, j], check_set.table[name]
            ).statistic
            for name in factors
        ]
        for j in order
    ]
)
fig, axes = explore.figure(7, 3.6)
picture = axes.imshow(
    correlation, vmin=0, vmax=1, cmap="viridis", aspect="auto"
)
labels = [name.replace("_", " ") for name in factors]
axes.set_xticks(range(len(factors)), labels, rotation=40, ha="right")
axes.set_yticks(range(len(order)), [f"z{j}" for j in order])
fig.colorbar(picture, label="|rank correlation|")
best = np.unravel_index(correlation.argmax(), correlation.shape)
crowded = int(((correlation > 0.3).sum(1) > 1).sum())
fig.alt = (
    f"A heat map of {len(order)} dimensions by {len(factors)} factors. The "
    f"strongest entry is {correlation.max():.2f}, between z{order[best[0]]} "
    f"and {factors[best[1]]}; {crowded} dimensions correlate above 0.3 with "
    f"more than one factor."
)
explore.show(fig)

# %% tags=["hide-input"]
among_factors = np.abs(spearmanr(check_set.table[factors]).statistic)
np.fill_diagonal(among_factors, 0)
print(f"{crowded} of {len(order)} dimensions correlate with several factors")
print(f"largest correlation between two factors: {among_factors.max():.2f}")
assert crowded >= 3

# %% [markdown]
# Two observations, which the rest of the course takes up.
#
# - **{term}`Entanglement <disentanglement>`.** Several rows light up in more than one column, and size, position and lesion colour
#   are each spread over several rows. The data are hardly to blame: the factors correlate far less with each other, as the cell
#   above prints. One dimension, z3, follows one factor far more than any other, the colour of the skin; nothing in {eq}`eq-vae-5` asked for it.
# - **The axes are not special.** The prior is the same in every direction. If the codes of a trained VAE are rotated, and the
#   decoder undoes the rotation, then reconstructions and prior samples stay what they were
#   {cite:p}`locatello2019`. What ties the axes to anything at all is that the posterior's covariance is *diagonal*: a
#   rotation would in general destroy that {cite:p}`rolinek2019`.
#
# ## Explore
#
# The model of the phantoms, live: the next cell runs in your browser. It has a slider for each of the eight most
# informative dimensions, ordered as in {numref}`fig-vae-information`, and behind each slider the prior's density.
#
# - Draw from the prior (*Random*) a few times, and watch the sliders of the dimensions that carry nothing.
# - Encode a phantom of the strip and compare it with its reconstruction. Then move one slider far out, to where the prior
#   has hardly any density. What does the decoder make of a code that it has never met?
# - On the map, choose the two dimensions with the most nats and colour the points by skin colour, then by size. Which of
#   the two factors runs along an axis?

# %%
one_each = np.flatnonzero(~check_set.table["lesion_id"].duplicated())
strip = check_set.batch(one_each[:12])
strip_names = [f"phantom {i + 1}" for i in range(len(strip))]
explore.Explorer(
    studied,
    posteriors=studied_posteriors,
    images=strip,
    image_names=strip_names,
    labels={
        "skin colour": check_set.table["skin_colour"],
        "size": check_set.table["size"],
        "diagnosis": check_set.table["dx"],
    },
)

# %% [markdown]
# Between two codes the decoder can be asked for every point.

# %% mystnb={"figure": {"caption": "From one test phantom to another, along the straight line between their codes.", "name": "fig-vae-interpolation"}} tags=["hide-input"]
order_by_size = check_set.table["size"].to_numpy().argsort()
small, large = check_set.batch([order_by_size[5], order_by_size[-5]])
fig = explore.interpolation(studied, small, large, steps=7)
fig.alt = "A small dark lesion becomes a large one, step by step. " + fig.alt
explore.show(fig)

# %% [markdown]
# The same network, trained on real lesions, draws new ones from the prior. Most could pass for a blurred photograph; some could not.

# %% mystnb={"figure": {"caption": "New lesions: codes drawn from the prior, decoded by the model recorded on the real images of HAM10000. None of them is a photograph of a person.", "name": "fig-vae-samples"}} tags=["hide-input"]
real = recorded["ham10000_vae"].load_model()
fig = explore.samples(real, 20, columns=10, seed=seed)
fig.alt = "Blurred oval lesions, brown to red, on pale to pink skin. " + fig.alt
explore.show(fig)

# %% mystnb={"figure": {"caption": "A traversal of the model recorded on real HAM10000 images: eight dimensions, each from −3 to 3, the others at 0.", "name": "fig-vae-traversal-real"}} tags=["hide-input"]
strongest = explore.strongest_dimensions(real)
explore.show(explore.traversal(real, dimensions=strongest))

# %% [markdown]
# The same dimensions with sliders. The images of the strip are phantoms again, because the page you read shows no patient: the model
# has never seen one, and its reconstructions say what it would take for real skin.

# %%
explore.Explorer(
    real,
    images=strip,
    image_names=strip_names,
    dimensions=strongest,
    title="Trained on real lesions",
)

# %% [markdown]
# The rows of {numref}`fig-vae-traversal-real`, and the sliders, are ordered by how much the picture changes, since the page you read carries no
# real images to measure information on. If you have packed HAM10000 (see {doc}`/book/how_to_use`), the next cell shows
# real test lesions and their reconstructions; otherwise it says so.

# %% tags=["hide-input"]
from medlatent.data import packed_folder

if packed_folder("ham10000"):
    lesions = open_images("ham10000").split("test")
    fig = explore.reconstructions(real, lesions.batch(range(10)))
    fig.alt = (
        "Ten photographs of real skin lesions above their blurred "
        "reconstructions. " + fig.alt
    )
    explore.show(fig)
else:
    print("HAM10000 is not packed here: no real lesions to show.")

# %% [markdown]
# ## Posterior collapse
#
# A decoder may find that it does best without the code. Then $q(z_j \mid x)$ equals the prior for every image, the
# dimension's KL is zero, and it carries nothing: it has *collapsed* {cite:p}`bowman2016`. Some collapse is a bug, and some
# is simply the right answer. A model in which everything can be computed tells which is which.
#
# Let the decoder be linear and the data Gaussian. The best linear VAE with this $\sigma^2$ is then probabilistic PCA, whose latent
# dimensions lie along the eigenvectors of the data's covariance. That the directions decouple in this way we quote from Lucas et al.
# {cite:p}`lucas2019`. What one of them costs can be derived. Let $\lambda$ be the eigenvalue of a direction, $x$ the data along it, and $w$ the
# weight of its dimension. The model says that $x$ has the variance $v = w^2 + \sigma^2$, and gives it the average log-likelihood
# $-\tfrac12 (\log 2\pi v + \lambda / v)$. This is largest at $v = \lambda$, and falls on either side. So $w^2 = \lambda - \sigma^2$, or
# $w = 0$ if $\lambda$ is less than $\sigma^2$, since $v$ cannot be. Prior and likelihood are both Gaussian in $z$, so their precisions
# (inverse variances) add to $1 + w^2/\sigma^2$. Hence the posterior has the variance $1 / (1 + w^2/\sigma^2) = \sigma^2/\lambda$ and the
# mean
# $w x / v = w x / \lambda$. The average of its square is $w^2/\lambda = 1 - \sigma^2/\lambda$. Putting both into {eq}`eq-vae-3`,
#
# $$
# \tfrac12 \Big( 1 - \frac{\sigma^2}{\lambda} + \frac{\sigma^2}{\lambda} - \log \frac{\sigma^2}{\lambda} - 1 \Big)
# = \tfrac12 \log \frac{\lambda}{\sigma^2} .
# $$
#
# The best Gaussian guess is the posterior itself, because a guess that leaves no gap {eq}`eq-vae-4` cannot be improved. So dimension $i$, along the
# eigenvalue $\lambda_i$, has the rate
#
# $$
# \begin{aligned}
# & \mathbb{E}_x\, \mathrm{KL}\!\left(q(z_i \mid x) \,\|\, p(z_i)\right) \\
# & \quad = \begin{cases} \tfrac12 \log (\lambda_i / \sigma^2) & \text{if } \lambda_i > \sigma^2, \\
# 0 & \text{otherwise: it collapses.} \end{cases}
# \end{aligned}
# $$ (eq-vae-10)
#
# A direction of the data that varies less than the noise that the likelihood expects anyway is not worth a single nat. Rate–distortion theory
# knows the rule as reverse water-filling; it is no failure of training. We train a linear VAE by gradient descent on data with six
# known eigenvalues, and compare.

# %% tags=["check-vae-10", "hide-input"]
torch.manual_seed(seed)
eigenvalues = torch.tensor([8.0, 4.0, 2.0, 0.8, 0.4, 0.2])
noise = 1.0  # σ² of the likelihood
rotation = torch.linalg.qr(torch.randn(6, 6)).Q
data = (torch.randn(4_096, 6) * eigenvalues.sqrt()) @ rotation.T
encode, decode, log_variance = (
    torch.nn.Linear(6, 6),
    torch.nn.Linear(6, 6),
    torch.nn.Parameter(torch.zeros(6)),
)
optimiser = torch.optim.Adam(
    [*encode.parameters(), *decode.parameters(), log_variance], lr=0.02
)
for step in range(1_500):
    if step == 1_000:
        optimiser.param_groups[0]["lr"] = 0.002
    mean, spread = encode(data), log_variance.expand(len(data), -1)
    sse = (decode(losses.reparametrise(mean, spread)) - data).square().sum(1)
    kl = losses.kl_to_standard_normal(mean, spread)
    optimiser.zero_grad()
    (sse / (2 * noise) + kl.sum(1)).mean().backward()
    optimiser.step()

predicted = (0.5 * (eigenvalues / noise).log()).clamp(min=0)
found = kl.mean(0).detach().sort(descending=True).values
print(
    "predicted",
    [f"{v:.2f}" for v in predicted.tolist()],
    "\ntrained  ",
    [f"{v:.2f}" for v in found.tolist()],
)
assert torch.allclose(found, predicted, atol=0.08)

# %% [markdown]
# Three eigenvalues lie above the noise, and three dimensions survive, with the predicted number of nats.
#
# Now the bug. Many programs compute the reconstruction with `mse_loss`, whose default is the **mean** over pixels, and the KL
# as a **sum** over dimensions. By {eq}`eq-vae-7` this is a likelihood with $2\sigma^2 = P = 12\,288$, in other words
# $\beta = 12\,288$. Here is an argument that needs no linear decoder. A decoder that ignores its
# code and answers with the mean image has rate 0 and a reconstruction term of $V / 2\sigma^2$, where $V$ is the total variance of the
# pixels. No optimum can be worse, so its rate is at most $V / 2\sigma^2$, a few hundredths of a nat: *everything* must collapse. We train
# two networks that differ in this one number.

# %% tags=["hide-input"]
spectrum = pca.explained_variance_[:16]
bound = flat_training.var(0).sum() / (2 * 6144)
print(f"with the mean over pixels the rate is at most {bound:.3f} nats")
collapse, spread = {}, {}
for name, variance in (
    ("sum over pixels, σ² = 0.5", 0.5),
    ("mean over pixels, σ² = 6144", 6144.0),
):
    torch.manual_seed(seed)
    network = VAE(latent_dim=16, variance=variance, learning_rate=1e-3)
    train(
        network,
        training,
        settings["collapse_steps"],
        batch_size=settings["batch_size"],
        seed=seed,
        precision="float32",  # 16 bits, where a processor has them, give others
        progress=False,
    )
    with torch.inference_mode():
        mean, logvar = network.encode(test_images)
        per_dimension = information(mean, logvar)
        spread[variance] = network.decode(mean).std(0).max().item()
    linear = float(
        np.maximum(
            0, 0.5 * np.log(np.maximum(spectrum, 1e-12) / variance)
        ).sum()
    )
    collapse[variance] = per_dimension
    print(
        f"{name:<28} rate {per_dimension.score:5.2f} nats"
        f" (a linear VAE: {linear:.2f}); reconstructions differ by"
        f" up to {spread[variance]:.0e} (sd of a pixel)"
    )

# %% mystnb={"figure": {"caption": "The same network, data and number of steps; only the variance of the likelihood differs. At σ² = 6144 all bars are zero.", "name": "fig-vae-collapse"}} tags=["hide-input"]
fig, axes = explore.figure(7, 2.4)
for shift, (variance, result) in zip(
    (-0.2, 0.2), collapse.items(), strict=True
):
    axes.bar(
        np.arange(16) + shift,
        np.sort(result.per_dimension)[::-1],
        width=0.4,
        label=f"σ² = {variance:g}",
    )
axes.set(xlabel="dimension, sorted", ylabel="KL to the prior (nats)")
axes.set_xticks(range(0, 16, 2))
axes.legend()
fig.alt = (
    "Bars of the KL of 16 sorted dimensions for two variances: "
    + "; ".join(
        f"at {variance:g} they sum to {result.score:.2f} nats"
        for variance, result in collapse.items()
    )
)
explore.show(fig)

# %% [markdown]
# With the mean over pixels the network has learnt to ignore its code: it answers every image with one and the same picture. Nothing
# crashes, and the loss falls. A run that "does not work" for this reason is common enough that you should compute the rate of any
# VAE before you look at its pictures. The other network has far fewer nats than the linear VAE would have: so few steps are a beginning.

# %% tags=["hide-input"]
assert collapse[6144.0].score < bound < collapse[0.5].score
publish_metrics(
    "vae",
    {
        "psnr": ours["psnr"],
        "sse": ours["sse"],
        "kl": ours["kl"],
        "psnr_pca": scores["PCA, 16 components"].score,
        "kl_after_collapse_steps": collapse[0.5].score,
        "recorded_phantom_kl": float(nats.sum()),
    },
)

# %% [markdown]
# ## What the papers do not say
#
# - **The scale of the reconstruction.** Sum or mean over pixels, factor one or one half, intensities to 1 or to 255: published code
#   has all of these under the same name. In this course the SSE is summed over channels and pixels, intensities
#   lie in [0, 1], and every term is stated in nats per image.
# - **The variance is a modelling choice.** $\sigma^2$ is often fixed without a word. In a linear model
#   it decides how many dimensions are used {eq}`eq-vae-10`.
# - **Which code is evaluated.** PSNR from the posterior mean is higher than from a sample, since a sample adds noise. Ours
#   uses the mean; the cell below has both.
# - **Samples from the prior are not samples from the data.** The codes of real images do not fill the prior evenly
#   {cite:p}`hoffman2016`. A code drawn from the prior may land where no image ever was, as some pictures of {numref}`fig-vae-samples` show.

# %% tags=["hide-input"]
with torch.inference_mode():
    mean, logvar = studied.encode(test_images)
    torch.manual_seed(seed)
    sampled = studied.decode(losses.reparametrise(mean, logvar))
print(f"from the mean   {scores['recorded VAE'].score:.2f} dB")
print(f"from a sample   {psnr(test_images, sampled).score:.2f} dB")

# %% [markdown]
# ## Quiz

# %% tags=["quiz", "hide-input"]
from jupyterquiz import display_quiz

display_quiz(
    [
        {
            "question": "The gap between log p(x) and the ELBO is a KL divergence. From where to where?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "from q(z|x) to the posterior p(z|x)",
                    "correct": True,
                    "feedback": "Yes: the bound is tight exactly when the guess is the true posterior.",
                },
                {
                    "answer": "from q(z|x) to the prior p(z)",
                    "correct": False,
                    "feedback": "That one stands inside the ELBO, as its rate.",
                },
                {
                    "answer": "from the posterior p(z|x) to q(z|x)",
                    "correct": False,
                    "feedback": "The other way round: the expectation is taken over q, from which we can draw.",
                },
            ],
        },
        {
            "question": "A code has two dimensions with mean (1, 0) and variance (1, 1). How large is its KL to N(0, I), in nats?",
            "type": "numeric",
            "precision": 2,
            "answers": [
                {
                    "type": "value",
                    "value": 0.5,
                    "correct": True,
                    "feedback": "Yes: ½(1² + 1 − 0 − 1) + 0 = 0.5.",
                },
                {
                    "type": "default",
                    "feedback": "Each dimension gives ½(μ² + σ² − log σ² − 1); add the two.",
                },
            ],
        },
        {
            "question": "Why is z drawn as μ + σε, and not directly from N(μ, σ²)?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "The two have different distributions.",
                    "correct": False,
                    "feedback": "They have the same distribution; that is why it is allowed.",
                },
                {
                    "answer": "So that z is a differentiable function of μ and σ.",
                    "correct": True,
                    "feedback": "Yes: the randomness comes from ε, which does not depend on the encoder.",
                },
                {
                    "answer": "It draws fewer random numbers.",
                    "correct": False,
                    "feedback": "It draws just as many.",
                },
            ],
        },
        {
            "question": "A program uses SSE with β = 4, another one SSE / (2σ²) with β = 1. For which σ² do they train the same model?",
            "type": "numeric",
            "precision": 2,
            "answers": [
                {
                    "type": "value",
                    "value": 2,
                    "correct": True,
                    "feedback": "Yes: β = 2σ², so σ² = 2.",
                },
                {
                    "type": "default",
                    "feedback": "Multiply the second objective by 2σ² and compare.",
                },
            ],
        },
        {
            "question": "A VAE's loss falls, all its reconstructions look alike, and its KL is 0.001 nats. What do you check first?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "Whether the reconstruction is averaged over pixels while the KL is summed.",
                    "correct": True,
                    "feedback": "Yes. It amounts to a beta of thousands.",
                },
                {
                    "answer": "Whether the latent dimension is too small.",
                    "correct": False,
                    "feedback": "A small code would be used to the full, not left empty.",
                },
                {
                    "answer": "Whether the learning rate is too low.",
                    "correct": False,
                    "feedback": "The loss falls, so it learns; it has learnt to do without the code.",
                },
            ],
        },
        {
            "question": "The likelihood has σ² = 1. The data vary along three directions with variance 5, 1.5 and 0.3. "
            "How many dimensions does a linear VAE use?",
            "type": "numeric",
            "precision": 1,
            "answers": [
                {
                    "type": "value",
                    "value": 2,
                    "correct": True,
                    "feedback": "Yes: those with an eigenvalue above σ².",
                },
                {
                    "type": "default",
                    "feedback": "Compare each variance with σ².",
                },
            ],
        },
    ]
)

# %% [markdown]
# ## Limits, summary, further reading
#
# **Limits.** The phantoms' factors are nearly independent, and their skin and hair are simpler than real ones. HAM10000
# contains hardly any dark skin, so nothing here is known to hold for it. The network of the `ci` profile is trained for
# about a minute. Nothing here is fit for diagnosis.
#
# **Summary.**
# - A KL divergence {eq}`eq-vae-2` averages the logarithm of a ratio of probabilities. It is never negative, not symmetric, and counted in nats.
# - The ELBO {eq}`eq-vae-5` is a lower bound on the evidence, short of it by the KL from guess to posterior {eq}`eq-vae-4`.
# - Its reconstruction term is a choice of distribution {eq}`eq-vae-7`, {eq}`eq-vae-8`; its rate has a closed form {eq}`eq-vae-3`.
# - $\beta$, the variance of the likelihood and the reduction over pixels are one and the same knob {eq}`eq-vae-9`, for a Gaussian likelihood.
# - A direction that varies less than the likelihood's noise collapses {eq}`eq-vae-10`.
# - A trained VAE keeps the coarse factors and loses the fine ones, and most of its axes mix factors.
#
# **Exercises.** {ref}`vae-exercises`: each checks your answer and says what is wrong with it.
#
# **Further reading.** Kingma and Welling's tutorial paper {cite:p}`kingma2019`; the anatomy of the ELBO by Hoffman and Johnson
# {cite:p}`hoffman2016`; Lucas et al. on collapse {cite:p}`lucas2019`.
#
# **The functions of this chapter** in the API reference: {py:func}`medlatent.losses.reparametrise` {eq}`eq-vae-6`,
# {py:func}`medlatent.losses.kl_to_standard_normal` {eq}`eq-vae-3`, {py:func}`medlatent.losses.gaussian_nll` {eq}`eq-vae-7`,
# {py:func}`medlatent.losses.bernoulli_nll` {eq}`eq-vae-8`, {py:func}`medlatent.losses.beta_vae_objective` {eq}`eq-vae-9`,
# {py:class}`medlatent.models.VAE`, {py:class}`medlatent.models.BetaVAE`, {py:func}`medlatent.training.train`.
