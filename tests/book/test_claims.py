"""The page of claims: every claim of every paper, its verdict, regime, records and command."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest
from claims import claims_page, escaped
from common import BuildError

ROOT = Path(__file__).resolve().parents[2]
PAPERS = tomllib.loads((ROOT / "book/papers.toml").read_text("utf-8"))["papers"]


@pytest.fixture
def course(judged) -> Path:
    """The papers, one of them with verdicts, one with a protocol alone, three with neither."""
    root = judged.parent
    (root / "book").mkdir()
    shutil.copy(ROOT / "book/papers.toml", root / "book")
    shutil.copy(ROOT / "_config.yml", root)
    (root / "notebooks").mkdir()
    (root / "notebooks/40_attribute_vae.py").write_text("# %% [markdown]\n# (attribute-vae)=\n# # Attributes\n")
    (root / "_toc.yml").write_text("root: book/index\nchapters:\n- file: notebooks/40_attribute_vae\n")
    (judged / "hsic_infogan").mkdir()
    shutil.copy(ROOT / "results/hsic_infogan/claims.toml", judged / "hsic_infogan")
    return root


def test_the_papers_have_nineteen_claims():
    ids = [id for paper in PAPERS for id in paper["claims"]]
    assert len(ids) == len(set(ids)) == 19


def test_the_real_page_lists_every_claim_and_whatever_has_no_verdict_is_to_come():
    page = claims_page(ROOT)
    for paper in PAPERS:
        _, _, section = page.partition(f"## {paper['name']}\n")
        judged = (ROOT / f"results/{paper['slug']}/claims.json").is_file()
        for id, says in paper["claims"].items():
            assert f"| {id} | {escaped(says)} | {'{ref}' if judged else 'to come |'}" in section


def test_a_judged_claim_in_full(course):
    page = claims_page(course)
    section = page.partition("## Di Folco et al. 2024\n")[2].partition("\n## ")[0]
    assert "{cite:t}`difolco2024`. Chapter: {ref}`attribute-vae`." in section
    assert re.search(r"\| A1 \| .* \| {ref}`A1a: supported <claim-attribute-vae-a1a>` \|", section)
    assert re.search(r"\| A3 \| .* \| to come \|", section)  # no claim of the protocol is A3
    assert "| B9 | “everywhere” | {ref}`B9: not testable here <claim-attribute-vae-b9>` |" in section
    first = section.partition("(claim-attribute-vae-a1a)=\n### A1a: supported\n")[2].partition("\n(claim-")[0]
    assert 'data-label="Ours">0.136 [0.098, 0.174] (95 %)</td>' in first
    assert section.count("- data: made up\n- images seen: 32 000\n") == 1  # once for all claims
    base = "https://github.com/medlatent/medlatent/blob/main/results/attribute_vae"
    assert f"[the protocol]({base}/claims.toml), [the verdicts]({base}/claims.json)" in first
    assert f"`acdc_old`, seeds [0]({base}/acdc_old_seed0.md), [1](" in first
    assert first.count("python -m medlatent run") == 1  # both parts have one command
    second = section.partition("### A2: not testable here\n")[2].partition("\n(claim-")[0]
    assert "`acdc_gone`, seeds none" in second
    assert "one place is all there is." in section


def test_verdicts_to_come(course):
    page = claims_page(course)
    liu = page.partition("## Liu et al. 2022\n")[2]
    assert "The verdicts are to come. Its [protocol](" in liu
    assert "- H1a: “HSIC-InfoGAN learns better c1” (section 3" in liu
    assert "| H2 | " in liu
    assert "{ref}" not in liu
    havaei = page.partition("## Havaei et al. 2021\n")[2].partition("\n## ")[0]
    assert havaei.count("to come |") == 4
    assert "protocol" not in havaei


def test_a_changed_file_and_a_broken_protocol_fail_the_build(course):
    path = course / "results/attribute_vae/claims.json"
    path.write_text(path.read_text("utf-8").replace('"supported"', '"contradicted"'), "utf-8")
    with pytest.raises(ValueError, match="was changed or damaged"):
        claims_page(course)
    path.unlink()
    (course / "results/hsic_infogan/claims.toml").write_text("claims = ")
    with pytest.raises(BuildError, match=r"hsic_infogan/claims\.toml is no protocol"):
        claims_page(course)


@pytest.mark.parametrize("text", ["a * b_c_ | `d` <e> $f$ [g](h) {i} ~j~ \\k #l", "\n two   lines\n"])
def test_nothing_in_a_quotation_is_markup(text):
    """Markdown takes punctuation behind a backslash for itself."""
    shown = escaped(text)
    assert re.sub(r"\\(.)", r"\1", shown) == " ".join(text.split())
    assert not set(re.sub(r"\\.", "", shown)) & set("*_|`<>$[]{}~#^")
