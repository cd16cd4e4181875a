"""Every exercise: its check passes on the solution, and fails on the stub and on each wrong answer, saying why."""

import ast
import contextlib
import functools
import inspect
import io
import itertools
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import exercises
import jupytext
import matplotlib
import numpy as np
import pytest
import torch
from common import BuildError
from generate import rubrics_page, toc_documents
from pair import derive

from medlatent.course.exercises import WrongAnswer

matplotlib.use("agg")
pytestmark = pytest.mark.executes

ROOT = Path(__file__).resolve().parents[2]
SOURCES = exercises.sources(ROOT)
ALL = [(source, exercise) for source in SOURCES for exercise in exercises.read(source)[1]]
each = pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.stem)
each_exercise = pytest.mark.parametrize(("source", "exercise"), ALL, ids=lambda v: getattr(v, "name", None))


@dataclass
class Verdict:
    """What the checks said: of the solution's, and the message, or None, on each stub and each wrong answer.

    ``exchanged``, ``nearly`` and ``commas`` hold what was tried, and the message: solutions whose arguments are
    exchanged, or whose results are a little wrong, and numbers that are typed with a comma. ``crashed`` holds answers
    that a check accepts and with which a later cell stops; ``right`` what was said of an answer that is right in
    another way.
    """

    passed: list[str] = field(default_factory=list)
    stubs: list[str | None] = field(default_factory=list)
    wrong: list[tuple[exercises.Wrong, str | None]] = field(default_factory=list)
    nonsense: list[str | None] = field(default_factory=list)
    exchanged: list[tuple[str, bool, str | None]] = field(default_factory=list)
    nearly: list[tuple[str, str | None]] = field(default_factory=list)
    commas: list[tuple[str, str | None]] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    right: list[str | None] = field(default_factory=list)


def run(code: str, scope: dict) -> str:
    """Executes a cell; returns what it prints."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(code, "cell", "exec"), scope)
    return printed.getvalue()


NONSENSE = ("text", -7.5, [1, [2, 3]], object(), float("nan"), {}, torch.zeros(0), np.zeros((2, 3, 4)), [])


# Pairs of arguments that may be exchanged: the right answer is the same.
SYMMETRIC = {
    "best_variance": [("decoded", "images")],
    "contrast": [("z", "z_turned"), ("c", "c_turned")],
    "cycle": [("z", "z_again"), ("c", "c_again")],
    "decibels_of_mean": [("images", "reconstructions")],
    "divergence": [("p", "q")],
    "effect": [("first", "second")],
    "errors": [("a", "b")],
    "expected_score": [("leaking", "found")],
    "hsic": [("kernel_x", "kernel_z")],
    "idle_generate": [("z", "c")],
    "kl_between": [("mean_q", "mean_p")],
    "least_squares": [("real", "b")],
    "mean_of_decibels": [("images", "reconstructions")],
    "nats": [("decoded", "images")],
    "over": [("q", "p")],
    "plug_in": [("x", "y")],
    "pulls": [("elbo", "alpha")],
    "relative": [("z", "c")],
    "weighted_loss": [("information", "wise"), ("correlation", "tc_weight")],
}
# What is random is judged by its distribution, and what is free to choose by what follows from it.
FREE = {
    "attribute-vae-5": ("interval",),
    "latent-directions-2": ("draw",),
    "style-content-6": ("idle_encode", "idle_generate"),
}


# Answers that are right in another way than the solution: other types of numbers, other rules, values in one array.
RIGHT = {
    "adversarial-vae-5": """
def update(generator, discriminator, optimisers, images, solution=update):
    return torch.stack(solution(generator, discriminator, optimisers, images))
""",
    "attribute-vae-1": """
def ejection(ed, es, spacing, solution=ejection):
    return np.array(solution(ed, es, spacing))
""",
    "gan-3": """
def divergence(p, q, width):
    m = (p + q) / 2
    terms = torch.xlogy(p, p) + torch.xlogy(q, q) - 2 * torch.xlogy(m, m)
    return 0.5 * torch.trapezoid(terms, dx=width)
