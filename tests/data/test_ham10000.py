"""HAM10000 packed from its official layouts: known moments, everything that can be wrong, the real files."""

import copy
import io
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medlatent.data import DataError, ImageSet, find_source, ham10000, open_images, split_by_group

SKIN, LESION = (220, 170, 150), (90, 50, 40)
CLASSES = ("nv", "mel", "bkl", "bcc", "akiec", "vasc", "df")


def ellipse(height, width, angle, a=90.0, b=45.0, x=None, y=None):
    """A mask: an ellipse whose major axis is ``angle`` degrees counter-clockwise from the horizontal, as displayed."""
    rows, columns = np.mgrid[:height, :width] + 0.5
    dx = columns - (width / 2 if x is None else x)
    dy = (height / 2 if y is None else y) - rows  # upwards
    t = np.radians(angle)
    return ((dx * np.cos(t) + dy * np.sin(t)) / a) ** 2 + ((dy * np.cos(t) - dx * np.sin(t)) / b) ** 2 <= 1


def jpeg(mask, width=200, height=150):
    image = Image.fromarray(np.where(mask[..., None], LESION, SKIN).astype(np.uint8))
    return encoded(image.resize((width, height), Image.Resampling.BOX), "JPEG", quality=95)


def png(mask, palette=False):
    if palette:  # as in 402 official masks, where index 0 is white
        image = Image.fromarray(np.where(mask, 0, 255).astype(np.uint8))
        image.putpalette([level for index in range(256) for level in 3 * [255 - index]])
        return encoded(image, "PNG")
    return encoded(Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)), "PNG")


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


