"""Verdicts: statistics against closed forms and brute force, every verdict and error, and the chapters' own files."""

import json
import math
import re
import shutil
import subprocess
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import medlatent.__main__
from medlatent.__main__ import main
from medlatent.claims import (
    CONTRADICTED,
    NOT_TESTABLE,
    NOT_THE_SIZE,
    PROTOCOL,
    SUPPORTED,
    UNDECIDED,
    VERDICTS,
    Protocol,
    conjunction,
    in_words,
    judge,
    judge_chapter,
    judged_chapters,
    out_of_step,
    read_claims,
    seeds_to_decide,
    write_claims,
)
from medlatent.metrics.comparison import compare, holm
from medlatent.records import Record, find_record, results_folder

NORMAL = [0.10, 0.12, 0.13, 0.15, 0.18]
COLLAPSED = [0.10, 0.11, 0.12, 0.11, -0.90]
PART = {
    "name": "SCC",
    "runs": ["new_seed{seed}", "old_seed{seed}"],
    "set": "data/test",
    "measure": "scc",
    "direction": "greater",
    "paper": 0.2,
}
MARGIN = {"margin": 0.05, "margin_because": "nobody sees it"}
HEAD = {
    "written": "before the judged runs",
    "regime": {"data": "made up", "images_seen": 32_000},
    "seeds": {"judged": [0, 1, 2, 3, 4], "used_for_choosing": [100], "tuned": "nothing"},
    "method": {"unit": "a seed", "interval": 0.95},
}
CLAIM = {"id": "A1a", "quote": "it is better", "place": "Table 2"}


def value(of) -> str:
    """JSON's text, numbers, lists and booleans are TOML's, too; tables are written inline."""
    if isinstance(of, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {value(v)}" for key, v in of.items()) + " }"
    if isinstance(of, list):
        return "[" + ", ".join(map(value, of)) + "]"
    return json.dumps(of, ensure_ascii=False).replace("NaN", "nan").replace("Infinity", "inf")


def toml(claims, **head) -> str:
    return "\n".join(f"{key} = {value(v)}" for key, v in (HEAD | head | {"claims": claims}).items())


def protocol(folder: Path, *parts, claims=None, **head) -> Protocol:
    """A protocol of one claim with these parts, each of them PART with changes, or of these claims."""
    claims = claims or [CLAIM | {"parts": [PART | {"name": str(i)} | part for i, part in enumerate(parts)]}]
    (folder / "scratch").mkdir(exist_ok=True, parents=True)
    path = folder / "scratch" / PROTOCOL
    path.write_text(toml(claims, **head), encoding="utf-8")
    return Protocol.read(path)


def values(first, second=None, measure="scc", names=("new", "old")) -> dict:
    """Records of two systems with these values, by seed."""
    second = np.zeros(len(first)) if second is None else second
    return {
        f"{name}_seed{seed}": {"data/test": {measure: float(v), "chance": 0.1}}
        for name, column in zip(names, (first, second), strict=True)
        for seed, v in enumerate(column)
    }


def test_a_system_against_another_measure_of_its_own(tmp_path):
    """As codes against pixels: the second value needs no training, and every record has it."""
    part = {"runs": ["new_seed{seed}", "new_seed{seed}"], "against": "chance", "paper": "none"}
    records = {name: value for name, value in values(NORMAL).items() if name.startswith("new")}
    ((judged,),) = (claim["parts"] for claim in judge(protocol(tmp_path, part), records))
    assert judged["against"] == "chance"
    assert judged["second"] == [0.1] * 5
    assert judged["estimate"] == pytest.approx(np.mean(NORMAL) - 0.1, rel=1e-5)
    ((plain,),) = (claim["parts"] for claim in judge(protocol(tmp_path, {}), values(NORMAL)))
    assert "against" not in plain


def judge_one(folder, differences, **part) -> dict:
    """The only part of the only claim."""
    seeds = HEAD["seeds"] | {"judged": list(range(len(differences)))}
    ((judged,),) = (c["parts"] for c in judge(protocol(folder, part, seeds=seeds), values(differences)))
    return judged


