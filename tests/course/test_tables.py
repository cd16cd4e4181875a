"""Tables of the pages: rounded, a dash for what is missing, and of the class that the style sheet knows."""

import pandas as pd
import pytest
from bs4 import BeautifulSoup

from medlatent.course import show_table, spread

FRAME = pd.DataFrame({"steps": [12_000, 7], "PSNR": [22.913, None]}, index=["ours", "theirs"])


def cells(table) -> list[list[str]]:
    page = BeautifulSoup(table.to_html(), "html.parser")
    assert "dataframe" in page.table["class"]
    return [[cell.text for cell in row.find_all(["th", "td"])] for row in page.tbody.find_all("tr")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [["ours", "12000", "22.91"], ["theirs", "7", "–"]]),
        ({"precision": 1, "index": False, "thousands": " "}, [["12 000", "22.9"], ["7", "–"]]),
    ],
)
def test_show_table(options, expected):
    assert cells(show_table(FRAME, **options)) == expected


def test_text_of_a_table_is_no_markup():
    text = "<b>a & b</b></td>"
    frame = pd.DataFrame({text: [text, "c"]}, index=pd.MultiIndex.from_tuples([(text, text), ("d", "e")]))
    page = BeautifulSoup(show_table(frame).to_html(), "html.parser")
    assert page.b is None
    assert [cell.text for cell in page.find_all(["th", "td"])].count(text) == 4


@pytest.mark.parametrize(
    ("values", "decimals", "expected"),
    [
        ([1.0, 3.0], 2, "2.00\u00a0±\u00a01.41"),  # of a sample: sqrt 2, not 1
        ([0.256], 2, "0.26"),
        ([10.4, 10.4, 10.4], 0, "10\u00a0±\u00a00"),
        ([], 2, "–"),
    ],
)
def test_a_mean_and_what_seeds_differ_by(values, decimals, expected):
    assert spread(values, decimals) == expected
