"""The tests of this room say which convolution they want; all others have what a user has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnlab import kernels


@pytest.fixture(scope="session")
def enabled() -> kernels.Status:
    return kernels.enable()


@pytest.fixture
def in_use(enabled: kernels.Status) -> None:
    """Skips where there are no kernels."""
    if not enabled.in_use:
        pytest.skip(enabled.why)


def printed(script: str, **changed: str) -> str:
    """What a script prints in a process of its own, which compiles anew, with these variables changed."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(Path(__file__).parents[2]), **changed}
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
