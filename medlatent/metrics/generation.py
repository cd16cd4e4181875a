"""How good generated images are, as a classifier of the same domain sees them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from scipy.spatial import KDTree
from scipy.special import rel_entr
from scipy.stats import mannwhitneyu

from ..options import whole_options
from ._checks import confusion, finite, indices

WELL_CONDITIONED = 1e-10  # the least eigenvalue of a covariance, as a share of the largest


@dataclass(frozen=True)
class FrechetScore:
    """A squared Fréchet distance and its two terms.

    Attributes:
        score: the sum of both.
        mean_term: ‖μ_a − μ_b‖².
        covariance_term: tr(Σ_a + Σ_b − 2(Σ_a Σ_b)^½), at least 0.
    """

    score: float
    mean_term: float
    covariance_term: float


def frechet_distance(features_a, features_b) -> FrechetScore:
    """The squared Fréchet distance between two Gaussians fitted to features: FID, for whatever network gave them.

    ‖μ_a − μ_b‖² + tr(Σ_a + Σ_b − 2(Σ_a Σ_b)^½) in float64, covariances divided by N − 1 (Heusel et al. 2017, equation
    6). Agrees with torch-fidelity and torchmetrics.

    The root is never taken of a product of covariances. With Σ_a = R_aᵀR_a, and Σ_b likewise, the trace of the root is
    the sum of the singular values of R_a R_bᵀ. R comes from the eigenvalues of a covariance, or, where that is close to
    singular (N ≤ F, a dead feature), from the QR decomposition of the centred features, which is slower and keeps all
    digits.

    The value is biased upwards by finite N and depends on the network: compare at equal N, network and image size. With
    fewer images than features it still is defined and says little. Only the ``score`` from Inception's pool features on
    RGB images is the FID of the literature; Havaei et al. (2021, III-C) use a classifier trained on the data set, for
    which see :func:`~medlatent.nets.train_domain_classifier`.

    Args:
        features_a: ``(N_a, F)``, NumPy or torch, N_a at least 2.
        features_b: ``(N_b, F)``, N_b at least 2; the order does not matter.

    Raises:
        ValueError: a shape is wrong, the numbers of features differ, there are fewer than two rows, or a value is NaN
            or infinite.
    """
    a = finite("features_a", features_a, "(N, F)", at_least=2)
    b = finite("features_b", features_b, "(N, F)", at_least=2)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features_b: {b.shape[1]} features, features_a has {a.shape[1]}; use one network for both")
    (mean_a, root_a), (mean_b, root_b) = _moments(a), _moments(b)
    mean_term = np.square(mean_a - mean_b).sum()
    root_trace = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    # Rounding alone can bring it below zero.
    covariance_term = max(0.0, np.square(root_a).sum() + np.square(root_b).sum() - 2 * root_trace)
    return FrechetScore(float(mean_term + covariance_term), float(mean_term), float(covariance_term))


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and R with RᵀR the covariance."""
    mean, freedom = features.mean(0), len(features) - 1
    centred = features - mean
    if freedom >= features.shape[1]:
        values, vectors = np.linalg.eigh(centred.T @ centred / freedom)
        # Rounding moves an eigenvalue by some 1e-16 of the largest.
        if values[0] > WELL_CONDITIONED * values[-1]:
            return mean, np.sqrt(values)[:, None] * vectors.T
    return mean, torch.linalg.qr(torch.from_numpy(centred), mode="r").R.numpy() / np.sqrt(freedom)


@dataclass(frozen=True)
class InceptionScore:
    """An inception score, and its splits.

    Attributes:
        score: the mean over the splits.
        per_split: ``(splits,)``, float64; their standard deviation is what is usually printed behind the ±.
        marginal: ``(K,)``, the mean probabilities of all images: where it is uneven, classes are missing.
    """

    score: float
    per_split: np.ndarray
    marginal: np.ndarray


@whole_options(seed=0)
def inception_score(probabilities, splits: int = 1, seed: int = 2020) -> InceptionScore:
    """exp(E_x KL(p(y|x) ‖ p(y))), p(y) the mean of p(y|x) over the images of a split (Salimans et al. 2016).

    One split is TF-GAN's and thus Havaei et al.'s (2021, III-C); ten are usual elsewhere and lower, since p(y) comes
    from fewer images: name the number. Agrees with torch-fidelity, whose order of the images the default seed repeats.

    Args:
        probabilities: p(y|x), ``(N, K)``, rows that sum to 1, NumPy or torch.
        splits: how many parts of (nearly) equal size, 1 to N.
        seed: of the permutation before splitting. Images generated class by class and split in that order would
            score 1.

    Returns:
        The score in [1, K], without unit: 1 where all images look alike to the classifier, K where it is sure of each
        and all classes are equally frequent. A classifier of a single class gives 1.

    Raises:
        ValueError: the shape is wrong, a row is no distribution, a value is NaN, or ``splits`` is not in 1 to N.
    """
    probabilities = _distributions("probabilities", probabilities)
    n = len(probabilities)
    if not 1 <= splits <= n:
        raise ValueError(f"splits must be between 1 and the number of images {n}, got {splits}")
    order = np.random.RandomState(seed).permutation(n)
    edges = np.arange(splits + 1) * n // splits
    per_split = np.array(
        [
            np.exp(rel_entr(part, part.mean(0)).sum(1).mean())
            for part in (probabilities[order[i:j]] for i, j in pairwise(edges))
        ]
    )
    return InceptionScore(float(per_split.mean()), per_split, probabilities.mean(0))


