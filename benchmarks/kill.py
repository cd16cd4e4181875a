"""kill -9 at random moments of a training, packings, saves, a plan and a build: whether anything is lost.

    python benchmarks/kill.py --times 1000 --seed 0

Each kill is of a process group of its own, in a fresh folder. Every second one comes at a moment uniform over the time
that the work takes uninterrupted; the others are aimed: uniform over the duration of one of its writes, from when it
has begun. Then

- what a reader finds is a state that the uninterrupted work passes through, whole: the last that was completely
  written, or the one whose writing was under way. Every fourth time nobody reads before the restart, since a reader
  sweeps up;
- the same work, started again, goes to its end, and what lies there then is, bit for bit, what the uninterrupted work
  leaves (but for times of day, durations and the order in the header of a file of weights), and no other file.

A *write* is the time from the making of a temporary file or folder to its having taken its place. The processes are
forks of this one, so that a kill costs no import of PyTorch; those of a build are new ones, see ``Building``.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import importlib.util
import io
import json
import mmap
import os
import pickle
import random
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image
from tqdm import tqdm

import medlatent.data.imageset
import medlatent.explore.one_file
import medlatent.files.tensors
import medlatent.records
from medlatent.cards import model_card
from medlatent.data import Card, ImageSet, ham10000
from medlatent.explore import Explorer
from medlatent.files import read_tensors
from medlatent.models import VAE
from medlatent.plans import Plan
from medlatent.records import Record
from medlatent.runs import checkpoint_of, perform, run_plan
from medlatent.training import FORMAT, VERSION, train

ROOT = Path(__file__).resolve().parents[1]
WRITERS = (
    (medlatent.files.tensors, "replacing"),
    (medlatent.explore.one_file, "replacing"),
    (medlatent.data.imageset, "replacing_together"),
    (medlatent.records, "replacing_together"),
)
LIMIT = 300  # seconds for what takes a few: a restart that hangs is a loss, too
Listing = dict[str, str]  # of each file its SHA-256


def listing(folder: Path) -> Listing:
    """What lies in a folder, at any depth; of a folder without anything in it, its name."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
        if path.is_file() or not any(path.iterdir())
    }


def pictures(n: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 3, size, size), dtype=np.uint8)


CARD = Card("small set", "computed here", "CC0-1.0", "nobody", "none")


class Training:
    """Twelve steps with a checkpoint after each second one."""

    name = "training with checkpoints"

    def prepare(self, folder: Path) -> None:
        """Nothing is there before."""

    def work(self, folder: Path) -> None:
        torch.manual_seed(0)
        images = torch.rand(20, 3, 16, 16)
        model = VAE(latent_dim=2, channels=3, size=16)
        options = {"batch_size": 4, "device": "cpu", "precision": "float32", "progress": False}
        train(model, images, 12, checkpoint=folder / "run.checkpoint", checkpoint_every=2, **options)

    def state(self, folder: Path) -> object:
        """Weights, moments, random numbers and history."""
        if not (path := folder / "run.checkpoint").exists():
            return None
        return hashlib.sha256(pickle.dumps([(n, v.numpy().tobytes()) for n, v in _sorted(path)])).hexdigest()

    def left(self, folder: Path) -> object:
        return self.state(folder), sorted(listing(folder))  # a checkpoint also holds the seconds that it took


def _sorted(path: Path) -> list[tuple[str, torch.Tensor]]:
    return sorted(read_tensors(path, FORMAT, VERSION)[0].items())


class Saving:
    """An image set takes the place of another: three files in a folder."""

    name = "save of an image set"

    def prepare(self, folder: Path) -> None:
        self._set(40).save(folder / "set")

    def work(self, folder: Path) -> None:
        self._set(60).save(folder / "set", overwrite=True)

    def _set(self, n: int) -> ImageSet:
        return ImageSet(pictures(n, 32), pd.DataFrame({"age": range(n)}), {}, CARD)

    def state(self, folder: Path) -> object:
        return ImageSet.load(folder / "set").fingerprint, listing(folder / "set")

    def left(self, folder: Path) -> object:
        return listing(folder)