class TestCompare:
    def test_t_by_hand(self):
        """Of 1, 2, 3, 4, 5: mean 3, standard error 1/√2, and 2.776 is the 97.5 % point of t with four degrees."""
        found = compare([1, 2, 3, 4, 5], paper=6)
        error = math.sqrt(2.5 / 5)
        assert (found.test, found.n, found.estimate, found.level) == ("t", 5, 3, 0.95)
        assert found.interval == pytest.approx((3 - 2.7764451 * error, 3 + 2.7764451 * error))
        assert found.p == pytest.approx(2 * stats.t.sf(3 / error, 4))
        assert found.paper_p == pytest.approx(found.p)  # 6 is as far from 3 as 0 is

    def test_one_sided_t_by_hand(self):
        """Its interval is that at 90 %: 2.132 is the 95 % point."""
        found = compare([1, 2, 3, 4, 5], null=-1, one_sided=True)
        error = math.sqrt(2.5 / 5)
        assert found.level == pytest.approx(0.9)
        assert found.interval == pytest.approx((3 - 2.1318468 * error, 3 + 2.1318468 * error))
        assert found.p == pytest.approx(stats.t.sf(4 / error, 4))
        other = compare([-1, -2, -3, -4, -5], null=-1, one_sided=True)  # contradicts it: two-sided
        assert other.p == pytest.approx(2 * stats.t.sf(2 / error, 4))

    @pytest.mark.parametrize(
        ("differences", "test"),
        [
            (NORMAL, "t"),
            (COLLAPSED, "signs"),
            (NORMAL[:4], "signs"),  # nobody sees whether four are normal
            ([0.1] * 5, "signs"),
            ([x + 0.1 - x for x in (0.1, 0.23, 0.37, 0.61, 0.7)], "signs"),  # equal but for rounding
            ([1e-30 * d for d in NORMAL], "t"),
        ],
    )
    def test_t_only_where_differences_look_normal(self, differences, test):
        assert compare(differences).test == test

    @pytest.mark.parametrize("n", [3, 4, 6, 8])
    @pytest.mark.parametrize("at", [0.0, 0.3, -0.2])
    def test_the_exact_test_is_that_of_all_signs(self, n, at):
        d = np.random.default_rng(n).standard_cauchy(n).round(1)  # rounded, so that sums tie
        d[-1] += 50  # looks normal to nobody
        found = compare(d, null=at, paper=at)
        assert found.test == "signs"

        def brute(side: str) -> float:
            return stats.permutation_test(
                (d - at,), np.mean, permutation_type="samples", n_resamples=np.inf, alternative=side
            ).pvalue

        assert found.paper_p == pytest.approx(brute("two-sided"))
        assert found.p == pytest.approx(brute("two-sided"))
        assert compare(d, null=at, one_sided=True).p == pytest.approx(
            brute("greater") if d.mean() >= at else brute("two-sided")
        )

    @pytest.mark.parametrize("one_sided", [False, True])
    def test_the_interval_of_signs_is_what_its_test_does_not_exclude(self, one_sided):
        d = np.array([0.2, 0.31, 0.17, 0.23, 0.28, 0.26, 5.0, 0.19])
        found = compare(d, one_sided=one_sided)
        level = 0.9 if one_sided else 0.95
        assert level <= found.level < level + 2 / 2**7
        for end, inwards in zip(found.interval, (1, -1), strict=True):
            inside, outside = (compare(d, paper=end + inwards * step).paper_p for step in (1e-6, -1e-6))
            assert outside <= 1 - found.level + 1e-12 < inside

    @pytest.mark.parametrize(("n", "level"), [(3, 0.75), (4, 0.875), (5, 0.9375)])
    def test_few_seeds_cannot_reach_the_level_and_the_interval_says_so(self, n, level):
        d = [*[0.1] * (n - 1), 9]
        found = compare(d)
        assert (found.interval, found.level) == ((0.1, 9), level)
        assert found.p == pytest.approx(2 / 2**n)

    def test_no_difference_at_all(self):
        found = compare([0.0] * 6, paper=0.2)
        assert (found.p, found.paper_p, found.interval) == (1, 2 / 2**6, (0, 0))


class TestHolm:
    def test_by_hand(self):
        assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
        assert holm([0.5, 0.9]) == [1, 1]
        assert holm([]) == []

    @pytest.mark.parametrize("p", [None, 0.5, (x for x in [0.1]), "0.1"], ids=lambda p: type(p).__name__)
    def test_what_is_no_list_of_numbers_is_refused_by_name(self, p):
        with pytest.raises(ValueError, match=r"^p: expected "):
            holm(p)

    @given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.floats(0, 1))
    def test_one_more_never_makes_another_smaller(self, p, another):
        alone, together = holm(p), holm([*p, another])[:-1]
        assert all(b >= a >= raw for a, b, raw in zip(alone, together, p, strict=True))


class TestSeeds:
    @pytest.mark.parametrize("factor", [1, 4])
    def test_with_so_many_like_these_the_null_is_excluded_and_with_one_less_it_is_not(self, factor):
        found = compare(d := np.array([0.3, -0.1, 0.15, 0.05, -0.05]))
        n = seeds_to_decide(found, 0, None, False, 0.95, (factor, 1))
        assert n > 5
        for many, decided in ((n, True), (n - 1, False)):
            p = 2 * stats.t.sf(d.mean() / d.std(ddof=1) * math.sqrt(many), many - 1)
            assert (factor * p <= 0.05) == decided

    def test_signs_need_as_many_as_their_p_value_does(self):
        found = compare([0.1] * 5)
        assert seeds_to_decide(found, 0, None, False, 0.95, (1, 1)) == 6  # 2/64
        assert seeds_to_decide(found, 0, None, False, 0.95, (4, 1)) == 8  # 4 · 2/256
        assert seeds_to_decide(compare([0.1] * 3), -1, None, True, 0.95, (1, 1)) == 5  # 1/32

    def test_the_paper_s_effect_may_be_excluded_first(self):
        found = compare([0.01, -0.02, 0.03, -0.01, 0.0], paper=0.03)
        assert seeds_to_decide(found, 0, None, False, 0.95, (1, 1)) > 100
        assert seeds_to_decide(found, 0, 0.03, False, 0.95, (1, 1)) == 6

    @pytest.mark.parametrize("d", [[-0.2, -0.1, 0, 0.1, 0.2], [0.0, 0, 0, 0, 0]])
    def test_no_number_would_do(self, d):
        assert seeds_to_decide(compare(d), 0, None, False, 0.95, (1, 1)) is None


