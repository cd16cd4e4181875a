"""What students do to a notebook, undone before it is graded; and how a check proves that it came to its end."""

import copy

import nbformat
import pytest

from medlatent.course.grading import runner
from medlatent.course.grading.submissions import NotGradable, files, find, mend, place

NAME = "02_vae_exercises.ipynb"
SETUP, ANSWER, CHECK, TEXT = "vae-setup", "vae-1", "vae-1-check", "vae-1-explain"


def cell(name: str, source: str, **marks: bool):
    make = nbformat.v4.new_markdown_cell if name == TEXT else nbformat.v4.new_code_cell
    marks = {"grade": False, "solution": False, "locked": True, "grade_id": name, "schema_version": 3} | marks
    return make(source, metadata={"nbgrader": marks} if name else {})


@pytest.fixture
def released() -> nbformat.NotebookNode:
    return nbformat.v4.new_notebook(
        cells=[
            cell(SETUP, "import torch"),
            cell(ANSWER, "raise NotImplementedError", solution=True, locked=False),
            cell(CHECK, "check.kl(kl)", grade=True, points=2),
            cell(TEXT, "YOUR ANSWER HERE", grade=True, solution=True, locked=False, points=1),
        ]
    )


def names(notebook) -> list[str]:
    return [c.metadata.get("nbgrader", {}).get("grade_id", "") for c in notebook.cells]


def write(path, notebook) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.mark.parametrize("name", ["02_vae_exercises (1).ipynb", "02_VAE_Exercises.IPYNB", "x/Curie_02.ipynb"])
def test_a_renamed_notebook_is_told_by_its_marks(tmp_path, released, name):
    write(tmp_path / name, released)
    write(tmp_path / "scratch.ipynb", nbformat.v4.new_notebook(cells=[cell("", "1 + 1")]))
    write(tmp_path / ".ipynb_checkpoints" / NAME, released)
    path, notebook, notes = find(tmp_path, NAME, released)
    assert path == tmp_path / name
    assert names(notebook) == names(released)
    assert notes == [f"{name} taken for {NAME}"]


def test_the_right_name_wins_and_the_other_is_mentioned(tmp_path, released):
    write(tmp_path / NAME, released)
    write(tmp_path / "old.ipynb", released)
    path, _, notes = find(tmp_path, NAME, released)
    assert path.name == NAME
    assert notes == ["old.ipynb left aside"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "is JSON, and no notebook"),
        ('{"cells": [{"source": 1}], "nbformat": 4}', "is JSON, and no notebook"),
    ],
)
@pytest.mark.parametrize("name", [NAME, "other.ipynb"])
def test_a_damaged_notebook_is_named_and_what_to_do(tmp_path, released, content, said, name):
    (tmp_path / name).write_text(content)
    with pytest.raises(NotGradable, match=f"{name} {said}.*ask for the file again"):
        find(tmp_path, NAME, released)


def test_links_lead_nowhere(tmp_path, released):
    write(tmp_path / "secret" / NAME, released)
    (tmp_path / "handed").mkdir()
    (tmp_path / "handed" / NAME).symlink_to(tmp_path / "secret" / NAME)
    (tmp_path / "handed/folder").symlink_to(tmp_path / "secret")
    assert files(tmp_path / "handed") == []
    with pytest.raises(NotGradable, match=r"no notebook of this assignment found$"):
        find(tmp_path / "handed", NAME, released)


def test_the_last_of_copied_cells_is_graded_and_the_others_run(released):
    copies = [cell(ANSWER, "kl = 1", solution=True), cell(CHECK, "check.kl(kl)", grade=True)]
    released.cells[1].source = "kl = 0"
    notebook = nbformat.v4.new_notebook(cells=[*released.cells, *copies])
    mended = mend(notebook, released)
    assert names(mended.notebook) == [SETUP, "", "", TEXT, ANSWER, CHECK]
    assert mended.notebook.cells[1].source == "kl = 0"
    assert mended.notes == ["copied cells in vae-1, the last of each is graded"]
    assert mended.questions == ["two different answers to vae-1: see whether the right one was graded"]


def test_deleted_cells_come_back_where_they_were(released):
    notebook = nbformat.v4.new_notebook(cells=[cell("", "my own"), released.cells[1]])
    mended = mend(notebook, released)
    assert names(mended.notebook) == [SETUP, "", ANSWER, CHECK, TEXT]
    assert mended.notes == ["deleted cells of vae-1, vae-setup put back"]


def test_marks_that_a_student_changed_are_those_that_were_released(released):
    notebook = copy.deepcopy(released)
    notebook.cells[2].metadata = {"nbgrader": {"grade_id": CHECK, "solution": True}, "tags": ["skip-execution"]}
    notebook.cells[1].metadata["nbgrader"]["grade_id"] = "unknown"
    notebook.cells[0].metadata["nbgrader"] = "nonsense"
    notebook.cells[3] = nbformat.v4.new_code_cell("a text", metadata=notebook.cells[3].metadata)
    mended = mend(notebook, released).notebook
    check = next(c for c in mended.cells if c.metadata.get("nbgrader", {}).get("grade_id") == CHECK)
    assert check.metadata == released.cells[2].metadata
    text = next(c for c in mended.cells if c.metadata.get("nbgrader", {}).get("grade_id") == TEXT)
    assert (text.cell_type, text.source) == ("markdown", "a text")
    assert "outputs" not in text
    assert sorted(filter(None, names(mended))) == sorted(names(released))


def test_a_place_is_an_exercise(released):
    released.cells.insert(2, cell("", "own"))
    assert place(released, 2) == "vae-1"
    assert place(nbformat.v4.new_notebook(cells=[cell("", "own")]), 0) == "the cells before the first exercise"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 1", 2),
        ("x = 1\n(x\n + 1)", 2),
        ("x = 1; x", None),
        ("for x in ():\n    x", None),
        ("'''a\nb'''", "a\nb"),
        ("3;", 3),
        ("4  # four", 4),
    ],
)
def test_a_proof_follows_a_check_and_leaves_its_value(text, value, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    monkeypatch.setattr(runner, "RESTORE", "")
    code, scope = runner.with_proof(text, "token"), {}
    exec(code, scope)
    assert shown == [{runner.PROOF: "token"}]
    assert scope.get("_value") == value


def test_a_check_without_proof_fails_and_a_warning_costs_nothing():
    warned = [nbformat.v4.new_output("stream", name="stderr", text="careful")]
    assert [output.name for output in runner.judged(warned, proven=True)] == ["stdout"]
    assert [output.output_type for output in runner.judged([], proven=False)] == ["error"]
