"""Chest CT: DICOM series in folders or zip archives, packed into one image set of axial slices.

``pack`` takes series from any source, such as The Cancer Imaging Archive or one's own hospital, and writes an
:class:`~medlatent.data.ImageSet`, which ``ImageSet.load`` opens from then on.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image
from tqdm import tqdm

from . import dicom
from .errors import DataError
from .imageset import Card, Factor, ImageSet, split_by_group
from .packing import Findings, parallel
from .source import Source

LOW, HIGH = -1000, 2000  # HU
MIN_SLICES = 10
AXIAL = 0.9  # cosine of the largest angle (26 degrees) between the axes of an image and those of the patient
FACTORS = {"z": Factor("position of the slice along the volume: 0 the lowest slice (feet), 1 the highest (head)")}


def pack(
    source: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    size: int = 128,
    workers: int | None = None,
    progress: bool = True,
    licence: str = "that of the series",
    citation: str = "that of the series",
) -> ImageSet:
    """Packs the axial CT series of a source into an image set at ``out``, whole or not at all.

    Each slice is clipped to [-1000, 2000] HU, resized to ``size`` × ``size`` in float32 with Pillow's LANCZOS filter
    (which antialiases), rounded, and clipped again, since the filter overshoots at edges. The whole slice is kept; the
    aspect ratio of one that is not square is not. Slices are turned so that the patient's front is at the top and the
    patient's right at the left, whatever the position on the table.

    The table has the columns ``patient_id``, ``series_uid``, ``slice`` (0 the lowest), ``position`` (of the slice, in
    mm upwards in the scanner's coordinates), ``slice_distance``, ``row_spacing``, ``column_spacing`` (mm, before
    resizing), the factor ``z`` and ``split`` (by patient). It is sorted by patient, series and slice. Identifiers are
    those of the files: pack series that were de-identified.

    Files that are no DICOM, other modalities, localisers, series that are not axial and series with fewer than ten
    slices are left out; how many of each is in the card's attribute ``left_out``.

    One slice a process is in memory at a time; the packed slices are collected on disk, beside ``out``.

    Args:
        source: a folder (searched with all folders and zip archives in it), a zip archive, or a list of such.
        out: the folder to write; it must not exist.
        size: height and width of the packed images in pixels.
        workers: processes that decode; by default one a core, and none beside this one for a few hundred files.
        progress: show a progress bar.
        licence, citation: of the series, for the card.

    Raises:
        DataError: the source or an argument cannot be used. Everything found wrong is in one message: the kinds, how
            many of each, and the first few names. Nothing is written.
    """
    out = Path(out)
    if out.exists():
        raise DataError(f"{out} exists: choose another folder, or delete it first")
    if not 8 <= size <= 1024:
        raise DataError(f"size must be 8 to 1024 pixels, not {size}")
    if workers is not None and workers < 1:
        raise DataError(f"workers must be at least 1, not {workers}")
    files = list(dicom.find_files(source))
    if not files:
        raise DataError(f"{source}: no file")
    if workers is None:
        workers = 1 if len(files) < 500 else min(os.cpu_count() or 1, 16)
    problems, left_out = Findings(), Findings()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.partial-{os.getpid()}-", dir=out.parent) as folder:
        packed = _memmap(Path(folder) / "packed.npy", len(files), size)
        series: dict[str, dict[dicom.Header, int]] = {}
        with _Reader(size) as reader:
            results = tqdm(parallel(reader, files, workers), "packing", len(files), disable=not progress)
            for i, result in enumerate(results):
                if isinstance(result, _Refused):
                    (problems if result.broken else left_out).add(result.kind, result.name)
                else:
                    header, packed[i] = result
                    series.setdefault(header.series_uid, {})[header] = i
        table, order = _arrange(series, problems, left_out)
        if problems:
            raise DataError(f"the series cannot be packed: {problems}")
        if not order:
            raise DataError(f"{source}: no axial CT series" + (f"; left out: {left_out}" if left_out else ""))
        images = _memmap(Path(folder) / "images.npy", len(order), size)
        for row, i in enumerate(order):
            images[row] = packed[i]
        table["split"] = split_by_group(table["patient_id"])
        card = _card(size, table["series_uid"].nunique(), left_out, licence, citation)
        ImageSet(images, table, FACTORS, card, "patient_id", (LOW, HIGH)).save(out)
        del images, packed  # where a mapped file cannot be deleted, the folder could not be either
    return ImageSet.load(out, verify=False)  # its checksums were computed a moment ago


def shrink(hu: np.ndarray, size: int) -> np.ndarray:
    """A slice clipped to [-1000, 2000] HU and resized with antialiasing.

    Args:
        hu: ``(H, W)``.
        size: height and width of the result.

    Returns:
        ``(size, size)``, int16.
    """
    clipped = np.clip(hu, LOW, HIGH).astype(np.float32, order="C")
    small = np.asarray(Image.fromarray(clipped).resize((size, size), Image.Resampling.LANCZOS))
    return np.clip(np.rint(small), LOW, HIGH).astype(np.int16)


class _Refused(NamedTuple):
    broken: bool
    kind: str
    name: str


class _Reader(dicom.Files):
    """Reads a file to a header and its small slice; each process has its own."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def __call__(self, file: dicom.File) -> tuple[dicom.Header, np.ndarray] | _Refused:
        try:
            header, dataset = self.read_header(file)
            if "LOCALIZER" in header.image_type:
                return _Refused(False, "localiser", header.name)
            if header.orientation is None:
                return _Refused(True, "slice without ImageOrientationPatient", header.name)
            across, down = header.orientation[0], header.orientation[4]
            if min(abs(across), abs(down)) < AXIAL:
                return _Refused(False, "slice that is not axial", header.name)
            for keyword, value in (("PatientID", header.patient_id), ("SeriesInstanceUID", header.series_uid)):
                if not value:
                    return _Refused(True, f"slice without {keyword}, which splits and sorting need", header.name)
            hu = dicom.hounsfield(dataset, name=header.name)
        except dicom.NotCT:
            return _Refused(False, "file that is no CT image", str(file))
        except DataError as error:
            return _Refused(True, "file that cannot be read", str(error))
        except OSError as error:
            return _Refused(True, "file that cannot be read", f"{file}: {error}")
        return header, shrink(hu[:: 1 if down > 0 else -1, :: 1 if across > 0 else -1], self.size)