""",
    "gan-4": """
def least_squares(real, fake, a, b, c, solution=least_squares):
    return torch.stack(solution(real, fake, a, b, c))
""",
    "hsic-infogan-3": """
def hsic(kernel_x, kernel_z):
    m = len(kernel_x)
    h = torch.eye(m) - 1 / m
    return torch.trace(kernel_x @ h @ kernel_z @ h) / (m - 1) ** 2
""",
    "latent-directions-4": """
def from_counts(confusion, solution=from_counts):
    return np.array(solution(confusion))
""",
    "latent-directions-5": """
def assign(share):
    pairs = zip(*linear_sum_assignment(share, maximize=True))
    return np.array([k for k, _ in sorted(pairs, key=lambda pair: pair[1])])
""",
    "measuring-2": """
def plug_in(x, y):
    _, row = np.unique(x, return_inverse=True)
    _, column = np.unique(y, return_inverse=True)
    p = np.zeros((row.max() + 1, column.max() + 1), np.float32)
    np.add.at(p, (row, column), 1 / len(x))
    seen = p > 0
    return (p * np.log(p / np.outer(p.sum(1), p.sum(0)), where=seen, out=0 * p)).sum()
""",
    "vae-2": """
def importance_bound(log_weights):
    most = log_weights.max(1).values
    return (log_weights - most[:, None]).exp().mean(1).log() + most
""",
    "vae-5": """
def nats_of_linear_vae(eigenvalues, variance):
    nats, above = torch.zeros(len(eigenvalues)), eigenvalues > variance
    nats[above] = 0.5 * torch.log(eigenvalues[above] / variance)
    return nats
""",
}


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """The values of an answer, each after a change; several that are returned together are changed one by one."""
    if change is together:
        return together(value) if isinstance(value, tuple) else value
    if isinstance(value, tuple):
        return tuple(changed(part, change) for part in value)
    return change(value)


def in_lists(value: Any) -> Any:
    return value.tolist() if isinstance(value, torch.Tensor | np.ndarray) and value.ndim else value


def as_arrays(value: Any) -> Any:
    return value.detach().numpy() if isinstance(value, torch.Tensor) and value.ndim else value


def as_tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.ndim and value.dtype.kind in "biuf":
        return torch.from_numpy(value.copy())
    return value


def as_plain_numbers(value: Any) -> Any:
    return value.item() if isinstance(value, torch.Tensor | np.ndarray | np.generic) and value.ndim == 0 else value


def as_scalar_tensors(value: Any) -> Any:
    if isinstance(value, torch.Tensor | np.ndarray) or not isinstance(value, float | int | np.number):
        return value
    return value if isinstance(value, bool) else torch.tensor(value)


def with_a_gradient(value: Any) -> Any:
    """As what a model's parameters were part of, where nothing keeps gradients away."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return value + torch.zeros((), requires_grad=True)
    return value


def as_floats(value: Any) -> Any:
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def as_float64(value: Any) -> Any:
    return value.double() if isinstance(value, torch.Tensor) and value.dtype == torch.float32 else value


def together(values: tuple) -> Any:
    """Several values in one tensor or array, if they are of one shape; the gradients stay."""
    try:
        return torch.stack(values) if isinstance(values[0], torch.Tensor) else np.array(values, dtype=float)
    except (TypeError, ValueError, RuntimeError):
        return values


OTHER_KINDS = (
    as_float64,
    in_lists,
    as_arrays,
    as_tensors,
    as_plain_numbers,
    as_scalar_tensors,
    as_floats,
    with_a_gradient,
    together,
)


def a_little_wrong(value: Any, share: float) -> Any:
    """Numbers that are not whole, too large by a share of themselves, or by so much where they are 0."""
    if isinstance(value, torch.Tensor) and value.is_floating_point():
        return torch.where(value == 0, share, value * (1 + share))
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return np.where(value == 0, share, value * (1 + share))
    if isinstance(value, float):
        return value * (1 + share) if value else share
    return value


