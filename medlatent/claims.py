"""Claims: what a paper says, how it is judged here, and what came of it.

``results/<slug>/claims.toml`` is the protocol, written before the runs that it judges. ``results/<slug>/claims.json``
holds the verdicts: ``python -m medlatent claims <slug>`` computes them from the protocol and the records, and from
nothing else.

.. code-block:: toml

    written = "before the judged runs"        # or "after the runs"

    [regime]                                  # shown beside every verdict, in this order
    data = "100 hearts, 64×64"
    images_seen = 32_000

    [seeds]
    judged = [0, 1, 2, 3, 4]
    used_for_choosing = [100]                 # others than the judged ones
    tuned = "nothing: all values are the paper's"

    [method]
    unit = "a seed; systems that share it share batches"
    interval = 0.95

    [[claims]]
    id = "A1"
    quote = "the paper's own words"
    place = "section 3.2, Table 2"

    [[claims.parts]]
    name = "SCC, VAE"
    runs = ["attrivae_seed{seed}", "betavae_seed{seed}"]  # records: first minus second, paired by seed
    set = "acdc/test"                         # of the records' metrics
    measure = "scc"
    direction = "greater"                     # greater, less, not less, not greater
    paper = 0.29                              # the paper's effect, or a text that says why there is no number
    rows = { chance = "scc_chance" }          # other measures of the same records, shown beside it
    # against = "scc_chance"                  # of the second, where its measure is another one; it may be the same run

**From values to marks.** A part compares two systems. Its effect is the mean over seeds of the paired differences.

- *Zero excluded?* asks whether the effect is other than 0. ``not less`` and ``not greater`` are one-sided: "not worse
  by more than δ". They have a ``margin``, δ, and a ``margin_because``; what is to be excluded is an effect worse than
  that.
- *The paper's effect excluded?* asks whether the effect is other than the paper's.

Both are answered by p values after Holm's correction over all parts of the chapter, each mark for itself: to say that
the paper is wrong about the size takes the same care as to say that it is right. The interval is that of the part
alone.

The p values are Student's t where there are at least five seeds whose differences look normal: Shapiro and Wilk's p
is above 0.05. At five seeds that sees a collapsed run and not much else. Elsewhere they come from the exact test of
signs, over all 2ⁿ signs that the differences could have had if the two systems were exchangeable. The interval is the
same test turned round, so that both say the same. A bootstrap of five differences would not do: its 95 % intervals
(BCa) cover the mean of normal differences in 84 %. With n seeds the exact test cannot go below p = 2/2ⁿ: 0.25 for
three, 0.0625 for five. A two-sided part that rests on it and on five seeds or fewer is undecided.

**From marks to verdicts.** *supported*: zero is excluded, in the claimed direction. *contradicted*: zero is excluded
on the other side. *not at the paper's size*: zero is not excluded, the paper's effect is, and ours falls short of it,
or even has the other sign. *undecided*: none of these. *not testable here*: a run is missing, or the protocol says
what is.

A claim is the conjunction of its parts, see :func:`conjunction`.
"""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from .files import check_fields, check_name, is_name, is_there, json_text, read_json, write_json
from .metrics.comparison import Comparison, compare, holm
from .options import is_real
from .plans import FILE as PLAN
from .plans import Job, Plan
from .records import Record, results_folder

PROTOCOL = "claims.toml"
VERDICTS = "claims.json"
FORMAT = "medlatent.claims"
VERSION = 1
FIELDS: dict[str, type] = {
    "slug": str,
    "written": str,
    "regime": dict,
    "seeds": dict,
    "method": dict,
    "claims": list,
}

SUPPORTED = "supported"
CONTRADICTED = "contradicted"
NOT_THE_SIZE = "not at the paper's size"
UNDECIDED = "undecided"
NOT_TESTABLE = "not testable here"
# In the order in which a part decides about its claim.
WORDS = (CONTRADICTED, NOT_THE_SIZE, NOT_TESTABLE, UNDECIDED, SUPPORTED)
DIRECTIONS = ("greater", "less", "not less", "not greater")
IDENTIFIER = re.compile(r"[A-Z]\d+[a-z]?")
LEAST_SEEDS, MOST_SEEDS = 3, 20  # the exact test goes through all 2ⁿ signs
SEEDS_IN_SIGHT = 1000


