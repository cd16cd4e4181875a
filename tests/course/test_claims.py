"""Verdicts as a page shows them: every mark and caveat in sight, every seed drawn."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from bs4 import BeautifulSoup

import medlatent.claims
from medlatent.course import claim_points, show_claims, verdict_of
from medlatent.course.claims import number, percent, ranges, systems
from medlatent.explore.figures import picture_bundle


@pytest.fixture(autouse=True)
def chapter(judged, monkeypatch):
    monkeypatch.setattr(medlatent.claims, "results_folder", lambda: judged)


def test_a_table_a_claim_and_a_row_a_part():
    page = BeautifulSoup(show_claims("attribute_vae")._repr_html_(), "html.parser")
    first, second = page.find_all("table")
    assert "dataframe" in first["class"]
    head = [cell.text for cell in first.thead.find_all("th")]
    scc, ssim = ([cell.text for cell in row.find_all("td")] for row in first.tbody.find_all("tr"))
    assert dict(zip(head, scc, strict=True)) == {
        "Part": "SCC: new − old > 0",
        "Verdict": "supported",
        "Paper's effect": "0.2",
        "Ours": "0.136 [0.098, 0.174] (95 %)",
        "Zero excluded?": "yes (p = 0.0011)",  # t = 9.97 with four degrees: 0.00057, the second smallest of three
        "Paper's excluded?": "yes (p = 0.019)",
        "Seeds": "5 (t)",
        "Means": "0.636, 0.5",
        "Chance": "0.1, 0.2",
    }
    # On a phone, where the head is gone, each cell says what it is.
    for line in first.tbody.find_all("tr"):
        assert [cell["data-label"] for cell in line.find_all("td", role="cell")] == head
    row = dict(zip(head, ssim, strict=True))
    assert row["Part"] == "SSIM: new − old > −δ = −0.05, one-sided"
    assert row["Ours"].endswith("(90 %)")
    assert row["Zero excluded?"].startswith("δ: yes")
    assert (row["Paper's effect"], row["Paper's excluded?"], row["Chance"]) == ("by eye", "–", "–")
    missing = [cell.text for cell in second.tbody.find_all("td")]
    assert missing[1].startswith("not testable here: 5 of 10 runs are missing: acdc_gone_seed0, ")
    assert missing[2:] == ["−1", "–", "–", "–", "–", "0.1, –"]
    assert [strong.text for strong in page.find_all("strong")] == [
        "A1a: supported",
        "A2: not testable here",
        "B9: not testable here",
    ]


@pytest.mark.parametrize(
    "said",
    [
        "“it *works* for <all> | at $0”",
        "images seen: 32 000",
        "tuned: nothing (on 100)",
        "protocol written before the judged runs",
        "δ of SSIM is 0.05: nobody sees it",
        "one place is all there is",
        "The marks follow from p values after Holm's correction",
    ],
)
def test_the_words_and_the_caveats_are_in_both_editions(said):
    shown = show_claims("attribute_vae")
    assert said in " ".join(BeautifulSoup(shown._repr_html_(), "html.parser").text.split())
    assert said in repr(shown)


def test_the_verdict_of_a_claim():
    assert verdict_of("attribute_vae", "A1a") == "supported"
    with pytest.raises(ValueError, match="attribute_vae has no claim 'A7'; it has A1a, A2, B9"):
        verdict_of("attribute_vae", "A7")
    for ask in (show_claims, claim_points, lambda slug: verdict_of(slug, "A1")):
        with pytest.raises(FileNotFoundError, match="`python -m medlatent claims nowhere` writes it"):
            ask("nowhere")


def test_every_seed_is_drawn_beside_the_null_and_the_paper_s_effect():
    fig = claim_points("attribute_vae")
    scc, ssim = fig.axes
    assert [axis.get_yticklabels()[0].get_text() for axis in fig.axes] == ["A1a  SCC", "A1a  SSIM"]

    def drawn(axis) -> dict:
        return {line.get_label(): np.atleast_1d(line.get_xdata()) for line in axis.lines}

    assert drawn(scc)["a seed"] == pytest.approx([0.10, 0.12, 0.13, 0.15, 0.18])
    assert drawn(scc)["the paper's effect"] == pytest.approx([0.2])
    assert drawn(scc)["zero, or the margin of a one-sided part"] == pytest.approx([0, 0])
    assert drawn(ssim)["zero, or the margin of a one-sided part"] == pytest.approx([-0.05, -0.05])
    assert "the paper's effect" not in drawn(ssim)
    assert "A1a SCC: 5 seeds from 0.1 to 0.18, the paper's effect 0.2" in fig.alt
    assert "A1a SSIM: 5 seeds from 0.02 to 0.036, the paper's effect by eye" in fig.alt
    assert picture_bundle(fig)[0]["text/plain"] == fig.alt


def test_only_the_claims_that_are_asked_for_are_drawn():
    fig = claim_points("attribute_vae", "A1a")
    assert len(fig.axes) == 2
    plt.close(fig)
    for asked in ("A2", "B9"):
        with pytest.raises(ValueError, match=f"attribute_vae: no pair of runs of {asked} is recorded"):
            claim_points("attribute_vae", asked)
    with pytest.raises(ValueError, match="has no claim 'A7'"):
        claim_points("attribute_vae", "A7")


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        (["acdc_new_seed{seed}", "acdc_old_seed{seed}"], ("new", "old")),
        (["new-{seed}", "old{seed}"], ("new", "old")),
        (["acdc_vae_seed{seed}", "acdc_vae_long_seed{seed}"], ("vae", "vae_long")),
        (["a_x_seed{seed}", "b_x_seed{seed}"], ("a_x", "b_x")),
    ],
)
def test_what_two_systems_are_called(runs, expected):
    assert systems({"runs": runs}) == expected


def test_one_system_by_two_measures_is_called_by_the_measures():
    part = {"runs": ["lidc_drai_seed{seed}"] * 2, "measure": "overlap", "against": "overlap_pixels"}
    assert systems(part) == ("overlap", "overlap_pixels")


def test_numbers_in_words():
    assert [number(x) for x in (0.29, -0.2, 0, 1234.5)] == ["0.29", "−0.2", "0", "1.23e+03"]
    assert number(-0.0001, 3) == "0.000"
    assert [percent(x) for x in (0.95, 0.9375, 0.9)] == ["95 %", "93.8 %", "90 %"]
    assert [ranges(s) for s in ([0, 1, 2, 3], [3, 1], [0, 1], [0, 2, 3, 4, 9])] == [
        "0 to 3",
        "1, 3",
        "0, 1",
        "0, 2 to 4, 9",
    ]
