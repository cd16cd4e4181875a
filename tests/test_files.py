"""Files are written whole or not at all, and say what they are."""

import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import medlatent.files.tensors
from medlatent.files import (
    Claimed,
    check_name,
    check_saveable,
    check_writable,
    claim,
    is_name,
    is_there,
    plain,
    read_json,
    read_tensors,
    recover,
    replacing,
    replacing_together,
    save_tensors,
    write_json,
)
from medlatent.files.one import HOST
from medlatent.files.tensors import SAVEABLE


def names(folder):
    return sorted(p.name for p in folder.iterdir())


class TestReplacing:
    def test_the_new_file_takes_the_place_of_the_old(self, tmp_path):
        path = tmp_path / "deep" / "file.txt"
        with replacing(path) as temporary:
            assert temporary.parent == path.parent  # the same file system, so that renaming is atomic
            temporary.write_text("first")
            assert not path.exists()
        with replacing(path) as temporary:
            temporary.write_text("second")
            assert path.read_text() == "first"
        assert path.read_text() == "second"
        assert names(path.parent) == ["file.txt"]
        assert path.stat().st_mode & 0o777 == 0o644

    @pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
    def test_a_failure_leaves_the_old_file_and_nothing_else(self, tmp_path, error):
        path = tmp_path / "file.txt"
        path.write_text("old")

        def fail():
            with replacing(path) as temporary:
                temporary.write_text("half")
                raise error

        with pytest.raises(type(error)):
            fail()
        assert path.read_text() == "old"
        assert names(tmp_path) == ["file.txt"]

    def test_a_failure_without_an_old_file_leaves_nothing(self, tmp_path):
        def fail():
            with replacing(tmp_path / "new.txt") as temporary:
                temporary.write_text("half")
                raise OSError

        with pytest.raises(OSError):  # noqa: PT011
            fail()
        assert names(tmp_path) == []

    def test_a_folder_in_the_way_stays(self, tmp_path):
        (tmp_path / "file").mkdir()
        (tmp_path / "file" / "inside").write_text("kept")

        def write():
            with replacing(tmp_path / "file") as temporary:
                temporary.write_text("new")

        with pytest.raises(OSError, match="file"):
            write()
        assert names(tmp_path) == ["file"]
        assert (tmp_path / "file" / "inside").read_text() == "kept"


class TestWhatTheDeadLeft:
    """Files of one name are written again and again: what a kill left half written goes with the next writing."""

    @pytest.mark.parametrize(
        "write", [lambda path: save_tensors(path, {"w": torch.ones(2)}, "f", 1), check_writable], ids=["save", "check"]
    )
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_is_swept_up_by_the_next_who_writes_there(self, tmp_path, write):
        """Whatever the library had made by then, too, which has names of its own choosing."""

        def die(tensors, name, metadata):
            (name.parent / ".tmpOfTheLibrary").write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)

        def save():
            medlatent.files.tensors.save_file = die
            save_tensors(tmp_path / "c", {"w": torch.ones(2)}, "f", 1)

        assert killed_at(0, save) == signal.SIGKILL
        assert len(names(tmp_path)) == 2
        write(tmp_path / "c")
        assert set(names(tmp_path)) <= {"c"}

    @pytest.mark.parametrize(
        ("name", "stays"),
        [
            (".c.{host}-{dead}-ab_cd.partial", False),
            (".c.{host}-{dead}-abcd.partial", False),  # of earlier versions
            (".c.{host}-{me}-ab_cd.partial", False),  # an earlier process of our number, in a container started again
            (".c.{host}-{other}-ab_cd.partial", True),
            (".c.node7-{dead}-ab_cd.partial", True),
            (".d.{host}-{dead}-ab_cd.partial", True),
            ("c.{host}-{dead}-ab_cd.partial", True),
        ],
    )
    def test_of_another_process_machine_or_file_it_stays(self, tmp_path, name, stays):
        left = tmp_path / name.format(host=HOST, dead=2**22 + 1, me=os.getpid(), other=os.getppid())
        left.mkdir()
        with replacing(tmp_path / "c") as temporary:
            temporary.write_text("new")
        assert left.exists() == stays

    @pytest.mark.parametrize(
        ("owner", "stays"),
        [
            ('{{"host": "{host}", "pid": {dead}, "command": "train", "since": "2026"}}', False),
            ('{{"host": "node7", "pid": {dead}, "command": "train", "since": "2026"}}', True),
            ("", False),  # killed before it could say who it is
        ],
    )
    def test_their_locks_go_with_the_recovery(self, tmp_path, owner, stays):
        lock = tmp_path / ".set.lock"
        lock.write_text(owner.format(host=HOST, dead=2**22 + 1))
        recover(tmp_path, "other")
        assert lock.exists()
        recover(tmp_path, "set")
        assert lock.exists() == stays

    def test_the_locks_of_the_living_stay(self, tmp_path):
        with claim(tmp_path / "set"):
            recover(tmp_path)
            with pytest.raises(Claimed, match=f"process {os.getpid()} "):
                claim(tmp_path / "set").__enter__()

    @pytest.mark.skipif(os.name != "posix", reason="needs locks of POSIX")
    @pytest.mark.parametrize("text", ["", '{{"host": "{host}", "pid": {dead}, "command": "train", "since": "2026"}}'])
    def test_who_holds_a_lock_for_a_moment_is_waited_for(self, tmp_path, text):
        """Whoever removes a dead one's, and whoever has it before its name stands there."""
        import fcntl

        lock = tmp_path / ".set.lock"
        lock.write_text(text.format(host=HOST, dead=2**22 + 1))
        handle = os.open(lock, os.O_RDWR)
        fcntl.flock(handle, fcntl.LOCK_EX)
        threading.Timer(0.01, lambda: (lock.unlink(), os.close(handle))).start()
        with claim(tmp_path / "set"):
            pass
        assert names(tmp_path) == []


