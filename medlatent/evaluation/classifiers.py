"""The domain classifiers that look at generated images, for those data that have one.

:mod:`medlatent.metrics` knows no data, and a model shall not be measured by itself: here the two meet.

Numbers that rest on a classifier can be compared, and computed again, only with the same one. Training it anew, in the
same way, is not enough: rounding errors grow in training, in float64 as well, until two kinds of processor end with two
classifiers, whose Fréchet distances differ by several per cent. So those that recorded runs and pages are judged by are
recorded themselves, see :mod:`medlatent.evaluation.record_classifier`, and read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path

import torch

from ..data import ClassifierSpec, DataError, ImageSet, all_sources, at_hand, find_source, open_images
from ..files import project_files, read_tensors
from ..nets import DomainClassifier, train_domain_classifier

FORMAT, VERSION = "medlatent.classifier", 1
FILES = "results/classifiers/*.safetensors"
NO_CLASSIFIER = "no domain classifier of such images is recorded, or its images are not packed here"
HEADER = {
    "factor": str,
    "classes": list,
    "edges": list,
    "channels": int,
    "training": dict,
    "unseen": dict,
    "data": dict,
}


def domain_classifier(source: str, factor: str | None = None) -> DomainClassifier:
    """A classifier of the images of a source, such as ``"mnist.digits"``.

    The recorded one. Where there is none, one is trained, which is the same on one kind of processor alone. Later calls
    get the same object. How far they can be trusted:

    ========================================  ==============  ========  =======  =========  ==========
    source                                    factor          training  unseen   accuracy   balanced
    ========================================  ==============  ========  =======  =========  ==========
    ``mnist.digits``                          ``digit``          4 016      984      97 %       97 %
    ``lidc``                                  ``malignancy``       688      141      83 %       83 %
    ``lidc``                                  ``size_bin``         688      141      65 %       64 %
    ``lidc.32``                               ``malignancy``       688      141      84 %       84 %
    ``lidc.32``                               ``size_bin``         688      141      70 %       69 %
    ``ham10000.patches.balanced.32``          ``dx``            10 440    1 919      68 %       67 %
    ``phantoms.nodule``                       ``malignancy``     1 566      434      68 %       69 %
    ``phantoms.nodule``                       ``size_bin``       1 566      434      78 %       77 %
    ``phantoms.nodule.32``                    ``malignancy``     1 566      434      72 %       71 %
    ``phantoms.nodule.32``                    ``size_bin``       1 566      434      79 %       78 %
    ``phantoms.nodule.independent.32``        ``size_bin``       1 599      401      51 %       49 %
    ``phantoms.lesion.patches.balanced.32``   ``dx``             5 334      891      79 %       75 %
    ========================================  ==============  ========  =======  =========  ==========

    Unseen are images of the test and the validation split, of other patients or lesions; balanced is the mean over
    classes of the accuracy within each.

    Args:
        source: its name.
        factor: what is recognised; by default what the first of the source's classifiers recognises.

    Raises:
        DataError: the source is unknown or has no such classifier, or none is recorded and what it would be trained on
            is not at hand.
    """
    return _classifier(spec_of(source, factor))


def spec_of(source: str, factor: str | None) -> ClassifierSpec:
    described = find_source(source)
    if described is None or not described.classifiers:
        having = ", ".join(s.name for s in all_sources() if s.classifiers)
        raise DataError(f"{source}: no domain classifier; there is one for {having}")
    for spec in described.classifiers:
        if factor in (None, spec.factor):
            return spec
    having = ", ".join(spec.factor for spec in described.classifiers)
    raise DataError(f"{source}: no domain classifier of {factor!r}; there is one of {having}")


def classifier_of(images: ImageSet) -> DomainClassifier | None:
    """The first of :func:`classifiers_of`, or None where there is none."""
    return next(_fitting(images), None)


def classifiers_of(images: ImageSet) -> tuple[DomainClassifier, ...]:
    """The domain classifiers of images like these, each of another factor.

    Images are alike where they have the factor that is recognised, the shape that the classifier was trained on, and,
    where it takes those of one source only, the name of that source's images on their card: a rendered nodule is judged
    by a classifier of rendered ones. One that is not recorded, and whose data are not at hand here, is left out.
    """
    return tuple(_fitting(images))


def _fitting(images: ImageSet) -> Iterator[DomainClassifier]:
    for spec in dict.fromkeys(spec for source in all_sources() for spec in source.classifiers):
        alike = images.images.shape[1:] == spec.shape and spec.card in ("", images.card.name)
        if alike and spec.factor in images.factors and (spec in recorded_classifiers() or at_hand(spec.source)):
            yield _classifier(spec)


@cache
def _classifier(spec: ClassifierSpec) -> DomainClassifier:
    path = recorded_classifiers().get(spec)
    return load_classifier(path) if path else train_for(spec)


def recorded_classifiers() -> dict[ClassifierSpec, Path]:
    """The files of recorded classifiers, by what they were trained for; of those that no source has any more, none.

    Raises:
        ValueError: a file is damaged, or two hold the same classifier.
    """
    trained: dict[tuple[str, str, int], Path] = {}
    for path in project_files(FILES):
        training = _training_of(str(path), path.stat().st_mtime_ns)
        if training in trained:
            raise ValueError(f"{trained[training]} and {path} hold the same classifier: remove one")
        trained[training] = path
    specs = dict.fromkeys(spec for source in all_sources() for spec in source.classifiers)
    return {spec: trained[key] for spec in specs if (key := (spec.source, spec.factor, spec.steps)) in trained}


@lru_cache(maxsize=64)
def _training_of(path: str, stamp: int) -> tuple[str, str, int]:
    training = read_tensors(path, FORMAT, VERSION, HEADER)[1]["training"]
    for name, kind in (("source", str), ("factor", str), ("steps", int)):
        if not isinstance(training.get(name), kind):
            raise ValueError(f"{path}: its header does not say training.{name} as this medlatent writes it")
    return training["source"], training["factor"], training["steps"]


def train_for(spec: ClassifierSpec) -> DomainClassifier:
    return train_domain_classifier(images_of(spec.source).split("train"), spec.factor, spec.steps, dtype=torch.float64)


@lru_cache(maxsize=1)
def images_of(source: str) -> ImageSet:
    """The images of a source, which its classifiers share."""
    return open_images(source)


def load_classifier(path: str | os.PathLike) -> DomainClassifier:
    """Reads a recorded classifier; it computes in float64. PyTorch's global generator is left as it was.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged, or no classifier; the message names the file.
    """
    tensors, header = read_tensors(path, FORMAT, VERSION, HEADER)
    try:
        with torch.random.fork_rng(devices=[]):  # a network draws the weights that are about to be replaced
            classifier = DomainClassifier(header["factor"], header["classes"], header["edges"], header["channels"])
        classifier.double().load_state_dict(tensors)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise ValueError(f"{path}: it does not hold a classifier as this medlatent writes it: {problem}") from None
    return classifier.eval()
