"""Gathered gradients, and which update a batch belongs to, against loops."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnlab.optim.accumulation import added, is_due, mean, nothing, update_of, updates_per_epoch


def test_the_mean_is_over_examples_whatever_their_batches():
    gradients = np.random.default_rng(0).standard_normal((20, 3))
    gathered = nothing({"w": np.zeros(3, np.float32)})
    for part in (gradients[:8], gradients[8:16], gradients[16:17], gradients[17:]):
        gathered = added(gathered, {"w": jnp.float32(part.mean(0))}, jnp.int32(len(part)))
    np.testing.assert_allclose(mean(gathered)["w"], gradients.mean(0), rtol=1e-5)


@settings(deadline=None, max_examples=30)  # of each length XLA makes another program
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 3))
def test_updates_come_after_every_few_batches_and_at_an_epochs_end(steps, every, epochs):
    update, waiting = 0, 0
    all_due = np.asarray(is_due(np.arange(steps * epochs), steps, every))
    for step in range(steps * epochs):
        waiting += 1
        due = waiting == every or (step + 1) % steps == 0
        assert all_due[step] == due
        assert update_of(step, steps, every) == update
        if due:
            update, waiting = update + 1, 0
    assert update == epochs * updates_per_epoch(steps, every)


@pytest.mark.parametrize(("steps", "every", "updates"), [(7, 3, 3), (6, 3, 2), (1, 1, 1), (2, 2, 1)])
def test_updates_of_an_epoch(steps, every, updates):
    assert updates_per_epoch(steps, every) == updates
