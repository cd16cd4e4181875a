"""Where and with what a run was made, and whether the code that made it is still the same."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from . import __version__
from .closure import import_closure

ROOT = Path(__file__).resolve().parent.parent


def surroundings(device: torch.device) -> dict[str, object]:
    """Device, threads, versions and commit, as a record states them."""
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": f"{device.type}: {processor}",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "medlatent": __version__,
        "commit": commit(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def commit() -> str:
    """The commit of the checkout, with ``+changes`` where the package differs from it; ``"unknown"`` elsewhere.

    Where a copy of the checkout without its history runs, on a cluster perhaps, ``MEDLATENT_COMMIT`` states it.
    """
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, check=True, capture_output=True, text=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # an installed package may lie inside another checkout
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return os.environ.get("MEDLATENT_COMMIT", "unknown")


def code_digest(model: type) -> str:
    """SHA-256 of the code that a training of this model runs through: its module, the loop, and all that they import.

    Comments, docstrings and annotations of types do not count, nor do layout and the version of Python: the digest
    changes when what is computed may.

    Raises:
        ValueError: the model was defined in no file, so that nobody else could train it.
    """
    file = getattr(sys.modules[model.__module__], "__file__", None)
    if file is None:
        raise ValueError(f"{model.__name__} is defined in no file: put it into a module, which a record can refer to")
    sources = [Path(file), Path(__file__).with_name("training.py")]
    digest = hashlib.sha256()
    for path in sorted(import_closure(ROOT, sources) | set(sources)):
        if path.suffix == ".py":
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                body = getattr(node, "body", None)
                if isinstance(body, list) and body and _is_text(body[0]):
                    del body[0]
            digest.update(repr(_structure(tree)).encode())
    return digest.hexdigest()


def _structure(node: object) -> object:
    """A syntax tree without types, and without what it leaves empty, which only some versions of Python show."""
    if isinstance(node, list):
        return [_structure(item) for item in node if not _is_for_types(item)]
    if not isinstance(node, ast.AST):
        return node
    fields = [
        (name, _structure(value))
        for name, value in ast.iter_fields(node)
        if value not in (None, []) and name not in ("annotation", "returns", "type_params")
    ]
    return type(node).__name__, fields


def _is_for_types(node: object) -> bool:
    """``if TYPE_CHECKING: ...``"""
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(getattr(statement.value, "value", None), str)


def thin_history(terms: tuple[str, ...], values: np.ndarray, points: int = 200) -> dict[str, list]:
    """A loss history as means over equal windows of steps, for a record."""
    windows = np.array_split(np.arange(len(values)), min(points, len(values)))
    rows = np.stack([values[w].mean(0, dtype=np.float64) for w in windows])
    history = {"step": [int(w[-1]) + 1 for w in windows]}
    return history | {term: [float(f"{v:.6g}") for v in rows[:, i]] for i, term in enumerate(terms)}
