"""What is found in a source, what does not count, and what is not believed."""

import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest

from medlatent.data import DataError, dicom
from medlatent.data.packing import File, Files, find_files, load_arrays
from medlatent.data.untrusted import FREE, RATIO, check_declared, counts, pattern


def test_what_does_not_count(tmp_path):
    names = ("b/2", "b/10", "a.dcm", "B/x", "b/._2", "._a.dcm", ".DS_Store", "__MACOSX/b/2", "b/Thumbs.db", ".x/y")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(b"")
            archive.writestr(name, b"")
    wanted = sorted(name for name in names if counts(name))
    assert wanted == ["B/x", "a.dcm", "b/10", "b/2"]
    found = [file.member or os.path.relpath(file.path, tmp_path) for file in find_files(tmp_path)]
    assert sorted(found) == sorted(wanted + wanted)
    hidden = tmp_path / ".x"  # what is named is read, wherever it lies
    assert list(find_files([hidden, tmp_path / "._a.dcm"])) == [
        File(str(hidden / "y")),
        File(str(tmp_path / "._a.dcm")),
    ]


def test_links_to_folders_are_followed_once(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "1.dcm").write_bytes(b"")
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "2.dcm").write_bytes(b"")
    for name, goal in (("linked", tmp_path / "elsewhere"), ("inner/back", source), ("again", source / "inner")):
        (source / name).symlink_to(goal, target_is_directory=True)
    found = [Path(file.path).relative_to(source).as_posix() for file in find_files(source)]
    assert found == ["inner/2.dcm", "linked/1.dcm"]


def test_a_folder_that_cannot_be_read_is_not_left_out(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.dcm").write_bytes(b"")
    scan = os.scandir

    def scandir(path):
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", os.fspath(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match=r"closed: the folder cannot be read \(Permission denied\)"):
        list(find_files(tmp_path))


def test_names_of_one_series_have_one_pattern(tmp_path):
    assert pattern("a1/IM0001") == pattern("a1/IM22") != pattern("a2/IM22")
    assert pattern("README") == "README"
    assert File("s.zip", "IM1").pattern == File("s.zip", "IM2").pattern != File("t.zip", "IM2").pattern


@pytest.mark.parametrize(("declared", "there", "refused"), [
    (FREE, 0, False), (FREE + 1, 0, True), (FREE + 1, FREE // RATIO + 1, False), (RATIO * FREE + 1, FREE, True),
])  # fmt: skip
def test_small_files_may_declare_some_and_others_as_many_times_what_they_hold(declared, there, refused):
    if refused:
        with pytest.raises(DataError, match=f"x declares {declared} bytes and holds {there}, where up to 200 times"):
            check_declared(declared, there, "x")
    else:
        check_declared(declared, there, "x")


def test_one_member_of_a_large_archive_that_unpacks_to_far_more_than_it_is(tmp_path):
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("bomb", bytes(2 * FREE), zipfile.ZIP_DEFLATED)
        archive.writestr("others", os.urandom(2**20))
    with Files() as files:
        assert len(files.read(File(str(path), "others"))) == 2**20
        with pytest.raises(DataError, match=r"z\.zip: bomb declares 134217728 bytes"):
            files.read(File(str(path), "bomb"))


def test_what_is_no_dicom_file_is_not_unpacked_to_find_that_out(tmp_path):
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("film.avi", bytes(200) + os.urandom(2**24))
    with dicom.Files() as files:
        tracemalloc.start()
        try:
            with pytest.raises(dicom.NotDICOM, match=r"z\.zip: film\.avi is no DICOM file"):
                files.read_header(File(str(path), "film.avi"))
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


def test_arrays_of_what_is_no_archive():
    for content in (b"", b"PK", b"\x93NUMPY\1\0v\0", b"PK\5\6" + bytes(18)):
        if content.startswith(b"PK\5"):
            assert load_arrays(content, ["hu"], "x.npz") == {}
        else:
            with pytest.raises(DataError, match=r"x\.npz: damaged, or no \.npz file"):
                load_arrays(content, ["hu"], "x.npz")
