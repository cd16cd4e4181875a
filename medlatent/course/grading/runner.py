"""Executes the notebook of one submission, in a process of its own; the kernel, a third one, is confined.

python runner.py JOB.json

The job names the notebook, where the result goes, the words before the kernel's command, its environment and folder,
and the limits. A kernel that dies, or does not react to being stopped, costs the cell that it happened in: the notebook
runs once more without this cell.
"""

from __future__ import annotations

import ast
import asyncio
import json
import resource
import secrets
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from traitlets import List, Unicode

PROOF = "application/x-medlatent-proof"
CHANGED = "application/x-medlatent-changed"
OWN_MEMORY = 8 * 10**9  # of this process, whatever the kernel sends
RUNS = 4  # so many cells, less one, may end a kernel
LONGEST_ERROR = 20_000  # characters of a traceback
TIME_LIMIT = "TimeLimit"
PRINTED = ("stream", "display_data", "execute_result", "update_display_data", "error", "comm_open", "comm_msg")
START = 180  # seconds for a kernel to start and to import what checks use
GRACE = 30  # seconds, for output on its way and for a kernel to react

# Runs before a submission does. What checks compare with is kept, and put back before each of them: a submission that
# says `np.allclose = lambda *_: True` is right about everything else.
GUARD = f"""
def _guard():
    import builtins, importlib, math, sys
    from IPython.display import display

    kept = [builtins, importlib, math]
    for name in ("numpy", "numpy.linalg", "torch", "torch.linalg", "torch.nn.functional"):
        try:
            kept.append(importlib.import_module(name))
        except ImportError:
            pass
    kept = [(module, {{name: value for name, value in vars(module).items() if callable(value)}}) for module in kept]

    class Guard:
        def restore(self):
            changed = []
            for module, values in kept:
                now = vars(module)
                for name, value in values.items():
                    other = now.get(name)
                    if other is value:
                        continue
                    now[name] = value
                    package = module.__name__.partition(".")[0]
                    # a package may replace a function of its own, and the kernel has another input in each cell
                    if name != "input" and not str(getattr(other, "__module__", "")).startswith(package):
                        changed.append(module.__name__ + "." + name)
            if changed:
                display({{"{CHANGED}": changed}}, raw=True)

    sys.modules["_medlatent_guard"] = Guard()


_guard()
del _guard
"""
RESTORE = 'import sys as _; _.modules["_medlatent_guard"].restore(); del _\n'


class ConfinedKernel(AsyncKernelManager):
    """A kernel whose command begins with other words, and that is spoken to through files instead of a network."""

    words = List(Unicode())

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        return [*self.words, *super().format_kernel_cmd(extra_arguments)]


class Client(NotebookClient):
    """Keeps the outputs within a limit, and demands a proof that a check has run to its end."""

    def __init__(self, notebook: NotebookNode, job: dict, seconds: float, skipped: dict[int, str], found: dict) -> None:
        super().__init__(
            notebook,
            timeout_func=lambda cell: self.seconds_left(),
            allow_errors=True,
            interrupt_on_timeout=True,
            error_on_timeout={"ename": TIME_LIMIT, "evalue": "", "traceback": []},
            on_cell_executed=self.note_time_limit,
            iopub_timeout=GRACE,
            raise_on_iopub_timeout=True,
            startup_timeout=START,
            shutdown_kernel="immediate",
        )
        self.job, self.seconds, self.skipped, self.found = job, seconds, skipped, found
        self.left = job["output"]
        self.began = time.monotonic()
        self.seconds_given = 0
        self.now = -1

    def create_kernel_manager(self) -> ConfinedKernel:
        box = Path(self.job["box"])
        manager = ConfinedKernel(words=self.job["words"], transport="ipc", kernel_name="python3")
        manager.connection_file = str(box / f"kernel-{secrets.token_hex(4)}")
        # A signal would reach the sandbox around the kernel, and end it.
        manager.kernel_spec.interrupt_mode = "message"
        self.km = manager
        return manager

    def seconds_left(self) -> int:
        if self.now < 0:
            return START
        self.seconds_given = max(1, round(min(self.job["cell"], self.seconds - self.used())))
        return self.seconds_given

    def used(self) -> float:
        return time.monotonic() - self.began

    async def run(self) -> None:
        """Executes all cells; ``self.now`` is the one that it is at."""
        async with self.async_setup_kernel(cwd=self.job["folder"], env=self.job["environment"]):
            guard = nbformat.v4.new_code_cell(GUARD)
            self.nb.cells.append(guard)
            await self.async_execute_cell(guard, len(self.nb.cells) - 1, store_history=False)
            self.nb.cells.pop()
            self.began = time.monotonic()
            for index, cell in enumerate(self.nb.cells):
                self.now = index
                if cell.cell_type != "code":
                    continue
                if index in self.skipped:
                    cell.outputs = [_error(self.skipped[index])]
                elif self.used() > self.seconds:
                    cell.outputs = [_error(f"Not run: the {self.job['whole']} seconds of a submission were over.")]
                    self.found["unfinished"].append(index)
                elif not cell.source.strip():
                    cell.outputs = []
                else:
                    await self.cell(cell, index)
            self.set_widgets_metadata()

    async def cell(self, cell: NotebookNode, index: int) -> None:
        marks = cell.metadata.get("nbgrader", {})
        text, token = cell.source, secrets.token_hex()
        checks = marks.get("grade") and not marks.get("solution") and not text.lstrip().startswith("%%")
        if checks:
            cell.source = with_proof(text, token)
        try:
            await self.async_execute_cell(cell, index)
        finally:
            cell.source = text
        for output in cell.outputs:
            self.found["changed"] += output.get("data", {}).get(CHANGED, [])
        proven = any(output.get("data", {}).get(PROOF) == token for output in cell.outputs)
        cell.outputs = [out for out in cell.outputs if not {PROOF, CHANGED} & set(out.get("data", {}))]
        if checks:
            cell.outputs = judged(cell.outputs, proven)

    def note_time_limit(self, cell: NotebookNode, cell_index: int, execute_reply: dict) -> None:
        if execute_reply["content"].get("ename") == TIME_LIMIT:
            self.found["timeouts"].append(cell_index)
            cell.outputs = [output for output in cell.outputs if output.get("ename") != "KeyboardInterrupt"]
            cell.outputs.append(_error(f"Stopped: the cell took longer than {self.seconds_given} seconds."))

    def process_message(self, msg: dict, cell: NotebookNode, cell_index: int) -> NotebookNode | None:
        kind, content = msg["msg_type"], msg["content"]
        if kind in PRINTED and not self._is_kept(kind, content, cell):
            return None
        return super().process_message(msg, cell, cell_index)

    def _is_kept(self, kind: str, content: dict, cell: NotebookNode) -> bool:
        """Whether a piece of output is within the limit; an error, which costs points, always is, if shortened."""
        if kind == "error" and not any(output.output_type == "error" for output in cell.outputs):
            said = "\n".join(map(str, content.get("traceback", [])))
            if len(said) > LONGEST_ERROR:
                content["traceback"] = [said[:LONGEST_ERROR] + "…"]
            content["ename"], content["evalue"] = (str(content.get(k, ""))[:LONGEST_ERROR] for k in ("ename", "evalue"))
            return True
        size = _size(content)
        if {PROOF, CHANGED} & set(content.get("data") or {}):
            content["transient"] = {}  # it has no business with other outputs
            return size < LONGEST_ERROR
        if size <= self.left:
            self.left -= size
            return True
        if not self.found["cut"] and not kind.startswith("comm"):
            note = f"[output was cut here: a submission may print {self.job['output'] / 1e6:g} MB]\n"
            cell.outputs.append(nbformat.v4.new_output("stream", name="stdout", text=note))
            self.found["cut"], self.left = True, 0
        return False


