"""Prepares live widgets for pages without a kernel.

What a widget carries (its script, its style, its weights and images) moves from the page to files under
``_static/widgets``, named by their content: a page stays small, widgets share what they have in common, and
``widget_host.js`` fetches a file when its widget is scrolled to and compares it with the checksum in the page. The
files are scripts, because a page that was opened from disk may load scripts and nothing else.
"""

import base64
import hashlib
import json
import zlib
from pathlib import Path

import nbformat
from common import write

STATE = "application/vnd.jupyter.widget-state+json"
VIEW = "application/vnd.jupyter.widget-view+json"
SMALL = 2000  # characters that may stay in the page


def host_widgets(notebook: nbformat.NotebookNode, static: Path) -> None:
    """Keeps of the saved states those of widgets that live in a page, without their large parts; stills come first.

    A widget that needs Python is left without a state: the page says so in its place.
    """
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [part for output in cell.outputs for part in still_and_view(output)]
    saved = notebook.metadata.get("widgets", {}).get(STATE)
    if saved:
        living = {name: entry for name, entry in saved["state"].items() if entry["model_module"] == "anywidget"}
        saved["state"] = {name: without_assets(entry, static) for name, entry in living.items()}


def still_and_view(output: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    """A widget with a still becomes two outputs: the picture, and after it the place of the widget."""
    data = output.get("data", {})
    if VIEW not in data or "image/png" not in data:
        return [output]
    view = nbformat.v4.new_output("display_data", {VIEW: data.pop(VIEW)})
    return [output, view]


def without_assets(entry: dict, static: Path) -> dict:
    """A widget's state with large texts and all buffers replaced by the names of the files that hold them."""
    state, assets = dict(entry["state"]), []
    for key, value in entry["state"].items():
        if isinstance(value, str) and len(value) > SMALL:
            assets.append({"path": [key], **asset(static, value, "text")})
            del state[key]
    for buffer in entry.get("buffers", []):
        content = base64.b64decode(buffer["data"])
        if content:
            assets.append({"path": buffer["path"], **asset(static, base64.b64encode(content).decode(), "bytes")})
        else:
            assets.append({"path": buffer["path"], "file": None, "kind": "bytes"})
    return {key: value for key, value in entry.items() if key != "buffers"} | {"state": state, "assets": assets}


def asset(static: Path, text: str, kind: str) -> dict[str, str | int]:
    """Writes a text where ``widget_host.js`` finds it and returns its name and its checksum."""
    value = json.dumps(text)
    name = hashlib.sha256(f"{kind}:{value}".encode()).hexdigest()[:20]
    write(static / f"widgets/{name}.js", f'medlatentAsset("{name}", {value});\n')
    return {"file": name, "kind": kind, "crc32": zlib.crc32(text.encode())}
