"""Hounsfield units from DICOM files: written and read back, the real files that pydicom carries, all faults."""

import contextlib
import importlib.util
import io
import os
import shutil
import struct
import tracemalloc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from medlatent.data import DataError, dicom, dicom_frames

RNG = np.random.default_rng(0)
CARRIED = Path(get_testdata_file("CT_small.dcm")).parent
SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": ExplicitVRLittleEndian,
    "big endian": "1.2.840.10008.1.2.2",
    "deflated": DeflatedExplicitVRLittleEndian,
}


def ct(stored=None, syntax=ExplicitVRLittleEndian, **tags):
    """A CT image as a data set; a tag given as ``None`` is left out."""
    stored = RNG.integers(0, 3000, (8, 6)).astype(np.uint16) if stored is None else stored
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    bits = 8 * stored.itemsize
    order = ">" if syntax == SYNTAXES["big endian"] else "<"
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2",
        "PatientID": "P1",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "PixelSpacing": [0.7, 0.8],
        "ImagePositionPatient": [-10, -20, 30],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelData": stored.astype(stored.dtype.newbyteorder(order)).tobytes(),
    }
    for keyword, value in (values | tags).items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    return dataset


def write(dataset, path):
    dataset.save_as(path, enforce_file_format=True)
    return path


def read(dataset, **options):
    """Written to bytes, and read back."""
    file = io.BytesIO()
    write(dataset, file)
    file.seek(0)
    return dicom.read_slice(file, **options)


def write_series(folder, n=6, distance=2.0, **tags):
    """Slices whose HU are all 10 times their place, in files named in another order."""
    folder.mkdir(exist_ok=True)
    for k in range(n):
        stored = np.full((8, 6), 1024 + 10 * k, np.uint16)
        position = [-10, -20, -50 + distance * k]
        write(ct(stored, **{"ImagePositionPatient": position, **tags}), folder / f"{k * 7 % n:03}.dcm")
    return folder


def file_of(folder, k):
    """The file of the k-th slice of ``write_series``."""
    return next(p for p in folder.glob("*.dcm") if pydicom.dcmread(p).pixel_array[0, 0] == 1024 + 10 * k)


def change(path, **tags):
    dataset = pydicom.dcmread(path)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


def refused(dataset, *words, **options):
    with pytest.raises(DataError) as caught:
        read(dataset, **options)
    for word in words:
        assert word in str(caught.value)


# ---------------------------------------------------------------------------------------------------- Hounsfield units


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.data())
def test_what_is_written_is_read_back(data):
    signed = data.draw(st.booleans())
    bits = data.draw(st.sampled_from([8, 10, 12, 16]))
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits == 8 else 2}")
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    values = data.draw(st.lists(st.integers(low, high), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]))
    slope = data.draw(st.sampled_from([1.0, 0.5, 2.0, -1.0, 0.1]))
    intercept = data.draw(st.sampled_from([-1024.0, 0.0, -1000.5, 300.0]))
    stored = np.array(values).reshape(shape)
    expected = np.rint(stored * slope + intercept)
    dataset = ct(
        stored.astype(kind),
        data.draw(st.sampled_from(list(SYNTAXES.values()))),
        BitsStored=bits,
        HighBit=bits - 1,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
    )
    if abs(expected).max() > 32767:
        refused(dataset, "the rescale tags cannot be right")
    else:
        found = read(dataset)
        assert found.hu.dtype == np.int16
        np.testing.assert_array_equal(found.hu, expected)


def test_the_header_is_read_back():
    header = read(ct(PhotometricInterpretation="MONOCHROME1")).header
    assert (header.patient_id, header.study_uid, header.series_uid) == ("P1", "1.2", "1.2.3")
    assert header.shape == (8, 6)
    assert header.spacing == (0.7, 0.8)
    assert header.position == (-10, -20, 30)
    np.testing.assert_array_equal(header.normal, [0, 0, 1])
    assert header.inverted
    nothing = read(ct(PixelSpacing=None, ImagePositionPatient=None, ImageOrientationPatient=None, PatientID="")).header
    assert nothing.spacing is nothing.position is nothing.orientation is None
    assert nothing.patient_id == ""


def test_rle_is_read_as_what_was_compressed():
    dataset = ct()
    before = read(dataset).hu
    dataset.compress(RLELossless)
    np.testing.assert_array_equal(read(dataset).hu, before)


