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
# (attribute-vae-exercises)=
# # Exercises: attribute VAE
#
# Six exercises on the chapter {ref}`attribute-vae`, 16 points, about an hour and a half. Each asks you to replace
# `...` or `raise NotImplementedError` by lines of your own; the cell after it checks your answer, and says in a
# sentence what is wrong with it or what follows from it. Run the notebook from the top. A check may be run as often
# as you like. All logarithms are natural ones.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "attribute-vae-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import numpy as np
import torch

from medlatent.course import choose
from medlatent.course.exercises import attribute_vae as check
from medlatent.data.phantoms import heart
from medlatent.metrics import disentanglement

settings = choose(
    {
        "ci": {"simulated": 20_000},
        "laptop": {"simulated": 100_000},
        "paper": {"simulated": 1_000_000},
    },
    profile,
)
_ = torch.manual_seed(seed)

# %% [markdown] objectives=[1]
# (exercise-attribute-vae-1)=
# ## Exercise 1: From a mask to an ejection fraction
#
# *Implement, 10 minutes, 2 points.* You get the masks of one heart at end-diastole and at end-systole, arrays of
# whole numbers over three axes, with the labels 1 for the cavity of the left ventricle, 2 for its muscle and 3 for
# the right ventricle; and from the header the distances of voxels along the three axes, in mm. Return EDV and ESV of
# the left ventricle in ml, and its ejection fraction as a share, not in per cent.


