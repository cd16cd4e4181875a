"""Plans: the runs of a chapter as data. ``results/<slug>/plan.toml`` lists them, and every record is one of its jobs.

.. code-block:: toml

    [defaults]                    # any key of an entry, for all entries
    data = "ham10000"             # the source of the images
    batch_size = 64

    [[runs]]                      # one entry: its systems × its seeds
    profile = "laptop"            # ci, laptop or paper
    name = "ham10000_{system}_seed{seed}"
    systems = ["VAE", "BetaVAE"]  # classes of medlatent.models
    seeds = [0, 1, 2]
    steps = 2000
    set = { learning_rate = 5e-4 }
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import string
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .models import LatentModel

FILE = "plan.toml"
PROFILES = ("ci", "laptop", "paper")  # seconds to two minutes on two CPU cores; minutes; the paper's own numbers
SPLITS = ("train", "train+validation")  # the test images judge a run
JUDGES = ("test", "validation+test")
PRECISIONS = ("float32", "bfloat16", "auto")
# One plain component of a path, on every system: what a record is called decides where it is written.
PLAIN = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,98}[A-Za-z0-9_-])?")
REQUIRED = ("profile", "name", "systems", "seeds", "data", "steps", "batch_size")
OPTIONAL: dict[str, Any] = {
    "images": None,
    "data_seed": 0,
    "split": "train",
    "judged_on": "test",
    "set": {},
    "precision": "float32",
    "threads": 1,
    "weights": "all",
    "measures": 1,
}


@dataclass(frozen=True)
class Job:
    """One run of a plan, which makes one record.

    Attributes:
        slug: the chapter.
        name: of the record.
        profile: ``"ci"``, ``"laptop"`` or ``"paper"``.
        system: the class of the model.
        settings: its arguments; channels and size follow from the images.
        source: of the images, as :func:`medlatent.data.open_images` takes it.
        n: how many images, or None for the source's own number.
        data_seed: of phantoms.
        split: ``"train"`` or ``"train+validation"``.
        judged_on: ``"test"`` or ``"validation+test"``.
        seed: of weights, batches and noise.
        steps: updates in all.
        batch_size: images an update.
        precision: ``"float32"``, ``"bfloat16"`` or ``"auto"``.
        threads: of the CPU.
        keep: ``"weights"`` where a page shows the model, or ``"observed"``: only what its numbers are computed from.
        measure_at: the steps after which the model is measured, rising; the last one is ``steps``.
    """

    slug: str
    name: str
    profile: str
    system: str
    settings: dict
    source: str
    n: int | None
    data_seed: int
    split: str
    judged_on: str
    seed: int
    steps: int
    batch_size: int
    precision: str
    threads: int
    keep: str
    measure_at: tuple[int, ...]

    def command(self) -> str:
        """The shell command that makes this record alone again, from a checkout."""
        plan = f"results/{self.slug}/{FILE}"
        return shlex.join(
            ["python", "-m", "medlatent", "run", plan, "--profile", self.profile, "--only", self.name],
        )


@dataclass(frozen=True)
class Plan:
    """The runs of a chapter.

    Attributes:
        path: the file it was read from.
        slug: the chapter: the name of the file's folder.
        runs: every job of every entry, in the order of the file: the systems of an entry in turn, each with all seeds.
    """

    path: Path
    slug: str
    runs: tuple[Job, ...]

    @classmethod
    def read(cls, path: str | os.PathLike) -> Plan:
        """Reads ``<slug>/plan.toml``.

        ============= ====================================================================================
        key           value
        ============= ====================================================================================
        profile       ``"ci"``, ``"laptop"`` or ``"paper"``
        name          of the records: text with ``{system}`` (in lower case), ``{seed}``, ``{profile}`` and
                      any argument under ``set``
        systems       a list of model classes
        seeds         a list of whole numbers from 0
        data          the source of the images, as :func:`medlatent.data.open_images` takes it
        steps         updates
        batch_size    images an update
        images        how many images (default: the source's own number)
        data_seed     of phantoms (0)
        split         ``"train"``, or ``"train+validation"`` where nothing is chosen on the validation
                      images (``"train"``)
        judged_on     ``"test"``, or ``"validation+test"`` where there are few images and nothing is chosen
                      on the validation images (``"test"``)
        set           a table: arguments of the model but channels and size; one that ends in ``_record``
                      names a record, ``"slug/name"``, whose model it brings, and which is made before;
                      ``{seed}`` in it is the run's own
        precision     ``"float32"``, ``"bfloat16"`` or ``"auto"``, which is bfloat16 where the device is
                      fast at it (``"float32"``)
        threads       of the CPU (1: another number rounds otherwise)
        weights       ``"all"``, or a list of those seeds whose weights the records keep (``"all"``)
        measures      a number of evenly spaced steps at which the model is measured, or a list of steps;
                      the last step always is one (1)
        ============= ====================================================================================

        ``[defaults]`` gives a key to all entries that do not have it; the tables under ``set`` are merged.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no TOML; a key is unknown or missing, or has a value that is none of the above; a name has
                an unknown placeholder, is no plain name of a file, or is given twice. The message names the file, the
                entry and the key.
        """
        path = Path(path)
        if path.name != FILE:
            raise ValueError(f"{path}: a plan is the file {FILE} in the folder of its chapter")
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such plan")
        slug = path.resolve().parent.name
        if not PLAIN.fullmatch(slug):
            raise ValueError(f"{path}: its folder {slug!r} names the chapter: use letters, digits and _")
        try:
            table = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # some editors write a mark first
        except ValueError as error:
            raise ValueError(f"{path} is not valid TOML: {error}") from None
        if unknown := sorted(set(table) - {"defaults", "runs"}):
            raise ValueError(f"{path}: {unknown[0]!r} is unknown: a plan has [defaults] and [[runs]]")
        defaults, entries = table.get("defaults", {}), table.get("runs")
        if not isinstance(defaults, dict):
            raise ValueError(f"{path}: write [defaults], one table, got {defaults!r}")
        if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
            raise ValueError(f"{path}: expected one entry [[runs]] or more")
        _check_keys(f"{path}, [defaults]", defaults)

        runs: dict[str, Job] = {}
        for number, entry in enumerate(entries, 1):
            place = f"{path}, entry {number} ({entry.get('name', 'without a name')!r})"
            for job in _expand(place, slug, entry, defaults):
                # A file system may hold upper and lower case for one.
                if (same := runs.setdefault(job.name.lower(), job)) is not job:
                    raise ValueError(
                        f"{place}, 'name': {job.name!r} is given twice, to {same.system} with seed {same.seed} and to "
                        f"{job.system} with seed {job.seed}; a record has one name in the whole plan"
                    )
        return cls(path, slug, tuple(runs.values()))

    def jobs(self, profile: str | None = None, only: Iterable[str] = ()) -> list[Job]:
        """The jobs of a profile whose names match.

        Args:
            profile: one of those that the plan has; by default all.
            only: patterns as of a shell, ``*_seed0``; a job that matches any of them is taken. By default all.

        Raises:
            ValueError: the plan has no such profile, or a pattern matches no name; the message lists those there are.
        """
        there = {job.profile: None for job in self.runs}
        if profile is not None and profile not in there:
            raise ValueError(f"{self.path} has no runs of the profile {profile!r}: choose one of {', '.join(there)}")
        jobs = [job for job in self.runs if profile in (None, job.profile)]
        patterns = [only] if isinstance(only, str) else list(only)
        for pattern in patterns:
            if not any(fnmatchcase(job.name, pattern) for job in jobs):
                names = ", ".join(job.name for job in jobs)
                of = f" of the profile {profile}" if profile else ""
                raise ValueError(f"{self.path}: no run{of} is called {pattern!r}; there are {names}")
        return [job for job in jobs if not patterns or any(fnmatchcase(job.name, p) for p in patterns)]


def _expand(place: str, slug: str, entry: dict, defaults: dict) -> list[Job]:
    """The jobs of one entry: its systems in turn, each with all seeds."""
    _check_keys(place, entry)
    fields = OPTIONAL | defaults | entry
    if missing := [key for key in REQUIRED if key not in fields]:
        raise ValueError(f"{place}: {missing[0]!r} is missing; an entry needs {', '.join(REQUIRED)}")
    fields["set"] = defaults.get("set", {}) | entry.get("set", {})
    for system in fields["systems"]:
        known = _arguments(LatentModel.registry[system])
        for argument in fields["set"]:
            if argument not in known:
                raise ValueError(f"{place}, 'set': {system} has no argument {argument!r}; it has {', '.join(known)}")
    if shared := set(fields["split"].split("+")) & set(fields["judged_on"].split("+")):
        raise ValueError(f"{place}, 'judged_on': the split {shared.pop()} is trained on, too")
    seeds, weights, steps = fields["seeds"], fields["weights"], fields["steps"]
    if weights != "all" and (other := [seed for seed in weights if seed not in seeds]):
        raise ValueError(f"{place}, 'weights': {other[0]} is none of the seeds {', '.join(map(str, seeds))}")
    return [
        Job(
            slug=slug,
            name=_name(place, fields, system, seed),
            profile=fields["profile"],
            system=system,
            settings={
                key: value.replace("{seed}", str(seed)) if key.endswith("_record") and isinstance(value, str) else value
                for key, value in fields["set"].items()
            },
            source=fields["data"],
            n=fields["images"],
            data_seed=fields["data_seed"],
            split=fields["split"],
            judged_on=fields["judged_on"],
            seed=seed,
            steps=steps,
            batch_size=fields["batch_size"],
            precision=fields["precision"],
            threads=fields["threads"],
            keep="weights" if weights == "all" or seed in weights else "observed",
            measure_at=_measure_at(place, fields["measures"], steps),
        )
        for system in fields["systems"]
        for seed in seeds
    ]


def _name(place: str, fields: Mapping, system: str, seed: int) -> str:
    values = fields["set"] | {"system": system.lower(), "seed": seed, "profile": fields["profile"]}
    name = ""
    try:
        parts = list(string.Formatter().parse(fields["name"]))
    except ValueError as error:
        raise ValueError(f"{place}, 'name': {error}") from None
    for text, key, form, conversion in parts:
        name += text
        if key is None:
            continue
        if key not in values or form or conversion:
            known = ", ".join(f"{{{value}}}" for value in values)
            raise ValueError(f"{place}, 'name': an unknown placeholder in {fields['name']!r}; there are {known}")
        name += str(values[key])
    if not PLAIN.fullmatch(name):
        raise ValueError(
            f"{place}, 'name': {name!r} is no plain name of a file: use letters, digits, '_', '-' and '.', 100 at most"
        )
    return name


def _measure_at(place: str, measures: int | list[int], steps: int) -> tuple[int, ...]:
    if isinstance(measures, int):
        if measures > steps:
            raise ValueError(f"{place}, 'measures': {measures} are more than the {steps} steps")
        return tuple(round(steps * k / measures) for k in range(1, measures + 1))
    if beyond := [step for step in measures if step > steps]:
        raise ValueError(f"{place}, 'measures': {beyond[0]} is beyond the {steps} steps")
    return tuple(sorted({*measures, steps}))


def _arguments(model: type[LatentModel]) -> list[str]:
    """The arguments of a model's constructor but the image's shape; a subclass may pass **options on to its bases."""
    names: dict[str, None] = {}
    for base in model.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        names |= {p.name: None for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in names if name not in ("channels", "size")]


def _check_keys(place: str, fields: Mapping) -> None:
    """Each key that is there is known and has a value of its kind."""
    for key, value in fields.items():
        if key not in CHECKS:
            raise ValueError(f"{place}: {key!r} is unknown; an entry has {', '.join(CHECKS)}")
        if problem := CHECKS[key](value):
            raise ValueError(f"{place}, {key!r}: expected {problem}, got {value!r}")


Check = Callable[[object], str]  # what was expected, or "" where the value is right


# bool is a kind of int in Python, not in a plan.
def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**63


def _text(value: object) -> str:
    return "" if isinstance(value, str) and value else "text"


def _number(least: int) -> Check:
    return lambda value: "" if _whole(value, least) else f"a whole number from {least}"


def _choice(*known: str) -> Check:
    return lambda value: "" if value in known else f"one of {', '.join(known)}"


def _list(value: object, right: Callable[[object], bool], of: str) -> str:
    good = isinstance(value, list) and value and all(right(v) and v not in value[:i] for i, v in enumerate(value))
    return "" if good else f"a list of {of}, each once"


def _systems(value: object) -> str:
    known = list(LatentModel.registry)
    return _list(value, lambda one: one in known, f"classes of medlatent.models ({', '.join(known)})")


def _seeds(value: object) -> str:
    return _list(value, lambda one: _whole(one, 0), "whole numbers from 0")


def _weights(value: object) -> str:
    return "" if value in ("all", []) or not _seeds(value) else '"all" or a list of seeds'


def _measures(value: object) -> str:
    good = _whole(value, 1) or not _list(value, lambda one: _whole(one, 1), "")
    return "" if good else "a number of steps or a list of steps, from 1"


def _settings(value: object) -> str:
    try:
        json.dumps(value, allow_nan=False)  # as the record will hold them: no dates, no infinite numbers
    except (TypeError, ValueError) as error:
        return f"arguments of the model that JSON can hold ({error})"
    return "" if isinstance(value, dict) else "a table of the model's arguments"


CHECKS: dict[str, Check] = {
    "profile": _choice(*PROFILES),
    "name": _text,
    "systems": _systems,
    "seeds": _seeds,
    "data": _text,
    "steps": _number(1),
    "batch_size": _number(1),
    "images": _number(1),
    "data_seed": _number(0),
    "split": _choice(*SPLITS),
    "judged_on": _choice(*JUDGES),
    "set": _settings,
    "precision": _choice(*PRECISIONS),
    "threads": _number(1),
    "weights": _weights,
    "measures": _measures,
}
