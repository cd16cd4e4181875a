"""``make serve``: the built book at an address of this machine, or why not there."""

import shutil
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest
import serve
from common import BuildError


@pytest.fixture
def busy():
    """A port at which something else answers."""
    with socket.socket() as other:
        other.bind((serve.HOST, 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def pages(tmp_path):
    (tmp_path / "index.html").write_text("the book")
    return tmp_path


def test_the_pages_are_served_to_this_machine_alone(pages):
    with serve.server(0, pages) as serving:
        assert serving.server_address[0] == "127.0.0.1"
        threading.Thread(target=serving.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{serving.server_port}/") as page:
            assert page.read() == b"the book"
        serving.shutdown()


@pytest.mark.parametrize("more", [[], ["--check"]])
def test_a_busy_port_is_named_and_another_one_offered(more, busy, pages):
    other = busy + 1 if serve.PORT <= busy < serve.LAST else serve.PORT
    with pytest.raises(BuildError, match=rf"^port {busy} of 127\.0\.0\.1 is in use.*: make serve PORT={other}$"):
        serve.main([str(busy), *more], pages)


def test_the_next_port_is_offered(monkeypatch, pages):
    def taken(*arguments):
        raise OSError(serve.errno.EADDRINUSE, "Address already in use")

    monkeypatch.setattr(serve, "ThreadingHTTPServer", taken)
    for port, other in ((8000, 8001), (8001, 8002), (80, 8000), (65535, 8000)):
        with pytest.raises(BuildError, match=rf"port {port} of .*: make serve PORT={other}$"):
            serve.server(port, pages)


@pytest.mark.parametrize("port", [65536, -1])
def test_a_port_that_there_is_not(port, pages):
    with pytest.raises(BuildError, match=rf"there is no port {port}, the last is 65535: make serve PORT=8000"):
        serve.server(port, pages)


def test_a_free_port_is_checked_in_silence_before_there_is_a_book(tmp_path, capsys):
    serve.main(["0", "--check"], tmp_path)
    assert capsys.readouterr() == ("", "")
    with pytest.raises(BuildError, match="holds no book: make book"):
        serve.main(["0"], tmp_path)


def test_an_interrupt_ends_it_without_a_traceback(pages, monkeypatch, capsys):
    def interrupted(self):
        raise KeyboardInterrupt

    monkeypatch.setattr(serve.ThreadingHTTPServer, "serve_forever", interrupted)
    serve.main(["0"], pages)
    assert "the book: http://127.0.0.1:" in capsys.readouterr().out


@pytest.mark.executes
def test_the_command_says_it_on_one_line(root, busy):
    command = [sys.executable, root / "book/serve.py", str(busy), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith(f"port {busy} of 127.0.0.1 is in use")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_asks_for_the_port_before_it_builds(root):
    done = subprocess.run(["make", "-n", "-C", root, "serve", "PORT=8765"], capture_output=True, text=True, check=True)
    steps = [line for line in done.stdout.splitlines() if "book/serve.py" in line or "book/build.py" in line]
    assert len(steps) == 3
    assert steps[0].endswith("book/serve.py 8765 --check")
    assert "book/build.py" in steps[1]
    assert steps[2].endswith("book/serve.py 8765")