@dataclass(frozen=True)
class Part:
    """One comparison of two systems, by one measure.

    Attributes:
        name: what it compares, in a few words.
        runs: the names of the records of the first and of the second system, with ``{seed}``.
        set: the evaluation set, a key of the records' metrics.
        measure: a name among the values of that set.
        direction: of the first system's measure compared with the second's: ``"greater"``, ``"less"``, or one-sided
            ``"not less"`` or ``"not greater"`` by more than the margin.
        paper: the paper's effect, first minus second, in the unit of the measure; or why there is no number.
        margin: δ of a one-sided direction, above 0, in the unit of the measure.
        margin_because: why this margin, and what it means in pictures.
        rows: other measures of the same records, by the names under which they are shown.
        against: the measure of the second system, where it is another one: of what needs no training, such as pixels, a
            measure of the same record.
    """

    name: str
    runs: tuple[str, str]
    set: str
    measure: str
    direction: str
    paper: float | str
    margin: float = 0.0
    margin_because: str = ""
    rows: dict[str, str] = field(default_factory=dict)
    against: str = ""

    @property
    def sign(self) -> int:
        """1 where a greater difference speaks for the claim, or -1."""
        return 1 if self.direction in ("greater", "not less") else -1

    @property
    def one_sided(self) -> bool:
        """Whether the direction is "not worse by more than the margin"."""
        return self.direction.startswith("not ")

    def names(self, seed: int) -> tuple[str, str]:
        """The two records of a seed."""
        first, second = (run.replace("{seed}", str(seed)) for run in self.runs)
        return first, second


@dataclass(frozen=True)
class Claim:
    """One claim of a paper, in the paper's own words.

    Attributes:
        id: a letter, a number and perhaps another letter, ``"A1a"``.
        quote: the paper's words.
        place: where in the paper they stand.
        parts: what it is judged by; none where the verdict is given.
        verdict: ``"not testable here: …"``, or empty where there are parts.
    """

    id: str
    quote: str
    place: str
    parts: tuple[Part, ...] = ()
    verdict: str = ""


@dataclass(frozen=True)
class Protocol:
    """How the claims of a chapter are judged.

    Attributes:
        path: the file it was read from.
        slug: the chapter: the name of the file's folder.
        written: ``"before …"`` or ``"after …"`` the runs.
        regime: what stands beside every verdict: text and numbers by name.
        judged: the seeds.
        used_for_choosing: the seeds on which anything was chosen.
        tuned: what was tuned, with what budget.
        unit: of the statistics.
        interval: its level, 0.95; 1 less it is the level of the tests.
        claims: in the order of the file.
    """

    path: Path
    slug: str
    written: str
    regime: dict[str, str | int | float]
    judged: tuple[int, ...]
    used_for_choosing: tuple[int, ...]
    tuned: str
    unit: str
    interval: float
    claims: tuple[Claim, ...]

    @classmethod
    def read(cls, path: str | os.PathLike) -> Protocol:
        """Reads ``<slug>/claims.toml``; the module's description shows one.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no TOML; a key is unknown or missing, or has a value that cannot be meant. The message
                names the file, the claim, the part and the key.
        """
        path = Path(path)
        if path.name != PROTOCOL:
            raise ValueError(f"{path}: a protocol is the file {PROTOCOL} in the folder of its chapter")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such protocol")
        slug = check_name(path.resolve().parent.name, f"{path}: its folder, which names the chapter,")
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a mark first
        except ValueError as error:
            raise ValueError(f"{path} is not valid TOML: {error}") from None
        kinds = {"written": str, "regime": dict, "seeds": dict, "method": dict, "claims": list}
        check_fields(path, table, kinds)
        seeds, method = table["seeds"], table["method"]
        check_fields(f"{path}, [seeds]", seeds, {"judged": list, "used_for_choosing": list, "tuned": str})
        check_fields(f"{path}, [method]", method, {"unit": str, "interval": float})
        if not table["written"].startswith(("before", "after")):
            raise ValueError(f"{path}: 'written' must begin with before or after, got {table['written']!r}")
        if not table["regime"] or not all(_is_shown(value) for value in table["regime"].values()):
            raise ValueError(f"{path}, [regime]: expected lines of text or finite numbers, got {table['regime']!r}")
        for key in ("judged", "used_for_choosing"):
            # Seed 0 twice would be one run counted as two.
            if not all(type(seed) is int and seed >= 0 for seed in seeds[key]) or len(set(seeds[key])) < len(
                seeds[key]
            ):
                raise ValueError(f"{path}, [seeds]: {key!r} must be whole numbers from 0, each once, got {seeds[key]}")
        if not LEAST_SEEDS <= len(seeds["judged"]) <= MOST_SEEDS:
            many = len(seeds["judged"])
            raise ValueError(f"{path}, [seeds]: 'judged' must be {LEAST_SEEDS} to {MOST_SEEDS} seeds, got {many}")
        if both := [seed for seed in seeds["used_for_choosing"] if seed in seeds["judged"]]:
            raise ValueError(f"{path}, [seeds]: {both[0]} was used for choosing, and cannot judge as well")
        if not 0.5 <= method["interval"] < 1:
            raise ValueError(f"{path}, [method]: 'interval' must be a level such as 0.95, got {method['interval']}")
        for place, part, key in ((f"{path}, [seeds]", seeds, "tuned"), (f"{path}, [method]", method, "unit")):
            _check_text(place, part, key)
        claims = [_claim(str(path), number, entry) for number, entry in enumerate(table["claims"], 1)]
        if not claims:
            raise ValueError(f"{path}: expected one entry [[claims]] or more")
        if same := _twice([claim.id for claim in claims]):
            raise ValueError(f"{path}: the id {same!r} is given twice")
        return cls(
            path=path,
            slug=slug,
            written=table["written"],
            regime=table["regime"],
            judged=tuple(seeds["judged"]),
            used_for_choosing=tuple(seeds["used_for_choosing"]),
            tuned=seeds["tuned"],
            unit=method["unit"],
            interval=float(method["interval"]),
            claims=tuple(claims),
        )


