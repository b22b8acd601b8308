"""MNIST's format: what is read, and a sentence for every damaged file."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data.dataset import load
from cnnlab.data.idx import read
from cnnlab.errors import DataError
from cnnlab.spec.data import Idx

IMAGES = np.arange(4 * 3 * 5, dtype=np.uint8).reshape(4, 3, 5)
LABELS = np.array([0, 1, 2, 1], np.uint8)
SPEC = Idx(source="idx", path="mnist")


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def write(folder, name, content, packed=False):
    folder.mkdir(exist_ok=True)
    path = folder / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


def write_all(folder, packed=False, test="t10k", middle="-"):
    for split, x, y in (("train", IMAGES, LABELS), (test, IMAGES[:2] + 100, LABELS[2:])):
        write(folder / "mnist", f"{split}-images{middle}idx3-ubyte", idx(x), packed)
        write(folder / "mnist", f"{split}-labels{middle}idx1-ubyte", idx(y), packed)


@pytest.mark.parametrize(("packed", "test", "middle"), [(False, "t10k", "-"), (True, "t10k", "-"), (True, "test", ".")])
def test_both_splits_are_read(tmp_path, packed, test, middle):
    write_all(tmp_path, packed, test, middle)
    data = load(SPEC, tmp_path)
    assert (data.x.dtype, data.y.dtype, data.files, data.source) == (np.uint8, np.int32, None, "idx")
    np.testing.assert_array_equal(data.x[..., 0], np.concatenate([IMAGES, IMAGES[:2] + 100]))
    assert data.y.tolist() == [0, 1, 2, 1, 2, 1]
    assert data.classes == ("0", "1", "2")
    assert {name: part.tolist() for name, part in data.given.items()} == {"train": [0, 1, 2, 3], "test": [4, 5]}


def test_training_files_alone_are_one_pool(tmp_path):
    write_all(tmp_path)
    for path in (tmp_path / "mnist").glob("t10k*"):
        path.unlink()
    data = load(SPEC, tmp_path)
    assert (len(data.x), data.given) == (4, {})


def test_the_unpacked_file_goes_before_the_packed(tmp_path):
    write_all(tmp_path)
    write(tmp_path / "mnist", "train-images-idx3-ubyte", b"damaged", packed=True)
    assert len(load(SPEC, tmp_path).x) == 6


@settings(max_examples=50, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    packed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_what_was_written_is_read(tmp_path_factory, shape, packed, seed):
    array = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path = write(tmp_path_factory.mktemp("idx"), "images", idx(array), packed)
    np.testing.assert_array_equal(read(path, 3), array)


def refused(path, sentence, axes=3):
    with pytest.raises(DataError) as error:
        read(path, axes)
    assert str(error.value) == f"{path}: {sentence}"


WRONG = {
    "empty": (b"", "ends after 0 bytes, in its header; copy or download the file again"),
    "cut in the header": (idx(IMAGES)[:9], "ends after 9 bytes, in its header; copy or download the file again"),
    "text": (b"<html>not found</html>",
             "begins with the bytes 3c 68 74 6d, and an idx file with 00 00 08 03; it is another format, or damaged"),
    "another type": (b"\0\0\x0d\x03" + bytes(12),
                     "holds float32 of 3 axes, and uint8 of 3 is wanted; images have 3 axes and labels 1"),
    "labels": (idx(np.zeros(20, np.uint8)),
               "holds uint8 of 1 axes, and uint8 of 3 is wanted; images have 3 axes and labels 1"),
    "no example": (idx(np.zeros((0, 3, 5), np.uint8)),
                   "its header says 0 x 3 x 5, which is empty; there must be an example"),
}  # fmt: skip


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(tmp_path, case, packed):
    content, sentence = WRONG[case]
    refused(write(tmp_path, "images", content, packed), sentence)


def test_lengths_that_the_header_does_not_say(tmp_path):
    content = idx(IMAGES)
    says, again = "its header says 4 x 3 x 5", "copy or download the file again"
    for wrong, size in ((content[:-1], 75), (content + b"\0", 77)):
        refused(write(tmp_path, "x", wrong), f"{says}, 76 bytes with the header, and the file has {size}; {again}")
    refused(write(tmp_path, "x", content[:-1], True), f"{says}, and 59 values follow; {again}, or shorten it")
    refused(write(tmp_path, "x", content + b"\0", True), f"{says}, and more values follow; {again}, or shorten it")


def test_a_header_that_asks_for_more_than_there_can_be(tmp_path):
    content = struct.pack(">HBB3I", 0, 8, 3, 2**32 - 1, 2**16, 2**16) + bytes(100)
    says = "its header says 4,294,967,295 x 65,536 x 65,536, 18,446,744,069,414,584,3"
    for packed, end in ((False, "36 bytes with the header, and the file has 116"), (True, "20 bytes, which ")):
        with pytest.raises(DataError) as error:
            read(write(tmp_path, "images", content, packed), 3)
        assert says + end in str(error.value)


def test_a_file_larger_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnlab.data.memory.available_bytes", lambda: 50)
    with pytest.raises(
        DataError, match=r"images: its array would take 0\.0 GiB, and 0\.0 GiB are available; use fewer"
    ):
        read(write(tmp_path, "images", idx(IMAGES)), 3)


@settings(max_examples=100, deadline=None)
@given(cut=st.none() | st.integers(0, 70), place=st.integers(0, 70), bit=st.integers(0, 7))
def test_damaged_gzip_is_a_data_error_or_harmless(tmp_path_factory, cut, place, bit):
    content = bytearray(gzip.compress(idx(IMAGES), mtime=0)[:cut])
    if content:
        content[place % len(content)] ^= 1 << bit
    path = tmp_path_factory.mktemp("damaged") / "images.gz"
    path.write_bytes(content)
    try:
        found = read(path, 3)
    except DataError as error:
        assert str(error).startswith(str(path))  # noqa: PT017
        return
    np.testing.assert_array_equal(found, IMAGES)  # the checksum guards the values; time and name are unguarded


def folder_refused(folder, sentence, **changes):
    with pytest.raises(DataError) as error:
        load(SPEC.model_copy(update=changes), folder)
    assert str(error.value) == sentence


def test_folders_that_lack_something(tmp_path):
    write_all(tmp_path)
    folder = tmp_path / "mnist"
    (folder / "t10k-labels-idx1-ubyte").unlink()
    sentence = f"{folder}: no labels to t10k-images-idx3-ubyte; put both files into the folder"
    folder_refused(tmp_path, sentence)
    sentence = (
        "mnist/t10k-images-idx3-ubyte: t10k-images-idx3-ubyte is a file, and the folder of the idx files is wanted"
    )
    folder_refused(tmp_path, f"{sentence}; path: {folder}", path="mnist/t10k-images-idx3-ubyte")
    (folder / "train-images-idx3-ubyte").rename(folder / "images")
    (folder / "train-labels-idx1-ubyte").unlink()
    sentence = (
        "mnist: no train-images-idx3-ubyte[.gz] and train-labels-idx1-ubyte[.gz]; name the folder that they lie in"
    )
    folder_refused(tmp_path, sentence)


def test_files_that_do_not_belong_together(tmp_path):
    write_all(tmp_path)
    folder = tmp_path / "mnist"
    write(folder, "t10k-images-idx3-ubyte", idx(IMAGES[:2, :, :4]))
    sentence = (
        "mnist: the training images are 3 x 5, and the test images 3 x 4; put files of one data set into the folder"
    )
    folder_refused(tmp_path, sentence)
    write(folder, "train-labels-idx1-ubyte", idx(LABELS[:3]))
    sentence = f"{folder}/train-images-idx3-ubyte: 4 images, and 3 labels in train-labels-idx1-ubyte"
    folder_refused(tmp_path, f"{sentence}; one label for every image")