def test_monochrome1_inverts_what_is_shown_and_no_hounsfield_unit():
    stored = RNG.integers(0, 3000, (8, 6)).astype(np.uint16)
    plain = read(ct(stored))
    inverted = read(ct(stored, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_array_equal(inverted.hu, plain.hu)
    # a scanner that stores dense as low says so by its slope
    stored_low = (3000 - stored).astype(np.uint16)
    low = read(ct(stored_low, PhotometricInterpretation="MONOCHROME1", RescaleSlope=-1, RescaleIntercept=1976))
    np.testing.assert_array_equal(low.hu, plain.hu)
    shown = dicom.window(inverted.hu, 40, 400, invert=inverted.header.inverted)
    np.testing.assert_allclose(shown, 1 - dicom.window(plain.hu, 40, 400))


@pytest.mark.parametrize(
    ("kind", "value", "limit", "padded"),
    [
        (np.int16, -2000, None, [-2000]),
        (np.uint16, 0, None, [0]),
        (np.uint16, 63536, None, [63536]),
        (np.int16, -2000, -1990, [-2000, -1995, -1990]),
        (np.int16, -1990, -2000, [-2000, -1995, -1990]),
    ],
)
def test_padding_becomes_the_lowest_value(kind, value, limit, padded):
    stored = np.array([padded + [500] * (4 - len(padded))], kind)
    tags = {"PixelPaddingValue": value} | ({} if limit is None else {"PixelPaddingRangeLimit": limit})
    hu = read(ct(stored, RescaleSlope="2", RescaleIntercept="-3000", **tags)).hu
    np.testing.assert_array_equal(hu, [[-1024] * len(padded) + [-2000] * (4 - len(padded))])
    hu = read(ct(np.full((2, 2), padded[0], kind), **tags)).hu
    np.testing.assert_array_equal(hu, np.full((2, 2), -1024))


def test_a_padding_value_of_the_other_sign_is_the_same_bits():
    dataset = ct(np.array([[-2000, 24]], np.int16))
    dataset.add_new("PixelPaddingValue", "US", 63536)
    np.testing.assert_array_equal(read(dataset).hu, [[-1024, -1000]])


def test_bits_above_the_stored_ones_are_no_part_of_a_value():
    overlay = np.array([[0x8000 | 1024, 1000]], np.uint16)
    np.testing.assert_array_equal(read(ct(overlay, BitsStored=12, HighBit=11)).hu, [[0, -24]])
    signed = np.array([[0x0FFF, 0x07FF]], np.uint16).view(np.int16)  # -1 and 2047 in 12 bits
    hu = read(ct(signed, BitsStored=12, HighBit=11, RescaleIntercept=0)).hu
    np.testing.assert_array_equal(hu, [[-1, 2047]])
    refused(ct(BitsStored=12, HighBit=15), "HighBit is 15 with 12 bits stored")


def test_hounsfield_leaves_the_data_set_as_it_was():
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    once = dicom.hounsfield(dataset)
    np.testing.assert_array_equal(dicom.hounsfield(dataset), once)
    np.testing.assert_array_equal(once, dataset.pixel_array - 1024)


def test_window_values_worked_out_by_hand():
    hu = np.array([-2000, -160, -60, 40, 140, 240, 3000], np.int16)
    expected = np.array([0, 0, 0.25, 0.5, 0.75, 1, 1])
    shown = dicom.window(hu, 40, 400)
    assert shown.dtype == np.float32
    np.testing.assert_allclose(shown, expected)
    np.testing.assert_allclose(dicom.window(hu, 40, 400, invert=True), 1 - expected)
    for width in (0, -5, float("nan")):
        with pytest.raises(DataError, match="width: a window needs a positive width"):
            dicom.window(hu, 40, width)


# -------------------------------------------------------------------------------------------------------- one bad file


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({"PixelData": None}, "has no pixel data"),
        ({"RescaleSlope": None}, "RescaleSlope is missing, so its Hounsfield units are unknown; pass rescale="),
        ({"RescaleIntercept": None}, "RescaleIntercept is missing"),
        ({"RescaleSlope": 0}, "a rescale slope of 0.0"),
        ({"RescaleType": "OD"}, "RescaleType is 'OD', not HU"),
        ({"Modality": "MR"}, "is of the modality 'MR', not CT"),
        ({"Modality": None}, "is damaged, or cut short (it ends before Modality)"),
        ({"Modality": None, "SOPClassUID": "1.2.840.10008.5.1.4.34.7"}, "is of the modality 'no modality'"),
        ({"NumberOfFrames": 2}, "holds 2 frames: convert it to files of one frame each"),
        ({"NumberOfFrames": 2, "RescaleSlope": None}, "holds 2 frames"),
        (
            {"SharedFunctionalGroupsSequence": [pydicom.Dataset()], "RescaleSlope": None},
            "holds 1 frame of enhanced CT: convert it to files of one frame each, or read it with ImageSet.from_folder",
        ),
        ({"SamplesPerPixel": 3}, "is a colour image (3 samples a pixel)"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "is a colour image (PhotometricInterpretation PALETTE COLOR)"),
        ({"PixelSpacing": [0, 1]}, "PixelSpacing is [0.0, 1.0], where two positive lengths"),
        ({"PixelSpacing": [1]}, "PixelSpacing is"),
        ({"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}, "not two unit vectors at right angles"),
        ({"ImageOrientationPatient": [2, 0, 0, 0, 1, 0]}, "not two unit vectors at right angles"),
        ({"ImagePositionPatient": [1, 2]}, "ImagePositionPatient is"),
        ({"Rows": 9}, "the pixel data cannot be decoded"),
        ({"BitsStored": 20}, "Bits Stored"),
        ({"RescaleSlope": 1e6}, "the rescale tags cannot be right"),
    ],
)
def test_tags_that_cannot_be_used(tags, words):
    refused(ct(**tags), words)


def test_rescale_can_be_given():
    stored = np.array([[0, 1024]], np.uint16)
    dataset = ct(stored, RescaleSlope=None, RescaleIntercept=None, Modality="MR")
    np.testing.assert_array_equal(read(dataset, rescale=(2, -1024)).hu, [[-1024, 1024]])
    refused(dataset, "a rescale slope of nan", rescale=(float("nan"), 0))


def test_a_file_cut_short_is_refused_wherever_it_is_cut(tmp_path):
    whole = write(ct(), tmp_path / "whole.dcm").read_bytes()
    path = tmp_path / "cut.dcm"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut\.dcm") as caught:
            dicom.read_slice(path)
        assert not isinstance(caught.value, dicom.NotCT), "damaged, and not foreign"


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(132, 900), st.integers(1, 255))
def test_a_changed_byte_is_read_or_refused(place, change):
    file = io.BytesIO()
    write(ct(np.arange(48, dtype=np.uint16).reshape(8, 6)), file)
    content = bytearray(file.getvalue())
    content[place % len(content)] ^= change
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            hu = dicom.read_slice(io.BytesIO(content)).hu
        except DataError:
            return
    assert hu.dtype == np.int16
    assert hu.ndim == 2


@pytest.mark.parametrize("kind", [b"OJ", b"\0\0", b"SQ"])
def test_a_tag_of_a_kind_that_there_is_not_is_read_or_refused(kind):
    file = io.BytesIO()
    write(ct(RescaleType="HU"), file)
    whole = file.getvalue()
    file.seek(0)
    dataset = pydicom.dcmread(file)
    for element in [*dataset.file_meta, *dataset]:
        head = struct.pack("<HH", element.tag.group, element.tag.element)
        assert head + element.VR.encode() in whole
        content = whole.replace(head + element.VR.encode(), head + kind, 1)
        for read_it in (dicom.read_slice, lambda file: dicom_frames.read_frames(dicom.read_header(file)[1])):
            with warnings.catch_warnings(), contextlib.suppress(DataError):
                warnings.simplefilter("ignore")
                read_it(io.BytesIO(content))


def test_what_is_no_dicom_file(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such file"):
        dicom.read_slice(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a folder: read it with read_series"):
        dicom.read_slice(tmp_path)
    (tmp_path / "notes.txt").write_text("notes")
    with pytest.raises(dicom.NotCT, match=r"notes\.txt is no DICOM file"):
        dicom.read_slice(tmp_path / "notes.txt")


@pytest.mark.skipif(
    any(importlib.util.find_spec(name) for name in ("gdcm", "pylibjpeg", "jpeg_ls")), reason="a decoder is installed"
)
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", "compressed as JPEG-LS Lossless Image Compression, for which no decoder is"),
        ("JPGExtended.dcm", "the pixel data cannot be decoded"),
    ],
)
def test_a_compression_without_a_decoder_names_the_packages(name, words):
    with pytest.raises(DataError) as caught:
        dicom.read_slice(get_testdata_file(name), rescale=(1, 0))
    for word in (name, words, '`pip install "python-gdcm>=3.0.10"`', '"pylibjpeg>=2.0" "pylibjpeg-libjpeg>=2.1"'):
        assert word in str(caught.value)


def test_a_transfer_syntax_without_images():
    dataset = ct()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.100"  # MPEG2
    with pytest.raises(DataError, match="pydicom reads no images in the transfer syntax 'MPEG2"):
        dicom.hounsfield(dataset)
    del dataset.file_meta.TransferSyntaxUID
    with pytest.raises(DataError, match="TransferSyntaxUID is missing"):
        dicom.hounsfield(dataset)


# ---------------------------------------------------------------------------------- the real files that pydicom carries


def test_the_real_slice():
    real = dicom.read_slice(get_testdata_file("CT_small.dcm"))
    assert real.hu.shape == (128, 128)
    assert (real.hu.min(), real.hu.max()) == (-896, 1167)
    assert real.header.patient_id == "1CT1"
    assert real.header.spacing == (0.661468, 0.661468)


def test_real_jpeg_2000():
    lossy = dicom.read_slice(get_testdata_file("693_J2KI.dcm")).hu
    assert lossy.shape == (512, 512)
    mismatched = dicom.read_slice(get_testdata_file("J2K_pixelrep_mismatch.dcm")).hu
    assert (mismatched.min(), mismatched.max()) == (-2000, 1896)  # its stream says unsigned, its header signed


@pytest.mark.parametrize(
    "name", ["MR_small_RLE", "MR_small_bigendian", "MR_small_implicit", "MR_small_jp2klossless", "MR_small_padded"]
)
def test_one_real_image_in_every_packaged_transfer_syntax(name):
    expected = dicom.read_slice(get_testdata_file("MR_small.dcm"), rescale=(1, 0)).hu
    np.testing.assert_array_equal(dicom.read_slice(get_testdata_file(f"{name}.dcm"), rescale=(1, 0)).hu, expected)
    with pytest.raises(dicom.NotCT, match="modality 'MR'"):
        dicom.read_slice(get_testdata_file(f"{name}.dcm"))


def test_a_real_truncated_file():
    with pytest.raises(DataError, match=r"MR_truncated\.dcm: the pixel data cannot be decoded"):
        dicom.read_slice(get_testdata_file("MR_truncated.dcm"), rescale=(1, 0))


def test_every_file_that_pydicom_carries_is_read_or_refused():
    read_as_ct, unnamed = set(), []
    for path in sorted(p for p in CARRIED.rglob("*") if p.is_file() and p.stat().st_size < 2**20):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                dicom.read_slice(path)
            except DataError as error:
                unnamed += [path.name] * (path.name not in str(error))
            else:
                read_as_ct.add(path.name)
    assert unnamed == []
    assert read_as_ct >= {"CT_small.dcm", "693_J2KI.dcm", "J2K_pixelrep_mismatch.dcm", "17136", "2062"}


def test_real_series():
    folder = CARRIED / "dicomdirtests"
    volume = dicom.read_series(folder / "98892001" / "CT5N")
    assert volume.hu.shape == (5, 16, 16)
    assert volume.spacing == pytest.approx((2.5, 0.488281, 0.488281))
    assert [h.position[2] for h in volume.headers] == pytest.approx([-1.2375, 1.2625, 3.7625, 6.2625, 8.7625])
    with pytest.raises(DataError, match=r"no CT image in DICOM format; 2 × localiser \(.*6293; .*6924\)"):
        dicom.read_series(folder / "98892001" / "CT2N")
    scouts = dicom.read_slice(folder / "98892001" / "CT2N" / "6293").header.series_uid
    with pytest.raises(DataError, match=r"two orientations in one series: .*CT2N"):
        dicom.read_series(folder / "98892001" / "CT2N", series_uid=scouts)
    # the first is the slice where the scan began, the others are 1.25 mm apart
    with pytest.raises(DataError, match=r"missing slices: 161 between \S*17106 \(-99\.48 mm\) and \S*17136"):
        dicom.read_series(folder / "77654033" / "CT2")
    with pytest.raises(DataError, match="holds 2 series: choose one by series_uid") as caught:
        dicom.read_series([folder / "98892001" / "CT5N", folder / "77654033" / "CT2"])
    assert "(5 slices)" in str(caught.value)
    uid = volume.headers[0].series_uid
    again = dicom.read_series([folder / "77654033", folder / "98892001" / "CT5N"], series_uid=uid)
    np.testing.assert_array_equal(again.hu, volume.hu)
    assert {kind: len(names) for kind, names in again.skipped.items()} == {dicom.FOREIGN: 3}  # computed radiographs
    with pytest.raises(DataError, match=r"no series 1\.9; it holds"):
        dicom.read_series(folder / "98892001" / "CT5N", series_uid="1.9")


def test_the_real_pairs_of_pydicom_data():
    """Two real slices, each stored plain and in JPEG 2000."""
    spec = importlib.util.find_spec("data_store")
    if spec is None:
        pytest.skip("the package pydicom-data is not installed")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    plain = dicom.read_slice(folder / "693_UNCR.dcm").hu
    np.testing.assert_array_equal(dicom.read_slice(folder / "693_J2KR.dcm").hu, plain)
    assert plain.min() == -1024  # the corners outside the field of view, stored as the padding value -2000
    lossy = dicom.read_slice(folder / "693_UNCI.dcm").hu
    np.testing.assert_array_equal(dicom.read_slice(get_testdata_file("693_J2KI.dcm")).hu, lossy)


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


def deflated(zeros):
    """A deflated file that holds little, and unpacks to so many zeros and more."""
    dataset = ct(syntax=DeflatedExplicitVRLittleEndian)
    dataset.add_new(0x00091010, "OB", bytes(zeros))
    dataset.add_new(0x00090010, "LO", "ZEROS")
    return dataset


def test_a_file_that_unpacks_to_far_more_than_it_is(tmp_path):
    small = write(deflated(2**22), tmp_path / "small.dcm")
    assert dicom.read_slice(small).hu.shape == (8, 6)
    path = write(deflated(2**27), tmp_path / "bomb.dcm")
    assert path.stat().st_size < 300_000
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"bomb\.dcm declares \d+ bytes and holds \d+, where up to 200 times"):
            dicom.read_slice(path)
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_sides_that_declare_far_more_than_is_there(syntax):
    dataset = ct()
    dataset.compress(RLELossless)
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.Rows = dataset.Columns = 65535
    refused(dataset, "(Rows, Columns, SamplesPerPixel, NumberOfFrames, BitsAllocated) declares 8589672450 bytes")
    dataset.Rows, dataset.NumberOfFrames = 8, 100_000_000
    with pytest.raises(DataError, match="declares"):
        dicom_frames.read_frames(dataset)


