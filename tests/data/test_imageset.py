"""``ImageSet``: what it refuses, what it gives, and that a folder gives back exactly what was saved."""

import copy
import functools
import hashlib
import itertools
import json
import math
import operator
import os
import re
import shutil
import signal
import warnings
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.data import Card, DataError, Factor, ImageSet
from medlatent.data.imageset import NUMBERS, SPLITS
from medlatent.files import claim

CARD = Card(
    "small set", "computed here", "CC0-1.0", "nobody, “never” 2026", "none", {"seed": 3, "list": [1, "µ", None]}
)
FACTORS = {
    "size": Factor("area of the lesion", unit="mm²"),
    "turn": Factor("orientation", "angle", "rad", period=math.pi),
    "hair": Factor("hair is visible", "binary"),
    "dx": Factor("diagnosis", "categorical", values=("mel", "nv", "NA")),
}
TEXTS = [
    "NA",
    "",
    "None",
    "nan",
    "NULL",
    "µ ∑ 肺",
    'a "quoted", word',
    "two\nlines",
    " padded ",
    "1",
    "1e5",
    "True",
    "-",
    "\t",
]
N = len(TEXTS)


def columns_of(dtype, values):
    return lambda rows: st.lists(values, min_size=rows, max_size=rows).map(lambda v: pd.Series(v, dtype=dtype))


def bounds(dtype: str) -> dict:
    info = np.iinfo(dtype.lower())
    return {"min_value": int(info.min), "max_value": int(info.max)}


GAP = st.just(pd.NA)
WORDS = st.text(max_size=4)
COLUMNS = st.sampled_from(
    [
        *(columns_of(t, st.integers(**bounds(t))) for t in ("int8", "uint16", "int64", "uint64")),
        *(columns_of(t, st.integers(**bounds(t)) | GAP) for t in ("Int8", "UInt16", "Int64", "UInt64")),
        *(columns_of(f"float{b}", st.floats(width=b)) for b in (16, 32, 64)),
        *(columns_of(f"Float{b}", st.floats(width=b, allow_nan=False) | GAP) for b in (32, 64)),
        columns_of("bool", st.booleans()),
        columns_of("boolean", st.booleans() | GAP),
        columns_of(object, WORDS | st.none()),
        columns_of("string", WORDS | GAP),
        columns_of("category", st.sampled_from(["a", "", "NA"]) | st.none()),
        columns_of("category", st.integers(0, 3) | st.none()),
        columns_of("datetime64[ns]", st.datetimes(pd.Timestamp(0), pd.Timestamp(10**18)) | st.just(pd.NaT)),
        columns_of(object, WORDS | st.integers() | st.booleans() | st.dates() | st.lists(st.integers(), max_size=2)),
    ]
)


def table() -> pd.DataFrame:
    random = np.random.default_rng(0)
    floats = random.normal(size=N) * 10.0 ** random.integers(-300, 300, N)
    floats[:5] = [0.1 + 0.2, np.nan, -0.0, np.inf, 5e-324]
    return pd.DataFrame(
        {
            "size": floats,
            "turn": random.random(N).astype(np.float32),
            "hair": random.integers(0, 2, N),
            "dx": ["mel", "nv", "NA"] * 4 + ["nv"] * (N - 12),
            "text": TEXTS,
            "flag": random.random(N) > 0.5,
            "big": random.integers(-(2**62), 2**62, N),
            "byte": random.integers(0, 255, N).astype(np.uint8),
            'odd, "name"\n': TEXTS[::-1],
            "patient": [f"p{k // 3}" for k in range(N)],
            "split": ["train"] * 9 + ["validation"] * 3 + ["test"] * (N - 12),
        }
    )


def pictures(n: int = N, channels: int = 3, size: int = 4, dtype=np.uint8) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.random.default_rng(1).integers(info.min, info.max + 1, (n, channels, size, size), dtype=dtype)


def build(**changes) -> ImageSet:
    parts = {"images": pictures(), "table": table(), "factors": FACTORS, "card": CARD, "group": "patient"}
    return ImageSet(**{**parts, **changes})


@pytest.fixture
def folder(tmp_path):
    return build().save(tmp_path / "set")


