"""What an explorer carries: networks, codes, images, each as its front end reads it; and what it refuses."""

import base64
import math
import re
import struct

import numpy as np
import pytest
import torch
import traitlets
from torch import nn

from medlatent.explore import Explorer, Scale
from medlatent.models import (
    GAN,
    VAE,
    AdversarialVAE,
    Categorical,
    Conditional,
    InfoGAN,
    LatentModel,
    Normal,
    Prior,
    Uniform,
    code_parts,
)
from medlatent.records import find_record

N, D = 30, 5


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return VAE(latent_dim=D, channels=1, size=16)


@pytest.fixture(scope="module")
def posteriors():
    torch.manual_seed(1)
    scale = torch.tensor([0.1, 2.0, 0.5, 1.0, 0.2])
    return torch.randn(N, D) * scale, torch.zeros(N, D)


@pytest.fixture(scope="module")
def full(model, posteriors):
    return Explorer(
        model,
        code=torch.arange(D) / 10,
        posteriors=posteriors,
        images=torch.rand(3, 1, 16, 16),
        image_names=["a", "b", "c"],
        labels={"size": np.linspace(1, 2, N), "class": np.array(list("xyz") * 10)},
        title="A model",
    )


def test_the_smallest_explorer(model):
    explorer = Explorer(model)
    assert explorer.views == ["traverse", "walk"]
    assert explorer.code == explorer.start == [0.0] * D
    assert explorer.names == ["z0", "z1", "z2", "z3", "z4"]
    assert explorer.order == [0, 1, 2, 3, 4]
    assert explorer.image_shape == [0, 1, 16, 16]
    assert (explorer.images, explorer.points, explorer.encoder_weights) == (b"", b"", b"")
    assert list(explorer.networks) == ["decoder"]
    assert repr(explorer) == "Explorer(VAE, 5 dimensions: traverse, walk)"


def test_everything_at_once(full, posteriors):
    assert full.views == ["traverse", "map", "walk"]
    assert np.allclose(full.start, np.arange(D) / 10)
    assert full.order == [1, 3, 2, 4, 0]  # by information
    assert len(full.nats) == D
    assert full.nats[1] == max(full.nats)
    assert np.allclose(np.frombuffer(full.points, "<f4").reshape(-1, D), posteriors[0])
    assert full.point_count == N
    size, kind = full.labels
    assert (size["name"], size["kind"], size["levels"]) == ("size", "continuous", [])
    assert np.allclose(size["values"], np.linspace(1, 2, N))
    assert (kind["kind"], kind["levels"]) == ("class", ["x", "y", "z"])
    assert kind["values"] == [0, 1, 2] * 10
    assert full.image_shape == [3, 1, 16, 16]
    assert len(full.images) == 3 * 256
    assert set(full.networks) == {"decoder", "encoder"}
    assert full.walk[:3] == [[1, 2.0], [1, -2.0], [1, full.start[1]]]
    assert len(full.walk) == 12


def test_the_networks_it_carries_decode_and_encode(full, model):
    from medlatent.explore import Network

    for name, weights in (("decoder", full.decoder_weights), ("encoder", full.encoder_weights)):
        spec = full.networks[name]
        network = Network(spec["inputs"], spec["outputs"], spec["shapes"], spec["steps"], np.frombuffer(weights, "<f2"))
        x = torch.randn(4, D) if name == "decoder" else torch.rand(4, 1, 16, 16)
        with torch.inference_mode():
            expected = model.decode(x) if name == "decoder" else model.encode(x)[0]
        assert torch.allclose(network.run(x)[0], expected, atol=2e-3)


def test_the_error_of_the_rounded_weights_is_measured():
    torch.manual_seed(2)
    model = VAE(latent_dim=D, channels=1, size=16)
    for parameter in model.parameters():
        parameter.data = parameter.data.half().float()
    assert Explorer(model).error < 1e-6
    assert 1e-5 < Explorer(find_record("vae", "phantoms_vae").load_model()).error < 1 / 255


def test_images_are_bytes(model):
    images = torch.tensor([0.0, 0.5, 1.0, 1.0001]).view(4, 1, 1, 1).expand(4, 1, 16, 16)
    stored = np.frombuffer(Explorer(model, images=images).images, np.uint8).reshape(4, -1)[:, 0]
    assert stored.tolist() == [0, 128, 255, 255]


