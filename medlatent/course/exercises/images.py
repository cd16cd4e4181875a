"""Checks of the exercises on medical images, ``notebooks/01_images_exercises``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
import torch
from skimage.measure import regionprops

from ...data.optional import extra
from ...data.phantoms import lesion
from .answers import WrongAnswer, as_array, call, choose, compare, correct, of_kind, value_of, without

with extra("data", "checking exercises on medical images"):
    import pydicom
    from pydicom.data import get_testdata_file
    from pydicom.pixels import apply_rescale

PADDING_HU = -1024


def hounsfield(function: Callable, seed: int = 0) -> None:
    """``hounsfield(raw, slope, intercept, signed, padding)``: uint16 bits to Hounsfield units, padding at -1024.

    Tried on signed and unsigned files, with and without padding, and on a slice that pydicom rescales.

    Raises:
        WrongAnswer: the answer is wrong for one of the files; the message says which and how.
    """
    random = np.random.default_rng(seed)
    files = (
        ("an unsigned file", random.integers(0, 3_000, (4, 5)), 1, -1024, False, None),
        ("a signed file", random.integers(-1_000, 2_000, (4, 5)), 1, 0, True, None),
        ("an unsigned file of slope 0.05", random.integers(20_000, 65_536, (4, 5)), 0.05, -1024.0, False, None),
        ("an unsigned file with padding", random.integers(24, 2_000, (4, 5)), 2.0, -1000.0, False, 0),
        ("a signed file with padding", random.integers(24, 2_000, (4, 5)), 1.0, -1024.0, True, -2_000),
    )
    for what, stored, slope, intercept, signed, padding in files:
        stored[1, 1] = 500  # in the file of slope 2 this is water, 0 HU, which is no padding though its value is
        if padding is not None:
            stored[0, 1] = stored[3, 2:] = padding
        if signed:  # the least that 16 bits hold, and values beyond the padding and beyond 12 bits
            stored[2, :3] = -32_768, -2_500, 5_000
        outside = stored == padding
        raw = (stored % 65_536).astype(np.uint16)
        rescaled = slope * stored + intercept
        right = np.where(outside, PADDING_HU, rescaled)
        misread = (raw if signed else raw.view(np.int16)).astype(float)
        misread = np.where(misread == padding, PADDING_HU, slope * misread + intercept)
        if signed:
            sentence = "the file is signed, and its bits are read as unsigned; −1 then becomes 65 535."
        else:
            sentence = "the file is unsigned, and its bits are read as signed; 65 535 then becomes −1."
        compare(
            f"hounsfield(…) of {what}",
            call(function, raw, slope, intercept, signed, padding),
            right,
            meaning="one value a pixel",
            mistakes={
                sentence: misread,
                "the sum wraps round: 16 unsigned bits cannot hold a negative number. Convert before adding.": rescaled
                % 65_536,
                "padding is rescaled like tissue; it was not measured, and becomes −1024 HU.": rescaled,
                "padding is a *stored* value: look for it before the rescale, not among Hounsfield units.": np.where(
                    rescaled == padding, PADDING_HU, rescaled
                ),
                "padding keeps its stored value; it becomes −1024 HU.": np.where(outside, stored, rescaled),
                "the intercept is subtracted, and should be added.": np.where(
                    outside, PADDING_HU, slope * stored - intercept
                ),
                "the intercept is multiplied by the slope; only the stored value is.": np.where(
                    outside, PADDING_HU, slope * (stored + intercept)
                ),
                "the slope is missing.": np.where(outside, PADDING_HU, stored + intercept),
                "signed bits of 32 768 stand for −32 768: subtract 65 536 from there on.": np.where(
                    stored == -32_768, slope * 32_768 + intercept, right
                ),
                "padding is one stored value; what lies below it was measured, and is rescaled.": np.where(
                    stored <= (-np.inf if padding is None else padding), PADDING_HU, rescaled
                ),
                "values are cut off at −1024 or 3071 HU; they are to be kept.": right.clip(PADDING_HU, 3_071),
            },
            kind=np.ndarray,
        )
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm", download=False))
    raw = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
    found = call(function, raw, float(dataset.RescaleSlope), float(dataset.RescaleIntercept), True, -2_000)
    compare("hounsfield(…) of the slice CT_small", found, apply_rescale(dataset.pixel_array, dataset))
    correct(
        "It agrees with pydicom on a real slice. Read as unsigned, a stored −2000 would be 63 536, "
        "brighter than any bone."
    )


def levels(window: Callable, unwindow: Callable, seed: int = 0) -> None:
    """``window(hu, centre, width)``: grey levels 0 to 255; ``unwindow(levels, centre, width)``: back, NaN if clipped.

    Raises:
        WrongAnswer: one of them is wrong; the message says which and how.
    """
    random = np.random.default_rng(seed)
    for centre, width in ((40.0, 400.0), (-600.0, 1500.0)):
        hu = np.concatenate([random.integers(-1_500, 1_500, 40), [-3_000, 3_000]]).astype(float)
        linear = 255 * ((hu - centre) / width + 0.5)
        hu, linear = (v[np.abs(linear % 1 - 0.5) > 0.01] for v in (hu, linear))  # ties may be rounded either way
        half = 255 * ((hu - centre) / (2 * width) + 0.5)
        right = np.floor(linear.clip(0, 255) + 0.5)
        compare(
            f"window(…, {centre:g}, {width:g})",
            call(window, hu, centre, width),
            right,
            meaning="one grey level a pixel",
            mistakes={
                "nothing is clipped: values outside the window get levels below 0 or above 255.": np.rint(linear),
                "values outside the window wrap round in eight bits: clip before you convert.": np.rint(linear) % 256,
                "the width is taken as half the width: the window reaches width / 2 to either side.": np.rint(
                    half.clip(0, 255)
                ),
                "the level is cut off, not rounded: every picture gets darker by half a level.": np.floor(
                    linear.clip(0, 255)
                ),
                "the level is not rounded to a whole number.": linear.clip(0, 255),
                "the grey runs from 0 to 1; multiply by 255 for levels.": linear.clip(0, 255) / 255,
                "the centre is taken as the lower end of the window.": np.rint(
                    (255 * (hu - centre) / width).clip(0, 255)
                ),
            },
            kind=np.ndarray,
        )
        grey = np.concatenate([[0, 1, 128, 254, 255], random.integers(1, 255, 20)]).astype(np.uint8)
        clipped = (grey == 0) | (grey == 255)
        low, high = centre - width / 2, centre + width / 2
        back = low + (high - low) * grey.astype(float) / 255
        name = f"unwindow(…, {centre:g}, {width:g})"
        answer = call(unwindow, grey, centre, width)
        found = as_array(name, answer)
        if found.shape == back.shape:
            if np.isfinite(found[clipped]).any():
                raise WrongAnswer(
                    f"{name}: a level of 0 or 255 may stand for anything beyond the window; return NaN there."
                )
            if not np.isfinite(found[~clipped]).all():
                raise WrongAnswer(f"{name} is NaN or infinite inside the window, where the value is known.")
            found, back, grey = found[~clipped], back[~clipped], grey[~clipped]
        share = grey / 255 - 0.5
        compare(
            name,
            found,
            back,
            meaning="one value a pixel",
            mistakes={
                "the width is taken as half the width.": centre + 2 * width * share,
                "level 0 is the lower end of the window, not its centre.": centre + width * (share + 0.5),
                "there are 256 levels, but 255 steps between them.": low + (high - low) * grey / 256,
            },
        )
        of_kind(name, answer, np.ndarray)
    soft = 400
    correct(
        f"Inside the window a value comes back to within half a step, width / 510: {soft / 510:.1f} HU for a width of "
        f"{soft}. Outside, nothing does."
    )


def border_hu(answer: float, measured: float) -> None:
    """The Hounsfield units of a voxel that is 60 % lung and 40 % bone by volume, predicted before the run.

    Raises:
        WrongAnswer: the run measured another value.
    """
    lung, bone, share = -850, 1_100, 0.6
    compare(
        "border_hu",
        answer,
        measured,
        reveal=False,
        atol=0.5,
        mistakes={
            "that is the mean of the two materials; weight them with their shares of the voxel.": (lung + bone) / 2,
            f"the shares are exchanged: {share:.0%} of the voxel is lung.": (1 - share) * lung + share * bone,
            "that is the sum of the two; the shares are missing.": lung + bone,
        },
        hint="Hounsfield units are linear in the attenuation coefficient, so how does the voxel's value mix?",
    )
    correct(f"The beam measures {measured:.0f} HU. That is the value of fat, and there is none in the voxel.")


def share_for(function: Callable, seed: int = 0) -> None:
    """``share_for(target, first, second)``: the share of the second material that gives a voxel the target value.

    Compared with the solution of the two linear equations for both shares.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    random = np.random.default_rng(seed)
    for _ in range(4):
        first, second = float(random.uniform(-1_000, -500)), float(random.uniform(30, 1_500))
        target = float(random.uniform(first + 100, second - 10))
        other, share = np.linalg.solve([[1, 1], [first, second]], [1, target])
        compare(
            f"share_for({target:.0f}, {first:.0f}, {second:.0f})",
            call(function, target, first, second),
            share,
            mistakes={
                "that is the share of the first material.": other,
                "the first material counts too: at a share of 0 the voxel has its value, not 0 HU.": target / second,
                "the sign is turned round.": -share,
                "the difference of the two materials is missing from the denominator.": target - first,
            },
        )
    fat = [100 * (value + 850) / 1_950 for value in (-150, -50)]
    correct(f"With {fat[0]:.0f} to {fat[1]:.0f} % bone, a voxel on the border of the lung passes for fat.")


