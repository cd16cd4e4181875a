"""Records: what a long run produced, with everything needed to run it again and to check it.

A record is a JSON file ``results/<slug>/<name>.json`` beside its weights ``<name>.safetensors`` and its model card
``<name>.md``. Its numbers can be computed again from the weights, which the tests do: a record written by hand fails,
and so do exchanged weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import entropy

from . import __version__
from .cards import model_card
from .data import ImageSet, at_hand, open_images
from .files import replacing
from .judges import judge_of
from .losses import kl_to_standard_normal, squared_error
from .metrics import (
    active_units,
    categories,
    disentanglement,
    downstream,
    gaussian_total_correlation,
    generation,
    psnr,
    ssim,
    strokes,
)
from .models import LatentModel, load

FORMAT = "medlatent.Record"
VERSION = 1
METRICS_MIME = "application/vnd.medlatent.metrics+json"
# Another number of threads or another instruction set moves a sum of 12 288 float32 values in its fifth digit.
TOLERANCE = 1e-3
# Numbers that jump when a code crosses the edge of a bin, a tree splits elsewhere or an image changes its cluster: the
# absolute difference allowed. At least three times the most that they moved when codes were rounded otherwise (by 3e-6
# of their range), or phantoms (one value in 10 000 by one level), on 195 and on 1 084 images; computing without AVX
# moved them by less than a third, too.
TOLERANCES = {
    "mig": 1e-3,
    "mig_knn": 1e-3,
    "mig_from_posterior": 5e-4,
    "mig_hf": 5e-3,
    "mig_p": 5e-3,
    "sap": 2e-2,  # one prediction is 1/65 of an accuracy
    "modularity": 3e-3,
    "modularity_knn": 3e-3,
    "dci_disentanglement": 3e-3,
    "dci_completeness": 3e-3,
    "dci_informativeness": 1e-2,  # R² can fall far below 0
    "interpretability": 2e-3,
    "clustering_nmi": 1e-2,
    "few_label_accuracy": 5e-3,
    # Of 2 000 generated images: a digit that is taken for another, a pixel that crosses half of the intensity.
    "category_purity": 5e-3,
    "category_nmi": 5e-3,
    "slant": 2e-3,
    "thickness": 2e-3,
}
HANDCRAFTED = ("eccentricity", "orientation", "size")  # of the lesions of Sarhan et al. (2019)
LEAST_IMAGES = 100  # that have all factors; fewer say nothing about 20 bins
LEAST_OTHERS = 10  # images of a class, or with another than a factor's most frequent value
GENERATED = 2000  # images that a generator is judged by


def results_folder() -> Path:
    """The project's ``results`` folder: beside the package in a checkout, else in the working directory."""
    beside = Path(__file__).resolve().parent.parent / "results"
    return beside if beside.is_dir() else Path("results")


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
        weights: ``file`` (beside the record), ``sha256``, ``bytes``, ``dtype`` (where it is not float32).
        history: ``step`` and each term of the loss, averaged over windows of steps.
        metrics: for each evaluation set, how it is opened and the numbers.
    """

    slug: str
    name: str
    model: str
    config: dict
    data: dict
    run: dict
    weights: dict
    history: dict
    metrics: dict

    @classmethod
    def read(cls, path: str | os.PathLike) -> Record:
        """Reads a record.

        Raises:
            FileNotFoundError: there is no such file.
            ValueError: it is no record, or one of another version; the message names the file.
        """
        path = Path(path)
        try:
            fields = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path} is not valid JSON: {error}") from None
        if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
            raise ValueError(f"{path} is no record: its 'format' is not {FORMAT!r}")
        if (version := fields.pop("version", None)) != VERSION:
            raise ValueError(f"{path} has version {version}, this medlatent reads version {VERSION}")
        try:
            record = cls(**fields)
        except TypeError as error:
            raise ValueError(f"{path}: {error}") from None
        for name, kind in cls.__annotations__.items():
            if type(fields[name]).__name__ != kind:
                raise ValueError(f"{path}: the field {name!r} must be a {kind}, got {fields[name]!r}")
        return record

    def write(self, folder: str | os.PathLike) -> Path:
        """Writes ``<folder>/<slug>/<name>.json``, and the model card ``<name>.md`` beside it."""
        path = Path(folder) / self.slug / f"{self.name}.json"
        fields = {"format": FORMAT, "version": VERSION, **asdict(self)}
        with replacing(path.with_suffix(".md")) as card, replacing(path) as record:
            record.write_text(json.dumps(fields, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            card.write_text(model_card(self), encoding="utf-8")
        return path

    def load_model(self, folder: str | os.PathLike | None = None) -> LatentModel:
        """The trained model, in evaluation mode on the CPU.

        Args:
            folder: the results folder; by default the project's.

        Raises:
            FileNotFoundError: the weights are missing.
            ValueError: the weights are not those that the record was made with, or not of the model that it names.
        """
        path = Path(results_folder() if folder is None else folder) / self.slug / self.weights["file"]
        if not path.is_file():
            raise FileNotFoundError(f"{path}: the weights of the record {self.slug}/{self.name} are missing")
        if hashlib.sha256(path.read_bytes()).hexdigest() != self.weights["sha256"]:
            raise ValueError(f"{path} is not what {self.slug}/{self.name} was recorded with: its SHA-256 differs")
        model = load(path)
        if (type(model).__name__, model.config) != (self.model, self.config):
            raise ValueError(
                f"{path} holds {type(model).__name__}({model.config}), the record {self.slug}/{self.name} says "
                f"{self.model}({self.config})"
            )
        return model

    def compact(self, folder: str | os.PathLike | None = None) -> Record:
        """Rounds the weights to 16 bits, leaves out what only training needs, and computes every number anew.

        Returns:
            The record of the rounded weights, which have taken the place of the others; write it.

        Raises:
            ValueError: an evaluation set is not at hand, so that its numbers cannot be computed; or what
                :meth:`reevaluate` refuses. Nothing has changed then.
        """
        path = Path(results_folder() if folder is None else folder) / self.slug / self.weights["file"]
        with tempfile.TemporaryDirectory() as elsewhere:
            smaller = Path(elsewhere) / self.slug / self.weights["file"]
            rounded = replace(self, weights=save_weights(self.load_model(folder), smaller))
            now = rounded._evaluate(elsewhere)
            if missing := [key for key in self.metrics if key not in now]:
                raise ValueError(f"{self.slug}/{self.name}: {missing[0]} is not packed here")
            with replacing(path) as temporary:
                shutil.copyfile(smaller, temporary)
        return replace(rounded, metrics={key: entry | {"values": now[key]} for key, entry in self.metrics.items()})

    def supplement(self, folder: str | os.PathLike | None = None) -> tuple[Record, list[str]]:
        """The record with the numbers that ``evaluate`` has learnt to compute since it was written.

        Numbers that are there stay as they are.

        Returns:
            The record, and the names of what was added, ``set: number``; on sets that are not at hand nothing is.

        Raises:
            ValueError: a number that is there is no longer what is computed, or what :meth:`reevaluate` refuses.
        """
        metrics, added = {}, []
        now = self._evaluate(folder)
        for key, entry in self.metrics.items():
            values, computed = entry["values"], now.get(key, {})
            for name, was in values.items():
                if name in computed and not agrees(was, computed[name], name):
                    raise ValueError(f"{self.slug}/{self.name}: {key} {name} was {was} and is {computed[name]} now")
            added += [f"{key}: {name}" for name in computed if name not in values]
            metrics[key] = entry | {"values": values | {n: v for n, v in computed.items() if n not in values}}
        return replace(self, metrics=metrics), added

    def reevaluate(self, folder: str | os.PathLike | None = None) -> dict[str, dict[str, tuple[float, float]]]:
        """Computes every metric again, on the data that are at hand.

        Returns:
            For each evaluation set whose data are there, for each metric: the recorded number and the new one.

        Raises:
            ValueError: a real data set at hand is damaged or not the one that was recorded, or a recorded number is
                none that ``evaluate`` computes.
        """
        pairs = {}
        for key, now in self._evaluate(folder).items():
            values = self.metrics[key]["values"]
            if unknown := set(values) - set(now):
                raise ValueError(
                    f"{self.slug}/{self.name}: {key} holds {sorted(unknown)}, which evaluate does not compute"
                )
            pairs[key] = {name: (was, now[name]) for name, was in values.items()}
        return pairs

    def _evaluate(self, folder: str | os.PathLike | None) -> dict[str, dict[str, float]]:
        """All numbers of each evaluation set whose data are at hand."""
        model = self.load_model(folder)
        found = {}
        for key, entry in self.metrics.items():
            source = entry["source"]
            if not at_hand(source):
                continue
            images = open_images(source, entry["n"], entry["seed"]).split(entry["split"])
            if entry["fingerprint"] and images.fingerprint != entry["fingerprint"]:
                raise ValueError(
                    f"{self.slug}/{self.name}: {key} here is not the set that was recorded; pack it again with the "
                    f"settings that its card gives: {images.card.preprocessing}"
                )
            found[key] = evaluate(model, images)
        return found


def save_weights(model: LatentModel, path: Path) -> dict[str, object]:
    """Writes the weights that a reader needs, in 16 bits, and returns the record's entry.

    What everybody would download is a half or a quarter then: a network that only training needs is left out.
    """
    model.save(path, dtype=torch.float16, without=model.only_for_training)
    return {
        "file": path.name,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "bytes": path.stat().st_size,
        "dtype": "float16",
        **({"without": list(model.only_for_training)} if model.only_for_training else {}),
    }


def find_record(slug: str, name: str) -> Record:
    """The record ``results/<slug>/<name>.json``.

    Raises:
        FileNotFoundError: there is none; the message lists those there are.
    """
    path = results_folder() / slug / f"{name}.json"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in path.parent.glob("*.json"))) or "none"
        raise FileNotFoundError(f"{path}: no such record; recorded for {slug}: {there}")
    return Record.read(path)


def factor_columns(images: ImageSet) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The factors of an image set as the metrics of disentanglement take them.

    Continuous and binary factors enter as they are. Of an angle of period p, which has no order and no place where it
    may be cut, enter the cosine and the sine of 2π/p times the angle: of 2θ for the axis of a lesion. A categorical
    factor enters as the number of its value, which is a name.

    Returns:
        The columns ``(N, K)``, float64; their names; and ``(K,)``, which of them are names. A missing value is NaN.
    """
    columns, names, nominal = [], [], []
    for name, factor in images.factors.items():
        column = images.factor_matrix([name])[:, 0]
        if factor.kind == "angle":
            turned = 2 * np.pi / factor.period * column
            columns += [np.cos(turned), np.sin(turned)]
            names += [f"{name}_cos", f"{name}_sin"]
            nominal += [False, False]
        else:
            columns.append(column)
            names.append(name)
            nominal.append(factor.kind == "categorical")
    return np.stack(columns, 1) if columns else np.empty((len(images), 0)), names, np.array(nominal, bool)


