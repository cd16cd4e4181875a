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
# (latent-directions-exercises)=
# # Exercises: latent directions
#
# Six exercises on the chapter {ref}`latent-directions`, 16 points, about an hour and a half. Each asks you to replace
# `...` or `raise NotImplementedError` by lines of your own; the cell after it checks your answer, and says in a
# sentence what is wrong with it or what follows from it. Run the notebook from the top. A check may be run as often
# as you like. All logarithms are natural ones.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "latent-directions-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from medlatent.course import choose
from medlatent.course.exercises import latent_directions as check
from medlatent.metrics.directions import reconstructor_accuracy
from medlatent.models import LatentDirections
from medlatent.training import train

settings = choose(
    {
        "ci": {"drawn": 100_000, "steps": 60, "batches": 10},
        "laptop": {"drawn": 1_000_000, "steps": 500, "batches": 50},
        "paper": {"drawn": 1_000_000, "steps": 5_000, "batches": 100},
    },
    profile,
)
_ = torch.manual_seed(seed)

# %% [markdown] objectives=[2]
# (exercise-latent-directions-1)=
# ## Exercise 1: How much is β?
#
# *Derive and implement, 15 minutes, 3 points.* The decoder of {eq}`eq-latent-directions-2` is a Gaussian around the
# decoded image, with one variance $\sigma^2$ for all images and all of their $P$ values. Write $-\log p_\phi(x|z)$,
# the mean over a batch. Find the $\sigma^2$ that makes it smallest, and the nats an image that are left then. The
# program minimises $\log \mathrm{MSE} + \beta\, \mathrm{KL}$ instead. With which weight does the KL, which is in nats
# an image, stand beside a first term that is in nats an image, too? An image has the shape (channels, height, width).


# %% nbgrader={"grade": false, "grade_id": "latent-directions-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def best_variance(decoded, images):
    """The best variance of a batch; both are (B, C, H, W)."""
    ### BEGIN SOLUTION
    return (decoded - images).square().mean()
    ### END SOLUTION


def nats(decoded, images):
    """The mean over a batch of -log p(x|z) with that variance."""
    ### BEGIN SOLUTION
    variance = best_variance(decoded, images)
    return images[0].numel() / 2 * ((2 * math.pi * variance).log() + 1)
    ### END SOLUTION


def kl_weight(shape, beta):
    """What log MSE + beta KL gives the KL in nats an image of a shape."""
    ### BEGIN SOLUTION
    return beta * math.prod(shape) / 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "latent-directions-1-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.likelihood(best_variance, nats, kl_weight)
