"""What a run's segmentation says of images of any size: a class for every pixel of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Literal

import jax
import numpy as np

from cnnlab.data.geometry import Frame, Placed, frame_of
from cnnlab.data.images import decode
from cnnlab.data.inputs import check_file, check_pixels, is_array, read_examples
from cnnlab.data.memory import available_bytes, check_fits
from cnnlab.data.progress import counted
from cnnlab.data.resize import resize
from cnnlab.errors import SpecError
from cnnlab.layers.windows import ShapeError, show
from cnnlab.receptive_field.fields import fields
from cnnlab.runs.directory import Run
from cnnlab.runs.prediction import answering
from cnnlab.runs.predictor import Predictor, normalized, of_run
from cnnlab.runs.tiles import Side, Tiles, mapped, tiles
from cnnlab.runs.weights import run_description
from cnnlab.spec.data import decoder_of, with_own_decoder
from cnnlab.spec.images import Decode
from cnnlab.spec.load import load
from cnnlab.tasks.heads import ALONE, SeveralHeads
from cnnlab.tasks.segmentation import Segmentation
from cnnlab.trace.cost import cost, totals
from cnnlab.trace.walk import Traced, trace

Size = Literal["run", "original"]
SHARE = 0.5  # of the memory that there is, for all maps of an image: with more it is cut into tiles
TILE = 512  # which is taken then, or the size of training where that is larger
STEP = 32  # sizes of whole images are rounded up to multiples of so much: each size is compiled anew


@dataclass(frozen=True)
class Mapped:
    """An example's mask, uint8 [*space] of class ids, and the share of each class in it, float64 [class]; the example
    as its file has it, [*space, channel]. `tiles`: how many the network saw, 1 for the whole."""

    file: str
    index: int
    examples: int  # in the file
    mask: np.ndarray
    shares: np.ndarray
    picture: np.ndarray
    tiles: int


def segmenting(run: Run, checkpoint: str, predictor: Predictor) -> Predictor | None:
    """What gives masks: the predictor itself, or of several heads the one that segments; None where none does.

    Raises SpecError where several do.
    """
    task = predictor.task
    if not isinstance(task, SeveralHeads):
        return predictor if isinstance(task, Segmentation) else None
    names = [head.name for head in task.heads if isinstance(head.task, Segmentation)]
    if len(names) > 1:
        raise SpecError(f"several heads segment: {', '.join(names)}", where="--head", hint="choose one of them")
    return of_run(run, checkpoint, names[0]) if names else None


class Mapper:
    """A run's network for images of any size.

    `size` "run": resized as in the run's evaluation, but nothing is cut off, neither by `crop` nor by `shorter`;
    "original": not at all. None is "run" where the run resizes, else "original". `tile`, in pixels of what the network
    sees: tiles of that size, or the next that it takes; None: of TILE, where memory asks for them. `overlap`: what
    their maps share, None: what the receptive field asks for. Raises SpecError where the run is no segmentation, or
    tiles cannot share so much.
    """

    def __init__(self, run: Run, predictor: Predictor, *, size: Size | None, tile: int | None, overlap: int | None):
        if not isinstance(predictor.task, Segmentation):
            raise SpecError("masks are of runs whose task is segmentation", where="-o", hint="name an .npz file")
        description, experiment = run_description(run), load(run.resolved, begun=True)
        assert description.preprocessing is not None
        self.predictor, self.before = predictor, description.preprocessing
        self.shape: tuple[int, ...] = tuple(run.read_json(run.data)["input_shape"])
        frame = frame_of(experiment.data, len(self.shape) - 1)
        self.frame = None if size == "original" else frame
        self.decoder: Decode = decoder_of(with_own_decoder(experiment.data)) if self.frame else "full"
        if size == "run" and frame is None:
            message = "the run does not resize its images"
            raise SpecError(message, where="--size run", hint="leave it out: each is taken at its own size")
        self.traced: Traced = trace(predictor.make(self.shape), self.shape)
        self.sides = self._sides()
        self.tile, self.overlap = tile, overlap
        if overlap is not None:
            self._check_overlap(overlap)
        self.notes: tuple[str, ...] = ()
        self.forwards: dict[tuple[int, ...], Callable[[np.ndarray], np.ndarray]] = {}

    def predict(self, paths: Sequence[Path]) -> Iterator[Mapped]:
        """One after another; no more than one file is in memory. Raises DataError and SpecError."""
        for path in paths:
            check_file(path)
        weights, self.notes = self.predictor.load()
        for path in counted(paths, len(paths)):
            pictures = self._read(path)
            for i, picture in enumerate(pictures):
                mask, count = self._mask(path, picture, weights)
                classes = len(self.predictor.classes)
                shares = np.bincount(mask.ravel(), minlength=classes) / mask.size
                yield Mapped(str(path), i, len(pictures), mask, shares, picture, count)

    # ------------------------------------------------------------ pixels in

    def _read(self, path: Path) -> np.ndarray:
        """The file's examples as they are, [example, *space, channel]."""
        if is_array(path):
            return read_examples(path, len(self.shape) - 1, self.shape[-1])
        check_pixels(path, self.shape, pixels=self.before.pixels)
        return decode(path, self.shape[-1])[None]

    def _seen(self, path: Path, picture: np.ndarray) -> tuple[np.ndarray, Placed | None]:
        """What the network sees of it, and where it lies in there; to the same pixels as in evaluation."""
        if self.frame is None:
            return picture, None
        placed = self.frame.placed(picture.shape[:-1])
        if placed.cuts:
            placed = Frame(placed.scaled).placed(placed.scaled)
        if is_array(path):
            small = picture if placed.scaled == picture.shape[:-1] else resize(picture[None], placed.scaled)[0]
        else:
            small = decode(path, self.shape[-1], Frame(placed.scaled), decoder=self.decoder)
        return placed.window(small, fill=0), placed

    def _mask(self, path: Path, picture: np.ndarray, weights: object) -> tuple[np.ndarray, int]:
        space = picture.shape[:-1]
        words = f"the probabilities of {show(space)} positions"
        needed = 4 * prod(space) * (2 * len(self.predictor.classes) + 2)
        check_fits(needed, words, where=str(path), hint="choose --size run, or cut it into parts")
        seen, placed = self._seen(path, picture)
        sizes = tuple(self._size(k, n) for k, n in enumerate(seen.shape[:-1]))
        plan = self._plan(sizes)

        def forward(part: np.ndarray) -> np.ndarray:
            shape = part.shape[1:]
            if shape not in self.forwards:
                network = self.predictor.make(shape)
                answer = answering(self.predictor, network, weights, shape, "probabilities", str(path))  # type: ignore[arg-type]
                self.forwards[shape] = lambda x: answer(x)[ALONE]
            return self.forwards[shape](part)

        values = mapped(forward, normalized(seen, self.before), self.sides, sizes, plan)
        if placed is not None:
            inside = zip(placed.start, placed.scaled, strict=True)
            values = values[tuple(slice(-start, -start + n) for start, n in inside)]
        return _greatest(values, space), prod(len(axis.starts) for axis in plan)

    # ------------------------------------------------------------ sizes

    def _sides(self) -> tuple[Side, ...]:
        """What the network does along each axis, from its receptive field: the period is its largest stride."""
        layers = fields(self.traced, ignore_global=True).layers
        last = fields(self.traced).layers[-1]
        found = []
        for k, (size, new) in enumerate(zip(self.shape[:-1], self.traced.output_shape, strict=False)):
            strides = [axis.stride for layer in layers if (axis := layer.axes[k]) is not None]
            period = max((int(stride) for stride in strides if stride >= 1), default=1)
            extent = last.axes[k]
            reach = (size, size) if extent is None else extent.padding  # all that there is, where it has no bounds
            found.append(Side(size, period, size - new, reach))
        return tuple(found)

    def _size(self, k: int, n: int) -> int:
        """The size of the network's input along axis k for an image of n."""
        side = self.sides[k]
        whole = side.whole(n)
        while (whole - side.size) % (-(-STEP // side.period) * side.period):
            whole += side.period
        return self._taken(k, whole)

    def _taken(self, k: int, n: int) -> int:
        """n, or the next size that the network takes along axis k: of those below its own not all need be."""
        side = self.sides[k]
        while n < side.size and not self._takes(k, n):
            n += side.period
        return n

    def _takes(self, k: int, n: int) -> bool:
        shape = (*self.shape[:k], n, *self.shape[k + 1 :])
        try:
            return trace(self.predictor.make(shape), shape).output_shape[k] == n - self.sides[k].lost
        except ShapeError:
            return False

    def _plan(self, sizes: tuple[int, ...]) -> tuple[Tiles, ...]:
        if self.tile is None and self._bytes_each * prod(sizes) <= SHARE * _memory():
            return tuple(tiles(side, n, n, 0) for side, n in zip(self.sides, sizes, strict=True))
        return tuple(
            tiles(side, n, tile, self._overlap(side, tile))
            for side, n, tile in zip(self.sides, sizes, self._tiles, strict=True)
        )

    def _overlap(self, side: Side, tile: int) -> int:
        """As much as the receptive field asks for, so that tiles are as good as the whole; at most half of a map."""
        covered = tile - side.lost
        wanted = min(sum(side.margins) + 1, covered // 2, covered - side.period)
        return wanted if self.overlap is None else self.overlap

    @cached_property
    def _tiles(self) -> tuple[int, ...]:
        """The size of tiles along each axis."""
        tile, found = self.tile, []
        for k, side in enumerate(self.sides):
            wanted = max(side.size, TILE) if tile is None else max(tile, side.lost + side.period)
            found.append(self._taken(k, side.fitting(wanted)))
        return tuple(found)

    @cached_property
    def _bytes_each(self) -> float:
        """What all maps together take for one position of the input; few of them are there at once."""
        figures = totals(cost(self.traced, self.predictor.make(self.shape)))
        return figures.activation_bytes / prod(self.shape[:-1])

    def _check_overlap(self, overlap: int) -> None:
        for side, tile in zip(self.sides, self._tiles, strict=True):
            most = tile - side.lost - side.period
            if overlap > most:
                message = f"{overlap}, and tiles of {tile} can share {most} at most"
                raise SpecError(message, where="--overlap", hint="give less, or a larger --tile")


def _memory() -> float:
    """Bytes that there are for a network's maps: of the accelerator, else free ones of this machine."""
    device = jax.local_devices()[0]
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit") or 2**32
    free = available_bytes()
    return 2**32 if free is None else free


def _greatest(values: np.ndarray, space: tuple[int, ...]) -> np.ndarray:
    """The class of the greatest value at each position, uint8 [*space], of values [*any, class] that are resized."""
    if values.shape[:-1] == space:
        return values.argmax(-1).astype(np.uint8)
    best, found = np.full(space, -np.inf, np.float32), np.zeros(space, np.uint8)
    for k in range(values.shape[-1]):  # one at a time, so that memory holds one plane more
        plane = resize(values[None, ..., k : k + 1], space)[0, ..., 0]
        found[plane > best] = k
        np.maximum(best, plane, out=best)
    return found
