"""Executes the notebooks of the book, each only when something it depends on has changed.

The result and its key lie under ``_build/executed/``. The key covers the notebook, what it imports of the package, the
requirements, the records that it opens, the files of this repository that it names (:mod:`inputs`), and the parameters.
"""

import ast
import base64
import hashlib
import json
import math
import os
import platform
import re
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

import exercises
import jupytext
import lifeline
import nbformat
from common import BuildError, digest, write
from inputs import inputs
from pair import derive
from widgets import host_widgets

METRICS = "application/vnd.medlatent.metrics+json"
DARK = "application/vnd.medlatent.dark+png"
IMAGES = ("image/png", "image/jpeg", "image/gif", "image/svg+xml")
CELL_TIMEOUT = 900  # seconds, at the profile ci, whose longest cell takes about two minutes; others train for hours


def parameter_names(source: Path) -> set[str]:
    """The names assigned in the notebook's cell tagged ``parameters``."""
    for cell in jupytext.read(source).cells:
        if "parameters" in cell.metadata.get("tags", []):
            statements = ast.parse(cell.source).body
            targets = [t for s in statements if isinstance(s, ast.Assign) for t in s.targets]
            targets += [s.target for s in statements if isinstance(s, ast.AnnAssign)]
            return {t.id for t in targets if isinstance(t, ast.Name)}
    raise BuildError(f"{source}: no cell is tagged 'parameters'; add one that sets profile and seed")


def check_parameters(source: Path, parameters: dict[str, str]) -> None:
    """Refuses a parameter that the notebook does not have: papermill would only warn, and run with the default."""
    known = parameter_names(source)
    if unknown := sorted(set(parameters) - known):
        raise BuildError(
            f"{source}: unknown parameter {unknown[0]!r}; its parameters cell sets {', '.join(sorted(known))}"
        )


def key(root: Path, doc: str, parameters: dict[str, str]) -> str:
    """Changes when the notebook's result may change."""
    return digest(root, inputs(root, root / f"{doc}.py"), sorted(parameters.items()), platform.python_version())


# IPython's own exit() and quit let the kernel die a moment after the cell, which no output shows.
STARTUP = """
def leave():
    raise SystemExit


get_ipython().ask_exit = leave
"""


def environment(root: Path) -> dict[str, str]:
    """One thread each: where several notebooks run side by side, more threads are several times slower.

    The real data stay out, wherever the book is built: its pages are the same for everybody, and show no patient.
    """
    path = os.pathsep.join(p for p in (str(root), os.environ.get("PYTHONPATH")) if p)
    inherited = {name: value for name, value in os.environ.items() if name != "MEDLATENT_DATA"}
    return inherited | {
        "OMP_NUM_THREADS": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONPATH": path,
        "PYTHONHASHSEED": "0",
        "PYTHONUTF8": "1",  # notebooks and pages are UTF-8, whatever the locale is
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "IPYTHONDIR": str(root / "_build/ipython"),  # a reader's own start-up files do not take part
    }


def machine() -> str:
    """The processor, and the GPU where there is one: what a time means depends on it."""
    import torch

    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists() and (found := re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.M)):
        name = found.group(1)
    return f"{name}, {torch.cuda.get_device_name()}" if torch.cuda.is_available() else f"{name}, one thread"


