"""From a spec to data ready to train on, and back from a run's files."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cnnlab.data.fingerprint import dataset_fingerprint, split_fingerprint
from cnnlab.data.prepare import describe, prepare, restore, splits_csv, splits_from_csv, statistics
from cnnlab.errors import DataError, SpecError
from cnnlab.spec.augment import Augmentation
from cnnlab.spec.data import Digits, ImageFolder, Npz
from cnnlab.spec.split import Split

HERE = Path(".")
DIGITS = Digits(source="digits")


def write_npz(folder, **more):
    random = np.random.default_rng(0)
    arrays = {"x": random.integers(0, 256, (40, 6, 5, 3), dtype=np.uint8), "y": np.arange(40) % 4}
    np.savez(folder / "data.npz", **(arrays | more))
    return Npz(source="npz", path="data.npz", batch_size=8)


# ---------------------------------------------------------------- prepare


def test_digits():
    prepared = prepare(DIGITS, HERE, seed=0)
    assert prepared.input_shape == (8, 8, 1)
    assert prepared.classes == tuple("0123456789")
    assert prepared.counts == {"train": 1258, "validation": 270, "test": 269}
    assert prepared.notes == ()


def test_normalisation_is_of_the_training_split(tmp_path):
    prepared = prepare(write_npz(tmp_path), tmp_path, seed=0)
    train = prepared.dataset.x[prepared.splits["train"]] / 255
    np.testing.assert_allclose(prepared.mean, train.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(prepared.std, train.std((0, 1, 2)), rtol=1e-6)
    assert prepared.mean.dtype == prepared.std.dtype == np.float32


def test_without_normalisation(tmp_path):
    spec = write_npz(tmp_path).model_copy(update={"normalize": False})
    prepared = prepare(spec, tmp_path, seed=0)
    assert prepared.mean.tolist() == [0, 0, 0]
    assert prepared.std.tolist() == [1, 1, 1]


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 30), st.integers(1, 6), st.integers(1, 4)),
    offset=st.sampled_from([0.0, 1e6]),
    seed=st.integers(0, 99),
)
def test_statistics_of_floats(shape, offset, seed):
    x = (np.random.default_rng(seed).normal(size=shape) + offset).astype(np.float32)
    indices = np.arange(0, len(x), 2)
    mean, std = statistics(x, indices)
    exact = x[indices].astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean((0, 1)), rtol=1e-6, atol=1e-6)
    expected = exact.std((0, 1))
    np.testing.assert_allclose(std, np.where(expected == 0, 1, expected), rtol=1e-5)


def test_statistics_in_parts():
    x = np.random.default_rng(0).integers(0, 256, (5, 700_001, 1), dtype=np.uint8)  # a part holds 2**20 values
    mean, std = statistics(x, np.array([0, 1, 3, 4]))
    assert mean[0] == pytest.approx(x[[0, 1, 3, 4]].mean() / 255, rel=1e-6)
    assert std[0] == pytest.approx(x[[0, 1, 3, 4]].std() / 255, rel=1e-6)


@pytest.mark.parametrize("value", [0.1, 1e-20, 12345.678])
def test_a_constant_channel_has_deviation_one(value):
    x = np.random.default_rng(0).normal(size=(50, 7, 2)).astype(np.float32)
    x[..., 1] = value
    mean, std = statistics(x, np.arange(50))
    assert std[1] == 1
    assert std[0] != 1
    assert mean[1] == np.float32(value)


def test_batch_larger_than_the_training_split(tmp_path):
    spec = write_npz(tmp_path).model_copy(update={"batch_size": 29})
    with pytest.raises(SpecError, match=r"data\.batch_size is 29, and the training split has 28 examples; at most 28"):
        prepare(spec, tmp_path, seed=0)
    assert prepare(spec.model_copy(update={"batch_size": 28}), tmp_path, seed=0).counts["train"] == 28


def test_augmentation_that_does_not_fit(tmp_path):
    spec = write_npz(tmp_path).model_copy(update={"augment": (Augmentation(shift=5),)})
    with pytest.raises(SpecError, match=r"data\.augment\[0\]: shift: 5, and the examples are 6 x 5"):
        prepare(spec, tmp_path, seed=0)


def test_notes_are_gathered(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (40, 6, 5, 3), dtype=np.uint8)
    own = {"x_test": x[3:5], "y_test": np.array([3, 1]), "weight": x}
    notes = prepare(write_npz(tmp_path, x=x, **own), tmp_path, seed=0).notes
    assert notes[0] == "data.npz: the array 'weight' is not used"
    assert sum("of the 2 test examples are in" in note for note in notes) >= 1
    assert notes[-2] == "1 examples carry another label than an identical one, for example train example 4 ('0') " + (
        "and test example 1 ('1')"
    )
    assert notes[-1] == "2 classes have no test example: 0, 2"


# ---------------------------------------------------------------- data.json


def test_description():
    prepared = prepare(DIGITS, HERE, seed=0)
    found = describe(prepared)
    assert json.loads(json.dumps(found)) == found
    splits, y = prepared.splits, prepared.dataset.y
    assert found == {
        "source": "digits",
        "classes": list("0123456789"),
        "input_shape": [8, 8, 1],
        "dtype": "float32",
        "counts": {"train": 1258, "validation": 270, "test": 269},
        "counts_per_class": {
            name: [int((y[indices] == label).sum()) for label in range(10)] for name, indices in splits.items()
        },
        "targets": {},
        "imbalance": {
            "ratio": 128 / 122,
            "largest": {"class": "3", "examples": 128},
            "smallest": {"class": "8", "examples": 122},
        },
        "fingerprints": {"data": dataset_fingerprint(prepared.dataset)}
        | {name: split_fingerprint(prepared.dataset, indices) for name, indices in splits.items()},
        "evaluation": {"resize": [8, 8], "crop": None},
        "normalization": {"mean": [float(prepared.mean[0])], "std": [float(prepared.std[0])]},
        "notes": [],
        "skipped": [],
    }


# ---------------------------------------------------------------- splits.csv


def write_images(root, names):
    for value, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 4), value).save(root / name)
    return ImageFolder(source="image_folder", path=".", batch_size=1)


def test_splits_as_csv(tmp_path):
    names = [f'{kind}/{i}, "{kind}"\n.png' for kind in ("cat", "dog, or wolf") for i in range(6)]
    prepared = prepare(write_images(tmp_path, names), tmp_path, seed=0)
    text = splits_csv(prepared)
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["file"] for row in rows] == names
    assert [row["class"] for row in rows] == ["cat"] * 6 + ["dog, or wolf"] * 6
    assert [int(row["index"]) for row in rows] == list(range(12))
    back = splits_from_csv(text)
    assert {name: indices.tolist() for name, indices in back.items()} == {
        name: indices.tolist() for name, indices in prepared.splits.items()
    }
    assert all(indices.dtype == np.int64 for indices in back.values())


def test_digits_have_no_files():
    text = splits_csv(prepare(DIGITS.model_copy(update={"split": Split(train=1)}), HERE, seed=0))
    assert text.startswith("index,split,class,file\n0,train,0,\n1,train,1,\n")
    assert list(splits_from_csv(text)) == ["train"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"splits\.csv: the first line must be index,split,class,file; restore the run's splits\.csv"),
        ("index,split\n0,train\n", r"the first line must be index,split,class,file"),
        ("index,split,class,file\n0,train,a,\n1,trian,a,\n", r"row 3 is \['1', 'trian', 'a', ''\]"),
        ("index,split,class,file\n-1,train,a,\n", r"row 2 is \['-1'"),
        ("index,split,class,file\n01,train,a,\n", r"row 2 is \['01'"),
        ("index,split,class,file\n1,train\n", r"row 2 is \['1', 'train'\]"),
        ("index,split,class,file\n1,train,a,\n1,test,a,\n", r"an index stands there twice"),
    ],
)
def test_damaged_splits(text, message):
    with pytest.raises(DataError, match=message):
        splits_from_csv(text)


# ---------------------------------------------------------------- restore


def test_restored_as_it_was(tmp_path):
    spec = write_npz(tmp_path)
    prepared = prepare(spec, tmp_path, seed=3)
    description = json.loads(json.dumps(describe(prepared)))
    restored = restore(spec, tmp_path, splits_from_csv(splits_csv(prepared)), description)
    assert describe(restored) == describe(prepared)
    for name, indices in prepared.splits.items():
        np.testing.assert_array_equal(restored.splits[name], indices)
    np.testing.assert_array_equal(restored.mean, prepared.mean)
    np.testing.assert_array_equal(restored.std, prepared.std)


def test_restored_with_another_resize_rounding(tmp_path, monkeypatch):
    """What a processor makes of the last digit is not a change of the data."""
    spec = DIGITS.model_copy(update={"resize": 12})
    prepared = prepare(spec, tmp_path, seed=0)
    from cnnlab.data import geometry

    monkeypatch.setattr(geometry, "resize", lambda x, size: np.zeros((len(x), *size, 1), np.float32))
    restored = restore(spec, tmp_path, prepared.splits, describe(prepared))
    np.testing.assert_array_equal(restored.mean, prepared.mean)


def test_data_that_changed(tmp_path):
    spec = write_npz(tmp_path)
    prepared = prepare(spec, tmp_path, seed=0)
    x = prepared.dataset.x.copy()
    x[7, 0, 0, 0] ^= 1
    write_npz(tmp_path, x=x)
    message = r"data\.npz: the data changed since training: 40 examples with the fingerprint \w{12}, and it was 40 with"
    with pytest.raises(DataError, match=message):
        restore(spec, tmp_path, prepared.splits, describe(prepared))
    write_npz(tmp_path, x=x[:30], y=np.arange(30) % 4)
    with pytest.raises(DataError, match=r"30 examples with .*, and it was 40 with .*; put the data back as it was"):
        restore(spec, tmp_path, prepared.splits, describe(prepared))


def test_splits_that_changed(tmp_path):
    spec = write_npz(tmp_path)
    prepared = prepare(spec, tmp_path, seed=0)
    description = describe(prepared)
    splits = dict(prepared.splits)
    splits["test"], splits["validation"] = splits["validation"], splits["test"]
    with pytest.raises(DataError, match=r"splits\.csv: the validation split is not the one of the training"):
        restore(spec, tmp_path, splits, description)
    del splits["validation"]
    with pytest.raises(DataError, match=r"the validation split is not the one"):
        restore(spec, tmp_path, splits, description)
    splits = dict(prepared.splits) | {"test": np.array([40])}
    with pytest.raises(DataError, match=r"splits\.csv: an index is larger than the data"):
        restore(spec, tmp_path, splits, description)


def test_description_that_lacks_something(tmp_path):
    spec = write_npz(tmp_path)
    prepared = prepare(spec, tmp_path, seed=0)
    description = {key: value for key, value in describe(prepared).items() if key != "notes"}
    with pytest.raises(DataError, match=r"data\.json: no key 'notes'; restore the run's file"):
        restore(spec, tmp_path, prepared.splits, description)
    with pytest.raises(DataError, match=r"data\.json: no key 'fingerprints\.data'"):
        restore(spec, tmp_path, prepared.splits, describe(prepared) | {"fingerprints": {}})


def test_prepared_is_frozen():
    prepared = prepare(DIGITS, HERE, seed=0)
    with pytest.raises(AttributeError):
        prepared.mean = prepared.std
    assert replace(prepared, notes=("a",)).notes == ("a",)
