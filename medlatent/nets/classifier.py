"""The domain classifier: what looks at generated images in the place of Inception."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from ..options import whole_options

if TYPE_CHECKING:
    from ..data import ImageSet


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

    @whole_options()
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

    @whole_options()
    def features(self, images: ImageSet | Tensor | np.ndarray, batch_size: int = 256) -> np.ndarray:
        """What the last layer reads, ``(N, 128)``, float64: for
        :func:`~medlatent.metrics.generation.frechet_distance`.

        Args:
            images: an ``ImageSet``, or ``(N, C, H, W)`` in [0, 1], NumPy or torch.
            batch_size: images a call.

        Raises:
            ValueError: the number of channels is not the classifier's, or an array leaves [0, 1] or holds NaN.
        """
        return self._map(lambda x: self.trunk(x - 0.5), images, batch_size)

    @whole_options()
    def probabilities(self, images: ImageSet | Tensor | np.ndarray, batch_size: int = 256) -> np.ndarray:
        """p(y|x), ``(N, K)``, float64: for :func:`~medlatent.metrics.generation.inception_score` and
        :func:`~medlatent.metrics.generation.conditional_accuracy`.

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
        stored = images if isinstance(images, Tensor | np.ndarray) else images.images
        if stored.ndim != 4 or stored.shape[1] != self.channels or not len(stored):
            raise ValueError(f"images: expected (N, {self.channels}, H, W), got {tuple(stored.shape)}")
        for start in range(0, len(stored), batch_size):
            part = slice(start, start + batch_size)
            if isinstance(images, Tensor | np.ndarray):
                batch = torch.as_tensor(images[part]).detach()
                # The comparison is false for NaN, too.
                if not batch.is_floating_point() or not ((batch >= 0) & (batch <= 1)).all():
                    raise ValueError("images: an array must hold floats in [0, 1]; a value is NaN or outside")
            else:
                batch = images.batch(part)
            yield batch.to(device, self.head.weight.dtype)


@whole_options()
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
