"""Checkpoints: what cannot be written is found before the first step, what is damaged touches nothing."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from torch import nn

from medlatent.files import read_tensors, save_tensors
from medlatent.models import GAN, VAE, LatentModel
from medlatent.training import FORMAT, VERSION, History, train

SMALL = {"latent_dim": 2, "channels": 1, "size": 8, "width": 2}
OPTIMISERS = ("generator_optimiser", "discriminator_optimiser")


def build(seed: int = 0) -> GAN:
    torch.manual_seed(seed)
    return GAN(**SMALL)


def pictures(size: int = 8) -> torch.Tensor:
    return torch.rand(12, 1, size, size, generator=torch.Generator().manual_seed(11))


def run(model: LatentModel, steps: int = 3, **options) -> History:
    defaults = {"batch_size": 4, "device": "cpu", "precision": "float32", "progress": False}
    return train(model, pictures(model.image_shape[-1]), steps, **{**defaults, **options})


def everything(model: LatentModel) -> dict[str, torch.Tensor]:
    """Weights and moments by name, as they are now."""
    found = copy.deepcopy(dict(model.state_dict()))
    for name, optimiser in model.optimisers().items():
        for index, values in optimiser.state_dict()["state"].items():
            found |= {f"{name}.{index}.{key}": value.clone() for key, value in values.items()}
    return found


@pytest.fixture(scope="module")
def kept(tmp_path_factory) -> bytes:
    """The bytes of a checkpoint after three steps."""
    path = tmp_path_factory.mktemp("kept") / "c"
    run(build(), checkpoint=path, measure=lambda model: {"one": 1}, measure_at=[2])
    return path.read_bytes()


@pytest.fixture
def path(tmp_path, kept) -> Path:
    path = tmp_path / "c.checkpoint"
    path.write_bytes(kept)
    return path


def refused(path: Path, match: str | None = None) -> str:
    """Tries to go on from a checkpoint; the error names the file, and model, moments and file are what they were."""
    model = build(seed=8)
    run(model, 1)  # moments of its own
    before, content = everything(model), path.read_bytes()
    with pytest.raises(ValueError, match=match) as caught:
        run(model, 5, checkpoint=path)
    assert str(path) in str(caught.value)
    after = everything(model)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert path.read_bytes() == content
    return str(caught.value)


def test_as_it_is_it_can_be_gone_on_from(path):
    assert len(run(build(seed=8), 5, checkpoint=path)) == 5


class TestFlippedBit:
    @staticmethod
    def regions(content: bytes) -> dict[str, tuple[int, int]]:
        """Where the fields of the header and the tensors stand in the file."""
        start = 8 + int.from_bytes(content[:8], "little")
        header = json.loads(content[8:start])
        metadata = header.pop("__metadata__")
        found = {name: tuple(start + offset for offset in entry["data_offsets"]) for name, entry in header.items()}
        for name, value in metadata.items():
            at = content.index(json.dumps(value).encode(), 8)
            found[f"field {name}"] = (at + 1, at + 1 + len(value))
        return found

    def test_every_region_is_covered(self, kept):
        names = set(self.regions(kept))
        assert {f"field {name}" for name in ("run", "step", "terms", "measures", "optimisers", "sha256")} < names
        assert {"history", "random.cpu"} < names
        assert any(name.startswith("model.discriminator") for name in names)
        assert any(name.startswith("optimiser.generator_optimiser") and "exp_avg_sq" in name for name in names)

    def test_is_refused_by_name_wherever_it_lies(self, path, kept):
        random = np.random.default_rng(0)
        model = build(seed=8)
        before = everything(model)
        places = {0, 7, 9} | {int(random.integers(*ends)) for ends in self.regions(kept).values() if ends[0] < ends[1]}
        for place in sorted(places):
            bit = 1 << int(random.integers(8))
            path.write_bytes(kept[:place] + bytes([kept[place] ^ bit]) + kept[place + 1 :])
            with pytest.raises(ValueError, match=r"c\.checkpoint"):
                run(model, 5, checkpoint=path)
        assert all(torch.equal(value, before[name]) for name, value in everything(model).items())


class TestDamagedButWellFormed:
    @staticmethod
    def rewrite(path: Path, change) -> None:
        """Writes a checkpoint anew, checksum and all, after ``change(tensors, header)``."""
        tensors, header = read_tensors(path, FORMAT, VERSION)
        change(tensors, header)
        save_tensors(path, tensors, FORMAT, VERSION, **header)

    def test_the_rewriting_does_no_harm_by_itself(self, path):
        self.rewrite(path, lambda tensors, header: None)
        run(build(), 5, checkpoint=path)

    @pytest.mark.parametrize("field", ["run", "step", "terms", "seconds", "optimisers", "measures"])
    def test_a_field_is_missing_or_of_another_type(self, path, kept, field):
        self.rewrite(path, lambda tensors, header: header.pop(field))
        refused(path, f"the field '{field}' is missing")
        path.write_bytes(kept)
        self.rewrite(path, lambda tensors, header: header.update({field: "three"}))
        refused(path, f"the field '{field}' must be .* got 'three'")

    @pytest.mark.parametrize(
        "change",
        [
            lambda t, h: h["optimisers"].pop("generator_optimiser"),
            lambda t, h: h["optimisers"].update(third=[]),
            lambda t, h: h["optimisers"].update(generator_optimiser=3),
            lambda t, h: h["optimisers"].update(generator_optimiser=[]),
            lambda t, h: h["optimisers"]["generator_optimiser"][0].pop("betas"),
            lambda t, h: h["optimisers"]["generator_optimiser"][0].update(lr="fast"),
            lambda t, h: h["optimisers"]["generator_optimiser"][0].update(betas=[0.5]),
            lambda t, h: h["optimisers"]["generator_optimiser"][0]["params"].reverse(),
            lambda t, h: t.pop("history"),
            lambda t, h: t.update(history=t["history"][:2]),
            lambda t, h: t.update(history=t["history"][:, :1]),
            lambda t, h: t.update(history=t["history"].double()),
            lambda t, h: t.update(history=t["history"][0]),
            lambda t, h: h.update(step=-1),
            lambda t, h: h.update(terms=["loss", 3, None]),
            lambda t, h: h.update(measures=[3]),
            lambda t, h: h.update(measures=[{"one": 1}]),
            lambda t, h: h.update(measures=[{"step": 2, "one": "1"}]),
            lambda t, h: t.pop("random.cpu"),
            lambda t, h: t.update({"random.cpu": t["random.cpu"][:9]}),
            lambda t, h: t.update({"random.cpu": t["random.cpu"].float()}),
            lambda t, h: t.pop("model.updates"),
            lambda t, h: t.update({"model.critic": torch.zeros(2)}),
            lambda t, h: t.update({"model.updates": torch.zeros(2).long()}),
            lambda t, h: t.update({"model.updates": torch.zeros(())}),
            lambda t, h: t.update({"optimiser.generator_optimiser.0.exp_avg": torch.zeros(3)}),
            lambda t, h: t.pop("optimiser.generator_optimiser.1.exp_avg"),
            lambda t, h: t.update({"optimiser.generator_optimiser.99.exp_avg": torch.zeros(())}),
            lambda t, h: t.update({"optimiser.generator_optimiser.one.exp_avg": torch.zeros(())}),
            lambda t, h: t.update({"optimiser.third.0.exp_avg": torch.zeros(())}),
            lambda t, h: t.update({"optimiser.exp_avg": torch.zeros(())}),
            lambda t, h: t.update({"scheduler.0": torch.zeros(())}),
        ],
    )
    def test_is_refused(self, path, change):
        self.rewrite(path, change)
        assert "damaged, or comes from other code" in refused(path)

    def test_terms_of_another_update(self, path):
        self.rewrite(path, lambda tensors, header: header.update(terms=["a", "b", "c"]))
        with pytest.raises(ValueError, match=r"update: it returned the terms loss, .*; before they were a, b, c"):
            run(build(), 5, checkpoint=path)


class TestBeforeTheFirstStep:
    @staticmethod
    def never(model: LatentModel) -> LatentModel:
        model.update = lambda images: pytest.fail("a step was made")
        return model

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("x")
        (tmp_path / "folder").mkdir()
        for path in (tmp_path / "file" / "c", tmp_path / "folder"):
            model = self.never(build().train())
            with pytest.raises(OSError, match="cannot be written") as caught:
                run(model, checkpoint=path)
            assert str(path) in str(caught.value)
            assert model.training
        assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]

    def test_weights_that_a_file_cannot_hold(self, tmp_path):
        model = self.never(build())
        model.register_buffer("table", torch.eye(3).to_sparse())
        with pytest.raises(ValueError, match=r"table is a torch\.sparse_coo tensor and cannot be saved"):
            run(model, checkpoint=tmp_path / "run" / "c")
        assert list(tmp_path.iterdir()) == []
        model = build()
        model.register_buffer("table", torch.eye(3).to_sparse())
        assert len(run(model)) == 3  # without a checkpoint nothing is to be written


class Tied(LatentModel):
    """A model with one network under two names, and one weight in two layers."""

    image_shape = (1, 8, 8)

    def __init__(self):
        super().__init__({})
        torch.manual_seed(0)
        self.first, self.last = nn.Linear(64, 8), nn.Linear(8, 64)
        self.same = self.first
        self.twin = nn.Linear(64, 8)
        self.twin.weight = self.first.weight
        self.optimiser = torch.optim.Adam(self.parameters(), lr=1e-3)

    def update(self, images):
        x = images.flatten(1)
        loss = (self.last(self.first(x) + self.twin(x)) - x).square().mean()
        self.step(self.optimiser, loss)
        return {"loss": loss.detach()}


@pytest.fixture
def tied(monkeypatch):
    yield Tied
    LatentModel.registry.pop("Tied", None)


class TestTiedWeights:
    def test_a_checkpoint_keeps_them_tied(self, tmp_path, tied):
        whole, model = tied(), tied()
        run(whole, 6)
        run(model, 3, checkpoint=tmp_path / "c")
        model = tied()
        run(model, 6, checkpoint=tmp_path / "c")
        assert all(torch.equal(value, model.state_dict()[name]) for name, value in whole.state_dict().items())
        assert model.twin.weight is model.first.weight
        with torch.no_grad():
            model.first.weight.zero_()
        assert not model.twin.weight.any()

    def test_so_does_a_saved_model(self, tmp_path, tied):
        from medlatent.models import load

        LatentModel.registry["Tied"] = tied
        model = tied()
        run(model)
        again = load(model.save(tmp_path / "m", torch.float16))
        assert again.twin.weight is again.first.weight
        torch.testing.assert_close(again.first.weight, model.first.weight, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    "optimiser",
    [
        lambda weights: torch.optim.SGD(weights, lr=1e-3),
        lambda weights: torch.optim.SGD(weights, lr=1e-3, momentum=0.9),
        lambda weights: torch.optim.Adam(weights, lr=1e-3, amsgrad=True),
        lambda weights: torch.optim.Adam(weights, lr=torch.tensor(1e-3)),
        lambda weights: torch.optim.AdamW([{"params": weights[:3]}, {"params": weights[3:], "lr": 1e-4}], lr=1e-3),
        lambda weights: torch.optim.RMSprop(weights, lr=1e-3, centered=True),
        lambda weights: torch.optim.Adagrad(weights, lr=1e-3),
        lambda weights: torch.optim.Adafactor(weights, lr=1e-3),
        lambda weights: torch.optim.Adam([w.requires_grad_(i > 0) for i, w in enumerate(weights)], lr=1e-3),
    ],
)
def test_any_optimiser_goes_on_bit_for_bit(tmp_path, optimiser):
    def made():
        torch.manual_seed(0)
        model = VAE(latent_dim=2, channels=1, size=16)
        model.optimiser = optimiser([*model.parameters()])
        return model

    whole, resumed = made(), made()
    run(whole, 5)
    run(made(), 2, checkpoint=tmp_path / "c")
    run(resumed, 5, checkpoint=tmp_path / "c")
    a, b = everything(whole), everything(resumed)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, np.int32, torch.tensor])
def test_whole_numbers_of_any_kind(tmp_path, kind):
    plain, model = build(), build()
    run(plain, 4, batch_size=3, seed=2)
    options = {"batch_size": kind(3), "seed": kind(2), "checkpoint_every": kind(2), "checkpoint": tmp_path / "c"}
    run(model, kind(4), **options)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in plain.state_dict().items())
    with safe_open(tmp_path / "c", framework="pt") as file:
        stated = json.loads(file.metadata()["run"])
    assert (stated["seed"], stated["batch_size"]) == (2, 3)


@pytest.mark.parametrize("name", ["steps", "batch_size", "seed", "checkpoint_every"])
@pytest.mark.parametrize("value", [2.0, np.float64(2), "2", None, True, 2**63, np.array([1, 2])])
def test_what_is_no_whole_number(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number of 64 bits, got "):
        run(build(), **{name: value})


def test_a_negative_seed_is_one():
    a, b = build(), build()
    run(a, seed=-1)
    run(b, seed=-2)
    assert not torch.equal(next(a.parameters()), next(b.parameters()))
