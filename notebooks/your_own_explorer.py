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
# (your-own-explorer)=
# # An explorer for your own model
#
# The explorers of this book are made by one function call, from any PyTorch decoder. In a notebook they are widgets like
# any other, and Python sees what the reader does. On a page without a kernel they go on working, because the network
# itself travels with the page.

# %% tags=["parameters", "remove-cell"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% tags=["remove-cell"]
from medlatent.course import choose

settings = choose(
    {
        "ci": {"images": 2_000},
        "laptop": {"images": 5_000},
        "paper": {"images": 5_000},
    },
    profile,
)

# %% [markdown]
# ## A decoder is enough
#
# A decoder is a `torch.nn.Module` that makes images $(B, C, H, W)$ in $[0, 1]$ of codes $(B, D)$. This one has not been
# trained: turn its knobs and see what an untrained network draws.

# %%
import torch
from torch import nn

from medlatent.explore import Explorer

torch.manual_seed(seed)
decoder = nn.Sequential(
    nn.Linear(8, 32 * 8 * 8),
    nn.Unflatten(1, (32, 8, 8)),
    nn.Tanh(),
    nn.Upsample(scale_factor=4),
    nn.Conv2d(32, 3, 5, padding=2),
    nn.Sigmoid(),
)
for weight in decoder.parameters():
    nn.init.normal_(weight, std=0.3)  # larger than usual: livelier pictures
Explorer(decoder, latent_dim=8)

# %% [markdown]
# ## With images and a map
#
# A model with a method `encode` can take images, too. The oldest one is the principal component analysis. Its encoder and
# its decoder are one matrix product each. Its codes are scaled here to a variance of 1, so that the sliders' density is
# that of the codes.

# %%
from medlatent.data import open_images


class PCA(nn.Module):
    """Images to the first D principal components and back."""

    def __init__(self, images, latent_dim):
        super().__init__()
        self.latent_dim, self.shape = latent_dim, images.shape[1:]
        pixels = images.flatten(1)
        self.mean = nn.Parameter(pixels.mean(0))
        _, values, directions = torch.linalg.svd(
            pixels - self.mean, full_matrices=False
        )
        scale = values[:latent_dim, None] / len(pixels) ** 0.5
        self.to_code = nn.Parameter(directions[:latent_dim] / scale)
        self.to_pixels = nn.Parameter(directions[:latent_dim] * scale)

    def encode(self, images):
        return (images.flatten(1) - self.mean) @ self.to_code.T

    def decode(self, codes):
        pixels = codes @ self.to_pixels + self.mean
        return pixels.clamp(0, 1).unflatten(1, self.shape)


digits = open_images("mnist.digits", settings["images"], seed=seed)
training, test = digits.split("train"), digits.split("test")
pca = PCA(training.batch(range(len(training))), latent_dim=24)
images = test.batch(range(min(300, len(test))))
with torch.inference_mode():
    codes = pca.encode(images)

explorer = Explorer(
    pca,
    posteriors=codes,
    images=images[:12],
    labels={"digit": test.table["digit"][: len(images)]},
    dimensions=range(8),
    title="Principal components of handwritten digits",
)
explorer

# %% [markdown]
# PCA has no posteriors, only codes, so no information is stated. A {term}`variational autoencoder` passes its means and log-variances.
#
# With a kernel, `explorer.code` is the code that the reader sees. Set it, and the picture follows:
# `explorer.code = codes[5].tolist()`.
#
# ## With categories
#
# The code of a generator such as InfoGAN has a structure: a one-hot category, two continuous codes, and noise. Say which dimensions
# are which, and the explorer has a view for them. (A model of this course, such as
# {py:class}`~medlatent.models.InfoGAN`, says so itself, by its `code_layout`.) The decoder below has such a code, too, and needs no training. The category
# picks a digit and stands for its mean image. Two numbers move it along the first two principal components of this digit, the
# noise along the next eight, all in standard deviations.


# %%
class ClassPCA(nn.Module):
    """Principal components within each class, behind a one-hot category."""

    def __init__(self, images, classes, components):
        super().__init__()
        self.classes, self.components = int(classes.max()) + 1, components
        self.latent_dim = self.classes + components
        self.shape = images.shape[1:]
        fits = [
            PCA(images[classes == k], components) for k in range(self.classes)
        ]
        self.means = nn.Parameter(torch.stack([fit.mean for fit in fits]))
        # A row for each component of each class; components outside.
        directions = torch.stack([fit.to_pixels for fit in fits], 1)
        self.directions = nn.Parameter(directions.flatten(0, 1))

    def decode(self, codes):
        category, scores = codes.split([self.classes, self.components], 1)
        repeated = torch.cat([category] * self.components, 1)
        repeated = repeated.unflatten(1, (self.components, self.classes))
        along = (repeated * scores[:, :, None]).flatten(1)
        pixels = category @ self.means + along @ self.directions
        return pixels.clamp(0, 1).unflatten(1, self.shape)


