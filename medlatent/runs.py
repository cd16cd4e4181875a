"""Running a plan: what is missing is trained, evaluated and recorded; what is there is left alone."""

from __future__ import annotations

import datetime
import inspect
import json
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from .data import find_source, open_images
from .engines import Outcome, run_all
from .evaluation import evaluate, numbers_of, observe, suites_of
from .files import check_name, check_writable, claim, is_name, is_there, naming, plain, recover
from .models import LatentModel, load
from .nets import count_parameters
from .plans import Job, Plan
from .provenance import code_digest, surroundings, thin_history
from .records import Record, read_observed, results_folder, save_observed, save_weights, state_entry, with_left_out
from .training import checkpointed, choose_device, train

MEASURED_ON = 500  # images of the validation split, or of the test split where there is none, along the way


RECORD = "_record"  # how an argument ends whose value names a record, ``slug/name``, for the argument before the ending


def build(system: str, settings: Mapping[str, Any], seed: int, folder: str | Path | None = None) -> LatentModel:
    """A model by name, its weights drawn from a seed.

    Args:
        system: the name of its class.
        settings: its arguments. Where one is called ``generator_record`` and is ``slug/name``, the model of that record
            is passed as ``generator``, too; and so with any other name in the place of the generator's.
        seed: of its weights.
        folder: the results folder that records are looked up in; by default the project's.

    Raises:
        ValueError: there is no such model, or it has no such argument; the message lists those there are.
        FileNotFoundError: there is no such record, or it was recorded without its weights; the message says which
            command makes it.
    """
    if system not in LatentModel.registry:
        raise ValueError(f"unknown model {system!r}: choose one of {', '.join(LatentModel.registry)}")
    known = _arguments(LatentModel.registry[system])
    if unknown := [name for name in settings if name not in known]:
        raise ValueError(f"{system} has no argument {unknown[0]!r}; it has {', '.join(known)}")
    models = {name.removesuffix(RECORD): _recorded(name, value, folder) for name, value in _records(settings)}
    torch.manual_seed(seed)
    try:
        return LatentModel.registry[system](**{**settings, **models})
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{system} cannot be built with {dict(settings)}: {error}") from None


