"""The tables of chapters, which come from the notebooks, and the check that names all that a chapter lacks."""

import json
import subprocess
import sys
from pathlib import Path

import chapters
import check_chapters
import exercises
import objectives
import pair
import pytest
from common import BuildError

ROOT = Path(__file__).resolve().parents[2]

HEADER = """
# ---
# jupyter:
#   jupytext:
#     notebook_metadata_filter: medlatent
#   medlatent:
#     about: what good is
#     needs:
#     - first
#     sessions:
#     - class: '{ref}`good-one`'
#       homework: '{ref}`good-one-exercises`'
# ---
"""
NOTEBOOK = """
# %% [markdown]
# (good-one)=
# # A good chapter
#
# :::{admonition} What you will be able to do
# :class: tip
# - say what $a | b$ is, and
#   why;
# - tell good from *bad*.
#
# **Time**: ten minutes.
# :::
#
# $$ a = b $$ (eq-good-one-1)
#
# {py:class}`medlatent.models.Good` does it.

# %% tags=["parameters"]
profile = "ci"
seed = 0

# %% tags=["check-good-one-1"]
publish_metrics("good_one", {"a": 1.0})

# %% [markdown]
# ## Quiz

# %% tags=["quiz"]
ask()

# %% [markdown]
# ## Summary
# ## Further reading
"""
EXERCISE = """
# %% [markdown] objectives=[1]
# (exercise-good-one-N)=
# ## Exercise N: Double
#
# *Write, 1 minutes, 1 points.*

# %% nbgrader={"grade": false, "grade_id": "good-one-N", "solution": true}
double = ...
### BEGIN SOLUTION
double = 2
### END SOLUTION

# %% nbgrader={"grade": true, "grade_id": "good-one-N-check", "points": 1, "solution": false}
assert double == 2

# %% tags=["wrong-answer"] says="twice"
# It is halved.
double = 1
"""
TOC = """
format: jb-book
root: book/index
parts:
- caption: Foundations
  chapters:
  - file: notebooks/00_first
    sections:
    - file: notebooks/00_first_exercises
- caption: Papers
  chapters:
  - file: notebooks/10_good_one
    sections:
    - file: notebooks/10_good_one_exercises
"""


@pytest.fixture
def course(tmp_path) -> Path:
    """A course of one foundation chapter and one on a paper, with everything that is asked of them."""

    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip())

    write("_toc.yml", TOC)
    write("_config.yml", "repository:\n  url: https://github.com/someone/latents\n")
    write("README.md", "# A course\n\n{}\n{}\n\nMore.\n".format(*chapters.MARKERS))
    papers = (f'[[papers]]\nslug = "{s}"\ncite = "good2026"\nquestion = "Why?"\n' for s in ("good_one", "other"))
    write("book/papers.toml", "".join(papers))
    four = "# %% [markdown]\n# # Exercises: good\n" + "".join(EXERCISE.replace("N", str(n)) for n in range(1, 5))
    for number, slug in (("00", "first"), ("10", "good_one")):
        for name, text in ((slug, HEADER.lstrip() + NOTEBOOK), (f"{slug}_exercises", four)):
            text = text.replace("good-one", slug.replace("_", "-"))
            if slug == "first":
                text = text.replace("#     needs:\n#     - first\n", "#     needs: []\n")
                text = text.replace("\n# {py:class}`medlatent.models.Good` does it.", "")
            write(f"notebooks/{number}_{name}.py", text)
        write(f"medlatent/course/exercises/{slug}.py", "")
        write(f"tests/notebooks/metrics/{number}_{slug}.json", "{}")
    for package in ("course/exercises", "evaluation"):
        write(f"medlatent/{package}/__init__.py", "")
    write("medlatent/models/__init__.py", "from .good_one import Good\n")
    write("medlatent/models/good_one.py", 'class Good:\n    """Implements :eq:`eq-good-one-1`."""\n')
    write("medlatent/evaluation/good_one.py", "")
    write("results/good_one/plan.toml", "")
    write("tests/models/test_good_one.py", "")
    write("tests/evaluation/test_good_one.py", "")
    write("book/api/models.md", "```{eval-rst}\n.. automodule:: medlatent.models\n   :members:\n```\n")
    for source in (tmp_path / "notebooks").glob("*.py"):
        source.with_suffix(".ipynb").write_text(pair.derive(source))
    chapters.update(tmp_path)
    return tmp_path


