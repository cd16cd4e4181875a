"""LIDC-IDRI from an object store that is stood in for: the index, the download and what can go wrong, the packing."""

import hashlib
import http.server
import os
import re
import threading
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from xml.sax.saxutils import escape

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.data import get_testdata_file

from medlatent import obtain
from medlatent.data import DataError, ImageSet, lidc_ct, open_images

N = 14  # slices of a series
LOW, HIGH = 3, 10  # its slices with lung
PAGE = 6  # files that the store lists at a time
PATIENTS = ("LIDC-IDRI-0001", "LIDC-IDRI-0002", "LIDC-IDRI-0003")
UUIDS = {patient: f"37cf5cd8-d103-4cd0-a446-960bc0ed92a{k}" for k, patient in enumerate(PATIENTS)}


def uid(patient):
    return f"1.3.6.1.4.1.14519.5.2.1.6279.6001.{PATIENTS.index(patient) + 1}"


@pytest.fixture(scope="module")
def objects():
    """The files of three series, by their key in the store: a body with lungs."""
    dataset = pydicom.dcmread(get_testdata_file("CT_small.dcm"))
    dataset.Rows = dataset.Columns = 32
    dataset.PixelSpacing = [10, 10]
    dataset.ManufacturerModelName, dataset.ConvolutionKernel = "LightSpeed Plus", "STANDARD"
    made = {}
    for patient in PATIENTS:
        dataset.PatientID, dataset.SeriesInstanceUID = patient, uid(patient)
        for k in range(N):
            hu = np.full((32, 32), -1000, np.int16)
            hu[6:26, 3:29] = 40
            if LOW <= k <= HIGH:
                hu[9:23, 5:13] = hu[9:23, 19:27] = -850
            dataset.PixelData = (hu + 1024).tobytes()
            dataset.ImagePositionPatient = [-158, -179, -300 + 2.5 * k]
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{uid(patient)}.{k + 1}"
            buffer = pydicom.filebase.DicomBytesIO()
            dataset.save_as(buffer)
            made[f"{UUIDS[patient]}/00{k:02}-aa.dcm"] = buffer.getvalue()
    return made


class Store(http.server.ThreadingHTTPServer):
    """Lists and serves its objects as S3 does; each path may have faults, of which a request takes the next."""

    daemon_threads = True

    def __init__(self, objects):
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects, self.faults, self.requests, self.etag = objects, {}, [], None
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def fetched(self):
        return [path for path in self.requests if "list-type" not in path]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections stay open

    def log_message(self, *args):
        pass

    def answer(self, body, tag=None, code=200):
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        if tag:
            self.send_header("ETag", tag)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        store = self.server
        store.requests.append(self.path)
        query = parse_qs(urlsplit(self.path).query)
        name = self.path.rpartition("/")[2] if not query else "list"
        fault = store.faults[name].pop(0) if store.faults.get(name) else None
        if isinstance(fault, int):
            self.answer(b"", code=fault)
        elif isinstance(fault, bytes):
            self.answer(fault)
        elif query:
            self.answer(self.listing(query))
        elif (key := urlsplit(self.path).path[1:]) in store.objects:
            body = store.objects[key]
            self.answer(body if fault != "corrupt" else b"\0" * 10 + body[10:], self.tag(body))
        else:
            self.answer(b"", code=404)

    def tag(self, body):
        return self.server.etag or f'"{hashlib.md5(body).hexdigest()}"'

    def listing(self, query):
        keys = sorted(key for key in self.server.objects if key.startswith(query["prefix"][0]))
        start = int(query.get("continuation-token", ["0 /+"])[0].split()[0])
        page = "".join(
            f"<Contents><Key>{key}</Key><Size>{len(self.server.objects[key])}</Size>"
            f"<ETag>{escape(self.tag(self.server.objects[key]))}</ETag></Contents>"
            for key in keys[start : start + PAGE]
        )
        more = start + PAGE < len(keys)
        token = f"<NextContinuationToken>{start + PAGE} /+</NextContinuationToken>" if more else ""
        return (
            '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
            f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{page}</ListBucketResult>"
        ).encode()


