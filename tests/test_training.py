"""The training loop: batches, exact resumption, and stops that name what broke."""

import copy
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file

import medlatent.training
from medlatent.data import Card, ImageSet
from medlatent.models import VAE, BetaVAE, LatentModel
from medlatent.training import Batches, History, choose_device, choose_precision, train

CPU = torch.device("cpu")
SMALL = {"latent_dim": 3, "size": 16, "learning_rate": 1e-3}
CARD = Card("test set", "computed here", "CC0-1.0", "nobody", "none")


def build(kind: type[LatentModel] = VAE, seed: int = 0, **options) -> LatentModel:
    torch.manual_seed(seed)
    return kind(**{**SMALL, **options})


def pictures(n: int = 20, channels: int = 3, size: int = 16) -> torch.Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(11))


def image_set(n: int = 20, dtype=np.uint8, channels: int = 3) -> ImageSet:
    low, high = (0, 256) if dtype == np.uint8 else (-1500, 2500)
    images = np.random.default_rng(0).integers(low, high, (n, channels, 16, 16)).astype(dtype)
    return ImageSet(images, pd.DataFrame({"id": range(n)}), {}, CARD)


def run(model: LatentModel, images=None, steps: int = 6, **options) -> History:
    defaults = {"batch_size": 4, "device": "cpu", "precision": "float32", "progress": False}
    return train(model, pictures() if images is None else images, steps, **{**defaults, **options})


def state(model: LatentModel) -> dict[str, torch.Tensor]:
    """Weights and moments by name."""
    tensors = dict(model.state_dict())
    for index, values in model.optimiser.state_dict()["state"].items():
        tensors |= {f"{index}.{key}": value for key, value in values.items()}
    return tensors


def assert_bitwise_equal(a: LatentModel, b: LatentModel) -> None:
    a, b = state(a), state(b)
    assert a.keys() == b.keys()
    different = [name for name in a if not torch.equal(a[name], b[name])]
    assert not different


@pytest.fixture
def unregistered(monkeypatch):
    """Models that a test defines are forgotten afterwards."""
    monkeypatch.setattr(LatentModel, "registry", dict(LatentModel.registry))


class TestHistory:
    HISTORY = History(("loss", "kl"), np.array([[1, 2], [3, 4], [5, 9]], np.float32), 0.5)

    def test_accessors(self):
        assert len(self.HISTORY) == 3
        assert self.HISTORY["kl"].tolist() == [2, 4, 9]
        assert self.HISTORY.mean(2) == {"loss": 4, "kl": 6.5}
        assert self.HISTORY.mean() == {"loss": 3, "kl": 5}

    def test_an_unknown_term_is_an_error_that_lists_the_known(self):
        with pytest.raises(KeyError, match="no term 'mmd' in the history; it has loss, kl"):
            self.HISTORY["mmd"]


class TestDeviceAndPrecision:
    def test_device(self):
        assert choose_device("cpu") == CPU
        assert choose_device("auto").type in ("cpu", "cuda", "mps")

    def test_the_model_is_back_where_it_was_and_the_history_says_where_it_ran(self):
        model = build()
        history = run(model)
        assert (history.device, history.precision) == ("cpu", "float32")
        assert model.device == CPU

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_a_run_on_a_gpu_leaves_a_model_of_the_cpu_there(self):
        model = build()
        assert run(model, device="cuda").device == "cuda"
        assert model.device == CPU
        run(model, steps=8, device="cuda")

    @pytest.mark.parametrize("device", ["tpu", "cuda:99", "gpu", ""])
    def test_a_device_that_is_not_there(self, device):
        with pytest.raises(ValueError, match=f"device '{device}' cannot be used here"):
            choose_device(device)
        with pytest.raises(ValueError, match="cannot be used here"):
            run(build(), device=device)

    def test_precision(self):
        assert choose_precision("float32", CPU) is torch.float32
        assert choose_precision("bfloat16", CPU) is torch.bfloat16
        assert choose_precision("auto", CPU) in (torch.float32, torch.bfloat16)
        assert choose_precision("auto", torch.device("mps")) is torch.float32

    @pytest.mark.parametrize("precision", ["float16", "bf16", ""])
    def test_an_unknown_precision(self, precision):
        with pytest.raises(ValueError, match=f"precision '{precision}' is unknown: use auto, float32 or bfloat16"):
            run(build(), precision=precision)