# --------------------------------------------------------------------------------------------------- tables


def test_the_tables_come_from_headers_headings_and_contents(course):
    first, good = chapters.chapters(course)
    assert (good.doc, good.part, good.slug, good.label) == ("notebooks/10_good_one", "Papers", "good_one", "good-one")
    assert (good.title, good.about, good.needs, good.exercises) == ("A good chapter", "what good is", ("first",), True)
    assert (first.part, first.needs) == ("Foundations", ())
    pages = chapters.pages(course)
    assert "| {ref}`good-one` | what good is |" in pages["chapters_included"]
    assert "| {ref}`good-one` | {ref}`first` |\n" in pages["needs_included"]
    assert "| {ref}`first` | none |" in pages["needs_included"]
    assert "2 weekly sessions" in pages["term_included"]
    assert "| 2 | {ref}`good-one` | {ref}`good-one-exercises` |" in pages["term_included"]
    assert "| {cite:t}`good2026` | Why? | {ref}`good-one` |" in pages["papers_included"]
    assert "| Why? | to come |" in pages["papers_included"]


def test_the_readme_is_written_between_its_markers(course):
    text = (course / "README.md").read_text()
    colab = "https://colab.research.google.com/github/someone/latents/blob/main/notebooks/10_good_one.ipynb"
    assert (
        f"| A good chapter | [notebook](notebooks/10_good_one.ipynb) | [open in Colab]({colab}) | [exercises]" in text
    )
    assert text.startswith("# A course\n")
    assert text.endswith("\n\nMore.\n")
    assert not chapters.update(course)
    (course / "README.md").write_text(text.replace("A good chapter", "Another"))
    command = [sys.executable, ROOT / "book/chapters.py", "--root", course]
    run = subprocess.run([*command, "--check"], capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "Run: make pair" in run.stderr
    assert "wrote README.md" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (course / "README.md").read_text() == text


def test_a_readme_without_markers_is_left_alone_in_words(course):
    (course / "README.md").write_text("# Ours\n")
    with pytest.raises(BuildError, match="belongs between the lines"):
        chapters.update(course)
    assert (course / "README.md").read_text() == "# Ours\n"


def test_the_objectives_come_from_the_box_and_say_which_exercises_ask_for_them(course):
    first, second = objectives.read(course / "notebooks/10_good_one.py")
    assert (first, second) == ("say what $a | b$ is, and why", "tell good from *bad*")
    source = course / "notebooks/10_good_one_exercises.py"
    before, last = source.read_text().rsplit("objectives=[1]", 1)
    source.write_text(f"{before}objectives=[]{last}")
    links = ", ".join(f"{{ref}}`{n} <exercise-good-one-{n}>`" for n in (1, 2, 3))
    table = chapters.pages(course)["objectives_included"]
    assert (
        f"| {{ref}}`good-one` | say what $a \\| b$ is, and why | {links} |\n|  | tell good from *bad* | – |\n" in table
    )
    assert {line.count(" | ") for line in table.splitlines()[2:]} == {2}


def test_every_chapter_says_what_its_exercises_ask_for():
    for chapter in chapters.chapters(ROOT):
        assert objectives.problems(ROOT, chapter.doc) == []
        there, asked = objectives.read(ROOT / f"{chapter.doc}.py"), set()
        for exercise in exercises.read(ROOT / f"{chapter.doc}{exercises.SUFFIX}.py")[1]:
            asked |= set(exercise.objectives)
        assert len(asked) >= len(there) / 2, f"{chapter.doc}: its exercises ask for less than half of its objectives"


@pytest.mark.parametrize("edition", [exercises.student, exercises.book, exercises.instructor])
def test_no_edition_shows_which_objectives_are_asked_for(course, edition):
    cells = json.loads(pair.derive(course / "notebooks/10_good_one_exercises.py", edition))["cells"]
    assert not any("objectives" in cell["metadata"] for cell in cells)


def test_no_table_of_chapters_is_kept_by_hand():
    """A row of a table that begins with a chapter's label or slug, in a page that people write."""
    begins = tuple(f"| {start}" for c in chapters.chapters(ROOT) for start in (f"{{ref}}`{c.label}`", f"`{c.slug}/"))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "results/README.md", *ROOT.glob("book/**/*.md")):
        rows = [row for row in path.read_text(encoding="utf-8").splitlines() if row.startswith(begins)]
        assert not rows, f"{path.name}: {rows[0]}"


