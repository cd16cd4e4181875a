"""What the checks of the exercises are made of: an answer is read, called and compared, and what is wrong is said."""

from __future__ import annotations

import contextlib
import dis
import inspect
import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import CodeType, FrameType
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
            f"decimal number with a point, as in {answer[0]}.{answer[1]}{_without_a_comma(*map(str, answer))}."
        )
    if not isinstance(answer, str):
        return answer
    try:
        value = float(answer.strip().replace(",", ".").replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        raise WrongAnswer(f"{name} is the text {answer!r}, expected a number.") from None
    if not text:
        other = _without_a_comma(*answer.strip().split(",")) if "," in answer else ""
        raise WrongAnswer(f"{name} is a text: write the number without quotation marks, as {value:.12g}{other}.")
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
    answer = number(name, answer, text=False)
    try:
        value = int(answer)
        whole = value == answer
    except (TypeError, ValueError, OverflowError, RuntimeError):
        whole = False
    if whole is not True and not (isinstance(whole, np.bool_ | Tensor) and bool(whole)):
        got = f"{answer:g}" if isinstance(answer, float) else f"a value {_kind(answer)}"
        raise WrongAnswer(f"{name} must be a whole number from {low} to {high}, got {got}.")
    if not low <= value <= high:
        raise WrongAnswer(f"{name} must be a whole number from {low} to {high}, got {value}.")
    return value


def call(function: Callable, *args: Any, **options: Any) -> Any:
    """What a student's function returns; it works on copies, so that it cannot change what it is compared with.

    Raises:
        WrongAnswer: as :func:`call_as_it_is` does, or the function changes what it was given.
    """
    copies, named = [_copied(value) for value in args], {name: _copied(value) for name, value in options.items()}
    result = call_as_it_is(function, *copies, **named)
    for place, (copy, value) in enumerate(zip([*copies, *named.values()], [*args, *options.values()], strict=True)):
        if not _same(copy, value):
            which = [*_parameters(function, len(args)), *options][place]
            raise WrongAnswer(f"{_name(function)} changes {which}, which it was given: work on a copy.")
    return result


def call_as_it_is(function: Callable, *args: Any, **options: Any) -> Any:
    """What a student's function returns, which is given the arguments themselves.

    Raises:
        WrongAnswer: it is no function, still the stub, stops with an error or returns nothing; the message says which.
    """
    if not callable(function):
        raise WrongAnswer(f"expected a function, got {_kind(function)}.")
    name = _name(function)
    try:
        result = function(*args, **options)
    except WrongAnswer:
        raise
    except Exception as error:
        if isinstance(error, NotImplementedError) and not str(error):  # PyTorch raises it, too, and says why
            raise WrongAnswer(
                f"{name} is still the empty stub: replace `raise NotImplementedError` with your own lines, "
                "and run the cell again."
            ) from None
        said = f"{type(error).__name__}: {error}".rstrip(".: \n")
        power = " A power is written `**`; `^` is something else." if re.search(r"xor|for \^", said) else ""
        raise WrongAnswer(f"{name} stops with {said}.{power}") from error
    if result is None:
        raise WrongAnswer(f"{name} returns nothing: is there a `return`?")
    return result


def several(function: Callable, found: Any, count: int, meaning: str) -> list[Any]:
    """The values that a function returns together: in a tuple or a list, or in one array or tensor.

    Raises:
        WrongAnswer: there is another number of them.
    """
    together = isinstance(found, tuple | list) or (isinstance(found, Tensor | np.ndarray) and found.ndim)
    if not together or len(found) != count:
        words = {2: "two", 3: "three"}
        raise WrongAnswer(f"{_name(function)} has to return {words[count]} values, {meaning}.")
    return list(found)


@contextlib.contextmanager
def without(sentence: str, *forbidden: Callable) -> Iterator[None]:
    """Refuses what is computed in this block by one of the functions, whatever name it was imported by.

    Raises:
        WrongAnswer: one of them was called; the message is the sentence.
    """
    codes = {inspect.unwrap(function).__code__ for function in forbidden}
    seen = []

    def watch(frame: FrameType, event: str, _: Any) -> None:
        if event == "call" and frame.f_code in codes:
            seen.append(frame.f_code)

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        yield
    finally:
        sys.setprofile(before)
    if seen:
        raise WrongAnswer(sentence)


def has_a_loop(function: Callable) -> bool:
    """Whether there is a loop or a comprehension in the lines of a function."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    codes = [code] if code else []
    for code in codes:  # it grows: of each function those that are defined in it
        codes += [inner for inner in code.co_consts if isinstance(inner, CodeType)]
    return any("BACKWARD" in line.opname for code in codes for line in dis.get_instructions(code))


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
    dtype: torch.dtype | None = None,
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
        dtype: of the tensor, where a model goes on to calculate with the values.
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
            flows = isinstance(expected, Tensor) and expected.requires_grad
            of_kind(name, found, kind or (Tensor if isinstance(expected, Tensor) else None), dtype, flows=flows)
        return
    for sentence, value in mistakes.items() if isinstance(mistakes, Mapping) else mistakes or ():
        wrong = as_array(name, value)
        # A mistake that happens to give the right numbers explains nothing.
        same = wrong.shape == right.shape and np.allclose(wrong, right, rtol, atol)
        partly = bool(np.isfinite(wrong).any())  # NaN in the same places says something, NaN alone does not
        if not same and answer.shape == wrong.shape and np.allclose(answer, wrong, rtol, atol, equal_nan=partly):
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


def of_kind(
    name: str | Callable, value: Any, kind: type | None, dtype: torch.dtype | None = None, *, flows: bool = False
) -> None:
    """Refuses values that are in something that later cells cannot calculate with, such as a list.

    Args:
        name: of the answer, or the function that returned it.
        value: the answer.
        kind: ``Tensor`` or ``np.ndarray``; ``None`` if either will do.
        dtype: of a tensor; ``None`` if any will do.
        flows: whether a gradient has to flow through the values.

    Raises:
        WrongAnswer: it is of another kind, such as a list, or of another ``dtype``.
    """
    kinds = {Tensor: "a tensor", np.ndarray: "a NumPy array"}
    name = name if isinstance(name, str) else _name(name)
    if isinstance(value, kind or tuple(kinds)):
        if dtype and value.dtype != dtype:
            have, wanted = (str(one).removeprefix("torch.") for one in (value.dtype, dtype))
            raise WrongAnswer(f"{name}: the values are in {have}, and the model computes in {wanted}: add .float().")
        return
    if flows and isinstance(value, np.ndarray):
        raise WrongAnswer(
            f"{name}: the values are in a NumPy array, through which no gradient flows: compute them with torch "
            "throughout."
        )
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
    try:
        array = np.asarray(_detached(value))
    except (ValueError, TypeError, RuntimeError):
        array = np.asarray(None)
    if array.dtype.kind not in "biuf":
        raise WrongAnswer(f"{name} is {_kind(value)}, expected a number, an array or a tensor of numbers.")
    return array.astype(float)


def gradient(
    name: str | Callable, result: Tensor, *inputs: tuple[str, Tensor], expected: Tensor | None = None
) -> tuple[Tensor, ...]:
    """Checks that gradients flow from a result to its inputs, and returns those of its sum.

    Args:
        name: of the answer, or the function that returned it.
        result: a tensor.
        inputs: names and tensors that require gradients.
        expected: the right result, if the gradients have to be those of its sum.

    Raises:
        WrongAnswer: the result, or a part of it, is detached from one of them.
    """
    name = name if isinstance(name, str) else _name(name)
    if not isinstance(result, Tensor):
        raise WrongAnswer(
            f"{name} returns a value {_kind(result)}, through which no gradient flows: compute it with torch "
            "throughout."
        )
    asked = "is it computed with torch throughout, without detach(), item(), numpy() or no_grad()?"
    if not result.requires_grad:
        raise WrongAnswer(f"{name}: no gradient flows through the result; {asked}")
    tensors = [tensor for _, tensor in inputs]
    gradients = torch.autograd.grad(result.sum(), tensors, allow_unused=True, retain_graph=True)
    for (which, _), slope in zip(inputs, gradients, strict=True):
        if slope is None:
            raise WrongAnswer(f"{name}: no gradient reaches {which}; {asked}")
    if expected is not None:
        right = torch.autograd.grad(expected.sum(), tensors, allow_unused=True, retain_graph=True)
        for (which, _), slope, value in zip(inputs, gradients, right, strict=True):
            if value is not None and not torch.allclose(slope, value, rtol=1e-3, atol=1e-4):
                raise WrongAnswer(
                    f"{name}: the values are right, and the gradient with respect to {which} is not; {asked}"
                )
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
    nonzero = right.size and (np.abs(right) > 1e-12).all()
    if nonzero and np.allclose(answer, -right, rtol, 0):
        return "has the wrong sign"
    if right.size > 1:
        fits = {}  # what is left over if it is a constant factor or a constant term
        factor = float(np.median(answer / right)) if nonzero else 0.0
        if factor and np.allclose(answer, factor * right, rtol, 0):
            said = f"is {factor:.4g} times what it should be: look for a constant factor"
            fits[said] = np.abs(answer - factor * right).max()
        term = float(np.mean(answer - right))
        if np.allclose(answer - right, term, rtol, 1e-6) and not math.isclose(term, 0, abs_tol=1e-9):
            said = f"is off by the same {term:+.4g} everywhere: look for a constant term"
            fits[said] = np.abs(answer - right - term).max()
        if fits:
            return min(fits, key=lambda said: fits[said])
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


def _without_a_comma(whole: str, part: str) -> str:
    """What else a comma may mean: in ``73,728`` it may part thousands."""
    thousands = len(part) == 3 and whole.lstrip("-0") != ""
    return f", or, if the comma parts thousands, without it: {whole}{part}" if thousands else ""


def _copied(value: Any) -> Any:
    """An argument that may be changed: a copy of a tensor or an array, also of those in a list."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, np.ndarray):
        return value.copy()
    return type(value)(map(_copied, value)) if type(value) in {list, tuple} else value


def _same(copy: Any, value: Any) -> bool:
    """Whether a copy still is what it was made of."""
    if isinstance(value, Tensor):
        return torch.equal(copy, value)
    if isinstance(value, np.ndarray):
        return np.array_equal(copy, value)
    if type(value) in {list, tuple}:
        return len(copy) == len(value) and all(map(_same, copy, value))
    return copy is value


def _parameters(function: Callable, count: int) -> list[str]:
    """The names of a function's first parameters."""
    try:
        names = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # of a function that is written in C
        names = []
    return [*names, *("an argument" for _ in range(count))][:count]


def _detached(value: Any) -> Any:
    """Without gradients, also the tensors in a list."""
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy()
    return [_detached(one) for one in value] if isinstance(value, list | tuple) else value


def _name(function: Callable) -> str:
    return f"{getattr(function, '__name__', 'your function')}(…)"


def _kind(value: Any) -> str:
    return f"of type {type(value).__name__}" if not isinstance(value, type) else f"the type {value.__name__}"
