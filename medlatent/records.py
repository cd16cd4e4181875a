"""Records: what a long run produced, with everything needed to run it again and to check it.

A record is a JSON file ``results/<slug>/<name>.json``. Beside it lie its model card ``<name>.md``, and its weights
``<name>.safetensors`` where a page shows the model, or else ``<name>.observed.safetensors``: what its numbers are
computed from, such as the code of every test image, in 16 bits. All of them change together or not at all. The numbers
can be computed again, which the tests do: a record written by hand fails, and so do exchanged weights.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .cards import model_card
from .data import DataError, ImageSet, at_hand, find_source, open_images, packed_folder
from .evaluation import Numbers, agrees, numbers_of, observe
from .files import (
    check_name,
    claim,
    is_there,
    naming,
    project_folder,
    read_json,
    read_tensors,
    recover,
    replacing_together,
    save_tensors,
    write_json,
)
from .models import LatentModel, load
from .plans import JUDGES

FORMAT = "medlatent.Record"
VERSION = 2
OBSERVED = "medlatent.observed"
OBSERVED_VERSION = 1
OTHERS = ("claims.json",)  # what lies in the folder of a chapter, too, and is no record
DEPTH = 20  # of lists in lists in a record; Python itself gives up at some hundreds, and not in words
Kinds = dict[str, tuple[type, ...]]  # of each field, what it may be
TEXT, NUMBER, WHOLE, PERHAPS = (str,), (int, float), (int,), (int, type(None))
SET: Kinds = {"source": TEXT, "n": PERHAPS, "seed": WHOLE, "split": TEXT, "images": WHOLE, "fingerprint": TEXT}
FILE: Kinds = {"file": TEXT, "sha256": TEXT, "bytes": WHOLE}
CARD = ("name", "licence", "citation")  # what the card of the data says, too
RUN_TEXTS = ("precision", "device", "torch", "finished", "commit", "command")
# What the parts of a record must hold. Others may be there, too.
NESTED: dict[str, Kinds] = {
    "data": SET | dict.fromkeys(CARD, TEXT),
    "run": {"steps": WHOLE, "batch_size": WHOLE, "seed": WHOLE, "seconds": NUMBER, **dict.fromkeys(RUN_TEXTS, TEXT)},
    "weights": FILE,
    "observed": FILE,
}
ENTRY: Kinds = SET | {"values": (dict,)}
# Of the others, what kind they are of where they are there.
OPTIONAL: dict[str, Kinds] = {
    "data": {"columns": TEXT},
    "run": {"code": TEXT},
    "weights": {"dtype": TEXT, "without": (list,)},
    "metrics": {"left_out": (dict,)},
}


def results_folder() -> Path:
    """The project's ``results`` folder: beside the package in a checkout, else in the working directory."""
    return project_folder("results")


