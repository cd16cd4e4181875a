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
#     about: a model that is told two columns of an image, as `make chapter` writes it
#     needs:
#     - vae
#     sessions:
#     - class: '{ref}`new-chapter`: the objective on the board, the rest at the keyboard'
#       homework: '{ref}`new-chapter-exercises`, quiz'
# ---

# %% [markdown]
# (new-chapter)=
# # New Chapter
#
# :::{admonition} What you will be able to do
# :class: tip
# - write the objective of a variational autoencoder (VAE) that is told something of each image;
# - train one on phantoms with two columns of their table, a number and a class;
# - measure what each column does to a generated image.
#
# **You need** the chapter {ref}`vae`. **Time**: thirty minutes of reading and trying. **Device**: a laptop; the measured run time
# stands on the page {doc}`/book/execution_times`.
# :::

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %%
from medlatent.course import choose, publish_metrics, show_source

settings = choose(
    {
        "ci": {"images": 600, "size": 32, "steps": 120, "batch_size": 32},
        "laptop": {
            "images": 2_000,
            "size": 64,
            "steps": 2_000,
            "batch_size": 64,
        },
        "paper": {
            "images": 10_000,
            "size": 64,
            "steps": 50_000,
            "batch_size": 256,
        },
    },
    profile,
)
settings

# %% tags=["hide-input"]
import numpy as np
import torch

from medlatent import explore
from medlatent.data.phantoms import lesion
from medlatent.evaluation import evaluate
from medlatent.models import NewChapter
from medlatent.training import train

# %% [markdown]
# ## The question
#
# A dermatologist knows the diagnosis of a lesion and the colour of the skin around it. A model that draws lesions could be told both,
# so that its code need not spend a number on either. This chapter asks what such a model does with what it is told.
#
# The images are {term}`phantoms <phantom>`, whose table has a column for each {term}`factor of variation`. Two of them are used here: `skin_colour`, from 0
# (pale) to 1 (tanned), and `dx`, one of seven diagnoses.

# %% mystnb={"figure": {"caption": "Phantoms sorted by the colour of the skin.", "name": "fig-new-chapter-phantoms"}} tags=["hide-input"]
phantoms = lesion.generate(
    settings["images"], seed=seed, size=settings["size"]
)
training, test = phantoms.split("train"), phantoms.split("test")
order = training.table["skin_colour"].to_numpy().argsort()
chosen = order[np.linspace(0, len(order) - 1, 8).astype(int)]
explore.show(
    explore.image_table(
        training.batch(chosen)[None],
        alt="Eight rendered skin lesions in a row; the skin around them turns "
        "from pale to tanned.",
    )
)

# %% [markdown]
# ## The objective
#
# Let $x$ be an image and $c$ what is known of it, the *condition*. The decoder draws $d(z, c)$ from noise $z$ and the condition, and the encoder's
# posterior $q(z \mid x, c)$ is told the condition, too. With a Gaussian likelihood of variance $\sigma^2$, the bound of the chapter {ref}`vae` holds for each
# $c$ by itself. What is minimised is, without the constant of the Gaussian,
#
# $$
# \mathcal L(x, c) = \mathbb E_{q(z \mid x, c)} \frac{\lVert x - d(z, c) \rVert^2}{2 \sigma^2}
#   + \mathrm{KL}\bigl(q(z \mid x, c) \,\Vert\, p(z)\bigr) .
# $$ (eq-new-chapter-1)
#
# The condition costs no nats: it is given, not inferred. So whatever $c$ says of the image, $z$ need not say again. The code
# is {py:meth}`medlatent.models.NewChapter.objective`, one step of the training is `update`.

# %% tags=["hide-input"]
show_source(NewChapter.condition, NewChapter.objective, NewChapter.update)

# %% [markdown]
# Is this the objective? The cell below computes the same number from densities alone. It draws $z$ from the posterior
# many times and averages $\lVert x - d(z, c) \rVert^2 / 2 \sigma^2 + \log q(z \mid x, c) - \log p(z)$, without the closed form of the KL.

# %% tags=["check-new-chapter-1"]
torch.manual_seed(seed)
model = NewChapter(size=settings["size"])
columns = training.columns(model.columns)
x = training.batch(range(2))
c = model.condition(columns["skin_colour"][:2], columns["dx"][:2])
with torch.inference_mode():
    code = torch.stack([model.objective(x, c)["loss"] for _ in range(100)])
    mean, logvar = model.infer(x, c)
    posterior = torch.distributions.Normal(mean, (0.5 * logvar).exp())
    prior = torch.distributions.Normal(0.0, 1.0)
    draws = []
    for _ in range(500):
        z = posterior.sample()
        errors = (x - model.decode(torch.cat([z, c], 1))).square()
        terms = errors.sum((1, 2, 3)) / (2 * model.config["variance"])
        terms += (posterior.log_prob(z) - prior.log_prob(z)).sum(1)
        draws.append(terms.mean())
    draws = torch.stack(draws)
error = (code.var() / len(code) + draws.var() / len(draws)).sqrt()
print(
    f"code {code.mean():.2f}   densities {draws.mean():.2f} "
    f"± {error:.2f} nats"
)
assert abs(code.mean() - draws.mean()) < 6 * error + 1e-4 * code.mean()

