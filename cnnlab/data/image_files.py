"""Image files as examples, decoded and resized one at a time."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cnnlab.data.geometry import Frame
from cnnlab.data.images import decode
from cnnlab.data.survey import Survey, survey
from cnnlab.errors import DataError
from cnnlab.spec.images import Decode


@dataclass(frozen=True)
class ImageFiles:
    """`files` lie in `root`, and messages call them `where`/name. `frame`: what they are brought to, None for their own
    size, which must then be one. `decoder` and `channels` as `images.decode` takes them."""

    root: Path
    files: Sequence[str]
    channels: int
    frame: Frame | None
    decoder: Decode
    where: str

    def __len__(self) -> int:
        return len(self.files)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(height, width, channel) of every image: of the first, where they have no size given."""
        if self.frame is None:
            return self._first
        height, width = self.frame.size
        return height, width, self.channels

    @cached_property
    def _first(self) -> tuple[int, int, int]:
        return self._decoded(0).shape  # type: ignore[return-value]

    @cached_property
    def stamps(self) -> np.ndarray:
        """Bytes and time of the last change, in nanoseconds, of each file, int64 [example, 2], when first asked."""
        return np.array([self._stamp(i) for i in range(len(self))], np.int64).reshape(-1, 2)

    def read(self, i: int) -> np.ndarray:
        """uint8 [height, width, channel]. Raises DataError for a file that cannot be read or has another size."""
        image = self._decoded(i)
        if image.shape != self.shape:
            sizes = [f"{height} x {width}" for height, width, _ in (self.shape, image.shape)]
            message = f"{self.files[0]} is {sizes[0]} (height x width), and {self.files[i]} is {sizes[1]}"
            raise DataError(message, where=self.where, hint="add data.resize, to bring all to one size")
        return image

    def read_again(self, i: int) -> np.ndarray:
        """As `read`; DataError where the file has changed since `stamps` was first asked."""
        if self._stamp(i) != tuple(self.stamps[i]):
            message = "the file was changed while it was being used"
            raise DataError(message, where=self._name(i), hint="leave the data alone, and start again")
        return self.read(i)

    def survey(self) -> Survey:
        """One look at every image. Raises DataError as `read` does."""
        _ = self.stamps  # what changes from here on is told
        return survey(self.read, len(self))

    def _decoded(self, i: int) -> np.ndarray:
        return decode(self.root / self.files[i], self.channels, self.frame, self._name(i), self.decoder)

    def _name(self, i: int) -> str:
        return f"{self.where}/{self.files[i]}"

    def _stamp(self, i: int) -> tuple[int, int]:
        try:
            found = os.stat(self.root / self.files[i])
        except OSError as error:
            message = f"cannot read the image: {error.strerror}"
            raise DataError(message, where=self._name(i), hint="repair or remove it") from None
        return found.st_size, found.st_mtime_ns
