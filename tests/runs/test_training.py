"""Runs through the command line: what they leave, how they go on, what they survive."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from cnnlab.spec.load import load
from cnnlab.train import checkpoint

FILES = {
    "spec.yaml",
    "resolved.yaml",
    "environment.json",
    "data.json",
    "splits.csv",
    "model.json",
    "history.csv",
    "status.json",
    "log.txt",
    "figures/curves.png",
    *(
        f"eval/{split}/{name}"
        for split in ("validation", "test")
        for name in (
            "metrics.json",
            "per_class.csv",
            "confusion_matrix.csv",
            "confusion_matrix.png",
            "predictions.csv",
        )
    ),
    *(f"eval/test/{name}.png" for name in ("roc", "precision_recall", "reliability")),  # of the split it is told by
}


def files(run: Path) -> set[str]:
    there = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    return {name for name in there if not name.startswith(("checkpoints/", ".lock"))}


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def results(run: Path) -> dict[str, object]:
    """All that two runs of one spec have in common: everything but times."""
    rows = table(run / "history.csv")
    timeless = [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]
    evaluations = {name: (run / name).read_bytes() for name in FILES if name.startswith("eval/")}
    last = checkpoint.stored(run / "checkpoints")[-1]
    return {"rows": timeless, **evaluations, "arrays": arrays(last)}


def arrays(stored: checkpoint.Checkpoint) -> dict[str, bytes]:
    from orbax.checkpoint import v1 as ocp

    loaded = ocp.load((stored.path / "state").absolute())
    return {name: np.asarray(value).tobytes() for name, value in loaded.items()}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-c", "from cnnlab.cli import command; command()", *map(str, arguments)]


def test_a_run_leaves_the_files_of_the_contract(small, uninterrupted):
    assert files(uninterrupted) == FILES
    assert (uninterrupted / "spec.yaml").read_bytes() == small.read_bytes()
    status = json.loads((uninterrupted / "status.json").read_text())
    assert status["status"] == "finished"
    assert status["reason"] is None
    environment = json.loads((uninterrupted / "environment.json").read_text())
    assert environment["seed"] == 0
    assert environment["packages"]["jax"]
    data = json.loads((uninterrupted / "data.json").read_text())
    assert data["classes"] == ["top", "middle", "bottom"]
    assert data["counts"] == {"train": 54, "validation": 18, "test": 18}
    model = json.loads((uninterrupted / "model.json").read_text())
    assert model["parameters"] == 4 * 9 + 4 + 8 + 36 * 3 + 3
    assert model["receptive_field"]["size"] == [4, 4]
    rows = table(uninterrupted / "history.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    log = (uninterrupted / "log.txt").read_text().splitlines()
    assert [line.split()[1] for line in log] == ["1/4", "2/4", "3/4", "4/4"]


def test_training_the_resolved_spec_repeats_the_run(uninterrupted, cnnlab):
    resolved = load(uninterrupted / "resolved.yaml")
    assert resolved.data.split is not None
    assert resolved.model.input == (6, 6, 1)
    assert cnnlab("train", uninterrupted / "resolved.yaml", "--run", "again", "--quiet").code == 0
    assert results(Path("again")) == results(uninterrupted)


def test_eval_gives_the_figures_of_training_to_the_last_digit(uninterrupted, cnnlab):
    for split in ("test", "validation"):
        stored = (uninterrupted / "eval" / split / "metrics.json").read_text()
        shown = cnnlab("eval", uninterrupted, "--split", split, "--json")
        assert (uninterrupted / "eval" / split / "metrics.json").read_text() == shown.out
        found, before = json.loads(shown.out), json.loads(stored)
        assert len(found.pop("intervals")) == 11
        assert bool(before.pop("intervals")) == (split == "test")  # the end of training leaves validation's out
        assert found == before
    row = table(uninterrupted / "history.csv")
    best = json.loads((uninterrupted / "status.json").read_text())["best"]["epoch"]
    validation = json.loads((uninterrupted / "eval/validation/metrics.json").read_text())
    assert float(row[best - 1]["validation/loss"]) == validation["loss"]
    assert float(row[best - 1]["validation/f1"]) == validation["macro"]["f1"]


def test_the_last_checkpoint_has_a_folder_of_its_own(uninterrupted, cnnlab):
    before = (uninterrupted / "eval/test/metrics.json").read_bytes()
    assert cnnlab("eval", uninterrupted, "--checkpoint", "last").code == 0
    assert (uninterrupted / "eval/test-last/metrics.json").exists()
    assert (uninterrupted / "eval/test/metrics.json").read_bytes() == before


def test_the_metrics_agree_with_the_predictions_and_scikit_learn(uninterrupted):
    from sklearn.metrics import accuracy_score, precision_recall_fscore_support

    folder = uninterrupted / "eval/test"
    metrics = json.loads((folder / "metrics.json").read_text())
    rows = table(folder / "predictions.csv")
    true, predicted = [row["true"] for row in rows], [row["predicted"] for row in rows]
    names = metrics["classes"]
    assert metrics["accuracy"] == pytest.approx(accuracy_score(true, predicted), abs=1e-12)
    for average in ("macro", "micro", "weighted"):
        figures = precision_recall_fscore_support(true, predicted, labels=names, average=average, zero_division=0)
        assert list(metrics[average].values()) == pytest.approx(figures[:3], abs=1e-12)
    assert metrics["loss"] == pytest.approx(np.mean([float(row["loss"]) for row in rows]), rel=1e-12)
    assert sum(map(sum, metrics["confusion_matrix"])) == len(rows) == metrics["n"] == 18


def test_resuming_a_finished_run_changes_nothing(small, uninterrupted, cnnlab):
    before = results(uninterrupted)
    again = cnnlab("train", small, "--run", uninterrupted, "--resume", "--quiet", "--json")
    assert again.code == 0
    assert results(uninterrupted) == before
    assert json.loads(again.out)["metrics"] == json.loads(before["eval/test/metrics.json"])  # type: ignore[arg-type]


def test_resume_takes_the_same_spec_and_data_only(small, uninterrupted, cnnlab):
    other = cnnlab("train", small, "train.epochs=9", "--run", uninterrupted, "--resume")
    assert (other.code, other.out) == (2, "")
    assert other.err == (
        "whole: was begun with train.epochs = 4, and the spec says 9; "
        "a resumed run takes the same spec; start a new one\n"
    )
    with np.load("small.npz") as arrays_before:
        changed = dict(arrays_before)
    changed["x"] = changed["x"] + 1
    np.savez("small.npz", **changed)
    other = cnnlab("train", small, "--run", uninterrupted, "--resume")
    assert other.code == 2
    assert "the data is not what it was when the run began" in other.err
    evaluated = cnnlab("eval", uninterrupted)
    assert evaluated.code == 2
    assert "the data changed since training" in evaluated.err


def test_a_damaged_step_is_named_and_the_next_older_one_used(small, uninterrupted, cnnlab):
    steps = checkpoint.stored(uninterrupted / "checkpoints")
    for stored in steps[-1:]:
        victim = max((p for p in stored.path.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
    shown = cnnlab("eval", uninterrupted, "--checkpoint", "last")
    assert shown.code == 0
    assert f"note: {steps[-1].path}: damaged: the file" in shown.err
    assert f"note: step {steps[-2].step} is used instead" in shown.err
    before = {name: (uninterrupted / name).read_bytes() for name in FILES if name.startswith("eval/")}
    resumed = cnnlab("train", small, "--run", uninterrupted, "--resume")
    assert resumed.code == 0
    assert "an older step is used" in resumed.err
    assert {name: (uninterrupted / name).read_bytes() for name in before} == before


def test_with_every_step_damaged_there_is_nothing_to_evaluate(uninterrupted, cnnlab):
    for stored in checkpoint.stored(uninterrupted / "checkpoints"):
        (stored.path / checkpoint.MANIFEST).write_text("")
    shown = cnnlab("eval", uninterrupted)
    assert shown.code == 2
    assert "nothing to evaluate" in shown.err


def test_a_diverging_run_stops_with_1_and_keeps_the_last_good_step(small, cnnlab):
    ended = cnnlab("train", small, "optimizer.learning_rate=1e6", "data.augment=[]", "--run", "lost", "--quiet")
    assert ended.code == 1
    assert ended.err.startswith("training diverged at step ")
    assert "; the state after step 0 is kept in lost; try a lower learning_rate" in ended.err
    status = json.loads(Path("lost/status.json").read_text())
    assert status["status"] == "failed"
    assert status["reason"] == ended.err.strip()
    kept = checkpoint.stored(Path("lost/checkpoints"))
    assert kept
    for stored in kept:
        checkpoint.verify(stored)
        assert all(np.isfinite(np.frombuffer(b, np.float32)).all() for n, b in arrays(stored).items() if "params" in n)


def test_early_stopping_stops_and_says_so(small, cnnlab):
    stopping = "train.early_stopping={metric: train/loss, patience: 1, min_delta: 100}"
    ended = cnnlab("train", small, stopping, "train.epochs=50", "--run", "early", "--quiet", "--json")
    document = json.loads(ended.out)
    assert document["epochs"] == 2
    assert document["checkpoint"]["epoch"] == 1
    status = json.loads(Path("early/status.json").read_text())
    assert status["reason"] == "early stopping on train/loss"


def test_a_signal_saves_and_resume_goes_on_to_the_same_bits(small, cnnlab):
    epochs = "train.epochs=20"  # enough for the signal to come in time
    assert cnnlab("train", small, epochs, "--run", "whole", "--quiet").code == 0
    for number, code, name in ((signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")):
        with subprocess.Popen(
            command("train", small, epochs, "--run", name), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            while not (line := process.stderr.readline()).startswith("epoch 1/20"):
                assert line.startswith("note: "), "the run goes on"
            process.send_signal(number)
            rest = process.communicate(timeout=60)[1]
        assert process.returncode == code
        assert f"interrupted by {name} at step " in rest
        assert "Traceback" not in rest
        assert json.loads(Path(name, "status.json").read_text())["status"] == "interrupted"
        assert cnnlab("train", small, epochs, "--run", name, "--resume", "--quiet").code == 0
        assert results(Path(name)) == results(Path("whole"))


def test_who_stops_listening_is_told_from_a_run_that_hangs(small):
    """The pipe breaks while the first checkpoint is written; the process ends all the same, and the run says why."""
    with subprocess.Popen(
        command("train", small, "train.epochs=400", "--run", "deaf"), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    ) as process:
        assert process.stderr is not None
        process.stderr.readline()
        process.stderr.close()
        assert process.wait(timeout=120) == 1
    assert json.loads(Path("deaf/status.json").read_text())["status"] == "failed"


def test_kill_9_at_random_moments_loses_nothing_that_was_saved(small, uninterrupted):
    """Killed again and again, wherever it is; the last resume ends with the bits of the uninterrupted run."""
    moments = random.Random(0)
    run = Path("killed")
    seen = 0
    for _ in range(4):
        process = subprocess.Popen(command("train", small, "--run", run, "--resume", "--quiet"))
        deadline = time.monotonic() + moments.uniform(1.0, 6.0)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()
        good = [c for c in checkpoint.stored(run / "checkpoints") if checkpoint.verify(c)]
        epochs = max((c.epoch for c in good), default=0)
        assert epochs >= seen, "an epoch that was saved is gone"
        seen = epochs
    subprocess.run(command("train", small, "--run", run, "--resume", "--quiet"), check=True, stdout=subprocess.DEVNULL)
    assert results(run) == results(uninterrupted)
    assert files(run) == FILES, "nothing half-written is left"