def shape(function: Callable, seed: int = 0) -> None:
    """``shape(mask, spacing)``: area (mm²), length and width (mm), and angle of the ellipse with the mask's moments.

    Masks of phantoms, with square and oblong pixels; compared with moments in the complex plane.

    Raises:
        WrongAnswer: the answer is wrong; the message says which of the four and how.
    """
    factors = lesion.sample_factors(4, seed, correlated=False)
    # The angles are far from 0 and from a right angle, so that each mistake shows.
    factors["orientation"] = torch.tensor([0.5, -0.4, 1.1, -0.9])
    factors["eccentricity"] = factors["eccentricity"].clamp(0.6)
    factors["position_x"], factors["position_y"] = torch.full((4,), 0.08), torch.full((4,), -0.06)
    spacings = ((0.6, 0.8), (0.5, 0.5), (1.0, 1.0), (1.0, 0.8))  # with the first each mistake has its own result
    for mask, spacing in zip(lesion.render_masks(factors, (60, 80), seed).numpy().astype(bool), spacings, strict=True):
        name = f"shape(mask, spacing={spacing})"
        with without("shape(…) is to be computed from the moments, without regionprops.", regionprops):
            found = as_array(name, value_of(name, call(function, mask, spacing)))
        right = _moments(mask, spacing)
        if found.shape != (4,):
            raise WrongAnswer(f"{name} has the shape {found.shape}, expected (4,): area, length, width and angle.")
        area, long, short, angle = right
        n = int(mask.sum())
        corner, middle = _moments(mask, spacing, origin="corner"), _moments(mask, spacing, origin="middle")
        no_spacing, swapped = _moments(mask, (1.0, 1.0)), _moments(mask, spacing[::-1])
        compare(
            f"the area of {name}",
            found[0],
            area,
            mistakes=[
                ("that is the number of pixels; each covers the product of the two spacings.", n),
                ("that is a share of the image; the area is asked for in mm².", n / mask.size),
                *(
                    ("one of the spacings is squared; a pixel covers the product of the two.", n * s**2)
                    for s in spacing
                ),
            ],
        )
        larger = (n / (n - 1)) ** 0.5
        compare(
            f"length and width of {name}",
            found[1:3],
            (long, short),
            mistakes={
                "they are exchanged; the greater eigenvalue belongs to the length.": (short, long),
                "the moments are not central: subtract the centroid first.": corner[1:3],
                "the moments are taken about the image's centre: subtract the mask's own centroid.": middle[1:3],
                "these are half-axes a and b; the whole axes are 2a and 2b.": (long / 2, short / 2),
                "these are standard deviations; by a²/4 = λ the axis 2a is four of them.": (long / 4, short / 4),
                "the eigenvalues are variances, a²/4: take the square root.": (long**2 / 4, short**2 / 4),
                "they are in pixels; the spacings are not used.": no_spacing[1:3],
                "the spacings are exchanged: the first is the distance between rows.": swapped[1:3],
                "the covariance is divided by n − 1; here it is a mean over all pixels, so divide by n.": (
                    long * larger,
                    short * larger,
                ),
            },
            rtol=3e-5,
        )

        def twice(value: float) -> tuple[float, float]:  # an axis is the same after half a turn
            return float(np.cos(2 * value)), float(np.sin(2 * value))

        sentences = {
            "is mirrored: rows run downwards, and y is counted upwards.": -angle,
            "is that of the minor axis, a quarter turn away.": angle + np.pi / 2,
            "is twice as large as it should be: take half of atan2.": 2 * angle,
            "is in degrees; radians are asked for.": np.degrees(angle),
            "is taken from the vertical, and the x-axis counts as 0.": np.pi / 2 - angle,
            "is that in pixels; oblong pixels turn the axis.": no_spacing[3],
            "comes from moments about the corner: subtract the centroid first.": corner[3],
        }
        if not np.isfinite(found[3]):
            raise WrongAnswer(f"the angle of {name} is NaN or infinite.")
        if not np.allclose(twice(found[3]), twice(angle), atol=1e-4):
            for sentence, wrong in sentences.items():
                if np.allclose(twice(found[3]), twice(wrong), atol=1e-4):
                    raise WrongAnswer(f"the angle of {name} {sentence}")
            raise WrongAnswer(f"the angle of {name} is {found[3]:.4f}, expected {angle:.4f} radians.")
    correct("It agrees with moments in the complex plane on four masks, with square and with oblong pixels.")


