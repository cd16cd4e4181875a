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
# (independence-exercises)=
# # Exercises: independence
#
# Seven exercises on the chapter {ref}`independence`, 17 points, about an hour and a half. Each asks you to replace
# `raise NotImplementedError` by lines of your own; the cell after it checks your answer, and says in a sentence what is wrong
# with it or what follows from it. Run the notebook from the top. A check may be run as often as you like. All answers are in nats.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "independence-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch

from medlatent import losses
from medlatent.course import choose
from medlatent.course.exercises import independence as check

settings = choose(
    {
        "ci": {"steps": 400, "samples": 1_024},
        "laptop": {"steps": 1_200, "samples": 4_096},
        "paper": {"steps": 4_000, "samples": 16_384},
    },
    profile,
)
_ = torch.manual_seed(seed)

# %% [markdown] objectives=[2]
# (exercise-independence-1)=
# ## Exercise 1: The total correlation of a Gaussian
#
# *Derive and implement, 15 minutes, 3 points.* The chapter derives {eq}`eq-independence-4` for a correlation matrix, one dimension at a time. Here is
# another way, with all dimensions at once and any variances. Take a Gaussian with mean 0 and any covariance $\Sigma$. Its marginals are Gaussians with the variances $\Sigma_{jj}$, so that
#
# $$
# \begin{aligned}
# \mathrm{TC} &= \mathrm{KL}\!\left(\mathcal{N}(0, \Sigma) \,\|\, \mathcal{N}(0, \mathrm{diag}\,\Sigma)\right), \\
# \mathrm{KL}\!\left(\mathcal{N}(0, \Sigma) \,\|\, \mathcal{N}(0, \Lambda)\right)
# &= \tfrac12 \left( \mathrm{tr}(\Lambda^{-1} \Sigma) - D + \log \frac{\det \Lambda}{\det \Sigma} \right) .
# \end{aligned}
# $$
#
# Put $\Lambda = \mathrm{diag}\,\Sigma$, and find which terms cancel. Then write the function with PyTorch's own operations, so that a gradient can flow through it.
# It has to work for 60 dimensions, whose determinant is too small for a 32-bit float.


# %% nbgrader={"grade": false, "grade_id": "independence-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def total_correlation(covariance):
    """The total correlation of N(0, covariance), (D, D) to a scalar."""
    ### BEGIN SOLUTION
    variances = covariance.diagonal()
    return 0.5 * (variances.log().sum() - torch.logdet(covariance))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "independence-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.total_correlation(total_correlation)
