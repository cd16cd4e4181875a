"""A book of one page and one notebook, built by the same scripts as the real one; and a browser."""

import functools
import os
import shutil
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from browser import ADVICE, FLAGS, find_chromium

ROOT = Path(__file__).resolve().parents[2]

NOTEBOOK = r"""
# %% [markdown]
# (small)=
# # A small chapter
#
# See {numref}`fig-small-disc`, {eq}`eq-small-1` and {py:func}`medlatent.losses.area`.
#
# $$ A = \pi r^2 $$ (eq-small-1)

# %% tags=["parameters"]
profile = "ci"
seed = 0

# %% tags=["check-small-1"]
assert profile in ("ci", "laptop", "paper"), profile
print("area", round(3.14159 * 2**2, 3))

# %% mystnb={"figure": {"caption": "A disc.", "name": "fig-small-disc"}} tags=["hide-input"]
import base64
import io

from IPython.display import display
from matplotlib.figure import Figure


def picture(colour):
    figure, file = Figure(figsize=(2, 2)), io.BytesIO()
    figure.add_subplot().scatter([0], [0], color=colour)
    figure.savefig(file, format="png")
    return base64.b64encode(file.getvalue()).decode()


data = {
    "image/png": picture("black"),
    "application/vnd.medlatent.dark+png": picture("white"),
    "text/plain": "a disc",
}
display(data, raw=True, metadata={"image/png": {"alt": "One black disc."}})

# %%
display({"application/vnd.medlatent.metrics+json": {"area": 12.566}}, raw=True)
"""

PACKAGE = '''
def area(radius):
    """The area of a disc.

    Implements :eq:`eq-small-1`.
    """
    return 3.14159 * radius**2
'''


class Book:
    """A folder with the sources of a book, and what a build of it says."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notebook = root / "notebooks/01_small.py"
        self.page = root / "book/index.md"

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def change(self, before: str, after: str) -> None:
        text = self.notebook.read_text()
        assert before in text
        self.notebook.write_text(text.replace(before, after))

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen:
        command = [sys.executable, ROOT / "book/build.py", "--root", self.root, *arguments]
        environment = os.environ | {"PYTHONPATH": str(self.root)} | environment
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, text=True, encoding="utf-8", env=environment, **pipes)

    def build(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        with self.start(*arguments, **environment) as running:
            stdout, stderr = running.communicate(timeout=300)
        return subprocess.CompletedProcess(running.args, running.returncode, stdout, stderr)

    def html(self, name: str) -> str:
        return (self.root / "_build/html" / name).read_text()


@pytest.fixture
def small_book(tmp_path) -> Book:
    return write_small_book(tmp_path / "a book, erklärt")  # nobody's folder has to be called as a machine would call it


def write_small_book(root: Path) -> Book:
    book = Book(root)
    book.write("notebooks/01_small.py", NOTEBOOK)
    book.write("medlatent/__init__.py", "")
    book.write("medlatent/losses.py", PACKAGE)
    book.write("requirements.txt", "numpy\n")
    book.write("book/references.bib", "")
    book.write("book/api.md", "# Code\n\n```{eval-rst}\n.. automodule:: medlatent.losses\n   :members:\n```\n")
    book.write("book/index.md", "# A small book\n\nIt has {ref}`one chapter <small>`.\n")
    toc = ["notebooks/01_small", "book/api", "book/equations", "book/execution_times"]
    book.write(
        "_toc.yml",
        "format: jb-book\nroot: book/index\nchapters:\n"
        + "".join(f"- file: {doc}\n" for doc in toc)
        + "  title: Zeiten – in Minuten\n",
    )
    for name in ("_ext", "_static"):
        shutil.copytree(ROOT / "book" / name, root / "book" / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "_config.yml", root)
    return book


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is; its absence is a failure that says what to do, never a silent skip."""
    if not (found := find_chromium()):
        pytest.fail(ADVICE)
    return found


@pytest.fixture(scope="session")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        instance = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield instance
        instance.close()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


@pytest.fixture(scope="session")
def site(html):
    """The address at which a plain web server hands out the built book."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=html)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
