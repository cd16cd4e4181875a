"""``python -m medlatent train | evaluate | compact | list``: runs outside a notebook, and their records."""

from __future__ import annotations

import argparse
import datetime
import json
import shlex
import sys
from pathlib import Path

import torch

from .data import open_images, packed_folder
from .data.sources import CARRIED, PHANTOMS, REAL
from .models import LatentModel, load
from .nets import count_parameters
from .profiles import TRAINING, choose
from .results import (
    Record,
    agrees,
    evaluation_entry,
    results_folder,
    save_weights,
    surroundings,
    thin_history,
)
from .training import train

# A model of real images is evaluated on others, too, so that its record can be checked without any download: the
# source, how many images of it, and the seed.
CHECKED_ON = {"ham10000": ("phantoms.lesion", 2000, 1), "mnist": ("mnist.digits", None, 0)}


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status. Errors are one line on stderr."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments, argparse.Namespace(arguments=arguments))
    try:
        return options.command(options)
    except (ValueError, OSError, FloatingPointError) as error:
        print(f"medlatent: {error}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m medlatent", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="train | evaluate | compact | list")

    run = commands.add_parser(
        "train",
        help="train a model and record it",
        description="Train a model and write a record. The same command goes on where an interrupted one stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    run.add_argument("model", help=f"one of {', '.join(_model_names())}")
    sources = ", ".join([*PHANTOMS, *CARRIED, *REAL])
    run.add_argument("--data", default="phantoms.lesion", help=f"{sources}, or a packed folder")
    run.add_argument("--images", type=int, metavar="N", help="how many phantoms (default: 5000)")
    run.add_argument("--data-seed", type=int, default=0, help="of the phantoms")
    run.add_argument(
        "--split",
        default="train",
        metavar="SPLITS",
        help="train, or train+validation where nothing is chosen on the validation images",
    )
    run.add_argument("--profile", default="ci", help=f"the scale of the run: {json.dumps(TRAINING)}")
    run.add_argument("--steps", type=int, help="instead of the profile's")
    run.add_argument("--batch-size", type=int, help="instead of the profile's")
    run.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an argument of the model")
    run.add_argument("--seed", type=int, default=0, help="of weights, batches and noise")
    run.add_argument("--device", default="auto", help="auto, cpu, cuda, …")
    run.add_argument("--precision", default="auto", help="auto, float32 or bfloat16")
    run.add_argument("--threads", type=int, help="CPU threads (default: PyTorch's choice)")
    run.add_argument("--slug", default="vae", help="the chapter that the record belongs to")
    run.add_argument("--name", help="of the record (default: from data, model and seed)")
    run.add_argument("--out", type=Path, default=results_folder(), help="the results folder")
    run.add_argument(
        "--checkpoints", type=Path, default=Path("_build/checkpoints"), help="where an unfinished run is kept"
    )
    run.add_argument("--overwrite", action="store_true", help="replace a record of the same name")
    run.set_defaults(command=_train)

    check = commands.add_parser(
        "evaluate",
        help="compute the numbers of records again and compare",
        description="Compute the numbers of records again from their weights, on the data at hand, and compare.",
    )
    check.add_argument("records", nargs="*", type=Path, help="JSON files; by default all of the project's")
    check.add_argument(
        "--add", action="store_true", help="write into the records what is computed now and is not there"
    )
    check.set_defaults(command=_evaluate)

    smaller = commands.add_parser(
        "compact",
        help="round the weights of records to 16 bits",
        description="Round the weights of records to 16 bits, leave out networks that only training needs, and compute "
        "their numbers anew. The data must be at hand.",
    )
    smaller.add_argument("records", nargs="+", type=Path, help="JSON files")
    smaller.set_defaults(command=_compact)

    show = commands.add_parser("list", help="what can be trained, on what, and what is recorded")
    show.set_defaults(command=_list)
    return parser


def _model_names() -> list[str]:
    return list(LatentModel.registry)


def _build(name: str, settings: dict, seed: int) -> LatentModel:
    """A model by name, its weights drawn from a seed; errors list the names and arguments there are."""
    if name not in LatentModel.registry:
        raise ValueError(f"unknown model {name!r}: choose one of {', '.join(_model_names())}")
    known = LatentModel.registry[name]().config
    for argument in settings:
        if argument not in known:
            raise ValueError(f"{name} has no argument {argument!r}; it has {', '.join(known)}")
    torch.manual_seed(seed)
    try:
        return LatentModel.registry[name](**settings)
    except (TypeError, RuntimeError) as error:
        raise ValueError(f"{name} cannot be built with {settings}: {error}") from None


def _settings(pairs: list[str]) -> dict:
    settings = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise ValueError(f"--set {pair}: write NAME=VALUE")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def _train(options: argparse.Namespace) -> int:
    scale = dict(choose(TRAINING, options.profile))
    steps = scale["steps"] if options.steps is None else options.steps
    batch_size = scale["batch_size"] if options.batch_size is None else options.batch_size
    name = options.name or f"{Path(options.data).name}_{options.model}_seed{options.seed}".lower().replace(".", "_")
    target = options.out / options.slug / f"{name}.json"
    if target.exists() and not options.overwrite:
        raise FileExistsError(f"{target} exists: choose another --name, or pass --overwrite")
    if options.threads is not None:
        if options.threads < 1:
            raise ValueError(f"--threads must be at least 1, got {options.threads}")
        torch.set_num_threads(options.threads)

    images = open_images(options.data, options.images, options.data_seed)
    if options.split not in ("train", "train+validation"):
        raise ValueError(f"--split {options.split}: use train or train+validation; the test images judge the run")
    training = images.split(*options.split.split("+"))
    images.split("test")  # what the run is judged on must be there before hours are spent on it
    settings = {"channels": images.images.shape[1], "size": images.images.shape[2], **_settings(options.set)}
    model = _build(options.model, settings, options.seed)
    print(f"{options.model}: {count_parameters(model):,} parameters; {training}", file=sys.stderr)
    checkpoint = options.checkpoints / options.slug / f"{name}.safetensors"
    history = train(
        model,
        training,
        steps,
        batch_size=batch_size,
        seed=options.seed,
        device=options.device,
        precision=options.precision,
        checkpoint=checkpoint,
    )
    run = {
        "profile": options.profile,
        "steps": steps,
        "batch_size": batch_size,
        "seed": options.seed,
        "precision": str(model.precision).removeprefix("torch."),
        **surroundings(torch.device(history.device)),
        "command": shlex.join(["python", "-m", "medlatent", *_without_folders(options.arguments)]),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "seconds": round(history.seconds, 1),
        "steps_per_second": round(steps / history.seconds, 2),
    }
    data = {
        "source": options.data,
        "n": options.images,
        "seed": options.data_seed,
        "split": options.split,
        "images": len(training),
        "fingerprint": training.fingerprint,
        "name": training.card.name,
        "licence": training.card.licence,
        "citation": training.card.citation,
    }

    # Numbers are computed as the check of the record will: from the weights in the file, on the CPU, in float32.
    weights = options.out / options.slug / f"{name}.safetensors"
    saved = save_weights(model, weights)
    model = load(weights)
    metrics = {f"{options.data}/test": evaluation_entry(model, options.data, "test", options.images, options.data_seed)}
    if options.data in CHECKED_ON:
        source, n, seed = CHECKED_ON[options.data]
        metrics[f"{source}/test"] = evaluation_entry(model, source, "test", n, seed)
    path = Record(
        slug=options.slug,
        name=name,
        model=options.model,
        config=model.config,
        data=data,
        run=run,
        weights=saved,
        history=thin_history(history.terms, history.values),
        metrics=metrics,
    ).write(options.out)
    checkpoint.unlink()
    print(path)
    return 0


def _without_folders(arguments: list[str]) -> list[str]:
    """The arguments that decide the result: where it is written on one machine means nothing on another."""
    kept, skip = [], False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if not skip and name not in ("--out", "--checkpoints"):
            kept.append(argument)
            continue
        skip = not skip and not equals
    return kept


def _evaluate(options: argparse.Namespace) -> int:
    paths = options.records or sorted(results_folder().glob("*/*.json"))
    if not paths:
        raise FileNotFoundError(f"{results_folder()}: no records")
    failed = 0
    for path in paths:
        path = path.resolve()
        record = Record.read(path)
        if options.add:
            record, added = record.supplement(path.parent.parent)
            if added:
                record.write(path.parent.parent)
            print(f"{record.slug}/{record.name}: added {', '.join(added) or 'nothing'}")
            continue
        pairs = record.reevaluate(path.parent.parent)
        print(f"{record.slug}/{record.name}")
        for key in record.metrics:
            if key not in pairs:
                print(f"  {key}: not checked, the data are not packed here")
            for name, (was, now) in pairs.get(key, {}).items():
                same = agrees(was, now, name)
                failed += not same
                print(f"  {key:<24} {name:<19} recorded {was:<12.6g} now {now:<12.6g} {'ok' if same else 'DIFFERS'}")
    return 1 if failed else 0


def _compact(options: argparse.Namespace) -> int:
    for path in options.records:
        path = path.resolve()
        record = Record.read(path)
        leaves_out = list(LatentModel.registry[record.model].only_for_training)
        if record.weights.get("dtype") == "float16" and record.weights.get("without", []) == leaves_out:
            print(f"{record.slug}/{record.name}: has 16 bits")
            continue
        rounded = record.compact(path.parent.parent)
        rounded.write(path.parent.parent)
        moved = [
            f"{key} {name} {was:.6g} → {now:.6g}"
            for key, entry in record.metrics.items()
            for name, was in entry["values"].items()
            if not agrees(was, now := rounded.metrics[key]["values"][name], name)
        ]
        print(f"{record.slug}/{record.name}: {'; '.join(moved) or 'no number moved by more than its tolerance'}")
    return 0


def _list(options: argparse.Namespace) -> int:
    print("models")
    for name, model in LatentModel.registry.items():
        print(f"  {name:<16} {model.__doc__.strip().splitlines()[0]}")
    print("data")
    for source in PHANTOMS:
        print(f"  {source:<16} rendered on demand")
    for source in CARRIED:
        print(f"  {source:<16} carried by a package")
    for source in REAL:
        folder = packed_folder(source)
        print(f"  {source:<16} {folder if folder else f'not packed: see data_scripts/{source}.py'}")
    print("records")
    for path in sorted(results_folder().glob("*/*.json")):
        record = Record.read(path)
        print(f"  {record.slug}/{record.name}: {record.model}, {record.run['steps']} steps on {record.data['name']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
