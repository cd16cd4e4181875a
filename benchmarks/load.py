"""How long it takes and how large it gets: packings, a page of explorers, a class's submissions, a whole book.

    python benchmarks/load.py ham10000 FOLDER        # packs the 10 015 official images
    python benchmarks/load.py arrays --images 250000 # packs grey noise of 64×64, from a file on the disk
    python benchmarks/load.py page                   # ten explorers with weights of their own, in headless Chromium
    python benchmarks/load.py grading --students 40  # grades one assignment, all of whose cells run; after make test
    python benchmarks/load.py book                   # adds up what the last build of the book took

Each prints a row of the table in README.md: wall seconds; processor seconds of all processes together, which other work
on the machine disturbs less; the largest memory that one process held, as the system counts it, files that it has
mapped included; and bytes written.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
HEAD = "| what | seconds | of the processor | memory | written |\n|:--|--:|--:|--:|--:|"


def helpers(path: str) -> ModuleType:
    """A module of the tests, which are no package."""
    sys.path[:0] = [str(ROOT / "book"), str(ROOT / "tests/book")]  # nor are the scripts of the book
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def measured(what: str, function: Callable[[], object], folder: Path) -> str:
    """Runs a function in a process of its own, and says in a row of a table what it took."""
    began = time.monotonic()
    process = os.fork()
    if not process:
        status = 1
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                function()
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    _, status, used = os.wait4(process, 0)  # its own children are counted with it once it has waited for them
    if status:
        raise SystemExit(f"{what}: it failed")
    seconds = time.monotonic() - began
    largest = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return row(what, seconds, used.ru_utime + used.ru_stime, largest, size_of(folder))


def row(what: str, seconds: float, processor: float | None, memory: float | None, written: float) -> str:
    cells = [f"{seconds:.1f}", "" if processor is None else f"{processor:.1f}"]
    cells += ["" if memory is None else f"{memory / 1e6:.0f} MB", f"{written / 1e6:.1f} MB"]
    return f"| {what} | {' | '.join(cells)} |"


def ham10000(args: argparse.Namespace, folder: Path) -> str:
    command = [sys.executable, "-m", "medlatent", "data", "ham10000", "--from", str(args.source)]
    command += ["--out", str(folder / "packed")]
    return measured("packing HAM10000, 10 015 images", lambda: subprocess.run(command, check=True), folder)


def arrays(args: argparse.Namespace, folder: Path) -> str:
    from medlatent.data import ImageSet

    source = Path(tempfile.mkdtemp(dir=folder.parent)) / "images.npy"
    images = np.lib.format.open_memmap(source, "w+", np.uint8, (args.images, 1, 64, 64))
    for start in range(0, args.images, 1000):
        chance = np.random.default_rng(start)
        images[start : start + 1000] = chance.integers(0, 256, images[start : start + 1000].shape, np.uint8)
    images.flush()
    del images

    most = folder.parent / "most"

    def pack() -> None:
        mapped = np.load(source, mmap_mode="r")
        table = pd.DataFrame({"patient": np.arange(args.images) // 4, "age": np.arange(args.images) % 90})
        with own_memory() as found:
            ImageSet.from_arrays(mapped, table, channels="first", group="patient").save(folder / "packed")
        most.write_text(str(max(found)))

    line = measured(f"packing {args.images:,} arrays of 64×64".replace(",", " "), pack, folder)
    return f"{line}\n(of the memory {int(most.read_text()) / 1e6:.0f} MB are no pages of the file with the arrays)"


@contextlib.contextmanager
def own_memory() -> Iterator[list[int]]:
    """Bytes that this process holds and that are no file's, again and again while the block runs; on Linux."""
    found, ended = [0], threading.Event()

    def look() -> None:
        while not ended.wait(0.01):
            lines = Path("/proc/self/status").read_text().splitlines()
            found.append(1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def page(args: argparse.Namespace, folder: Path) -> str:
    """Ten explorers as a page of the book has them: what each carries lies in files and is fetched when it is seen."""
    import torch
    from ipywidgets.embed import embed_data
    from playwright.sync_api import sync_playwright

    from medlatent.explore import Explorer
    from medlatent.records import find_record

    tests, books = helpers("tests/book/test_explorers.py"), helpers("tests/book/conftest.py")
    chromium = books.find_chromium()  # which starts playwright by itself, and two never run in one process
    (folder / "_static").mkdir()
    (folder / "_static/widget_host.js").write_bytes((ROOT / "book/_static/widget_host.js").read_bytes())
    handler = functools.partial(books.Quiet, directory=folder)
    with sync_playwright() as playwright, ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        explorers = []
        for seed in range(args.explorers):
            model = find_record("vae", "phantoms_vae").load_model()
            with torch.no_grad():
                for weight in model.parameters():
                    weight.mul_(1 + seed / 1000)
            explorers.append(Explorer(model))
        states = embed_data(views=explorers, drop_defaults=False)["manager_state"]["state"]
        ours = {e.model_id: tests.without_assets(states[e.model_id], folder / "_static") for e in explorers}
        (folder / "ten.html").write_text(tests.page_of(ours), encoding="utf-8")
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=chromium, args=books.FLAGS)
        opened = browser.new_page()
        opened.problems = []
        start = time.monotonic()
        opened.goto(f"http://127.0.0.1:{server.server_address[1]}/ten.html")
        tests.wake(opened, 0)
        first = time.monotonic() - start
        for index in range(1, args.explorers):
            tests.wake(opened, index)
        seconds = time.monotonic() - start
        used = opened.evaluate("performance.memory.usedJSHeapSize")
        browser.close()
        server.shutdown()
    html = (folder / "ten.html").stat().st_size / 1e3
    what = f"{args.explorers} explorers on a page of {html:.0f} kB; the first answers after {first:.1f} s"
    return row(what, seconds, None, used, size_of(folder))


