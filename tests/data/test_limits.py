"""Files of one's own that declare far more than they hold: refused before the memory for it is taken."""

import math
import tracemalloc

import nibabel
import numpy as np
import pytest
from PIL import Image

from medlatent.data import DataError, ImageSet, picture_files

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def from_folder(folder, **options):
    return ImageSet.from_folder(folder, value_range=(0, 1), clip=True, **options)


def nifti(path, volume):
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)


def check(folder, name, declared):
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=f"{name} declares {declared} bytes and holds"):
            from_folder(folder)
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("ending", [".png", ".tif"])
def test_pictures(tmp_path, ending):
    Image.new("L", (9000, 9000)).save(tmp_path / f"a{ending}", compression="tiff_adobe_deflate")
    check(tmp_path, f"a{ending}", 9000 * 9000)


def test_pages(tmp_path):
    page = Image.new("L", (3000, 3000))
    page.save(tmp_path / "a.tif", save_all=True, append_images=[page] * 8, compression="tiff_adobe_deflate")
    with pytest.raises(DataError, match=r"a\.tif declares 72000000 bytes"):
        from_folder(tmp_path)
    assert len(from_folder(tmp_path, slices=slice(0, 2))) == 2


def test_volumes(tmp_path, monkeypatch):
    monkeypatch.setattr(picture_files, "VOLUME", 2**20)
    blank = np.zeros((128, 128, 100), np.int16)
    nifti(tmp_path / "a.nii.gz", blank[..., :30])
    assert len(from_folder(tmp_path, slices=slice(0, 2))) == 2
    nifti(tmp_path / "a.nii.gz", blank)
    check(tmp_path, "a.nii.gz", blank.nbytes)


def test_volumes_that_are_damaged_behind_or_within_their_voxels(tmp_path):
    nifti(tmp_path / "a.nii.gz", np.random.default_rng(0).integers(0, 1000, (8, 9, 10)).astype(np.int16))
    content = (tmp_path / "a.nii.gz").read_bytes()
    for damaged in (content[:700] + bytes([content[700] ^ 255]) + content[701:], content[:-4], content[:-8] + bytes(8)):
        (tmp_path / "a.nii.gz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"a\.nii\.gz cannot be read \(.*get the file again"):
            from_folder(tmp_path)
    (tmp_path / "a.nii.gz").write_bytes(content)
    assert len(from_folder(tmp_path)) == 10


@pytest.mark.parametrize("shape", [(32767, 32767, 32767), (30000, 30000, 1)])
def test_headers(tmp_path, shape):
    nifti(tmp_path / "a.nii", np.zeros((2, 2, 2), np.int16))
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[42:48] = np.array(shape, "<i2").tobytes()
    (tmp_path / "a.nii").write_bytes(content)
    check(tmp_path, "a.nii", 2 * math.prod(shape))
