"""Nodules of LIDC-IDRI from both layouts: how readers are merged, filters, splits, everything that can be wrong."""

import io
import os
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medlatent import obtain
from medlatent.data import DataError, ImageSet, find_source, lidc, lidc_ct, nodules, open_images
from medlatent.data.packing import File, Findings
from medlatent.data.phantoms import nodule
from medlatent.data.phantoms._common import write_ct_series
from medlatent.obtain import lidc_nodules

PATIENTS, SEED = 4, 12
SIDE, PIXEL = 64, 0.8
UIDS = ("1.2.1", "1.2.2", "1.2.3")  # of the slices of the series by hand, from feet to head
RATINGS = dict.fromkeys(nodules.RATINGS, 1) | {"calcification": 6, "malignancy": 4}


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """Phantoms as LIDC-IDRI lies on disk."""
    folder = tmp_path_factory.mktemp("lidc") / "official"
    return folder, nodule.write_dicom(folder, PATIENTS, SEED)


@pytest.fixture(scope="module")
def extracted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lidc") / "extracted"
    nodule.write_patches(folder, PATIENTS, SEED)
    return folder


@pytest.fixture(scope="module")
def packed(official, tmp_path_factory):
    return lidc.pack(official[0], tmp_path_factory.mktemp("packed") / "lidc", workers=1, progress=False)


@pytest.fixture
def pack(tmp_path):
    return lambda source, **options: lidc.pack(source, tmp_path / "lidc", workers=1, progress=False, **options)


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


# ------------------------------------------------------------------------------------------------ a series by hand


def square(left, top, right, bottom):
    """The outline of a rectangle of pixels, which runs just outside of them."""
    return [(left - 1, top - 1), (right + 1, top - 1), (right + 1, bottom + 1), (left - 1, bottom + 1)]


def roi(outline, level=1, inclusion="TRUE", position=None):
    points = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in outline)
    position = 2.5 * level if position is None else position
    return (
        f"<roi><imageZposition>{position}</imageZposition><imageSOP_UID>{UIDS[level]}</imageSOP_UID>"
        f"<inclusion>{inclusion}</inclusion>{points}</roi>"
    )


def marked(*rois, name="N1", **ratings):
    form = "".join(f"<{rating}>{value}</{rating}>" for rating, value in (RATINGS | ratings).items())
    return (
        f"<unblindedReadNodule><noduleID>{name}</noduleID><characteristics>{form}</characteristics>"
        f"{''.join(rois)}</unblindedReadNodule>"
    )


def message(*readers, series="1.2", root="LidcReadMessage"):
    sessions = "".join(f"<readingSession>{''.join(reader)}</readingSession>" for reader in readers)
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><{root} xmlns="http://www.nih.gov"><ResponseHeader>'
        f"<SeriesInstanceUid>{series}</SeriesInstanceUid></ResponseHeader>{sessions}</{root}>"
    )


def write_series(folder, text, patient="LIDC-IDRI-0007", pixel=PIXEL):
    """Three slices of lung with a nodule of 10 × 6 pixels, columns 30 to 39 and rows 20 to 25, and what was read."""
    hu = np.full((3, SIDE, SIDE), -850)
    hu[:, 20:26, 30:40] = 0
    tags = {"StudyInstanceUID": "1.1", "SeriesInstanceUID": "1.2", "PatientID": patient}
    write_ct_series(folder / "series", hu + 1024, 2.5 * np.arange(3), pixel, 2.5, UIDS, tags)
    (folder / "069.xml").write_text(text)
    return folder


THREE = [[marked(roi(square(30, 20, 39, 25)))]] * 3


