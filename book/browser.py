"""Finds the browser that prints the PDF and that the tests of the pages drive, or gets one.

    python book/browser.py

Taken is an installed Chromium or Chrome; else playwright's own, which is downloaded; else that of the package manager,
where this process may install it.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from common import BuildError

INSTALLED = (
    "chromium",
    "google-chrome",
    "google-chrome-stable",
    "chromium-browser",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# What a headless browser is started with: it may run as root, and asks no network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
ADVICE = (
    "the PDF and the tests of the pages need Chromium, and there is none that starts. Debian: apt-get install "
    "chromium; Ubuntu: python -m playwright install --with-deps chromium; macOS: brew install --cask chromium; "
    "elsewhere install Chromium or Google Chrome"
)


def find_chromium() -> str | None:
    """Where a Chromium lies that starts: an installed one, or playwright's own; None if there is none."""
    return next(filter(starts, candidates()), None)


def candidates() -> Iterator[str]:
    """Where a Chromium may lie, the best first. Playwright, which starts slowly and never twice, is asked last."""
    yield from filter(None, map(shutil.which, INSTALLED))
    yield from playwrights_own()


def starts(program: str) -> bool:
    """Whether a program says its version: one without its libraries, or a stand-in for a snap package, does not."""
    try:
        run = subprocess.run([program, "--version"], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return run.returncode == 0


def playwrights_own() -> list[str]:
    """Where playwright would put its Chromium; nothing without playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return []
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return [path] if Path(path).is_file() else []


def download() -> None:
    """Lets playwright download its Chromium."""
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True, timeout=900)


def install() -> None:
    """Installs Debian's Chromium, where this process is root."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        quietly = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=True, env=quietly)
        wanted = ["chromium", "fonts-dejavu-core"]
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *wanted], check=True, env=quietly)


def get_chromium(ways: tuple[Callable[[], None], ...] = (download, install)) -> str:
    """Where Chromium is, after it was got if there was none.

    Raises:
        BuildError: it cannot be got here; the message says what to install.
    """
    if found := find_chromium():
        return found
    for way in ways:
        print(f"no Chromium yet: {way.__doc__.split('.')[0]}", flush=True)
        try:
            way()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"that failed: {error}", flush=True)
        if found := find_chromium():
            return found
    raise BuildError(ADVICE)


if __name__ == "__main__":
    try:
        print(f"browser: {get_chromium()}")
    except BuildError as error:
        sys.exit(str(error))
