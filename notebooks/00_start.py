# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     notebook_metadata_filter: medlatent
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
#   medlatent:
#     about: a latent space to play with in five minutes
#     needs: []
#     sessions:
#     - class: '{ref}`start`, and how to run the notebooks'
#       homework: '{ref}`start-exercises`'
# ---

# %% [markdown]
# (start)=
# # Start here: a latent space in five minutes
#
# :::{admonition} What you will be able to do
# :class: tip
# - run the notebooks of this course on your laptop or in Colab, at a scale that suits the machine;
# - say what an encoder, a decoder and a latent space are, and move about in one;
# - train a small model of your own, and put a number on how well it reproduces images it has never seen.
#
# **You need** Python, and to have seen PyTorch once. **Time**: five minutes to play, half an hour for everything.
# **Device**: a laptop without a GPU will do; the measured run time stands on the page {doc}`/book/execution_times`.
# :::
#
# ## Run it
#
# | where | how |
# |---|---|
# | in Colab | press the rocket at the top of this page, then *Colab*. The first cell of the notebook installs the course. |
# | on a laptop | clone the repository and run `make book`. It makes its own environment in `.venv`, executes every notebook, and builds these pages. Then `.venv/bin/pip install jupyterlab` and `.venv/bin/jupyter lab`, or open the folder in VS Code. |
#
# Each notebook has a cell that sets a {term}`profile`. It says how large the run is, and the next cell says what that means
# in numbers.
#
# | profile | takes | is for |
# |---|---|---|
# | `ci` | seconds to a few minutes on two CPU cores | the published pages, a first look |
# | `laptop` | minutes | working through a chapter |
# | `paper` | hours, on a GPU | the scale that a chapter's paper reports; here simply a long run |

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %%
from medlatent.course import choose, publish_metrics
from medlatent.evaluation import evaluate
from medlatent.records import find_record

settings = choose(
    {
        "ci": {"images": 2_000, "steps": 250, "batch_size": 64},
        "laptop": {"images": 5_000, "steps": 3_000, "batch_size": 64},
        "paper": {"images": 10_000, "steps": 100_000, "batch_size": 256},
    },
    profile,
)
settings

# %% tags=["hide-input"]
import math

import numpy as np
import torch

from medlatent import explore
from medlatent.data import open_images
from medlatent.data.phantoms import lesion
from medlatent.metrics import psnr
from medlatent.models import VAE
from medlatent.training import train

# %% [markdown]
# ## The question
#
# Here are sixteen pictures of skin lesions. No two of them are alike, and yet you could describe each in a sentence: a small
# dark one, a large pale one, one under hairs. How many numbers would it take to write that sentence down, and could a computer find out which
# numbers, without being told?
#
# None of these lesions belongs to a person. They are {term}`phantoms <phantom>`, drawn by a program that knows what it drew.

# %% mystnb={"figure": {"caption": "Sixteen skin-lesion phantoms.", "name": "fig-start-phantoms"}} tags=["hide-input"]
images = open_images("phantoms.lesion", 4_000, seed=seed + 1).split("test")
one_each = np.flatnonzero(~images.table["lesion_id"].duplicated())
explore.show(
    explore.image_table(
        images.batch(one_each[:16]).unflatten(0, (2, 8)),
        alt="Two rows of eight rendered skin lesions: red-brown patches of different size, shape and colour on pink skin.",
    )
)

# %% [markdown]
# ## Play
#
# We load a model that was trained before, a *variational autoencoder* (VAE); {ref}`vae` derives it, and here it is enough that it consists
# of two networks. The {term}`encoder` $e$ turns an image $x$ of 3 colours × 64 × 64 pixels = 12 288 numbers into a code $z$ of 32. The
# {term}`decoder` $d$ turns a code into an image:
#
# $$
# z = e(x), \qquad \hat x = d(z) .
# $$ (eq-start-1)
#
# The space in which the codes lie is the {term}`latent space`. Points close together in it decode to similar images.
# (This encoder also returns, as a second output, how uncertain it is. We ignore that until {ref}`vae`.) In the code, `images` are the test
# phantoms, and `one_each` numbers one picture of each lesion.

