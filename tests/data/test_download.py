"""Downloads against a local server that misbehaves on request; archives that should not be opened."""

import gzip
import hashlib
import http.server
import io
import threading
import zipfile
from contextlib import contextmanager, suppress
from itertools import chain, repeat
from types import SimpleNamespace

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from medlatent.data import DataError
from medlatent.data import download as download_module
from medlatent.data.download import extract, fetch, open_zip, read_member
from medlatent.data.download import get as get_content
from medlatent.files import Claimed, claim

BODY = hashlib.shake_256(b"a file worth resuming").digest(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()
MD5 = hashlib.md5(BODY).hexdigest()
ZIPPED = gzip.compress(BODY)


class Server(http.server.ThreadingHTTPServer):
    """Serves ``body`` at every address; each request takes the next of ``faults``, and is answered well without.

    A fault of bytes is the whole answer; an iterator gives it piece by piece.
    """

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
        if fault is not None and not isinstance(fault, str):
            self.close_connection = True
            with suppress(ConnectionError):
                for piece in [fault] if isinstance(fault, bytes) else fault:
                    self.wfile.write(piece)
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


@pytest.fixture
def part(tmp_path):
    """Writes what an interrupted run has left, and what it knew of the file on the server."""

    def part(content, known=None):
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "file.zip.part").write_bytes(content)
        if known is not None:
            (tmp_path / "deep" / "file.zip.part.tag").write_text(known, encoding="latin-1")

    return part


@pytest.mark.parametrize("published", [{"md5": MD5}, {"sha256": SHA256}])
def test_a_complete_part_needs_no_request(server, get, part, published):
    part(BODY)
    assert get(size=len(BODY), **published).read_bytes() == BODY
    assert server.requests == []


@pytest.mark.parametrize("published", [{}, {"md5": MD5}])
@pytest.mark.parametrize("stale", [BODY[::-1], BODY * 2])
def test_the_published_size_does_not_make_a_part_the_file(server, get, part, published, stale):
    part(stale, '"1"')
    assert get(size=len(BODY), **published).read_bytes() == BODY
    assert [request.get("Range") for request in server.requests] == [None]


@pytest.mark.parametrize("known", ["", '"1', "1", '"1"\r\nX: y', 'W/"1"', "Friday", '"a b"'])
def test_what_a_server_cannot_be_asked_with_starts_again(server, get, part, known):
    part(BODY[:1000], known)
    assert get(sha256=SHA256).read_bytes() == BODY
    assert [request.get("If-Range") for request in server.requests] == [None]


@pytest.mark.parametrize("known", ['"1"', '"é"', "Fri, 27 Nov 2026 20:00:00 GMT"])
def test_what_names_a_version_is_sent_back_as_it_came(server, get, part, known):
    server.etag = known.encode().decode("latin-1")
    part(BODY[:1000], server.etag)
    assert get(sha256=SHA256).read_bytes() == BODY
    assert [request["If-Range"] for request in server.requests] == [server.etag]


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


# ------------------------------------------------------------------------------------------- answers that are amiss


def answer(status, *headers, body=b""):
    """A whole answer as it goes over the line."""
    return "\r\n".join([f"HTTP/1.1 {status}", *headers, "Connection: close", "", ""]).encode("latin-1") + body


def part_of(first, last, total=300_000, etag='"1"', body=None):
    body = BODY[first : last + 1] if body is None else body
    length = f"Content-Length: {len(body)}"
    return answer("206 Part", f"Content-Range: bytes {first}-{last}/{total}", length, f"ETag: {etag}", body=body)


def test_a_shorter_range_is_not_the_whole(server, get):
    """Neither where a range was asked for, nor where none was."""
    server.faults = [part_of(0, 9_999), part_of(10_000, 99_999), part_of(100_000, 199_999)]
    assert get().read_bytes() == BODY
    assert [r.get("Range") for r in server.requests] == [None, "bytes=10000-", "bytes=100000-", "bytes=200000-"]


@pytest.mark.parametrize(
    "amiss",
    [
        part_of(1, 299_999),
        part_of(999, 299_999),
        part_of(1000, 299_999, total=299_999),
        part_of(1000, 999, body=b""),
        part_of(1000, 299_999, total="*"),
        part_of(1000, 299_999, etag='"2"', body=bytes(299_000)),
        answer("206 Part", f"Content-Length: {len(BODY)}", body=BODY),
        answer("206 Part", "Content-Range: none", f"Content-Length: {len(BODY)}", body=BODY),
        answer("416 No", "Content-Range: bytes */1000"),
        answer("206 Part", "Content-Range: bytes 1000-299999/300000", "Content-Encoding: gzip", body=ZIPPED),
    ],
)
def test_another_part_than_was_asked_for_is_not_appended(server, get, part, amiss):
    part(BODY[:1000], '"1"')
    server.faults = [amiss]
    assert get().read_bytes() == BODY
    assert [r.get("Range") for r in server.requests] == ["bytes=1000-", None]


