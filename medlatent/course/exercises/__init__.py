"""The checks of the exercise notebooks, one module a chapter.

A check calls the answer and compares it with a value that is computed on the spot. It says in one sentence what is
wrong, or what follows when the answer is right. With another ``seed`` it tries other inputs. Reading a check is
allowed: it shows what is compared, not how to get there.
"""

from .answers import (
    WrongAnswer,
    as_array,
    call,
    call_as_it_is,
    choose,
    closest,
    compare,
    correct,
    gradient,
    has_a_loop,
    number,
    numbers,
    of_kind,
    several,
    value_of,
    whole_number,
    without,
)

__all__ = [
    "WrongAnswer",
    "as_array",
    "call",
    "call_as_it_is",
    "choose",
    "closest",
    "compare",
    "correct",
    "gradient",
    "has_a_loop",
    "number",
    "numbers",
    "of_kind",
    "several",
    "value_of",
    "whole_number",
    "without",
]