@dataclass(frozen=True)
class Record:
    """One recorded run.

    Attributes:
        slug: the chapter it belongs to.
        name: of the run within the chapter.
        model: the class name.
        config: the constructor's arguments.
        data: what it was trained on, and under which licence.
        run: how: profile, steps, batch size, seed, precision, device, versions, commit, command, date, duration.
        weights: ``file`` (beside the record), ``sha256``, ``bytes``, ``dtype`` (where it is not float32); empty where
            the weights were not kept.
        observed: ``file``, ``sha256``, ``bytes`` of what the numbers are computed from, where no weights are kept.
        history: ``step`` and each term of the loss, averaged over windows of steps.
        measures: what was measured along the way: a row for each step, ``step`` and numbers by name.
        metrics: for each evaluation set, how it is opened, the numbers, and in records that say it why others are
            left out.
    """

    slug: str
    name: str
    model: str
    config: dict
    data: dict
    run: dict
    weights: dict
    observed: dict
    history: dict
    measures: list
    metrics: dict

    @property
    def called(self) -> str:
        """``slug/name``."""
        return f"{self.slug}/{self.name}"

    @property
    def model_class(self) -> type[LatentModel]:
        """The class that ``model`` names.

        Raises:
            ValueError: there is none of that name; the message lists those there are.
        """
        if self.model not in LatentModel.registry:
            known = ", ".join(LatentModel.registry)
            raise ValueError(f"{self.called}: model is {self.model!r}, which is none of {known}")
        return LatentModel.registry[self.model]

    @classmethod
    def read(cls, path: str | os.PathLike) -> Record:
        """Reads a record, and checks everything that can be checked without its data.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no record, one of another version, was changed since it was written, lacks a field, or
                says that it belongs elsewhere; the message names file and field.
        """
        path = Path(path).resolve()
        recover(path.parent)
        fields = read_json(path, FORMAT, VERSION, {n: _type(k) for n, k in cls.__annotations__.items()}, checksum=True)
        if deep := [name for name, value in fields.items() if _is_deeper(value, DEPTH)]:
            raise ValueError(f"{path}: the field {deep[0]!r} is nested too deeply")
        record = cls(**{name: fields[name] for name in cls.__annotations__})
        for name, there in (("slug", path.parent.name), ("name", path.stem)):
            if (said := getattr(record, name)) != there:
                raise ValueError(f"{path}: the field {name!r} says {said!r}, but the file lies in {there!r}")
        record._check(path)
        return record

    def _check(self, where: object) -> None:
        """Refuses what does not fit together."""
        for name in (self.slug, self.name):
            check_name(name, f"{where}: slug and name")
        for name, fields in NESTED.items():
            part = getattr(self, name)
            if part or name in ("data", "run"):
                _check_fields(f"{where}: {name}", part, fields, OPTIONAL.get(name, {}))
        for part, ending in (("weights", ".safetensors"), ("observed", ".observed.safetensors")):
            if (entry := getattr(self, part)) and entry["file"] != f"{self.name}{ending}":
                raise ValueError(f"{where}: {part}.file must be {self.name}{ending}, not {entry['file']!r}")
        if not self.weights and not self.observed:
            raise ValueError(f"{where}: neither weights nor what was observed are named: no number could be checked")
        if not all(isinstance(network, str) for network in self.weights.get("without", [])):
            raise ValueError(f"{where}: weights.without must be names of networks, got {self.weights['without']!r}")
        if not re.fullmatch("[0-9a-f]{64}", self.data["fingerprint"]):
            raise ValueError(f"{where}: data.fingerprint must be a SHA-256, got {self.data['fingerprint']!r}")
        self._check_steps(where)
        if not self.metrics:
            raise ValueError(f"{where}: there are no metrics")
        for key, entry in self.metrics.items():
            _check_fields(f"{where}: metrics.{key}", entry, ENTRY, OPTIONAL["metrics"])
            if key != (there := f"{entry['source']}/{entry['split']}"):
                raise ValueError(f"{where}: metrics.{key} is of {there}")
            if not entry["values"] or not all(map(_is_number, entry["values"].values())):
                raise ValueError(f"{where}: metrics.{key}.values must be finite numbers by name")
            if not all(isinstance(reason, str) for reason in entry.get("left_out", {}).values()):
                raise ValueError(f"{where}: metrics.{key}.left_out must be reasons by name")
        if (own := self.own_set) not in self.metrics:
            raise ValueError(f"{where}: there are no metrics of {own}, the test images of the data it was trained on")
        for field in ("n", "seed"):
            if (said := self.metrics[own][field]) != self.data[field]:
                raise ValueError(f"{where}: metrics.{own}.{field} is {said}, data.{field} is {self.data[field]}")

    @property
    def own_set(self) -> str:
        """The key of ``metrics`` of the images that judge it: the test split of its own data, or what a plan said."""
        sets = [f"{self.data['source']}/{split}" for split in JUDGES]
        return next((key for key in sets if key in self.metrics), sets[0])

    def _check_steps(self, where: object) -> None:
        """Refuses a history, or measures, that are no rows of numbers at rising steps, up to the last."""
        last, steps = self.run["steps"], self.history.get("step")
        if not isinstance(steps, list) or not _are_rising(steps) or steps[-1] != last:
            raise ValueError(f"{where}: history.step must rise to {last}, which run.steps states")
        for term, values in self.history.items():
            if not isinstance(values, list) or len(values) != len(steps) or not all(map(_is_number, values)):
                raise ValueError(f"{where}: history.{term} must be {len(steps)} finite numbers")
        if not all(isinstance(row, dict) and all(map(_is_number, row.values())) for row in self.measures):
            raise ValueError(f"{where}: measures must be rows of finite numbers by name")
        if self.measures and (not _are_rising(at := [row.get("step") for row in self.measures]) or at[-1] > last):
            raise ValueError(f"{where}: the steps of measures must rise, to {last} at most")

    def write(
        self, folder: str | os.PathLike, contents: Mapping[str, bytes] | None = None, overwrite: bool = False
    ) -> Path:
        """Writes ``<folder>/<slug>/<name>.json``, its model card, and what lies beside it: all together or nothing.

        Args:
            folder: the results folder.
            contents: the bytes of the files that ``weights`` and ``observed`` name; what is not given must lie there
                already. A file of the record that it no longer names vanishes.
            overwrite: whether a record of this name may be replaced.

        Raises:
            ValueError: the record does not fit together, or a file is not what it names by its SHA-256.
            FileExistsError: there is a record of this name, and ``overwrite`` is false.
            OSError: another process is writing the same record, or it cannot be written.
        """
        self._check(self.called)
        contents, place = dict(contents or {}), Path(folder) / self.slug
        path = place / f"{self.name}.json"
        place.mkdir(parents=True, exist_ok=True)
        with claim(path):
            recover(place)
            if path.exists() and not overwrite:
                raise FileExistsError(f"{path} exists, and is not to be replaced")
            named = {entry["file"]: entry for entry in (self.weights, self.observed) if entry}
            for file, entry in named.items():
                content = contents.get(file)
                if content is None:
                    content = (place / file).read_bytes() if (place / file).is_file() else b""
                if (hashlib.sha256(content).hexdigest(), len(content)) != (entry["sha256"], entry["bytes"]):
                    raise ValueError(f"{place / file} is not what {self.called} names: its SHA-256 differs")
            if strange := sorted(set(contents) - set(named)):
                raise ValueError(f"{self.called} names no file {strange[0]!r}")
            possible = (f"{self.name}.safetensors", f"{self.name}.observed.safetensors")
            stale = [place / file for file in possible if file not in named and (place / file).exists()]
            targets = [path, path.with_suffix(".md"), *(place / file for file in contents)]
            with replacing_together(*targets, remove=stale) as (record, card, *files):
                write_json(record, asdict(self), FORMAT, VERSION, checksum=True)
                others = [model_card(self).encode(), *contents.values()]
                for target, file, content in zip(targets[1:], (card, *files), others, strict=True):
                    with naming(target):
                        file.write_bytes(content)
        return path

    def _file(self, part: str, folder: str | os.PathLike | None) -> Path:
        """The file that ``weights`` or ``observed`` names, checked."""
        entry = getattr(self, part)
        path = Path(results_folder() if folder is None else folder) / self.slug / entry["file"]
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the {part} of the record {self.called} are missing")
        if path.stat().st_size != entry["bytes"] or _sha256(path) != entry["sha256"]:
            raise ValueError(f"{path} is not what {self.called} was recorded with: its SHA-256 differs")
        return path

    def load_model(self, folder: str | os.PathLike | None = None) -> LatentModel:
        """The trained model, in evaluation mode on the CPU.

        Args:
            folder: the results folder; by default the project's.

        Raises:
            FileNotFoundError: the weights are missing, or were not kept.
            ValueError: the weights are not those that the record was made with, or not of the model that it names.
        """
        if not self.weights:
            raise FileNotFoundError(
                f"{self.called} was recorded without its weights, with what its numbers are computed from; "
                f"made again with them: {self.run['command']}"
            )
        path = self._file("weights", folder)
        model = load(path)
        if (type(model).__name__, model.config) != (self.model, self.config):
            raise ValueError(
                f"{path} holds {type(model).__name__}({model.config}), the record {self.called} says "
                f"{self.model}({self.config})"
            )
        if list(model.left_out) != (said := self.weights.get("without", [])):
            raise ValueError(f"{path} lacks {list(model.left_out)}, weights.without of {self.called} says {said}")
        return model

    def load_observed(self, folder: str | os.PathLike | None = None) -> dict[str, dict[str, dict[str, np.ndarray]]]:
        """What was observed, in 16 bits: of each evaluation set, of each module that observes, arrays by name.

        Raises:
            FileNotFoundError: it was not kept, since the weights were, or is missing.
            ValueError: it is not what the record was made with.
        """
        if not self.observed:
            raise FileNotFoundError(f"{self.called} holds its weights, and not what was observed: use load_model")
        return read_observed(self._file("observed", folder))

    def compact(
        self, folder: str | os.PathLike | None = None, keep_weights: bool = True
    ) -> tuple[Record, dict[str, bytes]]:
        """A smaller record: its weights rounded to 16 bits without what only training needs, or no weights at all.

        Args:
            folder: the results folder; by default the project's.
            keep_weights: false puts what the numbers are computed from in the place of the weights.

        Returns:
            The record, and the contents of its files: pass both to :meth:`write`. Numbers that agree with those that
            are recorded stay as they are.

        Raises:
            ValueError: an evaluation set is not at hand; a number would move by more than its tolerance; or what
                :meth:`reevaluate` refuses.
        """
        if missing := [key for key, entry in self.metrics.items() if not at_hand(entry["source"])]:
            raise ValueError(f"{self.called}: {missing[0]} is not packed here")
        model = self.load_model(folder)
        if keep_weights:
            weights, content = save_weights(model, self.name)
            smaller, contents = replace(self, weights=weights), {weights["file"]: content}
        else:
            found = {key: observe(model, open_entry(self.called, key, entry)) for key, entry in self.metrics.items()}
            observed, content = save_observed(found, self.name)
            smaller, contents = replace(self, weights={}, observed=observed), {observed["file"]: content}
        with tempfile.TemporaryDirectory() as elsewhere:
            smaller.write(elsewhere, contents)
            for key, pairs in smaller.reevaluate(elsewhere).items():
                for name, (was, now) in pairs.items():
                    if not agrees(was, now, name):
                        raise ValueError(f"{self.called}: {key} {name} would move from {was:.6g} to {now:.6g}")
        return smaller, contents

    def supplement(
        self, folder: str | os.PathLike | None = None, anew: bool = False
    ) -> tuple[Record, list[str], list[str]]:
        """The record with the numbers that its suites have learnt to compute since it was written.

        Numbers that are there stay as they are.

        Args:
            folder: the results folder; by default the project's.
            anew: a number that is computed otherwise today, since a measure or the data's factors were mended, takes
                the place of the one that is there, and what no suite computes any more goes. What was measured along
                the run stays.

        Returns:
            The record; the names of what was added, ``set: number``; and of what changed or went. On sets that are not
            at hand nothing is.

        Raises:
            ValueError: a number that is there is no longer what is computed, unless ``anew``, or what
                :meth:`reevaluate` refuses.
        """
        metrics, added, changed = {}, [], []
        now = self.evaluate(folder)
        for key, entry in self.metrics.items():
            values, computed = entry["values"], now.get(key, entry["values"])
            same = {name: was for name, was in values.items() if name in computed and agrees(was, computed[name], name)}
            other = [name for name in values if name not in same]
            if not anew and (moved := [name for name in other if name in computed]):
                was, is_now = values[moved[0]], computed[moved[0]]
                raise ValueError(f"{self.called}: {key} {moved[0]} was {was} and is {is_now} now")
            added += [f"{key}: {name}" for name in computed if name not in values]
            changed += [f"{key}: {name}" for name in other if anew]
            kept = {} if anew else values
            metrics[key] = entry | {"values": kept | {name: same.get(name, new) for name, new in computed.items()}}
            if "left_out" in entry and key in now:
                metrics[key] = metrics[key] | {"left_out": now[key].left_out}
        return replace(self, metrics=metrics), added, changed

    def reevaluate(self, folder: str | os.PathLike | None = None) -> dict[str, dict[str, tuple[float, float]]]:
        """Computes every metric again, on the data that are at hand, and compares all else that the record states.

        Returns:
            For each evaluation set whose data are there, for each metric: the recorded number and the new one.

        Raises:
            ValueError: data at hand are damaged or not those that were recorded, in their number, their pixels or the
                columns that the model used; or the recorded numbers are not those that the model's suites compute.
        """
        return self.compare(self.evaluate(folder))

    def compare(self, computed: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, tuple[float, float]]]:
        """Puts what :meth:`evaluate` computed beside the recorded numbers, see :meth:`reevaluate`."""
        pairs = {}
        for key, now in computed.items():
            values = self.metrics[key]["values"]
            if unknown := sorted(set(values) - set(now)):
                raise ValueError(f"{self.called}: {key} holds {', '.join(unknown)}, which no suite computes")
            if lacking := sorted(set(now) - set(values)):
                raise ValueError(
                    f"{self.called}: {key} lacks {', '.join(lacking)}; `python -m medlatent evaluate --add` adds what "
                    "suites have learnt to compute since"
                )
            pairs[key] = {name: (was, now[name]) for name, was in values.items()}
        return pairs

    def evaluate(self, folder: str | os.PathLike | None = None) -> dict[str, Numbers]:
        """The numbers of each evaluation set whose data are at hand, computed now, with what is left out and why.

        Args:
            folder: the results folder; by default the project's.

        Raises:
            ValueError: data at hand are damaged or not those that were recorded.
        """
        suites = self.model_class.suites
        self._check_sets()
        self._check_training_data()
        there = {key: entry for key, entry in self.metrics.items() if at_hand(entry["source"])}
        if self.weights:
            model = self.load_model(folder)
            seen = {key: observe(model, open_entry(self.called, key, entry)) for key, entry in there.items()}
        else:
            seen = self.load_observed(folder)
            if missing := [key for key in there if key not in seen]:
                raise ValueError(f"{self.called}: nothing was observed of {missing[0]}")
        return {key: numbers_of(seen[key], open_entry(self.called, key, entry), suites) for key, entry in there.items()}

    def _check_sets(self) -> None:
        """Refuses a record without the numbers of a set that its run was judged on."""
        source = find_source(self.data["source"])
        wanted = {self.own_set: (self.data["n"], self.data["seed"])}
        if source and (other := source.stand_in):
            wanted[f"{other.source}/test"] = other.n, other.seed
        if wanted != (found := {key: (entry["n"], entry["seed"]) for key, entry in self.metrics.items()}):
            raise ValueError(f"{self.called}: it is judged on the sets {found}, not on {wanted}: set, n and seed")

    def _check_training_data(self) -> None:
        data, source = self.data, find_source(self.data["source"])
        if not at_hand(data["source"]):
            if source and source.licence not in ("", data["licence"]):
                raise ValueError(
                    f"{self.called}: data.licence says {data['licence']!r}, {source.name} is under {source.licence!r}"
                )
            return
        images = _opened(f"{self.called}: data", data["source"], data["n"], data["seed"], data["split"])
        for field, now in (("images", len(images)), *((f, getattr(images.card, f)) for f in CARD)):
            if data[field] != now:
                raise ValueError(f"{self.called}: data.{field} says {data[field]!r}, the data here {now!r}")
        if source and not source.exact:
            return  # rendered anew, another processor may round a pixel otherwise
        try:
            with torch.random.fork_rng(devices=[]):  # building a model draws weights
                model = self.model_class(**self.config)
        except (TypeError, ValueError, RuntimeError, OverflowError, MemoryError) as error:
            raise ValueError(f"{self.called}: {self.model} cannot be built with its config: {error}") from None
        try:
            model.check_images(images.images.shape[1:], f"{self.called}: the images of {images.card.name} here")
        except ValueError as error:
            raise ValueError(f"{error}: {_as_recorded(data['source'])}") from None
        if images.fingerprint != data["fingerprint"]:
            raise ValueError(
                f"{self.called}: the training images here are not those of data.fingerprint; "
                f"{_as_recorded(data['source'])}"
            )
        columns = model.columns  # which may be an argument of the model's
        if data.get("columns", "") != (images.fingerprint_of(columns) if columns else ""):
            raise ValueError(f"{self.called}: the columns {', '.join(columns)} here are not those that were recorded")


