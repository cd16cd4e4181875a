"""Pictures from files: PNG, JPEG, TIFF, DICOM and NIfTI, found in a folder and read a slice at a time.

Nothing is left out in silence: a file that cannot be read is an error that names it, and what is no picture is told.
"""

from __future__ import annotations

import gzip
import math
import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from .errors import DataError
from .labels import natural
from .pixels import missing
from .untrusted import check_declared, counts, pattern

PLAIN = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
DICOM = (".dcm", ".dicom", ".ima")
NIFTI = (".nii", ".nii.gz")
ENDINGS = (*PLAIN, *DICOM, *NIFTI)
OTHER_PICTURES = {  # which are known not to be read: leaving them out would make the set smaller than its folder
    *(".bmp", ".gif", ".webp", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".svs", ".ndpi", ".czi", ".nd2"),
    *(".mha", ".mhd", ".nrrd", ".nhdr", ".mgz", ".mgh", ".img", ".hdr", ".mnc", ".npy", ".npz", ".h5", ".zip", ".tar"),
}
PLANES = {"axial": "SI", "coronal": "AP", "sagittal": "LR"}
DEEP = ("I;16", "I;16B", "I;16L", "I", "F")  # Pillow's names for grey of more than 8 bits
VOLUME = 256 * 2**20  # bytes that any NIfTI file may declare: a mask of a few values compresses a thousandfold
ALPHAS = ("drop", "black", "white")


class Found(NamedTuple):
    """What lies in a folder.

    Attributes:
        files: those that are read, paths within the folder with ``/``, in natural order.
        others: those that are no pictures.
    """

    files: list[str]
    others: list[str]


class Picture(NamedTuple):
    """One slice: ``pixels`` ``(C, H, W)``, the unit of its values, where it comes from, and what was done to it.

    ``series`` is that of DICOM, whose slices are files; elsewhere it is empty, and a file stands for itself.
    """

    pixels: np.ndarray
    unit: str
    slice: int | None
    frame: int | None
    said: tuple[str, ...] = ()
    tags: tuple[str | None, ...] = ()
    series: str = ""


class NoPicture(DataError):
    """A DICOM object of a kind that holds no image, such as a report or the outlines of structures."""


class Reading(NamedTuple):
    """How files are read.

    Attributes:
        colour: ``"grey"`` or ``"rgb"`` makes all pictures so; None keeps what they are.
        alpha: what becomes of transparent pixels: ``"drop"`` shows the colour that they have all the same, ``"black"``
            and ``"white"`` are what shines through.
        plane: of NIfTI volumes, ``"axial"``, ``"coronal"`` or ``"sagittal"``; None takes the slices as they are stored.
        slices: which slices of a volume.
        tags: keywords of DICOM, whose values are wanted.
    """

    colour: str | None = None
    alpha: str | None = None
    plane: str | None = None
    slices: slice | None = None
    tags: tuple[str, ...] = ()

    def check(self) -> None:
        """Compares the arguments with what is known of them.

        Raises:
            DataError: a value is unknown; the message names the argument.
            ImportError: there are tags, and pydicom is not installed.
        """
        for name, value, known in (
            ("colour", self.colour, ("grey", "rgb")),
            ("alpha", self.alpha, ALPHAS),
            ("plane", self.plane, tuple(PLANES)),
        ):
            if value is not None and value not in known:
                raise DataError(f"{name}: {value!r} is unknown: use {', '.join(known)}")
        if self.slices is not None and not isinstance(self.slices, slice):
            raise DataError(f"slices: expected a slice, such as slice(10, 60, 5), got {self.slices!r}")
        if self.slices is not None and self.slices.step == 0:
            raise DataError("slices: a step of 0 leads nowhere")
        if self.tags:
            try:
                from pydicom.datadict import tag_for_keyword
            except ModuleNotFoundError as error:
                raise missing("tags of DICOM", error) from None
            if unknown := [tag for tag in self.tags if tag_for_keyword(tag) is None]:
                raise DataError(
                    f"tags: {unknown[0]!r} is no keyword of DICOM; such are PatientID and SeriesDescription"
                )


