"""The one training loop: batches drawn on the device, progress, checkpoints, exact resumption, and a stop on NaN."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from .data import ImageSet
from .files import read_tensors, save_tensors
from .models import LatentModel

FORMAT = "medlatent.checkpoint"
VERSION = 1
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
    """

    terms: tuple[str, ...]
    values: np.ndarray
    seconds: float
    device: str = ""

    def __getitem__(self, term: str) -> np.ndarray:
        """One term at every step, ``(steps,)``."""
        if term not in self.terms:
            raise KeyError(f"no term {term!r} in the history; it has {', '.join(self.terms)}")
        return self.values[:, self.terms.index(term)]

    def __len__(self) -> int:
        return len(self.values)

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
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {device!r} cannot be used here: {str(error).splitlines()[0]}") from None


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
    """The images of a data set on the device, and the batch of any step.

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
        self.batch_size, self.seed, self.device = batch_size, seed, device
        self.memory_format = memory_format
        self.per_epoch = len(images) // batch_size
        self.epoch, self.order = -1, torch.empty(0)

    def __getitem__(self, step: int) -> Tensor:
        """The batch of a step, ``(batch_size, C, H, W)``, float32 in [0, 1]."""
        epoch, position = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            generator = torch.Generator().manual_seed((self.seed * 1_000_003 + epoch) % 2**63)
            self.epoch = epoch
            self.order = torch.randperm(len(self.stored), generator=generator).to(self.stored.device)
        chosen = self.order[position * self.batch_size : (position + 1) * self.batch_size]
        batch = self.stored[chosen].to(self.device, non_blocking=True)
        return self.to_unit(batch).contiguous(memory_format=self.memory_format)


def _check_unit_images(images: Tensor) -> None:
    if images.ndim != 4 or not images.is_floating_point():
        raise ValueError(f"images: expected a float tensor (N, C, H, W), got {tuple(images.shape)} {images.dtype}")
    # The comparison is false for NaN, too.
    wrong = ~((images >= 0) & (images <= 1)).flatten(1).all(1)
    if wrong.any():
        raise ValueError(f"images: image {int(wrong.nonzero()[0])} holds a value that is NaN or outside [0, 1]")


def train(
    model: LatentModel,
    images: ImageSet | Tensor,
    steps: int,
    *,
    batch_size: int = 64,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    progress: bool = True,
    checkpoint: str | os.PathLike | None = None,
    checkpoint_every: int = 1000,
    resume: bool = True,
) -> History:
    """Trains a model in place for ``steps`` calls of its ``update``.

    Afterwards it is in evaluation mode, on the device where it was before.

    Args:
        model: anything that keeps the protocol of :class:`medlatent.models.LatentModel`.
        images: an ``ImageSet`` (pass the training split), or a float tensor ``(N, C, H, W)`` in [0, 1].
        steps: how many updates in all, those before a resumption included.
        batch_size: images an update.
        seed: of the batches and of the noise; the weights' own seed is set where the model is built. PyTorch's global
            generators are seeded with it.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, …
        precision: ``"auto"``, ``"float32"`` or ``"bfloat16"`` (autocast: weights and losses stay in float32).
        progress: show a bar with the terms of the loss.
        checkpoint: a file that holds everything needed to go on; written every ``checkpoint_every`` steps and at the
            end.
        checkpoint_every: in steps.
        resume: if ``checkpoint`` is there, go on from it. On the same device, with the same number of threads, the
            result is bit for bit that of a run that was never interrupted.

    Returns:
        The terms of the loss at every step.

    Raises:
        ValueError: an argument is out of its range, the images hold a NaN, the model was loaded without a network that
            training needs, or the checkpoint belongs to another run; the message names the argument or field.
        FloatingPointError: a term of the loss became NaN or infinite; the message names the term and the step. The
            checkpoint then still holds the last good state.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    if model.left_out:
        missing = ", ".join(model.left_out)
        raise ValueError(f"model: it was loaded without its {missing}, and draws but cannot be trained")
    if checkpoint_every < 1:
        raise ValueError(f"checkpoint_every must be at least 1, got {checkpoint_every}")
    expected = tuple(model.config[key] for key in ("channels", "size", "size"))
    if (shape := tuple(images.images.shape if isinstance(images, ImageSet) else images.shape)[1:]) != expected:
        raise ValueError(f"images: they are {_by(shape)}, the model was built for {_by(expected)}")
    before, where = model.device, choose_device(device)
    model.to(where, memory_format=model.memory_format)
    _align_moments(model)
    model.precision = choose_precision(precision, where)
    batches = Batches(images, batch_size, seed, where, model.memory_format)
    model.prepare(len(images))
    torch.manual_seed(seed)

    run = {
        "model": type(model).__name__,
        "config": model.config,
        "batch_size": batch_size,
        "seed": seed,
        "device": where.type,
        "precision": str(model.precision).removeprefix("torch."),
        "images": _fingerprint(images) if checkpoint else "",
    }
    start, terms, values, seconds = 0, (), np.empty((0, 0), np.float32), 0.0
    if checkpoint and resume and Path(checkpoint).exists():
        start, terms, values, seconds = _read_checkpoint(checkpoint, model, run, steps)
    look = STEPS_PER_LOOK.get(where.type, 1)
    rows = list(values)  # each step's terms, on the CPU
    unseen: list[Tensor] = []  # each step's terms, still on the device
    began = time.perf_counter() - seconds

    model.train()
    bar = tqdm(range(start, steps), initial=start, total=steps, disable=not progress, mininterval=0.5, unit="step")
    for step in bar:
        named = model.update(batches[step])
        terms = tuple(named)
        unseen.append(torch.stack(list(named.values())))
        due = checkpoint is not None and (step + 1) % checkpoint_every == 0
        if len(unseen) == look or due or step + 1 == steps:
            seen = torch.stack(unseen).float().cpu().numpy()
            _stop_if_not_finite(terms, seen, first=step + 1 - len(seen))
            if due or step + 1 == steps:
                _stop_if_weights_not_finite(model, step)
            rows.extend(seen)
            unseen.clear()
            bar.set_postfix_str(", ".join(f"{t} {v:.4g}" for t, v in zip(terms, seen[-1], strict=True)), refresh=False)
        if due:
            _write_checkpoint(checkpoint, model, run, step + 1, terms, rows, time.perf_counter() - began)
    history = History(terms, np.asarray(rows, np.float32), time.perf_counter() - began, where.type)
    if checkpoint and start < steps and steps % checkpoint_every:
        _write_checkpoint(checkpoint, model, run, steps, terms, rows, history.seconds)
    model.to(before).eval()
    return history


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


