"""book/build.py on a book of one chapter: what it makes, and that each of its checks fails when it should."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import build
import execute
import generate
import nbformat
import pytest
from common import BuildError, write
from pair import derive

pytestmark = [pytest.mark.executes, pytest.mark.timeout(300)]


# A machine as bare as a container's: ASCII, no home, and no git nor anything else beside Python.
BARE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "HOME": "/dev/null/nowhere", "PATH": "/nowhere"}


def test_builds_and_then_does_nothing_twice(small_book):
    first = small_book.build(**BARE)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "executed in" in first.stdout
    assert json.loads((small_book.root / "_build/metrics/01_small.json").read_text()) == {"area": 12.566}
    page = small_book.html("notebooks/01_small.html")
    assert page.count('alt="One black disc."') == 2
    assert "only-light" in page
    assert "only-dark" in page
    assert "Fig. 1" in page
    assert 'id="check-small-1"' in page
    assert "injected-parameters" not in page
    assert "google.colab" not in page
    assert "colab.research.google.com/github/medlatent/medlatent/blob/main/notebooks/01_small.ipynb" in page
    equations = small_book.html("book/equations.html")
    assert "01_small.html#check-small-1" in equations
    assert r"A = \pi r^2" in equations
    assert "api.html#medlatent.losses.area" in equations
    assert "01_small.html#equation-eq-small-1" in small_book.html("book/api.html")
    assert "ci" in small_book.html("book/execution_times.html")

    assert "was edited by hand" not in first.stdout

    assert "up to date" in small_book.build().stdout

    edited = derive(small_book.notebook, for_sphinx=True).replace("A small", "My own")
    small_book.write("notebooks/01_small.ipynb", edited)
    small_book.page.write_text("# A small book\n\nIt has {ref}`a chapter <small>`, not executed again.\n")
    small_book.write("medlatent/losses.py", (small_book.root / "medlatent/losses.py").read_text() + "\nTAU = 6.28318\n")
    second = small_book.build()
    assert second.returncode == 0, second.stdout + second.stderr
    assert "unchanged" in second.stdout
    assert "executed in" not in second.stdout
    assert "notebooks/01_small.ipynb was edited by hand; the book shows notebooks/01_small.py" in second.stdout

    small_book.page.write_text("# A small book\n\nIt has {ref}`no such chapter <nowhere>`.\n")
    for _ in range(2):  # a warning fails the second, unchanged build too
        broken = small_book.build()
        assert broken.returncode != 0
        assert "nowhere" in broken.stderr
        assert not (small_book.root / "_build/html").exists()


def test_key_holds_the_parameters(small_book):
    key = functools.partial(execute.key, small_book.root, "notebooks/01_small")
    assert key({"profile": "ci"}) == key({"profile": "ci"}) != key({"profile": "laptop"})


def test_a_failing_cell_fails_the_build_and_leaves_no_page(small_book):
    small_book.change("print(", 'print("before")\n1 / 0\nprint(')
    run = small_book.build()
    assert run.returncode != 0
    assert "notebooks/01_small: a cell failed" in run.stderr
    assert "1 / 0" in run.stderr
    assert "ZeroDivisionError" in run.stderr
    assert not (small_book.root / "_build/html").exists()
    assert not list((small_book.root / "_build/executed").rglob("*.ipynb"))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import sys\nsys.exit()", "a cell calls for an exit"),
        ("raise SystemExit(0)", "a cell calls for an exit"),
        ("exit()", "a cell calls for an exit"),
        ("import os\nos._exit(0)", "the kernel died in a cell"),
    ],
)
def test_a_notebook_that_stops_before_its_end_fails_the_build(small_book, code, message):
    small_book.change("# %%\ndisplay(", f"# %%\n{code}\n\n# %%\ndisplay(")
    run = small_book.build("--only", "small")
    assert run.returncode != 0
    assert f"notebooks/01_small: {message}" in run.stderr
    assert code in run.stderr
    assert "Traceback" not in run.stderr
    assert not list((small_book.root / "_build/executed").rglob("*.ipynb"))


@pytest.mark.parametrize("code", ["raise SystemExit(0)", "quit", "get_ipython().ask_exit()"])
def test_an_exit_in_the_last_cell_fails_too(small_book, code):
    small_book.write("notebooks/01_small.py", f"{small_book.notebook.read_text()}\n# %%\n{code}\n")
    assert small_book.build("--only", "small").returncode != 0


SLOW = "import time\ntry:\n    time.sleep(60)\nexcept BaseException:\n    pass"


def test_a_cell_that_takes_too_long_is_named_though_it_survives_being_interrupted(small_book):
    cells = [nbformat.v4.new_code_cell(source) for source in ("1", SLOW, "2")]
    text = nbformat.writes(nbformat.v4.new_notebook(cells=cells))
    with pytest.raises(BuildError, match="01_small: a cell took more than 2 s and was stopped") as error:
        execute.run(small_book.root, "01_small", text, small_book.root, "--execution-timeout", "2")
    assert str(error.value).endswith(SLOW)


def test_an_interrupt_by_the_clock_is_none_by_a_person():
    cell = nbformat.v4.new_code_cell("train()", metadata={"papermill": {"start_time": "t", "duration": 900.1}})
    cell.outputs = [nbformat.v4.new_output("error", ename="KeyboardInterrupt", evalue="", traceback=["^C"])]
    notebook = nbformat.v4.new_notebook(cells=[cell])
    assert execute.stopped(notebook, 1, "") == "a cell failed\n\ntrain()\n\n^C"
    said = execute.stopped(notebook, 1, "Timeout waiting for execute reply (900s).\nInterrupting kernel\n")
    assert said == "a cell took more than 900 s and was stopped\n\ntrain()"


def test_the_cell_is_named_in_which_papermill_was_killed():
    cell = nbformat.v4.new_code_cell("train()", metadata={"papermill": {"start_time": "t"}})
    said = execute.stopped(nbformat.v4.new_notebook(cells=[cell]), -9, "Executing notebook")
    assert said.startswith("a cell did not run to its end (papermill was ended by SIGKILL)\n\ntrain()")


# Says who runs it, and then each tenth of a second that it is alive.
BEATING = """\
import os
import time

