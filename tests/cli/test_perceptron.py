"""`task: perceptron` from a spec to its tables: converged, not converged, resumed."""

import csv
import json
from pathlib import Path

import pytest

SPEC = """\
task: perceptron
data: {source: gaussians, examples: 120, separation: SEPARATION, batch_size: 16}
model: {name: perceptron}
train: {epochs: 20}
"""


@pytest.fixture
def spec_of(tmp_path, monkeypatch):
    def write(separation: float) -> str:
        monkeypatch.chdir(tmp_path)
        Path("points.yaml").write_text(SPEC.replace("SEPARATION", str(separation)))
        return "points.yaml"

    return write


def rows() -> list[dict[str, str]]:
    return list(csv.DictReader(Path("runs/points/history.csv").read_text().splitlines()))


def test_it_converges_and_says_when(cnnlab, spec_of):
    ended = cnnlab("train", spec_of(12))
    assert ended.code == 0, ended.err
    found = rows()
    total = sum(int(row["train/errors"]) for row in found)
    assert len(found) < 20
    assert found[-1]["train/errors"] == "0"
    reason = f"converged after epoch {len(found)}, {total} errors in all"
    status = json.loads(Path("runs/points/status.json").read_text())
    assert (status["status"], status["reason"], status["best"]["by"]) == ("finished", reason, "train/errors")
    assert status["best"]["epoch"] == len(found)
    assert f"note: {reason}\n" in ended.err
    assert "by train/errors" in ended.out

    before = Path("runs/points/history.csv").read_bytes()
    again = cnnlab("train", "points.yaml", "--resume", "train.epochs=20")
    assert again.code == 0, again.err
    assert Path("runs/points/history.csv").read_bytes() == before  # it is over, and nothing is trained


def test_on_data_that_overlaps_it_runs_to_its_last_epoch_and_says_so(cnnlab, spec_of):
    ended = cnnlab("train", spec_of(1), "train.epochs=4", "--json")
    assert ended.code == 0, ended.err
    last = rows()[-1]["train/errors"]
    reason = json.loads(Path("runs/points/status.json").read_text())["reason"]
    assert reason.startswith(f"not converged: {last} errors in epoch 4, the last one, ")
    assert reason in ended.err
    assert json.loads(ended.out)["metrics"]["task"] == "perceptron"