# %% tags=["check-start-1"]
record = find_record("vae", "phantoms_vae")
model = record.load_model()
x = images.batch(one_each[:8])
with torch.inference_mode():
    z, _ = model.encode(x)
    reconstruction = model.decode(z)
print(
    f"x {tuple(x.shape)} → z {tuple(z.shape)} → x̂ {tuple(reconstruction.shape)}"
)
assert z.shape == (8, model.latent_dim)
assert reconstruction.shape == x.shape

# %% mystnb={"figure": {"caption": "Images above, their reconstructions from 32 numbers below.", "name": "fig-start-reconstructions"}} tags=["hide-input"]
explore.show(explore.reconstructions(model, x))

# %% [markdown]
# Place, size, darkness and skin have come through. Hairs, ragged borders and the pattern inside have not: 32 numbers do not hold them, or
# the training did not ask for them strongly enough.
#
# What do the 32 numbers mean? The quickest way to find out is to turn one of them like a knob, and to watch the picture. A
# picture of this is called a {term}`traversal`. The numbers in {numref}`fig-start-traversal` are sorted: those at the top tell the decoder
# most about the image. Training keeps the codes of all images together close to a fixed distribution, the {term}`prior`: here each number
# is normal with mean 0 and variance 1, so that nearly all values lie between −3 and 3.

# %% mystnb={"figure": {"caption": "The eight of the 32 numbers that tell most. Each row turns one of them from −3 to 3, all others are 0. The row's label says how much that number tells about an image at most, in nats, a unit of information (1 nat is 1.44 bits).", "name": "fig-start-traversal"}} tags=["hide-input"]
with torch.inference_mode():
    posteriors = model.encode(images.batch(range(len(images))))
explore.show(explore.traversal(model, posteriors=posteriors))

# %% [markdown]
# Now turn the knobs yourself. The decoder runs in this page, in your browser. Try to make a small dark lesion on pale
# skin. Which knobs did you need, and did one of them change two things at once?
#
# The pictures of the strip are phantoms that the model has not been trained on. A click encodes one of them: the sliders
# jump to its code, and beside the original stands what the decoder makes of it. *Map* shows the codes of the test
# phantoms, *Walk* turns one knob after the other.

# %%
explore.Explorer(
    model,
    code=z[0],
    posteriors=posteriors,
    images=x,
    image_names=[f"phantom {i + 1}" for i in range(len(x))],
    labels={
        "size": images.table["size"],
        "skin colour": images.table["skin_colour"],
        "diagnosis": images.table["dx"],
    },
)

# %% [markdown]
# Between two codes runs a straight line. Decoding the points along it changes one lesion into another, and every picture
# on the way shows one lesion, however faint. If you mix the *images* instead, you see two lesions on top of each other.

# %% mystnb={"figure": {"caption": "Above: the images themselves mixed. Below: their codes mixed, then decoded; so its ends are reconstructions.", "name": "fig-start-interpolation"}} tags=["hide-input"]
by_size = images.table["size"].to_numpy().argsort()
small, large = images.batch([by_size[3], by_size[-3]])
mix = torch.linspace(0, 1, 8)
with torch.inference_mode():
    a, b = model.encode(torch.stack([small, large]))[0]
    decoded = model.decode(torch.lerp(a, b, mix[:, None]))
faded = torch.lerp(small[None], large[None], mix[:, None, None, None])
explore.show(
    explore.image_table(
        torch.stack([faded, decoded]),
        row_labels=["images mixed", "codes mixed"],
        alt="Two rows of eight pictures between a small and a large lesion. Above one lesion fades into the other; below "
        "the small lesion pales and grows into the large one.",
    )
)

# %% [markdown]
# A decoder can also be asked for lesions that nobody has put in. Codes drawn at random from the prior give these: they are codes that the
# decoder knows how to read.

