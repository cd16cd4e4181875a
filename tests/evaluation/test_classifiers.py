"""The domain classifiers: how far to trust them, what they look at, and that all have the same."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from medlatent.data import Card, ClassifierSpec, DataError, Factor, ImageSet, find_source, open_images
from medlatent.evaluation import classifier_of, classifiers, classifiers_of, domain_classifier
from medlatent.evaluation.classifiers import load_classifier
from medlatent.evaluation.record_classifier import accuracy, main, record_classifier
from medlatent.files import read_tensors, save_tensors
from medlatent.metrics.generation import conditional_accuracy, frechet_distance


@pytest.fixture(scope="module")
def digits() -> ImageSet:
    return open_images("mnist.digits")


def test_it_recognises_digits_it_never_saw(digits):
    classifier, test = domain_classifier("mnist.digits"), digits.split("test")
    assert classifier.classes == tuple("0123456789")
    found = conditional_accuracy(classifier.probabilities(test), classifier.labels(test))
    assert found.score > 0.95
    assert found.balanced > 0.95
    # Its features tell other digits from the same ones.
    features, labels = classifier.features(test), classifier.labels(test)
    assert features.shape == (len(test), 128)
    half = frechet_distance(features[::2], features[1::2]).score
    assert frechet_distance(features[labels < 5], features[labels >= 5]).score > 5 * half


def test_later_calls_get_the_same(digits):
    classifier = domain_classifier("mnist.digits")
    assert classifier is domain_classifier("mnist") is classifier_of(digits)
    assert not classifier.training


def test_images_that_nothing_classifies():
    card = Card("small", "drawn", "CC0", "none", "none")
    table = {"digit": ["1", "2"]}
    factors = {"digit": Factor("the digit", kind="categorical", values=("1", "2"))}

    def pictures(*shape, factors=factors):
        return ImageSet(np.zeros((2, *shape), np.uint8), pd.DataFrame(table), factors, card)

    assert classifier_of(pictures(1, 32, 32)) is None
    assert classifier_of(pictures(3, 28, 28)) is None
    assert classifier_of(pictures(1, 28, 28, factors={})) is None


@pytest.mark.parametrize("source", ["phantoms.lesion", "ham10000", "nothing", ""])
def test_sources_without_one(source):
    with pytest.raises(DataError, match=f"{source}: no domain classifier; there is one for .*, mnist.digits, .*mnist"):
        domain_classifier(source)


@pytest.mark.usefixtures("quick")
def test_it_looks_at_tensors():
    generated = torch.rand(3, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    probabilities = domain_classifier("mnist.digits").probabilities(generated)
    assert probabilities.shape == (3, 10)
    np.testing.assert_allclose(probabilities.sum(1), 1)


def nodules(name: str, side: int = 32, factors: tuple[str, ...] = ("size_bin", "malignancy")) -> ImageSet:
    """Two patches with the name of a source on their card."""
    known = {
        "malignancy": Factor("of the readers", kind="binary"),
        "size_bin": Factor("size", kind="categorical", values=("small", "large")),
    }
    table = pd.DataFrame({"malignancy": [0, 1], "size_bin": ["small", "large"]})
    card = Card(name, "here", "CC0-1.0", "nobody", "none")
    images = np.zeros((2, 1, side, side), np.int16)
    return ImageSet(images, table, {factor: known[factor] for factor in factors}, card)


class TestSeveral:
    """Nodules have two: benign or malignant, and size."""

    @pytest.fixture(autouse=True)
    def named(self, monkeypatch):
        """In the place of a classifier, what it would be trained for and on."""
        monkeypatch.setattr(classifiers, "_classifier", lambda spec: (spec.factor, spec.source, spec.steps))

    def test_by_factor(self):
        assert domain_classifier("phantoms.nodule.32") == ("malignancy", "phantoms.nodule.32", 300)
        assert domain_classifier("phantoms.nodule.32", "size_bin") == ("size_bin", "phantoms.nodule.32", 300)
        assert domain_classifier("phantoms.nodule", "size_bin") == ("size_bin", "phantoms.nodule", 300)
        with pytest.raises(DataError, match=r"phantoms\.nodule: no domain classifier of 'dx'; there is one of malig"):
            domain_classifier("phantoms.nodule", "dx")

    def test_rendered_images_are_judged_by_what_saw_rendered_ones(self):
        for side, part in ((32, ".32"), (64, "")):
            source = f"phantoms.nodule{part}"
            expected = (("malignancy", source, 300), ("size_bin", source, 300))
            assert classifiers_of(nodules("nodule phantoms", side)) == expected
            independent = nodules("nodule phantoms of independent factors", side)
            assert classifiers_of(independent) == (("size_bin", f"phantoms.nodule.independent{part}", 300),)
        assert classifiers_of(nodules("nodule phantoms", factors=("size_bin",))) == (
            ("size_bin", "phantoms.nodule.32", 300),
        )
        assert classifiers_of(nodules("nodule phantoms", side=16)) == classifiers_of(nodules("others")) == ()

    def test_real_ones_where_they_are_at_hand(self, tmp_path, monkeypatch):
        monkeypatch.setattr(classifiers, "recorded_classifiers", dict)
        monkeypatch.delenv("MEDLATENT_DATA", raising=False)
        assert classifier_of(nodules("LIDC-IDRI nodules")) is None
        (tmp_path / "lidc").mkdir()
        monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
        images = nodules("LIDC-IDRI nodules")
        assert classifiers_of(images) == (("malignancy", "lidc.32", 300), ("size_bin", "lidc.32", 300))
        assert classifier_of(images) == classifiers_of(images)[0]

    def test_whole_photographs_of_lesions_have_none(self):
        assert classifiers_of(open_images("phantoms.lesion", 8)) == ()
        part = "phantoms.lesion.patches.balanced.32"
        assert classifiers_of(open_images(part, 8)) == (("dx", part, 300),)


def test_what_its_classifiers_are_trained_on_is_opened_once(few_nodules):
    specs = find_source("phantoms.nodule.32").classifiers
    found = [classifiers.train_for(replace(spec, steps=2)) for spec in specs]
    assert [classifier.factor for classifier in found] == ["malignancy", "size_bin"]
    assert few_nodules == ["phantoms.nodule.32"]


@pytest.fixture
def few_nodules(monkeypatch):
    """Sources have few images; which were opened."""
    opened = []

    def few(source):
        opened.append(source)
        return open_images(source, 40)

    monkeypatch.setattr(classifiers, "open_images", few)
    classifiers.images_of.cache_clear()
    yield opened
    classifiers.images_of.cache_clear()


class TestRecorded:
    """One that is in a file is read wherever images like its own are judged, and none is trained."""

    @pytest.fixture(autouse=True)
    def quickly(self, monkeypatch, tmp_path, few_nodules):
        train = classifiers.train_domain_classifier
        monkeypatch.setattr(classifiers, "train_domain_classifier", lambda *args, **kw: train(*args[:2], 2, **kw))
        monkeypatch.setattr(classifiers, "project_files", lambda pattern: sorted(tmp_path.glob("*.safetensors")))
        classifiers._classifier.cache_clear()
        yield
        classifiers._classifier.cache_clear()

    @pytest.fixture
    def path(self, tmp_path):
        return tmp_path / "size.safetensors"

    def test_it_is_read(self, path, monkeypatch):
        unseen = record_classifier("phantoms.nodule.32", "size_bin", path)
        images = open_images("phantoms.nodule.32", 40)
        others = images.split("test")
        monkeypatch.setattr(classifiers, "train_domain_classifier", None)
        classifier = domain_classifier("phantoms.nodule.32", "size_bin")
        assert (classifier.factor, len(classifier.classes), classifier.channels) == ("size_bin", 5, 1)
        assert classifier.head.weight.dtype == torch.float64
        assert not classifier.training
        assert unseen == accuracy(classifier, images)
        hits = classifier.probabilities(others).argmax(1) == classifier.labels(others)
        assert unseen["images"] == len(others)
        assert unseen["accuracy"] == pytest.approx(hits.mean())

    def test_it_is_the_one_that_was_trained_but_for_the_rounding_to_32_bits(self, path):
        record_classifier("phantoms.nodule.32", "size_bin", path)
        trained = classifiers.train_for(find_source("phantoms.nodule.32").classifiers[1])
        images = open_images("phantoms.nodule.32", 40)
        difference = np.abs(load_classifier(path).features(images) - trained.features(images)).max()
        assert 0 < difference < 1e-5

    def test_other_images_and_other_factors_are_not_its_own(self, path):
        record_classifier("phantoms.nodule.32", "size_bin", path)
        spec = find_source("phantoms.nodule.32").classifiers[1]
        assert classifiers.recorded_classifiers() == {spec: path}
        assert replace(spec, steps=299) not in classifiers.recorded_classifiers()

    def test_it_needs_no_data(self, path, monkeypatch):
        spec = ClassifierSpec("malignancy", "lidc.32", (1, 32, 32), card="LIDC-IDRI nodules")
        monkeypatch.delenv("MEDLATENT_DATA", raising=False)
        images = nodules("LIDC-IDRI nodules")
        assert classifier_of(images) is None
        monkeypatch.setattr(classifiers, "open_images", lambda source: open_images("phantoms.nodule.32", 40))
        record_classifier("lidc.32", "malignancy", path)
        assert classifiers.recorded_classifiers() == {spec: path}
        assert [classifier.factor for classifier in classifiers_of(images)] == ["malignancy"]

    def test_two_of_one_kind(self, path, tmp_path):
        record_classifier("phantoms.nodule.32", "size_bin", path)
        (tmp_path / "again.safetensors").write_bytes(path.read_bytes())
        with pytest.raises(ValueError, match=r"again.safetensors and .*size.safetensors hold the same classifier"):
            domain_classifier("phantoms.nodule.32", "size_bin")

    def test_files_that_hold_none(self, path, tmp_path):
        with pytest.raises(FileNotFoundError):
            load_classifier(path)
        record_classifier("phantoms.nodule.32", "size_bin", path)
        tensors, header = read_tensors(path, classifiers.FORMAT, classifiers.VERSION)
        whole = path.read_bytes()
        path.write_bytes(whole[:-4])
        with pytest.raises(ValueError, match=r"size.safetensors is damaged"):
            classifiers_of(nodules("nodule phantoms"))
        fields = {name: value for name, value in header.items() if name in classifiers.HEADER}
        save_tensors(path, tensors, classifiers.FORMAT, classifiers.VERSION, **fields | {"classes": ["one"]})
        with pytest.raises(
            ValueError, match=r"size.safetensors: it does not hold a classifier as this medlatent writes"
        ):
            load_classifier(path)
        for training in ({"steps": 3}, {"source": ["phantoms.nodule"], "factor": "size_bin", "steps": 3}):
            save_tensors(path, tensors, classifiers.FORMAT, classifiers.VERSION, **fields | {"training": training})
            with pytest.raises(ValueError, match=r"size.safetensors: its header does not say training.source"):
                classifiers_of(nodules("nodule phantoms"))

    def test_the_command(self, path, capsys, monkeypatch):
        main(["phantoms.nodule.32", "--factor", "size_bin", "--out", str(path)])
        assert "unseen images: accuracy 0." in capsys.readouterr().out
        assert load_classifier(path).factor == "size_bin"
        with pytest.raises(SystemExit):
            main(["phantoms.nodule.32", "--out", str(path.with_name("size.txt"))])
        assert "--out: a classifier is found by its name, NAME.safetensors, not size.txt" in capsys.readouterr().err
        for source, says in [("phantoms.lesion", "no domain classifier; there is one for"), ("lidc.32", "lidc")]:
            monkeypatch.delenv("MEDLATENT_DATA", raising=False)
            with pytest.raises(SystemExit):
                main([source, "--out", str(path.with_name("other.safetensors"))])
            assert says in capsys.readouterr().err
            assert not path.with_name("other.safetensors").exists()