def _moments(mask: np.ndarray, spacing: tuple[float, float], origin: str = "centroid") -> tuple[float, ...]:
    """Area, length, width and angle by complex numbers: E|z|² is the eigenvalues' sum, |E z²| their difference."""
    rows, columns = np.nonzero(mask)
    z = columns * spacing[1] - 1j * rows * spacing[0]
    about = {
        "centroid": z.mean(),
        "corner": 0,
        "middle": (mask.shape[1] - 1) / 2 * spacing[1] - 1j * (mask.shape[0] - 1) / 2 * spacing[0],
    }[origin]
    z = z - about
    total, square = (np.abs(z) ** 2).mean(), (z**2).mean()
    axes = [4 * np.sqrt(max(total + sign * np.abs(square), 0) / 2) for sign in (1, -1)]
    return float(mask.sum() * spacing[0] * spacing[1]), *map(float, axes), float(np.angle(square) / 2)


def split(function: Callable, seed: int = 0) -> None:
    """``split(lesions, classes, fraction, seed)``: one boolean an image, true for the test part.

    No lesion lies in both parts; in each class the test images number ``fraction`` of all to within its largest
    lesion; the same seed gives the same split, whatever other random numbers were drawn; another seed another one.

    Raises:
        WrongAnswer: one of these fails; the message says which, and by how much.
    """
    random = np.random.default_rng(seed)
    count = 400
    photographs = random.choice([1, 2, 3, 8], count, p=[0.5, 0.25, 0.2, 0.05])
    kind = random.choice(["bcc", "df", "mel", "nv"], count, p=[0.15, 0.05, 0.2, 0.6])
    rows = random.permutation(np.repeat(np.arange(count), photographs))
    lesions, classes = np.array([f"lesion_{i:04d}" for i in rows]), kind[rows]
    for fraction in (0.2, 0.35, 0.5):
        for draw in range(3):
            answer = call(function, lesions, classes, fraction, draw)
            test = _part(answer, len(lesions))
            np.random.random(), torch.rand(1)  # a split by the seed alone does not notice
            again = _part(call(function, lesions, classes, fraction, draw), len(lesions))
            if not np.array_equal(test, again):
                raise WrongAnswer(
                    "split(…) gives another split when it is called twice with the same seed: draw from "
                    "np.random.default_rng(seed)."
                )
            if not test.any() or test.all():
                raise WrongAnswer(f"split(…) puts {'all' if test.all() else 'none'} of the images into the test part.")
            both = np.intersect1d(lesions[test], lesions[~test])
            if len(both):
                raise WrongAnswer(
                    f"split(…) puts images of {len(both)} of the {count} lesions into both parts: draw lesions, and "
                    "take all images of each."
                )
            largest = int(photographs.max())
            if abs(test.sum() - fraction * len(test)) > 4 * largest:
                exchanged = abs((~test).sum() - fraction * len(test)) <= 4 * largest
                raise WrongAnswer(
                    f"split(…) puts {test.mean():.0%} of the images into the test part, asked were {fraction:.0%}"
                    + (": true stands for test, not for training." if exchanged else ".")
                )
            for name in np.unique(kind).tolist():
                inside = classes == name
                wanted, room = fraction * inside.sum(), int(photographs[kind == name].max())
                if abs(test[inside].sum() - wanted) > room + 1e-9:
                    raise WrongAnswer(
                        f"split(…) takes {test[inside].sum()} of the {inside.sum()} images of class {name!r} for the "
                        f"test, asked were {wanted:.0f} to within {room}: split each class by itself, counting images."
                    )
        if np.array_equal(test, _part(call(function, lesions, classes, fraction, draw + 1), len(lesions))):
            raise WrongAnswer("split(…) gives the same split for another seed: the seed is not used.")
        of_kind(function, answer, np.ndarray)
    correct(f"No lesion of {count} lies in both parts, and each class, however rare, has its share of the test images.")


