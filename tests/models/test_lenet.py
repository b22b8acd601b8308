"""LeNet-5: the sizes of figure 2 of LeCun et al. (1998)."""

import pytest

from cnnlab.layers.initialize import Initializer
from cnnlab.models.lenet import lenet5
from cnnlab.trace.walk import trace


def shapes(side: int, **options: str) -> dict[str, tuple[int, ...]]:
    model = lenet5((side, side, 1), 10, init=Initializer(), **options)
    return {call.path: call.output_shapes[0] for call in trace(model, (side, side, 1)).calls if call.path}


def test_the_maps_are_those_of_figure_2():
    of = shapes(32)
    assert [of[name] for name in ("c1", "s2", "c3", "s4")] == [(28, 28, 6), (14, 14, 6), (10, 10, 16), (5, 5, 16)]
    assert [of[name] for name in ("flatten", "c5", "f6", "output")] == [(400,), (120,), (84,), (10,)]


def test_the_layers_come_in_the_papers_order_each_with_its_activation():
    assert list(shapes(32)) == [
        "c1", "c1_tanh", "s2", "c3", "c3_tanh", "s4", "flatten", "c5", "c5_tanh", "f6", "f6_tanh", "output",
    ]  # fmt: skip


@pytest.mark.parametrize(("pooling", "kind"), [("avg", "AvgPool"), ("max", "MaxPool")])
def test_pooling_and_activation_are_the_named_ones(pooling, kind):
    model = lenet5((28, 28, 1), 10, pooling=pooling, activation="leaky_relu", init=Initializer())
    kinds = [call.kind for call in trace(model, (28, 28, 1)).calls]
    assert kinds.count(kind) == 2
    assert kinds.count("LeakyRelu") == 4


def test_one_and_three_spatial_axes():
    sizes = {}
    for shape in [(32, 2), (16, 16, 16, 1)]:
        model = lenet5(shape, 3, init=Initializer())
        sizes[shape] = {c.path: c.output_shapes[0] for c in trace(model, shape).calls}
    assert sizes[(32, 2)]["s4"] == (5, 16)
    assert sizes[(16, 16, 16, 1)]["s4"] == (1, 1, 1, 16)
