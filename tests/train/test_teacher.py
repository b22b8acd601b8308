"""A step that learns from a teacher, against the update by hand: soft targets, pixels, and what no step may touch."""

from typing import Any

import jax
import numpy as np
import pytest
import scipy.special
import scipy.stats
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.spec.load import parse
from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.classification import Classification
from cnnlab.train.state import State, named_leaves, split
from cnnlab.train.step import Examples, Program, Sizes, compile_program
from cnnlab.train.teacher import Teacher
from cnnlab.weights.fork import network_for

RATE, BATCH, SHAPE = 0.5, 6, (2, 2, 1)
STUDENT = f"""
data: {{source: digits, batch_size: {BATCH}}}
model: {{name: softmax_regression}}
optimizer: {{name: sgd, learning_rate: {RATE}}}
distill: {{teacher: runs/teacher, temperature: 3, weight: 0.7}}
"""
TEACHER = "model: {layers: [flatten, dropout: 0.5, dense: 3, batch_norm]}"
TASK = Classification(("a", "b", "c"), CrossEntropy())
SIZES = Sizes(SHAPE, TASK, 2 * BATCH, np.full(1, 0.3, np.float32), np.full(1, 0.5, np.float32))
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.random((2 * BATCH, *SHAPE), np.float32), (np.arange(2 * BATCH) % 3).astype(np.int32)
MASK = np.array([True] * 5 + [False])  # the last of a batch is padding


def filled(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: RANDOM.uniform(0.5, 2, leaf.shape).astype(np.float32), tree)


@pytest.fixture(scope="module")
def teacher() -> Teacher:
    """A network with dropout and batch statistics, whose inputs were normalised by other numbers."""
    model = network_for(parse(TEACHER, "t").model, SHAPE, 3, init=Initializer())
    graph, params, stats = split(model)
    mean, std = np.full(1, 0.1, np.float32), np.full(1, 0.25, np.float32)
    return Teacher(graph, filled(params), filled(stats), mean, std, "float32", TASK, {"": ""})


def by_hand(teacher: Teacher, x: np.ndarray) -> np.ndarray:
    """The teacher's logits of pixels x in float64: by its running statistics, without dropout."""
    leaves = {name.split(".")[-1]: leaf for name, leaf in named_leaves((teacher.params, teacher.stats)).items()}
    inputs = (x.reshape(len(x), -1).astype(np.float64) - teacher.mean) / teacher.std
    kernel = next(leaf for name, leaf in named_leaves(teacher.params).items() if "dense" in name and leaf.ndim == 2)
    (bias,) = (leaf for name, leaf in named_leaves(teacher.params).items() if "dense" in name and leaf.ndim == 1)
    logits = inputs @ kernel + bias
    norm = {name.split(".")[-1]: leaf for name, leaf in named_leaves(teacher.params).items() if "dense" not in name}
    scaled = (logits - leaves["mean"]) / np.sqrt(leaves["var"] + 1e-5)
    return scaled * norm["scale"] + norm["bias"]


def program_of(teacher: Teacher | None, *overrides: str) -> Program:
    return compile_program(parse(STUDENT, "s", list(overrides)), SIZES, teacher=teacher)


def one_step(program: Program) -> State:
    return program.first.one(program.initial_state, X[:BATCH], Y[:BATCH], MASK, np.arange(BATCH))


def bits(tree: Any) -> dict[str, bytes]:
    return {name: np.asarray(leaf).tobytes() for name, leaf in named_leaves(tree).items()}