class TestVerdicts:
    @pytest.mark.parametrize(
        ("differences", "part", "verdict", "marks"),
        [
            (NORMAL, {}, SUPPORTED, (True, True)),
            (NORMAL, {"paper": 0.14}, SUPPORTED, (True, False)),
            (NORMAL, {"direction": "less", "paper": -0.1}, CONTRADICTED, (True, True)),
            ([-d for d in NORMAL], {"direction": "less", "paper": -0.14}, SUPPORTED, (True, False)),
            ([0.01, -0.02, 0.03, -0.01, 0.0], {}, NOT_THE_SIZE, (False, True)),
            ([0.1, -0.2, 0.3, -0.1, 0.4], {}, UNDECIDED, (False, False)),
            (NORMAL, {"paper": "by eye"}, SUPPORTED, (True, None)),
            ([0.01, -0.02, 0.03, -0.01, 0.0], {"paper": "by eye"}, UNDECIDED, (False, None)),
            (COLLAPSED, {}, UNDECIDED, (False, False)),
            # "Not worse by more than 0.05": the effect need not be above 0, and the paper's may be.
            ([0.01, -0.02, 0.03, -0.01, 0.0], {"direction": "not less", "paper": 0.0}, SUPPORTED, (True, False)),
            ([0.01, -0.02, 0.03, -0.01, 0.0], {"direction": "not greater", "paper": 0.0}, SUPPORTED, (True, False)),
            (NORMAL, {"direction": "not less", "paper": 0.0}, SUPPORTED, (True, True)),
            (NORMAL, {"direction": "not greater", "paper": 0.0}, CONTRADICTED, (True, True)),
            ([0.04, 0.05, 0.06, 0.03, 0.07], {"direction": "not greater", "paper": 0.0}, NOT_THE_SIZE, (False, True)),
            ([0.1, -0.2, 0.3, -0.1, 0.4], {"direction": "not less", "paper": 0.0}, UNDECIDED, (False, False)),
        ],
    )
    def test_from_marks(self, tmp_path, differences, part, verdict, marks):
        judged = judge_one(tmp_path, differences, **part, **(MARGIN if "not" in part.get("direction", "") else {}))
        assert judged["verdict"] == verdict
        assert (judged["zero_excluded"], judged["paper_excluded"]) == marks
        assert (judged["seeds_to_decide"] is not None) == (verdict == UNDECIDED)
        assert bool(judged["because"]) == (verdict == UNDECIDED)

    @pytest.mark.parametrize(
        ("differences", "said"),
        [
            ([0.1] * 3, "about 6 seeds would decide; with 3 the exact test cannot go below p = 0.25"),
            ([0.1] * 5, "about 6 seeds would decide; with 5 the exact test cannot go below p = 0.0625"),
            ([0.1, -0.2, 0.3, -0.1, 0.4], r"about \d+ seeds would decide"),
        ],
    )
    def test_undecided_says_how_many_seeds_would_decide(self, tmp_path, differences, said):
        judged = judge_one(tmp_path, differences, paper=0.2)
        assert judged["verdict"] == UNDECIDED
        assert re.fullmatch(said, judged["because"])

    def test_an_effect_on_the_other_side_is_named(self, tmp_path):
        judged = judge_one(tmp_path, [0.01, -0.02, -0.03, -0.01, 0.0])
        assert in_words(judged) == "not at the paper's size: our mean has the other sign"

    def test_undecided_for_good(self, tmp_path):
        judged = judge_one(tmp_path, [-0.2, -0.1, 0, 0.1, 0.2], paper="by eye")
        assert in_words(judged) == "undecided: 1000 seeds would not decide"

    def test_zero_is_excluded_after_correction(self, tmp_path):
        """Alone the interval excludes 0; as one of eight parts it is undecided."""
        d = [0.05, 0.2, 0.1, 0.3, 0.12]
        alone = judge_one(tmp_path, d, paper=0.01)
        assert alone["verdict"] == SUPPORTED
        others = [{"measure": "chance"}] * 7
        parts = judge(protocol(tmp_path, {"paper": 0.01}, *others), values(d))[0]["parts"]
        assert parts[0]["interval"] == alone["interval"]
        assert parts[0]["interval"][0] > 0
        assert parts[0]["p"] == alone["p"]
        assert parts[0]["p_holm"] == pytest.approx(8 * alone["p"], rel=1e-5)
        assert parts[0]["verdict"] == UNDECIDED

    def test_a_missing_run_leaves_its_part_untested_and_counts_in_the_correction(self, tmp_path):
        there = values(NORMAL)
        del there["old_seed3"], there["new_seed1"]
        there |= values(NORMAL, names=("a", "b"))
        first, second = judge(protocol(tmp_path, {}, {"runs": ["a_seed{seed}", "b_seed{seed}"]}), there)[0]["parts"]
        assert in_words(first) == "not testable here: 2 of 10 runs are missing: new_seed1, old_seed3"
        assert (first["n"], first["estimate"], first["p"], first["zero_excluded"]) == (0, None, None, None)
        assert first["first"] == [0.10, None, 0.13, 0.15, 0.18]  # what is there is kept
        assert second["p_holm"] == pytest.approx(2 * second["p"], rel=1e-5)
        empty = judge(protocol(tmp_path, {}), {})[0]
        assert in_words(empty) == (
            "not testable here: 10 of 10 runs are missing: new_seed0, old_seed0, new_seed1, old_seed1 and 6 more"
        )

    def test_a_claim_that_no_run_can_judge(self, tmp_path):
        given = CLAIM | {"verdict": "not testable here: one beta gives no pair"}
        (claim,) = judge(protocol(tmp_path, claims=[given]), {})
        assert (claim["verdict"], claim["because"], claim["parts"]) == (NOT_TESTABLE, "one beta gives no pair", [])

    def test_every_point_and_the_rows_are_kept(self, tmp_path):
        first, second = [0.5, 0.6, 0.55, 0.7, 0.65], [0.4, 0.45, 0.5, 0.52, 0.48]
        chapter = protocol(tmp_path, {"rows": {"chance": "chance"}})
        (part,) = judge(chapter, values(first, second))[0]["parts"]
        assert (part["seeds"], part["first"], part["second"]) == ([0, 1, 2, 3, 4], first, second)
        assert part["rows"] == {"chance": {"measure": "chance", "first": [0.1] * 5, "second": [0.1] * 5}}
        assert part["correlation"] == pytest.approx(np.corrcoef(first, second)[0, 1], rel=1e-5)
        assert part["estimate"] == pytest.approx(np.mean(first) - np.mean(second))
        assert judge_one(tmp_path, NORMAL)["correlation"] is None  # the second system has one value throughout

    @pytest.mark.parametrize(
        ("verdicts", "whole"),
        [
            ([SUPPORTED, SUPPORTED], SUPPORTED),
            ([SUPPORTED, UNDECIDED], UNDECIDED),
            ([SUPPORTED, NOT_TESTABLE, UNDECIDED], NOT_TESTABLE),
            ([UNDECIDED, NOT_THE_SIZE, NOT_TESTABLE], NOT_THE_SIZE),
            ([SUPPORTED, CONTRADICTED, NOT_THE_SIZE], CONTRADICTED),
        ],
    )
    def test_a_claim_is_the_conjunction_of_its_parts(self, verdicts, whole):
        assert conjunction(verdicts) == conjunction(verdicts[::-1]) == whole

    def test_a_claim_says_which_part_is_what(self, tmp_path):
        both = protocol(tmp_path, {"name": "up"}, {"name": "down", "direction": "less", "paper": -0.2})
        (claim,) = judge(both, values(NORMAL))
        assert in_words(claim) == "contradicted: up – supported; down – contradicted"
        (claim,) = judge(protocol(tmp_path, {}, {}), values(NORMAL))
        assert in_words(claim) == "supported: all 2 parts are"
        (claim,) = judge(protocol(tmp_path, {}), values(NORMAL))
        assert in_words(claim) == "supported"