class_pca = ClassPCA(
    training.batch(range(len(training))),
    torch.as_tensor(training.table["digit"].astype(int)),
    components=10,
)
Explorer(
    class_pca,
    category=range(10),
    pad=(10, 11),
    pad_limits=(-2, 2),
    title="Principal components within each digit",
)

# %% [markdown]
# *New noise* draws the noise anew and leaves category and pad alone. What slants one digit may widen another, since each
# digit has components of its own: that a code means the same in every category is what a generator has to be trained for.
#
# ## In units, and measured
#
# A dimension that has learnt an attribute can speak in the attribute's unit. {py:class}`~medlatent.explore.Scale` says what
# z = 0 stands for, and how much 1 more of z adds.
#
# Whether the picture follows, the page can measure. A network marks the pixels of each structure in every decoded picture, n of
# them, and $q = a n^b$ turns their number into a quantity: {py:class}`~medlatent.explore.Segmentation`. The network travels like
# the decoder. A U-Net is the usual choice; on these digits one threshold finds the ink.


# %%
from medlatent.explore import Scale, Segmentation

ink = nn.Conv2d(1, 2, 1)  # logits of the background and of the ink
ink.weight.data = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
ink.bias.data = torch.tensor([0.0, -0.5])  # brighter than 0.5 is ink

segmentation = Segmentation(ink, ["ink"], {"ink": (1, 1)}, unit="pixels")
with torch.inference_mode():
    pixels = segmentation.measure(pca.decode(codes))[:, 0, 0].nan_to_num()
# The component along which the ink changes most, and the line through it.
correlations = torch.corrcoef(torch.cat([codes.T.double(), pixels[None]]))
inked = int(correlations[-1, :-1].abs().argmax())
slope = float(correlations[-1, inked] * pixels.std() / codes[:, inked].std())

Explorer(
    pca,
    posteriors=codes,
    dimensions=[inked, *(d for d in range(4) if d != inked)],
    names=[f"ink, by z{d}" if d == inked else f"z{d}" for d in range(24)],
    scales={inked: Scale(float(pixels.mean()), slope, "pixels")},
    segmentation=segmentation,
    title="Principal components, and the ink of what they draw",
)

# %% [markdown]
# The slider says how much ink a digit with this code has on average. The line below the picture says how much there is, and in
# brackets how much of it has come since the start; *Outlines* shows what was counted. Move another slider: the ink changes, too, and
# the first slider says nothing of it.
#
# ## What can travel
#
# The module is followed by `torch.export`, so its classes do not matter, only what they compute. These operations of PyTorch
# are known:

# %% tags=["hide-input"]
import textwrap

from medlatent.explore.network import LOWER

known = sorted(name for name in LOWER if not name.startswith("_"))
print(textwrap.fill(", ".join(known), 78))

# %% [markdown]
# Anything else is refused when the explorer is made, with the name of the layer. Batch normalisation is folded into the layer
# before it.

# %%
recurrent = nn.Sequential(nn.Linear(8, 16), nn.LSTM(16, 16))
try:
    Explorer(recurrent, latent_dim=8)
except ValueError as error:
    print(textwrap.shorten(str(error), 110))

# %% [markdown]
# Weights are rounded to 16 bits, which halves what the page has to load. What that changes is measured when the explorer is made,
# and stands under the picture.

# %%
print(f"largest difference of a pixel: {explorer.error:.1e}")
print(f"decoder: {len(explorer.decoder_weights) / 1000:.0f} kB")
assert explorer.error < 0.5 / 255

# %% [markdown]
# ## On a page of your own
#
# A notebook that was executed with papermill or nbclient holds the explorer, with everything it needs, in its metadata.
# Jupyter Book puts that into the page. Two files of this book bring it to life: `book/widgets.py`, which moves the
# large parts into files that are loaded when a reader comes near, and `book/_static/widget_host.js`, named in `_config.yml` under
# `html_js_files`. They know nothing of this course. Any widget written with [anywidget](https://anywidget.dev) lives by them, as long as its
# own script needs no kernel. Controls that do need one say so.
#
# {py:class}`medlatent.explore.Explorer` lists all arguments.
