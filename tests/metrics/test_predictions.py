"""Predictions and their CSV: bit-for-bit round trips, and errors that say where."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.errors import DataError
from cnnlab.metrics.predictions import Predictions, concatenate, csv_text, from_csv, to_csv

CLASSES = ("cat", "dog")


def predictions_of(labels, predicted, probability=None, loss=None, rank=None) -> Predictions:
    n = len(labels)
    return Predictions(
        labels=np.array(labels, np.int64),
        predicted=np.array(predicted, np.int64),
        probability=np.array([0.5] * n if probability is None else probability, np.float32),
        loss=np.array([1.0] * n if loss is None else loss, np.float32),
        rank=np.array([0] * n if rank is None else rank, np.int64),
    )


def assert_same_bits(first: Predictions, second: Predictions) -> None:
    for name in ("labels", "predicted", "rank"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    for name in ("probability", "loss"):
        np.testing.assert_array_equal(getattr(first, name).view(np.uint32), getattr(second, name).view(np.uint32))


@st.composite
def tables(draw):
    """Classes with any names, and predictions, indices and files to go with them."""
    classes = draw(st.lists(st.text(max_size=8), min_size=1, max_size=5, unique=True))
    n = draw(st.integers(0, 6))

    def column(values):
        return draw(st.lists(values, min_size=n, max_size=n))

    a_class, a_float = st.integers(0, len(classes) - 1), st.floats(width=32, allow_nan=False)
    predictions = predictions_of(
        column(a_class), column(a_class), column(a_float), column(a_float), column(st.integers(0, 4))
    )
    indices = np.array(column(st.integers(0, 2**40)), np.int64)
    return classes, predictions, indices, column(st.text(max_size=8))


@given(tables())
def test_csv_gives_back_the_same_bits(table):
    classes, predictions, indices, files = table
    text = to_csv(predictions, classes, files=files, indices=indices)
    again, indices_again, files_again = from_csv(text, classes)
    assert_same_bits(again, predictions)
    np.testing.assert_array_equal(indices_again, indices)
    assert files_again == tuple(files)


def test_csv_survives_a_file(tmp_path):
    names = ("a,b", 'say "x"', "two\nlines", "old\rmac", "dos\r\nline", "猫 é")
    predictions = predictions_of(range(6), range(6))
    path = tmp_path / "predictions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(to_csv(predictions, names, files=names))
    with path.open(encoding="utf-8", newline="") as file:
        again, _, files = from_csv(file.read(), names)
    assert_same_bits(again, predictions)
    assert files == names


def test_csv_as_written():
    predictions = predictions_of([0, 1], [1, 1], [0.1, 1 / 3], [2.5, 1e-10], [1, 0])
    assert to_csv(predictions, CLASSES, files=["a.png", "b,c.png"], indices=np.array([7, 3])) == (
        "index,file,true,predicted,probability,loss,rank\n"
        "7,a.png,cat,dog,0.10000000149011612,2.5,1\n"
        '3,"b,c.png",dog,dog,0.3333333432674408,1.000000013351432e-10,0\n'
    )
    assert to_csv(predictions, CLASSES).splitlines()[1:] == [
        "0,,cat,dog,0.10000000149011612,2.5,1",
        "1,,dog,dog,0.3333333432674408,1.000000013351432e-10,0",
    ]


def test_csv_text_is_read_by_the_csv_module():
    rows = [["a\rb", 'c"d', "e,f", "g\nh", ""], ["plain", "1", "2", "3", "4"]]
    assert list(csv.reader(io.StringIO(csv_text(rows), newline=""))) == rows


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0,a,cat,dgo,0.1,1.0,0", r"^eval/predictions.csv:2: no class 'dgo'; did you mean 'dog'\?$"),
        ("0,a,zebra,dog,0.1,1.0,0", "^eval/predictions.csv:2: no class 'zebra'; the file belongs to other data$"),
        ("0,a,cat,dog,0.1", "^eval/predictions.csv:2: 5 columns instead of 7; the file is damaged$"),
        ("0,a,cat,dog,x,1.0,0", "^eval/predictions.csv:2: not a number: .*'x'; the file is damaged$"),
        ("0,a,cat,dog,0.1,1.0,0.5", "^eval/predictions.csv:2: not a number: .*'0.5'; the file is damaged$"),
        ('0,a,"cat,dog', "^eval/predictions.csv:2: this is not CSV: unexpected end of data$"),
    ],
)
def test_damaged_csv_says_where(line, message):
    header = to_csv(predictions_of([], []), CLASSES)
    with pytest.raises(DataError, match=message):
        from_csv(f"{header}{line}\n", CLASSES, where="eval/predictions.csv")


@pytest.mark.parametrize(("text", "columns"), [("", "''"), ("a,b\n1,2\n", "'a,b'")])
def test_other_header_is_refused(text, columns):
    with pytest.raises(DataError, match=f"^predictions.csv:1: the columns are {columns}; expected 'index,file,"):
        from_csv(text, CLASSES)


def test_two_classes_of_one_name_are_refused():
    with pytest.raises(DataError, match=r"^two classes are named 'cat'; a table by name needs each name once$"):
        to_csv(predictions_of([0], [1]), ("cat", "cat"))


def test_concatenate_keeps_the_order():
    first = predictions_of([0, 1], [1, 1], [0.1, 0.2], [3, 4], [1, 0])
    second = predictions_of([2], [2], [0.3], [5], [0])
    both = predictions_of([0, 1, 2], [1, 1, 2], [0.1, 0.2, 0.3], [3, 4, 5], [1, 0, 0])
    assert_same_bits(concatenate([first, second]), both)
    assert len(both) == 3
    assert len(concatenate([])) == 0


def test_arrays_must_fit_together():
    with pytest.raises(ValueError, match=r"^Predictions.rank has shape \(1,\); all fields are 1-D and .* \(2,\)$"):
        predictions_of([0, 1], [0, 1], rank=[0])
    one = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match=r"^Predictions.predicted is float32; it must be an integer type$"):
        Predictions(np.zeros(1, int), one, one, one, np.zeros(1, int))
    with pytest.raises(ValueError, match=r"^Predictions.loss is float64; it must be float32$"):
        Predictions(np.zeros(1, int), np.zeros(1, int), one, one.astype(np.float64), np.zeros(1, int))