### BEGIN HIDDEN TESTS
check.total_correlation(total_correlation, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="factor ½"
# The factor one half is missing.
def total_correlation(covariance):
    return covariance.diagonal().log().sum() - torch.logdet(covariance)


# %% tags=["wrong-answer"] says="not divided by its diagonal"
# The covariance is not normalised to its diagonal, so that variances count as dependence.
def total_correlation(covariance):
    return -0.5 * torch.logdet(covariance)


# %% tags=["wrong-answer"] says="marginals alone"
# The logarithm is that of the wrong determinant: the diagonal's, without the whole covariance's.
def total_correlation(covariance):
    return 0.5 * torch.logdet(torch.diag(covariance.diagonal()))


# %% tags=["wrong-answer"] says="torch.logdet"
# The determinant is formed before its logarithm is taken, and underflows.
def total_correlation(covariance):
    scale = covariance.diagonal().rsqrt()
    return -0.5 * torch.det(covariance * scale[:, None] * scale).log()


# %% tags=["wrong-answer"] says="sum their logarithms"
# The variances are multiplied before the logarithm, and their product underflows.
def total_correlation(covariance):
    product = covariance.diagonal().prod()
    return 0.5 * (product.log() - torch.logdet(covariance))


# %% tags=["wrong-answer"] says="the gradient with respect to covariance is not"
# The logarithms of the variances are plain numbers, through which no gradient flows.
def total_correlation(covariance):
    logs = sum(math.log(v) for v in covariance.diagonal())
    return 0.5 * (logs - torch.logdet(covariance))


# %% tags=["wrong-answer"] says="the two are exchanged"
# The divergence is taken from the marginals to the whole.
def total_correlation(covariance):
    marginals = torch.diag(covariance.diagonal())
    trace = torch.trace(torch.linalg.solve(covariance, marginals))
    ratio = torch.logdet(covariance) - torch.logdet(marginals)
    return 0.5 * (trace - len(covariance) + ratio)


# %% tags=["wrong-answer"] says="compute it with torch throughout"
# The result is computed by NumPy, through which no gradient flows.
def total_correlation(covariance):
    matrix = covariance.detach().numpy()
    logs = torch.from_numpy(matrix).diagonal().log().sum().item()
    return 0.5 * (logs - torch.logdet(covariance).item())


# %% [markdown]
# Now predict. Two dimensions are independent, with variances 9 and 1. We turn the plane by 45 degrees,
#
# $$ z_1' = (z_1 - z_2) / \sqrt 2, \qquad z_2' = (z_1 + z_2) / \sqrt 2 , $$
#
# which loses nothing. How large is the total correlation of $z'$? Find the covariance of $z'$ on paper, and give three decimals.

# %% nbgrader={"grade": false, "grade_id": "independence-1-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
rotated = ...  # nats
### BEGIN SOLUTION
rotated = -0.5 * math.log(1 - (4 / 5) ** 2)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "independence-1-predict-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.rotated(rotated)

# %% tags=["wrong-answer"] says="a comma separates numbers"
# The decimal comma makes a pair of two numbers.
rotated = 0, 511

# %% tags=["wrong-answer"] says="round Gaussian"
# A turn is believed to keep every Gaussian independent; it does so only if the variances are equal.
rotated = 0.0

# %% [markdown] objectives=[2]
# (exercise-independence-2)=
# ## Exercise 2: Three terms by hand
#
# *Compute by hand, then implement, 15 minutes, 3 points.* With a discrete code, every term of {eq}`eq-independence-5` is a finite sum. Four images
# have codes of two bits, and each posterior is certain of its code:
#
# | image | code $(z_1, z_2)$ |
# |---|---|
# | 1 | (0, 0) |
# | 2 | (0, 0) |
# | 3 | (0, 1) |
# | 4 | (1, 1) |
#
# The prior of each bit is even, so that $p(z) = 1/4$ for each code, and the averaged KL is $\log 4$. With pen and paper, split it into mutual information,
# total correlation and dimension-wise KL. Start with the table of $q(z)$ and its two marginals, and keep three decimals.

# %% nbgrader={"grade": false, "grade_id": "independence-2-table", "locked": true, "schema_version": 3, "solution": false, "task": false}
table = torch.zeros(4, 2, 2)  # image, first bit, second bit
for image, (first, second) in enumerate([(0, 0), (0, 0), (0, 1), (1, 1)]):
    table[image, first, second] = 1

# %% nbgrader={"grade": false, "grade_id": "independence-2-hand", "locked": false, "schema_version": 3, "solution": true, "task": false}
by_hand_information = ...  # I(z; n)
by_hand_correlation = ...  # TC(z)
by_hand_wise = ...  # the sum of the KLs of both bits
### BEGIN SOLUTION
by_hand_information = 1.5 * math.log(2)
entropy_1 = math.log(4) - 0.75 * math.log(3)
entropy_2 = math.log(2)
by_hand_correlation = entropy_1 + entropy_2 - by_hand_information
by_hand_wise = (math.log(2) - entropy_1) + (math.log(2) - entropy_2)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "independence-2-hand-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.by_hand(by_hand_information, by_hand_correlation, by_hand_wise, table)

# %% tags=["wrong-answer"] says="natural logarithm"
# The terms are computed with the logarithm to base 2, that is in bits.
by_hand_information = 1.5
by_hand_correlation = 0.811 + 1 - 1.5
by_hand_wise = 1 - 0.811

# %% [markdown]
# Now for any table. The posteriors are `posterior[n, k, l]` $= q(z_1 = k, z_2 = l \mid n)$, and each image's table sums to one. The images are drawn evenly. An entry may be
# zero: it contributes $0 \log 0 = 0$ to an expectation.


# %% nbgrader={"grade": false, "grade_id": "independence-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def decompose(posterior, prior_1, prior_2):
    """Mutual information, total correlation, dimension-wise KL: three scalars.

    posterior is (N, K, L), prior_1 is (K,) and prior_2 is (L,).
    """
    ### BEGIN SOLUTION
    aggregate = posterior.mean(0)
    q_1, q_2 = aggregate.sum(1), aggregate.sum(0)

    def expected_log(q, of):
        return torch.xlogy(q, of).sum()

    negative_entropy = expected_log(posterior, posterior) / len(posterior)
    of_code = expected_log(aggregate, aggregate)
    of_bits = expected_log(q_1, q_1) + expected_log(q_2, q_2)
    of_prior = expected_log(q_1, prior_1) + expected_log(q_2, prior_2)
    return negative_entropy - of_code, of_code - of_bits, of_bits - of_prior
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "independence-2-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.decompose(decompose)
### BEGIN HIDDEN TESTS
check.decompose(decompose, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="dimensions are averaged"
# The two dimensions' KLs are averaged instead of summed, so that the terms do not add up.
def decompose(posterior, prior_1, prior_2):
    q = posterior.mean(0)
    a, b = q.sum(1), q.sum(0)
    whole = torch.xlogy(q, q).sum()
    parts = torch.xlogy(a, a).sum() + torch.xlogy(b, b).sum()
    prior = torch.xlogy(a, prior_1).sum() + torch.xlogy(b, prior_2).sum()
    inside = torch.xlogy(posterior, posterior).sum((1, 2)).mean()
    return inside - whole, whole - parts, (parts - prior) / 2


# %% tags=["wrong-answer"] says="sign"
# The total correlation has the wrong sign: entropies are subtracted in the wrong order.
def decompose(posterior, prior_1, prior_2):
    q = posterior.mean(0)
    a, b = q.sum(1), q.sum(0)
    whole = torch.xlogy(q, q).sum()
    parts = torch.xlogy(a, a).sum() + torch.xlogy(b, b).sum()
    prior = torch.xlogy(a, prior_1).sum() + torch.xlogy(b, prior_2).sum()
    inside = torch.xlogy(posterior, posterior).sum((1, 2)).mean()
    return inside - whole, parts - whole, parts - prior


# %% tags=["wrong-answer"] says="take their mean"
# The mutual information is summed over the images instead of averaged.
def decompose(posterior, prior_1, prior_2):
    q = posterior.mean(0)
    a, b = q.sum(1), q.sum(0)
    whole = torch.xlogy(q, q).sum()
    parts = torch.xlogy(a, a).sum() + torch.xlogy(b, b).sum()
    prior = torch.xlogy(a, prior_1).sum() + torch.xlogy(b, prior_2).sum()
    information = (torch.xlogy(posterior, posterior / q)).sum()
    return information, whole - parts, parts - prior


# %% tags=["wrong-answer"] says="0 · log 0"
# The logarithm of a zero probability is taken, and zero times minus infinity is NaN.
def decompose(posterior, prior_1, prior_2):
    q = posterior.mean(0)
    a, b = q.sum(1), q.sum(0)
    information = (posterior * (posterior / q).log()).sum((1, 2)).mean()
    correlation = (q * (q / torch.outer(a, b)).log()).sum()
    wise = (a * (a / prior_1).log()).sum() + (b * (b / prior_2).log()).sum()
    return information, correlation, wise


# %% tags=["wrong-answer"] says="that is the total correlation"
# The terms come in another order than asked for.
def decompose(posterior, prior_1, prior_2):
    q = posterior.mean(0)
    a, b = q.sum(1), q.sum(0)
    whole = torch.xlogy(q, q).sum()
    parts = torch.xlogy(a, a).sum() + torch.xlogy(b, b).sum()
    prior = torch.xlogy(a, prior_1).sum() + torch.xlogy(b, prior_2).sum()
    inside = torch.xlogy(posterior, posterior).sum((1, 2)).mean()
    return whole - parts, inside - whole, parts - prior


# %% [markdown] objectives=[3, 4]
# (exercise-independence-3)=
# ## Exercise 3: Weights that sum to one
#
# *Implement, 10 minutes, 2 points.* In {eq}`eq-independence-8` any image of the batch but $z$'s own may take the part of $k$. The package always takes the
# next one. Write the logarithms of the weights for a choice that is given: `other[m]` is the column $k \ne m$ of row $m$. Before you run the check, look at the
# diagonal and the row sums of your weights, as the chapter does.


# %% nbgrader={"grade": false, "grade_id": "independence-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mss_log_weights(other, dataset_size):
    """The logarithms of the weights of MSS.

    other is (B,), whole numbers, with other[m] != m. Returns (B, B): a row for
    each sample m, a column for each posterior i.
    """
    ### BEGIN SOLUTION
    B, N = len(other), dataset_size
    M = B - 1
    rows = torch.arange(B)
    weights = torch.full((B, B), 1 / M)
    weights[rows, rows] = 1 / N
    weights[rows, other] = (N - M) / (N * M)
    return weights.log()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "independence-3-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.mss_log_weights(mss_log_weights)
### BEGIN HIDDEN TESTS
check.mss_log_weights(mss_log_weights, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="published mistake"
# The published mistake: the stride walks down a column, and 1/N misses the diagonal.
def mss_log_weights(other, dataset_size):
    B, N = len(other), dataset_size
    M = B - 1
    weights = torch.full((B, B), 1 / M)
    weights.view(-1)[:: M + 1] = 1 / N
    weights.view(-1)[1 :: M + 1] = (N - M) / (N * M)
    weights[M - 1, 0] = (N - M) / (N * M)
    return weights.log()


# %% tags=["wrong-answer"] says="half of the published mistake"
# The stride is taken for the diagonal alone; the other column is the one that was given.
def mss_log_weights(other, dataset_size):
    B, N = len(other), dataset_size
    M = B - 1
    weights = torch.full((B, B), 1 / M)
    weights.view(-1)[:: M + 1] = 1 / N
    weights[torch.arange(B), other] = (N - M) / (N * M)
    return weights.log()


# %% tags=["wrong-answer"] says="the column other[m] of row m"
# The diagonal is right, and the stride is taken for the column of what is lacking.
def mss_log_weights(other, dataset_size):
    B, N = len(other), dataset_size
    M = B - 1
    weights = torch.full((B, B), 1 / M)
    weights.view(-1)[1 :: M + 1] = (N - M) / (N * M)
    weights.fill_diagonal_(1 / N)
    return weights.log()


# %% tags=["wrong-answer"] says="have to be in a tensor"
# The weights are returned as a list of lists.
def mss_log_weights(other, dataset_size):
    B, N = len(other), dataset_size
    M = B - 1
    rows = [[1 / M] * B for _ in range(B)]
    for m, k in enumerate(other.tolist()):
        rows[m][m], rows[m][k] = 1 / N, (N - M) / (N * M)
    return [[math.log(weight) for weight in row] for row in rows]


# %% tags=["wrong-answer"] says="1 + 1/N"
# The remaining images all get 1/M, so that each row sums to more than one.
def mss_log_weights(other, dataset_size):
    B, N = len(other), dataset_size
    weights = torch.full((B, B), 1 / (B - 1))
    weights.fill_diagonal_(1 / N)
    return weights.log()


# %% tags=["wrong-answer"] says="the logarithm is asked for"
# The weights themselves are returned.
def mss_log_weights(other, dataset_size):
    B, N = len(other), dataset_size
    M = B - 1
    weights = torch.full((B, B), 1 / M)
    weights.fill_diagonal_(1 / N)
    weights[torch.arange(B), other] = (N - M) / (N * M)
    return weights


# %% tags=["wrong-answer"] says="are exchanged"
# The two special weights stand in each other's places.
def mss_log_weights(other, dataset_size):
    B, N = len(other), dataset_size
    M = B - 1
    rows = torch.arange(B)
    weights = torch.full((B, B), 1 / M)
    weights[rows, rows] = (N - M) / (N * M)
    weights[rows, other] = 1 / N
    return weights.log()


# %% [markdown] objectives=[3]
# (exercise-independence-4)=
# ## Exercise 4: Two densities of one batch
#
# *Implement, 15 minutes, 3 points.* The total correlation needs $\log q(z)$ and $\log \prod_j q(z_j)$. For sample $m$ and any weights $w_{mi}$,
#
# $$
# \begin{aligned}
# \log q(z^{(m)}) &\approx \log \sum_{i=1}^{B} w_{mi} \prod_{j=1}^{D} q(z_j^{(m)} \mid n_i), \\
# \log \prod_{j=1}^{D} q(z_j^{(m)}) &\approx \sum_{j=1}^{D} \log \sum_{i=1}^{B} w_{mi}\, q(z_j^{(m)} \mid n_i) .
# \end{aligned}
# $$
#
# The two differ in one thing only: whether dimensions are put together before or after the sum over images. Write both, with `torch.logsumexp` and
# with `losses.gaussian_log_density(z, mean, logvar)`, which returns $\log \mathcal{N}(z; \mu, \sigma^2)$ element by element and broadcasts. Every pair of a sample and a posterior is needed.


# %% nbgrader={"grade": false, "grade_id": "independence-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def log_aggregate(z, mean, logvar, log_weights):
    """log q(z) and log of the product of the q(z_j): two tensors of (B,).

    z, mean and logvar are (B, D), log_weights is (B, B): a row for each
    sample, a column for each posterior.
    """
    ### BEGIN SOLUTION
    pairs = losses.gaussian_log_density(z[:, None], mean, logvar)
    joint = torch.logsumexp(log_weights + pairs.sum(2), 1)
    single = torch.logsumexp(log_weights[:, :, None] + pairs, 1)
    return joint, single.sum(1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "independence-4-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.log_aggregate(log_aggregate)
### BEGIN HIDDEN TESTS
check.log_aggregate(log_aggregate, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="exchanged"
# The dimensions are summed after logsumexp for the joint density and before it for the marginals: the total correlation changes its sign.
def log_aggregate(z, mean, logvar, log_weights):
    pairs = losses.gaussian_log_density(z[:, None], mean, logvar)
    joint = torch.logsumexp(log_weights[:, :, None] + pairs, 1).sum(1)
    product = torch.logsumexp(log_weights + pairs.sum(2), 1)
    return joint, product


# %% tags=["wrong-answer"] says="log q(z) again"
# The dimensions are summed before logsumexp in both, so that the total correlation is always zero.
def log_aggregate(z, mean, logvar, log_weights):
    pairs = losses.gaussian_log_density(z[:, None], mean, logvar)
    joint = torch.logsumexp(log_weights + pairs.sum(2), 1)
    return joint, joint.clone()


# %% tags=["wrong-answer"] says="no gradient reaches mean"
# The posteriors are detached, so that the penalty moves the samples and not the encoder's other images.
def log_aggregate(z, mean, logvar, log_weights):
    pairs = losses.gaussian_log_density(
        z[:, None], mean.detach(), logvar.detach()
    )
    joint = torch.logsumexp(log_weights + pairs.sum(2), 1)
    single = torch.logsumexp(log_weights[:, :, None] + pairs, 1)
    return joint, single.sum(1)


# %% tags=["wrong-answer"] says="over samples"
# The sum runs over the samples instead of the posteriors.
def log_aggregate(z, mean, logvar, log_weights):
    pairs = losses.gaussian_log_density(z[:, None], mean, logvar)
    joint = torch.logsumexp(log_weights + pairs.sum(2), 0)
    single = torch.logsumexp(log_weights[:, :, None] + pairs, 0)
    return joint, single.sum(1)


# %% tags=["wrong-answer"] says="σ is handed over as the log-variance"
# The standard deviation is given to the function that takes the log-variance.
def log_aggregate(z, mean, logvar, log_weights):
    sigma = (0.5 * logvar).exp()
    pairs = losses.gaussian_log_density(z[:, None], mean, sigma)
    joint = torch.logsumexp(log_weights + pairs.sum(2), 1)
    single = torch.logsumexp(log_weights[:, :, None] + pairs, 1)
    return joint, single.sum(1)


# %% tags=["wrong-answer"] says="the variance stands in the place of σ"
# The normal distribution of PyTorch is given the variance.
def log_aggregate(z, mean, logvar, log_weights):
    posterior = torch.distributions.Normal(mean, logvar.exp())
    pairs = posterior.log_prob(z[:, None])
    joint = torch.logsumexp(log_weights + pairs.sum(2), 1)
    single = torch.logsumexp(log_weights[:, :, None] + pairs, 1)
    return joint, single.sum(1)


# %% tags=["wrong-answer"] says="infinite"
# The densities are exponentiated before they are summed, and underflow in many dimensions.
def log_aggregate(z, mean, logvar, log_weights):
    density = losses.gaussian_log_density(z[:, None], mean, logvar).exp()
    weights = log_weights.exp()
    joint = (weights * density.prod(2)).sum(1).log()
    return joint, (weights[:, :, None] * density).sum(1).log().sum(1)


# %% tags=["wrong-answer"] says="changes log_weights, which it was given"
# The weights that were given are added to, and are no weights any more.
def log_aggregate(z, mean, logvar, log_weights):
    pairs = losses.gaussian_log_density(z[:, None], mean, logvar)
    single = torch.logsumexp(log_weights[:, :, None] + pairs, 1)
    log_weights += pairs.sum(2).detach()
    return torch.logsumexp(log_weights, 1), single.sum(1)


# %% tags=["wrong-answer"] says="the weight is there D times"
# The weight is added before the dimensions are summed, and is summed with them.
def log_aggregate(z, mean, logvar, log_weights):
    pairs = losses.gaussian_log_density(z[:, None], mean, logvar)
    weighted = log_weights[:, :, None] + pairs
    joint = torch.logsumexp(weighted.sum(2), 1)
    return joint, torch.logsumexp(weighted, 1).sum(1)


# %% tags=["wrong-answer"] says="the weights are transposed"
# Rows and columns of the weights are exchanged.
def log_aggregate(z, mean, logvar, log_weights):
    pairs = losses.gaussian_log_density(z[:, None], mean, logvar)
    joint = torch.logsumexp(log_weights.T + pairs.sum(2), 1)
    single = torch.logsumexp(log_weights.T[:, :, None] + pairs, 1)
    return joint, single.sum(1)


# %% tags=["wrong-answer"] says="torch.stack"
# Lists of tensors are returned.
def log_aggregate(z, mean, logvar, log_weights):
    pairs = losses.gaussian_log_density(z[:, None], mean, logvar)
    joint = torch.logsumexp(log_weights + pairs.sum(2), 1)
    single = torch.logsumexp(log_weights[:, :, None] + pairs, 1)
    return list(joint), list(single.sum(1))


# %% tags=["wrong-answer"] says="the maximum of each row"
# One maximum serves all samples, so that those far away underflow.
def log_aggregate(z, mean, logvar, log_weights):
    def logarithm_of_sum(terms):
        most = terms.max()
        return (terms - most).exp().sum(1).log() + most

    pairs = losses.gaussian_log_density(z[:, None], mean, logvar)
    joint = logarithm_of_sum(log_weights + pairs.sum(2))
    return joint, logarithm_of_sum(log_weights[:, :, None] + pairs).sum(1)


# %% [markdown] objectives=[3]
# (exercise-independence-5)=
# ## Exercise 5: Twice as many images
#
# *Predict, then run, 10 minutes, 1 point.* A colleague doubles the data set from 5 000 to 10 000 images. She takes the same batch and the same codes of ten
# dimensions, and estimates the three terms of {eq}`eq-independence-5` again with MWS, {eq}`eq-independence-7`. Only the number $N$ in the formula has changed.
# **Before you run the cell below**: by how many nats does each term change? A rise is positive. Give three decimals, or an expression with `math.log`.

# %% nbgrader={"grade": false, "grade_id": "independence-5-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
shift_information = ...  # of the mutual information
shift_correlation = ...  # of the total correlation
shift_wise = ...  # of the dimension-wise KL
### BEGIN SOLUTION
shift_information = math.log(2)
shift_correlation = 9 * math.log(2)
shift_wise = -10 * math.log(2)
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "independence-5-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(seed)
mean, logvar = torch.randn(64, 10), torch.full((64, 10), -1.0)
z = losses.reparametrise(mean, logvar)
before = losses.kl_decomposition(z, mean, logvar, 5_000, "mws")
after = losses.kl_decomposition(z, mean, logvar, 10_000, "mws")
for name, old, new in zip(before._fields, before, after, strict=True):
    print(f"{name:<20}{old:9.3f} →{new:9.3f}   change {new - old:+.3f}")

# %% nbgrader={"grade": true, "grade_id": "independence-5-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.doubled(shift_information, shift_correlation, shift_wise, before, after)

# %% tags=["wrong-answer"] says="after the subtraction"
# The total correlation is taken to hold D constants, although log q(z) takes one of them away.
shift_information = math.log(2)
shift_correlation = 10 * math.log(2)
shift_wise = -10 * math.log(2)

# %% tags=["wrong-answer"] says="the batch stays the same"
# The estimate is believed to depend on the batch alone.
shift_information = 0.0
shift_correlation = 0.0
shift_wise = 0.0

# %% [markdown] objectives=[1]
# (exercise-independence-6)=
# ## Exercise 6: An empty code
#
# *Predict, then run, 10 minutes, 2 points.* The data have the eigenvalues 12, 6, 3 and 1.5, as in the chapter, but the likelihood has the variance
# $\sigma^2 = 0.5$. The loss is $\text{SSE} / (2\sigma^2) + \beta\, \mathrm{KL}$.
#
# **Before you run the training below**: from which $\beta$ on is the whole code of a linear beta-VAE empty? And once it is empty, by how many
# nats does the loss rise if $\beta$ is doubled, from 30 to 60?

# %% nbgrader={"grade": false, "grade_id": "independence-6-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
emptying_beta = ...  # the smallest beta that leaves no dimension alive
extra_loss = ...  # loss at beta 60 minus loss at beta 30
### BEGIN SOLUTION
emptying_beta = 12 / 0.5
extra_loss = 0.0
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "independence-6-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
torch.manual_seed(seed)
eigenvalues = torch.tensor([12.0, 6.0, 3.0, 1.5])
variance = 0.5
samples = torch.randn(settings["samples"], 4)
# Whitened, so that the data have these eigenvalues and not others by chance.
samples = torch.linalg.svd(samples - samples.mean(0), full_matrices=False).U
data = samples * (eigenvalues * len(samples)).sqrt()
final = {}
for beta in (6.0, 12.0, 30.0, 60.0):
    encode, decode = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    log_variance = torch.nn.Parameter(torch.zeros(4))
    optimiser = torch.optim.Adam(
        [*encode.parameters(), *decode.parameters(), log_variance], lr=0.02
    )
    for _ in range(settings["steps"]):
        mean, logvar = encode(data), log_variance.expand(len(data), -1)
        rebuilt = decode(losses.reparametrise(mean, logvar))
        sse = (rebuilt - data).square().sum(1)
        kl = losses.kl_to_standard_normal(mean, logvar)
        optimiser.zero_grad()
        loss = losses.beta_vae_objective(sse / (2 * variance), kl, beta)
        loss.backward()
        optimiser.step()
    final[beta] = loss.item()
    nats = kl.mean(0).detach().sort(descending=True).values
    print(
        f"beta {beta:<3g} loss {final[beta]:6.2f}   nats of each dimension"
        f" {[f'{abs(v):.2f}' for v in nats.tolist()]}"
    )

# %% nbgrader={"grade": true, "grade_id": "independence-6-beta-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.emptying_beta(emptying_beta, eigenvalues, variance)

# %% tags=["wrong-answer"] says="not 1"
# The variance of the likelihood is forgotten.
emptying_beta = 12

# %% tags=["wrong-answer"] says="2σ² stands where σ² belongs"
# The eigenvalue is compared with the denominator of the loss.
emptying_beta = 12 / (2 * 0.5)

# %% tags=["wrong-answer"] says="weakest dimension"
# The beta that silences the weakest dimension is taken for one that silences them all.
emptying_beta = 3

# %% nbgrader={"grade": true, "grade_id": "independence-6-loss-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.extra_loss(extra_loss, final[30.0], final[60.0])

# %% tags=["wrong-answer"] says="multiplies the KL only"
# The whole loss is believed to be doubled with beta.
extra_loss = 22.5

# %% [markdown] objectives=[5]
# (exercise-independence-7)=
# ## Exercise 7: Two prices
#
# *Change this and explain what you see, 15 minutes, 3 points.* Write one loss for both models: mutual information and dimension-wise KL cost $\beta$ a nat, the total
# correlation `tc_weight`. The reconstruction is a number of nats to be minimised.


# %% nbgrader={"grade": false, "grade_id": "independence-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def weighted_loss(
    reconstruction, information, correlation, wise, beta, tc_weight
):
    """The loss, of the shape of its first four arguments."""
    ### BEGIN SOLUTION
    charged = beta * (information + wise) + tc_weight * correlation
    return reconstruction + charged
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "independence-7-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.weighted_loss(weighted_loss)
### BEGIN HIDDEN TESTS
check.weighted_loss(weighted_loss, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="charged twice"
# The total correlation is charged twice, once as a part of the KL.
def weighted_loss(
    reconstruction, information, correlation, wise, beta, tc_weight
):
    kl = information + correlation + wise
    return reconstruction + beta * kl + tc_weight * correlation


# %% tags=["wrong-answer"] says="not tc_weight − 1"
# The formula for beta = 1, in which the KL has charged for one of the nats, is taken for all beta.
def weighted_loss(
    reconstruction, information, correlation, wise, beta, tc_weight
):
    kl = information + correlation + wise
    return reconstruction + beta * kl + (tc_weight - 1) * correlation


# %% tags=["wrong-answer"] says="beta multiplies all three terms"
# The weight of the total correlation is never used.
def weighted_loss(
    reconstruction, information, correlation, wise, beta, tc_weight
):
    return reconstruction + beta * (information + correlation + wise)


# %% tags=["wrong-answer"] says="sign"
# The terms are subtracted, as in the objective that is maximised.
def weighted_loss(
    reconstruction, information, correlation, wise, beta, tc_weight
):
    charged = beta * (information + wise) + tc_weight * correlation
    return reconstruction - charged


# %% tags=["wrong-answer"] says="changes information, which it was given"
# The terms are multiplied where they stand, and by beta once more in the sum.
def weighted_loss(
    reconstruction, information, correlation, wise, beta, tc_weight
):
    information *= beta
    wise *= beta
    return (
        reconstruction + beta * (information + wise) + tc_weight * correlation
    )


# %% tags=["wrong-answer"] says="changes reconstruction, which it was given"
# The sum is collected in the first argument.
def weighted_loss(
    reconstruction, information, correlation, wise, beta, tc_weight
):
    reconstruction += beta * (information + wise) + tc_weight * correlation
    return reconstruction


# %% tags=["wrong-answer"] says="charged once more, without a weight"
# The total correlation of the KL is still there, at the price of 1.
def weighted_loss(
    reconstruction, information, correlation, wise, beta, tc_weight
):
    charged = beta * (information + wise) + tc_weight * correlation
    return reconstruction + charged + correlation


# %% [markdown]
# Now a case in which independence has a price. Length and width of a lesion, standardised, have the correlation $\rho = 0.7$. The
# encoder may blur each measurement, but cannot mix them:
#
# $$ z_j = \sqrt{a_j}\, x_j + \sqrt{1 - a_j}\, \varepsilon_j, \qquad \varepsilon_j \sim \mathcal{N}(0, 1) . $$
#
# Each $z_j$ has variance 1, so the dimension-wise KL is zero. Alone, dimension $j$ carries $r_j = -\tfrac12 \log(1 - a_j)$ nats about its measurement. The
# correlation of the two dimensions is $\rho \sqrt{a_1 a_2}$, which gives the total correlation, and the
# mutual information is $r_1 + r_2 - \mathrm{TC}$. With the best linear decoder the SSE is known, too. So no training is needed: the next cell tries all codes of up to three nats a
# dimension, and takes the one with the smallest loss.

# %% nbgrader={"grade": false, "grade_id": "independence-7-codes", "locked": true, "schema_version": 3, "solution": false, "task": false}
rho, noise = 0.7, 0.1  # correlation; variance of the likelihood
nats = torch.linspace(0, 3, 301, dtype=torch.double)
r_1, r_2 = torch.meshgrid(nats, nats, indexing="ij")
a_1, a_2 = 1 - torch.exp(-2 * r_1), 1 - torch.exp(-2 * r_2)
determinant = 1 - rho**2 * a_1 * a_2
tc = -0.5 * determinant.log()
mi = r_1 + r_2 - tc
explained = (1 + rho**2) * (a_1 + a_2) - 4 * rho**2 * a_1 * a_2
sse = 2 - explained / determinant


def best_code(beta, tc_weight):
    """What the code with the smallest loss is like, in one line."""
    loss = weighted_loss(
        sse / (2 * noise), mi, tc, torch.zeros_like(tc), beta, tc_weight
    )
    best = loss.argmin()
    values = [value.flatten()[best].item() for value in (r_1, r_2, mi, tc, sse)]
    more, less = sorted(values[:2], reverse=True)
    return (
        f"nats {more:.2f} and {less:.2f}   MI {values[2]:.2f}"
        f"   TC {abs(values[3]):.2f}   SSE {values[4]:.2f}"
    )


for weight in (1, 2, 4, 16):
    print(f"beta-VAE,   beta {weight:<3}", best_code(weight, weight))

# %% [markdown]
# That was the beta-VAE. Now charge for the total correlation alone, with $\beta = 1$. Change the weights in the next cell until you find the smallest whole
# `tc_weight` at which the best code has an empty dimension. Put it into `smallest_weight`.

# %% nbgrader={"grade": false, "grade_id": "independence-7-weight", "locked": false, "schema_version": 3, "solution": true, "task": false}
for weight in (1, 2, 4, 16):  # change these
    print(f"beta-TCVAE, weight {weight:<3}", best_code(1, weight))
smallest_weight = ...  # a whole number
### BEGIN SOLUTION
smallest_weight = next(w for w in range(1, 20) if "and 0.00" in best_code(1, w))
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "independence-7-weight-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.smallest_weight(smallest_weight, rho, noise)

# %% tags=["wrong-answer"] says="beta stays 1"
# The weight is looked up for the beta-VAE, whose beta multiplies all three terms.
smallest_weight = next(w for w in range(1, 20) if "and 0.00" in best_code(w, w))

# %% tags=["wrong-answer"] says="none is empty yet"
# The last weight is taken at which both dimensions carry something, one too few.
smallest_weight = smallest_weight - 1

# %% tags=["wrong-answer"] says="at a smaller weight"
# The largest weight tried is taken, at which a dimension had long been empty.
smallest_weight = 16

# %% [markdown]
# In three sentences: at a weight of 16, what do the two models have in common, what distinguishes them, and is the code of the beta-TCVAE disentangled?

# %% [markdown] nbgrader={"grade": true, "grade_id": "independence-7-explain", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Both have a total correlation of zero. The beta-VAE gets there by giving up all information, since it pays for that, too; the beta-TCVAE empties one dimension and fills the
# other, since a code of one dimension is independent and its information costs no more than before. It is not disentangled: width has no dimension of its own, and
# the decoder guesses it from length (or the other way round).
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# - 0.3: says that both codes have a total correlation of zero
# - 0.4: says how each gets there: the beta-VAE gives up all information, the beta-TCVAE keeps one dimension and empties the other
# - 0.3: says that the code of the beta-TCVAE is not disentangled, since one dimension holds both factors, or since width has none of its
#   own
# - 0: takes a total correlation of zero for disentanglement
