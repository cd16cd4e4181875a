"""Packs ACDC (100 hearts in short-axis MRI, at end-diastole and end-systole) into image sets of pictures and masks.

    python -m medlatent data acdc --out $MEDLATENT_DATA/acdc

downloads the official archive (resumed when interrupted), packs its 100 training patients, and does nothing when run
again. The masks go beside the pictures, into acdc_masks. The notebooks and tests look for real data in the folder that
the environment variable MEDLATENT_DATA names, so let --out be the folder acdc in it.

With --from, files already on disk are packed instead: the archive or what it unpacks to; or the folders that
ukbb_cardiac writes for UK Biobank, one a participant with sa_ED.nii.gz, sa_ES.nii.gz, label_sa_ED.nii.gz and
label_sa_ES.nii.gz (or seg_sa_ED.nii.gz and seg_sa_ES.nii.gz).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data import DataError, ImageSet, acdc
from ..data.download import fetch
from ..files import is_there

HOST = "https://humanheart-project.creatis.insa-lyon.fr"
ARCHIVE = "database/api/v1/collection/637218c173e9f0047faa00fb/download"
SHA256 = "2787e08b0d3525cbac710fc3bdf69ee7c5fd7446472e49db8bc78548802f6b5e"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="the folder to write; the masks go to OUT_masks")
    parser.add_argument("--from", dest="source", type=Path, nargs="+", metavar="PATH", help="archives or folders")
    parser.add_argument("--size", type=int, default=128, help="height and width in pixels (default: 128)")
    parser.add_argument("--spacing", type=float, default=acdc.SPACING, help="of pixels in mm (default: %(default)s)")
    parser.add_argument("--selection", choices=acdc.SELECTIONS, default="wide", help="of patients (default: wide)")
    parser.add_argument("--slices", choices=acdc.SLICES, default="basal", help="one a patient, or all to mid-cavity")
    parser.add_argument("--workers", type=int, help="processes that read (default: one a core where there are many)")
    parser.add_argument("--downloads", type=Path, help="where downloads are kept (default: OUT-downloads)")
    parser.add_argument("--mirror", help="another address for the host of the archive")


def perform(args: argparse.Namespace) -> None:
    """Packs, and says what was packed; says it, too, where that was done before."""
    settings = {name: getattr(args, name) for name in ("size", "spacing", "selection", "slices")}
    if is_there(args.out):
        return _already(args.out, settings)
    images = acdc.pack(args.source or _download(args), args.out, **settings, workers=args.workers)
    print(f"{args.out}: {images}; masks in {acdc.masks_beside(args.out)}")
    if left_out := images.card.attributes["left_out"]:
        print(f"left out: {left_out} patients, by the selection {args.selection}")
    print(f"licence: {images.card.licence}; cite: {images.card.citation}")


def _already(out: Path, settings: dict[str, object]) -> None:
    """What is there already: fine where pictures and masks were packed with the same settings, an error otherwise."""
    images = ImageSet.load(out)
    if "layout" not in images.card.attributes:
        raise DataError(f"{out} is an image set of {images.card.name}, not of hearts: choose another --out")
    for name, value in settings.items():
        if (found := images.card.attributes.get(name)) != value:
            raise DataError(f"{out} is an image set with {name} {found}, not {value}: choose another --out")
    ImageSet.load(acdc.masks_beside(out))
    print(f"{out} is packed already: {images}")


def _download(args: argparse.Namespace) -> Path:
    print(
        f"Downloading under the licence {acdc.LICENCE}, which excludes commercial use. Please cite:\n  {acdc.CITATION}",
        flush=True,
    )
    folder = args.downloads or args.out.with_name(args.out.name + "-downloads")
    host = (args.mirror or HOST).rstrip("/")
    try:
        return fetch(f"{host}/{ARCHIVE}", folder / "ACDC.zip", sha256=SHA256)
    except DataError as error:
        raise DataError(
            f"{error}. If the host wants an account, download the archive in a browser ({HOST}/database) and name it "
            "with --from"
        ) from None