class TestByHand:
    def test_four_readers_of_one_nodule(self, tmp_path, pack):
        """Two of four enclose columns 30 to 39 in the middle slice, the others fewer, and they less in the lowest."""
        whole, narrow = square(30, 20, 39, 25), square(30, 20, 33, 25)
        readers = [
            [marked(roi(narrow, 0), roi(whole), name="7", malignancy=5, subtlety=5, margin=4, texture=5)],
            [marked(roi(narrow, 0), roi(whole), name="IL1", malignancy=4, subtlety=3, margin=4, texture=5)],
            [marked(roi(narrow), name="0", malignancy=4, subtlety=3, margin=2, texture=5, calcification=3)],
            [marked(roi(narrow), name="x", malignancy=2, subtlety=2, margin=2, texture=4, calcification=3)],
        ]
        images = pack(write_series(tmp_path / "scan", message(*readers)))
        assert len(images) == 1
        row = images.table.iloc[0]
        assert (row["patient_id"], row["nodule"], row["series_uid"]) == ("LIDC-IDRI-0007", 0, "1.2")
        assert row["position"] == 2.5
        assert (row["readers"], row["row_spacing"], row["column_spacing"]) == (4, PIXEL, PIXEL)
        medians = {"malignancy": 4, "subtlety": 3, "margin": 3, "texture": 5, "calcification": 4.5, "sphericity": 1}
        assert {name: row[f"{name}_rating"] for name in medians} == medians
        assert [row[name] for name in nodules.CHARACTERISTICS] == [0, 1, 0, 0, 1, 1]
        assert row["size"] == pytest.approx(np.sqrt(4 * 60 * 0.64 / np.pi))  # 60 pixels
        assert row["size_bin"] == "5.6 to 8.4 mm"
        # 32 mm are 40 pixels, each 1.6 of the patch; the middle of the nodule is that of the patch.
        patch = images.images[0, 0].astype(float)
        assert patch[32 - 4 : 32 + 4, 32 - 7 : 32 + 7].min() > -150
        assert patch[: 32 - 6].max() < -750
        assert patch[:, : 32 - 9].max() < -750
        assert np.array_equal(patch, patch[::-1, ::-1])

    def test_a_hole_does_not_belong_to_the_nodule(self, tmp_path, pack):
        rois = roi(square(30, 20, 39, 25)), roi(square(33, 22, 36, 23), inclusion="FALSE")
        images = pack(write_series(tmp_path / "scan", message(*[[marked(*rois)]] * 3)))
        assert images.table["size"][0] == pytest.approx(np.sqrt(4 * (60 - 8) * 0.64 / np.pi))

    def test_what_is_left_out_is_counted(self, tmp_path, pack):
        small = "<unblindedReadNodule><noduleID>S</noduleID>" + roi([(5, 5)]) + "</unblindedReadNodule>"
        thin = marked(roi([(5, 5), (6, 5), (6, 6), (5, 6)]), name="T")
        far = marked(roi(square(50, 50, 55, 55)), name="F")
        readers = [THREE[0] + [small, far], THREE[1] + [thin, far], THREE[2]]
        scan = write_series(tmp_path / "scan", message(*readers))
        (scan / "070.xml").write_text(message(root="IdriReadMessage"))
        (scan / "elsewhere.xml").write_text(message(*THREE, series="9.9").replace("1.2.2", "9.9.1"))
        (scan / "notes.txt").write_text("notes")
        images = pack(scan)
        assert len(images) == 1
        assert images.card.attributes["left_out"] == {
            "XML file that holds no reading of a CT series": 1,
            "mark of a nodule below 3 mm": 1,
            "outline that encloses no pixel": 1,
            "nodule of fewer than 3 readers": 1,
            "file that is no CT image": 1,
            "nodule whose series is not there": 1,
        }
        assert "left out: 1 × nodule of fewer than 3 readers (" in lidc.summary(images)

    def test_a_nodule_at_the_border_lies_beside_the_middle(self, tmp_path, pack):
        images = pack(write_series(tmp_path / "scan", message(*[[marked(roi(square(2, 2, 9, 9)))]] * 3)))
        # The patch ends with the slice: its columns are 0 to 39, so the nodule at 30 to 39 is at its right.
        assert images.images[0, 0, 32:41, 49:].mean() > -150
        assert images.images[0, 0, :, :46].max() < -700

    def test_undecided_nodules_lie_beside(self, tmp_path, pack):
        three = [marked(roi(square(50, 50, 55, 55)), malignancy=3)]
        images = pack(write_series(tmp_path / "scan", message(*[reader + three for reader in THREE])))
        undecided = ImageSet.load(lidc.undecided_beside(tmp_path / "lidc"))
        assert images.table["malignancy_rating"].tolist() == [4]
        assert undecided.table["malignancy_rating"].tolist() == [3]
        assert images.card.attributes["undecided"] == 1

    def test_the_same_annotation_twice_is_one(self, tmp_path, pack):
        scan = write_series(tmp_path / "scan", message(*THREE))
        with zipfile.ZipFile(tmp_path / "LIDC-XML-only.zip", "w") as archive:
            archive.writestr("tcia-lidc-xml/157/158.xml", message(*THREE))
        assert len(pack([scan, tmp_path / "LIDC-XML-only.zip"])) == 1


