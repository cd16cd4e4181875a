"""Tables as the pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def show_table(
    frame: pd.DataFrame, precision: int = 2, index: bool = True, thousands: str | None = None
) -> pd.io.formats.style.Styler:
    """A table of numbers that can be scrolled on a narrow screen; a missing one is a dash.

    Args:
        frame: what to show; as the last line of a cell, the table is displayed.
        precision: decimals of the numbers that are no integers.
        index: whether the rows have their names in front.
        thousands: what stands between groups of three digits.
    """
    # Text is shown as it is: pandas would write that of a class's name into the page as markup.
    table = frame.style.format(precision=precision, na_rep="–", thousands=thousands, escape="html")
    for axis in ("index", "columns"):
        table.format_index(escape="html", axis=axis)
    table.set_table_attributes('class="dataframe"')  # by which the book's style sheet knows it
    return table if index else table.hide(axis="index")


def spread(values: Sequence[float] | np.ndarray, decimals: int = 2) -> str:
    """Mean ± standard deviation of what several seeds gave, as text for a table.

    Args:
        values: ``(S,)``. One alone has no ±, and none is a dash. The standard deviation is a sample's, over S - 1.
        decimals: of both.
    """
    if not len(values):
        return "–"
    text = f"{np.mean(values):.{decimals}f}"
    return f"{text}\u00a0±\u00a0{np.std(values, ddof=1):.{decimals}f}" if len(values) > 1 else text
