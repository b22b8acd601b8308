"""A run whose images are read by processes: the bits of one with threads, also when one of them is killed."""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.cli.photos import write_photos
from tests.cli.test_hosts import last
from tests.cli.test_streamed import without_times

SPEC = """\
name: photos
data: {source: image_folder, path: photos, resize: 6, batch_size: 8, memory: 1KiB, augment: [noise: 0.1, mixup: 0.2]}
model: {layers: [flatten, dense: 8, batch_norm, relu, dropout: 0.2, dense: classes]}
train: {epochs: 4, checkpoint_every: 1}
"""


def figures(run: str) -> tuple[list[list[str]], str, dict[str, bytes]]:
    path = Path(run)
    return (
        without_times((path / "history.csv").read_text()),
        (path / "eval/test/predictions.csv").read_text(),
        last(path),
    )


def test_the_bits_of_threads_though_a_process_is_killed(tmp_path, monkeypatch, cnnlab):
    pytest.importorskip("grain", reason="pip install 'cnnlab[grain]'")
    from cnnlab.runs.signals import StopSignals

    write_photos(tmp_path, (8, 8), ".png")
    (tmp_path / "photos.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    done = cnnlab("train", "photos.yaml", "--run", "threads")
    assert done.code == 0, done.err

    asked, steps = StopSignals.asked_to_stop, []

    def kill_one(self: StopSignals) -> bool:
        steps.append(None)
        if len(steps) == 6:
            processes = [p for p in multiprocessing.active_children() if "grain" in p.name]
            assert len(processes) == 2
            os.kill(processes[0].pid or 0, signal.SIGKILL)
        return asked(self)

    with monkeypatch.context() as patch:
        patch.setattr(StopSignals, "asked_to_stop", kill_one)
        done = cnnlab("train", "photos.yaml", "--run", "workers", "data.workers=2", "--quiet")
    assert done.code == 1
    assert done.err == (
        "data.workers: a process that reads images was ended by SIGKILL; "
        "--resume continues the run; fewer data.workers take less memory\n"
    )
    assert json.loads(Path("workers/status.json").read_text())["status"] == "failed"
    assert not [p for p in multiprocessing.active_children() if "grain" in p.name]

    done = cnnlab("train", "photos.yaml", "--run", "workers", "data.workers=1", "--resume")
    assert done.code == 0, done.err
    assert figures("workers") == figures("threads")
    assert "resumed after step" in Path("workers/log.txt").read_text()
    assert "workers: 2" in Path("workers/resolved.yaml").read_text()


def test_without_grain_check_and_train_say_so(tmp_path, monkeypatch, cnnlab):
    write_photos(tmp_path, (8, 8), ".png")
    (tmp_path / "photos.yaml").write_text(SPEC)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "grain", None)
    for command in ("check", "train"):
        done = cnnlab(command, "photos.yaml", "data.workers=2")
        assert (done.code, done.out) == (2, "")
        assert done.err.splitlines()[-1] == (
            "data.workers: Grain is not installed; pip install 'cnnlab[grain]', or leave data.workers out"
        )
    assert not Path("runs").exists()
