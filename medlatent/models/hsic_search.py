"""The search for the bandwidth and the weight of HSIC-InfoGAN: Liu et al. (2022), section 3.3."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SIGMAS = (2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0)  # what Liu et al. search
WEIGHTS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
SAME_ORDER = 0.5  # two numbers are of one order where they differ by less than a factor of √10


@dataclass(frozen=True)
class Trial:
    """What one trial of a search found.

    Attributes:
        sigma: the bandwidth.
        weight: λ.
        dependence: the magnitude of the term that λ weighs, unweighted, such as HSIC.
        adversarial: the magnitude of the loss that it stands beside.
    """

    sigma: float
    weight: float
    dependence: float
    adversarial: float

    @property
    def weighted(self) -> float:
        """λ times the dependence."""
        return self.weight * self.dependence

    @property
    def orders(self) -> float:
        """The decimal logarithm of their ratio, weighted dependence over the other loss; -inf where there is none."""
        return math.log10(self.weighted / self.adversarial) if self.dependence else -math.inf


@dataclass(frozen=True)
class Balance:
    """The outcome of :func:`balance`.

    Attributes:
        chosen: the trial that was chosen.
        trials: all trials in the order in which they were run: first those of the bandwidth, then those of the weight.
        target: what the ratio of the two losses was to be.
    """

    chosen: Trial
    trials: tuple[Trial, ...]
    target: float

    @property
    def same_order(self) -> bool:
        """Whether the chosen ratio is within a factor of √10 of the target."""
        return _distance(self.chosen, self.target) < SAME_ORDER


def balance(
    trial: Callable[[float, float], tuple[float, float]],
    sigmas: Sequence[float] = SIGMAS,
    weights: Sequence[float] = WEIGHTS,
    target: float = 1.0,
) -> Balance:
    """Searches σ first, then λ, until λ times a dependence is of the order of the loss beside it.

    Liu et al. find a good bandwidth first, "and then fine tune by finding the optimal λ"; what matters, they say, is
    that "the generator loss and the HSIC loss have the same order of magnitude". So: with λ = 1 every bandwidth is
    tried, and the one is kept whose ratio of dependence to adversarial loss is nearest to ``target`` on a logarithmic
    scale. With this bandwidth every weight is tried, and the nearest one kept. Of equally near ones the first.

    What a trial does is the caller's: train a model for some steps, or look at a single batch. The search looks at
    magnitudes alone and neither knows nor asks whether the trained model is a good one.

    Args:
        trial: ``trial(sigma, weight)`` returns the magnitudes of the dependence, unweighted and not negative, and of
            the adversarial loss, positive: two numbers.
        sigmas: the bandwidths, positive.
        weights: the values of λ, positive; 1 is not tried a second time.
        target: the ratio of λ times dependence to the adversarial loss.

    Returns:
        All trials, and the one that was chosen.

    Raises:
        ValueError: ``sigmas`` or ``weights`` is empty or holds a number that is not positive, ``target`` is not
            positive, a trial returns no such two numbers, or no bandwidth gives a dependence above 0; the message names
            the argument, or σ and λ of the trial.
    """
    for name, values in (("sigmas", sigmas), ("weights", weights), ("target", (target,))):
        if not len(values):
            raise ValueError(f"{name}: expected one value or more")
        if wrong := [v for v in values if not (v > 0 and math.isfinite(v))]:
            raise ValueError(f"{name}: expected positive numbers, got {wrong[0]}")

    def nearest(found: Sequence[Trial]) -> Trial:
        return min(found, key=lambda one: _distance(one, target))

    first = [_run(trial, sigma, 1.0) for sigma in sigmas]
    best = nearest(first)
    if not best.dependence:
        raise ValueError(f"trial: the dependence is 0 at all sigmas, {min(sigmas):g} to {max(sigmas):g}")
    second = [_run(trial, best.sigma, weight) for weight in weights if weight != 1]
    return Balance(nearest([best, *second] if 1 in weights else second), (*first, *second), target)


def _distance(trial: Trial, target: float) -> float:
    return abs(trial.orders - math.log10(target))


def _run(trial: Callable, sigma: float, weight: float) -> Trial:
    at, found = f"trial(sigma={sigma:g}, weight={weight:g})", trial(sigma, weight)
    try:
        dependence, adversarial = (float(value) for value in found)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{at}: expected two numbers, dependence and adversarial loss: {error}") from error
    if not (dependence >= 0 and math.isfinite(dependence)):
        raise ValueError(f"{at}: the dependence must be finite and not negative, got {dependence}")
    if not (adversarial > 0 and math.isfinite(adversarial)):
        raise ValueError(f"{at}: the adversarial loss must be finite and positive, got {adversarial}")
    return Trial(float(sigma), float(weight), dependence, adversarial)
