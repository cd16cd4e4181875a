"""The package's own code, shown beside the equation that it implements."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable


def source_of(*functions: Callable) -> str:
    """The present source of functions or methods, without their docstrings, which the API reference holds."""
    pieces = []
    for function in functions:
        lines = textwrap.dedent(inspect.getsource(function)).splitlines()
        body = ast.parse("\n".join(lines)).body[0].body
        first = body[0]
        if len(body) > 1 and isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
            del lines[first.lineno - 1 : body[1].lineno - 1]
        pieces.append("\n".join(lines))
    return "\n\n\n".join(pieces)


def show_source(*functions: Callable) -> None:
    """Displays what ``source_of`` returns, as a listing: what a reader sees is what runs."""
    from IPython.display import Markdown, display

    display(Markdown(f"```python\n{source_of(*functions)}\n```"))
