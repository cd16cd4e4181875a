"""Image sets by name: what is there, what is not, and what to do about it."""

import importlib
import re
import sys

import numpy as np
import pandas as pd
import pytest

import medlatent.data.phantoms
from medlatent.__main__ import main
from medlatent.data import (
    Card,
    DataError,
    ImageSet,
    Source,
    all_sources,
    at_hand,
    find_source,
    open_images,
    packed_folder,
)
from medlatent.obtain import SETS


def downloaded(name: str) -> str | None:
    """The packed source that a source is, or is a view of."""
    source = find_source(name)
    while source.of:
        source = source.of
    return source.name if source.kind == "packed" else None


NAMES = [source.name for source in all_sources()]
CARD = Card("packed", "computed here", "CC0-1.0", "nobody", "none")


@pytest.fixture
def packed(tmp_path, monkeypatch):
    """A folder as ``python -m medlatent data ham10000`` leaves it, and the environment that points to it."""
    images = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((7, 3, 16, 16), np.uint8)
    ImageSet(images, pd.DataFrame({"image_id": [f"i{k}" for k in range(7)]}), {}, CARD).save(tmp_path / "ham10000")
    monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
    return tmp_path / "ham10000"


@pytest.mark.parametrize(
    "source",
    ["ham1000", "phantoms.brain", "phantoms", "no/such/folder", "HAM10000", "mnist.letters", "imageset", "", "..mnist"],
)
def test_an_unknown_source_is_an_error_that_lists_the_known(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=f"unknown source '{source}': use {', '.join(NAMES)} or the path"):
        open_images(source)


@pytest.mark.parametrize("source", [name for name in NAMES if name.startswith("phantoms.")])
def test_phantoms(source):
    images = open_images(source, 12, seed=3)
    assert len(images) == 12 or "balanced" in source  # which leaves some out, and shows some more than once
    assert images.group is not None
    again, other = open_images(source, 12, seed=3), open_images(source, 12, seed=4)
    assert images.fingerprint == again.fingerprint != other.fingerprint


@pytest.mark.parametrize("n", [0, -1])
@pytest.mark.parametrize("source", ["phantoms.lesion", "ham10000"])
@pytest.mark.usefixtures("packed")
def test_at_least_one_image_is_asked_for(source, n):
    with pytest.raises(DataError, match=f"n: at least one image is needed, got {n}"):
        open_images(source, n)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("phantoms.lesion", True),
        ("mnist.digits", True),
        ("ham10000", True),
        ("mnist", False),
        ("nowhere", False),
        ("", False),
    ],
)
def test_what_is_at_hand(source, expected, packed):
    assert at_hand(source) is expected
    assert at_hand(str(packed))


class TestEachDescribesItself:
    def test_each_has_its_own_name_and_they_are_listed_by_kind(self):
        assert {"phantoms.lesion", "mnist.digits", "ham10000", "mnist", "chest_ct", "acdc"} <= set(NAMES)
        assert len(set(NAMES)) == len(NAMES)
        kinds = [source.kind for source in all_sources()]
        assert kinds == sorted(kinds, key=["rendered", "carried", "packed", "view"].index)

    @pytest.mark.parametrize("source", all_sources(), ids=NAMES)
    def test_whole(self, source):
        assert find_source(source.name) is source
        assert source.summary
        assert "\n" not in source.summary
        assert re.fullmatch(r"[A-Z].*\.", source.limits, re.DOTALL), "what its models cannot say, in sentences"
        if source.kind == "packed":
            assert source.command.removeprefix("python -m medlatent data ") in SETS
        elif source.kind == "view":
            assert source.name.startswith(f"{source.of.name}.")
            assert (source.at_hand, source.folder) == (source.of.at_hand, source.of.folder)
        else:
            assert source.licence
            assert source.at_hand
        # What has to be there wherever a record is checked needs no download, or none but that of the images.
        assert source.stand_in is None or downloaded(source.stand_in.source) is None
        for spec in source.classifiers:
            assert downloaded(spec.source) in (None, downloaded(source.name))
        assert len({spec.factor for spec in source.classifiers}) == len(source.classifiers)

    @pytest.mark.parametrize("name", [s.name for s in all_sources() if s.classifiers and downloaded(s.name) is None])
    def test_classifiers_fit_the_images(self, name):
        images = open_images(name, 20)
        for spec in find_source(name).classifiers:
            assert spec.factor in images.factors
            assert spec.shape == images.images.shape[1:]
            assert spec.card in ("", images.card.name)
            assert spec.source == name

    @pytest.mark.parametrize("source", [s for s in all_sources() if s.stand_in], ids=lambda source: source.name)
    def test_what_stands_in_is_opened_as_it_says(self, source):
        images = open_images(source.stand_in.source, min(source.stand_in.n or 20, 20), source.stand_in.seed)
        assert {"train", "test"} >= set(images.table["split"]) - {"validation"}

    @pytest.mark.parametrize(
        ("kind", "function"), [("rendered", None), ("carried", None), ("packed", open_images), ("scanned", open_images)]
    )
    def test_a_kind_and_how_it_is_opened_belong_together(self, kind, function):
        with pytest.raises(ValueError, match=f"source hearts: kind '{kind}'; a packed source is not opened"):
            Source("hearts", kind, "hearts", function)


