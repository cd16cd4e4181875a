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
# (hsic-infogan-exercises)=
# # Exercises: HSIC-InfoGAN
#
# Six exercises on the chapter {ref}`hsic-infogan`, 15 points, about an hour and a half. Each asks you to replace
# `...` or `raise NotImplementedError` by lines of your own; the cell after it checks your answer, and says in a sentence what is wrong
# with it or what follows from it. Run the notebook from the top. A check may be run as often as you like. All logarithms are natural ones.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import torch
import torch.nn.functional as F

from medlatent import losses
from medlatent.course import choose
from medlatent.course.exercises import hsic_infogan as check

settings = choose(
    {
        "ci": {"images": 100, "shuffles": 199},
        "laptop": {"images": 300, "shuffles": 999},
        "paper": {"images": 500, "shuffles": 4_999},
    },
    profile,
)
_ = torch.manual_seed(seed)

# %% [markdown] objectives=[1]
# (exercise-hsic-infogan-1)=
# ## Exercise 1: What a perfect reader knows
#
# *Predict, run and explain, 10 minutes, 2 points.* A generator has ten equally probable categories, and a $Q$ that reads each of them off the image without a doubt. **Before you
# run the cell below**: how large is $L_I = \mathbb{E}[\log Q(c \mid x)]$ as the paper prints it? How large is the bound {eq}`eq-hsic-infogan-3` with $H(c)$? And how
# large is the differential entropy of *two* independent codes from $U(-1, 1)$? Three numbers, two decimals.

# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
printed = ...  # L_I without H(c)
bound = ...  # with H(c)
codes = ...  # H of two codes from U(-1, 1)
### BEGIN SOLUTION
printed = 0.0
bound = math.log(10)
codes = 2 * math.log(2)
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-1-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
category = F.one_hot(torch.arange(10), 10).float()
nll = losses.categorical_nll(100 * category, category)  # a sure reader
entropy = losses.categorical_entropy(10)
found = [
    -nll.mean().item(),
    losses.information_bound(entropy, nll).mean().item(),
    losses.uniform_entropy(-1, 1, codes=2),
]
print("without H(c) {:.3f}, with H(c) {:.3f}, two codes {:.3f}".format(*found))

# %% nbgrader={"grade": true, "grade_id": "hsic-infogan-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.entropies(printed, bound, codes, found)

# %% tags=["wrong-answer"] says="the printed form leaves out"
# The entropy is added although the printed form has none.
printed, bound, codes = math.log(10), math.log(10), 2 * math.log(2)

# %% tags=["wrong-answer"] says="a comma separates numbers"
# The decimal comma makes a pair of two numbers.
printed = 0.0
bound = 2, 3
codes = 2 * math.log(2)

# %% tags=["wrong-answer"] says="natural logarithm"
# The bound is given in bits.
printed, bound, codes = 0.0, math.log2(10), 2 * math.log(2)

# %% tags=["wrong-answer"] says="there are two"
# The entropy of one code is given for two.
printed, bound, codes = 0.0, math.log(10), math.log(2)

# %% [markdown] objectives=[1]
# (exercise-hsic-infogan-2)=
# ## Exercise 2: The bound from tables
#
# *Derive and implement, 15 minutes, 3 points.* Code and image are discrete. `joint[c, x]` is $p(c, x)$, and `q[c, x]` is $Q(c \mid x)$, whose columns sum to 1. Write the
# bound $L_I = H(c) + \mathbb{E}[\log Q(c \mid x)]$ as sums over the tables. The codes need not be equally probable. An entry may be zero: $0 \log 0 = 0$.


# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def information_bound(joint, q):
    """H(c) + E[log Q(c|x)] of tables (C, X), a scalar in nats."""
    ### BEGIN SOLUTION
    prior = joint.sum(1)
    return torch.xlogy(joint, q).sum() - torch.xlogy(prior, prior).sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "hsic-infogan-2-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.information_bound(information_bound)
