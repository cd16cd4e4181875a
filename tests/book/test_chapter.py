"""A chapter adds files: what ``make chapter`` writes trains, is recorded, is evaluated by its own suite and executes,
and nothing outside it was edited but a line where the design allows one."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import chapter
import chapters
import check_chapters
import pytest
from common import BuildError, tree
from generate import equations_page, exercises_page, toc_documents, toc_notebooks

ROOT = Path(__file__).resolve().parents[2]
SLUG = "scratch_cvae"
# Of what is there already, where a chapter may add a line; and what is derived, not edited.
ALLOWED = ("medlatent/models/__init__.py", "_toc.yml", "book/api/")
DERIVED = "README.md"

executes = pytest.mark.executes


def copy_of_the_repository(target: Path) -> Path:
    """What git holds or would hold, without the weights of the records."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file() and Path(name).suffix not in (".safetensors", ".npz"):
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, target / name)
    return target


def run(root: Path, *command: str | Path, timeout: float = 300) -> str:
    """What a command prints, run in a copy and with the copy's package; its failure is the test's."""
    environment = os.environ | {"PYTHONPATH": str(root), "MPLBACKEND": "agg"}
    done = subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory) -> Path:
    """A copy of the repository in which nothing is written."""
    return copy_of_the_repository(tmp_path_factory.mktemp("copy"))


@pytest.fixture(scope="module")
def scratch(tmp_path_factory) -> Path:
    """A copy of the repository, as git knows it, and a chapter that was just added."""
    root = copy_of_the_repository(tmp_path_factory.mktemp("scratch"))
    run(root, "git", "init", "--quiet")
    run(root, "git", "add", "--all", "--force")
    author = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    run(root, "git", *author, "commit", "--quiet", "--no-verify", "--message", "before")
    said = run(root, sys.executable, "book/chapter.py", SLUG, "--number", "97", "--title", "A scratch chapter")
    assert f"wrote notebooks/97_{SLUG}.py" in said
    return root


@pytest.fixture(scope="module")
def changes(scratch) -> tuple[set[str], set[str]]:
    """The files that ``make chapter`` added, and those that it changed."""
    status = run(scratch, "git", "status", "--porcelain", "--untracked-files=all").splitlines()
    assert {line[:2] for line in status} == {"??", " M"}
    return {line[3:] for line in status if line[:2] == "??"}, {line[3:] for line in status if line[:2] == " M"}


# ------------------------------------------------------------------------------------ what is written, and where


def test_nothing_outside_its_own_files_is_edited_but_what_the_design_names(scratch, changes):
    added, changed = changes
    assert all(SLUG in name for name in added)
    assert {Path(name).parts[0] for name in added} == {"medlatent", "notebooks", "results", "tests"}
    assert {"medlatent/models/__init__.py", "_toc.yml"} <= changed
    assert [name for name in changed if not name.startswith(ALLOWED)] == [DERIVED]
    for name in changed:
        lines = run(scratch, "git", "diff", "--unified=0", "--", name).splitlines()[4:]
        assert not [line for line in lines if line.startswith("-")], f"{name} lost a line"
        assert len([line for line in lines if line.startswith("+")]) <= 4
    before, table = (ROOT / DERIVED).read_text(), (scratch / DERIVED).read_text()
    assert table.split(chapters.MARKERS[0])[0] == before.split(chapters.MARKERS[0])[0]
    assert table.split(chapters.MARKERS[1])[1] == before.split(chapters.MARKERS[1])[1]


def test_nothing_is_missing_but_the_numbers_of_a_build(scratch):
    (missing,) = check_chapters.check(scratch)[f"notebooks/97_{SLUG}"]
    assert f"make references CHAPTER={SLUG}" in missing
    assert f"notebooks/97_{SLUG}" not in check_chapters.check(scratch, to_build=True)