class Packing:
    """Twelve images in the layout of HAM10000, archives and tables, become an image set."""

    name = "packing of HAM10000-like files"

    def prepare(self, folder: Path) -> None:
        source, ids = folder / "source", [f"ISIC_{i:07d}" for i in range(12)]
        source.mkdir()
        for part, names in (("images_part_1", ids[:6]), ("images_part_2", ids[6:])):
            with zipfile.ZipFile(source / f"HAM10000_{part}.zip", "w") as archive:
                for i, name in enumerate(names):
                    archive.writestr(f"{name}.jpg", self._encoded(self._ellipse(15 * i), "JPEG"))
        with zipfile.ZipFile(source / "HAM10000_segmentations_lesion_tschandl.zip", "w") as archive:
            for i, name in enumerate(ids):
                archive.writestr(f"{name}_segmentation.png", self._encoded(self._ellipse(15 * i)[..., 0], "PNG"))
        pd.DataFrame(
            {
                "lesion_id": [f"HAM_{i // 2:07d}" for i in range(12)],
                "image_id": ids,
                "dx": ["nv", "mel"] * 6,
                "dx_type": "histo",
                "age": 50.0,
                "sex": "female",
                "localization": "back",
            }
        ).to_csv(source / "HAM10000_metadata.csv", index=False)

    @staticmethod
    def _ellipse(degrees: int) -> np.ndarray:
        rows, columns = np.mgrid[-56:56, -75:75] / 20
        turn = np.radians(degrees)
        long, short = columns * np.cos(turn) - rows * np.sin(turn), columns * np.sin(turn) + rows * np.cos(turn)
        inside = (long**2 + (2 * short) ** 2 <= 1)[..., None]
        return np.repeat(np.where(inside, 255, 0).astype(np.uint8), 3, axis=2)

    @staticmethod
    def _encoded(pixels: np.ndarray, kind: str) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, kind)
        return buffer.getvalue()

    def work(self, folder: Path) -> None:
        try:
            ham10000.pack(folder / "source", folder / "packed", size=16, workers=1, progress=False)
        except ValueError as error:
            if "packed exists" not in str(error):  # or it was complete already, and says so
                raise

    def state(self, folder: Path) -> object:
        try:
            return ImageSet.load(folder / "packed").fingerprint, listing(folder / "packed")
        except ValueError as error:
            if "no such folder" in str(error):
                return None
            raise

    def left(self, folder: Path) -> object:
        return self.state(folder), listing(folder)  # opened: packing sees that the set is there, and sweeps nothing up


class Recording:
    """A record with its weights and its card takes the place of another with other weights."""

    name = "save of a record with weights"

    def prepare(self, folder: Path) -> None:
        write_plan(folder)
        (job, *_) = Plan.read(folder / "results/scratch/plan.toml").jobs()
        record, contents = perform(job, checkpoints=folder / "checkpoints", device="cpu")
        record.write(folder / "results", contents)
        shutil.rmtree(folder / "checkpoints")
        model = record.load_model(folder / "results")
        with torch.no_grad():
            for weight in model.parameters():
                weight.add_(1)
        weights, content = medlatent.records.save_weights(model, job.name)
        (folder / "next").write_bytes(pickle.dumps((replace(record, weights=weights), content)))

    def work(self, folder: Path) -> None:
        record, content = pickle.loads((folder / "next").read_bytes())
        record.write(folder / "results", {record.weights["file"]: content}, overwrite=True)

    def state(self, folder: Path) -> object:
        record = Record.read(folder / "results/scratch/vae_0.json")
        record.load_model(folder / "results")  # compares the SHA-256 of the weights with the record's
        if (folder / "results/scratch/vae_0.md").read_text(encoding="utf-8") != model_card(record):
            raise ValueError("the card is another record's")
        return record

    def left(self, folder: Path) -> object:
        return listing(folder)