class TestBatches:
    def numbered(self, n: int) -> torch.Tensor:
        """Images whose value is their number over n."""
        return (torch.arange(n).float() / n)[:, None, None, None].expand(n, 3, 2, 2).contiguous()

    def members(self, batch: torch.Tensor, n: int) -> list[int]:
        return (batch[:, 0, 0, 0] * n).round().int().tolist()

    @pytest.mark.parametrize(("n", "batch_size"), [(12, 4), (14, 4), (5, 5), (7, 1)])
    def test_every_epoch_shows_an_image_once(self, n, batch_size):
        batches = Batches(self.numbered(n), batch_size, 0, CPU)
        assert batches.per_epoch == n // batch_size
        seen_in_all = Counter()
        for epoch in range(12):
            steps = range(epoch * batches.per_epoch, (epoch + 1) * batches.per_epoch)
            seen = [i for step in steps for i in self.members(batches[step], n)]
            assert len(seen) == len(set(seen)) == n // batch_size * batch_size
            seen_in_all.update(seen)
        assert set(seen_in_all) == set(range(n))  # what an epoch drops comes in another

    def test_each_epoch_has_its_own_order(self):
        batches = Batches(self.numbered(12), 12, 0, CPU)
        orders = [tuple(self.members(batches[step], 12)) for step in range(6)]
        assert len(set(orders)) == 6

    def test_another_seed_another_order(self):
        a, b = (self.members(Batches(self.numbered(12), 12, seed, CPU)[0], 12) for seed in (0, 1))
        assert a != b

    def test_a_batch_does_not_depend_on_those_before(self):
        forwards, anyhow = (Batches(self.numbered(14), 4, 5, CPU) for _ in range(2))
        torch.manual_seed(1)
        expected = [forwards[step] for step in range(10)]
        for step in (9, 0, 4, 3, 3, 8):
            torch.manual_seed(step)  # nor on the global generator
            assert torch.equal(anyhow[step], expected[step])

    def test_the_global_generator_is_left_alone(self):
        before = torch.get_rng_state()
        _ = Batches(self.numbered(12), 4, 0, CPU)[7]
        assert torch.equal(torch.get_rng_state(), before)

    @pytest.mark.parametrize("images", [pictures(8), pictures(8).double(), image_set(8), image_set(8, np.int16)])
    def test_batches_are_float32_channels_last_in_the_unit_interval(self, images):
        batch = Batches(images, 4, 0, CPU)[1]
        assert batch.shape == (4, 3, 16, 16)
        assert batch.dtype == torch.float32
        assert batch.is_contiguous(memory_format=torch.channels_last)
        assert ((batch >= 0) & (batch <= 1)).all()

    def test_an_image_set_gives_the_images_that_it_holds(self):
        images = image_set(9, np.int16)
        batches = Batches(images, 3, 0, CPU)
        batches[0]
        expected = images.batch(batches.order[:3].tolist())
        torch.testing.assert_close(batches[0], expected, rtol=0, atol=0)
        assert images.images.dtype == np.int16  # untouched

    @pytest.mark.parametrize(
        ("images", "batch_size", "message"),
        [
            (pictures(4), 0, "batch_size must be at least 1, got 0"),
            (pictures(4), -2, "batch_size must be at least 1, got -2"),
            (pictures(4), 5, "batch_size 5 is larger than the data: 4 images"),
            (image_set(4), 5, "batch_size 5 is larger than the data: 4 images"),
            (pictures(4)[0], 1, r"expected a float tensor \(N, C, H, W\)"),
            ((pictures(4) * 255).byte(), 2, r"expected a float tensor .* torch.uint8"),
        ],
    )
    def test_errors(self, images, batch_size, message):
        with pytest.raises(ValueError, match=message):
            Batches(images, batch_size, 0, CPU)

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e-3, 1.001])
    def test_a_value_outside_the_unit_interval_names_the_image(self, value):
        images = pictures()
        images[13, 2, 15, 15] = value
        images[17] = value
        with pytest.raises(ValueError, match=r"images: image 13 holds a value that is NaN or outside \[0, 1\]"):
            run(build(), images)


