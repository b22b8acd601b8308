"""The library is built once and found again; every reason why there is none is one sentence."""

import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from cnnlab import kernels
from cnnlab.files import cache_directory
from cnnlab.kernels import build

RUN = """
import jax, jax.numpy as jnp
from cnnlab import kernels
status = kernels.enable()
assert kernels.enable() is status
f = jax.jit(lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))
x, w = jnp.ones((2, 5, 5, 3)), jnp.ones((3, 3, 3, 4))
print(status.in_use, "cnnlab_convolution" in f.lower(x, w).as_text(), float(f(x, w).sum()))
print(status.why)
"""
INSTEAD = "; plain JAX formulas do grouped, depthwise and 1x1 convolutions and batch normalisation"
SUM = 2 * 4 * 3 * 169.0  # examples, features, channels; 13 x 13 pairs of window and map within it


def environment(**changed: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("CNNLAB_KERNELS", "CXX")}
    return {**kept, "JAX_PLATFORMS": "cpu", **changed}


def said(**changed: str) -> list[str]:
    """What a fresh process says of the kernels, and whether its convolution is right all the same."""
    command = [sys.executable, "-c", RUN]
    ended = subprocess.run(command, capture_output=True, text=True, env=environment(**changed), check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    used, why = ended.stdout.splitlines()
    assert used in (f"True True {SUM}", f"False False {SUM}")
    return [used.split()[0], why]


def test_turned_off_in_the_environment():
    assert said(CNNLAB_KERNELS="off") == ["False", f"turned off by CNNLAB_KERNELS{INSTEAD}"]


def test_without_a_compiler(enabled, tmp_path):
    if not enabled.in_use:
        pytest.skip(enabled.why)
    assert said(PATH=str(tmp_path)) == ["False", f"there is no C++ compiler: g++ is not on the PATH{INSTEAD}"]


def test_where_nothing_can_be_written(enabled, tmp_path):
    if not enabled.in_use:
        pytest.skip(enabled.why)
    (tmp_path / "file").write_text("")
    used, why = said(XDG_CACHE_HOME=str(tmp_path / "file"))
    assert used == "False"
    assert why.startswith(f"the library {tmp_path}/file/cnnlab/kernels/kernels-")
    assert "cannot be used: [Errno 20] Not a directory" in why
    assert why.endswith(INSTEAD)


def test_the_library_is_there_at_the_second_use(enabled, monkeypatch):
    if not enabled.in_use:
        pytest.skip(enabled.why)
    monkeypatch.setattr(build, "_compile", None)
    assert build.load().cnnlab_convolution_probe


@pytest.fixture
def empty_cache(enabled, tmp_path, monkeypatch) -> Path:
    if not enabled.in_use:
        pytest.skip(enabled.why)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "cnnlab" / "kernels"


def test_a_source_that_does_not_compile(empty_cache, tmp_path, monkeypatch):
    (tmp_path / "broken.cc").write_text("int main( {")
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    with pytest.raises(build.Unavailable, match=r"g\+\+ cannot build the kernels: .*broken.cc:1:.*error"):
        build.load()
    assert [path.name for path in empty_cache.iterdir()] == ["lock"]


def test_what_an_interrupted_build_left_is_cleared_away(empty_cache, monkeypatch):
    (empty_cache / "building-x").mkdir(parents=True)
    (empty_cache / "building-x" / "library").write_text("half a library")
    (empty_cache / "small.cc").write_text('extern "C" int answer() { return 42; }')
    (empty_cache / "other.cc").write_text("int other = 1;")
    monkeypatch.setattr(build, "SOURCES", empty_cache)
    assert build.load().answer() == 42
    assert not list(empty_cache.glob("building-*"))


def test_a_library_of_its_own_needs_the_compiler_alone(empty_cache, monkeypatch):
    empty_cache.mkdir(parents=True)
    (empty_cache / "small.cc").write_text('extern "C" int answer() { return 42; }')
    (empty_cache / "resize.cc").write_text('extern "C" int answer() { return 43; }')
    monkeypatch.setattr(build, "SOURCES", empty_cache)
    monkeypatch.setattr(build, "_file_of", None)
    monkeypatch.setattr(build, "key", None)
    assert build.load_alone("resize").answer() == 43
    assert [path.name.split("-")[0] for path in empty_cache.glob("*.so")] == ["resize"]
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty_cache.parent.parent))
    monkeypatch.setattr(build, "SOURCES", empty_cache)
    assert build.load().answer() == 42


AT_ONCE = """
import sys
from pathlib import Path
from cnnlab.kernels import build
build.SOURCES = Path(sys.argv[1])
print(build.load().answer())
"""


def test_processes_that_start_at_once_build_once(empty_cache, tmp_path):
    (tmp_path / "sources").mkdir()
    (tmp_path / "sources" / "small.cc").write_text('extern "C" int answer() { return 42; }')
    compiler, compiled = tmp_path / "compiler", tmp_path / "compiled"
    compiler.write_text(f'#!/bin/sh\ncase "$*" in *-shared*) echo >> "{compiled}"; sleep 1;; esac\nexec g++ "$@"\n')
    compiler.chmod(0o755)
    command = [sys.executable, "-c", AT_ONCE, str(tmp_path / "sources")]
    environ = environment(XDG_CACHE_HOME=str(empty_cache.parent.parent), CXX=str(compiler))
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ) for _ in range(3)]
    assert [process.communicate()[0] for process in running] == ["42\n"] * 3
    assert compiled.read_text() == "\n"
    assert len(list(empty_cache.glob("*.so"))) == 1
    assert not list(empty_cache.glob("building-*"))


def test_a_compiler_that_does_not_run(enabled, monkeypatch):
    if not enabled.in_use:
        pytest.skip(enabled.why)
    monkeypatch.setenv("CXX", "false")
    with pytest.raises(build.Unavailable, match=r"^the C\+\+ compiler .*/false does not run: "):
        build.load()


def test_other_machines(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    with pytest.raises(build.Unavailable, match=r"^they are for Linux on x86-64, and this is \w+ on aarch64$"):
        build.load()


def test_without_the_packages(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")

    def missing(name: str):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", missing)
    with pytest.raises(build.Unavailable, match=r"^the package onednn-cpu-gomp is not installed$"):
        build.load()
    monkeypatch.setattr(metadata, "files", lambda name: [])
    with pytest.raises(build.Unavailable, match=r"^the package onednn-cpu-gomp is installed without its file libdnnl"):
        build.load()


@pytest.mark.parametrize("set_to", ["/somewhere/cache", "relative", ""])
def test_the_cache_directory(monkeypatch, set_to):
    monkeypatch.setenv("XDG_CACHE_HOME", set_to)
    monkeypatch.setenv("HOME", "/home/someone")
    root = "/somewhere/cache" if set_to.startswith("/") else "/home/someone/.cache"
    assert cache_directory() == Path(root, "cnnlab")


def test_the_key_changes_with_the_source(monkeypatch, tmp_path, enabled):
    if not enabled.in_use:
        pytest.skip(enabled.why)
    before = build.key()
    assert len(before) == 16
    assert build.key() == before
    (tmp_path / "other.h").write_text("")
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    assert build.key() != before


def test_a_status_is_a_sentence(enabled):
    assert isinstance(enabled, kernels.Status)
    assert "\n" not in enabled.why
