"""Images of one's own: closed forms on small arrays, and real bytes that Pillow, pydicom and nibabel wrote."""

import os
import re
import sys
import warnings

import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image, TiffImagePlugin
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from medlatent.data import DataError, Factor, ImageSet, describe_columns, split_by_group
from medlatent.data.labels import natural, read_table
from medlatent.data.picture_files import find_pictures
from medlatent.data.pixels import Fitting

pytestmark = pytest.mark.filterwarnings("ignore:split by:UserWarning", "ignore:no image lies in:UserWarning")
RANDOM = np.random.default_rng(0)


def grey(high=6, wide=8, dtype=np.uint8, top=256):
    return RANDOM.integers(0, top, (high, wide)).astype(dtype)


def png(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return pixels


def dicom(path, stored, modality="MR", **tags):
    """As an independent writer puts it: one frame ``(H, W)``, several ``(F, H, W)``, or colour ``(H, W, 3)``."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = pydicom.uid.generate_uid()
    dataset.SOPClassUID = pydicom.uid.MRImageStorage
    dataset.Modality = modality
    colour = stored.ndim == 3 and stored.shape[-1] == 3
    if stored.ndim == 3 and not colour:
        dataset.NumberOfFrames = len(stored)
    dataset.Rows, dataset.Columns = stored.shape[:2] if colour else stored.shape[-2:]
    dataset.SamplesPerPixel = 3 if colour else 1
    dataset.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * stored.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset.save_as(path, enforce_file_format=True)


def nifti(path, volume, affine=None, **header):
    image = nibabel.Nifti1Image(volume, np.eye(4) if affine is None else affine)
    if header:
        image.header.set_slope_inter(**header)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(image, path)


def refused(match, call, *arguments, **options):
    with pytest.raises(DataError, match=match):
        call(*arguments, **options)


def from_folder(*arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return ImageSet.from_folder(*arguments, **options)


# -------------------------------------------------------------------------------------------------------------- arrays


class TestLayout:
    @given(
        images=hnp.arrays(np.uint8, st.tuples(st.integers(1, 4), st.sampled_from([1, 3, 4]), *[st.integers(5, 9)] * 2))
    )
    @settings(max_examples=25, deadline=None)
    def test_each_layout_gives_the_same_images(self, images):
        """Channels first, last, and for one channel without an axis; as an array and as a list."""
        layouts = [images, np.moveaxis(images, 1, -1), list(images), list(np.moveaxis(images, 1, -1))]
        if images.shape[1] == 1:
            layouts += [images[:, 0], list(images[:, 0])]
        for layout in layouts:
            made = ImageSet.from_arrays(layout)
            assert np.array_equal(made.images, images)
            assert made.images.dtype == np.uint8
            assert made.value_range == (0, 255)

    @pytest.mark.parametrize("shape", [(2, 3, 5, 3), (2, 3, 3, 3), (2, 1, 8, 4)])
    def test_an_ambiguous_layout_asks(self, shape):
        images = np.zeros(shape, np.uint8)
        refused(r"both may hold the channels; pass channels='first' or channels='last'", ImageSet.from_arrays, images)
        assert ImageSet.from_arrays(images, channels="first").images.shape == shape
        assert ImageSet.from_arrays(images, channels="last").images.shape == (shape[0], shape[3], *shape[1:3])

    def test_so_does_one_without_any(self):
        images = np.zeros((2, 5, 6, 7), np.uint8)
        refused("the axes of 5 and 7: neither is 1, 3 or 4; pass channels", ImageSet.from_arrays, images)
        assert ImageSet.from_arrays(images, channels="first").images.shape == (2, 5, 6, 7)

    def test_one_colour_image_is_not_taken_for_many_narrow_ones(self):
        image = np.zeros((8, 9, 3), np.uint8)
        refused(r"pass images\[None\] for the one, channels='none' for the other", ImageSet.from_arrays, image)
        assert ImageSet.from_arrays(image[None]).images.shape == (1, 3, 8, 9)
        assert ImageSet.from_arrays(image, channels="none").images.shape == (8, 1, 9, 3)

    @pytest.mark.parametrize(
        ("images", "options", "match"),
        [
            ([], {}, "images: there are none"),
            (np.zeros((0, 4, 4), np.uint8), {}, "expected the shape"),
            (np.zeros((4, 4), np.uint8), {}, r"expected the shape \(N, H, W\)"),
            (np.zeros((2, 5, 5), np.uint8), {"channels": "last"}, "has no axis for them"),
            (np.zeros((2, 3, 5, 5), np.uint8), {"channels": "none"}, "has an axis more than that"),
            (np.zeros((2, 5, 5), np.uint8), {"channels": "middle"}, "channels: 'middle' is unknown"),
            (np.zeros((2, 5, 5), complex), {}, r"complex numbers \(complex128\)"),
            ([np.zeros((5, 5)), np.zeros((5, 5), complex)], {}, "image 1: complex numbers"),
            (np.array([["a"]]), {}, "no kind of grey value"),
            (np.ma.masked_equal([[[1, 2]], [[3, 4]]], 4), {}, "image 1 is masked"),
            (
                [np.zeros((5, 5)), np.zeros((5, 6))],
                {},
                r"2 different sizes \(5×5: image 0; 5×6: image 1\): pass size=64",
            ),
            ([np.zeros((5, 5)), np.zeros((3, 5, 5))], {}, "2 different channels"),
        ],
    )
    def test_what_is_no_image_is_refused(self, images, options, match):
        refused(match, ImageSet.from_arrays, images, **options)

    def test_a_mask_without_a_masked_pixel_is_none(self):
        assert len(ImageSet.from_arrays(np.ma.masked_equal(np.ones((2, 5, 5), np.uint8), 7))) == 2

    def test_tensors_are_arrays(self):
        images = torch.rand(2, 1, 6, 6)
        assert torch.allclose(ImageSet.from_arrays(images).batch([0, 1]), images, atol=1e-4)


class TestValues:
    def test_floats_that_bytes_hold_become_bytes_again(self):
        stored = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
        for dtype in (np.float32, np.float64):
            for low, high in ((0, 1), (-1, 1), (0, 255), (-1000, 2000)):
                images = (stored / 255 * (high - low) + low).astype(dtype)
                made = ImageSet.from_arrays(images, value_range=(low, high))
                assert np.array_equal(made.images[:, 0], stored)
                assert made.images.dtype == np.uint8
                assert made.value_range == (0, 255)
                assert "stored as bytes, which hold them all" in made.card.preprocessing

    @given(hnp.arrays(np.float32, (2, 4, 5), elements=st.floats(-1, 1, width=32)))
    @settings(max_examples=25, deadline=None)
    def test_other_floats_are_rounded_by_half_a_step_at_most(self, images):
        made = ImageSet.from_arrays(images, value_range=(-1, 1))
        error = np.abs(made.batch([0, 1])[:, 0].numpy() - (images + 1) / 2)
        assert error.max() <= 0.5 / 32767 + 1e-6

    def test_the_card_says_how_values_were_rounded(self):
        made = ImageSet.from_arrays(np.array([[[0, 0.1], [0.5, 1 / 3]]]))
        assert "values from 0 (black) to 1 (white), stored in steps of 3.05e-05: rounded by half of one at most" in (
            made.card.preprocessing
        )
        assert made.card.attributes == {"unit": "", "range": [0.0, 1.0]}

    def test_whole_numbers_stay_as_they_are(self):
        hu = np.array([[[-1024, 0], [40, 3071]]])
        for dtype in (np.int16, np.int32, np.int64, np.float32, np.float64):
            made = ImageSet.from_arrays(hu.astype(dtype), value_range=(-1024, 3071))
            assert np.array_equal(made.images[:, 0], hu)
            assert (made.images.dtype, made.value_range) == (np.int16, (-1024, 3071))

    def test_all_sixteen_bits_are_kept(self):
        images = np.array([[[0, 1], [40000, 65535]]], np.uint16)
        made = ImageSet.from_arrays(images, value_range=(0, 65535))
        assert np.array_equal(made.images[:, 0].astype(int) + 32768, images)
        assert "stored less 32768, without rounding" in made.card.preprocessing
        assert np.allclose(made.batch([0])[0, 0].numpy(), images[0] / 65535, atol=1e-7)

    def test_wider_numbers_are_scaled(self):
        made = ImageSet.from_arrays(np.array([[[0, 1_000_000]]]), value_range=(0, 1e6))
        assert made.images.ravel().tolist() == [0, 32767]

    def test_booleans_are_black_and_white(self):
        made = ImageSet.from_arrays(np.array([[[True, False]]]))
        assert made.batch([0]).ravel().tolist() == [1, 0]

    @pytest.mark.parametrize(
        ("dtype", "such"),
        [
            (np.int16, r"int16 from -1 to 9: pass value_range=\(low, high\)"),
            (np.float32, r"float32 from -1 to 9: pass"),
        ],
    )
    def test_a_range_is_never_guessed(self, dtype, such):
        refused(such, ImageSet.from_arrays, np.array([[[-1, 9]]], dtype))
        refused(r"\(0, 65535\) where all 16 bits are used", ImageSet.from_arrays, np.array([[[1, 9]]], np.uint16))
        refused(r"\(-1, 1\) where black is -1", ImageSet.from_arrays, np.array([[[-1, 0.5]]]))

    @pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("size", [None, 4])
    def test_what_is_no_number_names_its_image(self, wrong, size):
        images = np.zeros((3, 5, 5))
        images[2, 1, 4] = wrong
        refused(r"image 2: the pixel \(1, 4\) is (NaN, no number|infinite)", ImageSet.from_arrays, images, size=size)

    def test_so_does_what_lies_outside_of_the_range(self):
        images = np.array([[[0, 1.0]], [[0, 1.5]], [[-2, 0]]])
        refused(r"image 1: values from 0 to 1.5, outside .* 0 to 1 \(2 of 3 images leave it\)", ImageSet.from_arrays,
                images, value_range=(0, 1))  # fmt: skip
        made = ImageSet.from_arrays(images, value_range=(0, 1), clip=True)
        assert made.batch([0, 1, 2]).flatten(1).tolist() == [[0, 1], [0, 1], [0, 0]]
        assert "values outside of the range count as its ends (2 of 3 images have some)" in made.card.preprocessing
        kept = ImageSet.from_arrays(np.array([[[-3000, 3000]]], np.int16), value_range=(-1000, 2000), clip=True)
        assert kept.images.ravel().tolist() == [-3000, 3000]

    @pytest.mark.parametrize("given", [(1, 0), (0, 0), (0, np.inf), 5, ("a", "b"), (1, 2, 3)])
    def test_a_range_is_two_rising_numbers(self, given):
        refused("value_range: ", ImageSet.from_arrays, np.zeros((1, 5, 5)), value_range=given)


# ----------------------------------------------------------------------------------------------------------------- size


class TestSize:
    def test_halving_is_that_of_an_independent_triangle(self):
        image = RANDOM.random((1, 3, 24, 36)).astype(np.float32)
        small = Fitting((12, 18))(image[0], "")
        there = torch.nn.functional.interpolate(torch.from_numpy(image), (12, 18), mode="bilinear", antialias=True)
        assert np.allclose(small, there[0].numpy(), atol=1e-5)

    def test_whole_numbers_are_rounded_once_at_the_end(self):
        image = RANDOM.integers(-1000, 3000, (1, 30, 30)).astype(np.int16)
        exact = Fitting((10, 10))(image.astype(np.float64), "")
        assert np.array_equal(Fitting((10, 10))(image, ""), np.rint(exact))

    def test_a_constant_stays_one_and_nothing_overshoots(self):
        assert (Fitting((7, 5), "stretch")(np.full((1, 31, 17), 200, np.uint8), "") == 200).all()
        edge = np.zeros((1, 40, 40), np.uint8)
        edge[..., 20:] = 255
        assert set(np.unique(Fitting((40, 13), "stretch")(edge, "")[0, 0]).tolist()) >= {0, 255}

    def test_keep_shows_all_and_fills_the_rest(self):
        image = np.full((1, 10, 20), 100, np.uint8)
        made = Fitting((20, 20), "keep", 7)(image, "")
        assert (made[0, 5:15] == 100).all()
        assert (made[0, :5] == 7).all()
        assert (made[0, 15:] == 7).all()

    def test_crop_shows_the_centre(self):
        image = np.zeros((1, 10, 30), np.uint8)
        image[..., 10:20] = 255
        assert (Fitting((10, 10), "crop")(image, "") == 255).all()
        assert (Fitting((5, 5), "crop")(image, "")[..., 1:-1] == 255).all(), "a pixel mixes with what lies beside it"

    def test_stretch_shows_all(self):
        image = np.repeat(np.array([[[0, 90]]], np.uint8), 4, 1)
        assert (Fitting((4, 4), "stretch")(image, "")[0, :, [0, 3]] == [[0], [90]]).all()

    def test_the_same_shape_needs_no_decision(self):
        made = ImageSet.from_arrays([np.zeros((8, 12)), np.zeros((4, 6))], size=(2, 3))
        assert made.images.shape == (2, 1, 2, 3)
        assert "resized to 2×3 (antialiased, linear)" in made.card.preprocessing

    @pytest.mark.parametrize(
        ("options", "match"),
        [
            ({"size": 4}, r"image 0: 5×6 pixels have another shape than size, 4×4: pass fit='crop', fit='stretch', or"),
            ({"size": 4, "fit": "keep"}, "image 0: 5×6 pixels do not fill 4×4: pass the fill"),
            ({"size": 4, "fit": "keep", "fill": 300}, "fill: 300 is no value of image 0, which holds uint8"),
            ({"size": 4, "fit": "keep", "fill": 0.5}, "fill: 0.5 is no value of image 0"),
            ({"size": 4, "fit": "keep", "fill": np.nan}, "fill: nan is no value"),
            ({"size": 4, "fit": "crop", "fill": 0}, "fill: only fit='keep' fills"),
            ({"size": 4, "fit": "zoom"}, "fit: 'zoom' is unknown"),
            ({"fit": "crop"}, "fit: it is given with size, and size is not"),
            ({"size": (4, 5, 6)}, "size: expected a number of pixels"),
            ({"size": 4.5}, "size: expected a number of pixels"),
            ({"size": "64"}, "size: expected a number of pixels"),
            ({"size": True}, "size: expected a number of pixels"),
            ({"size": (0, 4)}, "size: sides are 2 to 4096 pixels, got 0×4"),
        ],
    )
    def test_nothing_is_decided_in_silence(self, options, match):
        refused(match, ImageSet.from_arrays, np.zeros((1, 5, 6), np.uint8), **options)


# ---------------------------------------------------------------------------------------------------------------- files


class TestFinding:
    def test_natural_order_at_any_depth_without_what_systems_leave(self, tmp_path):
        pictures = ("b/img10.PNG", "b/img2.png", "a.dcm", "B/x.tif", "c.nii.gz")
        of_systems = ("._b.png", ".DS_Store", "Thumbs.db", "__MACOSX/b/img2.png", ".cache/x.png", "b/desktop.ini",
                      "b/@eaDir/img2.png/A.jpg", "$RECYCLE.BIN/x.png", "System Volume Information/x.png")  # fmt: skip
        for name in (*pictures, *of_systems, "notes.txt", "labels.csv"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
        found = find_pictures(tmp_path)
        assert found.files == ["a.dcm", "b/img2.png", "b/img10.PNG", "B/x.tif", "c.nii.gz"]
        assert found.others == ["labels.csv", "notes.txt"]

    @given(st.lists(st.text("ab01_é", min_size=1, max_size=6), unique=True), st.randoms())
    @settings(max_examples=50)
    def test_the_order_is_not_that_of_the_file_system(self, names, random):
        shuffled = random.sample(names, len(names))
        assert sorted(shuffled, key=natural) == sorted(names, key=natural)

    def test_dicom_needs_no_ending(self, tmp_path):
        dicom(tmp_path / "IM0001", grey(dtype=np.uint16))
        dicom(tmp_path / "1.2.840.10008", grey(dtype=np.uint16))
        (tmp_path / "README").write_text("no picture")
        assert find_pictures(tmp_path) == (["1.2.840.10008", "IM0001"], ["README"])

    @pytest.mark.parametrize("length", [0, 100, 200])
    def test_dicom_without_an_ending_that_is_damaged_is_not_left_out(self, tmp_path, length):
        for k in range(4):
            dicom(tmp_path / f"IM{k:04}", grey(dtype=np.uint16))
        (tmp_path / "IM0002").write_bytes((tmp_path / "IM0002").read_bytes()[:length])
        (tmp_path / "README").write_text("no picture")
        assert find_pictures(tmp_path) == ([f"IM{k:04}" for k in range(4)], ["README"])
        refused("IM0002", ImageSet.from_folder, tmp_path, value_range=(0, 255))

    def test_a_folder_without_images_says_what_is_read(self, tmp_path):
        refused(r"no image in it; read are files that end in .png, .jpg, .*\.nii.gz", ImageSet.from_folder, tmp_path)
        refused("no such folder", ImageSet.from_folder, tmp_path / "gone")
        (tmp_path / "file").write_text("")
        refused("is a file: name its folder", ImageSet.from_folder, tmp_path / "file")

    def test_pictures_that_are_not_read_are_not_left_out(self, tmp_path):
        png(tmp_path / "a.png", grey())
        for k in range(7):
            (tmp_path / f"b{k}.bmp").write_bytes(b"")
        refused(r"not read: b0.bmp, b1.bmp, b2.bmp, b3.bmp, b4.bmp and 2 more; convert", ImageSet.from_folder, tmp_path)

    def test_links_that_are_not_followed_are_not_left_out_in_silence(self, tmp_path):
        png(tmp_path / "a.png", grey())
        (tmp_path / "b.png").symlink_to(tmp_path / "gone.png")
        (tmp_path / "c").symlink_to(tmp_path / "gone")
        (tmp_path / "d").symlink_to(tmp_path)
        assert find_pictures(tmp_path) == (["a.png", "b.png"], ["c", "d"])
        refused("b.png cannot be read", ImageSet.from_folder, tmp_path)

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
    def test_a_name_that_is_no_text(self, tmp_path):
        (tmp_path / os.fsdecode(b"a\xff.png")).write_bytes(b"")
        refused(r"the name 'a\\udcff\.png' is no text in UTF-8: rename the file", find_pictures, tmp_path)

    def test_other_files_are_told(self, tmp_path):
        png(tmp_path / "a.png", grey())
        (tmp_path / "notes.txt").write_text("")
        with pytest.warns(UserWarning, match="no images, and left out: notes.txt"):
            ImageSet.from_folder(tmp_path)


class TestPlainFiles:
    def test_each_kind_gives_back_its_pixels(self, tmp_path):
        rgb = RANDOM.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        png(tmp_path / "a.png", rgb)
        png(tmp_path / "b.tif", rgb)
        png(tmp_path / "c.tiff", rgb, compression="tiff_lzw")
        images = from_folder(tmp_path)
        assert np.array_equal(images.images, np.moveaxis(np.stack([rgb] * 3), -1, 1))
        assert images.table["file"].tolist() == ["a.png", "b.tif", "c.tiff"]
        assert images.card.name == tmp_path.name
        assert str(tmp_path.parent) not in repr(images.card)
        assert (images.card.licence, images.card.citation) == ("not stated", "not stated")

    def test_jpeg(self, tmp_path):
        smooth = np.tile(np.arange(0, 256, 8, dtype=np.uint8), (32, 1))
        png(tmp_path / "a.jpg", smooth, quality=95)
        assert np.abs(from_folder(tmp_path).images[0, 0].astype(int) - smooth).max() < 8

    @pytest.mark.parametrize("ending", ["png", "tif"])
    def test_sixteen_bits_do_not_saturate(self, tmp_path, ending):
        values = np.array([[0, 255, 256], [32768, 40000, 65535]], np.uint16)
        png(tmp_path / f"a.{ending}", values)
        images = from_folder(tmp_path, value_range=(0, 65535))
        assert np.allclose(images.batch([0])[0, 0].numpy() * 65535, values, atol=0.01)
        assert images.card.attributes == {"unit": "16-bit values", "range": [0.0, 65535.0]}
        refused("16-bit values from 0 to 65535: pass value_range", ImageSet.from_folder, tmp_path)

    def test_floats_of_a_tiff(self, tmp_path):
        png(tmp_path / "a.tif", np.array([[-0.5, 0.25]], np.float32))
        assert from_folder(tmp_path, value_range=(-1, 1)).batch([0]).ravel().tolist() == pytest.approx(
            [0.25, 0.625], 1e-4
        )

    @pytest.mark.parametrize("kind", ["together.tif", "planes.tif", "a.png"])
    def test_sixteen_bits_of_colour_are_not_cut_to_eight(self, tmp_path, kind):
        from skimage.io import imsave

        if kind == "a.png":
            (tmp_path / kind).write_bytes(png_of_16_bits())
        else:
            shape = (8, 9, 3) if kind == "together.tif" else (3, 8, 9)
            imsave(tmp_path / kind, np.full(shape, 40000, np.uint16), check_contrast=False)
        refused(
            f"{kind}: colours or transparency of more than 8 bits, which would be cut", ImageSet.from_folder, tmp_path
        )

    def test_pages_are_slices(self, tmp_path):
        pages = [grey() for _ in range(4)]
        first, *others = map(Image.fromarray, pages)
        first.save(tmp_path / "stack.tif", save_all=True, append_images=others)
        images = from_folder(tmp_path)
        assert np.array_equal(images.images[:, 0], pages)
        assert images.table["slice"].tolist() == [0, 1, 2, 3]
        assert images.group == "file"
        assert images.table["split"].nunique() == 1
        some = from_folder(tmp_path, slices=slice(1, None, 2))
        assert some.table["slice"].tolist() == [1, 3]
        assert np.array_equal(some.images[:, 0], pages[1::2])
        assert "slices 1::2" in some.card.preprocessing
        refused("stack.tif: none of its slices is chosen", ImageSet.from_folder, tmp_path, slices=slice(9, 12))
        refused("slices: expected a slice", ImageSet.from_folder, tmp_path, slices=3)

    @pytest.mark.parametrize("ending", ["jpg", "png", "tif"])
    def test_orientation_of_exif(self, tmp_path, ending):
        exif = Image.Exif()
        exif[0x0112] = 6  # the first row is the right-hand side
        pixels = np.zeros((16, 32), np.uint8)
        pixels[:, :16] = 255
        png(tmp_path / f"a.{ending}", pixels, exif=exif)
        images = from_folder(tmp_path)
        assert images.images.shape == (1, 1, 32, 16)
        assert images.images[0, 0, :14].min() > 240
        assert images.images[0, 0, 18:].max() < 15
        if ending != "jpg":
            assert np.array_equal(images.images[0, 0], np.rot90(pixels, -1))

    def test_an_orientation_that_exif_does_not_know_turns_nothing(self, tmp_path):
        exif = Image.Exif()
        exif[0x0112] = 77
        png(tmp_path / "a.png", pixels := grey(), exif=exif)
        made = from_folder(tmp_path)
        np.testing.assert_array_equal(made.images[0, 0], pixels)
        assert "EXIF" not in made.card.preprocessing

    def test_floats_whose_white_is_zero_are_refused(self, tmp_path):
        info = TiffImagePlugin.ImageFileDirectory_v2()
        info[262] = 0
        png(tmp_path / "a.tif", np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), tiffinfo=info)
        refused("a.tif: white is 0 in it", from_folder, tmp_path)

    def test_a_transparent_grey_of_sixteen_bits_is_refused(self, tmp_path):
        png(tmp_path / "a.png", grey(dtype=np.uint16, top=65536), transparency=1000)
        refused("a.png: colours or transparency of more than 8 bits", from_folder, tmp_path, value_range=(0, 65535))

    def test_a_palette_is_looked_up(self, tmp_path):
        picture = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
        picture.putpalette([10, 20, 30, 200, 100, 50])
        picture.save(tmp_path / "a.png")
        images = from_folder(tmp_path)
        assert images.images[0, :, 0].T.tolist() == [[10, 20, 30], [200, 100, 50]]
        assert "colours looked up in the palette" in images.card.preprocessing

    def test_one_bit_is_black_and_white(self, tmp_path):
        Image.fromarray(np.array([[0, 255]], np.uint8)).convert("1").save(tmp_path / "a.png")
        assert from_folder(tmp_path).images.ravel().tolist() == [0, 255]

    @pytest.mark.parametrize("grey", [False, True])
    def test_transparency_asks_unless_there_is_none(self, tmp_path, grey):
        pixels = np.array([[[100, 100, 100, 255], [200, 200, 200, 0]]], np.uint8)
        pixels = pixels[..., 2:] if grey else pixels
        png(tmp_path / "a.png", pixels)
        refused("a.png has transparent pixels: pass alpha='black' or 'white'", ImageSet.from_folder, tmp_path)
        for alpha, expected in (("drop", [100, 200]), ("black", [100, 0]), ("white", [100, 255])):
            images = from_folder(tmp_path, alpha=alpha)
            assert images.images[0, 0, 0].tolist() == expected
            assert images.images.shape[1] == (1 if grey else 3)
        pixels[..., -1] = 255
        png(tmp_path / "a.png", pixels)
        images = from_folder(tmp_path)
        assert images.images[0, 0, 0].tolist() == [100, 200]
        assert "opaque throughout left out" in images.card.preprocessing

    def test_grey_and_colour_are_made_alike_by_an_argument_only(self, tmp_path):
        png(tmp_path / "a.png", np.full((4, 4), 50, np.uint8))
        png(tmp_path / "b.png", np.full((4, 4, 3), (250, 0, 0), np.uint8))
        refused(r"1 × grey, such as a.png; 1 × colour, such as b.png\): pass colour='grey' or colour='rgb'",
                ImageSet.from_folder, tmp_path)  # fmt: skip
        one = from_folder(tmp_path, colour="grey")
        assert one.images[:, 0, 0, 0].tolist() == [50, 75]  # 0.299 of 250
        assert "colour made grey (ITU-R 601) (1 of 2 images)" in one.card.preprocessing
        assert from_folder(tmp_path, colour="rgb").images[:, :, 0, 0].tolist() == [[50] * 3, [250, 0, 0]]
        refused("colour: 'cmyk' is unknown", ImageSet.from_folder, tmp_path, colour="cmyk")

    def test_other_colours_are_refused_by_name(self, tmp_path):
        Image.new("CMYK", (4, 4)).save(tmp_path / "a.jpg")
        refused("a.jpg: CMYK is no kind of picture", ImageSet.from_folder, tmp_path)

    def test_bytes_and_sixteen_bits_are_not_mixed(self, tmp_path):
        png(tmp_path / "a.png", grey())
        png(tmp_path / "b.png", grey(dtype=np.uint16))
        refused("2 kinds of values .1 × 8-bit values, such as a.png; 1 × 16-bit values, such as b.png",
                ImageSet.from_folder, tmp_path, value_range=(0, 65535))  # fmt: skip

    def test_sizes_that_differ_say_what_to_pass(self, tmp_path):
        png(tmp_path / "a.png", grey(6, 8))
        png(tmp_path / "b.png", grey(8, 8))
        refused(r"2 different sizes \(6×8: a.png; 8×8: b.png\): pass size=64", ImageSet.from_folder, tmp_path)
        refused("a.png: 6×8 pixels have another shape", ImageSet.from_folder, tmp_path, size=4)
        assert from_folder(tmp_path, size=4, fit="crop").images.shape == (2, 1, 4, 4)

    def test_damaged_files_are_named_and_counted(self, tmp_path):
        for k in range(8):
            png(tmp_path / f"{k}.png", grey(40, 40))
        for k in range(1, 8):
            path = tmp_path / f"{k}.png"
            path.write_bytes(path.read_bytes()[:200])
        others = r"\(and of 6 others: 2.png, 3.png, 4.png, 5.png, 6.png and 1 more"
        refused(rf"1.png cannot be read \(.*\): get the file again, .*{others}", ImageSet.from_folder, tmp_path)
        (tmp_path / "1.png").write_text("no picture")
        refused("1.png cannot be read", ImageSet.from_folder, tmp_path)

    def test_an_animation_is_refused(self, tmp_path):
        first, second = Image.fromarray(grey()), Image.fromarray(grey())
        first.save(tmp_path / "a.png", save_all=True, append_images=[second])
        refused("a.png is an animation of 2 pictures", ImageSet.from_folder, tmp_path)

    def test_a_missing_package_is_named_with_what_brings_it(self, tmp_path, monkeypatch):
        png(tmp_path / "a.png", grey())
        monkeypatch.setitem(sys.modules, "PIL", None)
        with pytest.raises(
            ImportError, match=r'reading a.png needs the package PIL.*: pip install "medlatent\[data\]"'
        ):
            ImageSet.from_folder(tmp_path)


def png_of_16_bits():
    """RGB of 16 bits a channel, which Pillow does not write: the bytes of the standard."""
    import struct
    import zlib

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + struct.pack(">15H", *[40000] * 15) for _ in range(4))
    head = struct.pack(">IIBBBBB", 5, 4, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


class TestPercentiles:
    """Each series is scaled by itself: MR has no unit."""

    def test_two_scans_that_differ_by_scale_and_offset_become_the_same(self, tmp_path):
        volume = RANDOM.integers(0, 1000, (6, 8, 3)).astype(np.float32)
        nifti(tmp_path / "a.nii.gz", volume)
        nifti(tmp_path / "b.nii.gz", 3 * volume + 50)
        images = from_folder(tmp_path, percentiles=(2, 95))
        low, high = np.percentile(volume, (2, 95))
        first, second = images.batch(slice(0, 3)), images.batch(slice(3, 6))
        np.testing.assert_allclose(first, second, atol=1e-4)
        expected = ((volume - low) / (high - low)).clip(0, 1)
        np.testing.assert_allclose(np.sort(first.ravel()), np.sort(expected.ravel()), atol=1e-4)
        assert images.card.attributes["range"] == [0.0, 1.0]
        assert images.card.attributes["unit"] == ""
        assert "percentiles 2 and 95 of each series stand for black (0) and white (1)" in images.card.preprocessing

    def test_a_series_of_dicom_is_scaled_whole(self, tmp_path):
        """A dark slice stays darker than its neighbours; that of another series does not matter."""
        for series in ("1.2.3", "1.2.4"):
            for k in range(3):
                values = np.full((2, 2), 100 * k, np.uint16) * (1 if series == "1.2.3" else 7)
                dicom(tmp_path / f"{series}_{k}.dcm", values, SeriesInstanceUID=series)
        images = from_folder(tmp_path, percentiles=(0, 100))
        np.testing.assert_allclose(images.batch(slice(None))[:, 0, 0, 0], [0, 0.5, 1, 0, 0.5, 1], atol=1e-4)

    def test_other_files_stand_for_themselves_and_are_scaled_before_they_are_fitted(self, tmp_path):
        for name, top in (("a", 100), ("b", 40)):
            values = np.zeros((4, 8), np.uint8)
            values[:, 4:] = top
            png(tmp_path / f"{name}.png", values)
        images = from_folder(tmp_path, percentiles=(0, 100), size=8, fit="keep", fill=0.25)
        assert "of each image stand" in images.card.preprocessing
        np.testing.assert_allclose(images.batch([0]), images.batch([1]))
        np.testing.assert_allclose(images.batch([0])[0, 0, [0, -1]], 0.25, atol=1e-4)
        np.testing.assert_allclose(images.batch([0])[0, 0, 3, [0, -1]], [0, 1], atol=1e-4)

    def test_refused(self, tmp_path):
        png(tmp_path / "a.png", np.full((4, 4), 7, np.uint8))
        refused(r"a.png: 7 is its value at both percentiles, 1 and 99", from_folder, tmp_path, percentiles=(1, 99))
        refused("take the place of value_range", from_folder, tmp_path, percentiles=(1, 99), value_range=(0, 1))
        for wrong in ((99, 1), (0, 101), (-1, 50), (5, 5), (np.nan, 50)):
            refused("percentiles: expected 0 <= low < high <= 100", from_folder, tmp_path, percentiles=wrong)
        refused("percentiles: expected two numbers", from_folder, tmp_path, percentiles=5)
        dicom(tmp_path / "a.dcm", np.array([[5, 700]], np.uint16))
        (tmp_path / "a.png").unlink()
        refused(r"percentiles=\(1, 99\) of each series", from_folder, tmp_path)


class TestDicom:
    def test_ct_is_in_hounsfield_units(self, tmp_path):
        dicom(tmp_path / "a.dcm", np.array([[24, 1064]], np.uint16), "CT", RescaleSlope=1, RescaleIntercept=-1024)
        refused(r"HU from -1000 to 40: pass value_range=.*\(-1000, 2000\)", ImageSet.from_folder, tmp_path)
        images = from_folder(tmp_path, value_range=(-1000, 2000))
        assert images.images.ravel().tolist() == [-1000, 40]
        assert images.card.attributes == {"unit": "HU", "range": [-1000.0, 2000.0]}
        assert "HU from -1000 (black) to 2000 (white), stored as they are" in images.card.preprocessing

    def test_mr_is_in_its_own_unit(self, tmp_path):
        dicom(tmp_path / "2.dcm", np.array([[5, 700]], np.uint16))
        dicom(tmp_path / "10.dcm", np.array([[5, 10]], np.int16), RescaleSlope=2, RescaleIntercept=1)
        images = from_folder(tmp_path, value_range=(0, 1000))
        assert images.images[:, 0, 0].tolist() == [[5, 700], [11, 21]]
        assert images.card.attributes["unit"] == "MR values"

    def test_slopes_that_are_no_whole_numbers(self, tmp_path):
        dicom(tmp_path / "a.dcm", np.array([[0, 10]], np.uint16), "PT", RescaleSlope=0.25, RescaleIntercept=0)
        assert from_folder(tmp_path, value_range=(0, 5)).batch([0]).ravel().tolist() == pytest.approx(
            [0, 0.5], abs=1e-4
        )

    def test_frames_are_slices_each_with_its_own_slope(self, tmp_path):
        frames = []
        for slope in (1, 3):
            transformation, frame = Dataset(), Dataset()
            transformation.RescaleSlope, transformation.RescaleIntercept = slope, -1000
            transformation.RescaleType = "HU"
            frame.PixelValueTransformationSequence = [transformation]
            frames.append(frame)
        stored = np.array([[[0, 100]], [[0, 100]]], np.uint16)
        dicom(tmp_path / "a.dcm", stored, "CT", SharedFunctionalGroupsSequence=[Dataset()],
              PerFrameFunctionalGroupsSequence=frames)  # fmt: skip
        images = from_folder(tmp_path, value_range=(-1000, 2000))
        assert images.images[:, 0, 0].tolist() == [[-1000, -900], [-1000, -700]]
        assert images.table["slice"].tolist() == [0, 1]
        dicom(tmp_path / "a.dcm", stored, "CT")
        refused("a.dcm: frame 0 has no RescaleSlope", ImageSet.from_folder, tmp_path)

    def test_colour_and_bytes(self, tmp_path):
        rgb = RANDOM.integers(0, 256, (4, 6, 3), dtype=np.uint8)
        dicom(tmp_path / "a.dcm", rgb, "US")
        assert np.array_equal(np.moveaxis(from_folder(tmp_path).images[0], 0, -1), rgb)
        exact = rgb @ np.array([0.299, 0.587, 0.114])
        assert np.abs(from_folder(tmp_path, colour="grey").images[0, 0] - exact).max() <= 0.5
        dicom(tmp_path / "a.dcm", rgb[..., 0], "US")
        assert np.array_equal(from_folder(tmp_path).images[0, 0], rgb[..., 0])
        assert from_folder(tmp_path, colour="rgb").images.shape == (1, 3, 4, 6)

    def test_colours_of_a_palette_are_looked_up(self, tmp_path):
        tables = [np.arange(256)[::step].astype("<u2") << 8 for step in (1, -1)]
        palette = {f"{name}PaletteColorLookupTableDescriptor": [256, 0, 16] for name in ("Red", "Green", "Blue")}
        for name, table in zip(("Red", "Green", "Blue"), (*tables, tables[0]), strict=True):
            palette[f"{name}PaletteColorLookupTableData"] = table.tobytes()
        stored = grey()
        dicom(tmp_path / "a.dcm", stored, "US", PhotometricInterpretation="PALETTE COLOR", **palette)
        assert np.array_equal(from_folder(tmp_path).images[0], [stored, 255 - stored, stored])

    def test_objects_without_an_image_are_told(self, tmp_path):
        for name, kind in (
            ("report.dcm", "1.2.840.10008.5.1.4.1.1.88.33"),
            ("c/rs.dcm", "1.2.840.10008.5.1.4.1.1.481.3"),
        ):
            dicom(tmp_path / name, grey(), "SR", SOPClassUID=kind)
            dataset = pydicom.dcmread(tmp_path / name)
            dataset.file_meta.MediaStorageSOPClassUID = kind
            del dataset.PixelData
            dataset.save_as(tmp_path / name)
        refused("no image in it; DICOM objects that hold none: c/rs.dcm, report.dcm", ImageSet.from_folder, tmp_path)
        dicom(tmp_path / "a.dcm", grey(), "US")
        with pytest.warns(UserWarning, match=r"no images, and left out: c/rs\.dcm, report\.dcm"):
            assert len(ImageSet.from_folder(tmp_path)) == 1

    def test_low_values_that_are_bright_are_turned_round(self, tmp_path):
        dicom(tmp_path / "a.dcm", np.array([[0, 1000]], np.uint16), "DX", PhotometricInterpretation="MONOCHROME1",
              BitsStored=12, HighBit=11)  # fmt: skip
        images = from_folder(tmp_path, value_range=(0, 4095))
        assert images.images.ravel().tolist() == [4095, 3095]
        assert "MONOCHROME1 shown as MONOCHROME2" in images.card.preprocessing

    def test_padding_is_the_least_that_was_measured(self, tmp_path):
        dicom(tmp_path / "a.dcm", np.array([[65535, 7, 9]], np.uint16), "MG", PixelPaddingValue=65535)
        assert from_folder(tmp_path, value_range=(0, 9)).images.ravel().tolist() == [7, 7, 9]

    def test_tags_become_columns(self, tmp_path):
        for k in range(4):
            dicom(tmp_path / f"{k}.dcm", grey(dtype=np.uint8), "US", PatientID=f"p{k // 2}")
        images = from_folder(tmp_path, tags=["PatientID"], group="PatientID")
        assert images.table["PatientID"].tolist() == ["p0", "p0", "p1", "p1"]
        assert "split by PatientID" in images.card.preprocessing
        assert "PatientID" not in from_folder(tmp_path).table, "nobody asked for it"
        refused("tags: 'PatientNumber' is no keyword of DICOM", ImageSet.from_folder, tmp_path, tags=["PatientNumber"])

    def test_what_cannot_be_read_is_named(self, tmp_path):
        (tmp_path / "a.dcm").write_bytes(b"nothing")
        refused("a.dcm is no DICOM file", ImageSet.from_folder, tmp_path)
        dicom(tmp_path / "a.dcm", grey(), "US")
        content = (tmp_path / "a.dcm").read_bytes()
        (tmp_path / "a.dcm").write_bytes(content[:-20])
        refused("a.dcm", ImageSet.from_folder, tmp_path)
        dicom(tmp_path / "a.dcm", grey(), "CR", ModalityLUTSequence=[Dataset()])
        refused("a.dcm: its unit is given by a table", ImageSet.from_folder, tmp_path)


class TestNifti:
    def test_slices_lie_as_radiologists_look_at_them(self, tmp_path):
        volume = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
        for name, affine in (("ras", np.diag([1, 1, 1, 1])), ("lps", np.diag([-1, -1, 1, 1]))):
            nifti(tmp_path / name / "a.nii.gz", volume, affine)
        lps = from_folder(tmp_path / "lps", value_range=(0, 24))
        assert lps.images.shape == (4, 1, 3, 2)
        for k in range(4):
            assert np.array_equal(lps.images[k, 0], volume[:, :, k].T), "rows lead to the left, columns to the back"
        ras = from_folder(tmp_path / "ras", value_range=(0, 24))
        assert np.array_equal(ras.images, lps.images[..., ::-1, ::-1])
        assert ras.table["slice"].tolist() == [0, 1, 2, 3]
        assert "the patient's right on the left" in ras.card.preprocessing

    @pytest.mark.parametrize(("plane", "shape"), [("axial", (3, 2)), ("coronal", (4, 2)), ("sagittal", (4, 3))])
    def test_planes(self, tmp_path, plane, shape):
        """However the axes of a file are arranged, a plane shows the same."""
        volume = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
        shown = []
        for name, order in (("a", (0, 1, 2)), ("b", (2, 0, 1))):
            affine = np.eye(4)
            affine[:3, :3] = np.eye(3)[:, order]
            nifti(tmp_path / name / "v.nii", volume.transpose(order), affine)
            shown.append(from_folder(tmp_path / name, value_range=(0, 24), plane=plane).images)
        assert shown[0].shape[2:] == shape
        assert np.array_equal(*shown)
        if plane == "coronal":  # the head is above: the greatest z in the first row, the patient's right on the left
            assert shown[0][0, 0, 0, 0] == volume[1, 0, 3]

    def test_slope_and_intercept_and_four_axes(self, tmp_path):
        stored = np.arange(2 * 2 * 2 * 2, dtype=np.int16).reshape(2, 2, 2, 2)
        nifti(tmp_path / "a.nii", (stored * 2.0 - 1).astype(np.float32), slope=1, inter=0)
        images = from_folder(tmp_path, value_range=(-1, 29))
        assert images.table[["slice", "frame"]].to_numpy().tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
        assert images.group == "file"
        image = nibabel.Nifti1Image(stored[..., 0], np.eye(4))
        image.header.set_slope_inter(2, -1)
        nibabel.save(image, tmp_path / "a.nii")
        scaled = from_folder(tmp_path, value_range=(-1, 30))
        expected = nibabel.load(tmp_path / "a.nii").get_fdata()
        assert set(scaled.images.ravel().tolist()) == set(expected.ravel().tolist())

    def test_what_cannot_be_read_is_named(self, tmp_path):
        nifti(
            tmp_path / "a.nii.gz", np.zeros((30, 30, 30), np.int16) + RANDOM.integers(0, 99, (30, 30, 30)).astype("i2")
        )
        content = (tmp_path / "a.nii.gz").read_bytes()
        (tmp_path / "a.nii.gz").write_bytes(content[: len(content) // 2])
        refused("a.nii.gz cannot be read", ImageSet.from_folder, tmp_path)
        nifti(tmp_path / "a.nii.gz", np.zeros((2, 2, 2, 2, 3), np.int16))
        refused(r"a.nii.gz has the shape \(2, 2, 2, 2, 3\)", ImageSet.from_folder, tmp_path)
        nifti(tmp_path / "a.nii.gz", np.full((2, 2, 2), np.nan, np.float32))
        refused(r"a.nii.gz slice 0: the pixel \(0, 0\) is NaN", ImageSet.from_folder, tmp_path)


# --------------------------------------------------------------------------------------------------------------- labels


@pytest.fixture
def scans(tmp_path):
    """Twelve pictures of six patients, in a folder for each."""
    for patient in range(6):
        for k in range(2):
            png(tmp_path / "scans" / f"p{patient}" / f"img{patient}{k}.png", grey())
    return tmp_path / "scans"


def csv(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


class TestTable:
    @pytest.mark.parametrize(
        "written", ["p{p}/img{p}{k}.png", "p{p}/img{p}{k}", "img{p}{k}.png", "img{p}{k}", "./p{p}\\img{p}{k}.png"]
    )
    def test_files_are_named_in_any_way(self, scans, tmp_path, written):
        rows = [f"{written.format(p=p, k=k)},{10 * p + k}" for p in range(6) for k in range(2)]
        table = csv(tmp_path / "labels.csv", ["which,number", *rows[::-1]])
        images = from_folder(scans, table)
        assert images.table["number"].tolist() == [10 * p + k for p in range(6) for k in range(2)]
        assert ("which" in images.table) != (written == "p{p}/img{p}{k}.png")

    def test_what_does_not_belong_together_is_listed(self, scans, tmp_path):
        names = [f"img{p}{k}" for p in range(6) for k in range(2)]
        part = csv(tmp_path / "part.csv", ["file,x", *(f"{name},1" for name in names[:4])])
        refused(r"part.csv: 8 files without a row: 'p2/img20.png', .*'p4/img40.png' and 3 more; add them",
                ImageSet.from_folder, scans, part)  # fmt: skip
        more = csv(tmp_path / "more.csv", ["file,x", *(f"{name},1" for name in [*names, *"abcdefg", ""])])
        refused(r"more.csv: 8 rows without a file: 'a', 'b', 'c', 'd', 'e' and 3 more; take them out",
                ImageSet.from_folder, scans, more)  # fmt: skip
        twice = csv(tmp_path / "twice.csv", ["file,x", *(f"{name},1" for name in [*names, names[0]])])
        refused(r"rows 0 and 12 are both of 'p0/img00.png': keep one", ImageSet.from_folder, scans, twice)

    def test_a_name_that_two_files_have_asks_for_the_path(self, tmp_path):
        for folder in "ab":
            png(tmp_path / "scans" / folder / "1.png", grey())
        table = csv(tmp_path / "t.csv", ["file,x", "1.png,1"])
        refused(
            "'1.png' is the name of a/1.png and b/1.png: write the path",
            ImageSet.from_folder,
            tmp_path / "scans",
            table,
        )

    def test_which_column_names_the_files(self, scans, tmp_path):
        names = [f"img{p}{k}" for p in range(6) for k in range(2)]
        none = csv(tmp_path / "none.csv", ["who,x", *(f"w{name},1" for name in names)])
        refused("none.csv: no column names the files, such as 'p0/img00.png'; its columns are who, x",
                ImageSet.from_folder, scans, none)  # fmt: skip
        two = pd.DataFrame({"left": names, "right": names[::-1]})
        refused("left and right may both name the files; choose with file_column", ImageSet.from_folder, scans, two)
        assert from_folder(scans, two, file_column="right").table["right"].tolist() == names
        refused("file_column: the table has no column 'up'", ImageSet.from_folder, scans, two, file_column="up")
        refused("file_column: it is a column of the table", ImageSet.from_folder, scans, file_column="up")
        clash = pd.DataFrame({"image": names, "file": "x"})
        refused("the column 'file' is not the one that names the files", ImageSet.from_folder, scans, clash)

    def test_the_table_may_lie_in_the_folder(self, scans):
        csv(scans / "labels.csv", ["file,x", *(f"img{p}{k},{p}.5" for p in range(6) for k in range(2))])
        images = from_folder(scans, "labels.csv")
        assert images.table["x"].tolist() == [p + 0.5 for p in range(6) for k in range(2)]

    def test_rows_of_slices(self, tmp_path):
        nifti(tmp_path / "scans" / "v.nii.gz", np.zeros((4, 4, 3), np.uint8))
        rows = [f"v,{k},{k * 0.5}" for k in range(3)]
        images = from_folder(tmp_path / "scans", csv(tmp_path / "t.csv", ["file,slice,x", *rows]))
        assert images.table["x"].tolist() == [0, 0.5, 1]
        table = csv(tmp_path / "t.csv", ["file,slice,x", *rows[:2]])
        refused("1 file without a row: 'v.nii.gz' slice 2", ImageSet.from_folder, tmp_path / "scans", table)
        table = csv(tmp_path / "t.csv", ["file,slice,x", *rows, "v,3,1"])
        refused("1 row without a picture: 'v.nii.gz' slice 3", ImageSet.from_folder, tmp_path / "scans", table)
        table = csv(tmp_path / "t.csv", ["file,slice,x", *rows[:2], "v,top,1"])
        refused("row 2 has 'top' for its slice", ImageSet.from_folder, tmp_path / "scans", table)
        whole = from_folder(tmp_path / "scans", csv(tmp_path / "t.csv", ["file,x", "v,7"]))
        assert whole.table["x"].tolist() == [7, 7, 7], "a row of a file is that of each of its slices"

    @pytest.mark.parametrize(
        ("content", "match"),
        [
            (b"", "this has 0 lines"),
            (b"a,b\n", "this has 1 lines"),
            (b"a,b\n1\n", "row 2 has 1 values, the line of names has 2"),
            (b"a,a\n1,2\n", "two columns are called 'a'"),
            (b"a,\n1,x\n", "column 2 has no name"),
            ("a,b\né,1\n".encode("latin-1"), "is not in UTF-8"),
            (b'a,b\n"x,1\n', "cannot be read as a table"),
        ],
    )
    def test_what_is_no_table_is_refused(self, tmp_path, content, match):
        (tmp_path / "t.csv").write_bytes(content)
        refused(match, read_table, tmp_path / "t.csv")

    def test_no_such_table(self, tmp_path):
        refused("no such file", read_table, tmp_path / "t.csv")
        refused("labels are read from .csv", read_table, tmp_path / "t.xlsx")
        refused("two columns are called 'a'", read_table, pd.DataFrame([[1, 2]], columns=["a", "a"]))

    def test_separators_marks_and_missing_words(self, tmp_path):
        (tmp_path / "t.csv").write_bytes(
            "\ufeffname;x;code;y\r\na;1,5;007;NA\r\n\r\n'b;c';2;010;3\r\n".replace("'", '"').encode()
        )
        table, called = read_table(tmp_path / "t.csv")
        assert called == "t.csv"
        assert table["name"].tolist() == ["a", "b;c"]
        assert table["x"].tolist() == [1.5, 2]
        assert table["code"].tolist() == ["007", "010"]
        assert table["y"].isna().tolist() == [True, False]
        pd.DataFrame({"v": [1, 2]}).to_csv(tmp_path / "p.csv")
        assert read_table(tmp_path / "p.csv")[0]["v"].tolist() == [1, 2]


class TestKinds:
    COLUMNS = {  # noqa: RUF012
        "sick": [0, 1, 0, 1],
        "smoker": ["yes", "no", "yes", None],
        "age": [50.5, 61, None, 70],
        "grade": ["II", "I", "II", "I"],
        "note": ["a", "b", "c", "d"],
        "scan_nr": [4, 3, 9, 8],
        "patient": ["x", "x", "y", "y"],
        "hospital": [1, 1, 1, 1],
        "hole": ["u", None, "u", "v"],
    }

    def test_guessed_and_shown(self):
        with pytest.warns(UserWarning, match="hole") as told:
            made = ImageSet.from_arrays(np.zeros((4, 5, 5), np.uint8), pd.DataFrame(self.COLUMNS), seed=3)
        assert {name: factor.kind for name, factor in made.factors.items()} == {
            "sick": "binary", "smoker": "binary", "age": "continuous", "grade": "categorical",
        }  # fmt: skip
        assert made.factors["grade"].values == ("I", "II")
        assert made.table["smoker"].tolist()[:3] == [1, 0, 1]
        said = "\n".join(str(one.message) for one in told)
        assert "hole lacks a value in 1 rows, so it is no categorical factor" in said
        assert "age lacks a value in 1 of 4 rows" in said
        assert "perhaps the column 'patient' says it" in said
        assert "age lacks a value" in made.card.preprocessing
        shown = {line.split()[0]: line.split()[1:] for line in describe_columns(made).splitlines()}
        assert shown["column"] == ["kind", "values", "missing"]
        assert shown["sick"] == ["binary", "0:", "2,", "1:", "2", "0"]
        assert shown["age"] == ["continuous", "50.5", "to", "70", "1"]
        assert shown["grade"] == ["categorical", "I:", "2,", "II:", "2", "0"]
        assert shown["note"] == ["plain", "4", "different,", "such", "as", "a", "0"]
        assert shown["hospital"] == ["plain", "1", "0"]

    def test_overridden(self):
        kinds = {"sick": "categorical", "age": "plain", "scan_nr": "continuous", "grade": "plain"}
        meaning = Factor("whether they smoke", "binary")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = ImageSet.from_arrays(
                np.zeros((4, 5, 5), np.uint8), pd.DataFrame(self.COLUMNS), kinds | {"smoker": meaning}, group="patient"
            )
        assert {name: factor.kind for name, factor in made.factors.items()} == {
            "sick": "categorical", "smoker": "binary", "scan_nr": "continuous",
        }  # fmt: skip
        assert made.factors["smoker"] is meaning
        assert made.table["sick"].tolist() == ["0", "1", "0", "1"]
        assert made.group == "patient"
        assert made.table.groupby("patient")["split"].nunique().max() == 1

    @pytest.mark.parametrize(
        ("factors", "match"),
        [
            ({"nothing": "binary"}, "factors: the table has no column 'nothing'; it has sick"),
            ({"sick": "ordinal"}, "'sick' is to be 'ordinal': use continuous, binary, categorical, plain, or a Factor"),
            ({"note": "continuous"}, "'note' is to be continuous, numbers, and row 0 holds 'a'"),
            ({"note": "binary"}, "'note' is to be binary, 0 and 1, true and false, yes and no, and row 0 holds 'a'"),
            ({"age": "binary"}, "'age' is to be binary, 0 and 1, and row 0 holds 50.5"),
            ({"hole": "categorical"}, "'hole' lacks a value in 1 rows: a categorical factor has one in each"),
        ],
    )
    def test_a_kind_that_the_values_have_not(self, factors, match):
        refused(match, ImageSet.from_arrays, np.zeros((4, 5, 5), np.uint8), pd.DataFrame(self.COLUMNS), factors)

    def test_one_row_an_image(self):
        refused("the table: 4 rows for 3 images", ImageSet.from_arrays, np.zeros((3, 5, 5), np.uint8),
                pd.DataFrame(self.COLUMNS))  # fmt: skip

    def test_folders_may_be_labels(self, tmp_path):
        for k in range(6):
            png(tmp_path / ("benign", "malignant")[k % 2] / f"{k}.png", grey())
        images = from_folder(tmp_path)
        assert images.factors["folder"].values == ("benign", "malignant")
        assert list(from_folder(tmp_path, factors={"folder": "plain"}).factors) == []
        assert from_folder(tmp_path, group="folder").factors == {}


class TestSplits:
    def test_by_the_table_whatever_it_calls_them(self):
        table = pd.DataFrame({"split": ["Train", "val", "TEST", "test"], "patient": ["a", "b", "c", "c"]})
        with pytest.warns(UserWarning, match="of the column split, TEST is test, Train is train, val is validation"):
            made = ImageSet.from_arrays(np.zeros((4, 5, 5), np.uint8), table, group="patient")
        assert made.table["split"].tolist() == ["train", "validation", "test", "test"]
        assert "split as the table says" in made.card.preprocessing
        with pytest.raises(DataError, match="fractions: the table has a column split"):
            ImageSet.from_arrays(np.zeros((4, 5, 5), np.uint8), table, fractions={"train": 1})
        refused("column 'split' holds 'holdout'", from_folder_of, np.zeros((1, 5, 5), np.uint8), ["holdout"])
        refused("row 0 has no split", from_folder_of, np.zeros((1, 5, 5), np.uint8), [None])
        wrong = pd.DataFrame({"split": ["train", "test"], "patient": ["a", "a"]})
        refused(
            "patient 'a' lies in two splits",
            ImageSet.from_arrays,
            np.zeros((2, 5, 5), np.uint8),
            wrong,
            group="patient",
        )

    def test_without_a_group_it_is_said(self):
        with pytest.warns(
            UserWarning, match="split by image .*was not said: those of one patient may lie in two splits"
        ):
            made = ImageSet.from_arrays(np.zeros((40, 5, 5), np.uint8))
        assert "those of one patient may lie in two splits" in made.card.preprocessing
        assert set(made.table["split"]) == {"train", "validation", "test"}
        assert made.group is None

    def test_an_empty_split_is_said_with_what_to_do(self):
        images = np.zeros((3, 5, 5), np.uint8)
        for options, instead in (
            ({"fractions": {"train": 1}}, "validation or test: .*; give the table a column split"),
            ({"table": pd.DataFrame({"split": ["train"] * 3})}, "validation or test: .*; correct the column split"),
        ):
            with pytest.warns(UserWarning, match=f"no image lies in the split {instead}"):
                ImageSet.from_arrays(images, **options)
        poor = next(seed for seed in range(99) if "test" not in split_by_group(range(3), seed=seed))
        with pytest.warns(UserWarning, match=r"no image lies in .*; seed \d+ leaves none empty") as told:
            ImageSet.from_arrays(images, seed=poor)
        seed = int(re.search(r"seed (\d+) leaves", str(told[-1].message))[1])
        assert set(ImageSet.from_arrays(images, seed=seed).table["split"]) == {"train", "validation", "test"}

    def test_a_group_that_is_not_there(self):
        refused("group: there is no column 'patient'; there are none", ImageSet.from_arrays,
                np.zeros((2, 5, 5), np.uint8), group="patient")  # fmt: skip

    @pytest.mark.parametrize("field", ["name", "source", "licence", "citation"])
    def test_the_card_holds_text(self, field):
        refused(f"{field}: expected text", ImageSet.from_arrays, np.zeros((2, 5, 5), np.uint8), **{field: " "})


def from_folder_of(images, splits):
    return ImageSet.from_arrays(images, pd.DataFrame({"split": splits}))


def test_what_is_made_is_what_is_loaded(scans, tmp_path):
    table = csv(tmp_path / "t.csv", ["file,p,x", *(f"img{p}{k},{p:03d},{p / 7}" for p in range(6) for k in range(2))])
    images = from_folder(scans, table, group="p", size=(4, 6), fit="stretch", name="mine", licence="CC0-1.0")
    images.save(tmp_path / "set")
    loaded = ImageSet.load(tmp_path / "set")
    assert loaded.fingerprint == images.fingerprint
    assert loaded.card == images.card
    assert loaded.factors == images.factors
    pd.testing.assert_frame_equal(loaded.table, images.table, check_dtype=False)
    assert re.fullmatch("12 files; resized to 4×6.*; split by p .*", loaded.card.preprocessing)
    assert os.fspath(tmp_path) not in (tmp_path / "set/card.json").read_text("utf-8")


def test_pictures_are_let_go_while_the_set_is_made():
    """The list is emptied, so that all images are not in memory twice."""
    from medlatent.data.pixels import stored

    pictures = [np.full((1, 4, 4), k, np.uint8) for k in range(3)]
    kept = stored(pictures, str, None)
    assert pictures == [None] * 3
    assert kept.images[:, 0, 0, 0].tolist() == [0, 1, 2]
