"""``python -m medlatent data | pack | run | train | evaluate | compact | claims | grade | export | list``:
images, runs, records, and grades of exercises."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import signal
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TextIO

from .cards import collapsed, described
from .claims import NOT_TESTABLE, in_words, judged_chapters, out_of_step, read_claims, write_claims
from .console import said, spell_out
from .data import SPLITS, DataError, ImageSet, all_sources, describe_columns, open_images, own_sets
from .data.picture_files import ALPHAS, PLANES
from .data.pixels import FITS
from .data.source import wrong_data_folder
from .evaluation import agrees, by_reason
from .files import check_home_is_written_out, check_name, check_writable, is_there, replacing
from .models import LatentModel
from .obtain import listing
from .obtain import run as run_set
from .options import whole
from .plans import FILE, Job, Plan
from .records import Record, record_paths, results_folder
from .runs import alone, differences, perform, run_plan, write

BATCH = 64  # images an update, unless another number is asked for
EMPHASIS = re.compile(r"``|(?<!\w)\*(?=\w)|(?<=\w)\*(?!\w)")  # of a docstring's markup, what a terminal does not set


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit status. Errors are one line on stderr, and what there is to choose from."""
    spell_out()
    arguments = sys.argv[1:] if arguments is None else arguments
    options = _parser().parse_args(arguments, argparse.Namespace(arguments=arguments))
    try:
        check_home_is_written_out(vars(options))
        return options.command(options)
    except (ValueError, OSError, FloatingPointError, ModuleNotFoundError) as error:
        print(f"medlatent: {said(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stopped:
        print(f"medlatent: {str(stopped) or 'interrupted'}", file=sys.stderr)
        return 128 + getattr(stopped, "signal", signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m medlatent",
        description="Images, runs, records, and grades of exercises.",
    )
    commands = parser.add_subparsers(
        required=True, metavar="data | pack | run | train | evaluate | compact | claims | grade | export | list"
    )

    _add_data(commands)
    _add_pack(commands)

    several = commands.add_parser(
        "run",
        help="make the records of a chapter's plan that are missing",
        description="Make the records of a plan that are missing. The same command goes on where an interrupted one "
        "stopped.",
    )
    several.add_argument("plan", type=Path, help="results/SLUG/plan.toml")
    several.add_argument("--profile", help="only the runs of ci, laptop or paper")
    several.add_argument(
        "--only", action="append", default=[], metavar="PATTERN", help="only records so called: *_seed0"
    )
    several.add_argument("--jobs", type=int, default=1, metavar="N", help="processes on this machine (default: 1)")
    several.add_argument("--engine", help="dask:ADDRESS of a scheduler, instead of processes on this machine")
    several.add_argument("--device", default="auto", help="auto, cpu, cuda, … (default: auto)")
    several.add_argument("--dry-run", action="store_true", help="only say what is there and what is missing")
    several.add_argument("--overwrite", action="store_true", help="make anew what is recorded otherwise than planned")
    _add_folders(several)
    several.set_defaults(command=_run)

    one = commands.add_parser(
        "train",
        help="train one model and record it",
        description="Train a model and write a record. The same command goes on where an interrupted one stopped.",
        allow_abbrev=False,  # the record states the command
    )
    one.add_argument("model", help=f"one of {', '.join(LatentModel.registry)}")
    one.add_argument(
        "--data", default="phantoms.lesion", help="a source, see list, or a packed folder (default: phantoms.lesion)"
    )
    one.add_argument("--images", type=int, metavar="N", help="how many images (default: the source's own number)")
    one.add_argument("--data-seed", type=int, default=0, help="of phantoms (default: 0)")
    one.add_argument(
        "--split",
        default="train",
        metavar="SPLITS",
        help="train, or train+validation where nothing is chosen on the validation images (default: train)",
    )
    one.add_argument("--steps", type=int, default=300, help="updates (default: 300)")
    one.add_argument("--batch-size", type=int, default=BATCH, help=f"images an update (default: {BATCH})")
    one.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an argument of the model")
    one.add_argument("--seed", type=int, default=0, help="of weights, batches and noise (default: 0)")
    one.add_argument("--device", default="auto", help="auto, cpu, cuda, … (default: auto)")
    one.add_argument("--precision", default="auto", help="auto, float32 or bfloat16 (default: auto)")
    one.add_argument("--threads", type=int, default=1, help="CPU threads (default: 1)")
    one.add_argument(
        "--measures", type=int, default=1, metavar="K", help="measure at K steps along the way (default: 1)"
    )
    one.add_argument("--slug", default="vae", help="the chapter that the record belongs to (default: vae)")
    one.add_argument("--name", help="of the record (default: from data, model and seed)")
    one.add_argument("--overwrite", action="store_true", help="replace a record of the same name")
    _add_folders(one)
    one.set_defaults(command=_train)

    check = commands.add_parser(
        "evaluate",
        help="compute the numbers of records again and compare",
        description="Compute the numbers of records again, on the data at hand, and compare.",
    )
    check.add_argument("records", nargs="*", type=Path, help="JSON files; by default all of the project's")
    check.add_argument(
        "--add", action="store_true", help="write into the records what is computed now and is not there"
    )
    check.add_argument(
        "--replace",
        action="store_true",
        help="and what is computed otherwise now: after a measure, or the factors of the data, were mended",
    )
    check.set_defaults(command=_evaluate)

    smaller = commands.add_parser(
        "compact",
        help="make records smaller",
        description="Round the weights of records to 16 bits and leave out networks that only training needs. The data "
        "must be at hand: a record whose numbers would move stays as it is.",
    )
    smaller.add_argument("records", nargs="+", type=Path, help="JSON files")
    smaller.add_argument(
        "--without-weights",
        action="store_true",
        help="keep what the numbers are computed from in the place of the weights",
    )
    smaller.set_defaults(command=_compact)

    verdicts = commands.add_parser(
        "claims",
        help="judge the claims of chapters by their protocols",
        description="Write results/SLUG/claims.json: the verdicts that claims.toml beside it and the records come to.",
    )
    verdicts.add_argument("slugs", nargs="*", metavar="SLUG", help="chapters; by default all that have verdicts")
    verdicts.add_argument("--check", action="store_true", help="write nothing; fail if a file is not what follows")
    verdicts.set_defaults(command=_claims)

    grades = commands.add_parser(
        "grade",
        help="grade the submissions of an assignment, each by itself",
        description="Grade submissions, each in a sandbox, and enter the points into nbgrader's gradebook. It says for "
        "each student what happened; the exit status is 1 if somebody has to look at one.",
    )
    grades.add_argument("assignment", help="a folder of submitted/STUDENT/, such as 02_vae")
    _add_course(grades)
    grades.add_argument(
        "--student", action="append", default=[], metavar="NAME", help="only this one; may be given again"
    )
    grades.add_argument("--new", action="store_true", help="only what was not graded since it was handed in")
    grades.add_argument("--timeout", type=int, metavar="S", help="seconds a cell (default: c.Execute.timeout)")
    grades.add_argument("--in-all", type=int, default=1200, metavar="S", help="seconds a submission (default: 1200)")
    grades.add_argument("--memory", type=float, default=16, metavar="GB", help="of a submission (default: 16)")
    grades.add_argument("--output", type=float, default=5, metavar="MB", help="that is kept (default: 5)")
    grades.add_argument("--file-size", type=float, default=100, metavar="MB", help="of each file (default: 100)")
    grades.set_defaults(command=_grade)

    table = commands.add_parser(
        "export",
        help="write the points of an assignment as Moodle or Canvas import them",
        description="Write the points of an assignment as a table that a learning platform imports.",
    )
    table.add_argument("assignment", help="such as 02_vae")
    table.add_argument("--to", required=True, choices=("moodle", "canvas"), help="whose format")
    table.add_argument(
        "--out", type=Path, metavar="FILE", help="to write (default: ASSIGNMENT_moodle.csv in the course)"
    )
    table.add_argument("--column", default="", help='of Canvas, with its number: "Exercises 2 (4711)"')
    _add_course(table)
    table.set_defaults(command=_export)

    show = commands.add_parser(
        "list",
        help="what can be trained, on what, and what is recorded",
        description="Say what can be trained, on what, and what is recorded; or what a packed set holds.",
    )
    show.add_argument("sets", nargs="*", metavar="SET", help="packed folders, or names of sources: only these")
    show.set_defaults(command=_list)
    return parser


def _add_data(commands) -> None:
    real = commands.add_parser(
        "data",
        help="download, verify and pack a real data set",
        description="Download, verify and pack a real data set; without a name, say which there are:\n\n" + listing(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    real.add_argument("name", nargs="?", metavar="NAME", help="one of those above")
    # The options of a set stand in its module, which needs packages that only those have who pack.
    real.add_argument("options", nargs=argparse.REMAINDER, metavar="OPTIONS", help="of that set: data NAME --help")
    real.set_defaults(command=_data)


def _add_pack(commands) -> None:
    pack = commands.add_parser(
        "pack",
        help="pack images of your own into a set that models can be trained on",
        description="Pack the images of a folder (PNG, JPEG, TIFF, DICOM, NIfTI) and a table of labels into a set. "
        "What cannot be known is asked for; what was done is said on the set's card.",
    )
    pack.add_argument("folder", type=Path, help="with the images, at any depth")
    pack.add_argument("--out", type=Path, required=True, metavar="SET", help="the folder to write; it must not exist")
    pack.add_argument("--table", type=Path, metavar="CSV", help="labels, a line for each file")
    pack.add_argument(
        "--file-column", metavar="NAME", help="the column that names the files (default: the one that does)"
    )
    pack.add_argument(
        "--factor",
        action="append",
        default=[],
        metavar="NAME=KIND",
        help="what a column is: continuous, binary, categorical or plain (default: guessed, and shown)",
    )
    pack.add_argument("--tag", action="append", default=[], metavar="KEYWORD", help="of DICOM, as a column: PatientID")
    pack.add_argument("--group", metavar="NAME", help="the column that must not lie in two splits, such as the patient")
    pack.add_argument(
        "--fractions",
        type=float,
        nargs=3,
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="the share of each split (default: 0.8 0.1 0.1, or the table's column split)",
    )
    pack.add_argument("--seed", type=int, default=0, help="of the splits (default: 0)")
    pack.add_argument("--size", metavar="SIDE", help="pixels: 64, or HEIGHTxWIDTH (default: as they are)")
    pack.add_argument("--fit", choices=FITS, help="how an image of another shape comes to the size")
    pack.add_argument("--fill", type=float, metavar="VALUE", help="with --fit keep, of what is left beside an image")
    pack.add_argument(
        "--value-range", type=float, nargs=2, metavar=("BLACK", "WHITE"), help="in the images' unit; bytes need none"
    )
    pack.add_argument(
        "--percentiles",
        type=float,
        nargs=2,
        metavar=("BLACK", "WHITE"),
        help="in the place of a range, of each series, such as 1 99: for MR, whose values have no unit",
    )
    pack.add_argument("--clip", action="store_true", help="count values outside of the range as its ends")
    pack.add_argument("--colour", choices=("grey", "rgb"), help="make all images so (default: as they are)")
    pack.add_argument("--alpha", choices=ALPHAS, help="what becomes of transparent pixels")
    pack.add_argument("--plane", choices=tuple(PLANES), help="of NIfTI volumes (default: the slices as stored)")
    pack.add_argument("--slices", metavar="FROM:TO:STEP", help="which slices of each volume, from 0 (default: all)")
    pack.add_argument("--name", help="of the set (default: the folder's)")
    pack.add_argument("--source", help="where the images come from (default: the folder's name)")
    pack.add_argument("--licence", default="not stated", help="of the images (default: not stated)")
    pack.add_argument("--citation", default="not stated", help="how to cite them (default: not stated)")
    pack.set_defaults(command=_pack)


def _add_folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, default=results_folder(), help="the results folder (default: results)")
    parser.add_argument(
        "--checkpoints",
        type=Path,
        default=Path("_build/checkpoints"),
        help="where unfinished runs are kept (default: _build/checkpoints)",
    )


def _add_course(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--course", type=Path, default=Path(), metavar="FOLDER", help="that make assignments wrote (default: this one)"
    )


def _run(options: argparse.Namespace) -> int:
    outcomes = run_plan(
        options.plan,
        profile=options.profile,
        only=options.only,
        folder=options.out,
        checkpoints=options.checkpoints,
        engine=options.engine,
        workers=options.jobs,
        device=options.device,
        dry_run=options.dry_run,
        overwrite=options.overwrite,
    )
    failed = [outcome for outcome in outcomes if outcome.state != "done"]
    for outcome in failed:
        print(f"medlatent: {outcome.job.name} failed: {outcome.error}\n{outcome.traceback}", file=sys.stderr)
    return 1 if failed else 0


def _data(options: argparse.Namespace) -> int:
    if options.name is not None:
        run_set(options.name, options.options, program=f"python -m medlatent data {options.name}")
        return 0
    print(f"{listing()}\n")
    print("How to pack one: python -m medlatent data NAME --help. What is packed here: python -m medlatent list")
    return 0


def _pack(options: argparse.Namespace) -> int:
    if is_there(options.out):
        raise FileExistsError(f"{options.out} exists: choose another folder, or delete it first")
    with warnings.catch_warnings(record=True) as told, _in_options():
        warnings.simplefilter("always")
        images = ImageSet.from_folder(
            options.folder,
            options.table,
            dict(_pair("--factor", pair) for pair in options.factor),
            file_column=options.file_column,
            tags=options.tag,
            value_range=options.value_range,
            percentiles=options.percentiles,
            clip=options.clip,
            size=_size(options.size),
            fit=options.fit,
            fill=options.fill,
            colour=options.colour,
            alpha=options.alpha,
            plane=options.plane,
            slices=_slices(options.slices),
            group=options.group,
            fractions=options.fractions and dict(zip(SPLITS, options.fractions, strict=True)),
            seed=options.seed,
            name=options.name,
            source=options.source,
            licence=options.licence,
            citation=options.citation,
            progress=True,
        )
        images.save(options.out)
    _describe(images)
    for warning in told:
        print(f"note: {warning.message}")
    training = int((images.table["split"] == "train").sum())
    batch = f" --batch-size {training}" if 0 < training < BATCH else ""  # a batch is no larger than the data
    print(f"{options.out}: packed. Next: python -m medlatent train VAE --data {shlex.quote(str(options.out))}{batch}")
    return 0


@contextmanager
def _in_options() -> Iterator[None]:
    """Lets errors of data speak of options where they speak of arguments."""
    try:
        yield
    except DataError as error:
        message = str(error)
        for pattern, option in (
            (r"value_range=\(low, high\)", "--value-range LOW HIGH"),
            (r"size=64 or \(height, width\)", "--size 64 or HEIGHTxWIDTH"),
            (r"\bclip=True", "--clip"),
            (r"\b(fit|colour|alpha|plane)='(\w+)'", r"--\1 \2"),
            (r"\bfile_column\b", "--file-column"),
            (
                r"^(fit|fill|size|group|fractions|percentiles|factors|tags): ",
                lambda found: f"--{found[1].rstrip('s')}: ",
            ),
            (r"--(fraction|percentile): ", r"--\1s: "),
            (r"percentiles=\(1, 99\)", "--percentiles 1 99"),
        ):
            message = re.sub(pattern, option, message)
        raise DataError(message) from None


def _describe(images: ImageSet) -> None:
    """A set, its card, and the kinds of its columns: what is guessed shall be seen."""
    print(images)
    print(f"  {images.card.preprocessing}")
    print(f"  source: {images.card.source}; licence: {images.card.licence}; citation: {images.card.citation}")
    for line in describe_columns(images).splitlines():
        print(f"  {line}")


def _size(text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]+([x×][0-9]+)?", text):
        raise ValueError(f"--size {text}: write a number of pixels, or HEIGHTxWIDTH")
    sides = tuple(map(int, re.split("[x×]", text)))
    return sides if len(sides) == 2 else sides[0]


def _slices(text: str | None) -> slice | None:
    if text is None:
        return None
    if not re.fullmatch(r"-?[0-9]*(:-?[0-9]*){1,2}", text):
        raise ValueError(f"--slices {text}: write FROM:TO or FROM:TO:STEP, such as 20:80:5")
    return slice(*(int(part) if part else None for part in text.split(":")))


def _pair(option: str, pair: str) -> tuple[str, str]:
    name, equals, value = pair.rpartition("=") if option == "--factor" else pair.partition("=")
    if not equals:
        raise ValueError(f"{option} {pair}: write NAME={'KIND' if option == '--factor' else 'VALUE'}")
    return name, value


def _settings(pairs: list[str]) -> dict:
    settings = {}
    for pair in pairs:
        name, value = _pair("--set", pair)
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def _train(options: argparse.Namespace) -> int:
    plain = f"{Path(options.data).name}_{options.model}_seed{options.seed}".lower().replace(".", "_")
    name, slug = (
        check_name(plain if options.name is None else options.name, "--name"),
        check_name(options.slug, "--slug"),
    )
    target = options.out / slug / f"{name}.json"
    if is_there(target) and not options.overwrite:
        raise FileExistsError(f"{target} exists: choose another --name, or pass --overwrite")
    for argument, value in (
        ("--threads", options.threads),
        ("--measures", options.measures),
        ("--steps", options.steps),
    ):
        if value < 1:
            raise ValueError(f"{argument} must be at least 1, got {value}")
    for argument, value in (("--seed", options.seed), ("--data-seed", options.data_seed), ("--steps", options.steps)):
        whole(argument, value)
    if options.measures > options.steps:
        raise ValueError(f"--measures {options.measures}: there are only {options.steps} steps")
    if options.split not in ("train", "train+validation"):
        raise ValueError(f"--split {options.split}: use train or train+validation; the test images judge the run")
    job = Job(
        slug=slug,
        name=name,
        profile="",
        system=options.model,
        settings=_settings(options.set),
        source=options.data.rstrip("/"),  # which completion adds to the name of a folder
        n=options.images,
        data_seed=options.data_seed,
        split=options.split,
        judged_on="test",
        seed=options.seed,
        steps=options.steps,
        batch_size=options.batch_size,
        precision=options.precision,
        threads=options.threads,
        keep="weights",
        measure_at=tuple(round(options.steps * k / options.measures) for k in range(1, options.measures + 1)),
    )
    command = shlex.join(["python", "-m", "medlatent", *_without_folders(options.arguments)])
    check_writable(target)
    with alone([job], options.checkpoints):
        where = {"checkpoints": options.checkpoints, "folder": options.out, "device": options.device}
        made = perform(job, **where, progress=True, command=command)
        print(write(job, made, options.out, options.checkpoints, options.overwrite))
    for key, entry in made[0].metrics.items():
        _print_left_out(key, entry.get("left_out", {}), sys.stderr)
    if said := collapsed(made[0]):
        print(f"note: {said}", file=sys.stderr)
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
    paths = options.records or record_paths()
    if not paths:
        raise FileNotFoundError(f"{results_folder()}: no records")
    _say_if_data_cannot_be_found()
    failed = 0
    for path in paths:
        try:
            if options.add or options.replace:
                _add(path.resolve(), options.replace)
            else:
                failed += _compare(path.resolve())
        except (ValueError, OSError) as error:  # the others are looked at all the same
            print(f"medlatent: {said(error)}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _add(path: Path, anew: bool) -> None:
    record = Record.read(path)
    whole, added, changed = record.supplement(path.parent.parent, anew)
    if added or changed:
        _replace(path, record, whole)
    print(f"{record.called}: added {', '.join(added) or 'nothing'}")
    if changed:
        print(f"{record.called}: replaced {', '.join(changed)}")


def _compare(path: Path) -> int:
    """Prints each number beside the recorded one; returns how many differ."""
    record, failed = Record.read(path), 0
    if (plan := path.with_name(FILE)).is_file():
        for job in Plan.read(plan).runs:
            if job.name == record.name and (wrong := differences(record, job)):
                raise ValueError(f"{record.called}: recorded with {'; '.join(wrong)}")
    computed = record.evaluate(path.parent.parent)
    pairs = record.compare(computed)
    print(record.called)
    for key in record.metrics:
        if key not in pairs:
            print(f"  {key}: not checked, the data are not packed here")
        for name, (was, now) in pairs.get(key, {}).items():
            same = agrees(was, now, name)
            failed += not same
            print(f"  {key:<24} {name:<19} recorded {was:<12.6g} now {now:<12.6g} {'ok' if same else 'DIFFERS'}")
        if key in computed:
            _print_left_out(key, computed[key].left_out)
    return failed


def _print_left_out(key: str, left_out: Mapping[str, str], where: TextIO | None = None) -> None:
    for names, reason in by_reason(left_out):
        print(f"  {key:<24} left out: {', '.join(names)}: {reason}", file=where)


def _replace(path: Path, record: Record, new: Record, contents: dict[str, bytes] | None = None) -> None:
    """Writes the new record in the place of that which it was made from."""
    if Record.read(path) != record:
        raise ValueError(f"{path} was changed by somebody else in the meantime; nothing was written")
    new.write(path.parent.parent, contents, overwrite=True)


def _compact(options: argparse.Namespace) -> int:
    for path in options.records:
        path = path.resolve()
        record = Record.read(path)
        leaves_out = list(record.model_class.only_for_training)
        small = record.weights.get("dtype") == "float16" and record.weights.get("without", []) == leaves_out
        if not record.weights or (small and not options.without_weights):
            print(f"{record.called}: is as small as it gets")
            continue
        smaller, contents = record.compact(path.parent.parent, keep_weights=not options.without_weights)
        _replace(path, record, smaller, contents)
        before, after = (sum(part.get("bytes", 0) for part in (r.weights, r.observed)) for r in (record, smaller))
        print(f"{record.called}: {before / 1e6:.2f} MB, now {after / 1e6:.2f} MB; every number agrees")
    return 0


def _claims(options: argparse.Namespace) -> int:
    failed = 0
    for slug in options.slugs or judged_chapters(results_folder()):
        try:
            if options.check and out_of_step(slug, results_folder()):
                raise ValueError(f"the verdicts of {slug} are out of step: run python -m medlatent claims {slug}")
            if not options.check:
                print(write_claims(slug, results_folder()))
                _print_claims(slug)
        except (ValueError, OSError) as error:  # the others are judged all the same
            print(f"medlatent: {said(error)}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


def _print_claims(slug: str) -> None:
    """The verdicts, and which commands make the runs that are missing."""
    claims = read_claims(slug, results_folder())["claims"]
    for claim in claims:
        print(f"  {claim['id']}: {in_words(claim)}")
    lacking = [part["command"] for claim in claims for part in claim["parts"] if part["verdict"] == NOT_TESTABLE]
    for command in dict.fromkeys(lacking):
        print(f"missing runs: {command}")


def _check_nbgrader() -> None:
    if find_spec("nbgrader") is None:
        raise ModuleNotFoundError('grading needs nbgrader: pip install -e ".[instructors,notebooks,data]"')


def _grade(options: argparse.Namespace) -> int:
    _check_nbgrader()
    from .course.grading.grade import Course, grade
    from .course.grading.sandbox import Limits, offered, statement

    course = Course(options.course)
    limits = Limits(
        cell=course.seconds_a_cell() if options.timeout is None else options.timeout,
        whole=options.in_all,
        memory=round(options.memory * 1e9),
        output=round(options.output * 1e6),
        file_size=round(options.file_size * 1e6),
    )
    for name, value in (("--timeout", limits.cell), ("--in-all", limits.whole), ("--memory", limits.memory)):
        if value < 1:
            raise ValueError(f"{name} must be positive, got {value}")
    outcomes = grade(course, options.assignment, options.student, limits=limits, only_new=options.new)
    print(f"{statement(offered())}\nLimits: {limits}.\n")
    done, width = [], max(map(len, options.student or course.students(options.assignment)), default=0)
    for outcome in outcomes:
        print(f"{outcome.student:<{width}}  {outcome}", flush=True)
        done.append(outcome)
    if not options.student and (without := course.without(options.assignment)):
        print(f"\nNothing handed in: {', '.join(without)}")
    persons = [outcome.student for outcome in done if outcome.needs_person]
    print(f"\n{sum(outcome.graded for outcome in done)} of {len(done)} graded", end="")
    print(f"; to be looked at: {', '.join(persons)}" if persons else "")
    return 1 if persons else 0


def _export(options: argparse.Namespace) -> int:
    _check_nbgrader()
    from .course.grading.grade import Course
    from .course.grading.platforms import table

    course = Course(options.course)
    with course.gradebook() as gradebook:
        text, notes = table(gradebook, options.assignment, options.to, options.column)
    target = options.out or course.folder / f"{options.assignment}_{options.to}.csv"
    with replacing(target) as unfinished:
        unfinished.write_text(text, encoding="utf-8", newline="")
    for note in notes:
        print(note)
    print(target)
    return 0


def _list(options: argparse.Namespace) -> int:
    for name in options.sets:
        _describe(open_images(name))
    if options.sets:
        return 0
    _say_if_data_cannot_be_found()
    print("models")
    for name, model in LatentModel.registry.items():
        print(f"  {name:<16} {re.sub(EMPHASIS, '', described(model))}")
    print("data")
    for source in all_sources():
        where = ""
        if source.kind == "packed":
            where = f": {source.folder}" if source.folder else f": not packed, see {source.command} --help"
        print(f"  {source.name:<16} {source.summary} ({source.kind}{where})")
    unreadable = 0
    for folder in own_sets():
        try:
            print(f"  {folder.name:<16} {ImageSet.load(folder, verify=False)} (packed: {folder})")
        except (ValueError, OSError) as error:
            print(f"medlatent: {said(error)}", file=sys.stderr)
            unreadable += 1
    print("records")
    for path in record_paths():
        try:
            record = Record.read(path)
            print(f"  {record.called}: {record.model}, {record.run['steps']} steps on {record.data['name']}")
        except (ValueError, OSError) as error:
            print(f"medlatent: {said(error)}", file=sys.stderr)
            unreadable += 1
    return 1 if unreadable else 0


def _say_if_data_cannot_be_found() -> None:
    if wrong := wrong_data_folder():
        print(f"note: {wrong}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
