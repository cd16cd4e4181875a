"""CT series packed into axial slices: what is packed and how, what is left out, everything that can be wrong."""

import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medlatent.data import DataError, ImageSet, chest_ct, open_images, split_by_group

SUPINE = [1, 0, 0, 0, 1, 0]


def write_slice(path, hu, **tags):
    dataset = pydicom.Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid()
    values = {
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "Rows": hu.shape[0],
        "Columns": hu.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "PixelSpacing": [0.7, 0.8],
        "ImageOrientationPatient": SUPINE,
        "PixelData": (hu + 1024).astype(np.uint16).tobytes(),
    }
    for keyword, value in (values | tags).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.save_as(path, enforce_file_format=True)


def anatomy(k, side=32):
    """A slice with a bright block in the patient's front right (top left), higher in HU the nearer to the head."""
    hu = np.full((side, side), -1000)
    hu[side // 4 : -side // 4, side // 4 : -side // 4] = 0
    hu[: side // 4, : side // 4] = 20 * k
    return hu


def write_series(folder, n=12, patient="P1", uid="1.2.1", orientation=SUPINE, **tags):
    """A patient from feet to head, whatever the orientation that it is stored in."""
    folder.mkdir(parents=True, exist_ok=True)
    across, down = (-1 if cosine < 0 else 1 for cosine in (orientation[0], orientation[4]))
    for k in range(n):
        write_slice(
            folder / f"{k * 5 % n:03}.dcm",
            anatomy(k)[::down, ::across],
            PatientID=patient,
            SeriesInstanceUID=uid,
            ImagePositionPatient=[0, 0, 100 + 2.5 * k],
            ImageOrientationPatient=orientation,
            **tags,
        )
    return folder


@pytest.fixture
def source(tmp_path):
    for k in range(3):
        write_series(tmp_path / "source" / f"{k}", patient=f"P{k}", uid=f"1.2.{k}")
    return tmp_path / "source"


@pytest.fixture
def pack(tmp_path):
    def pack(source, **options):
        return chest_ct.pack(source, tmp_path / "packed", **{"size": 16, "workers": 1, "progress": False, **options})

    return pack


@pytest.fixture
def refused(tmp_path, pack):
    """Packing fails with all these words in one message, and leaves nothing behind."""

    def refused(source, *words, **options):
        with pytest.raises(DataError) as caught:
            pack(source, **options)
        for word in words:
            assert word in str(caught.value)
        assert [p.name for p in tmp_path.iterdir()] == ["source"]

    return refused


def test_slices_from_feet_to_head(source, pack, tmp_path):
    images = pack(source)
    table = images.table
    assert images.images.shape == (36, 1, 16, 16)
    assert images.images.dtype == np.int16
    assert images.value_range == (-1000, 2000)
    assert list(table["patient_id"]) == ["P0"] * 12 + ["P1"] * 12 + ["P2"] * 12
    assert list(table["slice"]) == [*range(12)] * 3
    np.testing.assert_allclose(table["z"], np.tile(np.linspace(0, 1, 12), 3))
    np.testing.assert_allclose(table["position"], np.tile(100 + 2.5 * np.arange(12), 3))
    np.testing.assert_allclose(table[["slice_distance", "row_spacing", "column_spacing"]], [[2.5, 0.7, 0.8]] * 36)
    np.testing.assert_allclose(images.images[:, 0, 1, 1], np.tile(20 * np.arange(12), 3), atol=15)
    assert images.group == "patient_id"
    assert list(table["split"]) == list(split_by_group(table["patient_id"]))
    assert list(images.factors) == ["z"]
    assert images.card.attributes == {"size": 16, "series": 3, "left_out": {}}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["packed", "source"]


@pytest.mark.parametrize("orientation", [[-1, 0, 0, 0, -1, 0], [1, 0, 0, 0, -1, 0], [-1, 0, 0, 0, 1, 0]])
def test_patients_on_the_table_in_another_way_are_turned(pack, tmp_path, orientation):
    supine = pack(write_series(tmp_path / "supine"))
    write_series(tmp_path / "turned", orientation=orientation)
    turned = chest_ct.pack(tmp_path / "turned", tmp_path / "again", size=16, workers=1, progress=False)
    np.testing.assert_array_equal(turned.images, supine.images)
    np.testing.assert_allclose(turned.table["z"], supine.table["z"])


def test_shrinking_clips_and_antialiases():
    hu = np.zeros((512, 512), np.int16)
    hu[:, ::2] = 1000  # finer than the packed pixels: they must come out even, not as a pattern
    np.testing.assert_allclose(chest_ct.shrink(hu, 128)[:, 2:-2], 500, atol=10)  # at the border, half a filter
    metal = np.full((64, 64), -1024, np.int16)
    metal[:, 32:] = 20000
    small = chest_ct.shrink(metal, 16)
    assert small.dtype == np.int16
    assert (small.min(), small.max()) == (-1000, 2000)
    step = np.random.default_rng(0).integers(-1000, 2000, (40, 30))
    expected = Image.fromarray(step.astype(np.float32)).resize((16, 16), Image.Resampling.LANCZOS)
    assert abs(chest_ct.shrink(step, 16) - np.asarray(expected).clip(-1000, 2000)).max() <= 0.5


def test_archives_and_processes_give_the_same(source, pack, tmp_path):
    one = pack(source)
    (tmp_path / "zipped").mkdir()
    for k in range(3):
        shutil.make_archive(tmp_path / "zipped" / f"series{k}", "zip", source / f"{k}")
    two = chest_ct.pack([tmp_path / "zipped"], tmp_path / "two", size=16, workers=2, progress=False)
    assert two.fingerprint == one.fingerprint
    assert two.table.equals(one.table)


def test_what_is_left_out_is_counted(source, pack):
    write_series(source / "short", n=3, uid="1.3.1")
    write_series(source / "coronal", uid="1.3.2", orientation=[1, 0, 0, 0, 0, -1])
    write_slice(source / "scout.dcm", anatomy(0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    write_slice(source / "report.dcm", anatomy(0), Modality="MR")
    (source / "notes.txt").write_text("notes")
    images = pack(source)
    assert len(images) == 36
    assert images.card.attributes["left_out"] == {
        "file that is no CT image": 2,
        "localiser": 1,
        "slice that is not axial": 12,
        "series with fewer than 10 slices": 1,
    }


def test_everything_wrong_is_in_one_message(source, refused):
    files = {k: sorted((source / f"{k}").iterdir()) for k in range(3)}
    files[0][4].unlink()
    (source / "1" / "again.dcm").write_bytes(files[1][2].read_bytes())
    files[2][0].write_bytes(files[2][0].read_bytes()[:900])
    files[2][1].write_bytes(b"")
    write_slice(source / "blank.dcm", anatomy(0), PatientID="", SeriesInstanceUID="1.9")
    write_slice(source / "turned.dcm", anatomy(0), ImageOrientationPatient=None)
    write_slice(source / "raw.dcm", anatomy(0), PatientID="P", SeriesInstanceUID="1.9", RescaleSlope=None)
    refused(
        source,
        "3 × file that cannot be read",
        "001.dcm is no DICOM file",
        "RescaleSlope is missing",
        f"1 × slice without PatientID, which splits and sorting need ({source / 'blank.dcm'})",
        f"1 × slice without ImageOrientationPatient ({source / 'turned.dcm'})",
        "series that is no volume",
        "missing slices: 1 between",
        "duplicate slices:",
    )


def test_sources_that_hold_nothing(source, refused, tmp_path):
    refused(tmp_path / "nowhere", "nowhere: no such file or folder")
    shutil.rmtree(source)
    source.mkdir()
    refused(source, "no file")
    (source / "notes.txt").write_text("notes")
    refused(source, "no axial CT series; left out: 1 × file that is no CT image")


@pytest.mark.parametrize(("options", "words"), [({"size": 4}, "size must be 8"), ({"workers": 0}, "workers must be")])
def test_arguments_that_are_refused(source, refused, options, words):
    refused(source, words, **options)


def test_an_existing_folder_is_not_touched(source, pack, tmp_path):
    (tmp_path / "packed").mkdir()
    with pytest.raises(DataError, match="packed exists"):
        pack(source)
    assert list((tmp_path / "packed").iterdir()) == []


def test_the_source_by_its_name(source, pack, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"data_scripts/chest_ct\.py --from YOUR_SERIES --out FOLDER/chest_ct"):
        open_images("chest_ct")
    pack(source).save(tmp_path / "chest_ct")
    assert len(open_images("chest_ct", 5)) == 5


@pytest.mark.real_data
def test_the_real_thoracic_series(tmp_path):
    raw = Path(os.environ.get("MEDLATENT_RAW", "")) / "chest_ct" / "series_LungFCP-01-0001.zip"
    if "MEDLATENT_RAW" not in os.environ or not raw.is_file():
        pytest.skip("$MEDLATENT_RAW holds no chest_ct/series_LungFCP-01-0001.zip")
    images = chest_ct.pack(raw, tmp_path / "set", workers=1, progress=False)
    assert isinstance(images, ImageSet)
    assert images.images.shape == (98, 1, 128, 128)
    assert (images.images.min(), images.images.max()) == (-1000, 2000)
    assert set(images.table["patient_id"]) == {"LungFCP-01-0001"}
    assert images.card.attributes["left_out"] == {}
    # supine: the table, a thin bright line with air below it, is in the lower half of the image
    body = (images.images[:, 0] > -300).mean(axis=(0, 2))
    assert body[:16].mean() < body[64:96].mean()
