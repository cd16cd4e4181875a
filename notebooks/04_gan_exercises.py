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
# (gan-exercises)=
# # Exercises: generative adversarial networks
#
# Six exercises on the chapter {ref}`gan`, 16 points, about an hour and a half. Each asks you to replace
# `raise NotImplementedError` or `...` by an answer of your own; the cell after it checks your answer, and says in a sentence what is wrong
# with it or what follows from it. Run the notebook from the top. A check may be run as often as you like.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "gan-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch

from medlatent import losses
from medlatent.course import choose
from medlatent.course.exercises import gan as check
from medlatent.models import GAN, invert

settings = choose(
    {
        "ci": {"starts": 6, "steps": 400},
        "laptop": {"starts": 16, "steps": 1_000},
        "paper": {"starts": 64, "steps": 4_000},
    },
    profile,
)
_ = torch.manual_seed(seed)

# %% [markdown] objectives=[2]
# (exercise-gan-1)=
# ## Exercise 1: Who learns?
#
# *Predict, run and explain, 10 minutes, 2 points.* An image has been found out: the discriminator's output is $-6$. What is the slope of each
# generator's loss with
# respect to this output: a) nearly 0, b) nearly $-1$, c) $-7$? Answer for the minimax loss, the non-saturating loss, and least squares with the
# target 1, in this
# order, from {eq}`eq-gan-4` and {eq}`eq-gan-5` alone.

# %% nbgrader={"grade": false, "grade_id": "gan-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
answers = ...  # three letters, as in ("a", "a", "a")
### BEGIN SOLUTION
answers = ("a", "b", "c")
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "gan-1-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
output = torch.tensor(-6.0, requires_grad=True)
slopes = {
    "minimax": losses.saturating_deception_loss,
    "non-saturating": losses.deception_loss,
    "least squares": losses.least_squares_deception_loss,
}
slopes = {
    name: torch.autograd.grad(loss(output), output)[0]
    for name, loss in slopes.items()
}
check.who_learns(answers, slopes)

# %% tags=["wrong-answer"] says="the loss teaches nothing"
# Minimax and non-saturating loss are exchanged: the minimax loss is believed to teach most where D is sure.
answers = ("b", "a", "c")

# %% tags=["wrong-answer"] says="distance from the target"
# The slope of the square is believed to be bounded as the others are.
answers = ("a", "b", "b")

# %% [markdown]
# Now explain in two sentences: why does a training with the minimax loss get stuck at its beginning, if the discriminator learns quickly?

# %% [markdown] nbgrader={"grade": true, "grade_id": "gan-1-why", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# At the beginning all generated images are easily found out, so that D is close to 0 for each of them. The slope of log(1 - D) is then -D, close
# to 0, and the
# generator is not told how to change.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# - 0.5: says that a quick discriminator is sure of every generated image, so that D is close to 0
# - 0.5: says that the slope of log(1 − D) is then close to 0, so that the generator is not told how to change
# - 0: "the discriminator is too strong", without the slope

# %% [markdown] objectives=[1, 2]
# (exercise-gan-2)=
# ## Exercise 2: The best discriminator, smoothed
#
# *Derive and implement, 15 minutes, 3 points.* With one-sided smoothing $s$ the best discriminator is that of {eq}`eq-gan-7`. Find its *logit*. Watch
# out: $1 - D^\star$ is not
# simply $q / (p + q)$ any more. Then implement it from the logarithms of the densities, which may be as small as $e^{-800}$;
# $s$ may be 0.


# %% nbgrader={"grade": false, "grade_id": "gan-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def best_logit(log_p, log_q, s):
    """The logit of D* at points with these log-densities, (N,) each."""
    ### BEGIN SOLUTION
    if s == 0:
        return log_p - log_q
    return math.log(1 - s) + log_p - torch.logaddexp(log_q, math.log(s) + log_p)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "gan-2-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.best_logit(best_logit)
