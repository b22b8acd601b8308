"""What windows do to a map's size: padding, stride, dilation (Dumoulin and Visin 2016, relationships 1-15)."""

from cnnlab.errors import SpecError

Pads = tuple[tuple[int, int], ...]
PerAxis = int | tuple[int, ...]
Padding = str | int | tuple[tuple[int, int], ...]


class ShapeError(SpecError):
    """A layer cannot take the map that it is given."""


def show(shape: tuple[int, ...]) -> str:
    """`8x8x32`, as people write a map."""
    return "x".join(map(str, shape))


def per_axis(value: PerAxis, axes: int, what: str) -> tuple[int, ...]:
    """One number for every spatial axis. Raises ShapeError where the count is another."""
    if isinstance(value, int):
        return (value,) * axes
    if len(value) != axes:
        raise ShapeError(f"{what} {list(value)} has {len(value)} numbers, and the map {axes} spatial axes")
    return tuple(value)


def spatial_axes(shape: tuple[int, ...]) -> int:
    """How many spatial axes a batched map [batch, *space, channel] has. Raises ShapeError for a vector."""
    if len(shape) < 3:
        raise ShapeError(f"needs a map with spatial axes, and gets a vector of {show(shape[1:])}")
    return len(shape) - 2


def pads(
    padding: Padding,
    space: tuple[int, ...],
    window: tuple[int, ...],
    stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Pads:
    """Zeros before and after on every axis.

    `same` gives ceil(size / stride), the odd zero behind. `ceil` adds behind what a last window lacks, so that
    none is left out that begins on the map (torch's ceil_mode).
    """
    if padding == "valid":
        return ((0, 0),) * len(space)
    if padding == "same":
        result = []
        for size, k, s, d in zip(space, window, stride, dilation, strict=True):
            total = max((-(-size // s) - 1) * s + (k - 1) * d + 1 - size, 0)
            result.append((total // 2, total - total // 2))
        return tuple(result)
    if padding == "ceil":
        result = []
        for size, k, s, d in zip(space, window, stride, dilation, strict=True):
            reach = (k - 1) * d + 1
            lacking = -(size - reach) % s
            result.append((0, lacking if lacking < reach else 0))
        return tuple(result)
    if isinstance(padding, int):
        return ((padding, padding),) * len(space)
    if isinstance(padding, str) or len(padding) != len(space):
        raise ShapeError(f"padding {padding!r} does not fit a map of {len(space)} spatial axes")
    return padding


def check_fits(space: tuple[int, ...], window: tuple[int, ...], dilation: tuple[int, ...], padding: Pads) -> None:
    """Raises ShapeError where a window, dilated, is larger than the padded map."""
    for size, k, d, (low, high) in zip(space, window, dilation, padding, strict=True):
        if size + low + high < (k - 1) * d + 1:
            padded = " with its padding" if any(map(any, padding)) else ""
            spread = f" dilated to {show(tuple((k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)))}"
            dilated = spread if any(d > 1 for d in dilation) else ""
            raise ShapeError(f"the map is {show(space)} here{padded}, smaller than the window {show(window)}{dilated}")
