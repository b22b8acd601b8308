"""`cnnlab doctor`: what this machine runs with."""

import json

import jax


def test_it_tells_versions_device_and_kernels(cnnlab, monkeypatch):
    monkeypatch.delenv("CNNLAB_KERNELS", raising=False)
    found = json.loads(cnnlab("doctor", "--json").out)
    assert found["packages"]["jax"] == jax.__version__
    assert found["device"]["platform"] == jax.default_backend()
    assert found["kernels"] == {"in_use": False, "why": "CNNLAB_KERNELS=on turns them on"}
    lines = cnnlab("doctor").out.splitlines()
    assert "kernels           not in use: CNNLAB_KERNELS=on turns them on" in lines
    assert f"jax               {jax.__version__}" in lines
