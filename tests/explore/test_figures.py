"""Figures: the pictures stand where they must, show what they say, and are described in words with the true numbers."""

import base64
import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from medlatent.explore import (
    figure,
    image_table,
    information_bars,
    interpolation,
    loss_curves,
    reconstructions,
    samples,
    show,
    side_by_side,
    traversal,
)
from medlatent.explore.figures import DARK_MIME
from medlatent.metrics import information
from medlatent.models import InfoGAN, LatentModel
from medlatent.training import History

D = 4


class _Painter(LatentModel):
    """A model that paints a code as four grey stripes and reads it back, and remembers what it was asked for."""

    latent_dim = D

    def __init__(self):
        super().__init__({"channels": 3, "size": (6, D)})
        self.weight = torch.nn.Parameter(torch.zeros(()))  # of which nothing depends
        self.codes = []

    def encode(self, images):
        mean = 6 * images[:, 0, 0, :D] - 3
        return mean, torch.full_like(mean, -2.0)

    def decode(self, z):
        self.codes.append(z.clone())
        return ((z + 3) / 6)[:, None, None, :].expand(-1, 3, 6, -1).clamp(0, 1)


@pytest.fixture(autouse=True)
def closed():
    plt.close("all")
    yield
    plt.close("all")


@pytest.fixture
def shown(monkeypatch):
    """What ``show`` hands to IPython: pairs of bundle and metadata."""
    outputs = []
    monkeypatch.setattr(
        "IPython.display.display", lambda bundle, metadata, raw: outputs.append((bundle, metadata, raw))
    )
    return outputs


def sheet(fig) -> np.ndarray:
    return np.asarray(fig.axes[0].images[0].get_array())


def labels(fig, axis: str) -> list[str]:
    return [t.get_text() for t in getattr(fig.axes[0], f"get_{axis}ticklabels")()]