class TestDamaged:
    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            (("<malignancy>4<", "<malignancy>7<"), r"reader 1, nodule 'N1': malignancy is 7, expected 1 to 5"),
            (("<texture>1</texture>", ""), r"reader 1, nodule 'N1': texture is missing"),
            (("<margin>1<", "<margin>1.5<"), r"reader 1, nodule 'N1': margin is '1\.5', expected a whole number"),
            (
                ("<subtlety>1<", "<subtlety>high<"),
                r"reader 1, nodule 'N1': subtlety is 'high', expected a whole number",
            ),
            (
                ("<xCoord>29<", "<xCoord>1000000000<"),
                r"reader 1, nodule 'N1': edgeMap is \(1000000000, \d+\), where slices have up to 4096 pixels a side",
            ),
            (("<xCoord>29<", "<xCoord>?<"), r"reader 1, nodule 'N1': xCoord is '\?', expected a whole number"),
            (
                ("<imageZposition>2.5<", "<imageZposition>nan<"),
                r"reader 1, nodule 'N1': imageZposition is 'nan', expected a number",
            ),
            (("<imageSOP_UID>1.2.2</imageSOP_UID>", ""), r"reader 1, nodule 'N1': imageSOP_UID is missing"),
            (
                ("<inclusion>TRUE<", "<inclusion>yes<"),
                r"reader 1, nodule 'N1': inclusion is 'YES', expected TRUE or FALSE",
            ),
            (
                (re.compile("<characteristics>.*?</characteristics>"), ""),
                r"reader 1, nodule 'N1': characteristics is missing or empty",
            ),
            (("<SeriesInstanceUid>1.2</SeriesInstanceUid>", ""), r"ResponseHeader/SeriesInstanceUid is missing"),
            (("</LidcReadMessage>", ""), r"no whole XML file \(no element found: line 1"),
        ],
    )
    def test_an_annotation(self, change, expected, tmp_path, pack, refused):
        old, new = change
        text = message(*THREE)
        damaged = old.sub(new, text, count=1) if isinstance(old, re.Pattern) else text.replace(old, new, 1)
        assert damaged != text
        scan = write_series(tmp_path / "scan", damaged)
        assert re.search(r"1 × .* \(.*069\.xml: " + expected, refused(scan))
        if "reader" in expected:
            # Without that reader there are two, which are too few.
            assert "no nodule that at least 3 readers outlined" in refused(scan, lenient=True)

    def test_leniently_what_is_damaged_is_counted(self, tmp_path, pack):
        text = message(*THREE, THREE[0]).replace("<malignancy>4<", "<malignancy>0<", 1)
        images = pack(write_series(tmp_path / "scan", text), lenient=True)
        assert images.table["readers"].tolist() == [3]
        assert images.card.attributes["left_out"] == {"damaged reading": 1}
        (name,) = images.card.attributes["left_out_names"]["damaged reading"]
        assert name == "069.xml: reader 1, nodule 'N1': malignancy is 0, expected 1 to 5"

    def test_a_slice(self, tmp_path, refused):
        scan = write_series(tmp_path / "scan", message(*THREE))
        file = scan / "series" / "1-002.dcm"
        whole = file.read_bytes()
        file.write_bytes(whole[:-100])
        assert re.search(r"1 × file that cannot be read \(.*1-002\.dcm: ", refused(scan))
        file.unlink()
        message_ = refused(scan)
        assert re.search(r"1 × slice that is missing \(.*069\.xml: imageSOP_UID 1\.2\.2 of series 1\.2", message_)
        file.write_bytes(whole)
        shutil.copy(file, scan / "series" / "copy.dcm")
        assert re.search(r"1 × slice there twice \(.*: SOPInstanceUID 1\.2\.2", refused(scan))

    def test_a_series(self, tmp_path, refused):
        for name, options, expected in (
            ("patient", {"patient": "Doe"}, r"1-002\.dcm: PatientID: the patient is 'Doe', expected one like LIDC"),
            ("spacing", {"pixel": 7.0}, r"1-002\.dcm: PixelSpacing is 7 and 7 mm, where 0\.2 to 2\.0 mm are possible"),
            ("small", {"pixel": 0.4}, r"1-002\.dcm: 64 pixels of 0\.4 mm are less than field, 32 mm; take a smaller"),
        ):
            assert re.search(expected, refused(write_series(tmp_path / name, message(*THREE), **options)))

    def test_an_outline_beyond_the_slice(self, tmp_path, refused):
        scan = write_series(tmp_path / "scan", message(*[[marked(roi(square(60, 20, 70, 25)))]] * 3))
        assert re.search(r"069\.xml: an edgeMap in 1\.2\.2 leaves its 64×64 pixels", refused(scan))

    def test_two_annotations_of_a_series(self, tmp_path, refused):
        scan = write_series(tmp_path / "scan", message(*THREE))
        (scan / "other.xml").write_text(message(*THREE[:2]))
        assert re.search(r"series annotated twice \(.*069\.xml and .*other\.xml: SeriesInstanceUid 1\.2", refused(scan))

    def test_a_slice_of_another_series(self, tmp_path, refused):
        scan = write_series(tmp_path / "scan", message(*THREE, series="1.3"))
        assert "SeriesInstanceUID is 1.2, and" in refused(scan)