def test_the_map_has_at_most_four_hundred_points(model):
    posteriors = torch.randn(1000, D), torch.zeros(1000, D)
    explorer = Explorer(model, posteriors=posteriors, labels={"index": np.arange(1000.0)})
    assert explorer.point_count == 400
    assert len(explorer.labels[0]["values"]) == 400


def test_a_code_is_checked_wherever_it_comes_from(model):
    explorer = Explorer(model)
    explorer.code = [1, 2, 3, 4, 5]
    assert explorer.code == [1.0, 2.0, 3.0, 4.0, 5.0]
    for wrong in ([1.0], [float("nan")] * D):
        with pytest.raises(traitlets.TraitError, match="expected 5 finite numbers"):
            explorer.code = wrong
    assert explorer.code == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_a_bare_decoder():
    decoder = nn.Sequential(nn.Linear(3, 48), nn.Sigmoid(), nn.Unflatten(1, (3, 4, 4)))
    explorer = Explorer(decoder, latent_dim=3)
    assert explorer.views == ["traverse", "walk"]
    assert len(explorer.names) == 3
    assert repr(explorer).startswith("Explorer(Sequential, 3 dimensions")
    assert "image/png" in explorer._repr_mimebundle_()[0]
    assert decoder.training


def test_where_no_widget_can_live_a_described_picture_stands(full):
    data, metadata = full._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == repr(full)
    assert metadata["image/png"]["alt"].startswith("A traversal: 5 rows")


