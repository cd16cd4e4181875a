"""Mutual information of codes and factors: from counts in bins, and from nearest neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from scipy import stats
from scipy.spatial import cKDTree
from scipy.special import digamma
from sklearn.feature_selection import mutual_info_classif

from ...options import whole_options
from ._shared import _binned, _checked, _labels

# Less information than that between independent columns is rounding: dependence in N rows makes 1/N² at least.
ROUNDING = 1e-13


@dataclass(frozen=True)
class MutualInformation:
    """What each dimension knows about each factor.

    Attributes:
        score: the mean over the factors of the largest mutual information that a dimension has with it, in nats.
        mutual_information: ``(D, K)``, in nats.
        factor_entropy: ``(K,)``, in nats, by the same estimator.
    """

    score: float
    mutual_information: np.ndarray
    factor_entropy: np.ndarray


@whole_options(seed=0)
def mutual_information_matrix(
    codes,
    factors,
    estimator: str = "bins",
    bins: int = 20,
    neighbours: int = 3,
    kind: str = "continuous",
    seed: int = 0,
    binning: str = "width",
) -> MutualInformation:
    """The mutual information I(z_j; v_k) of every dimension with every factor, in nats.

    Implements :eq:`eq-measuring-1`.

    Estimators:

    - ``"bins"``: the plug-in estimate from counts, with each code cut into ``bins`` bins of equal width between its
      extremes. It is biased upwards, by about (bins - 1)·(values - 1)/2N. The values of disentanglement_lib (Locatello
      et al. 2019).
    - ``"knn"``: from distances to the nearest neighbours. With ``kind="continuous"`` that of Kraskov et al. (2004), for
      categorical factors too: the values of ar-vae and of :func:`sklearn.feature_selection.mutual_info_regression`,
      but for constant codes, to which those give noise. With ``kind="discrete"`` that of Ross (2014), the values of
      :func:`sklearn.feature_selection.mutual_info_classif`. Noise of relative size 1e-10, drawn by ``seed``, breaks
      ties.

    Args:
        codes: ``(N, D)``, NumPy or torch.
        factors: ``(N, K)``.
        estimator: ``"bins"`` or ``"knn"``.
        bins: per code, and per continuous factor; at most N. Of ``"bins"`` alone.
        neighbours: k, less than N. Of ``"knn"`` alone.
        kind: ``"continuous"`` or ``"discrete"``, what ``"knn"`` takes all factors for.
        seed: of the noise of ``"knn"``.
        binning: ``"width"``, bins of equal width between the extremes, or ``"count"``, of equally many rows, which no
            outlier moves. Of ``"bins"`` alone.

    Returns:
        The matrix and the factors' entropies. With ``"knn"`` and ``kind="continuous"``, the entropy is the estimate of
        I(v_k; v_k), as in ar-vae: the entropy of a categorical factor; for a continuous one, where no entropy bounds
        the information, a number near log N that states the estimator's resolution. A constant factor has 0.

    Raises:
        ValueError: a shape, value or option is impossible; the message says which and what to do.
    """
    codes, factors = _checked(codes, factors)
    return _mutual_information(codes, factors, estimator, bins, neighbours, kind, seed, binning=binning)


def _mutual_information(
    codes,
    factors,
    estimator: str,
    bins: int = 20,
    neighbours: int = 3,
    kind: str = "continuous",
    seed: int = 0,
    n_jobs: int = -1,
    binning: str = "width",
) -> MutualInformation:
    """:func:`mutual_information_matrix` of checked arrays."""
    if estimator == "bins":
        matrix, entropy = _plug_in(codes, _labels(factors, bins, binning), bins, binning)
    elif estimator == "knn":
        matrix, entropy = _nearest_neighbours(codes, factors, neighbours, kind, seed, n_jobs)
    else:
        raise ValueError(f"estimator {estimator!r} is unknown: use 'bins' or 'knn'")
    return MutualInformation(float(matrix.max(0).mean()), matrix, entropy)


def _plug_in(
    codes: np.ndarray, labels: list[np.ndarray], bins: int, binning: str = "width"
) -> tuple[np.ndarray, np.ndarray]:
    # Every dimension has cells of its own, so that one count serves all of them.
    cell = _binned(codes, bins, binning) + bins * np.arange(codes.shape[1])
    information, entropy = [], []
    for label in labels:
        values = label.max() + 1
        counts = np.bincount((cell * values + label[:, None]).ravel(), minlength=codes.shape[1] * bins * values)
        joint = counts.reshape(codes.shape[1], bins, values)
        p_value = joint[0].sum(0)
        # In this order the terms of a constant code cancel exactly.
        terms = (_log(joint) - _log(p_value)) + (np.log(len(codes)) - _log(joint.sum(2, keepdims=True)))
        information.append(np.einsum("jbv,jbv->j", joint, terms) / len(codes))
        entropy.append(stats.entropy(p_value))
    matrix = np.stack(information, 1)
    return np.where(matrix > ROUNDING, matrix, 0.0), np.array(entropy)


def _log(counts: np.ndarray) -> np.ndarray:
    """The logarithm, with 0 for an empty cell, whose term is 0·log 0 = 0."""
    return np.log(np.maximum(counts, 1))


def _nearest_neighbours(
    codes: np.ndarray, factors: np.ndarray, neighbours: int, kind: str, seed: int, n_jobs: int
) -> tuple[np.ndarray, np.ndarray]:
    if not 1 <= neighbours < len(codes):
        raise ValueError(f"neighbours must be between 1 and N - 1 = {len(codes) - 1}, got {neighbours}")
    constant, random = np.ptp(codes, axis=0) == 0, np.random.RandomState(seed)
    codes = _without_exponent(codes)
    if kind == "discrete":
        labels = [np.unique(factor, return_inverse=True)[1] for factor in factors.T]
        for k, label in enumerate(labels):
            if label.max() and np.bincount(label).max() == 1:
                raise ValueError(f"factors[:, {k}]: no value occurs twice, use kind='continuous'")
        options = {"discrete_features": False, "n_neighbors": neighbours, "random_state": random}
        # About a constant factor, digamma(N) - digamma(N) = 0 but for rounding.
        matrix = np.stack([mutual_info_classif(codes, v, **options) * (v.max() > 0) for v in labels], 1)
        entropy = np.array([stats.entropy(np.bincount(v)) for v in labels])
    elif kind == "continuous":
        matrix, factors = np.empty((codes.shape[1], factors.shape[1])), _without_exponent(factors)
        with Parallel(n_jobs=n_jobs, prefer="threads") as parallel:

            def information(pairs) -> list[float]:
                return parallel(delayed(one.information)(other) for one, other in pairs)

            # The noise comes in scikit-learn's order, a new one of the codes for each factor.
            for k in range(factors.shape[1]):
                dimensions = [_KraskovColumn(code, neighbours) for code in _jittered(codes, random).T]
                factor = _KraskovColumn(_jittered(factors[:, k], random), neighbours)
                matrix[:, k] = information((dimension, factor) for dimension in dimensions)
            twice = ([_KraskovColumn(_jittered(v, random), neighbours) for _ in "xy"] for v in factors.T)
            entropy = np.array(information(twice))
        varies = np.ptp(factors, axis=0) > 0
        matrix, entropy = matrix * varies, entropy * varies
    else:
        raise ValueError(f"kind {kind!r} is unknown: use 'continuous' or 'discrete'")
    return np.where(constant[:, None], 0.0, matrix), entropy


def _without_exponent(columns: np.ndarray) -> np.ndarray:
    """Columns times powers of two, which rounds nothing, to sizes whose squares neither overflow nor vanish."""
    return np.ldexp(columns, -np.frexp(np.abs(columns).max(0))[1])


def _jittered(columns: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Columns in units of their standard deviation, with the noise that scikit-learn breaks ties with."""
    deviation = columns.std(0)
    columns = columns / np.where(deviation > 0, deviation, 1.0)
    return columns + 1e-10 * np.maximum(1, np.abs(columns).mean(0)) * random.standard_normal(columns.shape)


