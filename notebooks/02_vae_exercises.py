# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# (vae-exercises)=
# # Exercises: the variational autoencoder
#
# Six exercises on the chapter {ref}`vae`, 15 points, about an hour and a half. Each asks you to replace
# `raise NotImplementedError` by lines of your own; the cell after it checks your answer, and says in a sentence what is wrong
# with it or what follows from it. Run the notebook from the top. A check may be run as often as you like.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "vae-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch

from medlatent import explore, losses
from medlatent.course import choose
from medlatent.course.exercises import vae as check
from medlatent.data import open_images
from medlatent.metrics import psnr
from medlatent.records import find_record

settings = choose(
    {
        "ci": {"steps": 1_000, "images": 1_000},
        "laptop": {"steps": 3_000, "images": 5_000},
        "paper": {"steps": 10_000, "images": 10_000},
    },
    profile,
)
_ = torch.manual_seed(seed)

# %% [markdown] objectives=[1]
# (exercise-vae-1)=
# ## Exercise 1: The KL between two Gaussians
#
# *Derive and implement, 20 minutes, 3 points.* The chapter derives the KL to the standard normal, {eq}`eq-vae-3`. Some models need
# the KL to a prior that has a mean and a variance of its own. Take
#
# $$ q = \mathcal{N}(\mu_q, \mathrm{diag}\,\sigma_q^2), \qquad p = \mathcal{N}(\mu_p, \mathrm{diag}\,\sigma_p^2) $$
#
# and derive $\mathrm{KL}(q \,\|\, p)$ on paper, in the same two steps: write both logarithms, then take expectations under $q$. You will need
# $\mathbb{E}_q[(z - \mu_p)^2] = \sigma_q^2 + (\mu_q - \mu_p)^2$. Then write the function with PyTorch's own operations, so that
# a gradient can flow through it.


