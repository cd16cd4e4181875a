"""Builds the book: executes the notebooks that changed, then turns everything into HTML, every warning an error.

    python book/build.py [--profile ci] [--jobs 2] [--only SLUG] [--execute] [--force]

The result is ``_build/html``. It is there only if the last build found nothing wrong.
"""

import argparse
import re
import shutil
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import lifeline
import pair
from alone import alone
from chapters import pages
from claims import claims_page
from common import PINS, BuildError, digest, tree, write
from execute import environment, execute, publish
from generate import equations_page, exercises_page, named, rubrics_page, times_page, toc_notebooks

SOURCES = ("_config.yml", "_toc.yml", *PINS, "book", "notebooks", "medlatent", "results")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--profile", default="ci", help="the profile that the notebooks run at (default: ci)")
    parser.add_argument("--jobs", type=int, default=2, help="notebooks that run side by side (default: 2)")
    parser.add_argument("--only", metavar="SLUG", help="execute and check this notebook, build no pages")
    parser.add_argument("--execute", action="store_true", help="execute the notebooks and build no pages")
    parser.add_argument("--force", action="store_true", help="execute what has not changed, too")
    parser.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="another parameter for the notebooks",
    )
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).resolve().parents[1], help="the folder with _toc.yml"
    )
    return parser.parse_args()


def execute_all(root: Path, docs: list[str], parameters: dict[str, str], jobs: int, force: bool) -> None:
    """Executes notebooks side by side and reports each; every failure is shown before the build stops."""

    def one(doc: str) -> str:
        try:
            seconds, ran = execute(root, doc, parameters, force)
        except BuildError as error:
            return str(error)
        print(f"{doc:<32} {f'executed in {seconds:.1f} s' if ran else 'unchanged'}", flush=True)
        return ""

    # The longest source first: on a fresh clone nobody knows what takes how long, and a long notebook started last
    # would run alone.
    docs = sorted(docs, key=lambda doc: -(root / f"{doc}.py").stat().st_size)
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        try:
            failures = [message for message in pool.map(one, docs) if message]
        except KeyboardInterrupt:  # only those at a terminal hear of it, too
            lifeline.cut()
            raise
    if failures:
        raise BuildError("\n\n".join(failures))


def stage_sources(root: Path, docs: list[str], generated: dict[str, str]) -> Path:
    """Lays out what Sphinx reads: pages, executed notebooks, and generated pages by name."""
    stage = root / "_build/stage"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(root / "book", stage / "book", ignore=shutil.ignore_patterns("__pycache__", "*.py"))
    shutil.copytree(root / "book/_ext", stage / "book/_ext", dirs_exist_ok=True)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copy2(root / name, stage / name)
    static = stage / "book/_static"
    for doc in docs:
        publish(root, doc, stage, static)
    for name, text in (generated | {"execution_times": times_page(root, docs)}).items():
        write(stage / f"book/{name}.md", text)
    return stage


def sphinx(root: Path, stage: Path) -> None:
    """Builds from nothing each time: on a second, unchanged build Sphinx would not repeat its warnings."""
    out = root / "_build/sphinx"
    shutil.rmtree(out, ignore_errors=True)
    arguments = ("build", str(stage), "--path-output", str(out), "-W", "-n", "--keep-going")
    run = lifeline.run("jupyter_book.cli.main:main", *arguments, cwd=root, env=environment(root))
    log = re.sub(r"\x1b\[[0-9;]*m", "", run.stdout + run.stderr)
    write(root / "_build/sphinx.log", log)
    found = [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line]
    if run.returncode or found:
        raise BuildError("Sphinx found:\n" + ("\n".join(found) or log[-4000:]) + "\n(all of it: _build/sphinx.log)")
    (out / "_build/html").rename(root / "_build/html")


def set_aside(html: Path) -> None:
    """Removes the old book at one stroke: who is killed while its files go leaves no part of it for the book."""
    old = html.with_name("html.old")
    shutil.rmtree(old, ignore_errors=True)
    if html.is_dir():
        html.rename(old)
        shutil.rmtree(old)


def build(args: argparse.Namespace) -> None:
    start = time.perf_counter()
    if bad := [p for p in args.parameters if "=" not in p]:
        raise BuildError(f"-p {bad[0]}: expected NAME=VALUE")
    root = args.root
    parameters = {"profile": args.profile, **dict(p.split("=", 1) for p in args.parameters)}
    docs = toc_notebooks(root)
    if args.only:
        doc, aside = named(docs, args.only), root / "_build/only"
        execute_all(root, [doc], parameters, 1, args.force)
        publish(root, doc, aside, aside / "book/_static")  # its metrics, and whether its figures are described
        return None
    if args.execute:
        return execute_all(root, docs, parameters, args.jobs, args.force)
    html, stamp = root / "_build/html", root / "_build/book.key"
    now = digest(root, tree(root, *SOURCES), sorted(parameters.items()), sys.version)
    if not args.force and html.is_dir() and stamp.is_file() and stamp.read_text(encoding="utf-8") == now:
        print("The book is up to date: _build/html/index.html")
        return None
    stamp.unlink(missing_ok=True)
    set_aside(html)
    # Before the long part: what these refuse does not depend on a result.
    generated = {"equations": equations_page(root, docs), "exercises_included": exercises_page(root)} | pages(root)
    generated["rubrics_included"] = rubrics_page(root)
    generated["claims"] = claims_page(root)
    execute_all(root, docs, parameters, args.jobs, args.force)
    sphinx(root, stage_sources(root, docs, generated))
    write(stamp, now)
    print(f"The book is built ({time.perf_counter() - start:.0f} s): _build/html/index.html")
    return None


def main(args: argparse.Namespace) -> None:
    args.root = args.root.resolve()
    with alone(args.root):
        build(args)
    for edit in pair.edits(args.root, toc_notebooks(args.root)):
        print(edit)


if __name__ == "__main__":
    try:
        main(arguments())
    except (BuildError, OSError) as error:
        sys.exit(f"\nThe book was not built.\n\n{error}")
    except KeyboardInterrupt:
        sys.exit("\nThe book was not built: it was interrupted.")
