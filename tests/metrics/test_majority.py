"""Where accuracy misleads, and the balanced accuracy beside it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.metrics import balanced_accuracy_score

from cnnlab.metrics.majority import balanced_accuracy, constant_guess


def report(matrix):
    matrix = np.array(matrix)
    classes = [f"class {i}" for i in range(len(matrix))]
    return {"confusion_matrix": matrix.tolist(), "accuracy": matrix.trace() / matrix.sum(), "classes": classes}


@given(arrays.arrays(np.int64, (3, 3), elements=st.integers(0, 9)).filter(lambda matrix: matrix.sum()))
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_balanced_accuracy_is_scikit_learns(matrix):
    true, predicted = np.repeat(np.indices((3, 3)).reshape(2, 9), matrix.reshape(9), axis=1)
    expected = balanced_accuracy_score(true, predicted)
    assert balanced_accuracy(report(matrix)) == pytest.approx(expected, abs=1e-12)


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