SAMPLES = st.lists(st.floats(-1, 1).map(lambda x: round(x, 3)), min_size=3, max_size=8)


class TestInvariance:
    @settings(deadline=None)
    @given(SAMPLES, st.sampled_from(["greater", "not less"]), st.floats(0.05, 1))
    def test_swapped_runs_and_direction_give_the_same_verdict(self, tmp_path_factory, d, direction, paper):
        folder, more = tmp_path_factory.getbasetemp(), MARGIN if "not" in direction else {}
        swapped = {"greater": "less", "not less": "not greater"}[direction]
        one = judge_one(folder, d, direction=direction, paper=paper, **more)
        other = judge_one(folder, [-x for x in d], direction=swapped, paper=-paper, **more)
        for key in ("verdict", "because", "p", "paper_p", "zero_excluded", "paper_excluded", "seeds_to_decide", "test"):
            assert one[key] == other[key], key
        assert other["estimate"] == -one["estimate"]
        assert other["interval"] == [-end for end in reversed(one["interval"])]

    @settings(deadline=None)
    @given(SAMPLES, st.sampled_from([2.0**-20, 0.5, 1024.0]), st.sampled_from(["greater", "not less"]))
    def test_the_unit_of_a_measure_does_not_matter(self, tmp_path_factory, d, unit, direction):
        folder, more = tmp_path_factory.getbasetemp(), MARGIN if "not" in direction else {}
        one = judge_one(folder, d, direction=direction, **more)
        if more:
            more = more | {"margin": unit * MARGIN["margin"]}
        other = judge_one(folder, [unit * x for x in d], direction=direction, paper=unit * PART["paper"], **more)
        for key in ("verdict", "because", "zero_excluded", "paper_excluded", "seeds_to_decide", "test"):
            assert one[key] == other[key], key
        for key in ("p", "p_holm", "paper_p"):
            assert one[key] == pytest.approx(other[key], rel=1e-4), key

    @settings(deadline=None)
    @given(SAMPLES, st.integers(1, 6))
    def test_more_parts_never_make_a_p_value_smaller(self, tmp_path_factory, d, more):
        folder = tmp_path_factory.getbasetemp()
        seeds = HEAD["seeds"] | {"judged": list(range(len(d)))}
        few = judge(protocol(folder, {}, seeds=seeds), values(d))[0]["parts"][0]
        many = judge(protocol(folder, {}, *[{"measure": "chance"}] * more, seeds=seeds), values(d))[0]["parts"][0]
        assert many["p"] == few["p"]
        assert many["p_holm"] >= few["p_holm"]
        assert many["paper_p_holm"] >= few["paper_p_holm"]


