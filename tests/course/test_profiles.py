"""Profiles are complete, and unknown names are errors."""

import pytest

from medlatent.course import choose


def test_choose():
    assert choose({"ci": 1, "laptop": 2, "paper": 3}, "laptop") == 2


@pytest.mark.parametrize("name", ["CI", "", "full", "paper "])
def test_an_unknown_name_is_an_error_that_lists_the_known(name):
    with pytest.raises(ValueError, match=f"unknown profile '{name}': choose one of ci, laptop, paper"):
        choose({"ci": 1, "laptop": 2, "paper": 3}, name)


def test_a_profile_left_out_is_an_error_even_if_another_is_asked_for():
    with pytest.raises(ValueError, match="'paper' is not described"):
        choose({"ci": 1, "laptop": 2}, "ci")
