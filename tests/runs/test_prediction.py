import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def run(small, cnnlab) -> Path:
    assert cnnlab("train", small, "train.epochs=2", "--run", "run", "--quiet").code == 0
    return Path("run")


def test_predictions_are_those_of_the_evaluation(run, cnnlab):
    """The test split's examples as an array, as .npz and as PNG files give class and probability of eval."""
    stored = list(csv.DictReader((run / "eval/test/predictions.csv").read_text().splitlines()))
    with np.load("small.npz") as arrays:
        x = arrays["x"][[int(row["index"]) for row in stored]]
    np.save("batch.npy", x)
    np.savez("batch.npz", x=x[:2])
    Image.fromarray(x[0]).save("one.png")
    found = list(csv.DictReader(cnnlab("predict", run, "batch.npy", "batch.npz", "one.png").out.splitlines()))
    assert [(row["file"], row["index"]) for row in found] == [
        *(("batch.npy", str(i)) for i in range(len(x))),
        ("batch.npz", "0"),
        ("batch.npz", "1"),
        ("one.png", "0"),
    ]
    for mine, theirs in zip(found, [*stored, *stored[:2], stored[0]], strict=True):
        assert mine["class"] == theirs["predicted"]
        assert float(mine["probability"]) == pytest.approx(float(theirs["probability"]), rel=1e-6)


def test_json_and_a_single_example_without_batch_axis(run, cnnlab):
    np.save("single.npy", np.zeros((6, 6), np.uint8))
    (found,) = json.loads(cnnlab("predict", run, "single.npy", "--json").out)
    assert found["file"] == "single.npy"
    assert found["class"] in ("top", "middle", "bottom")


def test_other_sizes_are_resized(run, cnnlab):
    Image.new("RGB", (40, 30), "white").save("large.png")
    np.save("large.npy", np.zeros((2, 12, 12), np.uint8))
    assert len(cnnlab("predict", run, "large.png", "large.npy").out.splitlines()) == 4


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: "nothing.png", "nothing.png: no such file; name images, .npy or .npz files"),
        (lambda: _written("notes.txt", "x"), "notes.txt: '.txt' is neither an image nor an array"),
        (lambda: _written("broken.png", "x"), "broken.png: cannot read the image"),
        (lambda: _written("broken.npy", "x"), "broken.npy: cannot be read as an array"),
        (
            lambda: _saved(np.zeros((2, 6, 6, 3))),
            "the array has the shape [2, 6, 6, 3], and the run takes examples of 6x6x1",
        ),
        (lambda: _saved(np.full((1, 6, 6), np.nan)), "the array holds NaN or infinite values"),
        (lambda: _saved(np.array(["a"])), "numbers are wanted"),
    ],
)
def test_what_cannot_be_predicted_is_a_sentence(run, cnnlab, make, message):
    ended = cnnlab("predict", run, make())
    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def _written(name: str, text: str) -> str:
    Path(name).write_text(text)
    return name


def _saved(array: np.ndarray) -> str:
    np.save("array.npy", array)
    return "array.npy"


def test_an_image_does_not_fit_a_run_on_other_values(small, cnnlab):
    with np.load("small.npz") as arrays:
        changed = {**arrays, "x": arrays["x"].astype(np.float32) * 40}
    np.savez("small.npz", **changed)
    assert cnnlab("train", small, "train.epochs=1", "--run", "floats", "--quiet").code == 0
    Image.new("L", (6, 6)).save("one.png")
    ended = cnnlab("predict", "floats", "one.png")
    assert ended.code == 2
    assert "an image, and the run was trained on 6x6x1 of values that are no pixels" in ended.err
