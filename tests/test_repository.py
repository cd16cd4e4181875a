"""The files around the code: pins, licences, citation, workflows, the public address, the Makefile."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution, version
from pathlib import Path
from xml.etree import ElementTree

import address
import colab
import lock
import lowest
import pytest
import slow
import yaml
from alone import alone
from common import BuildError
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]


REQUIREMENTS = ROOT / os.environ.get("REQUIREMENTS", "requirements.txt")  # make check REQUIREMENTS=lowest.txt
PINS = dict(re.findall(r"^([\w.-]+)==([\w.]+)$", REQUIREMENTS.read_text(), re.M))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_every_requirement_is_pinned_exactly():
    lines = [s for s in REQUIREMENTS.read_text().splitlines() if s and not s.startswith("#")]
    assert len(lines) == len(PINS)


@pytest.mark.parametrize("name", PINS)
def test_what_is_installed_is_what_is_pinned(name):
    assert Version(Version(version(name)).public) == Version(PINS[name])


LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
locked = pytest.mark.skipif(REQUIREMENTS.name != "requirements.txt", reason="the lock is of the pinned versions")


@locked
def test_the_lock_is_in_step():
    assert lock.out_of_step(REQUIREMENTS.read_text(encoding="utf-8"), LOCK) == []


@pytest.mark.parametrize(
    ("requirements", "differ"),
    [
        ("torch==2.13.0\nnumpy==2.4.6\nPy_YAML==6.0.3\n# tests\n", []),
        ("numpy==2.4.7\nPyYAML==6.0.3\n", ["numpy==2.4.6", "numpy==2.4.7", "py-yaml==6.0.3", "pyyaml==6.0.3"]),
        ("numpy==2.4.6\nPy-YAML==6.0.3\nfsspec==2026.9.0\n", ["fsspec==2026.9.0"]),
        ("numpy==2.4.6\n", ["py-yaml==6.0.3"]),
    ],
)
def test_a_lock_that_is_out_of_step_is_seen(requirements, differ):
    text = (
        "numpy==2.4.6 \\\n    --hash=sha256:0\n    # via\n    #   -r requirements.txt\n    #   pandas\n"
        "py-yaml==6.0.3 ; python_full_version < '3.12' \\\n    --hash=sha256:0\n    # via -r requirements.txt\n"
        "fsspec==2026.9.0 \\\n    --hash=sha256:0\n    # via dask\n"
    )
    assert lock.out_of_step(requirements, text) == differ


@locked
def test_what_is_installed_of_all_that_is_needed_stands_in_the_lock():
    found = re.findall(r"^([\w.-]+==[^ ]+)(?: ; (.*))? \\$", LOCK, re.M)
    here = {lowest.plain(line.partition("==")[0]): line for line, m in found if not m or Marker(m).evaluate()}
    needed, seen = [*PINS], set()
    while needed:
        name = lowest.plain(needed.pop())
        if name in seen or (lock.OWN_BUILDS.fullmatch(name) and name != "torch"):
            continue
        seen.add(name)
        requirements = map(Requirement, distribution(name).requires or [])
        needed += [r.name for r in requirements if not r.marker or r.marker.evaluate({"extra": ""})]
        if name != "torch":
            assert here[name] == f"{name}=={Version(version(name)).public}"
    assert len(seen) > 100


def test_a_lock_leaves_pytorch_out_and_stays_where_nothing_fits(tmp_path):
    resolved = (
        "numpy==2.4.6 \\\n    --hash=sha256:0\ntorch==2.13.0\nnvidia-nccl-cu13==2.29.7\ntriton==3.7.1\nzipp==4.1.2\n"
    )
    uv = tmp_path / "uv"
    uv.write_text(f"#!/bin/sh\ncat > _build/requirements.lock <<'END'\n{resolved}END\n")
    uv.chmod(0o755)
    lock.lock(tmp_path, str(uv))
    written = (tmp_path / "requirements.lock").read_text()
    assert written == f"{lock.HEADER}numpy==2.4.6 \\\n    --hash=sha256:0\nzipp==4.1.2\n"

    uv.write_text("#!/bin/sh\necho half > _build/requirements.lock\necho no solution found >&2\nexit 1\n")
    with pytest.raises(BuildError, match=r"stays as it is(.|\n)*no solution found"):
        lock.lock(tmp_path, str(uv))
    assert (tmp_path / "requirements.lock").read_text() == written


def test_the_lock_holds_hashes_and_says_nothing_of_where_it_was_made():
    for package in lock.PACKAGE.split(LOCK)[1:]:
        name, *lines = package.splitlines()
        assert not lock.OWN_BUILDS.fullmatch(name.partition("==")[0])
        assert re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", lines[0]), name
    assert not re.search(r"://|/opt|--(extra-)?index|--find-links", LOCK)


@pytest.mark.parametrize("line", [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["data"]])
def test_the_package_admits_what_the_book_pins(line):
    requirement = Requirement(line)
    assert requirement.specifier.contains(PINS[requirement.name])


def test_the_extra_all_names_the_others():
    """But for those that want an environment of their own."""
    extras = PROJECT["optional-dependencies"]
    (everything,) = map(Requirement, extras["all"])
    assert everything.name == "medlatent"
    assert everything.extras == extras.keys() - {"all", "instructors", "benchmarks"}


@pytest.mark.parametrize("name", ["README.md", "book/how_to_use.md", "book/session.py", "book/instructors.md"])
def test_extras_that_a_reader_is_told_to_install_exist(name):
    for extras in re.findall(r'"\.\[([\w,]+)\]"', (ROOT / name).read_text()):
        assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()


def test_binder_installs_what_the_page_for_instructors_says():
    folder = ROOT / ".binder"
    python = re.fullmatch(r"python-(3\.\d+)\n", (folder / "runtime.txt").read_text())[1]
    assert SpecifierSet(PROJECT["requires-python"]).contains(python)
    for script in ("postBuild", "start"):
        assert os.access(folder / script, os.X_OK)
        assert subprocess.run(["bash", "-n", folder / script], check=False).returncode == 0
    installs = re.findall(r"^pip install --no-cache-dir (.+)$", (folder / "postBuild").read_text(), re.M)
    page = (ROOT / "book/instructors.md").read_text()
    hub = re.findall(r"^\$ sudo -E pip install (.+)$", page, re.M)
    assert installs[0] == hub[0]  # PyTorch for the CPU, as pinned
    assert installs[1] == hub[1].replace(",instructors", "")
    (extras,) = re.findall(r'"\.\[([\w,]+)\]"', installs[1])
    assert set(extras.split(",")) <= PROJECT["optional-dependencies"].keys()


def test_licences_are_whole():
    code, prose = (ROOT / "LICENSE").read_text(), (ROOT / "LICENSE-TEXT").read_text()
    assert "Apache License" in code
    assert "END OF TERMS AND CONDITIONS" in code
    assert "Attribution 4.0 International" in prose
    assert "Section 8 – Interpretation" in prose


SENDS_OBJECTS = "medlatent/engines.py"  # from one process of a run to another


def executing(text: str) -> list[str]:
    """The calls in a source that may execute what a file brings along."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            said, given = ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords}
            reader = re.fullmatch(
                r"(\w*pickle\.loads?|joblib\.load|yaml\.(unsafe_)?load|.*\.read_pickle|eval|exec)", said
            )
            loose = said == "torch.load" and given.get("weights_only") != "True"
            if reader or loose or given.get("allow_pickle") == "True":
                found.append(ast.unparse(node))
    return found


