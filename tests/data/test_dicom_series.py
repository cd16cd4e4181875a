"""Series of DICOM files as volumes: their order and geometry, and what lies among the slices."""

import io
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_cases import change, ct, file_of, read, write, write_series
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.data import DataError, dicom

# ------------------------------------------------------------------------------------------------------------- series


def test_a_series_is_sorted_by_position_along_the_normal(tmp_path):
    volume = dicom.read_series(write_series(tmp_path / "s", n=9))
    np.testing.assert_array_equal(volume.hu[:, 0, 0], np.arange(0, 90, 10))
    assert volume.spacing == pytest.approx((2, 0.7, 0.8))
    assert volume.hu.dtype == np.int16
    turned = write_series(tmp_path / "t", n=9, ImageOrientationPatient=[1, 0, 0, 0, -1, 0])  # the normal points down
    np.testing.assert_array_equal(dicom.read_series(turned).hu[:, 0, 0], np.arange(80, -10, -10))


@settings(max_examples=15, deadline=None, derandomize=True)
@given(st.permutations(range(7)), st.tuples(*[st.floats(-3, 3)] * 3), st.floats(0.5, 10))
def test_oblique_slices_are_sorted_whatever_the_order(order, angles, distance):
    a, b, c = angles
    turns = [np.array([[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]]) for t in (a, c)]
    tilt = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    axes = turns[0] @ tilt @ turns[1]
    header = read(ct()).header
    headers = [
        dicom.Header(
            **{
                **header.__dict__,
                "name": str(k),
                "orientation": tuple(axes[:, 0]) + tuple(axes[:, 1]),
                "position": tuple(distance * k * axes[:, 2] + 100 * axes[:, 0]),
            }
        )
        for k in order
    ]
    ordered = dicom.sort_slices(headers)
    assert [h.name for h in ordered] == [str(k) for k in range(7)]
    assert dicom.slice_distance(ordered) == pytest.approx(distance)


def test_other_files_are_left_out_and_counted(tmp_path):
    folder = write_series(tmp_path / "s")
    (folder / "notes.txt").write_text("notes")
    (folder / ".DS_Store").write_bytes(b"\0" * 300)
    write(ct(Modality="SR", PixelData=None), folder / "report")
    (folder / "__MACOSX").mkdir()
    for name in ("._000.dcm", "__MACOSX/._001.dcm", "__MACOSX/002.dcm"):
        (folder / name).write_bytes(b"\0\5\x16\7" * 50)
    volume = dicom.read_series(folder)
    assert len(volume.hu) == 6
    assert volume.skipped == {"file that is no CT image": tuple(str(folder / name) for name in ("report", "notes.txt"))}
    shutil.make_archive(tmp_path / "archived", "zip", folder)
    assert len(dicom.read_series(tmp_path / "archived.zip").hu) == 6


