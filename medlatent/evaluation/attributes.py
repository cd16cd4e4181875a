"""Suite ``attributes``: dimensions that are to be volumes of the heart, and the pictures decoded from them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ..data import ImageSet
from ..metrics import disentanglement, lpips_like, ssim
from ..models import LatentModel, batches_of, decode_all, encode_all
from ..nets import ShiftTolerantAlexNet
from .encoded import turned
from .hearts import VOLUMES, heart_meter, kind_of, phases_of

__all__ = [
    "TOLERANCES",
    "VOLUMES",
    "diagnosis_accuracy",
    "left_out",
    "means_of_groups",
    "numbers",
    "observe",
    "scores",
]

LEAST_PATIENTS = 10
MOVED = 30  # patients whose codes are moved
SHUFFLES = 10
FOLDS, REPEATS = 5, 10  # of the diagnosis
DIAGNOSES = ("diagnosis.volumes", "diagnosis.dimensions", "diagnosis.code", "diagnosis.shuffled")

# Numbers that jump when a nearest neighbour changes, a correlation becomes insignificant, or a pixel another region.
TOLERANCES = {
    "scc_volumes": 5e-3,
    "modularity_volumes": 5e-3,
    "sap_volumes": 2e-3,
    "interpretability_volumes": 1e-2,
    "moved": 0.5,  # ml
    "moved_own": 1e-2,
    "moved_others": 1e-2,
    "remeasured": 1e-2,
    "diagnosis": 2e-2,
    "line_offset": 0.5,  # ml
    "line_slope": 0.5,
    "line_moved": 0.5,
}
ALL = ("ssim7", "perceptual", *TOLERANCES)


def observe(model: LatentModel, images: ImageSet) -> dict[str, np.ndarray]:
    """Encodes and decodes every heart, and decodes codes that are moved along one dimension.

    Returns:
        ``mean`` and ``logvar`` of the posteriors, ``(N, D)``. Of each picture, with the phase behind the dot:
        ``ssim7``, 7×7 uniform window, and ``perceptual``, ST-LPIPS (alex), of the decoded posterior mean, ``(N,)``.
        ``seen``, the volumes in ml that the network finds in the pictures, and ``seen_decoded``, in what is decoded
        from them, ``(N, V)`` for the V volumes of these phases. ``dimension``, ``(V,)``: for each volume its own
        dimension, or where the model has none the one with the highest rank correlation. ``moved``, ``(M, V, V)``: by
        how many ml each volume (last axis) changes in pictures of at most 30 patients, decoded from their codes, when
        the dimension of a volume (second axis) moves from one standard deviation below the patient's code to one
        above, halved. Nothing where the images are no hearts.
    """
    phases = phases_of(images)
    if not phases:
        return {}
    names = volumes_of(phases)
    mean, logvar = encode_all(model, images)
    meter, trunk = heart_meter(kind_of(images)), ShiftTolerantAlexNet.packaged()
    found: dict[str, list[np.ndarray]] = {}

    def add(name: str, values: np.ndarray) -> None:
        found.setdefault(name, []).append(values)

    def measure(pictures: torch.Tensor) -> np.ndarray:
        seen = meter.volumes(pictures, phases)
        return np.stack([seen[name] for name in names], 1)

    for batch, code in zip(batches_of(images), batches_of(mean), strict=True):
        decoded = decode_all(model, code)
        for c, phase in enumerate(phases):
            one, other = batch[:, c : c + 1], decoded[:, c : c + 1]
            add(f"ssim7.{phase}", ssim(one, other, window="uniform").per_image)
            add(f"perceptual.{phase}", lpips_like(one, other, trunk, trunk.weights).per_image)
        add("seen", measure(batch))
        add("seen_decoded", measure(decoded))

    dimension = _dimensions(model, mean.numpy(), images.factor_matrix(names), names)
    deviation = mean.std(0)
    first = np.flatnonzero(~images.table[images.group].duplicated()) if images.group else np.arange(len(images))
    start, moved = mean[torch.from_numpy(first[:MOVED].copy())], []
    for k in dimension:
        step = torch.zeros(mean.shape[1])
        step[k] = deviation[k]
        above, below = (measure(decode_all(model, start + sign * step)) for sign in (1, -1))
        moved.append((above - below) / 2)
    return {
        "mean": mean.numpy(),
        "logvar": logvar.numpy(),
        "dimension": np.array(dimension, np.float32),
        "moved": np.stack(moved, 1),
    } | {name: np.concatenate(parts) for name, parts in found.items()}


def volumes_of(phases: tuple[str, ...]) -> list[str]:
    """The volumes that pictures of these phases show, in the order of ``VOLUMES``."""
    return [name for name in VOLUMES if any(f"{phase}V" in name for phase in phases)]


def _dimensions(model: LatentModel, mean: np.ndarray, volumes: np.ndarray, names: list[str]) -> list[int]:
    """The dimension of each volume: the one that it was put on, else the one that follows it best."""
    best = disentanglement.scc(mean, volumes, significance=None).dimension
    return [model.columns.index(n) if n in model.columns else int(k) for n, k in zip(names, best, strict=True)]


def means_of_groups(values: np.ndarray, images: ImageSet) -> np.ndarray:
    """The mean over the images of each patient, ``(P, …)``, patients in the order of their names."""
    values = np.asarray(values, np.float64)
    if images.group is None:
        return values
    _, group = np.unique(images.table[images.group].to_numpy(), return_inverse=True)
    sums = np.zeros((group.max() + 1, *values.shape[1:]))
    np.add.at(sums, group, values)
    return (sums.T / np.bincount(group)).T


def scores(codes: np.ndarray, volumes: np.ndarray) -> dict[str, float]:
    """SCC, Modularity, SAP and Interpretability of codes ``(P, D)`` and volumes ``(P, V)``, as ar-vae computes them.

    Modularity and Interpretability rest on information by nearest neighbours, SAP on squared Pearson correlations; a
    rank correlation with p > 0.05 counts as 0 in SCC. Interpretability is also given for the volumes at ED and at ES.
    """
    # The two that rest on information share its matrix, which is what takes time.
    information = disentanglement.mutual_information_matrix(codes, volumes, "knn").mutual_information
    separated = disentanglement.sap(codes, volumes, "continuous")
    lines = disentanglement._interpretability(information, np.sqrt(separated.predictability))
    found = {
        "scc_volumes": disentanglement.scc(codes, volumes).score,
        "modularity_volumes": disentanglement._modularity(information).score,
        "sap_volumes": separated.score,
        "interpretability_volumes": lines.score,
    }
    for phase in ("ED", "ES"):
        of_phase = [f"{phase}V" in name for name in VOLUMES]
        found[f"interpretability_volumes.{phase}V"] = float(lines.per_attribute[of_phase].mean())
    return found


def diagnosis_accuracy(columns: np.ndarray, diagnosis: np.ndarray) -> float:
    """How often the group of a patient is told from columns ``(P, F)``, in [0, 1].

    Multinomial logistic regression with C = 1 on standardised columns; the mean of 10 × 5 folds that keep the shares of
    the groups. A patient is one row, so that nobody stands on both sides.
    """
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return float(cross_val_score(model, columns, diagnosis, cv=folds).mean())


def numbers(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, float]:
    """The numbers of Tables 1 and 2 of Di Folco et al. (2024), by patient, and what moved in the pictures.

    Every patient counts once, with the mean over the patient's slices. All six volumes count, whatever phases are
    shown: as in the paper, a model of ED alone can be asked for the volumes at ES.

    Returns:
        ``ssim7`` and ``perceptual``, means over patients and phases, and with the phase behind the dot those of one.
        Of posterior means ``scc_volumes``, ``modularity_volumes``, ``sap_volumes`` and ``interpretability_volumes``,
        see :func:`scores`, the last also as ``.EDV`` and ``.ESV`` of three volumes each; all four with ``.sampled``, of
        one draw from each posterior, as the published code has it; with ``.rotated``, of the standardised means turned
        at random; and with ``.shuffled``, the mean over ten permutations of the patients: chance. ``moved.NAME``: by
        how many ml the dimension of a volume moves this volume in decoded pictures, a standard deviation of the code.
        ``moved_own``, the mean over volumes of that, divided by the volume's standard deviation over patients;
        ``moved_others``, the mean absolute value of the same for the other volumes. ``remeasured``: the mean over
        volumes of the correlation of what is seen in decoded pictures with what is seen in the pictures.
        ``line_offset.NAME`` and ``line_slope.NAME``: the least-squares line of a volume in ml on its dimension, at the
        code 0 and for a unit of the code; ``line_moved.NAME``: for a standard deviation of the code, what
        ``moved.NAME`` is to be compared with. Where each
        ``diagnosis`` has five patients or more, :func:`diagnosis_accuracy` from the labelled volumes,
        ``diagnosis.volumes``; from the volumes' own dimensions, ``diagnosis.dimensions``; from the whole code,
        ``diagnosis.code``; and from the code of another patient, ``diagnosis.shuffled``. Nothing where the images are
        no hearts, or of fewer than ten patients.
    """
    if "moved" not in observed:
        return {}
    phases = phases_of(images)
    names = volumes_of(phases)
    every = images.factor_matrix(VOLUMES)
    volumes, mean = means_of_groups(every, images), means_of_groups(observed["mean"], images)
    if len(volumes) < LEAST_PATIENTS:
        return {}
    values: dict[str, float] = {}
    for name in ("ssim7", "perceptual"):
        by_phase = {phase: float(means_of_groups(observed[f"{name}.{phase}"], images).mean()) for phase in phases}
        values[name] = float(np.mean(list(by_phase.values())))
        values |= {f"{name}.{phase}": value for phase, value in by_phase.items()}

    random = np.random.default_rng(0)
    values |= scores(mean, volumes)
    spread = np.exp(observed["logvar"].astype(np.float64) / 2)
    drawn = means_of_groups(observed["mean"] + spread * random.standard_normal(spread.shape), images)
    rotated, deviation = turned(mean, random), mean.std(0)
    shuffled = [scores(mean[random.permutation(len(mean))], volumes) for _ in range(SHUFFLES)]
    others = {
        "sampled": scores(drawn, volumes),
        "rotated": scores(rotated, volumes),
        "shuffled": {name: float(np.mean([one[name] for one in shuffled])) for name in shuffled[0]},
    }
    plain = [name for name in others["sampled"] if "." not in name]
    values |= {f"{name}.{how}": found[name] for how, found in others.items() for name in plain}

    moved = observed["moved"].astype(np.float64).mean(0)
    sign = np.sign([np.corrcoef(mean[:, int(k)], volumes[:, VOLUMES.index(n)])[0, 1] for k, n in _own(observed, names)])
    moved = np.nan_to_num(sign)[:, None] * moved
    relative = moved / volumes[:, [VOLUMES.index(name) for name in names]].std(0)
    own = np.eye(len(names), dtype=bool)
    values |= {f"moved.{name}": float(moved[k, k]) for k, name in enumerate(names)}
    for k, name in _own(observed, names):
        slope, offset = np.polyfit(mean[:, k], volumes[:, VOLUMES.index(name)], 1) if deviation[k] > 0 else (0.0, 0.0)
        values |= {f"line_offset.{name}": float(offset), f"line_slope.{name}": float(slope)}
        values[f"line_moved.{name}"] = float(abs(slope) * deviation[k])
    values["moved_own"] = float(relative[own].mean())
    values["moved_others"] = float(np.abs(relative[~own]).mean())
    seen = (means_of_groups(observed[name], images) for name in ("seen", "seen_decoded"))
    pairs = [
        np.corrcoef(a, b)[0, 1] if min(a.std(), b.std()) > 0 else 0.0 for a, b in zip(*(s.T for s in seen), strict=True)
    ]
    values["remeasured"] = float(np.mean(pairs))
    return values | _diagnoses(observed, images, mean, volumes, random)


def _diagnoses(
    observed: Mapping[str, np.ndarray],
    images: ImageSet,
    mean: np.ndarray,
    volumes: np.ndarray,
    random: np.random.Generator,
) -> dict[str, float]:
    if _no_diagnosis(images):
        return {}
    diagnosis = _diagnosis(images).astype(int)
    own = mean[:, np.unique(_whole(observed["dimension"]))]
    return {
        "diagnosis.volumes": diagnosis_accuracy(volumes, diagnosis),
        "diagnosis.dimensions": diagnosis_accuracy(own, diagnosis),
        "diagnosis.code": diagnosis_accuracy(mean, diagnosis),
        "diagnosis.shuffled": diagnosis_accuracy(mean[random.permutation(len(mean))], diagnosis),
    }


def _diagnosis(images: ImageSet) -> np.ndarray:
    """The diagnosis of each patient, whose slices have the same one; NaN where it is missing."""
    return means_of_groups(images.factor_matrix(["diagnosis"]), images)[:, 0]


def _no_diagnosis(images: ImageSet) -> str:
    """Why there is no accuracy of a diagnosis; empty where there is."""
    if "diagnosis" not in images.factors:
        return "the images have no factor diagnosis"
    if missing := int(np.isnan(diagnosis := _diagnosis(images)).sum()):
        return f"{missing} of {len(diagnosis)} patients have no diagnosis"
    counts = np.unique(diagnosis, return_counts=True)[1]
    if len(counts) < 2:
        return "all patients have one diagnosis"
    least = f"a diagnosis has {counts.min()} patients, at least {FOLDS} are needed"
    return least if counts.min() < FOLDS else ""


def left_out(observed: Mapping[str, np.ndarray], images: ImageSet) -> dict[str, str]:
    """Which of the numbers these images do not give, and why."""
    reason, patients = "", len(means_of_groups(np.empty(len(images)), images))
    if not phases_of(images):
        reason = "the images are no hearts with six volumes"
    elif patients < LEAST_PATIENTS:
        reason = f"{patients} patients, at least {LEAST_PATIENTS} are needed"
    if reason:
        return dict.fromkeys(ALL, reason)
    return dict.fromkeys(DIAGNOSES, reason) if (reason := _no_diagnosis(images)) else {}


def _whole(dimension: np.ndarray) -> np.ndarray:
    return np.rint(dimension).astype(int)  # kept in 16 bits, 3 may be 2.99997


def _own(observed: Mapping[str, np.ndarray], names: list[str]) -> list[tuple[int, str]]:
    return list(zip(_whole(observed["dimension"]), names, strict=True))