def functions_of(scope: dict, asked: list[str]) -> Iterator[tuple[str, Callable, list[str]]]:
    """Those of the answers that are functions, with the names of their parameters."""
    for answer in asked:
        if inspect.isfunction(scope[answer]):
            yield answer, scope[answer], list(inspect.signature(scope[answer]).parameters)


def passing_on(function: Callable, change: Callable[[Any], Any]) -> tuple[Callable, list[bool]]:
    """The function with its result changed, and a list that grows with each change that makes a difference."""
    differs = []

    def noted(value: Any) -> Any:
        other = change(value)
        if other is not value:
            differs.append(True)
        return other

    @functools.wraps(function)
    def wrapped(*args, **options):
        result = function(*args, **options)
        return noted(result) if change is together and isinstance(result, tuple) else changed(result, noted)

    return wrapped, differs


def exchanging(function: Callable, first: int, second: int) -> Callable:
    """The function with two of its arguments exchanged."""

    @functools.wraps(function)
    def wrapped(*args, **options):
        given = list(inspect.signature(function).bind(*args, **options).args)
        if len(given) > max(first, second):
            given[first], given[second] = given[second], given[first]
        return function(*given)

    return wrapped


def single_checks(code: str) -> list[str]:
    """One cell for each call of a check in a cell, with the lines that prepare it: each has to stand on its own."""
    body = ast.parse(code).body
    calls = [node for node in body if isinstance(node, ast.Expr) and ast.unparse(node).startswith("check.")]
    return [ast.unparse(ast.Module([n for n in body if n not in calls or n is call], [])) for call in calls]


def try_solutions(check: str, scope: dict, asked: list[str], verdict: Verdict, free: tuple[str, ...]) -> None:
    """Tries what is all but the solution: exchanged arguments, results a little wrong, decimal commas."""
    for single in single_checks(check):
        for answer, function, names in functions_of(scope, asked):
            for i, j in itertools.combinations(range(len(names)), 2):
                same = (names[i], names[j]) in SYMMETRIC.get(answer, ())
                said = message(single, scope | {answer: exchanging(function, i, j)})
                verdict.exchanged.append((f"{answer}: {names[i]} and {names[j]}", same, said))
            wrong, differs = passing_on(function, functools.partial(a_little_wrong, share=0.01))
            said = message(single, scope | {answer: wrong})
            if differs and answer not in free:
                verdict.nearly.append((f"{answer}(…), 1 % more", said))
        for answer in asked:
            value = scope[answer]
            for part, wrong in typed(value, 0.05):
                verdict.nearly.append((f"{answer}{part}, 5 % more", message(single, scope | {answer: wrong})))
            if isinstance(value, int | float) and not isinstance(value, bool):
                verdict.commas.append((f"{answer} = 0, 5", message(single, scope | {answer: (0, 5)})))
                text = f"{value:.6f}".replace(".", ",")
                verdict.commas.append((f"{answer} = {text!r}", message(single, scope | {answer: text})))


def typed(value: Any, share: float) -> Iterator[tuple[str, Any]]:
    """A typed number, or each of several, a little wrong; whole numbers that are counted are not tried."""
    if isinstance(value, float):
        yield "", a_little_wrong(value, share)
    elif isinstance(value, tuple) and all(isinstance(part, float) for part in value):
        for i, part in enumerate(value):
            yield f"[{i}]", (*value[:i], a_little_wrong(part, share), *value[i + 1 :])


def other_kinds(check: str, scope: dict, asked: list[str], models: bool) -> Iterator[tuple[str, dict]]:
    """Answers of other kinds that a check accepts: what they are, and what they define."""
    for answer in asked:
        value = scope[answer]
        for kind in OTHER_KINDS:
            if kind is with_a_gradient and not models:
                continue  # no gradient comes with what was not computed by a model
            if inspect.isfunction(value):
                other, differs = passing_on(value, kind)
            else:
                other = changed(value, kind)
                differs = other is not value
            if message(check, scope | {answer: other}) is None and differs:
                yield f"{answer}, {kind.__name__}", {answer: other}


