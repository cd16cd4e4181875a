"""Suite ``digits``: what the parts of a code do to the digits that a generator draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from ..data import ImageSet
from ..metrics import categories, strokes
from ..models import Categorical, LatentModel, Uniform
from .classifiers import NO_CLASSIFIER, classifier_of
from .encoded import SHUFFLES
from .generated import GENERATED, draw

# Of 2 000 generated images: a digit that is taken for another, a pixel that crosses half of the intensity.
TOLERANCES = {
    "category_purity": 5e-3,
    "category_nmi": 5e-3,
    **dict.fromkeys(("slant", "slant_gap", "slant_spread", "thickness", "thickness_gap", "thickness_spread"), 2e-3),
}
MEASURES = {"slant": strokes.slant, "thickness": strokes.thickness}


def observe(model: LatentModel, images: ImageSet) -> dict[str, np.ndarray]:
    """Looks at the same 2 000 images as the suite ``generated``; nothing where the set has no domain classifier.

    Returns:
        Of each image ``seen``, the class that the classifier sees; ``slant``, in degrees, and ``thickness``, in pixels,
        of its strokes, NaN where nothing is drawn; ``category``, the index of its category, where the code has one; and
        ``code.NAME`` for each of its uniform codes.
    """
    if (classifier := classifier_of(images)) is None:
        return {}
    codes, drawn = draw(model)
    found = {
        "seen": classifier.probabilities(drawn).argmax(1),
        "slant": strokes.slant(drawn),
        "thickness": strokes.thickness(drawn),
    }
    for part in model.code_layout:
        if isinstance(part.prior, Categorical):
            found["category"] = codes[:, part.slice].argmax(1).numpy()
        elif isinstance(part.prior, Uniform):
            found[f"code.{part.name}"] = codes[:, part.start].numpy()
    return found


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """How the code agrees with what is seen in the images.

    Returns:
        Where the code has a category, ``category_purity`` and ``category_nmi``, after the classes that the classifier
        sees. ``slant_spread`` and ``thickness_spread``: how far slant and thickness of the strokes vary within
        categories, over how far they vary within the classes of real digits: agreement is easy where each category is
        one picture, and there they are 0.

        Where it has uniform codes, the correlations ``slant.NAME`` and ``thickness.NAME`` of each with the slant and
        the thickness, within categories where there are any. Of several codes, ``slant_gap`` and ``thickness_gap``, by
        how much the largest of these exceeds the next, in absolute value: a code of its own for each, not the best of
        many; and both with ``.shuffled``, the mean over ten permutations of the codes: chance. Nothing where the set
        has no domain classifier.
    """
    if "seen" not in observed:
        return {}
    values: dict[str, float] = {}
    category = observed.get("category")
    if category is not None:
        agreement = categories.category_agreement(category, observed["seen"])
        values |= {"category_purity": agreement.purity, "category_nmi": agreement.nmi}
    codes = {key.removeprefix("code."): code for key, code in observed.items() if key.startswith("code.")}

    def correlation(measure: str, code: np.ndarray) -> float:
        return categories.correlation_within(code, observed[measure], category)

    def gap(measure: str, order: np.ndarray) -> float:
        second, first = sorted(abs(correlation(measure, code[order])) for code in codes.values())[-2:]
        return first - second

    for name, code in codes.items():
        values |= {f"{measure}.{name}": correlation(measure, code) for measure in MEASURES}
    random, n = np.random.default_rng(0), len(observed["seen"])
    orders = [random.permutation(n) for _ in range(SHUFFLES)]
    for measure, function in MEASURES.items():
        if category is not None and (real := _spread(function(_real(images)), _classes(images))) > 0:
            values[f"{measure}_spread"] = _spread(observed[measure], category) / real
        if len(codes) > 1:
            values[f"{measure}_gap"] = gap(measure, np.arange(n))
            values[f"{measure}_gap.shuffled"] = float(np.mean([gap(measure, order) for order in orders]))
    return values


def left_out(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, str]:
    """Which of the numbers these images do not give, and why."""
    return {} if "seen" in observed else dict.fromkeys(TOLERANCES, NO_CLASSIFIER)


def _real(images: ImageSet) -> Tensor:
    return images.batch(slice(0, GENERATED))


def _classes(images: ImageSet) -> np.ndarray:
    """The class of each of these images, NaN where it is missing; all in one where the set has none."""
    names = [name for name, factor in images.factors.items() if factor.kind == "categorical"][:1]
    return images.factor_matrix(names)[:GENERATED, 0] if names else np.zeros(len(_real(images)))


def _spread(measured: np.ndarray, groups: np.ndarray) -> float:
    """The standard deviation within groups; images in which nothing could be measured, or of none, do not count."""
    there = np.isfinite(measured) & np.isfinite(groups)
    if not there.any():
        return 0.0
    measured, groups = measured[there].astype(np.float64), groups[there].astype(int)
    means = np.bincount(groups, measured) / np.maximum(np.bincount(groups), 1)
    return float((measured - means[groups]).std())
