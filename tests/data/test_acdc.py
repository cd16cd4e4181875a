"""Hearts in the layouts of ACDC and of ukbb_cardiac: volumes, placement, selections, everything that can be wrong."""

import gzip
import hashlib
import http.server
import os
import re
import shutil
import threading
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest

from medlatent import obtain
from medlatent.data import DataError, ImageSet, acdc
from medlatent.obtain import acdc as obtain_acdc

SHAPE, SPACING = (64, 72, 8), (1.5, 1.5, 10.0)
ACDC, UKBB = acdc.LABELS["ACDC"], acdc.LABELS["ukbb_cardiac"]
GROUPS = acdc.DIAGNOSES


def heart(radius=9.0, angle=150.0, centre=(34, 36), slices=range(1, 8), base_first=True, right=None, wall=3.0):
    """A mask of 1 LV, 2 myocardium and 3 RV that narrows from the first of the slices to the last."""
    x, y = np.mgrid[: SHAPE[0], : SHAPE[1]]
    mask = np.zeros(SHAPE, np.uint8)
    turn = np.deg2rad(angle)
    for k in slices:
        r = radius * (1 - 0.08 * (k - slices[0]))
        far = r + wall + 4
        if right is None or k in right:
            mask[..., k][np.hypot(x - centre[0] - far * np.cos(turn), y - centre[1] - far * np.sin(turn)) <= r] = 3
        distance = np.hypot(x - centre[0], y - centre[1])
        mask[..., k][distance <= r + wall] = 2
        mask[..., k][distance <= r] = 1
    return mask if base_first else mask[..., ::-1]


def picture(mask, seed=0):
    """Blood bright, muscle dark, everything else between, and noise."""
    grey = np.choose(mask, (80, 400, 30, 300)) + np.random.default_rng(seed).integers(0, 20, mask.shape)
    return grey.astype(np.int16)