class Source:
    """The files of a publication before they are written, so that a test can spoil any of them."""

    def __init__(self, n=12):
        self.ids = [f"ISIC_{24306 + i:07d}" for i in range(n)]
        self.angles = np.linspace(-90, 75, n)
        self.masks = [ellipse(450, 600, angle) for angle in self.angles]
        self.images = {f"{i}.jpg": jpeg(m) for i, m in zip(self.ids, self.masks, strict=True)}
        self.pngs = {
            f"{i}_segmentation.png": png(m, palette=k % 2 == 1)
            for k, (i, m) in enumerate(zip(self.ids, self.masks, strict=True))
        }
        self.table = pd.DataFrame(
            {
                "lesion_id": [f"HAM_{k // 2:07d}" for k in range(n)],
                "image_id": self.ids,
                "dx": [CLASSES[k // 2 % 7] for k in range(n)],
                "dx_type": "histo",
                "age": ["" if k == 3 else f"{5.0 * k}" for k in range(n)],
                "sex": ["female", "male", "unknown"] * (n // 3),
                "localization": ["back", ""] * (n // 2),
            }
        )

    def write_zip(self, name, files, prefix=""):
        self.folder.mkdir(exist_ok=True)
        with zipfile.ZipFile(self.folder / name, "w") as archive:
            for file, content in files.items():
                archive.writestr(prefix + file, content)

    def write(self):
        """The layout of the Dataverse."""
        half = len(self.images) // 2
        files = list(self.images.items())
        self.write_zip("HAM10000_images_part_1.zip", dict(files[:half]))
        self.write_zip("HAM10000_images_part_2.zip", dict(files[half:]))
        extra = {"__MACOSX/._" + name: b"\0\5\x16\7" for name in self.pngs}
        self.write_zip("HAM10000_segmentations_lesion_tschandl.zip", self.pngs | extra)
        self.table.sample(frac=1, random_state=0).to_csv(self.folder / "HAM10000_metadata.csv", index=False)
        return self.folder

    def task3_tables(self):
        """The class table and the lesion groupings of ISIC 2018 Task 3."""
        names = [c.upper() for c in ("mel", "nv", "bcc", "akiec", "bkl", "df", "vasc")]
        flags = {name: (self.table["dx"] == name.lower()).astype(float) for name in names}
        classes = pd.DataFrame({"image": self.ids, **flags})
        groups = pd.DataFrame(
            {"image": self.ids, "lesion_id": self.table["lesion_id"], "diagnosis_confirm_type": "histopathology"}
        )
        return classes, groups

    def write_task3(self):
        classes, groups = self.task3_tables()
        name = "ISIC2018_Task3_Training_GroundTruth"
        self.write_zip("ISIC2018_Task3_Training_Input.zip", self.images, "ISIC2018_Task3_Training_Input/")
        self.write_zip(f"{name}.zip", {f"{name}.csv": classes.to_csv(index=False), "LICENSE.txt": "CC"}, f"{name}/")
        groups.to_csv(self.folder / "ISIC2018_Task3_Training_LesionGroupings.csv", index=False)
        return self.folder

    def write_task1(self, images=True):
        if images:
            name = "ISIC2018_Task1-2_Training_Input"
            self.write_zip(f"{name}.zip", self.images | {"ATTRIBUTION.txt": "ISIC"}, f"{name}/")
        name = "ISIC2018_Task1_Training_GroundTruth"
        self.write_zip(f"{name}.zip", self.pngs, f"{name}/")
        return self.folder


@pytest.fixture(scope="module")
def drawn():
    return Source()


@pytest.fixture
def source(drawn, tmp_path):
    source = copy.deepcopy(drawn)
    source.folder = tmp_path / "source"
    return source


@pytest.fixture
def pack(tmp_path):
    def pack(folder, **options):
        return ham10000.pack(folder, tmp_path / "packed", **{"workers": 1, "progress": False, **options})

    return pack


@pytest.fixture
def refused(tmp_path, pack):
    """Packing fails with all these words in one message, and leaves nothing behind."""

    def refused(folder, *words, **options):
        with pytest.raises(DataError) as caught:
            pack(folder, **options)
        for word in words:
            assert word in str(caught.value)
        assert [p.name for p in tmp_path.iterdir()] == ["source"]

    return refused


# --------------------------------------------------------------------------------------------- what is packed, and how


def test_the_dataverse_layout(source, pack):
    images = pack(source.write())
    table = images.table
    assert images.images.shape == (12, 3, 64, 64)
    assert images.images.dtype == np.uint8
    assert list(table["image_id"]) == source.ids
    assert list(table["dx"]) == list(source.table["dx"])
    assert list(table["lesion_id"]) == list(source.table["lesion_id"])
    assert list(table["site"][:2]) == ["back", "unknown"]
    assert np.isnan(table["age"][3])
    assert table["age"][4] == 20
    assert table["mask"].all()
    assert list(table["split"]) == list(split_by_group(table["lesion_id"]))
    assert images.group == "lesion_id"
    assert list(images.factors) == ["size", "eccentricity", "orientation", "dx"]
    assert images.card.licence == "CC BY-NC 4.0"
    assert images.card.attributes["patch"] is None


def seen(angle, a, b, squeeze):
    """Eccentricity and orientation of an ellipse whose picture is squeezed, from its matrix of second moments."""
    turn = np.radians(angle)
    axes = np.diag([squeeze, 1]) @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]] @ np.diag([a, b])
    (short, long), vectors = np.linalg.eigh(axes @ axes.T)
    return np.sqrt(1 - short / long), np.arctan2(vectors[1, 1], vectors[0, 1])


@pytest.mark.parametrize(("patch", "squeeze"), [(None, 0.75), (64, 1.0)])
def test_factors_are_those_of_the_ellipse_in_the_packed_picture(source, pack, patch, squeeze):
    """A whole image is squeezed from 4:3, a patch is not."""
    table = pack(source.write(), patch=patch).table
    share = 600 * 450 if patch is None else 450**2
    np.testing.assert_allclose(table["size"], np.pi * 90 * 45 / share, rtol=5e-3)
    expected = np.array([seen(angle, 90, 45, squeeze) for angle in source.angles])
    np.testing.assert_allclose(table["eccentricity"], expected[:, 0], atol=2e-3)
    difference = table["orientation"] - expected[:, 1]
    np.testing.assert_allclose((difference + np.pi / 2) % np.pi - np.pi / 2, 0, atol=5e-3)
    assert table["orientation"].between(-np.pi / 2, np.pi / 2, inclusive="left").all()


@pytest.mark.parametrize(("angle", "a", "b"), [(0, 60, 60), (30, 100, 50), (-70, 90, 60), (60, 110, 30)])
def test_a_squeezed_picture_is_measured_as_it_is_seen(angle, a, b):
    mask = ellipse(300, 400, angle, a=a, b=b)
    size, *shape = ham10000.measure(mask, squeeze=0.75)
    eccentricity, orientation = seen(angle, a, b, 0.75)
    assert size == mask.mean()
    assert shape[0] == pytest.approx(eccentricity, abs=2e-3)
    assert np.cos(2 * (shape[1] - orientation)) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("angle", [-90, -89, -45, -20, 0, 10, 45, 70, 89])
def test_orientation_turns_counter_clockwise_from_the_horizontal(angle):
    _, _, orientation = ham10000.measure(ellipse(300, 300, angle, a=120, b=30))
    assert np.degrees(orientation) == pytest.approx(angle, abs=0.3)


def test_measures_of_shapes_worked_out_by_hand():
    # a bar of 1 × 5 pixels: variances 0 and 2, no minor axis
    bar = np.zeros((10, 10), bool)
    bar[4, 2:7] = True
    assert ham10000.measure(bar) == pytest.approx((0.05, 1.0, 0.0))
    assert ham10000.measure(bar.T) == pytest.approx((0.05, 1.0, -np.pi / 2))
    # 2 × 4 pixels: variances 1/4 and 5/4
    block = np.zeros((8, 8), bool)
    block[2:4, 1:5] = True
    assert ham10000.measure(block) == pytest.approx((1 / 8, np.sqrt(1 - 1 / 5), 0.0))
    # two regions on one line count as one, as wide as both
    pair = np.zeros((9, 9), bool)
    pair[8, 0] = pair[0, 8] = True
    assert ham10000.measure(pair) == pytest.approx((2 / 81, 1.0, np.pi / 4))


def test_images_are_resized_whole_with_antialiasing(source, pack):
    stripes = np.zeros((450, 600), bool)
    stripes[:, ::2] = True  # finer than the packed pixels: they must come out even, not as a pattern
    source.images[source.ids[0] + ".jpg"] = jpeg(stripes, 600, 450)
    images = pack(source.write()).images
    assert images[0].std(axis=(1, 2)).max() < 3
    expected = np.asarray(Image.fromarray(source.masks[1]).convert("L").resize((64, 64), Image.Resampling.BOX)) > 127
    dark = images[1].mean(axis=0) < 120
    assert (dark == expected).mean() > 0.99
    np.testing.assert_allclose(images[1][:, 0, 0], SKIN, atol=3)  # channels in the order red, green, blue


@pytest.mark.parametrize("size", [16, 128])
def test_size(source, pack, size):
    assert pack(source.write(), size=size).images.shape[2:] == (size, size)


def test_a_patch_is_cut_around_the_lesion(source, pack):
    # 48/64 of the shorter side of 450 is 337.5: the first lies within; the second would leave the image at its corner
    for k, (x, y) in enumerate([(250, 200), (590, 10)]):
        mask = ellipse(450, 600, 0, a=60, b=30, x=x, y=y)
        source.pngs[source.ids[k] + "_segmentation.png"] = png(mask)
        source.images[source.ids[k] + ".jpg"] = jpeg(mask)
    images = pack(source.write(), patch=48)
    dark = images.images.mean(axis=1) < 120
    rows, columns = np.nonzero(dark[0])
    assert (rows.mean(), columns.mean()) == pytest.approx((31.5, 31.5), abs=0.5)
    assert columns.max() - columns.min() + 1 == pytest.approx(120 * 64 / 337.5, abs=2)
    assert rows.max() - rows.min() + 1 == pytest.approx(60 * 64 / 337.5, abs=2)  # the aspect ratio is kept
    assert dark[1][:, 63].any()
    assert dark[1][0].any()
    np.testing.assert_allclose(images.table["size"], dark.mean(axis=(1, 2)), atol=0.01)
    assert images.card.attributes["patch"] == 48
    assert "48/64" in images.card.preprocessing


def test_the_source_of_patches(source, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
    command = rf"run `python -m medlatent data ham10000 --patch 48 --out {re.escape(str(tmp_path))}/ham10000\.patches`"
    for name in ("ham10000.patches", "ham10000.patches.balanced", "ham10000.patches.balanced.32"):
        with pytest.raises(DataError, match=rf"ham10000\.patches is not packed: {command}"):
            open_images(name)
    patches = ham10000.pack(source.write(), tmp_path / "ham10000.patches", patch=48, workers=1, progress=False)
    images = open_images("ham10000.patches.balanced")
    (spec,) = find_source("ham10000.patches.balanced").classifiers
    assert (spec.card, spec.shape) == (images.card.name, images.images.shape[1:])
    assert set(images.table["dx"]) == set(images.factors["dx"].values) < set(patches.table["dx"])
    small = open_images("ham10000.patches.balanced.32")
    (spec,) = find_source("ham10000.patches.balanced.32").classifiers
    assert (spec.card, spec.shape) == (small.card.name, small.images.shape[1:])


def test_processes_give_what_one_process_gives(source, pack, tmp_path):
    one = pack(source.write())
    two = ham10000.pack(source.folder, tmp_path / "two", workers=2, progress=False)
    assert one.fingerprint == two.fingerprint


def test_folders_are_read_as_archives_are(source, pack, tmp_path):
    folder = source.write()
    packed = pack(folder)
    for path in list(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            archive.extractall(folder / "deeper" / path.stem)
        path.unlink()
    (folder / "HAM10000_metadata.csv").rename(folder / "HAM10000_metadata")
    assert ham10000.pack(folder, tmp_path / "again", workers=1, progress=False).fingerprint == packed.fingerprint


def test_a_list_of_files_and_the_tab_separated_table_of_the_dataverse(source, pack):
    folder = source.write()
    (folder / "HAM10000_metadata.csv").unlink()
    source.table.to_csv(folder / "HAM10000_metadata.tab", sep="\t", index=False, quoting=2)
    assert list(pack(sorted(folder.iterdir())).table["dx"]) == list(source.table["dx"])


@pytest.mark.parametrize("unpacked", [False, True])
def test_other_endings_and_what_operating_systems_leave(source, pack, tmp_path, unpacked):
    packed = pack(source.write())
    shutil.rmtree(source.folder)
    system = {
        "Thumbs.db": b"",
        ".DS_Store": b"",
        "__MACOSX/ISIC_1.JPG": b"",
        "@eaDir/x/ISIC_2.jpg": b"",
        "._ISIC.png": b"",
    }
    endings = (".JPG", ".jpeg", ".JPEG", ".Jpg")
    images = {Path(n).stem + endings[k % 4]: content for k, (n, content) in enumerate(source.images.items())}
    files = {
        "ham10000_Images_part_1": images | system,
        "HAM10000_segmentations_lesion_tschandl": {n.upper(): c for n, c in source.pngs.items()} | system,
    }
    for name, contents in files.items():
        # as some archives made on Windows have it; in the name of a file it would be no folder
        source.write_zip(f"{name}.ZIP", contents, "" if unpacked else "folder\\")
        if unpacked:
            with zipfile.ZipFile(source.folder / f"{name}.ZIP") as archive:
                archive.extractall(source.folder / name)
            (source.folder / f"{name}.ZIP").unlink()
    source.table.to_csv(source.folder / "HAM10000_metadata.CSV", index=False)
    again = ham10000.pack(source.folder, tmp_path / "again", workers=1, progress=False)
    assert again.fingerprint == packed.fingerprint
    pd.testing.assert_frame_equal(again.table, packed.table)


# ------------------------------------------------------------------------------------------------ the layouts of ISIC


def test_task_3(source, pack):
    images = pack(source.write_task3())
    table = images.table
    assert list(table["dx"]) == list(source.table["dx"])
    assert list(table["lesion_id"]) == list(source.table["lesion_id"])
    assert set(table["dx_type"]) == {"histo"}
    assert set(table["sex"]) == set(table["site"]) == {"unknown"}
    assert table["age"].isna().all()
    assert not table["mask"].any()
    assert list(images.factors) == ["dx"]
    assert "size" not in table


def test_task_3_with_the_masks_and_metadata_of_ham10000_is_ham10000(source, pack, tmp_path):
    whole = pack(source.write())
    for path in source.folder.glob("*_part_*"):
        path.unlink()
    source.write_task3()
    again = ham10000.pack(source.folder, tmp_path / "again", workers=1, progress=False)
    assert again.fingerprint == whole.fingerprint
    assert again.card.attributes["publication"] == "ISIC 2018 Task 3"


def test_task_3_with_some_masks_of_task_1(source, pack, refused):
    source.pngs = dict(list(source.pngs.items())[:5]) | {"ISIC_0000000_segmentation.png": png(source.masks[0])}
    source.write_task3()
    refused(source.write_task1(images=False), "needs the masks (HAM10000_segmentations", patch=48)
    images = pack(source.folder)
    assert images.table["mask"].sum() == 5
    assert np.array_equal(np.isfinite(images.table["orientation"]), images.table["mask"])
    outlined = images.subset(images.table["mask"])
    assert np.isfinite(outlined.factor_matrix(["size", "eccentricity", "orientation"])).all()


def test_task_1_alone_has_no_classes(source, pack):
    images = pack(source.write_task1())
    assert list(images.factors) == ["size", "eccentricity", "orientation"]
    assert set(images.table["dx"]) == {"unknown"}
    assert list(images.table["lesion_id"]) == source.ids
    assert images.card.name == "ISIC 2018 Task 1-2"


def test_task_1_takes_what_the_metadata_know(source, pack):
    source.write_task1()
    known = source.table[:8].copy()
    known.loc[len(known)] = ["HAM_0009999", "ISIC_0099999", "nv", "histo", "40", "male", "back"]
    known.to_csv(source.folder / "HAM10000_metadata.csv", index=False)
    images = pack(source.folder)
    assert list(images.table["dx"]) == [*source.table["dx"][:8], *["unknown"] * 4]
    assert list(images.table["lesion_id"]) == [*source.table["lesion_id"][:8], *source.ids[8:]]
    assert "dx" not in images.factors


def test_task_3_needs_the_groupings_and_one_class_an_image(source, refused):
    source.write_task3()
    groups = source.folder / "ISIC2018_Task3_Training_LesionGroupings.csv"
    content = groups.read_text()
    groups.unlink()
    refused(source.folder, "ISIC2018_Task3_Training_LesionGroupings.csv is missing")
    groups.write_text(content.replace(source.ids[2], "ISIC_0000001"))
    refused(source.folder, "1 × image without a lesion in ISIC2018_Task3_Training_LesionGroupings", source.ids[2])
    groups.write_text(content)
    classes, _ = source.task3_tables()
    classes.loc[4, ["MEL", "NV"]] = 1.0
    name = "ISIC2018_Task3_Training_GroundTruth"
    source.write_zip(f"{name}.zip", {f"{name}.csv": classes.to_csv(index=False)})
    refused(source.folder, "1 × row whose class columns are not one 1 and six 0", source.ids[4])


def test_an_image_of_two_lesions(source, refused):
    source.write_task3()
    groups = source.folder / "ISIC2018_Task3_Training_LesionGroupings.csv"
    groups.write_text(groups.read_text() + f"{source.ids[2]},HAM_0000099,histopathology\n")
    refused(source.folder, f"1 × image of two lesions in {groups.stem} ({source.ids[2]})")


# --------------------------------------------------------------------------------------------------------- bad input


def test_images_that_cannot_be_decoded_are_counted_and_named(source, refused):
    for k in (0, 2, 4, 6, 8):
        name = source.ids[k] + ".jpg"
        source.images[name] = source.images[name][: [0, 10, 300, 1000, -40][k // 2]]
    source.images[source.ids[10] + ".jpg"] = b"\0" * 500
    refused(
        source.write(), "HAM10000 cannot be packed: 6 × image that cannot be decoded", source.ids[0] + ".jpg", "3 more"
    )


def test_a_mask_that_cannot_be_decoded(source, refused):
    name = source.ids[3] + "_segmentation.png"
    source.pngs[name] = source.pngs[name][:200]
    refused(source.write(), "1 × mask that cannot be decoded", name)


def test_a_file_of_another_kind(source, refused):
    source.images[source.ids[3] + ".jpg"] = b"no picture"
    refused(source.write(), f"1 × image that cannot be decoded ({source.ids[3]}.jpg: neither JPEG nor PNG)")


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
@pytest.mark.parametrize("name", ["HAM10000_images_part_2", "HAM10000_segmentations_lesion_tschandl"])
def test_truncated_archives(source, refused, name, keep):
    path = source.write() / f"{name}.zip"
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    refused(source.folder, f"{name}.zip is no zip archive, or is cut off", "download it again")


def test_damaged_archive_members(source, refused):
    path = source.write() / "HAM10000_images_part_1.zip"
    content = bytearray(path.read_bytes())
    content[content.index(source.images[source.ids[1] + ".jpg"]) + 700] ^= 255
    path.write_bytes(content)
    refused(source.folder, "1 × damaged archive member", str(path), source.ids[1] + ".jpg is damaged (Bad CRC-32")


def test_rows_without_images_and_images_without_rows(source, refused):
    source.table = source.table.drop(index=[0, 1])
    for k in (5, 6, 7, 8):
        del source.images[source.ids[k] + ".jpg"]
        del source.pngs[source.ids[k] + "_segmentation.png"]
    refused(
        source.write(),
        "4 × row without an image (is an archive missing?)",
        f"{source.ids[5]}; {source.ids[6]}; {source.ids[7]} and 1 more",
        f"2 × image without a row in the table ({source.ids[0]}; {source.ids[1]})",
    )


def test_a_missing_archive(source, refused):
    (source.write() / "HAM10000_images_part_2.zip").unlink()
    refused(source.folder, "6 × row without an image", "6 × mask without an image")


def test_masks_without_images_and_images_without_masks(source, refused):
    source.pngs["ISIC_0099999_segmentation.png"] = source.pngs.pop(source.ids[0] + "_segmentation.png")
    refused(
        source.write(),
        f"1 × image without a mask in HAM10000_segmentations_lesion_tschandl ({source.ids[0]})",
        "1 × mask without an image (ISIC_0099999_segmentation.png)",
    )


def test_empty_masks_and_masks_of_another_shape(source, refused):
    source.pngs[source.ids[0] + "_segmentation.png"] = png(np.zeros((450, 600), bool))
    source.pngs[source.ids[1] + "_segmentation.png"] = png(np.zeros((450, 600), bool), palette=True)
    source.pngs[source.ids[2] + "_segmentation.png"] = png(ellipse(450, 450, 0))
    source.pngs[source.ids[3] + "_segmentation.png"] = png(ellipse(600, 450, 0))
    refused(
        source.write(),
        "4 × mask that cannot be used",
        source.ids[0] + "_segmentation.png: the mask is empty",
        source.ids[1] + "_segmentation.png: the mask is empty",
        "the mask is 450×450 pixels, another shape than its image of 200×150 and 1 more",
    )


@pytest.mark.parametrize(("image", "mask"), [((600, 450), (600, 450)), ((67, 50), (600, 450)), ((600, 450), (67, 50))])
def test_a_mask_may_have_another_scale(source, pack, image, mask):
    outline = ellipse(mask[1], mask[0], 30, a=0.15 * mask[0], b=0.1 * mask[0])
    source.pngs[source.ids[0] + "_segmentation.png"] = png(outline)
    source.images[source.ids[0] + ".jpg"] = jpeg(outline, *image)
    expected = np.degrees(seen(30, 3, 2, 0.75)[1])
    assert np.degrees(pack(source.write()).table["orientation"][0]) == pytest.approx(expected, abs=2)


def test_a_mask_one_row_too_high_is_refused(source, refused):
    source.images[source.ids[0] + ".jpg"] = jpeg(source.masks[0], 600, 450)
    source.pngs[source.ids[0] + "_segmentation.png"] = png(ellipse(451, 600, 0))
    refused(source.write(), "the mask is 600×451 pixels")


@pytest.mark.parametrize(
    "kind",
    ["1", "zero and one", "RGB", "soft", "16 bits", "16 bits, zero and one", "opaque LA", "opaque RGBA", "opaque PA"],
)
def test_other_codings_of_a_mask_are_read_alike(source, pack, kind):
    image = Image.fromarray(source.masks[0])  # one bit a pixel
    if kind == "zero and one":
        image = Image.fromarray(source.masks[0].astype(np.uint8))
    if kind == "RGB":
        image = image.convert("RGB")
    if kind.startswith("16 bits"):
        one = 1 if "one" in kind else 65535
        soft = Image.fromarray(source.masks[0].astype(np.float32)).resize((300, 225), Image.Resampling.BOX)
        image = Image.fromarray(np.rint(np.asarray(soft) * one).astype(np.uint16))
    if kind.startswith("opaque"):
        image = image.convert("P" if "PA" in kind else kind.split()[1])
    if kind == "soft":
        image = image.convert("L").resize((300, 225), Image.Resampling.BOX)
    options = {"transparency": b"\xff" * 256} if "PA" in kind else {}
    source.pngs[source.ids[0] + "_segmentation.png"] = encoded(image, "PNG", **options)
    assert pack(source.write()).table["size"][0] == pytest.approx(source.masks[0].mean(), rel=0.02)


def deep_colours(height=75, width=100):
    """A PNG of three colours of 16 bits, which Pillow reads and does not write."""
    lines = b"".join(b"\0" + np.full((width, 3), 1000, ">u2").tobytes() for _ in range(height))

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")


def turned(by=6):
    exif = Image.Exif()
    exif[0x0112] = by
    return exif


GREY = Image.fromarray(np.full((75, 100), 200, np.uint8))
GREY16 = Image.fromarray(np.full((75, 100), 1000, np.uint16))
HALF_SEEN = GREY.convert("RGBA")
HALF_SEEN.putalpha(Image.linear_gradient("L").resize((100, 75)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (encoded(GREY16, "PNG"), "more than 8 bits a colour, which would be cut; save it with 8"),
        (deep_colours(), "more than 8 bits a colour"),
        (encoded(HALF_SEEN, "PNG"), "it has transparent pixels; save it without transparency"),
        (encoded(HALF_SEEN.convert("LA"), "PNG"), "it has transparent pixels"),
        (encoded(GREY.convert("P"), "PNG", transparency=200), "it has transparent pixels"),
        (encoded(GREY, "PNG", transparency=200), "it has transparent pixels"),
        (encoded(GREY.convert("CMYK"), "JPEG"), "CMYK is no kind of picture that is read; save it as RGB"),
        (encoded(GREY.convert("RGB"), "JPEG", exif=turned()), "EXIF says that it is to be shown turned"),
        (encoded(GREY, "PNG", exif=turned(3)), "EXIF says that it is to be shown turned"),
        (encoded(GREY, "PNG", save_all=True, append_images=[GREY.rotate(90)]), "an animation of 2 pictures"),
    ],
)
def test_pictures_that_would_be_read_otherwise_than_they_look(source, refused, content, reason):
    image, mask = source.ids[0] + ".jpg", source.ids[1] + "_segmentation.png"
    source.images[image] = source.pngs[mask] = content
    deep_grey = content == encoded(GREY16, "PNG")
    words = f"1 × image that cannot be decoded ({image}: {reason}"
    refused(source.write(), words, *([] if deep_grey else [f"1 × mask that cannot be decoded ({mask}: {reason}"]))


def test_a_mask_of_16_bits_with_a_transparent_grey(source, refused):
    source.pngs[source.ids[0] + "_segmentation.png"] = encoded(GREY16, "PNG", transparency=1000)
    refused(source.write(), "it has transparent pixels")


@pytest.mark.parametrize(
    ("row", "column", "value", "words"),
    [
        (2, "dx", "scc", "1 × unknown dx (the classes are akiec, bcc, bkl, df, mel, nv, vasc) (ISIC_0024308: 'scc')"),
        (2, "dx", "", "1 × unknown dx"),
        (3, "image_id", "ISIC_0024306", "1 × image with two rows in the table (ISIC_0024306)"),
        (4, "age", "forty", "1 × age that is no number (ISIC_0024310: 'forty')"),
        *(
            (4, "age", age, f"1 × age outside of 0 to 120 years (ISIC_0024310: '{age}')")
            for age in ("-5", "-0.5", "121", "1e9", "inf", "-inf", "Infinity", "1e400")
        ),
        *(
            (5, "lesion_id", none, "1 × row without a lesion_id (ISIC_0024311)")
            for none in ("", " ", "NA", "nan", "NULL")
        ),
        (5, "lesion_id", "None", "groups: row 5 has none ('None')"),
    ],
)
def test_wrong_values_in_the_table(source, refused, row, column, value, words):
    source.table[column] = source.table[column].astype(object)
    source.table.loc[row, column] = value
    refused(source.write(), words)


def test_an_image_in_both_archives(source, refused):
    source.write()
    with zipfile.ZipFile(source.folder / "HAM10000_images_part_2.zip", "a") as archive:
        archive.writestr(source.ids[0] + ".jpg", source.images[source.ids[0] + ".jpg"])
    refused(source.folder, f"1 × image twice ({source.ids[0]}.jpg)")


def test_what_excel_makes_of_the_table_is_the_same_table(source, pack, tmp_path):
    packed = pack(source.write()).table
    table = source.folder / "HAM10000_metadata.csv"
    lines = [" ; ".join(line.split(",")) + " \r\n" for line in table.read_text().splitlines()]
    for k, head in enumerate(("", "sep=;\r\n")):
        table.write_text(head + "".join(lines) + "\r\n", encoding="utf-8-sig", newline="")
        again = ham10000.pack(source.folder, tmp_path / f"again{k}", workers=1, progress=False).table
        pd.testing.assert_frame_equal(again, packed)


def test_a_column_that_is_there_twice(source, refused):
    table = source.write() / "HAM10000_metadata.csv"
    table.write_text(table.read_text().replace("age,sex", "age,age "))
    refused(source.folder, "HAM10000_metadata.csv: two columns are called 'age'")


@pytest.mark.parametrize("column", ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"])
def test_a_missing_column(source, refused, column):
    source.table = source.table.drop(columns=column)
    refused(source.write(), "HAM10000_metadata.csv: the column", repr(column), "is missing; it has")


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0\0", b'a,b\n"1,2', b"a\0b"])
def test_a_table_that_is_none(source, refused, content):
    (source.write() / "HAM10000_metadata.csv").write_bytes(content)
    refused(source.folder, "HAM10000_metadata.csv")


def test_a_row_that_is_cut_off(source, refused):
    path = source.write() / "HAM10000_metadata.csv"
    path.write_text(path.read_text().rstrip().rpartition(",")[0].rpartition(",")[0])
    refused(source.folder, "HAM10000_metadata.csv: row 13 has 5 fields where the header has 7")


def test_sources_that_hold_nothing(source, refused, tmp_path):
    source.folder.mkdir()
    refused(source.folder, "no image archive or folder of HAM10000 (HAM10000_images_part_1.zip")
    refused(tmp_path / "nowhere", "nowhere: no such file or folder")
    (source.folder / "other.txt").write_text("")
    refused(source.folder / "other.txt", "is none of the official files")
    source.write()
    (source.folder / "HAM10000_metadata.csv").unlink()
    refused(source.folder, "HAM10000: no table; put HAM10000_metadata.csv beside the images")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 4}, "size must be 8"),
        ({"size": 64.0}, "size must be 8 to 1024 pixels, not 64.0"),
        ({"size": "64"}, "size must be 8 to 1024 pixels, not '64'"),
        ({"patch": 65}, "patch must be 8 to 64"),
        ({"patch": 48.5}, "patch must be 8 to 64 pixels, or None, not 48.5"),
        ({"workers": 0}, "workers must be"),
        ({"workers": True}, "workers must be at least 1, not True"),
    ],
)
def test_arguments_that_are_refused(source, refused, options, words):
    refused(source.write(), words, **options)


def test_an_existing_folder_is_not_touched(source, pack, tmp_path):
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="packed exists"):
        pack(source.write())
    assert [p.name for p in (tmp_path / "packed").iterdir()] == ["mine.txt"]


def test_a_full_disk_leaves_nothing(source, pack, tmp_path, monkeypatch):
    def full(path, array):
        path.write_bytes(b"some")
        raise OSError(28, "No space left on device")

    source.write()
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(OSError, match="No space left"):
            pack(source.folder)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]
    assert len(pack(source.folder)) == 12


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
def test_a_kill_leaves_no_image_set_and_no_process(source, tmp_path):
    """Killed without warning, the packing ends with its workers, and the next run succeeds."""
    ids = [f"ISIC_{k:07d}" for k in range(180)]
    source.images = {f"{i}.jpg": source.images[source.ids[0] + ".jpg"] for i in ids}
    source.pngs = {f"{i}_segmentation.png": source.pngs[source.ids[0] + "_segmentation.png"] for i in ids}
    source.table = pd.concat([source.table] * 15, ignore_index=True).assign(image_id=ids)
    source.write()
    code = (
        "from medlatent.data import ham10000\n"
        "if __name__ == '__main__':\n"
        f"    ham10000.pack({str(source.folder)!r}, {str(tmp_path / 'packed')!r}, size=256, workers=2)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(code)
    process = subprocess.Popen([sys.executable, script], stderr=subprocess.PIPE, text=True)
    shown = ""
    while not re.search(r" [1-9]\d*/180", shown):  # the workers are at it
        character = process.stderr.read(1)
        assert character, f"the packing ended: {shown}"
        shown += character
    workers = [int(p) for p in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
    assert len(workers) >= 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stderr.close()
    assert not (tmp_path / "packed").exists()
    deadline = time.monotonic() + 10
    while any(_alive(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker outlived the killed parent"
        time.sleep(0.05)
    packed = ham10000.pack(source.folder, tmp_path / "packed", size=16, workers=1, progress=False)
    assert len(packed) == 180


def _alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


# ---------------------------------------------------------------------------------------------------------- real data


@pytest.mark.real_data
def test_the_packed_set_is_ham10000():
    folder = Path(os.environ.get("MEDLATENT_DATA", "")) / "ham10000"
    if "MEDLATENT_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("$MEDLATENT_DATA holds no folder ham10000")
    images = ImageSet.load(folder)
    table = images.table
    assert len(images) == 10_015
    assert table["lesion_id"].nunique() == 7470
    counts = {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115}
    assert table["dx"].value_counts().to_dict() == counts
    assert (table.groupby("lesion_id")["split"].nunique() == 1).all()
    assert table["split"].value_counts(normalize=True)["train"] == pytest.approx(0.8, abs=0.02)
    assert np.isfinite(images.factor_matrix()).all()
    assert table["size"].between(0, 1, inclusive="right").all()
    assert table["eccentricity"].between(0, 1).all()
    assert table["orientation"].between(-np.pi / 2, np.pi / 2, inclusive="left").all()
    assert table["age"].isna().sum() == 57


@pytest.mark.real_data
def test_the_packed_patches_of_three_diagnoses():
    folder = Path(os.environ.get("MEDLATENT_DATA", "")) / "ham10000.patches"
    if "MEDLATENT_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("$MEDLATENT_DATA holds no folder ham10000.patches")
    images = open_images("ham10000.patches.balanced")
    counts = images.table.groupby("dx")["split"].value_counts().unstack()
    assert counts["train"].to_dict() == {"nv": 5277, "mel": 3 * 875, "bkl": 3 * 846}
    assert counts[["validation", "test"]].sum(axis=1).to_dict() == {"nv": 1428, "mel": 238, "bkl": 253}
    assert images.card.attributes["patch"] == 48


@pytest.mark.real_data
def test_real_files_are_packed(tmp_path, pack):
    """200 images of the official archives, 40 of them with palette-coded masks, which are read as the others are."""
    raw = Path(os.environ.get("MEDLATENT_RAW", "")) / "ham10000"
    if "MEDLATENT_RAW" not in os.environ or not raw.is_dir():
        pytest.skip("$MEDLATENT_RAW holds no folder ham10000 with the official archives")
    with zipfile.ZipFile(raw / "HAM10000_segmentations_lesion_tschandl.zip") as archive:
        masks = sorted(n for n in archive.namelist() if n.endswith(".png") and "__MACOSX" not in n)
        modes = {}
        for name in masks:
            with Image.open(archive.open(name)) as image:
                modes[name] = image.mode
    assert sum(mode == "P" for mode in modes.values()) == 402
    palette = [n for n in masks if modes[n] == "P"][:40]
    chosen = {Path(n).name.removesuffix("_segmentation.png") for n in palette + masks[:: len(masks) // 160][:160]}
    source = tmp_path / "source"
    source.mkdir()
    for name in ("HAM10000_images_part_1.zip", "HAM10000_images_part_2.zip", archive.filename):
        with zipfile.ZipFile(raw / name) as whole, zipfile.ZipFile(source / Path(name).name, "w") as part:
            for member in whole.namelist():
                if Path(member).stem.removesuffix("_segmentation") in chosen:
                    part.writestr(member, whole.read(member))
    table = pd.read_csv(raw / "HAM10000_metadata.csv")
    table[table["image_id"].isin(chosen)].to_csv(source / "HAM10000_metadata.csv", index=False)
    images = pack(source)
    assert len(images) == len(chosen)
    # a mask read the wrong way round would call the border of the photograph lesion, and the lesion skin
    light = images.images.mean(axis=1)
    border = np.concatenate([light[:, 0], light[:, -1], light[:, :, 0], light[:, :, -1]], axis=1).mean(axis=1)
    coded = images.table["image_id"].isin([Path(n).name.removesuffix("_segmentation.png") for n in palette])
    small = images.table["size"] < 0.5
    assert small[coded].mean() > 0.8
    assert small[~coded].mean() > 0.8
    assert (light[:, 28:36, 28:36].mean(axis=(1, 2)) < border)[small].mean() > 0.8
    shutil.rmtree(source)