# %% nbgrader={"grade": false, "grade_id": "attribute-vae-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def ejection(ed, es, spacing):
    """EDV and ESV in ml and the ejection fraction, of the left ventricle.

    ed and es are masks (X, Y, Z); spacing holds three distances in mm.
    """
    ### BEGIN SOLUTION
    voxel = math.prod(spacing) / 1000  # ml
    edv, esv = ((mask == 1).sum() * voxel for mask in (ed, es))
    return edv, esv, 1 - esv / edv
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "attribute-vae-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.ejection(ejection)
### BEGIN HIDDEN TESTS
check.ejection(ejection, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="distance of the slices is missing"
# Areas are added up, and the distance of the slices is forgotten.
def ejection(ed, es, spacing):
    pixel = spacing[0] * spacing[1] / 1000
    edv, esv = ((mask == 1).sum() * pixel for mask in (ed, es))
    return edv, esv, 1 - esv / edv


# %% tags=["wrong-answer"] says="cubic millimetres"
# The volumes are left in cubic millimetres.
def ejection(ed, es, spacing):
    voxel = math.prod(spacing)
    edv, esv = ((mask == 1).sum() * voxel for mask in (ed, es))
    return edv, esv, 1 - esv / edv


# %% tags=["wrong-answer"] says="counted together"
# The muscle is counted with the cavity.
def ejection(ed, es, spacing):
    voxel = math.prod(spacing) / 1000
    edv, esv = (np.isin(mask, (1, 2)).sum() * voxel for mask in (ed, es))
    return edv, esv, 1 - esv / edv


# %% tags=["wrong-answer"] says="that stays"
# The share of the blood that stays is taken for the share that leaves.
def ejection(ed, es, spacing):
    voxel = math.prod(spacing) / 1000
    edv, esv = ((mask == 1).sum() * voxel for mask in (ed, es))
    return edv, esv, esv / edv


# %% [markdown] objectives=[2]
# (exercise-attribute-vae-2)=
# ## Exercise 2: An order, and how it is pulled
#
# *Derive and implement, 20 minutes, 4 points.* Write {eq}`eq-attribute-vae-2` for one attribute, the mean over all
# $B^2$ pairs. Then write its gradient with respect to each code, **without** automatic differentiation: open the
# absolute value with $s_{ij} = \mathrm{sgn}(a_i - a_j)$, differentiate, and count in how many pairs an image is. No
# two attributes are equal.


# %% nbgrader={"grade": false, "grade_id": "attribute-vae-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def order_loss(z, a, delta):
    """Equation 2 of codes z (B,) and an attribute a (B,): a scalar."""
    ### BEGIN SOLUTION
    codes, wanted = z[:, None] - z, (a[:, None] - a).sign()
    return (torch.tanh(delta * codes) - wanted).abs().mean()
    ### END SOLUTION


def slope(z, a, delta):
    """The derivative of the loss by each code, (B,)."""
    ### BEGIN SOLUTION
    near = 1 - torch.tanh(delta * (z[:, None] - z)).square()
    signs = (a[:, None] - a).sign()
    return -2 * delta / len(z) ** 2 * (signs * near).sum(1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "attribute-vae-2-check", "locked": true, "points": 4, "schema_version": 3, "solution": false, "task": false}
check.order(order_loss, slope)
### BEGIN HIDDEN TESTS
check.order(order_loss, slope, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="image with itself"
# The mean is over pairs of different images.
def order_loss(z, a, delta):
    pairs = (
        torch.tanh(delta * (z[:, None] - z)) - (a[:, None] - a).sign()
    ).abs()
    return pairs.sum() / (len(z) * (len(z) - 1))


# %% tags=["wrong-answer"] says="only their sign does"
# The attribute enters with its size, through a tanh of its own.
def order_loss(z, a, delta):
    return (
        (torch.tanh(delta * (z[:, None] - z)) - torch.tanh(a[:, None] - a))
        .abs()
        .mean()
    )


# %% tags=["wrong-answer"] says="factor of 2"
# Image i is believed to be in the pairs (i, j) alone.
def slope(z, a, delta):
    near = 1 - torch.tanh(delta * (z[:, None] - z)).square()
    return -delta / len(z) ** 2 * ((a[:, None] - a).sign() * near).sum(1)


# %% tags=["wrong-answer"] says="inner derivative"
# The derivative of the argument of tanh is forgotten.
def slope(z, a, delta):
    near = 1 - torch.tanh(delta * (z[:, None] - z)).square()
    return -2 / len(z) ** 2 * ((a[:, None] - a).sign() * near).sum(1)


# %% tags=["wrong-answer"] says="without automatic differentiation"
# PyTorch differentiates.
def slope(z, a, delta):
    z = z.detach().requires_grad_()
    return torch.autograd.grad(order_loss(z, a, delta), z)[0]


# %% [markdown] objectives=[3]
# (exercise-attribute-vae-3)=
# ## Exercise 3: Who is pushed how hard?
#
# *Implement and explain, 15 minutes, 3 points.* A world of two images and two codes. Tables hold $q(z \mid x)$, a row
# for each image; $p(x \mid z)$, a row for each code; and the prior $p(z)$. Compute the ELBO of each image,
# $\sum_z q(z \mid x) \left(\log p(x \mid z) + \log p(z) - \log q(z \mid x)\right)$. Then return the weight with which
# the gradient of each *generated* image's ELBO enters the encoder's loss, the derivative of the exponential in
# {eq}`eq-attribute-vae-4`.
#
# Then say which of two generated images the encoder is working on more: a) one with the ELBO −0.5, b) one with −2.


# %% nbgrader={"grade": false, "grade_id": "attribute-vae-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def scores(q, likelihood, prior):
    """The ELBO of each image, (2,).

    q is (images, codes), likelihood (codes, images), prior (codes,).
    """
    ### BEGIN SOLUTION
    joint = likelihood.T.log() + prior.log()
    return (q * (joint - q.log())).sum(1)
    ### END SOLUTION


def pulls(elbo, alpha):
    """The derivative of exp(α ELBO) / α by the ELBO, (2,)."""
    ### BEGIN SOLUTION
    return torch.exp(alpha * elbo)
    ### END SOLUTION


more = ...  # "a" or "b"
### BEGIN SOLUTION
more = "a"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "attribute-vae-3-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.weights(scores, pulls, more)
### BEGIN HIDDEN TESTS
check.weights(scores, pulls, more, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="not added"
# The KL is added, as in the loss that is minimised.
def scores(q, likelihood, prior):
    told = (q * likelihood.T.log()).sum(1)
    return told + (q * (q / prior).log()).sum(1)


# %% tags=["wrong-answer"] says="rows are codes"
# The table of the decoder is not transposed.
def scores(q, likelihood, prior):
    return (q * (likelihood.log() + prior.log() - q.log())).sum(1)


# %% tags=["wrong-answer"] says="cancels"
# The inner derivative is taken, and the division by α forgotten.
def pulls(elbo, alpha):
    return alpha * torch.exp(alpha * elbo)


# %% tags=["wrong-answer"] says="recognised already"
# The image with the worse score is believed to be pushed harder.
more = "b"

# %% [markdown] objectives=[4]
# (exercise-attribute-vae-4)=
# ## Exercise 4: A perfect code with a poor score
#
# *Predict, run and explain, 15 minutes, 2 points.* Two standard normal attributes have the correlation 0.8. Dimension
# $k$ of a code **is** attribute $k$. **Before you run the cell below**: what are SCC and SAP, with squared Pearson
# correlations? And what is SAP of the same code cubed, dimension by dimension, $z_k = a_k^3$, which has the same
# order? You may use that the squared correlation of a standard normal $a$ with $a^3$ is $9/15$, and that of $a_l$
# with $a_k^3$ is $\rho^2 \cdot 9/15$.

# %% nbgrader={"grade": false, "grade_id": "attribute-vae-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
scc = ...
sap_line = ...
sap_bent = ...
### BEGIN SOLUTION
scc = 1.0
sap_line = 1 - 0.8**2
sap_bent = 9 / 15 * (1 - 0.8**2)
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "attribute-vae-4-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
rng = np.random.default_rng(seed)
first, other = rng.standard_normal((2, settings["simulated"]))
attributes = np.stack([first, 0.8 * first + 0.6 * other], 1)
found = [
    disentanglement.scc(attributes**3, attributes).score,
    disentanglement.sap(attributes, attributes, kind="continuous").score,
    disentanglement.sap(attributes**3, attributes, kind="continuous").score,
]
print(
    f"SCC {found[0]:.3f}, SAP {found[1]:.3f}, of the bent code {found[2]:.3f}"
)

# %% nbgrader={"grade": true, "grade_id": "attribute-vae-4-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.correlated((scc, sap_line, sap_bent), found)

# %% tags=["wrong-answer"] says="SAP takes squared correlations"
# The correlations are not squared.
sap_line = 1 - 0.8

# %% tags=["wrong-answer"] says="a comma separates numbers"
# The decimal comma makes a pair of two numbers.
sap_line = 0, 36

# %% tags=["wrong-answer"] says="lead over it"
# The prediction of the second best dimension is given instead of the lead over it.
sap_line = 0.8**2

# %% tags=["wrong-answer"] says="not on a line"
# A curve in perfect order is believed to cost nothing.
sap_bent = 1 - 0.8**2

# %% tags=["wrong-answer"] says="does not suffer"
# The correlation of the attributes is believed to limit SCC.
scc = 0.8


# %% tags=["wrong-answer"] says="SCC asks for the order"
# The second best is subtracted in SCC, too.
scc = 0.36


# %% [markdown] objectives=[]
# (exercise-attribute-vae-5)=
# ## Exercise 5: What is a standard deviation of the code, in millilitres?
#
# *Implement, 20 minutes, 3 points.* A regularised dimension has the order of a volume, and no unit. Fit the line
# $\mathrm{ml} = a + b z$, and return what one standard deviation of $z$ is in ml. Then give a 95 % interval of it by
# bootstrap, the percentiles 2.5 and 97.5. There are several images of each patient, with one volume. Draw
# **patients** with replacement, with all of their images, at least 5 000 times.


# %% nbgrader={"grade": false, "grade_id": "attribute-vae-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def per_deviation(z, ml):
    """Millilitres per standard deviation of the code; z and ml are (N,)."""
    ### BEGIN SOLUTION
    return np.polyfit(z, ml, 1)[0] * z.std()
    ### END SOLUTION


def interval(z, ml, patient):
    """The ends of a 95 % interval of per_deviation, over patients.

    z, ml and patient are arrays (N,), a row for each image.
    """
    ### BEGIN SOLUTION
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(patient == p) for p in np.unique(patient)]
    drawn = []
    for _ in range(5_000):
        chosen = rng.integers(len(rows), size=len(rows))
        images = np.concatenate([rows[c] for c in chosen])
        drawn.append(per_deviation(z[images], ml[images]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    return low, high
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "attribute-vae-5-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.millilitres(per_deviation, interval)
### BEGIN HIDDEN TESTS
check.millilitres(per_deviation, interval, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="per unit of the code"
# The slope is given as it is, per unit of a code that has no unit.
def per_deviation(z, ml):
    return np.polyfit(z, ml, 1)[0]


# %% tags=["wrong-answer"] says="multiplied by the variance"
# The variance of the code is taken for its standard deviation.
def per_deviation(z, ml):
    return np.polyfit(z, ml, 1)[0] * z.var()


# %% tags=["wrong-answer"] says="no independent witnesses"
# Images are drawn instead of patients.
def interval(z, ml, patient):
    rng = np.random.default_rng(0)
    drawn = []
    for _ in range(1_000):
        images = rng.integers(len(z), size=len(z))
        drawn.append(np.polyfit(z[images], ml[images], 1)[0] * z[images].std())
    return tuple(np.percentile(drawn, [2.5, 97.5]))


# %% tags=["wrong-answer"] says="leaves 16 % on either side"
# The interval holds 68 % of the draws, plus and minus one standard deviation.
def interval(z, ml, patient):
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(patient == p) for p in np.unique(patient)]
    drawn = []
    for _ in range(1_000):
        chosen = rng.integers(len(rows), size=len(rows))
        images = np.concatenate([rows[c] for c in chosen])
        drawn.append(np.polyfit(z[images], ml[images], 1)[0] * z[images].std())
    return tuple(np.percentile(drawn, [16, 84]))


# %% tags=["wrong-answer"] says="leaves 5 % on either side"
# The interval holds 90 % of the draws.
def interval(z, ml, patient):
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(patient == p) for p in np.unique(patient)]
    drawn = []
    for _ in range(5_000):
        chosen = rng.integers(len(rows), size=len(rows))
        images = np.concatenate([rows[c] for c in chosen])
        drawn.append(np.polyfit(z[images], ml[images], 1)[0] * z[images].std())
    return tuple(np.percentile(drawn, [5, 95]))


# %% tags=["wrong-answer"] says="has to count twice"
# The rows of the patients that were drawn are found by their names, so that nobody counts twice.
def interval(z, ml, patient):
    rng = np.random.default_rng(0)
    people = np.unique(patient)
    drawn = []
    for _ in range(5_000):
        chosen = rng.choice(people, size=len(people))
        images = np.isin(patient, chosen)
        drawn.append(np.polyfit(z[images], ml[images], 1)[0] * z[images].std())
    return tuple(np.percentile(drawn, [2.5, 97.5]))


# %% [markdown]
# With your functions: a code that is the LV's volume of phantoms in standard units, and one that is its logarithm.
# Both are in perfect order. Is a standard deviation the same number of ml?

# %% nbgrader={"grade": false, "grade_id": "attribute-vae-5-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
lv = heart.sample_factors(400, seed)["LVEDV"].double().numpy()
for name, code in (("volume", lv), ("its logarithm", np.log(lv))):
    code = (code - code.mean()) / code.std()
    low, high = interval(code, lv, np.arange(len(lv)))
    print(
        f"{name:<14} {per_deviation(code, lv):.1f} ml per standard deviation, "
        f"95 % interval {low:.1f} to {high:.1f}"
    )

# %% [markdown]
# Not quite. The line explains all of the first code and less of the second, since the logarithm is bent: the order is the same, and
# the ml are the correlation times the volumes' own deviation.

# %% [markdown] objectives=[3]
# (exercise-attribute-vae-6)=
# ## Exercise 6: The best generator of the game
#
# *Derive and implement, 20 minutes, 2 points.* Let encoder and decoder of {eq}`eq-attribute-vae-4` be free tables,
# and the assumptions of the chapter hold. The generator that wins minimises
# $\mathrm{KL}(p \,\|\, p_d) + \eta\, H(p_d)$. Write that as one sum over images of logarithms of $p_d$, leave out
# what does not depend on $p_d$, and find the minimum numerically to three digits, for instance with
# $p_d = \mathrm{softmax}(\ell)$ and `torch.optim`.


# %% nbgrader={"grade": false, "grade_id": "attribute-vae-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def optimum(data, eta):
    """The minimum of KL(data ‖ p_d) + η H(p_d) over p_d, (X,).

    data holds probabilities (X,), all of them positive.
    """
    ### BEGIN SOLUTION
    logits = data.log().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.01)
    for _ in range(1_500):
        log_p = logits.log_softmax(0)
        loss = -((data + eta * log_p.exp()) * log_p).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return logits.detach().softmax(0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "attribute-vae-6-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.optimum(optimum)
### BEGIN HIDDEN TESTS
check.optimum(optimum, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="that is the data"
# The game is believed to end at the data for every η.
def optimum(data, eta):
    return data


# %% tags=["wrong-answer"] says="have to be in a tensor"
# The probabilities are returned as a list.
def optimum(data, eta):
    logits = data.log().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.01)
    for _ in range(1_500):
        log_p = logits.log_softmax(0)
        loss = -((data + eta * log_p.exp()) * log_p).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return logits.detach().softmax(0).tolist()


# %% tags=["wrong-answer"] says="first order in η"
# The chapter's first order is taken for the minimum.
def optimum(data, eta):
    entropy = -(data * data.log()).sum()
    return data + eta * data * (data.log() + entropy)


# %% tags=["wrong-answer"] says="sign is wrong"
# The entropy is rewarded, as in many other methods.
def optimum(data, eta):
    logits = data.log().requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.01)
    for _ in range(1_500):
        log_p = logits.log_softmax(0)
        loss = -((data - eta * log_p.exp()) * log_p).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return logits.detach().softmax(0)
