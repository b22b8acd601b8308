"""Reduce on plateau, epoch by epoch."""

import pytest

from cnnlab.spec.schedules import Plateau
from cnnlab.train.plateau import reduced, unreduced


def factors(values: list[float], metric: str = "validation/loss", **settings) -> list[float]:
    """The factor of the epoch behind each value."""
    spec, state, found = Plateau(schedule="plateau", metric=metric, **settings), unreduced(), []
    for value in values:
        state = reduced(spec, state, {metric: value})
        found.append(float(state.factor))
    return found


@pytest.mark.parametrize(
    ("values", "settings", "expected"),
    [
        ([5, 4, 3, 2], {"patience": 1}, [1, 1, 1, 1]),
        ([5, 5, 5, 5, 5], {"patience": 2, "factor": 0.5}, [1, 1, 0.5, 0.5, 0.25]),
        ([5, 6, 4, 4.5, 4, 3], {"patience": 2, "factor": 0.5}, [1, 1, 1, 1, 0.5, 0.5]),
        ([5, 4.9, 4.8], {"patience": 1, "factor": 0.5, "min_delta": 0.15}, [1, 0.5, 0.5]),
        ([5, 5, 5, 5], {"patience": 1, "factor": 0.1, "peak": 0.1, "smallest": 0.002}, [1, 0.1, 0.02, 0.02]),
    ],
)
def test_the_factor_falls_when_patience_runs_out(values, settings, expected):
    assert factors(values, **settings) == pytest.approx(expected)


def test_of_an_accuracy_more_is_better():
    rising = {"metric": "validation/accuracy", "patience": 1, "factor": 0.5}
    assert factors([0.1, 0.2, 0.3], **rising) == [1, 1, 1]
    assert factors([0.3, 0.2, 0.1], **rising) == [1, 0.5, 0.25]