class Exporting:
    """The page of an explorer takes the place of another. Its picture was drawn before: the writing is killed."""

    name = "save of an explorer's page"

    def prepare(self, folder: Path) -> None:
        self.explorer.title = "before"
        self.explorer.save(folder / "page.html")

    def work(self, folder: Path) -> None:
        self.explorer.title = "after"
        self.explorer.save(folder / "page.html", overwrite=True)

    @cached_property
    def explorer(self) -> Explorer:
        torch.manual_seed(0)
        explorer = Explorer(VAE(latent_dim=2, channels=3, size=16))
        picture = explorer._repr_mimebundle_()
        explorer._repr_mimebundle_ = lambda: picture
        return explorer

    def state(self, folder: Path) -> object:
        if not (text := (folder / "page.html").read_text(encoding="utf-8")).endswith("</html>\n"):
            raise ValueError("page.html has no end")
        return hashlib.sha256(text.encode()).hexdigest()

    def left(self, folder: Path) -> object:
        return listing(folder)


PLAN = """\
[[runs]]
profile = "ci"
name = "{system}_{seed}"
systems = ["VAE"]
seeds = [0, 1]
steps = 6
batch_size = 4
set = { latent_dim = 2 }
data = DATA
"""


def write_plan(folder: Path) -> None:
    """A chapter with a plan of two runs, and its data. A plan states its data by the path: wherever it is moved to."""
    splits = ["train"] * 12 + ["validation"] * 4 + ["test"] * 8
    ImageSet(pictures(24), pd.DataFrame({"split": splits}), {}, CARD).save(folder / "small")
    (folder / "results/scratch").mkdir(parents=True)
    (folder / "results/scratch/plan.toml").write_text(PLAN.replace("DATA", json.dumps("small")), encoding="utf-8")


class Planning:
    """Two runs of a plan: each is trained, with a checkpoint, evaluated and recorded."""

    name = "runs of a plan"

    def prepare(self, folder: Path) -> None:
        write_plan(folder)

    def work(self, folder: Path) -> None:
        plan, results = folder / "results/scratch/plan.toml", folder / "results"
        options = {"checkpoints": folder / "checkpoints", "device": "cpu", "progress": False}
        if failed := [one.error for one in run_plan(plan, folder=results, **options) if one.state != "done"]:
            raise RuntimeError(failed[0])

    def state(self, folder: Path) -> object:
        """Of each run its record, without times and what says which code there is, or else its checkpoint."""
        found: dict[str, object] = {}
        for job in Plan.read(folder / "results/scratch/plan.toml").jobs():
            path, checkpoint = folder / f"results/scratch/{job.name}.json", checkpoint_of(job, folder / "checkpoints")
            if path.exists():
                record = Record.read(path)
                weights = record.load_model(folder / "results").state_dict()
                times = dict.fromkeys(("seconds", "steps_per_second", "finished", "commit", "code"), "")
                record = replace(record, run=record.run | times, weights={})  # the file's header has no one order
                found[job.name] = record, [value.numpy().tobytes() for value in weights.values()]
            elif checkpoint.exists():
                found[job.name] = [(name, value.numpy().tobytes()) for name, value in _sorted(checkpoint)]
        return found

    def left(self, folder: Path) -> object:
        return self.state(folder), sorted(listing(folder))


KINDS = {
    "training": Training(),
    "packing": Packing(),
    "set": Saving(),
    "record": Recording(),
    "explorer": Exporting(),
    "plan": Planning(),
}


# --------------------------------------------------------------------------------------------------------- the killing


