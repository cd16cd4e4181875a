"""Directions: what an explorer carries of them, the picture that stands in their place, and what is refused."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from medlatent.explore import Directions, Explorer
from medlatent.explore.directions import direction_sets, strongest
from medlatent.models import GAN, VAE

D, K, F = 5, 3, 2
FACTORS, UNITS = ("width", "rotation"), ("mm", "°")
EFFECTS = np.array([[0.5, -3.0], [-2.0, 1.0], [1.0, 0.25]])


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return VAE(latent_dim=D, channels=1, size=16)


@pytest.fixture(scope="module")
def matrix():
    torch.manual_seed(1)
    return torch.linalg.qr(torch.randn(D, K))[0]


def measured(matrix, **options) -> Directions:
    given = {"effects": EFFECTS, "low": EFFECTS - 0.5, "high": EFFECTS + 0.25, "factors": FACTORS, "units": UNITS}
    return Directions(matrix, **{**given, **options})


def test_an_explorer_without_them_carries_nothing_of_them(model):
    explorer = Explorer(model)
    assert (explorer.directions, explorer.direction_matrices, explorer.direction_effects) == ([], b"", b"")
    assert "directions" not in explorer.views


def test_several_sets_travel_one_after_the_other(model, matrix):
    others = torch.randn(D, 7)
    sets = {"discovered": measured(matrix, interval="95 % over codes"), "PCA": Directions(matrix.numpy()[:, :1])}
    sets["random"] = Directions(others, np.ones((7, F)), FACTORS, UNITS, names=[f"r{k}" for k in range(7)])
    explorer = Explorer(model, directions=sets, max_shift=4)
    assert explorer.views == ["directions", "traverse", "walk"]
    assert explorer.max_shift == 4.0
    assert explorer.start == explorer.code == [0.0] * D  # α is 0
    assert explorer.directions[0] == {
        "name": "discovered",
        "names": ["a0", "a1", "a2"],
        "factors": ["width", "rotation"],
        "units": ["mm", "°"],
        "interval": "95 % over codes",
    }
    assert explorer.directions[1] == {"name": "PCA", "names": ["a0"], "factors": [], "units": [], "interval": ""}
    assert explorer.directions[2]["interval"] == ""  # has no low and high
    columns = np.frombuffer(explorer.direction_matrices, "<f4").reshape(-1, D)
    assert np.array_equal(columns, np.concatenate([matrix.T, matrix.T[:1], others.T]))
    tables = np.frombuffer(explorer.direction_effects, "<f4").reshape(-1, F)
    assert np.array_equal(tables, np.concatenate([EFFECTS, EFFECTS - 0.5, EFFECTS + 0.25, np.ones((7, F))]))


def test_one_set_needs_no_name(model, matrix):
    explorer = Explorer(model, directions=Directions(matrix))
    assert [each["name"] for each in explorer.directions] == [""]
    assert explorer.max_shift == 6.0


def test_what_is_not_shown_does_not_travel(model, matrix):
    explorer = Explorer(model, directions=measured(matrix), views=["traverse"])
    assert (explorer.directions, explorer.direction_matrices, explorer.direction_effects) == ([], b"", b"")
    assert "direction" not in explorer._repr_mimebundle_()[1]["image/png"]["alt"]


def test_a_gan_has_directions(matrix):
    gan = GAN(latent_dim=D, channels=1, size=28, width=4)
    explorer = Explorer(gan, directions=Directions(matrix))
    assert explorer.views == ["directions", "traverse", "walk"]
    assert "image/png" in explorer._repr_mimebundle_()[0]


def test_one_unit_holds_for_all_factors(matrix):
    assert measured(matrix, units="sd").units == ("sd", "sd")
    assert measured(matrix, units="").units == ("", "")


def test_the_strongest_direction_may_lower_a_factor(matrix):
    directions = measured(matrix)
    assert [strongest(directions, factor) for factor in FACTORS] == [1, 0]
    with pytest.raises(ValueError, match="factor 'size' was not measured; these were: width, rotation"):
        strongest(directions, "size")
    with pytest.raises(ValueError, match="factor 'size' was not measured; these were: none"):
        strongest(Directions(matrix), "size")


def test_the_still_shows_the_strongest_direction_of_each_factor(model, matrix, monkeypatch):
    codes, decode = [], model.decode
    code = np.linspace(-1, 1, D)
    explorer = Explorer(model, code=code, directions={"discovered": measured(matrix)}, max_shift=3)
    monkeypatch.setattr(model, "decode", lambda z: codes.append(z) or decode(z))
    alt = explorer._repr_mimebundle_()[1]["image/png"]["alt"]
    assert alt == (
        "A traversal: 2 rows, the direction with the strongest effect on each factor of the set discovered (width: a1, "
        "rotation: a0); along a row the code is shifted by -3 to 3 along its direction, in the middle by 0."
    )
    shifted = [code + alpha * matrix[:, k].numpy() for k in (1, 0) for alpha in range(-3, 4)]
    assert np.allclose(codes[0], np.stack(shifted), atol=1e-6)


def test_the_still_of_directions_that_nobody_measured_shows_the_first(model):
    explorer = Explorer(model, directions=Directions(torch.randn(D, 20)))
    alt = explorer._repr_mimebundle_()[1]["image/png"]["alt"]
    assert alt.startswith("A traversal: 8 rows, the first directions (a0, a1, a2, a3, a4, a5, a6, a7); along a row")


def test_the_still_names_the_pictures_side_by_side(matrix):
    class Phases(nn.Module):
        latent_dim, pictures = D, ("ED", "ES")

        def decode(self, codes):
            return codes.sigmoid()[:, :4].unflatten(1, (2, 1, 2))

    alt = Explorer(Phases(), directions=measured(matrix))._repr_mimebundle_()[1]["image/png"]["alt"]
    assert alt.startswith("A traversal: 2 rows, ")
    assert alt.endswith("From left to right in each: ED, ES.")


def test_the_error_of_the_rounded_weights_is_measured_as_far_out_as_a_shift_leads():
    """The only weight that 16 bits do not hold draws where a shift has led, and nowhere else."""

    class Far(nn.Module):
        latent_dim = 2

        def __init__(self, most: float = 1.0) -> None:
            super().__init__()
            self.linear, self.most = nn.Linear(2, 4, bias=False), most
            self.linear.weight.data.fill_(0.1)

        def decode(self, codes):
            return self.linear((codes - 5).relu()).clamp(0, self.most).unflatten(1, (1, 2, 2))

    assert Explorer(Far()).error == 0
    axes = Directions(np.eye(2))
    assert Explorer(Far(), directions=axes, max_shift=8).error > 1e-5
    assert Explorer(Far(), directions=axes, max_shift=1).error == 0
    unbounded = Far(most=9.0)
    assert Explorer(unbounded, directions=axes, max_shift=8).error > 1e-5
    with pytest.raises(ValueError, match="model: makes values from 0 to"):
        Explorer(unbounded, directions=axes, max_shift=40)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"matrix": np.ones(D)}, "Directions: matrix must be A, (d, K), got (5,)"),
        ({"matrix": np.ones((D, 0))}, "Directions: matrix must be A, (d, K), got (5, 0)"),
        ({"matrix": "random"}, "Directions: matrix must be numbers, got str"),
        ({"matrix": np.full((D, K), np.nan)}, "Directions: matrix at (0, 0) is nan"),
        ({"matrix": np.eye(D)[:, :K] * [1, 0, 1]}, "Directions: column 1 of the matrix is 0, no direction"),
        ({"effects": EFFECTS.T}, "Directions: effects must be (K, F) = (3, 2), 3 directions and 2 factors, got (2, 3)"),
        ({"low": EFFECTS[:2]}, "Directions: low must be (K, F) = (3, 2)"),
        ({"effects": np.where(EFFECTS > 0.9, math.inf, EFFECTS)}, "effects of a1 on 'rotation' is inf; leave out what"),
        ({"high": np.where(EFFECTS == -3, math.nan, EFFECTS)}, "Directions: high of a0 on 'rotation' is nan"),
        ({"low": EFFECTS + 1}, "the interval of a0 on 'width' goes from 1.5 to 0.75: low is above high"),
        ({"low": None}, "Directions: low and high are the ends of the effects' intervals; give both"),
        ({"effects": None, "factors": ()}, "Directions: 2 units for 0 factors"),
        ({"effects": None, "factors": (), "units": ()}, "low and high are the ends of the effects' intervals"),
        ({"effects": None}, "Directions: effects and factors belong together; give both, or neither"),
        ({"factors": ()}, "Directions: 2 units for 0 factors"),
        ({"factors": ("width", "width")}, "Directions: the factor 'width' is named more than once"),
        ({"factors": "width"}, "Directions: factors must be a sequence of texts, got 'width'"),
        ({"factors": ("width", "")}, "Directions: factors must be a sequence of texts"),
        ({"units": ("mm",)}, "Directions: 1 units for 2 factors"),
        ({"units": ("mm", 1)}, "Directions: units must be a sequence of texts"),
        ({"interval": ""}, "Directions: interval must say what lies from low to high, got ''"),
        ({"names": ("a", "b")}, "Directions: 2 names for the 3 columns of the matrix"),
        ({"names": ("a", "b", 3)}, "Directions: names must be a sequence of texts"),
    ],
)
def test_directions_that_are_none(matrix, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        measured(**{"matrix": matrix, **arguments})


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        (lambda a: a, "directions: expected Directions, or several by name, got ndarray"),
        (lambda a: {}, "directions: there are none; pass None"),
        (lambda a: {"found": a}, "directions: expected Directions of 'found', got ndarray"),
        (lambda a: {"found": Directions(a), "": Directions(a)}, "a set must have a name to be chosen by, got ''"),
        (lambda a: {"found": Directions(a), 2: Directions(a)}, "a set must have a name to be chosen by, got 2"),
        (lambda a: Directions(a.T), "directions: the matrix is (3, 5), but the code has 5 dimensions"),
        (
            lambda a: {"found": Directions(a), "short": Directions(a[1:])},
            "directions: the matrix of 'short' is (4, 3), but the code has 5 dimensions, one for each row of A",
        ),
        (
            lambda a: {"found": measured(a), "random": measured(a, units=("cm", ""))},
            "got found: width in mm, rotation in °; random: width in cm, rotation",
        ),
    ],
)
def test_sets_that_do_not_fit(model, matrix, sets, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(model, directions=sets(matrix.numpy()))


def test_a_set_that_was_not_measured_may_stand_beside_one_that_was(matrix):
    assert list(direction_sets({"found": measured(matrix), "random": Directions(matrix)}, D)) == ["found", "random"]


@pytest.mark.parametrize("shift", [0, -6, math.nan, math.inf, True, "6"])
def test_shifts_that_are_none(model, matrix, shift):
    with pytest.raises(ValueError, match=re.escape(f"max_shift: expected a positive number, got {shift!r}")):
        Explorer(model, directions=Directions(matrix), max_shift=shift)


def test_the_view_needs_them(model):
    with pytest.raises(ValueError, match="views: 'directions' is none of traverse, walk; it needs directions"):
        Explorer(model, views=["directions"])