def evaluate(model: LatentModel, images: ImageSet, batch_size: int = 256, *, factors: bool = True) -> dict[str, float]:
    """The numbers that a model is judged by: of a model that encodes its posteriors, of any other what it generates.

    All random numbers are drawn from fixed seeds.

    **A model that encodes**: of the reconstructions, and of the posteriors alone,

    - ``sse``: mean squared error summed over channels and pixels, intensities in [0, 1]; ``psnr``: mean over the
      images, in dB; ``ssim``: mean over the images, 11×11 Gaussian window, mirrored border;
    - ``kl``: mean KL of the posterior to the prior, in nats; ``active_units``: dimensions whose posterior mean has a
      variance above 0.01; ``gaussian_tc``: the total correlation, in nats, of the Gaussian with the covariance of the
      codes.

    Where the set has factors, the scores of :func:`medlatent.metrics.disentanglement.report` on
    :func:`factor_columns`, by their names there: ``mig``, ``mig_knn``, ``mig_from_posterior``, ``sap``,
    ``sap_continuous``, ``modularity``, ``modularity_knn``, ``dci_disentanglement``, ``dci_completeness``,
    ``dci_informativeness``, ``interpretability``, ``scc``, ``total_correlation``. All dimensions count, inactive ones
    too. DCI is from random forests of 25 trees; they and the machines of ``sap`` learn from two thirds of the images,
    drawn at random, and are tested on the others. Where the set has eccentricity, orientation and size, ``mig_hf`` of
    these three as they are, cut at their medians.

    Where the set has a class, the first categorical factor that varies: ``mig_p``; ``clustering_nmi``;
    ``few_label_accuracy``, for which classes of fewer than ten images are left out, since each of the ten folds needs
    one.

    Images without a value of some factor do not count in the numbers of factors; nor do factors in which fewer than ten
    images differ from the most frequent value. With fewer than 100 images there are no such numbers.

    **A model that only generates**: of 2 000 images, whose codes are drawn from the prior,

    - ``frechet_pixels``: the squared Fréchet distance to the images of the set, of their pixels averaged to 8×8.

    Where the set has a judge, :func:`medlatent.judges.judge_of`:

    - ``frechet``: the same distance of the judge's features; ``inception_score``, one split; ``classes``: the
      exponential of the entropy, in nats, of the mean probabilities, the number of classes that are drawn, as if
      equally often: a mode that collapsed is missing from it;
    - where the code has a category, ``category_purity`` and ``category_nmi``, after the classes that the judge sees;
    - where it has uniform codes, the correlations ``slant.NAME`` and ``thickness.NAME`` of each with the slant and the
      thickness of the strokes, within categories where there are any.

    Args:
        model: in evaluation mode or not; it is put there and left there.
        images: pass the test split.
        batch_size: images a pass.
        factors: whether those of factors and of the class, or of the judge, are wanted, which take seconds.

    Returns:
        The numbers by name.
    """
    model.eval()
    of = _of_posteriors if hasattr(model, "encode") else _of_generated
    return of(model, images, batch_size, factors)


