"""U-Net: the maps of figure 1 of Ronneberger et al. (2015), every option against NumPy, the sizes that it takes."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cnnlab.layers.initialize import Initializer
from cnnlab.layers.mode import Mode
from cnnlab.layers.windows import ShapeError
from cnnlab.models.unet import UNet
from cnnlab.trace.walk import trace


def shapes(input_shape: tuple[int, ...], classes: int = 2, **options) -> dict[str, tuple[int, ...]]:
    model = UNet(input_shape, classes, init=Initializer(), **options)
    return {call.path: call.output_shape for call in trace(model, input_shape).calls}


def parameters(model: nnx.Module) -> int:
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(nnx.state(model, nnx.Param)))


def test_the_maps_are_those_of_figure_1():
    of = shapes((572, 572, 1))
    down = [(570, 568, 64), (282, 280, 128), (138, 136, 256), (66, 64, 512)]
    for level, (first, second, channels) in enumerate(down, start=1):
        assert of[f"down{level}.conv1"] == (first, first, channels)
        assert of[f"down{level}"] == (second, second, channels)
    assert [of[f"down{level}.pool"][0] for level in (2, 3, 4)] == [284, 140, 68]
    assert "down1.pool" not in of
    assert [of[f"bottom.{name}"] for name in ("pool", "conv1", "conv2")] == [
        (32, 32, 512), (30, 30, 1024), (28, 28, 1024),
    ]  # fmt: skip
    up = [(392, 390, 388, 64), (200, 198, 196, 128), (104, 102, 100, 256), (56, 54, 52, 512)]
    for level, (doubled, first, second, channels) in enumerate(up, start=1):
        assert of[f"upsample{level}"] == (doubled, doubled, channels)
        assert of[f"up{level}.conv1"] == (first, first, channels)
        assert of[f"up{level}"] == (second, second, channels)
    assert of["head"] == of[""] == (388, 388, 2)


def counted(axes: int, channels: int, classes: int, depth: int, width: int, norm: bool, up: int) -> int:
    """Weights, then a bias (or scale and bias) a channel; `up` is the window of what halves the channels."""
    per_channel = 2 if norm else 1

    def pair(a: int, b: int) -> int:
        return 3**axes * (a * b + b * b) + 2 * per_channel * b

    widths = [width * 2**i for i in range(depth + 1)]
    down = sum(pair(a, b) for a, b in itertools.pairwise([channels, *widths]))
    return down + sum(up**axes * 2 * b * b + b + pair(2 * b, b) for b in widths[:-1]) + (width + 1) * classes


@pytest.mark.parametrize(
    ("input_shape", "depth", "width", "normalization", "upsampling", "classes"),
    [
        ((572, 572, 1), 4, 64, "none", "conv_transpose", 2),
        ((64, 3), 3, 4, "batch", "conv_transpose", 5),
        ((16, 32, 2), 2, 6, "group", "bilinear", 3),
        ((8, 12, 16, 1), 2, 5, "layer", "nearest", 4),
        ((8, 12, 16, 1), 1, 5, "none", "conv_transpose", 4),
    ],
)
def test_the_count_of_parameters_is_the_formulas(input_shape, depth, width, normalization, upsampling, classes):
    padding = "valid" if depth == 4 else "same"
    options = {"depth": depth, "width": width, "normalization": normalization, "upsampling": upsampling}
    model = UNet(input_shape, classes, padding=padding, init=Initializer(), **options)
    up = 2 if upsampling == "conv_transpose" else 1
    axes, channels = len(input_shape) - 1, input_shape[-1]
    assert parameters(model) == counted(axes, channels, classes, depth, width, normalization != "none", up)
    if depth == 4:
        assert parameters(model) == 31_030_658


# ---------------------------------------------------------------- the same in NumPy


def windows(n: int, axes: int):
    return itertools.product(range(n), repeat=axes)


def convolved(x: np.ndarray, conv: nnx.Module, padding: str) -> np.ndarray:
    """A sum over the window's positions, each a matrix product; zeros around the map unless `valid`."""
    kernel, axes = np.asarray(conv.kernel[...], np.float64), x.ndim - 2
    if padding == "same" and len(kernel) == 3:
        x = np.pad(x, ((0, 0), *((1, 1),) * axes, (0, 0)))
    size = [n - len(kernel) + 1 for n in x.shape[1:-1]]
    total = 0.0
    for at in windows(len(kernel), axes):
        total = total + x[(slice(None), *(slice(a, a + n) for a, n in zip(at, size, strict=True)))] @ kernel[at]
    return total if conv.bias is None else total + np.asarray(conv.bias[...])