# %% [markdown]
# ## Training
#
# The loop asks the model which columns it wants (`model.columns`) and hands them over with each batch.

# %%
history = train(
    model,
    training,
    settings["steps"],
    batch_size=settings["batch_size"],
    seed=seed,
    progress=False,
)
model.eval()
start, end = history["loss"][:5].mean(), history.mean(5)["loss"]
print(f"the loss fell from {start:.0f} to {end:.0f} nats per image")
assert end < start

# %% mystnb={"figure": {"caption": "The terms of the loss.", "name": "fig-new-chapter-loss"}} tags=["hide-input"]
explore.show(explore.loss_curves(history))

# %% [markdown]
# ## Evaluation
#
# The suite `medlatent.evaluation.new_chapter` looks at test phantoms: the squared error of a reconstruction, the nats in $z$, and how far the pixels move when
# one column is changed and all else stays. The mean of the training images stands beside it: whoever does worse has learned nothing.

# %%
values = evaluate(model, test)
pictures = test.batch(range(len(test)))
lazy = training.batch(range(len(training))).mean(0)
baseline = (pictures - lazy).square().sum((1, 2, 3)).mean().item()
print(f"SSE of the mean image  {baseline:8.1f}")
for name, value in values.items():
    print(f"{name:<21}  {value:8.4g}")
publish_metrics("new_chapter", {"baseline": baseline, **values})

# %% [markdown]
# This is one run with one seed on phantoms. The plan `results/new_chapter/plan.toml` lists longer runs over several seeds; `python -m medlatent run` makes and records them.
#
# ## Explore
#
# Each row has one $z$ and one diagnosis; from left to right only the colour of the skin changes. Does it?

# %% mystnb={"figure": {"caption": "From left to right the skin colour goes from 0 to 1; each row has its own z and diagnosis.", "name": "fig-new-chapter-colours"}} tags=["hide-input"]
steps, kept = 7, [0, 4, 5]
z = torch.randn(len(kept), model.config["z_dim"]).repeat_interleave(steps, 0)
colours = torch.linspace(0, 1, steps).repeat(len(kept))
diagnoses = torch.tensor(kept).repeat_interleave(steps)
codes = torch.cat([z, model.condition(colours, diagnoses)], 1)
with torch.inference_mode():
    drawn = model.decode(codes)
explore.show(
    explore.image_table(
        drawn.unflatten(0, (len(kept), steps)),
        row_labels=[lesion.DX[k] for k in kept],
        alt="Three rows of seven drawn lesions, one row a diagnosis; from left "
        "to right the model was told another colour of the skin.",
    )
)

# %%
explore.Explorer(model, category_names=lesion.DX)

# %% [markdown]
# ## What the paper does not say
#
# This chapter follows no single paper. One gap is worth a sentence all the same: the bound {eq}`eq-new-chapter-1` does not ask that $z$ and $c$ are
# independent. A $z$ that repeats the condition pays for it in the KL, but nothing forbids it.
#
# ## Quiz

# %% tags=["quiz", "hide-input"]
from jupyterquiz import display_quiz


def choice(question, right, why, *wrong):
    """A question with one right answer; each wrong one with its feedback."""
    answers = [{"answer": right, "correct": True, "feedback": why}]
    answers += [
        {"answer": text, "correct": False, "feedback": feedback}
        for text, feedback in wrong
    ]
    return {
        "question": question,
        "type": "multiple_choice",
        "answers": answers,
    }


display_quiz(
    [
        choice(
            "What does the encoder see?",
            "the image and its condition",
            "Yes: the posterior is q(z | x, c).",
            ("the image alone", "Then z would have to repeat the condition."),
        ),
        choice(
            "Which term of the objective charges for the condition?",
            "none",
            "Yes: the condition is given, not inferred.",
            ("the KL", "The KL is that of z alone."),
        ),
        choice(
            "Why is a diagnosis one-hot and not the index of its class?",
            "An index has an order, a diagnosis has none.",
            "Yes: class 3 is not three times class 1.",
            ("Because networks take no integers.", "They take 3.0 as well."),
        ),
        choice(
            "The effect of a column is 0. What does that mean?",
            "The decoder does not listen to it.",
            "Yes: no pixel moves when it changes.",
            ("The column was predicted.", "The model predicts no column."),
        ),
        choice(
            "What stands in the code of a generated image?",
            "noise, a skin colour and a diagnosis",
            "Yes, in this order.",
            ("noise alone", "The decoder is told the condition, too."),
        ),
    ]
)

# %% [markdown]
# ## Limits, summary, further reading
#
# **Limits.** Phantoms are cleaner than photographs, the model is small, and the run of the shortest profile is brief.
#
# **Summary.** A condition that encoder and decoder are told {eq}`eq-new-chapter-1` need not be in the code, and what it does to an image can be measured by changing it alone.
#
# **Exercises.** {ref}`new-chapter-exercises`: each checks your answer and says what is wrong with it.
#
# **Further reading.** {ref}`vae` derives the bound that this chapter conditions.