def test_what_is_written_keeps_to_the_rules_of_the_repository(scratch, changes):
    sources = sorted(name for name in (*changes[0], *changes[1]) if name.endswith(".py"))
    run(scratch, sys.executable, "-m", "ruff", "check", *sources)
    run(scratch, sys.executable, "-m", "ruff", "format", "--check", *sources)
    run(scratch, sys.executable, "book/address.py", "--check")
    run(scratch, sys.executable, "book/pair.py", "--check", *(s for s in sources if s.startswith("notebooks/")))
    for name in changes[0]:
        assert not re.search("new.chapter|NewChapter|NN_", (scratch / name).read_text(), re.I), name


def test_the_pages_of_the_book_have_it(scratch):
    page = equations_page(scratch, toc_notebooks(scratch))
    assert "`eq-scratch-cvae-1` The objective · code: {py:obj}`ScratchCvae.objective <medlatent.models.Scratch" in page
    assert r"\mathcal L(x, c) = " in page.split("eq-scratch-cvae-1`")[1].split("$$")[1]
    assert f"| {{doc}}`/notebooks/97_{SLUG}_exercises` | 4 |" in exercises_page(scratch)
    assert "| {ref}`scratch-cvae` | a model that is told" in chapters.pages(scratch)["chapters_included"]
    assert "{ref}`scratch-cvae-exercises`, quiz" in chapters.pages(scratch)["term_included"]


# ----------------------------------------------------------------------------------------------- what it does


@executes
@pytest.mark.timeout(600)
def test_its_own_tests_and_exercises_pass(scratch):
    tests = [f"tests/{folder}/test_{SLUG}.py" for folder in ("models", "evaluation")]
    pytest_ = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "passed" in run(scratch, *pytest_, *tests)
    assert "passed" in run(scratch, *pytest_, "tests/exercises/test_exercises.py", "-k", SLUG)


EVALUATED = """
import json
from medlatent.data import open_images
from medlatent.evaluation import agrees, evaluate
from medlatent.plans import Plan
from medlatent.records import find_record
from medlatent.runs import standing

(job,) = Plan.read("results/SLUG/plan.toml").jobs("ci")
record = find_record("SLUG", job.name)
(entry,) = record.metrics.values()
now = evaluate(record.load_model(), open_images(job.source, job.n, job.data_seed).split("test"))
print(json.dumps({
    "standing": standing(job, "results", "_build/checkpoints"),
    "columns": record.data["columns"],
    "recorded": entry["values"],
    "agree": all(agrees(entry["values"][name], value, name) for name, value in now.items()),
}))
"""


@executes
@pytest.mark.timeout(600)
def test_its_model_is_trained_recorded_and_evaluated_by_its_own_suite(scratch):
    run(scratch, sys.executable, "-m", "medlatent", "run", f"results/{SLUG}/plan.toml", "--profile", "ci")
    said = json.loads(run(scratch, sys.executable, "-c", EVALUATED.replace("SLUG", SLUG)).splitlines()[-1])
    assert said["standing"] == ["recorded", ""]
    assert said["columns"], "the record does not say which columns the model was trained with"
    assert list(said["recorded"]) == ["sse", "kl", "effect.skin_colour", "effect.dx"]
    assert said["agree"]


@executes
@pytest.mark.timeout(600)
def test_its_notebook_and_its_exercises_are_executed(scratch):
    run(scratch, sys.executable, "book/build.py", "--only", SLUG)
    run(scratch, sys.executable, "book/build.py", "--only", f"{SLUG}_exercises")
    about = json.loads((scratch / f"_build/executed/notebooks/97_{SLUG}.json").read_text())
    assert about["profile"] == "ci"
    metrics = json.loads((scratch / f"_build/metrics/97_{SLUG}.json").read_text())
    assert f"{SLUG}.effect.skin_colour" in metrics


# --------------------------------------------------------------------------------------------- what is refused


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in tree(root, "medlatent", "notebooks", "results", "tests", "book")} | {
        root / name: (root / name).read_bytes() for name in ("_toc.yml", "README.md")
    }