def pooled(x: np.ndarray) -> np.ndarray:
    axes = x.ndim - 2
    return np.max([x[(slice(None), *(slice(a, None, 2) for a in at))] for at in windows(2, axes)], 0)


def enlarged(x: np.ndarray, part: nnx.Module, method: str) -> np.ndarray:
    """As users know it: the whole map made larger, then the 1x1 convolution."""
    axes = x.ndim - 2
    if method == "conv_transpose":
        kernel = np.asarray(part.kernel[...], np.float64)
        y = np.zeros((len(x), *(2 * n for n in x.shape[1:-1]), kernel.shape[-1]))
        for at in windows(2, axes):
            y[(slice(None), *(slice(a, None, 2) for a in at))] = x @ kernel[at]
        return y + np.asarray(part.bias[...])
    for axis in range(1, axes + 1):
        before, after = (np.take(x, np.clip(np.arange(x.shape[axis]) + d, 0, x.shape[axis] - 1), axis) for d in (-1, 1))
        near = 0.75 if method == "bilinear" else 1.0
        first, second = near * x + (1 - near) * before, near * x + (1 - near) * after
        x = np.stack([first, second], axis + 1).reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
    return convolved(x, part.conv, "valid")


def double(x: np.ndarray, part: nnx.Module, padding: str) -> np.ndarray:
    for i in (1, 2):
        x = convolved(x, getattr(part, f"conv{i}"), padding)
        if hasattr(part, f"norm{i}"):  # by the batch's own statistics
            flat = x.reshape(-1, x.shape[-1])
            x = (x - flat.mean(0)) / np.sqrt(flat.var(0) + 1e-5)
        x = np.maximum(x, 0)
    return x


def forward(model: nnx.Module, x: np.ndarray, depth: int, padding: str, method: str) -> np.ndarray:
    """Level 1 holds level 2 holds level 3 ...: what the names of the network spread out."""

    def level(x: np.ndarray, i: int) -> np.ndarray:
        if i > depth:
            return double(x, model.bottom, padding)
        x = double(x, getattr(model, f"down{i}"), padding)
        y = enlarged(level(pooled(x), i + 1), getattr(model, f"upsample{i}"), method)
        cut = [(n - m) // 2 for n, m in zip(x.shape[1:-1], y.shape[1:-1], strict=True)]
        centre = x[(slice(None), *(slice(c, n - c) for c, n in zip(cut, x.shape[1:-1], strict=True)))]
        return double(np.concatenate([centre, y], -1), getattr(model, f"up{i}"), padding)

    return convolved(level(x, 1), model.head, padding)


@pytest.mark.parametrize(
    ("space", "depth", "padding", "upsampling", "normalization"),
    [
        ((44,), 2, "valid", "conv_transpose", "none"),
        ((8, 12), 2, "same", "conv_transpose", "batch"),
        ((18, 20), 1, "valid", "bilinear", "none"),
        ((16, 8), 3, "same", "bilinear", "batch"),
        ((4, 6, 2), 1, "same", "nearest", "none"),
    ],
)
def test_a_pass_in_training_is_figure_1(space, depth, padding, upsampling, normalization):
    options = {"depth": depth, "padding": padding, "upsampling": upsampling, "normalization": normalization}
    model = UNet((*space, 2), 3, width=2, init=Initializer(0), **options)
    random = np.random.default_rng(0)
    for _, layer in nnx.iter_modules(model):  # biases that are not zero
        if getattr(layer, "kernel", None) is not None and layer.bias is not None:
            layer.bias[...] = random.standard_normal(layer.bias.shape, dtype=np.float32)
    x = random.standard_normal((2, *space, 2), dtype=np.float32)
    expected = forward(model, x.astype(np.float64), depth, padding, upsampling)
    np.testing.assert_allclose(model(jnp.asarray(x), Mode(train=True)), expected, rtol=1e-3, atol=1e-4)


def test_every_normalization_of_every_part_follows_the_batch():
    model = UNet((8, 1), 2, depth=2, width=2, padding="same", normalization="batch", init=Initializer(0))
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)))
    model(jnp.asarray(np.random.default_rng(0).standard_normal((2, 8, 1)), jnp.float32), Mode(train=True))
    after = nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), before, after)
    assert set(changed) == {"down1", "down2", "bottom", "up2", "up1"}
    assert all(jax.tree.leaves(changed))


