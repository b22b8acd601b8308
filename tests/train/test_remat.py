"""Recomputing activations: the same numbers in less memory, and asked for only where there is something to gain."""

import re
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import Array

from cnnlab.errors import SpecError
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.recompute import compiler_options, has_blocks
from cnnlab.models import MODELS, build
from cnnlab.runs.network import network
from cnnlab.spec.load import parse
from cnnlab.spec.losses import CrossEntropy
from cnnlab.tasks.classification import Classification
from cnnlab.train.state import split
from cnnlab.train.step import Sizes, compile_program

LAYERS = """
  layers:
    - conv: {features: 4, kernel: 3}
    - residual:
        body: [batch_norm, relu, conv: {features: 4, kernel: 3}, spatial_dropout: 0.2, stochastic_depth: 0.3]
    - branches: [[conv: {features: 3, kernel: 1}, batch_norm], [conv: {features: 2, kernel: 3}, dropout: 0.4]]
    - repeat: {times: 2, layers: [conv: {features: 5, kernel: 3}, batch_norm, tanh]}
    - crop_concat: [repeat: {times: 1, layers: [conv: {features: 5, kernel: 3}, relu]}]
    - flatten
    - dense: classes
"""
SMALL = "[{residual: [batch_norm, relu, {conv: {features: 1, kernel: 3}}], name: first}, flatten, dense: classes]"
TINY_RESNET = partial(MODELS["resnet20"].func, depth=8, width=4)
TINY_INCEPTIONS = {"3a": (2, 2, 2, 2, 2, 2), "4a": (2, 2, 2, 2, 2, 2)}
# Each with the blocks that it has.
PUBLISHED = {
    "resnet v1": (partial(TINY_RESNET, stochastic_depth=0.5, dropout=0.3), 3),
    "resnet v2": (partial(TINY_RESNET, variant="v2", shortcut="projection"), 3),
    "unet": (partial(MODELS["unet"], depth=1, width=2, padding="same", normalization="batch", dropout=0.2), 3),
    "efficientnet": (partial(MODELS["efficientnet"], coefficient=-4.0, stochastic_depth=0.5), 10),
    "googlenet": (partial(MODELS["googlenet"], inceptions=TINY_INCEPTIONS), 2),
    "vgg11_bn": (partial(MODELS["vgg11_bn"], width=4, hidden=8), 5),
    "network_in_network": (MODELS["network_in_network"], 3),
}


def pass_of(model: nnx.Module, shape: tuple[int, ...], recompute: bool, dtype: type = np.float64):
    """One pass forward and back, and its arguments: it gives the loss, new statistics and the gradient."""
    graph, params, stats = split(model)
    x = np.random.default_rng(0).standard_normal(shape)
    arguments = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), (params, stats, x))

    def loss(params: Any, stats: Any, x: Array) -> tuple[Array, Any]:
        copy = nnx.merge(graph, params, stats)
        output = copy(x, Mode(train=True, key=jax.random.key(3), recompute=recompute))
        total = sum((leaf**2).mean() for leaf in jax.tree.leaves(output) if isinstance(leaf, Array))
        return total, nnx.to_pure_dict(nnx.state(copy, nnx.BatchStat))

    options = compiler_options() if recompute else {}
    return jax.jit(jax.value_and_grad(loss, has_aux=True), compiler_options=options), arguments


def both(model: nnx.Module, shape: tuple[int, ...]) -> list[Any]:
    """The compiled pass that keeps activations and the one that does not, which were seen to give the same."""
    with jax.enable_x64(True):
        passes = [pass_of(model, shape, recompute) for recompute in (False, True)]
        compiled = [function.lower(*arguments).compile() for function, arguments in passes]
        before, after = (run(*arguments) for run, (_, arguments) in zip(compiled, passes, strict=True))
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9, atol=1e-11), before, after)
    return compiled