class Watch:
    """How many writes a process has begun and ended, and when, in memory that outlives it."""

    MOST = 200

    def __init__(self) -> None:
        self.memory = mmap.mmap(-1, 16 + 16 * self.MOST)

    def _count(self, place: int) -> int:
        return struct.unpack_from("q", self.memory, 8 * place)[0]

    @property
    def begun(self) -> int:
        return self._count(0)

    @property
    def ended(self) -> int:
        return self._count(1)

    def mark(self, place: int) -> None:
        """One more write has begun (0) or ended (1), now."""
        count = self._count(place)
        struct.pack_into("d", self.memory, 16 + 16 * count + 8 * place, time.monotonic())
        struct.pack_into("q", self.memory, 8 * place, count + 1)

    def durations(self) -> list[float]:
        times = struct.unpack_from(f"{2 * self.ended}d", self.memory, 16)
        return [end - begin for begin, end in zip(times[::2], times[1::2], strict=True)]

    def put_around_writers(self, folder: Path, after: Callable[[], object] = lambda: None) -> None:
        """For this process: what it writes in the folder is counted, and ``after`` is called after each write."""

        def watched(writer: Callable) -> Callable:
            @contextmanager
            def writing(first: Path, *others: Path, **options: object) -> Iterator[object]:
                here = folder in Path(first).absolute().parents
                if here:
                    self.mark(0)
                with writer(first, *others, **options) as temporary:
                    yield temporary
                if here:
                    self.mark(1)
                    after()

            return writing

        for module, name in WRITERS:
            setattr(module, name, watched(getattr(module, name)))


def begin(function: Callable[[], object], folder: Path) -> tuple[int, int]:
    """Starts a function in a process group of its own, and says its number, and where its result comes from."""
    (folder.parent / "temporary").mkdir(exist_ok=True)
    receive, send = os.pipe()
    if process := os.fork():
        os.close(send)
        with suppress(OSError):  # whoever is faster
            os.setpgid(process, process)
        return process, receive
    status = 1
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        os.close(receive)
        quiet = os.open(os.devnull, os.O_RDWR)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        os.chdir(folder)
        tempfile.tempdir = str(folder.parent / "temporary")
        warnings.simplefilter("ignore")  # that leftovers were swept up
        try:
            result, status = function(), 0
        except BaseException:
            result = traceback.format_exc()
        with open(send, "wb") as pipe:
            pickle.dump(result, pipe)
    finally:
        os._exit(status)


class Failed(Exception):
    """What a process did failed; the message is its traceback."""


def done(function: Callable[[], object], folder: Path) -> object:
    """What a function returns that runs in a process of its own."""
    process, receive = begin(function, folder)
    with open(receive, "rb") as pipe:
        if not (ended := select.select([pipe], [], [], LIMIT)[0]):
            os.killpg(process, signal.SIGKILL)
        content = pipe.read()
    if os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]):
        raise Failed(pickle.loads(content) if content else "the process died" if ended else f"no end after {LIMIT} s")
    return pickle.loads(content)


@dataclass
class Expected:
    """What the uninterrupted work is known by.

    Attributes:
        states: what a reader finds before the first write, and after each.
        left: what lies there in the end.
        seconds: how long it takes.
        durations: of its writes, in seconds.
    """

    states: list[object]
    left: object
    seconds: float
    durations: list[float]


def warm_up(kind, folder: Path) -> None:
    """Does the work in this process, so that its forks find imported what it needs."""
    # tqdm's own lock is one for a process and all its forks: one that was killed while it held it would keep all others
    # waiting for ever. Its thread might hold any lock at the moment of a fork.
    tqdm.set_lock(threading.RLock())
    tqdm.monitor_interval = 0
    folder.mkdir(parents=True)
    nothing = io.StringIO()
    with chdir(folder), redirect_stdout(nothing), redirect_stderr(nothing):
        kind.prepare(folder)
        kind.work(folder)
        kind.left(folder)
    gc.freeze()  # what is here by now is the forks', too


def uninterrupted(kind, folder: Path) -> Expected:
    """Runs the work once to time it, and once more to look at what each write leaves."""

    def work(place: Path) -> object:
        watch.put_around_writers(place)
        began = time.monotonic()
        kind.work(place)
        return time.monotonic() - began

    def look(place: Path) -> object:
        states = [kind.state(place)]
        Watch().put_around_writers(place, lambda: states.append(kind.state(place)))
        kind.work(place)
        return states, kind.left(place)

    warm_up(kind, folder / "warm")
    start = folder / "start"
    start.mkdir(parents=True)
    done(lambda: kind.prepare(start), start)
    timed = []
    for run in range(3):
        watch = Watch()
        place = shutil.copytree(start, folder / f"timed{run}" / "work")
        timed.append((done(lambda place=place: work(place), place), watch.durations()))
    seconds, durations = sorted(timed)[1]
    place = shutil.copytree(start, folder / "looked" / "work")
    states, left = done(lambda: look(place), place)
    return Expected(states, left, seconds, durations)