# ------------------------------------------------------------------------------------------------ both layouts


class TestBothLayouts:
    def test_yield_the_same_set(self, official, packed, extracted, pack):
        """But for what the masks of patches have lost, where the bounding box of an outline has an even side."""
        other = pack(extracted)
        measured = ["size", "size_bin"]
        pd.testing.assert_frame_equal(packed.table.drop(columns=measured), other.table.drop(columns=measured))
        np.testing.assert_allclose(other.table["size"], packed.table["size"], rtol=0.15)
        annotations = [File(str(path)) for path in official[0].rglob("*.xml")]
        wanted = [one for ones in lidc._annotated(annotations, False, Findings(), Findings()).values() for one in ones]
        odd = {
            (one.series_uid, one.nodule.position): bool((np.ptp(one.nodule.pixels, axis=0) % 2 == 0).all())
            for one in wanted
        }
        table = packed.table
        odd = np.array([odd[place] for place in zip(table["series_uid"], table["position"], strict=True)])
        assert 2 <= odd.sum() < len(odd)
        pd.testing.assert_frame_equal(table[odd], other.table[odd])
        assert np.array_equal(packed.images[odd], other.images[odd])
        assert not np.array_equal(packed.images[~odd], other.images[~odd])
        # Half a pixel of 0.7 mm is 0.7 of a pixel of the set.
        differ = np.abs(packed.images[~odd].astype(float) - other.images[~odd])
        shifted = np.abs(np.diff(packed.images[~odd].astype(float), axis=2))
        assert differ.mean() < 1.5 * shifted.mean()
        assert packed.value_range == other.value_range == (-1000, 400)
        assert (packed.card.attributes["layout"], other.card.attributes["layout"]) == (
            *("official files", "extracted patches"),
        )

    def test_what_is_packed_is_what_was_written(self, packed, official):
        truth = official[1]
        assert packed.images.shape[1:] == (1, 64, 64)
        table = packed.table
        assert 3 <= len(table) < len(truth)
        assert (table["readers"] >= 3).all()
        assert (table["malignancy_rating"] != 3).all()
        undecided = packed.card.attributes["undecided"]
        assert len(table) + undecided == (truth["readers"] >= 3).sum()
        assert packed.card.attributes["left_out"]["nodule of fewer than 3 readers"] == (truth["readers"] < 3).sum()
        for _, row in table.iterrows():
            true = truth[(truth["patient_id"] == row["patient_id"])]
            nearest = true.iloc[(true["size"] - row["size"]).abs().argmin()]
            assert row["size"] == pytest.approx(nearest["size"], rel=0.2)
            assert row["subtlety_rating"] == pytest.approx(nearest["subtlety_rating"], abs=1.2)
            assert row["calcification"] == nearest["calcification"]

    def test_splits_are_the_paper_s(self, packed):
        case = packed.table["patient_id"].str[-4:].astype(int)
        assert ((case >= 899) == (packed.table["split"] == "test")).all()
        assert set(packed.table["split"]) >= {"train", "test"}
        assert lidc._splits(pd.Series([f"LIDC-IDRI-{k:04d}" for k in range(1, 1013)])).tolist().count("test") == 114
        shares = pd.Series(lidc._splits(pd.Series([f"LIDC-IDRI-{k:04d}" for k in range(1, 899)]))).value_counts()
        assert 60 < shares["validation"] < 120

    def test_the_condition_vector(self, packed):
        vector = nodules.condition(packed.columns(nodules.CONDITIONED))
        assert vector.shape == (len(packed), 17)
        assert vector[:, 1].tolist() == (packed.table["subtlety_rating"] > 3).astype(float).tolist()

    def test_in_archives(self, official, packed, tmp_path):
        source = tmp_path / "source"
        source.mkdir()
        for folder in sorted(official[0].iterdir())[:2]:
            shutil.make_archive(str(source / folder.name), "zip", folder)
        images = lidc.pack(source, tmp_path / "lidc", workers=1, progress=False)
        first = packed.table["patient_id"].isin([f.name for f in sorted(official[0].iterdir())[:2]])
        assert np.array_equal(images.images, packed.images[first.to_numpy()])

    def test_what_reads_a_slice_goes_to_another_process(self, official, packed):
        annotations = [File(str(path)) for path in sorted(official[0].rglob("*.xml"))]
        wanted = lidc._annotated(annotations, False, Findings(), Findings())
        reader = pickle.loads(pickle.dumps(lidc._Slices(lidc._Crop(32.0, 64), wanted)))
        slices = [reader(File(str(path))) for path in sorted(official[0].rglob("*.dcm"))]
        found = [one for slice_ in slices for one in slice_.found]
        assert len(found) == len(packed) + packed.card.attributes["undecided"]

    def test_a_smaller_field_shows_less(self, official, packed, pack):
        close = pack(official[0], field=16.0, size=32)
        assert close.images.shape[2:] == (32, 32)
        assert close.card.attributes["pixel_mm"] == 0.5
        i = int((packed.table["size"] < 10).to_numpy().argmax())
        whole = packed.images[i, 0, 16:48, 16:48]
        assert abs(whole.astype(float) - close.images[i, 0]).mean() < 12

    def test_sources(self, official, tmp_path, monkeypatch):
        monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
        command = f"run `python -m medlatent data lidc_nodules --from YOUR_LIDC --out {tmp_path}/lidc`"
        with pytest.raises(DataError, match=re.escape(command)):
            open_images("lidc")
        lidc.pack(official[0], tmp_path / "lidc", workers=1, progress=False)
        for name, side in (("lidc", 64), ("lidc.32", 32)):
            images = open_images(name)
            assert images.images.shape[1:] == (1, side, side)
            specs = find_source(name).classifiers
            assert [spec.factor for spec in specs] == ["malignancy", "size_bin"]
            for spec in specs:
                assert (spec.card, spec.shape) == (images.card.name, images.images.shape[1:])


