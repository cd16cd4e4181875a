"""The scripts of data_scripts/ from the command line: phantoms in the official layout, hosts that are stood in for."""

import hashlib
import http.server
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from functools import partial

import pytest

from medlatent.data import ImageSet
from medlatent.data.phantoms.lesion import write_ham10000

N = 20
NAMES = (
    "HAM10000_images_part_1.zip",
    "HAM10000_images_part_2.zip",
    "HAM10000_metadata.csv",
    "HAM10000_segmentations_lesion_tschandl.zip",
)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """The official files, with phantoms in them."""
    folder = tmp_path_factory.mktemp("official") / "files"
    return folder, write_ham10000(folder, N, seed=3)


@pytest.fixture
def files(official, tmp_path):
    return shutil.copytree(official[0], tmp_path / "files")


@pytest.fixture(scope="module")
def script(root):
    """Runs the script in this process: what it returns, and what it prints."""
    main = runpy.run_path(str(root / "data_scripts" / "ham10000.py"))["main"]
    return lambda *arguments: main([str(a) for a in arguments])


class Host(http.server.SimpleHTTPRequestHandler):
    """A file host and the two addresses of a Dataverse: the list of files, and a file by its number."""

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.server.requests.append(self.path)
        if self.path == "/api/datasets/:persistentId/?persistentId=doi:10.7910/DVN/DBW86T":
            content = json.dumps(self.server.listing).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            return
        if number := re.fullmatch(r"/api/access/datafile/(\d+)(\?format=original)?", self.path):
            name = NAMES[int(number[1]) - 100]
            if name.endswith(".csv") and not number[2]:
                self.send_error(400, "only the original is the file that was published")
                return
            self.path = "/" + name
        super().do_GET()


@pytest.fixture
def host(files):
    """A host for ``files``; its list can be changed before the script asks for it."""
    entries = []
    for number, name in enumerate(NAMES, start=100):
        content = (files / name).read_bytes()
        entry = {"id": number, "filename": name, "filesize": len(content), "md5": hashlib.md5(content).hexdigest()}
        if name.endswith(".csv"):  # a Dataverse keeps its own copy of a table, and publishes that one's size
            entry |= {"filename": "HAM10000_metadata.tab", "filesize": 1, "originalFileFormat": "text/csv"}
        entries.append({"label": entry["filename"], "dataFile": entry})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=str(files))) as server:
        server.listing = {"status": "OK", "data": {"latestVersion": {"files": entries}}}
        server.entries, server.requests = {e["dataFile"]["filename"]: e["dataFile"] for e in entries}, []
        server.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def fails(script, capsys, *arguments):
    """The one line that the script prints where it fails."""
    assert script(*arguments) == 1
    errors = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
    assert len(errors) == 1
    assert errors[0].startswith("error: ")
    return errors[0]


def test_the_command_packs_once_and_then_does_nothing(root, script, capsys, official, files, tmp_path):
    out = tmp_path / "sets" / "ham10000"
    command = [sys.executable, root / "data_scripts" / "ham10000.py", "--out", out, "--from", files]
    first = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert first.returncode == 0, first.stderr
    assert f"{N}/{N}" in first.stderr  # the progress bar
    assert "CC BY-NC 4.0" in first.stdout
    assert "Tschandl" in first.stdout
    images = ImageSet.load(out)
    truth = official[1].set_index("image_id").loc[images.table["image_id"]]
    assert list(images.table["dx"]) == list(truth["dx"])
    assert list(images.table["lesion_id"]) == list(truth["lesion_id"])

    before = {p.name: p.stat().st_mtime_ns for p in out.iterdir()}
    shutil.rmtree(files)
    assert script("--out", out, "--from", files) == 0
    assert "is packed already" in capsys.readouterr().out
    message = fails(script, capsys, "--out", out, "--from", files, "--size", 32)
    assert message == f"error: {out} is an image set with size 64, not 32: choose another --out"
    assert {p.name: p.stat().st_mtime_ns for p in out.iterdir()} == before
    assert [p.name for p in out.parent.iterdir()] == ["ham10000"]


def test_options_reach_the_packing(script, files, tmp_path):
    paths = [files / name for name in NAMES]
    assert script("--out", tmp_path / "set", "--from", *paths, "--size", 32, "--patch", 48, "--workers", 1) == 0
    images = ImageSet.load(tmp_path / "set")
    assert images.images.shape == (N, 3, 32, 32)
    assert images.card.attributes["patch"] == 48


