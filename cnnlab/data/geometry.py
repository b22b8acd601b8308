"""Where an example goes when it is brought to another size: one geometry for images, masks and boxes."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from cnnlab.data.resize import resize, size_per_axis
from cnnlab.spec.data import DataSpec
from cnnlab.spec.resize import KeepAspect

Fit = Literal["stretch", "shorter", "longer"]


@dataclass(frozen=True)
class Placed:
    """An example that is resized to `scaled`, and the window of `size` in it that is kept: it begins at `start`, which
    is negative where something is put around instead."""

    scaled: tuple[int, ...]
    start: tuple[int, ...]
    size: tuple[int, ...]

    @property
    def cuts(self) -> bool:
        """Whether something of the example is left out."""
        sides = zip(self.scaled, self.start, self.size, strict=True)
        return any(start > 0 or start + size < scaled for scaled, start, size in sides)

    def window(self, values: np.ndarray, fill: int, lead: int = 0) -> np.ndarray:
        """[*lead axes, *scaled, ...] -> [*lead axes, *size, ...], with `fill` around."""
        if self.scaled == self.size:
            return values
        sides = list(zip(self.scaled, self.start, self.size, strict=True))
        part = tuple(slice(max(start, 0), start + size) for _, start, size in sides)
        around = [(max(-start, 0), max(start + size - scaled, 0)) for scaled, start, size in sides]
        after = [(0, 0)] * (values.ndim - lead - len(sides))
        return np.pad(values[(slice(None),) * lead + part], [(0, 0)] * lead + around + after, constant_values=fill)


@dataclass(frozen=True)
class Frame:
    """The size that all examples are brought to, and how.

    "stretch": each axis on its own. "shorter": the shortest side becomes that of the frame, a square or cube, the
    others follow in proportion, and the middle is kept; "longer": likewise the longest side, and the example lies in
    the middle. `crop`: what evaluation cuts out afterwards; by rounding it has a say in where the middle is.
    """

    size: tuple[int, ...]
    fit: Fit = "stretch"
    crop: tuple[int, ...] | None = None

    def placed(self, whole: tuple[int, ...]) -> Placed:
        """Of an example of the size `whole`. New sides are cut to whole numbers, as torchvision's Resize does it."""
        if self.fit == "stretch":
            return Placed(self.size, (0,) * len(self.size), self.size)
        side = self.size[0]
        if self.fit == "shorter":
            scaled = tuple(int(side * n / min(whole)) for n in whole)
            # The crop of the middle is then torchvision's CenterCrop of all of it, whose halves are rounded to even.
            crop = self.crop or self.size
            start = [round((n - cut) / 2) - round((side - cut) / 2) for n, cut in zip(scaled, crop, strict=True)]
        else:
            scaled = tuple(max(1, int(side * n / max(whole))) for n in whole)
            start = [-((side - n) // 2) for n in scaled]
        return Placed(scaled, tuple(start), self.size)


def framed(x: np.ndarray, frame: Frame) -> np.ndarray:
    """x [example, *spatial, channel] -> [example, *frame, channel] of the same dtype, 0 around them."""
    placed = frame.placed(x.shape[1:-1])
    return placed.window(resize(x, placed.scaled), fill=0, lead=1)


def frame_of(data: DataSpec, axes: int) -> Frame | None:
    """What a spec's `resize` asks for of examples with so many spatial axes; None without. Raises SpecError."""
    if not isinstance(data.resize, KeepAspect):
        return None if data.resize is None else Frame(size_per_axis(data.resize, axes))
    size = size_per_axis(data.resize.side, axes)
    crop = None if data.crop is None else size_per_axis(data.crop, axes, "data.crop")
    return Frame(size, "longer" if data.resize.shorter is None else "shorter", crop)
