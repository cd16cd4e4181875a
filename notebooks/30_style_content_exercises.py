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
# (style-content-exercises)=
# # Exercises: style and content
#
# Eight exercises on the chapter {ref}`style-content`, 20 points, about two hours. Each asks you to replace `...` or
# `raise NotImplementedError` by lines of your own; the cell after it checks your answer, and says in a sentence what
# is wrong with it or what follows from it. Run the notebook from the top. A check may be run as often as you like. A
# norm of a code is the mean of absolute values over its dimensions, as in the chapter.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "style-content-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import functools
import math

import numpy as np
import torch

from medlatent.course import choose
from medlatent.course.exercises import style_content as check
from medlatent.data.phantoms import lesion
from medlatent.models import DAI, TwoVariableModel
from medlatent.models import style_content_terms as terms
from medlatent.training import train

settings = choose(
    {
        "ci": {"images": 200, "updates": 20},
        "laptop": {"images": 1_000, "updates": 500},
        "paper": {"images": 5_000, "updates": 5_000},
    },
    profile,
)
_ = torch.manual_seed(seed)

# %% [markdown] objectives=[1]
# (exercise-style-content-1)=
# ## Exercise 1: A generator that leaves the discriminator helpless
#
# *Implement and explain, 15 minutes, 2 points.* A table holds $p(x, t)$, how often each image occurs with each
# condition. The mismatched pairs of {eq}`eq-style-content-1` have image and condition drawn apart,
# $m(x, t) = p(x)\, p(t)$. Write the table $g(x, t)$ for which the best $D_{x,t}$ says ½ to every pair; and the best
# $D_{x,t}$ of any generator.
#
# $g$ may come out negative at some pair. What does that mean?
#
# - **a** The generator never draws that pair, and the rest of the table stays as it is.
# - **b** The pair is mismatched more than twice as often as it is real. No generator leaves the discriminator
#   helpless: at that pair it stays below ½, whatever is drawn.
# - **c** The generator draws that pair less often than the data do.


# %% nbgrader={"grade": false, "grade_id": "style-content-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def helpless(p):
    """g(x, t) that leaves D helpless, of p(x, t); both are (images, conditions)."""
    ### BEGIN SOLUTION
    apart = p.sum(1, keepdim=True) * p.sum(0)
    return 2 * p - apart
    ### END SOLUTION


def output(p, g):
    """The best D_{x,t} of a generator g(x, t), (images, conditions)."""
    ### BEGIN SOLUTION
    apart = p.sum(1, keepdim=True) * p.sum(0)
    return p / (p + apart / 2 + g / 2)
    ### END SOLUTION


