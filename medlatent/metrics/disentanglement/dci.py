"""Disentanglement, completeness and informativeness."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from joblib import Parallel, delayed
from scipy import stats
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)

from ...options import whole_options
from ._shared import LEARNABLE, _checked, _is_categorical, _split


@dataclass(frozen=True)
class DCIScore:
    """Disentanglement, completeness and informativeness.

    Attributes:
        score: the disentanglement, the mean of ``per_dimension`` weighted by each dimension's share of the importance.
        completeness: the mean of ``per_factor``, weighted by each factor's share of the importance.
        informativeness: the mean over the factors of ``informativeness_per_factor``.
        per_dimension: ``(D,)``: 1 where a dimension matters to one factor only, 0 where to all alike or to none.
        per_factor: ``(K,)``: 1 where one dimension predicts the factor, 0 where all do alike or none does.
        informativeness_per_factor: ``(K,)``, on the test rows: accuracy of a categorical factor, R² of a continuous
            one.
        importance: ``(D, K)``, of a dimension in predicting a factor; each column sums to 1, or to 0 if nothing helps.
    """

    score: float
    completeness: float
    informativeness: float
    per_dimension: np.ndarray
    per_factor: np.ndarray
    informativeness_per_factor: np.ndarray
    importance: np.ndarray


@whole_options(seed=0)
def dci(
    codes,
    factors,
    estimator: str = "boosted_trees",
    train_fraction: float = 2 / 3,
    shuffle: bool = False,
    seed: int = 0,
    n_jobs: int = -1,
    trees: int = 100,
    groups=None,
) -> DCIScore:
    """Disentanglement, completeness and informativeness (Eastwood and Williams 2018) from the importances of trees.

    Implements :eq:`eq-measuring-8`.

    A model predicts each factor from all dimensions; R_jk is the importance that dimension j has in it. With P_jk =
    R_jk / Σ_k R_jk, a dimension's disentanglement is 1 - H_K(P_j), the entropy to the base K; with columns that sum to
    1, a factor's completeness is 1 - H_D of its column.

    Estimators:

    - ``"boosted_trees"``: scikit-learn's gradient boosting with its defaults, as in disentanglement_lib: ``trees`` per
      class. Its time goes with the number of classes.
    - ``"random_forest"``: one of the two estimators of the paper; several times faster. Its importances are
      spread wider, so that its scores are lower: compare like with like.

    Args:
        codes: ``(N, D)``, NumPy or torch, D at least 2.
        factors: ``(N, K)``, K at least 2. Classifiers predict categorical factors, regressors continuous ones (those
            with other than whole numbers and more than 20 distinct values).
        estimator: ``"boosted_trees"`` or ``"random_forest"``.
        train_fraction: the first rows, that the model learns from; informativeness is measured on the others.
        shuffle: first bring the rows into random order. Needed where they are sorted by a factor.
        seed: of that order, and of the trees.
        n_jobs: threads, one factor each; -1 for one per processor.
        trees: of each model, boosted ones of each class. In a forest, importances are means over the trees, which fewer
            trees make noisier and not other; the informativeness falls a little.
        groups: whose each row is, ``(N,)``: those of one lesion or patient are all learnt from or all tested on. By
            default each row stands for itself.

    Returns:
        The disentanglement as ``score``, in [0, 1].

    Raises:
        ValueError: there is one dimension or one factor, a factor is constant or has one class only in the training
            rows, a shape is wrong, or a value is not finite.
    """
    codes, factors = _checked(codes, factors, varied=True, least_dimensions=2, least_factors=2, largest=LEARNABLE)
    return _dci(codes, factors, estimator, train_fraction, shuffle, seed, n_jobs, trees, groups)


def _dci(codes, factors, estimator, train_fraction, shuffle, seed, n_jobs, trees, groups=None) -> DCIScore:
    models = {
        "boosted_trees": (GradientBoostingClassifier, GradientBoostingRegressor),
        "random_forest": (RandomForestClassifier, RandomForestRegressor),
    }
    if estimator not in models:
        raise ValueError(f"estimator {estimator!r} is unknown: use one of {', '.join(models)}")
    if trees < 1:
        raise ValueError(f"trees must be at least 1, got {trees}")
    train, test = _split(factors, train_fraction, shuffle, seed, groups)

    def fit(factor: np.ndarray) -> tuple[np.ndarray, float]:
        classifier, regressor = models[estimator]
        if _is_categorical(factor):
            model, factor = classifier(n_estimators=trees, random_state=seed), np.unique(factor, return_inverse=True)[1]
        else:
            model = regressor(n_estimators=trees, random_state=seed)
        model.fit(codes[train], factor[train])
        return model.feature_importances_, model.score(codes[test], factor[test])

    found = Parallel(n_jobs=n_jobs, prefer="threads")(delayed(fit)(factor) for factor in factors.T)
    importance = np.stack([column for column, _ in found], 1)
    informativeness = np.array([value for _, value in found])
    if not np.isfinite(informativeness).all():
        raise ValueError(f"train_fraction: R² cannot be computed of {len(test)} test rows; give more rows, or lower it")
    per_dimension, per_factor = _one_minus_entropy(importance), _one_minus_entropy(importance.T)
    total = importance.sum() or 1.0  # constant codes have no importance at all, and score 0
    return DCIScore(
        float(per_dimension @ importance.sum(1) / total),
        float(per_factor @ importance.sum(0) / total),
        float(informativeness.mean()),
        per_dimension,
        per_factor,
        informativeness,
        importance,
    )


def _one_minus_entropy(importance: np.ndarray) -> np.ndarray:
    """1 minus the entropy of each row, to the base of its length; 0 for a row of zeros."""
    total = importance.sum(1, keepdims=True)
    uniform = np.full_like(importance, 1 / importance.shape[1])
    share = np.divide(importance, total, out=uniform, where=total > 0)
    return np.clip(1 - stats.entropy(share, base=importance.shape[1], axis=1), 0.0, 1.0)
