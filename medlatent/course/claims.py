"""The verdicts of a chapter as its page shows them: a table, every seed's points, and a single word."""

from __future__ import annotations

import html
import math
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..claims import in_words, read_claims
from ..explore.figures import COLOURS, INK, figure

NOTE = (
    "Each interval is that of its part alone. The marks follow from p values after Holm's correction over all parts of "
    "the chapter; where a part is one-sided, δ stands in the place of zero. Beside them stand the seeds, with the test "
    "(t, or the exact one of signs) and the correlation r of the pairs, and the means of the first and second system."
)
Judged = Mapping[str, Any]  # of claims.json: the whole, a claim or a part


class Verdicts:
    """The claims of a chapter as a cell shows them: tables in a browser, text elsewhere.

    Attributes:
        chapter: what :func:`medlatent.claims.read_claims` returns.
    """

    def __init__(self, chapter: Judged) -> None:
        self.chapter = chapter

    def __repr__(self) -> str:
        lines = regime(self.chapter)
        for claim in self.chapter["claims"]:
            lines += ["", f"{claim['id']}: {in_words(claim)}", f"“{claim['quote']}” ({claim['place']})"]
            lines += ["  " + "; ".join(f"{k}: {v}" for k, v in row.items() if v) for row in table_rows(claim)]
            lines += margin_lines(claim)
        return "\n".join([*lines, "", NOTE])

    def _repr_html_(self) -> str:
        said = html.escape
        lines = ["<ul>", *(f"<li>{said(line)}</li>" for line in regime(self.chapter)), "</ul>"]
        for claim in self.chapter["claims"]:
            verdict, because = said(claim["verdict"]), said(claim["because"])
            lines.append(
                f"<p><strong>{said(claim['id'])}: {verdict}</strong>{f' ({because})' if because else ''}. "
                f"“{said(claim['quote'])}” – {said(claim['place'])}</p>"
            )
            lines += [table_html(claim), *(f"<p>{said(line)}</p>" for line in margin_lines(claim))]
        lines.append(f"<p>{NOTE}</p>")
        return f'<div class="claims">{"".join(lines)}</div>'


def show_claims(slug: str) -> Verdicts:
    """The claims of a chapter with their verdicts: what a cell ends with.

    Of each claim: its verdict, the paper's words, and a row for each part, with the paper's effect, ours with its
    interval, the means of both systems, what chance or shuffled codes give, and the two marks after Holm's correction.
    All of it is read from ``results/<slug>/claims.json``.

    Args:
        slug: of the chapter.

    Raises:
        FileNotFoundError: there are no verdicts; the message says which command computes them.
        ValueError: the file was changed by hand or damaged.
    """
    return Verdicts(read_claims(slug))


def verdict_of(slug: str, id: str) -> str:
    """The verdict of one claim, ``"undecided"``.

    Prose states it in bold with the claim's id, ``**A1a: undecided**``, and the tests compare.

    Args:
        slug: of the chapter.
        id: of the claim.

    Raises:
        FileNotFoundError: there are no verdicts; the message says which command computes them.
        ValueError: there is no such claim; the message lists those there are.
    """
    verdicts = {claim["id"]: claim["verdict"] for claim in read_claims(slug)["claims"]}
    if id not in verdicts:
        raise ValueError(f"{slug} has no claim {id!r}; it has {', '.join(verdicts)}")
    return verdicts[id]