@pytest.mark.parametrize("length", ["abc", "-5", "1e3", "", "٣", "1" * 30, "5, 7"])
def test_a_length_that_is_none_is_named(server, get, length, tmp_path):
    server.faults = [
        answer("200 OK", 'ETag: "1"', body=b"")[:-4] + f"\r\nContent-Length: {length}\r\n\r\n".encode()
    ] * 2
    with pytest.raises(
        DataError, match=r"file\.zip: the server.*(length '.*', which is no|unmatching values).*; given up"
    ):
        get(retries=1)
    assert get().read_bytes() == BODY
    assert left(tmp_path) == ["file.zip"]


CHUNKED = "Transfer-Encoding: chunked"


def chunks(*pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)


def test_pieces_need_no_length(server, get):
    server.faults = [answer("200 OK", CHUNKED, "Content-Length: 5", body=chunks(BODY[:1000], BODY[1000:], b""))]
    assert get().read_bytes() == BODY


@pytest.mark.parametrize(
    "cut",
    [chunks(BODY), chunks(BODY)[:-7], chunks(BODY) + b"5\r\nab", b"zz\r\n", b"-3\r\nabc", b"f" * 20 + b"\r\nabc", b""],
)
def test_pieces_that_are_cut_short_are_asked_for_again(server, get, cut):
    server.faults = [answer("200 OK", CHUNKED, body=cut)]
    assert get().read_bytes() == BODY
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    "unsure",
    [
        answer("200 OK", body=BODY[:1000]),
        answer("200 OK", "Content-Encoding: gzip", "Content-Length: 1000", body=ZIPPED[:1000]),
        answer("200 OK", "Content-Encoding: gzip", CHUNKED, body=chunks(ZIPPED[:1000], b"")),
        answer("200 OK", "Content-Encoding: deflate", "Content-Length: 1000", body=ZIPPED[10:1010]),
    ],
)
def test_what_could_be_cut_off_unnoticed_is_refused_unless_something_is_published(server, get, unsure, tmp_path):
    server.faults = [unsure]
    with pytest.raises(DataError, match=r"file\.zip: the server does not say how long the file is"):
        get()
    assert left(tmp_path) == []
    for published in ({"size": len(BODY)}, {"md5": MD5}, {"sha256": SHA256}):
        server.faults = [unsure]
        with pytest.raises(DataError, match="published; the download was deleted"):
            get(**published, retries=0)
        assert left(tmp_path) == []


def endless(*headers):
    return chain(
        [answer("200 OK", *headers)], repeat(b"%x\r\n%s\r\n" % (1000, bytes(1000)) if headers else bytes(1000))
    )


@pytest.mark.parametrize("published", [{}, {"sha256": SHA256}, {"size": len(BODY)}])
@pytest.mark.parametrize("headers", [(), (CHUNKED,)])
def test_an_answer_that_does_not_end_is_cut_off(server, get, tmp_path, monkeypatch, published, headers):
    if not published and not headers:
        pytest.skip("refused before its first byte")
    monkeypatch.setattr(download_module, "MOST", 500_000)
    server.faults = [endless(*headers)]
    most = published.get("size", 500_000)
    with pytest.raises(DataError, match=rf"file\.zip: the server sends more than {most} bytes, or does not end"):
        get(**published)
    assert left(tmp_path) == []


def test_a_range_that_does_not_end_is_cut_off(server, get, part, tmp_path):
    part(BODY[:1000], '"1"')
    server.faults = [chain([answer("206 Part", "Content-Range: bytes 1000-299999/300000")], repeat(bytes(1000)))]
    with pytest.raises(DataError, match="more than 300000 bytes"):
        get()
    assert left(tmp_path) == []


def test_a_tenth_of_the_disk_is_left_to_others(server, get, monkeypatch):
    monkeypatch.setattr(download_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=200_000))
    server.faults = [endless(CHUNKED)]
    with pytest.raises(DataError, match="more than 180000 bytes, or does not end"):
        get()