def _records(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The arguments that name records, and the records."""
    return [(name, value) for name, value in settings.items() if name.endswith(RECORD) and value]


def _recorded(argument: str, named: str, folder: str | Path | None) -> LatentModel:
    slug, _, name = str(named).partition("/")
    if not (is_name(slug) and is_name(name)):
        raise ValueError(f"{argument}: expected the name of a record, slug/name, got {named!r}")
    folder = results_folder() if folder is None else Path(folder)
    path = folder / slug / f"{name}.json"
    if not is_there(path):
        command = f"python -m medlatent run results/{slug}/plan.toml --only {name}"
        raise FileNotFoundError(f"{argument}: there is no record {named} in {folder}; `{command}` makes it")
    return Record.read(path).load_model(folder)


def in_order(jobs: Iterable[Job]) -> list[list[Job]]:
    """The jobs in groups: each after those whose records it needs; in a group in their own order.

    Raises:
        ValueError: some need each other.
    """
    left, groups = list(jobs), []
    while left:
        waiting = {f"{job.slug}/{job.name}" for job in left}
        group = [job for job in left if not any(value in waiting for _, value in _records(job.settings))]
        if not group:
            raise ValueError(f"{left[0].name}: the records that it needs need it in turn")
        groups.append(group)
        left = [job for job in left if job not in group]
    return groups


def perform(
    job: Job,
    report: Callable[[int], None] | None = None,
    *,
    checkpoints: str | Path = "_build/checkpoints",
    folder: str | Path | None = None,
    device: str = "auto",
    progress: bool = False,
    command: str | None = None,
) -> tuple[Record, dict[str, bytes]]:
    """Trains, evaluates and records one job, without writing the record.

    Interrupted, it leaves a checkpoint, from which the same call goes on.

    Args:
        job: of a plan.
        report: called with the number of steps done.
        checkpoints: the folder of unfinished runs.
        folder: the results folder that holds the records of models that this one needs; by default the project's.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, …
        progress: show the number of parameters, and the bar of the training.
        command: what the record says made it; by default the job's own.

    Returns:
        The record, and the contents of the files beside it: for :meth:`medlatent.records.Record.write`.

    Raises:
        ValueError: the job cannot be run as it is described; found before the first step, but for a loss that becomes
            infinite (``FloatingPointError``).
        FileNotFoundError: a record that it needs is not there.
    """
    check_name(job.name, "the name of the record")
    check_name(job.slug, "the name of the chapter")
    where = choose_device(device)
    images = open_images(job.source, job.n, job.data_seed)
    training = images.split(*job.split.split("+"))
    # What the run is judged on must be there before hours are spent on it.
    sets = {f"{job.source}/{job.judged_on}": state_entry(job.source, job.judged_on, job.n, job.data_seed)}
    described = find_source(job.source)
    if described and (other := described.stand_in):
        sets[f"{other.source}/test"] = state_entry(other.source, "test", other.n, other.seed)
    _, channels, *size = images.images.shape
    torch.set_num_threads(job.threads)
    shape = {"channels": channels, "size": size[0] if size[0] == size[1] else size}
    model = build(job.system, shape | job.settings, job.seed, folder)
    suites_of(model)
    if progress:
        print(f"{job.system}: {count_parameters(model):,} parameters", file=sys.stderr)
    made_with = {**surroundings(where), "code": code_digest(type(model))}  # the code may be edited in the meantime
    aside = "validation" if job.split == "train" and "validation" in set(images.table["split"]) else "test"
    looked_at = images.split(aside)
    looked_at = looked_at.subset(range(min(MEASURED_ON, len(looked_at))))
    for key, few in {f"{job.source}/{aside}": looked_at, **{key: held for key, (_, held) in sets.items()}}.items():
        if len(few) < 2:
            raise ValueError(f"{key}: one image is too few to measure the model on; take more images")
    history = train(
        model,
        training,
        job.steps,
        batch_size=job.batch_size,
        seed=job.seed,
        device=device,
        precision=job.precision,
        progress=progress,
        checkpoint=checkpoint_of(job, checkpoints),
        measure=lambda trained: evaluate(trained, looked_at),
        measure_at=job.measure_at,
        report=report,
    )

    # Numbers are computed as the check of the record will: from what is kept, on the CPU, in 32 bits.
    observed: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        weights, content = save_weights(model, job.name)
        path = Path(folder) / weights["file"]
        with naming(path):
            path.write_bytes(content)
        kept = load(path)
        seen = {key: observe(kept, test) for key, (_, test) in sets.items()}
        if job.keep == "observed":
            weights, (observed, content) = {}, save_observed(seen, job.name)
            path = Path(folder) / observed["file"]
            with naming(path):
                path.write_bytes(content)
            seen = read_observed(path)
    metrics = {
        key: entry | with_left_out(numbers_of(seen[key], test, kept.suites)) for key, (entry, test) in sets.items()
    }
    record = Record(
        slug=job.slug,
        name=job.name,
        model=job.system,
        config=kept.config,
        data={
            "source": job.source,
            "n": job.n,
            "seed": job.data_seed,
            "split": job.split,
            "images": len(training),
            "fingerprint": training.fingerprint,
            "columns": training.fingerprint_of(model.columns) if model.columns else "",
            "name": training.card.name,
            "licence": training.card.licence,
            "citation": training.card.citation,
        },
        run={
            "profile": job.profile,
            "steps": job.steps,
            "batch_size": job.batch_size,
            "seed": job.seed,
            "precision": history.precision,
            **made_with,
            "command": command or job.command(),
            "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "seconds": round(history.seconds, 1),
            "steps_per_second": round(job.steps / history.seconds, 2),
            "measured_on": f"{len(looked_at)} images of the {aside} split",
        },
        weights=weights,
        observed=observed,
        history=thin_history(history.terms, history.values),
        measures=list(history.measures),
        metrics=metrics,
    )
    file = (weights or observed)["file"]
    return record, {file: content}


def checkpoint_of(job: Job, folder: str | Path) -> Path:
    """Where a job's unfinished run is kept."""
    return Path(folder) / job.slug / f"{job.name}.checkpoint"


def write(job: Job, made: tuple[Record, dict[str, bytes]], folder: Path, checkpoints: Path, overwrite: bool) -> Path:
    """Writes what :func:`perform` made, and removes the checkpoint, which is needed no more.

    Raises:
        FileExistsError: there is such a record by now, and it is not to be replaced.
        OSError: the record cannot be written; the checkpoint is kept then.
    """
    record, contents = made
    path = record.write(folder, contents, overwrite)
    checkpoint_of(job, checkpoints).unlink(missing_ok=True)
    return path


def _sweep(job: Job, checkpoint: Path) -> None:
    """Removes the checkpoint of a run that is recorded, which a process left that was killed in between.

    One of a run that has not come to its end stays: it is of somebody who makes the record anew.
    """
    for words in recover(checkpoint.parent, checkpoint.name):
        print(words, file=sys.stderr)
    with suppress(OSError, ValueError):  # nothing there; somebody is at it; or it is no checkpoint
        if checkpointed(checkpoint) == job.steps:
            with claim(checkpoint):
                checkpoint.unlink()


@contextmanager
def alone(jobs: Iterable[Job], checkpoints: Path) -> Iterator[None]:
    """Keeps other processes of this kind from the same runs, which would write to the same checkpoints.

    Raises:
        OSError: another process is at one of them; the message names it.
    """
    with ExitStack() as stack:
        for job in jobs:
            checkpoint = checkpoint_of(job, checkpoints)
            check_writable(checkpoint)
            stack.enter_context(claim(checkpoint))
        yield


def differences(record: Record, job: Job) -> list[str]:
    """In what a record does not say what a plan says of its job, in words."""
    defaults = _arguments(LatentModel.registry[job.system])
    follow = ("channels", "size", *(name for name, value in defaults.items() if value is None))  # from the data
    arguments = {n: v for n, v in defaults.items() if n in record.config and n not in follow} | job.settings
    said = {
        "model": (record.model, job.system),
        "source": (record.data["source"], job.source),
        "images": (record.data["n"], job.n),
        "data seed": (record.data["seed"], job.data_seed),
        "split": (record.data["split"], job.split),
        "judged on": (record.own_set.rpartition("/")[2], job.judged_on),
        "seed": (record.run["seed"], job.seed),
        "steps": (record.run["steps"], job.steps),
        "batch size": (record.run["batch_size"], job.batch_size),
        # A record is read from JSON, which knows no tuples.
        **{f"argument {n}": (record.config.get(n), json.loads(json.dumps(plain(v)))) for n, v in arguments.items()},
    }
    if job.precision != "auto":
        said["precision"] = record.run["precision"], job.precision
    return [f"{name} {was!r}, the plan says {now!r}" for name, (was, now) in said.items() if was != now]


def _arguments(model: type[LatentModel]) -> dict[str, object]:
    """The arguments of a model and of the classes that it passes its options on to, with their defaults."""
    found: dict[str, object] = {}
    for base in model.__mro__:
        if "__init__" not in vars(base) or base is LatentModel:
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        found = {p.name: p.default for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)} | found
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return found


