"""Pooling: maximum and average over windows, over the whole map, and to a given size."""

from collections.abc import Callable
from functools import reduce
from math import gcd

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float

from cnnlab.kernels.average_pool import average_pool, joined, over_windows, plain
from cnnlab.kernels.channel_sums import mean_over_space
from cnnlab.kernels.pooling import reduce_window_is_fast
from cnnlab.layers.conv import Map
from cnnlab.layers.mode import EVALUATION, Mode
from cnnlab.layers.windows import Padding, Pads, PerAxis, ShapeError, check_fits, pads, per_axis, show, spatial_axes

Pooled = Float[Array, "batch *new_space channel"]


class _Pool(nnx.Module):
    def __init__(self, window: PerAxis, *, axes: int, stride: PerAxis | None = None, padding: Padding = "valid"):
        self.window = per_axis(window, axes, "window")
        self.stride = self.window if stride is None else per_axis(stride, axes, "stride")
        self.padding = padding

    def _pads(self, x: Array) -> Pads:
        ones = (1,) * spatial_axes(x.shape)
        padding = pads(self.padding, x.shape[1:-1], self.window, self.stride, ones)
        check_fits(x.shape[1:-1], self.window, ones, padding)
        if any(max(beside) >= k for beside, k in zip(padding, self.window, strict=True)):
            # The outermost window would see nothing of the map, and have neither maximum nor mean.
            largest = show(tuple(max(beside) for beside in padding))
            message = f"padding {largest} is as large as the window {show(self.window)}"
            raise ShapeError(message, hint="pad less than the window")
        return padding


class MaxPool(_Pool):
    """The largest value of each window, per channel; a NaN where the window holds one.

    The gradient of a window goes to its first maximum in row order; where it holds a NaN, to the first maximum of
    what follows the last NaN, or to that NaN where nothing follows. On a CPU without this project's kernels the
    gradient of XLA's reduce_window (select-and-scatter) would take 36 times as long as that of shifted slices (52
    against 1.45 ms for 2x2), so slices it is there: values that tie share the gradient, and a NaN ends it.
    """

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Pooled:
        padding = ((0, 0), *self._pads(x), (0, 0))
        if reduce_window_is_fast(x.dtype):
            sizes, strides = (1, *self.window, 1), (1, *self.stride, 1)
            return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, sizes, strides, padding)
        if any(map(any, padding)):
            x = jnp.pad(x, padding, constant_values=-jnp.inf)
        return over_windows(x, self.window, self.stride, jnp.maximum)


class AvgPool(_Pool):
    """The mean of each window, per channel, from sums in float32 at least; padded positions do not count."""

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Pooled:
        padding = self._pads(x)
        if mode.train:
            return average_pool(x, self.window, self.stride, padding)
        return plain(x, window=self.window, stride=self.stride, pads=padding)[0]


class GlobalAvgPool(nnx.Module):
    """The mean over space (Lin, Chen and Yan 2014): a vector of channels."""

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Float[Array, "batch channel"]:
        space = range(1, 1 + spatial_axes(x.shape))
        return mean_over_space(x).astype(x.dtype) if mode.train else x.mean(space)


class GlobalMaxPool(nnx.Module):
    """The maximum over space: a vector of channels."""

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Float[Array, "batch channel"]:
        return x.max(range(1, 1 + spatial_axes(x.shape)))


def adaptive_windows(size: int, output: int) -> list[range]:
    """What each of `output` windows that cover `size` positions sees: floor(i n / m) to ceil((i + 1) n / m)."""
    return [range(i * size // output, -(-(i + 1) * size // output)) for i in range(output)]


def _adapted(
    x: Array, axis: int, output: int, join: Callable[[Array, Array], Array], whole: Callable[..., Array]
) -> Array:
    """`join` over every one of `output` windows along an axis; `whole` is the same as a reduction.

    The windows repeat with a period; those of one phase are strided slices, and zeros keep the others' places.
    """
    if output == 1:
        return whole(x, axis, keepdims=True)
    blocks = gcd(x.shape[axis], output)
    stride, period = x.shape[axis] // blocks, output // blocks
    phases = []
    for i, window in enumerate(adaptive_windows(stride, period)):
        places = [(0, 0, 0)] * x.ndim
        places[axis] = (i, period - 1 - i, period - 1)
        phase = joined(x, axis, window, stride, blocks, join)
        phases.append(jax.lax.pad(phase, jnp.zeros((), x.dtype), places))
    return reduce(jnp.add, phases)


class _AdaptivePool(nnx.Module):
    """To a map of `size` positions whatever the input's; windows overlap where the division leaves a rest.

    Of a map smaller than `size` positions repeat, as in torch.
    """

    def __init__(self, size: PerAxis, *, axes: int):
        self.size = per_axis(size, axes, "size")


class AdaptiveMaxPool(_AdaptivePool):
    """The maximum of each window."""

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Pooled:
        spatial_axes(x.shape)
        for axis, output in enumerate(self.size, start=1):
            x = _adapted(x, axis, output, jnp.maximum, jnp.max)
        return x


class AdaptiveAvgPool(_AdaptivePool):
    """The mean of each window."""

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Pooled:
        spatial_axes(x.shape)
        for axis, output in enumerate(self.size, start=1):
            counts = np.array([len(window) for window in adaptive_windows(x.shape[axis], output)], x.dtype)
            x = _adapted(x, axis, output, jnp.add, jnp.sum)
            x = x / np.expand_dims(counts, [a for a in range(x.ndim) if a != axis])
        return x


class SpatialPyramidPool(nnx.Module):
    """Adaptive pools to 1, 2, 4 ... positions an axis, flattened into one vector whose length no input changes.

    He, Zhang, Ren and Sun 2014, section 2.2, who take the maximum.
    """

    def __init__(self, levels: tuple[int, ...], *, axes: int, method: str = "max"):
        pool = {"max": AdaptiveMaxPool, "avg": AdaptiveAvgPool}[method]
        self.levels = levels
        for level in levels:
            setattr(self, f"level{level}", pool(level, axes=axes))

    def __call__(self, x: Map, mode: Mode = EVALUATION) -> Float[Array, "batch features"]:
        space = x.shape[1 : 1 + spatial_axes(x.shape)]
        if min(space) < max(self.levels):
            raise ShapeError(f"the map is {show(space)} here, smaller than the finest level {max(self.levels)}")
        parts = [getattr(self, f"level{level}")(x) for level in self.levels]
        return jnp.concatenate([part.reshape(len(x), -1) for part in parts], -1)