# %% mystnb={"figure": {"caption": "Lesions decoded from random codes.", "name": "fig-start-samples"}} tags=["hide-input"]
explore.show(explore.samples(model, 16, columns=8, seed=seed))

# %% [markdown]
# ## Train your own
#
# One function call trains a model. Smaller pictures make it quick: 32 × 32 pixels, and codes of eight numbers. The images of the
# test split are kept aside, and no lesion has pictures in both splits: two pictures of one lesion are much alike, and one in training would
# give the other away. The *loss* is what training makes small: the squared error, divided by twice the `variance`, plus a price for what
# the code tells, both in nats. So a smaller `variance` makes errors dearer; {ref}`vae` derives it.

# %%
small_images = lesion.generate(settings["images"], seed=seed, size=32)
training, test = small_images.split("train"), small_images.split("test")
torch.manual_seed(seed)
own = VAE(latent_dim=8, size=32, variance=0.1, learning_rate=2e-3)
history = train(
    own,
    training,
    settings["steps"],
    batch_size=settings["batch_size"],
    seed=seed,
    precision="float32",  # 16 bits, where a processor has them, give others
    progress=False,
)
print(
    f"{len(history)} steps; the loss fell from {history['loss'][0]:.0f} to {history.mean(20)['loss']:.0f} nats per image"
)

# %% mystnb={"figure": {"caption": "Test phantoms and what your model makes of them.", "name": "fig-start-own"}} tags=["hide-input"]
one_each = np.flatnonzero(~test.table["lesion_id"].duplicated())
explore.show(explore.reconstructions(own, test.batch(one_each[:10])))

# %% [markdown]
# ## Put a number on it
#
# How close is $\hat x$ to $x$? The usual answer in imaging is the {term}`peak signal-to-noise ratio <PSNR>` in decibels. With
# intensities between 0 and 1 and $P$ numbers an image,
#
# $$
# \mathrm{PSNR} = 10 \log_{10} \frac{1}{\mathrm{MSE}}, \qquad \mathrm{MSE} = \frac1P \sum_{i=1}^{P} (x_i - \hat x_i)^2 .
# $$ (eq-start-2)
#
# Ten decibels more mean a tenth of the squared error. We compute it by hand for one image, and compare.

# %% tags=["check-start-2"]
pictures = test.batch(range(len(test)))
with torch.inference_mode():
    rebuilt = own.decode(own.encode(pictures)[0])
by_hand = 10 * math.log10(1 / (pictures[0] - rebuilt[0]).square().mean().item())
result = psnr(pictures, rebuilt)
print(
    f"by hand {by_hand:.3f} dB   medlatent.metrics.psnr {result.per_image[0]:.3f} dB"
)
assert abs(by_hand - result.per_image[0]) < 1e-3

# %% [markdown]
# A number needs something to stand beside. The laziest model answers every image with the mean of the training images.

# %%
lazy = (
    training.batch(range(len(training)))
    .mean(0, keepdim=True)
    .expand_as(pictures)
)
baseline = psnr(pictures, lazy)
gain = result.per_image - baseline.per_image
print(f"mean image  {baseline.score:.2f} dB")
print(f"your model  {result.score:.2f} dB, on {len(test)} test phantoms")
print(
    f"gain        {gain.mean():.2f} ± {gain.std(ddof=1) / math.sqrt(len(gain)):.2f} dB (mean ± standard error over images)"
)
publish_metrics(
    "start",
    {
        "psnr": result.score,
        "gain": gain.mean(),
        "kl": evaluate(own, test, ["posterior"])["kl"],
    },
)

