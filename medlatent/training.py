"""The one training loop: batches drawn on the device, progress, checkpoints, exact resumption, and a stop on NaN."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from tqdm import tqdm

from .capture import Captured
from .data import ImageSet
from .files import check_saveable, check_writable, plain, read_tensors, save_tensors
from .models import LatentModel, measured
from .options import whole, whole_options

FORMAT = "medlatent.checkpoint"
VERSION = 2
HEADER = {"run": dict, "step": int, "terms": list, "seconds": float, "optimisers": dict, "measures": list}
# How many steps pass between two looks at the terms of the loss: each look makes a GPU wait for the CPU.
STEPS_PER_LOOK = {"cpu": 1, "cuda": 50, "mps": 20}


@dataclass(frozen=True)
class History:
    """The terms of the loss at every step of a run.

    Attributes:
        terms: their names.
        values: ``(steps, terms)``, float32.
        seconds: the time spent in the loop, resumed runs added up.
        device: where it ran, ``"cpu"``, ``"cuda"``, …
        precision: ``"float32"`` or ``"bfloat16"``.
        measures: what was measured along the way, in the order of the steps: ``step``, and each number by its name.
    """

    terms: tuple[str, ...]
    values: np.ndarray
    seconds: float
    device: str = ""
    precision: str = "float32"
    measures: tuple[dict[str, float], ...] = ()

    def __getitem__(self, term: str) -> np.ndarray:
        """One term at every step, ``(steps,)``."""
        if term not in self.terms:
            raise KeyError(f"no term {term!r} in the history; it has {', '.join(self.terms)}")
        return self.values[:, self.terms.index(term)]

    def __len__(self) -> int:
        return len(self.values)

    @whole_options()
    def mean(self, last: int = 100) -> dict[str, float]:
        """The mean of each term over the last steps."""
        return dict(zip(self.terms, self.values[-last:].mean(0).tolist(), strict=True))


def choose_device(device: str = "auto") -> torch.device:
    """``"auto"`` is the GPU where there is one, else the CPU.

    Raises:
        ValueError: the named device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        found = torch.empty(0, device=device)
        found.cpu()  # what holds no numbers, as "meta", cannot be read
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from None
    return found.device


def choose_precision(precision: str, device: torch.device) -> torch.dtype:
    """``"auto"`` is bfloat16 where the processor multiplies in it, else float32.

    On other processors bfloat16 is emulated and slower than float32.

    Raises:
        ValueError: the precision is unknown.
    """
    known = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if precision == "auto":
        fast = {
            "cuda": lambda: torch.cuda.is_bf16_supported(including_emulation=False),
            "cpu": lambda: torch.cpu._is_amx_tile_supported(),
        }.get(device.type, lambda: False)
        return torch.bfloat16 if fast() else torch.float32
    if precision not in known:
        raise ValueError(f"precision {precision!r} is unknown: use auto, {' or '.join(known)}")
    return known[precision]