class TestTrain:
    def test_the_history_holds_the_terms_of_every_step(self):
        model, terms = build(), []
        update = model.update
        model.update = lambda images: terms.append(update(images)) or terms[-1]
        history = run(model, steps=7)
        assert history.terms == ("loss", "reconstruction", "kl")
        assert history.values.shape == (7, 3)
        assert history.values.dtype == np.float32
        expected = np.array([[t.item() for t in step.values()] for step in terms], np.float32)
        np.testing.assert_array_equal(history.values, expected)
        assert history.seconds > 0

    def test_is_the_plain_loop(self):
        images, model, plain = pictures(), build(), build().to(memory_format=torch.channels_last)
        run(model, images, seed=3)
        batches = Batches(images, 4, 3, CPU)
        torch.manual_seed(3)
        for step in range(6):
            plain.update(batches[step])
        assert_bitwise_equal(model, plain)

    def test_weights_and_images_lie_as_the_model_wants_them(self, monkeypatch):
        for wanted in (torch.channels_last, torch.contiguous_format):
            model, images = build(), torch.rand(8, *pictures().shape[1:])
            monkeypatch.setattr(type(model), "memory_format", wanted)
            seen = []
            update = model.update
            model.update = lambda x, update=update, seen=seen: seen.append(x) or update(x)
            run(model, images, steps=1)
            weights = [p for p in model.parameters() if p.ndim == 4]
            assert weights
            assert all(t.is_contiguous(memory_format=wanted) for t in (*weights, *seen))

    def test_the_same_seed_gives_the_same_run_and_another_one_another(self):
        a, b, c = build(), build(), build()
        run(a, seed=1)
        torch.rand(5)
        run(b, seed=1)
        run(c, seed=2)
        assert_bitwise_equal(a, b)
        assert not torch.equal(a.encoder[0].weight, c.encoder[0].weight)

    @pytest.mark.parametrize("images", [image_set(), image_set(dtype=np.int16), pictures().double()])
    def test_kinds_of_images(self, images):
        assert np.isfinite(run(build(), images).values).all()

    def test_one_channel_in_hounsfield_units(self):
        history = run(build(channels=1), image_set(dtype=np.int16, channels=1), steps=30)
        assert history["loss"][-5:].mean() < history["loss"][:5].mean()

    def test_it_learns(self):
        # Two pictures, one dark and one light: telling them apart needs one bit, and the loss must come to show it.
        images = torch.cat([torch.full((8, 3, 16, 16), 0.2), torch.full((8, 3, 16, 16), 0.8)])
        model = build(variance=0.05, seed=1)
        history = run(model, images, steps=120, batch_size=8, seed=1)
        assert history["loss"][-10:].mean() < 0.25 * history["loss"][:5].mean()
        with torch.inference_mode():
            rebuilt = model.decode(model.encode(images)[0])
        assert rebuilt[:8].mean() < 0.35
        assert rebuilt[8:].mean() > 0.65

    def test_bfloat16_stays_close_to_float32(self):
        exact, rounded = build(), build()
        a, b = run(exact, steps=20), run(rounded, steps=20, precision="bfloat16")
        assert b.precision == "bfloat16"
        assert rounded.precision is torch.float32
        assert not np.array_equal(a.values, b.values)
        np.testing.assert_allclose(b["loss"], a["loss"], rtol=0.02)

    def test_moments_made_before_training_keep_their_place(self):
        # In another memory layout of weights the fused Adam would apply a weight's moments to another weight.
        images, model = pictures(), build()
        model.update(images[:4])
        plain = copy.deepcopy(model)
        run(model, images, steps=3)
        batches = Batches(images, 4, 0, CPU)
        torch.manual_seed(0)
        for step in range(3):
            plain.update(batches[step].contiguous())
        for name, value in plain.state_dict().items():
            # The order of sums differs; a step has the length of the learning rate, 1e-3.
            torch.testing.assert_close(model.state_dict()[name], value, rtol=1e-4, atol=2e-5)

    def test_progress_goes_to_stderr_with_the_terms(self, capsys):
        run(build(), steps=3, progress=True)
        out, err = capsys.readouterr()
        assert out == ""
        assert "3/3" in err
        assert "kl" in err
        run(build(), steps=3)
        assert capsys.readouterr().err == ""

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"steps": 0}, "steps must be at least 1, got 0"),
            ({"steps": -1}, "steps must be at least 1, got -1"),
            ({"checkpoint_every": 0}, "checkpoint_every must be at least 1, got 0"),
            ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
            ({"batch_size": 21}, "batch_size 21 is larger than the data: 20 images"),
            ({"images": pictures(channels=1)}, "images: they are 1×16×16, the model was built for 3×16×16"),
            ({"images": pictures(size=32)}, "images: they are 3×32×32, the model was built for 3×16×16"),
            ({"images": image_set(channels=1)}, "images: they are 1×16×16"),
            ({"images": pictures()[:, :, :, :8]}, "images: they are 3×16×8"),
        ],
    )
    def test_bad_arguments_leave_no_trace(self, tmp_path, options, message):
        model = build()
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(ValueError, match=message):
            run(model, **options, checkpoint=tmp_path / "run" / "c.safetensors")
        assert list(tmp_path.iterdir()) == []
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


