"""What the checks of the exercises are made of: how typed numbers are read, and which values will do."""

import math
import re

import numpy as np
import pytest
import torch

from medlatent.course.exercises import (
    WrongAnswer,
    call,
    call_as_it_is,
    closest,
    compare,
    gradient,
    has_a_loop,
    number,
    numbers,
    of_kind,
    several,
    whole_number,
    without,
)


def forbidden(x):
    return x


def asks(x):
    return forbidden(x) + 1


class TestNumber:
    @pytest.mark.parametrize(
        ("typed", "value"), [("0,5", 0.5), ("0.5", 0.5), (" -0,25 ", -0.25), ("−1,5", -1.5), ("3", 3.0), (0.5, 0.5)]
    )
    def test_a_comma_is_a_decimal_point(self, typed, value):
        assert number("share", typed) == value
        compare("share", typed, value, reveal=False)

    @pytest.mark.parametrize(("pair", "meant"), [((0, 5), "0.5"), ((-70, 0), "-70.0"), ((1, 25), "1.25")])
    def test_the_pair_that_a_comma_makes_is_explained(self, pair, meant):
        with pytest.raises(WrongAnswer, match=rf"in Python a comma separates numbers.* with a point, as in {meant}\.$"):
            number("share", pair)

    def test_a_text_is_not_read_where_a_cell_calculates_with_it(self):
        with pytest.raises(WrongAnswer, match=r"share is a text: write the number without quotation marks, as 0\.5\."):
            number("share", "0,5", text=False)

    @pytest.mark.parametrize("typed", [(73, 728), "73,728"])
    def test_a_comma_may_part_thousands(self, typed):
        with pytest.raises(
            WrongAnswer, match=r"as (in )?73\.728, or, if the comma parts thousands, without it: 73728\.$"
        ):
            number("beta", typed, text=False)

    @pytest.mark.parametrize("typed", ["half", "1.234,5", ""])
    def test_a_text_without_a_number_is_refused(self, typed):
        with pytest.raises(WrongAnswer, match=re.escape(f"share is the text {typed!r}, expected a number.")):
            number("share", typed)

    def test_what_a_function_returns_is_not_read(self):
        with pytest.raises(WrongAnswer, match="of type str, expected a number"):
            compare("share", "0,5", 0.5)


class TestNumbers:
    NAMES = ("first", "second", "third")

    @pytest.mark.parametrize("three", [(1, 2, 3), [1, 2, 3], np.arange(3.0), torch.arange(3)])
    def test_a_number_for_each_name(self, three):
        assert len(numbers("scores", three, self.NAMES)) == 3

    def test_decimal_commas_make_too_many(self):
        with pytest.raises(WrongAnswer, match=r"3 numbers: first, second, third\. A comma .* point, as in 0\.5\."):
            numbers("scores", (0, 67, 1, 0, 67), self.NAMES)

    @pytest.mark.parametrize("other", [(1, 2), 7, "1, 2, 3", {}, np.zeros(())])
    def test_another_number_is_refused(self, other):
        with pytest.raises(WrongAnswer, match=r"has to hold 3 numbers: first, second, third\.$"):
            numbers("scores", other, self.NAMES)


class TestWholeNumber:
    @pytest.mark.parametrize("seven", [7, 7.0, np.int64(7), torch.tensor(7)])
    def test_a_whole_number_may_be_of_any_kind(self, seven):
        assert whole_number("count", seven, 0, 9) == 7

    def test_a_comma_between_thousands_is_explained(self):
        with pytest.raises(WrongAnswer, match=r"5 and 700: in Python a comma separates .* from 0 to 9999, without a"):
            whole_number("count", (5, 700), 0, 9999)

    def test_a_text_is_explained(self):
        with pytest.raises(WrongAnswer, match=r"without quotation marks, as 7\."):
            whole_number("count", "7", 0, 9)

    @pytest.mark.parametrize(
        ("typed", "says"), [(4.5, r"got 4\.5\."), ("4,0", "quotation marks, as 4\\."), ("four", "the text 'four'")]
    )
    def test_what_was_typed_is_shown(self, typed, says):
        with pytest.raises(WrongAnswer, match=says):
            whole_number("count", typed, 0, 6)


class TestCall:
    def test_an_answer_works_on_copies(self):
        kept, listed = torch.ones(2), [np.ones(2)]

        def changing(first, second, share):
            second[0] -= 1
            return first + share

        with pytest.raises(WrongAnswer, match=r"^changing\(…\) changes second, which it was given: work on a copy\.$"):
            call(changing, kept, listed, 0.5)
        assert listed[0].tolist() == [1, 1]
        assert call(lambda x: x, kept) is not kept
        assert call_as_it_is(lambda x: x, kept) is kept

    def test_gradients_pass_through_the_copy(self):
        x = torch.ones(2, requires_grad=True)
        call(lambda x: 3 * x, x).sum().backward()
        assert x.grad.tolist() == [3, 3]

    def test_what_pytorch_cannot_do_is_not_the_stub(self):
        with pytest.raises(WrongAnswer, match=r"stops with NotImplementedError.* A power is written `\*\*`"):
            call(lambda x: x ^ 2, torch.ones(2))

    def test_several_values_may_be_in_one_array(self):
        for found in ((1.0, 2.0), [1.0, 2.0], np.array([1.0, 2.0]), torch.tensor([1.0, 2.0])):
            assert [float(value) for value in several(call, found, 2, "both")] == [1, 2]
        for found in (1.0, (1, 2, 3), torch.tensor(1.0)):
            with pytest.raises(WrongAnswer, match=r"^call\(…\) has to return two values, both\.$"):
                several(call, found, 2, "both")

    def test_what_is_forbidden_is_noticed(self):
        with pytest.raises(WrongAnswer, match=r"^not so$"), without("not so", forbidden):
            asks(1)
        with without("not so", forbidden):
            assert abs(-1) == 1

    def test_loops_are_seen(self):
        def looping(x):
            for value in x:
                x = value
            return x

        assert has_a_loop(looping)
        assert has_a_loop(lambda x: sum(value for value in x))
        assert not has_a_loop(lambda x: x @ x)