class _KraskovColumn:
    """A variable that the first estimator of Kraskov et al. (2004), equation 8, is applied to: sorted once for all."""

    def __init__(self, values: np.ndarray, neighbours: int) -> None:
        self.values, self.neighbours, self.sorted = values, neighbours, np.sort(values)

    def information(self, other: _KraskovColumn) -> float:
        count, k = len(self.values), self.neighbours
        points = np.c_[self.values, other.values]
        # Quick to build. The nearest of a point's neighbours is the point itself.
        tree = cKDTree(points, balanced_tree=False, compact_nodes=False)
        distance = tree.query(points, k=[k + 1], p=np.inf)[0][:, 0]
        radius = np.nextafter(distance, 0)
        table = digamma(np.arange(1, count + 1))  # of n + 1, where n others lie within the radius
        means = [table[column.within(radius) - 1].mean() for column in (self, other)]
        return max(0.0, float(table[-1] + digamma(k) - sum(means)))

    def within(self, radius: np.ndarray) -> np.ndarray:
        """How many values lie at most ``radius`` from each one, itself included."""
        right = np.searchsorted(self.sorted, self.values + radius, "right")
        left = np.searchsorted(self.sorted, self.values - radius, "left")
        # Those at the edge are decided by the rounded difference, as the distance was: the rounded sum may err by one.
        padded = np.r_[-np.inf, self.sorted, np.inf]
        while (beyond := padded[right] - self.values > radius).any():
            right -= beyond
        while (inside := padded[right + 1] - self.values <= radius).any():
            right += inside
        while (beyond := self.values - padded[left + 1] > radius).any():
            left += beyond
        while (inside := self.values - padded[left] <= radius).any():
            left -= inside
        return right - left
