"""What a model is judged by, in suites: each is a module of this package, and a model names its suites.

A suite works in two steps, so that a number can be computed again without the network that it came from:

- ``observe(model, images)`` looks at the model: an array for each thing seen, such as the code of every image;
- ``numbers(observed, images)`` computes the numbers from these arrays and from the labels of the images.

A third, ``left_out(observed, images)``, names the numbers that these images do not give, each with the reason.
``TOLERANCES`` says by how much a number that jumps may differ when it is computed again on another machine. Suites that
observe the same share the function ``observe``. A new suite is a new file: nothing lists them.
"""

from __future__ import annotations

import importlib
import math
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType, ModuleType

import numpy as np

from ..data import ImageSet
from ..models import LatentModel
from .classifiers import classifier_of, classifiers_of, domain_classifier
from .columns import factor_columns

__all__ = [
    "Numbers",
    "agrees",
    "by_reason",
    "classifier_of",
    "classifiers_of",
    "domain_classifier",
    "evaluate",
    "factor_columns",
    "numbers_of",
    "observe",
    "suite",
    "suite_names",
    "suites_of",
]

# Another number of threads or another instruction set moves a sum of 12 288 float32 values in its fifth digit.
TOLERANCE = 1e-3


def suite_names() -> list[str]:
    """The names of all suites."""
    names = [module.name for module in pkgutil.iter_modules(__path__)]
    return [name for name in names if hasattr(importlib.import_module(f".{name}", __name__), "numbers")]


def suite(name: str) -> ModuleType:
    """A suite by its name.

    Raises:
        ValueError: there is no such suite; the message lists those there are.
    """
    if name not in suite_names():
        raise ValueError(f"unknown suite {name!r}: there are {', '.join(suite_names())}")
    return importlib.import_module(f".{name}", __name__)


def suites_of(model: LatentModel, suites: Sequence[str] | None = None) -> list[ModuleType]:
    """The suites that a model is judged by: those that it names, unless others are asked for.

    Raises:
        ValueError: a suite is unknown, or the model names none.
    """
    names = model.suites if suites is None else suites
    if not names:
        raise ValueError(f"{type(model).__name__} names no suite: set its attribute `suites`, or pass suites")
    return [suite(name) for name in names]


def observe(
    model: LatentModel, images: ImageSet, suites: Sequence[str] | None = None
) -> dict[str, dict[str, np.ndarray]]:
    """What the suites see of a model: of each module that observes, its arrays by name.

    Args:
        model: on any device, in any mode; it is left as it was.
        images: pass the test split.
        suites: by default those that the model names.

    Raises:
        ValueError: a suite is unknown, or the model names none.
    """
    return {
        module.observe.__module__.rpartition(".")[2]: module.observe(model, images)
        for module in {m.observe: m for m in suites_of(model, suites)}.values()
    }


class Numbers(dict[str, float]):
    """Numbers by name, and what is missing from them.

    Attributes:
        left_out: of numbers that these images or this model do not give, and of factors that do not count in others,
            the reason by name: too few images, no factor of that kind, no classifier of such images.
    """

    def __init__(self, values: Mapping[str, float] = MappingProxyType({}), left_out: Mapping[str, str] | None = None):
        super().__init__(values)
        self.left_out: dict[str, str] = dict(left_out or {})


def by_reason(left_out: Mapping[str, str]) -> list[tuple[list[str], str]]:
    """The names of what is left out, ``Numbers.left_out``, for each reason."""
    reasons = dict.fromkeys(left_out.values())
    return [([name for name, why in left_out.items() if why == reason], reason) for reason in reasons]


def numbers_of(
    observed: Mapping[str, Mapping[str, np.ndarray]],
    images: ImageSet,
    suites: Sequence[str],
) -> Numbers:
    """The numbers of suites from what was observed, as :func:`observe` returns it, and what is left out: of what was
    computed, what is no finite number.

    Raises:
        ValueError: a suite is unknown, two suites give one name to two numbers, or what a suite needs was not observed.
    """
    values = Numbers()
    for name in suites:
        module = suite(name)
        source = module.observe.__module__.rpartition(".")[2]
        if source not in observed:
            raise ValueError(f"the suite {name} needs what {source} observes, which is not there")
        found = module.numbers(observed[source], images)
        if twice := [key for key in found if key in values]:
            raise ValueError(f"the suite {name} computes {twice[0]!r}, which another suite computes, too")
        if hasattr(module, "left_out"):
            values.left_out |= module.left_out(observed[source], images)
        for key, number in found.items():
            if math.isfinite(number):
                values[key] = number
            else:
                values.left_out[key] = f"it is {number}"
    return values


def evaluate(model: LatentModel, images: ImageSet, suites: Sequence[str] | None = None) -> Numbers:
    """The numbers that a model is judged by, of each of its suites: see their modules for what each number is.

    What cannot be computed of these images is not there; ``left_out`` of what is returned says why.

    All random numbers are drawn from fixed seeds.

    Args:
        model: on any device, in any mode; it is left as it was.
        images: pass the test split.
        suites: by default those that the model names.

    Raises:
        ValueError: a suite is unknown, or the model names none.
    """
    chosen = tuple(model.suites if suites is None else suites)
    return numbers_of(observe(model, images, chosen), images, chosen)


@cache
def _tolerances() -> dict[str, float]:
    found: dict[str, float] = {}
    for name in suite_names():
        stated = getattr(suite(name), "TOLERANCES", {})
        if twice := sorted(set(stated) & set(found)):
            raise ValueError(f"the suite {name} states a tolerance of {twice[0]!r}, which another suite states, too")
        found |= stated
    return found


def agrees(recorded: float, now: float, name: str = "") -> bool:
    """Whether a number computed again is the recorded one, up to rounding on another machine.

    Args:
        recorded: the number of the record.
        now: the number computed again.
        name: what its suite calls it. A number that rounding can make jump, such as ``mig`` or ``slant.c1``, may differ
            by what its suite says of the name before its dot, any other one by a thousandth of its size.

    Raises:
        ValueError: two suites state a tolerance of one name.
    """
    if (tolerance := _tolerances().get(name.partition(".")[0])) is not None:
        return abs(recorded - now) <= tolerance
    return math.isclose(recorded, now, rel_tol=TOLERANCE, abs_tol=1e-9)
