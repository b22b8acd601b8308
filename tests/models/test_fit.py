"""The networks learn: a small batch of noise is fitted without a mistake."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models import build
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
NETWORKS = {
    "softmax_regression": ("name: softmax_regression", 300),
    "mlp": ("name: mlp\nhidden: [32]", 100),
    "lenet5": ("name: lenet5", 150),
    "own": (OWN, 60),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_small_batch_is_fitted_to_the_last_image(name):
    text, steps = NETWORKS[name]
    spec = parse("model:\n" + "\n".join(f"  {line}" for line in text.splitlines()), "test.yaml").model
    graph, params, stats = split(build(spec, (16, 16, 1), 4, init=Initializer(0)))
    x = jnp.asarray(np.random.default_rng(0).standard_normal((16, 16, 16, 1)), jnp.float32)
    y = jnp.arange(16) % 4
    adam = optax.adam(0.01)

    def loss(params: Any, stats: Any) -> tuple[jax.Array, tuple[jax.Array, Any]]:
        model = nnx.merge(graph, params, stats)
        logits = model(x, Mode(train=True, key=jax.random.key(0)))
        mean = optax.softmax_cross_entropy_with_integer_labels(logits, y).mean()
        return mean, (logits, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)))

    @jax.jit
    def step(params: Any, stats: Any, memory: Any) -> tuple[Any, Any, Any, jax.Array]:
        (_, (logits, stats)), gradient = jax.value_and_grad(loss, has_aux=True)(params, stats)
        updates, memory = adam.update(gradient, memory)
        return optax.apply_updates(params, updates), stats, memory, (logits.argmax(-1) == y).mean()

    memory, accuracy = adam.init(params), 0.0
    for _ in range(steps):
        params, stats, memory, accuracy = step(params, stats, memory)
        if accuracy == 1:
            break
    else:
        pytest.fail(f"{float(accuracy):.0%} after {steps} steps")
