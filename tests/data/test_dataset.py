"""What every source has to pass, and that reading data does not wait for jax."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnlab.data import SOURCES
from cnnlab.data.dataset import Dataset, check, find, load
from cnnlab.errors import DataError, SpecError
from cnnlab.spec import sources as spec
from cnnlab.spec.data import Digits


def dataset(x=None, y=(0, 1, 0, 1), classes=("cat", "dog"), **more) -> Dataset:
    x = np.zeros((len(y), 2, 2, 1), np.float32) if x is None else x
    return Dataset(x, np.array(y, np.int32), classes, **more)


def test_every_source_of_the_schema_is_in_the_table():
    assert list(SOURCES) == [cls.tags[0] for cls in spec.SOURCES]


def test_reading_and_splitting_import_no_jax():
    rooms = ["SOURCES", "images", "resize", "split", "fingerprint", "prepare", "batches"]
    code = (
        f"import sys\nfrom cnnlab.data import {', '.join(rooms)}\nprint('jax' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_good_data_passes_unchanged():
    data = dataset()
    assert check(data, "here") is data


def test_names_of_examples():
    assert dataset().name(2) == "example 2"
    assert dataset(files=("a.png", "b.png", "c.png", "d.png")).name(2) == "c.png"
    given = {"train": np.array([0, 1]), "test": np.array([2, 3])}
    assert dataset(given=given).name(3) == "test example 1"
    assert dataset(given=given).name(1) == "train example 1"


def test_fewer_than_two_examples():
    with pytest.raises(DataError, match=r"here: 1 example, and training needs at least 2; add examples"):
        check(dataset(y=(0,)), "here")


def test_one_class_only():
    with pytest.raises(DataError, match=r"here: every one of the 3 examples has the class 'dog'; two classes"):
        check(dataset(y=(1, 1, 1)), "here")


@pytest.mark.parametrize("label", [2, -1])
def test_label_out_of_range(label):
    message = rf"here: example 2 has the label {label}, and there are 2 classes; labels go from 0 to 1; 1 do not"
    with pytest.raises(DataError, match=message):
        check(dataset(y=(0, 1, label)), "here")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value):
    x = np.zeros((4, 2, 3, 1), np.float32)
    x[1, 1, 2, 0] = x[1, 0, 1, 0] = x[3, 0, 0, 0] = value
    message = rf"here: example 1 has the value {value} at \[0, 1, 0\] \(2 of its values\); .* infinite values: 2"
    with pytest.raises(DataError, match=message):
        check(dataset(x), "here")


def test_not_finite_in_a_late_part_of_large_data():
    x = np.zeros((5, 2**22 + 1), np.float32)  # more than the 2**24 values that are looked at in one go
    x[4, 7] = np.nan
    with pytest.raises(DataError, match=r"example 4 has the value nan at \[7\]"):
        check(dataset(x, y=(0, 1, 0, 1, 0)), "here")


def test_classes_without_examples_are_noted():
    checked = check(dataset(classes=("cat", "dog", "elk", "fox")), "here")
    assert checked.notes == ("here: 2 of the 4 classes have no example: elk, fox",)


def test_load_resizes_and_is_read_only():
    small = load(Digits(source="digits"), Path("."))
    large = load(Digits(source="digits", resize=(16, 12)), Path("."))
    assert large.x.shape == (1797, 16, 12, 1)
    assert large.digests == small.digests
    with pytest.raises(ValueError, match="read-only"):
        large.x[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        large.y[0] = 0


def test_resize_that_does_not_fit_the_axes():
    with pytest.raises(SpecError, match=r"data\.resize has 3 numbers, \[8, 8, 8\], and the data 2 spatial axes"):
        load(Digits(source="digits", resize=(8, 8, 8)), Path("."))


def test_resize_beyond_memory():
    message = (
        r"digits: 1,797 examples of 1000000 x 1000000 would take [\d,.]+ GiB, and .*; choose a smaller data.resize"
    )
    with pytest.raises(DataError, match=message):
        load(Digits(source="digits", resize=1_000_000), Path("."))


def test_find_starts_at_the_base(tmp_path):
    (tmp_path / "a.npz").touch()
    assert find("a.npz", tmp_path) == tmp_path / "a.npz"
    assert find(str(tmp_path / "a.npz"), Path("/")) == tmp_path / "a.npz"


def test_find_names_the_nearest(tmp_path):
    (tmp_path / "flowers.npz").touch()
    with pytest.raises(DataError, match=r"flower.npz: no such file or folder; did you mean 'flowers\.npz'\?"):
        find("flower.npz", tmp_path)
    with pytest.raises(DataError, match=r"no such file or folder; a relative path starts at the spec file"):
        find("zzz", tmp_path)
    with pytest.raises(DataError, match=r"no folder .*missing; a relative path starts at the spec file"):
        find("missing/a.npz", tmp_path)
