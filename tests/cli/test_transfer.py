"""Transfer through the command line: what `check` says, what `train` starts from, what is refused."""

import json
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from cnnlab.layers.initialize import Initializer
from cnnlab.models import build
from cnnlab.spec.load import load
from cnnlab.train import checkpoint
from tests.cli.test_train import on_a_terminal
from tests.conftest import well
from tests.runs.test_pretrained import LAYERS, SOURCE, stored_weights, write_images
from tests.runs.test_training import arrays, command, results

pytestmark = pytest.mark.usefixtures("undrawn")

TARGET = (
    "data: {source: npz, path: other.npz, batch_size: 16, augment: [shift: 1, noise: 0.1]}\n"
    "model:\n  weights: exported.safetensors\n  new_head: true\n  freeze: [conv1, norm1]"
    + LAYERS
    + "train: {epochs: 2}\n"
)
CONV, NORM, HEAD = 4 * 9, 8, 4 * 4 + 4
FILE, RUN = "model.weights=exported.safetensors", "model.weights=runs/source"


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """A run of three classes on 6x6 pixels, its weights as a file, data of four classes on 9x9 pixels, trained too."""
    folder = tmp_path_factory.mktemp("stored")
    write_images(folder / "small.npz", 3, 6)
    write_images(folder / "other.npz", 4, 9)
    (folder / "source.yaml").write_text(SOURCE)
    (folder / "target.yaml").write_text(TARGET)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        well("train", "source.yaml", "--quiet")
        well("export-weights", "runs/source", "-o", "exported.safetensors")
        well("train", "target.yaml", "--run", "trained", "--quiet")
    return folder


@pytest.fixture
def folder(stored, tmp_path, monkeypatch) -> Path:
    """A copy of it, the current directory."""
    shutil.copytree(stored, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    resolved = Path("trained/resolved.yaml")
    resolved.write_text(resolved.read_text().replace(str(stored), str(tmp_path / "work")))
    return tmp_path / "work"


def runs() -> set[str]:
    return {path.name for path in Path("runs").iterdir()}


# ---------------------------------------------------------------- check


def training_lines(text: str) -> list[str]:
    """What stands between the table and the data."""
    lines = text.replace("\r", "").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("receptive field")) + 1
    return lines[first : next(i for i, line in enumerate(lines) if line.startswith(("data  ", "no data")))]


def test_check_says_what_trains_and_what_does_not(folder, cnnlab):
    ended = cnnlab("check", "target.yaml", 'model.freeze=[conv1, "norm*", head.bias]')
    assert (ended.code, ended.err) == (0, "")
    assert training_lines(ended.out) == [
        "trained         16 parameters",
        "frozen          48 parameters: conv1 36, norm* 8, head.bias 4",
    ]
    ended = cnnlab("check", "target.yaml", "model.unfreeze_at_epoch=1")
    assert training_lines(ended.out) == [
        f"trained         {HEAD} parameters",
        f"frozen          {CONV + NORM} parameters: conv1 {CONV}, norm1 {NORM}",
        "                until epoch 1, counted from 0; then all train",
    ]
    assert training_lines(cnnlab("check", "target.yaml", "model.freeze=[]").out) == []
    assert runs() == {"source"}


def test_check_as_a_document(folder, cnnlab):
    document = json.loads(cnnlab("check", "target.yaml", "model.unfreeze_at_epoch=1", "--json").out)
    assert document["training"] == {
        "trained": HEAD,
        "frozen": {"conv1": CONV, "norm1": NORM},
        "unfreeze_at_epoch": 1,
    }
    assert document["model"]["parameters"] == CONV + NORM + HEAD
    assert document["model"]["trained_parameters"] == HEAD
    assert document["model"]["input_shape"] == [6, 6, 1], "the size that the weights expect"
    document = json.loads(cnnlab("check", "target.yaml", "model.freeze=[]", "--json").out)
    assert document["training"] == {"trained": CONV + NORM + HEAD, "frozen": {}, "unfreeze_at_epoch": None}


