"""Autoencoders from the spec to the tables: trained, evaluated again, asked about files."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from cnnlab.errors import SpecError
from cnnlab.runs.prediction import predict
from cnnlab.runs.predictor import Predictor

SPEC = """\
name: auto
data: {source: npz, path: small.npz, split: {train: 0.6, validation: 0.2, test: 0.2}, batch_size: 16}
task: {name: reconstruction, normal: [top, middle], corruption: {gaussian: 0.3}, sparse: {weight: 0.0001},
       contractive: 0.0001}
model: {layers: [flatten, dense: 16, relu, {dense: 6, name: code}, dense: 36]}
optimizer: {learning_rate: {peak: 0.01}}
train: {epochs: 20}
"""


@pytest.fixture
def auto(small: Path) -> Path:
    spec = small.with_name("auto.yaml")
    spec.write_text(SPEC)
    return spec


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


def test_a_run_of_an_autoencoder(auto, cnnlab):
    ended = cnnlab("train", auto, "--quiet")
    assert (ended.code, ended.err) == (0, "")
    assert all(word in ended.out for word in ("top", "normal", "anomaly", "corrupted psnr", "ROC AUC"))
    run = Path("runs/auto")
    with np.load("small.npz") as data:
        images = data["x"]
    folder, x = run / "eval" / "test", images / 255
    report = json.loads((folder / "metrics.json").read_text())
    rows = table(folder / "predictions.csv")
    assert report["n"] == len(rows) == 18
    assert report["anomalies"] == 6
    assert np.mean([float(row["mse"]) for row in rows]) == pytest.approx(report["mse"])
    assert report["roc_auc"] > 0.6
    assert {path.name for path in folder.iterdir()} == {
        "metrics.json", "predictions.csv", "per_class.csv", "codes.npz", "reconstructions.png", "roc.png",
        "precision_recall.png",
    }  # fmt: skip
    split = {row["index"]: row for row in table(run / "splits.csv")}
    assert {row["class"] for row in split.values() if row["split"] != "test"} == {"top", "middle"}
    trained = [int(i) for i, row in split.items() if row["split"] == "train"]
    described = json.loads((run / "data.json").read_text())["normalization"]
    assert described["mean"][0] == pytest.approx(x[trained].mean(), abs=1e-6), "of what is normal alone"
    history = table(run / "history.csv")
    best = min(history, key=lambda row: float(row["validation/loss"]))
    assert float(best["validation/mse"]) < 0.7 * float(history[0]["validation/mse"])
    assert float(best["validation/psnr"]) == pytest.approx(-10 * np.log10(float(best["validation/mse"])))
    written = (folder / "metrics.json").read_bytes(), (folder / "codes.npz").read_bytes()
    assert cnnlab("eval", run).code == 0
    assert ((folder / "metrics.json").read_bytes(), (folder / "codes.npz").read_bytes()) == written

    np.save("some.npy", images[:4])
    errors = list(csv.DictReader(io.StringIO(cnnlab("predict", run, "some.npy").out)))
    assert [row["index"] for row in errors] == ["0", "1", "2", "3"]
    assert cnnlab("predict", run, "some.npy", "-o", "made.npz").code == 0
    with np.load("made.npz") as made:
        assert made["reconstruction"].shape == (4, 6, 6, 1)
        mse = ((made["reconstruction"][..., 0] - x[:4]) ** 2).mean((1, 2))
        np.testing.assert_allclose(made["mse"], mse, rtol=1e-4)
        np.testing.assert_allclose([float(row["mse"]) for row in errors], mse, rtol=1e-4)
    document = json.loads(cnnlab("predict", run, "some.npy", "--json").out)
    assert [row["mse"] for row in document] == [float(row["mse"]) for row in errors]
    code = list(csv.reader(io.StringIO(cnnlab("predict", run, "some.npy", "--output", "code").out)))
    assert code[0] == ["file", "index", *map(str, range(6))]
    for output, sentence in {
        "probabilities": "--output: a reconstruction has no probabilities; ask for reconstruction, code, features or "
        "logits\n",
        "reconstruction": "the reconstruction of an example are 6x6x1, and a line of CSV is a vector; write them to a "
        "file with -o values.npz\n",
    }.items():
        ended = cnnlab("predict", run, "some.npy", "--output", output)
        assert (ended.code, ended.err) == (2, sentence)


def test_codes_and_reconstructions_are_of_autoencoders_alone():
    classifier = Predictor(lambda shape: nnx.Module(), lambda: ({}, ()), lambda path: np.zeros(1), ("a", "b"))
    for output in ("code", "reconstruction"):
        with pytest.raises(SpecError, match=f"--output: {output} is of runs whose task is reconstruction"):
            predict(classifier, [], output)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("task.normal=[tops]", "task.normal: no class 'tops'; did you mean 'top'?\n"),
        ("task.code=codes", "task.code: the network has no layer 'codes' here; did you mean 'code'?\n"),
        ("model.layers=[flatten, dense: 35]", "model: gives 35, and reconstruction needs the input's own 6x6x1; choose "
         "conv_autoencoder or unet with padding: same, or end with as many values as the input has\n"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_before_anything_compiles(auto, cnnlab, override, sentence):
    for command in ("check", "train"):
        ended = cnnlab(command, auto, override)
        assert (ended.code, ended.out, ended.err) == (2, "", sentence)


@pytest.mark.parametrize("loss", ["binary_cross_entropy", "mean_absolute"])
def test_published_networks_reconstruct_and_hidden_patches_are_filled_in(auto, cnnlab, loss):
    masked = "{name: reconstruction, corruption: {patches: 0.3, size: 2}, hidden_only: true}"
    task = "task={name: reconstruction}" if loss == "binary_cross_entropy" else f"task={masked}"
    model = "model={name: conv_autoencoder, widths: [4], code: 4, normalization: none}"
    ended = cnnlab(
        "train", auto, task, model, f"loss={loss}", "data.normalize=false", "train.epochs=1", "--quiet", "--json"
    )
    assert (ended.code, ended.err) == (0, "")
    report = json.loads(ended.out)["metrics"]
    assert ("corrupted_psnr" in report) == (loss == "mean_absolute")
    with np.load("runs/auto/eval/test/codes.npz") as codes:
        assert codes["codes"].shape == (report["n"], 4)
