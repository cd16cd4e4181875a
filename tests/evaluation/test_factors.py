"""The suites ``factors``, ``classes`` and ``lesions``: what a code says about what is known of the images."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from evaluation_cases import CARD, NUMBERS, factor_set, small_vae

from medlatent.data import Factor, ImageSet
from medlatent.evaluation import evaluate, factor_columns
from medlatent.evaluation.encoded import with_controls
from medlatent.evaluation.factors import standard_errors
from medlatent.metrics import disentanglement, downstream

OF_ALL = ["mig", "mig.error", "mig_from_posterior", "sap", "total_correlation"]
OF_SEVERAL = ["modularity", "dci_disentanglement", "dci_completeness", "dci_informativeness"]
OF_ORDER = [
    *("mig_knn", "sap_continuous", "sap_continuous.error", "modularity_knn", "interpretability"),
    *("scc", "scc.error"),
]
OF_CLASS = [
    *("mig_p", "mig_p.rotated", "mig_p.shuffled"),
    *("clustering_nmi", "few_label_accuracy", "few_label_accuracy.commonest"),
]
OF_LESIONS = ["mig_hf", "mig_hf_circle", "mig_hf_circle.rotated", "mig_hf_circle.shuffled"]


@pytest.fixture
def rows_for_few_labels(monkeypatch):
    """In place of a slow accuracy, from how many rows it would be."""

    def count(codes, labels, groups):
        return SimpleNamespace(score=len(labels), majority=0.5)

    monkeypatch.setattr(downstream, "few_label_accuracy", count)


def test_the_columns():
    images = factor_set()
    images.table.loc[5, "orientation"] = np.nan
    columns, names, nominal = factor_columns(images)
    assert names == ["size", "eccentricity", "orientation_cos", "orientation_sin", "kind", "hairy"]
    assert nominal.tolist() == [False] * 4 + [True, False]
    angle = images.table["orientation"].to_numpy()
    expected = np.c_[images.table["size"], images.table["eccentricity"], np.cos(2 * angle), np.sin(2 * angle)]
    np.testing.assert_allclose(columns[:, :4], expected)
    assert columns[:4, 4].tolist() == ["abc".index(v) for v in images.table["kind"][:4]]
    assert np.isnan(columns).sum() == 2
    # Where the axis points, to the left or to the right, is one and the same.
    images.table["orientation"] += np.pi
    np.testing.assert_allclose(factor_columns(images)[0], columns)


def test_are_what_the_metrics_give():
    images, model = factor_set(), small_vae().eval()
    with torch.inference_mode():
        mean, logvar = (x.double().numpy() for x in model.encode(images.batch(slice(None))))
    columns, _, nominal = factor_columns(images)
    found = evaluate(model, images)
    assert sorted(found) == sorted([*NUMBERS, *OF_ALL, *OF_SEVERAL, *OF_ORDER, *OF_CLASS, *OF_LESIONS])
    expected = disentanglement.report(mean, logvar, columns, nominal, shuffle=True).values()
    kind, three = images.table["kind"].to_numpy(), images.factor_matrix(["eccentricity", "orientation", "size"])
    expected["mig_hf"] = disentanglement.mig_hf(mean, three).score
    angle = disentanglement.mig_of_angle(mean, three[:, 1], np.pi).score
    expected["mig_hf_circle"] = (2 * disentanglement.mig_hf(mean, three[:, [0, 2]]).score + angle) / 3
    expected["mig_p"] = disentanglement.mig_p(mean, kind).score
    expected["clustering_nmi"] = downstream.clustering_nmi(mean, kind).score
    # Class c is too rare for ten folds.
    expected["few_label_accuracy"] = downstream.few_label_accuracy(mean[kind != "c"], kind[kind != "c"]).score
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-6)
    assert found["sap_continuous"] > 0.02


@pytest.mark.usefixtures("rows_for_few_labels")
class TestWhatCounts:
    def test_not_images_without_a_value(self):
        images = factor_set()
        images.table.loc[:9, "size"] = np.nan
        rest = images.subset(range(10, len(images)))
        found, expected = evaluate(small_vae(), images), evaluate(small_vae(), rest)
        assert found["mig"] == pytest.approx(expected["mig"], rel=1e-6)
        assert found["few_label_accuracy"] == 140 - 2  # and two of the rare class
        assert found["sse"] != expected["sse"]

    def test_not_factors_that_hardly_vary(self):
        images = factor_set()
        without = evaluate(small_vae(), ImageSet(images.images, images.table, images.factors, CARD))
        images.table["dull"] = (np.arange(150) < 9).astype(int)
        images.factors["dull"] = Factor("of nine images", kind="binary")
        images.table["same"] = "x"
        images.factors = {"same": Factor("of all", kind="categorical", values=("x", "y")), **images.factors}
        assert evaluate(small_vae(), images) == without
        images.table["dull"] = (np.arange(150) < 10).astype(int)
        assert evaluate(small_vae(), images)["mig"] != without["mig"]

    def test_a_class_alone(self):
        images = factor_set()
        images.factors = {"kind": images.factors["kind"]}
        assert sorted(evaluate(small_vae(), images)) == sorted([*NUMBERS, *OF_ALL, *OF_CLASS])
        # In one dimension nothing can be compared.
        assert list(evaluate(small_vae(latent_dim=1), images)) == [*NUMBERS, *OF_CLASS[3:]]

    def test_no_class(self):
        images = factor_set()
        images.factors = {name: images.factors[name] for name in ("size", "eccentricity")}
        found = set(evaluate(small_vae(), images))
        assert found == {*NUMBERS, *OF_ALL, *OF_SEVERAL, *OF_ORDER} - {"sap"}

    def test_three_handcrafted_factors_or_none(self):
        images = factor_set()
        assert "mig_hf" in evaluate(small_vae(), images)
        del images.factors["size"]
        assert "mig_hf" not in evaluate(small_vae(), images)

    def test_an_orientation_that_is_no_angle_has_a_zero(self):
        images = factor_set()
        images.factors["orientation"] = Factor("a number")
        found = evaluate(small_vae(), images)
        assert "mig_hf" in found
        assert "mig_hf_circle" not in found

    def test_few_images_say_nothing(self):
        assert list(evaluate(small_vae(), factor_set(99))) == NUMBERS
        assert len(evaluate(small_vae(), factor_set(100))) > len(NUMBERS)


def test_photographs_of_one_lesion_are_not_learnt_from_and_tested_on(monkeypatch):
    seen = {}

    def report(mean, logvar, columns, nominal, **options):
        seen["factors"] = options["groups"]
        return SimpleNamespace(values=dict)

    def few(codes, labels, groups):
        seen["classes"] = groups
        return SimpleNamespace(score=1.0, majority=0.5)

    images = factor_set()
    images.table["lesion"] = [f"l{k // 3}" for k in range(150)]
    images.group = "lesion"
    monkeypatch.setattr(disentanglement, "report", report)
    monkeypatch.setattr(downstream, "few_label_accuracy", few)
    evaluate(small_vae(), images)
    np.testing.assert_array_equal(np.unique(seen["factors"], return_counts=True)[1], np.full(50, 3))
    assert np.unique(seen["classes"], return_counts=True)[1].max() == 3


def test_the_error_is_that_of_other_lesions():
    """Of four photographs of each of 100 lesions; the true one from 60 draws of as many new lesions."""
    random = np.random.default_rng(0)

    def draw(lesions):
        factors = np.repeat(random.normal(size=(lesions, 2)), 4, axis=0)
        return np.c_[factors + random.normal(size=factors.shape)], factors, np.repeat(np.arange(lesions), 4)

    truth = np.std([disentanglement.scc(*draw(100)[:2]).score for _ in range(60)], ddof=1)
    nominal = np.zeros(2, bool)
    found = np.mean([standard_errors(*draw(100)[:2], nominal, draw(100)[2])["scc.error"] for _ in range(8)])
    assert found == pytest.approx(truth, rel=0.3)
    mean, columns, whose = draw(100)
    as_if_alone = standard_errors(mean, columns, nominal, np.arange(400))["scc.error"]
    assert as_if_alone < 0.8 * standard_errors(mean, columns, nominal, whose)["scc.error"]


def test_controls_have_nothing_to_find():
    random = np.random.default_rng(0)
    factors = random.integers(0, 2, (3000, 3)).astype(float)
    code = factors + 0.1 * random.normal(size=factors.shape)
    found = with_controls("mig", lambda z: disentanglement.mig(z, factors).score, code)
    assert list(found) == ["mig", "mig.rotated", "mig.shuffled"]
    assert found["mig"] > 0.9
    assert found["mig.rotated"] < 0.3
    assert found["mig.shuffled"] < 0.01
