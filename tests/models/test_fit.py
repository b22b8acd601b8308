"""The networks learn: a small batch of noise is fitted without a mistake, or given back."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models import build
from cnnlab.models.heads import Heads
from cnnlab.spec.load import parse
from cnnlab.train.state import split

OWN = """
layers:
  - conv: {features: 8, kernel: 3}
  - batch_norm
  - relu
  - residual: [{conv: {features: 8, kernel: 3}}, batch_norm, relu]
  - branches: [[{conv: {features: 8, kernel: 1}}], [{conv: {features: 8, kernel: 3, stride: 1}}, relu]]
  - dropout: 0
  - max_pool: 2
  - flatten
  - dense: classes
"""
# The text of `model:`, and the input's shape.
NETWORKS: dict[str, tuple[str, tuple[int, ...]]] = {
    "perceptron": ("name: perceptron", (16, 16, 1)),
    "softmax_regression": ("name: softmax_regression", (16, 16, 1)),
    "mlp": ("name: mlp\nhidden: [32]", (16, 16, 1)),
    "lenet1989": ("name: lenet1989", (16, 16, 1)),
    "lenet5": ("name: lenet5", (16, 16, 1)),
    "resnet20": ("name: resnet20\nwidth: 8", (8, 8, 1)),
    "conv_encoder": ("name: conv_encoder\nwidths: [16, 32]", (16, 16, 1)),
    "unet": ("name: unet\ndepth: 1\nwidth: 16\npadding: same\nnormalization: batch", (4, 4, 1)),
    "own": (OWN, (16, 16, 1)),
}


class Fit(NamedTuple):
    """How many steps it took, None if too many, and the parameters that the last step left as they were."""

    steps: int | None
    unmoved: list[str]


def fit(
    text: str,
    input_shape: tuple[int, ...],
    loss: Callable[[Any, jax.Array], jax.Array],
    done: Callable[[Any, jax.Array], jax.Array],
    learning_rate: float = 0.01,
) -> Fit:
    """Adam on one batch of noise, in training mode, until `done` is true of the output and the batch."""
    spec = parse("model:\n" + "\n".join(f"  {line}" for line in text.splitlines()), "test.yaml").model
    graph, params, stats = split(build(spec, input_shape, 4, init=Initializer(0)))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((16, *input_shape)), jnp.float32)
    adam = optax.adam(learning_rate)

    def objective(params: Any, stats: Any) -> tuple[jax.Array, tuple[Any, Any]]:
        model = nnx.merge(graph, params, stats)
        output = model(x, Mode(train=True, key=jax.random.key(0)))
        return loss(output, x), (output, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)))

    @jax.jit
    def step(params: Any, stats: Any, memory: Any) -> tuple[Any, Any, Any, jax.Array]:
        (_, (output, stats)), gradient = jax.value_and_grad(objective, has_aux=True)(params, stats)
        updates, memory = adam.update(gradient, memory)
        return optax.apply_updates(params, updates), stats, memory, done(output, x)

    memory, unmoved = adam.init(params), []
    for number in range(1, 101):
        before = jax.tree.leaves_with_path(params)
        params, stats, memory, finished = step(params, stats, memory)
        pairs = zip(before, jax.tree.leaves(params), strict=True)
        unmoved = [jax.tree_util.keystr(path) for (path, old), new in pairs if np.array_equal(old, new)]
        if finished:
            return Fit(number, unmoved)
    return Fit(None, unmoved)


def labels(logits: jax.Array) -> jax.Array:
    """Four classes in random order: one an image, or one for every position of a map."""
    count = math.prod(logits.shape[:-1])
    return jnp.asarray(np.random.default_rng(1).permutation(count) % 4).reshape(logits.shape[:-1])


def classification_loss(output: jax.Array | Heads, x: jax.Array) -> jax.Array:
    heads = output if isinstance(output, Heads) else Heads(output, (), 0.0)
    losses = [
        optax.softmax_cross_entropy_with_integer_labels(logits, labels(logits)).mean()
        for logits in (heads.logits, *heads.auxiliary)
    ]
    return losses[0] + heads.weight * sum(losses[1:])


def no_mistake(output: jax.Array | Heads, x: jax.Array) -> jax.Array:
    logits = output.logits if isinstance(output, Heads) else output
    return (logits.argmax(-1) == labels(logits)).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_small_batch_is_fitted_to_the_last_label_and_every_parameter_learns(name):
    fitted = fit(*NETWORKS[name], classification_loss, no_mistake)
    assert fitted.steps is not None
    assert fitted.unmoved == []


def test_an_autoencoder_gives_back_what_it_saw():
    def error(output: jax.Array, x: jax.Array) -> jax.Array:
        return ((output - x) ** 2).mean()  # of a constant output: 1

    text = "name: conv_autoencoder\nwidths: [32, 64]\ncode: 32"
    fitted = fit(text, (7, 6, 1), error, lambda output, x: error(output, x) < 0.05)
    assert fitted.steps is not None
    assert fitted.unmoved == []
