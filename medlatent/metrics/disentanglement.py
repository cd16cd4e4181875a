"""How well the dimensions of a code and the factors of the data match.

Everything is computed in float64 from ``codes (N, D)`` and ``factors (N, K)``, NumPy or torch, in any order and at any
frequency of the factors' values: no grid is needed. Mutual information and entropies are in nats.

Kinds of factors:

- A column of whole numbers is *categorical*, binary included, however many values it has. Its values are names: their
  order and frequency are free, and rare ones count by how often they occur.
- A column of other numbers is *continuous* if it has more distinct values than there are bins, and categorical if not.
  Where categories are needed, it is cut into bins of equal width, as the codes are. Whole numbers that count or measure
  something, such as an area in pixels, become continuous when divided by a constant.

Names of text have to be numbered first (``numpy.unique(names, return_inverse=True)``).

A constant code knows nothing: its mutual information, its correlation and its importance are 0. About a constant factor
there is nothing to know, its entropy is 0, and the scores, which would divide by it, refuse it.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from joblib import Parallel, delayed
from scipy import stats
from scipy.spatial import cKDTree
from scipy.special import digamma
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.feature_selection import mutual_info_classif
from sklearn.svm import LinearSVC

from ..losses.total_correlation import LOG_2PI
from ._checks import class_labels, finite, posterior

ELEMENTS = 2**18  # of a sample-by-posterior matrix that a thread holds: 2 MiB
# Less information than that between independent columns is rounding: dependence in N rows makes 1/N² at least.
ROUNDING = 1e-13
LARGEST_LOGVAR = 600.0  # beyond it, the density of a sample leaves the range of float64


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


@dataclass(frozen=True)
class MIGScore:
    """A mutual information gap.

    Attributes:
        score: the mean over the factors.
        per_factor: ``(K,)``, the gap of each factor, divided by its entropy.
        dimension: ``(K,)``, the dimension that knows most about each factor.
        mutual_information: ``(D, K)``, in nats.
        factor_entropy: ``(K,)``, in nats.
        standard_error: of the score, from Monte Carlo sampling; 0 where nothing is sampled.
    """

    score: float
    per_factor: np.ndarray
    dimension: np.ndarray
    mutual_information: np.ndarray
    factor_entropy: np.ndarray
    standard_error: float = 0.0


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


@dataclass(frozen=True)
class ModularityScore:
    """A modularity.

    Attributes:
        score: the mean over all dimensions.
        per_dimension: ``(D,)``; 0 where a dimension knows nothing about any factor.
        mutual_information: ``(D, K)``, in nats.
    """

    score: float
    per_dimension: np.ndarray
    mutual_information: np.ndarray


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


@dataclass(frozen=True)
class InterpretabilityScore:
    """How well a line through one dimension predicts an attribute.

    Attributes:
        score: the mean over the attributes.
        per_attribute: ``(K,)``, R².
        dimension: ``(K,)``, the dimension that knows most about each attribute.
        mutual_information: ``(D, K)``, in nats.
    """

    score: float
    per_attribute: np.ndarray
    dimension: np.ndarray
    mutual_information: np.ndarray


@dataclass(frozen=True)
class SCCScore:
    """How monotonically a dimension follows an attribute.

    Attributes:
        score: the mean over the attributes.
        per_attribute: ``(K,)``, the largest correlation of each attribute with a dimension.
        dimension: ``(K,)``, the dimension that has it.
        correlation: ``(D, K)``, absolute values; 0 where insignificant.
    """

    score: float
    per_attribute: np.ndarray
    dimension: np.ndarray
    correlation: np.ndarray


@dataclass(frozen=True)
class TotalCorrelationScore:
    """A total correlation, and the entropies that it is the difference of.

    Attributes:
        score: the sum of ``marginal_entropy`` minus ``joint_entropy``, in nats.
        standard_error: of the score, from Monte Carlo sampling.
        joint_entropy: of q(z), in nats.
        marginal_entropy: ``(D,)``, of each q(z_j), in nats.
    """

    score: float
    standard_error: float
    joint_entropy: float
    marginal_entropy: np.ndarray


@dataclass(frozen=True)
class DisentanglementReport:
    """All metrics of one code, see :func:`report`.

    Attributes:
        mig: of binned codes.
        mig_knn: by nearest neighbours; ``None`` without a factor that has an order.
        mig_from_posterior: of Chen et al. (2018).
        sap: with support vector machines; ``None`` without a categorical factor.
        sap_continuous: with squared correlations; ``None`` without a factor that has an order.
        modularity: of binned codes; ``None`` with one factor.
        modularity_knn: by nearest neighbours; ``None`` without two factors that have an order.
        dci: from trees; ``None`` with one factor.
        interpretability: ``None`` without a factor that has an order, as is the next one.
        scc: Spearman's correlation.
        total_correlation: of the posteriors; it looks at no factor.
    """

    mig: MIGScore
    mig_knn: MIGScore | None
    mig_from_posterior: MIGScore
    sap: SAPScore | None
    sap_continuous: SAPScore | None
    modularity: ModularityScore | None
    modularity_knn: ModularityScore | None
    dci: DCIScore | None
    interpretability: InterpretabilityScore | None
    scc: SCCScore | None
    total_correlation: TotalCorrelationScore

    def values(self) -> dict[str, float]:
        """The scores by the names of the fields, without those that are ``None``.

        DCI has three: ``dci_disentanglement``, ``dci_completeness``, ``dci_informativeness``.
        """
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        values = {}
        for name, result in found.items():
            if isinstance(result, DCIScore):
                values[f"{name}_disentanglement"] = result.score
                values[f"{name}_completeness"] = result.completeness
                values[f"{name}_informativeness"] = result.informativeness
            elif result is not None:
                values[name] = result.score
        return values


def mutual_information_matrix(
    codes,
    factors,
    estimator: str = "bins",
    bins: int = 20,
    neighbours: int = 3,
    kind: str = "continuous",
    seed: int = 0,
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

    Returns:
        The matrix and the factors' entropies. With ``"knn"`` and ``kind="continuous"``, the entropy is the estimate of
        I(v_k; v_k), as in ar-vae: the entropy of a categorical factor; for a continuous one, where no entropy bounds
        the information, a number near log N that states the estimator's resolution. A constant factor has 0.

    Raises:
        ValueError: a shape, value or option is impossible; the message says which and what to do.
    """
    codes, factors = _checked(codes, factors)
    return _mutual_information(codes, factors, estimator, bins, neighbours, kind, seed)


