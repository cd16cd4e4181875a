"""What every notebook of the course keeps to; each rule is tried on a notebook that breaks it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import jupytext
import pair
import pytest
from check_chapters import conventions, tags, verdicts
from common import BuildError
from generate import Chapter, check_equations, implementations, toc_chapters, toc_notebooks

ROOT = Path(__file__).resolve().parents[2]


NOTEBOOKS = toc_notebooks(ROOT)
CHAPTERS = toc_chapters(ROOT)


@pytest.mark.parametrize("doc", CHAPTERS)
def test_keeps_to_the_conventions(doc):
    assert conventions(ROOT / f"{doc}.py") == []


@pytest.mark.parametrize("doc", CHAPTERS)
def test_states_the_verdicts_of_its_claims(doc):
    assert verdicts(ROOT, doc) == []


@pytest.mark.parametrize("doc", NOTEBOOKS)
def test_pair_is_in_step(doc):
    assert pair.problem(ROOT / f"{doc}.py") == ""


@pytest.mark.parametrize("doc", CHAPTERS)
def test_derived_notebook_says_what_the_source_says_and_holds_no_outputs(doc):
    from jupytext.compare import compare_notebooks

    derived = jupytext.read(ROOT / f"{doc}.ipynb")
    colab = [cell for cell in derived.cells if "colab" in tags(cell)]
    assert [tags(cell) for cell in colab] == [{"colab", "remove-cell"}]
    assert colab[0] is next(cell for cell in derived.cells if cell.cell_type == "code")
    source = jupytext.read(ROOT / f"{doc}.py")
    derived.cells = pair.original(ROOT / f"{doc}.py", derived.cells)
    derived.metadata = source.metadata  # what the book knows of a chapter stays in the source
    compare_notebooks(derived, source, fmt="py:percent", compare_outputs=False)
    for cell in derived.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None


def test_every_notebook_is_in_the_table_of_contents():
    assert sorted(f"notebooks/{p.stem}" for p in (ROOT / "notebooks").glob("*.py")) == sorted(NOTEBOOKS)


def test_equations_code_and_checks_hold_together():
    assert check_equations([Chapter.read(ROOT, doc) for doc in CHAPTERS], implementations(ROOT)) == []


RUN = """
import sys, jupytext
scope = {"__name__": "__main__"}
for cell in jupytext.read(sys.argv[1]).cells:
    tags = cell.metadata.get("tags", [])
    if cell.cell_type == "code":
        exec(compile(cell.source, "cell", "exec"), scope)
        if "parameters" in tags:
            scope["profile"] = "fast"
"""


@pytest.mark.executes
@pytest.mark.parametrize("doc", NOTEBOOKS)
def test_an_unknown_profile_is_an_error(doc):
    environment = os.environ | {"MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RUN, ROOT / f"{doc}.py"]
    run = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode != 0
    last = run.stderr.strip().splitlines()[-1]
    assert "fast" in last, last
    assert "laptop" in last, f"the message should list the profiles there are: {last}"


GOOD = """
# %% [markdown]
# (good)=
# # A good chapter
#
# After ten minutes you will be able to say why.

# %% tags=["parameters"]
profile = "ci"
seed = 0

# %%
publish_metrics("good", {"a": 1.0})

# %% [markdown]
# ## Quiz

# %% tags=["quiz"]
ask()