def test_a_model_stays_as_it_was(model):
    model.train()
    model.precision = torch.bfloat16
    try:
        Explorer(model, images=torch.rand(1, 1, 16, 16))._repr_mimebundle_()
        assert model.training
        assert model.precision == torch.bfloat16
    finally:
        model.eval()
        model.precision = torch.float32


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation_learns_nothing_from_being_looked_at(training):
    """What wraps a module for the tracing begins in training mode, and must not put the module there."""
    torch.manual_seed(0)
    model = AdversarialVAE(latent_dim=D, size=16)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.3)
            layer.running_var.uniform_(0.5, 2)
    model.train(training)
    model.decoder[5].eval()  # a part that somebody has frozen
    modes = [part.training for part in model.modules()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    explorer = Explorer(model, images=torch.rand(2, 3, 16, 16))
    explorer._repr_mimebundle_()
    assert explorer.error < 0.5 / 255
    assert [part.training for part in model.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_walk_of_ones_own(model):
    assert Explorer(model, walk=[(4, 1), (0, -2.5)]).walk == [[4, 1.0], [0, -2.5]]


def test_networks_of_one_model_are_the_same(model):
    assert Explorer(model).networks["decoder"]["key"] == Explorer(model, title="again").networks["decoder"]["key"]


def test_a_code_with_a_structure(model):
    explorer = Explorer(model, category=(3, 1), category_names=["a", "b"], pad=(4, 0), pad_limits=(0, 1))
    assert explorer.views == ["codes", "traverse", "walk"]
    assert explorer.code == explorer.start == [0.5, 0.0, 0.0, 1.0, 0.5]
    assert (explorer.category, explorer.pad, explorer.noise) == ([3, 1], [4, 0], [2])
    assert explorer.category_names == ["a", "b"]
    assert explorer.names == ["c2", "category b", "z2", "category a", "c1"]
    assert explorer.limits == [[0, 1], [0, 1], [-3, 3], [0, 1], [0, 1]]
    assert explorer.order == [4, 0, 2]
    assert Explorer(model, category=range(D)).order == list(range(D))
    assert explorer.walk[:4] == [[4, 1.0], [4, 0.0], [4, 0.5], [0, 1.0]]
    explorer = Explorer(model, category=range(4), code=torch.tensor([0, 0, 1, 0, -2.5]), views=["walk", "codes"])
    assert explorer.views == ["walk", "codes"]
    assert explorer.start == [0, 0, 1, 0, -2.5]
    assert explorer.category_names == ["0", "1", "2", "3"]
    assert (explorer.pad, explorer.noise) == ([], [4])
    assert Explorer(model).noise == list(range(D))


def test_a_gan_has_neither_strip_nor_map():
    gan = GAN(latent_dim=4, channels=1, size=28, width=4)
    explorer = Explorer(gan)
    assert explorer.views == ["traverse", "walk"]
    assert explorer.noise == [0, 1, 2, 3]
    assert list(explorer.networks) == ["decoder"]
    with pytest.raises(ValueError, match="needs a method encode"):
        Explorer(gan, images=torch.rand(1, 1, 28, 28))


def infogan(**options):
    return InfoGAN(size=8, width=4, **options)


def test_a_model_says_itself_which_dimensions_are_which():
    explorer = Explorer(infogan(noise_dim=5, categories=3, continuous=3, code_range=(0.0, 2.0)))
    assert explorer.views == ["codes", "traverse", "walk"]
    assert (explorer.category, explorer.pad, explorer.noise) == ([0, 1, 2], [3, 4], [6, 7, 8, 9, 10])
    assert explorer.start == [1, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    assert explorer.limits[2:7] == [[0, 1], [0, 2], [0, 2], [0, 2], [-3, 3]]
    assert explorer.names[2:7] == ["category 2", "c1", "c2", "c3", "z6"]
    assert explorer.order == [3, 4, 5, 6, 7, 8, 9, 10]


def test_what_is_said_goes_before_what_the_model_says():
    explorer = Explorer(
        infogan(noise_dim=2, categories=3, continuous=3),
        category_names=["a", "b", "c"],
        pad=(5, 3),
        pad_limits=(-1, 1),
        code=[0, 0, 1, 0.5, 0.5, 0.5, 3, 3],
    )
    assert (explorer.category, explorer.pad, explorer.noise) == ([0, 1, 2], [5, 3], [6, 7])
    assert explorer.names == ["category a", "category b", "category c", "c1", "c2", "c3", "z6", "z7"]
    assert explorer.limits[3:6] == [[-1, 1], [0, 1], [-1, 1]]
    assert explorer.start[-2:] == [3, 3]


def test_a_model_whose_code_is_wider_than_said():
    with pytest.raises(ValueError, match="cannot decode a code of latent_dim = 4 numbers"):
        Explorer(infogan(noise_dim=2, categories=3, continuous=3), latent_dim=4)


def test_one_continuous_code_makes_no_pad():
    with_category = Explorer(infogan(noise_dim=1, categories=2, continuous=1))
    assert with_category.views == ["codes", "traverse", "walk"]
    assert (with_category.pad, with_category.noise) == ([], [3])
    assert "columns for c1 0, c1 +0.1" in with_category._repr_mimebundle_()[1]["image/png"]["alt"]
    alone = Explorer(infogan(noise_dim=1, categories=0, continuous=1))
    assert alone.views == ["traverse", "walk"]
    assert "rows for z1 -3" in alone._repr_mimebundle_()[1]["image/png"]["alt"]


def test_the_error_of_a_code_with_a_structure_is_measured_where_such_codes_are():
    """With more than one category at once, or noise in its place, this decoder would leave [0, 1]."""

    class Categories(nn.Module):
        latent_dim = 5

        def decode(self, codes):
            category, rest = codes.split([3, 2], 1)
            return (category @ torch.tensor([[0.2] * 2, [0.5] * 2, [0.8] * 2]) + 0.1 * rest).view(-1, 1, 1, 2)

    assert Explorer(Categories(), category=range(3), pad=(3, 4)).error < 1e-3
    with pytest.raises(ValueError, match="makes values from"):
        Explorer(Categories())


@pytest.mark.parametrize(
    ("arguments", "shape", "words"),
    [
        ({"category": (0, 1), "pad": (2, 3)}, (2, 11), "rows for category 0, category 1; columns for c1 -1, c1 -0.8"),
        ({"category": (0, 1, 2)}, (3, 11), "rows for category 0, category 1, category 2; columns for z3 -3, z3 -2.4"),
        ({"category": range(5)}, (5, 1), "rows for category 0, category 1, category 2, category 3, category 4."),
        ({"pad": (1, 2), "pad_limits": (0, 3)}, (7, 11), "rows for c2 0, c2 +0.5"),
    ],
)
def test_the_still_of_a_code_with_a_structure_shows_it(model, monkeypatch, arguments, shape, words):
    codes = []
    decode = model.decode
    explorer = Explorer(model, **arguments)
    monkeypatch.setattr(model, "decode", lambda z: codes.append(z) or decode(z))
    data, metadata = explorer._repr_mimebundle_()
    assert "image/png" in data
    assert metadata["image/png"]["alt"].startswith("A traversal: ")
    assert words in metadata["image/png"]["alt"]
    assert len(codes[0]) == math.prod(shape)
    assert len(codes[0].unique(dim=0)) == math.prod(shape)
    if "category" in arguments:
        assert (codes[0][:, list(arguments["category"])].sort(1).values[:, -2:] == torch.tensor([0.0, 1.0])).all()


class Phases(nn.Module):
    """Decodes a code as P pictures of 2 by 3 pixels, and makes a code of them again."""

    latent_dim = 3

    def __init__(self, *pictures: str) -> None:
        super().__init__()
        self.pictures = pictures
        self.linear = nn.Linear(6 * len(pictures), 3)

    def decode(self, codes):
        rows = [(codes + p).sigmoid() for p in range(len(self.pictures)) for _ in range(2)]
        return torch.cat(rows, 1).unflatten(1, (-1, 2, 3))

    def encode(self, images):
        return self.linear(images.flatten(1))


def test_channels_that_are_pictures_of_their_own():
    explorer = Explorer(Phases("ED", "ES"), images=torch.rand(4, 2, 2, 3))
    assert explorer.pictures == ["ED", "ES"]
    assert explorer.image_shape == [4, 2, 2, 3]
    decoder = explorer.networks["decoder"]
    assert [decoder["shapes"][i] for i in decoder["outputs"]] == [[2, 2, 3]]
    assert set(explorer.networks) == {"decoder", "encoder"}
    assert explorer.error < 1e-6
    assert explorer._repr_mimebundle_()[1]["image/png"]["alt"].endswith("From left to right in each: ED, ES.")
    drawn = np.asarray(explorer._still().axes[0].images[0].get_array())
    assert drawn.shape[:2] == (3 * (2 + 2) - 2, 7 * (2 * 3 + 2) - 2)  # rows and columns of pairs, with gaps
    assert np.allclose(drawn[0, :6, 0], torch.tensor([[-3.0, 0, 0], [-2, 1, 1]]).sigmoid().flatten())


@pytest.mark.parametrize("count", range(1, 7))
def test_up_to_six_pictures(count):
    names = tuple("ABCDEF"[:count])
    assert Explorer(Phases(*names), category=(1, 2)).pictures == list(names)
    said = Explorer(Phases(*names), category=(1, 2))._repr_mimebundle_()[1]["image/png"]["alt"]
    assert said.endswith(f"{'From left to right in' if count > 1 else 'In'} each: {', '.join(names)}.")


def test_what_is_said_of_pictures_goes_before_what_the_model_says():
    assert Explorer(Phases("ED", "ES"), pictures=["diastole", "systole"]).pictures == ["diastole", "systole"]
    assert Explorer(Phases("R", "G", "B"), pictures=()).pictures == []  # one picture, in colour
    decoder = nn.Sequential(nn.Linear(3, 32), nn.Sigmoid(), nn.Unflatten(1, (2, 4, 4)))
    assert Explorer(decoder, latent_dim=3, pictures=("ED", "ES")).pictures == ["ED", "ES"]
    with pytest.raises(
        ValueError, match=re.escape("makes [2, 4, 4] of a code; an explorer needs images (1 or 3, H, W).")
    ):
        Explorer(decoder, latent_dim=3)


class Triangular(Prior):
    """On [2, 6], with the mode at 5; none of the package's own."""

    size, limits, centre = 1, (2.0, 6.0), (5.0,)

    def sample(self, n, generator=None, device=None):
        return 2 + 4 * torch.rand(n, 1, generator=generator, device=device)


class Shifted(Conditional):
    """Around 4, which a conditional prior of a model of one's own may say."""

    limits = (1.0, 7.0)


class ManyPriors(LatentModel):
    """A code of all kinds of parts, decoded as pixels that are within [0, 1] where its prior is."""

    latent_dim = 11

    def __init__(self):
        super().__init__({})

    @property
    def code_layout(self):
        given = lambda age: (age[:, None], None)  # noqa: E731
        return code_parts(
            first=Categorical(2),
            second=Categorical(3),
            u=Uniform(1, 2.0, 4.0),
            t=Triangular(),
            z=Normal(2),
            condition=Conditional(1, given, ("age",)),
            shifted=Shifted(1, given, ("age",)),
        )

    def decode(self, codes):
        bounded = torch.cat([codes[:, :2], codes[:, 5:7]], 1) / 6
        second = codes[:, 2:3] + codes[:, 3:4] + codes[:, 4:5]  # above 1 where more than one category is chosen
        return torch.cat([bounded, second, codes[:, 7:].sigmoid()], 1).view(-1, 1, 3, 3)


def test_every_part_starts_at_the_centre_of_its_prior_and_has_its_limits():
    explorer = Explorer(ManyPriors())
    assert explorer.start == explorer.centre == [1, 0, 1, 0, 0, 3, 5, 0, 0, 0, 4]
    assert explorer.limits == [[0, 1]] * 5 + [[2, 4], [2, 6], [-3, 3], [-3, 3], [-3, 3], [1, 7]]
    assert (explorer.category, explorer.pad) == ([0, 1], [])
    assert explorer.noise == [7, 8, 9, 10]  # what depends on columns is noise around its centre
    assert explorer.order == [5, 2, 3, 4, 6, 7, 8, 9]
    assert explorer.names[4:7] == ["z4", "c1", "z6"]
    assert explorer.walk[:3] == [[5, 4.0], [5, 2.0], [5, 3.0]]
    assert "image/png" in explorer._repr_mimebundle_()[0]
    wide = Explorer(ManyPriors(), limits=(-2, 2), dimensions=[10, 6])
    assert wide.limits[5:] == [[2, 4], [2, 6]] + [[-2, 2]] * 4
    assert wide.walk == [[10, 6.0], [10, 2.0], [10, 4.0], [6, 6.0], [6, 2.0], [6, 5.0]]


def test_a_conditional_prior_alone_is_as_a_normal_one():
    class Conditioned(VAE):
        @property
        def code_layout(self):
            return code_parts(z=Conditional(D, lambda age: (age[:, None].expand(-1, D), None), ("age",)))

    explorer = Explorer(Conditioned(latent_dim=D, channels=1, size=16))
    assert explorer.start == [0.0] * D
    assert explorer.noise == list(range(D))
    assert explorer.limits == [[-3.0, 3.0]] * D
    assert explorer._repr_mimebundle_()[1]["image/png"]["alt"].startswith("A traversal: 5 rows")
    del LatentModel.registry["Conditioned"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"code": [1, 2]}, "code: expected 5 finite numbers"),
        ({"code": [float("inf")] * 5}, "code: expected 5 finite numbers"),
        ({"names": ["a"]}, "names: 1 for 5 dimensions"),
        ({"latent_dim": True}, "latent_dim: expected a whole number from 1, got True"),
        ({"latent_dim": 7}, "model: cannot decode a code of latent_dim = 7 numbers: mat1 and mat2 shapes"),
        ({"limits": (2, -2)}, "limits: expected two finite numbers, the smaller one first"),
        ({"limits": (-math.inf, 2)}, "limits: expected two finite numbers"),
        ({"limits": (1,)}, "limits: expected two finite numbers"),
        ({"pictures": ("ED", "ES")}, "pictures: 2 names, but the model makes [1, 16, 16] of a code: name each channel"),
        ({"pictures": "ED"}, "pictures: expected a sequence of names, one for each channel, got 'ED'"),
        ({"pictures": ("ED", 2)}, "pictures: expected a sequence of names, one for each channel, got ('ED', 2)"),
        ({"pictures": [""]}, "pictures: expected a sequence of names"),
        ({"pictures": list("ABCDEFG")}, "pictures: at most 6 can be shown side by side, got 7"),
        ({"category": [1]}, "category: expected two dimensions or more, got [1]"),
        ({"category": [1, 5]}, "category: there is no dimension 5, the code has 5"),
        ({"category": [1, 1]}, "category: 1 is named more than once"),
        ({"category": [1, 2], "category_names": ["a"]}, "category_names: 1 for 2 dimensions of a category"),
        ({"category_names": ["a"]}, "category_names: 1 for 0 dimensions of a category"),
        ({"category": [1, 2], "code": [0] * 5}, "code: of the category's dimensions one must be 1 and the others 0"),
        ({"category": [1, 2], "code": [0, 1, 1, 0, 0]}, "and the others 0, got [1.0, 1.0]"),
        ({"category": [1, 2], "code": [0, 0.4, 0.6, 0, 0]}, "and the others 0, got [0.4, 0.6]"),
        ({"category": [1, 2], "code": [1, 0]}, "code: expected 5 finite numbers"),
        ({"pad": [1]}, "pad: expected two dimensions, got [1]"),
        ({"pad": [-1, 0]}, "pad: there is no dimension -1"),
        ({"pad": [3, 3]}, "pad: 3 is named more than once"),
        ({"pad": [3, 2], "category": [0, 2]}, "pad: dimension 2 belongs to the category"),
        ({"pad": [3, 2], "pad_limits": (1, 1)}, "pad_limits: expected two finite numbers, the smaller one first"),
        ({"views": ["codes"]}, "views: 'codes' is none of traverse, walk; it needs a category or a pad"),
        ({"dimensions": [0, 1, 0]}, "dimensions: 0 is named more than once"),
        ({"dimensions": [0, 5]}, "dimensions: there is no dimension 5"),
        ({"dimensions": []}, "dimensions: name at least one"),
        ({"dimensions": [0.5]}, "dimensions: expected the numbers of dimensions, got 0.5"),
        ({"dimensions": "01"}, "dimensions: expected the numbers of dimensions, got '0'"),
        ({"dimensions": 3}, "dimensions: expected a sequence of dimensions, got 3"),
        ({"category": (0.2, 1.9)}, "category: expected the numbers of dimensions, got 0.2"),
        ({"pad": (True, 1)}, "pad: expected the numbers of dimensions, got True"),
        ({"pad": 1}, "pad: expected a sequence of dimensions, got 1"),
        ({"latent_dim": 5.0}, "latent_dim: expected a whole number from 1, got 5.0"),
        ({"latent_dim": 10**9}, "latent_dim: an explorer takes at most 16384 dimensions, got 1000000000"),
        ({"names": "abcde"}, "names: expected a sequence of texts, got 'abcde'"),
        ({"names": [0, 1, 2, 3, 4]}, "names: expected texts, got 0"),
        ({"category": [1, 2], "category_names": "ab"}, "category_names: expected a sequence of texts, got 'ab'"),
        ({"images": torch.zeros(2, 1, 16, 16), "image_names": "ab"}, "image_names: expected a sequence of texts"),
        ({"images": "abc"}, "images: expected a tensor (M, C, H, W), got str"),
        ({"code": ["a", 0, 0, 0, 0]}, "code: expected 5 finite numbers, got ['a', 0, 0, 0, 0]"),
        ({"code": [1e300, 0, 0, 0, 0]}, "code: expected 5 finite numbers, got [1e+300,"),
        ({"limits": ("a", "b")}, "limits: expected two finite numbers, the smaller one first, got ('a', 'b')"),
        ({"limits": 3}, "limits: expected two finite numbers, the smaller one first, got 3"),
        ({"limits": (-1e308, 1e308)}, "limits: expected two finite numbers"),
        ({"max_shift": 1e308}, "max_shift: expected a positive number, got 1e+308"),
        ({"walk": [(0.5, 1.0)]}, "walk: expected pairs of a dimension and a finite value, got (0.5, 1.0)"),
        ({"walk": [(0, "a")]}, "walk: expected pairs of a dimension and a finite value, got (0, 'a')"),
        ({"walk": [(0, 1e300)]}, "walk: expected pairs of a dimension and a finite value, got (0, 1e+300)"),
        ({"walk": [3]}, "walk: expected pairs of a dimension and a finite value, got 3"),
        ({"walk": 3}, "walk: expected pairs of a dimension and a finite value, got 3"),
        ({"views": ["walk", "walk"]}, "views: 'walk' is named more than once"),
        ({"scales": {0.0: Scale(0, 1)}}, "scales: there is no dimension 0.0"),
        ({"posteriors": "abc"}, "posteriors: expected two of (N, 5), got str"),
        (
            {"posteriors": (torch.zeros(3, 5), torch.full((3, 5), 800.0))},
            "posteriors: logvar: row 0 has 800, whose variance overflows beyond 700",
        ),
        ({"posteriors": torch.zeros(2, 5), "labels": [1, 2]}, "labels: expected values by name, got list"),
        ({"posteriors": torch.zeros(2, 5), "labels": {3: [1, 2]}}, "labels: expected a text as the name, got 3"),
        ({"posteriors": torch.zeros(2, 5), "labels": {"a": [[1], 2]}}, "labels: 'a' must have one number or one name"),
        ({"posteriors": torch.zeros(2, 5), "labels": {"a": ["x", None]}}, "labels: 'a' has a value that is missing"),
        ({"walk": []}, "walk: name at least one"),
        ({"walk": [(-1, 0.0)]}, "walk: there is no dimension -1"),
        ({"walk": [(0, 1.0), (1, math.nan)]}, "walk: expected pairs of a dimension and a finite value, got (1, nan)"),
        ({"walk": [(0, 1.0, 2.0)]}, "walk: expected pairs"),
        ({"views": []}, "views: name at least one of traverse, walk"),
        ({"views": ["fly"]}, "views: 'fly' is none of traverse, walk"),
        ({"views": ["map"]}, "it needs posteriors"),
        ({"posteriors": (torch.zeros(3, 4), torch.zeros(3, 4))}, "posteriors: expected two of (N, 5)"),
        ({"posteriors": (torch.zeros(0, 5), torch.zeros(0, 5))}, "posteriors: there are none"),
        ({"posteriors": torch.full((3, 5), math.nan)}, "posteriors: a value is not finite"),
        ({"labels": {"size": [1.0]}}, "labels: 'size' has the shape (1,) for no posteriors"),
        ({"images": torch.zeros(2, 3, 16, 16)}, "images: expected (M, 1, 16, 16), got (2, 3, 16, 16)"),
        ({"images": torch.zeros(0, 1, 16, 16)}, "images: there are none"),
        (
            {"images": torch.full((1, 1, 16, 16), 255, dtype=torch.uint8)},
            "images: expected floats in [0, 1], got torch.uint8 from 255 to 255",
        ),
        ({"images": torch.full((1, 1, 16, 16), -0.5)}, "images: expected floats in [0, 1], got torch.float32 from -0"),
        ({"images": torch.zeros(2, 1, 16, 16), "image_names": ["a"]}, "image_names: 1 for 2 images"),
    ],
)
def test_arguments_that_do_not_fit(model, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        Explorer(model, **arguments)


def test_labels_that_do_not_fit(model, posteriors):
    with pytest.raises(ValueError, match="has the shape"):
        Explorer(model, posteriors=posteriors, labels={"size": [1.0, 2.0]})
    with pytest.raises(ValueError, match="not finite"):
        Explorer(model, posteriors=posteriors, labels={"size": np.full(N, np.nan)})


def test_models_that_do_not_fit():
    decoder = nn.Sequential(nn.Linear(3, 4))
    with pytest.raises(ValueError, match="latent_dim: the model says None"):
        Explorer(decoder)
    with pytest.raises(ValueError, match=re.escape("makes [4] of a code")):
        Explorer(decoder, latent_dim=3)
    images = nn.Sequential(nn.Linear(3, 16), nn.Unflatten(1, (1, 4, 4)))
    with pytest.raises(ValueError, match="needs a method encode"):
        Explorer(images, latent_dim=3, images=torch.zeros(1, 1, 4, 4))
    with pytest.raises(ValueError, match=re.escape("makes values from -1 to 1 of codes; an explorer needs images")):
        Explorer(nn.Sequential(nn.Unflatten(1, (1, 1, 3)), nn.Hardtanh()), latent_dim=3)
    with pytest.raises(ValueError, match=r"'model\.1' \(LSTM\)"):
        Explorer(nn.Sequential(nn.Linear(3, 4), nn.LSTM(4, 4)), latent_dim=3)


class Returns(nn.Module):
    """A decoder, and an encoder, whose results come in whatever a function makes of them."""

    latent_dim = 3

    def __init__(self, made=lambda x: x, of_images=lambda z: z):
        super().__init__()
        self.linear, self.made, self.of_images = nn.Linear(3, 16), made, of_images

    def decode(self, codes):
        return self.made(self.linear(codes).sigmoid().unflatten(1, (1, 4, 4)))

    def encode(self, images):
        return self.of_images(images.flatten(1)[:, :3])


@pytest.mark.parametrize(
    ("made", "encoded"),
    [(lambda x: (x, x * 2), 2), (lambda x: [x], 1), (lambda x: (x, None), 1)],
    ids=["two", "a list", "None beside"],
)
def test_of_several_results_the_first_is_taken(made, encoded):
    torch.manual_seed(0)
    explorer = Explorer(Returns(made, made), images=torch.rand(2, 1, 4, 4))
    torch.manual_seed(0)
    alone = Explorer(Returns(), images=torch.rand(2, 1, 4, 4))
    assert explorer.decoder_weights == alone.decoder_weights
    assert [len(explorer.networks[part]["outputs"]) for part in ("decoder", "encoder")] == [1, encoded]
    assert "image/png" in explorer._repr_mimebundle_()[0]


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (lambda x: {"logvar": x, "mean": x}, "a dict of logvar, mean; an explorer needs a tensor, or a tuple"),
        (lambda x: None, "a NoneType; an explorer needs"),
        (lambda x: (), "a tuple; an explorer needs"),
        (lambda x: 3.0, "a float; an explorer needs"),
    ],
)
def test_results_without_a_first(made, found):
    with pytest.raises(ValueError, match=f"model: its decode returns {found}"):
        Explorer(Returns(made))
    with pytest.raises(ValueError, match=f"model: its encode returns {found}"):
        Explorer(Returns(of_images=made), images=torch.rand(2, 1, 4, 4))