def test_no_file_brings_code_along_as_security_md_promises():
    texts = {str(p.relative_to(ROOT)): p.read_text("utf-8") for p in (ROOT / "medlatent").rglob("*.py")}
    found = {path: executing(text) for path, text in texts.items() if re.search(r"pickle|load|\beval|\bexec", text)}
    assert {path for path, calls in found.items() if calls} == {SENDS_OBJECTS}
    assert all(call.startswith("pickle.loads(") for call in found[SENDS_OBJECTS])


@pytest.mark.parametrize(
    "call", ["torch.load(f)", "np.load(f, allow_pickle=True)", "pd.read_pickle(f)", "pickle.load(f)", "eval(f.read())"]
)
def test_a_call_that_executes_a_file_is_seen(call):
    assert executing(f"x = {call}") == [call]


def test_citation_file_has_what_the_format_requires():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["license"] == "Apache-2.0"
    assert citation["version"] == version("medlatent")


def newest_entry(changelog: str) -> str:
    return re.split(r"^## ", changelog, flags=re.M)[1]


def test_the_changelog_says_which_numbers_moved():
    text = (ROOT / "CHANGELOG.md").read_text()
    moved = re.search(r"^### Numbers that moved\n+(?!#)\S", newest_entry(text), re.M)
    assert moved, "the newest entry of CHANGELOG.md has no section 'Numbers that moved', or an empty one"
    kinds = {"Numbers that moved", "Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.M)) <= kinds


def test_the_package_says_that_it_is_typed():
    assert (ROOT / "medlatent/py.typed").is_file()
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    assert "py.typed" in data["medlatent"]


HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_hooks_before_a_commit_run_what_make_lint_runs(hook):
    if hook["id"] == "types" and REQUIREMENTS.name != "requirements.txt":
        pytest.skip("types are right for the annotations of the pinned versions")
    program, *arguments = hook["entry"].split()
    lint = (ROOT / "Makefile").read_text().replace("$(BIN)", ".venv/bin").replace("ruff format --check", "ruff format")
    assert f"\t{' '.join([program, *arguments])}".removesuffix(" --force-exclude") in lint
    if hook.get("pass_filenames", True):
        arguments = [*arguments, "book/pair.py", *(["--check"] if "format" in arguments else [])]
    command = [Path(sys.executable).parent / Path(program).name, *arguments]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0


@pytest.mark.skipif(REQUIREMENTS.name != "requirements.txt", reason="annotations of other versions")
@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("losses.reparametrise(torch.zeros(1, 2), 0.0)", "arg-type"),
        ("models.VAE().encode(torch.zeros(1, 3, 64, 64)).mean", "attr-defined"),
        ("training.train(models.VAE(), torch.zeros(4, 3, 64, 64), steps='10')", "arg-type"),
        ("records.find_record('vae', 'phantoms').load()", "attr-defined"),
    ],
)
def test_a_wrong_type_is_seen(tmp_path, call, code):
    (tmp_path / "wrong.py").write_text(
        f"import torch\nfrom medlatent import losses, models, records, training\n{call}\n"
    )
    command = [Path(sys.executable).parent / "mypy", tmp_path / "wrong.py"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert re.findall(r"wrong.py:(\d+): error: .*\[(.+)\]", run.stdout) == [("3", code)], run.stdout


def test_workflows_are_valid():
    files = sorted((ROOT / ".github/workflows").glob("*.yml"))
    assert [f.stem for f in files] == ["ci", "weekly"]
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
    versions: dict[str, set[str]] = {}
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        text = path.read_text()
        assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
        for line in re.findall(r"uses: (.*)", text):
            assert unpinned(line) == "", path.name
            versions.setdefault(line.split("@")[0], set()).add(line)
    assert [lines for lines in versions.values() if len(lines) > 1] == [], "one action, one version"


def unpinned(line: str) -> str:
    """What is wrong with the value of a ``uses:``: an action is named by a commit, its version is said beside it."""
    if re.fullmatch(r"[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line):
        return ""
    image = r"docker://[\w./-]+(:\d+\.\d+\.\d+|@sha256:[0-9a-f]{64})"
    return "" if re.fullmatch(image, line) else f"{line}: give the commit, 40 hexadecimal digits, and # vX.Y.Z"


@pytest.mark.parametrize(
    "line",
    ["actions/checkout@v5", "actions/checkout@main # v5.0.0", f"actions/checkout@{'0' * 40}", "docker://x/y:latest"],
)
def test_an_action_that_is_not_pinned_is_seen(line):
    assert "give the commit" in unpinned(line)


def test_the_pages_that_are_published_are_those_that_were_tested():
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    assert "test" in jobs["deploy"]["needs"]
    *_, tested, uploaded = jobs["test"]["steps"]
    assert tested == {"run": "bash .ci/run"}
    assert uploaded["uses"].startswith("actions/upload-pages-artifact@")
    assert uploaded["if"] == jobs["deploy"]["if"] == "github.ref == 'refs/heads/main'"
    assert uploaded["with"] == {"path": "_build/html"}
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        steps = [step for job in yaml.safe_load(path.read_text())["jobs"].values() for step in job["steps"]]
        assert not any("make book" in step.get("run", "") for step in steps)


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
    for target in ("book", "pdf", "test", "check", "serve", "pair", "references", "slides", "clean"):
        assert re.search(rf"^make {target}\s+\S", run.stdout, re.M), target


def test_the_tests_that_are_called_slow_exist():
    def functions(body: list[ast.stmt], within: str) -> set[str]:
        found = {f"{within}::{node.name}" for node in body if isinstance(node, ast.FunctionDef)}
        inner = [functions(node.body, f"{within}::{node.name}") for node in body if isinstance(node, ast.ClassDef)]
        return found.union(*inner)

    names = slow.SLOW.read_text().split()
    files = {name.partition("::")[0] for name in names}
    there = set().union(*(functions(ast.parse((ROOT / file).read_text()).body, file) for file in files))
    assert set(names) - there == set()


def test_a_function_is_slow_by_the_average_of_its_cases():
    here = "tests.test_repository"
    took = [(here, "test_a[0]", 0.1), (here, "test_a[1]", 0.5), (f"{here}.TestB", "test_b", 9), (here, "test_c", 0.2)]
    cases = [f'<testcase classname="{where}" name="{name}" time="{seconds}"/>' for where, name, seconds in took]
    timed = ElementTree.fromstring(f"<testsuite>{''.join(cases)}</testsuite>")
    assert slow.slow(timed, 0.3) == ["tests/test_repository.py::TestB::test_b", "tests/test_repository.py::test_a"]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_clean_removes_what_was_built_and_nothing_that_a_person_made(tmp_path):
    for name in ("Makefile", "requirements.txt", "requirements.lock"):
        shutil.copy2(ROOT / name, tmp_path)
    built = [
        tmp_path / "_build/html/index.html",
        tmp_path / "medlatent/__pycache__/x.pyc",
        tmp_path / "_build/book.key",
        tmp_path / "build/lib/medlatent/x.py",
        tmp_path / "dist/medlatent-1.0.0-py3-none-any.whl",
    ]
    kept = [
        tmp_path / name
        for name in ("assignments/gradebook.db", "_build/assignments/gradebook.db", "slides/vae.ipynb", "a.txt")
    ]
    for path in built + kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    said = subprocess.run(["make", "-C", tmp_path, "clean"], capture_output=True, text=True, check=True).stdout
    assert [p for p in built if p.exists()] == []
    assert [p for p in kept if not p.exists()] == []
    assert "mv _build/assignments assignments" in said
    subprocess.run(["make", "-C", tmp_path, "clean"], check=True)


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_clean_takes_nothing_from_a_build_at_work(tmp_path):
    for name in ("Makefile", "requirements.txt", "requirements.lock", "book/alone.py", "book/common.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, tmp_path / name)
    clean = ["make", "-C", tmp_path, "clean", f"BIN={Path(sys.executable).parent}"]
    with alone(tmp_path):
        run = subprocess.run(clean, capture_output=True, text=True)
        assert run.returncode != 0
        assert f"Another build is at work in {tmp_path}: process {os.getpid()}" in run.stderr
        assert (tmp_path / "_build/build.holder").exists()
    subprocess.run(clean, check=True)
    assert not (tmp_path / "_build/build.holder").exists()


@pytest.mark.skipif(not (ROOT / ".git").exists() or not shutil.which("git"), reason="this is no checkout")
@pytest.mark.parametrize("name", ["build/lib/medlatent/models/vae.py", "dist/medlatent-1.0.0-py3-none-any.whl"])
def test_what_a_build_of_the_package_leaves_is_ignored(name):
    """By git, and so by ruff and deptry, which read the same file; mypy and pytest are told what to look at."""
    assert subprocess.run(["git", "check-ignore", "--quiet", name], cwd=ROOT, check=False).returncode == 0


def test_colab_constraints():
    freeze = "numpy==2.0.2\ntorch==2.9.0+cu126\nscikit_learn==1.6.1\nlocal @ file:///x\n"
    assert colab.constraints(freeze, ["torch>=2.6", "scikit-learn>=1.4"]) == ["torch==2.9.0", "scikit-learn==1.6.1"]
    with pytest.raises(SystemExit, match="safetensors"):
        colab.constraints(freeze, ["safetensors>=0.4"])


# ------------------------------------------------------------------------------------------- dependencies

PACKAGE = ("deptry", ".")
EVERYTHING = ("deptry", "book", "tests", "benchmarks", "data_scripts", "notebooks", "medlatent")


@pytest.mark.parametrize("command", [PACKAGE, (*EVERYTHING, "--config", "book/dependencies.toml")])
def test_what_is_imported_is_declared_and_make_lint_asks(command):
    assert f"$(BIN)/{' '.join(command)}\n" in (ROOT / "Makefile").read_text()
    program = Path(sys.executable).parent / command[0]
    run = subprocess.run([program, *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("name", ["scipy", "joblib", "traitlets", "ipython"])
def test_an_undeclared_dependency_is_seen(tmp_path, name):
    text = (ROOT / "pyproject.toml").read_text()
    (tmp_path / "pyproject.toml").write_text(re.sub(rf'^  "{name}>=.*\n', "", text, flags=re.M))
    (tmp_path / "medlatent").symlink_to(ROOT / "medlatent")
    command = [Path(sys.executable).parent / "deptry", tmp_path / "medlatent", "--config", tmp_path / "pyproject.toml"]
    run = subprocess.run([*command, "--no-ansi"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert re.search(rf"'{name}' imported but", run.stderr, re.I)


def test_the_lowest_versions_are_the_lower_bounds_and_the_rest_as_pinned():
    pinned = ["torch==2.13.0", "scikit-learn==1.9.1", "pytest==9.2.0"]
    found = lowest.lowest(["torch>=2.6", "scikit_learn>=1.4"], pinned)
    assert found == ["torch==2.6", "scikit_learn==1.4", "pytest==9.2.0"]
    with pytest.raises(ValueError, match="'torch<3' should read NAME>=VERSION"):
        lowest.lowest(["torch<3"], pinned)
    with pytest.raises(ValueError, match="does not pin scipy"):
        lowest.lowest(["scipy>=1.11"], pinned)


def test_every_declared_dependency_can_be_tried_at_its_lowest():
    run = subprocess.run([sys.executable, ROOT / "book/lowest.py"], capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    assert [line.replace(">=", "==") for line in PROJECT["dependencies"] if line.replace(">=", "==") not in lines] == []
    assert len(lines) == len(PINS)


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
        "[Binder](https://mybinder.org/v2/gh/medlatent/medlatent/main?urlpath=lab)\n"
    )
    (tmp_path / "SECURITY.md").write_text(f"Report: {OLD}/security/advisories/new\n")
    (tmp_path / "notebooks/00_start.py").write_text(f"# %pip install git+{OLD}.git\n")
    return tmp_path


def test_a_fork_changes_one_line(fork):
    names = {"CITATION.cff", "README.md", "SECURITY.md", "pyproject.toml", "notebooks/00_start.py"}
    assert set(address.update(fork, check=True)) == names
    assert set(address.update(fork, check=False)) == names
    assert address.update(fork, check=True) == []
    readme = (fork / "README.md").read_text()
    assert f"{NEW}/actions" in readme
    assert "https://colab.research.google.com/github/someone/latents/blob/main/x.ipynb" in readme
    assert "https://github.com/medlatent/medlatent-data" in readme
    assert "https://mybinder.org/v2/gh/someone/latents/main?urlpath=lab" in readme
    assert "https://someone.github.io/latents" in (fork / "CITATION.cff").read_text()
    assert f"git+{NEW}.git" in (fork / "notebooks/00_start.py").read_text()


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("README.md", f"{NEW} https://colab.research.google.com/github/nobody/else/blob/main/x.ipynb"),
        ("README.md", f"{NEW} https://mybinder.org/v2/gh/nobody/else/main"),
        ("CITATION.cff", "title: without an address"),
        ("_config.yml", "repository:\n  url: https://example.org/x\n"),
    ],
)
def test_a_foreign_or_missing_address_is_an_error(fork, file, text):
    (fork / file).write_text(text)
    with pytest.raises(BuildError, match=r"belongs|must read"):
        address.update(fork, check=True)