def test_check_of_a_published_network_on_a_terminal_of_80_columns(folder):
    """torchvision's ResNet-18 has 11,689,512 parameters, 513,000 of them in its head."""
    Path("resnet.yaml").write_text(
        'model: {name: resnet18, input: [64, 64, 3], freeze: [stem, "stage*"], unfreeze_at_epoch: 5}\n'
    )
    code, seen = on_a_terminal(command("check", "resnet.yaml"))
    assert code == 0, seen
    assert max(map(len, seen.replace("\r", "").splitlines())) <= 80
    assert training_lines(seen) == [
        "trained         513,000 parameters",
        "frozen          11,176,512 parameters: stem 9,536, stage* 11,166,976",
        "                until epoch 5, counted from 0; then all train",
    ]
    many = 'model.freeze=[stem, stage1.block0, stage1.block1, stage2.block0, stage2.block1, "stage3.*"]'
    code, seen = on_a_terminal(command("check", "resnet.yaml", many))
    assert code == 0, seen
    assert max(map(len, seen.replace("\r", "").splitlines())) <= 80
    words = " ".join(training_lines(seen)).split()
    assert words[:3] == ["trained", "8,906,728", "parameters"]
    assert "stage1.block0 73,984, stage1.block1 73,984, stage2.block0 230,144," in " ".join(words)


# ---------------------------------------------------------------- train


def last_weights(run: Path) -> dict[str, bytes]:
    kinds = ("params.", "stats.")
    last = arrays(checkpoint.stored(run / "checkpoints")[-1])
    return {name.partition(".")[2]: value for name, value in last.items() if name.startswith(kinds)}


@pytest.mark.parametrize("weights", [FILE, RUN])
def test_a_run_ends_with_the_frozen_weights_it_began_with(folder, cnnlab, weights):
    """conv1 and norm1 are the stored ones, the head's kernel as the seed draws it; its bias alone has learned."""
    freeze = "model.freeze=[conv1, norm1, head.kernel]"
    ended = cnnlab("train", "target.yaml", weights, freeze, "seed=8", "--run", "run", "--quiet")
    assert ended.code == 0, ended.err
    found, source = last_weights(Path("run")), stored_weights(Path("runs/source"))
    taken = {"conv1.kernel", "norm1.scale", "norm1.bias", "norm1.mean", "norm1.var"}
    assert {name: found[name] for name in taken} == {name: source[name] for name in taken}
    drawn = build(load(Path("run/resolved.yaml")).model, (6, 6, 1), 4, init=Initializer(8))
    assert found["head.kernel"] == np.asarray(drawn.head.kernel[...]).tobytes()
    assert any(found["head.bias"]), "it began with zeros"


def test_the_preprocessing_of_the_weights_is_that_of_the_run(folder, cnnlab):
    source = json.loads(Path("runs/source/data.json").read_text())
    run = json.loads(Path("trained/data.json").read_text())
    assert run["normalization"] == source["normalization"]
    assert (run["input_shape"], run["classes"]) == ([6, 6, 1], ["0", "1", "2", "3"])
    resolved = load(Path("trained/resolved.yaml"))
    assert resolved.data.resize == 6
    assert resolved.model.weights == str(folder / "exported.safetensors")
    model = json.loads(Path("trained/model.json").read_text())
    assert model["trained_parameters"] == HEAD
    assert model["weights"] == checkpoint.sha256(Path("exported.safetensors"))
    assert cnnlab("train", "target.yaml", "data.normalize=false", "--run", "plain", "--quiet").code == 0
    plain = json.loads(Path("plain/data.json").read_text())
    assert plain["normalization"] == {"mean": [0.0], "std": [1.0]}
    assert plain["input_shape"] == [6, 6, 1]


