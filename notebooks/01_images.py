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
#     about: Hounsfield units and windows, masks and moments, leakage between splits,
#       and what phantoms hide
#     needs: []
#     sessions:
#     - class: '{ref}`images`: DICOM, Hounsfield units, windows'
#       homework: the first half of {ref}`images-exercises`
#     - class: '{ref}`images`: moments, leakage, what phantoms hide'
#       homework: the second half
# ---

# %% [markdown]
# (images)=
# # What is in a medical image
#
# :::{admonition} What you will be able to do
# :class: tip
# - turn the numbers of a CT (computed tomography) file into Hounsfield units, and say what they measure;
# - show them through a window, and know what the window hides;
# - compute the area, place, elongation and direction of a lesion from its mask;
# - split images by patient or lesion, and predict how many test images would leak otherwise;
# - say what a phantom is good for, and where it differs from a patient.
#
# **You need** Python, NumPy and a little linear algebra. You do not need to have met a CT scanner or a dermatoscope.
# **Time**: ninety minutes of reading and trying. **Device**: a laptop; the measured run time stands on the page
# {doc}`/book/execution_times`.
# :::

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %%
from medlatent.course import choose, publish_metrics, show_source

settings = choose(
    {
        "ci": {"images": 3_000, "splits": 10},
        "laptop": {"images": 6_000, "splits": 20},
        "paper": {"images": 10_015, "splits": 50},
    },
    profile,
)
settings

# %% tags=["hide-input", "reference"]
import io

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pydicom
import torch
import torch.nn.functional as F
from PIL import Image
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_rescale
from skimage.measure import regionprops
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import KNeighborsClassifier

from medlatent import explore
from medlatent.data import dicom, open_images, packed_folder
from medlatent.data.ham10000 import measure
from medlatent.data.phantoms import lesion

# %% [markdown]
# ## The question
#
# On the left of {numref}`fig-images-question` is a slice through a chest: a vertebra in the middle, lung beside it, the
# aorta at the top right. On the right are some of the numbers that the file holds. A network sees nothing but such numbers.
# What do they mean? Does 900 mean the same in the next file? And if the network is right about a picture, is it right about
# the patient?
#
# The slice is real. It travels with the package `pydicom`, so that you need not download anything.
#
# CT stands for *computed tomography*: X-rays cross the body in many directions, and a program computes from them a picture
# of a slice. The slice has a thickness. So each of its numbers belongs to a small box of tissue, a {term}`voxel` (from *volume
# element*); what is drawn of it on the screen is a *pixel* (*picture element*).

# %% tags=["reference"]
path = get_testdata_file("CT_small.dcm", download=False)
dataset = pydicom.dcmread(path)
stored = dataset.pixel_array.astype(np.int16)
print(f"{stored.shape}, from {stored.min()} to {stored.max()}")

# %% mystnb={"figure": {"caption": "A slice of a CT scan, and the stored numbers of the marked square, on the border of the lung.", "name": "fig-images-question"}} tags=["hide-input"]
top, left, side = 34, 29, 7
block = stored[top : top + side, left : left + side]
fig, (whole, detail) = explore.figure(7, 3.5, columns=2)
whole.imshow(stored, cmap="gray")
whole.add_patch(
    plt.Rectangle(
        (left - 0.5, top - 0.5), side, side, fill=False, ec="C0", lw=2
    )
)
detail.imshow(block, cmap="gray", vmin=stored.min(), vmax=stored.max())
for (row, column), value in np.ndenumerate(block):
    bright = value > (stored.min() + stored.max()) / 2
    detail.text(
        column,
        row,
        f"{value}",
        ha="center",
        va="center",
        fontsize=8,
        # not quite black: black turns light on dark pages
        color="#050505" if bright else "#ffffff",
    )
for axes in (whole, detail):
    axes.set_axis_off()
fig.alt = (
    "Left: a grey CT slice of a vertebra between the lungs, with a small square marked. Right: the square enlarged, "
    f"with its 49 stored numbers written in, from {block.min()} to {block.max()}."
)
explore.show(fig)

# %% [markdown]
# ## DICOM: a picture with a passport
#
# Hospitals store images as {term}`DICOM` files (Digital Imaging and Communications in Medicine). Such a file holds the pixels and,
# before them, a list of *tags*: who was imaged, on which machine, where in the body the slice lies, and what the numbers mean. Here are
# some of them: each line has
# a tag's number, its keyword and its value.

# %% tags=["hide-input"]
for keyword in (
    "Modality",
    "Manufacturer",
    "Rows",
    "Columns",
    "PixelSpacing",
    "SliceThickness",
    "ImagePositionPatient",
    "BitsStored",
    "PixelRepresentation",
    "PixelPaddingValue",
    "RescaleSlope",
    "RescaleIntercept",
):
    print(f"{dataset[keyword].tag}  {keyword:<21} {dataset[keyword].value}")

# %% [markdown]
# `PixelSpacing`, the distance between rows and then that between columns, and `SliceThickness` are in millimetres. A voxel of this slice is
# 0.66 mm wide, 0.66 mm high and 5 mm deep, which is
# 2.2 mm³. That matters as soon as an area or a volume is measured: the pixels alone do not know how large they are. Where
# two tissues share a voxel, its number lies between theirs.

# %%
down, across = map(float, dataset.PixelSpacing)
volume = across * down * float(dataset.SliceThickness)
print(f"a voxel has {volume:.1f} mm³")
assert round(across, 2) == round(down, 2) == 0.66
assert dataset.SliceThickness == 5
assert round(volume, 1) == 2.2

# %% [markdown]
# The last two tags turn a stored number $v$ into a physical quantity, in {term}`Hounsfield units <Hounsfield unit>` (HU):
#
# $$
# \mathrm{HU} = \text{slope} \cdot v + \text{intercept} .
# $$ (eq-images-1)
#
# Why this detour? Air lies at −1000, and many scanners store unsigned numbers. They add 1024 before storing, and the
# intercept takes it away again. (This one adds it too, although it stores signed numbers: `PixelRepresentation` is 1.)
# Another scanner chooses another intercept. **Stored numbers of two files cannot be compared; Hounsfield units can**, for soft tissue at
# least, as we shall see.

# %% tags=["check-images-1", "nbval-check-output"]
hu = dicom.hounsfield(dataset)
slope = float(dataset.RescaleSlope)
intercept = float(dataset.RescaleIntercept)
by_hand = slope * stored.astype(np.float64) + intercept
print(f"slope {slope:g}, intercept {intercept:g}")
print(
    f"stored {stored[64, 64]} → by hand {by_hand[64, 64]:g}"
    f" → medlatent.data.dicom {hu[64, 64]}"
    f" → pydicom {apply_rescale(stored, dataset)[64, 64]:g}"
)
assert np.array_equal(hu, by_hand)
assert np.array_equal(hu, apply_rescale(stored, dataset))

# %% [markdown]
# ## Hounsfield units
#
# What does the scanner measure? X-rays lose intensity on their way through the body. Rays of one energy that enter a
# material with intensity $I_0$ have $I = I_0\, e^{-\mu s}$ left after a path of length $s$. The number $\mu$ is the material's
# linear {term}`attenuation coefficient`. A CT scanner measures the loss along many lines and computes $\mu$ at each point.
# Hounsfield's scale {cite:p}`hounsfield1973` in its present form compares it with water:
#
# $$
# \mathrm{HU} = 1000 \, \frac{\mu - \mu_{\text{water}}}{\mu_{\text{water}}} .
# $$ (eq-images-2)
#
# Water is 0 and vacuum is −1000 by definition. We put in tabulated coefficients {cite:p}`hubbell1995`, at two energies
# that occur in the beam of a scanner, 60 and 80 kiloelectronvolts (keV).