def find_pictures(folder: str | os.PathLike) -> Found:
    """The files of a folder, at any depth, that pictures are read from.

    By their endings (``ENDINGS``), and files without one that are DICOM by what they hold, or are named as such beside
    them are, which are then damaged. Hidden files and what
    operating systems leave behind (``._*``, ``.DS_Store``, ``Thumbs.db``, ``__MACOSX``) do not count.

    Raises:
        DataError: there is no such folder, no picture in it, or pictures of a kind that is not read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder" if not folder.exists() else f"{folder} is a file: name its folder")
    # links to folders, which are not followed, and links that lead nowhere are told of like other files
    paths = [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]
    names = sorted(filter(counts, (path.relative_to(folder).as_posix() for path in paths)), key=natural)
    if strange := [name for name in names if any("\ud800" <= letter <= "\udfff" for letter in name)]:
        raise DataError(f"{folder}: the name {strange[0]!r} is no text in UTF-8: rename the file")
    bare = [name for name in names if _ending(name).strip(".0123456789") == ""]  # of 1.2.840.10008, numbers
    alike = {pattern(name) for name in bare if _is_dicom(folder / name)}
    dicom = {name for name in bare if pattern(name) in alike}
    files = [name for name in names if _ending(name) in ENDINGS or name in dicom]
    others = [name for name in names if name not in set(files)]
    if refused := [name for name in others if _ending(name) in OTHER_PICTURES]:
        more = f" and {len(refused) - 5} more" if len(refused) > 5 else ""
        raise DataError(
            f"{folder}: files of this kind are not read: {', '.join(refused[:5])}{more}; convert them to one of "
            f"{', '.join(ENDINGS)}, or move them elsewhere"
        )
    if not files:
        raise DataError(f"{folder}: no image in it; read are files that end in {', '.join(ENDINGS)}, and DICOM without "
                        "an ending")  # fmt: skip
    return Found(files, others)


def _ending(name: str) -> str:
    lower = name.lower()
    return ".nii.gz" if lower.endswith(".nii.gz") else PurePosixPath(lower).suffix


def _is_dicom(path: Path) -> bool:
    if not path.is_file():  # but a link
        return False
    with open(path, "rb") as file:
        return file.read(132)[128:] == b"DICM"


def read_pictures(folder: str | os.PathLike, file: str, how: Reading) -> Iterator[Picture]:
    """The slices of a file.

    Raises:
        DataError: it cannot be read, or needs an argument; the message names the file.
        ImportError: the package that reads such files is not installed.
    """
    path = Path(folder) / file
    ending = _ending(file)
    read = _plain if ending in PLAIN else _nifti if ending in NIFTI else _dicom
    pictures = list(read(path, file, how))
    if not pictures:
        raise DataError(f"{file}: none of its slices is chosen by slices={_written(how.slices)}")
    yield from pictures


def _written(part: slice | None) -> str:
    return "" if part is None else ":".join("" if n is None else str(n) for n in (part.start, part.stop, part.step))


def _chosen(count: int, how: Reading) -> Sequence[int]:
    return range(count) if how.slices is None or count == 1 else range(count)[how.slices]


# ---------------------------------------------------------------------------------------------------- PNG, JPEG, TIFF


def _plain(path: Path, name: str, how: Reading) -> Iterator[Picture]:
    try:
        from PIL import Image, ImageSequence
    except ModuleNotFoundError as error:
        raise missing(f"reading {name}", error) from None
    try:
        # A file and not its path, which Pillow would map into memory, and then garble a TIFF that is to be turned.
        with open(path, "rb") as file, Image.open(file, formats=("PNG", "JPEG", "TIFF")) as opened:
            count, said = getattr(opened, "n_frames", 1), []
            if opened.format == "MPO":
                count, said = 1, ["of files with further pictures behind the first (MPO), the first"]
            elif count > 1 and opened.format != "TIFF":
                raise DataError(f"{name} is an animation of {count} pictures: save each as a file")
            wanted, declared = set(_chosen(count, how)), 0
            for k, frame in enumerate(ImageSequence.Iterator(opened)):
                if k >= count:
                    break
                if k in wanted:
                    declared += frame.width * frame.height * _bytes_a_pixel(frame)
                    check_declared(declared, path.stat().st_size, name)
                    pixels, unit, more = _values(frame, name, how)
                    number = k if count > 1 else None
                    yield Picture(pixels, unit, number, None, (*said, *more), (None,) * len(how.tags))
    except DataError:
        raise
    except Exception as error:  # decoders have no closed set of them for damaged files
        raise DataError(f"{name} cannot be read ({_reason(error)}): get the file again, or move it elsewhere") from None


def _stored(image) -> str:
    return str(image.tile[0][3]) if image.tile else ""


def is_deep(image) -> bool:
    """Whether the file has more than 8 bits a value, of which Pillow may keep 8; to be asked before it is loaded."""
    bits = max(image.tag_v2.get(258, (1,))) if image.format == "TIFF" else 1
    return ";16" in _stored(image) or bits > 8


def is_turned(image) -> bool:
    """Whether EXIF says that it is to be shown turned or mirrored."""
    return image.getexif().get(0x0112) in range(2, 9)


def _bytes_a_pixel(image) -> int:
    size = {"I": 4, "F": 4}.get(image.mode, 2 if image.mode.startswith("I;16") else 1)
    return size * len(image.getbands())


def _values(image, name: str, how: Reading) -> tuple[np.ndarray, str, list[str]]:
    """The pixels ``(C, H, W)`` of what Pillow has opened."""
    from PIL import ImageOps

    stored, deep = _stored(image), is_deep(image)
    white_is_zero = image.format == "TIFF" and image.tag_v2.get(262) == 0
    image.load()
    said, mode = [], image.mode
    if is_turned(image):
        said.append("turned as EXIF says")
    image = ImageOps.exif_transpose(image)
    if deep and (mode not in DEEP or "transparency" in image.info):
        raise DataError(f"{name}: colours or transparency of more than 8 bits, which would be cut; save it with 8, or "
                        "as grey of 16 bits")  # fmt: skip
    if mode in DEEP:
        values = np.asarray(image)
        if mode.startswith("I;16"):
            values = values.astype(np.uint16)
            values = 65535 - values if white_is_zero else values
        elif white_is_zero:
            raise DataError(f"{name}: white is 0 in it, and its values have no greatest: save it with black as 0")
        elif values.size and mode == "I" and ";16" in stored and "S" not in stored:
            values = values.astype(np.uint16)
        if how.colour == "rgb":
            raise DataError(f"{name}: grey of more than 8 bits cannot be made colour: pass colour='grey', or none")
        unit = "16-bit values" if values.dtype == np.uint16 else "values of more than 8 bits"
        return values[None], unit, said
    if mode == "1":
        image, mode = image.convert("L"), "L"
    if mode == "P":
        mode = "RGBA" if "transparency" in image.info else "RGB"
        image = image.convert(mode)
        said.append("colours looked up in the palette")
    elif "transparency" in image.info and mode in ("L", "RGB"):
        mode = "LA" if mode == "L" else "RGBA"
        image = image.convert(mode)
    if mode in ("LA", "RGBA", "PA", "La", "RGBa"):
        image, words = _opaque(image, name, how)
        said += words
        mode = image.mode
    if mode not in ("L", "RGB"):
        raise DataError(f"{name}: {mode} is no kind of picture that is read: save it as grey or RGB")
    wanted = {"grey": "L", "rgb": "RGB", None: mode}[how.colour]
    if wanted != mode:
        said.append("colour made grey (ITU-R 601)" if wanted == "L" else "grey made colour")
        image = image.convert(wanted)
    values = np.asarray(image)
    return (values[None] if values.ndim == 2 else np.moveaxis(values, -1, 0)), "8-bit values", said


def _opaque(image, name: str, how: Reading) -> tuple[object, list[str]]:
    from PIL import Image

    grey = image.mode in ("LA", "La")
    image = image.convert("RGBA")
    if image.getchannel("A").getextrema()[0] == 255:
        return image.convert("L" if grey else "RGB"), ["a channel of transparency that is opaque throughout left out"]
    if how.alpha is None:
        raise DataError(
            f"{name} has transparent pixels: pass alpha='black' or 'white' for what shines through, or 'drop' to take "
            "the colours as they are"
        )
    if how.alpha == "drop":
        image, words = image.convert("RGB"), "transparency left out"
    else:
        ground = Image.new("RGBA", image.size, how.alpha)
        image, words = Image.alpha_composite(ground, image).convert("RGB"), f"transparent pixels laid over {how.alpha}"
    return (image.getchannel("R") if grey else image), [words]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


# --------------------------------------------------------------------------------------------------------------- DICOM


def _dicom(path: Path, name: str, how: Reading) -> Iterator[Picture]:
    try:
        from . import dicom, dicom_frames
        from .dicom_values import value_of
    except ModuleNotFoundError as error:
        raise missing(f"reading {name}", error) from None
    with open(path, "rb") as file:
        header, dataset = dicom.read_header(file, name, any_modality=True)
        if dicom.holds_no_image(dataset):
            raise NoPicture(f"{name} is a DICOM object that holds no image")
        frames, unit = dicom_frames.read_frames(dataset, name)
    values = [value_of(dataset, tag, name) for tag in how.tags]
    tags = tuple(None if value in (None, "") else str(value) for value in values)
    said = ["MONOCHROME1 shown as MONOCHROME2"] if header.inverted and unit != "HU" else []
    for k in _chosen(len(frames), how):
        pixels, more = _coloured(frames[k], name, how)
        number = k if len(frames) > 1 else None
        yield Picture(pixels, unit, number, None, (*said, *more), tags, header.series_uid)


def _coloured(values: np.ndarray, name: str, how: Reading) -> tuple[np.ndarray, list[str]]:
    """Values ``(H, W)`` or ``(H, W, 3)`` as ``(C, H, W)``, as ``colour`` wants them."""
    if values.ndim == 3 and how.colour == "grey":
        weighted = values.astype(np.float64) @ (0.299, 0.587, 0.114)
        return np.rint(weighted).astype(np.uint8)[None], ["colour made grey (ITU-R 601)"]
    if values.ndim == 3:
        return np.moveaxis(values, -1, 0), []
    if how.colour != "rgb":
        return values[None], []
    if values.dtype != np.uint8:
        raise DataError(f"{name}: grey of more than 8 bits cannot be made colour: pass colour='grey', or none")
    return np.repeat(values[None], 3, 0), ["grey made colour"]


# --------------------------------------------------------------------------------------------------------------- NIfTI


def _nifti(path: Path, name: str, how: Reading) -> Iterator[Picture]:
    try:
        import nibabel
    except ModuleNotFoundError as error:
        raise missing(f"reading {name}", error) from None
    try:
        image = nibabel.load(path)
        declared = math.prod(map(int, image.shape)) * image.get_data_dtype().itemsize
        check_declared(declared, path.stat().st_size, name, VOLUME)
        if path.name.lower().endswith(".gz"):
            _check_unzipped(path, name)
        volume = np.asanyarray(image.dataobj)
        codes = nibabel.aff2axcodes(image.affine)
    except DataError:
        raise
    except Exception as error:  # from gzip, zlib, the header and the affine
        raise DataError(f"{name} cannot be read ({_reason(error)}): get the file again, or move it elsewhere") from None
    while volume.ndim > 3 and volume.shape[-1] == 1:
        volume = volume[..., 0]
    if volume.ndim == 2:
        volume = volume[..., None]
    if volume.ndim not in (3, 4) or volume.size == 0:
        raise DataError(f"{name} has the shape {volume.shape}: three axes are read, or four, the last of which is time")
    if volume.dtype.kind not in "iuf":
        raise DataError(f"{name} holds {volume.dtype}: convert it to grey values")
    # the header's slope and intercept make 64 bits of any number
    volume = volume.astype(np.float32 if volume.dtype.kind == "f" else volume.dtype.newbyteorder("="), copy=False)
    if how.plane is None:
        codes, through = [code or "LPS"[axis] for axis, code in enumerate(codes[:3])], 2
    elif None in codes or not (axis := [k for k, code in enumerate(codes) if code in PLANES[how.plane]]):
        raise DataError(f"{name}: its header does not say how it lies, so plane={how.plane!r} is unknown: leave it out")
    else:
        through = axis[0]
    if how.colour == "rgb":
        raise DataError(f"{name}: grey of more than 8 bits cannot be made colour: pass colour='grey', or none")
    turned = ("turned as radiologists look at slices, the patient's right on the left",)
    frames = [None] if volume.ndim == 3 else range(volume.shape[3])
    unit = "8-bit values" if volume.dtype == np.uint8 else "NIfTI values"
    for frame in frames:
        stack = volume if frame is None else volume[..., frame]
        for k in _chosen(stack.shape[through], how):
            pixels = _as_shown(np.take(stack, k, through), [code for a, code in enumerate(codes) if a != through])
            number = k if stack.shape[through] > 1 else None
            yield Picture(np.ascontiguousarray(pixels)[None], unit, number, frame, turned, (None,) * len(how.tags))


def _check_unzipped(path: Path, name: str) -> None:
    """Reads a gzip file to its end, where its checksum stands: nibabel stops at the last voxel, whatever was read."""
    size = 0
    with gzip.open(path) as file:
        while chunk := file.read(2**20):
            size += len(chunk)
            check_declared(size, path.stat().st_size, name, VOLUME)


def _as_shown(picture: np.ndarray, codes: Sequence[str]) -> np.ndarray:
    """A slice as radiologists look at it: the patient's right on the left, the front or the head above.

    Args:
        picture: ``(A, B)``.
        codes: where each of its two axes leads: L, R, P, A, S or I.
    """
    for axis, code in enumerate(codes):
        if code in "RAS":
            picture = np.flip(picture, axis)
    order = ["LR", "AP", "SI"]
    across, down = (next(k for k, pair in enumerate(order) if code in pair) for code in codes)
    return picture.T if across < down else picture  # rows are the second axis of a picture, and the first of an array