SCREEN = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]}
NOWHERE = {"ImageOrientationPatient": None, "ImagePositionPatient": None}
NO_SLICES = {
    "localiser": {
        "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"],
        "PixelSpacing": [0, 0],
        "SeriesInstanceUID": "1.9",
    },
    "object that is no slice": {**SCREEN, **NOWHERE, "PixelSpacing": [0, 0], "RescaleSlope": None},
    "colour image": {"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3, "SeriesInstanceUID": "1.9", **NOWHERE},
    "slice without ImageOrientationPatient": {"SeriesInstanceUID": "1.9", **NOWHERE},
    "file that is no CT image": {"Modality": "RTSTRUCT", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.481.3"},
}


@pytest.mark.parametrize("kind", NO_SLICES)
@pytest.mark.parametrize("name", ["000.dcm", "999.dcm"])  # before the slices, and behind them
def test_an_object_that_is_no_slice_is_left_out_and_named(tmp_path, kind, name):
    folder = write_series(tmp_path / "s")
    (folder / "000.dcm").rename(folder / "9.dcm")
    write(ct(**NO_SLICES[kind]), folder / name)
    volume = dicom.read_series(folder)
    assert len(volume.hu) == 6
    assert volume.skipped == {kind: (str(folder / name),)}


def test_with_a_rescale_an_object_without_pixels_is_left_out_too(tmp_path):
    folder = write_series(tmp_path / "s", Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4")
    report = {"Modality": "SR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.33", "PixelData": None}
    write(ct(**report), folder / "report.dcm")
    volume = dicom.read_series(folder, rescale=(1, 0))
    assert len(volume.hu) == 6
    assert volume.skipped == {"object that is no slice": (str(folder / "report.dcm"),)}


@pytest.mark.parametrize("ending", [".dcm", "", ".ima", ".img"])
@pytest.mark.parametrize("length", [0, 100, 200, 500])
@pytest.mark.parametrize("archived", [False, True])
def test_a_slice_that_is_damaged_is_not_left_out(tmp_path, ending, length, archived):
    folder = write_series(tmp_path / "s", n=12)
    for path in list(folder.iterdir()):
        path.rename(path.with_name(f"IM{path.stem}{ending}"))
    for k in (3, 11):
        path = folder / f"IM{k:03}{ending}"
        path.write_bytes(path.read_bytes()[:length])
    (folder / "README").write_text("no slice")
    if archived:
        shutil.make_archive(tmp_path / "archived", "zip", folder)
        folder = tmp_path / "archived.zip"
    with pytest.raises(DataError, match=r"2 × file that cannot be read \(.*IM003") as caught:
        dicom.read_series(folder)
    assert "IM011" in str(caught.value)


@pytest.mark.parametrize(
    "names",
    [
        [f"{0x1A6 + k:08X}" for k in range(12)],
        [f"{k * 0x1F3A91B7D & 0xFFFFFFFF:08x}" for k in range(12)],
        [f"{k * 0x9E3779B97F4A7C15 % 2**64:016x}"[:4] + "-abcd" for k in range(12)],
    ],
)
def test_slices_that_are_numbered_by_letters_too_are_one_series(tmp_path, names):
    folder = write_series(tmp_path / "s", n=12)
    for path, name in zip(sorted(folder.iterdir()), names, strict=True):
        path.rename(folder / name)
    assert len(dicom.read_series(folder).hu) == 12
    for k in (0, 5):
        (folder / names[k]).write_bytes(bytes(5000))
    (folder / "README").write_text("no slice")
    with pytest.raises(DataError, match="2 × file that cannot be read") as caught:
        dicom.read_series(folder)
    assert all(names[k] in str(caught.value) for k in (0, 5))


def test_a_slice_whose_colours_are_damaged_is_not_left_out(tmp_path):
    folder = write_series(tmp_path / "s")
    for change_of in ({"SamplesPerPixel": 0}, {"PhotometricInterpretation": "MONOCHROM"}):
        path = file_of(folder, 5)
        content = path.read_bytes()
        change(path, **change_of)
        with pytest.raises(
            DataError, match=rf"1 × file that cannot be read \(.*{path.name}: {next(iter(change_of))} is"
        ):
            dicom.read_series(folder)
        path.write_bytes(content)


def test_zeros_do_not_say_where_a_slice_lies(tmp_path):
    folder = write_series(tmp_path / "s")
    zeros = {"PixelSpacing": [0, 0], "ImageOrientationPatient": [0] * 6, "ImagePositionPatient": [0] * 3}
    write(ct(SeriesInstanceUID="1.9", ImageType=["DERIVED", "SECONDARY"], **zeros), folder / "screen.dcm")
    volume = dicom.read_series(folder)
    assert len(volume.hu) == 6
    assert volume.skipped == {"slice without ImageOrientationPatient": (str(folder / "screen.dcm"),)}
    for zero in ("PixelSpacing", "ImageOrientationPatient"):
        write(ct(**{"ImagePositionPatient": [-10, -20, -52], zero: zeros[zero]}), folder / "screen.dcm")
        with pytest.raises(DataError, match=f"screen.dcm: {zero} is missing, so its place in the series is unknown"):
            dicom.read_series(folder)


def test_a_file_without_the_letters_dicm_that_begins_as_a_data_set_does_is_no_foreign_one(tmp_path):
    folder = write_series(tmp_path / "s")
    content = file_of(folder, 0).read_bytes()
    for name, start in (("bare", content.index(b"\x08\0\x08\0")), ("without preamble", 132)):
        (folder / name).write_bytes(content[start:])
        with pytest.raises(DataError, match=f"{name} is no DICOM file.*get the file again, or convert it"):
            dicom.read_series(folder)
        (folder / name).unlink()


def test_a_link_that_leads_nowhere_is_no_slice_less(tmp_path):
    folder = write_series(tmp_path / "s")
    (folder / "6.dcm").symlink_to(tmp_path / "gone")
    with pytest.raises(DataError, match=r"6\.dcm: no such file"):
        dicom.read_series(folder)


def test_what_does_not_say_its_series_is_not_left_out_of_one(tmp_path):
    folder = write_series(tmp_path / "s")
    path = file_of(folder, 5)
    change(path, SeriesInstanceUID=None)
    with pytest.raises(DataError, match=r"holds 2 series: choose one by series_uid from .*\(no SeriesInstanceUID\)"):
        dicom.read_series(folder)
    with pytest.raises(DataError, match=f"1 × slice without SeriesInstanceUID, which may be one of it .*{path.name}"):
        dicom.read_series(folder, series_uid="1.2.3")


def test_two_series_are_listed_whatever_their_slices_lack(tmp_path):
    write_series(tmp_path / "a", RescaleSlope=None)
    write_series(tmp_path / "b", SeriesInstanceUID="1.9")
    with pytest.raises(
        DataError, match=r"holds 2 series: choose one by series_uid from 1\.2\.3 \(6 .*1\.9 \(6 slices\)"
    ):
        dicom.read_series(tmp_path)
    assert len(dicom.read_series(tmp_path, series_uid="1.9").hu) == 6


def test_slices_shifted_sideways_are_refused(tmp_path):
    folder = write_series(tmp_path / "s", n=12)
    for k in range(6, 12):
        change(file_of(folder, k), ImagePositionPatient=[30, -20, -50 + 2 * k])
    with pytest.raises(DataError, match=r"slices shifted sideways: .* lies 40 mm beside ") as caught:
        dicom.read_series(folder)
    for k in (5, 6):
        assert file_of(folder, k).name in str(caught.value)
    for k in range(12):  # each beside the last: no gantry leans so far
        change(file_of(folder, k), ImagePositionPatient=[40 * k, -20, -50 + 2 * k])
    with pytest.raises(DataError, match="slices shifted sideways"):
        dicom.read_series(folder)


@pytest.mark.parametrize("degrees", [0.0, 5.0, -20.0])
def test_a_tilted_gantry_is_said(tmp_path, degrees):
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    folder = write_series(tmp_path / "s", n=12, ImageOrientationPatient=[1, 0, 0, 0, cosine, sine])
    volume = dicom.read_series(folder)  # the table moves along z, the normal of the slices leans
    assert volume.tilt == pytest.approx(abs(degrees), abs=1e-6)
    assert volume.spacing[0] == pytest.approx(2 * cosine)
    oblique = [
        change(file_of(folder, k), ImagePositionPatient=[0, -2 * k * sine, 2 * k * cosine]) for k in range(12)
    ]  # slices that lie above each other, whatever the direction
    assert len(oblique) == 12
    assert dicom.read_series(folder).tilt == 0


def test_an_archive_is_read_as_its_folder_is(tmp_path):
    folder = write_series(tmp_path / "s")
    volume = dicom.read_series(folder)
    shutil.make_archive(tmp_path / "archived", "zip", folder)
    again = dicom.read_series(tmp_path / "archived.zip")
    np.testing.assert_array_equal(again.hu, volume.hu)
    assert again.headers[0].name.startswith(str(tmp_path / "archived.zip: "))
    content = (tmp_path / "archived.zip").read_bytes()
    (tmp_path / "archived.zip").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"archived\.zip is no zip archive, or is cut off"):
        dicom.read_series(tmp_path / "archived.zip")


def test_folders_without_ct(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        dicom.read_series(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no CT image in DICOM format$"):
        dicom.read_series(tmp_path)
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(DataError, match=r"no CT image in DICOM format; 1 × file that is no CT image \(.*notes\.txt"):
        dicom.read_series(tmp_path)


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PixelSpacing": [0.7, 0.9]}, "two pixel spacings in one series"),
        ({"ImageOrientationPatient": [0, 1, 0, -1, 0, 0]}, "two orientations in one series"),
        ({"PatientID": "P2"}, "two patients in one series"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient is missing"),
        ({"ImageOrientationPatient": None}, "ImageOrientationPatient is missing"),
        ({"PixelSpacing": None}, "PixelSpacing is missing"),
        ({"PixelData": None}, "has no pixel data"),
        ({"RescaleSlope": None}, "RescaleSlope is missing"),
        ({"ImagePositionPatient": [-10, -20, -48]}, "duplicate slices"),
    ],
)
def test_one_slice_that_does_not_fit(tmp_path, tags, words):
    folder = write_series(tmp_path / "s")
    path = file_of(folder, 3)
    change(path, **tags)
    with pytest.raises(DataError) as caught:
        dicom.read_series(folder)
    assert words in str(caught.value)
    assert path.name in str(caught.value)


def test_missing_slices_are_named_by_their_neighbours(tmp_path):
    folder = write_series(tmp_path / "s", n=12)
    neighbours = file_of(folder, 3), file_of(folder, 6)
    for k in (4, 5, 8):
        file_of(folder, k).unlink()
    with pytest.raises(DataError) as caught:
        dicom.read_series(folder)
    assert f"missing slices: 2 between {neighbours[0]} (-44 mm) and {neighbours[1]} (-38 mm)" in str(caught.value)
    assert "the others are 2 mm apart; 3 in all, at 2 places" in str(caught.value)


def test_two_distances_between_slices(tmp_path):
    folder = write_series(tmp_path / "s", n=8)
    for k in (5, 6, 7):
        change(file_of(folder, k), ImagePositionPatient=[-10, -20, -42 + 3 * (k - 4)])
    with pytest.raises(DataError, match="two distances between slices in one series: 3 mm between"):
        dicom.read_series(folder)
    for k in range(4, 8):  # twice the distance over half of the series: a change, and nothing is missing
        change(file_of(folder, k), ImagePositionPatient=[-10, -20, -44 + 4 * (k - 3)])
    with pytest.raises(DataError, match="two distances between slices in one series"):
        dicom.read_series(folder)


def test_two_shapes(tmp_path):
    folder = write_series(tmp_path / "s")
    write(ct(np.zeros((8, 8), np.uint16), ImagePositionPatient=[-10, -20, -38]), folder / "wide.dcm")
    with pytest.raises(DataError, match=r"two shapes in one series: .* has \(8, 6\), .*wide\.dcm \(8, 8\)"):
        dicom.read_series(folder)


def test_positions_rounded_by_the_scanner_are_one_distance(tmp_path):
    folder = write_series(tmp_path / "s", distance=1.25)
    for k in range(6):
        change(file_of(folder, k), ImagePositionPatient=[-10, -20, round(-50 + 1.25 * k + 1e-3 * (-1) ** k, 3)])
    assert dicom.read_series(folder).spacing[0] == pytest.approx(1.25, abs=1e-3)


@pytest.mark.real_data
def test_the_real_thoracic_series():
    raw = Path(os.environ.get("MEDLATENT_RAW", "")) / "chest_ct" / "series_LungFCP-01-0001.zip"
    if "MEDLATENT_RAW" not in os.environ or not raw.is_file():
        pytest.skip("$MEDLATENT_RAW holds no chest_ct/series_LungFCP-01-0001.zip")
    volume = dicom.read_series(raw)
    assert volume.hu.shape == (98, 512, 512)
    assert volume.spacing == pytest.approx((1, 0.759765625, 0.759765625))
    assert (volume.hu.min(), volume.hu.max()) == (-1024, 3071)
    assert volume.skipped == {}
    with zipfile.ZipFile(raw) as archive:
        name = volume.headers[40].name.partition(": ")[2]
        dataset = pydicom.dcmread(io.BytesIO(archive.read(name)))
    np.testing.assert_array_equal(volume.hu[40], dataset.pixel_array.astype(int) - 1024)
    # from feet to head: the lungs' share falls towards the apex, and the air outside grows with the neck
    lungs = (volume.hu[:, 100:400, 100:400] < -600).mean(axis=(1, 2))
    assert lungs.max() > 0.2
