"""Trains and records a domain classifier, for all who are to judge by the same one.

.. code-block:: bash

    python -m medlatent.evaluation.record_classifier lidc.32 --factor malignancy \\
        --out results/classifiers/lidc_malignancy.safetensors

Every file in ``results/classifiers`` is read, see :func:`medlatent.evaluation.domain_classifier`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..data import DataError, ImageSet
from ..files import save_tensors
from ..metrics.generation import conditional_accuracy
from ..nets import DomainClassifier
from .classifiers import FORMAT, VERSION, images_of, spec_of, train_for


def accuracy(classifier: DomainClassifier, images: ImageSet) -> dict[str, float]:
    """How far a classifier can be trusted, on images of patients that it was not trained on.

    Args:
        classifier: trained on the training split of these images.
        images: with splits.

    Returns:
        ``images``, their number; ``accuracy``, the share that is classified as the table says; ``balanced``, the mean
        over classes of the accuracy within each. Counted are all images outside of the training split.
    """
    unseen = images.subset(np.flatnonzero(images.table["split"].to_numpy() != "train"))
    found = conditional_accuracy(classifier.probabilities(unseen), classifier.labels(unseen))
    return {"images": len(unseen), "accuracy": found.score, "balanced": found.balanced}


def record_classifier(source: str, factor: str | None, path: str | os.PathLike) -> dict[str, float]:
    """Trains a domain classifier and writes it, its weights in 32 bits, with what it was trained on.

    Args:
        source, factor: as :func:`~medlatent.evaluation.domain_classifier` takes them.
        path: of the file.

    Returns:
        Its :func:`accuracy` as the file holds it.

    Raises:
        DataError: as :func:`~medlatent.evaluation.domain_classifier`.
        OSError: the path cannot be written.
    """
    spec = spec_of(source, factor)
    images = images_of(spec.source)
    classifier = train_for(spec)
    rounded = {
        name: value.float() if value.is_floating_point() else value for name, value in classifier.state_dict().items()
    }
    classifier.load_state_dict(rounded)  # measured is what others will read
    unseen = accuracy(classifier, images)
    card = images.card
    save_tensors(
        path,
        rounded,
        FORMAT,
        VERSION,
        factor=classifier.factor,
        classes=list(classifier.classes),
        edges=list(classifier.edges),
        channels=classifier.channels,
        training={"source": spec.source, "factor": spec.factor, "steps": spec.steps},
        unseen=unseen,
        data={"name": card.name, "licence": card.licence, "citation": card.citation},
    )
    return unseen


def main(arguments: Sequence[str] | None = None) -> None:
    """Does so, and prints how far it can be trusted."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("source", help="of the images, one that has a classifier")
    parser.add_argument("--factor", help="what is recognised (default: what the first of them recognises)")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, NAME.safetensors")
    options = parser.parse_args(arguments)
    if options.out.suffix != ".safetensors":
        parser.error(f"--out: a classifier is found by its name, NAME.safetensors, not {options.out.name}")
    try:
        unseen = record_classifier(options.source, options.factor, options.out)
    except (DataError, OSError) as error:
        parser.error(str(error))
    print(f"{unseen['images']} unseen images: accuracy {unseen['accuracy']:.3f}, balanced {unseen['balanced']:.3f}")


if __name__ == "__main__":
    main()
