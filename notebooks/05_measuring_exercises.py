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
# (measuring-exercises)=
# # Exercises: measuring a representation
#
# Six exercises on the chapter {ref}`measuring`, 16 points, about an hour and a half. Each asks you to replace
# `raise NotImplementedError` by lines of your own; the cell after it checks your answer, and says in a sentence what is wrong
# with it or what follows from it. Run the notebook from the top. A check may be run as often as you like. Information and entropies are in nats.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "measuring-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import math

import numpy as np

from medlatent.course import choose
from medlatent.course.exercises import measuring as check
from medlatent.metrics.disentanglement import mig, modularity, sap

settings = choose(
    {
        "ci": {"draws": 20, "samples": 4_000},
        "laptop": {"draws": 50, "samples": 10_000},
        "paper": {"draws": 200, "samples": 40_000},
    },
    profile,
)

# %% [markdown] objectives=[2]
# (exercise-measuring-1)=
# ## Exercise 1: A gap by hand
#
# *Compute by hand, 15 minutes, 2 points.* Sixteen images have one factor $v$, which is 0 or 1, and a code of two bits, $z_1$ and $z_2$. The images are counted:
#
# | | $v = 0$ | $v = 1$ | | | $v = 0$ | $v = 1$ |
# |---|---|---|---|---|---|---|
# | $z_1 = 0$ | 8 | 0 | | $z_2 = 0$ | 6 | 4 |
# | $z_1 = 1$ | 4 | 4 | | $z_2 = 1$ | 6 | 0 |
#
# With pen and paper, and a calculator for the logarithms, find the entropy of the factor, the joint entropy of $z_1$ and $v$, both mutual
# informations, and the gap of this one factor:
#
# $$
# \begin{aligned}
# H(v) &= -\sum_v p(v) \log p(v), \\
# I(z; v) &= H(z) + H(v) - H(z, v), \\
# \text{gap} &= \frac{I(z_1; v) - I(z_2; v)}{H(v)} .
# \end{aligned}
# $$
#
# The joint entropy is the same sum over the four cells of a table, where an empty cell adds nothing. Keep at least four decimals on the
# way; three are enough in the answer. If you prefer, let Python
# do the arithmetic: `counts_1` and `counts_2` are the two tables.

# %% nbgrader={"grade": false, "grade_id": "measuring-1-tables", "locked": true, "schema_version": 3, "solution": false, "task": false}
counts_1 = np.array([[8, 0], [4, 4]])  # rows: z1, columns: v
counts_2 = np.array([[6, 4], [6, 0]])  # rows: z2, columns: v

# %% nbgrader={"grade": false, "grade_id": "measuring-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
entropy_of_factor = ...  # H(v)
joint_entropy = ...  # H(z1, v)
information_1 = ...  # I(z1; v)
information_2 = ...  # I(z2; v)
gap = ...  # of the factor v
### BEGIN SOLUTION
# An entropy from N counts n is log N - (the sum of n log n) / N.
log = math.log
entropy_of_factor = log(16) - (12 * log(12) + 4 * log(4)) / 16
joint_entropy = log(16) - (8 * log(8) + 2 * 4 * log(4)) / 16
information_1 = log(2) + entropy_of_factor - joint_entropy
entropy_of_z2 = log(16) - (10 * log(10) + 6 * log(6)) / 16
joint_entropy_2 = log(16) - (2 * 6 * log(6) + 4 * log(4)) / 16
information_2 = entropy_of_z2 + entropy_of_factor - joint_entropy_2
gap = (information_1 - information_2) / entropy_of_factor
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "measuring-1-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.by_hand(
    entropy_of_factor,
    joint_entropy,
    information_1,
    information_2,
    gap,
    counts_1,
    counts_2,
)

# %% tags=["wrong-answer"] says="natural logarithm"
# The logarithm is taken to base 2, so that all but the gap is in bits.
entropy_of_factor = 0.811
joint_entropy = 1.500
information_1 = 0.311
information_2 = 0.204
gap = 0.132

# %% tags=["wrong-answer"] says="divided by the entropy of the factor"
# The difference of the two informations is not normalised, so that it has a unit.
gap = information_1 - information_2

# %% tags=["wrong-answer"] says="a comma separates numbers"
# The decimal comma makes a pair of two numbers.
gap = 0, 132