### BEGIN HIDDEN TESTS
check.best_logit(best_logit, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="smoothing is missing"
# The smoothing is forgotten.
def best_logit(log_p, log_q, s):
    return log_p - log_q


# %% tags=["wrong-answer"] says="1 - D* is not q/(p + q)"
# The logit is taken as log (1 - s)p - log q, as if 1 - D* were still q/(p + q).
def best_logit(log_p, log_q, s):
    return math.log(1 - s) + log_p - log_q


# %% tags=["wrong-answer"] says="p and q are exchanged"
# The discriminator gives the probability that an image is generated.
def best_logit(log_p, log_q, s):
    p, q = log_p.exp(), log_q.exp()
    return torch.logit((1 - s) * q / (p + q))


# %% tags=["wrong-answer"] says="a probability"
# D* itself is returned.
def best_logit(log_p, log_q, s):
    p, q = log_p.exp(), log_q.exp()
    return (1 - s) * p / (p + q)


# %% tags=["wrong-answer"] says="smoothed too"
# Both labels are smoothed.
def best_logit(log_p, log_q, s):
    p, q = log_p.exp(), log_q.exp()
    return torch.logit(((1 - s) * p + s * q) / (p + q))


# %% tags=["wrong-answer"] says="torch.logaddexp"
# The densities are formed before their ratio is taken, and underflow.
def best_logit(log_p, log_q, s):
    p, q = log_p.exp(), log_q.exp()
    return ((1 - s) * p).log() - (q + s * p).log()


# %% tags=["wrong-answer"] says="needs a case of its own"
# Without smoothing the logarithm of zero is taken.
def best_logit(log_p, log_q, s):
    smoothed = torch.logaddexp(log_q, math.log(s) + log_p)
    return math.log(1 - s) + log_p - smoothed


# %% [markdown] objectives=[1, 3]
# (exercise-gan-3)=
# ## Exercise 3: The divergence by quadrature
#
# *Implement and predict, 15 minutes, 3 points.* Two densities are given as tables on a grid whose cells have the same width. Implement the
# {term}`Jensen–Shannon divergence`
# of {eq}`eq-gan-3`. Either table may hold zeros.


# %% nbgrader={"grade": false, "grade_id": "gan-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def divergence(p, q, width):
    """JSD(p, q) in nats; p and q are (N,), width is that of a cell."""
    ### BEGIN SOLUTION
    m = (p + q) / 2
    terms = torch.xlogy(p, p) + torch.xlogy(q, q) - 2 * torch.xlogy(m, m)
    return 0.5 * width * terms.sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "gan-3-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.divergence(divergence)
### BEGIN HIDDEN TESTS
check.divergence(divergence, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="factor ½"
# The two divergences are summed and not averaged.
def divergence(p, q, width):
    m = (p + q) / 2
    return width * (torch.xlogy(p, p / m) + torch.xlogy(q, q / m)).sum()


# %% tags=["wrong-answer"] says="compared with their mean"
# The Kullback-Leibler divergence is computed.
def divergence(p, q, width):
    return width * (p * (p / q).log()).nansum()


# %% tags=["wrong-answer"] says="the width of the grid"
# The sum is taken for the integral.
def divergence(p, q, width):
    m = (p + q) / 2
    return 0.5 * (torch.xlogy(p, p / m) + torch.xlogy(q, q / m)).sum()


# %% tags=["wrong-answer"] says="without the half"
# The sum of the densities is taken for their mean.
def divergence(p, q, width):
    m = p + q
    terms = torch.xlogy(p, p) + torch.xlogy(q, q)
    return 0.5 * width * (terms - torch.xlogy(m, m)).sum()


# %% tags=["wrong-answer"] says="0 log 0"
# A zero density gives NaN.
def divergence(p, q, width):
    m = (p + q) / 2
    return 0.5 * width * (p * (p / m).log() + q * (q / m).log()).sum()


# %% tags=["wrong-answer"] says="the root of the divergence"
# The root is taken, as SciPy's function of this name does.
def divergence(p, q, width):
    m = (p + q) / 2
    terms = torch.xlogy(p, p) + torch.xlogy(q, q) - 2 * torch.xlogy(m, m)
    return (0.5 * width * terms.sum()).sqrt()


# %% tags=["wrong-answer"] says="exchange the two"
# PyTorch's function takes its arguments in the other order.
def divergence(p, q, width):
    m = (p + q) / 2
    kl = torch.nn.functional.kl_div
    one = kl(p.log(), m, reduction="sum")
    return width * (one + kl(q.log(), m, reduction="sum")) / 2


# %% [markdown]
# Now predict. Real and generated images do not overlap at all. What is the loss $-V(D^\star, G)$ of the best discriminator, in nats? Then another generator
# misses half of the images: it makes the others twice as often, $q = 2p$, and $q = 0$ on the half that it misses. Which divergence has it, in nats? Three
# decimals will do.

# %% nbgrader={"grade": false, "grade_id": "gan-3-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
loss_apart = ...  # nats
half_missed = ...  # the divergence, nats
### BEGIN SOLUTION
loss_apart = 0.0
half_missed = 0.75 * math.log(4 / 3)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "gan-3-predict-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.predicted_loss(loss_apart, half_missed)

# %% tags=["wrong-answer"] says="nothing can be told"
# The two extremes are exchanged.
loss_apart = 2 * math.log(2)

# %% tags=["wrong-answer"] says="the divergence itself"
# The divergence is taken for the loss.
loss_apart = math.log(2)

# %% tags=["wrong-answer"] says="KL(q ‖ m) alone"
# Only the generated images are compared with the mean.
half_missed = math.log(4 / 3)

# %% tags=["wrong-answer"] says="averaged, not added"
# The factor ½ before the two divergences is forgotten.
half_missed = 1.5 * math.log(4 / 3)

# %% [markdown] objectives=[2]
# (exercise-gan-4)=
# ## Exercise 4: Least squares
#
# *Implement and compute, 10 minutes, 3 points.* Write both losses of {eq}`eq-gan-5`, as means over the batch.


# %% nbgrader={"grade": false, "grade_id": "gan-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def least_squares(real, fake, a, b, c):
    """The losses of discriminator and generator, two scalars.

    real and fake are the discriminator's outputs, (B,); a and b its targets
    for generated and real images, c the generator's aim.
    """
    ### BEGIN SOLUTION
    of_discriminator = (
        0.5 * (real - b).square().mean() + 0.5 * (fake - a).square().mean()
    )
    return of_discriminator, 0.5 * (fake - c).square().mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "gan-4-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.least_squares(least_squares)
### BEGIN HIDDEN TESTS
check.least_squares(least_squares, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="factor ½"
# The factor ½ of the paper is missing.
def least_squares(real, fake, a, b, c):
    of_discriminator = (real - b).square().mean() + (fake - a).square().mean()
    return of_discriminator, (fake - c).square().mean()


# %% tags=["wrong-answer"] says="targets are exchanged"
# The targets a and b are exchanged.
def least_squares(real, fake, a, b, c):
    of_discriminator = 0.5 * ((real - a).square() + (fake - b).square()).mean()
    return of_discriminator, 0.5 * (fake - c).square().mean()


# %% tags=["wrong-answer"] says="a sigmoid"
# A sigmoid is left in front of the square.
def least_squares(real, fake, a, b, c):
    r, f = real.sigmoid(), fake.sigmoid()
    of_discriminator = 0.5 * ((r - b).square() + (f - a).square()).mean()
    return of_discriminator, 0.5 * (f - c).square().mean()


# %% tags=["wrong-answer"] says="not at b"
# The generator aims at the target of real images whatever c is.
def least_squares(real, fake, a, b, c):
    of_discriminator = 0.5 * ((real - b).square() + (fake - a).square()).mean()
    return of_discriminator, 0.5 * (fake - b).square().mean()


# %% [markdown]
# And by hand: the targets are $a = -1$ and $b = 1$. What does the best discriminator say at a place where real images are three times as dense as
# generated ones, $p = 3q$? And with the usual targets, $a = 0$ and $b = c = 1$: which slope does the generator's loss of an image, $\tfrac12 (D - c)^2$, have
# there with respect to the output, if the discriminator is the best?

# %% nbgrader={"grade": false, "grade_id": "gan-4-hand", "locked": false, "schema_version": 3, "solution": true, "task": false}
output_there = ...  # for the targets -1 and 1
slope_there = ...  # for the targets 0, 1 and 1
### BEGIN SOLUTION
output_there = (3 - 1) / 4
slope_there = 3 / 4 - 1
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "gan-4-hand-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.balanced_output(output_there, slope_there, ratio=3)

# %% tags=["wrong-answer"] says="first game"
# The best D of the first game is given.
output_there = 0.75

# %% tags=["wrong-answer"] says="divide by p + q"
# The weights are not normalised.
output_there = 2.0

# %% tags=["wrong-answer"] says="output_there: the targets are exchanged"
# The target of real images is given to generated ones.
output_there = -0.5

# %% tags=["wrong-answer"] says="the loss falls when it rises"
# The slope is taken to be uphill.
slope_there = 0.25

# %% tags=["wrong-answer"] says="here a is 0"
# The slope is taken with the targets of the question before.
slope_there = -0.5

# %% [markdown] objectives=[4]
# (exercise-gan-5)=
# ## Exercise 5: Which modes are covered?
#
# *Implement, 15 minutes, 2 points.* A point is *close* if its distance to the nearest centre is below the radius. A mode is
# *covered* if the points that are close, and nearest to it, are at least `share` times as many as all points, close or not. Return the
# number of covered modes, and the share of points that are close to some mode.


# %% nbgrader={"grade": false, "grade_id": "gan-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def coverage(points, centres, radius, share):
    """Covered modes and the share of close points.

    points is (N, 2), centres is (K, 2).
    """
    ### BEGIN SOLUTION
    distance, mode = torch.cdist(points, centres).min(1)
    close = distance < radius
    counts = torch.bincount(mode[close], minlength=len(centres))
    covered = (counts >= share * len(points)).sum()
    return covered, close.float().mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "gan-5-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.coverage(coverage)
### BEGIN HIDDEN TESTS
check.coverage(coverage, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="a single point"
# One close point is enough.
def coverage(points, centres, radius, share):
    distance, mode = torch.cdist(points, centres).min(1)
    close = distance < radius
    return len(mode[close].unique()), close.float().mean()


# %% tags=["wrong-answer"] says="far from every mode"
# Each point counts for its nearest mode, however far it is.
def coverage(points, centres, radius, share):
    distance, mode = torch.cdist(points, centres).min(1)
    counts = torch.bincount(mode, minlength=len(centres))
    return (counts >= share * len(points)).sum(), (
        distance < radius
    ).float().mean()


# %% tags=["wrong-answer"] says="that of all points"
# The share is taken of the close points, and not of all.
def coverage(points, centres, radius, share):
    distance, mode = torch.cdist(points, centres).min(1)
    close = distance < radius
    counts = torch.bincount(mode[close], minlength=len(centres))
    return (counts >= share * close.sum()).sum(), close.float().mean()


# %% tags=["wrong-answer"] says="at least is ≥"
# A mode with exactly the given share is left out.
def coverage(points, centres, radius, share):
    distance, mode = torch.cdist(points, centres).min(1)
    close = distance < radius
    counts = torch.bincount(mode[close], minlength=len(centres))
    return (counts > share * len(points)).sum(), close.float().mean()


# %% tags=["wrong-answer"] says="take its root"
# The squared distance is compared with the radius.
def coverage(points, centres, radius, share):
    squared = (points[:, None] - centres).square().sum(2)
    least, mode = squared.min(1)
    close = least < radius
    counts = torch.bincount(mode[close], minlength=len(centres))
    return (counts >= share * len(points)).sum(), close.float().mean()


# %% tags=["wrong-answer"] says="divide by the number"
# Close points are counted, and no share is formed.
def coverage(points, centres, radius, share):
    distance, mode = torch.cdist(points, centres).min(1)
    close = distance < radius
    counts = torch.bincount(mode[close], minlength=len(centres))
    return (counts >= share * len(points)).sum(), close.sum()


# %% tags=["wrong-answer"] says="it counts once, for the nearest"
# A point counts for every mode that is close, not for the nearest alone.
def coverage(points, centres, radius, share):
    near = torch.cdist(points, centres) < radius
    covered = (near.sum(0) >= share * len(points)).sum()
    return covered, near.any(1).float().mean()


# %% [markdown] objectives=[6]
# (exercise-gan-6)=
# ## Exercise 6: Latent search
#
# *Implement, run and conclude, 20 minutes, 3 points.* Descend on the code: `steps` times, subtract `rate` times the gradient of {eq}`eq-gan-13`, with
# $\lambda$ the
# `weight`. The start must stay as it is.


# %% nbgrader={"grade": false, "grade_id": "gan-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def search(decode, image, start, steps, rate, weight):
    """The code after gradient descent, (D,).

    decode makes an image of a code, of the shape of image.
    """
    ### BEGIN SOLUTION
    z = start.clone()
    for _ in range(steps):
        z.requires_grad_()
        error = (image - decode(z)).square().sum()
        objective = error + weight * z.square().sum()
        (slope,) = torch.autograd.grad(objective, z)
        z = (z - rate * slope).detach()
    return z
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "gan-6-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.search(search)
### BEGIN HIDDEN TESTS
check.search(search, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="uphill"
# The gradient is added.
def search(decode, image, start, steps, rate, weight):
    z = start.clone()
    for _ in range(steps):
        z.requires_grad_()
        value = (image - decode(z)).square().sum() + weight * z.square().sum()
        z = (z + rate * torch.autograd.grad(value, z)[0]).detach()
    return z


# %% tags=["wrong-answer"] says="averaged over the pixels"
# The squared error is averaged.
def search(decode, image, start, steps, rate, weight):
    z = start.clone()
    for _ in range(steps):
        z.requires_grad_()
        value = (image - decode(z)).square().mean() + weight * z.square().sum()
        z = (z - rate * torch.autograd.grad(value, z)[0]).detach()
    return z


# %% tags=["wrong-answer"] says="penalty is missing"
# The penalty is left out.
def search(decode, image, start, steps, rate, weight):
    z = start.clone()
    for _ in range(steps):
        z.requires_grad_()
        value = (image - decode(z)).square().sum()
        z = (z - rate * torch.autograd.grad(value, z)[0]).detach()
    return z


# %% tags=["wrong-answer"] says="have to be in a tensor"
# The code is returned as a list.
def search(decode, image, start, steps, rate, weight):
    z = start.clone()
    for _ in range(steps):
        z.requires_grad_()
        value = (image - decode(z)).square().sum() + weight * z.square().sum()
        z = (z - rate * torch.autograd.grad(value, z)[0]).detach()
    return z.tolist()


# %% tags=["wrong-answer"] says="changes start, which it was given"
# The start itself is moved.
def search(decode, image, start, steps, rate, weight):
    for _ in range(steps):
        z = start.clone().requires_grad_()
        value = (image - decode(z)).square().sum() + weight * z.square().sum()
        start -= rate * torch.autograd.grad(value, z)[0]
    return start


# %% [markdown]
# Run the next cell. It searches for one image, from several starts, in a generator whose pictures depend on the *squares* of the code. Which
# conclusion is right?
#
# - a) The search failed: the starts end at different codes.
# - b) The codes found are nearly the same.
# - c) The image is found, and its code is not: several codes make the same picture.
# - d) With more starts the true code would be recognised.


# %% nbgrader={"grade": false, "grade_id": "gan-6-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
class Squares(GAN):
    """A generator that forgets the signs of its code."""

    def decode(self, z):
        return 0.5 + 0.1 * (z.square() @ mixing.T).unflatten(1, (1, 8, 8))


torch.manual_seed(seed)
mixing = torch.randn(64, 2) / 2
squares = Squares(latent_dim=2, channels=1, size=8, width=2)
picture = squares.decode(torch.tensor([[1.2, -0.7]])).clamp(0, 1)
ends = invert(squares, picture, settings["steps"], starts=settings["starts"])
errors, codes = ends.errors[0], ends.ends[0]
print("codes ", [[round(v, 2) for v in code] for code in codes.tolist()])
print("errors", [f"{error:.0e}" for error in errors.tolist()])

# %% nbgrader={"grade": false, "grade_id": "gan-6-conclude", "locked": false, "schema_version": 3, "solution": true, "task": false}
conclusion = ...  # a letter
### BEGIN SOLUTION
conclusion = "c"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "gan-6-conclude-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.trust(conclusion, errors, torch.cdist(codes, codes))

# %% tags=["wrong-answer"] says="the pictures are found"
# Different codes are taken for a failure.
conclusion = "a"

# %% tags=["wrong-answer"] says="never a reason to prefer one"
# More starts are believed to single out the true code.
conclusion = "d"
