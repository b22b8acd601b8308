"""Reading a spec: every error at once, each with its position, path, value and the nearest name."""

from pathlib import Path

import pytest

from cnnlab.errors import SpecError, SpecErrors
from cnnlab.spec.load import load, parse

HEAD = "data: {source: digits}\n"
SHORTEST = HEAD + "model: {name: lenet5}\n"


# ---------------------------------------------------------------- all errors at once

MISTAKEN = """\
# Everything that can go wrong at once.
nmae: digits
seed: -1
data:
  source: digits
  batch_size: big
  resize: [8, x]
  augment:
    - shfit: 2
    - flip: sideways
model:
  layers:
    - conv: {features: 8, kernel: 3, strid: 2}
    - relue
    - dropout: 1.5
    - residual:
        body:
          - conv: {kernel: 3}
    - max_pool: 2
      batch_norm:
    - dense: clases
optimizer:
  name: addam
loss: {label_smoothing: 1}
train:
  epochs: 10
  epochs: 20
  early_stopping: {metric: validation/acc, patience: no}
"""

SENTENCES = """\
bad.yaml:2:1: nmae: unknown key (value 'digits'); did you mean 'name'?
bad.yaml:3:7: seed: must be at least 0, not -1
bad.yaml:6:15: data.batch_size: must be one of all, a whole number, not 'big'
bad.yaml:7:11: data.resize: must be a whole number from 1, a list of one per axis, {shorter: 256} or {longer: 256}, \
not [8, 'x']
bad.yaml:9:7: data.augment[0].shfit: unknown key (value 2); did you mean 'shift'?
bad.yaml:10:13: data.augment[1].flip: must be one of horizontal, vertical, both, not 'sideways'
bad.yaml:13:38: model.layers[0].conv.strid: unknown key (value 2); did you mean 'stride'?
bad.yaml:14:7: model.layers[1]: no layer 'relue'; did you mean 'relu'?
bad.yaml:15:16: model.layers[2].dropout: must be less than 1.0, not 1.5
bad.yaml:18:13: model.layers[3].residual.body[0].conv.features: required, and not there
bad.yaml:19:7: model.layers[4]: a layer is one word with its settings, not {'max_pool': 2, 'batch_norm': None}; \
write - relu, or - conv: {features: 32, kernel: 3}
bad.yaml:21:14: model.layers[5].dense: must be one of classes, a whole number, not 'clases'; did you mean 'classes'?
bad.yaml:23:9: optimizer.name: no optimizer 'addam'; did you mean 'adam'?
bad.yaml:24:25: loss.label_smoothing: must be less than 1.0, not 1
bad.yaml:27:3: the key 'epochs' is given twice, first at bad.yaml:26:3; keep one of them
bad.yaml:28:28: train.early_stopping.metric: must be one of train/loss, train/accuracy, train/mae, \
train/errors, validation/loss, validation/accuracy, validation/f1, validation/mae, \
validation/rmse, validation/r2, validation/mse, validation/psnr, validation/mean_iou, validation/dice, \
not 'validation/acc'; did you mean 'validation/accuracy'?
bad.yaml:28:54: train.early_stopping.patience: must be a whole number, not 'no'"""


def test_every_error_of_a_spec_at_once_in_the_order_of_the_file():
    with pytest.raises(SpecErrors) as caught:
        parse(MISTAKEN, "bad.yaml")
    assert str(caught.value) == SENTENCES
    assert [str(error) for error in caught.value.errors] == SENTENCES.splitlines()
    assert caught.value.exit_code == 2


def test_errors_of_keys_that_are_missing_and_unknown_stand_side_by_side(refused):
    assert refused("modle: {name: lenet5}") == (
        "spec.yaml:1:1: model: required, and not there\n"
        "spec.yaml:1:1: modle: unknown key (value {'name': 'lenet5'}); did you mean 'model'?"
    )


def test_errors_are_sorted_by_line_as_a_number(refused):
    text = "model: {name: lenet5}\n" + "\n" * 8 + "seed: x\nnmae: y\n" + "\n" * 90 + "loss: 3\n"
    lines = [int(sentence.split(":")[1]) for sentence in refused(text).splitlines()]
    assert lines == [10, 11, 102]


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize("text", ["", "# nothing\n", "- a\n", "just text\n", "3\n"])
def test_a_spec_is_a_mapping(refused, text):
    assert refused(text) == (
        "spec.yaml: a spec is a mapping with the keys data and model; "
        "the shortest spec is 'data: {source: digits}' and 'model: {name: mlp}'"
    )


