"""``split_by_group``: nobody lies in two splits, and who is nobody is refused."""

import math
import re
import unicodedata

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.data import SPLITS, DataError, split_by_group


class TestSplitByGroup:
    NAMES = st.text(max_size=5).map(lambda text: unicodedata.normalize("NFC", f"p{text}."))
    GROUPS = st.lists(NAMES, min_size=1, max_size=40) | st.lists(st.integers(), min_size=1, max_size=40)

    @given(GROUPS, st.integers(0, 5))
    @settings(max_examples=25, deadline=None)
    def test_no_group_lies_in_two_splits(self, groups, seed):
        splits = split_by_group(groups, seed=seed)
        assert len(splits) == len(groups)
        assert set(splits) <= set(SPLITS)
        assert len(set(zip(groups, splits, strict=True))) == len(set(groups))

    @given(st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=20), st.integers(0, 3))
    @settings(max_examples=50, deadline=None)
    def test_a_patient_is_the_same_in_every_type(self, groups, seed):
        expected = split_by_group(groups, seed=seed).tolist()
        for kind in ("int64", "Int64", "float64", "Float64", object, str):
            assert split_by_group(pd.Series(groups, dtype=kind), seed=seed).tolist() == expected
        assert split_by_group(np.array(groups, float), seed=np.int64(seed)).tolist() == expected
        assert split_by_group([float(g) if g % 2 else g for g in groups], seed=seed).tolist() == expected

    @pytest.mark.parametrize("missing", [None, np.nan, pd.NA, pd.NaT])
    @pytest.mark.parametrize("there", ["p1", 1, 1.0])
    def test_a_missing_group_is_refused_with_its_row(self, missing, there):
        with pytest.raises(DataError, match="groups: row 2 has none"):
            split_by_group([there, there, missing, there])
        with pytest.raises(DataError, match="groups: row 2 has none"):
            split_by_group(pd.Series([there, there, missing, there]))

    @pytest.mark.parametrize("group", [1.5, np.inf, True, np.bool_(False), b"p1", (1, 2), 2.0**60, pd.Timestamp(0)])
    def test_what_names_no_patient_is_refused_with_its_row(self, group):
        with pytest.raises(DataError, match=r"groups: row 1 holds .*; a group is a string or a whole number"):
            split_by_group([3, group])

    def test_strings_and_numbers_are_not_mixed(self):
        with pytest.raises(DataError, match="groups: row 0 holds 3 and row 2 '3'; make all strings, or all numbers"):
            split_by_group([3, 4.0, "3"])

    @pytest.mark.parametrize("nobody", ["", " ", "nan", "NaN", "NaT", "None", "<NA>", " nan\n"])
    def test_text_that_was_made_of_a_missing_group_is_refused(self, nobody):
        with pytest.raises(DataError, match="groups: row 1 has none"):
            split_by_group(["p1", nobody])

    def test_what_pandas_makes_of_missing_groups_is_refused(self):
        for groups in (pd.Series(["p1", None]), pd.Series([1, np.nan]), pd.Series([1, None], dtype="Int64")):
            for text in (groups.astype(str).to_list()[::-1], groups.map(str).to_list()[::-1]):
                with pytest.raises(DataError, match="groups: row 0 has none"):
                    split_by_group(text)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("p1", "p1 "),
            ("p1", "\xa0p1"),
            ("7", "007"),
            ("0", "00"),
            (" 7", "7"),
            ("12", "012\t"),
            ("Ida Bjørk Å", "Ida Bjørk A\u030a"),
        ],
    )
    def test_two_names_that_may_be_of_one_patient_are_refused(self, one, other):
        message = re.escape(f"groups: row 0 holds {one!r} and row 3 {other!r}; if they are the same, write them alike")
        with pytest.raises(DataError, match=message):
            split_by_group([one, "p2", one, other])

    def test_whole_numbers_that_became_floats_and_then_text_are_refused(self):
        with pytest.raises(DataError, match=r"groups: row 0 holds '7\.0', a whole number that became a float and then"):
            split_by_group(pd.Series([7, 8, None]).dropna().astype(str))
        with pytest.raises(DataError, match=r"groups: row 0 holds '-7\.0', a whole number that became a float and"):
            split_by_group(["-7.0"])

    def test_half_a_letter_is_no_name(self):
        with pytest.raises(DataError, match=r"groups: row 1 holds 'p\\udce9', which is no text in UTF-8"):
            split_by_group(["p1", "p\udce9"])

    def test_names_that_differ_in_more_are_two_patients(self):
        names = ["p1", "P1", "p01", "p 1", "1.5", "1.00", "10", "100", "-1", "1"]
        assert split_by_group(names).tolist() == [split_by_group([name])[0] for name in names]

    @pytest.mark.parametrize("seed", [0.0, "0", None])
    def test_a_seed_is_a_whole_number(self, seed):
        with pytest.raises(DataError, match="seed must be a whole number"):
            split_by_group(["a"], seed=seed)

    @pytest.mark.parametrize(
        "groups", [None, 5, "p1", b"p1", {"p1": 0}, {"p1", "p2"}, pd.DataFrame({"patient": ["p1", "p2"]})], ids=type
    )
    def test_what_holds_no_rows_is_refused(self, groups):
        with pytest.raises(DataError, match=rf"groups: expected .*, got {type(groups).__name__}$"):
            split_by_group(groups)

    def test_no_group_at_all(self):
        assert split_by_group([]).tolist() == []

    @given(st.lists(st.integers(0, 50), min_size=1, max_size=20), st.lists(st.integers(51, 99), max_size=20))
    @settings(max_examples=25, deadline=None)
    def test_more_groups_move_nobody(self, groups, others):
        before = split_by_group(groups)
        after = split_by_group([*others, *groups])[len(others) :]
        assert before.tolist() == after.tolist()
        assert split_by_group(groups[::-1])[::-1].tolist() == before.tolist()

    @pytest.mark.parametrize(
        "fractions", [None, {"train": 0.5, "test": 0.5}, {"test": 0.3, "train": 0.6, "validation": 0.1}]
    )
    def test_the_shares_are_those_asked_for(self, fractions):
        n = 20_000
        splits = split_by_group([f"lesion_{k}" for k in range(n)], fractions)
        for name, share in (fractions or {"train": 0.8, "validation": 0.1, "test": 0.1}).items():
            deviation = math.sqrt(n * share * (1 - share))
            assert abs((splits == name).sum() - n * share) < 4 * deviation

    def test_shares_are_of_groups_and_not_of_rows(self):
        groups = np.repeat(np.arange(5000), np.arange(5000) % 7 + 1)
        first = pd.DataFrame({"g": groups, "s": split_by_group(groups)}).drop_duplicates("g")
        assert abs((first["s"] == "train").mean() - 0.8) < 4 * math.sqrt(0.8 * 0.2 / 5000)

    def test_a_share_of_nothing_and_of_everything(self):
        groups = range(1000)
        assert set(split_by_group(groups, {"train": 1.0, "test": 0.0})) == {"train"}
        assert set(split_by_group(groups, {"train": 0.0, "test": 1.0})) == {"test"}
        assert set(split_by_group(groups, {"train": 1.0})) == {"train"}

    def test_the_seed_decides_and_strings_are_as_good_as_integers(self):
        groups = list(range(200))
        assert split_by_group(groups).tolist() == split_by_group(list(map(str, groups))).tolist()
        assert split_by_group(groups, seed=1).tolist() == split_by_group(groups, seed=1).tolist()
        assert split_by_group(groups, seed=1).tolist() != split_by_group(groups, seed=2).tolist()

    def test_stays_what_it_was(self):
        # Recorded results depend on it. The first bytes of sha256sum of "0:lesion_0" and so on: below cc (0.8) is
        # train, below e6 (0.9) validation. None of these lies on an edge.
        first = ["de", "64", "b2", "ff", "95", "ca", "71", "46", "e1", "22", "d3", "01", "f1", "5e", "52", "06"]
        expected = ["train" if b < "cc" else "validation" if b < "e6" else "test" for b in first]
        assert split_by_group([f"lesion_{k}" for k in range(16)]).tolist() == expected

    @pytest.mark.parametrize(
        ("fractions", "message"),
        [
            ({"train": 0.8, "dev": 0.2}, r"fractions: unknown split \['dev'\]; the splits are train, validation, test"),
            ({"train": 0.8, "test": 0.3}, "fractions must be non-negative and sum to 1"),
            ({"train": 1.2, "test": -0.2}, "fractions must be non-negative and sum to 1"),
            ({"train": float("nan"), "test": 0.2}, "fractions must be non-negative and sum to 1"),
            ({}, "fractions must be non-negative and sum to 1, not {}"),
            ({"train": "0.8", "test": 0.2}, "fractions: expected a share of each split, such as train: 0.8"),
            ({"train": None}, "fractions: expected a share of each split"),
            ([0.8, 0.2], "fractions: expected a share of each split"),
            (5, "fractions: expected a share of each split, such as train: 0.8, got 5"),
        ],
    )
    def test_errors(self, fractions, message):
        with pytest.raises(DataError, match=message):
            split_by_group(["a", "b"], fractions)