def _write_checkpoint(
    path: str | os.PathLike, model: LatentModel, run: Mapping, step: int, terms: tuple, rows: list, seconds: float
) -> None:
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    groups = {}
    for name, optimiser in model.optimisers().items():
        state = optimiser.state_dict()
        groups[name] = state["param_groups"]
        for index, values in state["state"].items():
            tensors |= {f"optimiser.{name}.{index}.{key}": value for key, value in values.items()}
    tensors["random.cpu"] = torch.get_rng_state()
    if model.device.type == "cuda":
        tensors["random.cuda"] = torch.cuda.get_rng_state(model.device)
    tensors["history"] = torch.from_numpy(np.asarray(rows, np.float32))
    save_tensors(path, tensors, FORMAT, VERSION, run=run, step=step, terms=terms, seconds=seconds, optimisers=groups)


def _align_moments(model: LatentModel) -> None:
    # A fused Adam walks weights and moments in memory order: they must agree, and lie on one device.
    for optimiser in model.optimisers().values():
        optimiser.load_state_dict(optimiser.state_dict())  # moves them to the weights' device
        for weight, state in optimiser.state.items():
            for key, value in state.items():
                if value.shape == weight.shape:
                    state[key] = torch.empty_like(weight).copy_(value)


def _read_checkpoint(path: str | os.PathLike, model: LatentModel, run: Mapping, steps: int) -> tuple:
    tensors, header = read_tensors(path, FORMAT, VERSION)
    was = header["run"]
    for field, value in json.loads(json.dumps(run)).items():
        if was.get(field) != value:
            raise ValueError(
                f"{path} belongs to another run: its {field} is {was.get(field)!r}, here it is {value!r}; "
                "choose another checkpoint file, or pass resume=False"
            )
    if header["step"] > steps:
        raise ValueError(f"{path} is at step {header['step']}, beyond the {steps} steps asked for")
    weights, states = {}, {name: {} for name in header["optimisers"]}
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            weights[rest] = value
        elif kind == "optimiser":
            which, index, key = rest.rsplit(".", 2)
            states[which].setdefault(int(index), {})[key] = value
    model.load_state_dict(weights)
    for name, optimiser in model.optimisers().items():
        optimiser.load_state_dict({"state": states[name], "param_groups": header["optimisers"][name]})
    _align_moments(model)
    torch.set_rng_state(tensors["random.cpu"])
    if model.device.type == "cuda":
        torch.cuda.set_rng_state(tensors["random.cuda"], model.device)
    return header["step"], tuple(header["terms"]), tensors["history"].numpy(), header["seconds"]