@pytest.mark.parametrize("published", [{}, {"size": 10**15}])
def test_more_than_the_disk_has_is_not_begun(server, get, tmp_path, published):
    server.faults = [answer("200 OK", f"Content-Length: {10**15}", body=BODY)]
    with pytest.raises(OSError, match=r"cannot be written: 1000000000000000 bytes are needed, \d+ are free") as caught:
        get(**published)
    assert caught.value.filename == str(tmp_path / "deep" / "file.zip")
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("http://[", "no address that can be fetched, or leads to none"),
        ("http://:80:/", "no address that can be fetched, or leads to none"),
        ("http://127.0.0.1:99999999/", "no address that can be fetched, or leads to none"),
        ("file:///etc/passwd", "no address that can be fetched, or leads to none"),
        ("ftp://127.0.0.1/x", "no address that can be fetched, or leads to none"),
        ("http://127.0.0.1/\xff", "no address that can be fetched, or leads to none"),
        ("http://" + "a" * 70 + ".invalid", "no address that can be fetched, or leads to none"),
        ("/again", "leads from address to address and to no file"),
    ],
)
def test_a_redirect_that_leads_nowhere_is_final(server, get, tmp_path, target, words):
    for call in (get, lambda: get_content(server.url, backoff=0.001)):
        server.faults = [answer("302 Found", f"Location: {target}", "Content-Length: 0")] * 40
        with pytest.raises(DataError, match=rf"^http://127.0.0.1:\d+/file\.zip .*{words}"):
            call()
        assert len(server.faults) >= 9  # asked once, and as often as it led on
    assert left(tmp_path) == []


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0\xff" * 500,
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 100_000,
        answer("200 \xe9\xff", "Content-Encoding: gzip", "Content-Length: 500", body=bytes(500)),
    ],
)
def test_what_is_no_answer_is_asked_for_again(server, get, garbage):
    server.faults = [garbage]
    assert get(md5=MD5).read_bytes() == BODY


@pytest.mark.parametrize("status", ["204 None", "205 Reset", "207 Many", "300 Choose", "304 Same", "451 Ausgeräumt"])
def test_another_status_is_not_the_file(server, get, status, tmp_path):
    for call in (get, lambda: get_content(server.url)):
        server.faults = [answer(status, "Content-Length: 0")]
        with pytest.raises(DataError, match=f"the server answers {status}"):
            call()
    assert left(tmp_path) == []


def test_headers_may_hold_any_byte(server, get, part):
    etag = "\xe9\xff"
    server.faults = [answer("200 OK", f'ETag: "{etag}"', "Content-Length: 300000", "X-\xfc: \x80", body=BODY[:1000])]
    assert get().read_bytes() == BODY
    assert server.requests[1]["If-Range"] == f'"{etag}"'


def test_silence_is_given_up(server, get, monkeypatch):
    monkeypatch.setattr(download_module, "TIMEOUT", (1, 0.1))
    pause = threading.Event()
    server.faults = [
        chain([answer("200 OK", "Content-Length: 9", body=b"1")], iter(lambda: pause.wait(0.5) and b"", b""))
        for _ in range(2)
    ]
    with pytest.raises(DataError, match=r"timed out.* given up after 2 attempts"):
        get(retries=1)