def test_a_finished_run_needs_the_weights_no_more_and_its_resolved_spec_repeats_it(folder, cnnlab):
    assert cnnlab("train", "trained/resolved.yaml", "--run", "again", "--quiet").code == 0
    assert results(Path("again")) == results(Path("trained"))
    assert cnnlab("train", "target.yaml", "--run", "trained", "--resume", "--quiet").code == 0
    assert results(Path("again")) == results(Path("trained"))
    Path("exported.safetensors").unlink()
    ended = cnnlab("eval", "trained", "--json")
    assert (ended.code, ended.out) == (0, Path("trained/eval/test/metrics.json").read_text())
    assert cnnlab("summary", "trained").code == 0


def test_weights_lie_beside_the_spec(folder, cnnlab, monkeypatch):
    Path("specs").mkdir()
    Path("elsewhere").mkdir()
    Path("specs/target.yaml").write_text(TARGET.replace(": other.npz", ": ../other.npz").replace(": exp", ": ../exp"))
    monkeypatch.chdir("elsewhere")
    assert cnnlab("check", "../specs/target.yaml").code == 0
    ended = cnnlab("train", "../specs/target.yaml", "--quiet", "--json", "train.epochs=1")
    assert ended.code == 0, ended.err
    model = json.loads(Path("runs/target/model.json").read_text())
    assert model["weights"] == checkpoint.sha256(folder / "exported.safetensors")


def test_discriminative_rates_through_the_command_line(folder, cnnlab):
    """A rate of 0 keeps the stored weights, and the statistics move on."""
    rates = "optimizer.layer_rates={conv1: 0, norm1: 0, head: 2}"
    ended = cnnlab("train", "target.yaml", "model.freeze=[]", rates, "--run", "run", "--quiet")
    assert ended.code == 0, ended.err
    found, source = last_weights(Path("run")), stored_weights(Path("runs/source"))
    assert {name for name in set(source) - {"head.kernel", "head.bias"} if found[name] == source[name]} == {
        "conv1.kernel",
        "norm1.scale",
        "norm1.bias",
    }


