"""What is printed on consoles that cannot show every character."""

import io
import os
import re
import subprocess
import sys

import pytest

from medlatent.console import spell_out


@pytest.mark.parametrize(
    ("encoding", "errors", "text", "shown"),
    [
        ("cp437", "strict", "auto, cpu, … Schön: 64×64 – α", "auto, cpu, ... Schön: 64x64 - α"),
        ("ascii", "strict", "Schön “β” x² →", 'Schon "?" x2 ->'),
        ("ascii", "surrogateescape", "…", "..."),
        ("utf-8", "strict", "… – β", "… – β"),
    ],
)
def test_what_an_encoding_lacks_is_spelt_in_ascii(encoding, errors, text, shown, monkeypatch):
    printed = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(printed, encoding=encoding, errors=errors))
    spell_out()
    print(text, flush=True)
    assert printed.getvalue().decode(encoding).rstrip() == shown


def test_streams_of_a_notebook_stay_as_they_are(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    monkeypatch.setattr(sys, "stderr", None)  # as where there is no console at all
    spell_out()
    print("…")
    assert stream.getvalue() == "…\n"


# What prints the most; each help is one of test_cli.
COMMANDS = (["--help"], ["list"], ["data"], ["data", "--help"], ["data", "acdc", "--help"], ["train", "--help"])


@pytest.mark.executes
@pytest.mark.parametrize("encoding", ["cp437", "ascii"])
def test_the_command_line_on_such_a_console(encoding, tmp_path):
    """In one process, whose streams are those of such a console from its start."""
    code = f"""
import sys
from medlatent.__main__ import main
for command in {COMMANDS!r}:
    try:
        status = main(command)
    except SystemExit as ended:
        status = ended.code
    if status:
        sys.exit(status)
"""
    env = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    shown = done.stdout.decode(encoding)
    assert "auto, cpu, cuda, ..." in re.sub(r"\s+", " ", shown)
    assert done.stdout.count(b"usage: ") == 4
