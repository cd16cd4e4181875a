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
# (new-chapter-exercises)=
# # Exercises: New Chapter
#
# Four exercises on the chapter {ref}`new-chapter`, 4 points, about 25 minutes.
#
# **How it works.** Run the notebook from the top. A cell with `# YOUR CODE HERE` is yours: put your own lines in place of
# `raise NotImplementedError`. Where a value is asked for, write your answer in place of the dots and
# delete the two lines below it.
#
# The cell after yours checks it. It prints *Correct* and what follows from your answer, or *Not yet* and a sentence that says what to
# look at. You may read the checks: they are in `medlatent/course/exercises/new_chapter.py`.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "new-chapter-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import torch
import torch.nn.functional as F

from medlatent.course import choose
from medlatent.course.exercises import new_chapter as check
from medlatent.data.phantoms import lesion
from medlatent.models import NewChapter
from medlatent.training import train

settings = choose(
    {
        "ci": {"images": 200, "steps": 60},
        "laptop": {"images": 1_000, "steps": 500},
        "paper": {"images": 5_000, "steps": 5_000},
    },
    profile,
)
phantoms = lesion.generate(settings["images"], seed=seed, size=16)
torch.manual_seed(seed)
model = NewChapter(size=16)
train(
    model,
    phantoms.split("train"),
    settings["steps"],
    batch_size=32,
    seed=seed,
    progress=False,
)
model.eval()
print(f"{len(phantoms)} phantoms with the columns {', '.join(model.columns)}")

# %% [markdown] objectives=[2]
# (exercise-new-chapter-1)=
# ## Exercise 1: The condition
#
# *Write, 6 minutes, 1 point.* An image has a skin colour, a number, and a diagnosis, the index of a class. Write the function that makes one vector of
# them: first the colour, then a 1 in the place of the class and 0 elsewhere.


# %% nbgrader={"grade": false, "grade_id": "new-chapter-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def condition(skin_colour, dx, classes):
    """Two columns (B,) to one vector an image, (B, 1 + classes)."""
    ### BEGIN SOLUTION
    one_hot = F.one_hot(dx, classes).float()
    return torch.cat([skin_colour[:, None], one_hot], 1)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "new-chapter-1-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.condition(condition)
### BEGIN HIDDEN TESTS
check.condition(condition, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="make it one-hot"
# The index of the class is taken for a number.
def condition(skin_colour, dx, classes):
    return torch.stack([skin_colour, dx.float()], 1)


# %% [markdown] objectives=[1]
# (exercise-new-chapter-2)=
# ## Exercise 2: The objective
#
# *Implement, 8 minutes, 1 point.* Of each image of a batch you are given the squared error, summed over the pixels, and the KL of each dimension
# of $z$. Write the objective {eq}`eq-new-chapter-1` of the batch, the mean over its images.


# %% nbgrader={"grade": false, "grade_id": "new-chapter-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def objective(errors, kl, variance):
    """Errors (B,) and KL (B, D) to one number, in nats per image."""
    ### BEGIN SOLUTION
    return (errors / (2 * variance) + kl.sum(1)).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "new-chapter-2-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.objective(objective)
### BEGIN HIDDEN TESTS
check.objective(objective, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="take their sum"
# The KL is averaged over the dimensions.
def objective(errors, kl, variance):
    return (errors / (2 * variance) + kl.mean(1)).mean()


# %% [markdown] objectives=[3]
# (exercise-new-chapter-3)=
# ## Exercise 3: What a column does
#
# *Write, then run, 7 minutes, 1 point.* Two batches were decoded from the same $z$ with different conditions. Write the function that says of each image how far its
# numbers moved: the mean of the absolute differences.


# %% nbgrader={"grade": false, "grade_id": "new-chapter-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def effect(first, second):
    """Two batches (B, C, H, W) to one number an image, (B,)."""
    ### BEGIN SOLUTION
    return (first - second).abs().mean((1, 2, 3))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "new-chapter-3-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.effect(effect)
### BEGIN HIDDEN TESTS
check.effect(effect, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="gains and losses cancel"
# Pixels that brighten make up for pixels that darken.
def effect(first, second):
    return (first - second).mean((1, 2, 3))


# %% [markdown]
# The next cell tries it on the model that was trained above: on the skin colour, and on the diagnosis.

# %% nbgrader={"grade": false, "grade_id": "new-chapter-3-look", "locked": true, "schema_version": 3, "solution": false, "task": false}
z = torch.randn(7, model.config["z_dim"])
pale, dx = torch.zeros(7), torch.arange(7)
with torch.inference_mode():
    before, colour, diagnosis = (
        model.decode(torch.cat([z, model.condition(*columns)], 1))
        for columns in ((pale, dx), (pale + 1, dx), (pale, (dx + 1) % 7))
    )
print(f"skin colour from 0 to 1: {effect(before, colour).mean():.3f}")
print(f"another diagnosis:       {effect(before, diagnosis).mean():.3f}")

# %% [markdown] objectives=[1]
# (exercise-new-chapter-4)=
# ## Exercise 4: A decoder that is deaf to z
#
# *Predict, 4 minutes, 1 point.* Suppose that the decoder ignores $z$ and draws from the condition alone. Which posterior minimises the objective then?
#
# - **a** Any: what the decoder does not read is free.
# - **b** The prior, so that the KL is 0.
# - **c** One that holds the condition, so that nothing is lost.

# %% nbgrader={"grade": false, "grade_id": "new-chapter-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
deaf = ...  # "a", "b" or "c"
### BEGIN SOLUTION
deaf = "b"
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "new-chapter-4-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.deaf(deaf)

# %% tags=["wrong-answer"] says="can still be paid for"
# The KL is forgotten.
deaf = "a"
