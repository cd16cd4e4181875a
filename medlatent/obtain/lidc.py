"""Packs LIDC-IDRI (thoracic CT of 1 010 patients) into an image set of axial slices with their height in the lungs.

    python -m medlatent data lidc --index lidc.csv --out $MEDLATENT_DATA/lidc_ct

downloads the DICOM files from the public object store of the Imaging Data Commons (128 GB for all 1 018 series; resumed
when interrupted, each file verified), packs them, and does nothing when run again. It says first how many bytes that
takes; --dry-run stops there. --series 50 takes the first fifty series, --patients those of some patients. The index is
a table that the package idc-index carries:

    pip install idc-index
    python -c "from idc_index import IDCClient; IDCClient().sql_query('''SELECT PatientID, SeriesInstanceUID,
    series_aws_url, instanceCount, series_size_MB FROM index WHERE collection_id = 'lidc_idri' AND Modality = 'CT'
    ''').to_csv('lidc.csv', index=False)"

With --from, files already on disk are packed instead: folders or zip archives, such as The Cancer Imaging Archive hands
out, or what idc-index itself downloads. The notebooks look for real data in the folder that the environment variable
MEDLATENT_DATA names, so let --out be the folder lidc_ct in it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data import DataError, ImageSet, chest_ct, lidc_ct
from ..files import is_there


def add_series_options(parser: argparse.ArgumentParser, sources: str) -> None:
    """The options of all that is packed of series on disk, or of the object store; ``sources`` may be on disk."""
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--index", type=Path, metavar="CSV", help="the index of the series to download")
    source.add_argument("--from", dest="source", type=Path, nargs="+", metavar="PATH", help=sources)
    parser.add_argument("--dry-run", action="store_true", help="say what would be downloaded, and stop")
    parser.add_argument("--workers", type=int, help="processes that decode (default: one a core)")
    parser.add_argument("--downloads", type=Path, help="where downloads are kept (default: OUT-downloads)")
    parser.add_argument(
        "--connections", type=int, default=lidc_ct.CONNECTIONS, help="files fetched at a time (default: %(default)s)"
    )
    parser.add_argument("--mirror", help="another address for the object store")


def add_options(parser: argparse.ArgumentParser) -> None:
    add_series_options(parser, "folders or zip archives")
    parser.add_argument("--series", type=int, metavar="N", help="download the first N series of the index")
    parser.add_argument("--patients", nargs="+", metavar="ID", help="download the series of these, like LIDC-IDRI-0001")
    parser.add_argument("--size", type=int, default=128, help="height and width in pixels (default: 128)")


def perform(args: argparse.Namespace) -> None:
    """Packs, and says what was packed; says it, too, where that was done before."""
    if is_there(args.out):
        return _already(args)
    if args.source is None:
        args.source = _download(args)
        if args.dry_run:
            return
    images = lidc_ct.pack(args.source, args.out, args.size, args.workers)
    print(f"{args.out}: {images}")
    print(chest_ct.summary(images))
    print(f"licence: {images.card.licence}; cite: {images.card.citation}")


def _already(args: argparse.Namespace) -> None:
    """What is there already: fine where it was packed with the same settings, an error otherwise."""
    images = ImageSet.load(args.out)
    size = images.card.attributes.get("size")
    if images.card.name != lidc_ct.NAME or size != args.size:
        raise DataError(
            f"{args.out} is an image set of {images.card.name} with size {size}, not of {lidc_ct.NAME} with size "
            f"{args.size}: choose another --out"
        )
    print(f"{args.out} is packed already: {images}")
    print(chest_ct.summary(images))
    if args.source is None:
        asked = lidc_ct.choose(lidc_ct.read_index(args.index), args.series, args.patients)
        absent = {one.uid for one in asked} - set(images.table["series_uid"])
        if absent:
            print(
                f"{len(absent)} of the {len(asked)} series asked for are not in it: they were left out, or were not "
                "asked for then. To pack anew, choose another --out, or delete this one; the downloads are kept"
            )


def _download(args: argparse.Namespace) -> list[Path]:
    folder = args.downloads or args.out.with_name(args.out.name + "-downloads")
    series = lidc_ct.choose(lidc_ct.read_index(args.index), args.series, args.patients)
    absent = lidc_ct.missing(series, folder)
    print(
        f"{_words(series)}; to be downloaded into {folder}: {_words(absent)}.\n"
        f"Licence {lidc_ct.LICENCE}. Please cite:\n  {lidc_ct.CITATION}",
        flush=True,
    )
    if args.dry_run:
        return []
    return lidc_ct.download(series, folder, args.connections, args.mirror)


def _words(series: list[lidc_ct.Series]) -> str:
    patients = len({one.patient_id for one in series})
    files, size = sum(one.files for one in series), sum(one.size for one in series)
    return f"{len(series)} series of {patients} patient{'s' * (patients != 1)}, {files} files, {size / 1e9:.2f} GB"