class TestStops:
    @pytest.fixture
    def breaking(self, unregistered):
        """A model whose chosen terms become a chosen value at a chosen step."""

        def make(at: int, terms: tuple[str, ...], value: float = float("nan")) -> LatentModel:
            model = build()
            update, calls = model.update, iter(range(10**6))

            def broken(images):
                named = update(images)
                if next(calls) >= at:
                    named |= {term: torch.tensor(value) for term in terms}
                return named

            model.update = broken
            return model

        return make

    @pytest.mark.parametrize("look", [1, 5])
    @pytest.mark.parametrize("value", [float("nan"), float("-inf")])
    @pytest.mark.parametrize("at", [0, 7])
    def test_the_term_and_the_step_are_named(self, monkeypatch, breaking, at, value, look):
        monkeypatch.setitem(medlatent.training.STEPS_PER_LOOK, "cpu", look)
        with pytest.raises(FloatingPointError, match=rf"^step {at}: the term 'reconstruction' is {value};"):
            run(breaking(at, ("loss", "reconstruction"), value), steps=11)

    def test_the_loss_is_named_where_no_term_broke_it(self, breaking):
        with pytest.raises(FloatingPointError, match="step 2: the term 'loss' is nan"):
            run(breaking(2, ("loss",)))

    def test_the_first_bad_step_is_named_and_not_a_worse_one_after(self, monkeypatch, unregistered):
        monkeypatch.setitem(medlatent.training.STEPS_PER_LOOK, "cpu", 5)
        model, rows = build(), iter([[1, 1, 1], [float("inf"), float("inf"), 1], *[[float("nan")] * 3] * 9])
        model.update = lambda images: dict(
            zip(("loss", "reconstruction", "kl"), map(torch.tensor, next(rows)), strict=True)
        )
        with pytest.raises(FloatingPointError, match="step 1: the term 'reconstruction' is inf"):
            run(model, steps=8)

    @pytest.mark.parametrize("look", [1, 5])
    def test_the_checkpoint_is_still_the_last_good_one(self, tmp_path, monkeypatch, breaking, look):
        monkeypatch.setitem(medlatent.training.STEPS_PER_LOOK, "cpu", look)
        path, good = tmp_path / "c.safetensors", tmp_path / "good.safetensors"
        run(build(), steps=4, checkpoint=good)
        with pytest.raises(FloatingPointError, match="step 5"):
            run(breaking(5, ("loss", "kl")), steps=11, checkpoint=path, checkpoint_every=2)
        kept, expected = load_file(path), load_file(good)
        assert kept.keys() == expected.keys()
        assert all(torch.equal(value, expected[name]) for name, value in kept.items())
        assert [p.name for p in tmp_path.iterdir() if p != good] == ["c.safetensors"]
        model = build()
        assert len(run(model, steps=6, checkpoint=path)) == 6  # and it can be gone on from

    @pytest.mark.parametrize("checkpoint", [True, False])
    def test_weights_that_a_step_broke_are_not_kept(self, tmp_path, checkpoint):
        # The terms of a step are computed before its weights change: they can be finite where the weights are not.
        model = build()
        update, calls = model.update, iter(range(100))

        def breaking(images):
            named = update(images)
            if next(calls) == 3:
                with torch.no_grad():
                    model.decoder[0].bias[0] = float("nan")
            return named

        model.update = breaking
        path = tmp_path / "c.safetensors" if checkpoint else None
        with pytest.raises(FloatingPointError, match=r"step 3: the weight 'decoder\.0\.bias' became NaN or infinite"):
            run(model, steps=4, checkpoint=path, checkpoint_every=2)
        if checkpoint:
            assert len(load_file(path)["history"]) == 2

    def test_a_learning_rate_far_too_high_stops(self):
        with pytest.raises(FloatingPointError, match=r"step \d+: the "):
            run(build(learning_rate=1e6), steps=50)


