"""Answers to files as .npz, CSV and JSON: what was computed, to the last bit."""

import csv
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnlab.errors import DataError
from cnnlab.report.answers import check_name, document, rows, save
from cnnlab.runs.prediction import Answers

TWO = Answers(
    ["a.npy", "a.npy", "b, c.png"],
    [0, 1, 0],
    np.array([[0.25, 0.75], [0.5, 0.5], [1, 0]], np.float32),
    ("cat", 'd"g'),
)
MAPS = Answers(["a.npy"], [0], np.zeros((1, 4, 5, 2), np.float32), ("in", "out"))


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_class_and_probability():
    """Of two that are equal the first wins, as in argmax."""
    assert rows(TWO, None) == (
        'file,index,class,probability\na.npy,0,"d""g",0.75\na.npy,1,cat,0.5\n"b, c.png",0,cat,1.0\n'
    )
    assert document(TWO, None) == [
        {"file": "a.npy", "index": 0, "class": 'd"g', "probability": 0.75},
        {"file": "a.npy", "index": 1, "class": "cat", "probability": 0.5},
        {"file": "b, c.png", "index": 0, "class": "cat", "probability": 1.0},
    ]


@pytest.mark.parametrize("output", ["logits", "probabilities"])
def test_all_values_under_the_names_of_the_classes(output):
    wanted = [["a.npy", "0", "0.25", "0.75"], ["a.npy", "1", "0.5", "0.5"], ["b, c.png", "0", "1.0", "0.0"]]
    assert table(rows(TWO, output)) == [["file", "index", "cat", 'd"g'], *wanted]
    assert document(TWO, output) == [
        {"file": "a.npy", "index": 0, output: [0.25, 0.75]},
        {"file": "a.npy", "index": 1, output: [0.5, 0.5]},
        {"file": "b, c.png", "index": 0, output: [1, 0]},
    ]


def test_features_are_numbered():
    answers = Answers(["x.npy"], [7], np.array([[1, 2, 3]], np.float32), ("cat", "dog"))
    assert rows(answers, "features") == "file,index,0,1,2\nx.npy,7,1.0,2.0,3.0\n"
    assert document(answers, "features") == [{"file": "x.npy", "index": 7, "features": [1, 2, 3]}]


@given(st.lists(st.lists(st.floats(width=32, allow_nan=False), min_size=3, max_size=3), min_size=1, max_size=4))
def test_numbers_keep_all_their_digits(values):
    array = np.array(values, np.float32)
    answers = Answers(["x"] * len(array), list(range(len(array))), array, ("a", "b", "c"))
    read = np.array([row[2:] for row in table(rows(answers, "logits"))[1:]], np.float64).astype(np.float32)
    np.testing.assert_array_equal(read, array)
    listed = json.loads(json.dumps(document(answers, "logits")))
    np.testing.assert_array_equal(np.array([row["logits"] for row in listed], np.float64).astype(np.float32), array)


def test_maps_have_no_class_and_no_line_but_numbers():
    with pytest.raises(DataError) as error:
        rows(MAPS, None)
    sentence = "the network gives 4x5x2 for an example, and no class; ask for --output logits -o values.npz"
    assert str(error.value) == sentence
    with pytest.raises(DataError) as error:
        document(MAPS, None)
    assert str(error.value) == sentence
    with pytest.raises(DataError) as error:
        rows(MAPS, "features")
    assert str(error.value) == (
        "the features of an example are 4x5x2, and a line of CSV is a vector; write them to a file with -o values.npz"
    )
    assert document(MAPS, "logits") == [{"file": "a.npy", "index": 0, "logits": np.zeros((4, 5, 2)).tolist()}]


@pytest.mark.parametrize(("answers", "output"), [(TWO, "probabilities"), (TWO, "logits"), (MAPS, "features")])
def test_an_npz_file_has_it_all(tmp_path, answers, output):
    path = tmp_path / "out.npz"
    save(path, answers, output)
    with np.load(path, allow_pickle=False) as found:
        assert sorted(found) == sorted([output, "files", "indices", "classes"])
        assert found[output].dtype == np.float32
        np.testing.assert_array_equal(found[output], answers.values)
        assert found["files"].tolist() == answers.files
        assert found["indices"].tolist() == answers.indices
        assert tuple(found["classes"]) == answers.classes


@pytest.mark.parametrize(("name", "suffix"), [("out.csv", ".csv"), ("out", ""), ("out.npy", ".npy")])
def test_only_npz_files_are_written(tmp_path, name, suffix):
    for act in (check_name, lambda path: save(path, TWO, "logits")):
        with pytest.raises(DataError) as error:
            act(tmp_path / name)
        assert str(error.value) == f"{tmp_path / name}: '{suffix}' is no format of answers; name an .npz file"
    assert list(tmp_path.iterdir()) == []


def test_of_reconstructions_the_error_is_said_and_kept(tmp_path):
    made = Answers(
        ["a.npy", "a.npy"], [0, 1], np.ones((2, 4, 5, 1), np.float32), ("in", "out"), (), mse=np.array([0.5, 2])
    )
    assert rows(made, None) == "file,index,mse\na.npy,0,0.5\na.npy,1,2.0\n"
    assert document(made, None)[1] == {"file": "a.npy", "index": 1, "mse": 2.0}
    with pytest.raises(DataError, match="the reconstruction of an example are 4x5x1, and a line of CSV is a vector"):
        rows(made, "reconstruction")
    save(tmp_path / "made.npz", made, "reconstruction")
    with np.load(tmp_path / "made.npz") as file:
        assert file["reconstruction"].shape == (2, 4, 5, 1)
        assert file["mse"].tolist() == [0.5, 2.0]


def test_values_that_are_no_classes_are_numbered():
    answers = Answers(["x.npy"], [0], np.array([[1, 2, 3]], np.float32), ("cat", "dog"))
    assert rows(answers, "code") == rows(answers, "logits") == "file,index,0,1,2\nx.npy,0,1.0,2.0,3.0\n"
