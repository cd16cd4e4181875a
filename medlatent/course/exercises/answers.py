"""What the checks of the exercises are made of: an answer is read, called and compared, and what is wrong is said."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor


class WrongAnswer(Exception):
    """An answer is not right yet; the message says what to look at.

    Notebooks show the message alone, without the traceback through the check.
    """

    def _render_traceback_(self) -> list[str]:  # asked for by IPython
        return [f"Not yet. {self}"]


def correct(message: str) -> None:
    """Says that an answer is right, and what follows from it."""
    print(f"Correct. {message}")


def value_of(name: str, answer: Any) -> Any:
    """The answer, if there is one.

    Raises:
        WrongAnswer: it is still ``None`` or ``...``.
    """
    if answer is None or answer is Ellipsis:
        raise WrongAnswer(f"{name} has no value yet: replace the placeholder with your answer.")
    return answer


def number(name: str, answer: Any, *, text: bool = True) -> Any:
    """A number that was typed, not computed: a text that holds one is read, with a decimal comma or a point.

    Args:
        name: of the answer.
        answer: what was typed.
        text: whether a text will do; not where a later cell calculates with the answer.

    Raises:
        WrongAnswer: there is no answer yet, it is a text that is no number, or a pair such as ``0,5`` makes.
    """
    answer = value_of(name, answer)
    if _typed_with_a_comma(answer):
        raise WrongAnswer(
            f"{name} is a pair of numbers, {answer[0]} and {answer[1]}: in Python a comma separates numbers. Write a "
            f"decimal number with a point, as in {answer[0]}.{answer[1]}."
        )
    if not isinstance(answer, str):
        return answer
    try:
        value = float(answer.strip().replace(",", ".").replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        raise WrongAnswer(f"{name} is the text {answer!r}, expected a number.") from None
    if not text:
        raise WrongAnswer(f"{name} is a text: write the number without quotation marks, as {value:g}.")
    return value


def numbers(name: str, answer: Any, names: Sequence[str]) -> list[Any]:
    """Several typed numbers, one for each of ``names``; :func:`compare` reads the single ones.

    Raises:
        WrongAnswer: there is another number of them.
    """
    answer = value_of(name, answer)
    several = isinstance(answer, tuple | list) or (isinstance(answer, Tensor | np.ndarray) and answer.ndim)
    values = list(answer) if several else None
    if values is None or len(values) != len(names):
        comma = ""
        if values is not None and len(values) > len(names):
            comma = " A comma separates numbers: write decimal ones with a point, as in 0.5."
        raise WrongAnswer(f"{name} has to hold {len(names)} numbers: {', '.join(names)}.{comma}")
    return values


def whole_number(name: str, answer: Any, low: int, high: int) -> int:
    """The answer as a whole number from ``low`` to ``high``.

    Raises:
        WrongAnswer: it is none, or outside the range.
    """
    answer = value_of(name, answer)
    if _typed_with_a_comma(answer):
        raise WrongAnswer(
            f"{name} is a pair of numbers, {answer[0]} and {answer[1]}: in Python a comma separates numbers. Write one "
            f"whole number from {low} to {high}, without a comma."
        )
    if isinstance(answer, str) and answer.strip().isdecimal():
        raise WrongAnswer(f"{name} is a text: write the number without quotation marks, as {answer.strip()}.")
    try:
        number = int(answer)
        whole = number == answer
    except (TypeError, ValueError, OverflowError, RuntimeError):
        whole = False
    if whole is not True and not (isinstance(whole, np.bool_ | Tensor) and bool(whole)):
        raise WrongAnswer(f"{name} must be a whole number from {low} to {high}, got {_kind(answer)}.")
    if not low <= number <= high:
        raise WrongAnswer(f"{name} must be a whole number from {low} to {high}, got {number}.")
    return number


def call(function: Callable, *args: Any, **options: Any) -> Any:
    """What a student's function returns.

    Raises:
        WrongAnswer: it is no function, still the stub, stops with an error or returns nothing; the message says which.
    """
    if not callable(function):
        raise WrongAnswer(f"expected a function, got {_kind(function)}.")
    name = _name(function)
    try:
        result = function(*args, **options)
    except NotImplementedError:
        raise WrongAnswer(
            f"{name} is still the empty stub: replace `raise NotImplementedError` with your own lines, "
            "and run the cell again."
        ) from None
    except Exception as error:
        said = f"{type(error).__name__}: {error}".rstrip(".: \n")
        raise WrongAnswer(f"{name} stops with {said}.") from error
    if result is None:
        raise WrongAnswer(f"{name} returns nothing: is there a `return`?")
    return result


def pair_of(function: Callable, found: Any, meaning: str) -> tuple[Any, Any]:
    """Both values of an answer that has two.

    Raises:
        WrongAnswer: it has another number of them.
    """
    if not isinstance(found, tuple | list) or len(found) != 2:
        raise WrongAnswer(f"{function.__name__}(…) has to return two values, {meaning}.")
    return found[0], found[1]


def compare(
    name: str | Callable,
    found: Any,
    expected: Any,
    *,
    meaning: str = "",
    mistakes: Mapping[str, Any] | Sequence[tuple[str, Any]] | None = None,
    hint: str = "",
    reveal: bool = True,
    kind: type | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-6,
) -> None:
    """Compares numbers, and names the mistake where the difference betrays it.

    Right values are not enough where several are asked for: a list cannot be calculated with as a tensor can, so that
    a later cell would stop with an error. They have to be in a tensor where the right ones are, and else in a tensor
    or an array. A single number may be any.

    Args:
        name: of the answer, or the function that returned it.
        found: the answer: a number, array or tensor.
        expected: the right value.
        meaning: what the shape stands for, as in ``"one value an image"``; said when the shape is wrong.
        mistakes: sentences, each with the value that this mistake leads to; pairs, if it may lead to several.
        hint: said when the value is wrong in no known way.
        reveal: whether a message may hold the right value; not for a single one that is typed, such as a prediction.
            A typed one may be a text, which :func:`number` reads.
        kind: ``Tensor`` or ``np.ndarray``, if several values have to be in this one.
        rtol: tolerated relative difference.
        atol: tolerated absolute difference.

    Raises:
        WrongAnswer: the answer is not numeric, has another shape, is NaN, differs, or is of another kind.
    """
    name = name if isinstance(name, str) else _name(name)
    found = value_of(name, found) if reveal else number(name, found)
    right, answer = as_array(name, expected), as_array(name, found)
    if answer.shape == right.shape and np.allclose(answer, right, rtol, atol):
        if right.ndim:
            of_kind(name, found, kind or (Tensor if isinstance(expected, Tensor) else None))
        return
    for sentence, value in mistakes.items() if isinstance(mistakes, Mapping) else mistakes or ():
        wrong = as_array(name, value)
        # A mistake that happens to give the right numbers explains nothing.
        same = wrong.shape == right.shape and np.allclose(wrong, right, rtol, atol)
        if not same and answer.shape == wrong.shape and np.allclose(answer, wrong, rtol, atol):
            raise WrongAnswer(f"{name}: {sentence}")
    if answer.shape != right.shape:
        stands = f": {meaning}" if meaning else ""
        raise WrongAnswer(f"{name} has the shape {answer.shape}, expected {right.shape}{stands}.")
    if not np.isfinite(answer).all():
        raise WrongAnswer(f"{name} holds a value that is NaN or infinite.")
    raise WrongAnswer(f"{name} {_difference(answer, right, rtol, reveal)}.{f' {hint}' if hint else ''}")


def closest(found: Any, candidates: Sequence[Any]) -> Any:
    """Of several right values, such as those of both denominators of a standard deviation, that nearest to the answer.

    An answer that has another shape, or is no number at all, is left to :func:`compare`, with the first of them.
    """
    try:
        answer = as_array("", found)
    except WrongAnswer:
        return candidates[0]
    values = [as_array("", candidate) for candidate in candidates]
    if answer.shape != values[0].shape or not np.isfinite(answer).all():
        return candidates[0]
    return candidates[int(np.argmin([np.abs(answer - value).max(initial=0) for value in values]))]


def of_kind(name: str | Callable, value: Any, kind: type | None) -> None:
    """Refuses values that are in something that later cells cannot calculate with, such as a list.

    Args:
        name: of the answer, or the function that returned it.
        value: the answer.
        kind: ``Tensor`` or ``np.ndarray``; ``None`` if either will do.

    Raises:
        WrongAnswer: it is of another kind, such as a list.
    """
    kinds = {Tensor: "a tensor", np.ndarray: "a NumPy array"}
    if isinstance(value, kind or tuple(kinds)):
        return
    name = name if isinstance(name, str) else _name(name)
    asked = kinds.get(kind, "a tensor or a NumPy array")
    have = next((word for known, word in kinds.items() if isinstance(value, known)), f"a {type(value).__name__}")
    ways = {
        Tensor: "torch.from_numpy(…) makes one"
        if isinstance(value, np.ndarray)
        else "torch.tensor(…) makes one of numbers, torch.stack(…) of tensors",
        np.ndarray: "its numpy() is one" if isinstance(value, Tensor) else "np.array(…) makes one",
    }
    raise WrongAnswer(
        f"{name}: the values are in {have}, and have to be in {asked}, so that later cells can calculate with them; "
        f"{ways.get(kind, ways[np.ndarray])}."
    )


def as_array(name: str, value: Any) -> np.ndarray:
    """The answer as an array of floats.

    Raises:
        WrongAnswer: it is no number, array or tensor of numbers.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    try:
        array = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # the last from a list of tensors that require gradients
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise WrongAnswer(f"{name} is {_kind(value)}, expected a number, an array or a tensor of numbers.")
    return array.astype(float)