def with_left_out(numbers: Numbers) -> dict[str, dict]:
    """The fields of an entry of ``metrics`` that hold numbers, and what is left out where something is."""
    return {"values": dict(numbers)} | ({"left_out": numbers.left_out} if numbers.left_out else {})


def open_entry(called: str, key: str, entry: Mapping) -> ImageSet:
    """The evaluation set that an entry of a record's ``metrics`` states.

    Raises:
        ValueError: what is at hand is not the set that was recorded.
    """
    images = _opened(f"{called}: {key}", entry["source"], entry["n"], entry["seed"], entry["split"])
    if len(images) != entry["images"]:
        raise ValueError(f"{called}: {key} was recorded with {entry['images']} images, here there are {len(images)}")
    if entry["fingerprint"] != _fingerprint(entry["source"], images):
        raise ValueError(f"{called}: {key} here is not the set that was recorded; {_as_recorded(entry['source'])}")
    return images


def _as_recorded(source: str) -> str:
    """How to get the set of a source that records were made on, where another one is at hand."""
    described = find_source(source)
    if described and described.packing:
        return f"set it aside, and pack it as for the records: {described.packing}"
    return "pack it as it was when the record was made"


def state_entry(source: str, split: str = "test", n: int | None = None, seed: int = 0) -> tuple[dict, ImageSet]:
    """What a record states of an evaluation set, without the numbers, and the set.

    The fingerprint of rendered images is left out: another processor may round a pixel otherwise.
    """
    images = _opened("", source, n, seed, split)
    entry = {"source": source, "n": n, "seed": seed, "split": split, "images": len(images)}
    return entry | {"fingerprint": _fingerprint(source, images)}, images