class TestRead:
    def test_what_a_protocol_says(self, tmp_path):
        parts = [PART, PART | {"name": "not worse", "direction": "not less", "paper": 0, **MARGIN, "rows": {"a": "b"}}]
        claims = [CLAIM | {"parts": parts}, CLAIM | {"id": "A2", "verdict": "not testable here: no data"}]
        found = protocol(tmp_path, claims=claims)
        assert (found.slug, found.judged, found.interval) == ("scratch", (0, 1, 2, 3, 4), 0.95)
        assert list(found.regime) == ["data", "images_seen"]
        first, second = found.claims
        assert first.parts[0].names(3) == ("new_seed3", "old_seed3")
        assert [(p.sign, p.one_sided, p.margin) for p in first.parts] == [(1, False, 0), (1, True, 0.05)]
        assert (second.parts, second.verdict) == ((), "not testable here: no data")

    @pytest.mark.parametrize(
        ("head", "message"),
        [
            ({"written": "some day"}, "'written' must begin with before or after, got 'some day'"),
            ({"regime": {}}, r"\[regime\]: expected lines of text or finite numbers"),
            ({"regime": {"data": True}}, r"\[regime\]: expected"),
            ({"regime": {"data": math.inf}}, r"\[regime\]: expected"),
            ({"regime": 3}, "field 'regime' must be dict"),
            ({"seeds": HEAD["seeds"] | {"judged": [0, 1]}}, "'judged' must be 3 to 20 seeds, got 2"),
            ({"seeds": HEAD["seeds"] | {"judged": list(range(21))}}, "'judged' must be 3 to 20 seeds, got 21"),
            ({"seeds": HEAD["seeds"] | {"judged": [0, 1, 1]}}, "'judged' must be whole numbers from 0, each once"),
            ({"seeds": HEAD["seeds"] | {"judged": [0, 0, 1]}}, "'judged' must be whole numbers from 0, each once"),
            ({"regime": {"images": 10**400}}, r"\[regime\]: expected lines of text or finite numbers"),
            ({"seeds": HEAD["seeds"] | {"judged": [0, 1, True]}}, "'judged' must be whole numbers from 0"),
            ({"seeds": HEAD["seeds"] | {"used_for_choosing": [-1]}}, "'used_for_choosing' must be whole"),
            ({"seeds": HEAD["seeds"] | {"used_for_choosing": [3]}}, "3 was used for choosing, and cannot judge"),
            ({"seeds": HEAD["seeds"] | {"tuned": " "}}, r"\[seeds\]: 'tuned' is empty"),
            ({"seeds": {"judged": [0, 1, 2]}}, r"\[seeds\]: the field 'used_for_choosing' is missing"),
            ({"method": HEAD["method"] | {"interval": 95}}, "'interval' must be a level such as 0.95, got 95"),
            ({"method": HEAD["method"] | {"unit": ""}}, r"\[method\]: 'unit' is empty"),
            ({"scale": {}}, "the field 'scale' is unknown"),
        ],
    )
    def test_a_mistake_in_the_head(self, tmp_path, head, message):
        with pytest.raises(ValueError, match=message) as error:
            protocol(tmp_path, {}, **head)
        assert str(tmp_path / "scratch" / PROTOCOL) in str(error.value)

    @pytest.mark.parametrize("key", ["paper", "margin"])
    def test_a_number_beyond_all_is_refused(self, tmp_path, key):
        with pytest.raises(ValueError, match=f"'{key}' must be a finite number"):
            protocol(tmp_path, {key: 10**400})

    def test_a_mark_that_an_editor_wrote_first_is_passed_over(self, tmp_path):
        path = protocol(tmp_path, {}).path
        path.write_text(path.read_text("utf-8"), "utf-8-sig")
        assert Protocol.read(path).claims

    @pytest.mark.parametrize(
        ("claim", "message"),
        [
            ({"id": "H1 rotation"}, "claim 'H1 rotation': 'id' must be a letter, a number and perhaps a letter"),
            ({"quote": ""}, "claim 'A1a': 'quote' is empty"),
            ({"place": None}, "claim 'A1a': the field 'place' is missing"),
            ({"measure": "scc"}, "claim 'A1a': the field 'measure' is unknown"),
            ({"parts": None}, "claim 'A1a': give 'parts', or a 'verdict'"),
            ({"verdict": "not testable here: x"}, "claim 'A1a': give 'parts', or a 'verdict'"),
            ({"parts": None, "verdict": "supported"}, "must be 'not testable here: ' and what is missing"),
            ({"parts": None, "verdict": "not testable here: "}, "must be 'not testable here: ' and what is missing"),
            ({"parts": []}, r"expected one entry \[\[claims.parts\]\] or more"),
            ({"parts": [1]}, r"expected entries \[\[claims.parts\]\], got 1"),
            ({"parts": [PART, PART]}, "the part 'SCC' is given twice"),
        ],
    )
    def test_a_mistake_in_a_claim(self, tmp_path, claim, message):
        entry = {key: v for key, v in (CLAIM | {"parts": [PART]} | claim).items() if v is not None}
        with pytest.raises(ValueError, match=message):
            protocol(tmp_path, claims=[entry])

    @pytest.mark.parametrize(
        ("part", "message"),
        [
            ({"measure": " "}, "'measure' is empty"),
            ({"direction": "better"}, "'direction' must be one of greater, less, not less, not greater, got 'better'"),
            ({"runs": ["a_{seed}"]}, "'runs' must be two names of records with {seed} in each"),
            (
                {"runs": ["a_{seed}", "a_{seed}"]},
                "'runs' names 'a_{seed}' twice; compare two systems, or give 'against'",
            ),
            ({"runs": ["a_{seed}", "a_{seed}"], "against": "scc"}, "'runs' names 'a_{seed}' twice"),
            ({"runs": ["a_{seed}", "b"]}, "'runs' must be two names"),
            ({"runs": ["a_{seed}", "../b_{seed}"]}, "'runs' must be two names"),
            ({"runs": ["a_{seed}", 1]}, "'runs' must be two names"),
            ({"rows": {"chance": 1}}, "'rows' must be measures by name"),
            ({"paper": math.nan}, "'paper' must be a finite number, got nan"),
            ({"paper": ""}, "'paper' is empty"),
            ({"paper": -0.2}, "'paper' is -0.2, and the direction greater: first minus second must be above 0"),
            ({"paper": 0.2, "direction": "less"}, "direction less: first minus second must be below 0"),
            ({"paper": [1]}, "the field 'paper' must be"),
            ({"direction": "not less"}, "'not less' needs a 'margin' above 0, and 'margin_because'"),
            ({"direction": "not less", "margin": 0.1}, "'not less' needs a 'margin' above 0, and 'margin_because'"),
            ({"direction": "not less", **MARGIN, "margin": -1}, "needs a 'margin' above 0"),
            ({"margin": 0.1}, "a 'margin' belongs to not less and not greater, not to greater"),
            ({"margin": math.inf}, "'margin' must be a finite number"),
            ({"seeds": 3}, "the field 'seeds' is unknown"),
        ],
    )
    def test_a_mistake_in_a_part(self, tmp_path, part, message):
        with pytest.raises(ValueError, match=message) as error:
            protocol(tmp_path, claims=[CLAIM | {"parts": [PART | part]}])
        assert "claim 'A1a', part 'SCC'" in str(error.value)

    @pytest.mark.parametrize(("claims", "message"), [([], "expected one entry"), ([1], "expected entries .+, got 1")])
    def test_a_file_without_claims(self, tmp_path, claims, message):
        (tmp_path / PROTOCOL).write_text(toml(claims))
        with pytest.raises(ValueError, match=message):
            Protocol.read(tmp_path / PROTOCOL)

    def test_a_mistake_in_the_file(self, tmp_path):
        with pytest.raises(ValueError, match="the id 'A1a' is given twice"):
            protocol(tmp_path, claims=[CLAIM | {"parts": [PART]}] * 2)
        (tmp_path / PROTOCOL).write_text("written = ")
        with pytest.raises(ValueError, match="is not valid TOML"):
            Protocol.read(tmp_path / PROTOCOL)
        with pytest.raises(FileNotFoundError, match="no such protocol"):
            Protocol.read(tmp_path / "nowhere" / PROTOCOL)
        with pytest.raises(ValueError, match=r"a protocol is the file claims.toml"):
            Protocol.read(tmp_path / "x.toml")


