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
# (images-exercises)=
# # Exercises: what is in a medical image
#
# Seven exercises on the chapter {ref}`images`, 19 points, about an hour and a half. Each asks you to replace
# `raise NotImplementedError` by lines of your own; the cell after it checks your answer, and says in a sentence what is wrong
# with it or what follows from it. Run the notebook from the top. A check may be run as often as you like.

# %% tags=["parameters"]
profile = "ci"  # "ci", "laptop" or "paper"
seed = 0

# %% nbgrader={"grade": false, "grade_id": "images-setup", "locked": true, "schema_version": 3, "solution": false, "task": false}
import numpy as np
import torch
import torch.nn.functional as F
from pydicom.data import get_testdata_file
from sklearn.neighbors import KNeighborsClassifier

from medlatent import explore
from medlatent.course import choose
from medlatent.course.exercises import images as check
from medlatent.data import dicom, open_images
from medlatent.data.phantoms import lesion

settings = choose(
    {
        "ci": {"images": 1_000, "splits": 10},
        "laptop": {"images": 3_000, "splits": 20},
        "paper": {"images": 10_015, "splits": 50},
    },
    profile,
)
path = get_testdata_file("CT_small.dcm", download=False)
hu = dicom.read_slice(path).hu  # the slice of the chapter

# %% [markdown] objectives=[1]
# (exercise-images-1)=
# ## Exercise 1: From bits to Hounsfield units
#
# *Implement, 15 minutes, 3 points.* A CT file holds 16 bits a pixel, and its tags say how to read them. The tag `PixelRepresentation` says
# whether the bits are an unsigned number, from 0 to 65 535, or a signed one in two's complement, from −32 768 to 32 767. `PixelPaddingValue`, where
# there is one, is the *stored* value, read with that sign, of pixels that were not measured.
#
# Write the way from the bits to Hounsfield units by {eq}`eq-images-1`. Padding becomes −1024 HU, whatever the rescale would make of it. Mind the types: NumPy
# computes in the type of the array, and an unsigned type holds no negative number.


