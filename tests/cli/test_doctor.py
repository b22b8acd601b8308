"""`cnnlab doctor`: what this machine runs with."""

import json

import jax

from cnnlab import kernels


def test_it_tells_versions_device_and_kernels(cnnlab):
    status = kernels.enable()
    found = json.loads(cnnlab("doctor", "--json").out)
    assert found["packages"]["jax"] == jax.__version__
    assert found["device"]["platform"] == jax.default_backend()
    assert found["kernels"] == {"in_use": status.in_use, "why": status.why}
    lines = cnnlab("doctor").out.splitlines()
    assert f"kernels           {'in use' if status.in_use else 'not in use'}: {status.why}" in lines
    assert f"jax               {jax.__version__}" in lines
