"""`data.classes`: some classes alone, in the spec's order."""

from pathlib import Path

import numpy as np
import pytest

from cnnlab.data.dataset import Dataset, load
from cnnlab.data.prepare import prepare
from cnnlab.data.subset import only_classes
from cnnlab.errors import DataError, SpecErrors
from cnnlab.spec.load import parse

Y = np.array([0, 1, 2, 0, 1, 2, 2, 0], np.int32)
FILES = tuple(f"{i}.png" for i in range(8))


def dataset() -> Dataset:
    x = np.arange(8 * 4, dtype=np.uint8).reshape(8, 2, 2, 1)
    given = {"train": np.array([0, 1, 2, 3, 5]), "test": np.array([4, 6, 7])}
    return Dataset(x, Y, ("a", "b", "c"), files=FILES, given=given)


def test_the_examples_of_the_classes_stay_with_all_that_belongs_to_them():
    whole, part = dataset(), only_classes(dataset(), ("c", "a"), "here")
    kept = [0, 2, 3, 5, 6, 7]
    assert part.classes == ("c", "a")
    assert part.y.tolist() == [1, 0, 1, 0, 0, 1]
    np.testing.assert_array_equal(part.x, whole.x[kept])
    assert part.files == tuple(FILES[i] for i in kept)
    assert part.digests == tuple(whole.digests[i] for i in kept)
    assert {name: indices.tolist() for name, indices in part.given.items()} == {"train": [0, 1, 2, 3], "test": [4, 5]}


def test_of_the_digits_some_are_left_and_every_split_has_them():
    data = parse("data: {source: digits, classes: [7, 3]}\nmodel: {name: mlp}", "s").data
    prepared = prepare(data, Path(), 0)
    assert prepared.classes == ("7", "3")
    assert sum(prepared.counts.values()) == 179 + 183
    all_digits = load(parse("data: {source: digits}\nmodel: {name: mlp}", "s").data, Path())
    np.testing.assert_array_equal(prepared.dataset.x[prepared.dataset.y == 1], all_digits.x[all_digits.y == 3])


def test_a_class_that_is_not_there_is_named():
    with pytest.raises(DataError) as caught:
        only_classes(dataset(), ("a", "d"), "here")
    assert str(caught.value) == "here: data.classes: no class 'd'; there are a, b, c"


@pytest.mark.parametrize(
    ("classes", "sentence"),
    [
        ("[5, 5]", "s:1:33: data.classes: names '5' twice"),
        ("[5]", "s:1:33: data.classes: must have at least 2 entries, not [5]"),
        ("[5, 6, 1.5]", "s:1:40: data.classes[2]: must be text, not 1.5"),
    ],
)
def test_a_list_that_makes_no_sense_is_told(classes, sentence):
    with pytest.raises(SpecErrors) as caught:
        parse(f"data: {{source: digits, classes: {classes}}}\nmodel: {{name: mlp}}", "s")
    assert str(caught.value) == sentence
