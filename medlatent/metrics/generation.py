"""How good generated images are, as a classifier of the same domain sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.special import rel_entr
from torch import Tensor, nn

from ._checks import confusion, finite, to_numpy

if TYPE_CHECKING:
    from ..data import ImageSet


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
    which see :func:`train_domain_classifier`.

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
    labels = to_numpy(labels)
    if labels.shape != (n,) or labels.dtype.kind not in "iub":
        raise ValueError(f"labels: expected integers of the shape ({n},), got {labels.dtype} {labels.shape}")
    if labels.min() < 0 or labels.max() >= k:
        raise ValueError(
            f"labels: from {labels.min()} to {labels.max()}, but the classifier has the classes 0 to {k - 1}"
        )
    counts = confusion(labels.astype(np.intp), probabilities.argmax(1), k)
    asked, right = counts.sum(1), np.diag(counts)
    return ConditionalAccuracy(float(right.sum() / n), float((right[asked > 0] / asked[asked > 0]).mean()), counts)


def _distributions(name: str, probabilities) -> np.ndarray:
    probabilities = finite(name, probabilities, "(N, K)")
    # float32 networks miss 1 by about 1e-6.
    wrong = (probabilities < 0).any(1) | (np.abs(probabilities.sum(1) - 1) > 1e-4)
    if wrong.any():
        raise ValueError(f"{name}: row {int(wrong.argmax())} is no distribution; pass softmax outputs, not logits")
    return probabilities


class DomainClassifier(nn.Module):
    """A small convolutional network that tells the classes of one factor apart, and lends its features.

    It stands where FID and inception score have Inception: trained on the images' own domain, for any number of
    channels. Four 3×3 convolutions of stride 2 with batch norm and ReLU (16, 32, 64, 128 channels), the mean over
    positions, which are the 128 features, and a linear layer. Havaei et al. (2021, III-C2) train the first blocks of
    InceptionV3 so, with the same head.

    Built by :func:`train_domain_classifier`. Numbers that rest on different classifiers cannot be compared.

    Args:
        factor: the name of the factor.
        classes: the names of its classes.
        edges: the inner borders of the classes of a continuous factor.
        channels: of the images.
    """

    def __init__(self, factor: str, classes: Sequence[str], edges: Sequence[float] = (), channels: int = 3) -> None:
        super().__init__()
        self.factor, self.classes, self.edges, self.channels = factor, tuple(classes), tuple(edges), channels
        widths = (channels, 16, 32, 64, 128)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            convolution = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(widths[-1], len(self.classes))

    def forward(self, images: Tensor) -> Tensor:
        """Images ``(B, C, H, W)`` in [0, 1] to logits ``(B, K)``."""
        return self.head(self.trunk(images - 0.5))

    def features(self, images: ImageSet | Tensor | np.ndarray, batch_size: int = 256) -> np.ndarray:
        """What the last layer reads, ``(N, 128)``, float64: for :func:`frechet_distance`.

        Args:
            images: an ``ImageSet``, or ``(N, C, H, W)`` in [0, 1], NumPy or torch.
            batch_size: images a call.

        Raises:
            ValueError: the number of channels is not the classifier's, or an array leaves [0, 1] or holds NaN.
        """
        return self._map(lambda x: self.trunk(x - 0.5), images, batch_size)

    def probabilities(self, images: ImageSet | Tensor | np.ndarray, batch_size: int = 256) -> np.ndarray:
        """p(y|x), ``(N, K)``, float64: for :func:`inception_score` and :func:`conditional_accuracy`.

        Args and errors as in :meth:`features`.
        """
        return self._map(lambda x: self(x).double().softmax(1), images, batch_size)

    def labels(self, images: ImageSet) -> np.ndarray:
        """The class of each image after its table, ``(N,)``, as an index of ``classes``.

        Raises:
            DataError: the set has no such factor.
            ValueError: the factor holds NaN, or a category that the classifier was not trained on.
        """
        values = images.factor_matrix([self.factor])[:, 0]
        if np.isnan(values).any():
            raise ValueError(f"factor {self.factor!r}: image {int(np.isnan(values).argmax())} has no value")
        described = images.factors[self.factor]
        if described.kind != "categorical":
            return np.searchsorted(self.edges, values, side="right")
        position = {name: i for i, name in enumerate(self.classes)}
        index = np.array([position.get(name, -1) for name in described.values])[values.astype(int)]
        if (index < 0).any():
            strange = described.values[int(values[int((index < 0).argmax())])]
            raise ValueError(f"factor {self.factor!r} holds {strange!r}, which the classifier never saw: leave it out")
        return index

    @torch.no_grad()
    def _map(self, function, images: ImageSet | Tensor | np.ndarray, batch_size: int) -> np.ndarray:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        was_training = self.training
        self.eval()  # batch statistics would make an image's features depend on its neighbours
        try:
            rows = [function(batch).double().cpu() for batch in self._each_batch(images, batch_size)]
        finally:
            self.train(was_training)
        return torch.cat(rows).numpy()

    def _each_batch(self, images: ImageSet | Tensor | np.ndarray, batch_size: int):
        device = self.head.weight.device
        stored = getattr(images, "images", images)
        if stored.ndim != 4 or stored.shape[1] != self.channels or not len(stored):
            raise ValueError(f"images: expected (N, {self.channels}, H, W), got {tuple(stored.shape)}")
        for start in range(0, len(stored), batch_size):
            if hasattr(images, "images"):
                batch = images.batch(slice(start, start + batch_size))
            else:
                batch = torch.as_tensor(stored[start : start + batch_size]).detach()
                # The comparison is false for NaN, too.
                if not batch.is_floating_point() or not ((batch >= 0) & (batch <= 1)).all():
                    raise ValueError("images: an array must hold floats in [0, 1]; a value is NaN or outside")
            yield batch.to(device, self.head.weight.dtype)


def train_domain_classifier(
    images: ImageSet,
    factor: str,
    steps: int = 300,
    *,
    bins: int = 5,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> DomainClassifier:
    """Trains a :class:`DomainClassifier` on one factor of an image set, and leaves it in evaluation mode.

    Adam on the cross-entropy, each class weighted by the inverse of its frequency, so that the classifier cannot live
    on the most frequent one. A binary factor gives two classes, a categorical one a class for each value that occurs,
    and a continuous one ``bins`` classes of equal frequency (Havaei et al. 2021, III-G: five classes of nodule size).
    The paper's own choice is inconsistent: benign and malignant in III-C, size or seven lesion types in III-G.

    How far the classifier can be trusted, ``conditional_accuracy(c.probabilities(test), c.labels(test))`` says. On one
    device with one number of threads the result depends on the arguments alone, and PyTorch's global generator is left
    as it was.

    Args:
        images: pass the training split.
        factor: the name of a binary, categorical or continuous factor.
        steps: batches.
        bins: the number of classes of a continuous factor; ties can make it fewer.
        batch_size: images a step, at least 2; at most all.
        learning_rate: of Adam.
        seed: of the weights and of the batches.
        device: ``"cpu"``, ``"cuda"``, …
        dtype: of weights and products. Training enlarges rounding errors; in ``torch.float64`` what is left of them on
            another processor is far below any digit that one reads, in ``torch.float32`` it is not.

    Raises:
        DataError: the set has no such factor.
        ValueError: the factor is an angle, holds NaN or a single class, or an argument is out of its range.
    """
    if steps < 1 or batch_size < 2 or bins < 2 or not learning_rate > 0:
        raise ValueError(
            "expected steps ≥ 1, batch_size ≥ 2, bins ≥ 2 and learning_rate > 0, "
            f"got {steps}, {batch_size}, {bins} and {learning_rate}"
        )
    values = images.factor_matrix([factor])[:, 0]
    if np.isnan(values).any():
        raise ValueError(f"factor {factor!r}: image {int(np.isnan(values).argmax())} has no value; leave it out")
    classes, edges = _classes(images, factor, values, bins)
    if len(classes) < 2:
        raise ValueError(f"factor {factor!r}: all images are of the class {classes[0]!r}; choose another factor")
    try:
        where = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = DomainClassifier(factor, classes, edges, images.images.shape[1])
    classifier.to(where, dtype).train()
    labels = torch.from_numpy(classifier.labels(images))
    counts = torch.bincount(labels, minlength=len(classes))
    loss = nn.CrossEntropyLoss(weight=(len(labels) / (len(classes) * counts)).to(where, dtype))
    optimiser = torch.optim.Adam(classifier.parameters(), lr=learning_rate)
    generator = torch.Generator().manual_seed(seed)
    size = min(batch_size, len(images))
    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < size:
            order = torch.randperm(len(images), generator=generator)
        index, order = order[:size], order[size:]
        optimiser.zero_grad()
        loss(classifier(images.batch(index.numpy()).to(where, dtype)), labels[index].to(where)).backward()
        optimiser.step()
    return classifier.eval()


def _classes(images: ImageSet, factor: str, values: np.ndarray, bins: int) -> tuple[list[str], list[float]]:
    described = images.factors[factor]
    if described.kind == "categorical":
        return [name for i, name in enumerate(described.values) if (values == i).any()], []
    if described.kind == "binary":
        present = [str(int(v)) for v in np.unique(values)]
        return present, [0.5] if len(present) == 2 else []
    if described.kind == "angle":
        raise ValueError(
            f"factor {factor!r} is an angle, whose classes would depend on where it starts; choose another"
        )
    edges = np.quantile(values, np.arange(1, bins) / bins)
    # Ties leave classes without images; each merges with the next one.
    occupied = np.unique(np.searchsorted(edges, values, side="right"))
    edges = edges[occupied[:-1]].tolist()
    bounds = [-np.inf, *edges, np.inf]
    return [f"[{low:g}, {high:g})" for low, high in pairwise(bounds)], edges
