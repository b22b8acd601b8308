"""A run whose weights are averaged, and one that takes all examples at once, from its spec to its tables."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("undrawn")

PLAIN = ["model.layers=[batch_norm, flatten, dense: classes]", "data.augment=[]"]


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_tables_and_exports_go_by_the_average_and_a_resume_changes_nothing(small, cnnlab):
    average = [*PLAIN, "train.average={decay: 0.8}"]
    assert cnnlab("train", small, *average, "--run", "run", "--quiet").code == 0
    rows = table(Path("run/history.csv"))
    best = json.loads(Path("run/status.json").read_text())["best"]["epoch"]
    losses = [float(row["validation/loss"]) for row in rows]
    assert losses.index(min(losses)) == best - 1, "the best step is the average's"
    stored = json.loads(Path("run/eval/validation/metrics.json").read_text())
    assert stored["loss"] == losses[best - 1] != float(rows[best - 1]["last_iterate/loss"])
    shown = cnnlab("eval", "run", "--split", "validation", "--json")
    found = json.loads(shown.out)
    assert found.pop("intervals")
    assert stored.pop("intervals") == {}, "those of validation are eval's"
    assert found == stored

    assert cnnlab("export-weights", "run", "-o", "averaged.safetensors").code == 0
    assert cnnlab("train", small, *PLAIN, "--run", "plain", "--quiet").code == 0
    assert cnnlab("export-weights", "plain", "-o", "plain.safetensors").code == 0
    from safetensors.numpy import load_file

    one, other = load_file("averaged.safetensors"), load_file("plain.safetensors")
    assert set(one) == set(other)
    assert not any(np.array_equal(one[name], other[name]) for name in one if one[name].size > 1)
    plain = table(Path("plain/history.csv"))
    assert [row["train/loss"] for row in plain] == [row["train/loss"] for row in rows], "training goes on as without"
    assert [row["validation/loss"] for row in plain] == [row["last_iterate/loss"] for row in rows]


def test_all_examples_at_once_is_one_step_an_epoch(small, cnnlab):
    settings = [*PLAIN, "data.batch_size=all", "optimizer={name: sgd, learning_rate: 0.1}", "train.epochs=3"]
    assert cnnlab("train", small, *settings, "--run", "run", "--quiet").code == 0
    assert [row["step"] for row in table(Path("run/history.csv"))] == ["1", "2", "3"]
    assert "batch_size: 54" in Path("run/resolved.yaml").read_text()
    one = [*PLAIN, "data.batch_size=1", "optimizer={name: sgd, learning_rate: 0.1}", "train.epochs=1"]
    assert cnnlab("train", small, *one, "--run", "one", "--quiet").code == 0
    assert table(Path("one/history.csv"))[0]["step"] == "54"
