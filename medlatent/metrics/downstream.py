"""What codes are good for: finding classes without labels, and with few."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import balanced_accuracy_score, normalized_mutual_info_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..options import whole_options
from ._checks import class_labels, finite, group_labels


@dataclass(frozen=True)
class ClusteringScore:
    """How well clusters agree with classes.

    Attributes:
        score: the mean over the fits.
        per_fit: ``(fits,)``, float64.
        converged: ``(fits,)``, whether each fit reached scikit-learn's tolerance within its 100 iterations.
    """

    score: float
    per_fit: np.ndarray
    converged: np.ndarray


@whole_options(seed=0)
def clustering_nmi(codes, labels, fits: int = 10, seed: int = 0) -> ClusteringScore:
    """Normalised mutual information of classes and the clusters of a Gaussian mixture (Sarhan et al. 2019, section 3).

    Each fit is a Gaussian mixture with full covariances and as many components as there are classes, begun by k-means
    from its own seed, on the codes as they are: scaling each dimension to unit variance would give a dimension that
    collapsed onto the prior the same say as one that carries the image. NMI is I(class; cluster) over the arithmetic
    mean of both entropies, scikit-learn's default; the paper does not say which normalisation it used. With unequal
    classes NMI is low even for codes that separate them, since clusters of equal size cut the large class up.

    Args:
        codes: ``(N, D)``, NumPy or torch; N at least the number of classes.
        labels: ``(N,)``, numbers or strings, at least two classes.
        fits: how many fits the mean is over.
        seed: of the fits.

    Returns:
        The score in [0, 1]; 0 for constant codes, which make one cluster.

    Raises:
        ValueError: a shape is wrong, there is one class or more classes than rows, ``fits`` is below 1, or a value is
            NaN or infinite.
    """
    codes = finite("codes", codes, "(N, D)", at_least=2)
    classes, index = class_labels("labels", labels, len(codes))
    if fits < 1:
        raise ValueError(f"fits must be at least 1, got {fits}")
    if (codes == codes[0]).all():
        return ClusteringScore(0.0, np.zeros(fits), np.ones(fits, bool))
    per_fit, converged = np.empty(fits), np.empty(fits, bool)
    with warnings.catch_warnings():
        # Said in `converged`; k-means also warns where there are fewer distinct codes than classes.
        warnings.simplefilter("ignore", ConvergenceWarning)
        for fit, state in enumerate(np.random.SeedSequence(seed).generate_state(fits)):
            mixture = GaussianMixture(len(classes), random_state=int(state))
            try:
                found = mixture.fit_predict(codes)
            except ValueError as error:
                raise ValueError(f"codes: no mixture of {len(classes)} fits them, rescale them ({error})") from error
            per_fit[fit] = normalized_mutual_info_score(index, found)
            converged[fit] = mixture.converged_
    return ClusteringScore(float(per_fit.mean()), per_fit, converged)


@dataclass(frozen=True)
class FewLabelScore:
    """How well a classifier does that saw few labels, and what it must be compared with.

    Attributes:
        score: the accuracy, the mean over the folds.
        per_fold: ``(folds,)``, float64.
        balanced: the mean over classes of each class's accuracy, the mean over the folds.
        majority: the share of the most frequent class: the accuracy of a classifier that never looks at the code.
        converged: ``(folds,)``, whether each training stopped before its last iteration.
    """

    score: float
    per_fold: np.ndarray
    balanced: float
    majority: float
    converged: np.ndarray


@whole_options(seed=0)
def few_label_accuracy(codes, labels, folds: int = 10, hidden: int = 100, seed: int = 0, groups=None) -> FewLabelScore:
    """The accuracy of a multi-layer perceptron trained on one fold and tested on all others (Sarhan et al. 2019).

    With ten stratified folds: trained on 10 % of the data, tested on 90 %, ten times. Codes are scaled to the mean and
    the variance of the training fold. The perceptron is scikit-learn's: one hidden layer of ReLU units, Adam, at most
    200 epochs; the paper does not describe its own. With unequal classes the accuracy starts at ``majority``, which on
    HAM10000 is 66.95 %: read both, and ``balanced``.

    Args:
        codes: ``(N, D)``, NumPy or torch.
        labels: ``(N,)``, numbers or strings, at least two classes of at least ``folds`` rows each, or groups of rows.
        folds: at least 2.
        hidden: units of the hidden layer.
        seed: of the folds, the weights and the batches.
        groups: whose each row is, ``(N,)``, numbers or strings: of several photographs of one lesion all lie in one
            fold, or the classifier is tested on what it has seen. By default each row is a group.

    Returns:
        The score in [0, 1]. Constant codes give what the perceptron makes of the frequencies alone, ``majority`` in
        general.

    Raises:
        ValueError: a shape is wrong, there is one class or one with fewer rows or groups than folds, an argument is
            out of its range, or a value is NaN or infinite.
    """
    codes = finite("codes", codes, "(N, D)", at_least=2)
    classes, index = class_labels("labels", labels, len(codes))
    whose = group_labels(groups, len(codes))
    if folds < 2 or hidden < 1:
        raise ValueError(f"expected folds ≥ 2 and hidden ≥ 1, got {folds} and {hidden}")
    counts = np.bincount(index)
    several = np.array([len(np.unique(whose[index == k])) for k in range(len(classes))])
    if several.min() < folds:
        rare, what = classes[several.argmin()].item(), "rows" if groups is None else "groups"
        raise ValueError(
            f"labels: class {rare!r} has {several.min()} {what} for {folds} folds, so some would train without it; "
            "lower folds, or leave the class out"
        )
    per_fold, balanced, converged = np.empty(folds), np.empty(folds), np.empty(folds, bool)
    alone = len(np.unique(whose)) == len(whose)  # each row a group
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    parts = splitter.split(codes, index, None if alone else whose)
    for fold, (test, train) in enumerate(parts):  # the other way round: the small part trains
        perceptron = MLPClassifier((hidden,), random_state=seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # said in `converged`
            pipeline = make_pipeline(StandardScaler(), perceptron).fit(codes[train], index[train])
        predicted = pipeline.predict(codes[test])
        per_fold[fold] = (predicted == index[test]).mean()
        balanced[fold] = balanced_accuracy_score(index[test], predicted)
        converged[fold] = perceptron.n_iter_ < perceptron.max_iter
    return FewLabelScore(
        float(per_fold.mean()), per_fold, float(balanced.mean()), float(counts.max() / len(index)), converged
    )
