"""The first code cell of every notebook, run as in Colab: it fetches what the notebook needs, and no more."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import session
from generate import toc_notebooks
from inputs import inputs

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = toc_notebooks(ROOT)

# A kernel of Colab, but for pip, which is written down, or fails.
IN_COLAB = """
import json, os, subprocess, sys, types
from pathlib import Path

really = subprocess.run

def run(command, check):
    command = [str(part) for part in command]
    print(json.dumps(command), flush=True)
    if "pip" not in command:
        return really(command, check=check, capture_output=True)
    if BROKEN:
        raise subprocess.CalledProcessError(1, command)

subprocess.run = run
if COLAB:
    sys.modules["google.colab"] = types.ModuleType("google.colab")
exec(CELL, {"__name__": "__main__"})
print(json.dumps([os.getcwd(), sys.path[0]]))
"""


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    done = subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """A repository with the folders of this one, which a session clones over file://."""
    folder = tmp_path_factory.mktemp("origin")
    for name in (
        "README.md",
        "pyproject.toml",
        "medlatent/models/vae.py",
        "notebooks/01_x.ipynb",
        "book/build.py",
        "results/README.md",
        "results/vae/run.safetensors",
        "results/gan/run.safetensors",
        "results/gan/meter_a.safetensors",
        "results/classifiers/b.safetensors",
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"what {name} holds\n" * 20)
    git(folder, "init", "--quiet", "--initial-branch=main")
    git(folder, "config", "uploadpack.allowFilter", "true")
    git(folder, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "--message", "All of it")
    return folder


VAE = ["/medlatent/", "/notebooks/", "/results/vae/"]
GAN = ["/medlatent/", "/notebooks/", "/results/*/meter_*.safetensors", "/results/classifiers/*.safetensors"]


@pytest.fixture
def run(tmp_path, repository):
    """Runs the cell in a new kernel: the commands that it ran, and where it left the kernel."""

    def run(needs=VAE, colab: bool = True, broken: bool = False) -> tuple[list[list[str]], list[str]]:
        cell = session.code(list(needs)).replace("/content", str(tmp_path))
        cell = cell.replace("https://github.com/medlatent/medlatent", f"file://{repository}")
        assert f'"file://{repository}"' in cell
        names = f"COLAB, BROKEN, CELL = {colab}, {broken}, {cell!r}\n"
        command = [sys.executable, "-c", names + IN_COLAB]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (done.returncode != 0) == broken, done.stderr
        said = list(map(json.loads, done.stdout.splitlines()))
        return (said, []) if broken else (said[:-1], said[-1])

    return run


def files(course: Path) -> set[str]:
    there = (path for path in course.rglob("*") if path.is_file())
    return {path.relative_to(course).as_posix() for path in there if ".git" not in path.parts}


ALWAYS = {"README.md", "pyproject.toml", "medlatent/models/vae.py", "notebooks/01_x.ipynb"}


@pytest.mark.executes
def test_a_session_fetches_what_its_notebook_needs_and_installs_once(run, tmp_path):
    course = tmp_path / "medlatent"
    commands, place = run()
    assert [command[1] for command in commands] == ["clone", "sparse-checkout", "sparse-checkout", "-m"]
    assert place == [str(course), str(course)]
    assert files(course) == ALWAYS | {"results/vae/run.safetensors"}
    missing = git(course, "rev-list", "--objects", "--missing=print", "--all")
    assert missing.count("\n?") >= 4, "what the notebook does not need is not even downloaded"
    assert run() == ([], [str(course), str(course)]), "after Restart session"


@pytest.mark.executes
def test_another_notebook_of_the_session_adds_what_it_lacks(run, tmp_path):
    run()
    commands, _ = run(GAN)
    assert [command[1:3] for command in commands] == [["sparse-checkout", "init"], ["sparse-checkout", "add"]]
    assert commands[1][3:] == GAN[2:]
    more = {"results/vae/run.safetensors", "results/gan/meter_a.safetensors", "results/classifiers/b.safetensors"}
    assert files(tmp_path / "medlatent") == ALWAYS | more
    assert run(GAN)[0] == []


