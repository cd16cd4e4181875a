"""The mutual information gap in five variants, which differ on the same model."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from ...options import whole_options
from .._checks import class_labels, finite
from ._posterior import _checked_with_factors, _log_densities
from ._shared import SUMMABLE, _checked, _gap, _labels
from .information import _mutual_information

PERIODS = 1e9  # beyond so many, an angle has too few digits left


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


@whole_options()
def mig(codes, factors, bins: int = 20, binning: str = "width") -> MIGScore:
    """The mutual information gap of binned codes: 1/K Σ_k [I(z_j(k); v_k) - max_{j≠j(k)} I(z_j; v_k)] / H(v_k).

    Implements :eq:`eq-measuring-5`, equation 4 of Sarhan et al. (2019) and 6 of Chen et al. (2018), on codes cut into
    ``bins`` bins of equal width, with plug-in estimates: the variant of disentanglement_lib (Locatello et al. 2019),
    whose codes are posterior means. :func:`mig_from_posterior` is that of Chen et al., :func:`mig_knn` that of ar-vae;
    the three differ on the same model.

    Bins of equal width end at the extremes: a single outlier puts all other codes of its dimension into one bin, which
    knows nothing. ``binning="count"`` does not see how far away it is, nor any monotone map of a code.

    Args:
        codes: ``(N, D)``, NumPy or torch, D at least 2.
        factors: ``(N, K)``; imbalanced ones weigh as they occur.
        bins: per code, and per continuous factor; at most N.
        binning: ``"width"``, of equal width, or ``"count"``, of equally many rows.

    Returns:
        The score, in [0, 1]. It is 0 where two dimensions hold the same, however well.

    Raises:
        ValueError: there is one dimension, a factor is constant, N < ``bins``, a shape is wrong, or a value is not
            finite.
    """
    codes, factors = _checked(codes, factors, varied=True, least_dimensions=2)
    found = _mutual_information(codes, factors, "bins", bins, binning=binning)
    return _mig(found.mutual_information, found.factor_entropy)


@whole_options(seed=0)
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


@whole_options(seed=0)
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
    mean, logvar, factors = _checked_with_factors(mean, logvar, factors)
    labels = _labels(factors, bins)
    return _mig_from_posterior(_log_densities(mean, logvar, labels, samples, seed, n_jobs)[0], labels)


@whole_options()
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
    codes = finite("codes", codes, "(N, D)", largest=SUMMABLE)
    classes, index = class_labels("labels", labels, len(codes))
    return mig(codes, index[:, None] == np.arange(len(classes)), bins)


@whole_options()
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


@whole_options()
def mig_of_angle(codes, angles, period: float, cuts: int = 8, bins: int = 20) -> MIGScore:
    """:func:`mig` of an angle cut in two, wherever its circle may be cut: the mean over ``cuts`` directions.

    "High" and "low" need a zero, and an angle has none: of one code the gap depends on which one is chosen. Here the
    factor is whether cos(2π v / period - φ) exceeds its median, for φ = 0, π/cuts, … : as many ways to cut the circle
    through its centre, which a turn of the zero only permutes.

    Args:
        codes: ``(N, D)``, NumPy or torch, D at least 2.
        angles: ``(N,)``.
        period: after how much an angle is the same again, in its unit: π for an axis in radians.
        cuts: at least 1.
        bins: per code.

    Returns:
        ``score`` is the mean over the cuts, ``per_factor`` has each.

    Raises:
        ValueError: ``period`` is not positive, ``cuts`` is below 1, all angles are alike, a shape is wrong, or a value
            is not finite.
    """
    if not 0 < period < np.inf:
        raise ValueError(f"period must be positive, got {period}")
    angles = finite("angles", angles, "(N)", largest=PERIODS * period)
    if cuts < 1:
        raise ValueError(f"cuts must be at least 1, got {cuts}")
    towards = np.cos(2 * np.pi / period * angles[:, None] - np.pi / cuts * np.arange(cuts))
    high = towards > np.median(towards, axis=0)
    if (cut := np.flatnonzero(~high.any(0))).size:
        raise ValueError(
            f"angles: at cut {cut[0]} of {cuts} none is above the median, too many are alike; use other cuts"
        )
    return mig(codes, high, bins)


def _mig(information: np.ndarray, entropy: np.ndarray) -> MIGScore:
    best, gap = _gap(information)
    if not (entropy > 0).all():
        raise ValueError(
            f"factors[:, {entropy.argmin()}] has no entropy by this estimator; give more rows, or leave it out"
        )
    per_factor = gap / entropy
    return MIGScore(float(per_factor.mean()), per_factor, best, information, entropy)


def _mig_from_posterior(information: np.ndarray, labels: list[np.ndarray]) -> MIGScore:
    samples, entropy = len(information), np.array([stats.entropy(np.bincount(v)) for v in labels])
    found = _mig(information.mean(0), entropy)
    top = np.argsort(found.mutual_information, axis=0)[-2:]
    best, second = (np.take_along_axis(information, j[None, None], 1)[:, 0] for j in top[::-1])
    gap = ((best - second) / entropy).mean(1)
    return replace(found, standard_error=float(gap.std(ddof=1) / np.sqrt(samples)))
