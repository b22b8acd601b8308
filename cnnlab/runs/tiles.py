"""Maps of an image of any size, by a network that takes some sizes: whole, or from tiles that overlap.

The overlap-tile strategy of Ronneberger, Fischer and Brox (2015), section 2: what is missing around the image is its
reflection. Neighbouring tiles share a strip, over which the one's share of the answer falls and the other's rises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise, product

import numpy as np

Forward = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Side:
    """What a network does along one axis: it takes `size` and what differs from that by multiples of `period`, and
    gives `lost` positions fewer, which lay half before the map and half behind it. A unit at the map's first position
    sees `reach[0]` positions before the input's first, at its last reach[1] behind."""

    size: int
    period: int = 1
    lost: int = 0
    reach: tuple[int, int] = (0, 0)

    def fitting(self, n: int) -> int:
        """The smallest size from n on that is taken."""
        return n + (self.size - n) % self.period

    @property
    def before(self) -> int:
        """How much is put before an image so that the map covers it, and the pools meet the pixels that they do
        without."""
        return -(-(self.lost // 2) // self.period) * self.period

    def whole(self, n: int) -> int:
        """The size of the input whose map covers an image of n."""
        return self.fitting(max(self.before + n + self.lost - self.lost // 2, 1))

    @property
    def margins(self) -> tuple[int, int]:
        """How many positions at a tile's ends see beyond it, if the image goes on there; a multiple of the period."""
        low, high = (-(-max(reach, 0) // self.period) * self.period for reach in self.reach)
        return low, high


@dataclass(frozen=True)
class Tiles:
    """Along one axis, tiles of the input, all of one size, begin at `starts`, and their weights [tile, position]."""

    size: int
    starts: tuple[int, ...]
    weights: np.ndarray


def tiles(side: Side, whole: int, tile: int, overlap: int) -> Tiles:
    """Tiles of an input of the size `whole`, whose maps share `overlap` positions, or more where the period or the
    last tile ask for it. `tile` is a size that is taken, larger than overlap and loss by a period."""
    covered = tile - side.lost
    if whole <= tile:
        return Tiles(whole, (0,), np.ones((1, whole - side.lost), np.float32))
    step = (covered - overlap) // side.period * side.period
    starts = (*range(0, whole - tile, step), whole - tile)
    weights = np.ones((len(starts), covered), np.float32)
    for i, (left, right) in enumerate(pairwise(starts)):
        rising = ramp(left + covered - right, side.margins)
        weights[i + 1, : len(rising)] *= rising
        weights[i, covered - len(rising) :] *= 1 - rising
    return Tiles(tile, starts, weights)


def ramp(strip: int, margins: tuple[int, int]) -> np.ndarray:
    """From 0 to 1 over the positions of a strip; where it has room for both margins, 0 and 1 on these."""
    low, high = margins if sum(margins) < strip else (0, 0)
    places = (np.arange(strip, dtype=np.float32) + 0.5 - low) / (strip - low - high)
    return places.clip(0, 1)


def mapped(
    forward: Forward, x: np.ndarray, sides: tuple[Side, ...], sizes: tuple[int, ...], plan: tuple[Tiles, ...]
) -> np.ndarray:
    """The network's answers [*space, class] for every position of x [*space, channel].

    forward: [1, *size, channel] to [1, *size less what is lost, class]. sizes: of the whole input, `Side.whole` or
    more; plan: its tiles along each axis.
    """
    space = x.shape[:-1]
    around = [(s.before, n - s.before - have) for s, n, have in zip(sides, sizes, space, strict=True)]
    padded = np.pad(x, [*around, (0, 0)], mode="reflect")
    total: np.ndarray | None = None
    shares = np.zeros([n - side.lost for side, n in zip(sides, sizes, strict=True)], np.float32)
    for place in product(*(range(len(axis.starts)) for axis in plan)):
        starts = [axis.starts[i] for axis, i in zip(plan, place, strict=True)]
        part = tuple(slice(start, start + axis.size) for start, axis in zip(starts, plan, strict=True))
        answer = forward(padded[part][None])[0]
        if total is None:
            total = np.zeros((*shares.shape, answer.shape[-1]), np.float32)
        weights = reduce(np.multiply.outer, [axis.weights[i] for axis, i in zip(plan, place, strict=True)])
        here = tuple(slice(start, start + n) for start, n in zip(starts, answer.shape[:-1], strict=True))
        total[here] += weights[..., None] * answer
        shares[here] += weights
    assert total is not None, "there is a tile"
    begins = [side.before - side.lost // 2 for side in sides]
    cut = tuple(slice(begin, begin + n) for begin, n in zip(begins, space, strict=True))
    return total[cut] / shares[cut][..., None]
