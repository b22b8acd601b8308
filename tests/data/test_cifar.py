"""CIFAR-10 and CIFAR-100 in both versions, from folders and archives; pickles that would run code."""

import io
import os
import pickle
import struct
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data import pickles
from cnnlab.data.cifar import PIXELS
from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.data import Cifar10, Cifar100

random = np.random.default_rng(0)
BATCHES = [(random.integers(0, 256, (4, PIXELS), np.uint8), random.permutation(4)) for _ in range(6)]
FILES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
NAMES = ["airplane", "automobile", "bird", "cat"]
FINE, COARSE = [f"fine {i}" for i in range(4)], ["one", "two"]
TEN = Cifar10(source="cifar10", path="cifar")


class Python2Pickler(pickle._Pickler):
    """Writes text and bytes as Python 2 wrote its str."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012

    def save_str(self, text):
        content = text.encode("latin1") if isinstance(text, str) else text
        self.write(b"T" + struct.pack("<i", len(content)) + content)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_str


def pickled(value, pickler=pickle.Pickler) -> bytes:
    file = io.BytesIO()
    pickler(file, 2).dump(value)
    return file.getvalue()


def binary(pixels, *labels) -> bytes:
    return b"".join(bytes([*one]) + row.tobytes() for row, *one in zip(pixels, *labels, strict=True))


def cifar10(version: str) -> dict[str, bytes]:
    if version == "binary":
        files = {f"{name}.bin": binary(x, y) for name, (x, y) in zip(FILES, BATCHES, strict=True)}
        return {**files, "batches.meta.txt": "\n".join([*NAMES, "", ""]).encode()}
    pickler = Python2Pickler if version == "python2" else pickle.Pickler
    parts = zip(FILES, BATCHES, strict=True)
    files = {name: pickled({"data": x, "labels": y.tolist()}, pickler) for name, (x, y) in parts}
    return {**files, "batches.meta": pickled({"label_names": NAMES}, pickler)}


def cifar100(version: str) -> dict[str, bytes]:
    files = {}
    for name, (x, y) in (("train", BATCHES[0]), ("test", BATCHES[1])):
        content = {"data": x, "fine_labels": y.tolist(), "coarse_labels": (y // 2).tolist()}
        files |= {f"{name}.bin": binary(x, y // 2, y)} if version == "binary" else {name: pickled(content)}
    if version == "python":
        return {**files, "meta": pickled({"fine_label_names": FINE, "coarse_label_names": COARSE})}
    lines = {"fine_label_names.txt": FINE, "coarse_label_names.txt": COARSE}
    return {**files, **{name: "\n".join(names).encode() for name, names in lines.items()}}


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def archive(path, files, mode="w:gz"):
    with tarfile.open(path, mode) as file:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))


def expected(batches) -> np.ndarray:
    """Pixel by pixel: a row holds the red, then the green, then the blue plane, each line by line."""
    rows = [row for x, _ in batches for row in x]
    return np.array(
        [[[[row[1024 * c + 32 * i + j] for c in range(3)] for j in range(32)] for i in range(32)] for row in rows]
    )


def same(data, batches, labels):
    assert (data.x.dtype, data.y.dtype, data.files) == (np.uint8, np.int32, None)
    np.testing.assert_array_equal(data.x, expected(batches))
    assert data.y.tolist() == labels
    trained = len(data.x) - 4
    assert {name: part.tolist() for name, part in data.given.items()} == {
        "train": list(range(trained)),
        "test": list(range(trained, trained + 4)),
    }


LABELS = [int(label) for _, y in BATCHES for label in y]


@pytest.mark.parametrize("version", ["binary", "python", "python2"])
def test_cifar10_in_a_folder(tmp_path, version):
    write(tmp_path / "cifar", cifar10(version))
    data = load(TEN, tmp_path)
    same(data, BATCHES, LABELS)
    assert (data.classes, data.source) == (tuple(NAMES), "cifar10")


@pytest.mark.parametrize(("suffix", "mode"), [("tar.gz", "w:gz"), ("tar", "w")])
def test_an_archive_and_the_folder_that_it_unpacks_to_are_alike(tmp_path, suffix, mode):
    files = {f"cifar-10-batches-py/{name}": content for name, content in cifar10("python").items()}
    archive(tmp_path / f"cifar.{suffix}", files, mode)
    write(tmp_path / "cifar" / "cifar-10-batches-py", cifar10("python"))
    packed = load(TEN.model_copy(update={"path": f"cifar.{suffix}"}), tmp_path)
    same(packed, BATCHES, LABELS)
    assert packed.digests == load(TEN, tmp_path).digests


@pytest.mark.parametrize("version", ["binary", "python"])
@pytest.mark.parametrize(("labels", "names", "divisor"), [("fine", FINE, 1), ("coarse", COARSE, 2)])
def test_cifar100_by_fine_and_coarse_labels(tmp_path, version, labels, names, divisor):
    write(tmp_path / "cifar", cifar100(version))
    data = load(Cifar100(source="cifar100", path="cifar", labels=labels), tmp_path)
    same(data, BATCHES[:2], [label // divisor for label in LABELS[:8]])
    assert (data.classes, data.source) == (tuple(names), "cifar100")


# ---------------------------------------------------------------- what is refused


def refused(folder, sentence, path="cifar"):
    with pytest.raises(DataError) as error:
        load(TEN.model_copy(update={"path": path}), folder)
    assert str(error.value) == sentence


AGAIN = "copy or download it again"


def test_files_that_lack(tmp_path):
    (tmp_path / "cifar").mkdir()
    neither = "cifar: neither data_batch_1.bin nor data_batch_1; name the folder or the archive of cifar10"
    refused(tmp_path, neither)
    write(tmp_path / "cifar", cifar10("binary"))
    (tmp_path / "cifar" / "data_batch_3.bin").unlink()
    refused(tmp_path, f"cifar: data_batch_3.bin is missing; {AGAIN}")
    (tmp_path / "cifar" / "batches.meta.txt").unlink()
    refused(tmp_path, f"cifar: data_batch_3.bin is missing, and 1 more files; {AGAIN}")


def test_a_file_that_cannot_be_read(tmp_path, monkeypatch):
    write(tmp_path / "cifar", cifar10("binary"))

    def denied(path):
        raise PermissionError(13, "Permission denied", path.name)

    monkeypatch.setattr("pathlib.Path.read_bytes", denied)
    sentence = "cannot be read: [Errno 13] Permission denied: 'batches.meta.txt'"
    refused(tmp_path, f"cifar/batches.meta.txt: {sentence}; {AGAIN}")


WRONG = {
    "truncated": ("binary", "data_batch_2.bin", bytes(3072), f"3,072 bytes, and every image takes 3,073; {AGAIN}"),
    "empty": ("binary", "data_batch_2.bin", b"", f"0 bytes, and every image takes 3,073; {AGAIN}"),
    "strange label": ("binary", "test_batch.bin", b"\x04" + bytes(PIXELS),
                      f"image 0 has the label 4, and batches.meta.txt names 4 classes; {AGAIN}"),
    "names twice": ("binary", "batches.meta.txt", b"cat\ncat\n", f"1 names of classes on 2 lines; {AGAIN}"),
    "empty pickle": ("python", "data_batch_1", b"",
                     "is a damaged pickle: it ends too early; copy or download the file again"),
    "no dictionary": ("python", "data_batch_1", pickled([1]),
                      f"no ndarray 'data' in the pickle, which holds a list; {AGAIN}"),
    "no labels": ("python", "data_batch_1", pickled({"data": BATCHES[0][0]}),
                  f"no list 'labels' in the pickle, which holds data; {AGAIN}"),
    "text as label": ("python", "data_batch_1", pickled({"data": BATCHES[0][0], "labels": ["cat"] * 4}),
                      f"a label is no whole number from 0 to 255; {AGAIN}"),
    "wrong shape": ("python", "data_batch_1", pickled({"data": BATCHES[0][0][:, 1:], "labels": [0] * 4}),
                    "data is uint8 [4, 3071] beside 4 labels; uint8 [4, 3072] is wanted"),
    "big-endian": ("python", "data_batch_1", pickled({"data": BATCHES[0][0].astype(">i4"), "labels": [0] * 4}),
                   "is a damaged pickle: an array of big-endian numbers; copy or download the file again"),
    "wrong type": ("python", "data_batch_1", pickled({"data": BATCHES[0][0] / 255, "labels": [0] * 4}),
                   "is a damaged pickle: an array of the type f8; copy or download the file again"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(tmp_path, case):
    version, name, content, sentence = WRONG[case]
    write(tmp_path / "cifar", {**cifar10(version), name: content})
    refused(tmp_path, f"cifar/{name}: {sentence}")


def test_archives_that_are_none(tmp_path):
    (tmp_path / "cifar").write_bytes(b"<html>")
    refused(tmp_path, f"cifar: cannot be read as an archive: file could not be opened successfully; {AGAIN}")
    archive(tmp_path / "whole.tar.gz", cifar10("python"))
    content = (tmp_path / "whole.tar.gz").read_bytes()
    (tmp_path / "cifar").write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"^cifar: cannot be read as an archive: Compressed file ended before"):
        load(TEN, tmp_path)


def test_links_and_paths_that_leave_the_archive_write_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "cifar"
    archive(path, {f"../{name}": content for name, content in cifar10("binary").items()})
    same(load(TEN, tmp_path / "in"), BATCHES, LABELS)
    assert [entry.name for entry in tmp_path.rglob("*")] == ["in", "cifar"]
    with tarfile.open(path, "w") as file:
        for name in cifar10("binary"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
            file.addfile(link)
    neither = "cifar: neither data_batch_1.bin nor data_batch_1; name the folder or the archive of cifar10"
    refused(tmp_path / "in", neither)


def test_files_larger_than_memory(tmp_path, monkeypatch):
    write(tmp_path / "cifar", cifar10("binary"))
    archive(tmp_path / "cifar.tar", cifar10("binary"))
    monkeypatch.setattr("cnnlab.data.memory.available_bytes", lambda: 1000)
    for path in ("cifar", "cifar.tar"):
        with pytest.raises(DataError, match=r"its files would take 0\.0 GiB"):
            load(TEN.model_copy(update={"path": path}), tmp_path)


def test_an_archive_that_unpacks_to_gigabytes(tmp_path):
    """A header that says so is enough: what would follow is not read."""
    member = tarfile.TarInfo("a/data_batch_1")
    member.size = 2**33
    (tmp_path / "cifar").write_bytes(member.tobuf() + bytes(1024))
    sentence = "its files have 8,589,934,592 bytes up to a/data_batch_1; CIFAR's have 184 million"
    refused(tmp_path, f"cifar: {sentence}")


# ---------------------------------------------------------------- pickles


class Evil:
    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call[0], self.call[1:]


@pytest.mark.parametrize(
    ("call", "name"),
    [
        ((os.system, "touch ran"), f"{os.system.__module__}.system"),
        ((eval, "open('ran', 'w')"), "builtins.eval"),
        ((np.load, "ran"), "numpy.load"),
        ((getattr, "a", "b"), "builtins.getattr"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_would_run_code_does_not(tmp_path, monkeypatch, call, name, protocol):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"data": Evil(*call), "labels": [0]}, protocol)
    if protocol < 3:
        name = name.replace("builtins", "__builtin__")  # Python 2's name
    write(tmp_path / "cifar", {**cifar10("python"), "data_batch_1": content})
    with pytest.raises(DataError) as error:
        load(TEN, tmp_path)
    assert str(error.value) == (
        f"cifar/data_batch_1: the pickle asks for {name}, and data need nothing but arrays: it was not run; "
        "do not trust the file; download it from its publisher"
    )
    assert not (tmp_path / "ran").exists()


@settings(max_examples=50, deadline=None)
@given(shape=st.lists(st.integers(0, 4), max_size=3), fortran=st.booleans(), kind=st.sampled_from(["u1", "i4", "i8"]))
def test_arrays_come_as_they_are(shape, fortran, kind):
    array = np.random.default_rng(0).integers(0, 100, shape).astype(kind, order="F" if fortran else "C")
    for protocol in (0, 2, 4):
        found = pickles.load(pickle.dumps({"a": array, b"b": ["text"]}, protocol), "here")
        np.testing.assert_array_equal(found["a"], array)
        assert (found["a"].shape, found["a"].dtype, found["b"]) == (array.shape, array.dtype, ["text"])


def test_a_few_bytes_that_ask_for_a_large_memo_take_none():
    content = b"\x80\x02]r\xff\xff\xff\x7f."  # an empty list, remembered at place 2**31 - 1
    assert pickles.load(content, "here") == []


@settings(max_examples=150, deadline=None)
@given(cut=st.none() | st.integers(0, 400), flips=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 7))))
def test_damage_anywhere_is_a_data_error_or_harmless(cut, flips):
    content = bytearray(pickled({"data": BATCHES[0][0][:, :20], "labels": [1, 2, 3]})[:cut])
    for place, bit in flips:
        if content:
            content[place % len(content)] ^= 1 << bit
    try:
        pickles.load(bytes(content), "here")
    except DataError as error:
        assert str(error).startswith("here: ")  # noqa: PT017
