"""The condition vector, and several readers of one nodule: everything by hand."""

import numpy as np
import pytest
import torch

from medlatent.data import DataError, nodules
from medlatent.data.nodules import Reading, condition, filled, group, inner, merge

RATINGS = dict.fromkeys(nodules.RATINGS, 1)


def reading(reader, *pixels, slices=("a",), **ratings):
    """A reading with the same pixels in each of its slices, which lie 2 mm apart."""
    of_slice = np.array(pixels)
    position = {uid: 2.0 * (ord(uid) - ord("a")) for uid in slices}
    return Reading(reader, RATINGS | ratings, dict.fromkeys(slices, of_slice), position)


class TestTheConditionVector:
    def test_two_nodules_by_hand(self):
        columns = {
            "subtlety": [1, 0],
            "calcification": [0, 1],
            "sphericity": [1, 1],
            "margin": [0, 0],
            "texture": [1, 0],
            "malignancy": [0, 1],
            "size_bin": [0, 3],
        }
        columns = {name: torch.tensor(values) for name, values in columns.items()}
        columns["margin"] = columns["margin"].float()  # as ImageSet.columns gives a binary factor
        vector = condition(columns | {"size": torch.tensor([4.0, 12.0])})
        assert vector.tolist() == [
            [0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 1, 0, 0, 0, 0],
            [1, 0, 0, 1, 0, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0],
        ]
        assert vector.dtype == torch.float32
        assert len(nodules.CONDITION) == len(set(nodules.CONDITION)) == 17

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"texture": None}, "the column 'texture' is missing; it needs subtlety, calcification"),
            ({"margin": torch.tensor([0.5])}, r"column 'margin' holds 0\.5 in row 0, not 0 to 1"),
            ({"size_bin": torch.tensor([5])}, "column 'size_bin' holds 5 in row 0, not 0 to 4"),
            ({"malignancy": torch.tensor([0, 1])}, r"column 'malignancy' has the shape \(2,\)"),
            ({"subtlety": torch.tensor([[1]])}, r"column 'subtlety' has the shape \(1, 1\), expected one value a row"),
        ],
    )
    def test_what_cannot_be_one_is_refused_by_name(self, changed, message):
        columns = dict.fromkeys(nodules.CONDITIONED, torch.tensor([1])) | changed
        with pytest.raises(DataError, match=message):
            condition({name: values for name, values in columns.items() if values is not None})

    def test_thresholds(self):
        halves = np.arange(2, 11) / 2
        assert nodules.binarised("margin", halves).tolist() == [0, 0, 0, 0, 0, 1, 1, 1, 1]
        assert nodules.binarised("calcification", [1, 3, 5.5, 6]).tolist() == [1, 1, 1, 0]
        with pytest.raises(DataError, match="'lobulation' is none of subtlety, "):
            nodules.binarised("lobulation", halves)

    def test_bins_of_size(self):
        assert nodules.SIZE_EDGES == (5.6, 8.4, 11.2, 14.0)
        assert nodules.size_bin([3.0, 5.59, 5.6, 8.4, 13.9, 14.0, 40.0]).tolist() == [0, 0, 1, 2, 3, 4, 4]
        assert len(nodules.SIZES) == 5
        # 314 pixels of 0.5 mm × 2 mm: a disc of 10 mm radius has 314 mm².
        assert nodules.equivalent_diameter(314, (0.5, 2.0)) == pytest.approx(20, abs=0.01)

    @pytest.mark.parametrize("wrong", [np.nan, np.inf, 0, 7, -1])
    def test_what_is_no_rating_is_not_taken_for_absent(self, wrong):
        for name in nodules.CHARACTERISTICS:
            with pytest.raises(DataError, match=f"{name}: a median of .*, where ratings go from 1 to [56]"):
                nodules.binarised(name, [1.0, wrong])

    @pytest.mark.parametrize("wrong", [np.nan, np.inf, -1])
    def test_what_is_no_size_has_no_bin(self, wrong):
        with pytest.raises(DataError, match=r"size: .* is no size in mm"):
            nodules.size_bin([3.0, wrong])