def claim_points(slug: str, *ids: str) -> Figure:
    """Every seed's difference, one row a part, on a scale of its own: what the intervals are made of.

    Args:
        slug: of the chapter.
        *ids: of the claims to draw; by default all that have runs.

    Raises:
        FileNotFoundError: there are no verdicts; the message says which command computes them.
        ValueError: there is no such claim, or none of its runs is recorded.
    """
    for id in ids:
        verdict_of(slug, id)
    rows = [
        (f"{claim['id']}  {part['name']}", part, differences)
        for claim in read_claims(slug)["claims"]
        for part in claim["parts"]
        if (not ids or claim["id"] in ids) and (differences := _differences(part))
    ]
    if not rows:
        raise ValueError(f"{slug}: no pair of runs of {', '.join(ids) or 'any claim'} is recorded")
    fig, axes = figure(7, 0.6 + 0.55 * len(rows), rows=len(rows), squeeze=False)
    for axis, (label, part, differences) in zip(axes[:, 0], rows, strict=True):
        null = _null(part)
        axis.axvline(null, color=INK, lw=1, label="zero, or the margin of a one-sided part")
        if part["n"]:
            axis.plot(part["interval"], [0, 0], color=COLOURS[0], lw=5, alpha=0.4, label="interval")
            axis.plot(part["estimate"], 0, "|", color=COLOURS[0], ms=14, mew=2, label="mean")
        axis.plot(differences, np.zeros(len(differences)), "o", color=COLOURS[0], ms=4, label="a seed")
        if not isinstance(part["paper"], str):
            axis.plot(part["paper"], 0, "D", color=COLOURS[1], ms=6, label="the paper's effect")
        axis.set(ylim=(-1, 1))
        axis.margins(x=0.06)
        axis.set_yticks([0], [label], fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(5))
        axis.tick_params(axis="x", labelsize=7)
        axis.tick_params(axis="y", length=0)
        axis.spines["left"].set_visible(False)
    handles = {}
    for axis in axes[:, 0]:
        for handle, text in zip(*axis.get_legend_handles_labels(), strict=True):
            handles[text] = handle
    fig.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=3, fontsize=8)
    described = [
        f"{' '.join(label.split())}: {len(d)} seeds from {min(d):.3g} to {max(d):.3g}, the paper's effect "
        f"{part['paper'] if isinstance(part['paper'], str) else format(part['paper'], '.3g')}"
        for label, part, d in rows
    ]
    fig.alt = f"Differences between two systems, a point for each seed, a row for each part. {'; '.join(described)}."
    return fig


def _differences(part: Judged) -> list[float]:
    pairs = zip(part["first"], part["second"], strict=True)
    return [first - second for first, second in pairs if first is not None and second is not None]


def _null(part: Judged) -> float:
    """What has to be excluded, in the unit of the measure: 0, or the margin on the bad side."""
    return {"not less": -part["margin"], "not greater": part["margin"]}.get(part["direction"], 0.0)


# ---------------------------------------------------------------------------------------------------------- in words


def table_rows(claim: Judged) -> list[dict[str, str]]:
    """One row a part, as a page shows it: texts by the names of columns. What a row lacks is "–".

    The columns that must not be missed come first: on a phone the others are scrolled to.
    """
    names = list(dict.fromkeys(name for part in claim["parts"] for name in part["rows"]))
    return [
        {
            "Part": f"{part['name']}: {' − '.join(systems(part))} {_claimed(part)}",
            "Verdict": in_words(part),
            "Paper's effect": part["paper"] if isinstance(part["paper"], str) else number(part["paper"]),
            "Ours": _ours(part),
            "Zero excluded?": _mark(part, "zero_excluded", "p_holm"),
            "Paper's excluded?": _mark(part, "paper_excluded", "paper_p_holm"),
            "Seeds": _seeds(part),
            "Means": _means(part),
            **{name.capitalize(): _means(part["rows"].get(name)) for name in names},
        }
        for part in claim["parts"]
    ]


def table_html(claim: Judged) -> str:
    """The rows as a table; empty where the claim has no parts."""
    rows = table_rows(claim)
    if not rows:
        return ""
    # By its classes the book's style sheet knows it, which on a phone sets the cells below each other: each says what
    # it is, and the roles, which that would take away, are named.
    said, columns = html.escape, list(rows[0])
    head = "".join(f'<th role="columnheader">{said(column)}</th>' for column in columns)
    lines = [
        "".join(f'<td role="cell" data-label="{said(column)}">{said(row[column])}</td>' for column in columns)
        for row in rows
    ]
    body = "".join(f'<tr role="row">{line}</tr>' for line in lines)
    return (
        f'<table class="table dataframe claims" role="table"><thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table>'
    )


