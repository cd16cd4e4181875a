"""Packs MNIST (70 000 handwritten digits) into an image set.

    python -m medlatent data mnist --out $MEDLATENT_DATA/mnist

downloads the four official files (11 MB), packs them, and does nothing when run again. The notebooks and tests look
for real data in the folder that the environment variable MEDLATENT_DATA names, so let --out be the folder mnist in it.
With --from, files already on disk are packed instead, compressed or not.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data import DataError, ImageSet, mnist
from ..data.download import fetch
from ..files import is_there

HOST = "https://ossci-datasets.s3.amazonaws.com/mnist"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="the folder to write")
    parser.add_argument("--from", dest="source", type=Path, metavar="FOLDER", help="a folder with the four idx files")
    parser.add_argument("--downloads", type=Path, help="where downloads are kept (default: OUT-downloads)")
    parser.add_argument("--mirror", help="another address for the folder of the files")


def perform(args: argparse.Namespace) -> None:
    """Packs, and says what was packed; says it, too, where that was done before."""
    if is_there(args.out):
        images = ImageSet.load(args.out)
        if images.card.name != "MNIST":
            raise DataError(f"{args.out} is an image set of {images.card.name}, not MNIST: choose another --out")
        print(f"{args.out} is packed already: {images}")
        return
    if args.source is None:
        args.source = args.downloads or args.out.with_name(args.out.name + "-downloads")
        for name in (f"{n}.gz" for names in mnist.FILES.values() for n in names):
            fetch(f"{(args.mirror or HOST).rstrip('/')}/{name}", args.source / name, md5=mnist.MD5[name])
    images = mnist.pack(args.source, args.out)
    print(f"{args.out}: {images}")
    print(f"licence: {images.card.licence}; cite: {images.card.citation}")