def _part(found: Any, n: int) -> np.ndarray:
    """An answer as one boolean an image."""
    array = as_array("split(…)", found)
    if array.shape != (n,):
        raise WrongAnswer(
            f"split(…) has the shape {array.shape}, expected ({n},): one value an image, every image kept."
        )
    if not np.isin(array, (0, 1)).all():
        raise WrongAnswer("split(…) must hold true (test) or false (training) for each image.")
    return array.astype(bool)


def coin_scores(answer: str, scores: Mapping[str, float]) -> None:
    """What the nearest neighbour scores on coin tosses, predicted before the run, by both kinds of split.

    Raises:
        WrongAnswer: another statement was chosen.
    """
    image, by_lesion = (scores[name] for name in ("image-wise", "lesion-wise"))
    choose(
        "coin_scores",
        answer,
        "b",
        {
            "a": f"the run found {image:.2f} image-wise. What does the nearest neighbour of a sibling answer?",
            "c": f"the run found {by_lesion:.2f} lesion-wise: nobody knows how the coin of a new lesion fell.",
            "d": f"the run found {by_lesion:.2f} lesion-wise and {image:.2f} image-wise. Where do siblings help?",
        },
    )
    correct(f"{image:.2f} image-wise against {by_lesion:.2f} lesion-wise, where there is nothing to be learnt.")


