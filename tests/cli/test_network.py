"""`summary`, `check` and `receptive-field` as a person and as a program see them."""

import csv
import json
import sys
from pathlib import Path

import pytest

from tests.cli.test_train import on_a_terminal

SPEC = """\
model:
  input: [16, 16, 3]
  classes: 5
  layers:
    - conv: {features: 8, kernel: 3, stride: 2, name: stem}
    - residual: {body: [relu, conv: {features: 8, kernel: 3}], name: block}
    - global_avg_pool
    - dense: classes
"""
SUMMARY = """\
net on 16x16x3, one example; FLOPs are multiply-adds counted twice

 layer              operation        output  parameters   FLOPs   memory
 ───────────────────────────────────────────────────────────────────────
 stem               conv              8x8x8         224  27,648  2.05 kB
 block.body.relu_0  relu              8x8x8           0       0  2.05 kB
 block.body.conv_1  conv              8x8x8         584  73,728  2.05 kB
 global_avg_pool_2  global_avg_pool       8           0       0     32 B
 dense_3            dense                 5          45      80     20 B

 total                                              853  101,456   6.2 kB
"""
FIELDS = """\
receptive fields on 16x16x3

 layer              operation        window  output  parameters  size  stride  padding  center  seen  flags
 ──────────────────────────────────────────────────────────────────────────────────────────────────────────
 stem               conv             3x3/2    8x8x8         224     3       2      0/1       1    4%
 block.body.relu_0  relu                      8x8x8                 3       2      0/1       1    4%
 block.body.conv_1  conv             3x3      8x8x8         584     7       2      2/3       1   19%
 global_avg_pool_2  global_avg_pool               8                 -       -        -       -  100%  global
 dense_3            dense                         5          45     -       -        -       -  100%  global

model: size 7, stride 2, padding 2/3, at block.body.conv_1
narrowest path 7; useful inputs 4 to 7 px
exact
the field of 7 px does not cover the image of 16 px
"""


