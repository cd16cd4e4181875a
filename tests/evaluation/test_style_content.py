"""The suite ``style_content``: what it observes of a small model, and its numbers against plain computations."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import f_oneway
from sklearn.linear_model import LinearRegression

from medlatent.data import Card, Factor, ImageSet
from medlatent.evaluation import agrees, evaluate, generated, style_content
from medlatent.metrics.style_content import cifc
from medlatent.models import DRAI, GAN, CInfoGAN, decode_all
from medlatent.records import read_observed, save_observed

CARD = Card("marks", "computed here", "CC0-1.0", "nobody", "none")
FACTORS = {
    "kind": Factor("class", kind="categorical", values=("a", "b", "c")),
    "old": Factor("over 60", kind="binary"),
    "size": Factor("diameter", unit="mm"),
    "angle": Factor("axis", kind="angle", unit="rad", period=np.pi),
}
CODES = 4


def marks(n: int = 120, of_each: int = 2) -> ImageSet:
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "kind": np.array(["a", "b", "c"])[random.integers(3, size=n)],
            "old": random.integers(2, size=n),
            "size": random.uniform(3, 20, n),
            "angle": random.uniform(-np.pi / 2, np.pi / 2, n),
            "patient": np.repeat([f"p{i:02}" for i in range(n // of_each)], of_each),
            "split": ["train"] * (n // 2) + ["test"] * (n - n // 2),
        }
    )
    images = random.normal(100, 30, (n, 1, 8, 8)) + 4 * table["size"].to_numpy()[:, None, None, None]
    return ImageSet(images.clip(0, 255).astype(np.uint8), table, FACTORS, CARD, group="patient")


@pytest.fixture
def few(monkeypatch):
    monkeypatch.setattr(style_content, "GENERATED", 150)
    monkeypatch.setattr(style_content, "SHARED", 5)
    monkeypatch.setattr(style_content, "DRAWN", 3)


def small(system):
    torch.manual_seed(0)
    model = system({"kind": 3, "old": 2}, size=8, width=2, style_dim=CODES, content_dim=CODES - 1).eval()
    with torch.no_grad():  # a trained one decodes different codes differently
        for parameter in model.generator.parameters():
            parameter.mul_(20 if parameter.ndim > 1 else 1)
    return model


@pytest.mark.usefixtures("few")
class TestObserved:
    def test_two_variables(self):
        model, images = small(DRAI), marks().split("test")
        found = style_content.observe(model, images)
        pixels = images.batch(slice(None))
        with torch.no_grad():
            style, content = model.infer_style(pixels).mean, model.infer_content(pixels).mean
        np.testing.assert_allclose(found["style"], style, atol=1e-5)
        np.testing.assert_allclose(found["content"], content, atol=1e-5)
        squared = (decode_all(model, torch.cat([style, content], 1)) - pixels).square().mean((1, 2, 3))
        np.testing.assert_allclose(found["psnr"], -10 * squared.log10(), rtol=1e-4)
        score = cifc(lambda x: (model.infer_style(x).mean, model.infer_content(x).mean), model.generate, pixels)
        assert (found["cifc_style"] + found["cifc_content"]).mean() == pytest.approx(score.score, rel=1e-4)
        assert found["cifc_style"].mean() == pytest.approx(score.style, rel=1e-4)
        for name in ("content", "condition", "style"):
            assert found[f"kept.{name}"].shape == (5, 3, 2)

    @pytest.mark.parametrize("system", [DRAI, CInfoGAN])
    def test_numbers_survive_being_kept_in_16_bits(self, system, monkeypatch, tmp_path):
        """Among them the numbers of the images: image 3 is not 2.99977, which is cut off to image 2."""
        monkeypatch.setattr(style_content, "MOST", 50)
        images = marks().split("test")
        observed = style_content.observe(small(system), images)
        path = tmp_path / "name.observed.safetensors"
        path.write_bytes(save_observed({"set": {"style_content": observed}}, "name")[1])
        kept = read_observed(path)["set"]["style_content"]
        as_floats = kept | {"rows": observed["rows"] - 2e-4}  # records have been written that hold them so
        before, after, older = (style_content.numbers(found, images) for found in (observed, kept, as_floats))
        for name, value in before.items():
            assert agrees(value, after[name], name), name
            assert agrees(value, older[name], name), name

    def test_shared_codes_are_shared(self, monkeypatch):
        """The codes that are decoded, in the place of what is measured in their images."""
        model, images = small(DRAI), marks().split("test")
        decoded = []

        def decode(model, codes):
            decoded.append(codes.reshape(5, 3, -1))
            return torch.zeros(len(codes), 1, 8, 8)

        found = style_content._inferred(model, images)
        monkeypatch.setattr(style_content, "decode_all", decode)
        style_content._kept(model, images, found)
        styles, contents = np.float32(found["style"]), np.float32(found["content"])
        by_content, by_condition, by_style = (codes.numpy() for codes in decoded)
        for codes in (by_content, by_condition):
            assert (codes[:, :1, CODES:] == codes[:, :, CODES:]).all()
            assert len(np.unique(codes[:, :, 0])) == 15
        assert (by_style[:, :1, :CODES] == by_style[:, :, :CODES]).all()
        for row, codes in zip(by_content[:, 0, CODES:], by_style, strict=True):
            own = int((contents == row).all(1).argmax())
            assert (codes[0, :CODES] == styles[own]).all()  # one image gives both
            for other in codes[:, CODES:]:
                assert (contents == other).all(1).any()
                assert not (contents[own] == other).all()

    def test_one_variable_takes_contents_from_conditions(self):
        model, images = small(CInfoGAN), marks().split("test")
        found = style_content.observe(model, images)
        assert not {"content", "cifc_style", "cifc_content"} & set(found)
        np.testing.assert_array_equal(found["kept.content"], found["kept.condition"])
        with torch.no_grad():
            code = torch.cat(
                [
                    model.infer_style(images.batch(slice(None))).mean,
                    model.content_of(model.condition(**images.columns(("kind", "old")))).mean,
                ],
                1,
            )
        squared = (decode_all(model, code) - images.batch(slice(None))).square().mean((1, 2, 3))
        np.testing.assert_allclose(found["psnr"], -10 * squared.log10(), rtol=1e-4)
        values = style_content.numbers(found, images)
        assert not [name for name in values if name.startswith("cifc")]
        assert {"disagreement_style", "disagreement_pixels", "style_knows.size"} <= set(values)

    def test_drawn_for_the_conditions_of_the_set(self, monkeypatch):
        model, images = small(DRAI), marks().split("test")
        asked = {}

        def sample_codes(n, generator, **columns):
            asked.update(columns)
            return torch.zeros(n, model.latent_dim)

        monkeypatch.setattr(model, "sample_codes", sample_codes)
        style_content._drawn(model, images)
        for name in ("kind", "old"):
            assert torch.equal(asked[name], images.columns([name])[name].repeat(3)[:150])

    def test_other_models_have_nothing_to_be_seen(self):
        model = GAN(latent_dim=4, channels=1, size=8, width=2).eval()
        assert style_content.observe(model, marks()) == {}
        assert style_content.numbers({}, marks()) == {}


def observed(images: ImageSet, **arrays: np.ndarray) -> dict[str, np.ndarray]:
    n = len(images)
    random = np.random.default_rng(3)
    return {
        "rows": np.arange(n, dtype=float),
        "psnr": random.uniform(10, 20, n),
        "style": random.normal(size=(n, 4)),
        "content": random.normal(size=(n, 4)),
    } | arrays


class TestCIFC:
    def test_beside_what_chance_would_give(self):
        images = marks()
        n = len(images)
        codes = {name: np.random.default_rng(i).normal(size=(n, 4)) for i, name in enumerate(("style", "content"))}
        another = [np.abs(code - code[np.r_[1:n, 0]]).mean(1) for code in codes.values()]
        found = style_content.numbers(
            observed(images, **codes, cifc_style=2 * another[0], cifc_content=2 * another[1]), images
        )
        assert found["cifc"] == pytest.approx(2 * (another[0].mean() + another[1].mean()))
        assert found["cifc"] == pytest.approx(found["cifc_style"] + found["cifc_content"])
        assert found["cifc_relative"] == pytest.approx(1, abs=0.1)
        scaled = {name: 10 * code for name, code in codes.items()}
        again = style_content.numbers(
            observed(images, **scaled, cifc_style=20 * another[0], cifc_content=20 * another[1]), images
        )
        assert again["cifc_relative"] == pytest.approx(found["cifc_relative"])

    def test_constant_codes_are_no_success(self):
        images = marks()
        still, none = np.ones((len(images), 4)), np.zeros(len(images))
        codes = observed(images, style=still, content=still, cifc_style=none, cifc_content=none)
        found = style_content.numbers(codes, images)
        assert found["cifc"] == 0
        assert found["cifc_relative"] == 1


def test_kept_is_the_intraclass_correlation_of_each_property():
    images = marks()
    random = np.random.default_rng(0)
    measured = random.normal(size=(6, 4, 1)) + 0.5 * random.normal(size=(6, 4, 2))
    found = style_content.numbers(observed(images, **{"kept.content": measured}), images)
    for k, name in enumerate(("centre", "surround")):
        ratio = f_oneway(*measured[:, :, k]).statistic
        assert found[f"content_kept.{name}"] == pytest.approx((ratio - 1) / (ratio + 3))


def test_centre_and_surround():
    images = marks()
    pictures = torch.zeros(2, 1, 8, 8)
    pictures[0, 0, 3:5, 3:5] = 1
    pictures[1, 0, 0, 0] = 1
    found = style_content.properties(pictures, images)
    assert list(found) == ["centre", "surround"]
    assert found["centre"][0] > 0 == found["surround"][0]
    assert found["surround"][1] > 0 == found["centre"][1]


class TestRetrieval:
    def test_among_other_patients_by_hand(self):
        images = marks(40)
        arrays = observed(images)
        found = style_content.numbers(arrays, images)
        table = images.table
        labels = np.c_[
            pd.get_dummies(table["kind"])[["a", "b", "c"]].to_numpy(float),
            table["old"] == 0,
            table["old"] == 1,
            table["size"] / 1.4,
        ]
        pixels = images.images.reshape(40, -1) / 255
        for name, code in (("", arrays["content"]), ("_style", arrays["style"]), ("_pixels", pixels)):
            disagreement, hits = [], []
            for i in range(40):
                others = np.flatnonzero(table["patient"] != table["patient"][i])
                order = others[np.argsort(np.abs(code[others] - code[i]).mean(1), kind="stable")][:3]
                divergence = np.square(labels - labels[i]).mean(1)
                disagreement.append(divergence[order].mean())
                hits.append(divergence[order].min() == divergence[others].min())
            assert found[f"disagreement{name}"] == pytest.approx(np.mean(disagreement))
            assert found[f"overlap{name}"] == pytest.approx(100 * np.mean(hits))

    def test_codes_of_noise_find_what_chance_finds(self):
        images = marks(400)
        images = ImageSet(images.images, images.table.assign(size=9.0), FACTORS, CARD, group="patient")
        found = style_content.numbers(observed(images), images)
        assert 30 < found["overlap_chance"] < 50  # one of six labels, three times: 42 per cent
        for measure in ("disagreement", "overlap"):
            for code in ("", "_style"):
                assert found[f"{measure}{code}"] == pytest.approx(found[f"{measure}_chance"], rel=0.15)

    def test_content_that_is_the_label_finds_it(self):
        images = marks(80)
        content = np.c_[images.columns(["size"])["size"].numpy() / 1.4, np.zeros((80, 3))]
        found = style_content.numbers(observed(images, content=content), images)
        assert found["disagreement"] < 0.2 * found["disagreement_style"]
        assert found["overlap"] > 40


class TestKnows:
    def test_what_a_code_holds_is_predicted(self):
        images = marks(300)
        columns = images.columns(["size", "kind", "old", "angle"])
        size, kind = columns["size"].numpy(), columns["kind"].numpy()
        content = np.c_[size, kind == 0, kind == 1, np.cos(2 * columns["angle"].numpy())]
        found = style_content.numbers(observed(images, content=content), images)
        for name in ("size", "kind", "angle_cos"):
            assert found[f"content_knows.{name}"] > 0.98
            assert found[f"style_knows.{name}"] < 0.15
        assert found["content_knows.angle_sin"] < 0.15
        assert found["content_knows.old"] < 0.25

    def test_half_of_a_factor(self):
        images = marks(400)
        size = images.columns(["size"])["size"].numpy()
        noise = np.random.default_rng(5).normal(size=400) * size.std()
        content = np.c_[size + noise, np.zeros((400, 3))]
        fitted = LinearRegression().fit(content, size).score(content, size)
        found = style_content.numbers(observed(images, content=content), images)
        assert found["content_knows.size"] == pytest.approx(fitted, abs=0.03)

    def test_no_patient_is_on_both_sides(self):
        """A code that names the patient says nothing of another one."""
        images = marks(200, of_each=20)
        table = images.table.assign(size=np.repeat(np.random.default_rng(1).uniform(3, 20, 10), 20))
        images = ImageSet(images.images, table, FACTORS, CARD, group="patient")
        content = np.eye(10)[np.repeat(np.arange(10), 20)]
        found = style_content.numbers(observed(images, content=content), images)
        assert found["content_knows.size"] == 0


@pytest.mark.usefixtures("few", "quick")
def test_evaluated_whole():
    images = marks()
    found = evaluate(small(DRAI), images.split("test"))
    assert all(np.isfinite(list(found.values())))
    assert {"psnr", "cifc", "cifc_relative", "disagreement", "overlap", "nearer_than_new"} <= set(found)
    assert 0 <= found["nearer_than_new"] <= 1
    assert generated.GENERATED == 200
