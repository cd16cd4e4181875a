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
# (your-own-model)=
# # A model of your own
#
# The models of this book are trained by one loop, judged by the same suites and shown by one explorer. Yours can be, too. You have
# networks, plain `torch.nn.Module`s, and a loss. What is missing is some twenty lines that say how they go together. This page writes
# them, and then uses everything that they open: training, evaluation, files, sliders.

# %% tags=["parameters", "remove-cell"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% tags=["remove-cell"]
from medlatent.course import choose

settings = choose(
    {
        "ci": {"images": 1_200, "steps": 250},
        "laptop": {"images": 4_000, "steps": 3_000},
        "paper": {"images": 10_000, "steps": 20_000},
    },
    profile,
)

# %% [markdown]
# ## What you have
#
# Here is a network that knows nothing of this course: an encoder that makes $2 D$ numbers of a picture, and a decoder that makes a picture of
# $D$ numbers.

# %%
import torch
from torch import nn


class Mine(nn.Module):
    """Pictures 3×32×32 to 2 D numbers, and D numbers to pictures."""

    def __init__(self, latent_dim):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(3, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 8 * 8, 2 * latent_dim),
        )
        self.decoder = nn.Sequential(
            nn.Linear(latent_dim, 32 * 8 * 8),
            nn.ReLU(),
            nn.Unflatten(1, (32, 8, 8)),
            nn.ConvTranspose2d(32, 16, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(16, 3, 4, stride=2, padding=1),
            nn.Sigmoid(),
        )


# %% [markdown]
# ## Twenty lines
#
# Say we want a {term}`variational autoencoder` whose first dimension is the colour of the skin. The images come with a table, and one of its columns
# holds that colour, from 0 to 1. So the loss of a VAE gets a third term, which pulls the first mean to the colour.
#
# A subclass of {py:class}`~medlatent.models.LatentModel` says all of it:

# %% tags=["twenty-lines"]
from medlatent.losses import (
    kl_to_standard_normal,
    reparametrise,
    squared_error,
)
from medlatent.models import LatentModel


class TonedVAE(LatentModel):
    columns = ("skin_colour",)
    suites = ("reconstruction", "posterior", "factors")

    def __init__(self, latent_dim=8, channels=3, size=32):
        config = {"latent_dim": latent_dim, "channels": channels, "size": size}
        super().__init__(config)
        self.latent_dim = latent_dim
        self.mine = Mine(latent_dim)
        self.optimiser = torch.optim.Adam(self.parameters(), lr=2e-3)

    def encode(self, images):
        return self.mine.encoder(images).chunk(2, dim=1)

    def decode(self, z):
        return self.mine.decoder(z)

    def update(self, images, skin_colour):
        mean, logvar = self.encode(images)
        drawn = self.decode(reparametrise(mean, logvar))
        error = squared_error(drawn, images).mean() / 0.2
        kl = kl_to_standard_normal(mean, logvar).sum(1).mean()
        tone = 20 * (mean[:, 0] - (4 * skin_colour - 2)).square().mean()
        loss = error + kl + tone
        self.step(self.optimiser, loss)
        terms = {"loss": loss, "error": error, "kl": kl, "tone": tone}
        return {name: term.detach() for name, term in terms.items()}


# %% [markdown]
# What each piece is for:
#
# | piece | who asks for it |
# |:--|:--|
# | `config`, the arguments of the constructor | `save` and `load`, records, and checkpoints: the model is built again from them |
# | `latent_dim` | samples, figures and explorers, which draw codes of that length |
# | `update` | the training: one step of your algorithm; it returns the terms of the loss, detached, `loss` first |
# | `columns` | the training: these columns of the table go to `update`, by name, row by row with the images |
# | `decode`, `encode` | the suites, figures and explorers; `encode` returns a mean and a log-variance. A generator has no `encode` |
# | `suites` | the evaluation: what the model is judged by |
# | `optimiser`, an attribute | checkpoints, which keep its moments; a model may have several |
#
# The colour is stretched to $[-2, 2]$, where a standard normal {term}`prior` has most of its mass. The factor 20 is a choice, as is the
# variance of 0.1 behind the 0.2.
#
# ## Train
#
# Your images need no special form. Here they are a plain tensor $(N, 3, 32, 32)$ in $[0, 1]$, and the colours a tensor of $N$ numbers. (They are {term}`phantoms <phantom>`,
# since a page has to get its images from somewhere.)

# %%
from medlatent.data.phantoms import lesion
from medlatent.training import train

phantoms = lesion.generate(settings["images"], seed=seed, size=32)
training, test = phantoms.split("train"), phantoms.split("test")
images = training.batch(range(len(training)))
colour = torch.tensor(training.table["skin_colour"].to_numpy())

torch.manual_seed(seed)
model = TonedVAE()
history = train(
    model,
    images,
    settings["steps"],
    columns={"skin_colour": colour},
    seed=seed,
    progress=False,
)
start, end = history["loss"][:5].mean(), history.mean(20)["loss"]
print(f"the loss fell from {start:.0f} to {end:.0f}")
assert end < start

# %% [markdown]
# The loop checks what it is given before the first step. A column that is missing, too short or has a gap is named:

# %%
try:
    train(model, images, 1)
except ValueError as error:
    print(error)

# %% [markdown]
# A seed makes the run repeatable, a `checkpoint` lets it be interrupted, and a loss that becomes infinite stops it with the name of the term:
# see {py:func}`medlatent.training.train`.
#
# If your images come with a table, make them an {py:class}`~medlatent.data.ImageSet`. It says what each column means and which images are for testing, and
# brings the columns by itself: `train(model, image_set, steps)`.
#
# ## Evaluate
#
# The suites that the model names are applied to the test images.

# %%
from medlatent.evaluation import evaluate

values = evaluate(model, test)
for name in ("psnr", "kl", "active_units", "mig", "dci_disentanglement"):
    if name in values:
        print(f"{name:<20} {values[name]:7.3f}")

# %% [markdown]
# Did the third term do what it was meant to? The rank correlation of the first mean with the colour says so, on images that the model has not
# seen.

# %%
from scipy.stats import spearmanr

with torch.inference_mode():
    mean, logvar = model.encode(test.batch(range(len(test))))
followed = [
    abs(spearmanr(z, test.table["skin_colour"]).statistic) for z in mean.T
]
print("|rank correlation| with the skin colour, dimension by dimension")
print("  ".join(f"{r:.2f}" for r in followed))
assert followed[0] > 0.5

# %% [markdown]
# ## Keep
#
# `save` writes weights and `config` into one file, `load` builds the model again. It finds the class by its name, so the cell that
# defines it must have run before; in a package that is an import.

# %%
import tempfile
from pathlib import Path

from medlatent.models import load

with tempfile.TemporaryDirectory() as folder:
    path = model.save(Path(folder) / "toned.safetensors")
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")
    again = load(path)
with torch.inference_mode():
    same = torch.equal(again.decode(mean), model.decode(mean))
print(f"draws the same: {same}")
assert same

# %% [markdown]
# ## Explore
#
# Turn the first slider, and watch the skin.

# %%
from medlatent.explore import Explorer

Explorer(
    model,
    posteriors=(mean, logvar),
    images=test.batch(range(8)),
    labels={"skin colour": test.table["skin_colour"]},
    names=["skin colour", *(f"z{d}" for d in range(1, model.latent_dim))],
    dimensions=range(model.latent_dim),
    title="A model of your own",
)

# %% [markdown]
# ## Further
#
# - Other {term}`priors <prior>`: give the model a `code_layout`, made of {py:class}`~medlatent.models.Uniform`, {py:class}`~medlatent.models.Categorical` or
#   {py:class}`~medlatent.models.Conditional` parts. Samples, figures and explorers follow it.
# - Networks that must not change, such as a generator trained before: name their attributes in `frozen`. They stay in evaluation mode and without
#   gradients, whatever the loop does.
# - Several optimisers, two steps a batch, a discriminator: all of it fits into `update`. {py:meth}`medlatent.models.GAN.update` is an example.
# - A measure of your own is a module with two functions, `observe` and `numbers`.
# - {ref}`your-own-explorer` shows what an explorer can do with a decoder alone.
