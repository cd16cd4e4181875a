"""The scripts that pack CT series and MNIST, from the command line; a host that is stood in for."""

import gzip
import hashlib
import http.server
import os
import runpy
import shutil
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from medlatent.data import ImageSet, mnist


@pytest.fixture(scope="module")
def script(root):
    """Runs a script in this process: what it returns, and what it prints."""

    def load(name):
        main = runpy.run_path(str(root / "data_scripts" / f"{name}.py"))["main"]
        return lambda *arguments: main([str(a) for a in arguments])

    return load


def fails(script, capsys, *arguments):
    """The one line that the script prints where it fails."""
    assert script(*arguments) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    return errors[0]


def stamps(folder):
    return {p.name: p.stat().st_mtime_ns for p in folder.iterdir()}


# ------------------------------------------------------------------------------------------------------------ chest CT


@pytest.fixture
def series(tmp_path):
    """The real slice that pydicom carries, made a series of twelve."""
    folder = tmp_path / "series"
    folder.mkdir()
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    for k in range(12):
        dataset.ImagePositionPatient = [-158, -179, 5 * k]
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k + 1}"
        dataset.save_as(folder / f"{k}.dcm")
    (folder / "notes.txt").write_text("notes")
    return folder


def test_chest_ct_packs_once_and_then_does_nothing(root, script, capsys, series, tmp_path):
    out = tmp_path / "sets" / "chest_ct"
    command = [sys.executable, root / "data_scripts" / "chest_ct.py", "--from", series, "--out", out, "--size", "32"]
    first = subprocess.run(
        [*command, "--licence", "CC BY 3.0", "--collection", "SET"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert first.returncode == 0, first.stderr
    assert "13/13" in first.stderr  # the progress bar
    assert "series: 1, of patients: 1; those in which both ends of the lungs are seen: 0" in first.stdout
    assert "left out: 1 × file that is no CT image (notes.txt)" in first.stdout
    images = ImageSet.load(out)
    assert images.images.shape == (12, 1, 32, 32)
    assert set(images.table["patient_id"]) == {"1CT1"}
    assert (images.card.name, images.card.licence) == ("SET", "CC BY 3.0")

    before = stamps(out)
    shutil.rmtree(series)
    chest_ct = script("chest_ct")
    assert chest_ct("--from", series, "--out", out, "--size", 32) == 0
    assert "is packed already" in capsys.readouterr().out
    assert "an image set of SET with size 32, not of CT series with size 128" in fails(
        chest_ct, capsys, "--from", series, "--out", out
    )
    assert stamps(out) == before
    assert "no such file" in fails(chest_ct, capsys, "--from", series, "--out", tmp_path / "other")


def test_a_bad_series_is_one_line_and_leaves_nothing(script, capsys, series, tmp_path):
    (series / "4.dcm").unlink()
    message = fails(script("chest_ct"), capsys, "--from", series, "--out", tmp_path / "set", "--workers", 1)
    assert "1 × series that is no volume" in message
    assert "missing slices: 1 between" in message
    assert [p.name for p in tmp_path.iterdir()] == ["series"]
    message = fails(script("chest_ct"), capsys, "--from", series, "--out", tmp_path / "set", "--lenient")
    assert (
        "no axial CT series; left out: 1 × file that is no CT image (notes.txt); 1 × series that is no vol" in message
    )


# --------------------------------------------------------------------------------------------------------------- MNIST


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files in MNIST's layout, and their checksums in the place of the published ones."""
    folder = tmp_path / "files"
    folder.mkdir()
    for names, n in zip(mnist.FILES.values(), (30, 10), strict=True):
        for name, shape in zip(names, ((n, 28, 28), (n,)), strict=True):
            header = b"\0\0\x08" + bytes([len(shape)]) + b"".join(k.to_bytes(4, "big") for k in shape)
            content = header + (np.arange(np.prod(shape)) % 10).astype(np.uint8).tobytes()
            zipped = gzip.compress(content)
            (folder / f"{name}.gz").write_bytes(zipped)
            monkeypatch.setitem(mnist.MD5, name, hashlib.md5(content).hexdigest())
            monkeypatch.setitem(mnist.MD5, f"{name}.gz", hashlib.md5(zipped).hexdigest())
    return folder


class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append(self.path)
        super().do_GET()


@pytest.fixture
def host(files):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(files))) as server:
        server.requests = []
        server.url = f"http://127.0.0.1:{server.server_port}/"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_mnist_is_downloaded_once(script, capsys, host, tmp_path):
    out = tmp_path / "sets" / "mnist"
    assert script("mnist")("--out", out, "--mirror", host.url) == 0
    assert "CC BY-SA 3.0" in capsys.readouterr().out
    assert len(ImageSet.load(out)) == 40
    assert sorted(host.requests) == sorted(f"/{n}.gz" for names in mnist.FILES.values() for n in names)
    before = stamps(out)
    assert script("mnist")("--out", out, "--mirror", host.url) == 0
    assert "is packed already" in capsys.readouterr().out
    assert len(host.requests) == 4
    assert stamps(out) == before


def test_mnist_from_files(script, capsys, files, tmp_path):
    assert script("mnist")("--out", tmp_path / "set", "--from", files) == 0
    assert ImageSet.load(tmp_path / "set").images.shape == (40, 1, 28, 28)
    path = files / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    message = fails(script("mnist"), capsys, "--out", tmp_path / "other", "--from", files)
    assert "train-images-idx3-ubyte.gz is cut short or damaged" in message
    assert not (tmp_path / "other").exists()


def test_mnist_with_a_checksum_that_is_not_the_published_one(script, capsys, host, tmp_path, monkeypatch):
    monkeypatch.setitem(mnist.MD5, "t10k-labels-idx1-ubyte.gz", "0" * 32)
    message = fails(script("mnist"), capsys, "--out", tmp_path / "set", "--mirror", host.url)
    assert "t10k-labels-idx1-ubyte.gz.part has the md5" in message
    assert not (tmp_path / "set").exists()
