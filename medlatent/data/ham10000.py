"""HAM10000: 10 015 dermatoscopic images of 7 470 pigmented skin lesions, packed from the official files.

``pack`` reads the archives (or the folders that they unpack to) of any of three publications and writes an
:class:`~medlatent.data.ImageSet`, which ``ImageSet.load`` opens from then on.

=====================  ===================================================  ==========================================
publication            images                                               table and masks
=====================  ===================================================  ==========================================
HAM10000               ``HAM10000_images_part_1``, ``..._part_2``           ``HAM10000_metadata``,
                                                                            ``HAM10000_segmentations_lesion_tschandl``
ISIC 2018, Task 3      ``ISIC2018_Task3_Training_Input``                    ``ISIC2018_Task3_Training_GroundTruth``,
                       (the same images)                                    ``ISIC2018_Task3_Training_LesionGroupings``
ISIC 2018, Task 1-2    ``ISIC2018_Task1-2_Training_Input`` (2 594 images)   ``ISIC2018_Task1_Training_GroundTruth``
=====================  ===================================================  ==========================================

Tables and masks may be mixed: Task 3 images with the metadata and masks of HAM10000 are as good as HAM10000 itself.
Where a source holds the images of several publications, the first in this order is packed; name the files to choose
another.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import re
import struct
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, UnidentifiedImageError
from tqdm import tqdm

from ..files import is_there
from .download import open_zip, read_member
from .errors import DataError
from .imageset import Card, Factor, ImageSet
from .labels import MISSING, text_table
from .lesions import NAME, balanced
from .optional import extra
from .picture_files import DEEP, is_deep, is_turned
from .source import ClassifierSpec, Source, StandIn
from .splits import split_by_group
from .untrusted import counts
from .views import coarser

CLASSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
UNKNOWN = "unknown"
FACTORS = {
    "size": Factor("share of the image's area that the lesion covers"),
    "eccentricity": Factor(
        "eccentricity of the ellipse with the lesion's second moments: 0 a circle, towards 1 a line"
    ),
    "orientation": Factor(
        "angle of the lesion's major axis to the horizontal, counter-clockwise, in [-pi/2, pi/2)",
        kind="angle",
        unit="rad",
        period=float(np.pi),
    ),
    "dx": Factor("diagnosis", kind="categorical", values=CLASSES),
}
MEASURED = ("size", "eccentricity", "orientation")
OLDEST = 120  # years
SHORT_SIDE = 64  # a patch is counted in pixels of the image scaled so that its shorter side has this many
CITATION = (
    "Tschandl, P., Rosendahl, C., Kittler, H.: The HAM10000 dataset, a large collection of multi-source dermatoscopic "
    "images of common pigmented skin lesions. Scientific Data 5, 180161 (2018). doi:10.1038/sdata.2018.161"
)
CITATION_ISIC = (
    "Codella, N. et al.: Skin Lesion Analysis Toward Melanoma Detection 2018: A Challenge Hosted by the International "
    "Skin Imaging Collaboration (ISIC). arXiv:1902.03368 (2019)"
)
LICENCE = "CC BY-NC 4.0"

IMAGES = {
    "HAM10000": ("HAM10000_images_part_1", "HAM10000_images_part_2"),
    "ISIC 2018 Task 3": ("ISIC2018_Task3_Training_Input",),
    "ISIC 2018 Task 1-2": ("ISIC2018_Task1-2_Training_Input",),
}
METADATA = "HAM10000_metadata"
CLASS_TABLE = "ISIC2018_Task3_Training_GroundTruth"
GROUPINGS = "ISIC2018_Task3_Training_LesionGroupings"
MASKS = "HAM10000_segmentations_lesion_tschandl"
MASKS_TASK1 = "ISIC2018_Task1_Training_GroundTruth"
OFFICIAL = (
    *(name for names in IMAGES.values() for name in names),
    METADATA,
    CLASS_TABLE,
    GROUPINGS,
    MASKS,
    MASKS_TASK1,
)
CONFIRMED = {  # the words of ISIC 2018 for HAM10000's dx_type
    "histopathology": "histo",
    "serial imaging showing no change": "follow_up",
    "single image expert consensus": "consensus",
    "confocal microscopy with consensus dermoscopy": "confocal",
}
JPEGS, PNGS, TABLES, ARCHIVES = (".jpg", ".jpeg"), (".png",), (".csv", ".tab"), (".zip",)
DECODING_ERRORS = (OSError, SyntaxError, ValueError, EOFError, zlib.error, struct.error, Image.DecompressionBombError)


def pack(
    source: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    size: int = 64,
    patch: int | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> ImageSet:
    """Packs the official files into an image set at ``out``, whole or not at all.

    The whole image is resized to ``size`` × ``size`` (Pillow's LANCZOS filter, which antialiases), so the 4:3 of the
    photographs is not kept. With ``patch``, a square around the lesion's centre of mass is cut out first: its side is
    ``patch`` pixels of the image scaled to a shorter side of 64, and it is moved inwards where it would leave the
    image. ``patch=48`` is the patch of Havaei et al. (2021), who do not state the scale; at the full resolution of
    600×450 it would show the inside of most lesions only, and their figures show whole ones.

    The table has the columns ``image_id``, ``lesion_id``, ``dx``, ``dx_type``, ``age`` (years, may be missing),
    ``sex``, ``site``, ``mask`` (whether the lesion was outlined), ``size``, ``eccentricity``, ``orientation`` (see
    ``FACTORS``) and ``split`` (by lesion), and is sorted by ``image_id``. The three measured factors come from the mask
    at its own resolution, all its regions taken as one, and are those of the packed picture: a round lesion that is
    squeezed from 4:3 is an ellipse in it. With ``patch``, which keeps the aspect ratio, they come from the part of the
    mask that the patch shows.

    - Where masks of HAM10000 are given for its images, or of Task 1 for its own, each image must have one. In other
      combinations, images without a mask are kept with missing (NaN) factors; ``subset(table["mask"])`` leaves them
      out. Without any mask the three factors and their columns are absent.
    - Upper and lower case of endings and names count as one, ``.jpeg`` is ``.jpg``. Hidden files and those of operating
      systems do not count.
    - Masks may be of 1, 8 or 16 bits. Pictures that would be read otherwise than they look are refused: images of more
      than 8 bits, animations, what is transparent, in CMYK, or to be turned as EXIF says.
    - The Task 1-2 images come with no diagnosis. What the table of HAM10000 or Task 3 says about an image of the same
      identifier is used; of the others, ``dx`` is ``"unknown"`` and each counts as a lesion of its own (``lesion_id``
      is the ``image_id``). ``dx`` is a factor only where it is known of all.

    Args:
        source: a folder in which the official files or folders lie (at most one folder deeper), or a list of files and
            folders. An archive is preferred to the folder of the same name, and is read without unpacking it.
        out: the folder to write; it must not exist.
        size: height and width of the packed images in pixels.
        patch: side of the patch, 8 to 64; ``None`` packs whole images.
        workers: processes that decode; by default one a core, and none beside this one for a few hundred images.
        progress: show a progress bar.

    Raises:
        DataError: the source or an argument cannot be used. Everything found wrong is in one message: the kinds, how
            many of each, and the first few names. Nothing is written.
    """
    if is_there(out):
        raise DataError(f"{out} exists: choose another folder, or delete it first")
    if not _is_whole(size) or not 8 <= size <= 1024:
        raise DataError(f"size must be 8 to 1024 pixels, not {size!r}")
    if patch is not None and not (_is_whole(patch) and 8 <= patch <= SHORT_SIDE):
        raise DataError(f"patch must be 8 to {SHORT_SIDE} pixels, or None, not {patch!r}")
    if workers is not None and not (_is_whole(workers) and workers >= 1):
        raise DataError(f"workers must be at least 1, not {workers!r}")
    with ExitStack() as stack:
        files = _Files(source, stack)
        publication = files.publication()
        table, jobs = _match(files, publication, patch)
    split = split_by_group(table["lesion_id"])  # before hours of decoding
    if workers is None:
        workers = 1 if len(jobs) < 500 else min(os.cpu_count() or 1, 16)
    images = np.empty((len(jobs), 3, size, size), np.uint8)
    measured = np.full((len(jobs), len(MEASURED)), np.nan)
    problems = _Problems(publication)
    for i, result in enumerate(
        tqdm(_decode_all(jobs, size, patch, workers), "packing", len(jobs), disable=not progress)
    ):
        if isinstance(result, _Fault):
            problems.add(result.kind, result.name, result.reason)
        else:
            images[i], measured[i] = result
    problems.report()
    factors = dict(FACTORS)
    if table["mask"].any():
        table[list(MEASURED)] = measured
    else:
        factors = {"dx": FACTORS["dx"]}
    if (table["dx"] == UNKNOWN).any():
        factors.pop("dx")
    table["split"] = split
    ImageSet(images, table, factors, _card(publication, files, size, patch), group="lesion_id").save(out)
    return ImageSet.load(out)


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


# ---------------------------------------------------------------------------------------------- what the source holds


class _File(NamedTuple):
    """A file to be read: a member of an archive, or (``archive`` is ``None``) a file of a folder."""

    archive: str | None
    name: str

    def read(self, opened) -> bytes:
        return Path(self.name).read_bytes() if self.archive is None else read_member(opened(self.archive), self.name)

    @property
    def short(self) -> str:
        return PurePosixPath(_slashed(self.name)).name if self.archive else Path(self.name).name


def _slashed(member: str) -> str:
    return member.replace("\\", "/")  # as some archives made on Windows have it


class _Problems:
    """Collects what is wrong, so that one message tells all of it."""

    def __init__(self, about: str) -> None:
        self.about = about
        self.found: dict[str, list[str]] = {}

    def add(self, kind: str, name: str, reason: str = "") -> None:
        self.found.setdefault(kind, []).append(f"{name}: {reason}" if reason else name)

    def report(self) -> None:
        if self.found:
            parts = []
            for kind, names in self.found.items():
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                parts.append(f"{len(names)} × {kind} ({'; '.join(names[:3])}{more})")
            raise DataError(f"{self.about} cannot be packed: " + "; ".join(parts))


class _Files:
    """The official files that a source holds, by their official names without an ending."""

    def __init__(self, source, stack: ExitStack) -> None:
        sources = [Path(source)] if isinstance(source, str | os.PathLike) else [Path(s) for s in source]
        self.stack = stack
        self.paths: dict[str, Path] = {}
        for path in sources:
            if not path.exists():
                raise DataError(f"{path}: no such file or folder")
            for candidate in [path] if _official(path) else _within(path):
                name = _official(candidate)
                # an archive before a folder: its checksums tell whether it is whole
                if name and (name not in self.paths or (candidate.is_file() and self.paths[name].is_dir())):
                    self.paths[name] = candidate
        self.sources = sources

    def publication(self) -> str:
        for publication, names in IMAGES.items():
            if any(name in self.paths for name in names):
                return publication
        wanted = ", ".join(names[0] + ".zip" for names in IMAGES.values())
        raise DataError(f"{', '.join(map(str, self.sources))}: no image archive or folder of HAM10000 ({wanted})")

    def members(self, name: str, endings: Sequence[str]) -> Iterator[_File]:
        """The files with these endings in an archive or folder; what operating systems add is left out."""
        path = self.paths[name]
        if path.is_dir():
            for file in sorted(p for p in path.rglob("*") if p.suffix.lower() in endings and p.is_file()):
                if counts(file.relative_to(path).as_posix()):
                    yield _File(None, str(file))
        elif path.suffix.lower() in endings:
            yield _File(None, str(path))
        else:
            archive = self.stack.enter_context(open_zip(path))
            for member in archive.namelist():
                place = _slashed(member)
                if PurePosixPath(place).suffix.lower() in endings and counts(place):
                    yield _File(str(path), member)

    def table(self, name: str, columns: Sequence[str]) -> pd.DataFrame:
        """A table as text, every column of ``columns`` present."""
        path = self.paths[name]
        if path.is_dir() or path.suffix.lower() in ARCHIVES:
            found = list(self.members(name, TABLES))
            if len(found) != 1:
                raise DataError(f"{path} holds {len(found)} tables (.csv) where one is expected")
            content = found[0].read(lambda archive: self.stack.enter_context(open_zip(archive)))
        else:
            content = path.read_bytes()
        table = text_table(content, str(path))
        if missing := [c for c in columns if c not in table]:
            raise DataError(f"{path}: the column {missing[0]!r} is missing; it has {', '.join(table.columns)}")
        return table


def _official(path: Path) -> str | None:
    name = path.stem if path.suffix.lower() in (*ARCHIVES, *TABLES) else path.name
    return next((official for official in OFFICIAL if official.lower() == name.lower()), None)


def _within(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise DataError(f"{folder} is none of the official files ({', '.join(OFFICIAL)})")
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not _official(path):
            yield from sorted(p for p in path.iterdir() if _official(p))


# ------------------------------------------------------------------------------------------ which image, mask and row


class _Job(NamedTuple):
    image: _File
    mask: _File | None


def _match(files: _Files, publication: str, patch: int | None) -> tuple[pd.DataFrame, list[_Job]]:
    """The table, one row an image, and what is to be decoded for each row."""
    problems = _Problems(publication)
    names = [name for name in IMAGES[publication] if name in files.paths]
    images = _by_id(problems, "image twice", (f for name in names for f in files.members(name, JPEGS)))
    own = publication == "ISIC 2018 Task 1-2"
    complete, other = (MASKS_TASK1, MASKS) if own else (MASKS, MASKS_TASK1)
    chosen = next((name for name in (complete, other) if name in files.paths), None)
    masks = _by_id(problems, "mask twice", files.members(chosen, PNGS)) if chosen else {}
    table = _table(files, problems)
    if table is None and not own:
        raise DataError(f"{publication}: no table; put {METADATA}.csv beside the images")
    if table is None:
        table = pd.DataFrame({"image_id": sorted(images)})
    for image_id in table["image_id"][table["image_id"].duplicated()].unique():
        problems.add("image with two rows in the table", image_id)
    if own:
        table = table.drop_duplicates("image_id").set_index("image_id").reindex(sorted(images)).reset_index()
    else:
        rows = set(table["image_id"])
        for image_id in sorted(rows - images.keys()):
            problems.add("row without an image (is an archive missing?)", image_id)
        for image_id in sorted(images.keys() - rows):
            problems.add("image without a row in the table", image_id)
        table = table.sort_values("image_id", ignore_index=True)
    if chosen == complete:
        for image_id in sorted(images.keys() - masks.keys()):
            problems.add(f"image without a mask in {chosen}", image_id)
        for image_id in sorted(masks.keys() - images.keys()):
            problems.add("mask without an image", masks[image_id].short)
    elif patch is not None and not images.keys() <= masks.keys():
        raise DataError(f"{publication}: a patch is cut around the lesion, which needs the masks ({complete}.zip)")
    problems.report()
    for name in ("dx", "dx_type", "sex", "site"):
        table[name] = table[name].fillna(UNKNOWN) if name in table else UNKNOWN
    table["lesion_id"] = table["lesion_id"].fillna(table["image_id"]) if "lesion_id" in table else table["image_id"]
    if "age" not in table:
        table["age"] = np.nan
    table["mask"] = [image_id in masks for image_id in table["image_id"]]
    columns = ["image_id", "lesion_id", "dx", "dx_type", "age", "sex", "site", "mask"]
    return table[columns], [_Job(images[i], masks.get(i)) for i in table["image_id"]]


def _by_id(problems: _Problems, kind: str, files: Iterable[_File]) -> dict[str, _File]:
    found: dict[str, _File] = {}
    for file in files:
        image_id = re.sub("_segmentation$", "", PurePosixPath(file.short).stem, flags=re.IGNORECASE)
        if image_id in found:
            problems.add(kind, file.short)
        found[image_id] = file
    return found


def _table(files: _Files, problems: _Problems) -> pd.DataFrame | None:
    """HAM10000's table, or that of Task 3 in the same words; ``None`` where the source holds neither."""
    if METADATA in files.paths:
        columns = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")
        table = files.table(METADATA, columns)[list(columns)].rename(columns={"localization": "site"})
        age = pd.to_numeric(table["age"].replace("", "nan"), errors="coerce")
        for kind, wrong in (
            ("age that is no number", age.isna() & ~table["age"].isin(MISSING)),
            (f"age outside of 0 to {OLDEST} years", age.notna() & ~age.between(0, OLDEST)),
        ):
            for row in np.flatnonzero(wrong):
                problems.add(kind, f"{table['image_id'][row]}: {table['age'][row]!r}")
        table["age"] = age
        table["sex"], table["site"] = table["sex"].replace("", UNKNOWN), table["site"].replace("", UNKNOWN)
    elif CLASS_TABLE in files.paths:
        if GROUPINGS not in files.paths:
            raise DataError(f"{GROUPINGS}.csv is missing: without it, images of one lesion could fall into two splits")
        table = files.table(CLASS_TABLE, ("image", *(c.upper() for c in CLASSES)))
        flags = table[[c.upper() for c in CLASSES]].apply(pd.to_numeric, errors="coerce").to_numpy()
        for row in np.flatnonzero(((flags == 1).sum(1) != 1) | ((flags == 0).sum(1) != len(CLASSES) - 1)):
            problems.add("row whose class columns are not one 1 and six 0", table["image"][row])
        table["dx"] = np.asarray(CLASSES)[(flags == 1).argmax(1)]
        groups = files.table(GROUPINGS, ("image", "lesion_id", "diagnosis_confirm_type"))
        pairs = groups[["image", "lesion_id"]].drop_duplicates()
        for image_id in pairs["image"][pairs["image"].duplicated()].unique():
            problems.add(f"image of two lesions in {GROUPINGS}", image_id)
        groups = groups.drop_duplicates("image")
        table = table[["image", "dx"]].merge(groups, on="image", how="left")
        for image_id in table["image"][table["lesion_id"].isna()]:
            problems.add(f"image without a lesion in {GROUPINGS}", image_id)
        table = table.rename(columns={"image": "image_id", "diagnosis_confirm_type": "dx_type"})
        table["dx_type"] = table["dx_type"].replace(CONFIRMED)
    else:
        return None
    for row in np.flatnonzero(~table["dx"].isin(CLASSES)):
        problems.add(
            f"unknown dx (the classes are {', '.join(CLASSES)})", table["image_id"][row], repr(table["dx"][row])
        )
    for row in np.flatnonzero(table["lesion_id"].isin(MISSING)):
        problems.add("row without a lesion_id", table["image_id"][row])
    return table


# ---------------------------------------------------------------------------------------- decoding, resizing, measuring


class _Fault(NamedTuple):
    kind: str
    name: str
    reason: str


class _Refused(Exception):
    pass


class _Decoder:
    """Decodes jobs; keeps its archives open, so each process has its own."""

    def __init__(self, size: int, patch: int | None) -> None:
        self.size, self.patch = size, patch
        self.stack, self.archives = ExitStack(), {}

    def archive(self, path: str):
        if path not in self.archives:
            self.archives[path] = self.stack.enter_context(open_zip(path))
        return self.archives[path]

    def __call__(self, job: _Job) -> tuple[np.ndarray, tuple[float, float, float]] | _Fault:
        kind, file = "image that cannot be decoded", job.image
        try:
            image = Image.fromarray(self._open(job.image, "RGB"))
            box = None
            values = (np.nan,) * len(MEASURED)
            if job.mask is not None:
                kind, file = "mask that cannot be decoded", job.mask
                grey = self._open(job.mask, "L")
                kind = "mask that cannot be used"
                # the brighter half of the range, so that 0/1, 0/255 and antialiased masks are all read alike
                mask = grey > grey.max() // 2
                _check_mask(mask, image.size)
                if self.patch is not None:
                    mask, box = _cut(mask, image.size, self.patch)
                values = measure(mask, mask.shape[0] / mask.shape[1] if self.patch is None else 1.0)
            image = image.resize((self.size, self.size), Image.Resampling.LANCZOS, box=box)
        except DataError as error:
            return _Fault("damaged archive member", file.short, str(error))
        except UnidentifiedImageError:
            return _Fault(kind, file.short, "neither JPEG nor PNG")
        except _Refused as error:
            return _Fault(kind, file.short, str(error))
        except DECODING_ERRORS as error:
            return _Fault(kind, file.short, str(error))
        return np.asarray(image).transpose(2, 0, 1), values

    def _open(self, file: _File, mode: str) -> np.ndarray:
        """The pixels of a file; refuses what Pillow would read otherwise than it looks."""
        with Image.open(io.BytesIO(file.read(self.archive)), formats=("JPEG", "PNG")) as image:
            deep, frames = is_deep(image), getattr(image, "n_frames", 1) if image.format == "PNG" else 1
            image.load()
            if frames > 1:
                raise _Refused(f"an animation of {frames} pictures; save the right one alone")
            if is_turned(image):
                raise _Refused("EXIF says that it is to be shown turned; save it as it is to be seen")
            if deep and (mode != "L" or image.mode not in DEEP):
                raise _Refused("more than 8 bits a colour, which would be cut; save it with 8")
            if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
                image = image if deep else image.convert("RGBA")
                if deep or image.getchannel("A").getextrema()[0] < 255:
                    raise _Refused("it has transparent pixels; save it without transparency")
            elif image.mode not in ("1", "L", "P", "RGB", *DEEP):
                raise _Refused(f"{image.mode} is no kind of picture that is read; save it as RGB")
            # convert() goes through the palette: in the palette-coded masks of HAM10000, index 0 is white, the lesion
            return np.asarray(image if deep else image.convert(mode))


def measure(mask: np.ndarray, squeeze: float = 1.0) -> tuple[float, float, float]:
    """Size, eccentricity and orientation of a lesion, from the image moments of its mask (see ``FACTORS``).

    Implements :eq:`eq-images-5`.

    Args:
        mask: ``(H, W)``, true where the lesion is; several regions count as one.
        squeeze: by what the width of the picture is multiplied, relative to its height, before it is looked at: H / W
            where a network sees it as a square. The area's share does not change, shape and axis do.
    """
    with extra("data", "measuring a mask"):
        from skimage.measure import regionprops  # only who packs needs it

    (region,) = regionprops(mask.astype(np.uint8), spacing=(1.0, squeeze))
    # scikit-image gives the angle to the vertical, counter-clockwise: a quarter turn less than that to the horizontal
    orientation = region.orientation % np.pi - np.pi / 2
    return float(mask.mean()), float(region.eccentricity), float(orientation)


def _check_mask(mask: np.ndarray, image_size: tuple[int, int]) -> None:
    height, width = mask.shape
    if not mask.any():
        raise _Refused("the mask is empty")
    # the two may differ by a scale: the larger, shrunk to the width of the smaller, comes within a pixel of its height
    (w, h), (large_w, large_h) = sorted([image_size, (width, height)])
    if abs(large_h * w / large_w - h) >= 1:
        raise _Refused(
            f"the mask is {width}×{height} pixels, another shape than its image of {image_size[0]}×{image_size[1]}"
        )


def _cut(mask: np.ndarray, image_size: tuple[int, int], patch: int) -> tuple[np.ndarray, tuple[float, ...]]:
    """The part of the mask in the patch, and the patch's box in the image (left, upper, right, lower)."""
    height, width = mask.shape
    side = min(height, width) * patch / SHORT_SIDE
    rows, columns = np.nonzero(mask)
    left = min(max(columns.mean() + 0.5 - side / 2, 0), width - side)
    upper = min(max(rows.mean() + 0.5 - side / 2, 0), height - side)
    seen = mask[round(upper) : round(upper + side), round(left) : round(left + side)]
    if not seen.any():
        raise _Refused("the patch around the lesion's centre shows nothing of the mask; use a larger patch")
    x, y = image_size[0] / width, image_size[1] / height
    return seen, (left * x, upper * y, (left + side) * x, (upper + side) * y)


_decoder: _Decoder | None = None


def _start_worker(size: int, patch: int | None) -> None:
    global _decoder
    _decoder = _Decoder(size, patch)
    # a worker of a killed parent would wait for ever
    parent = multiprocessing.parent_process()
    threading.Thread(target=lambda: (parent.join(), os._exit(1)), daemon=True).start()


def _work(job: _Job):
    return _decoder(job)


def _decode_all(jobs: list[_Job], size: int, patch: int | None, workers: int) -> Iterator:
    if workers == 1:
        decoder = _Decoder(size, patch)
        with decoder.stack:
            yield from map(decoder, jobs)
        return
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads (torch has some) may hang
    with ProcessPoolExecutor(workers, context, _start_worker, (size, patch)) as pool:
        try:
            yield from pool.map(_work, jobs, chunksize=16)
        except BrokenProcessPool:
            raise DataError(
                "a packing process was killed, perhaps for want of memory: pack with fewer workers (and in a script, "
                "call pack under `if __name__ == '__main__':`)"
            ) from None


def _card(publication: str, files: _Files, size: int, patch: int | None) -> Card:
    if patch is None:
        cut = "whole images, whose aspect ratio is not kept"
    else:
        cut = (
            f"square patches around the lesion's centre of mass, {patch}/{SHORT_SIDE} of the image's shorter side "
            "wide, moved inwards at its border"
        )
    isic = publication == "ISIC 2018 Task 1-2"
    return Card(
        name="ISIC 2018 Task 1-2" if isic else "HAM10000",
        source="https://challenge.isic-archive.com/data/#2018" if isic else "https://doi.org/10.7910/DVN/DBW86T",
        licence=LICENCE,
        citation=CITATION_ISIC if isic else CITATION,
        preprocessing=f"{cut}; resized to {size}×{size} with Pillow's LANCZOS filter; factors measured on the masks at "
        "their own resolution, as the packed picture shows them; split by lesion",
        attributes={
            "publication": publication,
            "size": size,
            "patch": patch,
            "files": sorted(path.name for path in files.paths.values()),
        },
    )


LESIONS = Source(
    name="ham10000",
    kind="packed",
    summary="10 015 dermatoscopic images of pigmented skin lesions",
    limits=(
        "Small images of the patients of one clinic in Vienna and one practice in Queensland, among whom dark skin "
        "is all but absent, and lesions that somebody had reason to photograph. The classes are unbalanced: two "
        "thirds are naevi. Hair, rulers and tinted light are drawn as if they belonged to the lesion."
    ),
    licence=LICENCE,
    stand_in=StandIn("phantoms.lesion", 2000, 1),
)
PATCHES = replace(
    LESIONS,
    name="ham10000.patches",
    summary="the same, a patch around each lesion, as in Havaei et al. (2021)",
    script="ham10000",
    options="--patch 48",
    stand_in=StandIn("phantoms.lesion.patches", 2000, 1),
)
BALANCED = PATCHES.seen(
    "balanced",
    "patches of naevi, melanomas and keratoses, the latter two three times in training, as in Havaei et al. (2021)",
    balanced,
    StandIn("phantoms.lesion.patches.balanced", 2000, 1),
    (ClassifierSpec("dx", "ham10000.patches.balanced", (3, 64, 64), card=f"HAM10000{NAME}"),),
)
SOURCES = (LESIONS, PATCHES, BALANCED, *coarser(BALANCED, size=64))