def grading(args: argparse.Namespace, folder: Path) -> str:
    tests = helpers("tests/exercises/test_nbgrader.py")
    if args.nbgrader:
        tests.NBGRADER = args.nbgrader.absolute()
    source, python = tests.CHOSEN, tests.NBGRADER.with_name("python")
    course = tests.Course(folder / "course")
    course.run(tests.name(source), program=(python, "-c", tests.RELEASE))
    released = course.released(source)
    kinds = [tests.answered(released, source), tests.answered(released, source, tests.HALF), released]
    for student in range(args.students):
        course.submit(f"student{student:02}", source, kinds[student % len(kinds)])
    command = ["-m", "medlatent", "grade", tests.name(source), "--course", str(course.folder)]

    def grade() -> None:
        environment = os.environ | {"PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run([python, *command], env=environment, capture_output=True, text=True, check=False)
        if f"{args.students} of {args.students} graded" not in done.stdout:
            raise SystemExit(done.stdout + done.stderr)

    return measured(f"grading {args.students} submissions of {tests.name(source)}", grade, folder)


def book(args: argparse.Namespace, folder: Path) -> str:
    """From what a build leaves: the seconds that each notebook took when it was last executed, with one thread."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in args.root.glob("_build/executed/**/*.json")]
    if not found or not (html := args.root / "_build/html").is_dir():
        raise SystemExit(f"{args.root}: the book is not built: run make book")
    longest = max(about["seconds"] for about in found)
    what = f"executing a book of {len(found)} notebooks, one after the other; the longest {longest:.0f} s"
    return row(what, sum(about["seconds"] for about in found), None, None, size_of(html))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for function in (ham10000, arrays, page, grading, book):
        commands.add_parser(function.__name__).set_defaults(function=function)
    commands.choices["ham10000"].add_argument("source", type=Path)
    commands.choices["arrays"].add_argument("--images", type=int, default=250_000)
    commands.choices["page"].add_argument("--explorers", type=int, default=10)
    commands.choices["grading"].add_argument("--students", type=int, default=40)
    commands.choices["grading"].add_argument("--nbgrader", type=Path, help="default: that of make test")
    commands.choices["book"].add_argument("--root", type=Path, default=ROOT)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        (folder := Path(temporary).resolve() / "written").mkdir()
        line = args.function(args, folder)
    print(f"load average {os.getloadavg()[0]:.1f}\n{HEAD}\n{line}")


if __name__ == "__main__":
    main()