# %% [markdown]
# This is one run with one seed on phantoms, at the profile and on the device that the page
# {doc}`/book/execution_times` states. The ± is a standard error: how far the mean gain would move with other test images. (Pictures of one
# lesion count as independent here, so it is a little too small.) It says nothing about other runs: another seed gives another model.
# Chapters that compare models repeat their runs over several seeds.
#
# ## What a page like this does not say
#
# - **That a knob has a meaning.** Nothing in the training asked for it. Whether a dimension stands for one factor is a question
#   with several answers, and the course is about them.
# - **That what holds for phantoms holds for skin.** Phantoms are cleaner and less varied. The later chapters put runs on
#   real images beside them.
# - **That a good picture is a right one.** A decoder shows what is typical. A rare finding may be smoothed away.
#
# ## Quiz

# %% tags=["quiz", "hide-input"]
from jupyterquiz import display_quiz

display_quiz(
    [
        {
            "question": "Which of the two networks do you need to make new lesions out of random codes?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "the encoder",
                    "correct": False,
                    "feedback": "It goes from images to codes.",
                },
                {
                    "answer": "the decoder",
                    "correct": True,
                    "feedback": "Yes: it goes from codes to images.",
                },
                {
                    "answer": "both",
                    "correct": False,
                    "feedback": "There is no image to encode: the code is drawn from the prior.",
                },
            ],
        },
        {
            "question": "An image of 3 × 64 × 64 values is encoded in 32 numbers. How many values of the image come to one number of the code?",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "value",
                    "value": 384,
                    "correct": True,
                    "feedback": "Yes: 12 288 / 32 = 384.",
                },
                {
                    "type": "default",
                    "feedback": "Count the values of the image first: 3 · 64 · 64.",
                },
            ],
        },
        {
            "question": "The MSE of a reconstruction is 0.001. What is its PSNR in dB, with intensities in [0, 1]?",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "value",
                    "value": 30,
                    "correct": True,
                    "feedback": "Yes: 10 · log10(1000) = 30.",
                },
                {
                    "type": "default",
                    "feedback": "Use the formula: 10 · log10(1 / MSE).",
                },
            ],
        },
        {
            "question": "In a traversal, what changes from one picture of a row to the next?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "one number of the code; all others stay fixed",
                    "correct": True,
                    "feedback": "Yes. If several things change in the picture, that one number stands for several factors.",
                },
                {
                    "answer": "one factor of the image; all others stay fixed",
                    "correct": False,
                    "feedback": "That is what we would like. Whether it is so is the question.",
                },
                {
                    "answer": "the input image",
                    "correct": False,
                    "feedback": "There is no input: codes are decoded.",
                },
            ],
        },
        {
            "question": "Why are the splits made by lesion and not by image?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "Because two pictures of one lesion are alike: one in training would give the other away.",
                    "correct": True,
                    "feedback": "Yes. The test would then measure memory.",
                },
                {
                    "answer": "Because the splits then have exactly equal sizes.",
                    "correct": False,
                    "feedback": "They do not: lesions have different numbers of pictures.",
                },
                {
                    "answer": "Because it makes training faster.",
                    "correct": False,
                    "feedback": "It has no bearing on the speed.",
                },
            ],
        },
    ]
)

# %% [markdown]
# ## Limits, summary, further reading
#
# **Limits.** The models of this page are small and were trained briefly. They are made for learning, not for diagnosis.
#
# **Summary.** An encoder turns an image into a short code, a decoder turns a code into an image {eq}`eq-start-1`, and the
# codes live in a latent space in which one can walk, mix and draw at random. How good the reconstructions are is measured on
# lesions that were not in the training, beside a baseline {eq}`eq-start-2`.
#
# **Exercises.** {ref}`start-exercises`: each checks your answer and says what is wrong with it.
#
# **Where to go on.** {ref}`vae` derives the model that you have just used. {doc}`/book/how_to_use` says how a chapter is built and how
# to get the real data. Kingma and Welling's tutorial paper {cite:p}`kingma2019` is a thorough introduction to the theory.
#
# **The functions of this page** in the API reference: {py:func}`medlatent.metrics.psnr` {eq}`eq-start-2`,
# {py:func}`medlatent.training.train`, {py:func}`medlatent.explore.traversal`, {py:class}`medlatent.models.VAE` {eq}`eq-start-1`.