def leaking_share(function: Callable, seed: int = 0) -> None:
    """``leaking_share(lesions, test)``: the share of test images with a sibling in the training part.

    Counted image by image.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    random = np.random.default_rng(seed)
    for fraction in (0.2, 0.6):
        lesions = random.integers(0, 40, 90)
        test = random.random(90) < fraction
        training = {int(name) for name in lesions[~test]}
        leaks = [int(name) in training for name in lesions[test]]
        in_test = np.isin(lesions[~test], lesions[test])
        names = np.unique(lesions)
        siblings = np.array([np.sum(lesions == name) > 1 for name in lesions])
        compare(
            function,
            call(function, lesions, test),
            np.mean(leaks),
            mistakes={
                "that is the share of the *training* images with a sibling in the test part.": in_test.mean(),
                "that is a share of all images; divide by the number of test images.": np.sum(leaks) / len(test),
                "that is the number of images; divide by the number of test images.": np.sum(leaks),
                "lesions are counted; count test images.": len(np.intersect1d(lesions[test], lesions[~test]))
                / len(np.unique(lesions[test])),
                "that is the share of all lesions that lie in both parts.": len(
                    np.intersect1d(lesions[test], lesions[~test])
                )
                / len(names),
                "siblings inside the test part do no harm; only those in the training part do.": siblings[test].mean(),
                "that is the share of test images *without* a sibling in training.": 1 - np.mean(leaks),
            },
        )
    correct("It agrees with a count image by image.")


def expected_score(function: Callable, seed: int = 0) -> None:
    """``expected_score(leaking, found, classes)``: of a nearest neighbour on labels that mean nothing.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    random = np.random.default_rng(seed)
    for classes in (2, 7):
        leaking, found = (float(v) for v in random.uniform(0.2, 0.9, 2))
        remembered = leaking * found
        compare(
            f"expected_score({leaking:.2f}, {found:.2f}, {classes})",
            call(function, leaking, found, classes),
            1 / classes + remembered * (1 - 1 / classes),
            mistakes={
                "who is not remembered is guessed, and a guess is right once in `classes` times.": remembered,
                "all images are guessed besides being remembered; guess only the others.": remembered + 1 / classes,
                "that is chance alone; the remembered images are missing.": 1 / classes,
                "a leaking image is remembered only if its sibling is found as the nearest.": leaking
                + (1 - leaking) / classes,
                "a leaking image whose sibling is not found is guessed, too.": remembered + (1 - leaking) / classes,
                "a guess is right once in `classes` times, not always in one of two.": remembered
                + (1 - remembered) / 2,
            },
        )
    correct("A score above chance needs no knowledge of the disease: leaking times found is enough.")