def with_proof(text: str, token: str) -> str:
    """A check that says a word which nobody knew before, once it has come to its end.

    The value of its last line, which nbgrader may take for points in part, stays the value of the cell.
    """
    proof = f'import IPython.display as _; _.display({{"{PROOF}": "{token}"}}, raw=True); del _\n'
    try:
        last = ast.parse(text).body[-1]
    except (SyntaxError, IndexError):
        return f"{RESTORE}{text}\n{proof}"
    if not isinstance(last, ast.Expr) or last.col_offset:
        return f"{RESTORE}{text}\n{proof}"
    lines = text.splitlines()
    before, value = "\n".join(lines[: last.lineno - 1]), "\n".join(lines[last.lineno - 1 :])
    return f"{RESTORE}{before}\n_value = (\n{value.rstrip().rstrip(';')}\n)\n{proof}_value"


def judged(outputs: list[NotebookNode], proven: bool) -> list[NotebookNode]:
    """The outputs of a check as nbgrader reads them: an error is no points, and so is anything on stderr."""
    failed = any(output.output_type == "error" for output in outputs)
    for output in outputs:
        if proven and not failed and output.output_type == "stream":
            output.name = "stdout"  # a warning costs nothing
    if not proven and not failed:
        outputs.append(_error("The check did not come to its end."))
    return outputs


def _error(said: str) -> NotebookNode:
    return nbformat.v4.new_output("error", ename="NotGraded", evalue=said, traceback=[said])


def _size(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, Mapping):
        return sum(_size(value) for value in content.values())
    if isinstance(content, list | tuple):
        return sum(map(_size, content))
    return 8


def execute(notebook: NotebookNode, job: dict) -> dict:
    """Executes the notebook in place; returns what was found, by the places of cells."""
    skipped: dict[int, str] = {}
    found: dict = {}
    seconds = job["whole"]
    for _ in range(RUNS):
        for cell in notebook.cells:
            if cell.cell_type == "code":  # no output would be full points
                cell.outputs = [_error("Not run: a kernel ended in too many cells.")]
        found = {"cut": False, "timeouts": [], "unfinished": [], "changed": []}
        client = Client(notebook, job, seconds, skipped, found)
        try:
            asyncio.run(client.run())
            break
        except DeadKernelError:
            what = "The kernel died in this cell."
        except CellTimeoutError:
            what = "The kernel did not react to being stopped in this cell."
        if client.now < 0:
            raise RuntimeError("the kernel does not start")
        skipped[client.now] = what
        seconds -= client.used()
    else:
        found["gave_up"] = True
    return found | {"died": skipped}


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (OWN_MEMORY, most))
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    notebook = nbformat.read(job["notebook"], as_version=4)
    found = execute(notebook, job)
    Path(job["result"]).write_text(json.dumps({"notebook": notebook, "found": found}), encoding="utf-8")


if __name__ == "__main__":
    main()