# %% nbgrader={"grade": false, "grade_id": "images-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def hounsfield(raw, slope, intercept, signed, padding):
    """Hounsfield units (H, W), as floats, of the bits of a CT file.

    raw is a uint16 array (H, W), signed is true or false, and padding is the
    stored value of pixels outside the measurement, or None.
    """
    ### BEGIN SOLUTION
    stored = (raw.view(np.int16) if signed else raw).astype(float)
    units = slope * stored + intercept
    if padding is not None:
        units[stored == padding] = -1024
    return units
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "images-1-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.hounsfield(hounsfield)
### BEGIN HIDDEN TESTS
check.hounsfield(hounsfield, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="wraps round"
# The sum is taken in 16 unsigned bits, so that air comes out brighter than any bone.
def hounsfield(raw, slope, intercept, signed, padding):
    stored = raw.view(np.int16) if signed else raw
    units = slope * (stored - np.uint16(-intercept))
    if padding is not None:
        units[stored == padding] = -1024
    return units


# %% tags=["wrong-answer"] says="is signed"
# The bits of a signed file are read as unsigned.
def hounsfield(raw, slope, intercept, signed, padding):
    units = slope * raw.astype(float) + intercept
    if padding is not None:
        units[raw == padding] = -1024
    return units


# %% tags=["wrong-answer"] says="is unsigned"
# The bits are read as signed, whatever the tag says.
def hounsfield(raw, slope, intercept, signed, padding):
    stored = raw.view(np.int16).astype(float)
    units = slope * stored + intercept
    if padding is not None:
        units[stored == padding] = -1024
    return units


# %% tags=["wrong-answer"] says="before the rescale"
# The padding value is looked for among Hounsfield units, where water may have it.
def hounsfield(raw, slope, intercept, signed, padding):
    stored = (raw.view(np.int16) if signed else raw).astype(float)
    units = slope * stored + intercept
    if padding is not None:
        units[units == padding] = -1024
    return units


# %% tags=["wrong-answer"] says="from there on"
# The least negative number, whose bits are 32 768, is left out.
def hounsfield(raw, slope, intercept, signed, padding):
    stored = raw.astype(float)
    if signed:
        stored[stored > 32_768] -= 65_536
    return np.where(stored == padding, -1024, slope * stored + intercept)


# %% tags=["wrong-answer"] says="what lies below it was measured"
# Everything below the padding is taken for padding, too.
def hounsfield(raw, slope, intercept, signed, padding):
    stored = (raw.view(np.int16) if signed else raw).astype(float)
    units = slope * stored + intercept
    if padding is not None:
        units[stored <= padding] = -1024
    return units


# %% tags=["wrong-answer"] says="they are to be kept"
# The result is cut to the range of 12 bits, which metal exceeds.
def hounsfield(raw, slope, intercept, signed, padding):
    stored = (raw.view(np.int16) if signed else raw).astype(float)
    units = np.clip(slope * stored + intercept, -1024, 3071)
    units[stored == padding] = -1024
    return units


# %% [markdown] objectives=[2]
# (exercise-images-2)=
# ## Exercise 2: There and back through a window
#
# *Implement, then look, 10 minutes, 2 points.* Public data sets often hold pictures of eight bits: a window {eq}`eq-images-3` was applied, and the grey
# $g$ was stored as the nearest whole number to $255\,g$. Write this, and then the way back: the Hounsfield units that a level $k$ stands for, where
# $255\,g = k$. Levels 0 and 255 may hide anything beyond the window, so for them the way back returns NaN.


# %% nbgrader={"grade": false, "grade_id": "images-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def window(hu, centre, width):
    """The grey levels, whole numbers from 0 to 255, of Hounsfield units."""
    ### BEGIN SOLUTION
    grey = np.clip((hu - centre) / width + 0.5, 0, 1)
    return np.round(255 * grey).astype(np.uint8)
    ### END SOLUTION


def unwindow(levels, centre, width):
    """The Hounsfield units, as floats, of a uint8 array of levels; NaN at 0 and 255."""
    ### BEGIN SOLUTION
    units = centre + (levels / 255 - 0.5) * width
    return np.where((levels == 0) | (levels == 255), np.nan, units)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "images-2-check", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
check.levels(window, unwindow)
### BEGIN HIDDEN TESTS
check.levels(window, unwindow, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="clip"
# Nothing is clipped, so that lung wraps round to some grey when it is stored in eight bits.
def window(hu, centre, width):
    grey = (hu - centre) / width + 0.5
    return np.round(255 * grey).astype(np.int64).astype(np.uint8)


def unwindow(levels, centre, width):
    units = centre + (levels / 255 - 0.5) * width
    return np.where((levels == 0) | (levels == 255), np.nan, units)


# %% tags=["wrong-answer"] says="half the width"
# The width is taken as half the width, so that the picture has half the contrast.
def window(hu, centre, width):
    grey = np.clip((hu - centre) / (2 * width) + 0.5, 0, 1)
    return np.round(255 * grey).astype(np.uint8)


def unwindow(levels, centre, width):
    units = centre + (levels / 255 - 0.5) * width
    return np.where((levels == 0) | (levels == 255), np.nan, units)


# %% tags=["wrong-answer"] says="return NaN"
# Clipped levels are given the value at the border of the window, as if it had been measured.
def window(hu, centre, width):
    grey = np.clip((hu - centre) / width + 0.5, 0, 1)
    return np.round(255 * grey).astype(np.uint8)


def unwindow(levels, centre, width):
    return centre + (levels / 255 - 0.5) * width


# %% [markdown]
# The next cell sends the slice of the chapter there and back through its three windows. Which one would you want a data set to have been exported
# with, if you did not know yet what you will look for?

# %% nbgrader={"grade": false, "grade_id": "images-2-look", "locked": true, "schema_version": 3, "solution": false, "task": false}
for name, (centre, width) in dicom.WINDOWS.items():
    again = unwindow(window(hu, centre, width), centre, width)
    kept = np.isfinite(again)
    error = np.abs(again - hu)[kept].max()
    print(
        f"{name:<12} {kept.mean():4.0%} of the pixels come back,"
        f" to within {error:.1f} HU"
    )

# %% [markdown]
# :::{dropdown} Which one?
# None is right for everything. The lung window brings back most pixels, the least exactly, and loses the bone; the soft-tissue window is
# exact and loses a third of the
# slice. Ask for 16 bits.
# :::

# %% [markdown] objectives=[1]
# (exercise-images-3)=
# ## Exercise 3: Half lung, half bone
#
# *Predict, then run, 10 minutes, 2 points.* A voxel where the lung touches a rib is 60 % lung and 40 % bone by volume. Lung has −850 HU here, and this bone
# 1100 HU. Attenuation coefficients of materials that a beam crosses one after the other add up, weighted with the lengths of the path in
# them. **Write your prediction before you run the cell that follows it**: how many Hounsfield units {eq}`eq-images-2` does the voxel get?

# %% nbgrader={"grade": false, "grade_id": "images-3-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
border_hu = ...  # a number
### BEGIN SOLUTION
border_hu = 0.6 * -850 + 0.4 * 1100
### END SOLUTION

# %% [markdown]
# Now the measurement: a beam crosses a thousand thin sheets, in random order, and loses intensity in each.

# %% nbgrader={"grade": false, "grade_id": "images-3-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
mu_water = 0.0206  # of water at 60 keV, per millimetre
in_lung = np.random.default_rng(seed).permutation(1_000) < 600
mu = np.where(in_lung, 1 - 850 / 1_000, 1 + 1_100 / 1_000) * mu_water
sheet = 0.001  # millimetres
intensity = np.prod(np.exp(-mu * sheet))
measured = 1_000 * (-np.log(intensity) - mu_water) / mu_water

# %% nbgrader={"grade": true, "grade_id": "images-3-predict-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.border_hu(border_hu, measured)

# %% tags=["wrong-answer"] says="weight them with their shares"
# The two values are averaged, though one material fills more of the voxel.
border_hu = (-850 + 1100) / 2

# %% tags=["wrong-answer"] says="a comma separates numbers"
# The decimal comma makes a pair of two numbers.
border_hu = -70, 0

# %% tags=["wrong-answer"] says="shares are exchanged"
# The shares of lung and bone are exchanged.
border_hu = 0.4 * -850 + 0.6 * 1100

# %% [markdown]
# Turn it round. Which share of the second material makes a voxel of two materials have a given value?


# %% nbgrader={"grade": false, "grade_id": "images-3-share", "locked": false, "schema_version": 3, "solution": true, "task": false}
def share_for(target, first, second):
    """The share by volume of the second material; all arguments in HU."""
    ### BEGIN SOLUTION
    return (target - first) / (second - first)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "images-3-share-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.share_for(share_for)
### BEGIN HIDDEN TESTS
check.share_for(share_for, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="first material"
# The share of the first material is returned.
def share_for(target, first, second):
    return (second - target) / (second - first)


# %% tags=["wrong-answer"] says="counts too"
# The first material is left out, as if the rest of the voxel were water.
def share_for(target, first, second):
    return target / second


# %% [markdown]
# Now the slice of the chapter, seen by a program that calls everything between −150 and −50 HU fat. Pixels in that range are coloured:
# those within two pixels of the lung in red, the others in yellow. Which of them would you call fat?

# %% nbgrader={"grade": false, "grade_id": "images-3-look", "locked": true, "schema_version": 3, "solution": false, "task": false}
low, high = (share_for(value, -850, 1_100) for value in (-150, -50))
print(f"passes for fat: a voxel of lung with {low:.0%} to {high:.0%} bone")
low, high = (share_for(value, -850, 40) for value in (-150, -50))
print(f"                            with {low:.0%} to {high:.0%} soft tissue")
in_range = (hu > -150) & (hu < -50)
lung = torch.tensor(hu < -500).float()[None, None]
near = F.max_pool2d(lung, 5, stride=1, padding=2)[0, 0].numpy() > 0
print(f"in the range {in_range.sum()} pixels,", end=" ")
print(f"{(in_range & near).sum()} of them within two pixels of the lung")
picture = dicom.window(hu, 40, 400)[..., None].repeat(3, 2)
picture[in_range] = (1.0, 0.85, 0.2)
picture[in_range & near] = (0.9, 0.1, 0.1)
fig, axes = explore.figure(3.2, 3.2)
axes.imshow(picture, interpolation="nearest")
axes.set_axis_off()
fig.alt = (
    "The CT slice; pixels in the range of fat are yellow, most of them in "
    "a layer behind the spine, and red where they line the border of the lung."
)
explore.show(fig)

# %% [markdown]
# :::{dropdown} Which are fat?
# The yellow layer at the back and the yellow wedges between the muscles: regions of many pixels. The red line, one or two pixels wide along
# the lung, is mostly no
# fat. Each of its voxels is a mixture, of lung and soft tissue or of lung and bone.
# :::

# %% [markdown] objectives=[3]
# (exercise-images-4)=
# ## Exercise 4: A lesion in millimetres
#
# *Derive and implement, 15 minutes, 3 points.* A report gives the size of a lesion in millimetres, and pixels need not be square. DICOM's
# `PixelSpacing` is a pair:
# the distance between *rows*, then that between *columns*. Write the function that measures a mask: its area, the whole major axis (the length $2a$) and
# minor axis (the width $2b$) of the ellipse with the same moments, and the angle of the major axis.
#
# Use {eq}`eq-images-4` with $\mathbf r$ in millimetres, the relation between the eigenvalues of $C$ and the half-axes that the chapter
# derives, and {eq}`eq-images-5`, without `regionprops`. As in the chapter, $x$ runs
# to the right and $y$ upwards.


# %% nbgrader={"grade": false, "grade_id": "images-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def shape(mask, spacing):
    """Area (mm²), length and width (mm), angle (radians) of a boolean mask (H, W).

    spacing is the distance between rows, then between columns, in mm.
    Returns the four numbers, in this order.
    """
    ### BEGIN SOLUTION
    rows, columns = np.nonzero(mask)
    x, y = columns * spacing[1], -rows * spacing[0]
    area = len(rows) * spacing[0] * spacing[1]
    covariance = np.cov(x, y, ddof=0)  # about the centroid, divided by n
    short, long = 4 * np.sqrt(np.linalg.eigvalsh(covariance))
    difference = covariance[0, 0] - covariance[1, 1]
    angle = 0.5 * np.arctan2(2 * covariance[0, 1], difference)
    return area, long, short, angle
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "images-4-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.shape(shape)
### BEGIN HIDDEN TESTS
check.shape(shape, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="not central"
# The moments are taken about the corner of the image, so that a lesion far from it seems long.
def shape(mask, spacing):
    rows, columns = np.nonzero(mask)
    x, y = columns * spacing[1], -rows * spacing[0]
    area = len(rows) * spacing[0] * spacing[1]
    moments = np.array([[x @ x, x @ y], [x @ y, y @ y]]) / len(x)
    short, long = 4 * np.sqrt(np.linalg.eigvalsh(moments))
    angle = 0.5 * np.arctan2(2 * moments[0, 1], moments[0, 0] - moments[1, 1])
    return area, long, short, angle


# %% tags=["wrong-answer"] says="are exchanged"
# The eigenvalues come in ascending order, and the first is taken for the length.
def shape(mask, spacing):
    rows, columns = np.nonzero(mask)
    x, y = columns * spacing[1], -rows * spacing[0]
    c = np.cov(x, y, ddof=0)
    long, short = 4 * np.sqrt(np.linalg.eigvalsh(c))
    angle = 0.5 * np.arctan2(2 * c[0, 1], c[0, 0] - c[1, 1])
    return len(rows) * spacing[0] * spacing[1], long, short, angle


# %% tags=["wrong-answer"] says="one of the spacings is squared"
# The pixels are taken for squares whose side is the distance of the rows.
def shape(mask, spacing):
    rows, columns = np.nonzero(mask)
    c = np.cov(columns * spacing[1], -rows * spacing[0], ddof=0)
    short, long = 4 * np.sqrt(np.linalg.eigvalsh(c))
    angle = 0.5 * np.arctan2(2 * c[0, 1], c[0, 0] - c[1, 1])
    return len(rows) * spacing[0] ** 2, long, short, angle


# %% tags=["wrong-answer"] says="mirrored"
# The rows are counted downwards, which mirrors the angle.
def shape(mask, spacing):
    rows, columns = np.nonzero(mask)
    c = np.cov(columns * spacing[1], rows * spacing[0], ddof=0)
    short, long = 4 * np.sqrt(np.linalg.eigvalsh(c))
    angle = 0.5 * np.arctan2(2 * c[0, 1], c[0, 0] - c[1, 1])
    return len(rows) * spacing[0] * spacing[1], long, short, angle


# %% tags=["wrong-answer"] says="not used"
# The axes are left in pixels.
def shape(mask, spacing):
    rows, columns = np.nonzero(mask)
    c = np.cov(columns, -rows, ddof=0)
    short, long = 4 * np.sqrt(np.linalg.eigvalsh(c))
    angle = 0.5 * np.arctan2(2 * c[0, 1], c[0, 0] - c[1, 1])
    return len(rows) * spacing[0] * spacing[1], long, short, angle


# %% tags=["wrong-answer"] says="without regionprops"
# The library that the chapter uses does the work.
def shape(mask, spacing):
    from skimage.measure import regionprops

    (region,) = regionprops(mask.astype(int), spacing=spacing)
    angle = region.orientation + np.pi / 2
    return (
        region.area,
        region.axis_major_length,
        region.axis_minor_length,
        angle,
    )


# %% [markdown] objectives=[4]
# (exercise-images-5)=
# ## Exercise 5: A split that can be trusted
#
# *Implement, 15 minutes, 3 points.* Rare diagnoses make a {term}`lesion-wise split` harder: a random fifth of all lesions may hold hardly
# any of a rare class. Write a split of each class by
# itself. It must
#
# - put all images of a lesion into the same part;
# - give each class its share of test images, `fraction` of the images of the class, so that the number of test images differs from
#   `fraction` of the class by no more than the images of the class's most photographed lesion;
# - depend on the seed and on nothing else that is random.
#
# All images of a lesion have the same class. Lesions have different numbers of images.


# %% nbgrader={"grade": false, "grade_id": "images-5", "locked": false, "schema_version": 3, "solution": true, "task": false}
def split(lesions, classes, fraction, seed):
    """A boolean array (N,): true where an image belongs to the test part.

    lesions and classes are arrays of N names, one an image.
    """
    ### BEGIN SOLUTION
    rng = np.random.default_rng(seed)
    test = np.zeros(len(lesions), bool)
    for name in np.unique(classes):
        members, count = np.unique(lesions[classes == name], return_counts=True)
        order = rng.permutation(len(members))
        taken = np.cumsum(count[order]) <= fraction * count.sum()
        test |= np.isin(lesions, members[order[taken]])
    return test
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "images-5-check", "locked": true, "points": 3, "schema_version": 3, "solution": false, "task": false}
check.split(split)
### BEGIN HIDDEN TESTS
check.split(split, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="both parts"
# Images are drawn instead of lesions, so that siblings lie on both sides.
def split(lesions, classes, fraction, seed):
    rng = np.random.default_rng(seed)
    return rng.permutation(len(lesions)) < fraction * len(lesions)


# %% tags=["wrong-answer"] says="each class by itself"
# The lesions of all classes are drawn together, and rare classes get what chance gives them.
def split(lesions, classes, fraction, seed):
    rng = np.random.default_rng(seed)
    members, count = np.unique(lesions, return_counts=True)
    order = rng.permutation(len(members))
    taken = np.cumsum(count[order]) <= fraction * len(lesions)
    return np.isin(lesions, members[order[taken]])


# %% tags=["wrong-answer"] says="have to be in a NumPy array"
# A list of truth values is returned, by which no array can be turned round or indexed.
def split(lesions, classes, fraction, seed):
    rng = np.random.default_rng(seed)
    taken = []
    for name in np.unique(classes):
        members, count = np.unique(lesions[classes == name], return_counts=True)
        order = rng.permutation(len(members))
        kept = np.cumsum(count[order]) <= fraction * count.sum()
        taken += members[order[kept]].tolist()
    return np.isin(lesions, taken).tolist()


# %% tags=["wrong-answer"] says="same seed"
# The generator is not seeded, so that nobody can repeat the split.
def split(lesions, classes, fraction, seed):
    rng = np.random.default_rng()
    test = np.zeros(len(lesions), bool)
    for name in np.unique(classes):
        members, count = np.unique(lesions[classes == name], return_counts=True)
        order = rng.permutation(len(members))
        taken = np.cumsum(count[order]) <= fraction * count.sum()
        test |= np.isin(lesions, members[order[taken]])
    return test


# %% [markdown] objectives=[4]
# (exercise-images-6)=
# ## Exercise 6: A score from nothing
#
# *Predict, then run, 15 minutes, 3 points.* Throw away the diagnoses of the phantoms, and toss a coin for each lesion instead: heads or
# tails is its label, the same for all
# its images. No picture can show how a coin fell. Now the nearest neighbour of the chapter is scored on these labels, with both kinds of
# split; a fifth of the images is for
# testing. **Write your prediction before you run the cell that follows it**: which accuracies will it get?
#
# - **a** About 0.5 with both.
# - **b** Well above 0.5 image-wise, about 0.5 lesion-wise.
# - **c** Well above 0.5 with both.
# - **d** About 0.5 image-wise, well above 0.5 lesion-wise.

# %% nbgrader={"grade": false, "grade_id": "images-6-predict", "locked": false, "schema_version": 3, "solution": true, "task": false}
coin_scores = ...  # "a", "b", "c" or "d"
### BEGIN SOLUTION
coin_scores = "b"
### END SOLUTION

# %% nbgrader={"grade": false, "grade_id": "images-6-run", "locked": true, "schema_version": 3, "solution": false, "task": false}
phantoms = open_images("phantoms.lesion", settings["images"], seed=seed)
small = F.interpolate(
    phantoms.batch(range(len(phantoms))),
    (8, 8),
    mode="bilinear",
    antialias=True,
)
x = small.flatten(1).numpy()
group = np.unique(phantoms.table["lesion_id"], return_inverse=True)[1]
n, lesions_in_all = len(x), group.max() + 1
tests, found = {"image-wise": [], "lesion-wise": []}, []
rows = {"image-wise": [], "lesion-wise": []}
for k in range(settings["splits"]):
    rng = np.random.default_rng([seed, k])
    coin = rng.integers(0, 2, lesions_in_all)[group]
    order = rng.permutation(lesions_in_all)
    taken = np.cumsum(np.bincount(group)[order]) <= n // 5
    tests["image-wise"].append(rng.permutation(n) < n // 5)
    tests["lesion-wise"].append(np.isin(group, order[taken]))
    for name in tests:
        test = tests[name][-1]
        nearest = KNeighborsClassifier(1).fit(x[~test], coin[~test])
        rows[name].append(nearest.score(x[test], coin[test]))
        if name == "image-wise":
            # Is the nearest neighbour of a leaking image its sibling?
            neighbour = nearest.kneighbors(x[test], return_distance=False)
            sibling = group[~test][neighbour[:, 0]] == group[test]
            leaks = np.isin(group[test], group[~test])
            found.append(sibling[leaks].mean())
scores = {name: np.mean(values) for name, values in rows.items()}

# %% nbgrader={"grade": true, "grade_id": "images-6-predict-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.coin_scores(coin_scores, scores)

# %% tags=["wrong-answer"] says="nearest neighbour of a sibling"
# Labels without meaning are taken for labels that cannot be predicted.
coin_scores = "a"

# %% tags=["wrong-answer"] says="new lesion"
# The pictures are thought to tell something about a lesion that was never seen.
coin_scores = "c"

# %% [markdown]
# Explain the number. First write the share of test images that have a sibling in the training part, which {eq}`eq-images-6` predicts, as a count.


# %% nbgrader={"grade": false, "grade_id": "images-6-leaking", "locked": false, "schema_version": 3, "solution": true, "task": false}
def leaking_share(lesions, test):
    """The share of test images with an image of their lesion in training.

    lesions (N,) holds a number an image, test (N,) is boolean.
    """
    ### BEGIN SOLUTION
    return np.isin(lesions[test], lesions[~test]).mean()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "images-6-leaking-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.leaking_share(leaking_share)
### BEGIN HIDDEN TESTS
check.leaking_share(leaking_share, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="do no harm"
# Siblings inside the test part are counted, too.
def leaking_share(lesions, test):
    names, count = np.unique(lesions, return_counts=True)
    return np.isin(lesions[test], names[count > 1]).mean()


# %% tags=["wrong-answer"] says="*training* images"
# The two parts are exchanged: these are training images with a sibling in the test part.
def leaking_share(lesions, test):
    return np.isin(lesions[~test], lesions[test]).mean()


# %% [markdown]
# Then the score. A share `leaking` of the test images has a sibling in training, and for a share `found` of *these* the sibling is the
# nearest image. For all others the nearest image is a
# stranger, whose label agrees once in `classes` times. Which accuracy is to be expected?


# %% nbgrader={"grade": false, "grade_id": "images-6-score", "locked": false, "schema_version": 3, "solution": true, "task": false}
def expected_score(leaking, found, classes):
    """The accuracy of the nearest neighbour on labels that mean nothing."""
    ### BEGIN SOLUTION
    remembered = leaking * found
    return remembered + (1 - remembered) / classes
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "images-6-score-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.expected_score(expected_score)
### BEGIN HIDDEN TESTS
check.expected_score(expected_score, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="guess only the others"
# Chance is added for all images, those that are remembered included, so that the score may exceed 1.
def expected_score(leaking, found, classes):
    return leaking * found + 1 / classes


# %% tags=["wrong-answer"] says="only if its sibling is found"
# Every leaking image is taken for a remembered one.
def expected_score(leaking, found, classes):
    return leaking + (1 - leaking) / classes


# %% nbgrader={"grade": false, "grade_id": "images-6-look", "locked": true, "schema_version": 3, "solution": false, "task": false}
for name, parts in tests.items():
    leaking = np.mean([leaking_share(group, test) for test in parts])
    expected = expected_score(leaking, np.mean(found), 2)
    print(
        f"{name:<12} leaking {leaking:.2f}, expected {expected:.3f},"
        f" scored {scores[name]:.3f} ± {np.std(rows[name], ddof=1):.3f}"
    )

# %% [markdown] objectives=[5]
# (exercise-images-7)=
# ## Exercise 7: Where do correlations come from?
#
# *Change this and explain what you see, 15 minutes, 3 points.* In the phantoms of the chapter, factors depend on the class. Does the colour
# of a lesion go together with its hue because dark lesions *are* less red, or only because
# some classes are dark and others red? To find out, take the class out: write the deviation of each value from the mean of its class.


# %% nbgrader={"grade": false, "grade_id": "images-7", "locked": false, "schema_version": 3, "solution": true, "task": false}
def within_class(values, classes):
    """values (N,) minus the mean of their class; classes (N,) are numbers."""
    ### BEGIN SOLUTION
    deviation = values.astype(float)
    for name in np.unique(classes):
        deviation[classes == name] -= values[classes == name].mean()
    return deviation
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "images-7-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.within_class(within_class)
### BEGIN HIDDEN TESTS
check.within_class(within_class, seed=73)
### END HIDDEN TESTS


# %% tags=["wrong-answer"] says="each class has its own"
# The mean of all images is subtracted, which leaves every correlation as it is.
def within_class(values, classes):
    return values - values.mean()


# %% tags=["wrong-answer"] says="work on a copy"
# The values that came in are changed, so that the next correlation is that of something else.
def within_class(values, classes):
    for name in np.unique(classes):
        values[classes == name] -= values[classes == name].mean()
    return values


# %% nbgrader={"grade": false, "grade_id": "images-7-look", "locked": true, "schema_version": 3, "solution": false, "task": false}
drawn = lesion.sample_factors(20_000, seed, correlated=True)
dx = drawn["dx"].numpy()
pairs = [
    ("lesion_colour", "lesion_hue"),
    ("border_irregularity", "lesion_hue"),
    ("size", "border_irregularity"),
]
print(f"{'correlation of':<37}   all   within classes")
for first, second in pairs:
    a, b = drawn[first].numpy(), drawn[second].numpy()
    inside = within_class(a, dx), within_class(b, dx)
    whole, rest = np.corrcoef(a, b)[0, 1], np.corrcoef(*inside)[0, 1]
    print(f"{first:<19} {second:<15} {whole:+7.2f} {rest:+10.2f}")

# %% [markdown]
# So the classes make the correlation, and a data set with other classes has another one. The next cell keeps the images of two classes and
# prints the correlation of `lesion_colour` and
# `lesion_hue` among them. Change the two classes. Which two, alone, give the greatest (most positive) correlation? There are 21 pairs; a loop is allowed.

# %% nbgrader={"grade": false, "grade_id": "images-7-pair", "locked": false, "schema_version": 3, "solution": true, "task": false}
kept = np.isin(dx, [lesion.DX.index(name) for name in ("mel", "nv")])
colour, hue = drawn["lesion_colour"].numpy(), drawn["lesion_hue"].numpy()
print(f"{np.corrcoef(colour[kept], hue[kept])[0, 1]:+.2f}")
most_positive = ...  # a pair of names out of lesion.DX
### BEGIN SOLUTION
found_pairs = {}
for i, j in zip(*np.triu_indices(len(lesion.DX), 1), strict=True):
    kept = (dx == i) | (dx == j)
    correlation = np.corrcoef(colour[kept], hue[kept])[0, 1]
    found_pairs[lesion.DX[i], lesion.DX[j]] = correlation
most_positive = max(found_pairs, key=found_pairs.get)
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "images-7-pair-check", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
check.most_positive(most_positive, drawn)

# %% tags=["wrong-answer"] says="another pair"
# The two commonest classes are taken, as if they had to matter most.
most_positive = ("mel", "nv")

# %% tags=["wrong-answer"] says="negative"
# The most negative correlation is taken for the greatest.
most_positive = min(found_pairs, key=found_pairs.get)

# %% [markdown]
# In two or three sentences: how can the choice of classes turn the sign of a correlation, though the factors are independent within each
# class? And why must a measure of {term}`disentanglement`
# not be computed on such a set?

# %% [markdown] nbgrader={"grade": true, "grade_id": "images-7-explain", "locked": false, "points": 1, "schema_version": 3, "solution": true, "task": false}
# ### BEGIN SOLUTION
# The correlation is that of the classes' means. Two classes of which one is both darker and redder give a positive one; where one is darker
# and the other redder, it is negative; the spread within the classes only
# dilutes it. Where two factors go together, a dimension of the code that follows the one also follows the other, so that nobody can tell
# which of them it holds.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# - 0.5: says that the correlation comes from the means of the classes, and that the sign depends on which classes are chosen
# - 0.5: says that where two factors go together, a dimension that follows one also follows the other, so that no measure can tell which it
#   holds
# - 0: "correlation is not causation", without the classes