def _claim(path: str, number: int, entry: object) -> Claim:
    if not isinstance(entry, dict):
        raise ValueError(f"{path}: expected entries [[claims]], got {entry!r}")
    place = f"{path}, claim {entry.get('id', number)!r}"
    check_fields(place, entry, {"id": str, "quote": str, "place": str}, {"verdict": str, "parts": list})
    for key in ("quote", "place"):
        _check_text(place, entry, key)
    if not IDENTIFIER.fullmatch(entry["id"]):
        raise ValueError(f"{place}: 'id' must be a letter, a number and perhaps a letter, such as A1a")
    if ("verdict" in entry) == ("parts" in entry):
        raise ValueError(f"{place}: give 'parts', or a 'verdict' where no part can be judged")
    if "verdict" in entry:
        word, _, because = entry["verdict"].partition(": ")
        if word != NOT_TESTABLE or not because.strip():
            raise ValueError(
                f"{place}: a 'verdict' that is given must be '{NOT_TESTABLE}: ' and what is missing, got "
                f"{entry['verdict']!r}; all others are computed"
            )
        return Claim(entry["id"], entry["quote"], entry["place"], verdict=entry["verdict"])
    parts = [_part(place, number, part) for number, part in enumerate(entry["parts"], 1)]
    if not parts:
        raise ValueError(f"{place}: expected one entry [[claims.parts]] or more")
    if same := _twice([part.name for part in parts]):
        raise ValueError(f"{place}: the part {same!r} is given twice")
    return Claim(entry["id"], entry["quote"], entry["place"], tuple(parts))


