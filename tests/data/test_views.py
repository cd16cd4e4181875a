"""The same images seen otherwise: by hand, and as sources."""

import numpy as np
import pandas as pd
import pytest

from medlatent.data import Card, DataError, ImageSet, open_images
from medlatent.data.source import ClassifierSpec, Source, StandIn, find_source
from medlatent.data.views import coarser, halved, picture

CARD = Card("set", "here", "CC0-1.0", "nobody", "none", {"size": 4, "pixel_mm": 1.5, "channels": ["ED", "ES"]})


def image_set(dtype=np.uint8, side: int = 4) -> ImageSet:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 2, side, side)).astype(dtype)
    return ImageSet(pixels, pd.DataFrame({"id": range(3)}), {}, CARD, "id", (0, 200))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16])
def test_halved_averages_every_block(dtype):
    images = image_set(dtype)
    seen = halved(images)
    assert seen.images.shape == (3, 2, 2, 2)
    assert seen.images.dtype == dtype
    for n, c, y, x in np.ndindex(3, 2, 2, 2):
        block = images.images[n, c, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2].astype(float)
        assert abs(seen.images[n, c, y, x] - block.mean()) <= 0.5
    assert seen.table.equals(images.table)
    assert (seen.group, seen.value_range) == ("id", (0, 200))
    assert seen.card.attributes == {"size": 2, "pixel_mm": 3.0, "channels": ["ED", "ES"]}
    assert images.card.attributes["size"] == 4, "the card of the images themselves is left alone"


def test_halved_refuses_an_odd_side():
    with pytest.raises(DataError, match="images: 5×5 pixels cannot be halved, a side is odd"):
        halved(image_set(side=5))


def test_picture_is_one_channel():
    images = image_set()
    for k, name in enumerate(("ED", "ES")):
        seen = picture(images, k, name)
        assert np.array_equal(seen.images, images.images[:, [k]])
        assert seen.card.attributes["channels"] == [name]
        assert seen.card.preprocessing == f"none; {name} alone"
    for k in (-1, 2):
        with pytest.raises(DataError, match=f"channel: {k} is none of the 2 of set"):
            picture(images, k, "ES")


class TestSources:
    def test_hearts_at_64_pixels(self):
        whole = open_images("phantoms.heart", 5, 3)
        both = open_images("phantoms.heart.64", 5, 3)
        assert np.array_equal(both.images, halved(whole).images)
        for k, name in enumerate(("ED", "ES")):
            one = open_images(f"phantoms.heart.64.{name}", 5, 3)
            assert np.array_equal(one.images, both.images[:, [k]])
            assert one.table.equals(whole.table)

    def test_what_stands_in_is_the_same_view(self):
        source = Source("a", "packed", "a", stand_in=StandIn("b", 5, 1))
        names = [(view.name, view.stand_in) for view in coarser(source, ["x"])]
        assert names == [("a.64", StandIn("b.64", 5, 1)), ("a.64.x", StandIn("b.64.x", 5, 1))]
        assert coarser(Source("a", "packed", "a"))[0].stand_in is None

    def test_what_judges_them_is_trained_on_the_same_view(self):
        spec = ClassifierSpec("x", "b", (2, 128, 128), 7, "card")
        whole, alone = coarser(Source("a", "packed", "a", classifiers=(spec,)), ["x"])
        assert whole.classifiers == (ClassifierSpec("x", "b.64", (2, 64, 64), 7, "card"),)
        assert alone.classifiers == (ClassifierSpec("x", "b.64.x", (1, 64, 64), 7, "card"),)

    def test_images_of_another_size_are_refused(self):
        small = Source("a", "carried", "a", lambda: image_set())
        with pytest.raises(DataError, match=r"a: a\.64 shows images of 128×128, and these have 4×4"):
            coarser(small)[0].images(None, 0)

    def test_a_view_of_what_is_not_packed_says_what_to_pack(self, monkeypatch):
        monkeypatch.delenv("MEDLATENT_DATA", raising=False)
        source = find_source("acdc.64.ES")
        assert not source.at_hand
        with pytest.raises(DataError, match=r"acdc is not packed: run `python -m medlatent data acdc"):
            source.images(None, 0)
