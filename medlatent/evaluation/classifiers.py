"""The domain classifiers that look at generated images, for those data that have one.

:mod:`medlatent.metrics` knows no data, and a model shall not be measured by itself: here the two meet. A classifier is
trained in seconds on images that anyone has, always in the same way, so that numbers which rest on it can be compared
and computed again. It is trained in float64: between two processors, rounding would otherwise grow in training until
their classifiers disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, lru_cache

import torch

from ..data import ClassifierSpec, DataError, ImageSet, all_sources, at_hand, find_source, open_images
from ..nets import DomainClassifier, train_domain_classifier


def domain_classifier(source: str, factor: str | None = None) -> DomainClassifier:
    """A classifier of the images of a source, such as ``"mnist.digits"``.

    Each is trained once in a process, whose later calls get the same object. How far they can be trusted:

    ========================================  ==============  ========  =======  =========  ==========
    source                                    factor          training  unseen   accuracy   balanced
    ========================================  ==============  ========  =======  =========  ==========
    ``mnist.digits``                          ``digit``          4 016      488      96 %       96 %
    ``lidc.32``                               ``malignancy``       688      141      84 %       84 %
    ``lidc.32``                               ``size_bin``         688      141      70 %       69 %
    ``ham10000.patches.balanced.32``          ``dx``            10 440    1 919      68 %       67 %
    ``phantoms.nodule.32``                    ``malignancy``     1 566      434      72 %       71 %
    ``phantoms.nodule.32``                    ``size_bin``       1 566      434      79 %       78 %
    ``phantoms.nodule.independent.32``        ``size_bin``       1 599      401      51 %       49 %
    ``phantoms.lesion.patches.balanced.32``   ``dx``             5 334      891      79 %       75 %
    ========================================  ==============  ========  =======  =========  ==========

    Unseen are images of the test and the validation split, of other patients or lesions (of the digits, the test
    split); balanced is the mean over classes of the accuracy within each.

    Args:
        source: its name.
        factor: what is recognised; by default what the first of the source's classifiers recognises.

    Raises:
        DataError: the source is unknown or has no such classifier, or what it is trained on is not at hand.
    """
    described = find_source(source)
    if described is None or not described.classifiers:
        having = ", ".join(s.name for s in all_sources() if s.classifiers)
        raise DataError(f"{source}: no domain classifier; there is one for {having}")
    for spec in described.classifiers:
        if factor in (None, spec.factor):
            return _trained(spec)
    having = ", ".join(spec.factor for spec in described.classifiers)
    raise DataError(f"{source}: no domain classifier of {factor!r}; there is one of {having}")


def classifier_of(images: ImageSet) -> DomainClassifier | None:
    """The first of :func:`classifiers_of`, or None where there is none."""
    return next(_fitting(images), None)


def classifiers_of(images: ImageSet) -> tuple[DomainClassifier, ...]:
    """The domain classifiers of images like these, each of another factor.

    Images are alike where they have the factor that is recognised, the shape that the classifier was trained on, and,
    where it takes those of one source only, the name of that source's images on their card: a rendered nodule is judged
    by a classifier of rendered ones. A classifier of what is not at hand here is left out.
    """
    return tuple(_fitting(images))


def _fitting(images: ImageSet) -> Iterator[DomainClassifier]:
    for spec in dict.fromkeys(spec for source in all_sources() for spec in source.classifiers):
        alike = images.images.shape[1:] == spec.shape and spec.card in ("", images.card.name)
        if alike and spec.factor in images.factors and at_hand(spec.source):
            yield _trained(spec)


@cache
def _trained(spec: ClassifierSpec) -> DomainClassifier:
    return train_domain_classifier(_training(spec.source), spec.factor, spec.steps, dtype=torch.float64)


@lru_cache(maxsize=1)
def _training(source: str) -> ImageSet:
    """The training split of a source, which its classifiers share."""
    return open_images(source).split("train")