def test_numbers_and_images_of_numpy():
    torch.manual_seed(0)
    images = torch.rand(2, 1, 4, 4)
    explorer = Explorer(
        Returns(), np.int64(3), images=images.numpy(), dimensions=np.array([2, 0]), walk=np.eye(2, dtype=int)
    )
    assert explorer.images == Explorer(Returns(), images=images).images
    assert (explorer.order, explorer.walk) == ([2, 0], [[1, 0.0], [0, 1.0]])


@pytest.mark.parametrize(
    "name", ["", " ", "\ud800", "\x00\x1b", "--> ]]> \u2028", "\u202eשלום", "a\nb", "x" * 10_000, "\n" * 10_000]
)
@pytest.mark.filterwarnings("error:constrained_layout")  # the pictures have no room
def test_whatever_a_dimension_is_called_its_still_is_drawn(name):
    explorer = Explorer(Returns(), names=[name, "b", "c"], title=name)
    data, metadata = explorer._repr_mimebundle_()
    width, height = struct.unpack(">2I", base64.b64decode(data["image/png"])[16:24])
    assert max(width, height) < 5000
    assert name in metadata["image/png"]["alt"]
    assert explorer.names[0] == explorer.title == name


def test_a_module_that_depends_on_what_it_computes():
    class Branches(nn.Module):
        def forward(self, codes):
            return codes.view(-1, 1, 1, 3).sigmoid() if codes.sum() > 0 else codes.view(-1, 1, 3, 1).sigmoid()

    with pytest.raises(ValueError, match=r"torch\.export cannot follow it") as error:
        Explorer(Branches(), latent_dim=3)
    assert len(str(error.value)) < 300