def answers(code: str) -> list[str]:
    """The functions and values that a solution defines, those of a wider cell too."""
    tree = ast.parse(code)
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    return functions + [t.id for t in targets if isinstance(t, ast.Name)]


def message(check: str, scope: dict) -> str | None:
    """What a check says is wrong; None if it finds nothing."""
    try:
        run(check, scope)
    except WrongAnswer as wrong:
        return str(wrong)
    return None


def verdicts(source: Path) -> dict[str, Verdict]:
    """What the checks of a notebook said; it is run once."""
    found, error = _run_notebook(source)
    if error:
        raise error
    return found


@functools.cache
def _run_notebook(source: Path) -> tuple[dict[str, Verdict], Exception | None]:
    try:
        return _verdicts(source), None
    except Exception as error:
        return {}, error


def _verdicts(source: Path) -> dict[str, Verdict]:
    """Runs a notebook with its solutions, and tries the stubs and wrong answers on the way."""
    scope: dict = {"__name__": "__main__"}
    found: dict[str, Verdict] = {}
    unanswered, answered, check, name = {}, [], "", ""
    models, accepted = False, []
    known = {e.name: e for e in exercises.read(source)[1]}
    for cell in jupytext.read(source).cells:
        if heading := exercises.HEADING.search(cell.source):
            name = heading["label"].removeprefix("exercise-")
            found[name], accepted = Verdict(), [(what, dict(list(own.items())[:1])) for what, own in accepted]
        meta, tags = cell.metadata.get("nbgrader", {}), cell.metadata.get("tags", [])
        if cell.cell_type != "code":
            continue
        if exercises.WRONG in tags:
            wrong = next(w for w in known[name].wrong if w.code in cell.source)
            other = dict(scope)
            run(wrong.code, other)
            found[name].wrong.append((wrong, message(check, other)))
        elif meta.get("solution"):
            other = dict(scope)
            with contextlib.suppress(NotImplementedError):
                run(exercises.stub(cell.source), other)
            unanswered = {name: value for name, value in other.items() if value is not scope.get(name)}
            run(exercises.solved(cell.source), scope)
            answered = answers(exercises.solved(cell.source))
            models = bool(re.search("inference_mode|no_grad", cell.source))
        elif meta.get("grade"):
            check = exercises.everything(cell.source)
            found[name].stubs.append(message(check, scope | unanswered))
            found[name].passed.append(run(check, scope))
            if name in RIGHT and answers(RIGHT[name])[0] in answered:
                other = dict(scope)
                run(RIGHT[name], other)
                found[name].right.append(message(check, other))
            asked = [a for a in answered if re.search(rf"\b{a}\b", check)]
            for junk in NONSENSE:
                for answer in asked:
                    replaced = (lambda *_, junk=junk, **__: junk) if callable(scope[answer]) else junk
                    try:
                        said = message(check, scope | {answer: replaced})
                    except Exception as error:
                        said = f"{answer} = {junk!r} ends in a {type(error).__name__}: {error}"
                    found[name].nonsense.append(said)
            try_solutions(check, scope, asked, found[name], FREE.get(name, ()))
            found[name].crashed += go_on(check, scope, accepted)
            accepted += other_kinds(check, scope, asked, models)
        else:
            if name:
                found[name].crashed += go_on(cell.source, scope, accepted)
            run(cell.source, scope)
    return found


def go_on(code: str, scope: dict, accepted: list[tuple[str, dict]]) -> list[str]:
    """Runs a cell that uses accepted answers of other kinds with each of them; returns where it stops.

    What the cell then defines in another way goes with the answer into the next cell.
    """
    stopped = []
    names = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
    for what, own in accepted:
        if not names & set(own):
            continue
        other = scope | own
        state = torch.get_rng_state()
        try:
            run(code, other)
        except Exception as error:
            stopped.append(f"{what}: {code.splitlines()[0]} … stops with {type(error).__name__}: {error}")
        torch.set_rng_state(state)
        targets = {t.id for t in ast.walk(ast.parse(code)) if isinstance(t, ast.Name) and isinstance(t.ctx, ast.Store)}
        own.update({name: other[name] for name in targets if name in other})
    return stopped


