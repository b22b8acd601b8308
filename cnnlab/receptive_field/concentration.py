"""Where a map of shares is concentrated: what holds a part of it, and the Gaussian like it."""

from dataclasses import dataclass
from functools import reduce
from math import ceil
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Held:
    """What holds a `share` of the map: a `box`, first and last position per axis, and as few `pixels` as can hold it,
    wherever they are."""

    share: float
    box: tuple[tuple[int, int], ...]
    pixels: int

    def to_json(self) -> dict[str, Any]:
        return {"share": self.share, "box": [list(span) for span in self.box], "pixels": self.pixels}


@dataclass(frozen=True)
class Gaussian:
    """A Gaussian with the map's mean and standard deviation `sigma` per axis; `r_squared` is the part of the map's
    variance that it explains, None for a map that is the same everywhere."""

    mean: tuple[float, ...]
    sigma: tuple[float, ...]
    r_squared: float | None

    def to_json(self) -> dict[str, Any]:
        return {"mean": list(self.mean), "sigma": list(self.sigma), "r_squared": self.r_squared}


def held(shares: np.ndarray, center: tuple[float, ...], share: float) -> Held:
    """The smallest box around `center` and the fewest pixels that hold `share` of a map [*space] whose sum is 1.

    A box reaches equally far to both sides of the centre (a multiple of 1/2 on each axis), as far as there is a map.
    It is made of the shortest such intervals that hold a part q of the map, each on its axis alone, with the smallest q
    for which all together are enough: so its sides are to each other as the field's.
    """
    enough = share - 1e-9
    sums = np.cumsum(np.sort(shares, axis=None)[::-1])
    pixels = int(np.searchsorted(sums, enough)) + 1
    inside, spans = shares, []
    for axis, (n, middle) in enumerate(zip(shares.shape, center, strict=True)):
        reach = middle % 1 + np.arange(ceil(max(middle, n - 1 - middle)) + 1)
        first = np.clip(np.ceil(middle - reach), 0, n).astype(int)
        end = np.clip(np.floor(middle + reach) + 1, 0, n).astype(int)
        before = np.insert(np.cumsum(inside, axis), 0, 0, axis)
        inside = before.take(end, axis) - before.take(first, axis)
        spans.append((first, end))
    # By now `inside` is what every box holds, and where it reaches over all other axes, what one axis alone does.
    alone = [np.moveaxis(inside, k, 0).reshape(n, -1)[:, -1].round(12) for k, n in enumerate(inside.shape)]
    kept = np.unique(np.concatenate(alone))
    reach = [np.minimum(np.searchsorted(one, kept), len(one) - 1) for one in alone]
    found = np.argmax(inside[tuple(reach)] >= enough)
    sides = zip(spans, reach, strict=True)
    return Held(share, tuple((int(first[i[found]]), int(end[i[found]]) - 1) for (first, end), i in sides), pixels)


def gaussian(shares: np.ndarray) -> Gaussian:
    """By moments: the mean and deviation of each axis' marginal.

    A stack of n convolutions of 3, all weights alike, has as its field the distribution of the sum of n uniform
    variables on -1, 0, 1, and so sigma = sqrt(2 n / 3) exactly: n (k^2 - 1) / 12 is the variance for kernels of k.
    What it is compared with is its density at the positions, scaled to the sum 1.
    """
    means, sigmas, profiles = [], [], []
    for axis, n in enumerate(shares.shape):
        marginal = shares.sum(tuple(other for other in range(shares.ndim) if other != axis))
        positions = np.arange(n)
        mean = float(marginal @ positions)
        sigma = float(np.sqrt(marginal @ (positions - mean) ** 2))
        # All on one position is a deviation of 0; any that is far below 1 gives the same profile.
        density = np.exp(-((positions - mean) ** 2) / (2 * max(sigma, 0.01) ** 2))
        means.append(mean)
        sigmas.append(sigma)
        profiles.append(density / density.sum())
    fitted = reduce(np.multiply, np.meshgrid(*profiles, indexing="ij", sparse=True))
    variation, square = float(np.var(shares)), float(np.mean(shares**2))
    flat = variation <= 1e-12 * square
    r_squared = None if flat else 1 - float(np.mean((shares - fitted) ** 2)) / variation
    return Gaussian(tuple(means), tuple(sigmas), r_squared)
