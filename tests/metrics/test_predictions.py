"""Predictions and their CSV: it has every bit."""

import csv
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.errors import DataError
from cnnlab.metrics.predictions import COLUMNS, Predictions, csv_text, records_csv, to_csv

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


def assert_read_back(text: str, predictions: Predictions, classes) -> list[dict[str, str]]:
    """Checks what the table says to the last bit, and returns its rows."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    assert tuple(reader.fieldnames or ()) == COLUMNS
    rows = list(reader)
    assert [row["true"] for row in rows] == [classes[k] for k in predictions.labels]
    assert [row["predicted"] for row in rows] == [classes[k] for k in predictions.predicted]
    assert [int(row["rank"]) for row in rows] == predictions.rank.tolist()
    for name in ("probability", "loss"):
        found = np.array([float(row[name]) for row in rows], np.float32)
        np.testing.assert_array_equal(found.view(np.uint32), getattr(predictions, name).view(np.uint32))
    return rows


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
    rows = assert_read_back(text, predictions, classes)
    assert [int(row["index"]) for row in rows] == indices.tolist()
    assert [row["file"] for row in rows] == files


def test_csv_survives_a_file(tmp_path):
    names = ("a,b", 'say "x"', "two\nlines", "old\rmac", "dos\r\nline", "猫 é")
    predictions = predictions_of(range(6), range(6))
    path = tmp_path / "predictions.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(to_csv(predictions, names, files=names))
    with path.open(encoding="utf-8", newline="") as file:
        rows = assert_read_back(file.read(), predictions, names)
    assert tuple(row["file"] for row in rows) == names


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


def test_records_have_their_names_above_and_nothing_for_none():
    assert records_csv([{"class": "a,b", "iou": 0.5}, {"class": "c", "iou": None}]) == 'class,iou\n"a,b",0.5\nc,\n'


def test_two_classes_of_one_name_are_refused():
    with pytest.raises(DataError, match=r"^two classes are named 'cat'; a table by name needs each name once$"):
        to_csv(predictions_of([0], [1]), ("cat", "cat"))


def test_arrays_must_fit_together():
    with pytest.raises(ValueError, match=r"^Predictions.rank has shape \(1,\); all fields are 1-D and .* \(2,\)$"):
        predictions_of([0, 1], [0, 1], rank=[0])
    one = np.zeros(1, np.float32)
    with pytest.raises(ValueError, match=r"^Predictions.predicted is float32; it must be an integer type$"):
        Predictions(np.zeros(1, int), one, one, one, np.zeros(1, int))
    with pytest.raises(ValueError, match=r"^Predictions.loss is float64; it must be float32$"):
        Predictions(np.zeros(1, int), np.zeros(1, int), one, one.astype(np.float64), np.zeros(1, int))