@each_exercise
def test_the_check_passes_on_the_solution_and_says_so(source, exercise):
    passed = verdicts(source)[exercise.name].passed
    assert passed
    assert all(text.startswith("Correct. ") for text in passed)


@pytest.mark.parametrize(
    ("source", "exercise"), [(s, e) for s, e in ALL if e.name in RIGHT], ids=lambda v: getattr(v, "name", None)
)
def test_the_check_passes_on_what_is_right_in_another_way(source, exercise):
    assert verdicts(source)[exercise.name].right == [None]


@each_exercise
def test_the_check_fails_on_the_stub_and_says_so(source, exercise):
    stubs = verdicts(source)[exercise.name].stubs
    assert stubs
    for text in stubs:
        assert text, "a check passes on the empty stub"
        assert re.search("empty stub|no value yet", text), text


@each_exercise
def test_the_check_fails_on_wrong_answers_and_names_the_mistake(source, exercise):
    wrong = verdicts(source)[exercise.name].wrong
    assert wrong
    for answer, text in wrong:
        assert text, f"passes on: {answer.mistake}"
        assert answer.says in text, f"{answer.mistake} The check says: {text}"


@each_exercise
def test_nonsense_is_refused_in_words_and_never_by_a_traceback(source, exercise):
    nonsense = verdicts(source)[exercise.name].nonsense
    assert nonsense
    assert all(nonsense), "a check passes on nonsense"
    assert not [text for text in nonsense if " ends in a " in text]


@each_exercise
def test_the_check_can_tell_exchanged_arguments(source, exercise):
    for what, same, text in verdicts(source)[exercise.name].exchanged:
        assert (text is None) == same, f"{what} exchanged: {text or 'passes'}"


@each_exercise
def test_the_check_tells_answers_that_are_a_little_wrong(source, exercise):
    for what, text in verdicts(source)[exercise.name].nearly:
        assert text, f"passes on: {what}"


@each_exercise
def test_a_decimal_comma_is_read_or_explained(source, exercise):
    for what, text in verdicts(source)[exercise.name].commas:
        if what.endswith("0, 5"):
            assert "a comma separates numbers" in text, f"{what}: {text}"
        else:
            assert text is None or "without quotation marks" in text or "whole number" in text, f"{what}: {text}"


@each_exercise
def test_what_a_check_accepts_is_of_use_to_the_cells_that_follow(source, exercise):
    assert verdicts(source)[exercise.name].crashed == []


@each_exercise
def test_a_check_speaks_in_sentences(source, exercise):
    verdict = verdicts(source)[exercise.name]
    for text in [*verdict.passed, *verdict.stubs, *(text for _, text in verdict.wrong), *verdict.nonsense]:
        assert text.strip().endswith((".", "?")), text


@each
def test_headings_points_and_ids_fit_together(source):
    title, found = exercises.read(source)
    slug = re.sub(r"^\d+_", "", source.stem).replace("_", "-")
    assert [e.name for e in found] == [f"{slug.removesuffix('-exercises')}-{n}" for n in range(1, len(found) + 1)]
    assert len(found) >= 4
    text = jupytext.read(source).cells[0].source
    assert text.startswith(f"({slug})=\n# Exercises: ")
    assert title.startswith("Exercises: ")
    assert f" {sum(e.points for e in found)} points" in text, "the first cell states another sum of points"


@each
def test_each_exercise_states_its_time_and_its_points(source):
    stated = re.findall(r"\*[^*]+, (\d+) minutes, (\d+) points?\.\*", source.read_text())
    assert [int(points) for _, points in stated] == [e.points for e in exercises.read(source)[1]]