class TestExtracted:
    @pytest.fixture
    def files(self, extracted, tmp_path):
        return shutil.copytree(extracted, tmp_path / "files")

    @pytest.mark.parametrize(
        ("column", "value", "expected"),
        [
            ("malignancy_median", "9", r"line 2: malignancy_median is 9, expected 1 to 5"),
            ("texture_median", "", r"line 2: texture_median is '', expected a number"),
            ("n_readers", "3.5", r"line 2: n_readers is '3\.5', expected a whole number"),
            ("patient_id", "0001", r"line 2: patient_id: the patient is '0001', expected one like LIDC-IDRI-0001"),
            ("PixelSpacing", "0", r"line 2: PixelSpacing is 0 and 0 mm, where 0\.2 to 2\.0 mm are possible"),
            ("noduleID", "77", r"line 2: noduleID 77 is not in .*nodules_71px_hu\.npz"),
            ("SeriesInstanceUid", "", r"line 2: SeriesInstanceUid is '', expected text"),
        ],
    )
    def test_a_damaged_row(self, column, value, expected, files, refused):
        path = files / "nodules_71px.csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table.loc[0, column] = value
        table.to_csv(path, index=False)
        assert re.search(r"nodules_71px\.csv, " + expected, refused(files))

    def test_a_table_that_is_cut_off(self, files, refused):
        path = files / "nodules_71px.csv"
        columns = pd.read_csv(path, dtype=str, keep_default_na=False)
        columns = columns[[name for name in columns if name != "SeriesInstanceUid"] + ["SeriesInstanceUid"]]
        columns.to_csv(path, index=False)
        path.write_text(path.read_text().rstrip("\n").rpartition(",")[0])
        assert re.search(r"nodules_71px\.csv: row \d+ has \d+ fields where the header has \d+", refused(files))

    def test_a_missing_column(self, files, refused):
        path = files / "nodules_71px.csv"
        pd.read_csv(path).drop(columns="margin_median").to_csv(path, index=False)
        assert "nodules_71px.csv: the column 'margin_median' is missing; it has noduleID, " in refused(files)

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ({"mask": None}, r"there is no array mask"),
            ({"hu": np.zeros((1, 71, 71), np.float32)}, r"hu is float32 of shape \(1, 71, 71\), expected int16"),
            ({"mask": np.zeros((2, 71, 71), np.uint8)}, r"mask is uint8 of shape \(2, 71, 71\), expected 0 and 1"),
            ({"noduleID": np.zeros(3, np.int64)}, r"noduleID is int64 of shape \(3,\), expected one number a patch"),
            ({"noduleID": "twice"}, r"noduleID holds a number twice"),
            ({"mask": "empty"}, r"mask of noduleID 1 is empty"),
            ({"hu": "more"}, r"patch without a row \(.*noduleID 99 is not in .*nodules_71px\.csv"),
        ],
    )
    def test_damaged_arrays(self, change, expected, files, refused):
        path = files / "nodules_71px_hu.npz"
        with np.load(path) as stored:
            arrays = dict(stored)
        for name, value in change.items():
            if value is None:
                del arrays[name]
            elif value == "twice" if isinstance(value, str) else False:
                arrays[name][:] = 1
            elif isinstance(value, str) and value == "empty":
                arrays[name][0] = 0
            elif isinstance(value, str):
                arrays = {key: np.concatenate([array, array[:1]]) for key, array in arrays.items()}
                arrays["noduleID"][-1] = 99
            else:
                arrays[name] = value
        np.savez(path, **arrays)
        assert re.search(r"nodules_71px_hu\.npz: .*" + expected + "|" + expected, refused(files))

    def test_a_cut_file(self, files, refused):
        path = files / "nodules_71px_hu.npz"
        path.write_bytes(path.read_bytes()[:1000])
        assert re.search(r"nodules_71px_hu\.npz: damaged, or no \.npz file \(", refused(files))

    def test_no_table(self, files, refused):
        (files / "nodules_71px.csv").unlink()
        assert "0 tables nodules_71px.csv in the source, and one is needed" in refused(files)


