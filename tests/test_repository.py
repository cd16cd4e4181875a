"""The files around the code: pins, licences, citation, workflows, the public address, the Makefile."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import address
import colab
import pytest
import yaml
from common import BuildError
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


PINS = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", (ROOT / "requirements.txt").read_text(), re.M))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_requirement_is_pinned_exactly():
    lines = [s for s in (ROOT / "requirements.txt").read_text().splitlines() if s and not s.startswith("#")]
    assert len(lines) == len(PINS)


@pytest.mark.parametrize("name", PINS)
def test_what_is_installed_is_what_is_pinned(name):
    assert version(name).split("+")[0] == PINS[name]


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["data"]])
def test_the_package_admits_what_the_book_pins(line):
    requirement = Requirement(line)
    assert requirement.specifier.contains(PINS[requirement.name])


def test_licences_are_whole():
    code, prose = (ROOT / "LICENSE").read_text(), (ROOT / "LICENSE-TEXT").read_text()
    assert "Apache License" in code
    assert "END OF TERMS AND CONDITIONS" in code
    assert "Attribution 4.0 International" in prose
    assert "Section 8 – Interpretation" in prose


def test_citation_file_has_what_the_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["license"] == "Apache-2.0"
    assert citation["version"] == version("medlatent")


def test_workflows_are_valid():
    files = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert [f.stem for f in files] == ["ci", "pages", "weekly"]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", *files]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_a_broken_workflow_is_seen(tmp_path):
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    broken = tmp_path / "ci.yml"
    broken.write_text(text.replace("runs-on:", "run-on:"))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows", broken]
    assert subprocess.run(command, capture_output=True, check=False).returncode != 0


def test_actions_are_pinned_and_the_token_may_only_read():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        text = path.read_text()
        assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
        for name in re.findall(r"uses: (\S+)", text):
            assert re.fullmatch(r"actions/[\w-]+@v\d+|docker://[\w/]+:\d+\.\d+\.\d+", name), name


def test_every_push_runs_what_ci_runs():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert {"push", "pull_request"} <= workflow[True].keys()  # YAML 1.1 reads the key `on` as true
    assert {"run": "bash .ci/run"} in workflow["jobs"]["test"]["steps"]


def test_ci_prints_its_slowest_tests_and_ends_with_the_tests():
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("\nmake test")
    recipe = re.search(r"^test: .*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.M)[1].splitlines()
    assert "pytest" in recipe[-1]
    assert "--durations=15" in recipe[-1]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_lists_its_targets():
    run = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True)
    for target in ("book", "test", "check", "serve", "pair", "references", "clean"):
        assert re.search(rf"^make {target}\s+\S", run.stdout, re.M), target


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_clean_removes_what_was_built_and_nothing_that_a_person_made(tmp_path):
    for name in ("Makefile", "requirements.txt"):
        shutil.copy2(ROOT / name, tmp_path)
    built = [
        tmp_path / "_build/html/index.html",
        tmp_path / "medlatent/__pycache__/x.pyc",
        tmp_path / "_build/book.key",
    ]
    kept = [tmp_path / "assignments/gradebook.db", tmp_path / "_build/assignments/gradebook.db", tmp_path / "a.txt"]
    for path in built + kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    said = subprocess.run(["make", "-C", tmp_path, "clean"], capture_output=True, text=True, check=True).stdout
    assert [p for p in built if p.exists()] == []
    assert [p for p in kept if not p.exists()] == []
    assert "mv _build/assignments assignments" in said
    subprocess.run(["make", "-C", tmp_path, "clean"], check=True)


def test_colab_constraints():
    freeze = "numpy==2.0.2\ntorch==2.9.0+cu126\nscikit_learn==1.6.1\nlocal @ file:///x\n"
    assert colab.constraints(freeze, ["torch>=2.6", "scikit-learn>=1.4"]) == ["torch==2.9.0", "scikit-learn==1.6.1"]
    with pytest.raises(SystemExit, match="safetensors"):
        colab.constraints(freeze, ["safetensors>=0.4"])


# ------------------------------------------------------------------------------------------- the address

OLD, NEW = "https://github.com/medlatent/medlatent", "https://github.com/someone/latents"


def test_the_address_is_in_step():
    assert address.update(ROOT, check=True) == []


@pytest.fixture
def fork(tmp_path):
    """A small repository whose address has just been changed in its one place."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "book").mkdir()
    (tmp_path / "_config.yml").write_text(f"repository:\n  url: {NEW}\n")
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nrepository = "{OLD}"\n')
    (tmp_path / "CITATION.cff").write_text(f"repository-code: {OLD}\nurl: https://medlatent.github.io/medlatent\n")
    (tmp_path / "README.md").write_text(
        f"[ci]({OLD}/actions) [Colab](https://colab.research.google.com/github/medlatent/medlatent/blob/main/x.ipynb) "
        "[another](https://github.com/medlatent/medlatent-data)\n"
    )
    (tmp_path / "notebooks/00_start.py").write_text(f"# %pip install git+{OLD}.git\n")
    return tmp_path


def test_a_fork_changes_one_line(fork):
    names = {"CITATION.cff", "README.md", "pyproject.toml", "notebooks/00_start.py"}
    assert set(address.update(fork, check=True)) == names
    assert set(address.update(fork, check=False)) == names
    assert address.update(fork, check=True) == []
    readme = (fork / "README.md").read_text()
    assert f"{NEW}/actions" in readme
    assert "https://colab.research.google.com/github/someone/latents/blob/main/x.ipynb" in readme
    assert "https://github.com/medlatent/medlatent-data" in readme
    assert "https://someone.github.io/latents" in (fork / "CITATION.cff").read_text()
    assert f"git+{NEW}.git" in (fork / "notebooks/00_start.py").read_text()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("README.md", f"{NEW} https://colab.research.google.com/github/nobody/else/blob/main/x.ipynb"),
        ("CITATION.cff", "title: without an address"),
        ("_config.yml", "repository:\n  url: https://example.org/x\n"),
    ],
)
def test_a_foreign_or_missing_address_is_an_error(fork, file, text):
    (fork / file).write_text(text)
    with pytest.raises(BuildError, match=r"belongs|must read"):
        address.update(fork, check=True)
