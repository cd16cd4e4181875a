"""Hounsfield units from DICOM files: written and read back, the real files that pydicom carries, all faults."""

import contextlib
import importlib.util
import io
import struct
import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_cases import RNG, SYNTAXES, ct, read, refused, write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.data import get_testdata_file
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from medlatent.data import DataError, dicom, dicom_frames

CARRIED = Path(get_testdata_file("CT_small.dcm")).parent


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
        ({"RescaleSlope": None}, "RescaleSlope is missing, so its Hounsfield units are unknown; where you know them"),
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
        ({"SamplesPerPixel": 0}, "SamplesPerPixel is '0', where one of 1, 3, 4 is expected"),
        ({"PhotometricInterpretation": "MONOCHROMA2"}, "PhotometricInterpretation is 'MONOCHROMA2', where one of MONO"),
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


# ------------------------------------------------------------------------------------- limits, and other modalities


def deflated(zeros):
    """A deflated file that holds little, and unpacks to so many zeros and more."""
    dataset = ct(syntax=DeflatedExplicitVRLittleEndian)
    dataset.add_new(0x00091010, "OB", bytes(zeros))
    dataset.add_new(0x00090010, "LO", "ZEROS")
    return dataset


def test_a_file_that_unpacks_to_far_more_than_it_is(tmp_path):
    small = write(deflated(2**22), tmp_path / "small.dcm")
    for behind in (b"", b"\0", b"\0\0"):  # one of them makes an odd length even
        assert dicom.read_slice(io.BytesIO(small.read_bytes() + behind)).hu.shape == (8, 6)
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