class TestArguments:
    def test_what_cannot_be(self, extracted, official, tmp_path, refused):
        for options, expected in (
            ({"field": 4}, "field must be 8 to 128, not 4"),
            ({"size": 4}, "size must be 8 to 512, not 4"),
            ({"field": 64.0}, r"71 pixels of 0\.7 mm are less than field, 64 mm"),
        ):
            assert re.search(expected, refused(extracted, **options))
        assert "mixed: pack each on its own" in refused([extracted, official[0]])
        (tmp_path / "nothing").mkdir()
        assert "no nodule; needed are DICOM series with the radiologists' XML" in refused(tmp_path / "nothing")
        with pytest.raises(DataError, match="workers must be at least 1, not 0"):
            lidc.pack(extracted, tmp_path / "lidc", workers=0)

    @pytest.mark.parametrize("name", ["lidc", "lidc_undecided"])
    def test_nothing_is_overwritten(self, name, extracted, tmp_path, refused):
        (tmp_path / name).mkdir()
        assert f"{name} exists: choose another folder" in refused(extracted)


# ------------------------------------------------------------------------------------------------ the script


class TestScript:
    @pytest.fixture
    def script(self):
        return lambda *arguments: obtain.script("lidc_nodules", [str(a) for a in arguments])

    def test_packs_once_and_then_does_nothing(self, script, extracted, tmp_path, capsys):
        command = ("--from", extracted, "--out", tmp_path / "lidc")
        assert script(*command) == 0
        assert re.search(r"nodules: \d+ of \d+ patients.*\n1 of 0 and 1: subtlety \d+, .*", capsys.readouterr().out)
        before = (tmp_path / "lidc" / "images.npy").stat().st_mtime_ns
        assert script(*command) == 0
        assert "is packed already" in capsys.readouterr().out
        assert (tmp_path / "lidc" / "images.npy").stat().st_mtime_ns == before
        assert script(*command, "--size", "32") == 1
        assert "is an image set with size 64, not 32: choose another --out" in capsys.readouterr().err

    def test_an_error_is_one_line(self, script, tmp_path, capsys):
        assert script("--from", tmp_path / "nowhere", "--out", tmp_path / "lidc") == 1
        assert re.fullmatch(r"error: .*nowhere: no such file or folder\n", capsys.readouterr().err)

    def test_downloads_the_series_with_nodules(self, script, official, packed, tmp_path, capsys, monkeypatch):
        """The archive of annotations and the object store are stood in for by what lies on disk."""
        annotations = io.BytesIO()
        with zipfile.ZipFile(annotations, "w") as archive:
            for k, path in enumerate(sorted(official[0].rglob("*.xml"))):
                archive.writestr(f"tcia-lidc-xml/157/{k}.xml", path.read_bytes())
        asked = []

        def fetch(url, path, **published):
            asked.append((url, published))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(annotations.getvalue())
            return path

        def download(series, folder, connections, mirror):
            return [next(official[0].rglob(one.uid)) for one in series]

        monkeypatch.setattr(lidc_nodules, "fetch", fetch)
        monkeypatch.setattr(lidc_ct, "download", download)
        series = [path for path in official[0].glob("*/*/*") if path.is_dir()]
        rows = [
            f"{path.parts[-3]},{path.name},s3://idc-open-data/37cf5cd8-d103-4cd0-a446-960bc0ed92a{k}/*,14,0.5"
            for k, path in enumerate(series)
        ]
        index = tmp_path / "lidc.csv"
        index.write_text("\n".join([",".join(lidc_ct.COLUMNS), *rows]))
        command = ("--index", index, "--out", tmp_path / "lidc")
        assert script(*command, "--dry-run") == 0
        assert re.search(r"\d+ series with nodules; to be downloaded .*: \d+, 0\.00 GB", capsys.readouterr().out)
        assert not (tmp_path / "lidc").exists()
        assert script(*command) == 0
        assert asked[0] == (lidc_nodules.ANNOTATIONS, {"size": lidc_nodules.SIZE, "sha256": lidc_nodules.SHA256})
        assert np.array_equal(ImageSet.load(tmp_path / "lidc").images, packed.images)


