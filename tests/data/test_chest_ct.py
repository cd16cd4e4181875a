"""CT series packed into axial slices: what is packed and how, what is left out, everything that can be wrong."""

import io
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from medlatent.data import DataError, ImageSet, chest_ct, open_images, split_by_group
from medlatent.data.packing import collecting

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


def thorax(n=14, low=3, high=10, side=32):
    """Slices of a body, and lungs from one slice to another; a pixel is 10 mm."""
    hu = np.full((n, side, side), -1000, np.int16)
    hu[:, 6:26, 3:29] = 40
    for k in range(max(low, 0), min(high + 1, n)):
        hu[k, 9:23, 5:13] = hu[k, 9:23, 19:27] = -850
    return hu


def write_array(folder, name="A", patient="P1", listed=True, **arrays):
    """A series as an array, and its line in the index beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    hu = arrays.get("hu", thorax())
    arrays = {"hu": hu, "z_mm": np.float32(-200 + 5.0 * np.arange(len(hu))), "pixel_spacing": (10.0, 10.0)} | arrays
    np.savez_compressed(folder / f"{name}.npz", **{k: v for k, v in arrays.items() if v is not None})
    index = folder / "index.csv"
    about = pd.read_csv(index, dtype=str, keep_default_na=False) if index.exists() else pd.DataFrame()
    line = {"file": f"{name}.npz", "patient_id": patient, "collection": "SET", "licence_of_collection": "CC BY 3.0"}
    line |= {"source_doi": "10.1/x", "manufacturer": "MAKER", "model": "M1", "kernel": "SOFT", "note": "whole"}
    if listed:
        pd.concat([about, pd.DataFrame([line])]).to_csv(index, index=False)
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
    assert table["height"].isna().all(), "nothing in these slices is a lung"
    assert list(images.factors) == ["z", "height"]
    np.testing.assert_allclose(table[["extent_down", "extent_across"]], [[32 * 0.7, 32 * 0.8]] * 36)
    assert set(table["licence"]) == {"that of the series"}
    assert images.card.attributes == {"size": 16, "series": 3, "left_out": {}, "left_out_names": {}}
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
    names = images.card.attributes["left_out_names"]
    assert names["localiser"] == ["scout.dcm"]
    assert names["series with fewer than 10 slices"] == ["1.3.1"]
    assert len(names["slice that is not axial"]) == 5
    said = chest_ct.summary(images).splitlines()
    assert said[0].startswith(
        "series: 3, of patients: 3; those in which both ends of the lungs are seen: 0, of patients: 0"
    )
    assert "left out: 1 × localiser (scout.dcm)" in said
    assert any(line.endswith("and 7 more)") for line in said)


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


def test_what_is_wrong_is_left_out_where_that_is_asked_for(source, pack, tmp_path):
    files = {k: sorted((source / f"{k}").iterdir()) for k in range(3)}
    files[0][4].unlink()
    files[2][0].write_bytes(b"")  # the lowest slice: what remains is whole
    images = pack(source, lenient=True)
    assert list(images.table["patient_id"]) == ["P1"] * 12 + ["P2"] * 11
    assert images.card.attributes["left_out"] == {"file that cannot be read": 1, "series that is no volume": 1}
    assert images.card.attributes["left_out_names"] == {
        "file that cannot be read": ["000.dcm"],
        "series that is no volume": ["1.2.0"],
    }


ODD = {"PatientID": "P0", "SeriesInstanceUID": "1.9"}  # of a series of its own
NOWHERE = {"ImageOrientationPatient": None, "ImagePositionPatient": None}
SCREEN = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}
EXPORTED = {
    "localiser": {**ODD, "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "PixelSpacing": [0, 0]},
    "object that is no slice": {**ODD, **SCREEN, **NOWHERE, "RescaleSlope": None},
    "object that is no slice of the same series": {
        **SCREEN,
        **NOWHERE,
        "PatientID": "P0",
        "SeriesInstanceUID": "1.2.0",
    },
    "colour image": {**ODD, "PhotometricInterpretation": "PALETTE COLOR"},
    "slice without ImageOrientationPatient": {**ODD, **NOWHERE},
    "slice in another unit than HU": {**ODD, "RescaleType": "MGML", "ImagePositionPatient": [0, 0, 0]},
    "file that is no CT image": {"Modality": "RTSTRUCT", "PixelData": None},
}


@pytest.mark.parametrize("kind", EXPORTED)
def test_an_object_that_is_no_slice_stops_no_export(source, pack, kind):
    write_slice(source / "odd.dcm", anatomy(0), **EXPORTED[kind])
    images = pack(source)
    assert len(images) == 36
    kind = kind.removesuffix(" of the same series")
    assert images.card.attributes["left_out"] == {kind: 1}
    assert images.card.attributes["left_out_names"] == {kind: ["odd.dcm"]}


def test_a_slice_that_does_not_say_where_it_lies_is_wrong_where_others_of_its_series_do(source, pack, refused):
    path = source / "0" / "000.dcm"
    write_slice(path, anatomy(0), PatientID="P0", SeriesInstanceUID="1.2.0", **NOWHERE)
    refused(source, f"1 × slice without ImageOrientationPatient ({path})")
    assert pack(source, lenient=True).card.attributes["left_out"]["slice without ImageOrientationPatient"] == 1


@pytest.mark.parametrize(("length", "ending"), [(200, ".dcm"), (200, ""), (400, ""), (0, ""), (100, ".ima")])
def test_a_slice_that_is_damaged_is_not_left_out(source, refused, length, ending):
    for path in list((source / "0").iterdir()):
        path.rename(path.with_name(f"IM{path.stem}{ending}"))
    path = source / "0" / f"IM000{ending}"
    path.write_bytes(path.read_bytes()[:length])
    refused(source, "1 × file that cannot be read", str(path))


def test_enhanced_ct_is_told_what_to_do_with(source, refused):
    shared = {"SharedFunctionalGroupsSequence": [pydicom.Dataset()], "RescaleSlope": None, "NumberOfFrames": 12}
    write_slice(source / "enhanced.dcm", np.zeros((12, 32), int), **ODD, **NOWHERE, **shared)
    refused(source, "1 × file that cannot be read", "enhanced.dcm holds 12 frames of enhanced CT: convert it")


def test_what_systems_leave_behind_does_not_count(source, pack):
    (source / "__MACOSX" / "0").mkdir(parents=True)
    for name in ("0/._000.dcm", "__MACOSX/0/._000.dcm", "__MACOSX/0/000.dcm", "0/.DS_Store", "Thumbs.db", "DICOMDIR"):
        (source / name).write_bytes(b"\0\5\x16\7" * 50)
    assert pack(source).card.attributes["left_out"] == {}


def test_slices_shifted_sideways_make_no_series(source, refused):
    for k in range(6, 12):
        position = [40, 0, 100 + 2.5 * k]
        path = source / "0" / f"{k * 5 % 12:03}.dcm"
        write_slice(path, anatomy(k), PatientID="P0", SeriesInstanceUID="1.2.0", ImagePositionPatient=position)
    refused(source, "1 × series that is no volume (slices shifted sideways: ", "lies 40 mm beside")


@pytest.mark.parametrize("down", [1, -1])  # with the normal towards the head, and towards the feet
def test_a_tilted_gantry_is_said(source, pack, down):
    write_series(source / "3", uid="1.2.3", patient="P3")
    for path in (source / "3").iterdir():
        dataset = pydicom.dcmread(path)
        dataset.ImageOrientationPatient = [1, 0, 0, 0, down * np.cos(np.radians(15)), down * np.sin(np.radians(15))]
        dataset.save_as(path)
    images = pack(source)
    assert images.card.attributes["tilted"] == {"1.2.3": 15.0}
    assert "tilted gantry, 15 degrees: 1.2.3" in chest_ct.summary(images).splitlines()


LIMITED = """
import resource, sys
from medlatent.data import chest_ct
source, limit, *outs = sys.argv[1:]
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit),) * 2)
for out in outs:
    try:
        chest_ct.pack(source, out, size=512, workers=1, progress=False)
    except OSError as error:
        print(error.filename, error.strerror)
