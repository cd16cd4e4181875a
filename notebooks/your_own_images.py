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
# (your-own-images)=
# # Your own images
#
# From a folder of pictures to a file that you can mail: whoever opens it turns the knobs of *your* model, in a browser, without
# Python and without a network. This page goes all the way: a folder, an image set, a model, its numbers, and the file. On the way it shows
# what a model looks like that has learnt nothing, since sooner or later you will meet one.

# %% tags=["parameters", "remove-cell"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% tags=["remove-cell"]
from medlatent.course import choose, show_table

settings = choose(
    {
        "ci": {"pictures": 600, "steps": 300, "collapse_steps": 100},
        "laptop": {"pictures": 3_000, "steps": 3_000, "collapse_steps": 300},
        "paper": {"pictures": 10_000, "steps": 50_000, "collapse_steps": 500},
    },
    profile,
)

# %% [markdown]
# ## The folder
#
# You have a folder with pictures, and perhaps a table. A page has no folder of yours, so this one fills one: PNG files of
# {term}`phantoms <phantom>`, 48 pixels high and 64 wide, and `labels.csv` with what is known of each. Skip the cell, and put the path of your
# folder into `folder`.

# %%
import tempfile
from pathlib import Path

import pandas as pd
import torch
from PIL import Image

from medlatent.data.phantoms import lesion

folder = Path(tempfile.mkdtemp()) / "pictures"
folder.mkdir()
n = settings["pictures"]
known = lesion.sample_factors(n, seed)
pixels = lesion.render(known, (48, 64), seed).permute(0, 2, 3, 1).numpy()
rows = []
for i in range(n):
    name = f"patient{i // 3:04}_{i % 3}.png"
    Image.fromarray(pixels[i]).save(folder / name)
    rows.append(
        {
            "file": name,
            "patient": f"patient{i // 3:04}",
            "diameter": round(float(known["size"][i]) ** 0.5, 3),
            "diagnosis": lesion.DX[int(known["dx"][i])],
        }
    )
pd.DataFrame(rows).to_csv(folder / "labels.csv", index=False)
print(f"{len(list(folder.glob('*.png')))} pictures")
print((folder / "labels.csv").read_text()[:120])

# %% [markdown]
# ## An image set
#
# An {py:class}`~medlatent.data.ImageSet` holds the images, the table, what each column means, and which images are for testing. PNG, JPEG, TIFF, DICOM and
# NIfTI are read. Where the table says which picture is of whom, say so by `group`: then no patient lies both in the training and in the test, see
# {ref}`images`.

# %%
from medlatent.data import ImageSet

images = ImageSet.from_folder(
    folder,
    table="labels.csv",
    group="patient",
    licence="CC0-1.0",
    citation="rendered by this page",
)
images

# %% [markdown]
# What do the columns mean? Kinds were guessed from the values. Look before you believe it: a grade of 1, 2 or 3 is taken for a number, and so is a
# code for a clinic. `factors={"grade": "categorical"}` says otherwise.

# %%
print(images.card.preprocessing)
show_table(
    pd.DataFrame(
        {
            name: {"kind": factor.kind, "values": ", ".join(factor.values)}
            for name, factor in images.factors.items()
        }
    ).T
)

# %% [markdown]
# What cannot be known is asked for, in a sentence. Pictures of different shapes need a `size` and a `fit`: `"crop"`, `"stretch"`, or `"keep"` with what fills
# the rest. CT, 16 bits and floats outside of 0 to 1 need a `value_range`: the values that stand for black and for white. MR has no unit, and differs from
# scan to scan: `percentiles=(1, 99)` takes them from each series. Here is what a wrong column gives:

# %%
from medlatent.data import DataError

try:
    ImageSet.from_folder(folder, table="labels.csv", group="Patient")
except DataError as error:
    print(error)

# %% [markdown]
# `images.save("my_set")` keeps it, `ImageSet.load("my_set")` reads it. Arrays become a set by {py:meth}`~medlatent.data.ImageSet.from_arrays`. On the command line the same is
#
# ```console
# $ python -m medlatent pack pictures --out my_set \
#     --table labels.csv --group patient
# $ python -m medlatent train VAE --data my_set --steps 3000
# ```
#
# Look at some of them, as the network will see them: are they the right way up, and is nothing cut off?

# %%
from medlatent import explore

training, test = images.split("train"), images.split("test")
explore.show(
    explore.image_table(
        training.batch(range(16)).unflatten(0, (2, 8)),
        alt="Two rows of eight pictures of the training split, 48 pixels high "
        "and 64 wide: rendered skin lesions.",
    )
)

# %% [markdown]
# ## A model
#
# A {term}`variational autoencoder`, as {ref}`vae` derives it. `size` is the height and the width; a side has at least 16 pixels. `variance` says how exact
# the reconstructions should be: 0.1 is a good first value for pictures between 0 and 1.

# %%
from medlatent.models import VAE
from medlatent.training import train

torch.manual_seed(seed)
model = VAE(latent_dim=8, size=(48, 64), variance=0.1, learning_rate=2e-3)
history = train(
    model, training, settings["steps"], batch_size=32, seed=seed, progress=False
)
print(f"loss {history['loss'][0]:.0f} to {history.mean(20)['loss']:.0f} nats")