# %% tags=["wrong-answer"] says="second best"
# What the second best dimension knows is not subtracted.
gap = information_1 / entropy_of_factor

# %% tags=["wrong-answer"] says="columns"
# The table is summed along the wrong axis, which gives the entropy of the code.
entropy_of_factor = math.log(2)


# %% tags=["wrong-answer"] says="the better dimension comes first"
# The two dimensions are subtracted in the wrong order.
gap = (information_2 - information_1) / entropy_of_factor


# %% [markdown] objectives=[1]
# (exercise-measuring-2)=
# ## Exercise 2: Information from counts
#
# *Implement, then predict, 20 minutes, 3 points.* The plug-in estimate puts the relative frequencies of $N$ pairs into the definition
#
# $$ I(x; y) = \sum_{x, y} p(x, y) \log \frac{p(x, y)}{p(x)\, p(y)} . $$
#
# Write it for two NumPy arrays of labels. Labels are whole numbers, but any: negative ones occur, and some numbers between may be missing, so that
# `np.unique(labels, return_inverse=True)` helps, which numbers them from 0. A pair of labels that never occurs contributes nothing.


# %% nbgrader={"grade": false, "grade_id": "measuring-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def plug_in(x, y):
    """The plug-in mutual information of two arrays of labels (N,), nats."""
    ### BEGIN SOLUTION
    _, row = np.unique(x, return_inverse=True)
    _, column = np.unique(y, return_inverse=True)
    joint = np.zeros((row.max() + 1, column.max() + 1))
    np.add.at(joint, (row, column), 1 / len(x))
    product = np.outer(joint.sum(1), joint.sum(0))
    seen = joint > 0
    return (joint[seen] * np.log(joint[seen] / product[seen])).sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "measuring-2-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.plug_in(plug_in)
