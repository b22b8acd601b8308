"""HDF5: arrays as h5py writes them, and a sentence for what is not."""

import sys

import numpy as np
import pytest

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.data import Hdf5

X = np.arange(4 * 3 * 5, dtype=np.uint8).reshape(4, 3, 5)
Y = np.array([0, 1, 2, 1])


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py", reason="pip install 'cnnlab[hdf5]'")


def read(folder, **keys):
    return load(Hdf5(source="hdf5", path="data.h5", **keys), folder)


def refused(folder, message, **keys):
    with pytest.raises(DataError, match=rf"^data\.h5: {message}"):
        read(folder, **keys)


def test_arrays_under_the_names_of_npz_and_under_others(tmp_path, h5py):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_dataset("x", data=X, chunks=True, compression="gzip")
        file["y"], file["a/b/images"], file["a/targets"] = Y, X[:, ::-1], Y + 0.5
        file["classes"] = ["cat", "dög", "elk"]
    data = read(tmp_path)
    np.testing.assert_array_equal(data.x[..., 0], X)
    assert (data.x.dtype, data.y.tolist(), data.classes) == (np.uint8, [0, 1, 2, 1], ("cat", "dög", "elk"))
    refused(tmp_path, "classes names 3 values, and y has 1", x="a/b/images", y="a/targets")
    with h5py.File(tmp_path / "data.h5", "a") as file:
        del file["classes"]
        file["x_test"], file["y_test"] = X[:1].astype(np.uint8), Y[:1] + 0.25
    data = read(tmp_path, x="/a/b/images", y="a/targets")
    np.testing.assert_array_equal(data.x[:4, :, :, 0], X[:, ::-1])
    assert data.targets["values"].values.ravel().tolist() == [0.5, 1.5, 2.5, 1.5, 0.25]
    assert data.given["test"].tolist() == [4]


def test_what_is_wrong_is_named(tmp_path, h5py):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["images"], file["y"], file["group/z"], file["text"] = X, Y, X, ["a"] * 4
    refused(tmp_path, r"no array 'x'; arrays there: group/z, images, text, y; data\.x names another$")
    refused(tmp_path, r"no array 'image'; .*; did you mean 'images'\?$", x="image")
    refused(tmp_path, r"no array 'group'; ", x="group")
    refused(tmp_path, r"the array 'text' has the type object, and numbers are wanted; convert", x="text")
    refused(tmp_path, r"no array 'y_tst'; ", x="images", y_test="y_tst")


def test_nothing_is_read_from_other_files(tmp_path, h5py):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = X
    (tmp_path / "raw").write_bytes(X.tobytes())
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["y"] = Y
        file["x"] = h5py.ExternalLink("other.h5", "/x")
        file.create_dataset("e", X.shape, X.dtype, external=[("raw", 0, X.size)])
        layout = h5py.VirtualLayout(X.shape, X.dtype)
        layout[:] = h5py.VirtualSource("other.h5", "x", X.shape)
        file.create_virtual_dataset("v", layout)
    refused(tmp_path, r"no array 'x'; arrays there: e, v, y;")
    for name in "ev":
        refused(tmp_path, rf"the array '{name}' lies in other files; store it in the file itself", x=name)


def test_damaged_files(tmp_path, h5py):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x"], file["y"] = X, Y
    content = (tmp_path / "data.h5").read_bytes()
    for damaged in (b"", b"text", content[: len(content) // 2]):
        (tmp_path / "data.h5").write_bytes(damaged)
        refused(tmp_path, "cannot be read as HDF5: .*; copy or write it again")


def test_a_shape_that_asks_for_too_much(tmp_path, h5py):
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file.create_dataset("x", (10**7, 1000, 1000), np.uint8, chunks=(1, 1000, 1000))
        file["y"] = Y
    refused(tmp_path, r"its arrays would take [\d,.]+ GiB, and .*; use fewer")


def test_without_h5py(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    refused(tmp_path, r"h5py reads HDF5, and it is not installed; pip install 'cnnlab\[hdf5\]'")