class TestTensors:
    TENSORS = {  # noqa: RUF012
        "a": torch.randn(3, 4, 5, 6).contiguous(memory_format=torch.channels_last),
        "b": torch.tensor([float("nan"), float("inf"), -0.0]),
        "c": torch.arange(5, dtype=torch.uint8),
        "d": torch.tensor(7.0),
        "e": torch.randn(4, 4).T,
    }

    def test_round_trip(self, tmp_path):
        path = save_tensors(
            tmp_path / "x.safetensors", self.TENSORS, "a.format", 3, text="µ \"'", nested={"k": [1, None]}
        )
        tensors, header = read_tensors(path, "a.format", 3)
        assert header == {"text": "µ \"'", "nested": {"k": [1, None]}}
        assert tensors.keys() == self.TENSORS.keys()
        for name, value in self.TENSORS.items():
            torch.testing.assert_close(tensors[name], value, rtol=0, atol=0, equal_nan=True)

    @pytest.fixture
    def path(self, tmp_path):
        return save_tensors(tmp_path / "x.safetensors", self.TENSORS, "a.format", 3, key="value")

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors: no such file"):
            read_tensors(tmp_path / "nothing.safetensors", "a.format", 3)
        with pytest.raises(FileNotFoundError, match=str(tmp_path)):
            read_tensors(tmp_path, "a.format", 3)

    @pytest.mark.parametrize("kept", [0, 4, 8, 100, -1])
    def test_truncated(self, path, kept):
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(ValueError, match=r"x\.safetensors is damaged"):
            read_tensors(path, "a.format", 3)

    def test_of_no_known_kind(self, path):
        path.write_bytes(b"\x89PNG and so on" * 100)
        with pytest.raises(ValueError, match=r"x\.safetensors is damaged"):
            read_tensors(path, "a.format", 3)

    def test_another_format(self, path):
        with pytest.raises(ValueError, match=r"x\.safetensors is of the format 'a\.format', expected 'b\.format'"):
            read_tensors(path, "b.format", 3)

    def test_another_version(self, path):
        with pytest.raises(
            ValueError, match=r"x\.safetensors has version 3 of a\.format, this medlatent reads version 4"
        ):
            read_tensors(path, "a.format", 4)

    def test_somebody_else_s_safetensors(self, path):
        save_file({"weight": torch.zeros(3)}, path)
        with pytest.raises(ValueError, match=r"x\.safetensors is of the format None"):
            read_tensors(path, "a.format", 3)

    def test_a_header_that_is_no_json(self, path):
        save_file({"w": torch.zeros(3)}, path, {"format": "a.format", "version": "3", "key": "{half"})
        with pytest.raises(ValueError, match=r"x\.safetensors is damaged: its header is not valid JSON"):
            read_tensors(path, "a.format", 3)

    def test_a_failure_while_writing_leaves_the_old_file(self, path, monkeypatch):
        old = path.read_bytes()

        def full_disk(tensors, name, metadata):
            name.write_bytes(b"half")
            raise OSError("No space left on device")

        monkeypatch.setattr("medlatent.files.tensors.save_file", full_disk)
        with pytest.raises(OSError, match="No space left"):
            save_tensors(path, {"a": torch.ones(2)}, "a.format", 3)
        assert path.read_bytes() == old
        assert names(path.parent) == ["x.safetensors"]

    @pytest.mark.parametrize("value", [{"deep": [1, json]}, {"deep": [1, float("nan")]}, {"deep": [1, {2: 3}]}])
    def test_a_header_that_cannot_be_written_leaves_nothing(self, tmp_path, value):
        with pytest.raises(ValueError, match=r"x\.safetensors cannot be written: key\.deep\[1\]"):
            save_tensors(tmp_path / "x.safetensors", self.TENSORS, "a.format", 3, key=value)
        assert names(tmp_path) == []

    def test_numbers_of_numpy_and_torch_become_python_s(self, tmp_path):
        path = save_tensors(
            tmp_path / "x", {}, "a.format", 3, seed=np.int64(4), rates=(np.float32(0.5), torch.tensor(2))
        )
        assert read_tensors(path, "a.format", 3)[1] == {"seed": 4, "rates": [0.5, 2]}

    def test_every_flipped_bit_is_noticed(self, tmp_path):
        path = save_tensors(tmp_path / "x", {"a": torch.randn(3), "b": torch.tensor(True)}, "f", 1, seed=4, text="é")
        content = path.read_bytes()
        assert read_tensors(path, "f", 1)[1] == {"seed": 4, "text": "é"}
        for i in range(len(content)):
            for bit in range(8):
                path.write_bytes(content[:i] + bytes([content[i] ^ (1 << bit)]) + content[i + 1 :])
                with pytest.raises(ValueError, match=str(path)):
                    read_tensors(path, "f", 1)

    def test_files_without_a_checksum_are_read(self, path):
        save_file({"w": torch.zeros(3)}, path, {"format": "a.format", "version": "3", "key": "1"})
        tensors, header = read_tensors(path, "a.format", 3)
        assert header == {"key": 1}
        assert torch.equal(tensors["w"], torch.zeros(3))

    @pytest.mark.parametrize(
        ("key", "message"),
        [
            ('"text"', "the field 'key' must be dict, got 'text'"),
            ("null", "the field 'key' must be dict, got None"),
            ("[" * 100_000, "its header is nested too deeply"),
            (None, "the field 'key' is missing"),
        ],
    )
    def test_a_header_of_another_structure(self, path, key, message):
        header = {"format": "a.format", "version": "3"} | ({} if key is None else {"key": key})
        save_file({"w": torch.zeros(3)}, path, header)
        with pytest.raises(ValueError, match=rf"x\.safetensors.*{message}"):
            read_tensors(path, "a.format", 3, {"key": dict})

    def test_an_unknown_field_of_the_header(self, path):
        with pytest.raises(ValueError, match=r"x\.safetensors: the field 'key' is unknown"):
            read_tensors(path, "a.format", 3, {})
        assert read_tensors(path, "a.format", 3, {}, {"key": str})[1] == {"key": "value"}

    def test_tensors_that_share_their_memory(self, tmp_path):
        shared = torch.arange(6.0)
        tied = {"a": shared, "b": shared, "part": shared[2:4], "turned": shared.view(2, 3).T}
        tensors, _ = read_tensors(save_tensors(tmp_path / "x", tied, "f", 1), "f", 1)
        assert tensors.keys() == tied.keys()
        for name, value in tied.items():
            assert torch.equal(tensors[name], value)

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (torch.eye(2).to_sparse(), r"w is a torch\.sparse_coo tensor"),
            (torch.zeros(2, dtype=torch.complex128), r"w is of the type torch\.complex128"),
            ("text", "w is a str and cannot be saved"),
        ],
    )
    def test_what_a_file_cannot_hold_is_known_before(self, tmp_path, value, message):
        with pytest.raises(ValueError, match=message):
            check_saveable({"v": torch.zeros(1), "w": value})
        with pytest.raises(ValueError, match=rf"x cannot be written: {message}"):
            save_tensors(tmp_path / "x", {"w": value}, "f", 1)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("dtype", sorted(SAVEABLE, key=str))
    def test_every_type_that_is_called_saveable_is(self, tmp_path, dtype):
        value = torch.tensor([[0, 1], [1, 0]]).to(dtype)
        tensors, _ = read_tensors(save_tensors(tmp_path / "x", {"v": value}, "f", 1), "f", 1)
        assert torch.equal(tensors["v"], value)


