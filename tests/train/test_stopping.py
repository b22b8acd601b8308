import math

import pytest

from cnnlab.spec.train import EarlyStopping, Train
from cnnlab.train.stopping import best_epoch, exhausted, watched


def rows(metric: str, values: list[float]) -> list[dict[str, float]]:
    return [{metric: value} for value in values]


@pytest.mark.parametrize(
    ("metric", "values", "min_delta", "best"),
    [
        ("validation/loss", [3, 2, 2.5, 1, 1.5], 0, 3),
        ("validation/accuracy", [0.1, 0.9, 0.9, 0.8], 0, 1),  # of equal ones the first
        ("validation/f1", [0.5], 0, 0),
        ("train/loss", [1.0, 0.95, 0.85], 0.1, 2),  # 0.95 is no gain of more than 0.1, 0.85 is
        ("train/loss", [], 0, None),
        ("validation/r2", [math.nan, -2, math.nan, 0.5, 0.2], 0, 3),  # what is not defined is never the best
        ("validation/loss", [math.nan, math.nan], 0, None),
    ],
)
def test_the_best_epoch(metric, values, min_delta, best):
    stopping = EarlyStopping(metric=metric, min_delta=min_delta)
    assert best_epoch(rows(metric, values), stopping) == best


def test_patience_counts_the_epochs_since_the_best_one():
    stopping = EarlyStopping(metric="validation/loss", patience=2)
    assert not exhausted([], stopping)
    assert not exhausted(rows("validation/loss", [1, 2]), stopping)
    assert exhausted(rows("validation/loss", [1, 2, 3]), stopping)
    assert not exhausted(rows("validation/loss", [1, 2, 0.5]), stopping)
    assert not exhausted(rows("validation/loss", [math.nan]), stopping)
    assert exhausted(rows("validation/loss", [math.nan, math.nan]), stopping)


def test_without_early_stopping_the_best_is_chosen_by_what_is_measured():
    assert watched(Train(epochs=3), has_validation=True).metric == "validation/loss"
    assert watched(Train(epochs=3), has_validation=False).metric == "train/loss"
    stopping = EarlyStopping(metric="train/accuracy", patience=1)
    assert watched(Train(early_stopping=stopping), has_validation=True) == stopping


def test_a_patience_that_is_not_stated_is_ten_epochs_or_a_shorter_run():
    for epochs, patience in ((4, 4), (10, 10), (30, 10)):
        train = Train(epochs=epochs, early_stopping=EarlyStopping(metric="train/loss"))
        assert watched(train, has_validation=True).patience == patience
        assert watched(train, has_validation=True).metric == "train/loss"