def pictures(fig, rows: int, columns: int, gap: int = 2) -> np.ndarray:
    """The pictures of a table, (rows, columns, H, W, 3)."""
    drawn = sheet(fig)
    high, wide = ((n + gap) // k - gap for n, k in zip(drawn.shape, (rows, columns), strict=False))
    return np.stack(
        [[drawn[r * (high + gap) :, c * (wide + gap) :][:high, :wide, :3] for c in range(columns)] for r in range(rows)]
    )


class TestImageTable:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_every_pixel_lands_where_it_must_and_gaps_are_transparent(self, channels):
        images = torch.rand(2, 3, channels, 4, 5)
        drawn = sheet(image_table(images, gap=3))
        assert drawn.shape == (2 * 4 + 3, 3 * 5 + 2 * 3, 4)
        expected = np.zeros_like(drawn)
        for r in range(2):
            for c in range(3):
                for y in range(4):
                    for x in range(5):
                        pixel = images[r, c, :, y, x].tolist() * (3 // channels)
                        expected[r * 7 + y, c * 8 + x] = [*pixel, 1]
        np.testing.assert_array_equal(drawn, expected)

    def test_values_are_clipped(self):
        assert pictures(image_table(torch.tensor([-1.0, 2.0]).reshape(1, 2, 1, 1, 1)), 1, 2)[
            0, :, 0, 0, 0
        ].tolist() == [0, 1]

    def test_labels_stand_at_their_pictures(self):
        fig = image_table(torch.rand(2, 3, 3, 8, 8), ["a", "b"], ["x", "y", "z"])
        assert (labels(fig, "y"), labels(fig, "x")) == (["a", "b"], ["x", "y", "z"])
        assert [int(t // 10) for t in fig.axes[0].get_yticks()] == [0, 1]
        assert [int(t // 10) for t in fig.axes[0].get_xticks()] == [0, 1, 2]

    @pytest.mark.parametrize(
        ("shape", "options", "message"),
        [
            ((2, 3, 8, 8), {}, r"images: expected \(rows, columns, 1 or 3, H, W\).*\(2, 3, 8, 8\)"),
            ((2, 3, 2, 8, 8), {}, "images: expected"),
            ((0, 3, 3, 8, 8), {}, "images: expected .* none of them 0"),
            ((2, 3, 3, 8, 8), {"row_labels": ["a"]}, "row_labels: 1 for 2 rows"),
            ((2, 3, 3, 8, 8), {"column_labels": ["a"] * 4}, "column_labels: 4 for 3 columns"),
        ],
    )
    def test_errors(self, shape, options, message):
        with pytest.raises(ValueError, match=message):
            image_table(torch.rand(shape), **options)


class TestTraversal:
    POSTERIORS = (torch.tensor([[0.0, 2.0, 0.1, 1.0], [0.0, -2.0, 0.1, -1.0]]), torch.zeros(2, D))

    def test_decodes_exactly_the_codes_that_it_says(self):
        model, code = _Painter(), torch.tensor([0.5, -1.0, 2.0, 0.0])
        fig = traversal(model, code, dimensions=[2, 0], limits=(-2, 2), steps=5)
        expected = code.repeat(2, 5, 1)
        expected[0, :, 2] = expected[1, :, 0] = torch.tensor([-2.0, -1, 0, 1, 2])
        torch.testing.assert_close(torch.cat(model.codes), expected.flatten(0, 1))
        drawn = pictures(fig, 2, 5)
        np.testing.assert_allclose(drawn[:, :, 0, :, 0], (expected + 3) / 6, rtol=1e-6)
        assert labels(fig, "y") == ["z2", "z0"]
        assert labels(fig, "x") == ["-2", "-1", "0", "+1", "+2"]
        assert fig.alt == (
            "A traversal: 2 rows, one for each of z2, z0; along a row that dimension goes from -2 to 2 in 5 steps "
            "while the others stay fixed."
        )

    def test_starts_at_the_centre_of_the_prior_and_labels_the_true_values(self):
        model = _Painter()
        fig = traversal(model, steps=9)
        codes = torch.cat(model.codes).reshape(D, 9, D)
        for d in range(D):
            torch.testing.assert_close(codes[d, :, d], torch.linspace(-3, 3, 9))
            assert (codes[d, :, [k for k in range(D) if k != d]] == 0).all()
        assert [float(label) for label in labels(fig, "x")] == torch.linspace(-3, 3, 9).tolist()

    def test_rows_stand_in_the_order_of_information_and_name_it(self):
        model = _Painter()
        fig = traversal(model, posteriors=self.POSTERIORS, steps=3)
        codes = torch.cat(model.codes).reshape(D, 3, D)
        assert [int(row[0].abs().argmax()) for row in codes] == [1, 3, 2, 0]
        # Means ±2, ±1, 0.1 and 0 at variance 1: mean²/2 nats.
        assert labels(fig, "y") == ["z1  2.00 nats", "z3  0.50 nats", "z2  0.01 nats", "z0  0.00 nats"]
        assert "z1  2.00 nats, z3  0.50 nats" in fig.alt

    def test_names(self):
        names = ["size", "hair", "hue", "light"]
        fig = traversal(_Painter(), dimensions=[3, 1], names=names)
        assert labels(fig, "y") == ["light", "hair"]

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"dimensions": [0, 4]}, "dimensions: there is no dimension 4, the code has 4"),
            ({"dimensions": [-1]}, "dimensions: there is no dimension -1"),
            ({"dimensions": []}, "none of them 0"),
            ({"steps": 0}, "none of them 0"),
            ({"names": ["a"]}, "names: 1 for 4 dimensions"),
        ],
    )
    def test_errors(self, options, message):
        with pytest.raises(ValueError, match=message):
            traversal(_Painter(), **options)

    def test_the_code_is_left_alone(self):
        code = torch.ones(D)
        traversal(_Painter(), code)
        assert torch.equal(code, torch.ones(D))


def test_reconstructions_stand_below_their_images():
    images = torch.rand(5, 3, 6, D)
    model = _Painter()
    fig = reconstructions(model, images)
    torch.testing.assert_close(model.codes[0], model.encode(images)[0])
    drawn = pictures(fig, 2, 5)
    np.testing.assert_allclose(drawn[0], images.permute(0, 2, 3, 1), rtol=1e-6)
    np.testing.assert_allclose(drawn[1], model.decode(model.encode(images)[0]).permute(0, 2, 3, 1), rtol=1e-6)
    assert labels(fig, "y") == ["image", "reconstruction"]
    assert fig.alt == "Two rows of 5 pictures: images above, their reconstructions below."


def test_interpolation_ends_at_the_posterior_means():
    first, second = torch.rand(2, 3, 6, D)
    model = _Painter()
    fig = interpolation(model, first, second, steps=5)
    a, b = model.encode(torch.stack([first, second]))[0]
    torch.testing.assert_close(model.codes[0], torch.stack([a + t * (b - a) for t in (0, 0.25, 0.5, 0.75, 1)]))
    ends = model.decode(torch.stack([a, b])).permute(0, 2, 3, 1)
    drawn = pictures(fig, 1, 7)[0]
    np.testing.assert_array_equal(drawn[[1, 5]], ends)
    np.testing.assert_allclose(drawn[[0, 6]], torch.stack([first, second]).permute(0, 2, 3, 1), rtol=1e-6)
    assert labels(fig, "x") == ["image", "0.00", "0.25", "0.50", "0.75", "1.00", "image"]
    assert fig.alt == "An interpolation: an image, 5 decoded steps, another image."


class TestSamples:
    def test_are_decoded_from_the_prior_row_by_row(self):
        model = _Painter()
        fig = samples(model, n=6, columns=3, seed=5)
        z = torch.randn(6, D, generator=torch.Generator().manual_seed(5))
        torch.testing.assert_close(model.codes[0], z)
        expected = model.decode(z)[:, 0, 0].reshape(2, 3, D)
        np.testing.assert_allclose(pictures(fig, 2, 3)[:, :, 0, :, 0], expected, rtol=1e-6)
        assert fig.alt == "6 pictures decoded from random draws of the prior."

    def test_the_global_generator_is_left_alone(self):
        before = torch.get_rng_state()
        samples(_Painter(), 8)
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("n", [0, 7, -8])
    def test_errors(self, n):
        with pytest.raises(ValueError, match=f"n must be a multiple of columns = 8, got {n}"):
            samples(_Painter(), n)


class _TwoPhases(_Painter):
    """Two channels that are two pictures: the first shows the code, the second its negative."""

    pictures = ("ED", "ES")

    def __init__(self):
        super().__init__()
        self.config["channels"] = 2

    def decode(self, z):
        grey = super().decode(z)[:, :1]
        return torch.cat([grey, 1 - grey], 1)


class TestTwoPictures:
    """Where each channel is a picture of its own, every figure shows them side by side."""

    IMAGES = torch.rand(3, 2, 6, D, generator=torch.Generator().manual_seed(0))

    @pytest.mark.parametrize(
        ("draw", "rows", "columns"),
        [
            (lambda model, images: reconstructions(model, images), 2, 3),
            (lambda model, images: samples(model, 6, columns=3), 2, 3),
            (lambda model, images: traversal(model, steps=5), D, 5),
            (lambda model, images: interpolation(model, images[0], images[1], steps=4), 1, 6),
        ],
    )
    def test_in_every_figure(self, draw, rows, columns):
        model = _TwoPhases()
        fig = draw(model, self.IMAGES)
        assert fig.alt.endswith(". From left to right in each: ED, ES.")
        assert fig.axes[0].get_xlabel() == "From left to right in each: ED, ES"
        drawn = pictures(fig, rows, columns)
        assert drawn.shape == (rows, columns, 6, 2 * D, 3)
        decoded = [torch.cat([*channels], 1) for channels in model.decode(torch.cat(model.codes))]
        originals = [torch.cat([*channels], 1) for channels in self.IMAGES]
        if columns == 6:  # an interpolation, between its two images
            expected = [originals[0], *decoded, originals[1]]
        else:
            expected = [*originals, *decoded] if rows == 2 and len(decoded) == 3 else decoded
        np.testing.assert_allclose(drawn[..., 0].reshape(-1, 6, 2 * D), torch.stack(expected), atol=1e-6)

    def test_their_names_leave_a_low_row_its_width(self):
        images = torch.rand(1, 11, 1, 8, 6 * 8)
        fig = image_table(images, column_labels=["c\n1"] * 11, beside=["ED"] * 6)
        fig.canvas.draw()
        assert fig.axes[0].get_window_extent().width > 0.8 * fig.bbox.width

    def test_shapes(self):
        images = torch.rand(4, 5, 2, 6, 3)
        beside = side_by_side(_TwoPhases(), images)
        assert beside.shape == (4, 5, 1, 6, 6)
        assert torch.equal(beside[..., 0, :, :3], images[..., 0, :, :])
        assert torch.equal(beside[..., 0, :, 3:], images[..., 1, :, :])
        assert side_by_side(_Painter(), images) is images

    def test_without_their_names_two_channels_are_refused(self):
        model = _TwoPhases()
        model.pictures = ()
        with pytest.raises(ValueError, match="1 or 3"):
            samples(model, 8)


class TestOtherPriors:
    """No figure asks a model for a code that its prior excludes."""

    @pytest.fixture
    def model(self, monkeypatch):
        torch.manual_seed(0)
        model = InfoGAN(noise_dim=2, categories=4, continuous=2, code_range=(1, 5), size=8, width=2)
        model.codes = []
        decode = model.decode
        monkeypatch.setattr(model, "decode", lambda z: model.codes.append(z.clone()) or decode(z))
        return model

    def test_samples_have_one_category_and_codes_within_their_range(self, model):
        samples(model, 48, columns=8)
        (codes,) = model.codes
        assert set(codes[:, :4].unique().tolist()) == {0.0, 1.0}
        assert (codes[:, :4].sum(1) == 1).all()
        assert codes[:, :4].any(0).all()
        assert 1 <= codes[:, 4:6].min() < 2 < 4 < codes[:, 4:6].max() <= 5

    def test_a_traversal_starts_at_the_centre_and_stays_within_the_limits(self, model):
        fig = traversal(model, dimensions=[2, 4, 6], steps=3)
        codes = torch.cat(model.codes).reshape(3, 3, 8)
        centre = torch.tensor([1.0, 0, 0, 0, 3, 3, 0, 0])
        for row, (dimension, ends) in enumerate({2: (0, 1), 4: (1, 5), 6: (-3, 3)}.items()):
            expected = centre.repeat(3, 1)
            expected[:, dimension] = torch.linspace(*ends, 3)
            torch.testing.assert_close(codes[row], expected)
        assert labels(fig, "y") == ["z2  0 to 1", "z4  1 to 5", "z6  -3 to 3"]
        assert labels(fig, "x") == []
        assert "that dimension goes from end to end in 3 steps" in fig.alt

    def test_one_range_for_all_rows_labels_the_columns(self, model):
        assert labels(traversal(model, dimensions=[4, 5], steps=3), "x") == ["+1", "+3", "+5"]
        assert labels(traversal(model, dimensions=[2, 4], steps=3, limits=[0, 1]), "x") == ["0", "+0.5", "+1"]


def test_the_model_is_left_as_it_was_found():
    images = torch.rand(2, 3, 6, D)
    model = _Painter()
    model.precision, seen = torch.bfloat16, []
    decode = model.decode
    model.decode = lambda z: seen.append((model.training, model.precision)) or decode(z)
    for training in (True, False):
        model.train(training)
        draws = [lambda: samples(model, 8), lambda: traversal(model), lambda: interpolation(model, *images)]
        for draw in (*draws, lambda: reconstructions(model, images)):
            draw()
            assert (model.training, model.precision) == (training, torch.bfloat16)
    assert set(seen) == {(False, torch.float32)}


class TestCurvesAndBars:
    def test_loss_curves_are_running_means_at_their_steps(self):
        values = np.stack([np.arange(40.0), 100 - np.arange(40.0)], 1).astype(np.float32)
        fig = loss_curves(History(("loss", "kl"), values, 1.0), smooth=4)
        for axes, column, title in zip(fig.axes, values.T, ("loss", "kl"), strict=True):
            x, y = axes.lines[0].get_data()
            assert x.tolist() == list(range(4, 41))
            np.testing.assert_allclose(y, [column[k - 4 : k].mean() for k in range(4, 41)], rtol=1e-6)
            assert axes.get_title() == title
        assert fig.alt == "The terms of the loss over 40 steps: loss ends at 37.5, kl ends at 62.5."

    @pytest.mark.parametrize("steps", [1, 3])
    def test_loss_curves_of_a_few_steps(self, steps):
        fig = loss_curves(History(("loss",), np.ones((steps, 1), np.float32), 1.0))
        assert len(fig.axes[0].lines[0].get_xdata()) == steps

    def test_information_bars(self):
        mean, logvar = torch.randn(30, 5) * torch.tensor([0.0, 2.0, 0.1, 1.0, 0.0]), torch.zeros(30, 5)
        fig = information_bars((mean, logvar))
        nats = information(mean, logvar).per_dimension
        heights = [bar.get_height() for bar in fig.axes[0].patches]
        assert heights == sorted(nats, reverse=True)
        assert labels(fig, "x") == [f"z{d}" for d in np.argsort(-nats, kind="stable")]
        assert (
            f"5 dimensions to the prior, sorted; 2 of them transmit more than 0.1 nats, the first, z1, {nats[1]:.2f}."
            in fig.alt
        )


class TestShow:
    @staticmethod
    def pixels(png: str) -> np.ndarray:
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")).astype(int)

    def drawing(self):
        fig, axes = figure(4, 2)
        axes.plot([0, 1], [0, 1], color="black", label="made outside the style")
        axes.legend(loc="upper left")
        axes.set(title="title", xlabel="x")
        axes.text(0.5, 0.2, "text")
        axes.annotate("note", (0.7, 0.4))
        fig.suptitle("above")
        fig.alt = " A line from 0 to 1. "
        return fig

    def test_a_light_and_a_dark_edition_with_alternative_text(self, shown):
        fig = self.drawing()
        show(fig)
        ((bundle, metadata, raw),) = shown
        assert raw is True
        assert set(bundle) == {"text/plain", "image/png", DARK_MIME}
        assert bundle["text/plain"] == metadata["image/png"]["alt"] == "A line from 0 to 1."
        light, dark = self.pixels(bundle["image/png"]), self.pixels(bundle[DARK_MIME])
        assert light.shape == dark.shape
        assert metadata["image/png"]["width"] == round(light.shape[1] * 96 / 150)
        assert (light[..., 3] == 255).all()
        assert light[0, 0].tolist() == [255, 255, 255, 255]
        assert dark[0, 0, 3] == 0
        ink = light[..., :3].max(2) < 100
        assert ink.mean() > 0.01
        # Where there is ink on the light page there is light ink on the dark one, and nothing else.
        assert (dark[ink][:, :3].min(1) > 150).mean() > 0.999
        drawn = dark[..., 3] > 128
        assert (dark[drawn][:, :3].min(1) > 150).mean() > 0.999
        assert drawn.mean() < 0.2  # no background, neither of the axes nor of the legend

    def test_colours_and_pictures_stay(self, shown):
        fig = image_table(
            torch.tensor([1.0, 0.0, 0.0])[None, None, :, None, None].expand(1, 2, 3, 8, 8), ["row"], alt="Red."
        )
        show(fig)
        bundle = shown[0][0]
        for edition in ("image/png", DARK_MIME):
            pixels = self.pixels(bundle[edition])
            assert (np.abs(pixels - [255, 0, 0, 255]).max(2) < 3).mean() > 0.3

    @pytest.mark.parametrize("make", [lambda: traversal(_Painter()), lambda: samples(_Painter(), 8)])
    def test_no_figure_stays_open(self, shown, make):
        show(make())
        show(self.drawing())
        assert plt.get_fignums() == []
        assert len(shown) == 2

    @pytest.mark.parametrize("alt", [None, "", "  "])
    def test_without_alternative_text_it_is_refused(self, shown, alt):
        fig, _ = figure()
        if alt is not None:
            fig.alt = alt
        with pytest.raises(ValueError, match=r"set figure\.alt to a sentence"):
            show(fig)
        assert shown == []