def kill_once(kind, folder: Path, expected: Expected, chance: random.Random, number: int) -> tuple[str, str]:
    """One kill: where it came, and what was lost, if anything."""
    place, watch = folder / "work", Watch()

    def work() -> None:
        watch.put_around_writers(place)
        kind.work(place)

    aimed = chance.randrange(len(expected.durations)) if number % 2 and expected.durations else None
    longest = expected.seconds if aimed is None else expected.durations[aimed]
    wait = chance.uniform(0, longest)
    process, receive = begin(work, place)
    deadline = time.monotonic() + 60
    while aimed is not None and watch.begun <= aimed and time.monotonic() < deadline:
        time.sleep(0.0002)
    time.sleep(wait)
    os.killpg(process, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    os.close(receive)
    if status == 0 or 0 < len(expected.durations) == watch.ended:
        where = "after"
    elif watch.begun > watch.ended:
        where = "inside"
    else:
        where = "between" if watch.begun else "before"
    read = number % 4 != 3
    try:
        found, left = done(lambda: (read and kind.state(place), kind.work(place), kind.left(place))[::2], place)
    except Failed as error:
        return where, str(error)
    if read and found not in expected.states[watch.ended : watch.begun + 1]:
        passed = [i for i, state in enumerate(expected.states) if state == found]
        return where, f"a reader finds state {passed or 'unknown'}, not {watch.ended} to {watch.begun}"
    return where, "" if left == expected.left else _difference(left, expected.left)


def _difference(found: object, wanted: object) -> str:
    names, right = (set(one[-1] if isinstance(one, tuple) else one) for one in (found, wanted))
    if names != right:
        return f"after the restart: {sorted(names - right)} too many, {sorted(right - names)} missing"
    return "after the restart it is not, bit for bit, what the uninterrupted work leaves"


def kill_often(kind, times: int, seed: int, show: bool = False) -> tuple[Counter, list[str]]:
    """Kills a kind of work many times: how often where, and what was lost; shown as soon as it is found, if told."""
    where: Counter = Counter()
    lost: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        expected = uninterrupted(kind, root)
        for number in range(times):
            place = root / "killed"
            shutil.copytree(root / "start", place / "work")
            chance = random.Random(f"{kind.name} {seed} {number}")
            moment, problem = kill_once(kind, place, expected, chance, number)
            where[moment] += 1
            if problem:
                lost.append(f"{kind.name}, seed {seed}, kill {number}, {moment}: {problem}")
                if show:
                    print(lost[-1], flush=True)
            shutil.rmtree(place)
    return where, lost


# ---------------------------------------------------------------------------------------------------------- the build


class Building:
    """A small book is built again after its chapter has changed; its processes are new ones.

    What a reader finds is the old book whole, the new one whole, or none; after the next build, the new one.
    """

    name = "build of a book"

    def __init__(self) -> None:
        sys.path.insert(0, str(ROOT / "book"))  # the scripts of the book are no package
        spec = importlib.util.spec_from_file_location("small_book", ROOT / "tests/book/conftest.py")
        self.books = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.books)

    def prepare(self, root: Path) -> None:
        book = self.books.write_small_book(root)
        self._build(root)
        book.change("A disc.", "Another disc.")

    def _start(self, root: Path) -> subprocess.Popen:
        environment = os.environ | {"PYTHONPATH": str(root)}
        command = [sys.executable, str(ROOT / "book/build.py"), "--root", str(root)]
        options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, start_new_session=True, **options)

    def _build(self, root: Path) -> None:
        process = self._start(root)
        _, said = process.communicate(timeout=600)
        if process.returncode:
            raise Failed(said)

    def pages(self, root: Path) -> list[str] | None:
        """The names of what the book consists of, and which of the two chapters it shows."""
        html = root / "_build/html"
        if not html.exists():
            return None
        names = [name for name in listing(html) if not name.startswith("_images")]
        chapter = html / "notebooks/01_small.html"
        return [*names, "Another disc." if chapter.exists() and "Another disc." in chapter.read_text() else "A disc."]

    def kill_often(self, times: int, seed: int, show: bool = False) -> tuple[Counter, list[str]]:
        where: Counter = Counter()
        lost: list[str] = []
        with tempfile.TemporaryDirectory() as folder:
            start = Path(folder).resolve() / "start"
            self.prepare(start)
            old = self.pages(start)
            place = shutil.copytree(start, start.parent / "timed")
            began = time.monotonic()
            self._build(place)
            seconds, new, wanted = time.monotonic() - began, self.pages(place), self._names(place)
            for number in range(times):
                place = shutil.copytree(start, start.parent / "killed", symlinks=True)
                moment, problem = self._kill_once(place, seconds, (old, new, wanted), seed, number)
                where[moment] += 1
                if problem:
                    lost.append(f"{self.name}, seed {seed}, kill {number}, {moment}: {problem}")
                    if show:
                        print(lost[-1], flush=True)
                shutil.rmtree(place)
        return where, lost

    def _kill_once(self, place: Path, seconds: float, known: tuple, seed: int, number: int) -> tuple[str, str]:
        old, new, wanted = known
        chance = random.Random(f"{self.name} {seed} {number}")
        process = self._start(place)
        if number % 2:  # aimed: at the moment when the old book goes, or soon after
            while (place / "_build/book.key").exists() and process.poll() is None:
                time.sleep(0.0002)
            time.sleep(chance.uniform(0, 0.02))
        else:
            time.sleep(chance.uniform(0, seconds))
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        found = self.pages(place)
        moment = "before" if found == old else "after" if found == new else "inside"
        if found not in (None, old, new):
            return moment, f"a part of a book is left: {len(found) - 1} of {len(old) - 1} files"
        try:
            self._build(place)
        except Failed as error:
            return moment, str(error)
        if (found := self.pages(place)) != new:
            return moment, "after the next build it is another book"
        if strange := sorted(self._names(place) - wanted):
            return moment, f"after the next build there is {strange}"
        return moment, ""

    def _names(self, root: Path) -> set[str]:
        """All that a build leaves, but what Python, IPython and Sphinx keep for themselves."""
        ours = ("_build/ipython", "_build/sphinx")
        return {n for n in listing(root) if not n.startswith(ours) and "__pycache__" not in n}


