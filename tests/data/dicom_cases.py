"""CT images and series as an independent writer puts them."""

import io

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    generate_uid,
)

from medlatent.data import DataError, dicom

RNG = np.random.default_rng(0)
SYNTAXES = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": ExplicitVRLittleEndian,
    "big endian": "1.2.840.10008.1.2.2",
    "deflated": DeflatedExplicitVRLittleEndian,
}


def ct(stored=None, syntax=ExplicitVRLittleEndian, **tags):
    """A CT image as a data set; a tag given as ``None`` is left out."""
    stored = RNG.integers(0, 3000, (8, 6)).astype(np.uint16) if stored is None else stored
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset = pydicom.Dataset()
    dataset.file_meta = meta
    bits = 8 * stored.itemsize
    order = ">" if syntax == SYNTAXES["big endian"] else "<"
    values = {
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": meta.MediaStorageSOPInstanceUID,
        "SeriesInstanceUID": "1.2.3",
        "StudyInstanceUID": "1.2",
        "PatientID": "P1",
        "Modality": "CT",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "PhotometricInterpretation": "MONOCHROME2",
        "SamplesPerPixel": 1,
        "Rows": stored.shape[0],
        "Columns": stored.shape[1],
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(stored.dtype.kind == "i"),
        "RescaleSlope": "1",
        "RescaleIntercept": "-1024",
        "PixelSpacing": [0.7, 0.8],
        "ImagePositionPatient": [-10, -20, 30],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "PixelData": stored.astype(stored.dtype.newbyteorder(order)).tobytes(),
    }
    for keyword, value in (values | tags).items():
        if value is not None:
            setattr(dataset, keyword, value)
    if "PixelData" in dataset:
        dataset["PixelData"].VR = "OW" if bits > 8 else "OB"
    return dataset


def write(dataset, path):
    dataset.save_as(path, enforce_file_format=True)
    return path


def read(dataset, **options):
    """Written to bytes, and read back."""
    file = io.BytesIO()
    write(dataset, file)
    file.seek(0)
    return dicom.read_slice(file, **options)


def write_series(folder, n=6, distance=2.0, **tags):
    """Slices whose HU are all 10 times their place, in files named in another order."""
    folder.mkdir(exist_ok=True)
    for k in range(n):
        stored = np.full((8, 6), 1024 + 10 * k, np.uint16)
        position = [-10, -20, -50 + distance * k]
        write(ct(stored, **{"ImagePositionPatient": position, **tags}), folder / f"{k * 7 % n:03}.dcm")
    return folder


def file_of(folder, k):
    """The file of the k-th slice of ``write_series``."""
    return next(p for p in folder.glob("*.dcm") if pydicom.dcmread(p).pixel_array[0, 0] == 1024 + 10 * k)


def change(path, **tags):
    dataset = pydicom.dcmread(path)
    for keyword, value in tags.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.save_as(path)


def refused(dataset, *words, **options):
    with pytest.raises(DataError) as caught:
        read(dataset, **options)
    for word in words:
        assert word in str(caught.value)
