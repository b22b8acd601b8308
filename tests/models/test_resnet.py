"""ResNet: the sizes of table 1 of He et al. (2016), strides, shortcuts, and one block in NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.models.resnet import ResNet, basic_block
from cnnlab.trace.walk import trace

EIGHTEEN = (2, 2, 2, 2)


def shapes(input_shape: tuple[int, ...], **options) -> dict[str, tuple[int, ...]]:
    model = ResNet(input_shape, 10, stages=EIGHTEEN, init=Initializer(), **options)
    return {call.path: call.output_shapes[0] for call in trace(model, input_shape).calls}


@pytest.mark.parametrize(
    ("input_shape", "options", "expected"),
    [
        ((224, 224, 3), {}, [(112, 112, 64), (56, 56, 64), (56, 56, 64), (28, 28, 128), (14, 14, 256), (7, 7, 512)]),
        ((32, 32, 3), {"stem": "small"}, [(32, 32, 64), None, (32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)]),
        ((8, 8, 1), {"stem": "small", "width": 4}, [(8, 8, 4), None, (8, 8, 4), (4, 4, 8), (2, 2, 16), (1, 1, 32)]),
        ((65, 1), {"width": 4}, [(33, 4), (17, 4), (17, 4), (9, 8), (5, 16), (3, 32)]),
        (
            (9, 16, 33, 1),
            {"width": 4},
            [(5, 8, 17, 4), (3, 4, 9, 4), (3, 4, 9, 4), (2, 2, 5, 8), (1, 1, 3, 16), (1, 1, 2, 32)],
        ),
    ],
)  # fmt: skip
def test_the_maps_are_those_of_table_1(input_shape, options, expected):
    of = shapes(input_shape, **options)
    names = ("stem.conv", "stem.pool", "stage1", "stage2", "stage3", "stage4")
    assert [of.get(name) for name in names] == expected
    assert of["pool"] == expected[-1][-1:]
    assert of["head"] == of[""] == (10,)


def test_shortcuts_project_where_the_shape_changes_and_nowhere_else():
    projections = {path.rsplit(".", 1)[0] for path in shapes((32, 32, 3)) if path.endswith("shortcut")}
    assert projections == {"stage2.block0", "stage3.block0", "stage4.block0"}


def normalised(y: np.ndarray) -> np.ndarray:
    flat = y.reshape(-1, y.shape[-1])
    return (y - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)


def convolved(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """3 or 1 positions wide, over one spatial axis; the first window is centred on the first position."""
    half = len(kernel) // 2
    padded = np.pad(x, ((0, 0), (half, half), (0, 0)))
    starts = range(0, x.shape[1], stride)
    return np.stack([sum(padded[:, i + k] @ kernel[k] for k in range(len(kernel))) for i in starts], 1)


@pytest.mark.parametrize(("features", "stride"), [(3, 1), (5, 1), (6, 2)])
def test_a_basic_block_is_figure_5(features, stride):
    block = basic_block(3, features, stride, axes=1, init=Initializer(0))
    x = np.random.default_rng(0).standard_normal((4, 7, 3), dtype=np.float32)
    body = block.body
    y = np.maximum(normalised(convolved(x, np.asarray(body.conv1.kernel[...]), stride)), 0)
    y = normalised(convolved(y, np.asarray(body.conv2.kernel[...]), 1))
    if block.shortcut is None:
        assert (features, stride) == (3, 1)
        y = y + x
    else:
        y = y + normalised(convolved(x, np.asarray(block.shortcut.conv.kernel[...]), stride))
    np.testing.assert_allclose(block(jnp.asarray(x), Mode(train=True)), np.maximum(y, 0), rtol=1e-3, atol=1e-4)