def mig(codes, factors, bins: int = 20) -> MIGScore:
    """The mutual information gap of binned codes: 1/K Σ_k [I(z_j(k); v_k) - max_{j≠j(k)} I(z_j; v_k)] / H(v_k).

    Implements :eq:`eq-measuring-5`, equation 4 of Sarhan et al. (2019) and 6 of Chen et al. (2018), on codes cut into
    ``bins`` bins of equal width, with plug-in estimates: the variant of disentanglement_lib (Locatello et al. 2019),
    whose codes are posterior means. :func:`mig_from_posterior` is that of Chen et al., :func:`mig_knn` that of ar-vae;
    the three differ on the same model.

    Args:
        codes: ``(N, D)``, NumPy or torch, D at least 2.
        factors: ``(N, K)``; imbalanced ones weigh as they occur.
        bins: per code, and per continuous factor; at most N.

    Returns:
        The score, in [0, 1]. It is 0 where two dimensions hold the same, however well.

    Raises:
        ValueError: there is one dimension, a factor is constant, N < ``bins``, a shape is wrong, or a value is not
            finite.
    """
    codes, factors = _checked(codes, factors, varied=True, least_dimensions=2)
    found = _mutual_information(codes, factors, "bins", bins)
    return _mig(found.mutual_information, found.factor_entropy)


def mig_knn(codes, factors, neighbours: int = 3, kind: str = "continuous", seed: int = 0) -> MIGScore:
    """The mutual information gap with the estimator of nearest neighbours, the variant of ar-vae (Pati and Lerch 2021).

    Equation 4 of Sarhan et al. (2019) with ``estimator="knn"`` of :func:`mutual_information_matrix`, where the
    estimators and the entropies are described. With ``kind="continuous"`` it agrees with ar-vae; a continuous factor's
    gap is then divided by the resolution of the estimator, about log N, and falls with more data.

    Args:
        codes: ``(N, D)``, NumPy or torch, D at least 2.
        factors: ``(N, K)``.
        neighbours: k, less than N.
        kind: ``"continuous"`` or ``"discrete"``: what the factors are taken for.
        seed: of the noise that breaks ties.

    Raises:
        ValueError: there is one dimension, a factor is constant, N ≤ ``neighbours``, a shape is wrong, or a value is
            not finite.
    """
    codes, factors = _checked(codes, factors, varied=True, least_dimensions=2)
    found = _mutual_information(codes, factors, "knn", neighbours=neighbours, kind=kind, seed=seed)
    return _mig(found.mutual_information, found.factor_entropy)