# %% [markdown]
# ## Summary
# ## Further reading
"""


@pytest.fixture
def notebook(tmp_path):
    """Writes a notebook that keeps to everything, but for one change."""

    def make(before: str = "", after: str = "") -> Path:
        assert before in GOOD
        path = tmp_path / "01_good.py"
        path.write_text((GOOD.replace(before, after) if before else GOOD).lstrip())
        return path

    return make


def test_a_good_notebook_has_no_problem(notebook):
    assert conventions(notebook()) == []


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("(good)=\n", "(other)=\n", "does not begin with (good)="),
        ("# # A good chapter", "# ## A good chapter", "first-level heading"),
        ("# ## Summary", "# # Summary", "exactly one first-level heading"),
        ("seed = 0", "seed = 0\n\n# %%\nimport google.colab", "a cell asks for Colab"),
        ('tags=["parameters"]', "", "exactly one cell tagged parameters"),
        ('profile = "ci"', 'profile = "paper"', "profile = 'ci'"),
        ("seed = 0", "", "seed = 0"),
        ('tags=["quiz"]', "", "tagged quiz"),
        ("publish_metrics", "publish", "publishes metrics"),
        ("you will be able to", "you can", "'you will be able to'"),
        ("ten minutes", "this", "how long it takes"),
        ("# ## Further reading", "", "'Further reading'"),
        ("say why.", "see [it](http://example.org).", "not https"),
        ("say why.", "say why {eq}`eq-better-1`.", "eq-better-1 is of another chapter"),
    ],
)
def test_each_rule_has_been_seen_to_fail(notebook, before, after, message):
    assert any(message in p for p in conventions(notebook(before, after)))


def test_deriving_twice_gives_the_same_bytes_and_stable_ids(notebook):
    source = notebook()
    first = pair.derive(source)
    assert pair.derive(source) == first
    ids = [c["id"] for c in json.loads(first)["cells"]]
    assert len(set(ids)) == len(ids)
    changed = [c["id"] for c in json.loads(pair.derive(notebook("ask()", "ask(5)")))["cells"]]
    assert sum(a != b for a, b in zip(ids, changed, strict=True)) == 1


def test_cells_alike_get_different_ids(notebook):
    ids = [c["id"] for c in json.loads(pair.derive(notebook("# %%\npublish", "# %%\nask()\n\n# %%\npublish")))["cells"]]
    assert len(set(ids)) == len(ids)


def test_a_pair_out_of_step_is_seen(notebook):
    source = notebook()
    assert "is missing" in pair.problem(source)
    target = source.with_suffix(".ipynb")
    target.write_text(pair.derive(source))
    assert pair.problem(source) == ""
    derived = json.loads(target.read_text())
    next(c for c in derived["cells"] if c["cell_type"] == "code")["outputs"] = [
        {"output_type": "stream", "name": "stdout", "text": "left behind"}
    ]
    target.write_text(json.dumps(derived))
    assert "is not what" in pair.problem(source)
    target.write_text(pair.derive(source))
    notebook("ask()", "ask(5)")
    assert "is not what" in pair.problem(source)


def test_the_command_fails_when_out_of_step_and_mends_it(notebook):
    command, source = [sys.executable, ROOT / "book/pair.py"], notebook()
    check = subprocess.run([*command, "--check", source], capture_output=True, text=True, check=False)
    assert check.returncode != 0
    assert "make pair" in check.stderr
    assert (
        "wrote 01_good.ipynb" in subprocess.run([*command, source], capture_output=True, text=True, check=True).stdout
    )
    assert subprocess.run([*command, source], capture_output=True, text=True, check=True).stdout == ""
    subprocess.run([*command, "--check", source], check=True)


# ------------------------------------------------------------------------- a notebook that was edited by hand


@pytest.fixture
def edited(notebook):
    """A derived notebook in which a person has changed a cell, in Jupyter or Colab, and run it; and its source."""

    def make(before: str = "ask()", after: str = "ask(7)  # ½") -> tuple[Path, Path]:
        source = notebook()
        target = source.with_suffix(".ipynb")
        pair.update(source)
        cells = json.loads(target.read_text())
        for cell in cells["cells"]:
            cell["source"] = cell["source"].replace(before, after)
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [{"output_type": "stream", "name": "stdout", "text": "1"}], 1
        cells["metadata"]["colab"] = {"provenance": []}
        target.write_text(json.dumps(cells))
        return source, target

    return make


def pair_command(*arguments: str | Path) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "book/pair.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_edited_notebook_is_shown_and_kept(edited, tmp_path):
    source, target = edited()
    before = target.read_text()
    run = pair_command(source)
    assert run.returncode != 0
    for line in ("01_good.ipynb was edited by hand", "\n-ask()\n+ask(7)", f"--take {target}", f"--force {source}"):
        assert line in run.stderr
    assert target.read_text() == before
    assert "is not what" in pair_command("--check", source).stderr
    assert pair_command("--force", source).returncode == 0
    assert target.read_text() == pair.derive(source)


def test_an_edit_is_taken_over(edited):
    source, target = edited()
    before = source.read_text()
    run = pair_command("--take", target)
    assert run.returncode == 0, run.stderr
    assert source.read_text() == before.replace("ask()", "ask(7)  # ½")
    assert pair.problem(source) == ""
    assert json.loads(target.read_text())["cells"][-2]["outputs"] == []


def test_an_edit_is_not_taken_over_a_change_of_the_source(edited):
    source, target = edited()
    source.write_text(source.read_text().replace("say why", "say how"))
    before = source.read_text()
    run = pair_command("--take", target)
    assert "was not derived from 01_good.py as it is now" in run.stderr
    assert "+After ten minutes you will be able to say why." in run.stderr
    assert source.read_text() == before
    assert pair_command("--take", target, "--force").returncode == 0
    assert "say why" in source.read_text()


def test_a_notebook_that_was_only_run_is_derived_again(edited):
    source, target = edited("", "")
    assert pair.problem(source)
    assert pair.update(source)
    assert target.read_text() == pair.derive(source)


def test_a_source_that_moved_on_is_no_edit(notebook):
    source = notebook()
    pair.update(source)
    notebook("ask()", "ask(5)")
    assert pair.edit(source.with_suffix(".ipynb"), pair.derive(source)) == ""
    assert pair.update(source)
    assert "ask(5)" in source.with_suffix(".ipynb").read_text()


def test_the_students_edition_is_not_taken_over(notebook):
    source = notebook().rename(notebook().with_name("01_good_exercises.py"))
    target = source.with_suffix(".ipynb")
    pair.update(source)
    target.write_text(target.read_text().replace("ask()", "ask(7)"))
    with pytest.raises(BuildError, match=r"lacks the solutions: repeat the change in 01_good_exercises\.py"):
        pair.update(source)
    with pytest.raises(BuildError, match="student's edition"):
        pair.take(target)


def test_a_notebook_with_the_marks_of_a_conflict_is_kept(notebook):
    source = notebook()
    target = source.with_suffix(".ipynb")
    target.write_text("<<<<<<< ours\n{}")
    with pytest.raises(BuildError, match=r"01_good.ipynb cannot be read as a notebook .* --force"):
        pair.update(source)
    assert pair.update(source, force=True)


@pytest.mark.parametrize("doc", NOTEBOOKS)
def test_a_source_is_written_as_it_was_read(doc):
    source = ROOT / f"{doc}.py"
    assert pair.percent(jupytext.read(source)) == source.read_text()
