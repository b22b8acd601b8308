"""A run in bfloat16: what is narrow and what is not, near the run in float32, the same answers everywhere."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.models import build
from cnnlab.models.heads import Heads
from cnnlab.runs.directory import open_run
from cnnlab.runs.evaluation import evaluate_split, restore_run
from cnnlab.runs.prediction import predict
from cnnlab.runs.predictor import of_run
from cnnlab.spec.load import load, parse
from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.classification import Classification
from cnnlab.trace import jaxprs
from cnnlab.train.precision import forward
from cnnlab.train.step import Program, Sizes, compile_program

BATCH = 8
SPEC = """
data: {source: digits}
model:
  layers:
    - conv: {features: 8, kernel: 3}
    - batch_norm
    - relu
    - residual: {body: [group_norm: 2, swish: {learned: true}, conv: {features: 8, kernel: 3}], activation: relu}
    - squeeze_excite: 4
    - max_pool: 2
    - depthwise_conv: {kernel: 3}
    - prelu
    - avg_pool: 2
    - flatten
    - dense: classes
"""


def program_of(precision: str, text: str = SPEC) -> Program:
    sizes = Sizes(
        (8, 8, 1),
        Classification(tuple("0123456789"), CrossEntropy()),
        64,
        np.full(1, 0.3, np.float32),
        np.full(1, 0.5, np.float32),
    )
    return compile_program(parse(text, "s", [f"precision={precision}"]), sizes)


def batch() -> tuple[np.ndarray, ...]:
    x = np.random.default_rng(0).random((BATCH, 8, 8, 1), np.float32)
    return x, np.arange(BATCH, dtype=np.int32), np.ones(BATCH, bool), np.arange(BATCH)


def products(jaxpr: Any) -> list[str]:
    """The types of the operands of all convolutions and products, wherever they stand."""
    found = []
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("conv_general_dilated", "dot_general"):
            found += [atom.aval.dtype.name for atom in equation.invars]
        for inside in jaxprs.nested(equation):
            found += products(inside)
    return found


def test_what_is_multiplied_is_bfloat16_and_what_is_kept_is_not():
    program = program_of("bfloat16")
    step = program.first.one.trace(program.initial_state, *batch()).jaxpr  # type: ignore[attr-defined]
    assert set(products(step.jaxpr)) == {"bfloat16"}
    state = program.first.one(program.initial_state, *batch())
    kept = {leaf.dtype.name for leaf in jax.tree.leaves((state.params, state.stats, state.sums["loss"]))}
    assert kept == {"float32"}
    types = jax.tree.map(lambda leaf: leaf.dtype, (program.initial_state, state))
    assert types[0] == types[1]
    outcome = program.evaluate(state.params, state.stats, *batch()[:2])
    assert {leaf.dtype.name for leaf in outcome.values.values()} == {"float32", "int32"}


def test_parameters_that_are_ready_give_the_same_bits():
    program = program_of("bfloat16")
    state, (x, y) = program.initial_state, batch()[:2]
    ready = program.ready(state.params)
    narrow = [leaf.ndim for leaf in jax.tree.leaves(ready) if leaf.dtype == jnp.bfloat16]
    assert set(narrow) == {2}
    whole, cast = (program.evaluate(params, state.stats, x, y).values for params in (state.params, ready))
    assert all(np.asarray(whole[name]).tobytes() == np.asarray(cast[name]).tobytes() for name in whole)


def test_float32_has_nothing_narrow_in_it():
    program = program_of("float32")
    arguments = program.initial_state, *batch()
    assert "bf16" not in str(program.first.one.trace(*arguments).jaxpr)  # type: ignore[attr-defined]


def test_ten_steps_are_near_those_in_float32():
    # The rounding of single numbers, 0.4 %, comes out of sums much smaller; a gradient lost would stand out.
    losses, ends = [], []
    for precision in ("float32", "bfloat16"):
        program = program_of(precision, SPEC + "optimizer: {name: momentum, learning_rate: 0.05}\n")
        state, found = program.initial_state, []
        for _ in range(10):
            before = float(state.sums["loss"])
            state = program.first.one(state, *batch())
            found.append((float(state.sums["loss"]) - before) / BATCH)
        losses.append(found)
        ends.append((state.params, state.stats))
    assert losses[0] != losses[1]
    assert losses[0][-1] < 0.8 * losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.05)
    for wide, narrow in zip(*map(jax.tree.leaves, ends), strict=True):
        assert np.abs(narrow - wide).max() <= 0.05 * max(np.abs(wide).max(), 0.1)


class Two(nnx.Module):
    """Two classifiers that say what they were given."""

    def __call__(self, x: Array, mode: Mode = EVALUATION) -> Heads:
        return Heads(2 * x, (x,), 0.3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_all_logits_are_widened(dtype):
    with jax.enable_x64(True):
        x = jnp.asarray([[1 / 3, 100.0]], dtype)
        wide, narrow = (forward(Two(), x, precision) for precision in ("float32", "bfloat16"))
        assert wide.logits.dtype == wide.auxiliary[0].dtype == dtype
        np.testing.assert_array_equal(wide.logits, 2 * x)
        assert narrow.logits.dtype == narrow.auxiliary[0].dtype == np.float32
        np.testing.assert_array_equal(narrow.auxiliary[0], x.astype(jnp.bfloat16).astype(np.float32))
        assert narrow.weight == 0.3


def test_auxiliary_classifiers_train_in_bfloat16():
    model = build(parse("model: {name: googlenet}", "s").model, (15, 15, 1), 4, init=Initializer())
    graph, state = nnx.split(model)

    def run(state: Any, x: Array, key: Array) -> Heads:
        return forward(nnx.merge(graph, state), x, "bfloat16", Mode(True, key))._replace(weight=0)  # type: ignore

    heads = jax.eval_shape(run, state, jax.ShapeDtypeStruct((2, 15, 15, 1), np.float32), jax.random.key(0))
    assert [leaf.dtype for leaf in (heads.logits, *heads.auxiliary)] == [np.float32] * 3


def test_eval_and_predict_compute_as_the_run_did(cnnlab, small: Path):
    assert cnnlab("train", small, "precision=bfloat16", "train.epochs=1").code == 0
    run = open_run(Path("runs/small"))
    assert load(run.resolved).precision == "bfloat16"
    restored = restore_run(run, "last")
    assert restored.experiment.precision == "bfloat16"
    predictor = of_run(run, "last")
    assert predictor.precision == "bfloat16"
    answers = predict(predictor, [Path("small.npz")], "logits").values
    assert answers.dtype == np.float32
    # Logits that come out of a bfloat16 layer have 8 bits.
    np.testing.assert_array_equal(answers, answers.astype(jnp.bfloat16).astype(np.float32))
    report, _ = evaluate_split(restored, "test", "last")
    indices = restored.prepared.splits["test"]
    labels = restored.prepared.dataset.y[indices]
    assert report["accuracy"] == pytest.approx((answers[indices].argmax(-1) == labels).mean())