meaning = ...  # "a", "b" or "c"
### BEGIN SOLUTION
meaning = "b"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "style-content-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.helpless_generator(helpless, output, meaning)
### BEGIN HIDDEN TESTS
check.helpless_generator(helpless, output, meaning, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="that is the data"
# The game is believed to end at the data.
def helpless(p):
    return p


# %% tags=["wrong-answer"] says="conditional on t"
# The formula for the images of one condition is taken for the joint table.
def helpless(p):
    return 2 * p / p.sum(0) - p.sum(1, keepdim=True)


# %% tags=["wrong-answer"] says="not equally frequent"
# Mismatched pairs are taken to be all alike.
def helpless(p):
    return 2 * p - 1 / p.numel()


# %% tags=["wrong-answer"] says="negative values are cut off"
# What cannot be a probability is hidden.
def helpless(p):
    return (2 * p - p.sum(1, keepdim=True) * p.sum(0)).clamp(min=0)


# %% tags=["wrong-answer"] says="has the weight ½"
# Both kinds of negatives get a whole weight.
def output(p, g):
    return p / (p + p.sum(1, keepdim=True) * p.sum(0) + g)


# %% tags=["wrong-answer"] says="mismatched pairs are missing"
# The discriminator of a conditional GAN without mismatched pairs.
def output(p, g):
    return p / (p + g)


# %% tags=["wrong-answer"] says="sum to more than 1"
# A negative probability is believed to be as good as none.
meaning = "a"

# %% tags=["wrong-answer"] says="0 < 2p - m < p"
# Less than nothing is taken for less than before.
meaning = "c"

# %% [markdown]
# With your functions: a world in which the image shows its condition, as a disc shows its size. Nobody is helpless
# there. Look at what the discriminator says of a generator that draws the data: the same of every image of a
# condition. No image is judged better than another, so the generator gains nothing by drawing one of them more often:
# in this world the game ends at the data.

# %% nbgrader={"grade": false, "grade_id": "style-content-1-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
shown = torch.tensor([[0.3, 0.0], [0.1, 0.0], [0.0, 0.4], [0.0, 0.2]]).double()
print("2p - m, rows are images")
print(helpless(shown).numpy().round(2))
print("D of the data")
print(output(shown, shown).numpy().round(3))

# %% [markdown] objectives=[2]
# (exercise-style-content-2)=
# ## Exercise 2: One joint, on a table
#
# *Implement, 15 minutes, 2 points.* A game of {eq}`eq-style-content-2` in which everything can be written down: three
# codes and four images. Given are the prior $p(z)$, the generator $p(x|z)$ with a row for each code, the images
# $q(x)$, and the encoder $q(z|x)$ with a row for each image. Write the two joints, each with a row for each image;
# what the best discriminator says of each pair, where an inferred pair is a positive; and whether the game is over:
# whether no discriminator can do better than ½. Compare up to rounding.


# %% nbgrader={"grade": false, "grade_id": "style-content-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def joints(p_z, p_x_z, q_x, q_z_x):
    """q(x, z) and p(x, z), both (X, Z).

    p_z is (Z,), p_x_z (Z, X), q_x (X,), q_z_x (X, Z).
    """
    ### BEGIN SOLUTION
    inferred = q_x[:, None] * q_z_x
    generated = (p_z[:, None] * p_x_z).T
    return inferred, generated
    ### END SOLUTION


def judge(q, p):
    """What the best discriminator says of each pair, (X, Z)."""
    ### BEGIN SOLUTION
    return q / (q + p)
    ### END SOLUTION


def over(q, p):
    """True or False: the best discriminator says ½ to everything."""
    ### BEGIN SOLUTION
    return torch.allclose(judge(q, p), torch.full_like(q, 0.5))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "style-content-2-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.inference(joints, judge, over)
### BEGIN HIDDEN TESTS
check.inference(joints, judge, over, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="q comes first"
# The two joints are exchanged.
def joints(p_z, p_x_z, q_x, q_z_x):
    return (p_z[:, None] * p_x_z).T, q_x[:, None] * q_z_x


# %% tags=["wrong-answer"] says="here rows are images"
# The generator's table is left as it is, a row for each code.
def joints(p_z, p_x_z, q_x, q_z_x):
    return q_x[:, None] * q_z_x, p_z[:, None] * p_x_z


# %% tags=["wrong-answer"] says="drawn from the prior"
# Images are generated from the codes that the encoder infers.
def joints(p_z, p_x_z, q_x, q_z_x):
    q = q_x[:, None] * q_z_x
    return q, (q.sum(0)[:, None] * p_x_z).T


# %% tags=["wrong-answer"] says="inferred pairs are the positives"
# The discriminator is believed to look for generated pairs.
def judge(q, p):
    return p / (q + p)


# %% tags=["wrong-answer"] says="paired without a look at each other"
# The game is believed to be over when images and codes are each right.
def over(q, p):
    images = torch.allclose(q.sum(1), p.sum(1))
    return images and torch.allclose(q.sum(0), p.sum(0))


# %% tags=["wrong-answer"] says="which is no rounding"
# Joints are compared so generously that a game goes for over that is not.
def over(q, p):
    return torch.allclose(judge(q, p), torch.full_like(q, 0.5), atol=0.05)


# %% tags=["wrong-answer"] says="up to rounding"
# Two sums of floating-point numbers are asked to agree in their last bit.
def over(q, p):
    return torch.equal(q, p + 1e-17 * torch.randint(2, p.shape) + 1e-16)


# %% [markdown] objectives=[1]
# (exercise-style-content-3)=
# ## Exercise 3: The condition of another image
#
# *Implement and derive, 20 minutes, 3 points.* $D_{x,t}$ of {eq}`eq-style-content-1` needs mismatched pairs. Write the
# function that gives each image of a batch the position of an image *with another condition*, drawn at random among
# all of those, each as likely as the next; and of each image, whether there is one at all. If there is none, its position may be any; mind
# that `torch.multinomial` refuses a row of zeros.
#
# Then derive how often each condition is drawn as the *other* one, in a large batch of which the conditions have the
# shares $p(t)$.


# %% nbgrader={"grade": false, "grade_id": "style-content-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def another(t):
    """Positions (B,) of images with another condition; whether there is one.

    t holds the number of the condition of each image, (B,).
    """
    ### BEGIN SOLUTION
    differs = t[:, None] != t
    lots = torch.rand(differs.shape).masked_fill(~differs, -1.0)
    return lots.argmax(1), differs.any(1)
    ### END SOLUTION


def shares(p):
    """How often each condition is that of `another` image, (K,)."""
    ### BEGIN SOLUTION
    pairs = p[:, None] * p / (1 - p[:, None])  # own condition, the other's
    return pairs.fill_diagonal_(0).sum(0)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "style-content-3-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.mismatched(another, shares)
### BEGIN HIDDEN TESTS
check.mismatched(another, shares, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="would be called mismatched"
# The next image is taken, whatever its condition.
def another(t):
    chosen = torch.arange(len(t)).roll(-1)
    return chosen, torch.ones(len(t)).bool()


# %% tags=["wrong-answer"] says="called mismatched"
# The batch is shuffled.
def another(t):
    return torch.randperm(len(t)), torch.ones(len(t)).bool()


# %% tags=["wrong-answer"] says="same partner in each call"
# The first image with another condition is taken.
def another(t):
    differs = t[:, None] != t
    return differs.int().argmax(1), differs.any(1)


# %% tags=["wrong-answer"] says="not conditions"
# A condition is drawn first, and then one of its images.
def another(t):
    chosen = torch.zeros(len(t)).long()
    for i in range(len(t)):
        others = t[t != t[i]].unique()
        if len(others):
            condition = others[torch.randint(len(others), ())]
            rows = (t == condition).nonzero().flatten()
            chosen[i] = rows[torch.randint(len(rows), ())]
    return chosen, (t[:, None] != t).any(1)


# %% tags=["wrong-answer"] says="that has one alone"
# Nobody asks whether there is another condition.
def another(t):
    differs = t[:, None] != t
    lots = torch.rand(differs.shape).masked_fill(~differs, -1.0)
    return lots.argmax(1), torch.ones(len(t)).bool()


# %% tags=["wrong-answer"] says="have to be in a tensor"
# Positions and truth values are gathered in lists.
def another(t):
    chosen, exists = [], []
    for own in t:
        others = (t != own).nonzero().flatten().tolist()
        exists.append(bool(others))
        chosen.append(int(np.random.choice(others)) if others else 0)
    return chosen, exists


# %% tags=["wrong-answer"] says="hits the frequent ones most"
# The other condition is believed to have the shares of the data.
def shares(p):
    return p


# %% tags=["wrong-answer"] says="do not sum to 1"
# Each image is believed to draw among all.
def shares(p):
    return p * (1 - p)


# %% [markdown]
# It would be shorter to give each image the condition of the *next* one. Three conditions have the shares 4 : 1 : 1.
# How often has the next image the same condition? And what should $D_{x,t}$ see as its mismatched pair in a batch of
# which all images have one condition?
#
# - **a** An image with its own condition. It is one batch of many.
# - **b** No mismatched pair: the generated pair is given its half of the weight, too.
# - **c** An image with a vector of zeros for a condition.

# %% nbgrader={"grade": false, "grade_id": "style-content-3-next", "locked": false, "schema_version": 3, "solution": true, "task": false}
same = ...  # a probability
alone = ...  # "a", "b" or "c"
### BEGIN SOLUTION
same = (4 / 6) ** 2 + 2 * (1 / 6) ** 2
alone = "b"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "style-content-3-next-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.next_image(same, alone)

# %% tags=["wrong-answer"] says="a comma separates numbers"
# The decimal comma makes a pair of two numbers.
same = 0, 5

# %% tags=["wrong-answer"] says="the next has to have it as well"
# The share of the frequent condition is given.
same = 4 / 6

# %% tags=["wrong-answer"] says="follow each other, too"
# Only the frequent condition is counted.
same = (4 / 6) ** 2

# %% tags=["wrong-answer"] says="three equally frequent conditions"
# The shares are forgotten.
same = 1 / 3

# %% tags=["wrong-answer"] says="the opposite of what it is there for"
# A wrong label is thought to be harmless where it is rare.
alone = "a"

# %% tags=["wrong-answer"] says="need not look at the image"
# Something that is never a condition is taken for a mismatched one.
alone = "c"

# %% [markdown] objectives=[3]
# (exercise-style-content-4)=
# ## Exercise 4: A gradient in reverse
#
# *Implement and derive, 20 minutes, 3 points.* Write the layer of {eq}`eq-style-content-11` yourself, with a
# `torch.autograd.Function` or with `x.detach()`: forwards it gives the values of `x`; backwards the gradient is
# multiplied by −`strength`. What reaches `x` by another way is left alone.
#
# Then the smallest game there is. Two numbers play for the loss $\mathrm{reverse}(a) \cdot u$, with a strength of 1.
# The predictor $u$ goes downhill, and so would the encoder $a$, were it not for the layer. Write by hand, without
# automatic differentiation, where one step of gradient descent with the rate $\eta$ takes both, at once. By which
# factor does the step change their distance $\sqrt{a^2 + u^2}$ from $(0, 0)$, where neither has a reason to move?


# %% nbgrader={"grade": false, "grade_id": "style-content-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def reverse(x, strength=1.0):
    """x; backwards, the gradient times -strength."""
    ### BEGIN SOLUTION
    return x.detach() + strength * (x.detach() - x)
    ### END SOLUTION


def step(a, u, rate):
    """a and u, two numbers, after one step of both."""
    ### BEGIN SOLUTION
    return a + rate * u, u - rate * a
    ### END SOLUTION


def growth(rate):
    """The distance from (0, 0) after the step, divided by that before it."""
    ### BEGIN SOLUTION
    # (a + ηu)² + (u - ηa)² = (1 + η²)(a² + u²)
    return math.sqrt(1 + rate**2)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "style-content-4-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.reversal(reverse, step, growth)
### BEGIN HIDDEN TESTS
check.reversal(reverse, step, growth, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="forwards nothing is reversed"
# The values are reversed as well.
def reverse(x, strength=1.0):
    return -strength * x


# %% tags=["wrong-answer"] says="nothing is reversed: the values"
# The values are multiplied by minus one, whatever the strength is.
def reverse(x, strength=1.0):
    return -x


# %% tags=["wrong-answer"] says="no gradient flows"
# The gradient is stopped, not reversed.
def reverse(x, strength=1.0):
    return x.detach()


# %% tags=["wrong-answer"] says="by another way"
# A hook on x turns all gradients of x.
def reverse(x, strength=1.0):
    x.register_hook(lambda slope: -strength * slope)
    return x.view_as(x)


# %% tags=["wrong-answer"] says="strength is missing"
# The strength is forgotten.
def reverse(x, strength=1.0):
    return 2 * x.detach() - x


# %% tags=["wrong-answer"] says="both go downhill"
# The layer is forgotten.
def step(a, u, rate):
    return a - rate * u, u - rate * a


# %% tags=["wrong-answer"] says="u has to use the a of before"
# The second player already knows where the first has gone.
def step(a, u, rate):
    a = a + rate * u
    return a, u - rate * a


# %% tags=["wrong-answer"] says="along the circle leaves it"
# The step is believed to follow the circle.
def growth(rate):
    return 1.0


# %% tags=["wrong-answer"] says="square of the distance"
# The root is forgotten.
def growth(rate):
    return 1 + rate**2


# %% tags=["wrong-answer"] says="without automatic differentiation"
# The step is left to PyTorch.
def step(a, u, rate):
    a, u = (torch.tensor(v, requires_grad=True) for v in (a, u))
    up, down = torch.autograd.grad(a * u, (a, u))
    return (a + rate * up).item(), (u - rate * down).item()


# %% [markdown]
# With your functions: the same game by autograd, a hundred steps. With plain gradient descent, with the Adam of the
# chapter's systems, and with the KL of a code of mean $a$ and variance 1 to the prior, $\frac12 a^2$, in the loss of
# the encoder. Only with it do the players come to rest: in {eq}`eq-style-content-16` the KL does more than hold codes
# to a scale.

# %% nbgrader={"grade": false, "grade_id": "style-content-4-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
adam = functools.partial(torch.optim.Adam, betas=(0.5, 0.999))
for name, optimiser, lam in (
    ("SGD", torch.optim.SGD, 0.0),
    ("Adam", adam, 0.0),
    ("SGD and KL", torch.optim.SGD, 1.0),
):
    a, u = (torch.tensor(v, requires_grad=True) for v in (1.0, 0.0))
    players = optimiser([a, u], lr=0.1)
    for _ in range(100):
        players.zero_grad()
        (reverse(a) * u + lam * a.square() / 2).backward()
        players.step()
    print(f"{name}: from 1 to {math.hypot(a.item(), u.item()):.3f}")
print(f"SGD by hand: {growth(0.1) ** 100:.3f}")

# %% [markdown] objectives=[4]
# (exercise-style-content-5)=
# ## Exercise 5: Attract and repel
#
# *Implement and derive, 15 minutes, 2 points.* Write the cycle of codes {eq}`eq-style-content-9` and the term that
# attracts contents and repels styles {eq}`eq-style-content-15`, one value for each image.
#
# Let the style of an image have the mean $m$ in all $D$ dimensions, that of its mirror image $-m$, both with unit
# variances, and let the contents be the same. Their KL to the prior is $\frac12 m^2$ a dimension. Put these means in the place of drawn
# styles in $-\lVert \hat z - \hat z' \rVert$, and add $\lambda$ times the KL. At which $m$ is the sum smallest, if the KL is a mean over
# the dimensions? And if it is their sum? The norm is a mean in both cases, and the KL is that of an
# image, a mean over both.


# %% nbgrader={"grade": false, "grade_id": "style-content-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def cycle(z, c, z_again, c_again):
    """‖z' - z‖ + ‖c' - c‖, (B,); styles are (B, D_z), contents (B, D_c)."""
    ### BEGIN SOLUTION
    return (z_again - z).abs().mean(1) + (c_again - c).abs().mean(1)
    ### END SOLUTION


def contrast(z, c, z_turned, c_turned):
    """‖ĉ - ĉ'‖ - ‖ẑ - ẑ'‖, (B,)."""
    ### BEGIN SOLUTION
    return (c - c_turned).abs().mean(1) - (z - z_turned).abs().mean(1)
    ### END SOLUTION


def apart(lam, dim, summed):
    """The best m, a number; summed is True where the KL is a sum over dim."""
    ### BEGIN SOLUTION
    return 2 / (lam * dim) if summed else 2 / lam
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "style-content-5-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.distances(cycle, contrast, apart)
### BEGIN HIDDEN TESTS
check.distances(cycle, contrast, apart, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="does not grow with the code"
# The ℓ1 norm itself, a sum.
def cycle(z, c, z_again, c_again):
    return (z_again - z).abs().sum(1) + (c_again - c).abs().sum(1)


# %% tags=["wrong-answer"] says="a mean of its own"
# Both codes are joined, and the larger one has the greater weight.
def cycle(z, c, z_again, c_again):
    return torch.cat([z_again - z, c_again - c], 1).abs().mean(1)


# %% tags=["wrong-answer"] says="signs cancel"
# The absolute value is taken of the mean.
def cycle(z, c, z_again, c_again):
    return (z_again - z).mean(1).abs() + (c_again - c).mean(1).abs()


# %% tags=["wrong-answer"] says="styles repel"
# Styles are made to attract each other, too.
def contrast(z, c, z_turned, c_turned):
    return (c - c_turned).abs().mean(1) + (z - z_turned).abs().mean(1)


# %% tags=["wrong-answer"] says="contents attract, styles repel"
# The signs are exchanged.
def contrast(z, c, z_turned, c_turned):
    return (z - z_turned).abs().mean(1) - (c - c_turned).abs().mean(1)


# %% tags=["wrong-answer"] says="dim times the weight"
# The reduction of the KL is believed to make no difference.
def apart(lam, dim, summed):
    return 2 / lam


# %% tags=["wrong-answer"] says="2 m apart"
# The distance of the two styles is taken to be m.
def apart(lam, dim, summed):
    return 1 / (lam * dim) if summed else 1 / lam


# %% tags=["wrong-answer"] says="wrong way"
# A larger KL is believed to push the styles apart.
def apart(lam, dim, summed):
    return 2 * dim / lam if summed else 2 / lam


# %% [markdown] objectives=[5]
# (exercise-style-content-6)=
# ## Exercise 6: CIFC by hand, and how to win it
#
# *Implement and derive, 25 minutes, 4 points.* Write the cross image feature consistency error
# {eq}`eq-style-content-19` of pairs of images, `a[k]` with `b[k]`. `encode` goes from images to style and content,
# `generate` from style and content to images.
#
# Then by hand, as in the chapter: an image *is* its style and its content, two numbers, and `encode` reads them. The
# generator lets a tenth of the **content** into the style, $G(z, c) = (z + 0.1\, c,\ c)$. What is the CIFC of the two
# images $(1, 3)$ and $(-2, -0.5)$, the style first? And which content would the second image have to have for the
# error to be 0, although the generator leaks?


# %% nbgrader={"grade": false, "grade_id": "style-content-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def errors(encode, generate, a, b):
    """CIFC of each pair, (N,); a and b are images (N, C, H, W)."""
    ### BEGIN SOLUTION
    z_a, c_a = encode(a)
    z_b, c_b = encode(b)
    z_ab, c_ab = encode(generate(z_b, c_a))
    z_ba, c_ba = encode(generate(z_a, c_b))
    z_aa, c_aa = encode(generate(z_ba, c_ab))
    z_bb, c_bb = encode(generate(z_ab, c_ba))
    style = (z_a - z_aa).abs() + (z_b - z_bb).abs()
    content = (c_a - c_aa).abs() + (c_b - c_bb).abs()
    return style.mean(1) + content.mean(1)
    ### END SOLUTION


leak = ...  # CIFC
hidden = ...  # the content of the second image with which it would be 0
### BEGIN SOLUTION
leak = 2 * 0.1 * abs(3 - 0.5)
hidden = -3.0
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "style-content-6-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.exchange(errors, leak, hidden)
### BEGIN HIDDEN TESTS
check.exchange(errors, leak, hidden, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="exchanged once"
# The hybrids are compared with what they were made of, without a way back.
def errors(encode, generate, a, b):
    (z_a, c_a), (z_b, c_b) = encode(a), encode(b)
    z_ab, c_ab = encode(generate(z_b, c_a))
    z_ba, c_ba = encode(generate(z_a, c_b))
    style = (z_a - z_ba).abs() + (z_b - z_ab).abs()
    content = (c_a - c_ab).abs() + (c_b - c_ba).abs()
    return style.mean(1) + content.mean(1)


# %% tags=["wrong-answer"] says="codes of reconstructions"
# An image is reconstructed from its own two codes.
def errors(encode, generate, a, b):
    total = 0
    for image in (a, b):
        z, c = encode(image)
        z_again, c_again = encode(generate(z, c))
        total = total + (z - z_again).abs().mean(1)
        total = total + (c - c_again).abs().mean(1)
    return total


# %% tags=["wrong-answer"] says="image's terms are missing"
# Only the first image is brought back.
def errors(encode, generate, a, b):
    (z_a, c_a), (z_b, c_b) = encode(a), encode(b)
    c_ab = encode(generate(z_b, c_a))[1]
    z_ba = encode(generate(z_a, c_b))[0]
    z_aa, c_aa = encode(generate(z_ba, c_ab))
    return (z_a - z_aa).abs().mean(1) + (c_a - c_aa).abs().mean(1)


# %% tags=["wrong-answer"] says="the chapter's"
# The styles are added up, as in the chapter's check.
leak = 2 * 0.1 * abs(1 - 2)

# %% tags=["wrong-answer"] says="after one exchange"
# The way back is forgotten.
leak = 0.1 * (3 + 0.5)

# %% tags=["wrong-answer"] says="with their signs"
# The signs of the contents are forgotten.
leak = 2 * 0.1 * (3 + 0.5)

# %% tags=["wrong-answer"] says="equal contents"
# Two images of one content are believed to hide the leak.
hidden = 3.0

# %% [markdown]
# Now win. Write an encoder and a generator with a CIFC of 0 for any images, although the codes say nothing of the
# image. Images are $(N, 1, 8, 8)$, both codes tensors $(N, D)$, with a $D$ of your choice.
#
# Then the score that such a pair does not win: CIFC divided by what it would be if the codes of $I_{aa}$ and of
# $I_{bb}$ were those of another image of the set. Take the mean distance over all pairs of *different* images. Codes
# that are constant have no distance; give them 1, which is chance.
#
# A third pair holds the whole image in its style, the content is constant, and the generator ignores the content.
# What is its CIFC relative to chance?
#
# - **a** 0.
# - **b** 1, because it separates nothing.
# - **c** ½, because its content is constant.


# %% nbgrader={"grade": false, "grade_id": "style-content-6-win", "locked": false, "schema_version": 3, "solution": true, "task": false}
def idle_encode(x):
    """Style and content (N, D) of images (N, 1, 8, 8)."""
    ### BEGIN SOLUTION
    return torch.zeros(len(x), 2), torch.zeros(len(x), 2)
    ### END SOLUTION


def idle_generate(z, c):
    """Images (N, 1, 8, 8) of style and content."""
    ### BEGIN SOLUTION
    return torch.full((len(z), 1, 8, 8), 0.5)
    ### END SOLUTION


def relative(score, z, c):
    """CIFC beside chance; z and c are the codes (N, D) of a set of images."""
    ### BEGIN SOLUTION
    chance = 2 * sum(
        torch.pdist(code, 1).mean() / code.shape[1] for code in (z, c)
    )
    return score / chance if chance > 0 else 1.0
    ### END SOLUTION


all_in_one = ...  # "a", "b" or "c"
### BEGIN SOLUTION
all_in_one = "a"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "style-content-6-win-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.trivial(idle_encode, idle_generate, relative, all_in_one)
### BEGIN HIDDEN TESTS
check.trivial(idle_encode, idle_generate, relative, all_in_one, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="tell images apart"
# The style holds the whole image, which wins the ratio, too.
def idle_encode(x):
    return x.flatten(1), torch.zeros(len(x), 2)


def idle_generate(z, c):
    return z.unflatten(1, (1, 8, 8))


# %% tags=["wrong-answer"] says="on random images, not 0"
# Noise says nothing of the image, and is another one each time.
def idle_encode(x):
    return torch.randn(len(x), 2), torch.randn(len(x), 2)


# %% tags=["wrong-answer"] says="0 / 0"
# Constant codes are divided by their distance.
def relative(score, z, c):
    return score / (
        2 * sum(torch.pdist(k, 1).mean() / k.shape[1] for k in (z, c))
    )


# %% tags=["wrong-answer"] says="which is chance, 1"
# Constant codes get the best score there is.
def relative(score, z, c):
    chance = 2 * sum(torch.pdist(k, 1).mean() / k.shape[1] for k in (z, c))
    return score / chance if chance > 0 else 0.0


# %% tags=["wrong-answer"] says="both images count"
# One of the two images is forgotten.
def relative(score, z, c):
    chance = sum(torch.pdist(k, 1).mean() / k.shape[1] for k in (z, c))
    return score / chance if chance > 0 else 1.0


# %% tags=["wrong-answer"] says="no pair of different images"
# Each image is compared with itself as well.
def relative(score, z, c):
    chance = 2 * sum((k[:, None] - k).abs().mean() for k in (z, c))
    return score / chance if chance > 0 else 1.0


# %% tags=["wrong-answer"] says="chance is not 0, and the error is"
# The ratio is believed to catch every pair that separates nothing.
all_in_one = "b"

# %% tags=["wrong-answer"] says="adds 0 to both sides"
# A constant content is believed to count as chance for its half.
all_in_one = "c"

# %% [markdown] objectives=[]
# (exercise-style-content-7)=
# ## Exercise 7: The nearest by content
#
# *Implement and count, 15 minutes, 2 points.* An archive holds the contents of many images, several of each patient.
# Write the search: of each image the `k` nearest **of other patients**, the nearest first, by the mean absolute
# difference of contents.


# %% nbgrader={"grade": false, "grade_id": "style-content-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def nearest(content, patient, k):
    """Positions (N, k); content is an array (N, D), patient (N,)."""
    ### BEGIN SOLUTION
    distance = np.abs(content[:, None] - content).mean(2)
    distance[patient[:, None] == patient] = np.inf
    return distance.argsort(1)[:, :k]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "style-content-7-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.retrieval(nearest)
### BEGIN HIDDEN TESTS
check.retrieval(nearest, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="each image finds itself"
# Nobody is left out.
def nearest(content, patient, k):
    distance = np.abs(content[:, None] - content).mean(2)
    return distance.argsort(1)[:, :k]


# %% tags=["wrong-answer"] says="leave out all of them"
# The image itself is left out, and its patient is not.
def nearest(content, patient, k):
    distance = np.abs(content[:, None] - content).mean(2)
    np.fill_diagonal(distance, np.inf)
    return distance.argsort(1)[:, :k]


# %% tags=["wrong-answer"] says="have to be in a NumPy array"
# The positions are gathered in lists.
def nearest(content, patient, k):
    found = []
    for image, own in zip(content, patient, strict=True):
        distance = np.abs(content - image).mean(1)
        distance[patient == own] = np.inf
        found.append(distance.argsort()[:k].tolist())
    return found


# %% tags=["wrong-answer"] says="Euclidean"
# Another distance is taken than the paper's.
def nearest(content, patient, k):
    distance = np.square(content[:, None] - content).mean(2)
    distance[patient[:, None] == patient] = np.inf
    return distance.argsort(1)[:, :k]


# %% [markdown]
# Havaei et al. (III-C5) search an archive by content, and measure what is found in two ways. Both by hand: Labels are four attributes, yes (1) or no (0):
#
# | | label of the query | labels of the three nearest | most similar label of the archive |
# |:--|:--|:--|:--|
# | first query | 1 0 1 0 | 1 0 1 1, 0 0 1 1, 1 0 0 1 | 1 0 1 0 |
# | second query | 0 1 1 0 | 1 1 1 1, 0 1 1 1, 1 0 0 1 | 0 1 1 1 |
#
# What is the *disagreement divergence*, the mean squared difference between the labels of a query and those of its
# three nearest, over attributes, too? The *label overlap* is "the percentage of the label from the ground truth image
# found in the top-N nearest neighbors"; the ground truth is the most similar label of the archive. What is it over
# both queries, in per cent, if a query counts where one of the three carries that label or one that is as similar to
# the query? And if you compare attribute by attribute, all four, yes or no: each counts as found where at least one of the three has the same value?

# %% nbgrader={"grade": false, "grade_id": "style-content-7-labels", "locked": false, "schema_version": 3, "solution": true, "task": false}
divergence = ...
by_label = ...  # per cent
by_attribute = ...  # per cent
### BEGIN SOLUTION
divergence = ((1 + 2 + 2) + (2 + 1 + 4)) / (2 * 3 * 4)
by_label = (0 + 100) / 2
by_attribute = (75 + 100) / 2
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "style-content-7-labels-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.labels(divergence, by_label, by_attribute)

# %% tags=["wrong-answer"] says="over the four attributes"
# The differences of the attributes are added up.
divergence = ((1 + 2 + 2) + (2 + 1 + 4)) / (2 * 3)

# %% tags=["wrong-answer"] says="over the three"
# Only the most similar of the three counts.
divergence = (1 / 4 + 1 / 4) / 2

# %% tags=["wrong-answer"] says="share of queries"
# Neighbours are counted in the place of queries.
by_label = 100 / 6

# %% tags=["wrong-answer"] says="need not be that of the query"
# The label of the query itself is searched for.
by_label = 0

# %% tags=["wrong-answer"] says="one that has the attribute is enough"
# The attributes of all three neighbours are averaged.
by_attribute = 100 * ((3 + 2 + 2) + (3 + 4 + 1)) / 24

# %% tags=["wrong-answer"] says="found in none of the three"
# With three neighbours each attribute is believed to be found.
by_attribute = 100

# %% [markdown] objectives=[4]
# (exercise-style-content-8)=
# ## Exercise 8: A system of your own
#
# *Write, 10 minutes, 2 points.* Is the cycle of images needed if there is a cycle of codes? Put together the system
# that can answer: DAI, with {eq}`eq-style-content-9` in the place of {eq}`eq-style-content-8`. Write a class derived
# from `TwoVariableModel`, with an `objective` of names and terms, and with `divergences`; and return the class. The
# terms are classes of {py:mod}`medlatent.models.style_content_terms`, here `terms`.
#
# How many discriminators does it have?


# %% nbgrader={"grade": false, "grade_id": "style-content-8", "locked": false, "schema_version": 3, "solution": true, "task": false}
def code_cycle_system():
    """A class: DAI without the cycle of images, with the cycle of codes."""

    ### BEGIN SOLUTION
    class CodeCycleInference(TwoVariableModel):
        objective = {  # noqa: RUF012
            "game": terms.ConditionalGame,
            "inference": terms.DualInferenceGame,
            "code_cycle": terms.CodeCycle,
        }
        divergences = ("style", "content", "content_of_condition")

    return CodeCycleInference
    ### END SOLUTION


discriminators = ...  # a number
### BEGIN SOLUTION
discriminators = 4
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "style-content-8-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.own_system(code_cycle_system, discriminators)
### BEGIN HIDDEN TESTS
check.own_system(code_cycle_system, discriminators, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="still has ImageCycleGame"
# A term is added to those of DAI, and none is taken away.
def code_cycle_system():
    class CodeCycleInference(DAI):
        objective = DAI.objective | {"code_cycle": terms.CodeCycle}

    return CodeCycleInference


# %% tags=["wrong-answer"] says="lacks DualInferenceGame"
# The cycle of codes is taken for the game that infers codes.
def code_cycle_system():
    class CodeCycleInference(TwoVariableModel):
        objective = {  # noqa: RUF012
            "game": terms.ConditionalGame,
            "code_cycle": terms.CodeCycle,
        }
        divergences = ("style", "content", "content_of_condition")

    return CodeCycleInference


# %% tags=["wrong-answer"] says="holds that code to the prior"
# The KL terms are forgotten.
def code_cycle_system():
    class CodeCycleInference(TwoVariableModel):
        objective = {  # noqa: RUF012
            "game": terms.ConditionalGame,
            "inference": terms.DualInferenceGame,
            "code_cycle": terms.CodeCycle,
        }

    return CodeCycleInference


# %% tags=["wrong-answer"] says="without calling it"
# A model is returned in the place of its class.
def code_cycle_system():
    return DAI({"size": 3}, size=16, width=2)


# %% tags=["wrong-answer"] says="the cycle of images has a D_cycle"
# The discriminators of DAI are counted.
discriminators = 5

# %% tags=["wrong-answer"] says="number of games"
# Games are counted in the place of discriminators.
discriminators = 2

# %% [markdown]
# Yours and DAI on phantoms of lesions, whose condition is the diagnosis. A few updates show that both run, and which
# terms each has. To answer the question, take the profile `laptop`, and look at reconstructions as the chapter does.

# %% nbgrader={"grade": false, "grade_id": "style-content-8-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
lesions = lesion.generate(settings["images"], seed=seed, size=16)
picture = lesions.split("test").batch(slice(0, 64))
for system in (DAI, code_cycle_system()):
    torch.manual_seed(seed)
    model = system(
        {"dx": 7},
        style_dim=4,
        content_dim=4,
        channels=3,
        size=16,
        width=4,
        generator_rate=1e-3,
        discriminator_rate=1e-3,
    )
    train(
        model,
        lesions.split("train"),
        settings["updates"],
        batch_size=32,
        seed=seed,
        progress=False,
    )
    model.eval()
    with torch.no_grad():
        codes, _ = model.encode(picture)
        away = (model.decode(codes) - picture).abs().mean()
    print(
        f"{system.__name__}: {', '.join(system.objective)}; "
        f"a reconstruction is off by {away:.3f} a pixel"
    )
