"""Tables of labels that people supply: what spreadsheets make of them, and numbers that would not be kept."""

import unicodedata

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medlatent.data import DataError, ImageSet, split_by_group
from medlatent.data.labels import read_table

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
LARGE = 2**53 + 1  # which no float holds


@pytest.fixture
def read(tmp_path):
    def read(content, encoding="utf-8"):
        (tmp_path / "t.csv").write_bytes(content.encode(encoding))
        return read_table(tmp_path / "t.csv")[0]

    return read


def of_arrays(**columns) -> ImageSet:
    rows = len(next(iter(columns.values())))
    return ImageSet.from_arrays(np.zeros((rows, 5, 5), np.uint8), pd.DataFrame(columns), group="patient")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "lines",
    [
        ["file,age,patient", "a,3.5,Mü", "b,,Mü"],
        ["file;age;patient", "a;3,5;Mü", "b;NA;Mü"],
        ["file\tage\tpatient", "a\t3.5\tMü", "b\t#N/A\tMü"],
        [" file , age, patient ", " a , 3.5 , Mü ", "b, <NA> , Mü "],
        ["file;age;patient", "a;3,5;Mü", "b;;Mü", "", ""],
    ],
)
def test_what_spreadsheets_write_is_one_table(read, lines, end, encoding):
    table = read(end.join(lines), encoding)
    assert table.to_dict("list") == {
        "file": ["a", "b"],
        "age": [3.5, pytest.approx(np.nan, nan_ok=True)],
        "patient": ["Mü"] * 2,
    }


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_excel_may_state_what_stands_between_values(read, end):
    assert read(end.join(["SEP=;", "file;x", "a;3,5"])).to_dict("list") == {"file": ["a"], "x": [3.5]}
    assert read(end.join(["sep=,", "file,x;y", "a;b,3"])).to_dict("list") == {"file": ["a;b"], "x;y": [3]}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "latin-1"])
def test_other_encodings_say_what_to_do(read, encoding):
    with pytest.raises(DataError, match=r"t\.csv .*save it (as CSV )?in UTF-8"):
        read("file,patient\na,Mü\n", encoding)


def test_a_folder_that_is_called_as_a_table(tmp_path):
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(DataError, match=r"t\.csv is a folder"):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        ([str(LARGE), "1"], [LARGE, 1]),
        ([str(2**63 - 1), "-1"], [2**63 - 1, -1]),
        ([str(LARGE), ""], [str(LARGE), None]),
        ([str(2**63), "1"], [str(2**63), "1"]),
        (["1" * 25, "1" * 24 + "2"], ["1" * 25, "1" * 24 + "2"]),
        ([str(2**53), ""], [2.0**53, None]),
    ],
)
def test_identifiers_that_a_float_does_not_hold_stay_as_they_are(read, words, kept):
    table = read("file,id\n" + "".join(f"{k},{word}\n" for k, word in enumerate(words)))
    assert [None if pd.isna(value) else value for value in table["id"]] == kept


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        (pd.Series([2**63 + 5, 1], dtype=np.uint64), [str(2**63 + 5), "1"]),
        (pd.Series([LARGE, 1], dtype=np.uint64), [LARGE, 1]),
        (pd.Series([LARGE, None], dtype="Int64"), [str(LARGE), None]),
        (pd.Series([-LARGE, None], dtype="Int64"), [str(-LARGE), None]),
        (pd.Series([7, None], dtype="Int64"), [7.0, None]),
        (pd.Series([7.0, None], dtype=object), ["7", None]),
        (pd.Series([7.0, 8.5]).astype("category"), ["7", "8.5"]),
        (pd.Series(["p1 ", "\tp1"]), ["p1", "p1"]),
        (pd.Series(["", " "]), [None, None]),
    ],
)
def test_columns_of_a_data_frame(column, kept):
    table, _ = read_table(pd.DataFrame({"id": column}))
    assert [None if pd.isna(value) else value for value in table["id"]] == kept


@pytest.mark.parametrize("names", [[5, "5"], ["a", "a "], ["a", "a"]])
def test_columns_of_one_name(names):
    with pytest.raises(DataError, match=f"table: two columns are called '{str(names[0]).strip()}'"):
        read_table(pd.DataFrame([[1, 2]], columns=names))


