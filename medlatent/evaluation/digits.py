"""Suite ``digits``: what the parts of a code do to the digits that a generator draws."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..data import ImageSet
from ..metrics import categories, strokes
from ..models import Categorical, LatentModel, Uniform
from .classifiers import classifier_of
from .generated import draw

# Of 2 000 generated images: a digit that is taken for another, a pixel that crosses half of the intensity.
TOLERANCES = {"category_purity": 5e-3, "category_nmi": 5e-3, "slant": 2e-3, "thickness": 2e-3}


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
        sees. Where it has uniform codes, the correlations ``slant.NAME`` and ``thickness.NAME`` of each with the slant
        and the thickness of the strokes, within categories where there are any.
    """
    values: dict[str, float] = {}
    category = observed.get("category")
    if category is not None:
        agreement = categories.category_agreement(category, observed["seen"])
        values |= {"category_purity": agreement.purity, "category_nmi": agreement.nmi}
    for name in (key.removeprefix("code.") for key in observed if key.startswith("code.")):
        for measure in ("slant", "thickness"):
            code = observed[f"code.{name}"]
            values[f"{measure}.{name}"] = categories.correlation_within(code, observed[measure], category)
    return values