### BEGIN HIDDEN TESTS
check.likelihood(best_variance, nats, kl_weight, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="the images share one variance"
# Each image gets a variance of its own.
def best_variance(decoded, images):
    return (decoded - images).square().flatten(1).mean(1)


# %% tags=["wrong-answer"] says="log 2π, from the Gaussian's normalisation"
# The normalisation of the Gaussian is forgotten.
def nats(decoded, images):
    mse = (decoded - images).square().mean()
    return images[0].numel() / 2 * (mse.log() + 1)


# %% tags=["wrong-answer"] says="σ² is handed over as σ"
# The normal distribution of PyTorch is given the variance.
def nats(decoded, images):
    gauss = torch.distributions.Normal(decoded, best_variance(decoded, images))
    return -gauss.log_prob(images).flatten(1).sum(1).mean()


# %% tags=["wrong-answer"] says="still counts"
# The term MSE/σ² is believed to vanish where its derivative does.
def nats(decoded, images):
    mse = (decoded - images).square().mean()
    return images[0].numel() / 2 * (2 * math.pi * mse).log()


# %% tags=["wrong-answer"] says="the KL is not divided"
# β is taken for the weight as it stands.
def kl_weight(shape, beta):
    return beta


# %% tags=["wrong-answer"] says="the factor ½"
# The ½ in the exponent of the Gaussian is forgotten.
def kl_weight(shape, beta):
    return beta * math.prod(shape)


# %% tags=["wrong-answer"] says="multiply"
# The weight is converted the wrong way round.
def kl_weight(shape, beta):
    return beta / (math.prod(shape) / 2)


# %% [markdown] objectives=[2]
# (exercise-latent-directions-2)=
# ## Exercise 2: The law of the shift
#
# *Implement and derive, 15 minutes, 2 points.* Draw shifts $\alpha$ as the method does: uniformly from $[-M, M]$; and
# what is smaller in size than $m$ is raised to the size $m$, with the sign that it has. Then derive the mean of
# $|\alpha|$ in closed form, for any $M \ge m \ge 0$. No simulation in the second function.


# %% nbgrader={"grade": false, "grade_id": "latent-directions-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def draw(n, max_shift, min_shift):
    """Shifts α, (n,), as a tensor."""
    ### BEGIN SOLUTION
    alpha = max_shift * (2 * torch.rand(n) - 1)
    return torch.where(alpha < 0, -1, 1) * alpha.abs().clamp(min=min_shift)
    ### END SOLUTION


def mean_size(max_shift, min_shift):
    """E|α|, a number."""
    ### BEGIN SOLUTION
    # ∫ max(u, m) du / M from 0 to M: m · m/M and (M² - m²) / 2M
    return (max_shift**2 + min_shift**2) / (2 * max_shift)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "latent-directions-2-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.shifts(draw, mean_size)
### BEGIN HIDDEN TESTS
check.shifts(draw, mean_size, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="keep its sign"
# A clamp from below raises all negative shifts to ½.
def draw(n, max_shift, min_shift):
    return (max_shift * (2 * torch.rand(n) - 1)).clamp(min=min_shift)


# %% tags=["wrong-answer"] says="have to be in a tensor"
# NumPy draws an array, with which the cell below cannot calculate as with a tensor.
def draw(n, max_shift, min_shift):
    alpha = np.random.uniform(-max_shift, max_shift, n)
    return np.where(alpha < 0, -1, 1) * np.maximum(np.abs(alpha), min_shift)


# %% tags=["wrong-answer"] says="not drawn anew"
# Sizes are drawn from ½ to 6, so that none gathers at ½.
def draw(n, max_shift, min_shift):
    size = min_shift + (max_shift - min_shift) * torch.rand(n)
    return size * torch.where(torch.rand(n) < 0.5, -1, 1)


# %% tags=["wrong-answer"] says="lose their sign"
# Whatever is small becomes +½.
def draw(n, max_shift, min_shift):
    alpha = max_shift * (2 * torch.rand(n) - 1)
    alpha[alpha.abs() < min_shift] = min_shift
    return alpha


# %% tags=["wrong-answer"] says="lifts the mean a little"
# The small shifts are forgotten.
def mean_size(max_shift, min_shift):
    return max_shift / 2


# %% tags=["wrong-answer"] says="small sizes gather"
# The mean of a uniform distribution from ½ to 6 is given.
def mean_size(max_shift, min_shift):
    return (max_shift + min_shift) / 2


# %% [markdown]
# With your functions: the mean error of a reconstructor that has not seen the pair and always says the same. Which
# constant would you say?

# %% nbgrader={"grade": false, "grade_id": "latent-directions-2-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
drawn = draw(settings["drawn"], 6.0, 0.5)
print(f"mean |α| {drawn.abs().mean():.3f}, derived {mean_size(6.0, 0.5):.3f}")
for said in (0.0, 1.0, 3.0):
    print(f"always {said:.0f}: L_s {(drawn - said).abs().mean():.3f}")

# %% [markdown] objectives=[2]
# (exercise-latent-directions-3)=
# ## Exercise 3: Which directions are allowed?
#
# *Implement and explain, 10 minutes, 2 points.* Write both kinds of matrices $A$ whose columns are directions, so that
# gradients reach $W$: the first $K$ columns of $\exp(W - W^\top)$, which are orthonormal for every square $W$; and the
# columns of $W$, $(d, K)$, divided by their lengths.
#
# You want $K = 100$ directions in a latent space of $d = 32$ dimensions. Which kind can give them?
#
# - **a** Both: $\exp(W - W^\top)$ of a 100 × 100 matrix has 100 orthonormal columns, of which 32 rows are kept.
# - **b** Columns of unit length only. They are linearly dependent, and nothing in $A$ forbids two of them to be the same.
# - **c** Neither: a space of 32 dimensions has 32 directions.


# %% nbgrader={"grade": false, "grade_id": "latent-directions-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def orthonormal(W, K):
    """Orthonormal directions (d, K) of any W (d, d)."""
    ### BEGIN SOLUTION
    return torch.linalg.matrix_exp(W - W.T)[:, :K]
    ### END SOLUTION


def unit(W):
    """Directions of unit length (d, K) of any W (d, K)."""
    ### BEGIN SOLUTION
    return W / W.norm(dim=0)
    ### END SOLUTION


many = ...  # "a", "b" or "c"
### BEGIN SOLUTION
many = "b"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "latent-directions-3-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.matrices(orthonormal, unit, many)
### BEGIN HIDDEN TESTS
check.matrices(orthonormal, unit, many, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="the exponential of each entry"
# The exponential is taken entry by entry.
def orthonormal(W, K):
    return (W - W.T).exp()[:, :K]


# %% tags=["wrong-answer"] says="is symmetric, and the result no rotation"
# The exponent is made symmetric instead of skew-symmetric.
def orthonormal(W, K):
    return torch.linalg.matrix_exp(W + W.T)[:, :K]


# %% tags=["wrong-answer"] says="the inverse rotation"
# The exponent is turned round.
def orthonormal(W, K):
    return torch.linalg.matrix_exp(W.T - W)[:, :K]


# %% tags=["wrong-answer"] says="no gradient"
# A is computed outside of PyTorch, and nothing could be learnt.
def orthonormal(W, K):
    from scipy.linalg import expm

    return torch.as_tensor(expm((W - W.T).detach().numpy()))[:, :K]


# %% tags=["wrong-answer"] says="a direction is a column"
# Rows are normalised instead of columns.
def unit(W):
    return W / W.norm(dim=1, keepdim=True)


# %% tags=["wrong-answer"] says="the columns are shorter than 1"
# A rotation that was cut is believed to keep its orthonormal columns.
many = "a"

# %% tags=["wrong-answer"] says="as many as you like"
# Directions are confused with linearly independent ones.
many = "c"

# %% [markdown] objectives=[3]
# (exercise-latent-directions-4)=
# ## Exercise 4: What the reconstructor knows
#
# *Compute by hand and implement, 15 minutes, 3 points.* A reconstructor for three directions has seen four pairs:
#
# | direction $k$ | logits of 1, 2, 3 | shift $\alpha$ | guess $\hat\alpha$ |
# |:-:|:-:|:-:|:-:|
# | 1 | 2.0, 0.5, −1.0 | 4.0 | 3.0 |
# | 3 | −0.3, 0.1, 0.2 | −2.0 | 1.0 |
# | 2 | 1.2, 1.0, 0.0 | −5.5 | −4.5 |
# | 1 | −0.5, −2.0, −1.0 | 0.5 | 0.0 |
#
# What are RCA and $L_s$? And a number from the paper's Table 1: for the GAN, the ResNet and orthonormal directions it has
# $L_s = 0.2538$. The published code logs $\gamma L_s$, with $\gamma = 0.25$. If that is what the table holds, how large is
# $L_s$ itself?

# %% nbgrader={"grade": false, "grade_id": "latent-directions-4-hand", "locked": false, "schema_version": 3, "solution": true, "task": false}
rca = ...  # a share
shift_loss = ...
unweighted = ...  # L_s if the table holds γ L_s
### BEGIN SOLUTION
rca = 3 / 4
shift_loss = (1 + 3 + 1 + 0.5) / 4
unweighted = 0.2538 / 0.25
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "latent-directions-4-hand-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.by_hand((rca, shift_loss, unweighted))

# %% tags=["wrong-answer"] says="how often it is the largest"
# The probabilities of the right directions are averaged.
rca = (0.786 + 0.398 + 0.386 + 0.547) / 4

# %% tags=["wrong-answer"] says="compare logits with each other"
# A negative logit is believed to be a no.
rca = 2 / 4

# %% tags=["wrong-answer"] says="errors of both signs cancel"
# The errors are averaged with their signs.
shift_loss = (1 - 3 - 1 + 0.5) / 4

# %% tags=["wrong-answer"] says="a comma separates numbers"
# The decimal comma makes a pair of two numbers.
rca = 0, 75

# %% tags=["wrong-answer"] says="a wrong sign goes unseen"
# Only the sizes of shift and guess are compared.
shift_loss = (1 + 1 + 1 + 0.5) / 4

# %% tags=["wrong-answer"] says="divide by it"
# The printed number is weighted once more.
unweighted = 0.2538 * 0.25

# %% [markdown]
# On many pairs the answers are counted: `confusion[i, j]` is how often direction $i$ was taken and $j$ was named.
# Return RCA, and the accuracy of somebody who names each direction exactly as often as this reconstructor, but
# without looking at the pairs. That second number is chance. When is it $1/K$?


# %% nbgrader={"grade": false, "grade_id": "latent-directions-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def from_counts(confusion):
    """RCA and chance of an array of counts (K, K)."""
    ### BEGIN SOLUTION
    joint = confusion / confusion.sum()
    return np.trace(joint), joint.sum(1) @ joint.sum(0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "latent-directions-4-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.counts(from_counts)
### BEGIN HIDDEN TESTS
check.counts(from_counts, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="weighs every direction alike"
# The accuracies of the directions are averaged, however often each was taken.
def from_counts(confusion):
    recognised = (np.diag(confusion) / confusion.sum(1)).mean()
    return recognised, 1 / len(confusion)


# %% tags=["wrong-answer"] says="1/K is right only where"
# Chance is believed to be 1/K however the directions are drawn.
def from_counts(confusion):
    return np.trace(confusion) / confusion.sum(), 1 / len(confusion)


# %% tags=["wrong-answer"] says="names others as well"
# The best of the constant answers is taken for chance.
def from_counts(confusion):
    joint = confusion / confusion.sum()
    return np.trace(joint), joint.sum(1).max()


# %% [markdown] objectives=[4]
# (exercise-latent-directions-5)=
# ## Exercise 5: From slopes to a meaning
#
# *Implement and explain, 20 minutes, 3 points.* Codes are shifted along every direction, and the factors of the pictures
# are measured: `slopes[n, k, f]` is by how many standard deviations factor $f$ changes for a unit of shift along
# direction $k$, from code $n$ on. Return
#
# - the *effect*, $(K, F)$: the mean slope over the codes, with its sign;
# - the *share*, $(K, F)$: the size of an effect over the sum of the sizes of all effects of this direction, and 0 for a
#   direction that moves no factor at all (the chapter divides by 0.1 at least; leave that out here);
# - the *selectivity*, $(K,)$: the greatest share of a direction.


# %% nbgrader={"grade": false, "grade_id": "latent-directions-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def effects(slopes):
    """Effect (K, F), share (K, F) and selectivity (K,) of slopes (N, K, F)."""
    ### BEGIN SOLUTION
    effect = slopes.mean(0)
    size = np.abs(effect)
    total = size.sum(1, keepdims=True)
    share = np.where(total > 0, size / np.where(total > 0, total, 1), 0)
    return effect, share, share.max(1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "latent-directions-5-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.matrix(effects)
### BEGIN HIDDEN TESTS
check.matrix(effects, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="average the slopes, not their sizes"
# The sizes of the slopes are averaged, so that ups and downs do not cancel.
def effects(slopes):
    effect = np.abs(slopes).mean(0)
    total = effect.sum(1, keepdims=True)
    share = np.divide(effect, total, out=0 * effect, where=total > 0)
    return effect, share, share.max(1)


# %% tags=["wrong-answer"] says="0/0"
# A direction that moves nothing is forgotten.
def effects(slopes):
    effect = slopes.mean(0)
    share = np.abs(effect) / np.abs(effect).sum(1, keepdims=True)
    return effect, share, share.max(1)


# %% tags=["wrong-answer"] says="divide by the sum over factors"
# The effects on a factor are shared out among the directions.
def effects(slopes):
    effect = slopes.mean(0)
    share = np.abs(effect) / np.abs(effect).sum(0)
    return effect, share, share.max(1)


# %% tags=["wrong-answer"] says="floor of 0.1"
# The chapter's floor is kept: a direction that moves little seems to move nothing.
def effects(slopes):
    effect = slopes.mean(0)
    size = np.abs(effect)
    share = size / np.maximum(size.sum(1, keepdims=True), 0.1)
    return effect, share, share.max(1)


# %% [markdown]
# Now every factor gets one direction, and no direction stands for two factors. There are at least as many directions
# as factors. Choose so that the shares of the chosen pairs add up to the most, with
# `scipy.optimize.linear_sum_assignment`.
#
# A *greedy* choice takes the largest share of the matrix first, strikes out its row and its column, and goes on with
# what is left. Give three directions and three factors, shares that add up to 1 in each row, for which the greedy
# choice loses at least 0.2 of the sum.


# %% nbgrader={"grade": false, "grade_id": "latent-directions-5-assign", "locked": false, "schema_version": 3, "solution": true, "task": false}
def assign(share):
    """For each factor the number of its direction, (F,), of shares (K, F)."""
    ### BEGIN SOLUTION
    directions, factors = linear_sum_assignment(share, maximize=True)
    return directions[np.argsort(factors)]
    ### END SOLUTION


trap = ...  # three rows of three shares
### BEGIN SOLUTION
trap = [[0.50, 0.46, 0.04], [0.46, 0.04, 0.50], [0.10, 0.10, 0.80]]
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "latent-directions-5-assign-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.assignment(assign, trap)
### BEGIN HIDDEN TESTS
check.assignment(assign, trap, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="stands for two factors"
# Each factor takes the direction with the largest share, whoever else has taken it.
def assign(share):
    return share.argmax(0)


# %% tags=["wrong-answer"] says="the greedy choice reaches 2.00"
# Two shares are equal: greed loses or not, as it happens to take the one or the other.
trap = [[0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]


# %% tags=["wrong-answer"] says="another assignment has a larger sum"
# The largest share is taken first, then the largest of what is left.
def assign(share):
    left, chosen = share.copy(), np.zeros(share.shape[1], int)
    for _ in chosen:
        k, f = np.unravel_index(left.argmax(), left.shape)
        chosen[f] = k
        left[k], left[:, f] = -1, -1
    return chosen


# %% tags=["wrong-answer"] says="in the order of their factors"
# SciPy's first array is returned, which is in the order of the directions.
def assign(share):
    return linear_sum_assignment(share, maximize=True)[0]


# %% tags=["wrong-answer"] says="the best assignment"
# Each direction has a factor of its own, and nothing tempts.
trap = [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]

# %% tags=["wrong-answer"] says="write decimal ones with a point"
# Decimal commas make six numbers of three.
trap = [[0, 5, 0, 4, 0, 1], [0, 4, 0, 1, 0, 5], [0, 1, 0, 1, 0, 8]]

# %% tags=["wrong-answer"] says="add up to 1"
# The shares of a row do not add up to 1.
trap = [[0.9, 0.8, 0.0], [0.8, 0.0, 0.0], [0.0, 0.0, 0.9]]


# %% tags=["wrong-answer"] says="np.argsort(columns)"
# The directions are indexed by their factors, which is no order of either.
def assign(share):
    directions, factors = linear_sum_assignment(share, maximize=True)
    return directions[factors]


# %% [markdown] objectives=[1, 4]
# (exercise-latent-directions-6)=
# ## Exercise 6: Directions for your own decoder
#
# *Derive and implement, 20 minutes, 3 points.* A generator begins with a linear layer, $W z + b$ with $W$ of shape
# $(F, d)$. Which unit vector $n$ changes the layer's output most, $\max_n \lVert W n \rVert^2$? And which one next, among
# those perpendicular to it? Set the derivative of $n^\top W^\top W n - \lambda\, n^\top n$ to 0, and return the first $K$
# as columns. Their signs are yours.


# %% nbgrader={"grade": false, "grade_id": "latent-directions-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def closed_form(weight, K):
    """The K directions (d, K) that weight (F, d) stretches most."""
    ### BEGIN SOLUTION
    _, vectors = torch.linalg.eigh(weight.T @ weight)  # rising
    return vectors.flip(1)[:, :K]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "latent-directions-6-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.closed_form(closed_form)
### BEGIN HIDDEN TESTS
check.closed_form(closed_form, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="change least"
# The eigenvalues are believed to fall.
def closed_form(weight, K):
    return torch.linalg.eigh(weight.T @ weight)[1][:, :K]


# %% tags=["wrong-answer"] says="they are its columns"
# Rows of the matrix of eigenvectors are taken.
def closed_form(weight, K):
    return torch.linalg.eigh(weight.T @ weight)[1].flip(1)[:K].T


# %% tags=["wrong-answer"] says="have to be in a tensor"
# The eigenvectors are NumPy's, which the search below cannot use.
def closed_form(weight, K):
    matrix = (weight.T @ weight).numpy()
    return np.linalg.eigh(matrix)[1][:, ::-1][:, :K]


# %% tags=["wrong-answer"] says="directions are columns"
# Right singular vectors are left as rows.
def closed_form(weight, K):
    return torch.linalg.svd(weight)[2][:K]


# %% [markdown]
# Now the search. Put a {py:class}`medlatent.models.LatentDirections` around *any* module that makes images
# $(B, C, H, W)$ of codes $(B, d)$, train it for some steps, and return it ready for evaluation. Of the images that
# {py:func}`medlatent.training.train` is given, only the number and the size count here: `torch.zeros(32, 1, 32, 32)`
# will do. A LeNet of `width=1` and a `learning_rate` of 0.01 are quick.


# %% nbgrader={"grade": false, "grade_id": "latent-directions-6-search", "locked": false, "schema_version": 3, "solution": true, "task": false}
def search(generator, directions, K, latent_dim, steps):
    """A trained LatentDirections, in evaluation mode.

    directions is "unit", "orthonormal", "random" or a matrix (latent_dim, K).
    """
    ### BEGIN SOLUTION
    model = LatentDirections(
        generator,
        K=K,
        directions=directions,
        latent_dim=latent_dim,
        width=1,
        learning_rate=0.01,
    )
    images = torch.zeros(32, 1, 32, 32)
    train(model, images, steps, batch_size=32, progress=False)
    return model.eval()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "latent-directions-6-search-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.search(search)
### BEGIN HIDDEN TESTS
check.search(search, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="training mode"
# The model is left as training needs it.
def search(generator, directions, K, latent_dim, steps):
    model = LatentDirections(
        generator, K, directions, width=1, latent_dim=latent_dim
    )
    images = torch.zeros(32, 1, 32, 32)
    train(model, images, steps, batch_size=32, progress=False)
    return model.train()


# %% tags=["wrong-answer"] says="the model has 'unit'"
# Directions are always learnt.
def search(generator, directions, K, latent_dim, steps):
    model = LatentDirections(generator, K, width=1, latent_dim=latent_dim)
    images = torch.zeros(32, 1, 32, 32)
    train(model, images, steps, batch_size=32, progress=False)
    return model.eval()


# %% tags=["wrong-answer"] says="an untrained reconstructor says nothing"
# Random directions are believed to need no training, though their reconstructor does.
def search(generator, directions, K, latent_dim, steps):
    model = LatentDirections(
        generator, K, directions, width=1, latent_dim=latent_dim
    )
    if directions != "random":
        images = torch.zeros(32, 1, 32, 32)
        train(model, images, steps, batch_size=32, progress=False)
    return model.eval()


# %% tags=["wrong-answer"] says="expected the LatentDirections itself"
# The matrix is returned without the reconstructor that is to be asked.
def search(generator, directions, K, latent_dim, steps):
    model = LatentDirections(
        generator, K, directions, width=1, latent_dim=latent_dim
    )
    images = torch.zeros(32, 1, 32, 32)
    train(model, images, steps, batch_size=32, progress=False)
    return model.directions


# %% [markdown]
# With your functions: a decoder of sixteen dimensions that draws an ellipse, of which four hidden directions set the
# width, the height and the place. Each kind of directions gets a reconstructor of its own, trained for equally long.
# Which number does a search have to beat, and do these few steps suffice for a ranking? Try the profile `laptop`, and
# other seeds; then put a decoder of your own in the ellipse's place.


# %% nbgrader={"grade": false, "grade_id": "latent-directions-6-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
class Ellipse(nn.Module):
    """Codes (B, 16) to pictures (B, 1, 32, 32) of a bright ellipse."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(16, 4)

    def forward(self, z):
        bounded = torch.tanh(self.first(z)).T[:, :, None, None]
        width, height = 7 + 4 * bounded[0], 7 + 4 * bounded[1]
        x, y = 16 + 6 * bounded[2], 16 + 6 * bounded[3]
        at = torch.arange(32) + 0.5
        far = ((at - x) / width).square() + (
            (at[:, None] - y) / height
        ).square()
        return torch.sigmoid(8 * (1 - far.sqrt()))[:, None]


torch.manual_seed(seed)
decoder = Ellipse()
kinds = {
    "closed form": closed_form(decoder.first.weight.detach(), 4),
    "learnt": "unit",
    "random": "random",
}
for name, kind in kinds.items():
    torch.manual_seed(seed)
    found = search(decoder, kind, K=4, latent_dim=16, steps=settings["steps"])
    score = reconstructor_accuracy(
        found.decode,
        found.directions,
        found.reconstruct,
        batches=settings["batches"],
    )
    print(f"{name:<11} RCA {score.score:.2f}, L_s {score.shift_loss:.2f}")
print(f"knowing nothing: RCA {1 / 4:.2f}, L_s {mean_size(6.0, 0.5):.2f}")
