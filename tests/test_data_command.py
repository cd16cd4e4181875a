"""``python -m medlatent data``, and the scripts of data_scripts/ that are the same."""

import gzip
import hashlib
import os
import re
import runpy
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from medlatent import obtain
from medlatent.__main__ import main
from medlatent.data import ImageSet, acdc, all_sources, chest_ct, ham10000, lidc, lidc_ct, mnist
from medlatent.data.phantoms import heart, lesion, nodule, thorax

LICENCES = {
    "acdc": acdc.LICENCE,
    "ham10000": ham10000.LICENCE,
    "lidc": lidc_ct.LICENCE,
    "lidc_nodules": lidc.LICENCE,
    "mnist": mnist.LICENCE,
}


def digits(folder):
    """The four files of MNIST's layout, compressed."""
    folder.mkdir()
    for names, n in zip(mnist.FILES.values(), (30, 10), strict=True):
        for name, shape in zip(names, ((n, 28, 28), (n,)), strict=True):
            header = b"\0\0\x08" + bytes([len(shape)]) + b"".join(k.to_bytes(4, "big") for k in shape)
            values = (np.arange(np.prod(shape)) % 10).astype(np.uint8).tobytes()
            (folder / f"{name}.gz").write_bytes(gzip.compress(header + values))


def chest(folder):
    thorax.write_dicom(folder, 1, size=64, distance=20.0)


# Of each set: what writes files in the official layout, and options that make little of them.
WRITERS = {
    "acdc": (lambda folder: heart.write_acdc(folder, 5), ["--size", "64", "--spacing", "3", "--workers", "1"]),
    "chest_ct": (chest, ["--size", "32", "--workers", "1", "--collection", "SET", "--licence", "CC BY 3.0"]),
    "ham10000": (lambda folder: lesion.write_ham10000(folder, 12), ["--size", "32", "--patch", "48", "--workers", "1"]),
    "lidc": (chest, ["--size", "32", "--workers", "1"]),
    "lidc_nodules": (lambda folder: nodule.write_patches(folder, 5), ["--size", "32", "--workers", "1"]),
    "mnist": (digits, []),
}


@pytest.fixture
def script(root):
    """The function of a script, as whoever runs the file has it."""
    return lambda name: runpy.run_path(str(root / "data_scripts" / f"{name}.py"))["main"]


def contents(folder):
    """Every file below a folder, by its path in it."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("name", WRITERS)
def test_the_command_packs_what_the_script_packs(name, script, tmp_path, capsys, monkeypatch):
    write, options = WRITERS[name]
    write(tmp_path / "files")
    for path in (tmp_path / "files").glob("*-ubyte.gz"):  # the published checksums are not of these digits
        checksum = hashlib.md5(gzip.decompress(path.read_bytes())).hexdigest()
        monkeypatch.setitem(mnist.MD5, path.stem, checksum)
    said = []
    for place, call in (("command", lambda more: main(["data", name, *more])), ("script", script(name))):
        more = ["--from", str(tmp_path / "files"), "--out", str(tmp_path / place / name), *options]
        assert call(more) == 0
        said.append(capsys.readouterr().out.replace(str(tmp_path / place), ""))
        assert call(more) == 0
        assert "is packed already" in capsys.readouterr().out
    assert len(ImageSet.load(tmp_path / "command" / name)) > 0
    assert contents(tmp_path / "command") == contents(tmp_path / "script")
    assert said[0] == said[1]


@pytest.mark.parametrize("name", WRITERS)
def test_a_fault_is_one_line(name, script, tmp_path, capsys):
    more = ["--from", str(tmp_path / "nowhere"), "--out", str(tmp_path / "set")]
    assert main(["data", name, *more]) == 1
    command = capsys.readouterr().err
    assert script(name)(more) == 1
    assert command.removeprefix("medlatent: ") == capsys.readouterr().err.removeprefix("error: ")
    assert command.count("\n") == 1
    assert "nowhere" in command
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "mnist", "--out=~/sets/mnist"],
        ["data", "ham10000", "--out", "set", "--from", "a.zip", "~/b.zip"],
        ["pack", "images", "--out=~/set"],
        ["train", "VAE", "--out", "~"],
        ["evaluate", "~/record.json"],
    ],
)
def test_a_home_folder_that_no_shell_has_written_out(arguments, tmp_path, capsys, monkeypatch):
    """It would be a folder called ~ in this one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    assert main(arguments) == 1
    said = capsys.readouterr().err
    assert re.fullmatch(r"medlatent: \w+ ~.*: only a shell reads ~ as your home folder, .*; write /home/me.*\n", said)
    assert not list(tmp_path.iterdir())