class TestWritable:
    @pytest.mark.parametrize("write", [check_writable, lambda path: replacing(path).__enter__()])
    def test_a_file_where_a_folder_should_be(self, tmp_path, write):
        (tmp_path / "file").write_text("x")
        for path in (tmp_path / "file" / "c", tmp_path / "file" / "deep" / "c"):
            with pytest.raises(OSError, match=r"cannot be written: .*file is a file, not a folder") as caught:
                write(path)
            assert caught.value.filename == str(path)
        assert names(tmp_path) == ["file"]

    def test_a_folder_that_refuses(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise PermissionError(13, "Permission denied", "elsewhere")

        monkeypatch.setattr("tempfile.mkstemp", refuse)
        with pytest.raises(PermissionError, match=rf"cannot be written: Permission denied: '{tmp_path}/c'"):
            check_writable(tmp_path / "c")

    def test_a_folder_in_the_place(self, tmp_path):
        with pytest.raises(IsADirectoryError, match=rf"it is a folder: '{tmp_path}'"):
            check_writable(tmp_path)

    def test_nothing_is_left_but_the_parents(self, tmp_path):
        check_writable(tmp_path / "deep" / "deeper" / "file")
        assert names(tmp_path / "deep" / "deeper") == []
        (tmp_path / "old").write_text("old")
        check_writable(tmp_path / "old")
        assert (tmp_path / "old").read_text() == "old"


def before(folder):
    folder.mkdir(exist_ok=True, parents=True)
    for name in ("a", "b", "d"):
        (folder / name).write_text(f"old {name}")
    (folder / "set").mkdir()
    (folder / "set" / "x").write_text("old x")
    (folder / "set" / "y").write_text("old y")


def content(folder):
    """Of all files but the locks of the dead, which the next owner takes over."""
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file() and p.suffix != ".lock"}