def _memmap(path: Path, n: int, size: int) -> np.memmap:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.int16, shape=(n, 1, size, size))


def _arrange(
    series: dict[str, dict[dicom.Header, int]], problems: Findings, left_out: Findings
) -> tuple[pd.DataFrame, list[int]]:
    """The table, and the index of each row's file."""
    rows, order = [], []
    for uid, indices in sorted(series.items(), key=lambda item: (next(iter(item[1])).patient_id, item[0])):
        if len(indices) < MIN_SLICES:
            left_out.add(f"series with fewer than {MIN_SLICES} slices", uid)
            continue
        try:
            headers = dicom.sort_slices(list(indices))
        except DataError as error:
            problems.add("series that is no volume", str(error))
            continue
        if headers[0].normal[2] < 0:
            headers.reverse()
        distance, last = abs(dicom.slice_distance(headers)), len(headers) - 1
        for k, header in enumerate(headers):
            rows.append(
                {
                    "patient_id": header.patient_id,
                    "series_uid": uid,
                    "slice": k,
                    "position": header.position[2],
                    "slice_distance": distance,
                    "row_spacing": header.spacing[0],
                    "column_spacing": header.spacing[1],
                    "z": k / last,
                }
            )
            order.append(indices[header])
    return pd.DataFrame(rows), order


def _card(size: int, series: int, left_out: Findings, licence: str, citation: str) -> Card:
    return Card(
        name="chest_ct",
        source="DICOM series of the packer's own choice",
        licence=licence,
        citation=citation,
        preprocessing=f"axial slices in Hounsfield units clipped to [{LOW}, {HIGH}], resized to {size}×{size} in "
        "float32 with Pillow's LANCZOS filter, rounded and clipped again; the patient's front at the top, the "
        "patient's right at the left; split by patient",
        attributes={"size": size, "series": series, "left_out": left_out.counts},
    )


SOURCES = (
    Source(
        name="chest_ct",
        kind="packed",
        summary="axial slices of CT series on your disk, in Hounsfield units",
        limits="Slices of the patients and scanners of the series that were packed, and of no others.",
        options="--from YOUR_SERIES",
    ),
)
