"""What `y` of npz holds: told by type and shape where there is no doubt, or by `target`."""

import numpy as np
import pytest

from cnnlab.data.dataset import load
from cnnlab.errors import DataError
from cnnlab.spec.data import Npz

X = np.arange(4 * 3 * 5, dtype=np.uint8).reshape(4, 3, 5)


def read(folder, target=None, **arrays):
    np.savez(folder / "data.npz", **{"x": X, **arrays})
    return load(Npz(source="npz", path="data.npz", target=target), folder)


def refused(folder, message, target=None, **arrays):
    with pytest.raises(DataError, match=rf"^data\.npz: {message}"):
        read(folder, target, **arrays)


def test_numbers_that_are_not_whole_are_values(tmp_path):
    data = read(tmp_path, y=np.array([0.5, 1, 2, 3]))
    values = data.targets["values"]
    assert (data.classes, values.names, values.values.tolist()) == ((), ("y",), [[0.5], [1], [2], [3]])
    assert values.values.dtype == np.float32
    values = read(tmp_path, y=np.full((4, 2), 0.1), classes=np.array(["age", "size"])).targets["values"]
    assert (values.names, values.values.shape) == (("age", "size"), (4, 2))


def test_whole_numbers_are_classes_unless_target_says_values(tmp_path):
    y = np.array([0, 1, 2, 1])
    assert read(tmp_path, y=y).classes == ("0", "1", "2")
    assert read(tmp_path, "values", y=y).targets["values"].values.ravel().tolist() == [0, 1, 2, 1]
    refused(tmp_path, "y has the type float64, and labels are whole numbers", y=y / 1)
    assert read(tmp_path, "values", y=y / 1).targets["values"].values.ravel().tolist() == [0, 1, 2, 1]


def test_a_test_split_has_them_too(tmp_path):
    arrays = {"y": np.array([0.5, 1, 2, 3]), "x_test": X[:2], "y_test": np.array([7, 8])}
    data = read(tmp_path, **arrays)
    assert data.targets["values"].values.ravel().tolist() == [0.5, 1, 2, 3, 7, 8]
    assert data.given["test"].tolist() == [4, 5]
    refused(tmp_path, r"y has the shape \[4\], and y_test \[2, 2\]; bring both to one shape",
            **{**arrays, "y_test": np.ones((2, 2))})  # fmt: skip


def test_true_and_false_are_labels_but_for_one_hot_rows(tmp_path):
    y = np.array([[1, 0, 1], [0, 0, 0], [0, 1, 0], [1, 1, 1]], bool)
    labels = read(tmp_path, y=y).targets["labels"]
    assert (labels.values.dtype, labels.values.tolist(), labels.names) == (np.uint8, y.tolist(), ("0", "1", "2"))
    assert read(tmp_path, "labels", y=y.astype(float), classes=np.array(list("abc"))).targets["labels"].names[2] == "c"
    refused(tmp_path, r"y has the shape \[4, 3\].*y\.argmax", y=np.eye(4, 3, -1, dtype=bool) | np.eye(4, 3, dtype=bool)
            & (np.arange(4) == 0)[:, None])  # fmt: skip
    refused(tmp_path, "y has the value 2, and labels are 0 or 1; 1 where", "labels", y=y * 2)
    refused(tmp_path, "classes names 2 labels, and y has 3; one name", y=y, classes=np.array(["a", "b"]))


def test_ids_of_the_images_shape_are_masks(tmp_path):
    y = X % 3
    y[0, 0, 0] = 255
    for ids in (y, y[..., None], y.astype(np.int64)):
        mask = read(tmp_path, y=ids).targets["mask"]
        assert (mask.values.dtype, mask.names) == (np.uint8, ("0", "1", "2"))
        np.testing.assert_array_equal(mask.values, y)
    assert read(tmp_path, y=X % 2 == 1).targets["mask"].values.max() == 1
    message = r"example 0 has the id 2 in its mask, and there are 2 classes"
    refused(tmp_path, message, y=y, classes=np.array(["a", "b"]))
    refused(tmp_path, "y has the id 300, and ids go from 0 to 254", y=y.astype(int) * 0 + 300)
    refused(
        tmp_path, r"y has the shape \[4, 5, 3\], and a mask the examples' own, \[3, 5\]", "mask", y=np.zeros((4, 5, 3))
    )
    refused(tmp_path, "y has the type float64, and ids are whole", "mask", y=np.zeros((4, 3, 5)))


def test_volumes_have_masks_and_vectors_have_none(tmp_path):
    x = np.zeros((4, 2, 3, 2, 1), np.float32)
    y = np.random.default_rng(0).integers(0, 3, (4, 2, 3, 2))
    np.testing.assert_array_equal(read(tmp_path, x=x, y=y).targets["mask"].values, y)
    refused(tmp_path, r"y has the shape \[4, 1\], and a mask the examples' own, \[\]", "mask", x=np.zeros((4, 6)),
            y=np.zeros((4, 1), int))  # fmt: skip


def test_what_is_not_there_or_no_number(tmp_path):
    refused(tmp_path, "x has 4 examples, and y 3 labels; one label for every example", "values", y=np.ones(3))
    refused(tmp_path, "x has 4 examples, and y is a single number", y=np.float32(1))
    refused(tmp_path, "y has the type <U1, and values are numbers", "values", y=np.array(list("abcd")))
    refused(tmp_path, "example 1 has nan for the value 'y'", y=np.array([1, np.nan, 0, 1]))
    refused(tmp_path, "example 1 has inf for the value 'y'", y=np.array([1, 1e39, 0.5, 1]))
    refused(tmp_path, r"y has the shape \[4, 2, 2\], and values are \[example, name\]; y\.reshape", "values",
            y=np.ones((4, 2, 2)))  # fmt: skip