# %% nbgrader={"grade": false, "grade_id": "vae-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def kl_between(mean_q, logvar_q, mean_p, logvar_p):
    """KL(q ‖ p) of diagonal Gaussians, in nats.

    All four arguments have the shape (B, D). Returns one value a code, (B,).
    """
    ### BEGIN SOLUTION
    squared = logvar_q.exp() + (mean_q - mean_p).square()
    terms = logvar_p - logvar_q + squared / logvar_p.exp() - 1
    return 0.5 * terms.sum(1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "vae-1-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.kl_between(kl_between)
### BEGIN HIDDEN TESTS
check.kl_between(kl_between, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="sign"
# The sign of the difference of the log-variances is turned round.
def kl_between(mean_q, logvar_q, mean_p, logvar_p):
    squared = logvar_q.exp() + (mean_q - mean_p).square()
    terms = logvar_q - logvar_p + squared / logvar_p.exp() - 1
    return 0.5 * terms.sum(1)


# %% tags=["wrong-answer"] says="sum over the dimensions"
# The sum over dimensions is missing, so that one code has many values.
def kl_between(mean_q, logvar_q, mean_p, logvar_p):
    squared = logvar_q.exp() + (mean_q - mean_p).square()
    return 0.5 * (logvar_p - logvar_q + squared / logvar_p.exp() - 1)


# %% tags=["wrong-answer"] says="KL(p ‖ q)"
# The expectation is taken under p, which gives the KL in the other direction.
def kl_between(mean_q, logvar_q, mean_p, logvar_p):
    squared = logvar_p.exp() + (mean_q - mean_p).square()
    terms = logvar_q - logvar_p + squared / logvar_q.exp() - 1
    return 0.5 * terms.sum(1)


# %% tags=["wrong-answer"] says="the variance stands in the place of σ"
# The distributions of PyTorch are given the variances as standard deviations.
def kl_between(mean_q, logvar_q, mean_p, logvar_p):
    q = torch.distributions.Normal(mean_q, logvar_q.exp())
    p = torch.distributions.Normal(mean_p, logvar_p.exp())
    return torch.distributions.kl_divergence(q, p).sum(1)


# %% tags=["wrong-answer"] says="σ is taken for the log-variance"
# The standard deviations are put into a formula for log-variances.
def kl_between(mean_q, logvar_q, mean_p, logvar_p):
    q, p = (0.5 * logvar_q).exp(), (0.5 * logvar_p).exp()
    squared = q.exp() + (mean_q - mean_p).square()
    return 0.5 * (p - q + squared / p.exp() - 1).sum(1)


# %% tags=["wrong-answer"] says="no gradient"
# The result is computed outside the graph, so the encoder would never learn from it.
def kl_between(mean_q, logvar_q, mean_p, logvar_p):
    with torch.no_grad():
        squared = logvar_q.exp() + (mean_q - mean_p).square()
        terms = logvar_p - logvar_q + squared / logvar_p.exp() - 1
        return 0.5 * terms.sum(1)


# %% tags=["wrong-answer"] says="the gradient with respect to logvar_q is not"
# One of the two terms with the encoder's log-variance is detached.
def kl_between(mean_q, logvar_q, mean_p, logvar_p):
    squared = logvar_q.detach().exp() + (mean_q - mean_p).square()
    terms = logvar_p - logvar_q + squared / logvar_p.exp() - 1
    return 0.5 * terms.sum(1)


# %% [markdown] objectives=[2]
# (exercise-vae-2)=
# ## Exercise 2: A tighter bound
#
# *Implement, then look, 20 minutes, 3 points.* Draw $S$ codes from $q(z \mid x)$ and call
# $w_s = p(x \mid z_s)\, p(z_s) / q(z_s \mid x)$ their weights. The ELBO is the expectation of $\log w$, so the mean of the
# $\log w_s$ estimates it without bias, whatever $S$ is. Taking the mean *inside* the logarithm gives the importance-weighted bound
# of Burda et al. {cite:p}`burda2016`:
#
# $$
# \hat{\mathcal L}_S = \frac1S \sum_{s=1}^{S} \log w_s, \qquad
# \hat{\mathcal L}^{\mathrm{IW}}_S = \log \frac1S \sum_{s=1}^{S} w_s .
# $$
#
# Write both. The weights of an image are as small as $e^{-5000}$, which no float holds, so you are given their logarithms.


# %% nbgrader={"grade": false, "grade_id": "vae-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def elbo(log_weights):
    """The mean of the logarithms: (R, S) to (R,)."""
    ### BEGIN SOLUTION
    return log_weights.mean(1)
    ### END SOLUTION


def importance_bound(log_weights):
    """The logarithm of the mean: (R, S) to (R,)."""
    ### BEGIN SOLUTION
    return torch.logsumexp(log_weights, 1) - math.log(log_weights.shape[1])
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "vae-2-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.bounds(elbo, importance_bound)
### BEGIN HIDDEN TESTS
check.bounds(elbo, importance_bound, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="number of samples is missing"
# The sum is not divided by S: the bound then grows by log S, above the evidence itself.
def elbo(log_weights):
    return log_weights.mean(1)


def importance_bound(log_weights):
    return torch.logsumexp(log_weights, 1)


# %% tags=["wrong-answer"] says="infinite"
# The weights are exponentiated before they are averaged, and underflow to zero.
def elbo(log_weights):
    return log_weights.mean(1)


def importance_bound(log_weights):
    return log_weights.double().exp().mean(1).log()


# %% tags=["wrong-answer"] says="mean of the logarithms"
# Both functions take the logarithm of the mean.
def elbo(log_weights):
    return torch.logsumexp(log_weights, 1) - math.log(log_weights.shape[1])


def importance_bound(log_weights):
    return torch.logsumexp(log_weights, 1) - math.log(log_weights.shape[1])


# %% tags=["wrong-answer"] says="the maximum of each row"
# One maximum serves all rows, so that those of smaller weights underflow.
def importance_bound(log_weights):
    most = log_weights.max()
    return (log_weights - most).exp().mean(1).log() + most


def elbo(log_weights):
    return log_weights.mean(1)


# %% tags=["wrong-answer"] says="look for a constant term"
# The number of rows is taken for the number of samples.
def importance_bound(log_weights):
    return torch.logsumexp(log_weights, 1) - math.log(len(log_weights))


# %% [markdown]
# The small model of the chapter has one latent dimension, and its evidence is known. With a guess that is too wide, the next cell draws both
# estimates 4 000 times for each $S$ and prints their means with the standard error.

# %% nbgrader={"grade": false, "grade_id": "vae-2-look", "locked": true, "schema_version": 3, "solution": false, "task": false}
w, sigma, x = torch.tensor([2.0, 1.0]), 0.5, torch.tensor([1.2, 0.1])
guess = torch.distributions.Normal(0.4, 0.8)
covariance = torch.outer(w, w) + sigma**2 * torch.eye(2)
evidence = torch.distributions.MultivariateNormal(torch.zeros(2), covariance)
print(f"log p(x) = {evidence.log_prob(x):.3f}")
for samples in (1, 4, 16, 64):
    z = guess.sample((4_000, samples))
    pixels = torch.distributions.Normal(z[..., None] * w, sigma)
    prior = torch.distributions.Normal(0.0, 1.0)
    log_w = pixels.log_prob(x).sum(-1) + prior.log_prob(z) - guess.log_prob(z)
    row = f"S = {samples:<3}"
    for name, bound in (("ELBO", elbo), ("importance", importance_bound)):
        value = bound(log_w)
        error = value.std() / math.sqrt(len(value))
        row += f"   {name} {value.mean():7.3f} ± {error:.3f}"
    print(row)

# %% [markdown]
# Which statement do the two columns support?
#
# - **a** With more samples the ELBO rises towards $\log p(x)$.
# - **b** With more samples the importance-weighted bound rises towards $\log p(x)$; the ELBO stays and only gets less noisy.
# - **c** With more samples both rise.
# - **d** Neither depends on the number of samples but through noise.

# %% nbgrader={"grade": false, "grade_id": "vae-2-choice", "locked": false, "schema_version": 3, "solution": true, "task": false}
more_samples = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
more_samples = "b"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "vae-2-choice-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.more_samples(more_samples)

# %% tags=["wrong-answer"] says="unbiased"
# The ELBO is taken for a bound that more samples tighten; its estimate is unbiased for any S.
more_samples = "a"

# %% [markdown] objectives=[3]
# (exercise-vae-3)=
# ## Exercise 3: A draw with a gradient
#
# *Implement, 10 minutes, 2 points.* Write the reparametrised draw {eq}`eq-vae-6`. The noise is given to you, so that the check can
# compare your codes and their gradients with the right ones.


# %% nbgrader={"grade": false, "grade_id": "vae-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def draw(mean, logvar, noise):
    """z ~ N(mean, exp(logvar)), all (B, D), made from standard normal noise."""
    ### BEGIN SOLUTION
    return mean + torch.exp(0.5 * logvar) * noise
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "vae-3-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.draw(draw)
### BEGIN HIDDEN TESTS
check.draw(draw, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="variance"
# The noise is scaled by the variance instead of the standard deviation.
def draw(mean, logvar, noise):
    return mean + torch.exp(logvar) * noise


# %% tags=["wrong-answer"] says="no gradient"
# The standard deviation is detached, so nothing teaches the encoder how sure it may be.
def draw(mean, logvar, noise):
    return mean + torch.exp(0.5 * logvar).detach() * noise


# %% tags=["wrong-answer"] says="changes noise, which it was given"
# The noise itself is scaled and shifted.
def draw(mean, logvar, noise):
    noise *= (logvar / 2).exp()
    noise += mean
    return noise


# %% tags=["wrong-answer"] says="not the root of logvar"
# The root is taken of the logarithm.
def draw(mean, logvar, noise):
    return mean + logvar.sqrt() * noise


# %% tags=["wrong-answer"] says="the noise is missing"
# The noise is not used.
def draw(mean, logvar, noise):
    return mean + torch.exp(0.5 * logvar)


# %% tags=["wrong-answer"] says="the noise is subtracted"
# The noise is subtracted: the distribution is the same, the codes are not.
def draw(mean, logvar, noise):
    return mean - torch.exp(0.5 * logvar) * noise


# %% [markdown] objectives=[5]
# (exercise-vae-4)=
# ## Exercise 4: What does their beta mean?
#
# *Reason, then write one line, 15 minutes, 2 points.* A program minimises
#
# $$ \text{(sum or mean over pixels) of the squared error} \;+\; \text{weight} \cdot \text{(sum or mean over dimensions) of the KL} . $$
#
# For some $\beta$ it trains the same model as the objective of this course, $\text{SSE} + \beta \sum_j \mathrm{KL}_j$
# (equation {eq}`eq-vae-9` with $\sigma^2 = \tfrac12$). Write the function that finds this $\beta$.


# %% nbgrader={"grade": false, "grade_id": "vae-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def beta_on_sse(reconstruction, kl, weight, pixels, dimensions):
    """The beta of SSE + beta · KL that trains the same model.

    reconstruction and kl are "sum" or "mean": how the program reduces the
    squared error over pixels, and the KL over dimensions.
    """
    ### BEGIN SOLUTION
    beta = weight
    if reconstruction == "mean":
        beta = beta * pixels
    if kl == "mean":
        beta = beta / dimensions
    return beta
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "vae-4-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.beta_on_sse(beta_on_sse)


# %% tags=["wrong-answer"] says="upside down"
# The ratio is upside down: a mean over pixels makes the KL count more, not less.
def beta_on_sse(reconstruction, kl, weight, pixels, dimensions):
    beta = weight
    if reconstruction == "mean":
        beta = beta / pixels
    if kl == "mean":
        beta = beta * dimensions
    return beta


# %% tags=["wrong-answer"] says="mean over dimensions"
# The mean over the dimensions of the code is overlooked.
def beta_on_sse(reconstruction, kl, weight, pixels, dimensions):
    return weight * (pixels if reconstruction == "mean" else 1)


# %% tags=["wrong-answer"] says="makes the KL smaller"
# Both means are taken to make the KL weigh more.
def beta_on_sse(reconstruction, kl, weight, pixels, dimensions):
    weight = weight * (pixels if reconstruction == "mean" else 1)
    return weight * (dimensions if kl == "mean" else 1)


# %% [markdown] objectives=[5]
# (exercise-vae-5)=
# ## Exercise 5: Who survives?
#
# *Predict, then run, 15 minutes, 2 points.* Write {eq}`eq-vae-10`, the nats that each direction of the data gets in the best linear VAE.


# %% nbgrader={"grade": false, "grade_id": "vae-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nats_of_linear_vae(eigenvalues, variance):
    """The rate of each direction in nats, (D,), for a likelihood of this variance."""
    ### BEGIN SOLUTION
    return 0.5 * torch.log(eigenvalues / variance).clamp(min=0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "vae-5-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.nats_of_linear_vae(nats_of_linear_vae)
### BEGIN HIDDEN TESTS
check.nats_of_linear_vae(nats_of_linear_vae, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="0 nats"
# Directions below the noise get a negative number of nats.
def nats_of_linear_vae(eigenvalues, variance):
    return 0.5 * torch.log(eigenvalues / variance)


# %% tags=["wrong-answer"] says="not with its square"
# The variance is taken for σ and squared, behind a condition that is right.
def nats_of_linear_vae(eigenvalues, variance):
    nats = 0.5 * torch.log(eigenvalues / variance**2)
    return torch.where(eigenvalues > variance, nats, 0.0)


# %% tags=["wrong-answer"] says="σ stands in the place of the variance"
# The root of the variance is compared with the eigenvalues.
def nats_of_linear_vae(eigenvalues, variance):
    return 0.5 * torch.log(eigenvalues / variance**0.5).clamp(min=0)


# %% tags=["wrong-answer"] says="have to be in a tensor"
# A list is returned.
def nats_of_linear_vae(eigenvalues, variance):
    return [
        max(0.0, 0.5 * math.log(value / variance))
        for value in eigenvalues.tolist()
    ]


# %% tags=["wrong-answer"] says="½"
# The factor one half is missing, as if the eigenvalues were standard deviations.
def nats_of_linear_vae(eigenvalues, variance):
    return torch.log(eigenvalues / variance).clamp(min=0)


# %% tags=["wrong-answer"] says="2σ² stands where σ² belongs"
# The denominator of the loss is taken for the variance.
def nats_of_linear_vae(eigenvalues, variance):
    return 0.5 * torch.log(eigenvalues / (2 * variance)).clamp(min=0)


# %% [markdown]
# The chapter's linear VAE had the eigenvalues 8, 4, 2, 0.8, 0.4 and 0.2, and a likelihood with $\sigma^2 = 1$. Now the likelihood has
# $\sigma^2 = 0.5$. **Before you run the training below**: how many dimensions will survive?

# %% nbgrader={"grade": false, "grade_id": "vae-5-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
surviving = ...  # a whole number
### BEGIN SOLUTION
surviving = 4
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "vae-5-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(seed)
eigenvalues = torch.tensor([8.0, 4.0, 2.0, 0.8, 0.4, 0.2])
rotation = torch.linalg.qr(torch.randn(6, 6)).Q
data = (torch.randn(2_048, 6) * eigenvalues.sqrt()) @ rotation.T
encode, decode = torch.nn.Linear(6, 6), torch.nn.Linear(6, 6)
log_variance = torch.nn.Parameter(torch.zeros(6))
optimiser = torch.optim.Adam(
    [*encode.parameters(), *decode.parameters(), log_variance], lr=0.02
)
for _ in range(settings["steps"]):
    mean, logvar = encode(data), log_variance.expand(len(data), -1)
    rebuilt = decode(losses.reparametrise(mean, logvar))
    sse = (rebuilt - data).square().sum(1)
    kl = losses.kl_to_standard_normal(mean, logvar)
    optimiser.zero_grad()
    (sse / (2 * 0.5) + kl.sum(1)).mean().backward()
    optimiser.step()
trained = kl.mean(0).detach().sort(descending=True).values
print("nats of each dimension", [f"{v:.2f}" for v in trained.tolist()])

# %% nbgrader={"grade": true, "grade_id": "vae-5-predict-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.surviving_dimensions(surviving, trained)

# %% tags=["wrong-answer"] says="without quotation marks"
# The number is given as a text.
surviving = "4"

# %% tags=["wrong-answer"] says="not here"
# The chapter's own answer, three, belongs to a likelihood with variance 1.
surviving = 3

# %% [markdown] objectives=[4]
# (exercise-vae-6)=
# ## Exercise 6: Silence a dimension
#
# *Change this and explain what you see, 15 minutes, 3 points.* The recorded phantom model of the chapter uses about twelve of its dimensions. What
# is lost if one of them falls silent? Write a function that sets one dimension of every code to 0, the mean of the
# prior.


# %% nbgrader={"grade": false, "grade_id": "vae-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def silence(mean, dimension):
    """A copy of the codes (B, D) with one dimension at the prior's mean."""
    ### BEGIN SOLUTION
    silenced = mean.clone()
    silenced[:, dimension] = 0
    return silenced
    ### END SOLUTION


# %% nbgrader={"grade": false, "grade_id": "vae-6-model", "locked": true, "schema_version": 3, "solution": false, "task": false}
model = find_record("vae", "phantoms_vae").load_model()
phantoms = open_images("phantoms.lesion", settings["images"], seed=seed + 1)
test = phantoms.split("test")
images = test.batch(range(min(len(test), 96)))
with torch.inference_mode():
    codes, _ = model.encode(images)

# %% nbgrader={"grade": true, "grade_id": "vae-6-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.silence(silence, model, images)


# %% tags=["wrong-answer"] says="row"
# A row is silenced, that is one image, instead of a column.
def silence(mean, dimension):
    silenced = mean.clone()
    silenced[dimension] = 0
    return silenced


# %% tags=["wrong-answer"] says="copy"
# The codes that came in are changed, so that the next call starts from damaged ones.
def silence(mean, dimension):
    mean[:, dimension] = 0
    return mean


# %% [markdown]
# Now use it: the next cell prints the PSNR with each dimension silenced in turn, and draws what one of them did. Which dimension is missed most? Put its
# number into `most_missed`, and run the cell again to see it.

# %% nbgrader={"grade": false, "grade_id": "vae-6-missed", "locked": false, "schema_version": 3, "solution": true, "task": false}
with torch.inference_mode():
    for j in range(model.latent_dim):
        score = psnr(images, model.decode(silence(codes, j))).score
        print(f"without z{j:<2} {score:.2f} dB")
most_missed = ...  # a dimension
### BEGIN SOLUTION
with torch.inference_mode():
    scores = [
        psnr(images, model.decode(silence(codes, j))).score
        for j in range(model.latent_dim)
    ]
most_missed = scores.index(min(scores))
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "vae-6-missed-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.most_missed(most_missed, model, images)

# %% tags=["wrong-answer"] says="missed least"
# The dimension with the highest PSNR is taken: the one whose loss is not noticed.
with torch.inference_mode():
    most_missed = max(
        range(model.latent_dim),
        key=lambda j: psnr(images, model.decode(silence(codes, j))).score,
    )

# %%
explore.show(explore.traversal(model, dimensions=[int(most_missed)]))

# %% [markdown]
# In two sentences: what does this dimension do to the picture, and why does squared error miss it more than the others?

# %% [markdown] nbgrader={"grade": true, "grade_id": "vae-6-explain", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# It changes what many pixels have in common, above all the brightness of the whole picture. Squared error is a sum over pixels, so what
# moves all of them a little costs more than what moves a few of them a lot.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# - 0.5: says what is seen in the traversal: something that many pixels share, such as the brightness of the whole picture
# - 0.5: says that squared error is a sum over pixels, so that a small change of all costs more than a large change of a few
# - 0: "it is the most important dimension", without saying for which measure