def gradient(name: str | Callable, result: Tensor, *inputs: tuple[str, Tensor]) -> tuple[Tensor, ...]:
    """Checks that gradients flow from a result to its inputs, and returns those of its sum.

    Args:
        name: of the answer, or the function that returned it.
        result: a tensor.
        inputs: names and tensors that require gradients.

    Raises:
        WrongAnswer: the result is detached from one of them.
    """
    name = name if isinstance(name, str) else _name(name)
    if not isinstance(result, Tensor):
        raise WrongAnswer(f"{name} returns {_kind(result)}, expected a tensor.")
    asked = "is it computed with torch throughout, without detach(), item(), numpy() or no_grad()?"
    if not result.requires_grad:
        raise WrongAnswer(f"{name}: no gradient flows through the result; {asked}")
    tensors = [tensor for _, tensor in inputs]
    gradients = torch.autograd.grad(result.sum(), tensors, allow_unused=True, retain_graph=True)
    for (which, _), slope in zip(inputs, gradients, strict=True):
        if slope is None:
            raise WrongAnswer(f"{name}: no gradient reaches {which}; {asked}")
    return gradients


def choose(name: str, answer: Any, right: str, feedback: Mapping[str, str]) -> None:
    """Checks the choice of a lettered statement.

    Args:
        name: of the answer.
        answer: a letter, as a string.
        right: the letter of the right statement.
        feedback: for each letter that can be chosen and is wrong, why.

    Raises:
        WrongAnswer: it is another letter, or none of them.
    """
    letters = sorted({right, *feedback})
    if not isinstance(value_of(name, answer), str) or answer.strip().lower() not in letters:
        raise WrongAnswer(f"{name} must be one of the letters {', '.join(map(repr, letters))}, got {answer!r}.")
    if (letter := answer.strip().lower()) != right:
        raise WrongAnswer(f"{name} = {letter!r}: {feedback[letter]}")