def without(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame.drop(columns=list(columns))


def twice(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    return pd.concat([frame, frame[[column]]], axis=1)


def leaves(value: object, place: tuple = ()) -> list[tuple]:
    """Where everything lies in JSON, containers too, and what it is."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    within = [leaf for key, item in items for leaf in leaves(item, (*place, key))]
    return ([(place, value)] if place else []) + within


def another(value: object) -> object:
    """Something else of the same type, where there is one."""
    if isinstance(value, dict):
        return {**value, "more": 1}
    if isinstance(value, list):
        return [*value, 1]
    return {bool: True, str: f"{value}x", type(None): 1}.get(type(value)) or value + 1


class TestFactor:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"kind": "ordinal"}, "factor kind 'ordinal' is unknown: use continuous, angle, binary or categorical"),
            ({"kind": "categorical"}, "values are given for a categorical factor, and only for one"),
            ({"values": ("a",)}, "values are given for a categorical factor, and only for one"),
            ({"kind": "angle"}, "a period is given for an angle, and only for one"),
            ({"kind": "binary", "period": 1.0}, "a period is given for an angle, and only for one"),
            ({"kind": "angle", "period": 0}, "'meaning': the period is 0, expected a number above 0"),
            ({"kind": "angle", "period": -math.pi}, "the period is -3.14.*, expected a number above 0"),
            ({"kind": "angle", "period": math.inf}, "the period is inf, expected a number above 0"),
            ({"kind": "angle", "period": math.nan}, "the period is nan, expected a number above 0"),
            ({"kind": "angle", "period": True}, "the period is True, expected a number above 0"),
            ({"kind": "angle", "period": "pi"}, "the period is 'pi', expected a number above 0"),
            ({"kind": "categorical", "values": ("a", "b", "a")}, "the value 'a' is there twice"),
            ({"kind": "categorical", "values": ("a", 1)}, r"the values are \('a', 1\), expected several texts"),
            ({"kind": "categorical", "values": "ab"}, "the values are 'ab', expected several texts"),
            ({"kind": "categorical", "values": 5}, "the values are 5, expected several texts"),
            ({"unit": None}, "the unit is None, expected text"),
        ],
    )
    def test_parts_that_do_not_fit_together(self, options, message):
        with pytest.raises(DataError, match=message):
            Factor("meaning", **options)

    def test_is_frozen(self):
        with pytest.raises(FrozenInstanceError):
            FACTORS["size"].unit = "px"


class TestConstruction:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"images": pictures()[0]}, r"images: expected the shape \(N, C, H, W\), got \(3, 4, 4\)"),
            ({"images": pictures().astype(np.float32)}, "images: expected uint8, or int16 .* got float32"),
            ({"images": pictures().astype(np.int32)}, "images: expected uint8, or int16 .* got int32"),
            ({"images": pictures().astype(">i2")}, "images: expected uint8, or int16 .* got >i2"),
            ({"images": pictures(0), "table": table()[:0]}, "images: the set is empty"),
            ({"images": pictures(5)}, f"table: {N} rows for 5 images"),
            ({"table": without(table(), "size")}, "table: no column for the factor 'size'"),
            ({"table": table().assign(dx="bcc")}, "table: column 'dx' holds 'bcc', which is none of mel, nv, NA"),
            ({"table": table().assign(dx=np.nan)}, "table: column 'dx' holds nan"),
            ({"table": table().assign(size="large")}, "table: column 'size' must be numeric for a continuous factor"),
            ({"table": table().assign(hair="yes")}, "table: column 'hair' must be numeric for a binary factor"),
            ({"table": table().assign(split="dev")}, "table: column 'split' holds 'dev', which is none of train"),
            ({"table": without(table(), "patient")}, "table: no column for the group 'patient'"),
            ({"table": table().assign(patient="p1")}, "table: patient 'p1' lies in two splits"),
            ({"table": table().assign(patient=["p1", None] * (N // 2))}, "table: row 1 has no patient"),
            ({"value_range": (1, 1)}, r"value_range: the first value must be below the second, got \(1, 1\)"),
            ({"value_range": (0, float("nan"))}, "value_range: the first value must be below the second"),
            ({"value_range": (0, math.inf)}, r"value_range: both values must be finite, and value_range\[1\] is inf"),
            ({"value_range": (0, 1, 2)}, r"value_range: expected two numbers \(low, high\), got \(0, 1, 2\)"),
            ({"value_range": "01"}, "value_range: expected two numbers"),
            ({"value_range": 5}, "value_range: expected two numbers"),
            ({"table": table().assign(hair=[0, 1] * 6 + [7, 1])}, "column 'hair' is binary, and row 12 holds 7"),
            ({"table": table().assign(hair=0.5)}, "column 'hair' is binary, and row 0 holds 0.5"),
            ({"table": table().assign(patient=["p1", " "] * (N // 2))}, "table: row 1 has no patient"),
            ({"table": table().assign(patient=["p1", "nan"] * (N // 2))}, "table: row 1 has no patient"),
            ({"table": twice(table(), "size")}, "table: two columns are called 'size'"),
            ({"table": twice(table(), "split")}, "table: two columns are called 'split'"),
            ({"table": twice(table(), "patient")}, "table: two columns are called 'patient'"),
        ],
    )
    def test_parts_that_do_not_fit_together(self, changes, message):
        with pytest.raises(DataError, match=message):
            build(**changes)

    def test_the_one_patient_in_two_splits_is_named(self):
        rows = table()
        rows.loc[8, "split"] = "test"
        with pytest.raises(DataError, match="patient 'p2' lies in two splits; assign splits with split_by_group"):
            build(table=rows)

    @pytest.mark.parametrize(
        ("one", "other"), [("7", "7 "), ("7", "007"), (7, "7"), (7.0, "7"), (7, 7.0), (7, "7.0"), ("p", "p\t")]
    )
    def test_a_patient_is_known_again_however_the_id_is_written(self, one, other):
        splits = ["train", "validation", "test"]
        rows = pd.DataFrame({"patient": pd.Series([one, "q", other], dtype=object), "split": splits})
        with pytest.raises(DataError, match=re.escape(f"table: patient {other!r} lies in two splits")):
            ImageSet(pictures(3), rows, {}, CARD, "patient")
        ImageSet(pictures(3), rows.assign(split="train"), {}, CARD, "patient")

    def test_split_and_group_are_optional(self):
        images = build(table=without(table(), "split", "patient"), group=None)
        assert repr(images) == f"ImageSet('small set', {N} images 3×4×4 uint8)"
        with pytest.raises(DataError, match="small set: the table has no column 'split'"):
            images.split("train")

    def test_repr_counts_the_splits(self):
        assert repr(build()) == f"ImageSet('small set', {N} images 3×4×4 uint8, 9 train, 3 validation, 2 test)"

    def test_the_rows_are_numbered_anew_and_the_caller_s_table_is_left_alone(self):
        rows = table()
        rows.index = range(100, 100 + N)
        images = build(table=rows)
        assert images.table.index.tolist() == list(range(N))
        assert rows.index[0] == 100


class TestParts:
    def test_split(self):
        images = build()
        parts = {name: images.split(name) for name in SPLITS}
        assert {name: len(part) for name, part in parts.items()} == {"train": 9, "validation": 3, "test": 2}
        np.testing.assert_array_equal(np.concatenate([p.images for p in parts.values()]), images.images)
        assert parts["test"].table["text"].tolist() == TEXTS[12:]
        both = images.split("test", "train")
        np.testing.assert_array_equal(both.images, images.images[[*range(9), 12, 13]])
        with pytest.raises(DataError, match="unknown split 'dev': the splits are train, validation, test"):
            images.split("dev")
        with pytest.raises(DataError, match="small set: no image lies in the split 'test'"):
            parts["train"].split("test")

    @pytest.mark.parametrize(
        "index",
        [[5, 0, 5, -1], np.array([5, 0, 5, N - 1]), pd.Series([5, 0, 5, N - 1]), iter([5, 0, 5, N - 1]), (5, 0, 5, -1)],
    )
    def test_subset_by_positions(self, index):
        images = build(table=without(table(), "split"))
        part = images.subset(index)
        np.testing.assert_array_equal(part.images, images.images[[5, 0, 5, -1]])
        assert part.table["text"].tolist() == [TEXTS[5], TEXTS[0], TEXTS[5], TEXTS[-1]]
        assert part.table.index.tolist() == [0, 1, 2, 3]
        assert (part.factors, part.card, part.group, part.value_range) == (FACTORS, CARD, "patient", (0.0, 255.0))
        assert images.whole is images is part.whole is part.subset([0]).whole

    @pytest.mark.parametrize("kind", [list, np.asarray, pd.Series])
    def test_subset_by_a_mask(self, kind):
        images = build()
        part = images.subset(kind((images.table["hair"] == 1).tolist()))
        np.testing.assert_array_equal(part.images, images.images[images.table["hair"] == 1])
        assert (part.table["hair"] == 1).all()

    @pytest.mark.parametrize(
        ("index", "message"),
        [
            ([], "index: it selects no image"),
            (range(0), "index: it selects no image"),
            ([False] * N, "index: it selects no image"),
            ([True] * 3, f"index: a mask of 3 values for {N} images"),
            ([0.0, 1.0], "index: expected positions or a boolean mask, got float64"),
            (["a"], "index: expected positions or a boolean mask"),
            ([[0, 1]], "index: expected positions or a boolean mask"),
            ([0, N], f"index: positions from 0 to {N} in a set of {N} images"),
            ([-N - 1], "index: positions from"),
        ],
    )
    def test_bad_indices(self, index, message):
        with pytest.raises(DataError, match=message):
            build().subset(index)

    def test_factor_matrix(self):
        images = build()
        matrix = images.factor_matrix()
        assert matrix.shape == (N, 4)
        assert matrix.dtype == np.float64
        np.testing.assert_array_equal(matrix[:, 0], table()["size"])
        np.testing.assert_array_equal(matrix[:, 2], table()["hair"])
        assert matrix[:4, 3].tolist() == [0, 1, 2, 0]  # the index in the factor's values, not in the alphabet
        np.testing.assert_array_equal(images.factor_matrix(["dx", "size"]), matrix[:, [3, 0]])
        assert images.factor_matrix([]).shape == (N, 0)
        with pytest.raises(DataError, match="unknown factor 'text': small set has size, turn, hair, dx"):
            images.factor_matrix(["text"])

    def test_factor_matrix_of_a_pandas_categorical(self):
        images = build(table=table().assign(dx=pd.Categorical(table()["dx"])))
        np.testing.assert_array_equal(images.factor_matrix(["dx"]), build().factor_matrix(["dx"]))

    def test_factor_matrix_of_a_column_with_a_gap(self):
        images = build(table=table().assign(hair=pd.array([1, None] * (N // 2), dtype="Int64")))
        np.testing.assert_array_equal(images.factor_matrix(["hair"])[:2, 0], [1, np.nan])


class TestColumns:
    TABLE = pd.DataFrame(
        {
            "size": [0.5, 2.0, -1.0],
            "turn": np.array([0, 1, 3], np.float32),
            "hair": [0, 1, 1],
            "dx": ["NA", "mel", "nv"],
            "age": [45, 50, 55],
        }
    )

    def build(self, factors=FACTORS, **changes) -> ImageSet:
        return ImageSet(pictures(3), self.TABLE.assign(**changes), factors, CARD)

    def test_the_factors_as_tensors(self):
        found = self.build().columns(["dx", "size", "turn", "hair"])
        assert list(found) == ["dx", "size", "turn", "hair"]
        assert found["dx"].tolist() == [2, 0, 1]
        assert found["dx"].dtype == torch.int64
        assert found["size"].tolist() == [0.5, 2, -1]
        assert found["hair"].tolist() == [0, 1, 1]
        assert {found[name].dtype for name in ("size", "turn", "hair")} == {torch.float32}
        assert self.build().columns([]) == {}
        for kind in ("boolean", "Int64", "uint8", "bool"):
            assert self.build(hair=pd.Series([0, 1, 1], dtype=kind)).columns(["hair"])["hair"].tolist() == [0, 1, 1]

    @pytest.mark.parametrize(
        ("changes", "name", "message"),
        [
            ({}, "age", "unknown factor 'age': small set has size, turn, hair, dx"),
            ({"size": [1, np.nan, 2]}, "size", "column 'size': the value of row 1 is missing"),
            ({"hair": pd.array([1, 0, None], dtype="Int64")}, "hair", "column 'hair': the value of row 2 is missing"),
            ({"size": [1, 2, np.inf]}, "size", "column 'size': the value of row 2 is inf"),
            ({"size": [1e300, 2, 3]}, "size", r"column 'size': the value of row 0 is 1e\+300, which float32 does not"),
            ({"hair": [0, 1, 2]}, "hair", "column 'hair' is binary, and row 2 holds 2"),
        ],
    )
    def test_what_no_model_can_use_is_named(self, changes, name, message):
        with pytest.raises(DataError, match=message):
            self.build(**changes).columns(["turn", name])

    def test_the_fingerprint_follows_values_and_meaning(self):
        names = ["size", "dx"]
        others = FACTORS | {"dx": Factor("diagnosis", "categorical", values=("nv", "mel", "NA"))}
        angle = FACTORS | {"size": Factor("area", "angle", period=3.0)}
        wide = FACTORS | {"size": Factor("area", "angle", period=4.0)}
        prints = [
            self.build().fingerprint_of(names),
            self.build().fingerprint_of(names[::-1]),
            self.build().fingerprint_of(["size"]),
            self.build(dx=["nv", "mel", "NA"]).fingerprint_of(names),
            self.build(size=[0.5, 2.0, np.nextafter(-1.0, 0)]).fingerprint_of(names),
            self.build(others).fingerprint_of(names),
            self.build(angle).fingerprint_of(names),
            self.build(wide).fingerprint_of(names),
            self.build(dx=["mel", "NA", "nv"], size=[2.0, 0.5, -1.0]).fingerprint_of(names),
        ]
        assert len(set(prints)) == len(prints)
        described = FACTORS | {"size": Factor("in other words", unit="cm²")}
        assert self.build(described).fingerprint_of(names) == prints[0]
        assert self.build(age=[1, 2, 3]).fingerprint_of(names) == prints[0]
        assert self.build(dx=pd.Categorical(self.TABLE["dx"])).fingerprint_of(names) == prints[0]

    def test_the_fingerprint_does_not_follow_the_type(self, tmp_path):
        prints = {
            self.build(age=pd.Series([45, 50, 55], dtype=kind), hair=pd.Series([0, 1, 1], dtype=bit)).fingerprint_of(
                ["age", "hair"]
            )
            for kind in ("int32", "int64", "UInt8", "Int64", "float32", "float64")
            for bit in ("int8", "bool", "boolean")
        }
        assert len(prints) == 1
        saved = ImageSet.load(self.build().save(tmp_path / "set"))
        assert saved.fingerprint_of(list(self.TABLE)) == self.build().fingerprint_of(list(self.TABLE))

    def test_the_fingerprint_of_columns_is_stable(self):
        # Records hold it: SHA-256 of these lines, as json.dumps writes them.
        lines = '[["hair", "dx"], [["binary", [], null], ["categorical", ["mel", "nv", "NA"], null]]]'
        lines += '[0, "NA"]\n[1, "mel"]\n[1, "nv"]\n'
        assert self.build().fingerprint_of(["hair", "dx"]) == hashlib.sha256(lines.encode()).hexdigest()

    @pytest.mark.parametrize(
        ("changes", "name", "message"),
        [
            ({}, "race", "unknown column 'race': small set has size, turn, hair, dx, age"),
            ({"age": [1, None, 2]}, "age", "column 'age': the value of row 1 is missing"),
            ({"age": pd.array([1, 2, None], dtype="Int64")}, "age", "column 'age': the value of row 2 is missing"),
            ({"age": ["a", None, "b"]}, "age", "column 'age': the value of row 1 is missing"),
            ({"age": pd.Timestamp(0)}, "age", "column 'age': the value of row 0 is .*, neither a number nor text"),
        ],
    )
    def test_what_has_no_fingerprint_is_named(self, changes, name, message):
        with pytest.raises(DataError, match=message):
            self.build(**changes).fingerprint_of(["size", name])


class TestUnit:
    def test_uint8(self):
        images = build(images=np.array([0, 51, 255] + [0] * (N - 3), np.uint8)[:, None, None, None])
        batch = images.batch(slice(0, 3))
        assert batch.shape == (3, 1, 1, 1)
        assert batch.dtype == torch.float32
        torch.testing.assert_close(batch.flatten(), torch.tensor([0, 0.2, 1]))

    @pytest.mark.parametrize(
        ("value_range", "expected"), [(None, [0, 0, 1 / 3, 2 / 3, 1, 1]), ((-100, 300), [0, 0, 0.25, 1, 1, 1])]
    )
    def test_hounsfield_units_are_clipped_to_the_range(self, value_range, expected):
        values = np.array([-2048, -1000, 0, 1000, 2000, 3071] + [0] * (N - 6), np.int16)
        images = build(images=values[:, None, None, None], value_range=value_range)
        torch.testing.assert_close(images.batch(range(6)).flatten(), torch.tensor(expected, dtype=torch.float32))

    @pytest.mark.parametrize("dtype", [torch.int16, torch.float32])
    def test_to_unit_leaves_its_argument_alone(self, dtype):
        stored = torch.tensor([[0, 255]], dtype=dtype)
        before = stored.clone()
        torch.testing.assert_close(build().to_unit(stored), torch.tensor([[0.0, 1.0]]))
        assert torch.equal(stored, before)

    @pytest.mark.parametrize("index", [[3, 1], np.array([3, 1]), slice(3, 0, -2)])
    def test_batch_gives_the_images_at_the_positions(self, index):
        expected = pictures()[[3, 1]].astype(np.float32) / np.float32(255)
        np.testing.assert_allclose(build().batch(index), expected, rtol=1e-6)

    def test_batches_of_a_memory_map_can_be_written_to(self, folder):
        loaded = ImageSet.load(folder)
        loaded.batch([0, 1]).zero_()
        assert loaded.fingerprint == build().fingerprint


class TestFingerprint:
    def test_follows_the_images_and_nothing_else(self):
        one = build()
        assert one.fingerprint == build(table=without(table(), "text")).fingerprint
        changed = pictures()
        changed[-1, -1, -1, -1] ^= 1
        others = [
            build(images=changed),
            build(images=pictures()[::-1]),
            build(images=pictures().reshape(N, 3, 2, 8)),
            build(value_range=(0, 254)),
            build(images=pictures().astype(np.int16), value_range=(0, 255)),
        ]
        assert len({images.fingerprint for images in [one, *others]}) == 6

    def test_of_more_images_than_it_reads_at_a_time(self):
        images = pictures(1030, 1, 2)
        rows = pd.DataFrame({"k": range(1030)})
        changed = images.copy()
        changed[1029] ^= 1
        a, b = (ImageSet(x, rows, {}, CARD).fingerprint for x in (images, changed))
        assert a != b
        assert a == ImageSet(np.asfortranarray(images), rows, {}, CARD).fingerprint


class TestRoundTrip:
    def test_everything_comes_back_bit_for_bit(self, folder):
        was, now = build(), ImageSet.load(folder)
        assert isinstance(now.images, np.memmap)
        np.testing.assert_array_equal(now.images, was.images)
        assert now.images.dtype == was.images.dtype
        assert list(now.table.columns) == list(was.table.columns)
        for name in was.table:
            a, b = was.table[name], now.table[name]
            if pd.api.types.is_numeric_dtype(a):
                assert a.dtype == b.dtype
                assert a.to_numpy().tobytes() == b.to_numpy().tobytes(), name
            else:
                assert a.tolist() == b.tolist()
        assert (now.factors, now.card, now.group, now.value_range) == (FACTORS, CARD, "patient", (0.0, 255.0))
        assert now.fingerprint == was.fingerprint

    def test_hounsfield_units(self, tmp_path):
        was = build(images=pictures(dtype=np.int16), value_range=(-150.5, 250))
        now = ImageSet.load(was.save(tmp_path / "set"))
        np.testing.assert_array_equal(now.images, was.images)
        assert now.images.dtype == np.int16
        assert now.value_range == (-150.5, 250.0)

    def test_missing_and_categorical_text(self, tmp_path):
        rows = table().assign(
            text=[None, np.nan, *TEXTS[2:]],
            dx=pd.Categorical(table()["dx"]),
            site=pd.Categorical([None, "arm"] * (N // 2)),
        )
        now = ImageSet.load(build(table=rows).save(tmp_path / "set"))
        assert now.table["text"].isna().tolist() == [True, True] + [False] * (N - 2)
        assert now.table["text"].tolist()[2:] == TEXTS[2:]
        assert now.table["site"].isna().tolist() == [True, False] * (N // 2)
        np.testing.assert_array_equal(now.factor_matrix(["dx"]), build().factor_matrix(["dx"]))

    @given(
        st.lists(
            st.tuples(
                st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")), st.floats(), st.booleans()
            ),
            min_size=1,
            max_size=8,
        )
    )
    @settings(max_examples=10, deadline=None)
    def test_any_table(self, tmp_path_factory, rows):
        texts, floats, flags = map(list, zip(*rows, strict=True))
        was = pd.DataFrame({"text": texts, "float": floats, "flag": flags})
        path = tmp_path_factory.mktemp("any") / "set"
        now = ImageSet.load(ImageSet(pictures(len(rows), 1, 1), was, {}, CARD).save(path)).table
        assert now["text"].tolist() == texts
        assert now["flag"].tolist() == flags
        np.testing.assert_array_equal(now["float"], np.array(floats))
        shutil.rmtree(path)

    @given(st.data(), st.integers(1, 5))
    @settings(max_examples=100, deadline=None)
    def test_whatever_is_written_is_read_back(self, tmp_path_factory, data, rows):
        columns = data.draw(st.dictionaries(st.text(max_size=3), COLUMNS, min_size=1, max_size=3))
        was = pd.DataFrame({name: data.draw(column(rows)) for name, column in columns.items()})
        path = tmp_path_factory.mktemp("any") / "set"
        try:
            ImageSet(pictures(rows, 1, 1), was, {}, CARD).save(path)
        except DataError as error:
            assert any(repr(name) in str(error) for name in columns)  # noqa: PT017
            assert not path.exists()
            return
        now = ImageSet.load(path).table
        shutil.rmtree(path)
        assert list(now) == list(was)
        for name, column in was.items():
            assert column.isna().tolist() == now[name].isna().tolist()
            assert [v for v in column if not pd.isna(v)] == [v for v in now[name] if not pd.isna(v)]
            if str(column.dtype) in NUMBERS:
                assert column.dtype == now[name].dtype

    @pytest.mark.parametrize("dtype", NUMBERS)
    def test_every_type_of_number_is_kept(self, tmp_path, dtype):
        gap = None if dtype[0].isupper() or dtype == "boolean" else 0
        was = pd.DataFrame({"x": pd.Series([1, gap, 1], dtype=dtype)})
        now = ImageSet.load(ImageSet(pictures(3), was, {}, CARD).save(tmp_path / "set")).table
        pd.testing.assert_frame_equal(now, was)

    def test_sets_that_were_saved_without_a_note_on_gaps(self, folder):
        path = folder / "card.json"
        card = json.loads(path.read_text(encoding="utf-8"))
        card.pop("gaps")
        path.write_text(json.dumps(card), encoding="utf-8")
        assert ImageSet.load(folder).table["text"].tolist() == TEXTS

    def test_a_set_without_columns(self, tmp_path):
        images = ImageSet(pictures(3), pd.DataFrame(index=range(3)), {}, CARD)
        now = ImageSet.load(images.save(tmp_path / "set"))
        assert now.table.shape == (3, 0)
        assert now.fingerprint == images.fingerprint
        assert now.factor_matrix().shape == (3, 0)

    def test_a_loaded_set_can_be_saved_over_itself(self, folder):
        ImageSet.load(folder).save(folder, overwrite=True)
        assert ImageSet.load(folder).fingerprint == build().fingerprint

    def test_the_files_do_not_depend_on_the_locale(self, folder):
        assert "“never”" in (folder / "card.json").read_bytes().decode("utf-8")
        assert "µ ∑ 肺" in (folder / "table.csv").read_bytes().decode("utf-8")


class TestSaving:
    def other(self) -> ImageSet:
        return build(images=255 - pictures())

    def test_an_existing_folder_is_kept_unless_told(self, folder):
        with pytest.raises(DataError, match=r"set exists: choose another folder, or pass overwrite=True"):
            self.other().save(folder)
        assert ImageSet.load(folder).fingerprint == build().fingerprint
        assert self.other().save(folder, overwrite=True) == folder
        assert ImageSet.load(folder).fingerprint == self.other().fingerprint
        assert [p.name for p in folder.parent.iterdir()] == ["set"]

    @pytest.mark.parametrize("where", ["numpy.save", "pandas.DataFrame.to_csv", "json.dumps"])
    @pytest.mark.parametrize("exists", [True, False])
    @pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
    def test_a_failure_on_the_way_leaves_what_was_there(self, tmp_path, monkeypatch, where, exists, error):
        path = tmp_path / "set"
        if exists:
            build().save(path)

        def fail(*_, **__):
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(where, fail)
            with pytest.raises(type(error)):
                self.other().save(path, overwrite=True)
        assert [p.name for p in tmp_path.iterdir()] == (["set"] if exists else [])
        if exists:
            assert ImageSet.load(path).fingerprint == build().fingerprint

    def test_a_failure_of_the_last_rename_brings_the_old_folder_back(self, folder, monkeypatch):
        replace = os.replace

        def fail(source, target):
            if Path(target) == folder and ".partial" in Path(source).name:
                raise OSError("No space left on device")
            return replace(source, target)

        with monkeypatch.context() as patch:
            patch.setattr("os.replace", fail)
            with pytest.raises(OSError, match="No space"):
                self.other().save(folder, overwrite=True)
        assert [p.name for p in folder.parent.iterdir()] == ["set"]
        assert ImageSet.load(folder).fingerprint == build().fingerprint

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    @pytest.mark.parametrize("then", ["load", "save"])
    def test_killed_before_any_call_the_old_or_the_new_is_there(self, tmp_path, then):
        old, new = build().fingerprint, self.other().fingerprint
        found = []
        for k in itertools.count(1):
            folder = build().save(tmp_path / str(k) / "set")
            status = self.killed_at(k, lambda folder=folder: self.other().save(folder, overwrite=True))
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                if then == "load":
                    found.append(ImageSet.load(folder).fingerprint)
                else:
                    with pytest.raises(DataError, match="set exists"):
                        build().save(folder)
                    build().save(folder, overwrite=True)
                    assert ImageSet.load(folder).fingerprint == old
            assert {p.name for p in folder.parent.iterdir()} <= {"set", ".set.lock", "..set.journal.lock"}
            if status == 0:
                break
            if not said:
                assert not list(folder.parent.glob("*.partial"))
        if then == "load":
            assert set(found) == {old, new}
            assert found == sorted(found, key=[old, new].index)
        assert k > 10

    @staticmethod
    def killed_at(k: int, function) -> int:
        """Runs a function in a process that is killed before its k-th call that changes names on the disk."""
        if process := os.fork():
            return -os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        try:
            calls = itertools.count(1)

            def counted(call):
                def counting(*arguments, **options):
                    if next(calls) == k:
                        os.kill(os.getpid(), signal.SIGKILL)
                    return call(*arguments, **options)

                return counting

            for name in ("replace", "unlink", "rmdir", "mkdir", "ftruncate"):
                setattr(os, name, counted(getattr(os, name)))
            function()
            os._exit(0)
        finally:
            os._exit(1)

    def test_what_an_earlier_version_set_aside_is_moved_back(self, folder):
        aside = folder.parent / ".set.old-abc"
        aside.mkdir()
        folder.rename(aside / "set")
        with pytest.warns(UserWarning, match=r"set: an interrupted save had left the old set in .*old-abc/set; moved"):
            assert ImageSet.load(folder).fingerprint == build().fingerprint
        (aside / "set").mkdir(parents=True, exist_ok=True)
        self.other().save(folder, overwrite=True)
        assert [p.name for p in folder.parent.iterdir()] == ["set"]

    def test_what_an_earlier_version_left_half_written_is_swept(self, folder):
        for process in (os.getpid(), 2**22 + 1):  # the second is above all process numbers
            (folder.parent / f".set.partial-{process}-abc").mkdir()
        with pytest.warns(
            UserWarning, match=rf"partial-{2**22 + 1}-abc was left half written by a process that is gone"
        ):
            self.other().save(folder, overwrite=True)
        assert sorted(p.name for p in folder.parent.iterdir()) == [f".set.partial-{os.getpid()}-abc", "set"]

    def test_a_relative_folder(self, folder, monkeypatch):
        monkeypatch.chdir(folder)
        assert ImageSet.load(".").fingerprint == build().fingerprint
        monkeypatch.chdir(folder.parent)
        self.other().save("set/../set", overwrite=True)
        assert ImageSet.load("set").fingerprint == self.other().fingerprint
        assert [p.name for p in folder.parent.iterdir()] == ["set"]

    def test_of_two_processes_one_is_told(self, folder):
        with claim(folder):
            with pytest.raises(DataError, match=rf"set is being written by process {os.getpid()} on "):
                self.other().save(folder, overwrite=True)
            assert ImageSet.load(folder).fingerprint == build().fingerprint

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_of_many_processes_that_save_to_one_place_one_wins(self, tmp_path):
        processes = []
        for _ in range(6):
            if not (process := os.fork()):
                try:
                    build().save(tmp_path / "set")
                    os._exit(0)
                except DataError:
                    os._exit(3)
                finally:
                    os._exit(1)
            processes.append(process)
        codes = [os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]
        assert sorted(codes) == [0, 3, 3, 3, 3, 3]
        assert ImageSet.load(tmp_path / "set").fingerprint == build().fingerprint
        assert [p.name for p in tmp_path.iterdir()] == ["set"]

    def test_numbers_of_numpy_in_the_card_become_python_s(self, tmp_path):
        factors = FACTORS | {
            "turn": Factor("orientation", "angle", period=np.float64(math.pi)),
            "dx": Factor("diagnosis", "categorical", values=tuple(np.array(["mel", "nv", "NA"]))),
        }
        card = Card("a", "b", "c", "d", "e", {"seed": np.int64(3), "sizes": np.arange(3), "deep": [np.bool_(True)]})
        now = ImageSet.load(build(factors=factors, card=card).save(tmp_path / "set"))
        assert now.card.attributes == {"seed": 3, "sizes": [0, 1, 2], "deep": [True]}
        assert now.factors == factors

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                {"card": Card("a", "b", "c", "d", "e", {"deep": [1, object]})},
                r"attributes\.deep\[1\] is <class 'object'>",
            ),
            ({"card": Card("a", "b", "c", "d", "e", {"seed": float("nan")})}, r"attributes\.seed is nan"),
            ({"card": Card("a", "b", "c", "d", "e", [1])}, r"the card's attributes is \[1\], expected a dict"),
            ({"card": Card(5, "b", "c", "d", "e")}, "the card's name is 5, expected text"),
            ({"table": table().assign(odd=[1, "x"] * (N // 2))}, r"column 'odd' .* row 0 holds 1 \(int\)"),
            ({"table": table().assign(odd=pd.Timestamp(0))}, r"column 'odd' of type datetime64.* holds Timestamp"),
            ({"table": table().assign(odd=1j)}, r"column 'odd' of type complex128"),
            ({"table": table().assign(odd=["a\0"] * N)}, "column 'odd'"),
            ({"table": table().assign(odd=["\ud800"] * N)}, "column 'odd'"),
            ({"table": table().rename(columns={"text": ""})}, "the column '' cannot be saved"),
            ({"table": table().rename(columns={"text": 5})}, "the column 5 cannot be saved"),
            (
                {"table": table().rename(columns={"text": "flag"})},
                "the column 'flag' cannot be saved: it is there twice",
            ),
        ],
    )
    def test_what_could_not_be_read_back_is_refused_by_name(self, tmp_path, changes, message):
        with pytest.raises(DataError, match=message):
            build(**changes).save(tmp_path / "set")
        assert list(tmp_path.iterdir()) == []


class TestDamage:
    def test_no_folder(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(DataError, match="file is a file, not the folder of a packed set: choose another path"):
            ImageSet.load(tmp_path / "file")
        with pytest.raises(DataError, match="nothing: no such folder; pack a data set first"):
            ImageSet.load(tmp_path / "nothing")

    @pytest.mark.parametrize("name", ["images.npy", "table.csv", "card.json"])
    def test_a_missing_file(self, folder, name):
        (folder / name).unlink()
        with pytest.raises(DataError, match=rf"set: {name} is missing, so this is no image set"):
            ImageSet.load(folder)

    @pytest.mark.parametrize("name", ["images.npy", "table.csv"])
    @pytest.mark.parametrize("position", [0, 0.5, 0.999])
    def test_a_flipped_bit(self, folder, name, position):
        path = folder / name
        content = bytearray(path.read_bytes())
        content[int(position * len(content))] ^= 1
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} is damaged \(its SHA-256 is not the card's\)"):
            ImageSet.load(folder)

    def test_a_flipped_bit_in_a_checksum_of_the_card(self, folder):
        path = folder / "card.json"
        text = path.read_text()
        at = text.index('"images.npy": "') + 20
        path.write_text(text[:at] + ("0" if text[at] != "0" else "1") + text[at + 1 :])
        with pytest.raises(DataError, match=r"images\.npy is damaged"):
            ImageSet.load(folder)

    @pytest.mark.parametrize("kept", [0, 3, 60, 128, -1])
    @pytest.mark.parametrize("verify", [True, False])
    def test_truncated_images(self, folder, kept, verify):
        path = folder / "images.npy"
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(DataError, match=r"images\.npy (is damaged|cannot be read)"):
            ImageSet.load(folder, verify=verify)

    def test_nothing_is_unpickled(self, folder, tmp_path):
        class Bomb:
            def __reduce__(self):
                return (tmp_path.joinpath("exploded").touch, ())

        np.save(folder / "images.npy", np.array([Bomb()] * N, dtype=object), allow_pickle=True)
        with pytest.raises(DataError, match=r"images\.npy cannot be read"):
            ImageSet.load(folder, verify=False)
        (folder / "images.npy").write_bytes(__import__("pickle").dumps(Bomb()))
        with pytest.raises(DataError, match=r"images\.npy cannot be read"):
            ImageSet.load(folder, verify=False)
        assert not (tmp_path / "exploded").exists()

    def test_another_archive_in_the_place_of_the_images(self, folder):
        with open(folder / "images.npy", "wb") as file:
            np.savez(file, images=pictures())
        with pytest.raises(DataError, match=r"images\.npy cannot be read"):
            ImageSet.load(folder, verify=False)

    @pytest.mark.parametrize("images", [pictures(N + 1), pictures(size=5), pictures(dtype=np.int16)])
    def test_other_images_than_the_card_says(self, folder, images):
        np.save(folder / "images.npy", images)
        with pytest.raises(DataError, match=r"images\.npy holds .*, the card says \[14, 3, 4, 4\] uint8"):
            ImageSet.load(folder, verify=False)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "table.csv cannot be read"),
            (b"a,b\n1,2\n", "table.csv has the columns"),
            (b"\xff\xfe\x00", "table.csv cannot be read"),
        ],
    )
    def test_another_table(self, folder, content, message):
        (folder / "table.csv").write_bytes(content)
        with pytest.raises(DataError, match=message):
            ImageSet.load(folder, verify=False)

    def test_columns_in_another_order(self, folder):
        rows = table()
        rows[rows.columns[::-1]].to_csv(folder / "table.csv", index=False)
        with pytest.raises(DataError, match=r"table\.csv has the columns \['split', .*, the card says \['size'"):
            ImageSet.load(folder, verify=False)

    def test_a_word_among_numbers(self, folder):
        rows = table().astype({"big": object})
        rows.loc[2, "big"] = "many"
        rows.to_csv(folder / "table.csv", index=False)
        with pytest.raises(DataError, match=r"table\.csv cannot be read \(.*many"):
            ImageSet.load(folder, verify=False)

    def test_a_word_among_flags(self, folder):
        rows = table().astype({"flag": object})
        rows.loc[2, "flag"] = "maybe"
        rows.to_csv(folder / "table.csv", index=False)
        with pytest.raises(DataError, match=r"table\.csv cannot be read \(.*maybe"):
            ImageSet.load(folder, verify=False)

    def test_a_row_too_few(self, folder):
        table()[:-1].to_csv(folder / "table.csv", index=False)
        with pytest.raises(DataError, match=rf"set: .*table: {N - 1} rows for {N} images"):
            ImageSet.load(folder, verify=False)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"\xff\xff",
            b'"medlatent.ImageSet"',
            b"[]",
            b"null",
            b"{}",
            b'{"format": "medlatent.Record", "version": 1}',
        ],
    )
    def test_a_foreign_card(self, folder, content):
        (folder / "card.json").write_bytes(content)
        with pytest.raises(DataError, match=r"card\.json (is not valid JSON|does not describe an image set)"):
            ImageSet.load(folder)

    @pytest.mark.parametrize("version", [2, 0, "1", None])
    def test_another_version(self, folder, version):
        self.edit(folder, version=version)
        with pytest.raises(DataError, match=rf"card\.json has version {version!r}, this medlatent reads version 1"):
            ImageSet.load(folder)

    @staticmethod
    def edit(folder, drop: str | None = None, **changes):
        path = folder / "card.json"
        card = {**json.loads(path.read_text(encoding="utf-8")), **changes}
        card.pop(drop, None)
        path.write_text(json.dumps(card), encoding="utf-8")

    TEXT_FIELDS = ("name", "source", "licence", "citation", "preprocessing")
    FIELDS = (*TEXT_FIELDS, "attributes", "group", "value_range", "shape", "dtype", "columns", "factors", "sha256")

    @pytest.mark.parametrize("field", FIELDS)
    def test_a_field_left_out(self, folder, field):
        self.edit(folder, drop=field)
        with pytest.raises(DataError, match=rf"card\.json: a field is missing .*'{field}'"):
            ImageSet.load(folder)

    @pytest.mark.parametrize("value", [5, ["x"], {"x": 1}, "x"])
    @pytest.mark.parametrize("field", FIELDS)
    def test_a_field_of_another_type(self, folder, field, value):
        if isinstance(value, dict if field == "attributes" else str if field in self.TEXT_FIELDS else ()):
            value = None
        self.edit(folder, **{field: value})
        with pytest.raises(DataError) as caught:
            ImageSet.load(folder)
        assert str(folder) in str(caught.value)

    @pytest.mark.parametrize("sha256", [{}, {"images.npy": "0"}, {"../../etc/passwd": "0"}])
    def test_checksums_cannot_be_left_out(self, folder, sha256):
        self.edit(folder, sha256=sha256)
        with pytest.raises(DataError, match=r"card\.json: a field is missing|images\.npy is damaged"):
            ImageSet.load(folder)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"group": "doctor"}, "no column for the group 'doctor'"),
            ({"group": "hair"}, "hair .* lies in two splits"),
            ({"value_range": [5, 1]}, "value_range: the first value must be below"),
            ({"value_range": [5]}, "value_range|of the wrong type"),
            ({"value_range": ["a", "b"]}, "could not convert"),
            ({"value_range": [0, 1, 2]}, "value_range: expected two numbers"),
            ({"value_range": "01"}, "the card's value_range is '01', expected two numbers"),
            ({"value_range": [0, math.inf]}, "value_range: both values must be finite"),
            ({"gaps": {"text": [N]}}, "column 'text' has other rows without a value than the card says"),
            ({"gaps": {"text": [0]}}, "column 'text' has other rows without a value than the card says"),
            (
                {"factors": {"turn": {"meaning": "m", "kind": "angle", "values": [], "period": 0}}},
                "the period is 0, expected a number above 0",
            ),
            ({"factors": {"byte": {"meaning": "m", "kind": "binary", "values": []}}}, "column 'byte' is binary"),
            (
                {"factors": {"dx": {"meaning": "m", "kind": "categorical", "values": ["mel", "nv", "NA", "NA"]}}},
                "the value 'NA' is there twice",
            ),
            (
                {"factors": {"age": {"meaning": "m", "kind": "continuous", "values": []}}},
                "no column for the factor 'age'",
            ),
            ({"factors": {"dx": {"meaning": "m", "kind": "categorical", "values": ["nv"]}}}, "'dx' holds 'NA'"),
            ({"factors": {"dx": {"meaning": "m", "kind": "ordinal", "values": ["nv"]}}}, "factor kind 'ordinal'"),
            ({"factors": {"dx": {"meaning": "m", "shade": 1, "values": ["nv"]}}}, "shade"),
        ],
    )
    def test_a_card_that_does_not_fit_its_table_names_the_folder(self, folder, changes, message):
        self.edit(folder, **changes)
        with pytest.raises(DataError, match=message) as caught:
            ImageSet.load(folder)
        assert str(folder) in str(caught.value)

    @pytest.mark.parametrize("changes", [{"value_range": [0, 1]}, {"group": None}, {"factors": {}}, {"more": 1}])
    @pytest.mark.parametrize("verify", [True, False])
    def test_a_card_that_fits_and_is_not_what_was_saved(self, folder, changes, verify):
        self.edit(folder, **changes)
        with pytest.raises(DataError, match=r"set/card\.json was changed or damaged"):
            ImageSet.load(folder, verify=verify)

    def test_whatever_is_changed_in_the_card_is_noticed(self, tmp_path):
        rows = table().assign(text=[None, *TEXTS[1:]])
        path = build(table=rows).save(tmp_path / "set") / "card.json"
        card = json.loads(path.read_text("utf-8"))
        places = [place for place, _ in leaves(card)]
        assert len(places) > 60
        for place in places:
            changed = copy.deepcopy(card)
            *way, last = place
            within = functools.reduce(operator.getitem, way, changed)
            within[last] = another(within[last])
            path.write_text(json.dumps(changed), "utf-8")
            with pytest.raises(DataError, match=r"set(/|: )"):
                ImageSet.load(path.parent)
            del within[last]
            path.write_text(json.dumps(changed), "utf-8")
            if place != ("sha256", "card.json"):  # without its own checksum a card is one of an earlier version
                with pytest.raises(DataError, match=r"set(/|: )"):
                    ImageSet.load(path.parent)

    def test_the_layout_of_the_card_does_not_count(self, folder):
        card = json.loads((folder / "card.json").read_text("utf-8"))
        (folder / "card.json").write_text(json.dumps(dict(reversed(card.items())), indent=7), "utf-8")
        assert ImageSet.load(folder).fingerprint == build().fingerprint

    def test_sets_of_earlier_versions_have_no_checksum_of_the_card(self, folder):
        sha256 = json.loads((folder / "card.json").read_text("utf-8"))["sha256"]
        self.edit(folder, sha256={name: sha256[name] for name in ("images.npy", "table.csv")}, licence="CC0")
        assert ImageSet.load(folder).card.licence == "CC0"

    def test_a_card_that_is_nested_too_deeply(self, folder):
        (folder / "card.json").write_text("[" * 100_000)
        with pytest.raises(DataError, match=r"card\.json is not valid JSON"):
            ImageSet.load(folder)