PLAN = """
[defaults]
data = "phantoms.lesion"
batch_size = 4
steps = 10
seeds = [0, 1, 2, 3, 4]

[[runs]]
profile = "ci"
name = "new_seed{seed}"
systems = ["VAE"]

[[runs]]
profile = "ci"
name = "old_seed{seed}"
systems = ["BetaVAE"]

[[runs]]
profile = "laptop"
name = "long_seed{seed}"
systems = ["VAE"]
"""
TEST = "phantoms.lesion/test"


@pytest.fixture
def chapter(tmp_path, monkeypatch):
    """A results folder with a chapter of one claim, whose ten runs are recorded with made-up measures."""
    tmp_path = tmp_path / "results"
    monkeypatch.setattr(medlatent.__main__, "results_folder", lambda: tmp_path)
    protocol(tmp_path, {"set": TEST, "rows": {"chance": "chance"}})
    (tmp_path / "scratch/plan.toml").write_text(PLAN)
    for system, column in (("new", NORMAL), ("old", [0.0, 0.01, 0.0, 0.02, 0.01])):
        for seed, number in enumerate(column):
            record(tmp_path, f"{system}_seed{seed}", seed, scc=number, chance=0.1)
    return tmp_path


def record(folder: Path, name: str, seed: int, commit: str = "0" * 40, **measures: float) -> None:
    """A record with these measures; everything else is of a recorded run."""
    real = find_record("vae", "phantoms_vae")
    weights = real.weights | {"file": f"{name}.safetensors"}
    run, entry = real.run | {"seed": seed, "commit": commit}, real.metrics[TEST] | {"values": measures}
    made = replace(real, slug="scratch", name=name, run=run, weights=weights, metrics={TEST: entry})
    content = (results_folder() / "vae" / real.weights["file"]).read_bytes()
    made.write(folder, {weights["file"]: content}, overwrite=True)


