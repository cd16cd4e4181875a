"""Whatever ends a training, the model is left as it was found, and with a checkpoint nothing is lost."""

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from medlatent.models import GAN, VAE, LatentModel
from medlatent.training import History, train

SMALL = {"latent_dim": 3, "channels": 1, "size": 16, "learning_rate": 1e-3}
SIGNALS = [signal.SIGINT, signal.SIGTERM]


def build(seed: int = 0) -> VAE:
    torch.manual_seed(seed)
    return VAE(**SMALL)


def pictures() -> torch.Tensor:
    return torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(11))


def run(model: LatentModel, steps: int = 6, **options) -> History:
    defaults = {"batch_size": 4, "device": "cpu", "precision": "float32", "progress": False}
    return train(model, pictures(), steps, **{**defaults, **options})


def doing(model: LatentModel, at: int, action) -> LatentModel:
    """The model, whose update does something at a step before it does its work."""
    update, calls = model.update, iter(range(10**6))

    def acting(images):
        if next(calls) == at:
            action()
        return update(images)

    model.update = acting
    return model


def send(number: int):
    return lambda: os.kill(os.getpid(), number)


def assert_equal(a: LatentModel, b: LatentModel) -> None:
    for (name, x), y in zip(a.state_dict().items(), b.state_dict().values(), strict=True):
        assert torch.equal(x, y), name


@pytest.fixture(autouse=True)
def handlers():
    """No test changes who takes the signals."""
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before


def fail():
    raise RuntimeError("the disk is gone")


class TestLeftAsFound:
    ENDS = (
        ("well", None, contextlib.nullcontext()),
        ("an error", fail, pytest.raises(RuntimeError, match="the disk is gone")),
        ("Ctrl-C", send(signal.SIGINT), pytest.raises(KeyboardInterrupt)),
        ("SIGTERM", send(signal.SIGTERM), pytest.raises(KeyboardInterrupt)),
    )

    @pytest.mark.parametrize("training", [True, False])
    @pytest.mark.parametrize(("action", "end"), [(action, end) for _, action, end in ENDS], ids=[e[0] for e in ENDS])
    def test_the_mode_of_every_part_the_precision_and_the_device(self, action, end, training):
        torch.manual_seed(0)
        model = GAN(latent_dim=2, channels=1, size=16, width=2).train(training)
        odd = model.generator[1]
        odd.train(not training)  # somebody's own choice for one part
        before = {name: part.training for name, part in model.named_modules()}
        assert len(set(before.values())) == 2
        within = []
        doing(model, 2, lambda: (within.append((model.training, model.precision)), action and action()))
        with end:
            run(model, 5, precision="bfloat16")
        assert within == [(True, torch.bfloat16)]
        assert {name: part.training for name, part in model.named_modules()} == before
        assert model.precision == torch.float32
        assert model.device == torch.device("cpu")

    def test_what_is_refused_before_the_first_step(self, tmp_path):
        model = build().train()
        model.decoder.eval()
        (tmp_path / "c").write_text("no checkpoint")
        with pytest.raises(ValueError, match="damaged"):
            run(model, checkpoint=tmp_path / "c", precision="bfloat16")
        assert (model.training, model.decoder.training, model.precision) == (True, False, torch.float32)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    @pytest.mark.parametrize(("action", "end"), [(action, end) for _, action, end in ENDS], ids=[e[0] for e in ENDS])
    def test_a_model_of_the_cpu_comes_back_from_a_gpu_with_its_moments(self, action, end):
        model = doing(build(), 2, action or (lambda: None))
        with end:
            run(model, 4, device="cuda")
        moments = [v for state in model.optimiser.state.values() for v in state.values()]
        assert {t.device.type for t in [*model.state_dict().values(), *moments]} == {"cpu"}
        model.update(pictures()[:4])  # goes on here, by hand


