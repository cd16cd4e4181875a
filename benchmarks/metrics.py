"""Seconds of the metrics against their plain implementations, which call scikit-learn once per pair.

The two take turns in one process, so that other load on the machine meets both. Printed are the medians over the
rounds, the processor's seconds in brackets, and the median of each round's ratios; the values have to agree, or the
script stops. The second table has every metric of disentanglement on one set of codes, and the report that holds them
all. The processor's seconds are those of all threads: other load moves them less than the wall's.
"""

from __future__ import annotations

import argparse
import os
import time
import warnings
from collections.abc import Callable

import numpy as np
import scipy.linalg
from sklearn.feature_selection import mutual_info_regression
from sklearn.metrics import mutual_info_score
from sklearn.svm import LinearSVC

from medlatent.metrics import disentanglement
from medlatent.metrics.generation import frechet_distance

BINS = 20


def constructed(rows: int, dimensions: int, count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Codes that hold factors of 2 to 11 imbalanced classes, and noise."""
    random = np.random.default_rng(seed)
    factors = np.stack([random.binomial(k % 10 + 1, 0.4, rows) for k in range(count)], 1).astype(float)
    mixing = random.normal(size=(count, dimensions)) * (random.random((count, dimensions)) < 0.2)
    return factors @ mixing + random.normal(size=(rows, dimensions)), factors


def per_pair(measure: Callable, codes: np.ndarray, factors: np.ndarray) -> np.ndarray:
    return np.array([[measure(code, factor) for factor in factors.T] for code in codes.T])


def mean_gap(matrix: np.ndarray, unit: np.ndarray | float = 1.0) -> float:
    ordered = np.sort(matrix, axis=0)
    return float(((ordered[-1] - ordered[-2]) / unit).mean())


def plain_modularity(information: np.ndarray) -> float:
    squared = information**2
    largest = squared.max(1)
    return float((1 - (squared.sum(1) - largest) / (largest * (information.shape[1] - 1))).mean())


def binned_information(code: np.ndarray, factor: np.ndarray) -> float:
    return mutual_info_score(factor, np.digitize(code, np.histogram(code, BINS)[1][:-1]))


def neighbour_information(code: np.ndarray, factor: np.ndarray) -> float:
    return mutual_info_regression(code[:, None], factor, random_state=0)[0]


def squared_correlation(code: np.ndarray, factor: np.ndarray) -> float:
    covariance = np.cov(code, factor)
    return covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1])


def machine_accuracy(code: np.ndarray, factor: np.ndarray) -> float:
    rows = len(code) * 2 // 3
    machine = LinearSVC(C=0.01, class_weight="balanced").fit(code[:rows, None], factor[:rows])
    return machine.score(code[rows:, None], factor[rows:])


def plain_frechet(a: np.ndarray, b: np.ndarray) -> float:
    difference = a.mean(0) - b.mean(0)
    covariances = [np.cov(x, rowvar=False) for x in (a, b)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    return float(difference @ difference + np.trace(covariances[0] + covariances[1] - 2 * root))


def contenders(codes: np.ndarray, factors: np.ndarray, features: int) -> dict[str, tuple[Callable, Callable, float]]:
    """By name: ours, the plain implementation, and the relative difference allowed."""
    random = np.random.default_rng(1)
    continuous = factors + random.normal(size=factors.shape)
    sets = [random.normal(size=(len(codes), features)) @ random.normal(size=(features, features)) for _ in "ab"]
    entropy = np.array([mutual_info_score(v, v) for v in factors.T])
    return {
        "MIG, 20 bins": (
            lambda: disentanglement.mig(codes, factors, BINS).score,
            lambda: mean_gap(per_pair(binned_information, codes, factors), entropy),
            1e-9,
        ),
        "SAP, continuous": (
            lambda: disentanglement.sap(codes, factors, "continuous").score,
            lambda: mean_gap(per_pair(squared_correlation, codes, factors)),
            1e-9,
        ),
        "SAP, discrete": (
            lambda: disentanglement.sap(codes, factors).score,
            lambda: mean_gap(per_pair(machine_accuracy, codes, factors)),
            1e-9,
        ),
        "Modularity, 20 bins": (
            lambda: disentanglement.modularity(codes, factors, "bins", BINS).score,
            lambda: plain_modularity(per_pair(binned_information, codes, factors)),
            1e-9,
        ),
        # Each breaks ties by noise of its own.
        "Modularity, neighbours": (
            lambda: disentanglement.modularity(codes, continuous, "knn").score,
            lambda: plain_modularity(per_pair(neighbour_information, codes, continuous)),
            1e-3,
        ),
        f"FID, {features} features": (lambda: frechet_distance(*sets).score, lambda: plain_frechet(*sets), 1e-6),
    }


def timed(function: Callable[[], float]) -> tuple[np.ndarray, float]:
    """Seconds on the wall and of the processor, and the value."""
    began = np.array([time.perf_counter(), time.process_time()])
    value = function()
    return np.array([time.perf_counter(), time.process_time()]) - began, value


def compare(found: dict[str, tuple[Callable, Callable, float]], rounds: int) -> None:
    """Prints the first table.

    Raises:
        AssertionError: two values differ.
    """
    print(f"{'':26}{'value':>12}{'seconds':>19}{'plain':>17}{'ratio':>16}")
    for name, (ours, plain, tolerance) in found.items():
        seconds = []
        for _ in range(rounds):
            (fast, value), (slow, expected) = timed(ours), timed(plain)
            np.testing.assert_allclose(value, expected, rtol=tolerance, err_msg=name)
            seconds.append((fast, slow))
        seconds = np.array(seconds)  # (rounds, ours or plain, wall or processor)
        (fast, fast_processor), (slow, slow_processor) = np.median(seconds, axis=0)
        ratio, of_processor = np.median(seconds[:, 1] / seconds[:, 0], axis=0)
        print(
            f"{name:26}{value:>12.6f}{fast:>10.4f} ({fast_processor:.4f}){slow:>8.3f} ({slow_processor:.3f})"
            f"{ratio:>8.1f} ({of_processor:.1f})",
            flush=True,
        )


def report(codes: np.ndarray, factors: np.ndarray, rounds: int, boosted: bool) -> None:
    """Prints the second table."""
    mean, logvar = codes, np.full_like(codes, -2.0)
    metrics = {
        "mig": lambda: disentanglement.mig(codes, factors),
        "mig_knn": lambda: disentanglement.mig_knn(codes, factors),
        "mig_from_posterior": lambda: disentanglement.mig_from_posterior(mean, logvar, factors),
        "sap, discrete": lambda: disentanglement.sap(codes, factors),
        "sap, continuous": lambda: disentanglement.sap(codes, factors, "continuous"),
        "modularity": lambda: disentanglement.modularity(codes, factors),
        "modularity, knn": lambda: disentanglement.modularity(codes, factors, "knn"),
        "interpretability": lambda: disentanglement.interpretability(codes, factors),
        "scc": lambda: disentanglement.scc(codes, factors),
        "total_correlation": lambda: disentanglement.total_correlation(mean, logvar),
        "dci, forest of 25": lambda: disentanglement.dci(codes, factors, "random_forest", trees=25),
        "dci, forest of 100": lambda: disentanglement.dci(codes, factors, "random_forest"),
    }
    if boosted:
        metrics["dci, boosted trees"] = lambda: disentanglement.dci(codes, factors)
    metrics["report"] = lambda: disentanglement.report(mean, logvar, factors)
    print(f"{'':26}{'value':>12}{'seconds':>10}{'processor':>12}")
    for name, metric in metrics.items():
        times, found = zip(*(timed(metric) for _ in range(rounds)), strict=True)
        wall, processor = np.median(times, axis=0)
        value = f"{found[0].score:.6f}" if name != "report" else ""
        print(f"{name:26}{value:>12}{wall:>10.3f}{processor:>12.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--dimensions", type=int, default=32)
    parser.add_argument("--factors", type=int, default=10)
    parser.add_argument("--features", type=int, default=256, help="of the two sets for the Fréchet distance")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--report-factors", type=int, default=4, help="factors of the second table")
    parser.add_argument("--boosted", action="store_true", help="boosted trees in the second table, for minutes")
    options = parser.parse_args()

    print(f"N = {options.rows}, D = {options.dimensions}, K = {options.factors}, load average {os.getloadavg()[0]:.1f}")
    codes, factors = constructed(options.rows, options.dimensions, options.factors)
    compare(contenders(codes, factors, options.features), options.rounds)

    print(f"\none model: K = {options.report_factors}, load average {os.getloadavg()[0]:.1f}")
    report(*constructed(options.rows, options.dimensions, options.report_factors), options.rounds, options.boosted)
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
