"""The cache of compiled programs: whole or not there, whatever was killed or damaged."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnnlab.cli.programs import Programs, keep_in_each_process

COMPILE = """
import warnings
warnings.simplefilter("error")
from cnnlab.cli.process import keep_programs
keep_programs()
import jax
compiled = []
jax.monitoring.register_event_listener(lambda name, **_: compiled.append(name))
jax.jit(lambda x: (x @ x).sum())(jax.numpy.ones((8, 8))).block_until_ready()
print(sum(name.endswith("cache_misses") for name in compiled), sum(name.endswith("cache_hits") for name in compiled))
"""


@pytest.fixture
def programs(tmp_path) -> Programs:
    return Programs(tmp_path / "programs")


def test_what_was_put_is_got(programs):
    assert programs.get("a") is None
    programs.put("a", b"program")
    programs.put("a", b"another")
    assert (programs.get("a"), programs.get("b")) == (b"another", None)
    assert [path.name for path in programs.folder.iterdir()] == ["a.program"]


@pytest.mark.parametrize("length", [0, 1, 32, 38])
def test_a_truncated_program_is_not_there(programs, length):
    programs.put("a", b"program")
    (file,) = programs.folder.iterdir()
    file.write_bytes(file.read_bytes()[:length])
    assert programs.get("a") is None
    programs.put("a", b"program")
    assert programs.get("a") == b"program"


def test_a_flipped_bit_is_told(programs):
    programs.put("a", b"program")
    (file,) = programs.folder.iterdir()
    content = bytearray(file.read_bytes())
    for i in range(len(content)):
        content[i] ^= 1
        file.write_bytes(content)
        assert programs.get("a") is None
        content[i] ^= 1


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path):
    (tmp_path / "file").write_text("")
    programs = Programs(tmp_path / "file")
    programs.put("a", b"program")
    assert programs.get("a") is None


def test_jax_takes_programs_from_it_and_compiles_what_is_damaged(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("JAX_")}
    environment |= {"XDG_CACHE_HOME": str(tmp_path), "JAX_PLATFORMS": "cpu"}

    def misses_and_hits() -> list[int]:
        command = [sys.executable, "-c", COMPILE]
        done = subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return list(map(int, done.stdout.split()))

    misses, hits = misses_and_hits()
    assert (misses > 0, hits) == (True, 0)
    assert misses_and_hits() == [0, misses]
    files = list(tmp_path.rglob("*.program"))
    assert len(files) == misses
    files[0].write_bytes(files[0].read_bytes()[:-1])
    assert misses_and_hits() == [1, misses - 1]


def test_each_process_of_a_job_keeps_its_programs(monkeypatch):
    from jax._src import compiler, distributed

    seen = []
    monkeypatch.setattr(compiler, "_cache_write", lambda *arguments: seen.append(distributed.global_state.process_id))
    monkeypatch.setattr(distributed.global_state, "process_id", 3)
    keep_in_each_process()
    compiler._cache_write("key")
    assert seen == [0], "JAX writes where it takes itself for process 0"
    assert distributed.global_state.process_id == 3
