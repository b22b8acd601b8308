import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.errors import Diverged
from cnnlab.train import loop
from cnnlab.train.loop import EpochEnd, Progress, check_finite, fit
from tests.train.test_step import never, program_of


def diverged(state, step: int, loss: float):
    return state._replace(diverged_at=jnp.asarray(step), diverged_loss=jnp.asarray(loss))


@pytest.mark.parametrize(
    ("loss", "why"),
    [
        (float("nan"), "the loss is nan"),
        (5e5, "the loss is 5e+05, more than 1,000 times that of guessing"),
        (1.0, "the gradient is not finite"),
    ],
)
def test_divergence_names_the_step_and_the_reason(small, loss, why):
    _, _, program = program_of(small)
    check_finite(program.initial_state, program.task)
    with pytest.raises(Diverged) as error:
        check_finite(diverged(program.initial_state, 12, loss), program.task)
    expected = f"training diverged at step 12: {why}; try a lower learning_rate, or clip_norm"
    assert str(error.value) == expected


def test_a_state_that_has_diverged_is_not_handed_out_to_be_saved(small):
    experiment, prepared, program = program_of(small)
    lost = diverged(program.initial_state, 3, float("nan"))
    with pytest.raises(Diverged, match="diverged at step 3"):
        list(fit(program, experiment, prepared, lost, 0, lambda: True))


def test_a_hopeless_rate_stops_at_once(small):
    overrides = ["optimizer.learning_rate=1e6", "data.augment=[]"]
    experiment, prepared, program = program_of(small, *overrides)
    with pytest.raises(Diverged, match=r"diverged at step [1-4]:"):
        list(fit(program, experiment, prepared, program.initial_state, 0, never))


def test_rows_hold_what_the_history_records(small):
    experiment, prepared, program = program_of(small, "train.epochs=2")
    rows = [
        e.row for e in fit(program, experiment, prepared, program.initial_state, 0, never) if isinstance(e, EpochEnd)
    ]
    assert [(row["epoch"], row["step"]) for row in rows] == [(1, 4), (2, 8)]
    for row in rows:
        assert 0 <= row["train/accuracy"] <= 1
        assert {"validation/loss", "validation/accuracy", "validation/f1", "seconds", "images_per_second"} <= set(row)
    assert rows[-1]["learning_rate"] == 0.0  # the cosine's end


def test_progress_comes_while_an_epoch_runs(small, monkeypatch):
    monkeypatch.setattr(loop, "PROGRESS_SECONDS", 0.0)
    monkeypatch.setattr(loop, "DISPATCH_SECONDS", 0.0)
    experiment, prepared, program = program_of(small, "train.epochs=1")
    events = list(fit(program, experiment, prepared, program.initial_state, 0, never))
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.step for event in progress] == [1, 2, 3, 4]
    assert all(event.epoch == 1 and np.isfinite(event.loss) and event.images_per_second > 0 for event in progress)


def test_without_a_validation_split_nothing_of_it_is_recorded(small):
    split = "data.split={train: 0.8, test: 0.2}"
    experiment, prepared, program = program_of(small, split, "train.epochs=1")
    *_, end = fit(program, experiment, prepared, program.initial_state, 0, never)
    assert not [name for name in end.row if name.startswith("validation")]
