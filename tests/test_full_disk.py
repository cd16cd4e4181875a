"""A full disk: whoever writes, the message names the file, the old one stays, and nothing half written is left."""

import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from common import BuildError
from common import write as write_of_the_book

from medlatent.data import Card, ImageSet
from medlatent.data.download import extract
from medlatent.data.phantoms import lesion
from medlatent.explore import WindowExplorer
from medlatent.files import claim, replacing, replacing_together, save_tensors, write_json
from medlatent.models import VAE

resource = pytest.importorskip("resource")
MUCH = np.random.default_rng(0).bytes(30_000)


@pytest.fixture
def full(monkeypatch):
    """Makes the disk full, as far as this process goes: the system refuses any file to grow beyond some bytes.

    Python, NumPy and Rust meet it alike, each in its own way.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(most=2000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))

    yield fill
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def image_set(path):
    images = np.frombuffer(MUCH[:25_600], np.uint8).reshape(100, 1, 16, 16)
    ImageSet(images, pd.DataFrame({"i": range(100)}), {}, Card(*"abcde")).save(path, overwrite=True)


def several(path):
    with replacing_together(path, path.with_name("other")) as (one, other):
        other.write_text("short")
        one.write_bytes(MUCH)


def lines(path):
    with replacing(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for _ in range(3000):
            file.write("a line\n")


def archive(path):
    """Unpacks one that is there since before the disk was full."""
    zipped = path.with_name("a.zip")
    if not zipped.exists():
        with zipfile.ZipFile(zipped, "w") as file:
            file.writestr("deep/inside", MUCH)
    extract(zipped, path)


WRITERS = {
    "json": lambda path: write_json(path, {"text": "x" * 5000}, "f", 1),
    "tensors": lambda path: save_tensors(path, {"x": torch.zeros(5000)}, "f", 1),
    "model": lambda path: VAE(latent_dim=2, channels=1, size=16).save(path),
    "set": image_set,
    "several": several,
    "lines": lines,
    "explorer": lambda path: WindowExplorer(np.zeros((12, 20)), description="A slice").save(path, overwrite=True),
    "phantoms": lambda path: lesion.write_ham10000(path, 2),
    "archive": archive,
}


def there(folder):
    return {str(p.relative_to(folder)): p.is_file() and p.read_bytes() for p in folder.rglob("*")}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("what", WRITERS)
def test_the_file_is_named_and_the_old_one_stays(what, old, full, tmp_path):
    path = tmp_path / ("page.html" if what == "explorer" else "file")
    if what in ("archive", "phantoms") and old:
        pytest.skip("never takes the place of another")
    if what == "archive":
        WRITERS[what](tmp_path / "before")
    if old:
        WRITERS[what](path)
    before = there(tmp_path)
    full()
    with pytest.raises(OSError, match=r"cannot be written: (File too large|.*perhaps the disk is full)") as caught:
        WRITERS[what](path)
    expected = path / "deep/inside" if what == "archive" else path
    assert caught.value.filename == str(expected)
    assert there(tmp_path) == before


def test_a_claim(full, tmp_path):
    full(0)
    with pytest.raises(OSError, match="cannot be written: File too large") as caught, claim(tmp_path / "file"):
        pass
    assert caught.value.filename == str(tmp_path / "file")
    assert there(tmp_path) == {}


def test_a_file_of_the_book(full, tmp_path):
    path = tmp_path / "page.md"
    write_of_the_book(path, "old")
    full()
    with pytest.raises(BuildError, match=rf"^{path} cannot be written: File too large$"):
        write_of_the_book(path, MUCH)
    assert there(tmp_path) == {"page.md": b"old"}


def test_an_error_that_is_no_full_disk_stays_what_it_is(tmp_path):
    for error in (ConnectionError("gone"), PermissionError(13, "no", "elsewhere"), ValueError("x")):
        with pytest.raises(type(error)) as caught, replacing(tmp_path / "file"):
            raise error
        assert caught.value is error