@each
def test_nbgrader_metadata_is_complete(source):
    ids = []
    for cell in jupytext.read(source).cells:
        if meta := cell.metadata.get("nbgrader"):
            assert {"grade", "grade_id", "locked", "schema_version", "solution", "task"} - set(meta) == set()
            assert meta["schema_version"] == 3
            assert ("points" in meta) == meta["grade"]
            assert meta["locked"] != meta["solution"]
            assert ("### BEGIN SOLUTION" in cell.source) == meta["solution"]
            ids.append(meta["grade_id"])
        else:
            assert "### BEGIN" not in cell.source
    assert len(set(ids)) == len(ids)


@each
def test_begins_and_ends_are_in_pairs(source):
    for cell in jupytext.read(source).cells:
        for what in ("SOLUTION", "HIDDEN TESTS"):
            marks = re.findall(rf"### (BEGIN|END) {what}", cell.source)
            assert marks == ["BEGIN", "END"] * (len(marks) // 2)


@each
def test_a_notebook_keeps_to_the_conventions(source):
    cells = jupytext.read(source).cells
    code = [c for c in cells if c.cell_type == "code"]
    assert code[0].metadata["tags"] == ["parameters"]
    assert f"notebooks/{source.stem}" in toc_documents(ROOT)


@each
def test_the_students_edition_holds_no_trace_of_a_solution(source):
    student = json.loads(derive(source))
    text = "\n".join("".join(c["source"]) for c in student["cells"])
    for trace in ("### BEGIN", "### END", "wrong-answer", "seed=73"):
        assert trace not in text
    assert exercises.STUB.splitlines()[1] in text
    lines = set(map(str.strip, text.splitlines()))
    for cell in jupytext.read(source).cells:
        solutions = re.findall(r"### BEGIN SOLUTION\n(.*?)\s*### END SOLUTION", cell.source, re.S)
        for line in (line.strip() for block in solutions for line in block.splitlines()):
            # Short lines, such as a bracket, and calls that the question itself shows, give nothing away.
            if len(line) > 14 and line not in re.sub(r"### BEGIN SOLUTION.*?### END SOLUTION", "", source.read_text()):
                assert line not in lines, line
        if exercises.WRONG in cell.metadata.get("tags", []):
            assert cell.source.splitlines()[0] not in lines
    for cell in student["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []


@each
def test_the_students_edition_keeps_every_check(source):
    ids = [c["metadata"].get("nbgrader", {}).get("grade_id") for c in json.loads(derive(source))["cells"]]
    meta = [c.metadata["nbgrader"] for c in jupytext.read(source).cells if "nbgrader" in c.metadata]
    assert [i for i in ids if i] == [m["grade_id"] for m in meta]


@each
def test_the_books_edition_shows_stub_solution_and_check(source):
    page = json.loads(derive(source, exercises.book))["cells"]
    shown = "\n".join(c["source"] for c in page if c["cell_type"] == "markdown")
    hidden = [c for c in page if c["metadata"].get("tags") == ["hide-cell"]]
    solutions = [c for c in jupytext.read(source).cells if c.metadata.get("nbgrader", {}).get("solution")]
    code = [c for c in solutions if c.cell_type == "code"]
    assert len(hidden) == len(code)
    assert shown.count("raise NotImplementedError\n```") >= 1
    assert all("Show the solution" in c["metadata"]["mystnb"]["code_prompt_show"] for c in hidden)
    everything = "\n".join(c["source"] for c in page)
    assert "###" not in re.sub(r"^###+ \w.*$", "", everything, flags=re.M) or "### BEGIN" not in everything
    assert "seed=73" not in everything


# ---------------------------------------------------------------------------------------- the rules, seen to fail

GOOD = """
# %% [markdown]
# (small-exercises)=
# # Exercises: small
#
# One exercise, 1 points.

# %% [markdown]
# (exercise-small-1)=
# ## Exercise 1: Double
#
# *Write, 1 minutes, 1 points.*

# %% nbgrader={"grade": false, "grade_id": "small-1", "solution": true}
def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "small-1-check", "points": 1, "solution": false}
assert double(2) == 4
### BEGIN HIDDEN TESTS
assert double(3) == 6
### END HIDDEN TESTS

# %% tags=["wrong-answer"] says="twice"
# It is halved.
def double(x):
    return x / 2
"""


@pytest.fixture
def notebook(tmp_path):
    def make(before: str = "", after: str = "") -> Path:
        assert before in GOOD
        path = tmp_path / "notebooks/01_small_exercises.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text((GOOD.replace(before, after) if before else GOOD).lstrip())
        return path

    return make


def test_an_exercise_is_read_whole(notebook):
    title, (exercise,) = exercises.read(notebook())
    assert title == "Exercises: small"
    assert (exercise.name, exercise.title, exercise.points) == ("small-1", "Double", 1)
    assert exercise.wrong == [exercises.Wrong("It is halved.", "def double(x):\n    return x / 2", "twice")]


TEXT = """
# %% [markdown] nbgrader={"grade": true, "grade_id": "small-1-explain", "points": 1, "solution": true}
# ### BEGIN SOLUTION
# Since two are two.
# ### END SOLUTION

# %% [markdown] tags=["rubric"]
# - 0.5: says that two
#   are two
# - 0.5: says why
# - 0: "it is so"
"""


def test_a_text_has_points_and_says_what_they_are_for(notebook):
    source = notebook()
    source.write_text(source.read_text() + TEXT)
    (exercise,) = exercises.read(source)[1]
    rubric = [(0.5, "says that two are two"), (0.5, "says why"), (0, '"it is so"')]
    assert exercise.texts == [exercises.Text(1, rubric)]
    assert (exercise.points, exercise.points_by_hand) == (2, 1)
    first, *more = rubrics_page(source.parents[1]).splitlines()[2:]
    assert first == "| {ref}`Double <exercise-small-1>` | 0.5 | says that two are two |"
    assert more == ["|  | 0.5 | says why |", '|  | 0 | "it is so" |']
    for edition in (exercises.student, exercises.book, exercises.instructor):
        assert "it is so" not in derive(source, edition)


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        (re.search(r"\n# %% \[markdown\] tags.*", TEXT, re.S)[0], "", "exercise small-1 has no rubric after its text"),
        ("# - 0.5: says why\n", "", "the rubric gives 0.5 points, its text has 1"),
        ("# - 0.5: says why\n", "# - half: says why\n", "- POINTS: what they are for"),
        ("# - 0.5: says that", "# So:\n# - 0.5: says that", "- POINTS: what they are for"),
        ('"solution": true}', '"solution": false}', "a rubric stands after the text that it is for"),
    ],
)
def test_a_rubric_that_does_not_fit_is_refused(notebook, before, after, error):
    assert before in TEXT
    source = notebook()
    source.write_text(source.read_text() + TEXT.replace(before, after))
    with pytest.raises(BuildError, match=re.escape(error)):
        exercises.read(source)