def test_a_step_moves_by_labels_and_teacher_as_the_formula_says(teacher):
    program, weight, temperature = program_of(teacher), 0.7, 3.0
    before = {name.split(".")[-1]: leaf for name, leaf in named_leaves(program.host_state.params).items()}
    state = one_step(program)
    pixels, labels = X[:BATCH][MASK], Y[:BATCH][MASK]
    inputs = (pixels.reshape(len(pixels), -1).astype(np.float64) - 0.3) / 0.5
    logits, taught = inputs @ before["kernel"] + before["bias"], by_hand(teacher, pixels)
    by_labels = scipy.special.softmax(logits, -1) - np.eye(3)[labels]
    by_teacher = scipy.special.softmax(logits / temperature, -1) - scipy.special.softmax(taught / temperature, -1)
    slope = ((1 - weight) * by_labels + weight * temperature * by_teacher) / len(pixels)  # T^2 times 1/T
    after = {name.split(".")[-1]: leaf for name, leaf in named_leaves(state.params).items()}
    np.testing.assert_allclose(after["kernel"], before["kernel"] - RATE * inputs.T @ slope, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(after["bias"], before["bias"] - RATE * slope.sum(0), rtol=1e-4, atol=1e-5)
    # What is logged as the loss is by the labels alone; how far the teacher is stands beside it.
    losses = scipy.special.logsumexp(logits, -1) - logits[np.arange(len(labels)), labels]
    p, q = (scipy.special.softmax(z / temperature, -1) for z in (taught, logits))
    means = program.means(state.sums)
    assert means["loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert means["distillation"] == pytest.approx(temperature**2 * scipy.stats.entropy(p, q, axis=-1).mean(), rel=1e-4)


def test_both_forms_of_the_step_give_the_same_and_leave_the_teacher_as_it_is(teacher):
    before, program = bits(teacher.arrays), program_of(teacher)
    places, mask = np.arange(2 * BATCH).reshape(2, BATCH), np.stack([MASK, MASK])
    many = program.first.many(program.initial_state, Examples(X, Y), places, mask, 2)
    state = one_step(program)
    state = program.first.one(state, X[BATCH:], Y[BATCH:], MASK, np.arange(BATCH, 2 * BATCH))
    for name, leaf in named_leaves(many).items():
        np.testing.assert_allclose(leaf, named_leaves(state)[name], rtol=1e-5, atol=1e-6, err_msg=name)
    again = program.first.many(program.initial_state, Examples(X, Y), places, mask, 2)
    assert bits(again) == bits(many)
    assert bits(teacher.arrays) == before


def test_the_state_that_is_stored_has_nothing_of_the_teacher(teacher):
    alone, taught = program_of(None, "distill=null").host_state, program_of(teacher).host_state
    assert set(bits(taught)) - set(bits(alone)) == {"sums.distillation"}  # one number, of the running epoch
    assert bits(program_of(None).host_state) == bits(taught)  # so that evaluation reads it without the teacher


def test_with_the_weight_0_the_student_learns_as_if_alone_to_the_bit(teacher):
    assert bits(one_step(program_of(teacher, "distill.weight=0"))) == bits(one_step(program_of(None, "distill=null")))
    assert bits(one_step(program_of(teacher))) != bits(one_step(program_of(None, "distill=null")))


def test_a_step_without_its_teacher_is_refused():
    with pytest.raises(AssertionError, match="has one"):
        one_step(program_of(None))


def test_a_teacher_with_the_same_normalisation_gets_the_same_bits(teacher):
    class Seen(nnx.Module):
        def __call__(self, x, mode):
            return x

    graph, params, stats = split(Seen())
    same = Teacher(graph, params, stats, SIZES.mean, SIZES.std, "float32", TASK, {"": ""})
    x = jax.numpy.asarray(X)
    np.testing.assert_array_equal(same.answers(same.arrays, x, SIZES.mean, SIZES.std), X)
    other = Teacher(graph, params, stats, teacher.mean, teacher.std, "float32", TASK, {"": ""})
    pixels = X.astype(np.float64) * 0.5 + 0.3
    found = other.answers(other.arrays, x, SIZES.mean, SIZES.std)
    np.testing.assert_allclose(found, (pixels - 0.1) / 0.25, rtol=1e-5, atol=1e-6)