def mig_from_posterior(
    mean, logvar, factors, samples: int = 2000, bins: int = 20, seed: int = 0, n_jobs: int = -1
) -> MIGScore:
    """The mutual information gap of Chen et al. (2018), equation 6, from Gaussian posteriors q(z|x), by Monte Carlo.

    Implements :eq:`eq-measuring-4` and :eq:`eq-adversarial-vae-4`.

    I(z_j; v_k) = H(z_j) - Σ_v p(v) H(z_j | v_k = v), where q(z_j) is the mean of all N posteriors, and q(z_j | v) that
    of the images with v_k = v. Every image is drawn equally often, so that v weighs by its empirical p(v), and gaps are
    divided by the empirical H(v_k). The code of Chen et al. assumes balanced factors instead; on those it agrees. The
    same samples serve all entropies, which leaves less noise in their difference.

    Args:
        mean: of the posteriors, ``(N, D)``, NumPy or torch, D at least 2.
        logvar: the logarithm of their variances, ``(N, D)``, between -600 and 600.
        factors: ``(N, K)``.
        samples: of q(z). With a multiple of N each image is drawn exactly as often as the others; with fewer, a random
            part of them. Time goes with ``samples``·N·D.
        bins: per continuous factor, in equal widths; at most N.
        seed: of the samples.
        n_jobs: threads; -1 for one per processor. Their number does not change the result.

    Returns:
        The score and its standard error. The standard error is estimated from the same samples: where rare ones
        decide, as between narrow posteriors of neighbouring classes, it may be too small. ``mutual_information`` may
        be slightly negative.

    Raises:
        ValueError: there is one dimension, a factor is constant, N < ``bins``, ``samples`` < 2, a shape is wrong, or a
            value is not finite.
    """
    mean, logvar, factors = _checked_posterior(mean, logvar, factors)
    labels = _labels(factors, bins)
    return _mig_from_posterior(_log_densities(mean, logvar, labels, samples, seed, n_jobs)[0], labels)


def mig_p(codes, labels, bins: int = 20) -> MIGScore:
    """MIG_p of Sarhan et al. (2019): :func:`mig` with each class against all others as a binary factor.

    Implements :eq:`eq-adversarial-vae-4`.

    Args:
        codes: ``(N, D)``, NumPy or torch, D at least 2.
        labels: the class of each image, ``(N,)``, numbers or names. The paper has seven, of skin lesions.
        bins: per code.

    Returns:
        ``per_factor`` has one value for each class that occurs, in sorted order.

    Raises:
        ValueError: there is one class only, or :func:`mig` refuses the codes.
    """
    codes = _table("codes", codes, "(N, D)")
    classes, index = class_labels("labels", labels, len(codes))
    return mig(codes, index[:, None] == np.arange(len(classes)), bins)


def mig_hf(codes, factors, thresholds=None, bins: int = 20) -> MIGScore:
    """MIG_hf of Sarhan et al. (2019): :func:`mig` with handcrafted factors, each cut in two.

    Implements :eq:`eq-adversarial-vae-4`.

    Args:
        codes: ``(N, D)``, NumPy or torch, D at least 2.
        factors: ``(N, K)``: in the paper eccentricity, orientation and size, measured on the masks of the lesions.
        thresholds: ``(K,)``: a factor is "high" above its threshold. By default the median of each factor, since the
            paper does not say where it cuts; a factor that has two values only keeps them.
        bins: per code.

    Raises:
        ValueError: a threshold leaves one side empty, there is not one for each factor, or :func:`mig` refuses the
            rest.
    """
    codes, factors = _checked(codes, factors, varied=True, least_dimensions=2)
    if thresholds is None:
        low = factors.min(0)
        binary = ((factors == low) | (factors == factors.max(0))).all(0)
        thresholds = np.where(binary, low, np.median(factors, axis=0))
    thresholds = finite("thresholds", thresholds, "(K)")
    if thresholds.shape != factors.shape[1:]:
        raise ValueError(f"thresholds: expected one for each of {factors.shape[1]} factors, got {thresholds.shape}")
    high = factors > thresholds
    if (k := np.flatnonzero(high.all(0) | ~high.any(0))).size:
        raise ValueError(f"thresholds: {thresholds[k[0]]} has all of factors[:, {k[0]}] on one side; give another")
    return mig(codes, high, bins)