@pytest.mark.parametrize(
    ("before", "after", "error"),
    [
        ("# (exercise-small-1)=\n", "", "before the first heading"),
        ('"small-1-check"', '"other-1"', "does not begin with 'small-1'"),
        ('"grade": true', '"grade": false', "has no checks"),
        ("# It is halved.\n", "", "begins with a comment"),
        (' says="twice"', "", 'says="…"'),
        ('tags=["wrong-answer"]', 'tags=["other"]', "has no wrong"),
    ],
)
def test_an_incomplete_exercise_is_refused(notebook, before, after, error):
    with pytest.raises(BuildError, match=re.escape(error)):
        exercises.read(notebook(before, after))


def test_the_stub_keeps_its_indentation():
    text = "def f():\n    ### BEGIN SOLUTION\n    return 1\n    ### END SOLUTION"
    assert exercises.stub(text) == "def f():\n    # YOUR CODE HERE\n    raise NotImplementedError"
    assert exercises.stub("### BEGIN SOLUTION\nx = 1\n### END SOLUTION\ny") == f"{exercises.STUB}\ny"
    assert exercises.solved(text) == "def f():\n    return 1\n"


def test_each_edition_of_a_small_notebook(notebook):
    source = notebook()
    student, page, instructor = (
        [c["source"] for c in json.loads(derive(source, e))["cells"] if "colab" not in c["metadata"].get("tags", [])]
        for e in (exercises.student, exercises.book, exercises.instructor)
    )
    assert student[2] == "def double(x):\n    # YOUR CODE HERE\n    raise NotImplementedError"
    assert student[3] == "assert double(2) == 4"
    assert len(student) == 4
    assert page[2].startswith("```python\ndef double(x):\n    # YOUR CODE HERE")
    assert page[3] == "def double(x):\n    return 2 * x\n"
    assert page[4] == "assert double(2) == 4"
    assert "### BEGIN SOLUTION" in instructor[2]
    assert "### BEGIN HIDDEN TESTS" in instructor[3]
    assert len(instructor) == 4