def write(path, array, spacing=SPACING, unit=None, affine=None):
    """A file with the header of published copies: the affine has unit spacing, and the unit is not named."""
    image = nibabel.Nifti1Image(array, np.diag([-1.0, -1, 1, 1]) if affine is None else affine)
    image.header["pixdim"][1:4] = spacing
    image.header["xyzt_units"] = 0
    if unit:
        image.header.set_xyzt_units(unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = image.to_bytes()
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


def stored(mask, labels):
    """The packed labels as a layout's own."""
    return np.argsort(labels).astype(np.uint8)[mask]


def write_acdc(folder, number, group="NOR", ed=None, es=None, ending=".nii.gz", spacing=SPACING):
    name = f"patient{number:03}"
    frames = {1: heart() if ed is None else ed, 12: heart(6, slices=range(2, 8)) if es is None else es}
    for frame, mask in frames.items():
        stem = folder / name / f"{name}_frame{frame:02}"
        write(stem.with_name(stem.name + ending), picture(mask, number), spacing)
        write(stem.with_name(f"{stem.name}_gt{ending}"), stored(mask, ACDC), spacing)
    (folder / name / "Info.cfg").write_text(
        f"ED: 1\nES: 12\nGroup: {group}\nHeight: 184.0\nNbFrame: 30\nWeight: 95.0\n"
    )
    return folder / name


def write_ukbb(folder, name, kind="label_"):
    for phase, mask in (("ED", heart()), ("ES", heart(6, slices=range(2, 8)))):
        write(folder / name / f"sa_{phase}.nii.gz", picture(mask), unit="mm")
        write(folder / name / f"{kind}sa_{phase}.nii.gz", stored(mask, UKBB), unit="mm")
    return folder / name


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source" / "database" / "training"
    for number, group in enumerate(GROUPS, start=1):
        write_acdc(folder, number, group)
    return tmp_path / "source"


@pytest.fixture
def pack(tmp_path):
    def pack(source, out="acdc", **options):
        options = {"size": 48, "spacing": 2.0, "progress": False, "workers": 1} | options
        return acdc.pack(source, tmp_path / out, **options)

    return pack


@pytest.fixture
def refused(tmp_path, pack):
    """The message of a refusal, of which nothing is left behind."""

    def refused(source, **options):
        before = sorted(tmp_path.iterdir())
        with pytest.raises(DataError) as error:
            pack(source, **options)
        assert sorted(tmp_path.iterdir()) == before
        return str(error.value)

    return refused


def patient(source, number=1):
    return source / "database" / "training" / f"patient{number:03}"


def change(path, spacing=SPACING, unit=None, affine=None, array=None):
    """Writes a file again with something about it changed."""
    write(path, np.asarray(nibabel.load(path).dataobj) if array is None else array, spacing, unit, affine)


class TestPacked:
    def test_pictures_masks_and_table(self, source, pack, tmp_path):
        images = pack(source)
        masks = ImageSet.load(acdc.masks_beside(tmp_path / "acdc"))
        assert images.images.shape == masks.images.shape == (5, 2, 48, 48)
        assert (images.images.dtype, images.value_range, masks.value_range) == (np.uint8, (0, 255), (0, 3))
        pd.testing.assert_frame_equal(images.table, masks.table)
        row = images.table.iloc[0]
        assert [row[c] for c in ("patient_id", "diagnosis", "frame_ed", "frame_es", "frames", "height", "weight")] == [
            *("patient001", "NOR", 1, 12, 30, 184.0, 95.0)
        ]
        assert (row["slice_ed"], row["slice_es"], row["slice_distance"]) == (1, 2, 10.0)
        assert list(images.factors) == [*acdc.MEASURED, "diagnosis"]
        assert {factor.unit for name, factor in images.factors.items() if name != "diagnosis"} == {"ml"}
        assert images.columns(["LVEDV"])["LVEDV"].shape == (5,)
        assert images.factor_matrix(["diagnosis"])[:, 0].tolist() == [0, 1, 2, 3, 4]

    def test_files_that_declare_more_than_they_hold(self, source, refused):
        path = patient(source) / "patient001_frame12.nii.gz"
        content = bytearray(gzip.decompress(path.read_bytes()))
        content[42:48] = np.array([32767, 32767, 32767], "<i2").tobytes()
        path.write_bytes(gzip.compress(content))
        whole = patient(source, 2) / "patient002_frame12.nii.gz"
        whole.write_bytes(gzip.compress(gzip.decompress(whole.read_bytes()) + bytes(2**27), 1))
        message = refused(source)
        assert f"patient001_frame12.nii.gz (its header declares {2 * 32767**3} bytes of voxels, and the file" in message
        assert re.search(r"patient002_frame12\.nii\.gz \(it declares \d+ bytes and holds \d+", message)

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({42: b"\0\0", 44: b"\0\0"}, "file that is no volume|file that cannot be read"),
            ({40: b"\4\0", 48: b"\0\0"}, "file that is no volume|file that cannot be read"),
            ({70: b"\x80\0\x18\0"}, "its header declares|file that is no volume"),  # RGB
            ({70: b"\x20\0\x40\0"}, "its header declares|file that is no volume"),  # complex numbers
            ({70: b"\xff\x7f"}, "file that cannot be read"),
        ],
    )
    def test_headers_of_what_is_no_volume(self, source, refused, change, words):
        for path in (
            patient(source) / "patient001_frame12.nii.gz",
            patient(source, 2) / "patient002_frame01_gt.nii.gz",
        ):
            content = bytearray(gzip.decompress(path.read_bytes()) + bytes(2**20))
            for place, value in change.items():
                content[place : place + len(value)] = value
            path.write_bytes(gzip.compress(content, 1))
        message = refused(source)
        assert re.search(words, message)
        assert "patient001_frame12.nii.gz" in message
        assert "patient002_frame01_gt.nii.gz" in message

    def test_volumes_are_those_of_the_whole_mask_by_pixdim(self, source, pack):
        row = pack(source).table.iloc[0]
        for phase, mask in (("ED", heart()), ("ES", heart(6, slices=range(2, 8)))):
            for region, label in (("LV", 1), ("Myo", 2), ("RV", 3)):
                assert row[f"{region}{phase}V"] == pytest.approx((mask == label).sum() * 1.5 * 1.5 * 10 / 1000)

    def test_a_volume_by_hand(self):
        mask = np.zeros((4, 4, 2), np.uint8)
        mask[0, :, 0], mask[1, :2, :], mask[2, 0, 1] = 1, 2, 3
        assert acdc.volumes(mask, (2.0, 2.5, 10.0)) == pytest.approx({"LV": 0.2, "RV": 0.05, "Myo": 0.2})

    @pytest.mark.parametrize("angle", [0, 37, 90, 150, 180, 233, 300])
    def test_the_left_ventricle_is_centred_and_the_right_one_to_its_left(self, tmp_path, pack, angle):
        before = heart(angle=angle, centre=(30, 40))
        write_acdc(tmp_path / "source", 1, ed=before)
        pack(tmp_path / "source")
        mask = ImageSet.load(tmp_path / "acdc_masks").images[0, 0]
        (left, right), ends = ([np.argwhere(m == label).mean(0) for label in (1, 3)] for m in (mask, before[..., 1]))
        assert left == pytest.approx([23.5, 23.5], abs=0.15)
        assert right == pytest.approx([23.5, 23.5 - np.hypot(*(ends[1] - ends[0])) * 1.5 / 2], abs=0.3)

    def test_what_is_packed_is_turned_and_not_mirrored(self, tmp_path, pack):
        """A bright spot below the heart, where the RV is at the left, lies there however the heart was turned."""
        for number, angle in ((1, 180), (2, 60)):
            folder = write_acdc(tmp_path / "source", number, ed=heart(angle=angle))
            turn = np.deg2rad(angle - 180)
            across, down = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
            x, y = np.rint(np.array([34, 36]) + 14 * down + 3 * across).astype(int)
            array = picture(heart(angle=angle))
            array[x - 1 : x + 2, y - 1 : y + 2, 1] = 3000
            change(folder / f"patient{number:03}_frame01.nii.gz", array=array)
        for image in pack(tmp_path / "source").images[:, 0]:
            row, column = round(23.5 + 14 * 0.75), round(23.5 + 3 * 0.75)
            assert image[row, column] == 255
            for other in ((47 - row, column), (row, 47 - column), (47 - row, 47 - column)):
                assert image[other] < 128

    def test_areas_are_kept_whatever_the_spacing_of_the_file(self, tmp_path, pack):
        """Pixels of the mask times their area, before and after, at coarser and finer pixels than the crop's."""
        for number, scale in enumerate((1.0, 2.0), start=1):
            write_acdc(tmp_path / "source", number, spacing=(1.5 * scale, 1.5 * scale, 10))
        pack(tmp_path / "source", size=128, spacing=1.8)
        masks = ImageSet.load(tmp_path / "acdc_masks").images
        for mask, scale in zip(masks, (1.0, 2.0), strict=True):
            for label in (1, 2, 3):
                expected = (heart()[..., 1] == label).sum() * (1.5 * scale) ** 2
                assert (mask[0] == label).sum() * 1.8**2 == pytest.approx(expected, rel=0.03)

    def test_pixels_that_are_not_square_are_in_the_end(self, tmp_path, pack):
        write_acdc(tmp_path / "source", 1, spacing=(1.5, 3.0, 10))
        pack(tmp_path / "source", size=64, spacing=2.0)
        rows, columns = np.nonzero(ImageSet.load(tmp_path / "acdc_masks").images[0, 0] == 1)
        sides = sorted(np.linalg.eigvalsh(np.cov([rows, columns])) ** 0.5)
        assert sides[1] / sides[0] == pytest.approx(2, rel=0.1)  # the round heart of the pixels is an ellipse in mm

    def test_one_scale_a_patient_over_both_phases(self, source, pack):
        path = patient(source) / "patient001_frame12.nii.gz"
        change(path, array=np.asarray(nibabel.load(path).dataobj) // 2)
        images = pack(source).images
        masks = ImageSet.load(acdc.masks_beside(Path(source).parent / "acdc")).images
        blood = [images[k, c][masks[k, c] == 1].mean() for k in (0, 1) for c in (0, 1)]
        assert blood[1] == pytest.approx(blood[0] / 2, rel=0.15)
        assert blood[3] == pytest.approx(blood[2], rel=0.1)

    def test_what_lies_outside_of_the_file_is_black(self, source, pack):
        image = pack(source, size=128, spacing=2.0).images[0, 0]
        assert (image[:8] == 0).all()
        assert (image[60:68, 60:68] > 100).all()

    def test_the_base_is_found_at_either_end(self, tmp_path, pack):
        for number, first in ((1, True), (2, False)):
            ed, es = heart(base_first=first), heart(6, slices=range(2, 8), base_first=first)
            write_acdc(tmp_path / "source", number, ed=ed, es=es)
        table = pack(tmp_path / "source").table
        assert table["slice_ed"].tolist() == [1, 6]
        assert table["slice_es"].tolist() == [2, 5]
        images = ImageSet.load(tmp_path / "acdc_masks").images
        assert np.array_equal(images[0], images[1])

    def test_from_base_to_mid_cavity(self, source, pack):
        images = pack(source, slices="upper")
        first = images.table[images.table["patient_id"] == "patient001"]
        assert first["slice_ed"].tolist() == [1, 2, 3, 4]
        assert first["level"].tolist() == pytest.approx([1, 5 / 6, 4 / 6, 3 / 6])
        # ES has six slices from 2 on, at heights of 1, 0.8, 0.6, 0.4, …
        assert first["slice_es"].tolist() == [2, 3, 4, 4]
        assert "level" in images.factors
        assert images.table.groupby("patient_id")["split"].nunique().eq(1).all()
        basal = pack(source, "basal")
        assert np.array_equal(images.images[images.table["level"] == 1], basal.images)

    def test_several_processes_pack_the_same(self, source, pack):
        assert pack(source).fingerprint == pack(source, "two", workers=2).fingerprint


class TestWhere:
    def test_nothing_but_the_place_differs(self, source, pack, tmp_path):
        expected = pack(source)
        training = source / "database" / "training"
        with zipfile.ZipFile(tmp_path / "ACDC.zip", "w") as archive:
            for path in sorted(training.rglob("*.*")):
                archive.write(path, f"ACDC/database/training/{path.relative_to(training)}")
                archive.writestr(f"__MACOSX/ACDC/database/training/{path.parent.name}/._{path.name}", b"\0\5\x16\7")
        (tmp_path / "archives").mkdir()
        shutil.copy(tmp_path / "ACDC.zip", tmp_path / "archives")
        whole = sorted(training.iterdir())
        places = [training, tmp_path / "ACDC.zip", tmp_path / "archives", whole]
        for k, place in enumerate(places):
            images = pack(place, str(k))
            assert images.fingerprint == expected.fingerprint
            pd.testing.assert_frame_equal(images.table, expected.table)

    def test_uncompressed(self, tmp_path, pack):
        for place, ending in (("zipped", ".nii.gz"), ("plain", ".nii")):
            write_acdc(tmp_path / place, 1, ending=ending)
        assert pack(tmp_path / "zipped", "1").fingerprint == pack(tmp_path / "plain", "2").fingerprint

    def test_what_else_lies_about(self, source, pack):
        expected = pack(source)
        shutil.copytree(source / "database" / "training", source / "database" / "testing")
        for name in ("patient001_4d.nii.gz", "._patient001_frame01.nii.gz", ".DS_Store", "MANDATORY_CITATION.md"):
            (patient(source) / name).write_bytes(b"no image")
        assert pack(source, "again").fingerprint == expected.fingerprint

    @pytest.mark.parametrize("kind", ["label_", "seg_"])
    def test_the_layout_of_ukbb_cardiac(self, tmp_path, pack, kind):
        for name in ("1000001", "1000002", "1000003"):
            (write_ukbb(tmp_path / "hearts", name, kind) / "sa.nii.gz").write_bytes(b"the cine, which is not read")
        images = pack(tmp_path / "hearts", "ukbb")
        write_acdc(tmp_path / "other", 0)
        same = pack(tmp_path / "other", "acdc")
        assert images.table["patient_id"].tolist() == ["1000001", "1000002", "1000003"]
        assert list(images.factors) == list(acdc.MEASURED)
        assert "diagnosis" not in images.table
        assert images.card.name == "UK Biobank"
        assert sorted(images.table["split"]) == ["test", "train", "validation"]
        assert (images.table[list(acdc.MEASURED)] == same.table.loc[0, list(acdc.MEASURED)].astype(float)).all(
            axis=None
        )
        packed = [ImageSet.load(tmp_path / f"{name}_masks").images[0] for name in ("ukbb", "acdc")]
        assert np.array_equal(*packed)
        assert np.array_equal(images.images[0], same.images[0])

    def test_what_was_drawn_by_hand_comes_first(self, tmp_path, pack):
        folder = write_ukbb(tmp_path / "ukbb", "1000001")
        write(folder / "seg_sa_ED.nii.gz", stored(heart(4), UKBB), unit="mm")
        assert pack(tmp_path / "ukbb").table.loc[0, "LVEDV"] == pytest.approx((heart() == 1).sum() * 0.0225)

    def test_the_two_layouts_are_not_mixed(self, source, refused):
        write_ukbb(source, "1000001")
        assert "mixed: pack each on its own" in refused(source)

    def test_no_patient(self, tmp_path, refused):
        (tmp_path / "empty").mkdir()
        assert "empty: no patient; a patient is a folder patientNNN" in refused(tmp_path / "empty")
        assert "no such file" in refused(tmp_path / "nowhere")


class TestSelections:
    @pytest.fixture
    def hearts(self, tmp_path):
        folder = tmp_path / "source"
        write_acdc(folder, 1)
        write_acdc(folder, 2, es=heart(6, slices=range(2, 8), right=range(2, 7)))  # RV in five slices
        write_acdc(folder, 3, es=heart(6, slices=range(3, 8)))  # LV in five
        gap = heart()
        gap[..., 6] = 0
        write_acdc(folder, 4, ed=np.ascontiguousarray(gap))
        write_acdc(folder, 5, es=heart(6, slices=range(2, 8), right=range(2, 4)))  # no RV at mid-cavity
        return folder

    def test_who_is_in_which(self, hearts, pack):
        wide, paper = pack(hearts), pack(hearts, "paper", selection="paper")
        assert wide.table["patient_id"].tolist() == ["patient001", "patient002"]
        assert wide.table["paper"].tolist() == [True, False]
        assert paper.table["patient_id"].tolist() == ["patient001"]
        assert (wide.card.attributes["left_out"], paper.card.attributes["left_out"]) == (3, 4)

    @pytest.mark.parametrize(("pixels", "counts"), [(10, False), (11, True)])
    def test_more_than_ten_pixels(self, tmp_path, pack, pixels, counts):
        es = heart(6, slices=range(2, 8))
        region = np.argwhere(es[..., 7] == 3)
        es[..., 7][tuple(region[pixels:].T)] = 0
        write_acdc(tmp_path / "source", 1, es=es)
        assert pack(tmp_path / "source").table["paper"].tolist() == [counts]

    def test_who_is_left_out_is_not_measured_against_the_crop(self, tmp_path, pack):
        write_acdc(tmp_path / "source", 1)
        write_acdc(tmp_path / "source", 2, ed=heart(20), es=heart(6, slices=range(3, 8)))
        assert pack(tmp_path / "source").table["patient_id"].tolist() == ["patient001"]

    def test_nobody_is_left(self, tmp_path, refused):
        write_acdc(tmp_path / "source", 1, es=heart(6, slices=range(3, 8)))
        assert "none of the 1 patients passes the selection 'wide'" in refused(tmp_path / "source")

    def test_each_group_lies_in_each_split_of_each_selection(self, tmp_path, pack):
        wider = heart(6, slices=range(2, 8), right=range(2, 7))
        for k in range(40):
            write_acdc(tmp_path / "source", k, GROUPS[k % 5], es=wider if k % 4 == 0 else None)
        wide, paper = pack(tmp_path / "source").table, pack(tmp_path / "source", "paper", selection="paper").table
        for table in (wide, paper):
            assert (pd.crosstab(table["diagnosis"], table["split"]) > 0).all(axis=None)
        shared = wide.set_index("patient_id")["split"][paper["patient_id"]]
        assert shared.tolist() == paper["split"].tolist()
        assert len(paper) == 30


def unpack(path):
    return gzip.decompress(path.read_bytes())


FAULTS = {
    "a missing frame": (
        lambda p: (p / "patient001_frame12.nii.gz").unlink(),
        r"1 × missing file \(patient001: no image patient001_frame12\.nii\.gz of ES; get it, or take the patient out\)",
    ),
    "a missing mask": (
        lambda p: (p / "patient001_frame01_gt.nii.gz").unlink(),
        r"1 × missing file \(patient001: no mask patient001_frame01_gt\.nii\.gz of ED",
    ),
    "no Info.cfg": (lambda p: (p / "Info.cfg").unlink(), r"missing file \(patient001: no Info\.cfg in "),
    "a mask of another shape": (
        lambda p: change(p / "patient001_frame12_gt.nii.gz", array=stored(heart()[..., :7], ACDC)),
        r"mask that does not fit its image \(patient001: patient001_frame12_gt\.nii\.gz has the shape \(64, 72, 7\), "
        r"not \(64, 72, 8\), of patient001_frame12\.nii\.gz",
    ),
    "a mask of another affine": (
        lambda p: change(p / "patient001_frame01_gt.nii.gz", affine=np.diag([1.0, 1, 1, 1])),
        r"does not fit its image \(patient001: patient001_frame01_gt\.nii\.gz has another affine than patient001_",
    ),
    "a mask of another spacing": (
        lambda p: change(p / "patient001_frame01_gt.nii.gz", (1.5, 1.5, 8)),
        r"_frame01_gt\.nii\.gz has distances of \(1\.5, 1\.5, 8\.0\) mm, not \(1\.5, 1\.5, 10\.0\), of patient001",
    ),
    "ES of another spacing": (
        lambda p: [change(p / f"patient001_frame12{end}.nii.gz", (1.6, 1.6, 10)) for end in ("", "_gt")],
        r"ES of another geometry than ED \(patient001: patient001_frame12\.nii\.gz has distances of \(1\.6",
    ),
    "a label of 4": (
        lambda p: change(p / "patient001_frame01_gt.nii.gz", array=4 * (heart() == 1).astype(np.uint8)),
        r"labels other than 0 to 3 \(patient001: patient001_frame01_gt\.nii\.gz holds 4; map the labels",
    ),
    "a label between": (
        lambda p: change(p / "patient001_frame01_gt.nii.gz", array=heart() * np.float32(0.5)),
        r"labels other than 0 to 3 \(patient001: patient001_frame01_gt\.nii\.gz holds 0\.5",
    ),
    "a label that is no number": (
        lambda p: change(p / "patient001_frame01_gt.nii.gz", array=np.where(heart() == 1, np.float32("nan"), 0)),
        r"labels other than 0 to 3 \(patient001: patient001_frame01_gt\.nii\.gz holds nan",
    ),
    "no right ventricle": (
        lambda p: change(p / "patient001_frame12_gt.nii.gz", array=stored(heart(right=()), ACDC)),
        r"mask without a region \(patient001: patient001_frame12_gt\.nii\.gz shows nothing of the right ventricle",
    ),
    "ED = ES": (
        lambda p: (p / "Info.cfg").write_text("ED: 12\nES: 12\nGroup: NOR\nNbFrame: 30\n"),
        r"Info\.cfg that cannot be used \(patient001: ED and ES are both frame 12",
    ),
    "ED and ES of the same content": (
        lambda p: shutil.copy(p / "patient001_frame01.nii.gz", p / "patient001_frame12.nii.gz"),
        r"ED and ES that are one frame \(patient001: their images are the same; get ES again\)",
    ),
    "another group": (
        lambda p: (p / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: ARV\nNbFrame: 30\n"),
        r"Info\.cfg that cannot be used \(patient001: Group is 'ARV', where one of NOR, DCM, HCM, MINF, RV is",
    ),
    "no frame of ES": (
        lambda p: (p / "Info.cfg").write_text("ED: 1\nGroup: NOR\nNbFrame: 30\n"),
        r"patient001: ES is None, where the number of a frame is expected",
    ),
    "a height in words": (
        lambda p: (p / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: NOR\nNbFrame: 30\nHeight: tall\n"),
        r"patient001: Height is 'tall', where a number is expected",
    ),
    "a height in metres": (
        lambda p: (p / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: NOR\nNbFrame: 30\nHeight: 1.84\n"),
        r"patient001: Height is '1\.84', where 30 to 250 is possible; leave it empty if unknown",
    ),
    "a weight without an end": (
        lambda p: (p / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: NOR\nNbFrame: 30\nWeight: inf\n"),
        r"patient001: Weight is 'inf', where 1 to 400 is possible",
    ),
    "a frame behind the last": (
        lambda p: (p / "Info.cfg").write_text("ED: 1\nES: 12\nGroup: NOR\nNbFrame: 11\n"),
        r"patient001: NbFrame is 11, where frame 12 is ED or ES",
    ),
    "a spacing of zero": (
        lambda p: [change(p / f"patient001_frame01{end}.nii.gz", (0, 1.5, 10)) for end in ("", "_gt")],
        r"2 × impossible spacing \(patient001: patient001_frame01\.nii\.gz has pixels 0 mm apart, where 0\.2 to",
    ),
    "a spacing in metres by mistake": (
        lambda p: change(p / "patient001_frame01.nii.gz", (0.0015, 0.0015, 0.01)),
        r"impossible spacing \(patient001: patient001_frame01\.nii\.gz has pixels 0\.0015 mm apart",
    ),
    "a distance of slices of zero": (
        lambda p: change(p / "patient001_frame12_gt.nii.gz", (1.5, 1.5, 0)),
        r"impossible spacing \(patient001: patient001_frame12_gt\.nii\.gz has slices 0 mm apart, where 1 to",
    ),
    "a spacing that is no number": (
        lambda p: change(p / "patient001_frame12.nii.gz", (1.5, np.nan, 10)),
        r"impossible spacing \(patient001: patient001_frame12\.nii\.gz has pixels nan mm apart",
    ),
    "another unit": (
        lambda p: change(p / "patient001_frame12.nii.gz", unit="micron"),
        r"unit other than mm \(patient001: patient001_frame12\.nii\.gz has lengths in micrometres; convert its",
    ),
    "a truncated gzip": (
        lambda p: (path := p / "patient001_frame01.nii.gz").write_bytes(path.read_bytes()[:-4000]),
        r"file that cannot be read \(patient001: patient001_frame01\.nii\.gz \(Compressed file ended .*; get it",
    ),
    "a damaged gzip": (
        lambda p: (path := p / "patient001_frame01.nii.gz").write_bytes(path.read_bytes()[:5000] + bytes(5000)),
        r"file that cannot be read \(patient001: patient001_frame01\.nii\.gz \(.*get it again",
    ),
    "a truncated volume": (
        lambda p: (path := p / "patient001_frame01.nii.gz").write_bytes(gzip.compress(unpack(path)[:-4000])),
        r"file that cannot be read \(patient001: patient001_frame01\.nii\.gz \(.*get it again",
    ),
    "no NIfTI": (
        lambda p: (p / "patient001_frame01.nii.gz").write_bytes(b"<html>please log in</html>" * 20),
        r"file that cannot be read \(patient001: patient001_frame01\.nii\.gz \(.*get it again",
    ),
    "an empty file": (
        lambda p: (p / "patient001_frame01.nii.gz").write_bytes(b""),
        r"file that cannot be read \(patient001: patient001_frame01\.nii\.gz \(.*get it again",
    ),
    "four axes": (
        lambda p: change(p / "patient001_frame01.nii.gz", array=np.stack([picture(heart())] * 2, axis=-1)),
        r"file that is no volume \(patient001: patient001_frame01\.nii\.gz has the shape \(64, 72, 8, 2\)",
    ),
    "one grey": (
        lambda p: change(p / "patient001_frame01.nii.gz", array=np.full(SHAPE, 7, np.int16)),
        r"image that cannot be used \(patient001: patient001_frame01\.nii\.gz is of one grey throughout",
    ),
    "pixels that are no numbers": (
        lambda p: change(p / "patient001_frame01.nii.gz", array=np.full(SHAPE, np.nan, np.float32)),
        r"image that cannot be used \(patient001: patient001_frame01\.nii\.gz holds values that are no numbers",
    ),
    "a frame twice": (
        lambda p: (p / "patient001_frame01.nii").write_bytes(unpack(p / "patient001_frame01.nii.gz")),
        r"file twice \(patient001: \S*patient001_frame01\.nii and \S*patient001_frame01\.nii\.gz; keep one\)",
    ),
    "a file of another patient": (
        lambda p: (p / "patient001_frame01.nii.gz").rename(p / "patient007_frame01.nii.gz"),
        r"file of another patient \(patient001: patient007_frame01\.nii\.gz; move it to the folder patient007\)",
    ),
    "a patient twice": (
        lambda p: shutil.copytree(p, p.parents[2] / "copy" / p.name),
        r"patient twice \(patient001: in \S*copy/patient001 and in \S*training/patient001; keep one\)",
    ),
}


class TestRefused:
    @pytest.mark.parametrize(("spoil", "message"), FAULTS.values(), ids=FAULTS)
    def test_is_named_and_nothing_is_packed(self, source, refused, spoil, message):
        spoil(patient(source))
        assert re.search(message, told := refused(source)), told

    def test_all_in_one_message(self, source, refused):
        for number in range(1, 6):
            (patient(source, number) / f"patient{number:03}_frame12_gt.nii.gz").unlink()
        change(patient(source, 1) / "patient001_frame01.nii.gz", unit="meter")
        (patient(source, 2) / "Info.cfg").unlink()
        message = refused(source)
        assert "5 × missing file (patient001: no mask" in message
        assert "and 2 more" in message

    def test_faults_of_several_patients(self, source, refused):
        change(patient(source, 1) / "patient001_frame01.nii.gz", unit="meter")
        change(patient(source, 3) / "patient003_frame01.nii.gz", (1.5, 0, 10))
        (patient(source, 2) / "Info.cfg").unlink()
        message = refused(source)
        for part in (
            "1 × missing file (patient002",
            "1 × unit other than mm (patient001",
            "impossible spacing (patient003",
        ):
            assert part in message

    def test_a_heart_larger_than_the_crop(self, source, pack, refused):
        message = refused(source, spacing=1.0)
        found = re.search(
            r"5 × heart larger than the crop \(patient001: patient001_frame01_gt\.nii\.gz reaches (\d+) mm from the "
            r"centre, the crop 24; take a spacing of ([\d.]+) mm",
            message,
        )
        assert found, message
        assert pack(source, spacing=float(found[2]))

    def test_files_that_lie_in_no_folder(self, source, tmp_path, refused):
        with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
            for path in patient(source).iterdir():
                archive.write(path, path.name)
        assert "file in no patient's folder" in refused(tmp_path / "flat.zip")

    def test_a_damaged_archive(self, source, tmp_path, refused):
        with zipfile.ZipFile(tmp_path / "ACDC.zip", "w") as archive:
            for path in sorted(patient(source).iterdir()):
                archive.write(path, f"training/patient001/{path.name}")
            place = archive.getinfo("training/patient001/patient001_frame12.nii.gz").header_offset
        content = bytearray((tmp_path / "ACDC.zip").read_bytes())
        content[place + 300] ^= 255
        (tmp_path / "ACDC.zip").write_bytes(content)
        message = refused(tmp_path / "ACDC.zip")
        assert "file that cannot be read (patient001: patient001_frame12.nii.gz" in message
        assert "download the archive again" in message
        (tmp_path / "ACDC.zip").write_bytes(content[:-200])
        assert "is cut off" in refused(tmp_path / "ACDC.zip")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"size": 4}, "size must be 8 to 1024, not 4"),
            ({"spacing": 0}, "spacing must be 0.2 to 10.0, not 0"),
            ({"spacing": float("nan")}, "spacing must be 0.2 to 10.0, not nan"),
            ({"selection": "all"}, "selection must be wide or paper, not 'all'"),
            ({"slices": "apical"}, "slices must be basal or upper, not 'apical'"),
            ({"workers": 0}, "workers must be at least 1, not 0"),
        ],
    )
    def test_an_argument(self, source, refused, options, message):
        assert message in refused(source, **options)

    @pytest.mark.parametrize("name", ["acdc", "acdc_masks"])
    def test_what_exists(self, source, refused, tmp_path, name):
        (tmp_path / name).mkdir()
        assert f"{name} exists: choose another folder, or delete it first" in refused(source)

    def test_pictures_that_cannot_be_written_leave_no_masks(self, source, pack, tmp_path, monkeypatch):
        save = ImageSet.save

        def full(self, folder, overwrite=False):
            if self.value_range == (0, 255):
                raise OSError("no space left on device")
            return save(self, folder, overwrite)

        monkeypatch.setattr(ImageSet, "save", full)
        with pytest.raises(OSError, match="no space"):
            pack(source)
        assert [path.name for path in tmp_path.iterdir()] == ["source"]


class TestScript:
    @pytest.fixture
    def script(self):
        return lambda *arguments: obtain.script("acdc", [str(a) for a in arguments])

    def test_packs_once_and_then_does_nothing(self, script, source, tmp_path, capsys):
        command = ("--from", source, "--out", tmp_path / "acdc", "--size", 48, "--spacing", 2)
        assert script(*command) == 0
        out = capsys.readouterr().out
        assert "CC BY-NC-SA 4.0; cite: Bernard" in out
        assert f"masks in {tmp_path / 'acdc_masks'}" in out
        shutil.rmtree(source)
        assert script(*command) == 0
        assert "is packed already" in capsys.readouterr().out
        assert script(*command[:4]) == 1
        assert "is an image set with size 48, not 128: choose another --out" in capsys.readouterr().err
        shutil.rmtree(tmp_path / "acdc_masks")
        assert script(*command) == 1
        assert "acdc_masks" in capsys.readouterr().err

    def test_faults_are_one_line(self, script, source, tmp_path, capsys):
        (patient(source) / "Info.cfg").unlink()
        assert script("--from", source, "--out", tmp_path / "acdc") == 1
        (line,) = [line for line in capsys.readouterr().err.splitlines() if "error" in line]
        assert line.startswith("error: the hearts cannot be packed: 1 × missing file (patient001: no Info.cfg")
        assert not (tmp_path / "acdc").exists()

    @pytest.fixture
    def host(self):
        """A host that sends an archive, or wants an account where there is none; and what was asked of it."""

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def do_GET(self):
                self.server.asked.append(self.path)
                self.send_response(200 if self.server.content else 401)
                self.send_header("Content-Length", str(len(self.server.content)))
                self.end_headers()
                self.wfile.write(self.server.content)

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            server.asked, server.content = [], b""
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
            thread.start()
            yield server
            server.shutdown()
            thread.join()

    def test_downloads_the_archive(self, script, source, host, tmp_path, monkeypatch):
        archive = Path(shutil.make_archive(str(tmp_path / "ACDC"), "zip", source))
        host.content = archive.read_bytes()
        monkeypatch.setattr(obtain_acdc, "SHA256", hashlib.sha256(host.content).hexdigest())
        command = ("--out", tmp_path / "acdc", "--mirror", f"http://127.0.0.1:{host.server_port}/")
        assert script(*command) == 0
        assert len(ImageSet.load(tmp_path / "acdc")) == 5
        assert script(*command) == 0
        assert host.asked == [f"/{obtain_acdc.ARCHIVE}"]

    def test_a_host_that_wants_an_account(self, script, host, tmp_path, capsys):
        assert script("--out", tmp_path / "acdc", "--mirror", f"http://127.0.0.1:{host.server_port}") == 1
        assert re.search(r"401.*download the archive in a browser .* and name it with --from", capsys.readouterr().err)
        assert not (tmp_path / "acdc").exists()


# ---------------------------------------------------------------------------------------------------------- real data


@pytest.fixture(scope="module")
def raw():
    folder = Path(os.environ.get("MEDLATENT_RAW", "")) / "acdc"
    if "MEDLATENT_RAW" not in os.environ or not folder.is_dir():
        pytest.skip("$MEDLATENT_RAW holds no folder acdc")
    return folder


@pytest.mark.real_data
def test_the_real_hearts(raw, tmp_path):
    images = acdc.pack(raw, tmp_path / "acdc", progress=False)
    masks = ImageSet.load(tmp_path / "acdc_masks")
    table = images.table.set_index("patient_id")
    assert images.images.shape == (100, 2, 128, 128)
    assert table["paper"].sum() == 72
    assert table["diagnosis"].value_counts().to_dict() == dict.fromkeys(GROUPS, 20)
    for part in (table, table[table["paper"]]):
        assert (pd.crosstab(part["diagnosis"], part["split"]) > 0).all(axis=None)
    published = pd.read_csv(raw / "headers_volumes.csv").set_index("patient")
    for name in acdc.MEASURED:
        region, phase = name[:-3], name[-3:-1]
        difference = (table[name] - published[f"{region.upper()}_{phase}_ml"]).abs()
        assert difference.max() <= 0.01, (name, difference.idxmax())
    # in each of them the RV lies to the left of the LV, on the horizontal axis through the centre
    for mask in masks.images.reshape(-1, 128, 128):
        left, right = (np.argwhere(mask == label).mean(0) for label in (1, 3))
        assert left == pytest.approx([63.5, 63.5], abs=0.4)
        assert right[0] == pytest.approx(63.5, abs=1)
        assert right[1] < left[1] - 8
    # and above the heart there is lung, darker than what lies below it: none stands on its head
    rows = images.images[:, 0].astype(float)
    assert (rows[:, 8:24, 56:104].mean((1, 2)) < rows[:, 104:120, 40:88].mean((1, 2))).mean() > 0.9


@pytest.mark.real_data
def test_the_packed_set_is_acdc():
    folder = Path(os.environ.get("MEDLATENT_DATA", "")) / "acdc"
    if "MEDLATENT_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("$MEDLATENT_DATA holds no folder acdc")
    images, masks = ImageSet.load(folder), ImageSet.load(acdc.masks_beside(folder))
    assert images.card.name == "ACDC"
    assert len(images) == 100
    pd.testing.assert_frame_equal(images.table, masks.table)
    blood = [images.images[:, c][masks.images[:, c] == 1].mean() for c in (0, 1)]
    muscle = [images.images[:, c][masks.images[:, c] == 2].mean() for c in (0, 1)]
    assert min(blood) > max(muscle)