class TestResume:
    @pytest.mark.parametrize(("kind", "precision"), [(VAE, "float32"), (BetaVAE, "bfloat16")])
    @pytest.mark.parametrize(("first", "every"), [(7, 1000), (5, 5), (8, 3)])
    def test_continues_bit_for_bit(self, tmp_path, kind, precision, first, every):
        whole, path = build(kind), tmp_path / "c.safetensors"
        expected = run(whole, steps=13, precision=precision)
        run(build(kind), steps=first, precision=precision, checkpoint=path, checkpoint_every=every)
        resumed = build(kind, seed=99)  # other weights: all must come from the checkpoint
        torch.manual_seed(1234)
        history = run(resumed, steps=13, precision=precision, checkpoint=path, checkpoint_every=every)
        assert_bitwise_equal(whole, resumed)
        np.testing.assert_array_equal(history.values, expected.values)
        assert history.terms == expected.terms

    def test_checkpoints_do_not_change_a_run(self, tmp_path):
        a, b = build(), build()
        run(a, steps=9)
        run(b, steps=9, checkpoint=tmp_path / "c.safetensors", checkpoint_every=2)
        assert_bitwise_equal(a, b)

    def test_after_a_kill_continues_bit_for_bit(self, tmp_path):
        # A process slow enough to be killed between two checkpoints, with some behind it.
        path, script = tmp_path / "c.safetensors", tmp_path / "run.py"
        script.write_text(
            textwrap.dedent(
                f"""
                import time, torch
                from medlatent.models import VAE
                from medlatent.training import train

                torch.set_num_threads({torch.get_num_threads()})
                torch.manual_seed(0)
                model = VAE(**{SMALL})
                images = torch.rand(20, 3, 16, 16, generator=torch.Generator().manual_seed(11))
                update = model.update
                model.update = lambda batch: time.sleep(0.05) or update(batch)
                train(model, images, 200, batch_size=4, device="cpu", precision="float32", progress=False,
                      checkpoint={str(path)!r}, checkpoint_every=3)
                """
            )
        )
        process, deadline = subprocess.Popen([sys.executable, script]), time.monotonic() + 120
        while not (path.exists() and len(load_file(path)["history"]) >= 6):
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        assert process.wait(30) == -signal.SIGKILL
        reached = len(load_file(path)["history"])
        assert reached >= 6
        assert reached % 3 == 0
        whole, resumed = build(), build(seed=99)
        expected = run(whole, steps=reached + 7)
        history = run(resumed, steps=reached + 7, checkpoint=path)
        assert_bitwise_equal(whole, resumed)
        np.testing.assert_array_equal(history.values, expected.values)

    def test_a_complete_run_is_returned_and_not_written_again(self, tmp_path):
        path, model = tmp_path / "c.safetensors", build()
        first = run(model, checkpoint=path)
        content, written = path.read_bytes(), path.stat().st_mtime_ns
        again = build(seed=5).train()
        history = run(again, checkpoint=path)
        np.testing.assert_array_equal(history.values, first.values)
        assert history.terms == first.terms
        assert history.seconds >= first.seconds
        assert_bitwise_equal(model, again)
        assert (path.read_bytes(), path.stat().st_mtime_ns) == (content, written)

    def test_seconds_add_up(self, tmp_path):
        path = tmp_path / "c.safetensors"
        first = run(build(), steps=3, checkpoint=path)
        assert run(build(), steps=4, checkpoint=path).seconds > first.seconds

    def test_without_resuming_it_begins_anew(self, tmp_path):
        path, whole, again = tmp_path / "c.safetensors", build(), build()
        run(whole)
        run(build(seed=3), seed=3, steps=4, checkpoint=path)
        run(again, checkpoint=path, resume=False)
        assert_bitwise_equal(whole, again)
        assert len(load_file(path)["history"]) == 6

    @pytest.mark.parametrize(
        ("field", "kind", "setting", "options"),
        [
            ("seed", VAE, {}, {"seed": 1}),
            ("batch_size", VAE, {}, {"batch_size": 5}),
            ("model", BetaVAE, {}, {}),
            ("config", VAE, {"learning_rate": 1e-4}, {}),
            ("config", VAE, {"latent_dim": 4}, {}),
            ("images", VAE, {}, {"images": 1 - pictures()}),
            ("images", VAE, {}, {"images": image_set()}),
            ("precision", VAE, {}, {"precision": "bfloat16"}),
        ],
    )
    def test_another_run_is_refused_and_the_field_named(self, tmp_path, field, kind, setting, options):
        path = tmp_path / "c.safetensors"
        run(build(), checkpoint=path)
        content, model = path.read_bytes(), build(kind, seed=8, **setting)
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(ValueError, match=f"belongs to another run: its {field} is ") as caught:
            run(model, checkpoint=path, **{"steps": 9, **options})
        assert str(path) in str(caught.value)
        assert path.read_bytes() == content
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def test_a_start_beyond_the_end_is_refused(self, tmp_path):
        path, model = tmp_path / "c.safetensors", build(seed=8)
        run(build(), checkpoint=path)
        before = copy.deepcopy(model.state_dict())
        with pytest.raises(ValueError, match=r"c\.safetensors is at step 6, beyond the 5 steps asked for"):
            run(model, steps=5, checkpoint=path)
        assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())

    def test_other_files_are_refused(self, tmp_path):
        path = tmp_path / "c.safetensors"
        build().save(path)
        with pytest.raises(ValueError, match=r"c\.safetensors is of the format 'medlatent\.model', expected"):
            run(build(), checkpoint=path)
        save_file({"x": torch.zeros(1)}, path, {"format": "medlatent.checkpoint", "version": "0"})
        with pytest.raises(ValueError, match=r"c\.safetensors has version 0 of medlatent\.checkpoint"):
            run(build(), checkpoint=path)
        path.write_text("not a checkpoint")
        with pytest.raises(ValueError, match=r"c\.safetensors is damaged"):
            run(build(), checkpoint=path)

    def test_a_truncated_checkpoint_is_refused(self, tmp_path):
        path = tmp_path / "c.safetensors"
        run(build(), checkpoint=path)
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(ValueError, match=r"c\.safetensors is damaged"):
            run(build(), steps=9, checkpoint=path)

    def test_a_failure_while_writing_leaves_the_old_checkpoint(self, tmp_path, monkeypatch):
        path = tmp_path / "c.safetensors"
        run(build(), checkpoint=path)
        content = path.read_bytes()

        def full_disk(tensors, name, metadata):
            name.write_bytes(b"half a file")
            raise OSError("No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr("medlatent.files.tensors.save_file", full_disk)
            with pytest.raises(OSError, match="No space left"):
                run(build(), steps=9, checkpoint=path, checkpoint_every=2)
        assert path.read_bytes() == content
        assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]
        whole, resumed = build(), build()
        run(whole, steps=9)
        run(resumed, steps=9, checkpoint=path)
        assert_bitwise_equal(whole, resumed)