OLD = {"a": "old a", "b": "old b", "d": "old d", "set/x": "old x", "set/y": "old y"}
NEW = {"a": "new a", "b": "new b", "c": "new c", "set/x": "new x"}


def change(folder):
    paths = [folder / name for name in ("a", "b", "c", "set")]
    with replacing_together(*paths, remove=[folder / "d"]) as temporaries:
        for path, temporary in zip(paths[:3], temporaries, strict=False):
            temporary.write_text(f"new {path.name}")
        temporaries[3].mkdir()
        (temporaries[3] / "x").write_text("new x")


class TestReplacingTogether:
    def test_all_change(self, tmp_path):
        before(tmp_path)
        change(tmp_path)
        assert content(tmp_path) == NEW
        assert names(tmp_path) == ["a", "b", "c", "set"]
        assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644
        assert (tmp_path / "set").stat().st_mode & 0o777 == 0o755
        assert recover(tmp_path) == []

    @pytest.mark.parametrize("error", [OSError("No space left on device"), KeyboardInterrupt()])
    def test_a_failure_in_the_block_changes_nothing(self, tmp_path, error):
        before(tmp_path)

        def fail():
            with replacing_together(tmp_path / "a", tmp_path / "set", remove=[tmp_path / "d"]) as (a, folder):
                a.write_text("half")
                folder.mkdir()
                (folder / "x").write_text("half")
                raise error

        with pytest.raises(type(error)):
            fail()
        assert content(tmp_path) == OLD

    @pytest.mark.parametrize("name", ["replace", "link", "unlink", "fsync"])
    @pytest.mark.parametrize("error", [OSError("Input/output error"), KeyboardInterrupt()])
    def test_a_failing_step_leaves_all_old_or_all_new(self, tmp_path, monkeypatch, name, error):
        """At the k-th call, for every k until nothing fails any more."""
        function = getattr(os, name)
        for k in itertools.count(1):
            folder = tmp_path / str(k)
            before(folder)
            calls = itertools.count(1)

            def fail(*arguments, calls=calls, k=k, **options):
                if next(calls) == k:
                    raise error
                return function(*arguments, **options)

            with monkeypatch.context() as patch:
                patch.setattr(os, name, fail)
                with suppress(OSError, KeyboardInterrupt):
                    change(folder)
            recover(folder)
            found = content(folder)
            assert found in (OLD, NEW), k
            if next(calls) <= k:
                break
        assert found == NEW
        assert k > {"replace": 6, "link": 2, "unlink": 6, "fsync": 6}[name]

    @pytest.mark.executes
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_killed_anywhere_it_is_all_old_or_all_new_after_recovery(self, tmp_path):
        """kill -9 before the k-th call that touches the disk, for every k until the process gets through."""
        said, status = [], None
        for k in itertools.count(1):
            folder = tmp_path / str(k)
            before(folder)
            status = killed_at(k, lambda folder=folder: change(folder))
            said += recover(folder)
            found = content(folder)
            assert found in (OLD, NEW), k
            assert recover(folder) == []
            change_again = folder / "a"
            with replacing_together(change_again) as (a,):  # no lock of the dead stands in the way
                a.write_text("newer a")
            assert change_again.read_text() == "newer a"
            if status == 0:
                break
            assert status == signal.SIGKILL
        assert found == NEW
        assert any("an interrupted change of a, b, c, set, d was completed" in words for words in said)
        assert any("was left by an interrupted change; removed" in words for words in said)
        assert k > 25

    @pytest.mark.executes
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_killed_anywhere_during_the_recovery_another_one_completes_it(self, tmp_path, middle):
        for k in itertools.count(1):
            folder = tmp_path / str(k)
            before(folder)
            killed_at(middle, lambda folder=folder: change(folder))
            assert content(folder) not in (OLD, NEW)
            status = killed_at(k, lambda folder=folder: recover(folder))
            recover(folder)
            assert content(folder) == NEW
            if status == 0:
                break
        assert k > 8

    def test_the_next_change_completes_what_is_left(self, tmp_path, middle):
        before(tmp_path)
        killed_at(middle, lambda: change(tmp_path))
        with replacing_together(tmp_path / "a") as (a,):
            a.write_text("newer a")
        assert content(tmp_path) == NEW | {"a": "newer a"}

    def test_what_is_lost_is_said(self, tmp_path, middle):
        before(tmp_path)
        killed_at(middle, lambda: change(tmp_path))
        for path in tmp_path.glob(".c.*.partial"):
            path.unlink()
        assert f"{tmp_path}/c: a change was interrupted, and what should have come there is gone" in recover(tmp_path)
        assert recover(tmp_path) == []

    def test_only_what_belongs_to_a_name(self, tmp_path, middle):
        before(tmp_path)
        killed_at(middle, lambda: change(tmp_path))
        assert recover(tmp_path, "b") == []
        assert len(recover(tmp_path, "a")) == 1
        assert content(tmp_path) == NEW

    @pytest.mark.executes
    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    def test_what_came_after_a_kill_is_not_swept_away(self, tmp_path):
        """A file that was to vanish, and did, and was written anew before anybody completed the change."""
        for k in itertools.count(1):
            folder = tmp_path / str(k)
            before(folder)
            status = killed_at(k, lambda folder=folder: change(folder))
            if not (folder / "d").exists():
                (folder / "d").write_text("newer d")
                recover(folder)
                assert content(folder) == NEW | {"d": "newer d"}
            if status == 0:
                break

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_what_is_about_to_be_there_is_there(self, tmp_path, monkeypatch, kind):
        if (child := os.fork()) == 0:
            real, calls = os.replace, iter(range(9))
            os.replace = lambda *names: os._exit(9) if next(calls) == 1 else real(*names)  # the journal is written
            with replacing_together(tmp_path / "a") as (a,):
                a.touch() if kind == "file" else a.mkdir()
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
        assert not (tmp_path / "a").exists()
        monkeypatch.chdir(tmp_path)
        assert is_there("a")
        assert not is_there("b")
        assert {path.name for path in tmp_path.iterdir() if path.suffix != ".lock"} == {"a"}
        assert not is_there(tmp_path / "none/a")

    def test_what_the_living_are_at_is_left_alone(self, tmp_path):
        before(tmp_path)
        with replacing_together(tmp_path / "a") as (a,):
            a.write_text("new a")
            assert recover(tmp_path) == []
        assert (tmp_path / "a").read_text() == "new a"
        (tmp_path / ".a.journal").write_text("{}")
        with claim(tmp_path / ".a.journal"):
            (words,) = recover(tmp_path)
        assert f"process {os.getpid()} on " in words

    @pytest.mark.parametrize("name", ["../evil.partial", "/etc/evil.old", "..", ""])
    @pytest.mark.parametrize("field", ["place", "new", "old"])
    def test_a_journal_moves_nothing_elsewhere(self, tmp_path, name, field):
        step = {"place": "a", "new": ".b.partial", "old": ".c.old", "stamp": [0, 0]} | {field: name}
        journal = write_json(tmp_path / ".a.journal", {"steps": [step]}, "medlatent.journal", 1)
        with pytest.raises(ValueError, match=rf"a\.journal: '{name}' is no name of a file beside it"):
            recover(tmp_path)
        assert journal.exists()

    @pytest.mark.parametrize("text", ["", "[]", '{"format": "medlatent.journal", "version": 1, "steps": [5]}'])
    def test_a_damaged_journal_is_named(self, tmp_path, text):
        (tmp_path / ".a.journal").write_text(text)
        with pytest.raises(ValueError, match=r"a\.journal"):
            recover(tmp_path)

    def test_places_that_do_not_fit_together(self, tmp_path):
        before(tmp_path)

        def write(*places, text="x", **options):
            with replacing_together(*places, **options) as temporaries:
                for path in temporaries:
                    if text:
                        path.write_text(text)

        with pytest.raises(ValueError, match="must lie in one folder"):
            write(tmp_path / "a", tmp_path / "set" / "x")
        with pytest.raises(ValueError, match="a is named twice"):
            write(tmp_path / "a", remove=[tmp_path / "a"])
        with pytest.raises(FileNotFoundError, match="nothing was written that could take its place"):
            write(tmp_path / "a", text=None)
        with pytest.raises(ValueError, match="set: a file cannot take the place of a folder"):
            write(tmp_path / "a", tmp_path / "set")
        with pytest.raises(OSError, match="a is a file, not a folder"):
            write(tmp_path / "a" / "b")
        assert content(tmp_path) == OLD

    def test_a_folder_that_is_not_there(self, tmp_path):
        assert recover(tmp_path / "nothing") == []