def _part(claim: str, number: int, entry: object) -> Part:
    if not isinstance(entry, dict):
        raise ValueError(f"{claim}: expected entries [[claims.parts]], got {entry!r}")
    place = f"{claim}, part {entry.get('name', number)!r}"
    texts = dict.fromkeys(("name", "set", "measure", "direction"), str)
    optional = {"margin": float, "margin_because": str, "rows": dict, "against": str}
    check_fields(place, entry, {**texts, "runs": list, "paper": float | str}, optional)
    for key in texts:
        _check_text(place, entry, key)
    if entry["direction"] not in DIRECTIONS:
        raise ValueError(f"{place}: 'direction' must be one of {', '.join(DIRECTIONS)}, got {entry['direction']!r}")
    runs = entry["runs"]
    if len(runs) != 2 or not all(_is_template(run) for run in runs):
        raise ValueError(f"{place}: 'runs' must be two names of records with {{seed}} in each, got {runs!r}")
    if runs[0] == runs[1] and entry.get("against", entry["measure"]) == entry["measure"]:
        raise ValueError(f"{place}: 'runs' names {runs[0]!r} twice; compare two systems, or give 'against'")
    if not all(isinstance(measure, str) and measure for measure in entry.get("rows", {}).values()):
        raise ValueError(f"{place}: 'rows' must be measures by name, got {entry['rows']!r}")
    for key in ("paper", "margin"):
        if not isinstance(number := entry.get(key, 0.0), str) and not is_real(number):
            raise ValueError(f"{place}: {key!r} must be a finite number, got {number}")
    if isinstance(entry["paper"], str):
        _check_text(place, entry, "paper")
    part = Part(**{**entry, "runs": tuple(runs)})
    if part.one_sided:
        if part.margin <= 0 or not part.margin_because.strip():
            raise ValueError(
                f"{place}: '{part.direction}' needs a 'margin' above 0, and 'margin_because', which says why this one"
            )
    elif part.margin or part.margin_because:
        raise ValueError(f"{place}: a 'margin' belongs to not less and not greater, not to {part.direction}")
    elif not isinstance(part.paper, str) and part.sign * part.paper <= 0:
        raise ValueError(
            f"{place}: 'paper' is {part.paper}, and the direction {part.direction}: first minus second must be "
            f"{'above' if part.sign > 0 else 'below'} 0, or the claim is a one-sided one"
        )
    return part


def _check_text(place: str, entry: Mapping[str, object], key: str) -> None:
    if not str(entry[key]).strip():
        raise ValueError(f"{place}: {key!r} is empty")


def _twice(items: Sequence[Any]) -> Any:
    return next((item for i, item in enumerate(items) if item in items[:i]), None)


def _is_shown(value: object) -> bool:
    """Whether it is a line of text or a number."""
    return is_real(value) or (isinstance(value, str) and bool(value.strip()))


def _is_template(run: object) -> bool:
    """Whether it names a record for each seed."""
    return isinstance(run, str) and run.count("{seed}") == 1 and is_name(run.replace("{seed}", "0"))


# ---------------------------------------------------------------------------------------------------- statistics


def seeds_to_decide(
    found: Comparison, null: float, paper: float | None, one_sided: bool, level: float, factors: tuple[float, float]
) -> int | None:
    """About how many seeds would exclude the null or the paper's effect, if mean and spread stay as they are.

    About: new seeds move the mean, so that with this number half of such comparisons are decided.

    Args:
        found: the comparison.
        null: 0, or minus the margin.
        paper: the paper's effect, or None.
        one_sided: as of :func:`~medlatent.metrics.comparison.compare`.
        level: of the interval; 1 less it is the level of the tests.
        factors: by how much Holm's correction multiplies the p of the null and of the paper's effect as things stand.

    Returns:
        More than there are, or None where a thousand would not do.
    """
    n = np.arange(found.n + 1, SEEDS_IN_SIGHT + 1)
    sides = 1 if one_sided and found.estimate > null else 2
    asked = [(found.estimate - null, sides * factors[0])]
    if paper is not None and found.estimate < paper:
        asked.append((found.estimate - paper, 2 * factors[1]))
    decided = np.zeros(len(n), bool)
    for effect, factor in asked:
        if effect:
            t = np.full(len(n), np.inf) if found.spread == 0 else abs(effect) / found.spread * np.sqrt(n)
            p = factor * stats.t.sf(t, n - 1)
            if found.test == "signs":
                p = np.maximum(p, factor / 2.0**n)
            decided |= p <= 1 - level + 1e-12
    return int(n[decided.argmax()]) if decided.any() else None


def conjunction(verdicts: Sequence[str]) -> str:
    """The verdict of a claim from those of its parts, all of which the paper claims.

    It is supported if all parts are, and contradicted if one is. Otherwise what is known against it counts first: one
    part *not at the paper's size* makes the claim so, whatever the others will say. Then *not testable here*, since no
    number of seeds could decide the claim; then *undecided*.
    """
    return next(word for word in WORDS if word in verdicts)


