"""LeNet, twice: the zip-code net of 1989 and LeNet-5 of 1998.

1989: LeCun, Boser, Denker, Henderson, Howard, Hubbard and Jackel, "Backpropagation applied to handwritten zip code
recognition" (Neural Computation 1). 9,760 parameters at 16x16x1 with ten classes. As in the paper but for two
things: beyond the border stand zeros, where the paper has its background of -1, because inputs are standardised
here; and the output is linear, the logits, where the paper has a tanh and a squared error.

1998: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition". The form that
is taught: C3 connected to all maps of S2, pooling without weights, a dense output for the RBF units. 61,706
parameters at 32x32x1 with ten classes (the paper's sparse C3 and trained pooling: 60,000).
"""

from collections.abc import Callable
from math import prod

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cnnlab.layers.activation import ACTIVATIONS
from cnnlab.layers.compose import Branches, Sequential
from cnnlab.layers.conv import Conv, Dense, Map, NewMap
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.pool import AvgPool, MaxPool
from cnnlab.layers.resample import Flatten
from cnnlab.layers.stack import Stack

# The maps of H1 that each third of H2's maps sees, as ranges: eight of twelve. The paper leaves the scheme open.
SEEN_BY_H2 = (((0, 8),), ((4, 12),), ((0, 4), (8, 12)))


class UnitBias(nnx.Module):
    """A bias for every unit of a map [*space, channel] instead of one a channel; flat, as biases are elsewhere."""

    def __init__(self, shape: tuple[int, ...]):
        self.bias = nnx.Param(np.zeros(prod(shape), np.float32))

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Map:
        return (x + self.bias[...].reshape(x.shape[1:])).astype(x.dtype)


class SomeMaps(nnx.Module):
    """Some channels of a map: in each of `ranges` those from the first to before the second number."""

    def __init__(self, ranges: tuple[tuple[int, int], ...]):
        self.ranges = ranges

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> NewMap:
        return jnp.concatenate([jax.lax.slice_in_dim(x, start, stop, axis=-1) for start, stop in self.ranges], -1)


def lenet1989(
    input_shape: tuple[int, ...], classes: int, *, activation: str = "scaled_tanh", init: Initializer
) -> Sequential:
    """[batch, height, width, channel] to [batch, classes]; at 16x16 the maps of H1 and H2 are 8x8 and 4x4.

    Windows stand around every second pixel and share their weights; each unit has a bias of its own.
    """
    stack = Stack(input_shape)

    def conv(in_features: int, features: int) -> Conv:
        return Conv(in_features, features, 5, axes=stack.axes, stride=2, padding=2, bias=False, init=init)

    def third(ranges: tuple[tuple[int, int], ...]) -> Sequential:
        return Sequential({"maps": SomeMaps(ranges), "conv": conv(8, 4)})

    stack.add("h1", lambda: conv(stack.channels, 12))
    stack.add("h1_bias", lambda: UnitBias(stack.shape))
    stack.add(f"h1_{activation}", ACTIVATIONS[activation])
    stack.add("h2", lambda: Branches({f"third{i}": third(ranges) for i, ranges in enumerate(SEEN_BY_H2, start=1)}))
    stack.add("h2_bias", lambda: UnitBias(stack.shape))
    stack.add(f"h2_{activation}", ACTIVATIONS[activation])
    stack.add("flatten", Flatten)
    stack.add("h3", lambda: Dense(stack.channels, 30, init=init))
    stack.add(f"h3_{activation}", ACTIVATIONS[activation])
    stack.add("head", lambda: Dense(stack.channels, classes, init=init))
    return stack.build()


def lenet5(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    activation: str = "tanh",
    pooling: str = "avg",
    init: Initializer,
) -> Sequential:
    """[batch, height, width, channel] to [batch, classes]; at 32x32 the maps are 28, 14, 10, 5 (figure 2)."""
    stack = Stack(input_shape)
    pool = {"avg": AvgPool, "max": MaxPool}[pooling]

    def conv(name: str, features: int) -> None:
        stack.add(name, lambda: Conv(stack.channels, features, 5, axes=stack.axes, padding="valid", init=init))
        stack.add(f"{name}_{activation}", ACTIVATIONS[activation])

    def dense(name: str, features: int) -> None:
        stack.add(name, lambda: Dense(stack.channels, features, init=init))
        stack.add(f"{name}_{activation}", ACTIVATIONS[activation])

    conv("c1", 6)
    stack.add("s2", lambda: pool(2, axes=stack.axes))
    conv("c3", 16)
    stack.add("s4", lambda: pool(2, axes=stack.axes))
    stack.add("flatten", Flatten)
    dense("c5", 120)
    dense("f6", 84)
    stack.add("output", lambda: Dense(stack.channels, classes, init=init))
    return stack.build()


NETWORKS: dict[str, Callable[..., nnx.Module]] = {"lenet1989": lenet1989, "lenet5": lenet5}