class TestGradient:
    def test_a_part_that_is_detached_is_noticed(self):
        x = torch.ones(3, requires_grad=True)
        gradient("loss", x.square(), ("x", x), expected=x.square())
        with pytest.raises(WrongAnswer, match="the values are right, and the gradient with respect to x is not"):
            gradient("loss", x * x.detach(), ("x", x), expected=x.square())

    def test_a_list_of_tensors_gets_the_advice_for_tensors(self):
        x = torch.ones(2, requires_grad=True)
        with pytest.raises(WrongAnswer, match=r"in a list, .* torch\.stack\(…\) of tensors"):
            compare("loss", list(2 * x), 2 * x)

    def test_numpy_stops_a_gradient(self):
        x = torch.ones(2, requires_grad=True)
        with pytest.raises(WrongAnswer, match="no gradient flows: compute them with torch throughout"):
            compare("loss", np.array([2.0, 2.0]), 2 * x)


class TestDifference:
    def test_a_constant_term_is_no_factor(self):
        right = -50 + 0.01 * torch.arange(4.0)
        with pytest.raises(WrongAnswer, match=r"off by the same \+0\.56 everywhere"):
            compare("bound", right + 0.56, right)
        with pytest.raises(WrongAnswer, match=r"is 1\.1 times what it should be"):
            compare("bound", 1.1 * right, right)

    def test_what_is_tiny_is_no_factor(self):
        with pytest.raises(WrongAnswer, match=r"is .*e-2\d at .*, expected "):
            compare("bound", torch.tensor([1e-24, 3e-23]), torch.tensor([-50.0, -49.0]))


class TestKinds:
    @pytest.mark.parametrize(
        ("found", "expected", "kind", "says"),
        [
            ([1.0, 2.0], torch.tensor([1.0, 2.0]), None, "in a list, and have to be in a tensor, .* torch.tensor"),
            (np.array([1.0, 2.0]), torch.tensor([1.0, 2.0]), None, "in a NumPy array, .* in a tensor, .*from_numpy"),
            ([1.0, 2.0], np.array([1.0, 2.0]), None, "in a list, and have to be in a tensor or a NumPy array"),
            ((1.0, 2.0), np.array([1.0, 2.0]), np.ndarray, "in a tuple, and have to be in a NumPy array"),
            (torch.tensor([1.0, 2.0]), np.array([1.0, 2.0]), np.ndarray, r"in a tensor, .* its numpy\(\) is one"),
        ],
    )
    def test_right_values_of_another_kind_are_refused(self, found, expected, kind, says):
        with pytest.raises(WrongAnswer, match=says):
            compare("codes", found, expected, kind=kind)

    def test_a_model_asks_for_its_own_type(self):
        right = torch.tensor([1.0, 2.0])
        compare("codes", right, right, dtype=torch.float32)
        with pytest.raises(WrongAnswer, match=r"in float64, and the model computes in float32: add \.float\(\)\."):
            compare("codes", right.double(), right, dtype=torch.float32)

    @pytest.mark.parametrize("found", [torch.tensor([1.0, 2.0]), np.array([1.0, 2.0])])
    def test_either_will_do_beside_an_array(self, found):
        compare("codes", found, np.array([1.0, 2.0]))

    @pytest.mark.parametrize("found", [2.0, np.float64(2), np.array(2.0), torch.tensor(2.0)])
    def test_a_single_number_may_be_of_any_kind(self, found):
        compare("loss", found, torch.tensor(2.0), kind=torch.Tensor)

    def test_a_wrong_value_is_named_first(self):
        with pytest.raises(WrongAnswer, match="has the wrong sign"):
            compare("codes", [-1.0, -2.0], torch.tensor([1.0, 2.0]))

    def test_what_is_of_the_kind_passes(self):
        of_kind("codes", torch.zeros(2), torch.Tensor)
        of_kind("codes", np.zeros(2), None)


class TestMistakes:
    def test_a_mistake_may_lead_to_several_values(self):
        mistakes = [("the divisor is wrong.", 2.0), ("the divisor is wrong.", 3.0), ("the sign is wrong.", -1.0)]
        for found, says in ((2.0, "divisor"), (3.0, "divisor"), (-1.0, "sign")):
            with pytest.raises(WrongAnswer, match=f"the {says} is wrong"):
                compare("mean", found, 1.0, mistakes=mistakes)


class TestClosest:
    def test_of_several_right_values_the_nearest_is_compared(self):
        assert closest(torch.tensor([1.9, 1.0]), [np.array([1.0, 1.0]), np.array([2.0, 1.0])]).tolist() == [2.0, 1.0]

    @pytest.mark.parametrize("found", ["text", [1.0], math.nan, [math.nan, 1.0], [1, [2, 3]]])
    def test_what_cannot_be_compared_gets_the_first(self, found):
        assert closest(found, [np.array([1.0, 1.0]), np.array([2.0, 1.0])]).tolist() == [1.0, 1.0]