def regime(chapter: Judged) -> list[str]:
    """Under what regime the runs were made, with which seeds, and when the protocol was written: a line for each."""
    seeds, chosen = chapter["seeds"], chapter["seeds"]["used_for_choosing"]
    return [
        *(f"{key.replace('_', ' ')}: {_value(value)}" for key, value in chapter["regime"].items()),
        f"seeds: {ranges(seeds['judged'])}",
        f"tuned: {seeds['tuned']}{f' (on {ranges(chosen)})' if chosen else ''}",
        f"unit: {chapter['method']['unit']}",
        f"protocol written {chapter['written']}",
    ]


def margin_lines(claim: Judged) -> list[str]:
    """What the margins of one-sided parts mean, and why they are what they are."""
    return [
        f"δ of {part['name']} is {number(part['margin'])}: {part['margin_because']}"
        for part in claim["parts"]
        if part["margin_because"]
    ]


def systems(part: Judged) -> tuple[str, str]:
    """What the records of the two systems are called, without the seed and what both begin with.

    Where a part compares one system by two measures, what the measures are called.
    """
    if part["runs"][0] == part["runs"][1]:
        return part["measure"], part["against"]
    first, second = (re.sub(r"[_-]?(seed)?\{seed\}", "", run).split("_") for run in part["runs"])
    while min(len(first), len(second)) > 1 and first[0] == second[0]:
        first, second = first[1:], second[1:]
    return "_".join(first), "_".join(second)


def number(value: float, decimals: int | None = None) -> str:
    """A number with its sign as typography has it; by default with three digits that count."""
    text = f"{value:.3g}" if decimals is None else f"{value:.{decimals}f}"
    return text.replace("-", "−") if float(text) else text.replace("-", "")


def percent(share: float) -> str:
    """0.9375 as ``"93.8 %"``."""
    return f"{100 * share:.3g} %"


def ranges(seeds: Sequence[int]) -> str:
    """0, 1, 2, 5 as ``"0 to 2, 5"``."""
    seeds = sorted(seeds)
    breaks = [0, *(i for i, (a, b) in enumerate(pairwise(seeds), 1) if b != a + 1), len(seeds)]
    runs = [seeds[start:stop] for start, stop in pairwise(breaks)]
    return ", ".join(f"{run[0]} to {run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def _value(value: str | int | float) -> str:
    return f"{value:,}".replace(",", " ") if isinstance(value, int) else str(value)


def _claimed(part: Judged) -> str:
    sign = ">" if part["direction"] in ("greater", "not less") else "<"
    if not part["direction"].startswith("not "):
        return f"{sign} 0"
    return f"{sign} {'−' if sign == '>' else ''}δ = {number(_null(part))}, one-sided"


def _ours(part: Judged) -> str:
    if not part["n"]:
        return "–"
    low, high = part["interval"]
    half = (high - low) / 2
    # Two digits of the interval's half width count.
    decimals = min(max(1 - math.floor(math.log10(half)), 0), 6) if half else 3
    low, high = number(low, decimals), number(high, decimals)
    return f"{number(part['estimate'], decimals)} [{low}, {high}] ({percent(part['level'])})"


def _means(values: Judged | None) -> str:
    """The means of the first and of the second system, over the seeds that are there."""
    if values is None:
        return "–"
    columns = ([value for value in values[key] if value is not None] for key in ("first", "second"))
    return ", ".join(number(float(np.mean(there))) if there else "–" for there in columns)


def _seeds(part: Judged) -> str:
    if not part["n"]:
        return "–"
    r = "" if part["correlation"] is None else f", r = {number(part['correlation'], 2)}"
    return f"{part['n']} ({part['test']}{r})"


def _mark(part: Judged, mark: str, p: str) -> str:
    if part[mark] is None:
        return "–"
    what = "δ: " if mark == "zero_excluded" and part["direction"].startswith("not ") else ""
    return f"{what}{'yes' if part[mark] else 'no'} (p {'< 0.001' if part[p] < 0.001 else f'= {part[p]:.2g}'})"
