"""Measures along a run: they see the model as it will be judged, and do not touch its training."""

import numpy as np
import pytest
import torch

from medlatent.models import GAN, VAE, LatentModel
from medlatent.training import History, train


def build(seed: int = 0) -> LatentModel:
    torch.manual_seed(seed)
    return GAN(latent_dim=2, channels=1, size=8, width=2)  # with batch normalisation


def pictures() -> torch.Tensor:
    return torch.rand(12, 1, 8, 8, generator=torch.Generator().manual_seed(11))


def run(model: LatentModel, steps: int = 8, **options) -> History:
    defaults = {"batch_size": 4, "device": "cpu", "precision": "float32", "progress": False}
    return train(model, pictures(), steps, **{**defaults, **options})


def brightness(model: LatentModel) -> dict:
    """A measure that draws random numbers from everywhere and passes images through batch normalisation."""
    np.random.rand(3)
    with torch.no_grad():
        drawn = model.decode(model.sample_codes(5))
        model.features(pictures())
    return {"brightness": drawn.mean(), "spread": np.float64(drawn.std().item())}


def assert_equal(a: LatentModel, b: LatentModel) -> None:
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_with_them_and_without_the_run_is_bit_for_bit_the_same(precision):
    plain, measured = build(), build()
    a = run(plain, precision=precision)
    b = run(measured, precision=precision, measure=brightness, measure_at=[1, 2, 5, 8])
    assert_equal(plain, measured)
    np.testing.assert_array_equal(a.values, b.values)
    assert a.measures == ()
    assert [row["step"] for row in b.measures] == [1, 2, 5, 8]


def test_the_model_is_measured_in_evaluation_mode_and_32_bits():
    model, seen = build(), []

    def look(measured):
        seen.append((measured is model, measured.precision, {part.training for part in measured.modules()}))
        return {"one": 1}

    update = model.update
    model.update = lambda images: seen.append((model.training, model.precision)) or update(images)
    history = run(model, 3, precision="bfloat16", measure=look, measure_at=(np.int64(2), 2))
    training = (True, torch.bfloat16)
    assert seen == [training, training, (True, torch.float32, {False}), training]
    assert history.measures == ({"step": 2, "one": 1.0},)


def test_they_are_those_of_a_run_that_ends_there():
    history = run(build(), measure=brightness, measure_at=[3, 6])
    for row in history.measures:
        shorter = run(build(), row["step"], measure=brightness, measure_at=[row["step"]])
        assert shorter.measures == (row,)
    assert type(history.measures[0]["spread"]) is float


def test_they_survive_an_interruption(tmp_path):
    path, expected = tmp_path / "c", run(build(), measure=brightness, measure_at=[2, 4, 8])
    run(build(), 5, checkpoint=path, measure=brightness, measure_at=[2, 4])
    history = run(resumed := build(seed=9), checkpoint=path, measure=brightness, measure_at=[2, 4, 8])
    assert history.measures == expected.measures
    run(whole := build())
    assert_equal(resumed, whole)
    again = run(build(), checkpoint=path, measure=lambda model: pytest.fail("measured twice"), measure_at=[2, 4, 8])
    assert again.measures == expected.measures


def test_a_step_that_is_past_and_was_not_measured_is_named(tmp_path):
    path, model = tmp_path / "c", build(seed=9)
    run(build(), 5, checkpoint=path, measure=brightness, measure_at=[2])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"measure_at: .*c is at step 5 and was not measured at step 3; leave"):
        run(model, checkpoint=path, measure=brightness, measure_at=[2, 3, 7])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_their_time_is_no_training():
    model = VAE(latent_dim=2, channels=1, size=16)
    images = torch.rand(4, 1, 16, 16)
    options = {"batch_size": 4, "device": "cpu", "progress": False}
    clock = {"now": 0.0}

    def measure(model):
        clock["now"] += 100
        return {"one": 1}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("medlatent.training.time.perf_counter", lambda: clock["now"])
        update = model.update
        model.update = lambda batch: clock.update(now=clock["now"] + 1) or update(batch)
        assert train(model, images, 5, measure=measure, measure_at=[2, 5], **options).seconds == 5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"measure_at": [9]}, "measure_at: step 9 is beyond the 8 steps asked for"),
        ({"measure_at": [0]}, "measure_at must be at least 1, got 0"),
        ({"measure_at": [1.5]}, "measure_at must be a whole number of 64 bits, got 1.5"),
    ],
)
def test_steps_that_are_none(options, message):
    with pytest.raises(ValueError, match=message):
        run(build(), measure=brightness, **options)


def test_a_measure_that_is_no_number_stops_the_run(tmp_path):
    path = tmp_path / "c"
    with pytest.raises(FloatingPointError, match="step 4: the measure 'fid' is nan"):
        run(build(), checkpoint=path, checkpoint_every=2, measure=lambda model: {"fid": float("nan")}, measure_at=[4])
    assert len(run(build(), checkpoint=path)) == 8  # from the step before, which was kept