@pytest.mark.parametrize(
    ("slug", "number", "title", "message"),
    [
        ("Style", None, "", "plain lower-case identifier"),
        ("style-content", None, "", "plain lower-case identifier"),
        ("../evil", None, "", "plain lower-case identifier"),
        ("2d", None, "", "plain lower-case identifier"),
        ("class", None, "", "plain lower-case identifier"),
        ("", None, "", "plain lower-case identifier"),
        ("a" * 31, None, "", "30 characters at most"),
        ("vae", None, "", "this chapter exists, notebooks/02_vae.py"),
        ("vae_exercises", None, "", "_exercises at its end"),
        ("your_own_explorer", None, "", "this chapter exists, notebooks/your_own_explorer.py"),
        ("latent_model", None, "", "medlatent.models has a LatentModel already"),
        ("inversion", None, "", "medlatent.models has a Inversion already"),
        ("posterior", None, "", "medlatent/evaluation/posterior.py exists"),
        ("answers", None, "", "medlatent/course/exercises/answers.py exists"),
        ("fresh", 2, "", "NUMBER=02 is taken by 02_vae.py; the next free one is"),
        ("fresh", 100, "", "two digits"),
        ("fresh", None, "a | b", "would break the tables"),
        ("fresh", None, "two\nlines", "write one line"),
    ],
)
def test_what_cannot_become_a_chapter_is_refused_in_words(copy, slug, number, title, message):
    before = contents(copy)
    with pytest.raises(BuildError, match=re.escape(message)):
        chapter.make(copy, slug, number, title)
    assert contents(copy) == before


def test_a_write_that_fails_leaves_nothing_behind(copy, monkeypatch):
    before, whole = contents(copy), chapter.write

    def full(path: Path, text: str | bytes) -> None:
        if path.name == "_toc.yml" and text != before[path]:
            raise OSError("no space left on the device")
        whole(path, text)

    monkeypatch.setattr(chapter, "write", full)
    with pytest.raises(OSError, match="no space left"):
        chapter.make(copy, "fresh")
    assert contents(copy) == before


def test_a_chapter_stands_in_the_contents_by_its_number(tmp_path, copy):
    for name in ("_toc.yml", "notebooks"):
        source = copy / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    for doc, before in (("notebooks/06_fresh", "notebooks/05_meas"), ("notebooks/30_fresh", "notebooks/20_latent")):
        (tmp_path / "_toc.yml").write_text(chapter.with_contents(tmp_path, doc))
        there = toc_documents(tmp_path)
        place = there.index(doc)
        assert there[place - 2].startswith(before)
        assert there[place + 1] == f"{doc}_exercises"
        (tmp_path / "_toc.yml").write_bytes((copy / "_toc.yml").read_bytes())


def test_the_longest_slug_still_makes_lines_that_are_short_enough(copy):
    slug = "q" * chapter.LONGEST
    for name, text in chapter.skeleton(copy, slug, 98, "A title").items():
        if name.startswith(("medlatent/", "tests/")):
            assert max(map(len, text.splitlines())) <= 120, name


def test_a_line_is_added_where_the_reference_lists_modules(copy, monkeypatch, tmp_path):
    for name in ("_toc.yml", "notebooks", "medlatent", "pyproject.toml"):
        source = copy / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    page = tmp_path / "book/api/course.md"
    page.parent.mkdir(parents=True)
    listed = "```{eval-rst}\n.. automodule:: medlatent.course.exercises.vae\n   :members:\n"
    page.write_text(f"{listed}```\n")
    edited = chapter.edits(tmp_path, "fresh", 97)
    assert set(edited) == {"_toc.yml", "medlatent/models/__init__.py", "book/api/course.md"}
    added = "\n.. automodule:: medlatent.course.exercises.fresh\n   :members:\n"
    assert edited["book/api/course.md"] == f"{listed}{added}```\n"
