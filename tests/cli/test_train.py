"""`cnnlab train` and `cnnlab eval` as a person and as a program see them."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

TABLES = """\
test: 18 examples, best step 1 (epoch 1 of 1, by validation/loss)

 class             precision  recall      f1  support
 ────────────────────────────────────────────────────
 top                  0.0000  0.0000  0.0000        6
 middle               0.3333  1.0000  0.5000        6
 bottom               0.0000  0.0000  0.0000        6

 macro average        0.1111  0.3333  0.1667       18
 micro average        0.3333  0.3333  0.3333       18
 weighted average     0.1111  0.3333  0.1667       18

class 'top' was never predicted: its precision counts as 0
class 'bottom' was never predicted: its precision counts as 0

 figure                       value  95 % from      to
 ─────────────────────────────────────────────────────
 loss                        1.0986     1.0986  1.0986
 accuracy                    0.3333     0.1111  0.5556
 macro precision             0.1111     0.0370  0.1852
 macro recall                0.3333     0.3333  0.3333
 macro F1                    0.1667     0.0667  0.2381
 balanced accuracy           0.3333     0.3333  0.3333
 Matthews' coefficient            -          -       -
 Cohen's kappa               0.0000     0.0000  0.0000
 macro ROC AUC               0.5579     0.4275  0.6932
 macro average precision     0.3889     0.3276  0.5420
 expected calibration error  0.0000     0.0000  0.2222

 true \\ predicted  0  1  2
 ─────────────────────────
 0 top             .  6  .
 1 middle          .  6  .
 2 bottom          .  6  .

cost  111 parameters, 108 multiply-adds and 0.2 kB an example
      trained in SECONDS s
run   runs/small
look  runs/small/figures/curves.png
      runs/small/eval/test/confusion_matrix.png
      runs/small/eval/test/roc.png
      runs/small/eval/test/precision_recall.png
      runs/small/eval/test/reliability.png
more  cnnlab eval runs/small --split train
"""


@pytest.fixture
def constant(small) -> Path:
    """A spec whose one step hardly moves the weights, and whose data says nothing: the tables are known.

    All pixels are equal, so that every logit is the bias alone: the outcome hangs on no processor.
    """
    import numpy as np

    with np.load("small.npz") as arrays:
        content = dict(arrays)
    random = np.random.default_rng(0)
    content["x"] = np.zeros_like(content["x"])
    content["x"][:, 0, 0] = 1 + random.permutation(90)  # no two alike, or they would share a split
    np.savez("small.npz", **content)
    small.write_text(
        small.read_text().replace("batch_size: 16", "batch_size: 54").split("model:")[0]
        + "model: {layers: [flatten, dense: classes]}\n"
        + "optimizer: {name: sgd, learning_rate: 1e-9}\ntrain: {epochs: 1}\n"
    )
    return small


def test_the_tables_and_the_lines_where_there_is_no_terminal(constant, cnnlab, monkeypatch):
    from cnnlab.layers.initialize import Initializer

    def zeros(self, shape, default=""):
        import numpy as np

        array = np.zeros(shape, np.float32)
        array[..., 1] = 1e-6  # the second class wins by a hair, on every image
        return array

    monkeypatch.setattr(Initializer, "kernel", zeros)
    ended = cnnlab("train", constant, "data.normalize=false", "data.augment=[]")
    assert ended.code == 0
    timeless = re.sub(r"trained in [\d.]+ s", "trained in SECONDS s", ended.out)
    assert timeless == TABLES
    pattern = (
        r"epoch 1/1  step 1  train/loss 1\.0986  train/accuracy 0\.3333  validation/loss 1\.0986  "
        r"validation/accuracy 0\.3333  validation/f1 0\.1667  [\d,]+ images/s\n"
    )
    assert re.fullmatch(pattern, ended.err), ended.err
    again = cnnlab("eval", "runs/small")
    assert (again.code, again.out, again.err) == (0, ended.out, "")


def test_json_is_one_document_and_quiet_is_quiet(small, cnnlab):
    ended = cnnlab("train", small, "train.epochs=1", "--quiet", "--json")
    document = json.loads(ended.out)
    assert ended.err == ""
    assert document["run"] == "runs/small"
    assert set(document) == {"run", "epochs", "checkpoint", "costs", "metrics"}
    assert document["metrics"] == json.loads(cnnlab("eval", "runs/small", "--json").out)


def test_overrides_go_to_the_resolved_spec_and_the_command_line_to_the_environment(small, cnnlab):
    assert cnnlab("train", small, "train.epochs=1", "optimizer.learning_rate.peak=0.02", "--quiet").code == 0
    assert "peak: 0.02" in Path("runs/small/resolved.yaml").read_text()
    assert "peak: 0.01" in Path("runs/small/spec.yaml").read_text()
    command = json.loads(Path("runs/small/environment.json").read_text())["command"]
    assert command[1:] == ["train", str(small), "train.epochs=1", "optimizer.learning_rate.peak=0.02", "--quiet"]


def test_a_split_that_is_not_there_is_named(uninterrupted, cnnlab):
    ended = cnnlab("eval", uninterrupted, "--split", "tets")
    expected = "whole: the run has no split 'tets'; did you mean 'test'?\n"
    assert (ended.code, ended.out, ended.err) == (2, "", expected)


def on_a_terminal(command: list[str], columns: int = 80) -> tuple[int, str]:
    """Exit code and everything that a terminal of so many columns is sent, without colours."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            seen += part
    os.close(ours)
    return process.returncode, re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode())


def test_a_terminal_gets_a_bar_with_figures_and_time_left(small):
    command = [sys.executable, "-c", "from cnnlab.cli import command; command()", "train", str(small)]
    code, plain = on_a_terminal(command)
    assert code == 0
    bars = [line for line in re.split(r"[\r\n]", plain) if "images/s" in line]
    assert any(
        re.fullmatch(r"epoch \d/4 step \d+ .* loss \d\.\d+ .*images/s (\d:\d\d:\d\d|-:--:--)\s*", bar) for bar in bars
    )
    assert all(len(line) <= 80 for line in re.split(r"[\r\n]", plain))
    assert "accuracy" in plain


def test_a_reader_who_closes_the_pipe_leaves_a_whole_run(constant):
    command = [sys.executable, "-c", "from cnnlab.cli import command; command()", "train", str(constant)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        process.stdout.close()
        assert process.wait() == 1
    assert json.loads(Path("runs/small/status.json").read_text())["status"] == "finished"
    assert all(Path("runs/small", name).exists() for name in ("figures/curves.png", "eval/test/roc.png"))
