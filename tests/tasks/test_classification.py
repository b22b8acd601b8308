"""Sums, ranks and outcomes against loops over examples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from flax import nnx
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.models.heads import Heads
from cnnlab.spec.load import parse
from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.classification import Classification, predictions
from cnnlab.tasks.task import Outcome, joined
from cnnlab.train import step
from cnnlab.train.step import Sizes, compile_program

BATCH, CLASSES = 6, 5
LOSS = CrossEntropy(label_smoothing=0.2)
# Few values, so that scores tie.
LOGITS = arrays(np.float32, (BATCH, CLASSES), elements=st.integers(-2, 2).map(float))
LABELS = arrays(np.int32, (BATCH,), elements=st.integers(0, CLASSES - 1))
MASK = arrays(np.bool_, (BATCH,))
NAMES = tuple("abcde")
TASK, PLAIN = Classification(NAMES, LOSS), Classification(NAMES, CrossEntropy())
OUTCOME = jax.jit(lambda logits, labels: TASK.outcome(logits, logits, labels).values)
ADD = jax.jit(PLAIN.added)


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
        assert found["predicted"][i] == best
        assert found["rank"][i] == order.index(label)
        assert (found["rank"][i] == 0) == (found["predicted"][i] == label)
        assert found["probabilities"][i] == pytest.approx(scipy.special.softmax(scores), rel=1e-5)
        assert float(found["loss"][i]) == pytest.approx(smoothed(scores, label, 0.2), rel=1e-5)
    assert found["predicted"].dtype == found["rank"].dtype == np.int32


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(LOGITS, LABELS, MASK), max_size=3))
def test_sums_count_what_the_mask_leaves_in(batches):
    sums, loss, correct, count = PLAIN.zero(), 0.0, 0, 0
    for logits, labels, mask in batches:
        losses = np.float32([smoothed(scores, label, 0) for scores, label in zip(logits, labels, strict=True)])
        sums = ADD(sums, logits, labels, np.where(mask, losses, np.nan), mask)  # padding may be anything
        for i in range(BATCH):
            if mask[i]:
                loss += float(losses[i])
                correct += int(np.argmax(logits[i])) == labels[i]
                count += 1
    assert (int(sums["correct"]), int(sums["examples"])) == (correct, count)
    assert float(sums["loss"]) == pytest.approx(loss, rel=1e-5)
    means = PLAIN.means(sums)
    assert means == {"loss": pytest.approx(loss / max(count, 1), rel=1e-5), "accuracy": correct / max(count, 1)}
    assert all(type(value) is float for value in means.values())


def test_an_epoch_begins_with_nothing():
    assert PLAIN.zero() == {"loss": 0, "correct": 0, "examples": 0}
    assert [value.dtype for value in PLAIN.zero().values()] == [np.float32, np.int32, np.int32]
    assert PLAIN.means(PLAIN.zero()) == {"loss": 0, "accuracy": 0}


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_the_loss_is_the_one_that_the_spec_names(smoothing):
    logits = np.random.default_rng(0).standard_normal((BATCH, CLASSES), dtype=np.float32)
    labels = np.arange(BATCH) % CLASSES
    found = Classification(NAMES, CrossEntropy(label_smoothing=smoothing)).losses(
        jnp.asarray(logits), jnp.asarray(labels)
    )
    wanted = [smoothed(scores, label, smoothing) for scores, label in zip(logits, labels, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_predictions_leave_the_padding_out():
    logits = np.random.default_rng(0).standard_normal((BATCH, CLASSES), dtype=np.float32)
    labels, mask = np.arange(BATCH, dtype=np.int32) % CLASSES, np.array([True, True, False, True, False, False])
    whole = OUTCOME(logits, labels)
    kept = predictions(joined([(Outcome({k: np.asarray(v)[mask] for k, v in whole.items()}, {}), labels[mask])]))
    places = [0, 1, 3]
    assert len(kept) == 3
    np.testing.assert_array_equal(kept.labels, places)
    for name in ("predicted", "loss", "rank"):
        np.testing.assert_array_equal(getattr(kept, name), [whole[name][i] for i in places])
    np.testing.assert_array_equal(kept.probability, [whole["probabilities"][i].max() for i in places])


@pytest.mark.parametrize("threshold", [0.5, 0.2, 0.9])
def test_one_score_tells_two_classes_apart_at_the_threshold(threshold):
    task = Classification(("no", "yes"), CrossEntropy(), threshold=threshold)
    task.check((1,), (4,))
    z = np.array([[-3.0], [-1.0], [0.5], [3.0]], np.float32)
    labels = np.array([0, 1, 1, 0], np.int32)
    found = task.outcome(jnp.asarray(z), jnp.asarray(z), jnp.asarray(labels)).values
    p = scipy.special.expit(z[:, 0])
    np.testing.assert_allclose(found["probabilities"], np.stack([1 - p, p], 1), rtol=1e-5)
    np.testing.assert_array_equal(found["predicted"], p >= threshold)
    np.testing.assert_array_equal(found["rank"] == 0, (p >= threshold) == labels)
    np.testing.assert_allclose(found["loss"], -np.log(np.where(labels, p, 1 - p)), rtol=1e-5)


# ---------------------------------------------------------------- auxiliary classifiers


def scores(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((BATCH, CLASSES), dtype=np.float32)


@pytest.mark.parametrize("auxiliary", [0, 1, 2])
@pytest.mark.parametrize("weight", [0.3, 1.0, 0.0])
def test_training_lowers_the_weighted_sum_and_records_the_main_loss(auxiliary, weight):
    """Szegedy et al. 2015, section 5: the losses of the auxiliary classifiers weighted by 0.3."""
    labels = np.arange(BATCH, dtype=np.int32) % CLASSES
    main, *extra = (scores(seed) for seed in range(1 + auxiliary))
    heads = Heads(jnp.asarray(main), tuple(map(jnp.asarray, extra)), weight)
    losses, lowered = TASK.objective(heads, jnp.zeros(()), jnp.asarray(labels))
    wanted = [[smoothed(row, label, 0.2) for row, label in zip(x, labels, strict=True)] for x in (main, *extra)]
    np.testing.assert_allclose(losses, wanted[0], rtol=1e-5)
    np.testing.assert_allclose(lowered, wanted[0] + weight * np.sum(wanted[1:], axis=0), rtol=1e-5)


def test_of_logits_alone_the_loss_is_what_training_lowers():
    labels = jnp.arange(BATCH, dtype=jnp.int32) % CLASSES
    losses, lowered = TASK.objective(jnp.asarray(scores(0)), jnp.zeros(()), labels)
    assert np.array_equal(losses, TASK.losses(jnp.asarray(scores(0)), labels))
    assert np.array_equal(lowered, losses)


class Helped(nnx.Module):
    """A dense layer, and a classifier behind it; in training two others that read the same features."""

    def __init__(self):
        random = np.random.default_rng(7)
        shapes = {"stem": (4, 3), "head": (3, CLASSES), "aux1": (3, CLASSES), "aux2": (3, CLASSES)}
        for name, shape in shapes.items():
            setattr(self, name, nnx.Param(random.standard_normal(shape, dtype=np.float32)))

    def __call__(self, x: jax.Array, mode: Mode = EVALUATION) -> jax.Array | Heads:
        h = x @ self.stem[...]
        logits = h @ self.head[...]
        return Heads(logits, (h @ self.aux1[...], h @ self.aux2[...]), 0.3) if mode.train else logits


def test_a_step_with_auxiliary_classifiers_against_numpy(monkeypatch):
    """d cross_entropy / d logits is p - onehot; the auxiliary ones count 0.3, and go through the stem too."""
    monkeypatch.setattr(step, "network_for", lambda *_, **__: Helped())
    experiment = parse(
        f"model: {{layers: [dense: classes], classes: {CLASSES}}}\noptimizer: {{name: sgd, learning_rate: 1.0}}", "spec"
    )
    sizes = Sizes((4,), PLAIN, BATCH, np.zeros(4, np.float32), np.ones(4, np.float32))
    program = compile_program(experiment, sizes)
    x = np.random.default_rng(1).standard_normal((BATCH, 4), dtype=np.float32)
    labels, mask = np.arange(BATCH, dtype=np.int32) % CLASSES, np.arange(BATCH) < 5  # the last is padding
    weights = {name: np.asarray(value, np.float64) for name, value in program.host_state.params.items()}
    h = x @ weights["stem"]
    count, wanted, of_h, losses = mask.sum(), {}, 0.0, {}
    for name, weight in {"head": 1.0, "aux1": 0.3, "aux2": 0.3}.items():
        logits = h @ weights[name]
        error = weight * mask[:, None] * (scipy.special.softmax(logits, -1) - np.eye(CLASSES)[labels]) / count
        wanted[name] = h.T @ error
        of_h = of_h + error @ weights[name].T
        losses[name] = -scipy.special.log_softmax(logits, -1)[np.arange(BATCH), labels]
    wanted["stem"] = x.T @ of_h
    rate = float(program.rate(jnp.int32(0)))
    assert rate == 1
    before = program.evaluate(program.initial_state.params, program.initial_state.stats, x, labels)
    after = program.first.one(program.initial_state, x, labels, mask, np.arange(BATCH))
    for name, gradient in wanted.items():
        np.testing.assert_allclose(after.params[name], weights[name] - rate * gradient, atol=1e-5, err_msg=name)
    assert PLAIN.means(after.sums)["loss"] == pytest.approx(losses["head"][mask].mean(), rel=1e-5), (
        "the main one's alone"
    )
    np.testing.assert_allclose(before.values["loss"], losses["head"], rtol=1e-5)  # evaluation has no others
    assert np.array_equal(before.values["predicted"], (h @ weights["head"]).argmax(-1))


# ---------------------------------------------------------------- what the loss may ask for


def test_balanced_weights_come_from_the_counts_and_penalties_from_the_weights():
    logits, labels = jnp.asarray(scores(0)), jnp.arange(BATCH) % CLASSES
    counts = tuple(range(1, CLASSES + 1))
    plain, asked = CrossEntropy(), CrossEntropy(class_weights="balanced", l2=0.5)
    weighted = Classification(NAMES, asked, counts=counts)
    each = sum(counts) / (CLASSES * np.array(counts))
    expected = each[np.asarray(labels)] * Classification(NAMES, plain).losses(logits, labels)
    np.testing.assert_allclose(weighted.losses(logits, labels), expected, rtol=1e-5)
    layer = nnx.Linear(3, 2, rngs=nnx.Rngs(0))
    assert Classification(NAMES, plain).penalty(layer, jnp.zeros(1)) == 0
    squares = float((layer.kernel[...] ** 2).sum())
    assert float(weighted.penalty(layer, jnp.zeros(1))) == pytest.approx(0.25 * squares)
    with pytest.raises(ValueError, match=r"^0 counts for 5 names$"):
        Classification(NAMES, asked).losses(logits, labels)
