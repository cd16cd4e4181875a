"""LIDC-IDRI, thoracic CT of 1 010 patients, as Schön et al. (2022) use it: every axial slice an image of its own.

``read_index`` reads what the Imaging Data Commons of the US National Cancer Institute says of each series, ``choose``
picks some of them, ``download`` fetches their DICOM files from its public object store, and ``pack`` makes the image
set. No account is needed. The index is a table that the package ``idc-index`` carries::

    pip install idc-index
    python -c "from idc_index import IDCClient; IDCClient().sql_query('''SELECT PatientID, SeriesInstanceUID,
    series_aws_url, instanceCount, series_size_MB FROM index WHERE collection_id = 'lidc_idri' AND Modality = 'CT'
    ''').to_csv('lidc.csv', index=False)"

It lists 1 018 CT series with 243 958 slices, 128.4 GB (of eight patients, two scans). Schön et al. count 246 016 slices
and do not say of which series.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from tqdm import tqdm

from ..files import replacing
from . import chest_ct
from .download import fetch, get
from .errors import DataError
from .imageset import ImageSet
from .labels import text_table
from .optional import extra
from .source import Source, StandIn
from .views import coarser

with extra("data", "fetching series of LIDC-IDRI"):
    import requests

NAME = "LIDC-IDRI"
LICENCE = "CC BY 3.0"
CITATION = (
    "Armato, S.G. et al.: The Lung Image Database Consortium (LIDC) and Image Database Resource Initiative (IDRI): A "
    "Completed Reference Database of Lung Nodules on CT Scans. Medical Physics 38(2), 915-931 (2011). "
    "doi:10.1118/1.3528204. Data: The Cancer Imaging Archive, doi:10.7937/K9/TCIA.2015.LO9QL9SX"
)
COLUMNS = ("PatientID", "SeriesInstanceUID", "series_aws_url", "instanceCount", "series_size_MB")
ADDRESS = re.compile(r"s3://([a-z0-9][a-z0-9-]+)/([0-9a-f-]{8,})/\*?")
UID = re.compile(r"[0-9.]{1,64}")
FILE = re.compile(r"[\w-]+(\.[\w-]+)*")
MD5 = re.compile(r'"?([0-9a-f]{32})"?')
CONNECTIONS = 8


@dataclass(frozen=True, order=True)
class Series:
    """A series of the index.

    Attributes:
        patient_id: PatientID.
        uid: SeriesInstanceUID.
        bucket: of the object store.
        prefix: the folder of its files in the bucket.
        files: how many there are.
        size: of all of them in bytes, to within a few.
    """

    patient_id: str
    uid: str
    bucket: str
    prefix: str
    files: int
    size: int


def read_index(path: str | os.PathLike) -> list[Series]:
    """The CT series of an index, by patient and SeriesInstanceUID.

    Args:
        path: a CSV file with the columns PatientID, SeriesInstanceUID, series_aws_url, instanceCount and
            series_size_MB, named as the index of the Imaging Data Commons names them; others are ignored, but where
            there is a column Modality, only CT is kept.

    Raises:
        DataError: the file cannot be read, lacks a column, or holds what cannot be; the message names the row.
    """
    path = Path(path)
    try:
        table = text_table(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read as a table ({error})") from None
    if missing := [name for name in COLUMNS if name not in table]:
        raise DataError(f"{path}: no column {', '.join(missing)}; export the index with {', '.join(COLUMNS)}")
    if "Modality" in table:
        table = table[table["Modality"] == "CT"]
    found: dict[str, Series] = {}
    for row, values in zip(table.index, table[list(COLUMNS)].itertuples(index=False, name=None), strict=True):
        patient, uid, url, files, megabytes = values
        where = f"{path}, line {row + 2}"
        address = ADDRESS.fullmatch(url)
        if not patient:
            raise DataError(f"{where}: PatientID is empty")
        if not UID.fullmatch(uid) or uid in found:
            raise DataError(f"{where}: SeriesInstanceUID is {uid!r}, " + ("as above" if uid in found else "no UID"))
        if not address:
            raise DataError(f"{where}: series_aws_url is {url!r}, expected s3://BUCKET/SERIES/*")
        try:
            count, size = int(files), round(float(megabytes) * 1e6)
        except (ValueError, OverflowError):
            count = size = 0
        if count < 1 or size < 1:
            raise DataError(f"{where}: instanceCount {files!r} and series_size_MB {megabytes!r} must be positive")
        found[uid] = Series(patient, uid, address[1], address[2], count, size)
    if not found:
        raise DataError(f"{path} lists no CT series")
    return sorted(found.values())


def choose(series: Sequence[Series], n: int | None = None, patients: Iterable[str] | None = None) -> list[Series]:
    """Some of the series.

    Args:
        series: of :func:`read_index`.
        n: the first n of them; by default all.
        patients: of these patients.

    Raises:
        DataError: n is below 1, or a patient has no series.
    """
    if patients is not None:
        patients = list(patients)
        if unknown := sorted(set(patients) - {one.patient_id for one in series}):
            raise DataError(f"no series of {', '.join(unknown)} in the index; a patient is called like LIDC-IDRI-0001")
        series = [one for one in series if one.patient_id in patients]
    if n is not None and n < 1:
        raise DataError(f"at least one series is needed, not {n}")
    return list(series)[:n]


def missing(series: Iterable[Series], folder: str | os.PathLike) -> list[Series]:
    """The series that :func:`download` has not yet completed in a folder."""
    return [one for one in series if not _complete(Path(folder), one)]


def download(
    series: Sequence[Series],
    folder: str | os.PathLike,
    connections: int = CONNECTIONS,
    mirror: str | None = None,
    progress: bool = True,
    retries: int = 5,
    backoff: float = 1.0,
) -> list[Path]:
    """Downloads the files of each series into a folder of its own; what an earlier run has fetched is kept.

    Each file is compared with the size and, where the store gives one (an ETag that is one), the MD5 that it lists. A
    file that was interrupted is resumed. What a series consists of is written beside its folder, in ``UID.json``, when
    it is complete, and is what the next run compares with.

    Args:
        series: of :func:`read_index` or :func:`choose`.
        folder: where the folders go, each called by its SeriesInstanceUID.
        connections: how many files are fetched at the same time.
        mirror: another address in the place of ``https://BUCKET.s3.amazonaws.com``.
        progress: show a progress bar.
        retries, backoff: as of :func:`~medlatent.data.download.fetch`.

    Returns:
        The folder of each series.

    Raises:
        DataError: the disk has less room than the files need, the store lists other files than the index says, or
            something cannot be fetched or differs from what is listed. Run again to continue.
    """
    folder = Path(folder)
    if connections < 1:
        raise DataError(f"connections must be at least 1, not {connections}")
    absent = missing(series, folder)
    folder.mkdir(parents=True, exist_ok=True)
    needed = sum(one.size for one in absent) - sum(_there(folder, one) for one in absent)
    if needed > (free := shutil.disk_usage(folder).free):
        raise DataError(f"{folder}: {needed / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB free; choose fewer series")
    local = threading.local()

    def session() -> requests.Session:
        if not hasattr(local, "session"):  # a session is of one thread
            local.session = requests.Session()
        return local.session

    options = {"retries": retries, "backoff": backoff}
    total = sum(one.size for one in absent)
    with (
        ThreadPoolExecutor(connections) as pool,
        tqdm(total=total, unit="B", unit_scale=True, desc="downloading", disable=not progress) as bar,
    ):
        try:
            for one in absent:
                host = (mirror or f"https://{one.bucket}.s3.amazonaws.com").rstrip("/")
                contents = _list(host, one, session(), options)

                def fetched(entry: dict, host: str = host, one: Series = one) -> int:
                    path = folder / one.uid / entry["name"]
                    url = f"{host}/{one.prefix}/{entry['name']}"
                    expected = {"size": entry["size"], "md5": entry["md5"]}
                    fetch(url, path, **expected, **options, progress=False, session=session())
                    return entry["size"]

                for size in pool.map(fetched, contents):
                    bar.update(size)
                with replacing(folder / f"{one.uid}.json") as partial:
                    partial.write_text(json.dumps(contents, indent=1), encoding="utf-8")
        except BaseException:
            pool.shutdown(cancel_futures=True)  # or all files of the series would be fetched first
            raise
    return [folder / one.uid for one in series]


def _complete(folder: Path, series: Series) -> bool:
    """Whether the files of a series are all there, with the sizes of when they were verified."""
    try:
        contents = json.loads((folder / f"{series.uid}.json").read_text(encoding="utf-8"))
        return len(contents) == series.files and all(
            (folder / series.uid / entry["name"]).stat().st_size == entry["size"] for entry in contents
        )
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _there(folder: Path, series: Series) -> int:
    """Bytes of a series that an interrupted run has fetched."""
    return sum(path.stat().st_size for path in (folder / series.uid).glob("*") if path.is_file())


def _list(host: str, series: Series, session: requests.Session, options: dict) -> list[dict]:
    """Name, size and MD5 (or None) of each file of a series, as the object store lists them."""
    contents, token = [], ""
    while True:
        url = f"{host}/?list-type=2&prefix={series.prefix}/" + (
            token and f"&continuation-token={quote(token, safe='')}"
        )
        answer = get(url, session=session, **options)
        try:
            root = ElementTree.fromstring(answer)
            fields = [{_tag(child): child.text or "" for child in e} for e in root if _tag(e) == "Contents"]
            for entry in fields:
                prefix, _, name = entry["Key"].rpartition("/")
                if prefix != series.prefix or not FILE.fullmatch(name):
                    raise DataError(f"{url}: the store lists the file {entry['Key']!r}, which is none of the series")
                md5 = MD5.fullmatch(entry.get("ETag", ""))
                contents.append({"name": name, "size": int(entry["Size"]), "md5": md5 and md5[1]})
        except (ElementTree.ParseError, KeyError, ValueError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"{url}: the answer is no list of files ({error}); try again later") from None
        following = next((e.text for e in root if _tag(e) == "NextContinuationToken" and e.text), "")
        if not following or following == token or len(contents) > series.files:  # or it would go on without an end
            break
        token = following
    if len(contents) != series.files:
        raise DataError(
            f"{series.patient_id}, series {series.uid}: the store lists {len(contents)} files and the index says "
            f"{series.files}; export the index anew"
        )
    return contents


def _tag(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]  # without the namespace


def pack(
    source: str | os.PathLike | Iterable[str | os.PathLike],
    out: str | os.PathLike,
    size: int = 128,
    workers: int | None = None,
    progress: bool = True,
) -> ImageSet:
    """Packs the DICOM files of LIDC-IDRI; see :func:`medlatent.data.chest_ct.pack`, which this is, leniently.

    The slices are those of Schön et al. (2022): Hounsfield units from -1000 to 2000, 128×128 pixels, of which an
    image set makes 0 to 1 by that range.

    Args:
        source: folders, as :func:`download` makes them, or archives, as The Cancer Imaging Archive hands them out.
        out, size, workers, progress: as of :func:`medlatent.data.chest_ct.pack`.

    Raises:
        DataError: there is no axial CT series, or an argument cannot be used.
    """
    return chest_ct.pack(source, out, size, workers, progress, LICENCE, CITATION, NAME, lenient=True)


LIDC_CT = Source(
    name="lidc_ct",
    kind="packed",
    summary="axial slices of 1 018 thoracic CT series of LIDC-IDRI, with their height in the lungs",
    limits=(
        "Slices of adults in whom somebody looked for lung nodules, at seven academic centres before 2011; scanners, "
        "doses and kernels are those of that time. Neighbouring slices of one patient are much alike."
    ),
    licence=LICENCE,
    options="--index lidc.csv",
    script="lidc",
    stand_in=StandIn("phantoms.thorax", 1000, 1),
)
SOURCES = (LIDC_CT, *coarser(LIDC_CT))