# --------------------------------------------------------------------------------------------------------- judging

Values = Mapping[str, Mapping[str, Mapping[str, float]]]  # of each record, of each evaluation set, by measure


def judge(protocol: Protocol, values: Values) -> list[dict[str, Any]]:
    """The claims with their verdicts, as ``claims.json`` holds them.

    Numbers that are computed have six digits: what they are rounded from differs between versions of SciPy.

    Args:
        protocol: of the chapter.
        values: of the records that there are; a record that is not among them is a missing run.

    Raises:
        ValueError: a record lacks the set or the measure that a part names; the message lists those it has.
    """
    parts = [(claim, part) for claim in protocol.claims for part in claim.parts]
    points = [_points(protocol, claim, part, values) for claim, part in parts]
    found = [_compare(protocol, part, there) for (_, part), there in zip(parts, points, strict=True)]
    # What cannot be tested yet will be: it counts.
    p = [1.0 if one is None else one.p for one in found]
    paper_p = [
        1.0 if one is None or one.paper_p is None else one.paper_p
        for one, (_, part) in zip(found, parts, strict=True)
        if not isinstance(part.paper, str)
    ]
    corrected, paper_corrected = holm(p), iter(holm(paper_p))
    judged: dict[str, list[dict[str, Any]]] = {}
    for (claim, part), there, one, p_holm in zip(parts, points, found, corrected, strict=True):
        paper_holm = None if isinstance(part.paper, str) else next(paper_corrected)
        fields: dict[str, Any] = {
            "name": part.name,
            "runs": list(part.runs),
            "set": part.set,
            "measure": part.measure,
            **({"against": part.against} if part.against else {}),
            "direction": part.direction,
            "margin": part.margin,
            "margin_because": part.margin_because,
            "paper": part.paper,
            **there,
        }
        if one is None:
            fields |= dict.fromkeys(RESULTS)
            fields |= {"n": 0, "verdict": NOT_TESTABLE, "because": _missing(protocol, part, values)}
        else:
            alpha = 1 - protocol.interval + 1e-12
            marks = (p_holm <= alpha, None if paper_holm is None else paper_holm <= alpha)
            verdict = _verdict(part, one, *marks)
            seeds = None
            if verdict == UNDECIDED:
                factors = (_factor(p, one.p), 1 if one.paper_p is None else _factor(paper_p, one.paper_p))
                seeds = seeds_to_decide(one, *_hypotheses(part), part.one_sided, protocol.interval, factors)
            low, high = sorted(part.sign * end for end in one.interval)
            fields |= {
                "n": one.n,
                "estimate": _six(part.sign * one.estimate),
                "interval": [_six(low), _six(high)],
                "level": _six(one.level),
                "test": one.test,
                "p": _six(one.p),
                "p_holm": _six(p_holm),
                "zero_excluded": marks[0],
                "paper_p": None if one.paper_p is None else _six(one.paper_p),
                "paper_p_holm": None if paper_holm is None else _six(paper_holm),
                "paper_excluded": marks[1],
                "correlation": _correlation(there["first"], there["second"]),
                "seeds_to_decide": seeds,
                "verdict": verdict,
                "because": _because(verdict, one, seeds, protocol.interval, part),
            }
        judged.setdefault(claim.id, []).append(fields)
    return [_whole(claim, judged.get(claim.id, [])) for claim in protocol.claims]


# Of a part whose runs are there.
RESULTS = (
    *("n", "estimate", "interval", "level", "test", "p", "p_holm", "zero_excluded"),
    *("paper_p", "paper_p_holm", "paper_excluded", "correlation", "seeds_to_decide"),
)


