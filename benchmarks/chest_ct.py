"""The share of time that packing a CT series spends outside decoding, resizing and finding the lungs.

    python benchmarks/chest_ct.py SERIES

SERIES is a folder or zip archive of DICOM files. Packing in one process, image set and checksums included, is
compared with the floor: reading each file, pydicom.dcmread, pixel_array, Pillow's resizing of a float32 array, and
lung_mask of the packed slices. Both run in turn in one process; medians of the processor time, which other load
disturbs least. Goal: a share below 25 %.
"""

import argparse
import statistics
import tempfile
import time
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image

from medlatent.data import chest_ct, dicom
from medlatent.data.download import open_zip
from medlatent.data.lungs import lung_mask


def floor(series: Path, image: np.ndarray, packed: np.ndarray, spacing: tuple[float, float, float]) -> float:
    """Processor seconds for the work that cannot be saved."""
    start = time.process_time()
    lung_mask(packed, spacing)
    if series.is_dir():
        for path in sorted(p for p in series.rglob("*") if p.is_file()):
            _one(path, image)
    else:
        with open_zip(series) as archive:
            for name in sorted(archive.namelist()):
                _one(BytesIO(archive.read(name)), image)
    return time.process_time() - start


def _one(file: Path | BytesIO, image: np.ndarray) -> None:
    if pydicom.dcmread(file).pixel_array.shape != image.shape:
        raise SystemExit("the series must have one shape and hold no other files")
    Image.fromarray(image).resize((128, 128), Image.Resampling.LANCZOS)


def packing(series: Path) -> float:
    """Processor seconds to pack the series."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        chest_ct.pack(series, Path(folder) / "set", workers=1, progress=False)
        return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("series", type=Path)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args()
    volume = dicom.read_series(args.series)
    image = volume.hu[len(volume.hu) // 2].astype(np.float32)
    packed = np.stack([chest_ct.shrink(slice_, 128) for slice_ in volume.hu])
    between, down, across = volume.spacing
    spacing = between, down * image.shape[0] / 128, across * image.shape[1] / 128
    pairs = [(floor(args.series, image, packed, spacing), packing(args.series)) for _ in range(args.runs)]
    least, total = (1e3 * statistics.median(column) / len(volume.hu) for column in zip(*pairs, strict=True))
    share = statistics.median(1 - a / b for a, b in pairs)
    print(f"{len(volume.hu)} slices: {total:.2f} ms a slice, of which the floor {least:.2f} ms")
    print(f"share outside: {share:.1%} ({'below' if share < 0.25 else 'NOT below'} the goal of 25 %)")


if __name__ == "__main__":
    main()
