"""`cnnlab lr-find`: a suggestion and a picture, and nothing else."""

import json
from pathlib import Path

import numpy as np
import pytest

LAYERS = "model.layers=[flatten, dense: classes]"


def test_it_suggests_and_draws_and_leaves_all_else_alone(small, cnnlab):
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    ended = cnnlab("lr-find", small, LAYERS, "--steps", 60, "--from", 1e-5, "-o", "rates.png")
    assert (ended.code, ended.err) == (0, "")
    lines = dict(line.split(None, 1) for line in ended.out.splitlines())
    assert lines["try"].startswith("optimizer.learning_rate.peak=")
    assert 1e-5 < float(lines["try"].partition("=")[2]) < 10
    assert lines["look"] == "rates.png"
    assert Path("rates.png").read_bytes().startswith(b"\x89PNG")
    Path("rates.png").unlink()
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_its_steps_are_those_of_training(small, cnnlab):
    """At rates that grow by nothing, the losses are those that training at that rate goes through."""
    more = [LAYERS, "data.augment=[]", "optimizer={name: momentum, accumulate: 2}"]
    ended = cnnlab("lr-find", small, *more, "--steps", 4, "--from", 0.05, "--to", 0.05 * (1 + 1e-6), "--json")
    found = json.loads(ended.out)
    np.testing.assert_allclose(found["rates"], 0.05, rtol=1e-5)
    rate = "optimizer.learning_rate=0.05"
    assert cnnlab("train", small, *more, rate, "train.epochs=2", "--run", "run", "--quiet").code == 0
    rows = Path("run/history.csv").read_text().splitlines()
    head = rows[0].split(",")
    losses = [float(dict(zip(head, row.split(","), strict=True))["train/loss"]) for row in rows[1:]]
    # 54 examples in batches of 16, two to an update: 32 and 22 an epoch.
    means = [(32 * found["losses"][i] + 22 * found["losses"][i + 1]) / 54 for i in (0, 2)]
    np.testing.assert_allclose(means, losses, rtol=1e-5)


def test_it_stops_where_the_loss_is_hopeless(small, cnnlab):
    ended = cnnlab("lr-find", small, LAYERS, "--steps", 50, "--to", "1e6")
    assert ended.code == 0
    assert ", of 50: there the loss was hopeless" in ended.out
    assert "-o picture.png draws it" in ended.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", 2], "--steps: 2 updates are no range test; from 3 to 100,000"),
        (["--from", 1, "--to", 0.1], "--from 1 --to 0.1: the rates must be above 0, and grow; such as"),
        (["--from", 0], "--from 0 --to 10: the rates must be above 0, and grow; such as"),
        (["-o", "rates.gif"], "rates.gif: '.gif' is no kind of picture that can be drawn; name a .png or .svg file"),
        (["optimizer.lr=1"], "command line: optimizer.lr=1: optimizer.lr: unknown key (value 1)"),
        (["optimizer.accumulate=5"],
         "optimizer.accumulate: 5 batches make an update, and an epoch has 4; at most 4, or a smaller data.batch_size"),
        (["optimizer.lookahead.steps=17"], "optimizer.lookahead.steps: the slow weights never move: a cycle takes 17 "
         "steps, and the run has 16; at most 16; 5 is usual"),
        (["data.split={train: 0.8, test: 0.2}", "optimizer.learning_rate={schedule: plateau, patience: 1}"],
         "optimizer.learning_rate.metric: validation/loss is never measured: there is no validation split; "
         "give data.split.validation a share"),
        (["train.early_stopping.patience=5"],
         "command line: train.early_stopping.patience=5: train.early_stopping.patience: 5 epochs of patience, and "
         "train.epochs is 4; lower it, or leave it out"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_a_sentence(small, cnnlab, arguments, message):
    ended = cnnlab("lr-find", small, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(message)
    assert ended.err.count("\n") == 1
