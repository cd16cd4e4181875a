"""The directions that a reader labels: which are asked for, what agrees with the measurement, and what is refused."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from medlatent.explore import Directions, Explorer
from medlatent.explore.labelling import NOTHING, SEVERAL, directions_to_label

D, FACTORS = 6, ("width", "height", "rotation")
WIDTH, HEIGHT, ROTATION = range(3)
#           width  height rotation
EFFECTS = [[0.90, 0.05, 0.05],  # 0: width, 90 %
           [-0.80, 0.10, 0.10],  # 1: width, 80 %
           [0.10, 0.50, -0.10],  # 2: height, 71 %
           [0.30, 0.29, 0.31],  # 3: rotation, 34 %
           [0.00, 0.00, -0.09],  # 4: rotation alone, but hardly
           [0.05, 0.60, 0.05],  # 5: height, 86 %
           [0.02, 0.09, 0.02],  # 6: nothing; height, 69 %
           [0.40, 0.20, 0.20]]  # 7: width, 50 %  # fmt: skip


class Decoder(nn.Module):
    latent_dim = D

    def decode(self, codes):
        return codes.sigmoid().unflatten(1, (1, 2, 3))


@pytest.fixture(scope="module")
def model():
    return Decoder()


@pytest.fixture(scope="module")
def matrix():
    torch.manual_seed(1)
    return torch.randn(D, len(EFFECTS))


def measured(matrix, **options) -> Directions:
    return Directions(matrix, **{"effects": np.array(EFFECTS), "factors": FACTORS, "units": "sd", **options})


def asked(matrix, columns=None) -> dict[int, dict]:
    found = directions_to_label({"found": measured(matrix)}, columns)["asked"]
    return {each["column"]: each for each in found}


def test_which_labels_agree(matrix):
    agree = {k: each["agree"] for k, each in asked(matrix, range(8)).items()}
    assert agree == {
        0: [WIDTH],
        1: [WIDTH],
        2: [HEIGHT],
        3: [ROTATION, SEVERAL],
        4: [NOTHING],
        5: [HEIGHT],
        6: [NOTHING],
        7: [WIDTH],  # half is enough
    }
    shares = {k: each["share"] for k, each in asked(matrix, range(8)).items()}
    expected = [0.9, 0.8, 5 / 7, 0.31 / 0.9, 0.9, 6 / 7, 9 / 13, 0.5]  # of 4, of 0.1 sd
    assert [shares[k] for k in range(8)] == pytest.approx(expected, abs=1e-6)
    found = directions_to_label({"found": measured(matrix)})
    assert (found["effect"], found["share"]) == (0.1, 0.5)


def test_the_six_clearest_first_of_each_factor(matrix):
    """0, 4, 5 are the clearest of width, rotation and height; then 1, 2, 6 by share."""
    assert sorted(asked(matrix)) == [0, 1, 2, 4, 5, 6]
    few = Directions(matrix[:, :3], effects=np.array(EFFECTS[:3]), factors=FACTORS, units="sd")
    assert sorted(each["column"] for each in directions_to_label({"": few})["asked"]) == [0, 1, 2]


def test_another_factor_goes_before_a_larger_share(matrix):
    """Of seven directions all but the one with the smallest share would be asked for, but it alone is of rotation."""
    effects = np.array([[1, 0.01 * k, 0] for k in range(6)] + [[0.3, 0.3, 0.4]])
    seven = Directions(matrix[:, :7], effects=effects, factors=FACTORS, units="sd")
    assert sorted(each["column"] for each in directions_to_label({"": seven})["asked"]) == [0, 1, 2, 3, 4, 6]


def test_the_order_is_shuffled_and_always_the_same(model, matrix):
    orders = [
        [each["column"] for each in Explorer(model, directions=measured(matrix), views=["label"]).label["asked"]]
        for _ in range(2)
    ]
    assert orders[0] == orders[1] != sorted(orders[0])
    assert list(asked(matrix, [7, 1, 3])) != [7, 1, 3]
    assert set(asked(matrix, np.array([7, 1, 3]))) == {7, 1, 3}


def test_the_view_is_there_where_it_is_asked_for(model, matrix):
    directions = measured(matrix)
    assert Explorer(model, directions=directions).views == ["directions", "traverse", "walk"]
    assert Explorer(model, directions=directions).label == {}
    given = Explorer(model, directions=directions, label=[2, 0])
    assert given.views == ["directions", "label", "traverse", "walk"]
    assert {each["column"] for each in given.label["asked"]} == {0, 2}
    assert Explorer(model, directions=directions, label=[2, 0], views=["directions"]).label == {}


def test_of_several_sets_the_first_travels_where_it_alone_is_shown(model, matrix):
    sets = {"found": measured(matrix), "random": Directions(torch.randn(D, 3))}
    alone = Explorer(model, directions=sets, views=["label"])
    assert [each["name"] for each in alone.directions] == ["found"]
    assert len(alone.direction_matrices) == 4 * D * len(EFFECTS)
    both = Explorer(model, directions=sets, views=["label", "directions"])
    assert [each["name"] for each in both.directions] == ["found", "random"]
    assert both.label == alone.label


def test_the_still_tells_nothing(model, matrix, monkeypatch):
    explorer = Explorer(model, directions=measured(matrix), views=["label", "traverse"], label=[5, 3, 1], max_shift=3)
    codes, decode = [], model.decode
    monkeypatch.setattr(model, "decode", lambda z: codes.append(z) or decode(z))
    alt = explorer._repr_mimebundle_()[1]["image/png"]["alt"]
    assert alt == (
        "A traversal: 3 rows, directions to be labelled (direction 1 of 3, direction 2 of 3, direction 3 of 3); along "
        "a row the code is shifted by -3 to 3 along its direction, in the middle by 0."
    )
    order = [each["column"] for each in explorer.label["asked"]]
    shifted = [alpha * matrix[:, k].numpy() for k in order for alpha in range(-3, 4)]
    assert np.allclose(codes[0], np.stack(shifted), atol=1e-6)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ([0, 8], "label: there is no column 8, the first set 'found' has 8, counted from 0"),
        ([-1, 2], "label: there is no column -1"),
        ([0, 3, 0], "label: column 0 is named more than once"),
        ([4], "label: at least two directions are needed, got [4]"),
        ([], "label: at least two directions are needed, got []"),
        ([0, 1.5], "label: expected the numbers of columns of A, got [0, 1.5]"),
        ([True, False], "label: expected the numbers of columns of A, got [True, False]"),
        ("012", "label: expected the numbers of columns of A, got '012'"),
        (6, "label: expected the numbers of columns of A, got 6"),
    ],
)
def test_columns_that_cannot_be_labelled(model, matrix, label, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(model, directions={"found": measured(matrix)}, label=label)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"effects": None, "factors": (), "units": ""},
            "label: the first set 'found' has no effects to compare the labels with; put one that was measured first",
        ),
        (
            {"units": ("sd", "mm", "°")},
            "label: effects are compared between factors, so they need one unit, 'sd', but 'height' is in 'mm'",
        ),
        ({"units": ""}, "but 'width' is in ''; divide each effect by the factor's standard deviation"),
        (
            {"effects": np.ones((8, 1)), "factors": ("width",)},
            "label: the first set 'found' has the factor 'width' alone; two or more are needed",
        ),
    ],
)
def test_sets_that_cannot_be_labelled(model, matrix, options, message):
    sets = {"found": measured(matrix, **options), "other": measured(matrix, **options)}
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(model, directions=sets, views=["directions", "label"])
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(model, directions=sets, label=[0, 1])


def test_a_single_direction_is_not_enough(model, matrix):
    one = Directions(matrix[:, :1], effects=[[1, 0]], factors=FACTORS[:2], units="sd")
    with pytest.raises(ValueError, match=re.escape("label: at least two directions are needed, got [0]")):
        Explorer(model, directions=one, views=["label"])


def test_the_view_needs_directions(model):
    with pytest.raises(ValueError, match="views: 'label' is none of traverse, walk; it needs directions"):
        Explorer(model, views=["label"])
    with pytest.raises(ValueError, match="label: there are no directions to label; pass directions with effects"):
        Explorer(model, label=[0, 1])


def test_a_segmentation_would_tell(model, matrix):
    with pytest.raises(ValueError, match="views: 'label' asks what a direction changes, and a segmentation would tell"):
        Explorer(model, directions=measured(matrix), views=["label"], segmentation=object())