class TestPixels:
    """The corners are (column, row); the outline itself is outside of the nodule."""

    def test_a_square_by_hand(self):
        outline = [(10, 20), (14, 20), (14, 23), (10, 23)]
        assert filled(outline).tolist() == [[row, column] for row in range(20, 24) for column in range(10, 15)]
        assert inner(filled(outline)).tolist() == [[21, 11], [21, 12], [21, 13], [22, 11], [22, 12], [22, 13]]

    def test_an_outline_as_the_readers_draw_it_pixel_by_pixel(self):
        ring = [(2, 0), (3, 1), (4, 2), (3, 3), (2, 4), (1, 3), (0, 2), (1, 1), (2, 0)]
        assert len(filled(ring)) == 13
        assert inner(filled(ring)).tolist() == [[1, 2], [2, 1], [2, 2], [2, 3], [3, 2]]

    @pytest.mark.parametrize("outline", [[(5, 5)], [(5, 5), (6, 5)], [(5, 5), (6, 5), (6, 6), (5, 6)]])
    def test_what_encloses_no_pixel(self, outline):
        assert len(filled(outline)) == len(outline)
        assert inner(filled(outline)).shape == (0, 2)

    def test_a_hole_is_not_outside(self):
        """Of 7 × 7 pixels with one missing in the middle, the outermost ring of 24 is taken off, and no more."""
        pixels = filled([(0, 0), (6, 0), (6, 6), (0, 6)])
        pixels = pixels[(pixels != [3, 3]).any(axis=1)]
        assert len(inner(pixels)) == 49 - 1 - 24

    def test_nothing(self):
        assert inner(np.zeros((0, 2), dtype=np.int64)).shape == (0, 2)


class TestGroup:
    def test_readings_that_share_pixels_are_of_one_nodule(self):
        first, second = reading(1, (0, 0), (0, 1)), reading(2, (0, 1), (0, 2))
        third, other = reading(3, (0, 2)), reading(3, (9, 9))
        # The first and the third share none, and are joined by the second.
        assert group([first, other, second, third]) == [[first, second, third], [other]]

    def test_pixels_of_different_slices_are_not_shared(self):
        one, other = reading(1, (0, 0)), reading(2, (0, 0), slices="b")
        assert group([one, other]) == [[one], [other]]

    def test_a_reader_has_one_reading_in_a_nodule(self):
        """The first reader took for one nodule what the second outlined as two: that which agrees better is of it."""
        large = reading(1, (0, 0), (0, 1), (0, 2), (0, 4))
        small, larger = reading(2, (0, 4)), reading(2, (0, 0), (0, 1))
        assert group([large, small, larger]) == [[large, larger], [small]]

    def test_nothing(self):
        assert group([]) == []


class TestMerge:
    def test_four_readers_by_hand(self):
        """The third outlined the most, and in slice b; what the others outlined has no say."""
        readings = [
            reading(1, (0, 0), (0, 1), slices="b", malignancy=5, texture=5),
            reading(2, (0, 0), (0, 1), (0, 2), slices="a", malignancy=4, texture=5),
            Reading(
                3,
                RATINGS | {"malignancy": 2, "texture": 5},
                {"a": np.array([[0, 0]]), "b": np.array([[5, 0], [5, 1], [6, 0], [6, 1]])},
                {"a": 0.0, "b": 2.0},
            ),
            reading(4, (0, 0), slices="ab", malignancy=1, texture=4),
        ]
        nodule = merge(readings)
        assert (nodule.readers, nodule.slice_uid, nodule.position) == (4, "b", 2.0)
        assert nodule.pixels.tolist() == [[5, 0], [5, 1], [6, 0], [6, 1]]
        assert nodule.median == {**RATINGS, "malignancy": 3.0, "texture": 5.0}

    def test_the_middle_of_three(self):
        readings = [reading(1, (7, 8), malignancy=5), reading(2, (7, 9), malignancy=2), reading(3, (7, 9))]
        assert merge(readings).median["malignancy"] == 2

    def test_of_equals_the_highest_slice_and_the_first_reader(self):
        assert merge([reading(1, (3, 3), slices="bca"), reading(2, (4, 4), slices="cb")]).slice_uid == "c"
        assert merge([reading(1, (3, 3)), reading(2, (4, 4))]).pixels.tolist() == [[3, 3]]