def standing(job: Job, folder: str | Path, checkpoints: str | Path) -> tuple[str, str]:
    """Where a job stands: ``"missing"``, ``"unfinished"``, ``"recorded"`` or ``"different"``, and a remark in words.

    A record is different where it does not say what the plan says; or it cannot be read. Of one that is recorded the
    remark says whether the code that trained it has changed since, so that it would not come out the same again.
    """
    path = Path(folder) / job.slug / f"{job.name}.json"
    if not is_there(path):
        checkpoint = checkpoint_of(job, checkpoints)
        return ("unfinished", f"goes on from {checkpoint}") if checkpoint.is_file() else ("missing", "")
    try:
        record = Record.read(path)
    except ValueError as error:
        return "different", str(error)
    if wrong := differences(record, job):
        return "different", f"recorded with {'; '.join(wrong)}"
    if job.keep == "weights" and not record.weights:
        return "different", "recorded without its weights, which the plan keeps"
    # A record that does not state its code was made before records did, and the code has changed since.
    same = record.run.get("code") == code_digest(LatentModel.registry[job.system])
    return "recorded", "" if same else f"the code that trained it, at {record.run['commit'][:12]}, has changed since"


def run_plan(
    path: str | Path,
    *,
    profile: str | None = None,
    only: Iterable[str] = (),
    folder: str | Path,
    checkpoints: str | Path = "_build/checkpoints",
    engine: str | None = None,
    workers: int = 1,
    device: str = "auto",
    dry_run: bool = False,
    overwrite: bool = False,
    progress: bool = True,
) -> list[Outcome]:
    """Makes the records of a plan that are missing; prints where each job stands.

    Records are written here, one by one, as runs end; runs elsewhere send theirs back. Interrupted, it says what is
    done; started again, it goes on. A run that needs the record of another begins after it; where it runs elsewhere,
    the results folder must be there, too.

    Args:
        path: of the plan.
        profile: ``ci``, ``laptop`` or ``paper``. It may be left out where the plan has a single one, where ``only``
            names the runs, and in a dry run, which then lists all.
        only: patterns of names.
        folder: the results folder.
        checkpoints: the folder of unfinished runs; relative to the working directory of whoever runs the job.
        engine: None, or ``"dask:ADDRESS"``; see :func:`medlatent.engines.run_all`.
        workers: processes on this machine.
        device: ``"auto"``, ``"cpu"``, ``"cuda"``, …
        dry_run: only say where each job stands.
        overwrite: make those anew that are recorded differently than the plan says. The others are never made anew.
        progress: show the bar.

    Returns:
        The outcome of each job that was run.

    Raises:
        ValueError: the plan is wrong, or its jobs cannot be run as it says; or a record is there that says something
            else than the plan, and ``overwrite`` is false. Nothing is run then.
        OSError: a record or checkpoint cannot be written, or another process is at one of the runs. Nothing is run.
    """
    folder = Path(folder)
    plan = Plan.read(path)
    if not (profile or list(only) or dry_run) and len(profiles := {job.profile: None for job in plan.runs}) > 1:
        raise ValueError(
            f"{path} has runs of the profiles {', '.join(profiles)}, which take from seconds to days: name one with "
            "--profile, or runs with --only; --dry-run lists them all"
        )
    jobs = plan.jobs(profile, only)
    stand = {job.name: standing(job, folder, checkpoints) for job in jobs}
    width = max(len(name) for name in stand)
    for name, (state, remark) in stand.items():
        print(
            f"{name:<{width}}  {state:<10}{f'  {remark}' if remark else ''}", file=sys.stdout if dry_run else sys.stderr
        )
    if dry_run:
        return []
    different = [name for name, (state, _) in stand.items() if state == "different"]
    if different and not overwrite:
        raise ValueError(
            f"{different[0]}: {stand[different[0]][1]}. Change the plan or the name, leave it out with --only, or make "
            "it anew with --overwrite"
        )
    todo = [job for job in jobs if stand[job.name][0] != "recorded"]
    for job in (job for job in jobs if job not in todo):
        _sweep(job, checkpoint_of(job, checkpoints))
    for job in todo:
        check_writable(folder / job.slug / f"{job.name}.json")
    groups = in_order(todo)
    function = partial(perform, checkpoints=Path(checkpoints), folder=folder, device=device)
    with alone(todo, Path(checkpoints)):
        outcomes = [
            run_all(
                group,
                function,
                engine=engine,
                workers=workers,
                done=lambda job, made: write(job, made, folder, Path(checkpoints), job.name in different),
                cost=lambda job: job.steps * job.batch_size,
                progress=progress,
            )
            for group in groups
        ]
    return [outcome for group in outcomes for outcome in group]
