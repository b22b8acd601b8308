"""Training on what is normal alone."""

import numpy as np
import pytest

from cnnlab.data.dataset import Dataset
from cnnlab.data.normal import train_on
from cnnlab.errors import DataError, SpecError

Y = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2], np.int32)
DATA = Dataset(np.arange(9, dtype=np.uint8)[:, None], Y, ("cat", "dog", "cow"))
SPLITS = {"train": np.array([0, 1, 2, 3]), "validation": np.array([4, 5, 6]), "test": np.array([7, 8])}


def test_the_test_split_alone_keeps_the_anomalies():
    found = train_on(DATA, SPLITS, ("cat", "dog"))
    assert {name: indices.tolist() for name, indices in found.items()} == {
        "train": [0, 1, 3], "validation": [4, 6], "test": [7, 8],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("normal", "message"),
    [
        (("cats",), "task.normal: no class 'cats'; did you mean 'cat'?"),
        (("horse",), "task.normal: no class 'horse'; there are cat, dog, cow"),
        (("cat", "dog", "cow"), "task.normal: all 3 classes, so that nothing is an anomaly; leave some out"),
    ],
)
def test_classes_that_make_no_sense_are_told(normal, message):
    with pytest.raises(SpecError) as caught:
        train_on(DATA, SPLITS, normal)
    assert str(caught.value) == message


def test_an_empty_split_and_data_without_classes_are_told():
    with pytest.raises(DataError, match=r"task\.normal: no validation example is of cat; add examples or classes"):
        train_on(DATA, {**SPLITS, "validation": np.array([4])}, ("cat",))
    with pytest.raises(SpecError, match=r"task\.normal: the data has no classes; leave it out"):
        train_on(Dataset(DATA.x, 0 * Y, ()), SPLITS, ("cat",))
