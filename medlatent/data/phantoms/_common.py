"""What the renderers of patients share: numbers that belong to a patient, checks of arguments, folders."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from ...files import replacing_together
from ..errors import DataError
from ..optional import extra

STREAMS = {"factors": 0, "detail": 1, "noise": 2}


def normal_numbers(stream: str, patients: np.ndarray, seed: int, count: int) -> np.ndarray:
    """Normal numbers ``(n, count)``; a row depends on the seed, the stream and the patient's number alone."""
    keys = ([checked_seed(seed), STREAMS[stream], int(patient)] for patient in patients)
    return np.stack([np.random.default_rng(key).standard_normal(count) for key in keys])


def detail_numbers(patients: torch.Tensor, seed: int, widths: Mapping[str, int]) -> dict[str, torch.Tensor]:
    """The normal numbers ``(n, width)`` behind all nuisance detail but the noise, by name."""
    table = normal_numbers("detail", patients.numpy(), seed, sum(widths.values())).astype(np.float32)
    return dict(zip(widths, torch.from_numpy(table).split(list(widths.values()), dim=1), strict=True))


def noise(shape: tuple[int, ...], scans: torch.Tensor, seed: int) -> torch.Tensor:
    """White noise ``(n, *shape)``; a row depends on the seed and its numbers of patient and slice ``(n, 2)`` alone."""
    white = torch.empty(len(scans), *shape)
    generator = torch.Generator()
    for image, (patient, level) in zip(white, scans.tolist(), strict=True):
        key = np.random.SeedSequence([seed, STREAMS["noise"], patient, level])
        image.normal_(generator=generator.manual_seed(int(key.generate_state(1)[0])))
    return white


def tensors(columns: Mapping[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """Columns as float32."""
    return {name: torch.from_numpy(np.asarray(values, dtype=np.float32)) for name, values in columns.items()}


def checked_count(n: int) -> int:
    if n < 1:
        raise DataError(f"n: at least one image is needed, got {n}")
    return n


def checked_seed(seed: int) -> int:
    if seed < 0:
        raise DataError(f"seed: a whole number from 0 is needed, got {seed}")
    return seed


def checked_size(size: int) -> int:
    if size < 16 or size % 16:
        raise DataError(f"size: a multiple of 16 pixels is needed, got {size}")
    return size


def checked_whole(name: str, values: torch.Tensor, n: int) -> torch.Tensor:
    values = torch.as_tensor(values).cpu()
    if values.shape != (n,) or values.is_floating_point() or int(values.min()) < 0:
        raise DataError(f"{name}: expected {n} whole numbers from 0, got {tuple(values.shape)} {values.dtype}")
    return values.long()


def checked_factors(
    factors: Mapping[str, torch.Tensor], ranges: Mapping[str, tuple[float, float]], beside: str
) -> dict[str, torch.Tensor]:
    """The factors as float32 ``(n,)``, each within its range; the column ``beside`` them is left out."""
    if missing := [name for name in ranges if name not in factors]:
        raise DataError(f"factors: {missing[0]!r} is missing; all of these are needed: {', '.join(ranges)}")
    if unknown := [name for name in factors if name not in ranges and name != beside]:
        raise DataError(f"factors: {unknown[0]!r} is unknown; known are {', '.join(ranges)}")
    checked = {name: torch.as_tensor(factors[name]).detach().float().cpu() for name in ranges}
    n = next(iter(checked.values())).numel()
    if n == 0:
        raise DataError("factors: there are no rows to render")
    for name, values in checked.items():
        if values.shape != (n,):
            raise DataError(f"factor {name!r}: expected the shape ({n},), got {tuple(values.shape)}")
        low, high = ranges[name]
        # Written so that NaN fails too; the margin forgives the rounding of a bound to float32.
        outside = ~((values >= low - 1e-5) & (values <= high + 1e-5))
        if outside.any():
            row = int(outside.nonzero()[0])
            raise DataError(f"factor {name!r}: {values[row]:.6g} in row {row} is not between {low:.6g} and {high:.6g}")
    return checked


@contextmanager
def new_folder(folder: str | os.PathLike) -> Iterator[Path]:
    """A folder that takes its name when the block ends well, and vanishes when it does not."""
    folder = Path(folder)
    if folder.exists():
        raise DataError(f"{folder} exists: choose another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with replacing_together(folder) as (partial,):
        partial.mkdir()
        yield partial


def dicom_uid(module: str, *parts: object) -> str:
    """A UID that depends on the module and the parts alone."""
    with extra("data", "writing DICOM files"):
        from pydicom.uid import generate_uid

    return str(generate_uid(entropy_srcs=[f"medlatent.data.phantoms.{module}", *map(str, parts)]))


def write_ct_series(
    place: Path,
    stored: np.ndarray,
    position: np.ndarray,
    pixel: float,
    distance: float,
    uids: Sequence[str],
    tags: Mapping[str, object],
) -> None:
    """Writes axial slices as CT images in DICOM files, ``1-001.dcm`` the one at the head; 16 bits, uncompressed.

    Args:
        place: the folder of the series, which is made.
        stored: ``(S, size, size)``, HU + 1024, from feet to head.
        position: of each slice, in mm upwards.
        pixel: distance of pixels in mm.
        distance: between slices in mm.
        uids: SOPInstanceUID of each slice.
        tags: of the patient, the study and the series.
    """
    with extra("data", "writing DICOM files"):
        import pydicom
        from pydicom.dataset import FileMetaDataset
        from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

    place.mkdir(parents=True)
    size = stored.shape[1]
    corner = -pixel * (size - 1) / 2
    for number, k in enumerate(reversed(range(len(stored))), start=1):
        of_slice = {
            "SOPInstanceUID": uids[k],
            "Modality": "CT",
            "Manufacturer": "medlatent",
            "PatientPosition": "HFS",
            "BodyPartExamined": "CHEST",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "SeriesNumber": 1,
            "InstanceNumber": number,
            "SliceThickness": f"{distance:.4f}",
            "ImagePositionPatient": [f"{value:.4f}" for value in (corner, corner, position[k])],
            "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
            "PixelSpacing": [f"{pixel:.6f}"] * 2,
            "PhotometricInterpretation": "MONOCHROME2",
            "SamplesPerPixel": 1,
            "Rows": size,
            "Columns": size,
            "BitsAllocated": 16,
            "BitsStored": 16,
            "HighBit": 15,
            "PixelRepresentation": 1,
            "RescaleIntercept": -1024,
            "RescaleSlope": 1,
            "RescaleType": "HU",
            "PixelData": stored[k].astype("<i2").tobytes(),
        }
        dataset = pydicom.Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = uids[k]
        for keyword, value in {**tags, **of_slice}.items():
            setattr(dataset, keyword, value)
        dataset.save_as(place / f"1-{number:03d}.dcm", enforce_file_format=True)
