"""ACDC, cardiac MRI of 100 patients in five groups, and UK Biobank in the layout of ukbb_cardiac, packed as hearts.

``pack`` reads short-axis volumes at end-diastole (ED) and end-systole (ES) with their segmentations, and writes two
:class:`~medlatent.data.ImageSet`: pictures at ``out``, and their masks beside it, at ``out`` with ``_masks`` behind it.

=================  ======================================================================  ===========================
layout             files of a patient                                                      labels
=================  ======================================================================  ===========================
ACDC               ``patient001/Info.cfg``, ``patient001_frame01.nii.gz``,                 1 RV, 2 myocardium, 3 LV
                   ``patient001_frame01_gt.nii.gz``, the same of frame 12 (ES)
ukbb_cardiac       ``1234567/sa_ED.nii.gz``, ``label_sa_ED.nii.gz`` (or                    1 LV, 2 myocardium, 3 RV
                   ``seg_sa_ED.nii.gz``, the toolbox's own), ``sa_ES.nii.gz``, …
=================  ======================================================================  ===========================

What the headers of ACDC say is used with care: the distances are those of ``pixdim``, since the affine of published
copies has unit spacing, and which end of the stack is the base is read from the masks, since no header tells.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import re
import shutil
import zlib
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.ndimage import affine_transform, gaussian_filter
from tqdm import tqdm

from ..files import is_there
from .errors import DataError
from .imageset import Card, Factor, ImageSet
from .optional import extra
from .packing import File, Files, Findings, find_files, parallel
from .source import Source, StandIn
from .untrusted import FREE, RATIO, check_declared
from .views import coarser

with extra("data", "reading hearts"):
    import nibabel
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError, HeaderTypeError
    from nibabel.wrapstruct import WrapStructError

DIAGNOSES = ("NOR", "DCM", "HCM", "MINF", "RV")
PHASES = ("ED", "ES")
REGIONS = ("LV", "RV", "Myo")
BACKGROUND, LV, MYO, RV = range(4)  # the labels of the packed masks, those of ukbb_cardiac
LABELS = {"ACDC": (BACKGROUND, RV, MYO, LV), "ukbb_cardiac": (BACKGROUND, LV, MYO, RV)}  # of 0, 1, 2, 3 in the files
MEASURED = tuple(f"{region}{phase}V" for phase in PHASES for region in REGIONS)
WORDS = {"LV": "left ventricle", "RV": "right ventricle", "Myo": "left ventricle's muscle"}
FACTORS = {
    f"{region}{phase}V": Factor(f"volume of the {WORDS[region]} at end-{moment}", unit="ml")
    for phase, moment in zip(PHASES, ("diastole", "systole"), strict=True)
    for region in REGIONS
}
DIAGNOSIS = Factor(
    "NOR normal; DCM dilated cardiomyopathy; HCM hypertrophic cardiomyopathy; MINF heart failure after myocardial "
    "infarction; RV abnormal right ventricle",
    kind="categorical",
    values=DIAGNOSES,
)
LEVEL = Factor("height of the slice at end-diastole: 1 the base, 0 the apex")
SELECTIONS = ("wide", "paper")
SLICES = ("basal", "upper")
PIXELS = 10  # a region counts in a slice with more pixels than that
MIN_SLICES = 6
SPACING = 1.8  # mm: that of UK Biobank
SHARES = {"validation": 0.15, "test": 0.15}  # those of Di Folco et al.; the rest is for training
PERCENTILES = (1, 99)
IN_PLANE, BETWEEN = (0.2, 5.0), (1.0, 30.0)  # mm: distances of pixels and of slices outside are no short-axis cine's
BODIES = {"Height": (30, 250), "Weight": (1, 400)}  # cm, kg
LICENCE = "CC BY-NC-SA 4.0"
CITATION = (
    "Bernard, O. et al.: Deep Learning Techniques for Automatic MRI Cardiac Multi-Structures Segmentation and "
    "Diagnosis: Is the Problem Solved? IEEE Transactions on Medical Imaging 37(11), 2514-2525 (2018). "
    "doi:10.1109/TMI.2018.2837502"
)
LICENCE_UKBB = "UK Biobank, under the terms of your application"
CITATION_UKBB = (
    "Petersen, S.E. et al.: UK Biobank's cardiovascular magnetic resonance protocol. Journal of Cardiovascular "
    "Magnetic Resonance 18, 8 (2016). doi:10.1186/s12968-016-0227-4"
)
ACDC_FILE = re.compile(r"(patient\d+)_(?:frame(\d+)(_gt)?|4d)\.nii(?:\.gz)?")
UKBB_FILE = re.compile(r"(label_|seg_)?sa_(ED|ES)\.nii(?:\.gz)?")
UNREADABLE = (
    *(EOFError, OSError, ValueError, OverflowError, MemoryError, zlib.error, gzip.BadGzipFile),
    *(ImageFileError, HeaderDataError, HeaderTypeError, WrapStructError),
)


def pack(
    source: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    size: int = 128,
    spacing: float = SPACING,
    selection: str = "wide",
    slices: str = "basal",
    workers: int | None = None,
    progress: bool = True,
) -> ImageSet:
    """Packs hearts into an image set at ``out`` and their masks into one beside it, whole or not at all.

    A picture has two channels, a slice at ED and one at ES; by default the basal slice of each phase, which is the
    slice nearest to the base with more than ten pixels of LV, RV and myocardium. Each channel is moved and turned by
    its own mask, as in Di Folco et al. (2024): the barycentre of the LV lies in the centre, that of the RV to its left
    on the horizontal axis. It is not mirrored, and none of ACDC's hundred has to be. Pictures are resampled to
    ``spacing`` with cubic splines, after a Gaussian where that is coarser than the file; of a mask, each label is,
    linearly, and the largest kept. What lies outside of the file is black. Intensities are clipped to the 1st and
    99th percentile of the patient's two basal pictures together, black borders aside, and scaled to 0 to 255: one scale
    a patient, so that ED and ES can be compared.

    At 1.8 mm, the spacing of UK Biobank, 128 pixels are 230 mm and show all 100 hearts of ACDC whole; at 1.5 mm, the
    right ventricles of four (7, 17, 52, 86) would be cut, and ``pack`` refuses that.

    The masks, ``(N, 2, size, size)``, hold 0 background, 1 LV, 2 myocardium, 3 RV in both layouts, with the same table.

    The table has the columns ``patient_id``; of ``Info.cfg`` ``diagnosis``, ``frame_ed``, ``frame_es``, ``frames``,
    ``height`` (cm) and ``weight`` (kg); ``LVEDV`` … ``MyoESV`` (ml: the voxels of the whole mask times their
    size); ``pixel_spacing`` and ``slice_distance`` (mm, of the file), ``slice_ed`` and ``slice_es`` (counted from 0 in
    the file); ``paper`` (whether the patient is in the selection of that name) and ``split``. It is sorted by patient.
    The splits are 70 %, 15 % and 15 % of the patients of each diagnosis, and as nearly of those in ``paper``.

    Args:
        source: a folder or zip archive, or a list of such; folders are searched with all folders and archives in them.
            Patients in a folder ``testing``, 4D files and what else lies about are left out.
        out: the folder to write; neither it nor the one of the masks may exist.
        size: height and width in pixels.
        spacing: of the packed pixels in mm.
        selection: which patients. ``"paper"``: at ED and ES, more than ten pixels of LV, RV and myocardium in at least
            six slices without a gap, and LV and RV on the mid-cavity slice, as Di Folco et al. write (72 of ACDC's
            100; their "more than six", taken at its word, would leave 47). ``"wide"``: the check of ukbb_cardiac, which
            they cite, where the six slices need LV and myocardium only (all 100). How many are left out is in the card.
        slices: ``"basal"``, one picture a patient; or ``"upper"``, a picture for each slice at ED from the base to the
            mid-cavity that shows the three regions, with the slice at ES of the nearest height, and the factor
            ``level``.
        workers: processes that read; by default none beside this one for a few hundred patients, else one a core.
        progress: show a progress bar.

    Raises:
        DataError: the source or an argument cannot be used. Everything found wrong is in one message: the kinds, how
            many of each, and the first few patients and files. Nothing is written.
    """
    out = Path(out)
    for folder in (out, masks_beside(out)):
        if is_there(folder):
            raise DataError(f"{folder} exists: choose another folder, or delete it first")
    for name, value, low, high in (("size", size, 8, 1024), ("spacing", spacing, 0.2, 10.0)):
        if not low <= value <= high:
            raise DataError(f"{name} must be {low} to {high}, not {value}")
    for name, value, known in (("selection", selection, SELECTIONS), ("slices", slices, SLICES)):
        if value not in known:
            raise DataError(f"{name} must be {' or '.join(known)}, not {value!r}")
    if workers is not None and workers < 1:
        raise DataError(f"workers must be at least 1, not {workers}")
    problems = Findings()
    layout, patients = _find(source, problems)
    if workers is None:
        workers = 1 if len(patients) < 500 else min(os.cpu_count() or 1, 16)
    hearts: list[_Heart] = []
    with _Reader(layout, size, spacing, selection, slices) as reader:
        for read in tqdm(parallel(reader, patients, workers, 4), "packing", len(patients), disable=not progress):
            if isinstance(read, _Heart):
                hearts.append(read)
            for kind, name in read.problems if isinstance(read, _Faults) else ():
                problems.add(kind, name)
    if problems:
        raise DataError(f"the hearts cannot be packed: {problems}")
    splits = _stratified(hearts)
    chosen = [heart for heart in hearts if heart.rows]
    if not chosen:
        raise DataError(f"none of the {len(hearts)} patients passes the selection {selection!r}; see its description")
    rows = [row | {"split": splits[heart.patient]} for heart in chosen for row in heart.rows]
    table = pd.DataFrame(rows)
    factors = dict(FACTORS)
    if "diagnosis" in table:
        factors["diagnosis"] = DIAGNOSIS
    if slices == "upper":
        factors["level"] = LEVEL
    attributes = {
        "layout": layout,
        "size": size,
        "spacing": spacing,
        "selection": selection,
        "slices": slices,
        "channels": list(PHASES),
        "patients": len(chosen),
        "left_out": len(hearts) - len(chosen),
    }
    card = _card(layout, attributes)
    images = ImageSet(np.concatenate([heart.images for heart in chosen]), table, factors, card, "patient_id")
    labels = np.concatenate([heart.masks for heart in chosen])
    masks = ImageSet(labels, table, factors, _card(layout, attributes, masks=True), "patient_id", (0, 3))
    try:
        masks.save(masks_beside(out))
        images.save(out)
    except BaseException:
        if not out.exists():
            shutil.rmtree(masks_beside(out), ignore_errors=True)
        raise
    return ImageSet.load(out)


def masks_beside(folder: str | os.PathLike) -> Path:
    """Where the masks of the pictures in a folder lie: beside it, for ``acdc`` in ``acdc_masks``."""
    folder = Path(os.path.abspath(folder))  # noqa: PTH100 - "." has no name, and a link shall stay one
    return folder.with_name(f"{folder.name}_masks")


def volumes(mask: np.ndarray, spacing: tuple[float, float, float]) -> dict[str, float]:
    """The volumes of LV, RV and myocardium in ml: their voxels times the size of one.

    Args:
        mask: ``(X, Y, Z)``, with 1 LV, 2 myocardium, 3 RV.
        spacing: the distances of voxels along the three axes in mm; that of slices from centre to centre.
    """
    millilitres = float(np.prod(spacing, dtype=np.float64)) / 1000
    return {
        name: float(np.count_nonzero(mask == label)) * millilitres
        for name, label in zip(REGIONS, (LV, RV, MYO), strict=True)
    }


# ---------------------------------------------------------------------------------------------- what the source holds


class _Patient(NamedTuple):
    """The files of a patient: image and mask of ED and ES, and what ``Info.cfg`` says where there is one."""

    name: str
    info: dict[str, object]
    files: dict[str, tuple[File, File]]


def _find(source, problems: Findings) -> tuple[str, list[_Patient]]:
    """The layout and the patients, by name; what is missing, or there twice, is added to the problems."""
    folders: dict[tuple[str, str], dict[str, list[File]]] = {}
    for file in find_files(source):
        place = (
            PurePosixPath(file.member)
            if file.member is not None
            else PurePosixPath(Path(file.path).absolute().as_posix())
        )
        if place.name == "Info.cfg" or ACDC_FILE.fullmatch(place.name) or UKBB_FILE.fullmatch(place.name):
            container = "" if file.member is None else file.path
            folders.setdefault((container, str(place.parent)), {}).setdefault(place.name, []).append(file)
    layouts: dict[str, dict[str, list[tuple[str, dict[str, list[File]]]]]] = {}
    for (container, folder), files in sorted(folders.items()):
        place = PurePosixPath(folder)
        layout = "ukbb_cardiac" if any(UKBB_FILE.fullmatch(name) for name in files) else "ACDC"
        if layout == "ACDC" and place.parent.name == "testing":
            continue
        where = f"{container}: {folder}" if container else folder
        layouts.setdefault(layout, {}).setdefault(place.name, []).append((where, files))
    if len(layouts) != 1:
        raise DataError(
            f"{source}: "
            + ("the layouts of ACDC and of ukbb_cardiac are mixed: pack each on its own" if layouts else "no patient")
            + "; a patient is a folder patientNNN with Info.cfg and the frames, or one with sa_ED.nii.gz and its like"
        )
    ((layout, found),) = layouts.items()
    patients = []
    for name, places in sorted(found.items()):
        if not name:
            problems.add(
                "file in no patient's folder", f"{places[0][0]}: put each patient's files in a folder of its own"
            )
        elif len(places) > 1:
            problems.add("patient twice", f"{name}: in {' and in '.join(where for where, _ in places)}; keep one")
        else:
            patient = (_acdc if layout == "ACDC" else _ukbb)(name, *places[0], problems)
            if patient is not None:
                patients.append(patient)
    return layout, patients


def _acdc(name: str, where: str, files: dict[str, list[File]], problems: Findings) -> _Patient | None:
    frames: dict[tuple[int, bool], list[File]] = {}
    for file_name, found in files.items():
        match = ACDC_FILE.fullmatch(file_name)
        if match and match[1] != name:
            problems.add("file of another patient", f"{name}: {file_name}; move it to the folder {match[1]}")
            return None
        if match and match[2] is not None:
            frames.setdefault((int(match[2]), bool(match[3])), []).extend(found)
    if "Info.cfg" not in files:
        problems.add("missing file", f"{name}: no Info.cfg in {where}; unpack the archive again")
        return None
    try:
        with Files() as opened:
            info = _info(opened.read(files["Info.cfg"][0]))
    except (OSError, DataError) as error:
        problems.add("Info.cfg that cannot be used", f"{name}: {error}")
        return None
    pairs = {}
    for phase, frame in zip(PHASES, (info["frame_ed"], info["frame_es"]), strict=True):
        stem = f"{name}_frame{frame:02}"
        both = [frames.get((frame, is_mask), []) for is_mask in (False, True)]
        pairs[phase] = _pair(name, phase, both, (f"{stem}.nii.gz", f"{stem}_gt.nii.gz"), problems)
    return _Patient(name, info, pairs) if all(pairs.values()) else None


def _ukbb(name: str, where: str, files: dict[str, list[File]], problems: Findings) -> _Patient | None:
    kinds: dict[tuple[str, str], list[File]] = {}
    for file_name, found in files.items():
        if match := UKBB_FILE.fullmatch(file_name):
            kinds.setdefault((match[1] or "", match[2]), []).extend(found)
    pairs = {}
    for phase in PHASES:
        mask = kinds.get(("label_", phase)) or kinds.get(("seg_", phase), [])  # drawn by hand before computed
        names = (f"sa_{phase}.nii.gz", f"label_sa_{phase}.nii.gz")
        pairs[phase] = _pair(name, phase, [kinds.get(("", phase), []), mask], names, problems)
    return _Patient(name, {}, pairs) if all(pairs.values()) else None


def _pair(
    name: str, phase: str, found: list[list[File]], names: tuple[str, str], problems: Findings
) -> tuple[File, File] | None:
    """Image and mask, where there is one of each."""
    for files, wanted, what in zip(found, names, ("image", "mask"), strict=True):
        if not files:
            problems.add("missing file", f"{name}: no {what} {wanted} of {phase}; get it, or take the patient out")
        elif len(files) > 1:
            problems.add("file twice", f"{name}: {' and '.join(map(str, files))}; keep one")
    return (found[0][0], found[1][0]) if all(len(files) == 1 for files in found) else None


def _info(content: bytes) -> dict[str, object]:
    """``Info.cfg`` as columns of the table."""
    lines = content.decode("utf-8-sig", errors="replace").splitlines()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    info: dict[str, object] = {"diagnosis": fields.get("Group")}
    if info["diagnosis"] not in DIAGNOSES:
        raise DataError(f"Group is {fields.get('Group')!r}, where one of {', '.join(DIAGNOSES)} is expected")
    for key, column in (("ED", "frame_ed"), ("ES", "frame_es"), ("NbFrame", "frames")):
        if not fields.get(key, "").isdecimal() or int(fields[key]) < 1:
            raise DataError(f"{key} is {fields.get(key)!r}, where the number of a frame is expected")
        info[column] = int(fields[key])
    if (last := max(info["frame_ed"], info["frame_es"])) > info["frames"]:
        raise DataError(f"NbFrame is {info['frames']}, where frame {last} is ED or ES; look them up in the publication")
    if info["frame_ed"] == info["frame_es"]:
        raise DataError(f"ED and ES are both frame {info['frame_ed']}; look the two up in the publication")
    for key, (low, high) in BODIES.items():
        try:
            value = float(fields.get(key) or "nan")
        except ValueError:
            raise DataError(f"{key} is {fields[key]!r}, where a number is expected") from None
        if not (low <= value <= high or math.isnan(value)):
            raise DataError(f"{key} is {fields[key]!r}, where {low} to {high} is possible; leave it empty if unknown")
        info[key.lower()] = value
    return info


# ------------------------------------------------------------------------------------------------------------ one heart


class _Refused(Exception):
    """One thing wrong with a file, with its kind."""

    def __init__(self, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.kind = kind


class _Faults(NamedTuple):
    problems: list[tuple[str, str]]


class _Heart(NamedTuple):
    """A patient's pictures, none where the selection leaves the patient out."""

    patient: str
    diagnosis: object
    selections: tuple[str, ...]
    rows: list[dict[str, object]]
    images: np.ndarray  # (n, 2, size, size), uint8
    masks: np.ndarray