def listed(text):
    """The sets of a listing, and what it says of each."""
    return dict(re.findall(r"^(\w+)  +(\S.*; from .*)$", text, re.M))


def test_without_a_name_it_lists_the_sets(capsys):
    assert main(["data"]) == 0
    lines = listed(capsys.readouterr().out)
    assert list(lines) == list(obtain.SETS)
    for name, line in lines.items():
        known = obtain.SETS[name]
        assert line == f"{known.summary}; {known.licence}; {known.size}; from {known.origin}"
        if name in LICENCES:
            assert known.licence == LICENCES[name]


def test_every_set_has_a_module_a_script_and_a_test(root):
    for folder in (root / "medlatent/obtain", root / "data_scripts"):
        assert {p.stem for p in folder.glob("*.py")} - {"__init__"} == set(obtain.SETS)
    assert WRITERS.keys() == obtain.SETS.keys()


def test_every_packed_source_names_a_command_that_there_is():
    commands = {source.command for source in all_sources() if source.kind == "packed"}
    assert commands == {f"python -m medlatent data {name}" for name in obtain.SETS}


@pytest.mark.parametrize("name", WRITERS)
def test_help_names_the_command_and_its_options(name, script, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["data", name, "--help"])
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith(f"usage: python -m medlatent data {name} ")
    assert f"\n    python -m medlatent data {name} --" in said
    with pytest.raises(SystemExit):
        script(name)(["--help"])
    usage, told = capsys.readouterr().out.split("\n\n", 1)
    assert told == said.split("\n\n", 1)[1]
    assert usage.startswith("usage: ")
    assert "None)" not in said


@pytest.mark.executes
def test_a_package_without_a_checkout_has_the_command(root, tmp_path):
    """What a wheel carries, elsewhere: no data_scripts, and no results, book or tests."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
        shutil.copy2(root / name, source)
    shutil.copytree(root / "medlatent", source / "medlatent", ignore=shutil.ignore_patterns("__pycache__"))
    build = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"
    built = subprocess.run([sys.executable, "-c", build, tmp_path], cwd=source, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    with zipfile.ZipFile(*tmp_path.glob("medlatent-*.whl")) as wheel:
        wheel.extractall(tmp_path / "installed")
    assert not (tmp_path / "installed/data_scripts").exists()
    elsewhere = {"cwd": tmp_path, "env": os.environ | {"PYTHONPATH": str(tmp_path / "installed")}}
    where = [sys.executable, "-c", "import medlatent.obtain as found; print(found.__file__)"]
    found = subprocess.run(where, capture_output=True, text=True, check=True, **elsewhere).stdout
    assert Path(found.strip()) == tmp_path / "installed/medlatent/obtain/__init__.py"
    for name in obtain.SETS:
        command = [sys.executable, "-m", "medlatent", "data", name, "--help"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, **elsewhere)
        assert done.returncode == 0, done.stderr
        assert f"usage: python -m medlatent data {name} " in done.stdout


def test_help_lists_the_sets(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["data", "--help"])
    assert ended.value.code == 0
    assert list(listed(capsys.readouterr().out)) == list(obtain.SETS)


def test_an_unknown_name_is_told_the_known_ones(capsys):
    assert main(["data", "cifar", "--out", "x"]) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("medlatent: unknown data set 'cifar', there are:\n")
    assert list(listed(captured.err)) == list(obtain.SETS)
    assert not captured.out


def test_options_before_the_name_are_not_passed_over(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["data", "--out", "x", "mnist"])
    assert ended.value.code == 2
    assert "unrecognized arguments: --out" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "words"), [("chest_ct", "nothing was written"), ("lidc", "run again to continue")])
def test_an_interrupt_says_what_is_kept(name, words, script, tmp_path, capsys, monkeypatch):
    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr({"chest_ct": chest_ct, "lidc": lidc_ct}[name], "pack", interrupted)
    more = ["--from", str(tmp_path), "--out", str(tmp_path / "set")]
    assert main(["data", name, *more]) == 130
    assert capsys.readouterr().err == f"medlatent: interrupted; {words}\n"
    assert script(name)(more) == 130
    assert capsys.readouterr().err == f"interrupted; {words}\n"


@pytest.mark.executes
def test_without_the_package_a_script_says_what_to_install(root):
    """As a process of its own that sees neither this checkout nor what is installed."""
    command = [sys.executable, "-I", "-S", root / "data_scripts" / "mnist.py", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "No module named 'medlatent': install the package with `pip install -e .[data]`\n"