while True:
    with open("beats", "a") as file:
        print(os.getpid(), os.getppid(), file=file)
    time.sleep(0.1)
"""


def until(true, seconds: float = 120) -> None:
    """Waits; the test fails if it never gets true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


def silent(path: Path, seconds: float = 1.0) -> bool:
    """Whether a file has stopped growing."""
    size = path.stat().st_size
    time.sleep(seconds)
    return path.stat().st_size == size


@pytest.fixture
def beating(small_book):
    """A book whose notebook does not end, and the file that shows it alive."""
    small_book.change("print(", f"{BEATING}\nprint(")
    return small_book, small_book.root / "beats"


def test_of_two_builds_at_once_one_is_refused_and_a_killed_one_takes_its_kernels_with_it(root, beating):
    book, beats = beating
    with book.start("--only", "small") as first:
        until(beats.is_file)
        second = book.build("--only", "small")
        assert second.returncode != 0
        assert re.search(rf"Another build is at work in .*: process {first.pid}, since 2.*--only small", second.stderr)
        for command in (["pdf.py"], ["slides.py", "--to", str(book.root / "slides")]):  # they read what it writes
            reader = subprocess.run(
                [sys.executable, root / "book" / command[0], "--root", book.root, *command[1:]],
                capture_output=True,
                text=True,
            )
            assert reader.returncode != 0
            assert f"Another build is at work in {book.root}: process {first.pid}" in reader.stderr
        until(lambda: not silent(beats))
        first.kill()
    until(lambda: silent(beats))
    assert "there is no such notebook" in book.build("--only", "none").stderr


def test_an_interrupted_build_says_so_and_takes_its_kernels_with_it(beating):
    book, beats = beating
    with book.start("--only", "small") as running:
        until(beats.is_file)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=120)
    assert said == "\nThe book was not built: it was interrupted.\n"
    until(lambda: silent(beats))


def test_an_unknown_profile_fails(small_book):
    run = small_book.build("--profile", "fast")
    assert run.returncode != 0
    assert "AssertionError: fast" in run.stderr


def test_an_unknown_parameter_fails_before_anything_runs(small_book):
    run = small_book.build("-p", "sede=1")
    assert run.returncode != 0
    assert "unknown parameter 'sede'" in run.stderr
    assert "profile, seed" in run.stderr


def test_a_notebook_without_parameters_fails(small_book):
    small_book.change('tags=["parameters"]', "")
    run = small_book.build("--only", "small")
    assert run.returncode != 0
    assert "no cell is tagged 'parameters'" in run.stderr


def test_only_an_unknown_slug_fails(small_book):
    run = small_book.build("--only", "vea")
    assert run.returncode != 0
    assert "vea: there is no such notebook; there are small" in run.stderr


@pytest.mark.parametrize("name", ["small", "01_small"])
def test_only_one_notebook_has_its_metrics_and_no_pages(small_book, name):
    run = small_book.build("--only", name)
    assert run.returncode == 0, run.stderr
    assert json.loads((small_book.root / "_build/metrics/01_small.json").read_text()) == {"area": 12.566}
    assert not (small_book.root / "_build/html").exists()


@pytest.fixture
def published(small_book):
    """Publishes hand-made cells as if they had been executed, and returns the resulting notebook."""

    def publish(*outputs, **metadata):
        cell = nbformat.v4.new_code_cell("show()", metadata=metadata)
        cell.outputs = [nbformat.v4.new_output("display_data", data=data, metadata=about) for data, about in outputs]
        notebook = nbformat.v4.new_notebook(cells=[cell])
        write(small_book.root / "_build/executed/notebooks/01_small.ipynb", nbformat.writes(notebook))
        stage = small_book.root / "_build/stage"
        execute.publish(small_book.root, "notebooks/01_small", stage, stage / "book/_static")
        return nbformat.read(stage / "notebooks/01_small.ipynb", as_version=4).cells[0]

    return publish


