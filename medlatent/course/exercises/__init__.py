"""The checks of the exercise notebooks, one module a chapter.

A check calls the answer and compares it with a value that is computed on the spot. It says in one sentence what is
wrong, or what follows when the answer is right. With another ``seed`` it tries other inputs. Reading a check is
allowed: it shows what is compared, not how to get there.
"""

from .answers import (
    WrongAnswer,
    as_array,
    call,
    choose,
    closest,
    compare,
    correct,
    gradient,
    number,
    numbers,
    of_kind,
    value_of,
    whole_number,
)

__all__ = [
    "WrongAnswer",
    "as_array",
    "call",
    "choose",
    "closest",
    "compare",
    "correct",
    "gradient",
    "number",
    "numbers",
    "of_kind",
    "value_of",
    "whole_number",
]
