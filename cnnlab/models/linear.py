"""Networks of dense layers over the flattened input: perceptron, logistic and softmax regression, and the MLP.

With n inputs: (n + 1) parameters where one unit tells two classes apart (perceptron, logistic regression),
(n + 1) times the classes where each has a unit (perceptron for more than two, softmax regression).
"""

from collections.abc import Callable

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from cnnlab.layers.activation import ACTIVATIONS
from cnnlab.layers.compose import Sequential
from cnnlab.layers.conv import Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.regularize import Dropout
from cnnlab.layers.resample import Flatten
from cnnlab.layers.stack import Stack
from cnnlab.layers.windows import ShapeError


class AgainstZero(nnx.Module):
    """One unit's score z as the logits (0, z) of two classes: their softmax is (1 - sigmoid(z), sigmoid(z))."""

    def __call__(self, x: Float[Array, "batch 1"], mode: Mode = EVALUATION) -> Float[Array, "batch 2"]:
        return jnp.pad(x, ((0, 0), (1, 0)))


def perceptron(input_shape: tuple[int, ...], classes: int, *, init: Initializer) -> Sequential:
    """Threshold units over all inputs (Rosenblatt, "The perceptron", 1958): one for two classes, else one a class.

    What comes out are the units' scores before the threshold, since the largest is the decision; of one unit
    (0, score), so that class 1 is where the score is positive. Weights start at zero unless `init` has a rule.
    """
    units = 1 if classes == 2 else classes
    return _one_layer(input_shape, units, init.using(0.0) if init.rule is None else init)


def logistic_regression(input_shape: tuple[int, ...], classes: int, *, init: Initializer) -> Sequential:
    """One unit z for two classes, as the logits (0, z): the softmax of class 1 is the logistic function of z.

    Cox, "The regression analysis of binary sequences" (1958). Raises ShapeError for another number of classes.
    """
    if classes != 2:
        message = f"tells two classes apart, and there are {classes}"
        raise ShapeError(message, hint="use softmax_regression, or give model.classes: 2 where there is no data")
    return _one_layer(input_shape, 1, init)


def _one_layer(input_shape: tuple[int, ...], units: int, init: Initializer) -> Sequential:
    stack = Stack(input_shape)
    stack.add("flatten", Flatten)
    stack.add("head", lambda: Dense(stack.channels, units, init=init))
    if units == 1:
        stack.add("logits", AgainstZero)
    return stack.build()


def softmax_regression(input_shape: tuple[int, ...], classes: int, *, init: Initializer) -> Sequential:
    """One logit a class, linear in all inputs: an MLP without hidden layers."""
    return mlp(input_shape, classes, hidden=(), init=init)


def mlp(
    input_shape: tuple[int, ...],
    classes: int,
    *,
    hidden: tuple[int, ...] = (256, 128),
    activation: str = "relu",
    dropout: float = 0.0,
    init: Initializer,
) -> Sequential:
    """Dense layers of `hidden` units (Rumelhart, Hinton and Williams 1986), then one logit a class."""
    stack = Stack(input_shape)
    stack.add("flatten", Flatten)
    for i, features in enumerate(hidden, start=1):
        stack.add(f"dense{i}", lambda features=features: Dense(stack.channels, features, init=init))
        stack.add(f"{activation}{i}", ACTIVATIONS[activation])
        if dropout:
            stack.add(f"dropout{i}", lambda: Dropout(dropout))
    stack.add("output", lambda: Dense(stack.channels, classes, init=init))
    return stack.build()


NETWORKS: dict[str, Callable[..., nnx.Module]] = {
    "perceptron": perceptron,
    "logistic_regression": logistic_regression,
    "softmax_regression": softmax_regression,
    "mlp": mlp,
}