### BEGIN HIDDEN TESTS
check.plug_in(plug_in, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="product of the marginals"
# The logarithm of p(x, y) is not divided by the product of the marginals: the result is minus the joint entropy.
def plug_in(x, y):
    _, cell = np.unique(np.stack([x, y], 1), axis=0, return_counts=True)
    p = cell / len(x)
    return (p * np.log(p)).sum()


# %% tags=["wrong-answer"] says="base 2"
# The logarithm is to base 2, so that the result is in bits.
def plug_in(x, y):
    total = 0.0
    for a in np.unique(x):
        for b in np.unique(y):
            p = np.mean((x == a) & (y == b))
            if p > 0:
                total += p * np.log2(p / np.mean(x == a) / np.mean(y == b))
    return total


# %% tags=["wrong-answer"] says="counted twice"
# The loop runs over the images and weights each one by p(x, y) again, so that frequent cells are counted twice.
def plug_in(x, y):
    total = 0.0
    for a, b in zip(x, y, strict=True):
        p = np.mean((x == a) & (y == b))
        total += p * np.log(p / np.mean(x == a) / np.mean(y == b)) / len(x)
    return total


# %% tags=["wrong-answer"] says="0 · log 0"
# The cells without a pair are kept, and zero times minus infinity is NaN.
def plug_in(x, y):
    a, b = x[:, None] == np.unique(x), y[:, None] == np.unique(y)
    joint = np.einsum("na,nb->ab", a * 1.0, b * 1.0) / len(x)
    product = np.outer(joint.sum(1), joint.sum(0))
    return (joint * np.log(joint / product)).sum()


# %% tags=["wrong-answer"] says="a negative label counts from the end"
# The labels are taken for rows and columns: negative ones count from the end.
def plug_in(x, y):
    joint = np.zeros((x.max() + 1, y.max() + 1))
    np.add.at(joint, (x, y), 1 / len(x))
    product = np.outer(joint.sum(1), joint.sum(0))
    seen = joint > 0
    return (joint[seen] * np.log(joint[seen] / product[seen])).sum()


# %% [markdown]
# If $x$ and $y$ are independent, with $A$ and $B$ values each, the true information is 0, and the estimate is not. To first order in $1/N$, its expectation is
#
# $$ \mathbb{E}\,[\hat I\,] \approx \frac{(A - 1)(B - 1)}{2N} . $$
#
# A code is cut into 20 bins, and the factor has 7 classes. **Before you run the cell below**: how many images are needed for this expectation to be 0.01 nats?

# %% nbgrader={"grade": false, "grade_id": "measuring-2-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
images_needed = ...  # a whole number
### BEGIN SOLUTION
images_needed = round((20 - 1) * (7 - 1) / (2 * 0.01))
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "measuring-2-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
random = np.random.default_rng(seed)
for count in (100, 300, 1_000, 3_000):
    estimates = [
        plug_in(*(random.integers(n, size=count) for n in (20, 7)))
        for _ in range(settings["draws"])
    ]
    print(
        f"N = {count:<6} mean estimate {np.mean(estimates):.4f}"
        f"   (A - 1)(B - 1) / 2N = {19 * 6 / (2 * count):.4f}"
    )

# %% nbgrader={"grade": true, "grade_id": "measuring-2-predict-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.images_needed(images_needed)

# %% tags=["wrong-answer"] says="minus one"
# Bins and classes are counted whole, although one of each follows from the others.
images_needed = 20 * 7 / (2 * 0.01)

# %% tags=["wrong-answer"] says="without a comma"
# The comma between the thousands makes a pair of two numbers.
images_needed = 5, 700

# %% tags=["wrong-answer"] says="the 2"
# The 2 below the fraction is forgotten.
images_needed = 19 * 6 / 0.01

# %% [markdown] objectives=[2]
# (exercise-measuring-3)=
# ## Exercise 3: From a matrix to MIG
#
# *Implement, 10 minutes, 2 points.* A NumPy matrix holds $I(z_j; v_k)$, with a row for each of the $D$ dimensions and a column for each of
# the $K$ factors. Write the gap of each
# factor: what its best dimension knows, minus what the second best knows, divided by the factor's entropy. The MIG is the mean of these gaps. The dimensions
# come in any order, and the matrix that you are given should stay as it is.


# %% nbgrader={"grade": false, "grade_id": "measuring-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gaps(information, entropy):
    """The gap of each factor: from (D, K) and (K,) to (K,)."""
    ### BEGIN SOLUTION
    ordered = np.sort(information, axis=0)
    return (ordered[-1] - ordered[-2]) / entropy
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "measuring-3-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.gaps(gaps)
### BEGIN HIDDEN TESTS
check.gaps(gaps, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="wrong axis"
# The gap is taken along the wrong axis, between two factors of one dimension.
def gaps(information, entropy):
    ordered = np.sort(information, axis=1)
    return (ordered[:, -1] - ordered[:, -2]) / entropy


# %% tags=["wrong-answer"] says="reshaped"
# The published mistake: the matrix is reshaped where it has to be transposed, which mixes dimensions and factors.
def gaps(information, entropy):
    if information.shape[0] == information.shape[1]:
        ordered = np.sort(information.T, axis=1)
    else:
        ordered = np.sort(information.reshape(len(entropy), -1), axis=1)
    return (ordered[:, -1] - ordered[:, -2]) / entropy


# %% tags=["wrong-answer"] says="sort"
# The first two dimensions are compared, whatever they know.
def gaps(information, entropy):
    return (information[0] - information[1]) / entropy


# %% tags=["wrong-answer"] says="changes information, which it was given"
# The matrix is sorted in place, so that whoever uses it next finds the dimensions mixed.
def gaps(information, entropy):
    information.sort(axis=0)
    return (information[-1] - information[-2]) / entropy


# %% [markdown] objectives=[2, 4]
# (exercise-measuring-4)=
# ## Exercise 4: A copy and a dead dimension
#
# *Implement, then predict and run, 20 minutes, 3 points.* The Modularity of a dimension $j$ asks whether it knows one factor only. With
# $k^*$ the factor that it knows most about,
#
# $$ m_j = 1 - \frac{\sum_{k \ne k^*} I(z_j; v_k)^2}{(K - 1)\, I(z_j; v_{k^*})^2} . $$
#
# Write it for one row of the matrix. A dead dimension knows nothing about any factor; the formula does not say what its Modularity is, and the package takes 0.


# %% nbgrader={"grade": false, "grade_id": "measuring-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def modularity_of(information):
    """The Modularity of one dimension, from its (K,) to a number."""
    ### BEGIN SOLUTION
    squares = np.square(information)
    largest = squares.max()
    if largest == 0:
        return 0.0
    return 1 - (squares.sum() - largest) / (largest * (len(squares) - 1))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "measuring-4-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.modularity_of(modularity_of)
### BEGIN HIDDEN TESTS
check.modularity_of(modularity_of, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="dead dimension"
# A dead dimension gives 0/0, and one NaN makes the mean over all dimensions NaN.
def modularity_of(information):
    squares = np.square(information)
    others = squares.sum() - squares.max()
    return 1 - others / (squares.max() * (len(squares) - 1))


# %% tags=["wrong-answer"] says="K - 1"
# The sum is divided by the number of factors K instead of the K - 1 others.
def modularity_of(information):
    squares = np.square(information)
    if not squares.any():
        return 0.0
    others = squares.sum() - squares.max()
    return 1 - others / (squares.max() * len(squares))


# %% tags=["wrong-answer"] says="squared"
# The information is not squared, so that small leaks weigh too much.
def modularity_of(information):
    largest = information.max()
    if largest == 0:
        return 0.0
    others = information.sum() - largest
    return 1 - others / (largest * (len(information) - 1))


# %% [markdown]
# Now a code that is perfect: three factors in every combination, and three dimensions that are the factors themselves. The cell prints its
# MIG, its Modularity, and its SAP (by
# squared correlation).

# %% nbgrader={"grade": false, "grade_id": "measuring-4-code", "locked": true, "schema_version": 3, "solution": false, "task": false}
values = np.arange(4.0)
factors = np.stack(np.meshgrid(values, values, values), -1).reshape(-1, 3)
perfect = factors.copy()


def scores(codes):
    return (
        mig(codes, factors).score,
        modularity(codes, factors).score,
        sap(codes, factors, kind="continuous").score,
    )


print("MIG {:.3f}   Modularity {:.3f}   SAP {:.3f}".format(*scores(perfect)))

# %% [markdown]
# A fourth dimension is added. In one code, `duplicated`, it is a copy of the first; in the other, `dead`, it is a constant. **Before you
# run the cell that prints them**: what are the three scores
# of each? Write them in the order of the line above, as `(1.0, 1.0, 1.0)`, with two decimals or as fractions.

# %% nbgrader={"grade": false, "grade_id": "measuring-4-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
scores_duplicated = ...  # MIG, Modularity, SAP
scores_dead = ...  # MIG, Modularity, SAP
### BEGIN SOLUTION
scores_duplicated = (2 / 3, 1.0, 2 / 3)
scores_dead = (1.0, 3 / 4, 1.0)
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "measuring-4-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
duplicated = np.column_stack([perfect, perfect[:, 0]])
dead = np.column_stack([perfect, np.zeros(len(perfect))])
for name, codes in (("duplicated", duplicated), ("dead", dead)):
    print(
        f"{name:<11}",
        "MIG {:.3f}   Modularity {:.3f}   SAP {:.3f}".format(*scores(codes)),
    )

# %% nbgrader={"grade": true, "grade_id": "measuring-4-predict-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.predicted(scores_duplicated, scores_dead, factors)

# %% tags=["wrong-answer"] says="write decimal ones with a point"
# Decimal commas make more than three numbers.
scores_duplicated = (0, 67, 1, 0, 67)

# %% tags=["wrong-answer"] says="two dimensions know it alike"
# A copy is believed to harm nothing, since all factors are still known.
scores_duplicated = (1.0, 1.0, 1.0)

# %% tags=["wrong-answer"] says="never two dimensions"
# Modularity is believed to punish copies, although it looks at one dimension at a time.
scores_duplicated = (0.667, 0.667, 0.667)

# %% tags=["wrong-answer"] says="all dimensions count"
# Modularity is believed to leave out dead dimensions.
scores_dead = (1.0, 1.0, 1.0)

# %% tags=["wrong-answer"] says="mean over the factors"
# The MIG is taken for a mean over dimensions, so that a dead one would lower it.
scores_dead = (0.75, 0.75, 1.0)

# %% [markdown] objectives=[5]
# (exercise-measuring-5)=
# ## Exercise 5: Turn it back
#
# *Change this and explain what you see, 15 minutes, 3 points.* A colleague brings a code of two dimensions. It was made from two
# independent standard normal factors,
# and turned by an angle that she has forgotten. Write the rotation by an angle $\theta$, given in degrees:
#
# $$
# \begin{aligned}
# z_1' &= z_1 \cos\theta - z_2 \sin\theta, \\
# z_2' &= z_1 \sin\theta + z_2 \cos\theta .
# \end{aligned}
# $$


# %% nbgrader={"grade": false, "grade_id": "measuring-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def rotate(codes, degrees):
    """The codes (N, 2) turned by an angle in degrees, counter-clockwise."""
    ### BEGIN SOLUTION
    angle = math.radians(degrees)
    z1, z2 = codes.T
    turned_1 = z1 * math.cos(angle) - z2 * math.sin(angle)
    turned_2 = z1 * math.sin(angle) + z2 * math.cos(angle)
    return np.stack([turned_1, turned_2], 1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "measuring-5-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.rotate(rotate)
### BEGIN HIDDEN TESTS
check.rotate(rotate, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="other direction"
# The codes are multiplied by the matrix without transposing it, and turn the other way.
def rotate(codes, degrees):
    angle = math.radians(degrees)
    c, s = math.cos(angle), math.sin(angle)
    return codes @ np.array([[c, -s], [s, c]])


# %% tags=["wrong-answer"] says="have to be in a NumPy array"
# The codes are returned as a list of pairs, which has no columns.
def rotate(codes, degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return [(x * c - y * s, x * s + y * c) for x, y in codes]


# %% tags=["wrong-answer"] says="radians"
# The angle in degrees is taken for one in radians.
def rotate(codes, degrees):
    c, s = math.cos(degrees), math.sin(degrees)
    return codes @ np.array([[c, -s], [s, c]]).T


# %% tags=["wrong-answer"] says="changes codes, which it was given"
# The codes themselves are turned, so that a second turn starts from the first.
def rotate(codes, degrees):
    angle = math.radians(degrees)
    c, s = math.cos(angle), math.sin(angle)
    codes[:] = codes @ np.array([[c, s], [-s, c]])
    return codes


# %% [markdown]
# Her code is `tilted`, and `known_factors` are the factors. Turn the code further, by 0, 5, 10, … 85 degrees, and look at the MIG,
# `mig(codes, factors).score`. Which of these angles
# has the least, and which the greatest?

# %% nbgrader={"grade": false, "grade_id": "measuring-5-code", "locked": true, "schema_version": 3, "solution": false, "task": false}
tilted, known_factors = check.tilted_code(settings["samples"], seed)
print(f"MIG of the code as it came {mig(tilted, known_factors).score:.3f}")

# %% nbgrader={"grade": false, "grade_id": "measuring-5-angles", "locked": false, "schema_version": 3, "solution": true, "task": false}
least_angle = ...  # degrees
best_angle = ...  # degrees
### BEGIN SOLUTION
by_angle = {
    angle: mig(rotate(tilted, angle), known_factors).score
    for angle in range(0, 90, 5)
}
least_angle = min(by_angle, key=by_angle.get)
best_angle = max(by_angle, key=by_angle.get)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "measuring-5-angles-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.angles(least_angle, best_angle, tilted, known_factors)

# %% tags=["wrong-answer"] says="turned already"
# The least MIG is expected at 45 degrees, as if the code had come aligned.
least_angle = 45

# %% tags=["wrong-answer"] says="exchanged"
# The two angles are exchanged.
least_angle, best_angle = best_angle, least_angle

# %% [markdown]
# A training without labels sees the code, and how well the image is rebuilt from it. The next cell prints the correlation of the two
# dimensions and their variances. In place of the
# image it takes the two factors, which the image is made of, and prints the share of their variance that the best linear decoder explains.

# %% nbgrader={"grade": false, "grade_id": "measuring-5-look", "locked": true, "schema_version": 3, "solution": false, "task": false}
for angle in (0, least_angle, best_angle):
    turned = rotate(tilted, angle)
    weights, *_ = np.linalg.lstsq(turned, known_factors, rcond=None)
    unexplained = (known_factors - turned @ weights).var(0).sum()
    print(
        f"{angle:>2}°  MIG {mig(turned, known_factors).score:.3f}"
        f"  correlation {np.corrcoef(turned.T)[0, 1]:+.3f}"
        f"  variances {turned[:, 0].var():.2f} {turned[:, 1].var():.2f}"
        f"  explained {1 - unexplained / known_factors.var(0).sum():.3f}"
    )

# %% [markdown]
# In two or three sentences: why does the MIG change with the angle although nothing is lost, and could a training that sees no factors have found `best_angle`?

# %% [markdown] nbgrader={"grade": true, "grade_id": "measuring-5-explain", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# Between the axes each dimension holds a mixture of both factors, so the best and the second best dimension know a factor almost alike, and
# the gap closes. A rotation
# can be undone by the decoder, and it leaves a standard normal code standard normal: reconstruction, KL to the prior and total correlation
# are the same at all angles up to
# chance. Only the factors told us which angle is best, so without labels, or an assumption about the data that takes their place, no training could know it.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# - 0.5: says that between the axes both dimensions know a factor almost alike, so that the gap closes although nothing is lost
# - 0.5: says that what a training without factors sees (reconstruction, KL, total correlation) is the same at every angle, so that it could
#   not have found the best one
# - 0: "a rotation changes the code", without saying what stays

# %% [markdown] objectives=[7]
# (exercise-measuring-6)=
# ## Exercise 6: One class against all others
#
# *Implement, then compute, 15 minutes, 3 points.* MIG_p of Sarhan et al. {cite:p}`sarhan2019` makes a binary factor of each diagnosis: this
# class, or any other. Write the function that makes these
# factors, and the one that finds the entropy of each in nats.


# %% nbgrader={"grade": false, "grade_id": "measuring-6", "locked": false, "schema_version": 3, "solution": true, "task": false}
def one_versus_all(labels):
    """A column of 0 and 1 for each class, sorted: from (N,) to (N, C)."""
    ### BEGIN SOLUTION
    return (labels[:, None] == np.unique(labels)).astype(int)
    ### END SOLUTION


def entropies(factors):
    """The entropy of each binary factor: from (N, C), 0 or 1, to (C,)."""
    ### BEGIN SOLUTION
    p = factors.mean(0)
    return -p * np.log(p) - (1 - p) * np.log(1 - p)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "measuring-6-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.one_versus_all(one_versus_all, entropies)
### BEGIN HIDDEN TESTS
check.one_versus_all(one_versus_all, entropies, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="sorted"
# The columns are in the order in which the classes first occur.
def one_versus_all(labels):
    classes = list(dict.fromkeys(labels.tolist()))
    return np.stack([labels == name for name in classes], 1)


# %% tags=["wrong-answer"] says="a column for each class"
# The classes are numbered, which is one factor with many values instead of many with two.
def one_versus_all(labels):
    return np.unique(labels, return_inverse=True)[1]


# %% tags=["wrong-answer"] says="all others"
# Only the class itself is counted; all others are the second value of the factor.
def entropies(factors):
    p = factors.mean(0)
    return -p * np.log(p)


# %% [markdown]
# HAM10000 {cite:p}`tschandl2018` has seven diagnoses, and two thirds of its images are naevi (`nv`). Suppose that the gap between the best
# and the second best dimension, **before** it is divided by the entropy, is
# 0.05 nats, for `nv` against all others and for dermatofibroma, `df`, against all others. How many times as much does the rare class add to
# MIG_p as the common one? Use your functions.

# %% nbgrader={"grade": false, "grade_id": "measuring-6-labels", "locked": true, "schema_version": 3, "solution": false, "task": false}
images_of = {
    "akiec": 327,
    "bcc": 514,
    "bkl": 1_099,
    "df": 115,
    "mel": 1_113,
    "nv": 6_705,
    "vasc": 142,
}
labels = np.repeat(list(images_of), list(images_of.values()))

# %% nbgrader={"grade": false, "grade_id": "measuring-6-ratio", "locked": false, "schema_version": 3, "solution": true, "task": false}
weight_ratio = ...  # what df adds, divided by what nv adds
### BEGIN SOLUTION
by_class = dict(
    zip(np.unique(labels), entropies(one_versus_all(labels)), strict=True)
)
weight_ratio = (0.05 / by_class["df"]) / (0.05 / by_class["nv"])
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "measuring-6-ratio-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.weight_ratio(weight_ratio, labels)

# %% tags=["wrong-answer"] says="upside down"
# The ratio is upside down, as if the common class counted more.
weight_ratio = by_class["df"] / by_class["nv"]

# %% tags=["wrong-answer"] says="frequencies"
# The frequencies are compared instead of the entropies.
weight_ratio = 6_705 / 115

# %% tags=["wrong-answer"] says="alike"
# Classes are believed to count alike because MIG_p is a plain mean, but each gap is divided by its own entropy first.
weight_ratio = 1.0