def _points(protocol: Protocol, claim: Claim, part: Part, values: Values) -> dict[str, Any]:
    """Every value of both systems, by seed, and of the rows; None where the run is missing."""

    def of(system: int, measure: str) -> list[float | None]:
        column = []
        for seed in protocol.judged:
            sets = values.get(name := part.names(seed)[system])
            place = f"{protocol.path}, claim {claim.id!r}, part {part.name!r}"
            if sets is not None and part.set not in sets:
                raise ValueError(f"{place}: the record {name} has no set {part.set!r}; it has {', '.join(sets)}")
            if sets is not None and measure not in sets[part.set]:
                known = ", ".join(sets[part.set])
                raise ValueError(f"{place}: {part.set} of the record {name} has no {measure!r}; it has {known}")
            column.append(None if sets is None else float(sets[part.set][measure]))
        return column

    rows = {
        name: {"measure": measure, "first": of(0, measure), "second": of(1, measure)}
        for name, measure in part.rows.items()
    }
    return {
        "seeds": list(protocol.judged),
        "first": of(0, part.measure),
        "second": of(1, part.against or part.measure),
        "rows": rows,
    }


def _compare(protocol: Protocol, part: Part, points: Mapping[str, Any]) -> Comparison | None:
    if None in points["first"] or None in points["second"]:
        return None
    differences = part.sign * (np.array(points["first"]) - np.array(points["second"]))
    null, paper = _hypotheses(part)
    return compare(differences, null, paper, part.one_sided, protocol.interval)


def _hypotheses(part: Part) -> tuple[float, float | None]:
    """The null and the paper's effect, turned so that a greater difference speaks for the claim."""
    return -part.margin if part.one_sided else 0.0, None if isinstance(part.paper, str) else part.sign * part.paper


def _verdict(part: Part, found: Comparison, zero_excluded: bool, paper_excluded: bool | None) -> str:
    null, paper = _hypotheses(part)
    if zero_excluded:
        return SUPPORTED if found.estimate > null else CONTRADICTED
    # With an effect above the paper's, excluded or not, nobody would call it too small.
    return NOT_THE_SIZE if paper_excluded and paper is not None and found.estimate < paper else UNDECIDED


def _because(verdict: str, found: Comparison, seeds: int | None, level: float, part: Part) -> str:
    if verdict == NOT_THE_SIZE and found.estimate < 0 and not part.one_sided:
        return "our mean has the other sign"
    if verdict != UNDECIDED:
        return ""
    least = (1 if part.one_sided else 2) / 2**found.n
    said = f"about {seeds} seeds would decide" if seeds else f"{SEEDS_IN_SIGHT} seeds would not decide"
    if found.test == "signs" and least > 1 - level:
        said += f"; with {found.n} the exact test cannot go below p = {least:g}"
    return said


def _missing(protocol: Protocol, part: Part, values: Values) -> str:
    names = [name for seed in protocol.judged for name in part.names(seed)]
    missing = [name for name in names if name not in values]
    more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
    return f"{len(missing)} of {len(names)} runs are missing: {', '.join(missing[:4])}{more}"


