"""Packs HAM10000 (10 015 dermatoscopic images of skin lesions) into an image set.

    python -m medlatent data ham10000 --out $MEDLATENT_DATA/ham10000

downloads the official files (2.8 GB, resumed when interrupted), packs them, and does nothing when run again. The
notebooks and tests look for real data in the folder that the environment variable MEDLATENT_DATA names, so let --out be
the folder ham10000 in it. With --patch 48, the images are patches around the lesions, as in Havaei et al. (2021): pack
them beside the whole ones, into the folder ham10000.patches. With --from, files already on disk are packed instead: the
archives of HAM10000 or of ISIC 2018 (Task 3, Task 1-2), or the folders that they unpack to.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from ..data import DataError, ImageSet, ham10000
from ..data.download import fetch, get
from ..files import is_there

DATAVERSE = "https://dataverse.harvard.edu"
DOI = "doi:10.7910/DVN/DBW86T"
ISIC = "https://isic-challenge-data.s3.amazonaws.com/2018"
ISIC_FILES = {
    "task3": (f"{ham10000.CLASS_TABLE}.zip", f"{ham10000.GROUPINGS}.csv", "ISIC2018_Task3_Training_Input.zip"),
    "task1-2": (f"{ham10000.MASKS_TASK1}.zip", "ISIC2018_Task1-2_Training_Input.zip"),
}
LISTED = {"filename": str, "id": int, "filesize": int | None, "md5": str | None}  # of each file, by the Dataverse
HAM_FILES = (ham10000.METADATA, ham10000.MASKS, *ham10000.IMAGES["HAM10000"])


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument(
        "--from", dest="source", type=Path, nargs="+", metavar="PATH", help="official files, or folders"
    )
    parser.add_argument("--size", type=int, default=64, help="height and width in pixels (default: 64)")
    parser.add_argument("--patch", type=int, help="cut out a square around the lesion first; 48 is that of DRAI")
    parser.add_argument("--workers", type=int, help="processes that decode (default: one a core)")
    parser.add_argument("--downloads", type=Path, help="where downloads are kept (default: OUT-downloads)")
    parser.add_argument("--isic", choices=ISIC_FILES, help="download the files of ISIC 2018 instead")
    parser.add_argument("--mirror", help="another address for the host of the files")


def perform(args: argparse.Namespace) -> None:
    """Packs, and says what was packed; says it, too, where that was done before."""
    if is_there(args.out):
        return _already(args)
    if args.source is None:
        folder = args.downloads or args.out.with_name(args.out.name + "-downloads")
        args.source = _isic(args, folder) if args.isic else _dataverse(args, folder)
    images = ham10000.pack(args.source, args.out, args.size, args.patch, args.workers)
    print(f"{args.out}: {images}")
    print(f"licence: {images.card.licence}; cite: {images.card.citation}")


def _already(args: argparse.Namespace) -> None:
    """What is there already: fine where it was packed with the same settings, an error otherwise."""
    images = ImageSet.load(args.out)
    wanted = {"size": args.size, "patch": args.patch}
    if args.isic:
        wanted["publication"] = {"task3": "ISIC 2018 Task 3", "task1-2": "ISIC 2018 Task 1-2"}[args.isic]
    for name, value in wanted.items():
        found = images.card.attributes.get(name)
        if found != value:
            raise DataError(f"{args.out} is an image set with {name} {found}, not {value}: choose another --out")
    print(f"{args.out} is packed already: {images}")


def _dataverse(args: argparse.Namespace, folder: Path) -> list[Path]:
    """Downloads the files of HAM10000; their numbers change between versions, so the Dataverse is asked by name."""
    _tell(ham10000.LICENCE, ham10000.CITATION)
    host = (args.mirror or DATAVERSE).rstrip("/")
    url = f"{host}/api/datasets/:persistentId/?persistentId={DOI}"
    answer = get(url)
    try:
        listed = [entry["dataFile"] for entry in json.loads(answer)["data"]["latestVersion"]["files"]]
        for entry in listed:
            if wrong := [name for name, kind in LISTED.items() if not isinstance(entry.get(name), kind)]:
                raise ValueError(f"{wrong[0]} is {entry.get(wrong[0])!r}")
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise DataError(f"{url}: no list of files ({type(error).__name__}: {error}); try again later") from None
    files = {entry["filename"].partition(".")[0]: entry for entry in listed}
    paths = []
    for name in HAM_FILES:
        if name not in files:
            raise DataError(f"{url}: the data set lists no file {name}; it lists {', '.join(sorted(files))}")
        entry = files[name]
        address = f"{host}/api/access/datafile/{entry['id']}"
        if "originalFileFormat" in entry:
            # a table: the published size is that of the Dataverse's own copy of it, the checksum that of the original
            target, address, size = folder / f"{name}.csv", f"{address}?format=original", None
        else:
            target, size = folder / f"{name}{Path(entry['filename']).suffix}", entry.get("filesize")
        paths.append(fetch(address, target, size=size, md5=entry.get("md5")))
    return paths


def _isic(args: argparse.Namespace, folder: Path) -> list[Path]:
    """Downloads the files of ISIC 2018, for which no checksums are published."""
    _tell(ham10000.LICENCE, ham10000.CITATION_ISIC)
    host = (args.mirror or ISIC).rstrip("/")
    return [fetch(f"{host}/{name}", folder / name) for name in ISIC_FILES[args.isic]]


def _tell(licence: str, citation: str) -> None:
    print(
        f"Downloading under the licence {licence}, which excludes commercial use. Please cite:\n  {citation}",
        flush=True,
    )
