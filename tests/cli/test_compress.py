"""`cnnlab compress`: the table against the run's own figures and counts by hand, and folders that are used as runs."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from cnnlab.runs.directory import open_run
from cnnlab.runs.network import network
from cnnlab.runs.pretrained import load_weights, prepare_experiment
from cnnlab.runs.weights import run_weights
from cnnlab.spec.load import load
from cnnlab.tasks import task_of
from cnnlab.weights.quantize import dequantized
from tests.conftest import well

pytestmark = pytest.mark.usefixtures("undrawn")

SPEC = """\
name: source
data: {source: npz, path: data.npz, split: {train: 0.6, validation: 0.2, test: 0.2}, batch_size: 20}
model:
  layers:
    - conv: {name: a, features: 8, kernel: 3}
    - batch_norm: {name: n}
    - relu
    - conv: {name: b, features: 8, kernel: 3, groups: 2}
    - relu
    - flatten
    - dense: {name: c, features: 12}
    - relu
    - dense: {name: head, features: classes}
optimizer: {learning_rate: {peak: 0.01}}
train: {epochs: 1, average: {decay: 0.9}}
"""
INPUTS = 6 * 6 * 8  # of the layer c
SIZES = {  # weights of the kernels, and of all the rest: biases, normalisation and its statistics
    "a": 9 * 8,
    "b": 9 * 4 * 8,
    "c": INPUTS * 12,
    "head": 12 * 3,
}
REST = 8 + 8 + 12 + 3 + 4 * 8
OUTS = {"a": 8, "b": 8, "c": 12, "head": 3}
HALVED = {"a": 4, "c": 6}
LOW = SIZES | {"a": 4 * (9 + 8), "c": 6 * (INPUTS + 12)}


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """A run, and two of what compression makes of it: `small`, of half the rank and eight bits, and `bits`."""
    folder = tmp_path_factory.mktemp("stored")
    random = np.random.default_rng(0)
    y = np.arange(100) % 3
    x = random.integers(0, 120, (100, 6, 6), dtype=np.uint8)
    for example, label in zip(x, y, strict=True):
        example[2 * label : 2 * label + 2] += 60
    np.savez(folder / "data.npz", x=x, y=y, classes=np.array(["top", "middle", "bottom"]))
    np.save(folder / "x.npy", x[:5, ..., None])
    (folder / "source.yaml").write_text(SPEC)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        well("train", "source.yaml", "--quiet", "--run", "run")
        well("compress", "run", "--rank", "0.5", "--int8", "-o", "small", "--csv", "table.csv")
        well("compress", "run", "--int8", "-o", "made/bits")
    return folder


@pytest.fixture
def here(stored, monkeypatch) -> Path:
    monkeypatch.chdir(stored)
    return stored


def stored_bytes(kernels: dict[str, int], quantised: dict[str, int]) -> int:
    """Of kernels by their sizes, those `quantised` with that many scales each, and all the rest."""
    floats = sum(size for name, size in kernels.items() if name not in quantised)
    whole = sum(kernels[name] + 4 * scales for name, scales in quantised.items())
    return whole + 4 * (floats + REST)


def test_the_table_against_the_run_and_counts_by_hand(here, cnnlab):
    ended = cnnlab("compress", "run", "--json")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    low = ["rank 0.75", "rank 0.5", "rank 0.25"]
    names = ["original", "int8", *low, *(f"{name} + int8" for name in low)]
    assert [row["what"] for row in found["rows"]] == names
    assert (found["split"], found["n"], found["figure"], found["output"]) == ("validation", 20, "accuracy", None)
    rows = dict(zip(names, found["rows"], strict=True))
    metrics = json.loads(Path("run/eval/validation/metrics.json").read_text())
    original = rows["original"]
    assert original["accuracy"] == metrics["accuracy"]
    assert original["loss"] == pytest.approx(metrics["loss"], rel=1e-6)
    statistics = 2 * 8
    assert original["parameters"] == sum(SIZES.values()) + REST - statistics
    assert original["bytes"] == 4 * (sum(SIZES.values()) + REST)
    assert rows["int8"]["bytes"] == stored_bytes(SIZES, OUTS)
    assert rows["int8"]["parameters"] == original["parameters"]
    half = rows["rank 0.5"]
    assert half["ranks"] == HALVED  # the one in groups and the head stay whole
    assert half["parameters"] == sum(LOW.values()) + REST - statistics
    assert half["bytes"] == 4 * (sum(LOW.values()) + REST)
    saved = 36 * (SIZES["a"] - LOW["a"]) + SIZES["c"] - LOW["c"]
    assert original["multiply_adds"] - half["multiply_adds"] == saved
    parts = {"basis a": 9 * 4, "mix a": 4 * 8, "basis c": INPUTS * 6, "mix c": 6 * 12, "b": 288, "head": 36}
    scales = {"basis a": 4, "mix a": 8, "basis c": 6, "mix c": 12, "b": 8, "head": 3}
    assert rows["rank 0.5 + int8"]["bytes"] == stored_bytes(parts, scales)
    assert rows["rank 0.75"]["ranks"] == {"c": 9}  # of 8 for a, 6 would take more
    for row in found["rows"]:
        assert row["difference"] == row["accuracy"] - original["accuracy"]
    assert abs(rows["int8"]["loss"] - original["loss"]) < 0.05
    assert rows["int8"]["loss"] != original["loss"]


def test_tables_for_people_and_programs(here, cnnlab):
    ended = cnnlab("compress", "run", "--energy", "0.9", "--split", "test")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "test: 20 examples; bytes are those of all tensors"
    assert lines[2].split() == ["parameters", "bytes", "multiply-adds", "accuracy", "difference"]
    assert [line.split()[0] for line in lines[4:6]] == ["original", "energy"]
    assert max(map(len, lines)) < 80
    with Path("table.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["what"] for row in rows] == ["original", "int8", "rank 0.5", "rank 0.5 + int8"]
    assert [row["layers"] for row in rows] == ["0", "0", "2", "2"]
    assert float(rows[0]["difference"]) == 0


def test_a_rank_that_saves_nothing_is_told(here, cnnlab):
    ended = cnnlab("compress", "run", "--rank", "1")
    assert ended.code == 0
    assert ended.err == "note: rank 1: no layer becomes two, which would save no weights\n"


def test_the_folder_is_a_run(here, cnnlab):
    row = json.loads(cnnlab("compress", "run", "--rank", "0.5", "--int8", "--json").out)["rows"][-1]
    evaluated = json.loads(cnnlab("eval", "small", "--split", "validation", "--json").out)
    assert evaluated["accuracy"] == row["accuracy"]
    assert evaluated["loss"] == pytest.approx(row["loss"], rel=1e-6)
    summary = json.loads(cnnlab("summary", "small", "--json").out)
    assert (summary["parameters"], summary["multiply_adds"]) == (row["parameters"], row["multiply_adds"])
    model = json.loads(Path("small/model.json").read_text())
    assert model["parameters"] == row["parameters"]
    of_run = cnnlab("predict", "small", "x.npy", "--output", "logits")
    of_file = cnnlab("predict", "--weights", "small/weights.safetensors", "x.npy", "--output", "logits")
    assert (of_run.code, of_run.out.splitlines()[0]) == (0, "file,index,top,middle,bottom")
    assert of_file.out == of_run.out
    document = json.loads(Path("small/compression.json").read_text())
    size = Path("small/weights.safetensors").stat().st_size
    assert document["file_bytes"] == size
    assert row["bytes"] < size < row["bytes"] + 3000  # the names
    assert document["of"] == str(here / "run")


def test_eight_bits_are_those_of_the_weights_that_are_judged(here, cnnlab):
    """Of the average, which `eval` uses too; exported for torch they are float32."""
    weights, _, _ = run_weights(open_run(Path("run")), "best")
    tensors = load_file("made/bits/weights.safetensors")
    assert tensors["c.kernel"].dtype == np.int8
    back = dequantized(tensors)
    assert set(back) == set(weights)
    for name, value in weights.items():
        scale = tensors.get(f"{name}.scale", np.float32(0))
        assert np.all(abs(np.asarray(value) - back[name]) <= 0.501 * scale)
    assert cnnlab("export-weights", "made/bits", "-o", "torch.safetensors").code == 0
    np.testing.assert_array_equal(load_file("torch.safetensors")["head.weight"], back["head.kernel"].T)


def test_a_spec_starts_from_it(here, cnnlab, tmp_path):
    ranks = "  ranks: {a: 4, c: 6}\n"
    for name, place, more in (("whole", "made/bits", ""), ("two", "small", ranks)):
        spec = SPEC.replace("model:\n", f"model:\n  weights: {place}\n{more}")
        Path(f"{name}.yaml").write_text(spec)
        experiment, prepared = prepare_experiment(load(Path(f"{name}.yaml")))
        built = network(experiment, prepared.input_shape, task_of(experiment, prepared), prepared=prepared)
        found = load_weights(experiment.model, built.model, prepared.input_shape)
        wanted = dequantized(load_file(f"{place}/weights.safetensors"))
        assert {key: value.tobytes() for key, value in found.items()} == {
            key: value.tobytes() for key, value in wanted.items()
        }
    ended = cnnlab("train", "two.yaml", "model.ranks={}", "--run", tmp_path / "no", "--quiet")
    sentence = "the weights have other model.ranks than the spec; take those of its resolved.yaml"
    assert ended == (2, "", f"{here / 'small'}: {sentence}\n")
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("compress", "rum"), "rum: no such run directory; did you mean 'run'?"),
        (("compress", "run", "--rank", "0"), "--rank: 0 is no share; above 0, at most 1, such as 0.5"),
        (("compress", "run", "--rank", "2"), "--rank: 2 is no share; above 0, at most 1, such as 0.5"),
        (("compress", "run", "--energy", "nan"), "--energy: nan is no share; above 0, at most 1, such as 0.5"),
        (("compress", "run", "--split", "tset"), "run: the run has no split 'tset'; did you mean 'test'?"),
        (("compress", "run", "-o", "new"), "-o writes one network: say which; such as --int8, --rank 0.5 or "
         "--rank 0.5 --int8"),
        (("compress", "run", "--rank", "0.5", "--energy", "0.9", "-o", "new"), "-o writes one network: say which; "
         "such as --int8, --rank 0.5 or --rank 0.5 --int8"),
        (("compress", "run", "--int8", "-o", "small"), "small: is taken; choose another folder"),
        (("compress", "run", "--int8", "-o", "x.npy"), "x.npy: is taken; choose another folder"),
        (("compress", "made/bits"), "made/bits: is compressed already; name the run that it was made of: {here}/run"),
        (("eval", "small", "--checkpoint", "last"), "small: is compressed, and has no last step: it was made of the "
         "best; leave --checkpoint out"),
        (("export-weights", "small", "-o", "new"), "small: the layers of model.ranks have no names in torch; "
         "'model.weights' of a spec with the same ranks takes the run"),
        (("train", "source.yaml", "--run", "made/bits", "--resume"), "made/bits: is compressed, and has no state to "
         "train on from; name it as model.weights of a new run"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_a_sentence(here, cnnlab, arguments, sentence):
    before = sorted(here.rglob("*"))
    assert cnnlab(*arguments) == (2, "", sentence.format(here=here) + "\n")
    assert sorted(here.rglob("*")) == before


def test_a_run_without_a_checkpoint(here, cnnlab, tmp_path):
    shutil.copytree("run", tmp_path / "run", ignore=shutil.ignore_patterns("checkpoints"))
    ended = cnnlab("compress", tmp_path / "run")
    why = "nothing to evaluate: it has no checkpoint yet; continue it with 'train --resume'"
    assert ended == (2, "", f"{tmp_path / 'run'}: {why}\n")


def test_weights_that_changed_on_disk_are_told(here, cnnlab, tmp_path):
    shutil.copytree("small", tmp_path / "small")
    weights = tmp_path / "small/weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    ended = cnnlab("predict", tmp_path / "small", "x.npy")
    why = "missing, or not as it was written (SHA-256); make it again with 'cnnlab compress'"
    assert ended == (2, "", f"{weights}: {why}\n")


@pytest.mark.parametrize("at", ["cnnlab.runs.compressed.set_status", "pathlib.Path.rename"])
def test_a_folder_is_there_whole_or_not_at_all(here, cnnlab, monkeypatch, at):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "disk")

    before = sorted(here.rglob("*"))
    monkeypatch.setattr(at, full)
    ended = cnnlab("compress", "run", "--int8", "-o", "late")
    assert (ended.code, ended.out) == (1, "")
    assert "No space left on device" in ended.err
    monkeypatch.undo()
    assert sorted(here.rglob("*")) == before