@pytest.fixture
def store(objects):
    with Store(dict(objects)) as store:
        thread = threading.Thread(target=store.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield store
        store.shutdown()
        thread.join()


@pytest.fixture
def rows(objects):
    """The index, as the Imaging Data Commons writes it."""
    return [
        {
            "PatientID": patient,
            "StudyInstanceUID": "1.2.3",
            "SeriesInstanceUID": uid(patient),
            "series_aws_url": f"s3://idc-open-data/{UUIDS[patient]}/*",
            "instanceCount": N,
            "series_size_MB": sum(len(b) for key, b in objects.items() if key.startswith(UUIDS[patient])) / 1e6,
        }
        for patient in PATIENTS
    ]


@pytest.fixture
def index(rows, tmp_path):
    pd.DataFrame(rows[::-1]).to_csv(tmp_path / "lidc.csv", index=False)
    return tmp_path / "lidc.csv"


@pytest.fixture
def download(store, index, tmp_path):
    def download(**options):
        series = lidc_ct.choose(lidc_ct.read_index(index), options.pop("n", None))
        settings = {"mirror": store.url, "progress": False, "backoff": 0.001, **options}
        return lidc_ct.download(series, tmp_path / "files", **settings)

    return download


# --------------------------------------------------------------------------------------------------------------- index


def test_the_index_lists_series_by_patient(index, objects):
    series = lidc_ct.read_index(index)
    assert [one.patient_id for one in series] == list(PATIENTS)
    first = series[0]
    assert (first.uid, first.bucket, first.prefix) == (uid(PATIENTS[0]), "idc-open-data", UUIDS[PATIENTS[0]])
    assert (first.files, first.size) == (N, sum(map(len, objects.values())) // 3)
    assert lidc_ct.choose(series, 2) == series[:2]
    assert lidc_ct.choose(series, patients=[PATIENTS[2]]) == series[2:]
    assert lidc_ct.choose(series, 1, PATIENTS[1:]) == series[1:2]
    with pytest.raises(DataError, match="no series of LIDC-IDRI-9999 in the index"):
        lidc_ct.choose(series, patients=[PATIENTS[0], "LIDC-IDRI-9999"])
    with pytest.raises(DataError, match="at least one series is needed, not 0"):
        lidc_ct.choose(series, 0)


def test_of_other_modalities_the_index_may_list_anything(rows, tmp_path):
    table = pd.DataFrame([{**rows[0], "Modality": "CT"}, {**rows[1], "Modality": "SEG", "series_aws_url": ""}])
    table.to_csv(tmp_path / "all.csv", index=False)
    assert [one.patient_id for one in lidc_ct.read_index(tmp_path / "all.csv")] == [PATIENTS[0]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"PatientID": ""}, "line 3: PatientID is empty"),
        ({"SeriesInstanceUID": "../x"}, "line 3: SeriesInstanceUID is '../x', no UID"),
        ({"SeriesInstanceUID": "1.3.6.1.4.1.14519.5.2.1.6279.6001.1"}, "line 3: SeriesInstanceUID is .*, as above"),
        ({"series_aws_url": "s3://b/../x/*"}, r"line 3: series_aws_url is 's3://b/../x/\*', expected s3://BUCKET/"),
        ({"instanceCount": 0}, "line 3: instanceCount '0' and series_size_MB .* must be positive"),
        ({"series_size_MB": "nan"}, "line 3: instanceCount '14' and series_size_MB 'nan' must be positive"),
        ({"series_size_MB": "inf"}, "must be positive"),
    ],
)
def test_an_index_that_is_wrong_names_the_line(rows, tmp_path, change, words):
    pd.DataFrame([rows[0], rows[1] | change]).to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(DataError, match=words):
        lidc_ct.read_index(tmp_path / "bad.csv")


def test_what_is_no_index(rows, tmp_path):
    path = tmp_path / "bad.csv"
    with pytest.raises(DataError, match=r"bad\.csv: no such file"):
        lidc_ct.read_index(path)
    for content, words in (
        ("", "cannot be read as a table"),
        ("a,b\n1,2\n", "no column PatientID, SeriesInstanceUID, series_aws_url, instanceCount, series_size_MB; export"),
        (",".join(rows[0]) + "\n", "lists no CT series"),
    ):
        path.write_text(content)
        with pytest.raises(DataError, match=words):
            lidc_ct.read_index(path)


def test_an_index_whose_rows_are_of_another_length_names_the_row(rows, tmp_path):
    path = tmp_path / "bad.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    header, *lines = path.read_text().splitlines()
    for text, row in (("\n".join([header, *(f"{line}," for line in lines)]), 2), (f"{header}\n{lines[0]}\n1,2", 3)):
        path.write_text(text)
        with pytest.raises(DataError, match=rf"bad\.csv: row {row} has \d+ fields where the header has {len(rows[0])}"):
            lidc_ct.read_index(path)


# ------------------------------------------------------------------------------------------------------------ download


def test_each_series_comes_whole_and_once(store, download, objects, tmp_path):
    folders = download(connections=3)
    assert [folder.name for folder in folders] == [uid(patient) for patient in PATIENTS]
    for folder, patient in zip(folders, PATIENTS, strict=True):
        found = {f"{UUIDS[patient]}/{path.name}": path.read_bytes() for path in folder.iterdir()}
        assert found == {key: body for key, body in objects.items() if key.startswith(UUIDS[patient])}
    assert len(store.fetched) == 3 * N
    del store.requests[:]
    assert download() == folders
    assert store.requests == [], "what is complete needs no network"