@pytest.mark.parametrize("number", SIGNALS)
class TestStopped:
    def test_after_the_step_under_way_and_the_state_is_kept(self, tmp_path, number):
        path, model = tmp_path / "c", doing(build(), 2, send(number))
        message = rf"^stopped after step 3 of 6; .*{path.name} holds it, and the same call goes on from there$"
        with pytest.raises(KeyboardInterrupt, match=message):
            run(model, checkpoint=path)
        assert len(load_file(path)["history"]) == 3
        whole, resumed = build(), build(seed=9)
        expected, history = run(whole), run(resumed, checkpoint=path)
        assert_equal(whole, resumed)
        np.testing.assert_array_equal(history.values, expected.values)

    def test_without_a_checkpoint_the_model_has_its_steps(self, number):
        model, whole = doing(build(), 2, send(number)), build()
        with pytest.raises(KeyboardInterrupt, match=r"^stopped after step 3 of 6$"):
            run(model)
        run(whole, 3)
        assert_equal(model, whole)

    def test_in_the_last_step_it_is_not_swallowed(self, tmp_path, number):
        path, whole = tmp_path / "c", build()
        with pytest.raises(KeyboardInterrupt, match="stopped after step 6 of 6"):
            run(doing(build(), 5, send(number)), checkpoint=path)
        run(whole)
        resumed = build(seed=9)
        assert len(run(resumed, checkpoint=path)) == 6
        assert_equal(whole, resumed)

    def test_while_it_measures_the_next_step_is_kept(self, tmp_path, number):
        path = tmp_path / "c"
        with pytest.raises(KeyboardInterrupt, match=r"stopped after step 4 of 6; .* holds it"):
            run(build(), checkpoint=path, measure=lambda model: send(number)() or {"one": 1}, measure_at=[3])
        kept = load_file(path)
        assert len(kept["history"]) == 4

    def test_a_second_one_ends_it_at_once(self, tmp_path, number):
        path = tmp_path / "c"

        def twice():
            send(number)()
            send(number)()
            pytest.fail("it went on")

        with pytest.raises(KeyboardInterrupt):
            run(doing(build(), 4, twice), checkpoint=path, checkpoint_every=2)
        assert len(load_file(path)["history"]) == 4  # what was kept before is whole
        assert [p.name for p in tmp_path.iterdir()] == ["c"]

    def test_what_is_ignored_stays_ignored(self, number):
        before = signal.signal(number, signal.SIG_IGN)  # as nohup does
        try:
            assert len(run(doing(build(), 2, send(number)))) == 6
            assert signal.getsignal(number) == signal.SIG_IGN
        finally:
            signal.signal(number, before)


def test_in_another_thread_it_trains_too():
    found = []
    thread = threading.Thread(target=lambda: found.append(run(build())))
    thread.start()
    thread.join()
    assert len(found[0]) == 6


class TestReport:
    def test_is_told_of_the_steps(self, monkeypatch):
        told = []
        run(doing(build(), 3, lambda: time.sleep(1.1)), report=told.append)
        assert told == [1, 4]

    def test_an_interrupt_out_of_it_stops_the_run_like_ctrl_c(self, tmp_path):
        def report(step):
            raise KeyboardInterrupt

        path = tmp_path / "c"
        with pytest.raises(KeyboardInterrupt, match=r"stopped after step 1 of 6; .* holds it"):
            run(build(), checkpoint=path, report=report)
        whole, resumed = build(), build(seed=9)
        run(whole)
        run(resumed, checkpoint=path)
        assert_equal(whole, resumed)

    def test_another_error_is_passed_on(self):
        with pytest.raises(ZeroDivisionError):
            run(build(), report=lambda step: 1 / 0)


@pytest.mark.executes
@pytest.mark.parametrize("number", SIGNALS)
def test_a_process_interrupted_before_its_first_checkpoint_loses_nothing(tmp_path, number):
    path, script = tmp_path / "c", tmp_path / "run.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import time, torch
            from medlatent.models import VAE
            from medlatent.training import train

            torch.set_num_threads({torch.get_num_threads()})
            torch.manual_seed(0)
            model = VAE(**{SMALL})
            images = torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(11))
            update, calls = model.update, []

            def slowly(batch):
                calls.append(1)
                if len(calls) == 3:
                    print("at work", flush=True)
                time.sleep(0.05)
                return update(batch)

            model.update = slowly
            try:
                train(model, images, 10_000, batch_size=4, device="cpu", precision="float32", progress=False,
                      checkpoint={str(path)!r})
            except KeyboardInterrupt as stopped:
                print(stopped, model.training)
            """
        )
    )
    process = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "at work\n"
    assert not path.exists()
    process.send_signal(number)
    said, _ = process.communicate(timeout=60)
    reached = len(load_file(path)["history"])
    assert f"stopped after step {reached} of 10000; {path} holds it" in said
    assert said.endswith("True\n")  # the mode it was built in
    whole, resumed = build(), build(seed=9)
    # Of the checkpoint's run all is the same but the number of steps, which is no part of it.
    expected, history = run(whole, reached + 4), run(resumed, reached + 4, checkpoint=path)
    assert_equal(whole, resumed)
    np.testing.assert_array_equal(history.values, expected.values)
