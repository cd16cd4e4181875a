"""Options that are numbers: whole ones of any kind, NumPy's too, become Python's own; all else is refused by name.

A fraction would otherwise go on until NumPy or PyTorch stumbles over it in words of its own, or be rounded, or give a
number of something that nobody has defined; and so would text or NaN in the place of a real number.
"""

from __future__ import annotations

import inspect
import operator
import sys
from collections.abc import Callable
from functools import wraps
from numbers import Real
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

MAY_BE_NONE = {"int": False, int: False, "int | None": True, int | None: True}  # by the annotation of an option
REAL_MAY_BE_NONE = {"float": False, float: False, "float | None": True, float | None: True}


def whole(name: str, value: Any, least: int | None = None, error: type[ValueError] = ValueError) -> int:
    """A whole number of any kind, NumPy's too, as Python's own.

    Raises:
        ValueError: it is none of 64 bits, or below ``least``. True and False are none.
    """
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None or not -(2**63) <= number < 2**63:
        raise error(f"{name} must be a whole number of 64 bits, got {value!r}")
    if least is not None and number < least:
        raise error(f"{name} must be at least {least}, got {number}")
    return number


def is_real(value: Any) -> bool:
    """Whether it is a finite real number of any kind, NumPy's and PyTorch's too; True and False are none."""
    number = value.item() if getattr(value, "shape", None) == () else value
    most = sys.float_info.max
    return isinstance(number, Real) and not isinstance(number, bool) and -most <= number <= most


def real(name: str, value: Any, least: float | None = None) -> Any:
    """A finite real number as it is given.

    Raises:
        ValueError: it is none, or below ``least``.
    """
    if not is_real(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    if least is not None and value < least:
        raise ValueError(f"{name} must be at least {least:g}, got {value}")
    return value


def whole_options(error: type[ValueError] = ValueError, /, **least: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Checks the arguments that a function annotates as ``int`` or ``int | None`` before it is entered.

    Args:
        error: what is raised.
        **least: the least value of an option, where the function does not say it itself.
    """
    return _checking(MAY_BE_NONE, lambda name, value: whole(name, value, least.get(name), error))


def real_options(**least: float) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Checks the arguments that a function annotates as ``float`` or ``float | None``; they are passed on as they are.

    Args:
        **least: the least value of an option, where the function does not say it itself.
    """
    return _checking(REAL_MAY_BE_NONE, lambda name, value: real(name, value, least.get(name)))


def _checking(
    may_be_none: dict[Any, bool], check: Callable[[str, Any], Any]
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Gives a function, of the arguments with these annotations, what ``check(name, value)`` makes of them."""

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        found = signature.parameters.items()
        options = {name: may_be_none[p.annotation] for name, p in found if p.annotation in may_be_none}

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs)
            for name in [name for name in options if name in given.arguments]:
                if not (options[name] and given.arguments[name] is None):
                    given.arguments[name] = check(name, given.arguments[name])
            return function(*given.args, **given.kwargs)

        return checked

    return decorate