# ------------------------------------------------------------------------------------- what a chapter lacks


def test_a_whole_course_lacks_nothing(course):
    assert check_chapters.check(course) == {}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("notebooks/10_good_one.py", "_toc.yml names it, but there is no notebooks/10_good_one.py"),
        ("notebooks/10_good_one.ipynb", "10_good_one.ipynb is missing: run make pair"),
        ("notebooks/10_good_one_exercises.py", "10_good_one_exercises.py is missing: its exercises"),
        ("notebooks/10_good_one_exercises.ipynb", "10_good_one_exercises.ipynb is missing: run make pair"),
        ("medlatent/course/exercises/good_one.py", "exercises/good_one.py is missing: the checks of its exercises"),
        ("medlatent/models/good_one.py", "medlatent/models/good_one.py is missing: its model"),
        ("tests/models/test_good_one.py", "tests/models/test_good_one.py is missing: the tests of its model"),
        ("tests/evaluation/test_good_one.py", "test_good_one.py is missing: the tests of its suite"),
        ("results/good_one/plan.toml", "results/good_one/plan.toml is missing: the plan of its runs"),
        ("tests/notebooks/metrics/10_good_one.json", "stored metrics: run make references CHAPTER=good_one"),
    ],
)
def test_each_file_that_is_missing_is_named(course, path, message):
    (course / path).unlink()
    assert any(message in said for said in check_chapters.check(course)["notebooks/10_good_one"])


@pytest.mark.parametrize(
    ("path", "before", "after", "message"),
    [
        ("notebooks/10_good_one.py", "about: what good is", "other: x", "has no 'about'"),
        ("notebooks/10_good_one.py", "#     - first", "#     - fisrt", "needs 'fisrt', which is no chapter"),
        ("notebooks/10_good_one.py", "#       homework: '{ref}`good-one-exercises`'\n", "", "'homework' in session 1"),
        ("notebooks/10_good_one.py", 'tags=["quiz"]', "", "no cell tagged quiz"),
        ("notebooks/10_good_one.py", 'tags=["check-good-one-1"]', "", "no cell is tagged check-good-one-1"),
        ("notebooks/10_good_one.py", "seed = 0", "seed = ", "SyntaxError"),
        ("notebooks/10_good_one_exercises.py", 'tags=["wrong-answer"]', "", "has no wrong"),
        ("notebooks/10_good_one_exercises.py", " objectives=[1]", "", "good-one-1 does not say which objectives"),
        ("notebooks/10_good_one_exercises.py", "objectives=[1]", "objectives=1", "does not say which objectives"),
        (
            "notebooks/10_good_one_exercises.py",
            "objectives=[1]",
            "objectives=[3]",
            "for objective 3, the chapter has 2",
        ),
        ("notebooks/10_good_one.py", "# - ", "# ", "is missing, or has no list in it"),
        ("medlatent/models/__init__.py", "from .good_one", "from .other", "imports nothing from .good_one"),
        ("_toc.yml", "10_good_one_exercises", "00_first_exercises", "does not name notebooks/10_good_one_exer"),
    ],
)
def test_each_mistake_in_a_file_is_named(course, path, before, after, message):
    text = (course / path).read_text()
    assert before in text
    (course / path).write_text(text.replace(before, after))
    assert any(message in said for said in check_chapters.check(course)["notebooks/10_good_one"])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("**A1a: not at the\n# paper's size** and **A2: supported**", ""),
        ("**A1a: not at the paper's size**", "it does not state the verdict **A2: supported**"),
        (
            "**A1a: undecided**, **A2: supported**",
            "it says A1a: undecided, results/good_one/claims.json says not at the",
        ),
        ("**A1a: undecided**, **A1a: not at the paper's size**, **A2: supported**", "it says A1a: undecided"),
        ("**A1a: not at the paper's size**, **A2: supported**, **A3: supported**", "has no such claim"),
    ],
)
def test_a_chapter_says_what_its_verdicts_say(course, words, message):
    claims = [{"id": "A1a", "verdict": "not at the paper's size"}, {"id": "A2", "verdict": "supported"}]
    (course / "results/good_one/claims.json").write_text(json.dumps({"claims": claims}))
    source = course / "notebooks/10_good_one.py"
    source.write_text(source.read_text().replace("## Quiz", f"{words}\n#\n# ## Quiz"))
    problems = check_chapters.check(course, to_build=True).get("notebooks/10_good_one", [])
    assert len(problems) == bool(message)
    assert all(message in problem for problem in problems)


