"""LeNet-5: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition" (1998).

The form that is taught: C3 connected to all maps of S2, pooling without weights, a dense output for the RBF
units. 61,706 parameters at 32x32x1 with ten classes (the paper's sparse C3 and trained pooling: 60,000).
"""

from cnnlab.layers.activation import ACTIVATIONS
from cnnlab.layers.compose import Sequential
from cnnlab.layers.conv import Conv, Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.pool import AvgPool, MaxPool
from cnnlab.layers.resample import Flatten
from cnnlab.layers.stack import Stack


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
