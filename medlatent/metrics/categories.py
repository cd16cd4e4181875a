"""What a generator's categories and continuous codes stand for, from plain arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import normalized_mutual_info_score

from ..options import whole_options
from ._checks import finite, indices, numbers


@dataclass(frozen=True)
class CategoryScore:
    """How well the categories that images were generated from agree with the classes that are seen in them.

    Attributes:
        purity: the share of images that show the most frequent class of their category, in (0, 1].
        nmi: the mutual information of category and class over the arithmetic mean of both entropies, in [0, 1].
        counts: ``(K, C)``: of the images of each category (row), how many show each class (column).
        classes_found: how many classes are the most frequent one of some category.
    """

    purity: float
    nmi: float
    counts: np.ndarray
    classes_found: int

    @property
    def shares(self) -> np.ndarray:
        """``(K, C)``: the share of each class among the images of a category; rows sum to 1, or to 0 without images."""
        return self.counts / np.maximum(self.counts.sum(1, keepdims=True), 1)

    def mixed(self, threshold: float = 0.1) -> dict[int, dict[int, float]]:
        """The categories that mix classes: of each, the classes with a share of at least ``threshold``, largest first.

        A category with one such class is left out: the result is empty where every category is its own class.

        Raises:
            ValueError: ``threshold`` is not in (0, 1].
        """
        if not 0 < threshold <= 1:
            raise ValueError(f"threshold must be in (0, 1], got {threshold}")
        found = {}
        for category, shares in enumerate(self.shares):
            order = [int(c) for c in np.argsort(-shares, kind="stable") if shares[c] >= threshold]
            if len(order) > 1:
                found[category] = {c: float(shares[c]) for c in order}
        return found


@whole_options(n_categories=1, n_classes=1)
def category_agreement(
    categories, classes, n_categories: int | None = None, n_classes: int | None = None
) -> CategoryScore:
    """Compares the category of each generated image with the class that a classifier, or a person, sees in it.

    Purity alone rewards many small categories; and both purity and NMI can be high where two categories share a class
    and some class is in none, which ``classes_found`` tells. A classifier that errs lowers all of them: its accuracy on
    real images belongs beside the score.

    Args:
        categories: the index of each image's category, ``(N,)``, integers from 0; NumPy or torch.
        classes: the index of the class seen, ``(N,)``, likewise.
        n_categories: K, by default one more than the largest index, which is below 10 000 then.
        n_classes: C, likewise.

    Raises:
        ValueError: the shapes differ, there is no image, or a value is no such index.
    """
    categories = indices("categories", categories, size=n_categories)
    classes = indices("classes", classes, size=n_classes)
    if categories.shape != classes.shape:
        raise ValueError(f"classes: expected one an image, {categories.shape}, got {classes.shape}")
    counts = np.zeros((n_categories or categories.max() + 1, n_classes or classes.max() + 1), int)
    np.add.at(counts, (categories, classes), 1)
    occupied = counts[counts.sum(1) > 0]
    return CategoryScore(
        purity=float(counts.max(1).sum() / len(categories)),
        nmi=float(normalized_mutual_info_score(categories, classes)),
        counts=counts,
        classes_found=len(np.unique(occupied.argmax(1))),
    )


def correlation_within(code, measured, categories=None) -> float:
    """The Pearson correlation of a code and what is measured on the images, within categories.

    From both the mean of their category is taken first: digits differ in slant and thickness, and what a category does
    to them is not what the code does.

    Args:
        code: ``(N,)``, NumPy or torch.
        measured: ``(N,)``; images where it is NaN do not count.
        categories: the category of each image, ``(N,)``, integers; None for a single one.

    Returns:
        Between -1 and 1; 0 where one of the two does not vary within any category, or nothing could be measured.

    Raises:
        ValueError: the shapes differ, a value is infinite, or one of ``code`` is NaN.
    """
    code, measured = finite("code", code, "(N)"), numbers("measured", measured)
    groups = np.zeros(code.shape, np.intp) if categories is None else indices("categories", categories)
    if not code.shape == measured.shape == groups.shape:
        raise ValueError(
            f"expected one value an image of code, measured and categories, got {code.shape}, {measured.shape}, "
            f"{groups.shape}"
        )
    there = ~np.isnan(measured)
    code, measured, groups = code[there], measured[there], groups[there]
    if not len(code):
        return 0.0
    measured = finite("measured", measured, "(N)")
    sizes = np.maximum(np.bincount(groups), 1)
    a, b = (v - (np.bincount(groups, v) / sizes)[groups] for v in (code, measured))
    # What rounding leaves of a constant is no variation.
    if any(np.abs(r).max() <= 1e-12 * max(1.0, np.abs(v).max()) for r, v in ((a, code), (b, measured))):
        return 0.0
    return float(np.clip((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()), -1, 1))
