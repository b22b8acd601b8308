import numpy as np
import pytest

from cnnlab.train.evaluate import evaluate
from tests.train.test_step import program_of


@pytest.mark.parametrize("batch_size", [1, 7, 16])
def test_every_example_counts_once_whatever_the_batch(small, batch_size):
    """Against the network called on the whole split at once."""
    _, prepared, program = program_of(small, f"data.batch_size={batch_size}")
    state = program.initial_state
    found = evaluate(program, state.params, state.stats, prepared, "test", batch_size)
    indices = prepared.splits["test"]
    np.testing.assert_array_equal(found.target, prepared.dataset.y[indices])
    x, y = prepared.dataset.x[indices], prepared.dataset.y[indices]
    whole = program.evaluate(state.params, state.stats, x, y).values
    np.testing.assert_array_equal(found.values["predicted"], whole["predicted"])
    np.testing.assert_allclose(found.values["loss"], whole["loss"], rtol=1e-5)
    np.testing.assert_allclose(found.values["probabilities"], whole["probabilities"], rtol=1e-5)