@pytest.mark.slow
@pytest.mark.parametrize("name", ["resnet v1", "unet"])
def test_values_gradients_statistics_and_draws_are_the_same(name):
    both(PUBLISHED[name][0]((8, 8, 2), 3, init=Initializer(0)), (2, 8, 8, 2))


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_block_of_a_published_network_is_recomputed(name):
    make, blocks = PUBLISHED[name]
    model = make((32, 32, 3), 5, init=Initializer())
    assert has_blocks(model)
    graph, state = nnx.split(model)
    x = jax.ShapeDtypeStruct((2, 32, 32, 3), np.float32)
    for mode, expected in ((Mode(True), 0), (Mode(True, recompute=True), blocks), (Mode(), 0)):

        def run(state: Any, x: Array, key: Array, mode: Mode = mode) -> Any:
            return jax.tree.leaves(nnx.merge(graph, state)(x, mode._replace(key=key)))

        jaxpr = jax.make_jaxpr(run)(state, x, jax.random.key(0))
        assert sum(e.primitive.name in ("checkpoint", "remat2") for e in jaxpr.jaxpr.eqns) == expected


def test_so_are_those_of_layers_of_ones_own():
    spec = parse(f"model:{LAYERS}  input: [6, 6, 2]\n  classes: 3\n", "s").model
    kept, twice = both(build(spec, (6, 6, 2), 3, init=Initializer(0)), (4, 6, 6, 2))
    found = [len(re.findall(r" convolution\(|custom_call_target=.*conv", run.as_text())) for run in (kept, twice)]
    assert found[1] > found[0]  # computed once more indeed


def test_a_deep_network_takes_less_memory():
    model = partial(TINY_RESNET, depth=20)((16, 16, 3), 10, init=Initializer(0))
    passes = [pass_of(model, (8, 16, 16, 3), recompute, np.float32) for recompute in (False, True)]
    kept, twice = (
        function.lower(*arguments).compile().memory_analysis().temp_size_in_bytes for function, arguments in passes
    )
    assert twice < 0.6 * kept


@pytest.mark.parametrize("freeze", ["", ", freeze: [first], unfreeze_at_epoch: 1"])
def test_a_run_takes_the_same_steps_and_evaluates_alike(freeze):
    text = f"data: {{source: digits}}\nmodel: {{layers: {SMALL}{freeze}}}\n"
    random = np.random.default_rng(0)
    sizes = Sizes(
        (8, 8, 1),
        Classification(tuple("0123456789"), CrossEntropy()),
        8,
        np.zeros(1, np.float32),
        np.ones(1, np.float32),
    )
    batch = (
        random.standard_normal((4, 8, 8, 1), np.float32),
        np.arange(4, dtype=np.int32),
        np.ones(4, bool),
        np.arange(4),
    )
    found = []
    for overrides in ([], ["train.remat=true"]):
        program = compile_program(parse(text, "s", overrides), sizes)
        state = program.initial_state
        for epoch in (0, 1):
            state = program.steps_of(epoch).one(state, *batch)
        found.append((state, program.evaluate(state.params, state.stats, *batch[:2])))
    (before, said), (after, says) = found
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), before.params, after.params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), before.stats, after.stats)
    np.testing.assert_allclose(said.values["loss"], says.values["loss"], rtol=1e-4)


@pytest.mark.parametrize(
    ("model", "there"),
    [
        ("{name: lenet5}", False),
        ("{name: mlp}", False),
        ("{layers: [conv: {features: 2, kernel: 3}, flatten, dense: classes]}", False),
        ("{layers: [crop_concat: [conv: {features: 2, kernel: 3}], flatten, dense: classes]}", False),
        ("{layers: [residual: [relu], flatten, dense: classes]}", True),
        ("{layers: [repeat: {times: 2, layers: [relu]}, flatten, dense: classes]}", True),
        ("{name: resnet20}", True),
    ],
)
def test_without_blocks_there_is_nothing_to_recompute(model, there):
    experiment = parse(f"model: {model}\ntrain: {{remat: true}}\n", "s")
    if there:
        network(experiment, (28, 28, 1), 10)
        return
    with pytest.raises(SpecError) as caught:
        network(experiment, (28, 28, 1), 10)
    assert str(caught.value) == (
        "train.remat: the network has no blocks to recompute; "
        "leave it out, or put layers into residual, branches or repeat"
    )


def test_tables_and_receptive_fields_do_not_change():
    text = "model: {name: resnet20}\n"
    plain, recomputed = (
        network(parse(text, "s", overrides), (32, 32, 3), 10) for overrides in ([], ["train.remat=true"])
    )
    assert plain.summary() == recomputed.summary()
    assert plain.costs() == recomputed.costs()
