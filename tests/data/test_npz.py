"""Arrays of one's own: what is read, and a sentence for everything that is not."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.data import npz
from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.schema import Npz

IMAGES = np.arange(4 * 3 * 5, dtype=np.uint8).reshape(4, 3, 5)
LABELS = np.array([0, 1, 2, 1])


def read(folder, spatial_axes=None, **arrays):
    np.savez(folder / "data.npz", **arrays)
    return load(Npz(source="npz", path="data.npz", spatial_axes=spatial_axes), folder)


def refused(folder, message, spatial_axes=None, **arrays):
    with pytest.raises(DataError, match=message):
        read(folder, spatial_axes, **arrays)


# ---------------------------------------------------------------- what is read


def test_images_without_channels_get_one(tmp_path):
    data = read(tmp_path, x=IMAGES, y=LABELS)
    assert data.x.dtype == np.uint8
    np.testing.assert_array_equal(data.x, IMAGES[..., None])
    np.testing.assert_array_equal(data.y, LABELS)
    assert data.y.dtype == np.int32
    assert (data.classes, data.given, data.files, data.source) == (("0", "1", "2"), {}, None, "npz")


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [
        ((4, 6), None, (4, 6)),
        ((4, 6, 5), None, (4, 6, 5, 1)),
        ((4, 6, 5, 2), None, (4, 6, 5, 2)),
        ((4, 6, 5, 3, 2), None, (4, 6, 5, 3, 2)),
        ((4, 6), 0, (4, 6)),
        ((4, 6), 1, (4, 6, 1)),
        ((4, 6, 5), 1, (4, 6, 5)),
        ((4, 6, 5), 2, (4, 6, 5, 1)),
        ((4, 6, 5, 2), 2, (4, 6, 5, 2)),
        ((4, 6, 5, 2), 3, (4, 6, 5, 2, 1)),
        ((4, 6, 5, 2, 3), 3, (4, 6, 5, 2, 3)),
    ],
)
def test_spatial_axes(tmp_path, shape, axes, expected):
    x = np.random.default_rng(0).normal(size=shape)
    data = read(tmp_path, axes, x=x, y=LABELS)
    assert data.x.shape == expected
    np.testing.assert_array_equal(data.x.ravel(), x.astype(np.float32).ravel())


@pytest.mark.parametrize(
    ("shape", "axes", "message"),
    [
        ((4,), None, r"x has the shape \[4\], rank 1, and rank 2 or 3 or 4 or 5 is wanted"),
        ((4, 2, 2, 2, 2, 2), None, r"rank 6, and rank 2 or 3 or 4 or 5 is wanted"),
        ((4, 2, 2), 0, r"rank 3, and data.spatial_axes 0 wants rank 2;"),
        ((4, 2, 2, 2), 1, r"rank 4, and data.spatial_axes 1 wants rank 2 or 3;"),
        ((4, 2), 2, r"rank 2, and data.spatial_axes 2 wants rank 3 or 4;"),
        ((4, 2, 2), 3, r"rank 3, and data.spatial_axes 3 wants rank 4 or 5; \[example, \*spatial, channel\]"),
    ],
)
def test_ranks_that_do_not_fit(tmp_path, shape, axes, message):
    refused(tmp_path, message, axes, x=np.zeros(shape), y=LABELS)


@pytest.mark.parametrize("kind", ["bool", "int8", "int64", "uint16", "float16", "float32", "float64"])
def test_other_numbers_become_float32(tmp_path, kind):
    x = np.array([[0, 1], [1, 1], [1, 0], [0, 0]]).astype(kind)
    data = read(tmp_path, x=x, y=LABELS)
    assert data.x.dtype == np.float32
    np.testing.assert_array_equal(data.x, x.astype(float))


@pytest.mark.parametrize("names", [["cat", "dog", "elk"], [b"cat", b"dog", b"elk"]])
def test_class_names(tmp_path, names):
    assert read(tmp_path, x=IMAGES, y=LABELS, classes=np.array(names)).classes == ("cat", "dog", "elk")


def test_whole_numbers_as_class_names(tmp_path):
    assert read(tmp_path, x=IMAGES, y=LABELS, classes=np.array([3, 5, 8])).classes == ("3", "5", "8")


def test_own_test_split_follows_the_rest(tmp_path):
    data = read(tmp_path, x=IMAGES, y=LABELS, x_test=IMAGES[:2] + 100, y_test=np.array([2, 0], np.uint8))
    np.testing.assert_array_equal(data.x[4:, ..., 0], IMAGES[:2] + 100)
    np.testing.assert_array_equal(data.y, [0, 1, 2, 1, 2, 0])
    assert {name: indices.tolist() for name, indices in data.given.items()} == {"train": [0, 1, 2, 3], "test": [4, 5]}


def test_compressed_files(tmp_path):
    np.savez_compressed(tmp_path / "data.npz", x=IMAGES, y=LABELS)
    np.testing.assert_array_equal(npz.load(Npz(source="npz", path="data.npz"), tmp_path).x[..., 0], IMAGES)


def test_fortran_order(tmp_path):
    x = np.asfortranarray(np.random.default_rng(0).normal(size=(4, 3)))
    np.testing.assert_array_equal(read(tmp_path, x=x, y=LABELS).x, x.astype(np.float32))


def test_arrays_not_used_are_noted(tmp_path):
    notes = read(tmp_path, x=IMAGES, y=LABELS, weight=LABELS, x_tests=IMAGES).notes
    assert notes == (
        "data.npz: the array 'weight' is not used",
        "data.npz: the array 'x_tests' is not used; did you mean 'x_test'?",
    )


def test_channels_first_is_noted(tmp_path):
    notes = read(tmp_path, x=np.zeros((4, 3, 8, 8)), y=LABELS).notes
    assert notes == (
        "data.npz: x [4, 3, 8, 8] looks like channels first; channels are the last axis: transpose(0, 2, 3, 1)",
    )
    assert read(tmp_path, x=np.zeros((4, 8, 8, 3)), y=LABELS).notes == ()


# ---------------------------------------------------------------- files


def test_missing_file(tmp_path):
    (tmp_path / "data.npz").touch()
    with pytest.raises(DataError, match=r"dat\.npz: no such file or folder; did you mean 'data\.npz'\?"):
        npz.load(Npz(source="npz", path="dat.npz"), tmp_path)


def test_not_an_archive(tmp_path):
    np.save(tmp_path / "x.npy", IMAGES)
    with pytest.raises(DataError, match=r"x\.npy is not a zip file, and an \.npz file is one; numpy\.savez"):
        npz.load(Npz(source="npz", path="x.npy"), tmp_path)
    with pytest.raises(DataError, match=r"is a folder, and an \.npz file is one"):
        npz.load(Npz(source="npz", path="."), tmp_path)


def write_entry(path, data: bytes, key="x"):
    y = io.BytesIO()
    np.save(y, LABELS)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{key}.npy", data)
        archive.writestr("y.npy", y.getvalue())


def header(shape, dtype="<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": dtype})
    return file.getvalue()


def test_header_that_asks_for_more_than_there_is(tmp_path):
    write_entry(tmp_path / "data.npz", header((100_000, 1000, 1000)) + bytes(16))
    message = r"the array 'x' is damaged: its header says \[100000, 1000, 1000\] of float32, 400,000,000,000 bytes"
    with pytest.raises(DataError, match=message):
        npz.load(Npz(source="npz", path="data.npz"), tmp_path)


@pytest.mark.parametrize("data", [b"", b"hello", b"\x93NUMPY\x09\x00", header((2**40, 2**40)), header((-1, 4))])
def test_damaged_arrays(tmp_path, data):
    write_entry(tmp_path / "data.npz", data)
    with pytest.raises(DataError, match=r"data\.npz: the array 'x' is damaged: .*; copy or write the file again"):
        npz.load(Npz(source="npz", path="data.npz"), tmp_path)


def test_arrays_larger_than_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("cnnlab.data.memory.available_bytes", lambda: 200)
    refused(tmp_path, r"data\.npz: its arrays would take 0\.0 GiB, and 0\.0 GiB are available", x=IMAGES, y=LABELS)


def damaged(raw: bytes, cut: int | None, flips: list[tuple[int, int]]) -> bytes:
    copy = bytearray(raw[:cut])
    for position, bit in flips:
        copy[position % len(copy)] ^= 1 << bit
    return bytes(copy)


@settings(max_examples=200, deadline=None)
@given(
    cut=st.none() | st.integers(1, 10_000),
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), max_size=4),
)
def test_damage_anywhere_is_a_data_error_or_harmless(tmp_path_factory, cut, flips):
    file = io.BytesIO()
    np.savez_compressed(file, x=IMAGES, y=LABELS)
    folder = tmp_path_factory.mktemp("damaged")
    (folder / "data.npz").write_bytes(damaged(file.getvalue(), cut, flips))
    try:
        data = npz.load(Npz(source="npz", path="data.npz"), folder)
    except DataError:
        return
    # The zip's own checksums guard the values; names and dates of entries are unguarded.
    np.testing.assert_array_equal(data.x[..., 0], IMAGES)
    np.testing.assert_array_equal(data.y, LABELS)


# ---------------------------------------------------------------- arrays


def test_missing_arrays(tmp_path):
    refused(tmp_path, r"data\.npz: no array 'x'; arrays there: y, X; did you mean 'X'\?", y=LABELS, X=IMAGES)
    train = {"x_train": IMAGES, "y_train": LABELS}
    refused(tmp_path, r"no array 'x'; arrays there: x_train, y_train; did you mean 'x_train'\?", **train)
    refused(tmp_path, r"no array 'y'; arrays there: x; numpy\.savez", x=IMAGES)
    refused(tmp_path, r"no array 'x'; arrays there: none")
    refused(tmp_path, r"x_test is there without y_test; write both or neither", x=IMAGES, y=LABELS, x_test=IMAGES)
    refused(tmp_path, r"y_test is there without x_test; write both", x=IMAGES, y=LABELS, y_test=LABELS)
    near = {"x": IMAGES, "y": LABELS, "x_test": IMAGES, "y_tests": LABELS}
    refused(tmp_path, r"x_test is there without y_test; did you mean 'y_tests'\?", **near)


def test_shapes_that_disagree(tmp_path):
    refused(tmp_path, r"x has 4 examples, and y 3 labels; one label for every example", x=IMAGES, y=LABELS[:3])
    good = {"x": IMAGES, "y": LABELS}
    refused(tmp_path, r"x_test has 4 examples, and y_test 2 labels", **good, x_test=IMAGES, y_test=LABELS[:2])
    other = {"x_test": IMAGES[:, :2], "y_test": LABELS}
    refused(tmp_path, r"x has examples of shape \[3, 5\], and x_test of \[2, 5\]; bring both", **good, **other)
    other = {"x_test": IMAGES / 255, "y_test": LABELS}
    refused(tmp_path, r"x is uint8 and x_test is float64; uint8 is scaled to 0\.\.1", **good, **other)


def test_empty_arrays(tmp_path):
    refused(tmp_path, r"x has the shape \[0, 3\], which is empty", x=np.zeros((0, 3)), y=np.zeros(0, int))
    refused(tmp_path, r"x has the shape \[4, 0, 3\], which is empty", x=np.zeros((4, 0, 3)), y=LABELS)


def test_labels_of_the_wrong_kind(tmp_path):
    refused(tmp_path, r"y has the type float64, and labels are whole numbers; y\.astype", x=IMAGES, y=LABELS / 1)
    refused(tmp_path, r"y has the type bool, and labels are whole", x=IMAGES, y=LABELS > 0)
    refused(tmp_path, r"y has the type <U21, .*numpy\.unique\(names", x=IMAGES, y=LABELS.astype(str))
    refused(
        tmp_path, r"y has the shape \[4, 1\], and one label each is wanted; y\.ravel\(\)", x=IMAGES, y=LABELS[:, None]
    )
    refused(tmp_path, r"y has the shape \[4, 3\].*y\.argmax\(1\) makes ids", x=IMAGES, y=np.eye(3, dtype=int)[LABELS])


def test_labels_out_of_range(tmp_path):
    negative = np.array([0, -2, 1, -1])
    refused(tmp_path, r"y\[1\] is -2, and labels go from 0 to .*; labels out of range: 2", x=IMAGES, y=negative)
    names = np.array(["cat", "dog"])
    refused(
        tmp_path, r"y\[2\] is 2, and labels go from 0 to 1; .*add names to classes", x=IMAGES, y=LABELS, classes=names
    )
    test = {"x_test": IMAGES, "y_test": np.array([0, 1, 0, 5])}
    refused(tmp_path, r"y_test\[3\] is 5, and labels go from 0 to 1", x=IMAGES, y=LABELS % 2, classes=names, **test)
    huge = np.array([0, 1, 2**63, 1], np.uint64)
    refused(tmp_path, r"y\[2\] is 9223372036854775808, .*where no array 'classes' names them", x=IMAGES, y=huge)


def test_types_that_are_no_numbers(tmp_path):
    refused(tmp_path, r"the array 'x' has the type complex128, and numbers are wanted", x=IMAGES * 1j, y=LABELS)
    refused(tmp_path, r"the array 'x' has the type object, and numbers", x=np.array([{}, 1, 2, 3]), y=LABELS)
    refused(tmp_path, r"x has the type <U1, and numbers are wanted", x=np.array([["a"]] * 4), y=LABELS)
    dates = np.array(["2024-01-01"] * 4, "M8[D]")
    refused(tmp_path, r"the array 'x' has the type datetime64\[D\]", x=dates, y=LABELS)


def test_bad_class_names(tmp_path):
    good = {"x": IMAGES, "y": LABELS}
    refused(
        tmp_path, r"the array 'classes' has the type object, and text is wanted", **good, classes=np.array(["a", None])
    )
    refused(tmp_path, r"classes names 'a' more than once", **good, classes=np.array(["a", "b", "a"]))
    refused(tmp_path, r"classes has the shape \[1, 3\]", **good, classes=np.array([["a", "b", "c"]]))
    refused(tmp_path, r"classes has the shape \[3\] and the type float64", **good, classes=np.arange(3.0))


def test_not_finite(tmp_path):
    x = np.zeros((4, 3))
    x[2, 1] = np.nan
    refused(tmp_path, r"example 2 has the value nan at \[1\]", x=x, y=LABELS)
    test = {"x_test": x, "y_test": LABELS}
    refused(tmp_path, r"test example 2 has the value nan", x=np.zeros((4, 3)), y=LABELS, **test)
    refused(tmp_path, r"example 0 has the value inf at \[0\]", x=np.full((4, 3), 1e300), y=LABELS)
