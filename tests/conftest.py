"""What the tests share: a small data set, a spec that uses every kind of randomness, the program in-process."""

import gc
import os
from pathlib import Path

gc.set_threshold(100_000)  # objects, as of the program's own processes: at the usual 700 a third of the time goes there
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# One compilation of a program serves all tests, and the next run of them.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(__file__).parent.parent / ".pytest_cache" / "xla"))
os.environ.setdefault("CNNLAB_ALLOCATOR", "off")  # a test process runs too much to keep all its memory
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

from jaxtyping import install_import_hook

# Shapes in annotations are checked while the tests run.
install_import_hook(["cnnlab.layers", "cnnlab.losses", "cnnlab.models", "cnnlab.tasks"], "beartype.beartype")

import shutil
import sys
from collections.abc import Callable, Iterator
from typing import IO, NamedTuple

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


def pytest_collection_finish() -> None:
    """What is imported by now stays: no search for cycles needs to look at it again."""
    gc.freeze()


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture
def cnnlab(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The command line, through its entry point."""

    def run(*arguments: object) -> Ended:
        from cnnlab.cli import main

        monkeypatch.setattr(sys, "argv", ["cnnlab", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return run


def well(*arguments: object) -> None:
    """A command that ends well, in the current directory."""
    from cnnlab.cli import main

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["cnnlab", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
    assert not ended.value.code


SPEC = """\
name: small
data:
  source: npz
  path: small.npz
  split: {train: 0.6, validation: 0.2, test: 0.2}
  batch_size: 16
  augment: [shift: 1, rotate: 10, flip: horizontal, noise: 0.1]
model:
  layers:
    - conv: {features: 4, kernel: 3}
    - batch_norm
    - relu
    - max_pool: 2
    - flatten
    - dropout: 0.25
    - dense: classes
optimizer: {name: adamw, learning_rate: {peak: 0.01}}
train: {epochs: 4, checkpoint_every: 1}
"""


def write_small(folder: Path) -> Path:
    """Writes the data and the spec of `small`."""
    random = np.random.default_rng(0)
    y = np.arange(90) % 3
    x = random.integers(0, 120, (90, 6, 6), dtype=np.uint8)
    for example, label in zip(x, y, strict=True):
        example[2 * label : 2 * label + 2] += 100
    np.savez(folder / "small.npz", x=x, y=y, classes=np.array(["top", "middle", "bottom"]))
    spec = folder / "small.yaml"
    spec.write_text(SPEC)
    return spec


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A spec in an otherwise empty current directory: 90 images of 6x6 pixels in three classes.

    36 of the 54 training images make two whole batches of 16, so that the last of four steps is padded.
    """
    monkeypatch.chdir(tmp_path)
    return write_small(tmp_path)


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `small`, trained into runs/small."""
    folder = tmp_path_factory.mktemp("trained")
    spec = write_small(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        well("train", spec, "--quiet")
    return folder


@pytest.fixture(scope="module")
def undrawn(trained_once: Path) -> Iterator[None]:
    """For tests of something else: a run's pictures stay empty, since to draw them takes as long as to train it.

    Those of `trained_once` are drawn: they are there before.
    """

    def save(figure: object, file: IO[bytes], **_: object) -> None:
        file.write(b"not drawn")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", save)
        yield


@pytest.fixture
def uninterrupted(small: Path, trained_once: Path) -> Path:
    """What training `small` leaves, in "whole" in the current directory."""
    shutil.copytree(trained_once / "runs/small", "whole")
    resolved = Path("whole/resolved.yaml")
    resolved.write_text(resolved.read_text().replace(str(trained_once), str(small.parent)))
    return Path("whole")
