"""Columns in the training loop: they reach the model row by row with the images, and belong to the run."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from medlatent.data import Card, Factor, ImageSet
from medlatent.files import read_tensors
from medlatent.models import VAE, LatentModel
from medlatent.training import Batches, columns_of, train

N = 14
CARD = Card("test set", "computed here", "CC0-1.0", "nobody", "none")
FACTORS = {
    "age": Factor("age at the time of the image", unit="years"),
    "kind": Factor("kind of lesion", "categorical", values=("naevus", "melanoma", "other")),
    "turn": Factor("orientation", "angle", period=3.0),
}


class _Conditional(LatentModel):
    """A model whose images depend on an age and a kind, and that remembers what it was shown."""

    columns = ("age", "kind")
    image_shape = (1, 4, 4)

    def __init__(self):
        super().__init__({})
        torch.manual_seed(0)
        self.network, self.shown, self.told = nn.Linear(2, 16), [], []
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=0.1)

    def prepare(self, images, factors=None):
        self.told.append((images, dict(factors or {})))

    def update(self, images, age, kind):
        self.shown.append((images.clone(), age.clone(), kind.clone()))
        drawn = self.network(torch.stack([age, kind.float()], 1)).unflatten(1, self.image_shape)
        loss = (drawn - images).square().mean()
        self.step(self.optimiser, loss)
        return {"loss": loss.detach()}


def numbered() -> torch.Tensor:
    """Images whose value is their number over N."""
    return (torch.arange(N) / N)[:, None, None, None].repeat(1, 1, 4, 4)


def columns(**changed) -> dict:
    """To each image an age and a kind that say which one it is."""
    return {"age": torch.arange(N) * 1.5, "kind": torch.arange(N) % 3, **changed}


def image_set(**changed) -> ImageSet:
    table = {
        "age": np.arange(N) * 1.5,
        "kind": [FACTORS["kind"].values[i % 3] for i in range(N)],
        "turn": np.linspace(0, 2, N),
    }
    images = np.arange(N, dtype=np.uint8)[:, None, None, None] * np.ones((1, 1, 4, 4), np.uint8)
    return ImageSet(images, pd.DataFrame({**table, **changed}), FACTORS, CARD)


def run(model, images=None, steps=8, given=None, **options):
    images = numbered() if images is None else images
    given = columns() if given is None and not isinstance(images, ImageSet) else given
    options = {"batch_size": 4, "precision": "float32", **options}
    return train(model, images, steps, columns=given, device="cpu", progress=False, **options)


class TestReachTheModel:
    @pytest.mark.parametrize("images", [numbered(), image_set()])
    def test_row_by_row_with_the_images_whatever_their_order(self, images):
        model, scale = _Conditional(), 255 if isinstance(images, ImageSet) else N
        run(model, images)
        seen = []
        for batch, age, kind in model.shown:
            number = (batch[:, 0, 0, 0] * scale).round().long()
            seen.append(number.tolist())
            assert torch.equal(age, number * 1.5)
            assert torch.equal(kind, number % 3)
            assert (age.dtype, kind.dtype) == (torch.float32, torch.int64)
        assert len(seen) == 8
        shown = [number for numbers in seen for number in numbers]
        assert shown[:N] != sorted(shown[:N])  # they were shuffled

    def test_of_any_shape(self):
        vectors = torch.rand(N, 2, 3, dtype=torch.float64)
        batches = Batches(numbered(), 4, 0, torch.device("cpu"), columns={"condition": vectors})
        for step in (5, 0, 2):
            rows = (batches[step][:, 0, 0, 0] * N).round().long()
            assert torch.equal(batches.columns(step)["condition"], vectors[rows])

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_on_the_device(self):
        batches = Batches(numbered(), 4, 0, torch.device("cuda"), columns=columns())
        assert {value.device.type for value in batches.columns(0).values()} == {"cuda"}

    def test_a_model_that_asks_for_none_gets_none(self):
        model, seen = VAE(latent_dim=2, channels=1, size=16), []
        update = model.update
        model.update = lambda *images, **columns: seen.append((len(images), columns)) or update(*images)
        train(model, torch.rand(4, 1, 16, 16), 2, batch_size=2, device="cpu", progress=False)
        assert seen == [(1, {})] * 2

    @pytest.mark.parametrize(
        ("given", "dtype"),
        [
            (np.arange(N), torch.int64),
            (np.arange(N, dtype=np.uint8), torch.int64),
            (np.arange(N) % 2 == 0, torch.int64),
            (list(range(N)), torch.int64),
            (np.arange(N, dtype=np.float64), torch.float32),
            (torch.arange(N).half(), torch.float32),
            (pd.Series(np.arange(N, dtype=np.float64), index=range(5, N + 5)), torch.float32),
        ],
    )
    def test_kinds_of_numbers(self, given, dtype):
        found = columns_of(_Conditional(), numbered(), columns(age=given))
        assert list(found) == ["age", "kind"]
        assert found["age"].dtype == dtype
        assert found["age"].tolist() == list(np.asarray(given))

    def test_a_model_learns_from_them_what_the_images_do_not_say(self):
        model = _Conditional()
        history = run(model, given={"age": torch.arange(N) / N, "kind": torch.zeros(N).long()}, steps=150)
        assert history["loss"][-10:].mean() < 0.1 * history["loss"][:3].mean()

    def test_prepare_learns_what_they_mean(self):
        model = _Conditional()
        run(model, image_set(), steps=1)
        assert model.told == [(N, {name: FACTORS[name] for name in ("age", "kind")})]
        model = _Conditional()
        run(model, steps=1)
        assert model.told == [(N, {})]  # plain tensors do not say


class TestRefused:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({}, "columns: _Conditional asks for 'age', which is not given"),
            ({"age": torch.zeros(N)}, "columns: _Conditional asks for 'kind', which is not given"),
            (columns(sex=torch.zeros(N)), "columns: _Conditional does not ask for 'sex'; it asks for age, kind"),
            (columns(age=torch.zeros(N - 1)), r"columns: 'age' has the shape \(13,\) for 14 images"),
            (columns(age=torch.tensor(1.0)), r"columns: 'age' has the shape \(\) for 14 images"),
            (columns(age=torch.zeros(N, dtype=torch.complex64)), "columns: 'age' is complex"),
            (columns(age=["young"] * N), "columns: 'age' is no tensor and no array of numbers"),
            (columns(age=np.array([None] * N)), "columns: 'age' is no tensor and no array of numbers"),
        ],
    )
    def test_before_the_first_step(self, tmp_path, given, message):
        model = _Conditional()
        with pytest.raises(ValueError, match=message):
            run(model, given=given, checkpoint=tmp_path / "run" / "c")
        assert model.shown == []
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
    def test_a_value_that_is_none_names_its_row(self, value):
        ages = np.zeros((N, 2))
        ages[11, 1] = ages[12, 0] = value
        for given in (ages, ages.max(1) if value > 0 else ages.sum(1)):
            with pytest.raises(ValueError, match="columns: 'age' is NaN or infinite in row 11"):
                run(_Conditional(), given=columns(age=given))

    def test_beside_an_image_set_which_has_its_own(self):
        with pytest.raises(ValueError, match="columns: an image set brings its own"):
            run(_Conditional(), image_set(), given=columns())

    def test_none_are_asked_for(self):
        with pytest.raises(ValueError, match="columns: VAE does not ask for 'age'; it asks for none"):
            train(VAE(latent_dim=2, channels=1, size=16), torch.rand(4, 1, 16, 16), 1, columns={"age": torch.zeros(4)})

    def test_a_gap_in_a_table_names_column_and_row(self):
        ages = np.arange(N) * 1.5
        ages[9] = np.nan
        model = _Conditional()
        with pytest.raises(ValueError, match=r"age.*\b9\b"):
            run(model, image_set(age=ages))
        assert model.shown == []

    def test_a_factor_that_an_image_set_has_not(self):
        model = _Conditional()
        model.columns = ("age", "volume")
        with pytest.raises(ValueError, match=r"'volume'.*age, kind, turn"):
            run(model, image_set())


class TestBelongToTheRun:
    """Another label is another run: an image set's, and those given beside a tensor."""

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            ((numbered(), columns()), (numbered(), columns(kind=2 - torch.arange(N) % 3))),
            ((numbered(), columns()), (numbered(), columns(age=torch.arange(N) * 1.5 + (torch.arange(N) == 3)))),
            ((numbered(), columns()), (numbered(), columns(age=torch.arange(N)))),
            ((image_set(), None), (image_set(age=np.arange(N) * 1.5 + 1), None)),
            ((image_set(), None), (image_set(kind=["naevus"] * N), None)),
        ],
    )
    def test_on_resuming_others_are_refused(self, tmp_path, first, second):
        path, model = tmp_path / "c", _Conditional()
        run(_Conditional(), first[0], 3, first[1], checkpoint=path)
        content, before = path.read_bytes(), [weight.clone() for weight in model.parameters()]
        with pytest.raises(ValueError, match="belongs to another run: its columns is "):
            run(model, second[0], 6, second[1], checkpoint=path)
        assert path.read_bytes() == content
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))

    def test_what_the_model_does_not_ask_for_does_not_matter(self, tmp_path):
        run(_Conditional(), image_set(), 3, checkpoint=tmp_path / "c")
        assert len(run(_Conditional(), image_set(turn=np.zeros(N)), 6, checkpoint=tmp_path / "c")) == 6

    @pytest.mark.parametrize("images", [numbered(), image_set()])
    def test_resumed_it_goes_on_bit_for_bit(self, tmp_path, images):
        whole, model = _Conditional(), _Conditional()
        expected = run(whole, images, 9)
        run(model, images, 4, checkpoint=tmp_path / "c")
        history = run(model := _Conditional(), images, 9, checkpoint=tmp_path / "c")
        np.testing.assert_array_equal(history.values, expected.values)
        assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))

    def test_the_checkpoint_holds_their_fingerprint(self, tmp_path):
        found = []
        for i, age in enumerate((torch.arange(N) * 1.5, torch.arange(N) * 1.5, torch.arange(N) * 1.25)):
            run(_Conditional(), steps=1, given=columns(age=age), checkpoint=tmp_path / str(i))
            found.append(read_tensors(tmp_path / str(i), "medlatent.checkpoint", 2)[1]["run"]["columns"])
        assert found[0] == found[1] != found[2]
        assert all(len(text) == 64 for text in found)
        model = VAE(latent_dim=2, channels=1, size=16)
        train(model, torch.rand(4, 1, 16, 16), 1, batch_size=2, device="cpu", progress=False, checkpoint=tmp_path / "v")
        assert read_tensors(tmp_path / "v", "medlatent.checkpoint", 2)[1]["run"]["columns"] == ""
