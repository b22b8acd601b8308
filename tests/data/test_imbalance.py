"""Weights and shares of classes against scikit-learn and by hand."""

import numpy as np

from cnnlab.data.dataset import Dataset
from cnnlab.data.imbalance import imbalance, imbalance_notes


def dataset(*counts: int) -> Dataset:
    y = np.repeat(np.arange(len(counts)), counts).astype(np.int32)
    return Dataset(np.arange(len(y), dtype=np.float32)[:, None], y, tuple("abcdefgh"[: len(counts)]))


def test_the_ratio():
    data = dataset(31, 10, 0, 12)
    found = imbalance(data, np.arange(53))
    largest, smallest = {"class": "a", "examples": 31}, {"class": "b", "examples": 10}
    assert found == {"ratio": 3.1, "largest": largest, "smallest": smallest}
    assert imbalance_notes(data, np.arange(53)) == ("the classes' imbalance in training is 3.1: 'a' (31) to 'b' (10)",)
    assert imbalance_notes(data, np.arange(1, 53)) == ()  # 3, and no more
    targets = Dataset(data.x, np.zeros(53, np.int32), ())
    assert imbalance(targets, np.arange(53)) is None
