"""Memory asked before it is taken."""

import pytest

from cnnlab.data import memory
from cnnlab.errors import DataError


def test_what_is_available():
    free = memory.available_bytes()
    assert free is None or free > 2**20
    assert memory.processors() >= 1


def test_a_container_with_less(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "Path", lambda text: tmp_path / text.lstrip("/"))
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text("MemTotal: 9 kB\nMemAvailable:       8 kB\n")
    assert memory.available_bytes() == 8192
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/memory.current").write_text("1000\n")
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("max\n")
    assert memory.available_bytes() == 8192
    (tmp_path / "sys/fs/cgroup/memory.max").write_text("3000\n")
    assert memory.available_bytes() == 2000
    (tmp_path / "proc/meminfo").unlink()
    assert memory.available_bytes() is None


def test_fits_up_to_four_fifths(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 10 * 2**30)
    memory.check_fits(8 * 2**30, "it", where="here", hint="less")
    with pytest.raises(DataError, match=r"here: it would take 8\.5 GiB, and 10\.0 GiB are available; less"):
        memory.check_fits(int(8.5 * 2**30), "it", where="here", hint="less")
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    memory.check_fits(2**80, "it", where="here", hint="less")
