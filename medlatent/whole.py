"""Options that are whole numbers: those of any kind, NumPy's too, become Python's own; all else is refused by name.

A fraction would otherwise go on until NumPy or PyTorch stumbles over it in words of its own, or be rounded, or give a
number of something that nobody has defined.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
R = TypeVar("R")

MAY_BE_NONE = {"int": False, int: False, "int | None": True, int | None: True}  # by the annotation of an option


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


def whole_options(error: type[ValueError] = ValueError, /, **least: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Checks the arguments that a function annotates as ``int`` or ``int | None`` before it is entered.

    Args:
        error: what is raised.
        **least: the least value of an option, where the function does not say it itself.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)
        found = signature.parameters.items()
        options = {name: MAY_BE_NONE[p.annotation] for name, p in found if p.annotation in MAY_BE_NONE}

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            given = signature.bind(*args, **kwargs)
            for name, may_be_none in options.items():
                if name in given.arguments and not (may_be_none and given.arguments[name] is None):
                    given.arguments[name] = whole(name, given.arguments[name], least.get(name), error)
            return function(*given.args, **given.kwargs)

        return checked

    return decorate