# %% [markdown]
# ## What it has learnt
#
# Three numbers first, on the test images: the {term}`PSNR`, beside that of the laziest model, which answers each image with the mean of the
# training images; the KL, what the code says of an image at most; and how many dimensions say anything.

# %%
from medlatent.evaluation import by_reason, evaluate
from medlatent.metrics import psnr


def judged(model):
    """The three numbers, and those of the lazy model."""
    pictures = test.batch(range(len(test)))
    mean = training.batch(range(len(training))).mean(0, keepdim=True)
    values = evaluate(model, test, ["reconstruction", "posterior"])
    return {
        "PSNR (dB)": values["psnr"],
        "of the mean image": psnr(pictures, mean.expand_as(pictures)).score,
        "KL (nats)": values["kl"],
        "active dimensions": values["active_units"],
    }


first = judged(model)
assert first["PSNR (dB)"] > first["of the mean image"] + 1
assert first["active dimensions"] >= 2
show_table(pd.DataFrame({"this model": first}).T, 1)

# %% [markdown]
# There are more numbers. `evaluate(model, test)` computes all that the model's suites know, and what these images do not give is in `left_out`, each with
# the reason. A score of disentanglement needs factors of a hundred images or more; that of the paper on lesions, three that are measured on outlines.

# %%
values = evaluate(model, test)
print(f"{len(values)} numbers; left out:")
for names, reason in by_reason(values.left_out):
    print(f"- {', '.join(names)}: {reason}")

# %% mystnb={"figure": {"caption": "Pictures of the test split, and what the model makes of them.", "name": "fig-your-own-images"}} tags=["hide-input"]
explore.show(explore.reconstructions(model, test.batch(range(8))))

# %% [markdown]
# ## A model that has learnt nothing
#
# Two ways to ruin it. The first is a learning rate ten times as large. Then a number may leave the range of floats, and the training stops and says which:

# %%
torch.manual_seed(seed)
fast = VAE(latent_dim=8, size=(48, 64), variance=0.1, learning_rate=2e-2)
steps, often = settings["collapse_steps"], {"batch_size": 32, "seed": seed}
try:
    train(fast, training, steps, **often, progress=False)
    print("it went through: look at the numbers")
except FloatingPointError as error:
    print(error)

# %% [markdown]
# The second is to ask for too little: a `variance` of 10 says that large errors are fine.

# %%
torch.manual_seed(seed)
idle = VAE(latent_dim=8, size=(48, 64), variance=10.0, learning_rate=2e-3)
history = train(idle, training, steps, **often, progress=False)
print(f"loss {history['loss'][0]:.0f} to {history.mean(20)['loss']:.0f} nats")
second = judged(idle)
assert second["KL (nats)"] < first["KL (nats)"]
show_table(pd.DataFrame({"this model": first, "variance 10": second}).T, 1)

# %% [markdown]
# The loss does not show it: it falls here as well. Look at the columns instead.
#
# | What you see | What it is | What to try |
# |:--|:--|:--|
# | PSNR no higher than that of the mean image, and a KL near 0 (a dimension may still count as active, since its mean varies a little) | {term}`posterior collapse`: the decoder ignores the code | a smaller `variance`; a smaller learning rate; more steps |
# | the loss jumps, or becomes NaN (the training then stops and names the term) | the learning rate | a third of it |
# | PSNR high in training, low on test images | memory | more images, a smaller network, fewer steps; see that no patient lies in both |
# | reconstructions sharp, samples of the prior no pictures | codes far from the prior | a larger `variance`, or {ref}`independence` |
# | active dimensions, and none follows what interests you | nothing asked for it | {ref}`measuring` says how to be sure; {ref}`attribute-vae` asks for it |
#
# ## The file
#
# Now the explorer, with test images, and their codes on a map in the colours of the labels. If the pictures are of patients, `images` puts them into the
# file: leave them out, or ask who may have them.

# %%
with torch.inference_mode():
    posteriors = model.encode(test.batch(range(len(test))))
explorer = explore.Explorer(
    model,
    posteriors=posteriors,
    images=test.batch(range(6)),
    labels={
        "diameter": test.table["diameter"],
        "diagnosis": test.table["diagnosis"],
    },
    title="My pictures",
)
explorer

# %%
file = explorer.save(folder.parent / "my_pictures.html", data=images)
text = file.read_text("utf-8")
print("asks another host for something:", "https://" in text.split("<body>")[0])

# %% [markdown]
# One file, with the weights in it. It opens from a disk or from an attachment, and says what it is: the model, the data, their licence. Send it to
# somebody who knows the pictures, and ask what the sliders do.
#
# ## Further
#
# - {ref}`your-own-model` has another model than a VAE in twenty lines; {ref}`your-own-explorer` an explorer for any decoder.
# - {ref}`runs` records a run so that its numbers can be computed again, and lists the runs of a study.
# - {ref}`images` says what goes wrong before the first layer: padding, windows, eight bits, siblings in the test set.