# ------------------------------------------------------------------------------------------------ real data


@pytest.mark.real_data
def test_the_real_nodules(tmp_path):
    raw = Path(os.environ.get("MEDLATENT_RAW", "")) / "lidc"
    if "MEDLATENT_RAW" not in os.environ or not (raw / "nodules_71px.csv").is_file():
        pytest.skip("$MEDLATENT_RAW holds no lidc/nodules_71px.csv")
    images = lidc.pack(raw, tmp_path / "lidc", progress=False)
    undecided = ImageSet.load(lidc.undecided_beside(tmp_path / "lidc"))
    table = images.table
    assert (len(images), table["patient_id"].nunique(), len(undecided)) == (829, 509, 504)
    assert (table["split"] == "test").sum() == 82
    assert images.card.attributes["left_out"] == {"nodule of fewer than 3 readers": 2680 - 829 - 504}
    ones = {"subtlety": 690, "calcification": 172, "sphericity": 581, "margin": 691, "texture": 773, "malignancy": 388}
    assert {name: int(table[name].sum()) for name in ones} == ones
    assert [int((table["size_bin"] == value).sum()) for value in nodules.SIZES] == [195, 239, 134, 92, 169]


@pytest.mark.real_data
def test_the_packed_set_is_lidc():
    folder = Path(os.environ.get("MEDLATENT_DATA", "")) / "lidc"
    if "MEDLATENT_DATA" not in os.environ or not folder.is_dir():
        pytest.skip("$MEDLATENT_DATA holds no folder lidc")
    images = ImageSet.load(folder)
    assert images.card.name == lidc.NAME
    # A nodule is in the middle, and a solid one is denser than the lung around it.
    solid = images.images[images.table["texture"].to_numpy() == 1, 0].astype(float)
    assert np.median(solid[:, 30:34, 30:34]) > np.median(solid[:, :, :4]) + 300
