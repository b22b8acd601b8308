"""A spec with `crop`: training, eval and predict see images of one size, and predict what eval says."""

import csv
import json

import numpy as np
import pytest
from PIL import Image


def test_predict_and_eval_see_the_same_centre(cnnlab, small):
    spec = small.read_text().replace(
        "augment: [shift: 1, rotate: 10,", "crop: 4\n  augment: [random_crop: 4, rotate: 10,"
    )
    small.write_text(spec.replace("split:", "resize: 8\n  split:"))
    ended = cnnlab("train", small, "train.epochs=1", "--quiet", "--run", "run")
    assert ended.code == 0, ended.err
    data = json.loads((small.parent / "run" / "data.json").read_text())
    assert data["evaluation"] == {"resize": [8, 8], "crop": [4, 4]}
    assert data["input_shape"] == [4, 4, 1]
    assert json.loads((small.parent / "run" / "model.json").read_text())["input_shape"] == [4, 4, 1]
    with (small.parent / "run" / "eval" / "test" / "predictions.csv").open() as file:
        evaluated = list(csv.DictReader(file))
    ended = cnnlab("predict", "run", "small.npz", "--json")
    assert ended.code == 0, ended.err
    answers = json.loads(ended.out)
    assert isinstance(answers, list | dict)
    predicted = answers["predictions"] if isinstance(answers, dict) else answers
    assert len(evaluated) == 18
    for row in evaluated:
        answer = predicted[int(row["index"])]
        assert answer["class"] == row["predicted"]
        assert answer["probability"] == pytest.approx(float(row["probability"]), abs=1e-4)
    assert cnnlab("eval", "run").code == 0
    assert np.load("small.npz")["x"].shape == (90, 6, 6)


@pytest.fixture
def photos(tmp_path, monkeypatch) -> str:
    """A spec of 24 PNGs of two classes in six sizes, dark or bright, in tmp_path, the current directory."""
    random = np.random.default_rng(0)
    for i in range(24):
        path = tmp_path / "photos" / ("dark", "bright")[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = [(20, 30), (30, 20), (24, 24), (40, 22), (21, 50), (33, 31)][i // 2 % 6]
        Image.fromarray(random.integers(0, 140, (*size, 3), dtype=np.uint8) + np.uint8(90 * (i % 2))).save(path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos.yaml").write_text(PHOTOS)
    return "photos.yaml"


PHOTOS = """\
data:
  source: image_folder
  path: photos
  split: {train: 12, validation: 4, test: 8}
  resize: {shorter: 16}
  crop: 13
  batch_size: 4
model: {layers: [conv: {features: 4, kernel: 3}, relu, global_avg_pool, dense: classes]}
train: {epochs: 1}
"""


@pytest.mark.parametrize("overrides", [(), ("data.resize={longer: 16}", "data.crop=16")])
def test_the_aspect_stays_in_training_eval_predict_and_exported_weights(cnnlab, photos, overrides):
    ended = cnnlab("train", photos, *overrides, "--quiet", "--run", "run")
    assert ended.code == 0, ended.err
    with open("run/eval/test/predictions.csv") as file:
        evaluated = list(csv.DictReader(file))
    assert cnnlab("export-weights", "run", "-o", "w.safetensors").code == 0
    files = [f"photos/{row['file']}" for row in evaluated]
    for arguments in (("run", *files), ("--weights", "w.safetensors", *files)):
        answers = json.loads(cnnlab("predict", *arguments, "--json").out)
        for row, answer in zip(evaluated, answers, strict=True):
            assert answer["class"] == row["predicted"]
            assert answer["probability"] == pytest.approx(float(row["probability"]), abs=1e-6)
    assert cnnlab("data", "check", photos, *overrides).code == 0


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("{shorter: 16, longer: 20}", "data.resize: takes shorter or longer, one of them"),
        ("{}", "data.resize: takes shorter or longer, one of them"),
        ("{shorter: 0}", "data.resize.shorter: must be at least 1, not 0"),
        ("{short: 16}", "data.resize.short: unknown key (value 16); did you mean 'shorter'?"),
        ("0", "data.resize: must be a whole number from 1, a list of one per axis, {shorter: 256} or {longer: 256}"),
        ("{shorter: 12}", "data.crop is 13 x 13, and the examples are 12 x 12; give a data.resize that is larger"),
    ],
)
def test_a_size_that_cannot_be_is_a_sentence(cnnlab, photos, value, sentence):
    ended = cnnlab("check", photos, f"data.resize={value}")
    assert (ended.code, len(ended.err.splitlines())) == (2, 1)
    assert sentence in ended.err
