"""Finding and getting the browser, on machines that have one, none, or one that does not start."""

import os
import subprocess
import sys
from pathlib import Path

import browser
import pytest
from common import BuildError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def program(tmp_path):
    """Writes a program of a name and an exit status."""

    def write(name: str, status: int = 0) -> str:
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\nexit {status}\n")
        path.chmod(0o755)
        return str(path)

    return write


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """A machine without a browser."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(browser, "playwrights_own", list)
    monkeypatch.setattr(browser, "INSTALLED", ("chromium", "google-chrome"))


def test_an_installed_browser_is_taken_before_playwrights(program, monkeypatch):
    own = program("own")
    monkeypatch.setattr(browser, "playwrights_own", lambda: [own])
    assert browser.find_chromium() == own
    installed = program("google-chrome")
    assert browser.find_chromium() == installed


def test_one_that_does_not_start_is_passed_over(program):
    program("chromium", status=1)
    assert browser.find_chromium() is None
    works = program("google-chrome")
    assert browser.find_chromium() == works


def test_what_is_missing_is_got_by_the_first_way_that_works(program):
    asked = []

    def offline():
        """Asks the network."""
        asked.append("offline")
        raise subprocess.CalledProcessError(1, "playwright")

    def packages():
        """Asks the package manager."""
        asked.append("packages")
        program("chromium")

    def never():
        """Is not asked."""
        asked.append("never")

    assert browser.get_chromium((offline, packages, never)).endswith("/chromium")
    assert asked == ["offline", "packages"]
    assert browser.get_chromium((never,)).endswith("/chromium")
    assert asked == ["offline", "packages"]


def test_without_any_way_it_says_what_to_do():
    with pytest.raises(BuildError, match="apt-get install chromium"):
        browser.get_chromium(())


def test_the_package_manager_is_left_alone_by_who_may_not_install(program, monkeypatch, tmp_path):
    (tmp_path / "apt-get").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (tmp_path / "apt-get").chmod(0o755)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    browser.install()
    assert not (tmp_path / "asked").exists()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    browser.install()
    assert "install -y" in (tmp_path / "asked").read_text()


def test_the_command_stops_a_machine_without_a_browser(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['playwright'] = None\n")
    environment = {"PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, ROOT / "book/browser.py"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "apt-get install chromium" in run.stderr


def test_a_test_without_a_browser_fails_and_says_what_to_do(tmp_path):
    (tmp_path / "test_x.py").write_text("def test_x(chromium):\n    pass\n")
    (tmp_path / "conftest.py").write_text(
        "import browser\nbrowser.INSTALLED, browser.playwrights_own = (), list\n"
        + (ROOT / "tests/book/conftest.py").read_text()
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", tmp_path]
    environment = os.environ | {"PYTHONPATH": str(ROOT / "book")}
    run = subprocess.run([*command, tmp_path], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode != 0
    assert "apt-get install chromium" in run.stdout
    assert "skipped" not in run.stdout


def test_make_test_asks_for_the_browser_before_anything_else():
    rule = next(line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("test:"))
    assert rule.split("##")[0].split()[1] == "browser"
