"""The perceptron's rule: examples one after the other, the weights move where an answer is wrong. No gradient.

Rosenblatt, "The perceptron" (1958) and "Principles of neurodynamics" (1962); that it ends on classes that a hyperplane
separates: Novikoff, "On convergence proofs for perceptrons" (1962).
"""

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Int

from cnnlab.spec.schedules import Schedule
from cnnlab.spec.schema import Experiment
from cnnlab.tasks.perceptron import Perceptron
from cnnlab.train.augmented import augmented
from cnnlab.train.state import State

if TYPE_CHECKING:
    from cnnlab.train.step import Sizes

Layer = dict[str, Array]
"""The one layer's "kernel" [input, unit] and "bias" [unit], if it has one: less the threshold."""


def constant_rate(experiment: Experiment) -> float:
    """The rate of a spec that the rule accepts."""
    rate = experiment.optimizer.learning_rate
    return rate.peak if isinstance(rate, Schedule) else rate


def learnt(
    layer: Layer, x: Float[Array, "batch input"], y: Int[Array, " batch"], mask: Bool[Array, " batch"], rate: float
) -> tuple[Layer, Float[Array, "batch unit"]]:
    """The layer after these examples, in their order, and the scores that it had for each before learning from it.

    One unit tells two classes apart: it says 1 where its score is above 0, and where that is wrong the weights move by
    rate * x, up for class 1 and down for class 0. Of several units the largest score decides (of equal ones the first),
    and where that is wrong the true class's weights move up and those of the winner down (Duda and Hart, "Pattern
    classification and scene analysis", 1973, section 5.12). What the mask leaves out teaches nothing.
    """

    def next_example(layer: Layer, example: tuple[Array, Array, Array]) -> tuple[Layer, Array]:
        x, y, counts = example
        scores = jnp.matmul(x, layer["kernel"], precision="highest")
        if "bias" in layer:
            scores = scores + layer["bias"]
        units = len(scores)
        if units == 1:
            error = y - (scores > 0).astype(y.dtype)  # 1, 0 or -1
        else:
            error = jax.nn.one_hot(y, units) - jax.nn.one_hot(scores.argmax(), units)
        move = rate * jnp.where(counts, error, 0).astype(x.dtype)
        moved = {"kernel": layer["kernel"] + x[:, None] * move}
        if "bias" in layer:
            moved["bias"] = layer["bias"] + move
        return moved, scores

    return jax.lax.scan(next_example, layer, (x, y, mask))


def rosenblatt_step(
    experiment: Experiment,
    sizes: "Sizes",
    state: State,
    x: Array,
    y: Int[Array, " batch"],
    mask: Bool[Array, " batch"],
    index: Int[Array, " batch"],
) -> State:
    """One batch in its order: x [batch, *space, channel], the others [batch]. Devices that share it do the same."""
    task = sizes.task
    assert isinstance(task, Perceptron)
    batch = augmented(experiment, sizes, state.step, x, y, index)  # normalised, labels with their noise, and no more
    inputs, y = batch.x.reshape(len(x), -1), jnp.asarray(batch.y)
    ((name, layer),) = state.params.items()
    layer, scores = learnt(layer, inputs, y, mask, constant_rate(experiment))
    losses = task.losses(scores, y)
    total = jnp.where(mask, losses, 0).sum()
    first = ~jnp.isfinite(total) & (state.diverged_at < 0)
    after: dict[str, Any] = {
        "params": {name: layer},
        "sums": task.added(state.sums, scores, y, losses, mask),
        "step": state.step + 1,
        "diverged_at": jnp.where(first, state.step + 1, state.diverged_at),
        "diverged_loss": jnp.where(first, total, state.diverged_loss),
    }
    return state._replace(**after)
