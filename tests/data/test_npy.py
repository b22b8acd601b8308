"""Arrays in .npy files: mapped as they are, and a sentence for every file that lies."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.data import Npy

IMAGES = np.arange(4 * 3 * 5, dtype=np.uint8).reshape(4, 3, 5)
LABELS = np.array([0, 1, 2, 1])


def read(folder, spatial_axes=None, **arrays):
    for key, array in arrays.items():
        np.save(folder / f"{key}.npy", array)
    return load(Npy(source="npy", path=".", spatial_axes=spatial_axes), folder)


def refused(folder, sentence, **keys):
    with pytest.raises(DataError) as error:
        load(Npy(source="npy", **(keys or {"path": "."})), folder)
    assert str(error.value) == sentence


def test_a_folder_and_two_files_are_alike(tmp_path):
    folder = read(tmp_path, x=IMAGES, y=LABELS)
    assert (folder.classes, folder.given, folder.files, folder.source) == (("0", "1", "2"), {}, None, "npy")
    np.testing.assert_array_equal(folder.x[..., 0], IMAGES)
    (tmp_path / "y.npy").rename(tmp_path / "labels.npy")
    files = load(Npy(source="npy", x="x.npy", y="labels.npy"), tmp_path)
    assert (files.digests, files.y.tolist()) == (folder.digests, LABELS.tolist())


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_what_need_not_change_is_not_read_but_mapped(tmp_path, kind):
    x = read(tmp_path, x=IMAGES.astype(kind), y=LABELS).x
    while isinstance(x.base, np.ndarray):
        x = x.base
    assert isinstance(x, np.memmap)
    assert not x.flags.writeable


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [((4, 6), None, (4, 6)), ((4, 6), 1, (4, 6, 1)), ((4, 6, 5, 2), None, (4, 6, 5, 2)),
     ((4, 6, 5, 3), 3, (4, 6, 5, 3, 1)), ((4, 6, 5, 3, 2), None, (4, 6, 5, 3, 2))],
)  # fmt: skip
def test_vectors_signals_images_and_volumes(tmp_path, shape, axes, expected):
    x = np.random.default_rng(0).normal(size=shape)
    data = read(tmp_path, axes, x=x, y=LABELS)
    assert (data.x.shape, data.x.dtype) == (expected, np.float32)
    np.testing.assert_array_equal(data.x.ravel(), x.astype(np.float32).ravel())


@settings(max_examples=50, deadline=None)
@given(kind=st.sampled_from(["u1", "i2", ">i4", "f2", ">f4", "f8"]), fortran=st.booleans(), seed=st.integers(0, 99))
def test_what_was_written_is_read(tmp_path_factory, kind, fortran, seed):
    x = np.random.default_rng(seed).integers(0, 99, (4, 3, 5)).astype(kind, order="F" if fortran else "C")
    np.testing.assert_array_equal(read(tmp_path_factory.mktemp("npy"), x=x, y=LABELS).x[..., 0], x)


def test_own_test_split_and_class_names(tmp_path):
    data = read(tmp_path, x=IMAGES, y=LABELS, x_test=IMAGES[:2], y_test=LABELS[1:3], classes=np.array(["a", "b", "c"]))
    assert data.classes == ("a", "b", "c")
    assert {name: part.tolist() for name, part in data.given.items()} == {"train": [0, 1, 2, 3], "test": [4, 5]}


# ---------------------------------------------------------------- what is refused


def test_folders_that_lack_something(tmp_path):
    refused(tmp_path, ".: no x.npy; files there: none; numpy.save writes one")
    np.save(tmp_path / "x.npy", IMAGES)
    np.save(tmp_path / "ys.npy", LABELS)
    refused(tmp_path, ".: no y.npy; files there: x.npy, ys.npy; did you mean 'ys.npy'?")
    sentence = "x.npy: x.npy is a file, and a folder with x.npy and y.npy is wanted; give x: and y: for two files"
    refused(tmp_path, sentence, path="x.npy")


def header(shape, dtype="<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
    return file.getvalue()


CANNOT, AGAIN = "cannot be read as an array", "copy or write the file again"
WRONG = {
    "lying": (header((100_000, 1000, 1000)) + bytes(16),
              f"{CANNOT}: its header says [100000, 1000, 1000] of float32, 400,000,000,000 bytes, and 144 are there"),
    "negative": (header((-1, 4)) + bytes(16),
                 f"{CANNOT}: its header says [-1, 4] of float32, -16 bytes, and 144 are there"),
    "truncated": (header((4, 6)) + bytes(95),
                  f"{CANNOT}: its header says [4, 6] of float32, 96 bytes, and 223 are there"),
    "version": (b"\x93NUMPY\x09\x00", f"{CANNOT}: unknown format (9, 0)"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files(tmp_path, case):
    content, sentence = WRONG[case]
    np.save(tmp_path / "y.npy", LABELS)
    (tmp_path / "x.npy").write_bytes(content)
    refused(tmp_path, f"{tmp_path}/x.npy: {sentence}; {AGAIN}")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x93NUMPY\x01\x00\xff\xff{"])
def test_files_that_are_no_arrays(tmp_path, content):
    np.save(tmp_path / "y.npy", LABELS)
    (tmp_path / "x.npy").write_bytes(content)
    with pytest.raises(DataError, match=rf"/x\.npy: {CANNOT}: .*; {AGAIN}$"):
        load(Npy(source="npy", path="."), tmp_path)


def test_objects_and_wrong_ranks(tmp_path):
    np.save(tmp_path / "y.npy", LABELS)
    np.save(tmp_path / "x.npy", np.array([{}, [], "a", 1], object), allow_pickle=True)
    numbers = "the array 'x' has the type object, and numbers are wanted; convert it with astype"
    refused(tmp_path, f"{tmp_path}/x.npy: {numbers}")
    np.save(tmp_path / "x.npy", np.zeros(4))
    rule = "[example, *spatial, channel], the channel may be missing"
    refused(tmp_path, f".: x has the shape [4], rank 1, and rank 2 or 3 or 4 or 5 is wanted; {rule}")
    refused(tmp_path, f"x.npy: x has the shape [4], rank 1, and rank 2 or 3 or 4 or 5 is wanted; {rule}",
            x="x.npy", y="y.npy")  # fmt: skip


def test_what_must_be_copied_has_to_fit(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnlab.data.memory.available_bytes", lambda: 100)
    assert len(read(tmp_path, x=np.zeros((100, 9), np.float32), y=np.arange(100) % 2).x) == 100
    sentence = ".: its arrays would take 0.0 GiB, and 0.0 GiB are available; store x as uint8 or float32, in one file"
    np.save(tmp_path / "x.npy", np.zeros((100, 9)))
    refused(tmp_path, sentence)