def execute(root: Path, doc: str, parameters: dict[str, str], force: bool = False) -> tuple[float, bool]:
    """Runs one notebook if its key has changed.

    Returns:
        The seconds it took (now, or when it last ran), and whether it ran now.

    Raises:
        BuildError: a parameter is unknown, or a cell failed or did not run to its end; then no earlier result is left
            behind either.
    """
    source, result = root / f"{doc}.py", root / f"_build/executed/{doc}.ipynb"
    record, now = result.with_suffix(".json"), key(root, doc, parameters)
    check_parameters(source, parameters)
    if not force and result.exists() and record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        if known["key"] == now:
            return known["seconds"], False
    for stale in (result, record):
        stale.unlink(missing_ok=True)
    options = ["--execution-timeout", str(CELL_TIMEOUT)] if parameters.get("profile", "ci") == "ci" else []
    for name, value in parameters.items():
        options += ["-p", name, value]
    start = time.perf_counter()
    notebook = run(root, doc, derive(source, exercises.book, for_sphinx=True), result.parent, *options)
    seconds = time.perf_counter() - start
    write(result, nbformat.writes(notebook))
    about = {
        "key": now,
        "profile": parameters.get("profile", ""),
        "seconds": round(seconds, 1),
        "machine": machine(),
        "executed": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }
    write(record, json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    return seconds, True


def run(root: Path, doc: str, notebook: str, folder: Path, *options: str) -> nbformat.NotebookNode:
    """Executes the text of a notebook with papermill, in ``root``, and returns it with outputs and without traces.

    Args:
        root: the working directory of the kernel.
        doc: what a message calls the notebook.
        notebook: its text.
        folder: where the files on the way lie; none of them stays.
        options: further ones of papermill.

    Raises:
        BuildError: the notebook did not run to its end; the message shows the cell and what happened in it.
    """
    plain, executed = (folder / f"{Path(doc).name}.{end}.ipynb" for end in ("in", "out"))
    write(plain, notebook)
    write(root / "_build/ipython/profile_default/startup/exit.py", STARTUP)
    options = ("--cwd", str(root), "-k", "python3", "--no-progress-bar", *options)
    try:
        done = lifeline.run("papermill.cli:papermill", str(plain), str(executed), *options, env=environment(root))
        result = nbformat.read(executed, as_version=4) if executed.exists() else None
    finally:
        plain.unlink(missing_ok=True)
        executed.unlink(missing_ok=True)
    if result is None:
        raise BuildError(f"{doc}: the notebook could not be executed\n\n{done.stderr[-4000:]}")
    if problem := stopped(result, done.returncode, done.stderr):
        raise BuildError(f"{doc}: {problem}")
    return clean(result)


def stopped(notebook: nbformat.NotebookNode, status: int, log: str) -> str:
    """The cell that failed or did not run to its end, and what happened; empty if all cells did.

    Args:
        notebook: as papermill left it, with its traces.
        status: papermill's exit status. Alone it says too little: ``sys.exit()`` in a cell is a success to papermill,
            and leaves what stands below unexecuted.
        log: what papermill said: that the kernel died, or that the cell took too long.
    """
    code = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    begun = [cell for cell in code if cell.metadata.get("papermill", {}).get("start_time")]
    last = begun[-1].source if begun else "(none was begun)"
    # papermill interrupts a cell that takes too long, which looks like a failure, and goes on if the cell survives.
    if late := re.search(r"Timeout waiting for execute reply \((\d+)s\)", log):
        slow = [c for c in begun if (c.metadata.papermill.get("duration") or math.inf) >= int(late[1])]
        return f"a cell took more than {late[1]} s and was stopped\n\n{slow[0].source if slow else last}"
    if "DeadKernelError" in log:
        return f"the kernel died in a cell: it was killed, perhaps for want of memory, or crashed\n\n{last}"
    for cell in code:
        for output in cell.outputs:
            if output.output_type == "error" and output.ename == "SystemExit":
                return f"a cell calls for an exit: nothing below it was executed\n\n{cell.source}"
            if output.output_type == "error" and "raises-exception" not in cell.metadata.get("tags", []):
                traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output.traceback))
                return f"a cell failed\n\n{cell.source}\n\n{traceback}"
    if status or len(begun) < len(code) or any(cell.execution_count is None for cell in code):
        by = f" (papermill was ended by {signal.Signals(-status).name})" if status < 0 else ""
        return f"a cell did not run to its end{by}\n\n{last}\n\n{log.strip()[-2000:]}"
    return ""