class Batches:
    """The images of a data set on the device with the columns that go with them, and the batch of any step.

    Each epoch is a new permutation that depends on the seed and the epoch's number alone; the last, incomplete batch of
    an epoch is dropped. The batch of step 7 031 can thus be drawn without the 7 030 before it, which makes resuming
    exact.

    Args:
        images: an ``ImageSet``, or a float tensor ``(N, C, H, W)`` in [0, 1].
        batch_size: images a batch.
        seed: of the permutations.
        device: where the batches are wanted. The whole set is kept there if it takes up less than half of the free
            memory of a GPU, else in the CPU's memory.
        memory_format: of the batches.
        columns: tensors by name, N values each, row by row with the images.

    Raises:
        ValueError: there are fewer images than ``batch_size``, or a value that is no number in [0, 1].
    """

    def __init__(
        self,
        images: ImageSet | Tensor,
        batch_size: int,
        seed: int,
        device: torch.device,
        memory_format: torch.memory_format = torch.channels_last,
        columns: Mapping[str, Tensor] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if len(images) < batch_size:
            raise ValueError(f"batch_size {batch_size} is larger than the data: {len(images)} images")
        if isinstance(images, Tensor):
            _check_unit_images(images)
            stored, self.to_unit = images.detach().float(), lambda batch: batch
        else:
            stored, self.to_unit = torch.from_numpy(np.array(images.images)), images.to_unit
        if device.type == "cuda" and stored.nbytes > torch.cuda.mem_get_info(device)[0] // 2:
            self.stored = stored.pin_memory()
        else:
            self.stored = stored.to(device)
        self.stored_columns = {name: column.to(self.stored.device) for name, column in (columns or {}).items()}
        self.batch_size, self.seed, self.device = batch_size, seed, device
        self.memory_format = memory_format
        self.per_epoch = len(images) // batch_size
        self.epoch, self.order = -1, torch.empty(0)

    def __getitem__(self, step: int) -> Tensor:
        """The images of a step, ``(batch_size, C, H, W)``, float32 in [0, 1]."""
        batch = self.stored[self._chosen(step)].to(self.device, non_blocking=True)
        return self.to_unit(batch).contiguous(memory_format=self.memory_format)

    def columns(self, step: int) -> dict[str, Tensor]:
        """The columns of the images of a step, ``(batch_size, ...)`` each, by name."""
        return {
            name: column[self._chosen(step)].to(self.device, non_blocking=True)
            for name, column in self.stored_columns.items()
        }

    def _chosen(self, step: int) -> Tensor:
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
            self.epoch = epoch
            self.order = torch.randperm(len(self.stored), generator=generator).to(self.stored.device)
        return self.order[position * self.batch_size : (position + 1) * self.batch_size]


def _check_unit_images(images: Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(f"images: expected a float tensor (N, C, H, W), got {tuple(images.shape)} {images.dtype}")
    # The comparison is false for NaN, too.
    wrong = ~((images >= 0) & (images <= 1)).flatten(1).all(1)
    if wrong.any():
        raise ValueError(f"images: image {int(wrong.nonzero()[0])} holds a value that is NaN or outside [0, 1]")


def columns_of(
    model: LatentModel, images: ImageSet | Tensor, given: Mapping[str, ArrayLike] | None
) -> dict[str, Tensor]:
    """The columns that a model asks for, row by row with the images: of an image set its factors, else those given.

    Raises:
        ValueError: a column is missing, has another number of rows, or a value that is missing or infinite; or columns
            are given that the model does not ask for, or beside an image set, which has its own.
    """
    if isinstance(images, ImageSet):
        if given:
            raise ValueError("columns: an image set brings its own; pass them with a plain tensor alone")
        return images.columns(model.columns) if model.columns else {}
    given = dict(given or {})
    if strange := [name for name in given if name not in model.columns]:
        asked = ", ".join(model.columns) or "none"
        raise ValueError(f"columns: {type(model).__name__} does not ask for {strange[0]!r}; it asks for {asked}")
    if missing := [name for name in model.columns if name not in given]:
        raise ValueError(f"columns: {type(model).__name__} asks for {missing[0]!r}, which is not given")
    columns = {}
    for name in model.columns:
        try:
            value = given[name] if isinstance(given[name], Tensor) else np.array(given[name])
            columns[name] = torch.as_tensor(value).detach()
        except (TypeError, ValueError, RuntimeError) as error:
            raise ValueError(f"columns: {name!r} is no tensor and no array of numbers: {error}") from None
    for name, column in columns.items():
        if column.ndim < 1 or len(column) != len(images):
            raise ValueError(f"columns: {name!r} has the shape {tuple(column.shape)} for {len(images)} images")
        if column.is_floating_point():
            columns[name] = column = column.float()
            if not (finite := column.isfinite().flatten(1).all(1) if column.ndim > 1 else column.isfinite()).all():
                raise ValueError(f"columns: {name!r} is NaN or infinite in row {int((~finite).nonzero()[0])}")
        elif column.dtype.is_complex:
            raise ValueError(f"columns: {name!r} is complex")
        else:
            columns[name] = column.long()
    return columns


def train(
    model: LatentModel,
    images: ImageSet | Tensor,
    steps: int,
    *,
    columns: Mapping[str, ArrayLike] | None = None,
    batch_size: int = 64,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    progress: bool = True,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 1000,
    resume: bool = True,
    measure: Callable[[LatentModel], Mapping[str, float]] | None = None,
    measure_at: Sequence[int] = (),
    report: Callable[[int], None] | None = None,
) -> History:
    """Trains a model in place for ``steps`` calls of its ``update``.

    Whatever ends it, the model is left on the device, in the precision and in the mode in which it was found. Ctrl-C,
    or SIGTERM in the main thread, ends it after the step that is under way; with ``checkpoint`` the state is kept, and
    the same call goes on from there. A second Ctrl-C ends it at once.

    Args:
        model: anything that keeps the protocol of :class:`medlatent.models.LatentModel`.
        images: an ``ImageSet`` (pass the training split), or a float tensor ``(N, C, H, W)`` in [0, 1].
        steps: how many updates in all, those before a resumption included.
        columns: where ``images`` is a tensor, of each of the model's ``columns`` its N values. An image set brings its
            own: the factors of those names.
        batch_size: images an update.
        seed: of the batches and of the noise; the weights' own seed is set where the model is built. PyTorch's global
            generators are seeded with it.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, …
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"`` (autocast: weights and losses stay in float32).
        progress: show a bar with the terms of the loss.
        checkpoint: a file that holds everything needed to go on; written every ``checkpoint_every`` steps, at the end,
            and when the run is interrupted.
        checkpoint_every: in steps.
        resume: if ``checkpoint`` is there, go on from it. On the same device, with the same number of threads, the
            result is bit for bit that of a run that was never interrupted.
        measure: takes the model, in evaluation mode and 32 bits, and returns numbers by name. The random numbers of the
            training are not touched.
        measure_at: after which steps ``measure`` is called, ``steps`` at most.
        report: called with the number of steps done, about once a second; a ``KeyboardInterrupt`` out of it stops the
            run like Ctrl-C.

    Returns:
        The terms of the loss at every step, and what was measured.

    Raises:
        ValueError: an argument is out of its range, the images hold a NaN, a column that the model asks for is missing
            or has a gap, the model was loaded without a network that training needs or names one as frozen that it has
            not, or the checkpoint is damaged or belongs to another run; the message names the argument or field. All of
            it is found before the first step, and no weight is touched. Or ``update`` returns no named scalars,
            or other terms than before.
        OSError: the checkpoint cannot be written where it is to lie; found before the first step, too.
        FloatingPointError: a term of the loss became NaN or infinite; the message names the term and the step. The
            checkpoint then still holds the last good state.
        KeyboardInterrupt: the run was stopped; the message says after which step, and where its state is kept.
    """
    steps, batch_size, seed = whole("steps", steps, 1), whole("batch_size", batch_size, 1), whole("seed", seed)
    checkpoint_every = whole("checkpoint_every", checkpoint_every, 1)
    measure_at = sorted({whole("measure_at", step, 1) for step in measure_at}) if measure else []
    if beyond := [step for step in measure_at if step > steps]:
        raise ValueError(f"measure_at: step {beyond[0]} is beyond the {steps} steps asked for")
    if model.left_out:
        missing = ", ".join(model.left_out)
        raise ValueError(f"model: it was loaded without its {missing}, and draws but cannot be trained")
    model.check_networks(model.frozen, "frozen")
    if (shape := tuple(images.images.shape if isinstance(images, ImageSet) else images.shape)[1:]) != model.image_shape:
        raise ValueError(f"images: they are {_by(shape)}, the model was built for {_by(model.image_shape)}")
    columns = columns_of(model, images, columns)
    where = choose_device(device)
    chosen = choose_precision(precision, where)
    run: dict[str, Any] = {
        "model": type(model).__name__,
        "config": model.config,
        "batch_size": batch_size,
        "seed": seed,
        "device": where.type,
        "precision": str(chosen).removeprefix("torch."),
        "images": _fingerprint(images) if checkpoint is not None else "",
        "columns": _fingerprint_of_columns(columns),
    }

    with _left_as_found(model), _stopping() as stopping:
        # PyTorch describes memory_format, and has left it out of the annotations.
        model.to(where, memory_format=model.memory_format)  # type: ignore[call-overload]
        _align_moments(model)
        model.precision = chosen
        batches = Batches(images, batch_size, seed, where, model.memory_format, columns)
        factors = {name: images.factors[name] for name in columns} if isinstance(images, ImageSet) else {}
        model.prepare(len(images), factors)
        run["config"] = plain(model.config)
        if checkpoint is not None:
            check_saveable(model.state_dict())
            check_writable(checkpoint)
        torch.manual_seed(seed)

        state = _State()
        if checkpoint is not None and resume and Path(checkpoint).exists():
            state = _read_checkpoint(checkpoint, model, run, steps, measure_at)
        look = STEPS_PER_LOOK.get(where.type, 1)
        unseen: list[Tensor] = []  # each step's terms, still on the device
        began, reported = time.perf_counter() - state.seconds, 0.0

        model.train()
        update = Captured(model) if where.type == "cuda" and model.capturable else model.update
        bar = tqdm(
            range(state.step, steps),
            initial=state.step,
            total=steps,
            disable=not progress,
            mininterval=0.5,
            unit="step",
        )
        for step in bar:
            named = update(batches[step], **batches.columns(step))
            _check_terms(named, state.terms)
            state.terms = tuple(named)
            unseen.append(torch.stack(list(named.values())))
            if report is not None and time.perf_counter() - reported >= 1:
                reported = time.perf_counter()
                try:
                    report(step + 1)
                except KeyboardInterrupt:  # how a cluster says it
                    stopping.set()
            stopped = stopping.is_set()  # asked once: what comes later ends the next step
            last = step + 1 == steps or stopped
            measuring = measure if step + 1 in measure_at else None
            save_to = checkpoint if (step + 1) % checkpoint_every == 0 or last else None
            taken = last or measuring is not None or save_to is not None  # somebody takes the weights as they are now
            if len(unseen) == look or taken:
                seen = torch.stack(unseen).float().cpu().numpy()
                _stop_if_not_finite(state.terms, seen, first=step + 1 - len(seen))
                if taken:
                    _stop_if_weights_not_finite(model, step)
                state.rows.extend(seen)
                unseen.clear()
                latest = zip(state.terms, seen[-1], strict=True)
                bar.set_postfix_str(", ".join(f"{term} {value:.4g}" for term, value in latest), refresh=False)
                state.step, state.seconds = step + 1, time.perf_counter() - began
            if measuring is not None:
                began += _measure(model, measuring, state)
            if save_to is not None:
                _write_checkpoint(save_to, model, run, state)
            if stopped:
                break
        bar.close()
        if stopping.is_set():  # in the last step, too: whoever asked wants more to end than this run
            kept = f"; {checkpoint} holds it, and the same call goes on from there" if checkpoint is not None else ""
            raise KeyboardInterrupt(f"stopped after step {state.step} of {steps}{kept}")
    return History(
        state.terms,
        np.asarray(state.rows, np.float32),
        state.seconds,
        where.type,
        run["precision"],
        tuple(state.measures),
    )


@dataclass
class _State:
    """What a run has come to: the loop's own part of a checkpoint."""

    step: int = 0
    terms: tuple[str, ...] = ()
    rows: list[np.ndarray] = field(default_factory=list)  # each step's terms, on the CPU
    measures: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0


@contextmanager
def _left_as_found(model: LatentModel) -> Iterator[None]:
    device, precision = model.device, model.precision
    modes = [(part, part.training) for part in model.modules()]
    try:
        yield
    finally:
        model.to(device)
        _align_moments(model)
        model.precision = precision
        for part, training in modes:
            part.training = training


@contextmanager
def _stopping() -> Iterator[threading.Event]:
    """Set by the first Ctrl-C or SIGTERM, so that the step under way is finished; the second interrupts at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked  # signals reach the main thread alone
        return

    def ask(number: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    # What ignores a signal, as nohup does, goes on ignoring it.
    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) not in (signal.SIG_IGN, None)]
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _measure(model: LatentModel, measure: Callable, state: _State) -> float:
    """Adds a row to the measures, and returns the seconds that it took, which are no training."""
    began = time.perf_counter()
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices), measured(model):
        numbers = {name: float(value) for name, value in measure(model).items()}
    if wrong := [name for name, value in numbers.items() if not math.isfinite(value)]:
        raise FloatingPointError(f"step {state.step}: the measure {wrong[0]!r} is {numbers[wrong[0]]}")
    state.measures.append({"step": state.step, **numbers})
    return time.perf_counter() - began


def _check_terms(named: Mapping[str, Tensor], before: tuple[str, ...]) -> None:
    for name, value in named.items():
        if not isinstance(value, Tensor) or value.ndim or value.requires_grad:
            raise ValueError(f"update: its term {name!r} must be a detached tensor without dimensions, got {value!r}")
    if not named:
        raise ValueError("update: it returned no term of the loss")
    if before and tuple(named) != before:
        raise ValueError(f"update: it returned the terms {', '.join(named)}; before they were {', '.join(before)}")


def _by(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))


def _stop_if_not_finite(terms: tuple[str, ...], values: np.ndarray, first: int) -> None:
    wrong = np.argwhere(~np.isfinite(values))
    if len(wrong):
        # The loss is the sum of the others: name the term that broke it where there is one.
        row = wrong[0][0]
        column = max(c for r, c in wrong if r == row)
        raise FloatingPointError(
            f"step {first + row}: the term {terms[column]!r} is {values[row, column]}; "
            "lower the learning rate, or look at the images of this batch"
        )


def _stop_if_weights_not_finite(model: LatentModel, step: int) -> None:
    # The terms of a step belong to the weights before it: its gradient may have broken them after all.
    for name, weight in model.named_parameters():
        if not weight.isfinite().all():
            raise FloatingPointError(
                f"step {step}: the weight {name!r} became NaN or infinite; lower the learning rate"
            )


def _fingerprint(images: ImageSet | Tensor) -> str:
    if isinstance(images, ImageSet):
        return images.fingerprint
    table = np.ascontiguousarray(images.detach().float().cpu().numpy())
    return hashlib.sha256(table.data).hexdigest()


def _fingerprint_of_columns(columns: Mapping[str, Tensor]) -> str:
    """SHA-256 of names and values; empty where there is no column."""
    digest = hashlib.sha256()
    for name, column in columns.items():
        digest.update(f"{name}:{column.dtype}:{tuple(column.shape)}".encode())
        digest.update(np.ascontiguousarray(column.cpu().numpy()).data)
    return digest.hexdigest() if columns else ""


def _write_checkpoint(path: str | os.PathLike, model: LatentModel, run: Mapping, state: _State) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    groups = {}
    for name, optimiser in model.optimisers().items():
        kept = optimiser.state_dict()
        groups[name] = kept["param_groups"]
        for index, values in kept["state"].items():
            tensors |= {f"optimiser.{name}.{index}.{key}": value for key, value in values.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if model.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(model.device)
    tensors["history"] = torch.from_numpy(np.asarray(state.rows, np.float32))
    header = {"step": state.step, "terms": state.terms, "seconds": state.seconds, "measures": state.measures}
    save_tensors(path, tensors, FORMAT, VERSION, run=run, optimisers=groups, **header)


def checkpointed(path: str | os.PathLike) -> int:
    """The step that a checkpoint is at.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no checkpoint, or damaged; the message names it.
    """
    return read_tensors(path, FORMAT, VERSION, HEADER)[1]["step"]


def _align_moments(model: LatentModel) -> None:
    # A fused Adam walks weights and moments in memory order: they must agree, and lie on one device.
    for optimiser in model.optimisers().values():
        optimiser.load_state_dict(optimiser.state_dict())  # moves them to the weights' device
        for weight, state in optimiser.state.items():
            for key, value in state.items():
                if value.shape == weight.shape:
                    state[key] = torch.empty_like(weight).copy_(value)


def _read_checkpoint(
    path: str | os.PathLike, model: LatentModel, run: Mapping, steps: int, measure_at: Sequence[int]
) -> _State:
    """Loads all that a run had come to; or, where anything does not fit, nothing."""
    tensors, header = read_tensors(path, FORMAT, VERSION, HEADER)
    was, step = header["run"], header["step"]
    for name, value in plain(run).items():
        if was.get(name) != value:
            raise ValueError(
                f"{path} belongs to another run: its {name} is {was.get(name)!r}, here it is {value!r}; "
                "choose another checkpoint file, or pass resume=False"
            )
    if step > steps:
        raise ValueError(f"{path} is at step {step}, beyond the {steps} steps asked for")
    try:
        weights, states = _fitting(tensors, header, model)
        measured_at = [row["step"] for row in header["measures"]]
        torch.set_rng_state(tensors["random.cpu"])
        if model.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], model.device)
    except (LookupError, TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{path} is damaged, or comes from other code ({type(error).__name__}: {error}): delete it and start anew"
        ) from None
    if missed := [at for at in measure_at if at <= step and at not in measured_at]:
        raise ValueError(
            f"measure_at: {path} is at step {step} and was not measured at step {missed[0]}; leave that one out, or "
            "pass resume=False"
        )
    model.load_state_dict(weights)
    for name, optimiser in model.optimisers().items():
        optimiser.load_state_dict({"state": states[name], "param_groups": header["optimisers"][name]})
    _align_moments(model)
    rows = list(tensors["history"].numpy())
    return _State(step, tuple(header["terms"]), rows, header["measures"], header["seconds"])


def _fitting(tensors: Mapping[str, Tensor], header: Mapping, model: LatentModel) -> tuple[dict, dict]:
    """The weights of a checkpoint and the states of its optimisers, once each was compared with the model's own."""
    optimisers, groups = model.optimisers(), header["optimisers"]
    if set(groups) != set(optimisers):
        raise ValueError(f"optimisers {', '.join(groups)}, expected {', '.join(optimisers)}")
    weights: dict[str, Tensor] = {}
    states: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in optimisers}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            weights[rest] = value
        elif kind == "optimiser":
            which, number, key = rest.rsplit(".", 2)
            states[which].setdefault(int(number), {})[key] = value
        elif name not in ("history", "random.cpu", "random.cuda"):
            raise ValueError(f"{name}, which is unknown")
    _compare("weight", weights, model.state_dict())
    for name, optimiser in optimisers.items():
        own = plain(optimiser.state_dict()["param_groups"])
        members = [[group["params"] for group in both] for both in (groups[name], own)]
        if _kinds(groups[name]) != _kinds(own) or members[0] != members[1]:
            raise ValueError(f"{name} has other groups of parameters, or other settings")
        trained = dict(enumerate(weight for group in optimiser.param_groups for weight in group["params"]))
        keys: dict[int, set] = {}
        for index, values in states[name].items():
            if keys.setdefault(trained[index].ndim, set(values)) != set(values):  # matrices may have other moments
                raise ValueError(f"{name}: parameter {index} has {', '.join(values)}")
            for key, value in values.items():
                if value.ndim and torch.broadcast_shapes(value.shape, trained[index].shape) != trained[index].shape:
                    raise ValueError(f"{name}: {key} of parameter {index} has the shape {tuple(value.shape)}")
    shape = (header["step"], len(header["terms"]))
    _compare("table", {"history": tensors["history"]}, {"history": torch.empty(shape)})
    if not all(isinstance(term, str) for term in header["terms"]):
        raise TypeError(f"terms {header['terms']}")
    if not all(isinstance(row, dict) and _kinds(row) == dict.fromkeys(row, "number") for row in header["measures"]):
        raise TypeError(f"measures {header['measures']}")
    return weights, states


def _compare(what: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    if different := found.keys() ^ wanted.keys():
        raise ValueError(f"a {what} {min(different)} too many or too few")
    for name, value in wanted.items():
        if (found[name].shape, found[name].dtype) != (value.shape, value.dtype):
            raise ValueError(f"the {what} {name} is {tuple(found[name].shape)}, {found[name].dtype}")


def _kinds(value: object) -> object:
    """A JSON value with the name of its type in the place of each number, truth value and text."""
    if isinstance(value, Mapping):
        return {key: _kinds(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_kinds(item) for item in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
