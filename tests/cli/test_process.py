"""What a process sets for itself: where compiled programs stay, and that memory does."""

import json
import os
import subprocess
import sys

import pytest

from cnnlab.cli import process

FAULTS = """
import resource, sys
import numpy as np
from cnnlab.cli.process import keep_memory
keep_memory()
np.ones(1 << 23)  # 64 MiB, given back at once
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(1 << 23)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.fixture
def unset(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for name in list(os.environ):
        if name.startswith(("JAX_COMPILATION_CACHE", "JAX_PERSISTENT_CACHE", "CNNLAB_CACHE")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(os, "environ", dict(os.environ))
    return tmp_path


def test_programs_stay_in_the_users_cache(unset):
    process.keep_programs()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"].startswith(str(unset / "cnnlab" / "xla-"))
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"


@pytest.mark.parametrize(("name", "value"), [("CNNLAB_CACHE", "off"), ("JAX_COMPILATION_CACHE_DIR", "/mine")])
def test_the_users_own_setting_stays(unset, name, value):
    os.environ[name] = value
    process.keep_programs()
    assert os.environ.get("JAX_COMPILATION_CACHE_DIR") == ("/mine" if value == "/mine" else None)


def test_what_was_not_read_for_longest_goes_first(tmp_path):
    for age, name in enumerate(["new", "old", "older"]):
        (tmp_path / name).write_bytes(bytes(100))
        os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    process._prune(tmp_path, 200)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "old"]
    process._prune(tmp_path, 0)
    assert not list(tmp_path.iterdir())
    process._prune(tmp_path / "nothing", 0)


def test_the_second_start_compiles_nothing(small, tmp_path):
    """It takes every program from the cache, and gives the same bits."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_COMP", "JAX_PERS"))}
    environ["XDG_CACHE_HOME"] = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    environ["JAX_LOG_COMPILES"] = "0"
    programs = tmp_path / "programs"
    environ |= {
        "JAX_COMPILATION_CACHE_DIR": str(programs),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    found, kept = [], []
    for run in ("first", "second"):
        command = [sys.executable, "-c", "from cnnlab.cli import command; command()"]
        command += ["train", str(small), "model.layers=[flatten, dense: classes]", "train.epochs=1"]
        command += ["--run", str(tmp_path / run), "--json", "--quiet"]
        ended = subprocess.run(command, env=environ, capture_output=True, text=True, check=True)
        found.append(json.loads(ended.stdout)["metrics"])
        kept.append({path.name for path in programs.glob("*-cache")})
    assert found[0] == found[1]
    assert len(kept[0]) > 2
    assert kept[0] == kept[1]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc")
def test_memory_that_was_freed_is_used_again_without_new_pages():
    """Numbers of page faults, not seconds."""
    faults = {}
    for setting in ("on", "off"):
        environ = {**os.environ, "CNNLAB_ALLOCATOR": setting}
        ended = subprocess.run([sys.executable, "-c", FAULTS], env=environ, capture_output=True, text=True, check=True)
        faults[setting] = int(ended.stdout)
    assert 10 * faults["on"] < faults["off"]


def test_a_closed_stdout_or_stderr_is_no_fault():
    for closed in (">&-", ">&- 2>&-"):
        listed = f'{sys.executable} -c "from cnnlab.cli import command; command()" list models {closed}'
        ended = subprocess.run(["sh", "-c", listed], capture_output=True, text=True)
        assert (ended.returncode, ended.stderr) == (0, "")