@pytest.mark.slow
def test_killed_on_either_side_of_the_unfreezing_a_run_loses_nothing(folder, cnnlab):
    """40 epochs, the last 20 of them with all weights; every fifth is stored."""
    overrides = ("train.epochs=40", "train.checkpoint_every=5", "model.unfreeze_at_epoch=20")
    assert cnnlab("train", "target.yaml", *overrides, "--run", "whole", "--quiet").code == 0
    for epoch in (7, 27):
        train = command("train", "target.yaml", *overrides, "--run", "killed", "--resume")
        with subprocess.Popen(train, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
            assert process.stderr is not None
            assert any(line.startswith(f"epoch {epoch}/40") for line in process.stderr)
            while checkpoint.stored(Path("killed/checkpoints"))[-1].epoch < epoch - 2:  # written while training goes on
                assert process.poll() is None
                time.sleep(0.001)
            process.kill()
        assert process.returncode == -signal.SIGKILL
    assert cnnlab("train", "target.yaml", *overrides, "--run", "killed", "--resume", "--quiet").code == 0
    assert results(Path("killed")) == results(Path("whole"))


# ---------------------------------------------------------------- resume


CHANGED = "model.weights are not what they were when the run began; put the file back as it was, or start a new run\n"


def test_resume_refuses_weights_that_changed(folder, cnnlab):
    before = Path("exported.safetensors").read_bytes()
    with safe_open("exported.safetensors", framework="numpy") as file:
        metadata = file.metadata()
    tensors = load_file("exported.safetensors")
    tensors["conv1.weight"][0, 0, 0, 0] += 1
    save_file(tensors, "exported.safetensors", metadata)
    ended = cnnlab("train", "target.yaml", "--run", "trained", "--resume")
    assert (ended.code, ended.out, ended.err) == (2, "", f"trained: {CHANGED}")
    Path("exported.safetensors").write_bytes(before)
    assert cnnlab("train", "target.yaml", "--run", "trained", "--resume", "--quiet").code == 0


def test_resume_refuses_a_run_that_has_other_weights_now(folder, cnnlab):
    assert cnnlab("train", "target.yaml", RUN, "--run", "run", "--quiet").code == 0
    assert cnnlab("train", "target.yaml", RUN, "--run", "run", "--resume", "--quiet").code == 0
    well("train", "source.yaml", "seed=6", "--run", "another", "--quiet")
    shutil.rmtree("runs/source")
    Path("another").rename("runs/source")
    ended = cnnlab("train", "target.yaml", RUN, "--run", "run", "--resume")
    assert (ended.code, ended.out, ended.err) == (2, "", f"run: {CHANGED}")


def test_resume_refuses_another_transfer(folder, cnnlab):
    for override, words in {
        "model.new_head=false": None,  # these weights have no head for the data
        "model.freeze=[conv1]": "model.freeze = ['conv1', 'norm1'], and the spec says ['conv1']",
        "model.freeze=[]": "model.freeze = ['conv1', 'norm1'], and the spec says None",
        "data.augment=[noise: 0.1]": "data.augment.0.noise = None, and the spec says 0.1",
        "model.unfreeze_at_epoch=1": "model.unfreeze_at_epoch = None, and the spec says 1",
        "optimizer.layer_rates={head: 2}": "optimizer.layer_rates.head = None, and the spec says 2.0",
    }.items():
        ended = cnnlab("train", "target.yaml", override, "--run", "trained", "--resume")
        assert (ended.code, ended.out) == (2, "")
        if words is not None:
            assert ended.err == f"trained: was begun with {words}; a resumed run takes the same spec; start a new one\n"


# ---------------------------------------------------------------- what is refused


REFUSED = {
    "head of other classes": (
        ["model.new_head=false"],
        "{folder}/exported.safetensors: the head 'head' of these weights is not that of this network's classes; "
        "model.new_head: true draws a new one",
    ),
    "head of other classes in a run": (
        ["model.new_head=false", RUN],
        "{folder}/runs/source: the head 'head' of these weights is not that of this network's classes; "
        "model.new_head: true draws a new one",
    ),
    "another network": (
        ["model={name: lenet5, weights: exported.safetensors, new_head: true}", "data.resize=32"],
        "{folder}/exported.safetensors: not the weights of lenet5; nothing was loaded\n"
        "  missing: c1.bias, c1.weight, c3.bias, c3.weight, c5.bias, c5.weight, f6.bias, f6.weight\n"
        "  unexpected: conv1.weight, head.bias, head.weight, norm1.bias, norm1.running_mean, norm1.running_var, "
        "norm1.weight",
    ),
    "missing file": (
        ["model.weights=exportd.safetensors"],
        "{folder}/exportd.safetensors: no such weights file; did you mean 'exported.safetensors'?",
    ),
    "pattern that matches nothing": (
        ["model.freeze=[conv1, norm2]"],
        "model.freeze: 'norm2' matches no layer of the network; did you mean 'norm1'?",
    ),
    "pattern of rates that matches nothing": (
        ["optimizer.layer_rates={backbone: 0.1}"],
        "optimizer.layer_rates: 'backbone' matches no layer of the network; its parts are conv1, head, norm1",
    ),
    "everything frozen": (
        ['model.freeze=["*"]'],
        "model.freeze: nothing is left to train; leave the head out of it",
    ),
    "a map of scores": (
        ["model={name: unet, depth: 1, padding: same}", "data.resize=16"],
        "model: gives 16x16x4, and classification needs one logit for each of 4 classes; "
        "end with 'dense: classes', choose a network that classifies, or name another task",
    ),
    "a map like the input": (
        ["model={name: conv_autoencoder}"],
        "model: gives 9x9x1, and classification needs one logit for each of 4 classes; "
        "end with 'dense: classes', choose a network that classifies, or name another task",
    ),
}


@pytest.mark.parametrize("command", ["train", "check"])
@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_before_there_is_a_run(folder, cnnlab, command, case):
    overrides, sentence = REFUSED[case]
    ended = cnnlab(command, "target.yaml", *overrides)
    assert (ended.code, ended.out, ended.err) == (2, "", sentence.format(folder=folder) + "\n")
    assert runs() == {"source"}