def test_an_encoder_of_other_codes():
    class Crossed(nn.Module):
        latent_dim = 3

        def encode(self, images):
            return images.flatten(1)

        def decode(self, codes):
            return torch.cat([codes, codes], 1).sigmoid().view(-1, 1, 3, 2)

    with pytest.raises(ValueError, match=re.escape("encodes an image as [6]; an explorer needs a code of [3]")):
        Explorer(Crossed(), images=torch.rand(2, 1, 3, 2))


def test_codes_without_posteriors(model):
    codes = torch.randn(20, D)
    explorer = Explorer(model, posteriors=codes, labels={"class": ["a", "b"] * 10})
    assert explorer.nats == []
    assert explorer.order == [0, 1, 2, 3, 4]
    assert np.allclose(np.frombuffer(explorer.points, "<f4").reshape(-1, D), codes)
    assert "nats" not in explorer._repr_mimebundle_()[1]["image/png"]["alt"]


def test_a_module_that_encodes_and_decodes():
    class Scale(nn.Module):
        latent_dim = 16

        def encode(self, images):
            return images.flatten(1) * 2

        def decode(self, codes):
            return (codes / 2).clamp(0, 1).unflatten(1, (1, 4, 4))

    explorer = Explorer(Scale(), images=torch.rand(2, 1, 4, 4))
    assert set(explorer.networks) == {"decoder", "encoder"}
    assert "image/png" in explorer._repr_mimebundle_()[0]