class TestChapter:
    def test_the_file_follows_from_protocol_and_records(self, chapter, capsys):
        assert main(["claims", "scratch"]) == 0
        path = chapter / "scratch" / VERDICTS
        assert capsys.readouterr().out.splitlines() == [str(path), "  A1a: supported"]
        text = path.read_text("utf-8")
        read = read_claims("scratch", chapter)
        assert read == judge_chapter("scratch", chapter)
        assert read["regime"] == HEAD["regime"]
        assert read["seeds"] == HEAD["seeds"]
        assert read["method"] == HEAD["method"]
        (part,) = read["claims"][0]["parts"]
        assert part["first"] == NORMAL
        assert part["command"] == (
            "python -m medlatent run results/scratch/plan.toml --profile ci --only 'new_seed*' --only 'old_seed*'"
        )
        assert judged_chapters(chapter) == ["scratch"]
        assert write_claims("scratch", chapter).read_text("utf-8") == text
        assert main(["claims", "--check"]) == 0
        assert capsys.readouterr().err == ""

    def test_check_fails_on_another_protocol_another_record_and_a_file_by_hand(self, chapter, capsys):
        path = write_claims("scratch", chapter)
        whole = path.read_text("utf-8")
        record(chapter, "new_seed2", 2, scc=0.14, chance=0.1)
        assert out_of_step("scratch", chapter)
        assert main(["claims", "--check"]) == 1
        assert "out of step: run python -m medlatent claims scratch" in capsys.readouterr().err
        assert path.read_text("utf-8") == whole, "--check writes nothing"
        assert main(["claims"]) == 0
        assert not out_of_step("scratch", chapter)
        protocol(chapter, {"set": TEST, "paper": 0.3})
        assert out_of_step("scratch", chapter)
        write_claims("scratch", chapter)
        path.write_bytes(b"\xff")
        assert out_of_step("scratch", chapter)
        write_claims("scratch", chapter)
        path.write_text(path.read_text("utf-8").replace('"supported"', '"contradicted"'), "utf-8")
        assert out_of_step("scratch", chapter)
        with pytest.raises(ValueError, match="was changed or damaged"):
            read_claims("scratch", chapter)

    def test_missing_runs_are_no_error_and_the_command_says_what_makes_them(self, chapter, capsys):
        (chapter / "scratch/old_seed4.json").unlink()
        assert main(["claims", "scratch"]) == 0
        out = capsys.readouterr().out
        assert "A1a: not testable here: 1 of 10 runs are missing: old_seed4" in out
        assert "missing runs: python -m medlatent run results/scratch/plan.toml --profile ci --only" in out

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"runs": ["new_seed{seed}", "gone_seed{seed}"]}, r"plan.toml has no run called gone_seed0"),
            ({"measure": "sap"}, f"{TEST} of the record new_seed0 has no 'sap'; it has scc, chance"),
            ({"set": "acdc/test"}, f"the record new_seed0 has no set 'acdc/test'; it has {TEST}"),
            ({"rows": {"chance": "sap"}}, "has no 'sap'"),
        ],
    )
    def test_what_a_part_names_must_be_there(self, chapter, capsys, change, message):
        protocol(chapter, {"set": TEST} | change)
        with pytest.raises(ValueError, match=message):
            judge_chapter("scratch", chapter)
        assert main(["claims", "scratch"]) == 1
        assert "claim 'A1a', part '0'" in capsys.readouterr().err
        assert not (chapter / "scratch" / VERDICTS).exists()

    def test_a_run_of_another_seed_than_its_name_says(self, chapter):
        (chapter / "scratch/plan.toml").write_text(PLAN.replace("new_seed{seed}", "new_seed1{seed}"))
        protocol(chapter, {"set": TEST}, seeds=HEAD["seeds"] | {"judged": [10, 11, 12]})
        with pytest.raises(ValueError, match="new_seed10 is a run with seed 0, not 10"):
            judge_chapter("scratch", chapter)

    def test_runs_of_two_profiles_are_made_by_one_command(self, chapter):
        protocol(chapter, {"set": TEST, "runs": ["new_seed{seed}", "long_seed{seed}"]})
        (part,) = judge_chapter("scratch", chapter)["claims"][0]["parts"]
        assert "--profile" not in part["command"]

    def test_no_verdicts_say_what_computes_them(self, chapter, capsys):
        for ask in (read_claims, out_of_step):
            with pytest.raises(FileNotFoundError, match=r"`python -m medlatent claims scratch` writes it"):
                ask("scratch", chapter)
        assert main(["claims", "nowhere", "scratch"]) == 1  # the others are judged all the same
        assert "nowhere" in capsys.readouterr().err
        assert (chapter / "scratch" / VERDICTS).is_file()