# %% tags=["check-images-2", "nbval-check-output"]
# Density (g/cm³) and mass attenuation coefficient (cm²/g) at 60 and 80 keV.
materials = {
    "water": (1.0, 0.2059, 0.1837),
    "air": (0.001205, 0.1875, 0.1662),
    "fat": (0.95, 0.1974, 0.1800),
    "muscle": (1.05, 0.2048, 0.1823),
    "cortical bone": (1.92, 0.3148, 0.2229),
}
mu = {name: d * np.array(m) for name, (d, *m) in materials.items()}
units = {k: 1000 * (m - mu["water"]) / mu["water"] for k, m in mu.items()}
print("                 60 keV   80 keV")
for name, (low, high) in units.items():
    print(f"{name:<15}{low:7.0f}  {high:7.0f} HU")
assert np.all(units["water"] == 0)
assert np.all(np.abs(units["air"] + 1000) < 2)
assert units["cortical bone"][0] > units["cortical bone"][1] + 500

# %% [markdown]
# Air, fat and muscle change by some 20 units at most: in {eq}`eq-images-2` water changes along with them. Bone changes by
# some 600. It has more units at the lower energy, because the calcium in it absorbs such X-rays much better than water does. A beam is a
# mixture of energies, and the scanner reports something like a mean over them. The mixture depends on the voltage of the tube, on the
# filter and on how thick the patient is. So a threshold for bone that was tuned on one scanner may fail on the next, and a network may
# learn the scanner instead of
# the disease.
#
# Now the slice. Five boxes, five tissues.

