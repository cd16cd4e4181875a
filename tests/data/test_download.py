"""Downloads against a local server that misbehaves on request; archives that should not be opened."""

import gzip
import hashlib
import http.server
import io
import threading
import zipfile
from contextlib import contextmanager

import pytest
import requests

from medlatent.data import DataError
from medlatent.data import download as download_module
from medlatent.data.download import extract, fetch, open_zip, read_member
from medlatent.data.download import get as get_content

BODY = hashlib.shake_256(b"a file worth resuming").digest(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves ``body`` at every address; each request takes the next of ``faults``, and is answered well without."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.body, self.etag, self.faults, self.requests = BODY, '"1"', [], []
        self.url = f"http://127.0.0.1:{self.server_port}/file.zip"


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(dict(self.headers))
        fault = server.faults.pop(0) if server.faults else None
        body, start = server.body, 0
        if isinstance(fault, int):
            self.send_error(fault)
            return
        asked = self.headers.get("Range")
        if asked and fault != "no ranges" and self.headers.get("If-Range") == server.etag:
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                self.send_error(416)
                return
            self.send_response(206)
            shown = 0 if fault == "another range" else start
            self.send_header("Content-Range", f"bytes {shown}-{len(body) - 1}/{len(body)}")
            body = body[shown:]
        else:
            self.send_response(200)
        if fault == "gzip":
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        if fault == "corrupt":
            body = b"\0" * 100 + body[100:]
        promised = len(body)
        if fault == "drop":
            body = body[: 2 * len(body) // 3]
        if fault == "drop at once":
            body = b""
        if fault == "length too small":
            promised = 1000
        if fault == "length too large":
            promised += 1000
        if server.etag:
            self.send_header("ETag", server.etag)
        if fault != "no length":
            self.send_header("Content-Length", str(promised))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server():
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def get(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download_module, "CHUNK", 1000)

    def get(**options):
        return fetch(server.url, tmp_path / "deep" / "file.zip", progress=False, backoff=0.001, **options)

    return get


def left(tmp_path):
    return sorted(p.name for p in tmp_path.rglob("*") if p.is_file())


@pytest.mark.parametrize("published", [{}, {"size": len(BODY)}, {"md5": MD5}, {"sha256": SHA256.upper()}])
def test_a_file_arrives_and_a_second_call_does_nothing(server, get, tmp_path, published):
    path = get(**published)
    assert path.read_bytes() == BODY
    get(**published)
    assert len(server.requests) == 1
    assert left(tmp_path) == ["file.zip"]


def test_a_damaged_file_on_disk_is_fetched_again(server, get):
    get(md5=MD5).write_bytes(b"something else")
    assert get(md5=MD5).read_bytes() == BODY
    assert len(server.requests) == 2


def test_dropped_connections_are_resumed_where_they_stopped(server, get, tmp_path):
    server.faults = ["drop", "drop"]
    assert get(sha256=SHA256).read_bytes() == BODY
    assert [r.get("Range") for r in server.requests] == [None, "bytes=200000-", "bytes=266000-"]
    assert left(tmp_path) == ["file.zip"]


def test_an_interrupted_run_is_resumed_by_the_next(server, get, tmp_path):
    server.faults = ["drop", "drop at once"]
    with pytest.raises(DataError, match=r"file.zip: .* given up after 1 attempts, run again to resume"):
        get(retries=0)
    assert left(tmp_path) == ["file.zip.part", "file.zip.part.tag"]
    assert get().read_bytes() == BODY
    assert server.requests[-1]["Range"] == "bytes=200000-"


def test_a_file_that_changed_meanwhile_starts_again(server, get):
    server.faults = ["drop", "drop at once"]
    with pytest.raises(DataError):
        get(retries=0)
    server.body, server.etag = BODY[::-1], '"2"'
    assert get().read_bytes() == BODY[::-1]


@pytest.mark.parametrize("etag", [None, 'W/"1"'])
def test_without_a_strong_validator_nothing_is_resumed(server, get, etag):
    server.etag, server.faults = etag, ["drop"]
    assert get().read_bytes() == BODY
    assert "Range" not in server.requests[1]


@pytest.mark.parametrize("fault", ["no ranges", "another range"])
def test_a_server_that_ignores_or_mistakes_ranges_is_restarted(server, get, fault):
    server.faults = ["drop", fault]
    assert get(sha256=SHA256).read_bytes() == BODY


def test_416_discards_the_interrupted_download(server, get):
    server.faults = ["drop", 416]
    assert get(sha256=SHA256).read_bytes() == BODY
    assert "Range" not in server.requests[2]


def test_a_complete_part_needs_no_request(server, get, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file.zip.part").write_bytes(BODY)
    assert get(size=len(BODY), md5=MD5).read_bytes() == BODY
    assert server.requests == []


@pytest.mark.parametrize("fault", [500, 503, 429, "drop at once", "length too large"])
def test_passing_failures_are_retried(server, get, fault):
    server.faults = [fault, fault]
    assert get(sha256=SHA256).read_bytes() == BODY


def test_a_server_that_keeps_failing_is_given_up(server, get, tmp_path):
    server.faults = [503] * 10
    with pytest.raises(DataError, match=r"503 .*given up after 3 attempts"):
        get(retries=2)
    assert len(server.requests) == 3
    assert left(tmp_path) == []


def test_a_slow_but_steady_transfer_is_not_given_up(server, get):
    server.faults = ["drop"] * 6
    assert get(retries=1, sha256=SHA256).read_bytes() == BODY


def test_a_server_without_ranges_that_always_drops_is_given_up(server, get):
    server.etag, server.faults = None, ["drop"] * 20
    with pytest.raises(DataError, match="connection"):
        get(retries=3)
    assert len(server.requests) == 5


@pytest.mark.parametrize("code", [403, 404])
def test_a_refusal_is_final_and_names_the_address(server, get, code, tmp_path):
    server.faults = [code] * 5
    with pytest.raises(DataError, match=rf"http://127.0.0.1:\d+/file.zip: the server answers {code}"):
        get()
    assert len(server.requests) == 1
    assert left(tmp_path) == []


@pytest.mark.parametrize("published", [{"md5": MD5}, {"sha256": SHA256}])
def test_corrupt_bytes_are_deleted(server, get, tmp_path, published):
    server.faults = ["corrupt"]
    with pytest.raises(DataError, match=f"file.zip.part has the {next(iter(published))} "):
        get(**published)
    assert left(tmp_path) == []
    assert get(**published).read_bytes() == BODY


def test_a_wrong_length_is_noticed_where_the_size_is_published(server, get):
    server.faults = ["length too small"] * 3
    with pytest.raises(DataError, match="offers 1000 bytes, 300000 were published"):
        get(size=len(BODY), retries=2)


def test_a_body_without_a_length_is_verified(server, get):
    server.faults = ["no length"]
    assert get(size=len(BODY)).read_bytes() == BODY


def test_compressed_transfer_does_not_confuse_the_length(server, get):
    server.faults = ["gzip"]
    assert get(size=len(BODY), sha256=SHA256).read_bytes() == BODY
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_a_full_disk_keeps_what_came_in(server, get, tmp_path, monkeypatch):
    class FullDisk(io.FileIO):
        def write(self, data):
            if self.tell() > 0:
                raise OSError(28, "No space left on device")
            return super().write(data[:1000])

    with monkeypatch.context() as patch:
        patch.setattr(download_module, "open", FullDisk, raising=False)
        with pytest.raises(OSError, match="No space left"):
            get()
    assert left(tmp_path) == ["file.zip.part", "file.zip.part.tag"]
    assert get(sha256=SHA256).read_bytes() == BODY
    assert server.requests[-1]["Range"] == "bytes=1000-"


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://127.0.0.1/x"])
def test_an_address_that_is_none_is_refused(tmp_path, url):
    with pytest.raises(DataError, match="no address that can be fetched"):
        fetch(url, tmp_path / "x", progress=False)
    with pytest.raises(DataError, match="no address that can be fetched"):
        get_content(url)


def test_a_small_answer(server):
    server.faults = [503, "drop", 429]
    assert get_content(server.url, backoff=0.001) == BODY
    server.faults = [500] * 3
    with pytest.raises(DataError, match=r"file\.zip: the server answers 500 .*; given up after 3 attempts"):
        get_content(server.url, backoff=0.001, retries=2)
    server.faults = [404]
    with pytest.raises(DataError, match="the server answers 404"):
        get_content(server.url)


def test_one_session_for_many_files(server, tmp_path):
    class Counting(requests.Session):
        asked = 0

        def get(self, *args, **options):
            self.asked += 1
            return super().get(*args, **options)

    with Counting() as session:
        fetch(server.url, tmp_path / "a", progress=False, session=session, md5=MD5)
        assert get_content(server.url, session=session) == BODY
    assert session.asked == 2


# --------------------------------------------------------------------------------------------------------- archives


def write_zip(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


@contextmanager
def refused(tmp_path, path, match):
    """Both ways into an archive refuse it, and unpacking leaves nothing behind."""
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError, match=match) as caught:
        extract(path, tmp_path / "unpacked")
    assert str(path) in str(caught.value)
    yield
    assert sorted(tmp_path.rglob("*")) == before


def test_an_archive_is_unpacked(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("a.txt", b"1"), ("folder/b.txt", b"2")])
    extract(path, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "folder" / "b.txt").read_bytes() == b"2"
    with pytest.raises(DataError, match="unpacked exists"):
        extract(path, tmp_path / "unpacked")
    with open_zip(path) as archive:
        assert read_member(archive, "a.txt") == b"1"


@pytest.mark.parametrize("name", ["../out.txt", "a/../../out.txt", "/etc/out.txt", "..\\out.txt", "C:\\out.txt"])
def test_no_path_leaves_the_folder(tmp_path, name):
    path = write_zip(tmp_path / "a.zip", [("fine.txt", b"1"), (name, b"2")])
    with refused(tmp_path, path, "leads out of the archive's folder"), pytest.raises(DataError), open_zip(path):
        pass


def test_links_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    path = write_zip(tmp_path / "a.zip", [(link, b"/etc/passwd")])
    with refused(tmp_path, path, "symbolic link"), pytest.raises(DataError), open_zip(path):
        pass


def test_encrypted_members_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("a.txt", b"1")])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with refused(tmp_path, path, "encrypted"), pytest.raises(DataError), open_zip(path):
        pass