def _fingerprint(source: str, images: ImageSet) -> str:
    described = find_source(source)
    return images.fingerprint if described is None or described.exact else ""


def _opened(asked_by: str, source: str, n: int | None, seed: int, split: str) -> ImageSet:
    """An image set, kept for the next record: sets of one source are rendered, or read and compared, only once."""
    folder = packed_folder(source)
    files = sorted(folder.resolve().iterdir()) if folder and folder.is_dir() else []
    known_by = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    try:
        return _split(source, n, seed, split, known_by)
    except ValueError as error:
        raise DataError(f"{asked_by}: {error}" if asked_by else str(error)) from None


@lru_cache(maxsize=4)
def _split(source: str, n: int | None, seed: int, split: str, files: tuple) -> ImageSet:
    return _whole(source, n, seed, files).split(*split.split("+"))


@lru_cache(maxsize=2)
def _whole(source: str, n: int | None, seed: int, files: tuple) -> ImageSet:
    return open_images(source, n, seed)


def save_weights(model: LatentModel, name: str) -> tuple[dict[str, Any], bytes]:
    """The weights that a reader needs, in 16 bits: the record's entry, and the file's content.

    What everybody would download is a half or a quarter then: a network that only training needs is left out.
    """
    entry = {"dtype": "float16"} | ({"without": list(model.only_for_training)} if model.only_for_training else {})
    with tempfile.TemporaryDirectory() as folder:
        path = model.save(Path(folder) / f"{name}.safetensors", dtype=torch.float16, without=model.only_for_training)
        return _entry(path) | entry, path.read_bytes()