@pytest.fixture
def net(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("net.yaml")
    path.write_text(SPEC)
    return path


def squeezed(text: str) -> list[list[str]]:
    """The words of every line, rules left out: what is said, whatever the widths of the columns."""
    return [line.split() for line in text.splitlines() if not set(line) <= {" ", "─"}]


def test_the_summary(net, cnnlab):
    ended = cnnlab("summary", net)
    assert (ended.code, ended.err) == (0, "")
    assert squeezed(ended.out) == squeezed(SUMMARY)


def test_the_summary_s_numbers_are_those_of_a_count_by_hand(net, cnnlab):
    document = json.loads(cnnlab("summary", net, "--json").out)
    assert document["parameters"] == (3 * 9 * 8 + 8) + (8 * 9 * 8 + 8) + (8 * 5 + 5)
    multiply_adds = 8 * 8 * 8 * 27 + 8 * 8 * 8 * 72 + 8 * 5
    assert (document["multiply_adds"], document["flops"]) == (multiply_adds, 2 * multiply_adds)
    assert document["activation_bytes"] == 4 * (3 * 8 * 8 * 8 + 8 + 5)
    assert [layer["path"] for layer in document["layers"]][:2] == ["stem", "block.body.relu_0"]


def test_another_input_and_overrides(net, cnnlab):
    document = json.loads(cnnlab("summary", net, "--input", "32,32,1", "--json").out)
    assert document["input_shape"] == [32, 32, 1]
    assert document["layers"][0]["output_shape"] == [16, 16, 8]
    document = json.loads(
        cnnlab("summary", net, "model.layers[0].conv.features=16", "model.layers[1]=relu", "--json").out
    )
    assert document["layers"][0]["parameters"] == 3 * 9 * 16 + 16


def test_the_receptive_fields(net, cnnlab):
    ended = cnnlab("receptive-field", net)
    assert (ended.code, ended.err) == (0, "")
    assert squeezed(ended.out) == squeezed(FIELDS)


def test_the_receptive_fields_as_a_document(net, cnnlab):
    document = json.loads(cnnlab("receptive-field", net, "--json").out)
    assert (document["version"], document["input_shape"], document["exact"]) == (1, [16, 16, 3], True)
    conv = next(layer for layer in document["layers"] if layer["path"] == "block.body.conv_1")
    assert conv["size"] == [7, 7]
    assert conv["stride"] == ["2", "2"]
    assert conv["padding"] == [[2, 3], [2, 3]]
    assert conv["first_center"] == [1.0, 1.0]
    assert document["model"] == conv
    dense = document["layers"][-1]
    assert (dense["size"], dense["global"], dense["flags"]) == (None, True, ["global"])


def test_a_table_can_be_folded_and_shows_a_unit(net, cnnlab):
    lines = cnnlab("receptive-field", net, "--depth=1", "--unit=0,7").out.splitlines()
    (block,) = [line.split() for line in lines if line.startswith(" block")]
    assert block == ["block", "2", "layers", "8x8x8", "584", "7", "2", "2/3", "1", "19%", "0-4", "x", "12-15"]


def test_the_fields_as_a_file(net, cnnlab):
    assert cnnlab("receptive-field", net, "--csv=fields.csv", "--unit=0,7").code == 0
    rows = list(csv.DictReader(Path("fields.csv").read_text(encoding="utf-8").splitlines()))
    conv = rows[2]
    assert (conv["path"], conv["parameters"], conv["size_y"], conv["stride_x"]) == (
        "block.body.conv_1",
        "584",
        "7",
        "2",
    )
    assert (conv["unit_first_x"], conv["unit_last_x"], conv["window_kernel_y"]) == ("12", "15", "3")
    assert rows[-1]["size_y"] == ""
    assert rows[-1]["flags"] == "global"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--unit=8,0"],
            "--unit 8,0 is outside the map of 8x8 of layer 'block.body.conv_1'; units count from 0 to 7,7",
        ),
        (["--unit=0"], "--unit 0 does not fit an input with 2 spatial axes; give 2 numbers"),
        (["--unit=a,b"], "--unit: 'a,b' is no place in a map; such as 0,3"),
        (["--layer=stm"], "no layer 'stm'; did you mean 'stem'?"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(net, cnnlab, options, message):
    ended = cnnlab("receptive-field", net, *options)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(message)


def test_training_says_once_what_the_field_does_not_cover(small, cnnlab):
    pooled = "model.layers=[{conv: {features: 4, kernel: 3}}, {max_pool: 2}, global_avg_pool, {dense: classes}]"
    ended = cnnlab("train", small, "train.epochs=1", pooled)
    assert ended.code == 0
    assert ended.err.count("the field of 4 px does not cover the image of 6 px") == 1
    assert json.loads(Path("runs/small/model.json").read_text())["receptive_field"]["narrowest"] == [4, 4]


def test_check_without_and_with_data(net, cnnlab, small):
    ended = cnnlab("check", small)
    assert ended.code == 0
    assert "data            54 train, 18 validation, 18 test (npz)" in ended.out
    assert "batches         4 of 16 an epoch" in ended.out
    assert "training        4 epochs, 16 steps, adamw" in ended.out
    assert not Path("runs").exists(), "nothing is left behind"
    document = json.loads(cnnlab("check", small, "--json").out)
    assert (document["steps_per_epoch"], document["epochs"], document["steps"]) == (4, 4, 16)
    small.write_text(SPEC)
    assert cnnlab("check", small).out.splitlines()[-1] == "no data: nothing to train on"


def test_a_terminal_sees_a_tree_and_no_line_is_too_long(net):
    code, seen = on_a_terminal([sys.executable, "-c", "from cnnlab.cli import command; command()", "summary", str(net)])
    lines = seen.replace("\r", "").splitlines()
    assert code == 0
    assert any(line.startswith(" block") for line in lines)
    assert any(line.startswith("     conv_1") for line in lines)
    assert max(map(len, lines)) <= 80
