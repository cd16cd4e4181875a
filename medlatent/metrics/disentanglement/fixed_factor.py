"""The two oldest metrics: guess which factor was held fixed, from the codes of images that share its value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from ...options import whole_options
from ._shared import _checked, _labels

PASSES = 4096  # pairs or rows at a time, so that memory does not grow with the number of batches


@dataclass(frozen=True)
class FixedFactorScore:
    """How often the factor that was held fixed is guessed.

    Attributes:
        score: the share of test batches whose factor is guessed. A guess without looking has 1/K.
        per_factor: ``(K,)``, the same share among the batches of each factor; NaN of one that no test batch had.
        votes: ``(D, K)``, of the FactorVAE metric: how often a dimension varied least in training batches in which the
            factor was fixed. Empty of the beta-VAE metric.
    """

    score: float
    per_factor: np.ndarray
    votes: np.ndarray


@whole_options(seed=0)
def beta_vae_metric(
    codes, factors, batch_size: int = 64, train: int = 2000, test: int = 1000, bins: int = 20, seed: int = 0
) -> FixedFactorScore:
    """The metric of Higgins et al. (2017): is the fixed factor found by a line from the mean of ``|z - z'|``?

    Implements :eq:`eq-measuring-11`. A batch has one factor, chosen at random, and pairs of images that share its value
    and nothing else on purpose. Its feature is the mean over the pairs of the absolute difference of their codes,
    dimension by dimension; a logistic regression learns from ``train`` batches which factor it was, and is tested on
    others. disentanglement_lib (Locatello et al. 2019) draws images from a generator of all factors and has 10 000 and
    5 000 batches; here they are rows of a set.

    A linear code that mixes all factors can do as well as an axis for each: the differences of the fixed one are
    smaller along its direction, and a line finds that. It is why Kim and Mnih (2018) replaced the metric.

    Args:
        codes: ``(N, D)``, NumPy or torch. The scale of a dimension does not matter.
        factors: ``(N, K)``, K at least 2. Rows whose value of a factor no other row has are never drawn for it.
        batch_size: pairs of a batch.
        train: batches that the regression learns from.
        test: batches that it is tested on.
        bins: per continuous factor, in equal widths; at most N.
        seed: of the batches.

    Raises:
        ValueError: there is one factor, a factor is constant or no two rows share a value of it, a size is below 1, N <
            ``bins``, a shape is wrong, or a value is not finite.
    """
    codes, groups, random = _prepared(codes, factors, batch_size, train, test, bins, seed)
    count = train + test
    fixed = random.integers(len(groups), size=count)
    features = np.zeros((count, codes.shape[1]))
    for k, group in enumerate(groups):
        batches = np.flatnonzero(fixed == k)
        for part in _parts(batches, batch_size):
            first, second = group.pairs(random, (len(part), batch_size))
            features[part] = np.abs(codes[first] - codes[second]).mean(1)
    if len(np.unique(fixed[:train])) < 2:
        raise ValueError(f"train: among {train} batches there is one factor only; draw more")
    learner = make_pipeline(MinMaxScaler(), LogisticRegression(C=1e3, max_iter=2000))
    learner.fit(features[:train], fixed[:train])
    return _score(learner.predict(features[train:]), fixed[train:], np.empty((0, len(groups)), int))


@whole_options(seed=0)
def factor_vae_metric(
    codes, factors, batch_size: int = 64, train: int = 2000, test: int = 1000, bins: int = 20, seed: int = 0
) -> FixedFactorScore:
    """The metric of Kim and Mnih (2018): does one dimension stand still when a factor is fixed?

    Implements :eq:`eq-measuring-12`. A batch has images that share the value of one factor, chosen at random. Its vote
    is the dimension that varies least in it, as a share of its variance over all images; dimensions that are constant
    have no vote. Each dimension stands for the factor that most of its votes in ``train`` batches came from, and the
    score is the share of test batches in which it stands for the right one. disentanglement_lib (Locatello et al. 2019)
    draws images from a generator of all factors and has 10 000 and 5 000 batches; here they are rows of a set.

    There is nothing to tune, and no line to hide in; several dimensions may stand for one factor without loss, and
    nothing is asked of what else a dimension holds.

    Args:
        codes: ``(N, D)``, NumPy or torch.
        factors: ``(N, K)``, K at least 2. Rows whose value of a factor no other row has are never drawn for it.
        batch_size: images of a batch, at least 2, drawn with replacement among those that share the value.
        train: batches that vote.
        test: batches that are guessed.
        bins: per continuous factor, in equal widths; at most N.
        seed: of the batches.

    Returns:
        The score; 1/K, that of a guess, where all dimensions are constant.

    Raises:
        ValueError: there is one factor, a factor is constant or no two rows share a value of it, a size is out of its
            range, N < ``bins``, a shape is wrong, or a value is not finite.
    """
    codes, groups, random = _prepared(codes, factors, batch_size, train, test, bins, seed)
    if batch_size < 2:
        raise ValueError(f"batch_size must be at least 2, of one image nothing varies, got {batch_size}")
    active = np.flatnonzero(np.ptp(codes, axis=0) > 0)
    votes = np.zeros((codes.shape[1], len(groups)), int)
    if not active.size:
        return FixedFactorScore(1 / len(groups), np.full(len(groups), 1 / len(groups)), votes)
    scaled = codes[:, active] / codes[:, active].std(0)
    fixed = random.integers(len(groups), size=train + test)
    still = np.empty(train + test, int)
    for k, group in enumerate(groups):
        for part in _parts(np.flatnonzero(fixed == k), batch_size):
            still[part] = active[scaled[group.batches(random, (len(part), batch_size))].var(1).argmin(1)]
    np.add.at(votes, (still[:train], fixed[:train]), 1)
    return _score(votes.argmax(1)[still[train:]], fixed[train:], votes)


class _Shared:
    """Rows in groups of one value, of which those of a single row are left out."""

    def __init__(self, labels: np.ndarray, name: str) -> None:
        counts = np.bincount(labels)
        rows = np.flatnonzero(counts[labels] > 1)
        if not rows.size:
            raise ValueError(f"{name}: no two rows share a value; give more rows or fewer bins")
        self.order = rows[np.argsort(labels[rows], kind="stable")]
        counts = np.where(counts > 1, counts, 0)
        starts = np.cumsum(counts) - counts
        self.size, self.start = counts[labels[self.order]], starts[labels[self.order]]  # of each row's group

    def pairs(self, random: np.random.Generator, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
        """Rows, and for each another one of its group."""
        first = random.integers(len(self.order), size=shape)
        size, start = self.size[first], self.start[first]
        second = start + (first - start + random.integers(1, size)) % size
        return self.order[first], self.order[second]

    def batches(self, random: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        """In each row of the result rows of one group, the group of a row drawn at random."""
        first = random.integers(len(self.order), size=(shape[0], 1))
        return self.order[self.start[first] + random.integers(self.size[first], size=shape)]


def _prepared(codes, factors, batch_size, train, test, bins, seed):
    """The codes, each dimension from 0 to 1, the groups of each factor, and a generator."""
    codes, factors = _checked(codes, factors, varied=True, least_factors=2)
    for name, value in (("batch_size", batch_size), ("train", train), ("test", test)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    groups = [_Shared(labels, f"factors[:, {k}]") for k, labels in enumerate(_labels(factors, bins))]
    width = np.ptp(codes, axis=0)
    return (codes - codes.min(0)) / np.where(width > 0, width, 1.0), groups, np.random.default_rng(seed)


def _parts(batches: np.ndarray, batch_size: int) -> list[np.ndarray]:
    return [part for part in np.array_split(batches, 1 + len(batches) * batch_size // PASSES) if part.size]


def _score(guessed: np.ndarray, fixed: np.ndarray, votes: np.ndarray) -> FixedFactorScore:
    right = guessed == fixed
    per_factor = [right[fixed == k].mean() if (fixed == k).any() else np.nan for k in range(votes.shape[1])]
    return FixedFactorScore(float(right.mean()), np.array(per_factor), votes)