### BEGIN HIDDEN TESTS
check.information_bound(information_bound, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="H(c) is missing"
# The constant is left out, as in print.
def information_bound(joint, q):
    return torch.xlogy(joint, q).sum()


# %% tags=["wrong-answer"] says="take H(c) from the table"
# All codes are taken to be equally probable.
def information_bound(joint, q):
    return math.log(len(joint)) + torch.xlogy(joint, q).sum()


# %% tags=["wrong-answer"] says="has to be added"
# The entropy is subtracted.
def information_bound(joint, q):
    prior = joint.sum(1)
    return torch.xlogy(joint, q).sum() + torch.xlogy(prior, prior).sum()


# %% tags=["wrong-answer"] says="0 · log 0"
# Zero times the logarithm of zero becomes NaN.
def information_bound(joint, q):
    prior = joint.sum(1)
    return (joint * q.log()).sum() - (prior * prior.log()).sum()


# %% [markdown] objectives=[2]
# (exercise-hsic-infogan-3)=
# ## Exercise 3: From the double loop to the trace
#
# *Derive and implement, 15 minutes, 3 points.* Written out, HSIC is a double sum over pairs,
#
# $$ \mathrm{HSIC} = \frac{1}{(m-1)^2} \sum_{i, j} K^x_{ij} \left( K^z_{ij} - \bar K^z_{i \cdot} - \bar K^z_{\cdot j} + \bar K^z_{\cdot \cdot} \right) , $$
#
# where a dot stands for the mean over that index. Show on paper that the bracket is the entry $ij$ of $H K^z H$, and that the sum is the trace of
# {eq}`eq-hsic-infogan-5`. Why is it enough to centre one of the two? Then write the function without a loop, and without `losses.hsic`.


# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def hsic(kernel_x, kernel_z):
    """Equation 5 from two kernel matrices (m, m), a scalar."""
    ### BEGIN SOLUTION
    m = len(kernel_x)
    h = torch.eye(m, dtype=kernel_x.dtype) - 1 / m
    return torch.trace(kernel_x @ h @ kernel_z @ h) / (m - 1) ** 2
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "hsic-infogan-3-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.hsic(hsic)
### BEGIN HIDDEN TESTS
check.hsic(hsic, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="where is H"
# The kernels are not centred.
def hsic(kernel_x, kernel_z):
    return (kernel_x * kernel_z).sum() / (len(kernel_x) - 1) ** 2


# %% tags=["wrong-answer"] says="the other form"
# The divisor is that of the HSIC bottleneck's code.
def hsic(kernel_x, kernel_z):
    m = len(kernel_x)
    h = torch.eye(m, dtype=kernel_x.dtype) - 1 / m
    return torch.trace(kernel_x @ h @ kernel_z @ h) / m**2


# %% tags=["wrong-answer"] says="matrix product"
# The matrices are multiplied entry by entry.
def hsic(kernel_x, kernel_z):
    m = len(kernel_x)
    h = torch.eye(m, dtype=kernel_x.dtype) - 1 / m
    return torch.trace((kernel_x @ h) * (kernel_z @ h)) / (m - 1) ** 2


# %% tags=["wrong-answer"] says="without losses.hsic"
# The package's function does the work.
def hsic(kernel_x, kernel_z):
    return losses.hsic(kernel_x, kernel_z)


# %% tags=["wrong-answer"] says="has a loop"
# The double sum is written as it stands.
def hsic(kernel_x, kernel_z):
    m, total = len(kernel_x), 0.0
    rows = kernel_z.mean(1)
    for i in range(m):
        for j in range(m):
            centred = kernel_z[i, j] - rows[i] - rows[j] + kernel_z.mean()
            total += kernel_x[i, j] * centred
    return total / (m - 1) ** 2


# %% tags=["wrong-answer"] says="`^` is something else"
# The caret is taken for a power.
def hsic(kernel_x, kernel_z):
    m = len(kernel_x)
    h = torch.eye(m) - 1 / m
    trace = torch.trace(kernel_x @ h @ kernel_z @ h)
    return trace / torch.tensor(m - 1.0) ^ 2


# %% [markdown] objectives=[2]
# (exercise-hsic-infogan-4)=
# ## Exercise 4: How often by chance?
#
# *Implement, 15 minutes, 3 points.* Write the p-value of a permutation test of independence. Each entry of `orders` is a permutation of the rows of $z$. The original pairing is one of
# all pairings, and counts as such. For HSIC take `losses.hsic(kernel_x, kernel_z)`.


# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def p_value(kernel_x, kernel_z, orders):
    """The share of pairings whose HSIC is at least the original's."""
    ### BEGIN SOLUTION
    here = losses.hsic(kernel_x, kernel_z)
    shuffled = torch.stack(
        [losses.hsic(kernel_x, kernel_z[o][:, o]) for o in orders]
    )
    return (1 + (shuffled >= here).sum().item()) / (1 + len(orders))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "hsic-infogan-4-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.p_value(p_value)
### BEGIN HIDDEN TESTS
check.p_value(p_value, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="rows and columns"
# Only the rows of the kernel are shuffled.
def p_value(kernel_x, kernel_z, orders):
    here = losses.hsic(kernel_x, kernel_z)
    count = sum(losses.hsic(kernel_x, kernel_z[o]) >= here for o in orders)
    return (1 + int(count)) / (1 + len(orders))


# %% tags=["wrong-answer"] says="never 0"
# The original pairing is not counted.
def p_value(kernel_x, kernel_z, orders):
    here = losses.hsic(kernel_x, kernel_z)
    count = sum(
        losses.hsic(kernel_x, kernel_z[o][:, o]) >= here for o in orders
    )
    return int(count) / len(orders)


# %% tags=["wrong-answer"] says="smaller HSIC"
# The comparison is turned round.
def p_value(kernel_x, kernel_z, orders):
    here = losses.hsic(kernel_x, kernel_z)
    count = sum(losses.hsic(kernel_x, kernel_z[o][:, o]) < here for o in orders)
    return int(count) / (1 + len(orders))


# %% tags=["wrong-answer"] says="at least as large is ≥, not >"
# Shuffled values that are equal to the original's are not counted.
def p_value(kernel_x, kernel_z, orders):
    here = losses.hsic(kernel_x, kernel_z)
    count = sum(losses.hsic(kernel_x, kernel_z[o][:, o]) > here for o in orders)
    return (1 + int(count)) / (1 + len(orders))


# %% [markdown]
# Two variables whose correlation is 0, since they lie on a circle. Run, and compare HSIC with the values of the shuffled pairs.

# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-4-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
angle = 2 * math.pi * torch.rand(settings["images"], 1)
pair = [
    losses.gaussian_kernel(v + 0.1 * torch.randn_like(v), 0.5)
    for v in (angle.cos(), angle.sin())
]
shuffles = [
    torch.randperm(settings["images"]) for _ in range(settings["shuffles"])
]
values = [losses.hsic(pair[0], pair[1][o][:, o]).item() for o in shuffles]
print(f"HSIC {losses.hsic(*pair):.4f}")
print(f"shuffled {min(values):.4f} to {max(values):.4f}, never 0")

# %% [markdown] objectives=[5]
# (exercise-hsic-infogan-5)=
# ## Exercise 5: Purity, and what it hides
#
# *Implement and explain, 10 minutes, 2 points.* `category[i]` is the category that image $i$ was generated from, `digit[i]` the digit that a classifier sees in it. Purity is the share of images
# that show the commonest digit of their category. Both are tensors of whole numbers from 0.


# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def purity(category, digit):
    """The share of images with the commonest digit of their category."""
    ### BEGIN SOLUTION
    agreeing = 0
    for k in category.unique():
        agreeing += torch.bincount(digit[category == k]).max().item()
    return agreeing / len(category)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "hsic-infogan-5-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.purity(purity)
### BEGIN HIDDEN TESTS
check.purity(purity, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="has more images"
# The purities of the categories are averaged, whatever their size.
def purity(category, digit):
    shares = []
    for k in category.unique():
        counts = torch.bincount(digit[category == k])
        shares.append(counts.max() / counts.sum())
    return torch.stack(shares).mean().item()


# %% tags=["wrong-answer"] says="exchanged"
# The commonest category of each digit is counted.
def purity(category, digit):
    agreeing = sum(
        torch.bincount(category[digit == d]).max().item()
        for d in digit.unique()
    )
    return agreeing / len(category)


# %% tags=["wrong-answer"] says="the commonest category of each digit"
# The two arguments are taken in the wrong order.
def purity(digit, category):
    agreeing = 0
    for k in category.unique():
        agreeing += torch.bincount(digit[category == k]).max().item()
    return agreeing / len(category)


# %% tags=["wrong-answer"] says="no order"
# The number of the category is taken for the digit.
def purity(category, digit):
    return (category == digit).float().mean().item()


# %% [markdown]
# A short training ends with a purity of 1.00 and an NMI of 0.00. What has happened?
#
# - **a** each category is a digit of its own;
# - **b** the classifier sees the same digit in all images;
# - **c** each category holds all digits in equal shares.

# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-5-choose", "locked": false, "schema_version": 3, "solution": true, "task": false}
conclusion = ...  # "a", "b" or "c"
### BEGIN SOLUTION
conclusion = "b"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "hsic-infogan-5-choose-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.misread(conclusion)

# %% tags=["wrong-answer"] says="NMI would be near 1"
# Purity is read alone.
conclusion = "a"

# %% [markdown] objectives=[3, 4]
# (exercise-hsic-infogan-6)=
# ## Exercise 6: Of one order of magnitude
#
# *Derive and implement, 15 minutes, 2 points.* For large $\sigma$ the Gaussian kernel is nearly $1 - \|x - x'\|^2 / (2\sigma^2)$. In the plain form {eq}`eq-hsic-infogan-5`, with one $\sigma$
# for both kernels: when $\sigma$ is doubled, by which factor must $\lambda$ grow so that $\lambda\,\mathrm{HSIC}$ stays as it is?

# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-6-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
factor = ...  # of lambda
### BEGIN SOLUTION
factor = 2.0**4
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "hsic-infogan-6-predict-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.doubled(factor)

# %% tags=["wrong-answer"] says="each of the two kernels"
# One of the two kernels is forgotten.
factor = 4.0

# %% [markdown]
# Now the second half of the strategy: of the given weights choose the one with which the weighted dependence is nearest to the adversarial loss on a *logarithmic* scale.


# %% nbgrader={"grade": false, "grade_id": "hsic-infogan-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def choose_weight(dependence, adversarial, weights):
    """The weight of the list with the ratio nearest to 1 in its logarithm."""
    ### BEGIN SOLUTION
    return min(
        weights,
        key=lambda weight: abs(math.log(weight * dependence / adversarial)),
    )
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "hsic-infogan-6-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.choose_weight(choose_weight)
### BEGIN HIDDEN TESTS
check.choose_weight(choose_weight, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="linear scale"
# The difference is taken, not the ratio.
def choose_weight(dependence, adversarial, weights):
    return min(weights, key=lambda w: abs(w * dependence / adversarial - 1))


# %% tags=["wrong-answer"] says="one of the given weights"
# The exact quotient is returned.
def choose_weight(dependence, adversarial, weights):
    return adversarial / dependence


# %% tags=["wrong-answer"] says="left out"
# The adversarial loss is taken to be 1.
def choose_weight(dependence, adversarial, weights):
    return min(weights, key=lambda w: abs(math.log(w * dependence)))


# %% tags=["wrong-answer"] says="the smallest weight that reaches"
# The first weight is taken with which the dependence is not the smaller.
def choose_weight(dependence, adversarial, weights):
    enough = [w for w in weights if w * dependence >= adversarial]
    return min(enough or [weights[-1]])


# %% tags=["wrong-answer"] says="the largest weight that stays below"
# The last weight is taken with which the dependence is not the larger.
def choose_weight(dependence, adversarial, weights):
    below = [w for w in weights if w * dependence <= adversarial]
    return max(below or [weights[0]])


# %% tags=["wrong-answer"] says="linear scale of the inverse"
# The ratio is turned round, and compared with 1 on a linear scale.
def choose_weight(dependence, adversarial, weights):
    return min(weights, key=lambda w: abs(adversarial / (w * dependence) - 1))


# %% tags=["wrong-answer"] says="the dependence is left out"
# The weight alone is compared with the adversarial loss.
def choose_weight(dependence, adversarial, weights):
    return min(weights, key=lambda w: abs(math.log(w / adversarial)))