def test_the_folders_are_written(notebook):
    root = notebook().parents[1]
    assert exercises.write_student(root) == root / "_build/student"
    assert "BEGIN SOLUTION" not in (root / "_build/student/01_small_exercises.ipynb").read_text()
    course = exercises.write_assignments(root, root / "assignments")
    (course / "nbgrader_config.py").write_text("# changed")
    (course / "submitted").mkdir()
    (course / "source/own").mkdir()
    exercises.write_assignments(root, course)
    assert "BEGIN SOLUTION" in (course / "source/01_small/01_small_exercises.ipynb").read_text()
    assert (course / "nbgrader_config.py").read_text() == "# changed"
    assert (course / "submitted").is_dir()
    assert (course / "source/own").is_dir()


def test_a_notebook_of_the_course_that_was_edited_is_kept(notebook):
    root = notebook().parents[1]
    target = root / "assignments/source/01_small/01_small_exercises.ipynb"
    exercises.write_assignments(root, root / "assignments")
    target.write_text(target.read_text().replace("Double", "Double it"))
    before = target.read_text()
    with pytest.raises(BuildError, match=r"(?s)was edited by hand.*\+## Exercise 1: Double it.*remove it"):
        exercises.write_assignments(root, root / "assignments")
    assert target.read_text() == before
    notebook("# It is halved.", "# It is cut in half.")
    target.unlink()
    exercises.write_assignments(root, root / "assignments")


def test_no_second_course_begins_beside_one_that_lies_where_courses_were_written_before(notebook):
    root = notebook().parents[1]
    earlier = root / "_build/assignments"
    earlier.mkdir(parents=True)
    with pytest.raises(BuildError, match=re.escape(f"mv {earlier} {root / 'assignments'}")):
        exercises.write_assignments(root, root / "assignments")
    assert not (root / "assignments").exists()
    earlier.rename(root / "assignments")
    exercises.write_assignments(root, root / "assignments")


@each
def test_before_it_grades_a_check_is_loaded_anew(source):
    cells = json.loads(derive(source, exercises.instructor))["cells"]
    marks = [cell["metadata"].get("nbgrader", {}) for cell in cells]
    checks = [
        cell["source"]
        for cell, mark in zip(cells, marks, strict=True)
        if cell["cell_type"] == "code" and mark.get("grade") and not mark["solution"]
    ]
    module = source.stem.removesuffix(exercises.SUFFIX).partition("_")[2]
    assert checks
    assert all(text.startswith(exercises.FRESH.format(module=module)) for text in checks)


def test_a_check_that_was_replaced_is_the_old_one_again(monkeypatch):
    from medlatent.course.exercises import answers, start

    modules = {name: module for name, module in sys.modules.items() if name.startswith("medlatent.course.exercises")}
    monkeypatch.setattr(start, "walk", lambda *_: None)
    monkeypatch.setattr(answers, "compare", lambda *_, **__: None)
    scope: dict[str, Any] = {"check": start}
    exec(exercises.everything(exercises.FRESH.format(module="start")), scope)
    try:
        with pytest.raises(scope["check"].WrongAnswer, match="has the shape"):
            scope["check"].walk(lambda *_: torch.zeros(1))
    finally:
        sys.modules.update(modules)