@pytest.mark.parametrize("sent", [ZIPPED, ZIPPED[: len(ZIPPED) // 2]])
def test_a_small_answer_that_is_compressed_unasked_may_be_cut_off(server, sent):
    server.faults = [answer("200 OK", "Content-Encoding: gzip", f"Content-Length: {len(sent)}", body=sent)] * 2
    with pytest.raises(DataError, match="the answer is compressed, which was not asked for"):
        get_content(server.url, retries=1, backoff=0.001)
    assert server.requests[0]["Accept-Encoding"] == "identity"


def test_blanks_around_a_length_are_none_of_it(server, get):
    server.faults = [answer("200 OK", f"Content-Length:  {len(BODY)} ", body=BODY)]
    assert get().read_bytes() == BODY


def test_of_two_that_fetch_one_file_the_second_is_told(server, get, tmp_path):
    path = tmp_path / "deep" / "file.zip"
    with claim(path), pytest.raises(Claimed, match=r"file\.zip is being written by process"):
        get()
    assert not server.requests
    with claim(path):
        path.write_bytes(BODY)
        assert get(sha256=SHA256) == path, "what is there whole needs no claim"
    path.unlink()
    assert get(sha256=SHA256).read_bytes() == BODY
    assert left(tmp_path) == ["file.zip"]


def test_a_small_answer_has_an_end(server, monkeypatch):
    monkeypatch.setattr(download_module, "MOST_IN_MEMORY", 500_000)
    for headers in ((), (CHUNKED,)):
        server.faults = [endless(*headers)]
        with pytest.raises(DataError, match=r"file\.zip: the answer is longer than 500000 bytes, or does not end"):
            get_content(server.url)
    server.faults = [part_of(0, 1000)]
    with pytest.raises(DataError, match="the server answers 206"):
        get_content(server.url)


def one_of(*choices):
    return st.sampled_from(choices)


place = one_of(0, 1, 999, 1000, 150_000, 299_999, 300_000, 300_001)
ANSWERS = st.builds(
    lambda status, content_range, length, coding, transfer, etag, body: answer(
        status, *filter(None, (content_range, length, coding, transfer, etag)), body=body
    ),
    one_of("200 OK", "206 Part", "206 Part", "416 No", "503 Busy", "302 Found", "abc"),
    st.builds(lambda a, b, n: f"Content-Range: bytes {a}-{b}/{n}", place, place, place)
    | one_of(None, "Content-Range: x"),
    place.map(lambda n: f"Content-Length: {n}") | one_of(None, "Content-Length: -1", "Content-Length: x"),
    one_of(None, None, None, "Content-Encoding: gzip", "Content-Encoding: br"),
    one_of(None, None, None, CHUNKED),
    one_of(None, 'ETag: "1"', 'ETag: "1"', 'ETag: "2"', 'ETag: W/"1"', "ETag: x", "Location: http://["),
    st.builds(lambda a, b: BODY[a:b], place, place)
    | one_of(chunks(BODY[:1000]), chunks(BODY, b""), ZIPPED, ZIPPED[:99]),
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(ANSWERS, max_size=4), st.none() | st.builds(lambda n: BODY[:n], place), one_of("1", '"1"', '"2"'))
def test_whatever_a_server_answers_it_is_the_file_or_an_error_in_words(
    server, tmp_path_factory, answers, before, known
):
    """Twice: what the first call leaves must not mislead the second, which is answered well."""
    path = tmp_path_factory.mktemp("any") / "file.zip"
    if before is not None:
        path.with_name("file.zip.part").write_bytes(before)
        path.with_name("file.zip.part.tag").write_text(known)
    server.faults = list(answers)
    with suppress(DataError):
        assert fetch(server.url, path, progress=False, retries=0, backoff=0, sha256=SHA256).read_bytes() == BODY
    server.faults = []
    assert fetch(server.url, path, progress=False, retries=1, backoff=0, size=len(BODY)).read_bytes() == BODY
    assert left(path.parent) == ["file.zip"]


# ---------------------------------------------------------------------------------------------- on the disk


def test_ctrl_c_keeps_what_came_in(server, get, tmp_path, monkeypatch):
    class Interrupted(io.FileIO):
        def write(self, data):
            if self.tell() >= 5000:
                raise KeyboardInterrupt
            return super().write(data)

    with monkeypatch.context() as patch:
        patch.setattr(download_module, "open", Interrupted, raising=False)
        with pytest.raises(KeyboardInterrupt):
            get()
    assert left(tmp_path) == ["file.zip.part", "file.zip.part.tag"]
    assert get().read_bytes() == BODY
    assert server.requests[-1]["Range"] == "bytes=5000-"


def test_a_place_where_no_file_can_be_is_named_before_anything_is_asked(server, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    for place, words in (("file/x", "file is a file, not a folder"), ("folder", "it is a folder")):
        with pytest.raises(OSError, match=f"cannot be written: .*{words}") as caught:
            fetch(server.url, tmp_path / place, progress=False)
        assert caught.value.filename == str(tmp_path / place)
    assert server.requests == []


def test_an_empty_file_is_one(server, get):
    server.body = b""
    assert get(size=0, md5=hashlib.md5(b"").hexdigest()).read_bytes() == b""


def test_a_full_disk_keeps_what_came_in(server, get, tmp_path, monkeypatch):
    class FullDisk(io.FileIO):
        def write(self, data):
            if self.tell() > 0:
                raise OSError(28, "No space left on device")
            return super().write(data[:1000])

    with monkeypatch.context() as patch:
        patch.setattr(download_module, "open", FullDisk, raising=False)
        with pytest.raises(OSError, match=r"cannot be written: No space left .*file\.zip'"):
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
