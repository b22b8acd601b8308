import numpy as np
import pytest

from cnnlab.train.evaluate import evaluate
from tests.train.test_step import program_of


@pytest.mark.parametrize("batch_size", [1, 7, 16])
def test_every_example_counts_once_whatever_the_batch(small, batch_size):
    """Against the network called on the whole split at once."""
    _, prepared, program = program_of(small, f"data.batch_size={batch_size}")
    state = program.initial_state
    found = evaluate(program.evaluate, state.params, state.stats, prepared, "test", batch_size)
    indices = prepared.splits["test"]
    np.testing.assert_array_equal(found.labels, prepared.dataset.y[indices])
    whole = program.evaluate(state.params, state.stats, prepared.dataset.x[indices], prepared.dataset.y[indices])
    np.testing.assert_array_equal(found.predicted, whole.predicted)
    np.testing.assert_allclose(found.loss, whole.loss, rtol=1e-5)
    np.testing.assert_allclose(found.probability, whole.probability, rtol=1e-5)