def test_more_series_later(store, download, index, tmp_path):
    download(n=1)
    assert len(store.fetched) == N
    series = lidc_ct.read_index(index)
    assert lidc_ct.missing(series, tmp_path / "files") == series[1:]
    download()
    assert len(store.fetched) == 3 * N


def test_an_interrupted_run_goes_on(store, download, tmp_path):
    store.faults = {"0005-aa.dcm": [404]}
    with pytest.raises(DataError, match=r"0005-aa\.dcm: the server answers 404"):
        download(n=1, connections=1)
    there = len(list((tmp_path / "files").rglob("*.dcm")))
    assert there >= 5
    assert list((tmp_path / "files").glob("*.json")) == []
    del store.requests[:]
    download(n=1)
    assert len(store.fetched) == N - there


def test_passing_failures_are_retried(store, download):
    store.faults = {"0005-aa.dcm": [503, 500], "list": [503, 429]}
    assert len(list(download(n=1)[0].iterdir())) == N


def test_a_store_that_keeps_failing_is_given_up(store, download):
    store.faults = {"list": [503] * 3}
    with pytest.raises(DataError, match=r"list-type=2.*: the server answers 503 .*; given up after 3 attempts"):
        download(retries=2)
    store.faults = {"list": [403]}
    with pytest.raises(DataError, match="the server answers 403"):
        download()


def test_a_damaged_file_is_noticed_and_fetched_again(store, download, tmp_path):
    store.faults = {"0005-aa.dcm": ["corrupt"]}
    with pytest.raises(DataError, match=r"0005-aa\.dcm\.part has the md5"):
        download(n=1)
    (folder,) = download(n=1)
    (folder / "0003-aa.dcm").write_bytes(b"cut off")
    del store.requests[:]
    download(n=1)
    assert [path.rpartition("/")[2] for path in store.fetched] == ["0003-aa.dcm"]


def test_an_etag_of_several_parts_is_no_checksum(store, download):
    store.etag = '"d41d8cd98f00b204e9800998ecf8427e-2"'
    assert len(list(download(n=1)[0].iterdir())) == N


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"<html>a portal</html", "the answer is no list of files"),
        (b"<a><Contents><Size>1</Size></Contents></a>", r"the answer is no list of files \('Key'\)"),
        (b"<a><Contents><Key>%s/x.dcm</Key><Size>-</Size></Contents></a>", "the answer is no list of files"),
        (b"<a><Contents><Key>%s/../x</Key><Size>1</Size></Contents></a>", "which is none of the series"),
        (b"<a><Contents><Key>%s/..</Key><Size>1</Size></Contents></a>", "which is none of the series"),
        (b"<a><Contents><Key>other/x.dcm</Key><Size>1</Size></Contents></a>", "which is none of the series"),
        (b"<a></a>", "the store lists 0 files and the index says 14; export the index anew"),
    ],
)
def test_a_list_that_is_none(store, download, answer, words, tmp_path):
    store.faults = {"list": [answer.replace(b"%s", UUIDS[PATIENTS[0]].encode())]}
    with pytest.raises(DataError, match=words):
        download(n=1)
    assert store.fetched == []


def test_a_list_without_an_end_is_left(store, download):
    content = b"<Contents><Key>%s/x.dcm</Key><Size>1</Size></Contents>" % UUIDS[PATIENTS[0]].encode()
    pages = [b"<a>%s<NextContinuationToken>%d</NextContinuationToken></a>" % (content, page) for page in range(100)]
    store.faults = {"list": pages}
    with pytest.raises(DataError, match=r"the store lists \d+ files and the index says 14; export the index anew"):
        download(n=1)
    assert len(store.faults["list"]) > 80


def test_a_disk_that_is_too_small_is_told_before(store, rows, tmp_path):
    pd.DataFrame([rows[0] | {"series_size_MB": 1e12}]).to_csv(tmp_path / "huge.csv", index=False)
    with pytest.raises(DataError, match=r"files: 1000000000\.0 GB are needed and [\d.]+ GB free; choose fewer series"):
        lidc_ct.download(lidc_ct.read_index(tmp_path / "huge.csv"), tmp_path / "files", mirror=store.url)
    assert store.requests == []


def test_without_a_connection_nothing_comes(download):
    with pytest.raises(DataError, match="connections must be at least 1, not 0"):
        download(connections=0)


# -------------------------------------------------------------------------------------------- packing, and the command