def test_dropout_stands_at_the_end_of_the_contracting_path_and_nowhere_else():
    model = UNet((8, 8, 1), 2, depth=2, width=4, padding="same", dropout=0.5, init=Initializer(0))
    of = {".".join(map(str, path)) for path, layer in nnx.iter_modules(model) if type(layer).__name__ == "Dropout"}
    assert of == {"down2.dropout", "bottom.dropout"}
    assert not any("dropout" in path for path in shapes((8, 8, 1), depth=2, padding="same"))
    x = jnp.ones((1, 8, 8, 1))
    passes = [np.asarray(model(x, Mode(train=True, key=jax.random.key(seed)))) for seed in (0, 0, 1)]
    assert np.array_equal(passes[0], passes[1])
    assert not np.array_equal(passes[0], passes[2])
    assert np.array_equal(model(x), model(x))


# ---------------------------------------------------------------- sizes


def output_size(size: int, depth: int, padding: str) -> int | None:
    """Followed through the network position by position; None where a pool is odd or a convolution too large."""
    lost = 4 if padding == "valid" else 0
    for _ in range(depth):
        size -= lost
        if size < 1 or size % 2:
            return None
        size //= 2
    size -= lost
    for _ in range(depth):
        if size < 1:
            return None
        size = 2 * size - lost
    return size if size > 0 else None


def nearest(size: int, depth: int, padding: str) -> tuple[int | None, int]:
    works = [n for n in range(1, 2 * size + 400) if output_size(n, depth, padding)]
    return max((n for n in works if n <= size), default=None), min(n for n in works if n >= size)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(1, 120), min_size=1, max_size=2),
    st.integers(1, 3),
    st.sampled_from(["valid", "same"]),
)
@example([572, 572], 4, "valid")
@example([188], 4, "valid")
@example([187], 4, "valid")
@example([18], 1, "valid")
@example([17], 1, "valid")
@example([16], 1, "valid")
@example([1], 3, "same")
def test_exactly_the_sizes_are_taken_that_every_pool_can_halve(space, depth, padding):
    pairs = [nearest(size, depth, padding) for size in space]
    if all(below == above for below, above in pairs):
        of = shapes((*space, 1), depth=depth, width=1, padding=padding)
        assert of[""] == (*(output_size(size, depth, padding) for size in space), 2)
        return
    with pytest.raises(ShapeError) as caught:
        UNet((*space, 1), 2, depth=depth, width=1, padding=padding, init=Initializer())
    above = "x".join(str(above) for _, above in pairs)
    below = "" if any(below is None for below, _ in pairs) else "x".join(str(below) for below, _ in pairs) + " or "
    assert caught.value.hint.removesuffix(", or set padding: same") == f"give it {below}{above}"


@pytest.mark.parametrize(
    ("input_shape", "options", "sentence"),
    [
        (
            (570, 600, 3),
            {},
            "the map is 570x600 here, and valid convolutions need sizes of 16 k - 4, from 188 on; "
            "give it 556x588 or 572x604, or set padding: same",
        ),
        (
            (28, 28, 1),
            {"depth": 3},
            "the map is 28x28 here, and valid convolutions need sizes of 8 k - 4, from 92 on; "
            "give it 92x92, or set padding: same",
        ),
        (
            (28, 32, 1),
            {"padding": "same"},
            "the map is 28x32 here, and 16 does not divide its sizes; give it 16x32 or 32x32",
        ),
        (
            (10, 32, 1),
            {"padding": "same"},
            "the map is 10x32 here, and 16 does not divide its sizes; give it 16x32",
        ),
        ((64,), {}, "needs a map with spatial axes, and gets a vector of 64"),
        (
            (8, 8, 8, 8, 1),
            {},
            "takes 1 or 2 or 3 spatial axes, and the input has 4; give it images, [height, width, channels]",
        ),
    ],
)
def test_an_input_that_it_cannot_take_is_refused_with_the_sizes_beside_it(input_shape, options, sentence):
    with pytest.raises(ShapeError) as caught:
        UNet(input_shape, 2, init=Initializer(), **options)
    assert str(caught.value) == sentence


def test_an_impossible_depth_is_refused_before_any_weight_is_made():
    with pytest.raises(ShapeError) as caught:
        UNet((512, 512, 1), 2, depth=40, padding="same", init=Initializer(0))
    assert caught.value.hint == "give it 1099511627776x1099511627776"
