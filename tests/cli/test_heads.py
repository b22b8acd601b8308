"""Several heads from a spec to tables, pictures and answers: which digit, and where it is."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

SPEC = """\
task:
  name: heads
  heads:
    digit:
      task: classification
      layers: [conv: {features: 8, kernel: 3, stride: 2}, batch_norm, relu, global_max_pool, dense: classes]
    place:
      task: segmentation
      weight: 0.5
      layers: [conv: {features: 11, kernel: 1}]
data: {source: digit_scenes, examples: 60, size: 16, scale: 1.5, batch_size: 16, augment: [shift: 1]}
model: {name: unet, depth: 1, width: 4, padding: same}
optimizer: {learning_rate: 0.01}
train: {epochs: 2, early_stopping: {metric: validation/digit/accuracy, patience: 2}}
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("scenes.yaml").write_text(SPEC)
    return tmp_path


def test_a_run_has_the_tables_of_both_and_answers_with_both(here, cnnlab):
    ended = cnnlab("train", "scenes.yaml")
    assert ended.code == 0, ended.err
    assert "by validation/digit/accuracy" in ended.out
    assert "\ndigit: classification, weight 1\n" in ended.out
    assert "\nplace: segmentation, weight 0.5\n" in ended.out
    (first, _) = csv.DictReader(Path("runs/scenes/history.csv").read_text().splitlines())
    assert {"train/loss", "train/digit/accuracy", "validation/place/mean_iou", "validation/digit/f1"} <= set(first)
    total = float(first["validation/digit/loss"]) + 0.5 * float(first["validation/place/loss"])
    assert float(first["validation/loss"]) == pytest.approx(total, rel=1e-5)

    folder = Path("runs/scenes/eval/test")
    for name in ("digit/per_class.csv", "digit/confusion_matrix.png", "place/overlays.png", "place/per_class.csv"):
        assert (folder / name).stat().st_size > 0
    metrics = json.loads((folder / "metrics.json").read_text())
    assert (metrics["task"], list(metrics["heads"])) == ("heads", ["digit", "place"])
    again = cnnlab("eval", "runs/scenes", "--json")
    assert json.loads(again.out) == metrics

    np.save("x.npy", np.zeros((2, 16, 16, 1), np.uint8))
    said = cnnlab("predict", "runs/scenes", "x.npy")
    assert said.out.splitlines()[0] == "file,index,digit class,digit probability"
    assert "note: place gives a map for every example" in said.err
    (answer, _) = json.loads(cnnlab("predict", "runs/scenes", "x.npy", "--json").out)
    assert (list(answer), list(answer["digit"])) == (["file", "index", "digit"], ["class", "probability"])
    assert cnnlab("predict", "runs/scenes", "x.npy", "-o", "a.npz").code == 0
    with np.load("a.npz") as arrays:
        assert arrays["digit/probabilities"].shape == (2, 10)
        assert arrays["place/probabilities"].shape == (2, 16, 16, 11)
        np.testing.assert_allclose(arrays["place/probabilities"].sum(-1), 1, rtol=1e-5)

    alone = "task: segmentation\n" + SPEC[SPEC.index("data:") :]
    Path("heads.yaml").write_text(SPEC.replace("name: unet", "name: unet, weights: runs/scenes"))
    assert cnnlab("check", "heads.yaml").code == 0
    Path("alone.yaml").write_text(alone.replace("name: unet", "name: unet, weights: runs/scenes, new_head: true"))
    watched = "train.early_stopping={metric: validation/loss, patience: 1}"
    again = cnnlab("train", "alone.yaml", "train.epochs=1", watched)
    assert again.code == 0, again.err
    Path("back.yaml").write_text(SPEC.replace("name: unet", "name: unet, weights: runs/alone, new_head: true"))
    assert cnnlab("check", "back.yaml").code == 0

    refused = cnnlab("export-weights", "runs/scenes", "-o", "w.safetensors")
    assert (refused.code, refused.out) == (2, "")
    assert "several heads have no names in torch" in refused.err


def test_a_metric_of_no_head_is_told(here, cnnlab):
    ended = cnnlab("train", "scenes.yaml", "train.early_stopping.metric=validation/digits/accuracy")
    assert ended.code == 2
    assert "heads has no figure validation/digits/accuracy" in ended.err
    assert "did you mean 'validation/digit/accuracy'?" in ended.err
