"""The explorer with a kernel behind it: the slider tells Python, and Python moves the slider, in a real JupyterLab."""

import os
import re
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
GRADING = ROOT / ".venv-nbgrader/bin"  # nbgrader brings JupyterLab

pytestmark = [pytest.mark.browser, pytest.mark.nbgrader, pytest.mark.timeout(240)]

CELLS = (
    """import torch
from torch import nn
from medlatent.explore import Explorer

torch.manual_seed(0)
decoder = nn.Sequential(nn.Linear(4, 192), nn.Sigmoid(), nn.Unflatten(1, (3, 8, 8)))
explorer = Explorer(decoder, latent_dim=4)
explorer""",
    'print("Python sees", explorer.code)',
    "explorer.code = [0.0, -1.5, 0.0, 0.0]",
)


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab with a notebook of the cells."""
    assert (GRADING / "jupyter-lab").is_file(), "no JupyterLab in .venv-nbgrader: run make test"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "live.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--ServerApp.root_dir={tmp_path}", f"--port={port}", "--IdentityProvider.token=", "--no-browser"]
    options += ["--allow-root", "--ServerApp.port_retries=0", "--LabApp.news_url=None"]
    environment = os.environ | {
        # the front ends of the widgets are installed with the book's environment
        "JUPYTER_PATH": str(ROOT / ".venv/share/jupyter"),
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "JUPYTER_DATA_DIR": str(tmp_path / "data"),
        "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "OMP_NUM_THREADS": "1",
    }
    log = (tmp_path / "lab.log").open("w")
    server = subprocess.Popen([GRADING / "jupyter-lab", *options], env=environment, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(120):
            try:
                urllib.request.urlopen(f"{address}/api")
                break
            except OSError:
                assert server.poll() is None, (tmp_path / "lab.log").read_text()
                time.sleep(0.5)
        yield f"{address}/lab/tree/live.ipynb"
    finally:
        server.terminate()
        server.wait(20)
        log.close()


PICTURE = "canvas => Array.from(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).join()"


def test_slider_to_python_and_python_to_slider(browser, lab):
    page = browser.new_page(viewport={"width": 1400, "height": 1200})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(lab)
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(2).wait_for(timeout=60_000)
    page.get_by_text(re.compile(r"Python 3.*\| Idle")).wait_for(timeout=60_000)

    def run(index):
        cells.nth(index).locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")

    run(0)
    page.locator(".medlatent-explorer[data-ready=true]").wait_for(timeout=60_000)
    canvas = page.locator(".medlatent-explorer canvas.picture")
    before = canvas.evaluate(PICTURE)
    slider = page.locator("input[type=range][data-dimension='2']")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    # It is drawn with the next frame.
    page.wait_for_function("Number(document.querySelector('input[data-dimension=\"2\"]').value) === 0.5")
    page.wait_for_timeout(400)
    moved = canvas.evaluate(PICTURE)
    assert moved != before

    run(1)
    cells.nth(1).get_by_text(re.compile(r"Python sees \[0(\.0)?, 0(\.0)?, 0\.5\d*, 0(\.0)?\]")).wait_for()

    run(2)
    page.wait_for_function("document.querySelector('input[data-dimension=\"1\"]').value === '-1.5'")
    assert float(slider.input_value()) == 0
    page.wait_for_function(f"moved => ({PICTURE})(document.querySelector('canvas.picture')) !== moved", arg=moved)
    assert errors == []
    page.close()
