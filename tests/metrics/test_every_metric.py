"""What holds for every public metric and every array it takes: a right number, or an error of ours that names it."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import math
import pkgutil
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.neural_network import MLPClassifier

from medlatent import metrics
from medlatent.metrics import (
    categories,
    comparison,
    direction_effects,
    directions,
    disentanglement,
    downstream,
    generation,
    images,
    latent,
    lesions,
    strokes,
    style_content,
    thorax,
)

RANDOM = np.random.default_rng(0)
N = 40
CODES = RANDOM.normal(size=(N, 3)).astype(np.float32).astype(np.float64)
FACTORS = np.stack([np.arange(N) % 2, np.arange(N) // 2 % 3], 1).astype(float)
CODES[:, :2] += FACTORS
LABELS = np.arange(N) % 2
PICTURES = RANDOM.random((4, 3, 16, 16)).astype(np.float16).astype(np.float64)
PROBABILITIES = np.tile([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]], (N // 2, 1))
HU = np.full((2, 1, 32, 32), -1000.0)
HU[:, :, 4:28, 4:28] = 40
HU[:, :, 10:20, 8:13] = HU[:, :, 10:20, 18:23] = -800
INK = np.zeros((2, 1, 8, 8))
INK[:, :, 1:7, 3:5] = 1
EFFECTS = RANDOM.normal(size=(4, 3, 2))


class Metric(NamedTuple):
    """A function, arguments that it takes, and of which kind each array among them is."""

    function: Callable
    arguments: dict
    options: dict = {}  # noqa: RUF012


def _linear(code):
    return torch.as_tensor(code, dtype=torch.float64)


def encode(batch):
    flat = torch.as_tensor(batch, dtype=torch.float64).flatten(1)
    return flat[:, :2], flat[:, 2:5]


def generate(z, c):
    return torch.cat([_linear(z), _linear(c)], 1)[:, :, None, None]


def reconstruct(image, shifted):
    return shifted - image, (shifted - image).sum(1)


POSTERIOR = {"mean": CODES, "logvar": np.full_like(CODES, -1.0)}
CODED = {"codes": CODES, "factors": FACTORS}
RETRIEVED = {"query_labels": FACTORS, "reference_labels": FACTORS, "neighbours": np.tile([1, 2], (N, 1))}
PAIR = {"images": PICTURES, "reconstructions": PICTURES[::-1].copy()}
NAMES, INDICES = {"labels", "groups", "categories", "classes", "neighbours"}, {"categories", "classes", "neighbours"}

METRICS = {
    "images.psnr": Metric(images.psnr, PAIR),
    "images.ssim": Metric(images.ssim, PAIR),
    "images.lpips_like": Metric(images.lpips_like, PAIR, {"backbone": lambda x: [x, x[:, :, ::2]]}),
    "latent.information": Metric(latent.information, POSTERIOR),
    "latent.active_units": Metric(latent.active_units, {"mean": CODES}),
    "latent.gaussian_total_correlation": Metric(latent.gaussian_total_correlation, POSTERIOR),
    "generation.frechet_distance": Metric(
        generation.frechet_distance, {"features_a": CODES, "features_b": CODES[::-1] + 1}
    ),
    "generation.inception_score": Metric(generation.inception_score, {"probabilities": PROBABILITIES}),
    "generation.conditional_accuracy": Metric(
        generation.conditional_accuracy, {"probabilities": PROBABILITIES, "labels": LABELS}
    ),
    "generation.nearness": Metric(
        generation.nearness, {"drawn": CODES, "held_out": CODES[:7] + 1, "training": CODES[::-1] - 1}
    ),
    "categories.category_agreement": Metric(
        categories.category_agreement, {"categories": LABELS, "classes": np.arange(N) // 2 % 3}
    ),
    "categories.correlation_within": Metric(
        categories.correlation_within, {"code": CODES[:, 0], "measured": CODES[:, 1], "categories": LABELS}
    ),
    "comparison.paired_interval": Metric(comparison.paired_interval, {"differences": CODES[:7, 0]}),
    "comparison.compare": Metric(comparison.compare, {"differences": CODES[:7, 0]}),
    "comparison.holm": Metric(comparison.holm, {"p": np.array([0.5, 0.25, 0.0])}),
    "direction_effects.code_effects": Metric(
        direction_effects.code_effects, {"measured": RANDOM.normal(size=(2, 3, 4, 2)), "shifts": np.arange(4.0)}
    ),
    "direction_effects.direction_effects": Metric(
        direction_effects.direction_effects, {"slopes": EFFECTS, "correlations": np.tanh(EFFECTS)}
    ),
    "directions.reconstructor_accuracy": Metric(
        directions.reconstructor_accuracy,
        {"directions": np.eye(3)},
        {"generate": lambda z: z, "reconstruct": reconstruct, "batches": 2, "batch_size": 8},
    ),
    "lesions.measure": Metric(lesions.measure, {"images": PICTURES}),
    "strokes.slant": Metric(strokes.slant, {"images": INK}),
    "strokes.thickness": Metric(strokes.thickness, {"images": INK}),
    "thorax.measure": Metric(thorax.measure, {"images": HU, "pixel": np.array([0.5, 2.0])}),
    "style_content.cifc": Metric(style_content.cifc, {"images": PICTURES}, {"encode": encode, "generate": generate}),
    "style_content.kept": Metric(style_content.kept, {"measured": CODES}),
    "style_content.nearest_neighbours": Metric(
        style_content.nearest_neighbours, {"queries": CODES, "references": CODES[::-1].copy()}
    ),
    "style_content.disagreement_divergence": Metric(style_content.disagreement_divergence, RETRIEVED),
    "style_content.label_overlap": Metric(style_content.label_overlap, RETRIEVED),
    "style_content.retrieval_by_chance": Metric(
        style_content.retrieval_by_chance, {"query_labels": FACTORS, "reference_labels": FACTORS}
    ),
    "downstream.clustering_nmi": Metric(downstream.clustering_nmi, {"codes": CODES, "labels": LABELS}, {"fits": 1}),
    "downstream.few_label_accuracy": Metric(
        downstream.few_label_accuracy,
        {"codes": CODES, "labels": LABELS, "groups": np.arange(N) // 2},
        {"folds": 2, "hidden": 1},
    ),
    "disentanglement.dci.dci": Metric(
        disentanglement.dci,
        CODED | {"groups": np.arange(N) // 2},
        {"estimator": "random_forest", "trees": 2, "n_jobs": 1},
    ),
    "disentanglement.fixed_factor.beta_vae_metric": Metric(
        disentanglement.beta_vae_metric, CODED, {"train": 20, "test": 9, "batch_size": 4}
    ),
    "disentanglement.fixed_factor.factor_vae_metric": Metric(
        disentanglement.factor_vae_metric, CODED, {"train": 20, "test": 9, "batch_size": 4}
    ),
    "disentanglement.information.mutual_information_matrix": Metric(
        disentanglement.mutual_information_matrix, CODED, {"bins": 4}
    ),
    "disentanglement.interpretability.interpretability": Metric(
        disentanglement.interpretability, {"codes": CODES, "attributes": FACTORS}
    ),
    "disentanglement.mig.mig": Metric(disentanglement.mig, CODED, {"bins": 4}),
    "disentanglement.mig.mig_from_posterior": Metric(
        disentanglement.mig_from_posterior, POSTERIOR | {"factors": FACTORS}, {"samples": 40, "n_jobs": 1}
    ),
    "disentanglement.mig.mig_hf": Metric(
        disentanglement.mig_hf, CODED | {"thresholds": np.array([0.5, 0.5])}, {"bins": 4}
    ),
    "disentanglement.mig.mig_knn": Metric(disentanglement.mig_knn, CODED),
    "disentanglement.mig.mig_of_angle": Metric(
        disentanglement.mig_of_angle, {"codes": CODES, "angles": CODES[:, 0]}, {"period": np.pi, "bins": 4, "cuts": 2}
    ),
    "disentanglement.mig.mig_p": Metric(disentanglement.mig_p, {"codes": CODES, "labels": LABELS}, {"bins": 4}),
    "disentanglement.modularity.modularity": Metric(disentanglement.modularity, CODED, {"bins": 4}),
    "disentanglement.report.report": Metric(
        disentanglement.report,
        POSTERIOR | {"factors": FACTORS, "nominal": np.array([True, False]), "groups": np.arange(N) // 2},
        {"bins": 4, "samples": 20, "trees": 1, "n_jobs": 1},
    ),
    "disentanglement.sap.sap": Metric(disentanglement.sap, CODED | {"groups": np.arange(N) // 2}, {"n_jobs": 1}),
    "disentanglement.scc.scc": Metric(disentanglement.scc, {"codes": CODES, "attributes": FACTORS}),
    "disentanglement.total_correlation.total_correlation": Metric(
        disentanglement.total_correlation, POSTERIOR, {"samples": 20, "n_jobs": 1}
    ),
}
ARRAYS = [(metric, argument) for metric, one in METRICS.items() for argument in one.arguments]
# Numbers that may be infinite or NaN, as their docstrings say.
OPEN = {"images.psnr", "comparison.paired_interval", "strokes.slant", "strokes.thickness", "thorax.measure"}
OPEN_FIELDS = {"per_factor", "per_direction_shift_loss"}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """What is learnt does not matter here."""
    monkeypatch.setattr(downstream, "MLPClassifier", partial(MLPClassifier, max_iter=3))


def test_no_public_metric_escapes():
    found = set()
    for module in pkgutil.walk_packages(metrics.__path__, "medlatent.metrics."):
        name = module.name.removeprefix("medlatent.metrics.")
        if not any(part.startswith("_") for part in name.split(".")):
            members = inspect.getmembers(importlib.import_module(module.name), inspect.isfunction)
            found |= {f"{name}.{key}" for key, f in members if f.__module__ == module.name and key[0] != "_"}
    assert found == METRICS.keys()
    for name, metric in METRICS.items():
        assert metric.arguments.keys() <= inspect.signature(metric.function).parameters.keys(), name


def result_of(name: str, **changed):
    metric = METRICS[name]
    return metric.function(**metric.arguments | metric.options | changed)


def values_of(result) -> dict[str, np.ndarray]:
    """All numbers of a result by name."""
    if isinstance(result, tuple) and not hasattr(result, "_fields"):
        result = dict(enumerate(result))
    elif hasattr(result, "_fields"):
        result = result._asdict()
    elif dataclasses.is_dataclass(result):
        result = {field.name: getattr(result, field.name) for field in dataclasses.fields(result)}
    elif not isinstance(result, Mapping):
        return {"": np.asarray(result)}
    found = {}
    for key, value in result.items():
        if value is not None and not isinstance(value, str):
            found |= {f"{key}.{inner}": number for inner, number in values_of(value).items()}
    return found


def foreign(error: Exception) -> str:
    """Of an error that the package did not raise itself: what it is."""
    raised_by = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
    ours = isinstance(error, ValueError | TypeError) and "medlatent" in raised_by.parts
    return "" if ours else f"{type(error).__name__} of {raised_by.name}: {error}"


def fault(name: str, argument: str, value, expected=None) -> str:
    """What is wrong with what a metric makes of a value: empty if nothing is.

    Right is a result of finite numbers, ``expected`` where it is given, or an error raised by the package that names
    one of the metric's arguments.
    """
    try:
        with np.errstate(all="ignore"):
            found = values_of(result_of(name, **{argument: value}))
    except Exception as error:
        if foreign(error):
            return foreign(error)
        named = [one for one in inspect.signature(METRICS[name].function).parameters if one in str(error)]
        if expected is not None:
            return f"refused: {error}"
        return "" if named else f"names no argument: {error}"
    if expected is not None:
        for key, numbers in expected.items():
            # The layout of an array may change the order of a sum.
            if not np.allclose(found[key], numbers, rtol=1e-9, atol=1e-12, equal_nan=True):
                return f"{key} is another: {found[key]} for {numbers}"[:200]
    elif name not in OPEN:
        for key, numbers in found.items():
            if not OPEN_FIELDS & set(key.split(".")) and not np.isfinite(numbers).all():
                return f"{key} is not finite"
    return ""


def refused(name: str, argument: str, value) -> str:
    """What is wrong where there has to be an error that names this argument."""
    try:
        with np.errstate(all="ignore"):
            found = result_of(name, **{argument: value})
    except Exception as error:
        return foreign(error) or ("" if argument in str(error) else f"does not name {argument}: {error}")
    return f"not refused: {found}"[:200]


def all_right(faults: dict[str, str]) -> None:
    assert not (wrong := {kind: found for kind, found in faults.items() if found}), wrong


def strided(array: np.ndarray) -> np.ndarray:
    return np.repeat(array, 2, 0)[::2]


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_what_holds_the_same_numbers_gives_the_same_result(name, argument):
    clean = METRICS[name].arguments[argument]
    expected = values_of(result_of(name))
    same = {"list": clean.tolist(), "strided": strided(clean), "nothing masked": np.ma.masked_array(clean)}
    same |= {"tensor": torch.tensor(clean), "objects": clean.astype(object)}
    if clean.dtype.kind == "f":
        same["gradient"] = torch.tensor(clean, requires_grad=True)
    if clean.ndim == 1:
        same["column"] = pd.Series(clean, index=range(100, 100 + len(clean)))
        if clean.dtype.kind == "i":
            same["nullable column"] = pd.Series(clean, dtype="Int64")
            same["unsigned"] = clean.astype(np.uint64)
    if clean.ndim == 2:
        same["table"] = pd.DataFrame(clean)
    if name == "style_content.cifc":
        same = {key: same[key] for key in ("strided", "nothing masked", "tensor", "gradient")}
    all_right({kind: fault(name, argument, value, expected) for kind, value in same.items()})


@pytest.mark.parametrize(("name", "argument"), [pair for pair in ARRAYS if pair[1] not in NAMES | {"nominal"}])
def test_half_precision_is_read(name, argument):
    clean = torch.tensor(METRICS[name].arguments[argument])
    faults = {}
    for half in torch.float16, torch.bfloat16:
        rounded = clean.to(half)
        try:
            expected = values_of(result_of(name, **{argument: rounded.double().numpy()}))
        except ValueError:  # rounded, a row may be no distribution
            continue
        faults[str(half)] = fault(name, argument, rounded, expected)
    all_right(faults)


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_what_is_no_number_is_refused(name, argument):
    clean = METRICS[name].arguments[argument]
    first = (0,) * clean.ndim

    def with_first(value, dtype):
        changed = clean.astype(dtype)
        changed[first] = value
        return changed

    mask = np.zeros(clean.shape, bool)
    mask[first] = True
    bad = {
        "masked": np.ma.masked_array(clean, mask),
        "None": with_first(None, object),
        "pd.NA": with_first(pd.NA, object),
        "NaN among objects": with_first(np.nan, object),
        "complex": clean + 1j,
        "infinite": with_first(np.inf, float),
        "NaN": with_first(np.nan, float),
        "tensor with NaN": torch.tensor(with_first(np.nan, float)),
    }
    if clean.ndim == 1:
        bad["nullable column"] = pd.Series(with_first(None, object))
        bad["text beside None"] = [None, *(f"{x}" for x in clean[1:])]
        bad["text beside NaN"] = [float("nan"), *(f"{x}" for x in clean[1:])]
        bad["text beside numbers"] = ["a", *clean[1:].tolist()]
    if argument not in NAMES - INDICES:
        bad["text"] = clean.astype(str)
        bad["unsigned beyond int64"] = np.full(clean.shape, 2**64 - 1, np.uint64)
    if (name, argument) == ("categories.correlation_within", "measured"):
        bad = {kind: value for kind, value in bad.items() if kind not in ("NaN", "tensor with NaN")}
    all_right({kind: refused(name, argument, value) for kind, value in bad.items()})


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_shapes_that_do_not_fit_are_refused(name, argument):
    clean = METRICS[name].arguments[argument]
    bad = {"empty": clean[:0], "another dimension": clean[None], "a number": clean.ravel()[0]}
    bad |= {"nothing": None, "ragged": [clean.tolist(), [1]]}
    if (name, argument) == ("thorax.measure", "pixel"):
        del bad["a number"]
    if argument in ("groups", "categories") and not name.endswith("agreement"):
        del bad["nothing"]
    if argument in ("thresholds", "nominal"):
        del bad["nothing"]
    if argument == "p":
        bad = {}
    all_right({kind: refused(name, argument, value) for kind, value in bad.items()})
    rows = {"one row": clean[:1], "a row less": clean[:-1], "one column": clean[:, :1] if clean.ndim > 1 else clean}
    all_right({kind: fault(name, argument, value) for kind, value in rows.items()})


@pytest.mark.parametrize(("name", "argument"), ARRAYS)
def test_extreme_values_give_finite_numbers_or_an_error(name, argument):
    clean = METRICS[name].arguments[argument]
    if argument in NAMES | {"nominal"}:
        pytest.skip("names have no size")
    extreme = {"constant": np.full_like(clean, 0.5), "zeros": np.zeros_like(clean)}
    extreme |= {f"times {scale:g}": clean * scale for scale in (1e-300, 1e-160, 1e-30, 1e25, 1e40, 1e69, 1e160, 1e300)}
    extreme |= {"one is large": np.where(np.arange(clean.size).reshape(clean.shape) == 1, 1e300, clean)}
    extreme |= {"largest": np.where(clean > 0, 1.7e308, -1.7e308)}
    extreme |= {"far off": 1e308 + clean * 1e306}
    if clean.ndim == 2:
        extreme["a constant column"] = np.c_[clean[:, :-1], np.full(len(clean), 0.1)]
        extreme["a column twice"] = np.c_[clean[:, :-1], clean[:, 0]]
    all_right({kind: fault(name, argument, value) for kind, value in extreme.items()})


# Options of an estimator that is not chosen here, or of continuous factors.
UNREAD = {("disentanglement.mig.mig_from_posterior", "bins")}
UNREAD |= {(f"disentanglement.fixed_factor.{name}", "bins") for name in ("beta_vae_metric", "factor_vae_metric")}
UNREAD |= {
    (f"disentanglement.{name}", "neighbours")
    for name in ("information.mutual_information_matrix", "modularity.modularity")
}


def options_of(name: str) -> dict[str, int | float]:
    """The numbers that a metric takes besides its arrays, with those that it is given here."""
    parameters = inspect.signature(METRICS[name].function).parameters
    given = {key: one.default for key, one in parameters.items()} | METRICS[name].options
    return {key: value for key, value in given.items() if type(value) in (int, float) and (name, key) not in UNREAD}


@pytest.mark.parametrize("name", METRICS)
def test_options_out_of_their_range_are_refused(name):
    faults = {}
    for option, value in options_of(name).items():
        if isinstance(value, float):
            faults |= {f"{option}={bad}": refused(name, option, bad) for bad in (math.nan, math.inf, -math.inf)}
        elif option not in ("seed", "n_jobs"):
            faults |= {f"{option}={bad}": refused(name, option, bad) for bad in (0, -1)}
    all_right(faults)
