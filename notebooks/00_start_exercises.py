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
# (start-exercises)=
# # Exercises: a latent space in five minutes
#
# Five exercises on the chapter {ref}`start`, 13 points, about 45 minutes. You walk in a latent space by hand, look at its centre,
# and learn to read a score and a loss.
#
# **How it works.** Run the notebook from the top. A cell with `# YOUR CODE HERE` is yours: put your own lines in place of
# `raise NotImplementedError`. Where a value is asked for, such as `idle = ...`, write your answer in place of the dots and
# delete the two lines below it.
#
# The cell after yours checks it. It prints *Correct* and what follows from your answer, or *Not yet* and a sentence that says what to
# look at. You may run a check as often as you like. Where the task says "predict", answer before you run the next cell: a wrong prediction
# costs nothing, and you will remember it.
#
# The checks compute what they compare with, partly on random inputs. If your instructor collects the notebook, the same
# checks run again on other inputs. The answer to a question in words is read by a person. You may read the checks: they are in
# `medlatent/course/exercises/start.py`.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "start-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch

from medlatent import explore
from medlatent.course import choose
from medlatent.course.exercises import start as check
from medlatent.data import open_images
from medlatent.data.phantoms import lesion
from medlatent.metrics import psnr
from medlatent.models import VAE
from medlatent.records import find_record
from medlatent.training import train

settings = choose(
    {
        "ci": {"images": 500},
        "laptop": {"images": 2_000},
        "paper": {"images": 5_000},
    },
    profile,
)
record = find_record("vae", "phantoms_vae")
model = record.load_model()
phantoms = open_images("phantoms.lesion", settings["images"], seed=seed + 1)
test = phantoms.split("test")
images = test.batch(range(len(test)))
with torch.inference_mode():
    codes, _ = model.encode(images)
    rebuilt = model.decode(codes)
print(f"images {tuple(images.shape)}   codes {tuple(codes.shape)}")

# %% [markdown] objectives=[2]
# (exercise-start-1)=
# ## Exercise 1: A walk by hand
#
# *Write, then change and look, 9 minutes, 2 points.* The chapter's {term}`traversal` starts at a code of zeros. Yours starts at the code
# $z$ of any lesion. For each value $v$ it needs a copy of $z$ in which one dimension is $v$; the other dimensions keep the values that they have in $z$.
# Write the function that makes these codes. Dimensions count from 0.


