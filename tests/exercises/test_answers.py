"""What the checks of the exercises are made of: how typed numbers are read, and which values will do."""

import math
import re

import numpy as np
import pytest
import torch

from medlatent.course.exercises import WrongAnswer, closest, compare, number, numbers, of_kind, whole_number


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