def test_a_palette_is_looked_up_where_colours_are_read():
    for entries, kind in ((256, "u1"), (256, "<u2"), (4, "<u2")):
        table = (np.arange(entries) * (256 // entries)).astype(kind) << (8 * (np.dtype(kind).itemsize - 1))
        palette = {
            f"{colour}PaletteColorLookupTable{what}": value
            for colour, values in zip(("Red", "Green", "Blue"), (table, table[::-1], table // 2), strict=True)
            for what, value in (
                ("Descriptor", [entries, 0, 8 * table.itemsize]),
                ("Data", values.astype(kind).tobytes()),
            )
        }
        stored = np.arange(4, dtype=np.uint8).reshape(2, 2)
        dataset = ct(stored, PhotometricInterpretation="PALETTE COLOR", Modality="US", **palette)
        found, unit = dicom_frames.read_frames(dataset)
        upper = [values.astype(int) >> 8 * (table.itemsize - 1) for values in (table, table[::-1], table // 2)]
        expected = [values[:4] for values in upper]
        np.testing.assert_array_equal(found.reshape(4, 3).T, expected)
        assert unit == "8-bit values"
    with pytest.raises(DataError, match="its palette of colours cannot be used"):
        dicom_frames.read_frames(ct(stored, PhotometricInterpretation="PALETTE COLOR", Modality="US"))


def test_frames_of_ct_in_another_unit_are_no_hounsfield_units():
    values = pydicom.Dataset()
    values.RescaleSlope, values.RescaleIntercept, values.RescaleType = 1, 0, "MGML"
    shared = pydicom.Dataset()
    shared.PixelValueTransformationSequence = [values]
    dataset = ct(SharedFunctionalGroupsSequence=[shared], RescaleSlope=None)
    with pytest.raises(DataError, match="RescaleType of frame 0 is 'MGML', not HU"):
        dicom_frames.read_frames(dataset)


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