# %% mystnb={"figure": {"caption": "Left: five boxes in the slice. Right: how often each Hounsfield unit occurs in the slice (grey), and the range of each box, from its 5th to its 95th percentile.", "name": "fig-images-tissues"}} tags=["hide-input"]
boxes = {  # top, bottom, left, right
    "lung": (28, 42, 10, 24),
    "fat": (118, 128, 10, 40),
    "muscle": (96, 104, 70, 110),
    "aorta": (0, 16, 86, 102),
    "bone": (66, 75, 54, 65),
}
inside = {k: hu[a:b, c:d] for k, (a, b, c, d) in boxes.items()}
fig, (picture, histogram) = explore.figure(
    7, 3.2, columns=2, width_ratios=(1, 1.3)
)
picture.imshow(hu, cmap="gray")
picture.set_axis_off()
counts, edges = np.histogram(hu, bins=np.arange(-1000, 1201, 25))
histogram.stairs(counts, edges, fill=True, color="#8a8f98")
for i, (name, (a, b, c, d)) in enumerate(boxes.items()):
    colour = f"C{i}"
    with plt.rc_context(explore.figures.STYLE):
        picture.add_patch(
            plt.Rectangle(
                (c - 0.5, a - 0.5), d - c, b - a, fill=False, ec=colour, lw=2
            )
        )
        low, high = np.percentile(inside[name], (5, 95))
        height = counts.max() * (1.1 + 0.12 * i)
        histogram.plot((low, high), (height, height), color=colour, lw=4)
        histogram.annotate(
            name,
            (high, height),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
histogram.set(xlabel="Hounsfield units", ylabel="pixels")
fig.alt = (
    "A CT slice with five boxes, and a histogram of its units with the range of each box: "
    + "; ".join(f"{name} {np.median(v):.0f} HU" for name, v in inside.items())
)
explore.show(fig)

# %%
for name, values in inside.items():
    print(f"{name:<7}{values.mean():6.0f} ± {values.std():3.0f} HU")
print("ContrastBolusAgent:", dataset.ContrastBolusAgent)
assert inside["lung"].mean() < -700
assert -150 < inside["fat"].mean() < -50
assert inside["muscle"].mean() < 100 < inside["aorta"].mean()
assert inside["bone"].min() > 300  # the whole box lies on bone
assert inside["bone"].mean() < units["cortical bone"][1]

# %% [markdown]
# Lung is mostly air, fat floats on water, bone is heavy. The box of bone lies where the arch of the vertebra runs out to the back. It
# has fewer units than in the table, since a vertebra is mostly spongy bone, with marrow in its gaps. The ± is the spread over the pixels of
# a box: noise, and structure inside the box.
# The muscle's is large, and its mean low, because dark streaks and layers of fat run through the box.
#
# The aorta is too bright: blood has about 40 HU. This patient was given a contrast agent with iodine. The image shows it,
# no matter what the request form says. In this file a tag names it, too.
#
# ## Windows
#
# The slice has values over some 2000 units. A screen has 256 grey levels, and the eye tells even fewer apart. So one shows
# a part of the range, a {term}`window` with a centre $c$ and a width $w$. The grey level, from 0 (black) to 1 (white), is
#
# $$
# g(\mathrm{HU}) = \min\!\left(1, \max\!\left(0, \frac{\mathrm{HU} - c}{w} + \frac12\right)\right).
# $$ (eq-images-3)

# %% tags=["remove-input"]
show_source(dicom.window)

# %% tags=["check-images-3", "nbval-check-output"]
values = np.array([-300, -160, -60, 40, 140, 240, 700])
expected = [0, 0, 0.25, 0.5, 0.75, 1, 1]  # by hand, for centre 40, width 400
shown = dicom.window(values, 40, 400)
for value, grey in zip(values.tolist(), shown.tolist(), strict=True):
    print(f"{value:5d} HU → {grey:.2f}")
assert np.allclose(shown, expected)
assert np.allclose(dicom.window(values, 40, 400, invert=True), 1 - shown)

# %% mystnb={"figure": {"caption": "One slice through three windows, with their centres and widths. Left: the vessels of the lung. Middle: fat, muscle and aorta apart. Right: the structure of the bone, and soft tissue in a few close greys.", "name": "fig-images-windows"}} tags=["hide-input"]
titles = {"lung": "lung", "mediastinum": "soft tissue", "bone": "bone"}
fig, axes = explore.figure(7, 2.8, columns=3)
hidden = {}
for axis, (name, title) in zip(axes, titles.items(), strict=True):
    centre, width = dicom.WINDOWS[name]
    axis.imshow(dicom.window(hu, centre, width), cmap="gray", vmin=0, vmax=1)
    axis.set_title(f"{title}: {centre:.0f}, {width:.0f} HU", fontsize=10)
    axis.set_axis_off()
    hidden[title] = np.mean(np.abs(hu - centre) > width / 2)
fig.alt = (
    "The same CT slice three times. The lung window shows vessels in the lung and the rest white; the soft-tissue window "
    "tells fat, muscle and aorta apart, with the lung black and the bone white; the bone window shows the structure of the "
    "vertebra. Pixels outside the window: "
    + ", ".join(f"{title} {share:.0%}" for title, share in hidden.items())
)
explore.show(fig)

# %% [markdown]
# Now move the window yourself. Find the vessels in the lung, then the border between fat and muscle. Which width do you need for
# each? The line below the sliders says how many pixels the window hides. Your browser computes {eq}`eq-images-3`; where it runs no JavaScript,
# the three windows of {numref}`fig-images-windows` stand there.

# %%
explore.WindowExplorer(
    hu,
    *dicom.WINDOWS["mediastinum"],
    presets={title: dicom.WINDOWS[name] for name, title in titles.items()},
    title="A CT slice through a window",
    description="A CT slice of a vertebra between the lungs",
)

# %% [markdown]
# A window is for eyes. What it clips is gone, so a network should be given Hounsfield units over a wide range. This course
# clips at −1000 and 2000.
#
# ## Dermoscopy
#
# A dermatoscope is a magnifying lens with a light, held against the skin. {term}`Dermoscopy <dermoscopy>` gives colour photographs:
# three numbers a pixel, from 0 to 255. They have no unit. The photographs of the data set below have 600 × 450 pixels, and networks are
# given squares, so each is squeezed to one: the round rim of the dermatoscope becomes an upright oval. A size, as a share of the image,
# does not change; eccentricity and orientation do. The same skin looks yellower under a warmer lamp, and no tag says
# how to take this back. Where a CT number is a measurement, a colour is an impression.
#
# The data set HAM10000 ("human against machine with 10 000 training images") {cite:p}`tschandl2018` has 10 015 such photographs of
# 7 470 lesions: spots of changed skin, such as moles. Each has a *mask*, which says what pixels belong to the lesion, and one of
# seven diagnoses. The table of the data set has them in a column `dx`, short for *diagnosis*, and abbreviates them:
#
# | `dx` | Diagnosis | What it is |
# |:--|:--|:--|
# | `akiec` | actinic keratosis or intraepithelial carcinoma | damage by the sun that may become cancer, or is an early one |
# | `bcc` | basal cell carcinoma | the commonest cancer of the skin; it rarely spreads |
# | `bkl` | benign keratosis | harmless brown or horny spots of ageing skin |
# | `df` | dermatofibroma | a harmless knot of connective tissue |
# | `mel` | melanoma | the cancer of the cells that make pigment; it spreads early |
# | `nv` | melanocytic naevus | the common mole, harmless |
# | `vasc` | vascular lesion | harmless growths of small blood vessels, and bleedings |
#
# :::{admonition} Why you will see no real lesion on this page
# :class: note
# The photographs of HAM10000 show patients' skin, and their licence (CC BY-NC 4.0) allows no commercial use. So they are no part of this
# course, and neither are the CT scans of other collections: who wants them gets them from their owners, under their terms. This page works
# on {term}`phantoms <phantom>`: images that a program draws from known numbers, here made to look like HAM10000. Anybody may copy them, and
# the numbers behind them are known. The CT slices of this page are the exception: they come with `pydicom`.
#
# Look at real ones all the same, before you believe a phantom. In the
# [archive of the ISIC](https://www.isic-archive.com), the International Skin Imaging Collaboration, you find the photographs of
# HAM10000 among many others. You will see what no phantom has: rulers, gel bubbles, lesions larger than the
# frame, and moles that only a biopsy tells from a melanoma. On the page of
# [LIDC-IDRI](https://www.cancerimagingarchive.net/collection/lidc-idri/) in The Cancer Imaging Archive are a thousand chest CTs
# with lung nodules (CC BY 3.0): slices as the one above, but of a whole chest, in which you may scroll from the neck to the liver.
#
# Where you have downloaded and packed the real photographs (see {doc}`/book/how_to_use`), they appear beside the phantoms below.
# :::

# %%
images = open_images("phantoms.lesion", settings["images"], seed=seed)
images

# %% [markdown]
# ## A mask and its moments
#
# How large is a lesion, where is it, how elongated is it, and which way does it point? Image {term}`moments <image moment>`
# {cite:p}`hu1962` answer all four. Let $m(x, y)$ be 1 inside the lesion and 0 outside, on an image of $W \times H$ pixels, and let
# $\mathbf{r} = (x, y)^{\top}$ be the place of a pixel. The zeroth moment gives the area, here as a share of the image. The first
# gives the centroid, and the second central moments are a covariance matrix:
#
# $$
# \begin{aligned}
# \text{size} &= \frac{1}{WH}\sum_{x,y} m, \\
# \bar{\mathbf{r}} &= \frac{\sum_{x,y} m\, \mathbf{r}}{\sum_{x,y} m}, \\
# C &= \frac{\sum_{x,y} m\, (\mathbf{r} - \bar{\mathbf{r}})(\mathbf{r} - \bar{\mathbf{r}})^{\top}}{\sum_{x,y} m}.
# \end{aligned}
# $$ (eq-images-4)
#
# We count $x$ to the right and $y$ *upwards*, from the centre of the image. Rows of an array run downwards, so the sign of $y$
# flips. Forgetting it mirrors every angle.
#
# Phantoms know the answer. The numbers that one is drawn from, its *factors*, say what its size and its position are, the
# position as a share of the image's width and height. The mask has to give them back. We take phantoms that lie whole inside the frame, and
# draw each factor independently of the others (`correlated=False`; more below).


# %% tags=["check-images-4"]
def moments(mask):
    """Size, centroid and covariance of a mask; x to the right, y up."""
    height, width = mask.shape
    rows, columns = np.nonzero(mask)
    x = columns + 0.5 - width / 2
    y = height / 2 - 0.5 - rows
    return mask.mean(), np.array([x.mean(), y.mean()]), np.cov(x, y, ddof=0)


n, shape = 200, (96, 128)
truth = lesion.sample_factors(n, seed=seed, correlated=False)
masks = lesion.render_masks(truth, shape, seed).numpy()
frame = np.concatenate(
    [masks[:, [0, -1]].reshape(n, -1), masks[:, :, [0, -1]].reshape(n, -1)], 1
)
whole = np.flatnonzero(~frame.any(1))
truth = {name: values.numpy()[whole] for name, values in truth.items()}
masks = masks[whole]

found = [moments(mask) for mask in masks]
size = np.array([f[0] for f in found])
centroid = np.array([f[1] for f in found]) / (shape[1], shape[0])
position = np.stack([truth["position_x"], truth["position_y"]], 1)
print(f"{len(masks)} of {n} lesions lie whole inside the frame")
size_error = np.abs(size / truth["size"] - 1).max()
position_error = np.abs(centroid - position).max()
print(f"largest relative error of the size {size_error:.3f}")
print(f"largest error of the position {position_error:.4f}")
assert size_error < 0.05
assert position_error < 0.005

region = regionprops(masks[0])[0]
peer = (region.centroid[1] + 0.5) / shape[1] - 0.5
assert np.isclose(peer, centroid[0, 0])

# %% [markdown]
# What does $C$ say about the shape? Take an ellipse with half-axes $a \ge b$ along the axes. The mean of $x^2$ over a disc of
# radius 1 is
#
# $$
# \frac1\pi \int_0^{2\pi}\!\!\int_0^1 (r \cos\varphi)^2 \, r \, \mathrm{d}r\, \mathrm{d}\varphi = \frac1\pi \cdot \frac14 \cdot \pi = \frac14,
# $$
#
# and stretching the disc by $a$ and $b$ makes it $C = \mathrm{diag}(a^2/4,\, b^2/4)$. Turning the ellipse by an angle $\theta$ turns $C$ along:
# its eigenvalues $\lambda_1 \ge \lambda_2$ stay $a^2/4$ and $b^2/4$, and its first eigenvector points along the major axis. The
# eccentricity of an ellipse is $\sqrt{1 - b^2/a^2}$. For any mask we take that of the ellipse with the same moments:
#
# $$
# \begin{aligned}
# \varepsilon &= \sqrt{1 - \frac{\lambda_2}{\lambda_1}}, \\
# \theta &= \tfrac12 \operatorname{\text{atan2}}\!\left(2 C_{xy},\; C_{xx} - C_{yy}\right).
# \end{aligned}
# $$ (eq-images-5)
#
# The first line puts $b^2/a^2 = \lambda_2 / \lambda_1$ into the eccentricity. For the second, turn the diagonal matrix:
# with the first eigenvector $(\cos\theta, \sin\theta)^{\top}$ and the second $(-\sin\theta, \cos\theta)^{\top}$,
#
# $$
# \begin{aligned}
# C_{xx} &= \lambda_1 \cos^2\theta + \lambda_2 \sin^2\theta, \\
# C_{yy} &= \lambda_1 \sin^2\theta + \lambda_2 \cos^2\theta, \\
# C_{xy} &= (\lambda_1 - \lambda_2) \sin\theta \cos\theta, \\
# C_{xx} - C_{yy} &= (\lambda_1 - \lambda_2) \cos 2\theta, \\
# 2\, C_{xy} &= (\lambda_1 - \lambda_2) \sin 2\theta .
# \end{aligned}
# $$
#
# The last two are a point at the angle $2\theta$, at the distance $\lambda_1 - \lambda_2 \ge 0$ from the origin. The function
# $\operatorname{\text{atan2}}(y, x)$ returns the angle of a point, in the right quadrant. So half of it is $\theta$, between
# $-90°$ and $90°$, which is enough: an axis is the same after half a turn. For $\lambda_1 = \lambda_2$ the point is the origin, and
# no direction is left.
#
# The cell compares both with the phantoms' factors, the angle with the first eigenvector, and both with the function of the
# package.

# %% tags=["check-images-5"]
covariances = np.array([f[2] for f in found])
eigenvalues, eigenvectors = np.linalg.eigh(covariances)  # ascending
eccentricity = np.sqrt(1 - eigenvalues[:, 0] / eigenvalues[:, 1])
angle = 0.5 * np.arctan2(
    2 * covariances[:, 0, 1], covariances[:, 0, 0] - covariances[:, 1, 1]
)


def turned(a, b):
    """The smallest turn between two axes, in radians."""
    return np.abs((a - b + np.pi / 2) % np.pi - np.pi / 2)


major = np.arctan2(eigenvectors[:, 1, 1], eigenvectors[:, 0, 1])
assert turned(angle, major).max() < 1e-6
packaged = np.array([measure(mask) for mask in masks])
print("largest difference  factor  package")
error = np.abs(eccentricity - truth["eccentricity"]).max()
peer = np.abs(eccentricity - packaged[:, 1]).max()
print(f"eccentricity      {error:8.2f} {peer:8.4f}")
turn = turned(angle, truth["orientation"]).max()
peer_turn = turned(angle, packaged[:, 2]).max()
print(f"orientation (rad) {turn:8.2f} {peer_turn:8.4f}")
assert error < 0.05
assert turn < 0.2
assert max(peer, peer_turn) < 1e-6

# %% mystnb={"figure": {"caption": "Phantoms, with the ellipse that has the moments of the mask, and its major axis.", "name": "fig-images-moments"}} tags=["hide-input"]
chosen = whole[:5]
factors = lesion.sample_factors(n, seed=seed, correlated=False)
pictures = lesion.render(factors, shape, seed)[chosen]
fig, axes = explore.figure(7, 1.5, columns=5)
t = np.linspace(0, 2 * np.pi, 100)
circle = np.stack([np.cos(t), np.sin(t)])
for i, axis in enumerate(axes):
    axis.imshow(pictures[i].permute(1, 2, 0).numpy())
    values, vectors = np.linalg.eigh(covariances[i])
    half = 2 * np.sqrt(values)
    middle = found[i][1][:, None]
    for line in (
        vectors @ (half[:, None] * circle),
        vectors[:, 1:] * half[1] * np.array([[-1, 1]]),
    ):
        x, y = middle + line
        axis.plot(x + shape[1] / 2 - 0.5, shape[0] / 2 - 0.5 - y, "w", lw=1.2)
    axis.set_title(
        f"ε {eccentricity[i]:.2f}, θ {np.degrees(angle[i]):+.0f}°", fontsize=8
    )
    axis.set_axis_off()
fig.alt = (
    "Five phantoms of skin lesions, each under a white ellipse that follows its border and a line along its major axis, at "
    + ", ".join(f"{v:.0f}°" for v in np.degrees(angle[:5]))
)
explore.show(fig)

# %% [markdown]
# The factors come back up to errors that the pixel grid explains: 1 % of the size, 0.04 of the eccentricity.  The orientation
# is the least certain one, with 0.10 radians or 6°: of a nearly round lesion it is barely defined, and of a circle not at
# all. Read an orientation only with the eccentricity beside it.
#
# ## Patients and leakage
#
# Many images show the same lesion: HAM10000 has 10 015 images of 7 470 lesions, a CT series may have hundreds of slices of
# one patient. {numref}`fig-images-siblings` shows such siblings. If one of them is in the training data and the other in the test
# data, a model can answer from memory. This is {term}`leakage` {cite:p}`kaufman2012,kapoor2023`: the score looks better than what
# the next patient will get.

# %% mystnb={"figure": {"caption": "Two phantom photographs of each of seven lesions: same lesion, another view.", "name": "fig-images-siblings"}} tags=["hide-input"]
names, lesion_of, photographs = np.unique(
    images.table["lesion_id"], return_inverse=True, return_counts=True
)
several = np.flatnonzero(photographs > 1)[:7]
pairs = [np.flatnonzero(lesion_of == k)[:2] for k in several]
explore.show(
    explore.image_table(
        torch.stack([images.batch([p[i] for p in pairs]) for i in (0, 1)]),
        alt="Seven columns of two pictures: in each column the same lesion twice, a little moved, turned and scaled.",
    )
)

# %% [markdown]
# How much leaks? Suppose that a share $t$ of $N$ images is drawn at random for testing, and that lesion $\ell$ has $m_\ell$ images. A
# test image of this lesion has no sibling in the training data only if all its $m_\ell - 1$ siblings were drawn for testing,
# too, which happens with a probability of about $t^{m_\ell - 1}$ (about, because each draw leaves one test place fewer). So the expected
# share of test images that leak is
#
# $$
# \Pr(\text{sibling in training}) \approx \frac1N \sum_{\ell} m_\ell \left( 1 - t^{\,m_\ell - 1} \right).
# $$ (eq-images-6)

# %% tags=["check-images-6"]
t = 0.2
expected = np.sum(photographs * (1 - t ** (photographs - 1.0))) / len(images)
rng = np.random.default_rng(seed)
simulated = []
for _ in range(200):
    order = rng.permutation(len(images))
    test, training = np.split(lesion_of[order], [round(t * len(images))])
    simulated.append(np.isin(test, training).mean())
print(f"formula {expected:.3f}   200 random splits {np.mean(simulated):.3f}")
assert abs(expected - np.mean(simulated)) < 0.005

# %% [markdown]
# Now we score a model with both kinds of split. **Image-wise**: a fifth of the images, drawn at random. **Lesion-wise**: random
# lesions, with all their images, until they make up a fifth. Both tests have the same number of images, and so have
# both training sets.
#
# The model is the simplest there is: shrink each image to 8 × 8 pixels, find the *nearest* training image, answer with its
# diagnosis. It has no training that could go wrong, and it is memory in its purest form. The score is the
# {term}`balanced accuracy`, the mean over the classes of the share of each that was recognised; the ± beside it is the standard deviation
# over random splits. Guessing scores one seventh.
# Plain accuracy would flatter: two thirds of the images are naevi, so whoever always answers "naevus" scores two thirds.


# %%
def thumbnails(images, side=8):
    """All images, shrunk with antialiasing, as rows of numbers."""
    small = [
        F.interpolate(
            images.batch(range(start, min(start + 500, len(images)))),
            (side, side),
            mode="bilinear",
            antialias=True,
        )
        for start in range(0, len(images), 500)
    ]
    return torch.cat(small).flatten(1).numpy()


def nearest(x, dx, training, test):
    """Balanced accuracy of the nearest training image's diagnosis."""
    model = KNeighborsClassifier(1).fit(x[training], dx[training])
    return balanced_accuracy_score(dx[test], model.predict(x[test]))


# %% [markdown]
# Each random split is scored in four ways. Besides the two above there is a control. It uses the image-wise test images twice. Once their
# siblings are taken out of the training data; once the siblings stay, and as many other images are taken out. Test images and size of the
# training set are the same in both.


# %%
def compare_splits(images, splits):
    """One row of scores for each random split."""
    x, dx = thumbnails(images), images.table["dx"].to_numpy()
    group = np.unique(images.table["lesion_id"], return_inverse=True)[1]
    rows = []
    for k in range(splits):
        rng = np.random.default_rng([seed, k])
        # lesion-wise: whole lesions, in random order, up to a fifth
        lesions = rng.permutation(group.max() + 1)
        taken = np.cumsum(np.bincount(group)[lesions]) <= len(x) // 5
        by_lesion = np.isin(group, lesions[taken])
        # image-wise: as many images
        by_image = np.zeros(len(x), bool)
        by_image[rng.permutation(len(x))[: by_lesion.sum()]] = True
        # the same test images, without their siblings in training, and
        # with them, but without as many others
        sibling = ~by_image & np.isin(group, group[by_image])
        others = np.flatnonzero(~by_image & ~sibling)
        fewer = ~by_image
        fewer[rng.permutation(others)[: sibling.sum()]] = False
        rows.append(
            {
                "image-wise": nearest(x, dx, ~by_image, by_image),
                "lesion-wise": nearest(x, dx, ~by_lesion, by_lesion),
                "with siblings": nearest(x, dx, fewer, by_image),
                "without siblings": nearest(x, dx, others, by_image),
                "leaking share": np.isin(
                    group[by_image], group[~by_image]
                ).mean(),
            }
        )
        assert fewer.sum() == len(others)
        assert not np.isin(group[by_lesion], group[~by_lesion]).any()
    return pd.DataFrame(rows)


# %%
scores = compare_splits(images, settings["splits"])
print(f"balanced accuracy, {len(scores)} random splits")
for name in ("image-wise", "lesion-wise"):
    print(f"{name:<17} {scores[name].mean():.3f} ± {scores[name].std():.3f}")
gap = scores["image-wise"] - scores["lesion-wise"]
print(f"gap               {gap.mean():.3f} ± {gap.std():.3f}")
leaking = scores["leaking share"].mean()
print(f"with a sibling in training {leaking:.0%}")
assert gap.min() > 0.1

# %% mystnb={"figure": {"caption": "Balanced accuracy of the same model on phantoms under four ways to split; a dot is one random split, a bar the mean. The dashed line is guessing.", "name": "fig-images-leakage"}} tags=["hide-input"]
fig, axes = explore.figure(7, 2.8)
columns = ["image-wise", "lesion-wise", "with siblings", "without siblings"]
spread = np.linspace(-0.12, 0.12, len(scores))
for i, name in enumerate(columns):
    axes.plot(i + spread, scores[name], "o", ms=4)
    axes.hlines(scores[name].mean(), i - 0.25, i + 0.25, lw=2, color="#8a8f98")
axes.axhline(1 / 7, ls="--", lw=1, color="#8a8f98")
axes.set_xticks(
    range(4),
    [
        "image-wise",
        "lesion-wise",
        "same test images,\nwith siblings",
        "same test images,\nwithout siblings",
    ],
)
axes.set(ylabel="balanced accuracy", ylim=(0, 0.8))
axes.grid(axis="y")
fig.alt = (
    "Dots for every random split under four ways to split. Means: "
    + ", ".join(f"{name} {scores[name].mean():.2f}" for name in columns)
)
explore.show(fig)

# %% [markdown]
# The model did not change, and neither did the number of images. Only the question changed. Image-wise it was "do you
# remember this lesion?", lesion-wise "what is this lesion?". A clinic asks the second question, and the answer is not much
# better than a guess: 0.21 against 0.14.
#
# Is it really the siblings? The control, in the right half of {numref}`fig-images-leakage`, keeps the *test images* and the *size*
# of the training set fixed, and only exchanges siblings for as many other images. The gap is almost the same.

# %%
control = scores["with siblings"] - scores["without siblings"]
print(f"siblings are worth {control.mean():.3f} ± {control.std():.3f}")
assert control.min() > 0.1
assert abs(control.mean() - gap.mean()) < 0.05

# %% [markdown]
# What about real lesions? The next cell repeats it on HAM10000 where that is packed. Otherwise it prints what it gave when
# this chapter was written.

# %%
recorded = {  # mean, standard deviation: all images at 64 × 64, 10 splits
    "image-wise": (0.350, 0.022),
    "lesion-wise": (0.298, 0.017),
    "with siblings": (0.348, 0.021),
    "without siblings": (0.290, 0.014),
    "leaking share": (0.388, 0.010),
}
real = open_images("ham10000") if packed_folder("ham10000") else None
if real is None:
    print("HAM10000 is not packed; recorded:")
    on_real = recorded
else:
    table = compare_splits(real, settings["splits"])
    on_real = {k: (table[k].mean(), table[k].std()) for k in table}
    print(f"{real.card.name}, {len(real)} images, computed now:")
print(f"{'':<17}real      phantom")
for name, (mean, sd) in on_real.items():
    print(f"{name:<16} {mean:.3f}±{sd:.3f}  {scores[name].mean():.3f}")

# %% [markdown]
# The effect is there, and several times smaller: about 0.05 instead of 0.30. Two photographs of a real lesion often differ
# in magnification, angle and light, so that the nearest neighbour finds siblings less often. A stronger model may find more of them. (The
# real column is of 10 015 images, the phantom column of as many as this profile draws.) Lesion-wise the real images score *higher*:
# thumbnails of real lesions say more about the diagnosis than those of phantoms. In this respect **the phantoms exaggerate**, and we shall
# put a number on it below.
#
# The splits of this course are made by {term}`lesion <lesion-wise split>`, or by patient where the data name patients. HAM10000 does not. Two lesions
# of one person may lie on both sides, on the same tanned skin, and nobody can tell.

# %% tags=["remove-input"]
from medlatent.data import split_by_group

show_source(split_by_group)

# %% [markdown]
# A split is a function of the lesion's name. Adding images to the set moves no lesion from training to test.

# %%
groups = images.table["lesion_id"]
first = split_by_group(groups[:1_000], seed=seed)
assert np.array_equal(first, split_by_group(groups, seed=seed)[:1_000])
by_split = images.table.groupby("lesion_id")["split"].nunique()
print(f"lesions in more than one split: {(by_split > 1).sum()}")
assert by_split.max() == 1

# %% [markdown]
# ## Factors of variation
#
# Two photographs of lesions differ in thousands of numbers and in about a dozen ways: size, shape, colour, skin, light, hair.
# Such a way is called a {term}`factor of variation`. One could change it by itself and leave the others alone.
#
# For a real photograph nobody knows them all. A phantom is drawn *from* them. The program draws from the factors where there is how much
# pigment and blood, and computes how much light of each colour they absorb, as in skin. The factors do not say everything: the course of
# the border, the texture and the path of each hair are drawn at random, and are the same for all pictures of one lesion. This is what makes
# it *one* lesion, and no measure of this course asks a code for them. In {numref}`fig-images-lesion-factors` and
# {numref}`fig-images-view-factors` one lesion stays the same lesion, and each row changes one factor. `lesion_colour` says how much the
# pigment absorbs, and larger is darker; `lesion_hue` is the share of blood in it, from brown to red-purple; `skin_colour` goes from pale
# over pink to a reddish tan; `white_balance` is the tint of the lamp, from bluish to yellowish; `vignette` says how far the dark rim of the
# dermatoscope reaches in.

# %% tags=["hide-input"]
STILL = {
    "size": 0.16,
    "eccentricity": 0.7,
    "orientation": 0.4,
    "position_x": 0.0,
    "position_y": 0.0,
    "border_irregularity": 0.06,
    "lesion_colour": 0.8,
    "lesion_hue": 0.15,
    "skin_colour": 0.3,
    "hair": 0.0,
    "illumination": 0.7,
    "white_balance": 0.0,
    "vignette": 0.0,
    "dx": lesion.DX.index("nv"),
}


def walk(name, values):
    """One lesion under several values of one factor, (k, 3, 64, 64)."""
    k = len(values)
    factors = {n: torch.full((k,), v) for n, v in STILL.items()}
    factors[name] = torch.as_tensor(values)
    same = torch.full((k,), 14)
    return lesion.render(factors, seed=seed, lesion=same) / 255


def factor_table(rows):
    """Seven steps of each factor, and the rows' labels."""
    steps = [np.linspace(low, high, 7) for low, high in rows.values()]
    sheet = torch.stack([walk(n, v) for n, v in zip(rows, steps, strict=True)])
    return sheet, [
        f"{n}\n{low:g} to {high:g}" for n, (low, high) in rows.items()
    ]


# %% mystnb={"figure": {"caption": "The factors of the lesion. Along a row one factor grows and the others stay.", "name": "fig-images-lesion-factors"}} tags=["hide-input"]
rows = {
    "size": (0.04, 0.34),
    "eccentricity": (0.0, 0.9),
    "orientation": (-1.5, 1.5),
    "position_x": (-0.2, 0.2),
    "position_y": (-0.2, 0.2),
    "border_irregularity": (0.0, 0.25),
    "lesion_colour": (0.05, 2.0),
    "lesion_hue": (0.0, 1.0),
}
sheet, labels = factor_table(rows)
explore.show(
    explore.image_table(
        sheet,
        row_labels=labels,
        alt=f"A table of pictures of one lesion, seven steps of each of {len(rows)} factors, one a row: {', '.join(rows)}.",
    )
)

# %% mystnb={"figure": {"caption": "The factors of the skin and the camera, and the seven classes (akiec, bcc, bkl, df, mel, nv, vasc from left to right), which set the pattern inside the lesion and how blotchy the skin around it is.", "name": "fig-images-view-factors"}} tags=["hide-input"]
rows = {
    "skin_colour": (0.0, 1.0),
    "hair": (0.0, 1.0),
    "illumination": (0.4, 0.95),
    "white_balance": (-1.0, 1.0),
    "vignette": (0.0, 1.0),
}
sheet, labels = factor_table(rows)
classes = walk("dx", list(range(7)))[None]
explore.show(
    explore.image_table(
        torch.cat([sheet, classes]),
        row_labels=[*labels, f"dx\n{lesion.DX[0]} to {lesion.DX[-1]}"],
        alt=f"A table of pictures of one lesion, seven steps of each of {', '.join(rows)}, and last the seven classes.",
    )
)

# %% [markdown]
# Remember the *code*, the few numbers to which a network reduces an image ({ref}`start`). A sentence like "dimension 3 of the
# code holds the size" can now be checked with a number, since the size is known. This is what phantoms are for. They also
# cost nothing, belong to nobody, and come in any number.
#
# The set of this page is sampled so that factors depend on the class, as in HAM10000. With `correlated=False` they are independent, and
# drawn evenly from narrower ranges, so that a lesion fits into the frame anywhere. Measures of {term}`disentanglement` ask whether each
# dimension of a code holds one factor, and need
# independent factors: where size and class go together in the data, nobody can tell which of them a dimension holds.

# %%
chance = lesion.sample_factors(2_000, seed, correlated=False)
world = lesion.sample_factors(2_000, seed, correlated=True)
print("median size of melanomas and naevi")
for title, sample in (("correlated", world), ("independent", chance)):
    melanoma, naevus = (
        sample["size"][sample["dx"] == lesion.DX.index(name)].median()
        for name in ("mel", "nv")
    )
    print(f"{title:<12} {melanoma:.2f}   {naevus:.2f}")

# %% [markdown]
# ## Phantom beside real
#
# How good are they? Look first, where you can.

# %%
if real is not None:
    explore.show(
        explore.image_table(
            torch.stack(
                [images.batch(range(8)), real.split("test").batch(range(8))]
            ),
            row_labels=["phantom", "real"],
            alt="Eight phantoms above eight photographs of real skin lesions.",
        )
    )
else:
    print(
        "HAM10000 is not packed on this machine, so there are no real "
        "lesions to show."
    )

# %% [markdown]
# Then count. The last row is the median distance of two images of one lesion, divided by that of two images drawn at random.


# %%
def describe(images):
    """A few numbers that a set of lesions can be known by."""
    x = thumbnails(images)
    group = images.table["lesion_id"].to_numpy()
    order = np.argsort(group, kind="stable")
    same = group[order][1:] == group[order][:-1]
    step = np.linalg.norm(x[order][1:] - x[order][:-1], axis=1)
    rng = np.random.default_rng(seed)
    other = np.linalg.norm(x - x[rng.permutation(len(x))], axis=1)
    colour = x.reshape(len(x), 3, -1).mean((0, 2))
    size = images.table["size"]
    return {
        "mean red": colour[0],
        "mean green": colour[1],
        "mean blue": colour[2],
        "median size": size.median(),
        "95 % of sizes below": size.quantile(0.95),
        "median eccentricity": images.table["eccentricity"].median(),
        "sibling distance": np.median(step[same]) / np.median(other),
    }


recorded_looks = {  # of all 10 015 images, by this function
    "mean red": 0.76,
    "mean green": 0.55,
    "mean blue": 0.57,
    "median size": 0.22,
    "95 % of sizes below": 0.64,
    "median eccentricity": 0.66,
    "sibling distance": 0.66,
}
phantom_looks = describe(images)
real_looks = recorded_looks if real is None else describe(real)
print(f"{'':<19} phantom    real")
for name, value in phantom_looks.items():
    print(f"{name:<19} {value:7.2f} {real_looks[name]:7.2f}")

# %% [markdown]
# Colours, typical size and shape agree, since the phantoms were fitted to them. The largest lesions and the siblings do
# not: measured in this way, real siblings are three times as far apart.
#
# ## What phantoms hide
#
# - **Siblings that differ.** Two phantoms of one lesion are much closer to each other than two photographs of a real one. Leakage
#   is therefore exaggerated, and robustness to the view flattered.
# - **Lesions larger than the picture.** A real one may fill the whole frame. Phantoms mostly lie inside it.
# - **Texture that belongs to the lesion.** Look at the rows of position in {numref}`fig-images-lesion-factors`: the border moves, and the
#   pattern inside stays where it was in the frame.
# - **Things nobody modelled.** Rulers, gel bubbles, ink marks, reflections, a second lesion. A network may use them as a
#   shortcut, and on phantoms you would never notice.
# - **Diagnosis.** The class of a phantom is a rule in a program. A good score on phantoms says nothing about melanoma.
#
# So the course uses phantoms to check *methods*, where the truth must be known, and real images to check *claims*.
#
# ## What the papers do not say
#
# Most of what goes wrong with medical images goes wrong before the first layer of the network. Four traps, each with its number.
#
# **Padding.** A scanner measures a disc, and the file is a square. The corners get a number that no tissue has. A tag declares
# it, or not, and lossy compression smears it. We take slices of two heads from pydicom's files, and call padding what lies
# below −1500 HU, where no tissue is. The table has the share of padding, the lowest value, the mean of all pixels and the mean of the rest.

# %%
padded = {}
print("padding    share lowest   all  rest")
for name, what in (
    ("J2K_pixelrep_mismatch.dcm", "undeclared"),
    ("693_J2KI.dcm", "compressed"),
):
    head = dicom.read_slice(get_testdata_file(name, download=False)).hu
    below = head < -1500
    padded[name] = below.mean()
    print(
        f"{what:<10} {below.mean():5.0%} {head.min():6}"
        f" {head.mean():5.0f} {head[~below].mean():5.0f}"
    )
assert min(padded.values()) > 0.1

# %% [markdown]
# A disc in a square leaves $1 - \pi/4 = 21$ % of it. The first file does not declare its padding. The second declares the stored value
# −2000, which its intercept makes −3024 HU, and was compressed afterwards: the padding now scatters about that value, and a program that
# looks for exactly −2000 no longer finds it.
#
# Scaling each image by its own minimum and maximum, as many a script does, would let these corners decide how bright the
# brain is. Clip to a fixed range instead.
#
# **Eight bits.** Many public sets are exports in a format for photographs, JPEG (of the Joint Photographic Experts Group) or PNG
# (Portable Network Graphics): a window was applied, 256 levels are left, and nobody wrote down which window. (Not all of them are used: the
# lung window begins at −1350 HU, where this slice has nothing.) The cell counts the slice's distinct values before and after, and the
# pixels clipped. Its last two
# lines compare another window function with ours, in grey levels.

# %%
for name, title in titles.items():
    grey = np.round(255 * dicom.window(hu, *dicom.WINDOWS[name]))
    print(
        f"{title:<11} {len(np.unique(hu))} values → {len(np.unique(grey))};"
        f" {hidden[title]:.0%} clipped"
    )

for width_hu in (400, 80):
    linear = np.clip((hu - 39.5) / (width_hu - 1) + 0.5, 0, 1)
    gap_hu = 255 * np.abs(linear - dicom.window(hu, 40, width_hu)).max()
    print(f"width {width_hu:3}: LINEAR differs by {gap_hu:.1f}")

# %% [markdown]
# DICOM has two linear window functions, by the way. The default, called LINEAR, subtracts a half from the centre and one
# from the width. Ours is the one it calls LINEAR_EXACT. At a width of 80 HU they differ by up to 3 of the 256 grey levels.
# MONOCHROME1, a value of the tag `PhotometricInterpretation`, is another convention: low values are *shown* bright. Who
# ignores it trains on negatives.
#
# **JPEG.** The photographs of HAM10000 are JPEG files. Each saving loses a little, most where the picture is busy. The
# {term}`PSNR`, the peak signal-to-noise ratio, puts the mean squared error on a logarithmic scale, in decibels (dB), and higher is better:
# 50 dB is a root-mean-square (RMS) error of 0.8 grey levels, 43.5 dB of 1.7. We save eight phantoms; photographs are busier and would lose
# more. So do not save an image as JPEG twice, and do not mix qualities between classes: a network can see them.

# %%
photograph = lesion.render(
    {n: v[:8] for n, v in world.items()}, (450, 600), seed
).permute(0, 2, 3, 1)
photograph = np.ascontiguousarray(photograph.numpy())
quality_psnr = {}
for quality in (95, 75, 50):
    errors = []
    for original in photograph:
        buffer = io.BytesIO()
        Image.fromarray(original).save(buffer, "JPEG", quality=quality)
        back = np.asarray(Image.open(buffer)).astype(float)
        errors.append(np.square(back - original).mean())
    quality_psnr[quality] = 10 * np.log10(255**2 / np.mean(errors))
    print(f"JPEG quality {quality}: PSNR {quality_psnr[quality]:.1f} dB")
assert quality_psnr[95] > quality_psnr[75] > quality_psnr[50]

# %% [markdown]
# **Resampling.** Networks want small images. Whoever picks every eighth pixel, or interpolates between the four nearest ones,
# lets fine structure fold into coarse structure that was never there: {term}`aliasing`. Averaging over the pixels that are left out, called
# antialiasing, prevents most of it, as the next cell shows. It is off by default in `torch.nn.functional.interpolate`
# {cite:p}`parmar2022`.
#
# A test that needs no reference: move the picture by two of its 256 pixels. At 32 × 32 this is a quarter of a pixel. We move the first
# small picture by that much ourselves, through its Fourier series; what still differs from the second was made by the shrinking.

# %%
hairy = {n: v[:100].clone() for n, v in world.items()}
hairy["hair"][:] = 0.8
large = lesion.render(hairy, (256, 264), seed) / 255
ways = {
    "nearest pixel": {"mode": "nearest"},
    "bilinear": {"mode": "bilinear"},
    "bilinear, antialiased": {"mode": "bilinear", "antialias": True},
}


def shifted(small, pixels):
    """The pictures, moved to the left by a part of a pixel."""
    waves = torch.fft.rfft(small, dim=3)
    turn = 2j * np.pi * torch.fft.rfftfreq(small.shape[3]) * pixels
    return torch.fft.irfft(waves * turn.exp(), n=small.shape[3], dim=3)


def rms(difference):
    """In grey levels, without two columns at either side."""
    return 255 * difference[..., 2:-2].square().mean().sqrt().item()


change, left, shrunk = {}, {}, {}
print("RMS in grey levels      change  beyond the shift")
for name, way in ways.items():
    shrunk[name] = F.interpolate(large[..., :256], (32, 32), **way)
    moved = F.interpolate(large[..., 2:258], (32, 32), **way)
    change[name] = rms(shrunk[name] - moved)
    left[name] = rms(shifted(shrunk[name], 1 / 4) - moved)
    print(f"{name:<22} {change[name]:7.1f} {left[name]:8.1f}")
best, worse, worst = sorted(left, key=left.get)
assert best == "bilinear, antialiased"
assert left[best] < 0.5 * left[worse]

# %% mystnb={"figure": {"caption": "A phantom with hairs at 256 × 256 pixels, and shrunk to 32 × 32 in three ways. Without antialiasing the hairs turn into steps; with it they stay lines, paler and wider.", "name": "fig-images-aliasing"}} tags=["hide-input"]
hair_row = 2
fig, axes = explore.figure(7, 2.1, columns=4)
shown = {"256 × 256": large[..., :256], **shrunk}
for axis, (name, batch) in zip(axes, shown.items(), strict=True):
    axis.imshow(
        batch[hair_row].permute(1, 2, 0).numpy(), interpolation="nearest"
    )
    axis.set_title(name, fontsize=9)
    axis.set_axis_off()
fig.alt = (
    "A lesion under hairs, and three small versions of it. Picking the nearest pixel leaves jagged hairs, bilinear "
    "interpolation nearly the same, antialiasing paler, smoother ones. After a shift by two pixels of the large picture they are off by "
    + ", ".join(f"{v:.1f} ({k})" for k, v in left.items())
    + " grey levels."
)
explore.show(fig)

# %%
publish_metrics(
    "images",
    {
        "image_wise": scores["image-wise"].mean(),
        "lesion_wise": scores["lesion-wise"].mean(),
        "siblings_are_worth": control.mean(),
        "leaking_share": scores["leaking share"].mean(),
        "aorta_hu": inside["aorta"].mean(),
        "shift_antialiased": left["bilinear, antialiased"],
        "shift_nearest": left["nearest pixel"],
    },
)

# %% [markdown]
# ## Quiz

# %% tags=["quiz", "hide-input"]
from jupyterquiz import display_quiz

display_quiz(
    [
        {
            "question": "A CT file has slope 1 and intercept −1024. A pixel is stored as 1064. How many Hounsfield units is that?",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "value",
                    "value": 40,
                    "correct": True,
                    "feedback": "Yes: 1 · 1064 − 1024 = 40, about that of blood.",
                },
                {
                    "type": "default",
                    "feedback": "Multiply by the slope, then add the intercept.",
                },
            ],
        },
        {
            "question": "A material attenuates X-rays 1.2 times as much as water. How many Hounsfield units has it?",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "value",
                    "value": 200,
                    "correct": True,
                    "feedback": "Yes: 1000 · (1.2 − 1) / 1 = 200.",
                },
                {
                    "type": "default",
                    "feedback": "Put μ = 1.2 μ of water into the definition.",
                },
            ],
        },
        {
            "question": "The lung window has its centre at −600 HU and a width of 1500 HU. From which value upwards is everything white?",
            "type": "numeric",
            "precision": 3,
            "answers": [
                {
                    "type": "value",
                    "value": 150,
                    "correct": True,
                    "feedback": "Yes: −600 + 1500 / 2 = 150. Bone and contrast agent look the same.",
                },
                {
                    "type": "default",
                    "feedback": "The window reaches half its width to either side of its centre.",
                },
            ],
        },
        {
            "question": "A lesion's covariance matrix has the eigenvalues 100 and 36 (pixels squared). What is its eccentricity?",
            "type": "numeric",
            "precision": 2,
            "answers": [
                {
                    "type": "value",
                    "value": 0.8,
                    "correct": True,
                    "feedback": "Yes: √(1 − 0.36) = 0.8.",
                },
                {
                    "type": "value",
                    "value": 0.6,
                    "correct": False,
                    "feedback": "That is the ratio of the axes, b / a.",
                },
                {
                    "type": "default",
                    "feedback": "Take the square root of one minus the ratio of the eigenvalues.",
                },
            ],
        },
        {
            "question": "Every lesion has exactly two images, and a fifth of the images is drawn at random for testing. "
            "Which share of the test images has its sibling in the training data?",
            "type": "numeric",
            "precision": 2,
            "answers": [
                {
                    "type": "value",
                    "value": 0.8,
                    "correct": True,
                    "feedback": "Yes: 1 − 0.2 = 0.8.",
                },
                {
                    "type": "default",
                    "feedback": "With which probability was the one sibling drawn for testing, too?",
                },
            ],
        },
        {
            "question": "A paper splits slices of CT scans at random and reports 99 % accuracy. What do you ask first?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "Whether slices of one patient lie in training and in test.",
                    "correct": True,
                    "feedback": "Yes. Neighbouring slices are nearly the same picture.",
                },
                {
                    "answer": "How many layers the network has.",
                    "correct": False,
                    "feedback": "A nearest-neighbour search without any layer profits from leakage, too.",
                },
                {
                    "answer": "Whether more images would make it 100 %.",
                    "correct": False,
                    "feedback": "With more slices of the same patients, yes. It would mean nothing.",
                },
            ],
        },
        {
            "question": "On which question do phantoms give an answer that real images cannot?",
            "type": "multiple_choice",
            "answers": [
                {
                    "answer": "Does this dimension of the code hold the size of the lesion and nothing else?",
                    "correct": True,
                    "feedback": "Yes: all factors are known, and can be changed one at a time.",
                },
                {
                    "answer": "Does this network recognise melanoma?",
                    "correct": False,
                    "feedback": "A phantom's class is a rule in a program.",
                },
                {
                    "answer": "Is this network robust against rulers and gel bubbles?",
                    "correct": False,
                    "feedback": "Phantoms have neither.",
                },
            ],
        },
    ]
)