"""


def check_told(source, outs, limit=0):
    """Packs in a process of its own that may write files of so many bytes, and compares what it says of a full disk."""
    command = [sys.executable, "-c", LIMITED, source, str(limit), *outs]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr)
    # The last copy is written by the set itself, which says it in words of its own.
    why = (
        "(the disk has no room for it: make some, or choose another folder; nothing was written"
        "|cannot be written: .*the disk is full)"
    )
    for out, line in zip(outs, done.stdout.splitlines(), strict=True):
        assert re.fullmatch(f"{re.escape(str(out))} {why}", line)
    assert [left for out in outs for left in out.parent.iterdir()] == []


@pytest.mark.executes
@pytest.mark.skipif(os.name == "nt", reason="there are no such limits")
def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path):
    source = write_series(tmp_path / "source")
    (tmp_path / "small").mkdir()
    out = tmp_path / "small" / "packed"
    check_told(source, [out], limit=2**21)


@pytest.mark.executes
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_fills_while_packing_ends_in_an_error(tmp_path):
    source, mounted = write_series(tmp_path / "source"), []
    try:
        for megabytes in (2, 8, 15):  # room for none of the three copies of 6 MB, for one, and for two
            small = tmp_path / f"{megabytes}"
            small.mkdir()
            mounting = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(small)]
            if subprocess.run(mounting, capture_output=True).returncode:
                pytest.skip("nothing can be mounted here")
            mounted.append(small)
        check_told(source, [small / "packed" for small in mounted])
    finally:
        for small in mounted:
            subprocess.run(["umount", str(small)], check=True)


def test_what_a_killed_packing_left_is_removed_by_the_next(source, pack, tmp_path):
    with collecting(tmp_path / "packed") as folder:
        of_another = folder.name.replace(f"-{os.getpid()}-", f"-{os.getppid()}-")
        of_the_dead = folder.name.replace(f"-{os.getpid()}-", f"-{2**22 + 1}-")  # beyond what the system counts to
        for name in (of_another, of_the_dead):
            (tmp_path / name).mkdir()
            (tmp_path / name / "packed").write_bytes(b"slices")
        pack(source)
        assert sorted(p.name for p in tmp_path.iterdir()) == sorted([folder.name, of_another, "packed", "source"])


def test_the_scanner_and_the_kernel(pack, tmp_path):
    tags = {"Manufacturer": "MAKER ", "ManufacturerModelName": "M1", "ConvolutionKernel": ["B30f", "2"]}
    table = pack(write_series(tmp_path / "source", **tags), collection="SET", licence="CC BY 3.0").table
    columns = ["manufacturer", "model", "kernel", "collection", "licence"]
    assert set(table[columns].itertuples(index=False, name=None)) == {("MAKER", "M1", "B30f/2", "SET", "CC BY 3.0")}


# -------------------------------------------------------------------------------------------------- arrays, and heights


def test_an_array_and_its_height(pack, tmp_path):
    images = pack(write_array(tmp_path / "source"), size=32)
    table = images.table
    np.testing.assert_array_equal(images.images[:, 0], thorax())
    assert set(table["patient_id"]) == {"P1"}
    assert set(table["series_uid"]) == {"A"}
    np.testing.assert_allclose(table["position"], -200 + 5 * np.arange(14))
    np.testing.assert_allclose(table["height"], (np.arange(14) - 3) / 7)
    np.testing.assert_allclose(table["lung_area"], [224.0 * (3 <= k <= 10) for k in range(14)])
    np.testing.assert_allclose(table[["slice_distance", "row_spacing", "extent_down"]], [[5, 10, 320]] * 14)
    columns = ["manufacturer", "model", "kernel", "collection", "licence"]
    assert set(table[columns].itertuples(index=False, name=None)) == {("MAKER", "M1", "SOFT", "SET", "CC BY 3.0")}
    card = images.card
    assert (card.name, card.source, card.licence, card.citation) == ("SET", "SET", "CC BY 3.0", "doi:10.1/x")
    assert images.factors["height"].kind == "continuous"
    known = ImageSet.load(tmp_path / "packed").subset(table["height"].notna())
    assert len(known) == 14


@pytest.mark.parametrize(("low", "high"), [(0, 10), (3, 13), (0, 13), (3, 2)])
def test_where_an_end_of_the_lungs_is_not_seen_there_is_no_height(pack, tmp_path, low, high):
    table = pack(write_array(tmp_path / "source", hu=thorax(low=low, high=high)), size=32).table
    assert table["height"].isna().all()
    assert (table["lung_area"] > 0).sum() == max(high - low + 1, 0)
    assert ImageSet.load(tmp_path / "packed").table["height"].isna().all()


@pytest.mark.parametrize("size", [32, 64, 160])
def test_the_height_at_other_sizes(pack, tmp_path, size):
    table = pack(write_array(tmp_path / "source"), size=size).table
    np.testing.assert_allclose(table["height"], (np.arange(14) - 3) / 7)


def test_arrays_and_dicom_together(pack, tmp_path):
    source = tmp_path / "source"
    write_series(source / "dicom", patient="P2")
    write_array(source / "arrays", "A", patient="P3")
    write_array(source / "arrays", "B", patient="P2")
    images = pack(source, licence="CC0", citation="Who Took Them")
    assert list(images.table["patient_id"]) == ["P2"] * (12 + 14) + ["P3"] * 14
    assert list(images.table["series_uid"]) == ["1.2.1"] * 12 + ["B"] * 14 + ["A"] * 14
    assert images.table.groupby("patient_id")["split"].nunique().eq(1).all()
    card = images.card
    assert card.name == "chest_ct"
    assert card.source == "CT series of the packer's own choice; SET"
    assert (card.licence, card.citation) == ("CC BY 3.0; CC0", "Who Took Them; doi:10.1/x")
    again = tmp_path / "again"
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted(p for p in source.rglob("*") if p.is_file()):
            archive.write(path, path.relative_to(source))
    two = chest_ct.pack(tmp_path / "all.zip", again, 16, 1, progress=False, licence="CC0", citation="Who Took Them")
    assert two.fingerprint == images.fingerprint
    assert two.table.equals(images.table)


def test_two_series_of_one_patient_are_kept_in_one_split(pack, tmp_path):
    write_array(tmp_path / "source", "soft")
    write_array(tmp_path / "source", "sharp")
    table = pack(tmp_path / "source").table
    assert list(table["series_uid"]) == ["sharp"] * 14 + ["soft"] * 14
    assert table["split"].nunique() == 1


def test_arrays_that_are_no_series_are_left_out(pack, tmp_path):
    source = write_array(tmp_path / "source")
    np.savez(source / "pictures.npz", images=np.zeros((3, 8, 8), np.uint8))
    write_array(source, "short", hu=thorax(9))
    (source / "elsewhere").mkdir()
    (source / "elsewhere" / "index.csv").write_text("of something else")
    attributes = pack(source).card.attributes
    assert attributes["series"] == 1
    assert attributes["left_out"] == {
        "file that is no CT image": 1,
        "array file without hu and z_mm": 1,
        "series with fewer than 10 slices": 1,
    }
    assert attributes["left_out_names"]["array file without hu and z_mm"] == ["pictures.npz"]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"hu": thorax().astype(np.float32)}, "hu is float32 (14, 32, 32), expected Hounsfield units in int16"),
        ({"hu": thorax()[0]}, "hu is int16 (32, 32), expected"),
        ({"pixel_spacing": None}, "there is no array pixel_spacing"),
        ({"pixel_spacing": (1.0,)}, "pixel_spacing is float64 (1,), expected (2,) finite numbers"),
        ({"pixel_spacing": (1.0, 0.0)}, "pixel_spacing is [1.0, 0.0], expected two positive distances"),
        ({"z_mm": np.arange(13.0)}, "z_mm is float64 (13,), expected (14,) finite numbers"),
        ({"z_mm": np.full(14, np.nan)}, "z_mm is float64 (14,), expected (14,) finite numbers"),
        ({"z_mm": -np.arange(14.0)}, "z_mm must rise from feet to head, and does not after slice 0"),
        ({"z_mm": np.arange(14.0) + (np.arange(14) > 6)}, "slices 6 and 7 are 2 mm apart, the others 1 mm"),
        ({"z_mm": np.array([{}] * 14)}, "damaged, or no .npz file (Object arrays cannot be loaded"),
    ],
)
def test_arrays_that_are_wrong(tmp_path, refused, arrays, words):
    source = write_array(tmp_path / "source", **arrays)
    refused(source, "1 × file that cannot be read", f"{source / 'A.npz'}: {words}")


def test_arrays_that_unpack_to_far_more_than_they_are(tmp_path, refused):
    source = write_array(tmp_path / "source", hu=np.zeros((70, 1024, 1024), np.int16))
    assert (source / "A.npz").stat().st_size < 2**20
    refused(source, "1 × file that cannot be read", "A.npz: hu.npy declares 146800768 bytes and holds")


@pytest.mark.parametrize("shape", [(10**6, 10**6, 10**6), (2**20, 2**20, 2)])
def test_a_header_of_an_array_that_declares_what_is_not_there(tmp_path, refused, shape):
    source = write_array(tmp_path / "source")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i2", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(source / "A.npz", "w") as archive:
        archive.writestr("hu.npy", header.getvalue() + bytes(100))
        archive.writestr("z_mm.npy", b"")
    refused(source, "1 × file that cannot be read", f"{source / 'A.npz'}: damaged, or no .npz file")


def test_an_array_that_is_no_archive(tmp_path, refused):
    source = write_array(tmp_path / "source")
    with open(source / "A.npz", "wb") as file:
        np.save(file, thorax())
    refused(source, "1 × file that cannot be read", f"{source / 'A.npz'}: damaged, or no .npz file")


def test_an_array_that_is_cut_off(tmp_path, refused):
    source = write_array(tmp_path / "source")
    path = source / "A.npz"
    for kept in (0, 100, 500):
        path.write_bytes(path.read_bytes()[:kept])
        refused(source, "1 × file that cannot be read", f"{path}: damaged, or no .npz file")


@pytest.mark.parametrize(
    ("index", "words"),
    [
        (None, "1 × array file without an index.csv beside it, which names its patient ("),
        ("file,patient_id\nB.npz,P1\n", "1 × array file whose patient index.csv does not name ("),
        ("file,patient_id\nA.npz,NA\n", "1 × array file whose patient index.csv does not name ("),
        ("file,patient_id\nA.npz,P1,\n", "row 2 has 3 fields where the header has 2"),
        ("file,patient_id,collection\nA.npz,P1", "row 2 has 2 fields where the header has 3"),
        ("file,patient_id,patient_id\nA.npz,P1,P2\n", "two columns are called 'patient_id'"),
        ("file,patient_id\nA.npz,\n", "1 × array file whose patient index.csv does not name ("),
        ("file,patient\nA.npz,P1\n", "1 × index without a column that it needs ("),
        ("file,patient_id\nA.npz,P1\nA.npz,P2\n", "1 × index that names a file twice ("),
        ("", "1 × index that cannot be read ("),
        ('"', "1 × index that cannot be read ("),
    ],
)
def test_indexes_that_are_wrong(tmp_path, refused, index, words):
    source = write_array(tmp_path / "source", listed=False)
    if index is not None:
        (source / "index.csv").write_text(index)
    refused(source, words, str(source / ("A.npz" if "× array" in words else "index.csv")))


@pytest.mark.parametrize("name", ["index.csv", "INDEX.CSV"])
@pytest.mark.parametrize("text", ["file;patient_id\nA.npz;P1\n", "\ufefffile , patient_id\r\nA.npz , P1\r\n"])
def test_indexes_as_others_write_them(tmp_path, pack, name, text):
    source = write_array(tmp_path / "source", listed=False)
    (source / name).write_text(text, encoding="utf-8")
    assert set(pack(source).table["patient_id"]) == {"P1"}


class TestSplits:
    """A table of patients, one slice each, is enough."""

    def split(self, heights, extents=None, seed=""):
        """The split of each patient."""
        n = len(heights)
        table = pd.DataFrame({"patient_id": [f"{seed}{k}" for k in range(n)], "height": heights})
        return list(chest_ct._splits(table.assign(extent_across=extents if extents is not None else 300.0)))

    def test_a_large_set_by_chance(self):
        splits = self.split([0.5] * 40)
        assert splits == list(split_by_group([str(k) for k in range(40)]))

    @pytest.mark.parametrize(("n", "tested"), [(3, 1), (5, 1), (6, 2), (8, 2), (9, 3), (10, 3), (29, 3)])
    def test_a_small_set_has_patients_for_testing(self, n, tested):
        splits = self.split([0.5] * n + [np.nan] * 5)
        assert [splits.count(s) for s in ("train", "validation", "test")] == [n + 4 - tested, 1, tested]
        assert set(splits[n:]) == {"train"}

    def test_they_are_spread_over_the_extents(self):
        extents = [500, 310, 490, 320, 480, 330, 470, 340, 460]
        splits = self.split([0.5] * 9, extents)
        assert sorted(e for e, s in zip(extents, splits, strict=True) if s == "test") == [320, 460, 490]
        assert splits[extents.index(470)] == "validation"

    def test_with_fewer_than_three_heights_by_chance(self):
        assert self.split([0.5, 0.5] + [np.nan] * 20) == list(split_by_group([str(k) for k in range(22)]))


# ---------------------------------------------------------------------------------------------------------------------


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
    command = f"python -m medlatent data chest_ct --from YOUR_SERIES --out {tmp_path}/chest_ct"
    with pytest.raises(DataError, match=re.escape(command)):
        open_images("chest_ct")
    pack(source).save(tmp_path / "chest_ct")
    assert len(open_images("chest_ct", 5)) == 5
    with pytest.raises(DataError, match=r"chest_ct\.64 shows images of 128×128, and these have 16×16"):
        open_images("chest_ct.64")


def test_the_view_of_64_pixels(pack, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
    pack(write_array(tmp_path / "source"), size=128).save(tmp_path / "chest_ct")
    whole, half = open_images("chest_ct"), open_images("chest_ct.64")
    assert half.images.shape == (14, 1, 64, 64)
    assert half.table.equals(whole.table)
    assert half.value_range == (-1000, 2000)


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


# The lowest and the highest slice with lung, by eye on the slices beside them; None where the series stops before.
ENDS = {
    "4DLung-113_HM10395": (34, 92),
    "ACRIN-FLT-Breast_013": None,
    "LIDC-IDRI-0001": (26, 124),
    "LIDC-IDRI-0314": (12, 123),
    "LUNG1-001": (27, 108),
    "LUNG1-002": (17, 95),
    "LUNG1-003": (7, 74),
    "LungDx-A0001_B": (5, 55),
    "LungDx-A0002_B40f": (1, 27),
    "NSCLCRG-R01-001": (21, 143),
    "RICORD-1A-001012": (22, 105),
    "RIDERPilot-0117": None,
    "1.3.6.1.4.1.14519.5.2.1.5826.1402.983508919695337135620677418685": None,
}


@pytest.mark.real_data
def test_the_real_objects_that_are_no_axial_slices_stop_no_export(source, pack):
    odd = Path(os.environ.get("MEDLATENT_RAW", "")) / "chest_ct" / "odd"
    if "MEDLATENT_RAW" not in os.environ or not odd.is_dir():
        pytest.skip("$MEDLATENT_RAW holds no chest_ct/odd")
    images = pack([source, odd])
    assert len(images) == 36
    assert images.card.attributes["left_out"] == {
        "slice that is not axial": 12,
        "file that is no CT image": 1,
        "localiser": 1,
    }
    assert images.card.attributes["left_out_names"]["file that is no CT image"] == [
        "readii_structures_R01-001_rtstruct.dcm"
    ]


@pytest.mark.real_data
def test_the_real_series_and_their_heights(tmp_path):
    raw = Path(os.environ.get("MEDLATENT_RAW", "")) / "chest_ct"
    if "MEDLATENT_RAW" not in os.environ or not (raw / "series" / "index.csv").is_file():
        pytest.skip("$MEDLATENT_RAW holds no chest_ct/series")
    images = chest_ct.pack(raw, tmp_path / "set", workers=1, progress=False)
    table = images.table
    assert len(images) == 1334
    for uid, rows in table.groupby("series_uid"):
        if ENDS[uid] is None:
            assert rows["height"].isna().all()
        else:
            marks = [int(np.argmin(abs(rows["height"] - value))) for value in (0, 1)]
            np.testing.assert_allclose(rows["height"].iloc[marks], (0, 1))
            assert abs(np.subtract(marks, ENDS[uid])).max() <= 1
    # of air in the body, as whoever made the arrays measured it: gas of the bowel included (RICORD), and without a lung
    # whose wall the field of view has cut (RIDER)
    for uid, rows in table.groupby("series_uid"):
        if (raw / "series" / f"{uid}.npz").is_file():
            with np.load(raw / "series" / f"{uid}.npz") as arrays:
                alike = np.corrcoef(arrays["lung_fraction"], rows["lung_area"])[0, 1]
            assert alike > (0.85 if uid in ("RICORD-1A-001012", "RIDERPilot-0117") else 0.99)
    tested = table[table["split"] == "test"]
    assert tested["patient_id"].nunique() == 3
    assert tested["height"].notna().all()
    left_out = images.card.attributes["left_out"]
    assert left_out == {
        "array file without hu and z_mm": 1,
        "slice that is not axial": 12,
        "file that is no CT image": 1,
        "localiser": 1,
    }