def killed_at(k: int, function) -> int:
    """Runs a function in a process that is killed before its k-th call that touches the disk; the signal, or 0."""
    process = os.fork()
    if process:
        return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) * -1
    try:
        calls = itertools.count(1)

        def counted(call):
            def counting(*arguments, **options):
                if next(calls) == k:
                    os.kill(os.getpid(), signal.SIGKILL)
                return call(*arguments, **options)

            return counting

        for name in ("replace", "link", "unlink", "fsync", "rmdir", "ftruncate", "write", "open", "mkdir", "chmod"):
            setattr(os, name, counted(getattr(os, name)))
        function()
        os._exit(0)
    finally:
        os._exit(1)


@pytest.fixture(scope="module")
def middle(tmp_path_factory) -> int:
    """The first call before which a kill leaves neither the old nor the new."""
    for k in itertools.count(1):
        folder = tmp_path_factory.mktemp("middle")
        before(folder)
        killed_at(k, lambda folder=folder: change(folder))
        if (folder / "a").read_text() == "new a":
            return k


class TestClaim:
    def test_the_second_is_told_who_has_it(self, tmp_path):
        with claim(tmp_path / "x"):
            with pytest.raises(Claimed, match=rf"x is being written by process {os.getpid()} on .* since 20"):
                claim(tmp_path / "x").__enter__()
            with claim(tmp_path / "y"):
                pass
            assert names(tmp_path) == [".x.lock"]
        with claim(tmp_path / "x"):
            pass
        assert names(tmp_path) == []

    def test_missing_folders_are_made(self, tmp_path):
        with claim(tmp_path / "deep" / "deeper" / "x"):
            assert names(tmp_path / "deep" / "deeper") == [".x.lock"]

    def test_let_go_after_an_error(self, tmp_path):
        with pytest.raises(KeyError), claim(tmp_path / "x"):
            raise KeyError
        assert names(tmp_path) == []

    def test_the_lock_of_the_dead_is_taken_over(self, tmp_path):
        def die():
            with claim(tmp_path / "x"):
                os.kill(os.getpid(), signal.SIGKILL)

        assert killed_at(0, die) == signal.SIGKILL
        assert names(tmp_path) == [".x.lock"]
        with claim(tmp_path / "x"):
            pass
        assert names(tmp_path) == []

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}'])
    def test_a_lock_that_says_nothing_is_taken_over(self, tmp_path, text):
        (tmp_path / ".x.lock").write_text(text)
        with claim(tmp_path / "x"):
            pass

    def test_the_lock_of_another_machine_is_named(self, tmp_path):
        lock = tmp_path / ".x.lock"
        lock.write_text(json.dumps({"host": "node7", "pid": 12, "command": "train", "since": "2026-11-01"}))
        said = rf"process 12 on node7 \(train\) since 2026-11-01; if that process no longer runs, delete {lock}"
        with pytest.raises(Claimed, match=said):
            claim(tmp_path / "x").__enter__()
        assert lock.exists()

    def test_a_file_system_without_locks(self, tmp_path, monkeypatch):
        monkeypatch.setattr("medlatent.files.claims._lock", lambda handle: None)
        with claim(tmp_path / "x"), pytest.raises(Claimed, match="if that process no longer runs, delete"):
            claim(tmp_path / "x").__enter__()
        dead = os.fork() or os._exit(0)
        os.waitpid(dead, 0)
        owner = {"host": HOST, "pid": dead, "command": "train", "since": "2026-11-01"}
        (tmp_path / ".x.lock").write_text(json.dumps(owner))
        with claim(tmp_path / "x"):
            pass

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(OSError, match=r"file is a file, not a folder"):
            claim(tmp_path / "file" / "x").__enter__()

    @pytest.mark.parametrize("left_by_the_dead", [True, False])
    def test_of_many_one_wins(self, tmp_path, left_by_the_dead):
        """Each of eight processes counts up while it has the place; two at a time would lose counts."""
        count = tmp_path / "count"
        count.write_text("0")
        if left_by_the_dead:
            owner = {"host": HOST, "pid": 2**22 + 1, "command": "train", "since": "2026-11-01"}
            (tmp_path / ".count.lock").write_text(json.dumps(owner))

        def work():
            for _ in range(15):
                while True:
                    with suppress(Claimed), claim(count):
                        before = int(count.read_text())
                        time.sleep(0.0001)
                        count.write_text(str(before + 1))
                        break
                    time.sleep(0.0002)

        processes = []
        for _ in range(8):
            if not (process := os.fork()):
                try:
                    work()
                    os._exit(0)
                finally:
                    os._exit(1)
            processes.append(process)
        assert [os.waitpid(process, 0)[1] for process in processes] == [0] * 8
        assert count.read_text() == "120"
        assert names(tmp_path) == ["count"]