def _of_posteriors(model: LatentModel, images: ImageSet, batch_size: int, factors: bool) -> dict[str, float]:
    sse, kl, posteriors, noise_ratio, similarity = [], [], [], [], []
    with torch.inference_mode():
        for start in range(0, len(images), batch_size):
            batch = images.batch(slice(start, start + batch_size)).to(model.device)
            mean, logvar = model.encode(batch)
            reconstruction = model.decode(mean)
            sse.append(squared_error(reconstruction, batch))
            kl.append(kl_to_standard_normal(mean, logvar).sum(1))
            pair = batch.cpu(), reconstruction.cpu()
            noise_ratio.append(psnr(*pair).per_image)
            similarity.append(ssim(*pair).per_image)
            posteriors.append(torch.stack([mean, logvar]))
    mean, logvar = torch.cat(posteriors, 1).cpu()
    return {
        "sse": float(torch.cat(sse).double().mean()),
        "psnr": float(np.concatenate(noise_ratio).mean()),
        "ssim": float(np.concatenate(similarity).mean()),
        "kl": float(torch.cat(kl).double().mean()),
        "active_units": active_units(mean).score,
        "gaussian_tc": gaussian_total_correlation(mean, logvar).score,
        **(_of_factors(mean.double().numpy(), logvar.double().numpy(), images) if factors else {}),
    }