def save_observed(observed: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]], name: str) -> tuple[dict, bytes]:
    """What was observed on each evaluation set, in 16 bits: the record's entry, and the file's content.

    Each column is divided into 65 534 steps from its least value to its greatest: half a step, by which it is rounded,
    is 8 millionths of its range wherever the range lies, where float16 would keep three digits of each value. What is
    the same on two sets, such as what a generator draws, is written once.
    """
    arrays = {
        "|".join(filter(None, (key, module, array, part))): np.array(values, order="C")
        for key, modules in observed.items()
        for module, seen in modules.items()
        for array, whole in (seen or {NOTHING: np.zeros(1, np.int16)}).items()
        for part, values in _in_16_bits(whole).items()
    }
    first: dict[tuple, str] = {}
    same = {name: first.setdefault((a.dtype.str, a.shape, a.tobytes()), name) for name, a in arrays.items()}
    tensors = {name: torch.from_numpy(arrays[name]) for name in first.values()}
    same = {name: other for name, other in same.items() if name != other}
    with tempfile.TemporaryDirectory() as folder:
        path = save_tensors(
            Path(folder) / f"{name}.observed.safetensors", tensors, OBSERVED, OBSERVED_VERSION, record=name, same=same
        )
        return _entry(path), path.read_bytes()