FIELDS = {"name": str, "config": dict, "rate": float, "steps": int, "seed": int | None, "flag": bool}
CONTENT = {"name": "µ", "config": {"a": [1, None]}, "rate": 1, "steps": 3, "seed": None, "flag": True}
TEXT = st.text(st.characters(codec="utf-8"), max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


class TestJson:
    @pytest.fixture(params=[True, False])
    def path(self, request, tmp_path):
        return write_json(tmp_path / "x.json", CONTENT, "a.format", 2, checksum=request.param)

    def edit(self, path, **changes):
        content = json.loads(path.read_text()) | changes
        content.pop("sha256", None)
        path.write_text(json.dumps({name: value for name, value in content.items() if value is not ...}))

    def test_round_trip(self, path):
        assert read_json(path, "a.format", 2, FIELDS) == CONTENT
        assert read_json(path, "a.format", (1, 2), {"version": int, **FIELDS}) == {"version": 2, **CONTENT}
        required = {name: kind for name, kind in FIELDS.items() if name != "rate"}
        assert read_json(path, "a.format", 2, required, {"rate": float, "other": str}) == CONTENT
        assert path.read_text(encoding="utf-8").startswith('{\n "format": "a.format",\n "version": 2,\n "name": "µ"')
        assert path.read_bytes().endswith(b"}\n")

    @given(st.dictionaries(TEXT.filter(lambda name: name not in ("format", "version", "sha256")), JSON))
    @settings(max_examples=50, deadline=None)
    def test_whatever_is_written_is_read_back(self, tmp_path_factory, content):
        path = tmp_path_factory.getbasetemp() / "any.json"
        write_json(path, content, "f", 1, checksum=True)
        assert read_json(path, "f", 1, dict.fromkeys(content, object), checksum=True) == content

    def test_numbers_of_numpy_and_torch(self, tmp_path):
        content = {"seed": np.int64(4), "deep": {np.str_("a"): (np.float32(0.5), np.arange(2), torch.tensor([True]))}}
        path = write_json(tmp_path / "x", content, "f", 1)
        assert read_json(path, "f", 1, {"seed": int, "deep": dict}) == {"seed": 4, "deep": {"a": [0.5, [0, 1], [True]]}}

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (np.float32("nan"), r"config\.rates\[1\] is nan, and JSON has no such number"),
            (float("-inf"), r"config\.rates\[1\] is -inf"),
            (np.dtype("uint8"), r"config\.rates\[1\] is dtype\('uint8'\) \(.*\), which is no JSON"),
            ({1, 2}, r"config\.rates\[1\] is \{1, 2\} \(set\)"),
            ({2: 3}, r"config\.rates\[1\]: the key 2 is no text"),
            ("\ud800", r"config\.rates\[1\] is '\\ud800', which is no text in UTF-8"),
        ],
    )
    def test_what_is_no_json_is_refused_by_name(self, tmp_path, value, message):
        with pytest.raises(ValueError, match=rf"x\.json cannot be written: {message}"):
            write_json(tmp_path / "x.json", {"config": {"rates": [0, value]}}, "f", 1)
        circle = []
        circle.append(circle)
        with pytest.raises(ValueError, match=r"x\.json cannot be written: the fields are nested too deeply"):
            write_json(tmp_path / "x.json", {"config": circle}, "f", 1)
        assert names(tmp_path) == []

    @pytest.mark.parametrize("depth", [100, 330, 480, 990, 5_000, 100_000])
    def test_what_is_nested_deeply_is_written_and_read_or_refused(self, tmp_path, depth):
        value, refused = [], []
        for _ in range(depth):
            value = [value]
        path, tensors = tmp_path / "x.json", tmp_path / "x.safetensors"
        try:
            write_json(path, {"value": value}, "f", 1, checksum=True)
            assert read_json(path, "f", 1, {"value": list}) == {"value": value}
        except ValueError as error:
            refused.append(str(error))
        try:
            save_tensors(tensors, {}, "f", 1, value=value)
            assert read_tensors(tensors, "f", 1, {"value": list})[1] == {"value": value}
        except ValueError as error:
            refused.append(str(error))
        assert all("cannot be written" in words and "nested too deeply" in words for words in refused)
        assert len(refused) == (0 if depth == 100 else len(refused) if depth < 1000 else 2)

        path.write_text('{"format": "f", "version": 1, "sha256": "", "value": ' + "[" * depth + "]" * depth + "}")
        with pytest.raises(ValueError, match=r"x\.json (is not valid JSON: it is nested too deeply|was changed)"):
            read_json(path, "f", 1, {"value": list})

    @pytest.mark.parametrize("name", FIELDS)
    def test_a_field_left_out_or_of_another_type(self, path, name):
        self.edit(path, **{name: ...})
        with pytest.raises(ValueError, match=rf"x\.json: the field '{name}' is missing"):
            read_json(path, "a.format", 2, FIELDS)
        for value in ("text", 5, 0.5, True, None, [1], {"a": 1}):
            if (
                value != CONTENT[name]
                and type(value) is not type(CONTENT[name])
                and (name, value)
                not in (
                    ("rate", 0.5),
                    ("seed", 5),
                )
            ):
                self.edit(path, **{name: value})
                with pytest.raises(ValueError, match=rf"x\.json: the field '{name}' must be .*, got"):
                    read_json(path, "a.format", 2, FIELDS)

    def test_an_unknown_field(self, path):
        self.edit(path, other=1)
        with pytest.raises(ValueError, match=r"x\.json: the field 'other' is unknown; known are"):
            read_json(path, "a.format", 2, FIELDS)

    @pytest.mark.parametrize("version", [1, 3, "2", 2.0, True, None, [2]])
    def test_another_version(self, path, version):
        self.edit(path, version=version)
        with pytest.raises(ValueError, match=r"x\.json has version .*, this medlatent reads version 2"):
            read_json(path, "a.format", 2, FIELDS)

    @pytest.mark.parametrize(
        "text",
        [
            b"",
            b"{half",
            b"\xff\xff",
            b"[" * 100_000,
            b'{"format": "a.format", "rate": NaN}',
            b'{"format": "a.format", "rate": -Infinity}',
            b'{"format": "a.format", "rate": 1e999}',
            b'{"format": "a.format", "rate": 1, "rate": 2}',
            b'{"format": "a.format", "rate": ' + b"1" * 10_000 + b"}",
        ],
    )
    def test_what_is_no_json_names_the_file(self, tmp_path, text):
        (tmp_path / "x.json").write_bytes(text)
        with pytest.raises(ValueError, match=r"x\.json is not valid JSON"):
            read_json(tmp_path / "x.json", "a.format", 2, FIELDS)

    @pytest.mark.parametrize("text", ["null", "[]", "5", '"a.format"', "{}", '{"format": "b.format"}'])
    def test_another_format(self, tmp_path, text):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ValueError, match=r"x\.json is no a\.format"):
            read_json(tmp_path / "x.json", "a.format", 2, FIELDS)

    def test_no_file(self, tmp_path):
        with pytest.raises(FileNotFoundError, match=r"x\.json: no such file"):
            read_json(tmp_path / "x.json", "a.format", 2, FIELDS)
        with pytest.raises(FileNotFoundError, match="is a folder, not a file"):
            read_json(tmp_path, "a.format", 2, FIELDS)

    def test_a_checksum_notices_every_change(self, tmp_path):
        path = write_json(tmp_path / "x.json", CONTENT, "a.format", 2, checksum=True)
        text = path.read_bytes()
        assert read_json(path, "a.format", 2, FIELDS, checksum=True) == CONTENT
        unnoticed = []
        for i in range(len(text)):
            for bit in range(8):
                path.write_bytes(text[:i] + bytes([text[i] ^ (1 << bit)]) + text[i + 1 :])
                with suppress(ValueError):
                    unnoticed.append(read_json(path, "a.format", 2, FIELDS, checksum=True))
        assert all(content == CONTENT for content in unnoticed)  # another blank between two fields
        assert len(unnoticed) < 40

    def test_a_missing_checksum(self, tmp_path):
        path = write_json(tmp_path / "x.json", CONTENT, "a.format", 2)
        with pytest.raises(ValueError, match=r"x\.json was changed or damaged: its checksum is missing"):
            read_json(path, "a.format", 2, FIELDS, checksum=True)


