"""Packs axial CT series of your own choice into an image set of slices in Hounsfield units.

    python -m medlatent data chest_ct --from SERIES... --out $MEDLATENT_DATA/chest_ct

SERIES are folders (searched with all folders and zip archives in them) or zip archives of DICOM files, such as The
Cancer Imaging Archive hands out: LIDC-IDRI (python -m medlatent data lidc downloads it) and NSCLC-Radiomics are large
sets of thoracic CT. They may hold whole series as arrays, too, NAME.npz with hu, z_mm and pixel_spacing, and beside
them an index.csv that names the patient of each; the documentation of medlatent.data.chest_ct describes both. Pack
series that were de-identified: the table keeps their PatientID. The command does nothing when run again. The notebooks
look for real data in the folder that the environment variable MEDLATENT_DATA names, so let --out be the folder chest_ct
in it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data import DataError, ImageSet, chest_ct
from ..files import is_there

INTERRUPTED = "nothing was written"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="source", type=Path, nargs="+", required=True, metavar="SERIES", help="folders or zip archives"
    )
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--size", type=int, default=128, help="height and width in pixels (default: 128)")
    parser.add_argument("--workers", type=int, help="processes that decode (default: one a core)")
    parser.add_argument("--licence", default="that of the series", help="of the DICOM series, for the card")
    parser.add_argument("--citation", default="that of the series", help="of the DICOM series, for the card")
    parser.add_argument("--collection", default="", help="the name of the set that the DICOM series are of")
    parser.add_argument("--lenient", action="store_true", help="leave out what cannot be read, and series with gaps")


def perform(args: argparse.Namespace) -> None:
    """Packs, and says what was packed; says it, too, where that was done before."""
    if is_there(args.out):
        images = ImageSet.load(args.out)
        if "height" not in images.factors or images.card.attributes.get("size") != args.size:
            raise DataError(
                f"{args.out} is an image set of {images.card.name} with size {images.card.attributes.get('size')}, "
                f"not of CT series with size {args.size} and their height: choose another --out"
            )
        print(f"{args.out} is packed already: {images}")
        return
    images = chest_ct.pack(
        args.source,
        args.out,
        args.size,
        args.workers,
        licence=args.licence,
        citation=args.citation,
        collection=args.collection,
        lenient=args.lenient,
    )
    print(f"{args.out}: {images}")
    print(chest_ct.summary(images))