def test_a_foreign_folder_is_refused(script, capsys, files, tmp_path):
    (tmp_path / "set").mkdir()
    message = fails(script, capsys, "--out", tmp_path / "set", "--from", files)
    assert "images.npy is missing, so this is no image set" in message


def test_bad_files_are_one_line_and_leave_nothing(script, capsys, files, tmp_path):
    path = files / NAMES[0]
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content[:400])
    message = fails(script, capsys, "--out", tmp_path / "set", "--from", files)
    assert f"{len(members)} × image that cannot be decoded" in message
    assert [p.name for p in tmp_path.iterdir()] == ["files"]
    assert "no such file" in fails(script, capsys, "--out", tmp_path / "set", "--from", tmp_path / "none")


def test_files_are_downloaded_by_name_from_the_dataverse(script, capsys, host, files, tmp_path):
    assert script("--out", tmp_path / "set", "--mirror", host.url) == 0
    assert "CC BY-NC 4.0" in capsys.readouterr().out
    assert len(ImageSet.load(tmp_path / "set")) == N
    downloads = tmp_path / "set-downloads"
    assert sorted(p.name for p in downloads.iterdir()) == sorted(NAMES)
    for name in NAMES:
        assert (downloads / name).read_bytes() == (files / name).read_bytes()

    del host.requests[:]
    assert script("--out", tmp_path / "set", "--mirror", host.url) == 0
    assert host.requests == []
    assert script("--out", tmp_path / "other", "--mirror", host.url, "--downloads", downloads, "--size", 16) == 0
    assert len(host.requests) == 1  # the list; the files are there and verified


def test_a_checksum_that_is_not_the_published_one(script, capsys, host, tmp_path):
    host.entries[NAMES[1]]["md5"] = "0" * 32
    message = fails(script, capsys, "--out", tmp_path / "set", "--mirror", host.url)
    assert f"{NAMES[1]}.part has the md5" in message
    assert NAMES[1] not in [p.name for p in (tmp_path / "set-downloads").iterdir()]
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda host: host.listing["data"]["latestVersion"]["files"].pop(0), "lists no file HAM10000_images_part_1"),
        (lambda host: host.listing.pop("data"), "no list of files (KeyError: 'data')"),
        (lambda host: host.listing.update(data=[]), "no list of files (TypeError: "),
        (lambda host: host.entries[NAMES[0]].pop("id"), "no list of files (ValueError: id is None)"),
        (lambda host: host.entries[NAMES[0]].update(filename=7), "no list of files (ValueError: filename is 7)"),
        (lambda host: host.entries[NAMES[0]].update(filesize="7"), "no list of files (ValueError: filesize is '7')"),
        (lambda host: host.entries[NAMES[0]].update(md5=[]), "no list of files (ValueError: md5 is [])"),
        (lambda host: setattr(host, "listing", ["deep"]), "no list of files (TypeError: "),
    ],
)
def test_a_dataverse_that_lists_something_else(script, capsys, host, tmp_path, spoil, words):
    spoil(host)
    assert words in fails(script, capsys, "--out", tmp_path / "set", "--mirror", host.url)


def test_a_host_that_does_not_answer(script, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # between its attempts
    message = fails(script, capsys, "--out", tmp_path / "set", "--mirror", "http://127.0.0.1:9")
    assert "http://127.0.0.1:9/api/datasets" in message


def test_the_files_of_isic_2018(script, host, files, tmp_path):
    for old, new in (
        (NAMES[0], "ISIC2018_Task1-2_Training_Input.zip"),
        (NAMES[3], "ISIC2018_Task1_Training_GroundTruth.zip"),
    ):
        (files / old).rename(files / new)
    # the first half of the images alone: so must the masks be
    with zipfile.ZipFile(files / "ISIC2018_Task1-2_Training_Input.zip") as archive:
        chosen = {name.removesuffix(".jpg") for name in archive.namelist()}
    path = files / "ISIC2018_Task1_Training_GroundTruth.zip"
    with zipfile.ZipFile(path) as archive:
        masks = {n: archive.read(n) for n in archive.namelist() if n.removesuffix("_segmentation.png") in chosen}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in masks.items():
            archive.writestr(name, content)
    assert script("--out", tmp_path / "set", "--isic", "task1-2", "--mirror", host.url) == 0
    images = ImageSet.load(tmp_path / "set")
    assert set(images.table["image_id"]) == chosen
    assert images.card.attributes["publication"] == "ISIC 2018 Task 1-2"
    assert script("--out", tmp_path / "set", "--isic", "task1-2") == 0
    assert script("--out", tmp_path / "set", "--isic", "task3") == 1