class TestANewSource:
    """A new source is a new file: nothing lists it."""

    @pytest.fixture
    def add(self, tmp_path, monkeypatch):
        """Puts modules beside those of the package, and forgets them afterwards."""
        before = set(sys.modules)
        folder = tmp_path / "modules"
        for package, below in ((medlatent.data, folder), (medlatent.data.phantoms, folder / "phantoms")):
            below.mkdir()
            monkeypatch.setattr(package, "__path__", [*package.__path__, str(below)])

        def write(name: str, text: str) -> None:
            (folder / f"{name}.py").write_text(text)
            importlib.invalidate_caches()

        yield write
        for name in set(sys.modules) - before:
            if name.startswith("medlatent.data."):
                sys.modules.pop(name)
                package, _, module = name.rpartition(".")
                vars(sys.modules[package]).pop(module, None)

    BRAINS = """
import numpy as np
import pandas as pd
from medlatent.data import Card, ImageSet, Source

def generate(n, seed):
    table = pd.DataFrame({"split": ["train", "test"] * (n // 2)})
    images = np.full((n, 1, 8, 8), seed, np.uint8)
    return ImageSet(images, table, {}, Card("brains", "rendered", "CC0-1.0", "nobody", "none"))

SOURCES = (
    Source("phantoms.brains", "rendered", "quiet brains", lambda n, seed: generate(n or 6, seed), "None.", "CC0-1.0"),
)
"""

    def test_is_found_by_its_name_and_listed(self, add, capsys):
        assert find_source("phantoms.brains") is None
        add("phantoms/brains", self.BRAINS)
        assert find_source("phantoms.brains").summary == "quiet brains"
        assert [source.name for source in all_sources()][:1] == ["phantoms.brains"]
        assert at_hand("phantoms.brains")
        images = open_images("phantoms.brains", 4, seed=7)
        assert len(images) == 4
        assert (images.images == 7).all()
        assert len(open_images("phantoms.brains")) == 6
        with pytest.raises(DataError, match=r"unknown source 'brain': use phantoms\.brains, "):
            open_images("brain")
        main(["list"])
        assert re.search(r"phantoms\.brains\b.*quiet brains", capsys.readouterr().out)

    def test_one_that_is_packed_says_how(self, add, tmp_path, monkeypatch):
        add(
            "knees",
            "from .source import Source\nSOURCES = (Source('knees', 'packed', 'joints', options='--from ZIP'),)",
        )
        monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
        assert not at_hand("knees")
        with pytest.raises(DataError, match=rf"run `python -m medlatent data knees --from ZIP --out {tmp_path}/knees`"):
            open_images("knees")
        ImageSet(np.zeros((3, 1, 8, 8), np.uint8), pd.DataFrame({"i": range(3)}), {}, CARD).save(tmp_path / "knees")
        assert at_hand("knees")
        assert len(open_images("knees")) == 3

    def test_one_that_needs_a_package_says_which_and_is_in_nobody_s_way(self, add):
        add("nifti", "import nibabel_of_another_world\nSOURCES = ()")
        with pytest.raises(
            DataError, match=r'nifti needs the package nibabel_of_another_world: pip install "medlatent'
        ):
            open_images("nifti")
        assert [source.name for source in all_sources()] == NAMES
        assert len(open_images("phantoms.lesion", 2)) == 2

    def test_a_fault_of_the_package_is_no_missing_extra(self, add):
        add("nifti", "import medlatent.data.nowhere\nSOURCES = ()")
        for call in (lambda: find_source("nifti"), all_sources):
            with pytest.raises(ModuleNotFoundError, match=r"medlatent\.data\.nowhere"):
                call()

    def test_what_begins_with_an_underscore_is_no_source(self, add):
        add("_shared", "raise RuntimeError('imported')")
        assert [source.name for source in all_sources()] == NAMES


