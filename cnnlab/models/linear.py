"""Softmax regression and the multilayer perceptron."""

from cnnlab.layers.activation import ACTIVATIONS
from cnnlab.layers.compose import Sequential
from cnnlab.layers.conv import Dense
from cnnlab.layers.initialize import Initializer
from cnnlab.layers.regularize import Dropout
from cnnlab.layers.resample import Flatten
from cnnlab.layers.stack import Stack


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


def softmax_regression(input_shape: tuple[int, ...], classes: int, *, init: Initializer) -> Sequential:
    """One logit a class, linear in all pixels: an MLP without hidden layers."""
    return mlp(input_shape, classes, hidden=(), init=init)
