"""`cnnlab doctor`: what this machine runs with."""

import json
from pathlib import Path

import jax

from cnnlab import kernels
from cnnlab.kernels import resize


def test_it_tells_versions_device_and_kernels(cnnlab):
    status = kernels.enable()
    found = json.loads(cnnlab("doctor", "--json").out)
    assert found["packages"]["jax"] == jax.__version__
    assert found["device"]["platform"] == jax.default_backend()
    assert found["kernels"] == {"in_use": status.in_use, "why": status.why}
    assert found["images"] == ("resized by a kernel of our own" if resize.in_use() else "resized by Pillow")
    lines = cnnlab("doctor").out.splitlines()
    assert f"images            {found['images']}" in lines
    assert f"kernels           {'in use' if status.in_use else 'not in use'}: {status.why}" in lines
    assert f"jax               {jax.__version__}" in lines


def test_training_says_what_the_kernels_lack(small, cnnlab, monkeypatch):
    why = "there is no C++ compiler: g++ is not on the PATH"
    monkeypatch.setattr(kernels, "enable", lambda: kernels.Status(False, why, missed=True))
    monkeypatch.setattr(kernels, "to_build", lambda: True)
    ended = cnnlab("train", small, "train.epochs=1", "--run", "run")
    assert "note: building the kernels for this machine, once: some ten seconds\n" in ended.err
    assert f"note: training is slower than it could be, without the kernels: {why}\n" in ended.err
    assert json.loads(Path("run/environment.json").read_text())["kernels"] == {"in_use": False, "why": why}
    assert why in Path("run/log.txt").read_text()
