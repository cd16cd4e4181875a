"""Files are written whole or not at all, and say what they are."""

import json

import pytest
import torch
from safetensors.torch import save_file

from medlatent.files import read_tensors, replacing, save_tensors


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

        monkeypatch.setattr("medlatent.files.save_file", full_disk)
        with pytest.raises(OSError, match="No space left"):
            save_tensors(path, {"a": torch.ones(2)}, "a.format", 3)
        assert path.read_bytes() == old
        assert names(path.parent) == ["x.safetensors"]

    def test_a_header_that_cannot_be_written_leaves_nothing(self, tmp_path):
        with pytest.raises(TypeError):
            save_tensors(tmp_path / "x.safetensors", self.TENSORS, "a.format", 3, key=json)
        assert names(tmp_path) == []