def read_observed(path: str | os.PathLike) -> dict[str, dict[str, dict[str, np.ndarray]]]:
    """What :func:`save_observed` wrote.

    Raises:
        ValueError: the file is none; the message names it.
    """
    tensors, header = read_tensors(path, OBSERVED, OBSERVED_VERSION, {"record": str, "same": dict})
    if Path(path).name != f"{header['record']}.observed.safetensors":
        raise ValueError(f"{path} belongs to the record {header['record']!r}")
    if lost := [n for n, other in header["same"].items() if not isinstance(other, str) or other not in tensors]:
        raise ValueError(f"{path}: {lost[0]!r} is the same as an array that is not there")
    tensors |= {name: tensors[other] for name, other in header["same"].items()}
    found: dict[str, dict[str, dict[str, np.ndarray]]] = {}
    for name, tensor in tensors.items():
        key, module, array, *part = (*name.split("|"), "", "")[: max(3, name.count("|") + 1)]
        if not array or part not in ([], ["low"], ["step"]):
            raise ValueError(f"{path}: {name!r} is no array of an evaluation set and a suite")
        if not part:
            low, step = tensors.get(f"{name}|low"), tensors.get(f"{name}|step")
            values = tensor.numpy()
            if low is not None or step is not None:
                if low is None or step is None or {low.shape, step.shape} != {tensor.shape[1:]}:
                    raise ValueError(f"{path}: {name!r} lacks the least value or the step of its columns")
                levels = np.where(values == GAP, np.nan, values.astype(np.float64) - LEAST)
                values = low.numpy() + step.numpy() * levels
            arrays = found.setdefault(key, {}).setdefault(module, {})
            if array != NOTHING:
                arrays[array] = values
    return found