PNG = "aGVsbG8="


def test_alt_text_moves_to_where_myst_nb_reads_it(published):
    cell = published(({"image/png": PNG}, {"image/png": {"alt": "Two\n discs."}}))
    assert cell.metadata.mystnb.image.alt == "Two discs."


def test_alt_text_may_stand_in_the_cell(published):
    cell = published(({"image/png": PNG}, {}), mystnb={"image": {"alt": "Two discs."}})
    assert cell.metadata.mystnb.image.alt == "Two discs."


@pytest.mark.parametrize("alt", ["", "  ", "figure.png", "../_images/0a1b.png", "plots/loss"])
def test_a_figure_without_alt_text_of_its_own_fails(published, alt):
    with pytest.raises(BuildError, match=r"01_small, cell 0 .*show\(\).* without alt text"):
        published(({"image/png": PNG}, {"image/png": {"alt": alt}}))


def test_a_figure_with_no_metadata_fails(published):
    with pytest.raises(BuildError, match="without alt text"):
        published(({"image/png": PNG}, {}))


def test_two_figures_in_one_cell_fail(published):
    figure = ({"image/png": PNG}, {"image/png": {"alt": "A disc."}})
    with pytest.raises(BuildError, match="shows 2 figures"):
        published(figure, figure)


def test_a_metric_published_twice_fails(published):
    metric = ({"application/vnd.medlatent.metrics+json": {"loss": 1.0}}, {})
    with pytest.raises(BuildError, match="'loss' a second time"):
        published(metric, metric)


@pytest.mark.parametrize("value", ["1.0", True, None])
def test_a_metric_that_is_no_number_fails(published, value):
    with pytest.raises(BuildError, match="no finite number"):
        published(({"application/vnd.medlatent.metrics+json": {"loss": value}}, {}))


def test_a_progress_bar_leaves_its_last_state_only(small_book):
    text = "step 1\rstep 2\rstep 3\ndone\r\n"
    cell = nbformat.v4.new_code_cell("train()", outputs=[nbformat.v4.new_output("stream", text=text)])
    notebook = execute.clean(nbformat.v4.new_notebook(cells=[cell]))
    assert notebook.cells[0].outputs[0].text == "step 3\ndone\r\n"


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('tags=["check-small-1"]', "", "no cell is tagged check-small-1"),
        ("check-small-1", "check-small-2", "check-small-2 checks no equation"),
        ("(eq-small-1)", "(eq-small-3)", "equation 1 is labelled eq-small-3, not eq-small-1"),
        ("(eq-small-1)", "", "losses.area says that it implements eq-small-1, which no chapter has"),
        ("medlatent.losses.area", "medlatent.losses.volume", "does not link back to medlatent.losses.area"),
    ],
)
def test_equations_code_and_checks_hold_together(small_book, before, after, message):
    generate.equations_page(small_book.root, ["notebooks/01_small"])
    small_book.change(before, after)
    with pytest.raises(BuildError, match=message):
        generate.equations_page(small_book.root, ["notebooks/01_small"])


def test_the_public_name_is_the_package_that_reexports(small_book):
    small_book.write("medlatent/nets/__init__.py", "from .conv import Encoder\n")
    small_book.write("medlatent/nets/conv.py", 'class Encoder:\n    """Implements :eq:`eq-small-1`."""\n')
    small_book.write("medlatent/nets/other.py", 'class Other:\n    """Implements :eq:`eq-small-1`."""\n')
    names = generate.implementations(small_book.root)["eq-small-1"]
    assert sorted(names) == ["medlatent.losses.area", "medlatent.nets.Encoder", "medlatent.nets.other.Other"]


def test_who_is_killed_while_the_old_book_goes_leaves_no_part_of_it(tmp_path, monkeypatch):
    html, old = tmp_path / "html", tmp_path / "html.old"
    html.mkdir()
    (html / "index.html").touch()
    with monkeypatch.context() as patch:
        patch.setattr(build.shutil, "rmtree", lambda path, **_: None if path == old and not old.exists() else killed())
        with pytest.raises(KeyboardInterrupt):
            build.set_aside(html)
    assert not html.exists()
    build.set_aside(html)  # that of the next build
    assert not list(tmp_path.iterdir())


def killed() -> None:
    raise KeyboardInterrupt


def test_what_a_killed_script_left_half_written_goes_and_what_is_being_written_stays(tmp_path):
    old, writing, other = (tmp_path / f".{name}.partial" for name in ("[a].md.7-7", "[a].md.8-8", "b.md.7-7"))
    for path, hours in ((old, 2), (writing, 0), (other, 2)):
        path.touch()
        os.utime(path, (time.time() - 3600 * hours,) * 2)
    write(tmp_path / "[a].md", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"[a].md", writing.name, other.name}