def test_a_page_of_the_chapter_may_say_its_verdicts(course):
    claims = [{"id": "A1a", "verdict": "supported"}]
    (course / "results/good_one/claims.json").write_text(json.dumps({"claims": claims}))
    (course / "notebooks/good_one_results.py").write_text("# %% [markdown]\n# # Results\n#\n# **A1a: supported**\n")
    (course / "notebooks/good_other.py").write_text("# %% [markdown]\n# # Another\n#\n# **A1a: undecided**\n")
    below = "  - file: notebooks/10_good_one\n    sections:\n"
    assert below in TOC
    pages = "".join(f"    - file: notebooks/{page}\n" for page in ("good_one_results", "good_other"))
    (course / "_toc.yml").write_text(TOC.replace(below, below + pages))
    assert "notebooks/10_good_one" not in check_chapters.check(course, to_build=True)
    (course / "_toc.yml").write_text(TOC)
    assert check_chapters.check(course, to_build=True)["notebooks/10_good_one"]


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("notebooks/20_stray.py", "", "notebooks/20_stray.py is not in _toc.yml"),
        ("medlatent/course/exercises/stray.py", "", "stray.py checks the exercises of no chapter"),
        ("README.md", "{}\n{}".format(*chapters.MARKERS), "README.md: the table of chapters is out of step"),
        ("_toc.yml", TOC + "  - file: notebooks/10_first\n", "00_first and notebooks/10_first have one slug, first"),
        ("_toc.yml", TOC + "  - file: notebooks/00_new\n", "00_first and notebooks/00_new have one number, 00"),
    ],
)
def test_what_belongs_to_no_chapter_is_named(course, path, text, message):
    (course / path).write_text(text.lstrip())
    assert any(message in said for said in check_chapters.check(course)["the course"])


def test_everything_is_named_at_once_by_chapter(course):
    for path in (
        "notebooks/00_first_exercises.py",
        "tests/notebooks/metrics/00_first.json",
        "tests/notebooks/metrics/10_good_one.json",
        "medlatent/models/good_one.py",
        "results/good_one/plan.toml",
    ):
        (course / path).unlink()
    command = [sys.executable, ROOT / "book/check_chapters.py", "--root", course]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    first, _, good = run.stderr.partition("notebooks/10_good_one\n")
    assert "00_first_exercises.py is missing" in first
    assert "metrics/00_first.json is missing" in first
    for name in ("metrics/10_good_one.json", "medlatent/models/good_one.py", "results/good_one/plan.toml"):
        assert f"{name} is missing" in good


def test_to_build_asks_for_nothing_that_a_build_makes(course):
    for path in course.rglob("*.ipynb"):
        path.unlink()
    for path in (course / "tests/notebooks/metrics").iterdir():
        path.unlink()
    (course / "README.md").write_text("{}\n{}".format(*chapters.MARKERS))
    assert check_chapters.check(course, to_build=True) == {}
    assert {len(said) for said in check_chapters.check(course).values()} == {1, 3}