def within_class(function: Callable, seed: int = 0) -> None:
    """``within_class(values, classes)``: the deviation of each value from the mean of its class.

    Compared with the group means of pandas.

    Raises:
        WrongAnswer: the answer is wrong; the message says how.
    """
    random = np.random.default_rng(seed)
    classes = random.permutation(np.repeat([0, 2, 5], [20, 7, 3]))
    values = classes + random.normal(size=30)
    groups = pd.Series(values).groupby(classes)
    mean = groups.transform("mean").to_numpy()
    compare(
        function,
        call(function, values, classes),
        values - mean,
        meaning="one value an image",
        mistakes={
            "the mean of all images is subtracted; each class has its own.": values - values.mean(),
            "these are the means of the classes; subtract them from the values.": mean,
            "the difference is turned round: value minus mean.": mean - values,
            "the median is subtracted, and the mean is asked for.": values - groups.transform("median").to_numpy(),
            "nothing is subtracted.": values,
        },
        kind=np.ndarray,
    )
    correct("Each class now has the mean 0, so that a class cannot be told from its mean.")


def most_positive(answer: tuple[str, str], factors: Mapping[str, torch.Tensor]) -> None:
    """The two classes that, alone, make the correlation of lesion_colour and lesion_hue greatest.

    Raises:
        WrongAnswer: it is no pair of classes, or another pair gives a greater correlation.
    """
    shown = ", ".join(lesion.DX)
    try:
        pair = {name for name in value_of("most_positive", answer) if isinstance(name, str)}
        size = len(answer)
    except TypeError:
        pair, size = set(), 0
    if isinstance(answer, str) or size != 2 or len(pair) != 2 or not pair <= set(lesion.DX):
        raise WrongAnswer(f'most_positive must be a pair of two classes, such as ("bcc", "nv"), out of {shown}.')
    colour, hue, dx = (factors[name].numpy() for name in ("lesion_colour", "lesion_hue", "dx"))
    found = {}
    for i, j in combinations(range(len(lesion.DX)), 2):
        kept = (dx == i) | (dx == j)
        found[frozenset((lesion.DX[i], lesion.DX[j]))] = float(np.corrcoef(colour[kept], hue[kept])[0, 1])
    best, worst = max(found, key=found.get), min(found, key=found.get)
    mine = found[frozenset(pair)]
    if pair == worst:
        raise WrongAnswer(f"most_positive: {mine:+.2f} is the most *negative* correlation of all pairs.")
    if pair != best:
        raise WrongAnswer(f"most_positive: these two classes give {mine:+.2f}, and another pair gives more.")
    correct(
        f"{mine:+.2f} with these two classes, and {found[worst]:+.2f} with {' and '.join(sorted(worst))}: the same "
        "factors, drawn by the same rule."
    )
