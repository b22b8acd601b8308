"""The bar over files that are read: on a terminal, after a moment, and gone when there is something else to show."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from cnnlab.cli import looking as module
from cnnlab.cli.looking import looking
from cnnlab.data.check.inspect import inspect
from cnnlab.data.prepare import prepare
from cnnlab.data.progress import counted, watched
from cnnlab.spec.data import ImageFolder


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch, *, stderr: io.StringIO, patience: float, quiet: bool = False) -> str:
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(module, "PATIENCE", patience)
    monkeypatch.setenv("TERM", "xterm")
    with looking(quiet=quiet):
        assert list(counted(iter("abcde"), 5)) == list("abcde")
    return stderr.getvalue()


def test_a_bar_where_somebody_waits(monkeypatch):
    text = shown(monkeypatch, stderr=Terminal(), patience=0)
    assert "files" in text
    assert "5/5" in text
    assert text.endswith("\x1b[2K")  # the line is empty again


def test_nothing_where_nobody_waits_or_looks(monkeypatch):
    assert shown(monkeypatch, stderr=Terminal(), patience=1000) == ""
    assert shown(monkeypatch, stderr=io.StringIO(), patience=0) == ""
    assert shown(monkeypatch, stderr=Terminal(), patience=0, quiet=True) == ""


@pytest.fixture
def folder(tmp_path):
    for i in range(10):
        path = tmp_path / "photos" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((5, 5), 20 * i, np.uint8)).save(path)
    return tmp_path


@pytest.mark.parametrize("keys", [{}, {"memory": "0B"}, {"cache": "cache"}, {"on_bad_file": "skip"}])
def test_every_file_is_counted_whoever_reads_it(folder, keys):
    seen = []
    spec = ImageFolder(source="image_folder", path="photos", **keys)
    with watched(lambda done, total: seen.append((done, total))):
        prepare(spec, folder, 0)
    assert seen[-10:] == [(i, 10) for i in range(1, 11)]
    seen.clear()
    with watched(lambda done, total: seen.append((done, total))):
        inspect(spec, folder, 0)
    assert seen == [(i, 10) for i in range(1, 11)]
    seen.clear()
    prepare(spec, folder, 0)
    assert seen == []
