"""The digits against scikit-learn's own reader."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import load_digits

from cnnlab.data import digits
from cnnlab.errors import DataError
from cnnlab.spec.schema import Digits

SPEC = Digits(source="digits")


def test_equal_to_scikit_learn():
    data, oracle = digits.load(SPEC, Path(".")), load_digits()
    assert data.x.shape == (1797, 8, 8, 1)
    assert data.x.dtype == np.float32
    np.testing.assert_array_equal(data.x[..., 0] * 16, oracle.images)
    np.testing.assert_array_equal(data.y, oracle.target)
    assert data.y.dtype == np.int32
    assert data.classes == tuple(map(str, oracle.target_names))
    assert (data.files, data.given, data.notes, data.source) == (None, {}, (), "digits")
    assert (data.x.min(), data.x.max()) == (0, 1)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(digits, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"digits: the digits come with scikit-learn.*; pip install scikit-learn"):
        digits.load(SPEC, Path("."))


def test_without_the_file(monkeypatch, tmp_path):
    found = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(digits, "find_spec", lambda name: found)
    with pytest.raises(DataError, match=r"digits: cannot read .*digits\.csv\.gz.*; pip install --force-reinstall"):
        digits.load(SPEC, Path("."))
    (tmp_path / "datasets/data").mkdir(parents=True)
    np.savetxt(tmp_path / digits.FILE, np.zeros((3, 65)), delimiter=",")
    with pytest.raises(DataError, match=r"has the shape \(3, 65\), not \(1797, 65\)"):
        digits.load(SPEC, Path("."))
