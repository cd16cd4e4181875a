"""Tables as the pages show them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from pandas.io.formats.style import Styler


def show_table(frame: pd.DataFrame, precision: int = 2, index: bool = True, thousands: str | None = None) -> Styler:
    """A table of numbers that can be scrolled on a narrow screen; a missing one is a dash.

    Args:
        frame: what to show; as the last line of a cell, the table is displayed.
        precision: decimals of the numbers that are no integers.
        index: whether the rows have their names in front.
        thousands: what stands between groups of three digits.
    """
    table = frame.style.format(precision=precision, na_rep="–", thousands=thousands)
    table.set_table_attributes('class="dataframe"')  # by which the book's style sheet knows it
    return table if index else table.hide(axis="index")
