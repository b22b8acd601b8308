"""Sums, ranks and outcomes against loops over examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnnlab.spec.schema import Loss
from cnnlab.tasks.classification import Sums, add, outcome, per_example_loss, predictions

BATCH, CLASSES = 6, 5
LOSS = Loss(label_smoothing=0.2)
# Few values, so that scores tie.
LOGITS = arrays(np.float32, (BATCH, CLASSES), elements=st.integers(-2, 2).map(float))
LABELS = arrays(np.int32, (BATCH,), elements=st.integers(0, CLASSES - 1))
MASK = arrays(np.bool_, (BATCH,))
OUTCOME = jax.jit(lambda logits, labels: outcome(LOSS, logits, labels))
ADD = jax.jit(add)


def smoothed(logits: np.ndarray, label: int, smoothing: float) -> float:
    log_p = scipy.special.log_softmax(logits.astype(np.float64))
    q = np.full(len(logits), smoothing / len(logits))
    q[label] += 1 - smoothing
    return -float((q * log_p).sum())


@settings(max_examples=40, deadline=None)
@given(LOGITS, LABELS)
def test_an_outcome_is_found_example_by_example(logits, labels):
    found = OUTCOME(logits, labels)
    for i, (scores, label) in enumerate(zip(logits, labels, strict=True)):
        best = max(range(CLASSES), key=lambda k: (scores[k], -k))
        order = sorted(range(CLASSES), key=lambda k: (-scores[k], k))
        assert found.predicted[i] == best
        assert found.rank[i] == order.index(label)
        assert (found.rank[i] == 0) == (found.predicted[i] == label)
        assert float(found.probability[i]) == pytest.approx(scipy.special.softmax(scores)[best], rel=1e-5)
        assert float(found.loss[i]) == pytest.approx(smoothed(scores, label, 0.2), rel=1e-5)
    assert found.predicted.dtype == found.rank.dtype == np.int32


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(LOGITS, LABELS, MASK), max_size=3))
def test_sums_count_what_the_mask_leaves_in(batches):
    sums, loss, correct, count = Sums.zero(), 0.0, 0, 0
    for logits, labels, mask in batches:
        losses = np.float32([smoothed(scores, label, 0) for scores, label in zip(logits, labels, strict=True)])
        sums = ADD(sums, logits, labels, np.where(mask, losses, np.nan), mask)  # padding may be anything
        for i in range(BATCH):
            if mask[i]:
                loss += float(losses[i])
                correct += int(np.argmax(logits[i])) == labels[i]
                count += 1
    assert (int(sums.correct), int(sums.examples)) == (correct, count)
    assert float(sums.loss) == pytest.approx(loss, rel=1e-5)
    means = sums.means()
    assert means == {"loss": pytest.approx(loss / max(count, 1), rel=1e-5), "accuracy": correct / max(count, 1)}
    assert all(type(value) is float for value in means.values())


def test_an_epoch_begins_with_nothing():
    assert Sums.zero() == (0, 0, 0)
    assert [value.dtype for value in Sums.zero()] == [np.float32, np.int32, np.int32]
    assert Sums.zero().means() == {"loss": 0, "accuracy": 0}


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_one_that_the_spec_names(smoothing):
    logits = np.random.default_rng(0).standard_normal((BATCH, CLASSES), dtype=np.float32)
    labels = np.arange(BATCH) % CLASSES
    found = per_example_loss(Loss(label_smoothing=smoothing), jnp.asarray(logits), jnp.asarray(labels))
    wanted = [smoothed(scores, label, smoothing) for scores, label in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_predictions_leave_the_padding_out():
    logits = np.random.default_rng(0).standard_normal((BATCH, CLASSES), dtype=np.float32)
    labels, mask = np.arange(BATCH, dtype=np.int32) % CLASSES, np.array([True, True, False, True, False, False])
    whole = OUTCOME(logits, labels)
    kept = predictions(labels, whole, mask)
    places = [0, 1, 3]
    assert len(kept) == 3
    np.testing.assert_array_equal(kept.labels, places)
    for name in ("predicted", "probability", "loss", "rank"):
        column = getattr(kept, name)
        assert isinstance(column, np.ndarray)
        np.testing.assert_array_equal(column, [getattr(whole, name)[i] for i in places])
    assert len(predictions(labels, whole, np.zeros(BATCH, bool))) == 0
