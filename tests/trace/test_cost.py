"""Parameters, multiply-adds and activation memory, against loops and formulas of their own."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cnnlab.trace.cost import LayerCost, Totals, cost, operation, totals
from cnnlab.trace.walk import Call, trace

RNGS = nnx.Rngs(0)


def costs(model: nnx.Module, *shape: int) -> tuple[LayerCost, ...]:
    return cost(trace(model, shape), model)


def products(size: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int]) -> int:
    """Windows along an axis times taps, padding included as the convention has it, counted one by one."""
    reach = dilation * (kernel - 1)
    return sum(kernel for start in range(-padding[0], size + padding[1] - reach, stride))


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_a_convolution_multiplies_its_kernel_at_every_output(axes: int, groups: int):
    sizes, kernels, strides, dilations = (9, 8, 7)[:axes], (3, 2, 5)[:axes], (2, 1, 1)[:axes], (1, 2, 1)[:axes]
    padding = ((1, 1), (0, 2), (2, 2))[:axes]

    def conv() -> nnx.Module:
        options = {"padding": padding, "kernel_dilation": dilations, "feature_group_count": groups}
        return nnx.Conv(4, 8, kernels, strides, **options, rngs=nnx.Rngs(0))

    (row,) = costs(nnx.eval_shape(conv), *sizes, 4)
    per_pair = np.prod([products(*axis) for axis in zip(sizes, kernels, strides, dilations, padding, strict=True)])
    assert row.multiply_adds == per_pair * (4 // groups) * 8
    assert row.parameters == np.prod(kernels) * 4 // groups * 8 + 8
    assert row.activation_bytes == 4 * np.prod(row.output_shape)
    assert row.flops == 2 * row.multiply_adds


def test_a_transposed_convolution_multiplies_its_kernel_at_every_input():
    (row,) = costs(nnx.ConvTranspose(3, 5, (4, 4), (2, 2), rngs=RNGS), 6, 7, 3)
    assert row.output_shape == (12, 14, 5)
    assert row.multiply_adds == 6 * 7 * 4 * 4 * 3 * 5


def test_a_matrix_product_is_counted_and_its_bias_is_not():
    (row,) = costs(nnx.Linear(6, 4, rngs=RNGS), 6)
    assert row == LayerCost("", "linear", (4,), 28, 24, 16)


def test_normalisation_and_activation_cost_parameters_and_memory_only():
    class Relu(nnx.Module):
        def __call__(self, x: jax.Array) -> jax.Array:
            return nnx.relu(x)

    assert costs(nnx.Sequential(nnx.BatchNorm(3, rngs=RNGS), Relu()), 5, 5, 3) == (
        LayerCost("layers.0", "batch_norm", (5, 5, 3), 6, 0, 300),
        LayerCost("layers.1", "relu", (5, 5, 3), 0, 0, 300),
    )


class Shared(nnx.Module):
    def __init__(self):
        self.dense = nnx.Linear(4, 4, rngs=RNGS)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dense(self.dense(x))


def test_a_shared_layer_works_twice_and_has_its_parameters_once():
    rows = costs(Shared(), 4)
    assert [(row.path, row.parameters, row.multiply_adds) for row in rows] == [("dense", 20, 16), ("dense", 0, 16)]


class Attention(nnx.Module):
    """Has a parameter and matrix products of its own around a layer."""

    def __init__(self):
        self.query = nnx.Linear(4, 4, use_bias=False, rngs=RNGS)
        self.temperature = nnx.Param(jnp.ones(()))
        self.unused = nnx.Linear(4, 9, rngs=RNGS)
        self.table = nnx.List([nnx.Param(jnp.ones((2, 3)))])

    def __call__(self, x: jax.Array) -> jax.Array:
        scores = self.query(x) @ x.mT * self.temperature[...]
        return jax.nn.softmax(scores) @ x


def test_a_composite_has_a_row_for_work_of_its_own():
    own, query = costs(Attention(), 6, 4)
    assert query == LayerCost("query", "linear", (6, 4), 16, 6 * 4 * 4, 96)
    # Its own parameter, the list's and those of the layer that nobody calls; scores and result are its products.
    assert own == LayerCost("", "attention", (6, 4), 1 + 6 + 45, 2 * 6 * 6 * 4, 4 * (36 + 24))


def test_a_scan_is_counted_as_often_as_it_runs():
    class Scan(nnx.Module):
        def __init__(self):
            self.weights = nnx.Param(jnp.ones((5, 4, 4)))

        def __call__(self, x: jax.Array) -> jax.Array:
            return jax.lax.scan(lambda y, w: (y @ w, None), x, self.weights[...])[0]

    (row,) = costs(Scan(), 4)
    assert (row.parameters, row.multiply_adds) == (80, 5 * 16)


def test_totals_are_the_sums():
    rows = costs(nnx.Sequential(nnx.Linear(6, 4, rngs=RNGS), nnx.Linear(4, 2, rngs=RNGS)), 6)
    assert totals(rows) == Totals(parameters=38, multiply_adds=32, activation_bytes=24)
    assert totals(rows).flops == 64
    assert totals(()) == Totals(0, 0, 0)


def test_shapes_alone_give_the_same():
    def model() -> nnx.Module:
        return nnx.Conv(3, 4, (3, 3), rngs=nnx.Rngs(0))

    assert costs(nnx.eval_shape(model), 8, 8, 3) == costs(model(), 8, 8, 3)


@pytest.mark.parametrize(
    ("kind", "spelling"),
    [("Conv", "conv"), ("BatchNorm", "batch_norm"), ("GlobalAvgPool", "global_avg_pool"), ("GELU", "gelu")],
)
def test_operations_are_spelt_as_in_the_vocabulary(kind: str, spelling: str):
    assert operation(Call(0, "", kind, True, ())) == spelling


# ResNet-18 (He et al. 2016) at 224: 1.814 G multiply-adds and 11,689,512 parameters, as torchvision has it.


class BasicBlock(nnx.Module):
    def __init__(self, features_in: int, features: int, stride: int, rngs: nnx.Rngs):
        def conv(*sizes: int, kernel: int, stride: int) -> nnx.Conv:
            pads = kernel // 2
            return nnx.Conv(*sizes, (kernel, kernel), stride, padding=pads, use_bias=False, rngs=rngs)

        self.conv1 = conv(features_in, features, kernel=3, stride=stride)
        self.conv2 = conv(features, features, kernel=3, stride=1)
        self.norm1, self.norm2 = nnx.BatchNorm(features, rngs=rngs), nnx.BatchNorm(features, rngs=rngs)
        projection = conv(features_in, features, kernel=1, stride=stride)
        self.shortcut = nnx.Sequential(projection, nnx.BatchNorm(features, rngs=rngs)) if stride > 1 else None

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.norm2(self.conv2(nnx.relu(self.norm1(self.conv1(x)))))
        return nnx.relu(y + (x if self.shortcut is None else self.shortcut(x)))


class ResNet18(nnx.Module):
    def __init__(self, rngs: nnx.Rngs):
        self.conv = nnx.Conv(3, 64, (7, 7), 2, padding=3, use_bias=False, rngs=rngs)
        self.norm = nnx.BatchNorm(64, rngs=rngs)
        widths = [64, 64, 64, 128, 128, 256, 256, 512, 512]
        self.blocks = nnx.List([BasicBlock(a, b, 1 if a == b else 2, rngs) for a, b in pairwise(widths)])
        self.head = nnx.Linear(512, 1000, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        x = nnx.max_pool(nnx.relu(self.norm(self.conv(x))), (3, 3), (2, 2), ((1, 1), (1, 1)))
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean((1, 2)))


def resnet18_multiply_adds() -> int:
    """Counted from the paper's table 1."""
    count = 112 * 112 * 7 * 7 * 3 * 64
    for size, before, features in ((56, 64, 64), (28, 64, 128), (14, 128, 256), (7, 256, 512)):
        count += size * size * features * 9 * (before + 3 * features)
        count += size * size * features * before if before != features else 0
    return count + 512 * 1000


def test_resnet18_is_as_published():
    sums = totals(costs(nnx.eval_shape(lambda: ResNet18(nnx.Rngs(0))), 224, 224, 3))
    assert sums.multiply_adds == resnet18_multiply_adds() == 1_814_073_344
    assert sums.parameters == 11_689_512