@pytest.mark.executes
def test_an_installation_that_failed_is_tried_again(run, tmp_path):
    assert "clone" in run(broken=True)[0][0]
    (again,), place = run()
    assert "pip" in again
    assert place[0] == str(tmp_path / "medlatent")


def test_the_cell_does_nothing_elsewhere(run, tmp_path):
    assert run(colab=False) == ([], [str(tmp_path), ""])


# ------------------------------------------------------------------------------------- what the notebooks need


def fetched(needs: list[str]) -> set[Path]:
    """The files of this repository that patterns of a sparse checkout name: these are folders, files and stars."""
    found = set()
    for pattern in needs:
        assert pattern.startswith("/")
        path = pattern[1:]
        found |= {p for p in (ROOT / path).rglob("*") if p.is_file()} if path.endswith("/") else set(ROOT.glob(path))
    return found


def test_no_notebook_fetches_all_results():
    for doc in NOTEBOOKS:
        needs = session.needed(ROOT / f"{doc}.py", ROOT)
        assert {"/medlatent/", "/notebooks/"} <= set(needs)
        assert "/results/" not in needs, doc


@pytest.mark.executes
@pytest.mark.parametrize("doc", NOTEBOOKS)
def test_a_notebook_fetches_the_results_that_its_execution_depends_on(doc):
    """Those of the quick reading are those that the book's build follows, import by import."""
    source = ROOT / f"{doc}.py"
    results = {path for path in inputs(ROOT, source) if path.is_relative_to(ROOT / "results")}
    got = {path for path in fetched(session.needed(source, ROOT)) if path.is_relative_to(ROOT / "results")}
    assert results <= got
    assert {p.parent for p in got} == {p.parent for p in results}


TRACED = """
import sys
from pathlib import Path
import jupytext

opened, root = set(), Path.cwd().resolve()

def hear(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        opened.add(arguments[0])

sys.addaudithook(hear)
import safetensors, safetensors.torch
for module in (safetensors, safetensors.torch):  # Rust opens a file without telling Python
    for name in ("safe_open", "load_file"):
        if function := getattr(module, name, None):
            def heard(file, *rest, function=function, **more):
                opened.add(str(file))
                return function(file, *rest, **more)
            setattr(module, name, heard)
scope = {"__name__": "__main__"}
for cell in jupytext.read(sys.argv[1]).cells:
    if cell.cell_type == "code":
        exec(compile(cell.source, "cell", "exec"), scope)
paths = [(root / p).resolve() for p in opened]
print("OPENED", *sorted({str(p.relative_to(root)) for p in paths if p.is_relative_to(root / "results")}))
"""


@pytest.mark.executes
def test_an_executed_notebook_opens_what_it_fetches():
    """*Start here*, cell by cell: it opens records of one chapter, all of which its session fetches."""
    source = ROOT / "notebooks/00_start.py"
    command = [sys.executable, "-c", TRACED, str(source)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    opened = {ROOT / name for name in done.stdout.splitlines()[-1].split()[1:]}
    assert ROOT / "results/vae/phantoms_vae.json" in opened
    assert opened <= fetched(session.needed(source, ROOT))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1", set()),
        ('from medlatent.records import find_record\nfind_record("vae", "a")', {"/results/vae/"}),
        ('from medlatent.course import recorded_runs\nrecorded_runs("gan")', {"/results/gan/"}),
        ("from medlatent.course import recorded_runs\nslug = input()\nrecorded_runs(slug)", {"/results/"}),
        ("def main(): ...\nmain()", set()),
        ('open("tests/reference/README.md")', {"/tests/reference/README.md"}),
        ("%pip install x", {"/results/"}),
    ],
)
def test_what_a_notebook_needs_is_read_from_its_source(tmp_path, text, expected):
    source = tmp_path / "x.py"
    source.write_text(f"# %%\n{text}\n")
    needs = session.needed(source, ROOT)
    measuring = {path for path in needs if "*" in path or path.endswith(".safetensors")}
    assert set(needs) - measuring == {"/medlatent/", "/notebooks/"} | expected
    assert bool(measuring) == (expected != {"/results/"} and any("results" in path for path in expected))