class _Volume(NamedTuple):
    """A file's array with its three axes and distances, in mm; its affine is compared, not used."""

    array: np.ndarray
    spacing: tuple[float, float, float]
    affine: np.ndarray


class _Reader(Files):
    """Reads a patient's files to pictures and masks; each process has its own."""

    def __init__(self, layout: str, size: int, spacing: float, selection: str, slices: str) -> None:
        super().__init__()
        self.labels = np.array(LABELS[layout], np.uint8)
        self.size, self.spacing, self.selection, self.slices = size, spacing, selection, slices

    def __call__(self, patient: _Patient) -> _Heart | _Faults:
        faults: list[tuple[str, str]] = []
        images, masks = {}, {}
        for phase, (image, mask) in patient.files.items():
            for file, kept, is_mask in ((image, images, False), (mask, masks, True)):
                try:
                    kept[phase] = self._mask(file) if is_mask else self._image(file)
                except _Refused as error:
                    faults.append((error.kind, f"{patient.name}: {_short(file)} {error}"))
            if phase in images and phase in masks and (wrong := _difference(images[phase], masks[phase])):
                kind = "mask that does not fit its image"
                faults.append((kind, f"{patient.name}: {_short(mask)} {wrong} {_short(image)}; get both files again"))
        if not faults:
            ed, es = (images[phase] for phase in PHASES)
            if wrong := _difference(ed, es, affine=False):
                kind = "ES of another geometry than ED"
                faults.append((kind, f"{patient.name}: {_short(patient.files['ES'][0])} {wrong} that of ED"))
            elif np.array_equal(ed.array, es.array):
                faults.append(
                    ("ED and ES that are one frame", f"{patient.name}: their images are the same; get ES again")
                )
        if faults:
            return _Faults(faults)
        try:
            return self._heart(patient, images, masks)
        except _Refused as error:
            return _Faults([(error.kind, f"{patient.name}: {error}")])

    def _image(self, file: File) -> _Volume:
        volume = self._volume(file)
        if not np.isfinite(volume.array).all():
            raise _Refused("image that cannot be used", "holds values that are no numbers; get it again")
        if volume.array.min() == volume.array.max():
            raise _Refused("image that cannot be used", "is of one grey throughout; get it again")
        return volume

    def _mask(self, file: File) -> _Volume:
        volume = self._volume(file)
        if strange := [value for value in np.unique(volume.array) if value not in (0, 1, 2, 3)]:
            raise _Refused("labels other than 0 to 3", f"holds {strange[0]:g}; map the labels to those of the layout")
        mask = self.labels[volume.array.astype(np.uint8)]
        for region, label in zip(REGIONS, (LV, RV, MYO), strict=True):
            if not (mask == label).any():
                raise _Refused("mask without a region", f"shows nothing of the {WORDS[region]}; take the patient out")
        return volume._replace(array=mask)

    def _volume(self, file: File) -> _Volume:
        try:
            content = self.read(file)
            if content[:2] == b"\x1f\x8b":
                with gzip.open(BytesIO(content)) as unzipped:
                    unpacked = unzipped.read(max(FREE, RATIO * len(content)) + 1)
                check_declared(len(unpacked), len(content), "it")
                content = unpacked
            if content[344:348] != b"n+1\0":
                raise ValueError("no NIfTI-1 file")
            # as it is stored: with its own checks, nibabel would make a distance of zero one of 1
            spacing = _spacing(nibabel.Nifti1Header.from_fileobj(BytesIO(content), check=False))
            image = nibabel.Nifti1Image.from_bytes(content)
            declared = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
            if declared > len(content):
                raise ValueError(f"its header declares {declared} bytes of voxels, and the file has {len(content)}")
            array = np.asanyarray(image.dataobj)
        except (*UNREADABLE, DataError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise _Refused("file that cannot be read", f"({reason}); get it again") from None
        if array.ndim > 3 and math.prod(array.shape[3:]) == 1:
            array = array.reshape(array.shape[:3])
        if array.ndim != 3 or not array.size:
            raise _Refused("file that is no volume", f"has the shape {array.shape}; one frame has three axes")
        if array.dtype.kind not in "iuf":
            raise _Refused("file that is no volume", f"holds {array.dtype}; convert it to grey values or labels")
        return _Volume(array, spacing, image.affine)

    def _heart(self, patient: _Patient, images: dict[str, _Volume], masks: dict[str, _Volume]) -> _Heart:
        spacing = images["ED"].spacing
        upwards = _apex_first(sum((mask.array > 0).sum((0, 1)) for mask in masks.values()))
        # from base to apex
        stacks = {phase: masks[phase].array[..., ::-1] if upwards else masks[phase].array for phase in PHASES}
        pictures = {phase: images[phase].array[..., ::-1] if upwards else images[phase].array for phase in PHASES}
        count = stacks["ED"].shape[2]
        measured = {f"{r}{p}V": v for p in PHASES for r, v in volumes(masks[p].array, spacing).items()}
        levels = {phase: _Levels(stacks[phase]) for phase in PHASES}
        selections = tuple(name for name in SELECTIONS if all(levels[phase].passes(name) for phase in PHASES))
        about = patient.name, patient.info.get("diagnosis"), selections
        if self.selection not in selections:
            nothing = np.empty((0, 2, self.size, self.size), np.uint8)
            return _Heart(*about, [], nothing, nothing)
        basal = {phase: levels[phase].base for phase in PHASES}
        base = self._cut(patient, pictures, stacks, basal, spacing)
        inside = np.concatenate([picture[seen] for picture, _, seen in base])
        low, high = np.percentile(inside, PERCENTILES)
        if not low < high:
            raise _Refused("image that cannot be used", "its basal slices are of one grey; get it again")
        rows, packed, packed_masks = [], [], []
        for places in levels["ED"].pairs(levels["ES"]) if self.slices == "upper" else [basal]:
            cut = base if places == basal else self._cut(patient, pictures, stacks, places, spacing)
            grey = np.stack([np.where(seen, (picture - low) / (high - low), 0) for picture, _, seen in cut])
            packed.append(np.rint(255 * grey.clip(0, 1)).astype(np.uint8))
            packed_masks.append(np.stack([mask for _, mask, _ in cut]))
            rows.append(
                {"patient_id": patient.name}
                | patient.info
                | measured
                | {"pixel_spacing": spacing[0], "slice_distance": spacing[2]}
                | {f"slice_{p.lower()}": count - 1 - places[p] if upwards else places[p] for p in PHASES}
                | ({"level": levels["ED"].height(places["ED"])} if self.slices == "upper" else {})
                | {"paper": "paper" in selections}
            )
        return _Heart(*about, rows, np.stack(packed), np.stack(packed_masks))

    def _cut(
        self,
        patient: _Patient,
        pictures: dict[str, np.ndarray],
        stacks: dict[str, np.ndarray],
        places: dict[str, int],
        spacing: tuple[float, float, float],
    ) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Of each phase the picture, the mask, and where the file reaches, centred and turned."""
        cut = []
        for phase, k in places.items():
            picture, mask = pictures[phase][..., k].astype(np.float32), stacks[phase][..., k]
            matrix, offset = placement(mask, spacing[:2], self.size, self.spacing)
            reach = self.size / 2 * self.spacing
            heart = np.linalg.solve(matrix, np.argwhere(mask > 0).T - offset[:, None]) - (self.size - 1) / 2
            if (furthest := (np.abs(heart).max() + 0.5) * self.spacing) > reach:
                needed = np.ceil(furthest / (self.size / 2) * 20) / 20
                raise _Refused(
                    "heart larger than the crop",
                    f"{_short(patient.files[phase][1])} reaches {furthest:.0f} mm from the centre, the crop "
                    f"{reach:.0f}; take a spacing of {needed:.2f} mm",
                )
            cut.append(resample(picture, mask, matrix, offset, self.size))
        return cut


class _Levels:
    """Which slices of a mask show what, from base to apex."""

    def __init__(self, mask: np.ndarray) -> None:
        pixels = {label: (mask == label).sum((0, 1)) for label in (LV, MYO, RV)}
        ventricle = (pixels[LV] > PIXELS) & (pixels[MYO] > PIXELS)
        self.ventricle = np.flatnonzero(ventricle)
        self.shown = np.flatnonzero(ventricle & (pixels[RV] > PIXELS))
        middle = round(float(np.average(np.arange(mask.shape[2]), weights=pixels[LV])))
        self.middle_shows_both = min(pixels[LV][middle], pixels[RV][middle]) > PIXELS

    @property
    def base(self) -> int:
        return int(self.shown[0])

    def passes(self, selection: str) -> bool:
        slices = self.shown if selection == "paper" else self.ventricle
        whole = len(slices) >= MIN_SLICES and slices[-1] - slices[0] + 1 == len(slices)
        return bool(whole and self.middle_shows_both and self.shown.size)

    def height(self, k: int) -> float:
        """1 at the base, 0 at the last slice with LV and myocardium."""
        last = int(self.ventricle[-1])
        return 1.0 if last == self.base else float((last - k) / (last - self.base))

    def pairs(self, other: _Levels) -> list[dict[str, int]]:
        """The slices from the base to the mid-cavity, each with the other phase's of the nearest height."""
        found = []
        for k in self.shown:
            if (height := self.height(k)) >= 0.5:
                nearest = min(other.shown, key=lambda j: abs(other.height(j) - height))
                found.append({"ED": int(k), "ES": int(nearest)})
        return found


def placement(
    mask: np.ndarray, spacing: tuple[float, float], size: int, target: float
) -> tuple[np.ndarray, np.ndarray]:
    """How pixels of the crop lie in a slice: LV in the centre, RV to its left on the horizontal axis.

    Args:
        mask: ``(X, Y)`` with 1 LV, 3 RV, both present; X runs to the right in a picture, Y down.
        spacing: along X and Y, in mm.
        size, target: height and width of the crop in pixels, and their distance in mm.

    Returns:
        A matrix ``(2, 2)`` and an offset ``(2,)``: pixel (row, column) of the crop lies at ``matrix @ pixel + offset``.
    """
    left, right = (np.argwhere(mask == label).mean(0) for label in (LV, RV))
    towards = (left - right) * spacing
    if not (length := np.hypot(*towards)):
        towards, length = np.array([1.0, 0.0]), 1.0  # of two barycentres in one place, none lies to the left
    across = towards / length
    down = np.array([-across[1], across[0]])
    matrix = np.stack([down, across], axis=1) * target / np.array(spacing)[:, None]
    return matrix, left - matrix @ np.full(2, (size - 1) / 2)


def resample(
    picture: np.ndarray, mask: np.ndarray, matrix: np.ndarray, offset: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A slice and its mask at the places of :func:`placement`.

    Args:
        picture: ``(X, Y)``, float32.
        mask: ``(X, Y)``, labels 0 to 3.
        matrix, offset: of the placement.
        size: height and width of the results.

    Returns:
        The picture, float32; the mask, uint8; and where the file has pixels, bool. Each ``(size, size)``.
    """
    # the Gaussian that turns the width of a file's pixel into that of the crop's, so that nothing is aliased
    sigma = 0.5 * np.sqrt(np.maximum((matrix**2).sum(1) - 1, 0))

    def look(array, order, mode, fill=0.0):
        smooth = gaussian_filter(array, sigma, mode="nearest")
        return affine_transform(smooth, matrix, offset, (size, size), order=order, mode=mode, cval=fill)

    labels = range(len(REGIONS) + 1)
    shares = [look((mask == label).astype(np.float32), 1, "constant", float(label == BACKGROUND)) for label in labels]
    grey = look(picture, 3, "nearest")  # a cubic looks beyond the border: there the edge goes on
    seen = affine_transform(np.ones_like(picture), matrix, offset, (size, size), order=0, mode="constant") > 0.5
    return grey, np.argmax(shares, 0).astype(np.uint8), seen


def _spacing(header: nibabel.Nifti1Header) -> tuple[float, float, float]:
    """The distances of voxels in mm, which are checked."""
    if (unit := int(header["xyzt_units"]) % 8) not in (0, 2):  # the codes of none and mm
        name = {1: "metres", 3: "micrometres"}.get(unit, f"the unit of code {unit}")
        raise _Refused("unit other than mm", f"has lengths in {name}; convert its header")
    distances = tuple(float(value) for value in header["pixdim"][1:4])
    for distance, (low, high), what in zip(
        distances, (IN_PLANE, IN_PLANE, BETWEEN), ("pixels", "pixels", "slices"), strict=True
    ):
        if not low <= distance <= high:
            raise _Refused(
                "impossible spacing",
                f"has {what} {distance:g} mm apart, where {low:g} to {high:g} is possible; correct pixdim",
            )
    return distances


def _apex_first(pixels: np.ndarray) -> bool:
    """Whether a stack begins at the apex: the half of the heart there shows fewer pixels of it."""
    slices = np.flatnonzero(pixels)
    half = len(slices) // 2
    return bool(half and pixels[slices[:half]].sum() < pixels[slices[-half:]].sum())


def _difference(one: _Volume, other: _Volume, affine: bool = True) -> str:
    """What the other has that one has not, in words that a name follows; empty where they agree."""
    if one.array.shape != other.array.shape:
        return f"has the shape {other.array.shape}, not {one.array.shape}, of"
    if not np.allclose(one.spacing, other.spacing, rtol=0, atol=1e-3):
        return f"has distances of {other.spacing} mm, not {one.spacing}, of"
    if affine and not np.allclose(one.affine, other.affine, rtol=0, atol=1e-2):
        return "has another affine than"
    return ""


def _short(file: File) -> str:
    return PurePosixPath(file.member or Path(file.path).as_posix()).name


# ------------------------------------------------------------------------------------------------------ splits and card


def _stratified(hearts: list[_Heart]) -> dict[str, str]:
    """The split of each patient: shares of those of a diagnosis, and of these of those who pass the narrower selection.

    The selections share it: who is for testing in one is so in the other.
    """
    strata: dict[tuple[object, bool], list[str]] = {}
    for heart in hearts:
        if heart.selections:
            strata.setdefault((heart.diagnosis, "paper" in heart.selections), []).append(heart.patient)
    splits = {}
    for names in strata.values():
        names.sort(key=lambda name: hashlib.sha256(f"0:{name}".encode()).digest())
        start = 0
        for split, share in SHARES.items():
            stop = start + (max(1, round(share * len(names))) if len(names) >= 3 else 0)
            splits |= dict.fromkeys(names[start:stop], split)
            start = stop
        splits |= dict.fromkeys(names[start:], "train")
    return splits


def _card(layout: str, attributes: dict[str, object], masks: bool = False) -> Card:
    size, spacing = attributes["size"], attributes["spacing"]
    shown = "basal slice" if attributes["slices"] == "basal" else "slices from base to mid-cavity"
    what = (
        "labels 0 background, 1 LV, 2 myocardium, 3 RV, interpolated linearly, the largest kept"
        if masks
        else "intensities from the 1st to the 99th percentile of a patient's basal slices scaled to 0 to 255"
    )
    name, source = (
        ("ACDC", "https://www.creatis.insa-lyon.fr/Challenge/acdc/")
        if layout == "ACDC"
        else ("UK Biobank", "https://www.ukbiobank.ac.uk")
    )
    return Card(
        name=f"{name} masks" if masks else name,
        source=source,
        licence=LICENCE if layout == "ACDC" else LICENCE_UKBB,
        citation=CITATION if layout == "ACDC" else CITATION_UKBB,
        preprocessing=f"{shown} at ED and ES as two channels; LV barycentre centred, RV barycentre turned to its left; "
        f"{size}×{size} at {spacing:g} mm; {what}; split by patient, stratified by diagnosis",
        attributes=attributes,
    )


ACDC = Source(
    name="acdc",
    kind="packed",
    summary="short-axis MRI of 100 hearts at end-diastole and end-systole, with volumes",
    limits=(
        "Hearts of 100 patients of one hospital in Dijon, twenty of each of five groups: a choice for a "
        "challenge, not a population. Their volumes come from outlines that one group of readers drew. One slice "
        "does not show the volume that it is labelled with."
    ),
    licence=LICENCE,
    stand_in=StandIn("phantoms.heart", 500, 1),
)
SOURCES = (ACDC, *coarser(ACDC, PHASES))