def test_a_missing_spec_names_the_nearest_file(tmp_path):
    (tmp_path / "lenet5.yaml").write_text(SHORTEST)
    with pytest.raises(SpecError, match=r"lenet.yaml: no such spec file; did you mean 'lenet5.yaml'\?$"):
        load(tmp_path / "lenet.yaml")
    with pytest.raises(SpecError, match=r"nowhere/a.yaml: no such spec file; 'cnnlab init' writes one$"):
        load(tmp_path / "nowhere" / "a.yaml")


def test_a_directory_and_a_binary_file_are_no_specs(tmp_path):
    with pytest.raises(SpecError, match=r"is a directory, not a spec; name a .yaml file"):
        load(tmp_path)
    binary = tmp_path / "model.yaml"
    binary.write_bytes(b"\x93NUMPY\xff")
    with pytest.raises(SpecError, match=r"model.yaml: cannot be read: .*; a spec is text in UTF-8"):
        load(binary)


def test_errors_of_a_file_start_with_its_path(tmp_path):
    path = tmp_path / "spec.yaml"
    path.write_text(SHORTEST + "seed: x\n")
    with pytest.raises(SpecErrors) as caught:
        load(path)
    assert str(caught.value) == f"{path}:3:7: seed: must be a whole number, not 'x'"


@pytest.mark.parametrize(
    ("file", "name"),
    [("lenet5.yaml", "lenet5"), ("my net (2).yml", "my-net--2-"), ("_x.yaml", "x"), ("é.yaml", "experiment")],
)
def test_the_default_name_is_the_files(tmp_path, file, name):
    (tmp_path / file).write_text(SHORTEST)
    assert load(tmp_path / file).name == name


def test_a_given_name_goes_before_the_files(tmp_path):
    (tmp_path / "a.yaml").write_text("name: b\n" + SHORTEST)
    assert load(tmp_path / "a.yaml").name == "b"
    assert load(tmp_path / "a.yaml", ["name=c"]).name == "c"


@pytest.mark.parametrize("source", ["npz", "image_folder", "idx", "cifar10", "npy", "csv, images: a, labels: b"])
def test_a_relative_path_starts_at_the_spec(tmp_path, monkeypatch, source):
    (tmp_path / "specs").mkdir()
    spec = tmp_path / "specs" / "a.yaml"
    spec.write_text(f"data: {{source: {source}, path: ../arrays/data}}\nmodel: {{name: lenet5}}\n")
    monkeypatch.chdir(tmp_path)
    for path in (spec, Path("specs/a.yaml")):
        assert load(path).data.path == str(tmp_path / "arrays" / "data")


@pytest.mark.parametrize("model", ["name: lenet5", "layers: [flatten, dense: classes]"])
def test_a_relative_path_of_weights_starts_at_the_spec(tmp_path, monkeypatch, model):
    (tmp_path / "specs").mkdir()
    spec = tmp_path / "specs" / "a.yaml"
    spec.write_text(HEAD + f"model: {{{model}, weights: ../stored/a.safetensors}}\n")
    monkeypatch.chdir(tmp_path)
    for path in (spec, Path("specs/a.yaml")):
        assert load(path).model.weights == str(tmp_path / "stored" / "a.safetensors")
    assert load(spec, ["model.weights=b.safetensors"]).model.weights == str(tmp_path / "specs" / "b.safetensors")
    assert load(spec, ["model.weights=/x/b"]).model.weights == "/x/b"
    monkeypatch.setenv("HOME", "/home/me")
    assert load(spec, ["model.weights=~/runs/a"]).model.weights == "/home/me/runs/a"
    assert load(spec, ["model.weights=null"]).model.weights is None


def test_relative_paths_of_two_arrays_start_at_the_spec(tmp_path):
    (tmp_path / "a.yaml").write_text("data: {source: npy, x: a.npy, y: /b.npy}\nmodel: {name: lenet5}\n")
    data = load(tmp_path / "a.yaml").data
    assert (data.x, data.y, data.path, data.where) == (str(tmp_path / "a.npy"), "/b.npy", None, str(tmp_path / "a.npy"))


def test_absolute_paths_and_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    spec = tmp_path / "a.yaml"
    for given, expected in (("/elsewhere/x.npz", "/elsewhere/x.npz"), ("~/x.npz", f"{tmp_path}/home/x.npz")):
        spec.write_text(f"data: {{source: npz, path: {given}}}\nmodel: {{name: lenet5}}\n")
        assert load(spec).data.path == expected


def test_a_run_that_has_begun_is_read_though_todays_rules_refuse_its_spec(tmp_path):
    path = tmp_path / "resolved.yaml"
    path.write_text("model: {name: lenet5}\ntrain: {epochs: 3, early_stopping: {patience: 8}}\n")
    assert load(path, begun=True).train.epochs == 3
    with pytest.raises(SpecError, match=r"8 epochs of patience, and train.epochs is 3; lower it, or leave it out$"):
        load(path)
