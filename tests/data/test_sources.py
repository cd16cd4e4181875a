"""Image sets by name: what is there, what is not, and what to do about it."""

import numpy as np
import pandas as pd
import pytest

from medlatent.data import Card, DataError, ImageSet, at_hand, open_images, packed_folder
from medlatent.data.sources import CARRIED, PHANTOMS, REAL

CARD = Card("packed", "computed here", "CC0-1.0", "nobody", "none")


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A folder as ``data_scripts/ham10000.py`` leaves it, and the environment that points to it."""
    images = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((7, 3, 16, 16), np.uint8)
    ImageSet(images, pd.DataFrame({"image_id": [f"i{k}" for k in range(7)]}), {}, CARD).save(tmp_path / "ham10000")
    monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
    return tmp_path / "ham10000"


@pytest.mark.parametrize("source", ["ham1000", "phantoms.heart", "phantoms", "no/such/folder", "HAM10000"])
def test_an_unknown_source_is_an_error_that_lists_the_known(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = ", ".join([*PHANTOMS, *CARRIED, *REAL])
    with pytest.raises(DataError, match=f"unknown source '{source}': use {known} or the path"):
        open_images(source)


@pytest.mark.parametrize("source", PHANTOMS)
def test_phantoms(source):
    images = open_images(source, 12, seed=3)
    assert len(images) == 12
    assert images.group is not None
    again, other = open_images(source, 12, seed=3), open_images(source, 12, seed=4)
    assert images.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize("n", [0, -1])
@pytest.mark.parametrize("source", ["phantoms.lesion", "ham10000"])
@pytest.mark.usefixtures("packed")
def test_at_least_one_image_is_asked_for(source, n):
    with pytest.raises(DataError, match=f"n: at least one image is needed, got {n}"):
        open_images(source, n)


@pytest.mark.parametrize(
    ("source", "expected"),
    [("phantoms.lesion", True), ("mnist.digits", True), ("ham10000", True), ("mnist", False), ("nowhere", False)],
)
def test_what_is_at_hand(source, expected, packed):
    assert at_hand(source) is expected
    assert at_hand(str(packed))


class TestPacked:
    def test_is_found_through_the_environment(self, packed):
        assert packed_folder("ham10000") == packed
        images = open_images("ham10000")
        assert len(images) == 7
        assert isinstance(images.images, np.memmap)

    @pytest.mark.parametrize(("n", "expected"), [(3, 3), (7, 7), (8, 7), (10_000, 7)])
    def test_the_first_n(self, packed, n, expected):
        images = open_images("ham10000", n)
        assert len(images) == expected
        assert images.images[:, 0, 0, 0].tolist() == list(range(expected))
        assert images.table["image_id"].tolist() == [f"i{k}" for k in range(expected)]

    def test_by_its_path(self, packed, monkeypatch):
        monkeypatch.delenv("MEDLATENT_DATA")
        assert open_images(str(packed)).fingerprint == ImageSet.load(packed).fingerprint

    def test_not_packed_says_what_to_run(self, tmp_path, monkeypatch):
        message = (
            r"ham10000 is not packed: run `python data_scripts/ham10000\.py --out FOLDER/ham10000` .*MEDLATENT_DATA"
        )
        for value in (None, "", str(tmp_path), str(tmp_path / "nowhere")):
            if value is None:
                monkeypatch.delenv("MEDLATENT_DATA", raising=False)
            else:
                monkeypatch.setenv("MEDLATENT_DATA", value)
            assert packed_folder("ham10000") is None
            with pytest.raises(DataError, match=message):
                open_images("ham10000")

    def test_a_file_of_that_name_is_no_packed_set(self, tmp_path, monkeypatch):
        (tmp_path / "ham10000").write_text("")
        monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
        assert packed_folder("ham10000") is None

    def test_a_folder_that_is_no_image_set(self, tmp_path):
        with pytest.raises(DataError, match=r"images\.npy is missing, so this is no image set"):
            open_images(str(tmp_path))

    def test_a_damaged_set_is_refused(self, packed):
        with open(packed / "images.npy", "r+b") as file:
            file.seek(-1, 2)
            file.write(b"\xff")
        with pytest.raises(DataError, match=r"images\.npy is damaged"):
            open_images("ham10000")
