"""An explorer in executed notebooks: papermill saves all that the page needs, nbval finds nothing that changes."""

import base64
import subprocess
import sys

import nbformat
import pytest

pytestmark = pytest.mark.executes

SETUP = """import torch
from torch import nn
from medlatent.explore import Explorer

torch.manual_seed(0)
decoder = nn.Sequential(nn.Linear(4, 48), nn.Sigmoid(), nn.Unflatten(1, (3, 4, 4)))"""
SHOW = "# NBVAL_CHECK_OUTPUT\nExplorer(decoder, latent_dim=4)"
STATE = "application/vnd.jupyter.widget-state+json"


@pytest.fixture(scope="module")
def executed(tmp_path_factory):
    """The notebook as papermill leaves it."""
    folder = tmp_path_factory.mktemp("explorer")
    cells = [nbformat.v4.new_code_cell(source) for source in (SETUP, SHOW)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "in.ipynb")
    command = [sys.executable, "-m", "papermill", folder / "in.ipynb", folder / "out.ipynb", "--no-progress-bar"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    return folder / "out.ipynb"


def test_papermill_saves_what_the_page_needs(executed):
    notebook = nbformat.read(executed, as_version=4)
    (output,) = notebook.cells[1].outputs
    assert output.data["text/plain"] == "Explorer(Sequential, 4 dimensions: traverse, walk)"
    assert base64.b64decode(output.data["image/png"]).startswith(b"\x89PNG")
    assert output.metadata["image/png"]["alt"].startswith("A traversal")
    view = output.data["application/vnd.jupyter.widget-view+json"]["model_id"]
    entry = notebook.metadata.widgets[STATE]["state"][view]
    assert entry["model_module"] == "anywidget"
    assert "export default" in entry["state"]["_esm"]
    buffers = {buffer["path"][0]: base64.b64decode(buffer["data"]) for buffer in entry["buffers"]}
    assert len(buffers["decoder_weights"]) == 2 * (4 * 48 + 48)


def test_nbval_finds_the_same_again_and_sees_a_change(executed):
    def nbval() -> subprocess.CompletedProcess:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval-lax", "-c", "/dev/null"]
        command += ["--rootdir", executed.parent, executed]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    first = nbval()
    assert first.returncode == 0, first.stdout
    assert "2 passed" in first.stdout
    notebook = nbformat.read(executed, as_version=4)
    notebook.cells[1].source = SHOW.replace("latent_dim=4", "latent_dim=4, views=['walk']")
    nbformat.write(notebook, executed)
    assert nbval().returncode != 0
