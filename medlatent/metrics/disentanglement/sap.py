"""Separated attribute predictability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from sklearn.svm import LinearSVC

from ...options import whole_options
from ._shared import LEARNABLE, SUMMABLE, _checked, _correlation, _gap, _is_categorical, _split


@dataclass(frozen=True)
class SAPScore:
    """A separated attribute predictability.

    Attributes:
        score: the mean over the factors.
        per_factor: ``(K,)``, how much better the best dimension predicts each factor than the second best does.
        dimension: ``(K,)``, the best dimension for each factor.
        predictability: ``(D, K)``: accuracy, or squared correlation.
    """

    score: float
    per_factor: np.ndarray
    dimension: np.ndarray
    predictability: np.ndarray


@whole_options(seed=0)
def sap(
    codes,
    factors,
    kind: str = "discrete",
    train_fraction: float = 2 / 3,
    shuffle: bool = False,
    seed: int = 0,
    n_jobs: int = -1,
    groups=None,
) -> SAPScore:
    """The separated attribute predictability of Kumar et al. (2018): the lead of the best dimension over the next.

    Implements :eq:`eq-measuring-6`.

    Kinds:

    - ``"continuous"``: a dimension predicts as well as its squared Pearson correlation with the factor, over all rows.
      The values of disentanglement_lib and of ar-vae; whole numbers are taken as they are.
    - ``"discrete"``: the accuracy on the test rows of a linear support vector machine with C = 0.01 and classes of
      equal weight, from that dimension alone. The values of disentanglement_lib. The machine separates classes by
      thresholds that it finds one against all others: of many classes along a dimension it tells few apart, and a
      perfect code scores low. A class which only test rows have counts as errors. A constant code has 1/classes, the
      expectation of a guess.

    Args:
        codes: ``(N, D)``, NumPy or torch, D at least 2.
        factors: ``(N, K)``; categorical for ``"discrete"``, any for ``"continuous"``.
        kind: ``"discrete"`` or ``"continuous"``.
        train_fraction: the first rows, that the machine learns from; the others are test rows. 2/3 as in
            disentanglement_lib (10 000 and 5 000). Of ``"discrete"`` alone, as is all that follows.
        shuffle: first bring the rows into random order. Needed where they are sorted by a factor.
        seed: of that order.
        n_jobs: threads; -1 for one per processor.
        groups: whose each row is, ``(N,)``: those of one lesion or patient are all learnt from or all tested on. By
            default each row stands for itself.

    Raises:
        ValueError: there is one dimension, a factor is constant or of the wrong kind, the training rows have one
            class only, a shape is wrong, or a value is not finite.
    """
    largest = LEARNABLE if kind == "discrete" else SUMMABLE
    codes, factors = _checked(codes, factors, varied=True, least_dimensions=2, largest=largest)
    if kind == "continuous":
        predictability = np.square(_correlation(codes, factors))
    elif kind == "discrete":
        predictability = _support_vector_accuracy(codes, factors, train_fraction, shuffle, seed, n_jobs, groups)
    else:
        raise ValueError(f"kind {kind!r} is unknown: use 'discrete' or 'continuous'")
    return _sap(predictability)


def _sap(predictability: np.ndarray) -> SAPScore:
    best, gap = _gap(predictability)
    return SAPScore(float(gap.mean()), gap, best, predictability)


def _support_vector_accuracy(codes, factors, train_fraction, shuffle, seed, n_jobs, groups=None) -> np.ndarray:
    for k, factor in enumerate(factors.T):
        if not _is_categorical(factor):
            raise ValueError(f"factors[:, {k}] is continuous: use kind='continuous', or cut it into categories first")
    train, test = _split(factors, train_fraction, shuffle, seed, groups)
    labels = [np.unique(factor, return_inverse=True)[1] for factor in factors.T]

    def accuracy(code: np.ndarray, label: np.ndarray) -> float:
        if np.ptp(code) == 0:
            return 1 / (label.max() + 1)
        machine = LinearSVC(C=0.01, class_weight="balanced", dual="auto", random_state=seed)
        machine.fit(code[train, None], label[train])
        return machine.score(code[test, None], label[test])

    jobs = (delayed(accuracy)(code, label) for code in codes.T for label in labels)
    return np.array(Parallel(n_jobs=n_jobs, prefer="threads")(jobs)).reshape(codes.shape[1], factors.shape[1])