def sap(
    codes,
    factors,
    kind: str = "discrete",
    train_fraction: float = 2 / 3,
    shuffle: bool = False,
    seed: int = 0,
    n_jobs: int = -1,
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

    Raises:
        ValueError: there is one dimension, a factor is constant or of the wrong kind, the training rows have one
            class only, a shape is wrong, or a value is not finite.
    """
    codes, factors = _checked(codes, factors, varied=True, least_dimensions=2)
    if kind == "continuous":
        predictability = np.square(_correlation(codes, factors))
    elif kind == "discrete":
        predictability = _support_vector_accuracy(codes, factors, train_fraction, shuffle, seed, n_jobs)
    else:
        raise ValueError(f"kind {kind!r} is unknown: use 'discrete' or 'continuous'")
    return _sap(predictability)


def modularity(
    codes,
    factors,
    estimator: str = "bins",
    bins: int = 20,
    neighbours: int = 3,
    kind: str = "continuous",
    seed: int = 0,
) -> ModularityScore:
    """The modularity of Ridgeway and Mozer (2018): whether each dimension depends on one factor only.

    Implements :eq:`eq-measuring-7`.

    1 - Σ_{k≠k*} I(z_j; v_k)² / (I(z_j; v_k*)²·(K - 1)), where k* is the factor that dimension j knows most about. A
    dimension which knows nothing at all has 0, and all dimensions count. One that knows almost nothing, about
    whatever factor chance gave it, counts in full: noise may score high. ``"bins"`` gives the values of
    disentanglement_lib, ``"knn"`` those of ar-vae, on which Di Folco et al. (2024) build.

    Args:
        codes: ``(N, D)``, NumPy or torch.
        factors: ``(N, K)``, K at least 2.
        estimator: ``"bins"`` or ``"knn"``; this and what follows as in :func:`mutual_information_matrix`.
        bins: per code, and per continuous factor.
        neighbours: k.
        kind: ``"continuous"`` or ``"discrete"``.
        seed: of the noise of ``"knn"``.

    Returns:
        The score, in [0, 1].

    Raises:
        ValueError: there is one factor, a factor is constant, N is too small for the estimator, a shape is wrong, or a
            value is not finite.
    """
    codes, factors = _checked(codes, factors, varied=True, least_factors=2)
    return _modularity(_mutual_information(codes, factors, estimator, bins, neighbours, kind, seed).mutual_information)


def dci(
    codes,
    factors,
    estimator: str = "boosted_trees",
    train_fraction: float = 2 / 3,
    shuffle: bool = False,
    seed: int = 0,
    n_jobs: int = -1,
    trees: int = 100,
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

    Returns:
        The disentanglement as ``score``, in [0, 1].

    Raises:
        ValueError: there is one dimension or one factor, a factor is constant or has one class only in the training
            rows, a shape is wrong, or a value is not finite.
    """
    codes, factors = _checked(codes, factors, varied=True, least_dimensions=2, least_factors=2)
    return _dci(codes, factors, estimator, train_fraction, shuffle, seed, n_jobs, trees)


def interpretability(codes, attributes, neighbours: int = 3, seed: int = 0) -> InterpretabilityScore:
    """How well a line through the one most informative dimension predicts each attribute (Adel et al. 2018).

    Implements :eq:`eq-measuring-9`.

    R² of the linear regression of an attribute on the dimension that has the largest mutual information with it, by
    nearest neighbours (``"knn"`` and ``"continuous"`` of :func:`mutual_information_matrix`), over all rows: the values
    of ar-vae, as Di Folco et al. (2024, table 2) report them. Information that does not lie on a line does not count.

    Args:
        codes: ``(N, D)``, NumPy or torch.
        attributes: ``(N, K)``; categories are taken as the numbers they are.
        neighbours: k, less than N.
        seed: of the noise that breaks ties.

    Returns:
        The score, in [0, 1].

    Raises:
        ValueError: an attribute is constant, N ≤ ``neighbours``, a shape is wrong, or a value is not finite.
    """
    codes, attributes = _checked(codes, attributes, name="attributes", varied=True)
    information = _mutual_information(codes, attributes, "knn", neighbours=neighbours, seed=seed).mutual_information
    return _interpretability(information, _correlation(codes, attributes))


def scc(codes, attributes, significance: float | None = 0.05) -> SCCScore:
    """The largest absolute Spearman correlation of an attribute with a dimension, mean over the attributes.

    Implements :eq:`eq-measuring-10`.

    As Di Folco et al. (2024, table 2) describe it. The code of ar-vae, whose values these are, also sets correlations
    with p > 0.05 to 0, which the paper does not say; ``significance=None`` leaves them.

    Args:
        codes: ``(N, D)``, NumPy or torch, N at least 3.
        attributes: ``(N, K)``; categories are taken as the numbers they are. Equal values share their mean rank.
        significance: correlations with a larger p-value, two-sided by Student's t, are set to 0; ``None`` for all to
            stay.

    Returns:
        The score, in [0, 1].

    Raises:
        ValueError: an attribute is constant, N < 3, ``significance`` is outside of [0, 1], a shape is wrong, or a
            value is not finite.
    """
    return _scc(*_checked(codes, attributes, name="attributes", varied=True), significance)


def total_correlation(mean, logvar, samples: int = 2000, seed: int = 0, n_jobs: int = -1) -> TotalCorrelationScore:
    """The total correlation KL(q(z) || Π_j q(z_j)) of the aggregate posterior q(z) = 1/N Σ_n q(z|x_n), by Monte Carlo.

    The third term of equation 2 of Sarhan et al. (2019; in Chen et al. 2018, the second of equation 2), but with all N
    posteriors in place of a batch, so that no estimate of q(z) is weighted: Σ_j H(z_j) - H(z), each entropy the mean of
    -log q over the same samples. The values of the evaluation code of Chen et al. With posteriors much narrower than
    their distances, each sample is told by its own posterior, and the result approaches (D - 1)·log N at most,
    whatever the data; :func:`~medlatent.metrics.gaussian_total_correlation` has no such bound, but sees linear
    dependence only.

    Args:
        mean: of the posteriors, ``(N, D)``, NumPy or torch.
        logvar: the logarithm of their variances, ``(N, D)``, between -600 and 600.
        samples: of q(z). With a multiple of N each image is drawn equally often; with fewer, a random part of them.
            Time goes with ``samples``·N·D.
        seed: of the samples.
        n_jobs: threads; -1 for one per processor. Their number does not change the result.

    Returns:
        The score and its standard error. Near 0, the score may be negative by some standard errors.

    Raises:
        ValueError: ``samples`` < 2, the shapes differ, or a value is not finite.
    """
    mean, logvar = _checked_posterior(mean, logvar)
    return _total_correlation(*_log_densities(mean, logvar, [], samples, seed, n_jobs)[1:])


def report(
    mean,
    logvar,
    factors,
    nominal=None,
    *,
    bins: int = 20,
    neighbours: int = 3,
    samples: int = 2000,
    estimator: str = "random_forest",
    trees: int = 25,
    train_fraction: float = 2 / 3,
    shuffle: bool = False,
    seed: int = 0,
    n_jobs: int = -1,
) -> DisentanglementReport:
    """Every metric of this module on one trained model, in half of the time that the single functions take.

    The results are those of the single functions with the same arguments, on posterior means where they take codes.
    What several of them need, the binned information, that of the nearest neighbours, the densities of the samples, is
    computed once. ``mig_p`` and ``mig_hf`` are not part of it: they ask for particular factors.

    Which factors enter:

    - those that are numbers or names alike, all: ``mig``, ``mig_from_posterior``, ``modularity`` (continuous ones cut
      into bins), ``dci`` (classifiers for categorical, regressors for continuous ones);
    - those whose values have an order, all but the ``nominal`` ones, as the numbers they are: ``mig_knn``,
      ``modularity_knn``, ``sap_continuous``, ``interpretability``, ``scc``;
    - the categorical ones alone: ``sap``. A support vector machine for each bin of a continuous factor would measure
      how fine the bins are.

    An angle has neither an order nor a place where it may be cut: give its cosine and its sine.

    Args:
        mean: of the posteriors, ``(N, D)``, NumPy or torch, D at least 2.
        logvar: the logarithm of their variances, ``(N, D)``, between -600 and 600.
        factors: ``(N, K)``.
        nominal: ``(K,)``, true where the numbers are names without an order, such as diagnoses. By default none is.
        bins: per code, and per continuous factor; at most N.
        neighbours: k, less than N.
        samples: of q(z).
        estimator: of DCI, ``"random_forest"`` or, for minutes, ``"boosted_trees"``.
        trees: of DCI, for each factor. With 100 as in :func:`dci`, the forests alone take longer than all the rest. On
            a recorded model 25 gave a disentanglement that scattered by 0.005 over seeds, in place of 0.002, and an
            informativeness 0.015 lower.
        train_fraction: of SAP's machines and DCI's trees.
        shuffle: first bring the rows into random order, for both. Needed where they are sorted by a factor.
        seed: of everything random.
        n_jobs: threads; -1 for one per processor.

    Raises:
        ValueError: there is one dimension, a factor is constant or so in the training rows, N is below ``bins`` or not
            above ``neighbours``, ``nominal`` has another length, a shape is wrong, or a value is not finite.
    """
    mean, logvar, factors = _checked_posterior(mean, logvar, factors)
    count, labels = factors.shape[1], _labels(factors, bins)
    nominal = np.zeros(count, bool) if nominal is None else np.asarray(nominal)
    if nominal.shape != (count,) or nominal.dtype != bool:
        raise ValueError(f"nominal: expected true or false for each of {count} factors, got {nominal!r}")
    ordered = factors[:, ~nominal]
    categorical = factors[:, [_is_categorical(factor) for factor in factors.T]]
    some, several = ordered.shape[1] > 0, ordered.shape[1] > 1
    tested = {"train_fraction": train_fraction, "shuffle": shuffle, "seed": seed, "n_jobs": n_jobs}

    binned, entropy = _plug_in(mean, labels, bins)
    if some:
        near, resolution = _nearest_neighbours(mean, ordered, neighbours, "continuous", seed, n_jobs)
        correlation = _correlation(mean, ordered)
    information, *logarithms = _log_densities(mean, logvar, labels, samples, seed, n_jobs)
    return DisentanglementReport(
        mig=_mig(binned, entropy),
        mig_knn=_mig(near, resolution) if some else None,
        mig_from_posterior=_mig_from_posterior(information, labels),
        sap=_sap(_support_vector_accuracy(mean, categorical, **tested)) if categorical.size else None,
        sap_continuous=_sap(np.square(correlation)) if some else None,
        modularity=_modularity(binned) if count > 1 else None,
        modularity_knn=_modularity(near) if several else None,
        dci=_dci(mean, factors, estimator, trees=trees, **tested) if count > 1 else None,
        interpretability=_interpretability(near, correlation) if some else None,
        scc=_scc(mean, ordered, significance=0.05) if some else None,
        total_correlation=_total_correlation(*logarithms),
    )


def _mutual_information(
    codes,
    factors,
    estimator: str,
    bins: int = 20,
    neighbours: int = 3,
    kind: str = "continuous",
    seed: int = 0,
    n_jobs: int = -1,
) -> MutualInformation:
    """:func:`mutual_information_matrix` of checked arrays."""
    if estimator == "bins":
        matrix, entropy = _plug_in(codes, _labels(factors, bins), bins)
    elif estimator == "knn":
        matrix, entropy = _nearest_neighbours(codes, factors, neighbours, kind, seed, n_jobs)
    else:
        raise ValueError(f"estimator {estimator!r} is unknown: use 'bins' or 'knn'")
    return MutualInformation(float(matrix.max(0).mean()), matrix, entropy)


def _plug_in(codes: np.ndarray, labels: list[np.ndarray], bins: int) -> tuple[np.ndarray, np.ndarray]:
    # Every dimension has cells of its own, so that one count serves all of them.
    cell = _binned(codes, bins) + bins * np.arange(codes.shape[1])
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
        matrix = np.empty((codes.shape[1], factors.shape[1]))
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


def _mig(information: np.ndarray, entropy: np.ndarray) -> MIGScore:
    best, gap = _gap(information)
    per_factor = gap / entropy
    return MIGScore(float(per_factor.mean()), per_factor, best, information, entropy)


def _sap(predictability: np.ndarray) -> SAPScore:
    best, gap = _gap(predictability)
    return SAPScore(float(gap.mean()), gap, best, predictability)


def _modularity(information: np.ndarray) -> ModularityScore:
    # Divided by the largest before squaring: the square of a tiny one would vanish.
    largest = information.max(1, keepdims=True)
    share = np.divide(information, largest, out=np.zeros_like(information), where=largest > 0)
    others = np.square(share).sum(1) - 1
    per_dimension = np.where(largest[:, 0] > 0, 1 - others / (information.shape[1] - 1), 0.0)
    return ModularityScore(float(per_dimension.mean()), per_dimension, information)


def _interpretability(information: np.ndarray, correlation: np.ndarray) -> InterpretabilityScore:
    dimension = information.argmax(0)
    # With one predictor, R² is the squared correlation.
    per_attribute = np.square(correlation)[dimension, np.arange(information.shape[1])]
    return InterpretabilityScore(float(per_attribute.mean()), per_attribute, dimension, information)


def _mig_from_posterior(information: np.ndarray, labels: list[np.ndarray]) -> MIGScore:
    samples, entropy = len(information), np.array([stats.entropy(np.bincount(v)) for v in labels])
    found = _mig(information.mean(0), entropy)
    top = np.argsort(found.mutual_information, axis=0)[-2:]
    best, second = (np.take_along_axis(information, j[None, None], 1)[:, 0] for j in top[::-1])
    gap = ((best - second) / entropy).mean(1)
    return replace(found, standard_error=float(gap.std(ddof=1) / np.sqrt(samples)))


def _total_correlation(log_joint: np.ndarray, log_marginal: np.ndarray) -> TotalCorrelationScore:
    difference = log_joint - log_marginal.sum(1)
    return TotalCorrelationScore(
        float(difference.mean()),
        float(difference.std(ddof=1) / np.sqrt(len(difference))),
        float(-log_joint.mean()),
        -log_marginal.mean(0),
    )


def _scc(codes: np.ndarray, attributes: np.ndarray, significance: float | None) -> SCCScore:
    if len(codes) < 3:
        raise ValueError(f"codes: a correlation's significance needs at least 3 rows, got {len(codes)}")
    correlation = np.abs(_correlation(stats.rankdata(codes, axis=0), stats.rankdata(attributes, axis=0)))
    if significance is not None:
        if not 0 <= significance <= 1:
            raise ValueError(f"significance must be between 0 and 1, or None, got {significance}")
        freedom = len(codes) - 2
        with np.errstate(divide="ignore"):  # of a perfect correlation, whose p-value is 0
            t = correlation * np.sqrt(freedom / ((1 - correlation) * (1 + correlation)))
        correlation = np.where(2 * stats.t.sf(t, freedom) > significance, 0.0, correlation)
    largest = correlation.max(0)
    return SCCScore(float(largest.mean()), largest, correlation.argmax(0), correlation)


def _gap(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each column, the row of the largest entry, and by how much it exceeds the second largest."""
    second, first = np.sort(matrix, axis=0)[-2:]
    return matrix.argmax(0), first - second


def _support_vector_accuracy(codes, factors, train_fraction, shuffle, seed, n_jobs) -> np.ndarray:
    for k, factor in enumerate(factors.T):
        if not _is_categorical(factor):
            raise ValueError(f"factors[:, {k}] is continuous: use kind='continuous', or cut it into categories first")
    train, test = _split(factors, train_fraction, shuffle, seed)
    labels = [np.unique(factor, return_inverse=True)[1] for factor in factors.T]

    def accuracy(code: np.ndarray, label: np.ndarray) -> float:
        if np.ptp(code) == 0:
            return 1 / (label.max() + 1)
        machine = LinearSVC(C=0.01, class_weight="balanced", dual="auto", random_state=seed)
        machine.fit(code[train, None], label[train])
        return machine.score(code[test, None], label[test])

    jobs = (delayed(accuracy)(code, label) for code in codes.T for label in labels)
    return np.array(Parallel(n_jobs=n_jobs, prefer="threads")(jobs)).reshape(codes.shape[1], factors.shape[1])


def _dci(codes, factors, estimator, train_fraction, shuffle, seed, n_jobs, trees) -> DCIScore:
    models = {
        "boosted_trees": (GradientBoostingClassifier, GradientBoostingRegressor),
        "random_forest": (RandomForestClassifier, RandomForestRegressor),
    }
    if estimator not in models:
        raise ValueError(f"estimator {estimator!r} is unknown: use one of {', '.join(models)}")
    if trees < 1:
        raise ValueError(f"trees must be at least 1, got {trees}")
    train, test = _split(factors, train_fraction, shuffle, seed)

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


def _split(factors: np.ndarray, train_fraction: float, shuffle: bool, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training rows and test rows."""
    if not 0 < train_fraction < 1:
        raise ValueError(f"train_fraction must be between 0 and 1, got {train_fraction}")
    rows = np.random.default_rng(seed).permutation(len(factors)) if shuffle else np.arange(len(factors))
    train, test = np.split(rows, [int(train_fraction * len(factors) + 1e-9)])  # 2/3 of 3 rows is 2, rounding apart
    if not len(train) or not len(test):
        raise ValueError(
            f"train_fraction {train_fraction} of {len(factors)} rows leaves none to train on or to test on"
        )
    if (k := np.flatnonzero(np.ptp(factors[train], axis=0) == 0)).size:
        raise ValueError(
            f"factors[:, {k[0]}] is constant in the {len(train)} training rows; shuffle=True mixes sorted rows"
        )
    return train, test


def _one_minus_entropy(importance: np.ndarray) -> np.ndarray:
    """1 minus the entropy of each row, to the base of its length; 0 for a row of zeros."""
    total = importance.sum(1, keepdims=True)
    uniform = np.full_like(importance, 1 / importance.shape[1])
    share = np.divide(importance, total, out=uniform, where=total > 0)
    return np.clip(1 - stats.entropy(share, base=importance.shape[1], axis=1), 0.0, 1.0)


def _correlation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson's, of each column of a with each of b; 0 where one is constant."""
    unit = []
    for columns in (a, b):
        # A mean is rounded: what it leaves of a constant is not a deviation.
        centred = np.where(np.ptp(columns, axis=0) == 0, 0.0, columns - columns.mean(0))
        largest = np.abs(centred).max(0)
        centred = centred / np.where(largest > 0, largest, 1.0)  # so that squares neither overflow nor vanish
        norm = np.sqrt(np.square(centred).sum(0))
        unit.append(centred / np.where(norm > 0, norm, 1.0))
    return np.clip(unit[0].T @ unit[1], -1.0, 1.0)


def _binned(columns: np.ndarray, bins: int) -> np.ndarray:
    """The bin of each value, 0 to bins - 1: equal widths from the least to the largest, the upper edge in the last."""
    if bins < 2:
        raise ValueError(f"bins must be at least 2, got {bins}")
    if len(columns) < bins:
        raise ValueError(f"bins: {len(columns)} rows cannot fill {bins} bins; give more rows or fewer bins")
    edges = np.linspace(columns.min(0), columns.max(0), bins + 1)[1:-1]
    return np.stack([np.searchsorted(*pair, side="right") for pair in zip(edges.T, columns.T, strict=True)], 1)


def _is_categorical(factor: np.ndarray, bins: int = 20) -> bool:
    return bool((factor == np.round(factor)).all()) or len(np.unique(factor)) <= bins


def _labels(factors: np.ndarray, bins: int) -> list[np.ndarray]:
    """Each factor's categories, numbered from 0."""
    labels = []
    for factor in factors.T:
        low, whole = factor.min(), bool((factor == np.round(factor)).all())
        if whole and factor.max() - low < len(factor):
            label = (factor - low).astype(np.int64)  # numbers between may be missing: no count, no harm
        elif whole or _is_categorical(factor, bins):
            label = np.unique(factor, return_inverse=True)[1]
        else:
            label = _binned(factor[:, None], bins)[:, 0]
        labels.append(label)
    return labels


def _log_densities(
    mean: np.ndarray, logvar: np.ndarray, labels: list[np.ndarray], samples: int, seed: int, n_jobs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of samples z of q(z), with the categories of their images: log q(z_j | v_k) / q(z_j); log q(z); log q(z_j).

    Of the shapes ``(S, D, K)``, ``(S,)`` and ``(S, D)``.
    """
    if samples < 2:
        raise ValueError(f"samples must be at least 2, got {samples}")
    count, dimensions = mean.shape
    random = np.random.default_rng(seed)
    image = torch.from_numpy(np.resize(random.permutation(count), samples))
    noise = torch.from_numpy(random.standard_normal((samples, dimensions)))
    mean, logvar = torch.tensor(mean), torch.tensor(logvar)
    z = mean[image] + torch.exp(0.5 * logvar[image]) * noise
    centre, scale, constant = (x.T.contiguous() for x in (mean, torch.exp(-0.5 * logvar), -0.5 * (LOG_2PI + logvar)))

    # One product with these columns averages densities over all images, and over those of each category.
    values = [label.max() + 1 for label in labels]
    first = 1 + np.cumsum([0, *values])  # the column of a factor's first category
    category = torch.from_numpy(np.stack(labels, 1) + first[:-1] if labels else np.empty((count, 0), np.int64))
    weights = torch.zeros(count, first[-1], dtype=torch.float64)
    weights[:, 0] = 1.0
    weights.scatter_(1, category, 1.0)
    weights /= weights.sum(0).clamp_min_(1.0)  # whole numbers between a factor's values may be missing

    information = torch.empty(samples, dimensions, len(labels), dtype=torch.float64)
    log_joint = torch.empty(samples, dtype=torch.float64)
    log_marginal = torch.empty(samples, dimensions, dtype=torch.float64)

    def fill(rows: slice) -> None:
        joint = torch.zeros(len(z[rows]), count, dtype=torch.float64)
        density = torch.empty_like(joint)
        for j in range(dimensions):
            torch.sub(z[rows, j, None], centre[j], out=density).mul_(scale[j])
            torch.addcmul(constant[j], density, density, value=-0.5, out=density)
            joint += density
            # A sample's own posterior is in every sum, so that none underflows.
            averages = density.exp_() @ weights
            log_marginal[rows, j] = averages[:, 0].log()
            information[rows, j] = torch.log(averages.gather(1, category[image[rows]]) / averages[:, :1])
        log_joint[rows] = torch.logsumexp(joint, 1) - np.log(count)

    step = max(1, ELEMENTS // count)
    with _one_torch_thread():
        Parallel(n_jobs=n_jobs, prefer="threads")(
            delayed(fill)(slice(start, start + step)) for start in range(0, samples, step)
        )
    return information.numpy(), log_joint.numpy(), log_marginal.numpy()


@contextmanager
def _one_torch_thread():
    """For threads that call PyTorch: those that it would begin on its own would wait for each other at every step."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _table(name: str, values, shape: str) -> np.ndarray:
    values = finite(name, values, shape)
    with np.errstate(over="ignore"):
        if (j := np.flatnonzero(~np.isfinite(np.ptp(values, axis=0)))).size:
            raise ValueError(f"{name}[:, {j[0]}] spans more than float64 holds; rescale it")
    return values


def _checked(
    codes, factors, name: str = "factors", varied: bool = False, least_dimensions: int = 1, least_factors: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    codes, factors = _table("codes", codes, "(N, D)"), _table(name, factors, "(N, K)")
    if len(codes) != len(factors):
        raise ValueError(f"codes and {name} must have the same number of rows, got {len(codes)} and {len(factors)}")
    if codes.shape[1] < least_dimensions:
        raise ValueError(f"codes: dimensions are compared, at least {least_dimensions} are needed, got 1")
    if factors.shape[1] < least_factors:
        raise ValueError(f"{name}: factors are compared, at least {least_factors} are needed, got 1")
    if varied and (k := np.flatnonzero(np.ptp(factors, axis=0) == 0)).size:
        raise ValueError(f"{name}[:, {k[0]}] is constant: there is nothing to know about it, leave it out")
    return codes, factors


def _checked_posterior(mean, logvar, factors=None) -> tuple[np.ndarray, ...]:
    mean, logvar = posterior(mean, logvar)
    mean = _table("mean", mean, "(N, D)")
    if np.abs(logvar).max() > LARGEST_LOGVAR:
        raise ValueError(f"logvar: the density overflows beyond ±{LARGEST_LOGVAR:g}; clamp it")
    if factors is None:
        return mean, logvar
    if mean.shape[1] < 2:
        raise ValueError("mean: dimensions are compared, at least 2 are needed, got 1")
    return mean, logvar, _checked(mean, factors, varied=True)[1]