# %% [markdown]
# ## Limits, summary, further reading
#
# **Limits.** One CT slice is no survey of scanners; its boxes were drawn by hand. The model of the comparison is the simplest there
# is, chosen because it remembers; the size of the gap depends on the model and on the data. Nothing here is fit for a
# diagnosis.
#
# **Summary.**
# - Stored numbers become Hounsfield units by slope and intercept {eq}`eq-images-1`, and these compare attenuation with that of water
#   {eq}`eq-images-2`.
# - A window {eq}`eq-images-3` is for eyes; it throws away what it does not show.
# - The moments of a mask {eq}`eq-images-4` give size, place, eccentricity and orientation {eq}`eq-images-5`.
# - Splitting by image tests memory. How many images leak can be predicted {eq}`eq-images-6`; how much it flatters has to be
#   measured.
# - Phantoms have known factors. They are for checking methods, not for claims about patients.
#
# **Exercises.** {ref}`images-exercises`: each checks your answer and says what is wrong with it.
#
# **Further reading.** Hounsfield's first description of the scanner {cite:p}`hounsfield1973`; Tschandl et al. on how HAM10000
# was made {cite:p}`tschandl2018`, and Cassidy et al. on duplicates in the data sets around it {cite:p}`cassidy2022`; Kapoor and Narayanan on leakage in
# seventeen fields of science {cite:p}`kapoor2023`. {ref}`vae` goes on with the model that learns such factors by itself.
#
# **The functions of this chapter** in the API reference: {py:func}`medlatent.data.dicom.hounsfield` {eq}`eq-images-1`,
# {py:func}`medlatent.data.dicom.window` {eq}`eq-images-3`, {py:func}`medlatent.data.dicom.read_slice`,
# {py:func}`medlatent.data.ham10000.measure` {eq}`eq-images-5`, {py:func}`medlatent.data.split_by_group`,
# {py:func}`medlatent.data.phantoms.lesion.render`, {py:func}`medlatent.data.phantoms.lesion.sample_factors`.