@pytest.mark.parametrize(
    "patients", [[7, 8, 9], [7.0, 8.0, 9.0], ["7", "8 ", " 9"], pd.Series([7.0, 8, "9"], dtype=object)]
)
def test_a_patient_is_the_same_however_the_column_is_kept(patients):
    assert of_arrays(patient=patients).table["split"].tolist() == split_by_group([7, 8, 9]).tolist()


def test_columns_are_called_in_arguments_as_in_the_data_frame():
    table = pd.DataFrame({5: ["a", "b"] * 3, "kind ": [1, 2] * 3, "7": list("uvwxyz")})
    made = ImageSet.from_arrays(np.zeros((6, 5, 5), np.uint8), table, {"kind ": "categorical"}, group=5)
    assert made.group == "5"
    assert made.factors["kind"].values == ("1", "2")
    with pytest.raises(DataError, match="group: there is no column 'p'; there are 5, kind, 7"):
        ImageSet.from_arrays(np.zeros((6, 5, 5), np.uint8), table, group="p")


@pytest.mark.parametrize("name", ["split", "Split", " SPLIT "])
def test_the_split_of_a_table_is_not_replaced_by_chance(name):
    rows = pd.DataFrame({"patient": list("aabbcc"), name: ["train", "train", "test", "test", "val", "val"]})
    table = ImageSet.from_arrays(np.zeros((6, 5, 5), np.uint8), rows, group="patient").table
    assert table["split"].tolist() == ["train", "train", "test", "test", "validation", "validation"]
    assert list(table) == ["patient", "split"]


def test_two_columns_that_may_be_the_split():
    rows = pd.DataFrame({"split": ["train", "test"] * 3, "Split": ["test", "train"] * 3})
    with pytest.raises(DataError, match="the columns split and Split may both be the split: rename one"):
        ImageSet.from_arrays(np.zeros((6, 5, 5), np.uint8), rows)


@pytest.mark.parametrize(
    ("options", "match"), [({"seed": 1.5}, "^seed must be a whole number"), ({"fractions": [0.5]}, "^fractions: ")]
)
def test_arguments_of_the_split_are_named(options, match):
    with pytest.raises(DataError, match=match):
        ImageSet.from_arrays(np.zeros((6, 5, 5), np.uint8), pd.DataFrame({"p": list("abcabc")}), group="p", **options)


@pytest.mark.parametrize("nobody", [None, "", " ", "nan", "None"])
def test_whose_images_they_are_is_said_of_each(nobody):
    with pytest.raises(DataError, match="column 'patient': groups: row 1 has none"):
        of_arrays(patient=["p1", nobody])
    with pytest.raises(DataError, match="table: row 1 has no patient"):
        of_arrays(patient=["p1", nobody], split=["train", "test"])


@pytest.mark.parametrize("split", [["train", "test"], None])
def test_one_patient_written_in_two_ways(split):
    columns = {"patient": ["7", "007"]} | ({"split": split} if split else {})
    with pytest.raises(DataError, match=r"if they are the same, write them alike|'007' lies in two splits"):
        of_arrays(**columns)


@pytest.mark.parametrize("wrong", [np.inf, -np.inf])
def test_a_factor_is_finite_or_missing(wrong, read):
    with pytest.raises(DataError, match=r"'age' is to be continuous, and row 1 holds -?inf; leave it empty"):
        of_arrays(patient=["a", "b", "c"], age=[1.0, wrong, 2.0])
    table = read("patient,age\na,1\nb,1e999\n")
    with pytest.raises(DataError, match="'age' is to be continuous, and row 1 holds inf"):
        of_arrays(**table)


def test_names_of_files_as_macos_writes_them(tmp_path):
    (tmp_path / "set").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "set" / unicodedata.normalize("NFD", "Müller.png"))
    table = pd.DataFrame({"file": [unicodedata.normalize("NFC", "Müller")], "x": 1})
    assert ImageSet.from_folder(tmp_path / "set", table).table["x"].tolist() == [1]