# -------------------------------------------------------------------------------------------- the chapters' own files


@pytest.mark.parametrize("slug", judged_chapters())
def test_the_verdicts_of_a_chapter_follow_from_its_protocol_and_records(slug):
    assert not out_of_step(slug), f"run: python -m medlatent claims {slug}"


def git(root: Path, *words: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)


def deciding(text: str) -> object:
    """What in the text of a protocol decides about verdicts: not its words, which may be corrected."""
    table = tomllib.loads(text)
    keys = ("runs", "set", "measure", "direction", "paper", "margin")
    judged = [c for c in table["claims"] if c.get("parts")]  # of the others no run decides
    claims = [(c["id"], [[part.get(key) for key in keys] for part in c["parts"]]) for c in judged]
    return claims, table["seeds"]["judged"], table["method"]


def made_before(root: Path, slug: str) -> list[str]:
    """The records of a chapter that are older than what its protocol decides by, if it says that it came first."""
    path = f"results/{slug}/{PROTOCOL}"
    now = (root / path).read_text("utf-8")
    if not tomllib.loads(now)["written"].startswith("before"):
        return []
    decided = ""
    for commit in git(root, "log", "--format=%H", "--", path).stdout.split():
        then = git(root, "show", f"{commit}:{path}")
        if not then.returncode and deciding(then.stdout) == deciding(now):
            decided = commit  # the oldest; what stood there in between, and was taken back, does not count
    claims = json.loads((root / f"results/{slug}/{VERDICTS}").read_text("utf-8"))["claims"]
    names = {
        run.replace("{seed}", str(seed)) for c in claims for p in c["parts"] for run in p["runs"] for seed in p["seeds"]
    }
    paths = [there for name in sorted(names) if (there := root / f"results/{slug}/{name}.json").is_file()]
    commits = {there.stem: json.loads(there.read_text("utf-8"))["run"]["commit"][:40] for there in paths}
    return [
        name
        for name, commit in commits.items()
        if not decided or git(root, "merge-base", "--is-ancestor", decided, commit).returncode
    ]


@pytest.mark.parametrize("slug", judged_chapters())
def test_a_protocol_that_says_it_came_first_did(root, slug):
    if git(root, "rev-parse", "--is-shallow-repository").stdout.strip() != "false":
        pytest.skip("the history is not at hand")
    assert made_before(root, slug) == []


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_a_record_older_than_what_its_protocol_decides_by_is_seen(chapter):
    root = chapter.parent

    def commit() -> str:
        git(root, "add", "results/scratch/claims.toml")
        git(root, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "protocol")
        return git(root, "rev-parse", "HEAD").stdout.strip()

    def record_all(commit: str) -> None:
        for name in ("new", "old"):
            for seed in range(5):
                record(chapter, f"{name}_seed{seed}", seed, commit, scc=NORMAL[seed], chance=0.1)

    git(root, "init")
    write_claims("scratch", chapter)
    assert len(made_before(root, "scratch")) == 10  # no commit holds the protocol
    first = commit()
    record_all(first)
    assert made_before(root, "scratch") == []
    path = chapter / "scratch" / PROTOCOL
    path.write_text(path.read_text("utf-8").replace("it is better", "it is much better"), "utf-8")
    assert len(made_before(root, "scratch")) == 0  # words may be corrected
    commit()
    assert made_before(root, "scratch") == []
    path.write_text(path.read_text("utf-8").replace('"paper" = 0.2', '"paper" = 0.1'), "utf-8")
    assert len(made_before(root, "scratch")) == 10
    last = commit()
    record(chapter, "new_seed0", 0, f"{last}+changes", scc=0.1, chance=0.1)
    assert len(made_before(root, "scratch")) == 9
    record_all(last)
    assert made_before(root, "scratch") == []
    record(chapter, "old_seed3", 3, scc=0.1, chance=0.1)
    assert made_before(root, "scratch") == ["old_seed3"]  # nobody knows its commit
    path.write_text(path.read_text("utf-8").replace("before the judged", "after the"), "utf-8")
    assert made_before(root, "scratch") == []


def test_the_module_shows_a_protocol_that_can_be_read(tmp_path):
    shown = re.search(r"code-block:: toml\n\n((?: {4}.*\n|\n)+)", medlatent.claims.__doc__)[1]
    path = tmp_path / "scratch" / PROTOCOL
    path.parent.mkdir()
    path.write_text(re.sub(r"^ {4}", "", shown, flags=re.M), "utf-8")
    assert Protocol.read(path).claims[0].parts[0].measure == "scc"


def test_a_record_beside_verdicts_is_still_found(chapter):
    write_claims("scratch", chapter)
    assert Record.read(chapter / "scratch/new_seed0.json").metrics[TEST]["values"]["scc"] == 0.10
