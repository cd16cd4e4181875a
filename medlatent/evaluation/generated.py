"""Suite ``generated``: how the images that a model draws from its prior compare with real ones."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import entropy, mannwhitneyu
from torch import Tensor

from ..data import ImageSet
from ..metrics import generation
from ..models import LatentModel, batches_of, draw_images
from ..nets import ShiftTolerantAlexNet
from .classifiers import NO_CLASSIFIER, classifier_of

TOLERANCES: dict[str, float] = {}
GENERATED = 2000  # images that a generator is measured by
LEAST_SIDE, MOST_SIDE = 32, 64  # of images that an AlexNet looks at
NEAREST = ("nearest_drawn", "nearest_new", "nearest_left_out", "nearest_beside")
NEARNESS = ("nearer_than_new", "nearer_than_left_out", *NEAREST)


def draw(model: LatentModel) -> tuple[Tensor, Tensor]:
    """2 000 codes from the prior, always from the same random numbers, ``(2000, D)``; and their images, on the CPU."""
    return draw_images(model, GENERATED)


def observe(model: LatentModel, images: ImageSet) -> dict[str, np.ndarray]:
    """Draws 2 000 images from the prior.

    Returns:
        ``pixels``, ``(2000, C · 64)``: averaged to 8×8. Where the set has a domain classifier also its ``features``,
        ``(2000, F)``, and ``probabilities``, ``(2000, K)``. Of CT, ``alexnet``, ``(2000, 256)``, see ``numbers``.
    """
    _, drawn = draw(model)
    found = {"pixels": _averaged(drawn).numpy()}
    if _is_ct(images):
        found["alexnet"] = _alexnet_features(drawn)
    if classifier := classifier_of(images):
        found |= {"features": classifier.features(drawn), "probabilities": classifier.probabilities(drawn)}
    return found


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """Distances to the images of the set.

    Returns:
        ``frechet_pixels``: the squared Fréchet distance to the images of the set, of their pixels averaged to 8×8.
        Where the set has a domain classifier: ``frechet``, the same distance of its features; ``inception_score``, one
        split; ``classes``, the exponential of the entropy, in nats, of the mean probabilities: the number of classes
        that are drawn, as if equally often; a mode that collapsed is missing from it. Of CT in Hounsfield units, 32
        pixels a side or more, ``frechet_alexnet``: the distance of the 256 features of the AlexNet of shift-tolerant
        LPIPS (Ghildyal and Liu 2022), trained on ImageNet and on judgements of people: its last maps, averaged over
        positions, of images of 64 pixels a side at most, to which larger ones are averaged. Grey is the window of the
        set. It is no FID, whose network is Inception's.

        Where the set has groups of several images, such as patients, how near drawn images lie to those of its training
        split, in these pixels, see :func:`medlatent.metrics.generation.nearness`: ``nearer_than_new``, the share of
        pairs in which a drawn image lies nearer to it than one of the set; ``nearer_than_left_out``, than a training
        image lies to those of other patients; and medians of the distance, as the root of the mean squared difference,
        intensities in [0, 1]: ``nearest_drawn``; ``nearest_new``, of the images of the set; ``nearest_left_out``, of
        training images to other patients; ``nearest_beside``, of training images to others of the same patient, near
        which a copy lies that is not of one slice alone.
    """
    real = torch.cat([_averaged(part) for part in batches_of(images)])
    values = _nearness(real, observed["pixels"], images)
    values["frechet_pixels"] = generation.frechet_distance(real, observed["pixels"]).score
    if "alexnet" in observed:
        real_features = np.concatenate([_alexnet_features(part) for part in batches_of(images)])
        values["frechet_alexnet"] = generation.frechet_distance(real_features, observed["alexnet"]).score
    if "features" not in observed or (classifier := classifier_of(images)) is None:
        return values
    probabilities = observed["probabilities"].astype(np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)  # in 16 bits they miss 1
    inception = generation.inception_score(probabilities)
    values["frechet"] = generation.frechet_distance(classifier.features(images), observed["features"]).score
    values["inception_score"] = inception.score
    values["classes"] = float(np.exp(entropy(inception.marginal)))
    return values


def _nearness(real: Tensor, drawn: np.ndarray, images: ImageSet) -> dict[str, float]:
    """How near drawn images lie to the training images, beside new images and left-out patients."""
    if _no_neighbours(images):
        return {}
    training = images.whole.split("train")
    of = training.table[images.group].to_numpy()
    pixels = torch.cat([_averaged(part) for part in batches_of(training)])
    new = generation.nearness(drawn, real, pixels)
    apart = torch.cdist(pixels.double(), pixels.double()).fill_diagonal_(torch.inf)
    same = torch.from_numpy(of[:, None] == of)
    left_out, beside = (apart.masked_fill(mask, torch.inf).amin(1).numpy() for mask in (same, ~same))
    medians = {"drawn": new.drawn, "new": new.held_out, "left_out": left_out, "beside": beside[np.isfinite(beside)]}
    rms = {f"nearest_{name}": float(np.median(found)) / pixels.shape[1] ** 0.5 for name, found in medians.items()}
    nearer = mannwhitneyu(left_out, new.drawn).statistic / (len(left_out) * len(new.drawn))
    return rms | {"nearer_than_new": new.nearer, "nearer_than_left_out": float(nearer)}


def _no_neighbours(images: ImageSet) -> str:
    """Why it is not said how near drawn images lie to training images; empty where it is."""
    if images.whole is images or "train" not in set(images.whole.table.get("split", ())):
        return "the set has no training split beside it"
    if images.group is None:
        return "the set does not say which images are of one patient"
    of = images.whole.split("train").table[images.group].to_numpy()
    if (patients := len(np.unique(of))) in (1, len(of)):
        return "all training images are of one patient" if patients == 1 else "no patient has two training images"
    return ""


def left_out(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, str]:
    """Which of the numbers these images do not give, and why."""
    found = {}
    if reason := _no_neighbours(images):
        found = dict.fromkeys(NEARNESS, reason)
    if not _is_ct(images):
        found["frechet_alexnet"] = f"the images are no CT in Hounsfield units of {LEAST_SIDE} pixels a side or more"
    if "features" not in observed or classifier_of(images) is None:
        found |= dict.fromkeys(("frechet", "inception_score", "classes"), NO_CLASSIFIER)
    return found


def _is_ct(images: ImageSet) -> bool:
    return images.images.dtype == np.int16 and min(images.images.shape[2:]) >= LEAST_SIDE


@torch.no_grad()
def _alexnet_features(images: Tensor) -> np.ndarray:
    """The last maps of the AlexNet, averaged over positions, ``(N, 256)``."""
    network = _alexnet()
    if max(images.shape[2:]) > MOST_SIDE:
        images = F.adaptive_avg_pool2d(images, MOST_SIDE)  # four times the pixels take six times as long
    return torch.cat([network(part)[-1].mean((2, 3)) for part in images.split(64)]).numpy()


@cache
def _alexnet() -> ShiftTolerantAlexNet:
    # PyTorch describes memory_format, and has left it out of the annotations.
    return ShiftTolerantAlexNet.packaged().to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def _averaged(images: Tensor) -> Tensor:
    """The pixels averaged to 8×8, ``(N, C · 64)``."""
    return F.adaptive_avg_pool2d(images, 8).flatten(1)
