"""Where accuracy misleads."""

import numpy as np
import pytest

from cnnlab.metrics.majority import constant_guess


def report(matrix):
    matrix = np.array(matrix)
    classes = [f"class {i}" for i in range(len(matrix))]
    return {"confusion_matrix": matrix.tolist(), "accuracy": matrix.trace() / matrix.sum(), "classes": classes}


@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        ([[95, 0], [5, 0]], ("class 0", 0.95)),  # nothing was learnt
        ([[1, 4], [0, 95]], ("class 1", 0.95)),
        ([[90, 0], [1, 9]], ("class 0", 0.9)),  # 0.99, and 0.95 balanced
        ([[50, 0], [50, 0]], None),  # as bad as guessing, and says so
        ([[48, 2], [2, 48]], None),
        ([[95, 0], [0, 5]], None),  # all right: no figure is better than another
        ([[60, 5, 5], [2, 13, 0], [2, 0, 13]], None),  # far better than the 0.7 of a guess
    ],
)
def test_a_constant_guess_that_comes_near(matrix, expected):
    assert constant_guess(report(matrix)) == expected