def test_bombs_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("zeros", bytes(5_000_000))], zipfile.ZIP_DEFLATED)
    with refused(tmp_path, path, r"would unpack to \d+ times its size, more than the 200"):
        pass
    with pytest.raises(DataError, match="5000000 bytes, more than the 4000000"), open_zip(path, max_bytes=4_000_000):
        pass
    with open_zip(path, max_ratio=2000) as archive:
        assert len(read_member(archive, "zeros")) == 5_000_000


def test_a_member_larger_than_declared_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("zeros", bytes(100_000))], zipfile.ZIP_DEFLATED)
    content = path.read_bytes().replace((100_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(content)
    with refused(tmp_path, path, "zeros is damaged"):
        pass


@pytest.mark.parametrize("keep", [0, 10, 150, -1])
def test_truncated_archives_are_refused(tmp_path, keep):
    path = write_zip(tmp_path / "a.zip", [("a.txt", b"1" * 100), ("b.txt", b"2" * 100)])
    path.write_bytes(path.read_bytes()[:keep])
    with refused(tmp_path, path, "is no zip archive, or is cut off"):
        pass


def test_corrupt_members_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", [("a.txt", b"1" * 100), ("b.txt", b"2" * 100)])
    path.write_bytes(path.read_bytes().replace(b"2" * 100, b"2" * 99 + b"3"))
    with refused(tmp_path, path, "b.txt is damaged"), open_zip(path) as archive:
        assert read_member(archive, "a.txt") == b"1" * 100
        with pytest.raises(DataError, match=r"b\.txt is damaged"):
            read_member(archive, "b.txt")


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none.zip: no such file"), open_zip(tmp_path / "none.zip"):
        pass