def clean(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Drops papermill's traces and what a progress bar has overwritten; widget states stay."""
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags = ["injected-parameters", "remove-cell"]
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                output.text = re.sub(r"[^\n]*\r(?!\n)", "", output.text)
    return notebook


def publish(root: Path, doc: str, stage: Path, static: Path) -> None:
    """Puts an executed notebook into the stage: metrics extracted, live widgets for a page without a kernel, every
    figure with its alt text and dark twin.

    Raises:
        BuildError: a figure has no alt text of its own, a cell shows two figures, or a metric is no number.
    """
    notebook = nbformat.read(root / f"_build/executed/{doc}.ipynb", as_version=4)
    host_widgets(notebook, static)
    metrics: dict[str, float] = {}
    for index, cell in enumerate(notebook.cells):
        place = f"{doc}, cell {index} ({(cell.source.strip().splitlines() or ['empty'])[-1]!r})"
        pictures = 0
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            collect_metrics(metrics, data.pop(METRICS, {}), place)
            dark = data.pop(DARK, None)
            for kind in ("text/html", "application/javascript"):
                if "JCResponses" in data.get(kind, ""):
                    data[kind] = wait_for_mathjax(data[kind])
            if any(kind in data for kind in IMAGES):
                pictures += 1
                set_alt(cell, output, place)
                if dark and "image/png" in data:
                    light = hashlib.sha256(base64.b64decode(data["image/png"])).hexdigest()
                    write(static / f"dark/{light}.png", base64.b64decode(dark))
        if pictures > 1:
            raise BuildError(f"{place} shows {pictures} figures; one cell can describe only one: split the cell")
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if o.output_type in ("stream", "error") or o.data]
    write(root / f"_build/metrics/{Path(doc).name}.json", json.dumps(metrics, indent=2, sort_keys=True) + "\n")
    write(stage / f"{doc}.ipynb", nbformat.writes(notebook))


def wait_for_mathjax(quiz: str) -> str:
    """Keeps jupyterquiz from MathJax until it is there, and from loading its own from another host.

    The page defines ``MathJax`` as an object of settings before the script arrives; the quiz would take that for the
    script and fail, or load another one. When MathJax arrives it typesets the whole page, quizzes too.
    """
    asked = re.compile(r"typeof MathJax !==? 'undefined'")
    if not asked.search(quiz):
        raise BuildError("jupyterquiz no longer asks for MathJax as this build expects: see wait_for_mathjax")
    return asked.sub("window.MathJax?.typeset", re.sub(r"https://cdn[^']*", "", quiz))


def collect_metrics(metrics: dict[str, float], new: dict[str, float], place: str) -> None:
    for name, value in new.items():
        if name in metrics:
            raise BuildError(f"{place} publishes the metric {name!r} a second time; give it another name")
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise BuildError(f"{place} publishes {name!r} = {value!r}, which is no finite number")
        metrics[name] = value


def alt_text(cell: nbformat.NotebookNode, output: nbformat.NotebookNode) -> str:
    """What describes a picture: its own metadata, or else those of its cell; empty if neither does."""
    stated = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    described = [output.metadata[kind].get("alt", "") for kind in IMAGES if kind in output.metadata]
    return " ".join((next(filter(None, described), "") or stated).split())


def set_alt(cell: nbformat.NotebookNode, output: nbformat.NotebookNode, place: str) -> None:
    """Puts the alt text, and the width, where myst-nb reads it: in the cell's metadata, not the output's."""
    alt = alt_text(cell, output)
    if not alt or re.fullmatch(r"\S*(/\S*|\.(png|jpe?g|gif|svg))", alt):
        raise BuildError(
            f"{place} shows a figure without alt text of its own ({alt!r}): "
            "show it with medlatent.explore.show(fig), or describe it in the cell's metadata as mystnb.image.alt"
        )
    image = cell.metadata.setdefault("mystnb", {}).setdefault("image", {})
    image["alt"] = alt
    for kind in IMAGES:
        if width := output.metadata.get(kind, {}).get("width"):
            image.setdefault("width", f"{width}px")