def _difference(answer: np.ndarray, right: np.ndarray, rtol: float, reveal: bool) -> str:
    """How two arrays of one shape differ, in words."""
    if not reveal:
        return "is not right"
    finite = np.abs(right) > 1e-12
    if right.size and finite.all():
        ratios = answer / right
        factor = float(np.median(ratios))
        if np.allclose(answer, -right, rtol):
            return "has the wrong sign"
        if right.size > 1 and factor and np.allclose(ratios, factor, rtol):
            return f"is {factor:.4g} times what it should be: look for a constant factor"
    if right.size > 1:
        surplus = answer - right
        if np.allclose(surplus, surplus.mean(), rtol, 1e-6) and not math.isclose(surplus.mean(), 0, abs_tol=1e-9):
            return f"is off by the same {surplus.mean():+.4g} everywhere: look for a constant term"
    worst = np.unravel_index(np.argmax(np.abs(answer - right)), right.shape)
    place = f" at {tuple(int(i) for i in worst)}" if right.ndim else ""
    return f"is {answer[worst]:.5g}{place}, expected {right[worst]:.5g}"


def _typed_with_a_comma(answer: Any) -> bool:
    """Whether the answer is what Python makes of a number with a comma in it, such as ``0,5``."""
    return (
        isinstance(answer, tuple)
        and len(answer) == 2
        and all(isinstance(value, int) and not isinstance(value, bool) for value in answer)
        and answer[1] >= 0
    )


def _name(function: Callable) -> str:
    return f"{getattr(function, '__name__', 'your function')}(…)"


def _kind(value: Any) -> str:
    return f"of type {type(value).__name__}" if not isinstance(value, type) else f"the type {value.__name__}"