@dataclass(frozen=True)
class ConditionalAccuracy:
    """The share of images that a classifier takes for what they were generated as.

    Attributes:
        score: the share over all images.
        balanced: the mean over the classes asked for of each class's share; one frequent class cannot carry it.
        confusion: ``(K, K)``, counts; the row is the class asked for, the column the class seen.
    """

    score: float
    balanced: float
    confusion: np.ndarray


def conditional_accuracy(probabilities, labels) -> ConditionalAccuracy:
    """Conditional generation accuracy, CGAcc (Havaei et al. 2021, III-C4): does the image show its condition?

    The accuracy of a classifier of real images on images generated under known conditions. It cannot exceed what the
    classifier reaches on real images of a test split, which belongs beside it.

    Args:
        probabilities: the classifier's p(y|x) of the generated images, ``(N, K)``; the largest decides, the first of
            equal ones.
        labels: the condition of each image as an index of its class, ``(N,)``, integers from 0 to K − 1.

    Raises:
        ValueError: a shape is wrong, a row is no distribution, a value is NaN, or a label is no such index.
    """
    probabilities = _distributions("probabilities", probabilities)
    n, k = probabilities.shape
    counts = confusion(indices("labels", labels, n, k), probabilities.argmax(1), k)
    asked, right = counts.sum(1), np.diag(counts)
    return ConditionalAccuracy(float(right.sum() / n), float((right[asked > 0] / asked[asked > 0]).mean()), counts)


@dataclass(frozen=True)
class Nearness:
    """How near images lie to those that a generator was trained on.

    Attributes:
        drawn: ``(N,)``, the Euclidean distance of each drawn image to the nearest training image.
        held_out: ``(M,)``, the same of each held-out image.
        nearer: the share of pairs of a drawn and a held-out image in which the drawn one lies nearer to the training
            images, equal ones counted half: ½ if drawn images are as new as held-out ones, 1 if each is nearer than all
            of these, as copies are.
    """

    drawn: np.ndarray
    held_out: np.ndarray
    nearer: float


def nearness(drawn, held_out, training) -> Nearness:
    """Whether drawn images lie nearer to the training images than new images do (Meehan et al. 2020).

    The third of three samples is what makes a distance readable: that drawn images lie near to training images is what
    a good generator does, too, and how near new images lie tells how much nearness that explains. ``nearer`` is the
    Mann-Whitney statistic of the two samples of distances, divided by N · M. Meehan et al. compute it in cells of the
    space; here the space is one cell.

    Args:
        drawn: ``(N, F)``, features of images from the generator.
        held_out: ``(M, F)``, of images of the data that it has not seen: of other patients.
        training: ``(T, F)``, of those that it was trained on.

    Raises:
        ValueError: a shape is wrong, the numbers of features differ, or a value is NaN or infinite.
    """
    drawn, held_out = finite("drawn", drawn, "(N, F)"), finite("held_out", held_out, "(M, F)")
    training = finite("training", training, "(T, F)")
    for name, features in (("drawn", drawn), ("held_out", held_out)):
        if features.shape[1] != training.shape[1]:
            raise ValueError(f"{name}: {features.shape[1]} features, training has {training.shape[1]}")
    tree = KDTree(training)
    near, new = tree.query(drawn)[0], tree.query(held_out)[0]
    nearer = mannwhitneyu(new, near).statistic / (len(new) * len(near))
    return Nearness(near, new, float(nearer))


def _distributions(name: str, probabilities) -> np.ndarray:
    probabilities = finite(name, probabilities, "(N, K)")
    # float32 networks miss 1 by about 1e-6.
    wrong = (probabilities < 0).any(1) | (np.abs(probabilities.sum(1) - 1) > 1e-4)
    if wrong.any():
        raise ValueError(f"{name}: row {int(wrong.argmax())} is no distribution; pass softmax outputs, not logits")
    return probabilities
