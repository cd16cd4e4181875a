"""Packs the lung nodules of LIDC-IDRI into an image set of patches with the condition vector of Havaei et al. (2021).

    python -m medlatent data lidc_nodules --from YOUR_LIDC --out $MEDLATENT_DATA/lidc

packs what is on disk: folders or zip archives with the DICOM series and the radiologists' XML files, wherever they lie
in them, or the extracted patches nodules_71px_hu.npz with nodules_71px.csv. The nodules of undecided malignancy go into
a set beside it, called lidc_undecided.

    python -m medlatent data lidc_nodules --index lidc.csv --out $MEDLATENT_DATA/lidc

downloads first: the XML files from The Cancer Imaging Archive (9 MB), and from the public object store of the Imaging
Data Commons the series in which three readers or more outlined a nodule (some 85 GB; resumed when interrupted, each
file verified). It says first how many bytes that takes; --dry-run stops there. --series 50 takes the first fifty of
them. python -m medlatent data lidc --help says how the index is made. It packs whole slices of the same series, and
keeps downloads in the same form, so name its folder with --downloads.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data import DataError, ImageSet, lidc, lidc_ct
from ..data.download import fetch
from ..files import is_there
from .lidc import add_series_options

ANNOTATIONS = "https://www.cancerimagingarchive.net/wp-content/uploads/LIDC-XML-only.zip"
SIZE, SHA256 = 9_034_311, "644557a3aa305602609c718b0cae33a93be762e8901a80bcd9df735b0ec6ab90"


def add_options(parser: argparse.ArgumentParser) -> None:
    add_series_options(parser, "folders, archives, files")
    parser.add_argument("--annotations", type=Path, metavar="PATH", help="the XML files, where they are on disk")
    parser.add_argument("--series", type=int, metavar="N", help="download the first N series that hold such a nodule")
    parser.add_argument("--field", type=float, default=lidc.FIELD, help="side of a patch in mm (default: %(default)g)")
    parser.add_argument("--size", type=int, default=lidc.SIZE, help="side of a patch in pixels (default: %(default)s)")
    parser.add_argument("--lenient", action="store_true", help="leave out what is damaged, and count it")


def perform(args: argparse.Namespace) -> None:
    """Packs, and says what was packed; says it, too, where that was done before."""
    if is_there(args.out):
        return _already(args)
    if args.source is None:
        args.source = _download(args)
        if args.dry_run:
            return
        args.lenient = True  # of a thousand series a few are damaged
    elif args.annotations:
        args.source.append(args.annotations)
    images = lidc.pack(args.source, args.out, args.field, args.size, args.workers, lenient=args.lenient)
    print(f"{args.out}: {images}")
    print(lidc.summary(images))
    print(f"licence: {images.card.licence}; cite: {images.card.citation}")


def _already(args: argparse.Namespace) -> None:
    """What is there already: fine where it was packed with the same settings, an error otherwise."""
    images = ImageSet.load(args.out)
    if images.card.name != lidc.NAME:
        raise DataError(f"{args.out} is an image set of {images.card.name}, not of {lidc.NAME}: choose another --out")
    for name in ("field", "size"):
        found, wanted = images.card.attributes.get(name), getattr(args, name)
        if found != wanted:
            raise DataError(f"{args.out} is an image set with {name} {found}, not {wanted}: choose another --out")
    print(f"{args.out} is packed already: {images}")
    print(lidc.summary(images))


def _download(args: argparse.Namespace) -> list[Path]:
    folder = args.downloads or args.out.with_name(args.out.name + "-downloads")
    index = lidc_ct.read_index(args.index)
    print(f"Licence {lidc.LICENCE}. Please cite:\n  {lidc.CITATION}", flush=True)
    annotations = args.annotations or fetch(ANNOTATIONS, folder / "LIDC-XML-only.zip", size=SIZE, sha256=SHA256)
    wanted = lidc.annotated_series(annotations)
    series = [one for one in index if one.uid in wanted]
    if not series:
        raise DataError(f"{annotations}: of the {len(index)} series of {args.index} none is in it with such a nodule")
    series = lidc_ct.choose(series, args.series)
    absent = lidc_ct.missing(series, folder)
    size = sum(one.size for one in absent)
    print(f"{len(series)} series with nodules; to be downloaded into {folder}: {len(absent)}, {size / 1e9:.2f} GB")
    if args.dry_run:
        return []
    return [annotations, *lidc_ct.download(series, folder, args.connections, args.mirror)]