class TestNames:
    @pytest.mark.parametrize("name", ["a", "vae", "ham10000_seed0", "run-1.2", "_x", "A" * 100, "console", "com10"])
    def test_plain(self, name):
        assert is_name(name)
        assert check_name(name, "--name") == name

    @pytest.mark.parametrize(
        "name",
        [
            "",
            ".",
            "..",
            ".x",
            "x.",
            "a/b",
            "a\\b",
            "a b",
            "a\n",
            "a\0",
            "é",
            "A" * 101,
            "con",
            "NUL.txt",
            "Lpt1",
            "c:",
            5,
            None,
        ],
    )
    def test_not_plain(self, name):
        assert not is_name(name)
        with pytest.raises(ValueError, match=r"--name is .*, expected a plain name: letters from a to z"):
            check_name(name, "--name")


def test_plain_numbers():
    found = plain({"a": [np.int64(1), (np.float32(0.5), np.bool_(True))], "b": torch.ones(2), "c": np.eye(1), "d": "x"})
    assert found == {"a": [1, (0.5, True)], "b": [1.0, 1.0], "c": [[1.0]], "d": "x"}
    kinds = [type(v) for v in (found["a"][0], *found["a"][1], found["b"][0], found["c"][0][0], plain(torch.tensor(3)))]
    assert kinds == [int, float, bool, float, float, int]
    assert plain(json) is json


def test_the_data_do_without_pytorch():
    """The processes that pack images start in a fifth of the time without it."""
    program = "import sys, medlatent.data, medlatent.files; print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=Path(__file__).parents[1]
    )
    assert done.stdout == "False\n", done.stderr
