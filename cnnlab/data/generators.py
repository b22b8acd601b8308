"""Labelled data without end: points, signals, images and volumes, each example from (seed, its number) alone.

Example i has the class i modulo the number of classes. Every quantity has a stream of random numbers of its own,
in which an example's numbers stand at its place: asking for more examples leaves the first ones as they are.
"""

from collections.abc import Mapping
from math import pi, sqrt
from pathlib import Path
from types import MappingProxyType

import numpy as np

from cnnlab.data.dataset import Dataset, Target
from cnnlab.data.memory import check_fits
from cnnlab.spec.generators import Gaussians, Generator, Shapes, Sines, Spheres, Spirals, TwoMoons


def two_moons(data: TwoMoons, base: Path) -> Dataset:
    """float32 [example, 2]: the upper half of the circle about (0, 0), and the lower about (1, 0.5), of radius 1."""
    y, angle = _labels(data, 2), pi * _uniform(data, 0)
    upper = np.stack([np.cos(angle), np.sin(angle)], 1)
    x = np.where(y[:, None] == 0, upper, [1, 0.5] - upper)
    return _dataset(data, x + data.noise * _normal(data, 2), y, ("upper", "lower"))


def spirals(data: Spirals, base: Path) -> Dataset:
    """float32 [example, 2]: arms that start at the radius 0.1 and end at 1 after `turns`, evenly turned."""
    y, way = _labels(data, data.arms), _uniform(data, 0)
    angle = 2 * pi * (data.turns * way + y / data.arms)
    x = (0.1 + 0.9 * way)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
    return _dataset(data, x + data.noise * _normal(data, 2), y, _numbers(data.arms))


def gaussians(data: Gaussians, base: Path) -> Dataset:
    """float32 [example, dimension]; the centres lie in the plane of the first two dimensions.

    The best classifier of two classes is right with the probability Phi(separation / 2).
    """
    _check_fits(data, data.dimensions * 16)
    y = _labels(data, data.clusters)
    x = _normal(data, data.dimensions)
    angle, radius = 2 * pi * y / data.clusters, data.separation / 2 / np.sin(pi / data.clusters)
    x[:, 0] += radius * np.cos(angle)
    x[:, 1] += radius * np.sin(angle)
    return _dataset(data, x, y, _numbers(data.clusters))


def sines(data: Sines, base: Path) -> Dataset:
    """float32 [example, length, 1]: amplitude * sin(2 pi (frequency * i / length + phase)) + noise."""
    _check_fits(data, data.length * 32)
    y = _labels(data, len(data.frequencies))
    cycles = np.array(data.frequencies)[y][:, None] * np.arange(data.length) / data.length
    x = (0.5 + _uniform(data, 0))[:, None] * np.sin(2 * pi * (cycles + _uniform(data, 1)[:, None]))
    x += data.noise * _normal(data, data.length)
    return _dataset(data, x[..., None], y, tuple(map(str, data.frequencies)))


def shapes(data: Shapes, base: Path) -> Dataset:
    """uint8 [example, size, size, 1]: a shape of a brightness from 0.5 to 1 on black, and noise.

    Targets: "mask", 0 is the background; "boxes", one an example.
    """
    _check_fits(data, data.size**2 * 40)
    y = _labels(data, 3)
    radius = _column(data.size / 8 + data.size * 0.075 * _uniform(data, 0), 2)
    corner = radius * sqrt(4 * pi / (3 * sqrt(3)))  # from the triangle's centre, so that its area is the circle's
    down, right = _distances(data, data.size, corner)
    circle = down**2 + right**2 <= radius**2
    square = np.maximum(abs(down), abs(right)) <= radius * sqrt(pi) / 2
    triangle = np.maximum(down, abs(right) * sqrt(3) / 2 - down / 2) <= corner / 2  # it points up
    brightness = _column(0.5 + 0.5 * _uniform(data, 1), 2)
    inside = _choose(y, circle, square, triangle)
    x = np.round(255 * (brightness * inside + data.noise * _normal(data, data.size, data.size)).clip(0, 1))
    classes = ("circle", "square", "triangle")
    targets = {"mask": _mask(inside, y, classes), "boxes": _boxes(inside, y, classes)}
    return _dataset(data, x.astype(np.uint8)[..., None], y, classes, targets)