# %% nbgrader={"grade": false, "grade_id": "start-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def walk(code, dimension, values):
    """Codes (S, D) for S values: the code (D,) with one dimension replaced."""
    ### BEGIN SOLUTION
    walked = code.repeat(len(values), 1)
    walked[:, dimension] = values
    return walked
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "start-1-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.walk(walk)
### BEGIN HIDDEN TESTS
check.walk(walk, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="stay as they are"
# The walk starts from zeros, whatever the code is.
def walk(code, dimension, values):
    walked = torch.zeros(len(values), len(code))
    walked[:, dimension] = values
    return walked


# %% tags=["wrong-answer"] says="take its place"
# The values are added to the dimension, so that the walk is not from -3 to 3.
def walk(code, dimension, values):
    walked = code.repeat(len(values), 1)
    walked[:, dimension] += values
    return walked


# %% tags=["wrong-answer"] says="changes code, which it was given: work on a copy"
# The code that came in is changed, so that the next walk starts somewhere else.
def walk(code, dimension, values):
    rows = []
    for value in values:
        code[dimension] = value
        rows.append(code.clone())
    return torch.stack(rows)


# %% tags=["wrong-answer"] says="add .float()"
# NumPy's array holds numbers of 64 bits, with which the model cannot calculate.
def walk(code, dimension, values):
    walked = code.double().repeat(len(values), 1)
    walked[:, dimension] = values.double()
    return walked


# %% tags=["wrong-answer"] says="multiplied by the values"
# The dimension is stretched by the values.
def walk(code, dimension, values):
    walked = code.repeat(len(values), 1)
    walked[:, dimension] *= values
    return walked


# %% [markdown]
# The next cell draws the walk of the first test phantom, and prints by how many of 255 grey levels its pictures differ from their mean
# (root mean square). Change `dimension` and run it again, a few times. Most of the 32 rows look
# dull: below 3 grey levels nobody sees a change. How many of the 32 dimensions change less than that? You may write a loop.

# %%
dimension = 12
values = torch.linspace(-3, 3, 7)
with torch.inference_mode():
    row = model.decode(walk(codes[0], dimension, values))
change = 255 * (row - row.mean(0)).square().mean().sqrt()
print(f"z{dimension} of this phantom is {codes[0, dimension]:+.2f}")
print(f"its walk changes the picture by {change:.1f} grey levels")
explore.show(
    explore.image_table(
        row[None],
        row_labels=[f"z{dimension}"],
        column_labels=[f"{v:+.0f}" for v in values.tolist()],
        alt=f"Seven pictures of one lesion while z{dimension} goes from -3 to 3.",
    )
)

# %% nbgrader={"grade": false, "grade_id": "start-1-idle", "locked": false, "schema_version": 3, "solution": true, "task": false}
idle = ...  # how many of the 32 dimensions
### BEGIN SOLUTION
idle = 0
for j in range(model.latent_dim):
    with torch.inference_mode():
        pictures = model.decode(walk(codes[0], j, values))
    moved = 255 * (pictures - pictures.mean(0)).square().mean().sqrt()
    idle += int(moved < 3)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "start-1-idle-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.idle(idle, model, codes[0])

# %% tags=["wrong-answer"] says="the others are asked for"
# The dimensions that do change the picture are counted.
idle = model.latent_dim - idle

# %% tags=["wrong-answer"] says="Print the change for each"
# Half of the dimensions is a guess.
idle = 16

# %% [markdown] objectives=[2]
# (exercise-start-2)=
# ## Exercise 2: Halfway between two lesions
#
# *Write, then choose, 8 minutes, 2 points.* The straight line from a code $a$ to a code $b$ is
#
# $$ z(t) = (1 - t)\, a + t\, b, \qquad 0 \le t \le 1 . $$
#
# Write the function that returns codes at equal distances along it, with $a$ as the first and $b$ as the last.


# %% nbgrader={"grade": false, "grade_id": "start-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def between(first, second, steps):
    """Codes (steps, D) from the first code (D,) to the second (D,)."""
    ### BEGIN SOLUTION
    t = torch.linspace(0, 1, steps)[:, None]
    return (1 - t) * first + t * second
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "start-2-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.between(between)
### BEGIN HIDDEN TESTS
check.between(between, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="second end is missing"
# The step is 1/steps, so that the walk stops short of the second code.
def between(first, second, steps):
    t = torch.arange(steps)[:, None] / steps
    return (1 - t) * first + t * second


# %% tags=["wrong-answer"] says="from the second code to the first"
# The weights are exchanged, so that the walk begins at the wrong end.
def between(first, second, steps):
    t = torch.linspace(0, 1, steps)[:, None]
    return t * first + (1 - t) * second


# %% tags=["wrong-answer"] says="the model computes in float32"
# The weights are made by NumPy, in 64 bits.
def between(first, second, steps):
    t = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    return (1 - t) * first + t * second


# %% [markdown]
# There are two ways to a picture halfway. Take the code in the middle and decode it; or decode both ends, and mix their pictures. The next cell
# does both, for a small and a large lesion, and prints how alike the two results are.

# %% nbgrader={"grade": false, "grade_id": "start-2-look", "locked": true, "schema_version": 3, "solution": false, "task": false}
by_size = test.table["size"].to_numpy().argsort()
line = between(codes[by_size[3]], codes[by_size[-3]], 3)
with torch.inference_mode():
    first, middle, second = model.decode(line)
mixed = (first + second) / 2
print(f"PSNR between the two: {psnr(middle[None], mixed[None]).score:.1f} dB")
explore.show(
    explore.image_table(
        torch.stack([first, middle, mixed, second])[None],
        column_labels=["first", "codes mixed", "pictures mixed", "second"],
        alt="Four pictures: a small lesion, the decoded middle of two codes, "
        "the mixture of two pictures, and a large lesion.",
    )
)

# %% [markdown]
# The two differ. What would make them equal, for any two codes?
#
# - **a** An encoder that maps no two images to the same code.
# - **b** A decoder $d(z) = Wz + c$, with a matrix $W$ and a picture $c$.
# - **c** A prior with a smaller variance.
# - **d** A code with more dimensions.

# %% nbgrader={"grade": false, "grade_id": "start-2-choice", "locked": false, "schema_version": 3, "solution": true, "task": false}
halfway = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
halfway = "b"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "start-2-choice-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.halfway(halfway)

# %% tags=["wrong-answer"] says="the encoder"
# The encoder is held responsible, though both ways start from the same codes.
halfway = "a"

# %% [markdown] objectives=[2]
# (exercise-start-3)=
# ## Exercise 3: The middle of the space
#
# *Predict, then run, 6 minutes, 2 points.* The prior is centred at zero. Write a function that decodes a code of zeros, and another that
# averages images pixel by pixel. Both return one picture, with the axis of the images kept. The functions have to work for any model and any
# size of image: `model.latent_dim` says how many numbers a code has.


# %% nbgrader={"grade": false, "grade_id": "start-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def at_zero(model):
    """The picture (1, C, H, W) that the decoder makes of a code of zeros."""
    ### BEGIN SOLUTION
    with torch.inference_mode():
        return model.decode(torch.zeros(1, model.latent_dim))
    ### END SOLUTION


def mean_image(images):
    """The mean (1, C, H, W) of images (N, C, H, W)."""
    ### BEGIN SOLUTION
    return images.mean(0, keepdim=True)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "start-3-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.centre(at_zero, mean_image)
### BEGIN HIDDEN TESTS
check.centre(at_zero, mean_image, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="black image"
# A black image is encoded and decoded: its pixels are zero, its code is not.
def at_zero(model):
    with torch.inference_mode():
        black = torch.zeros(1, 3, 16, 16)
        return model.decode(model.encode(black)[0])


# %% tags=["wrong-answer"] says="have to be in a tensor"
# A list comes back, with which the cell that draws the picture cannot do anything.
def mean_image(images):
    return images.mean(0, keepdim=True).tolist()


# %% tags=["wrong-answer"] says="keep it"
# The mean drops the axis of the images.
def mean_image(images):
    return images.mean(0)


# %% tags=["wrong-answer"] says="changes images, which it was given"
# The images are divided where they stand, and are almost black for the next cell.
def mean_image(images):
    images /= len(images)
    return images.sum(0, keepdim=True)


# %% [markdown]
# **Before you run the cell that draws it**: what will the recorded model show for a code of 32 zeros?
#
# - **a** A black picture, since all numbers are 0.
# - **b** Noise, since no image was encoded to exactly this code.
# - **c** A blurred lesion that resembles the mean image, and is not equal to it.
# - **d** Exactly the mean image.

# %% nbgrader={"grade": false, "grade_id": "start-3-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
picture_of_zero = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
picture_of_zero = "c"
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "start-3-look", "locked": true, "schema_version": 3, "solution": false, "task": false}
with torch.inference_mode():
    zero, mean = at_zero(model), mean_image(images)
explore.show(
    explore.image_table(
        torch.cat([zero, mean, images[:3]])[None],
        column_labels=[
            "zero code",
            "mean image",
            "phantom",
            "phantom",
            "phantom",
        ],
        alt="Five pictures: the decoded zero code, the mean of the test phantoms, "
        "and three test phantoms.",
    )
)

# %% nbgrader={"grade": true, "grade_id": "start-3-predict-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.picture_of_zero(picture_of_zero, zero, mean, images)

# %% tags=["wrong-answer"] says="affine"
# The mean of the codes is thought to decode to the mean of the images.
picture_of_zero = "d"

# %% tags=["wrong-answer"] says="black"
# The zeros of a code are taken for pixels.
picture_of_zero = "a"

# %% [markdown] objectives=[3]
# (exercise-start-4)=
# ## Exercise 4: A mean of decibels
#
# *Implement, predict, then run, 9 minutes, 3 points.* Equation {eq}`eq-start-2` gives the {term}`PSNR` of one image. A paper reports
# one number for many images. There are two ways to it, and papers do not always say which they took: the mean over the images of
# their dB, or the dB of their mean error. With intensities in $[0, 1]$ and the error $\mathrm{MSE}_n$ of image $n$ out of $N$,
#
# $$
# \begin{gathered}
# \frac1N \sum_{n=1}^{N} 10 \log_{10} \frac{1}{\mathrm{MSE}_n} \quad \text{and} \\
# 10 \log_{10} \frac{1}{\frac1N \sum_{n=1}^{N} \mathrm{MSE}_n} .
# \end{gathered}
# $$
#
# Write both from the images, without `psnr`; the check notices it.


# %% nbgrader={"grade": false, "grade_id": "start-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def mean_of_decibels(images, reconstructions):
    """Two tensors (N, C, H, W) to one number: first to dB, then the mean."""
    ### BEGIN SOLUTION
    errors = (images - reconstructions).square().flatten(1).mean(1)
    return (-10 * errors.log10()).mean()
    ### END SOLUTION


def decibels_of_mean(images, reconstructions):
    """Two tensors (N, C, H, W) to one number: first the mean, then to dB."""
    ### BEGIN SOLUTION
    return -10 * (images - reconstructions).square().mean().log10()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "start-4-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.scores(mean_of_decibels, decibels_of_mean)
### BEGIN HIDDEN TESTS
check.scores(mean_of_decibels, decibels_of_mean, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="average then"
# The squared errors of all images are averaged before the logarithm.
def mean_of_decibels(images, reconstructions):
    return -10 * (images - reconstructions).square().mean().log10()


# %% tags=["wrong-answer"] says="base 10"
# The natural logarithm is taken, as torch.log does.
def decibels_of_mean(images, reconstructions):
    return -10 * (images - reconstructions).square().mean().log()


# %% tags=["wrong-answer"] says="sign"
# The error is not inverted, so that a better picture has a lower score.
def mean_of_decibels(images, reconstructions):
    errors = (images - reconstructions).square().flatten(1).mean(1)
    return (10 * errors.log10()).mean()


# %% tags=["wrong-answer"] says="changes images, which it was given"
# The difference is written into the images, which the other function needs, too.
def mean_of_decibels(images, reconstructions):
    images -= reconstructions
    errors = images.square().flatten(1).mean(1)
    return (-10 * errors.log10()).mean()


# %% tags=["wrong-answer"] says="without psnr"
# The package's function does the work.
def mean_of_decibels(images, reconstructions):
    return psnr(images, reconstructions).score


# %% [markdown]
# Now one reconstruction fails: the first test phantom comes back black. All others stay as they were. **Before you run the cell that prints
# the scores**: which score falls further?
#
# - **a** The mean of the dB.
# - **b** The dB of the mean error.
# - **c** Both fall by the same.

# %% nbgrader={"grade": false, "grade_id": "start-4-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
one_failure = ...  # "a", "b" or "c"
### BEGIN SOLUTION
one_failure = "b"
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "start-4-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
failed = rebuilt.clone()
failed[0] = 0
print("                      mean of dB   dB of mean   medlatent.metrics.psnr")
for name, pictures in (("all as they were", rebuilt), ("one is black", failed)):
    first = float(mean_of_decibels(images, pictures))
    second = float(decibels_of_mean(images, pictures))
    third = psnr(images, pictures).score
    print(f"{name:<20} {first:8.2f} dB  {second:8.2f} dB  {third:8.2f} dB")

# %% nbgrader={"grade": true, "grade_id": "start-4-predict-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.one_failure(one_failure, images, rebuilt, failed)

# %% tags=["wrong-answer"] says="one of many"
# The mean of the dB is thought to suffer more, since a failed image has few dB.
one_failure = "a"

# %% tags=["wrong-answer"] says="not linear"
# The order of mean and logarithm is thought not to matter.
one_failure = "c"

# %% [markdown] objectives=[3]
# (exercise-start-5)=
# ## Exercise 5: Is a falling loss good news?
#
# *Implement, then read two logs, 13 minutes, 4 points.* The chapter's training printed a loss in {term}`nats <nat>` per image. It is
#
# $$
# \text{loss} = \frac{1}{2\sigma^2} \sum_{i=1}^{P} (x_i - \hat x_i)^2 + \mathrm{KL} ,
# $$
#
# averaged over the images. The sum is the {term}`SSE`, and $\sigma^2$ is the `variance` that you pass to the model. The KL, short for
# Kullback–Leibler divergence,
# is the most that the code can tell about the image, in nats; {ref}`vae` derives both terms. A loss needs a baseline, as a PSNR does. The laziest model
# answers every image with the mean of all images. Its code tells nothing, so its KL is 0. Write its loss.


# %% nbgrader={"grade": false, "grade_id": "start-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def lazy_loss(images, variance):
    """The loss, one number, of answering images (N, C, H, W) with their mean."""
    ### BEGIN SOLUTION
    sse = (images - images.mean(0)).square().flatten(1).sum(1)
    return sse.mean() / (2 * variance)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "start-5-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.lazy_loss(lazy_loss)
### BEGIN HIDDEN TESTS
check.lazy_loss(lazy_loss, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="averaged over the pixels"
# The squared error is averaged over the pixels instead of summed.
def lazy_loss(images, variance):
    return (images - images.mean(0)).square().mean() / (2 * variance)


# %% tags=["wrong-answer"] says="one number for all pixels"
# The mean is taken over images and pixels, which gives a grey instead of a picture.
def lazy_loss(images, variance):
    sse = (images - images.mean()).square().flatten(1).sum(1)
    return sse.mean() / (2 * variance)


# %% tags=["wrong-answer"] says="that divides by 2σ"
# The root of the variance is taken, as if the loss had σ in its denominator.
def lazy_loss(images, variance):
    sse = (images - images.mean(0)).square().flatten(1).sum(1)
    return sse.mean() / (2 * variance**0.5)


# %% tags=["wrong-answer"] says="a square already"
# The variance is taken for σ and squared.
def lazy_loss(images, variance):
    sse = (images - images.mean(0)).square().flatten(1).sum(1)
    return sse.mean() / (2 * variance**2)


# %% tags=["wrong-answer"] says="the 2 is missing"
# The squared error is divided by the variance alone.
def lazy_loss(images, variance):
    sse = (images - images.mean(0)).square().flatten(1).sum(1)
    return sse.mean() / variance


# %% tags=["wrong-answer"] says="divided by n − 1"
# PyTorch's variance over the images has another denominator.
def lazy_loss(images, variance):
    return images.var(0).sum() / (2 * variance)


# %% [markdown]
# Two runs of 60 steps on phantoms of 16 × 16 pixels differ in `variance` alone. The cell prints what you would see in a log.

# %% nbgrader={"grade": false, "grade_id": "start-5-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
tiny = lesion.generate(600, seed=seed, size=16)
tiny_train, tiny_test = tiny.split("train"), tiny.split("test")
runs = {}
for name, variance in (("A", 0.5), ("B", 0.1)):
    torch.manual_seed(seed)
    runs[name] = VAE(
        latent_dim=8, size=16, variance=variance, learning_rate=2e-3
    )
    history = train(
        runs[name], tiny_train, 60, seed=seed, device="cpu", progress=False
    )
    print(
        f"run {name}   variance {variance}   loss at first {history['loss'][0]:.1f}, "
        f"at last {history.mean(10)['loss']:.1f} nats"
    )

# %% [markdown]
# Which run reproduces images better? You may use your `lazy_loss` on `tiny_train.batch(range(len(tiny_train)))`.
#
# - **a** A: its loss is a fifth of B's.
# - **b** B: its loss fell by more.
# - **c** Neither: measured in squared error they are about equal.

# %% nbgrader={"grade": false, "grade_id": "start-5-better", "locked": false, "schema_version": 3, "solution": true, "task": false}
better = ...  # "a", "b" or "c"
### BEGIN SOLUTION
better = "c"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "start-5-better-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
tiny_images = tiny_test.batch(range(len(tiny_test)))
tiny_mean = tiny_train.batch(range(len(tiny_train))).mean(0, keepdim=True)
check.better(better, runs, tiny_mean, tiny_images)

# %% tags=["wrong-answer"] says="multiply each"
# The smaller loss is taken for the better model, though the two are scaled differently.
better = "a"

# %% tags=["wrong-answer"] says="less squared error"
# The greater fall is taken for the better model, though its unit is smaller.
better = "b"

# %% [markdown]
# The recorded model was trained for 6 000 steps on larger images, with $\sigma^2 = 0.5$. The next cell prints the beginning of its log, in which each
# row is the mean of 30 steps, and the lazy loss of phantoms drawn by the same program. At which step of
# the log is the loss for the first time below nine tenths of the lazy loss?

# %% nbgrader={"grade": false, "grade_id": "start-5-log", "locked": true, "schema_version": 3, "solution": false, "task": false}
more = open_images("phantoms.lesion", 2_000, seed=0).split("train")
lazy = float(lazy_loss(more.batch(range(len(more))), variance=0.5))
print(f"lazy loss {lazy:.1f} nats, nine tenths of it {0.9 * lazy:.1f}")
log = record.history
print("step     loss       KL")
for row in range(10):
    step, loss, kl = (log[term][row] for term in ("step", "loss", "kl"))
    print(f"{step:4d}   {loss:6.1f}   {kl:6.2f}")

# %% nbgrader={"grade": false, "grade_id": "start-5-first", "locked": false, "schema_version": 3, "solution": true, "task": false}
first_better = ...  # a step of the log
### BEGIN SOLUTION
first_better = next(
    step
    for step, loss in zip(log["step"], log["loss"], strict=True)
    if loss < 0.9 * lazy
)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "start-5-first-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.first_better(first_better, record.history, lazy)

# %% tags=["wrong-answer"] says="mean image alone"
# The end of the steep fall is taken, where the model has learned only the mean image.
first_better = 60

# %% tags=["wrong-answer"] says="It is to be below 247.1"
# The first loss below the lazy one is taken, although nine tenths of it are asked for.
first_better = 150

# %% tags=["wrong-answer"] says="an earlier step"
# The last step that was printed is taken instead of the first below the line.
first_better = 300

# %% [markdown]
# In two or three sentences: what did the recorded model answer to different images in the rows 60 and 90 of the log, and which two
# columns tell you so?

# %% [markdown] nbgrader={"grade": true, "grade_id": "start-5-explain", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# It answered nearly the same picture to every image. The KL was below one nat, so the codes told the decoder almost nothing about
# the image, and the loss was still above that of the lazy model. The steep early fall of the loss was the way towards the mean
# image.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# - 0.5: says that in these rows the model answered nearly the same picture, close to the mean image, to every image
# - 0.5: gives both columns as the reason: a KL near zero, and a loss no lower than that of the lazy model
# - 0: "the loss fell, so it was learning", or a reading of one column without the other