COLUMNS = ("before", "inside", "between", "after")


def row(name: str, times: int, where: Counter, lost: list[str], seconds: float) -> str:
    counts = " | ".join(str(where[column]) for column in COLUMNS)
    return f"| {name} | {times} | {counts} | {len(lost)} | {seconds:.0f} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=100, help="kills of each kind (default: 100)")
    parser.add_argument("--builds", type=int, help="kills of a build, which takes seconds (default: a twentieth)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=[*KINDS, "build"], default=[*KINDS, "build"])
    options = parser.parse_args()
    torch.set_num_threads(1)  # a fork has one thread
    print(f"seed {options.seed}, load average {os.getloadavg()[0]:.1f}")
    print(f"| what | kills | {' | '.join(COLUMNS)} | lost | seconds |")
    print("|:--|" + "--:|" * 7, flush=True)
    failures = 0
    for name in options.only:
        builds = options.times // 20 if options.builds is None else options.builds
        kind, times = (Building(), builds) if name == "build" else (KINDS[name], options.times)
        began = time.monotonic()
        if name == "build":
            where, lost = kind.kill_often(times, options.seed, show=True)
        else:
            where, lost = kill_often(kind, times, options.seed, show=True)
        print(row(kind.name, times, where, lost, time.monotonic() - began), flush=True)
        failures += len(lost)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