def test_packed_as_schoen_et_al_did(download, objects, tmp_path):
    images = lidc_ct.pack(download(), tmp_path / "set", workers=1, progress=False)
    assert images.images.shape == (3 * N, 1, 128, 128)
    assert images.value_range == (-1000, 2000)
    card = images.card
    assert (card.name, card.source, card.licence) == ("LIDC-IDRI", "LIDC-IDRI", "CC BY 3.0")
    assert "Armato" in card.citation
    table = images.table
    assert sorted(set(table["patient_id"])) == list(PATIENTS)
    assert set(table["kernel"]) == {"STANDARD"}
    np.testing.assert_allclose(table["height"], np.tile((np.arange(N) - LOW) / (HIGH - LOW), 3))


def test_archives_and_a_series_with_a_gap(objects, tmp_path):
    (tmp_path / "zips").mkdir()
    for patient in PATIENTS:
        with zipfile.ZipFile(tmp_path / "zips" / f"{patient}.zip", "w") as archive:
            for key, body in objects.items():
                if key.startswith(UUIDS[patient]) and not (patient == PATIENTS[1] and "0007" in key):
                    archive.writestr(key.rpartition("/")[2], body)
            archive.writestr("LICENSE", "CC BY 3.0")
    images = lidc_ct.pack(tmp_path / "zips", tmp_path / "set", 32, workers=1, progress=False)
    assert set(images.table["patient_id"]) == {PATIENTS[0], PATIENTS[2]}
    assert images.card.attributes["left_out"] == {"file that is no CT image": 3, "series that is no volume": 1}


@pytest.fixture(scope="module")
def script():
    return lambda *arguments: obtain.script("lidc", [str(a) for a in arguments])


def test_the_command_says_what_it_takes_downloads_packs_and_then_does_nothing(script, capsys, store, index, tmp_path):
    out = tmp_path / "lidc_ct"
    command = ("--out", out, "--index", index, "--mirror", store.url, "--size", 32, "--workers", 1)
    assert script(*command, "--series", 2, "--dry-run") == 0
    said = capsys.readouterr().out
    assert re.match(rf"2 series of 2 patients, {2 * N} files, 0\.\d\d GB; to be downloaded into .*-downloads: 2", said)
    assert "CC BY 3.0" in said
    assert "Armato" in said
    assert store.requests == []
    assert sorted(p.name for p in tmp_path.iterdir()) == ["lidc.csv"]

    assert script(*command, "--series", 2) == 0
    said = capsys.readouterr().out
    assert "series: 2, of patients: 2; those in which both ends of the lungs are seen: 2, of patients: 2" in said
    assert len(ImageSet.load(out)) == 2 * N
    assert (tmp_path / "lidc_ct-downloads" / uid(PATIENTS[0])).is_dir()

    del store.requests[:]
    assert script(*command) == 0
    said = capsys.readouterr().out
    assert "is packed already" in said
    assert "1 of the 3 series asked for are not in it" in said
    assert store.requests == []


def test_the_command_on_files(script, capsys, download, tmp_path):
    download(n=1)
    assert script("--out", tmp_path / "set", "--from", tmp_path / "files", "--workers", 1) == 0
    said = capsys.readouterr().out
    assert "series: 1, of patients: 1" in said
    assert f"left out: 1 × file that is no CT image ({uid(PATIENTS[0])}.json)" in said
    assert script("--out", tmp_path / "set", "--from", tmp_path / "files", "--size", 64) == 1
    assert "an image set of LIDC-IDRI with size 128, not of LIDC-IDRI with size 64" in capsys.readouterr().err
    assert script("--out", tmp_path / "other", "--from", tmp_path / "nowhere") == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_the_source_by_its_name(download, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
    command = f"run `python -m medlatent data lidc --index lidc.csv --out {tmp_path}/lidc_ct`"
    with pytest.raises(DataError, match=re.escape(command)):
        open_images("lidc_ct")
    lidc_ct.pack(download(n=1), tmp_path / "lidc_ct", workers=1, progress=False)
    assert open_images("lidc_ct.64").images.shape == (N, 1, 64, 64)


@pytest.mark.real_data
def test_the_real_index(tmp_path):

    raw = Path(os.environ.get("MEDLATENT_RAW", "")) / "lidc" / "lidc_ct_series_idc.csv"
    if "MEDLATENT_RAW" not in os.environ or not raw.is_file():
        pytest.skip("$MEDLATENT_RAW holds no lidc/lidc_ct_series_idc.csv")
    series = lidc_ct.read_index(raw)
    assert len(series) == 1018
    assert len({one.patient_id for one in series}) == 1010
    assert sum(one.files for one in series) == 243_958
    assert sum(one.size for one in series) == pytest.approx(128.4e9, rel=1e-3)
