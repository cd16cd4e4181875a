"""Lesions as Havaei et al. (2021) use them: which are shown, how often, and how they are turned."""

import numpy as np
import pandas as pd
import pytest

from medlatent.data import Card, DataError, Factor, ImageSet, open_images
from medlatent.data.lesions import FLIPS, TIMES, balanced

CARD = Card("lesions", "here", "CC0-1.0", "nobody", "none")
CLASSES = ("akiec", "bkl", "mel", "nv")


def lesions(dx, split, **columns) -> ImageSet:
    """An image for each diagnosis, no two alike, none like one of its flips."""
    images = np.random.default_rng(0).integers(0, 256, (len(dx), 3, 4, 4), dtype=np.uint8)
    ids = [f"ISIC_{i:07d}" for i in range(len(dx))]
    table = pd.DataFrame({"image_id": ids, "dx": dx, "split": split, **columns})
    factors = {"dx": Factor("diagnosis", kind="categorical", values=CLASSES)}
    return ImageSet(images, table, factors, CARD, "image_id")


def flipped(picture, way):
    """By hand: (C, H, W), columns reversed or rows."""
    across, upright = FLIPS[way]
    picture = picture[:, :, ::-1] if across else picture
    return picture[:, ::-1] if upright else picture


def test_three_diagnoses_and_copies_in_training_only():
    images = lesions(["nv", "mel", "akiec", "bkl", "mel", "bkl", "nv"], ["train"] * 4 + ["test", "validation", "test"])
    found = balanced(images)
    ids = found.table["image_id"].str[-1].astype(int).tolist()
    assert ids == [0, 1, 1, 1, 3, 3, 3, 4, 5, 6]
    assert found.factors["dx"].values == tuple(TIMES) == ("nv", "mel", "bkl")
    assert found.columns(["dx"])["dx"].tolist() == [0, 1, 1, 1, 2, 2, 2, 1, 2, 0]
    for row, (i, way) in enumerate(zip(ids, found.table["flip"], strict=True)):
        assert np.array_equal(found.images[row], flipped(images.images[i], way))
    for rows in (slice(1, 4), slice(4, 7)):
        ways = found.table["flip"][rows].tolist()
        assert ways[0] == "none"
        assert len(set(ways)) == 3
    assert (found.table["flip"][[0, 7, 8, 9]] == "none").all()
    assert (found.card.name, found.card.attributes["times"]) == ("lesions: nv, mel, bkl", TIMES)
    assert images.factors["dx"].values == CLASSES, "the set itself is left alone"
    assert len(images) == 7


def test_how_an_image_is_flipped_depends_on_its_identifier_alone():
    images = lesions(["mel"] * 60, ["train"] * 60)
    whole = balanced(images)
    assert (balanced(images.subset(range(40, 60))).images == whole.images[120:]).all()
    assert whole.table["flip"].value_counts().drop("none").between(25, 55).all(), "each of three ways in some 40 of 60"


def test_the_table_turns_with_the_picture():
    """A lesion at the upper right whose axis rises to the right by 0.3."""
    places = {"position_x": [0.1] * 9, "position_y": [0.2] * 9, "orientation": [0.3] * 8 + [-np.pi / 2]}
    table = balanced(lesions(["mel"] * 9, ["train"] * 9, **places)).table
    expected = {"none": (1, 1, 0.3), "horizontal": (-1, 1, -0.3), "vertical": (1, -1, -0.3), "both": (-1, -1, 0.3)}
    assert set(table["flip"]) == set(expected)
    for _, row in table[:24].iterrows():
        x, y, orientation = expected[row["flip"]]
        assert (row["position_x"], row["position_y"]) == pytest.approx((0.1 * x, 0.2 * y))
        assert row["orientation"] == pytest.approx(orientation)
    assert np.allclose(table["orientation"][24:], -np.pi / 2), "upright, whichever way it is flipped"


def test_sources():
    whole = open_images("phantoms.lesion.patches", 40, 4)
    found = open_images("phantoms.lesion.patches.balanced", 40, 4)
    assert np.array_equal(found.images, balanced(whole).images)
    small = open_images("phantoms.lesion.patches.balanced.32", 40, 4)
    assert small.images.shape == (len(found), 3, 32, 32)
    assert small.table.equals(found.table)
    assert (found.table.query("split != 'train'")["flip"] == "none").all()


@pytest.mark.parametrize("column", ["image_id", "dx", "split"])
def test_a_missing_column(column):
    images = lesions(["nv"], ["train"])
    images.table = images.table.drop(columns=column)
    with pytest.raises(DataError, match=f"lesions: the column '{column}' is missing; it has "):
        balanced(images)


def test_diagnoses_that_are_not_all_known():
    images = lesions(["nv"], ["train"])
    images.factors = {}
    with pytest.raises(DataError, match="lesions: 'dx' is no factor, as the diagnosis is not known of every image"):
        balanced(images)


def test_none_of_the_three():
    with pytest.raises(DataError, match="lesions: of its 2 images none is of nv, mel, bkl"):
        balanced(lesions(["akiec", "akiec"], ["train", "test"]))


def test_numbers_may_name_the_images():
    images = lesions(["mel", "nv"], ["train", "train"])
    images.table["image_id"] = [24306, 24307]
    assert balanced(images).table["image_id"].tolist() == [24306] * 3 + [24307]