def _whole(claim: Claim, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """A claim with the verdict that its parts come to, and which part is what."""
    if not parts:
        verdict, _, because = claim.verdict.partition(": ")
    else:
        verdict = conjunction([part["verdict"] for part in parts])
        each = [in_words(part) for part in parts]
        if len(parts) == 1:
            because = parts[0]["because"]
        elif len(set(each)) == 1 and not parts[0]["because"]:
            because = f"all {len(parts)} parts are"
        else:
            because = "; ".join(f"{part['name']} – {said}" for part, said in zip(parts, each, strict=True))
    return {
        "id": claim.id,
        "quote": claim.quote,
        "place": claim.place,
        "verdict": verdict,
        "because": because,
        "parts": parts,
    }


def in_words(judged: Mapping[str, Any]) -> str:
    """The verdict of a claim or of a part, with its reason where there is more to say."""
    return ": ".join(filter(None, [judged["verdict"], judged["because"]]))


def _factor(p: Sequence[float], own: float) -> int:
    """By how much Holm's correction multiplies a p value among all of them."""
    return sum(other >= own for other in p)


def _correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Of the pairs, which says whether pairing helps; None where one system has one value throughout."""
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return None
    return _six(float(np.corrcoef(first, second)[0, 1]))


def _six(number: float) -> float:
    return float(f"{number:.6g}") + 0.0  # no -0.0


# --------------------------------------------------------------------------------------------------------- chapters


def judge_chapter(slug: str, folder: str | os.PathLike | None = None) -> dict[str, Any]:
    """What ``claims.json`` of a chapter must hold, from its protocol, its plan and its records.

    Args:
        slug: of the chapter.
        folder: the results folder; by default the project's.

    Raises:
        FileNotFoundError: there is no protocol, or no plan.
        ValueError: protocol, plan or a record cannot be read; a run is none of the plan's; a record is of another seed
            than its name says, or lacks what a part names.
    """
    place = Path(results_folder() if folder is None else folder) / check_name(slug, "the chapter")
    protocol = Protocol.read(place / PROTOCOL)
    jobs = {job.name: job for job in Plan.read(place / PLAN).runs}
    values: dict[str, dict[str, dict[str, float]]] = {}
    for claim in protocol.claims:
        for part in claim.parts:
            for seed in protocol.judged:
                for name in part.names(seed):
                    at = f"{protocol.path}, claim {claim.id!r}, part {part.name!r}"
                    if name not in jobs:
                        raise ValueError(f"{at}: {place / PLAN} has no run called {name}")
                    if jobs[name].seed != seed:
                        raise ValueError(f"{at}: {name} is a run with seed {jobs[name].seed}, not {seed}")
                    if name not in values and is_there(path := place / f"{name}.json"):
                        values[name] = {key: entry["values"] for key, entry in Record.read(path).metrics.items()}
    claims = judge(protocol, values)
    for claim, fields in zip(protocol.claims, claims, strict=True):
        for part, entry in zip(claim.parts, fields["parts"], strict=True):
            entry["command"] = _command(slug, part, [jobs[name] for s in protocol.judged for name in part.names(s)])
    return {
        "slug": slug,
        "written": protocol.written,
        "regime": protocol.regime,
        "seeds": {
            "judged": list(protocol.judged),
            "used_for_choosing": list(protocol.used_for_choosing),
            "tuned": protocol.tuned,
        },
        "method": {"unit": protocol.unit, "interval": protocol.interval},
        "claims": claims,
    }


def _command(slug: str, part: Part, jobs: Sequence[Job]) -> str:
    """The command that makes the records of a part."""
    words = ["python", "-m", "medlatent", "run", f"results/{slug}/{PLAN}"]
    if len(profiles := {job.profile for job in jobs}) == 1:
        words += ["--profile", *profiles]
    for run in part.runs:
        words += ["--only", run.replace("{seed}", "*")]
    return shlex.join(words)


def write_claims(slug: str, folder: str | os.PathLike | None = None) -> Path:
    """Judges a chapter and writes its ``claims.json``, whole or not at all.

    Raises:
        FileNotFoundError: as :func:`judge_chapter`.
        ValueError: likewise.
        OSError: the file cannot be written.
    """
    fields = judge_chapter(slug, folder)
    path = Path(results_folder() if folder is None else folder) / slug / VERDICTS
    return write_json(path, fields, FORMAT, VERSION, checksum=True)


def out_of_step(slug: str, folder: str | os.PathLike | None = None) -> bool:
    """Whether the ``claims.json`` of a chapter is not what its protocol and its records come to.

    Raises:
        FileNotFoundError: as :func:`judge_chapter`, or there is no ``claims.json``.
        ValueError: as :func:`judge_chapter`.
    """
    path = Path(results_folder() if folder is None else folder) / slug / VERDICTS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: `python -m medlatent claims {slug}` writes it")
    return path.read_text(encoding="utf-8", errors="replace") != json_text(
        judge_chapter(slug, folder), FORMAT, VERSION, checksum=True
    )


def read_claims(slug: str, folder: str | os.PathLike | None = None) -> dict[str, Any]:
    """The verdicts of a chapter: ``claims.json`` as a dict.

    Raises:
        FileNotFoundError: there are none; the message says which command computes them.
        ValueError: the file was changed by hand or damaged.
    """
    path = Path(results_folder() if folder is None else folder) / slug / VERDICTS
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file: `python -m medlatent claims {slug}` writes it")
    return read_json(path, FORMAT, VERSION, FIELDS, checksum=True)


def judged_chapters(folder: str | os.PathLike | None = None) -> list[str]:
    """The slugs of the chapters that have verdicts, sorted."""
    place = Path(results_folder() if folder is None else folder)
    return sorted(path.parent.name for path in place.glob(f"*/{VERDICTS}"))