def spheres(data: Spheres, base: Path) -> Dataset:
    """float32 [example, size, size, size, 1]: 1 inside of the body and 0 outside, and noise. Target: "mask"."""
    _check_fits(data, data.size**3 * 48)
    y = _labels(data, 3)
    radius = _column(data.size / 6 + data.size / 12 * _uniform(data, 0), 3)
    corner = radius * pi ** (1 / 3)  # from the octahedron's centre, so that its volume is the sphere's
    away = _distances(data, data.size, corner)
    sphere = away[0] ** 2 + away[1] ** 2 + away[2] ** 2 <= radius**2
    cube = np.maximum(np.maximum(abs(away[0]), abs(away[1])), abs(away[2])) <= radius * (pi / 6) ** (1 / 3)
    octahedron = abs(away[0]) + abs(away[1]) + abs(away[2]) <= corner
    inside, classes = _choose(y, sphere, cube, octahedron), ("sphere", "cube", "octahedron")
    x = inside + data.noise * _normal(data, data.size, data.size, data.size)
    return _dataset(data, x[..., None], y, classes, {"mask": _mask(inside, y, classes)})


def _distances(data: Generator, size: int, reach: np.ndarray) -> list[np.ndarray]:
    """Of each line of pixels along each axis to a centre that is drawn so that what reaches so far is inside.

    reach: [example, 1, ...] -> for each axis [example, ..., size, ...], to be broadcast.
    """
    axes = reach.ndim - 1
    found = []
    for axis in range(axes):
        centre = reach + (size - 1 - 2 * reach) * _column(_uniform(data, 2 + axis), axes)
        found.append(np.arange(size).reshape([size if i == axis + 1 else 1 for i in range(axes + 1)]) - centre)
    return found


def _choose(y: np.ndarray, *kinds: np.ndarray) -> np.ndarray:
    """Of each example the array of its class."""
    return np.select([_column(y == k, kinds[0].ndim - 1) for k in range(len(kinds))], kinds)


def _column(values: np.ndarray, axes: int) -> np.ndarray:
    """[example] -> [example, 1, ...] with so many axes of 1."""
    return values.reshape(-1, *[1] * axes)


def _labels(data: Generator, classes: int) -> np.ndarray:
    return np.arange(data.examples) % classes


def _numbers(classes: int) -> tuple[str, ...]:
    return tuple(map(str, range(classes)))


def _uniform(data: Generator, stream: int) -> np.ndarray:
    """[example], from 0 to 1."""
    return np.random.Generator(np.random.Philox(key=[data.seed, stream])).random(data.examples)


def _normal(data: Generator, *shape: int) -> np.ndarray:
    """[example, *shape], of mean 0 and deviation 1."""
    return np.random.Generator(np.random.Philox(key=[data.seed, 100])).normal(size=(data.examples, *shape))


def _check_fits(data: Generator, each: int) -> None:
    words = f"{data.examples:,} examples"
    check_fits(data.examples * each, words, where=data.where, hint="make data.examples or an example smaller")


def _mask(inside: np.ndarray, y: np.ndarray, classes: tuple[str, ...]) -> Target:
    ids = np.where(inside, _column(y + 1, inside.ndim - 1), 0).astype(np.uint8)
    return Target(ids, ("background", *classes))


def _boxes(inside: np.ndarray, y: np.ndarray, classes: tuple[str, ...]) -> Target:
    """float32 [example, 1, 5], one body an example."""
    rows, columns = (np.any(inside, axis=axis) for axis in (2, 1))
    lows = [np.argmax(lit, 1) for lit in (rows, columns)]
    highs = [lit.shape[1] - np.argmax(np.flip(lit, 1), 1) for lit in (rows, columns)]
    return Target(np.stack([*lows, *highs, y], 1).astype(np.float32)[:, None], classes)


def _dataset(
    data: Generator,
    x: np.ndarray,
    y: np.ndarray,
    classes: tuple[str, ...],
    targets: Mapping[str, Target] = MappingProxyType({}),
) -> Dataset:
    x = x if x.dtype == np.uint8 else x.astype(np.float32)
    return Dataset(x, y.astype(np.int32), classes, source=data.tags[0], targets=targets)