NOTHING = "nothing"  # stands for a suite that looked and saw nothing, such as one of digits in a set without them
GAP, LEAST, MOST = -(2**15), -(2**15) + 1, 2**15 - 1  # what stands for a missing value, and the levels of the others


def _in_16_bits(values: np.ndarray) -> dict[str, np.ndarray]:
    """The array (under ""), and what it is computed from its levels with: ``low`` and ``step`` of each column."""
    if values.dtype.kind != "f":
        return {"": values.astype(np.int16) if np.abs(values).max(initial=0) < 2**15 else values}
    if np.isinf(values).any():
        return {"": values}
    exact, gap = values.astype(np.float64), np.isnan(values)
    low = np.where(gap, np.inf, exact).min(0)
    low = np.where(np.isinf(low), 0.0, low)  # of a column without a value
    step = (np.where(gap, low, exact).max(0) - low) / (MOST - LEAST)
    levels = np.rint((np.where(gap, low, exact) - low) / np.where(step > 0, step, 1)) + LEAST
    return {"": np.where(gap, GAP, levels).astype(np.int16), "low": low, "step": step}


def _entry(path: Path) -> dict[str, Any]:
    return {"file": path.name, "sha256": _sha256(path), "bytes": path.stat().st_size}


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _type(annotation: str) -> type:
    return {"str": str, "dict": dict, "list": list}[annotation]


def _check_fields(where: str, part: object, fields: Kinds, optional: Kinds | None = None) -> None:
    if not isinstance(part, dict):
        raise ValueError(f"{where} must be an object, got {part!r}")
    for name, kinds in {**fields, **{n: kinds for n, kinds in (optional or {}).items() if n in part}}.items():
        value = part.get(name)
        if name not in part or not isinstance(value, kinds) or not _is_sane(value):
            words = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
            raise ValueError(f"{where}.{name} must be {words}, got {value!r}")


def _is_sane(value: object) -> bool:
    return not isinstance(value, bool) and (not isinstance(value, int | float) or _is_number(value))


def _is_number(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return abs(value) < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _are_rising(steps: Sequence) -> bool:
    """Whether they are whole numbers, one at least, from 1 on."""
    if not steps or not all(isinstance(step, int) and _is_number(step) for step in steps):
        return False
    return steps[0] > 0 and all(a < b for a, b in pairwise(steps))


def _is_deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inside = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inside)


def record_paths() -> list[Path]:
    """The files of all records of the project, in the order of their names."""
    return [path for path in sorted(results_folder().glob("*/*.json")) if path.name not in OTHERS]


def find_record(slug: str, name: str) -> Record:
    """The record ``results/<slug>/<name>.json``.

    Raises:
        FileNotFoundError: there is none; the message lists those there are.
    """
    path = results_folder() / slug / f"{name}.json"
    if not is_there(path):
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.json") if p.name not in OTHERS)) or "none"
        raise FileNotFoundError(f"{path}: no such record; recorded for {slug}: {there}")
    return Record.read(path)