class TestPacked:
    def test_is_found_through_the_environment(self, packed):
        assert packed_folder("ham10000") == packed
        images = open_images("ham10000")
        assert len(images) == 7
        assert isinstance(images.images, np.memmap)

    @pytest.mark.parametrize(("n", "expected"), [(3, 3), (7, 7), (8, 7), (10_000, 7)])
    def test_the_first_n(self, packed, n, expected):
        images = open_images("ham10000", n)
        assert len(images) == expected
        assert images.images[:, 0, 0, 0].tolist() == list(range(expected))
        assert images.table["image_id"].tolist() == [f"i{k}" for k in range(expected)]

    def test_by_its_path(self, packed, monkeypatch):
        monkeypatch.delenv("MEDLATENT_DATA")
        assert open_images(str(packed)).fingerprint == ImageSet.load(packed).fingerprint

    def test_not_packed_says_what_to_run(self, tmp_path, monkeypatch):
        for value in (None, ""):
            if value is None:
                monkeypatch.delenv("MEDLATENT_DATA", raising=False)
            else:
                monkeypatch.setenv("MEDLATENT_DATA", value)
            assert packed_folder("ham10000") is None
            with pytest.raises(
                DataError,
                match=r"^ham10000 is not packed: run `python -m medlatent data ham10000 --out FOLDER/ham10000` and set "
                "the environment variable MEDLATENT_DATA to FOLDER$",
            ):
                open_images("ham10000")
        (tmp_path / "my data").mkdir()
        monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path / "my data"))
        for name, more in (("ham10000", ""), ("ham10000.patches", " --patch 48")):
            command = f"python -m medlatent data ham10000{more} --out '{tmp_path}/my data/{name}'"
            with pytest.raises(DataError, match=rf"^{name} is not packed: run `{command}`$"):
                open_images(name)

    @pytest.mark.parametrize(
        ("value", "words"),
        [
            ("nowhere", "'nowhere', which is not there"),
            ("file", "'file', which is no folder"),
            ("~/data", "'~/data', which is not there; write your home folder out"),
            ("'/data'", r'"\'/data\'", which is not there'),
            ("a\nb", r"'a\\nb', which is not there"),
        ],
    )
    def test_a_wrong_folder_is_quoted(self, tmp_path, monkeypatch, value, words):
        """It is not asked for: it is set, and whoever set it shall see how."""
        (tmp_path / "file").write_text("")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MEDLATENT_DATA", value)
        message = f"the environment variable MEDLATENT_DATA is {words}"
        for name in ("ham10000", "ham10000.patches", "chest_ct.64"):
            with pytest.raises(DataError, match=rf"cannot be looked for: {message}.*\. To pack it, run `python -m "):
                open_images(name)
        with pytest.raises(DataError, match=rf"unknown source 'mine': .*\. Besides, {message}"):
            open_images("mine")
        with pytest.warns(UserWarning, match=message):
            assert packed_folder("ham10000") is None
        assert not at_hand("ham10000")

    def test_the_command_line_quotes_it_once(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MEDLATENT_DATA", "~")
        assert main(["list"]) == 0
        (note,) = capsys.readouterr().err.splitlines()
        assert note.startswith("note: the environment variable MEDLATENT_DATA is '~', which is not there")

    def test_a_file_of_that_name_is_no_packed_set(self, tmp_path, monkeypatch):
        (tmp_path / "ham10000").write_text("")
        monkeypatch.setenv("MEDLATENT_DATA", str(tmp_path))
        assert packed_folder("ham10000") is None

    def test_a_folder_that_is_no_image_set(self, tmp_path):
        with pytest.raises(DataError, match=r"images\.npy is missing, so this is no image set"):
            open_images(str(tmp_path))

    def test_a_damaged_set_is_refused(self, packed):
        with open(packed / "images.npy", "r+b") as file:
            file.seek(-1, 2)
            file.write(b"\xff")
        with pytest.raises(DataError, match=r"images\.npy is damaged"):
            open_images("ham10000")