def _of_generated(model: LatentModel, images: ImageSet, batch_size: int, judged: bool) -> dict[str, float]:
    codes = model.sample_codes(GENERATED, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        generated = torch.cat([model.decode(part).cpu() for part in codes.split(batch_size)])
    starts = range(0, len(images), batch_size)
    real = torch.cat([_averaged(images.batch(slice(start, start + batch_size))) for start in starts])
    values = {"frechet_pixels": generation.frechet_distance(real, _averaged(generated)).score}
    if not judged or (judge := judge_of(images)) is None:
        return values
    probabilities = judge.probabilities(generated)
    inception = generation.inception_score(probabilities)
    values["frechet"] = generation.frechet_distance(judge.features(images), judge.features(generated)).score
    values["inception_score"] = inception.score
    values["classes"] = float(np.exp(entropy(inception.marginal)))
    codes, category = codes.cpu().numpy(), None
    for part in model.code_layout:
        if part.prior == "category":
            category = codes[:, part.slice].argmax(1)
            agreement = categories.category_agreement(category, probabilities.argmax(1))
            values |= {"category_purity": agreement.purity, "category_nmi": agreement.nmi}
    measured = {"slant": strokes.slant(generated), "thickness": strokes.thickness(generated)}
    for part in model.code_layout:
        if part.prior == "uniform":
            code = codes[:, part.start]
            values |= {
                f"{n}.{part.name}": categories.correlation_within(code, m, category) for n, m in measured.items()
            }
    return values


def _averaged(images: torch.Tensor) -> torch.Tensor:
    """The pixels averaged to 8×8, ``(N, C · 64)``."""
    return F.adaptive_avg_pool2d(images, 8).flatten(1)


def _of_factors(mean: np.ndarray, logvar: np.ndarray, images: ImageSet) -> dict[str, float]:
    columns, _, nominal = factor_columns(images)
    whole = np.isfinite(columns).all(1)
    if whole.sum() < LEAST_IMAGES:
        return {}
    mean, logvar, columns = mean[whole], logvar[whole], columns[whole]
    varied = _varied(columns)
    columns, nominal = columns[:, varied], nominal[varied]
    values = {}
    if varied.any() and mean.shape[1] > 1:  # most of them compare dimensions
        values |= disentanglement.report(mean, logvar, columns, nominal, shuffle=True, n_jobs=1).values()
        if set(HANDCRAFTED) <= set(images.factors):
            handcrafted = images.factor_matrix(HANDCRAFTED)[whole]
            if _varied(handcrafted).all():
                values["mig_hf"] = disentanglement.mig_hf(mean, handcrafted).score
        if nominal.any():
            values["mig_p"] = disentanglement.mig_p(mean, columns[:, nominal.argmax()]).score
    if nominal.any():
        label = columns[:, nominal.argmax()].astype(int)
        values["clustering_nmi"] = downstream.clustering_nmi(mean, label).score
        common = np.bincount(label)[label] >= LEAST_OTHERS
        if len(np.unique(label[common])) > 1:
            values["few_label_accuracy"] = downstream.few_label_accuracy(mean[common], label[common]).score
    return values


def _varied(columns: np.ndarray) -> np.ndarray:
    """Which columns have enough rows that differ from the most frequent value."""
    most = [np.unique(column, return_counts=True)[1].max() for column in columns.T]
    return len(columns) - np.array(most, int) >= LEAST_OTHERS


def evaluation_entry(
    model: LatentModel, source: str, split: str = "test", n: int | None = None, seed: int = 0
) -> dict[str, object]:
    """What a record holds of one evaluation: how the set is opened, its fingerprint, and the numbers.

    The fingerprint of phantoms is left out: they are rendered anew, and another processor may round a pixel otherwise.
    """
    images = open_images(source, n, seed).split(split)
    return {
        "source": source,
        "n": n,
        "seed": seed,
        "split": split,
        "images": len(images),
        "fingerprint": "" if source.startswith("phantoms.") else images.fingerprint,
        "values": evaluate(model, images),
    }


def agrees(recorded: float, now: float, name: str = "") -> bool:
    """Whether a number computed again is the recorded one, up to rounding on another machine.

    Args:
        recorded: the number of the record.
        now: the number computed again.
        name: what :func:`evaluate` calls it. A number that rounding can make jump, such as ``mig`` or ``slant.c1``, may
            differ by what ``TOLERANCES`` says of the name before its dot, any other one by a thousandth of its size.
    """
    if (tolerance := TOLERANCES.get(name.partition(".")[0])) is not None:
        return abs(recorded - now) <= tolerance
    return math.isclose(recorded, now, rel_tol=TOLERANCE, abs_tol=1e-9)


def surroundings(device: torch.device) -> dict[str, object]:
    """Where and with what a run was made."""
    processor = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": f"{device.type}: {processor}",
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "medlatent": __version__,
        "commit": _commit(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _commit() -> str:
    """The commit of the checkout, with ``+changes`` where the working tree differs from it."""
    here = Path(__file__).resolve().parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, check=True, capture_output=True, text=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # an installed package may lie inside another checkout
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--", ".") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def thin_history(terms: tuple[str, ...], values: np.ndarray, points: int = 200) -> dict[str, list]:
    """A loss history as means over equal windows of steps, for a record."""
    windows = np.array_split(np.arange(len(values)), min(points, len(values)))
    rows = np.stack([values[w].mean(0, dtype=np.float64) for w in windows])
    history = {"step": [int(w[-1]) + 1 for w in windows]}
    return history | {term: [float(f"{v:.6g}") for v in rows[:, i]] for i, term in enumerate(terms)}


class _Metrics:
    """A notebook's numbers: a table for the reader, JSON for the machine."""

    def __init__(self, values: Mapping[str, float]) -> None:
        self.values = values

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, object]:
        width = max(map(len, self.values))
        lines = [f"{name:<{width}}  {value:.5g}" for name, value in self.values.items()]
        return {"text/plain": "\n".join(lines), METRICS_MIME: dict(self.values)}


def publish_metrics(slug: str, values: Mapping[str, float]) -> None:
    """Shows a notebook's numbers and leaves them in its output in machine-readable form, for the regression test.

    Args:
        slug: of the chapter; each name is prefixed with it.
        values: finite numbers by name.

    Raises:
        ValueError: a value is not a finite number; the message names it.
    """
    from IPython.display import display

    if not values:
        raise ValueError(f"no metrics of {slug} to publish")
    plain = {}
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"the metric {name!r} of {slug} is no number: {value!r}") from None
        if not math.isfinite(number):
            raise ValueError(f"the metric {name!r} of {slug} is {number}")
        plain[f"{slug}.{name}"] = number
    display(_Metrics(plain))
